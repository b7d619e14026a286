/*
 * walk.c - cases: a long random walk, next to a model that says where everything must be
 *
 * A few runs, leases, locks and cells; thousands of steps, many of them with stale fences and dead
 * leases.  Before each step the model says which outcome it must have, after it where each run is:
 * in exactly one place, the same in the store and in the model.  Where the contract leaves a choice
 * the model takes over what the store chose.
 */
#include "cases.h"

#include <inttypes.h>
#include <stdlib.h>

enum { RUNS = 6, SLOTS = 4, LOCKS = 3, CELLS = 3, GRIPS = 4, LEASES_MAX = 4000 };

struct model_lease {
    struct kedge_id128 id;
    int64_t deadline;
    bool dead;
};

struct model_run {
    bool exists;
    uint32_t place, status, wakes_on, mark, requests;
    int64_t due, hold_until, expires;
    uint32_t lease; /* index, when held */
    uint64_t fence, incarnation, position, revision;
    /* what somebody once thought */
    struct {
        uint32_t lease;
        uint64_t fence;
    } grip[GRIPS];
};

struct model {
    struct world *w;
    struct kedge_bytes run_id[RUNS], lock_id[LOCKS], cell_id[CELLS];
    struct model_run run[RUNS];
    struct model_lease lease[LEASES_MAX];
    uint32_t n_leases;
    uint32_t slot[SLOTS]; /* leases in use */
    struct {
        bool held;
        uint32_t lease;
        uint64_t fence;
    } lock[LOCKS];
    struct {
        uint64_t version;
        int64_t expires;
    } cell[CELLS];
    uint64_t last_fence;
};

static bool chance(struct model *m, uint32_t percent)
{
    return random_below(m->w, 100) < percent;
}

static bool there(const struct model_run *r)
{
    return r->exists && (r->expires == 0 || r->expires > wall_now());
}

static bool unfinished(const struct model_run *r)
{
    return (KEDGE_STATUS_BIT(r->status) & KEDGE_STATUSES_UNFINISHED) != 0;
}

static bool dead(const struct model *m, uint32_t lease)
{
    return m->lease[lease].dead;
}

static bool unheld(const struct model *m, const struct model_run *r)
{
    return r->place != KEDGE_PLACE_HELD || dead(m, r->lease) ||
           (r->hold_until != 0 && r->hold_until < wall_now());
}

static uint64_t cell_now(const struct model *m, uint32_t c)
{
    if (m->cell[c].expires != 0 && m->cell[c].expires <= wall_now())
        return 0;
    return m->cell[c].version;
}

static void fenced(struct model *m, uint64_t fence)
{
    expect(fence > m->last_fence);
    m->last_fence = fence;
}

static int held_guard(const struct model *m, const struct model_run *r, uint32_t lease,
                      uint64_t fence)
{
    if (!there(r))
        return KEDGE_NOT_FOUND;
    if (r->place != KEDGE_PLACE_HELD || r->lease != lease || r->fence != fence)
        return KEDGE_STALE;
    return dead(m, lease) ? KEDGE_LOST : KEDGE_OK;
}

static void gripped(struct model *m, struct model_run *r, uint32_t lease, uint64_t fence)
{
    uint32_t g = random_below(m->w, GRIPS);

    r->grip[g].lease = lease;
    r->grip[g].fence = fence;
}

static void held_by(struct model *m, struct model_run *r, uint32_t lease, uint64_t fence)
{
    fenced(m, fence);
    r->place = KEDGE_PLACE_HELD;
    r->lease = lease;
    r->fence = fence;
    r->due = r->hold_until = 0;
    r->wakes_on = r->mark = 0;
    gripped(m, r, lease, fence);
}

static void let_go(struct model_run *r)
{
    r->hold_until = 0;
    r->mark = 0;
    r->wakes_on = 0;
    r->due = 0;
}

