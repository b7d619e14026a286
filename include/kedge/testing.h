/*
 * testing.h - for tests of your own sagas: a store whose clock you move, and death on demand
 *
 *      struct kedge_testing *t;
 *      struct kedge_store *store;
 *
 *      kedge_testing_open(NULL, &t, &err);            a store in memory, with a manual clock
 *      kedge_testing_store(t, &store, &err);
 *      ... start runs, open a worker on it, kedge_worker_drain() ...
 *      kedge_testing_advance(t, 60 * 1000000);        a minute of backoff passes in no time
 *      ... drain again ...
 *
 * Death: a handle made by kedge_testing_doomed() works like the other until its K-th store call;
 * from then on each call answers ERR_UNAVAILABLE, as seen from a process that died there.  Close
 * the worker that was on it, open another on a healthy handle, advance the clock past the lease:
 * what the saga does next is what it does after a crash at that point.  For every K from 1 until
 * kedge_testing_dead() says 0 is every crash point there is.
 *
 * Threads: a handle made here is a store like any other; the functions below may be called by any
 * thread.  All handles are closed by kedge_store_close() before kedge_testing_close(), and what was
 * read through them is freed before.
 */
#ifndef KEDGE_TESTING_H
#define KEDGE_TESTING_H

#include <kedge/base.h>
#include <kedge/store.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kedge_testing;

/* URL: NULL is a memory store of its own with a manual clock; any other store runs on its own
   clock, where kedge_testing_advance() is ERR_UNSUPPORTED. */
KEDGE_API int kedge_testing_open(const char *url, struct kedge_testing **testing,
                                 struct kedge_error *err);
KEDGE_API void kedge_testing_close(struct kedge_testing *testing); /* NULL is fine */

/* A handle on it.  The caller's, for kedge_store_close(). */
KEDGE_API int kedge_testing_store(struct kedge_testing *testing, struct kedge_store **store,
                                  struct kedge_error *err);

/* The clock: wall and lease time move together.  It begins at a fixed time. */
KEDGE_API int64_t kedge_testing_now(const struct kedge_testing *testing);
KEDGE_API int kedge_testing_advance(struct kedge_testing *testing, int64_t us,
                                    struct kedge_error *err);

#define KEDGE_TESTING_BEFORE UINT32_C(0) /* the K-th call does not reach the store */
#define KEDGE_TESTING_AFTER  UINT32_C(1) /* it does, and its answer is not seen */

/*
 * A handle that dies at its K-th call (K >= 1, counted over all calls that may write: commits,
 * claims, grants, extensions, revocations, burials, locks, purges).  A batch of commits is one.
 */
KEDGE_API int kedge_testing_doomed(struct kedge_testing *testing, uint64_t k, uint32_t when,
                                   struct kedge_store **store, struct kedge_error *err);

/* Has it died: 1 or 0?  And its writing calls so far. */
KEDGE_API int kedge_testing_dead(const struct kedge_store *doomed);
KEDGE_API uint64_t kedge_testing_calls(const struct kedge_store *doomed);

#ifdef __cplusplus
}
#endif

#endif
