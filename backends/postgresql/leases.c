/*
 * leases.c - leases, their hints, and the locks that hang on them
 *
 * Whether a lease may be buried is decided here, by the rule of the kit, on a look; the burial
 * itself compares what the decision rested on while it excludes the holder (schema.c).
 */
#include <config.h>

#include "session.h"

/* Columns behind PG_LEASE_COLUMNS in the answers about leases. */
enum { AT_NOW = PG_LEASE_WIDTH, AT_STANDING };

/* ------------------------------------------------------------ grant, extend */

/* The answer of grant_lease() and extend_lease(). */
struct stamped {
    int code;
    int64_t no;
    struct kedge_lease_state state;
};

static void stamped_read(const PGresult *r, struct stamped *out)
{
    struct kit_lease k = { .l = { .state = KEDGE_LEASE_LIVE } };
    int64_t now = pg_i64(r, 0, 1);

    memset(out, 0, sizeof *out);
    out->code = (int)pg_i64(r, 0, 0);
    k.l.deadline = pg_i64(r, 0, 2);
    k.extended = pg_i64(r, 0, 3);
    k.l.ttl_us = pg_i64(r, 0, 4);
    out->no = pg_i64(r, 0, 6);
    if (pg_i64(r, 0, 7) != 0)
        k.l.state = KEDGE_LEASE_DEAD;
    kit_lease_view(&k, now);
    out->state.deadline = k.l.deadline;
    out->state.remaining_us = k.l.remaining_us;
    out->state.attention = (uint64_t)pg_i64(r, 0, 5);
    out->state.hint = pg_bool(r, 0, 8) ? KEDGE_HINT_PRESENT : KEDGE_HINT_NONE;
}

static int stamp(struct pg_store *st, struct pg_query *q, int64_t end, struct stamped *out,
                 struct kedge_error *err)
{
    int rc = pg_run(&st->life, q, 1, PG_WRITE, end, err);

    if (rc != KEDGE_OK)
        return rc;
    stamped_read(q->result, out);
    pg_clear(q, 1);
    return KEDGE_OK;
}

/* No fork, a sensible timeout, and the lifeline. */
static int enter_life(struct pg_session *s, int64_t timeout_us, int64_t *end,
                      struct kedge_error *err)
{
    int rc = kit_check_timeout(timeout_us, err);

    if (rc == KEDGE_OK)
        rc = pg_check_fork(s->store, err);
    if (rc != KEDGE_OK)
        return rc;
    *end = pg_end(timeout_us);
    return pg_life_enter(s->store, *end, err);
}

int pg_lease_grant(void *session, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                   int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    struct pg_conn *c = &s->store->life;
    struct stamped got;
    struct pg_query q;
    uint64_t made;
    int64_t end;
    int rc = pg_check_fork(s->store, err);

    if (rc == KEDGE_OK)
        rc = kit_check_lease(&pg_limits, in, err);
    if (rc == KEDGE_OK)
        rc = enter_life(s, timeout_us, &end, err);
    if (rc != KEDGE_OK)
        return rc;
    made = c->made;
    pg_query_init(&q, PG_SQL_GRANT);
    pg_arg_id(c, &q, &in->id);
    pg_arg_id(c, &q, &in->request);
    pg_arg_bytes(c, &q, in->owner);
    pg_arg_open(c, &q);
    pg_put_serves(&c->out, in->serves, in->n_serves);
    pg_arg_close(c, &q);
    pg_arg_i64(c, &q, in->ttl_us);
    pg_arg_bool(c, &q, !c->pooled);
    rc = stamp(s->store, &q, end, &got, err);
    if (rc == KEDGE_OK && got.code == KEDGE_OK && !c->pooled)
        pg_hints_own(s->store->hints, &in->id, got.no, made);
    pg_life_leave(s->store);
    if (rc != KEDGE_OK || got.code != KEDGE_OK)
        return rc != KEDGE_OK ? rc : got.code;
    *out = got.state;
    return KEDGE_OK;
}

static int extend(struct pg_session *s, const struct kedge_id128 *lease, int64_t end,
                  struct kedge_lease_state *out, struct kedge_error *err)
{
    struct pg_conn *c = &s->store->life;
    uint64_t made = c->made;
    bool hint = !c->pooled;
    struct stamped got;
    struct pg_query q;
    int rc;

