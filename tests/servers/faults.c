/*
 * faults.c - what an operation answers when its connection fails, at every point; speaks TAP
 *
 *	./faults [--case OPERATION]... [--long] [--jobs N] [--strike COMMAND] BACKEND URL TARGET
 *		PROXIED-URL
 *
 * URL reaches the server at TARGET ("tcp:ADDRESS:PORT", "unix:PATH") directly, PROXIED-URL through
 * the proxy: {proxy} in it is the proxy's port, or the directory of its socket, which is called as
 * that of TARGET.
 *
 * For each operation and each harm (proxy.h) the N-th request, reply or byte is harmed, with
 * N = 1, 2, ... until a call comes through unharmed.  Then
 *
 *   - the answer is OK, UNAVAILABLE or, if it writes, UNKNOWN, and comes before the deadline or
 *     just after;
 *   - OK means that it took place, UNAVAILABLE that nothing did, UNKNOWN all or nothing;
 *   - the next call gets its own answer;
 *   - sent again the same request is answered OK, as the first time, and has taken place once;
 *   - a request that arrives after all that changes nothing.
 *
 * With --strike COMMAND nothing is harmed by the proxy ({proxy} may be missing); COMMAND, which
 *runs all the while, does what it can to the connections of PROXIED-URL, at moments that nobody
 *chooses.
 *
 * An operation has a process, a proxy and a namespace of its own.  SIGPIPE is as the system has it.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kedge/store.h>

#include "../support/proxy.h"
#include "conform/stage.h"

#define PATIENT SEC(10)  /* for what should be answered at once */
#define BRIEF   MS(150)  /* for what nobody will answer */
#define MARGIN  MS(1000) /* of a busy machine */
/* What looks at everything asks more often each time; its last questions are like the first. */
#define EXCHANGES_MOST 16u
#define TRIES          (strike != NULL ? 1000 : 5)

static const struct kedge_backend_ops *ops;
static const char *backend;
static const char *url;
static const char *target;
static const char *proxied_url;
static bool take_long;
static const char *strike;

static struct proxy proxy;
static struct world direct;
static struct world through;
static struct stage stage;
static int answers[4]; /* OK, UNAVAILABLE, UNKNOWN, all */
static int64_t slowest;

/* One way to fail. */
struct harm {
    const char *event;
    const char *harm;
    bool cold;   /* there is no connection at first */
    bool silent; /* nothing comes: the deadline decides */
    bool bytes;  /* counts bytes */
    bool rare;   /* in long runs only */
};
static const struct harm harms[] = {
    { "request", "reset", .cold = false },
    { "request", "close", .cold = false },
    { "reply", "reset", .cold = false },
    { "reply", "close", .cold = false },
    { "request", "hole", .silent = true },
    { "request", "hold", .silent = true },
    { "reply", "hold", .silent = true },
    { "up", "reset", .bytes = true },
    { "down", "reset", .bytes = true },
    { "down", "hold", .silent = true, .bytes = true },
    { "down", "close", .bytes = true, .rare = true },
    { "up", "close", .bytes = true, .rare = true },
    { "up", "hold", .silent = true, .bytes = true, .rare = true },
    { "reply", "hole", .silent = true, .rare = true },
    { "connect", "reset", .cold = true },
    { "connect", "hole", .cold = true, .silent = true },
    { "request", "reset", .cold = true },
    { "reply", "close", .cold = true },
    { "request", "hole", .cold = true, .silent = true },
    { "reply", "hold", .cold = true, .silent = true },
};

/* ---------------------------------------------------------------- one point */

static bool is_allowed(const struct stage_op *op, int rc)
{
    return rc == KEDGE_OK || rc == KEDGE_ERR_UNAVAILABLE ||
           (rc == KEDGE_ERR_UNKNOWN && (op->flags & OP_READS) == 0);
}

