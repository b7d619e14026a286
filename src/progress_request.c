/*
 * progress_request.c - what people ask of a run, as records of its journal
 *
 * A request is asked for by its verb, refused if it does not fit where the run stands, and recorded
 * otherwise.  kedge_progress_refuses() is asked before a record is written and when one is read, so
 * that there is one answer to both.
 */
#include <config.h>

#include <string.h>

#include "fold.h"

static int ended_as(const struct kedge_progress *p, uint32_t status)
{
    return p->phase == KEDGE_PHASE_ENDED && p->status == status;
}

static const char *refuses_cancel(const struct kedge_progress *p)
{
    if (p->phase == KEDGE_PHASE_ENDED)
        return "has come to its end";
    if (p->phase == KEDGE_PHASE_STOPPING || p->phase == KEDGE_PHASE_BACK)
        return "is on its way back already";
    return NULL;
}

static const char *refuses_pause(const struct kedge_progress *p)
{
    if (p->phase == KEDGE_PHASE_ENDED)
        return "has come to its end";
    if (p->phase != KEDGE_PHASE_FORWARD)
        return "is not going forward";
    return p->why.paused ? "is paused already" : NULL;
}

/* The verbs for stuck runs: STEP, or all of them. */
static const char *refuses_unstick(const struct kedge_progress *p, uint32_t verb, uint32_t step)
{
    uint32_t loop;

    if (!ended_as(p, KEDGE_STUCK))
        return "is not stuck";
    loop = kedge_progress_in_the_way(p);
    if (step != KEDGE_NO_STEP)
        return step < p->n && (p->state[step] == KEDGE_STEP_UNDO_FAILED || step == loop)
                   ? NULL
                   : "is not stuck in the undo of that step";
    if (p->n_undo_failed > 0 || loop != NONE || (verb == KEDGE_VERB_RETRY_UNDO && p->why.stuck))
        return NULL;
    return "is not stuck in an undo";
}

const char *kedge_progress_refuses(const struct kedge_progress *p, uint32_t verb, uint32_t step)
{
    if (p->why.aside && verb != KEDGE_VERB_RESUME && verb != KEDGE_VERB_ABANDON)
        return "was set aside";
    switch (verb) {
    case KEDGE_VERB_CANCEL:
        return refuses_cancel(p);
    case KEDGE_VERB_PAUSE:
        return refuses_pause(p);
    case KEDGE_VERB_RESUME:
        return p->why.paused || p->why.aside || (ended_as(p, KEDGE_STUCK) && p->why.stuck)
                   ? NULL
                   : "is neither paused nor set aside";
    case KEDGE_VERB_UNDO:
        return ended_as(p, KEDGE_COMPLETED) || ended_as(p, KEDGE_HALTED)
                   ? NULL
                   : "has not come to a good end";
    case KEDGE_VERB_RETRY:
        return ended_as(p, KEDGE_FAILED) || ended_as(p, KEDGE_CANCELLED)
                   ? NULL
                   : "has not been rolled back";
    case KEDGE_VERB_RETRY_UNDO:
    case KEDGE_VERB_SKIP_UNDO:
    case KEDGE_VERB_MARK_UNDONE:
        return refuses_unstick(p, verb, step);
    case KEDGE_VERB_ABANDON:
        return p->phase == KEDGE_PHASE_ENDED && p->status != KEDGE_STUCK ? "has come to its end"
                                                                         : NULL;
    default:
        return "knows no such request";
    }
}

/* -------------------------------------------------------------- way back, again */

/* Where a step goes whose undo or compensate had failed, or killed who tried it. */
static unsigned char unstuck(const struct kedge_progress *p, uint32_t verb, uint32_t step)
{
    int was_done = (p->flags[step] & ORDERED) != 0;

    if (verb == KEDGE_VERB_SKIP_UNDO)
        return KEDGE_STEP_LEFT;
    if (verb == KEDGE_VERB_MARK_UNDONE)
        return was_done ? KEDGE_STEP_UNDONE : KEDGE_STEP_COMPENSATED;
    return was_done ? KEDGE_STEP_DONE : KEDGE_STEP_FAILED;
}

static void unstick(struct kedge_progress *p, uint32_t verb, uint32_t which)
{
    uint32_t loop = verb != KEDGE_VERB_RETRY_UNDO ? kedge_progress_in_the_way(p) : NONE;

    for (uint32_t i = 0; i < p->n; i++) {
        int failed = p->state[i] == KEDGE_STEP_UNDO_FAILED;

        if ((!failed && i != loop) || (which != KEDGE_NO_STEP && which != i))
            continue;
        kedge_fold_take_out(p, i);
        p->state[i] = unstuck(p, verb, i);
        p->n_undo_failed -= (uint32_t)failed;
        if (verb == KEDGE_VERB_MARK_UNDONE)
            p->flags[i] &= (unsigned char)~DOUBT;
        kedge_fold_set_odd(p, i);
    }
    kedge_fold_drop_text(p, &p->undo);
    for (uint32_t i = 0; i < p->n && p->n_undo_failed > 0 && p->undo.step == NONE; i++) {
        if (p->state[i] == KEDGE_STEP_UNDO_FAILED) /* its text is read when it is needed */
            p->undo = (struct ending){ .step = i, .record = (uint64_t)p->until[i] };
    }
    p->why.stuck = 0;
    p->phase = KEDGE_PHASE_BACK;
    p->settled = 1;
    kedge_fold_rewind(p);
}

