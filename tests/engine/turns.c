/*
 * turns.c - workers and time: foreign loops, retries nobody waits for, limits, shares, the end
 *
 *	./turns URL...
 */
#include <poll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <kedge/testing.h>

#include "tests/support/saga.h"

static const char *const after_a[] = { "a", NULL };

static int say_null(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, NULL, 0);
}

static int fail_first(struct kedge_step *step, void *user)
{
    (void)user;
    if (kedge_step_view(step)->attempt == 1)
        return kedge_fail(step, 0, "not yet");
    return kedge_ok(step, NULL, 0);
}

/* --------------------------------------------------------------- a foreign loop */

/* Poll and turn until it is QUIET; false: it hung. */
static bool loop(struct kedge_worker *worker)
{
    struct pollfd fd = { .fd = kedge_worker_fd(worker), .events = POLLIN };
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK) {
        if (poll(&fd, 1, (int)(LIVENESS / 3000)) != 1)
            return false;
        rc = kedge_worker_turn(worker, &err);
    }
    return rc == KEDGE_QUIET;
}

struct visitor {
    struct kedge_worker *worker;
    const char *reactor;
    int finished;
};

/* Another thread's: five runs, one after the other; then the end. */
static void *visit(void *arg)
{
    struct visitor *v = arg;

    for (int i = 0; i < 5; i++) {
        struct kedge_run_info *info = NULL;
        char id[64];

        (void)snprintf(id, sizeof id, "%s-%d", v->reactor, i);
        run_start(v->reactor, id);
        if (kedge_run_wait(store, kedge_text(id), &info, LIVENESS / 4, NULL) == KEDGE_OK)
            v->finished += info->status == KEDGE_COMPLETED;
        kedge_run_info_free(info);
    }
    kedge_worker_stop(v->worker);
    return NULL;
}

static void foreign_loop(const char *name, const struct kedge_step_def *steps, size_t n)
{
    struct kedge_reactor_def def = { sizeof def, name, 1, 0, steps, n, sizeof *steps, NULL, NULL };
    struct visitor v = { worker_open(&def, NULL), name, 0 };
    char what[128];
    pthread_t thread;
    bool ended;

    must(pthread_create(&thread, NULL, visit, &v), "a thread");
    ended = loop(v.worker);
    (void)pthread_join(thread, NULL);
    (void)snprintf(what, sizeof what, "%s: runs of another thread, in a loop of our own", name);
    ok(v.finished == 5, what);
    (void)snprintf(what, sizeof what, "%s: after the stop the loop is told that it is over", name);
    ok(ended, what);
    kedge_worker_close(v.worker, LIVENESS);
}

static void foreign_loops(void)
{
    struct kedge_step_def again[] = {
        { .name = "a", .run = fail_first, .retry = { .attempts = 2, .base_us = 20000 } }
    };

    foreign_loop("turn-loop", chain(6, say_null, 0), 6);
    foreign_loop("turn-pool", chain(6, say_null, KEDGE_STEP_POOL), 6);
    foreign_loop("turn-retry", again, 1);
    again[0].flags = KEDGE_STEP_POOL;
    foreign_loop("turn-pool-retry", again, 1);
}

/* With nothing to do the descriptor is quiet, and turns end. */
static void idle_loop(void)
{
    struct kedge_reactor_def def = { .name = "turn-idle" };
    struct kedge_worker *worker;
    struct pollfd fd = { .events = POLLIN };
    int turns = 0;

    def = (struct kedge_reactor_def){
        sizeof def, "turn-idle", 1, 0, chain(2, say_null, 0), 2, sizeof(struct kedge_step_def),
        NULL,       NULL
    };
    if (!tells()) {
        skip("turn-idle: an idle worker's descriptor is quiet", "its store does not tell of news");
        return;
    }
    worker = worker_open(&def, NULL);
    fd.fd = kedge_worker_fd(worker);
    while (turns < 1000 && poll(&fd, 1, 50) > 0) {
        must(kedge_worker_turn(worker, &err), "turn");
        turns++;
    }
    ok(turns > 0 && turns < 1000, "turn-idle: an idle worker's descriptor is quiet");
    kedge_worker_close(worker, LIVENESS);
}

