/*
 * claim.c - due runs to a lease
 *
 * Due runs are kept by class (queue, reactor, version): a claim reads the front of each class it
 * serves, merges them, and asks the server to hand over those that are still as they were read. One
 * that was lost to somebody else is simply not handed out.  A claim that finds nothing is a read.
 *
 * Which classes there are is remembered, and asked again when a counter says that one was added.
 */
#include <config.h>

#include "rows.h"

#include <stdio.h>
#include <stdlib.h>

static const struct kedge_bytes nothing;

/* ------------------------------------------------------------------- classes */

struct rd_classes {
    unsigned char *serves; /* what they were asked for, as bytes */
    size_t serves_len;
    long long counter;
    struct kedge_bytes *list; /* each of its own */
    size_t n;
};

static void forget_list(struct rd_classes *c)
{
    for (size_t i = 0; i < c->n; i++)
        free((void *)(uintptr_t)c->list[i].data);
    free(c->list);
    c->list = NULL;
    c->n = 0;
}

void rd_classes_free(struct rd_session *s)
{
    if (s->classes == NULL)
        return;
    forget_list(s->classes);
    free(s->classes->serves);
    free(s->classes);
    s->classes = NULL;
}

/* The least class of a serve; with version_max it is the greatest. */
static struct kedge_bytes edge(struct rd_arena *a, const struct kedge_serve *serve,
                               uint32_t version)
{
    struct kedge_bytes c = rd_class(a, serve->queue, serve->reactor, version);
    char *p = c.data == NULL ? NULL : rd_alloc(a, c.len + 1);

    if (p == NULL)
        return nothing;
    p[0] = '[';
    memcpy(p + 1, c.data, c.len);
    return (struct kedge_bytes){ p, c.len + 1 };
}

static bool serves_bytes(struct rd_arena *a, const struct kedge_claim *in, struct kedge_bytes *out)
{
    size_t len = 0;
    unsigned char *p;
    size_t at = 0;

    for (size_t i = 0; i < in->n_serves; i++)
        len += 12 + in->serves[i].queue.len + in->serves[i].reactor.len;
    p = rd_alloc(a, len);
    if (p == NULL)
        return false;
    for (size_t i = 0; i < in->n_serves; i++) {
        const struct kedge_serve *serve = &in->serves[i];
        struct kedge_bytes c = rd_class(a, serve->queue, serve->reactor, serve->version_min);

        if (c.data == NULL)
            return false;
        memcpy(p + at, c.data, c.len);
        rd_put_u32(p + at + c.len, serve->version_max);
        at += c.len + 4;
    }
    *out = (struct kedge_bytes){ p, at };
    return true;
}

static bool add_class(struct rd_classes *c, struct kedge_bytes name)
{
    struct kedge_bytes *list;
    void *copy;

    for (size_t i = 0; i < c->n; i++)
        if (kit_bytes_equal(c->list[i], name))
            return true;
    list = realloc(c->list, (c->n + 1) * sizeof *list);
    if (list == NULL)
        return false;
    c->list = list;
    copy = malloc(name.len + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, name.data, name.len);
    c->list[c->n++] = (struct kedge_bytes){ copy, name.len };
    return true;
}

static long long counter_of(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING ? strtoll(r->str, NULL, 10) : 0;
}

static int take_classes(struct rd_classes *c, const redisReply *r, size_t n_serves,
                        struct kedge_error *err)
{
    forget_list(c);
    for (size_t i = 0; i < n_serves; i++) {
        const redisReply *part = r->element[2 + i];

        for (size_t k = 0; part->type == REDIS_REPLY_ARRAY && k < part->elements; k++)
            if (!add_class(c, rd_reply_bytes(part->element[k])))
                return rd_no_memory(err);
    }
    c->counter = counter_of(r->element[1]);
    return KEDGE_OK;
}

static int ask_classes(struct rd_session *s, const struct kedge_claim *in, int64_t deadline,
                       struct kedge_error *err)
{
    struct rd_arena *a = &s->arena;
    const char *prefix = s->store->params.prefix;
    redisReply *r = NULL;
    int64_t now;
    int rc;

