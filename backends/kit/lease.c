/*
 * lease.c - leases and the locks that hang on them
 *
 * A lease is live until a write made it dead; `lapsed' is only a look at the clock.  A lease
 * without a record counts as dead everywhere.
 */
#include "rules.h"

static int64_t later(int64_t now, int64_t us)
{
    return now > 0 && us > INT64_MAX - now ? INT64_MAX : now + us;
}

static void stamp(struct kit_lease *lease, int64_t now_lease)
{
    lease->l.deadline = later(now_lease, lease->l.ttl_us);
    lease->extended = now_lease;
}

void kit_lease_init(struct kit_lease *lease, const struct kedge_lease_new *in, int64_t now_wall,
                    int64_t now_lease)
{
    memset(lease, 0, sizeof *lease);
    lease->l.id = in->id;
    lease->l.owner = in->owner;
    lease->l.serves = in->serves;
    lease->l.n_serves = in->n_serves;
    lease->l.ttl_us = in->ttl_us;
    lease->l.granted = now_wall;
    lease->l.state = KEDGE_LEASE_LIVE;
    lease->grant_request = in->request;
    stamp(lease, now_lease);
}

int kit_lease_extend(struct kit_lease *lease, int64_t now_lease)
{
    if (lease->l.state == KEDGE_LEASE_DEAD)
        return KEDGE_LOST;
    stamp(lease, now_lease);
    return KEDGE_OK;
}

bool kit_lease_restamp(struct kit_lease *lease, int64_t now_lease)
{
    if (lease->l.state == KEDGE_LEASE_DEAD || now_lease >= lease->extended)
        return false;
    stamp(lease, now_lease);
    return true;
}

bool kit_lease_lapsed(const struct kit_lease *lease, int64_t now_lease)
{
    return lease->l.state != KEDGE_LEASE_DEAD && now_lease >= lease->l.deadline;
}

static int64_t remaining(const struct kit_lease *lease, int64_t now_lease)
{
    int64_t left = lease->l.deadline;

    if (lease->l.state == KEDGE_LEASE_DEAD || now_lease >= left)
        return 0;
    /* Before the last extend: the clock stepped back, and the next write stamps it anew. */
    return now_lease < lease->extended ? lease->l.ttl_us : left - now_lease;
}

void kit_lease_view(struct kit_lease *lease, int64_t now_lease)
{
    lease->l.remaining_us = remaining(lease, now_lease);
    if (lease->l.remaining_us != 0)
        lease->l.deadline = later(now_lease, lease->l.remaining_us);
    if (lease->l.state != KEDGE_LEASE_DEAD)
        lease->l.state = kit_lease_lapsed(lease, now_lease) ? KEDGE_LEASE_LAPSED : KEDGE_LEASE_LIVE;
}

void kit_lease_kill(struct kit_lease *lease, int64_t now_lease)
{
    if (lease->l.state == KEDGE_LEASE_DEAD)
        return;
    lease->l.state = KEDGE_LEASE_DEAD;
    lease->died = now_lease != 0 ? now_lease : 1;
}

int kit_lease_may_bury(const struct kit_lease *lease, int64_t now_lease,
                       const struct kit_suspicion *s)
{
    if (lease->l.state == KEDGE_LEASE_DEAD || s->certain)
        return KEDGE_OK;
    if (s->early)
        return KEDGE_HELD;
    if (kit_lease_lapsed(lease, now_lease))
        return KEDGE_OK;
    if (s->hint_absent && s->absent_us >= KIT_HINT_GRACE_US && !s->hints_ignored)
        return KEDGE_OK;
    return KEDGE_HELD;
}

int64_t kit_hints_mass(int64_t *since, int64_t now, size_t live, size_t absent,
                       int64_t longest_ttl_us)
{
    if (absent > 1 && absent * 2 > live && *since == 0)
        *since = now;
    if (*since != 0 && now - *since > longest_ttl_us)
        *since = 0;
    return *since == 0 ? -1 : now - *since;
}

