/* commit.c - cases: what a commit must be, what it answers, what a run becomes by it */
#include "cases.h"

/* Runs every refused commit of these cases can be about. */
struct scene {
    struct kedge_id128 lease;
    struct run held, due, resting, parent, child;
};

static void scene_set(struct world *w, struct scene *s)
{
    struct tx *t = tx_new(w);

    s->lease = lease_make(w, TTL);
    s->held = run_held(w, str("held"), s->lease);
    step(w, &s->held, "one");
    s->due = run_due(w, str("due"), from_now(0));
    s->resting = run_rest(w, str("resting"), KEDGE_COMPLETED, never());
    s->parent = run_held(w, str("parent"), s->lease);
    g_held(t, &s->parent);
    c_slots(t, s->parent.id, 0, 3);
    c_create_child(t, str("child"), &s->parent, 0, 1);
    expect_tx(t, KEDGE_OK);
    s->child = run_take(w, str("child"), s->lease);
}

static void without_request(struct world *w)
{
    struct tx *t = tx_new(w);

    t->c.request = (struct kedge_id128){ { 0 } };
    c_create_due(t, str("a"), from_now(0));
    refuse_tx(t, KEDGE_ERR_INVALID, -1);
    t->c.request = random_id(w);
    expect_tx(t, KEDGE_OK);
}

/* Each of the changes that need a fence, with too little in front of it. */
static void unfenced_change(struct tx *t, const struct run *r, int which)
{
    switch (which) {
    case 0:
        c_append(t, r->id, r->position + 1, str("record"));
        break;
    case 1:
        c_snapshot(t, r->id, r->position, str("state"));
        break;
    case 2:
        c_set(t, r->id, KEDGE_SET_QUEUE)->set.queue = str("another");
        break;
    case 3:
        c_due(t, r->id, from_now(0));
        break;
    default:
        c_slots(t, r->id, 3, 5);
        break;
    }
}

static void unfenced(struct world *w)
{
    struct scene s;

    scene_set(w, &s);
    for (int which = 0; which < 5; which++) {
        struct tx *t = tx_new(w);

        context("change %d", which);
        unfenced_change(t, &s.held, which);
        refuse_tx(t, KEDGE_ERR_INVALID, -1);
        t = tx_new(w);
        g_position(t, s.held.id, 1); /* fences nothing */
        g_live(t, s.lease);
        unfenced_change(t, &s.held, which);
        refuse_tx(t, KEDGE_ERR_INVALID, -1);
        t = tx_new(w);
        g_held(t, &s.parent); /* of another run */
        unfenced_change(t, &s.held, which);
        refuse_tx(t, KEDGE_ERR_INVALID, -1);
        t = tx_new(w);
        g_held(t, &s.held);
        unfenced_change(t, &s.held, which);
        expect_tx(t, KEDGE_OK);
        if (which == 0)
            s.held.position++;
        if (which == 3)
            s.held = run_take(w, s.held.id, s.lease);
    }
    for (int which = 0; which < 5; which++) {
        struct tx *t = tx_new(w);
        struct run fresh = { .id = name(w, "fresh %d", which) };

        context("change %d of a run made later in the commit", which);
        unfenced_change(t, &fresh, which == 1 ? 0 : which);
        c_create_due(t, fresh.id, from_now(0));
        refuse_tx(t, KEDGE_ERR_INVALID, -1);
        context("change %d of a run made earlier in the commit", which);
        t = tx_new(w);
        c_create_held(t, fresh.id, s.lease);
        unfenced_change(t, &fresh, which == 1 ? 0 : which);
        expect_tx(t, KEDGE_OK);
    }
}

static void taking(struct world *w)
{
    struct scene s;
    struct tx *t = tx_new(w);
    struct kedge_run h;

    scene_set(w, &s);
    c_take(t, s.due.id, s.lease);
    refuse_tx(t, KEDGE_ERR_INVALID, -1);
    t = tx_new(w);
    g_unheld(t, s.resting.id, KEDGE_STATUSES_ALL, head(w, s.resting.id).revision);
    c_take(t, s.due.id, s.lease);
    refuse_tx(t, KEDGE_ERR_INVALID, -1);
    t = tx_new(w);
    g_unheld(t, s.due.id, KEDGE_STATUSES_ALL, head(w, s.due.id).revision);
    c_take(t, s.due.id, s.lease)->take.hold_until = from_now(SEC(9));
    c_append(t, s.due.id, 1, str("taken and written"));
    expect_tx(t, KEDGE_OK);
    expect(t->results[0] > s.due.fence);
    h = head(w, s.due.id);
    expect_eq(h.fence, t->results[0]);
    expect_eq(h.place, KEDGE_PLACE_HELD);
    expect_eq(h.position, 1);
    expect_eq(h.due, 0);
    expect_eq(h.hold_until, wall_now() + SEC(9));
    expect(same_id(&h.holder, &s.lease));
}