/* -------------------------------------------------------------- another process */

/* In a process of its own: start a run, wait for it. */
static int starter(const char *url, const char *id)
{
    struct kedge_run_info *info;

    must(kedge_store_open(url, NULL, &store, &err), "open");
    run_start("turn-process", id);
    info = run_await(id);
    if (info->status != KEDGE_COMPLETED)
        return 1;
    kedge_run_info_free(info);
    kedge_store_close(store);
    return 0;
}

struct child {
    struct kedge_worker *worker;
    pid_t pid;
    int status;
};

static void *reap(void *arg)
{
    struct child *c = arg;

    (void)waitpid(c->pid, &c->status, 0);
    kedge_worker_stop(c->worker);
    return NULL;
}

static void other_process(void)
{
    struct kedge_reactor_def def = { sizeof def,
                                     "turn-process",
                                     1,
                                     0,
                                     chain(3, say_null, 0),
                                     3,
                                     sizeof(struct kedge_step_def),
                                     NULL,
                                     NULL };
    struct child c = { worker_open(&def, NULL), -1, -1 };
    pthread_t thread;
    bool ended;

    if (strncmp(store_url, "mem:", 4) == 0) {
        kedge_worker_close(c.worker, LIVENESS);
        return; /* no other process can see it */
    }
    c.pid = fork();
    if (c.pid == 0) {
        (void)execl("/proc/self/exe", "turns", "--start", store_url, "from-afar", (char *)NULL);
        _exit(127);
    }
    must(c.pid > 0 ? 0 : KEDGE_ERR_UNAVAILABLE, "fork");
    must(pthread_create(&thread, NULL, reap, &c), "a thread");
    ended = loop(c.worker);
    (void)pthread_join(thread, NULL);
    ok(c.status == 0, "turn-process: a run of another process, in a loop of our own");
    ok(ended, "turn-process: and the end");
    kedge_worker_close(c.worker, LIVENESS);
}

/* ----------------------------------------------------- timers nobody is awake for */

static atomic_int second_try;

static int a_second_try(struct kedge_step *step, void *user)
{
    (void)user;
    if (kedge_step_view(step)->attempt == 1)
        return kedge_fail(step, 0, "not yet");
    atomic_store(&second_try, 1);
    return kedge_ok(step, NULL, 0);
}

static int await_second_try(struct kedge_step *step, void *user)
{
    (void)user;
    return await_count(&second_try, 1) ? kedge_ok(step, "true", 4) : kedge_ok(step, "false", 5);
}

