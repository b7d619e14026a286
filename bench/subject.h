/* subject.h - a store behind the storage contract, as the workloads use it */
#ifndef KEDGE_BENCH_SUBJECT_H
#define KEDGE_BENCH_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kedge/backend.h>

#include "bare.h"
#include "harness.h"
#include "made.h"

#define BATCH_MAX 256

struct subject {
    const struct kedge_backend_ops *ops;
    const struct kedge_host *host;
    void *store;
};

/* One thread's way into a store. */
struct user {
    const struct subject *subject;
    void *session;
    struct kedge_id128 lease;
    struct rng rng;
    struct batch *batch;
    size_t most; /* items of one call */
};

struct run {
    uint64_t tag; /* its id is made from this */
    uint64_t fence;
    uint64_t position;
};
/* Runs that one thread or process holds, in rotation. */
struct runs {
    struct run *v;
    size_t n;
    size_t next;
};

/* Open the store at URL; the namespace for NAME is created if need be. */
void subject_open(struct subject *s, const char *url, const char *name);
void subject_close(struct subject *s);
/* The URL for a store of the workload under way; if it is one with files, a new one called NAME. */
void subject_url(char *url, size_t size, const char *name);
/*
 * The namespace for NAME: on a server, and with opt.own, one that nobody else has, and that
 * subject_drop() drops at the end of the workload, when nothing is open any more.
 */
const char *subject_ns(char ns[NS_BYTES], const char *name);
void subject_drop(void);
/* Tell the reader what the store says of itself. */
void subject_describe(const struct subject *s);

/* Opens a session; with LEASE_US not 0 also a lease (clipped to what the store allows). */
void user_open(struct user *u, const struct subject *s, int64_t lease_us);
void user_close(struct user *u);
struct kedge_id128 user_id(struct user *u);

enum birth {
    BORN_HELD,    /* held by the user's lease */
    BORN_BOUND,   /* that, with a bound on the holding in a day */
    BORN_OVERDUE, /* that, with a bound that passes at once */
    BORN_DUE,     /* due now */
    BORN_LATER    /* due in a day */
};
/* Create runs tagged FIRST .. FIRST + N - 1, at most BATCH_MAX in one call of the store. */
void user_create(struct user *u, uint64_t first, size_t n, enum birth birth, struct run *out);
/* The same, kept. */
void runs_create(struct runs *runs, struct user *u, uint64_t first, size_t n);
void runs_release(struct runs *runs);

/* One call: GUARD_HELD and APPEND of one record, for each of the next N runs. */
void user_append(struct user *u, struct runs *runs, size_t n);
/* One call: one commit that appends N records to RUN. */
void user_append_many(struct user *u, struct run *run, size_t n);
/* Claim up to N due runs; then let go of them, due again at once.  Answers how many. */
size_t user_claim(struct user *u, size_t n);
void user_release(struct user *u, size_t n);
void user_extend(struct user *u);
/* Close session and store, so that a server has heard all there is to be told of them; open both
   again, under the same lease. */
void user_leave(struct user *u, struct subject *s);
void user_return(struct user *u, struct subject *s, const char *url, const char *name);
/* What a worker looks at to see whether others have died, whether there is work, and whether
   something is to be removed: leases, expired runs, a claim that finds nothing, a purge. */
void user_sweep(struct user *u);
/* Create runs that are parked until somebody wakes them. */
void user_park(struct user *u, uint64_t first, size_t n);
/* All pages of list_expired: how many runs there are. */
size_t user_expired(struct user *u);
/* The head alone; answers the position. */
uint64_t user_head(struct user *u, uint64_t tag);
/* The records of each run are there, and no others; how many in all. */
uint64_t user_verify(struct user *u, const struct runs *runs);

/* Take a lock; false: somebody has it.  Let go of it.  Has anybody got it? */
bool user_lock(struct user *u, struct kedge_bytes name, uint64_t *fence);
void user_unlock(struct user *u, struct kedge_bytes name, uint64_t fence);
bool user_locked(struct user *u, struct kedge_bytes name);

#endif
