/*
 * frozen.c - a worker process is stopped inside a step until its lease is dead, and wakes up
 *
 * While it is stopped another worker takes its runs over, and has recorded the steps it was in, or
 * is in them itself; or nobody does (the test buries its lease).  The steps it is in end before it
 * can know that it is dead, or after.  It has fewer threads than runs, so that a step is waiting
 *for one, too.
 *
 * Taken over: nothing it says is written any more, no further step of those runs starts on it, it
 * says once that it was dead and, for each run, that it lost it; new runs are carried by it.  Not
 * taken over: it goes on as if nothing had been, under a new lease and new fences: no step runs
 * again, no recovery is charged, although it looks for runs of the dead all the while.  Speaks TAP.
 *
 *	./frozen URL DIR
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kedge/backend.h>

#include "effects.h"

#define TTL_US (2 * SECONDS)

enum { STEPS = 5, RUNS = 3, THREADS = 2, LINES_MOST = 4096, ANY = -1 };

/* ------------------------------------------------------------------- steps */

static int gate;       /* readable when it is open */
static int gated_step; /* waits for it */

static int run_it(struct kedge_step *step, void *user)
{
    struct line line = effects_of(step, LINE_BEGIN);
    struct pollfd at = { .fd = gate, .events = POLLIN };
    char value[128];

    (void)user;
    effects_write(line);
    while (line.step == gated_step && poll(&at, 1, -1) <= 0)
        ;
    line.kind = LINE_END;
    effects_write(line);
    (void)effects_value(&line, value, sizeof value);
    return kedge_ok(step, value, strlen(value));
}

static struct kedge_reactor *make_reactor(void)
{
    static const char *const names[STEPS] = { "s0", "s1", "s2", "s3", "s4" };
    const char *after[STEPS][2] = { { NULL } };
    struct kedge_step_def steps[STEPS];
    struct kedge_reactor_def def;
    struct kedge_reactor *reactor;

    memset(steps, 0, sizeof steps);
    for (int i = 0; i < STEPS; i++) {
        after[i][0] = i > 0 ? names[i - 1] : NULL;
        steps[i].name = names[i];
        steps[i].run = run_it;
        steps[i].flags = KEDGE_STEP_POOL;
        steps[i].after = after[i];
    }
    def = (struct kedge_reactor_def)KEDGE_REACTOR_DEF_INIT("frozen", 1, steps);
    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    return reactor;
}

static void be_worker(char **args)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactor = make_reactor();

    effects_open(args[1], number_of(args[2], INT_MAX));
    gate = number_of(args[3], INT_MAX);
    gated_step = number_of(args[4], STEPS);
    options.pool_threads = (uint32_t)number_of(args[5], 100);
    options.lease_ttl_us = TTL_US;
    effects_serve(args[0], &reactor, 1, &options);
}

/* ---------------------------------------------------------------- the test */

struct process {
    int worker;
    pid_t pid;
    int gate; /* closed: open */
};

static const char *url;
static char log_path[4096];
static struct kedge_store *store;
static struct line lines[LINES_MOST];
static int n_lines;
static int n_workers;
static int base; /* number of this scenario's first run */
static int n_tests;
static int n_failed;

static void ok(int good, const char *scenario, const char *what)
{
    printf("%sok %d - %s: %s\n", good ? "" : "not ", ++n_tests, scenario, what);
    n_failed += !good;
}

static int matches(const struct line *line, enum line_kind kind, int worker, int run, int step)
{
    return line->kind == (int32_t)kind && (worker == ANY || line->worker == worker) &&
           (run == ANY || line->run == run) && (step == ANY || line->step == step);
}

/* How many lines are like this, from line FROM on? */
static int count(int from, enum line_kind kind, int worker, int run, int step)
{
    int n = 0;

    while (n_lines < LINES_MOST && effects_read(&lines[n_lines]))
        n_lines++;
    for (int i = from; i < n_lines; i++)
        n += matches(&lines[i], kind, worker, run, step);
    return n;
}

