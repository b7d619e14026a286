/* rows.c - values on the wire, and rows of the tables as the kit's structures; see rows.h */
#include <config.h>

#include "rows.h"

static void set_be32(struct pg_buf *b, size_t at, uint32_t v)
{
    if (b->failed)
        return;
    for (size_t i = 0; i < 4; i++)
        b->data[at + i] = (char)(unsigned char)(v >> (24 - 8 * i));
}

static uint64_t get_be(const void *data, size_t size)
{
    const unsigned char *p = data;
    uint64_t v = 0;

    for (size_t i = 0; i < size; i++)
        v = v << 8 | p[i];
    return v;
}

/* ------------------------------------------------------------------- arrays */

/* Dimensions, whether there are nulls, type; then length and lower bound of the one dimension. */
void pg_array_open(struct pg_conn *c, struct pg_query *q, struct pg_array *a, uint32_t oid)
{
    pg_arg_open(c, q);
    pg_put_i32(&c->out, 1);
    pg_put_i32(&c->out, 0);
    pg_put_i32(&c->out, (int32_t)oid);
    a->at = c->out.len;
    a->n = 0;
    pg_put_i32(&c->out, 0);
    pg_put_i32(&c->out, 1);
}

void pg_array_close(struct pg_conn *c, struct pg_query *q, struct pg_array *a)
{
    set_be32(&c->out, a->at, (uint32_t)a->n);
    if (a->n == 0) { /* an empty array has no dimension */
        set_be32(&c->out, a->at - 12, 0);
        if (!c->out.failed)
            c->out.len = a->at;
    }
    pg_arg_close(c, q);
}

void pg_array_i64(struct pg_conn *c, struct pg_array *a, int64_t v)
{
    pg_put_i32(&c->out, 8);
    pg_put_i64(&c->out, v);
    a->n++;
}

void pg_array_i32(struct pg_conn *c, struct pg_array *a, int32_t v)
{
    pg_put_i32(&c->out, 4);
    pg_put_i32(&c->out, v);
    a->n++;
}

void pg_array_bytes(struct pg_conn *c, struct pg_array *a, struct kedge_bytes b)
{
    pg_put_i32(&c->out, (int32_t)b.len);
    pg_put(&c->out, b.data, b.len);
    a->n++;
}

void pg_array_id(struct pg_conn *c, struct pg_array *a, const struct kedge_id128 *id)
{
    pg_array_bytes(c, a, (struct kedge_bytes){ id->b, sizeof id->b });
}

void pg_record_open(struct pg_conn *c, struct pg_array *a, struct pg_record *r, int32_t columns)
{
    r->at = c->out.len;
    pg_put_i32(&c->out, 0);
    pg_put_i32(&c->out, columns);
    a->n++;
}

void pg_record_close(struct pg_conn *c, struct pg_record *r)
{
    set_be32(&c->out, r->at, (uint32_t)(c->out.len - r->at - 4));
}

static void column(struct pg_conn *c, uint32_t oid, int32_t len)
{
    pg_put_i32(&c->out, (int32_t)oid);
    pg_put_i32(&c->out, len);
}

void pg_col_bool(struct pg_conn *c, bool v)
{
    char byte = v ? 1 : 0;

    column(c, PG_OID_BOOL, 1);
    pg_put(&c->out, &byte, 1);
}

void pg_col_i32(struct pg_conn *c, int32_t v)
{
    column(c, PG_OID_INT4, 4);
    pg_put_i32(&c->out, v);
}

void pg_col_i64(struct pg_conn *c, int64_t v)
{
    column(c, PG_OID_INT8, 8);
    pg_put_i64(&c->out, v);
}

void pg_col_bytes(struct pg_conn *c, struct kedge_bytes b)
{
    column(c, PG_OID_BYTEA, (int32_t)b.len);
    pg_put(&c->out, b.data, b.len);
}

void pg_col_id(struct pg_conn *c, const struct kedge_id128 *id)
{
    if (kit_id_zero(id)) {
        column(c, PG_OID_UUID, -1);
        return;
    }
    column(c, PG_OID_UUID, 16);
    pg_put(&c->out, id->b, sizeof id->b);
}

