/* processes.c - cases: one store, several processes */
#include "cases.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 4 };

/* Seen by all of them. */
struct board {
    atomic_int ready;
    atomic_bool go;
    atomic_int count[PROCESSES];
    _Atomic int64_t woken_at;
    atomic_bool waiting;
    atomic_int turn;
    struct kedge_id128 lease; /* written before there is more than one */
    struct run runs[7];
};

static struct board *board_new(void)
{
    struct board *b =
        mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    expect(b != MAP_FAILED);
    return b;
}

/* BODY in each of so many processes, all at once; each must end well. */
static void in_processes(struct world *w, struct board *b, int n,
                         void (*body)(struct world *w, struct board *b, int number))
{
    pid_t pid[PROCESSES];

    for (int i = 0; i < n; i++) {
        (void)fflush(NULL);
        pid[i] = fork();
        expect(pid[i] >= 0);
        if (pid[i] == 0) {
            struct world mine;

            world_process_enter(w, &mine, (uint64_t)i);
            atomic_fetch_add(&b->ready, 1);
            while (!atomic_load(&b->go))
                pause_us(50);
            body(&mine, b, i);
            world_close_own(&mine);
            (void)fflush(stdout);
            _exit(0);
        }
    }
    while (atomic_load(&b->ready) < n)
        pause_us(MS(1));
    atomic_store(&b->go, true);
    for (int i = 0; i < n; i++) {
        int status;

        expect_eq(waitpid(pid[i], &status, 0), pid[i]);
        expect_eq(status, 0);
    }
}

/* Claim and finish until there is nothing; every step counts in a cell that all share. */
static void work_off(struct world *w, struct board *b, int number)
{
    struct kedge_id128 lease = lease_make(w, SEC(3000));

    for (;;) {
        struct kedge_claim in = claim_of(w, lease, 3);
        struct kedge_run_page page;

        expect_ok(do_claim(w, &in, &page));
        if (page.n == 0)
            return;
        for (size_t i = 0; i < page.n; i++) {
            struct tx t;
            int rc;

            expect_eq(page.runs[i].position, 0);
            do {
                struct kedge_cell cell;
                uint32_t count = 0;

                expect_ok(do_cell(w, str("count"), &cell));
                memcpy(&count, cell.value.data, sizeof count);
                count++;
                tx_init(w, &t);
                g_held_by(&t, page.runs[i].id, lease, page.runs[i].fence);
                g_cell(&t, str("count"), cell.version);
                c_append(&t, page.runs[i].id, 1, str("done"));
                c_rest(&t, page.runs[i].id, KEDGE_COMPLETED, never());
                c_cell_put(&t, str("count"), bytes(&count, sizeof count), never());
                rc = tx_send(w, &t);
            } while (rc == KEDGE_STALE && t.answer.at == 1);
            expect_rc(rc, KEDGE_OK);
            atomic_fetch_add(&b->count[number], 1);
        }
        world_forget(w);
    }
}

static void shared_queue(struct world *w)
{
    enum { N = 200 };
    struct board *b = board_new();
    struct kedge_cell cell;
    uint32_t zero = 0, count;
    int sum = 0;
    struct tx *t[N];

    for (int i = 0; i < N; i++) {
        t[i] = tx_new(w);
        c_create_due(t[i], name(w, "run %d", i), from_now(0));
        if (i == 0)
            c_cell_put(t[i], str("count"), bytes(&zero, sizeof zero), never());
    }
    tx_send_batch(w, t, N);
    in_processes(w, b, PROCESSES, work_off);
    for (int i = 0; i < PROCESSES; i++)
        sum += atomic_load(&b->count[i]);
    expect_eq(sum, N);
    expect_ok(do_cell(w, str("count"), &cell));
    memcpy(&count, cell.value.data, sizeof count);
    expect_eq(count, N);
}

/* Take a lock, look whether one is alone, let it go. */
static void exclude(struct world *w, struct board *b, int number)
{
    struct kedge_id128 lease = lease_make(w, SEC(3000));
    uint64_t last = 0;

    for (int i = 0; i < 40;) {
        struct kedge_lock_state st;
        int rc = do_lock_acquire(w, str("lock"), lease, random_id(w), &st);

        if (rc == KEDGE_HELD)
            continue;
        expect_rc(rc, KEDGE_OK);
        expect(st.fence > last);
        last = st.fence;
        expect_eq(atomic_fetch_add(&b->count[0], 1), 0);
        pause_us(random_below(w, 300));
        expect_eq(atomic_fetch_sub(&b->count[0], 1), 1);
        expect_ok(do_lock_release(w, str("lock"), lease, st.fence));
        i++;
    }
    (void)number;
}

static void mutual_exclusion(struct world *w)
{
    in_processes(w, board_new(), PROCESSES, exclude);
}

