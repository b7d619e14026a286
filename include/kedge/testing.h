/*
 * testing.h - for tests of your own sagas: a store whose clock you move, death on demand, and
 * kedge_test_enumerate(), which tries everything that can happen to a run
 *
 *      struct kedge_testing *t;
 *      struct kedge_store *store;
 *
 *      kedge_testing_open(NULL, &t, &err);            a store in memory, with a manual clock
 *      kedge_testing_store(t, &store, &err);
 *      ... start runs, open a worker on it, kedge_worker_drain() ...
 *      kedge_testing_advance(t, 60 * 1000000);        a minute of backoff passes in no time
 *      ... drain again ...
 *
 * Death: a handle made by kedge_testing_doomed() works like the other until its K-th store call;
 * from then on each call answers ERR_UNAVAILABLE, as seen from a process that died there.  Close
 * the worker that was on it, open another on a healthy handle, advance the clock past the lease:
 * what the saga does next is what it does after a crash at that point.  For every K from 1 until
 * kedge_testing_dead() says 0 is every crash point there is.
 *
 * A real death: with KEDGE_TESTING_KILL the process itself is killed at that call, as by kill -9.
 * That is for a child process on a store that outlives it, "lmdb:/path" for instance; fork before
 * kedge_testing_open(), as no store survives a fork.  For every K from 1 until the child ends by
 * itself is every crash point then.
 *
 * Threads: a handle made here is a store like any other; the functions below may be called by any
 * thread.  All handles are closed by kedge_store_close() before kedge_testing_close(), and what was
 * read through them is freed before.
 */
#ifndef KEDGE_TESTING_H
#define KEDGE_TESTING_H

#include <kedge/base.h>
#include <kedge/reactor.h>
#include <kedge/run.h>
#include <kedge/store.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kedge_testing;

/* URL: NULL is a memory store of its own with a manual clock; any other store runs on its own
   clock, where kedge_testing_advance() is ERR_UNSUPPORTED. */
KEDGE_API int kedge_testing_open(const char *url, struct kedge_testing **testing,
                                 struct kedge_error *err);
KEDGE_API void kedge_testing_close(struct kedge_testing *testing); /* NULL is fine */

/* A handle on it.  The caller's, for kedge_store_close(). */
KEDGE_API int kedge_testing_store(struct kedge_testing *testing, struct kedge_store **store,
                                  struct kedge_error *err);

/*
 * The clock: wall and lease time move together.  It begins at a fixed time.  Delays, leases, step
 * timeouts and run deadlines go by it, and workers notice at once when it is moved; what a worker
 * waits for in real time (the timeouts of calls, drain, close), and a step's view's deadline_us,
 * which is for real timers, do not.
 */
KEDGE_API int64_t kedge_testing_now(const struct kedge_testing *testing);
KEDGE_API int kedge_testing_advance(struct kedge_testing *testing, int64_t us,
                                    struct kedge_error *err);

#define KEDGE_TESTING_BEFORE UINT32_C(0) /* the K-th call does not reach the store */
#define KEDGE_TESTING_AFTER  UINT32_C(1) /* it does, and its answer is not seen */
/* With one of them: SIGKILL for this process, before the K-th call reaches the store, or after the
   store has carried it out. */
#define KEDGE_TESTING_KILL UINT32_C(2)

/*
 * A handle that dies at its K-th call (K >= 1, counted over all calls that may write: commits,
 * claims, grants, extensions, revocations, burials, locks, purges).  A batch of commits is one.
 * WHEN: BEFORE or AFTER, or'ed with KILL or not.
 */
KEDGE_API int kedge_testing_doomed(struct kedge_testing *testing, uint64_t k, uint32_t when,
                                   struct kedge_store **store, struct kedge_error *err);

/* Has it died: 1 or 0?  And its writing calls so far. */
KEDGE_API int kedge_testing_dead(const struct kedge_store *doomed);
KEDGE_API uint64_t kedge_testing_calls(const struct kedge_store *doomed);

/* ------------------------------------------------- everything that can happen to a run */

/*
 * Your own reactor, and whatever can happen to one run of it, one after the other: each in a fresh
 * store in memory with a manual clock, so that hours of backoff take no time.
 *
 *      static void begin(void *ctx, const char *text) { money_in = money_back = 0; }
 *
 *      static int check(void *ctx, const struct kedge_test_end *end, char *why, size_t size)
 *      {
 *          if (end->info->status != KEDGE_FAILED || money_in == money_back)
 *              return 0;
 *          snprintf(why, size, "%d was taken, and %d given back", money_in, money_back);
 *          return 1;
 *      }
 *
 *      struct kedge_test_plan plan = KEDGE_TEST_PLAN_INIT(&def, begin, check);
 *      struct kedge_test_report report = KEDGE_TEST_REPORT_INIT;
 *
 *      if (kedge_test_enumerate(&plan, &report, &err) == KEDGE_EXISTS)
 *          printf("%s: %s\n", report.found, report.why);
 *
 * What happens: nothing; each step in turn fails for good, after its function was called; in each
 * rollback each compensate and undo in turn does; each action is executed twice; each kills its
 * worker whenever it is executed; cancel, and pause with resume, at each call of the store; undo
 * after the end, retry after the failure.  In each of these the worker dies at each call of the
 * store, before and after its effect, and another goes on.
 *
 * What may come of it is decided by a model, from what was executed alone: the promises of
 * reactor.h, and that no death changes how the run ends.  Then your CHECK is asked.  The first case
 * in which either fails is the counter-example.  Its text, as plan.only, is tried alone.
 *
 * The functions of your steps are called as by a worker, but one after the other, by the thread
 * that called this, also those with KEDGE_STEP_POOL; so they need no locks, and a case runs the
 * same way each time.  From its death on a worker executes nothing.  They must not say
 * kedge_later(): ERR_UNSUPPORTED.  They may look at a world of yours, which BEGIN makes anew.
 */

