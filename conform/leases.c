/* leases.c - cases: grant, extend, bury, revoke, and who holds what */
#include "cases.h"

#include <pthread.h>
#include <stdatomic.h>

static struct kedge_lease_new new_lease(struct world *w, int64_t ttl)
{
    return (struct kedge_lease_new){
        .id = random_id(w), .request = random_id(w), .owner = str("host 12 boot"), .ttl_us = ttl
    };
}

/* The record of LEASE, which must be there. */
static struct kedge_lease record_of(struct world *w, struct kedge_id128 lease)
{
    struct kedge_lease_page page;
    struct kedge_bytes cursor = none();

    do {
        expect_ok(do_leases(w, cursor, 100, &page));
        for (size_t i = 0; i < page.n; i++)
            if (same_id(&page.leases[i].id, &lease))
                return page.leases[i];
        cursor = page.next;
    } while (cursor.len != 0);
    fail_case(__FILE__, __LINE__, "a lease has no record");
}

static void granted(struct world *w)
{
    static const struct kedge_serve serves[] = {
        { { "queue", 5 }, { "reactor", 7 }, 1, 9 },
        { { "q\0", 2 }, { "*", 1 }, 0, UINT32_MAX },
    };
    struct kedge_lease_new in = new_lease(w, TTL);
    struct kedge_lease_state st;
    struct kedge_lease l;
    int64_t granted_at = wall_now();

    in.serves = serves;
    in.n_serves = 2;
    expect_ok(do_grant(w, &in, &st));
    expect_eq(st.deadline, lease_now() + TTL);
    expect_eq(st.remaining_us, TTL);
    clock_advance(SEC(10));
    l = record_of(w, in.id);
    expect_eq(l.state, KEDGE_LEASE_LIVE);
    expect_eq(l.ttl_us, TTL);
    expect_eq(l.deadline, st.deadline);
    expect_eq(l.remaining_us, TTL - SEC(10));
    expect_eq(l.granted, granted_at);
    expect_bytes(l.owner, in.owner);
    expect_eq(l.n_serves, 2);
    for (size_t i = 0; i < 2; i++) {
        expect_bytes(l.serves[i].queue, serves[i].queue);
        expect_bytes(l.serves[i].reactor, serves[i].reactor);
        expect_eq(l.serves[i].version_min, serves[i].version_min);
        expect_eq(l.serves[i].version_max, serves[i].version_max);
    }
}

static void granted_again(struct world *w)
{
    struct kedge_lease_new in = new_lease(w, TTL);
    struct kedge_lease_state first, again;

    expect_ok(do_grant(w, &in, &first));
    clock_advance(SEC(1));
    expect_ok(do_grant(w, &in, &again));
    in.request = random_id(w);
    refuse(do_grant(w, &in, &again), KEDGE_EXISTS);
    in.id = random_id(w);
    expect_ok(do_grant(w, &in, &again));
}

static void granted_badly(struct world *w)
{
    struct kedge_lease_new good = new_lease(w, TTL), in;
    struct kedge_lease_state st;
    struct kedge_serve backwards = { str("q"), str("r"), 5, 4 };
    struct kedge_serve nameless = { str("q"), none(), 0, 1 };
    static const struct kedge_id128 zero = { { 0 } };

    in = good;
    in.id = zero;
    refuse(do_grant(w, &in, &st), KEDGE_ERR_INVALID);
    in = good;
    in.request = zero;
    refuse(do_grant(w, &in, &st), KEDGE_ERR_INVALID);
    static const int64_t ttls[] = { 0, -1, INT64_MIN, INT64_MAX };
    for (size_t i = 0; i < ARRAY_LEN(ttls); i++) {
        in = good;
        in.ttl_us = ttls[i];
        refuse(do_grant(w, &in, &st), KEDGE_ERR_INVALID);
    }
    in = good;
    in.ttl_us = w->limits.ttl_min_us - 1;
    refuse(do_grant(w, &in, &st), KEDGE_ERR_INVALID);
    in.ttl_us = w->limits.ttl_max_us + 1;
    refuse(do_grant(w, &in, &st), KEDGE_ERR_INVALID);
    in = good;
    in.owner = blob(w, w->limits.id_max + 1, 1);
    refuse(do_grant(w, &in, &st), KEDGE_ERR_TOO_BIG);
    in = good;
    in.n_serves = 1;
    in.serves = &backwards;
    refuse(do_grant(w, &in, &st), KEDGE_ERR_INVALID);
    in.serves = &nameless;
    refuse(do_grant(w, &in, &st), KEDGE_ERR_INVALID);

    in = good;
    in.ttl_us = w->limits.ttl_min_us;
    in.owner = none();
    expect_ok(do_grant(w, &in, &st));
    in = new_lease(w, w->limits.ttl_max_us);
    in.owner = blob(w, w->limits.id_max, 1);
    expect_ok(do_grant(w, &in, &st));
    expect_bytes(record_of(w, in.id).owner, in.owner);
}

