/* slots.c - cases: results of a fan-out, and the one commit that wakes the parent */
#include "cases.h"

static struct run parent_of(struct world *w, uint32_t set, uint32_t total)
{
    struct run p = run_held(w, str("parent"), lease_make(w, 100 * TTL));
    struct tx *t = tx_new(w);

    g_held(t, &p);
    c_slots(t, p.id, set, total);
    expect_tx(t, KEDGE_OK);
    return p;
}

static uint64_t fill(struct world *w, const struct run *p, uint32_t set, uint32_t i)
{
    struct tx *t = tx_new(w);

    c_slot_put(t, p, set, i, name(w, "result %u", i));
    expect_tx(t, KEDGE_OK);
    return t->results[0];
}

static void filled(struct world *w)
{
    struct run p = parent_of(w, 0, 5);
    struct kedge_slot_page page;
    struct tx *t;

    expect_ok(do_slots(w, p.id, 0, 0, 0, 10, &page));
    expect(page.n == 0 && page.total == 5 && page.remaining == 5);
    expect_rc(do_slots(w, p.id, 0, 1, 0, 10, &page), KEDGE_NOT_FOUND);
    expect_eq(fill(w, &p, 0, 3), 4);
    expect_eq(fill(w, &p, 0, 0), 3);
    /* one index twice counts once, and keeps its first value */
    t = tx_new(w);
    c_slot_put(t, &p, 0, 3, str("another"));
    refuse_tx(t, KEDGE_OK, -1);
    expect_eq(t->results[0], 3);
    expect_ok(do_slots(w, p.id, p.incarnation, 0, 0, 10, &page));
    expect_eq(page.n, 2);
    expect_eq(page.remaining, 3);
    expect_eq(page.slots[0].index, 0);
    expect_eq(page.slots[1].index, 3);
    expect_bytes(page.slots[1].value, str("result 3"));
    t = tx_new(w);
    g_held(t, &p);
    c_slots(t, p.id, 0, 5); /* opened again: passed over */
    refuse_tx(t, KEDGE_OK, -1);
}

static void woken_when_full(struct world *w)
{
    struct run p = parent_of(w, 1, 3);

    release_parked(w, &p, KEDGE_WAKES_ON_SLOTS, never());
    expect_eq(fill(w, &p, 1, 2), 2);
    expect_eq(head(w, p.id).place, KEDGE_PLACE_PARKED);
    expect_eq(fill(w, &p, 1, 2), 2);
    expect_eq(fill(w, &p, 1, 1), 1);
    expect_eq(head(w, p.id).place, KEDGE_PLACE_PARKED);
    expect_eq(fill(w, &p, 1, 0), 0);
    expect_eq(head(w, p.id).place, KEDGE_PLACE_DUE);
    expect(head(w, p.id).due <= wall_now());
    p = run_take(w, p.id, p.lease);
    release_parked(w, &p, KEDGE_WAKES_ON_SLOTS, never());
    expect_eq(fill(w, &p, 1, 0), 0); /* not again */
    expect_eq(head(w, p.id).place, KEDGE_PLACE_PARKED);
}

/* The last slot comes while the parent is still held: its parking becomes due. */
static void full_while_held(struct world *w)
{
    struct run p = parent_of(w, 0, 2);

    fill(w, &p, 0, 0);
    expect_eq(head(w, p.id).wake_mark, 0);
    fill(w, &p, 0, 1);
    expect_eq(head(w, p.id).wake_mark, 1);
    release_parked(w, &p, KEDGE_WAKES_ON_SLOTS, never());
    expect_eq(head(w, p.id).place, KEDGE_PLACE_DUE);
}

static void woken_when_few(struct world *w)
{
    struct run p = parent_of(w, 0, 10);
    int wakes = 0;

    for (uint32_t i = 0; i < 10; i++) {
        struct tx *t = tx_new(w);

        if (head(w, p.id).place != KEDGE_PLACE_HELD)
            p = run_take(w, p.id, p.lease);
        release_parked(w, &p, KEDGE_WAKES_ON_SLOTS, never());
        c_slot_put(t, &p, 0, i, str("x"))->slot.wake_at = 3;
        expect_tx(t, KEDGE_OK);
        expect_eq(t->results[0], 9 - i);
        if (head(w, p.id).place == KEDGE_PLACE_DUE) {
            wakes++;
            expect(9 - i <= 3);
        } else {
            expect(9 - i > 3);
        }
    }
    expect_eq(wakes, 4); /* 3, 2, 1 and 0 empty places */
}

