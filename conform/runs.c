/* runs.c - cases: head, snapshot, journal; runs that need a sweeper */
#include "cases.h"

static void retrieved(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_run_state st;
    struct tx *t;

    expect_rc(do_retrieve(w, str("b"), 0, KEDGE_WANT_TAIL, &st), KEDGE_NOT_FOUND);
    expect_rc(do_retrieve(w, r.id, r.incarnation + 1, 0, &st), KEDGE_NOT_FOUND);
    for (int i = 1; i <= 7; i++)
        step(w, &r, "a record");
    expect_ok(do_retrieve(w, r.id, r.incarnation, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL, &st));
    expect_eq(st.n_tail, 7); /* all of it without a snapshot */
    expect_eq(st.snapshot.len, 0);
    for (uint64_t i = 0; i < 7; i++)
        expect_eq(st.tail[i].number, i + 1);
    t = tx_new(w);
    g_held(t, &r);
    c_snapshot(t, r.id, 5, str("state at five"));
    expect_tx(t, KEDGE_OK);
    expect_ok(do_retrieve(w, r.id, 0, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL, &st));
    expect_bytes(st.snapshot, str("state at five"));
    expect_eq(st.run.snapshot_position, 5);
    expect_eq(st.n_tail, 2);
    expect_eq(st.tail[0].number, 6);
    expect_eq(st.tail[1].number, 7);
    expect_ok(do_retrieve(w, r.id, 0, KEDGE_WANT_SNAPSHOT, &st));
    expect_eq(st.n_tail, 0);
    expect_eq(st.snapshot.len, 13);
    expect_ok(do_retrieve(w, r.id, 0, KEDGE_WANT_TAIL, &st));
    expect_eq(st.n_tail, 2);
    expect_eq(st.snapshot.len, 0);
    t = tx_new(w);
    g_held(t, &r);
    c_snapshot(t, r.id, 7, none()); /* an empty one is one */
    expect_tx(t, KEDGE_OK);
    expect_ok(do_retrieve(w, r.id, 0, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL, &st));
    expect_eq(st.n_tail, 0);
    expect_eq(st.run.snapshot_position, 7);
}

static void records(struct world *w)
{
    enum { N = 50 };
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_bytes data[N];
    struct kedge_record_page page;
    struct tx *t = tx_new(w);

    expect_ok(do_records(w, r.id, 0, 1, 10, 1000, &page));
    expect(page.n == 0 && page.next == 0);
    for (size_t i = 0; i < N; i++)
        data[i] = blob(w, i * 10, i);
    g_held(t, &r);
    c_append_n(t, r.id, 1, data, N);
    expect_tx(t, KEDGE_OK);
    expect_eq(t->results[0], N);
    for (size_t limit = 1; limit <= 60; limit += 7) {
        uint64_t number = 1, seen = 0;

        while (number != 0) {
            expect_ok(do_records(w, r.id, 0, number, limit, SIZE_MAX, &page));
            expect(page.n <= limit && page.n > 0);
            for (size_t i = 0; i < page.n; i++) {
                expect_eq(page.records[i].number, number + i);
                expect_bytes(page.records[i].data, data[number + i - 1]);
                expect(same_id(&page.records[i].request, &t->c.request));
                seen++;
            }
            expect(page.next == 0 || page.next == number + page.n);
            number = page.next;
        }
        expect_eq(seen, N);
    }
    expect_ok(do_records(w, r.id, 0, 40, 5, SIZE_MAX, &page));
    expect_eq(page.n, 5);
    expect_eq(page.records[4].number, 44);
    /* bytes bound a page, but one record there is */
    expect_ok(do_records(w, r.id, 0, 40, 50, 1, &page));
    expect_eq(page.n, 1);
    expect_eq(page.next, 41);
    expect_ok(do_records(w, r.id, 0, 40, 50, 1300, &page));
    expect(page.n >= 1 && page.n <= 6);
    expect_ok(do_records(w, r.id, 0, N + 1, 10, 1000, &page));
    expect(page.n == 0 && page.next == 0);
    expect_rc(do_records(w, str("b"), 0, 1, 10, 1000, &page), KEDGE_NOT_FOUND);
    expect_rc(do_records(w, r.id, r.incarnation + 1, 1, 10, 1000, &page), KEDGE_NOT_FOUND);
    refuse(do_records(w, r.id, 0, 1, 0, 1000, &page), KEDGE_ERR_INVALID);
}

