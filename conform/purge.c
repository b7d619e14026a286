/* purge.c - cases: what has expired is gone at once, and removed in bounded steps */
#include "cases.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A run at rest that expires in US, with records, snapshot and slots. */
static struct run furnished(struct world *w, struct kedge_bytes id, struct kedge_id128 lease,
                            int64_t us)
{
    struct run r = run_held(w, id, lease);
    struct tx *t = tx_new(w);

    g_held(t, &r);
    for (uint64_t i = 1; i <= 6; i++)
        c_append(t, id, i, str("record"));
    c_snapshot(t, id, 3, str("state"));
    c_slots(t, id, 0, 3);
    c_slot_put(t, &r, 0, 1, str("result"));
    c_rest(t, id, KEDGE_COMPLETED, from_now(us));
    expect_tx(t, KEDGE_OK);
    return r;
}

static void invisible(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct run r = furnished(w, str("a"), lease, SEC(5));
    struct run p = run_held(w, str("p"), lease);
    struct kedge_run_state st;
    struct kedge_record_page records;
    struct kedge_slot_page slots;
    struct kedge_list all = { .limit = 10 };
    struct kedge_run_page page;
    uint64_t revision = head(w, r.id).revision;
    struct tx *t;
    char *before;

    clock_advance(SEC(5) - 1);
    expect_eq(is_there(w, r.id), 1);
    expect_ok(do_list(w, &all, &page));
    expect_eq(page.n, 2);
    clock_advance(1);
    expect_rc(do_retrieve(w, r.id, 0, KEDGE_WANT_TAIL, &st), KEDGE_NOT_FOUND);
    expect_rc(do_retrieve(w, r.id, r.incarnation, 0, &st), KEDGE_NOT_FOUND);
    expect_rc(do_records(w, r.id, 0, 1, 10, 1000, &records), KEDGE_NOT_FOUND);
    expect_rc(do_slots(w, r.id, 0, 0, 0, 10, &slots), KEDGE_NOT_FOUND);
    expect_ok(do_list(w, &all, &page));
    expect_eq(page.n, 1);
    expect_bytes(page.runs[0].id, str("p"));
    t = tx_new(w);
    g_held(t, &r);
    refuse_tx(t, KEDGE_NOT_FOUND, 0);
    t = tx_new(w);
    g_unheld(t, r.id, KEDGE_STATUSES_ALL, revision);
    refuse_tx(t, KEDGE_NOT_FOUND, 0);
    t = tx_new(w);
    g_position(t, r.id, 6);
    refuse_tx(t, KEDGE_NOT_FOUND, 0);
    t = tx_new(w);
    c_request(t, r.id, KEDGE_REQUEST_CANCEL);
    refuse_tx(t, KEDGE_NOT_FOUND, 0);
    t = tx_new(w);
    c_wake(t, r.id);
    c_slot_put(t, &r, 0, 2, str("late"));
    refuse_tx(t, KEDGE_OK, -1);
    expect_eq(t->answer.status, 0);
    t = tx_new(w);
    g_absent(t, r.id);
    refuse_tx(t, KEDGE_OK, -1);
    /* purging changes nothing one can see */
    before = dump(w);
    expect_eq(purge_all(w).runs, 1);
    check_unchanged(__FILE__, __LINE__, "purging", w, before);
    /* and the child of a parent may be made again when the first has expired */
    furnished(w, str("child"), lease, SEC(1));
    clock_advance(SEC(1));
    t = tx_new(w);
    g_held(t, &p);
    c_create_child(t, str("child"), &p, 0, KEDGE_NO_SLOT);
    expect_tx(t, KEDGE_OK);
    expect_eq(head(w, str("child")).incarnation, t->results[0]);
    expect_eq(head(w, str("child")).position, 0);
}

static void only_expired(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 1000000 * TTL);
    struct kedge_purged p;
    char *before;

    for (int i = 0; i < 5; i++)
        furnished(w, name(w, "gone %d", i), lease, SEC(5));
    for (int i = 0; i < 5; i++)
        furnished(w, name(w, "later %d", i), lease, SEC(6));
    run_held(w, str("held"), lease);
    run_due(w, str("due"), from_now(0));
    run_parked(w, str("parked"), KEDGE_WAKES_ON_INTERRUPT, never());
    run_rest(w, str("stuck"), KEDGE_STUCK, never());
    run_rest(w, str("aborted"), KEDGE_ABORTED, never());
    run_rest(w, str("kept"), KEDGE_COMPLETED, never());
    clock_advance(SEC(5) - 1);
    before = dump(w);
    p = purge_all(w);
    expect(p.runs == 0);
    check_unchanged(__FILE__, __LINE__, "purging too early", w, before);
    clock_advance(1);
    expect_eq(purge_all(w).runs, 5);
    for (int i = 0; i < 5; i++) {
        struct kedge_record_page page;

        expect_eq(is_there(w, name(w, "gone %d", i)), 0);
        expect_ok(do_records(w, name(w, "later %d", i), 0, 1, 10, 1000, &page));
        expect_eq(page.n, 6);
    }
    expect_eq(purge_all(w).runs, 0);
    clock_advance(SEC(86400) * 365);
    expect_eq(purge_all(w).runs, 5);
    expect(is_there(w, str("held")) && is_there(w, str("due")) && is_there(w, str("parked")));
    expect(is_there(w, str("stuck")) && is_there(w, str("aborted")) && is_there(w, str("kept")));
}

