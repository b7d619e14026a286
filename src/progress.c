/* progress.c - how far a run is */
#include <config.h>

#include <string.h>

#include <kedge/run.h>

#include "kassert.h"
#include "progress.h"

#define NONE       UINT32_MAX
#define FORMAT     1u
#define SUM        4u
#define TAIL_MIN   16384u
#define TAIL_RATIO 8u
/* At most: the snapshot without its lists, and one entry of the second list. */
#define HEAD_MAX 96u
#define ODD_MAX  32u

/* Flags of a step. */
#define RUNNING 1u
#define DOUBT   2u
#define VALUE   4u  /* its record has a value */
#define LISTED  8u  /* in the list of what is ready */
#define HEAPED  16u /* in the heap of what is delayed */
#define ODD     32u /* counted in n_odd */
#define ORDERED 64u /* is in order[] */

/* Entries of a snapshot's first list. */
#define ENTRY_DONE        0u
#define ENTRY_SKIPPED     1u
#define ENTRY_UNDONE      2u
#define ENTRY_UNDO_FAILED 3u
#define ENTRY_NO_VALUE    4u
#define ENTRY_BITS        3u

/* Entries of its second. */
#define ODD_STATE    15u
#define ODD_DOUBT    16u
#define ODD_FAILURES 32u

struct value {
    struct kedge_buf *buf;
    struct kedge_bytes bytes;
};

/* The step whose error or reason is the run's. */
struct ending {
    uint32_t step;   /* NONE: there is none */
    uint32_t known;  /* is its text here? */
    uint64_t record; /* that has the text */
    unsigned char *text;
    size_t len;
};

/* How far back the run has gone: failed and doubtful steps from the first on, then those done. */
struct cursor {
    uint32_t scan;
    uint32_t left; /* of order[] */
};

struct kedge_progress {
    const struct kedge_host *host;
    const struct kedge_reactor *reactor;
    uint32_t n;
    enum kedge_phase phase;
    uint64_t position;
    uint64_t tail; /* bytes of records since the last snapshot */
    uint32_t n_running;
    uint32_t n_order;
    uint32_t n_heap;
    uint32_t n_odd;         /* steps that may need an entry in the second list */
    size_t list_size;       /* of the first list */
    uint32_t n_undo_failed; /* compensations as well */
    uint32_t head;          /* list of what is ready */
    uint32_t last;
    unsigned char settled; /* BACK, and a record says so: what was ready is dropped */
    unsigned char crash_loop;
    unsigned char stuck;
    struct cursor cursor;   /* in BACK */
    uint32_t back_step;     /* whose compensate or undo is delayed; NONE: nobody's */
    uint32_t back_failures; /* of that */
    int64_t back_until;
    struct ending failed;
    struct ending halted;
    /* by step, but for order and heap */
    struct value *value;
    uint64_t *record; /* of what finished it */
    int64_t *until;
    uint32_t *missing; /* steps it comes after that are not done */
    uint32_t *needed;  /* steps that come after it and are not finished */
    uint32_t *failures;
    uint32_t *next; /* in the list */
    uint32_t *prev; /* in the list; in the heap: where */
    uint32_t *heap;
    uint32_t *order;      /* done and skipped steps, as their records came */
    unsigned char *state; /* enum kedge_step_state, without DROPPED */
    unsigned char *flags;
    unsigned char *steps; /* room for a DOUBT record */
};

static const struct kedge_reactor_step *step_of(const struct kedge_progress *p, uint32_t step)
{
    return &p->reactor->steps[step];
}

/* ------------------------------------------------- what is ready, and delayed */

static void list_add(struct kedge_progress *p, uint32_t step)
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

static void heap_add(struct kedge_progress *p, uint32_t step)
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
static void take_out(struct kedge_progress *p, uint32_t step)
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

static void set_odd(struct kedge_progress *p, uint32_t step)
{
    if ((p->flags[step] & ODD) == 0)
        p->n_odd++;
    p->flags[step] |= ODD;
}

