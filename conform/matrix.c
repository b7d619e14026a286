/*
 * matrix.c - cases: every guard, holding and failing, before and after every change
 *
 * A scene has one of each thing a guard or a change can be about.  Failing guards change nothing,
 * so they all meet the same scene; a holding guard lets the change through and gets a new one.
 */
#include "cases.h"

#include <stdlib.h>

struct scene {
    struct kedge_id128 live, other, dead, unknown;
    struct run held;    /* by live */
    struct run orphan;  /* by dead */
    struct run due;     /* in an hour */
    struct run parked;  /* for an interrupt */
    struct run resting; /* completed */
    struct run parent;  /* held by live, slot set 0 of 3 is open */
    struct kedge_bytes absent;
    struct kedge_bytes lock, orphan_lock, free_lock;
    uint64_t lock_fence, orphan_lock_fence;
    struct kedge_bytes cell, no_cell;
    uint64_t version;
};

static uint64_t revision_of(struct world *w, const struct run *r)
{
    return head(w, r->id).revision;
}

static void scene_set(struct world *w, struct scene *s, int number)
{
    enum { HELD, ORPHAN, DUE, PARKED, RESTING, PARENT, LOCKS, CELL, N };
    struct tx *t[N];
    struct run *run[] = { &s->held, &s->orphan, &s->due, &s->parked, &s->resting, &s->parent };
    static const char *const names[] = { "held", "orphan", "due", "parked", "resting", "parent" };
    struct kedge_lease_state st;

    if (number == 0) {
        s->live = lease_make(w, 100 * TTL);
        s->other = lease_make(w, 100 * TTL);
        s->unknown = random_id(w);
    }
    s->dead = lease_make(w, TTL);
    s->absent = name(w, "absent %d", number);
    s->lock = name(w, "lock %d", number);
    s->orphan_lock = name(w, "orphan lock %d", number);
    s->free_lock = name(w, "free lock %d", number);
    s->cell = name(w, "cell %d", number);
    s->no_cell = name(w, "no cell %d", number);
    for (int i = 0; i < N; i++)
        t[i] = tx_new(w);
    for (int i = 0; i < 6; i++) {
        run[i]->id = name(w, "%s %d", names[i], number);
        run[i]->lease = i == ORPHAN ? s->dead : s->live;
        run[i]->position = 0;
        if (i == DUE)
            c_create_due(t[i], run[i]->id, from_now(SEC(3600)));
        else
            c_create_held(t[i], run[i]->id, run[i]->lease);
    }
    c_append(t[HELD], s->held.id, 1, str("one"));
    s->held.position = 1;
    c_park(t[PARKED], s->parked.id, KEDGE_WAKES_ON_INTERRUPT, never());
    c_rest(t[RESTING], s->resting.id, KEDGE_COMPLETED, never());
    c_slots(t[PARENT], s->parent.id, 0, 3);
    c_lock_take(t[LOCKS], s->lock, s->live);
    c_lock_take(t[LOCKS], s->orphan_lock, s->dead);
    c_cell_put(t[CELL], s->cell, str("value"), never());
    tx_send_batch(w, t, N);
    for (int i = 0; i < N; i++)
        expect_outcome(t[i], KEDGE_OK);
    for (int i = 0; i < 6; i++)
        run[i]->fence = run[i]->incarnation = t[i]->results[0];
    s->lock_fence = t[LOCKS]->results[0];
    s->orphan_lock_fence = t[LOCKS]->results[1];
    s->version = t[CELL]->results[0];
    clock_advance(TTL);
    expect_ok(do_bury(w, s->dead));
    expect_ok(do_extend(w, s->live, &st));
}

/* -------------------------------------------------------------------- guards */

struct guard_row {
    const char *what;
    int want; /* OK: it holds */
    void (*add)(struct world *w, struct tx *t, const struct scene *s);
};

#define GUARD(fn, ...)                                                                             \
    static void fn(struct world *w, struct tx *t, const struct scene *s)                           \
    {                                                                                              \
        (void)w;                                                                                   \
        (void)s;                                                                                   \
        __VA_ARGS__;                                                                               \
    }

