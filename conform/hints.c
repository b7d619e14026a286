/* hints.c - cases: a holder that dies is noticed long before its deadline */
#include "cases.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the doomed process tells. */
struct news {
    struct kedge_id128 lease[4];
    uint64_t fence;
};

struct child {
    pid_t pid;
    struct news news;
};

/*
 * Another process that opens the same namespace, grants N leases, holds a run and a lock under the
 * first of them, and does nothing more.
 */
static struct child child_start(struct world *w, int n)
{
    struct child c;
    int pipes[2];

    (void)fflush(NULL);
    expect_eq(pipe(pipes), 0);
    c.pid = fork();
    expect(c.pid >= 0);
    if (c.pid == 0) {
        /* the inherited handles are of no use here: a world of its own */
        struct world mine = *w;
        struct kedge_open open = { sizeof open, 0, w->url, str(w->ns), w->options, NULL };

        mine.keep = NULL;
        mine.txs = NULL;
        w = &mine;
        w->rng ^= (uint64_t)getpid() * UINT64_C(0x9e3779b97f4a7c15);
        expect_ok(w->ops->store_open(w->host, &open, &w->store, &w->err));
        expect_ok(w->ops->session_open(w->store, &w->session, &w->err));
        memset(&c.news, 0, sizeof c.news);
        for (int i = 0; i < n; i++)
            c.news.lease[i] = lease_make(w, SEC(60));
        c.news.fence = run_held(w, name(w, "run of %d", (int)getpid()), c.news.lease[0]).fence;
        lock_take(w, name(w, "lock of %d", (int)getpid()), c.news.lease[0]);
        if (write(pipes[1], &c.news, sizeof c.news) != (ssize_t)sizeof c.news)
            _exit(1);
        for (;;)
            pause();
    }
    (void)close(pipes[1]);
    if (read(pipes[0], &c.news, sizeof c.news) != (ssize_t)sizeof c.news)
        fail_case(__FILE__, __LINE__, "the other process got nowhere");
    (void)close(pipes[0]);
    return c;
}

static void child_end(const struct child *c)
{
    int status;

    expect_eq(kill(c->pid, SIGKILL), 0);
    expect_eq(waitpid(c->pid, &status, 0), c->pid);
}

/* Try to bury until it is permitted, or US have passed; how long it took, -1: not permitted. */
static int64_t bury_within(struct world *w, struct kedge_id128 lease, int64_t us)
{
    int64_t began = real_us();

    for (;;) {
        int rc = do_bury(w, lease);

        if (rc == KEDGE_OK)
            return real_us() - began;
        expect_rc(rc, KEDGE_HELD);
        if (real_us() - began > us)
            return -1;
        pause_us(MS(2));
    }
}

static uint32_t hint_of(struct world *w, struct kedge_id128 lease)
{
    struct kedge_lease_page page;
    struct kedge_bytes cursor = none();

    do {
        expect_ok(do_leases(w, cursor, 100, &page));
        for (size_t i = 0; i < page.n; i++)
            if (same_id(&page.leases[i].id, &lease))
                return page.leases[i].hint;
        cursor = page.next;
    } while (cursor.len != 0);
    return 99;
}

static void killed(struct world *w)
{
    struct kedge_id128 mine = lease_make(w, SEC(60)), also = lease_make(w, SEC(60));
    struct child c;
    struct kedge_lease_state st;
    struct kedge_bytes id;
    int64_t died;
    struct run r;

    clock_follow();
    c = child_start(w, 1);
    id = name(w, "run of %d", (int)c.pid);
    expect_eq(hint_of(w, c.news.lease[0]), KEDGE_HINT_PRESENT);
    expect_eq(bury_within(w, c.news.lease[0], MS(400)), -1); /* never a live one */
    died = real_us();
    child_end(&c);
    /* not before it has been absent for 100 ms, and then soon */
    expect(bury_within(w, c.news.lease[0], SEC(10)) >= 0);
    expect(real_us() - died >= MS(100));
    note("buried %lld ms after its death", (long long)(real_us() - died) / 1000);
    expect_eq(lease_state_of(w, c.news.lease[0]), KEDGE_LEASE_DEAD);
    r = run_take(w, id, mine);
    expect(r.fence > c.news.fence);
    lock_take(w, name(w, "lock of %d", (int)c.pid), mine);
    expect_ok(do_extend(w, also, &st));
    expect_rc(do_bury(w, mine), KEDGE_HELD);
    expect_rc(do_extend(w, c.news.lease[0], &st), KEDGE_LOST);
}

/* A process that stands still is not dead. */
static void stopped(struct world *w)
{
    struct kedge_id128 mine = lease_make(w, SEC(60)), also = lease_make(w, SEC(60));
    struct child c;
    int status;

    clock_follow();
    c = child_start(w, 1);
    expect_eq(kill(c.pid, SIGSTOP), 0);
    expect_eq(waitpid(c.pid, &status, WUNTRACED), c.pid);
    expect_eq(bury_within(w, c.news.lease[0], MS(500)), -1);
    expect_eq(kill(c.pid, SIGCONT), 0);
    child_end(&c);
    expect(bury_within(w, c.news.lease[0], SEC(10)) >= 0);
    expect(lease_state_of(w, mine) == KEDGE_LEASE_LIVE);
    expect(lease_state_of(w, also) == KEDGE_LEASE_LIVE);
}