/* The loop sleeps without end, a pool thread makes the timer, and nobody else is awake. */
static void timers(void)
{
    const struct kedge_step_def steps[] = {
        { .name = "a",
          .run = a_second_try,
          .flags = KEDGE_STEP_POOL,
          .retry = { .attempts = 2, .base_us = 50000, .backoff = KEDGE_BACKOFF_FIXED } },
        { .name = "b", .run = await_second_try, .flags = KEDGE_STEP_POOL },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("timers", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_run_info *info;
    struct kedge_worker *worker;
    pthread_t thread;

    options.lease_ttl_us = 3600 * SECONDS;
    options.look_us = 600 * SECONDS;
    atomic_store(&second_try, 0);
    worker = worker_open(&def, &options);
    thread = worker_start(worker);
    run_start("timers", "beside");
    info = run_await("beside");
    ok(is(info->result, "true"), "a retry beside a step that runs comes in time");
    kedge_run_info_free(info);
    worker_join(worker, thread);

    def.name = "timers-alone";
    def.n_steps = 1;
    worker = worker_open(&def, &options);
    thread = worker_start(worker);
    run_start("timers-alone", "alone");
    info = run_await("alone");
    ok(info->status == KEDGE_COMPLETED, "a retry of a lone run comes in time");
    kedge_run_info_free(info);
    worker_join(worker, thread);
}

/* One thread for the pool: what the first step did is not kept back while the second runs. */
static atomic_int n_called;
static atomic_int n_ended;

static int second_awaits_first(struct kedge_step *step, void *user)
{
    const struct timespec moment = { 0, 50000000 };

    (void)user;
    if (atomic_fetch_add(&n_called, 1) == 0) {
        (void)nanosleep(&moment, NULL); /* the loop falls asleep */
        return kedge_ok(step, "true", 4);
    }
    return await_count(&n_ended, 1) ? kedge_ok(step, "true", 4) : kedge_ok(step, "false", 5);
}

static void count_ended(void *ctx, const struct kedge_event *event)
{
    (void)ctx;
    if (event->kind == KEDGE_EVENT_RUN_ENDED)
        atomic_fetch_add(&n_ended, 1);
}

static void behind(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = second_awaits_first, .flags = KEDGE_STEP_POOL }
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("behind", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_run_info *info[2];
    struct kedge_worker *worker;
    pthread_t thread;

    atomic_store(&n_called, 0);
    atomic_store(&n_ended, 0);
    options.pool_threads = 1;
    options.lease_ttl_us = 3600 * SECONDS;
    options.look_us = 600 * SECONDS; /* no keeper that happens to wake the loop */
    options.observe = count_ended;
    worker = worker_open(&def, &options);
    run_start("behind", "behind-0");
    run_start("behind", "behind-1");
    thread = worker_start(worker);
    info[0] = run_await("behind-0");
    info[1] = run_await("behind-1");
    ok(is(info[0]->result, "true") && is(info[1]->result, "true"),
       "what one run did does not wait for the step of another");
    kedge_run_info_free(info[0]);
    kedge_run_info_free(info[1]);
    worker_join(worker, thread);
}

/* ------------------------------------------------------- backing off holds nothing */

static atomic_int attempts_seen;

static int fail_twice(struct kedge_step *step, void *user)
{
    (void)user;
    atomic_store(&attempts_seen, (int)kedge_step_view(step)->attempt);
    if (kedge_step_view(step)->attempt < 3)
        return kedge_fail(step, 0, "not yet");
    return kedge_ok(step, NULL, 0);
}

static void backing_off(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a",
          .run = fail_twice,
          .flags = KEDGE_STEP_POOL,
          .retry = { .attempts = 3, .base_us = 3600 * SECONDS, .backoff = KEDGE_BACKOFF_FIXED } },
    };
    static const uint8_t nobody[16];
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("off", 1, steps);
    struct kedge_worker *worker = worker_open(&def, NULL);
    struct kedge_run_info *info;

    run_start("off", "off");
    must(kedge_worker_drain(worker, LIVENESS, &err), "drain");
    must(kedge_run_get(store, kedge_text("off"), 0, &info, LIVENESS, &err), "get");
    ok(info->place == KEDGE_PLACE_DUE && info->due > info->created + 3500 * SECONDS &&
           memcmp(info->holder, nobody, sizeof nobody) == 0,
       "a run that backs off is due later and held by nobody");
    ok(worker_counts(worker).in_flight == 0, "and in flight nowhere");
    kedge_run_info_free(info);
    kedge_worker_close(worker, LIVENESS);
}

