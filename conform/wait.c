/* wait.c - cases: hints that there may be new work */
#include "cases.h"

#include <pthread.h>
#include <stdatomic.h>

/* The present ticket. */
static uint64_t ticket_now(struct world *w)
{
    uint64_t ticket;
    int rc = do_wait(w, 0, &ticket, 1);

    if (rc == KEDGE_QUIET)
        return 0;
    expect_rc(rc, KEDGE_OK);
    return ticket;
}

static void quiet(struct world *w)
{
    uint64_t seen = ticket_now(w), ticket;
    int64_t began;

    expect_rc(do_wait(w, seen, &ticket, 0), KEDGE_QUIET);
    began = real_us();
    expect_rc(do_wait(w, seen, &ticket, MS(60)), KEDGE_QUIET);
    expect(real_us() - began >= MS(55));
    expect_ok(do_notify(w));
    began = real_us();
    expect_rc(do_wait(w, seen, &ticket, SEC(20)), KEDGE_OK);
    expect(real_us() - began < SEC(10));
    expect(ticket != seen);
    expect_rc(do_wait(w, ticket, &seen, 0), KEDGE_QUIET);
    expect_rc(do_wait(w, ticket, &seen, -1), KEDGE_ERR_INVALID);
}

/* Everything that makes a run due moves the ticket by itself. */
static void moved_by_work(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL), other = lease_make(w, TTL);
    uint64_t seen = ticket_now(w), ticket;
    struct run r, p;
    struct tx *t;

#define MOVED(what)                                                                                \
    do {                                                                                           \
        context("%s", (what));                                                                     \
        expect_rc(do_wait(w, seen, &ticket, SEC(10)), KEDGE_OK);                                   \
        expect(ticket != seen);                                                                    \
        seen = ticket;                                                                             \
    } while (0)

    run_due(w, str("a"), from_now(0));
    MOVED("create");
    r = claim_one(w, str("a"), lease);
    expect_rc(do_wait(w, seen, &ticket, 0), KEDGE_QUIET); /* a claim is no work for others */
    step(w, &r, "one");
    release_due(w, &r, from_now(0));
    MOVED("release");
    r = claim_one(w, str("a"), lease);
    release_parked(w, &r, KEDGE_WAKES_ON_INTERRUPT, never());
    wake(w, r.id);
    MOVED("wake");
    r = claim_one(w, str("a"), other);
    wake(w, r.id);
    release_parked(w, &r, KEDGE_WAKES_ON_INTERRUPT, never());
    MOVED("a wake mark");
    r = claim_one(w, str("a"), other);
    expect_ok(do_revoke(w, other));
    MOVED("revoke");
    p = run_held(w, str("p"), lease);
    t = tx_new(w);
    g_held(t, &p);
    c_slots(t, p.id, 0, 1);
    c_park(t, p.id, KEDGE_WAKES_ON_SLOTS, never());
    expect_tx(t, KEDGE_OK);
    t = tx_new(w);
    c_slot_put(t, &p, 0, 0, str("x"));
    (void)do_wait(w, seen, &seen, 0);
    expect_tx(t, KEDGE_OK);
    MOVED("the last slot");
}

/* A ticket read before a claim that found nothing loses no hint. */
static void loses_nothing(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);

    for (int i = 0; i < 5; i++) {
        uint64_t seen = ticket_now(w), ticket;
        struct kedge_claim in = claim_of(w, lease, 1);
        struct kedge_run_page page;

        expect_ok(do_claim(w, &in, &page));
        expect_eq(page.n, 0);
        run_due(w, name(w, "run %d", i), from_now(0)); /* comes between the claim and the wait */
        expect_rc(do_wait(w, seen, &ticket, SEC(20)), KEDGE_OK);
        claim_one(w, name(w, "run %d", i), lease);
    }
}

struct waiter {
    struct world *w;
    uint64_t seen;
    atomic_int waiting;
    atomic_int woken;
};

static void *waiting(void *arg)
{
    struct waiter *waiter = arg;
    struct world w[1];
    uint64_t ticket;

    world_thread_enter(waiter->w, w, 1);
    atomic_fetch_add(&waiter->waiting, 1);
    expect_rc(do_wait(w, waiter->seen, &ticket, SEC(20)), KEDGE_OK);
    expect(ticket != waiter->seen);
    atomic_fetch_add(&waiter->woken, 1);
    world_thread_leave(w);
    return NULL;
}

static void wakes_all(struct world *w)
{
    enum { N = 6 };

    for (int how = 0; how < 2; how++) {
        struct waiter waiter = { .w = w, .seen = ticket_now(w) };
        pthread_t threads[N];
        int64_t began;

        atomic_init(&waiter.waiting, 0);
        atomic_init(&waiter.woken, 0);
        for (int i = 0; i < N; i++)
            expect_eq(pthread_create(&threads[i], NULL, waiting, &waiter), 0);
        while (atomic_load(&waiter.waiting) < N)
            pause_us(MS(1));
        pause_us(MS(20)); /* most of them are inside by now; the ticket covers the others */
        expect_eq(atomic_load(&waiter.woken), 0);
        began = real_us();
        if (how == 0)
            expect_ok(do_notify(w));
        else
            run_due(w, str("a"), from_now(0));
        for (int i = 0; i < N; i++)
            expect_eq(pthread_join(threads[i], NULL), 0);
        expect(real_us() - began < SEC(5));
    }
}

const struct contract_case cases_wait[] = {
    { "wait-01", "quiet when nothing happens, at once when something did", NEEDS_WAIT, quiet },
    { "wait-02", "whatever makes a run due moves the ticket", NEEDS_WAIT, moved_by_work },
    { "wait-03", "a ticket from before an empty claim loses no hint", NEEDS_WAIT, loses_nothing },
    { "wait-04", "notify and work wake all who wait", NEEDS_THREADS | NEEDS_WAIT, wakes_all },
    { NULL, NULL, 0, NULL },
};
