/*
 * session.h - the handles behind the vtable, and what its operations share
 *
 *   I1  A session has a connection of its own.  A store has one more, the lifeline: it carries
 *       grants and extensions of leases, their hints (session locks), the mark that the store is
 *       open, and nothing that takes long.  Sessions use it one at a time.
 *   I2  An operation checks for a fork and its arguments, sees to a connection, then asks.
 *   I3  Rules live in kit/; what is restated in SQL (claim, hand back, bury) says so in schema.c.
 */
#ifndef KEDGE_PG_SESSION_H
#define KEDGE_PG_SESSION_H

#include <errno.h>
#include <pthread.h>
#include <sys/types.h>

#include "../kit/moment.h"
#include "../kit/remote.h"
#include "rows.h"

struct pg_hints;
struct pg_cache;
struct pg_grip;
struct pg_ear;

struct pg_store {
    const struct kedge_host *host;
    pid_t pid;
    struct pg_place place;
    struct pg_statements statements;
    struct kit_moment moment;
    pthread_mutex_t lock; /* `life' and what hangs on it */
    pthread_cond_t idle;
    bool busy;
    struct pg_conn life;
    uint64_t marked; /* life.made when the mark was set */
    struct pg_hints *hints;
    struct pg_cache *cache;
};

struct pg_session {
    struct pg_store *store;
    const struct kedge_host *host;
    struct pg_conn conn;
    struct kit_remote *remote;
    struct pg_ear *ear;    /* NULL: never waited */
    int64_t entered;       /* when the operation under way began, monotonic */
    struct pg_grip *grips; /* told by the last pg_apply() */
    size_t n_grips;
    int64_t asked;  /* when that was sent */
    uint64_t ready; /* conn.made when it was made ready to take runs; see claim.c */
};

extern const struct kedge_limits pg_limits;

/* ------------------------------------------------------------------ opening */

/* A connection for C to a namespace that is there and of this version; FLAGS: KEDGE_OPEN_... */
int pg_setup_open(struct pg_conn *c, uint32_t flags, int64_t end, struct kedge_error *err);
int pg_setup_drop(struct pg_conn *c, int64_t end, struct kedge_error *err);
/* The version that is there; SCHEMA_MISSING, _NEW. */
int pg_setup_have(struct pg_conn *c, uint32_t *version, int64_t end, struct kedge_error *err);
/* All it takes by hand from version FROM on, 0: from nothing; to be freed.  NULL: no memory. */
char *pg_setup_script(const struct pg_place *place, uint32_t from);

/* ------------------------------------------------------------------- shared */

/* No fork, a sensible timeout, a connection. */
int pg_enter(struct pg_session *s, int64_t timeout_us, int64_t *end, struct kedge_error *err);
int pg_check_fork(const struct pg_store *store, struct kedge_error *err);
/* The lifeline, for this caller alone until pg_life_leave(). */
int pg_life_enter(struct pg_store *store, int64_t end, struct kedge_error *err);
void pg_life_leave(struct pg_store *store);
/* The server said that its time is WALL. */
void pg_saw(struct pg_session *s, int64_t wall);

/* Tell those who wait that there is work: a hint, whatever becomes of it. */
int pg_hint(struct pg_session *s, int64_t end, struct kedge_error *err);
void pg_ear_free(struct pg_ear *ear, bool mine); /* NULL is fine */

/* Here, so that who reads a caller sees that it is no success: analysers do not look elsewhere. */
static inline int pg_no_memory(struct kedge_error *err)
{
    (void)kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    return KEDGE_ERR_NOMEM;
}

int pg_check_id(const struct kedge_id128 *id, const char *what, struct kedge_error *err);
int pg_check_page(size_t limit, struct kedge_error *err);
int pg_bad_cursor(struct kedge_error *err);

/* ----------------------------------------------------- runs held, remembered */

/*
 * What this process knows of runs that are held: so that an append needs no look.
 *
 *   I1  A run is sure if its head is what is remembered for as long as the grip of its holder
 *       (schema.c) is the one that is remembered of that lease, and its journal is at least as
 * long. An append under that grip needs no more: a number beyond the next would be one the server
 *       has not got, one below it is taken.
 *   I2  What only the transactions of this process have changed leaves the other runs of a lease
 *       sure: it told which runs those were.  A grip that has changed otherwise leaves none.
 *   I3  A server may lose what it acknowledged, if it is set up so, or another may take its place.
 *       Neither keeps a connection.  So a run is sure only on a connection that was there before
 *       what is remembered was asked for.  (A pooler keeps it: PG_SQL_APPEND_POOLED looks.)
 *   I4  A run that is not sure is a guess: the server compares head revision and position.
 */
struct pg_grip {
    struct kedge_id128 lease;
    int64_t was; /* before a transaction */
    int64_t is;  /* after it */
};
struct pg_known {
    uint64_t rid;
    uint64_t head_revision;
    uint64_t position;
    uint64_t fence;
    uint32_t status;
    uint32_t requests;
    int64_t grip;
    uint64_t serial; /* of what is remembered */
};
struct pg_cache *pg_cache_new(void);
void pg_cache_free(struct pg_cache *cache);
/*
 * An answer: the grips it told; the heads of RUNS have been written.  From here on they are not
 * sure, until they are learned.  All at once, as others append meanwhile.
 */