/* By a clock that is moved by hand: another worker for each attempt, each in its time. */
static void attempts_by_hand(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a",
          .run = fail_twice,
          .flags = KEDGE_STEP_POOL,
          .retry = { .attempts = 3, .base_us = 100 * SECONDS, .backoff = KEDGE_BACKOFF_FIXED } },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("hand", 1, steps);
    struct kedge_store *saved = store;
    struct kedge_testing *testing;
    struct kedge_run_info *info;
    int good = 0;

    must(kedge_testing_open(NULL, &testing, &err), "testing");
    must(kedge_testing_store(testing, &store, &err), "store");
    run_start("hand", "hand");
    for (int i = 1; i <= 3; i++) {
        struct kedge_worker *worker = worker_open(&def, NULL);

        must(kedge_worker_drain(worker, LIVENESS, &err), "drain");
        if (i > 1) { /* too early for the second and third */
            good += worker_counts(worker).steps == 0;
            must(kedge_testing_advance(testing, 100 * SECONDS, &err), "advance");
            must(kedge_worker_drain(worker, LIVENESS, &err), "drain");
        }
        good += worker_counts(worker).steps == 1 && atomic_load(&attempts_seen) == i;
        kedge_worker_close(worker, LIVENESS);
    }
    info = run_await("hand");
    ok(good == 5 && info->status == KEDGE_COMPLETED && info->recoveries == 0,
       "by hand: attempts and their times go from worker to worker");
    kedge_run_info_free(info);
    kedge_store_close(store);
    kedge_testing_close(testing);
    store = saved;
}

/* ------------------------------------------------------------------- limits */

static atomic_int let_go;
static atomic_int inside;
static atomic_int most_inside;
static atomic_int entered;

static int hold_on(struct kedge_step *step, void *user)
{
    int now = atomic_fetch_add(&inside, 1) + 1;
    int most = atomic_load(&most_inside);

    (void)user;
    while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
        ;
    atomic_fetch_add(&entered, 1);
    (void)await_count(&let_go, 1);
    atomic_fetch_sub(&inside, 1);
    return kedge_ok(step, NULL, 0);
}

static void start_some(const char *reactor, int n)
{
    for (int i = 0; i < n; i++) {
        char id[64];

        (void)snprintf(id, sizeof id, "%s-%d", reactor, i);
        run_start(reactor, id);
    }
}

static void reset_holding(void)
{
    atomic_store(&let_go, 0);
    atomic_store(&inside, 0);
    atomic_store(&most_inside, 0);
    atomic_store(&entered, 0);
}

/* At its limit, with more runs due than it may take, a worker sleeps. */
static void in_flight(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = hold_on, .flags = KEDGE_STEP_POOL }
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("limit", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct timespec while_us = { 0, 200000000 };
    struct kedge_worker *worker;
    struct kedge_counts before;
    struct kedge_counts after;
    pthread_t thread;

    reset_holding();
    options.in_flight = 2;
    worker = worker_open(&def, &options);
    start_some("limit", 8);
    thread = worker_start(worker);
    ok(await_count(&entered, 2), "as many runs as it may have in flight are");
    before = worker_counts(worker);
    (void)nanosleep(&while_us, NULL);
    after = worker_counts(worker);
    ok(after.wake_ups - before.wake_ups < 200 && after.claims - before.claims < 50,
       "at its limit a worker sleeps");
    note("%llu wake-ups, %llu claims meanwhile",
         (unsigned long long)(after.wake_ups - before.wake_ups),
         (unsigned long long)(after.claims - before.claims));
    atomic_store(&let_go, 1);
    for (int i = 0; i < 8; i++) {
        char id[64];

        (void)snprintf(id, sizeof id, "limit-%d", i);
        kedge_run_info_free(run_await(id));
    }
    ok(atomic_load(&most_inside) == 2, "and it never has more");
    worker_join(worker, thread);
}

/* ------------------------------------------------------------------- shares */

/* Two workers that take turns: each gets its share, however early the first one came. */
static void shares_loop(void)
{
    struct kedge_reactor_def def = {
        sizeof def, "share", 1, 0, chain(2, say_null, 0), 2, sizeof(struct kedge_step_def),
        NULL,       NULL
    };
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *workers[2];
    uint64_t taken[2];

    options.claim_slice = 8;
    workers[0] = worker_open(&def, &options);
    workers[1] = worker_open(&def, &options);
    start_some("share", 100);
    do {
        for (int i = 0; i < 2; i++) {
            must(kedge_worker_turn(workers[i], &err), "turn");
            taken[i] = worker_counts(workers[i]).runs_taken;
        }
    } while (worker_counts(workers[0]).runs_ended + worker_counts(workers[1]).runs_ended < 100);
    ok(taken[0] >= 40 && taken[1] >= 40, "two workers share what is due: steps on the loop");
    note("%llu and %llu", (unsigned long long)taken[0], (unsigned long long)taken[1]);
    kedge_worker_close(workers[0], LIVENESS);
    kedge_worker_close(workers[1], LIVENESS);
}