GUARD(held_ok, g_held(t, &s->held))
GUARD(held_absent, g_held_by(t, s->absent, s->live, 1))
GUARD(held_old_fence, g_held_by(t, s->held.id, s->live, s->held.fence - 1))
GUARD(held_new_fence, g_held_by(t, s->held.id, s->live, s->held.fence + 1))
GUARD(held_other_lease, g_held_by(t, s->held.id, s->other, s->held.fence))
GUARD(held_unheld, g_held_by(t, s->due.id, s->live, s->due.fence))
GUARD(held_dead, g_held(t, &s->orphan))
GUARD(absent_ok, g_absent(t, s->absent))
GUARD(absent_there, g_absent(t, s->due.id))
GUARD(absent_resting, g_absent(t, s->resting.id))
GUARD(unheld_due, g_unheld(t, s->due.id, KEDGE_STATUSES_ALL, revision_of(w, &s->due)))
GUARD(unheld_orphan,
      g_unheld(t, s->orphan.id, KEDGE_STATUS_BIT(KEDGE_RUNNING), revision_of(w, &s->orphan)))
GUARD(unheld_resting,
      g_unheld(t, s->resting.id, KEDGE_STATUS_BIT(KEDGE_COMPLETED), revision_of(w, &s->resting)))
GUARD(unheld_absent, g_unheld(t, s->absent, KEDGE_STATUSES_ALL, 1))
GUARD(unheld_held, g_unheld(t, s->held.id, KEDGE_STATUSES_ALL, revision_of(w, &s->held)))
GUARD(unheld_status, g_unheld(t, s->due.id, KEDGE_STATUSES_ALL & ~KEDGE_STATUS_BIT(KEDGE_PENDING),
                              revision_of(w, &s->due)))
GUARD(unheld_revision, g_unheld(t, s->due.id, KEDGE_STATUSES_ALL, revision_of(w, &s->due) + 1))
GUARD(position_ok, g_position(t, s->held.id, 1))
GUARD(position_none, g_position(t, s->due.id, 0))
GUARD(position_absent, g_position(t, s->absent, 0))
GUARD(position_low, g_position(t, s->held.id, 0))
GUARD(position_high, g_position(t, s->held.id, 2))
GUARD(live_ok, g_live(t, s->live))
GUARD(live_dead, g_live(t, s->dead))
GUARD(live_unknown, g_live(t, s->unknown))
GUARD(dead_ok, g_dead(t, s->dead))
GUARD(dead_unknown, g_dead(t, s->unknown))
GUARD(dead_live, g_dead(t, s->live))
GUARD(lock_ok, g_lock(t, s->lock, s->live, s->lock_fence))
GUARD(lock_free, g_lock(t, s->free_lock, s->live, s->lock_fence))
GUARD(lock_fence, g_lock(t, s->lock, s->live, s->lock_fence + 1))
GUARD(lock_lease, g_lock(t, s->lock, s->other, s->lock_fence))
GUARD(lock_dead, g_lock(t, s->orphan_lock, s->dead, s->orphan_lock_fence))
GUARD(cell_ok, g_cell(t, s->cell, s->version))
GUARD(cell_none, g_cell(t, s->no_cell, 0))
GUARD(cell_other, g_cell(t, s->cell, s->version - 1))
GUARD(cell_not_none, g_cell(t, s->cell, 0))
GUARD(cell_absent, g_cell(t, s->no_cell, s->version))
GUARD(time_ok, g_time(t, wall_now(), wall_now() + 1))
GUARD(time_over, g_time(t, wall_now() - 1, wall_now()))
GUARD(time_early, g_time(t, wall_now() + 1, wall_now() + 2))