/* The grip to act with: mostly the present holder's, sometimes one of the past. */
static void pick_grip(struct model *m, struct model_run *r, uint32_t *lease, uint64_t *fence)
{
    uint32_t g = random_below(m->w, GRIPS);

    if (r->place == KEDGE_PLACE_HELD && chance(m, 70)) {
        *lease = r->lease;
        *fence = r->fence;
    } else {
        *lease = r->grip[g].lease;
        *fence = r->grip[g].fence;
    }
    if (chance(m, 3))
        *fence += 1;
}

/* ------------------------------------------------------------------- leases */

static void new_lease(struct model *m, uint32_t slot)
{
    int64_t ttl = SEC(5 + random_below(m->w, 40));
    struct model_lease *l = &m->lease[m->n_leases];

    expect(m->n_leases < LEASES_MAX);
    l->id = lease_make(m->w, ttl);
    l->deadline = lease_now() + ttl;
    l->dead = false;
    m->slot[slot] = m->n_leases++;
}

static void step_lease(struct model *m)
{
    struct world *w = m->w;
    uint32_t slot = random_below(w, SLOTS), index = m->slot[slot];
    struct model_lease *l = &m->lease[index];
    struct kedge_lease_state st;

    if (l->dead) {
        refuse(do_extend(w, l->id, &st), KEDGE_LOST);
        if (chance(m, 60))
            new_lease(m, slot);
        return;
    }
    switch (random_below(w, 6)) {
    case 0:
        expect_rc(do_bury(w, l->id), l->deadline <= lease_now() ? KEDGE_OK : KEDGE_HELD);
        l->dead = l->deadline <= lease_now();
        break;
    case 1:
        if (chance(m, 60))
            return;
        expect_ok(do_revoke(w, l->id));
        l->dead = true;
        for (int i = 0; i < LOCKS; i++)
            if (m->lock[i].held && m->lock[i].lease == index)
                m->lock[i].held = false;
        for (int i = 0; i < RUNS; i++)
            if (there(&m->run[i]) && m->run[i].place == KEDGE_PLACE_HELD &&
                m->run[i].lease == index) {
                let_go(&m->run[i]);
                m->run[i].place = KEDGE_PLACE_DUE;
                m->run[i].due = wall_now();
            }
        break;
    default:
        expect_ok(do_extend(w, l->id, &st));
        l->deadline = st.deadline;
        expect(st.deadline > lease_now());
        break;
    }
}

/* --------------------------------------------------------------------- runs */

static void step_create(struct model *m, struct model_run *r, struct kedge_bytes id)
{
    struct world *w = m->w;
    uint32_t lease = m->slot[random_below(w, SLOTS)];
    int64_t due = chance(m, 50) ? 0 : SEC(random_below(w, 20));
    bool hold = chance(m, 40);
    struct tx t;
    int want = KEDGE_OK;

    tx_init(w, &t);
    if (hold)
        c_create_held(&t, id, m->lease[lease].id);
    else
        c_create_due(&t, id, from_now(due));
    if (there(r))
        want = KEDGE_EXISTS;
    else if (hold && dead(m, lease))
        want = KEDGE_LOST;
    expect_tx(&t, want);
    if (want != KEDGE_OK)
        return;
    *r = (struct model_run){ .exists = true, .status = hold ? KEDGE_RUNNING : KEDGE_PENDING };
    r->incarnation = t.results[0];
    if (hold) {
        held_by(m, r, lease, t.results[0]);
    } else {
        fenced(m, t.results[0]);
        r->fence = t.results[0];
        r->place = KEDGE_PLACE_DUE;
        r->due = wall_now() + due;
    }
}

