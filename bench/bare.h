/*
 * bare.h - the least that a store itself has to do for a durable record: what kedge is held against
 *
 * A kind of bare client for each kind of store: hand-written, fast, with the durability the backend
 * works with too.  It appends records to journals and does nothing else: no request id, no time, no
 * lease, no checksum.  On servers it is fenced in the least way there is; LMDB looks nothing up.
 */
#ifndef KEDGE_BENCH_BARE_H
#define KEDGE_BENCH_BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness.h"

#define BARE_MOST 256 /* records in a batch */

/* What record NUMBER of run TAG holds, here as there: opt.record bytes, at least RECORD_LEAST. */
#define RECORD_LEAST 16
void record_fill(uint8_t *record, uint64_t tag, uint64_t number);
/* Is it that? */
bool record_is(const void *data, size_t len, uint64_t tag, uint64_t number);

struct bare_item {
    uint64_t tag;    /* of the run */
    uint64_t number; /* of the record; positions begin at 1 */
};

/* What a server says it has done since it started. */
struct server_counts {
    int64_t log_bytes;    /* the file that is appended to, or the write-ahead log */
    uint64_t commands;    /* scripts called, or transactions */
    uint64_t round_trips; /* replies sent; 0: it does not count them */
    uint64_t flushes;     /* of its log */
    uint64_t changes;     /* rows or keys written */
    bool crowded;         /* others are at work there: what they do is counted, too */
};

struct bare;
struct bare_kind {
    const char *name;    /* as people write it */
    const char *side;    /* of a workload */
    const char *backend; /* servers: of kedge, whatever the scheme */
    bool is_server;
    /* What counts for this store, for the head of the report. */
    void (*describe)(char *text, size_t size);
    /* Make, or open, at bare->place. */
    void (*open)(struct bare *bare);
    void (*close)(struct bare *bare);
    /* A thread's way in.  A server forgets what was made at bare->place with the last argument. */
    void *(*link)(struct bare *bare);
    void (*unlink)(void *link);
    /* Runs FIRST .. FIRST + n - 1 may be appended to. */
    void (*birth)(void *link, uint64_t first, size_t n);
    /* One durable step for all of these records, each of a run of its own (or all of one). */
    void (*append)(void *link, const struct bare_item *items, size_t n);
    /* Records 1 .. COUNT of that run are there, and no others. */
    void (*verify)(void *link, uint64_t tag, uint64_t count);
    /* Servers: all counters that can be had without waiting; ALL: the others too, which may take
       seconds.  By a connection that was opened for it. */
    void (*counts)(void *link, struct server_counts *out, bool all);
    /* Servers: processor time of all its processes; -1: they are not on this machine. */
    int64_t (*cpu_ns)(void *link);
    /* Servers: their first process; 0: not on this machine. */
    pid_t (*pid)(void *link);
    /* Servers: is this one as durable as what is measured ought to be?  NULL, or what is wrong. */
    const char *(*wrong)(void *link);
};

extern const struct bare_kind bare_lmdb;
extern const struct bare_kind bare_redis;
extern const struct bare_kind bare_postgresql;

/* The kind for a store at URL (NULL: LMDB).  NULL: this build has none for it. */
const struct bare_kind *bare_kind_of(const char *url);
/* That of this benchmark; never NULL where something bare is measured. */
const struct bare_kind *the_kind(void);

/* What is required of the store that is measured. */
double required(double lmdb, double redis, double postgresql);

struct bare {
    const struct bare_kind *kind;
    char place[4096]; /* a directory; a name among others of a server */
    void *own;        /* the kind's */
};
/* The journals that one thread or process writes to, in rotation. */
struct bare_runs {
    struct bare *bare;
    void *link;
    uint64_t first; /* tag of the first one */
    size_t n;
    uint64_t *count; /* records of each */
    size_t next;
    uint64_t sequence; /* of bare_sequence(): in one journal beyond all tags */
};

/* Make (or, PLACE being there, open) what holds the records. */
void bare_place(char *place, size_t size, const char *name);
void bare_open(struct bare *bare, const char *place);
void bare_close(struct bare *bare);
void bare_runs_init(struct bare_runs *runs, struct bare *bare, uint64_t first, size_t n);
void bare_runs_release(struct bare_runs *runs);
/* One durable step: the next record of each of the next N runs. */
void bare_append(struct bare_runs *runs, size_t n);
/* One durable step: the next N records of one single journal. */
void bare_sequence(struct bare_runs *runs, size_t n);
/* What was written is there, and nothing is missing. */
void bare_verify(const struct bare_runs *runs);

/* A bare store of its own: pages that one kind of work frees would change another. */
void bare_begin(struct bare *bare, struct bare_runs *runs, const char *name, size_t n_runs);
void bare_end(struct bare *bare, struct bare_runs *runs);

/* Sides: so many records per durable step, by bare_append() and by bare_sequence(). */
struct bare_work {
    struct bare_runs *runs;
    size_t batch;
};
void bare_appends(struct side *side, const struct limit *limit);
void bare_sequences(struct side *side, const struct limit *limit);

#endif