/* A run at rest is not taken; only an operator's reopening brings it back. */
static void taking_rest(struct world *w)
{
    struct scene s;
    struct tx *t = tx_new(w);
    char *before;
    int outcome;

    scene_set(w, &s);
    g_unheld(t, s.resting.id, KEDGE_STATUSES_ALL, head(w, s.resting.id).revision);
    c_take(t, s.resting.id, s.lease);
    before = dump(w);
    outcome = tx_send(w, t);
    expect(outcome == KEDGE_ERR_INVALID || outcome == KEDGE_STALE);
    check_unchanged(__FILE__, __LINE__, "taking a run at rest", w, before);
}

/* One thing wrong each; the number of them. */
static int bad_change(struct world *w, struct tx *t, const struct scene *s, int which)
{
    struct kedge_bytes id = s->held.id;
    struct kedge_change *c;
    struct kedge_run_new *n;

    g_held(t, &s->held);
    switch (which) {
    case 0:
        c = c_due(t, id, from_now(0));
        c->release.place = 0;
        break;
    case 1:
        c = c_due(t, id, from_now(0));
        c->release.place = KEDGE_PLACE_HELD;
        break;
    case 2:
        c = c_due(t, id, from_now(0));
        c->release.place = 9;
        break;
    case 3:
        c_due(t, id, never());
        break;
    case 4:
        c_due(t, id, from_now(0))->release.status = KEDGE_COMPLETED;
        break;
    case 5:
        c_due(t, id, from_now(-1));
        break;
    case 6:
        c_due(t, id, (struct kedge_when){ 5, 7, 0 });
        break;
    case 7:
        c_park(t, id, 0, never());
        break;
    case 8:
        c_park(t, id, 8, never());
        break;
    case 9:
        c_park(t, id, KEDGE_WAKES_ON_INTERRUPT, never())->release.status = KEDGE_RUNNING;
        break;
    case 10:
        c_park(t, id, KEDGE_WAKES_ON_TIME, never());
        break;
    case 11:
        c_rest(t, id, KEDGE_RUNNING, never());
        break;
    case 12:
        c_rest(t, id, 0, never());
        break;
    case 13:
        c_rest(t, id, 11, never());
        break;
    case 14:
        c_rest(t, id, KEDGE_STUCK, from_now(SEC(5)));
        break;
    case 15:
        c_rest(t, id, KEDGE_ABORTED, from_now(SEC(5)));
        break;
    case 16:
        c_set(t, id, KEDGE_SET_STATUS)->set.status = KEDGE_COMPLETED;
        break;
    case 17:
        c_set(t, id, KEDGE_SET_STATUS)->set.status = 0;
        break;
    case 18:
        c_set(t, id, KEDGE_SET_EXPIRES)->set.expires = from_now(SEC(5));
        break;
    case 19:
        c_set(t, id, 128);
        break;
    case 20:
        c_set(t, id, KEDGE_SET_REOPEN)->set.status = KEDGE_RUNNING; /* it is not at rest */
        break;
    case 21:
        c_set(t, id, KEDGE_SET_QUEUE)->set.queue = none();
        break;
    case 22:
        c_set(t, id, KEDGE_SET_HOLD_UNTIL)->set.hold_until = from_now(-5);
        break;
    case 23:
        c_request(t, id, 0);
        break;
    case 24:
        c_request(t, id, 8);
        break;
    case 25:
        c_slots(t, id, 0, 0);
        break;
    case 26:
        c_slots(t, id, 0, UINT32_MAX);
        break;
    case 27:
        g_held(t, &s->parent);
        c_slots(t, s->parent.id, 0, 4); /* it is open with 3 */
        break;
    case 28:
        c_slot_put(t, &s->parent, 1, 0, str("never opened"));
        break;
    case 29:
        c_slot_put(t, &s->parent, 0, 3, str("out of range"));
        break;
    case 30:
        g_held(t, &s->child);
        c_rest(t, s->child.id, KEDGE_COMPLETED, never()); /* and its slot? */
        break;
    case 31:
        g_held(t, &s->child);
        c_rest(t, s->child.id, KEDGE_COMPLETED, never());
        c_slot_put(t, &s->parent, 0, 2, str("another's slot"));
        break;
    case 32:
        c_append_n(t, id, 2, NULL, 0);
        break;
    case 33:
        c_snapshot(t, id, 2, str("covers a record that is not there"));
        break;
    case 34:
        n = c_create_due(t, str("new"), from_now(0));
        n->lease = s->lease; /* due and held */
        break;
    case 35:
        c_create_due(t, str("new"), never()); /* neither */
        break;
    case 36:
        c_create_due(t, str("new"), from_now(0))->reactor = none();
        break;
    case 37:
        c_create_due(t, str("new"), from_now(0))->queue = none();
        break;
    case 38:
        c_create_due(t, none(), from_now(0));
        break;
    case 39:
        c_create_due(t, str("new"), from_now(0))->parent_slot = 0; /* of which parent? */
        break;
    case 40:
        c_create_due(t, str("new"), from_now(-1));
        break;
    case 41:
        c_cell_put(t, none(), str("value"), never());
        break;
    case 42:
        c_cell_put(t, str("cell"), str("value"), from_now(-1));
        break;
    case 43:
        c_lock_take(t, none(), s->lease);
        break;
    case 44:
        c_wake(t, none());
        break;
    case 45:
        c_wake(t, id)->kind = 0;
        break;
    case 46:
        c_wake(t, id)->kind = 15;
        break;
    case 47:
        g_live(t, s->lease)->kind = 0;
        c_wake(t, id);
        break;
    case 48:
        g_live(t, s->lease)->kind = 10;
        c_wake(t, id);
        break;
    case 49:
        g_unheld(t, s->due.id, KEDGE_STATUSES_ALL, head(w, s->due.id).revision);
        c_set(t, s->due.id, KEDGE_SET_HOLD_UNTIL)->set.hold_until = from_now(SEC(5)); /* not held */
        break;
    case 50:
        g_unheld(t, s->resting.id, KEDGE_STATUSES_ALL, head(w, s->resting.id).revision);
        c_due(t, s->resting.id, from_now(0)); /* leaving rest needs REOPEN */
        break;
    case 51:
        g_unheld(t, s->resting.id, KEDGE_STATUSES_ALL, head(w, s->resting.id).revision);
        c_set(t, s->resting.id, KEDGE_SET_STATUS)->set.status = KEDGE_RUNNING;
        break;
    case 52:
        g_unheld(t, s->resting.id, KEDGE_STATUSES_ALL, head(w, s->resting.id).revision);
        c = c_set(t, s->resting.id, KEDGE_SET_REOPEN | KEDGE_SET_STATUS);
        c->set.status = KEDGE_FAILED;
        break;
    default:
        return -1;
    }
    return which;
}

