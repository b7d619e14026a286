/* mutant_commit.c - defects of guards, changes, request ids and batches */
#include <config.h>

#include <stdlib.h>

#include "mutant.h"

#define DEFECT(id, ...) const struct mutant_kind mutant_##id = { __VA_ARGS__ }
#define CUT             const struct mutant_cut *cut

/* --------------------------------------------------------------------- guards */

static void any_fence(CUT, struct kedge_guard *g)
{
    struct kedge_run_state st;

    if (g->kind != KEDGE_GUARD_HELD || mutant_head(&cut->b, g->name, &st) != KEDGE_OK)
        return;
    if (st.run.place == KEDGE_PLACE_HELD) {
        g->number = st.run.fence;
        g->lease = st.run.holder;
    }
    mutant_free(&cut->b, st.mem);
}
DEFECT(m35, .guard = any_fence);

static void any_lease(CUT, struct kedge_guard *g)
{
    struct kedge_run_state st;

    if (g->kind != KEDGE_GUARD_HELD || mutant_head(&cut->b, g->name, &st) != KEDGE_OK)
        return;
    if (st.run.place == KEDGE_PLACE_HELD && st.run.fence == g->number)
        g->lease = st.run.holder;
    mutant_free(&cut->b, st.mem);
}
DEFECT(m48, .guard = any_lease);

static bool is_dead(const struct wrap_below *b, const struct kedge_id128 *lease)
{
    struct kedge_lease l;

    return mutant_lease(b, lease, &l) && l.state == KEDGE_LEASE_DEAD;
}

/* A holder whose lease is dead writes as whoever finds the run unheld may. */
static void dead_may_write(CUT, struct kedge_guard *g)
{
    struct kedge_run_state st;

    if (g->kind != KEDGE_GUARD_HELD || !is_dead(&cut->b, &g->lease) ||
        mutant_head(&cut->b, g->name, &st) != KEDGE_OK)
        return;
    if (st.run.fence == g->number && mutant_same_id(&st.run.holder, &g->lease)) {
        g->kind = KEDGE_GUARD_UNHELD;
        g->statuses = KEDGE_STATUSES_ALL;
        g->number = st.run.revision;
    }
    mutant_free(&cut->b, st.mem);
}
DEFECT(m111, .guard = dead_may_write);

static void any_revision(CUT, struct kedge_guard *g)
{
    struct kedge_run_state st;

    if (g->kind != KEDGE_GUARD_UNHELD || mutant_head(&cut->b, g->name, &st) != KEDGE_OK)
        return;
    g->number = st.run.revision;
    mutant_free(&cut->b, st.mem);
}
DEFECT(m112, .guard = any_revision);

static void any_status(CUT, struct kedge_guard *g)
{
    (void)cut;
    if (g->kind == KEDGE_GUARD_UNHELD && g->statuses != 0)
        g->statuses = KEDGE_STATUSES_ALL;
}
DEFECT(m113, .guard = any_status);