static void many_serves(struct world *w)
{
    struct kedge_serve serves[200];
    struct kedge_lease_new in = new_lease(w, TTL);
    struct kedge_lease_state st;
    struct kedge_lease l;

    for (uint32_t i = 0; i < 200; i++)
        serves[i] = (struct kedge_serve){ str("q"), name(w, "reactor %u", i), i, i + 7 };
    in.serves = serves;
    in.n_serves = 200;
    expect_ok(do_grant(w, &in, &st));
    l = record_of(w, in.id);
    expect_eq(l.n_serves, 200);
    expect_bytes(l.serves[199].reactor, serves[199].reactor);
    expect_eq(l.serves[199].version_max, 206);
}

static void extended(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct kedge_lease_state st;

    for (int i = 0; i < 100; i++) {
        clock_advance((int64_t)random_below(w, (uint32_t)SEC(29)));
        expect_ok(do_extend(w, lease, &st));
        expect_eq(st.deadline, lease_now() + TTL);
        expect_eq(st.remaining_us, TTL);
        expect_eq(record_of(w, lease).deadline, lease_now() + TTL);
        world_forget(w);
    }
}

static void one_clock(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);

    clock_step_wall(SEC(3600));
    expect_eq(record_of(w, lease).state, KEDGE_LEASE_LIVE);
    expect_rc(do_bury(w, lease), KEDGE_HELD);
}

static void boundary(struct world *w)
{
    struct kedge_id128 a = lease_make(w, TTL), b = lease_make(w, TTL);
    struct kedge_lease_state st;

    clock_advance(TTL - 1);
    expect_eq(record_of(w, a).state, KEDGE_LEASE_LIVE);
    expect_eq(record_of(w, a).remaining_us, 1);
    refuse(do_bury(w, a), KEDGE_HELD);
    expect_ok(do_extend(w, b, &st));
    clock_advance(1); /* now == deadline of a */
    expect_eq(record_of(w, a).state, KEDGE_LEASE_LAPSED);
    expect_eq(record_of(w, a).remaining_us, 0);
    refuse(do_bury(w, b), KEDGE_HELD);
    expect_ok(do_bury(w, a));
    expect_eq(record_of(w, a).state, KEDGE_LEASE_DEAD);
    expect_eq(record_of(w, a).remaining_us, 0);
    expect_eq(record_of(w, b).state, KEDGE_LEASE_LIVE);
}

static void lapsed_lives(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    uint64_t fence = lock_take(w, str("lock"), lease);
    struct kedge_lease_state st;
    struct kedge_lock_state ks;

    clock_advance(10 * TTL);
    expect_eq(record_of(w, lease).state, KEDGE_LEASE_LAPSED);
    step(w, &r, "nobody acted on my absence");
    expect_ok(do_lock_query(w, str("lock"), &ks));
    expect_eq(ks.remaining_us, 0);
    /* somebody who asks for the lock without burying first does not get it */
    expect_rc(do_lock_acquire(w, str("lock"), lease_make(w, TTL), random_id(w), &ks), KEDGE_HELD);
    expect_eq(ks.fence, fence);
    expect_ok(do_extend(w, lease, &st));
    expect_eq(st.deadline, lease_now() + TTL);
    expect_eq(record_of(w, lease).state, KEDGE_LEASE_LIVE);
    refuse(do_bury(w, lease), KEDGE_HELD);
    step(w, &r, "still mine");
}

