/*
 * change.c - what each change makes of the staged copies
 *
 * Nothing here writes.  A fence that a change needs is marked as pending and issued by commit.c,
 * in the order of the changes, when all of it stands.
 */
#include "stage.h"

static int invalid(struct kit_plan *plan, const char *why)
{
    return kit_plan_fail(plan, KEDGE_ERR_INVALID, why);
}

static int64_t due_now(const struct kit_plan *plan)
{
    return kit_when((struct kedge_when){ .base = KEDGE_IN }, plan->step->now_wall);
}

/* ---------------------------------------------------------- wake and request */

/* Tell the holder's lease to look at its runs. */
static int attention(struct kit_plan *plan, const struct kedge_id128 *holder)
{
    struct kit_staged_lease *lease;
    int rc = kit_stage_lease(plan, holder, &lease);

    if (rc != KEDGE_OK || lease->old == NULL || lease->old->l.state == KEDGE_LEASE_DEAD)
        return rc;
    if (!lease->dirty)
        lease->now = *lease->old;
    lease->now.l.attention++;
    lease->dirty = true;
    return KEDGE_OK;
}

static void make_due(struct kit_staged_run *run, int64_t at)
{
    struct kedge_run *r = &run->now.r;

    if (r->due != 0 && r->due < at)
        at = r->due;
    kit_run_hand_back(&run->now, at);
    run->dirty = true;
}

static int wake(struct kit_plan *plan, struct kit_staged_run *run)
{
    struct kedge_run *r = &run->now.r;
    bool unheld;
    int rc;

    if (!run->there || r->place == KEDGE_PLACE_REST)
        return KEDGE_OK;
    rc = kit_plan_unheld(plan, &run->now, &unheld);
    if (rc != KEDGE_OK)
        return rc;
    if (unheld) {
        if (r->place != KEDGE_PLACE_DUE || r->due > due_now(plan))
            make_due(run, due_now(plan));
        return KEDGE_OK;
    }
    if (r->wake_mark != 0)
        return KEDGE_OK;
    r->wake_mark = 1;
    run->dirty = true;
    return attention(plan, &r->holder);
}

static int add_requests(struct kit_plan *plan, struct kit_staged_run *run, uint32_t bits)
{
    struct kedge_run *r = &run->now.r;

    if (!run->there)
        return KEDGE_NOT_FOUND;
    if (r->place == KEDGE_PLACE_REST || (r->requests & bits) == bits)
        return KEDGE_OK;
    r->requests |= bits;
    run->dirty = true;
    return r->place == KEDGE_PLACE_HELD ? attention(plan, &r->holder) : KEDGE_OK;
}

/* ------------------------------------------------------------ create and take */

static void new_run(struct kit_plan *plan, struct kit_staged_run *run,
                    const struct kedge_run_new *in)
{
    struct kedge_run *r = &run->now.r;

    memset(&run->now, 0, sizeof run->now);
    r->id = run->id;
    r->reactor = in->reactor;
    r->queue = in->queue;
    r->context = in->context;
    r->parent = in->parent;
    r->root = in->root.len != 0 ? in->root : run->id;
    r->parent_incarnation = in->parent_incarnation;
    r->parent_set = in->parent_set;
    r->parent_slot = in->parent_slot;
    r->version = in->version;
    r->created = plan->step->now_wall;
    r->incarnation = KIT_FENCE_PENDING;
    r->fence = KIT_FENCE_PENDING;
    r->status = KEDGE_PENDING;
    r->place = KEDGE_PLACE_DUE;
    r->due = kit_when(in->due, plan->step->now_wall);
    run->now.create_request = plan->commit->request;
    if (!kit_id_zero(&in->lease))
        kit_run_take(&run->now, &in->lease, KIT_FENCE_PENDING, &plan->commit->request,
                     in->hold_until, plan->step->now_wall);
}

static bool same_parent(const struct kedge_run *run, const struct kedge_run_new *in)
{
    return in->parent.len != 0 && run->parent_incarnation == in->parent_incarnation &&
           kit_bytes_equal(run->parent, in->parent);
}