static void bounded(struct world *w)
{
    enum { N = 30 };
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct kedge_purged p;
    uint64_t runs = 0, rows = 0;
    int calls = 0;

    for (int i = 0; i < N; i++) {
        struct tx *t = tx_new(w);

        furnished(w, name(w, "run %d", i), lease, SEC(1));
        c_cell_put(t, name(w, "cell %d", i), str("x"), from_now(SEC(1)));
        expect_tx(t, KEDGE_OK);
    }
    clock_advance(SEC(1));
    do {
        expect_ok(do_purge(w, 10, &p));
        expect(p.runs + p.rows <= 40); /* about 10 */
        runs += p.runs;
        rows += p.rows;
        expect(calls++ < 1000);
    } while (p.more != 0);
    expect_eq(runs, N);
    expect(rows >= (uint64_t)N * 8); /* records, slot, cell at least */
    expect(calls >= N / 4);
    expect_ok(do_purge(w, 10, &p));
    expect(p.runs == 0 && p.rows == 0 && p.more == 0);
    refuse(do_purge(w, 0, &p), KEDGE_ERR_INVALID);
}

/* A large run dies; its id is used again before the old rows are all gone. */
static void recreated_between(struct world *w)
{
    enum { N = 400 };
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_bytes data[N];
    struct kedge_purged p;
    struct kedge_record_page page;
    struct tx *t = tx_new(w);
    char *before;
    int calls = 0;

    for (int i = 0; i < N; i++)
        data[i] = str("old");
    g_held(t, &r);
    c_append_n(t, r.id, 1, data, N);
    c_rest(t, r.id, KEDGE_COMPLETED, from_now(SEC(1)));
    expect_tx(t, KEDGE_OK);
    clock_advance(SEC(1));
    expect_ok(do_purge(w, 10, &p));
    expect_eq(p.runs, 1); /* the head first */
    expect(p.more != 0);
    r = run_held(w, str("a"), lease);
    for (int i = 0; i < 20; i++)
        step(w, &r, "new");
    before = dump(w);
    do {
        expect_ok(do_purge(w, 10, &p));
        expect_eq(p.runs, 0);
        calls++;
    } while (p.more != 0);
    expect(calls > 10);
    check_unchanged(__FILE__, __LINE__, "purging the rows of an old incarnation", w, before);
    expect_ok(do_records(w, r.id, 0, 1, 100, 100000, &page));
    expect_eq(page.n, 20);
    expect_bytes(page.records[19].data, str("new"));
}

static void dead_leases(struct world *w)
{
    struct kedge_id128 of_run = lease_make(w, TTL), of_lock = lease_make(w, TTL);
    struct kedge_id128 of_none = lease_make(w, TTL), live = lease_make(w, 100 * TTL);
    struct kedge_id128 lapsed = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), of_run), theirs;
    struct kedge_lease_state st;
    uint32_t reason;
    struct tx *t;

    lock_take(w, str("lock"), of_lock);
    clock_advance(TTL);
    expect_ok(do_bury(w, of_run));
    expect_ok(do_bury(w, of_lock));
    expect_ok(do_bury(w, of_none));
    (void)purge_all(w);
    expect_eq(lease_state_of(w, of_none), 0);
    expect_eq(lease_state_of(w, of_run), KEDGE_LEASE_DEAD);
    expect_eq(lease_state_of(w, of_lock), KEDGE_LEASE_DEAD);
    expect_eq(lease_state_of(w, live), KEDGE_LEASE_LIVE);
    expect_eq(lease_state_of(w, lapsed), KEDGE_LEASE_LAPSED);
    expect(is_expired_listed(w, r.id, &reason));
    expect_eq(reason, KEDGE_SWEEP_DEAD);
    t = tx_new(w);
    g_held(t, &r);
    c_append(t, r.id, 1, str("too late"));
    refuse_tx(t, KEDGE_LOST, 0);
    theirs = run_take(w, r.id, live);
    lock_take(w, str("lock"), live);
    (void)purge_all(w);
    expect_eq(lease_state_of(w, of_run), 0);
    expect_eq(lease_state_of(w, of_lock), 0);
    refuse_tx(t, KEDGE_STALE, 0);
    t = tx_new(w);
    g_dead(t, of_run);
    c_append(t, r.id, 1, str("x"));
    g_held(t, &theirs);
    expect_tx(t, KEDGE_OK);
    expect_ok(do_extend(w, lapsed, &st));
}