static void step_append(struct model *m, struct model_run *r, struct kedge_bytes id)
{
    struct world *w = m->w;
    uint32_t lease, c = random_below(w, CELLS), k = random_below(w, LOCKS);
    uint64_t fence, version = cell_now(m, c);
    uint64_t lock_fence = m->lock[k].fence;
    bool with_cell = chance(m, 40), with_lock = chance(m, 20), gap = chance(m, 10);
    int want, lock_want = KEDGE_OK, cell_want = KEDGE_OK;
    struct tx t;

    pick_grip(m, r, &lease, &fence);
    tx_init(w, &t);
    want = held_guard(m, r, lease, fence);
    g_held_by(&t, id, m->lease[lease].id, fence);
    if (with_cell) {
        if (chance(m, 20)) {
            version++;
            cell_want = KEDGE_STALE;
        }
        g_cell(&t, m->cell_id[c], version);
    }
    if (with_lock) {
        g_lock(&t, m->lock_id[k], m->lease[lease].id, lock_fence);
        if (!m->lock[k].held)
            lock_want = KEDGE_NOT_FOUND;
        else if (m->lock[k].lease != lease)
            lock_want = KEDGE_STALE;
        else if (dead(m, lease))
            lock_want = KEDGE_LOST;
    }
    c_append(&t, id, r->position + 1 + gap, str("record"));
    if (with_cell)
        c_cell_put(&t, m->cell_id[c], str("counted"), never());
    /* the first in order: a smaller number, but OK is smaller still */
    if (cell_want != KEDGE_OK && (want == KEDGE_OK || cell_want < want))
        want = cell_want;
    if (lock_want != KEDGE_OK && (want == KEDGE_OK || lock_want < want))
        want = lock_want;
    if (want == KEDGE_OK && gap)
        want = KEDGE_STALE;
    expect_tx(&t, want);
    if (want != KEDGE_OK)
        return;
    r->position++;
    if (with_cell) {
        fenced(m, t.results[1]);
        m->cell[c].version = t.results[1];
        m->cell[c].expires = 0;
    }
}

static void step_release(struct model *m, struct model_run *r, struct kedge_bytes id)
{
    static const uint32_t rests[] = { KEDGE_COMPLETED, KEDGE_FAILED, KEDGE_HALTED, KEDGE_STUCK };
    struct world *w = m->w;
    uint32_t lease, how = random_below(w, 10), status = 0, wakes_on = 0;
    int64_t after = SEC(random_below(w, 15));
    uint64_t fence;
    struct tx t;
    int want;

    pick_grip(m, r, &lease, &fence);
    want = held_guard(m, r, lease, fence);
    tx_init(w, &t);
    g_held_by(&t, id, m->lease[lease].id, fence);
    if (how < 4) {
        c_due(&t, id, from_now(after));
    } else if (how < 8) {
        wakes_on =
            how < 6 ? KEDGE_WAKES_ON_INTERRUPT : KEDGE_WAKES_ON_TIME | KEDGE_WAKES_ON_INTERRUPT;
        c_park(&t, id, wakes_on, how < 6 ? never() : from_now(after));
    } else {
        status = rests[random_below(w, ARRAY_LEN(rests))];
        c_rest(&t, id, status, status == KEDGE_STUCK ? never() : from_now(after + SEC(1)));
    }
    expect_tx(&t, want);
    if (want != KEDGE_OK)
        return;
    {
        bool marked = r->mark != 0;

        let_go(r);
        if (how < 4) {
            r->place = KEDGE_PLACE_DUE;
            r->due = wall_now() + after;
            /* a mark may bring it forward */
            if (marked && head(w, id).due == wall_now())
                r->due = wall_now();
        } else if (how < 8 && marked) {
            r->place = KEDGE_PLACE_DUE;
            r->due = wall_now();
            r->status = head(w, id).status;
            expect(unfinished(r));
        } else if (how < 8) {
            r->place = KEDGE_PLACE_PARKED;
            r->status = KEDGE_PAUSED;
            r->wakes_on = wakes_on;
            r->due = how < 6 ? 0 : wall_now() + after;
        } else {
            r->place = KEDGE_PLACE_REST;
            r->status = status;
            r->expires = status == KEDGE_STUCK ? 0 : wall_now() + after + SEC(1);
        }
    }
}