    rd_look_begin(s);
    rd_look_string(s, rd_key(a, prefix, 'c', nothing));
    for (size_t i = 0; i < in->n_serves; i++) {
        struct kedge_bytes range[2] = { edge(a, &in->serves[i], in->serves[i].version_min),
                                        edge(a, &in->serves[i], in->serves[i].version_max) };

        rd_look_command(s, "ZRANGEBYLEX", rd_key(a, prefix, 'C', nothing), range, 2);
    }
    rc = rd_look_send(s, 1 + in->n_serves, &r, &now, deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = take_classes(s->classes, r, in->n_serves, err);
    freeReplyObject(r);
    return rc;
}

/* s->classes are those of IN. */
static int know_classes(struct rd_session *s, const struct kedge_claim *in, int64_t deadline,
                        struct kedge_error *err)
{
    struct kedge_bytes serves;
    unsigned char *copy;

    if (!serves_bytes(&s->arena, in, &serves))
        return rd_no_memory(err);
    if (s->classes != NULL &&
        kit_bytes_equal(serves, (struct kedge_bytes){ s->classes->serves, s->classes->serves_len }))
        return KEDGE_OK;
    rd_classes_free(s);
    s->classes = calloc(1, sizeof *s->classes);
    copy = malloc(serves.len + 1);
    if (s->classes == NULL || copy == NULL) {
        free(copy);
        rd_classes_free(s);
        return rd_no_memory(err);
    }
    memcpy(copy, serves.data, serves.len);
    s->classes->serves = copy;
    s->classes->serves_len = serves.len;
    return ask_classes(s, in, deadline, err);
}

/* -------------------------------------------------------------------- fronts */

struct due_run {
    int64_t due;
    uint64_t inc;
    struct kedge_bytes id; /* in the arena */
    bool last_seen;        /* there are more behind it in its class */
};

struct claim {
    struct rd_session *s;
    const struct kedge_claim *in;
    struct kedge_run_page page;
    int64_t deadline;
    int64_t now;
    struct due_run *due;
    size_t n_due;
    struct kedge_bytes *bad; /* ids that cannot be handed out, in this call */
    size_t n_bad;
    bool contended; /* something was due and somebody else took it */
};

static int by_due(const void *a, const void *b)
{
    const struct due_run *x = a;
    const struct due_run *y = b;

    if (x->due != y->due)
        return x->due < y->due ? -1 : 1;
    return (x->inc > y->inc) - (x->inc < y->inc);
}

static bool add_due(struct claim *c, const redisReply *member, bool last)
{
    struct kedge_bytes id;
    struct due_run *d = &c->due[c->n_due];
    char *copy;

    if (member->type != REDIS_REPLY_STRING || member->len < 17)
        return true;
    id = (struct kedge_bytes){ member->str + 16, member->len - 16 };
    copy = rd_alloc(&c->s->arena, id.len);
    if (copy == NULL)
        return false;
    memcpy(copy, id.data, id.len);
    d->due = (int64_t)rd_get_u64(member->str);
    d->inc = rd_get_u64(member->str + 8);
    d->id = (struct kedge_bytes){ copy, id.len };
    d->last_seen = last;
    c->n_due++;
    return true;
}

/* How many of each class are read: with few classes enough to fill the page from one alone. */
static size_t depth(const struct claim *c)
{
    size_t n = c->s->classes->n;
    size_t wanted = c->in->limit + c->n_bad + 1;

    return n <= 4 ? wanted : (wanted * 2 / n < 8 ? 8 : wanted * 2 / n);
}

static int take_fronts(struct claim *c, const redisReply *r, size_t asked, struct kedge_error *err)
{
    size_t n = c->s->classes->n;
    size_t all = 0;

    for (size_t i = 0; i < n; i++)
        all += r->element[3 + i]->type == REDIS_REPLY_ARRAY ? r->element[3 + i]->elements : 0;
    c->n_due = 0;
    c->due = rd_alloc(&c->s->arena, all * sizeof *c->due);
    if (c->due == NULL)
        return rd_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const redisReply *part = r->element[3 + i];
        size_t members = part->type == REDIS_REPLY_ARRAY ? part->elements : 0;

        for (size_t k = 0; k < members; k++)
            if (!add_due(c, part->element[k], members == asked && k + 1 == members))
                return rd_no_memory(err);
    }
    qsort(c->due, c->n_due, sizeof *c->due, by_due);
    return KEDGE_OK;
}

