/* rows.c - what the kit's rules look at and write; see rows.h */
#include <config.h>

#include "rows.h"

#include <stdio.h>
#include <stdlib.h>

static const struct kedge_bytes nothing;

/* ---------------------------------------------------------------- expectations */

static void key(struct rd_build *b, struct kedge_bytes k)
{
    rd_list_add(b->a, &b->s->keys, k);
}

static void arg(struct rd_build *b, struct kedge_bytes v)
{
    rd_list_add(b->a, &b->s->args, v);
}

static void arg_text(struct rd_build *b, const char *text)
{
    rd_list_add_text(b->a, &b->s->args, text);
}

static void arg_number(struct rd_build *b, int64_t n)
{
    rd_list_add_number(b->a, &b->s->args, n);
}

static void expect_at(struct rd_build *b, struct kedge_bytes k, size_t at, struct kedge_bytes bytes,
                      uint64_t first)
{
    key(b, k);
    arg_text(b, "r");
    arg_number(b, (int64_t)at);
    arg(b, bytes);
    if (KIT_IS_PLACE(first))
        arg_number(b, KIT_PLACE_INDEX(first));
    else
        arg_text(b, "");
    b->n_expects++;
}

void rd_expect_bytes(struct rd_build *b, struct kedge_bytes k, size_t at, struct kedge_bytes bytes)
{
    expect_at(b, k, at, bytes, 0);
}

void rd_expect_u64(struct rd_build *b, struct kedge_bytes k, size_t at, uint64_t number)
{
    expect_at(b, k, at, rd_u64_bytes(b->a, number), number);
}

static struct kedge_bytes head_key(struct rd_build *b, struct kedge_bytes id)
{
    return rd_key(b->a, b->prefix, 'h', id);
}

static void expect_head(struct rd_build *b, struct kedge_bytes id, uint64_t incarnation,
                        uint64_t revision)
{
    unsigned char *want = rd_alloc(b->a, 16);

    if (want == NULL)
        return;
    rd_put_u64(want, incarnation);
    rd_put_u64(want + 8, revision);
    expect_at(b, head_key(b, id), RD_HEAD_INCARNATION, (struct kedge_bytes){ want, 16 },
              incarnation);
}

void rd_expect_run(struct rd_build *b, const struct kit_run *run)
{
    expect_head(b, run->r.id, run->r.incarnation, run->head_revision);
}

void rd_expect_none(struct rd_build *b, struct kedge_bytes k)
{
    key(b, k);
    arg_text(b, "n");
    b->n_expects++;
}

void rd_expect_length(struct rd_build *b, struct kedge_bytes list, uint64_t length)
{
    key(b, list);
    arg_text(b, "l");
    arg_number(b, (int64_t)length);
    b->n_expects++;
}

void rd_expect_members(struct rd_build *b, struct kedge_bytes set, uint64_t members)
{
    key(b, set);
    arg_text(b, "z");
    arg_number(b, (int64_t)members);
    b->n_expects++;
}

static struct kedge_bytes two_u32(struct rd_arena *a, uint32_t one, uint32_t two)
{
    unsigned char *p = rd_alloc(a, 8);

    if (p == NULL)
        return nothing;
    rd_put_u32(p, one);
    rd_put_u32(p + 4, two);
    return (struct kedge_bytes){ p, 8 };
}

static struct kedge_bytes set_field(struct rd_arena *a, uint32_t set)
{
    return (struct kedge_bytes){ two_u32(a, set, 0).data, 4 };
}

static void expect_set(struct rd_build *b, const struct kit_expect *e)
{
    key(b, rd_key(b->a, b->prefix, 'q', e->row->of->name));
    arg_text(b, e->there ? "h" : "H");
    arg(b, set_field(b->a, e->row->set));
    if (e->there)
        arg(b, two_u32(b->a, e->row->slots.total, (uint32_t)e->stamp));
    b->n_expects++;
}