static const struct guard_row guards[] = {
    { "HELD", KEDGE_OK, held_ok },
    { "HELD, absent", KEDGE_NOT_FOUND, held_absent },
    { "HELD, older fence", KEDGE_STALE, held_old_fence },
    { "HELD, newer fence", KEDGE_STALE, held_new_fence },
    { "HELD, another lease", KEDGE_STALE, held_other_lease },
    { "HELD, nobody holds it", KEDGE_STALE, held_unheld },
    { "HELD, dead lease", KEDGE_LOST, held_dead },
    { "ABSENT", KEDGE_OK, absent_ok },
    { "ABSENT, there", KEDGE_EXISTS, absent_there },
    { "ABSENT, at rest", KEDGE_EXISTS, absent_resting },
    { "UNHELD", KEDGE_OK, unheld_due },
    { "UNHELD, dead lease", KEDGE_OK, unheld_orphan },
    { "UNHELD, at rest", KEDGE_OK, unheld_resting },
    { "UNHELD, absent", KEDGE_NOT_FOUND, unheld_absent },
    { "UNHELD, held", KEDGE_STALE, unheld_held },
    { "UNHELD, another status", KEDGE_STALE, unheld_status },
    { "UNHELD, another revision", KEDGE_STALE, unheld_revision },
    { "POSITION", KEDGE_OK, position_ok },
    { "POSITION 0", KEDGE_OK, position_none },
    { "POSITION, absent", KEDGE_NOT_FOUND, position_absent },
    { "POSITION, too low", KEDGE_STALE, position_low },
    { "POSITION, too high", KEDGE_STALE, position_high },
    { "LEASE_LIVE", KEDGE_OK, live_ok },
    { "LEASE_LIVE, dead", KEDGE_LOST, live_dead },
    { "LEASE_LIVE, no record", KEDGE_LOST, live_unknown },
    { "LEASE_DEAD", KEDGE_OK, dead_ok },
    { "LEASE_DEAD, no record", KEDGE_OK, dead_unknown },
    { "LEASE_DEAD, live", KEDGE_STALE, dead_live },
    { "LOCK", KEDGE_OK, lock_ok },
    { "LOCK, free", KEDGE_NOT_FOUND, lock_free },
    { "LOCK, another fence", KEDGE_STALE, lock_fence },
    { "LOCK, another lease", KEDGE_STALE, lock_lease },
    { "LOCK, dead lease", KEDGE_LOST, lock_dead },
    { "CELL", KEDGE_OK, cell_ok },
    { "CELL 0", KEDGE_OK, cell_none },
    { "CELL, another version", KEDGE_STALE, cell_other },
    { "CELL 0, there", KEDGE_STALE, cell_not_none },
    { "CELL, absent", KEDGE_STALE, cell_absent },
    { "TIME", KEDGE_OK, time_ok },
    { "TIME, over", KEDGE_STALE, time_over },
    { "TIME, not yet", KEDGE_STALE, time_early },
};

/* ------------------------------------------------------------------- changes */

struct change_row {
    const char *what;
    void (*add)(struct world *w, struct tx *t, const struct scene *s); /* with what it needs */
    bool (*took_place)(struct world *w, const struct scene *s, const struct tx *t);
};

#define CHANGE(fn, ...)                                                                            \
    static void add_##fn(struct world *w, struct tx *t, const struct scene *s)                     \
    {                                                                                              \
        (void)w;                                                                                   \
        __VA_ARGS__;                                                                               \
    }
#define TOOK_PLACE(fn, condition)                                                                  \
    static bool did_##fn(struct world *w, const struct scene *s, const struct tx *t)               \
    {                                                                                              \
        uint64_t result = t->results[t->c.n_changes - 1];                                          \
                                                                                                   \
        (void)result;                                                                              \
        return (condition);                                                                        \
    }

static bool slot_is_filled(struct world *w, const struct scene *s)
{
    struct kedge_slot_page page;

    expect_ok(do_slots(w, s->parent.id, s->parent.incarnation, 0, 0, 10, &page));
    return page.n == 1 && page.slots[0].index == 1 && page.remaining == 2 &&
           same_bytes(page.slots[0].value, str("result"));
}

static bool slots_are_open(struct world *w, const struct scene *s)
{
    struct kedge_slot_page page;

    return do_slots(w, s->held.id, s->held.incarnation, 2, 0, 10, &page) == KEDGE_OK &&
           page.total == 5 && page.remaining == 5;
}

static bool snapshot_is(struct world *w, const struct scene *s)
{
    struct kedge_run_state st;

    expect_ok(do_retrieve(w, s->held.id, 0, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL, &st));
    return st.n_tail == 0 && same_bytes(st.snapshot, str("state"));
}

static bool lock_is(struct world *w, struct kedge_bytes lock, const struct kedge_id128 *holder,
                    uint64_t fence)
{
    struct kedge_lock_state st;

    return do_lock_query(w, lock, &st) == KEDGE_OK && same_id(&st.holder, holder) &&
           st.fence == fence;
}

static bool lock_is_free(struct world *w, struct kedge_bytes lock)
{
    struct kedge_lock_state st;

    return do_lock_query(w, lock, &st) == KEDGE_NOT_FOUND;
}

CHANGE(create, c_create_due(t, s->absent, from_now(0)))
TOOK_PLACE(create, is_there(w, s->absent) && head(w, s->absent).incarnation == result)
CHANGE(take, g_unheld(t, s->due.id, KEDGE_STATUSES_ALL, revision_of(w, &s->due));
       c_take(t, s->due.id, s->other))