void pg_arg_serves(struct pg_conn *c, struct pg_query *q, const struct kedge_serve *serves,
                   size_t n)
{
    struct pg_array a;

    pg_array_open(c, q, &a, PG_OID_BYTEA);
    for (size_t i = 0; i < n; i++)
        pg_array_bytes(c, &a, serves[i].queue);
    pg_array_close(c, q, &a);
    pg_array_open(c, q, &a, PG_OID_BYTEA);
    for (size_t i = 0; i < n; i++)
        pg_array_bytes(c, &a, serves[i].reactor);
    pg_array_close(c, q, &a);
    pg_array_open(c, q, &a, PG_OID_INT8);
    for (size_t i = 0; i < n; i++)
        pg_array_i64(c, &a, serves[i].version_min);
    pg_array_close(c, q, &a);
    pg_array_open(c, q, &a, PG_OID_INT8);
    for (size_t i = 0; i < n; i++)
        pg_array_i64(c, &a, serves[i].version_max);
    pg_array_close(c, q, &a);
}

/* ------------------------------------------------------------------- results */

int64_t pg_i64(const PGresult *r, int row, int col)
{
    int len = PQgetlength(r, row, col);
    const char *value = PQgetvalue(r, row, col);

    if (PQgetisnull(r, row, col) != 0)
        return 0;
    if (len == 4)
        return (int32_t)(uint32_t)get_be(value, 4);
    return len == 8 ? (int64_t)get_be(value, 8) : 0;
}

bool pg_bool(const PGresult *r, int row, int col)
{
    return PQgetlength(r, row, col) == 1 && PQgetvalue(r, row, col)[0] != 0;
}

struct kedge_bytes pg_bytes(const PGresult *r, int row, int col)
{
    return (struct kedge_bytes){ PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col) };
}

void pg_id(const PGresult *r, int row, int col, struct kedge_id128 *out)
{
    memset(out, 0, sizeof *out);
    if (PQgetlength(r, row, col) == (int)sizeof out->b)
        memcpy(out->b, PQgetvalue(r, row, col), sizeof out->b);
}

size_t pg_numbers(const PGresult *r, int row, int col, int64_t *out, size_t max)
{
    struct kedge_bytes b = pg_bytes(r, row, col);
    const unsigned char *p = b.data;
    size_t at = 20; /* behind the head; an empty array ends before */
    size_t n = 0;

    while (at + 4 <= b.len && n < max) {
        size_t len = (size_t)get_be(p + at, 4);

        at += 4;
        if (len > 8 || at + len > b.len)
            break;
        out[n++] = len == 4 ? (int32_t)(uint32_t)get_be(p + at, 4) : (int64_t)get_be(p + at, len);
        at += len;
    }
    return n;
}

size_t pg_ids(const PGresult *r, int row, int col, struct kedge_id128 *out, size_t max)
{
    struct kedge_bytes b = pg_bytes(r, row, col);
    size_t n = b.len < 20 ? 0 : (b.len - 20) / (4 + sizeof out->b); /* without nulls */

    n = n < max ? n : max;
    for (size_t i = 0; i < n; i++)
        memcpy(out[i].b, (const char *)b.data + 20 + i * (4 + sizeof out->b) + 4, sizeof out->b);
    return n;
}

/* ---------------------------------------------------------------------- runs */

static uint64_t u64(const PGresult *r, int row, int col)
{
    return (uint64_t)pg_i64(r, row, col);
}

static uint32_t u32(const PGresult *r, int row, int col)
{
    return (uint32_t)pg_i64(r, row, col);
}

static void done_read(const PGresult *r, int row, int c, struct kit_done *out)
{
    pg_id(r, row, c, &out->request);
    out->fence = u64(r, row, c + 1);
    out->revision = u64(r, row, c + 2);
    out->position = u64(r, row, c + 3);
}

void pg_run_read(const PGresult *r, int row, int c, struct kit_run *out)
{
    struct kedge_run *run = &out->r;

    memset(out, 0, sizeof *out);
    run->incarnation = u64(r, row, c++);
    run->id = pg_bytes(r, row, c++);
    run->reactor = pg_bytes(r, row, c++);
    run->queue = pg_bytes(r, row, c++);
    run->context = pg_bytes(r, row, c++);
    run->parent = pg_bytes(r, row, c++);
    run->root = pg_bytes(r, row, c++);
    run->parent_incarnation = u64(r, row, c++);
    run->parent_set = u32(r, row, c++);
    run->parent_slot = u32(r, row, c++);
    run->version = u32(r, row, c++);
    run->created = pg_i64(r, row, c++);
    pg_id(r, row, c++, &out->create_request);
    run->fence = u64(r, row, c++);
    pg_id(r, row, c++, &run->holder);
    run->status = u32(r, row, c++);
    run->place = u32(r, row, c++);
    run->wakes_on = u32(r, row, c++);
    run->requests = u32(r, row, c++);
    run->recoveries = u32(r, row, c++);
    out->recoveries_at = u64(r, row, c++);
    run->wake_mark = u32(r, row, c++);
    run->due = pg_i64(r, row, c++);
    run->finished = pg_i64(r, row, c++);
    run->expires = pg_i64(r, row, c++);
    run->hold_until = pg_i64(r, row, c++);
    run->snapshot_position = u64(r, row, c++);
    pg_id(r, row, c++, &out->take_request);
    done_read(r, row, c, &out->last);
    done_read(r, row, c + 4, &out->prev);
    out->head_revision = u64(r, row, c + 8);
    kit_run_load(out, u64(r, row, c + 9));
}