/* A cell that says the number of the stage: an answer meant for somebody else is not that. */
static void canary(const char *when)
{
    struct world *w = &through;
    struct kedge_cell cell = { .version = 0 };
    char want[32];
    int rc = KEDGE_ERR_UNAVAILABLE;

    context("the next call %s", when);
    for (int i = 0; i < TRIES && rc == KEDGE_ERR_UNAVAILABLE; i++)
        rc = w->ops->cell_get(w->session, str("canary"), &cell, PATIENT, &w->err);
    expect_rc(rc, KEDGE_OK);
    (void)snprintf(want, sizeof want, "canary of %d", stage.number);
    expect_bytes(cell.value, str(want));
    kedge_mem_free(w->host, cell.mem);
}

/* Connected, and with nothing in the way; or with no connection. */
static void canary_begin(void)
{
    char text[32];

    (void)snprintf(text, sizeof text, "canary of %d", stage.number);
    cell_put(&direct, str("canary"), text);
}

static int timed_call(const struct stage_op *op, const char *what)
{
    int64_t began = real_us();
    int rc = op->call(&stage);
    int64_t took = real_us() - began;

    if (took > stage.patience + MARGIN)
        fail_case(__FILE__, __LINE__, "%s took %" PRId64 " ms with %" PRId64 " ms to go (%s)", what,
                  took / 1000, stage.patience / 1000, status_name(rc));
    if (took - stage.patience > slowest)
        slowest = took - stage.patience;
    return rc;
}

/* Send it again until it is answered. */
static void resend(const struct stage_op *op)
{
    int rc = KEDGE_ERR_UNAVAILABLE;

    stage.patience = PATIENT;
    for (int i = 0; i < TRIES; i++) {
        rc = timed_call(op, "sent again, it");
        if (rc == KEDGE_OK || rc == op->again)
            return;
        if (!is_allowed(op, rc))
            break;
    }
    fail_case(__FILE__, __LINE__, "sent again, it is answered %s: %s", status_name(rc),
              through.err.msg);
}

/* What was held arrives, and is over. */
static void late(const struct picture *b)
{
    struct picture c;
    struct proxy_counts n = proxy_count(&proxy);
    int64_t until = real_us() + MS(500);

    context("a late arrival");
    proxy_say(&proxy, "go");
    /* Nobody is at its other end any more: it goes when the server has had it all.  Except where it
       was one that has nothing to do with this call, and goes on. */
    while (n.open > 1 && real_us() < until) {
        uint64_t open = proxy_count(&proxy).open;

        if (open < n.open)
            break;
        pause_us(MS(1));
    }
    picture_take(&stage, &c);
    if (!picture_same(b, &c)) {
        picture_differ(b, &c);
        fail_case(__FILE__, __LINE__, "a request that arrives late changes something");
    }
    picture_free(&c);
}

/* Leases that a point has made would all be looked after until the end. */
static void let_go(void)
{
    for (size_t i = 0; i < stage.n_made; i++)
        (void)do_revoke(&through, stage.made[i]);
}

/* Answers false when nothing was harmed: N is past the last point. */
static bool point(const struct stage_op *op, const struct harm *h, uint64_t n)
{
    struct picture before, after, done;
    uint64_t fired;
    bool harmed;
    int rc;

    context("preparing");
    stage_begin(&stage, op, &direct, &through, PATIENT);
    canary_begin();
    picture_take(&stage, &before);
    canary("before");
    if (h->cold)
        proxy_say(&proxy, "reset");
    fired = proxy_count(&proxy).fired;
    proxy_say(&proxy, "at %s %" PRIu64 " %s", h->event, n, h->harm);
    context("%s%s %" PRIu64 " %s", h->cold ? "cold, " : "", h->event, n, h->harm);
    stage.patience = h->silent ? BRIEF : PATIENT;
    rc = timed_call(op, "it");
    harmed = proxy_count(&proxy).fired != fired;
    if (!harmed)
        proxy_say(&proxy, "pass");
    answers[rc == KEDGE_OK ? 0 : rc == KEDGE_ERR_UNAVAILABLE ? 1 : 2]++;
    if (!is_allowed(op, rc))
        fail_case(__FILE__, __LINE__, "it is answered %s%s%s", status_name(rc), rc < 0 ? ": " : "",
                  rc < 0 ? through.err.msg : "");
    if (!harmed && rc != KEDGE_OK && !h->cold && !h->silent)
        fail_case(__FILE__, __LINE__, "nothing was harmed, but it is answered %s: %s",
                  status_name(rc), through.err.msg);
    picture_settled(&stage, &after);
    canary("after");
    context("%s%s %" PRIu64 " %s, %s", h->cold ? "cold, " : "", h->event, n, h->harm,
            status_name(rc));
    resend(op);
    picture_take(&stage, &done);
    stage_judge(op, rc, &before, &after, &done);
    if (op->check != NULL)
        op->check(&stage);
    if (harmed && strcmp(h->harm, "hold") == 0 && op->check != NULL && !(op->flags & OP_READS))
        late(&done);
    proxy_say(&proxy, "pass");
    let_go();
    picture_free(&before);
    picture_free(&after);
    picture_free(&done);
    return harmed;
}

