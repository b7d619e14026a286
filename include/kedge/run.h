/*
 * run.h - start runs, wait for them, read them
 *
 * These functions need an open store and nothing else: no worker, no reactor.  Any thread.  Each
 * waits for others at most TIMEOUT_US (> 0) and then answers ERR_UNAVAILABLE, or ERR_UNKNOWN when a
 * write was under way.  What is handed out is the caller's until the function named beside it.
 */
#ifndef KEDGE_RUN_H
#define KEDGE_RUN_H

#include <kedge/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kedge_store;

/* ------------------------------------------------------------------- start */

/* Room for an id that kedge makes: text of 36 characters, ordered by time, and a NUL. */
#define KEDGE_RUN_ID_SIZE 40

/* Make an id: 36 characters, unique without anybody's help.  ERR_UNAVAILABLE: no randomness. */
KEDGE_API int kedge_run_id_make(char id[KEDGE_RUN_ID_SIZE], struct kedge_error *err);

/* A run to be started.  Begin with KEDGE_START_INIT; what stays zero has the meaning given. */
struct kedge_run_start {
    size_t struct_size;
    const char *reactor;
    uint32_t version; /* of the reactor; the run keeps it for life */
    uint32_t flags;   /* 0 */
    /* 1 .. 1024 bytes.  Starting it again is EXISTS, so a caller's own id makes a start safe to
       repeat. */
    struct kedge_bytes id;
    struct kedge_bytes input;   /* JSON; no bytes: null.  At most limit.value_max less 4 KiB */
    struct kedge_bytes context; /* opaque, handed to every step: trace parent, tenant, ...
                                   At most limit.cell_max */
    struct kedge_bytes queue;   /* no bytes: "default" */
    int64_t delay_us;           /* start that much later, by the store's clock; 0: now */
    int64_t at_us;              /* start then (UTC, us since 1970), instead; 0: see delay_us */
    /* Deadline: if the run has not come to its end so long after it was to start, by the store's
       clock, no further step starts, it is rolled back and fails, "the run's deadline has passed";
       0: none.  The way back takes as long as it takes. */
    int64_t timeout_us;
};
#define KEDGE_START_INIT                                                                           \
    {                                                                                              \
        sizeof(struct kedge_run_start), NULL, 0, 0, { NULL, 0 }, { NULL, 0 }, { NULL, 0 },         \
            { NULL, 0 }, 0, 0, 0                                                                   \
    }

/*
 * Start one run.  OK: it is durable, and due; workers have been told.  EXISTS: there is a run with
 * this id, of whatever input; nothing was changed.  ERR_INVALID, ERR_TOO_BIG, ERR_FULL,
 * ERR_UNAVAILABLE: nothing was changed.  ERR_UNKNOWN: it may have been started; do it again with
 * the same id.
 */
KEDGE_API int kedge_start(struct kedge_store *store, const struct kedge_run_start *start,
                          int64_t timeout_us, struct kedge_error *err);

/*
 * Start N runs, each for itself, sharing one durable flush per batch of the store
 * (limit.batch_items).  STARTS[i] begins START_SIZE bytes after its predecessor.  OUTCOMES[i] is
 * what kedge_start() would answer for it.  OK: every outcome is OK or EXISTS.  Otherwise the first
 * other outcome, with its message; the others are still carried out.
 */
KEDGE_API int kedge_start_many(struct kedge_store *store, const struct kedge_run_start *starts,
                               size_t n, size_t start_size, int *outcomes, int64_t timeout_us,
                               struct kedge_error *err);

/* -------------------------------------------------------------------- read */

struct kedge_run_info {
    size_t struct_size;
    struct kedge_bytes id;
    struct kedge_bytes reactor;
    struct kedge_bytes queue;
    struct kedge_bytes context;
    uint32_t version;
    uint32_t status;     /* enum kedge_run_status */
    uint32_t place;      /* enum kedge_run_place */
    uint32_t recoveries; /* take-overs after a death since the last record */
    uint32_t requests;   /* pending ones */
    uint32_t flags;      /* 0 */
    uint64_t incarnation;
    uint64_t fence;
    uint64_t records;          /* in its journal */
    int64_t created;           /* UTC, us */
    int64_t finished;          /* 0: not at rest */
    int64_t due;               /* 0: none */
    int64_t expires;           /* 0: never */
    uint8_t holder[16];        /* id of the lease that holds it; zeros: nobody */
    struct kedge_bytes parent; /* the run that this one was started for or after; empty: none */
    /* Of a run at rest, with KEDGE_RUN_WANT_RESULT; else empty. */
    struct kedge_bytes result;     /* JSON; completed runs only */
    struct kedge_bytes error;      /* failed, cancelled, stuck: why; halted: the reason */
    struct kedge_bytes error_step; /* whose error or reason it is; empty: none */
};

#define KEDGE_RUN_WANT_RESULT UINT32_C(1)

