/* fold_kit.c - for targets that fold a journal; see fold_kit.h */
#include <config.h>

#include <string.h>

#include <kedge/run.h>
#include <kedge/store.h>

#include "fold_kit.h"

const struct kedge_host *fold_host;

static struct kedge_error err;

/* -------------------------------------------------------------- definitions */

static int nothing(struct kedge_step *step, void *user)
{
    (void)step;
    (void)user;
    return 0;
}

static const char *const after_a[] = { "a", NULL };
static const char *const after_b[] = { "b", NULL };
static const char *const after_c[] = { "c", NULL };
static const char *const after_bc[] = { "b", "c", NULL };
static const char *const after_ef[] = { "e", "f", NULL };

#define ALL .run = nothing, .undo = nothing, .compensate = nothing

static const struct kedge_step_def chain[] = {
    { .name = "a", ALL },
    { .name = "b", ALL, .after = after_a },
    { .name = "c", ALL, .after = after_b },
    { .name = "d", ALL, .after = after_c },
};
static const struct kedge_step_def diamond[] = {
    { .name = "a", .run = nothing, .undo = nothing },
    { .name = "b", ALL, .after = after_a },
    { .name = "c", .run = nothing, .compensate = nothing, .after = after_a },
    { .name = "d", .run = nothing, .after = after_bc },
};
static const struct kedge_step_def side_by_side[] = {
    { .name = "a", ALL },
    { .name = "b", .run = nothing, .undo = nothing },
    { .name = "c", .run = nothing },
    { .name = "d", .run = nothing, .compensate = nothing },
    { .name = "e", ALL },
    { .name = "f", ALL },
};
/* The table is in no order of the graph. */
static const struct kedge_step_def lattice[] = {
    { .name = "g", ALL, .after = after_ef }, { .name = "e", ALL, .after = after_bc },
    { .name = "f", ALL, .after = after_c },  { .name = "b", ALL, .after = after_a },
    { .name = "c", ALL, .after = after_a },  { .name = "a", ALL },
    { .name = "h", ALL, .after = after_b },
};
static const struct kedge_step_def lone[] = { { .name = "a", .run = nothing } };

const struct kedge_reactor *fold_reactor(unsigned which)
{
    static const struct kedge_reactor_def defs[] = {
        KEDGE_REACTOR_DEF_INIT("chain", 1, chain),
        KEDGE_REACTOR_DEF_INIT("diamond", 1, diamond),
        KEDGE_REACTOR_DEF_INIT("side_by_side", 1, side_by_side),
        KEDGE_REACTOR_DEF_INIT("lattice", 1, lattice),
        KEDGE_REACTOR_DEF_INIT("lone", 1, lone),
    };
    static struct kedge_reactor *made[sizeof defs / sizeof defs[0]];

    which %= sizeof defs / sizeof defs[0];
    fold_host = kedge_host_default();
    if (made[which] == NULL)
        MUST(kedge_reactor_new(&defs[which], &made[which], &err) == KEDGE_OK);
    return made[which];
}

/* -------------------------------------------------------------------- input */

struct kedge_bytes fold_bytes(struct fold_input *in, size_t n)
{
    struct kedge_bytes bytes = { in->at, n < in->left ? n : in->left };

    in->at += bytes.len;
    in->left -= bytes.len;
    return bytes;
}

uint8_t fold_byte(struct fold_input *in)
{
    struct kedge_bytes one = fold_bytes(in, 1);

    return one.len > 0 ? *(const uint8_t *)one.data : 0;
}

/* Most times go on a little; some are at either end of what there is. */
static int64_t next_time(int64_t last, uint8_t step)
{
    if (step == 254)
        return 0;
    if (step == 255)
        return INT64_MAX;
    return last > INT64_MAX - 256 ? last : last + step;
}

/* BODY with format and checksum; NULL: too short for a record. */
static struct kedge_buf *whole(struct kedge_bytes body)
{
    struct kedge_buf *buf = kedge_buf_new(fold_host, body.len + 5);
    uint32_t sum;

    MUST(buf != NULL);
    buf->data[0] = 1;
    if (body.len > 0)
        memcpy(buf->data + 1, body.data, body.len);
    sum = kedge_record_sum((struct kedge_bytes){ buf->data, body.len + 1 });
    for (unsigned i = 0; i < 4; i++)
        buf->data[body.len + 1 + i] = (unsigned char)(sum >> (8 * i));
    return buf;
}

int fold_next(struct fold_input *in, struct fold_journal *j)
{
    uint64_t number = j->n + 1;
    struct kedge_rec rec;

    while (in->left > 0 && number <= FOLD_RECORDS_MAX) {
        size_t len = fold_byte(in);
        uint8_t step = fold_byte(in);
        struct kedge_buf *buf = whole(fold_bytes(in, len));

        if (kedge_record_decode((struct kedge_bytes){ buf->data, buf->len }, &rec, &err) ==
            KEDGE_OK) {
            j->line[number] = buf;
            j->time[number] = next_time(number > 1 ? j->time[number - 1] : 1000, step);
            return 1;
        }
        kedge_buf_drop(fold_host, buf);
    }
    return 0;
}