/* A record stays readable by its number until the run is purged. */
static void records_stay(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_record_page page;
    struct tx *t;

    for (int i = 0; i < 10; i++)
        step(w, &r, i == 4 ? "the fifth" : "another");
    for (uint64_t at_ = 3; at_ <= 10; at_ += 7) {
        t = tx_new(w);
        g_held(t, &r);
        c_snapshot(t, r.id, at_, str("state"));
        expect_tx(t, KEDGE_OK);
    }
    release_rest(w, &r, KEDGE_COMPLETED, from_now(SEC(10)));
    clock_advance(SEC(10) - 1);
    (void)purge_all(w);
    expect_ok(do_records(w, r.id, r.incarnation, 5, 1, 1000, &page));
    expect_eq(page.n, 1);
    expect_bytes(page.records[0].data, str("the fifth"));
    clock_advance(1);
    expect_rc(do_records(w, r.id, r.incarnation, 5, 1, 1000, &page), KEDGE_NOT_FOUND);
}

static void gaps(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_bytes two[] = { str("x"), str("y") };
    struct tx *t;

    step(w, &r, "one");
    for (uint64_t first = 0; first < 6; first++) {
        if (first == 2)
            continue;
        t = tx_new(w);
        g_held(t, &r);
        c_append(t, r.id, first, str("x"));
        if (first == 0) {
            char *before = dump(w);

            tx_send(w, t);
            expect(t->answer.outcome == KEDGE_STALE || t->answer.outcome == KEDGE_ERR_INVALID);
            check_unchanged(__FILE__, __LINE__, "record 0", w, before);
        } else {
            refuse_tx(t, KEDGE_STALE, 1);
        }
    }
    t = tx_new(w);
    g_held(t, &r);
    c_append(t, r.id, 2, str("x"));
    c_append(t, r.id, 4, str("x")); /* not after the one before it */
    refuse_tx(t, KEDGE_STALE, 2);
    t = tx_new(w);
    g_held(t, &r);
    c_append_n(t, r.id, 2, two, 2);
    c_append(t, r.id, 4, str("z"));
    expect_tx(t, KEDGE_OK);
    expect_eq(t->results[0], 3);
    expect_eq(t->results[1], 4);
    expect_eq(head(w, r.id).position, 4);
}

/* ------------------------------------------------------------- list_expired */

static void nothing_to_sweep(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct kedge_run_page page;

    run_held(w, str("held"), lease);
    run_due(w, str("due"), from_now(0));
    run_due(w, str("later"), from_now(SEC(5)));
    run_parked(w, str("parked"), KEDGE_WAKES_ON_TIME, from_now(SEC(5)));
    run_rest(w, str("rest"), KEDGE_COMPLETED, from_now(SEC(5000)));
    run_rest(w, str("stuck"), KEDGE_STUCK, never());
    clock_advance(SEC(60));
    expect_ok(do_expired(w, none(), 10, &page));
    expect_eq(page.n, 0);
    expect_eq(page.next.len, 0);
    clock_advance(200 * TTL);
    expect_ok(do_expired(w, none(), 10, &page));
    expect_eq(page.n, 1);
    expect_bytes(page.runs[0].id, str("held"));
    expect_eq(page.reasons[0], KEDGE_SWEEP_LAPSED);
    refuse(do_expired(w, none(), 0, &page), KEDGE_ERR_INVALID);
}

