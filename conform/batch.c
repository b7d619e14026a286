/* batch.c - cases: several commits in one call */
#include "cases.h"

#define N_MAX 16

struct batch {
    struct tx *t[N_MAX];
    size_t n;
};

static struct tx *add(struct world *w, struct batch *b)
{
    expect(b->n < N_MAX);
    return b->t[b->n++] = tx_new(w);
}

/* Refused and senseless commits between good ones. */
static void neighbours(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL), dead = lease_dead(w);
    struct run r = run_held(w, str("held"), lease), other = run_held(w, str("other"), lease);
    struct batch b = { .n = 0 };
    static const int want[] = {
        KEDGE_OK,     KEDGE_STALE,       KEDGE_OK,        KEDGE_ERR_INVALID, KEDGE_OK, KEDGE_LOST,
        KEDGE_EXISTS, KEDGE_ERR_TOO_BIG, KEDGE_NOT_FOUND, KEDGE_ERR_INVALID, KEDGE_OK,
    };
    struct tx *t;

    c_create_due(add(w, &b), str("first"), from_now(0));
    t = add(w, &b);
    g_held_by(t, other.id, lease, other.fence + 1);
    c_cell_put(t, str("refused"), str("x"), never());
    t = add(w, &b);
    g_position(t, r.id, 0);
    c_cell_put(t, str("second"), str("x"), never());
    t = add(w, &b);
    c_append(t, str("unfenced"), 1, str("x"));
    c_cell_put(t, str("refused"), str("x"), never());
    t = add(w, &b);
    c_lock_take(t, str("third"), lease);
    t = add(w, &b);
    g_live(t, dead);
    c_cell_put(t, str("refused"), str("x"), never());
    t = add(w, &b);
    g_absent(t, r.id);
    c_cell_put(t, str("refused"), str("x"), never());
    t = add(w, &b);
    c_cell_put(t, str("refused"), blob(w, w->limits.cell_max + 1, 1), never());
    t = add(w, &b);
    c_request(t, str("nobody"), KEDGE_REQUEST_CANCEL);
    c_cell_put(t, str("refused"), str("x"), never());
    t = add(w, &b);
    c_request(t, r.id, 64);
    c_cell_put(t, str("refused"), str("x"), never());
    t = add(w, &b);
    g_held(t, &r);
    c_append(t, r.id, 1, str("the last of the batch"));
    tx_send_batch(w, b.t, b.n);
    for (size_t i = 0; i < b.n; i++) {
        context("item %zu", i);
        expect_outcome(b.t[i], want[i]);
    }
    expect_eq(cell_version(w, str("refused")), 0);
    expect_eq(head(w, str("first")).incarnation, b.t[0]->results[0]);
    expect_eq(cell_version(w, str("second")), b.t[2]->results[0]);
    expect_eq(head(w, r.id).position, 1);
}

/* Items that follow from each other, on one run, in the order given. */
static void in_order(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct batch b = { .n = 0 };
    struct tx *t;

    c_create_due(add(w, &b), str("a"), from_now(SEC(60)));
    c_request(add(w, &b), str("a"), KEDGE_REQUEST_CANCEL);
    c_wake(add(w, &b), str("a"));
    t = add(w, &b);
    g_absent(t, str("a"));
    c_create_due(t, str("b"), from_now(0));
    t = add(w, &b);
    g_position(t, str("a"), 0);
    c_create_held(t, str("c"), lease);
    tx_send_batch(w, b.t, b.n);
    for (size_t i = 0; i < b.n; i++)
        expect_outcome(b.t[i], i == 3 ? KEDGE_EXISTS : KEDGE_OK);
    expect_eq(head(w, str("a")).requests, KEDGE_REQUEST_CANCEL);
    expect_eq(head(w, str("a")).due, wall_now());
    expect_eq(is_there(w, str("b")), 0);
    expect_eq(is_there(w, str("c")), 1);
}

