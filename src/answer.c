/*
 * answer.c - the store's answer to the commit of a run in flight
 *
 * Done: its steps are told of, what they set free starts, or the run goes.  No: it has gone
 * elsewhere, unless that was the repetition of a commit that took place.  In doubt, or away: sent
 * again.
 */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "kassert.h"
#include "session.h"
#include "worker.h"

static void emit_run(struct kedge_worker *w, const struct kedge_inflight *run, uint32_t kind,
                     uint32_t outcome, int64_t us)
{
    if (w->options.observe != NULL)
        kedge_worker_emit(w, &(struct kedge_event){
                                 .struct_size = sizeof(struct kedge_event),
                                 .kind = kind,
                                 .outcome = outcome,
                                 .fence = run->fence,
                                 .us = us,
                                 .run = run->id,
                                 .reactor = run->reactor->name,
                             });
}

static uint32_t outcome_of(const struct kedge_rec *rec)
{
    switch (rec->kind) {
    case KEDGE_RECORD_DONE:
    case KEDGE_RECORD_COMPENSATED:
    case KEDGE_RECORD_UNDONE:
        return KEDGE_OUTCOME_OK;
    case KEDGE_RECORD_SKIPPED:
        return KEDGE_OUTCOME_SKIP;
    case KEDGE_RECORD_HALTED:
        return KEDGE_OUTCOME_HALT;
    case KEDGE_RECORD_DELAYED:
        return rec->text.len > 0 ? KEDGE_OUTCOME_FAIL : KEDGE_OUTCOME_SNOOZE;
    case KEDGE_RECORD_FAILED:
    case KEDGE_RECORD_UNDO_FAILED:
        return KEDGE_OUTCOME_FAIL;
    default:
        return 0;
    }
}

static uint32_t action_of(const struct kedge_rec *rec)
{
    switch (rec->kind) {
    case KEDGE_RECORD_COMPENSATED:
        return KEDGE_ACTION_COMPENSATE;
    case KEDGE_RECORD_UNDONE:
    case KEDGE_RECORD_UNDO_FAILED:
        return KEDGE_ACTION_UNDO;
    default:
        return rec->action != 0 ? rec->action : KEDGE_ACTION_RUN;
    }
}

static void tell_request(struct kedge_worker *w, const struct kedge_inflight *run,
                         const struct kedge_rec *rec)
{
    char text[KEDGE_RECORD_TEXT_MAX + 1];

    if (w->options.observe == NULL)
        return;
    (void)snprintf(text, sizeof text, "%.*s", (int)rec->text.len,
                   rec->text.data != NULL ? (const char *)rec->text.data : "");
    kedge_worker_emit(w, &(struct kedge_event){
                             .struct_size = sizeof(struct kedge_event),
                             .kind = KEDGE_EVENT_RUN_REQUESTED,
                             .outcome = (uint32_t)rec->number,
                             .fence = run->fence,
                             .run = run->id,
                             .reactor = run->reactor->name,
                             .text = text,
                         });
}

static void tell_steps(struct kedge_worker *w, const struct kedge_inflight *run)
{
    for (const struct kedge_out *out = run->item.outs; out != NULL; out = out->next) {
        uint32_t outcome = outcome_of(&out->rec);
        char text[KEDGE_RECORD_TEXT_MAX + 1];

        if (out->rec.kind == KEDGE_RECORD_REQUEST)
            tell_request(w, run, &out->rec);
        if (outcome == 0)
            continue;
        w->stats.steps++;
        if (w->options.observe == NULL)
            continue;
        (void)snprintf(text, sizeof text, "%.*s", (int)out->rec.text.len,
                       out->rec.text.data != NULL ? (const char *)out->rec.text.data : "");
        kedge_worker_emit(w, &(struct kedge_event){
                                 .struct_size = sizeof(struct kedge_event),
                                 .kind = KEDGE_EVENT_STEP_ENDED,
                                 .action = action_of(&out->rec),
                                 .outcome = outcome,
                                 .fence = run->fence,
                                 .us = out->took_us,
                                 .run = run->id,
                                 .reactor = run->reactor->name,
                                 .step = run->reactor->steps[out->rec.step].name,
                                 .text = text,
                             });
    }
}