/* All that a dead lease must not do any more. */
static void check_final(struct world *w, struct kedge_id128 lease, const struct run *r,
                        uint64_t lock_fence)
{
    struct kedge_lease_state st;
    struct kedge_lock_state ks;
    struct kedge_claim claim = claim_of(w, lease, 5);
    struct kedge_run_page page;
    struct tx *t;

    refuse(do_extend(w, lease, &st), KEDGE_LOST);
    refuse(do_lock_acquire(w, str("free"), lease, random_id(w), &ks), KEDGE_LOST);
    refuse(do_claim(w, &claim, &page), KEDGE_LOST);
    t = tx_new(w);
    g_held(t, r);
    c_append(t, r->id, r->position + 1, str("too late"));
    refuse_tx(t, KEDGE_LOST, 0);
    t = tx_new(w);
    g_live(t, lease);
    c_cell_put(t, str("cell"), str("too late"), never());
    refuse_tx(t, KEDGE_LOST, 0);
    t = tx_new(w);
    c_create_held(t, str("new"), lease);
    refuse_tx(t, KEDGE_LOST, 0);
    t = tx_new(w);
    g_unheld(t, str("due"), KEDGE_STATUSES_ALL, head(w, str("due")).revision);
    c_take(t, str("due"), lease);
    refuse_tx(t, KEDGE_LOST, 1);
    t = tx_new(w);
    c_lock_take(t, str("free"), lease);
    refuse_tx(t, KEDGE_LOST, 0);
    if (lock_fence != 0) {
        refuse(do_lock_extend(w, str("lock"), lease, lock_fence, &ks), KEDGE_LOST);
        t = tx_new(w);
        g_lock(t, str("lock"), lease, lock_fence);
        c_cell_put(t, str("cell"), str("too late"), never());
        refuse_tx(t, KEDGE_LOST, 0);
    }
}

static void buried_is_final(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    uint64_t fence = lock_take(w, str("lock"), lease);

    run_due(w, str("due"), from_now(0));
    step(w, &r, "alive");
    clock_advance(TTL);
    expect_ok(do_bury(w, lease));
    check_final(w, lease, &r, fence);
    expect_ok(do_bury(w, lease)); /* again: it is dead */
    expect_ok(do_revoke(w, lease));
    clock_step_lease(-2 * TTL); /* no clock brings it back */
    expect_eq(record_of(w, lease).state, KEDGE_LEASE_DEAD);
}

static void revoked_is_final(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);

    run_due(w, str("due"), from_now(SEC(60)));
    expect_ok(do_revoke(w, lease));
    {
        struct kedge_lease_state st;
        struct tx *t = tx_new(w);

        refuse(do_extend(w, lease, &st), KEDGE_LOST);
        g_held(t, &r);
        c_append(t, r.id, 1, str("too late"));
        /* the run has no holder now: another holder comes before dead */
        refuse_tx(t, KEDGE_STALE, 0);
    }
    expect_ok(do_revoke(w, lease));
    expect_ok(do_bury(w, lease));
    expect_eq(record_of(w, lease).state, KEDGE_LEASE_DEAD);
}

static void purged_is_final(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL), other = lease_make(w, 100 * TTL);
    struct kedge_lease_state st;
    struct kedge_lock_state ks;
    struct tx *t = tx_new(w);

    clock_advance(TTL);
    expect_ok(do_bury(w, lease));
    expect_eq(purge_all(w).rows, 1);
    expect_eq(lease_state_of(w, lease), 0);
    refuse(do_extend(w, lease, &st), KEDGE_LOST);
    refuse(do_lock_acquire(w, str("lock"), lease, random_id(w), &ks), KEDGE_LOST);
    c_create_held(t, str("new"), lease);
    refuse_tx(t, KEDGE_LOST, 0);
    expect_ok(do_extend(w, other, &st));
}

static void unknown_lease(struct world *w)
{
    struct kedge_id128 nobody = random_id(w);
    struct kedge_lease_state st;
    struct kedge_held_page page;

    refuse(do_bury(w, nobody), KEDGE_NOT_FOUND);
    refuse(do_revoke(w, nobody), KEDGE_NOT_FOUND);
    refuse(do_extend(w, nobody, &st), KEDGE_LOST);
    expect_ok(do_held(w, nobody, none(), 10, &page));
    expect_eq(page.n, 0);
}