static void await(int n, enum line_kind kind, int worker, int run, int step)
{
    int64_t until = now_us() + 60 * SECONDS;

    while (count(0, kind, worker, run, step) < n) {
        if (now_us() > until)
            bail("%d of %d lines '%c' of worker %d, run %d, step %d",
                 count(0, kind, worker, run, step), n, (char)kind, worker, run, step);
        nap_us(1000);
    }
}

static const struct line *the_line(enum line_kind kind, int worker, int run, int step)
{
    for (int i = 0; i < n_lines; i++)
        if (matches(&lines[i], kind, worker, run, step))
            return &lines[i];
    bail("no line '%c' of worker %d, run %d, step %d", (char)kind, worker, run, step);
}

static struct process spawn(int step, int threads)
{
    static char flag[] = "--worker";
    char n[4][16];
    char *args[] = { NULL, flag, (char *)(uintptr_t)url, log_path, n[0], n[1], n[2], n[3], NULL };
    struct process p = { .worker = ++n_workers };
    int ends[2];

    if (pipe(ends) != 0 || fcntl(ends[1], F_SETFD, FD_CLOEXEC) != 0)
        bail("no pipe");
    (void)snprintf(n[0], sizeof n[0], "%d", p.worker);
    (void)snprintf(n[1], sizeof n[1], "%d", ends[0]);
    (void)snprintf(n[2], sizeof n[2], "%d", step);
    (void)snprintf(n[3], sizeof n[3], "%d", threads);
    p.pid = effects_spawn(args);
    (void)close(ends[0]);
    p.gate = ends[1];
    await(1, LINE_READY, p.worker, ANY, ANY);
    return p;
}

static void end(const struct process *p)
{
    int status;

    (void)kill(p->pid, SIGTERM);
    if (waitpid(p->pid, &status, 0) != p->pid || status != 0)
        bail("worker %d does not end well", p->worker);
}

static const char *id_of(int run, char id[24])
{
    (void)snprintf(id, 24, "run-%d", run);
    return id;
}

static void start_run(int run)
{
    struct kedge_run_start start = KEDGE_START_INIT;
    char id[24];

    start.reactor = "frozen";
    start.version = 1;
    start.id = kedge_text(id_of(run, id));
    must(kedge_start(store, &start, 60 * SECONDS, &err), "start");
}

static int completes(int run)
{
    struct kedge_run_info *info;
    char id[24];
    int completed;

    must(kedge_run_wait(store, kedge_text(id_of(run, id)), &info, 60 * SECONDS, &err), "wait");
    completed = info->status == KEDGE_COMPLETED;
    kedge_run_info_free(info);
    return completed;
}

static uint64_t records_of(int run, uint64_t *fence)
{
    struct kedge_run_info *info;
    uint64_t n;
    char id[24];

    must(kedge_run_get(store, kedge_text(id_of(run, id)), 0, &info, 60 * SECONDS, &err), "get");
    n = info->records;
    *fence = info->fence;
    kedge_run_info_free(info);
    return n;
}

/* Stopped, and not inside a write. */
static void freeze(const struct process *p)
{
    int status;

    for (int i = 0; i < 1000; i++) {
        (void)kill(p->pid, SIGSTOP);
        if (waitpid(p->pid, &status, WUNTRACED) != p->pid || !WIFSTOPPED(status))
            bail("worker %d has ended by itself", p->worker);
        if (effects_writable(store))
            return;
        (void)kill(p->pid, SIGCONT);
    }
    bail("every stop hits a write");
}

static void *session_of(void)
{
    void *session;

    must(kedge_store_ops(store)->session_open(kedge_store_handle(store), &session, &err),
         "session");
    return session;
}

