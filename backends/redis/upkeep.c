/*
 * upkeep.c - purge
 *
 * Purge takes each head with its index rows in one step, if it still is what was read.  What else a
 * run had is then out of the way (keys.h, I4) and goes by a bounded number of rows at a time.
 */
#include <config.h>

#include "rows.h"

#include <stdio.h>
#include <stdlib.h>

static const struct kedge_bytes nothing;

/* -------------------------------------------------------------------- purge */

#define AT_ONCE       64u
#define SLOTS_AT_ONCE 1000u /* a command in a script has room for some thousands */

struct purge {
    struct rd_session *s;
    size_t limit;
    struct kedge_purged out;
    int64_t deadline;
    int64_t now;
};

static size_t room_left(const struct purge *p)
{
    uint64_t done = p->out.runs + p->out.rows;

    return done < p->limit ? (size_t)(p->limit - done) : 0;
}

/* The front of an index by time, what has come of it: members. */
static int read_come(struct purge *p, char letter, size_t n, redisReply **reply,
                     struct kedge_error *err)
{
    struct rd_session *s = p->s;
    struct rd_arena *a = &s->arena;
    char count[24];
    struct kedge_bytes args[5] = { { "-", 1 },
                                   rd_edge(a, '(', p->now > 0 ? (uint64_t)p->now + 1 : 1),
                                   { "LIMIT", 5 },
                                   { "0", 1 },
                                   nothing };
    int rc;

    args[4] = (struct kedge_bytes){ count, (size_t)snprintf(count, sizeof count, "%zu", n) };
    rd_look_begin(s);
    rd_look_command(s, "ZRANGEBYLEX", rd_key(a, s->store->params.prefix, letter, nothing), args, 5);
    rc = rd_look_send(s, 1, reply, &p->now, p->deadline, err);
    if (rc == KEDGE_OK && (*reply)->element[1]->type != REDIS_REPLY_ARRAY) {
        rd_replies_free(reply, 1);
        rc = rd_say(s, KEDGE_ERR_CORRUPT, "an index", err);
    }
    return rc;
}

/* What follows the time (and, in the index of runs, the incarnation) of a member. */
static struct kedge_bytes behind(const redisReply *member, size_t front)
{
    return member->len > front ? (struct kedge_bytes){ member->str + front, member->len - front }
                               : nothing;
}

static int read_now(struct purge *p, struct kedge_error *err)
{
    redisReply *r = NULL;
    int rc;

    rd_look_begin(p->s);
    rc = rd_look_send(p->s, 0, &r, &p->now, p->deadline, err);
    rd_replies_free(&r, 1);
    return rc;
}

/* Runs that may go, from the answers to a look at MEMBERS. */
static size_t may_go(const struct purge *p, const redisReply *members, const redisReply *rows,
                     struct kit_run *list)
{
    size_t n = 0;

    for (size_t i = 0; i < members->elements; i++)
        n += rd_run_read(rows->element[1 + 2 * i], rows->element[2 + 2 * i], &list[n], NULL) ==
                 KEDGE_OK && /* what is not understood is kept, byte for byte */
             kit_run_expired(&list[n], p->now);
    return n;
}

static int remove_runs(struct purge *p, const struct kit_run *list, size_t n, size_t *removed,
                       struct kedge_error *err)
{
    const char *outcomes = "";
    struct rd_build b;
    uint64_t base;
    int rc;

    rd_build_begin(&b, p->s, n, 0);
    for (size_t i = 0; i < n; i++) {
        rd_group_begin(&b);
        rd_expect_run(&b, &list[i]);
        rd_write_run(&b, &list[i], NULL, NULL);
        rd_group_end(&b, list[i].r.expires, INT64_MAX, false, false);
    }
    rc = rd_build_send(&b, n, &outcomes, &base, &p->now, p->deadline, err);
    for (size_t i = 0; rc == KEDGE_OK && i < n; i++)
        if (outcomes[i] == '1') {
            rd_cache_drop(p->s, list[i].r.id);
            p->out.runs++;
            ++*removed;
        }
    return rc;
}

