/* effects.c - worker processes and their lines, see effects.h */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <kedge/backend.h>

#include "effects.h"

struct kedge_error err;
static int write_fd = -1;
static int read_fd = -1;
static int me;

void bail(const char *format, ...)
{
    va_list ap;

    printf("Bail out! ");
    va_start(ap, format);
    (void)vprintf(format, ap);
    va_end(ap);
    printf("\n");
    (void)fflush(stdout);
    _exit(99);
}

void must(int rc, const char *what)
{
    if (rc != KEDGE_OK)
        bail("%s: %s: %s", what, kedge_status_name(rc), rc < 0 ? err.msg : "");
}

int number_of(const char *text, int most)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || n < 0 || n > most)
        bail("'%s' is not a number from 0 to %d", text, most);
    return (int)n;
}

int64_t now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void nap_us(int64_t us)
{
    struct timespec nap = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

    while (nanosleep(&nap, &nap) != 0 && errno == EINTR)
        ;
}

/* ------------------------------------------------------------------- lines */

void effects_open(const char *path, int worker)
{
    me = worker;
    write_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    read_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (write_fd < 0 || read_fd < 0)
        bail("%s: %s", path, strerror(errno));
}

void effects_write(struct line line)
{
    line.at = now_us();
    line.pid = (int32_t)getpid();
    if (me != 0)
        line.worker = me;
    if (write(write_fd, &line, sizeof line) != (ssize_t)sizeof line)
        bail("cannot log: %s", strerror(errno));
}

static uint64_t hash(struct kedge_bytes bytes) /* FNV-1a */
{
    const unsigned char *p = bytes.data;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < bytes.len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* Runs are called "run-N". */
static int run_number(struct kedge_bytes id)
{
    char text[24] = "";

    if (id.len <= 4 || id.len >= sizeof text)
        return -1;
    memcpy(text, id.data, id.len);
    return (int)strtol(text + 4, NULL, 10);
}

struct line effects_of(const struct kedge_step *step, enum line_kind kind)
{
    const struct kedge_view *view = kedge_step_view(step);

    return (struct line){
        .kind = (int32_t)kind,
        .worker = me,
        .run = run_number(view->run),
        .step = (int32_t)strtol(view->step + 1, NULL, 10), /* "s0", "s1", ... */
        .action = (int32_t)view->action,
        .fence = view->fence,
        .key = hash(view->key),
        .doubt = (view->flags & KEDGE_STEP_IN_DOUBT) != 0,
        .attempt = (int32_t)view->attempt,
    };
}

int effects_read(struct line *line)
{
    return read(read_fd, line, sizeof *line) == (ssize_t)sizeof *line;
}

const char *effects_value(const struct line *line, char *buf, size_t size)
{
    (void)snprintf(buf, size, "{\"chaos\":%d,\"fence\":%llu,\"step\":%d,\"worker\":%d}",
                   (int)line->run, (unsigned long long)line->fence, (int)line->step,
                   (int)line->worker);
    return buf;
}

int effects_find(struct kedge_bytes record, struct line *line)
{
    static const char mark[] = "{\"chaos\":";
    static const char *const paths[4] = { "/chaos", "/fence", "/step", "/worker" };
    const char *data = record.data;
    const char *at = NULL;
    const char *end;
    int64_t n[4];

    for (size_t i = 0; i + sizeof mark <= record.len && at == NULL; i++)
        if (memcmp(data + i, mark, sizeof mark - 1) == 0)
            at = data + i;
    if (at == NULL)
        return 0;
    end = memchr(at, '}', record.len - (size_t)(at - data));
    if (end == NULL)
        bail("a record has half a value");
    for (int i = 0; i < 4; i++)
        must(kedge_json_int64(at, (size_t)(end - at) + 1, paths[i], &n[i], &err), "value");
    *line = (struct line){ .run = (int32_t)n[0],
                           .fence = (uint64_t)n[1],
                           .step = (int32_t)n[2],
                           .worker = (int32_t)n[3] };
    return 1;
}

/* --------------------------------------------------------- a worker process */

static void observe(void *ctx, const struct kedge_event *event)
{
    static const struct {
        uint32_t event;
        enum line_kind kind;
    } kinds[] = {
        { KEDGE_EVENT_RUN_TAKEN, LINE_TAKEN },         { KEDGE_EVENT_RUN_LOST, LINE_LOST },
        { KEDGE_EVENT_LEASE_LOST, LINE_LEASE },        { KEDGE_EVENT_WORKER_BURIED, LINE_BURIED },
        { KEDGE_EVENT_RUN_RECOVERED, LINE_RECOVERED },
    };
    struct line line = { .fence = event->fence, .run = run_number(event->run) };

    (void)ctx;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].event != event->kind)
            continue;
        line.kind = (int32_t)kinds[i].kind;
        if (line.kind == LINE_BURIED && event->text[0] == 'w')
            line.other = (int32_t)strtol(event->text + 1, NULL, 10);
        effects_write(line);
    }
}

