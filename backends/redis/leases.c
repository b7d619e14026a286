/*
 * leases.c - leases, and the locks that hang on them
 *
 * An extend goes over the store's own connection, ahead of whatever commits are waiting (hints.c).
 * All else is a look, a decision by the kit's rules, and a group that the server carries out if
 * what was looked at is still so.
 */
#include <config.h>

#include "hints.h"
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct kedge_bytes nothing;

static int check_id(const struct kedge_id128 *id, const char *what, struct kedge_error *err)
{
    return kit_id_zero(id) ? kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                             "the id of a %s is all zero: it must be random", what)
                           : KEDGE_OK;
}

static int check_limit(size_t limit, struct kedge_error *err)
{
    return limit >= 1 && limit <= rd_limits.page_max
               ? KEDGE_OK
               : kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a page has 1 to %llu entries, not %zu",
                                 (unsigned long long)rd_limits.page_max, limit);
}

static int bad_cursor(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "the cursor is not one that this list handed out");
}

static struct kedge_bytes lease_key(struct rd_session *s, char letter, const struct kedge_id128 *id)
{
    return rd_key_lease(&s->arena, s->store->params.prefix, letter, id);
}

/* ------------------------------------------------------------ grant, extend */

static void show(struct kedge_lease_state *out, const struct kit_lease *lease, int64_t now)
{
    struct kit_lease view = *lease;

    memset(out, 0, sizeof *out);
    kit_lease_view(&view, now);
    out->deadline = view.l.deadline;
    out->remaining_us = view.l.remaining_us;
    out->attention = view.l.attention;
    out->hint = lease->hint_id[0] == 0 ? KEDGE_HINT_NONE : KEDGE_HINT_PRESENT;
}

/* A lease as it is: OK, NOT_FOUND, or a failure.  MEM holds what it points to; free it. */
static int read_lease(struct rd_session *s, const struct kedge_id128 *id, struct kedge_mem **mem,
                      struct kit_lease *out, int64_t *now, int64_t deadline,
                      struct kedge_error *err)
{
    struct kedge_bytes value;
    redisReply *r = NULL;
    redisReply copy;
    int rc;

    rd_look_begin(s);
    rd_look_string(s, lease_key(s, 'l', id));
    rc = rd_look_confirmed(s, 1, &r, now, deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    copy = *r->element[1];
    value = (struct kedge_bytes){ copy.str, copy.type == REDIS_REPLY_STRING ? copy.len : 0 };
    if (!kit_copy(s->host, mem, value, &value))
        rc = KEDGE_ERR_NOMEM;
    copy.str = (char *)(uintptr_t)value.data;
    if (rc == KEDGE_OK)
        rc = rd_lease_read(s, mem, id, &copy, out);
    freeReplyObject(r);
    return rd_say(s, rc, "the lease", err);
}

/* One group of what was built.  OK: written; STALE: it was not so any more. */
static int send_group(struct rd_build *b, int64_t deadline, struct kedge_error *err)
{
    const char *outcome = "";
    uint64_t base;
    int64_t now;
    int rc = rd_build_send(b, 1, &outcome, &base, &now, deadline, err);

    if (rc == KEDGE_ERR_FULL)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0, "Redis (%s) is full",
                               b->s->store->params.place);
    if (rc != KEDGE_OK)
        return rc;
    if (*outcome == '1')
        return KEDGE_OK;
    return *outcome == 'C' ? rd_say(b->s, KEDGE_ERR_CORRUPT, "what the lease holds", err)
                           : KEDGE_STALE;
}

static int write_new(struct rd_session *s, const struct kit_lease *lease, int64_t deadline,
                     struct kedge_error *err)
{
    struct rd_build b;
    struct kedge_bytes key = lease_key(s, 'l', &lease->l.id);

    rd_build_begin(&b, s, 1, 0);
    rd_group_begin(&b);
    rd_expect_none(&b, key);
    rd_write_begin(&b, "SET", key);
    rd_write_arg(&b, rd_lease_encode(b.a, lease));
    rd_write_end(&b);
    rd_write_begin(&b, "ZADD", rd_key(b.a, b.prefix, 'L', nothing));
    rd_write_arg(&b, (struct kedge_bytes){ "0", 1 });
    rd_write_arg(&b, (struct kedge_bytes){ lease->l.id.b, 16 });
    rd_write_end(&b);
    rd_group_end(&b, INT64_MIN, INT64_MAX, false, false);
    return send_group(&b, deadline, err);
}

