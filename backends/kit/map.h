/*
 * map.h - a whole backend out of an ordered map of bytes
 *
 * Whoever has transactions over keys in order (a file, LMDB, RocksDB, SQLite, FoundationDB, ...)
 * lends them as a struct kit_map, writes store_open, store_close and store_drop, and names
 * KIT_MAP_OPERATIONS in its table: every other operation of <kedge/backend.h> that must be there
 * is here.  One that the store can do better may be named in the table instead.
 *
 *   I1  Each operation is one transaction.  What writes asks for it with WRITE set, and such a one
 *       must be alone: from its begin to its end nobody else begins one that writes, in any thread
 *       or process.  Readers see the state between two such transactions.
 *   I2  commit() makes all of a transaction durable or nothing.  A commit in doubt is
 *       KEDGE_ERR_UNKNOWN, and any other failure means that nothing is there.
 *   I3  Rows are as in map_rows.h: keys of at most KIT_MAP_KEY_MAX bytes, in the order of memcmp,
 *       values of at most KIT_MAP_VALUE_MAX.  Each value carries a checksum of its own.
 *
 * What it costs: claim looks at due runs oldest first, whoever may serve them, and list at all
 * runs in the order of their age.
 */
#ifndef KEDGE_KIT_MAP_H
#define KEDGE_KIT_MAP_H

#include <stdbool.h>
#include <sys/types.h>

#include <kedge/backend.h>

#define KIT_MAP_SCHEMA    1u
#define KIT_MAP_KEY_MAX   1100u
#define KIT_MAP_VALUE_MAX (512u << 10)

struct kit_map_store;

struct kit_map {
    /*
     * Wait for others TIMEOUT_US at most: OK and *TXN, or ERR_UNAVAILABLE with a message, or
     * ERR_NOMEM, ERR_CORRUPT, ....
     */
    int (*begin)(struct kit_map_store *store, bool write, int64_t timeout_us, void **txn,
                 struct kedge_error *err);
    /* The end of a transaction that writes: see I2.  Nothing written: nothing to do. */
    int (*commit)(void *txn, struct kedge_error *err);
    /* The other end: nothing of it has been.  The only one of a transaction that reads. */
    void (*abort)(void *txn);

    /* OK or NOT_FOUND.  What is handed out stays valid until this transaction writes or ends. */
    int (*get)(void *txn, struct kedge_bytes key, struct kedge_bytes *value);
    /* The first row whose key is FROM or after it.  OK or NOT_FOUND. */
    int (*next)(void *txn, struct kedge_bytes from, struct kedge_bytes *key,
                struct kedge_bytes *value);
    /* OK, or ERR_NOMEM, ERR_FULL, ERR_UNAVAILABLE: the transaction is aborted then. */
    int (*put)(void *txn, struct kedge_bytes key, struct kedge_bytes value);
    /* OK, also if there is no such row. */
    int (*del)(void *txn, struct kedge_bytes key);

    /* Optional: the time of a server.  NULL: the clocks of this process. */
    int (*now)(void *txn, struct kedge_time *out);
};

/* The first member of a store of yours; store_open fills it. */
struct kit_map_store {
    const struct kit_map *map;
    const struct kedge_backend_ops *ops; /* your table: limits and capabilities */
    const struct kedge_host *host;
    const char *server;   /* these three are what info() tells */
    const char *place;    /* without a password */
    uint32_t durability;  /* KEDGE_SURVIVES_... */
    uint32_t reserved;    /* 0 */
    uint64_t incarnation; /* of a server; 1 where there is none */
    pid_t pid;            /* kit_map_open sets it */
};

extern const struct kedge_limits kit_map_limits;

/*
 * The last step of store_open: is the namespace set up, or to be set up, for this program?  OK, or
 * what store_open has to answer; closing is the caller's.
 */
int kit_map_open(struct kit_map_store *store, const struct kedge_open *open,
                 struct kedge_error *err);
/* false in a child that inherited the store by fork(): store_close only forgets there. */
bool kit_map_mine(const struct kit_map_store *store);

