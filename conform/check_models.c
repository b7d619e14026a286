/* check_models.c - a lock, a lease, a cell, a run, each with one client */
#include <config.h>

#include "check_models.h"

#include <inttypes.h>

#include <kedge/base.h>
#include <kedge/error.h>

static bool in_doubt(const struct model_op *op)
{
    return op->e->result == KEDGE_ERR_UNKNOWN;
}

static bool owner_dead(const struct model_op *op, const struct model_state *s)
{
    return (s->dead & op->death) != 0;
}

static bool holder_dead(const struct model_state *s)
{
    return (s->dead & s->hold_bit) != 0;
}

static bool is_death(const struct history_event *e)
{
    return e->op == HISTORY_BURY || e->op == HISTORY_REVOKE;
}

/* The holder's fence is FENCE, as far as one knows; if nobody knew, it is known from now on. */
static bool match(struct model_state *s, uint64_t fence)
{
    if (s->fence != 0)
        return s->fence == fence;
    if (fence <= s->top)
        return false;
    s->fence = fence;
    s->top = fence;
    return true;
}

/* A fence is given: a new one. */
static bool give(const struct model_op *op, struct model_state *s)
{
    if (in_doubt(op)) {
        s->fence = 0;
    } else {
        if (op->e->fence <= s->top)
            return false;
        s->fence = s->top = op->e->fence;
    }
    s->holder = op->e->owner;
    s->hold_bit = op->death;
    return true;
}

static void let_go(struct model_state *s)
{
    s->holder = s->hold_bit = s->fence = 0;
}

/* Under OP's lease and fence, which is then known. */
static bool is_holder(const struct model_op *op, struct model_state *s)
{
    return s->holder != 0 && s->holder == op->e->owner && match(s, op->e->fence);
}

/* Certainly somebody else, or under another fence. */
static bool may_be_other(const struct model_op *op, const struct model_state *s)
{
    return s->holder != op->e->owner || s->fence == 0 || s->fence != op->e->fence;
}

/* --------------------------------------------------------------------- lock */

static bool lock_acquire(const struct model_op *op, struct model_state *s)
{
    const struct history_event *e = op->e;

    switch (e->result) {
    case KEDGE_OK:
    case KEDGE_ERR_UNKNOWN:
        return !owner_dead(op, s) && (s->holder == 0 || holder_dead(s)) && give(op, s);
    case KEDGE_HELD:
        if (s->holder == 0 || holder_dead(s))
            return false;
        if (e->holder != 0 && e->holder != s->holder)
            return false;
        return e->fence == 0 || match(s, e->fence);
    case KEDGE_LOST:
        return owner_dead(op, s);
    default:
        return false;
    }
}

static bool lock_check(const struct model_op *op, struct model_state *s)
{
    switch (op->e->result) {
    case KEDGE_OK:
        return is_holder(op, s) && !owner_dead(op, s);
    case KEDGE_NOT_FOUND:
        return s->holder == 0 || (holder_dead(s) && s->holder != op->e->owner);
    case KEDGE_STALE:
        return s->holder != 0 && may_be_other(op, s);
    case KEDGE_LOST:
        return owner_dead(op, s);
    default:
        return false;
    }
}

/* The dead may let go of what was theirs, or find it gone. */
static bool lock_release(const struct model_op *op, struct model_state *s)
{
    switch (op->e->result) {
    case KEDGE_OK:
    case KEDGE_ERR_UNKNOWN:
        if (!is_holder(op, s))
            return false;
        let_go(s);
        return true;
    case KEDGE_NOT_FOUND:
        return s->holder == 0 || holder_dead(s);
    case KEDGE_STALE:
        return s->holder != 0 && may_be_other(op, s);
    case KEDGE_LOST:
        return owner_dead(op, s);
    default:
        return false;
    }
}

static bool lock_query(const struct model_op *op, struct model_state *s)
{
    const struct history_event *e = op->e;

    if (e->result == KEDGE_NOT_FOUND)
        return s->holder == 0 || holder_dead(s);
    if (e->result != KEDGE_OK || s->holder == 0 || holder_dead(s))
        return false;
    return (e->holder == 0 || e->holder == s->holder) && match(s, e->fence);
}