/* Looking starts the 100 ms as well. */
static void looked_at(struct world *w)
{
    struct child c;

    (void)lease_make(w, SEC(60));
    (void)lease_make(w, SEC(60));
    clock_follow();
    c = child_start(w, 1);
    child_end(&c);
    for (int64_t until = real_us() + SEC(5); hint_of(w, c.news.lease[0]) != KEDGE_HINT_ABSENT;)
        expect(real_us() < until);
    pause_us(MS(150));
    expect_rc(do_bury(w, c.news.lease[0]), KEDGE_OK);
}

/* When more than half look dead at once, looks deceive: hints do not count for a ttl. */
static void too_many(struct world *w)
{
    struct kedge_id128 mine = lease_make(w, SEC(60));
    struct child c;
    int64_t until;

    clock_follow();
    c = child_start(w, 3);
    child_end(&c);
    until = real_us() + MS(600);
    while (real_us() < until) {
        for (int i = 0; i < 3; i++)
            expect_rc(do_bury(w, c.news.lease[i]), KEDGE_HELD);
        pause_us(MS(5));
    }
    clock_advance(SEC(60)); /* the deadline counts as ever */
    for (int i = 0; i < 3; i++)
        expect_ok(do_bury(w, c.news.lease[i]));
    expect_ok(do_bury(w, mine));
}

/* Closing the store takes the hints of its leases with it. */
static void closed(struct world *w)
{
    struct kedge_id128 lease, others[2];
    struct world other = *w;
    struct kedge_open open = { sizeof open, 0, w->url, str(w->ns), w->options, NULL };

    clock_follow();
    lease = lease_make(w, SEC(60));
    w->ops->session_close(w->session);
    w->ops->store_close(w->store);
    w->store = w->session = NULL;
    other.keep = NULL;
    other.txs = NULL;
    expect_ok(other.ops->store_open(other.host, &open, &other.store, &w->err));
    expect_ok(other.ops->session_open(other.store, &other.session, &w->err));
    w->store = other.store;
    w->session = other.session;
    others[0] = lease_make(w, SEC(60));
    others[1] = lease_make(w, SEC(60));
    expect(bury_within(w, lease, SEC(10)) >= 0);
    expect_eq(lease_state_of(w, others[0]), KEDGE_LEASE_LIVE);
    expect_eq(lease_state_of(w, others[1]), KEDGE_LEASE_LIVE);
}

/* An extend registers the hint anew: by then the holder is another process's child no more. */
static void many_deaths(struct world *w)
{
    struct kedge_id128 mine[12];

    for (size_t i = 0; i < ARRAY_LEN(mine); i++)
        mine[i] = lease_make(w, SEC(60));
    clock_follow();
    for (int round = 0; round < 4; round++) {
        struct child a = child_start(w, 1), b = child_start(w, 1);

        child_end(&a);
        expect(bury_within(w, a.news.lease[0], SEC(10)) >= 0);
        expect_rc(do_bury(w, b.news.lease[0]), KEDGE_HELD);
        child_end(&b);
        expect(bury_within(w, b.news.lease[0], SEC(10)) >= 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(mine); i++)
        expect_eq(lease_state_of(w, mine[i]), KEDGE_LEASE_LIVE);
}

/* Two processes work one store; what one wrote the other sees, and wakes the other. */
static void two_processes(struct world *w)
{
    struct child c;
    struct kedge_bytes id;
    struct kedge_lock_state ks;
    struct tx *t = tx_new(w);
    struct kedge_id128 mine = lease_make(w, SEC(60));
    int status;

    c = child_start(w, 1);
    id = name(w, "run of %d", (int)c.pid);
    expect_eq(head(w, id).fence, c.news.fence);
    expect_rc(do_lock_acquire(w, name(w, "lock of %d", (int)c.pid), mine, random_id(w), &ks),
              KEDGE_HELD);
    expect(same_id(&ks.holder, &c.news.lease[0]));
    g_held_by(t, id, mine, c.news.fence);
    c_append(t, id, 1, str("not mine"));
    refuse_tx(t, KEDGE_STALE, 0);
    expect_eq(kill(c.pid, SIGKILL), 0);
    expect_eq(waitpid(c.pid, &status, 0), c.pid);
    run_due(w, str("after its death"), from_now(0));
    claim_one(w, str("after its death"), mine);
}

const struct contract_case cases_hints[] = {
    { "hints-01", "a killed holder is buried after 100 ms, a live one never", NEEDS_HINT, killed },
    { "hints-02", "a stopped holder is not dead", NEEDS_HINT, stopped },
    { "hints-03", "looking at the leases starts the grace", NEEDS_HINT, looked_at },
    { "hints-04", "when most look dead at once, hints do not count", NEEDS_HINT | NEEDS_CLOCK,
      too_many },
    { "hints-05", "closing a store takes its hints with it", NEEDS_HINT, closed },
    { "hints-06", "one after the other, and nobody else", NEEDS_HINT, many_deaths },
    { "hints-07", "two processes see each other's writes", NEEDS_SHARED, two_processes },
    { NULL, NULL, 0, NULL },
};
