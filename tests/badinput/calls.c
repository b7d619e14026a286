/* calls.c - workers that are started twice, by another thread or by their own steps */
#include "badinput.h"

static int say_true(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, "true", 4);
}

/* ------------------------------------------------------------- another thread */

static const struct kedge_step_def quick[] = { { .name = "a", .run = say_true } };

static struct kedge_worker *labelled(const char *reactor, const char *label)
{
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT(reactor, 1, quick);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;

    options.label = label;
    return worker_open(&def, &options);
}

static bool completes(const char *id)
{
    struct kedge_run_info *info = run_await(id);
    bool good = info->status == KEDGE_COMPLETED && is(info->result, "true");

    kedge_run_info_free(info);
    return good;
}

static void started_twice(void)
{
    struct kedge_worker *worker = labelled("twice", "counter seven");
    pthread_t thread = worker_start(worker);

    run_start("twice", "twice-before");
    ok(completes("twice-before"), "a worker in a thread");
    refused(kedge_worker_run(worker, &err), KEDGE_ERR_INVALID, "counter seven@", "another thread",
            "run by a second thread is refused, and names the worker");
    refused(kedge_worker_turn(worker, &err), KEDGE_ERR_INVALID, "counter seven@", "another thread",
            "so is a turn");
    refused(kedge_worker_drain(worker, LIVENESS, &err), KEDGE_ERR_INVALID, "counter seven@",
            "another thread", "and a drain");
    run_start("twice", "twice-after");
    ok(completes("twice-after"), "the first goes on");
    worker_join(worker, thread);
}

/* Allowed. */
static void two_of_them(void)
{
    enum { RUNS = 40 };
    struct kedge_worker *worker[2] = { labelled("pair", "one"), labelled("pair", "two") };
    pthread_t thread[2] = { worker_start(worker[0]), worker_start(worker[1]) };
    int good = 0;
    uint64_t steps = 0;

    for (int i = 0; i < RUNS; i++) {
        char id[32];

        (void)snprintf(id, sizeof id, "pair-%d", i);
        run_start("pair", id);
    }
    for (int i = 0; i < RUNS; i++) {
        char id[32];

        (void)snprintf(id, sizeof id, "pair-%d", i);
        good += completes(id);
    }
    for (int i = 0; i < 2; i++) { /* a run may be seen at its end before its worker counts it */
        kedge_worker_stop(worker[i]);
        (void)pthread_join(thread[i], NULL);
        steps += worker_counts(worker[i]).steps;
        kedge_worker_close(worker[i], LIVENESS);
    }
    ok(good == RUNS && steps == RUNS, "two workers of one process share the runs of a store");
}

/* ---------------------------------------------------------------- its own steps */

static struct kedge_worker *mine;
static struct {
    int rc[3];
    struct kedge_error err[3];
} own;

static int run_itself(struct kedge_step *step, void *user)
{
    (void)user;
    memset(&own, 0, sizeof own);
    own.rc[0] = kedge_worker_run(mine, &own.err[0]);
    own.rc[1] = kedge_worker_turn(mine, &own.err[1]);
    own.rc[2] = kedge_worker_drain(mine, LIVENESS, &own.err[2]);
    return kedge_ok(step, "true", 4);
}

static void from_within(const char *name, uint32_t flags, const char *word, const char *other)
{
    const struct kedge_step_def steps[] = {
        { .name = "inner", .run = run_itself, .flags = flags }
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT(name, 1, steps);
    static const char *const calls[] = { "run", "turn", "drain" };

    mine = worker_open(&def, NULL);
    run_start(name, name);
    kedge_run_info_free(run_drain(mine, name));
    for (int i = 0; i < 3; i++) {
        char what[96];

        (void)snprintf(what, sizeof what, "%s by a step of its own (%s)", calls[i], name);
        err = own.err[i];
        refused(own.rc[i], KEDGE_ERR_INVALID, word, other, what);
    }
    ok(completes(name), "the step goes on, and its run");
    kedge_worker_close(mine, LIVENESS);
}

/* It may not, and nothing bad comes of it. */
static int close_itself(struct kedge_step *step, void *user)
{
    (void)user;
    kedge_worker_close(mine, 0);
    return kedge_ok(step, "true", 4);
}

static void closed_from_within(void)
{
    static const struct kedge_step_def steps[] = { { .name = "inner", .run = close_itself } };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("closes", 1, steps);
    struct kedge_run_info *info;

    forget_log();
    mine = worker_open(&def, NULL);
    run_start("closes", "closes");
    ok(kedge_worker_run(mine, &err) == KEDGE_OK, "a step that closes its own worker ends it");
    ok(logged("step 'inner' of reactor 'closes'", "has not returned"), "which is told");
    must(kedge_run_get(store, kedge_text("closes"), 0, &info, LIVENESS, &err), "get");
    ok(info->place == KEDGE_PLACE_DUE && info->fence != 0, "its run is due, for another worker");
    kedge_run_info_free(info);
}

void bad_calls(void)
{
    started_twice();
    two_of_them();
    from_within("loop-itself", 0, "step 'inner' of reactor 'loop-itself'", "has not returned");
    from_within("pool-itself", KEDGE_STEP_POOL, "worker '", "another thread");
    closed_from_within();
    still_works("after all that another worker works");
}
