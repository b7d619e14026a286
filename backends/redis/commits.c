/*
 * commits.c - a batch of commits: plain appends by holders at once, the rest by the rules
 *
 * Most commits append records to a run that is held, and nothing else.  Whether they may is told by
 * the front of the head and the length of the journal, so the server decides them all in one script
 * without a look (rows.h, I1); and without reading the heads either, of which the session knows
 * that they are what it remembers if the lease still has its grip (keys.h, I5).  It answers who got
 * through; for the others kit_remote finds out why, or that they were carried out before.
 *
 *   I1  Appends go before the groups of the same batch.  So one that follows another commit on its
 *       run is decided with that.
 */
#include <config.h>

#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define HOT_RECORDS_MAX 100u

struct batch {
    struct rd_session *s;
    const struct kedge_commit *commits;
    struct kedge_answer *answers;
    size_t n;
    struct rd_hot hot;
    uint32_t *which; /* commit of each append */
    bool plain;      /* appends of one record each, and no head has to be looked at */
    const struct kedge_bytes **named; /* runs that other commits name, by hash; NULL: free */
    size_t n_named;
};

/* -------------------------------------------------------------- what is plain */

static const struct kedge_change *plain_append(const struct kedge_commit *c)
{
    const struct kedge_guard *g = c->guards;
    const struct kedge_change *ch = c->changes;

    if (c->n_guards != 1 || c->n_changes != 1 || g->kind != KEDGE_GUARD_HELD ||
        ch->kind != KEDGE_APPEND || ch->append.n == 0 || ch->append.n > HOT_RECORDS_MAX ||
        ch->append.first == 0 || ch->append.first > UINT64_C(1000000000) ||
        !kit_bytes_equal(g->name, ch->name))
        return NULL;
    return ch;
}

static size_t name_slot(const struct batch *b, struct kedge_bytes name)
{
    size_t at = kit_hash64(name) % b->n_named;

    while (b->named[at] != NULL && !kit_bytes_equal(*b->named[at], name))
        at = (at + 1) % b->n_named;
    return at;
}

static void note_name(struct batch *b, const struct kedge_bytes *name)
{
    if (b->named != NULL)
        b->named[name_slot(b, *name)] = name;
}

/* Commit C is not plain: what it names waits for it.  Room for all names of all commits. */
static bool note_names(struct batch *b, const struct kedge_commit *c)
{
    if (b->named == NULL) {
        size_t room = 16;

        for (size_t i = 0; i < b->n; i++)
            room += 2 * (b->commits[i].n_guards + b->commits[i].n_changes);
        b->n_named = room;
        b->named = rd_alloc(&b->s->arena, room * sizeof(struct kedge_bytes *));
        if (b->named == NULL)
            return false;
        memset(b->named, 0, room * sizeof(struct kedge_bytes *));
    }
    for (size_t i = 0; i < c->n_guards; i++)
        if (c->guards[i].kind <= KEDGE_GUARD_POSITION)
            note_name(b, &c->guards[i].name);
    for (size_t i = 0; i < c->n_changes; i++)
        if (c->changes[i].kind <= KEDGE_SLOT_PUT)
            note_name(b, &c->changes[i].name);
    return true;
}

/* ------------------------------------------------------------ what is sent of it */

/* 0-padded digits. */
static void put_digits(unsigned char *to, size_t n, uint64_t number)
{
    while (n > 0) {
        to[--n] = (unsigned char)('0' + number % 10);
        number /= 10;
    }
}

/* How the head must begin, as much as is known of it. */
static void put_front(struct batch *b, struct rd_hot_item *item, const struct kedge_guard *g)
{
    bool sure = false;

    rd_put_u64(item->front + RD_HEAD_FENCE, g->number);
    memcpy(item->front + RD_HEAD_HOLDER, g->lease.b, 16);
    item->known = rd_cache_front(b->s, g->name, g->number, &g->lease, item->front, &sure)
                      ? RD_HEAD_FRONT
                      : RD_HOT_LEAST;
    item->looked = !sure;
}

static unsigned char *pack_u32(unsigned char *p, uint32_t number)
{
    *p = 0xce; /* a number of four bytes */
    rd_put_u32(p + 1, number);
    return p + 5;
}

/*
 * The guards as one array of MessagePack, which the server reads in one go: how long each journal
 * is; then of each head that is looked at whose it is and how it begins.
 */
#define GUARD_MAX (5u + 5u + 2u + RD_HEAD_FRONT)

static struct kedge_bytes guards(struct batch *b, size_t looked)
{
    unsigned char *start = rd_alloc(&b->s->arena, 5 + b->hot.n * 5 + looked * GUARD_MAX);
    unsigned char *p = start;

