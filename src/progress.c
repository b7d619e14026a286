/* progress.c - how far a run is */
#include <config.h>

#include <string.h>

#include "fold.h"
#include "kassert.h"

static const struct kedge_reactor_step *step_of(const struct kedge_progress *p, uint32_t step)
{
    return &p->reactor->steps[step];
}

/* ------------------------------------------------- what is ready, and delayed */

void kedge_fold_list(struct kedge_progress *p, uint32_t step)
{
    p->flags[step] |= LISTED;
    p->next[step] = NONE;
    p->prev[step] = p->last;
    if (p->last != NONE)
        p->next[p->last] = step;
    else
        p->head = step;
    p->last = step;
}

static void list_remove(struct kedge_progress *p, uint32_t step)
{
    uint32_t next = p->next[step];
    uint32_t prev = p->prev[step];

    p->flags[step] &= (unsigned char)~LISTED;
    if (prev != NONE)
        p->next[prev] = next;
    else
        p->head = next;
    if (next != NONE)
        p->prev[next] = prev;
    else
        p->last = prev;
}

static void heap_put(struct kedge_progress *p, uint32_t at, uint32_t step)
{
    p->heap[at] = step;
    p->prev[step] = at;
}

static void heap_up(struct kedge_progress *p, uint32_t at, uint32_t step)
{
    while (at > 0 && p->until[p->heap[(at - 1) / 2]] > p->until[step]) {
        heap_put(p, at, p->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(p, at, step);
}

static void heap_down(struct kedge_progress *p, uint32_t at, uint32_t step)
{
    while (at < p->n_heap / 2) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < p->n_heap && p->until[p->heap[child + 1]] < p->until[p->heap[child]])
            child++;
        if (p->until[p->heap[child]] >= p->until[step])
            break;
        heap_put(p, at, p->heap[child]);
        at = child;
    }
    heap_put(p, at, step);
}

void kedge_fold_heap(struct kedge_progress *p, uint32_t step)
{
    p->flags[step] |= HEAPED;
    heap_up(p, p->n_heap++, step);
}

static void heap_remove(struct kedge_progress *p, uint32_t step)
{
    uint32_t at = p->prev[step];
    uint32_t moved = p->heap[--p->n_heap];

    p->flags[step] &= (unsigned char)~HEAPED;
    if (moved == step)
        return;
    if (p->until[moved] < p->until[step])
        heap_up(p, at, moved);
    else
        heap_down(p, at, moved);
}

/* There is a record of it now: it is neither waiting for its turn nor running. */
void kedge_fold_take_out(struct kedge_progress *p, uint32_t step)
{
    if ((p->flags[step] & LISTED) != 0)
        list_remove(p, step);
    if ((p->flags[step] & HEAPED) != 0)
        heap_remove(p, step);
    if ((p->flags[step] & RUNNING) != 0) {
        p->flags[step] &= (unsigned char)~RUNNING;
        p->n_running--;
    }
}

void kedge_fold_set_odd(struct kedge_progress *p, uint32_t step)
{
    if ((p->flags[step] & ODD) == 0)
        p->n_odd++;
    p->flags[step] |= ODD;
}

void kedge_fold_set_ready(struct kedge_progress *p, uint32_t step)
{
    p->state[step] = KEDGE_STEP_READY;
    kedge_fold_list(p, step);
}

/* ------------------------------------------------------------------- values */

static void value_drop(struct kedge_progress *p, uint32_t step)
{
    kedge_buf_drop(p->host, p->value[step].buf);
    p->value[step] = (struct value){ NULL, { NULL, 0 } };
}

/* STEP needs nobody's value any more. */
void kedge_fold_unneed(struct kedge_progress *p, uint32_t step)
{
    const struct kedge_reactor *r = p->reactor;

    for (uint32_t i = r->after_at[step]; i < r->after_at[step + 1]; i++) {
        uint32_t before = r->edges[i];

        if (--p->needed[before] == 0)
            value_drop(p, before);
    }
}

static void values_drop(struct kedge_progress *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        value_drop(p, i);
}

void kedge_progress_value_set(struct kedge_progress *p, uint32_t step, struct kedge_buf *buf,
                              struct kedge_bytes value)
{
    if (p->needed[step] == 0 || p->phase == KEDGE_PHASE_ENDED)
        return;
    kedge_buf_hold(buf);
    value_drop(p, step);
    p->value[step] = (struct value){ buf, value };
}

const struct kedge_bytes *kedge_progress_value(const struct kedge_progress *p, uint32_t step)
{
    return p->value[step].buf != NULL ? &p->value[step].bytes : NULL;
}

struct kedge_buf *kedge_progress_value_hold(const struct kedge_progress *p, uint32_t step,
                                            struct kedge_bytes *value)
{
    *value = p->value[step].bytes;
    return kedge_buf_hold(p->value[step].buf);
}

/* -------------------------------------------------------------- new and free */

