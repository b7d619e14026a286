/*
 * outside.c - what reaches a server, what it writes and how often it flushes, as it counts itself
 *
 * Such counts do not depend on how fast anything is: a test can hold them against a bound.
 */
#include <config.h>

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "outside.h"
#include "saga.h"
#include "server.h"
#include "subject.h"

#define RUNS    64
#define CALLS   1000
#define STEPS   1000
#define HOUR_US INT64_C(3600000000)
#define DAY_US  INT64_C(86400000000)
#define IDLE_NS INT64_C(10000000000)
#define N_OF(a) (sizeof(a) / sizeof *(a))
#define EXACTLY 1.02 /* one, and what else the server happens to do in a thousand of them */
#define LEAVES  8    /* changes that chance may add to an idle time: one lease more, one window */

/* ----------------------------------------------------------------- the counters */

static struct bare outside_bare;
static void *outside_link;

static int64_t meter_cpu_ns(void *ctx)
{
    (void)ctx;
    return outside_bare.kind->cpu_ns(outside_link);
}

static int64_t meter_log_bytes(void *ctx)
{
    struct server_counts counts;

    (void)ctx;
    outside_bare.kind->counts(outside_link, &counts, false);
    return counts.log_bytes;
}

const struct meter *outside_open(const struct bare_kind *kind, bool strict)
{
    static struct meter meter = { meter_cpu_ns, meter_log_bytes, NULL };
    const char *wrong;

    if (kind == NULL || !kind->is_server)
        return NULL;
    bare_place(outside_bare.place, sizeof outside_bare.place, "outside");
    outside_bare.kind = kind;
    kind->open(&outside_bare);
    outside_link = kind->link(&outside_bare);
    wrong = strict ? kind->wrong(outside_link) : NULL;
    if (wrong != NULL)
        die("the server at --store is not as durable as it has to be for this: %s", wrong);
    meter.cpu_ns = kind->cpu_ns(outside_link) < 0 ? NULL : meter_cpu_ns;
    return &meter;
}

void outside_close(void)
{
    if (outside_link == NULL)
        return;
    outside_bare.kind->unlink(outside_link);
    outside_bare.kind->close(&outside_bare);
    outside_link = NULL;
}

int64_t outside_memory_kib(void)
{
    return outside_link != NULL ? server_memory_kib(outside_bare.kind->pid(outside_link)) : -1;
}

bool outside_flushes_all(void)
{
    return outside_bare.kind->wrong(outside_link) == NULL;
}

struct server_counts counts_now(void)
{
    struct server_counts counts = { 0 };

    outside_bare.kind->counts(outside_link, &counts, true);
    return counts;
}

struct happened since(const struct server_counts *before)
{
    struct server_counts now = counts_now();
    struct server_counts again = counts_now();

    return (struct happened){
        .log_bytes = (double)(now.log_bytes - before->log_bytes),
        .commands =
            (double)(now.commands - before->commands) - (double)(again.commands - now.commands),
        .round_trips = (double)(now.round_trips - before->round_trips) -
                       (double)(again.round_trips - now.round_trips),
        .flushes = (double)(now.flushes - before->flushes),
        .changes = (double)(now.changes - before->changes),
    };
}

/* ------------------------------------------------------------------ bare clients */

void workload_bare(void)
{
    static struct bare bare;
    static struct bare_runs one;
    static struct bare_runs many;
    struct bare_work ow = { &one, 1 };
    struct bare_work mw = { &many, RUNS };
    struct side sides[] = {
        { .name = "bare, one at a time", .run = bare_appends, .ctx = &ow },
        { .name = "bare, 64 at a time", .run = bare_appends, .ctx = &mw },
    };

    bare_begin(&bare, &one, "bare", RUNS);
    bare_runs_init(&many, &bare, 1000, RUNS);
    run_passes(sides, N_OF(sides), opt.slices);
    report_sides(sides, N_OF(sides), "records");
    bare_verify(&many);
    bare_runs_release(&many);
    bare_end(&bare, &one);
    sides_release(sides, N_OF(sides));
}

/* ------------------------------------------------------------------------ counts */

static void report_happened(const char *side, const struct happened *h, double calls, double steps)
{
    bool trips = h->round_trips > 0;

    report_value(side, "commands_per_call", 0, h->commands / calls);
    report_value(side, "flushes_per_call", 0, h->flushes / calls);
    if (trips)
        report_value(side, "round_trips_per_call", 0, h->round_trips / calls);
    report_value(side, "commands_per_step", 0, h->commands / steps);
    report_value(side, "flushes_per_step", 0, h->flushes / steps);
    report_value(side, "changes_per_step", 0, h->changes / steps);
    report_value(side, "log_bytes_per_step", 0, h->log_bytes / steps);
    report_note("%-28s %8.0f %8.0f %9.4f %9.4f %11.4f %10.4f %8.2f %8.0f", side, calls, steps,
                h->commands / calls, h->flushes / calls, trips ? h->round_trips / calls : 0,
                h->flushes / steps, h->changes / steps, h->log_bytes / steps);
}

