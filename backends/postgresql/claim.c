/*
 * claim.c - due runs to a lease
 *
 * One exchange: the function that takes runs, and the rows of what it took.  Both are of one
 * transaction.
 */
#include <config.h>

#include "session.h"

/*
 * Memory for what a page mostly takes, before anything is taken: an answer there is no room for
 * would leave runs held that nobody was told of.
 */
static bool page_reserve(struct pg_session *s, size_t limit, struct kedge_run_page *out)
{
    size_t size = limit * (sizeof *out->runs + 256);

    if (kedge_mem_alloc(s->host, &out->mem, size < 262144 ? size : 262144) == NULL)
        return false;
    out->mem->used = 0;
    return true;
}

static int page_fill(struct pg_session *s, const PGresult *r, const struct pg_grip *grip,
                     int64_t asked, struct kedge_run_page *out)
{
    size_t n = (size_t)PQntuples(r);

    if (n == 0)
        return KEDGE_OK;
    out->runs = kedge_mem_alloc(s->host, &out->mem, n * sizeof *out->runs);
    if (out->runs == NULL)
        return KEDGE_ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        struct kit_run run;

        if (!pg_run_copy(s->host, &out->mem, r, (int)i, 0, &run))
            return KEDGE_ERR_NOMEM;
        pg_cache_learn_sure(s->store->cache, &run, grip->is, asked);
        out->runs[out->n++] = run.r;
    }
    return KEDGE_OK;
}

static void ask(struct pg_session *s, const struct kedge_claim *in, struct pg_query q[2])
{
    struct pg_conn *c = &s->conn;

    pg_query_init(&q[0], PG_SQL_CLAIM);
    pg_arg_id(c, &q[0], &in->lease);
    pg_arg_id(c, &q[0], &in->request);
    pg_arg_serves(c, &q[0], in->serves, in->n_serves);
    pg_arg_i32(c, &q[0], (int32_t)in->limit);
    pg_arg_i32(c, &q[0], (int32_t)in->hold_until.base);
    pg_arg_i64(c, &q[0], in->hold_until.us);
    pg_query_init(&q[1], PG_SQL_CLAIMED);
    pg_arg_id(c, &q[1], &in->lease);
    pg_arg_id(c, &q[1], &in->request);
    pg_arg_i32(c, &q[1], (int32_t)in->limit);
}

/*
 * A server's process compiles and plans what it is asked when it is asked first: for a claim that
 * takes a run, reading it, and the append after its next step that is some milliseconds, which a
 * run would wait for.  There is time when there is nothing to do.  No run has an empty id, and no
 * lease the id that is all zero.
 */
static void make_ready(struct pg_session *s, const struct kedge_claim *in, int64_t end)
{
    static const enum pg_sql reads[] = { PG_SQL_RUN, PG_SQL_SNAPSHOT, PG_SQL_TAIL, PG_SQL_RECORDS };
    const struct kedge_bytes empty = { "", 0 };
    struct pg_conn *c = &s->conn;
    const struct kedge_claim none = { .request = in->request }; /* a limit of 0: see schema.c */
    struct pg_query q[7];

    pg_begin(c);
    ask(s, &none, q);
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        pg_query_init(&q[2 + i], reads[i]);
        pg_arg_bytes(c, &q[2 + i], empty);
    }
    pg_arg_i64(c, &q[2], 0);
    pg_arg_i64(c, &q[5], 0);
    pg_arg_i32(c, &q[5], 0);
    pg_arg_i64(c, &q[5], 0);
    pg_query_init(&q[6], PG_SQL_APPEND_ONE);
    pg_arg_id(c, &q[6], &none.lease);
    pg_arg_i64(c, &q[6], 0);
    pg_arg_i64(c, &q[6], 0);
    pg_arg_i64(c, &q[6], 0);
    pg_arg_id(c, &q[6], &none.request);
    pg_arg_bytes(c, &q[6], empty);
    (void)pg_run(c, q, 7, PG_NOTE, end, NULL);
    pg_clear(q, 7);
}

int pg_claim(void *session, const struct kedge_claim *in, struct kedge_run_page *out,
             int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_run_page page = { 0 };
    struct pg_grip grip = { .lease = in->lease };
    struct pg_query q[2];
    int64_t asked;
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = kit_check_claim(&pg_limits, in, err);
    if (rc != KEDGE_OK)
        return rc;
    if (!page_reserve(s, in->limit, &page))
        return pg_no_memory(err);
    ask(s, in, q);
    asked = pg_mono_us();
    rc = pg_run(&s->conn, q, 2, PG_WRITE, end, err);
    if (rc != KEDGE_OK) {
        kedge_mem_free(s->host, page.mem);
        return rc;
    }
    rc = (int)pg_i64(q[0].result, 0, 0);
    if (rc == KEDGE_ERR_UNAVAILABLE)
        (void)kedge_error_set(err, rc, 0,
                              "the same claim is still under way, from a connection that was given "
                              "up: send it again unchanged");
    page.next_due = pg_i64(q[0].result, 0, 2);
    if (rc == KEDGE_OK) {
        pg_saw(s, pg_i64(q[0].result, 0, 1));
        grip.was = grip.is = pg_i64(q[0].result, 0, 4);
        pg_cache_told(s->store->cache, &grip, 1, NULL, 0);
        rc = page_fill(s, q[1].result, &grip, asked, &page);
        if (rc != KEDGE_OK) /* they are taken: the same request again tells which */
            rc = kedge_error_set(err, KEDGE_ERR_UNKNOWN, 0,
                                 "out of memory when the answer came; send it again unchanged");
    }
    pg_clear(q, 2);
    if (rc == KEDGE_OK && s->ready != s->conn.made) {
        s->ready = s->conn.made;
        if (page.n == 0 && !s->conn.pooled)
            make_ready(s, in, end);
    }
    if (rc == KEDGE_OK)
        *out = page;
    else
        kedge_mem_free(s->host, page.mem);
    return rc;
}
