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

static void wake_run_at(struct kedge_worker *w, struct kedge_inflight *run, int64_t at)
{
    run->wake_at = at;
    w->next_timer = min64(w->next_timer, at);
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

void kedge_inflight_go_on(struct kedge_worker *w, struct kedge_inflight *run)
{
    int64_t wall = kedge_worker_wall(w);
    enum kedge_phase phase = kedge_progress_phase(run->progress);
    struct kedge_action action;
    int64_t next;

    if (run->gone)
        return;
    if (phase == KEDGE_PHASE_STOPPING || phase == KEDGE_PHASE_HALTING)
        for (struct kedge_step *step = run->steps; step != NULL; step = step->run_next)
            kedge_step_tell_stop(step);
    while (!atomic_load(&w->stopping) && kedge_progress_take(run->progress, wall, &action)) {
        struct kedge_step *step = kedge_step_new(run, &action, w);

        if (step == NULL) { /* no memory: again in a second */
            kedge_progress_give_back(run->progress, action.step);
            wake_run_at(w, run, kedge_worker_now(w) + 1000000);
            return;
        }
        enqueue(w, step);
    }
    if (run->waiting != NULL || (kedge_progress_running(run->progress) == 0 && !run->sending)) {
        kedge_inflight_dirty(w, run);
        return;
    }
    next = kedge_progress_next_time(run->progress);
    if (next != INT64_MAX)
        wake_run_at(w, run, kedge_worker_now(w) + (next > wall ? next - wall : 0));
}

void kedge_inflight_again(struct kedge_worker *w, struct kedge_inflight *run, uint32_t step)
{
    if (run->gone)
        return;
    kedge_progress_give_back(run->progress, step);
    wake_run_at(w, run, kedge_worker_now(w) + 1000000);
}

/* ------------------------------------------------------------- the commit */

/* Apply one record and put it into the item.  The record is the item's now. */
static bool put(struct kedge_worker *w, struct kedge_inflight *run, struct kedge_out *out)
{
    struct kedge_item *item = &run->item;
    struct kedge_error err;

    if (item->n_records == item->max_records) {
        size_t max = item->max_records == 0 ? 4 : 2 * item->max_records;
        struct kedge_bytes *records = w->host->alloc(w->host->ctx, max * sizeof *records);

        if (records == NULL)
            return false;
        if (item->n_records > 0)
            memcpy(records, item->records, item->n_records * sizeof *records);
        w->host->release(w->host->ctx, item->records);
        item->records = records;
        item->max_records = max;
    }
    if (kedge_progress_apply(run->progress, run->position + 1, kedge_worker_wall(w), &out->rec,
                             out->buf->len, &err) != KEDGE_OK) {
        kedge_worker_log(w, LOG_CRIT, "a record does not fit its run: %s", err.msg);
        return false;
    }
    run->position++;
    if (out->rec.kind == KEDGE_RECORD_DONE)
        kedge_progress_value_set(run->progress, out->rec.step, out->buf, out->rec.value);
    item->records[item->n_records++] = (struct kedge_bytes){ out->buf->data, out->buf->len };
    item->bytes += out->buf->len;
    out->next = NULL;
    *item->outs_end = out;
    item->outs_end = &out->next;
    return true;
}

static bool put_new(struct kedge_worker *w, struct kedge_inflight *run, const struct kedge_rec *rec)
{
    struct kedge_out *out = kedge_out_new(w, rec);

    if (out == NULL)
        return false;
    if (!put(w, run, out)) {
        kedge_out_free(w, out);
        return false;
    }
    return true;
}

/* Where does the run go with this commit? */
static bool decide_end(struct kedge_worker *w, struct kedge_inflight *run)
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
        return true;
    if (atomic_load(&w->stopping)) {
        item->end = KEDGE_ITEM_DUE;
        item->due_in = 0;
    } else if (!kedge_progress_ready(run->progress, wall)) {
        next = kedge_progress_next_time(run->progress);
        KEDGE_ASSERT(next != INT64_MAX);
        item->end = KEDGE_ITEM_DUE;
        item->due_in = next > wall ? next - wall : 0;
    }
    return true;
}