static void set_ready(struct kedge_progress *p, uint32_t step)
{
    p->state[step] = KEDGE_STEP_READY;
    list_add(p, step);
}

/* ------------------------------------------------------------------- values */

static void value_drop(struct kedge_progress *p, uint32_t step)
{
    kedge_buf_drop(p->host, p->value[step].buf);
    p->value[step] = (struct value){ NULL, { NULL, 0 } };
}

/* STEP needs nobody's value any more. */
static void value_unneed(struct kedge_progress *p, uint32_t step)
{
    const struct kedge_reactor_step *def = step_of(p, step);

    for (uint32_t i = 0; i < def->n_after; i++) {
        if (--p->needed[def->after[i]] == 0)
            value_drop(p, def->after[i]);
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
    p->phase = KEDGE_PHASE_FORWARD;
    p->head = p->last = p->back_step = p->failed.step = p->halted.step = NONE;
    lay_out(p);
    for (uint32_t i = 0; i < p->n; i++) {
        p->missing[i] = step_of(p, i)->n_after;
        p->needed[i] = step_of(p, i)->n_before;
        p->state[i] = KEDGE_STEP_WAITING;
        if (p->missing[i] == 0)
            set_ready(p, i);
    }
    return p;
}

static void text_drop(struct kedge_progress *p, struct ending *ending)
{
    p->host->release(p->host->ctx, ending->text);
    ending->text = NULL;
    ending->len = 0;
}

void kedge_progress_free(struct kedge_progress *p)
{
    if (p == NULL)
        return;
    values_drop(p);
    text_drop(p, &p->failed);
    text_drop(p, &p->halted);
    p->host->release(p->host->ctx, p);
}

/* ------------------------------------------------------------- going back */

static int may_compensate(const struct kedge_progress *p, uint32_t step)
{
    switch (p->state[step]) {
    case KEDGE_STEP_FAILED:
        return 1;
    case KEDGE_STEP_READY:
    case KEDGE_STEP_DELAYED:
        return (p->flags[step] & DOUBT) != 0;
    default:
        return 0;
    }
}

static int will_compensate(const struct kedge_progress *p, uint32_t step)
{
    return step_of(p, step)->compensate != NULL && may_compensate(p, step);
}

static int will_undo(const struct kedge_progress *p, uint32_t step)
{
    return step_of(p, step)->undo != NULL && p->state[step] == KEDGE_STEP_DONE;
}

/* To the next step that has something to do; nothing that was passed over gets it later. */
static void seek(const struct kedge_progress *p, struct cursor *c)
{
    while (c->scan < p->n && !will_compensate(p, c->scan))
        c->scan++;
    if (c->scan < p->n)
        return;
    while (c->left > 0 && !will_undo(p, p->order[c->left - 1]))
        c->left--;
}

/*
 * What is next on the way back; answers 0 when there is nothing.  While nobody says that the way
 * back has begun, steps may still come to be in doubt, and nothing is passed over for good.
 */
static int next_back(const struct kedge_progress *p, uint32_t *step, uint32_t *action)
{
    struct cursor c = { 0, p->n_order };

    if (p->stuck)
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

enum kedge_phase kedge_progress_phase(const struct kedge_progress *p)
{
    if (p->phase == KEDGE_PHASE_STOPPING && p->n_running == 0)
        return KEDGE_PHASE_BACK;
    return p->phase;
}

/* ------------------------------------------------------------ records: forward */

static int contradiction(const struct kedge_progress *p, uint64_t number,
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

static size_t put(unsigned char **to, uint64_t value)
{
    unsigned char room[10];
    unsigned char *at = to != NULL ? *to : room;
    unsigned char *end = kedge_varint_write(at, value);

    if (to != NULL)
        *to = end;
    return (size_t)(end - at);
}

static uint64_t zigzag(int64_t n)
{
    return n < 0 ? ((uint64_t)(-(n + 1)) << 1) + 1 : (uint64_t)n << 1;
}

static uint32_t entry_kind(const struct kedge_progress *p, uint32_t step)
{
    uint32_t no_value = (p->flags[step] & VALUE) != 0 ? 0 : ENTRY_NO_VALUE;

    switch (p->state[step]) {
    case KEDGE_STEP_SKIPPED:
        return ENTRY_SKIPPED;
    case KEDGE_STEP_UNDONE:
        return ENTRY_UNDONE | no_value;
    case KEDGE_STEP_UNDO_FAILED:
        return ENTRY_UNDO_FAILED | no_value;
    default:
        return ENTRY_DONE | no_value;
    }
}

/* Entry I of the first list: most often the step after the last one, and the record after. */
static size_t put_entry(const struct kedge_progress *p, unsigned char **to, uint32_t i)
{
    uint32_t step = p->order[i];
    int64_t expected = i > 0 ? (int64_t)p->order[i - 1] + 1 : 0;
    uint64_t record = i > 0 ? p->record[p->order[i - 1]] + 1 : 1;
    uint64_t distance = zigzag((int64_t)step - expected);
    size_t size = put(to, distance << ENTRY_BITS | entry_kind(p, step));

    return size + put(to, p->record[step] - record);
}

/* It is done or skipped, and what comes after it may go on. */
static void finish(struct kedge_progress *p, uint32_t step, uint32_t state, uint64_t number)
{
    const struct kedge_reactor_step *def = step_of(p, step);

    p->state[step] = (unsigned char)state;
    p->record[step] = number;
    p->flags[step] |= ORDERED;
    p->order[p->n_order++] = step;
    p->list_size += put_entry(p, NULL, p->n_order - 1);
    value_unneed(p, step);
    for (uint32_t i = 0; i < def->n_before; i++) {
        uint32_t after = def->before[i];

        if (--p->missing[after] == 0 && p->phase == KEDGE_PHASE_FORWARD)
            set_ready(p, after);
    }
}

static void apply_finish(struct kedge_progress *p, uint64_t number, const struct kedge_rec *rec)
{
    uint32_t step = rec->step;

    take_out(p, step);
    p->flags[step] &= (unsigned char)~DOUBT;
    if (rec->kind == KEDGE_RECORD_DONE && rec->has_value)
        p->flags[step] |= VALUE;
    finish(p, step, rec->kind == KEDGE_RECORD_DONE ? KEDGE_STEP_DONE : KEDGE_STEP_SKIPPED, number);
}

/* A time so far off that it cannot be told is the end of time. */
static int64_t later(int64_t time, int64_t delay)
{
    return delay > 0 && time > INT64_MAX - 1 - delay ? INT64_MAX - 1 : time + delay;
}

static void apply_delayed(struct kedge_progress *p, int64_t time, const struct kedge_rec *rec)
{
    uint32_t step = rec->step;

    take_out(p, step);
    set_odd(p, step);
    if (rec->failures != 0)
        p->failures[step] = rec->failures;
    p->state[step] = KEDGE_STEP_DELAYED;
    p->until[step] = later(time, rec->delay_us);
    heap_add(p, step);
}

/* Of several the first in the table counts, whichever came first. */
static int keep_text(struct kedge_progress *p, struct ending *ending, uint64_t number,
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
    text_drop(p, ending);
    *ending = (struct ending){ rec->step, 1, number, text, rec->text.len };
    return KEDGE_OK;
}

static int apply_failed(struct kedge_progress *p, uint64_t number, const struct kedge_rec *rec,
                        struct kedge_error *err)
{
    int halted = rec->kind == KEDGE_RECORD_HALTED;
    int rc = keep_text(p, halted ? &p->halted : &p->failed, number, rec, err);

    if (rc != KEDGE_OK)
        return rc;
    take_out(p, rec->step);
    set_odd(p, rec->step);
    p->record[rec->step] = number;
    value_unneed(p, rec->step);
    if (halted) {
        p->flags[rec->step] &= (unsigned char)~DOUBT;
        p->state[rec->step] = KEDGE_STEP_HALTED;
        if (p->phase == KEDGE_PHASE_FORWARD)
            p->phase = KEDGE_PHASE_HALTING;
    } else {
        if (rec->failures != 0)
            p->failures[rec->step] = rec->failures;
        p->state[rec->step] = KEDGE_STEP_FAILED;
        p->phase = KEDGE_PHASE_STOPPING;
    }
    return KEDGE_OK;
}

static int apply_forward(struct kedge_progress *p, uint64_t number, int64_t time,
                         const struct kedge_rec *rec, struct kedge_error *err)
{
    const char *why = not_forward(p, rec);

    if (why != NULL)
        return contradiction(p, number, rec, err, why);
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
    if ((p->phase != KEDGE_PHASE_STOPPING && p->phase != KEDGE_PHASE_BACK) || p->stuck)
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

    if (why != NULL)
        return contradiction(p, number, rec, err, why);
    take_out(p, step);
    p->settled = 1;
    p->back_step = NONE;
    switch (rec->kind) {
    case KEDGE_RECORD_DELAYED:
        p->back_step = step;
        p->back_failures = rec->failures;
        p->back_until = later(time, rec->delay_us);
        break;
    case KEDGE_RECORD_UNDO_FAILED:
        p->state[step] = KEDGE_STEP_UNDO_FAILED;
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
    case KEDGE_STEP_DELAYED:
        if (p->settled && (p->flags[step] & DOUBT) == 0)
            return "the step was dropped";
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
            return contradiction(p, number, rec, err, why);
        p->flags[step] |= DOUBT;
        set_odd(p, (uint32_t)step);
    }
    return KEDGE_OK;
}

/* After the death of a holder nothing is running: in STOPPING the way back has begun. */
static void apply_crash_loop(struct kedge_progress *p)
{
    if (p->phase == KEDGE_PHASE_STOPPING || p->phase == KEDGE_PHASE_BACK) {
        p->stuck = 1;
        return;
    }
    p->crash_loop = 1;
    p->phase = KEDGE_PHASE_STOPPING;
}

/* How the run ends, if there is nothing left to do: enum kedge_run_status, or 0. */
static uint32_t outcome(const struct kedge_progress *p)
{
    uint32_t step;
    uint32_t action;

    if (p->n_running > 0 || p->position == 0)
        return 0;
    switch (p->phase) {
    case KEDGE_PHASE_FORWARD:
        return p->n_order == p->n ? KEDGE_COMPLETED : 0;
    case KEDGE_PHASE_HALTING:
        return KEDGE_HALTED;
    case KEDGE_PHASE_STOPPING:
    case KEDGE_PHASE_BACK:
        if (next_back(p, &step, &action))
            return 0;
        return p->stuck || p->n_undo_failed > 0 ? KEDGE_STUCK : KEDGE_FAILED;
    case KEDGE_PHASE_ENDED:
    default:
        return 0;
    }
}

static int apply_end(struct kedge_progress *p, uint64_t number, const struct kedge_rec *rec,
                     struct kedge_error *err)
{
    int asked = rec->status == KEDGE_CANCELLED || rec->status == KEDGE_ABORTED;

    if (!asked && (rec->status == 0 || rec->status != outcome(p)))
        return contradiction(p, number, rec, err, "the run does not end here, or not so");
    p->phase = KEDGE_PHASE_ENDED;
    p->back_step = NONE;
    values_drop(p);
    return KEDGE_OK;
}

static int apply_kind(struct kedge_progress *p, uint64_t number, int64_t time,
                      const struct kedge_rec *rec, struct kedge_error *err)
{
    switch (rec->kind) {
    case KEDGE_RECORD_BEGIN:
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
        return contradiction(p, number, rec, err, "there is no such action");
    case KEDGE_RECORD_DOUBT:
        return apply_doubt(p, number, rec, err);
    case KEDGE_RECORD_CRASH_LOOP:
        apply_crash_loop(p);
        return KEDGE_OK;
    case KEDGE_RECORD_COMPENSATED:
    case KEDGE_RECORD_UNDONE:
    case KEDGE_RECORD_UNDO_FAILED:
        return apply_back(p, number, time, rec, err);
    case KEDGE_RECORD_END:
        return apply_end(p, number, rec, err);
    default:
        return contradiction(p, number, rec, err, "there is no such kind");
    }
}

int kedge_progress_apply(struct kedge_progress *p, uint64_t number, int64_t time,
                         const struct kedge_rec *rec, size_t encoded_len, struct kedge_error *err)
{
    int rc;

    if (number != p->position + 1)
        return contradiction(p, number, rec, err, "it does not follow the last one");
    if ((number == 1) != (rec->kind == KEDGE_RECORD_BEGIN))
        return contradiction(p, number, rec, err, "the first record and no other begins a run");
    if (p->phase == KEDGE_PHASE_ENDED)
        return contradiction(p, number, rec, err, "the run has ended");
    rc = apply_kind(p, number, time, rec, err);
    if (rc != KEDGE_OK)
        return rc;
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
    set_odd(p, step);
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
   before the first record of that. */
int kedge_progress_doubt(struct kedge_progress *p, int64_t now, struct kedge_rec *rec)
{
    unsigned char *to = p->steps;
    uint32_t step;
    uint32_t action;

    if (kedge_progress_phase(p) == KEDGE_PHASE_BACK && next_back(p, &step, &action) &&
        !(back_delayed(p, step) && p->back_until > now))
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
        list_add(p, step);
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
    take_out(p, step);
    if (p->phase != KEDGE_PHASE_BACK)
        list_add(p, step);
}

uint32_t kedge_progress_running(const struct kedge_progress *p)
{
    return p->n_running;
}

int kedge_progress_ready(const struct kedge_progress *p, int64_t now)
{
    uint32_t step;
    uint32_t action;

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

    if (p->phase == KEDGE_PHASE_FORWARD)
        return p->n_heap > 0 ? p->until[p->heap[0]] : INT64_MAX;
    if (p->phase != KEDGE_PHASE_BACK || p->n_running > 0 || p->back_step == NONE)
        return INT64_MAX;
    return next_back(p, &step, &action) && back_delayed(p, step) ? p->back_until : INT64_MAX;
}

/* ---------------------------------------------------------------------- end */

/* Whose text ends the run; NULL: nobody's. */
static const struct ending *ending_of(const struct kedge_progress *p)
{
    if (p->failed.step != NONE)
        return &p->failed;
    if (p->halted.step != NONE && !p->crash_loop)
        return &p->halted;
    return NULL;
}

int kedge_progress_end(struct kedge_progress *p, struct kedge_rec *rec)
{
    const struct ending *ending = ending_of(p);
    uint32_t status = outcome(p);

    if (status == 0)
        return 0;
    memset(rec, 0, sizeof *rec);
    rec->kind = KEDGE_RECORD_END;
    rec->status = status;
    rec->step = KEDGE_NO_STEP;
    if (status == KEDGE_COMPLETED) {
        rec->number = p->n > 0 ? kedge_progress_value_record(p, p->reactor->result) : 0;
    } else if (ending != NULL) {
        rec->step = ending->step;
        rec->text = (struct kedge_bytes){ ending->text, ending->len };
    } else {
        rec->text = kedge_text("crash loop");
    }
    return 1;
}

uint64_t kedge_progress_error_record(const struct kedge_progress *p)
{
    const struct ending *ending = ending_of(p);

    return ending != NULL && !ending->known ? ending->record : 0;
}

/* ------------------------------------------------------------------ questions */

uint64_t kedge_progress_value_record(const struct kedge_progress *p, uint32_t step)
{
    return (p->flags[step] & VALUE) != 0 ? p->record[step] : 0;
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

/* ----------------------------------------------------------- snapshot: written */

/*
 * format, position, number of steps, phase, bits; the ending of a failure and of a halt, each as
 * step + 1 and record; the delay on the way back as step + 1, failures, time; then two lists, each
 * after its length: done and skipped steps in the order of their records, and what there is to say
 * of other steps, or more of these; then a checksum as that of a record.  All but that in varints.
 */
static size_t put_ending(unsigned char **to, const struct ending *ending)
{
    size_t size = put(to, ending->step == NONE ? 0 : (uint64_t)ending->step + 1);

    return size + (ending->step == NONE ? 0 : put(to, ending->record));
}

static enum kedge_phase stored_phase(const struct kedge_progress *p)
{
    return p->phase == KEDGE_PHASE_BACK && !p->settled ? KEDGE_PHASE_STOPPING : p->phase;
}

static size_t put_head(const struct kedge_progress *p, unsigned char **to)
{
    size_t size = put(to, FORMAT);

    size += put(to, p->position);
    size += put(to, p->n);
    size += put(to, stored_phase(p));
    size += put(to, (uint64_t)p->crash_loop | (uint64_t)p->stuck << 1);
    size += put_ending(to, &p->failed);
    size += put_ending(to, &p->halted);
    size += put(to, p->back_step == NONE ? 0 : (uint64_t)p->back_step + 1);
    if (p->back_step != NONE) {
        size += put(to, p->back_failures);
        size += put(to, zigzag(p->back_until));
    }
    return size;
}

/* What of STEP the first list and the graph do not tell. */
static uint32_t odd_bits(const struct kedge_progress *p, uint32_t step)
{
    uint32_t state = p->state[step];
    uint32_t bits = 0;

    if ((p->flags[step] & DOUBT) != 0)
        bits |= ODD_DOUBT;
    if (p->failures[step] > 0)
        bits |= ODD_FAILURES;
    if (state == KEDGE_STEP_DELAYED || state == KEDGE_STEP_FAILED || state == KEDGE_STEP_HALTED ||
        state == KEDGE_STEP_COMPENSATED)
        bits |= state;
    if (state == KEDGE_STEP_UNDO_FAILED && (p->flags[step] & ORDERED) == 0)
        bits |= state;
    if (state == KEDGE_STEP_READY && p->phase != KEDGE_PHASE_FORWARD)
        bits |= state;
    return bits;
}

static size_t put_odd(const struct kedge_progress *p, unsigned char **to, uint32_t step,
                      uint32_t bits, uint32_t expected)
{
    size_t size = put(to, step - expected);

    size += put(to, bits);
    if ((bits & ODD_FAILURES) != 0)
        size += put(to, p->failures[step]);
    if ((bits & ODD_STATE) == KEDGE_STEP_DELAYED)
        size += put(to, zigzag(p->until[step]));
    else if ((bits & ODD_STATE) != 0)
        size += put(to, p->record[step]);
    return size;
}

static size_t put_odds(const struct kedge_progress *p, unsigned char **to)
{
    uint32_t expected = 0;
    uint32_t n = 0;
    size_t size;

    for (uint32_t i = 0; i < p->n; i++)
        n += odd_bits(p, i) != 0;
    size = put(to, n);
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t bits = odd_bits(p, i);

        if (bits == 0)
            continue;
        size += put_odd(p, to, i, bits, expected);
        expected = i + 1;
    }
    return size;
}

/* TO is NULL: only its size. */
static size_t put_all(const struct kedge_progress *p, unsigned char **to)
{
    size_t size = put_head(p, to);

    size += put(to, p->n_order);
    for (uint32_t i = 0; i < p->n_order; i++)
        size += put_entry(p, to, i);
    return size + put_odds(p, to);
}

size_t kedge_progress_snapshot_size(const struct kedge_progress *p)
{
    return put_all(p, NULL) + SUM;
}

size_t kedge_progress_snapshot(struct kedge_progress *p, unsigned char *to)
{
    unsigned char *end = to;
    size_t size = put_all(p, &end);
    uint32_t sum = kedge_record_sum((struct kedge_bytes){ to, size });

    for (unsigned i = 0; i < SUM; i++)
        *end++ = (unsigned char)(sum >> (8 * i));
    p->tail = 0;
    return size + SUM;
}

/* By a bound of the size that is kept up to date, so that it may be asked after every record. */
int kedge_progress_wants_snapshot(const struct kedge_progress *p)
{
    uint64_t size = HEAD_MAX + p->list_size + (uint64_t)ODD_MAX * p->n_odd;

    return p->tail >= TAIL_MIN && p->tail / TAIL_RATIO >= size;
}

/* -------------------------------------------------------------- snapshot: read */

struct reader {
    struct kedge_bytes rest;
    int bad;
};

static uint64_t get(struct reader *r, uint64_t max)
{
    uint64_t value = 0;

    if (r->bad || !kedge_varint_read(&r->rest, &value) || value > max) {
        r->bad = 1;
        return 0;
    }
    return value;
}

static int64_t unzigzag(uint64_t n)
{
    return (n & 1) != 0 ? -(int64_t)(n >> 1) - 1 : (int64_t)(n >> 1);
}

/* A step, which is stored one higher; NONE. */
static uint32_t get_step(const struct kedge_progress *p, struct reader *r)
{
    uint64_t step = get(r, p->n);

    return step == 0 ? NONE : (uint32_t)(step - 1);
}

static void get_ending(struct kedge_progress *p, struct reader *r, struct ending *ending)
{
    ending->step = get_step(p, r);
    if (ending->step != NONE)
        ending->record = get(r, p->position);
}

static void get_head(struct kedge_progress *p, struct reader *r)
{
    uint64_t bits;

    p->position = get(r, UINT64_MAX - 1);
    if (get(r, UINT32_MAX) != p->n)
        r->bad = 1;
    p->phase = (enum kedge_phase)get(r, KEDGE_PHASE_ENDED);
    if (p->phase < KEDGE_PHASE_FORWARD || p->position == 0)
        r->bad = 1;
    bits = get(r, 3);
    p->crash_loop = (unsigned char)(bits & 1);
    p->stuck = (unsigned char)(bits >> 1);
    get_ending(p, r, &p->failed);
    get_ending(p, r, &p->halted);
    p->back_step = get_step(p, r);
    if (p->back_step != NONE) {
        p->back_failures = (uint32_t)get(r, UINT32_MAX);
        p->back_until = unzigzag(get(r, UINT64_MAX));
    }
    p->settled = p->phase == KEDGE_PHASE_BACK;
}

static const unsigned char entry_states[] = { KEDGE_STEP_DONE, KEDGE_STEP_SKIPPED,
                                              KEDGE_STEP_UNDONE, KEDGE_STEP_UNDO_FAILED };

/* RECORD: of the last entry, then of this. */
static void get_entry(struct kedge_progress *p, struct reader *r, uint64_t *record)
{
    uint64_t word = get(r, UINT64_MAX);
    int64_t step = p->n_order > 0 ? (int64_t)p->order[p->n_order - 1] + 1 : 0;
    int64_t distance = unzigzag(word >> ENTRY_BITS);
    unsigned state = entry_states[word & 3];

    if (distance < -(int64_t)UINT32_MAX || distance > (int64_t)UINT32_MAX)
        r->bad = 1;
    else
        step += distance;
    *record += 1 + get(r, p->position - *record > 0 ? p->position - *record - 1 : 0);
    if (r->bad || *record > p->position || step < 0 || step >= (int64_t)p->n ||
        p->missing[step] != 0 ||
        (p->state[step] != KEDGE_STEP_WAITING && p->state[step] != KEDGE_STEP_READY)) {
        r->bad = 1;
        return;
    }
    take_out(p, (uint32_t)step);
    if (state != KEDGE_STEP_SKIPPED && (word & ENTRY_NO_VALUE) == 0)
        p->flags[step] |= VALUE;
    p->n_undo_failed += state == KEDGE_STEP_UNDO_FAILED;
    finish(p, (uint32_t)step, state, *record);
}

/* A state which the first list does not have. */
static void get_state(struct kedge_progress *p, struct reader *r, uint32_t step, uint32_t state)
{
    if (state < KEDGE_STEP_READY || state > KEDGE_STEP_UNDO_FAILED || state == KEDGE_STEP_DONE ||
        state == KEDGE_STEP_SKIPPED || state == KEDGE_STEP_UNDONE || p->missing[step] != 0 ||
        (p->state[step] != KEDGE_STEP_WAITING && p->state[step] != KEDGE_STEP_READY)) {
        r->bad = 1;
        return;
    }
    take_out(p, step);
    p->state[step] = (unsigned char)state;
    p->n_undo_failed += state == KEDGE_STEP_UNDO_FAILED;
    if (state == KEDGE_STEP_DELAYED) {
        p->until[step] = unzigzag(get(r, UINT64_MAX));
        heap_add(p, step);
        return;
    }
    p->record[step] = get(r, p->position);
    if (state == KEDGE_STEP_READY)
        list_add(p, step);
    else if (p->record[step] != 0)
        value_unneed(p, step);
}

static void get_odds(struct kedge_progress *p, struct reader *r)
{
    uint64_t n = get(r, p->n);
    uint64_t step = 0;

    for (; n > 0 && !r->bad; n--, step++) {
        uint64_t bits;

        step += get(r, UINT32_MAX);
        bits = get(r, ODD_FAILURES | ODD_DOUBT | ODD_STATE);
        if (r->bad || step >= p->n) {
            r->bad = 1;
            return;
        }
        set_odd(p, (uint32_t)step);
        if ((bits & ODD_DOUBT) != 0)
            p->flags[step] |= DOUBT;
        if ((bits & ODD_FAILURES) != 0)
            p->failures[step] = (uint32_t)get(r, UINT32_MAX);
        if ((bits & ODD_STATE) != 0)
            get_state(p, r, (uint32_t)step, (uint32_t)(bits & ODD_STATE));
    }
}

static void get_all(struct kedge_progress *p, struct reader *r)
{
    uint64_t record = 0;
    uint64_t n;

    get_head(p, r);
    /* Only going forward steps become ready by themselves. */
    for (uint32_t i = 0; i < p->n && p->phase != KEDGE_PHASE_FORWARD; i++) {
        take_out(p, i);
        p->state[i] = KEDGE_STEP_WAITING;
    }
    n = get(r, p->n);
    for (uint64_t i = 0; i < n && !r->bad; i++)
        get_entry(p, r, &record);
    get_odds(p, r);
    if (r->rest.len > 0)
        r->bad = 1;
    if (!r->bad && p->phase == KEDGE_PHASE_BACK) {
        p->cursor = (struct cursor){ 0, p->n_order };
        seek(p, &p->cursor);
    }
}

static int load_corrupt(const struct kedge_progress *p, struct kedge_error *err, const char *what)
{
    return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0, "the snapshot of a run of '%s' %s",
                           p->reactor->name, what);
}

int kedge_progress_load(struct kedge_progress *p, struct kedge_bytes snapshot,
                        struct kedge_error *err)
{
    struct reader r = { snapshot, 0 };
    const unsigned char *sum;
    uint32_t expected;

    if (snapshot.len == 0)
        return KEDGE_OK;
    KEDGE_ASSERT(p->position == 0 && p->n_running == 0);
    if (snapshot.len <= SUM)
        return load_corrupt(p, err, "is too short");
    r.rest.len -= SUM;
    sum = (const unsigned char *)snapshot.data + r.rest.len;
    expected = kedge_record_sum(r.rest);
    for (unsigned i = 0; i < SUM; i++) {
        if (sum[i] != (unsigned char)(expected >> (8 * i)))
            return load_corrupt(p, err, "does not fit its checksum");
    }
    if (get(&r, UINT64_MAX) > FORMAT)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_NEW, 0,
                               "the snapshot of a run of '%s' was written by a newer kedge",
                               p->reactor->name);
    get_all(p, &r);
    return r.bad ? load_corrupt(p, err, "contradicts the definition, or itself") : KEDGE_OK;
}
