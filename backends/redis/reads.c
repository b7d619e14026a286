/*
 * reads.c - one run, its records and slots, a cell: each at one moment
 *
 * Everything handed out is a copy; nothing points into an answer after the call.
 */
#include <config.h>

#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define EXACT_MAX (INT64_C(1) << 53) /* of a number in a script */

/* ---------------------------------------------------------------- run, records */

/* What the script `read' answered. */
struct found {
    redisReply *reply;
    struct kit_run run;
    int64_t now;
    const redisReply *snapshot;
    uint64_t first;
    const redisReply *records;
};

struct wanted {
    struct kedge_bytes id;
    uint64_t incarnation;
    bool snapshot;
    int64_t first; /* 0: after the snapshot; -1: none */
    uint64_t limit;
    uint64_t bytes;
};

static int understand(struct rd_session *s, const struct wanted *w, struct found *f)
{
    redisReply *const *e = f->reply->element;
    int rc;

    if (!rd_reply_time(e[0], &f->now) || e[4]->type != REDIS_REPLY_INTEGER ||
        e[5]->type != REDIS_REPLY_ARRAY)
        return KEDGE_ERR_CORRUPT;
    rd_saw_time(s, f->now);
    rc = rd_run_read(e[1], e[2], &f->run, NULL);
    if (rc != KEDGE_OK)
        return rc;
    if (!kit_bytes_equal(f->run.r.id, w->id))
        return KEDGE_ERR_CORRUPT;
    if ((w->incarnation != 0 && f->run.r.incarnation != w->incarnation) ||
        kit_run_expired(&f->run, f->now))
        return KEDGE_NOT_FOUND;
    f->snapshot = e[3];
    f->first = e[4]->integer > 0 ? (uint64_t)e[4]->integer : 0;
    f->records = e[5];
    return KEDGE_OK;
}

static int read_run(struct rd_session *s, const struct wanted *w, struct found *f, int64_t deadline,
                    struct kedge_error *err)
{
    static const char letters[] = "hsj";
    struct rd_arena *a = &s->arena;
    int rc;

    s->keys.n = s->args.n = 0;
    for (const char *l = letters; *l != '\0'; l++)
        rd_list_add(a, &s->keys, rd_key(a, s->store->params.prefix, *l, w->id));
    rd_list_add_number(a, &s->args, w->snapshot ? 1 : 0);
    rd_list_add_number(a, &s->args, w->first);
    rd_list_add_number(a, &s->args, w->limit > (uint64_t)EXACT_MAX ? EXACT_MAX : (int64_t)w->limit);
    rd_list_add_number(a, &s->args, w->bytes > (uint64_t)EXACT_MAX ? EXACT_MAX : (int64_t)w->bytes);
    rd_cmd_call(a, &s->cmds[0], &s->store->scripts[RD_SCRIPT_READ], &s->keys, &s->args);
    memset(f, 0, sizeof *f);
    rc = a->failed ? rd_no_memory(err)
                   : rd_call_one(&s->link, &s->cmds[0], &f->reply, REDIS_REPLY_ARRAY, 6, RD_READS,
                                 deadline, err);
    if (rc == KEDGE_OK)
        rc = rd_say(s, understand(s, w, f), "the run", err);
    return rc;
}

static int copy_records(struct rd_session *s, const struct found *f, struct kedge_mem **mem,
                        struct kedge_record **out, size_t *n, struct kedge_error *err)
{
    size_t all = f->records->elements;
    struct kedge_record *list;

    if (all == 0)
        return KEDGE_OK;
    list = kedge_mem_alloc(s->host, mem, all * sizeof *list);
    if (list == NULL)
        return rd_no_memory(err);
    *out = list;
    for (size_t i = 0; i < all; i++) {
        const redisReply *e = f->records->element[i];

        if (e->type != REDIS_REPLY_STRING ||
            !rd_record_decode(rd_reply_bytes(e), f->first + i, &list[i]))
            return rd_say(s, KEDGE_ERR_CORRUPT, "a record", err);
        if (!kit_copy(s->host, mem, list[i].data, &list[i].data))
            return rd_no_memory(err);
        (*n)++;
    }
    return KEDGE_OK;
}

