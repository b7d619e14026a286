/*
 * counts.c - what a run costs: commits and other writes, flushes, hand-offs, wake-ups
 *
 * Counted at the store, by a table around its table, and by the worker.
 *
 *	./counts URL...
 */
#include <sys/resource.h>
#include <time.h>

#include <kedge/testing.h>

#include "conform/fault_backend.h"
#include "tests/support/fault_store.h"
#include "tests/support/saga.h"

enum { STEPS = 1000, RUNS = 64, SHORT = 40 };

/* -------------------------------------------------- what comes to the store */

static const struct kedge_backend_ops *below;
static atomic_ullong items;  /* commits, however many in one call */
static atomic_ullong caught; /* claims that took something */

static int count_commit(void *s, const struct kedge_commit *commits, size_t n,
                        struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *e)
{
    atomic_fetch_add(&items, n);
    return below->commit(s, commits, n, answers, timeout_us, e);
}

static int count_claim(void *s, const struct kedge_claim *in, struct kedge_run_page *out,
                       int64_t timeout_us, struct kedge_error *e)
{
    int rc = below->claim(s, in, out, timeout_us, e);

    if (rc == KEDGE_OK && out->n > 0)
        atomic_fetch_add(&caught, 1);
    return rc;
}

/* A handle that counts, on the same store. */
static struct kedge_store *counting(struct kedge_store *inner)
{
    struct kedge_backend_ops table;
    struct kedge_store *outer;

    below = fault_wrap(kedge_store_ops(inner), kedge_store_host(inner));
    table = *below;
    table.commit = count_commit;
    table.claim = count_claim;
    outer = fault_store(inner, &table, &err);
    if (outer == NULL)
        must(err.code, "wrap");
    return outer;
}

struct writes {
    uint64_t commits, flushes, claims, extends, others;
};

static struct writes writes_now(void)
{
    static const enum fault_op others[] = { FAULT_lease_grant, FAULT_lease_revoke,
                                            FAULT_lease_bury,  FAULT_lock_acquire,
                                            FAULT_lock_extend, FAULT_lock_release,
                                            FAULT_purge };
    struct writes w = { .commits = atomic_load(&items),
                        .flushes = fault_calls(FAULT_commit),
                        .claims = atomic_load(&caught),
                        .extends = fault_calls(FAULT_lease_extend) };

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        w.others += fault_calls(others[i]);
    return w;
}

static struct writes since(struct writes before)
{
    struct writes now = writes_now();

    return (struct writes){ now.commits - before.commits, now.flushes - before.flushes,
                            now.claims - before.claims, now.extends - before.extends,
                            now.others - before.others };
}

/* ----------------------------------------------------------------- many starts */

static void prepare(struct kedge_run_start *starts, char (*ids)[32], size_t n, const char *prefix)
{
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "%s-%zu", prefix, i);
        starts[i] = (struct kedge_run_start)KEDGE_START_INIT;
        starts[i].reactor = "nobody";
        starts[i].version = 1;
        starts[i].id = kedge_text(ids[i]);
    }
}

static void starts(void)
{
    size_t n = (size_t)kedge_store_ops(store)->limits->batch_items;
    struct kedge_run_start *all = calloc(n + 1, sizeof *all);
    char(*ids)[32] = calloc(n + 1, sizeof *ids);
    int *outcomes = calloc(n + 1, sizeof *outcomes);
    struct writes before;
    struct writes w;
    size_t good = 0;

    if (all == NULL || ids == NULL || outcomes == NULL)
        exit(99);
    prepare(all, ids, n + 1, "many");
    must(kedge_start(store, &all[1], LIVENESS, &err), "start");
    all[2].delay_us = 3600 * SECONDS;
    all[3].at_us = 5000000000 * SECONDS;
    before = writes_now();
    must(kedge_start_many(store, all, n, sizeof *all, outcomes, LIVENESS, &err), "start_many");
    w = since(before);
    for (size_t i = 0; i < n; i++)
        good += outcomes[i] == (i == 1 ? KEDGE_EXISTS : KEDGE_OK);
    ok(good == n, "as many starts as a batch has, one of them there before, others for later");
    ok(w.flushes == 1 && w.commits == n && w.others == 0, "in one flush");
    prepare(all, ids, n + 1, "more");
    before = writes_now();
    must(kedge_start_many(store, all, n + 1, sizeof *all, outcomes, LIVENESS, &err), "start_many");
    ok(since(before).flushes == 2, "one more: two flushes");
    free(all);
    free(ids);
    free(outcomes);
}