void pg_cache_told(struct pg_cache *cache, const struct pg_grip *grips, size_t n,
                   const struct kedge_bytes *runs, size_t n_runs);
/* RUN, read or written under GRIP of its holder, all of it; asked for at ASKED. */
void pg_cache_learn_sure(struct pg_cache *cache, const struct kit_run *run, int64_t grip,
                         int64_t asked);
void pg_cache_learn(struct pg_cache *cache, const struct kit_run *run);
void pg_cache_forget(struct pg_cache *cache, struct kedge_bytes id);
/* A copy in MEM. */
bool pg_cache_recall(struct pg_cache *cache, struct kedge_bytes id, const struct kedge_host *host,
                     struct kedge_mem **mem, struct kit_run *out);
/* May COMMIT, an append of one record by the holder, be made on what is known, on a connection that
   was there at BORN?  OUT is that. */
bool pg_cache_plain(struct pg_cache *cache, const struct kedge_commit *commit, int64_t born,
                    struct pg_known *out);
/* It was, asked for at ASKED: the run has one more record. */
void pg_cache_appended(struct pg_cache *cache, struct kedge_bytes id, const struct pg_known *known,
                       int64_t asked);

/* ------------------------------------------------------------------- hints */

struct pg_hints *pg_hints_new(void);
void pg_hints_free(struct pg_hints *hints);
/* Lease ID, number NO, has its hint on connection MADE of the lifeline. */
void pg_hints_own(struct pg_hints *hints, const struct kedge_id128 *id, int64_t no, uint64_t made);
/* Is it this store's, and on that connection? */
bool pg_hints_standing(struct pg_hints *hints, const struct kedge_id128 *id, uint64_t made);
/* Its number; 0: not ours.  It is forgotten. */
int64_t pg_hints_disown(struct pg_hints *hints, const struct kedge_id128 *id);
/* It was seen absent or present: for how long absent, in us. */
int64_t pg_hints_saw(struct pg_hints *hints, const struct kedge_id128 *id, int64_t extended,
                     bool absent);
/* How long ago more than half of the live looked dead at once; -1: not lately. */
int64_t pg_hints_mass(struct pg_hints *hints, size_t live, size_t absent, int64_t longest_ttl_us);

/* ------------------------------------------------- the server, as the kit asks */

extern const struct kit_remote_ops pg_remote_ops;
int pg_look(void *ctx, struct kit_row *const *rows, size_t n, int64_t *now, int64_t timeout_us,
            struct kedge_error *err);
int pg_apply(void *ctx, struct kit_group *groups, size_t n, uint64_t *fences, size_t n_fences,
             int64_t *now, int64_t timeout_us, struct kedge_error *err);

/* ------------------------------------------------- the operations, by file */

int pg_commit(void *session, const struct kedge_commit *commits, size_t n,
              struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err);
int pg_claim(void *session, const struct kedge_claim *in, struct kedge_run_page *out,
             int64_t timeout_us, struct kedge_error *err);

int pg_lease_grant(void *session, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                   int64_t timeout_us, struct kedge_error *err);
int pg_lease_extend(void *session, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                    int64_t timeout_us, struct kedge_error *err);
int pg_lease_revoke(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                    struct kedge_error *err);
int pg_lease_bury(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                  struct kedge_error *err);
int pg_lease_list(void *session, struct kedge_bytes cursor, size_t limit,
                  struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err);
int pg_list_held(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                 size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                 struct kedge_error *err);
int pg_lock_acquire(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                    const struct kedge_id128 *request, struct kedge_lock_state *out,
                    int64_t timeout_us, struct kedge_error *err);
int pg_lock_extend(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                   uint64_t fence, struct kedge_lock_state *out, int64_t timeout_us,
                   struct kedge_error *err);
int pg_lock_release(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                    uint64_t fence, int64_t timeout_us, struct kedge_error *err);
int pg_lock_query(void *session, struct kedge_bytes name, struct kedge_lock_state *out,
                  int64_t timeout_us, struct kedge_error *err);

int pg_retrieve(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                int64_t timeout_us, struct kedge_error *err);
int pg_retrieve_records(void *session, struct kedge_bytes id, uint64_t incarnation, uint64_t first,
                        size_t limit, size_t bytes_max, struct kedge_record_page *out,
                        int64_t timeout_us, struct kedge_error *err);
int pg_retrieve_slots(void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
                      uint32_t first, size_t limit, struct kedge_slot_page *out, int64_t timeout_us,
                      struct kedge_error *err);
int pg_cell_get(void *session, struct kedge_bytes name, struct kedge_cell *out, int64_t timeout_us,
                struct kedge_error *err);

int pg_list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
            int64_t timeout_us, struct kedge_error *err);
int pg_list_expired(void *session, struct kedge_bytes cursor, size_t limit,
                    struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err);

int pg_purge(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
             struct kedge_error *err);
int pg_verify(void *session, struct kedge_verified *out, int64_t timeout_us,
              struct kedge_error *err);
int pg_info(void *session, struct kedge_info *out, int64_t timeout_us, struct kedge_error *err);

int pg_wait(void *session, uint64_t seen, uint64_t *ticket, int64_t timeout_us,
            struct kedge_error *err);
int pg_notify(void *session, struct kedge_error *err);

#endif
