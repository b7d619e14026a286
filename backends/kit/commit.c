/*
 * commit.c - one commit, from the question whether it was seen before to the last write
 *
 *   kit_resent    was it carried out already?  Then the old answer is given again.
 *   kit_guards    do all guards hold?
 *   kit_changes   what do the changes make of the staged copies?
 *   settled       is every run in exactly one place (I3), and every slot filled that must be?
 *   write_all     fences, heads, records, and the rest
 *
 * Choices the contract leaves open:
 *
 *   - A commit under GUARD_UNHELD without TAKE writes `last' as well: it is the last commit under
 *     the present fence.  WAKE, REQUEST and SLOT_PUT leave it alone, so that they do not cover up a
 *     holder's commit that is in doubt.
 *   - REOPEN without a status makes the run pending; a claim makes that running.
 *   - A run whose holder is dead or overdue is unheld: WAKE makes it due.
 *   - A wake mark makes any release due now, not only a parking: a wake must not depend on whether
 *     it came just before or just after the release.
 *   - SLOT_PUT does not wake a run that is parked without KEDGE_WAKES_ON_SLOTS.
 */
#include "stage.h"

void kit_answer_run(struct kedge_answer *answer, const struct kedge_run *run)
{
    answer->requests = run->requests;
    answer->status = run->status;
    answer->revision = run->revision;
    answer->position = run->position;
    answer->fence = run->fence;
}

/* ------------------------------------------------------------------- settled */

static bool fills_slot(const struct kedge_commit *commit, const struct kedge_run *child)
{
    for (size_t i = 0; i < commit->n_changes; i++) {
        const struct kedge_change *ch = &commit->changes[i];

        if (ch->kind == KEDGE_SLOT_PUT && ch->slot.index == child->parent_slot &&
            ch->slot.set == child->parent_set &&
            ch->slot.incarnation == child->parent_incarnation &&
            kit_bytes_equal(ch->name, child->parent))
            return true;
    }
    return false;
}

static const char *unsettled(const struct kedge_commit *commit, const struct kit_staged_run *run)
{
    const struct kedge_run *r = &run->now.r;
    bool was_at_rest = !run->created && run->old->r.place == KEDGE_PLACE_REST;

    if (run->wants_rest && r->place != KEDGE_PLACE_REST)
        return "only a run at rest may expire";
    if (r->expires != 0 && !was_at_rest && (r->status == KEDGE_STUCK || r->status == KEDGE_ABORTED))
        return "a stuck or aborted run expires when that is asked for later, and not by itself";
    if (r->place == KEDGE_PLACE_REST && !was_at_rest && r->parent_slot != KEDGE_NO_SLOT &&
        !fills_slot(commit, r))
        return "a run that is put to rest must fill its slot of the parent";
    return kit_run_sound(&run->now);
}

/* Where to point: the last change that names RUN. */
static uint32_t last_change(const struct kedge_commit *commit, const struct kit_staged_run *run)
{
    size_t at = commit->n_changes;

    while (at > 0 && (commit->changes[at - 1].kind > KEDGE_SLOT_PUT ||
                      !kit_bytes_equal(commit->changes[at - 1].name, run->id)))
        at--;
    return (uint32_t)(commit->n_guards + (at > 0 ? at - 1 : 0));
}

static int settled(struct kit_plan *plan, uint32_t *at)
{
    const struct kit_pool *pool = &plan->scratch->runs;

    for (size_t i = 0; i < pool->n; i++) {
        const struct kit_staged_run *run = pool->items[i];
        const char *why = run->dirty ? unsettled(plan->commit, run) : NULL;

        if (why == NULL)
            continue;
        *at = last_change(plan->commit, run);
        return kit_plan_fail(plan, KEDGE_ERR_INVALID, why);
    }
    return KEDGE_OK;
}

/* ------------------------------------------------------------------- writing */