static int create(struct kit_plan *plan, struct kit_staged_run *run, const struct kedge_run_new *in,
                  struct kit_staged_change *out)
{
    int rc;

    if (run->there) {
        if (!same_parent(&run->now.r, in))
            return KEDGE_EXISTS;
        run->passed = true;
        out->result = run->now.r.incarnation;
        return KEDGE_OK;
    }
    if (!kit_id_zero(&in->lease)) {
        rc = kit_plan_alive(plan, &in->lease);
        if (rc != KEDGE_OK)
            return rc;
    }
    new_run(plan, run, in);
    run->there = run->created = run->owned = run->dirty = true;
    out->target = run;
    return KEDGE_OK;
}

static int take(struct kit_plan *plan, struct kit_staged_run *run, const struct kedge_change *ch,
                struct kit_staged_change *out)
{
    bool unheld;
    int rc;

    if (run->now.r.place == KEDGE_PLACE_REST)
        return invalid(plan, "a run at rest cannot be taken");
    rc = kit_plan_unheld(plan, &run->now, &unheld);
    if (rc != KEDGE_OK)
        return rc;
    if (!unheld)
        return invalid(plan, "the run is taken twice in one commit");
    rc = kit_plan_alive(plan, &ch->take.lease);
    if (rc != KEDGE_OK)
        return rc;
    kit_run_take(&run->now, &ch->take.lease, KIT_FENCE_PENDING, &plan->commit->request,
                 ch->take.hold_until, plan->step->now_wall);
    run->dirty = true;
    out->target = run;
    return KEDGE_OK;
}

/* ------------------------------------------------------- journal and members */

static int append(struct kit_staged_run *run, const struct kedge_change *ch,
                  struct kit_staged_change *out)
{
    if (ch->append.first != run->now.r.position + 1)
        return KEDGE_STALE;
    kit_run_load(&run->now, run->now.r.position + ch->append.n);
    out->target = run;
    out->result = run->now.r.position;
    return KEDGE_OK;
}

static int set_status(struct kit_plan *plan, struct kit_staged_run *run,
                      const struct kedge_change *ch)
{
    struct kedge_run *r = &run->now.r;
    bool named = (ch->set.mask & KEDGE_SET_STATUS) != 0;

    if ((ch->set.mask & KEDGE_SET_REOPEN) != 0) {
        if (r->place != KEDGE_PLACE_REST)
            return invalid(plan, "only a run at rest can be opened again");
        r->finished = 0;
        r->expires = 0;
        r->status = KEDGE_PENDING;
        make_due(run, due_now(plan));
    } else if (named && r->place == KEDGE_PLACE_REST) {
        return invalid(plan, "a run at rest keeps its status unless it is opened again");
    }
    if (named)
        r->status = ch->set.status;
    return KEDGE_OK;
}

static int set_members(struct kit_plan *plan, struct kit_staged_run *run,
                       const struct kedge_change *ch)
{
    struct kedge_run *r = &run->now.r;
    uint32_t mask = ch->set.mask;
    int rc = set_status(plan, run, ch);

    if (rc != KEDGE_OK)
        return rc;
    if ((mask & KEDGE_SET_QUEUE) != 0)
        r->queue = ch->set.queue;
    if ((mask & KEDGE_SET_EXPIRES) != 0) {
        r->expires = kit_when(ch->set.expires, plan->step->now_wall);
        run->wants_rest = true;
    }
    if ((mask & KEDGE_SET_HOLD_UNTIL) != 0) {
        if (r->place != KEDGE_PLACE_HELD)
            return invalid(plan, "only a held run has a hold_until");
        r->hold_until = kit_when(ch->set.hold_until, plan->step->now_wall);
    }
    if ((mask & KEDGE_SET_RECOVERIES) != 0) {
        r->recoveries = ch->set.recoveries;
        run->now.recoveries_at = r->position;
    }
    if ((mask & KEDGE_SET_CLEAR_REQUESTS) != 0)
        r->requests &= ~ch->set.clear_requests;
    run->dirty = true;
    return KEDGE_OK;
}