/* One run.  OK, NOT_FOUND.  Free *INFO with kedge_run_info_free(). */
KEDGE_API int kedge_run_get(struct kedge_store *store, struct kedge_bytes id, uint32_t want,
                            struct kedge_run_info **info, int64_t timeout_us,
                            struct kedge_error *err);

/*
 * Wait until the run is at rest; OK: *INFO (may be NULL) with its result.  QUIET: TIMEOUT_US
 * passed before (a store that is slow to answer may take up to a second longer).  NOT_FOUND: no
 * such run (or it expired).  Takes no part in the work: some worker has to run.  A worker in this
 * process wakes the waiter at once; for others' work it looks again after 1 ms, 2 ms, ... up to
 * every 50 ms.
 */
KEDGE_API int kedge_run_wait(struct kedge_store *store, struct kedge_bytes id,
                             struct kedge_run_info **info, int64_t timeout_us,
                             struct kedge_error *err);

KEDGE_API void kedge_run_info_free(struct kedge_run_info *info); /* NULL is fine */

struct kedge_run_filter {
    size_t struct_size;
    uint32_t statuses;          /* KEDGE_STATUS_BIT()s; 0: all */
    uint32_t newest_first;      /* else oldest first, by time of creation */
    struct kedge_bytes reactor; /* no bytes: all */
    uint64_t limit;             /* 0: all */
    /* 1: only runs that are due, and that no worker alive serves: of a queue, a reactor or a
       version of it that nobody has. */
    uint32_t unserved;
    uint32_t reserved;
    struct kedge_bytes queue;     /* no bytes: all */
    struct kedge_bytes id_prefix; /* only runs whose id begins so; no bytes: all */
    int64_t created_from;         /* created then or later (UTC, us); 0: whenever */
    int64_t created_to;           /* created before that; 0: whenever */
};
#define KEDGE_RUN_FILTER_INIT                                                                      \
    {                                                                                              \
        sizeof(struct kedge_run_filter), 0, 1, { NULL, 0 }, 0, 0, 0, { NULL, 0 }, { NULL, 0 }, 0,  \
            0                                                                                      \
    }

/* Called for one run after the other; INFO (without result) is valid during the call.  Answers 0
   to go on; anything else ends the walk and becomes its result. */
typedef int kedge_run_fn(void *ctx, const struct kedge_run_info *info);

/* Walk the runs; a run that fits all the while is seen exactly once.  FILTER may be NULL. */
KEDGE_API int kedge_run_list(struct kedge_store *store, const struct kedge_run_filter *filter,
                             kedge_run_fn *each, void *ctx, int64_t timeout_us,
                             struct kedge_error *err);

enum kedge_step_state {
    KEDGE_STEP_WAITING = 1, /* for those it comes after */
    KEDGE_STEP_READY = 2,   /* may be running: starts are not recorded */
    KEDGE_STEP_DELAYED = 3, /* backing off, or snoozing, until `next' */
    KEDGE_STEP_DONE = 4,    /* has its value */
    KEDGE_STEP_SKIPPED = 5,
    KEDGE_STEP_FAILED = 6, /* for good */
    KEDGE_STEP_HALTED = 7, /* ended the run here */
    KEDGE_STEP_COMPENSATED = 8,
    KEDGE_STEP_UNDONE = 9,
    KEDGE_STEP_UNDO_FAILED = 10,
    KEDGE_STEP_DROPPED = 11, /* never started, and never will: the run took another way */
    KEDGE_STEP_LEFT = 12     /* its undo failed, and somebody decided to leave it at that */
};

/* A step of a run, as the store knows it. */
struct kedge_step_info {
    size_t struct_size;
    const char *name;      /* "step N" when the definition is not in the store */
    uint32_t index;        /* place in the reactor's table */
    uint32_t state;        /* enum kedge_step_state */
    uint32_t failures;     /* attempts that failed so far */
    uint32_t flags;        /* KEDGE_STEP_IN_DOUBT */
    const uint32_t *after; /* indices of the steps it comes after */
    size_t n_after;
    uint64_t record;          /* of its value; 0: none */
    int64_t time;             /* of its last record, UTC; 0: none */
    int64_t next;             /* DELAYED: when it goes on, UTC */
    struct kedge_bytes value; /* DONE */
    struct kedge_bytes error; /* of the last attempt that failed; HALTED, SKIPPED: the reason */
};
typedef int kedge_step_info_fn(void *ctx, const struct kedge_step_info *step);

/* The steps of a run in the order of the reactor's table; read from the journal as a whole.  Rules
   of EACH as for kedge_run_list(). */
KEDGE_API int kedge_run_steps(struct kedge_store *store, struct kedge_bytes id,
                              kedge_step_info_fn *each, void *ctx, int64_t timeout_us,
                              struct kedge_error *err);

/* ---------------------------------------------------------------- requests */