static int purge_runs(struct purge *p, size_t *removed, struct kedge_error *err)
{
    struct rd_session *s = p->s;
    redisReply *members = NULL;
    redisReply *rows = NULL;
    struct kit_run *list;
    size_t n;
    int rc = read_come(p, 'e', room_left(p) < AT_ONCE ? room_left(p) : AT_ONCE, &members, err);

    if (rc != KEDGE_OK)
        return rc;
    n = members->element[1]->elements;
    list = rd_alloc(&s->arena, (n + 1) * sizeof *list);
    rd_look_begin(s);
    for (size_t i = 0; i < n; i++)
        rd_look_run(s, behind(members->element[1]->element[i], 16));
    rc =
        list == NULL ? rd_no_memory(err) : rd_look_send(s, 2 * n, &rows, &p->now, p->deadline, err);
    if (rc == KEDGE_OK) {
        n = may_go(p, members->element[1], rows, list);
        if (n != 0)
            rc = remove_runs(p, list, n, removed, err);
    }
    rd_replies_free(&members, 1);
    rd_replies_free(&rows, 1);
    return rc;
}

/* ------------------------------------------------------- what runs left behind */

/* Rows of one thing that was thrown away: how many, and (slots) the names of some. */
static int look_trash(struct purge *p, struct kedge_bytes name, redisReply **reply,
                      struct kedge_error *err)
{
    struct rd_session *s = p->s;
    struct kedge_bytes key = rd_key(&s->arena, s->store->params.prefix, 'w', name);
    char kind = name.len != 0 ? *(const char *)name.data : 's';
    char count[24];
    size_t most = room_left(p) < SLOTS_AT_ONCE ? room_left(p) : SLOTS_AT_ONCE;
    struct kedge_bytes some = { count, (size_t)snprintf(count, sizeof count, "%zu", most) };

    rd_look_begin(s);
    rd_look_command(s, kind == 'j' ? "LLEN" : (kind == 'q' ? "HLEN" : "EXISTS"), key, NULL, 0);
    if (kind == 'q')
        rd_look_command(s, "HRANDFIELD", key, &some, 1);
    return rd_look_send(s, kind == 'q' ? 2 : 1, reply, &p->now, p->deadline, err);
}

/* As much of NAME as there is room for. */
static int empty_trash(struct purge *p, struct kedge_bytes name, const redisReply *looked,
                       struct kedge_error *err)
{
    struct rd_session *s = p->s;
    struct rd_arena *a = &s->arena;
    const char *prefix = s->store->params.prefix;
    struct kedge_bytes key = rd_key(a, prefix, 'w', name);
    const redisReply *count = looked->element[1];
    size_t rows =
        count->type == REDIS_REPLY_INTEGER && count->integer > 0 ? (size_t)count->integer : 0;
    bool whole = rows <= room_left(p);
    const char *outcomes = "";
    struct rd_build b;
    uint64_t base;
    char text[24];

    rows = whole ? rows : room_left(p);
    (void)snprintf(text, sizeof text, "%zu", rows);
    rd_build_begin(&b, s, 1, 0);
    rd_group_begin(&b);
    if (whole) {
        rd_write_begin(&b, "ZREM", rd_key(a, prefix, 'W', nothing));
        rd_write_arg(&b, name);
        rd_write_end(&b);
        rd_write_begin(&b, "UNLINK", key);
    } else if (*(const char *)name.data == 'j') {
        rd_write_begin(&b, "LTRIM", key);
        rd_write_arg(&b, (struct kedge_bytes){ text, strlen(text) });
        rd_write_arg(&b, (struct kedge_bytes){ "-1", 2 });
    } else {
        rd_write_begin(&b, "HDEL", key);
        rows = looked->element[2]->elements;
        for (size_t i = 0; i < rows; i++)
            rd_write_arg(&b, rd_reply_bytes(looked->element[2]->element[i]));
    }
    rd_write_end(&b);
    rd_group_end(&b, INT64_MIN, INT64_MAX, false, false);
    p->out.rows += rows;
    return rd_build_send(&b, 1, &outcomes, &base, &p->now, p->deadline, err);
}

