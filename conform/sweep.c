/*
 * sweep.c - cases: sweeping goes on for ever, once per window of time, whoever dies
 *
 * A tick is a run, one per window.  Its holder sweeps and says so in one commit: the time is in the
 * window, the window's cell is absent and put now, the tick of the next window is created, and the
 * tick comes to rest.  So a tick that is duplicated, redelivered, late or killed anywhere has swept
 * once or not at all, and whoever has swept has left a successor.  Windows are the store's clock's.
 * That all of this holds is the contract's work: guards, creation and rest are one commit.
 *
 * A sweep finds what the dead have left: list_expired, bury, take.
 */
#include "cases.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload.h"
#include "victim.h"

#define INTERVAL SEC(30)
#define WINDOWS  10

/* What the sweeps have done, in a cell that each of their commits changes. */
struct tally {
    int64_t sweeps;
    int64_t first;
    int64_t last;   /* windows */
    int64_t widest; /* from one to the next */
};

static struct kedge_bytes window_cell(struct world *w, int64_t window)
{
    return name(w, "window-%lld", (long long)window);
}

static struct kedge_bytes tick_id(struct world *w, int64_t window)
{
    return name(w, "tick-%lld", (long long)window);
}

static int64_t window_now(struct world *w)
{
    struct kedge_time now;

    expect_ok(do_now(w, &now));
    return now.wall / INTERVAL;
}

/* The tally, and the version of its cell. */
static struct tally tally_get(struct world *w, uint64_t *version)
{
    struct tally t = { 0 };
    struct kedge_cell cell;
    int rc = do_cell(w, str("tally"), &cell);

    *version = 0;
    if (rc == KEDGE_NOT_FOUND)
        return t;
    expect_rc(rc, KEDGE_OK);
    expect_eq(cell.value.len, sizeof t);
    memcpy(&t, cell.value.data, sizeof t);
    *version = cell.version;
    return t;
}

static void count_sweep(struct tally *t, int64_t window)
{
    if (t->sweeps++ == 0)
        t->first = window;
    else if (window - t->last > t->widest)
        t->widest = window - t->last;
    t->last = window;
}

/* ---------------------------------------------------------------------- a tick */

/* The commit of a tick that sweeps in WINDOW. */
static void sweep_tx(struct world *w, struct tx *t, const struct run *r, int64_t window)
{
    struct kedge_bytes next = tick_id(w, window + 1);
    uint64_t version;
    struct tally *tally = zeroed(w, 1, sizeof *tally);

    *tally = tally_get(w, &version);
    count_sweep(tally, window);
    tx_init(w, t);
    g_held(t, r);
    g_time(t, window * INTERVAL, (window + 1) * INTERVAL);
    g_cell(t, window_cell(w, window), 0);
    g_cell(t, str("tally"), version);
    c_append(t, r->id, r->position + 1, str("swept"));
    c_cell_put(t, window_cell(w, window), str("swept"), from_now(2 * INTERVAL));
    c_cell_put(t, str("tally"), bytes(tally, sizeof *tally), never());
    if (!is_there(w, next))
        c_create_due(t, next, at((window + 1) * INTERVAL));
    c_rest(t, r->id, KEDGE_COMPLETED, from_now(10 * INTERVAL));
}

/* R's holder does what it is there for.  Answers whether it has swept; else another has. */
static bool tick(struct world *w, const struct run *r)
{
    struct tx t;

    for (int i = 0; i < 100; i++) {
        int64_t window = window_now(w);
        int rc;

        if (cell_version(w, window_cell(w, window)) != 0) {
            release_rest(w, r, KEDGE_HALTED, from_now(10 * INTERVAL));
            return false;
        }
        sweep_tx(w, &t, r, window);
        rc = tx_send(w, &t);
        if (rc == KEDGE_OK)
            return true;
        if (rc != KEDGE_STALE && rc != KEDGE_EXISTS)
            check_tx(__FILE__, __LINE__, &t, KEDGE_OK);
    }
    fail_case(__FILE__, __LINE__, "a tick does not come to an end");
}

