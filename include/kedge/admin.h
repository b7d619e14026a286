/*
 * admin.h - what an operator asks: who works here, what happened, why a run does not move; upkeep
 *
 * These functions need an open store and nothing else.  Any thread.  Each waits for others at most
 * TIMEOUT_US (> 0) and then answers ERR_UNAVAILABLE, or ERR_UNKNOWN when a write was under way.
 * What is handed to a callback is valid during the call; a callback answers 0 to go on, anything
 * else ends the walk and becomes its result.  ERR_INVALID, ERR_NOMEM, ERR_CORRUPT as elsewhere.
 */
#ifndef KEDGE_ADMIN_H
#define KEDGE_ADMIN_H

#include <kedge/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kedge_store;

/* ----------------------------------------------------------------- workers */

enum kedge_worker_state {
    KEDGE_WORKER_ALIVE = 1,
    KEDGE_WORKER_GONE = 2,   /* its process is not there; about to be declared dead */
    KEDGE_WORKER_LAPSED = 3, /* unheard of for longer than its time to live; may yet come back */
    KEDGE_WORKER_DEAD = 4    /* declared dead, or closed; the store refuses all it says */
};

/* A reactor in a range of versions (inclusive), from one queue. */
struct kedge_served {
    struct kedge_bytes queue;
    struct kedge_bytes reactor;
    uint32_t version_min;
    uint32_t version_max;
};

struct kedge_worker_info {
    size_t struct_size;
    uint8_t id[16];           /* of its lease */
    struct kedge_bytes owner; /* its label, host, pid and start time, as it told them */
    uint32_t state;           /* enum kedge_worker_state */
    uint32_t reserved;
    int64_t granted;      /* UTC, us */
    int64_t ttl_us;       /* its time to live */
    int64_t remaining_us; /* of that; 0 when lapsed or dead */
    uint64_t runs;        /* that it holds */
    uint64_t locks;       /* likewise */
    const struct kedge_served *serves;
    size_t n_serves;
};
typedef int kedge_worker_info_fn(void *ctx, const struct kedge_worker_info *worker);

/* Walk the workers, in the order of their ids.  Dead ones are shown until a sweep removes them. */
KEDGE_API int kedge_worker_list(struct kedge_store *store, kedge_worker_info_fn *each, void *ctx,
                                int64_t timeout_us, struct kedge_error *err);

/* ------------------------------------------------------------------- locks */

struct kedge_lock_info {
    size_t struct_size;
    struct kedge_bytes name;
    uint64_t fence;
    uint8_t holder[16];       /* the lease it is held under */
    struct kedge_bytes owner; /* of that lease */
    uint32_t state;           /* of that worker; a lock of a dead one is free to be taken */
    uint32_t reserved;
    int64_t remaining_us; /* of that lease */
};
typedef int kedge_lock_info_fn(void *ctx, const struct kedge_lock_info *lock);

/* Walk the locks that are held, worker by worker. */
KEDGE_API int kedge_lock_list(struct kedge_store *store, kedge_lock_info_fn *each, void *ctx,
                              int64_t timeout_us, struct kedge_error *err);

/* ------------------------------------------------------------------ queues */

/* A queue that was paused. */
struct kedge_queue_info {
    size_t struct_size;
    struct kedge_bytes name;
    int64_t paused; /* since then, UTC, us */
    struct kedge_bytes who;
    struct kedge_bytes why;
};
typedef int kedge_queue_info_fn(void *ctx, const struct kedge_queue_info *queue);

/* At most so many queues are paused at a time, */
#define KEDGE_QUEUES_PAUSED_MAX 256

/*
 * Pause a queue: from then on no worker claims a run of it, within a look (worker.h); runs that are
 * held go on until their workers let go of them.  Resume lets it go on.  A queue need not have runs
 * yet.  OK: durable.  EXISTS (pause): it is paused already, nothing was changed; NOT_FOUND
 * (resume): it is not.  WHO and WHY may be NULL; of each the first 255 bytes are kept.  ERR_FULL:
 * more than KEDGE_QUEUES_PAUSED_MAX, or more text than a cell of the store holds.  ERR_UNKNOWN: ask
 * again.
 */
KEDGE_API int kedge_queue_pause(struct kedge_store *store, struct kedge_bytes name, const char *who,
                                const char *why, int64_t timeout_us, struct kedge_error *err);
KEDGE_API int kedge_queue_resume(struct kedge_store *store, struct kedge_bytes name,
                                 int64_t timeout_us, struct kedge_error *err);

