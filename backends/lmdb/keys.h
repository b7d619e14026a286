/*
 * keys.h - the tables of an LMDB store, their keys, and how names of any length become keys
 *
 *   I1  A run is named inside the store by its incarnation, the first fence it got: rising, never
 *       used twice.  Rows of a purged run can wait for their removal beside those of its successor.
 *   I2  All numbers in keys are big-endian, so that the order of keys is the order of numbers.
 *   I3  Every value, or entry of `recent', ends in a checksum over itself, seeded by its key
 *       (kit/codec.h); index rows are empty.
 *   I4  A plain append writes one row of `journal' and nothing else, or an entry of `recent' and
 *       its row of `tails' (recent.h): the position is the journal's own length.
 *
 *   meta      "schema" | "fence"               u32 version | u64 last fence issued
 *   ids       name(id)                         incarnation
 *   heads     inc                              head (kit/codec.h)
 *   (journal) inc, n u32, chunk u16            record; in the unnamed main table: a plain append
 *                                              then rewrites no table of tables
 *   recent    u64, rising                      records of several runs (recent.c)
 *   tails     inc                              where in `recent' the newest records of a run are
 *   snaps     inc, chunk u16                   snapshot
 *   sets      inc, set u32                     total, remaining
 *   slots     inc, set u32, index u32, chunk   value
 *   names     kind, name                       u32: number of a queue ('q') or reactor ('r')
 *   due       combo, time, inc                 -    due runs, and parked ones with a backstop
 *   kinds     combo, status u8, inc            -    every run
 *   kids      parent inc, inc                  -    children
 *   held      lease 16, 0, inc                 -    what a lease holds: runs,
 *             lease 16, 1, name(lock)          -    and locks
 *   over      hold_until, inc                  -    held runs with a bound
 *   expiry    expires, inc                     -    runs at rest that will expire
 *   trash     inc                              -    rows of runs whose head is gone
 *   leases    id 16                            lease
 *   locks     name                             lock
 *   cells     name                             cell
 *   cellx     expires, name                    -    cells that will expire
 *
 * combo is queue, reactor and version, u32 each.  name(x) is 0 and the bytes when they are short;
 * else 1, the first 384 bytes, a 128-bit hash and an ordinal.  The full name is then kept before
 * the value and compared: two names with equal hashes get different ordinals, so that the hash
 * never decides.
 */
#ifndef KEDGE_LMDB_KEYS_H
#define KEDGE_LMDB_KEYS_H

#include <stdint.h>
#include <string.h>

#include <lmdb.h>

#include <kedge/backend.h>

/* 2: has `recent' and `tails'. */
#define LM_SCHEMA 2u

enum lm_table {
    LM_META,
    LM_IDS,
    LM_HEADS,
    LM_JOURNAL,
    LM_RECENT,
    LM_TAILS,
    LM_SNAPS,
    LM_SETS,
    LM_SLOTS,
    LM_NAMES,
    LM_DUE,
    LM_KINDS,
    LM_KIDS,
    LM_HELD,
    LM_OVER,
    LM_EXPIRY,
    LM_TRASH,
    LM_LEASES,
    LM_LOCKS,
    LM_CELLS,
    LM_CELLX,
    LM_TABLES
};

/* In the order of enum lm_table.  NULL is the main table; the others have their roots in it. */
#define LM_TABLE_NAMES                                                                             \
    {                                                                                              \
        "meta", "ids", "heads", NULL, "recent", "tails", "snaps", "sets", "slots", "names", "due", \
            "kinds", "kids", "held", "over", "expiry", "trash", "leases", "locks", "cells",        \
            "cellx"                                                                                \
    }

#define LM_NAME_SHORT  400u
#define LM_NAME_PREFIX 384u
#define LM_NAME_MAX    (1u + LM_NAME_PREFIX + 16u + 1u)

/* A key under construction. */
struct lm_key {
    size_t len;
    unsigned char b[511];
};

static inline void lm_key_u8(struct lm_key *k, unsigned v)
{
    k->b[k->len++] = (unsigned char)v;
}

static inline void lm_key_u16(struct lm_key *k, unsigned v)
{
    lm_key_u8(k, v >> 8 & 0xff);
    lm_key_u8(k, v & 0xff);
}

