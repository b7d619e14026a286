/*
 * alloc.c - memory runs out: at each allocation there is, once and for a while; speaks TAP
 *
 * A whole saga on a store in memory, whose host hands out memory until the K-th time and none then.
 * The clock is moved by hand, so that what is tried again later is tried again at once.  When there
 * is memory again every run must end as it would have ended; nothing may crash or leak.
 *
 *	./alloc
 */
#include <time.h>

#include <kedge/backend.h>

#include "tests/support/saga.h"

enum { RUNS = 4, K_MOST = 100000, WORKERS_MOST = 20 };

/* ------------------------------------------------------------------ the host */

static struct {
    atomic_llong now;
    atomic_llong left;    /* until memory runs out */
    atomic_llong drought; /* how many are refused then */
    atomic_llong refused;
    atomic_llong alive;
} host_state;

static int64_t clock_us(void *ctx, uint32_t which)
{
    (void)ctx;
    (void)which;
    return atomic_load(&host_state.now);
}

static void log_text(void *ctx, int level, const char *text)
{
    (void)ctx;
    (void)level;
    (void)text;
}

static void *alloc(void *ctx, size_t size)
{
    void *to;

    (void)ctx;
    if (atomic_fetch_sub(&host_state.left, 1) <= 0 &&
        atomic_fetch_sub(&host_state.drought, 1) > 0) {
        atomic_fetch_add(&host_state.refused, 1);
        return NULL;
    }
    to = malloc(size);
    if (to != NULL)
        atomic_fetch_add(&host_state.alive, 1);
    return to;
}

static void release(void *ctx, void *ptr)
{
    (void)ctx;
    if (ptr != NULL)
        atomic_fetch_sub(&host_state.alive, 1);
    free(ptr);
}

/* ------------------------------------------------------------------ the saga */

static const char *const after_a[] = { "a", NULL };
static const char *const after_bc[] = { "b", "c", NULL };

static int fails; /* the last step fails for good */

static int run_it(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);
    struct kedge_bytes value;
    uint64_t token;

    switch (view->step[0]) {
    case 'a':
        if (view->attempt == 1)
            return kedge_fail(step, 0, "once more");
        return kedge_ok(step, "\"a\"", 3);
    case 'b': {
        struct kedge_outcome said = { sizeof said, KEDGE_OUTCOME_OK, 0, { "\"b\"", 3 }, NULL, 0 };
        struct kedge_worker *const *worker = user;

        (void)kedge_later(step, &token);
        while (kedge_settle(*worker, token, &said, NULL) == KEDGE_ERR_NOMEM)
            ;
        return 0;
    }
    case 'd':
        if (kedge_step_result(step, "b", &value, NULL) != KEDGE_OK || !is(value, "\"b\"") ||
            kedge_step_result(step, "c", &value, NULL) != KEDGE_OK || !is(value, "\"c\""))
            return kedge_fail(step, KEDGE_FAIL_FINAL, "a value was lost");
        if (fails)
            return kedge_fail(step, KEDGE_FAIL_FINAL, "no");
        return kedge_ok(step, "\"d\"", 3);
    default:
        return kedge_ok(step, "\"c\"", 3);
    }
}

static int undo_it(struct kedge_step *step, void *user)
{
    struct kedge_bytes value;

    (void)user;
    if (kedge_step_result(step, kedge_step_view(step)->step, &value, NULL) != KEDGE_OK)
        return kedge_fail(step, KEDGE_FAIL_FINAL, "its value was lost");
    return kedge_ok(step, NULL, 0);
}

static struct kedge_worker *the_worker;

static const struct kedge_step_def loop_steps[] = {
    { .name = "a",
      .run = run_it,
      .undo = undo_it,
      .user = &the_worker,
      .retry = { .attempts = 2, .base_us = 1000 } },
    { .name = "b", .run = run_it, .undo = undo_it, .user = &the_worker, .after = after_a },
    { .name = "c", .run = run_it, .undo = undo_it, .user = &the_worker, .after = after_a },
    { .name = "d", .run = run_it, .user = &the_worker, .after = after_bc },
};

static const char *const ids[RUNS] = { "r0", "r1", "r2", "r3" };

static void start_all(void)
{
    struct kedge_run_start starts[RUNS];
    int outcomes[RUNS];

    for (int i = 0; i < RUNS; i++) {
        starts[i] = (struct kedge_run_start)KEDGE_START_INIT;
        starts[i].reactor = "alloc";
        starts[i].version = 1;
        starts[i].id = kedge_text(ids[i]);
    }
    for (int i = 0; i < 50; i++) {
        int rc = kedge_start_many(store, starts, RUNS, sizeof starts[0], outcomes, SECONDS, &err);

        if (rc == KEDGE_OK)
            return;
        if (rc != KEDGE_ERR_NOMEM)
            must(rc, "start_many");
    }
    must(KEDGE_ERR_NOMEM, "start_many");
}