static int copy_snapshot(struct rd_session *s, const struct found *f, struct kedge_run_state *out,
                         struct kedge_error *err)
{
    struct kedge_bytes value = rd_reply_bytes(f->snapshot);

    if (f->run.r.snapshot_position == 0)
        return KEDGE_OK;
    if (f->snapshot->type != REDIS_REPLY_STRING || value.len < 8)
        return rd_say(s, KEDGE_ERR_CORRUPT, "the snapshot", err);
    value = (struct kedge_bytes){ (const char *)value.data + 8, value.len - 8 };
    if (rd_sum(0, value) != rd_get_u64(f->snapshot->str))
        return rd_say(s, KEDGE_ERR_CORRUPT, "the snapshot", err);
    return kit_copy(s->host, &out->mem, value, &out->snapshot) ? KEDGE_OK : rd_no_memory(err);
}

int rd_retrieve(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    struct kedge_run_state state = { 0 };
    bool tail = (in->want & KEDGE_WANT_TAIL) != 0;
    struct wanted w = { .id = in->id,
                        .incarnation = in->incarnation,
                        .snapshot = (in->want & KEDGE_WANT_SNAPSHOT) != 0,
                        .first = tail ? 0 : -1,
                        .limit = UINT64_MAX,
                        .bytes = UINT64_MAX };
    struct found f = { 0 };
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&rd_limits, in->id, "the id of a run", err);
    if (rc == KEDGE_OK && (in->want & ~(KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL)) != 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "unknown bits 0x%x in what is wanted",
                             (unsigned)in->want);
    if (rc == KEDGE_OK)
        rc = read_run(s, &w, &f, rd_deadline(timeout_us), err);
    if (rc == KEDGE_OK && w.snapshot)
        rc = copy_snapshot(s, &f, &state, err);
    if (rc == KEDGE_OK)
        rc = copy_records(s, &f, &state.mem, &state.tail, &state.n_tail, err);
    if (rc == KEDGE_OK && !kit_copy_run(s->host, &state.mem, &f.run.r, &state.run))
        rc = rd_no_memory(err);
    rd_replies_free(&f.reply, 1);
    if (rc == KEDGE_OK)
        *out = state;
    else
        kedge_mem_free(s->host, state.mem);
    return rc;
}

int rd_retrieve_records(void *session, struct kedge_bytes id, uint64_t incarnation, uint64_t first,
                        size_t limit, size_t bytes_max, struct kedge_record_page *out,
                        int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    struct kedge_record_page page = { 0 };
    struct wanted w = { .id = id,
                        .incarnation = incarnation,
                        .first = first > (uint64_t)EXACT_MAX ? EXACT_MAX : (int64_t)first,
                        .limit = limit,
                        .bytes = bytes_max };
    struct found f = { 0 };
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&rd_limits, id, "the id of a run", err);
    if (rc == KEDGE_OK && (first == 0 || limit == 0))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "records are numbered from 1, and a page has at least one");
    if (rc == KEDGE_OK)
        rc = read_run(s, &w, &f, rd_deadline(timeout_us), err);
    if (rc == KEDGE_OK)
        rc = copy_records(s, &f, &page.mem, &page.records, &page.n, err);
    if (rc == KEDGE_OK && page.n != 0 && first + page.n <= f.run.r.position)
        page.next = first + page.n;
    rd_replies_free(&f.reply, 1);
    if (rc == KEDGE_OK)
        *out = page;
    else
        kedge_mem_free(s->host, page.mem);
    return rc;
}

/* --------------------------------------------------------------------- slots */

struct slots {
    struct rd_session *s;
    struct kedge_bytes id;
    uint64_t incarnation;
    uint32_t set;
    size_t limit;
    struct kedge_slot_page page;
    int64_t deadline;
};