#define NOT_CHECKED(id, which)                                                                     \
    static void skips_##id(CUT, struct kedge_guard *g)                                             \
    {                                                                                              \
        (void)cut;                                                                                 \
        if (g->kind == (which))                                                                    \
            *g = mutant_always();                                                                  \
    }                                                                                              \
    DEFECT(id, .guard = skips_##id)
NOT_CHECKED(m114, KEDGE_GUARD_ABSENT);
NOT_CHECKED(m115, KEDGE_GUARD_POSITION);
NOT_CHECKED(m116, KEDGE_GUARD_LEASE_LIVE);
NOT_CHECKED(m117, KEDGE_GUARD_LEASE_DEAD);
NOT_CHECKED(m118, KEDGE_GUARD_LOCK);
NOT_CHECKED(m120, KEDGE_GUARD_CELL);

static void time_to_and_with(CUT, struct kedge_guard *g)
{
    (void)cut;
    if (g->kind == KEDGE_GUARD_TIME && g->to < INT64_MAX)
        g->to++;
}
DEFECT(m121, .guard = time_to_and_with);

/* The last of several failing guards answers. */
static void last_guard(CUT, struct kedge_answer *a)
{
    const struct kedge_commit *c = cut->commit;

    if (a->outcome <= KEDGE_OK || a->at >= c->n_guards)
        return;
    for (size_t i = c->n_guards; i-- > a->at + 1;) {
        int outcome = mutant_send(&cut->b, &c->guards[i], 1, NULL, 0);

        if (outcome > KEDGE_OK) {
            a->outcome = outcome;
            a->at = (uint32_t)i;
            return;
        }
    }
}
DEFECT(m122, .answer = last_guard);

static bool needs_no_fence(const struct kedge_change *c)
{
    return c->kind == KEDGE_WAKE || c->kind == KEDGE_REQUEST || c->kind == KEDGE_CELL_PUT ||
           c->kind == KEDGE_CELL_DELETE || c->kind == KEDGE_SLOT_PUT;
}

/* Refused by a change, it has left those before it. */
static void leaves_the_first(CUT, struct kedge_answer *a)
{
    const struct kedge_commit *c = cut->commit;

    if (a->outcome != KEDGE_OK && a->at > c->n_guards && a->at < c->n_guards + c->n_changes)
        (void)mutant_send(&cut->b, c->guards, c->n_guards, c->changes, 1);
}
DEFECT(m123, .answer = leaves_the_first);

/* Refused by a guard, it has done what needs no fence. */
static void does_it_anyway(CUT, struct kedge_answer *a)
{
    const struct kedge_commit *c = cut->commit;

    if (a->outcome > KEDGE_OK && a->at < c->n_guards)
        for (size_t i = 0; i < c->n_changes; i++)
            if (needs_no_fence(&c->changes[i]))
                (void)mutant_send(&cut->b, NULL, 0, &c->changes[i], 1);
}
DEFECT(m124, .answer = does_it_anyway);

/* -------------------------------------------------------------------- changes */

static void append_anywhere(CUT, struct kedge_change *c)
{
    struct kedge_run_state st;

    if (c->kind != KEDGE_APPEND || mutant_head(&cut->b, c->name, &st) != KEDGE_OK)
        return;
    if (cut->commit->n_changes == 1)
        c->append.first = st.run.position + 1;
    mutant_free(&cut->b, st.mem);
}
DEFECT(m125, .change = append_anywhere);

static void always_anew(CUT, struct kedge_id128 *request)
{
    static const struct kedge_id128 zero;

    (void)cut;
    if (!mutant_same_id(request, &zero))
        *request = mutant_new_id();
}
DEFECT(m126, .request = always_anew);

static bool held(CUT, struct kedge_bytes id)
{
    struct kedge_run_state st;
    bool is;

    if (mutant_head(&cut->b, id, &st) != KEDGE_OK)
        return false;
    is = st.run.place == KEDGE_PLACE_HELD;
    mutant_free(&cut->b, st.mem);
    return is;
}

static void no_wake_mark(CUT, struct kedge_change *c)
{
    if (c->kind == KEDGE_WAKE && held(cut, c->name))
        *c = mutant_nothing();
}
DEFECT(m127, .change = no_wake_mark);

static void wakes_nobody(CUT, struct kedge_change *c)
{
    if (c->kind == KEDGE_WAKE && !held(cut, c->name))
        *c = mutant_nothing();
}
DEFECT(m128, .change = wakes_nobody);

static void requests_nothing(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_REQUEST)
        c->request.bits &= KEDGE_REQUEST_CANCEL;
    if (c->kind == KEDGE_REQUEST && c->request.bits == 0)
        *c = mutant_nothing();
}
DEFECT(m129, .change = requests_nothing);

static void tells_no_requests(CUT, struct kedge_answer *a)
{
    (void)cut;
    a->requests = 0;
}
DEFECT(m130, .answer = tells_no_requests);

/* Filled already: the next one that is empty is filled. */
static void counts_twice(CUT, struct kedge_change *c)
{
    struct kedge_slot_page page = { .mem = NULL };
    uint32_t free_one;

    if (c->kind != KEDGE_SLOT_PUT ||
        cut->b.ops->retrieve_slots(cut->b.session, c->name, 0, c->slot.set, 0, 100, &page,
                                   MUTANT_PATIENCE, NULL) != KEDGE_OK)
        return;
    free_one = c->slot.index;
    for (size_t i = 0; i < page.n; i++)
        if (page.slots[i].index == free_one)
            free_one = (free_one + 1) % page.total;
    if (page.remaining > 0)
        c->slot.index = free_one;
    mutant_free(&cut->b, page.mem);
}
DEFECT(m57, .change = counts_twice);

