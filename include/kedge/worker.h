/*
 * worker.h - a worker claims runs that are due and carries them on, step by step
 *
 * A worker is event-driven: many runs in flight as small state machines, none with a thread of its
 * own.  What ended while the store was flushing goes into the next flush together; a lone run sees
 * one flush per step and nothing else.
 *
 * It looks after the other workers too: nothing has to be started by hand for a dead worker's runs
 * to go on here.
 *
 * Threads.  One keeper thread (lease, dead workers, news from other processes) and, if a reactor
 * has steps for it, the pool.  No signal handler is installed, nothing is printed.  After fork()
 * the child has neither: there a worker of the parent's can be closed, which does nothing to the
 * parent; all else is ERR_INVALID.
 *
 * Durability.  Effect, then record: before the next step of a run starts, and before anything is
 * reported about this one, its record is durable as far as the store is.  A crash at any instant
 * re-runs the steps that were in flight, and no others.
 */
#ifndef KEDGE_WORKER_H
#define KEDGE_WORKER_H

#include <kedge/base.h>
#include <kedge/reactor.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kedge_store;

/* ------------------------------------------------------------------ events */

enum kedge_event_kind {
    KEDGE_EVENT_RUN_TAKEN = 1,     /* claimed; `n': recoveries so far; `us': time it was read in;
                                      `bytes': what of it was read */
    KEDGE_EVENT_STEP_STARTED = 2,  /* `n': attempt */
    KEDGE_EVENT_STEP_ENDED = 3,    /* its outcome is durable; `outcome'; `us': it took */
    KEDGE_EVENT_RUN_LEFT = 4,      /* handed on, unfinished; `us': until it is due, -1: none */
    KEDGE_EVENT_RUN_ENDED = 5,     /* at rest; `outcome': enum kedge_run_status */
    KEDGE_EVENT_RUN_LOST = 6,      /* somebody else has it; what was in flight here is ignored */
    KEDGE_EVENT_LEASE_LOST = 7,    /* this worker was declared dead; it goes on with a new lease */
    KEDGE_EVENT_WORKER_BURIED = 8, /* this worker declared another dead; `text': its owner label */
    KEDGE_EVENT_RUN_RECOVERED = 9, /* a dead worker's run was made due; `n': recoveries */
    KEDGE_EVENT_RUN_REQUESTED = 10 /* taken up here; `outcome': enum kedge_verb; `text': why */
};

/* Valid during the call.  What does not apply is empty or 0. */
struct kedge_event {
    size_t struct_size;
    uint32_t kind;
    uint32_t action;  /* KEDGE_ACTION_... */
    uint32_t outcome; /* enum kedge_outcome_kind, or enum kedge_run_status */
    uint32_t n;
    uint64_t fence;
    uint64_t bytes;
    int64_t us;
    struct kedge_bytes run;
    const char *reactor;
    const char *step;
    const char *text; /* error, reason, label */
};

/* May be called by any of the worker's threads, one at a time.  Must not block, and call nothing of
   the worker's but kedge_worker_stop(). */
typedef void kedge_event_fn(void *ctx, const struct kedge_event *event);

/* ------------------------------------------------------------------ worker */

/* Begin with KEDGE_WORKER_OPTIONS_INIT; 0 means the default named. */
struct kedge_worker_options {
    size_t struct_size;
    uint32_t flags; /* 0 */
    uint32_t reserved;
    /* What it serves; several versions of a name side by side. */
    const struct kedge_reactor *const *reactors;
    size_t n_reactors;
    const char *const *queues; /* closed by NULL; NULL: "default" alone */
    const char *label;         /* for people, beside host, pid and start time; NULL: none */
    uint32_t pool_threads;     /* most of them at once, made when needed; 16 */
    uint32_t in_flight;        /* most runs at once; 1024 */
    uint32_t claim_slice;      /* most runs it takes at a time, so that others get theirs; 64 */
    uint32_t crash_limit;      /* recoveries without progress before a run is rolled back; 5 */
    int64_t lease_ttl_us;      /* unheard of for so long, it may be declared dead; 10 s */
    int64_t look_us;           /* how often to look after other workers; 140 ms */
    int64_t sweep_us;          /* how often one worker of all does a full sweep; 30 s */
    int64_t retention_us;      /* how long runs are kept after their end; 24 h; -1: for ever */
    int64_t timeout_us;        /* of one store operation; 10 s */
    /*
     * 0: every step's record is flushed before the next step starts.  Otherwise a run flushes what
     * its steps have done at most so often, and its next steps do not wait for it: cheaper, and a
     * crash re-runs all steps that ended since the last flush, not only those in flight.  The end
     * of a run, retries, hand-offs and failures are never held back.
     */
    int64_t checkpoint_min_interval_us;
    kedge_event_fn *observe; /* NULL: none */
    void *observe_ctx;
};
#define KEDGE_WORKER_OPTIONS_INIT                                                                  \
    {                                                                                              \
        sizeof(struct kedge_worker_options), 0, 0, NULL, 0, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, NULL, NULL                                                                          \
    }