/* The run and the set, and the values of N fields of it: elements 4 and on. */
static int look_set(struct slots *q, const struct kedge_bytes *fields, size_t n, redisReply **reply,
                    struct kedge_error *err)
{
    struct rd_session *s = q->s;
    struct rd_arena *a = &s->arena;
    struct kedge_bytes key = rd_key(a, s->store->params.prefix, 'q', q->id);
    struct kedge_bytes set;
    struct kit_run run;
    redisReply *r = NULL;
    int64_t now;
    int rc;

    rd_look_begin(s);
    rd_look_run(s, q->id);
    set = rd_set_field(a, q->set);
    rd_look_command(s, "HGET", key, &set, 1);
    if (n != 0)
        rd_look_command(s, "HMGET", key, fields, n);
    else
        rd_look_command(s, "HKEYS", key, NULL, 0);
    rc = rd_look_send(s, 4, &r, &now, q->deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = rd_run_read(r->element[1], r->element[2], &run, NULL);
    if (rc == KEDGE_OK && ((q->incarnation != 0 && run.r.incarnation != q->incarnation) ||
                           kit_run_expired(&run, now)))
        rc = KEDGE_NOT_FOUND;
    if (rc == KEDGE_OK && r->element[3]->type == REDIS_REPLY_NIL)
        rc = KEDGE_NOT_FOUND;
    else if (rc == KEDGE_OK &&
             (r->element[3]->type != REDIS_REPLY_STRING || r->element[3]->len != 8 ||
              r->element[4]->type != REDIS_REPLY_ARRAY))
        rc = KEDGE_ERR_CORRUPT;
    if (rc != KEDGE_OK) {
        freeReplyObject(r);
        (void)rd_say(s, rc, "a slot set", err);
        return rc;
    }
    q->page.total = rd_get_u32(r->element[3]->str);
    q->page.remaining = rd_get_u32(r->element[3]->str + 4);
    *reply = r;
    return KEDGE_OK;
}

static int add_slot(struct slots *q, uint32_t index, const redisReply *value,
                    struct kedge_error *err)
{
    struct kedge_slot *slot = &q->page.slots[q->page.n];
    struct kedge_bytes b = rd_reply_bytes(value);

    if (value->type != REDIS_REPLY_STRING || b.len < 8)
        return rd_say(q->s, KEDGE_ERR_CORRUPT, "a slot", err);
    b = (struct kedge_bytes){ value->str + 8, b.len - 8 };
    if (rd_sum(index, b) != rd_get_u64(value->str))
        return rd_say(q->s, KEDGE_ERR_CORRUPT, "a slot", err);
    slot->index = index;
    slot->reserved = 0;
    if (!kit_copy(q->s->host, &q->page.mem, b, &slot->value))
        return rd_no_memory(err);
    q->page.n++;
    return KEDGE_OK;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Filled indexes of the set from FIRST on, in order, in the arena. */
static int filled(struct slots *q, uint32_t first, uint32_t **out, size_t *n,
                  struct kedge_error *err)
{
    redisReply *r = NULL;
    const redisReply *keys;
    int rc = look_set(q, NULL, 0, &r, err);