/* One allocation: members with strict alignment first.  0 bytes: it does not fit. */
#define WIDE   (sizeof(struct value) + sizeof(uint64_t) + sizeof(int64_t))
#define NARROW (7 * sizeof(uint32_t))
#define BYTES  (2 + 5) /* a step in a DOUBT record has at most 5 */

static size_t memory_size(uint32_t n)
{
    const size_t each = WIDE + NARROW + BYTES;
    size_t steps = n * each;

    if (steps / each != n || steps > SIZE_MAX - sizeof(struct kedge_progress))
        return 0;
    return sizeof(struct kedge_progress) + steps;
}

static void lay_out(struct kedge_progress *p)
{
    size_t n = p->n;

    p->value = (struct value *)(p + 1);
    p->record = (uint64_t *)(p->value + n);
    p->until = (int64_t *)(p->record + n);
    p->missing = (uint32_t *)(p->until + n);
    p->needed = p->missing + n;
    p->failures = p->needed + n;
    p->next = p->failures + n;
    p->prev = p->next + n;
    p->heap = p->prev + n;
    p->order = p->heap + n;
    p->state = (unsigned char *)(p->order + n);
    p->flags = p->state + n;
    p->steps = p->flags + n;
}

void kedge_fold_begin(struct kedge_progress *p)
{
    const struct kedge_reactor *r = p->reactor;

    p->phase = KEDGE_PHASE_FORWARD;
    p->head = p->last = NONE;
    p->n_heap = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        p->missing[i] = r->after_at[i + 1] - r->after_at[i];
        p->needed[i] = r->before_at[i + 1] - r->before_at[i];
    }
    memset(p->state, KEDGE_STEP_WAITING, p->n);
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->missing[i] == 0)
            kedge_fold_set_ready(p, i);
    }
}

struct kedge_progress *kedge_progress_new(const struct kedge_host *host,
                                          const struct kedge_reactor *reactor)
{
    size_t size = memory_size(reactor->n_steps);
    struct kedge_progress *p = size > 0 ? host->alloc(host->ctx, size) : NULL;

    if (p == NULL)
        return NULL;
    memset(p, 0, size);
    p->host = host;
    p->reactor = reactor;
    p->n = reactor->n_steps;
    p->back_step = p->failed.step = p->halted.step = p->undo.step = p->asked.step = NONE;
    lay_out(p);
    kedge_fold_begin(p);
    return p;
}

void kedge_fold_drop_text(struct kedge_progress *p, struct ending *ending)
{
    p->host->release(p->host->ctx, ending->text);
    *ending = (struct ending){ .step = NONE };
}

void kedge_progress_free(struct kedge_progress *p)
{
    if (p == NULL)
        return;
    values_drop(p);
    kedge_fold_drop_text(p, &p->failed);
    kedge_fold_drop_text(p, &p->halted);
    kedge_fold_drop_text(p, &p->undo);
    kedge_fold_drop_text(p, &p->asked);
    p->host->release(p->host->ctx, p);
}

/* ------------------------------------------------------------- going back */

/*
 * Did it run, or may it have, without coming to a good end?  A step that is delayed ran and failed,
 * or snoozed over something it had begun.
 */
static int may_compensate(const struct kedge_progress *p, uint32_t step)
{
    switch (p->state[step]) {
    case KEDGE_STEP_FAILED:
    case KEDGE_STEP_DELAYED:
        return 1;
    case KEDGE_STEP_READY:
        return (p->flags[step] & DOUBT) != 0;
    default:
        return 0;
    }
}

/* By what the stored form has as well: a reader without the program sees the same way back. */
static int will_compensate(const struct kedge_progress *p, uint32_t step)
{
    return (step_of(p, step)->functions & KEDGE_REACTOR_COMPENSATE) != 0 && may_compensate(p, step);
}

static int will_undo(const struct kedge_progress *p, uint32_t step)
{
    return (step_of(p, step)->functions & KEDGE_REACTOR_UNDO) != 0 &&
           p->state[step] == KEDGE_STEP_DONE;
}

/*
 * A step is not undone while something that came after it could not be: its undo may count on the
 * other's.  order[] has what comes after it behind it, so one pass from the end finds all.
 */
static int is_blocked(const struct kedge_progress *p, uint32_t step)
{
    const struct kedge_reactor_step *def = step_of(p, step);

    for (uint32_t i = 0; i < def->n_before && p->n_undo_failed > 0; i++) {
        if (p->state[def->before[i]] == KEDGE_STEP_UNDO_FAILED ||
            (p->flags[def->before[i]] & BLOCKED) != 0)
            return 1;
    }
    return 0;
}

/* To the next step that has something to do; nothing that was passed over gets it later. */
static void seek(const struct kedge_progress *p, struct cursor *c)
{
    while (c->scan < p->n && !will_compensate(p, c->scan))
        c->scan++;
    if (c->scan < p->n)
        return;
    for (; c->left > 0; c->left--) {
        uint32_t step = p->order[c->left - 1];

        if (is_blocked(p, step))
            p->flags[step] |= BLOCKED;
        else if (will_undo(p, step))
            return;
    }
}