static void revoked(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL), other = lease_make(w, TTL);
    struct run a = run_held(w, str("a"), lease), b = run_held(w, str("b"), lease);
    struct run c = run_held(w, str("c"), other);
    struct kedge_lock_state ks;
    struct kedge_held_page held;
    struct kedge_run h, before_c = head(w, c.id);
    uint64_t fence = lock_take(w, str("lock"), lease);

    lock_take(w, str("theirs"), other);
    step(w, &a, "one");
    clock_advance(SEC(1));
    expect_ok(do_revoke(w, lease));
    for (int i = 0; i < 2; i++) {
        h = head(w, i == 0 ? a.id : b.id);
        expect_eq(h.place, KEDGE_PLACE_DUE);
        expect_eq(h.status, KEDGE_RUNNING);
        expect(h.due != 0 && h.due <= wall_now());
        expect_eq(h.recoveries, 0);
        expect(is_zero_id(&h.holder));
    }
    h = head(w, c.id);
    expect_eq(h.revision, before_c.revision);
    expect_eq(h.place, KEDGE_PLACE_HELD);
    expect_ok(do_held(w, lease, none(), 10, &held));
    expect_eq(held.n, 0);
    expect_rc(do_lock_query(w, str("lock"), &ks), KEDGE_NOT_FOUND);
    expect_ok(do_lock_query(w, str("theirs"), &ks));
    expect(lock_take(w, str("lock"), other) > fence);
    {
        struct kedge_claim in = claim_of(w, other, 10);
        struct kedge_run_page page;

        expect_ok(do_claim(w, &in, &page));
        expect_eq(page.n, 2);
        expect_eq(page.runs[0].recoveries, 0);
    }
}

static void buried_leaves(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL), other = lease_make(w, 10 * TTL);
    struct run a = run_held(w, str("a"), lease);
    struct kedge_lock_state ks;
    struct kedge_claim in = claim_of(w, other, 10);
    struct kedge_run_page page;
    struct kedge_run h;
    uint64_t fence = lock_take(w, str("lock"), lease), taken;
    struct tx *t;

    clock_advance(TTL);
    h = head(w, a.id);
    t = tx_new(w);
    g_unheld(t, a.id, KEDGE_STATUSES_ALL, h.revision);
    c_take(t, a.id, other);
    refuse_tx(t, KEDGE_STALE, 0); /* lapsed is not dead */
    expect_ok(do_bury(w, lease));
    h = head(w, a.id);
    expect_eq(h.place, KEDGE_PLACE_HELD);
    expect(same_id(&h.holder, &lease));
    expect_eq(h.fence, a.fence);
    refuse(do_claim(w, &in, &page), KEDGE_OK); /* it is not due: nothing is handed out */
    expect_rc(do_lock_query(w, str("lock"), &ks), KEDGE_NOT_FOUND);
    taken = lock_take(w, str("lock"), other);
    expect(taken > fence);
    refuse(do_lock_release(w, str("lock"), lease, fence), KEDGE_STALE);
    t = tx_new(w);
    g_unheld(t, a.id, KEDGE_STATUSES_ALL, h.revision);
    c_take(t, a.id, other);
    expect_tx(t, KEDGE_OK);
    expect(t->results[0] > a.fence);
    t = tx_new(w);
    g_held(t, &a);
    c_append(t, a.id, 1, str("too late"));
    refuse_tx(t, KEDGE_STALE, 0);
}

static void attention(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL), other = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_lease_state before, after, theirs;
    struct kedge_held_page held;
    struct tx *t;

    run_held(w, str("b"), other);
    run_due(w, str("due"), from_now(SEC(60)));
    expect_ok(do_extend(w, other, &theirs));
    expect_ok(do_extend(w, lease, &before));
    expect_ok(do_extend(w, lease, &after));
    expect_eq(after.attention, before.attention);
    wake(w, str("due"));
    t = tx_new(w);
    c_request(t, str("due"), KEDGE_REQUEST_CANCEL);
    expect_tx(t, KEDGE_OK);
    expect_ok(do_extend(w, lease, &after));
    expect_eq(after.attention, before.attention); /* not of this lease */

    t = tx_new(w);
    c_request(t, r.id, KEDGE_REQUEST_CANCEL);
    expect_tx(t, KEDGE_OK);
    expect_ok(do_extend(w, lease, &after));
    expect(after.attention > before.attention);
    expect_ok(do_held(w, lease, none(), 10, &held));
    expect_eq(held.n, 1);
    expect_eq(held.held[0].requests, KEDGE_REQUEST_CANCEL);

    before = after;
    wake(w, r.id);
    expect_ok(do_extend(w, lease, &after));
    expect(after.attention > before.attention);
    expect_eq(head(w, r.id).wake_mark, 1);
    expect_ok(do_extend(w, other, &after));
    expect_eq(after.attention, theirs.attention);
}