static void senseless(struct world *w)
{
    struct scene s;
    struct tx *t;
    int which;

    scene_set(w, &s);
    for (which = 0;; which++) {
        t = tx_new(w);
        c_create_due(t, str("neighbour"), from_now(0)); /* goes with the bad one */
        context("bad change %d", which);
        if (bad_change(w, t, &s, which) < 0)
            break;
        refuse_tx(t, KEDGE_ERR_INVALID, -1);
    }
    expect(which > 50);
    context(NULL);
    t = tx_new(w);
    g_held(t, &s.child);
    c_rest(t, s.child.id, KEDGE_COMPLETED, never());
    c_slot_put(t, &s.parent, 0, 1, str("its own slot"));
    expect_tx(t, KEDGE_OK);
    t = tx_new(w);
    g_held(t, &s.held);
    c_append(t, s.held.id, 2, str("two"));
    c_snapshot(t, s.held.id, 2, str("covers a record of this commit"));
    expect_tx(t, KEDGE_OK);
}

static void too_big(struct world *w)
{
    struct kedge_bytes id = blob(w, w->limits.id_max + 1, 3);
    struct kedge_bytes fits = bytes(id.data, w->limits.id_max);
    struct kedge_bytes value = blob(w, w->limits.value_max + 1, 4);
    struct kedge_bytes cell = bytes(value.data, w->limits.cell_max + 1);
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("held"), lease);
    struct kedge_run_state st;
    struct kedge_cell got;
    struct kedge_lock_state ks;
    struct tx *t;

    for (int which = 0; which < 11; which++) {
        context("too big %d", which);
        t = tx_new(w);
        g_held(t, &r);
        switch (which) {
        case 0:
            c_create_due(t, id, from_now(0));
            break;
        case 1:
            c_create_due(t, str("new"), from_now(0))->reactor = id;
            break;
        case 2:
            c_create_due(t, str("new"), from_now(0))->queue = id;
            break;
        case 3:
            c_append(t, r.id, 1, value);
            break;
        case 4:
            c_append(t, r.id, 1, str("one"));
            c_snapshot(t, r.id, 1, value);
            break;
        case 5:
            c_cell_put(t, str("cell"), cell, never());
            break;
        case 6:
            c_cell_put(t, id, str("value"), never());
            break;
        case 7:
            c_lock_take(t, id, lease);
            break;
        case 8:
            c_set(t, r.id, KEDGE_SET_QUEUE)->set.queue = id;
            break;
        case 9:
            c_slots(t, r.id, 0, 2);
            c_slot_put(t, &r, 0, 1, value);
            break;
        default:
            g_lock(t, id, lease, 1);
            c_wake(t, r.id);
            break;
        }
        refuse_tx(t, KEDGE_ERR_TOO_BIG, -1);
    }
    context(NULL);
    refuse(do_retrieve(w, id, 0, 0, &st), KEDGE_ERR_TOO_BIG);
    refuse(do_cell(w, id, &got), KEDGE_ERR_TOO_BIG);
    refuse(do_lock_acquire(w, id, lease, random_id(w), &ks), KEDGE_ERR_TOO_BIG);
    refuse(do_lock_query(w, none(), &ks), KEDGE_ERR_INVALID);
    refuse(do_retrieve(w, none(), 0, 0, &st), KEDGE_ERR_INVALID);

    /* and the largest that fit */
    t = tx_new(w);
    c_create_due(t, fits, from_now(0))->reactor = fits;
    t->news[0].queue = fits;
    c_cell_put(t, fits, bytes(value.data, w->limits.cell_max), never());
    c_lock_take(t, fits, lease);
    expect_tx(t, KEDGE_OK);
    expect_ok(do_retrieve(w, fits, 0, 0, &st));
    expect_bytes(st.run.reactor, fits);
    expect_ok(do_cell(w, fits, &got));
    expect_eq(got.value.len, w->limits.cell_max);
}

