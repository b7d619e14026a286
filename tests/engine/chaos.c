/*
 * chaos.c - worker processes are killed with -9 and stopped with SIGSTOP while they carry runs
 *
 * Runs of eight steps of 20 ms, of three shapes (a chain, a fan, a ladder, so that several steps of
 * a run are in flight at once); the last step of every fifth fails for good, so that it rolls back.
 * Runs are started all along, so that there is always something in flight to hit.  The nemesis
 * waits until the process it wants has steps in flight, and then, as the seed says, kills it, or
 * stops it for a moment, or stops it until its lease has been buried and wakes it when its runs
 * went on elsewhere.  What happened, and what the journals say, is in chaos_check.c.  Speaks TAP.
 *
 *	KEDGE_TEST_SEED=N ./chaos URL DIR PROCESSES RUNS KILLS STOPS
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kedge/backend.h>

#include "chaos.h"

#define TTL_US      (2 * SECONDS)
#define STEP_US     INT64_C(20000)
#define POLL_US     INT64_C(1000)
#define PATIENCE_US (120 * SECONDS) /* nothing takes so long, unless it hangs */

enum { PROCESSES_MOST = 16 };

const uint32_t chaos_after[CHAOS_SHAPES][CHAOS_STEPS] = {
    { 0, 1, 2, 4, 8, 16, 32, 64 },     /* one after the other */
    { 0, 1, 1, 1, 1, 1, 1, 126 },      /* six at once */
    { 0, 1, 1, 2, 4, 8, 16, 32 | 64 }, /* two lines: 1 3 5 and 2 4 6 */
};

/* ------------------------------------------------------------------- steps */

static int run_it(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);
    struct line line = effects_of(step, LINE_BEGIN);
    char value[128];
    int fails = 0;

    (void)user;
    effects_write(line);
    nap_us(STEP_US); /* the step's work */
    line.kind = LINE_END;
    effects_write(line);
    must(kedge_json_bool(view->input.data, view->input.len, "/fails", &fails, &err), "input");
    (void)effects_value(&line, value, sizeof value);
    if (fails && line.step == CHAOS_STEPS - 1)
        return kedge_fail(step, KEDGE_FAIL_FINAL, value);
    return kedge_ok(step, value, strlen(value));
}

static int undo_it(struct kedge_step *step, void *user)
{
    struct line line = effects_of(step, LINE_BEGIN);

    (void)user;
    effects_write(line);
    nap_us(STEP_US / 4);
    line.kind = LINE_END;
    effects_write(line);
    return kedge_ok(step, NULL, 0);
}

static struct kedge_reactor *make_reactor(int shape)
{
    static const char *const names[CHAOS_STEPS] = {
        "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"
    };
    static const char *const shapes[CHAOS_SHAPES] = { "chain", "fan", "ladder" };
    const char *after[CHAOS_STEPS][CHAOS_STEPS + 1] = { { NULL } };
    struct kedge_step_def steps[CHAOS_STEPS];
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT(shapes[shape], 1, steps);
    struct kedge_reactor *reactor;

    memset(steps, 0, sizeof steps);
    for (int i = 0; i < CHAOS_STEPS; i++) {
        int n = 0;

        for (int j = 0; j < i; j++)
            if ((chaos_after[shape][i] >> j & 1) != 0)
                after[i][n++] = names[j];
        steps[i].name = names[i];
        steps[i].run = run_it;
        steps[i].undo = undo_it;
        steps[i].flags = KEDGE_STEP_POOL;
        steps[i].after = after[i];
    }
    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    return reactor;
}

static void be_worker(char **args)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactors[CHAOS_SHAPES];

    effects_open(args[1], number_of(args[2], CHAOS_WORKERS_MOST));
    for (int i = 0; i < CHAOS_SHAPES; i++)
        reactors[i] = make_reactor(i);
    options.pool_threads = 4;
    options.in_flight = 8;
    options.claim_slice = 4;
    options.crash_limit = 1000; /* here every run comes to its end, however often it is hit */
    options.lease_ttl_us = TTL_US;
    effects_serve(args[0], reactors, CHAOS_SHAPES, &options);
}

/* ----------------------------------------------------------------- nemesis */

struct victim {
    int worker;
    pid_t pid;
    int stopped;
};

static const char *url;
static char log_path[4096];
static struct kedge_store *store;
static struct chaos_log all;
static struct victim victims[PROCESSES_MOST];
static int n_victims;
static int n_workers; /* so far */
static int n_runs;
static int started;
static int open_steps[CHAOS_WORKERS_MOST]; /* begun and not ended, by worker */
static int ended_steps[CHAOS_WORKERS_MOST];
static int ready[CHAOS_WORKERS_MOST];
static uint64_t rng;