/*
 * What is next on the way back; answers 0 when there is nothing.  While nobody says that the way
 * back has begun, steps may still come to be in doubt, and nothing is passed over for good.
 */
static int next_back(const struct kedge_progress *p, uint32_t *step, uint32_t *action)
{
    struct cursor c = { 0, p->n_order };

    if (p->why.stuck || p->why.aside || p->why.abandoned)
        return 0;
    if (p->phase == KEDGE_PHASE_BACK)
        c = p->cursor;
    seek(p, &c);
    if (c.scan < p->n) {
        *step = c.scan;
        *action = KEDGE_ACTION_COMPENSATE;
        return 1;
    }
    if (c.left == 0)
        return 0;
    *step = p->order[c.left - 1];
    *action = KEDGE_ACTION_UNDO;
    return 1;
}

uint32_t kedge_progress_in_the_way(const struct kedge_progress *p)
{
    struct cursor c = { 0, p->n_order };

    if (!p->why.stuck)
        return NONE;
    seek(p, &c);
    if (c.scan < p->n)
        return c.scan;
    return c.left > 0 ? p->order[c.left - 1] : NONE;
}

static int back_delayed(const struct kedge_progress *p, uint32_t step)
{
    return p->back_step == step && p->phase != KEDGE_PHASE_ENDED;
}

static void enter_back(struct kedge_progress *p)
{
    if (p->phase != KEDGE_PHASE_BACK)
        p->cursor = (struct cursor){ 0, p->n_order };
    p->phase = KEDGE_PHASE_BACK;
    seek(p, &p->cursor);
}

void kedge_fold_rewind(struct kedge_progress *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        p->flags[i] &= (unsigned char)~BLOCKED;
    p->cursor = (struct cursor){ 0, p->n_order };
    seek(p, &p->cursor);
}

enum kedge_phase kedge_progress_phase(const struct kedge_progress *p)
{
    if (p->phase == KEDGE_PHASE_STOPPING && p->n_running == 0)
        return KEDGE_PHASE_BACK;
    return p->phase;
}

/* ------------------------------------------------------------ records: forward */

int kedge_fold_contradiction(const struct kedge_progress *p, uint64_t number,
                             const struct kedge_rec *rec, struct kedge_error *err, const char *why)
{
    return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                           "record %llu of a run of '%s', of kind %u for step '%s', cannot be: %s",
                           (unsigned long long)number, p->reactor->name, (unsigned)rec->kind,
                           rec->step < p->n ? step_of(p, rec->step)->name : "-", why);
}

/* Why may there be no record of how REC's step ran?  NULL: there may. */
static const char *not_forward(const struct kedge_progress *p, const struct kedge_rec *rec)
{
    if (rec->step >= p->n)
        return "there is no such step";
    if (p->phase == KEDGE_PHASE_BACK)
        return "the run is on its way back";
    if (p->state[rec->step] == KEDGE_STEP_WAITING)
        return "what the step comes after is not done";
    if (p->state[rec->step] != KEDGE_STEP_READY && p->state[rec->step] != KEDGE_STEP_DELAYED)
        return "the step has ended before";
    if (rec->failures != 0 && rec->failures < p->failures[rec->step])
        return "the step has failed more often";
    return NULL;
}

void kedge_fold_end(struct kedge_progress *p, uint32_t step, uint32_t state, uint64_t number)
{
    const struct kedge_reactor *r = p->reactor;

    p->state[step] = (unsigned char)state;
    p->record[step] = number;
    p->flags[step] |= ORDERED;
    p->order[p->n_order++] = step;
    kedge_fold_unneed(p, step);
    for (uint32_t i = r->before_at[step]; i < r->before_at[step + 1]; i++) {
        uint32_t after = r->edges[i];

        if (--p->missing[after] == 0 && p->phase == KEDGE_PHASE_FORWARD)
            kedge_fold_set_ready(p, after);
    }
}

void kedge_fold_finish(struct kedge_progress *p, uint32_t step, uint32_t state, uint64_t number)
{
    kedge_fold_end(p, step, state, number);
    p->list_size += kedge_fold_entry_size(p, p->n_order - 1);
}

static void apply_finish(struct kedge_progress *p, uint64_t number, const struct kedge_rec *rec)
{
    uint32_t step = rec->step;

    kedge_fold_take_out(p, step);
    p->flags[step] &= (unsigned char)~DOUBT;
    if (rec->kind == KEDGE_RECORD_DONE && rec->has_value)
        p->flags[step] |= VALUE;
    kedge_fold_finish(p, step,
                      rec->kind == KEDGE_RECORD_DONE ? KEDGE_STEP_DONE : KEDGE_STEP_SKIPPED,
                      number);
}