/* Make the tick of the next window, if there is none; answers whether it was made. */
static bool kick(struct world *w)
{
    int64_t window = window_now(w) + 1;
    struct tx t;
    int rc;

    tx_init(w, &t);
    g_absent(&t, tick_id(w, window));
    g_cell(&t, window_cell(w, window), 0);
    c_create_due(&t, tick_id(w, window), at(window * INTERVAL));
    rc = tx_send(w, &t);
    if (rc != KEDGE_EXISTS)
        check_tx(__FILE__, __LINE__, &t, KEDGE_OK);
    return rc == KEDGE_OK;
}

/* ------------------------------------------------------------------- who sweeps */

/* R as it is listed, taken by LEASE, if nobody else was there first. */
static bool take_over(struct world *w, const struct kedge_run *r, struct kedge_id128 lease,
                      struct run *out)
{
    struct tx t;
    int rc = do_bury(w, r->holder);

    if (rc != KEDGE_OK) {
        expect(rc == KEDGE_HELD || rc == KEDGE_NOT_FOUND);
        return false;
    }
    tx_init(w, &t);
    g_unheld(&t, r->id, KEDGE_STATUSES_UNFINISHED, r->revision);
    c_take(&t, r->id, lease);
    rc = tx_send(w, &t);
    if (rc == KEDGE_STALE)
        return false;
    check_tx(__FILE__, __LINE__, &t, KEDGE_OK);
    *out = (struct run){ r->id, lease, t.results[0], r->incarnation, r->position };
    return true;
}

/* All ticks that are due, and those whose holder has died. */
static int work(struct world *w, struct kedge_id128 lease)
{
    struct kedge_run_page page;
    struct run r;
    int swept = 0;

    expect_ok(do_expired(w, none(), 100, &page));
    for (size_t i = 0; i < page.n; i++)
        if (take_over(w, &page.runs[i], lease, &r))
            swept += tick(w, &r);
    for (;;) {
        struct kedge_claim in = claim_of(w, lease, 10);

        expect_ok(do_claim(w, &in, &page));
        if (page.n == 0)
            return swept;
        for (size_t i = 0; i < page.n; i++) {
            const struct kedge_run *c = &page.runs[i];

            r = (struct run){ c->id, lease, c->fence, c->incarnation, c->position };
            swept += tick(w, &r);
        }
    }
}

static void next_window(void)
{
    clock_advance(INTERVAL - wall_now() % INTERVAL);
}

/* So many sweeps, and none left out for longer than one window. */
static void expect_sweeps(struct world *w, int64_t sweeps)
{
    uint64_t version;
    struct tally t = tally_get(w, &version);

    expect_eq(t.sweeps, sweeps);
    expect_eq(t.last - t.first, sweeps - 1);
    expect_eq(t.widest, sweeps > 1 ? 1 : 0);
}

/* ------------------------------------------------------------------------ cases */

static void one_a_window(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, SEC(3000));

    expect_eq(kick(w), 1);
    expect_eq(work(w, lease), 0);
    for (int i = 0; i < WINDOWS; i++) {
        next_window();
        expect_eq(work(w, lease), 1);
        expect_eq(kick(w), 0); /* there is one already */
        clock_advance(INTERVAL / 2);
        expect_eq(work(w, lease), 0);
    }
    expect_sweeps(w, WINDOWS);
}

/* In each window: the same tick twice, under two names; one of three windows ago; and the answer to
   one is lost, so that it is sent again, and delivered again. */
static void again_and_again(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, SEC(3000));

    expect_eq(kick(w), 1);
    for (int i = 0; i < WINDOWS; i++) {
        struct kedge_id128 doomed = lease_make(w, INTERVAL);
        struct tx t;
        struct run r;
        char *before;

        next_window();
        run_due(w, name(w, "double-%d", i), from_now(0));
        run_due(w, name(w, "late-%d", i), at(wall_now() - 3 * INTERVAL));
        r = claim_one(w, name(w, "late-%d", i), doomed);
        /* It sweeps, and dies before it hears of it. */
        sweep_tx(w, &t, &r, window_now(w));
        expect_tx(&t, KEDGE_OK);
        before = dump(w);
        expect_eq(tx_send(w, &t), KEDGE_OK);
        check_unchanged(__FILE__, __LINE__, "the same commit again", w, before);
        expect_eq(work(w, lease), 0);
        /* The same, said anew by somebody who believes that he holds it. */
        t.c.request = random_id(w);
        refuse_tx(&t, KEDGE_STALE, -1);
    }
    expect_sweeps(w, WINDOWS);
    expect_eq(work(w, lease), 0);
}

