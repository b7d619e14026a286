/*
 * look.c - rows as they are, at one moment: what operations read, and what the kit's rules ask for
 *
 * Appends that wait to be sent go along, in front, in the same write.
 */
#include <config.h>

#include "rows.h"

#include <stdlib.h>

static const struct kedge_bytes nothing;

void rd_look_begin(struct rd_session *s)
{
    s->grip.asked = s->grip.epoch;
    s->keys.n = s->args.n = 0;
}

void rd_look_run(struct rd_session *s, struct kedge_bytes id)
{
    const char *prefix = s->store->params.prefix;

    rd_list_add(&s->arena, &s->keys, rd_key(&s->arena, prefix, 'h', id));
    rd_list_add(&s->arena, &s->keys, rd_key(&s->arena, prefix, 'j', id));
    rd_list_add_text(&s->arena, &s->args, "r");
}

void rd_look_string(struct rd_session *s, struct kedge_bytes k)
{
    rd_list_add(&s->arena, &s->keys, k);
    rd_list_add_text(&s->arena, &s->args, "s");
}

void rd_look_command(struct rd_session *s, const char *command, struct kedge_bytes k,
                     const struct kedge_bytes *args, size_t n)
{
    rd_list_add(&s->arena, &s->keys, k);
    rd_list_add_text(&s->arena, &s->args, "c");
    rd_list_add_text(&s->arena, &s->args, command);
    rd_list_add_number(&s->arena, &s->args, (int64_t)n);
    for (size_t i = 0; i < n; i++)
        rd_list_add(&s->arena, &s->args, args[i]);
}

static bool look_fits(const redisReply *r, size_t n, int64_t *now)
{
    return r->type == REDIS_REPLY_ARRAY && r->elements == n + 1 &&
           rd_reply_time(r->element[0], now);
}

static int send_look(struct rd_session *s, enum rd_kind kind, size_t n, redisReply **reply,
                     int64_t *now, int64_t deadline, struct kedge_error *err)
{
    bool hot = s->hot != NULL && s->hot->n != 0 && !s->hot->sent;
    struct rd_cmd *cmds[2] = { &s->cmds[0], &s->cmds[1] };
    redisReply *r[2] = { NULL, NULL };
    struct kedge_error local = { 0 };
    int rc;

    if (err == NULL)
        err = &local;
    rd_cmd_call(&s->arena, cmds[0], &s->store->scripts[RD_SCRIPT_LOOK], &s->keys, &s->args);
    if (hot) {
        rd_hot_command(s);
        cmds[0] = &s->cmds[1];
        cmds[1] = &s->cmds[0];
    }
    rc = s->arena.failed
             ? rd_no_memory(err)
             : rd_call(&s->link, cmds, hot ? 2 : 1, r, hot ? RD_WRITES : kind, deadline, err);
    if (hot)
        rd_hot_answer(s, rc, r[0], err);
    /* That was the appends; a look changes nothing. */
    if (rc == KEDGE_ERR_UNKNOWN && (kind == RD_READS || s->store->params.wait == 0))
        rc = kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0, "Redis (%s) did not answer in time",
                             s->store->params.place);
    if (hot && rc == KEDGE_OK) {
        rd_replies_free(&r[0], 1);
        r[0] = r[1];
        r[1] = NULL;
    }
    if (rc == KEDGE_OK && !look_fits(r[0], n, now))
        rc = rd_reply_fail(&s->store->params, r[0], err);
    if (rc != KEDGE_OK) {
        rd_replies_free(r, 2);
        return rc;
    }
    rd_saw_time(s, *now);
    *reply = r[0];
    return KEDGE_OK;
}

int rd_look_send(struct rd_session *s, size_t n, redisReply **reply, int64_t *now, int64_t deadline,
                 struct kedge_error *err)
{
    return send_look(s, RD_READS, n, reply, now, deadline, err);
}

int rd_look_confirmed(struct rd_session *s, size_t n, redisReply **reply, int64_t *now,
                      int64_t deadline, struct kedge_error *err)
{
    return send_look(s, RD_CONFIRMS, n, reply, now, deadline, err);
}

