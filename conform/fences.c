/* fences.c - cases: one rising sequence per namespace, never used twice, and what it keeps out */
#include "cases.h"

#include <inttypes.h>

/* Every fence, incarnation and version in the order they were issued. */
struct sequence {
    uint64_t last;
};

static void issued(struct sequence *s, uint64_t fence)
{
    if (fence <= s->last)
        fail_case(__FILE__, __LINE__, "fence %" PRIu64 " was issued after %" PRIu64, fence,
                  s->last);
    s->last = fence;
}

/* One of everything that issues a fence. */
static void issue_some(struct world *w, struct sequence *s, struct kedge_id128 lease, int round)
{
    struct run r = run_due(w, name(w, "run %d", round), from_now(0));
    uint64_t fence;
    struct tx *t;

    issued(s, r.incarnation);
    r = claim_one(w, r.id, lease);
    issued(s, r.fence);
    release_due(w, &r, from_now(0));
    r = run_take(w, r.id, lease);
    issued(s, r.fence);
    release_rest(w, &r, KEDGE_COMPLETED, from_now(SEC(1)));
    r = run_held(w, name(w, "held %d", round), lease);
    issued(s, r.fence);
    release_rest(w, &r, KEDGE_HALTED, from_now(0));
    issued(s, cell_put(w, str("cell"), "value"));
    fence = lock_take(w, str("lock"), lease);
    issued(s, fence);
    expect_ok(do_lock_release(w, str("lock"), lease, fence));
    t = tx_new(w);
    c_lock_take(t, str("lock"), lease);
    c_cell_put(t, str("cell"), str("again"), never());
    expect_tx(t, KEDGE_OK);
    issued(s, t->results[0]);
    issued(s, t->results[1]);
    expect_ok(do_lock_release(w, str("lock"), lease, t->results[0]));
}

static void rising(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 1000 * TTL);
    struct sequence s = { 0 };

    for (int round = 0; round < 20; round++)
        issue_some(w, &s, lease, round);
    clock_advance(SEC(100));
    issue_some(w, &s, lease, 100);
    expect(s.last >= (uint64_t)wall_now()); /* not below the store's time */
}

static void rising_in_batches(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct tx *t[32];
    uint64_t before = run_due(w, str("before"), from_now(0)).incarnation, after;

    for (int i = 0; i < 32; i++) {
        t[i] = tx_new(w);
        c_create_held(t[i], name(w, "run %d", i), lease);
        c_lock_take(t[i], name(w, "lock %d", i), lease);
    }
    tx_send_batch(w, t, 32);
    after = run_due(w, str("after"), from_now(0)).incarnation;
    for (int i = 0; i < 32; i++)
        for (int k = 0; k < 2; k++) {
            uint64_t f = t[i]->results[k];

            expect_outcome(t[i], KEDGE_OK);
            expect(f > before && f < after);
            for (int j = 0; j < i; j++)
                expect(t[j]->results[0] != f && t[j]->results[1] != f);
        }
    expect(t[0]->results[0] != t[0]->results[1]);
}

static void clock_back(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 1000 * TTL);
    struct sequence s = { 0 };

    for (int round = 0; round < 6; round++) {
        issue_some(w, &s, lease, round);
        clock_step_wall(round == 3 ? SEC(10) : -SEC(86400));
    }
    clock_step_wall(SEC(86400) * 30);
    issue_some(w, &s, lease, 50);
    expect(s.last >= (uint64_t)wall_now());
}

/* Purging what carried the last fences does not bring them back. */
static void purged(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 1000 * TTL);
    struct sequence s = { 0 };

    for (int round = 0; round < 5; round++) {
        struct tx *t = tx_new(w);

        issue_some(w, &s, lease, 0); /* the same names each time */
        c_cell_delete(t, str("cell"));
        expect_tx(t, KEDGE_OK);
        clock_advance(SEC(2));
        expect(purge_all(w).runs == 2);
        expect_eq(is_there(w, str("run 0")), 0);
        /* time falls back before everything that was written */
        clock_step_wall(-SEC(3600));
    }
}