static bool step_lock(const struct model_op *op, struct model_state *s)
{
    switch (op->e->op) {
    case HISTORY_ACQUIRE:
        return lock_acquire(op, s);
    case HISTORY_CHECK:
        return lock_check(op, s);
    case HISTORY_UNLOCK:
        return lock_release(op, s);
    case HISTORY_QUERY:
        return lock_query(op, s);
    default:
        s->dead |= op->death;
        return is_death(op->e);
    }
}

static void tell_holder(const struct model_state *s, char *out, size_t size)
{
    char fence[40] = "a fence nobody knows";

    if (s->holder == 0) {
        (void)snprintf(out, size, "free; the last fence was %" PRIu64, s->top);
        return;
    }
    if (s->fence != 0)
        (void)snprintf(fence, sizeof fence, "fence %" PRIu64, s->fence);
    (void)snprintf(out, size, "held by %" PRIu64 " under %s%s", s->holder, fence,
                   holder_dead(s) ? ", which is buried" : "");
}

/* -------------------------------------------------------------------- lease */

enum { LEASE_NONE, LEASE_LIVE, LEASE_DEAD, LEASE_GONE /* live, its process may be dead */ };

static bool lease_lives(const struct model_state *s)
{
    return s->phase == LEASE_LIVE || s->phase == LEASE_GONE;
}

/* From now on it has one ttl; the store's now is between two readings. */
static void prolong(const struct model_op *op, struct model_state *s)
{
    const struct history_event *e = op->e;

    s->value = 0;
    s->deadline = HISTORY_NO_TIME;
    if (e->ttl <= 0 || e->now_from == HISTORY_NO_TIME || e->now_to == HISTORY_NO_TIME)
        return;
    s->value = (uint64_t)(e->now_from + e->ttl);
    s->deadline = e->now_to + e->ttl;
}

static bool lease_bury(const struct model_op *op, struct model_state *s)
{
    const struct history_event *e = op->e;
    bool timed = s->deadline != HISTORY_NO_TIME && s->phase == LEASE_LIVE;

    switch (e->result) {
    case KEDGE_OK:
    case KEDGE_ERR_UNKNOWN:
        if (s->phase == LEASE_NONE ||
            (timed && e->now_to != HISTORY_NO_TIME && e->now_to < (int64_t)s->value))
            return false;
        *s = (struct model_state){ .phase = LEASE_DEAD };
        return true;
    case KEDGE_HELD:
        return lease_lives(s) && !(s->deadline != HISTORY_NO_TIME &&
                                   e->now_from != HISTORY_NO_TIME && e->now_from >= s->deadline);
    case KEDGE_NOT_FOUND:
        return s->phase == LEASE_NONE;
    default:
        return false;
    }
}

static bool lease_grant(const struct model_op *op, struct model_state *s)
{
    if (op->e->result == KEDGE_EXISTS)
        return s->phase != LEASE_NONE;
    if (s->phase != LEASE_NONE || (op->e->result != KEDGE_OK && !in_doubt(op)))
        return false;
    s->phase = LEASE_LIVE;
    prolong(op, s);
    return true;
}

static bool lease_revoke(const struct model_op *op, struct model_state *s)
{
    if (op->e->result == KEDGE_NOT_FOUND)
        return s->phase == LEASE_NONE;
    if (s->phase == LEASE_NONE || (op->e->result != KEDGE_OK && !in_doubt(op)))
        return false;
    *s = (struct model_state){ .phase = LEASE_DEAD };
    return true;
}

/* A lease of which no grant is told was there before. */
static void lease_begin(const struct model_op *ops, size_t n, struct model_state *s)
{
    s->phase = LEASE_LIVE;
    for (size_t i = 0; i < n; i++)
        if (ops[i].e->op == HISTORY_GRANT)
            s->phase = LEASE_NONE;
}