static void done(struct kedge_worker *w, struct kedge_inflight *run,
                 const struct kedge_answer *answer)
{
    struct kedge_item *item = &run->item;
    enum kedge_item_end end = item->end;

    run->revision = answer->revision;
    if (answer->status != 0)
        run->status = answer->status;
    if (item->adopting) {
        run->lease = item->changes[0].take.lease;
        run->fence = item->results[0];
    }
    run->flushed = kedge_moment_now(w);
    run->wake_at = INT64_MAX;
    run->patience = INT64_MAX;
    if (item->hold)
        run->held_until = run->flushed + run->hold_us;
    tell_steps(w, run);
    kedge_item_reset(w, item);
    if (end == KEDGE_ITEM_STAY) {
        kedge_asked_note(w, run, answer->requests);
        kedge_inflight_go_on(w, run);
        return;
    }
    if (end == KEDGE_ITEM_REST) {
        w->stats.runs_ended++;
        emit_run(w, run, KEDGE_EVENT_RUN_ENDED, item->rest_status, 0);
        kedge_store_run_ended(w->store, run->id);
    } else if (end == KEDGE_ITEM_PARK) {
        emit_run(w, run, KEDGE_EVENT_RUN_LEFT, 0, -1);
    } else {
        emit_run(w, run, KEDGE_EVENT_RUN_LEFT, 0, item->due_in);
        if (item->due_in <= 0)
            w->claim_hint = true;
        else
            w->claim_at = kedge_min64(w->claim_at, kedge_moment_now(w) + item->due_in);
    }
    kedge_inflight_drop(w, run);
}

void kedge_inflight_lost(struct kedge_worker *w, struct kedge_inflight *run, const char *why)
{
    char id[KEDGE_ID_ROOM];

    kedge_worker_log(w, LOG_NOTICE, "run %s has gone elsewhere: %s",
                     kedge_worker_id_text(run->id, id), why);
    emit_run(w, run, KEDGE_EVENT_RUN_LOST, 0, 0);
    kedge_inflight_drop(w, run);
}

/*
 * A refusal of what was sent again: had it taken place after all?  The record says so, by the id of
 * the commit that wrote it.  OK: yes, and *HEAD is the run today, hanging on *MEM; NOT_FOUND: no.
 * Without a record there is nothing to tell, and nothing that would be lost.  No lock held.
 */
static int took_place(struct kedge_worker *w, const struct kedge_inflight *run,
                      struct kedge_run *head, struct kedge_mem **mem)
{
    const struct kedge_item *item = &run->item;
    struct kedge_retrieve want = { run->id, run->incarnation, 0, 0 };
    struct kedge_run_state state = { 0 };
    struct kedge_record_page page = { 0 };
    int rc;

    if (item->n_records == 0)
        return KEDGE_NOT_FOUND;
    rc = w->ops->retrieve_records(w->driver_session, run->id, run->incarnation,
                                  run->position - item->n_records + 1, 1, 1, &page,
                                  w->options.timeout_us, NULL);
    if (rc != KEDGE_OK)
        return rc;
    if (page.n != 1 || memcmp(&page.records[0].request, &item->request, sizeof item->request) != 0)
        rc = KEDGE_NOT_FOUND;
    kedge_mem_free(w->host, page.mem);
    if (rc == KEDGE_OK)
        rc = w->ops->retrieve(w->driver_session, &want, &state, w->options.timeout_us, NULL);
    if (rc == KEDGE_OK) {
        *head = state.run;
        *mem = state.mem;
    }
    return rc;
}

/*
 * Somebody asked for something else since the cell was read.  What was read has its record and
 * stays true; the flag stays as well, so that the next answer leads to what is asked for now.
 */
static void asked_anew(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;

    run->requests |= item->clear;
    item->clear = 0;
    if (item->n_records == 0 && item->end == KEDGE_ITEM_STAY) {
        kedge_item_reset(w, item);
        kedge_asked_note(w, run, run->requests);
        return;
    }
    if (item->end == KEDGE_ITEM_PARK) { /* whoever takes it next is told */
        item->end = KEDGE_ITEM_DUE;
        item->due_in = 0;
    }
    item->reform = true;
    kedge_inflight_dirty(w, run);
}

static bool is_about_request(const struct kedge_inflight *run, const struct kedge_answer *answer)
{
    return answer->at > 0 && answer->at < run->item.n_guards;
}