static void reasons(struct world *w)
{
    struct kedge_id128 lapsed = lease_make(w, TTL), dead = lease_make(w, TTL);
    struct kedge_id128 healthy = lease_make(w, 1000 * TTL);
    struct run overdue, r;
    struct kedge_lease_state st;
    uint32_t reason = 0;
    struct tx *t;

    r = run_held(w, str("lapsed"), lapsed);
    run_held(w, str("dead"), dead);
    run_held(w, str("healthy"), healthy);
    overdue = run_held(w, str("overdue"), healthy);
    t = tx_new(w);
    g_held(t, &overdue);
    c_set(t, overdue.id, KEDGE_SET_HOLD_UNTIL)->set.hold_until = from_now(TTL);
    expect_tx(t, KEDGE_OK);
    clock_advance(TTL - 1);
    expect(!is_expired_listed(w, str("lapsed"), NULL));
    expect(!is_expired_listed(w, str("dead"), NULL));
    expect(!is_expired_listed(w, str("overdue"), NULL));
    clock_advance(2);
    expect_ok(do_bury(w, dead));
    expect(is_expired_listed(w, str("lapsed"), &reason));
    expect_eq(reason, KEDGE_SWEEP_LAPSED);
    expect(is_expired_listed(w, str("dead"), &reason));
    expect_eq(reason, KEDGE_SWEEP_DEAD);
    expect(is_expired_listed(w, str("overdue"), &reason));
    expect_eq(reason, KEDGE_SWEEP_OVERDUE);
    expect(!is_expired_listed(w, str("healthy"), NULL));
    /* purge keeps a dead lease that a run still names */
    (void)purge_all(w);
    expect(is_expired_listed(w, str("dead"), &reason));
    /* each leaves the list in its own way */
    expect_ok(do_extend(w, lapsed, &st));
    expect(!is_expired_listed(w, str("lapsed"), NULL));
    step(w, &r, "goes on");
    (void)run_take(w, str("dead"), healthy);
    expect(!is_expired_listed(w, str("dead"), NULL));
    release_due(w, &overdue, from_now(0));
    expect(!is_expired_listed(w, str("overdue"), NULL));
}

static void longest_first(struct world *w)
{
    enum { N = 12 };
    struct kedge_id128 leases[N];
    struct kedge_run runs[4 * N];
    uint32_t why[4 * N];
    size_t n;

    /* lease i lapses at (7 * i % N) seconds */
    for (int i = 0; i < N; i++) {
        leases[i] = lease_make(w, TTL + SEC(7 * i % N));
        run_held(w, name(w, "run %d", i), leases[i]);
    }
    clock_advance(TTL + SEC(N));
    for (int i = 0; i < N; i += 3)
        expect_ok(do_bury(w, leases[i]));
    n = expired_all(w, 5, runs, why, ARRAY_LEN(runs));
    expect_eq(n, N);
    for (size_t limit = 1; limit < 15; limit += 3) {
        struct kedge_run again[4 * N];
        uint32_t again_why[4 * N];

        expect_eq(expired_all(w, limit, again, again_why, ARRAY_LEN(again)), N);
        for (size_t i = 0; i < N; i++)
            expect_bytes(again[i].id, runs[i].id);
    }
    /* the lapsed ones among them, in the order in which they lapsed */
    {
        int64_t last = -1;

        for (size_t i = 0; i < n; i++)
            for (int k = 0; k < N; k++)
                if (same_bytes(runs[i].id, name(w, "run %d", k)) && k % 3 != 0) {
                    expect(7 * k % N > last);
                    last = 7 * k % N;
                    expect_eq(why[i], KEDGE_SWEEP_LAPSED);
                }
    }
}

static void overdue_order(struct world *w)
{
    enum { N = 8 };
    struct kedge_id128 lease = lease_make(w, 1000 * TTL);
    struct kedge_run runs[N + 1];
    uint32_t why[N + 1];

    for (int i = 0; i < N; i++) {
        struct tx *t = tx_new(w);

        c_create_held(t, name(w, "run %d", i), lease)->hold_until = from_now(SEC(1 + 5 * i % N));
        expect_tx(t, KEDGE_OK);
    }
    clock_advance(SEC(4) + 1);
    expect_eq(expired_all(w, 3, runs, why, N), 4);
    clock_advance(SEC(N));
    expect_eq(expired_all(w, 3, runs, why, N), N);
    for (size_t i = 0; i < N; i++) {
        expect_eq(why[i], KEDGE_SWEEP_OVERDUE);
        if (i > 0)
            expect(runs[i - 1].hold_until < runs[i].hold_until);
    }
}