    if (start == NULL)
        return (struct kedge_bytes){ NULL, 0 };
    *p = 0xdd; /* an array of as many */
    rd_put_u32(p + 1, (uint32_t)(b->hot.n + 2 * looked));
    p += 5;
    for (size_t i = 0; i < b->hot.n; i++)
        p = pack_u32(p, (uint32_t)(b->commits[b->which[i]].changes[0].append.first - 1));
    for (size_t i = 0; looked != 0 && i < b->hot.n; i++) {
        const struct rd_hot_item *item = &b->hot.items[i];

        if (!item->looked)
            continue;
        p = pack_u32(p, (uint32_t)i + 1);
        p[0] = 0xd9; /* a string of as many bytes */
        p[1] = item->known;
        memcpy(p + 2, item->front, item->known);
        p += 2 + item->known;
    }
    return (struct kedge_bytes){ start, (size_t)(p - start) };
}

/* Elements of the journal but for their time, which the server puts in front: strings that it
   would have to put together are dear in there. */
static void add_records(struct batch *b, const struct kedge_commit *c,
                        const struct kedge_change *ch)
{
    struct rd_arena *a = &b->s->arena;
    const size_t front = RD_RECORD_SIZE - RD_RECORD_FORMAT;

    for (size_t i = 0; i < ch->append.n; i++) {
        struct kedge_bytes record = ch->append.records[i];
        unsigned char *p = rd_alloc(a, front + record.len);

        if (p == NULL)
            return;
        p[0] = RD_FORMAT;
        memcpy(p + RD_RECORD_REQUEST - RD_RECORD_FORMAT, c->request.b, 16);
        rd_put_u64(p + RD_RECORD_SUM - RD_RECORD_FORMAT, rd_sum(ch->append.first + i, record));
        if (record.len != 0)
            memcpy(p + front, record.data, record.len);
        rd_list_add(a, &b->hot.args, (struct kedge_bytes){ p, front + record.len });
    }
}

/* How many records each append has, three digits each; nothing: one each. */
static struct kedge_bytes how_many(struct batch *b)
{
    unsigned char *p = NULL;

    for (size_t i = 0; i < b->hot.n && p == NULL; i++)
        if (b->commits[b->which[i]].changes[0].append.n != 1)
            p = rd_alloc(&b->s->arena, 3 * b->hot.n);
    if (p == NULL)
        return (struct kedge_bytes){ NULL, 0 };
    for (size_t i = 0; i < b->hot.n; i++)
        put_digits(p + 3 * i, 3, b->commits[b->which[i]].changes[0].append.n);
    return (struct kedge_bytes){ p, 3 * b->hot.n };
}

static bool gather(struct batch *b)
{
    struct rd_arena *a = &b->s->arena;
    const struct kedge_id128 *lease = NULL;

    b->which = rd_alloc(a, b->n * sizeof *b->which);
    if (b->which == NULL)
        return false;
    for (size_t i = 0; i < b->n; i++) {
        const struct kedge_commit *c = &b->commits[i];
        const struct kedge_change *ch;

        if (b->answers[i].outcome < 0)
            continue;
        ch = plain_append(c);
        if (ch != NULL && (lease == NULL || kit_id_equal(lease, &c->guards[0].lease)) &&
            (b->named == NULL || b->named[name_slot(b, ch->name)] == NULL)) {
            lease = &c->guards[0].lease;
            b->which[b->hot.n++] = (uint32_t)i;
        } else if (!note_names(b, c)) {
            return false;
        }
    }
    return true;
}

static void build_hot(struct batch *b)
{
    struct rd_arena *a = &b->s->arena;
    const char *prefix = b->s->store->params.prefix;
    size_t n = b->hot.n, looked = 0;
    struct kedge_bytes many;

    b->hot.keys.n = b->hot.args.n = 0;
    b->hot.items = rd_alloc(a, n * sizeof *b->hot.items);
    if (b->hot.items == NULL)
        return;
    memset(b->hot.items, 0, n * sizeof *b->hot.items);
    rd_grip_take(b->s, &b->commits[b->which[0]].guards[0].lease);
    for (size_t i = 0; i < n; i++) {
        const struct kedge_guard *g = &b->commits[b->which[i]].guards[0];

        put_front(b, &b->hot.items[i], g);
        if (!b->hot.items[i].looked)
            continue;
        rd_list_add(a, &b->hot.keys, rd_key(a, prefix, 'h', g->name));
        looked++;
    }
    rd_list_add(a, &b->hot.args, guards(b, looked));
    many = how_many(b);
    b->plain = looked == 0 && many.len == 0;
    rd_list_add(a, &b->hot.args, many);
    for (size_t i = 0; i < n; i++) {
        const struct kedge_commit *c = &b->commits[b->which[i]];

        rd_list_add(a, &b->hot.keys, rd_key(a, prefix, 'j', c->changes[0].name));
        add_records(b, c, &c->changes[0]);
    }
}