static void too_many(struct world *w)
{
    size_t n = w->limits.commit_changes + 1;
    struct kedge_change *changes = zeroed(w, n, sizeof *changes);
    struct tx *t = tx_new(w);

    for (size_t i = 0; i < n; i++) {
        changes[i].kind = KEDGE_CELL_PUT;
        changes[i].name = str("cell");
        changes[i].cell.value = str("value");
    }
    dump_cell(w, str("cell"));
    t->c.changes = changes;
    t->c.n_changes = n;
    t->c.results = NULL;
    refuse_tx(t, KEDGE_ERR_TOO_BIG, -1);
    t->c.n_changes = n - 1;
    g_cell(t, str("cell"), 0); /* guards count too */
    refuse_tx(t, KEDGE_ERR_TOO_BIG, -1);
    t->c.n_guards = 0;
    expect_tx(t, KEDGE_OK);
    expect(cell_version(w, str("cell")) != 0);
}

static void too_many_bytes(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    size_t part = w->limits.commit_bytes / 16;
    struct kedge_bytes *records = zeroed(w, 18, sizeof *records);
    struct tx *t = tx_new(w);

    for (size_t i = 0; i < 18; i++)
        records[i] = blob(w, i < 14 ? part : part / 2, i);
    g_held(t, &r);
    c_append_n(t, r.id, 1, records, 18);
    if (14 * part + 4 * (part / 2) <= w->limits.commit_bytes)
        records[17] = blob(w, part * 2, 99);
    refuse_tx(t, KEDGE_ERR_TOO_BIG, -1);
    t->changes[0].append.n = 14;
    expect_tx(t, KEDGE_OK);
    expect_eq(t->results[0], 14);
}

static void results(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run p = run_held(w, str("p"), lease);
    struct kedge_bytes three[] = { str("one"), str("two"), str("three") };
    struct tx *t = tx_new(w);
    uint64_t lock;

    g_held(t, &p);
    c_slots(t, p.id, 0, 4);                                   /* 0 */
    c_slot_put(t, &p, 0, 3, str("x"));                        /* 1 */
    c_slot_put(t, &p, 0, 0, str("y"));                        /* 2 */
    c_append_n(t, p.id, 1, three, 3);                         /* 3 */
    c_append(t, p.id, 4, str("four"));                        /* 4 */
    c_create_due(t, str("due"), from_now(0));                 /* 5 */
    c_create_held(t, str("held"), lease);                     /* 6 */
    c_cell_put(t, str("cell"), str("v"), never());            /* 7 */
    c_cell_put(t, str("cell"), str("w"), never());            /* 8 */
    c_cell_delete(t, str("none"));                            /* 9 */
    c_lock_take(t, str("lock"), lease);                       /* 10 */
    c_wake(t, str("nobody"));                                 /* 11 */
    c_request(t, p.id, KEDGE_REQUEST_PAUSE);                  /* 12 */
    c_snapshot(t, p.id, 4, str("state"));                     /* 13 */
    c_set(t, p.id, KEDGE_SET_RECOVERIES)->set.recoveries = 2; /* 14 */
    expect_tx(t, KEDGE_OK);
    expect_eq(t->results[0], 0);
    expect_eq(t->results[1], 3);
    expect_eq(t->results[2], 2);
    expect_eq(t->results[3], 3);
    expect_eq(t->results[4], 4);
    expect_eq(t->results[5], head(w, str("due")).incarnation);
    expect_eq(t->results[6], head(w, str("held")).incarnation);
    expect_eq(t->results[6], head(w, str("held")).fence);
    expect(t->results[7] < t->results[8]);
    expect_eq(t->results[8], cell_version(w, str("cell")));
    for (size_t i = 9; i < 15; i++)
        if (i != 10)
            expect_eq(t->results[i], 0);
    lock = t->results[10];
    expect_eq(head(w, p.id).recoveries, 2);
    t = tx_new(w);
    g_lock(t, str("lock"), lease, lock);
    c_lock_release(t, str("lock"), lease, lock);
    expect_tx(t, KEDGE_OK);
    expect_eq(t->results[0], 0);
}