/* Walk the paused queues, in the order of their names. */
KEDGE_API int kedge_queue_list(struct kedge_store *store, kedge_queue_info_fn *each, void *ctx,
                               int64_t timeout_us, struct kedge_error *err);

/* ----------------------------------------------------------------- journal */

enum kedge_entry_kind {
    KEDGE_ENTRY_BEGIN = 1,      /* value: the input; next: its deadline, 0: none */
    KEDGE_ENTRY_DONE = 2,       /* value: the result */
    KEDGE_ENTRY_SKIPPED = 3,    /* text: reason */
    KEDGE_ENTRY_DELAYED = 4,    /* failures so far; text: error; next: when it goes on */
    KEDGE_ENTRY_FAILED = 5,     /* for good; failures; text: error */
    KEDGE_ENTRY_HALTED = 6,     /* text: reason */
    KEDGE_ENTRY_DOUBT = 7,      /* text: the steps that may have run without a record */
    KEDGE_ENTRY_CRASH_LOOP = 8, /* count: of recoveries */
    KEDGE_ENTRY_COMPENSATED = 9,
    KEDGE_ENTRY_UNDONE = 10,
    KEDGE_ENTRY_UNDO_FAILED = 11, /* text: error */
    KEDGE_ENTRY_END = 12,       /* count: enum kedge_run_status; text: error or reason, of `step' */
    KEDGE_ENTRY_REQUEST = 13,   /* count: enum kedge_verb; text: why; value: who, as text */
    KEDGE_ENTRY_ASIDE = 14,     /* text: why a worker could make nothing of the journal */
    KEDGE_ENTRY_OVERDUE = 15,   /* the run's deadline has passed */
    KEDGE_ENTRY_UNREADABLE = 16 /* text: what is wrong with it */
};

struct kedge_entry {
    size_t struct_size;
    uint64_t number; /* 1, 2, 3, ... */
    int64_t time;    /* the store's, of its commit; UTC, us */
    uint64_t bytes;  /* as it is stored */
    uint32_t kind;   /* enum kedge_entry_kind */
    uint32_t action; /* DELAYED: KEDGE_ACTION_... (reactor.h); else 0 */
    uint32_t failures;
    uint32_t flags;   /* KEDGE_ENTRY_TIMED_OUT */
    const char *step; /* NULL: it is about no step */
    uint64_t count;   /* see the kinds */
    int64_t next;     /* see the kinds; 0: none */
    /* Who wrote it: the label of a worker, or of another program.  Empty when that is not known
       any more; `writer_id' still tells writers apart. */
    struct kedge_bytes writer;
    uint8_t writer_id[8]; /* the first bytes of a worker's id; zeros: written by no worker */
    struct kedge_bytes text;
    struct kedge_bytes value;
};
#define KEDGE_ENTRY_TIMED_OUT UINT32_C(1) /* it ran out of time, and may yet take effect */
typedef int kedge_entry_fn(void *ctx, const struct kedge_entry *entry);

/*
 * Walk the journal of a run from record FIRST (0 and 1: the whole).  One that cannot be understood
 * is shown as UNREADABLE, and the walk goes on.  NOT_FOUND: no such run, or it was purged
 * meanwhile.
 */
KEDGE_API int kedge_run_journal(struct kedge_store *store, struct kedge_bytes id, uint64_t first,
                                kedge_entry_fn *each, void *ctx, int64_t timeout_us,
                                struct kedge_error *err);

/* --------------------------------------------------------------------- why */

