/* locks.c - cases: named locks under a lease */
#include "cases.h"

#include <pthread.h>
#include <stdatomic.h>

static void acquired(struct world *w)
{
    struct kedge_id128 a = lease_make(w, TTL), b = lease_make(w, TTL);
    struct kedge_lock_state ks;

    clock_advance(SEC(1));
    expect_rc(do_lock_query(w, str("lock"), &ks), KEDGE_NOT_FOUND);
    expect_ok(do_lock_acquire(w, str("lock"), a, random_id(w), &ks));
    expect(ks.fence != 0);
    expect(same_id(&ks.holder, &a));
    expect_eq(ks.remaining_us, TTL - SEC(1)); /* taking a lock extends nothing */
    {
        struct kedge_lock_state seen;

        refuse(do_lock_acquire(w, str("lock"), b, random_id(w), &seen), KEDGE_HELD);
        expect(same_id(&seen.holder, &a));
        expect_eq(seen.fence, ks.fence);
        expect_eq(seen.remaining_us, TTL - SEC(1));
        /* not by its own holder either, and nothing is extended by trying */
        refuse(do_lock_acquire(w, str("lock"), a, random_id(w), &seen), KEDGE_HELD);
        expect_eq(seen.fence, ks.fence);
        expect_ok(do_lock_query(w, str("lock"), &seen));
        expect_eq(seen.fence, ks.fence);
        expect(same_id(&seen.holder, &a));
        expect_ok(do_lock_acquire(w, str("another"), b, random_id(w), &seen));
    }
}

static void refused_leaves_nothing(struct world *w)
{
    struct kedge_id128 dead = lease_dead(w), nobody = random_id(w), lease = lease_make(w, TTL);
    struct kedge_id128 zero = { { 0 } };
    struct kedge_lock_state ks;

    refuse(do_lock_acquire(w, str("lock"), dead, random_id(w), &ks), KEDGE_LOST);
    refuse(do_lock_acquire(w, str("lock"), nobody, random_id(w), &ks), KEDGE_LOST);
    refuse(do_lock_acquire(w, str("lock"), lease, zero, &ks), KEDGE_ERR_INVALID);
    refuse(do_lock_acquire(w, none(), lease, random_id(w), &ks), KEDGE_ERR_INVALID);
    expect_ok(do_lock_acquire(w, str("lock"), lease, random_id(w), &ks));
}

static void released(struct world *w)
{
    struct kedge_id128 a = lease_make(w, TTL), b = lease_make(w, TTL);
    uint64_t first, second;

    refuse(do_lock_release(w, str("lock"), a, 1), KEDGE_NOT_FOUND);
    first = lock_take(w, str("lock"), a);
    refuse(do_lock_release(w, str("lock"), b, first), KEDGE_STALE);
    refuse(do_lock_release(w, str("lock"), a, first - 1), KEDGE_STALE);
    refuse(do_lock_release(w, str("lock"), a, first + 1), KEDGE_STALE);
    expect_ok(do_lock_release(w, str("lock"), a, first));
    refuse(do_lock_release(w, str("lock"), a, first), KEDGE_NOT_FOUND);
    second = lock_take(w, str("lock"), a); /* by the same lease again */
    expect(second > first);
    refuse(do_lock_release(w, str("lock"), a, first), KEDGE_STALE);
    expect_ok(do_lock_release(w, str("lock"), a, second));
    expect(lock_take(w, str("lock"), b) > second);
    refuse(do_lock_release(w, str("lock"), a, second), KEDGE_STALE);
}

static void extended(struct world *w)
{
    struct kedge_id128 a = lease_make(w, TTL), b = lease_make(w, TTL);
    struct kedge_lock_state ks;
    uint64_t fence;

    refuse(do_lock_extend(w, str("lock"), a, 1, &ks), KEDGE_NOT_FOUND);
    fence = lock_take(w, str("lock"), a);
    for (int i = 0; i < 20; i++) {
        clock_advance(TTL / 2);
        expect_ok(do_lock_extend(w, str("lock"), a, fence, &ks));
        expect_eq(ks.fence, fence);
        expect_eq(ks.remaining_us, TTL);
        expect(same_id(&ks.holder, &a));
    }
    expect_rc(do_bury(w, a), KEDGE_HELD); /* its lease was extended */
    refuse(do_lock_extend(w, str("lock"), a, fence - 1, &ks), KEDGE_STALE);
    refuse(do_lock_extend(w, str("lock"), a, fence + 1, &ks), KEDGE_STALE);
    refuse(do_lock_extend(w, str("lock"), b, fence, &ks), KEDGE_STALE);
    expect_ok(do_lock_release(w, str("lock"), a, fence));
    refuse(do_lock_extend(w, str("lock"), a, fence, &ks), KEDGE_NOT_FOUND);
}

