/*
 * tables.h - rows and indexes inside one transaction: what the rules of the kit write through
 *
 *   I1  Whatever is handed to the rules is copied out of the map first: a page that was written in
 *       this transaction may move under a pointer.
 *   I2  run_put is the only writer of heads, and keeps every index of keys.h in step with them.
 *   I3  The last fence is written with the transaction that issued it.
 */
#ifndef KEDGE_LMDB_TABLES_H
#define KEDGE_LMDB_TABLES_H

#include "cache.h"
#include "env.h"

/* A value of `recent' that this transaction is putting together (recent.c). */
struct lm_fresh {
    uint64_t key; /* 0: there is none */
    unsigned char *data;
    size_t len;
};

/* A transaction to read from. */
struct lm_view {
    struct lm_env *env;
    const struct kedge_host *host;
    MDB_txn *txn;
    const struct lm_fresh *fresh; /* NULL: of somebody who only reads */
};

/* An exclusive step: a write transaction and the rules' view of it. */
struct lm_step {
    struct lm_view v;
    struct kit_step kit;
    struct kedge_mem *mem;     /* of the present commit */
    struct kedge_mem *txn_mem; /* of the transaction */
    MDB_cursor *journal;
    struct lm_fresh fresh;
    uint64_t recent_first; /* values of `recent': the keys of the oldest and of the next */
    uint64_t recent_next;
    size_t recent_added; /* entries */
    bool recent;         /* records may go there */
    bool tails;          /* there may be rows in `tails' */
    struct lm_cache *cache;
    struct lm_cached *leases;
    struct lm_loaded *runs; /* loaded by the present commit */
    uint64_t fence;
    bool fence_known;
    bool fence_moved;
    bool work;
    bool full; /* the present unit must not grow the store: a write that does breaks it */
    int rc;    /* the LMDB error that broke the step, else 0 */
};

int lm_step_init(struct lm_step *step, struct lm_env *env, const struct kedge_host *host);
void lm_step_release(struct lm_step *step);
/* Around one write transaction; begin and commit are the writer's. */
void lm_step_begin(struct lm_step *step, MDB_txn *txn);
int lm_step_flush(struct lm_step *step); /* before mdb_txn_commit: LMDB code */
/* With the transaction's id, LMDB's last one is then that of what is in the cache. */
void lm_step_end(struct lm_step *step, bool committed);
/* Between two commits of one transaction. */
void lm_step_next(struct lm_step *step);

/* --- names --- */

/* Find NAME in a table of names.  LMDB code; *payload points into the map; *key is its key, also
   when it is not there (then: where it would go). */
int lm_name_find(const struct lm_view *v, enum lm_table table, unsigned kind,
                 struct kedge_bytes name, MDB_val *payload, struct lm_key *key);
/* The full name and payload of a row of such a table. */
bool lm_name_of(const MDB_val *key, size_t skip, const MDB_val *value, struct kedge_bytes *name,
                MDB_val *payload);
/* Room for a row under KEY as lm_name_find left it; the name goes in front where the key does not
 * hold all of it. */
int lm_name_reserve(struct lm_step *step, enum lm_table table, unsigned kind, struct lm_key *key,
                    struct kedge_bytes name, size_t size, void **room);
int lm_name_delete(struct lm_step *step, enum lm_table table, unsigned kind, struct lm_key *key);
/* The number of a queue or reactor, given out if it has none.  Never taken back. */
int lm_name_intern(struct lm_step *step, unsigned kind, struct kedge_bytes name, uint32_t *out);
/* Number of a queue or reactor; 0: never seen. */
int lm_name_number(const struct lm_view *v, unsigned kind, struct kedge_bytes name, uint32_t *out);

/* --- reading; KEDGE_OK, KEDGE_NOT_FOUND, a failure.  Nothing is copied unless said. --- */

/* The status of an LMDB code. */
int lm_status(int rc);
/* A head as stored; points into the map. */
int lm_head_value(const struct lm_view *v, uint64_t inc, struct kedge_bytes *out);
/* Number of the last record of INC that is in `journal'. */
int lm_position(MDB_cursor *cursor, uint64_t inc, uint64_t *out);
/* A record, wherever it is; its data is copied into MEM. */
int lm_record_load(const struct lm_view *v, struct kedge_mem **mem, uint64_t inc, uint64_t n,
                   struct kit_blob *blob, struct kedge_bytes *data);
int lm_incarnation(const struct lm_view *v, struct kedge_bytes id, uint64_t *inc);
/* A head without its position; points into the map. */
int lm_head(const struct lm_view *v, uint64_t inc, struct kit_run_row *out);
/* A head with everything derived; copied into MEM when that is not NULL. */
int lm_run_load(const struct lm_view *v, struct kedge_mem **mem, MDB_cursor *journal, uint64_t inc,
                struct kit_run_row *out);
/* Copied into MEM. */
int lm_lease_load(const struct lm_view *v, struct kedge_mem **mem, const struct kedge_id128 *id,
                  struct kit_lease_row *out);
/* A large value: whole, copied into MEM.  STEM is its key without the chunk number. */
int lm_blob_load(const struct lm_view *v, struct kedge_mem **mem, enum lm_table table,
                 const struct lm_key *stem, uint64_t seed, struct kit_blob *blob,
                 struct kedge_bytes *out);
int lm_slots_load(const struct lm_view *v, uint64_t inc, uint32_t set, struct kit_slots *out);
int lm_cell_load(const struct lm_view *v, struct kedge_bytes name, struct kit_cell *out);
struct lm_combo lm_run_combo(const struct kit_run_row *run);
uint64_t lm_seed_record(uint64_t inc, uint64_t n);
uint64_t lm_seed_snapshot(uint64_t inc);
uint64_t lm_seed_slot(uint64_t inc, uint32_t set, uint32_t index);

/* A run into the step's own list, as the rules get it; for run_put afterwards. */
int lm_step_load(struct lm_step *step, uint64_t inc, const struct kit_run **out);
/* A lease, the same way. */
int lm_step_lease(struct lm_step *step, const struct kedge_id128 *id, const struct kit_lease **out);

/* A cell row removed by its key of `cells'; for purge. */
int lm_cell_remove(struct lm_step *step, struct lm_key *key);

/* --- writing outside the rules; KEDGE_OK or a failure, step->rc then --- */

int lm_lease_write(struct lm_step *step, const struct kit_lease_row *lease);
int lm_row_put(struct lm_step *step, enum lm_table table, struct lm_key *key);
int lm_row_delete(struct lm_step *step, enum lm_table table, struct lm_key *key);
MDB_cursor *lm_step_journal(struct lm_step *step); /* NULL: broken */
void lm_step_close(struct lm_step *step);          /* its cursors, before the transaction ends */
/* Broken by RC: remember and answer a status. */
int lm_broken(struct lm_step *step, int rc);

extern const struct kit_store lm_kit_store;

#endif