static void stepped_back(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL), other = lease_make(w, TTL);
    struct kedge_lease_state st;

    clock_advance(SEC(10));
    expect_ok(do_extend(w, lease, &st));
    clock_step_lease(-SEC(3600));
    /* the first look sees that the last extend lies in the future */
    expect_rc(do_bury(w, other), KEDGE_HELD);
    expect(record_of(w, lease).remaining_us <= TTL);
    expect(record_of(w, other).remaining_us <= TTL);
    expect_rc(do_bury(w, lease), KEDGE_HELD);
    clock_advance(TTL - 1);
    expect_rc(do_bury(w, lease), KEDGE_HELD);
    clock_advance(1);
    expect_ok(do_bury(w, lease));
    expect_ok(do_bury(w, other));
}

static void stepped_back_extend(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct kedge_lease_state st;

    for (int i = 0; i < 5; i++) {
        clock_step_lease(-SEC(1800));
        expect_ok(do_extend(w, lease, &st));
        expect_eq(st.deadline, lease_now() + TTL);
        expect_eq(st.remaining_us, TTL);
    }
    clock_advance(TTL);
    expect_ok(do_bury(w, lease));
}

static void listed(struct world *w)
{
    struct kedge_id128 ids[23];
    struct kedge_lease_page page;

    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = i % 3 == 0 ? lease_dead(w) : lease_make(w, TTL);
    for (size_t limit = 1; limit <= 25; limit += 4) {
        struct kedge_bytes cursor = none();
        struct kedge_id128 last = { { 0 } };
        size_t seen = 0;

        do {
            expect_ok(do_leases(w, cursor, limit, &page));
            expect(page.n <= limit);
            for (size_t i = 0; i < page.n; i++, seen++) {
                expect(memcmp(last.b, page.leases[i].id.b, 16) < 0);
                last = page.leases[i].id;
            }
            cursor = page.next;
        } while (cursor.len != 0);
        expect_eq(seen, ARRAY_LEN(ids));
    }
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        expect_eq(lease_state_of(w, ids[i]), i % 3 == 0 ? KEDGE_LEASE_DEAD : KEDGE_LEASE_LIVE);
}

static void list_held_pages(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL), other = lease_make(w, TTL);
    struct kedge_held first[20];
    struct kedge_held_page page;

    for (int i = 0; i < 10; i++) {
        run_held(w, name(w, "run %d", i), lease);
        lock_take(w, name(w, "lock %d", i), lease);
        run_held(w, name(w, "not mine %d", i), other);
        lock_take(w, name(w, "not my lock %d", i), other);
    }
    for (size_t limit = 1; limit <= 21; limit += 5) {
        struct kedge_bytes cursor = none();
        size_t n = 0, locks = 0;

        do {
            expect_ok(do_held(w, lease, cursor, limit, &page));
            expect(page.n <= limit);
            for (size_t i = 0; i < page.n; i++, n++) {
                expect(n < 20);
                if (limit == 1)
                    first[n] = page.held[i];
                expect_bytes(page.held[i].name, first[n].name);
                expect_eq(page.held[i].is_lock, first[n].is_lock);
                expect(page.held[i].fence != 0);
                locks += page.held[i].is_lock != 0;
                if (page.held[i].is_lock == 0)
                    expect_eq(page.held[i].fence, head(w, page.held[i].name).fence);
            }
            cursor = page.next;
        } while (cursor.len != 0);
        expect_eq(n, 20);
        expect_eq(locks, 10);
    }
    /* dead or not */
    clock_advance(TTL);
    expect_ok(do_bury(w, lease));
    expect_ok(do_held(w, lease, none(), 50, &page));
    expect_eq(page.n, 20);
}