/* Written in one window and sent in a later one, when its cell has been forgotten. */
static void too_late(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, SEC(3000));
    struct kedge_id128 slow = lease_make(w, SEC(3000));
    struct run r;
    struct tx t;

    expect_eq(kick(w), 1);
    next_window();
    expect_eq(work(w, lease), 1);
    r = run_held(w, str("slow"), slow);
    sweep_tx(w, &t, &r, window_now(w));
    for (int i = 1; i < 5; i++) {
        refuse_tx(&t, KEDGE_STALE, -1);
        next_window();
        expect_eq(work(w, lease), 1);
    }
    expect_eq(cell_version(w, t.guards[2].name), 0);
    refuse_tx(&t, KEDGE_STALE, -1);
    expect_eq(tick(w, &r), 0);
    expect_sweeps(w, 5);
}

/* ------------------------------------------------------------------- killed ticks */

static struct ground *ground;

static void tick_armed(struct world *w, struct ground *g, const struct point *p)
{
    struct kedge_id128 lease;

    world_return(w);
    lease = lease_make(w, INTERVAL);
    victim_arm(g, p);
    (void)work(w, lease);
    victim_disarm(g);
    world_close_own(w);
}

/* One window with a tick that is killed, and two in which others go on. */
static bool tick_killed_at(struct world *w, const struct point *p)
{
    uint64_t version;
    struct tally before, after;
    struct kedge_id128 lease;
    bool killed;
    int64_t began;

    next_window();
    began = window_now(w);
    before = tally_get(w, &version);
    killed = victim(w, ground, p, tick_armed, NULL) == VICTIM_KILLED;
    context("%s", point_name(ground, p));
    lease = lease_make(w, SEC(3000));
    for (int i = 0; i < 2; i++) {
        /* A server that has not seen yet that the dead is gone may pass his run over once more. */
        int64_t until = real_us() + SEC(10);

        next_window();
        while (work(w, lease) == 0 && real_us() < until)
            pause_us(MS(1));
    }
    after = tally_get(w, &version);
    /* One in this window, if it came to that, and one in each of the others. */
    expect(after.sweeps - before.sweeps == 2 || after.sweeps - before.sweeps == 3);
    expect_eq(after.last, began + 2);
    expect(after.widest <= 2);
    expect_ok(do_revoke(w, lease));
    (void)purge_all(w);
    return killed;
}

static void killed_ticks(struct world *w)
{
    uint64_t points = 0, version;
    struct tally t;

    ground = ground_new();
    expect_eq(kick(w), 1);
    for (struct point p = { .mode = IOFAULT_KILL_BEFORE, .at = 1 }; tick_killed_at(w, &p); p.at++)
        points++;
    for (struct point p = { .mode = IOFAULT_TORN, .at = 1, .mask = IOFAULT_WRITES };
         tick_killed_at(w, &p); p.at++)
        points++;
    t = tally_get(w, &version);
    note("%" PRIu64 " ticks killed; %" PRId64 " sweeps in %" PRId64 " windows", points, t.sweeps,
         t.last - t.first + 1);
    if (points == 0)
        inconclusive_case("a tick makes no call that the shim sees");
    expect(t.sweeps <= t.last - t.first + 1);
}

/* --------------------------------------------------------------- several processes */

enum { PROCESSES = 4, HELD_RUNS = 20, LIVE_RUNS = 5 };

struct board {
    atomic_int ready;
    atomic_int count[HELD_RUNS];
    atomic_int kicked;
};

static struct board *board_new(void)
{
    struct board *b =
        mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    expect(b != MAP_FAILED);
    return b;
}