/* A sweeper works page by page, making each run due, until nothing is listed. */
static void swept(struct world *w)
{
    enum { N = 40 };
    struct kedge_id128 lease = lease_make(w, TTL), other = lease_make(w, 1000 * TTL);
    struct kedge_run_page page;
    int rounds = 0, done = 0;

    for (int i = 0; i < N; i++)
        run_held(w, name(w, "run %d", i), i % 2 == 0 ? lease : other);
    clock_advance(TTL);
    expect_ok(do_bury(w, lease));
    for (;;) {
        expect_ok(do_expired(w, none(), 7, &page));
        if (page.n == 0)
            break;
        for (size_t i = 0; i < page.n; i++, done++) {
            struct tx *t = tx_new(w);

            g_unheld(t, page.runs[i].id, KEDGE_STATUSES_UNFINISHED, page.runs[i].revision);
            c_set(t, page.runs[i].id, KEDGE_SET_RECOVERIES)->set.recoveries =
                page.runs[i].recoveries + 1;
            c_due(t, page.runs[i].id, from_now(0));
            expect_tx(t, KEDGE_OK);
            expect_eq(head(w, page.runs[i].id).recoveries, 1);
        }
        expect(rounds++ < N);
    }
    expect_eq(done, N / 2);
}

/* Two sweepers saw it; one acts. */
static void swept_twice(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL), other = lease_make(w, 100 * TTL);
    struct run r = run_held(w, str("a"), lease), again;
    struct kedge_run_page page;
    struct tx *first = tx_new(w), *second = tx_new(w);

    clock_advance(TTL);
    expect_ok(do_bury(w, lease));
    expect_ok(do_expired(w, none(), 7, &page));
    expect_eq(page.n, 1);
    g_unheld(first, r.id, KEDGE_STATUSES_UNFINISHED, page.runs[0].revision);
    c_due(first, r.id, from_now(0));
    g_unheld(second, r.id, KEDGE_STATUSES_UNFINISHED, page.runs[0].revision);
    c_due(second, r.id, from_now(0));
    expect_tx(first, KEDGE_OK);
    refuse_tx(second, KEDGE_STALE, 0);
    again = claim_one(w, r.id, other);
    refuse_tx(second, KEDGE_STALE, 0);
    step(w, &again, "one");
}

/* One holder, two handles, each of which may remember how far the run had come. */
static void two_hands(struct world *w)
{
    struct world other = *w;
    struct run r = run_held(w, str("a"), lease_make(w, TTL)), same;
    struct tx *t;

    other.keep = NULL;
    other.txs = NULL;
    other.registry = NULL;
    world_salt(&other, 1);
    world_open_own(&other);
    same = r;
    step(w, &r, "one, here");
    same.position = 1;
    step(&other, &same, "two, there");
    t = tx_new(w);
    g_held(t, &r);
    c_append(t, r.id, 2, str("two, here"));
    refuse_tx(t, KEDGE_STALE, 1);
    r.position = 2;
    step(w, &r, "three, here");
    step(w, &r, "four, here");
    t = tx_new(&other);
    g_held(t, &same);
    c_append(t, r.id, 3, str("three, there"));
    expect_tx(t, KEDGE_STALE);
    same.position = 4;
    step(&other, &same, "five, there");
    world_close_own(&other);
    expect_eq(head(w, r.id).position, 5);
}

const struct contract_case cases_runs[] = {
    { "runs-01", "head, snapshot and the journal after it", 0, retrieved },
    { "runs-02", "records by number, page by page", 0, records },
    { "runs-03", "a record is readable until its run is gone", NEEDS_CLOCK, records_stay },
    { "runs-04", "the journal has no gaps", 0, gaps },
    { "runs-05", "list_expired shows no healthy run", NEEDS_CLOCK, nothing_to_sweep },
    { "runs-06", "list_expired knows each reason and its end", NEEDS_CLOCK, reasons },
    { "runs-07", "longest lapsed first, the same over all page sizes", NEEDS_CLOCK, longest_first },
    { "runs-08", "longest overdue first", NEEDS_CLOCK, overdue_order },
    { "runs-09", "a sweeper gets to the end", NEEDS_CLOCK, swept },
    { "runs-10", "of two sweepers one acts", NEEDS_CLOCK, swept_twice },
    { "runs-11", "of two handles that append as one holder none overwrites or is lost", 0,
      two_hands },
    { NULL, NULL, 0, NULL },
};
