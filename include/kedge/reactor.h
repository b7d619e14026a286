/*
 * reactor.h - define a saga: a reactor is a graph of steps, each with what to do and how to undo it
 *
 *      static const char *const after_reserve[] = { "reserve", NULL };
 *
 *      static const struct kedge_step_def steps[] = {
 *          { .name = "reserve", .run = reserve, .undo = release },
 *          { .name = "charge", .run = charge, .undo = refund, .after = after_reserve,
 *            .retry = { .attempts = 5, .base_us = 100000 } },
 *      };
 *      struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("order", 1, steps);
 *
 * What a step promises.  kedge runs it at least once: its effect happens first, the record that it
 * is done is written afterwards.  If the worker dies in between, the step runs again, on some
 * worker, with the same idempotency key and with KEDGE_STEP_IN_DOUBT.  A step whose record is
 * durable never runs again.  No step starts before the records of all it comes after are durable.
 *
 * What a saga promises.  When a step fails for good, or the run is cancelled or past its deadline,
 * no further step starts; those under way are told to stop and awaited.  Then steps that began and
 * came to no good end are compensated: failed ones, those in doubt, those that waited for another
 * attempt. Then done steps are undone, the newest first, so that nothing is undone before all that
 * came after it.  Skipped steps are not undone.  Each compensate and undo has its record as a step
 * has, and is retried by the step's policy.  One that fails for good keeps those it came after from
 * being undone; when nothing else is left, the run is stuck, and waits for an operator
 * (kedge_run_request()).
 */
#ifndef KEDGE_REACTOR_H
#define KEDGE_REACTOR_H

#include <kedge/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------- definition */

/* One execution of a step's function: what it sees, and what it says. */
struct kedge_step;

/*
 * A step's function.  It ends in exactly one outcome, through one of the functions below, whose
 * answer it returns: return kedge_ok(step, "{}", 2);
 * Returning without an outcome fails the step for good; a second outcome is ignored, and logged.
 *
 * It must return.  One that was left by longjmp, or has ended its thread, counts as one that never
 * does: its time ends the attempt, if it has a timeout; its run goes on in another process, with
 * the step in doubt.  On the loop the worker can then only be closed, run() and the like are
 * ERR_INVALID and name the step.  An exception ends the process.
 */
typedef int kedge_step_fn(struct kedge_step *step, void *user);

enum kedge_backoff {
    KEDGE_BACKOFF_EXPONENTIAL = 0, /* base, 2 base, 4 base, ... */
    KEDGE_BACKOFF_LINEAR = 1,      /* base, 2 base, 3 base, ... */
    KEDGE_BACKOFF_FIXED = 2        /* base, base, base, ... */
};

/*
 * How often a step is tried, and how long to wait in between.  Attempts and the time of the next
 * one are in the store; a run that waits for it holds no thread and no lease.
 */
struct kedge_retry {
    uint32_t attempts;       /* all, with the first; 0 means 1 */
    uint32_t backoff;        /* enum kedge_backoff */
    int64_t base_us;         /* 0: at once */
    int64_t cap_us;          /* no wait is longer; 0 means 24 hours */
    uint32_t jitter_percent; /* 0 .. 100: each wait is shortened by up to this share of it */
    uint32_t reserved;
};

/* Kinds of steps; `more' points to what a kind needs beyond the members here. */
#define KEDGE_STEP_PLAIN UINT32_C(0) /* a function; more is NULL */

/*
 * Flags of a step.  Without KEDGE_STEP_POOL its functions run on the loop: one at a time, in the
 * thread that is in kedge_worker_run() or kedge_worker_turn(), and must not block; this is the
 * cheapest way.  With it they run on a thread of the worker's pool and may block.
 */
#define KEDGE_STEP_POOL UINT32_C(1)