TOOK_PLACE(take, head(w, s->due.id).place == KEDGE_PLACE_HELD &&
                     head(w, s->due.id).fence == result && result > s->due.fence)
CHANGE(append, g_held(t, &s->held); c_append(t, s->held.id, 2, str("two")))
TOOK_PLACE(append, head(w, s->held.id).position == 2 && result == 2)
CHANGE(snapshot, g_held(t, &s->held); c_snapshot(t, s->held.id, 1, str("state")))
TOOK_PLACE(snapshot, snapshot_is(w, s))
CHANGE(set, g_held(t, &s->held); c_set(t, s->held.id, KEDGE_SET_QUEUE)->set.queue = str("another"))
TOOK_PLACE(set, same_bytes(head(w, s->held.id).queue, str("another")))
CHANGE(release, g_held(t, &s->held); c_due(t, s->held.id, from_now(SEC(5))))
TOOK_PLACE(release, head(w, s->held.id).place == KEDGE_PLACE_DUE)
CHANGE(wake, c_wake(t, s->parked.id))
TOOK_PLACE(wake, head(w, s->parked.id).place == KEDGE_PLACE_DUE)
CHANGE(request, c_request(t, s->held.id, KEDGE_REQUEST_UNDO))
TOOK_PLACE(request, head(w, s->held.id).requests == KEDGE_REQUEST_UNDO)
CHANGE(slots, g_held(t, &s->held); c_slots(t, s->held.id, 2, 5))
TOOK_PLACE(slots, slots_are_open(w, s))
CHANGE(slot_put, c_slot_put(t, &s->parent, 0, 1, str("result")))
TOOK_PLACE(slot_put, slot_is_filled(w, s) && result == 2)
CHANGE(cell_put, c_cell_put(t, s->cell, str("new"), never()))
TOOK_PLACE(cell_put, cell_version(w, s->cell) == result && result > s->version)
CHANGE(cell_delete, c_cell_delete(t, s->cell))
TOOK_PLACE(cell_delete, cell_version(w, s->cell) == 0)
CHANGE(lock_take, c_lock_take(t, s->free_lock, s->other))
TOOK_PLACE(lock_take, lock_is(w, s->free_lock, &s->other, result))
CHANGE(lock_release, c_lock_release(t, s->lock, s->live, s->lock_fence))
TOOK_PLACE(lock_release, lock_is_free(w, s->lock))

#define ROW(fn, text)                                                                              \
    {                                                                                              \
        (text), add_##fn, did_##fn                                                                 \
    }
static const struct change_row changes[] = {
    ROW(create, "CREATE"),
    ROW(take, "TAKE"),
    ROW(append, "APPEND"),
    ROW(snapshot, "SNAPSHOT"),
    ROW(set, "SET"),
    ROW(release, "RELEASE"),
    ROW(wake, "WAKE"),
    ROW(request, "REQUEST"),
    ROW(slots, "SLOTS"),
    ROW(slot_put, "SLOT_PUT"),
    ROW(cell_put, "CELL_PUT"),
    ROW(cell_delete, "CELL_DELETE"),
    ROW(lock_take, "LOCK_TAKE"),
    ROW(lock_release, "LOCK_RELEASE"),
};

/* The change with its own guards, and the guard in front of them or behind. */
static size_t put_together(struct world *w, struct tx *t, const struct scene *s,
                           const struct guard_row *g, const struct change_row *c, bool behind)
{
    size_t where = 0;

    tx_again(t);
    if (!behind)
        g->add(w, t, s);
    c->add(w, t, s);
    if (behind) {
        where = t->c.n_guards;
        g->add(w, t, s);
    }
    return where;
}

static void failing(struct world *w)
{
    struct scene s;
    struct tx *t = tx_new(w);
    char *before;

    scene_set(w, &s, 0);
    before = dump(w);
    for (size_t c = 0; c < ARRAY_LEN(changes); c++)
        for (size_t g = 0; g < ARRAY_LEN(guards); g++)
            for (int behind = 0; behind < 2; behind++) {
                size_t where;

                if (guards[g].want == KEDGE_OK)
                    continue;
                context("%s; %s %s", changes[c].what, guards[g].what, behind ? "last" : "first");
                where = put_together(w, t, &s, &guards[g], &changes[c], behind != 0);
                expect_tx(t, guards[g].want);
                expect_eq(t->answer.at, where);
                if (differs(w, before))
                    check_unchanged(__FILE__, __LINE__, "a refused commit", w, before);
            }
    free(before);
}

