/*
 * queue.c - pause a queue, let it go on, say which are paused
 *
 * The list is read, changed and written back if nobody was faster; else all of it again.  A worker
 * reads it when it looks after the others (keeper.c), so that a claim costs no read.
 */
#include <config.h>

#include <string.h>

#include <kedge/store.h>

#include "args.h"
#include "queue.h"
#include "reader.h"
#include "record.h"

#define FORMAT     1u
#define SUM        4u
#define VARINT_MAX 10u
#define TEXT_MAX   255u /* of who and why each */

/* Not an answer: the list changed in between. */
#define AGAIN 100

/* ------------------------------------------------------------------- the list */

static int order(struct kedge_bytes a, struct kedge_bytes b)
{
    size_t both = a.len < b.len ? a.len : b.len;
    int rc = both > 0 ? memcmp(a.data, b.data, both) : 0;

    return rc != 0 ? rc : (a.len > b.len) - (a.len < b.len);
}

/* Where NAME is, or where it would have to be. */
static size_t place_of(const struct kedge_queues *q, struct kedge_bytes name)
{
    size_t from = 0;
    size_t to = q->n;

    while (from < to) {
        size_t mid = from + (to - from) / 2;

        if (order(q->all[mid].name, name) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

const struct kedge_queue_info *kedge_queues_find(const struct kedge_queues *queues,
                                                 struct kedge_bytes name)
{
    size_t at = place_of(queues, name);

    return at < queues->n && order(queues->all[at].name, name) == 0 ? &queues->all[at] : NULL;
}

void kedge_queues_free(const struct kedge_host *host, struct kedge_queues *queues)
{
    kedge_mem_free(host, queues->mem);
    memset(queues, 0, sizeof *queues);
}

/* -------------------------------------------------------------------- decoding */

static bool get_bytes(struct kedge_bytes *in, struct kedge_bytes *out)
{
    uint64_t len;

    if (!kedge_varint_read(in, &len) || len > in->len)
        return false;
    *out = (struct kedge_bytes){ in->data, (size_t)len };
    in->data = (const unsigned char *)in->data + len;
    in->len -= (size_t)len;
    return true;
}

static bool get_queue(struct kedge_bytes *in, struct kedge_queue_info *q)
{
    uint64_t paused;

    *q = (struct kedge_queue_info){ .struct_size = sizeof *q };
    if (!get_bytes(in, &q->name) || q->name.len == 0 || !kedge_varint_read(in, &paused) ||
        paused > INT64_MAX || !get_bytes(in, &q->who) || !get_bytes(in, &q->why))
        return false;
    q->paused = (int64_t)paused;
    return true;
}

/* The N queues in IN, which has nothing else. */
static bool get_all(struct kedge_bytes in, struct kedge_queues *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!get_queue(&in, &out->all[i]) ||
            (i > 0 && order(out->all[i - 1].name, out->all[i].name) >= 0))
            return false;
    }
    out->n = n;
    return in.len == 0;
}

static int not_understood(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                           "the stored list of paused queues (cell %s) cannot be understood",
                           KEDGE_QUEUES_CELL);
}

static bool sum_fits(struct kedge_bytes body)
{
    const unsigned char *stored = (const unsigned char *)body.data + body.len;
    uint32_t sum = 0;

    for (unsigned i = 0; i < SUM; i++)
        sum |= (uint32_t)stored[i] << (8 * i);
    return kedge_record_sum(body) == sum;
}

/* OUT borrows from STORED, which hangs on its memory. */
static int load(const struct kedge_host *host, struct kedge_bytes stored, struct kedge_queues *out,
                struct kedge_error *err)
{
    const unsigned char *bytes = stored.data;
    struct kedge_bytes in;
    uint64_t n;

    if (stored.len <= SUM || !sum_fits((struct kedge_bytes){ bytes, stored.len - SUM }))
        return not_understood(err);
    if (bytes[0] > FORMAT)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_NEW, 0,
                               "the stored list of paused queues (cell %s) was written by a newer "
                               "kedge",
                               KEDGE_QUEUES_CELL);
    in = (struct kedge_bytes){ bytes + 1, stored.len - SUM - 1 };
    if (bytes[0] != FORMAT || !kedge_varint_read(&in, &n) || n > KEDGE_QUEUES_PAUSED_MAX)
        return not_understood(err);
    /* One place more, for whoever adds one. */
    out->all = kedge_mem_alloc(host, &out->mem, ((size_t)n + 1) * sizeof *out->all);
    if (out->all == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    return get_all(in, out, (size_t)n) ? KEDGE_OK : not_understood(err);
}