static inline void lm_key_u32(struct lm_key *k, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(k->b + k->len, &v, sizeof v);
    k->len += sizeof v;
}

static inline void lm_key_u64(struct lm_key *k, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(k->b + k->len, &v, sizeof v);
    k->len += sizeof v;
}

/* Times are never negative in a key. */
static inline void lm_key_time(struct lm_key *k, int64_t t)
{
    lm_key_u64(k, t < 0 ? 0 : (uint64_t)t);
}

static inline void lm_key_bytes(struct lm_key *k, const void *data, size_t len)
{
    if (len != 0) /* empty bytes may have no address */
        memcpy(k->b + k->len, data, len);
    k->len += len;
}

static inline MDB_val lm_key_val(struct lm_key *k)
{
    return (MDB_val){ k->len, k->b };
}

/* A row of `meta'.  LMDB only reads keys, but wants them writable. */
static inline MDB_val lm_meta_key(const char *name)
{
    return (MDB_val){ strlen(name), (void *)(uintptr_t)name };
}

static inline uint32_t lm_get_u32(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t lm_get_u64(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline struct lm_key lm_key_inc(uint64_t inc)
{
    struct lm_key k;

    k.len = 0;
    lm_key_u64(&k, inc);
    return k;
}

/* A row of `journal', `snaps' or `slots' is addressed by a stem; the chunk number follows it. */
static inline struct lm_key lm_key_record(uint64_t inc, uint64_t n)
{
    struct lm_key k = lm_key_inc(inc);

    lm_key_u32(&k, (uint32_t)n);
    return k;
}

static inline struct lm_key lm_key_slot(uint64_t inc, uint32_t set, uint32_t index)
{
    struct lm_key k = lm_key_inc(inc);

    lm_key_u32(&k, set);
    lm_key_u32(&k, index);
    return k;
}

/* Queue, reactor and version: the front of `due' and `kinds'. */
struct lm_combo {
    uint32_t queue;
    uint32_t reactor;
    uint32_t version;
};

static inline struct lm_key lm_key_combo(const struct lm_combo *c)
{
    struct lm_key k;

    k.len = 0;
    lm_key_u32(&k, c->queue);
    lm_key_u32(&k, c->reactor);
    lm_key_u32(&k, c->version);
    return k;
}

static inline struct lm_combo lm_combo_of(const MDB_val *key)
{
    const unsigned char *p = key->mv_data;

    return (struct lm_combo){ lm_get_u32(p), lm_get_u32(p + 4), lm_get_u32(p + 8) };
}

static inline struct lm_key lm_key_due(const struct lm_combo *c, int64_t due, uint64_t inc)
{
    struct lm_key k = lm_key_combo(c);

    lm_key_time(&k, due);
    lm_key_u64(&k, inc);
    return k;
}

static inline struct lm_key lm_key_kind(const struct lm_combo *c, uint32_t status, uint64_t inc)
{
    struct lm_key k = lm_key_combo(c);

    lm_key_u8(&k, status);
    lm_key_u64(&k, inc);
    return k;
}

static inline struct lm_key lm_key_pair(uint64_t a, uint64_t b)
{
    struct lm_key k = lm_key_inc(a);

    lm_key_u64(&k, b);
    return k;
}

static inline struct lm_key lm_key_held_run(const struct kedge_id128 *lease, uint64_t inc)
{
    struct lm_key k;

    k.len = 0;
    lm_key_bytes(&k, lease->b, sizeof lease->b);
    lm_key_u8(&k, 0);
    lm_key_u64(&k, inc);
    return k;
}

static inline struct lm_key lm_key_held_lock(const struct kedge_id128 *lease,
                                             const struct lm_key *name)
{
    struct lm_key k;

    k.len = 0;
    lm_key_bytes(&k, lease->b, sizeof lease->b);
    lm_key_u8(&k, 1);
    lm_key_bytes(&k, name->b, name->len);
    return k;
}

static inline struct lm_key lm_key_cellx(int64_t expires, const struct lm_key *name)
{
    struct lm_key k;

    k.len = 0;
    lm_key_time(&k, expires);
    lm_key_bytes(&k, name->b, name->len);
    return k;
}

#endif