static bool may_hold_back(const struct kedge_worker *w, const struct kedge_inflight *run)
{
    const struct kedge_item *item = &run->item;

    if (w->options.checkpoint_min_interval_us <= 0 || item->end != KEDGE_ITEM_STAY ||
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

static void add_snapshot(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;
    struct kedge_change *change;

    if (item->snapshot == NULL && item->end != KEDGE_ITEM_REST &&
        kedge_progress_wants_snapshot(run->progress))
        item->snapshot = w->host->alloc(w->host->ctx, kedge_progress_snapshot_size(run->progress));
    if (item->snapshot == NULL)
        return; /* without memory: another time */
    change = add(item, run, KEDGE_SNAPSHOT);
    change->snapshot.data.data = item->snapshot;
    change->snapshot.data.len = kedge_progress_snapshot(run->progress, item->snapshot);
    change->snapshot.position = run->position;
    item->bytes += change->snapshot.data.len;
}

/* Guards and changes, for the lease we have now. */
static void form(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;
    struct kedge_change *change;
    enum kedge_phase phase = kedge_progress_phase(run->progress);

    item->n_changes = 0;
    item->adopting = !same_lease(&run->lease, &w->lease);
    memset(&item->guard, 0, sizeof item->guard);
    item->guard.name = run->id;
    if (item->adopting) {
        item->guard.kind = KEDGE_GUARD_UNHELD;
        item->guard.statuses = KEDGE_STATUSES_UNFINISHED;
        item->guard.number = run->revision;
        change = add(item, run, KEDGE_TAKE);
        change->take.lease = w->lease;
    } else {
        item->guard.kind = KEDGE_GUARD_HELD;
        item->guard.lease = run->lease;
        item->guard.number = run->fence;
    }
    if (item->n_records > 0) {
        change = add(item, run, KEDGE_APPEND);
        change->append.records = item->records;
        change->append.n = item->n_records;
        change->append.first = run->position - item->n_records + 1;
    }
    add_snapshot(w, run);
    if ((phase == KEDGE_PHASE_STOPPING || phase == KEDGE_PHASE_BACK) &&
        run->status != KEDGE_ROLLING_BACK && item->end != KEDGE_ITEM_REST) {
        change = add(item, run, KEDGE_SET);
        change->set.mask = KEDGE_SET_STATUS;
        change->set.status = KEDGE_ROLLING_BACK;
    }
    if (item->end != KEDGE_ITEM_STAY)
        add_release(w, run);
    kedge_worker_random(w, &item->request);
    item->sealed = true;
    item->reform = false;
}

bool kedge_inflight_seal(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;
    struct kedge_out *out;

    if (item->sealed) {
        if (item->reform)
            form(w, run);
        return true;
    }
    while ((out = run->waiting) != NULL) {
        run->waiting = out->next;
        if (run->waiting == NULL)
            run->waiting_end = &run->waiting;
        if (!put(w, run, out)) {
            kedge_out_free(w, out);
            kedge_inflight_drop(w, run);
            return false;
        }
    }
    if (!decide_end(w, run)) {
        kedge_inflight_drop(w, run);
        return false;
    }
    if (item->end == KEDGE_ITEM_STAY && item->n_records == 0)
        return false;
    if (may_hold_back(w, run)) {
        kedge_inflight_go_on(w, run);
        wake_run_at(w, run,
                    min64(run->wake_at, run->flushed + w->options.checkpoint_min_interval_us));
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
    item->bytes = 0;
    item->sealed = false;
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

static void tell_steps(struct kedge_worker *w, const struct kedge_inflight *run)
{
    for (const struct kedge_out *out = run->item.outs; out != NULL; out = out->next) {
        uint32_t outcome = outcome_of(&out->rec);
        char text[KEDGE_RECORD_TEXT_MAX + 1];

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
    tell_steps(w, run);
    item_reset(w, item);
    if (end == KEDGE_ITEM_STAY) {
        kedge_inflight_go_on(w, run);
        return;
    }
    if (end == KEDGE_ITEM_REST) {
        w->stats.runs_ended++;
        emit_run(w, run, KEDGE_EVENT_RUN_ENDED, item->rest_status, 0);
        kedge_store_run_ended(w->store, run->id);
    } else {
        emit_run(w, run, KEDGE_EVENT_RUN_LEFT, 0, item->due_in);
        if (item->due_in <= 0)
            w->claim_hint = true;
        else
            w->claim_at = min64(w->claim_at, kedge_worker_now(w) + item->due_in);
    }
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
        kedge_worker_log(w, LOG_NOTICE, "a run has gone elsewhere: %s", kedge_status_text(outcome));
        emit_run(w, run, KEDGE_EVENT_RUN_LOST, 0, 0);
        kedge_inflight_drop(w, run);
        return;
    case KEDGE_ERR_UNKNOWN:
    case KEDGE_ERR_UNAVAILABLE:
    case KEDGE_ERR_NOMEM:
    case KEDGE_ERR_FULL:
        if (outcome == KEDGE_ERR_UNKNOWN)
            w->stats.resent++;
        kedge_inflight_dirty(w, run);
        return;
    default:
        kedge_worker_log(w, LOG_CRIT, "the store refuses to go on with a run: %s", answer->why);
        emit_run(w, run, KEDGE_EVENT_RUN_LOST, 0, 0);
        kedge_inflight_drop(w, run);
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
    }
    if (!run->dirty)
        kedge_inflight_unref(w, run); /* else whoever finds it in the queue does */
}

/* ------------------------------------------------------------------ taking */

static struct kedge_reactor *serves(const struct kedge_worker *w, const struct kedge_run *head)
{
    for (size_t i = 0; i < w->options.n_reactors; i++) {
        struct kedge_reactor *reactor = w->reactors[i];

        if (reactor->version == head->version && strlen(reactor->name) == head->reactor.len &&
            memcmp(reactor->name, head->reactor.data, head->reactor.len) == 0)
            return reactor;
    }
    return NULL;
}

static struct kedge_inflight *new_run(struct kedge_worker *w, const struct kedge_run *head)
{
    const struct kedge_host *host = w->host;
    struct kedge_inflight *run =
        host->alloc(host->ctx, sizeof *run + head->id.len + head->context.len + 1);
    struct kedge_reactor *reactor = serves(w, head);
    unsigned char *to;

    if (run == NULL)
        return NULL;
    KEDGE_ASSERT(reactor != NULL);
    memset(run, 0, sizeof *run);
    to = (unsigned char *)(run + 1);
    memcpy(to, head->id.data, head->id.len);
    run->id = (struct kedge_bytes){ to, head->id.len };
    if (head->context.len > 0)
        memcpy(to + head->id.len, head->context.data, head->context.len);
    run->context = (struct kedge_bytes){ to + head->id.len, head->context.len };
    run->refs = 1;
    run->reactor = kedge_reactor_hold(reactor);
    run->incarnation = head->incarnation;
    run->fence = head->fence;
    run->revision = head->revision;
    run->status = head->status;
    run->lease = w->lease;
    run->wake_at = INT64_MAX;
    run->flushed = kedge_worker_now(w);
    run->waiting_end = &run->waiting;
    run->item.outs_end = &run->item.outs;
    run->progress = kedge_progress_new(host, reactor);
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

/* One record by its number, for its value. */
static int read_one(struct kedge_worker *w, struct kedge_inflight *run, uint64_t number,
                    struct kedge_error *err)
{
    struct kedge_record_page page = { 0 };
    struct kedge_rec rec;
    int rc = w->ops->retrieve_records(w->driver_session, run->id, run->incarnation, number, 1,
                                      SIZE_MAX, &page, w->options.timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = page.n == 1 ? kedge_record_decode(page.records[0].data, &rec, err) : KEDGE_ERR_CORRUPT;
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

        rc = kedge_record_decode(record->data, &rec, err);
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
static void note_doubt(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_rec rec;
    struct kedge_out *out;

    if (!kedge_progress_doubt(run->progress, kedge_worker_wall(w), &rec))
        return;
    out = kedge_out_new(w, &rec);
    if (out == NULL)
        return;
    *run->waiting_end = out;
    run->waiting_end = &out->next;
}

static void take_one(struct kedge_worker *w, const struct kedge_run *head)
{
    struct kedge_inflight *run = new_run(w, head);
    struct kedge_error err = { 0, 0, "out of memory" };
    int64_t began = kedge_worker_now(w);
    int rc = KEDGE_ERR_NOMEM;

    if (run != NULL) {
        (void)pthread_mutex_unlock(&w->lock);
        rc = read_run(w, run, &err);
        (void)pthread_mutex_lock(&w->lock);
    }
    if (rc != KEDGE_OK) {
        kedge_worker_log(w, LOG_ERR, "a run that was taken cannot be read: %s", err.msg);
        if (run != NULL)
            kedge_inflight_unref(w, run);
        return;
    }
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
    if (head->recoveries > 0)
        note_doubt(w, run);
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
