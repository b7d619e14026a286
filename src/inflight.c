/*
 * inflight.c - a run in flight: from the claim that took it to the commit that lets it go
 *
 * Between commits a run is nothing but its progress, the steps in flight and the outcomes that
 * wait.  Everything that ends its stay here goes through one commit, which says where it goes.
 */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "kassert.h"
#include "session.h"
#include "worker.h"

#define HUNG_US                                                                                    \
    INT64_C(500000) /* so long others may claim first what waits for a function here               \
                     */

static bool same_lease(const struct kedge_id128 *a, const struct kedge_id128 *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void kedge_inflight_dirty(struct kedge_worker *w, struct kedge_inflight *run)
{
    if (run->dirty || run->sending || run->gone)
        return;
    run->dirty = true;
    run->dirty_next = NULL;
    if (w->n_dirty == 0)
        w->dirty_since = kedge_worker_now(w);
    *w->dirty_end = run;
    w->dirty_end = &run->dirty_next;
    w->n_dirty++;
}

void kedge_inflight_timer(struct kedge_worker *w, struct kedge_inflight *run, int64_t at)
{
    run->wake_at = min64(run->wake_at, at);
    kedge_worker_timer(w, at);
}

/* ---------------------------------------------------------------- starting */

static void enqueue(struct kedge_worker *w, struct kedge_step *step)
{
    const struct kedge_reactor_step *def = &step->run->reactor->steps[step->index];
    bool pool = (def->flags & KEDGE_STEP_POOL) != 0;
    struct kedge_step ***end = pool ? &w->pool_end : &w->loop_end;

    if (pool)
        w->n_pool_queue++;
    step->next = NULL;
    **end = step;
    *end = &step->next;
}

/* Start what may start, but for what must wait until a function returns.  Answers when to let go of
   the run if it does not; INT64_MAX: nothing waits for one. */
static int64_t start_ready(struct kedge_worker *w, struct kedge_inflight *run, int64_t wall)
{
    uint32_t first = KEDGE_NO_STEP; /* that was given back: round once */
    int64_t patience = INT64_MAX;
    struct kedge_action action;

    while (!atomic_load(&w->stopping) && kedge_progress_take(run->progress, wall, &action)) {
        const struct kedge_step *orphan = kedge_step_in_the_way(w, run, &action);
        struct kedge_step *step = orphan == NULL ? kedge_step_new(run, &action, w) : NULL;

        if (step != NULL) {
            enqueue(w, step);
            continue;
        }
        kedge_progress_give_back(run->progress, action.step);
        if (orphan == NULL) { /* no memory */
            kedge_inflight_timer(w, run, kedge_worker_now(w) + 1000000);
            break;
        }
        patience = min64(patience, orphan->patience);
        if (action.step == first)
            break;
        if (first == KEDGE_NO_STEP)
            first = action.step;
    }
    return patience;
}

/* Past its deadline: a record will say so, once, and is waited for.  Answers whether it is. */
static bool note_overdue(struct kedge_worker *w, struct kedge_inflight *run, int64_t wall)
{
    struct kedge_out *out;
    struct kedge_rec rec;

    if (!kedge_progress_overdue(run->progress, wall, &rec))
        return false;
    if (run->overdue)
        return true;
    out = kedge_out_new(w, &rec);
    if (out == NULL) {
        kedge_inflight_timer(w, run, kedge_worker_now(w) + 1000000);
        return true;
    }
    run->overdue = true;
    *run->waiting_end = out;
    run->waiting_end = &out->next;
    return true;
}

/* What is past needs no timer: it has been seen to, or waits for something else. */
static void timer_after(struct kedge_worker *w, struct kedge_inflight *run, int64_t at, int64_t now)
{
    if (at > now && at != INT64_MAX)
        kedge_inflight_timer(w, run, at);
}

void kedge_inflight_timers(struct kedge_worker *w, struct kedge_inflight *run, int64_t wall)
{
    int64_t now = kedge_worker_now(w);
    int64_t next = kedge_progress_next_time(run->progress);

    if (next != INT64_MAX && next > wall)
        kedge_inflight_timer(w, run, now + (next - wall));
    timer_after(w, run, run->patience, now);
    if (run->hold_us > 0)
        timer_after(w, run, run->held_until - run->hold_us / 2 + 1, now);
    for (const struct kedge_step *step = run->steps; step != NULL; step = step->run_next) {
        if (!step->orphan && step->deadline != INT64_MAX)
            kedge_inflight_timer(w, run, step->deadline);
    }
}

void kedge_inflight_go_on(struct kedge_worker *w, struct kedge_inflight *run)
{
    int64_t wall = kedge_worker_wall(w);
    enum kedge_phase phase = kedge_progress_phase(run->progress);
    bool overdue;

    if (run->gone)
        return;
    if (phase == KEDGE_PHASE_STOPPING || phase == KEDGE_PHASE_HALTING)
        for (struct kedge_step *step = run->steps; step != NULL; step = step->run_next)
            kedge_step_tell_stop(step);
    overdue = note_overdue(w, run, wall);
    run->patience = INT64_MAX;
    if (!overdue && (run->requests | run->clear) == 0) /* else what is asked for comes first */
        run->patience = start_ready(w, run, wall);
    if (run->waiting != NULL || (kedge_progress_running(run->progress) == 0 && !run->sending))
        kedge_inflight_dirty(w, run);
    kedge_inflight_timers(w, run, wall);
}

void kedge_inflight_again(struct kedge_worker *w, struct kedge_inflight *run, uint32_t step)
{
    if (run->gone)
        return;
    kedge_progress_give_back(run->progress, step);
    kedge_inflight_timer(w, run, kedge_worker_now(w) + 1000000);
}

/* Is it time to say again how long the run may be held? */
static bool wants_hold(const struct kedge_worker *w, const struct kedge_inflight *run)
{
    return run->hold_us > 0 && run->held_until - kedge_worker_now(w) < run->hold_us / 2;
}

bool kedge_inflight_crowded(const struct kedge_worker *w, const struct kedge_inflight *run)
{
    if (run->sending || run->dirty || run->item.sealed || run->waiting != NULL ||
        run->item.n_records > 0 || kedge_progress_running(run->progress) == 0 ||
        !wants_hold(w, run))
        return false;
    for (const struct kedge_step *step = run->steps; step != NULL; step = step->run_next) {
        if (!step->orphan && (step->called || step->later))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------- the commit */

/* Apply one record and put it into the item: the record is the item's now.  ERR_NOMEM: another
   time. */
static int put(struct kedge_worker *w, struct kedge_inflight *run, struct kedge_out *out)
{
    struct kedge_item *item = &run->item;
    struct kedge_error err;
    int rc;

    if (item->n_records == item->max_records) {
        size_t max = item->max_records == 0 ? 4 : 2 * item->max_records;
        struct kedge_bytes *records = w->host->alloc(w->host->ctx, max * sizeof *records);

        if (records == NULL)
            return KEDGE_ERR_NOMEM;
        if (item->n_records > 0)
            memcpy(records, item->records, item->n_records * sizeof *records);
        w->host->release(w->host->ctx, item->records);
        item->records = records;
        item->max_records = max;
    }
    rc = kedge_progress_apply(run->progress, run->position + 1, kedge_worker_wall(w), &out->rec,
                              out->buf->len, &err);
    if (rc != KEDGE_OK) {
        if (rc != KEDGE_ERR_NOMEM)
            kedge_worker_log(w, LOG_CRIT, "a record does not fit its run: %s", err.msg);
        return rc;
    }
    run->position++;
    if (out->rec.kind == KEDGE_RECORD_DONE)
        kedge_progress_value_set(run->progress, out->rec.step, out->buf, out->rec.value);
    item->records[item->n_records++] = (struct kedge_bytes){ out->buf->data, out->buf->len };
    item->bytes += out->buf->len;
    out->next = NULL;
    *item->outs_end = out;
    item->outs_end = &out->next;
    return KEDGE_OK;
}

static int put_new(struct kedge_worker *w, struct kedge_inflight *run, const struct kedge_rec *rec)
{
    struct kedge_out *out = kedge_out_new(w, rec);
    int rc = out != NULL ? put(w, run, out) : KEDGE_ERR_NOMEM;

    if (rc != KEDGE_OK)
        kedge_out_free(w, out);
    return rc;
}

/* Where does the run go with this commit? */
static int decide_end(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;
    int64_t wall = kedge_worker_wall(w);
    struct kedge_rec rec;
    int64_t next;

    item->end = KEDGE_ITEM_STAY;
    if (kedge_progress_end(run->progress, &rec)) {
        item->end = KEDGE_ITEM_REST;
        item->rest_status = rec.status;
        return put_new(w, run, &rec);
    }
    if (kedge_progress_running(run->progress) > 0)
        return KEDGE_OK;
    if (kedge_progress_paused(run->progress)) {
        item->end = KEDGE_ITEM_PARK;
    } else if (atomic_load(&w->stopping)) {
        item->end = KEDGE_ITEM_DUE;
        item->due_in = 0;
    } else if (run->patience <= kedge_worker_now(w)) { /* elsewhere no function is in the way */
        item->end = KEDGE_ITEM_DUE;
        item->due_in = HUNG_US;
    } else if (!kedge_progress_ready(run->progress, wall)) {
        next = kedge_progress_next_time(run->progress);
        KEDGE_ASSERT(next != INT64_MAX);
        item->end = KEDGE_ITEM_DUE;
        item->due_in = next > wall ? next - wall : 0;
    }
    return KEDGE_OK;
}

static bool may_hold_back(const struct kedge_worker *w, const struct kedge_inflight *run)
{
    const struct kedge_item *item = &run->item;

    if (w->options.checkpoint_min_interval_us <= 0 || item->end != KEDGE_ITEM_STAY ||
        item->clear != 0 || run->waiting != NULL || wants_hold(w, run) ||
        kedge_worker_now(w) - run->flushed >= w->options.checkpoint_min_interval_us)
        return false;
    for (const struct kedge_out *out = item->outs; out != NULL; out = out->next) {
        if (out->rec.kind != KEDGE_RECORD_DONE && out->rec.kind != KEDGE_RECORD_SKIPPED)
            return false;
    }
    return true;
}

static struct kedge_change *add(struct kedge_item *item, struct kedge_inflight *run, uint32_t kind)
{
    struct kedge_change *change = &item->changes[item->n_changes++];

    memset(change, 0, sizeof *change);
    change->kind = kind;
    change->name = run->id;
    return change;
}

static struct kedge_when in_us(int64_t us)
{
    return (struct kedge_when){ us, KEDGE_IN, 0 };
}

static void add_release(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;
    struct kedge_change *change = add(item, run, KEDGE_RELEASE);
    int64_t next;

    if (item->end == KEDGE_ITEM_PARK) {
        next = kedge_progress_next_time(run->progress); /* its deadline */
        change->release.place = KEDGE_PLACE_PARKED;
        change->release.status = KEDGE_PAUSED;
        change->release.wakes_on = KEDGE_WAKES_ON_INTERRUPT;
        if (next != INT64_MAX) {
            change->release.wakes_on |= KEDGE_WAKES_ON_TIME;
            change->release.when = (struct kedge_when){ next, KEDGE_AT, 0 };
        }
        return;
    }
    if (item->end == KEDGE_ITEM_DUE) {
        change->release.place = KEDGE_PLACE_DUE;
        change->release.when = in_us(item->due_in);
        return;
    }
    change->release.place = KEDGE_PLACE_REST;
    change->release.status = item->rest_status;
    if (w->options.retention_us >= 0 && item->rest_status != KEDGE_STUCK &&
        item->rest_status != KEDGE_ABORTED)
        change->release.when = in_us(w->options.retention_us);
}

/* Is there room for BYTES more in the commit, and still for what ends it? */
static bool has_room(const struct kedge_worker *w, const struct kedge_inflight *run, size_t bytes)
{
    return run->item.bytes + bytes + 4096 + 6 * run->id.len <= w->limits.commit_bytes;
}

static void add_snapshot(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;
    struct kedge_change *change;

    if (item->snapshot == NULL && item->end != KEDGE_ITEM_REST &&
        kedge_progress_wants_snapshot(run->progress) &&
        has_room(w, run, kedge_progress_snapshot_size(run->progress)))
        item->snapshot = w->host->alloc(w->host->ctx, kedge_progress_snapshot_size(run->progress));
    if (item->snapshot == NULL)
        return; /* without memory: another time */
    change = add(item, run, KEDGE_SNAPSHOT);
    change->snapshot.data.data = item->snapshot;
    change->snapshot.data.len = kedge_progress_snapshot(run->progress, item->snapshot);
    change->snapshot.position = run->position;
    item->bytes += change->snapshot.data.len;
}

/* What was asked for is what was read, or it is read again. */
static void add_cells(struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;

    for (uint32_t i = 0; i < 2; i++) {
        uint32_t bit = i == 0 ? KEDGE_REQUEST_CANCEL : KEDGE_REQUEST_PAUSE;
        struct kedge_guard *guard = &item->guards[item->n_guards];
        struct kedge_change *change;

        if ((item->clear & bit) == 0)
            continue;
        change = add(item, run, KEDGE_CELL_DELETE);
        change->name = kedge_request_cell(item->cells[i], run->incarnation, bit);
        *guard = (struct kedge_guard){ .kind = KEDGE_GUARD_CELL,
                                       .name = change->name,
                                       .number = run->cells[i] };
        item->n_guards++;
    }
}

/* Everything about the head, but where it goes. */
static void add_set(struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;
    enum kedge_phase phase = kedge_progress_phase(run->progress);
    struct kedge_change *change;
    uint32_t mask = 0;

    if ((phase == KEDGE_PHASE_STOPPING || phase == KEDGE_PHASE_BACK) &&
        run->status != KEDGE_ROLLING_BACK && item->end != KEDGE_ITEM_REST)
        mask |= KEDGE_SET_STATUS;
    if (item->clear != 0)
        mask |= KEDGE_SET_CLEAR_REQUESTS;
    if (item->hold && !item->adopting)
        mask |= KEDGE_SET_HOLD_UNTIL;
    if (mask == 0)
        return;
    change = add(item, run, KEDGE_SET);
    change->set.mask = mask;
    change->set.status = KEDGE_ROLLING_BACK;
    change->set.clear_requests = item->clear;
    change->set.hold_until = in_us(run->hold_us);
    add_cells(run);
}

/* Guards and changes, for the lease we have now. */
static void form(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;
    struct kedge_guard *guard = &item->guards[0];
    struct kedge_change *change;

    item->n_changes = 0;
    item->n_guards = 1;
    item->adopting = !same_lease(&run->lease, &w->lease);
    item->hold =
        item->end == KEDGE_ITEM_STAY && run->hold_us > 0 && (item->adopting || wants_hold(w, run));
    memset(guard, 0, sizeof *guard);
    guard->name = run->id;
    if (item->adopting) {
        guard->kind = KEDGE_GUARD_UNHELD;
        guard->statuses = KEDGE_STATUSES_UNFINISHED;
        guard->number = run->revision;
        change = add(item, run, KEDGE_TAKE);
        change->take.lease = w->lease;
        if (run->hold_us > 0)
            change->take.hold_until = in_us(run->hold_us);
    } else {
        guard->kind = KEDGE_GUARD_HELD;
        guard->lease = run->lease;
        guard->number = run->fence;
    }
    if (item->n_records > 0) {
        change = add(item, run, KEDGE_APPEND);
        change->append.records = item->records;
        change->append.n = item->n_records;
        change->append.first = run->position - item->n_records + 1;
    }
    add_snapshot(w, run);
    add_set(run);
    if (item->end != KEDGE_ITEM_STAY)
        add_release(w, run);
    kedge_worker_random(w, &item->request);
    item->sealed = true;
    item->doubt = false;
    item->reform = false;
}

/* Did something that ended before it settle it? */
static bool comes_too_late(const struct kedge_inflight *run, const struct kedge_rec *rec)
{
    if (rec->kind == KEDGE_RECORD_OVERDUE)
        return kedge_progress_phase(run->progress) != KEDGE_PHASE_FORWARD;
    return rec->kind == KEDGE_RECORD_REQUEST &&
           kedge_progress_refuses(run->progress, (uint32_t)rec->number, rec->step) != NULL;
}

/* Take the outcomes that wait into the item; what is too much for one commit goes on waiting. */
static int put_waiting(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_out *out;

    while ((out = run->waiting) != NULL) {
        struct kedge_out *next = out->next;
        bool late = comes_too_late(run, &out->rec);
        int rc;

        if (!late && run->item.n_records > 0 && !has_room(w, run, out->buf->len))
            break;
        rc = late ? KEDGE_OK : put(w, run, out);
        if (rc != KEDGE_OK)
            return rc;
        if (late)
            kedge_out_free(w, out);
        run->waiting = next;
        if (next == NULL)
            run->waiting_end = &run->waiting;
    }
    return KEDGE_OK;
}

bool kedge_inflight_seal(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;
    bool adopt;
    int rc;

    if (item->sealed) {
        if (item->reform)
            form(w, run);
        return true;
    }
    rc = put_waiting(w, run);
    if (rc == KEDGE_OK)
        rc = decide_end(w, run);
    if (rc == KEDGE_ERR_NOMEM) { /* all stays as it is */
        kedge_inflight_timer(w, run, kedge_worker_now(w) + 1000000);
        return false;
    }
    if (rc != KEDGE_OK) {
        kedge_inflight_drop(w, run);
        return false;
    }
    item->clear |= run->clear;
    run->clear = 0;
    adopt = !same_lease(&run->lease, &w->lease);
    if (item->end == KEDGE_ITEM_STAY && item->n_records == 0 && item->clear == 0 && !adopt &&
        !wants_hold(w, run)) {
        kedge_inflight_go_on(w, run); /* a step may have been given back */
        return false;
    }
    if (!adopt && may_hold_back(w, run)) {
        kedge_inflight_go_on(w, run);
        kedge_inflight_timer(w, run, run->flushed + w->options.checkpoint_min_interval_us);
        return false;
    }
    form(w, run);
    return true;
}

/* ----------------------------------------------------------- the answer */

static void item_reset(struct kedge_worker *w, struct kedge_item *item)
{
    struct kedge_out *out;

    while ((out = item->outs) != NULL) {
        item->outs = out->next;
        kedge_out_free(w, out);
    }
    item->outs_end = &item->outs;
    w->host->release(w->host->ctx, item->snapshot);
    item->snapshot = NULL;
    item->n_records = 0;
    item->n_changes = 0;
    item->clear = 0;
    item->bytes = 0;
    item->sealed = false;
    item->doubt = false;
    item->reform = false;
    item->adopting = false;
}

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
    run->flushed = kedge_worker_now(w);
    run->wake_at = INT64_MAX;
    run->patience = INT64_MAX;
    if (item->hold)
        run->held_until = run->flushed + run->hold_us;
    tell_steps(w, run);
    item_reset(w, item);
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
            w->claim_at = min64(w->claim_at, kedge_worker_now(w) + item->due_in);
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
        item_reset(w, item);
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
    if (run->item.end == KEDGE_ITEM_STAY && (!same_lease(&head.holder, &w->lease) ||
                                             (!run->item.adopting && head.fence != run->fence))) {
        tell_steps(w, run); /* what it did is durable; the run has gone on elsewhere */
        kedge_inflight_lost(w, run, kedge_status_text(outcome));
    } else {
        done(w, run, &answer);
    }
    kedge_mem_free(w->host, mem);
}

/*
 * Nobody who does as we do can go on with it: it is at rest as stuck, with the reason in a record
 * after all that is there, which stays as it is.  Another, newer one may read it, when asked to.
 */
static int set_aside(struct kedge_worker *w, const struct kedge_run *head, const char *why)
{
    struct kedge_rec rec = { .kind = KEDGE_RECORD_ASIDE,
                             .step = KEDGE_NO_STEP,
                             .number = head->recoveries,
                             .text = kedge_text(why) };
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
    kedge_worker_random(w, &commit.request);
    (void)pthread_mutex_unlock(&w->lock);
    rc = w->ops->commit(w->driver_session, &commit, 1, &answer, w->options.timeout_us, NULL);
    (void)pthread_mutex_lock(&w->lock);
    kedge_buf_drop(w->host, buf);
    return rc == KEDGE_OK ? answer.outcome : rc;
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
    changes[1].release.when = in_us(1000000);
    kedge_worker_random(w, &commit.request);
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
    (void)pthread_mutex_unlock(&w->lock);
    rc = w->ops->retrieve(w->driver_session, &want, &state, w->options.timeout_us, NULL);
    (void)pthread_mutex_lock(&w->lock);
    run->sending = false;
    if (rc == KEDGE_OK && state.run.recoveries >= w->options.crash_limit) {
        rc = set_aside(w, &state.run, text);
        if (rc == KEDGE_OK)
            tell_aside(w, &state.run, text);
    } else if (rc == KEDGE_OK) {
        rc = hand_back_charged(w, &state.run);
    }
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
        if (same_lease(&w->lease, &run->lease) || run->item.adopting)
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

/* ------------------------------------------------------------ the end here */

void kedge_inflight_unref(struct kedge_worker *w, struct kedge_inflight *run)
{
    const struct kedge_host *host = w->host;

    KEDGE_ASSERT(run->refs > 0);
    if (--run->refs > 0)
        return;
    kedge_progress_free(run->progress);
    kedge_buf_drop(host, run->input_buf);
    kedge_reactor_free(run->reactor);
    host->release(host->ctx, run->item.records);
    host->release(host->ctx, run);
}

void kedge_inflight_drop(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_step *step;
    struct kedge_step *next;
    struct kedge_out *out;

    if (run->gone)
        return;
    run->gone = true;
    *run->prev = run->next;
    if (run->next != NULL)
        run->next->prev = run->prev;
    w->n_runs--;
    if (w->n_runs == 0 && (w->draining || atomic_load(&w->stopping)))
        kedge_worker_tell_loop(w);
    item_reset(w, &run->item);
    while ((out = run->waiting) != NULL) {
        run->waiting = out->next;
        kedge_out_free(w, out);
    }
    for (step = run->steps; step != NULL; step = next) {
        next = step->run_next;
        kedge_step_tell_stop(step);
        if (step->later && !step->called && atomic_load(&step->settled) == STEP_OPEN)
            kedge_step_free(w, step);
        else if (step->called && !step->orphan)
            kedge_step_orphan(w, step, 0);
    }
    if (!run->dirty)
        kedge_inflight_unref(w, run); /* else whoever finds it in the queue does */
}

/* ------------------------------------------------------------------ taking */

/* Which of the reactors is it of? */
static size_t served(const struct kedge_worker *w, const struct kedge_run *head)
{
    size_t i = 0;

    for (; i < w->options.n_reactors; i++) {
        const struct kedge_reactor *reactor = w->reactors[i];

        if (reactor->version == head->version && strlen(reactor->name) == head->reactor.len &&
            memcmp(reactor->name, head->reactor.data, head->reactor.len) == 0)
            break;
    }
    return i;
}

static struct kedge_inflight *new_run(struct kedge_worker *w, const struct kedge_run *head)
{
    const struct kedge_host *host = w->host;
    struct kedge_inflight *run =
        host->alloc(host->ctx, sizeof *run + head->id.len + head->context.len + 1);
    size_t which = served(w, head);
    unsigned char *to;

    if (run == NULL)
        return NULL;
    KEDGE_ASSERT(which < w->options.n_reactors);
    memset(run, 0, sizeof *run);
    to = (unsigned char *)(run + 1);
    memcpy(to, head->id.data, head->id.len);
    run->id = (struct kedge_bytes){ to, head->id.len };
    if (head->context.len > 0)
        memcpy(to + head->id.len, head->context.data, head->context.len);
    run->context = (struct kedge_bytes){ to + head->id.len, head->context.len };
    run->refs = 1;
    run->reactor = kedge_reactor_hold(w->reactors[which]);
    run->hold_us = w->holds[which];
    run->incarnation = head->incarnation;
    run->fence = head->fence;
    run->revision = head->revision;
    run->status = head->status;
    run->lease = w->lease;
    run->wake_at = INT64_MAX;
    run->flushed = kedge_worker_now(w);
    run->patience = INT64_MAX;
    run->held_until =
        head->hold_until > 0 ? run->flushed + head->hold_until - kedge_worker_wall(w) : 0;
    run->waiting_end = &run->waiting;
    run->item.outs_end = &run->item.outs;
    run->progress = kedge_progress_new(host, run->reactor);
    if (run->progress == NULL) {
        kedge_reactor_free(run->reactor);
        host->release(host->ctx, run);
        return NULL;
    }
    return run;
}

static int keep_record(struct kedge_worker *w, struct kedge_inflight *run,
                       const struct kedge_record *record, const struct kedge_rec *rec)
{
    struct kedge_buf *buf;
    struct kedge_bytes value;

    if (!rec->has_value || (rec->kind != KEDGE_RECORD_BEGIN && rec->kind != KEDGE_RECORD_DONE))
        return KEDGE_OK;
    buf = kedge_buf_new(w->host, rec->value.len);
    if (buf == NULL)
        return KEDGE_ERR_NOMEM;
    if (rec->value.len > 0)
        memcpy(buf->data, rec->value.data, rec->value.len);
    value = (struct kedge_bytes){ buf->data, buf->len };
    run->read_bytes += record->data.len;
    if (rec->kind == KEDGE_RECORD_BEGIN) {
        run->input_buf = buf;
        run->input = value;
        return KEDGE_OK;
    }
    kedge_progress_value_set(run->progress, rec->step, buf, value);
    kedge_buf_drop(w->host, buf);
    return KEDGE_OK;
}

/* One record by its number.  PAGE, which REC borrows from, is the caller's in any case. */
static int fetch(struct kedge_worker *w, const struct kedge_inflight *run, uint64_t number,
                 struct kedge_record_page *page, struct kedge_rec *rec, struct kedge_error *err)
{
    int rc = w->ops->retrieve_records(w->driver_session, run->id, run->incarnation, number, 1,
                                      SIZE_MAX, page, w->options.timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    if (page->n == 1)
        return kedge_record_read(&page->records[0], rec, err);
    return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0, "record %llu of its journal is missing",
                           (unsigned long long)number);
}

/* For its value. */
static int read_one(struct kedge_worker *w, struct kedge_inflight *run, uint64_t number,
                    struct kedge_error *err)
{
    struct kedge_record_page page = { 0 };
    struct kedge_rec rec;
    int rc = fetch(w, run, number, &page, &rec, err);

    if (rc == KEDGE_OK)
        rc = keep_record(w, run, &page.records[0], &rec);
    kedge_mem_free(w->host, page.mem);
    return rc;
}

/* Values of finished steps that others still wait for, if they lie before the tail. */
static int read_needed(struct kedge_worker *w, struct kedge_inflight *run, struct kedge_error *err)
{
    const struct kedge_reactor *reactor = run->reactor;
    struct kedge_progress *p = run->progress;

    for (uint32_t i = 0; i < reactor->n_steps; i++) {
        const struct kedge_reactor_step *def = &reactor->steps[i];
        uint64_t number = kedge_progress_value_record(p, i);
        bool needed = false;

        if (number == 0 || kedge_progress_value(p, i) != NULL)
            continue;
        for (uint32_t j = 0; j < def->n_before && !needed; j++) {
            uint32_t state = kedge_progress_state(p, def->before[j]);

            needed = state == KEDGE_STEP_WAITING || state == KEDGE_STEP_READY ||
                     state == KEDGE_STEP_DELAYED;
        }
        if (needed) {
            int rc = read_one(w, run, number, err);

            if (rc != KEDGE_OK)
                return rc;
        }
    }
    return KEDGE_OK;
}

/* What a snapshot leaves out: why the run goes where it goes. */
static int read_texts(struct kedge_worker *w, struct kedge_inflight *run, struct kedge_error *err)
{
    uint64_t number;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && (number = kedge_progress_unread(run->progress)) != 0) {
        struct kedge_record_page page = { 0 };
        struct kedge_rec rec;

        rc = fetch(w, run, number, &page, &rec, err);
        if (rc == KEDGE_OK)
            rc = kedge_progress_read(run->progress, &rec, err);
        kedge_mem_free(w->host, page.mem);
    }
    return rc;
}

static int replay(struct kedge_worker *w, struct kedge_inflight *run,
                  const struct kedge_run_state *state, struct kedge_error *err)
{
    int rc = KEDGE_OK;

    if (state->snapshot.len > 0) {
        run->read_bytes += state->snapshot.len;
        rc = kedge_progress_load(run->progress, state->snapshot, err);
    }
    for (size_t i = 0; i < state->n_tail && rc == KEDGE_OK; i++) {
        const struct kedge_record *record = &state->tail[i];
        struct kedge_rec rec;

        rc = kedge_record_read(record, &rec, err);
        if (rc == KEDGE_OK)
            rc = kedge_progress_apply(run->progress, record->number, record->time, &rec,
                                      record->data.len, err);
        if (rc == KEDGE_OK)
            rc = keep_record(w, run, record, &rec);
    }
    run->position = state->run.position;
    if (rc == KEDGE_OK && run->input_buf == NULL)
        rc = read_one(w, run, 1, err);
    if (rc == KEDGE_OK)
        rc = read_needed(w, run, err);
    if (rc == KEDGE_OK)
        rc = read_texts(w, run, err);
    return rc;
}

static int read_run(struct kedge_worker *w, struct kedge_inflight *run, struct kedge_error *err)
{
    struct kedge_retrieve want = { run->id, run->incarnation, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL,
                                   0 };
    struct kedge_run_state state = { 0 };
    int rc = w->ops->retrieve(w->driver_session, &want, &state, w->options.timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = replay(w, run, &state, err);
    kedge_mem_free(w->host, state.mem);
    return rc;
}

/* Steps that a dead holder may have started are in doubt; the next commit says so. */
static void note_doubt(struct kedge_worker *w, struct kedge_inflight *run, uint32_t recoveries)
{
    struct kedge_rec rec;
    struct kedge_out *out;

    if (!kedge_progress_doubt(run->progress, kedge_worker_wall(w), recoveries, &rec))
        return;
    out = kedge_out_new(w, &rec);
    if (out == NULL)
        return;
    *run->waiting_end = out;
    run->waiting_end = &out->next;
}

/*
 * It was claimed, and is held, but nothing of it is here.  A store or a memory that failed will do
 * better another time, so it is handed back soon.  So is one that could not be set aside.
 */
static void not_read(struct kedge_worker *w, const struct kedge_run *head, int rc,
                     const struct kedge_error *err)
{
    const char *why = err->msg[0] != '\0' ? err->msg : kedge_status_text(rc);
    bool aside = rc == KEDGE_ERR_CORRUPT || rc == KEDGE_ERR_SCHEMA_NEW;
    char id[KEDGE_ID_ROOM];

    kedge_worker_log(w, LOG_ERR, "run %s was taken and cannot be read (%s): %s",
                     kedge_worker_id_text(head->id, id), kedge_status_name(rc), why);
    if (!aside || set_aside(w, head, why) != KEDGE_OK) {
        kedge_reconcile_in(w, 1000000);
        return;
    }
    tell_aside(w, head, why);
}

/* It was here before and was lost: there is one holder of it, and that is not the old one. */
static void drop_older(struct kedge_worker *w, const struct kedge_inflight *run)
{
    struct kedge_inflight *next;

    for (struct kedge_inflight *old = w->runs; old != NULL; old = next) {
        next = old->next;
        if (old->incarnation == run->incarnation && old->id.len == run->id.len &&
            memcmp(old->id.data, run->id.data, run->id.len) == 0)
            kedge_inflight_lost(w, old, "it was taken anew");
    }
}

static void take_one(struct kedge_worker *w, const struct kedge_run *head)
{
    struct kedge_inflight *run = new_run(w, head);
    struct kedge_error err = { 0, 0, "" };
    int64_t began = kedge_worker_now(w);
    int rc = KEDGE_ERR_NOMEM;

    if (run != NULL) {
        (void)pthread_mutex_unlock(&w->lock);
        rc = read_run(w, run, &err);
        (void)pthread_mutex_lock(&w->lock);
    }
    if (rc != KEDGE_OK) {
        not_read(w, head, rc, &err);
        if (run != NULL)
            kedge_inflight_unref(w, run);
        return;
    }
    if (head->position > 1 || head->recoveries > 0 || w->renewed)
        drop_older(w, run);
    run->next = w->runs;
    run->prev = &w->runs;
    if (run->next != NULL)
        run->next->prev = &run->next;
    w->runs = run;
    w->n_runs++;
    w->stats.runs_taken++;
    w->stats.read_bytes += run->read_bytes;
    if (w->options.observe != NULL)
        kedge_worker_emit(w, &(struct kedge_event){
                                 .struct_size = sizeof(struct kedge_event),
                                 .kind = KEDGE_EVENT_RUN_TAKEN,
                                 .n = head->recoveries,
                                 .fence = run->fence,
                                 .bytes = run->read_bytes,
                                 .us = kedge_worker_now(w) - began,
                                 .run = run->id,
                                 .reactor = run->reactor->name,
                             });
    if (head->recoveries > 0 || kedge_progress_crashed(run->progress))
        note_doubt(w, run, head->recoveries);
    kedge_asked_note(w, run, head->requests);
    if (wants_hold(w, run)) /* the claim could not say it for all */
        kedge_inflight_dirty(w, run);
    if (run->waiting != NULL) { /* a doubt alone needs no commit of its own */
        struct kedge_out *doubt = run->waiting;

        run->waiting = NULL;
        run->waiting_end = &run->waiting;
        kedge_inflight_go_on(w, run);
        doubt->next = run->waiting;
        if (run->waiting == NULL)
            run->waiting_end = &doubt->next;
        run->waiting = doubt;
        return;
    }
    kedge_inflight_go_on(w, run);
}

void kedge_inflight_take(struct kedge_worker *w, const struct kedge_run_page *page)
{
    for (size_t i = 0; i < page->n; i++)
        take_one(w, &page->runs[i]);
}