static void expect(struct rd_build *b, const struct kit_expect *e)
{
    struct kedge_bytes k = nothing;

    switch (e->row->kind) {
    case KIT_ROW_RUN:
        if (e->there)
            expect_head(b, e->row->name, e->incarnation, e->stamp);
        else
            rd_expect_none(b, head_key(b, e->row->name));
        if (e->there && e->journal)
            rd_expect_length(b, rd_key(b->a, b->prefix, 'j', e->row->name), e->position);
        return;
    case KIT_ROW_SET:
        expect_set(b, e);
        return;
    case KIT_ROW_LEASE:
        k = rd_key_lease(b->a, b->prefix, 'l', &e->row->lease_id);
        if (e->there)
            rd_expect_bytes(b, k, RD_LEASE_STATE,
                            (struct kedge_bytes){ e->stamp != 0 ? "D" : "L", 1 });
        break;
    default:
        k = rd_key(b->a, b->prefix, e->row->kind == KIT_ROW_CELL ? 'v' : 'n', e->row->name);
        if (e->there)
            rd_expect_u64(b, k, 0, e->stamp);
    }
    if (!e->there)
        rd_expect_none(b, k);
}

/* ---------------------------------------------------------------------- writes */

void rd_write_begin(struct rd_build *b, const char *command, struct kedge_bytes k)
{
    key(b, k);
    b->write_at = b->s->args.n;
    b->n_patches = 0;
    arg_text(b, command);
    arg(b, nothing); /* counts, when it has ended */
    arg(b, nothing);
    b->n_writes++;
}

void rd_write_arg(struct rd_build *b, struct kedge_bytes v)
{
    arg(b, v);
}

/* FENCE belongs at AT of the argument added last, if it is one that is still to be issued. */
static void patch(struct rd_build *b, int32_t at, uint64_t fence)
{
    if (!KIT_IS_PLACE(fence))
        return;
    b->patches[b->n_patches].arg = (uint32_t)(b->s->args.n - b->write_at - 3);
    b->patches[b->n_patches].at = at;
    b->patches[b->n_patches].place = KIT_PLACE_INDEX(fence);
    b->n_patches++;
}

void rd_write_end(struct rd_build *b)
{
    struct rd_list *args = &b->s->args;
    size_t n = args->n - b->write_at - 3;
    size_t end;

    for (size_t i = 0; i < b->n_patches; i++) {
        arg_number(b, b->patches[i].arg);
        arg_number(b, b->patches[i].at);
        arg_number(b, b->patches[i].place);
    }
    end = args->n;
    arg_number(b, (int64_t)n);
    arg_number(b, (int64_t)b->n_patches);
    if (b->a->failed)
        return;
    args->items[b->write_at + 1] = args->items[end];
    args->items[b->write_at + 2] = args->items[end + 1];
    args->n = end;
}

/* A member of an index: ADD or take it away.  AT: where INCARNATION stands in it. */
static void write_member(struct rd_build *b, bool add, struct kedge_bytes index,
                         struct kedge_bytes member, int32_t at, uint64_t incarnation)
{
    rd_write_begin(b, add ? "ZADD" : "ZREM", index);
    if (add)
        arg_number(b, 0);
    arg(b, member);
    patch(b, at, incarnation);
    rd_write_end(b);
}

static uint64_t settled(uint64_t incarnation)
{
    return KIT_IS_PLACE(incarnation) ? 0 : incarnation;
}

static void write_timed(struct rd_build *b, bool add, struct kedge_bytes index, int64_t time,
                        const struct kedge_run *r)
{
    write_member(b, add, index, rd_timed(b->a, time, settled(r->incarnation), r->id), 8,
                 r->incarnation);
}

static void write_named(struct rd_build *b, bool add, struct kedge_bytes index,
                        const struct kedge_run *r)
{
    write_member(b, add, index, rd_member(b->a, '\0', settled(r->incarnation), r->id), 0,
                 r->incarnation);
}

/* A run in an index by time, as it was and as it is; time 0: not in it. */
static void move_timed(struct rd_build *b, struct kedge_bytes was_in, int64_t was,
                       struct kedge_bytes is_in, int64_t is, const struct kedge_run *r)
{
    if (was == is && (was == 0 || kit_bytes_equal(was_in, is_in)))
        return;
    if (was != 0)
        write_timed(b, false, was_in, was, r);
    if (is != 0)
        write_timed(b, true, is_in, is, r);
}

