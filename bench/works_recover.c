/*
 * works_recover.c - a worker process is killed with -9; how long until its runs go on elsewhere
 *
 * Two processes have a worker each.  One holds all runs, each in a step that does not end; the
 * other one waits.  The first is killed; what counts for each run is the time from the kill to the
 * start of that step in the other process, which ends it, and holds the run in the next one.  Then
 * a new process waits, and the next is killed.  Times are of CLOCK_MONOTONIC, one for all of them.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "procs.h"
#include "saga.h"
#include "settings.h"
#include "subject.h"

#define STEPS    20000 /* one a kill */
#define LOOK_NS  INT64_C(200000)
#define GIVE_UP  INT64_C(60000000000)
#define RUNS_MAX 1024

/* Of a run; the process at work writes it, all of them see it. */
struct track {
    _Atomic int64_t taken_ns;
    _Atomic uint32_t taken_by; /* generation of the process, from 1 on */
    _Atomic uint32_t held_by;
    _Atomic uint32_t last; /* step that began */
};

struct seen {
    _Atomic uint32_t ready; /* youngest generation whose worker is open */
    _Atomic uint32_t again; /* steps that ran although a later one had begun */
    struct track runs[RUNS_MAX];
};

struct recover {
    struct saga saga;
    char url[PATH_MAX + 64];
    unsigned clients;
    struct seen *seen;
    uint32_t generation; /* of this process; in the parent: that of the one at work */
    pid_t at_work;
    pid_t waiting;
};

static int step(struct saga *saga, struct kedge_step *step, uint32_t number)
{
    struct recover *r = saga->shape.ctx;
    struct kedge_bytes id = kedge_step_view(step)->run;
    struct track *t = &r->seen->runs[saga_run_of(id)];
    char value[SAGA_VALUE_MOST];
    uint64_t token;

    if (number < atomic_load(&t->last))
        (void)atomic_fetch_add(&r->seen->again, 1);
    atomic_store(&t->last, number);
    if (atomic_load(&t->taken_by) == r->generation) {
        int rc = kedge_later(step, &token);

        atomic_store(&t->held_by, r->generation);
        return rc;
    }
    atomic_store(&t->taken_ns, now_ns());
    atomic_store(&t->taken_by, r->generation);
    saga_value(value, id, number);
    return kedge_ok(step, value, opt.record);
}

static void define(struct recover *r)
{
    struct saga_shape shape = {
        .name = "recover",
        .n_steps = STEPS,
        .in_flight = r->clients,
        .step = step,
        .ctx = r,
    };

    saga_define(&r->saga, &shape);
}

static void serve(void *ctx)
{
    struct recover *r = ctx;

    define(r);
    saga_store_open(&r->saga, r->url, NULL);
    if (r->generation == 1)
        saga_start(&r->saga, r->clients, 0);
    saga_worker_open(&r->saga);
    atomic_store(&r->seen->ready, r->generation);
    for (;;)
        saga_turn(&r->saga, 1000);
}

static pid_t spawn(struct recover *r, uint32_t generation)
{
    uint32_t own = r->generation;
    pid_t pid;

    r->generation = generation;
    pid = proc_start(serve, r);
    r->generation = own;
    return pid;
}

/* Until DONE; the processes do not end by themselves. */
static void await(struct recover *r, bool (*done)(const struct recover *r), const char *what)
{
    int64_t until = now_ns() + GIVE_UP;

    while (!done(r)) {
        die_if_stopped();
        if (waitpid(-1, NULL, WNOHANG) > 0)
            die("a worker process ended by itself");
        if (now_ns() > until)
            die("%s within a minute", what);
        sleep_until(now_ns() + LOOK_NS);
    }
}

static bool is_ready(const struct recover *r)
{
    return atomic_load(&r->seen->ready) == r->generation + 1;
}

static bool holds_all(const struct recover *r)
{
    for (unsigned i = 0; i < r->clients; i++)
        if (atomic_load(&r->seen->runs[i].held_by) != r->generation)
            return false;
    return true;
}

static void next_waits(struct recover *r)
{
    r->waiting = spawn(r, r->generation + 1);
    await(r, is_ready, "no worker process was ready");
}

static void kill_one(struct recover *r, struct side *side)
{
    int64_t killed = now_ns();
    int64_t last = killed;

    proc_kill(r->at_work);
    r->at_work = r->waiting;
    r->waiting = 0;
    r->generation++;
    await(r, holds_all, "the runs of a killed process did not go on");
    for (unsigned i = 0; i < r->clients; i++) {
        int64_t taken = atomic_load(&r->seen->runs[i].taken_ns);

        samples_add(&side->lat, taken - killed);
        last = taken > last ? taken : last;
    }
    side->ops += r->clients;
    side->own_ns += last - killed;
}

static void recoveries(struct side *side, const struct limit *limit)
{
    struct recover *r = side->ctx;
    uint64_t rounds = 0;

    do {
        kill_one(r, side);
        next_waits(r);
        if (r->generation + 10 > STEPS)
            die("more than %d kills: measure for a shorter time", STEPS);
    } while (!limit_reached(limit, ++rounds, now_ns()));
}

void recover_open(struct work *work)
{
    struct recover *r = must_alloc(1, sizeof *r);
    char ns[NS_BYTES];

    if (work->clients > RUNS_MAX)
        die("at most %d runs", RUNS_MAX);
    r->clients = work->clients;
    r->seen =
        mmap(NULL, sizeof *r->seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r->seen == MAP_FAILED)
        die("out of memory");
    subject_url(r->url, sizeof r->url, work->kind->name);
    (void)subject_ns(ns, "recover"); /* one for all processes */
    r->at_work = spawn(r, 1);
    await(r, is_ready, "no worker process was ready");
    r->generation = 1;
    await(r, holds_all, "no worker process took the runs");
    next_waits(r);
    work->own = r;
    work->what = "steps";
    work->side.run = recoveries;
    work->side.ctx = r;
}

void recover_close(struct work *work)
{
    struct recover *r = work->own;

    proc_kill(r->at_work);
    proc_kill(r->waiting);
    if (atomic_load(&r->seen->again) > 0)
        die("%" PRIu32 " steps ran again that had been followed by others",
            (uint32_t)atomic_load(&r->seen->again));
    define(r);
    saga_store_open(&r->saga, r->url, NULL);
    r->saga.runs = r->clients;
    for (unsigned i = 0; i < r->clients; i++) {
        uint32_t last = atomic_load(&r->seen->runs[i].last);

        atomic_store(&r->saga.seen[i], last);
        work->written += last - 1; /* it is held in its last one */
    }
    work->readable = saga_verify(&r->saga, work->written, 0);
    saga_store_close(&r->saga);
    saga_undefine(&r->saga);
    (void)munmap(r->seen, sizeof *r->seen);
    free(r);
}