static void step_wake(struct model *m, struct model_run *r, struct kedge_bytes id)
{
    struct world *w = m->w;
    struct tx t;

    tx_init(w, &t);
    c_wake(&t, id);
    expect_tx(&t, KEDGE_OK);
    if (!there(r) || !unfinished(r))
        return;
    if (r->place == KEDGE_PLACE_HELD && unheld(m, r)) {
        /* its holder does not count any more: due, or still its holder's with a mark */
        struct kedge_run h = head(w, id);

        if (h.place == KEDGE_PLACE_DUE) {
            let_go(r);
            r->place = KEDGE_PLACE_DUE;
            r->due = wall_now();
            r->status = h.status;
        } else {
            r->mark = 1;
        }
    } else if (r->place == KEDGE_PLACE_HELD) {
        r->mark = 1;
    } else {
        if (r->place == KEDGE_PLACE_PARKED || r->due > wall_now())
            r->due = r->place == KEDGE_PLACE_PARKED && r->due != 0 && r->due < wall_now()
                         ? head(w, id).due /* "unless due earlier": its backstop has passed */
                         : wall_now();
        expect(r->due <= wall_now());
        r->place = KEDGE_PLACE_DUE;
        r->wakes_on = 0;
        r->status = head(w, id).status;
        expect(unfinished(r));
    }
}

static void step_request(struct model *m, struct model_run *r, struct kedge_bytes id)
{
    uint32_t bit = 1u << random_below(m->w, 3);
    struct tx t;

    tx_init(m->w, &t);
    c_request(&t, id, bit);
    expect_tx(&t, there(r) ? KEDGE_OK : KEDGE_NOT_FOUND);
    if (there(r) && unfinished(r))
        r->requests |= bit;
}

static void step_take(struct model *m, struct model_run *r, struct kedge_bytes id)
{
    struct world *w = m->w;
    uint32_t lease = m->slot[random_below(w, SLOTS)];
    uint64_t revision = r->revision + (chance(m, 15) ? 1 : 0);
    int want = KEDGE_OK;
    struct tx t;

    if (there(r) && r->place == KEDGE_PLACE_REST)
        return; /* has a case of its own */
    tx_init(w, &t);
    g_unheld(&t, id, KEDGE_STATUSES_UNFINISHED, revision);
    c_take(&t, id, m->lease[lease].id);
    c_append(&t, id, r->position + 1, str("taken"));
    if (!there(r))
        want = KEDGE_NOT_FOUND;
    else if (!unheld(m, r) || revision != r->revision)
        want = KEDGE_STALE;
    else if (dead(m, lease))
        want = KEDGE_LOST;
    expect_tx(&t, want);
    if (want != KEDGE_OK)
        return;
    held_by(m, r, lease, t.results[0]);
    r->position++;
    r->status = head(w, id).status;
    expect(unfinished(r));
}

static void step_set(struct model *m, struct model_run *r, struct kedge_bytes id)
{
    struct world *w = m->w;
    uint32_t lease, status = chance(m, 50) ? KEDGE_ROLLING_BACK : KEDGE_RUNNING;
    struct kedge_change *c;
    uint64_t fence;
    struct tx t;
    int want;

    pick_grip(m, r, &lease, &fence);
    want = held_guard(m, r, lease, fence);
    tx_init(w, &t);
    g_held_by(&t, id, m->lease[lease].id, fence);
    c = c_set(&t, id, KEDGE_SET_STATUS | KEDGE_SET_HOLD_UNTIL | KEDGE_SET_CLEAR_REQUESTS);
    c->set.status = status;
    c->set.hold_until = from_now(SEC(8) + 1); /* never met exactly: time moves in seconds */
    c->set.clear_requests = KEDGE_REQUEST_PAUSE;
    expect_tx(&t, want);
    if (want != KEDGE_OK)
        return;
    r->status = status;
    r->hold_until = wall_now() + SEC(8) + 1;
    r->requests &= ~KEDGE_REQUEST_PAUSE;
}

