/*
 * map_rows.h - the rows of a store that is an ordered map, and one transaction over them (inside
 * the kit only)
 *
 *   I1  A key is a letter, its table, and what is named below; numbers are big-endian, so that
 *       their order is that of the keys.  A name is always the end of its key.
 *   I2  What a reader hands out is a copy in the step's memory, or is used up before the next
 *       write: a write may move rows.
 *   I3  run_put and run_drop alone write heads and their indexes.
 *
 * Tables and their rows:
 *
 *   - m name: "schema", u64; "fence", u64, the last one issued
 *   - r id: incarnation, u64, and head (codec.h)
 *   - p inc: number of the last record, u64
 *   - j inc, n u64, chunk u32: record
 *   - s inc, chunk u32: snapshot
 *   - t inc, set u32: places, and how many are empty
 *   - u inc, set u32, index u32, chunk u32: value of a slot
 *   - a inc, z ~inc: id; runs by age, from either end
 *   - d due, inc: id; due runs, and parked ones with a backstop
 *   - h lease, inc: id; held runs
 *   - o hold_until, inc: id; held runs with a bound
 *   - x expires, inc: id; runs that will expire
 *   - q inc: empty; a run is gone, its rows are not yet
 *   - l id: lease
 *   - c name: cell
 *   - y expires, name: empty; cells that will expire
 *   - g name: lock
 *   - k lease, name: empty; the locks of a lease
 */
#ifndef KEDGE_KIT_MAP_ROWS_H
#define KEDGE_KIT_MAP_ROWS_H

#include "codec.h"
#include "map.h"

struct map_session {
    struct kit_map_store *store;
    struct kit_scratch *scratch;
};

/* One transaction: a moment of the store. */
struct map_step {
    struct kit_step kit; /* first: its ctx is this */
    struct kit_map_store *store;
    const struct kit_map *map;
    void *txn;
    bool write;
    uint64_t fence; /* last issued */
    uint64_t stored_fence;
    struct kedge_mem *mem; /* until the end of the step */
};

extern const struct kit_store kit_map_rules; /* its ctx is a map_step */

/* OK, or why there is no step. */
int kit_map_begin(struct map_session *session, struct map_step *s, bool write, int64_t timeout_us,
                  struct kedge_error *err);
/* RC is what came of it; negative undoes all since begin.  Answers what the operation answers. */
int kit_map_end(struct map_step *s, int rc, struct kedge_error *err);

/* --- keys --- */

struct map_key {
    size_t len;
    unsigned char b[KIT_MAP_KEY_MAX + 1]; /* room to say "after this" */
};

struct map_key kit_map_key(char table);
void kit_map_key_u32(struct map_key *key, uint32_t v);
void kit_map_key_u64(struct map_key *key, uint64_t v);
void kit_map_key_bytes(struct map_key *key, struct kedge_bytes b);
struct map_key kit_map_key_name(char table, struct kedge_bytes name);
struct map_key kit_map_key_id(char table, const struct kedge_id128 *id);
struct map_key kit_map_key_inc(char table, uint64_t inc);
uint64_t kit_map_u64(const void *at);

int kit_map_row_del(struct map_step *s, const struct map_key *key);

/* Rows that begin with the first PREFIX bytes of a key, one after the other, also while rows come
   and go. */
struct map_scan {
    struct map_key at;
    size_t prefix;
    struct map_key key;       /* of the row that was found */
    struct kedge_bytes value; /* likewise, until the next write */
};
struct map_scan kit_map_scan(const struct map_key *prefix);
/* Go on behind the row whose key is the prefix and REST. */
void kit_map_scan_after(struct map_scan *scan, struct kedge_bytes rest);
/* OK, or NOT_FOUND: that was all. */
int kit_map_scan_next(struct map_step *s, struct map_scan *scan);
/* What stands behind the prefix. */
struct kedge_bytes kit_map_scan_rest(const struct map_scan *scan);

/* --- rows --- */

/* A head with what depends on its journal.  OK, NOT_FOUND, ERR_CORRUPT, ERR_NOMEM. */
int kit_map_run(struct map_step *s, struct kedge_bytes id, const struct kit_run **out);
/* The same, for readers: an expired one or another incarnation (not 0) is not there. */
int kit_map_run_find(struct map_step *s, struct kedge_bytes id, uint64_t incarnation,
                     const struct kit_run **out);
/* What can be told of a head that is not understood. */
int kit_map_run_salvage(struct map_step *s, struct kedge_bytes id, uint64_t incarnation,
                        const struct kit_run **out);
int kit_map_lease(struct map_step *s, const struct kedge_id128 *id, const struct kit_lease **out);
bool kit_map_names(struct map_step *s, char table, const struct kedge_id128 *lease);

/* Large values, copied into MEM: record N of a journal, a snapshot, a slot. */
struct map_key kit_map_key_record(uint64_t inc, uint64_t n);
struct map_key kit_map_key_slot(uint64_t inc, uint32_t set, uint32_t index);
int kit_map_blob(struct map_step *s, struct kedge_mem **mem, const struct map_key *stem,
                 struct kit_blob *blob, struct kedge_bytes *out);

#endif