int rd_run_read(const redisReply *head, const redisReply *length, struct kit_run *out,
                struct kedge_bytes *unknown)
{
    if (head->type == REDIS_REPLY_NIL)
        return KEDGE_NOT_FOUND;
    if (head->type != REDIS_REPLY_STRING || length->type != REDIS_REPLY_INTEGER ||
        length->integer < 0)
        return KEDGE_ERR_CORRUPT;
    return rd_head_decode(rd_reply_bytes(head), (uint64_t)length->integer, out, unknown)
               ? KEDGE_OK
               : KEDGE_ERR_CORRUPT;
}

int rd_lease_read(struct rd_session *s, struct kedge_mem **mem, const struct kedge_id128 *id,
                  const redisReply *value, struct kit_lease *out)
{
    if (value->type == REDIS_REPLY_NIL)
        return KEDGE_NOT_FOUND;
    if (value->type != REDIS_REPLY_STRING)
        return KEDGE_ERR_CORRUPT;
    return rd_lease_decode(s->host, mem, id, rd_reply_bytes(value), out);
}

static void ask_row(struct rd_session *s, const struct kit_row *row)
{
    struct rd_arena *a = &s->arena;
    const char *prefix = s->store->params.prefix;

    switch (row->kind) {
    case KIT_ROW_RUN:
        rd_look_run(s, row->name);
        return;
    case KIT_ROW_LEASE:
        rd_look_string(s, rd_key_lease(a, prefix, 'l', &row->lease_id));
        return;
    case KIT_ROW_CELL:
    case KIT_ROW_LOCK:
        rd_look_string(s, rd_key(a, prefix, row->kind == KIT_ROW_CELL ? 'v' : 'n', row->name));
        return;
    case KIT_ROW_SET:
    case KIT_ROW_SLOT:
        rd_list_add(a, &s->keys, rd_key(a, prefix, 'q', row->of->name));
        rd_list_add_text(a, &s->args, row->kind == KIT_ROW_SET ? "h" : "x");
        rd_list_add(a, &s->args,
                    row->kind == KIT_ROW_SET ? rd_set_field(a, row->set)
                                             : rd_two_u32(a, row->set, row->index));
        return;
    default: /* KIT_ROW_RECORD */
        rd_list_add(a, &s->keys, rd_key(a, prefix, 'j', row->of->name));
        rd_list_add_text(a, &s->args, "q");
        rd_list_add_number(a, &s->args, (int64_t)row->number);
    }
}

/* A copy of REPLY, whole, where rows may point to it. */
static bool keep_reply(struct rd_session *s, const redisReply *reply, redisReply *out)
{
    struct kedge_bytes b = rd_reply_bytes(reply);

    *out = *reply;
    if (reply->type != REDIS_REPLY_STRING)
        return true;
    if (!kit_copy(s->host, kit_remote_mem(s->remote), b, &b))
        return false;
    out->str = (char *)(uintptr_t)b.data;
    return true;
}

static int got_run(struct rd_session *s, struct kit_row *row, const redisReply *head,
                   const redisReply *length)
{
    struct kedge_mem **mem = kit_remote_mem(s->remote);
    struct kedge_bytes unknown = nothing;
    struct kit_run *run = kedge_mem_alloc(s->host, mem, sizeof *run);
    struct kedge_bytes *keep;
    redisReply copy;
    int rc;

    row->own = NULL;
    if (run == NULL || !keep_reply(s, head, &copy))
        return KEDGE_ERR_NOMEM;
    rc = rd_run_read(&copy, length, run, &unknown);
    if (rc != KEDGE_OK)
        return rc;
    if (unknown.len != 0) {
        keep = kedge_mem_alloc(s->host, mem, sizeof *keep);
        if (keep == NULL)
            return KEDGE_ERR_NOMEM;
        *keep = unknown;
        row->own = keep;
    }
    row->run = run;
    return kit_bytes_equal(run->r.id, row->name) ? KEDGE_OK : KEDGE_ERR_CORRUPT;
}