/* The next byte to be looked at: each one in long runs, else fewer and fewer. */
static uint64_t next_byte(const struct harm *h, uint64_t n)
{
    uint64_t step = h->silent ? 3 * n + 5 : n / (n < 2000 ? 8 : 1) + 1;

    if (take_long && !h->silent)
        step = n < 2000 ? 1 : n / 100;
    if (take_long && h->silent)
        step = n / 16 + 1;
    return n + step;
}

static int all_points(const struct stage_op *op)
{
    int points = 0;

    for (size_t i = 0; i < ARRAY_LEN(harms); i++) {
        const struct harm *h = &harms[i];
        uint64_t n = 1;

        if (h->rare && !take_long)
            continue;
        /* What opens a store has no deadline of its caller's. */
        if (h->silent && op->flags & OP_READS && strcmp(op->name, "open") == 0)
            continue;
        while ((h->bytes || n <= EXCHANGES_MOST) && point(op, h, n)) {
            points++;
            n = h->bytes ? next_byte(h, n) : n + 1;
        }
    }
    return points;
}

/* In small pieces everything is as ever; and nothing goes when nobody listens. */
static void slices(const struct stage_op *op)
{
    context("byte by byte");
    stage_begin(&stage, op, &direct, &through, PATIENT);
    canary_begin();
    proxy_say(&proxy, "slice %d", strcmp(op->name, "append-large") == 0 ? 997 : 1);
    check_rc(__FILE__, __LINE__, "byte by byte", &through, op->call(&stage), KEDGE_OK);
    if (op->check != NULL)
        op->check(&stage);
    proxy_say(&proxy, "pass");
}

static void refusal(const struct stage_op *op)
{
    struct picture before, after;
    int rc;

    context("nobody listens");
    stage_begin(&stage, op, &direct, &through, PATIENT);
    canary_begin();
    picture_take(&stage, &before);
    proxy_say(&proxy, "refuse");
    proxy_say(&proxy, "reset");
    stage.patience = BRIEF;
    rc = timed_call(op, "it");
    if (rc != KEDGE_ERR_UNKNOWN || op->flags & OP_READS)
        check_rc(__FILE__, __LINE__, "nobody listens", &through, rc, KEDGE_ERR_UNAVAILABLE);
    rc = timed_call(op, "it, again,");
    check_rc(__FILE__, __LINE__, "nobody listens, again", &through, rc, KEDGE_ERR_UNAVAILABLE);
    picture_take(&stage, &after);
    if (!picture_same(&before, &after))
        fail_case(__FILE__, __LINE__, "nobody listened, but something has changed");
    proxy_say(&proxy, "pass");
    canary("after");
    resend(op);
    if (op->check != NULL)
        op->check(&stage);
    picture_free(&before);
    picture_free(&after);
}

