/*
 * verify.c - walk everything and count what contradicts the contract
 *
 * Keys are found with SCAN.  Each row is looked at together with what must agree with it, at one
 * moment: so work that goes on meanwhile is no fault.
 *
 *   heads      are understood and sound; every index they call for has them; records, snapshot and
 *              slots are whole
 *   indexes    have nothing that no head (cell, lock) calls for
 */
#include <config.h>

#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct kedge_bytes nothing;

#define RECORDS_AT_ONCE 128u

struct check {
    struct rd_session *s;
    struct rd_arena *a;
    const char *prefix;
    struct kedge_verified out;
    char first[256];
    int64_t deadline;
    struct kedge_error *err;
};

static void fault(struct check *c, const char *what, struct kedge_bytes of)
{
    char name[80];
    const unsigned char *p = of.data;
    size_t n = 0;

    if (c->out.faults++ != 0)
        return;
    for (size_t i = 0; i < of.len && n + 5 < sizeof name; i++)
        n += (size_t)snprintf(name + n, sizeof name - n,
                              p[i] > ' ' && p[i] < 127 && p[i] != '\\' ? "%c" : "\\%02x", p[i]);
    name[n] = '\0';
    (void)snprintf(c->first, sizeof c->first, "'%s': %s", name, what);
}

static int send_look(struct check *c, size_t n, redisReply **r)
{
    int64_t now;

    return rd_look_send(c->s, n, r, &now, c->deadline, c->err);
}

/* Is MEMBER in that index?  One element. */
static void ask_member(struct check *c, struct kedge_bytes index, struct kedge_bytes member)
{
    rd_look_command(c->s, "ZSCORE", index, &member, 1);
}

static struct kedge_bytes class_key(struct check *c, const struct kedge_run *r)
{
    return rd_class(c->a, r->queue, r->reactor, r->version);
}

/* The indexes a head calls for, in this order; how many were asked. */
static size_t ask_indexes(struct check *c, const struct kedge_run *r)
{
    struct rd_arena *a = c->a;
    struct kedge_bytes named = rd_member(a, '\0', r->incarnation, r->id);
    size_t n = 2;

    ask_member(c, rd_key_kind(a, c->prefix, class_key(c, r), r->status), named);
    ask_member(c, rd_key(a, c->prefix, 'C', nothing), class_key(c, r));
    if (r->due != 0) {
        ask_member(c, rd_key(a, c->prefix, 'd', class_key(c, r)),
                   rd_timed(a, r->due, r->incarnation, r->id));
        n++;
    }
    if (!kit_id_zero(&r->holder)) {
        ask_member(c, rd_key_lease(a, c->prefix, 'x', &r->holder),
                   rd_member(a, 'r', r->incarnation, r->id));
        n++;
    }
    if (r->hold_until != 0) {
        ask_member(c, rd_key(a, c->prefix, 'o', nothing),
                   rd_timed(a, r->hold_until, r->incarnation, r->id));
        n++;
    }
    if (r->expires != 0) {
        ask_member(c, rd_key(a, c->prefix, 'e', nothing),
                   rd_timed(a, r->expires, r->incarnation, r->id));
        n++;
    }
    if (r->parent.len != 0) {
        ask_member(c, rd_key_kids(a, c->prefix, r->parent_incarnation), named);
        n++;
    }
    return n;
}

static bool same_head(const struct kit_run *x, const struct kit_run *y)
{
    return x->r.incarnation == y->r.incarnation && x->head_revision == y->head_revision;
}

/* A run that moved on between two looks is looked at another time. */
static int check_indexes(struct check *c, const struct kit_run *run)
{
    struct kit_run again;
    redisReply *r = NULL;
    size_t n;
    int rc;

    rd_look_begin(c->s);
    rd_look_run(c->s, run->r.id);
    n = ask_indexes(c, &run->r);
    rc = send_look(c, 2 + n, &r);
    if (rc != KEDGE_OK)
        return rc;
    if (rd_run_read(r->element[1], r->element[2], &again, NULL) == KEDGE_OK &&
        same_head(run, &again))
        for (size_t i = 0; i < n; i++)
            if (r->element[3 + i]->type != REDIS_REPLY_STRING)
                fault(c, "an index does not have it", run->r.id);
    freeReplyObject(r);
    return KEDGE_OK;
}