struct kedge_step_def {
    const char *name; /* unique in the reactor: 1 .. 255 characters of A-Z a-z 0-9 _ - . : */
    uint32_t kind;    /* KEDGE_STEP_PLAIN */
    uint32_t flags;   /* KEDGE_STEP_POOL */
    kedge_step_fn *run;
    kedge_step_fn *compensate; /* clean up after run began and came to no good end; or NULL */
    kedge_step_fn *undo;       /* take back what run did; NULL: there is nothing to take back */
    void *user;                /* for its functions; NULL: the reactor's */
    const char *const *after;  /* names of steps it needs, closed by NULL; NULL: none */
    struct kedge_retry retry;  /* of run; compensate and undo are retried by it as well */
    /*
     * What one attempt is given, of any of its functions; 0: no bound.  If it is over before the
     * step has its outcome, the step is told to stop, and the attempt has failed, in doubt: it may
     * yet take effect, and what it says afterwards is ignored.  No other action of the run that it
     * could meddle with is started in this process before the function has returned; if it does not
     * return for as long again, the run is left to other workers.  It keeps its thread as long.
     *
     * On the loop nobody may notice before it returns; then what it says counts.  A loop that hangs
     * in a step is a worker that hangs: runs of reactors whose steps all have a timeout are taken
     * from it long after that.
     */
    int64_t timeout_us;
    const void *more; /* by kind */
};

struct kedge_reactor_def {
    size_t struct_size;
    const char *name; /* 1 .. 255 characters, as for steps */
    uint32_t version; /* >= 1.  A run keeps the one it began with. */
    uint32_t flags;   /* 0 */
    const struct kedge_step_def *steps;
    size_t n_steps;
    size_t step_size;   /* sizeof(struct kedge_step_def), as the program was compiled */
    const char *result; /* the step whose value is the run's; NULL: the last in the table */
    void *user;
};
#define KEDGE_REACTOR_DEF_INIT(name, version, steps)                                               \
    {                                                                                              \
        sizeof(struct kedge_reactor_def), (name), (version), 0, (steps),                           \
            sizeof(steps) / sizeof((steps)[0]), sizeof(struct kedge_step_def), NULL, NULL          \
    }

struct kedge_reactor;

/*
 * Check a definition and copy it: everything but the functions and the user pointers, so that it
 * may be static, on the stack or built at run time.  Any thread.  *REACTOR is the caller's, to be
 * given to kedge_reactor_free(); a worker keeps its own hold of it.
 *
 * ERR_INVALID: duplicate or unknown names, a step without a function, cycles, bad values; one
 * sentence that names the reactor and the step.  ERR_NOMEM.
 */
KEDGE_API int kedge_reactor_new(const struct kedge_reactor_def *def, struct kedge_reactor **reactor,
                                struct kedge_error *err);
KEDGE_API void kedge_reactor_free(struct kedge_reactor *reactor); /* NULL is fine */

KEDGE_API const char *kedge_reactor_name(const struct kedge_reactor *reactor);
KEDGE_API uint32_t kedge_reactor_version(const struct kedge_reactor *reactor);

/* -------------------------------------------------------- what a step sees */

#define KEDGE_ACTION_RUN        UINT32_C(1)
#define KEDGE_ACTION_COMPENSATE UINT32_C(2)
#define KEDGE_ACTION_UNDO       UINT32_C(3)

/* An earlier execution of this action may have taken effect, wholly or in part: its worker died,
   or was told to stop waiting, before the outcome was recorded. */
#define KEDGE_STEP_IN_DOUBT UINT32_C(1)

/* Valid, with all it points to, until the step has its outcome. */
struct kedge_view {
    size_t struct_size;
    const char *reactor;
    const char *step;
    uint32_t version;
    uint32_t action;  /* KEDGE_ACTION_... */
    uint32_t attempt; /* 1, 2, ...; snoozes and recoveries do not count */
    uint32_t flags;   /* KEDGE_STEP_IN_DOUBT */
    /*
     * Rises with every change of the run's holder.  Whoever guards its effects with it (accept
     * nothing below the highest seen) is safe from a worker that was paused and comes back.
     */
    uint64_t fence;
    int64_t deadline_us;        /* CLOCK_MONOTONIC, when its timeout is over; 0: none */
    struct kedge_bytes run;     /* the run's id */
    struct kedge_bytes input;   /* JSON, as it was given at the start */
    struct kedge_bytes context; /* the opaque bytes given at the start */
    /*
     * The same text (under 64 characters, no NUL) in every attempt and after every recovery of this
     * action of this step of this run, and no other: to be handed to whoever can tell a
     * repetition by it.
     */
    struct kedge_bytes key;
};