static void step_reopen(struct model *m, struct model_run *r, struct kedge_bytes id)
{
    struct kedge_change *c;
    struct tx t;

    if (!there(r) || r->place != KEDGE_PLACE_REST)
        return;
    tx_init(m->w, &t);
    g_unheld(&t, id, KEDGE_STATUSES_RESTING, r->revision);
    c = c_set(&t, id, KEDGE_SET_REOPEN | KEDGE_SET_STATUS);
    c->set.status = KEDGE_RUNNING;
    expect_tx(&t, KEDGE_OK);
    let_go(r);
    r->place = KEDGE_PLACE_DUE;
    r->status = KEDGE_RUNNING;
    r->due = wall_now();
    r->expires = 0;
}

static bool claimable(const struct model_run *r)
{
    return there(r) && r->due != 0 && r->due <= wall_now() &&
           (r->place == KEDGE_PLACE_DUE || r->place == KEDGE_PLACE_PARKED);
}

static void step_claim(struct model *m)
{
    struct world *w = m->w;
    uint32_t lease = m->slot[random_below(w, SLOTS)];
    struct kedge_claim in = claim_of(w, m->lease[lease].id, 1 + random_below(w, 4));
    struct kedge_run_page page;
    size_t n = 0;
    int64_t last = 0;

    if (dead(m, lease)) {
        refuse(do_claim(w, &in, &page), KEDGE_LOST);
        return;
    }
    for (int i = 0; i < RUNS; i++)
        n += claimable(&m->run[i]);
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, n < in.limit ? n : in.limit);
    for (size_t k = 0; k < page.n; k++)
        for (int i = 0; i < RUNS; i++) {
            struct model_run *r = &m->run[i];

            if (!same_bytes(page.runs[k].id, m->run_id[i]))
                continue;
            expect(claimable(r));
            expect(r->due >= last);
            last = r->due;
            held_by(m, r, lease, page.runs[k].fence);
            if (r->status == KEDGE_PENDING || r->status == KEDGE_PAUSED)
                r->status = KEDGE_RUNNING;
        }
    for (int i = 0; i < RUNS; i++)
        if (claimable(&m->run[i]))
            expect(m->run[i].due >= last);
}

/* ---------------------------------------------------------- locks and cells */

static void step_lock(struct model *m)
{
    struct world *w = m->w;
    uint32_t k = random_below(w, LOCKS), lease = m->slot[random_below(w, SLOTS)];
    bool held = m->lock[k].held && !dead(m, m->lock[k].lease);
    struct kedge_lock_state st;
    uint64_t fence = m->lock[k].fence;
    int want;

    if (chance(m, 50)) {
        want = dead(m, lease) ? KEDGE_LOST : held ? KEDGE_HELD : KEDGE_OK;
        if (dead(m, lease) && held) {
            int rc = do_lock_acquire(w, m->lock_id[k], m->lease[lease].id, random_id(w), &st);

            expect(rc == KEDGE_LOST || rc == KEDGE_HELD);
            return;
        }
        expect_rc(do_lock_acquire(w, m->lock_id[k], m->lease[lease].id, random_id(w), &st), want);
        if (want != KEDGE_OK)
            return;
        fenced(m, st.fence);
        m->lock[k].held = true;
        m->lock[k].lease = lease;
        m->lock[k].fence = st.fence;
        return;
    }
    if (chance(m, 60) && m->lock[k].held)
        lease = m->lock[k].lease;
    if (chance(m, 10))
        fence++;
    if (m->lock[k].held && dead(m, m->lock[k].lease))
        return; /* free for others, no longer its holder's: locks.c */
    want = !m->lock[k].held                                         ? KEDGE_NOT_FOUND
           : m->lock[k].lease != lease || m->lock[k].fence != fence ? KEDGE_STALE
                                                                    : KEDGE_OK;
    if (chance(m, 50)) {
        expect_rc(do_lock_extend(w, m->lock_id[k], m->lease[lease].id, fence, &st), want);
        if (want == KEDGE_OK)
            m->lease[lease].deadline = lease_now() + st.remaining_us;
        return;
    }
    expect_rc(do_lock_release(w, m->lock_id[k], m->lease[lease].id, fence), want);
    if (want == KEDGE_OK)
        m->lock[k].held = false;
}