/* ------------------------------------------------------------------- runs */

static int say_null(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, NULL, 0);
}

static int64_t switches(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw;
}

static void tell(const char *name, size_t steps, const struct kedge_counts *a,
                 const struct kedge_counts *b, int64_t switched)
{
    note("%s: %zu steps: %llu commits, %llu flushes, %llu claims, %llu hand-offs, %llu wake-ups; "
         "%lld voluntary switches of the process",
         name, steps, (unsigned long long)(b->commits - a->commits),
         (unsigned long long)(b->flushes - a->flushes), (unsigned long long)(b->claims - a->claims),
         (unsigned long long)(b->hand_offs - a->hand_offs),
         (unsigned long long)(b->wake_ups - a->wake_ups), (long long)switched);
}

static void say(const char *name, const char *what, int good)
{
    char text[160];

    (void)snprintf(text, sizeof text, "%s: %s", name, what);
    ok(good, text);
}

/* An idle worker, one run from its start to its end. */
static void lone(const char *name, uint32_t flags)
{
    struct kedge_reactor_def def = {
        sizeof def, name, 1, 0, chain(STEPS, say_null, flags), STEPS, sizeof(struct kedge_step_def),
        NULL,       NULL
    };
    struct kedge_worker *worker = worker_open(&def, NULL);
    pthread_t thread = worker_start(worker);
    struct kedge_run_info *info;
    struct kedge_counts a;
    struct kedge_counts b;
    struct writes before;
    struct writes w;
    int64_t switched;
    char first[64];

    (void)snprintf(first, sizeof first, "%s-first", name);
    run_start(name, first); /* threads are made, pages are read */
    kedge_run_info_free(run_await(first));
    a = worker_counts(worker);
    before = writes_now();
    switched = switches();
    run_start(name, name);
    info = run_await(name);
    switched = switches() - switched;
    w = since(before);
    b = worker_counts(worker);
    tell(name, STEPS, &a, &b, switched);
    say(name, "completed, with a record per step, one for the beginning and one for the end",
        info->status == KEDGE_COMPLETED && info->records == STEPS + 2);
    say(name, "the start, a claim, and a commit per step",
        w.commits == STEPS + 1 && w.claims == 1 && b.commits - a.commits == STEPS);
    say(name, "no other write but the lease's", w.others == 0);
    say(name, "no hand-off per step", b.hand_offs - a.hand_offs <= STEPS / 50);
    /* A store that does not tell of news is asked every now and then: a claim, two wake-ups. */
    say(name, "no wake-up per step, the keeper's counted",
        b.wake_ups - a.wake_ups <= STEPS / 20 + (tells() ? 0 : 2 * (b.claims - a.claims)));
    kedge_run_info_free(info);
    worker_join(worker, thread);
}

/* A foreign loop that calls too often, also while a pool thread is in a commit: it is not told of
   what it need not do. */
static void impatient(void)
{
    struct kedge_reactor_def def = { sizeof def,
                                     "impatient",
                                     1,
                                     0,
                                     chain(STEPS, say_null, KEDGE_STEP_POOL),
                                     STEPS,
                                     sizeof(struct kedge_step_def),
                                     NULL,
                                     NULL };
    struct kedge_worker *worker = worker_open(&def, NULL);
    const struct timespec pause = { 0, 100000 };
    const int64_t most = LIVENESS / 100; /* of the pauses */
    struct kedge_counts c;
    int64_t n = 0;

    run_start("impatient", "impatient");
    do {
        must(kedge_worker_turn(worker, &err), "turn");
        (void)nanosleep(&pause, NULL);
        c = worker_counts(worker);
    } while (c.runs_ended == 0 && ++n < most);
    note("impatient: %llu hand-offs", (unsigned long long)c.hand_offs);
    say("impatient", "the run ends", c.runs_ended == 1);
    say("impatient", "no hand-off per step", c.hand_offs <= STEPS / 20);
    kedge_worker_close(worker, LIVENESS);
}