int kedge_queues_read(const struct kedge_backend_ops *ops, void *session,
                      const struct kedge_host *host, struct kedge_queues *out, int64_t timeout_us,
                      struct kedge_error *err)
{
    struct kedge_cell cell = { .mem = NULL };
    int rc = ops->cell_get(session, kedge_text(KEDGE_QUEUES_CELL), &cell, timeout_us, err);

    *out = (struct kedge_queues){ .mem = cell.mem, .version = cell.version };
    if (rc == KEDGE_OK)
        rc = load(host, cell.value, out, err);
    else if (rc == KEDGE_NOT_FOUND)
        rc = KEDGE_OK;
    if (rc != KEDGE_OK)
        kedge_queues_free(host, out);
    return rc;
}

/* -------------------------------------------------------------------- encoding */

static size_t room_for(const struct kedge_queues *q)
{
    size_t room = 1 + VARINT_MAX + SUM;

    for (size_t i = 0; i < q->n; i++)
        room += 4 * VARINT_MAX + q->all[i].name.len + q->all[i].who.len + q->all[i].why.len;
    return room;
}

static unsigned char *put_bytes(unsigned char *to, struct kedge_bytes bytes)
{
    to = kedge_varint_write(to, bytes.len);
    if (bytes.len > 0)
        memcpy(to, bytes.data, bytes.len);
    return to + bytes.len;
}

/* Answers how long it is. */
static size_t store_list(const struct kedge_queues *q, unsigned char *start)
{
    unsigned char *to = start;
    uint32_t sum;

    *to++ = FORMAT;
    to = kedge_varint_write(to, q->n);
    for (size_t i = 0; i < q->n; i++) {
        to = put_bytes(to, q->all[i].name);
        to = kedge_varint_write(to, (uint64_t)q->all[i].paused);
        to = put_bytes(to, q->all[i].who);
        to = put_bytes(to, q->all[i].why);
    }
    sum = kedge_record_sum((struct kedge_bytes){ start, (size_t)(to - start) });
    for (unsigned i = 0; i < SUM; i++)
        *to++ = (unsigned char)(sum >> (8 * i));
    return (size_t)(to - start);
}

/* ------------------------------------------------------------------ changing it */

struct change {
    struct kedge_reader r;
    struct kedge_queue_info queue; /* as it is to be in the list */
    struct kedge_queues list;
    bool doubt; /* an answer never came: it may have been done */
};

