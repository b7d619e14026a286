/*
 * recent.h - the newest records of many runs side by side, until they are taken to their places
 *
 * In `journal' each run has pages of its own: a transaction with one record each of 64 runs writes
 * 64 leaves and about as many branches above them, fifty times what it was given.  So when a
 * transaction carries many commits, small records go one behind the other into a value of `recent',
 * and of each run `tails' says where its last one is.  Later, some runs in each such transaction,
 * a tail is taken to `journal' as a whole: that writes a page for ten or more records.
 *
 *   R1  The journal of a run is its rows of `journal' and then its tail, if it has a row in
 *       `tails': no number is missing, and none is in both.
 *   R2  Entries are found from the last one of a tail back: each names the one before.  What no
 *       row of `tails' leads to is rubbish, and never read.
 *   R3  An entry becomes durable with the transaction that appended it, like any row.  Whoever
 *       takes a tail to `journal' removes its row of `tails' in the same transaction.
 *   R4  A value of `recent' is deleted only after each of its entries is rubbish, the oldest first.
 *       One that is damaged is never moved nor passed over: it keeps its value, and so all later
 *       ones, byte for byte; then records go straight to `journal'.
 *   R5  `recent' is small: while it holds more than KEEP values, a transaction that adds
 *       entries takes away more than it adds; nothing is added above VALUES_MAX, nor in a map that
 *       is nearly used up.
 */
#ifndef KEDGE_LMDB_RECENT_H
#define KEDGE_LMDB_RECENT_H

#include "tables.h"

/* Of a row of `tails'. */
struct lm_tail {
    uint64_t first; /* numbers of its records */
    uint64_t last;
    uint64_t key; /* of the value of `recent' that has the last one, and where */
    uint32_t at;
};

/* KEDGE_NOT_FOUND: the whole journal is in its place. */
int lm_tail_get(const struct lm_view *v, uint64_t inc, struct lm_tail *out);
/* Record N of TAIL as a row of `journal' would have it; points into the map. */
int lm_tail_record(const struct lm_view *v, uint64_t inc, const struct lm_tail *tail, uint64_t n,
                   struct kedge_bytes *out);

/* Records in all tails. */
int lm_tails_count(const struct lm_view *v, uint64_t *records);

/*
 * Around one write transaction of so many commits, in which the store may grow by ROOM bytes.
 * Whether records go to `recent' in it is decided here.
 */
int lm_recent_begin(struct lm_step *step, size_t commits, uint64_t room);
int lm_recent_flush(struct lm_step *step);
/* Bytes by which an append may grow the store beside its own: those of a tail. */
size_t lm_recent_cost(const struct lm_step *step);

/* Append records FIRST and on to `recent'; KEDGE_NOT_FOUND: they are for `journal', where the tail
 * of that run is now. */
int lm_recent_append(struct lm_step *step, uint64_t inc, uint64_t first,
                     const struct kedge_bytes *records, size_t n, const struct kedge_id128 *request,
                     int64_t now_wall);

#endif