static void issue_fences(struct kit_plan *plan)
{
    const struct kedge_commit *commit = plan->commit;

    for (size_t i = 0; i < commit->n_changes; i++) {
        struct kit_staged_change *out = &plan->scratch->changes[i];
        uint32_t kind = commit->changes[i].kind;

        if (out->target == NULL || (kind != KEDGE_CREATE && kind != KEDGE_TAKE &&
                                    kind != KEDGE_CELL_PUT && kind != KEDGE_LOCK_TAKE))
            continue;
        out->result = plan->step->store->fence_next(plan->step->ctx);
        if (kind == KEDGE_CELL_PUT) {
            ((struct kit_staged_cell *)out->target)->now.version = out->result;
        } else if (kind == KEDGE_LOCK_TAKE) {
            ((struct kit_staged_lock *)out->target)->now.fence = out->result;
        } else {
            struct kit_staged_run *run = out->target;

            run->now.r.fence = out->result;
            if (kind == KEDGE_CREATE)
                run->now.r.incarnation = out->result;
        }
    }
}

static bool brings_work(const struct kit_staged_run *run)
{
    const struct kedge_run *now = &run->now.r;
    const struct kedge_run *old = run->created ? NULL : &run->old->r;

    if (now->due == 0)
        return false;
    return old == NULL || old->due != now->due || !kit_bytes_equal(old->queue, now->queue);
}

static int write_head(struct kit_plan *plan, struct kit_staged_run *run)
{
    const struct kit_store *store = plan->step->store;
    struct kit_run *now = &run->now;
    int rc;

    now->head_revision = run->created ? 1 : run->old->head_revision + 1;
    kit_run_load(now, now->r.position);
    if (run->owned) {
        now->last.request = plan->commit->request;
        now->last.fence = now->r.fence;
        now->last.revision = now->r.revision;
        now->last.position = now->r.position;
    }
    if (!run->created)
        return store->run_put(plan->step->ctx, run->old, now);
    if (run->old != NULL) {
        rc = store->run_drop(plan->step->ctx, run->old);
        if (rc != KEDGE_OK)
            return rc;
    }
    return store->run_put(plan->step->ctx, NULL, now);
}

static int write_heads(struct kit_plan *plan)
{
    const struct kit_pool *pool = &plan->scratch->runs;
    bool work = false;

    for (size_t i = 0; i < pool->n; i++) {
        struct kit_staged_run *run = pool->items[i];
        int rc = run->dirty ? write_head(plan, run) : KEDGE_OK;

        if (rc != KEDGE_OK)
            return rc;
        work = work || (run->dirty && brings_work(run));
    }
    if (work)
        plan->step->store->work(plan->step->ctx);
    return KEDGE_OK;
}