/* Write the list back, unless somebody was faster: AGAIN. */
static int write_back(struct change *c, struct kedge_error *err)
{
    struct kedge_guard guard = { .kind = KEDGE_GUARD_CELL,
                                 .name = kedge_text(KEDGE_QUEUES_CELL),
                                 .number = c->list.version };
    struct kedge_change put = { .kind = KEDGE_CELL_PUT, .name = guard.name };
    struct kedge_commit commit = {
        .guards = &guard, .n_guards = 1, .changes = &put, .n_changes = 1
    };
    struct kedge_answer answer;
    unsigned char *bytes = kedge_mem_alloc(c->r.host, &c->list.mem, room_for(&c->list));
    int rc;

    if (bytes == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    put.cell.value = (struct kedge_bytes){ bytes, store_list(&c->list, bytes) };
    if (put.cell.value.len > c->r.ops->limits->cell_max)
        return kedge_error_set(err, KEDGE_ERR_FULL, 0,
                               "the names and reasons of %zu paused queues take %zu bytes, more "
                               "than the %llu of a cell of '%s'; resume one first, or be brief",
                               c->list.n, put.cell.value.len,
                               (unsigned long long)c->r.ops->limits->cell_max, c->r.ops->name);
    rc = kedge_reader_commit(&c->r, &commit, &answer, &c->doubt, err);
    return rc == KEDGE_STALE ? AGAIN : rc;
}

static bool same(struct kedge_bytes a, struct kedge_bytes b)
{
    return order(a, b) == 0;
}

static int add(struct change *c, struct kedge_error *err)
{
    const struct kedge_queue_info *there = kedge_queues_find(&c->list, c->queue.name);
    size_t at = place_of(&c->list, c->queue.name);
    struct kedge_queues *q = &c->list;

    if (there != NULL) /* maybe by the commit whose answer never came */
        return c->doubt && there->paused == c->queue.paused && same(there->who, c->queue.who) &&
                       same(there->why, c->queue.why)
                   ? KEDGE_OK
                   : KEDGE_EXISTS;
    if (q->n >= KEDGE_QUEUES_PAUSED_MAX)
        return kedge_error_set(err, KEDGE_ERR_FULL, 0,
                               "%zu queues are paused already, and no more can be; resume one "
                               "first",
                               q->n);
    if (q->all == NULL)
        q->all = kedge_mem_alloc(c->r.host, &q->mem, sizeof *q->all);
    if (q->all == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    memmove(&q->all[at + 1], &q->all[at], (q->n - at) * sizeof *q->all);
    q->all[at] = c->queue;
    q->n++;
    return write_back(c, err);
}

static int take_out(struct change *c, struct kedge_error *err)
{
    struct kedge_queues *q = &c->list;
    size_t at = place_of(q, c->queue.name);

    if (kedge_queues_find(q, c->queue.name) == NULL)
        return c->doubt ? KEDGE_OK : KEDGE_NOT_FOUND;
    q->n--;
    memmove(&q->all[at], &q->all[at + 1], (q->n - at) * sizeof *q->all);
    return write_back(c, err);
}

static int attempt(struct change *c, int (*how)(struct change *, struct kedge_error *),
                   struct kedge_error *err)
{
    int rc = kedge_queues_read(c->r.ops, c->r.session, c->r.host, &c->list,
                               kedge_reader_time(&c->r), err);

    if (rc == KEDGE_OK)
        rc = how(c, err);
    kedge_queues_free(c->r.host, &c->list);
    if (rc < 0 && rc != KEDGE_ERR_UNKNOWN && c->doubt) /* of an earlier round */
        return kedge_error_set(err, KEDGE_ERR_UNKNOWN, 0, "it may have been done; ask again");
    return rc;
}

/* The store's time is when it was asked for: a later round changes nothing of it. */
static int change(struct change *c, int (*how)(struct change *, struct kedge_error *),
                  struct kedge_error *err)
{
    struct kedge_time now;
    int rc = kedge_args_name(c->r.ops, c->queue.name, "queue's name", err);

    if (rc == KEDGE_OK)
        rc = c->r.ops->now(c->r.session, &now, kedge_reader_time(&c->r), err);
    if (rc != KEDGE_OK)
        return rc;
    c->queue.paused = now.wall > 0 ? now.wall : 0;
    while ((rc = attempt(c, how, err)) == AGAIN) {
        if (kedge_monotonic_us() >= c->r.deadline)
            return kedge_error_set(err, c->doubt ? KEDGE_ERR_UNKNOWN : KEDGE_ERR_UNAVAILABLE, 0,
                                   "others pause and resume queues all the time; try again");
    }
    return rc;
}

/* ------------------------------------------------------------------ public face */

int kedge_queue_pause(struct kedge_store *store, struct kedge_bytes name, const char *who,
                      const char *why, int64_t timeout_us, struct kedge_error *err)
{
    struct change c = { .queue = { .struct_size = sizeof c.queue,
                                   .name = name,
                                   .who = kedge_text_cut(kedge_text(who), TEXT_MAX),
                                   .why = kedge_text_cut(kedge_text(why), TEXT_MAX) } };
    int rc = kedge_reader_begin(&c.r, store, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = change(&c, add, err);
    kedge_reader_end(&c.r);
    return rc;
}

int kedge_queue_resume(struct kedge_store *store, struct kedge_bytes name, int64_t timeout_us,
                       struct kedge_error *err)
{
    struct change c = { .queue = { .struct_size = sizeof c.queue, .name = name } };
    int rc = kedge_reader_begin(&c.r, store, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = change(&c, take_out, err);
    kedge_reader_end(&c.r);
    return rc;
}

int kedge_queue_list(struct kedge_store *store, kedge_queue_info_fn *each, void *ctx,
                     int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_queues list = { .mem = NULL };
    struct kedge_reader r;
    int rc = each != NULL ? kedge_reader_begin(&r, store, timeout_us, err)
                          : kedge_args_null("each", err);

    if (rc != KEDGE_OK)
        return rc;
    rc = kedge_queues_read(r.ops, r.session, r.host, &list, kedge_reader_time(&r), err);
    kedge_reader_end(&r); /* others may have the session while the callback runs */
    for (size_t i = 0; i < list.n && rc == 0; i++)
        rc = each(ctx, &list.all[i]);
    kedge_queues_free(r.host, &list);
    return rc;
}