static void after_burial(struct world *w)
{
    struct kedge_id128 a = lease_make(w, TTL), b = lease_make(w, 100 * TTL);
    uint64_t fence = lock_take(w, str("lock"), a), taken;
    struct kedge_lock_state ks;

    clock_advance(TTL - 1);
    expect_rc(do_lock_acquire(w, str("lock"), b, random_id(w), &ks), KEDGE_HELD);
    expect_eq(ks.remaining_us, 1);
    clock_advance(1);
    /* lapsed, and yet held until somebody has buried its lease */
    refuse(do_lock_acquire(w, str("lock"), b, random_id(w), &ks), KEDGE_HELD);
    expect_eq(ks.remaining_us, 0);
    expect_ok(do_bury(w, a));
    expect_rc(do_lock_query(w, str("lock"), &ks), KEDGE_NOT_FOUND);
    refuse(do_lock_extend(w, str("lock"), a, fence, &ks), KEDGE_LOST);
    refuse(do_lock_acquire(w, str("lock"), a, random_id(w), &ks), KEDGE_LOST);
    taken = lock_take(w, str("lock"), b);
    expect(taken > fence);
    refuse(do_lock_extend(w, str("lock"), a, fence, &ks), KEDGE_STALE);
    refuse(do_lock_release(w, str("lock"), a, fence), KEDGE_STALE);
    expect_ok(do_lock_extend(w, str("lock"), b, taken, &ks));
}

/* One lease dies with a lock, another comes and goes: the fence of each is its own. */
static void taken_in_commits(struct world *w)
{
    struct kedge_id128 a = lease_make(w, TTL), b = lease_make(w, 100 * TTL);
    struct run r = run_held(w, str("r"), b);
    struct tx *t = tx_new(w);
    struct kedge_lock_state ks;
    uint64_t fence;

    c_lock_take(t, str("lock"), a);
    expect_tx(t, KEDGE_OK);
    fence = t->results[0];
    t = tx_new(w);
    c_lock_take(t, str("lock"), b);
    refuse_tx(t, KEDGE_STALE, 0);
    t = tx_new(w);
    c_lock_take(t, str("lock"), a);
    refuse_tx(t, KEDGE_STALE, 0);
    clock_advance(TTL);
    t = tx_new(w);
    c_lock_take(t, str("lock"), b);
    refuse_tx(t, KEDGE_STALE, 0); /* lapsed is not dead */
    expect_ok(do_bury(w, a));
    t = tx_new(w);
    g_held(t, &r);
    c_lock_take(t, str("lock"), b);
    c_append(t, r.id, 1, str("under the lock"));
    expect_tx(t, KEDGE_OK);
    expect(t->results[0] > fence);
    fence = t->results[0];
    expect_ok(do_lock_query(w, str("lock"), &ks));
    expect(same_id(&ks.holder, &b) && ks.fence == fence);
    t = tx_new(w);
    g_held(t, &r);
    g_lock(t, str("lock"), b, fence);
    c_append(t, r.id, 2, str("guarded by it"));
    c_lock_release(t, str("lock"), b, fence);
    expect_tx(t, KEDGE_OK);
    t = tx_new(w);
    g_held(t, &r);
    g_lock(t, str("lock"), b, fence);
    c_append(t, r.id, 3, str("no more"));
    refuse_tx(t, KEDGE_NOT_FOUND, 1);
    /* taken and let go in one commit */
    t = tx_new(w);
    c_lock_take(t, str("brief"), b);
    expect_tx(t, KEDGE_OK);
    t = tx_new(w);
    c_lock_release(t, str("brief"), b, head(w, r.id).fence);
    refuse_tx(t, KEDGE_STALE, 0);
    expect_ok(do_lock_query(w, str("brief"), &ks));
    t = tx_new(w);
    c_lock_release(t, str("brief"), lease_make(w, TTL), ks.fence); /* not its holder */
    refuse_tx(t, KEDGE_STALE, 0);
    t = tx_new(w);
    c_lock_release(t, str("brief"), b, ks.fence);
    expect_tx(t, KEDGE_OK);
    expect_rc(do_lock_query(w, str("brief"), &ks), KEDGE_NOT_FOUND);
}