static int got_lease(struct rd_session *s, struct kit_row *row, const redisReply *value)
{
    struct kedge_mem **mem = kit_remote_mem(s->remote);
    struct kit_lease *lease = kedge_mem_alloc(s->host, mem, sizeof *lease);
    redisReply copy;

    if (lease == NULL || !keep_reply(s, value, &copy))
        return KEDGE_ERR_NOMEM;
    row->lease = lease;
    return rd_lease_read(s, mem, &row->lease_id, &copy, lease);
}

static int got_named(struct rd_session *s, struct kit_row *row, const redisReply *value)
{
    struct kedge_mem **mem = kit_remote_mem(s->remote);
    struct kit_cell *cell;
    struct kit_lock *lock;
    redisReply copy;

    if (value->type == REDIS_REPLY_NIL)
        return KEDGE_NOT_FOUND;
    if (value->type != REDIS_REPLY_STRING)
        return KEDGE_ERR_CORRUPT;
    cell = kedge_mem_alloc(s->host, mem, sizeof *cell);
    lock = kedge_mem_alloc(s->host, mem, sizeof *lock);
    if (cell == NULL || lock == NULL || !keep_reply(s, value, &copy))
        return KEDGE_ERR_NOMEM;
    row->cell = cell;
    row->lock = lock;
    if (row->kind == KIT_ROW_CELL)
        return rd_cell_decode(rd_reply_bytes(&copy), cell) ? KEDGE_OK : KEDGE_ERR_CORRUPT;
    return rd_lock_decode(rd_reply_bytes(&copy), lock) ? KEDGE_OK : KEDGE_ERR_CORRUPT;
}

static int got_part(struct kit_row *row, const redisReply *value)
{
    if (value->type == REDIS_REPLY_NIL)
        return KEDGE_NOT_FOUND;
    if (row->kind == KIT_ROW_SLOT)
        return value->type != REDIS_REPLY_INTEGER || value->integer < 0
                   ? KEDGE_ERR_CORRUPT
                   : (value->integer == 0 ? KEDGE_NOT_FOUND : KEDGE_OK);
    if (value->type != REDIS_REPLY_STRING)
        return KEDGE_ERR_CORRUPT;
    if (row->kind == KIT_ROW_SET) {
        if (value->len != 8)
            return KEDGE_ERR_CORRUPT;
        row->slots = (struct kit_slots){ rd_get_u32(value->str), rd_get_u32(value->str + 4) };
        return KEDGE_OK;
    }
    if (value->len < RD_RECORD_SIZE || (unsigned char)value->str[RD_RECORD_FORMAT] != RD_FORMAT)
        return KEDGE_ERR_CORRUPT;
    memcpy(row->request.b, value->str + RD_RECORD_REQUEST, 16);
    return KEDGE_OK;
}

static int got_row(struct rd_session *s, struct kit_row *row, redisReply *const *e)
{
    switch (row->kind) {
    case KIT_ROW_RUN:
        return got_run(s, row, e[0], e[1]);
    case KIT_ROW_LEASE:
        return got_lease(s, row, e[0]);
    case KIT_ROW_CELL:
    case KIT_ROW_LOCK:
        return got_named(s, row, e[0]);
    default:
        return got_part(row, e[0]);
    }
}

int rd_look_rows(void *ctx, struct kit_row *const *rows, size_t n, int64_t *now, int64_t timeout_us,
                 struct kedge_error *err)
{
    struct rd_session *s = ctx;
    redisReply *r = NULL;
    size_t elements = n;
    size_t at = 1;
    int rc;

    rd_look_begin(s);
    for (size_t i = 0; i < n; i++) {
        ask_row(s, rows[i]);
        elements += rows[i]->kind == KIT_ROW_RUN;
    }
    rc = rd_look_confirmed(s, elements, &r, now, rd_deadline(timeout_us), err);
    if (rc != KEDGE_OK)
        return rc;
    for (size_t i = 0; i < n && rc == KEDGE_OK; i++) {
        int got = got_row(s, rows[i], &r->element[at]);

        at += rows[i]->kind == KIT_ROW_RUN ? 2 : 1;
        rows[i]->there = got == KEDGE_OK;
        rows[i]->fault = got == KEDGE_ERR_CORRUPT ? got : 0;
        if (got == KEDGE_ERR_NOMEM)
            rc = rd_no_memory(err);
    }
    freeReplyObject(r);
    return rc;
}