/* More than one of something that there is to be one of.  In a smoke run that is a failure. */
static void expect_one(const char *side, const char *what, double n)
{
    if (n <= EXACTLY)
        return;
    if (opt.smoke)
        die("%s: %.3f %s", side, n, what);
    report_note("=> %s: %.3f %s   required <= %.2f: MISSED", side, n, what, EXACTLY);
}

static void count_bare(size_t size, size_t calls)
{
    static struct bare bare;
    static struct bare_runs runs;
    struct server_counts before;
    struct happened h;
    char name[64];

    (void)snprintf(name, sizeof name, "bare, %zu at a time", size);
    bare_begin(&bare, &runs, "bare", RUNS);
    bare.kind->unlink(runs.link);
    before = counts_now();
    runs.link = bare.kind->link(&bare);
    for (size_t i = 0; i < calls; i++)
        bare_append(&runs, size);
    bare.kind->unlink(runs.link); /* now it has told all of it */
    h = since(&before);
    runs.link = bare.kind->link(&bare);
    report_happened(name, &h, (double)calls, (double)(calls * size));
    bare_end(&bare, &runs);
}

/* From the opening of a session to its end. */
static struct happened count_appends(struct subject *subject, struct user *user, struct runs *runs,
                                     size_t size, size_t calls)
{
    struct server_counts before = counts_now();
    char url[PATH_MAX + 64];

    subject_url(url, sizeof url, "kedge");
    user_return(user, subject, url, "counts");
    for (size_t i = 0; i < calls; i++)
        user_append(user, runs, size);
    user_leave(user, subject);
    return since(&before);
}

/*
 * Calls of commit.  What it takes to open, to close, and to append to each run once is subtracted:
 * the first time a session meets a run it may have to look.
 */
static void count_commits(size_t size, size_t calls)
{
    static struct subject subject;
    static struct user user;
    struct runs runs;
    struct happened nothing;
    size_t first = RUNS / size;
    struct happened h;
    char url[PATH_MAX + 64];
    char name[64];

    (void)snprintf(name, sizeof name, "store, %zu at a time", size);
    subject_url(url, sizeof url, "kedge");
    subject_open(&subject, url, "counts");
    user_open(&user, &subject, HOUR_US);
    runs_create(&runs, &user, size * 1000, RUNS);
    user_leave(&user, &subject);
    nothing = count_appends(&subject, &user, &runs, size, first);
    h = count_appends(&subject, &user, &runs, size, first + calls);
    user_return(&user, &subject, url, "counts");
    h.commands -= nothing.commands;
    h.round_trips -= nothing.round_trips;
    h.flushes -= nothing.flushes;
    h.changes -= nothing.changes;
    h.log_bytes -= nothing.log_bytes;
    report_happened(name, &h, (double)calls, (double)(calls * size));
    expect_one(name, "commands per call", h.commands / (double)calls);
    expect_one(name, "flushes per call", h.flushes / (double)calls);
    expect_one(name, "round trips per call", h.round_trips / (double)calls);
    user_verify(&user, &runs);
    runs_release(&runs);
    user_close(&user);
    subject_close(&subject);
}

/* All there is of runs that go from their start to their end, on a worker that is opened for it. */
static void count_steps(uint32_t in_flight)
{
    static struct saga saga;
    struct saga_shape shape = {
        .name = in_flight > 1 ? "count64" : "count1",
        .n_steps = opt.smoke ? 50 : STEPS,
        .in_flight = in_flight,
    };
    uint64_t steps = (uint64_t)shape.n_steps * in_flight;
    struct server_counts before;
    struct kedge_counts counts;
    struct happened h;
    char url[PATH_MAX + 64];
    char name[64];

    (void)snprintf(name, sizeof name, "engine, %u in flight", (unsigned)in_flight);
    subject_url(url, sizeof url, "kedge");
    saga_define(&saga, &shape);
    saga_store_open(&saga, url, NULL);
    saga_start(&saga, in_flight, 0);
    saga_store_close(&saga);
    before = counts_now();
    saga_store_open(&saga, url, NULL);
    saga_worker_open(&saga);
    while (saga_counts(&saga).runs_ended < in_flight) {
        saga_turn(&saga, 1);
        die_if_stopped();
    }
    counts = saga_counts(&saga);
    saga_worker_close(&saga);
    saga_store_close(&saga);
    h = since(&before);
    report_happened(name, &h, (double)counts.flushes, (double)steps);
    saga_store_open(&saga, url, NULL);
    saga_verify(&saga, steps, 0);
    saga_store_close(&saga);
    saga_undefine(&saga);
}