static void apply_delayed(struct kedge_progress *p, int64_t time, const struct kedge_rec *rec)
{
    uint32_t step = rec->step;

    kedge_fold_take_out(p, step);
    kedge_fold_set_odd(p, step);
    if (rec->failures != 0)
        p->failures[step] = rec->failures;
    if ((rec->flags & KEDGE_RECORD_TIMED_OUT) != 0)
        p->flags[step] |= DOUBT;
    p->state[step] = KEDGE_STEP_DELAYED;
    p->until[step] = kedge_record_until(rec, time);
    kedge_fold_heap(p, step);
}

/* Of several the first in the table counts, whichever came first. */
int kedge_fold_keep_text(struct kedge_progress *p, struct ending *ending, uint64_t number,
                         const struct kedge_rec *rec, struct kedge_error *err)
{
    unsigned char *text = NULL;

    if (ending->step != NONE && ending->step < rec->step)
        return KEDGE_OK;
    if (rec->text.len > 0) {
        text = p->host->alloc(p->host->ctx, rec->text.len);
        if (text == NULL)
            return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
        memcpy(text, rec->text.data, rec->text.len);
    }
    kedge_fold_drop_text(p, ending);
    *ending = (struct ending){ rec->step, 1, number, text, rec->text.len };
    return KEDGE_OK;
}

static int apply_failed(struct kedge_progress *p, uint64_t number, const struct kedge_rec *rec,
                        struct kedge_error *err)
{
    int halted = rec->kind == KEDGE_RECORD_HALTED;
    int rc = kedge_fold_keep_text(p, halted ? &p->halted : &p->failed, number, rec, err);

    if (rc != KEDGE_OK)
        return rc;
    kedge_fold_take_out(p, rec->step);
    kedge_fold_set_odd(p, rec->step);
    p->record[rec->step] = number;
    kedge_fold_unneed(p, rec->step);
    if (halted) {
        p->flags[rec->step] &= (unsigned char)~DOUBT;
        p->state[rec->step] = KEDGE_STEP_HALTED;
        if (p->phase == KEDGE_PHASE_FORWARD)
            p->phase = KEDGE_PHASE_HALTING;
    } else {
        if (rec->failures != 0)
            p->failures[rec->step] = rec->failures;
        if ((rec->flags & KEDGE_RECORD_TIMED_OUT) != 0)
            p->flags[rec->step] |= DOUBT;
        p->state[rec->step] = KEDGE_STEP_FAILED;
        p->phase = KEDGE_PHASE_STOPPING;
        p->why.paused = 0;
    }
    return KEDGE_OK;
}

static int apply_forward(struct kedge_progress *p, uint64_t number, int64_t time,
                         const struct kedge_rec *rec, struct kedge_error *err)
{
    const char *why = not_forward(p, rec);

    if (why != NULL)
        return kedge_fold_contradiction(p, number, rec, err, why);
    switch (rec->kind) {
    case KEDGE_RECORD_DONE:
    case KEDGE_RECORD_SKIPPED:
        apply_finish(p, number, rec);
        return KEDGE_OK;
    case KEDGE_RECORD_DELAYED:
        apply_delayed(p, time, rec);
        return KEDGE_OK;
    default:
        return apply_failed(p, number, rec, err);
    }
}

/* --------------------------------------------------------------- records: back */

/*
 * Why may there be no record of compensating or undoing REC's step?  Whether it was its turn is not
 * asked: who reads the journal may have a definition without functions.
 */
static const char *not_back(const struct kedge_progress *p, const struct kedge_rec *rec)
{
    int undo = rec->step < p->n && p->state[rec->step] == KEDGE_STEP_DONE;
    int compensate = rec->step < p->n && may_compensate(p, rec->step);
    int wants_undo = rec->kind == KEDGE_RECORD_UNDONE || rec->action == KEDGE_ACTION_UNDO;
    int wants_compensate =
        rec->kind == KEDGE_RECORD_COMPENSATED || rec->action == KEDGE_ACTION_COMPENSATE;

    if (rec->step >= p->n)
        return "there is no such step";
    if ((p->phase != KEDGE_PHASE_STOPPING && p->phase != KEDGE_PHASE_BACK) || p->why.stuck)
        return "the run is not on its way back";
    if (p->phase == KEDGE_PHASE_STOPPING && p->n_running > 0)
        return "steps are still running";
    if (wants_undo && !undo)
        return "there is nothing to undo";
    if (wants_compensate && !compensate)
        return "there is nothing to compensate";
    if (!undo && !compensate)
        return "there is nothing to take back";
    return NULL;
}