/* BODY in each of them, begun together. */
static void together(struct world *w, struct board *b, uint64_t salt,
                     void (*body)(struct world *w, struct board *b))
{
    pid_t pid[PROCESSES];

    atomic_store(&b->ready, 0);
    (void)fflush(NULL);
    for (size_t i = 0; i < PROCESSES; i++) {
        pid[i] = fork();
        expect(pid[i] >= 0);
        if (pid[i] == 0) {
            struct world mine;

            world_process_enter(w, &mine, salt * PROCESSES + i);
            atomic_fetch_add(&b->ready, 1);
            while (atomic_load(&b->ready) < PROCESSES)
                pause_us(50);
            body(&mine, b);
            world_close_own(&mine);
            (void)fflush(stdout);
            _exit(0);
        }
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        int status;

        expect_eq(waitpid(pid[i], &status, 0), pid[i]);
        if (WIFSIGNALED(status))
            fail_case(__FILE__, __LINE__, "a process of it was killed by signal %d",
                      WTERMSIG(status));
        if (WEXITSTATUS(status) != 0)
            _exit(CASE_EXIT_FAIL); /* it has said why */
    }
}

static void kick_often(struct world *w, struct board *b)
{
    for (int i = 0; i < 200 / PROCESSES; i++)
        atomic_fetch_add(&b->kicked, kick(w));
}

static void kicked_by_all(struct world *w)
{
    struct board *b = board_new();
    struct kedge_id128 lease = lease_make(w, SEC(3000));

    together(w, b, 1, kick_often);
    expect_eq(atomic_load(&b->kicked), 1);
    for (int i = 0; i < 3; i++) {
        next_window();
        expect_eq(work(w, lease), 1);
        together(w, b, 2 + (uint64_t)i, kick_often);
        expect_eq(atomic_load(&b->kicked), 1);
    }
    expect_sweeps(w, 3);
}

static void sweep_all(struct world *w, struct board *b)
{
    struct kedge_id128 lease = lease_make(w, INTERVAL);
    struct kedge_run_page page;
    struct run r;

    do {
        expect_ok(do_expired(w, none(), 7, &page));
        for (size_t i = 0; i < page.n; i++) {
            char id[16];
            unsigned long number;

            if (!take_over(w, &page.runs[i], lease, &r))
                continue;
            (void)snprintf(id, sizeof id, "%.*s", (int)r.id.len, (const char *)r.id.data);
            expect(strncmp(id, "held-", 5) == 0);
            number = strtoul(id + 5, NULL, 10);
            expect(number < HELD_RUNS);
            atomic_fetch_add(&b->count[number], 1);
        }
    } while (page.n != 0);
}

/* Of the dead each run once per death, of the living none. */
static void once_per_lapse(struct world *w)
{
    enum { DEATHS = 3, LEASES = 5 };
    struct board *b = board_new();
    struct kedge_id128 dead[LEASES], alive = lease_make(w, SEC(3000));
    struct run live[LIVE_RUNS];

    for (int i = 0; i < LEASES; i++)
        dead[i] = lease_make(w, INTERVAL);
    for (int i = 0; i < HELD_RUNS; i++)
        run_held(w, name(w, "held-%d", i), dead[i % LEASES]);
    for (int i = 0; i < LIVE_RUNS; i++)
        live[i] = run_held(w, name(w, "live-%d", i), alive);
    for (int death = 1; death <= DEATHS; death++) {
        clock_advance(INTERVAL);
        together(w, b, (uint64_t)death, sweep_all);
        for (int i = 0; i < HELD_RUNS; i++) {
            context("run %d, death %d", i, death);
            expect_eq(atomic_load(&b->count[i]), death);
        }
    }
    context(NULL);
    for (int i = 0; i < LIVE_RUNS; i++)
        step(w, &live[i], "never disturbed");
}

/* ------------------------------------------------------------------------ backlog */

enum { BACKLOG_LEASES = 5, BACKLOG_EACH = 10, BACKLOG = BACKLOG_LEASES * BACKLOG_EACH };

static int lease_number(const struct kedge_id128 *dead, const struct kedge_id128 *one)
{
    int n = 0;

    while (n < BACKLOG_LEASES && !same_id(&dead[n], one))
        n++;
    return n;
}