static void shared_cell(struct world *w)
{
    struct batch b = { .n = 0 };
    uint64_t version = cell_put(w, str("permit"), "free");
    int won = 0;

    for (size_t i = 0; i < 8; i++) {
        struct tx *t = add(w, &b);

        g_cell(t, str("permit"), version);
        c_cell_put(t, str("permit"), str("taken"), never());
        c_create_due(t, name(w, "run %zu", i), from_now(0));
    }
    tx_send_batch(w, b.t, b.n);
    for (size_t i = 0; i < b.n; i++) {
        if (b.t[i]->answer.outcome == KEDGE_OK) {
            won++;
            expect_eq(b.t[i]->results[0], cell_version(w, str("permit")));
        } else {
            expect_outcome(b.t[i], KEDGE_STALE);
        }
        expect_eq(is_there(w, name(w, "run %zu", i)), b.t[i]->answer.outcome == KEDGE_OK);
    }
    expect_eq(won, 1);
}

/* A chain: the next item's guard is the version that the item before it makes. */
static void cell_chain(struct world *w)
{
    struct batch b = { .n = 0 };

    for (size_t i = 0; i < 4; i++)
        c_cell_put(add(w, &b), str("cell"), name(w, "%zu", i), never());
    tx_send_batch(w, b.t, b.n);
    for (size_t i = 0; i < b.n; i++) {
        expect_outcome(b.t[i], KEDGE_OK);
        for (size_t j = 0; j < i; j++)
            expect(b.t[i]->results[0] != b.t[j]->results[0]);
    }
}

static void shared_lock(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct batch b = { .n = 0 };
    struct kedge_lock_state ks;
    uint64_t fence = 0;

    for (size_t i = 0; i < 6; i++) {
        struct tx *t = add(w, &b);

        c_lock_take(t, str("lock"), lease);
        c_create_due(t, name(w, "run %zu", i), from_now(0));
    }
    tx_send_batch(w, b.t, b.n);
    for (size_t i = 0; i < b.n; i++) {
        if (b.t[i]->answer.outcome == KEDGE_OK) {
            expect_eq(fence, 0);
            fence = b.t[i]->results[0];
        } else {
            expect_outcome(b.t[i], KEDGE_STALE);
        }
        expect_eq(is_there(w, name(w, "run %zu", i)), b.t[i]->answer.outcome == KEDGE_OK);
    }
    expect_ok(do_lock_query(w, str("lock"), &ks));
    expect_eq(ks.fence, fence);
    /* released and taken in one batch: no two holders, and a serial order explains it */
    b.n = 0;
    c_lock_release(add(w, &b), str("lock"), lease, fence);
    c_lock_take(add(w, &b), str("lock"), lease);
    tx_send_batch(w, b.t, b.n);
    expect_outcome(b.t[0], KEDGE_OK);
    if (b.t[1]->answer.outcome == KEDGE_OK) {
        expect_ok(do_lock_query(w, str("lock"), &ks));
        expect_eq(ks.fence, b.t[1]->results[0]);
        expect(ks.fence > fence);
    } else {
        expect_outcome(b.t[1], KEDGE_STALE);
        expect_rc(do_lock_query(w, str("lock"), &ks), KEDGE_NOT_FOUND);
    }
}