static uint64_t draw(uint64_t below)
{
    uint64_t z = (rng += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static void read_lines(void)
{
    struct line line;

    while (effects_read(&line)) {
        if (all.n == all.max) {
            all.max = all.max == 0 ? 4096 : 2 * all.max;
            all.lines = realloc(all.lines, all.max * sizeof *all.lines);
            if (all.lines == NULL)
                bail("out of memory");
        }
        if (line.worker < 0 || line.worker >= CHAOS_WORKERS_MOST)
            bail("a line from nobody");
        all.lines[all.n++] = line;
        open_steps[line.worker] += line.kind == LINE_BEGIN;
        open_steps[line.worker] -= line.kind == LINE_END;
        ended_steps[line.worker] += line.kind == LINE_END;
        ready[line.worker] |= line.kind == LINE_READY;
    }
}

static void note(enum line_kind kind, const struct victim *v)
{
    effects_write((struct line){ .kind = (int32_t)kind, .worker = v->worker });
}

static void spawn(struct victim *v)
{
    static char flag[] = "--worker";
    char number[16];
    char *args[] = { NULL, flag, (char *)(uintptr_t)url, log_path, number, NULL };

    if (++n_workers >= CHAOS_WORKERS_MOST)
        bail("too many workers");
    (void)snprintf(number, sizeof number, "%d", n_workers);
    *v = (struct victim){ n_workers, effects_spawn(args), 0 };
}

/* So many runs are started by now. */
static void start_runs(int until)
{
    for (; started < until && started < n_runs; started++) {
        static const char *const shapes[CHAOS_SHAPES] = { "chain", "fan", "ladder" };
        struct kedge_run_start start = KEDGE_START_INIT;
        char id[24];
        int rc;

        (void)snprintf(id, sizeof id, "run-%d", started);
        start.reactor = shapes[chaos_shape(started)];
        start.version = 1;
        start.id = kedge_text(id);
        start.input = kedge_text(chaos_fails(started) ? "{\"fails\":true}" : "{\"fails\":false}");
        rc = kedge_start(store, &start, 60 * SECONDS, &err);
        if (rc == KEDGE_ERR_UNKNOWN)
            rc = kedge_start(store, &start, 60 * SECONDS, &err);
        if (rc != KEDGE_EXISTS)
            must(rc, "start");
    }
}

/* A process at work, and the moment: steps in flight, or one that has ended just now. */
static struct victim *choose(void)
{
    struct victim *v = NULL;
    int64_t until = now_us() + PATIENCE_US;
    int want_end = (int)draw(3) == 0;
    int ended;

    for (int i = 1;; i++) {
        v = &victims[draw((uint64_t)n_victims)];
        read_lines();
        if (!v->stopped && ready[v->worker] && open_steps[v->worker] > 0)
            break;
        if (now_us() > until)
            bail("nobody works any more");
        if (i % 200 == 0) { /* they have done it all: more than was asked for */
            n_runs = started + n_victims > n_runs ? started + n_victims : n_runs;
            start_runs(started + n_victims);
        }
        nap_us(POLL_US);
    }
    if (!want_end) {
        nap_us((int64_t)draw((uint64_t)STEP_US));
        return v;
    }
    for (ended = ended_steps[v->worker]; ended_steps[v->worker] == ended && now_us() < until;) {
        nap_us(POLL_US / 10);
        read_lines();
    }
    return v;
}

static void wait_for_burial(int worker)
{
    int64_t until = now_us() + PATIENCE_US;

    while (!effects_lease_dead(store, worker, NULL)) {
        if (now_us() > until)
            bail("worker %d is dead or stopped, and nobody buries it", worker);
        nap_us(10 * POLL_US);
    }
}

/* Mostly the next blow waits until this one was noticed; when several look dead at once, crash
   hints do not count, and it takes a lease's whole time. */
static void kill_one(struct victim *v)
{
    int worker = v->worker;

    note(LINE_KILL, v);
    (void)kill(v->pid, SIGKILL);
    (void)waitpid(v->pid, NULL, 0);
    note(LINE_DEAD, v);
    spawn(v);
    if (draw(8) != 0)
        wait_for_burial(worker);
}

static void stop(struct victim *v)
{
    int status;

    note(LINE_STOP, v);
    (void)kill(v->pid, SIGSTOP);
    if (waitpid(v->pid, &status, WUNTRACED) != v->pid || !WIFSTOPPED(status))
        bail("worker %d has ended by itself", v->worker);
    v->stopped = 1;
}

static void wake(struct victim *v)
{
    note(LINE_CONT, v);
    (void)kill(v->pid, SIGCONT);
    v->stopped = 0;
}

static int stop_shortly(void)
{
    struct victim *v = choose();

    stop(v);
    nap_us(TTL_US / 20 + (int64_t)draw((uint64_t)TTL_US / 5)); /* its lease lives */
    wake(v);
    return 1;
}

/* Not inside a write: that holds up everybody, as it must, and nothing can be learned from it. */
static struct victim *stop_for_long(void)
{
    for (int i = 0; i < 1000; i++) {
        struct victim *v = choose();

        stop(v);
        if (effects_writable(store))
            return v;
        wake(v);
    }
    bail("every stop hits a write");
}

/* Until it has been declared dead, and then for some more. */
static void wake_the_dead(struct victim *v)
{
    wait_for_burial(v->worker);
    nap_us((int64_t)draw(300) * 1000);
    wake(v);
}

/* One blow after the other.  Every second stop is a long one; the blows go on meanwhile. */
static void havoc(int kills, int stops)
{
    struct victim *sleeper = NULL;
    int blows = kills + stops;
    int n_stops = 0;

    for (int i = 0; i < blows; i++) {
        start_runs((i + 1) * n_runs / blows + n_victims);
        if (draw((uint64_t)(blows - i)) >= (uint64_t)stops) {
            kill_one(choose());
        } else {
            stops--;
            if (n_stops++ % 2 == 1) {
                (void)stop_shortly();
            } else {
                if (sleeper != NULL)
                    wake_the_dead(sleeper);
                sleeper = stop_for_long();
                continue;
            }
        }
        if (sleeper != NULL && effects_lease_dead(store, sleeper->worker, NULL) && draw(2) == 0) {
            wake_the_dead(sleeper);
            sleeper = NULL;
        }
    }
    if (sleeper != NULL)
        wake_the_dead(sleeper);
    start_runs(n_runs);
}

static void wait_for_all(void)
{
    for (int r = 0; r < n_runs; r++) {
        char id[24];
        int rc;

        (void)snprintf(id, sizeof id, "run-%d", r);
        rc = kedge_run_wait(store, kedge_text(id), NULL, PATIENCE_US, &err);
        if (rc != KEDGE_OK)
            bail("run %d does not come to its end: %s", r, kedge_status_name(rc));
    }
}

/* They end as they should when they are asked to. */
static int end_all(void)
{
    int bad = 0;

    for (int i = 0; i < n_victims; i++) {
        int64_t until = now_us() + PATIENCE_US;
        int status;

        while (!ready[victims[i].worker] && now_us() < until) {
            nap_us(POLL_US);
            read_lines();
        }
        (void)kill(victims[i].pid, SIGTERM);
        if (waitpid(victims[i].pid, &status, 0) != victims[i].pid || status != 0) {
            printf("# worker %d ended with status 0x%x\n", victims[i].worker, (unsigned)status);
            bad++;
        }
    }
    return bad;
}

static void seed(void)
{
    const char *given = getenv("KEDGE_TEST_SEED");

    if (given != NULL && *given != '\0')
        rng = strtoull(given, NULL, 0);
    else if (getrandom(&rng, sizeof rng, 0) != (ssize_t)sizeof rng)
        bail("no randomness");
    printf("# KEDGE_TEST_SEED=0x%llx\n", (unsigned long long)rng);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    int kills;
    int stops;
    int failed;
    int bad;
    int n;

    if (argc == 5 && strcmp(argv[1], "--worker") == 0)
        be_worker(argv + 2);
    if (argc != 7) {
        (void)fprintf(stderr, "usage: chaos URL DIR PROCESSES RUNS KILLS STOPS\n");
        return 2;
    }
    url = argv[1];
    n_victims = number_of(argv[3], PROCESSES_MOST);
    n_runs = number_of(argv[4], 100000);
    kills = number_of(argv[5], CHAOS_WORKERS_MOST / 2);
    stops = number_of(argv[6], CHAOS_WORKERS_MOST / 2);
    if (n_victims < 3 || kills + stops < 1)
        bail("nobody would take over, or nothing happen");
    seed();
    (void)snprintf(log_path, sizeof log_path, "%s/effects", argv[2]);
    effects_open(log_path, 0);
    options.flags = KEDGE_STORE_CREATE;
    must(kedge_store_open(url, &options, &store, &err), "open");
    if ((kedge_store_ops(store)->caps & KEDGE_CAP_SHARED) == 0) {
        printf("1..0 # SKIP processes cannot share this store\n");
        return 0;
    }
    for (int i = 0; i < n_victims; i++)
        spawn(&victims[i]);
    havoc(kills, stops);
    wait_for_all();
    bad = end_all();
    read_lines();
    printf("# %d processes, %d runs, %d kills, %d stops\n", n_workers, n_runs, kills, stops);
    printf("%sok 1 - the workers that were left ended well when asked\n", bad == 0 ? "" : "not ");
    failed = (bad != 0) + chaos_check(store, &all, n_runs, 2, &n);
    printf("1..%d\n", 1 + n);
    kedge_store_close(store);
    return failed != 0;
}