static void bad_limits(struct world *w)
{
    struct kedge_lease_page leases;
    struct kedge_held_page held;
    struct kedge_id128 lease = lease_make(w, TTL);

    refuse(do_leases(w, none(), 0, &leases), KEDGE_ERR_INVALID);
    refuse(do_held(w, lease, none(), 0, &held), KEDGE_ERR_INVALID);
    expect_ok(do_leases(w, none(), 1, &leases));
    expect_ok(do_held(w, lease, none(), 1, &held));
}

/* An extend and a burial of a lapsed lease, at the same time. */
struct race {
    struct world *w;
    pthread_barrier_t barrier;
    struct kedge_id128 lease;
    struct run run;
    int extended, committed, buried;
    int rounds;
};

/* A moment, so that not always the same side comes first. */
static void spin(uint32_t us)
{
    int64_t until = real_us() + us;

    while (real_us() < until)
        ;
}

static void *extender(void *arg)
{
    struct race *race = arg;
    struct world w[1];

    world_thread_enter(race->w, w, 1);
    for (int i = 0; i < race->rounds; i++) {
        struct kedge_lease_state st;
        struct tx t;

        pthread_barrier_wait(&race->barrier);
        spin(random_below(w, 60));
        if (i % 2 == 0) {
            race->extended = do_extend(w, race->lease, &st);
        } else {
            tx_init(w, &t);
            g_held(&t, &race->run);
            c_append(&t, race->run.id, 1, str("in time?"));
            race->committed = tx_send(w, &t);
        }
        pthread_barrier_wait(&race->barrier);
    }
    world_thread_leave(w);
    return NULL;
}

static void race_burial(struct world *w)
{
    struct race race = { .w = w, .rounds = 200 };
    pthread_t thread;
    int won[2] = { 0, 0 };

    expect_eq(pthread_barrier_init(&race.barrier, NULL, 2), 0);
    expect_eq(pthread_create(&thread, NULL, extender, &race), 0);
    for (int i = 0; i < race.rounds; i++) {
        struct kedge_lease_state st;

        race.lease = lease_make(w, TTL);
        race.run = run_held(w, name(w, "run %d", i), race.lease);
        clock_advance(TTL);
        pthread_barrier_wait(&race.barrier);
        spin(random_below(w, 60));
        race.buried = do_bury(w, race.lease);
        pthread_barrier_wait(&race.barrier);
        if (i % 2 == 0) {
            expect(race.extended == KEDGE_OK || race.extended == KEDGE_LOST);
            expect(race.buried == KEDGE_OK || race.buried == KEDGE_HELD);
            /* exactly one of them */
            expect((race.extended == KEDGE_OK) == (race.buried == KEDGE_HELD));
            won[race.extended == KEDGE_OK]++;
            expect_rc(do_extend(w, race.lease, &st),
                      race.extended == KEDGE_OK ? KEDGE_OK : KEDGE_LOST);
        } else {
            /* a commit of a lapsed lease does not keep it from being buried */
            expect_eq(race.buried, KEDGE_OK);
            expect(race.committed == KEDGE_OK || race.committed == KEDGE_LOST);
            expect_eq(head(w, race.run.id).position, race.committed == KEDGE_OK ? 1 : 0);
        }
        world_forget(w);
    }
    expect_eq(pthread_join(thread, NULL), 0);
    pthread_barrier_destroy(&race.barrier);
    note("extend won %d times, the burial %d times", won[1], won[0]);
}

/* A holder appends as fast as it can until it is told that it is dead. */
struct last_words {
    struct world *w;
    pthread_barrier_t barrier;
    struct run run;
    uint64_t said;
    int end;
    int rounds;
};

static void *talker(void *arg)
{
    struct last_words *words = arg;
    struct world w[1];

    world_thread_enter(words->w, w, 1);
    for (int i = 0; i < words->rounds; i++) {
        pthread_barrier_wait(&words->barrier);
        words->said = 0;
        do {
            struct tx t;

            tx_init(w, &t);
            g_held(&t, &words->run);
            c_append(&t, words->run.id, words->said + 1, str("still here"));
            words->end = tx_send(w, &t);
            words->said += words->end == KEDGE_OK;
        } while (words->end == KEDGE_OK);
        pthread_barrier_wait(&words->barrier);
    }
    world_thread_leave(w);
    return NULL;
}