/* Both last children finish in one batch: the parent is woken, once. */
static void both_last(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run p = run_held(w, str("p"), lease), child[2];
    struct batch b = { .n = 0 };
    struct kedge_slot_page page;
    struct kedge_run h;
    uint64_t revision;
    struct tx *t = tx_new(w);

    g_held(t, &p);
    c_slots(t, p.id, 0, 3);
    c_create_child(t, str("c0"), &p, 0, 0);
    c_create_child(t, str("c1"), &p, 0, 1);
    c_slot_put(t, &p, 0, 2, str("r2"));
    c_park(t, p.id, KEDGE_WAKES_ON_SLOTS, never());
    expect_tx(t, KEDGE_OK);
    child[0] = run_take(w, str("c0"), lease);
    child[1] = run_take(w, str("c1"), lease);
    revision = head(w, p.id).revision;
    for (uint32_t i = 0; i < 2; i++) {
        t = add(w, &b);
        g_held(t, &child[i]);
        c_append(t, child[i].id, 1, str("done"));
        c_rest(t, child[i].id, KEDGE_COMPLETED, never());
        c_slot_put(t, &p, 0, i, name(w, "r%u", i));
    }
    tx_send_batch(w, b.t, b.n);
    expect_outcome(b.t[0], KEDGE_OK);
    expect_outcome(b.t[1], KEDGE_OK);
    expect(b.t[0]->results[2] + b.t[1]->results[2] == 1); /* 1 and 0, in some order */
    h = head(w, p.id);
    expect_eq(h.place, KEDGE_PLACE_DUE);
    expect(h.revision > revision);
    expect_ok(do_slots(w, p.id, 0, 0, 0, 10, &page));
    expect_eq(page.n, 3);
    expect_eq(page.remaining, 0);
    for (uint32_t i = 0; i < 3; i++) {
        expect_eq(page.slots[i].index, i);
        expect_bytes(page.slots[i].value, name(w, "r%u", i));
    }
    /* sent again: not woken again */
    p = run_take(w, p.id, lease);
    for (size_t i = 0; i < 2; i++)
        refuse_tx(b.t[i], KEDGE_OK, -1);
    release_parked(w, &p, KEDGE_WAKES_ON_INTERRUPT, never());
    expect_eq(head(w, p.id).place, KEDGE_PLACE_PARKED);
}

/* The same index from two items counts once. */
static void same_slot(struct world *w)
{
    struct run p = run_held(w, str("p"), lease_make(w, TTL));
    struct batch b = { .n = 0 };
    struct kedge_slot_page page;
    struct tx *t = tx_new(w);

    g_held(t, &p);
    c_slots(t, p.id, 0, 2);
    c_park(t, p.id, KEDGE_WAKES_ON_SLOTS, never());
    expect_tx(t, KEDGE_OK);
    c_slot_put(add(w, &b), &p, 0, 1, str("one"));
    c_slot_put(add(w, &b), &p, 0, 1, str("other"));
    tx_send_batch(w, b.t, b.n);
    expect_outcome(b.t[0], KEDGE_OK);
    expect_outcome(b.t[1], KEDGE_OK);
    expect_ok(do_slots(w, p.id, 0, 0, 0, 10, &page));
    expect_eq(page.n, 1);
    expect_eq(page.remaining, 1);
    expect_eq(head(w, p.id).place, KEDGE_PLACE_PARKED);
}

static void held_twice(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease), other = run_held(w, str("b"), lease);
    struct batch b = { .n = 0 };
    struct tx *t = add(w, &b);

    g_held(t, &r);
    c_append(t, r.id, 1, str("one"));
    t = add(w, &b);
    g_held(t, &other);
    c_append(t, other.id, 1, str("one"));
    t = add(w, &b);
    g_held(t, &r);
    c_append(t, r.id, 2, str("two"));
    c_cell_put(t, str("cell"), str("x"), never());
    tx_send_batch(w, b.t, b.n);
    expect_outcome(b.t[0], KEDGE_OK);
    expect_outcome(b.t[1], KEDGE_OK);
    expect_outcome(b.t[2], KEDGE_ERR_INVALID);
    expect_eq(head(w, r.id).position, 1);
    expect_eq(cell_version(w, str("cell")), 0);
    expect_tx(b.t[2], KEDGE_OK); /* alone it is fine */
}

