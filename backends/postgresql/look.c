/*
 * look.c - rows of the store as they are at one moment, for the kit
 *
 * A statement for each kind of row that is wanted, all in one read-only transaction with one
 * snapshot: what is told fits together.  Rows of slots and records name their run by its id, so
 * that nothing has to be known of it before.
 */
#include <config.h>

#include <stdlib.h>

#include "session.h"

#define KINDS (KIT_ROW_RECORD + 1)

struct looking {
    struct pg_session *s;
    struct kit_row **rows; /* sorted by kind, else in their order */
    size_t first[KINDS + 1];
    struct pg_query q[KINDS]; /* q[0]: the time */
    uint32_t kind[KINDS];
    size_t n_q;
};

static void sort_rows(struct looking *l, struct kit_row *const *rows, size_t n)
{
    size_t at = 0;

    for (uint32_t kind = 0; kind < KINDS; kind++) {
        l->first[kind] = at;
        for (size_t i = 0; i < n; i++)
            if (rows[i]->kind == kind)
                l->rows[at++] = rows[i];
    }
    l->first[KINDS] = at;
}

enum part { NAME, LEASE, RUN_ID, SET, INDEX, NUMBER };

static void put_array(struct looking *l, struct pg_query *q, uint32_t kind, enum part part)
{
    struct pg_conn *c = &l->s->conn;
    struct pg_array a;

    pg_array_open(c, q, &a,
                  part == LEASE                    ? PG_OID_UUID
                  : part == NAME || part == RUN_ID ? PG_OID_BYTEA
                                                   : PG_OID_INT8);
    for (size_t i = l->first[kind]; i < l->first[kind + 1]; i++) {
        const struct kit_row *row = l->rows[i];

        if (part == LEASE)
            pg_array_id(c, &a, &row->lease_id);
        else if (part == NAME || part == RUN_ID)
            pg_array_bytes(c, &a, part == NAME ? row->name : row->of->name);
        else
            pg_array_i64(c, &a,
                         part == SET     ? (int64_t)row->set
                         : part == INDEX ? (int64_t)row->index
                                         : (int64_t)row->number);
    }
    pg_array_close(c, q, &a);
}

static void ask(struct looking *l, uint32_t kind, enum pg_sql sql)
{
    struct pg_query *q = &l->q[l->n_q];

    if (l->first[kind] == l->first[kind + 1])
        return;
    pg_query_init(q, sql);
    if (kind == KIT_ROW_LEASE) {
        put_array(l, q, kind, LEASE);
    } else if (kind <= KIT_ROW_LOCK) {
        put_array(l, q, kind, NAME);
    } else {
        put_array(l, q, kind, RUN_ID);
        put_array(l, q, kind, kind == KIT_ROW_RECORD ? NUMBER : SET);
        if (kind == KIT_ROW_SLOT)
            put_array(l, q, kind, INDEX);
    }
    l->kind[l->n_q++] = kind;
}

static bool fill_run(struct pg_session *s, struct kit_row *row, const PGresult *r, int i)
{
    struct kedge_mem **mem = kit_remote_mem(s->remote);
    struct kit_run *run = kedge_mem_alloc(s->host, mem, sizeof *run);

    row->run = run;
    if (run == NULL || !pg_run_copy(s->host, mem, r, i, 1, run))
        return false;
    pg_cache_learn(s->store->cache, run);
    return true;
}

static bool fill_lease(struct pg_session *s, struct kit_row *row, const PGresult *r, int i)
{
    struct kedge_mem **mem = kit_remote_mem(s->remote);
    struct pg_lease *lease = kedge_mem_alloc(s->host, mem, sizeof *lease);

    if (lease == NULL || !pg_lease_copy(s->host, mem, r, i, 1, lease))
        return false;
    row->lease = &lease->k;
    return true;
}