/* KEDGE_STALE: somebody granted it in between. */
static int grant_turn(struct rd_session *s, const struct kedge_lease_new *in,
                      const uint64_t hint[3], struct kedge_lease_state *out, int64_t deadline,
                      struct kedge_error *err)
{
    struct kedge_mem *mem = NULL;
    struct kit_lease lease = { 0 };
    int64_t now;
    int rc = read_lease(s, &in->id, &mem, &lease, &now, deadline, err);

    if (rc == KEDGE_OK && !kit_id_equal(&lease.grant_request, &in->request))
        rc = KEDGE_EXISTS;
    if (rc == KEDGE_NOT_FOUND) {
        kit_lease_init(&lease, in, now, now);
        memcpy(lease.hint_id, hint, sizeof lease.hint_id);
        lease.l.incarnation = hint[2];
        rc = write_new(s, &lease, deadline, err);
    }
    if (rc == KEDGE_OK)
        show(out, &lease, now);
    kedge_mem_free(s->host, mem);
    return rc;
}

int rd_lease_grant(void *session, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                   int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    int64_t deadline = rd_deadline(timeout_us);
    uint64_t hint[3];
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_lease(&rd_limits, in, err);
    if (rc == KEDGE_OK)
        rc = rd_hints_register(s->store->hints, &in->id, hint, deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    do {
        rc = grant_turn(s, in, hint, out, deadline, err);
    } while (rc == KEDGE_STALE);
    if (rc != KEDGE_OK && rc != KEDGE_ERR_UNKNOWN)
        rd_hints_forget(s->store->hints, &in->id);
    return rc;
}

/* A sign of life, and what the lease is then. */
static int extend(struct rd_session *s, const struct kedge_id128 *id, struct kit_lease *out,
                  int64_t *now, int64_t deadline, struct kedge_error *err)
{
    struct kedge_mem *mem = NULL;
    redisReply *r = NULL;
    int rc = rd_hints_extend(s->store->hints, id, &r, deadline, err);

    if (rc != KEDGE_OK)
        return rc;
    if (!rd_reply_time(r->element[0], now))
        rc = KEDGE_ERR_CORRUPT;
    else
        rc = rd_lease_read(s, &mem, id, r->element[1], out);
    out->l.owner = nothing;
    out->l.serves = NULL;
    out->l.n_serves = 0;
    kedge_mem_free(s->host, mem);
    freeReplyObject(r);
    return rd_say(s, rc, "the lease", err);
}

int rd_lease_extend(void *session, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                    int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    struct kit_lease l = { 0 };
    int64_t now;
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = check_id(lease, "lease", err);
    if (rc == KEDGE_OK)
        rc = extend(s, lease, &l, &now, rd_deadline(timeout_us), err);
    if (rc == KEDGE_OK)
        show(out, &l, now);
    return rc;
}

/* --------------------------------------------------------------------- revoke */

/* What a lease holds, as read: replies live until the group was sent. */
struct holding {
    redisReply *members;
    redisReply *rows;
};

static void look_member(struct rd_session *s, const redisReply *m)
{
    if (m->len > 9 && m->str[0] == 'r')
        rd_look_run(s, (struct kedge_bytes){ m->str + 9, m->len - 9 });
    else
        rd_look_string(s, rd_key(&s->arena, s->store->params.prefix, 'n',
                                 (struct kedge_bytes){ m->str + 1, m->len - 1 }));
}

static int read_holding(struct rd_session *s, const struct kedge_id128 *lease, struct holding *out,
                        int64_t *now, int64_t deadline, struct kedge_error *err)
{
    struct kedge_bytes range[2] = { { "0", 1 }, { "-1", 2 } };
    const redisReply *list;
    size_t n = 0;
    int rc;

    rd_look_begin(s);
    rd_look_command(s, "ZRANGE", lease_key(s, 'x', lease), range, 2);
    rc = rd_look_send(s, 1, &out->members, now, deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    list = out->members->element[1];
    if (list->type != REDIS_REPLY_ARRAY)
        return rd_say(s, KEDGE_ERR_CORRUPT, "what the lease holds", err);
    rd_look_begin(s);
    for (size_t i = 0; i < list->elements; i++) {
        look_member(s, list->element[i]);
        n += list->element[i]->str[0] == 'r' ? 2 : 1;
    }
    return rd_look_send(s, n, &out->rows, now, deadline, err);
}

static void free_holding(struct holding *h)
{
    rd_replies_free(&h->members, 1);
    rd_replies_free(&h->rows, 1);
}

/* What cannot be understood, or names another by now, is stepped over.  True: a run is due. */
static bool let_go(struct rd_build *b, const struct kedge_id128 *lease, const redisReply *member,
                   redisReply *const *row, int64_t now)
{
    struct kedge_bytes unknown = nothing;
    struct kit_run *old;
    struct kit_run *run;
    struct kit_lock lock;

    if (member->str[0] != 'r') {
        if (row[0]->type == REDIS_REPLY_STRING && rd_lock_decode(rd_reply_bytes(row[0]), &lock) &&
            kit_id_equal(&lock.lease, lease))
            rd_write_lock_gone(b, (struct kedge_bytes){ member->str + 1, member->len - 1 }, &lock);
        return false;
    }
    old = rd_alloc(b->a, sizeof *old);
    run = rd_alloc(b->a, sizeof *run);
    if (old == NULL || run == NULL || rd_run_read(row[0], row[1], old, &unknown) != KEDGE_OK ||
        !kit_id_equal(&old->r.holder, lease))
        return false;
    *run = *old;
    kit_run_hand_back(run, now);
    rd_write_run(b, old, run, &unknown);
    return true;
}

static void expect_member(struct rd_build *b, const redisReply *member, redisReply *const *row)
{
    struct kit_run run;
    struct kit_lock lock;

    if (member->str[0] == 'r') {
        if (rd_run_read(row[0], row[1], &run, NULL) == KEDGE_OK)
            rd_expect_run(b, &run);
    } else if (row[0]->type == REDIS_REPLY_STRING &&
               rd_lock_decode(rd_reply_bytes(row[0]), &lock)) {
        rd_expect_u64(b,
                      rd_key(b->a, b->prefix, 'n',
                             (struct kedge_bytes){ member->str + 1, member->len - 1 }),
                      0, lock.fence);
    }
}

static void write_dead(struct rd_build *b, struct kedge_bytes key, int64_t now)
{
    rd_write_begin(b, "SETRANGE", key);
    rd_write_arg(b, (struct kedge_bytes){ "0", 1 });
    rd_write_arg(b, (struct kedge_bytes){ "D", 1 });
    rd_write_end(b);
    rd_write_begin(b, "SETRANGE", key);
    rd_write_arg(b, (struct kedge_bytes){ "57", 2 });
    rd_write_arg(b, rd_u64_bytes(b->a, now > 0 ? (uint64_t)now : 1));
    rd_write_end(b);
}
_Static_assert(RD_LEASE_STATE == 0 && RD_LEASE_DIED == 57, "the texts in write_dead");

static int revoke_all(struct rd_session *s, const struct kedge_id128 *id, const struct holding *h,
                      int64_t now, int64_t deadline, struct kedge_error *err)
{
    const redisReply *list = h->members->element[1];
    redisReply *const *rows = h->rows->element;
    struct kedge_bytes key = lease_key(s, 'l', id);
    struct rd_build b;
    bool work = false;
    size_t at = 1;

    rd_build_begin(&b, s, 1, 0);
    rd_group_begin(&b);
    rd_expect_bytes(&b, key, RD_LEASE_STATE, (struct kedge_bytes){ "L", 1 });
    rd_expect_members(&b, lease_key(s, 'x', id), list->elements);
    for (size_t i = 0; i < list->elements; i++) {
        expect_member(&b, list->element[i], &rows[at]);
        at += list->element[i]->str[0] == 'r' ? 2 : 1;
    }
    write_dead(&b, key, now);
    at = 1;
    for (size_t i = 0; i < list->elements; i++) {
        work = let_go(&b, id, list->element[i], &rows[at], now) || work;
        at += list->element[i]->str[0] == 'r' ? 2 : 1;
    }
    rd_group_end(&b, INT64_MIN, INT64_MAX, false, work);
    return send_group(&b, deadline, err);
}

static int revoke_turn(struct rd_session *s, const struct kedge_id128 *id, int64_t deadline,
                       struct kedge_error *err)
{
    struct holding h = { NULL, NULL };
    struct kedge_mem *mem = NULL;
    struct kit_lease lease = { 0 };
    int64_t now;
    int rc = read_lease(s, id, &mem, &lease, &now, deadline, err);
    bool dead = rc == KEDGE_OK && lease.l.state == KEDGE_LEASE_DEAD;

    kedge_mem_free(s->host, mem);
    if (rc != KEDGE_OK || dead)
        return rc;
    rc = read_holding(s, id, &h, &now, deadline, err);
    if (rc == KEDGE_OK)
        rc = revoke_all(s, id, &h, now, deadline, err);
    free_holding(&h);
    return rc;
}

int rd_lease_revoke(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                    struct kedge_error *err)
{
    struct rd_session *s = session;
    int64_t deadline = rd_deadline(timeout_us);
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = check_id(lease, "lease", err);
    if (rc != KEDGE_OK)
        return rc;
    do {
        rc = revoke_turn(s, lease, deadline, err);
    } while (rc == KEDGE_STALE && rd_mono_us() < deadline);
    if (rc == KEDGE_STALE)
        rc = kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                             "what the lease holds kept changing; nothing was written, try again");
    if (rc == KEDGE_OK)
        rd_hints_forget(s->store->hints, lease);
    return rc;
}

/* ----------------------------------------------------------------------- bury */

/* All leases there are: ids, then records, in one page of MEM. */
struct fleet {
    struct kit_lease *leases;
    size_t n;
};

static int read_ids(struct rd_session *s, struct kedge_bytes from, size_t limit,
                    struct kedge_id128 **ids, size_t *n, int64_t deadline, struct kedge_error *err)
{
    struct kedge_bytes args[5] = { from, { "+", 1 }, { "LIMIT", 5 }, { "0", 1 }, { NULL, 0 } };
    char text[24];
    redisReply *r = NULL;
    int64_t now;
    int rc;

    args[4] = (struct kedge_bytes){ text, (size_t)snprintf(text, sizeof text, "%zu", limit) };
    rd_look_begin(s);
    rd_look_command(s, "ZRANGEBYLEX", rd_key(&s->arena, s->store->params.prefix, 'L', nothing),
                    args, 5);
    rc = rd_look_send(s, 1, &r, &now, deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    *n = 0;
    *ids = rd_alloc(&s->arena, r->element[1]->elements * sizeof **ids);
    for (size_t i = 0; *ids != NULL && i < r->element[1]->elements; i++) {
        const redisReply *id = r->element[1]->element[i];

        if (id->type == REDIS_REPLY_STRING && id->len == 16)
            memcpy((*ids)[(*n)++].b, id->str, 16);
    }
    freeReplyObject(r);
    return s->arena.failed ? rd_no_memory(err) : KEDGE_OK;
}

/* Records of IDS; what has none is left out, what cannot be understood is shown as dead. */
static int read_records(struct rd_session *s, struct kedge_mem **mem, const struct kedge_id128 *ids,
                        size_t n, struct fleet *out, int64_t *now, int64_t deadline,
                        struct kedge_error *err)
{
    redisReply *r = NULL;
    int rc;

    out->n = 0;
    out->leases = kedge_mem_alloc(s->host, mem, (n + 1) * sizeof *out->leases);
    if (out->leases == NULL)
        return rd_no_memory(err);
    rd_look_begin(s);
    for (size_t i = 0; i < n; i++)
        rd_look_string(s, lease_key(s, 'l', &ids[i]));
    rc = rd_look_send(s, n, &r, now, deadline, err);
    for (size_t i = 0; rc == KEDGE_OK && i < n; i++) {
        struct kit_lease *l = &out->leases[out->n];
        redisReply copy = *r->element[1 + i];
        struct kedge_bytes b = { copy.str, copy.type == REDIS_REPLY_STRING ? copy.len : 0 };

        if (copy.type == REDIS_REPLY_NIL)
            continue;
        if (!kit_copy(s->host, mem, b, &b)) {
            rc = rd_no_memory(err);
            break;
        }
        copy.str = (char *)(uintptr_t)b.data;
        rc = rd_lease_read(s, mem, &ids[i], &copy, l);
        if (rc == KEDGE_ERR_CORRUPT) { /* it protects nothing */
            memset(l, 0, sizeof *l);
            l->l.id = ids[i];
            l->l.state = KEDGE_LEASE_DEAD;
            rc = KEDGE_OK;
        }
        rc = rd_say(s, rc, "a lease", err);
        out->n++;
    }
    rd_replies_free(&r, 1);
    return rc;
}

/* How many leases are live, and how many of these look dead by their hint alone. */
static int mass(struct rd_session *s, int64_t ttl_us, bool *ignored, int64_t deadline,
                struct kedge_error *err)
{
    struct kedge_mem *mem = NULL;
    struct kedge_id128 *ids;
    struct fleet fleet = { 0 };
    uint32_t *hint = NULL;
    int64_t *absent_us = NULL;
    int64_t longest = 0;
    int64_t now;
    size_t live = 0;
    size_t absent = 0;
    size_t n;
    int rc = read_ids(s, (struct kedge_bytes){ "-", 1 }, 100000, &ids, &n, deadline, err);

    if (rc == KEDGE_OK)
        rc = read_records(s, &mem, ids, n, &fleet, &now, deadline, err);
    if (rc == KEDGE_OK) {
        hint = rd_alloc(&s->arena, n * sizeof *hint);
        absent_us = rd_alloc(&s->arena, n * sizeof *absent_us);
        rc = hint == NULL || absent_us == NULL
                 ? rd_no_memory(err)
                 : rd_hints_look(s, fleet.leases, fleet.n, hint, absent_us, deadline, err);
    }
    for (size_t i = 0; rc == KEDGE_OK && i < fleet.n; i++) {
        if (fleet.leases[i].l.state == KEDGE_LEASE_DEAD)
            continue;
        live++;
        absent += hint[i] == KEDGE_HINT_ABSENT;
        if (fleet.leases[i].l.ttl_us > longest)
            longest = fleet.leases[i].l.ttl_us;
    }
    if (rc == KEDGE_OK) {
        int64_t since = rd_hints_mass(s->store->hints, live, absent, longest);

        *ignored = since >= 0 && since < ttl_us;
    }
    kedge_mem_free(s->host, mem);
    return rc;
}

/*
 * Was it last extended under an earlier server process, and is the present one new?  It is, too, as
 * long as nobody has noted that he met it: PRESENT is the process that was asked, 0: not known.
 */
static bool is_early(const struct kit_lease *lease, const redisReply *seen, uint64_t present,
                     int64_t now)
{
    if (seen->type != REDIS_REPLY_STRING || seen->len != 16)
        return false;
    if (present != 0 && rd_get_u64(seen->str) != present)
        return lease->l.incarnation != present;
    return rd_get_u64(seen->str) != lease->l.incarnation &&
           now - (int64_t)rd_get_u64(seen->str + 8) < lease->l.ttl_us;
}

static int suspect(struct rd_session *s, const struct kit_lease *lease, int64_t now,
                   struct kit_suspicion *out, int64_t deadline, struct kedge_error *err)
{
    redisReply *r = NULL;
    uint32_t hint = KEDGE_HINT_NONE;
    int64_t ignored;
    int rc;

    memset(out, 0, sizeof *out);
    rd_look_begin(s);
    rd_look_string(s, rd_key(&s->arena, s->store->params.prefix, 'i', nothing));
    rc = rd_look_send(s, 1, &r, &ignored, deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    out->early = is_early(lease, r->element[1], s->link.conn.incarnation, now);
    freeReplyObject(r);
    rc = rd_hints_look(s, lease, 1, &hint, &out->absent_us, deadline, err);
    out->hint_absent = hint == KEDGE_HINT_ABSENT;
    if (rc == KEDGE_OK && out->hint_absent)
        rc = mass(s, lease->l.ttl_us, &out->hints_ignored, deadline, err);
    return rc;
}

/* What a heartbeat changes, as it was read. */
static struct kedge_bytes heartbeat(struct rd_session *s, const struct kit_lease *lease)
{
    unsigned char *p = rd_alloc(&s->arena, 40);

    if (p == NULL)
        return nothing;
    rd_put_u64(p, (uint64_t)lease->l.deadline);
    rd_put_u64(p + 8, (uint64_t)lease->extended);
    rd_put_u64(p + 16, lease->hint_id[0]);
    rd_put_u64(p + 24, lease->hint_id[1]);
    rd_put_u64(p + 32, lease->l.incarnation);
    return (struct kedge_bytes){ p, 40 };
}

static int write_burial(struct rd_session *s, const struct kit_lease *lease, int64_t now,
                        int64_t deadline, struct kedge_error *err)
{
    struct kedge_bytes key = lease_key(s, 'l', &lease->l.id);
    struct rd_build b;

    rd_build_begin(&b, s, 1, 0);
    rd_group_begin(&b);
    rd_expect_bytes(&b, key, RD_LEASE_STATE, (struct kedge_bytes){ "L", 1 });
    rd_expect_bytes(&b, key, RD_LEASE_DEADLINE, heartbeat(s, lease));
    write_dead(&b, key, now);
    /* Not if the clock has stepped back since: then it is as if it had been extended. */
    rd_group_end(&b, kit_lease_lapsed(lease, now) ? lease->l.deadline : lease->extended, INT64_MAX,
                 false, true);
    return send_group(&b, deadline, err);
}

/* The clock stepped back behind the last extend: a new deadline.  Nothing if it has changed. */
static int write_restamp(struct rd_session *s, const struct kit_lease *was, int64_t now,
                         int64_t deadline, struct kedge_error *err)
{
    struct kedge_bytes key = lease_key(s, 'l', &was->l.id);
    struct kit_lease lease = *was;
    struct rd_build b;
    int rc;

    (void)kit_lease_restamp(&lease, now);
    rd_build_begin(&b, s, 1, 0);
    rd_group_begin(&b);
    rd_expect_bytes(&b, key, RD_LEASE_STATE, (struct kedge_bytes){ "L", 1 });
    rd_expect_bytes(&b, key, RD_LEASE_DEADLINE, heartbeat(s, was));
    rd_write_begin(&b, "SETRANGE", key);
    rd_write_arg(&b, (struct kedge_bytes){ "17", 2 });
    rd_write_arg(&b, heartbeat(s, &lease));
    rd_write_end(&b);
    rd_group_end(&b, INT64_MIN, INT64_MAX, false, false);
    rc = send_group(&b, deadline, err);
    return rc == KEDGE_STALE || rc == KEDGE_ERR_UNKNOWN ? KEDGE_OK : rc;
}
_Static_assert(RD_LEASE_DEADLINE == 17, "the text in write_restamp");

/* KEDGE_STALE: it was extended in between. */
static int bury_turn(struct rd_session *s, const struct kedge_id128 *id, int64_t deadline,
                     struct kedge_error *err)
{
    struct kit_suspicion suspicion;
    struct kedge_mem *mem = NULL;
    struct kit_lease lease = { 0 };
    int64_t now;
    int rc = read_lease(s, id, &mem, &lease, &now, deadline, err);

    kedge_mem_free(s->host, mem);
    if (rc != KEDGE_OK || lease.l.state == KEDGE_LEASE_DEAD)
        return rc;
    if (now < lease.extended) {
        rc = write_restamp(s, &lease, now, deadline, err);
        return rc == KEDGE_OK ? KEDGE_HELD : rc;
    }
    rc = suspect(s, &lease, now, &suspicion, deadline, err);
    if (rc == KEDGE_OK)
        rc = kit_lease_may_bury(&lease, now, &suspicion);
    return rc == KEDGE_OK ? write_burial(s, &lease, now, deadline, err) : rc;
}

int rd_lease_bury(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                  struct kedge_error *err)
{
    struct rd_session *s = session;
    int64_t deadline = rd_deadline(timeout_us);
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = check_id(lease, "lease", err);
    if (rc != KEDGE_OK)
        return rc;
    do {
        rc = bury_turn(s, lease, deadline, err);
    } while (rc == KEDGE_STALE && rd_mono_us() < deadline);
    return rc == KEDGE_STALE ? KEDGE_HELD : rc;
}

/* ---------------------------------------------------------------------- lists */

static int show_page(struct rd_session *s, const struct fleet *fleet, int64_t now,
                     struct kedge_lease_page *out, int64_t deadline, struct kedge_error *err)
{
    uint32_t *hint = rd_alloc(&s->arena, fleet->n * sizeof *hint);
    int64_t *absent_us = rd_alloc(&s->arena, fleet->n * sizeof *absent_us);
    int rc;

    out->leases = kedge_mem_alloc(s->host, &out->mem, (fleet->n + 1) * sizeof *out->leases);
    if (hint == NULL || absent_us == NULL || out->leases == NULL)
        return rd_no_memory(err);
    rc = rd_hints_look(s, fleet->leases, fleet->n, hint, absent_us, deadline, err);
    for (size_t i = 0; rc == KEDGE_OK && i < fleet->n; i++) {
        struct kit_lease *l = &fleet->leases[i];

        if (l->l.state != KEDGE_LEASE_DEAD && now < l->extended)
            rc = write_restamp(s, l, now, deadline, err);
        kit_lease_view(l, now);
        l->l.hint = l->l.state == KEDGE_LEASE_DEAD ? KEDGE_HINT_NONE : hint[i];
        out->leases[out->n++] = l->l;
    }
    return rc;
}

int rd_lease_list(void *session, struct kedge_bytes cursor, size_t limit,
                  struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    int64_t deadline = rd_deadline(timeout_us);
    struct kedge_lease_page page = { 0 };
    struct kedge_bytes from = { "-", 1 };
    struct kedge_id128 *ids = NULL;
    struct fleet fleet = { NULL, 0 };
    char after[17];
    int64_t now = 0;
    size_t n = 0;
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = check_limit(limit, err);
    if (rc == KEDGE_OK && cursor.len != 0 && cursor.len != 16)
        rc = bad_cursor(err);
    if (rc != KEDGE_OK)
        return rc;
    if (cursor.len != 0) {
        after[0] = '(';
        memcpy(after + 1, cursor.data, 16);
        from = (struct kedge_bytes){ after, sizeof after };
    }
    rc = read_ids(s, from, limit + 1, &ids, &n, deadline, err);
    if (rc == KEDGE_OK && n > limit) {
        n = limit;
        if (!kit_copy(s->host, &page.mem, (struct kedge_bytes){ ids[n - 1].b, 16 }, &page.next))
            rc = rd_no_memory(err);
    }
    if (rc == KEDGE_OK)
        rc = read_records(s, &page.mem, ids, n, &fleet, &now, deadline, err);
    if (rc == KEDGE_OK)
        rc = show_page(s, &fleet, now, &page, deadline, err);
    if (rc == KEDGE_OK)
        *out = page;
    else
        kedge_mem_free(s->host, page.mem);
    return rc;
}

/* Its trouble is its own: what cannot be understood is left out. */
static int show_held(struct rd_session *s, struct kedge_held_page *out, const redisReply *member,
                     redisReply *const *row)
{
    struct kedge_held *h = &out->held[out->n];
    struct kit_run run;
    struct kit_lock lock;

    memset(h, 0, sizeof *h);
    if (member->str[0] == 'r') {
        if (rd_run_read(row[0], row[1], &run, NULL) != KEDGE_OK)
            return KEDGE_OK;
        h->fence = run.r.fence;
        h->requests = run.r.requests;
        h->name = run.r.id;
    } else {
        if (row[0]->type != REDIS_REPLY_STRING || !rd_lock_decode(rd_reply_bytes(row[0]), &lock))
            return KEDGE_OK;
        h->is_lock = 1;
        h->fence = lock.fence;
        h->name = (struct kedge_bytes){ member->str + 1, member->len - 1 };
    }
    if (!kit_copy(s->host, &out->mem, h->name, &h->name))
        return KEDGE_ERR_NOMEM;
    out->n++;
    return KEDGE_OK;
}

static int held_page(struct rd_session *s, const redisReply *list, size_t limit,
                     struct kedge_held_page *out, int64_t deadline, struct kedge_error *err)
{
    size_t n = list->elements < limit ? list->elements : limit;
    redisReply *r = NULL;
    size_t elements = 0;
    size_t at = 1;
    int64_t now;
    int rc;

    out->held = kedge_mem_alloc(s->host, &out->mem, (n + 1) * sizeof *out->held);
    if (out->held == NULL)
        return rd_no_memory(err);
    if (list->elements > n) {
        const redisReply *next = list->element[n];

        if (!kit_copy(s->host, &out->mem, rd_reply_bytes(next), &out->next))
            return rd_no_memory(err);
    }
    rd_look_begin(s);
    for (size_t i = 0; i < n; i++) {
        look_member(s, list->element[i]);
        elements += list->element[i]->str[0] == 'r' ? 2 : 1;
    }
    rc = rd_look_send(s, elements, &r, &now, deadline, err);
    for (size_t i = 0; rc == KEDGE_OK && i < n; i++) {
        rc = rd_say(s, show_held(s, out, list->element[i], &r->element[at]), "a row", err);
        at += list->element[i]->str[0] == 'r' ? 2 : 1;
    }
    rd_replies_free(&r, 1);
    return rc;
}

int rd_list_held(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                 size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                 struct kedge_error *err)
{
    struct rd_session *s = session;
    int64_t deadline = rd_deadline(timeout_us);
    struct kedge_held_page page = { 0 };
    struct kedge_bytes args[5] = {
        { "-", 1 }, { "+", 1 }, { "LIMIT", 5 }, { "0", 1 }, { NULL, 0 }
    };
    char count[24];
    char *from;
    redisReply *r = NULL;
    int64_t now;
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = check_limit(limit, err);
    if (rc == KEDGE_OK && cursor.len != 0 &&
        (((const char *)cursor.data)[0] != 'r' && ((const char *)cursor.data)[0] != 'k'))
        rc = bad_cursor(err);
    if (rc != KEDGE_OK)
        return rc;
    from = rd_alloc(&s->arena, cursor.len + 1);
    if (from == NULL)
        return rd_no_memory(err);
    if (cursor.len != 0) {
        from[0] = '[';
        memcpy(from + 1, cursor.data, cursor.len);
        args[0] = (struct kedge_bytes){ from, cursor.len + 1 };
    }
    args[4] =
        (struct kedge_bytes){ count, (size_t)snprintf(count, sizeof count, "%zu", limit + 1) };
    rd_look_begin(s);
    rd_look_command(s, "ZRANGEBYLEX", lease_key(s, 'x', lease), args, 5);
    rc = rd_look_send(s, 1, &r, &now, deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    if (r->element[1]->type == REDIS_REPLY_ARRAY)
        rc = held_page(s, r->element[1], limit, &page, deadline, err);
    else
        rc = rd_say(s, KEDGE_ERR_CORRUPT, "what the lease holds", err);
    freeReplyObject(r);
    if (rc == KEDGE_OK)
        *out = page;
    else
        kedge_mem_free(s->host, page.mem);
    return rc;
}

/* ---------------------------------------------------------------------- locks */

static int check_lock(struct rd_session *s, struct kedge_bytes name,
                      const struct kedge_id128 *lease, int64_t timeout_us, struct kedge_error *err)
{
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&rd_limits, name, "the name of a lock", err);
    return rc == KEDGE_OK && lease != NULL ? check_id(lease, "lease", err) : rc;
}

int rd_lock_acquire(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                    const struct kedge_id128 *request, struct kedge_lock_state *out,
                    int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    int rc = check_lock(s, name, lease, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = check_id(request, "request", err);
    return rc == KEDGE_OK
               ? kit_remote_lock_acquire(s->remote, name, lease, request, out, timeout_us, err)
               : rc;
}

int rd_lock_extend(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                   uint64_t fence, struct kedge_lock_state *out, int64_t timeout_us,
                   struct kedge_error *err)
{
    struct rd_session *s = session;
    int64_t deadline = rd_deadline(timeout_us);
    struct kit_lease l = { 0 };
    int64_t now;
    int rc = check_lock(s, name, lease, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_remote_lock_check(s->remote, name, lease, fence, timeout_us, err);
    if (rc == KEDGE_OK)
        rc = extend(s, lease, &l, &now, deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    kit_lease_view(&l, now);
    *out = (struct kedge_lock_state){ *lease, fence, l.l.remaining_us };
    return KEDGE_OK;
}

int rd_lock_release(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                    uint64_t fence, int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    int rc = check_lock(s, name, lease, timeout_us, err);

    return rc == KEDGE_OK ? kit_remote_lock_release(s->remote, name, lease, fence, timeout_us, err)
                          : rc;
}

int rd_lock_query(void *session, struct kedge_bytes name, struct kedge_lock_state *out,
                  int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    int rc = check_lock(s, name, NULL, timeout_us, err);

    return rc == KEDGE_OK ? kit_remote_lock_query(s->remote, name, out, timeout_us, err) : rc;
}
