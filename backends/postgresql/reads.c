/*
 * reads.c - one run, its records and slots, a cell: each from one snapshot
 *
 * What belongs together is asked for in one read-only transaction.  Rows of a run that has expired
 * may still be there: the head decides.
 */
#include <config.h>

#include "session.h"

static void ask_run(struct pg_session *s, struct pg_query *q, struct kedge_bytes id,
                    uint64_t incarnation)
{
    pg_query_init(q, PG_SQL_RUN);
    pg_arg_bytes(&s->conn, q, id);
    pg_arg_i64(&s->conn, q, (int64_t)incarnation);
}

/* The answer is the caller's now, or thrown away with what was copied. */
static int hand_out(struct pg_session *s, int rc, struct kedge_mem *mem, struct kedge_error *err)
{
    if (rc == KEDGE_OK)
        return rc;
    kedge_mem_free(s->host, mem);
    return rc == KEDGE_ERR_NOMEM ? pg_no_memory(err) : rc;
}

static int copy_records(const struct kedge_host *host, struct kedge_mem **mem, const PGresult *r,
                        struct kedge_record **out, size_t *n)
{
    size_t rows = (size_t)PQntuples(r);

    *n = 0;
    if (rows == 0)
        return KEDGE_OK;
    *out = kedge_mem_alloc(host, mem, rows * sizeof **out);
    if (*out == NULL)
        return KEDGE_ERR_NOMEM;
    for (size_t i = 0; i < rows; i++) {
        struct kedge_record *record = &(*out)[i];

        record->number = (uint64_t)pg_i64(r, (int)i, 0);
        pg_id(r, (int)i, 1, &record->request);
        record->time = pg_i64(r, (int)i, 2);
        if (!kit_copy(host, mem, pg_bytes(r, (int)i, 3), &record->data))
            return KEDGE_ERR_NOMEM;
    }
    *n = rows;
    return KEDGE_OK;
}

static bool is_gapless(const struct kedge_record *records, size_t n, uint64_t first, uint64_t last)
{
    if (n != (last < first ? 0 : last - first + 1))
        return false;
    for (size_t i = 0; i < n; i++)
        if (records[i].number != first + i)
            return false;
    return true;
}

static int corrupt(struct pg_session *s, const char *what, struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                           "%s: %s of the run is missing: restore it from a copy",
                           s->store->place.shown, what);
}

static int fill_state(struct pg_session *s, const struct kedge_retrieve *in,
                      const struct pg_query *q, struct kedge_run_state *out,
                      struct kedge_error *err)
{
    struct kit_run run;
    size_t at = 1;
    int rc = KEDGE_OK;

    if (PQntuples(q[0].result) == 0)
        return KEDGE_NOT_FOUND;
    if (!pg_run_copy(s->host, &out->mem, q[0].result, 0, 0, &run))
        return KEDGE_ERR_NOMEM;
    out->run = run.r;
    if ((in->want & KEDGE_WANT_SNAPSHOT) != 0) {
        const PGresult *r = q[at++].result;

        if (PQntuples(r) == 0 && run.r.snapshot_position != 0)
            return corrupt(s, "the snapshot", err);
        if (PQntuples(r) != 0 && !kit_copy(s->host, &out->mem, pg_bytes(r, 0, 0), &out->snapshot))
            return KEDGE_ERR_NOMEM;
    }
    if ((in->want & KEDGE_WANT_TAIL) != 0)
        rc = copy_records(s->host, &out->mem, q[at].result, &out->tail, &out->n_tail);
    if (rc == KEDGE_OK && (in->want & KEDGE_WANT_TAIL) != 0 &&
        !is_gapless(out->tail, out->n_tail, run.r.snapshot_position + 1, run.r.position))
        rc = corrupt(s, "a record", err);
    return rc;
}

int pg_retrieve(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_run_state state = { 0 };
    struct pg_query q[3];
    size_t n = 1;
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&pg_limits, in->id, "the id of a run", err);
    if (rc == KEDGE_OK && (in->want & ~(KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL)) != 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "unknown bits 0x%x in what is wanted",
                             (unsigned)in->want);
    if (rc != KEDGE_OK)
        return rc;
    ask_run(s, &q[0], in->id, in->incarnation);
    if ((in->want & KEDGE_WANT_SNAPSHOT) != 0) {
        pg_query_init(&q[n], PG_SQL_SNAPSHOT);
        pg_arg_bytes(&s->conn, &q[n++], in->id);
    }
    if ((in->want & KEDGE_WANT_TAIL) != 0) {
        pg_query_init(&q[n], PG_SQL_TAIL);
        pg_arg_bytes(&s->conn, &q[n++], in->id);
    }
    rc = pg_run(&s->conn, q, n, PG_READ, end, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = fill_state(s, in, q, &state, err);
    pg_clear(q, n);
    rc = hand_out(s, rc, state.mem, err);
    if (rc == KEDGE_OK)
        *out = state;
    return rc;
}

static int fill_records(struct pg_session *s, const struct pg_query q[2], uint64_t first,
                        struct kedge_record_page *out, struct kedge_error *err)
{
    struct kit_run run;
    uint64_t last;
    int rc;

