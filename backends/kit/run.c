/*
 * run.c - where a run is, and what moves it
 *
 * Every function here leaves a sound run sound (I3).  Those that a store calls for itself (take,
 * hand back) count as a head write: head_revision rises by one.
 */
#include "rules.h"

int64_t kit_when(struct kedge_when when, int64_t now_wall)
{
    int64_t at = when.us;

    if (when.base == KEDGE_NEVER)
        return 0;
    if (when.base == KEDGE_IN)
        at = now_wall > 0 && when.us > INT64_MAX - now_wall ? INT64_MAX : now_wall + when.us;
    return at > 1 ? at : 1; /* 0 would mean "not set" */
}

void kit_run_load(struct kit_run *run, uint64_t position)
{
    run->r.position = position;
    run->r.revision = run->head_revision + position;
    if (position != run->recoveries_at) {
        run->r.recoveries = 0;
        run->recoveries_at = position;
    }
}

bool kit_run_expired(const struct kit_run *run, int64_t now_wall)
{
    return run->r.expires != 0 && run->r.expires <= now_wall;
}

static bool status_in(uint32_t status, uint32_t statuses)
{
    return status >= KEDGE_PENDING && status <= KEDGE_ABORTED &&
           (KEDGE_STATUS_BIT(status) & statuses) != 0;
}

static const char *unfinished_fault(const struct kedge_run *r)
{
    if (!status_in(r->status, KEDGE_STATUSES_UNFINISHED))
        return "a run that is not at rest needs an unfinished status";
    if (r->finished != 0 || r->expires != 0)
        return "only a run at rest is finished and may expire";
    return NULL;
}

static const char *unheld_fault(const struct kedge_run *r)
{
    if (!kit_id_zero(&r->holder) || r->hold_until != 0)
        return "a run that is not held has no holder and no hold_until";
    return r->wake_mark == 0 ? NULL : "only a held run has a wake mark";
}

static const char *due_fault(const struct kedge_run *r)
{
    if (r->due <= 0)
        return "a due run needs a time";
    return r->wakes_on == 0 ? unheld_fault(r) : "a due run waits for nothing else";
}

static const char *held_fault(const struct kedge_run *r)
{
    if (kit_id_zero(&r->holder))
        return "a held run needs a holder";
    return r->due == 0 && r->wakes_on == 0 ? NULL : "a held run is not due and waits for nothing";
}

static const char *parked_fault(const struct kedge_run *r)
{
    if (r->status != KEDGE_PAUSED)
        return "a parked run needs the status paused";
    if (r->wakes_on == 0)
        return "a parked run needs something that wakes it";
    if (((r->wakes_on & KEDGE_WAKES_ON_TIME) != 0) != (r->due != 0))
        return "a backstop time and waiting for time belong together";
    return unheld_fault(r);
}

static const char *rest_fault(const struct kedge_run *r)
{
    if (!status_in(r->status, KEDGE_STATUSES_RESTING))
        return "a run at rest needs a resting status";
    if (r->due != 0 || r->wakes_on != 0)
        return "a run at rest is not due and waits for nothing";
    if (r->finished <= 0)
        return "a run at rest needs the time it finished";
    return unheld_fault(r);
}

const char *kit_run_sound(const struct kit_run *run)
{
    const struct kedge_run *r = &run->r;
    const char *fault = NULL;

    if (r->incarnation == 0 || r->fence < r->incarnation)
        return "the fence of a run is never below its incarnation";
    if (r->snapshot_position > r->position)
        return "a snapshot covers no more records than there are";
    if (r->place != KEDGE_PLACE_REST)
        fault = unfinished_fault(r);
    if (fault != NULL)
        return fault;
    switch (r->place) {
    case KEDGE_PLACE_DUE:
        return due_fault(r);
    case KEDGE_PLACE_HELD:
        return held_fault(r);
    case KEDGE_PLACE_PARKED:
        return parked_fault(r);
    case KEDGE_PLACE_REST:
        return rest_fault(r);
    default:
        return "a run is due, held, parked or at rest";
    }
}

bool kit_run_claimable(const struct kit_run *run, int64_t now_wall)
{
    if (run->r.place != KEDGE_PLACE_DUE && run->r.place != KEDGE_PLACE_PARKED)
        return false;
    return run->r.due != 0 && run->r.due <= now_wall;
}