static void left_alone(struct world *w)
{
    struct run p = parent_of(w, 0, 2), ghost = { .id = str("ghost"), .incarnation = 5 };
    struct tx *t = tx_new(w);

    c_slot_put(t, &ghost, 0, 0, str("x"));
    refuse_tx(t, KEDGE_OK, -1); /* absent */
    t = tx_new(w);
    c_slot_put(t, &p, 0, 0, str("x"))->slot.incarnation = p.incarnation - 1;
    refuse_tx(t, KEDGE_OK, -1); /* another incarnation */
    fill(w, &p, 0, 1);
    release_rest(w, &p, KEDGE_HALTED, never());
    t = tx_new(w);
    c_slot_put(t, &p, 0, 0, str("x"));
    refuse_tx(t, KEDGE_OK, -1); /* at rest */
}

static void children(struct world *w)
{
    enum { N = 6 };
    struct run p = parent_of(w, 0, N);
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct tx *t = tx_new(w);
    struct kedge_run h;

    g_held(t, &p);
    c_append(t, p.id, 1, str("dispatched"));
    for (uint32_t i = 0; i < N; i++)
        c_create_child(t, name(w, "child %u", i), &p, 0, i);
    c_park(t, p.id, KEDGE_WAKES_ON_SLOTS | KEDGE_WAKES_ON_TIME, from_now(SEC(3600)));
    expect_tx(t, KEDGE_OK);
    h = head(w, str("child 4"));
    expect_bytes(h.parent, p.id);
    expect_bytes(h.root, p.id);
    expect_eq(h.parent_incarnation, p.incarnation);
    expect_eq(h.parent_set, 0);
    expect_eq(h.parent_slot, 4);
    for (uint32_t i = 0; i < N; i++) {
        struct kedge_claim in = claim_of(w, lease, 1);
        struct kedge_run_page page;
        struct run c;

        expect_eq(head(w, p.id).place, KEDGE_PLACE_PARKED);
        expect_ok(do_claim(w, &in, &page));
        expect_eq(page.n, 1);
        c = (struct run){ .id = page.runs[0].id, .lease = lease, .fence = page.runs[0].fence };
        t = tx_new(w);
        g_held(t, &c);
        c_rest(t, c.id, i % 2 == 0 ? KEDGE_COMPLETED : KEDGE_FAILED, from_now(SEC(60)));
        refuse_tx(t, KEDGE_ERR_INVALID, -1); /* its slot is not filled */
        t = tx_new(w);
        g_held(t, &c);
        c_slot_put(t, &p, page.runs[0].parent_set, page.runs[0].parent_slot, str("result"));
        c_rest(t, c.id, i % 2 == 0 ? KEDGE_COMPLETED : KEDGE_FAILED, from_now(SEC(60)));
        expect_tx(t, KEDGE_OK);
    }
    expect_eq(head(w, p.id).place, KEDGE_PLACE_DUE);
}

/* A parent that crashed sends its children again. */
static void created_again(struct world *w)
{
    struct run p = parent_of(w, 0, 3), other;
    struct kedge_id128 lease = lease_make(w, TTL);
    uint64_t first[2];
    struct tx *t = tx_new(w);
    struct run c;

    g_held(t, &p);
    c_create_child(t, str("child 0"), &p, 0, 0);
    c_create_child(t, str("child 1"), &p, 0, 1);
    expect_tx(t, KEDGE_OK);
    memcpy(first, t->results, sizeof first);
    c = run_take(w, str("child 0"), lease);
    step(w, &c, "it has gone on");
    t = tx_new(w);
    g_held(t, &p);
    c_create_child(t, str("child 0"), &p, 0, 0);
    c_create_child(t, str("child 1"), &p, 0, 1);
    c_create_child(t, str("child 2"), &p, 0, 2);
    expect_tx(t, KEDGE_OK);
    expect_eq(t->results[0], first[0]);
    expect_eq(t->results[1], first[1]);
    expect_eq(head(w, str("child 0")).position, 1);
    expect_eq(head(w, str("child 0")).fence, c.fence);
    expect_eq(head(w, str("child 2")).incarnation, t->results[2]);
    /* for another parent, or none, the id is taken */
    other = run_held(w, str("other"), lease);
    t = tx_new(w);
    c_create_child(t, str("child 1"), &other, 0, 1);
    refuse_tx(t, KEDGE_EXISTS, 0);
    t = tx_new(w);
    c_create_child(t, str("child 1"), &p, 0, 1)->parent_incarnation = p.incarnation + 1;
    refuse_tx(t, KEDGE_EXISTS, 0);
    t = tx_new(w);
    c_create_due(t, str("child 1"), from_now(0));
    refuse_tx(t, KEDGE_EXISTS, 0);
    t = tx_new(w);
    g_absent(t, str("child 1"));
    c_create_child(t, str("child 1"), &p, 0, 1);
    refuse_tx(t, KEDGE_EXISTS, 0);
    run_due(w, str("orphan"),
            from_now(0)); /* without a parent it is no excuse to have none again */
    t = tx_new(w);
    c_create_due(t, str("orphan"), from_now(0));
    refuse_tx(t, KEDGE_EXISTS, 0);
}

