/*
 * ttl.c - cases: times to live from end to end
 *
 * At now == deadline a lease may be buried, one microsecond before it may not; what expires is gone
 * at its time and not before.  Most of that is shown where it belongs (leases, cells, runs, purge);
 * here are long times, extreme ones, clocks that step back by any amount, and sentinels: cases that
 * wait in real time, so that a backend which honours a clock that is moved, and no other, is found.
 *
 * A sentinel's time to live is derived from how long calls take here and now.  When one took so
 * long that nothing can be said, it begins again with twice the time; it waits for three seconds at
 * the most.
 */
#include "cases.h"

#define DAY SEC(86400)

/* ------------------------------------------------------------------ virtual time */

/* Finished, and kept for a day: there until then with all it has, and gone then. */
static void retention(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 10 * DAY);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_record_page page;
    struct kedge_run old;
    struct tx *t;

    step(w, &r, "one");
    release_rest(w, &r, KEDGE_COMPLETED, from_now(DAY));
    old = head(w, str("a"));
    expect_eq(old.expires, wall_now() + DAY);
    for (int hour = 0; hour < 24; hour++) {
        expect_eq(purge_all(w).runs, 0);
        expect_ok(do_records(w, str("a"), old.incarnation, 1, 10, 1000, &page));
        expect_eq(page.n, 1);
        clock_advance(hour < 23 ? SEC(3600) : SEC(3600) - 1);
    }
    expect(is_there(w, str("a")));
    expect_eq(purge_all(w).runs, 0);
    t = tx_new(w);
    c_create_due(t, str("a"), from_now(0));
    refuse_tx(t, KEDGE_EXISTS, 0);
    clock_advance(1);
    expect(!is_there(w, str("a")));
    /* The id is free before anybody has purged, and is not the old run. */
    t = tx_new(w);
    g_absent(t, str("a"));
    c_create_held(t, str("a"), lease);
    expect_tx(t, KEDGE_OK);
    expect(t->results[0] > old.fence);
    expect_rc(do_records(w, str("a"), old.incarnation, 1, 10, 1000, &page), KEDGE_NOT_FOUND);
    (void)purge_all(w);
    expect_eq(head(w, str("a")).position, 0);
    t = tx_new(w);
    g_held(t, &r);
    refuse_tx(t, KEDGE_STALE, 0);
}

/* Everything there is to say of a lease at the one moment when it lapses, and the one before. */
static void the_moment(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL), other = lease_make(w, 10 * TTL);
    struct run r = run_held(w, str("a"), lease);
    uint64_t fence = lock_take(w, str("lock"), lease);
    struct kedge_lock_state ks;
    uint32_t reason;

    clock_advance(TTL - 1);
    expect_eq(lease_state_of(w, lease), KEDGE_LEASE_LIVE);
    expect(!is_expired_listed(w, str("a"), NULL));
    expect_rc(do_lock_acquire(w, str("lock"), other, random_id(w), &ks), KEDGE_HELD);
    expect_eq(ks.remaining_us, 1);
    refuse(do_bury(w, lease), KEDGE_HELD);
    clock_advance(1);
    expect_eq(lease_state_of(w, lease), KEDGE_LEASE_LAPSED);
    expect(is_expired_listed(w, str("a"), &reason));
    expect_eq(reason, KEDGE_SWEEP_LAPSED);
    expect_rc(do_lock_acquire(w, str("lock"), other, random_id(w), &ks), KEDGE_HELD);
    expect_eq(ks.remaining_us, 0);
    expect_eq(ks.fence, fence);
    step(w, &r, "nobody has acted on it");
    expect_ok(do_bury(w, lease));
    expect_ok(do_lock_acquire(w, str("lock"), other, random_id(w), &ks));
    expect(ks.fence > fence);
}

