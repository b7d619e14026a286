/* engine.c - what a durable step costs through the whole engine */
#include <config.h>

#include "bare.h"
#include "engine.h"
#include "harness.h"
#include "saga.h"

#define N_OF(a) (sizeof(a) / sizeof *(a))
#define STEPS   1000
#define MANY    10000
#define FEW     10

static void report_counts(const struct saga *saga)
{
    struct kedge_counts c = saga_counts(saga);
    double steps = c.steps > 0 ? (double)c.steps : 1;

    report_note("(%s: %.1f steps a flush; %.4f hand-offs and %.4f wake-ups a step)",
                saga->shape.pool ? "pool" : "loop", steps / (c.flushes > 0 ? (double)c.flushes : 1),
                (double)c.hand_offs / steps, (double)c.wake_ups / steps);
}

/* Steps on the loop and steps of the pool, each against transactions of as many puts. */
static void sagas(uint32_t in_flight, double bound)
{
    static struct saga loop;
    static struct saga pool;
    static struct bare bare;
    static struct bare_runs runs;
    struct saga_shape shape = {
        .name = "loop",
        .n_steps = opt.smoke ? 5 : STEPS,
        .in_flight = in_flight,
        .feed = in_flight > 1 ? in_flight : 4,
    };
    struct bare_work bw = { &runs, in_flight };
    struct side sides[] = {
        { .name = "steps on the loop", .run = saga_steps, .ctx = &loop },
        { .name = the_kind()->side, .run = bare_appends, .ctx = &bw },
        { .name = "steps of the pool", .run = saga_steps, .ctx = &pool },
    };
    const struct claim claims[] = { { 0, 1, RATE, false, bound },
                                    { 0, 1, P50, true, 0 },
                                    { 2, 1, RATE, false, 0 } };

    saga_open(&loop, &shape);
    shape.name = "pool";
    shape.pool = true;
    saga_open(&pool, &shape);
    bare_begin(&bare, &runs, "bare", in_flight);
    run_passes(sides, N_OF(sides), opt.slices);
    report_sides(sides, N_OF(sides), "steps");
    report_claims(sides, claims, N_OF(claims));
    report_note("(runs of %u steps; a duration is that of a turn of the worker, or a transaction)",
                (unsigned)shape.n_steps);
    report_counts(&loop);
    report_counts(&pool);
    bare_end(&bare, &runs);
    saga_close(&pool);
    saga_close(&loop);
    sides_release(sides, N_OF(sides));
}

void workload_saga1(void)
{
    sagas(1, 0.9);
}

void workload_saga64(void)
{
    sagas(64, required(0.8, 0.8, 0.65));
}

/*
 * One run at a time.  Turns that claim are left out of both sides, and with them the last step of
 * each run; a third side counts all there is.
 */
void workload_stepcost(void)
{
    static struct saga few;
    static struct saga many;
    static struct saga whole;
    struct saga_shape shape = { .in_flight = 1, .feed = 64, .without_claims = true };
    struct side sides[] = {
        { .name = "10,000 steps", .run = saga_steps, .ctx = &many },
        { .name = "10 steps", .run = saga_steps, .ctx = &few },
        { .name = "10 steps, with claims", .run = saga_steps, .ctx = &whole },
    };
    static const struct claim claims[] = { { 0, 1, RATE, false, 1 / 1.3 },
                                           { 0, 1, P50, true, 1.3 },
                                           { 0, 2, RATE, false, 0 } };

    shape.name = "few";
    shape.n_steps = FEW;
    saga_open(&few, &shape);
    shape.name = "whole";
    shape.without_claims = false;
    saga_open(&whole, &shape);
    shape.name = "many";
    shape.n_steps = opt.smoke ? 100 : MANY;
    shape.feed = 4;
    shape.without_claims = true;
    saga_open(&many, &shape);
    run_passes(sides, N_OF(sides), opt.slices);
    report_sides(sides, N_OF(sides), "steps");
    report_claims(sides, claims, N_OF(claims));
    saga_close(&many);
    saga_close(&whole);
    saga_close(&few);
    sides_release(sides, N_OF(sides));
}
