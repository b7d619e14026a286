/*
 * hammer.h - what the workers of the hammer write down, and what the checker reads
 *
 * One line before each call and one after it, in a file of the thread's own, with times of the
 * monotonic clock, which all processes of a host share.  A call without its second line was under
 * way when its process was killed: it took place or not.
 */
#ifndef KEDGE_TESTS_HAMMER_H
#define KEDGE_TESTS_HAMMER_H

#include "conform/iofault.h"
#include "crash.h"

#define HAMMER_SLOTS   8 /* processes */
#define HAMMER_THREADS 2 /* in each */
#define HAMMER_RUNS    12
#define HAMMER_LOCKS   3
#define HAMMER_CELLS   2
#define HAMMER_PLACES  400 /* slots of the parent */
#define HAMMER_NS      "hammer"

enum hammer_kind {
    HAMMER_GRANT,  /* lease */
    HAMMER_CLAIM,  /* request, lease; one second line for each run: run, fence, incarnation */
    HAMMER_TAKE,   /* request, run, lease; fence */
    HAMMER_APPEND, /* request, run, fence, n records; position.  extra: HAMMER_RELEASES */
    HAMMER_END,    /* lease: is about to be buried or revoked */
    HAMMER_LOCK,   /* request, run = lock, lease; fence */
    HAMMER_UNLOCK, /* run = lock, fence */
    HAMMER_CELL,   /* request, run = cell, extra = the number written */
    HAMMER_SLOT,   /* request, extra = index */
    HAMMER_OTHER   /* nothing to check but the outcome */
};
#define HAMMER_RELEASES 1u

struct hammer_line {
    uint8_t kind;
    uint8_t after; /* 0: before the call */
    uint16_t run;
    int32_t outcome; /* of the second line; ERR_UNKNOWN: in doubt to the end */
    int64_t time;
    uint64_t call; /* pairs the two lines */
    struct kedge_id128 lease;
    struct kedge_id128 request;
    uint64_t fence;
    uint64_t incarnation;
    uint64_t position; /* of the last record appended */
    uint32_t n;
    uint32_t extra;
};

/* Shared by all processes. */
struct hammer {
    struct iofault fault[HAMMER_SLOTS];
    _Atomic uint32_t stop; /* workers: come to an end */
    _Atomic uint64_t calls;
    _Atomic uint64_t outcomes[24]; /* index: status + 13 */
    _Atomic uint64_t named;        /* "is being written by process N" */
    _Atomic uint32_t others;       /* other ERR_UNAVAILABLE or ERR_UNKNOWN; the first one's text: */
    char other[KEDGE_ERRMSG_MAX];
    uint64_t seed;
    int64_t timeout_us;
    int64_t ttl_us;
    uint64_t parent_incarnation;
    char url[4300];
    char dir[4200]; /* of the logs */
    /* what the checker found */
    uint64_t appends, records, takes, locks, in_doubt;
};

struct hammer_worker {
    struct hammer *h;
    unsigned slot;
    unsigned generation;
};

void hammer_worker(void *ctx); /* struct hammer_worker */
void hammer_setup(void *ctx);  /* struct hammer: makes the store and its runs */
void hammer_heir(void *ctx);   /* struct hammer: buries, takes over, finishes every run */
void hammer_check(void *ctx);  /* struct hammer: reads logs and store */

void hammer_run_name(unsigned run, char out[16]);
/* The data of record K of a request: made from it. */
struct kedge_bytes hammer_data(const struct kedge_id128 *request, unsigned k, unsigned char *room,
                               size_t size);
#define HAMMER_DATA_MAX ((size_t)330 * 1024)

#endif