static void go_back(struct kedge_progress *p)
{
    p->why.cancelled = 1;
    p->why.paused = 0;
    p->phase = KEDGE_PHASE_STOPPING;
}

/* --------------------------------------------------------------- forward, again */

/*
 * What is done stays done, unless it was taken back or comes after something that runs again: its
 * value was made from the other's.  order[] has a step behind all that it comes after.
 */
static void run_again(struct kedge_progress *p)
{
    uint32_t n_done = p->n_order;
    unsigned char *kept = p->steps; /* room nobody needs now: at least a byte each */

    memset(kept, 0, p->n);
    for (uint32_t i = 0; i < n_done; i++) {
        uint32_t step = p->order[i];
        const struct kedge_reactor_step *def = &p->reactor->steps[step];
        int keep = p->state[step] == KEDGE_STEP_DONE || p->state[step] == KEDGE_STEP_SKIPPED;

        for (uint32_t k = 0; k < def->n_after && keep; k++)
            keep = kept[def->after[k]] != 0;
        kept[step] = keep ? p->state[step] : 0;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        kedge_fold_take_out(p, i);
        p->flags[i] &= (unsigned char)(kept[i] != 0 ? VALUE | ODD : DOUBT | ODD);
        p->failures[i] = 0;
        if (kept[i] == 0)
            p->record[i] = 0;
    }
    p->n_order = 0;
    p->list_size = 0;
    kedge_fold_begin(p);
    for (uint32_t i = 0; i < n_done; i++) {
        uint32_t step = p->order[i];

        if (kept[step] == 0)
            continue;
        kedge_fold_take_out(p, step);
        kedge_fold_finish(p, step, kept[step], p->record[step]);
    }
}

static void retry(struct kedge_progress *p)
{
    run_again(p);
    kedge_fold_drop_text(p, &p->failed);
    kedge_fold_drop_text(p, &p->halted);
    kedge_fold_drop_text(p, &p->undo);
    kedge_fold_drop_text(p, &p->asked);
    memset(&p->why, 0, sizeof p->why);
    p->settled = 0;
    p->n_undo_failed = 0;
    p->deadline = 0; /* whoever asks decides how long it may take */
    p->round++;
}

/* ---------------------------------------------------------------------- resume */

static void resume(struct kedge_progress *p)
{
    if (p->why.aside)
        p->why.aside = 0;
    else if (p->why.paused)
        p->why.paused = 0;
    else
        unstick(p, KEDGE_VERB_RETRY_UNDO, KEDGE_NO_STEP);
}

static void carry_out(struct kedge_progress *p, uint32_t verb, uint32_t step)
{
    switch (verb) {
    case KEDGE_VERB_CANCEL:
    case KEDGE_VERB_UNDO:
        go_back(p);
        break;
    case KEDGE_VERB_PAUSE:
        p->why.paused = 1;
        break;
    case KEDGE_VERB_RESUME:
        resume(p);
        break;
    case KEDGE_VERB_RETRY:
        retry(p);
        break;
    case KEDGE_VERB_ABANDON:
        p->why.abandoned = 1;
        p->why.aside = 0;
        p->phase = KEDGE_PHASE_BACK;
        break;
    default:
        unstick(p, verb, step);
        break;
    }
    p->status = 0;
}

int kedge_fold_request(struct kedge_progress *p, uint64_t number, const struct kedge_rec *rec,
                       struct kedge_error *err)
{
    uint32_t verb = rec->number < KEDGE_VERB_END_ ? (uint32_t)rec->number : 0;
    const char *why = kedge_progress_refuses(p, verb, rec->step);
    struct kedge_rec reason = *rec;
    int rc = KEDGE_OK;

    if (why != NULL)
        return kedge_fold_contradiction(p, number, rec, err, why);
    reason.step = KEDGE_NO_STEP;
    if (verb == KEDGE_VERB_CANCEL || verb == KEDGE_VERB_UNDO || verb == KEDGE_VERB_ABANDON)
        rc = kedge_fold_keep_text(p, &p->asked, number, &reason, err);
    if (rc == KEDGE_OK)
        carry_out(p, verb, rec->step);
    return rc;
}
