/*
 * run_steps.c - what became of the steps of a run, from its whole journal
 *
 * A snapshot says where the run stands, not when what happened, so the journal is read from its
 * first record on.  With the reactor's definition in the store the states are those that a worker
 * would go on from; without it only what the records say can be told.
 */
#include <config.h>

#include <string.h>

#include <kedge/run.h>
#include <kedge/store.h>

#include "args.h"
#include "progress.h"
#include "reader.h"

#define PAGE_RECORDS 1000
#define PAGE_BYTES   (4u << 20)

/* More steps than a reactor can have: a record that says so is not one of ours. */
#define MOST_STEPS (UINT32_C(1) << 20)

/* What the records say about one step. */
struct told {
    uint32_t kind; /* of the last record about it; 0: none */
    uint32_t failures;
    uint32_t in_doubt;
    uint64_t value_record;
    int64_t time;
    int64_t until;
    struct kedge_bytes value;
    struct kedge_bytes error;
};

struct telling {
    struct kedge_reader r;
    struct kedge_mem *mem; /* all pages */
    struct kedge_reactor *reactor;
    struct kedge_progress *progress; /* NULL: no definition */
    struct told *told;
    uint32_t n; /* steps in TOLD */
    uint32_t room;
};

/* Make TOLD reach up to STEP. */
static int reach(struct telling *t, uint32_t step, struct kedge_error *err)
{
    const struct kedge_host *host = t->r.host;
    struct told *more;
    uint32_t room = t->room;

    if (step >= MOST_STEPS)
        return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0, "a record speaks of step %lu",
                               (unsigned long)step);
    if (step >= room) {
        while (step >= room)
            room = room != 0 ? 2 * room : 16;
        more = host->alloc(host->ctx, room * sizeof *more);
        if (more == NULL)
            return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
        memset(more, 0, room * sizeof *more);
        if (t->n != 0)
            memcpy(more, t->told, t->n * sizeof *more);
        host->release(host->ctx, t->told);
        t->told = more;
        t->room = room;
    }
    if (step >= t->n)
        t->n = step + 1;
    return KEDGE_OK;
}

static int hear_doubt(struct telling *t, const struct kedge_rec *rec, struct kedge_error *err)
{
    struct kedge_bytes steps = rec->steps;
    uint64_t step;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && kedge_varint_read(&steps, &step)) {
        rc = reach(t, step < MOST_STEPS ? (uint32_t)step : MOST_STEPS, err);
        if (rc == KEDGE_OK)
            t->told[step].in_doubt = 1;
    }
    return rc;
}

/* Is the text of such a record an error or a reason?  What a snooze says is neither. */
static int has_error(const struct kedge_rec *rec)
{
    return rec->text.len != 0 || rec->kind == KEDGE_RECORD_HALTED ||
           rec->kind == KEDGE_RECORD_SKIPPED || rec->kind == KEDGE_RECORD_FAILED;
}

static int hear(struct telling *t, const struct kedge_record *record, const struct kedge_rec *rec,
                struct kedge_error *err)
{
    struct told *step;
    int rc;

    if (rec->kind == KEDGE_RECORD_DOUBT)
        return hear_doubt(t, rec, err);
    if (rec->step == KEDGE_NO_STEP || rec->kind == KEDGE_RECORD_END ||
        rec->kind == KEDGE_RECORD_REQUEST)
        return KEDGE_OK;
    rc = reach(t, rec->step, err);
    if (rc != KEDGE_OK)
        return rc;
    step = &t->told[rec->step];
    step->kind = rec->kind;
    step->time = record->time;
    step->in_doubt = 0;
    if (rec->kind == KEDGE_RECORD_DONE) {
        step->value = rec->value;
        step->value_record = record->number;
    }
    if (rec->kind == KEDGE_RECORD_DELAYED || rec->kind == KEDGE_RECORD_FAILED)
        step->failures = rec->failures;
    if (rec->kind == KEDGE_RECORD_DELAYED)
        step->until = record->time + rec->delay_us;
    if (has_error(rec))
        step->error = rec->text;
    return KEDGE_OK;
}

static int apply(struct telling *t, const struct kedge_record *record, struct kedge_error *err)
{
    struct kedge_rec rec;
    int rc = kedge_record_read(record, &rec, err);

    if (rc == KEDGE_OK)
        rc = hear(t, record, &rec, err);
    if (rc == KEDGE_OK && t->progress != NULL)
        rc = kedge_progress_apply(t->progress, record->number, record->time, &rec, record->data.len,
                                  err);
    return rc;
}

/* What the pages hold is borrowed until the end: hang them onto one chain. */
static void keep(struct telling *t, struct kedge_mem *mem)
{
    struct kedge_mem *end = mem;

    if (mem == NULL)
        return;
    while (end->next != NULL)
        end = end->next;
    end->next = t->mem;
    t->mem = mem;
}

