/*
 * lists.c - many runs: by filter in the order of creation, and those that must be swept
 *
 *   I1  A page is a merge of a few ordered streams, each the front of one set; what a list does not
 *       ask for is not read.  Order of creation is the order of incarnations.
 *   I2  Streams are read at one moment, and merged only up to where each of them is known.  So a
 * run that moves from one to another between two moments is not missed: it is behind the place
 *       reached, or in front of it and was seen.
 *   I3  A cursor is a place in that order, not a row.
 *   I4  The cost of list_expired grows with the leases and what is listed, not with healthy runs.
 */
#include <config.h>

#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct kedge_bytes nothing;

#define ROUNDS_MOST 16u

/* A run that a stream names. */
struct named {
    int64_t since; /* list_expired: first part of the order */
    uint64_t inc;
    struct kedge_bytes id; /* in the arena */
    uint32_t reason;
};

struct page {
    struct rd_session *s;
    struct kedge_run_page out;
    size_t limit;
    int64_t deadline;
    int64_t now;
    bool newest;
    struct named *list;
    size_t n;
};

static struct kedge_bytes text_number(struct rd_arena *a, uint64_t n)
{
    char *p = rd_alloc(a, 24);

    if (p == NULL)
        return nothing;
    return (struct kedge_bytes){ p, (size_t)snprintf(p, 24, "%" PRIu64, n) };
}

static struct kedge_bytes copy_in(struct rd_arena *a, struct kedge_bytes b)
{
    char *p = rd_alloc(a, b.len);

    if (p == NULL)
        return nothing;
    memcpy(p, b.data, b.len);
    return (struct kedge_bytes){ p, b.len };
}

static int by_place(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;

    if (x->since != y->since)
        return x->since < y->since ? -1 : 1;
    return (x->inc > y->inc) - (x->inc < y->inc);
}

static int by_place_back(const void *a, const void *b)
{
    return by_place(b, a);
}

/* What cannot be understood is shown as stuck, with what could be read of it. */
static int add_run(struct page *p, const struct named *m, const struct kit_run *run)
{
    struct kedge_run shown;

    if (run != NULL) {
        shown = run->r;
    } else {
        memset(&shown, 0, sizeof shown);
        shown.id = m->id;
        shown.incarnation = m->inc;
        shown.status = KEDGE_STUCK;
        shown.place = KEDGE_PLACE_REST;
    }
    if (!kit_copy_run(p->s->host, &p->out.mem, &shown, &p->out.runs[p->out.n]))
        return KEDGE_ERR_NOMEM;
    if (p->out.reasons != NULL)
        p->out.reasons[p->out.n] = m->reason;
    p->out.n++;
    return KEDGE_OK;
}

static int salvage(struct page *p, const struct named *m, const redisReply *head)
{
    struct kit_run run;

    if (head->type != REDIS_REPLY_STRING)
        return add_run(p, m, NULL);
    rd_head_salvage(rd_reply_bytes(head), &run);
    if (run.r.id.len == 0)
        run.r.id = m->id;
    run.r.incarnation = m->inc;
    run.r.status = KEDGE_STUCK;
    run.r.place = KEDGE_PLACE_REST;
    return add_run(p, m, &run);
}

/*
 * Heads of LIST, N of them; those that FITS lets through are added.  One that is gone, or is
 * another run by now, is left out.
 */
static int add_heads(struct page *p, const struct named *list, size_t n,
                     bool (*fits)(void *ctx, const struct kit_run *run, int64_t now), void *ctx,
                     struct kedge_error *err)
{
    struct rd_session *s = p->s;
    redisReply *r = NULL;
    int64_t now;
    int rc;

