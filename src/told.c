/* told.c - what the whole journal of a run tells */
#include <config.h>

#include <string.h>

#include "told.h"

#define PAGE_RECORDS 1000
#define PAGE_BYTES   (4u << 20)

/* More steps than a reactor can have: a record that says so is not one of ours. */
#define MOST_STEPS (UINT32_C(1) << 20)

/* ---------------------------------------------------------------------- hearing */

/* Make STEPS reach up to STEP. */
static int reach(struct kedge_told *t, uint32_t step, struct kedge_error *err)
{
    struct kedge_told_step *more;
    uint32_t room = t->room;

    if (step >= MOST_STEPS)
        return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0, "a record speaks of step %lu",
                               (unsigned long)step);
    if (step >= room) {
        while (step >= room)
            room = room != 0 ? 2 * room : 16;
        more = t->host->alloc(t->host->ctx, room * sizeof *more);
        if (more == NULL)
            return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
        memset(more, 0, room * sizeof *more);
        if (t->n != 0)
            memcpy(more, t->steps, t->n * sizeof *more);
        t->host->release(t->host->ctx, t->steps);
        t->steps = more;
        t->room = room;
    }
    if (step >= t->n)
        t->n = step + 1;
    return KEDGE_OK;
}

static int hear_doubt(struct kedge_told *t, const struct kedge_rec *rec, struct kedge_error *err)
{
    struct kedge_bytes steps = rec->steps;
    uint64_t step;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && kedge_varint_read(&steps, &step)) {
        rc = reach(t, step < MOST_STEPS ? (uint32_t)step : MOST_STEPS, err);
        if (rc == KEDGE_OK)
            t->steps[step].in_doubt = true;
    }
    return rc;
}

/* Is the text of such a record an error or a reason?  What a snooze says is neither. */
static bool has_error(const struct kedge_rec *rec)
{
    return rec->text.len != 0 || rec->kind == KEDGE_RECORD_HALTED ||
           rec->kind == KEDGE_RECORD_SKIPPED || rec->kind == KEDGE_RECORD_FAILED;
}

static int hear_step(struct kedge_told *t, const struct kedge_record *record,
                     const struct kedge_rec *rec, struct kedge_error *err)
{
    struct kedge_told_step *step;
    int rc;

    if (rec->step == KEDGE_NO_STEP)
        return KEDGE_OK;
    rc = reach(t, rec->step, err);
    if (rc != KEDGE_OK)
        return rc;
    step = &t->steps[rec->step];
    step->kind = rec->kind;
    step->time = record->time;
    step->in_doubt = false;
    step->snoozed = rec->kind == KEDGE_RECORD_DELAYED && rec->text.len == 0;
    if (rec->kind == KEDGE_RECORD_DONE) {
        step->value = rec->value;
        step->value_record = record->number;
    }
    if (rec->kind == KEDGE_RECORD_DELAYED || rec->kind == KEDGE_RECORD_FAILED)
        step->failures = rec->failures;
    if (rec->kind == KEDGE_RECORD_DELAYED)
        step->until = kedge_record_until(rec, record->time);
    if (has_error(rec))
        step->error = rec->text;
    return KEDGE_OK;
}

static void hear_request(struct kedge_told *t, const struct kedge_told_record *told)
{
    switch (told->rec.number) {
    case KEDGE_VERB_PAUSE:
        t->pause = *told;
        break;
    case KEDGE_VERB_RESUME:
        t->pause.rec.kind = 0;
        break;
    case KEDGE_VERB_ABANDON:
        t->abandon = *told;
        break;
    default:
        break;
    }
}

static int hear(struct kedge_told *t, const struct kedge_record *record,
                const struct kedge_rec *rec, struct kedge_error *err)
{
    struct kedge_told_record told = { *rec, record->number, record->time };

    switch (rec->kind) {
    case KEDGE_RECORD_DOUBT:
        return hear_doubt(t, rec, err);
    case KEDGE_RECORD_END:
        t->end = told;
        return KEDGE_OK;
    case KEDGE_RECORD_REQUEST:
        hear_request(t, &told);
        return KEDGE_OK;
    case KEDGE_RECORD_ASIDE:
        t->aside = told;
        return KEDGE_OK;
    case KEDGE_RECORD_CRASH_LOOP:
        t->crash_loop = told;
        return KEDGE_OK;
    default:
        return hear_step(t, record, rec, err);
    }
}

/* ---------------------------------------------------------------------- reading */

static int apply(struct kedge_told *t, const struct kedge_record *record, struct kedge_error *err)
{
    struct kedge_rec rec;
    int rc = kedge_record_read(record, &rec, err);

    t->time = record->time;
    if (rc == KEDGE_OK)
        rc = hear(t, record, &rec, err);
    if (rc == KEDGE_OK && t->progress != NULL)
        rc = kedge_progress_apply(t->progress, record->number, record->time, &rec, record->data.len,
                                  err);
    return rc;
}