static void move_kind(struct rd_build *b, const struct kedge_run *o, struct kedge_bytes oc,
                      const struct kedge_run *n, struct kedge_bytes nc)
{
    struct kedge_bytes was = o == NULL ? nothing : rd_key_kind(b->a, b->prefix, oc, o->status);
    struct kedge_bytes is = n == NULL ? nothing : rd_key_kind(b->a, b->prefix, nc, n->status);

    if (o != NULL && n != NULL && kit_bytes_equal(was, is))
        return;
    if (o != NULL)
        write_named(b, false, was, o);
    if (n != NULL)
        write_named(b, true, is, n);
}

static void hold(struct rd_build *b, bool add, const struct kedge_run *r)
{
    if (!kit_id_zero(&r->holder))
        write_member(b, add, rd_key_lease(b->a, b->prefix, 'x', &r->holder),
                     rd_member(b->a, 'r', settled(r->incarnation), r->id), 1, r->incarnation);
}

static void move_held(struct rd_build *b, const struct kedge_run *o, const struct kedge_run *n)
{
    if (o != NULL && n != NULL && kit_id_equal(&o->holder, &n->holder))
        return;
    if (o != NULL)
        hold(b, false, o);
    if (n != NULL)
        hold(b, true, n);
}

static void move_kid(struct rd_build *b, const struct kedge_run *o, const struct kedge_run *n)
{
    const struct kedge_run *r = n != NULL ? n : o;

    if ((o == NULL || n == NULL) && r->parent.len != 0)
        write_named(b, n != NULL, rd_key_kids(b->a, b->prefix, r->parent_incarnation), r);
}

static struct kedge_bytes class_of(struct rd_build *b, const struct kedge_run *r)
{
    return r == NULL ? nothing : rd_class(b->a, r->queue, r->reactor, r->version);
}

static void enter_class(struct rd_build *b, struct kedge_bytes class_)
{
    rd_write_begin(b, "CLS", rd_key(b->a, b->prefix, 'C', nothing));
    key(b, rd_key(b->a, b->prefix, 'c', nothing));
    arg(b, class_);
    rd_write_end(b);
}

static void move_indexes(struct rd_build *b, const struct kedge_run *o, const struct kedge_run *n)
{
    const struct kedge_run *r = n != NULL ? n : o;
    struct kedge_bytes oc = class_of(b, o);
    struct kedge_bytes nc =
        o != NULL && n != NULL && kit_bytes_equal(o->queue, n->queue) ? oc : class_of(b, n);
    struct kedge_bytes over = rd_key(b->a, b->prefix, 'o', nothing);
    struct kedge_bytes expiry = rd_key(b->a, b->prefix, 'e', nothing);

    if (n != NULL && nc.data != oc.data)
        enter_class(b, nc);
    move_held(b, o, n);
    move_timed(b, rd_key(b->a, b->prefix, 'd', oc), o != NULL ? o->due : 0,
               rd_key(b->a, b->prefix, 'd', nc), n != NULL ? n->due : 0, r);
    move_timed(b, over, o != NULL ? o->hold_until : 0, over, n != NULL ? n->hold_until : 0, r);
    move_timed(b, expiry, o != NULL ? o->expires : 0, expiry, n != NULL ? n->expires : 0, r);
    move_kind(b, o, oc, n, nc);
    move_kid(b, o, n);
}

static void unlink_key(struct rd_build *b, struct kedge_bytes k)
{
    rd_write_begin(b, "UNLINK", k);
    rd_write_end(b);
}

/* Out of the way under a name that nothing else has, for purge. */
static void throw_away(struct rd_build *b, char letter, struct kedge_bytes id)
{
    unsigned char *name = rd_alloc(b->a, 17);

    if (name == NULL)
        return;
    name[0] = (unsigned char)letter;
    rd_unique(b->s, name + 1);
    rd_write_begin(b, "TRH", rd_key(b->a, b->prefix, letter, id));
    key(b, rd_key(b->a, b->prefix, 'w', (struct kedge_bytes){ name, 17 }));
    key(b, rd_key(b->a, b->prefix, 'W', nothing));
    arg(b, (struct kedge_bytes){ name, 17 });
    rd_write_end(b);
}

