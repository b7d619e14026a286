/*
 * build.c - groups of expectations and writes as one call of the script `commit'
 */
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

static void expect_set(struct rd_build *b, const struct kit_expect *e)
{
    key(b, rd_key(b->a, b->prefix, 'q', e->row->of->name));
    arg_text(b, e->there ? "h" : "H");
    arg(b, rd_set_field(b->a, e->row->set));
    if (e->there)
        arg(b, rd_two_u32(b->a, e->row->slots.total, (uint32_t)e->stamp));
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

    if ((o == NULL) != (n == NULL) && r->parent.len != 0)
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

/* keys.h, I5. */
static void change_grip(struct rd_build *b, const struct kedge_id128 *lease)
{
    unsigned char *grip = rd_alloc(b->a, 16);

    if (grip == NULL)
        return;
    rd_unique(b->s, grip);
    rd_write_begin(b, "GRP", rd_key_lease(b->a, b->prefix, 'l', lease));
    arg(b, (struct kedge_bytes){ grip, 16 });
    rd_write_end(b);
}

void rd_write_run(struct rd_build *b, const struct kit_run *old, const struct kit_run *run,
                  const struct kedge_bytes *unknown)
{
    if (old != NULL && !kit_id_zero(&old->r.holder))
        change_grip(b, &old->r.holder);
    if (run != NULL && !kit_id_zero(&run->r.holder) &&
        (old == NULL || !kit_id_equal(&old->r.holder, &run->r.holder)))
        change_grip(b, &run->r.holder);
    move_indexes(b, old != NULL ? &old->r : NULL, run != NULL ? &run->r : NULL);
    if (run == NULL) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): one of both is there */
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
        arg(b, rd_set_field(b->a, w->row->set));
        arg(b, rd_two_u32(b->a, w->slots_new.total, w->slots_new.remaining));
    } else {
        arg(b, rd_two_u32(b->a, w->row->set, w->index));
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
    bool grip = waits || !kit_id_zero(&s->grip.lease);

    s->grip.asked = s->grip.epoch;
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
    arg_number(b, waits ? (int64_t)hot->keys.n + 1 : grip);
    if (grip) {
        key(b, rd_key_lease(b->a, b->prefix, 'l', &s->grip.lease));
        arg(b, (struct kedge_bytes){ s->grip.value, s->grip.known ? sizeof s->grip.value : 0 });
    }
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

/* A letter for each, and for one whose head was not known what it is answered by. */
static bool read_results(struct rd_hot *hot, const char *at, size_t len)
{
    for (size_t i = 0; i < hot->n; i++) {
        struct rd_hot_item *item = &hot->items[i];
        size_t rest = RD_HEAD_FRONT - RD_HEAD_REVISION;

        if (len == 0)
            return false;
        item->done = *at == '1';
        at++;
        len--;
        if (!item->done || item->known == RD_HEAD_FRONT)
            continue;
        if (len < rest)
            return false;
        memcpy(item->front + RD_HEAD_REVISION, at, rest);
        at += rest;
        len -= rest;
    }
    return len == 0;
}

/* The appends that went along have been carried out, or not. */
static void hot_told(const struct rd_session *s, struct rd_hot *hot, int rc,
                     const redisReply *results, const struct kedge_error *err)
{
    hot->sent = true;
    hot->rc = rc;
    hot->epoch = s->grip.epoch;
    if (rc == KEDGE_OK && (results == NULL || !read_results(hot, results->str, results->len)))
        hot->rc = KEDGE_ERR_CORRUPT;
    if (hot->rc != KEDGE_OK)
        (void)snprintf(hot->why, sizeof hot->why, "%.*s", (int)sizeof hot->why - 1,
                       rc != KEDGE_OK ? err->msg : "Redis gave an answer that does not fit");
}

static bool right_answer(const redisReply *r, size_t groups)
{
    return r->type == REDIS_REPLY_ARRAY && r->elements == 5 &&
           r->element[0]->type == REDIS_REPLY_STRING && r->element[1]->type == REDIS_REPLY_STRING &&
           r->element[2]->type == REDIS_REPLY_STRING && r->element[2]->len == groups &&
           r->element[3]->type == REDIS_REPLY_STRING && r->element[4]->type == REDIS_REPLY_STRING;
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
    int rc = KEDGE_ERR_NOMEM;

    if (err == NULL)
        err = &local;
    rd_cmd_call(b->a, cmd, &s->store->scripts[RD_SCRIPT_COMMIT], &s->keys, &s->args);
    if (b->a->failed)
        (void)rd_no_memory(err);
    else
        rc = rd_call(&s->link, &cmd, 1, &r, RD_WRITES, deadline, err);
    if (rc == KEDGE_OK && !right_answer(r, groups))
        rc = rd_reply_fail(&s->store->params, r, err);
    if (rc == KEDGE_OK)
        rd_grip_told(s, r->element[4]);
    if (hot != NULL)
        hot_told(s, hot, rc, rc == KEDGE_OK ? r->element[1] : NULL, err);
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

int rd_apply(void *ctx, struct kit_group *groups, size_t n, uint64_t *fences, size_t n_fences,
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

/* Appends that wait, as a command of their own: s->cmds[1]. */
void rd_hot_command(struct rd_session *s)
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

void rd_hot_answer(struct rd_session *s, int rc, const redisReply *r, struct kedge_error *err)
{
    struct kedge_error why = *err;

    if (rc == KEDGE_OK && !right_answer(r, 0))
        rc = rd_reply_fail(&s->store->params, r, &why);
    if (rc == KEDGE_OK)
        rd_grip_told(s, r->element[4]);
    hot_told(s, s->hot, rc, rc == KEDGE_OK ? r->element[1] : NULL, &why);
}
