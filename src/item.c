/*
 * item.c - the commit of a run in flight: records, what becomes of the head, where the run goes
 *
 * Outcomes are applied to the run's progress as they are put in.  A sealed item is sent as it is,
 * and sent again with the same bytes, unless its lease died: then the same records go under the new
 * one.
 */
#include <config.h>

#include <string.h>
#include <syslog.h>

#include "kassert.h"
#include "worker.h"

/* So long others may claim first what waits for a function here. */
#define HUNG_US INT64_C(500000)

/* Is it time to say again how long the run may be held? */
bool kedge_item_wants_hold(const struct kedge_worker *w, const struct kedge_inflight *run)
{
    return run->hold_us > 0 && run->held_until - kedge_moment_now(w) < run->hold_us / 2;
}

void kedge_item_reset(struct kedge_worker *w, struct kedge_item *item)
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
    item->urgent = false;
}

/* Apply one record and put it into the item: the record is the item's now.  ERR_NOMEM: another
   time. */
static int put(struct kedge_worker *w, struct kedge_inflight *run, struct kedge_out *out)
{
    struct kedge_item *item = &run->item;
    struct kedge_error err;
    int rc = run->named ? KEDGE_OK : kedge_out_name(w, out);

    if (rc != KEDGE_OK)
        return rc;
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
    rc = kedge_progress_apply(run->progress, run->position + 1, kedge_moment_wall(w), &out->rec,
                              out->buf->len, &err);
    if (rc != KEDGE_OK) {
        if (rc != KEDGE_ERR_NOMEM)
            kedge_worker_log(w, LOG_CRIT, "a record does not fit its run: %s", err.msg);
        return rc;
    }
    run->position++;
    run->named = true;
    if (out->rec.kind == KEDGE_RECORD_DONE)
        kedge_progress_value_set(run->progress, out->rec.step, out->buf, out->rec.value);
    item->records[item->n_records++] = (struct kedge_bytes){ out->buf->data, out->buf->len };
    item->bytes += out->buf->len;
    if (out->rec.kind != KEDGE_RECORD_DONE && out->rec.kind != KEDGE_RECORD_SKIPPED)
        item->urgent = true;
    out->next = NULL;
    *item->outs_end = out;
    item->outs_end = &out->next;
    return KEDGE_OK;
}

static int put_new(struct kedge_worker *w, struct kedge_inflight *run, const struct kedge_rec *rec)
{
    struct kedge_out *out = kedge_out_new(w, run, rec);
    int rc = out != NULL ? put(w, run, out) : KEDGE_ERR_NOMEM;

    if (rc != KEDGE_OK)
        kedge_out_free(w, out);
    return rc;
}

/* Where does the run go with this commit? */
static int decide_end(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;
    int64_t wall = kedge_moment_wall(w);
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
    } else if (run->patience <= kedge_moment_now(w)) { /* elsewhere no function is in the way */
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
        item->clear != 0 || run->waiting != NULL || item->urgent || kedge_item_wants_hold(w, run))
        return false;
    return kedge_moment_now(w) - run->flushed < w->options.checkpoint_min_interval_us;
}

static struct kedge_change *add(struct kedge_item *item, struct kedge_inflight *run, uint32_t kind)
{
    struct kedge_change *change = &item->changes[item->n_changes++];

    memset(change, 0, sizeof *change);
    change->kind = kind;
    change->name = run->id;
    return change;
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
        change->release.when = kedge_in_us(item->due_in);
        return;
    }
    change->release.place = KEDGE_PLACE_REST;
    change->release.status = item->rest_status;
    if (w->options.retention_us >= 0 && item->rest_status != KEDGE_STUCK &&
        item->rest_status != KEDGE_ABORTED)
        change->release.when = kedge_in_us(w->options.retention_us);
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
        kedge_progress_wants_snapshot(run->progress)) {
        size_t size = kedge_progress_snapshot_size(run->progress);

        if (has_room(w, run, size))
            item->snapshot = w->host->alloc(w->host->ctx, size);
    }
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
    change->set.hold_until = kedge_in_us(run->hold_us);
    add_cells(run);
}

/* By another lease, of which its journal has no record yet.  Without memory it stays untold. */
static void name_again(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;
    struct kedge_out *first = item->outs;

    run->named = false;
    if (first == NULL || kedge_out_name(w, first) != KEDGE_OK) {
        atomic_store(&run->naming, false);
        return;
    }
    run->named = true;
    item->bytes += first->buf->len - item->records[0].len;
    item->records[0] = (struct kedge_bytes){ first->buf->data, first->buf->len };
}

/* Guards and changes, for the lease we have now. */
static void form(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_item *item = &run->item;
    struct kedge_guard *guard = &item->guards[0];
    struct kedge_change *change;

    item->n_changes = 0;
    item->n_guards = 1;
    item->adopting = !kedge_same_lease(&run->lease, &w->lease);
    item->hold = item->end == KEDGE_ITEM_STAY && run->hold_us > 0 &&
                 (item->adopting || kedge_item_wants_hold(w, run));
    memset(guard, 0, sizeof *guard);
    guard->name = run->id;
    if (item->adopting) {
        name_again(w, run);
        guard->kind = KEDGE_GUARD_UNHELD;
        guard->statuses = KEDGE_STATUSES_UNFINISHED;
        guard->number = run->revision;
        change = add(item, run, KEDGE_TAKE);
        change->take.lease = w->lease;
        if (run->hold_us > 0)
            change->take.hold_until = kedge_in_us(run->hold_us);
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
    kedge_worker_request(w, &item->request);
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
        kedge_inflight_timer(w, run, kedge_moment_now(w) + 1000000);
        return false;
    }
    if (rc != KEDGE_OK) {
        kedge_inflight_drop(w, run);
        return false;
    }
    item->clear |= run->clear;
    run->clear = 0;
    adopt = !kedge_same_lease(&run->lease, &w->lease);
    if (item->end == KEDGE_ITEM_STAY && item->n_records == 0 && item->clear == 0 && !adopt &&
        !kedge_item_wants_hold(w, run)) {
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
