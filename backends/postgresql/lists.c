/*
 * lists.c - many runs: by filter in the order of creation, and those that must be swept
 *
 *   I1  Order of creation is the order of incarnations, and a cursor is a place in it, not a row.
 *   I2  A list walks the few distinct (status, reactor), lists of due runs, or holders there are,
 *       and in each of them an index from where the page begins: what a list does not ask for is
 *       not looked at (statements.c).
 */
#include <config.h>

#include "session.h"

static void put_u64(unsigned char *p, uint64_t v)
{
    for (size_t i = 0; i < 8; i++)
        p[i] = (unsigned char)(v >> (56 - 8 * i));
}

static uint64_t get_u64(const void *data)
{
    const unsigned char *p = data;
    uint64_t v = 0;

    for (size_t i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

/* LIMIT runs of R, which may have one more; NUMBERS is how many 64-bit numbers of a cursor there
   are in CURSOR. */
static int fill(struct pg_session *s, const PGresult *r, size_t limit, bool reasons,
                struct kedge_run_page *out)
{
    size_t n = (size_t)PQntuples(r);

    if (n > limit)
        n = limit;
    out->runs = kedge_mem_alloc(s->host, &out->mem, (n + 1) * sizeof *out->runs);
    if (reasons)
        out->reasons = kedge_mem_alloc(s->host, &out->mem, (n + 1) * sizeof *out->reasons);
    if (out->runs == NULL || (reasons && out->reasons == NULL))
        return KEDGE_ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        struct kit_run run;

        if (!pg_run_copy(s->host, &out->mem, r, (int)i, 0, &run))
            return KEDGE_ERR_NOMEM;
        if (reasons)
            out->reasons[i] = (uint32_t)pg_i64(r, (int)i, PG_RUN_WIDTH + 1);
        out->runs[out->n++] = run.r;
    }
    return KEDGE_OK;
}

static bool cursor_out(struct pg_session *s, struct kedge_run_page *out, const uint64_t *numbers,
                       size_t n)
{
    unsigned char *p = kedge_mem_alloc(s->host, &out->mem, n * 8);

    for (size_t i = 0; p != NULL && i < n; i++)
        put_u64(p + 8 * i, numbers[i]);
    out->next = (struct kedge_bytes){ p, n * 8 };
    return p != NULL;
}

static int hand_out(struct pg_session *s, int rc, struct kedge_run_page *page,
                    struct kedge_run_page *out, struct kedge_error *err)
{
    if (rc == KEDGE_OK) {
        *out = *page;
        return rc;
    }
    kedge_mem_free(s->host, page->mem);
    return rc == KEDGE_ERR_NOMEM ? pg_no_memory(err) : rc;
}

/* --------------------------------------------------------------------- list */

static enum pg_sql which(const struct kedge_list *in)
{
    bool newest = in->newest_first != 0;

    if (in->unserved != 0)
        return newest ? PG_SQL_LIST_UNSERVED_NEWEST : PG_SQL_LIST_UNSERVED;
    if (in->parent.len != 0)
        return newest ? PG_SQL_LIST_KIDS_NEWEST : PG_SQL_LIST_KIDS;
    return newest ? PG_SQL_LIST_NEWEST : PG_SQL_LIST;
}

static void put_statuses(struct pg_conn *c, struct pg_query *q, uint32_t bits)
{
    struct pg_array a;

    pg_array_open(c, q, &a, PG_OID_INT4);
    for (int32_t status = KEDGE_PENDING; status <= KEDGE_ABORTED; status++)
        if (bits == 0 || (bits & KEDGE_STATUS_BIT(status)) != 0)
            pg_array_i32(c, &a, status);
    pg_array_close(c, q, &a);
}

static void ask(struct pg_session *s, const struct kedge_list *in, struct pg_query *q)
{
    struct pg_conn *c = &s->conn;
    int64_t from = in->newest_first != 0 ? INT64_MAX : 0;

    if (in->cursor.len != 0)
        from = (int64_t)get_u64(in->cursor.data);
    pg_query_init(q, which(in));
    put_statuses(c, q, in->statuses);
    pg_arg_bytes(c, q, in->reactor);
    pg_arg_i64(c, q, from);
    pg_arg_i32(c, q, (int32_t)in->limit + 1);
    if (in->unserved != 0)
        pg_arg_serves(c, q, in->serves, in->n_serves);
    if (in->unserved != 0 || in->parent.len != 0) {
        pg_arg_bytes(c, q, in->parent);
        pg_arg_i64(c, q, (int64_t)in->parent_incarnation);
    }
}

int pg_list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
            int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_run_page page = { 0 };
    struct pg_query q;
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = kit_check_list(&pg_limits, in, err);
    if (rc == KEDGE_OK && in->cursor.len != 0 && in->cursor.len != 8)
        rc = pg_bad_cursor(err);
    if (rc != KEDGE_OK)
        return rc;
    ask(s, in, &q);
    rc = pg_run(&s->conn, &q, 1, PG_READ, end, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = fill(s, q.result, in->limit, false, &page);
    if (rc == KEDGE_OK && (size_t)PQntuples(q.result) > in->limit &&
        !cursor_out(s, &page, &page.runs[page.n - 1].incarnation, 1))
        rc = KEDGE_ERR_NOMEM;
    pg_clear(&q, 1);
    return hand_out(s, rc, &page, out, err);
}

/* ------------------------------------------------------------- list_expired */

int pg_list_expired(void *session, struct kedge_bytes cursor, size_t limit,
                    struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_run_page page = { 0 };
    uint64_t from[2] = { (uint64_t)INT64_MIN, (uint64_t)INT64_MIN };
    struct pg_query q;
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = pg_check_page(limit, err);
    if (rc == KEDGE_OK && cursor.len != 0 && cursor.len != 16)
        rc = pg_bad_cursor(err);
    if (rc != KEDGE_OK)
        return rc;
    for (size_t i = 0; cursor.len != 0 && i < 2; i++)
        from[i] = get_u64((const char *)cursor.data + 8 * i);
    pg_query_init(&q, PG_SQL_LIST_EXPIRED);
    pg_arg_i64(&s->conn, &q, (int64_t)from[0]);
    pg_arg_i64(&s->conn, &q, (int64_t)from[1]);
    pg_arg_i32(&s->conn, &q, (int32_t)limit + 1);
    rc = pg_run(&s->conn, &q, 1, PG_READ, end, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = fill(s, q.result, limit, true, &page);
    if (rc == KEDGE_OK && (size_t)PQntuples(q.result) > limit) {
        from[0] = (uint64_t)pg_i64(q.result, (int)limit - 1, PG_RUN_WIDTH);
        from[1] = page.runs[limit - 1].incarnation;
        if (!cursor_out(s, &page, from, 2))
            rc = KEDGE_ERR_NOMEM;
    }
    pg_clear(&q, 1);
    return hand_out(s, rc, &page, out, err);
}
