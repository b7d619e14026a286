/*
 * redis_runs.c - what a step costs a Redis server, through the whole engine
 *
 *	./redis_runs URL
 *
 * One run and 64 runs in flight.  Beside a commit per step, or one for many of them, there are the
 * start and the claim; and whatever time passes, the lease's signs of life and the sweep seven
 * times a second, which reads.
 */
#include <inttypes.h>
#include <time.h>

#include "../support/saga.h"
#include "redis_seen.h"

enum { STEPS = 1000, RUNS = 64, SHORT = 100 };

static struct seen before;
static struct seen after;

static int say_null(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, NULL, 0);
}

static void say(const char *name, const char *what, int good)
{
    char text[160];

    (void)snprintf(text, sizeof text, "%s: %s", name, what);
    ok(good, text);
}

static double now_s(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#define LOOKS_PER_S   45 /* of the sweep and of who waits for work */
#define FLUSHES_PER_S 5  /* of the lease */

/* Script calls, answers and flushes are at most MOST, and what SECONDS of time cost. */
static void check_cost(const char *name, uint64_t steps, uint64_t most, double seconds)
{
    uint64_t calls = seen_calls(&before, &after, "evalsha");
    uint64_t flushes = after.flushes - before.flushes;
    uint64_t answers = seen_writes(&before, &after);
    uint64_t looks = (uint64_t)(LOOKS_PER_S * seconds);

    note("%s: %" PRIu64 " steps in %.1f s: %" PRIu64 " EVALSHA (%.3f per step), %" PRIu64
         " answers (%.3f), %" PRIu64 " flushes (%.3f), %.0f bytes of log per step",
         name, steps, seconds, calls, (double)calls / (double)steps, answers,
         (double)answers / (double)steps, flushes, (double)flushes / (double)steps,
         (double)(after.log - before.log) / (double)steps);
    say(name, "no script was sent in full", seen_calls(&before, &after, "eval") == 0);
    say(name, "script calls per step", calls <= most + looks);
    say(name, "answers per step", answers <= most + looks);
    say(name, "flushes per step", flushes <= most + (uint64_t)(FLUSHES_PER_S * seconds));
}

static void lone(void)
{
    struct kedge_reactor_def def = {
        sizeof def, "lone", 1, 0, chain(STEPS, say_null, 0), STEPS, sizeof(struct kedge_step_def),
        NULL,       NULL
    };
    struct kedge_worker *worker = worker_open(&def, NULL);
    pthread_t thread = worker_start(worker);
    double since;

    run_start("lone", "first"); /* connections are made */
    kedge_run_info_free(run_await("first"));
    since = now_s();
    seen_take(&before);
    run_start("lone", "lone");
    AWAIT(worker_counts(worker).runs_ended == 2);
    seen_take(&after);
    check_cost("one run", STEPS, STEPS + STEPS / 20, now_s() - since);
    worker_join(worker, thread);
}

static void crowd(void)
{
    static struct kedge_run_start all[RUNS];
    static char ids[RUNS][32];
    int outcomes[RUNS];
    struct kedge_reactor_def def = {
        sizeof def, "crowd", 1, 0, chain(SHORT, say_null, 0), SHORT, sizeof(struct kedge_step_def),
        NULL,       NULL
    };
    struct kedge_worker *worker = worker_open(&def, NULL);
    pthread_t thread = worker_start(worker);
    const uint64_t steps = (uint64_t)RUNS * SHORT;
    double since;

    for (int i = 0; i < RUNS; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "crowd-%d", i);
        all[i] = (struct kedge_run_start)KEDGE_START_INIT;
        all[i].reactor = "crowd";
        all[i].version = 1;
        all[i].id = kedge_text(ids[i]);
    }
    since = now_s();
    seen_take(&before);
    must(kedge_start_many(store, all, RUNS, sizeof *all, outcomes, LIVENESS, &err), "start_many");
    AWAIT(worker_counts(worker).runs_ended == RUNS);
    seen_take(&after);
    check_cost("64 runs", steps, steps / 10, now_s() - since);
    worker_join(worker, thread);
}

static void all(void)
{
    lone();
    crowd();
}

int main(int argc, char **argv)
{
    return saga_main(argc, argv, NULL, all);
}