    if (n == 0)
        return KEDGE_OK;
    rd_look_begin(s);
    for (size_t i = 0; i < n; i++)
        rd_look_run(s, list[i].id);
    rc = rd_look_send(s, 2 * n, &r, &now, p->deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    for (size_t i = 0; i < n && rc == KEDGE_OK; i++) {
        struct kit_run run;

        rc = rd_run_read(r->element[1 + 2 * i], r->element[2 + 2 * i], &run, NULL);
        if (rc == KEDGE_ERR_CORRUPT)
            rc = salvage(p, &list[i], r->element[1 + 2 * i]);
        else if (rc == KEDGE_OK && run.r.incarnation == list[i].inc && fits(ctx, &run, now))
            rc = add_run(p, &list[i], &run);
        else if (rc == KEDGE_NOT_FOUND)
            rc = KEDGE_OK;
    }
    freeReplyObject(r);
    return rd_say(s, rc, "the list", err);
}

/* --------------------------------------------------------------------- list */

struct filter {
    const struct kedge_list *in;
    uint32_t statuses;
    struct kedge_bytes *streams; /* keys */
    size_t n;
    size_t room;
};

static bool served(const struct filter *f, struct kedge_bytes queue, struct kedge_bytes reactor,
                   uint32_t version)
{
    struct kedge_run run = { .queue = queue, .reactor = reactor, .version = version };

    return kit_served(&run, f->in->serves, f->in->n_serves);
}

static bool add_stream(struct rd_session *s, struct filter *f, struct kedge_bytes key)
{
    if (f->n == f->room) {
        size_t room = f->room == 0 ? 32 : f->room * 2;
        struct kedge_bytes *streams = rd_alloc(&s->arena, room * sizeof *streams);

        if (streams == NULL)
            return false;
        if (f->n != 0)
            memcpy(streams, f->streams, f->n * sizeof *streams);
        f->streams = streams;
        f->room = room;
    }
    f->streams[f->n++] = key;
    return key.data != NULL;
}

/* One stream for each class and status that the filter wants. */
static bool class_streams(struct rd_session *s, struct filter *f, struct kedge_bytes class_)
{
    struct kedge_bytes queue;
    struct kedge_bytes reactor;
    uint32_t version;

    if (!rd_class_read(class_, &queue, &reactor, &version) ||
        (f->in->reactor.len != 0 && !kit_bytes_equal(reactor, f->in->reactor)) ||
        (f->in->unserved != 0 && served(f, queue, reactor, version)))
        return true;
    for (uint32_t status = KEDGE_PENDING; status <= KEDGE_ABORTED; status++)
        if ((f->statuses & KEDGE_STATUS_BIT(status)) != 0 &&
            !add_stream(s, f, rd_key_kind(&s->arena, s->store->params.prefix, class_, status)))
            return false;
    return true;
}

static int all_streams(struct page *p, struct filter *f, struct kedge_error *err)
{
    struct rd_session *s = p->s;
    struct kedge_bytes range[2] = { { "0", 1 }, { "-1", 2 } };
    redisReply *r = NULL;
    int rc;

    rd_look_begin(s);
    rd_look_command(s, "ZRANGE", rd_key(&s->arena, s->store->params.prefix, 'C', nothing), range,
                    2);
    rc = rd_look_send(s, 1, &r, &p->now, p->deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    for (size_t i = 0; i < r->element[1]->elements && rc == KEDGE_OK; i++)
        if (!class_streams(s, f, rd_reply_bytes(r->element[1]->element[i])))
            rc = rd_no_memory(err);
    freeReplyObject(r);
    return rc;
}

static int parent_stream(struct page *p, struct filter *f, struct kedge_error *err)
{
    struct rd_session *s = p->s;
    uint64_t inc = f->in->parent_incarnation;
    struct kit_run parent;
    redisReply *r = NULL;
    bool gone;
    int rc;

    if (inc == 0) {
        rd_look_begin(s);
        rd_look_run(s, f->in->parent);
        rc = rd_look_send(s, 2, &r, &p->now, p->deadline, err);
        if (rc != KEDGE_OK)
            return rc;
        rc = rd_run_read(r->element[1], r->element[2], &parent, NULL);
        inc = rc == KEDGE_OK ? parent.r.incarnation : 0;
        gone = rc == KEDGE_OK && kit_run_expired(&parent, p->now);
        freeReplyObject(r);
        if (rc == KEDGE_NOT_FOUND || gone)
            return KEDGE_OK;
        if (rc != KEDGE_OK)
            return rd_say(s, rc, "the parent", err);
    }
    return add_stream(s, f, rd_key_kids(&s->arena, s->store->params.prefix, inc))
               ? KEDGE_OK
               : rd_no_memory(err);
}

static bool fits(void *ctx, const struct kit_run *run, int64_t now)
{
    const struct filter *f = ctx;
    const struct kedge_run *r = &run->r;

    if (kit_run_expired(run, now) || (f->statuses & KEDGE_STATUS_BIT(r->status)) == 0)
        return false;
    if (f->in->unserved != 0 &&
        (r->place != KEDGE_PLACE_DUE || served(f, r->queue, r->reactor, r->version)))
        return false;
    if (f->in->reactor.len != 0 && !kit_bytes_equal(r->reactor, f->in->reactor))
        return false;
    return f->in->parent.len == 0 || kit_bytes_equal(r->parent, f->in->parent);
}

/* Members of one stream; *bound is lowered (newest first: raised) to where it is known. */
static bool take_stream(struct page *p, const redisReply *part, size_t asked, uint64_t *bound,
                        bool *bounded)
{
    size_t n = part->type == REDIS_REPLY_ARRAY ? part->elements : 0;

    for (size_t i = 0; i < n; i++) {
        struct named *m = &p->list[p->n];
        struct kedge_bytes b = rd_reply_bytes(part->element[i]);

        if (b.len < 9)
            continue;
        m->since = 0;
        m->reason = 0;
        m->inc = rd_get_u64(b.data);
        m->id = copy_in(&p->s->arena, (struct kedge_bytes){ (const char *)b.data + 8, b.len - 8 });
        if (m->id.data == NULL)
            return false;
        p->n++;
    }
    if (n == asked && p->n != 0) {
        uint64_t last = p->list[p->n - 1].inc;

        if (!*bounded || (p->newest ? last > *bound : last < *bound))
            *bound = last;
        *bounded = true;
    }
    return true;
}

static void ask_streams(struct page *p, const struct filter *f, uint64_t from, size_t asked)
{
    struct rd_arena *a = &p->s->arena;
    struct kedge_bytes args[5] = {
        rd_edge(a, '[', from), { "+", 1 }, { "LIMIT", 5 }, { "0", 1 }, text_number(a, asked)
    };

    if (p->newest) { /* from before the next incarnation, back */
        args[0] = from == UINT64_MAX ? (struct kedge_bytes){ "+", 1 } : rd_edge(a, '(', from + 1);
        args[1] = (struct kedge_bytes){ "-", 1 };
    }
    rd_look_begin(p->s);
    for (size_t i = 0; i < f->n; i++)
        rd_look_command(p->s, p->newest ? "ZREVRANGEBYLEX" : "ZRANGEBYLEX", f->streams[i], args, 5);
}

/* How much of the list is in order for sure, at most LIMIT; *next: where to go on, 0: done. */
static size_t known(const struct page *p, size_t limit, bool bounded, uint64_t bound,
                    uint64_t *next)
{
    size_t n = 0;

    while (n < p->n &&
           (!bounded || (p->newest ? p->list[n].inc >= bound : p->list[n].inc <= bound)))
        n++;
    *next = bounded ? (p->newest ? bound - 1 : bound + 1) : 0;
    if (n > limit) {
        n = limit;
        *next = p->list[n].inc;
    }
    return n;
}

/* Read all streams from FROM on and put what is known in order. */
static int read_round(struct page *p, const struct filter *f, uint64_t from, uint64_t *next,
                      struct kedge_error *err)
{
    struct rd_session *s = p->s;
    size_t wanted = p->limit - p->out.n + 1;
    size_t asked = f->n <= 4 ? wanted : wanted * 4 / f->n + 4;
    redisReply *r = NULL;
    uint64_t bound = 0;
    bool bounded = false;
    size_t all = 0;
    int rc;

    ask_streams(p, f, from, asked);
    rc = rd_look_send(s, f->n, &r, &p->now, p->deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    for (size_t i = 0; i < f->n; i++)
        all += r->element[1 + i]->type == REDIS_REPLY_ARRAY ? r->element[1 + i]->elements : 0;
    p->n = 0;
    p->list = rd_alloc(&s->arena, (all + 1) * sizeof *p->list);
    for (size_t i = 0; i < f->n && rc == KEDGE_OK; i++)
        if (p->list == NULL || !take_stream(p, r->element[1 + i], asked, &bound, &bounded))
            rc = rd_no_memory(err);
    freeReplyObject(r);
    if (rc != KEDGE_OK)
        return rc;
    qsort(p->list, p->n, sizeof *p->list, p->newest ? by_place_back : by_place);
    p->n = known(p, wanted - 1, bounded, bound, next);
    return KEDGE_OK;
}

static int list_page(struct page *p, struct filter *f, uint64_t from, struct kedge_error *err)
{
    uint64_t next = from;
    struct kedge_bytes cursor;
    int rc = KEDGE_OK;

    if (f->n == 0)
        return KEDGE_OK;
    for (unsigned i = 0; i < ROUNDS_MOST && rc == KEDGE_OK && next != 0 && p->out.n < p->limit;
         i++) {
        rc = read_round(p, f, next, &next, err);
        if (rc == KEDGE_OK)
            rc = add_heads(p, p->list, p->n, fits, f, err);
    }
    if (rc != KEDGE_OK || next == 0)
        return rc;
    cursor = rd_u64_bytes(&p->s->arena, next);
    return cursor.data != NULL && kit_copy(p->s->host, &p->out.mem, cursor, &p->out.next)
               ? KEDGE_OK
               : rd_no_memory(err);
}

int rd_list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
            int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    struct page p = { .s = s,
                      .deadline = rd_deadline(timeout_us),
                      .newest = in->newest_first != 0 };
    struct filter f = { .in = in };
    uint64_t from = p.newest ? UINT64_MAX : 1;
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_list(&rd_limits, in, err);
    if (rc == KEDGE_OK && in->cursor.len != 0 && in->cursor.len != 8)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "the cursor is not one that this list handed out");
    if (rc != KEDGE_OK)
        return rc;
    p.limit = in->limit;
    if (in->cursor.len != 0)
        from = rd_get_u64(in->cursor.data);
    f.statuses = in->statuses == 0 ? KEDGE_STATUSES_ALL : in->statuses;
    if (in->unserved != 0)
        f.statuses &= KEDGE_STATUSES_UNFINISHED;
    p.out.runs = kedge_mem_alloc(s->host, &p.out.mem, in->limit * sizeof *p.out.runs);
    rc = p.out.runs == NULL
             ? rd_no_memory(err)
             : (in->parent.len != 0 ? parent_stream(&p, &f, err) : all_streams(&p, &f, err));
    if (rc == KEDGE_OK)
        rc = list_page(&p, &f, from, err);
    if (rc == KEDGE_OK)
        *out = p.out;
    else
        kedge_mem_free(s->host, p.out.mem);
    return rc;
}

/* ------------------------------------------------------------- list_expired */

struct expired {
    struct page p;
    int64_t from_since;
    uint64_t from_inc;
    struct kedge_id128 *ids;
    struct kit_lease *leases; /* of ids; state 0: it has no record */
    size_t n_ids;
    struct kedge_mem *mem;
    size_t room;
    redisReply *records;
    bool bounded; /* what is behind `bound' is not known yet */
    struct named bound;
};

static const struct kit_lease *lease_of(const struct expired *x, const struct kedge_id128 *id)
{
    for (size_t i = 0; i < x->n_ids; i++)
        if (kit_id_equal(&x->ids[i], id))
            return x->leases[i].l.state != 0 ? &x->leases[i] : NULL;
    return NULL;
}

static int read_fleet(struct expired *x, struct kedge_error *err)
{
    struct rd_session *s = x->p.s;
    struct rd_arena *a = &s->arena;
    struct kedge_bytes range[2] = { { "0", 1 }, { "-1", 2 } };
    redisReply *r = NULL;
    int rc;

    rd_look_begin(s);
    rd_look_command(s, "ZRANGE", rd_key(a, s->store->params.prefix, 'L', nothing), range, 2);
    rc = rd_look_send(s, 1, &r, &x->p.now, x->p.deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    x->ids = rd_alloc(a, r->element[1]->elements * sizeof *x->ids);
    x->leases = rd_alloc(a, r->element[1]->elements * sizeof *x->leases);
    for (size_t i = 0; x->ids != NULL && x->leases != NULL && i < r->element[1]->elements; i++)
        if (r->element[1]->element[i]->len == 16)
            memcpy(x->ids[x->n_ids++].b, r->element[1]->element[i]->str, 16);
    freeReplyObject(r);
    if (x->ids == NULL || x->leases == NULL)
        return rd_no_memory(err);
    rd_look_begin(s);
    for (size_t i = 0; i < x->n_ids; i++)
        rd_look_string(s, rd_key_lease(a, s->store->params.prefix, 'l', &x->ids[i]));
    rc = rd_look_send(s, x->n_ids, &x->records, &x->p.now, x->p.deadline, err);
    for (size_t i = 0; rc == KEDGE_OK && i < x->n_ids; i++) {
        rc = rd_lease_read(s, &x->mem, &x->ids[i], x->records->element[1 + i], &x->leases[i]);
        if (rc == KEDGE_NOT_FOUND || rc == KEDGE_ERR_CORRUPT) {
            memset(&x->leases[i], 0, sizeof x->leases[i]);
            rc = KEDGE_OK;
        }
        rc = rd_say(s, rc, "a lease", err);
    }
    return rc;
}

/* Since when the runs of lease I are to be swept, and why; false: it is healthy. */
static bool unhealthy(const struct expired *x, size_t i, int64_t *since, uint32_t *reason)
{
    struct kit_run held = { .r = { .place = KEDGE_PLACE_HELD } };
    const struct kit_lease *lease = x->leases[i].l.state != 0 ? &x->leases[i] : NULL;

    *reason = kit_run_sweep(&held, lease, x->p.now, x->p.now);
    if (*reason == 0)
        return false;
    *since = kit_run_sweep_since(&held, lease, *reason, 0);
    return *since >= x->from_since;
}

static bool grow_list(struct expired *x, size_t more)
{
    struct page *p = &x->p;
    struct named *list;

    if (p->n + more <= x->room)
        return true;
    x->room = (p->n + more) * 2;
    list = rd_alloc(&p->s->arena, x->room * sizeof *list);
    if (list == NULL)
        return false;
    if (p->n != 0)
        memcpy(list, p->list, p->n * sizeof *list);
    p->list = list;
    return true;
}

static bool add_named(struct expired *x, int64_t since, uint64_t inc, struct kedge_bytes id,
                      uint32_t reason)
{
    struct page *p = &x->p;

    id = copy_in(&p->s->arena, id);
    if (id.data == NULL)
        return false;
    p->list[p->n++] = (struct named){ since, inc, id, reason };
    return true;
}

/* Runs of lease I at or after the place, at most LIMIT + 1. */
static void ask_lease(struct expired *x, int64_t since, size_t i)
{
    struct rd_session *s = x->p.s;
    struct rd_arena *a = &s->arena;
    struct kedge_bytes from = rd_member(a, 'r', since == x->from_since ? x->from_inc : 0, nothing);
    struct kedge_bytes args[5] = {
        nothing, { "(s", 2 }, { "LIMIT", 5 }, { "0", 1 }, text_number(a, x->p.limit + 1)
    };
    char *edge = rd_alloc(a, from.len + 1);

    if (edge == NULL || from.data == NULL)
        return;
    edge[0] = '[';
    memcpy(edge + 1, from.data, from.len);
    args[0] = (struct kedge_bytes){ edge, from.len + 1 };
    rd_look_command(s, "ZRANGEBYLEX", rd_key_lease(a, s->store->params.prefix, 'x', &x->ids[i]),
                    args, 5);
}

static void ask_over(struct expired *x)
{
    struct rd_session *s = x->p.s;
    struct rd_arena *a = &s->arena;
    uint64_t since = x->from_since > 0 ? (uint64_t)x->from_since : 0;
    struct kedge_bytes args[5] = { rd_edge2(a, '[', since, x->from_since > 0 ? x->from_inc : 0),
                                   rd_edge(a, '(', x->p.now > 0 ? (uint64_t)x->p.now + 1 : 1),
                                   { "LIMIT", 5 },
                                   { "0", 1 },
                                   text_number(a, 2 * x->p.limit + 2) };

    rd_look_command(s, "ZRANGEBYLEX", rd_key(a, s->store->params.prefix, 'o', nothing), args, 5);
}

/* A stream of which only the front was read ends with member LAST of the list. */
static void bound_here(struct expired *x)
{
    const struct named *last = &x->p.list[x->p.n - 1];

    if (!x->bounded || by_place(last, &x->bound) < 0)
        x->bound = *last;
    x->bounded = true;
}

static bool take_lease(struct expired *x, const redisReply *part, int64_t since, uint32_t reason)
{
    if (part->type != REDIS_REPLY_ARRAY)
        return true;
    if (!grow_list(x, part->elements))
        return false;
    for (size_t i = 0; i < part->elements; i++) {
        const redisReply *m = part->element[i];

        if (m->len > 9 && !add_named(x, since, rd_get_u64(m->str + 1),
                                     (struct kedge_bytes){ m->str + 9, m->len - 9 }, reason))
            return false;
    }
    if (part->elements > x->p.limit)
        bound_here(x);
    return true;
}

static bool take_over(struct expired *x, const redisReply *part)
{
    if (part->type != REDIS_REPLY_ARRAY)
        return true;
    if (!grow_list(x, part->elements))
        return false;
    for (size_t i = 0; i < part->elements; i++) {
        const redisReply *m = part->element[i];

        if (m->len > 16 &&
            !add_named(x, (int64_t)rd_get_u64(m->str), rd_get_u64(m->str + 8),
                       (struct kedge_bytes){ m->str + 16, m->len - 16 }, KEDGE_SWEEP_OVERDUE))
            return false;
    }
    if (part->elements == 2 * x->p.limit + 2 && x->p.n != 0)
        bound_here(x);
    return true;
}

static int read_streams(struct expired *x, struct kedge_error *err)
{
    struct rd_session *s = x->p.s;
    redisReply *r = NULL;
    size_t at = 1;
    size_t n = 1;
    int64_t now;
    int64_t since;
    uint32_t reason;
    int rc;

    rd_look_begin(s);
    ask_over(x);
    for (size_t i = 0; i < x->n_ids; i++)
        if (unhealthy(x, i, &since, &reason)) {
            ask_lease(x, since, i);
            n++;
        }
    rc = rd_look_send(s, n, &r, &now, x->p.deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    if (!take_over(x, r->element[at++]))
        rc = rd_no_memory(err);
    for (size_t i = 0; rc == KEDGE_OK && i < x->n_ids; i++)
        if (unhealthy(x, i, &since, &reason) && !take_lease(x, r->element[at++], since, reason))
            rc = rd_no_memory(err);
    freeReplyObject(r);
    qsort(x->p.list, x->p.n, sizeof *x->p.list, by_place);
    while (x->bounded && x->p.n > 0 && by_place(&x->p.list[x->p.n - 1], &x->bound) > 0)
        x->p.n--;
    return rc;
}

/* One run, with its reason in mind: an overdue one of an unhealthy lease comes with that lease. */
struct sweep_fit {
    const struct expired *x;
    uint32_t reason;
};

static bool sweep_fits(void *ctx, const struct kit_run *run, int64_t now)
{
    const struct sweep_fit *f = ctx;

    (void)now;
    return kit_run_sweep(run, lease_of(f->x, &run->r.holder), f->x->p.now, f->x->p.now) ==
           f->reason;
}

static int expired_page(struct expired *x, struct kedge_error *err)
{
    struct page *p = &x->p;
    size_t i = 0;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && i < p->n && p->out.n < p->limit) {
        struct sweep_fit f = { x, p->list[i].reason };
        size_t n = 1;

        while (i + n < p->n && n < p->limit - p->out.n && p->list[i + n].reason == f.reason)
            n++;
        rc = add_heads(p, &p->list[i], n, sweep_fits, &f, err);
        i += n;
    }
    if (rc == KEDGE_OK && (i < p->n || x->bounded)) {
        const struct named *next = i < p->n ? &p->list[i] : &x->bound;
        unsigned char place[16];

        rd_put_u64(place, (uint64_t)next->since);
        rd_put_u64(place + 8, i < p->n ? next->inc : next->inc + 1);
        if (!kit_copy(p->s->host, &p->out.mem, (struct kedge_bytes){ place, sizeof place },
                      &p->out.next))
            rc = rd_no_memory(err);
    }
    return rc;
}

int rd_list_expired(void *session, struct kedge_bytes cursor, size_t limit,
                    struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    struct expired x = { .p = { .s = s, .limit = limit, .deadline = rd_deadline(timeout_us) },
                         .from_since = INT64_MIN };
    struct page *p = &x.p;
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK && (limit == 0 || limit > rd_limits.page_max))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a page has 1 to %llu runs, not %zu",
                             (unsigned long long)rd_limits.page_max, limit);
    if (rc == KEDGE_OK && cursor.len != 0 && cursor.len != 16)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "the cursor is not one that this list handed out");
    if (rc != KEDGE_OK)
        return rc;
    if (cursor.len != 0) {
        x.from_since = (int64_t)rd_get_u64(cursor.data);
        x.from_inc = rd_get_u64((const char *)cursor.data + 8);
    }
    p->out.runs = kedge_mem_alloc(s->host, &p->out.mem, limit * sizeof *p->out.runs);
    p->out.reasons = kedge_mem_alloc(s->host, &p->out.mem, limit * sizeof *p->out.reasons);
    rc = p->out.runs == NULL || p->out.reasons == NULL ? rd_no_memory(err) : read_fleet(&x, err);
    if (rc == KEDGE_OK && !grow_list(&x, 1))
        rc = rd_no_memory(err);
    if (rc == KEDGE_OK)
        rc = read_streams(&x, err);
    if (rc == KEDGE_OK)
        rc = expired_page(&x, err);
    rd_replies_free(&x.records, 1);
    kedge_mem_free(s->host, x.mem);
    if (rc == KEDGE_OK)
        *out = p->out;
    else
        kedge_mem_free(s->host, p->out.mem);
    return rc;
}