static void wait_for_work(struct world *w, struct board *b, int number)
{
    uint64_t seen = 0, ticket;
    int rc = do_wait(w, 0, &seen, 1);

    (void)number;
    expect(rc == KEDGE_OK || rc == KEDGE_QUIET);
    for (int i = 0; i < 10; i++) {
        if (is_there(w, str("work")))
            break;
        atomic_store(&b->waiting, true);
        rc = do_wait(w, seen, &ticket, SEC(10));
        expect_rc(rc, KEDGE_OK);
        seen = ticket;
    }
    atomic_store(&b->woken_at, real_us());
    expect(is_there(w, str("work")));
}

/* What one process makes due wakes another that waits. */
static void woken(struct world *w)
{
    struct board *b = board_new();
    int64_t began;
    int status;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    expect(pid >= 0);
    if (pid == 0) {
        struct world mine;

        world_process_enter(w, &mine, 0);
        wait_for_work(&mine, b, 0);
        world_close_own(&mine);
        (void)fflush(stdout);
        _exit(0);
    }
    while (!atomic_load(&b->waiting))
        pause_us(MS(1));
    pause_us(MS(50)); /* so that it is inside; the ticket covers it if not */
    began = real_us();
    run_due(w, str("work"), from_now(0));
    expect_eq(waitpid(pid, &status, 0), pid);
    expect_eq(status, 0);
    note("woken after %lld us", (long long)(atomic_load(&b->woken_at) - began));
    expect(atomic_load(&b->woken_at) - began < SEC(2));
}

/* A namespace that another process has open cannot be dropped. */
static void hold_open(struct world *w, struct board *b, int number)
{
    (void)w;
    (void)number;
    atomic_store(&b->waiting, true);
    for (int64_t until = real_us() + SEC(20); atomic_load(&b->waiting) && real_us() < until;)
        pause_us(MS(1));
}

static void not_dropped(struct world *w)
{
    struct board *b = board_new();
    struct kedge_open open = { sizeof open, 0, w->url, str(w->ns), w->options, NULL };
    int status;
    pid_t pid;

    run_due(w, str("a"), from_now(0));
    (void)fflush(NULL);
    pid = fork();
    expect(pid >= 0);
    if (pid == 0) {
        struct world mine;

        world_process_enter(w, &mine, 0);
        hold_open(&mine, b, 0);
        world_close_own(&mine);
        _exit(0);
    }
    while (!atomic_load(&b->waiting))
        pause_us(MS(1));
    w->ops->session_close(w->session);
    w->ops->store_close(w->store);
    w->session = w->store = NULL;
    expect_rc(w->ops->store_drop(w->host, &open, &w->err), KEDGE_HELD);
    atomic_store(&b->waiting, false);
    expect_eq(waitpid(pid, &status, 0), pid);
    expect_eq(status, 0);
    expect_ok(w->ops->store_open(w->host, &open, &w->store, &w->err));
    expect_ok(w->ops->session_open(w->store, &w->session, &w->err));
    expect_eq(is_there(w, str("a")), 1);
}

/* Write, tell what was acknowledged, and be killed right then. */
static void told_is_done(struct world *w)
{
    for (int i = 1; i <= 10; i++) {
        struct board *b = board_new();
        int told = 0, status;
        struct kedge_cell cell;
        pid_t pid;

        (void)fflush(NULL);
        pid = fork();
        expect(pid >= 0);
        if (pid == 0) {
            struct world mine;

            world_process_enter(w, &mine, (uint64_t)i);
            for (int n = 1;; n++) {
                (void)cell_put(&mine, str("count"), (const char *)name(&mine, "%d", n).data);
                atomic_store(&b->count[0], n);
                if (n == i)
                    (void)kill(getpid(), SIGKILL);
            }
        }
        expect_eq(waitpid(pid, &status, 0), pid);
        told = atomic_load(&b->count[0]);
        expect_eq(told, i);
        expect_ok(do_cell(w, str("count"), &cell));
        expect_bytes(cell.value, name(w, "%d", told));
    }
}

/* What is the same in every process: somebody asks for an end, and then takes the run away. */
static void ask_for_an_end(struct world *w, struct board *b, int number)
{
    struct tx t;

    (void)b;
    (void)number;
    tx_init(w, &t);
    c_request(&t, str("a"), KEDGE_REQUEST_CANCEL);
    expect_tx(&t, KEDGE_OK);
}

static void take_away(struct world *w, struct board *b, int number)
{
    (void)b;
    (void)number;
    (void)run_take(w, str("a"), lease_make(w, SEC(3000)));
}

/* A holder goes on writing, and between two of its writes another process writes: what it may have
   kept of its run is not true any more. */
static void written_elsewhere(struct world *w)
{
    struct run r = run_held(w, str("a"), lease_make(w, SEC(3000)));
    struct tx *t = tx_new(w);

    g_held(t, &r);
    c_set(t, r.id, KEDGE_SET_HOLD_UNTIL)->set.hold_until = from_now(SEC(30));
    expect_tx(t, KEDGE_OK);
    step(w, &r, "one");
    step(w, &r, "two");
    in_processes(w, board_new(), 1, ask_for_an_end);
    t = tx_new(w);
    g_held(t, &r);
    c_append(t, r.id, 3, str("three"));
    expect_tx(t, KEDGE_OK);
    expect_eq(t->answer.requests, KEDGE_REQUEST_CANCEL);
    clock_advance(SEC(31));
    r.position = 3;
    step(w, &r, "four"); /* nobody has taken it yet */
    in_processes(w, board_new(), 1, take_away);
    t = tx_new(w);
    g_held(t, &r);
    c_append(t, r.id, 5, str("too late"));
    refuse_tx(t, KEDGE_STALE, 0);
}

