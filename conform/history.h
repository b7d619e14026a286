/*
 * history.h - what several workers did to one store, and when, as one list of events
 *
 * An event is one call.  Its times are of CLOCK_MONOTONIC, which all processes of a host share:
 * the call took effect, if it did, at one instant in [call, ret].  A call whose answer never came
 * (its worker was killed, or the store answered that it does not know) has result ERR_UNKNOWN and
 * ret HISTORY_NEVER: it took effect at some time after `call', or not at all.
 *
 * As text a history is JSON lines, one event a line, members that say nothing left out:
 *
 *   {"i":17,"w":3,"op":"acquire","k":"L1","o":5,"call":100,"ret":230,"res":"OK","fence":9}
 */
#ifndef KEDGE_CONFORM_HISTORY_H
#define KEDGE_CONFORM_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HISTORY_NEVER   INT64_MAX
#define HISTORY_KEY_MAX 24
#define HISTORY_NO_TIME INT64_MIN /* `now' is not known */
#define HISTORY_ANY_KEY "*"       /* of a claim in doubt: whichever runs it got */

/* X(NAME, "word of the text", what it speaks of) */
#define HISTORY_OPS(X)                                                                             \
    X(GRANT, "grant", LEASE)   /* ttl */                                                           \
    X(EXTEND, "extend", LEASE) /* ttl */                                                           \
    X(BURY, "bury", LEASE)     /* owner: who is buried */                                          \
    X(REVOKE, "revoke", LEASE)                                                                     \
    X(GONE, "gone", LEASE)      /* the process of this lease is about to be killed or stopped */   \
    X(ACQUIRE, "acquire", LOCK) /* fence: got; HELD: who holds it, with `holder' */                \
    X(CHECK, "check", LOCK)     /* under `fence'; extends the lease too if there is a ttl */       \
    X(UNLOCK, "release", LOCK)  /* under `fence' */                                                \
    X(QUERY, "query", LOCK)     /* fence and holder */                                             \
    X(PUT, "put", CELL)         /* guarded by version `seen'; `version' is the new one */          \
    X(GET, "get", CELL)         /* version and value */                                            \
    X(CREATE, "create", RUN)    /* due */                                                          \
    X(CLAIM, "claim", RUN)      /* one event for each run that was handed out; fence */            \
    X(TAKE, "take", RUN)        /* fence */                                                        \
    X(APPEND, "append", RUN)    /* under `fence'; version: the number of the record */             \
    X(YIELD, "yield", RUN)      /* under `fence': due again */                                     \
    X(REST, "rest", RUN)        /* under `fence' */                                                \
    X(READ, "read", RUN)        /* version: its position; value: enum kedge_run_place; fence */

enum history_op {
#define HISTORY_OP_ENUM(name, word, subject) HISTORY_##name,
    HISTORY_OPS(HISTORY_OP_ENUM)
#undef HISTORY_OP_ENUM
        HISTORY_N_OPS
};

enum history_subject { HISTORY_OF_LEASE, HISTORY_OF_LOCK, HISTORY_OF_CELL, HISTORY_OF_RUN };

struct history_event {
    int64_t call;
    int64_t ret;
    int64_t now_from; /* the store's lease clock: not before the call, not after the answer */
    int64_t now_to;
    int64_t ttl;
    uint64_t owner;  /* number of the lease under which it was done; 0: none */
    uint64_t holder; /* of an answer that names one; 0: it named none that is known */
    uint64_t fence;  /* given, or got: see HISTORY_OPS; 0: none */
    uint64_t seen;
    uint64_t version;
    uint64_t value;
    uint32_t worker;
    uint32_t op;    /* enum history_op */
    int32_t result; /* enum kedge_status */
    char key[HISTORY_KEY_MAX];
};

struct history {
    struct history_event *events; /* in the order of their calls, after history_sort */
    size_t n;
    size_t room;
};

/* OP on KEY by WORKER under OWNER, in doubt until it is said otherwise. */
struct history_event history_event(uint32_t op, uint32_t worker, const char *key, uint64_t owner);
void history_free(struct history *h);
/* false: no memory */
bool history_add(struct history *h, const struct history_event *e);
void history_sort(struct history *h);

enum history_subject history_subject(uint32_t op);
const char *history_op_name(uint32_t op);
const char *history_status_name(int32_t status);
/* Did it take effect: for certain, or perhaps? */
static inline bool history_done(const struct history_event *e)
{
    return e->result == 0;
}
static inline bool history_maybe(const struct history_event *e)
{
    return e->ret == HISTORY_NEVER;
}

/* One event in words, for people: "w3 acquire L1 by 5 -> OK, fence 9 [100, 230]". */
void history_tell(const struct history_event *e, char *out, size_t size);
/* false: it could not be written. */
bool history_write(const struct history *h, FILE *out);
/* Adds to H; 0, or the number of the first line that is no event, with WHY. */
size_t history_read(struct history *h, FILE *in, char *why, size_t size);

#endif