static int purge_trash(struct purge *p, struct kedge_error *err)
{
    struct rd_session *s = p->s;
    struct kedge_bytes range[2] = { { "0", 1 }, { "15", 2 } };
    redisReply *names = NULL;
    int rc = KEDGE_OK;

    for (size_t n = 1; rc == KEDGE_OK && n != 0;) {
        rd_look_begin(s);
        rd_look_command(s, "ZRANGE", rd_key(&s->arena, s->store->params.prefix, 'W', nothing),
                        range, 2);
        rc = rd_look_send(s, 1, &names, &p->now, p->deadline, err);
        if (rc != KEDGE_OK)
            break;
        n = names->element[1]->elements;
        for (size_t i = 0; rc == KEDGE_OK && i < names->element[1]->elements; i++) {
            redisReply *looked = NULL;

            if (room_left(p) == 0) {
                p->out.more = 1;
                n = 0;
                break;
            }
            rc = look_trash(p, rd_reply_bytes(names->element[1]->element[i]), &looked, err);
            if (rc == KEDGE_OK)
                rc = empty_trash(p, rd_reply_bytes(names->element[1]->element[i]), looked, err);
            rd_replies_free(&looked, 1);
        }
        rd_replies_free(&names, 1);
    }
    return rc;
}

/* May a cell go, as MEMBER of the index says?  One that was written anew since that was read, and
   has expired again, has another entry. */
static bool cell_may_go(const struct purge *p, const redisReply *member, const redisReply *row,
                        struct kit_cell *cell)
{
    return row->type == REDIS_REPLY_STRING && rd_cell_decode(rd_reply_bytes(row), cell) &&
           cell->expires != 0 && cell->expires <= p->now && member->len >= 8 &&
           rd_get_u64(member->str) == (uint64_t)cell->expires;
}

static int purge_cells(struct purge *p, size_t *removed, struct kedge_error *err)
{
    struct rd_session *s = p->s;
    struct rd_arena *a = &s->arena;
    const char *prefix = s->store->params.prefix;
    size_t wanted = room_left(p) < AT_ONCE ? room_left(p) : AT_ONCE;
    redisReply *members = NULL;
    redisReply *rows = NULL;
    const redisReply *list;
    const char *outcomes = "";
    struct rd_build b;
    size_t groups = 0;
    uint64_t base;
    int rc = read_come(p, 'y', wanted, &members, err);

    if (rc != KEDGE_OK)
        return rc;
    list = members->element[1];
    rd_look_begin(s);
    for (size_t i = 0; i < list->elements; i++)
        rd_look_string(s, rd_key(a, prefix, 'v', behind(list->element[i], 8)));
    rc = rd_look_send(s, list->elements, &rows, &p->now, p->deadline, err);
    for (size_t i = 0; rc == KEDGE_OK && i < list->elements; i++) {
        struct kit_cell cell;

        groups += cell_may_go(p, list->element[i], rows->element[1 + i], &cell);
    }
    rd_build_begin(&b, s, groups, 0);
    for (size_t i = 0; rc == KEDGE_OK && i < list->elements; i++) {
        struct kedge_bytes key = rd_key(a, prefix, 'v', behind(list->element[i], 8));
        struct kit_cell cell;

        if (!cell_may_go(p, list->element[i], rows->element[1 + i], &cell))
            continue;
        rd_group_begin(&b);
        rd_expect_u64(&b, key, 0, cell.version);
        rd_write_begin(&b, "ZREM", rd_key(a, prefix, 'y', nothing));
        rd_write_arg(&b, rd_reply_bytes(list->element[i]));
        rd_write_end(&b);
        rd_write_begin(&b, "UNLINK", key);
        rd_write_end(&b);
        rd_group_end(&b, cell.expires, INT64_MAX, false, false);
    }
    if (rc == KEDGE_OK && groups != 0)
        rc = rd_build_send(&b, groups, &outcomes, &base, &p->now, p->deadline, err);
    for (size_t i = 0; rc == KEDGE_OK && i < groups && outcomes[0] != '\0'; i++) {
        p->out.rows += outcomes[i] == '1';
        *removed += outcomes[i] == '1';
    }
    rd_replies_free(&members, 1);
    rd_replies_free(&rows, 1);
    return rc;
}