/* More than one page: those first that have waited longest; and with pages of any size, all. */
static void backlog(struct world *w)
{
    struct kedge_id128 heir, dead[BACKLOG_LEASES];
    struct kedge_run runs[BACKLOG];
    uint32_t reasons[BACKLOG];
    struct kedge_run_page page;
    int taken = 0, last = 0;

    for (int i = 0; i < BACKLOG_LEASES; i++) {
        /* The names are in another order than the deaths. */
        dead[i] = lease_make(w, INTERVAL);
        for (int k = 0; k < BACKLOG_EACH; k++)
            run_held(w, name(w, "run-%d-%d", (i * 3) % BACKLOG_LEASES, k), dead[i]);
        clock_advance(SEC(1));
    }
    clock_advance(INTERVAL);
    expect_eq(expired_all(w, 7, runs, reasons, BACKLOG), BACKLOG);
    for (int i = 0; i < BACKLOG; i++) {
        int n = lease_number(dead, &runs[i].holder);

        expect(n >= last && n < BACKLOG_LEASES);
        last = n;
    }
    heir = lease_make(w, SEC(3000));
    for (;;) {
        struct run r;

        expect_ok(do_expired(w, none(), 7, &page));
        if (page.n == 0)
            break;
        for (size_t i = 0; i < page.n; i++, taken++) {
            expect(taken >= 7 || lease_number(dead, &page.runs[i].holder) == 0);
            expect_eq(take_over(w, &page.runs[i], heir, &r), 1);
        }
    }
    expect_eq(taken, BACKLOG);
}

/* Listed as lapsed, but its holder comes back before it is buried. */
static void back_in_time(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, INTERVAL), heir = lease_make(w, SEC(3000));
    struct run r = run_held(w, str("a"), lease), other;
    struct kedge_lease_state st;
    struct kedge_run_page page;
    uint32_t reason;

    clock_advance(INTERVAL);
    expect_ok(do_expired(w, none(), 10, &page));
    expect_eq(page.n, 1);
    expect_eq(page.reasons[0], KEDGE_SWEEP_LAPSED);
    expect_ok(do_extend(w, lease, &st));
    expect_eq(take_over(w, &page.runs[0], heir, &other), 0);
    expect(!is_expired_listed(w, str("a"), &reason));
    step(w, &r, "still mine");
}

/* ------------------------------------------------------------------- other clocks */

/* The workers' own clocks are an hour apart: they share the windows of the store's. */
static void hours_apart(struct world *w)
{
    struct clock_file *own = preload_clock();
    struct kedge_id128 lease[2] = { lease_make(w, SEC(30000)), lease_make(w, SEC(30000)) };

    expect(own != NULL);
    expect_eq(kick(w), 1);
    for (int i = 0; i < WINDOWS; i++) {
        next_window();
        for (int k = 0; k < 2; k++) {
            int worker = (i + k) % 2;

            atomic_store(&own->at, wall_now() + (worker == 0 ? SEC(3600) : -SEC(3600)));
            expect_eq(work(w, lease[worker]), k == 0 ? 1 : 0);
            expect_eq(kick(w), 0);
        }
    }
    expect_sweeps(w, WINDOWS);
}

const struct contract_case cases_sweep[] = {
    { "sweep-01", "a chain of ticks sweeps once per window", NEEDS_CLOCK, one_a_window },
    { "sweep-02", "duplicated, resent and redelivered ticks sweep once per window", NEEDS_CLOCK,
      again_and_again },
    { "sweep-03", "a tick that arrives windows late does not sweep for its own", NEEDS_CLOCK,
      too_late },
    { "sweep-04", "a tick that is killed anywhere: one sweep per window, and always a next one",
      NEEDS_CLOCK | NEEDS_SHARED | NEEDS_KILL, killed_ticks },
    { "sweep-05", "200 kicks at a time start one chain", NEEDS_CLOCK | NEEDS_SHARED,
      kicked_by_all },
    { "sweep-06", "each run of a dead holder is recovered once per lapse, a live one's never",
      NEEDS_CLOCK | NEEDS_SHARED, once_per_lapse },
    { "sweep-07", "a backlog longer than a page is recovered, the oldest first", NEEDS_CLOCK,
      backlog },
    { "sweep-08", "who extends between being listed and being buried keeps what he holds",
      NEEDS_CLOCK, back_in_time },
    { "sweep-09", "workers whose clocks are hours apart share the windows",
      NEEDS_CLOCK | NEEDS_SERVER | NEEDS_SKEW, hours_apart },
    { NULL, NULL, 0, NULL },
};