/*
 * What can be asked of a run, by any process that has the store open.  "On its way" means pending,
 * running or paused.
 */
enum kedge_verb {
    /* On its way: stop at the next step boundary, or when the steps heed their stop request, and
       roll back; it ends as cancelled. */
    KEDGE_VERB_CANCEL = 1,
    /* On its way: start no further step; those under way end.  Time does not wait for it: delays
       and the run's deadline go on. */
    KEDGE_VERB_PAUSE = 2,
    /* Paused: go on.  Stuck in a crash loop, or set aside because a worker could not read it: try
       again. */
    KEDGE_VERB_RESUME = 3,
    /* Completed or halted: roll back; it ends as cancelled. */
    KEDGE_VERB_UNDO = 4,
    /* Failed or cancelled: go forward again from the steps that failed or were taken back, with new
       idempotency keys; and all that comes after those.  The run's deadline no longer holds. */
    KEDGE_VERB_RETRY = 5,
    /* Stuck in undos or compensates that failed, or that killed each worker: try one (`step') or
       all of them again ... */
    KEDGE_VERB_RETRY_UNDO = 6,
    /* ... leave them as they are and go on without ... */
    KEDGE_VERB_SKIP_UNDO = 7,
    /* ... or go on, as somebody has undone them by hand. */
    KEDGE_VERB_MARK_UNDONE = 8,
    /* Stuck, or unfinished and not held: give it up as it is; it ends as aborted, never expires. */
    KEDGE_VERB_ABANDON = 9,
    /* At rest, not completed: start a run with the same input, linked to this one, which stays. */
    KEDGE_VERB_RETRY_NEW = 10,
    KEDGE_VERB_END_ = 11
};

/* Begin with KEDGE_REQUEST_INIT. */
struct kedge_request {
    size_t struct_size;
    uint32_t verb;  /* enum kedge_verb */
    uint32_t flags; /* 0 */
    struct kedge_bytes run;
    const char *who;  /* who asks, for the record: the first 255 bytes; NULL: nobody says */
    const char *why;  /* the first KB or so; for a run that ends by it, its error */
    const char *step; /* the verbs for stuck runs: which one; NULL: all that are stuck */
    /* RETRY_NEW: the new run's id (none: one is made) and version (0: the old one's). */
    struct kedge_bytes new_id;
    uint32_t new_version;
    uint32_t reserved;
    /* How long the run is kept if it ends by this very call; 0: 24 hours, -1: for ever. */
    int64_t retention_us;
};
#define KEDGE_REQUEST_INIT                                                                         \
    {                                                                                              \
        sizeof(struct kedge_request), 0, 0, { NULL, 0 }, NULL, NULL, NULL, { NULL, 0 }, 0, 0, 0    \
    }

/* What became of a request: how the run stood right after it, or when it was refused. */
struct kedge_requested {
    size_t struct_size;
    uint32_t status;  /* enum kedge_run_status */
    uint32_t place;   /* enum kedge_run_place */
    uint32_t pending; /* 1: its holder has yet to take it up */
    uint32_t reserved;
    char new_id[KEDGE_RUN_ID_SIZE]; /* RETRY_NEW, when kedge made it */
    char why[160];                  /* STALE: a sentence */
};

/*
 * Ask something of a run.
 *
 * OK: it is durable, with who and why, and will be carried out: at once, or (`pending') by the
 * worker that holds the run, which hears of it within a look (worker.h), or after that worker's
 * death by the next.  A run that comes to its end in that moment may be faster; how it ended is
 * what kedge_run_wait() tells.  EXISTS: the same was asked before and stands; nothing was changed.
 * STALE: the run is not in a state for that, OUT has a sentence; nothing was changed.  NOT_FOUND.
 * ERR_INVALID: no such verb, or the reactor has no such step.  ERR_CORRUPT, ERR_SCHEMA_NEW: what
 * the run has recorded cannot be understood here; RESUME and ABANDON work all the same.
 * ERR_UNAVAILABLE: nothing was changed; ERR_UNKNOWN: ask again.
 *
 * Of requests that race, and race the run, each sees the other's effect or takes place before it.
 * OUT may be NULL; it is written on OK, EXISTS and STALE.
 */
KEDGE_API int kedge_run_request(struct kedge_store *store, const struct kedge_request *request,
                                struct kedge_requested *out, int64_t timeout_us,
                                struct kedge_error *err);

/* "cancel", "retry-undo", ...; "?" for others.  Static. */
KEDGE_API const char *kedge_verb_text(uint32_t verb);

/* The words for them: "running", "due", "done", ...; "?" for others.  Static. */
KEDGE_API const char *kedge_run_status_text(uint32_t status);
KEDGE_API const char *kedge_run_place_text(uint32_t place);
KEDGE_API const char *kedge_step_state_text(uint32_t state);

#ifdef __cplusplus
}
#endif

#endif