static int apply_back(struct kedge_progress *p, uint64_t number, int64_t time,
                      const struct kedge_rec *rec, struct kedge_error *err)
{
    const char *why = not_back(p, rec);
    uint32_t step = rec->step;
    int rc = KEDGE_OK;

    if (why != NULL)
        return kedge_fold_contradiction(p, number, rec, err, why);
    if (rec->kind == KEDGE_RECORD_UNDO_FAILED)
        rc = kedge_fold_keep_text(p, &p->undo, number, rec, err);
    if (rc != KEDGE_OK)
        return rc;
    kedge_fold_take_out(p, step);
    if ((rec->flags & KEDGE_RECORD_TIMED_OUT) != 0) {
        p->flags[step] |= DOUBT;
        kedge_fold_set_odd(p, step);
    }
    p->settled = 1;
    p->back_step = NONE;
    switch (rec->kind) {
    case KEDGE_RECORD_DELAYED:
        p->back_step = step;
        p->back_failures = rec->failures;
        p->back_until = kedge_record_until(rec, time);
        break;
    case KEDGE_RECORD_UNDO_FAILED:
        p->state[step] = KEDGE_STEP_UNDO_FAILED;
        p->until[step] = (int64_t)number; /* nothing delays it any more: for its text */
        kedge_fold_set_odd(p, step);
        p->n_undo_failed++;
        break;
    case KEDGE_RECORD_UNDONE:
        p->state[step] = KEDGE_STEP_UNDONE;
        p->flags[step] &= (unsigned char)~DOUBT;
        break;
    default:
        p->state[step] = KEDGE_STEP_COMPENSATED;
        p->flags[step] &= (unsigned char)~DOUBT;
        break;
    }
    enter_back(p);
    return KEDGE_OK;
}

/* ------------------------------------------------------------- records: others */

static const char *not_doubtful(const struct kedge_progress *p, uint32_t step)
{
    switch (p->state[step]) {
    case KEDGE_STEP_READY:
        if (p->settled && (p->flags[step] & DOUBT) == 0)
            return "the step was dropped";
        return NULL;
    case KEDGE_STEP_DELAYED:
        return NULL;
    case KEDGE_STEP_DONE:
    case KEDGE_STEP_FAILED:
        if (p->phase != KEDGE_PHASE_STOPPING && p->phase != KEDGE_PHASE_BACK)
            return "the step has ended before";
        return NULL;
    default:
        return "the step cannot have been running";
    }
}

static int apply_doubt(struct kedge_progress *p, uint64_t number, const struct kedge_rec *rec,
                       struct kedge_error *err)
{
    struct kedge_bytes rest = rec->steps;
    uint64_t step;

    while (rest.len > 0) {
        const char *why = NULL;

        if (!kedge_varint_read(&rest, &step) || step >= p->n)
            why = "there is no such step";
        else
            why = not_doubtful(p, (uint32_t)step);
        if (why != NULL)
            return kedge_fold_contradiction(p, number, rec, err, why);
        p->flags[step] |= DOUBT;
        kedge_fold_set_odd(p, (uint32_t)step);
    }
    return KEDGE_OK;
}

/*
 * After the death of a holder nothing is running: in STOPPING the way back has begun.  Whoever goes
 * on from stuck is not told of that death any more, so what it left is in doubt from here on.
 */
static void apply_crash_loop(struct kedge_progress *p, int64_t time)
{
    struct kedge_rec rec;

    if (p->phase == KEDGE_PHASE_STOPPING || p->phase == KEDGE_PHASE_BACK) {
        (void)kedge_progress_doubt(p, time, 1, &rec);
        p->why.stuck = 1;
        return;
    }
    p->why.crash_loop = 1;
    p->why.paused = 0;
    p->phase = KEDGE_PHASE_STOPPING;
}

/* The record hides a death before it as well. */
static void apply_aside(struct kedge_progress *p, int64_t time, const struct kedge_rec *rec)
{
    struct kedge_rec said;

    if (rec->number > 0 || p->crashed)
        (void)kedge_progress_doubt(p, time, (uint32_t)rec->number, &said);
    p->why.aside = 1;
}

static int apply_overdue(struct kedge_progress *p, uint64_t number, const struct kedge_rec *rec,
                         struct kedge_error *err)
{
    if (p->phase != KEDGE_PHASE_FORWARD)
        return kedge_fold_contradiction(p, number, rec, err, "the run is not going forward");
    p->why.overdue = 1;
    p->why.paused = 0;
    p->phase = KEDGE_PHASE_STOPPING;
    return KEDGE_OK;
}

/* How the run ends, if there is nothing left to do: enum kedge_run_status, or 0. */
static uint32_t outcome(const struct kedge_progress *p)
{
    uint32_t step;
    uint32_t action;

    if (p->n_running > 0 || p->position == 0 || p->why.aside)
        return 0;
    if (p->why.abandoned && p->phase != KEDGE_PHASE_ENDED)
        return KEDGE_ABORTED;
    switch (p->phase) {
    case KEDGE_PHASE_FORWARD:
        return p->n_order == p->n ? KEDGE_COMPLETED : 0;
    case KEDGE_PHASE_HALTING:
        return KEDGE_HALTED;
    case KEDGE_PHASE_STOPPING:
    case KEDGE_PHASE_BACK:
        if (next_back(p, &step, &action))
            return 0;
        if (p->why.stuck || p->n_undo_failed > 0)
            return KEDGE_STUCK;
        return p->why.cancelled ? KEDGE_CANCELLED : KEDGE_FAILED;
    case KEDGE_PHASE_ENDED:
    default:
        return 0;
    }
}