void rd_write_run(struct rd_build *b, const struct kit_run *old, const struct kit_run *run,
                  const struct kedge_bytes *unknown)
{
    move_indexes(b, old != NULL ? &old->r : NULL, run != NULL ? &run->r : NULL);
    if (run == NULL) {
        unlink_key(b, head_key(b, old->r.id));
        throw_away(b, 'j', old->r.id);
        throw_away(b, 's', old->r.id);
        throw_away(b, 'q', old->r.id);
        return;
    }
    rd_write_begin(b, "SET", head_key(b, run->r.id));
    arg(b, rd_head_encode(b->a, run, unknown != NULL ? *unknown : nothing));
    patch(b, RD_HEAD_FENCE, run->r.fence);
    patch(b, RD_HEAD_INCARNATION, run->r.incarnation);
    patch(b, RD_HEAD_LAST_FENCE, run->last.fence);
    patch(b, RD_HEAD_PREV_FENCE, run->prev.fence);
    rd_write_end(b);
}

/* A checksum (and what else is in FRONT) before a value. */
static struct kedge_bytes summed(struct rd_arena *a, size_t front, uint64_t seed,
                                 struct kedge_bytes value)
{
    unsigned char *p = rd_alloc(a, front + value.len);

    if (p == NULL)
        return nothing;
    rd_put_u64(p + front - 8, rd_sum(seed, value));
    if (value.len != 0)
        memcpy(p + front, value.data, value.len);
    return (struct kedge_bytes){ p, front + value.len };
}

#define RECORDS_AT_ONCE 500u /* a script has room for some thousands */

static void write_append(struct rd_build *b, const struct kit_write *w)
{
    struct kedge_bytes journal = rd_key(b->a, b->prefix, 'j', w->run_new->r.id);

    for (size_t i = 0; i < w->n; i++) {
        uint64_t number = w->number + i;
        struct kedge_bytes e = summed(b->a, RD_RECORD_SIZE, number, w->records[i]);
        unsigned char *p = (unsigned char *)(uintptr_t)e.data;

        if (p == NULL)
            return;
        p[RD_RECORD_FORMAT] = RD_FORMAT;
        memcpy(p + RD_RECORD_REQUEST, w->request.b, 16);
        rd_put_u64(p + RD_RECORD_TIME, (uint64_t)w->time);
        if (i % RECORDS_AT_ONCE == 0)
            rd_write_begin(b, "RPUSH", journal);
        arg(b, e);
        if (i % RECORDS_AT_ONCE == RECORDS_AT_ONCE - 1 || i + 1 == w->n)
            rd_write_end(b);
    }
}

static void write_slot(struct rd_build *b, const struct kit_write *w)
{
    rd_write_begin(b, "HSET", rd_key(b->a, b->prefix, 'q', w->row->of->name));
    if (w->kind == KIT_WRITE_SET) {
        arg(b, set_field(b->a, w->row->set));
        arg(b, two_u32(b->a, w->slots_new.total, w->slots_new.remaining));
    } else {
        arg(b, two_u32(b->a, w->row->set, w->index));
        arg(b, summed(b->a, 8, w->index, w->value));
    }
    rd_write_end(b);
}

/* Cells that expire, by time. */
static void expire(struct rd_build *b, bool add, struct kedge_bytes name,
                   const struct kit_cell *cell)
{
    if (cell != NULL && cell->expires != 0)
        write_member(b, add, rd_key(b->a, b->prefix, 'y', nothing),
                     rd_member(b->a, '\0', (uint64_t)cell->expires, name), 0, 0);
}

static void move_cell(struct rd_build *b, struct kedge_bytes name, const struct kit_cell *o,
                      const struct kit_cell *n)
{
    if (o != NULL && n != NULL && o->expires == n->expires)
        return;
    expire(b, false, name, o);
    expire(b, true, name, n);
}