static bool fill_cell(struct pg_session *s, struct kit_row *row, const PGresult *r, int i)
{
    struct kedge_mem **mem = kit_remote_mem(s->remote);
    struct kit_cell *cell = kedge_mem_alloc(s->host, mem, sizeof *cell);

    row->cell = cell;
    if (cell == NULL || !kit_copy(s->host, mem, pg_bytes(r, i, 1), &cell->value))
        return false;
    cell->version = (uint64_t)pg_i64(r, i, 2);
    cell->expires = pg_i64(r, i, 3);
    pg_id(r, i, 4, &cell->request);
    return true;
}

static bool fill_lock(struct pg_session *s, struct kit_row *row, const PGresult *r, int i)
{
    struct kit_lock *lock = kedge_mem_alloc(s->host, kit_remote_mem(s->remote), sizeof *lock);

    row->lock = lock;
    if (lock == NULL)
        return false;
    pg_id(r, i, 1, &lock->lease);
    lock->fence = (uint64_t)pg_i64(r, i, 2);
    pg_id(r, i, 3, &lock->request);
    return true;
}

static bool fill(struct pg_session *s, struct kit_row *row, const PGresult *r, int i)
{
    row->there = true;
    switch (row->kind) {
    case KIT_ROW_RUN:
        return fill_run(s, row, r, i);
    case KIT_ROW_LEASE:
        return fill_lease(s, row, r, i);
    case KIT_ROW_CELL:
        return fill_cell(s, row, r, i);
    case KIT_ROW_LOCK:
        return fill_lock(s, row, r, i);
    case KIT_ROW_SET:
        row->slots = (struct kit_slots){ (uint32_t)pg_i64(r, i, 1), (uint32_t)pg_i64(r, i, 2) };
        return true;
    case KIT_ROW_RECORD:
        pg_id(r, i, 1, &row->request);
        return true;
    default:
        return true;
    }
}

static bool fill_all(struct looking *l)
{
    for (size_t k = 1; k < l->n_q; k++) {
        size_t first = l->first[l->kind[k]];
        size_t n = l->first[l->kind[k] + 1] - first;

        for (int i = 0; i < PQntuples(l->q[k].result); i++) {
            uint64_t o = (uint64_t)pg_i64(l->q[k].result, i, 0);

            if (o >= 1 && o <= n && !fill(l->s, l->rows[first + o - 1], l->q[k].result, i))
                return false;
        }
    }
    return true;
}

int pg_look(void *ctx, struct kit_row *const *rows, size_t n, int64_t *now, int64_t timeout_us,
            struct kedge_error *err)
{
    struct pg_session *s = ctx;
    struct looking l = { .s = s };
    int64_t end = pg_end(timeout_us);
    int rc;

    l.rows = calloc(n + 1, sizeof(struct kit_row *));
    if (l.rows == NULL)
        return pg_no_memory(err);
    sort_rows(&l, rows, n);
    pg_begin(&s->conn);
    pg_query_init(&l.q[l.n_q++], PG_SQL_NOW);
    ask(&l, KIT_ROW_RUN, PG_SQL_LOOK_RUNS);
    ask(&l, KIT_ROW_LEASE, PG_SQL_LOOK_LEASES);
    ask(&l, KIT_ROW_CELL, PG_SQL_LOOK_CELLS);
    ask(&l, KIT_ROW_LOCK, PG_SQL_LOOK_LOCKS);
    ask(&l, KIT_ROW_SET, PG_SQL_LOOK_SETS);
    ask(&l, KIT_ROW_SLOT, PG_SQL_LOOK_SLOTS);
    ask(&l, KIT_ROW_RECORD, PG_SQL_LOOK_RECORDS);
    rc = pg_run(&s->conn, l.q, l.n_q, PG_READ, end, err);
    if (rc == KEDGE_OK) {
        *now = pg_i64(l.q[0].result, 0, 0);
        pg_saw(s, *now);
        if (!fill_all(&l))
            rc = pg_no_memory(err);
        pg_clear(l.q, l.n_q);
    }
    free(l.rows);
    return rc;
}