    pg_query_init(&q, PG_SQL_EXTEND);
    pg_arg_id(c, &q, lease);
    pg_arg_bool(c, &q, hint && !pg_hints_standing(s->store->hints, lease, made));
    pg_arg_bool(c, &q, hint);
    rc = stamp(s->store, &q, end, &got, err);
    if (rc != KEDGE_OK)
        return rc;
    if (got.code != KEDGE_OK)
        return got.code;
    if (hint)
        pg_hints_own(s->store->hints, lease, got.no, made);
    *out = got.state;
    return KEDGE_OK;
}

/* The holder is gone: its session lock as well.  On the lifeline. */
static void unhint(struct pg_session *s, const struct kedge_id128 *lease, int64_t end)
{
    struct pg_conn *c = &s->store->life;
    int64_t no = pg_hints_disown(s->store->hints, lease);
    struct pg_query q;

    if (no == 0 || c->pooled)
        return;
    pg_begin(c);
    pg_query_init(&q, PG_SQL_UNHINT);
    pg_arg_i64(c, &q, no);
    (void)pg_run(c, &q, 1, PG_READ, end, NULL);
    pg_clear(&q, 1);
}

int pg_lease_extend(void *session, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                    int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    int64_t end;
    int rc = pg_check_fork(s->store, err);

    if (rc == KEDGE_OK)
        rc = pg_check_id(lease, "lease", err);
    if (rc == KEDGE_OK)
        rc = enter_life(s, timeout_us, &end, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = extend(s, lease, end, out, err);
    if (rc == KEDGE_LOST)
        unhint(s, lease, end);
    pg_life_leave(s->store);
    return rc;
}

/* ------------------------------------------------------------ revoke, bury */

/* Asks with the one parameter LEASE and those already there; the code it answers. */
static int end_lease(struct pg_session *s, struct pg_query *q, int64_t end, struct kedge_error *err)
{
    int rc = pg_run(&s->conn, q, 1, PG_WRITE, end, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = (int)pg_i64(q->result, 0, 0);
    pg_clear(q, 1);
    return rc;
}

int pg_lease_revoke(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                    struct kedge_error *err)
{
    struct pg_session *s = session;
    struct pg_query q;
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = pg_check_id(lease, "lease", err);
    if (rc != KEDGE_OK)
        return rc;
    pg_query_init(&q, PG_SQL_REVOKE);
    pg_arg_id(&s->conn, &q, lease);
    rc = end_lease(s, &q, end, err);
    if (rc == KEDGE_OK)
        (void)pg_hint(s, end, NULL);
    if (rc == KEDGE_OK && pg_life_enter(s->store, end, NULL) == KEDGE_OK) {
        unhint(s, lease, end);
        pg_life_leave(s->store);
    }
    return rc;
}

/* All leases that are not dead, and the one that is asked for. */
struct suspects {
    const PGresult *r;
    int64_t now;
    uint64_t incarnation;
    int64_t since; /* when it was first seen */
};

static bool is_absent(const PGresult *r, int row)
{
    return pg_bool(r, row, PG_LEASE_WIDTH - 2) && !pg_bool(r, row, AT_STANDING);
}

static void suspect(struct pg_session *s, const struct suspects *all, const struct pg_lease *lease,
                    int row, struct kit_suspicion *out)
{
    size_t live = 0;
    size_t absent = 0;
    int64_t longest = 0;
    int64_t mass;

    memset(out, 0, sizeof *out);
    out->early =
        lease->k.l.incarnation != all->incarnation && all->now - all->since < lease->k.l.ttl_us;
    out->hint_absent = is_absent(all->r, row);
    out->absent_us =
        pg_hints_saw(s->store->hints, &lease->k.l.id, lease->k.extended, out->hint_absent);
    if (!out->hint_absent)
        return;
    for (int i = 0; i < PQntuples(all->r); i++) {
        int64_t ttl = pg_i64(all->r, i, 4);

        if (pg_i64(all->r, i, 7) != 0)
            continue;
        live++;
        absent += is_absent(all->r, i);
        longest = ttl > longest ? ttl : longest;
    }
    mass = pg_hints_mass(s->store->hints, live, absent, longest);
    out->hints_ignored = mass >= 0 && mass < lease->k.l.ttl_us;
}

/* The row of lease ID; -1: there is none. */
static int row_of(const PGresult *r, const struct kedge_id128 *id)
{
    struct kedge_id128 there;

    for (int i = 0; i < PQntuples(r); i++) {
        pg_id(r, i, 0, &there);
        if (kit_id_equal(&there, id))
            return i;
    }
    return -1;
}

/* OK: it may be buried as LEASE was seen; *BY_HINT: not because of its deadline. */
static int judge(struct pg_session *s, const struct suspects *all, const struct kedge_id128 *id,
                 struct kedge_mem **mem, struct pg_lease *lease, bool *by_hint, bool *stepped_back)
{
    struct kit_suspicion suspicion;
    int row = row_of(all->r, id);

    if (row < 0)
        return KEDGE_NOT_FOUND;
    if (!pg_lease_copy(s->host, mem, all->r, row, 0, lease))
        return KEDGE_ERR_NOMEM;
    *stepped_back = lease->k.l.state != KEDGE_LEASE_DEAD && all->now < lease->k.extended;
    if (*stepped_back)
        return KEDGE_HELD;
    suspect(s, all, lease, row, &suspicion);
    *by_hint = !kit_lease_lapsed(&lease->k, all->now);
    return kit_lease_may_bury(&lease->k, all->now, &suspicion);
}

static int restamp(struct pg_session *s, int64_t end, struct kedge_error *err)
{
    struct pg_query q;
    int rc;

    pg_begin(&s->conn);
    pg_query_init(&q, PG_SQL_RESTAMP);
    rc = pg_run(&s->conn, &q, 1, PG_NOTE, end, err);
    pg_clear(&q, 1);
    return rc;
}

int pg_lease_bury(void *session, const struct kedge_id128 *id, int64_t timeout_us,
                  struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_mem *mem = NULL;
    struct pg_lease lease = { .no = 0 };
    bool stepped_back = false;
    bool by_hint = false;
    struct suspects all;
    struct pg_query q[2];
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = pg_check_id(id, "lease", err);
    if (rc != KEDGE_OK)
        return rc;
    pg_query_init(&q[0], PG_SQL_SUSPECT);
    pg_arg_id(&s->conn, &q[0], id);
    pg_query_init(&q[1], PG_SQL_INCARNATION); /* it may note a new one: no read-only transaction */
    rc = pg_run(&s->conn, q, 2, PG_NOTE, end, err);
    if (rc != KEDGE_OK)
        return rc;
    all.r = q[0].result;
    all.now = PQntuples(all.r) > 0 ? pg_i64(all.r, 0, AT_NOW) : 0;
    all.incarnation = (uint64_t)pg_i64(q[1].result, 0, 0);
    all.since = pg_i64(q[1].result, 0, 1);
    rc = judge(s, &all, id, &mem, &lease, &by_hint, &stepped_back);
    pg_clear(q, 2);
    kedge_mem_free(s->host, mem);
    if (stepped_back) {
        int stamped = restamp(s, end, err);

        return stamped == KEDGE_OK ? rc : stamped;
    }
    if (rc != KEDGE_OK || lease.k.l.state == KEDGE_LEASE_DEAD)
        return rc == KEDGE_ERR_NOMEM ? pg_no_memory(err) : rc;
    pg_begin(&s->conn);
    pg_query_init(&q[0], PG_SQL_BURY);
    pg_arg_id(&s->conn, &q[0], id);
    pg_arg_i64(&s->conn, &q[0], lease.k.extended);
    pg_arg_bool(&s->conn, &q[0], by_hint);
    return end_lease(s, &q[0], end, err);
}

/* -------------------------------------------------------------------- lists */

static int list_one(struct pg_session *s, const PGresult *r, int row, struct kedge_lease_page *out,
                    bool *stepped_back)
{
    int64_t now = pg_i64(r, row, AT_NOW);
    bool absent = is_absent(r, row);
    struct pg_lease lease;
    uint32_t hint;

    if (!pg_lease_copy(s->host, &out->mem, r, row, 0, &lease))
        return KEDGE_ERR_NOMEM;
    *stepped_back |= lease.k.l.state != KEDGE_LEASE_DEAD && now < lease.k.extended;
    hint = lease.hinted ? KEDGE_HINT_PRESENT : KEDGE_HINT_NONE;
    if (lease.k.l.state == KEDGE_LEASE_DEAD)
        hint = KEDGE_HINT_NONE;
    else
        (void)pg_hints_saw(s->store->hints, &lease.k.l.id, lease.k.extended, absent);
    kit_lease_view(&lease.k, now);
    lease.k.l.hint = hint == KEDGE_HINT_PRESENT && absent ? KEDGE_HINT_ABSENT : hint;
    out->leases[out->n++] = lease.k.l;
    return KEDGE_OK;
}

static int list_rows(struct pg_session *s, const PGresult *r, size_t limit,
                     struct kedge_lease_page *out, bool *stepped_back)
{
    size_t n = (size_t)PQntuples(r);
    struct kedge_bytes last;

    out->leases = kedge_mem_alloc(s->host, &out->mem, limit * sizeof *out->leases);
    if (out->leases == NULL)
        return KEDGE_ERR_NOMEM;
    for (size_t i = 0; i < n && i < limit; i++) {
        int rc = list_one(s, r, (int)i, out, stepped_back);

        if (rc != KEDGE_OK)
            return rc;
    }
    if (n <= limit)
        return KEDGE_OK;
    last = (struct kedge_bytes){ out->leases[limit - 1].id.b, 16 };
    return kit_copy(s->host, &out->mem, last, &out->next) ? KEDGE_OK : KEDGE_ERR_NOMEM;
}

int pg_lease_list(void *session, struct kedge_bytes cursor, size_t limit,
                  struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_lease_page page = { 0 };
    struct kedge_id128 from = { { 0 } };
    bool stepped_back = false;
    struct pg_query q;
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = pg_check_page(limit, err);
    if (rc == KEDGE_OK && cursor.len != 0 && cursor.len != sizeof from.b)
        rc = pg_bad_cursor(err);
    if (rc != KEDGE_OK)
        return rc;
    if (cursor.len != 0)
        memcpy(from.b, cursor.data, sizeof from.b);
    pg_query_init(&q, PG_SQL_LEASES);
    pg_arg_id(&s->conn, &q, &from);
    pg_arg_i32(&s->conn, &q, (int32_t)limit + 1);
    rc = pg_run(&s->conn, &q, 1, PG_READ, end, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = list_rows(s, q.result, limit, &page, &stepped_back);
    pg_clear(&q, 1);
    if (rc == KEDGE_ERR_NOMEM)
        (void)pg_no_memory(err);
    if (rc == KEDGE_OK && stepped_back)
        rc = restamp(s, end, err);
    if (rc == KEDGE_OK)
        *out = page;
    else
        kedge_mem_free(s->host, page.mem);
    return rc;
}

/* A cursor is 'r' and the incarnation of the last run shown, or 'l' and the name of the last lock.
 */
struct held_from {
    int64_t rid;
    struct kedge_bytes lock;
    bool locks_only;
};

static bool held_from_read(struct kedge_bytes cursor, struct held_from *out)
{
    const unsigned char *p = cursor.data;

    memset(out, 0, sizeof *out);
    if (cursor.len == 0)
        return true;
    if (p[0] == 'r' && cursor.len == 9) {
        uint64_t rid = 0;

        for (size_t i = 1; i < 9; i++)
            rid = rid << 8 | p[i];
        out->rid = (int64_t)rid;
        return true;
    }
    out->locks_only = true;
    out->lock = (struct kedge_bytes){ p + 1, cursor.len - 1 };
    return p[0] == 'l' && cursor.len > 1;
}

static int held_next(const struct kedge_host *host, struct kedge_held_page *out, int64_t rid)
{
    const struct kedge_held *last = &out->held[out->n - 1];
    size_t len = last->is_lock != 0 ? 1 + last->name.len : 9;
    unsigned char *p = kedge_mem_alloc(host, &out->mem, len);

    if (p == NULL)
        return KEDGE_ERR_NOMEM;
    p[0] = last->is_lock != 0 ? 'l' : 'r';
    if (last->is_lock != 0)
        memcpy(p + 1, last->name.data, last->name.len);
    for (size_t i = 0; last->is_lock == 0 && i < 8; i++)
        p[1 + i] = (unsigned char)((uint64_t)rid >> (56 - 8 * i));
    out->next = (struct kedge_bytes){ p, len };
    return KEDGE_OK;
}

static int held_add(const struct kedge_host *host, struct kedge_held_page *out, bool is_lock,
                    struct kedge_bytes name, int64_t fence, int64_t requests)
{
    struct kedge_held *h = &out->held[out->n];

    memset(h, 0, sizeof *h);
    h->is_lock = is_lock ? 1 : 0;
    h->fence = (uint64_t)fence;
    h->requests = (uint32_t)requests;
    if (!kit_copy(host, &out->mem, name, &h->name))
        return KEDGE_ERR_NOMEM;
    out->n++;
    return KEDGE_OK;
}

static int held_rows(const struct kedge_host *host, const PGresult *runs, const PGresult *locks,
                     size_t limit, struct kedge_held_page *out)
{
    int64_t rid = 0;
    int rc = KEDGE_OK;

    out->held = kedge_mem_alloc(host, &out->mem, limit * sizeof *out->held);
    if (out->held == NULL)
        return KEDGE_ERR_NOMEM;
    for (int i = 0; rc == KEDGE_OK && i < PQntuples(runs) && out->n < limit; i++) {
        rid = pg_i64(runs, i, 0);
        rc = held_add(host, out, false, pg_bytes(runs, i, 1), pg_i64(runs, i, 2),
                      pg_i64(runs, i, 3));
    }
    for (int i = 0; rc == KEDGE_OK && i < PQntuples(locks) && out->n < limit; i++)
        rc = held_add(host, out, true, pg_bytes(locks, i, 0), pg_i64(locks, i, 1), 0);
    if (rc == KEDGE_OK && (size_t)PQntuples(runs) + (size_t)PQntuples(locks) > limit)
        rc = held_next(host, out, rid);
    return rc;
}

int pg_list_held(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                 size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                 struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_held_page page = { 0 };
    struct held_from from;
    struct pg_query q[2];
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = pg_check_page(limit, err);
    if (rc == KEDGE_OK && !held_from_read(cursor, &from))
        rc = pg_bad_cursor(err);
    if (rc != KEDGE_OK)
        return rc;
    pg_query_init(&q[0], PG_SQL_HELD_RUNS);
    pg_arg_id(&s->conn, &q[0], lease);
    pg_arg_i64(&s->conn, &q[0], from.locks_only ? INT64_MAX : from.rid);
    pg_arg_i32(&s->conn, &q[0], (int32_t)limit + 1);
    pg_query_init(&q[1], PG_SQL_HELD_LOCKS);
    pg_arg_id(&s->conn, &q[1], lease);
    pg_arg_bytes(&s->conn, &q[1], from.lock);
    pg_arg_i32(&s->conn, &q[1], (int32_t)limit + 1);
    rc = pg_run(&s->conn, q, 2, PG_READ, end, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = held_rows(s->host, q[0].result, q[1].result, limit, &page);
    pg_clear(q, 2);
    if (rc == KEDGE_OK)
        *out = page;
    else
        kedge_mem_free(s->host, page.mem);
    return rc == KEDGE_OK ? rc : pg_no_memory(err);
}

/* -------------------------------------------------------------------- locks */

static int enter_lock(struct pg_session *s, struct kedge_bytes name,
                      const struct kedge_id128 *lease, int64_t timeout_us, int64_t *end,
                      struct kedge_error *err)
{
    int rc = pg_enter(s, timeout_us, end, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&pg_limits, name, "the name of a lock", err);
    return rc == KEDGE_OK && lease != NULL ? pg_check_id(lease, "lease", err) : rc;
}

/* What is left until END, for those who count in a timeout. */
static int64_t left(int64_t end)
{
    int64_t us = end - pg_mono_us();

    return us > 1 ? us : 1;
}

int pg_lock_acquire(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                    const struct kedge_id128 *request, struct kedge_lock_state *out,
                    int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    int64_t end;
    int rc = enter_lock(s, name, lease, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = pg_check_id(request, "request", err);
    return rc == KEDGE_OK
               ? kit_remote_lock_acquire(s->remote, name, lease, request, out, left(end), err)
               : rc;
}

int pg_lock_extend(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                   uint64_t fence, struct kedge_lock_state *out, int64_t timeout_us,
                   struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_lease_state state;
    int64_t end;
    int rc = enter_lock(s, name, lease, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = kit_remote_lock_check(s->remote, name, lease, fence, left(end), err);
    /* A lock changes hands when its lease is dead, and then the lease is not extended. */
    if (rc == KEDGE_OK)
        rc = pg_lease_extend(s, lease, &state, left(end), err);
    if (rc == KEDGE_OK)
        *out = (struct kedge_lock_state){ *lease, fence, state.remaining_us };
    return rc;
}

int pg_lock_release(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                    uint64_t fence, int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    int64_t end;
    int rc = enter_lock(s, name, lease, timeout_us, &end, err);

    return rc == KEDGE_OK ? kit_remote_lock_release(s->remote, name, lease, fence, left(end), err)
                          : rc;
}

int pg_lock_query(void *session, struct kedge_bytes name, struct kedge_lock_state *out,
                  int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    int64_t end;
    int rc = enter_lock(s, name, NULL, timeout_us, &end, err);

    return rc == KEDGE_OK ? kit_remote_lock_query(s->remote, name, out, left(end), err) : rc;
}