/*
 * The lease, and what is due.  OK; LOST; KEDGE_EXISTS: this request has taken something before.
 */
static int read_fronts(struct claim *c, struct kedge_error *err)
{
    struct rd_session *s = c->s;
    struct rd_arena *a = &s->arena;
    const char *prefix = s->store->params.prefix;
    struct kedge_bytes range[2] = { { "0", 1 }, { NULL, 0 } };
    size_t asked = depth(c);
    redisReply *r = NULL;
    const redisReply *lease;
    char last[24];
    int rc;

    range[1] = (struct kedge_bytes){ last, (size_t)snprintf(last, sizeof last, "%zu", asked - 1) };
    rd_look_begin(s);
    rd_look_string(s, rd_key_lease(a, prefix, 'l', &c->in->lease));
    rd_look_string(s, rd_key(a, prefix, 'c', nothing));
    for (size_t i = 0; i < s->classes->n; i++)
        rd_look_command(s, "ZRANGE", rd_key(a, prefix, 'd', s->classes->list[i]), range, 2);
    rc = rd_look_send(s, 2 + s->classes->n, &r, &c->now, c->deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    lease = r->element[1];
    if (lease->type == REDIS_REPLY_STRING && lease->len < RD_LEASE_SIZE)
        rc = rd_say(s, KEDGE_ERR_CORRUPT, "the lease", err);
    else if (lease->type != REDIS_REPLY_STRING || lease->str[RD_LEASE_STATE] != 'L')
        rc = KEDGE_LOST;
    else if (memcmp(lease->str + RD_LEASE_CLAIM, c->in->request.b, 16) == 0)
        rc = KEDGE_EXISTS;
    else if (counter_of(r->element[2]) != s->classes->counter)
        rc = KEDGE_STALE; /* there are more classes than we know */
    else
        rc = take_fronts(c, r, asked, err);
    freeReplyObject(r);
    return rc;
}

/* -------------------------------------------------------------------- taking */

static bool is_bad(const struct claim *c, struct kedge_bytes id)
{
    for (size_t i = 0; i < c->n_bad; i++)
        if (kit_bytes_equal(c->bad[i], id))
            return true;
    return false;
}

static void note_bad(struct claim *c, struct kedge_bytes id)
{
    struct kedge_bytes *bad = rd_alloc(&c->s->arena, (c->n_bad + 1) * sizeof *bad);

    if (bad == NULL)
        return;
    if (c->n_bad != 0)
        memcpy(bad, c->bad, c->n_bad * sizeof *bad);
    bad[c->n_bad] = id;
    c->bad = bad;
    c->n_bad++;
}

/* Which to try for, oldest first; the first that is left over says when to look again. */
static size_t choose(struct claim *c, struct due_run **out)
{
    size_t n = 0;

    c->page.next_due = 0;
    for (size_t i = 0; i < c->n_due; i++) {
        struct due_run *d = &c->due[i];

        if (is_bad(c, d->id)) {
            if (d->last_seen)
                break;
            continue;
        }
        if (d->due > c->now || n == c->in->limit) {
            c->page.next_due = d->due;
            break;
        }
        out[n++] = d;
        if (d->last_seen) { /* what comes next in its class is not known */
            c->page.next_due = c->now;
            break;
        }
    }
    return n;
}

static bool add_run(struct claim *c, const struct kit_run *run)
{
    if (!kit_copy_run(c->s->host, &c->page.mem, &run->r, &c->page.runs[c->page.n]))
        return false;
    c->page.n++;
    return true;
}

/* A run that is to be taken, as read and as it becomes. */
struct taking {
    struct kit_run old;
    struct kit_run run;
    struct kedge_bytes unknown;
    struct kedge_run copy; /* room for the answer, before anything is taken */
    bool ok;
};

/* false: no memory. */
static bool prepare(struct claim *c, struct due_run *d, const redisReply *head,
                    const redisReply *length, uint64_t place, struct taking *t)
{
    t->ok = rd_run_read(head, length, &t->old, &t->unknown) == KEDGE_OK &&
            kit_run_claimable(&t->old, c->now) && kit_bytes_equal(t->old.r.id, d->id);
    if (!t->ok) {
        note_bad(c, d->id); /* one that is not understood stays where it is, listed */
        return true;
    }
    t->run = t->old;
    kit_run_take(&t->run, &c->in->lease, place, &c->in->request, c->in->hold_until, c->now);
    return kit_copy_run(c->s->host, &c->page.mem, &t->run.r, &t->copy);
}

static void add_group(struct claim *c, struct rd_build *b, const struct taking *t)
{
    struct kedge_bytes lease = rd_key_lease(b->a, b->prefix, 'l', &c->in->lease);

    rd_group_begin(b);
    rd_expect_bytes(b, lease, RD_LEASE_STATE, (struct kedge_bytes){ "L", 1 });
    rd_expect_run(b, &t->old);
    rd_write_run(b, &t->old, &t->run, &t->unknown);
    rd_write_begin(b, "SETRANGE", lease);
    rd_write_arg(b, (struct kedge_bytes){ "65", 2 });
    rd_write_arg(b, (struct kedge_bytes){ c->in->request.b, 16 });
    rd_write_end(b);
    rd_group_end(b, c->now, INT64_MAX, false, false);
}
_Static_assert(RD_LEASE_CLAIM == 65, "the text in add_group");

static void hand_out(struct claim *c, struct taking *list, size_t n, const char *outcomes,
                     uint64_t base)
{
    uint64_t fence = base;
    size_t group = 0;

    for (size_t i = 0; i < n; i++) {
        struct taking *t = &list[i];

        if (!t->ok)
            continue;
        fence++;
        if (outcomes[group++] != '1') {
            c->contended = true;
            rd_cache_drop(c->s, t->run.r.id);
            continue;
        }
        t->run.r.fence = t->copy.fence = fence;
        if (t->unknown.len == 0)
            rd_cache_put(c->s, &t->run);
        c->page.runs[c->page.n++] = t->copy;
    }
}

static int send_groups(struct claim *c, struct taking *list, size_t n, size_t groups,
                       struct kedge_error *err)
{
    struct rd_session *s = c->s;
    struct rd_build b;
    const char *outcomes = "";
    uint64_t base = 0;
    int64_t now;
    int rc;

    rd_build_begin(&b, s, groups, groups);
    for (size_t i = 0; i < n; i++)
        if (list[i].ok)
            add_group(c, &b, &list[i]);
    rc = rd_build_send(&b, groups, &outcomes, &base, &now, c->deadline, err);
    if (rc == KEDGE_ERR_FULL)
        rc = kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0, "Redis (%s) is full",
                             s->store->params.place);
    if (rc == KEDGE_OK)
        hand_out(c, list, n, outcomes, base);
    return rc;
}