/* ------------------------------------------------- what another did is noticed */

enum { ASKED, WOKEN, SNAPPED, APPENDED, RELEASED, TAKEN, UNTOUCHED };

/* What a process that is not the holder's does to its run. */
static void meddle(struct world *w, struct board *b, int what)
{
    struct run r = b->runs[what];
    struct tx t;

    tx_init(w, &t);
    switch (what) {
    case ASKED:
        c_request(&t, r.id, KEDGE_REQUEST_CANCEL);
        expect_tx(&t, KEDGE_OK);
        return;
    case WOKEN:
        wake(w, r.id);
        return;
    case SNAPPED:
        g_held(&t, &r);
        c_snapshot(&t, r.id, 2, str("as it was then"));
        expect_tx(&t, KEDGE_OK);
        return;
    case APPENDED:
        r.position = head(w, r.id).position;
        step(w, &r, "by somebody else, under the same lease");
        return;
    case RELEASED:
        release_due(w, &r, from_now(SEC(3000)));
        return;
    default: /* it is overdue at once, and anybody's */
        g_held(&t, &r);
        c_set(&t, r.id, KEDGE_SET_HOLD_UNTIL)->set.hold_until = at(1);
        expect_tx(&t, KEDGE_OK);
        (void)run_take(w, r.id, lease_make(w, SEC(3000)));
    }
}

/* The next append of the holder, who has heard of nothing. */
static void append_next(struct world *w, struct board *b, int what, int want)
{
    struct run *r = &b->runs[what];
    struct kedge_run before = head(w, r->id);
    struct tx t;

    context("what was done: %d", what);
    tx_init(w, &t);
    g_held(&t, r);
    c_append(&t, r->id, r->position + 1, str("by the holder"));
    expect_tx(&t, want);
    if (want == KEDGE_OK)
        r->position++;
    expect_eq(head(w, r->id).position, before.position + (want == KEDGE_OK ? 1u : 0u));
    if (want != KEDGE_OK)
        return;
    expect_eq(t.answer.requests, before.requests);
    expect_eq(t.answer.revision, before.revision + 1);
}

static void holder_and_other(struct world *w, struct board *b, int number)
{
    static const int want[] = { KEDGE_OK,    KEDGE_OK,    KEDGE_OK, KEDGE_STALE,
                                KEDGE_STALE, KEDGE_STALE, KEDGE_OK };

    for (int what = 0; what <= UNTOUCHED; what++) {
        for (int i = 0; number == 0 && i < 3; i++)
            for (int k = what; k <= UNTOUCHED; k++)
                step(w, &b->runs[k], "and so on");
        if (number == 0)
            atomic_store(&b->turn, 2 * what + 1);
        while (atomic_load(&b->turn) != 2 * what + 1 + (number == 0 ? 1 : 0))
            pause_us(50);
        if (number == 0) {
            append_next(w, b, what, want[what]);
            append_next(w, b, UNTOUCHED, KEDGE_OK);
            continue;
        }
        if (what != UNTOUCHED)
            meddle(w, b, what);
        atomic_store(&b->turn, 2 * what + 2);
        while (what != UNTOUCHED && atomic_load(&b->turn) != 2 * what + 3)
            pause_us(50);
    }
}

static void noticed(struct world *w)
{
    struct board *b = board_new();

    b->lease = lease_make(w, SEC(3000));
    for (int i = 0; i <= UNTOUCHED; i++)
        b->runs[i] = run_held(w, name(w, "run %d", i), b->lease);
    in_processes(w, b, 2, holder_and_other);
    expect_eq(head(w, b->runs[ASKED].id).requests, KEDGE_REQUEST_CANCEL);
}

const struct contract_case cases_processes[] = {
    { "processes-01", "a queue is worked off by several processes, each run once", NEEDS_SHARED,
      shared_queue },
    { "processes-02", "a lock excludes processes", NEEDS_SHARED, mutual_exclusion },
    { "processes-03", "work made by one wakes another", NEEDS_SHARED | NEEDS_WAIT, woken },
    { "processes-04", "what another has open is not dropped", NEEDS_SHARED, not_dropped },
    { "processes-05", "what a killed process was told is done is there", NEEDS_SHARED,
      told_is_done },
    { "processes-06", "what a holder kept of its run is forgotten when another process writes",
      NEEDS_SHARED | NEEDS_CLOCK, written_elsewhere },
    { "processes-07", "what another process did to a run, the holder's next append knows",
      NEEDS_SHARED, noticed },
    { NULL, NULL, 0, NULL },
};