static int check_records(struct check *c, const struct kit_run *run)
{
    struct kedge_bytes journal = rd_key(c->a, c->prefix, 'j', run->r.id);

    for (uint64_t at = 1; at <= run->r.position; at += RECORDS_AT_ONCE) {
        char from[24];
        char to[24];
        struct kedge_bytes range[2];
        redisReply *r = NULL;
        int rc;

        range[0] =
            (struct kedge_bytes){ from, (size_t)snprintf(from, sizeof from, "%" PRIu64, at - 1) };
        range[1] = (struct kedge_bytes){ to, (size_t)snprintf(to, sizeof to, "%" PRIu64,
                                                              at + RECORDS_AT_ONCE - 2) };
        rd_look_begin(c->s);
        rd_look_command(c->s, "LRANGE", journal, range, 2);
        rc = send_look(c, 1, &r);
        if (rc != KEDGE_OK)
            return rc;
        for (size_t i = 0; r->element[1]->type == REDIS_REPLY_ARRAY && i < r->element[1]->elements;
             i++) {
            struct kedge_record record;

            c->out.records++;
            if (!rd_record_decode(rd_reply_bytes(r->element[1]->element[i]), at + i, &record))
                fault(c, "a record cannot be understood", run->r.id);
        }
        freeReplyObject(r);
    }
    return KEDGE_OK;
}

/* Sets count their empty places; a set's own field has 4 bytes, that of a slot 8. */
static void check_set(struct check *c, const redisReply *fields, size_t at, struct kedge_bytes id)
{
    const redisReply *name = fields->element[at];
    const redisReply *value = fields->element[at + 1];
    uint64_t filled = 0;

    if (name->len != 4)
        return;
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        filled +=
            fields->element[i]->len == 8 && memcmp(fields->element[i]->str, name->str, 4) == 0;
    if (value->len != 8 || filled + rd_get_u32(value->str + 4) != rd_get_u32(value->str))
        fault(c, "the count of empty slots is not that of the set", id);
}

static int check_parts(struct check *c, const struct kit_run *run)
{
    struct rd_session *s = c->s;
    redisReply *r = NULL;
    const redisReply *snapshot;
    const redisReply *slots;
    int rc;

    rd_look_begin(s);
    rd_look_string(s, rd_key(c->a, c->prefix, 's', run->r.id));
    rd_look_command(s, "HGETALL", rd_key(c->a, c->prefix, 'q', run->r.id), NULL, 0);
    rc = send_look(c, 2, &r);
    if (rc != KEDGE_OK)
        return rc;
    snapshot = r->element[1];
    slots = r->element[2];
    if (run->r.snapshot_position != 0 &&
        (snapshot->type != REDIS_REPLY_STRING || snapshot->len < 8 ||
         rd_sum(0, (struct kedge_bytes){ snapshot->str + 8, snapshot->len - 8 }) !=
             rd_get_u64(snapshot->str)))
        fault(c, "the snapshot is missing or cannot be understood", run->r.id);
    if (slots->type != REDIS_REPLY_ARRAY)
        fault(c, "the slots cannot be understood", run->r.id);
    for (size_t i = 0; slots->type == REDIS_REPLY_ARRAY && i + 1 < slots->elements; i += 2)
        check_set(c, slots, i, run->r.id);
    freeReplyObject(r);
    return KEDGE_OK;
}

/* -------------------------------------------------------------------- heads */

static int check_head(struct check *c, struct kedge_bytes id)
{
    struct kedge_mem *mem = NULL;
    struct kit_run run;
    redisReply *r = NULL;
    const char *wrong;
    int rc;

    rd_look_begin(c->s);
    rd_look_run(c->s, id);
    rc = send_look(c, 2, &r);
    if (rc != KEDGE_OK)
        return rc;
    rc = rd_run_read(r->element[1], r->element[2], &run, NULL);
    if (rc == KEDGE_NOT_FOUND) {
        freeReplyObject(r);
        return KEDGE_OK;
    }
    c->out.runs++;
    if (rc != KEDGE_OK || !kit_bytes_equal(run.r.id, id)) {
        fault(c, "the head cannot be understood", id);
        freeReplyObject(r);
        return KEDGE_OK;
    }
    wrong = kit_run_sound(&run);
    if (wrong != NULL)
        fault(c, wrong, id);
    rc = kit_copy_run(c->s->host, &mem, &run.r, &run.r) ? KEDGE_OK : rd_no_memory(c->err);
    freeReplyObject(r);
    if (rc == KEDGE_OK)
        rc = check_indexes(c, &run);
    if (rc == KEDGE_OK)
        rc = check_records(c, &run);
    if (rc == KEDGE_OK)
        rc = check_parts(c, &run);
    kedge_mem_free(c->s->host, mem);
    return rc;
}

/* ------------------------------------------------------------- cells, locks */