static void of_the_dead(struct world *w)
{
    struct kedge_id128 a = lease_make(w, TTL), b = lease_make(w, 100 * TTL);
    uint64_t fence = lock_take(w, str("lock"), a);
    struct kedge_held_page held;
    int rc;

    clock_advance(TTL);
    expect_ok(do_bury(w, a));
    expect_ok(do_held(w, a, none(), 10, &held));
    expect_eq(held.n, 1);
    expect_eq(held.held[0].is_lock, 1);
    expect_eq(held.held[0].fence, fence);
    /* the dead may let go of what was theirs, or find it gone */
    rc = do_lock_release(w, str("lock"), a, fence);
    expect(rc == KEDGE_OK || rc == KEDGE_NOT_FOUND || rc == KEDGE_LOST);
    expect(lock_take(w, str("lock"), b) > fence);
}

static void many(struct world *w)
{
    enum { N = 1000, BATCH = 100 };
    struct kedge_id128 lease = lease_make(w, TTL), other = lease_make(w, TTL);
    struct kedge_lock_state ks;
    struct kedge_held_page page;
    size_t n = 0;

    for (int i = 0; i < N; i += BATCH) {
        struct tx *t[BATCH];

        for (int j = 0; j < BATCH; j++) {
            t[j] = tx_new(w);
            c_lock_take(t[j], name(w, "lock:%d", i + j), lease);
        }
        tx_send_batch(w, t, BATCH);
        for (int j = 0; j < BATCH; j++)
            expect_outcome(t[j], KEDGE_OK);
    }
    /* names that are near each other are not the same */
    lock_take(w, bytes("lock:1\0", 7), other);
    lock_take(w, str("lock:"), other);
    lock_take(w, str("lock:*"), other);
    for (int i = 0; i < N; i += 111)
        expect_rc(do_lock_acquire(w, name(w, "lock:%d", i), other, random_id(w), &ks), KEDGE_HELD);
    page.next = none();
    do {
        expect_ok(do_held(w, lease, page.next, 100, &page));
        n += page.n;
    } while (page.next.len != 0);
    expect_eq(n, N);
    expect_ok(do_revoke(w, lease));
    for (int i = 0; i < N; i += 111)
        expect_rc(do_lock_query(w, name(w, "lock:%d", i), &ks), KEDGE_NOT_FOUND);
    expect_ok(do_lock_query(w, str("lock:*"), &ks));
}

/* A holder that was buried says goodbye while somebody else takes its lock. */
struct goodbye {
    struct world *w;
    struct kedge_id128 lease;
    uint64_t fence;
    atomic_bool go;
    int rc;
};

static void *says_goodbye(void *arg)
{
    struct goodbye *g = arg;
    struct world w[1];

    world_thread_enter(g->w, w, 1);
    while (!atomic_load(&g->go))
        ;
    g->rc = do_lock_release(w, str("lock"), g->lease, g->fence);
    world_thread_leave(w);
    return NULL;
}

static void late_release(struct world *w)
{
    struct kedge_id128 next = lease_make(w, 1000 * TTL);

    for (int i = 0; i < 20; i++) {
        struct goodbye g = { .w = w, .lease = lease_make(w, TTL) };
        struct kedge_lock_state ks;
        uint64_t taken;
        pthread_t thread;

        atomic_init(&g.go, false);
        g.fence = lock_take(w, str("lock"), g.lease);
        clock_advance(TTL);
        expect_eq(pthread_create(&thread, NULL, says_goodbye, &g), 0);
        atomic_store(&g.go, true);
        pause_us(i * 100); /* both orders, and what lies between them */
        expect_ok(do_bury(w, g.lease));
        taken = lock_take(w, str("lock"), next);
        expect_eq(pthread_join(thread, NULL), 0);
        expect(g.rc == KEDGE_OK || g.rc == KEDGE_STALE || g.rc == KEDGE_NOT_FOUND ||
               g.rc == KEDGE_LOST);
        expect_ok(do_lock_query(w, str("lock"), &ks));
        expect_eq(ks.fence, taken);
        expect_ok(do_lock_release(w, str("lock"), next, taken));
    }
}

const struct contract_case cases_locks[] = {
    { "locks-01", "a free lock is taken, a held one tells its holder", NEEDS_CLOCK, acquired },
    { "locks-02", "a refused acquire leaves nothing", 0, refused_leaves_nothing },
    { "locks-03", "release compares holder and fence", 0, released },
    { "locks-04", "extend compares both, keeps the fence and extends the lease", NEEDS_CLOCK,
      extended },
    { "locks-05", "a lock is taken over after burial only", NEEDS_CLOCK, after_burial },
    { "locks-06", "locks taken, guarded by and released in commits", NEEDS_CLOCK,
      taken_in_commits },
    { "locks-07", "locks of the dead are listed and free", NEEDS_CLOCK, of_the_dead },
    { "locks-08", "a thousand locks are independent", 0, many },
    { "locks-09", "a late release never frees the lock of who took it over",
      NEEDS_CLOCK | NEEDS_THREADS, late_release },
    { NULL, NULL, 0, NULL },
};