/* A wake that came while it was held has the effect of one that comes now. */
static int release(struct kit_plan *plan, struct kit_staged_run *run, const struct kedge_change *ch)
{
    struct kedge_run *r = &run->now.r;
    int64_t when = kit_when(ch->release.when, plan->step->now_wall);
    bool woken = r->wake_mark != 0;

    if (r->place == KEDGE_PLACE_REST)
        return invalid(plan, "a run at rest cannot be released");
    kit_run_hand_back(&run->now, when);
    r->place = ch->release.place;
    if (ch->release.status != 0)
        r->status = ch->release.status;
    if (r->place == KEDGE_PLACE_PARKED) {
        r->wakes_on = ch->release.wakes_on;
        r->due = when;
        if (r->status != KEDGE_PAUSED)
            return invalid(plan, "a parked run needs the status paused");
    } else if (r->place == KEDGE_PLACE_REST) {
        r->due = 0;
        r->finished = due_now(plan);
        r->expires = when;
    }
    run->dirty = true;
    return woken ? wake(plan, run) : KEDGE_OK;
}

/* --------------------------------------------------------------------- slots */

static int open_slots(struct kit_plan *plan, struct kit_staged_run *run,
                      const struct kedge_change *ch)
{
    struct kit_staged_set *set;
    int rc = kit_stage_set(plan, run, ch->slots.set, &set);

    if (rc != KEDGE_OK)
        return rc;
    if (set->there) {
        if (set->now.total != ch->slots.total)
            return invalid(plan, "the slot set is open with another size");
        return KEDGE_OK;
    }
    set->now.total = ch->slots.total;
    set->now.remaining = ch->slots.total;
    set->there = set->dirty = true;
    run->dirty = true; /* so that its revision rises */
    return KEDGE_OK;
}

/* A parked run says whether slots wake it; any other is woken. */
static bool slots_wake(const struct kedge_run *r)
{
    return r->place != KEDGE_PLACE_PARKED || (r->wakes_on & KEDGE_WAKES_ON_SLOTS) != 0;
}

static int put_slot(struct kit_plan *plan, struct kit_staged_run *run,
                    const struct kedge_change *ch, struct kit_staged_change *out)
{
    struct kit_staged_set *set;
    int rc;

    if (!run->there || run->now.r.place == KEDGE_PLACE_REST ||
        run->now.r.incarnation != ch->slot.incarnation)
        return KEDGE_OK;
    rc = kit_stage_set(plan, run, ch->slot.set, &set);
    if (rc != KEDGE_OK)
        return rc;
    if (!set->there)
        return invalid(plan, "the slot set was never opened");
    if (ch->slot.index >= set->now.total)
        return invalid(plan, "the slot is outside of its set");
    rc = kit_stage_slot(plan, set, ch->slot.index);
    out->result = set->now.remaining;
    if (rc != KEDGE_NOT_FOUND)
        return rc;
    rc = kit_stage_slot_put(plan, set, ch->slot.index, ch->slot.value);
    if (rc != KEDGE_OK)
        return rc;
    if (set->now.remaining == 0)
        return kit_plan_fail(plan, KEDGE_ERR_CORRUPT,
                             "the slot set counts fewer places than it has");
    out->result = --set->now.remaining;
    set->dirty = true;
    if (set->now.remaining <= ch->slot.wake_at && slots_wake(&run->now.r))
        return wake(plan, run);
    return KEDGE_OK;
}

/* ----------------------------------------------------------- cells and locks */

static int change_cell(struct kit_plan *plan, const struct kedge_change *ch,
                       struct kit_staged_change *out)
{
    struct kit_staged_cell *cell;
    int rc = kit_stage_cell(plan, ch->name, &cell);

    if (rc != KEDGE_OK)
        return rc;
    cell->dirty = true;
    cell->there = ch->kind == KEDGE_CELL_PUT;
    if (!cell->there)
        return KEDGE_OK;
    cell->now.value = ch->cell.value;
    cell->now.version = KIT_FENCE_PENDING;
    cell->now.expires = kit_when(ch->cell.expires, plan->step->now_wall);
    cell->now.request = plan->commit->request;
    out->target = cell;
    return KEDGE_OK;
}