/* As soon as it is permitted, and that is at its deadline. */
static void bury(const struct process *p)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_id128 lease;
    void *session = session_of();
    int64_t until = now_us() + 60 * SECONDS;
    int rc;

    if (effects_lease_dead(store, p->worker, &lease))
        bail("worker %d is dead already", p->worker);
    while ((rc = ops->lease_bury(session, &lease, SECONDS, &err)) == KEDGE_HELD) {
        if (now_us() > until)
            bail("the lease of worker %d does not lapse", p->worker);
        nap_us(10000);
    }
    must(rc, "bury");
    ops->session_close(session);
}

/* A worker that never was: when its lease, which lapses at once, is buried, somebody has looked. */
static void await_look(const struct process *p)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_lease_new in = { .ttl_us = ops->limits->ttl_min_us };
    struct kedge_lease_state state;
    void *session = session_of();
    int64_t until = now_us() + 60 * SECONDS;
    int n = ++n_workers;
    char owner[24];

    (void)snprintf(owner, sizeof owner, "w%d@nowhere", n);
    in.owner = kedge_text(owner);
    if (getrandom(&in.id, sizeof in.id, 0) != (ssize_t)sizeof in.id ||
        getrandom(&in.request, sizeof in.request, 0) != (ssize_t)sizeof in.request)
        bail("no randomness");
    must(ops->lease_grant(session, &in, &state, 60 * SECONDS, &err), "grant");
    while (!effects_lease_dead(store, n, NULL)) {
        if (now_us() > until)
            bail("worker %d does not look after others", p->worker);
        nap_us(1000);
    }
    ops->session_close(session);
}

/* A worker with all its threads in step 1, and one more run than threads; stopped. */
static struct process freeze_one(void)
{
    struct process p = spawn(1, THREADS);

    for (int i = 0; i < RUNS; i++)
        start_run(base + i);
    for (int i = 0; i < RUNS; i++)
        await(1, LINE_TAKEN, p.worker, base + i, ANY);
    await(THREADS, LINE_BEGIN, p.worker, ANY, 1);
    return p;
}

static void wake(const struct process *p, int knows)
{
    if (!knows)
        (void)close(p->gate);
    (void)kill(p->pid, SIGCONT);
    await(1, LINE_LEASE, p->worker, ANY, ANY);
    if (knows) {
        await_look(p);
        await_look(p); /* the second one began after the first had seen everything */
        (void)close(p->gate);
    }
}

/* Buried N times: says so as often. */
static int told(const struct process *p, int buried)
{
    return buried > 0 && count(0, LINE_LEASE, p->worker, ANY, ANY) == buried &&
           count(0, LINE_SAID, p->worker, ANY, ANY) == buried;
}

static int burials_of(const struct process *p)
{
    int n = 0;

    (void)count(0, LINE_BURIED, ANY, ANY, ANY);
    for (int i = 0; i < n_lines; i++)
        n += lines[i].kind == LINE_BURIED && lines[i].other == p->worker;
    return n;
}

/* The other worker has recorded what this one is in (it waits in step 3), or not even that (in 1).
 */