static int take(struct claim *c, struct due_run **chosen, size_t n, struct kedge_error *err)
{
    struct rd_session *s = c->s;
    struct taking *list = rd_alloc(&s->arena, n * sizeof *list);
    redisReply *r = NULL;
    size_t groups = 0;
    int64_t now;
    int rc;

    rd_look_begin(s);
    for (size_t i = 0; i < n; i++)
        rd_look_run(s, chosen[i]->id);
    if (list == NULL)
        return rd_no_memory(err);
    rc = rd_look_send(s, 2 * n, &r, &now, c->deadline, err);
    for (size_t i = 0; rc == KEDGE_OK && i < n; i++) {
        if (!prepare(c, chosen[i], r->element[1 + 2 * i], r->element[2 + 2 * i],
                     KIT_PLACE_BASE + groups, &list[i]))
            rc = rd_no_memory(err);
        groups += list[i].ok;
    }
    c->contended = c->contended || groups < n; /* look behind them */
    if (rc == KEDGE_OK && groups != 0)
        rc = send_groups(c, list, n, groups, err);
    rd_replies_free(&r, 1);
    return rc;
}

/* ------------------------------------------------------------ the same claim again */

#define AT_ONCE 256u

/* Members of x<lease> that are runs, as ids in the arena. */
static int read_held(struct claim *c, struct kedge_bytes **ids, size_t *n, struct kedge_error *err)
{
    struct rd_session *s = c->s;
    struct kedge_bytes range[2] = { { "[r", 2 }, { "(s", 2 } };
    redisReply *r = NULL;
    const redisReply *list;
    int rc;

    rd_look_begin(s);
    rd_look_command(s, "ZRANGEBYLEX",
                    rd_key_lease(&s->arena, s->store->params.prefix, 'x', &c->in->lease), range, 2);
    rc = rd_look_confirmed(s, 1, &r, &c->now, c->deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    list = r->element[1];
    *n = 0;
    *ids = rd_alloc(&s->arena, list->elements * sizeof **ids);
    for (size_t i = 0; *ids != NULL && i < list->elements; i++) {
        const redisReply *m = list->element[i];
        char *copy = m->len > 9 ? rd_alloc(&s->arena, m->len - 9) : NULL;

        if (copy == NULL)
            continue;
        memcpy(copy, m->str + 9, m->len - 9);
        (*ids)[(*n)++] = (struct kedge_bytes){ copy, m->len - 9 };
    }
    freeReplyObject(r);
    return s->arena.failed ? rd_no_memory(err) : KEDGE_OK;
}

/* What the same request took before and still holds. */
static int taken_before(struct claim *c, struct kedge_error *err)
{
    struct rd_session *s = c->s;
    struct kedge_bytes *ids;
    size_t n;
    int rc = read_held(c, &ids, &n, err);

    for (size_t at = 0; rc == KEDGE_OK && at < n && c->page.n < c->in->limit; at += AT_ONCE) {
        size_t part = n - at < AT_ONCE ? n - at : AT_ONCE;
        redisReply *r = NULL;

        rd_look_begin(s);
        for (size_t i = 0; i < part; i++)
            rd_look_run(s, ids[at + i]);
        rc = rd_look_send(s, 2 * part, &r, &c->now, c->deadline, err);
        for (size_t i = 0; rc == KEDGE_OK && i < part && c->page.n < c->in->limit; i++) {
            struct kit_run run;

            if (rd_run_read(r->element[1 + 2 * i], r->element[2 + 2 * i], &run, NULL) == KEDGE_OK &&
                kit_id_equal(&run.r.holder, &c->in->lease) &&
                kit_id_equal(&run.take_request, &c->in->request) && !add_run(c, &run))
                rc = rd_no_memory(err);
        }
        if (r != NULL)
            freeReplyObject(r);
    }
    return rc;
}

/* ------------------------------------------------------------------- the call */

/* One look, one try.  KEDGE_STALE: again. */
static int claim_turn(struct claim *c, struct kedge_error *err)
{
    struct due_run **chosen = rd_alloc(&c->s->arena, c->in->limit * sizeof(struct due_run *));
    size_t n;
    int rc;

    if (chosen == NULL)
        return rd_no_memory(err);
    rc = read_fronts(c, err);
    if (rc == KEDGE_STALE) {
        rc = ask_classes(c->s, c->in, c->deadline, err);
        return rc == KEDGE_OK ? KEDGE_STALE : rc;
    }
    if (rc == KEDGE_EXISTS)
        return taken_before(c, err);
    if (rc != KEDGE_OK)
        return rc;
    n = choose(c, chosen);
    if (n == 0)
        return KEDGE_OK;
    c->contended = false;
    rc = take(c, chosen, n, err);
    return rc == KEDGE_OK && c->page.n == 0 && c->contended ? KEDGE_STALE : rc;
}

int rd_claim(void *session, const struct kedge_claim *in, struct kedge_run_page *out,
             int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    struct claim c = { .s = s, .in = in, .deadline = rd_deadline(timeout_us) };
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_claim(&rd_limits, in, err);
    if (rc == KEDGE_OK)
        rc = know_classes(s, in, c.deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    rd_grip_take(s, &in->lease);
    c.page.runs = kedge_mem_alloc(s->host, &c.page.mem, in->limit * sizeof *c.page.runs);
    if (c.page.runs == NULL)
        return rd_no_memory(err);
    do {
        rc = claim_turn(&c, err);
    } while (rc == KEDGE_STALE && rd_mono_us() < c.deadline);
    if (rc == KEDGE_STALE)
        rc = KEDGE_OK; /* others were faster all the time: nothing for this one */
    if (rc == KEDGE_OK)
        *out = c.page;
    else
        kedge_mem_free(s->host, c.page.mem);
    return rc;
}
