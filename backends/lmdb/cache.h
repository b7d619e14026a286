/*
 * cache.h - heads of runs as this process saw them last, for the plain append
 *
 *   I1  What is in it is the committed state of the transaction `txn'.  It may be used by a write
 *       transaction that follows that one directly: then nobody else has written since.
 *   I2  A head that is written leaves the cache; an append moves its position on.  A transaction
 *       that is not committed takes everything in it along.
 *   I3  What was handed out stays valid until lm_cache_settle, also when it left the cache.
 */
#ifndef KEDGE_LMDB_CACHE_H
#define KEDGE_LMDB_CACHE_H

#include "../kit/codec.h"
#include "keys.h"

struct lm_cache;

struct lm_cache *lm_cache_new(void);
void lm_cache_free(struct lm_cache *cache); /* NULL is fine */

/* A write transaction begins, ends. */
void lm_cache_begin(struct lm_cache *cache, size_t txn);
void lm_cache_end(struct lm_cache *cache, bool committed, size_t txn);
/* Between two commits of a transaction. */
void lm_cache_settle(struct lm_cache *cache);

/* NULL: not there. */
const struct kit_run_row *lm_cache_get(struct lm_cache *cache, struct kedge_bytes id);
/* RUN with everything derived; all it points to is inside VALUE.  No memory: it is not kept. */
void lm_cache_put(struct lm_cache *cache, const struct kit_run_row *run, struct kedge_bytes value);
void lm_cache_drop(struct lm_cache *cache, struct kedge_bytes id);
void lm_cache_advance(struct lm_cache *cache, struct kedge_bytes id, uint64_t position);

#endif
