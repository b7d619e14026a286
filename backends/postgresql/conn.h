/*
 * conn.h - one connection to the server, and the only way in which anything is asked of it
 *
 *   I1  Every call has an end on the monotonic clock; nothing here waits longer, except that libpq
 *       looks up host names in its own time.
 *   I2  An error of input or output discards the connection.  A write whose bytes may have left is
 *       UNKNOWN then; nothing is read from that connection again.
 *   I3  A write counts as done when the server has said that it is ready for more, which it does
 *       after the flush; the result of the statement alone says nothing.
 *   I4  All values travel in binary form, in parameters.  The texts of statements are fixed.
 *   I5  All connections of a store are to one host, of several: the one that answered a new
 *       connection last.  A server that has fallen silent is found out by the first call whose
 *       time is up.  From then on each of the others has to show that it answers before anything
 *       is asked of it, and comes over if not: none waits out a call's whole time as well.
 *   I6  Behind a pooler of transactions nothing is set and nothing prepared: the next transaction
 *       may meet another server process.
 */
#ifndef KEDGE_PG_CONN_H
#define KEDGE_PG_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "../kit/await.h"
#include "../kit/rules.h"
#include "params.h"
#include "sql.h"

#define PG_ARGS_MAX 32

/* Bytes that grow.  After a failed allocation it takes nothing more and says so. */
struct pg_buf {
    char *data;
    size_t len;
    size_t cap;
    bool failed;
};
void pg_buf_free(struct pg_buf *b);
void *pg_buf_room(struct pg_buf *b, size_t size); /* NULL: failed */
void pg_put(struct pg_buf *b, const void *data, size_t len);
void pg_put_i16(struct pg_buf *b, int16_t v);
void pg_put_i32(struct pg_buf *b, int32_t v);
void pg_put_i64(struct pg_buf *b, int64_t v);

/* One statement with its parameters, which lie in a buffer of the session. */
struct pg_query {
    enum pg_sql sql;
    int n;
    size_t at[PG_ARGS_MAX];
    int len[PG_ARGS_MAX]; /* -1: null */
    PGresult *result;     /* after pg_run() that answered KEDGE_OK */
};

struct pg_conn {
    PGconn *pg; /* NULL: none */
    struct pg_place *place;
    const struct pg_statements *statements;
    struct kit_await await;
    int64_t used;      /* when it was last used, monotonic */
    struct pg_buf out; /* parameters under way */
    uint64_t prepared[2];
    uint64_t made;     /* counts connections: what hung on an earlier one is gone */
    int64_t born;      /* when this one was there, monotonic */
    unsigned host;     /* which of several it is to */
    unsigned silences; /* of the place, when it was seen to answer */
    uint32_t failures;
    int64_t retry_at;
    uint32_t row_in; /* numbers of the composite types in this database */
    uint32_t run_in;
    bool pooled;
    int server;        /* its version: 150004 */
    bool set_up;       /* the namespace was there when this connection began */
    bool schema_there; /* a schema of that name was */
    bool doubt;        /* the server warned that the present write may not be where it should */
};

enum pg_mode {
    PG_READ,  /* several statements see one moment */
    PG_NOTE,  /* may write what nobody relies on: doing it twice, or not at all, is as good */
    PG_WRITE, /* one transaction, durable */
    PG_HERE   /* the same, but for this very connection: see pg_run() */
};

int64_t pg_mono_us(void);
/* When a call with this timeout ends. */
int64_t pg_end(int64_t timeout_us);

void pg_conn_init(struct pg_conn *c, struct pg_place *place,
                  const struct pg_statements *statements);
/* Close it; MINE is false in a forked child, which must leave the socket alone. */
void pg_conn_fini(struct pg_conn *c, bool mine);
/* There is a connection, a new one if need be. */
int pg_conn_ready(struct pg_conn *c, int64_t end, struct kedge_error *err);
void pg_conn_drop(struct pg_conn *c);

/* Wait on a connection that listens: true when something was told, or it is gone; false: END. */
bool pg_conn_told(struct pg_conn *c, int64_t end);

/* Begin to collect parameters for statements that go together. */
void pg_begin(struct pg_conn *c);
void pg_query_init(struct pg_query *q, enum pg_sql sql);

/* Parameters, in order. */
void pg_arg_null(struct pg_conn *c, struct pg_query *q);
void pg_arg_bool(struct pg_conn *c, struct pg_query *q, bool v);
void pg_arg_i32(struct pg_conn *c, struct pg_query *q, int32_t v);
void pg_arg_i64(struct pg_conn *c, struct pg_query *q, int64_t v);
void pg_arg_id(struct pg_conn *c, struct pg_query *q, const struct kedge_id128 *id);
void pg_arg_bytes(struct pg_conn *c, struct pg_query *q, struct kedge_bytes b);
/* A parameter that is written with pg_put: open, write, close. */
void pg_arg_open(struct pg_conn *c, struct pg_query *q);
void pg_arg_close(struct pg_conn *c, struct pg_query *q);

/*
 * Carry out.  OK: each has its result, to be freed with pg_clear().  A read is tried again on a
 * new connection once when an old one turns out to be dead; a write that the server took back
 * because of others (serialization, deadlock) is sent again until END.
 *
 * PG_HERE is for what rests on what was known when this connection was there.  NOT_FOUND: it is
 * gone, and nothing was written.  EXISTS: what was to be inserted is there; likewise.
 */
int pg_run(struct pg_conn *c, struct pg_query *q, size_t n, enum pg_mode mode, int64_t end,
           struct kedge_error *err);
void pg_clear(struct pg_query *q, size_t n);
/* Statements that are known at run time only (setting up a namespace): one transaction of texts
   without parameters. */
int pg_script(struct pg_conn *c, char *const *texts, size_t n, int64_t end,
              struct kedge_error *err);

#endif