static bool step_lease(const struct model_op *op, struct model_state *s)
{
    const struct history_event *e = op->e;

    switch (e->op) {
    case HISTORY_GRANT:
        return lease_grant(op, s);
    case HISTORY_BURY:
        return lease_bury(op, s);
    case HISTORY_REVOKE:
        return lease_revoke(op, s);
    case HISTORY_GONE:
        if (s->phase == LEASE_LIVE)
            s->phase = LEASE_GONE;
        return true;
    default: /* done under it */
        if (e->result == KEDGE_LOST)
            return !lease_lives(s);
        if (!lease_lives(s) || (e->result != KEDGE_OK && !in_doubt(op)))
            return false;
        if (e->op == HISTORY_EXTEND || (e->op == HISTORY_CHECK && e->ttl > 0))
            prolong(op, s);
        return true;
    }
}

static void tell_lease(const struct model_state *s, char *out, size_t size)
{
    static const char *const words[] = { "not granted", "live", "dead",
                                         "live, but its process may not be" };

    if (lease_lives(s) && s->deadline != HISTORY_NO_TIME)
        (void)snprintf(out, size, "%s, deadline %" PRIu64 " .. %" PRId64, words[s->phase], s->value,
                       s->deadline);
    else
        (void)snprintf(out, size, "%s", words[s->phase]);
}

bool model_tells_of_lease(const struct history_event *e)
{
    if (e->owner == 0)
        return false;
    if (history_subject(e->op) == HISTORY_OF_LEASE)
        return true;
    if (e->op == HISTORY_QUERY || e->op == HISTORY_READ || e->op == HISTORY_CREATE ||
        history_subject(e->op) == HISTORY_OF_CELL)
        return false;
    if (e->op == HISTORY_CHECK && e->result == KEDGE_ERR_UNKNOWN)
        return true; /* it may have extended the lease */
    return e->result == KEDGE_LOST || (e->result == KEDGE_OK && e->op != HISTORY_UNLOCK);
}

bool model_needs_life(const struct history_event *e)
{
    return e->owner != 0 && e->op != HISTORY_UNLOCK && !is_death(e) && e->op != HISTORY_GONE &&
           e->op != HISTORY_CREATE;
}

/* --------------------------------------------------------------------- cell */

enum { CELL_ABSENT, CELL_THERE };

static bool cell_is_at(struct model_state *s, uint64_t version)
{
    return s->phase == CELL_ABSENT ? version == 0 : match(s, version);
}

static bool cell_put(const struct model_op *op, struct model_state *s)
{
    const struct history_event *e = op->e;

    if (e->result == KEDGE_STALE)
        return s->phase == CELL_ABSENT ? e->seen != 0 : s->fence == 0 || s->fence != e->seen;
    if ((e->result != KEDGE_OK && !in_doubt(op)) || !cell_is_at(s, e->seen))
        return false;
    if (e->result == KEDGE_OK && e->version <= s->top)
        return false;
    s->phase = CELL_THERE;
    s->value = e->value;
    s->fence = e->result == KEDGE_OK ? e->version : 0;
    if (e->result == KEDGE_OK)
        s->top = e->version;
    return true;
}

static bool step_cell(const struct model_op *op, struct model_state *s)
{
    const struct history_event *e = op->e;

    if (e->op == HISTORY_PUT)
        return cell_put(op, s);
    if (e->result == KEDGE_NOT_FOUND)
        return s->phase == CELL_ABSENT;
    return e->result == KEDGE_OK && s->phase == CELL_THERE && s->value == e->value &&
           match(s, e->version);
}

static void tell_cell(const struct model_state *s, char *out, size_t size)
{
    if (s->phase == CELL_ABSENT)
        (void)snprintf(out, size, "absent");
    else
        (void)snprintf(out, size, "value %" PRIu64 " at version %" PRIu64 "%s", s->value,
                       s->fence != 0 ? s->fence : s->top, s->fence != 0 ? "" : " or above");
}

/* ---------------------------------------------------------------------- run */

enum { RUN_ABSENT, RUN_DUE, RUN_HELD, RUN_REST };

static bool run_handed_out(const struct model_op *op, struct model_state *s)
{
    const struct history_event *e = op->e;
    bool free =
        s->phase == RUN_DUE || (e->op == HISTORY_TAKE && s->phase == RUN_HELD && holder_dead(s));

    switch (e->result) {
    case KEDGE_OK:
    case KEDGE_ERR_UNKNOWN:
        if (!free || owner_dead(op, s) || !give(op, s))
            return false;
        s->phase = RUN_HELD;
        return true;
    case KEDGE_NOT_FOUND:
        return e->op == HISTORY_TAKE && s->phase == RUN_ABSENT;
    case KEDGE_STALE: /* it may be a revision that differs */
        return e->op == HISTORY_TAKE && s->phase != RUN_ABSENT;
    case KEDGE_LOST:
        return owner_dead(op, s);
    default:
        return false;
    }
}