static void crowd(const char *name, uint32_t flags)
{
    static struct kedge_run_start all[RUNS];
    static char ids[RUNS][32];
    int outcomes[RUNS];
    struct kedge_reactor_def def = {
        sizeof def, name, 1, 0, chain(SHORT, say_null, flags), SHORT, sizeof(struct kedge_step_def),
        NULL,       NULL
    };
    struct kedge_worker *worker = worker_open(&def, NULL);
    pthread_t thread = worker_start(worker);
    const uint64_t steps = (uint64_t)RUNS * SHORT;
    struct kedge_counts a;
    struct kedge_counts b;
    int64_t switched;

    prepare(all, ids, RUNS, name);
    for (int i = 0; i < RUNS; i++)
        all[i].reactor = name;
    a = worker_counts(worker);
    switched = switches();
    must(kedge_start_many(store, all, RUNS, sizeof *all, outcomes, LIVENESS, &err), "start_many");
    for (int i = 0; i < RUNS; i++)
        kedge_run_info_free(run_await(ids[i]));
    switched = switches() - switched;
    b = worker_counts(worker);
    tell(name, (size_t)steps, &a, &b, switched);
    say(name, "one commit per step", b.commits - a.commits == steps);
    say(name, "many of them in one flush", (b.flushes - a.flushes) * 5 < steps);
    if (flags == 0)
        say(name, "no wake-up per step",
            (b.wake_ups - a.wake_ups) * 20 < steps && (b.hand_offs - a.hand_offs) * 20 < steps);
    else
        say(name, "under 0.2 wake-ups per step",
            (b.wake_ups - a.wake_ups) * 5 < steps && (b.hand_offs - a.hand_offs) * 5 < steps);
    worker_join(worker, thread);
}

/* ------------------------------------------------------------ fewer checkpoints */

enum { FEW = 20, HALF = FEW / 2 };

static atomic_int ran[FEW];
static int retries; /* does the step in the middle fail once? */

static int count_it(struct kedge_step *step, void *user)
{
    long i = strtol(kedge_step_view(step)->step + 1, NULL, 10);

    (void)user;
    atomic_fetch_add(&ran[i], 1);
    if (retries && i == HALF && kedge_step_view(step)->attempt == 1)
        return kedge_fail(step, 0, "once more");
    return kedge_ok(step, NULL, 0);
}

static void reset_ran(void)
{
    for (int i = 0; i < FEW; i++)
        atomic_store(&ran[i], 0);
}

static void few_def(struct kedge_reactor_def *def, const char *name, struct kedge_step_def *steps)
{
    memcpy(steps, chain(FEW, count_it, 0), FEW * sizeof *steps);
    steps[HALF].retry = (struct kedge_retry){ .attempts = 2, .base_us = 1000 };
    *def = (struct kedge_reactor_def){ sizeof *def, name,          1,    0,   steps,
                                       FEW,         sizeof *steps, NULL, NULL };
}

static void held_back(const char *name, int with_retry, uint64_t commits)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_step_def steps[FEW];
    struct kedge_reactor_def def;
    struct kedge_worker *worker;
    struct kedge_run_info *info;
    struct writes before;
    struct writes w;

    few_def(&def, name, steps);
    reset_ran();
    retries = with_retry;
    options.checkpoint_min_interval_us = 3600 * SECONDS;
    worker = worker_open(&def, &options);
    run_start(name, name);
    before = writes_now();
    info = run_drain(worker, name);
    w = since(before);
    say(name,
        with_retry ? "one commit for a retry, which is not held back, and one for the end"
                   : "one commit at the end",
        w.commits == commits);
    say(name, "with all the records",
        info->status == KEDGE_COMPLETED && info->records == FEW + 2 + (uint64_t)with_retry &&
            worker_counts(worker).steps == FEW + (uint64_t)with_retry);
    kedge_run_info_free(info);
    kedge_worker_close(worker, LIVENESS);
}

/* The timer flushes what nobody else does: the first step's, while the second waits for it. */
static atomic_int first_durable;

static void see_first(void *ctx, const struct kedge_event *event)
{
    (void)ctx;
    if (event->kind == KEDGE_EVENT_STEP_ENDED && strcmp(event->step, "s0") == 0)
        atomic_store(&first_durable, 1);
}

static int await_first(struct kedge_step *step, void *user)
{
    (void)user;
    if (strcmp(kedge_step_view(step)->step, "s0") == 0)
        return kedge_ok(step, NULL, 0);
    return await_count(&first_durable, 1) ? kedge_ok(step, "true", 4) : kedge_ok(step, "false", 5);
}

