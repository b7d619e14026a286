/*
 * saga.h - runs of many small steps on a worker of their own, through the public API
 *
 * A saga is a reactor whose steps come one after the other, each with a value of opt.record bytes
 * (JSON, with the run and the step in it), a store for it, and a worker that serves it and nothing
 * else. Runs are started when they are needed, outside the time that is measured.  Steps count when
 * they are durable: by the worker's own count.
 */
#ifndef KEDGE_BENCH_SAGA_H
#define KEDGE_BENCH_SAGA_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kedge/kedge.h>

#include "bare.h"
#include "harness.h"

#define SAGA_RUNS_MAX ((size_t)1 << 20)

struct saga;
/* Called by the step instead of ending well by itself; answers what the outcome function did. */
typedef int saga_step_fn(struct saga *saga, struct kedge_step *step, uint32_t number);

/* What the caller sets before saga_open(). */
struct saga_shape {
    const char *name; /* of the reactor, the store's directory and its namespace; up to 15 bytes */
    uint32_t n_steps;
    uint32_t in_flight;
    uint32_t feed; /* runs started at a time; 0: none by itself */
    bool pool;
    uint32_t pool_threads; /* 0: 16 */
    bool undo;           /* the last step fails, and all others are undone; each undo counts, too */
    bool timed;          /* durations are those from a step's start to the next one's, not turns' */
    bool without_claims; /* what a turn does is not counted if it claims */
    int64_t checkpoint_us;
    kedge_event_fn *observe;
    saga_step_fn *step; /* NULL: it ends well, with its value */
    void *ctx;          /* for these two */
};

struct saga {
    struct saga_shape shape;
    struct kedge_reactor *reactor;
    struct saga_number *numbers; /* of the steps, as their functions get them */
    struct kedge_store *store;
    struct kedge_worker *worker;
    uint64_t runs;              /* started */
    atomic_uint_fast64_t end;   /* of them have come to their last step */
    _Atomic uint32_t *seen;     /* of each run: the last step that began */
    atomic_uint_fast64_t twice; /* steps that began once more */
    _Atomic int64_t *began;     /* when that was; NULL: it is not timed */
    _Atomic int64_t slice_began;
    struct side *side; /* at work */
    /* steps of the pool stop here between the slices */
    pthread_mutex_t lock;
    pthread_cond_t opened;
    atomic_bool closed;
    uint32_t at_gate;
};

/* Define it; open a store of the workload under way (HOST as in struct kedge_store_options). */
void saga_define(struct saga *saga, const struct saga_shape *shape);
void saga_store_open(struct saga *saga, const char *url, const struct kedge_host *host);
void saga_worker_open(struct saga *saga);
void saga_worker_close(struct saga *saga);
void saga_store_close(struct saga *saga);
void saga_undefine(struct saga *saga);
/* All of these, in a new store. */
void saga_open(struct saga *saga, const struct saga_shape *shape);
/* Reads back what was acknowledged, and closes all of it; how many steps there are. */
uint64_t saga_close(struct saga *saga);

/* Start N more runs, due in DELAY_US. */
void saga_start(struct saga *saga, size_t n, int64_t delay_us);
/* Its number, from its id. */
uint64_t saga_run_of(struct kedge_bytes id);
/* Steps of the pool may pass; at first they may not. */
void saga_gate(struct saga *saga, bool open);
/* One turn of the worker, when it wants one within WAIT_MS. */
void saga_turn(struct saga *saga, int wait_ms);
struct kedge_counts saga_counts(const struct saga *saga);
/* Turns until N steps of a single run that goes on after them are durable. */
void saga_reach(struct saga *saga, uint64_t n);
/* The value of step NUMBER (1 ...) of the run of that id: opt.record bytes. */
#define SAGA_VALUE_LEAST 64
#define SAGA_VALUE_MOST  ((size_t)64 << 10)
void saga_value(char *value, struct kedge_bytes id, uint32_t number);
/* Read all runs: every step that another followed is there, with its value, and at least DONE
   steps are there in all, and at most MORE others.  No
   worker is open.  How many there are. */
uint64_t saga_verify(struct saga *saga, uint64_t done, uint64_t more);

/* A side: turns of the worker; an operation is a durable step. */
void saga_steps(struct side *side, const struct limit *limit);

#endif