static int take_lock(struct kit_plan *plan, const struct kedge_change *ch,
                     struct kit_staged_change *out)
{
    struct kit_staged_lock *lock;
    int rc = kit_stage_lock(plan, ch->name, &lock);

    if (rc != KEDGE_OK)
        return rc;
    if (lock->there) {
        rc = kit_plan_alive(plan, &lock->now.lease);
        if (rc != KEDGE_LOST)
            return rc == KEDGE_OK ? KEDGE_STALE : rc;
    }
    rc = kit_plan_alive(plan, &ch->lock.lease);
    if (rc != KEDGE_OK)
        return rc;
    lock->now.lease = ch->lock.lease;
    lock->now.fence = KIT_FENCE_PENDING;
    lock->now.request = plan->commit->request;
    lock->there = lock->dirty = true;
    out->target = lock;
    return KEDGE_OK;
}

static int release_lock(struct kit_plan *plan, const struct kedge_change *ch)
{
    struct kit_staged_lock *lock;
    int rc = kit_stage_lock(plan, ch->name, &lock);

    if (rc != KEDGE_OK)
        return rc;
    if (!lock->there)
        return KEDGE_NOT_FOUND;
    if (lock->now.fence != ch->lock.fence || !kit_id_equal(&lock->now.lease, &ch->lock.lease))
        return KEDGE_STALE;
    lock->there = false;
    lock->dirty = true;
    return KEDGE_OK;
}

/* ------------------------------------------------------------------ all of it */

static int write_run(struct kit_plan *plan, struct kit_staged_run *run,
                     const struct kedge_change *ch, struct kit_staged_change *out)
{
    if (!run->owned) {
        /* Sent again by a parent that crashed: what was done to the child then is done, too. */
        if (ch->kind == KEDGE_APPEND)
            out->result = ch->append.first + ch->append.n - 1;
        return run->passed ? KEDGE_OK : invalid(plan, "the run is not fenced in this commit");
    }
    switch (ch->kind) {
    case KEDGE_TAKE:
        return take(plan, run, ch, out);
    case KEDGE_APPEND:
        return append(run, ch, out);
    case KEDGE_SNAPSHOT:
        run->now.r.snapshot_position = ch->snapshot.position;
        run->dirty = true;
        out->target = run;
        return KEDGE_OK;
    case KEDGE_SET:
        return set_members(plan, run, ch);
    case KEDGE_RELEASE:
        return release(plan, run, ch);
    default:
        return open_slots(plan, run, ch);
    }
}

static int change_run(struct kit_plan *plan, const struct kedge_change *ch,
                      struct kit_staged_change *out)
{
    struct kit_staged_run *run;
    int rc = kit_stage_run(plan, ch->name, &run);

    if (rc != KEDGE_OK)
        return rc;
    switch (ch->kind) {
    case KEDGE_CREATE:
        return create(plan, run, ch->create, out);
    case KEDGE_WAKE:
        return wake(plan, run);
    case KEDGE_REQUEST:
        return add_requests(plan, run, ch->request.bits);
    case KEDGE_SLOT_PUT:
        return put_slot(plan, run, ch, out);
    default:
        return write_run(plan, run, ch, out);
    }
}

static int change(struct kit_plan *plan, const struct kedge_change *ch,
                  struct kit_staged_change *out)
{
    out->target = NULL;
    out->result = 0;
    switch (ch->kind) {
    case KEDGE_CELL_PUT:
    case KEDGE_CELL_DELETE:
        return change_cell(plan, ch, out);
    case KEDGE_LOCK_TAKE:
        return take_lock(plan, ch, out);
    case KEDGE_LOCK_RELEASE:
        return release_lock(plan, ch);
    default:
        return change_run(plan, ch, out);
    }
}

int kit_changes(struct kit_plan *plan, uint32_t *at)
{
    const struct kedge_commit *commit = plan->commit;

    for (size_t i = 0; i < commit->n_changes; i++) {
        int rc = change(plan, &commit->changes[i], &plan->scratch->changes[i]);

        if (rc != KEDGE_OK) {
            *at = (uint32_t)(commit->n_guards + i);
            return rc;
        }
    }
    return KEDGE_OK;
}