/* All threads of the first are busy: it leaves the rest to the second, which comes late. */
static void shares_pool(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = hold_on, .flags = KEDGE_STEP_POOL }
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("share-pool", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct timespec moment = { 0, 50000000 };
    struct kedge_worker *workers[2];
    pthread_t threads[2];

    reset_holding();
    options.claim_slice = 8;
    options.pool_threads = 4;
    workers[0] = worker_open(&def, &options);
    start_some("share-pool", 100);
    threads[0] = worker_start(workers[0]);
    (void)await_count(&entered, 4);
    (void)nanosleep(&moment, NULL); /* a chance to take too much */
    workers[1] = worker_open(&def, &options);
    threads[1] = worker_start(workers[1]);
    ok(await_count(&entered, 8), "a worker whose threads are busy leaves runs to others");
    note("the first took %llu of 100", (unsigned long long)worker_counts(workers[0]).runs_taken);
    atomic_store(&let_go, 1);
    for (int i = 0; i < 100; i++) {
        char id[64];

        (void)snprintf(id, sizeof id, "share-pool-%d", i);
        kedge_run_info_free(run_await(id));
    }
    worker_join(workers[0], threads[0]);
    worker_join(workers[1], threads[1]);
}

/* --------------------------------------------------------------------- drain */

static void drain_leaves_later(void)
{
    struct kedge_reactor_def def = {
        sizeof def, "drain", 1, 0, chain(1, say_null, 0), 1, sizeof(struct kedge_step_def),
        NULL,       NULL
    };
    struct kedge_run_start start = KEDGE_START_INIT;
    struct kedge_worker *worker = worker_open(&def, NULL);
    struct kedge_run_info *info;

    start.reactor = "drain";
    start.version = 1;
    start.id = kedge_text("drain-later");
    start.delay_us = 3600 * SECONDS;
    must(kedge_start(store, &start, LIVENESS, &err), "start");
    run_start("drain", "drain-now");
    ok(kedge_worker_drain(worker, LIVENESS, &err) == KEDGE_OK, "drain ends with runs due later");
    must(kedge_run_get(store, kedge_text("drain-now"), 0, &info, LIVENESS, &err), "get");
    ok(info->status == KEDGE_COMPLETED, "what is due now is done");
    kedge_run_info_free(info);
    must(kedge_run_get(store, kedge_text("drain-later"), 0, &info, LIVENESS, &err), "get");
    ok(info->status == KEDGE_PENDING && info->place == KEDGE_PLACE_DUE, "what is due later stays");
    kedge_run_info_free(info);
    kedge_worker_close(worker, LIVENESS);
}

/* ----------------------------------------------------------------- a soft end */

static struct {
    atomic_int first; /* executions of a, and of b */
    atomic_int second;
    atomic_int doubts;
    uint64_t fence[2];
    uint32_t recoveries;
} end;

/* Until it is told to stop, by descriptor. */
static int until_stopped(struct kedge_step *step, void *user)
{
    struct pollfd fd = { .fd = kedge_step_stop_fd(step), .events = POLLIN };

    (void)user;
    end.fence[0] = kedge_step_view(step)->fence;
    atomic_fetch_add(&end.first, 1);
    if (poll(&fd, 1, (int)(LIVENESS / 1000)) != 1 || !kedge_step_stopping(step))
        return kedge_fail(step, KEDGE_FAIL_FINAL, "nobody stopped it");
    return kedge_ok(step, NULL, 0);
}

static int goes_on(struct kedge_step *step, void *user)
{
    (void)user;
    end.fence[1] = kedge_step_view(step)->fence;
    atomic_fetch_add(&end.second, 1);
    return kedge_ok(step, NULL, 0);
}

