/*
 * session.h - what the threads of a process share of one store: sessions, and who waits for a run
 *
 * A session is used by one thread at a time.  Opening one may be dear (a reader slot, a
 * connection), so they are kept when they are put back.
 */
#ifndef KEDGE_SRC_SESSION_H
#define KEDGE_SRC_SESSION_H

#include <pthread.h>
#include <stdbool.h>

#include <kedge/backend.h>
#include <kedge/store.h>

/* Is the store this process's own?  ERR_INVALID: it was opened before a fork.  No lock is taken, as
   it may be that of a thread that is not here. */
int kedge_session_check(struct kedge_store *store, struct kedge_error *err);

/*
 * A session of the store for the calling thread alone, until it is put back.  Whatever the store
 * answers to session_open, or kedge_session_check(); ERR_UNAVAILABLE when the backend has only one
 * session at a time and nobody put it back in 10 s, or in TIMEOUT_US.  Do not hold two, and none in
 * somebody's callback.
 */
int kedge_session_get(struct kedge_store *store, void **session, struct kedge_error *err);
int kedge_session_get_timed(struct kedge_store *store, void **session, int64_t timeout_us,
                            struct kedge_error *err);
void kedge_session_put(struct kedge_store *store, void *session);

/* The cache itself, which belongs to the store.  Freeing it closes what is in it. */
struct kedge_sessions;
struct kedge_sessions *kedge_sessions_new(const struct kedge_host *host); /* NULL: no memory */
void kedge_sessions_free(struct kedge_sessions *sessions, const struct kedge_backend_ops *ops);
struct kedge_sessions *kedge_store_sessions(struct kedge_store *store); /* in store.c */

/* "host:pid" of the process that opened it, for people.  In store.c. */
#define KEDGE_PROGRAM_ROOM 96
const char *kedge_store_program(const struct kedge_store *store);

/* ----------------------------------------------------------------- waiters */

/* Run ID has come to rest, durably: wake those of this process who wait for it, through whatever
   handle.  One atomic load when nobody does. */
void kedge_store_run_ended(struct kedge_store *store, struct kedge_bytes id);

/* Somebody who waits.  Begin before looking at the run, so that no end is missed in between. */
struct kedge_waiter {
    struct kedge_waiter *next;
    struct kedge_bytes id; /* borrowed */
    pthread_cond_t cond;
    bool woken;
};
int kedge_waiter_begin(struct kedge_waiter *waiter, struct kedge_bytes id, struct kedge_error *err);
/* Sleep until the run ends or TIMEOUT_US have passed. */
void kedge_waiter_sleep(struct kedge_waiter *waiter, int64_t timeout_us);
void kedge_waiter_end(struct kedge_waiter *waiter);

/* ------------------------------------------------------------------- clock */

/* CLOCK_MONOTONIC, us: how long something takes here. */
int64_t kedge_monotonic_us(void);

void kedge_sleep_us(int64_t us);

/* The moment TIMEOUT_US (>= 0) from now, or the end of time. */
int64_t kedge_deadline(int64_t timeout_us);

#endif