/* After what makes no sense the fold is of no use; what others say is heard all the same. */
static int doubt(struct kedge_told *t, int rc, const struct kedge_error *why,
                 struct kedge_error *err)
{
    if (rc == KEDGE_OK)
        return rc;
    if (rc != KEDGE_ERR_CORRUPT && rc != KEDGE_ERR_SCHEMA_NEW)
        return kedge_error_set(err, rc, why->sys_errno, "%s", why->msg);
    kedge_progress_free(t->progress);
    t->progress = NULL;
    if (t->unreadable == KEDGE_OK) {
        t->unreadable = rc;
        t->why = *why;
    }
    return KEDGE_OK;
}

static int read_journal(struct kedge_told *t, struct kedge_reader *r, const struct kedge_run *run,
                        struct kedge_error *err)
{
    uint64_t most =
        r->ops->limits->page_max < PAGE_RECORDS ? r->ops->limits->page_max : PAGE_RECORDS;
    uint64_t first = 1;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && first != 0 && first <= run->position) {
        struct kedge_record_page page = { .mem = NULL };
        uint64_t left = run->position - first + 1;

        rc = r->ops->retrieve_records(r->session, run->id, run->incarnation, first,
                                      (size_t)(left < most ? left : most), PAGE_BYTES, &page,
                                      kedge_reader_time(r), err);
        if (rc != KEDGE_OK)
            break;
        kedge_reader_keep(&t->mem, page.mem);
        for (size_t i = 0; rc == KEDGE_OK && i < page.n; i++) {
            struct kedge_error why = { 0, 0, "" };

            rc = doubt(t, apply(t, &page.records[i], &why), &why, err);
        }
        first = page.next;
    }
    return rc;
}

int kedge_told_read(struct kedge_told *t, struct kedge_reader *r, const struct kedge_run *run,
                    struct kedge_error *err)
{
    struct kedge_error why = { 0, 0, "" };
    int rc;

    *t = (struct kedge_told){ .host = r->host };
    rc = doubt(t, kedge_reader_definition(r, run, &t->reactor, &why), &why, err);
    if (rc == KEDGE_OK && t->reactor != NULL) {
        t->progress = kedge_progress_new(r->host, t->reactor);
        if (t->progress == NULL)
            return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    return rc == KEDGE_OK ? read_journal(t, r, run, err) : rc;
}

void kedge_told_free(struct kedge_told *t)
{
    if (t->host == NULL)
        return;
    kedge_progress_free(t->progress);
    kedge_reactor_free(t->reactor);
    kedge_mem_free(t->host, t->mem);
    t->host->release(t->host->ctx, t->steps);
}

/* ---------------------------------------------------------------------- telling */

static uint32_t state_of_kind(const struct kedge_told_step *told)
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

static void add_progress(const struct kedge_told *t, uint32_t i, struct kedge_step_info *info)
{
    const struct kedge_reactor_step *step = &t->reactor->steps[i];

    info->state = kedge_progress_state(t->progress, i);
    info->failures = kedge_progress_failures(t->progress, i);
    info->flags = kedge_progress_in_doubt(t->progress, i) ? KEDGE_STEP_IN_DOUBT : 0;
    info->record = kedge_progress_value_record(t->progress, i);
    info->after = step->after;
    info->n_after = step->n_after;
}

uint32_t kedge_told_steps(const struct kedge_told *t)
{
    return t->progress != NULL ? t->reactor->n_steps : t->n;
}

bool kedge_told_knows(const struct kedge_told *t, uint32_t step)
{
    /* Without a definition there may be gaps: nothing is known of such a step, or if it is. */
    return t->progress != NULL || t->steps[step].kind != 0 || t->steps[step].in_doubt;
}

void kedge_told_step(const struct kedge_told *t, uint32_t step, struct kedge_step_info *info,
                     char name[KEDGE_STEP_NAME_ROOM])
{
    static const struct kedge_told_step nothing;
    const struct kedge_told_step *told = step < t->n ? &t->steps[step] : &nothing;

    *info = (struct kedge_step_info){ .struct_size = sizeof *info, .index = step };
    info->name = kedge_reader_step_name(t->reactor, step, name);
    if (t->progress != NULL) {
        add_progress(t, step, info);
    } else {
        info->state = state_of_kind(told);
        info->failures = told->failures;
        info->flags = told->in_doubt ? KEDGE_STEP_IN_DOUBT : 0;
        info->record = told->value_record;
    }
    info->time = told->time;
    info->error = told->error;
    if (info->state == KEDGE_STEP_DELAYED)
        info->next = t->progress != NULL ? kedge_progress_until(t->progress, step) : told->until;
    if (info->state == KEDGE_STEP_DONE)
        info->value = told->value;
}