static void held_back_so_long(void)
{
    struct kedge_reactor_def def = { sizeof def,
                                     "interval",
                                     1,
                                     0,
                                     chain(2, await_first, KEDGE_STEP_POOL),
                                     2,
                                     sizeof(struct kedge_step_def),
                                     NULL,
                                     NULL };
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;
    struct kedge_run_info *info;
    pthread_t thread;

    atomic_store(&first_durable, 0);
    options.checkpoint_min_interval_us = SECONDS / 10;
    options.observe = see_first;
    worker = worker_open(&def, &options);
    thread = worker_start(worker);
    run_start("interval", "interval");
    info = run_await("interval");
    ok(is(info->result, "true"), "what was held back is flushed when the interval is over");
    kedge_run_info_free(info);
    worker_join(worker, thread);
}

static bool unfinished(struct kedge_store *healthy)
{
    struct kedge_run_info *info = NULL;
    bool yes;

    must(kedge_run_get(healthy, kedge_text("crash"), 0, &info, LIVENESS, &err), "get");
    yes = info->place != KEDGE_PLACE_REST;
    kedge_run_info_free(info);
    return yes;
}

/* Dies in the commit after the retry: what was flushed with the retry does not run again. */
static void crash_held_back(void)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_store *saved = store;
    struct kedge_testing *testing;
    struct kedge_store *healthy;
    struct kedge_step_def steps[FEW];
    struct kedge_reactor_def def;
    struct kedge_worker *worker;
    struct kedge_run_info *info;
    uint64_t k = 0;
    int good = 1;

    few_def(&def, "crash", steps);
    retries = 1;
    options.checkpoint_min_interval_us = 3600 * SECONDS;
    do { /* the first K at which the second half has run and is not durable */
        k++;
        reset_ran();
        must(kedge_testing_open(NULL, &testing, &err), "testing");
        must(kedge_testing_store(testing, &healthy, &err), "store");
        store = healthy;
        run_start("crash", "crash");
        must(kedge_testing_doomed(testing, k, KEDGE_TESTING_BEFORE, &store, &err), "doomed");
        if (kedge_testing_dead(store) == 0) {
            const struct kedge_reactor *reactors[1];
            struct kedge_reactor *reactor;

            must(kedge_reactor_new(&def, &reactor, &err), "reactor");
            reactors[0] = reactor;
            options.reactors = reactors;
            options.n_reactors = 1;
            if (kedge_worker_open(store, &options, &worker, &err) == KEDGE_OK) {
                for (int i = 0; i < 4 && !kedge_testing_dead(store); i++) {
                    (void)kedge_worker_drain(worker, SECONDS / 10, &err);
                    must(kedge_testing_advance(testing, 2000, &err), "advance");
                }
                kedge_worker_close(worker, 0);
            }
            kedge_reactor_free(reactor);
        }
        /* What the keeper asks is counted too: it may have died in that, with all of it durable. */
        if (atomic_load(&ran[FEW - 1]) == 1 && kedge_testing_dead(store) && unfinished(healthy))
            break;
        kedge_store_close(store);
        kedge_store_close(healthy);
        kedge_testing_close(testing);
    } while (k < 100);
    kedge_store_close(store);
    store = healthy;
    must(kedge_testing_advance(testing, 20 * SECONDS, &err), "advance");
    options.reactors = NULL;
    options.n_reactors = 0;
    worker = worker_open(&def, &options);
    info = run_drain(worker, "crash");
    for (int i = 0; i < FEW; i++)
        good &= atomic_load(&ran[i]) == (i < HALF ? 1 : i == HALF ? 3 : 2);
    ok(good && info->status == KEDGE_COMPLETED,
       "a crash runs again what ended since the last flush, and nothing before it");
    kedge_run_info_free(info);
    kedge_worker_close(worker, LIVENESS);
    kedge_store_close(healthy);
    kedge_testing_close(testing);
    store = saved;
}

static void all(void)
{
    struct kedge_store *inner = store;

    store = counting(inner);
    starts();
    lone("lone-loop", 0);
    lone("lone-pool", KEDGE_STEP_POOL);
    impatient();
    crowd("crowd-loop", 0);
    crowd("crowd-pool", KEDGE_STEP_POOL);
    held_back("held-back", 0, 1);
    held_back("held-back-retry", 1, 2);
    held_back_so_long();
    if (strcmp(store_url, "mem:") == 0) /* its clock can be moved by hand */
        crash_held_back();
    kedge_store_close(store);
    store = inner;
}

int main(int argc, char **argv)
{
    return saga_main(argc, argv, NULL, all);
}
