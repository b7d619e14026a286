/* saga.c - what the tests of whole sagas share */
#include <kedge/backend.h>

#include "saga.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct kedge_error err;
struct kedge_store *store;
const char *store_url;

static int n_tests;
static int n_failed;
static int n_schemes; /* of the store's URL, for names of tests */

void ok(int good, const char *what)
{
    n_tests++;
    if (!good)
        n_failed++;
    printf("%sok %d - %.*s %s\n", good ? "" : "not ", n_tests, n_schemes, store_url, what);
    (void)fflush(stdout);
}

void skip(const char *what, const char *why)
{
    printf("ok %d - %.*s %s # SKIP %s\n", ++n_tests, n_schemes, store_url, what, why);
    (void)fflush(stdout);
}

void note(const char *fmt, ...)
{
    va_list ap;

    printf("# ");
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    (void)fflush(stdout);
}

void must(int rc, const char *what)
{
    if (rc == KEDGE_OK)
        return;
    printf("Bail out! %s: %s: %s\n", what, kedge_status_name(rc), rc < 0 ? err.msg : "");
    exit(99);
}

int saga_main(int argc, char **argv, const struct kedge_host *host, void (*all)(void))
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s URL...\n", argv[0]);
        return 2;
    }
    options.flags = KEDGE_STORE_CREATE;
    options.host = host;
    for (int i = 1; i < argc; i++) {
        store_url = argv[i];
        n_schemes = (int)strcspn(store_url, ":") + 1;
        must(kedge_store_open(store_url, &options, &store, &err), "open");
        all();
        kedge_store_close(store);
    }
    printf("1..%d\n", n_tests);
    return n_failed > 0;
}

bool tells(void)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    uint64_t ticket;
    void *session;
    int rc;

    must(ops->session_open(kedge_store_handle(store), &session, &err), "session");
    rc = ops->wait(session, 0, &ticket, 0, &err);
    ops->session_close(session);
    return rc != KEDGE_ERR_UNSUPPORTED;
}

/* ------------------------------------------------------------------ workers */

struct kedge_worker *worker_open(const struct kedge_reactor_def *def,
                                 const struct kedge_worker_options *options)
{
    struct kedge_worker_options o = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactors[1];
    struct kedge_reactor *reactor;
    struct kedge_worker *worker;

    if (options != NULL)
        o = *options;
    must(kedge_reactor_new(def, &reactor, &err), "reactor");
    reactors[0] = reactor;
    o.reactors = reactors;
    o.n_reactors = 1;
    must(kedge_worker_open(store, &o, &worker, &err), "worker");
    kedge_reactor_free(reactor);
    return worker;
}

struct kedge_counts worker_counts(const struct kedge_worker *worker)
{
    struct kedge_counts counts = { .struct_size = sizeof counts };

    kedge_worker_stats(worker, &counts);
    return counts;
}

static void *run_it(void *worker)
{
    must(kedge_worker_run(worker, &err), "run");
    return NULL;
}

pthread_t worker_start(struct kedge_worker *worker)
{
    pthread_t thread;

    must(pthread_create(&thread, NULL, run_it, worker), "a thread");
    return thread;
}

void worker_join(struct kedge_worker *worker, pthread_t thread)
{
    kedge_worker_stop(worker);
    (void)pthread_join(thread, NULL);
    kedge_worker_close(worker, LIVENESS);
}

/* --------------------------------------------------------------------- runs */

void run_start(const char *reactor, const char *id)
{
    struct kedge_run_start start = KEDGE_START_INIT;

    start.reactor = reactor;
    start.version = 1;
    start.id = kedge_text(id);
    must(kedge_start(store, &start, LIVENESS, &err), "start");
}

struct kedge_run_info *run_await(const char *id)
{
    struct kedge_run_info *info;

    must(kedge_run_wait(store, kedge_text(id), &info, LIVENESS, &err), "wait");
    return info;
}

struct kedge_run_info *run_drain(struct kedge_worker *worker, const char *id)
{
    struct kedge_run_info *info = NULL;
    int rc;

    do {
        must(kedge_worker_drain(worker, LIVENESS, &err), "drain");
        rc = kedge_run_wait(store, kedge_text(id), &info, A_MOMENT, &err);
    } while (rc == KEDGE_QUIET);
    must(rc, "wait");
    return info;
}

struct kedge_run_info *run_alone(const struct kedge_reactor_def *def)
{
    struct kedge_worker *worker = worker_open(def, NULL);
    struct kedge_run_info *info;

    run_start(def->name, def->name);
    info = run_drain(worker, def->name);
    kedge_worker_close(worker, LIVENESS);
    return info;
}

bool is(struct kedge_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) &&
           (bytes.len == 0 || memcmp(bytes.data, text, bytes.len) == 0);
}

void nap(void)
{
    const struct timespec tick = { 0, 1000000 };

    (void)nanosleep(&tick, NULL);
}

pid_t spawn(const char *mode, const char *word)
{
    char self[] = "/proc/self/exe";
    char texts[3][512];
    char *args[] = { self, texts[0], texts[1], texts[2], NULL };
    pid_t parent = getpid();
    pid_t pid;

    (void)snprintf(texts[0], sizeof texts[0], "%s", mode);
    (void)snprintf(texts[1], sizeof texts[1], "%s", store_url);
    (void)snprintf(texts[2], sizeof texts[2], "%s", word);
    pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        (void)execv(self, args);
    _exit(99);
}

bool await_count(atomic_int *flag, int n)
{
    for (int64_t waited = 0; waited < LIVENESS; waited += 1000) {
        if (atomic_load(flag) >= n)
            return true;
        nap();
    }
    return false;
}

const struct kedge_step_def *chain(size_t n, kedge_step_fn *run, uint32_t flags)
{
    static char names[CHAIN_MOST][32];
    static const char *after[CHAIN_MOST][2];
    static struct kedge_step_def steps[CHAIN_MOST];

    memset(steps, 0, sizeof steps);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(names[i], sizeof names[i], "s%zu", i);
        steps[i] = (struct kedge_step_def){ .name = names[i], .run = run, .flags = flags };
        if (i > 0) {
            after[i][0] = names[i - 1];
            steps[i].after = after[i];
        }
    }
    return steps;
}