/* A refused repetition is believed when the journal agrees. */
static void answered_no(struct kedge_worker *w, struct kedge_inflight *run, int outcome,
                        bool about_request)
{
    struct kedge_answer answer = { 0 };
    struct kedge_mem *mem = NULL;
    struct kedge_run head;
    int rc;

    run->sending = true; /* its outcomes wait */
    kedge_moment_end(w);
    (void)pthread_mutex_unlock(&w->lock);
    rc = took_place(w, run, &head, &mem);
    (void)pthread_mutex_lock(&w->lock);
    run->sending = false;
    if (rc < 0) { /* not to be read now: sent again, refused again, and read then */
        kedge_inflight_dirty(w, run);
        w->retry_at = kedge_worker_now(w) + 1000000;
        return;
    }
    if (rc != KEDGE_OK && about_request) {
        asked_anew(w, run);
        return;
    }
    if (rc != KEDGE_OK) {
        kedge_inflight_lost(w, run, kedge_status_text(outcome));
        return;
    }
    answer.revision = head.revision;
    answer.status = head.status;
    if (run->item.adopting)
        run->item.results[0] = head.fence;
    if (run->item.end == KEDGE_ITEM_STAY && (!kedge_same_lease(&head.holder, &w->lease) ||
                                             (!run->item.adopting && head.fence != run->fence))) {
        tell_steps(w, run); /* what it did is durable; the run has gone on elsewhere */
        kedge_inflight_lost(w, run, kedge_status_text(outcome));
    } else {
        done(w, run, &answer);
    }
    kedge_mem_free(w->host, mem);
}

/* It is stuck, and says so. */
static void tell_aside(struct kedge_worker *w, const struct kedge_run *head, const char *why)
{
    w->stats.runs_ended++;
    kedge_worker_emit(w, &(struct kedge_event){
                             .struct_size = sizeof(struct kedge_event),
                             .kind = KEDGE_EVENT_RUN_ENDED,
                             .outcome = KEDGE_STUCK,
                             .fence = head->fence,
                             .run = head->id,
                             .text = why,
                         });
    kedge_store_run_ended(w->store, head->id);
}

/*
 * Nobody who does as we do can go on with it: it is at rest as stuck, with the reason in a record
 * after all that is there, which stays as it is.  Another, newer one may read it, when asked to.
 */
int kedge_inflight_set_aside(struct kedge_worker *w, const struct kedge_run *head, const char *why)
{
    struct kedge_rec rec = { .kind = KEDGE_RECORD_ASIDE,
                             .step = KEDGE_NO_STEP,
                             .number = head->recoveries,
                             .text = kedge_text(why),
                             .writer = kedge_text(w->owner) };
    struct kedge_guard guard = {
        .kind = KEDGE_GUARD_HELD, .name = head->id, .lease = head->holder, .number = head->fence
    };
    struct kedge_change changes[2] = { { .kind = KEDGE_APPEND, .name = head->id },
                                       { .kind = KEDGE_RELEASE, .name = head->id } };
    struct kedge_commit commit = {
        .guards = &guard, .n_guards = 1, .changes = changes, .n_changes = 2
    };
    struct kedge_buf *buf = kedge_record_encode(w->host, &rec);
    struct kedge_answer answer = { 0 };
    struct kedge_bytes record;
    int rc;

    if (buf == NULL)
        return KEDGE_ERR_NOMEM;
    record = (struct kedge_bytes){ buf->data, buf->len };
    changes[0].append.records = &record;
    changes[0].append.n = 1;
    changes[0].append.first = head->position + 1;
    changes[1].release.place = KEDGE_PLACE_REST;
    changes[1].release.status = KEDGE_STUCK;
    kedge_worker_request(w, &commit.request);
    kedge_moment_end(w);
    (void)pthread_mutex_unlock(&w->lock);
    rc = w->ops->commit(w->driver_session, &commit, 1, &answer, w->options.timeout_us, NULL);
    (void)pthread_mutex_lock(&w->lock);
    kedge_buf_drop(w->host, buf);
    if (rc == KEDGE_OK)
        rc = answer.outcome;
    if (rc == KEDGE_OK)
        tell_aside(w, head, why);
    return rc;
}

/* Handed back as by a crash: due in a second, one recovery charged, so that whoever takes it next
   knows of the steps that ran in vain. */