static void answers(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct tx *t = tx_new(w);
    struct kedge_run h;
    uint64_t revision;

    g_held(t, &r);
    c_append(t, r.id, 1, str("one"));
    expect_tx(t, KEDGE_OK);
    h = head(w, r.id);
    revision = h.revision;
    expect_eq(t->answer.position, 1);
    expect_eq(t->answer.revision, revision);
    expect_eq(t->answer.fence, r.fence);
    expect_eq(t->answer.status, KEDGE_RUNNING);
    expect_eq(t->answer.requests, 0);

    t = tx_new(w);
    c_request(t, r.id, KEDGE_REQUEST_CANCEL | KEDGE_REQUEST_PAUSE);
    expect_tx(t, KEDGE_OK);
    expect_eq(t->answer.requests, KEDGE_REQUEST_CANCEL | KEDGE_REQUEST_PAUSE);
    expect(t->answer.revision > revision);
    revision = t->answer.revision;

    /* refused, and yet the holder learns of it */
    t = tx_new(w);
    g_held(t, &r);
    c_append(t, r.id, 7, str("a gap"));
    refuse_tx(t, KEDGE_STALE, 1);
    expect_eq(t->answer.requests, KEDGE_REQUEST_CANCEL | KEDGE_REQUEST_PAUSE);
    expect_eq(t->answer.status, KEDGE_RUNNING);

    t = tx_new(w);
    g_held(t, &r);
    c_set(t, r.id, KEDGE_SET_CLEAR_REQUESTS)->set.clear_requests = KEDGE_REQUEST_PAUSE;
    expect_tx(t, KEDGE_OK);
    expect_eq(t->answer.requests, KEDGE_REQUEST_CANCEL);
    expect(t->answer.revision > revision);
    expect_eq(head(w, r.id).requests, KEDGE_REQUEST_CANCEL);

    t = tx_new(w);
    c_wake(t, str("nobody"));
    expect_tx(t, KEDGE_OK);
    expect_eq(t->answer.status, 0);
    t = tx_new(w);
    g_held_by(t, str("nobody"), lease, 1);
    refuse_tx(t, KEDGE_NOT_FOUND, 0);
    expect_eq(t->answer.status, 0);
}

static void only_guards(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct tx *t = tx_new(w);

    g_live(t, lease);
    g_absent(t, str("a"));
    refuse_tx(t, KEDGE_OK, -1);
    t = tx_new(w);
    g_dead(t, lease);
    refuse_tx(t, KEDGE_STALE, 0);
}

/* revision and created, over a life. */
static void life(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct run r = run_due(w, str("a"), from_now(0));
    struct kedge_run h = head(w, r.id);
    int64_t created = h.created;
    uint64_t revision = h.revision;
    struct tx *t;

    expect_eq(h.status, KEDGE_PENDING);
    expect_eq(h.place, KEDGE_PLACE_DUE);
    expect_eq(h.due, wall_now());
    expect_eq(created, wall_now());
    expect_bytes(h.root, r.id);
    expect_eq(h.parent.len, 0);
    expect_eq(h.parent_slot, KEDGE_NO_SLOT);
    for (int round = 0; round < 3; round++) {
        clock_advance(SEC(1));
        r = claim_one(w, r.id, lease);
        expect_eq(head(w, r.id).status, KEDGE_RUNNING);
        step(w, &r, "a step");
        h = head(w, r.id);
        expect(h.revision > revision);
        revision = h.revision;
        t = tx_new(w);
        g_held(t, &r);
        c_set(t, r.id, KEDGE_SET_STATUS)->set.status = KEDGE_ROLLING_BACK;
        expect_tx(t, KEDGE_OK);
        expect(head(w, r.id).revision > revision);
        expect_eq(head(w, r.id).status, KEDGE_ROLLING_BACK);
        release_due(w, &r, from_now(0));
        h = head(w, r.id);
        expect(h.revision > revision);
        expect_eq(h.status, KEDGE_ROLLING_BACK);
        expect_eq(h.created, created);
        revision = h.revision;
        r = claim_one(w, r.id, lease);
        expect_eq(head(w, r.id).status, KEDGE_ROLLING_BACK); /* claim leaves it */
        t = tx_new(w);
        g_held(t, &r);
        c_due(t, r.id, from_now(0))->release.status = KEDGE_RUNNING;
        expect_tx(t, KEDGE_OK);
    }
    r = claim_one(w, r.id, lease);
    clock_advance(SEC(1));
    release_rest(w, &r, KEDGE_COMPLETED, from_now(SEC(60)));
    h = head(w, r.id);
    expect_eq(h.place, KEDGE_PLACE_REST);
    expect_eq(h.status, KEDGE_COMPLETED);
    expect_eq(h.finished, wall_now());
    expect_eq(h.expires, wall_now() + SEC(60));
    expect_eq(h.created, created);
    expect_eq(h.position, 3);
}

static void every_rest(struct world *w)
{
    for (uint32_t status = KEDGE_COMPLETED; status <= KEDGE_ABORTED; status++) {
        struct kedge_bytes id = name(w, "run %u", status);
        struct run r = run_rest(w, id, status, never());
        struct kedge_run h = head(w, id);
        struct kedge_lease_state st;
        struct tx *t;

        context("status %u", status);
        expect_eq(h.status, status);
        expect_eq(h.place, KEDGE_PLACE_REST);
        expect_eq(h.expires, 0);
        expect_ok(do_extend(w, r.lease, &st));
        /* wake and request leave it alone, and the commit goes on */
        t = tx_new(w);
        c_wake(t, id);
        c_request(t, id, KEDGE_REQUEST_CANCEL);
        refuse_tx(t, KEDGE_OK, -1);
        t = tx_new(w);
        g_held(t, &r);
        c_append(t, id, 1, str("after the end"));
        refuse_tx(t, KEDGE_STALE, 0);
    }
}