static void taken_over(const char *name, int knows, int other_step)
{
    struct process a = freeze_one();
    struct process b = spawn(other_step, 2 * RUNS);
    uint64_t records[RUNS];
    uint64_t fences[RUNS];
    int refused = 1;
    int doubts = 1;
    int good = 1;
    int woken;

    freeze(&a);
    for (int i = 0; i < RUNS; i++)
        await(1, LINE_BEGIN, b.worker, base + i, other_step);
    for (int i = 0; i < RUNS; i++)
        records[i] = records_of(base + i, &fences[i]);
    woken = n_lines;
    wake(&a, knows);
    for (int i = 0; i < RUNS; i++)
        await(1, LINE_LOST, a.worker, base + i, ANY);
    for (int i = 0; i < RUNS; i++) {
        uint64_t fence;

        refused &= records_of(base + i, &fence) == records[i] && fence == fences[i];
        if (count(0, LINE_BEGIN, a.worker, base + i, 1) > 0)
            doubts &= the_line(LINE_BEGIN, b.worker, base + i, 1)->doubt;
        good &= count(0, LINE_LOST, a.worker, base + i, ANY) == 1;
    }
    ok(refused, name, "nothing it says is written any more");
    ok(good, name, "it says of each run once that it is lost");
    ok(count(woken, LINE_BEGIN, a.worker, ANY, ANY) == 0, name, "no step of theirs starts on it");
    ok(doubts, name, "what it may have done is in doubt elsewhere");
    (void)close(b.gate);
    good = 1;
    for (int i = 0; i < RUNS; i++)
        good &= completes(base + i) && count(0, LINE_BEGIN, b.worker, base + i, 4) == 1;
    ok(good, name, "the runs end where they are");
    end(&b);
    good = 1;
    for (int i = RUNS; i < 2 * RUNS; i++)
        start_run(base + i);
    for (int i = RUNS; i < 2 * RUNS; i++)
        good &= completes(base + i) && count(0, LINE_END, a.worker, base + i, ANY) == STEPS;
    ok(good, name, "it carries new runs");
    end(&a);
    ok(told(&a, burials_of(&a)), name, "it says once that it was declared dead");
}

static void left_alone(const char *name, int knows)
{
    struct process a = freeze_one();
    int once = 1;
    int higher = 1;
    int doubts = 0;
    int good = 1;

    freeze(&a);
    bury(&a);
    wake(&a, knows);
    for (int i = 0; i < RUNS; i++)
        good &= completes(base + i);
    end(&a);
    for (int r = base; r < base + RUNS; r++) {
        (void)count(0, LINE_BEGIN, ANY, ANY, ANY);
        higher &= the_line(LINE_BEGIN, a.worker, r, STEPS - 1)->fence >
                  the_line(LINE_TAKEN, a.worker, r, ANY)->fence;
        for (int s = 0; s < STEPS; s++) {
            once &= count(0, LINE_BEGIN, ANY, r, s) == 1;
            doubts += the_line(LINE_BEGIN, a.worker, r, s)->doubt;
        }
        good &= count(0, LINE_TAKEN, ANY, r, ANY) == 1 && count(0, LINE_LOST, ANY, r, ANY) == 0;
    }
    ok(good, name, "its runs go on with it to their end");
    ok(once && doubts == 0, name, "no step runs again, none is in doubt");
    ok(higher, name, "under a new fence");
    ok(count(0, LINE_RECOVERED, a.worker, ANY, ANY) == 0, name, "no recovery is charged");
    ok(told(&a, 1 + burials_of(&a)), name, "it says once that it was declared dead");
}

int main(int argc, char **argv)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    if (argc == 8 && strcmp(argv[1], "--worker") == 0)
        be_worker(argv + 2);
    if (argc != 3) {
        (void)fprintf(stderr, "usage: frozen URL DIR\n");
        return 2;
    }
    url = argv[1];
    (void)snprintf(log_path, sizeof log_path, "%s/effects", argv[2]);
    effects_open(log_path, 0);
    options.flags = KEDGE_STORE_CREATE;
    must(kedge_store_open(url, &options, &store, &err), "open");
    if ((kedge_store_ops(store)->caps & KEDGE_CAP_SHARED) == 0) {
        printf("1..0 # SKIP processes cannot share this store\n");
        return 0;
    }
    taken_over("taken over, steps end late", 1, 3);
    base += 2 * RUNS;
    taken_over("taken over, steps end at once", 0, 3);
    base += 2 * RUNS;
    taken_over("taken over, nothing recorded since, steps end late", 1, 1);
    base += 2 * RUNS;
    taken_over("taken over, nothing recorded since, steps end at once", 0, 1);
    base += 2 * RUNS;
    left_alone("left alone, steps end late", 1);
    base += 2 * RUNS;
    left_alone("left alone, steps end at once", 0);
    printf("1..%d\n", n_tests);
    kedge_store_close(store);
    return n_failed != 0;
}