/* ------------------------------------------------------------------- locks */

/* OK: not dead; LOST: dead or without a record.  *OUT may be NULL then. */
static int alive(struct kit_step *step, const struct kedge_id128 *id, const struct kit_lease **out)
{
    int rc = step->store->lease_get(step->ctx, id, out);

    if (rc == KEDGE_NOT_FOUND)
        return KEDGE_LOST;
    if (rc != KEDGE_OK)
        return rc;
    return (*out)->l.state == KEDGE_LEASE_DEAD ? KEDGE_LOST : KEDGE_OK;
}

static void show(struct kedge_lock_state *out, const struct kit_lock *lock,
                 const struct kit_lease *lease, int64_t now_lease)
{
    out->holder = lock->lease;
    out->fence = lock->fence;
    out->remaining_us = remaining(lease, now_lease);
}

int kit_lock_query(struct kit_step *step, struct kedge_bytes name, struct kedge_lock_state *out)
{
    const struct kit_lock *lock;
    const struct kit_lease *lease = NULL;
    int rc = step->store->lock_get(step->ctx, name, &lock);

    if (rc != KEDGE_OK)
        return rc;
    rc = alive(step, &lock->lease, &lease);
    if (rc == KEDGE_LOST)
        return KEDGE_NOT_FOUND;
    if (rc == KEDGE_OK)
        show(out, lock, lease, step->now_lease);
    return rc;
}

int kit_lock_acquire(struct kit_step *step, struct kedge_bytes name,
                     const struct kedge_id128 *lease, const struct kedge_id128 *request,
                     struct kedge_lock_state *out)
{
    const struct kit_lock *old = NULL;
    const struct kit_lease *mine = NULL;
    const struct kit_lease *holder = NULL;
    struct kit_lock taken = { .lease = *lease, .request = *request };
    int rc = step->store->lock_get(step->ctx, name, &old);

    if (rc != KEDGE_OK && rc != KEDGE_NOT_FOUND)
        return rc;
    if (rc == KEDGE_NOT_FOUND)
        old = NULL;
    rc = alive(step, lease, &mine);
    if (rc != KEDGE_OK)
        return rc;
    if (old != NULL) {
        rc = alive(step, &old->lease, &holder);
        if (rc < 0)
            return rc;
        if (rc == KEDGE_OK) {
            bool resent = kit_id_equal(&old->request, request) && kit_id_equal(&old->lease, lease);

            show(out, old, holder, step->now_lease);
            return resent ? KEDGE_OK : KEDGE_HELD;
        }
    }
    taken.fence = step->store->fence_next(step->ctx);
    rc = step->store->lock_put(step->ctx, name, old, &taken);
    if (rc == KEDGE_OK)
        show(out, &taken, mine, step->now_lease);
    return rc;
}

/* OK and the record: held by LEASE at FENCE, dead or not. */
static int held_by(struct kit_step *step, struct kedge_bytes name, const struct kedge_id128 *lease,
                   uint64_t fence, const struct kit_lock **out)
{
    int rc = step->store->lock_get(step->ctx, name, out);

    if (rc != KEDGE_OK)
        return rc;
    return (*out)->fence == fence && kit_id_equal(&(*out)->lease, lease) ? KEDGE_OK : KEDGE_STALE;
}

int kit_lock_release(struct kit_step *step, struct kedge_bytes name,
                     const struct kedge_id128 *lease, uint64_t fence)
{
    const struct kit_lock *lock;
    int rc = held_by(step, name, lease, fence, &lock);

    return rc == KEDGE_OK ? step->store->lock_delete(step->ctx, name, lock) : rc;
}

int kit_lock_check(struct kit_step *step, struct kedge_bytes name, const struct kedge_id128 *lease,
                   uint64_t fence)
{
    const struct kit_lock *lock;
    const struct kit_lease *record;
    int rc = held_by(step, name, lease, fence, &lock);

    return rc == KEDGE_OK ? alive(step, lease, &record) : rc;
}