/* -------------------------------------------------------------------- answers */

static void set_failure(struct kedge_answer *a, int status, const char *why)
{
    memset(a, 0, sizeof *a);
    a->outcome = status;
    (void)snprintf(a->why, sizeof a->why, "%.*s", (int)sizeof a->why - 1, why);
}

static void answer_done(struct batch *b, size_t i, const struct rd_hot_item *item)
{
    const unsigned char *front = item->front;
    const struct kedge_commit *c = &b->commits[i];
    const struct kedge_change *ch = &c->changes[0];
    struct kedge_answer *a = &b->answers[i];

    memset(a, 0, offsetof(struct kedge_answer, why) + 1);
    a->position = ch->append.first + ch->append.n - 1;
    a->revision = rd_get_u64(front + RD_HEAD_REVISION) + a->position;
    a->fence = c->guards[0].number;
    a->requests = front[RD_HEAD_REQUESTS];
    a->status = front[RD_HEAD_STATUS];
    if (c->results != NULL)
        c->results[0] = a->position;
    rd_cache_advance(b->s, ch->name, a->fence, a->position,
                     item->known == RD_HEAD_FRONT ? b->hot.epoch : 0);
}

/* What got through is answered; how many did not. */
static size_t answer_hot(struct batch *b)
{
    size_t left = 0;

    for (size_t i = 0; i < b->hot.n; i++) {
        const struct rd_hot_item *item = &b->hot.items[i];
        size_t at = b->which[i];

        if (b->hot.rc != KEDGE_OK)
            set_failure(&b->answers[at], b->hot.rc, b->hot.why);
        else if (item->done)
            answer_done(b, at, item);
        else
            b->which[left++] = (uint32_t)at;
    }
    return left;
}

/* ------------------------------------------------------------------- the others */

/* The commits in WHICH, by the rules. */
static void decide(struct batch *b, const uint32_t *which, size_t n, int64_t deadline,
                   struct kedge_error *err)
{
    struct kedge_commit *commits = rd_alloc(&b->s->arena, n * sizeof *commits);
    struct kedge_answer *answers = rd_alloc(&b->s->arena, n * sizeof *answers);
    int64_t left = deadline - rd_mono_us();

    if (commits == NULL || answers == NULL) {
        for (size_t i = 0; i < n; i++)
            set_failure(&b->answers[which[i]], KEDGE_ERR_NOMEM, "out of memory");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        commits[i] = b->commits[which[i]];
        answers[i] = b->answers[which[i]];
    }
    (void)kit_remote_commit(b->s->remote, commits, n, answers, left > 1 ? left : 1, err);
    for (size_t i = 0; i < n; i++)
        b->answers[which[i]] = answers[i];
}

/* Those that are neither plain nor refused already. */
static size_t others(const struct batch *b, uint32_t *which)
{
    size_t n = 0;
    size_t hot = 0;

    for (size_t i = 0; i < b->n; i++)
        if (hot < b->hot.n && b->which[hot] == i)
            hot++;
        else if (b->answers[i].outcome >= 0)
            which[n++] = (uint32_t)i;
    return n;
}

static void fail_hot(struct batch *b, int rc, const struct kedge_error *err)
{
    b->hot.sent = true;
    b->hot.rc = rc;
    (void)snprintf(b->hot.why, sizeof b->hot.why, "%.*s", (int)sizeof b->hot.why - 1, err->msg);
}

/* What the script `append' answered.  false: that is no answer of its. */
static bool read_appended(struct batch *b, const redisReply *r)
{
    const char *at = r->str;
    char *end;
    int64_t now;

    if (r->type != REDIS_REPLY_STRING)
        return false;
    now = strtoll(at, &end, 10);
    rd_saw_time(b->s, now);
    for (size_t i = 0; i < b->hot.n; i++)
        b->hot.items[i].done = true;
    for (at = end; *at == ','; at = end) {
        size_t number = strtoul(at + 1, &end, 10);

        if (number == 0 || number > b->hot.n)
            return false;
        b->hot.items[number - 1].done = false;
    }
    b->hot.sent = true;
    b->hot.rc = KEDGE_OK;
    b->hot.epoch = b->s->grip.epoch;
    return *at == '\0';
}

