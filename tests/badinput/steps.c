/* steps.c - steps that say two things, that are settled by many at once, that never return */
#include "badinput.h"

#include <setjmp.h>

/* ---------------------------------------------------------------- two outcomes */

enum saying { OK, SKIP, FAIL, HALT, SNOOZE, LATER };

static const char *const sayings[] = { "ok", "skip", "fail", "halt", "snooze", "later" };
static uint64_t token;

static void say(struct kedge_step *step, enum saying what, const char *text)
{
    char value[32];

    (void)snprintf(value, sizeof value, "\"%s\"", text);
    switch (what) {
    case OK:
        (void)kedge_ok(step, value, strlen(value));
        break;
    case SKIP:
        (void)kedge_skip(step, text);
        break;
    case FAIL:
        (void)kedge_fail(step, KEDGE_FAIL_FINAL, text);
        break;
    case HALT:
        (void)kedge_halt(step, text);
        break;
    case SNOOZE:
        (void)kedge_snooze(step, 0);
        break;
    case LATER:
        (void)kedge_later(step, &token);
        break;
    }
}

struct pair {
    enum saying first, second;
    int calls;
};

static int say_both(struct kedge_step *step, void *user)
{
    struct pair *pair = user;

    if (pair->calls++ > 0)
        return kedge_ok(step, "\"again\"", 7);
    say(step, pair->first, "first");
    say(step, pair->second, "second");
    return 0;
}

static bool first_counted(const struct kedge_run_info *info, const struct pair *pair)
{
    switch (pair->first) {
    case OK:
        return info->status == KEDGE_COMPLETED && is(info->result, "\"first\"") && pair->calls == 1;
    case SKIP:
        return info->status == KEDGE_COMPLETED && info->result.len == 0 && pair->calls == 1;
    case FAIL:
        return info->status == KEDGE_FAILED && is(info->error, "first") && pair->calls == 1;
    case HALT:
        return info->status == KEDGE_HALTED && is(info->error, "first") && pair->calls == 1;
    case SNOOZE:
        return info->status == KEDGE_COMPLETED && is(info->result, "\"again\"") && pair->calls == 2;
    case LATER:
        break;
    }
    return false;
}

static void two_outcomes(void)
{
    for (int i = 0; i < 5 * 5; i++) {
        struct pair pair = { (enum saying)(i / 5), (enum saying)(i % 5), 0 };
        struct kedge_run_info *info;
        char reactor[48];
        char what[96];

        (void)snprintf(what, sizeof what, "%s, then %s: the first counts, the second is told",
                       sayings[pair.first], sayings[pair.second]);
        (void)snprintf(reactor, sizeof reactor, "pair-%s-%s", sayings[pair.first],
                       sayings[pair.second]);
        forget_log();
        info = run_step(reactor, say_both, &pair, i % 2 == 0 ? 0 : KEDGE_STEP_POOL);
        (void)snprintf(reactor, sizeof reactor, "step 'a' of reactor 'pair-%s-%s'",
                       sayings[pair.first], sayings[pair.second]);
        ok(first_counted(info, &pair) && logged(reactor, "second outcome"), what);
        kedge_run_info_free(info);
    }
}

/* A word that comes later, and one at once: there is nothing to wait for any more. */
static void now_and_later(void)
{
    static const struct pair pairs[] = { { OK, LATER, 0 }, { LATER, OK, 0 }, { LATER, FAIL, 0 } };

    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct kedge_outcome said = {
            sizeof said, KEDGE_OUTCOME_OK, 0, { "\"late\"", 6 }, NULL, 0
        };
        struct pair pair = pairs[i];
        struct kedge_step_def steps[] = { { .name = "a", .run = say_both, .user = &pair } };
        struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("now", 1, steps);
        struct kedge_worker *worker;
        struct kedge_run_info *info;
        char what[96];
        char id[32];
        int rc;

        (void)snprintf(id, sizeof id, "now-%zu", i);
        (void)snprintf(what, sizeof what, "%s, then %s: what is said at once counts",
                       sayings[pair.first], sayings[pair.second]);
        worker = worker_open(&def, NULL);
        run_start("now", id);
        info = run_drain(worker, id);
        rc = kedge_settle(worker, token, &said, &err);
        ok(rc == KEDGE_STALE &&
               info->status == (pair.second == FAIL ? KEDGE_FAILED : KEDGE_COMPLETED) &&
               is(info->result, pair.first == OK    ? "\"first\""
                                : pair.second == OK ? "\"second\""
                                                    : ""),
           what);
        kedge_run_info_free(info);
        kedge_worker_close(worker, LIVENESS);
    }
}