static void log_text(void *ctx, int level, const char *text)
{
    (void)ctx;
    if (strstr(text, "declared dead") != NULL)
        effects_write((struct line){ .kind = LINE_SAID });
    else if (level <= LOG_ERR)
        (void)fprintf(stderr, "# worker %d: %s\n", me, text);
}

static struct kedge_worker *the_worker;

static void on_term(int sig)
{
    (void)sig;
    kedge_worker_stop(the_worker); /* NOLINT(bugprone-signal-handler,cert-sig30-c): it may */
}

void effects_serve(const char *url, const struct kedge_reactor *const *reactors, size_t n_reactors,
                   struct kedge_worker_options *options)
{
    struct kedge_store_options store_options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_host host = *kedge_host_default();
    struct kedge_store *store;
    sigset_t term;
    char label[24];

    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &term, NULL);
    host.log = log_text;
    store_options.host = &host;
    must(kedge_store_open(url, &store_options, &store, &err), "open");
    (void)snprintf(label, sizeof label, "w%d", me);
    options->reactors = reactors;
    options->n_reactors = n_reactors;
    options->label = label;
    options->observe = observe;
    must(kedge_worker_open(store, options, &the_worker, &err), "worker");
    (void)signal(SIGTERM, on_term);
    (void)sigprocmask(SIG_UNBLOCK, &term, NULL);
    effects_write((struct line){ .kind = LINE_READY });
    must(kedge_worker_run(the_worker, &err), "run");
    kedge_worker_close(the_worker, 10 * SECONDS);
    kedge_store_close(store);
    _exit(0);
}

pid_t effects_spawn(char **args)
{
    static char self[] = "/proc/self/exe";
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0)
        bail("fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(99);
    args[0] = self;
    (void)execv(self, args);
    _exit(99);
}

/* --------------------------------------------------------- below the engine */

static void *session_of(struct kedge_store *store)
{
    void *session;

    must(kedge_store_ops(store)->session_open(kedge_store_handle(store), &session, &err),
         "session");
    return session;
}

int effects_lease_dead(struct kedge_store *store, int worker, struct kedge_id128 *id)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_bytes cursor = { NULL, 0 };
    struct kedge_lease_page page;
    struct kedge_mem *old = NULL;
    void *session = session_of(store);
    char label[24];
    int live = 0;

    (void)snprintf(label, sizeof label, "w%d@", worker);
    do {
        memset(&page, 0, sizeof page);
        must(ops->lease_list(session, cursor, 256, &page, 60 * SECONDS, &err), "leases");
        kedge_mem_free(kedge_store_host(store), old);
        old = page.mem;
        for (size_t i = 0; i < page.n; i++) {
            const struct kedge_lease *lease = &page.leases[i];

            if (lease->owner.len < strlen(label) ||
                memcmp(lease->owner.data, label, strlen(label)) != 0 ||
                lease->state == KEDGE_LEASE_DEAD)
                continue;
            live++;
            if (id != NULL)
                *id = lease->id;
        }
        cursor = page.next;
    } while (cursor.len > 0);
    kedge_mem_free(kedge_store_host(store), old);
    ops->session_close(session);
    return live == 0;
}

int effects_writable(struct kedge_store *store)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    void *session = session_of(store);
    struct kedge_change change = { .kind = KEDGE_CELL_PUT, .name = kedge_text("test.writable") };
    struct kedge_commit commit = { .changes = &change, .n_changes = 1 };
    struct kedge_answer answer = { 0 };
    int rc;

    if (getrandom(&commit.request, sizeof commit.request, 0) != (ssize_t)sizeof commit.request)
        bail("no randomness");
    rc = ops->commit(session, &commit, 1, &answer, SECONDS / 2, &err);
    if (rc == KEDGE_OK)
        rc = answer.outcome;
    ops->session_close(session);
    if (rc != KEDGE_OK && rc != KEDGE_ERR_UNAVAILABLE && rc != KEDGE_ERR_UNKNOWN)
        must(rc, "cell");
    return rc == KEDGE_OK;
}