/* Dead leases that nothing names any more; *more: not all were looked at. */
static int purge_leases(struct purge *p, struct kedge_error *err)
{
    struct rd_session *s = p->s;
    struct rd_arena *a = &s->arena;
    const char *prefix = s->store->params.prefix;
    struct kedge_bytes range[2] = { { "0", 1 }, { "-1", 2 } };
    redisReply *ids = NULL;
    redisReply *rows = NULL;
    const redisReply *list;
    const struct redisReply **gone;
    const char *outcomes = "";
    struct rd_build b;
    size_t groups = 0;
    uint64_t base;
    int rc;

    rd_look_begin(s);
    rd_look_command(s, "ZRANGE", rd_key(a, prefix, 'L', nothing), range, 2);
    rc = rd_look_send(s, 1, &ids, &p->now, p->deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    list = ids->element[1];
    gone = rd_alloc(a, list->elements * sizeof(struct redisReply *));
    rd_look_begin(s);
    for (size_t i = 0; i < list->elements; i++) {
        struct kedge_bytes end[2] = { { "0", 1 }, { "0", 1 } };
        struct kedge_bytes id = rd_reply_bytes(list->element[i]);

        rd_look_command(s, "GETRANGE", rd_key(a, prefix, 'l', id), end, 2);
        rd_look_command(s, "ZCARD", rd_key(a, prefix, 'x', id), NULL, 0);
    }
    rc = gone == NULL ? rd_no_memory(err)
                      : rd_look_send(s, 2 * list->elements, &rows, &p->now, p->deadline, err);
    for (size_t i = 0; rc == KEDGE_OK && i < list->elements; i++) {
        const redisReply *state = rows->element[1 + 2 * i];
        const redisReply *held = rows->element[2 + 2 * i];

        if (state->type != REDIS_REPLY_STRING || state->len != 1 || state->str[0] != 'D' ||
            held->type != REDIS_REPLY_INTEGER || held->integer != 0)
            continue;
        if (groups == room_left(p)) {
            p->out.more = 1;
            break;
        }
        gone[groups++] = list->element[i];
    }
    rd_build_begin(&b, s, groups, 0);
    for (size_t i = 0; rc == KEDGE_OK && i < groups; i++) {
        struct kedge_bytes id = rd_reply_bytes(gone[i]);
        struct kedge_bytes key = rd_key(a, prefix, 'l', id);

        rd_group_begin(&b);
        rd_expect_bytes(&b, key, RD_LEASE_STATE, (struct kedge_bytes){ "D", 1 });
        rd_expect_none(&b, rd_key(a, prefix, 'x', id));
        rd_write_begin(&b, "ZREM", rd_key(a, prefix, 'L', nothing));
        rd_write_arg(&b, id);
        rd_write_end(&b);
        rd_write_begin(&b, "UNLINK", key);
        rd_write_end(&b);
        rd_group_end(&b, INT64_MIN, INT64_MAX, false, false);
    }
    if (rc == KEDGE_OK && groups != 0)
        rc = rd_build_send(&b, groups, &outcomes, &base, &p->now, p->deadline, err);
    for (size_t i = 0; rc == KEDGE_OK && i < groups && outcomes[0] != '\0'; i++)
        p->out.rows += outcomes[i] == '1';
    rd_replies_free(&ids, 1);
    rd_replies_free(&rows, 1);
    return rc;
}

/* Is there something left of what has come? */
static int any_left(struct purge *p, char letter, struct kedge_error *err)
{
    redisReply *r = NULL;
    int rc = read_come(p, letter, 1, &r, err);

    if (rc == KEDGE_OK && r->element[1]->elements != 0)
        p->out.more = 1;
    rd_replies_free(&r, 1);
    return rc;
}

static int purge_all(struct purge *p, char letter,
                     int (*part)(struct purge *, size_t *, struct kedge_error *),
                     struct kedge_error *err)
{
    size_t removed = 1;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && removed != 0 && room_left(p) != 0) {
        removed = 0;
        rc = part(p, &removed, err);
    }
    if (rc == KEDGE_OK && removed != 0)
        rc = any_left(p, letter, err);
    return rc;
}

int rd_purge(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
             struct kedge_error *err)
{
    struct rd_session *s = session;
    struct purge p = { .s = s, .limit = limit, .deadline = rd_deadline(timeout_us) };
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK && limit == 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a purge removes at least one row");
    if (rc == KEDGE_OK)
        rc = read_now(&p, err);
    if (rc == KEDGE_OK)
        rc = purge_all(&p, 'e', purge_runs, err);
    if (rc == KEDGE_OK)
        rc = purge_trash(&p, err);
    if (rc == KEDGE_OK)
        rc = purge_all(&p, 'y', purge_cells, err);
    if (rc == KEDGE_OK)
        rc = purge_leases(&p, err);
    if (rc == KEDGE_ERR_FULL)
        rc = kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0, "Redis (%s) is full",
                             s->store->params.place);
    if (rc == KEDGE_OK)
        *out = p.out;
    return rc;
}