/*
 * Make a worker: checks its reactors against those the store has seen (the same name and version
 * with other steps is ERR_INVALID), records the new ones, grants itself a lease and starts its
 * keeper.  Claims nothing yet.  The store must stay open until the worker is closed.
 *
 * ERR_INVALID for an option; whatever the store answers otherwise.
 */
KEDGE_API int kedge_worker_open(struct kedge_store *store,
                                const struct kedge_worker_options *options,
                                struct kedge_worker **worker, struct kedge_error *err);

/*
 * Work until kedge_worker_stop().  Exactly one thread may be in run, turn or drain at a time, and
 * no step of its own (ERR_INVALID for the second).  OK: stopped.  Other statuses: it cannot go on;
 * its runs are handed on by their lease.  A store that cannot be reached is waited for.
 */
KEDGE_API int kedge_worker_run(struct kedge_worker *worker, struct kedge_error *err);

/*
 * For a foreign event loop: when the descriptor is readable, call kedge_worker_turn(), which does
 * what there is to do, store operations included, and does not wait for more.  OK: come again when
 * the descriptor is readable; QUIET: it has been stopped and has nothing left to do.  The
 * descriptor is the worker's.
 */
KEDGE_API int kedge_worker_fd(const struct kedge_worker *worker);
KEDGE_API int kedge_worker_turn(struct kedge_worker *worker, struct kedge_error *err);

/*
 * Work until there is nothing left that is due now and nothing in flight; for tests and batch
 * programs.  QUIET: TIMEOUT_US (real time) passed before.  Runs that are due later stay, and those
 * of a queue that is paused (admin.h).
 */
KEDGE_API int kedge_worker_drain(struct kedge_worker *worker, int64_t timeout_us,
                                 struct kedge_error *err);

/*
 * Ask it to end: no step starts any more, those in flight are told to stop, and run() returns when
 * they have ended, or their time is over.  A store that does not take what they have done is waited
 * for TIMEOUT_US of the options, no longer.  Any thread, and signal handlers.  Can be said again.
 */
KEDGE_API void kedge_worker_stop(struct kedge_worker *worker);

/*
 * Close it: stop, wait up to GRACE_US for steps in flight, hand all its runs back at once (a step
 * still in flight makes its run say so, and its late outcome is ignored), revoke the lease, free.
 * If the store cannot be told all of that, the lease is left to its end, as after a crash.
 * A pool thread that is still in a step then is waited for: its code may use what is freed next.
 * Nobody may be in run, turn or drain, and no kedge_settle() be under way.  NULL is fine.
 * If a step's function never returned (see reactor.h), that is logged, and memory stays for it.
 */
KEDGE_API void kedge_worker_close(struct kedge_worker *worker, int64_t grace_us);

/* What it has done since it was opened. */
struct kedge_counts {
    size_t struct_size;
    uint64_t steps; /* outcomes made durable */
    uint64_t runs_taken;
    uint64_t runs_ended;
    uint64_t commits;      /* handed to the store */
    uint64_t flushes;      /* calls that carried them */
    uint64_t claims;       /* calls */
    uint64_t hand_offs;    /* sleeping pool threads or loops that were woken for work */
    uint64_t wake_ups;     /* times a thread of the worker came out of a sleep, the keeper's too */
    uint64_t resent;       /* commits sent again after an unknown outcome */
    uint64_t recoveries;   /* runs of dead workers this one made due */
    uint64_t read_bytes;   /* of snapshots and records, for runs taken */
    uint32_t in_flight;    /* runs now */
    uint32_t pool_threads; /* now */
};
KEDGE_API void kedge_worker_stats(const struct kedge_worker *worker,
                                  struct kedge_counts *stats); /* struct_size is set */

#ifdef __cplusplus
}
#endif

#endif