static int apply_end(struct kedge_progress *p, uint64_t number, const struct kedge_rec *rec,
                     struct kedge_error *err)
{
    if (rec->status == 0 || rec->status != outcome(p))
        return kedge_fold_contradiction(p, number, rec, err,
                                        "the run does not end here, or not so");
    p->status = rec->status;
    p->phase = KEDGE_PHASE_ENDED;
    p->why.paused = 0; /* paused in its last step: there is nothing to resume */
    p->back_step = NONE;
    values_drop(p);
    return KEDGE_OK;
}

static int apply_kind(struct kedge_progress *p, uint64_t number, int64_t time,
                      const struct kedge_rec *rec, struct kedge_error *err)
{
    switch (rec->kind) {
    case KEDGE_RECORD_BEGIN:
        p->deadline = rec->number < INT64_MAX ? (int64_t)rec->number : 0;
        return KEDGE_OK;
    case KEDGE_RECORD_DONE:
    case KEDGE_RECORD_SKIPPED:
    case KEDGE_RECORD_FAILED:
    case KEDGE_RECORD_HALTED:
        return apply_forward(p, number, time, rec, err);
    case KEDGE_RECORD_DELAYED:
        if (rec->action == 0 || rec->action == KEDGE_ACTION_RUN)
            return apply_forward(p, number, time, rec, err);
        if (rec->action == KEDGE_ACTION_COMPENSATE || rec->action == KEDGE_ACTION_UNDO)
            return apply_back(p, number, time, rec, err);
        return kedge_fold_contradiction(p, number, rec, err, "there is no such action");
    case KEDGE_RECORD_DOUBT:
        return apply_doubt(p, number, rec, err);
    case KEDGE_RECORD_CRASH_LOOP:
        apply_crash_loop(p, time);
        return KEDGE_OK;
    case KEDGE_RECORD_COMPENSATED:
    case KEDGE_RECORD_UNDONE:
    case KEDGE_RECORD_UNDO_FAILED:
        return apply_back(p, number, time, rec, err);
    case KEDGE_RECORD_END:
        return apply_end(p, number, rec, err);
    case KEDGE_RECORD_REQUEST:
        return kedge_fold_request(p, number, rec, err);
    case KEDGE_RECORD_ASIDE:
        apply_aside(p, time, rec);
        return KEDGE_OK;
    case KEDGE_RECORD_OVERDUE:
        return apply_overdue(p, number, rec, err);
    default:
        return kedge_fold_contradiction(p, number, rec, err, "there is no such kind");
    }
}

int kedge_progress_apply(struct kedge_progress *p, uint64_t number, int64_t time,
                         const struct kedge_rec *rec, size_t encoded_len, struct kedge_error *err)
{
    int rc;

    if (number != p->position + 1)
        return kedge_fold_contradiction(p, number, rec, err, "it does not follow the last one");
    if ((number == 1) != (rec->kind == KEDGE_RECORD_BEGIN))
        return kedge_fold_contradiction(p, number, rec, err,
                                        "the first record and no other begins a run");
    if (p->phase == KEDGE_PHASE_ENDED && rec->kind != KEDGE_RECORD_REQUEST)
        return kedge_fold_contradiction(p, number, rec, err, "the run has ended");
    if (p->why.aside && rec->kind != KEDGE_RECORD_REQUEST && rec->kind != KEDGE_RECORD_END)
        return kedge_fold_contradiction(p, number, rec, err, "the run was set aside");
    rc = apply_kind(p, number, time, rec, err);
    if (rc != KEDGE_OK)
        return rc;
    p->crashed = rec->kind == KEDGE_RECORD_CRASH_LOOP;
    p->position = number;
    p->tail += encoded_len;
    return KEDGE_OK;
}

/* -------------------------------------------------------------------- doubt */

static void doubt(struct kedge_progress *p, uint32_t step, unsigned char **to)
{
    if ((p->flags[step] & DOUBT) != 0)
        return;
    p->flags[step] |= DOUBT;
    kedge_fold_set_odd(p, step);
    *to = kedge_varint_write(*to, step);
}

static int doubt_record(const struct kedge_progress *p, const unsigned char *end,
                        struct kedge_rec *rec)
{
    memset(rec, 0, sizeof *rec);
    rec->kind = KEDGE_RECORD_DOUBT;
    rec->step = KEDGE_NO_STEP;
    rec->steps = (struct kedge_bytes){ p->steps, (size_t)(end - p->steps) };
    return rec->steps.len > 0;
}

static int may_start(const struct kedge_progress *p, uint32_t step, int64_t now)
{
    return p->state[step] == KEDGE_STEP_READY ||
           (p->state[step] == KEDGE_STEP_DELAYED && p->until[step] <= now);
}