void workload_counts(void)
{
    size_t calls = opt.smoke ? 200 : CALLS;

    report_note("%-28s %8s %8s %9s %9s %11s %10s %8s %8s", "", "calls", "steps", "commands",
                "flushes", "round trips", "flushes", "changes", "log B");
    report_note("%-28s %8s %8s %9s %9s %11s %10s %8s %8s", "", "", "", "a call", "a call", "a call",
                "a step", "a step", "a step");
    count_bare(1, calls);
    count_bare(RUNS, calls);
    count_commits(1, calls);
    count_commits(RUNS, calls);
    count_steps(1);
    count_steps(RUNS);
    report_note("(commands: scripts called, or transactions; of the engine everything is counted: "
                "opening, heartbeats, looks, claims, the end of runs; a call is one that carries "
                "commits)");
}

/* -------------------------------------------------------------------------- idle */

/* A worker that has nothing to do, for a while; it is woken when it says so only. */
static struct happened be_idle(struct saga *saga, const char *url, int64_t *cpu_ns)
{
    struct server_counts before = counts_now();
    int64_t until;
    int64_t cpu;
    struct kedge_error err;

    saga_store_open(saga, url, NULL);
    saga_worker_open(saga);
    until = now_ns() + (opt.smoke ? IDLE_NS / 10 : IDLE_NS);
    cpu = outside_bare.kind->cpu_ns(outside_link);
    while (now_ns() < until) {
        struct pollfd fd = { .fd = kedge_worker_fd(saga->worker), .events = POLLIN };

        die_if_stopped();
        if (poll(&fd, 1, 100) == 1 && kedge_worker_turn(saga->worker, &err) != KEDGE_OK)
            die("the worker stops: %s", err.msg);
    }
    *cpu_ns = outside_bare.kind->cpu_ns(outside_link) - cpu;
    if (saga_counts(saga).runs_taken > 0)
        die("the worker has taken a run");
    saga_worker_close(saga);
    saga_store_close(saga);
    return since(&before);
}

static void report_idle(const char *side, const struct happened *h, int64_t cpu_ns)
{
    report_value(side, "changes", 0, h->changes);
    report_value(side, "flushes", 0, h->flushes);
    report_value(side, "commands", 0, h->commands);
    report_value(side, "log_bytes", 0, h->log_bytes);
    report_note("%-28s %8.0f %8.0f %9.0f %10.0f %12.2f", side, h->changes, h->flushes, h->commands,
                h->log_bytes, (double)cpu_ns / 1e6);
}

void workload_idle(void)
{
    static struct saga saga;
    static struct subject subject;
    static struct user user;
    struct saga_shape shape = { .name = "waiting", .n_steps = 10, .in_flight = 64 };
    uint64_t n = opt.smoke ? 500 : opt.waiting;
    struct happened none;
    struct happened many;
    int64_t cpu;
    char url[PATH_MAX + 64];

    subject_url(url, sizeof url, "kedge");
    saga_define(&saga, &shape);
    saga_store_open(&saga, url, NULL); /* that it is set up is not counted */
    saga_store_close(&saga);
    report_note("%-28s %8s %8s %9s %10s %12s", "", "changes", "flushes", "commands", "log B",
                "server ms");
    none = be_idle(&saga, url, &cpu);
    report_idle("no runs", &none, cpu);
    saga_store_open(&saga, url, NULL);
    saga_start(&saga, n / 2, DAY_US);
    saga_store_close(&saga);
    subject_open(&subject, url, shape.name);
    user_open(&user, &subject, HOUR_US);
    user_park(&user, 1, n - n / 2);
    user_close(&user);
    subject_close(&subject);
    many = be_idle(&saga, url, &cpu);
    report_idle("waiting runs", &many, cpu);
    report_note("=> %" PRIu64 " waiting runs add %.0f changes in %.0f s   required <= %d: %s", n,
                many.changes - none.changes, (double)IDLE_NS / 1e9, LEAVES,
                many.changes - none.changes <= LEAVES ? "met" : "MISSED");
    report_note("(from the opening of a worker to its closing; half of the runs are due in a day, "
                "half are parked; flushes and bytes have in them what the server does by itself)");
    if (opt.smoke && many.changes - none.changes > LEAVES)
        die("%" PRIu64 " waiting runs add %.0f changes", n, many.changes - none.changes);
    saga_undefine(&saga);
}
