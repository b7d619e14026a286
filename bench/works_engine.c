/*
 * works_engine.c - workloads of the whole engine: one worker, runs of many steps
 *
 * As fast as it goes, what counts is a step: from its start to that of the next one.  At a fixed
 * rate runs are started by the clock, so many that their steps make up the rate, and what counts is
 * a run, from when it was to start to its end.
 */
#include <config.h>

#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "engine.h"
#include "saga.h"
#include "settings.h"

#define START_MOST 64
#define IN_FLIGHT  1024 /* at a fixed rate, where nobody but the clock holds runs back */

/* Runs that the clock starts. */
struct arrivals {
    struct saga *saga;
    double interval_ns;
    int64_t began;
    int64_t until_ns;
    uint64_t first; /* number of the first run */
    atomic_uint_fast64_t started;
    atomic_bool over;
};

struct engine_work {
    struct saga saga;
    struct arrivals arrivals;
    _Atomic int64_t *called; /* at a rate, of each run: when it was really started */
    pthread_mutex_t lock;    /* worker's threads tell of the ends of runs */
    struct side *listening;  /* under the lock: the side at work; NULL: none is */
    uint64_t ended;          /* likewise: of the slice under way */
};

static int64_t time_of(const struct arrivals *a, uint64_t k)
{
    return a->began + (int64_t)((double)k * a->interval_ns);
}

/* How long runs that were to start in time may take beyond it: they are not left out for being
 * slow.
 */
static int64_t drain_ns(void)
{
    return settings.time_s > 1 ? (int64_t)(settings.time_s * 1e9) : INT64_C(1000000000);
}

static void *start_by_the_clock(void *arg)
{
    struct engine_work *e = arg;
    struct arrivals *a = &e->arrivals;
    uint64_t k = 0;

    for (;;) {
        int64_t next = time_of(a, k);
        int64_t t;
        size_t n = 0;

        if (next >= a->until_ns)
            break;
        sleep_until(next);
        t = now_ns(); /* one that is late is started all the same */
        if (limit_reached(&(struct limit){ .until_ns = a->until_ns + drain_ns() }, 0, t))
            break;
        while (n < START_MOST && time_of(a, k + n) <= t && time_of(a, k + n) < a->until_ns) {
            atomic_store(&e->called[a->first + k + n], t);
            n++;
        }
        atomic_store(&a->started, k + n); /* before their ends can be seen */
        saga_start(a->saga, n, 0);
        k += n;
    }
    atomic_store(&a->over, true);
    return NULL;
}

/* The end of a run: the worker tells. */
static void note_end(void *ctx, const struct kedge_event *event)
{
    struct engine_work *e = ctx;
    int64_t t = now_ns();
    uint64_t run;

    if (event->kind != KEDGE_EVENT_RUN_ENDED)
        return;
    run = saga_run_of(event->run);
    (void)pthread_mutex_lock(&e->lock);
    /* An earlier one is of a slice that was given up. */
    if (e->listening != NULL && run >= e->arrivals.first) {
        samples_add(&e->listening->lat, t - atomic_load(&e->called[run]));
        samples_add(&e->listening->late, t - time_of(&e->arrivals, run - e->arrivals.first));
        e->ended++;
    }
    (void)pthread_mutex_unlock(&e->lock);
}

static void listen_for(struct engine_work *e, struct side *side, const struct limit *limit)
{
    struct arrivals *a = &e->arrivals;

    (void)pthread_mutex_lock(&e->lock);
    e->listening = side;
    if (side != NULL) {
        e->ended = 0;
        a->first = e->saga.runs;
        a->began = now_ns();
        a->until_ns = limit->until_ns;
        atomic_store(&a->started, 0);
        atomic_store(&a->over, false);
    }
    (void)pthread_mutex_unlock(&e->lock);
}

static bool all_ended(struct engine_work *e)
{
    bool all;

    (void)pthread_mutex_lock(&e->lock);
    all = atomic_load(&e->arrivals.over) && e->ended >= atomic_load(&e->arrivals.started);
    (void)pthread_mutex_unlock(&e->lock);
    return all;
}

static void by_the_clock(struct side *side, const struct limit *limit)
{
    struct engine_work *e = side->ctx;
    struct arrivals *a = &e->arrivals;
    uint64_t before = saga_counts(&e->saga).steps;
    pthread_t thread;
    int64_t t;

    listen_for(e, side, limit);
    if (pthread_create(&thread, NULL, start_by_the_clock, e) != 0)
        die("cannot start a thread");
    /* Those that were started in time are waited for: none is left out because it took long. */
    while (!all_ended(e)) {
        saga_turn(&e->saga, 1);
        t = now_ns();
        if (t < limit->until_ns)
            side->ops = saga_counts(&e->saga).steps - before;
        if (limit_reached(&(struct limit){ .until_ns = limit->until_ns + drain_ns() }, 0, t))
            break;
    }
    (void)pthread_join(thread, NULL);
    listen_for(e, NULL, NULL);
    side->own_ns = limit->until_ns - a->began;
    for (uint64_t k = 0; k < atomic_load(&a->started); k++) {
        int64_t lag = atomic_load(&e->called[a->first + k]) - time_of(a, k);

        side->lag_ns = lag > side->lag_ns ? lag : side->lag_ns;
    }
}

static void open_runs(struct work *work, bool undo)
{
    struct engine_work *e = must_alloc(1, sizeof *e);
    struct saga_shape shape = {
        .name = work->kind->name,
        .n_steps = settings.steps,
        .in_flight = work->rate > 0 ? IN_FLIGHT : work->clients,
        .feed = work->rate > 0      ? 0
                : work->clients > 4 ? work->clients
                                    : 4,
        .pool = settings.pool,
        .pool_threads = settings.threads,
        .undo = undo,
        .timed = !(work->rate > 0),
        .ctx = e,
    };

    if (work->rate > 0) {
        e->arrivals.saga = &e->saga;
        e->arrivals.interval_ns = 1e9 * settings.steps / work->rate;
        e->called = must_alloc(SAGA_RUNS_MAX, sizeof *e->called);
        shape.observe = note_end;
        if (pthread_mutex_init(&e->lock, NULL) != 0)
            die("no lock");
    }
    saga_open(&e->saga, &shape);
    if (work->rate > 0)
        saga_gate(&e->saga, true);
    work->own = e;
    work->what = "steps";
    work->side.run = work->rate > 0 ? by_the_clock : saga_steps;
    work->side.ctx = work->rate > 0 ? (void *)e : (void *)&e->saga;
}

void saga_work_open(struct work *work)
{
    open_runs(work, false);
}

void rollback_open(struct work *work)
{
    open_runs(work, true);
    work->what = "steps and undos";
}

void saga_work_close(struct work *work)
{
    struct engine_work *e = work->own;

    work->written = saga_counts(&e->saga).steps;
    if (atomic_load(&e->saga.twice) > 0)
        die("%" PRIu64 " steps ran twice, and nobody had died",
            (uint64_t)atomic_load(&e->saga.twice));
    work->readable = saga_close(&e->saga);
    if (work->readable > work->written)
        work->written = work->readable; /* those under way when the worker was closed */
    free(e->called);
    free(e);
}

/* --------------------------------------------------------------------- resume */

void resume_work_open(struct work *work)
{
    work->own = resume_open(settings.steps);
    work->what = "steps";
    work->side.run = resume_take_overs;
    work->side.ctx = work->own;
}

void resume_work_close(struct work *work)
{
    work->readable = resume_close(work->own, &work->written);
}