void fold_forget(struct fold_journal *j)
{
    for (uint64_t i = 1; i <= j->n; i++)
        kedge_buf_drop(fold_host, j->line[i]);
    j->n = 0;
}

int fold_apply(struct kedge_progress *p, const struct fold_journal *j, uint64_t number)
{
    const struct kedge_buf *buf = j->line[number];
    struct kedge_rec rec;

    MUST(kedge_record_decode((struct kedge_bytes){ buf->data, buf->len }, &rec, &err) == KEDGE_OK);
    return kedge_progress_apply(p, number, j->time[number], &rec, buf->len, &err);
}

int fold_apply_rec(struct kedge_progress *p, const struct kedge_rec *rec, int64_t time)
{
    struct kedge_buf *buf = kedge_record_encode(fold_host, rec);
    struct kedge_rec read;
    int rc;

    MUST(buf != NULL);
    MUST(kedge_record_decode((struct kedge_bytes){ buf->data, buf->len }, &read, &err) == KEDGE_OK);
    rc = kedge_progress_apply(p, kedge_progress_position(p) + 1, time, &read, buf->len, &err);
    kedge_buf_drop(fold_host, buf);
    return rc;
}

/* ---------------------------------------------------------------- snapshots */

struct kedge_bytes fold_snapshot(struct kedge_progress *p)
{
    size_t size = kedge_progress_snapshot_size(p);
    unsigned char *data = malloc(size);

    MUST(data != NULL);
    MUST(kedge_progress_snapshot(p, data) == size);
    return (struct kedge_bytes){ data, size };
}

struct kedge_progress *fold_load(const struct kedge_reactor *reactor, struct kedge_bytes snapshot,
                                 int *rc)
{
    struct kedge_progress *p = kedge_progress_new(fold_host, reactor);

    MUST(p != NULL);
    *rc = kedge_progress_load(p, snapshot, &err);
    return p;
}

/* ---------------------------------------------------------------- questions */

void fold_ask(const struct kedge_reactor *reactor, const struct kedge_progress *p, int64_t now)
{
    enum kedge_phase phase = kedge_progress_phase(p);
    struct kedge_rec rec;

    MUST(phase >= KEDGE_PHASE_FORWARD && phase <= KEDGE_PHASE_ENDED);
    MUST(kedge_progress_running(p) == 0);
    (void)kedge_progress_ready(p, now);
    (void)kedge_progress_next_time(p);
    (void)kedge_progress_overdue(p, now, &rec);
    (void)kedge_progress_wants_snapshot(p);
    (void)kedge_progress_paused(p);
    (void)kedge_progress_cancelled(p);
    (void)kedge_progress_round(p);
    (void)kedge_progress_crashed(p);
    for (uint32_t i = 0; i < reactor->n_steps; i++) {
        uint32_t state = kedge_progress_state(p, i);

        MUST(state >= KEDGE_STEP_WAITING && state <= KEDGE_STEP_LEFT);
        MUST(kedge_progress_value_record(p, i) <= kedge_progress_position(p));
        MUST(kedge_progress_value(p, i) == NULL);
        (void)kedge_progress_failures(p, i);
        (void)kedge_progress_until(p, i);
        (void)kedge_progress_in_doubt(p, i);
    }
    for (uint32_t verb = 0; verb <= KEDGE_VERB_END_; verb++) {
        (void)kedge_progress_refuses(p, verb, KEDGE_NO_STEP);
        for (uint32_t i = 0; i <= reactor->n_steps; i++)
            (void)kedge_progress_refuses(p, verb, i);
    }
}

void fold_start(const struct kedge_reactor *reactor, struct kedge_progress *p, int64_t now)
{
    uint32_t started[16];
    struct kedge_action action;
    struct kedge_rec rec;
    uint32_t n = 0;

    for (;;) {
        int ready = kedge_progress_ready(p, now);

        MUST(kedge_progress_take(p, now, &action) == ready);
        if (!ready)
            break;
        MUST(n < reactor->n_steps && action.step < reactor->n_steps);
        MUST(action.action >= KEDGE_ACTION_RUN && action.action <= KEDGE_ACTION_UNDO);
        for (uint32_t i = 0; i < n; i++)
            MUST(started[i] != action.step);
        started[n++] = action.step;
        MUST(kedge_progress_running(p) == n);
    }
    (void)kedge_progress_abandon(p, &rec);
    for (uint32_t i = 0; i < n; i++)
        kedge_progress_give_back(p, started[i]);
    MUST(kedge_progress_running(p) == 0);
}