static void see_taken(void *ctx, const struct kedge_event *event)
{
    (void)ctx;
    if (event->kind == KEDGE_EVENT_RUN_TAKEN)
        end.recoveries += event->n;
}

static void handed_back(const char *name, uint32_t b_flags)
{
    const struct kedge_step_def steps[] = {
        { .name = "a", .run = until_stopped, .flags = KEDGE_STEP_POOL },
        { .name = "b", .run = goes_on, .flags = b_flags, .after = after_a },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT(name, 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *workers[2];
    struct kedge_run_info *info;
    pthread_t threads[2];
    char what[128];

    memset(&end, 0, sizeof end);
    options.lease_ttl_us = 3600 * SECONDS; /* nobody's lease runs out here */
    options.observe = see_taken;
    workers[0] = worker_open(&def, &options);
    threads[0] = worker_start(workers[0]);
    run_start(name, name);
    (void)await_count(&end.first, 1);
    workers[1] = worker_open(&def, &options);
    threads[1] = worker_start(workers[1]);
    worker_join(workers[0], threads[0]);
    info = run_await(name);
    (void)snprintf(what, sizeof what, "%s: what a worker leaves goes on elsewhere at once", name);
    ok(info->status == KEDGE_COMPLETED && atomic_load(&end.first) == 1 &&
           atomic_load(&end.second) == 1,
       what);
    (void)snprintf(what, sizeof what, "%s: under a higher fence, and charged to nobody", name);
    ok(end.fence[1] > end.fence[0] && end.recoveries == 0, what);
    kedge_run_info_free(info);
    worker_join(workers[1], threads[1]);
}

/* ----------------------------------------------- an end that does not wait for steps */

static int deaf(struct kedge_step *step, void *user)
{
    (void)user;
    if ((kedge_step_view(step)->flags & KEDGE_STEP_IN_DOUBT) != 0) {
        atomic_fetch_add(&end.doubts, 1);
        return kedge_ok(step, "\"second\"", 8);
    }
    atomic_fetch_add(&end.first, 1);
    (void)await_count(&end.doubts, 1); /* until the other worker has done it */
    return kedge_ok(step, "\"late\"", 6);
}

static int beside(struct kedge_step *step, void *user)
{
    (void)user;
    atomic_fetch_add(&end.second, 1);
    return kedge_ok(step, NULL, 0);
}

static void torn_away(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "b", .run = beside, .flags = KEDGE_STEP_POOL },
        { .name = "a", .run = deaf, .flags = KEDGE_STEP_POOL },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("torn", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *workers[2];
    struct kedge_run_info *info;
    pthread_t thread;

    memset(&end, 0, sizeof end);
    options.lease_ttl_us = 3600 * SECONDS;
    options.observe = see_taken;
    workers[0] = worker_open(&def, &options);
    run_start("torn", "torn");
    (void)kedge_worker_drain(workers[0], SECONDS / 20, &err);
    (void)await_count(&end.first, 1);
    (void)await_count(&end.second, 1);
    workers[1] = worker_open(&def, &options);
    thread = worker_start(workers[1]);
    kedge_worker_close(workers[0], 0);
    info = run_await("torn");
    ok(info->status == KEDGE_COMPLETED && is(info->result, "\"second\""),
       "a step left behind is run again, and its late outcome is ignored");
    ok(atomic_load(&end.doubts) == 1 && end.recoveries == 0, "in doubt, and charged to nobody");
    kedge_run_info_free(info);
    worker_join(workers[1], thread);
}

static void all(void)
{
    foreign_loops();
    idle_loop();
    other_process();
    timers();
    backing_off();
    if (strcmp(store_url, "mem:") == 0) /* its clock can be moved by hand */
        attempts_by_hand();
    behind();
    in_flight();
    shares_loop();
    shares_pool();
    drain_leaves_later();
    handed_back("back-loop", 0);
    handed_back("back-pool", KEDGE_STEP_POOL);
    torn_away();
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--start") == 0)
        return starter(argv[2], argv[3]);
    return saga_main(argc, argv, NULL, all);
}