    if (PQntuples(q[0].result) == 0)
        return KEDGE_NOT_FOUND;
    pg_run_read(q[0].result, 0, 0, &run);
    rc = copy_records(s->host, &out->mem, q[1].result, &out->records, &out->n);
    if (rc != KEDGE_OK)
        return rc;
    last = first + out->n - 1;
    if (out->n == 0 ? first <= run.r.position : !is_gapless(out->records, out->n, first, last))
        return corrupt(s, "a record", err);
    if (out->n != 0 && last < run.r.position)
        out->next = last + 1;
    return KEDGE_OK;
}

int pg_retrieve_records(void *session, struct kedge_bytes id, uint64_t incarnation, uint64_t first,
                        size_t limit, size_t bytes_max, struct kedge_record_page *out,
                        int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_record_page page = { 0 };
    struct pg_query q[2];
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&pg_limits, id, "the id of a run", err);
    if (rc == KEDGE_OK && (first == 0 || limit == 0))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "records are numbered from 1, and a page has at least one");
    if (rc != KEDGE_OK)
        return rc;
    ask_run(s, &q[0], id, incarnation);
    pg_query_init(&q[1], PG_SQL_RECORDS);
    pg_arg_bytes(&s->conn, &q[1], id);
    pg_arg_i64(&s->conn, &q[1], first > INT64_MAX ? INT64_MAX : (int64_t)first);
    pg_arg_i32(&s->conn, &q[1], limit > 100000 ? 100000 : (int32_t)limit);
    pg_arg_i64(&s->conn, &q[1],
               bytes_max < 1           ? 1
               : bytes_max > INT64_MAX ? INT64_MAX
                                       : (int64_t)bytes_max);
    rc = pg_run(&s->conn, q, 2, PG_READ, end, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = fill_records(s, q, first, &page, err);
    pg_clear(q, 2);
    rc = hand_out(s, rc, page.mem, err);
    if (rc == KEDGE_OK)
        *out = page;
    return rc;
}

static int fill_slots(struct pg_session *s, const struct pg_query q[3], size_t limit,
                      struct kedge_slot_page *out)
{
    const PGresult *r = q[2].result;
    size_t n = (size_t)PQntuples(r);

    if (PQntuples(q[0].result) == 0 || PQntuples(q[1].result) == 0)
        return KEDGE_NOT_FOUND;
    out->total = (uint32_t)pg_i64(q[1].result, 0, 0);
    out->remaining = (uint32_t)pg_i64(q[1].result, 0, 1);
    if (n > limit)
        out->next = (uint64_t)pg_i64(r, (int)limit, 0);
    out->slots = kedge_mem_alloc(s->host, &out->mem, limit * sizeof *out->slots);
    if (out->slots == NULL)
        return KEDGE_ERR_NOMEM;
    for (size_t i = 0; i < n && i < limit; i++) {
        struct kedge_slot *slot = &out->slots[out->n++];

        slot->index = (uint32_t)pg_i64(r, (int)i, 0);
        slot->reserved = 0;
        if (!kit_copy(s->host, &out->mem, pg_bytes(r, (int)i, 1), &slot->value))
            return KEDGE_ERR_NOMEM;
    }
    return KEDGE_OK;
}

int pg_retrieve_slots(void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
                      uint32_t first, size_t limit, struct kedge_slot_page *out, int64_t timeout_us,
                      struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_slot_page page = { 0 };
    struct pg_query q[3];
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&pg_limits, id, "the id of a run", err);
    if (rc == KEDGE_OK)
        rc = pg_check_page(limit, err);
    if (rc != KEDGE_OK)
        return rc;
    ask_run(s, &q[0], id, incarnation);
    pg_query_init(&q[1], PG_SQL_SET);
    pg_arg_bytes(&s->conn, &q[1], id);
    pg_arg_i64(&s->conn, &q[1], set);
    pg_query_init(&q[2], PG_SQL_SLOTS);
    pg_arg_bytes(&s->conn, &q[2], id);
    pg_arg_i64(&s->conn, &q[2], set);
    pg_arg_i64(&s->conn, &q[2], first);
    pg_arg_i32(&s->conn, &q[2], (int32_t)limit + 1);
    rc = pg_run(&s->conn, q, 3, PG_READ, end, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = fill_slots(s, q, limit, &page);
    pg_clear(q, 3);
    rc = hand_out(s, rc, page.mem, err);
    if (rc == KEDGE_OK)
        *out = page;
    return rc;
}

int pg_cell_get(void *session, struct kedge_bytes name, struct kedge_cell *out, int64_t timeout_us,
                struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_cell cell = { 0 };
    struct pg_query q;
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&pg_limits, name, "the name of a cell", err);
    if (rc != KEDGE_OK)
        return rc;
    pg_query_init(&q, PG_SQL_CELL);
    pg_arg_bytes(&s->conn, &q, name);
    rc = pg_run(&s->conn, &q, 1, PG_READ, end, err);
    if (rc != KEDGE_OK)
        return rc;
    if (PQntuples(q.result) == 0)
        rc = KEDGE_NOT_FOUND;
    else if (!kit_copy(s->host, &cell.mem, pg_bytes(q.result, 0, 0), &cell.value))
        rc = KEDGE_ERR_NOMEM;
    if (rc == KEDGE_OK) {
        cell.version = (uint64_t)pg_i64(q.result, 0, 1);
        cell.expires = pg_i64(q.result, 0, 2);
    }
    pg_clear(&q, 1);
    rc = hand_out(s, rc, cell.mem, err);
    if (rc == KEDGE_OK)
        *out = cell;
    return rc;
}