/* The holder may have died while steps were still running, or on the way back: which is not told
   before the first record of that.  But between a crash loop's record and the next death nobody has
   gone back.  When a run is set aside all that is said, and then nothing is before a request. */
int kedge_progress_doubt(struct kedge_progress *p, int64_t now, uint32_t recoveries,
                         struct kedge_rec *rec)
{
    unsigned char *to = p->steps;
    uint32_t step;
    uint32_t action;

    if (p->why.aside)
        return 0;
    if ((!p->crashed || recoveries > 0) && kedge_progress_phase(p) == KEDGE_PHASE_BACK &&
        next_back(p, &step, &action) && !(back_delayed(p, step) && p->back_until > now))
        doubt(p, step, &to);
    if (p->phase != KEDGE_PHASE_BACK && p->phase != KEDGE_PHASE_ENDED) {
        for (uint32_t i = 0; i < p->n; i++) {
            if (may_start(p, i, now))
                doubt(p, i, &to);
        }
    }
    return doubt_record(p, to, rec);
}

int kedge_progress_abandon(struct kedge_progress *p, struct kedge_rec *rec)
{
    unsigned char *to = p->steps;

    for (uint32_t i = 0; i < p->n && p->n_running > 0; i++) {
        if ((p->flags[i] & RUNNING) != 0)
            doubt(p, i, &to);
    }
    return doubt_record(p, to, rec);
}

/* ------------------------------------------------------------------- actions */

static void start(struct kedge_progress *p, uint32_t step, uint32_t action, uint32_t failures,
                  struct kedge_action *out)
{
    p->flags[step] |= RUNNING;
    p->n_running++;
    out->step = step;
    out->action = action;
    out->attempt = failures + 1;
    out->in_doubt = (p->flags[step] & DOUBT) != 0;
}

static int take_forward(struct kedge_progress *p, int64_t now, struct kedge_action *action)
{
    uint32_t step;

    while (p->n_heap > 0 && p->until[p->heap[0]] <= now) {
        step = p->heap[0];
        heap_remove(p, step);
        kedge_fold_list(p, step);
    }
    step = p->head;
    if (step == NONE)
        return 0;
    list_remove(p, step);
    start(p, step, KEDGE_ACTION_RUN, p->failures[step], action);
    return 1;
}

static int take_back(struct kedge_progress *p, int64_t now, struct kedge_action *action)
{
    uint32_t step;
    uint32_t what;

    if (p->n_running > 0)
        return 0;
    enter_back(p);
    if (!next_back(p, &step, &what) || (back_delayed(p, step) && p->back_until > now))
        return 0;
    start(p, step, what, back_delayed(p, step) ? p->back_failures : 0, action);
    return 1;
}

int kedge_progress_take(struct kedge_progress *p, int64_t now, struct kedge_action *action)
{
    if (p->why.paused || p->why.aside)
        return 0;
    if (p->phase == KEDGE_PHASE_FORWARD)
        return take_forward(p, now, action);
    if (p->phase == KEDGE_PHASE_STOPPING || p->phase == KEDGE_PHASE_BACK)
        return take_back(p, now, action);
    return 0;
}

/* To the end of the list, so that others get their turn first. */
void kedge_progress_give_back(struct kedge_progress *p, uint32_t step)
{
    KEDGE_ASSERT((p->flags[step] & RUNNING) != 0);
    kedge_fold_take_out(p, step);
    if (p->phase != KEDGE_PHASE_BACK)
        kedge_fold_list(p, step);
}

uint32_t kedge_progress_running(const struct kedge_progress *p)
{
    return p->n_running;
}

int kedge_progress_ready(const struct kedge_progress *p, int64_t now)
{
    uint32_t step;
    uint32_t action;

    if (p->why.paused || p->why.aside)
        return 0;
    if (p->phase == KEDGE_PHASE_FORWARD)
        return p->head != NONE || (p->n_heap > 0 && p->until[p->heap[0]] <= now);
    if (kedge_progress_phase(p) != KEDGE_PHASE_BACK || p->n_running > 0)
        return 0;
    return next_back(p, &step, &action) && !(back_delayed(p, step) && p->back_until > now);
}

int64_t kedge_progress_next_time(const struct kedge_progress *p)
{
    uint32_t step;
    uint32_t action;

    if (p->phase == KEDGE_PHASE_FORWARD) {
        int64_t at = p->deadline > 0 ? p->deadline : INT64_MAX;

        if (p->n_heap > 0 && !p->why.paused && p->until[p->heap[0]] < at)
            at = p->until[p->heap[0]];
        return at;
    }
    if (p->phase != KEDGE_PHASE_BACK || p->n_running > 0 || p->back_step == NONE)
        return INT64_MAX;
    return next_back(p, &step, &action) && back_delayed(p, step) ? p->back_until : INT64_MAX;
}

/* ---------------------------------------------------------------------- end */