/* The operations, for a table: all but store_open, store_close and store_drop. */
#define KIT_MAP_OPERATIONS                                                                         \
    .session_open = kit_map_session_open, .session_close = kit_map_session_close,                  \
    .info = kit_map_info, .now = kit_map_now, .lease_grant = kit_map_lease_grant,                  \
    .lease_extend = kit_map_lease_extend, .lease_revoke = kit_map_lease_revoke,                    \
    .lease_bury = kit_map_lease_bury, .lease_list = kit_map_lease_list,                            \
    .list_held = kit_map_list_held, .lock_acquire = kit_map_lock_acquire,                          \
    .lock_extend = kit_map_lock_extend, .lock_release = kit_map_lock_release,                      \
    .lock_query = kit_map_lock_query, .commit = kit_map_commit, .claim = kit_map_claim,            \
    .retrieve = kit_map_retrieve, .retrieve_records = kit_map_retrieve_records,                    \
    .retrieve_slots = kit_map_retrieve_slots, .list_expired = kit_map_list_expired,                \
    .list = kit_map_list, .cell_get = kit_map_cell_get, .purge = kit_map_purge,                    \
    .verify = kit_map_verify

int kit_map_session_open(void *store, void **session, struct kedge_error *err);
void kit_map_session_close(void *session);
int kit_map_info(void *session, struct kedge_info *out, int64_t timeout_us,
                 struct kedge_error *err);
int kit_map_now(void *session, struct kedge_time *out, int64_t timeout_us, struct kedge_error *err);
int kit_map_lease_grant(void *session, const struct kedge_lease_new *in,
                        struct kedge_lease_state *out, int64_t timeout_us, struct kedge_error *err);
int kit_map_lease_extend(void *session, const struct kedge_id128 *lease,
                         struct kedge_lease_state *out, int64_t timeout_us,
                         struct kedge_error *err);
int kit_map_lease_revoke(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                         struct kedge_error *err);
int kit_map_lease_bury(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                       struct kedge_error *err);
int kit_map_lease_list(void *session, struct kedge_bytes cursor, size_t limit,
                       struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err);
int kit_map_list_held(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                      size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                      struct kedge_error *err);
int kit_map_lock_acquire(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                         const struct kedge_id128 *request, struct kedge_lock_state *out,
                         int64_t timeout_us, struct kedge_error *err);
int kit_map_lock_extend(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                        uint64_t fence, struct kedge_lock_state *out, int64_t timeout_us,
                        struct kedge_error *err);
int kit_map_lock_release(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                         uint64_t fence, int64_t timeout_us, struct kedge_error *err);
int kit_map_lock_query(void *session, struct kedge_bytes name, struct kedge_lock_state *out,
                       int64_t timeout_us, struct kedge_error *err);
int kit_map_commit(void *session, const struct kedge_commit *commits, size_t n,
                   struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err);
int kit_map_claim(void *session, const struct kedge_claim *in, struct kedge_run_page *out,
                  int64_t timeout_us, struct kedge_error *err);
int kit_map_retrieve(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                     int64_t timeout_us, struct kedge_error *err);
int kit_map_retrieve_records(void *session, struct kedge_bytes id, uint64_t incarnation,
                             uint64_t first, size_t limit, size_t bytes_max,
                             struct kedge_record_page *out, int64_t timeout_us,
                             struct kedge_error *err);
int kit_map_retrieve_slots(void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
                           uint32_t first, size_t limit, struct kedge_slot_page *out,
                           int64_t timeout_us, struct kedge_error *err);
int kit_map_list_expired(void *session, struct kedge_bytes cursor, size_t limit,
                         struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err);
int kit_map_list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
                 int64_t timeout_us, struct kedge_error *err);
int kit_map_cell_get(void *session, struct kedge_bytes name, struct kedge_cell *out,
                     int64_t timeout_us, struct kedge_error *err);
int kit_map_purge(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
                  struct kedge_error *err);
int kit_map_verify(void *session, struct kedge_verified *out, int64_t timeout_us,
                   struct kedge_error *err);

#endif