/* However far the clock steps back, what was extended before lives for one ttl more at the most. */
static void back_by_any(struct world *w)
{
    static const int64_t steps[] = { 1,       MS(1),   SEC(1),    TTL - 1,    TTL,
                                     TTL + 1, 2 * TTL, SEC(3600), SEC(86400), 400 * SEC(86400) };

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct kedge_id128 lease = lease_make(w, TTL);
        struct kedge_lease_state st;

        context("back by %lld us", (long long)steps[i]);
        clock_advance(SEC(7));
        expect_ok(do_extend(w, lease, &st));
        clock_step_lease(-steps[i]);
        expect_rc(do_bury(w, lease), KEDGE_HELD);
        clock_advance(TTL - 1);
        expect_rc(do_bury(w, lease), KEDGE_HELD);
        clock_advance(1);
        expect_ok(do_bury(w, lease));
        world_forget(w);
    }
}

/* The shortest and the longest time to live that the backend takes, to the microsecond. */
static void extremes(struct world *w)
{
    const int64_t ttls[] = { w->limits.ttl_min_us, w->limits.ttl_max_us };

    for (size_t i = 0; i < ARRAY_LEN(ttls); i++) {
        struct kedge_id128 lease = lease_make(w, ttls[i]);
        struct kedge_lease_state st;

        context("a ttl of %lld us", (long long)ttls[i]);
        for (int k = 0; k < 100; k++) {
            clock_advance(ttls[i] / 2000);
            expect_ok(do_extend(w, lease, &st));
            expect_eq(st.remaining_us, ttls[i]);
        }
        clock_advance(ttls[i] - 1);
        refuse(do_bury(w, lease), KEDGE_HELD);
        clock_advance(1);
        expect_ok(do_bury(w, lease));
    }
}

/* --------------------------------------------------------------------- sentinels */

#define LONGEST SEC(3)

/* A time to live that is long beside what a call takes here. */
static int64_t ttl_here(struct world *w)
{
    struct kedge_time now;
    int64_t slowest = 0, ttl;

    for (int i = 0; i < 50; i++) {
        int64_t began = real_us();

        expect_ok(do_now(w, &now));
        if (real_us() - began > slowest)
            slowest = real_us() - began;
    }
    ttl = 20 * slowest > MS(100) ? 20 * slowest : MS(100);
    return ttl > w->limits.ttl_min_us ? ttl : w->limits.ttl_min_us;
}

/* Until UNTIL, on the machine's own clock. */
static void wait_until(int64_t until)
{
    int64_t now = real_us();

    if (until > now)
        pause_us(until - now);
}

/*
 * ATTEMPT with longer and longer times, until one was told in time: it answers false when a call
 * took so long that it can say nothing.
 */
static void sentinel(struct world *w, bool (*attempt)(struct world *w, int64_t ttl, int number))
{
    int number = 0;

    clock_real();
    for (int64_t ttl = ttl_here(w); ttl <= LONGEST; ttl *= 2) {
        context("a ttl of %lld ms", (long long)(ttl / 1000));
        if (attempt(w, ttl, number++))
            return;
    }
    inconclusive_case("calls take too long here to tell a time to live of %d s",
                      (int)(LONGEST / SEC(1)));
}

/* The store's clock may tick a little after the machine's. */
#define MARGIN MS(5)

static bool real_lease(struct world *w, int64_t ttl, int number)
{
    int64_t called = real_us();
    struct kedge_id128 lease = lease_make(w, ttl);
    int64_t granted = real_us();
    struct kedge_lease_state st;
    int rc;

    (void)number;
    wait_until(called + ttl / 2);
    rc = do_bury(w, lease);
    if (real_us() >= called + ttl)
        return false;
    expect_rc(rc, KEDGE_HELD);
    called = real_us();
    expect_ok(do_extend(w, lease, &st));
    if (real_us() >= granted + ttl)
        return false;
    granted = real_us();
    wait_until(called + ttl * 3 / 4); /* the first deadline has passed */
    rc = do_bury(w, lease);
    if (real_us() >= called + ttl)
        return false;
    expect_rc(rc, KEDGE_HELD);
    wait_until(granted + ttl + MARGIN);
    expect_rc(do_bury(w, lease), KEDGE_OK);
    return true;
}