/* What says why the run ends so; NULL: BARE does. */
static const struct ending *ending_of(const struct kedge_progress *p, uint32_t status,
                                      const char **bare)
{
    *bare = "crash loop";
    switch (status) {
    case KEDGE_HALTED:
        return &p->halted;
    case KEDGE_CANCELLED:
    case KEDGE_ABORTED:
        return &p->asked;
    case KEDGE_STUCK:
        return p->why.stuck ? NULL : &p->undo;
    default:
        if (!p->why.overdue)
            return p->failed.step != NONE ? &p->failed : NULL;
        *bare = "the run's deadline has passed";
        return NULL;
    }
}

int kedge_progress_end(struct kedge_progress *p, struct kedge_rec *rec)
{
    uint32_t status = outcome(p);
    const struct ending *ending;
    const char *bare;

    if (status == 0)
        return 0;
    memset(rec, 0, sizeof *rec);
    rec->kind = KEDGE_RECORD_END;
    rec->status = status;
    rec->step = KEDGE_NO_STEP;
    if (status == KEDGE_COMPLETED) {
        rec->number = p->n > 0 ? kedge_progress_value_record(p, p->reactor->result) : 0;
        return 1;
    }
    ending = ending_of(p, status, &bare);
    if (ending != NULL) {
        rec->step = ending->step;
        rec->text = (struct kedge_bytes){ ending->text, ending->len };
    } else {
        rec->text = kedge_text(bare);
    }
    return 1;
}

static struct ending *unread(struct kedge_progress *p)
{
    struct ending *all[] = { &p->failed, &p->halted, &p->undo, &p->asked };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i]->record != 0 && !all[i]->known)
            return all[i];
    }
    return NULL;
}

uint64_t kedge_progress_unread(struct kedge_progress *p)
{
    const struct ending *ending = unread(p);

    return ending != NULL ? ending->record : 0;
}

int kedge_progress_read(struct kedge_progress *p, const struct kedge_rec *rec,
                        struct kedge_error *err)
{
    struct ending *ending = unread(p);
    struct kedge_rec same = *rec;

    if (ending == NULL)
        return KEDGE_OK;
    same.step = ending->step;
    return kedge_fold_keep_text(p, ending, ending->record, &same, err);
}

/* ------------------------------------------------------------------ questions */

uint64_t kedge_progress_value_record(const struct kedge_progress *p, uint32_t step)
{
    return (p->flags[step] & VALUE) != 0 ? p->record[step] : 0;
}

int kedge_progress_needed(const struct kedge_progress *p, uint32_t step)
{
    return p->needed[step] > 0;
}

uint32_t kedge_progress_state(const struct kedge_progress *p, uint32_t step)
{
    if (back_delayed(p, step))
        return KEDGE_STEP_DELAYED;
    switch (p->state[step]) {
    case KEDGE_STEP_WAITING:
        return p->phase == KEDGE_PHASE_FORWARD ? KEDGE_STEP_WAITING : KEDGE_STEP_DROPPED;
    case KEDGE_STEP_READY:
    case KEDGE_STEP_DELAYED:
        if (p->phase == KEDGE_PHASE_ENDED || (p->settled && !will_compensate(p, step)))
            return KEDGE_STEP_DROPPED;
        return p->settled ? KEDGE_STEP_READY : p->state[step];
    default:
        return p->state[step];
    }
}

uint32_t kedge_progress_failures(const struct kedge_progress *p, uint32_t step)
{
    return back_delayed(p, step) ? p->back_failures : p->failures[step];
}

int64_t kedge_progress_until(const struct kedge_progress *p, uint32_t step)
{
    if (back_delayed(p, step))
        return p->back_until;
    return kedge_progress_state(p, step) == KEDGE_STEP_DELAYED ? p->until[step] : 0;
}

int kedge_progress_in_doubt(const struct kedge_progress *p, uint32_t step)
{
    return (p->flags[step] & DOUBT) != 0;
}

uint64_t kedge_progress_position(const struct kedge_progress *p)
{
    return p->position;
}

int kedge_progress_crashed(const struct kedge_progress *p)
{
    return p->crashed;
}

int kedge_progress_settled(const struct kedge_progress *p)
{
    return p->settled;
}

int kedge_progress_paused(const struct kedge_progress *p)
{
    return p->why.paused;
}

int kedge_progress_cancelled(const struct kedge_progress *p)
{
    return p->why.cancelled;
}

uint32_t kedge_progress_round(const struct kedge_progress *p)
{
    return p->round;
}

int kedge_progress_overdue(const struct kedge_progress *p, int64_t now, struct kedge_rec *rec)
{
    if (p->phase != KEDGE_PHASE_FORWARD || p->why.aside || p->deadline == 0 || now < p->deadline ||
        p->n_order == p->n)
        return 0;
    memset(rec, 0, sizeof *rec);
    rec->kind = KEDGE_RECORD_OVERDUE;
    rec->step = KEDGE_NO_STEP;
    return 1;
}
