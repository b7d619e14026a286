/*
 * take.c - a run that was claimed becomes a run in flight: its journal is read and folded
 *
 * What cannot be read now is handed back; what cannot be understood is set aside.
 */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "kassert.h"
#include "session.h"
#include "worker.h"

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
        uint64_t number;
        bool needed = false;

        if (!kedge_progress_needed(p, i)) /* nearly all, in a long run */
            continue;
        number = kedge_progress_value_record(p, i);
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
    if (rc == KEDGE_OK && kedge_progress_phase(run->progress) == KEDGE_PHASE_ENDED)
        rc = kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                             "it was due, and its journal says that it has ended");
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
    out = kedge_out_new(w, run, &rec);
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
    if (!aside || kedge_inflight_set_aside(w, head, why) != KEDGE_OK)
        kedge_reconcile_in(w, 1000000);
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
    if (kedge_item_wants_hold(w, run)) /* the claim could not say it for all */
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