static int write_journals(struct kit_plan *plan)
{
    const struct kedge_commit *commit = plan->commit;
    const struct kit_step *step = plan->step;

    for (size_t i = 0; i < commit->n_changes; i++) {
        const struct kedge_change *ch = &commit->changes[i];
        const struct kit_staged_run *run = plan->scratch->changes[i].target;
        int rc = KEDGE_OK;

        if (run == NULL)
            continue;
        if (ch->kind == KEDGE_APPEND)
            rc = step->store->append(step->ctx, &run->now, ch->append.first, ch->append.records,
                                     ch->append.n, &commit->request, step->now_wall);
        else if (ch->kind == KEDGE_SNAPSHOT)
            rc = step->store->snapshot_put(step->ctx, &run->now, ch->snapshot.data);
        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

static int write_slots(struct kit_plan *plan)
{
    const struct kit_step *step = plan->step;
    const struct kit_pool *sets = &plan->scratch->sets;
    const struct kit_pool *slots = &plan->scratch->slots;

    for (size_t i = 0; i < sets->n; i++) {
        const struct kit_staged_set *e = sets->items[i];
        int rc = KEDGE_OK;

        if (e->dirty)
            rc = step->store->slots_put(step->ctx, e->run->now.r.incarnation, e->set, &e->now);
        if (rc != KEDGE_OK)
            return rc;
    }
    for (size_t i = 0; i < slots->n; i++) {
        const struct kit_staged_slot *e = slots->items[i];
        int rc = step->store->slot_put(step->ctx, e->set->run->now.r.incarnation, e->set->set,
                                       e->index, e->value);

        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

static int write_cells(struct kit_plan *plan)
{
    const struct kit_step *step = plan->step;
    const struct kit_pool *pool = &plan->scratch->cells;

    for (size_t i = 0; i < pool->n; i++) {
        const struct kit_staged_cell *e = pool->items[i];
        int rc = KEDGE_OK;

        if (e->dirty && e->there)
            rc = step->store->cell_put(step->ctx, e->name, e->old, &e->now);
        else if (e->dirty && e->old != NULL)
            rc = step->store->cell_delete(step->ctx, e->name, e->old);
        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

static int write_locks(struct kit_plan *plan)
{
    const struct kit_step *step = plan->step;
    const struct kit_pool *pool = &plan->scratch->locks;

    for (size_t i = 0; i < pool->n; i++) {
        const struct kit_staged_lock *e = pool->items[i];
        int rc = KEDGE_OK;

        if (e->dirty && e->there)
            rc = step->store->lock_put(step->ctx, e->name, e->old, &e->now);
        else if (e->dirty && e->old != NULL)
            rc = step->store->lock_delete(step->ctx, e->name, e->old);
        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

static int write_leases(struct kit_plan *plan)
{
    const struct kit_pool *pool = &plan->scratch->leases;

    for (size_t i = 0; i < pool->n; i++) {
        const struct kit_staged_lease *e = pool->items[i];
        int rc = e->dirty ? plan->step->store->lease_put(plan->step->ctx, &e->now) : KEDGE_OK;

        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

static int write_all(struct kit_plan *plan)
{
    int rc;

    issue_fences(plan);
    rc = write_heads(plan);
    if (rc == KEDGE_OK)
        rc = write_journals(plan);
    if (rc == KEDGE_OK)
        rc = write_slots(plan);
    if (rc == KEDGE_OK)
        rc = write_cells(plan);
    if (rc == KEDGE_OK)
        rc = write_locks(plan);
    return rc == KEDGE_OK ? write_leases(plan) : rc;
}

/* ----------------------------------------------------------------- the answer */

static const char *reason(int outcome)
{
    switch (outcome) {
    case KEDGE_ERR_NOMEM:
        return "there is no memory";
    case KEDGE_ERR_CORRUPT:
        return "a stored record cannot be understood";
    default:
        return "the store cannot be read or written";
    }
}

static void refused(const struct kit_plan *plan, struct kedge_answer *answer, int outcome,
                    uint32_t at)
{
    const struct kit_staged_run *run = plan->subject;

    answer->outcome = outcome;
    answer->at = at;
    if (run != NULL && run->old != NULL && !kit_run_expired(run->old, plan->step->now_wall))
        kit_answer_run(answer, &run->old->r);
    if (outcome >= 0)
        return;
    (void)snprintf(answer->why, sizeof answer->why, "%s",
                   plan->why != NULL ? plan->why : reason(outcome));
}

static int decide(struct kit_plan *plan, uint32_t *at)
{
    int rc = kit_guards(plan, at);

    if (rc == KEDGE_OK)
        rc = kit_changes(plan, at);
    return rc == KEDGE_OK ? settled(plan, at) : rc;
}

int kit_commit(struct kit_step *step, const struct kedge_commit *commit,
               struct kedge_answer *answer)
{
    struct kit_plan plan = { .step = step, .scratch = step->scratch, .commit = commit };
    uint32_t at = 0;
    int rc = kit_plan_begin(&plan);

    memset(answer, 0, offsetof(struct kedge_answer, why) + 1);
    if (rc == KEDGE_OK)
        rc = kit_resent(&plan, answer);
    if (rc == KEDGE_OK)
        return rc;
    if (rc == KEDGE_NOT_FOUND)
        rc = decide(&plan, &at);
    if (rc != KEDGE_OK) {
        refused(&plan, answer, rc, at);
        return KEDGE_OK;
    }
    rc = write_all(&plan);
    if (rc != KEDGE_OK) {
        refused(&plan, answer, rc, 0);
        return rc;
    }
    if (plan.subject != NULL && plan.subject->there)
        kit_answer_run(answer, &plan.subject->now.r);
    for (size_t i = 0; commit->results != NULL && i < commit->n_changes; i++)
        commit->results[i] = plan.scratch->changes[i].result;
    return KEDGE_OK;
}