/* A commit of the holder; with `version' it appends the record of that number. */
static bool run_written(const struct model_op *op, struct model_state *s)
{
    const struct history_event *e = op->e;
    bool in_turn = e->version == 0 || e->version == s->value + 1;

    switch (e->result) {
    case KEDGE_OK:
    case KEDGE_ERR_UNKNOWN:
        if (s->phase != RUN_HELD || !is_holder(op, s) || owner_dead(op, s) || !in_turn)
            return false;
        if (e->version != 0)
            s->value = e->version;
        if (e->op != HISTORY_APPEND) {
            let_go(s);
            s->phase = e->op == HISTORY_YIELD ? RUN_DUE : RUN_REST;
        }
        return true;
    case KEDGE_STALE:
        return s->phase != RUN_ABSENT && (may_be_other(op, s) || !in_turn);
    case KEDGE_NOT_FOUND:
        return s->phase == RUN_ABSENT;
    case KEDGE_LOST:
        return owner_dead(op, s);
    default:
        return false;
    }
}

static bool run_read(const struct model_op *op, struct model_state *s)
{
    static const uint64_t places[] = {
        [RUN_DUE] = KEDGE_PLACE_DUE, [RUN_HELD] = KEDGE_PLACE_HELD, [RUN_REST] = KEDGE_PLACE_REST
    };
    const struct history_event *e = op->e;

    if (e->result == KEDGE_NOT_FOUND)
        return s->phase == RUN_ABSENT;
    if (e->result != KEDGE_OK || s->phase == RUN_ABSENT || places[s->phase] != e->value)
        return false;
    return e->version == s->value && (s->phase != RUN_HELD || e->fence == 0 || match(s, e->fence));
}

static bool run_created(const struct model_op *op, struct model_state *s)
{
    if (op->e->result == KEDGE_EXISTS)
        return s->phase != RUN_ABSENT;
    if (s->phase != RUN_ABSENT || (op->e->result != KEDGE_OK && !in_doubt(op)))
        return false;
    s->phase = RUN_DUE;
    return true;
}

static bool run_bereaved(const struct model_op *op, struct model_state *s)
{
    bool before = owner_dead(op, s);

    s->dead |= op->death;
    /* Revoked: its runs are due now.  Buried: they stay until somebody takes them. */
    if (op->e->op == HISTORY_REVOKE && !before && s->phase == RUN_HELD &&
        s->holder == op->e->owner) {
        let_go(s);
        s->phase = RUN_DUE;
    }
    return is_death(op->e);
}

static bool step_run(const struct model_op *op, struct model_state *s)
{
    switch (op->e->op) {
    case HISTORY_CREATE:
        return run_created(op, s);
    case HISTORY_CLAIM:
    case HISTORY_TAKE:
        return run_handed_out(op, s);
    case HISTORY_APPEND:
    case HISTORY_YIELD:
    case HISTORY_REST:
        return run_written(op, s);
    case HISTORY_READ:
        return run_read(op, s);
    default:
        return run_bereaved(op, s);
    }
}

static void tell_run(const struct model_state *s, char *out, size_t size)
{
    static const char *const words[] = { "absent", "due", "", "at rest" };
    char held[160];

    tell_holder(s, held, sizeof held);
    (void)snprintf(out, size, "%s, %" PRIu64 " records",
                   s->phase == RUN_HELD ? held : words[s->phase], s->value);
}

const struct model check_models[N_MODELS] = {
    { "lock", CHECK_LOCKS, HISTORY_OF_LOCK, NULL, step_lock, tell_holder },
    { "lease", CHECK_LEASES, HISTORY_OF_LEASE, lease_begin, step_lease, tell_lease },
    { "cell", CHECK_CELLS, HISTORY_OF_CELL, NULL, step_cell, tell_cell },
    { "run", CHECK_RUNS, HISTORY_OF_RUN, NULL, step_run, tell_run },
};