static int open_worker(const struct kedge_reactor *reactor)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    int rc = KEDGE_ERR_NOMEM;

    options.reactors = &reactor;
    options.n_reactors = 1;
    options.pool_threads = 2;
    options.look_us = 3600 * SECONDS; /* drain looks */
    options.sweep_us = 3600 * SECONDS;
    for (int i = 0; i < 50 && rc == KEDGE_ERR_NOMEM; i++)
        rc = kedge_worker_open(store, &options, &the_worker, &err);
    must(rc, "worker");
    return rc;
}

/* How many runs are at rest as they should be; -1: one is not as it should be. */
static int ended_well(void)
{
    int n = 0;

    for (int i = 0; i < RUNS; i++) {
        struct kedge_run_info *info = NULL;
        int rc =
            kedge_run_get(store, kedge_text(ids[i]), KEDGE_RUN_WANT_RESULT, &info, SECONDS, &err);

        if (rc == KEDGE_ERR_NOMEM)
            return n; /* the drought is not over */
        must(rc, "get");
        if (info->place == KEDGE_PLACE_REST) {
            if (fails ? info->status != KEDGE_FAILED || !is(info->error, "no")
                      : info->status != KEDGE_COMPLETED || !is(info->result, "\"d\""))
                n = -RUNS - 1;
            n++;
        }
        kedge_run_info_free(info);
    }
    return n;
}

static const char *problem;

/* One saga; answers how many allocations were refused. */
static int64_t saga(const struct kedge_reactor *reactor, int64_t k, int64_t drought)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    static const struct kedge_host host = { .struct_size = sizeof host,
                                            .abi = KEDGE_BACKEND_ABI,
                                            .clock_us = clock_us,
                                            .log = log_text,
                                            .alloc = alloc,
                                            .release = release };
    int64_t refused;
    int rc = KEDGE_ERR_NOMEM;
    int n = 0;

    atomic_store(&host_state.refused, 0);
    atomic_store(&host_state.left, k);
    atomic_store(&host_state.drought, drought);
    options.flags = KEDGE_STORE_CREATE;
    options.host = &host;
    for (int i = 0; i < 50 && rc == KEDGE_ERR_NOMEM; i++)
        rc = kedge_store_open("mem:", &options, &store, &err);
    must(rc, "open");
    start_all();
    open_worker(reactor);
    /* One worker to the end: what it dropped, nobody else would pick up. */
    for (int64_t i = 0; i < LIVENESS && n >= 0 && n < RUNS; i += SECONDS / 500) {
        (void)kedge_worker_drain(the_worker, SECONDS / 500, &err);
        atomic_fetch_add(&host_state.now, 1100000);
        n = ended_well();
    }
    if (n != RUNS)
        problem = n < 0 ? "a run ended otherwise" : "a run did not end";
    kedge_worker_close(the_worker, SECONDS);
    kedge_store_close(store);
    refused = atomic_load(&host_state.refused);
    if (atomic_load(&host_state.alive) != 0)
        problem = "memory was not given back";
    atomic_store(&host_state.alive, 0);
    return refused;
}

static int n_tests;
static int n_failed;

static void enumerate(const struct kedge_reactor *reactor, const char *name, int64_t drought)
{
    int64_t k = 0;
    int64_t bad = 0;

    while (k < K_MOST) {
        int64_t refused;

        problem = NULL;
        refused = saga(reactor, k, drought);
        if (problem != NULL && bad++ < 10)
            printf("# allocation %lld: %s\n", (long long)k + 1, problem);
        if (refused == 0)
            break;
        k++;
    }
    n_tests++;
    n_failed += bad > 0 || k < 50;
    printf("%sok %d - %s: %lld refused at each of %lld allocations, %lld bad\n",
           bad > 0 || k < 50 ? "not " : "", n_tests, name, (long long)drought, (long long)k,
           (long long)bad);
    (void)fflush(stdout);
}

int main(void)
{
    struct kedge_step_def pool_steps[4];
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("alloc", 1, loop_steps);
    struct kedge_reactor *reactors[2];

    store_url = "mem:";
    atomic_store(&host_state.now, INT64_C(1700000000000000));
    memcpy(pool_steps, loop_steps, sizeof pool_steps);
    for (int i = 0; i < 4; i++)
        pool_steps[i].flags = KEDGE_STEP_POOL;
    must(kedge_reactor_new(&def, &reactors[0], &err), "reactor");
    def.steps = pool_steps;
    must(kedge_reactor_new(&def, &reactors[1], &err), "reactor");
    for (fails = 0; fails < 2; fails++) {
        enumerate(reactors[0], fails ? "loop, rolled back" : "loop", 1);
        enumerate(reactors[0], fails ? "loop, rolled back" : "loop", 12);
        enumerate(reactors[1], fails ? "pool, rolled back" : "pool", 1);
        enumerate(reactors[1], fails ? "pool, rolled back" : "pool", 12);
    }
    kedge_reactor_free(reactors[0]);
    kedge_reactor_free(reactors[1]);
    printf("1..%d\n", n_tests);
    return n_failed > 0;
}