static void wakes_each_time(CUT, struct kedge_answer *a)
{
    const struct kedge_commit *c = cut->commit;
    struct kedge_change wake = { .kind = KEDGE_WAKE };

    for (size_t i = 0; a->outcome == KEDGE_OK && i < c->n_changes; i++)
        if (c->changes[i].kind == KEDGE_SLOT_PUT) {
            wake.name = c->changes[i].name;
            (void)mutant_send(&cut->b, NULL, 0, &wake, 1);
        }
}
DEFECT(m131, .answer = wakes_each_time);

static void wakes_when_full(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_SLOT_PUT)
        c->slot.wake_at = 0;
}
DEFECT(m132, .change = wakes_when_full);

/* One place more than was asked for, so that the last insertion makes nothing full. */
static void one_more_place(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_SLOTS && c->slots.total > 0 && c->slots.total < UINT32_MAX - 1)
        c->slots.total++;
}

static void one_less_left(CUT, struct kedge_answer *a)
{
    const struct kedge_commit *c = cut->commit;

    for (size_t i = 0; a->outcome == KEDGE_OK && c->results != NULL && i < c->n_changes; i++)
        if (c->changes[i].kind == KEDGE_SLOT_PUT && c->results[i] > 0)
            c->results[i]--;
}
DEFECT(m54, .change = one_more_place, .answer = one_less_left);

static void any_incarnation(CUT, struct kedge_change *c)
{
    struct kedge_run_state st;

    if (c->kind != KEDGE_SLOT_PUT || mutant_head(&cut->b, c->name, &st) != KEDGE_OK)
        return;
    c->slot.incarnation = st.run.incarnation;
    mutant_free(&cut->b, st.mem);
}
DEFECT(m133, .change = any_incarnation);

static void never_made_again(CUT, struct kedge_change *c)
{
    struct kedge_run_state st;

    if (c->kind != KEDGE_CREATE || mutant_head(&cut->b, c->name, &st) != KEDGE_OK)
        return;
    mutant_free(&cut->b, st.mem);
    c->kind = KEDGE_LOCK_TAKE; /* something that cannot be done */
}
DEFECT(m134, .change = never_made_again);

static void made_twice(CUT, struct kedge_answer *a)
{
    if (a->outcome == KEDGE_EXISTS && a->at >= cut->commit->n_guards)
        a->outcome = KEDGE_OK;
}
DEFECT(m135, .answer = made_twice);

static void never_expires(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_RELEASE && c->release.place == KEDGE_PLACE_REST)
        c->release.when.base = KEDGE_NEVER;
}
DEFECT(m136, .change = never_expires);

static void expires_later(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_RELEASE && c->release.place == KEDGE_PLACE_REST &&
        c->release.when.base != KEDGE_NEVER && c->release.when.us < INT64_MAX / 2)
        c->release.when.us += 1000000;
}
DEFECT(m21, .change = expires_later);

static void keeps_cell_expiry(CUT, struct kedge_change *c)
{
    struct kedge_cell cell = { .mem = NULL };

    if (c->kind != KEDGE_CELL_PUT ||
        cut->b.ops->cell_get(cut->b.session, c->name, &cell, MUTANT_PATIENCE, NULL) != KEDGE_OK)
        return;
    if (cell.expires != 0)
        c->cell.expires = (struct kedge_when){ cell.expires, KEDGE_AT, 0 };
    mutant_free(&cut->b, cell.mem);
}
DEFECT(m17, .change = keeps_cell_expiry);

static void sets_more(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_SET && (c->set.mask & KEDGE_SET_RECOVERIES) == 0 &&
        (c->set.mask & KEDGE_SET_QUEUE) != 0) {
        c->set.mask |= KEDGE_SET_RECOVERIES;
        c->set.recoveries = 0;
    }
}
DEFECT(m137, .change = sets_more);

static void clears_all_requests(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_SET && (c->set.mask & KEDGE_SET_CLEAR_REQUESTS) != 0)
        c->set.clear_requests = KEDGE_REQUESTS_ALL;
}
DEFECT(m138, .change = clears_all_requests);

static void no_hold_until(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_SET && (c->set.mask & KEDGE_SET_HOLD_UNTIL) != 0)
        c->set.hold_until.base = KEDGE_NEVER;
}
DEFECT(m139, .change = no_hold_until);