static void reopen(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_change *c;
    struct kedge_run h;
    struct tx *t;

    step(w, &r, "one");
    release_rest(w, &r, KEDGE_FAILED, from_now(SEC(60)));
    clock_advance(SEC(1));
    t = tx_new(w);
    g_unheld(t, r.id, KEDGE_STATUS_BIT(KEDGE_FAILED), head(w, r.id).revision);
    c = c_set(t, r.id, KEDGE_SET_REOPEN | KEDGE_SET_STATUS);
    c->set.status = KEDGE_RUNNING;
    expect_tx(t, KEDGE_OK);
    h = head(w, r.id);
    expect_eq(h.place, KEDGE_PLACE_DUE);
    expect_eq(h.status, KEDGE_RUNNING);
    expect_eq(h.expires, 0);
    expect_eq(h.finished, 0);
    expect(h.due != 0 && h.due <= wall_now());
    expect_eq(h.incarnation, r.incarnation);
    clock_advance(SEC(100));
    lease = lease_make(w, TTL);
    r = claim_one(w, r.id, lease);
    expect_eq(r.position, 1);
}

static void set_members(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_change *c;
    struct kedge_run h;
    struct tx *t = tx_new(w);

    g_held(t, &r);
    c = c_set(t, r.id, KEDGE_SET_HOLD_UNTIL | KEDGE_SET_RECOVERIES);
    c->set.hold_until = from_now(SEC(7));
    c->set.recoveries = 3;
    c->set.queue = str("not named by the mask");
    c->set.status = KEDGE_PAUSED;
    expect_tx(t, KEDGE_OK);
    h = head(w, r.id);
    expect_eq(h.hold_until, wall_now() + SEC(7));
    expect_eq(h.recoveries, 3);
    expect_bytes(h.queue, str("queue"));
    expect_eq(h.status, KEDGE_RUNNING);
    step(w, &r, "progress");
    expect_eq(head(w, r.id).recoveries, 0); /* counted since the last record */
    t = tx_new(w);
    g_held(t, &r);
    c_set(t, r.id, KEDGE_SET_HOLD_UNTIL)->set.hold_until = never();
    expect_tx(t, KEDGE_OK);
    expect_eq(head(w, r.id).hold_until, 0);
    t = tx_new(w);
    g_held(t, &r);
    c_rest(t, r.id, KEDGE_HALTED, never());
    c_set(t, r.id, KEDGE_SET_EXPIRES)->set.expires =
        from_now(SEC(9)); /* at rest after this commit */
    expect_tx(t, KEDGE_OK);
    expect_eq(head(w, r.id).expires, wall_now() + SEC(9));
    t = tx_new(w);
    g_unheld(t, r.id, KEDGE_STATUSES_ALL, head(w, r.id).revision);
    c_set(t, r.id, KEDGE_SET_EXPIRES)->set.expires = never();
    expect_tx(t, KEDGE_OK);
    expect_eq(head(w, r.id).expires, 0);
    clock_advance(SEC(1000));
    expect_eq(is_there(w, r.id), 1);
}

static void waking(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run held = run_held(w, str("held"), lease);
    struct kedge_run h;

    run_parked(w, str("parked"), KEDGE_WAKES_ON_INTERRUPT, never());
    run_due(w, str("later"), from_now(SEC(60)));
    run_due(w, str("earlier"), from_now(0));
    clock_advance(SEC(1));
    wake(w, str("parked"));
    h = head(w, str("parked"));
    expect_eq(h.place, KEDGE_PLACE_DUE);
    expect(h.due <= wall_now());
    expect_eq(h.wakes_on, 0);
    wake(w, str("later"));
    expect_eq(head(w, str("later")).due, wall_now());
    wake(w, str("earlier"));
    expect_eq(head(w, str("earlier")).due, wall_now() - SEC(1)); /* it was due earlier */
    wake(w, held.id);
    h = head(w, held.id);
    expect_eq(h.place, KEDGE_PLACE_HELD);
    expect_eq(h.wake_mark, 1);
    expect_eq(h.fence, held.fence);
    /* the mark is consumed by becoming due instead of parking */
    release_parked(w, &held, KEDGE_WAKES_ON_INTERRUPT, never());
    h = head(w, held.id);
    expect_eq(h.place, KEDGE_PLACE_DUE);
    expect(h.due <= wall_now());
    expect_eq(h.wake_mark, 0);
    held = run_take(w, held.id, lease);
    expect_eq(head(w, held.id).wake_mark, 0);
    release_parked(w, &held, KEDGE_WAKES_ON_INTERRUPT, never());
    expect_eq(head(w, held.id).place, KEDGE_PLACE_PARKED);
}

/* A wake that comes in the commit that parks, or between take and parking. */
static void waking_marks(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct tx *t;

    wake(w, r.id);
    release_rest(w, &r, KEDGE_COMPLETED, never()); /* rest clears the mark */
    expect_eq(head(w, r.id).wake_mark, 0);
    r = run_held(w, str("b"), lease);
    wake(w, r.id);
    release_due(w, &r, from_now(SEC(60)));
    expect_eq(head(w, r.id).place, KEDGE_PLACE_DUE);
    expect_eq(head(w, r.id).wake_mark, 0);
    r = run_held(w, str("c"), lease);
    t = tx_new(w);
    g_held(t, &r);
    c_park(t, r.id, KEDGE_WAKES_ON_INTERRUPT, never());
    c_wake(t, r.id);
    expect_tx(t, KEDGE_OK);
    expect_eq(head(w, r.id).place, KEDGE_PLACE_DUE);
    r = run_held(w, str("d"), lease);
    t = tx_new(w);
    g_held(t, &r);
    c_wake(t, r.id);
    c_park(t, r.id, KEDGE_WAKES_ON_INTERRUPT, never());
    expect_tx(t, KEDGE_OK);
    expect_eq(head(w, r.id).place, KEDGE_PLACE_DUE);
}