    if (rc != KEDGE_OK)
        return rc;
    keys = r->element[4];
    *n = 0;
    *out = rd_alloc(&q->s->arena, keys->elements * sizeof **out);
    for (size_t i = 0; *out != NULL && i < keys->elements; i++) {
        const redisReply *k = keys->element[i];

        if (k->len == 8 && rd_get_u32(k->str) == q->set && rd_get_u32(k->str + 4) >= first)
            (*out)[(*n)++] = rd_get_u32(k->str + 4);
    }
    freeReplyObject(r);
    if (*out == NULL)
        return rd_no_memory(err);
    qsort(*out, *n, sizeof **out, by_number);
    return KEDGE_OK;
}

/* Values of INDEXES; one that went in between is left out. */
static int add_slots(struct slots *q, const uint32_t *indexes, size_t n, struct kedge_error *err)
{
    struct kedge_bytes *fields = rd_alloc(&q->s->arena, n * sizeof *fields);
    redisReply *r = NULL;
    int rc;

    if (fields == NULL)
        return rd_no_memory(err);
    for (size_t i = 0; i < n; i++)
        fields[i] = rd_two_u32(&q->s->arena, q->set, indexes[i]);
    rc = look_set(q, fields, n, &r, err);
    for (size_t i = 0; rc == KEDGE_OK && i < n; i++)
        if (r->element[4]->elements == n && r->element[4]->element[i]->type != REDIS_REPLY_NIL)
            rc = add_slot(q, indexes[i], r->element[4]->element[i], err);
    rd_replies_free(&r, 1);
    return rc;
}

int rd_retrieve_slots(void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
                      uint32_t first, size_t limit, struct kedge_slot_page *out, int64_t timeout_us,
                      struct kedge_error *err)
{
    struct rd_session *s = session;
    struct slots q = { .s = s,
                       .id = id,
                       .incarnation = incarnation,
                       .set = set,
                       .limit = limit,
                       .deadline = rd_deadline(timeout_us) };
    uint32_t *indexes = NULL;
    size_t n = 0;
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&rd_limits, id, "the id of a run", err);
    if (rc == KEDGE_OK && (limit == 0 || limit > rd_limits.page_max))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a page has 1 to %llu slots, not %zu",
                             (unsigned long long)rd_limits.page_max, limit);
    if (rc == KEDGE_OK)
        rc = filled(&q, first, &indexes, &n, err);
    if (rc != KEDGE_OK)
        return rc;
    if (n > limit) {
        q.page.next = indexes[limit];
        n = limit;
    }
    q.page.slots = kedge_mem_alloc(s->host, &q.page.mem, (n + 1) * sizeof *q.page.slots);
    if (q.page.slots == NULL)
        rc = rd_no_memory(err);
    if (rc == KEDGE_OK && n != 0)
        rc = add_slots(&q, indexes, n, err);
    if (rc == KEDGE_OK)
        *out = q.page;
    else
        kedge_mem_free(s->host, q.page.mem);
    return rc;
}

/* ---------------------------------------------------------------------- cell */

static int read_cell(const redisReply *value, int64_t now, struct kit_cell *out)
{
    if (value->type == REDIS_REPLY_NIL)
        return KEDGE_NOT_FOUND;
    if (value->type != REDIS_REPLY_STRING || !rd_cell_decode(rd_reply_bytes(value), out))
        return KEDGE_ERR_CORRUPT;
    return out->expires != 0 && out->expires <= now ? KEDGE_NOT_FOUND : KEDGE_OK;
}

int rd_cell_get(void *session, struct kedge_bytes name, struct kedge_cell *out, int64_t timeout_us,
                struct kedge_error *err)
{
    struct rd_session *s = session;
    struct kedge_cell copy = { 0 };
    struct kit_cell cell = { 0 };
    redisReply *r = NULL;
    int64_t now = 0;
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&rd_limits, name, "the name of a cell", err);
    if (rc != KEDGE_OK)
        return rc;
    rd_look_begin(s);
    rd_look_string(s, rd_key(&s->arena, s->store->params.prefix, 'v', name));
    rc = rd_look_send(s, 1, &r, &now, rd_deadline(timeout_us), err);
    if (rc != KEDGE_OK)
        return rc;
    rc = read_cell(r->element[1], now, &cell);
    if (rc == KEDGE_OK && !kit_copy(s->host, &copy.mem, cell.value, &copy.value))
        rc = KEDGE_ERR_NOMEM;
    if (rc == KEDGE_OK) {
        copy.version = cell.version;
        copy.expires = cell.expires;
        *out = copy;
    }
    freeReplyObject(r);
    return rd_say(s, rc, "the cell", err);
}