static void last_words(struct world *w)
{
    struct last_words words = { .w = w, .rounds = 50 };
    pthread_t thread;
    int spoke = 0;

    expect_eq(pthread_barrier_init(&words.barrier, NULL, 2), 0);
    expect_eq(pthread_create(&thread, NULL, talker, &words), 0);
    for (int i = 0; i < words.rounds; i++) {
        struct kedge_id128 lease = lease_make(w, TTL);
        uint64_t position;

        words.run = run_held(w, name(w, "run %d", i), lease);
        clock_advance(TTL);
        pthread_barrier_wait(&words.barrier);
        spin(random_below(w, 3000));
        expect_ok(do_bury(w, lease));
        position = head(w, words.run.id).position;
        pthread_barrier_wait(&words.barrier);
        expect_eq(words.end, KEDGE_LOST);
        expect_eq(words.said, position);
        expect_eq(head(w, words.run.id).position, position);
        spoke += position != 0;
        world_forget(w);
    }
    expect_eq(pthread_join(thread, NULL), 0);
    pthread_barrier_destroy(&words.barrier);
    expect(spoke > 0); /* else nothing was tried */
}

/* Those dead longest are swept first, also when they are buried again. */
static void buried_again(struct world *w)
{
    struct kedge_id128 first = lease_make(w, TTL), second = lease_make(w, 2 * TTL);
    struct kedge_run_page page;

    run_held(w, str("first"), first);
    run_held(w, str("second"), second);
    clock_advance(2 * TTL);
    expect_ok(do_bury(w, first));
    clock_advance(TTL);
    expect_ok(do_bury(w, second));
    clock_advance(TTL);
    refuse(do_bury(w, first), KEDGE_OK); /* it is dead, and nothing is changed */
    expect_ok(do_expired(w, none(), 10, &page));
    expect_eq(page.n, 2);
    expect_bytes(page.runs[0].id, str("first"));
    expect_bytes(page.runs[1].id, str("second"));
}

const struct contract_case cases_leases[] = {
    { "leases-01", "a granted lease says what was asked for", NEEDS_CLOCK, granted },
    { "leases-02", "the same grant again is done, another under that id exists", NEEDS_CLOCK,
      granted_again },
    { "leases-03", "a grant with senseless members is refused", 0, granted_badly },
    { "leases-04", "a lease may serve many reactors", 0, many_serves },
    { "leases-05", "extend sets the deadline to now + ttl and never drifts", NEEDS_CLOCK,
      extended },
    { "leases-06", "a lease may be buried from now == deadline on, not before", NEEDS_CLOCK,
      boundary },
    { "leases-07", "a lapsed lease that nobody buried may commit and extend", NEEDS_CLOCK,
      lapsed_lives },
    { "leases-08", "what is buried stays buried, for every operation", NEEDS_CLOCK,
      buried_is_final },
    { "leases-09", "what is revoked stays revoked", 0, revoked_is_final },
    { "leases-10", "a purged lease is lost too", NEEDS_CLOCK, purged_is_final },
    { "leases-11", "a lease that never was", 0, unknown_lease },
    { "leases-12", "revoke makes runs due at no charge, frees locks, touches no other", NEEDS_CLOCK,
      revoked },
    { "leases-13", "burial leaves runs where they are and frees locks", NEEDS_CLOCK,
      buried_leaves },
    { "leases-14", "attention rises with requests and wakes of held runs", 0, attention },
    { "leases-15", "a clock that steps back prolongs a lease by one ttl at most", NEEDS_CLOCK,
      stepped_back },
    { "leases-16", "extend under a clock that steps back", NEEDS_CLOCK, stepped_back_extend },
    { "leases-17", "lease_list pages through all, in the order of ids", 0, listed },
    { "leases-18", "list_held pages through runs and locks", NEEDS_CLOCK, list_held_pages },
    { "leases-19", "a page of nothing is refused", 0, bad_limits },
    { "leases-20", "an extend and a burial never both succeed", NEEDS_CLOCK | NEEDS_THREADS,
      race_burial },
    { "leases-22", "nothing of a holder arrives once its burial was answered",
      NEEDS_CLOCK | NEEDS_THREADS, last_words },
    { "leases-21", "a deadline runs on the lease clock alone", NEEDS_CLOCKS, one_clock },
    { "leases-23", "who is dead dies no second time: the dead stay in their order", NEEDS_CLOCK,
      buried_again },
    { NULL, NULL, 0, NULL },
};