#define KEDGE_TEST_CRASHES       UINT32_C(1)
#define KEDGE_TEST_FAILURES      UINT32_C(2)
#define KEDGE_TEST_UNDO_FAILURES UINT32_C(4) /* in rollbacks, which the others lead to */
#define KEDGE_TEST_TWICE         UINT32_C(8)
#define KEDGE_TEST_REQUESTS      UINT32_C(16)
#define KEDGE_TEST_CRASH_LOOPS   UINT32_C(32)
#define KEDGE_TEST_ALL           UINT32_C(63)

/* Pool steps run on threads of the pool, as they do in earnest, at the same time. Then what happens
   in a case may differ from one time to the next. */
#define KEDGE_TEST_THREADS UINT32_C(1)
/* The death of a worker may change how the run ends: functions may answer otherwise when they are
   executed again, because of what they find in the world then.  Without this flag that is taken for
   what it mostly is, an action that cannot be repeated. */
#define KEDGE_TEST_MAY_DIFFER UINT32_C(2)

/* What became of one action of a step. */
struct kedge_test_action {
    uint32_t executed; /* how often its function was called */
    uint32_t
        succeeded; /* how many of these calls said that it is done, and were not made to fail */
    uint32_t last; /* enum kedge_outcome_kind of the last; 0: none, or its worker died in it */
    uint32_t reserved;
};

struct kedge_test_step {
    const char *name;
    uint32_t state; /* enum kedge_step_state, as the store has it */
    uint32_t reserved;
    struct kedge_test_action run;
    struct kedge_test_action compensate;
    struct kedge_test_action undo;
};

/* How a case ended.  Valid during the call. */
struct kedge_test_end {
    size_t struct_size;
    const char *text;                    /* the case */
    const struct kedge_run_info *info;   /* with its result, or error */
    const struct kedge_test_step *steps; /* in the table's order */
    size_t n_steps;
    size_t step_size; /* of an element of steps, as the library was compiled */
    uint32_t deaths;  /* of workers */
    uint32_t reserved;
};

/* Before each case: make your world anew.  TEXT is the case, for a log, say. */
typedef void kedge_test_begin_fn(void *ctx, const char *text);
/* Does your invariant hold?  0: yes; else WHY, of SIZE bytes, is a sentence (or left empty). */
typedef int kedge_test_check_fn(void *ctx, const struct kedge_test_end *end, char *why,
                                size_t size);

/* Begin with KEDGE_TEST_PLAN_INIT. */
struct kedge_test_plan {
    size_t struct_size;
    const struct kedge_reactor_def *def;
    struct kedge_bytes input;   /* JSON; no bytes: null */
    struct kedge_bytes context; /* as at a start */
    uint32_t what;              /* KEDGE_TEST_CRASHES ...; 0: all of it */
    uint32_t flags;             /* KEDGE_TEST_THREADS, KEDGE_TEST_MAY_DIFFER */
    /*
     * About so many cases at most; 0: all there are.  What is too much is left out evenly: of the
     * moments for deaths and for requests only each report.stride-th is tried.
     */
    uint64_t limit;
    kedge_test_begin_fn *begin; /* NULL: none */
    kedge_test_check_fn *check; /* NULL: the model alone */
    void *ctx;
    const char *only; /* the text of the one case to try, "plain" for nothing special; NULL: all */
};
#define KEDGE_TEST_PLAN_INIT(def, begin, check)                                                    \
    {                                                                                              \
        sizeof(struct kedge_test_plan), (def), { NULL, 0 }, { NULL, 0 }, 0, 0, 0, (begin),         \
            (check), NULL, NULL                                                                    \
    }

#define KEDGE_TEST_TEXT_SIZE 1536

struct kedge_test_report {
    size_t struct_size;
    uint64_t cases;
    uint64_t scenarios; /* of these, those in which no worker dies by itself */
    uint64_t deaths;
    uint64_t stride;   /* 1: nothing was left out */
    uint64_t left_out; /* about so many cases were */
    /* "fail=charge undo-fails=reserve twice=undo:charge request=cancel:7 crash=after:12" */
    char found[KEDGE_TEST_TEXT_SIZE];
    char why[KEDGE_ERRMSG_MAX];
};
#define KEDGE_TEST_REPORT_INIT                                                                     \
    {                                                                                              \
        sizeof(struct kedge_test_report), 0, 0, 0, 0, 0, "", ""                                    \
    }

/*
 * OK: all cases held.  EXISTS: one did not, the report has it.  REPORT may be NULL.
 * ERR_INVALID: the plan, or its reactor, makes no sense; or a step of the reactor said
 * kedge_later(): ERR_UNSUPPORTED.  ERR_NOMEM, ERR_UNAVAILABLE: no resources; nothing is known.
 */
KEDGE_API int kedge_test_enumerate(const struct kedge_test_plan *plan,
                                   struct kedge_test_report *report, struct kedge_error *err);

#ifdef __cplusplus
}
#endif

#endif