/* Create and finish in one commit; create held with everything. */
static void whole_life_at_once(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct tx *t = tx_new(w);
    struct kedge_run_state st;
    struct kedge_run_new *n;

    g_absent(t, str("a"));
    n = c_create_held(t, str("a"), lease);
    n->context = str("trace parent");
    n->version = 7;
    n->hold_until = from_now(SEC(3));
    c_append(t, str("a"), 1, str("one"));
    c_append(t, str("a"), 2, str("two"));
    c_snapshot(t, str("a"), 1, str("state"));
    expect_tx(t, KEDGE_OK);
    expect_ok(do_retrieve(w, str("a"), 0, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL, &st));
    expect_bytes(st.run.context, str("trace parent"));
    expect_eq(st.run.version, 7);
    expect_eq(st.run.hold_until, wall_now() + SEC(3));
    expect_eq(st.run.status, KEDGE_RUNNING);
    expect_eq(st.run.snapshot_position, 1);
    expect_bytes(st.snapshot, str("state"));
    expect_eq(st.n_tail, 1);
    expect_eq(st.tail[0].number, 2);
    expect_bytes(st.tail[0].data, str("two"));
    expect(same_id(&st.tail[0].request, &t->c.request));
    expect_eq(st.tail[0].time, wall_now());

    t = tx_new(w);
    c_create_held(t, str("b"), lease);
    c_append(t, str("b"), 1, str("all of it"));
    c_rest(t, str("b"), KEDGE_COMPLETED, never());
    expect_tx(t, KEDGE_OK);
    expect_eq(head(w, str("b")).place, KEDGE_PLACE_REST);
    expect_eq(head(w, str("b")).position, 1);
}

/* Writing into an unheld run, without taking it. */
static void unheld_writes(struct world *w)
{
    struct run r = run_due(w, str("a"), from_now(SEC(60)));
    struct tx *t = tx_new(w);
    struct kedge_run h = head(w, r.id);

    g_unheld(t, r.id, KEDGE_STATUS_BIT(KEDGE_PENDING), h.revision);
    c_append(t, r.id, 1, str("by an operator"));
    c_set(t, r.id, KEDGE_SET_QUEUE)->set.queue = str("elsewhere");
    expect_tx(t, KEDGE_OK);
    h = head(w, r.id);
    expect_eq(h.position, 1);
    expect_eq(h.place, KEDGE_PLACE_DUE);
    expect_eq(h.due, wall_now() + SEC(60));
    expect_bytes(h.queue, str("elsewhere"));
    t = tx_new(w);
    g_unheld(t, r.id, KEDGE_STATUSES_ALL, h.revision);
    c_rest(t, r.id, KEDGE_CANCELLED, never());
    expect_tx(t, KEDGE_OK);
    expect_eq(head(w, r.id).place, KEDGE_PLACE_REST);
}

static void requests(struct world *w)
{
    struct run r = run_due(w, str("a"), from_now(0));
    struct kedge_id128 lease = lease_make(w, TTL);
    struct kedge_claim in = claim_of(w, lease, 1);
    struct kedge_run_page page;
    struct tx *t;

    for (uint32_t bit = 1; bit <= KEDGE_REQUEST_UNDO; bit *= 2) {
        t = tx_new(w);
        c_request(t, r.id, bit);
        expect_tx(t, KEDGE_OK);
    }
    expect_eq(head(w, r.id).requests, KEDGE_REQUESTS_ALL);
    expect_eq(head(w, r.id).place, KEDGE_PLACE_DUE); /* a request wakes nobody */
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, 1);
    expect_eq(page.runs[0].requests, KEDGE_REQUESTS_ALL);
    t = tx_new(w);
    c_request(t, str("nobody"), KEDGE_REQUEST_CANCEL);
    refuse_tx(t, KEDGE_NOT_FOUND, 0);
}

/* What a guard does not name may say anything. */
static void ignored(struct world *w)
{
    struct scene s;
    struct kedge_id128 stranger = random_id(w);

    scene_set(w, &s);
    for (int refused = 0; refused < 2; refused++) {
        struct tx *t = tx_new(w);
        struct kedge_guard *g[4];

        context("%s", refused ? "refused" : "done");
        g[0] = g_absent(t, refused ? s.held.id : str("not there"));
        g[0]->lease = stranger;
        g[0]->number = 77;
        g[0]->statuses = 1u << 31;
        g[1] = g_time(t, wall_now() - SEC(600), wall_now() + SEC(600));
        g[1]->name = s.held.id;
        g[1]->lease = stranger;
        g[1]->number = UINT64_MAX;
        g[2] = g_cell(t, str("no cell"), 0);
        g[2]->lease = stranger;
        g[2]->from = INT64_MIN;
        g[2]->to = -1;
        g[3] = g_position(t, s.held.id, s.held.position);
        g[3]->lease = stranger;
        g[3]->statuses = 0;
        g[3]->from = 9;
        c_wake(t, s.due.id);
        if (refused)
            refuse_tx(t, KEDGE_EXISTS, 0);
        else
            expect_tx(t, KEDGE_OK);
    }
}