/* One call among many, whatever happens to it.  Answers whether something did. */
static bool struck(const struct stage_op *op)
{
    struct picture before, after, done;
    int rc;

    context("preparing");
    stage_begin(&stage, op, &direct, &through, PATIENT);
    canary_begin();
    picture_take(&stage, &before);
    context("struck");
    rc = timed_call(op, "it");
    answers[rc == KEDGE_OK ? 0 : rc == KEDGE_ERR_UNAVAILABLE ? 1 : 2]++;
    if (!is_allowed(op, rc))
        fail_case(__FILE__, __LINE__, "it is answered %s%s%s", status_name(rc), rc < 0 ? ": " : "",
                  rc < 0 ? through.err.msg : "");
    context("struck, %s", status_name(rc));
    picture_settled(&stage, &after);
    resend(op);
    picture_take(&stage, &done);
    stage_judge(op, rc, &before, &after, &done);
    if (op->check != NULL)
        op->check(&stage);
    canary("after");
    picture_free(&before);
    picture_free(&after);
    picture_free(&done);
    return rc != KEDGE_OK;
}

static int all_strikes(const struct stage_op *op)
{
    int64_t until = real_us() + (take_long ? SEC(10) : SEC(1));
    int points = 0;
    pid_t pid = fork();

    if (pid == 0) {
        (void)execl("/bin/sh", "sh", "-c", strike, (char *)NULL);
        _exit(127);
    }
    while (real_us() < until)
        points += struck(op);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return points;
}

/* --------------------------------------------------------- one operation */

static size_t open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    while (readdir(dir) != NULL)
        n++;
    (void)closedir(dir);
    return n;
}

static void proxy_open(const char *tag, char *place, size_t size)
{
    char listen[200];
    const char *path = target + strlen("unix:");

    if (strncmp(target, "unix:", 5) != 0) {
        proxy_start(&proxy, "tcp:127.0.0.1:0", target);
        (void)snprintf(place, size, "%d", proxy.port);
        return;
    }
    /* Beside the program's own files: the name of a socket must be short. */
    (void)snprintf(place, size, "/tmp/kedge-%s.%d", tag, (int)getpid());
    if (mkdir(place, 0700) != 0)
        fail_case(__FILE__, __LINE__, "%s: %s", place, strerror(errno));
    (void)snprintf(listen, sizeof listen, "unix:%s/%s", place, strrchr(path, '/') + 1);
    proxy_start(&proxy, listen, target);
}

/* A URL without {proxy} goes past it: that shows whether the operations themselves are right. */
static void proxied(char *out, size_t size, const char *place)
{
    const char *hole = strstr(proxied_url, "{proxy}");

    if (hole == NULL)
        (void)snprintf(out, size, "%s", proxied_url);
    else
        (void)snprintf(out, size, "%.*s%s%s", (int)(hole - proxied_url), proxied_url, place,
                       hole + strlen("{proxy}"));
}

static _Noreturn void run_op(const struct stage_op *op)
{
    char place[64];
    char through_url[1024];
    char tag[64];
    size_t files;
    int points;

    (void)signal(SIGPIPE, SIG_DFL);
    (void)snprintf(tag, sizeof tag, "faults-%s", op->name);
    context("opening");
    proxy_open(op->name, place, sizeof place);
    proxied(through_url, sizeof through_url, place);
    world_open(&direct, backend, ops, url, tag, 1);
    world_open(&through, backend, ops, through_url, tag, 2);
    clock_follow();
    stage.lease = lease_make(&direct, SEC(7200));
    if (op->there != NULL && !op->there(&through))
        _exit(77);
    if (strike == NULL)
        (void)point(op, &harms[0], 1);
    files = open_files();
    if (strike == NULL)
        slices(op);
    points = strike != NULL ? all_strikes(op) : all_points(op);
    if (strike == NULL && strstr(proxied_url, "{proxy}") != NULL) {
        refusal(op);
        context("afterwards");
        expect(points > 0);
        if (open_files() > files + 2)
            fail_case(__FILE__, __LINE__, "%zu files are open, %zu were", open_files(), files);
    }
    through.ops->session_close(through.session);
    through.ops->store_close(through.store);
    world_close(&direct);
    proxy_stop(&proxy);
    if (strncmp(target, "unix:", 5) == 0)
        (void)rmdir(place);
    note("%d points: %d OK, %d UNAVAILABLE, %d UNKNOWN; at most %" PRId64 " ms past the deadline",
         points, answers[0], answers[1], answers[2], slowest / 1000);
    (void)fflush(stdout);
    _exit(0);
}

