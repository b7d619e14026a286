/*
 * rows.h - values on the wire, and rows of the tables as the kit's structures
 *
 * Numbers are big-endian; uint64_t travels as the int64_t with the same bits.
 */
#ifndef KEDGE_PG_ROWS_H
#define KEDGE_PG_ROWS_H

#include "conn.h"

/* Numbers of the server's own types; they never change. */
#define PG_OID_BOOL  16u
#define PG_OID_BYTEA 17u
#define PG_OID_INT8  20u
#define PG_OID_INT4  23u
#define PG_OID_UUID  2950u

/* ------------------------------------------------------------------- arrays */

/* An array under way in c->out: its number of elements is written when it is closed. */
struct pg_array {
    size_t at;
    int32_t n;
};
void pg_array_open(struct pg_conn *c, struct pg_query *q, struct pg_array *a, uint32_t oid);
void pg_array_close(struct pg_conn *c, struct pg_query *q, struct pg_array *a);
void pg_array_i64(struct pg_conn *c, struct pg_array *a, int64_t v);
void pg_array_i32(struct pg_conn *c, struct pg_array *a, int32_t v);
void pg_array_bytes(struct pg_conn *c, struct pg_array *a, struct kedge_bytes b);
void pg_array_id(struct pg_conn *c, struct pg_array *a, const struct kedge_id128 *id);

/* An element that is a row: open, its columns in order, close. */
struct pg_record {
    size_t at;
};
void pg_record_open(struct pg_conn *c, struct pg_array *a, struct pg_record *r, int32_t columns);
void pg_record_close(struct pg_conn *c, struct pg_record *r);
void pg_col_bool(struct pg_conn *c, bool v);
void pg_col_i32(struct pg_conn *c, int32_t v);
void pg_col_i64(struct pg_conn *c, int64_t v);
void pg_col_bytes(struct pg_conn *c, struct kedge_bytes b);
void pg_col_id(struct pg_conn *c, const struct kedge_id128 *id); /* all zero: null */

/* Queues, reactors and ranges as four arrays. */
void pg_arg_serves(struct pg_conn *c, struct pg_query *q, const struct kedge_serve *serves,
                   size_t n);

/* ------------------------------------------------------------------- results */

int64_t pg_i64(const PGresult *r, int row, int column); /* of int4 and int8 alike; null is 0 */
bool pg_bool(const PGresult *r, int row, int column);
struct kedge_bytes pg_bytes(const PGresult *r, int row, int column); /* lives as long as R */
void pg_id(const PGresult *r, int row, int column, struct kedge_id128 *out); /* null: all zero */
/* The numbers of an int4[] or int8[]; how many, at most MAX. */
size_t pg_numbers(const PGresult *r, int row, int column, int64_t *out, size_t max);

/* The ids of a uuid[], likewise. */
size_t pg_ids(const PGresult *r, int row, int col, struct kedge_id128 *out, size_t max);

/* Row ROW from column FIRST on, which are PG_RUN_COLUMNS; points into R. */
void pg_run_read(const PGresult *r, int row, int first, struct kit_run *out);
/* With copies in MEM of what it points to.  false: no memory. */
bool pg_run_copy(const struct kedge_host *host, struct kedge_mem **mem, const PGresult *r, int row,
                 int first, struct kit_run *out);

struct pg_lease {
    struct kit_lease k;
    int64_t no;
    bool hinted;
};
/* Likewise PG_LEASE_COLUMNS; copies into MEM. */
bool pg_lease_copy(const struct kedge_host *host, struct kedge_mem **mem, const PGresult *r,
                   int row, int first, struct pg_lease *out);
/* What a lease serves, as stored in its row: to c->out. */
void pg_put_serves(struct pg_buf *b, const struct kedge_serve *serves, size_t n);

#endif