static void step_cell(struct model *m)
{
    struct world *w = m->w;
    uint32_t c = random_below(w, CELLS);
    uint64_t version = cell_now(m, c) + (chance(m, 25) ? 1 : 0);
    int want = version == cell_now(m, c) ? KEDGE_OK : KEDGE_STALE;
    int64_t expires = chance(m, 50) ? 0 : SEC(1 + random_below(w, 9));
    bool gone = chance(m, 25);
    struct tx t;

    tx_init(w, &t);
    g_cell(&t, m->cell_id[c], version);
    if (gone)
        c_cell_delete(&t, m->cell_id[c]);
    else
        c_cell_put(&t, m->cell_id[c], str("value"), expires == 0 ? never() : from_now(expires));
    expect_tx(&t, want);
    if (want != KEDGE_OK)
        return;
    m->cell[c].version = gone ? 0 : t.results[0];
    m->cell[c].expires = gone || expires == 0 ? 0 : wall_now() + expires;
    if (!gone)
        fenced(m, t.results[0]);
}

/* ------------------------------------------------------------------ checking */

static void check_run(struct model *m, struct model_run *r, struct kedge_bytes id)
{
    struct world *w = m->w;
    struct kedge_run_state st;
    int rc = do_retrieve(w, id, 0, 0, &st);
    const struct kedge_run *h = &st.run;

    if (!there(r)) {
        expect_rc(rc, KEDGE_NOT_FOUND);
        return;
    }
    expect_rc(rc, KEDGE_OK);
    if (unsound(h) != NULL)
        fail_case(__FILE__, __LINE__, "unsound: %s", unsound(h));
    expect_eq(h->place, r->place);
    expect_eq(h->status, r->status);
    expect_eq(h->due, r->due);
    expect_eq(h->wakes_on, r->wakes_on);
    expect_eq(h->wake_mark, r->mark);
    expect_eq(h->requests, r->requests);
    expect_eq(h->fence, r->fence);
    expect_eq(h->incarnation, r->incarnation);
    expect_eq(h->position, r->position);
    expect_eq(h->hold_until, r->hold_until);
    expect_eq(h->expires, r->expires);
    if (r->place == KEDGE_PLACE_HELD)
        expect(same_id(&h->holder, &m->lease[r->lease].id));
    expect(h->revision >= r->revision);
    r->revision = h->revision;
}

static void check_rest(struct model *m)
{
    struct world *w = m->w;
    struct kedge_lock_state st;
    uint32_t reason = 0;

    for (uint32_t k = 0; k < LOCKS; k++) {
        bool held = m->lock[k].held && !dead(m, m->lock[k].lease);

        expect_rc(do_lock_query(w, m->lock_id[k], &st), held ? KEDGE_OK : KEDGE_NOT_FOUND);
        if (held)
            expect_eq(st.fence, m->lock[k].fence);
    }
    for (uint32_t c = 0; c < CELLS; c++)
        expect_eq(cell_version(w, m->cell_id[c]), cell_now(m, c));
    for (int i = 0; i < RUNS; i++) {
        const struct model_run *r = &m->run[i];
        bool overdue = r->hold_until != 0 && r->hold_until < wall_now();
        bool held = there(r) && r->place == KEDGE_PLACE_HELD;
        bool want = held && (overdue || m->lease[r->lease].dead ||
                             m->lease[r->lease].deadline <= lease_now());

        context("run %d in list_expired", i);
        expect_eq(is_expired_listed(w, m->run_id[i], &reason), want);
        if (want && reason == KEDGE_SWEEP_OVERDUE)
            expect(overdue);
        if (want && reason == KEDGE_SWEEP_DEAD)
            expect(m->lease[r->lease].dead);
    }
}