static int hand_back_charged(struct kedge_worker *w, const struct kedge_run *head)
{
    struct kedge_guard guard = {
        .kind = KEDGE_GUARD_HELD, .name = head->id, .lease = head->holder, .number = head->fence
    };
    struct kedge_change changes[2] = { { .kind = KEDGE_SET, .name = head->id },
                                       { .kind = KEDGE_RELEASE, .name = head->id } };
    struct kedge_commit commit = {
        .guards = &guard, .n_guards = 1, .changes = changes, .n_changes = 2
    };
    struct kedge_answer answer = { 0 };
    int rc;

    changes[0].set.mask = KEDGE_SET_RECOVERIES;
    changes[0].set.recoveries = head->recoveries + 1;
    changes[1].release.place = KEDGE_PLACE_DUE;
    changes[1].release.when = kedge_in_us(1000000);
    kedge_worker_request(w, &commit.request);
    kedge_moment_end(w);
    (void)pthread_mutex_unlock(&w->lock);
    rc = w->ops->commit(w->driver_session, &commit, 1, &answer, w->options.timeout_us, NULL);
    (void)pthread_mutex_lock(&w->lock);
    return rc == KEDGE_OK ? answer.outcome : rc;
}

/*
 * The store will not have what the run's steps have done, today or ever.  It is tried again as
 * often as a run whose workers die, and then set aside.
 */
static void refused(struct kedge_worker *w, struct kedge_inflight *run, int outcome,
                    const char *why)
{
    struct kedge_retrieve want = { run->id, run->incarnation, 0, 0 };
    struct kedge_run_state state = { 0 };
    char text[KEDGE_ERRMSG_MAX];
    char id[KEDGE_ID_ROOM];
    int rc;

    (void)snprintf(text, sizeof text, "the store refuses what its steps have done (%s): %s",
                   kedge_status_name(outcome), why);
    kedge_worker_log(w, LOG_CRIT, "run %s: %s", kedge_worker_id_text(run->id, id), text);
    run->sending = true; /* nobody else sends it meanwhile */
    kedge_moment_end(w);
    (void)pthread_mutex_unlock(&w->lock);
    rc = w->ops->retrieve(w->driver_session, &want, &state, w->options.timeout_us, NULL);
    (void)pthread_mutex_lock(&w->lock);
    run->sending = false;
    if (rc == KEDGE_OK)
        rc = state.run.recoveries >= w->options.crash_limit
                 ? kedge_inflight_set_aside(w, &state.run, text)
                 : hand_back_charged(w, &state.run);
    kedge_mem_free(w->host, state.mem);
    if (rc != KEDGE_OK) /* it stays held, until what is held is compared with what is here */
        kedge_reconcile_in(w, 1000000);
    emit_run(w, run, KEDGE_EVENT_RUN_LOST, 0, 0);
    kedge_inflight_drop(w, run);
}

void kedge_inflight_answered(struct kedge_worker *w, struct kedge_inflight *run, int outcome,
                             const struct kedge_answer *answer)
{
    run->sending = false;
    switch (outcome) {
    case KEDGE_OK:
        done(w, run, answer);
        return;
    case KEDGE_LOST: /* ours was buried: the same records, under the lease to come */
        if (kedge_same_lease(&w->lease, &run->lease) || run->item.adopting)
            w->lease_dead = true;
        run->item.reform = true;
        kedge_inflight_dirty(w, run);
        return;
    case KEDGE_STALE:
    case KEDGE_NOT_FOUND:
    case KEDGE_EXISTS:
        if (run->item.doubt)
            answered_no(w, run, outcome, is_about_request(run, answer));
        else if (is_about_request(run, answer))
            asked_anew(w, run);
        else
            kedge_inflight_lost(w, run, kedge_status_text(outcome));
        return;
    case KEDGE_ERR_UNKNOWN:
    case KEDGE_ERR_UNAVAILABLE:
    case KEDGE_ERR_NOMEM:
    case KEDGE_ERR_FULL:
        if (outcome == KEDGE_ERR_UNKNOWN)
            w->stats.resent++;
        run->item.doubt |= outcome == KEDGE_ERR_UNKNOWN;
        kedge_inflight_dirty(w, run);
        return;
    default:
        refused(w, run, outcome, answer->why[0] != '\0' ? answer->why : kedge_status_text(outcome));
        return;
    }
}