bool pg_run_copy(const struct kedge_host *host, struct kedge_mem **mem, const PGresult *r, int row,
                 int first, struct kit_run *out)
{
    struct kit_run run;

    pg_run_read(r, row, first, &run);
    if (!kit_copy_run(host, mem, &run.r, &run.r))
        return false;
    *out = run;
    return true;
}

/* -------------------------------------------------------------------- leases */

void pg_put_serves(struct pg_buf *b, const struct kedge_serve *serves, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pg_put_i32(b, (int32_t)serves[i].queue.len);
        pg_put(b, serves[i].queue.data, serves[i].queue.len);
        pg_put_i32(b, (int32_t)serves[i].reactor.len);
        pg_put(b, serves[i].reactor.data, serves[i].reactor.len);
        pg_put_i32(b, (int32_t)serves[i].version_min);
        pg_put_i32(b, (int32_t)serves[i].version_max);
    }
}

static bool take_bytes(struct kedge_bytes *from, struct kedge_bytes *out)
{
    size_t len = from->len < 4 ? SIZE_MAX : (size_t)get_be(from->data, 4);

    if (len == SIZE_MAX || from->len - 4 < len)
        return false;
    *out = (struct kedge_bytes){ (const char *)from->data + 4, len };
    *from = (struct kedge_bytes){ (const char *)from->data + 4 + len, from->len - 4 - len };
    return true;
}

static bool take_serve(struct kedge_bytes *from, struct kedge_serve *out)
{
    if (!take_bytes(from, &out->queue) || !take_bytes(from, &out->reactor) || from->len < 8)
        return false;
    out->version_min = (uint32_t)get_be(from->data, 4);
    out->version_max = (uint32_t)get_be((const char *)from->data + 4, 4);
    *from = (struct kedge_bytes){ (const char *)from->data + 8, from->len - 8 };
    return true;
}

/* IN is a copy already; what cannot be understood ends the list. */
static bool read_serves(const struct kedge_host *host, struct kedge_mem **mem,
                        struct kedge_bytes in, struct kedge_lease *l)
{
    struct kedge_bytes rest = in;
    struct kedge_serve one;
    struct kedge_serve *all;
    size_t n = 0;

    while (rest.len != 0 && take_serve(&rest, &one))
        n++;
    if (n == 0)
        return true;
    all = kedge_mem_alloc(host, mem, n * sizeof *all);
    if (all == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        (void)take_serve(&in, &all[i]);
    l->serves = all;
    l->n_serves = n;
    return true;
}

bool pg_lease_copy(const struct kedge_host *host, struct kedge_mem **mem, const PGresult *r,
                   int row, int c, struct pg_lease *out)
{
    struct kit_lease *k = &out->k;
    struct kedge_bytes serves;

    memset(out, 0, sizeof *out);
    pg_id(r, row, c++, &k->l.id);
    out->no = pg_i64(r, row, c++);
    if (!kit_copy(host, mem, pg_bytes(r, row, c++), &k->l.owner) ||
        !kit_copy(host, mem, pg_bytes(r, row, c++), &serves) ||
        !read_serves(host, mem, serves, &k->l))
        return false;
    k->l.ttl_us = pg_i64(r, row, c++);
    k->l.granted = pg_i64(r, row, c++);
    pg_id(r, row, c++, &k->grant_request);
    k->died = pg_i64(r, row, c++);
    k->l.state = k->died != 0 ? KEDGE_LEASE_DEAD : KEDGE_LEASE_LIVE;
    k->l.deadline = pg_i64(r, row, c++);
    k->extended = pg_i64(r, row, c++);
    k->l.attention = u64(r, row, c++);
    k->l.incarnation = u64(r, row, c++);
    out->hinted = pg_bool(r, row, c++);
    pg_id(r, row, c, &k->claim_request);
    return true;
}
