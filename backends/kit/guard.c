/*
 * guard.c - do the guards of a commit hold?
 *
 * They see the store as it was before the commit.  All are looked at: the answer is the one that
 * comes first in the order NOT_FOUND, EXISTS, STALE, LOST, which is the order of the codes.
 */
#include "stage.h"

_Static_assert(KEDGE_NOT_FOUND < KEDGE_EXISTS && KEDGE_EXISTS < KEDGE_STALE &&
                   KEDGE_STALE < KEDGE_LOST,
               "the codes are in the order of severity");

static int held(struct kit_plan *plan, const struct kedge_guard *g, struct kit_staged_run *run)
{
    int rc;

    if (run->now.r.place != KEDGE_PLACE_HELD || run->now.r.fence != g->number ||
        !kit_id_equal(&run->now.r.holder, &g->lease))
        return KEDGE_STALE;
    rc = kit_plan_alive(plan, &g->lease);
    run->owned = run->owned || rc == KEDGE_OK;
    return rc;
}

static int unheld(struct kit_plan *plan, const struct kedge_guard *g, struct kit_staged_run *run)
{
    bool yes;
    int rc;

    if ((KEDGE_STATUS_BIT(run->now.r.status) & g->statuses) == 0 ||
        run->now.r.revision != g->number)
        return KEDGE_STALE;
    rc = kit_plan_unheld(plan, &run->now, &yes);
    if (rc != KEDGE_OK)
        return rc;
    run->owned = run->owned || yes;
    return yes ? KEDGE_OK : KEDGE_STALE;
}

static int on_run(struct kit_plan *plan, const struct kedge_guard *g)
{
    struct kit_staged_run *run;
    int rc = kit_stage_run(plan, g->name, &run);

    if (rc != KEDGE_OK)
        return rc;
    if (g->kind == KEDGE_GUARD_ABSENT)
        return run->there ? KEDGE_EXISTS : KEDGE_OK;
    if (!run->there)
        return KEDGE_NOT_FOUND;
    if (g->kind == KEDGE_GUARD_HELD)
        return held(plan, g, run);
    if (g->kind == KEDGE_GUARD_UNHELD)
        return unheld(plan, g, run);
    return run->now.r.position == g->number ? KEDGE_OK : KEDGE_STALE;
}

static int on_lock(struct kit_plan *plan, const struct kedge_guard *g)
{
    struct kit_staged_lock *lock;
    int rc = kit_stage_lock(plan, g->name, &lock);

    if (rc != KEDGE_OK)
        return rc;
    if (!lock->there)
        return KEDGE_NOT_FOUND;
    if (lock->now.fence != g->number || !kit_id_equal(&lock->now.lease, &g->lease))
        return KEDGE_STALE;
    return kit_plan_alive(plan, &g->lease);
}

static int on_cell(struct kit_plan *plan, const struct kedge_guard *g)
{
    struct kit_staged_cell *cell;
    int rc = kit_stage_cell(plan, g->name, &cell);

    if (rc != KEDGE_OK)
        return rc;
    return (cell->there ? cell->now.version : 0) == g->number ? KEDGE_OK : KEDGE_STALE;
}

static int guard(struct kit_plan *plan, const struct kedge_guard *g)
{
    int rc;

    switch (g->kind) {
    case KEDGE_GUARD_LEASE_LIVE:
        return kit_plan_alive(plan, &g->lease);
    case KEDGE_GUARD_LEASE_DEAD:
        rc = kit_plan_alive(plan, &g->lease);
        if (rc < 0)
            return rc;
        return rc == KEDGE_LOST ? KEDGE_OK : KEDGE_STALE;
    case KEDGE_GUARD_LOCK:
        return on_lock(plan, g);
    case KEDGE_GUARD_CELL:
        return on_cell(plan, g);
    case KEDGE_GUARD_TIME:
        return plan->step->now_wall >= g->from && plan->step->now_wall < g->to ? KEDGE_OK
                                                                               : KEDGE_STALE;
    default:
        return on_run(plan, g);
    }
}

int kit_guards(struct kit_plan *plan, uint32_t *at)
{
    int worst = KEDGE_OK;

    for (size_t i = 0; i < plan->commit->n_guards; i++) {
        int rc = guard(plan, &plan->commit->guards[i]);

        if (rc < 0 || (rc != KEDGE_OK && (worst == KEDGE_OK || rc < worst))) {
            *at = (uint32_t)i;
            worst = rc;
        }
        if (rc < 0)
            break;
    }
    return worst;
}
