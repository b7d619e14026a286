/*
 * judge.h - what may come of a run, told from what was executed of it alone
 *
 * The model behind kedge_test_enumerate().  It knows the graph of the steps, and hears of each
 * execution when it begins and when it ends, of deaths and of requests; it never looks at records,
 * and shares no code with the fold of the journal.  Whatever the run does that the promises of
 * reactor.h do not allow is a fault, in a sentence; the first one is kept.
 *
 * A life is the time of one worker.  What was said in an earlier life may be lost: it was recorded,
 * or it was not.  It counts as recorded when something happened since that needed the record.
 */
#ifndef KEDGE_SRC_JUDGE_H
#define KEDGE_SRC_JUDGE_H

#include <stdbool.h>

#include <kedge/run.h>

#include "reactor.h"

#define KEDGE_JUDGE_TEXT 160
#define KEDGE_JUDGE_WHY  512

/* How an execution ended. */
enum kedge_said {
    KEDGE_SAID_NOTHING = 0, /* there was none */
    KEDGE_SAID_BEGUN = 1,   /* it has not; its worker may have died in it */
    KEDGE_SAID_OK = 2,
    KEDGE_SAID_SKIP = 3,
    KEDGE_SAID_HALT = 4,
    KEDGE_SAID_FAILED = 5, /* for good */
    KEDGE_SAID_TRIED = 6,  /* it failed, and is to be tried again */
    KEDGE_SAID_SNOOZED = 7
};

/* One action of one step, since the run was last taken up. */
struct kedge_deed {
    enum kedge_said last;
    bool in_doubt;
    uint32_t executed;
    uint32_t snoozed;
    uint32_t twice;
    uint32_t attempt;
    uint32_t life;
    uint64_t at;        /* when it ended, in executions */
    int64_t not_before; /* it was to come again then, by the store's clock; 0: nothing was said */
    char key[64];
    char old_key[64]; /* of the time before */
    char text[KEDGE_JUDGE_TEXT];
    uint32_t all; /* executions since the beginning */
    uint32_t all_ok;
};

enum kedge_judged { KEDGE_KEPT_NOT = 0, KEDGE_KEPT = 1, KEDGE_KEPT_MAYBE = 2 };

struct kedge_judge {
    const struct kedge_reactor *reactor;
    uint32_t n;
    bool in_turn;           /* steps are executed one after the other, by one thread */
    unsigned char *follows; /* follows[a * n + b]: b comes after a, at whatever distance */
    struct kedge_deed *deeds;
    unsigned char *kept; /* by a retry: enum kedge_judged */
    uint64_t clock;
    int64_t now; /* by the store's clock; set by who calls */
    uint32_t life;
    uint32_t back;  /* executions on the way back */
    uint32_t kills; /* KEDGE_ACTION_...: an execution of it always kills its worker */
    bool rests;
    bool paused;
    bool undoing;   /* an undo of the finished run was asked for */
    bool cancelled; /* for certain */
    bool maybe_cancelled;
    bool stopped;        /* by a pause or a cancel, which may come while steps are under way */
    uint64_t stopped_at; /* in executions */
    char why[KEDGE_JUDGE_WHY];
};

/* NULL: no memory. */
struct kedge_judge *kedge_judge_new(const struct kedge_reactor *reactor, bool in_turn);
void kedge_judge_free(struct kedge_judge *j); /* NULL is fine */
/* A new run. */
void kedge_judge_begin(struct kedge_judge *j);

/* Are there two steps of which neither comes after the other? */
bool kedge_judge_parallel(const struct kedge_judge *j);

struct kedge_deed *kedge_judge_deed(const struct kedge_judge *j, uint32_t step, uint32_t action);

/* The first fault is kept. */
void kedge_judge_fault(struct kedge_judge *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void kedge_judge_started(struct kedge_judge *j, uint32_t step, const struct kedge_view *view);
/* The same execution is made to take place once more. */
void kedge_judge_twice(struct kedge_judge *j, uint32_t step, uint32_t action);
void kedge_judge_ended(struct kedge_judge *j, uint32_t step, uint32_t action, enum kedge_said said,
                       struct kedge_bytes text);

/* That failure was for good because there are no more attempts. */
void kedge_judge_last(struct kedge_judge *j, uint32_t step, uint32_t action);

void kedge_judge_died(struct kedge_judge *j);
/* VERB was asked for with that answer (a status); PENDING: its holder has yet to take it up. */
void kedge_judge_asked(struct kedge_judge *j, uint32_t verb, int answer, bool pending);

/* The worker says so: it is durable. */
void kedge_judge_took_up(struct kedge_judge *j, uint32_t verb);

/* The run is at rest.  STATES: enum kedge_step_state of each step.  USUAL: how it ends when no
   worker dies, 0: that is what is being found out. */
void kedge_judge_rest(struct kedge_judge *j, const struct kedge_run_info *info,
                      const uint32_t *states, uint32_t usual);

#endif
