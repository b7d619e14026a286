/* clang-format off */
/*
 * keys.h - the keys of a namespace, and what is in them
 *
 *   I1  Every key is the prefix "kedge:{namespace}:", a letter, and bytes.  Numbers in keys,
 *       members and fixed parts are big-endian, so that bytes are in the order of numbers.
 *   I2  A plain append writes one element of a journal and nothing else: the position of a run is
 *       the length of its journal.
 *   I3  What scripts compare or put in stands in a fixed part in front: all that is issued by the
 *       server (fences) is there, and not under the checksum of the rest (kit/codec.h).
 *   I4  A run that goes leaves no row under its id: journal, snapshot and slots get names of their
 *       own in the same step, under which purge removes them.
 *   I5  Whoever writes the head of a run that is held, before or after, gives its lease another
 *       grip in the same step, one that was never used.  So who knows the head and the grip knows
 *       that the head still is what it was, also of a server that has lost its last writes.
 *   I6  Sorted sets are indexes: whatever they say is looked up in the row.  All scores are 0; the
 *       order is that of the bytes, which is exact where a score would not be.
 *
 *   m                 what this namespace is (store.c)
 *   f                 last fence issued, in digits
 *   t                 ticket: moves when a run becomes due
 *   i                 incarnation 8 | time it was first seen 8
 *   z                 never exists
 *   h id              head: RD_HEAD_SIZE bytes, then kit/codec
 *   j id              journal, a list: time 8 | format 1 | request 16 | checksum 8 | record
 *   s id              snapshot: checksum 8 | bytes
 *   q id              slots, a hash: set 4 -> total 4 | empty 4
 *                                    set 4 | index 4 -> checksum 8 | value
 *   l lease           lease: RD_LEASE_SIZE bytes, then kit/codec
 *   L                 all leases: id
 *   v name            cell: version 8, then kit/codec
 *   y                 cells that expire: time 8 | name
 *   n name            lock: fence 8, then kit/codec
 *   x lease           what it holds: "r" incarnation 8 | id, "k" name
 *   C                 classes: each queue, reactor and version there has been
 *   c                 counts what was entered in C
 *   d class           due runs, and parked ones with a backstop: due 8 | incarnation 8 | id
 *   k class status    every run: incarnation 8 | id
 *   p incarnation     children of that run: incarnation 8 | id
 *   o                 held runs with a bound: hold_until 8 | incarnation 8 | id
 *   e                 runs at rest that expire: expires 8 | incarnation 8 | id
 *   w name            a journal ("j..."), snapshot ("s...") or slots ("q...") of a run that is gone
 *   W                 those names
 *
 * A class is queue, reactor, version: length 2, bytes, length 2, bytes, 4.
 */
/* clang-format on */
#ifndef KEDGE_REDIS_KEYS_H
#define KEDGE_REDIS_KEYS_H

#include "../kit/codec.h"
#include "../kit/remote.h"
#include "conn.h"

#define RD_SCHEMA 1u

/* Offsets in a head. */
enum {
    RD_HEAD_FENCE = 0,
    RD_HEAD_HOLDER = 8,
    RD_HEAD_INCARNATION = 24,
    RD_HEAD_REVISION = 32,
    RD_HEAD_REQUESTS = 40,
    RD_HEAD_STATUS = 41,
    RD_HEAD_PLACE = 42,
    RD_HEAD_FRONT = 43, /* what is before it: all that an append is decided and answered by */
    RD_HEAD_FORMAT = 43,
    RD_HEAD_LAST_FENCE = 44,
    RD_HEAD_PREV_FENCE = 52,
    RD_HEAD_SNAPSHOT = 60,
    RD_HEAD_SIZE = 68
};

/* In a lease. */
enum {
    RD_LEASE_STATE = 0, /* 'L' or 'D' */
    RD_LEASE_ATTENTION = 1,
    RD_LEASE_TTL = 9,
    RD_LEASE_DEADLINE = 17,
    RD_LEASE_EXTENDED = 25,
    RD_LEASE_HINT = 33,
    RD_LEASE_INCARNATION = 49,
    RD_LEASE_DIED = 57,
    RD_LEASE_CLAIM = 65,
    RD_LEASE_GRANT = 81,
    RD_LEASE_GRANTED = 97,
    RD_LEASE_GRIP = 105, /* 16 bytes: others whenever the head of a run it holds is written */
    RD_LEASE_SIZE = 121
};

/* In an element of a journal. */
enum {
    RD_RECORD_TIME = 0,
    RD_RECORD_FORMAT = 8, /* what a client sends begins here */
    RD_RECORD_REQUEST = 9,
    RD_RECORD_SUM = 25,
    RD_RECORD_SIZE = 33
};

