/*
 * resend.c - has this very commit been carried out before?
 *
 * A commit is all or nothing, so one trace of its request id proves all of it.  A record decides
 * either way: if number `first' is not there yet, or another commit wrote it, this one never took
 * place.  That is why a plain append needs no look at any id.  Rows that have expired are looked
 * at as well: what happened has happened.
 */
#include "stage.h"

enum trace { TRACE_NONE = 0, TRACE_YES = 1, TRACE_NO = 2 };

static bool wrote_head(const struct kit_run *run, const struct kedge_id128 *request)
{
    return kit_id_equal(&run->last.request, request) || kit_id_equal(&run->prev.request, request) ||
           kit_id_equal(&run->take_request, request) || kit_id_equal(&run->create_request, request);
}

static int in_record(struct kit_plan *plan, const struct kedge_change *ch,
                     const struct kit_run *run, enum trace *out)
{
    struct kedge_id128 request;
    int rc;

    *out = TRACE_NO;
    if (ch->append.first > run->r.position)
        return KEDGE_OK;
    rc = plan->step->store->record_request(plan->step->ctx, run, ch->append.first, &request);
    if (rc != KEDGE_OK)
        return rc == KEDGE_NOT_FOUND ? KEDGE_ERR_CORRUPT : rc;
    if (kit_id_equal(&request, &plan->commit->request))
        *out = TRACE_YES;
    return KEDGE_OK;
}

static int in_run(struct kit_plan *plan, const struct kedge_change *ch, enum trace *out)
{
    struct kit_staged_run *run;
    int rc = kit_stage_run(plan, ch->name, &run);

    if (rc != KEDGE_OK || run->old == NULL)
        return rc;
    if (wrote_head(run->old, &plan->commit->request))
        *out = TRACE_YES;
    else if (ch->kind == KEDGE_APPEND)
        rc = in_record(plan, ch, run->old, out);
    return rc;
}

static int in_change(struct kit_plan *plan, const struct kedge_change *ch, enum trace *out)
{
    struct kit_staged_cell *cell;
    struct kit_staged_lock *lock;
    int rc;

    *out = TRACE_NONE;
    switch (ch->kind) {
    case KEDGE_CREATE:
    case KEDGE_TAKE:
    case KEDGE_APPEND:
    case KEDGE_SNAPSHOT:
    case KEDGE_SET:
    case KEDGE_RELEASE:
    case KEDGE_SLOTS:
        return in_run(plan, ch, out);
    case KEDGE_CELL_PUT:
        rc = kit_stage_cell(plan, ch->name, &cell);
        if (rc == KEDGE_OK && cell->old != NULL &&
            kit_id_equal(&cell->old->request, &plan->commit->request))
            *out = TRACE_YES;
        return rc;
    case KEDGE_LOCK_TAKE:
        rc = kit_stage_lock(plan, ch->name, &lock);
        if (rc == KEDGE_OK && lock->old != NULL &&
            kit_id_equal(&lock->old->request, &plan->commit->request))
            *out = TRACE_YES;
        return rc;
    default: /* doing the others twice is harmless */
        return KEDGE_OK;
    }
}

/* ---------------------------------------------------- the original answer */

static const struct kit_done *done_by(const struct kit_run *run, const struct kedge_id128 *request)
{
    if (kit_id_equal(&run->last.request, request))
        return &run->last;
    return kit_id_equal(&run->prev.request, request) ? &run->prev : NULL;
}

static uint64_t fence_given(const struct kit_run *run, const struct kedge_id128 *request)
{
    const struct kit_done *done = done_by(run, request);

    if (done != NULL)
        return done->fence;
    return kit_id_equal(&run->take_request, request) ? run->r.fence : 0;
}

static uint64_t result_of(struct kit_plan *plan, const struct kedge_change *ch)
{
    const struct kedge_id128 *request = &plan->commit->request;
    struct kit_staged_run *run;
    struct kit_staged_cell *cell;
    struct kit_staged_lock *lock;
    struct kit_slots slots;

    switch (ch->kind) {
    case KEDGE_CREATE:
        if (kit_stage_run(plan, ch->name, &run) != KEDGE_OK || run->old == NULL)
            return 0;
        return run->old->r.incarnation;
    case KEDGE_TAKE:
        if (kit_stage_run(plan, ch->name, &run) != KEDGE_OK || run->old == NULL)
            return 0;
        return fence_given(run->old, request);
    case KEDGE_APPEND:
        return ch->append.first + ch->append.n - 1;
    case KEDGE_SLOT_PUT:
        if (plan->step->store->slots_get(plan->step->ctx, ch->slot.incarnation, ch->slot.set,
                                         &slots) != KEDGE_OK)
            return 0;
        return slots.remaining;
    case KEDGE_CELL_PUT:
        if (kit_stage_cell(plan, ch->name, &cell) != KEDGE_OK || cell->old == NULL)
            return 0;
        return kit_id_equal(&cell->old->request, request) ? cell->old->version : 0;
    case KEDGE_LOCK_TAKE:
        if (kit_stage_lock(plan, ch->name, &lock) != KEDGE_OK || lock->old == NULL)
            return 0;
        return kit_id_equal(&lock->old->request, request) ? lock->old->fence : 0;
    default:
        return 0;
    }
}

/* Of the subject as it was after the commit; flags and status are today's. */
static void answer_again(struct kit_plan *plan, struct kedge_answer *answer)
{
    const struct kedge_commit *commit = plan->commit;
    const struct kit_run *run = plan->subject != NULL ? plan->subject->old : NULL;
    const struct kit_done *done;

    if (run == NULL)
        return;
    kit_answer_run(answer, &run->r);
    done = done_by(run, &commit->request);
    if (done != NULL) {
        answer->fence = done->fence;
        answer->revision = done->revision;
        answer->position = done->position;
        return;
    }
    if (kit_id_equal(&run->create_request, &commit->request))
        answer->fence = run->r.incarnation;
    for (size_t i = 0; i < commit->n_guards; i++) {
        if (commit->guards[i].kind == KEDGE_GUARD_HELD &&
            kit_bytes_equal(commit->guards[i].name, plan->subject->id))
            answer->fence = commit->guards[i].number;
    }
    for (size_t i = 0; i < commit->n_changes; i++) {
        const struct kedge_change *ch = &commit->changes[i];

        if (ch->kind != KEDGE_APPEND || !kit_bytes_equal(ch->name, plan->subject->id))
            continue;
        answer->position = ch->append.first + ch->append.n - 1;
        answer->revision = run->head_revision + answer->position;
    }
}

int kit_resent(struct kit_plan *plan, struct kedge_answer *answer)
{
    const struct kedge_commit *commit = plan->commit;
    enum trace trace = TRACE_NONE;

    for (size_t i = 0; trace == TRACE_NONE && i < commit->n_changes; i++) {
        int rc = in_change(plan, &commit->changes[i], &trace);

        if (rc != KEDGE_OK)
            return rc;
    }
    if (trace != TRACE_YES)
        return KEDGE_NOT_FOUND;
    answer_again(plan, answer);
    for (size_t i = 0; commit->results != NULL && i < commit->n_changes; i++)
        commit->results[i] = result_of(plan, &commit->changes[i]);
    return KEDGE_OK;
}