/* By the script for these alone.  false: the grip is another, and nothing was done. */
static bool send_plain(struct batch *b, int64_t deadline)
{
    struct rd_session *s = b->s;
    struct rd_arena *a = &s->arena;
    struct rd_cmd *cmd = &s->cmds[0];
    struct kedge_error err = { 0 };
    redisReply *r = NULL;
    bool held = true;
    int rc = KEDGE_ERR_NOMEM;

    s->keys.n = s->args.n = 0;
    rd_list_add(a, &s->keys, rd_key_lease(a, s->store->params.prefix, 'l', &s->grip.lease));
    for (size_t i = 0; i < b->hot.keys.n; i++)
        rd_list_add(a, &s->keys, b->hot.keys.items[i]);
    rd_list_add(a, &s->args, (struct kedge_bytes){ s->grip.value, sizeof s->grip.value });
    for (size_t i = 0; i < b->hot.args.n; i++)
        if (i != 1) /* how many records each adds */
            rd_list_add(a, &s->args, b->hot.args.items[i]);
    rd_cmd_call(a, cmd, &s->store->scripts[RD_SCRIPT_APPEND], &s->keys, &s->args);
    if (a->failed)
        (void)rd_no_memory(&err);
    else
        rc = rd_call(&s->link, &cmd, 1, &r, RD_WRITES, deadline, &err);
    if (rc == KEDGE_OK && r->type == REDIS_REPLY_INTEGER)
        held = false;
    else if (rc == KEDGE_OK && !read_appended(b, r))
        rc = rd_reply_fail(&s->store->params, r, &err);
    if (rc != KEDGE_OK)
        fail_hot(b, rc, &err);
    rd_replies_free(&r, 1);
    return held;
}

static void send_hot(struct batch *b, int64_t deadline)
{
    struct kedge_error err = { 0 };
    struct rd_build build;
    const char *outcomes;
    uint64_t base;
    int64_t now;

    if (b->plain) {
        if (send_plain(b, deadline))
            return;
        rd_grip_lost(b->s);
        build_hot(b);
    }
    rd_build_begin(&build, b->s, 0, 0);
    (void)rd_build_send(&build, 0, &outcomes, &base, &now, deadline, &err);
}

/* Every commit gets its answer.  false: there was no memory to begin with. */
static bool carry_out(struct batch *b, int64_t deadline, struct kedge_error *err)
{
    uint32_t *which = rd_alloc(&b->s->arena, b->n * sizeof *which);
    size_t n;

    if (which == NULL || !gather(b))
        return false;
    n = others(b, which);
    if (b->hot.n != 0)
        build_hot(b);
    if (b->s->arena.failed)
        return false;
    b->s->hot = &b->hot;
    if (n != 0)
        decide(b, which, n, deadline, err);
    if (b->hot.n != 0 && !b->hot.sent)
        send_hot(b, deadline);
    b->s->hot = NULL;
    n = answer_hot(b);
    if (n != 0)
        decide(b, b->which, n, deadline, err);
    return true;
}

static bool all_failed(const struct batch *b, int status)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->answers[i].outcome != status)
            return false;
    return true;
}

/* A failure of the whole call is one that every item has. */
static int whole_call(const struct batch *b, struct kedge_error *err)
{
    int first = b->answers[0].outcome;

    if (first != KEDGE_ERR_UNAVAILABLE && first != KEDGE_ERR_UNKNOWN && first != KEDGE_ERR_NOMEM &&
        first != KEDGE_ERR_PERMISSION)
        return KEDGE_OK;
    if (!all_failed(b, first))
        return KEDGE_OK;
    return kedge_error_set(err, first, 0, "%s", b->answers[0].why);
}

int rd_commit(void *session, const struct kedge_commit *commits, size_t n,
              struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    struct batch b = { .s = s, .commits = commits, .answers = answers, .n = n };
    struct kedge_error local = { 0 };
    int rc;

    if (err == NULL)
        err = &local;
    rc = rd_enter(s, timeout_us, err);
    if (rc == KEDGE_OK)
        rc = kit_check_batch(&rd_limits, commits, n, answers, err);
    if (rc != KEDGE_OK || n == 0) {
        for (size_t i = 0; i < n; i++)
            set_failure(&answers[i], rc, err->msg);
        return rc;
    }
    if (!carry_out(&b, rd_deadline(timeout_us), err))
        for (size_t i = 0; i < n; i++)
            if (answers[i].outcome >= 0)
                set_failure(&answers[i], KEDGE_ERR_NOMEM, "out of memory");
    rd_list_free(&b.hot.keys);
    rd_list_free(&b.hot.args);
    return whole_call(&b, err);
}
