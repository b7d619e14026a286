/* progress_snapshot.c - the state of a run, written down and read back */
#include <config.h>

#include <string.h>

#include "fold.h"
#include "kassert.h"

#define FORMAT 3u
#define SUM    4u
/* Reading so much is a millisecond on a server; writing a snapshot there costs several steps. */
#define TAIL_MIN   262144u
#define TAIL_RATIO 4u
/* At most: the snapshot without its lists, and one entry of the second list. */
#define HEAD_MAX 160u
#define ODD_MAX  32u

/* Entries of a snapshot's first list. */
#define ENTRY_DONE        0u
#define ENTRY_SKIPPED     1u
#define ENTRY_UNDONE      2u
#define ENTRY_UNDO_FAILED 3u
#define ENTRY_LEFT        4u
#define ENTRY_NO_VALUE    8u
#define ENTRY_BITS        4u

/* Entries of its second. */
#define ODD_STATE    15u
#define ODD_DOUBT    16u
#define ODD_FAILURES 32u

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
    case KEDGE_STEP_LEFT:
        return ENTRY_LEFT | no_value;
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

    size += put(to, p->record[step] - record);
    if (p->state[step] == KEDGE_STEP_UNDO_FAILED)
        size += put(to, (uint64_t)p->until[step]);
    return size;
}

size_t kedge_fold_entry_size(const struct kedge_progress *p, uint32_t i)
{
    return put_entry(p, NULL, i);
}

/* ----------------------------------------------------------- snapshot: written */

/*
 * format, position, number of steps, phase, causes as bits, status, round, deadline; four endings
 * (failure, halt, undo, request) as record and step + 1; the delay on the way back as step + 1,
 * failures, time; then two lists, each after its length: done and skipped steps in the order of
 * their records, and what there is to say of other steps, or more of these; an undo that failed has
 * the number of that record behind its entry; then a checksum as that of a record.  All but that in
 * varints.
 */
static size_t put_ending(unsigned char **to, const struct ending *ending)
{
    size_t size = put(to, ending->record);

    return size + put(to, ending->step == NONE ? 0 : (uint64_t)ending->step + 1);
}

static uint64_t bits_of(const struct causes *why)
{
    return (uint64_t)(why->crash_loop | why->stuck << 1 | why->cancelled << 2 | why->paused << 3 |
                      why->overdue << 4 | why->aside << 5 | why->abandoned << 6);
}
#define BITS_MAX 127u

static struct causes causes_of(uint64_t bits)
{
    return (struct causes){
        .crash_loop = bits & 1,
        .stuck = bits >> 1 & 1,
        .cancelled = bits >> 2 & 1,
        .paused = bits >> 3 & 1,
        .overdue = bits >> 4 & 1,
        .aside = bits >> 5 & 1,
        .abandoned = bits >> 6 & 1,
    };
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
    size += put(to, bits_of(&p->why));
    size += put(to, p->status);
    size += put(to, p->round);
    size += put(to, (uint64_t)p->deadline);
    size += put_ending(to, &p->failed);
    size += put_ending(to, &p->halted);
    size += put_ending(to, &p->undo);
    size += put_ending(to, &p->asked);
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
    if ((state == KEDGE_STEP_UNDO_FAILED || state == KEDGE_STEP_LEFT) &&
        (p->flags[step] & ORDERED) == 0)
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
    if ((bits & ODD_STATE) == KEDGE_STEP_UNDO_FAILED)
        size += put(to, (uint64_t)p->until[step]);
    return size;
}

static size_t put_odds(const struct kedge_progress *p, unsigned char **to)
{
    uint32_t expected = 0;
    uint32_t n = 0;
    size_t size;

    if (p->n_odd == 0 && p->phase == KEDGE_PHASE_FORWARD) /* the usual case, of a long run too */
        return put(to, 0);
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
    const unsigned char *at = r->rest.data;
    uint64_t value = 0;

    if (!r->bad && r->rest.len > 0 && *at < 0x80 && *at <= max) { /* nearly all are of one byte */
        r->rest.data = at + 1;
        r->rest.len--;
        return *at;
    }
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
    ending->record = get(r, p->position);
    ending->step = get_step(p, r);
}