KEDGE_API const struct kedge_view *kedge_step_view(const struct kedge_step *step);

/*
 * The value of step NAME, which this one comes after (in compensate and undo also: its own).
 * Borrowed as the view is.  NOT_FOUND: it was skipped, so it has no value; ERR_INVALID: it is not
 * one of those named in `after'.
 */
KEDGE_API int kedge_step_result(const struct kedge_step *step, const char *name,
                                struct kedge_bytes *value, struct kedge_error *err);

/*
 * Has it been asked to stop: 1 or 0?  By a failure elsewhere in the run, a request to cancel it,
 * the end of its time, or the end of the worker. A step that heeds it ends with whatever outcome is
 * true, for instance kedge_fail(step, 0, "stopped").  Any thread.
 */
KEDGE_API int kedge_step_stopping(const struct kedge_step *step);

/*
 * The same as a file descriptor that becomes readable; for poll and the like, not to be read from
 * or closed.  Valid until the step has its outcome.  -1 and errno when there are no descriptors.
 */
KEDGE_API int kedge_step_stop_fd(struct kedge_step *step);

/* -------------------------------------------------------- what a step says */

/*
 * VALUE is JSON (see value.h) and is copied; kedge_ok(step, NULL, 0) says null.  The step is done;
 * its record becomes durable next, and then those that come after it start.  A value that is not
 * JSON, or is larger than the store takes (limit.value_max less 4 KiB), fails the step for good, as
 * its effect has happened.
 */
KEDGE_API int kedge_ok(struct kedge_step *step, const void *value, size_t len);

/* There was nothing to do.  It counts as done, has no value, and is never undone.  REASON (copied,
   may be NULL) is for people. */
KEDGE_API int kedge_skip(struct kedge_step *step, const char *reason);

/* Do not try again, whatever the retry policy says. */
#define KEDGE_FAIL_FINAL UINT32_C(1)

/* It did not work.  MESSAGE (copied; the first KB or so is kept) is for people. */
KEDGE_API int kedge_fail(struct kedge_step *step, uint32_t flags, const char *message);

/* End the run here, cleanly and without undo.  REASON is for people. */
KEDGE_API int kedge_halt(struct kedge_step *step, const char *reason);

/* Not now: come again in DELAY_US (>= 0).  Spends no attempt. */
KEDGE_API int kedge_snooze(struct kedge_step *step, int64_t delay_us);

/*
 * The outcome comes later, from any thread, through kedge_settle() with this token; the step holds
 * no thread until then.  The step and its view stay valid until it is settled, or its time is over,
 * or its run has gone from here; of the last two nobody is told, so whoever settles it later has
 * his own copy of what he needs.
 */
KEDGE_API int kedge_later(struct kedge_step *step, uint64_t *token);

enum kedge_outcome_kind {
    KEDGE_OUTCOME_OK = 1,
    KEDGE_OUTCOME_SKIP = 2,
    KEDGE_OUTCOME_FAIL = 3,
    KEDGE_OUTCOME_HALT = 4,
    KEDGE_OUTCOME_SNOOZE = 5
};
struct kedge_outcome {
    size_t struct_size;
    uint32_t kind;            /* enum kedge_outcome_kind */
    uint32_t flags;           /* FAIL: KEDGE_FAIL_FINAL */
    struct kedge_bytes value; /* OK */
    const char *text;         /* FAIL, HALT */
    int64_t delay_us;         /* SNOOZE */
};

struct kedge_worker;

/*
 * The outcome of a step that said kedge_later(); any thread, also from inside the step's function.
 * All of it is copied.  OK: taken.  STALE: it has been settled before, its time is over, or its run
 * has gone elsewhere.  ERR_INVALID, ERR_NOMEM: not taken, say something else.
 */
KEDGE_API int kedge_settle(struct kedge_worker *worker, uint64_t token,
                           const struct kedge_outcome *outcome, struct kedge_error *err);

#ifdef __cplusplus
}
#endif

#endif