static void write_cell(struct rd_build *b, const struct kit_write *w)
{
    struct kedge_bytes k = rd_key(b->a, b->prefix, 'v', w->row->name);

    move_cell(b, w->row->name, w->cell_old, w->kind == KIT_WRITE_CELL ? w->cell_new : NULL);
    if (w->kind != KIT_WRITE_CELL) {
        unlink_key(b, k);
        return;
    }
    rd_write_begin(b, "SET", k);
    arg(b, rd_cell_encode(b->a, w->cell_new));
    patch(b, 0, w->cell_new->version);
    rd_write_end(b);
}

static void hold_lock(struct rd_build *b, bool add, struct kedge_bytes name,
                      const struct kit_lock *lock)
{
    char *member = rd_alloc(b->a, name.len + 1);

    if (member == NULL)
        return;
    member[0] = 'k';
    memcpy(member + 1, name.data, name.len);
    write_member(b, add, rd_key_lease(b->a, b->prefix, 'x', &lock->lease),
                 (struct kedge_bytes){ member, name.len + 1 }, 0, 0);
}

void rd_write_lock_gone(struct rd_build *b, struct kedge_bytes name, const struct kit_lock *old)
{
    hold_lock(b, false, name, old);
    unlink_key(b, rd_key(b->a, b->prefix, 'n', name));
}

static void write_lock(struct rd_build *b, const struct kit_write *w)
{
    struct kedge_bytes name = w->row->name;

    if (w->kind != KIT_WRITE_LOCK) {
        rd_write_lock_gone(b, name, w->lock_old);
        return;
    }
    if (w->lock_old != NULL && !kit_id_equal(&w->lock_old->lease, &w->lock_new->lease))
        hold_lock(b, false, name, w->lock_old);
    hold_lock(b, true, name, w->lock_new);
    rd_write_begin(b, "SET", rd_key(b->a, b->prefix, 'n', name));
    arg(b, rd_lock_encode(b->a, w->lock_new));
    patch(b, 0, w->lock_new->fence);
    rd_write_end(b);
}

static void write_one(struct rd_build *b, const struct kit_write *w)
{
    switch (w->kind) {
    case KIT_WRITE_RUN:
        rd_write_run(b, w->run_old, w->run_new, w->run_old != NULL ? w->row->own : NULL);
        return;
    case KIT_WRITE_DROP:
        rd_write_run(b, w->run_old, NULL, NULL);
        return;
    case KIT_WRITE_APPEND:
        write_append(b, w);
        return;
    case KIT_WRITE_SNAPSHOT:
        rd_write_begin(b, "SET", rd_key(b->a, b->prefix, 's', w->run_new->r.id));
        arg(b, summed(b->a, 8, 0, w->value));
        rd_write_end(b);
        return;
    case KIT_WRITE_SET:
    case KIT_WRITE_SLOT:
        write_slot(b, w);
        return;
    case KIT_WRITE_CELL:
    case KIT_WRITE_CELL_GONE:
        write_cell(b, w);
        return;
    case KIT_WRITE_LOCK:
    case KIT_WRITE_LOCK_GONE:
        write_lock(b, w);
        return;
    default: /* KIT_WRITE_ATTENTION */
        rd_write_begin(b, "ATT", rd_key_lease(b->a, b->prefix, 'l', &w->row->lease_id));
        arg_number(b, (int64_t)w->number);
        rd_write_end(b);
    }
}