bool kit_served(const struct kedge_run *run, const struct kedge_serve *serves, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (run->version >= serves[i].version_min && run->version <= serves[i].version_max &&
            kit_bytes_equal(run->queue, serves[i].queue) &&
            kit_bytes_equal(run->reactor, serves[i].reactor))
            return true;
    }
    return false;
}

static void clear_marks(struct kedge_run *r)
{
    r->due = 0;
    r->wakes_on = 0;
    r->wake_mark = 0;
}

static void touched(struct kit_run *run)
{
    run->head_revision++;
    kit_run_load(run, run->r.position);
}

void kit_run_take(struct kit_run *run, const struct kedge_id128 *lease, uint64_t fence,
                  const struct kedge_id128 *request, struct kedge_when hold_until, int64_t now_wall)
{
    clear_marks(&run->r);
    run->r.place = KEDGE_PLACE_HELD;
    run->r.holder = *lease;
    run->r.fence = fence;
    run->r.hold_until = kit_when(hold_until, now_wall);
    if (run->r.status == KEDGE_PENDING || run->r.status == KEDGE_PAUSED)
        run->r.status = KEDGE_RUNNING;
    run->take_request = *request;
    /* A holder that wrote no head leaves the one before it in place: an id more does no harm. */
    if (!kit_id_zero(&run->last.request))
        run->prev = run->last;
    memset(&run->last, 0, sizeof run->last);
    touched(run);
}

void kit_run_hand_back(struct kit_run *run, int64_t at)
{
    clear_marks(&run->r);
    run->r.place = KEDGE_PLACE_DUE;
    run->r.due = at > 1 ? at : 1;
    memset(&run->r.holder, 0, sizeof run->r.holder);
    run->r.hold_until = 0;
    touched(run);
}

bool kit_run_unheld(const struct kit_run *run, const struct kit_lease *lease, int64_t now_wall)
{
    if (run->r.place != KEDGE_PLACE_HELD)
        return true;
    if (lease == NULL || lease->l.state == KEDGE_LEASE_DEAD)
        return true;
    return run->r.hold_until != 0 && run->r.hold_until <= now_wall;
}

uint32_t kit_run_sweep(const struct kit_run *run, const struct kit_lease *lease, int64_t now_wall,
                       int64_t now_lease)
{
    if (run->r.place != KEDGE_PLACE_HELD)
        return 0;
    if (lease == NULL)
        return KEDGE_SWEEP_NOLEASE;
    if (lease->l.state == KEDGE_LEASE_DEAD)
        return KEDGE_SWEEP_DEAD;
    if (kit_lease_lapsed(lease, now_lease))
        return KEDGE_SWEEP_LAPSED;
    if (run->r.hold_until != 0 && run->r.hold_until <= now_wall)
        return KEDGE_SWEEP_OVERDUE;
    return 0;
}

int64_t kit_run_sweep_since(const struct kit_run *run, const struct kit_lease *lease,
                            uint32_t reason, int64_t wall_minus_lease)
{
    switch (reason) {
    case KEDGE_SWEEP_DEAD:
        return lease->died + wall_minus_lease;
    case KEDGE_SWEEP_LAPSED:
        return lease->l.deadline + wall_minus_lease;
    case KEDGE_SWEEP_OVERDUE:
        return run->r.hold_until;
    default:
        return INT64_MIN;
    }
}

bool kit_run_listed(const struct kedge_list *in, const struct kit_run *run, int64_t now_wall)
{
    const struct kedge_run *r = &run->r;

    if (kit_run_expired(run, now_wall))
        return false;
    if (in->statuses != 0 && (in->statuses & KEDGE_STATUS_BIT(r->status)) == 0)
        return false;
    if (in->reactor.len != 0 && !kit_bytes_equal(in->reactor, r->reactor))
        return false;
    if (in->parent.len != 0 &&
        (!kit_bytes_equal(in->parent, r->parent) || in->parent_incarnation == 0 ||
         in->parent_incarnation != r->parent_incarnation))
        return false;
    if (in->unserved == 0)
        return true;
    return (r->place == KEDGE_PLACE_DUE || kit_run_claimable(run, now_wall)) &&
           !kit_served(r, in->serves, in->n_serves);
}