static bool real_cell(struct world *w, int64_t ttl, int number)
{
    struct kedge_bytes id = name(w, "cell-%d", number);
    struct tx *t = tx_new(w);
    struct kedge_cell cell;
    int64_t called = real_us(), written;
    int rc;

    c_cell_put(t, id, str("value"), from_now(ttl));
    expect_tx(t, KEDGE_OK);
    written = real_us();
    wait_until(called + ttl / 2);
    rc = do_cell(w, id, &cell);
    if (real_us() >= called + ttl)
        return false;
    expect_rc(rc, KEDGE_OK);
    wait_until(written + ttl + MARGIN);
    expect_rc(do_cell(w, id, &cell), KEDGE_NOT_FOUND);
    return true;
}

static bool real_due(struct world *w, int64_t ttl, int number)
{
    struct kedge_id128 lease = lease_make(w, SEC(60));
    struct kedge_claim in = claim_of(w, lease, 1);
    struct kedge_bytes id = name(w, "run-%d", number);
    struct kedge_run_page page;
    int64_t called = real_us(), written;
    struct run r;

    r = run_due(w, id, from_now(ttl));
    written = real_us();
    wait_until(called + ttl / 2);
    expect_ok(do_claim(w, &in, &page));
    if (real_us() >= called + ttl) {
        expect_ok(do_revoke(w, lease));
        wait_until(written + ttl + MARGIN);
        (void)run_take(w, id, lease_make(w, SEC(60)));
        return false;
    }
    expect_eq(page.n, 0);
    wait_until(written + ttl + MARGIN);
    r = claim_one(w, id, lease);
    release_rest(w, &r, KEDGE_COMPLETED, never());
    return true;
}

static bool real_retention(struct world *w, int64_t ttl, int number)
{
    struct kedge_id128 lease = lease_make(w, SEC(60));
    struct kedge_bytes id = name(w, "run-%d", number);
    struct run r = run_held(w, id, lease);
    int64_t called = real_us(), written;
    bool there;

    release_rest(w, &r, KEDGE_COMPLETED, from_now(ttl));
    written = real_us();
    wait_until(called + ttl / 2);
    there = is_there(w, id);
    if (real_us() >= called + ttl)
        return false;
    expect_eq(there, true);
    wait_until(written + ttl + MARGIN);
    expect_eq(is_there(w, id), false);
    return true;
}

static void sentinel_lease(struct world *w)
{
    sentinel(w, real_lease);
}

static void sentinel_cell(struct world *w)
{
    sentinel(w, real_cell);
}

static void sentinel_due(struct world *w)
{
    sentinel(w, real_due);
}

static void sentinel_retention(struct world *w)
{
    sentinel(w, real_retention);
}

const struct contract_case cases_ttl[] = {
    { "ttl-01", "what has ended is kept for a day, and its id is free from then on", NEEDS_CLOCK,
      retention },
    { "ttl-02", "all that can be said of a lease at its deadline, and a moment before it",
      NEEDS_CLOCK, the_moment },
    { "ttl-03", "a clock that steps back by any amount", NEEDS_CLOCK, back_by_any },
    { "ttl-04", "the shortest and the longest time to live, and a hundred extends", NEEDS_CLOCK,
      extremes },
    { "ttl-05", "in real time: a lease", 0, sentinel_lease },
    { "ttl-06", "in real time: a cell", 0, sentinel_cell },
    { "ttl-07", "in real time: a run that is due later", 0, sentinel_due },
    { "ttl-08", "in real time: a run that has ended", 0, sentinel_retention },
    { NULL, NULL, 0, NULL },
};