static void holding(struct world *w)
{
    struct scene s;
    struct tx *t;
    int number = 0;

    for (size_t c = 0; c < ARRAY_LEN(changes); c++)
        for (size_t g = 0; g < ARRAY_LEN(guards); g++) {
            if (guards[g].want != KEDGE_OK)
                continue;
            context("%s; %s", changes[c].what, guards[g].what);
            if (number == 0)
                scene_set(w, &s, number++);
            t = tx_new(w);
            scene_set(w, &s, number++);
            put_together(w, t, &s, &guards[g], &changes[c], number % 2 == 0);
            expect(!changes[c].took_place(w, &s, t) || changes[c].add == add_cell_delete);
            expect_tx(t, KEDGE_OK);
            expect(changes[c].took_place(w, &s, t));
            if (number % 40 == 0)
                world_check(w);
        }
}

/* Two guards that fail differently: the first of NOT_FOUND, EXISTS, STALE, LOST is the answer. */
static void order(struct world *w)
{
    static const int rank[] = { KEDGE_NOT_FOUND, KEDGE_EXISTS, KEDGE_STALE, KEDGE_LOST };
    struct scene s;
    struct tx *t = tx_new(w);
    char *before;

    scene_set(w, &s, 0);
    before = dump(w);
    for (size_t a = 0; a < ARRAY_LEN(guards); a++)
        for (size_t b = 0; b < ARRAY_LEN(guards); b++) {
            int want = KEDGE_OK;

            for (size_t i = ARRAY_LEN(rank); i-- > 0;)
                if (guards[a].want == rank[i] || guards[b].want == rank[i])
                    want = rank[i];
            if (want == KEDGE_OK)
                continue;
            context("%s and %s", guards[a].what, guards[b].what);
            tx_again(t);
            guards[a].add(w, t, &s);
            guards[b].add(w, t, &s);
            c_cell_put(t, s.no_cell, str("value"), never());
            expect_tx(t, want);
            expect_eq(t->answer.at, guards[a].want == want ? 0 : 1);
        }
    check_unchanged(__FILE__, __LINE__, "refused commits", w, before);
}

/* A change that cannot be done, among others that could. */
static void failing_changes(struct world *w)
{
    struct scene s;
    struct tx *t;

    scene_set(w, &s, 0);
    for (int which = 0; which < 7; which++)
        for (size_t c = 0; c < ARRAY_LEN(changes); c++)
            for (int behind = 0; behind < 2; behind++) {
                int want = KEDGE_STALE;
                size_t where;

                context("%s; failing change %d %s", changes[c].what, which,
                        behind ? "behind" : "in front");
                t = tx_new(w);
                g_held(t, &s.held);
                if (behind)
                    changes[c].add(w, t, &s);
                where = t->c.n_changes;
                switch (which) {
                case 0:
                    c_create_due(t, s.due.id, from_now(0));
                    want = KEDGE_EXISTS;
                    break;
                case 1:
                    c_append(t, s.held.id, 7, str("a gap"));
                    if (changes[c].add == add_release)
                        continue; /* let go by then */
                    break;
                case 2:
                    c_request(t, str("nowhere"), KEDGE_REQUEST_CANCEL);
                    want = KEDGE_NOT_FOUND;
                    break;
                case 3:
                    c_lock_take(t, s.lock, s.live); /* even by its holder */
                    if (changes[c].add == add_lock_release)
                        continue; /* free by then */
                    break;
                case 4:
                    c_lock_release(t, s.lock, s.live, s.lock_fence + 1);
                    if (changes[c].add == add_lock_release)
                        continue;
                    break;
                case 5:
                    c_lock_release(t, str("never taken"), s.live, 1);
                    want = KEDGE_NOT_FOUND;
                    break;
                default:
                    c_lock_take(t, str("never taken"), s.dead);
                    want = KEDGE_LOST;
                    break;
                }
                if (!behind)
                    changes[c].add(w, t, &s);
                refuse_tx(t, want, (int64_t)(t->c.n_guards + where));
            }
}

const struct contract_case cases_matrix[] = {
    { "matrix-01", "every failing guard stops every change", NEEDS_CLOCK, failing },
    { "matrix-02", "every holding guard lets every change through", NEEDS_CLOCK, holding },
    { "matrix-03", "of several failing guards the first in order answers", NEEDS_CLOCK, order },
    { "matrix-04", "a change that cannot be done stops all others", NEEDS_CLOCK, failing_changes },
    { NULL, NULL, 0, NULL },
};