static int check_named(struct check *c, char letter, struct kedge_bytes name)
{
    redisReply *r = NULL;
    const redisReply *value;
    struct kit_cell cell;
    struct kit_lock lock;
    int rc;

    rd_look_begin(c->s);
    rd_look_string(c->s, rd_key(c->a, c->prefix, letter, name));
    rc = send_look(c, 1, &r);
    if (rc != KEDGE_OK)
        return rc;
    value = r->element[1];
    if (value->type == REDIS_REPLY_NIL)
        ;
    else if (value->type != REDIS_REPLY_STRING ||
             (letter == 'v' ? !rd_cell_decode(rd_reply_bytes(value), &cell)
                            : !rd_lock_decode(rd_reply_bytes(value), &lock)))
        fault(c, letter == 'v' ? "a cell cannot be understood" : "a lock cannot be understood",
              name);
    freeReplyObject(r);
    return KEDGE_OK;
}

/* ------------------------------------------------------------------- indexes */

/* The row that MEMBER of an index names, with the member itself: three elements, or two. */
static bool ask_owner(struct check *c, char index, struct kedge_bytes key,
                      struct kedge_bytes member)
{
    const char *p = member.data;
    size_t front = index == 'k' || index == 'p' ? 8 : (index == 'x' ? 9 : 16);

    ask_member(c, key, member);
    if (index == 'y' || (index == 'x' && member.len > 1 && p[0] == 'k')) {
        front = index == 'y' ? 8 : 1;
        if (member.len <= front)
            return false;
        rd_look_string(c->s, rd_key(c->a, c->prefix, index == 'y' ? 'v' : 'n',
                                    (struct kedge_bytes){ p + front, member.len - front }));
        return true;
    }
    if (member.len <= front)
        return false;
    rd_look_run(c->s, (struct kedge_bytes){ p + front, member.len - front });
    return true;
}

/* Would a head as it is have this member in the index that has KEY? */
static bool run_calls_for(struct check *c, char index, struct kedge_bytes key,
                          struct kedge_bytes member, const struct kedge_run *r)
{
    struct rd_arena *a = c->a;
    struct kedge_bytes want_key = nothing;
    struct kedge_bytes want = rd_member(a, '\0', r->incarnation, r->id);

    switch (index) {
    case 'k':
        want_key = rd_key_kind(a, c->prefix, class_key(c, r), r->status);
        break;
    case 'p':
        want_key = rd_key_kids(a, c->prefix, r->parent_incarnation);
        break;
    case 'x':
        want_key = rd_key_lease(a, c->prefix, 'x', &r->holder);
        want = rd_member(a, 'r', r->incarnation, r->id);
        break;
    case 'd':
        want_key = rd_key(a, c->prefix, 'd', class_key(c, r));
        want = rd_timed(a, r->due, r->incarnation, r->id);
        break;
    default:
        want_key = key;
        want = rd_timed(a, index == 'o' ? r->hold_until : r->expires, r->incarnation, r->id);
    }
    return kit_bytes_equal(want_key, key) && kit_bytes_equal(want, member);
}

static bool calls_for(struct check *c, char index, struct kedge_bytes key,
                      struct kedge_bytes member, redisReply *const *row, bool is_run)
{
    struct kit_run run;
    struct kit_cell cell;
    struct kit_lock lock;

    if (is_run)
        return rd_run_read(row[0], row[1], &run, NULL) == KEDGE_ERR_CORRUPT || /* told already */
               (rd_run_read(row[0], row[1], &run, NULL) == KEDGE_OK &&
                run_calls_for(c, index, key, member, &run.r));
    if (row[0]->type != REDIS_REPLY_STRING)
        return false;
    if (index == 'y')
        return rd_cell_decode(rd_reply_bytes(row[0]), &cell) &&
               rd_get_u64(member.data) == (uint64_t)cell.expires;
    return rd_lock_decode(rd_reply_bytes(row[0]), &lock) &&
           kit_bytes_equal(rd_key_lease(c->a, c->prefix, 'x', &lock.lease), key);
}

static bool is_run_member(char index, struct kedge_bytes member)
{
    return index != 'y' && !(index == 'x' && *(const char *)member.data == 'k');
}

/* Members of an index with what they name, all at one moment. */
static int check_members(struct check *c, char index, struct kedge_bytes key,
                         const redisReply *members)
{
    redisReply *r = NULL;
    size_t elements = 0;
    size_t at = 1;
    int rc;

    rd_look_begin(c->s);
    for (size_t i = 0; i < members->elements; i++) {
        struct kedge_bytes member = rd_reply_bytes(members->element[i]);

        if (member.len == 0 || !ask_owner(c, index, key, member)) {
            fault(c, "an index has what is no name", key);
            return KEDGE_OK;
        }
        elements += is_run_member(index, member) ? 3 : 2;
    }
    rc = send_look(c, elements, &r);
    for (size_t i = 0; rc == KEDGE_OK && i < members->elements; i++) {
        struct kedge_bytes member = rd_reply_bytes(members->element[i]);
        bool is_run = is_run_member(index, member);

        if (r->element[at]->type == REDIS_REPLY_STRING &&
            !calls_for(c, index, key, member, &r->element[at + 1], is_run))
            fault(c, "an index has what nothing calls for", member);
        at += is_run ? 3 : 2;
    }
    rd_replies_free(&r, 1);
    return rc;
}