static void reopened(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 1000 * TTL);
    struct sequence s = { 0 };

    for (int round = 0; round < 5; round++) {
        issue_some(w, &s, lease, round);
        clock_step_wall(-SEC(1000));
        clock_step_wall(SEC(2));
        (void)purge_all(w);
        world_reopen(w);
    }
    issue_some(w, &s, lease, 99);
}

/* A re-created id is another run: nothing of the old one is seen, and its old holder is kept out.
 */
static void recreated(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 1000 * TTL);

    for (int with_purge = 0; with_purge < 2; with_purge++) {
        struct kedge_bytes id = name(w, "run %d", with_purge);
        struct run old = run_held(w, id, lease), fresh;
        struct kedge_run_state st;
        struct kedge_record_page records;
        struct kedge_slot_page slots;
        struct tx *t = tx_new(w);

        context(with_purge ? "purged" : "expired, not purged");
        step(w, &old, "one");
        step(w, &old, "two");
        g_held(t, &old);
        c_snapshot(t, id, 2, str("old state"));
        c_slots(t, id, 0, 2);
        c_slot_put(t, &old, 0, 0, str("old result"));
        expect_tx(t, KEDGE_OK);
        release_rest(w, &old, KEDGE_COMPLETED, from_now(SEC(1)));
        clock_advance(SEC(1));
        if (with_purge)
            (void)purge_all(w);
        fresh = run_held(w, id, lease);
        expect(fresh.incarnation > old.fence);
        expect_eq(head(w, id).incarnation, fresh.incarnation);
        expect_eq(head(w, id).position, 0);
        expect_ok(do_retrieve(w, id, 0, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL, &st));
        expect_eq(st.snapshot.len, 0);
        expect_eq(st.run.snapshot_position, 0);
        expect_eq(st.n_tail, 0);
        expect_rc(do_retrieve(w, id, old.incarnation, 0, &st), KEDGE_NOT_FOUND);
        expect_ok(do_retrieve(w, id, fresh.incarnation, 0, &st));
        expect_rc(do_records(w, id, old.incarnation, 1, 10, 1000, &records), KEDGE_NOT_FOUND);
        expect_ok(do_records(w, id, fresh.incarnation, 1, 10, 1000, &records));
        expect_eq(records.n, 0);
        expect_rc(do_slots(w, id, old.incarnation, 0, 0, 10, &slots), KEDGE_NOT_FOUND);
        expect_rc(do_slots(w, id, fresh.incarnation, 0, 0, 10, &slots), KEDGE_NOT_FOUND);
        t = tx_new(w);
        g_held(t, &old);
        c_append(t, id, 3, str("three"));
        refuse_tx(t, KEDGE_STALE, 0);
        t = tx_new(w);
        g_held(t, &fresh);
        c_slots(t, id, 0, 2);
        expect_tx(t, KEDGE_OK);
        t = tx_new(w);
        c_slot_put(t, &old, 0, 1, str("for the old one")); /* left alone */
        refuse_tx(t, KEDGE_OK, -1);
        step(w, &fresh, "fresh one");
        if (!with_purge) {
            /* the old rows go, the new run stays */
            char *before = dump(w);

            (void)purge_all(w);
            check_unchanged(__FILE__, __LINE__, "purging an old incarnation", w, before);
        }
        release_rest(w, &fresh, KEDGE_COMPLETED, never());
    }
}

/* The holder that was taken over is refused at once, before its successor has written anything. */
static void taken_over(struct world *w)
{
    struct kedge_id128 slow = lease_make(w, TTL), quick = lease_make(w, 100 * TTL);
    struct run r = run_held(w, str("a"), slow), theirs;
    struct kedge_lock_state ks;
    uint64_t fence = lock_take(w, str("lock"), slow), taken;
    struct tx *t;

    clock_advance(TTL);
    expect_ok(do_bury(w, slow));
    theirs = run_take(w, r.id, quick);
    taken = lock_take(w, str("lock"), quick);
    expect(theirs.fence > r.fence && taken > fence);
    for (int what = 0; what < 4; what++) {
        t = tx_new(w);
        g_held(t, &r);
        if (what == 0)
            c_append(t, r.id, 1, str("late"));
        else if (what == 1)
            c_snapshot(t, r.id, 0, str("late"));
        else if (what == 2)
            c_due(t, r.id, from_now(0));
        else
            c_rest(t, r.id, KEDGE_COMPLETED, never());
        refuse_tx(t, KEDGE_STALE, 0);
    }
    t = tx_new(w);
    g_lock(t, str("lock"), slow, fence);
    c_cell_put(t, str("guarded"), str("late"), never());
    refuse_tx(t, KEDGE_STALE, 0);
    refuse(do_lock_release(w, str("lock"), slow, fence), KEDGE_STALE);
    expect_rc(do_lock_extend(w, str("lock"), quick, taken, &ks), KEDGE_OK);
    step(w, &theirs, "first");
}