static void too_many(struct world *w)
{
    size_t n = w->limits.batch_items + 1;
    struct kedge_commit *commits = zeroed(w, n, sizeof *commits);
    struct kedge_answer *answers = zeroed(w, n, sizeof *answers);
    struct tx *t = tx_new(w);
    char *before = dump(w);
    int rc;

    c_cell_put(t, str("cell"), str("x"), never());
    for (size_t i = 0; i < n; i++) {
        commits[i] = *tx_ready(t);
        commits[i].request = random_id(w);
        commits[i].results = NULL;
        answers[i].outcome = 99;
    }
    w->err.msg[0] = '\0';
    rc = w->ops->commit(w->session, commits, n, answers, PATIENCE, &w->err);
    expect(rc == KEDGE_ERR_TOO_BIG || rc == KEDGE_ERR_INVALID);
    expect(w->err.msg[0] != '\0');
    for (size_t i = 0; i < n; i++)
        expect_eq(answers[i].outcome, rc);
    check_unchanged(__FILE__, __LINE__, "a batch of too many", w, before);
    expect_ok(w->ops->commit(w->session, commits, n - 1, answers, PATIENCE, &w->err));
    for (size_t i = 0; i < n - 1; i++)
        expect_eq(answers[i].outcome, KEDGE_OK);
}

static void too_many_bytes(struct world *w)
{
    size_t size = w->limits.batch_bytes / 2 + 1;
    struct kedge_id128 lease = lease_make(w, TTL);
    struct kedge_bytes value = blob(w, size, 1);
    struct kedge_commit commits[2];
    struct kedge_answer answers[2];
    struct tx *t[2];
    char *before;

    for (int i = 0; i < 2; i++) {
        t[i] = tx_new(w);
        c_create_held(t[i], name(w, "run %d", i), lease);
        c_append(t[i], name(w, "run %d", i), 1, value);
        commits[i] = *tx_ready(t[i]);
    }
    before = dump(w);
    w->err.msg[0] = '\0';
    expect_rc(w->ops->commit(w->session, commits, 2, answers, PATIENCE, &w->err),
              KEDGE_ERR_TOO_BIG);
    expect_eq(answers[0].outcome, KEDGE_ERR_TOO_BIG);
    expect_eq(answers[1].outcome, KEDGE_ERR_TOO_BIG);
    check_unchanged(__FILE__, __LINE__, "a batch of too many bytes", w, before);
    /* alone a commit may be as large as a commit may be */
    t[0]->records[1] = blob(w, 3 * size, 2);
    expect_tx(t[0], KEDGE_OK);
    t[1]->records[1] = bytes(value.data, 10);
    expect_tx(t[1], KEDGE_OK);
}

static void large(struct world *w)
{
    enum { N = 200 };
    struct kedge_id128 lease = lease_make(w, TTL);
    struct tx *t[N];
    struct run r[N];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            t[i] = tx_new(w);
            if (round == 0) {
                r[i] = (struct run){ .id = name(w, "run %d", i), .lease = lease };
                c_create_held(t[i], r[i].id, lease);
            } else {
                g_held(t[i], &r[i]);
                c_append(t[i], r[i].id, (uint64_t)round, name(w, "record of %d", i));
            }
        }
        tx_send_batch(w, t, N);
        for (int i = 0; i < N; i++) {
            expect_outcome(t[i], KEDGE_OK);
            if (round == 0)
                r[i].fence = t[i]->results[0];
            else
                expect_eq(t[i]->answer.position, round);
        }
    }
    for (int i = 0; i < N; i += 37)
        expect_eq(head(w, r[i].id).position, 2);
}

const struct contract_case cases_batch[] = {
    { "batch-01", "refused and senseless items do not disturb their neighbours", 0, neighbours },
    { "batch-02", "items on one run take effect in the order given", NEEDS_CLOCK, in_order },
    { "batch-03", "a cell that many items want goes to one", 0, shared_cell },
    { "batch-04", "a cell that many items write has a version from each", 0, cell_chain },
    { "batch-05", "a lock that many items take goes to one", 0, shared_lock },
    { "batch-06", "both last children in one batch wake the parent once", 0, both_last },
    { "batch-07", "one slot from two items counts once", 0, same_slot },
    { "batch-08", "a run held by two items is refused for the second", 0, held_twice },
    { "batch-09", "too many items are refused as a whole", 0, too_many },
    { "batch-10", "too many bytes are refused as a whole", 0, too_many_bytes },
    { "batch-11", "two hundred runs step together", 0, large },
    { NULL, NULL, 0, NULL },
};