static void parks_for_ever(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_RELEASE && c->release.place == KEDGE_PLACE_PARKED &&
        (c->release.wakes_on & KEDGE_WAKES_ON_TIME) != 0 && c->release.when.us < INT64_MAX / 4)
        c->release.when.us += INT64_C(3600000000);
}
DEFECT(m140, .change = parks_for_ever);

static void seconds_of_32_bits(CUT, struct kedge_change *c)
{
    struct kedge_when *when = c->kind == KEDGE_RELEASE    ? &c->release.when
                              : c->kind == KEDGE_CELL_PUT ? &c->cell.expires
                                                          : NULL;
    int64_t now;

    if (when == NULL || when->base == KEDGE_NEVER)
        return;
    now = when->base == KEDGE_IN ? mutant_now(&cut->b, KEDGE_CLOCK_WALL) : 0;
    if (now + when->us > INT64_C(2147483647) * 1000000)
        *when = (struct kedge_when){ INT64_C(2147483647) * 1000000, KEDGE_AT, 0 };
}
DEFECT(m141, .change = seconds_of_32_bits);

static size_t before_nul(struct kedge_bytes b)
{
    const char *nul = b.len > 0 ? memchr(b.data, '\0', b.len) : NULL;

    return nul != NULL ? (size_t)(nul - (const char *)b.data) : b.len;
}

static void ends_at_nul(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_CELL_PUT)
        c->cell.value.len = before_nul(c->cell.value);
    if (c->kind == KEDGE_SNAPSHOT)
        c->snapshot.data.len = before_nul(c->snapshot.data);
    if (c->kind == KEDGE_SLOT_PUT)
        c->slot.value.len = before_nul(c->slot.value);
}
DEFECT(m38, .change = ends_at_nul);

static bool is_cell(uint32_t kind)
{
    return kind == KEDGE_CELL_PUT || kind == KEDGE_CELL_DELETE;
}