#define RD_FORMAT 1u

static inline void rd_put_u16(void *to, uint32_t v)
{
    unsigned char *p = to;

    p[0] = (unsigned char)(v >> 8);
    p[1] = (unsigned char)v;
}

static inline void rd_put_u32(void *to, uint32_t v)
{
    rd_put_u16(to, v >> 16);
    rd_put_u16((unsigned char *)to + 2, v);
}

static inline void rd_put_u64(void *to, uint64_t v)
{
    rd_put_u32(to, (uint32_t)(v >> 32));
    rd_put_u32((unsigned char *)to + 4, (uint32_t)v);
}

static inline uint32_t rd_get_u32(const void *from)
{
    const unsigned char *p = from;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t rd_get_u64(const void *from)
{
    return (uint64_t)rd_get_u32(from) << 32 | rd_get_u32((const unsigned char *)from + 4);
}

/* ------------------------------------------------------------------ names */

/* Bytes made in an arena: data is NULL when there was no memory (which the arena notes). */
struct kedge_bytes rd_key(struct rd_arena *a, const char *prefix, char letter,
                          struct kedge_bytes name);
struct kedge_bytes rd_key_lease(struct rd_arena *a, const char *prefix, char letter,
                                const struct kedge_id128 *lease);
struct kedge_bytes rd_key_kids(struct rd_arena *a, const char *prefix, uint64_t incarnation);
struct kedge_bytes rd_key_kind(struct rd_arena *a, const char *prefix, struct kedge_bytes class_,
                               uint32_t status);
struct kedge_bytes rd_class(struct rd_arena *a, struct kedge_bytes queue,
                            struct kedge_bytes reactor, uint32_t version);
/* Queue, reactor and version of a class; false: it is none. */
bool rd_class_read(struct kedge_bytes class_, struct kedge_bytes *queue,
                   struct kedge_bytes *reactor, uint32_t *version);
/* LETTER (0: none), incarnation, id. */
struct kedge_bytes rd_member(struct rd_arena *a, char letter, uint64_t incarnation,
                             struct kedge_bytes id);
/* Time, incarnation, id. */
struct kedge_bytes rd_timed(struct rd_arena *a, int64_t time, uint64_t incarnation,
                            struct kedge_bytes id);
/* An end of a range: '[' or '(', and up to two numbers. */
struct kedge_bytes rd_edge(struct rd_arena *a, char kind, uint64_t one);
struct kedge_bytes rd_edge2(struct rd_arena *a, char kind, uint64_t one, uint64_t two);
struct kedge_bytes rd_u64_bytes(struct rd_arena *a, uint64_t number);
/* Fields of the slots: a set; a set and an index.  The values of the first look the same. */
struct kedge_bytes rd_set_field(struct rd_arena *a, uint32_t set);
struct kedge_bytes rd_two_u32(struct rd_arena *a, uint32_t one, uint32_t two);

/* ------------------------------------------------------------------- rows */

/* A head; UNKNOWN are fields of a newer writer, to be kept.  Placeholders become zeros. */
struct kedge_bytes rd_head_encode(struct rd_arena *a, const struct kit_run *run,
                                  struct kedge_bytes unknown);
/* Its first RD_HEAD_FRONT bytes. */
void rd_head_front(const struct kit_run *run, unsigned char *out);
/* What is decoded points into VALUE.  false: not understood. */
bool rd_head_decode(struct kedge_bytes value, uint64_t position, struct kit_run *run,
                    struct kedge_bytes *unknown);
/* What can be told of a head that is not understood. */
void rd_head_salvage(struct kedge_bytes value, struct kit_run *run);

struct kedge_bytes rd_lease_encode(struct rd_arena *a, const struct kit_lease *lease);
/* OK, ERR_CORRUPT, ERR_NOMEM; its serves are allocated in MEM, the rest points into VALUE. */
int rd_lease_decode(const struct kedge_host *host, struct kedge_mem **mem,
                    const struct kedge_id128 *id, struct kedge_bytes value,
                    struct kit_lease *lease);

struct kedge_bytes rd_cell_encode(struct rd_arena *a, const struct kit_cell *cell);
bool rd_cell_decode(struct kedge_bytes value, struct kit_cell *cell);
struct kedge_bytes rd_lock_encode(struct rd_arena *a, const struct kit_lock *lock);
bool rd_lock_decode(struct kedge_bytes value, struct kit_lock *lock);

/* The checksum that stands before a record, a snapshot or a slot's value. */
uint64_t rd_sum(uint64_t seed, struct kedge_bytes value);
bool rd_record_decode(struct kedge_bytes element, uint64_t number, struct kedge_record *out);

#endif