/* Does it need room, rather than give some back or merely change what is there? */
static bool grows(const struct kit_group *g)
{
    for (size_t i = 0; i < g->n_writes; i++) {
        uint32_t kind = g->writes[i].kind;

        if (kind == KIT_WRITE_APPEND || kind == KIT_WRITE_SNAPSHOT || kind == KIT_WRITE_SLOT ||
            kind == KIT_WRITE_CELL || (kind == KIT_WRITE_RUN && g->writes[i].run_old == NULL))
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------------- groups */

void rd_build_begin(struct rd_build *b, struct rd_session *s, size_t groups, size_t fences)
{
    const struct rd_hot *hot = s->hot;
    bool waits = hot != NULL && hot->n != 0 && !hot->sent;

    memset(b, 0, sizeof *b);
    b->s = s;
    b->a = &s->arena;
    b->prefix = s->store->params.prefix;
    s->keys.n = s->args.n = 0;
    key(b, rd_key(b->a, b->prefix, 'f', nothing));
    key(b, rd_key(b->a, b->prefix, 'z', nothing));
    key(b, rd_key(b->a, b->prefix, 't', nothing));
    arg_number(b, waits ? (int64_t)hot->n : 0);
    arg_number(b, (int64_t)groups);
    arg_number(b, (int64_t)fences);
    arg_number(b, waits ? (int64_t)hot->keys.n : 0);
    for (size_t i = 0; waits && i < hot->keys.n; i++)
        key(b, hot->keys.items[i]);
    for (size_t i = 0; waits && i < hot->args.n; i++)
        arg(b, hot->args.items[i]);
}

void rd_group_begin(struct rd_build *b)
{
    b->args_at = b->s->args.n;
    b->keys_at = b->s->keys.n;
    b->n_expects = b->n_writes = 0;
    for (int i = 0; i < 7; i++)
        arg(b, nothing); /* its front, when it has ended */
}

void rd_group_end(struct rd_build *b, int64_t from, int64_t to, bool needs_room, bool work)
{
    struct rd_list *args = &b->s->args;
    size_t end = args->n;

    arg_number(b, from < 0 ? 0 : from);
    arg_number(b, to < 0 ? 0 : to);
    arg_number(b, (needs_room ? 1 : 0) + (work ? 2 : 0));
    arg_number(b, (int64_t)(b->s->keys.n - b->keys_at));
    arg_number(b, (int64_t)(end - b->args_at) - 7);
    arg_number(b, (int64_t)b->n_expects);
    arg_number(b, (int64_t)b->n_writes);
    if (b->a->failed)
        return;
    memcpy(&args->items[b->args_at], &args->items[end], 7 * sizeof args->items[0]);
    args->n = end;
}

/* The appends that went along have been carried out, or not. */
static void hot_told(struct rd_hot *hot, int rc, const redisReply *results,
                     const struct kedge_error *err)
{
    hot->sent = true;
    hot->rc = rc;
    if (rc == KEDGE_OK && results->len == hot->n * RD_HOT_RESULT)
        memcpy(hot->results, results->str, results->len);
    else if (rc == KEDGE_OK)
        hot->rc = KEDGE_ERR_CORRUPT;
    if (hot->rc != KEDGE_OK)
        (void)snprintf(hot->why, sizeof hot->why, "%.*s", (int)sizeof hot->why - 1,
                       rc != KEDGE_OK ? err->msg : "Redis gave an answer that does not fit");
}

static bool right_answer(const redisReply *r, size_t groups)
{
    return r->type == REDIS_REPLY_ARRAY && r->elements == 4 &&
           r->element[0]->type == REDIS_REPLY_STRING && r->element[1]->type == REDIS_REPLY_STRING &&
           r->element[2]->type == REDIS_REPLY_STRING && r->element[2]->len == groups &&
           r->element[3]->type == REDIS_REPLY_STRING;
}

int rd_build_send(struct rd_build *b, size_t groups, const char **outcomes, uint64_t *base,
                  int64_t *now, int64_t deadline, struct kedge_error *err)
{
    struct rd_session *s = b->s;
    struct rd_hot *hot = s->hot != NULL && s->hot->n != 0 && !s->hot->sent ? s->hot : NULL;
    struct rd_cmd *cmd = &s->cmds[0];
    char *letters = rd_alloc(b->a, groups + 1);
    struct kedge_error local;
    redisReply *r = NULL;
    int rc;

    if (err == NULL)
        err = &local;
    rd_cmd_call(b->a, cmd, &s->store->scripts[RD_SCRIPT_COMMIT], &s->keys, &s->args);
    rc =
        b->a->failed ? rd_no_memory(err) : rd_call(&s->link, &cmd, 1, &r, RD_WRITES, deadline, err);
    if (rc == KEDGE_OK && !right_answer(r, groups))
        rc = rd_reply_fail(&s->store->params, r, err);
    if (hot != NULL)
        hot_told(hot, rc, rc == KEDGE_OK ? r->element[1] : NULL, err);
    if (rc == KEDGE_OK) {
        (void)rd_reply_time(r->element[0], now);
        rd_saw_time(s, *now);
        memcpy(letters, r->element[2]->str, groups);
        letters[groups] = '\0';
        *outcomes = letters;
        *base = strtoull(r->element[3]->str, NULL, 10);
    }
    rd_replies_free(&r, 1);
    return rc;
}

static int apply(void *ctx, struct kit_group *groups, size_t n, uint64_t *fences, size_t n_fences,
                 int64_t *now, int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = ctx;
    struct rd_build b;
    const char *outcomes = "";
    uint64_t base = 0;
    int rc;

    rd_build_begin(&b, s, n, n_fences);
    for (size_t i = 0; i < n; i++) {
        rd_group_begin(&b);
        for (size_t k = 0; k < groups[i].n_expects; k++)
            expect(&b, &groups[i].expects[k]);
        for (size_t k = 0; k < groups[i].n_writes; k++)
            write_one(&b, &groups[i].writes[k]);
        rd_group_end(&b, groups[i].from, groups[i].to, grows(&groups[i]), groups[i].work);
    }
    rc = rd_build_send(&b, n, &outcomes, &base, now, rd_deadline(timeout_us), err);
    if (rc != KEDGE_OK)
        return rc;
    for (size_t i = 0; i < n_fences; i++)
        fences[i] = base + 1 + i;
    for (size_t i = 0; i < n; i++) {
        groups[i].applied = outcomes[i] == '1';
        groups[i].failed =
            outcomes[i] == 'F' ? KEDGE_ERR_FULL : (outcomes[i] == 'C' ? KEDGE_ERR_CORRUPT : 0);
    }
    return KEDGE_OK;
}

/* ---------------------------------------------------------------------- looking */

void rd_look_begin(struct rd_session *s)
{
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

/* Appends that wait go first, in the same write. */
static void add_hot(struct rd_session *s)
{
    struct rd_build b;
    struct rd_list keys = s->keys;
    struct rd_list args = s->args;

    memset(&s->keys, 0, sizeof s->keys);
    memset(&s->args, 0, sizeof s->args);
    rd_build_begin(&b, s, 0, 0);
    rd_cmd_call(&s->arena, &s->cmds[1], &s->store->scripts[RD_SCRIPT_COMMIT], &s->keys, &s->args);
    rd_list_free(&s->keys);
    rd_list_free(&s->args);
    s->keys = keys;
    s->args = args;
}

static void hot_along(struct rd_session *s, int rc, const redisReply *r, struct kedge_error *err)
{
    struct kedge_error why = *err;

    if (rc == KEDGE_OK && !right_answer(r, 0))
        rc = rd_reply_fail(&s->store->params, r, &why);
    hot_told(s->hot, rc, rc == KEDGE_OK ? r->element[1] : NULL, &why);
}

int rd_look_send(struct rd_session *s, size_t n, redisReply **reply, int64_t *now, int64_t deadline,
                 struct kedge_error *err)
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
        add_hot(s);
        cmds[0] = &s->cmds[1];
        cmds[1] = &s->cmds[0];
    }
    rc = s->arena.failed
             ? rd_no_memory(err)
             : rd_call(&s->link, cmds, hot ? 2 : 1, r, hot ? RD_WRITES : RD_READS, deadline, err);
    if (hot)
        hot_along(s, rc, r[0], err);
    if (rc == KEDGE_ERR_UNKNOWN) /* that was the appends; a look changes nothing */
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
                    row->kind == KIT_ROW_SET ? set_field(a, row->set)
                                             : two_u32(a, row->set, row->index));
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

static int look(void *ctx, struct kit_row *const *rows, size_t n, int64_t *now, int64_t timeout_us,
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
    rc = rd_look_send(s, elements, &r, now, rd_deadline(timeout_us), err);
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

/* ------------------------------------------------------------------ what was seen */

#define CACHE_SIZE 1024u

/* One allocation: the run, then the bytes it points to. */
struct rd_cache {
    struct seen {
        struct kit_run run;
        size_t size;
    } * slots[CACHE_SIZE];
};

static struct seen **cache_slot(struct rd_session *s, struct kedge_bytes id)
{
    return &s->cache->slots[kit_hash64(id) % CACHE_SIZE];
}

static struct seen *cache_get(struct rd_session *s, struct kedge_bytes id)
{
    struct seen *seen = s->cache == NULL ? NULL : *cache_slot(s, id);

    return seen != NULL && kit_bytes_equal(seen->run.r.id, id) ? seen : NULL;
}

void rd_cache_drop(struct rd_session *s, struct kedge_bytes id)
{
    struct seen *seen = cache_get(s, id);

    if (seen != NULL) {
        *cache_slot(s, id) = NULL;
        free(seen);
    }
}

static void place_bytes(struct kedge_bytes *b, unsigned char **to)
{
    if (b->len != 0)
        memcpy(*to, b->data, b->len);
    b->data = *to;
    *to += b->len;
}

void rd_cache_put(struct rd_session *s, const struct kit_run *run)
{
    const struct kedge_run *r = &run->r;
    size_t size =
        r->id.len + r->reactor.len + r->queue.len + r->context.len + r->parent.len + r->root.len;
    struct seen *seen;
    unsigned char *to;
    struct seen **slot;

    if (s->cache == NULL)
        s->cache = calloc(1, sizeof *s->cache);
    if (s->cache == NULL)
        return;
    slot = cache_slot(s, r->id);
    seen = malloc(sizeof *seen + size);
    if (seen != NULL) {
        seen->run = *run;
        seen->size = size;
        to = (unsigned char *)(seen + 1);
        place_bytes(&seen->run.r.id, &to);
        place_bytes(&seen->run.r.reactor, &to);
        place_bytes(&seen->run.r.queue, &to);
        place_bytes(&seen->run.r.context, &to);
        place_bytes(&seen->run.r.parent, &to);
        place_bytes(&seen->run.r.root, &to);
    }
    free(*slot);
    *slot = seen;
}

void rd_cache_advance(struct rd_session *s, struct kedge_bytes id, uint64_t fence,
                      uint64_t position)
{
    struct seen *seen = cache_get(s, id);

    if (seen != NULL && seen->run.r.fence == fence)
        kit_run_load(&seen->run, position);
}

void rd_cache_free(struct rd_session *s)
{
    for (size_t i = 0; s->cache != NULL && i < CACHE_SIZE; i++)
        free(s->cache->slots[i]);
    free(s->cache);
    s->cache = NULL;
}

static bool recall(void *ctx, struct kit_row *row)
{
    struct rd_session *s = ctx;
    struct kedge_mem **mem = kit_remote_mem(s->remote);
    const struct seen *seen = row->kind == KIT_ROW_RUN ? cache_get(s, row->name) : NULL;
    struct kit_run *run;

    if (seen == NULL)
        return false;
    run = kedge_mem_alloc(s->host, mem, sizeof *run);
    if (run == NULL)
        return false;
    *run = seen->run;
    if (!kit_copy_run(s->host, mem, &seen->run.r, &run->r))
        return false;
    row->run = run;
    row->there = true;
    row->own = NULL;
    return true;
}

static bool guess_now(void *ctx, int64_t *wall)
{
    const struct rd_session *s = ctx;

    return kit_moment_guess(&s->store->moment, rd_mono_us(), wall);
}

static void learn(void *ctx, const struct kit_row *row)
{
    if (row->own == NULL) /* what has fields we do not know is read each time */
        rd_cache_put(ctx, row->run);
}

static void forget(void *ctx, const struct kit_row *row)
{
    if (row->kind == KIT_ROW_RUN)
        rd_cache_drop(ctx, row->name);
}

const struct kit_remote_ops rd_remote_ops = {
    .recall = recall,
    .guess_now = guess_now,
    .look = look,
    .apply = apply,
    .learn = learn,
    .forget = forget,
};
