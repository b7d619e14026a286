/* fault.h - what an error of the server or of libpq means here */
#ifndef KEDGE_PG_FAULT_H
#define KEDGE_PG_FAULT_H

#include <stdbool.h>

#include <libpq-fe.h>

#include <kedge/backend.h>

struct pg_conn;

enum pg_retry {
    PG_RETRY_NOT,
    PG_RETRY_HERE, /* others were in the way: the same again */
    PG_RETRY_ANEW  /* this connection is no good: the same on a new one */
};

/* The status for FAULT, which took the whole transaction back, and a sentence. */
int pg_fault(struct pg_conn *c, const PGresult *fault, struct kedge_error *err);
/* NULL: none. */
enum pg_retry pg_fault_retry(const PGresult *fault);
/* What was to be inserted is there already. */
bool pg_fault_is_there(const PGresult *fault);
/* The connection ends with it. */
bool pg_fault_is_final(const PGresult *fault);
/* Of an attempt to connect that failed. */
int pg_fault_connect(const PGconn *pg);

#endif