static void cells(struct world *w)
{
    struct tx *t = tx_new(w);
    uint64_t version;

    for (int i = 0; i < 10; i++)
        c_cell_put(t, name(w, "brief %d", i), str("x"), from_now(SEC(1)));
    c_cell_put(t, str("lasting"), str("x"), from_now(SEC(9)));
    c_cell_put(t, str("ever"), str("x"), never());
    expect_tx(t, KEDGE_OK);
    version = t->results[11];
    clock_advance(SEC(1));
    expect_eq(purge_all(w).rows, 10);
    expect(cell_version(w, str("lasting")) != 0);
    expect_eq(cell_version(w, str("ever")), version);
    /* written again before the purge comes: it stays */
    clock_advance(SEC(8));
    cell_put(w, str("lasting"), "again");
    expect_eq(purge_all(w).rows, 0);
    expect(cell_version(w, str("lasting")) > version);
}

/* A stuck or aborted run is for somebody to look at: its end gives it no time, a later word may. */
static void on_request(struct world *w)
{
    for (uint32_t status = KEDGE_COMPLETED; status <= KEDGE_ABORTED; status++) {
        struct run r = run_held(w, name(w, "run %u", status), lease_make(w, TTL));
        bool waits = status == KEDGE_STUCK || status == KEDGE_ABORTED;
        struct tx *t = tx_new(w);

        context("status %u", status);
        step(w, &r, "one");
        g_held(t, &r);
        c_rest(t, r.id, status, never());
        c_set(t, r.id, KEDGE_SET_EXPIRES)->set.expires = from_now(SEC(1));
        if (waits) {
            refuse_tx(t, KEDGE_ERR_INVALID, 2);
            release_rest(w, &r, status, never());
        } else {
            expect_tx(t, KEDGE_OK);
        }
        t = tx_new(w);
        g_unheld(t, r.id, KEDGE_STATUS_BIT(status), head(w, r.id).revision);
        c_set(t, r.id, KEDGE_SET_EXPIRES)->set.expires = from_now(0);
        expect_tx(t, KEDGE_OK);
        expect_eq(is_there(w, r.id), 0);
        expect_eq(purge_all(w).runs, 1);
    }
}

/* Purging while another thread writes the same cells anew. */
struct race {
    struct world *w;
    atomic_bool stop;
};

static void *purger(void *arg)
{
    struct race *race = arg;
    struct world w[1];

    world_thread_enter(race->w, w, 1);
    while (!atomic_load(&race->stop)) {
        struct kedge_purged p;

        expect_ok(do_purge(w, 10, &p));
    }
    world_thread_leave(w);
    return NULL;
}

static void race_purge(struct world *w)
{
    struct race race = { .w = w };
    pthread_t thread;

    atomic_init(&race.stop, false);
    expect_eq(pthread_create(&thread, NULL, purger, &race), 0);
    for (int i = 0; i < 200; i++) {
        struct tx *t = tx_new(w);
        struct kedge_cell cell;

        c_cell_put(t, str("cell"), str("x"), from_now(SEC(1)));
        expect_tx(t, KEDGE_OK);
        clock_advance(SEC(1)); /* it has expired; the purger may see that */
        t = tx_new(w);
        c_cell_put(t, str("cell"), str("y"), from_now(SEC(1)));
        expect_tx(t, KEDGE_OK);
        expect_ok(do_cell(w, str("cell"), &cell));
        expect_eq(cell.version, t->results[0]);
        world_forget(w);
    }
    atomic_store(&race.stop, true);
    expect_eq(pthread_join(thread, NULL), 0);
}

const struct contract_case cases_purge[] = {
    { "purge-01", "an expired run is invisible to every operation", NEEDS_CLOCK, invisible },
    { "purge-02", "nothing goes before its time, or without one", NEEDS_CLOCK, only_expired },
    { "purge-03", "each call removes about as much as it was told", NEEDS_CLOCK, bounded },
    { "purge-04", "an id that is used again keeps its new rows", NEEDS_CLOCK, recreated_between },
    { "purge-05", "dead leases go when nothing names them", NEEDS_CLOCK, dead_leases },
    { "purge-06", "expired cells go, others stay", NEEDS_CLOCK, cells },
    { "purge-07", "a cell written anew survives a purge at the same time",
      NEEDS_CLOCK | NEEDS_THREADS, race_purge },
    { "purge-08", "a stuck or aborted run goes on request, and only then", 0, on_request },
    { NULL, NULL, 0, NULL },
};