static void taken_from_the_living(struct world *w)
{
    struct kedge_id128 slow = lease_make(w, 100 * TTL), quick = lease_make(w, 100 * TTL);
    struct run r = run_held(w, str("a"), slow), theirs;
    struct tx *t = tx_new(w);

    g_held(t, &r);
    c_set(t, r.id, KEDGE_SET_HOLD_UNTIL)->set.hold_until = from_now(SEC(5));
    expect_tx(t, KEDGE_OK);
    clock_advance(SEC(5) - 1);
    t = tx_new(w);
    g_unheld(t, r.id, KEDGE_STATUSES_ALL, head(w, r.id).revision);
    c_take(t, r.id, quick);
    refuse_tx(t, KEDGE_STALE, 0);
    step(w, &r, "in time");
    clock_advance(2);
    step(w, &r, "late, but nobody took it");
    theirs = run_take(w, r.id, quick);
    expect_eq(head(w, r.id).hold_until, 0);
    t = tx_new(w);
    g_held(t, &r);
    c_append(t, r.id, 3, str("too late"));
    refuse_tx(t, KEDGE_STALE, 0);
    step(w, &theirs, "three");
}

static void large_numbers(struct world *w)
{
    struct kedge_id128 lease;
    struct run r;
    uint64_t fence, version;
    struct kedge_cell cell;
    struct kedge_lock_state ks;

    /* a time at which a double can no longer tell neighbours apart: 2^53 us is in 2255 */
    clock_set_wall(INT64_C(9107199254740993));
    lease = lease_make(w, TTL);
    for (int i = 0; i < 8; i++) {
        r = run_held(w, name(w, "run %d", i), lease);
        expect(r.fence > UINT64_C(1) << 53);
        expect_eq(head(w, r.id).fence, r.fence);
        expect_eq(head(w, r.id).created, wall_now());
        step(w, &r, "one");
        version = cell_put(w, str("cell"), "value");
        expect_ok(do_cell(w, str("cell"), &cell));
        expect_eq(cell.version, version);
        fence = lock_take(w, name(w, "lock %d", i), lease);
        expect_ok(do_lock_query(w, name(w, "lock %d", i), &ks));
        expect_eq(ks.fence, fence);
        release_due(w, &r, at(wall_now() + 1));
        expect_eq(head(w, r.id).due, wall_now() + 1);
        clock_advance(i % 2);
    }
}

const struct contract_case cases_fences[] = {
    { "fences-01", "fences, incarnations and versions rise together", NEEDS_CLOCK, rising },
    { "fences-02", "no two of a batch are equal", 0, rising_in_batches },
    { "fences-03", "they rise while the clock falls", NEEDS_CLOCK, clock_back },
    { "fences-04", "they rise over purge and re-creation", NEEDS_CLOCK, purged },
    { "fences-05", "they rise over closing and opening", NEEDS_CLOCK, reopened },
    { "fences-06", "a re-created run never meets its old records or holders", NEEDS_CLOCK,
      recreated },
    { "fences-07", "who was taken over is refused from that moment on", NEEDS_CLOCK, taken_over },
    { "fences-08", "past hold_until a run may be taken from the living", NEEDS_CLOCK,
      taken_from_the_living },
    { "fences-09", "numbers above 2^53 are exact", NEEDS_CLOCK, large_numbers },
    { NULL, NULL, 0, NULL },
};