/* --------------------------------------------------------------------- TAP */

struct running {
    const struct stage_op *op;
    pid_t pid;
    FILE *out;
    int status;
    bool done;
};

static struct running all[64];
static size_t n_all;

static void start(struct running *r)
{
    r->out = tmpfile();
    (void)fflush(NULL);
    r->pid = r->out == NULL ? -1 : fork();
    if (r->pid < 0) {
        perror("faults");
        exit(1);
    }
    if (r->pid == 0) {
        if (setpgid(0, 0) != 0 || dup2(fileno(r->out), STDOUT_FILENO) < 0 ||
            dup2(fileno(r->out), STDERR_FILENO) < 0)
            _exit(1);
        alarm(take_long ? 3600 : 300);
        run_op(r->op);
    }
}

static void await_one(void)
{
    int status;
    pid_t pid;

    do
        pid = waitpid(-1, &status, 0);
    while (pid < 0 && errno == EINTR);
    for (size_t i = 0; i < n_all; i++)
        if (all[i].pid == pid && !all[i].done) {
            (void)kill(-pid, SIGKILL);
            all[i].status = status;
            all[i].done = true;
        }
}

static int report(size_t number, struct running *r)
{
    bool skipped = WIFEXITED(r->status) && WEXITSTATUS(r->status) == 77;
    bool passed = skipped || (WIFEXITED(r->status) && WEXITSTATUS(r->status) == 0);
    char line[4096];

    rewind(r->out);
    while (fgets(line, sizeof line, r->out) != NULL)
        printf("# %s: %s", r->op->name, line);
    (void)fclose(r->out);
    if (WIFSIGNALED(r->status))
        printf("# %s: killed by signal %d\n", r->op->name, WTERMSIG(r->status));
    printf("%sok %zu - %s: faults at every point of %s%s\n", passed ? "" : "not ", number, backend,
           r->op->name, skipped ? " # SKIP this backend does not have it" : "");
    (void)fflush(stdout);
    return passed ? 0 : 1;
}

static int run_all(size_t jobs)
{
    size_t started = 0, reported = 0, running = 0;
    int failed = 0;

    printf("1..%zu\n", n_all);
    while (reported < n_all) {
        while (started < n_all && running < jobs) {
            start(&all[started++]);
            running++;
        }
        await_one();
        running--;
        while (reported < n_all && all[reported].done) {
            failed += report(reported + 1, &all[reported]);
            reported++;
        }
    }
    return failed == 0 ? 0 : 1;
}

static bool wanted(const char *name, char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return n == 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "case", required_argument, NULL, 'c' },
        { "jobs", required_argument, NULL, 'j' },
        { "long", no_argument, NULL, 'l' },
        { "strike", required_argument, NULL, 's' },
        { NULL, 0, NULL, 0 },
    };
    char *names[64];
    size_t n_names = 0;
    unsigned long jobs = 8; /* they wait most of the time */
    struct kedge_error err = { 0 };
    int opt;

    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == 'c' && n_names < ARRAY_LEN(names))
            names[n_names++] = optarg;
        else if (opt == 'j')
            jobs = strtoul(optarg, NULL, 10);
        else if (opt == 'l')
            take_long = true;
        else if (opt == 's')
            strike = optarg;
        else
            argc = 0;
    }
    if (argc - optind != 4 || jobs == 0) {
        (void)fputs("usage: faults [--case OPERATION]... [--long] [--jobs N] [--strike COMMAND] "
                    "BACKEND URL TARGET PROXIED-URL\n",
                    stderr);
        return 2;
    }
    backend = argv[optind];
    url = argv[optind + 1];
    target = argv[optind + 2];
    proxied_url = argv[optind + 3];
    if (kedge_backend_find(backend, &ops, &err) != KEDGE_OK) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    for (size_t i = 0; i < stage_n_ops; i++)
        if (wanted(stage_ops[i].name, names, n_names))
            all[n_all++].op = &stage_ops[i];
    if (n_all == 0) {
        puts("Bail out! no operation of that name");
        return 1;
    }
    return run_all(jobs);
}