static void get_head(struct kedge_progress *p, struct reader *r)
{
    p->position = get(r, UINT64_MAX - 1);
    if (get(r, UINT32_MAX) != p->n)
        r->bad = 1;
    p->phase = (enum kedge_phase)get(r, KEDGE_PHASE_ENDED);
    if (p->phase < KEDGE_PHASE_FORWARD || p->position == 0)
        r->bad = 1;
    p->why = causes_of(get(r, BITS_MAX));
    p->status = (uint32_t)get(r, KEDGE_ABORTED);
    p->round = (uint32_t)get(r, UINT32_MAX);
    p->deadline = (int64_t)get(r, INT64_MAX);
    get_ending(p, r, &p->failed);
    get_ending(p, r, &p->halted);
    get_ending(p, r, &p->undo);
    get_ending(p, r, &p->asked);
    p->back_step = get_step(p, r);
    if (p->back_step != NONE) {
        p->back_failures = (uint32_t)get(r, UINT32_MAX);
        p->back_until = unzigzag(get(r, UINT64_MAX));
    }
    p->settled = p->phase == KEDGE_PHASE_BACK;
}

static const unsigned char entry_states[] = { KEDGE_STEP_DONE, KEDGE_STEP_SKIPPED,
                                              KEDGE_STEP_UNDONE, KEDGE_STEP_UNDO_FAILED,
                                              KEDGE_STEP_LEFT };

/* RECORD: of the last entry, then of this. */
static void get_entry(struct kedge_progress *p, struct reader *r, uint64_t *record)
{
    size_t before = r->rest.len;
    uint64_t word = get(r, UINT64_MAX);
    int64_t step = p->n_order > 0 ? (int64_t)p->order[p->n_order - 1] + 1 : 0;
    int64_t distance = unzigzag(word >> ENTRY_BITS);
    unsigned kind = (unsigned)word & (ENTRY_NO_VALUE - 1);
    unsigned state = kind <= ENTRY_LEFT ? entry_states[kind] : 0;

    if (kind > ENTRY_LEFT)
        r->bad = 1;
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
    kedge_fold_take_out(p, (uint32_t)step);
    if (state != KEDGE_STEP_SKIPPED && (word & ENTRY_NO_VALUE) == 0)
        p->flags[step] |= VALUE;
    if (state == KEDGE_STEP_UNDO_FAILED) {
        p->until[step] = (int64_t)get(r, p->position);
        p->n_undo_failed++;
        kedge_fold_set_odd(p, (uint32_t)step);
    }
    kedge_fold_end(p, (uint32_t)step, state, *record);
    p->list_size += before - r->rest.len; /* an entry is written in one way only */
}

/* A state which the first list does not have. */
static void get_state(struct kedge_progress *p, struct reader *r, uint32_t step, uint32_t state)
{
    if (state < KEDGE_STEP_READY || state > KEDGE_STEP_LEFT || state == KEDGE_STEP_DROPPED ||
        state == KEDGE_STEP_DONE || state == KEDGE_STEP_SKIPPED || state == KEDGE_STEP_UNDONE ||
        p->missing[step] != 0 ||
        (p->state[step] != KEDGE_STEP_WAITING && p->state[step] != KEDGE_STEP_READY)) {
        r->bad = 1;
        return;
    }
    kedge_fold_take_out(p, step);
    p->state[step] = (unsigned char)state;
    p->n_undo_failed += state == KEDGE_STEP_UNDO_FAILED;
    if (state == KEDGE_STEP_DELAYED) {
        p->until[step] = unzigzag(get(r, UINT64_MAX));
        kedge_fold_heap(p, step);
        return;
    }
    p->record[step] = get(r, p->position);
    if (state == KEDGE_STEP_UNDO_FAILED)
        p->until[step] = (int64_t)get(r, p->position);
    if (state == KEDGE_STEP_READY)
        kedge_fold_list(p, step);
    else if (p->record[step] != 0)
        kedge_fold_unneed(p, step);
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
        kedge_fold_set_odd(p, (uint32_t)step);
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
        kedge_fold_take_out(p, i);
        p->state[i] = KEDGE_STEP_WAITING;
    }
    n = get(r, p->n);
    for (uint64_t i = 0; i < n && !r->bad; i++)
        get_entry(p, r, &record);
    get_odds(p, r);
    if (r->rest.len > 0)
        r->bad = 1;
    if (!r->bad && p->phase == KEDGE_PHASE_BACK)
        kedge_fold_rewind(p);
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
    uint64_t format;

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
    format = get(&r, UINT64_MAX);
    if (format > FORMAT)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_NEW, 0,
                               "the snapshot of a run of '%s' was written by a newer kedge",
                               p->reactor->name);
    if (format < FORMAT)
        return load_corrupt(p, err, "was written by a kedge that was never released");
    get_all(p, &r);
    return r.bad ? load_corrupt(p, err, "contradicts the definition, or itself") : KEDGE_OK;
}