/* ---------------------------------------------------------- settled by many at once */

enum { SETTLERS = 6, ROUNDS = 60 };

static struct {
    struct kedge_worker *worker;
    pthread_barrier_t ready;
    atomic_int taken; /* whose word was: 1 ... */
    atomic_int n_taken, n_stale, n_other;
    pthread_t thread[SETTLERS];
} many;

static void *settle_it(void *arg)
{
    int mine = (int)(intptr_t)arg;
    struct kedge_outcome said = { sizeof said, KEDGE_OUTCOME_OK, 0, { NULL, 0 }, NULL, 0 };
    char value[16];
    int rc;

    (void)snprintf(value, sizeof value, "%d", mine);
    said.value = kedge_text(value);
    (void)pthread_barrier_wait(&many.ready);
    rc = kedge_settle(many.worker, token, &said, NULL);
    if (rc == KEDGE_OK) {
        atomic_store(&many.taken, mine);
        atomic_fetch_add(&many.n_taken, 1);
    } else {
        atomic_fetch_add(rc == KEDGE_STALE ? &many.n_stale : &many.n_other, 1);
    }
    return NULL;
}

/* Half of the time while the function is still running. */
static int hand_out(struct kedge_step *step, void *user)
{
    (void)user;
    (void)kedge_later(step, &token);
    (void)pthread_barrier_wait(&many.ready);
    return 0;
}

static void settled_by_many(void)
{
    static const struct kedge_step_def steps[] = { { .name = "a", .run = hand_out } };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("many", 1, steps);
    int good = 0;

    atomic_store(&many.n_stale, 0);
    atomic_store(&many.n_other, 0);
    many.worker = worker_open(&def, NULL);
    must(pthread_barrier_init(&many.ready, NULL, SETTLERS + 1), "barrier");
    for (int i = 0; i < ROUNDS; i++) {
        struct kedge_run_info *info;
        char id[32];
        char mine[16];

        atomic_store(&many.n_taken, 0);
        (void)snprintf(id, sizeof id, "many-%d", i);
        for (int t = 0; t < SETTLERS; t++)
            must(pthread_create(&many.thread[t], NULL, settle_it, (void *)(intptr_t)(t + 1)),
                 "thread");
        run_start("many", id);
        info = run_drain(many.worker, id);
        for (int t = 0; t < SETTLERS; t++)
            (void)pthread_join(many.thread[t], NULL);
        (void)snprintf(mine, sizeof mine, "%d", atomic_load(&many.taken));
        good += atomic_load(&many.n_taken) == 1 && is(info->result, mine);
        kedge_run_info_free(info);
    }
    ok(good == ROUNDS, "settled by six at once: one is taken, and its word is the step's");
    ok(atomic_load(&many.n_stale) == ROUNDS * (SETTLERS - 1) && atomic_load(&many.n_other) == 0,
       "the others are told that it is settled");
    (void)pthread_barrier_destroy(&many.ready);
    kedge_worker_close(many.worker, LIVENESS);
}

/* -------------------------------------------------------------------- never returns */

static jmp_buf back;
static struct kedge_worker *left;
static atomic_int jumps;

static int jump_out(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);

    (void)user;
    if (is(view->run, "jump-before"))
        return kedge_ok(step, "\"before\"", 8);
    if ((view->flags & KEDGE_STEP_IN_DOUBT) != 0)
        return kedge_ok(step, "\"in doubt\"", 10);
    atomic_fetch_add(&jumps, 1);
    longjmp(back, 1);
}