static void in_words(struct world *w)
{
    struct run r = run_held(w, str("a"), lease_make(w, TTL));
    struct tx *t = tx_new(w);

    g_held(t, &r);
    c_append(t, r.id, 1, str("one"));
    expect_tx(t, KEDGE_OK);
    expect_eq(t->answer.why[0], '\0');
    t = tx_new(w);
    g_held(t, &r);
    c_append(t, r.id, 1, str("one"));
    expect_tx(t, KEDGE_STALE);
    expect_eq(t->answer.why[0], '\0'); /* a refusal is no failure */
    t = tx_new(w);
    c_append(t, r.id, 2, str("two")); /* unfenced */
    expect_tx(t, KEDGE_ERR_INVALID);
    expect(t->answer.why[0] != '\0');
    t = tx_new(w);
    c_cell_put(t, str("cell"), blob(w, w->limits.cell_max + 1, 1), never());
    expect_tx(t, KEDGE_ERR_TOO_BIG);
    expect(t->answer.why[0] != '\0');
}

static void set_no_more(struct world *w)
{
    struct run r = run_held(w, str("a"), lease_make(w, TTL));
    struct kedge_change *c;
    struct kedge_run h;
    struct tx *t = tx_new(w);

    g_held(t, &r);
    c = c_set(t, r.id, KEDGE_SET_HOLD_UNTIL | KEDGE_SET_RECOVERIES);
    c->set.hold_until = from_now(SEC(7));
    c->set.recoveries = 3;
    c_request(t, r.id, KEDGE_REQUESTS_ALL);
    expect_tx(t, KEDGE_OK);
    t = tx_new(w);
    g_held(t, &r);
    c_set(t, r.id, KEDGE_SET_QUEUE)->set.queue = str("another");
    expect_tx(t, KEDGE_OK);
    h = head(w, r.id);
    expect_bytes(h.queue, str("another"));
    expect_eq(h.recoveries, 3);
    expect_eq(h.hold_until, wall_now() + SEC(7));
    expect_eq(h.requests, KEDGE_REQUESTS_ALL);
    t = tx_new(w);
    g_held(t, &r);
    c_set(t, r.id, KEDGE_SET_CLEAR_REQUESTS)->set.clear_requests = KEDGE_REQUEST_PAUSE;
    expect_tx(t, KEDGE_OK);
    h = head(w, r.id);
    expect_eq(h.requests, KEDGE_REQUEST_CANCEL | KEDGE_REQUEST_UNDO);
    expect_eq(h.recoveries, 3);
    expect_eq(h.hold_until, wall_now() + SEC(7));
    expect_bytes(h.queue, str("another"));
}

const struct contract_case cases_commit[] = {
    { "commit-01", "a commit without a request id is refused", 0, without_request },
    { "commit-02", "a write without a fence in front of it is refused", 0, unfenced },
    { "commit-03", "TAKE needs UNHELD on that run, and takes it", NEEDS_CLOCK, taking },
    { "commit-04", "a run at rest cannot be taken", 0, taking_rest },
    { "commit-05", "senseless changes are refused, and their neighbours with them", 0, senseless },
    { "commit-06", "what is larger than the limits is refused, the largest fits", 0, too_big },
    { "commit-07", "too many guards and changes are refused", 0, too_many },
    { "commit-08", "too many bytes in a commit are refused", 0, too_many_bytes },
    { "commit-09", "every change has its result", 0, results },
    { "commit-10", "the answer tells of the run, also when refused", 0, answers },
    { "commit-11", "a commit may only ask", 0, only_guards },
    { "commit-12", "statuses, places and times over a run's life", NEEDS_CLOCK, life },
    { "commit-13", "every way to come to rest, and rest is left alone", 0, every_rest },
    { "commit-14", "an operator reopens a run at rest", NEEDS_CLOCK, reopen },
    { "commit-15", "SET touches what its mask names", NEEDS_CLOCK, set_members },
    { "commit-16", "a wake makes due now, or leaves a mark that parking consumes", NEEDS_CLOCK,
      waking },
    { "commit-17", "no wake is lost around a release", 0, waking_marks },
    { "commit-18", "a run may be made and finished in one commit", NEEDS_CLOCK,
      whole_life_at_once },
    { "commit-19", "an unheld run may be written at a known revision", NEEDS_CLOCK, unheld_writes },
    { "commit-20", "requests are collected and told to who claims", 0, requests },
    { "commit-21", "members that a guard does not name are ignored", NEEDS_CLOCK, ignored },
    { "commit-22", "what fails says so in a sentence, what does not says nothing", 0, in_words },
    { "commit-23", "SET leaves alone what its mask and bits do not name", NEEDS_CLOCK,
      set_no_more },
    { NULL, NULL, 0, NULL },
};