/* A child that is passed over is not the sender's to write. */
static void passed_over(struct world *w)
{
    struct run p = parent_of(w, 0, 3);
    struct kedge_id128 lease = lease_make(w, TTL);
    struct tx *t = tx_new(w);
    struct run c;
    char *before;

    g_held(t, &p);
    c_create_child(t, str("child"), &p, 0, 0);
    c_append(t, str("child"), 1, str("its arguments"));
    expect_tx(t, KEDGE_OK); /* new: it may be */
    c = run_take(w, str("child"), lease);
    step(w, &c, "its own");
    for (int what = 0; what < 4; what++) {
        context("change %d", what);
        t = tx_new(w);
        g_held(t, &p);
        c_create_child(t, str("child"), &p, 0, 0);
        if (what == 0)
            c_append(t, str("child"), 3, str("not mine"));
        else if (what == 1)
            c_snapshot(t, str("child"), 1, str("not mine"));
        else if (what == 2)
            c_due(t, str("child"), from_now(0));
        else
            c_append(t, str("child"), 1, str("its arguments")); /* as it was sent first */
        before = dump(w);
        (void)tx_send(w, t);
        check_unchanged(__FILE__, __LINE__, "writing a child that was passed over", w, before);
    }
    step(w, &c, "still its own");
}

static void pages(struct world *w)
{
    enum { N = 300 };
    struct run p = parent_of(w, 7, UINT32_MAX - 1);
    struct kedge_slot_page page;
    struct tx *t = NULL;
    uint64_t next;

    for (uint32_t i = 0; i < N; i++) {
        if (i % 40 == 0)
            t = tx_new(w);
        c_slot_put(t, &p, 7, i * 7919, name(w, "%u", i));
        if (i % 40 == 39 || i == N - 1)
            expect_tx(t, KEDGE_OK);
    }
    t = tx_new(w);
    c_slot_put(t, &p, 7, UINT32_MAX - 2, str("the last index"));
    expect_tx(t, KEDGE_OK);
    for (size_t limit = 1; limit < 400; limit = limit * 3 + 2) {
        uint32_t seen = 0;

        next = 0;
        do {
            expect(next <= UINT32_MAX);
            expect_ok(do_slots(w, p.id, 0, 7, (uint32_t)next, limit, &page));
            expect(page.n <= limit);
            expect_eq(page.total, UINT32_MAX - 1);
            expect_eq(page.remaining, UINT32_MAX - 1 - (N + 1));
            for (size_t i = 0; i < page.n; i++, seen++) {
                expect_eq(page.slots[i].index, seen < N ? seen * 7919 : UINT32_MAX - 2);
                if (seen < N)
                    expect_bytes(page.slots[i].value, name(w, "%u", seen));
            }
            next = page.next;
        } while (next != 0);
        expect_eq(seen, N + 1);
    }
}

static void several_sets(struct world *w)
{
    struct run p = parent_of(w, 0, 1);
    struct kedge_slot_page page;
    struct tx *t = tx_new(w);

    g_held(t, &p);
    c_slots(t, p.id, UINT32_MAX, 2);
    c_slots(t, p.id, 1, 2);
    expect_tx(t, KEDGE_OK);
    fill(w, &p, UINT32_MAX, 1);
    fill(w, &p, 1, 0);
    expect_ok(do_slots(w, p.id, 0, UINT32_MAX, 0, 10, &page));
    expect(page.n == 1 && page.slots[0].index == 1);
    expect_ok(do_slots(w, p.id, 0, 1, 0, 10, &page));
    expect(page.n == 1 && page.slots[0].index == 0);
    expect_ok(do_slots(w, p.id, 0, 0, 0, 10, &page));
    expect_eq(page.n, 0);
}

const struct contract_case cases_slots[] = {
    { "slots-01", "an index is filled once", 0, filled },
    { "slots-02", "the insertion that fills the set wakes the parent", 0, woken_when_full },
    { "slots-03", "a set that becomes full while the parent is held", 0, full_while_held },
    { "slots-04", "few enough empty places wake the parent", 0, woken_when_few },
    { "slots-05", "a parent that is gone, at rest or another is left alone", 0, left_alone },
    { "slots-06", "children rest with their slot filled, or not at all", 0, children },
    { "slots-07", "children of the same parent may be sent again", 0, created_again },
    { "slots-10", "a child that is passed over is not written", 0, passed_over },
    { "slots-08", "slots page by page, by index", 0, pages },
    { "slots-09", "sets are apart", 0, several_sets },
    { NULL, NULL, 0, NULL },
};