static const struct kedge_step_def jumping[] = { { .name = "hop", .run = jump_out } };

static bool finish_elsewhere(void *arg)
{
    struct kedge_reactor_def *def = arg;
    struct kedge_run_info *info;
    struct kedge_worker *worker;
    bool good;

    must(kedge_store_open(store_url, NULL, &store, &err), "open");
    worker = worker_open(def, NULL);
    info = run_drain(worker, "jump");
    good = info->status == KEDGE_COMPLETED && is(info->result, "\"in doubt\"");
    kedge_run_info_free(info);
    kedge_worker_close(worker, LIVENESS);
    kedge_store_close(store);
    return good;
}

static bool is_shared(void)
{
    return (kedge_store_ops(store)->caps & KEDGE_CAP_SHARED) != 0;
}

static void left_by_longjmp(void)
{
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("jump", 1, jumping);
    struct kedge_run_info *info;

    left = worker_open(&def, NULL);
    run_start("jump", "jump-before");
    kedge_run_info_free(run_drain(left, "jump-before"));
    run_start("jump", "jump");
    if (setjmp(back) == 0) {
        (void)kedge_worker_drain(left, LIVENESS, &err);
        ok(0, "the step jumps out of drain");
    }
    refused(kedge_worker_drain(left, LIVENESS, &err), KEDGE_ERR_INVALID,
            "step 'hop' of reactor 'jump'", "has not returned",
            "left by longjmp: drain again is refused, and names the step");
    refused(kedge_worker_run(left, &err), KEDGE_ERR_INVALID, "step 'hop' of reactor 'jump'",
            "has not returned", "left by longjmp: so is run");
    refused(kedge_worker_turn(left, &err), KEDGE_ERR_INVALID, "step 'hop' of reactor 'jump'",
            "has not returned", "left by longjmp: and turn");
    forget_log();
    kedge_worker_close(left, 0);
    ok(logged("step 'hop' of reactor 'jump'", "has not returned"),
       "left by longjmp: the worker can be closed, which tells it");
    info = run_await("jump-before");
    ok(is(info->result, "\"before\"") && atomic_load(&jumps) == 1,
       "left by longjmp: what was done before is there");
    kedge_run_info_free(info);
    must(kedge_run_get(store, kedge_text("jump"), 0, &info, LIVENESS, &err), "get");
    ok(info->place == KEDGE_PLACE_DUE, "left by longjmp: the run is due");
    kedge_run_info_free(info);
    if (is_shared())
        ok(in_child(finish_elsewhere, &def),
           "left by longjmp: another process carries it on, with the step in doubt");
    atomic_store(&jumps, 0);
}

static int end_thread(struct kedge_step *step, void *user)
{
    (void)step;
    (void)user;
    pthread_exit(NULL);
}

static int say_eight(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, "8", 1);
}

static void left_by_thread_exit(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "end", .run = end_thread, .flags = KEDGE_STEP_POOL, .timeout_us = 20000 },
        { .name = "next", .run = say_eight, .flags = KEDGE_STEP_POOL },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("exit", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;
    struct kedge_run_info *info;

    options.pool_threads = 2;
    worker = worker_open(&def, &options);
    run_start("exit", "exit");
    info = run_drain(worker, "exit");
    ok(ends_as(info, KEDGE_FAILED, "it took longer than its 20 ms") && is(info->error_step, "end"),
       "a step that ends its thread: its time ends it");
    kedge_run_info_free(info);
    forget_log();
    kedge_worker_close(worker, LIVENESS);
    ok(logged("step 'end' of reactor 'exit'", "has not returned"),
       "and the worker can be closed, which tells it");
}

void bad_steps(void)
{
    two_outcomes();
    now_and_later();
    settled_by_many();
    left_by_longjmp();
    left_by_thread_exit();
    still_works("after all that another worker works");
}