/* Why a run is not moving.  Several may hold; the one that decides comes first. */
enum kedge_cause_kind {
    KEDGE_CAUSE_ENDED = 1,   /* `status' says how; at: when */
    KEDGE_CAUSE_UNDO = 2,    /* stuck: the undo or compensate of `step' failed; text: error */
    KEDGE_CAUSE_CRASH = 3,   /* stuck: `count' workers in a row died of it, in `step' */
    KEDGE_CAUSE_ASIDE = 4,   /* stuck: its journal cannot be understood; text: reason */
    KEDGE_CAUSE_ABORTED = 5, /* given up; text: why */
    KEDGE_CAUSE_PAUSED = 6,  /* on request; who, text, at */
    KEDGE_CAUSE_ASKED = 7, /* something was asked that its worker has yet to take up; text: verb */
    KEDGE_CAUSE_HELD = 8,  /* a worker carries it; worker, at: since */
    /* These four with the members of HELD. */
    KEDGE_CAUSE_GONE = 9,     /* its worker's process is gone; it is being taken over */
    KEDGE_CAUSE_LAPSED = 10,  /* its worker's lease has lapsed; it is being taken over */
    KEDGE_CAUSE_DEAD = 11,    /* its worker is dead; it is being taken over */
    KEDGE_CAUSE_OVERDUE = 12, /* its worker has held it for too long (hold_until); likewise */
    KEDGE_CAUSE_STEP = 13,    /* `step' may be running, attempt `count'; at: since then at most */
    /* `step' failed (`count' times so far, text: error) or snoozed, and goes on at `at'. */
    KEDGE_CAUSE_DELAYED = 14,
    KEDGE_CAUSE_LATER = 15,   /* it was started for a later time: due at `at' */
    KEDGE_CAUSE_DUE = 16,     /* due since `at'; `count' workers serve it, and one will take it */
    KEDGE_CAUSE_NOBODY = 17,  /* no worker is alive */
    KEDGE_CAUSE_QUEUE = 18,   /* nobody serves its queue */
    KEDGE_CAUSE_REACTOR = 19, /* nobody serves its reactor (from that queue) */
    KEDGE_CAUSE_VERSION = 20, /* nobody serves its version; text: those that are served */
    KEDGE_CAUSE_QUEUE_PAUSED = 21, /* who, text, at */
    KEDGE_CAUSE_WAITING = 22       /* parked: waits to be woken; at: its backstop, 0: none */
};

struct kedge_cause {
    size_t struct_size;
    uint32_t kind;   /* enum kedge_cause_kind */
    uint32_t status; /* enum kedge_run_status */
    int64_t at;      /* UTC, us; 0: none */
    uint64_t count;
    const char *step;          /* NULL: none */
    struct kedge_bytes worker; /* its label; empty: none */
    struct kedge_bytes who;
    struct kedge_bytes text;
    char sentence[400]; /* all of that in English, without a final stop; times in UTC */
};
typedef int kedge_cause_fn(void *ctx, const struct kedge_cause *cause);

/*
 * Say why a run is not moving, as things stand at this moment: EACH gets at least one cause.
 * Changes nothing.  NOT_FOUND.
 */
KEDGE_API int kedge_run_why(struct kedge_store *store, struct kedge_bytes id, kedge_cause_fn *each,
                            void *ctx, int64_t timeout_us, struct kedge_error *err);

/* ------------------------------------------------------------------ upkeep */

/* Begin with KEDGE_SWEEP_OPTIONS_INIT; 0 means the default named. */
struct kedge_sweep_options {
    size_t struct_size;
    uint32_t flags;       /* KEDGE_SWEEP_DRY */
    uint32_t crash_limit; /* recoveries without progress before a run is rolled back; 5 */
};
#define KEDGE_SWEEP_DRY UINT32_C(1) /* change nothing, count what would be changed now */
#define KEDGE_SWEEP_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(struct kedge_sweep_options), 0, 0                                                   \
    }

struct kedge_swept {
    size_t struct_size;
    uint64_t workers;   /* that were looked at: not dead yet */
    uint64_t buried;    /* of these, declared dead */
    uint64_t spared;    /* look dead, and may not be declared so yet: sweep again in a second */
    uint64_t recovered; /* runs of the dead that were made due */
    uint64_t stuck;     /* likewise, given up after too many deaths on their way back */
    uint64_t runs;      /* removed, as their time was over; not counted by DRY */
    uint64_t rows;      /* all else that was removed; likewise */
};

/*
 * Do once what every worker does all the time: declare dead workers dead, make their runs due,
 * remove what has expired.  For a store that no worker serves at the moment, and for the impatient.
 * Of several at a time each does a part.  OUT may be NULL; it is written also when it ends early.
 */
KEDGE_API int kedge_store_sweep(struct kedge_store *store,
                                const struct kedge_sweep_options *options, struct kedge_swept *out,
                                int64_t timeout_us, struct kedge_error *err);

/*
 * Remove a run that is at rest, whatever its time, with its journal.  OK: it is gone for every
 * reader (its rows go at once or with the next sweep).  STALE: it is not at rest; nothing was
 * changed.  NOT_FOUND.  ERR_UNKNOWN: ask again.
 */
KEDGE_API int kedge_run_purge(struct kedge_store *store, struct kedge_bytes id, int64_t timeout_us,
                              struct kedge_error *err);

/* ------------------------------------------------------------------- words */

/* "alive", "undo-failed", "queue-paused", ...: stable across releases; "?" for others.  Static. */
KEDGE_API const char *kedge_worker_state_text(uint32_t state);
KEDGE_API const char *kedge_entry_kind_text(uint32_t kind);
KEDGE_API const char *kedge_cause_text(uint32_t kind);

#ifdef __cplusplus
}
#endif

#endif