static int read_journal(struct telling *t, const struct kedge_run *run, struct kedge_error *err)
{
    struct kedge_reader *r = &t->r;
    uint64_t limit = r->ops->limits->page_max;
    uint64_t first = 1;
    int rc = KEDGE_OK;

    if (limit > PAGE_RECORDS)
        limit = PAGE_RECORDS;
    while (rc == KEDGE_OK && first != 0) {
        struct kedge_record_page page = { .mem = NULL };

        rc = r->ops->retrieve_records(r->session, run->id, run->incarnation, first, (size_t)limit,
                                      PAGE_BYTES, &page, kedge_reader_time(r), err);
        if (rc != KEDGE_OK)
            break;
        keep(t, page.mem);
        for (size_t i = 0; rc == KEDGE_OK && i < page.n; i++)
            rc = apply(t, &page.records[i], err);
        first = page.next;
    }
    return rc;
}

/* ---------------------------------------------------------------- telling */

static uint32_t state_of_kind(const struct told *told)
{
    static const unsigned char states[] = {
        [KEDGE_RECORD_DONE] = KEDGE_STEP_DONE,
        [KEDGE_RECORD_SKIPPED] = KEDGE_STEP_SKIPPED,
        [KEDGE_RECORD_DELAYED] = KEDGE_STEP_DELAYED,
        [KEDGE_RECORD_FAILED] = KEDGE_STEP_FAILED,
        [KEDGE_RECORD_HALTED] = KEDGE_STEP_HALTED,
        [KEDGE_RECORD_COMPENSATED] = KEDGE_STEP_COMPENSATED,
        [KEDGE_RECORD_UNDONE] = KEDGE_STEP_UNDONE,
        [KEDGE_RECORD_UNDO_FAILED] = KEDGE_STEP_UNDO_FAILED,
    };

    if (told->kind < sizeof states && states[told->kind] != 0)
        return states[told->kind];
    return KEDGE_STEP_READY; /* all that is known of it is a doubt */
}

static void add_progress(const struct telling *t, uint32_t i, struct kedge_step_info *info)
{
    const struct kedge_reactor_step *step = &t->reactor->steps[i];

    info->state = kedge_progress_state(t->progress, i);
    info->failures = kedge_progress_failures(t->progress, i);
    info->flags = kedge_progress_in_doubt(t->progress, i) ? KEDGE_STEP_IN_DOUBT : 0;
    info->record = kedge_progress_value_record(t->progress, i);
    info->after = step->after;
    info->n_after = step->n_after;
}

static int tell(const struct telling *t, uint32_t i, kedge_step_info_fn *each, void *ctx)
{
    static const struct told nothing;
    const struct told *told = i < t->n ? &t->told[i] : &nothing;
    struct kedge_step_info info = { .struct_size = sizeof info, .index = i };
    char name[KEDGE_STEP_NAME_ROOM];

    info.name = kedge_reader_step_name(t->reactor, i, name);
    if (t->progress != NULL) {
        add_progress(t, i, &info);
    } else {
        info.state = state_of_kind(told);
        info.failures = told->failures;
        info.flags = told->in_doubt ? KEDGE_STEP_IN_DOUBT : 0;
        info.record = told->value_record;
    }
    info.time = told->time;
    info.error = told->error;
    if (info.state == KEDGE_STEP_DELAYED)
        info.next = t->progress != NULL ? kedge_progress_until(t->progress, i) : told->until;
    if (info.state == KEDGE_STEP_DONE)
        info.value = told->value;
    return each(ctx, &info);
}

static int tell_all(const struct telling *t, kedge_step_info_fn *each, void *ctx)
{
    uint32_t n = t->progress != NULL ? t->reactor->n_steps : t->n;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        /* Without a definition there may be gaps: nothing is known of such a step, or if it is. */
        if (t->progress != NULL || t->told[i].kind != 0 || t->told[i].in_doubt)
            rc = tell(t, i, each, ctx);
    }
    return rc;
}

static int gather(struct telling *t, const struct kedge_run *run, struct kedge_error *err)
{
    int rc = kedge_reader_definition(&t->r, run, &t->reactor, err);

    if (rc == KEDGE_OK && t->reactor != NULL) {
        t->progress = kedge_progress_new(t->r.host, t->reactor);
        if (t->progress == NULL)
            return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    return rc == KEDGE_OK ? read_journal(t, run, err) : rc;
}

static void forget(struct telling *t)
{
    kedge_progress_free(t->progress);
    kedge_reactor_free(t->reactor);
    kedge_mem_free(t->r.host, t->mem);
    t->r.host->release(t->r.host->ctx, t->told);
}

int kedge_run_steps(struct kedge_store *store, struct kedge_bytes id, kedge_step_info_fn *each,
                    void *ctx, int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_run_state state = { .mem = NULL };
    struct telling t = { .mem = NULL };
    int rc;

    if (each == NULL)
        return kedge_args_null("each", err);
    rc = kedge_reader_begin(&t.r, store, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = kedge_args_id(t.r.ops, id, err);
    if (rc == KEDGE_OK)
        rc = kedge_reader_head(&t.r, id, &state, err);
    if (rc == KEDGE_OK)
        rc = gather(&t, &state.run, err);
    kedge_reader_end(&t.r);
    if (rc == KEDGE_OK)
        rc = tell_all(&t, each, ctx);
    forget(&t);
    kedge_mem_free(t.r.host, state.mem);
    return rc;
}