/* Crash hints go with the store and come back with the next extend. */
static void reopen_all(struct model *m)
{
    struct world *w = m->w;
    struct kedge_lease_state st;

    world_reopen(w);
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct model_lease *l = &m->lease[m->slot[i]];

        if (l->dead)
            continue;
        expect_ok(do_extend(w, l->id, &st));
        l->deadline = st.deadline;
    }
}

static void one_step(struct model *m)
{
    struct world *w = m->w;
    int i = (int)random_below(w, RUNS);
    struct model_run *r = &m->run[i];
    struct kedge_bytes id = m->run_id[i];
    uint32_t dice = random_below(w, 100);

    context("step of kind %" PRIu32 " on run %d", dice, i);
    if (dice < 10)
        step_create(m, r, id);
    else if (dice < 30)
        step_append(m, r, id);
    else if (dice < 42)
        step_release(m, r, id);
    else if (dice < 49)
        step_wake(m, r, id);
    else if (dice < 52)
        step_request(m, r, id);
    else if (dice < 64)
        step_claim(m);
    else if (dice < 70)
        step_take(m, r, id);
    else if (dice < 74)
        step_set(m, r, id);
    else if (dice < 76)
        step_reopen(m, r, id);
    else if (dice < 82)
        step_lease(m);
    else if (dice < 87)
        step_lock(m);
    else if (dice < 92)
        step_cell(m);
    else if (dice < 94)
        (void)purge_all(w);
    else if (dice < 99)
        clock_advance(SEC(random_below(w, 6)));
    else
        reopen_all(m);
}

/* What another store must come to on the same path, however its clocks and fences go. */
static void tell_digests(struct world *w, int64_t wall, int64_t lease)
{
    uint64_t sum = 0;
    char *all;

    (void)purge_all(w);
    all = dump_since(w, wall, lease);
    for (const char *p = all; *p != '\0'; p++)
        digest(&sum, (unsigned char)*p);
    if (getenv("KEDGE_CONFORM_STATE") != NULL)
        note("%s", all);
    free(all);
    note("digest of the answers: %016" PRIx64, w->answers);
    note("digest of the state: %016" PRIx64, sum);
}

static void walk(struct world *w, int steps)
{
    static struct model m;
    int64_t wall = wall_now(), lease = lease_now();

    m = (struct model){ .w = w };
    for (int i = 0; i < RUNS; i++)
        m.run_id[i] = str((const char *[]){ "r0", "r1", "r2", "r3", "r4", "r5" }[i]);
    for (int i = 0; i < LOCKS; i++)
        m.lock_id[i] = str((const char *[]){ "k0", "k1", "k2" }[i]);
    for (int i = 0; i < CELLS; i++)
        m.cell_id[i] = str((const char *[]){ "c0", "c1", "c2" }[i]);
    for (uint32_t i = 0; i < SLOTS; i++)
        new_lease(&m, i);
    for (int n = 0; n < steps; n++) {
        one_step(&m);
        for (int i = 0; i < RUNS; i++)
            check_run(&m, &m.run[i], m.run_id[i]);
        if (n % 10 == 0)
            check_rest(&m);
        if (n % 200 == 0)
            world_check(w);
        world_forget(w);
    }
    tell_digests(w, wall, lease);
}

static void walk_far(struct world *w)
{
    walk(w, getenv("KEDGE_TEST_LONG") != NULL ? 20000 : 2500);
}

const struct contract_case cases_walk[] = {
    { "walk-01", "every run is in exactly one place, where the model has it", NEEDS_CLOCK,
      walk_far },
    { "walk-02", "the same on another path", NEEDS_CLOCK, walk_far },
    { "walk-03", "the same on a third path", NEEDS_CLOCK, walk_far },
    { NULL, NULL, 0, NULL },
};
