/*
 * bare.h - the least that LMDB itself has to do for a durable record: what kedge is held against
 *
 * One environment with the settings the backend uses too (MDB_NOTLS, full sync, no MDB_WRITEMAP),
 * one table; the key of record N of run R is the big-endian bytes of R (8), N (4) and 0 (2).
 * No guard, no checksum, no request id, no time; nothing is looked up.
 */
#ifndef KEDGE_BENCH_BARE_H
#define KEDGE_BENCH_BARE_H

#include <stddef.h>
#include <stdint.h>

#include <lmdb.h>

#include "harness.h"

#define RECORD_BYTES 256

/* What record NUMBER of run TAG holds, here as there. */
void record_fill(uint8_t record[RECORD_BYTES], uint64_t tag, uint64_t number);

struct bare {
    MDB_env *env;
    MDB_dbi dbi;
    char path[4096];
};
/* The journals that one thread or process writes to, in rotation. */
struct bare_runs {
    struct bare *bare;
    uint64_t first; /* tag of the first one */
    size_t n;
    uint64_t *count; /* records of each */
    size_t next;
    uint64_t sequence; /* of bare_sequence(): in one journal beyond all tags */
};

/* Make (or, PATH being there, open) an environment in a directory. */
void bare_open(struct bare *bare, const char *path);
void bare_close(struct bare *bare);
void bare_runs_init(struct bare_runs *runs, struct bare *bare, uint64_t first, size_t n);
void bare_runs_release(struct bare_runs *runs);
/* One transaction: the next record of each of the next N runs. */
void bare_append(struct bare_runs *runs, size_t n);
/* One transaction: the next N records of one single journal. */
void bare_sequence(struct bare_runs *runs, size_t n);
/* What was written is there, and nothing is missing. */
void bare_verify(const struct bare_runs *runs);

/* A bare environment of its own: pages that one kind of work frees would change another. */
void bare_begin(struct bare *bare, struct bare_runs *runs, const char *name, size_t n_runs);
void bare_end(struct bare *bare, struct bare_runs *runs);

/* Sides: so many puts per transaction, by bare_append() and by bare_sequence(). */
struct bare_work {
    struct bare_runs *runs;
    size_t batch;
};
void bare_appends(struct side *side, const struct limit *limit);
void bare_sequences(struct side *side, const struct limit *limit);

#endif
