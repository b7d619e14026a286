/*
 * resume.c - take over a run with a long journal: what is read, and when its next step starts
 *
 * A process carries the run through its first steps and is killed with -9 in the next one.  From
 * then on worker after worker in this process takes the run, a hundred steps on from the last one,
 * so that all lengths of tail between two snapshots are met.  Each has been there before: it was
 * opened, and has claimed and found nothing, while the one before had the run.
 */
#include <config.h>

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "engine.h"
#include "harness.h"
#include "procs.h"
#include "saga.h"
#include "subject.h"

#define ROOM     30000 /* steps there are beyond those that are done first */
#define IDLE_NS  INT64_C(50000000)
#define ADVANCE  97
#define BOUND_US 50000

struct resume {
    struct saga saga;
    char url[PATH_MAX + 64];
    uint32_t first;     /* steps done before the first take-over */
    bool hold;          /* a step holds the run until its process is killed */
    int64_t started_ns; /* the first step of this worker; 0: none yet */
    int64_t taken_ns;
    int64_t read_us;
    uint32_t recoveries;
    uint32_t began; /* number of that step */
    uint64_t bytes;
    struct samples read; /* bytes, one a round */
};

static void note_taken(void *ctx, const struct kedge_event *event)
{
    struct resume *r = ctx;

    if (event->kind != KEDGE_EVENT_RUN_TAKEN)
        return;
    r->taken_ns = now_ns();
    r->read_us = event->us;
    r->bytes = event->bytes;
    r->recoveries = event->n;
}

static int step(struct saga *saga, struct kedge_step *step, uint32_t number)
{
    struct resume *r = saga->shape.ctx;
    char value[SAGA_VALUE_MOST];
    uint64_t token;

    if (r->started_ns == 0) {
        r->started_ns = now_ns();
        r->began = number;
    }
    if (r->hold && number == r->first + 1)
        return kedge_later(step, &token);
    saga_value(value, kedge_step_view(step)->run, number);
    return kedge_ok(step, value, opt.record);
}

static void define(struct resume *r, int64_t checkpoint_us)
{
    struct saga_shape shape = {
        .name = "long",
        .n_steps = r->first + (opt.smoke ? 500 : ROOM),
        .in_flight = 1,
        .checkpoint_us = checkpoint_us,
        .observe = note_taken,
        .step = step,
        .ctx = r,
    };

    saga_define(&r->saga, &shape);
}

/* In a process of its own: so many steps, several per flush, and into the next one. */
static void build(void *ctx, void *result)
{
    struct resume *r = ctx;

    r->hold = true;
    define(r, 5000);
    saga_store_open(&r->saga, r->url, NULL);
    saga_worker_open(&r->saga);
    saga_start(&r->saga, 1, 0);
    saga_reach(&r->saga, r->first);
    *(uint64_t *)result = saga_counts(&r->saga).steps;
}

/* The worker takes the run and is in its first step; how long that took. */
static int64_t take(struct resume *r)
{
    int64_t began = now_ns();

    r->started_ns = 0;
    while (r->started_ns == 0) {
        saga_turn(&r->saga, 1);
        die_if_stopped();
    }
    return r->started_ns - began;
}

/*
 * Another worker has looked for work and found none, and has been idle for a while: all its
 * connections are made.  Then the one that has the run hands it back.
 */
static void relieve(struct resume *r)
{
    struct kedge_worker *old = r->saga.worker;
    struct kedge_worker *next;
    int64_t idle;

    saga_worker_open(&r->saga);
    idle = now_ns() + IDLE_NS;
    while (saga_counts(&r->saga).claims == 0 || now_ns() < idle) {
        saga_turn(&r->saga, 1);
        die_if_stopped();
    }
    next = r->saga.worker;
    r->saga.worker = old;
    saga_worker_close(&r->saga);
    r->saga.worker = next;
}

void resume_take_overs(struct side *side, const struct limit *limit)
{
    struct resume *r = side->ctx;
    uint64_t rounds = 0;

    do {
        int64_t took;

        relieve(r);
        took = take(r);
        side->own_ns += took;
        samples_add(&side->lat, took);
        samples_add(&r->read, (int64_t)r->bytes);
        side->ops++;
        if (r->began + 2 * ADVANCE < r->saga.shape.n_steps)
            saga_reach(&r->saga, ADVANCE);
    } while (!limit_reached(limit, ++rounds, now_ns()));
}

/* A run of STEPS finished steps whose process was killed, taken over once; a worker has it. */
struct resume *resume_open(uint64_t steps)
{
    struct resume *r = must_alloc(1, sizeof *r);
    uint64_t done;
    int64_t began = now_ns();

    r->first = (uint32_t)steps;
    subject_url(r->url, sizeof r->url, "kedge");
    (void)subject_ns((char[NS_BYTES]){ "" }, "long"); /* before there are two processes */
    proc_once(build, r, &done, sizeof done);
    if (done != r->first)
        die("%" PRIu64 " steps were done, not %" PRIu32, done, r->first);
    report_note("%" PRIu64 " steps done in %.1f s, what ended within 5 ms per flush", done,
                (double)(now_ns() - began) / 1e9);
    define(r, 0);
    saga_store_open(&r->saga, r->url, NULL);
    r->saga.runs = 1;
    saga_worker_open(&r->saga);
    (void)take(r);
    if (r->began != r->first + 1 || r->recoveries != 1)
        die("step %" PRIu32 " came next, after %" PRIu32 " recoveries", r->began, r->recoveries);
    report_note("after kill -9: %" PRIu64 " bytes read, %.1f ms, next step %.1f ms after the claim",
                r->bytes, (double)r->read_us / 1e3,
                (double)(r->started_ns - r->taken_ns) / 1e6 + (double)r->read_us / 1e3);
    return r;
}

uint64_t resume_close(struct resume *r, uint64_t *done)
{
    uint64_t there;

    saga_worker_close(&r->saga);
    there = saga_verify(&r->saga, r->began - 1, ADVANCE * 2);
    *done = there > r->began - 1 ? there : r->began - 1;
    saga_store_close(&r->saga);
    saga_undefine(&r->saga);
    samples_release(&r->read);
    free(r);
    return there;
}

void workload_resume(void)
{
    struct resume *r = resume_open(opt.smoke ? 1000 : opt.records);
    struct side sides[] = { { .name = "claim to next step", .run = resume_take_overs, .ctx = r } };
    uint64_t done;

    run_passes(sides, 1, 1);
    report_sides(sides, 1, "take-overs");
    report_below(&sides[0], BOUND_US);
    report_note("bytes read: median %.0f, from %.0f to %.0f", 1000 * samples_at(&r->read, 0.5),
                1000 * samples_at(&r->read, 0), 1000 * samples_at(&r->read, 1));
    (void)resume_close(r, &done);
    sides_release(sides, 1);
}