static int check_index(struct check *c, char index, struct kedge_bytes key)
{
    struct kedge_bytes range[5] = {
        { "-", 1 }, { "+", 1 }, { "LIMIT", 5 }, { "0", 1 }, { "100", 3 }
    };
    struct rd_arena own = { .host = c->s->host };
    size_t n = 100;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && n == 100) {
        redisReply *r = NULL;
        char *from;

        rd_look_begin(c->s);
        rd_look_command(c->s, "ZRANGEBYLEX", key, range, 5);
        rc = send_look(c, 1, &r);
        if (rc != KEDGE_OK)
            break;
        n = r->element[1]->type == REDIS_REPLY_ARRAY ? r->element[1]->elements : 0;
        rd_arena_reset(c->a);
        if (n != 0)
            rc = check_members(c, index, key, r->element[1]);
        if (n == 100) { /* on from behind the last */
            struct kedge_bytes last = rd_reply_bytes(r->element[1]->element[n - 1]);

            rd_arena_reset(&own);
            from = rd_alloc(&own, last.len + 1);
            if (from == NULL) {
                rc = rd_no_memory(c->err);
            } else {
                from[0] = '(';
                memcpy(from + 1, last.data, last.len);
                range[0] = (struct kedge_bytes){ from, last.len + 1 };
            }
        }
        freeReplyObject(r);
    }
    rd_arena_free(&own);
    return rc;
}

/* ----------------------------------------------------------------- all of it */

static int check_key(struct check *c, struct kedge_bytes key)
{
    size_t front = strlen(c->prefix);
    const char *p = key.data;
    struct kedge_bytes name;

    if (key.len <= front || memcmp(p, c->prefix, front) != 0)
        return KEDGE_OK;
    name = (struct kedge_bytes){ p + front + 1, key.len - front - 1 };
    switch (p[front]) {
    case 'h':
        return check_head(c, name);
    case 'v':
    case 'n':
        return check_named(c, p[front], name);
    case 'd':
    case 'k':
    case 'p':
    case 'x':
    case 'o':
    case 'e':
    case 'y':
        return check_index(c, p[front], key);
    default:
        return KEDGE_OK;
    }
}

static int walk(struct check *c)
{
    struct rd_session *s = c->s;
    char pattern[4096];
    char cursor[32] = "0";
    int rc = KEDGE_OK;

    (void)snprintf(pattern, sizeof pattern, "%s*", c->prefix);
    do {
        struct rd_cmd *cmd = &s->cmds[1];
        redisReply *r = NULL;

        rd_arena_reset(&s->arena);
        rd_cmd_begin(cmd, "SCAN");
        rd_arg_text(&s->arena, cmd, cursor);
        rd_arg_text(&s->arena, cmd, "MATCH");
        rd_arg_text(&s->arena, cmd, pattern);
        rd_arg_text(&s->arena, cmd, "COUNT");
        rd_arg_text(&s->arena, cmd, "200");
        rc = s->arena.failed ? rd_no_memory(c->err)
                             : rd_call_one(&s->link, cmd, &r, REDIS_REPLY_ARRAY, 2, RD_READS,
                                           c->deadline, c->err);
        if (rc != KEDGE_OK)
            break;
        (void)snprintf(cursor, sizeof cursor, "%s", r->element[0]->str);
        for (size_t i = 0; rc == KEDGE_OK && i < r->element[1]->elements; i++) {
            rd_arena_reset(&s->arena);
            rc = check_key(c, rd_reply_bytes(r->element[1]->element[i]));
        }
        freeReplyObject(r);
    } while (rc == KEDGE_OK && strcmp(cursor, "0") != 0);
    return rc;
}

int rd_verify(void *session, struct kedge_verified *out, int64_t timeout_us,
              struct kedge_error *err)
{
    struct rd_session *s = session;
    struct check c = { .s = s,
                       .a = &s->arena,
                       .prefix = s->store->params.prefix,
                       .deadline = rd_deadline(timeout_us),
                       .err = err };
    struct kedge_bytes text;
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = walk(&c);
    if (rc != KEDGE_OK)
        return rc;
    text = (struct kedge_bytes){ c.first, strlen(c.first) + 1 };
    if (!kit_copy(s->host, &c.out.mem, text, &text))
        return rd_no_memory(err);
    c.out.first = text.data;
    *out = c.out;
    return KEDGE_OK;
}