#define CELL_NAMES(id, shorten)                                                                    \
    static void id##_guard(CUT, struct kedge_guard *g)                                             \
    {                                                                                              \
        (void)cut;                                                                                 \
        if (g->kind == KEDGE_GUARD_CELL)                                                           \
            g->name.len = shorten(g->name);                                                        \
    }                                                                                              \
    static void id##_change(CUT, struct kedge_change *c)                                           \
    {                                                                                              \
        (void)cut;                                                                                 \
        if (is_cell(c->kind))                                                                      \
            c->name.len = shorten(c->name);                                                        \
    }                                                                                              \
    static int id##_get(void *s, struct kedge_bytes name, struct kedge_cell *out, WRAP_TAIL)       \
    {                                                                                              \
        struct wrap_below b = wrap_below(s);                                                       \
                                                                                                   \
        name.len = shorten(name);                                                                  \
        return b.ops->cell_get(b.session, name, out, timeout_us, err);                             \
    }                                                                                              \
    DEFECT(id, .ops = { .cell_get = id##_get }, .guard = id##_guard, .change = id##_change)

static size_t at_most_511(struct kedge_bytes name)
{
    return name.len < 511 ? name.len : 511;
}
CELL_NAMES(m39, at_most_511);

static size_t before_colon(struct kedge_bytes name)
{
    const char *colon =
        name.len > 1 ? memchr((const char *)name.data + 1, ':', name.len - 1) : NULL;

    return colon != NULL ? (size_t)(colon - (const char *)name.data) : name.len;
}
CELL_NAMES(m40, before_colon);

static void no_context(CUT, struct kedge_change *c)
{
    static _Thread_local struct kedge_run_new less[64];
    static _Thread_local size_t next;

    (void)cut;
    if (c->kind != KEDGE_CREATE || c->create == NULL)
        return;
    next = (next + 1) % 64;
    less[next] = *c->create;
    less[next].context.len = before_nul(less[next].context);
    c->create = &less[next];
}
DEFECT(m142, .change = no_context);

static void same_version(CUT, struct kedge_guard *g)
{
    struct kedge_cell cell = { .mem = NULL };

    if (g->kind == KEDGE_GUARD_CELL && g->number != 0 &&
        cut->b.ops->cell_get(cut->b.session, g->name, &cell, MUTANT_PATIENCE, NULL) == KEDGE_OK) {
        g->number = cell.version;
        mutant_free(&cut->b, cell.mem);
    }
}
DEFECT(m108, .guard = same_version);

static void no_fence_told(CUT, struct kedge_answer *a)
{
    const struct kedge_commit *c = cut->commit;

    for (size_t i = 0; a->outcome == KEDGE_OK && c->results != NULL && i < c->n_changes; i++)
        if (c->changes[i].kind == KEDGE_APPEND)
            c->results[i] = 0;
}
DEFECT(m143, .answer = no_fence_told);

static void stale_answer(CUT, struct kedge_answer *a)
{
    (void)cut;
    if (a->revision > 0)
        a->revision--;
}
DEFECT(m144, .answer = stale_answer);

static int always_unavailable(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->commit(b.session, commits, n, answers, timeout_us, err);

    for (size_t i = 0; rc == KEDGE_OK && i < n; i++)
        if (answers[i].outcome > KEDGE_OK)
            answers[i].outcome = KEDGE_ERR_UNAVAILABLE;
    return rc;
}
DEFECT(m75, .ops = { .commit = always_unavailable });

static int refuses_politely(COMMIT_PARAMS)
{
    (void)s;
    (void)commits;
    (void)timeout_us;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        memset(&answers[i], 0, sizeof answers[i]);
        answers[i].outcome = KEDGE_STALE;
    }
    return KEDGE_OK;
}
DEFECT(m76, .ops = { .commit = refuses_politely });

static void says_nothing(CUT, struct kedge_answer *a)
{
    (void)cut;
    a->why[0] = '\0';
}
DEFECT(m145, .answer = says_nothing);

/* -------------------------------------------------------------------- batches */

static int one_by_one(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    int rc = KEDGE_OK;

    for (size_t i = 0; rc == KEDGE_OK && i < n; i++)
        rc = b.ops->commit(b.session, &commits[i], 1, &answers[i], timeout_us, err);
    return rc;
}
DEFECT(m146, .ops = { .commit = one_by_one });

static int stops_at_first(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    bool stopped = false;

    if (n == 1)
        return b.ops->commit(b.session, commits, n, answers, timeout_us, err);
    for (size_t i = 0; i < n; i++) {
        int rc = KEDGE_OK;

        memset(&answers[i], 0, sizeof answers[i]);
        answers[i].outcome = KEDGE_STALE;
        if (!stopped)
            rc = b.ops->commit(b.session, &commits[i], 1, &answers[i], timeout_us, err);
        stopped = stopped || rc != KEDGE_OK || answers[i].outcome != KEDGE_OK;
    }
    return KEDGE_OK;
}
DEFECT(m147, .ops = { .commit = stops_at_first });

static int last_first(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    int rc = KEDGE_OK;

    for (size_t i = n; rc == KEDGE_OK && i-- > 0;)
        rc = b.ops->commit(b.session, &commits[i], 1, &answers[i], timeout_us, err);
    return rc;
}
DEFECT(m148, .ops = { .commit = last_first });

static bool is_held(const struct kedge_guard *g)
{
    return g->kind == KEDGE_GUARD_HELD;
}

/* The first change, and then, after a while, the others. */
static int in_two_steps(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_commit rest = commits[0];
    struct kedge_answer first;

    if (n != 1 || rest.n_changes < 2 || rest.n_guards != 1 || !is_held(&rest.guards[0]) ||
        rest.changes[0].kind != KEDGE_APPEND)
        return b.ops->commit(b.session, commits, n, answers, timeout_us, err);
    rest.n_changes = 1;
    if (b.ops->commit(b.session, &rest, 1, &first, timeout_us, err) != KEDGE_OK ||
        first.outcome != KEDGE_OK) {
        answers[0] = first;
        return KEDGE_OK;
    }
    mutant_pause(3000);
    rest = commits[0];
    rest.request = mutant_new_id();
    rest.changes++;
    rest.n_changes--;
    if (rest.results != NULL)
        rest.results++;
    return b.ops->commit(b.session, &rest, 1, answers, timeout_us, err);
}
DEFECT(m36, .ops = { .commit = in_two_steps });

/* What the item before it fills as well: another place, so that both count. */
static void fills_twice(CUT, struct kedge_change *c)
{
    static _Thread_local const struct kedge_commit *last;
    static _Thread_local struct kedge_change put;

    if (c->kind != KEDGE_SLOT_PUT)
        return;
    if (last != NULL && cut->commit == last + 1 && mutant_same(put.name, c->name) &&
        put.slot.set == c->slot.set && put.slot.index == c->slot.index)
        c->slot.index ^= 1;
    last = cut->commit;
    put = *c;
}
DEFECT(m259, .change = fills_twice);
