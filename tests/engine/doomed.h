/*
 * doomed.h - sagas as plans, what was seen of them, and the model that judges it
 *
 * A run is seen in phases: phase P goes from the start, or the death of worker P - 1, to the death
 * of worker P, or the end.  Between two phases nobody is there and the journal is read.
 */
#ifndef KEDGE_TESTS_DOOMED_H
#define KEDGE_TESTS_DOOMED_H

#include <stddef.h>
#include <stdint.h>

#include <kedge/kedge.h>

#define DOOMED_TEXT 65536 /* room for a value with its padding */

enum { STEPS_MOST = 9, AFTER_MOST = 4, RUNS_MOST = 8, PHASES_MOST = 3 };

#define PAUSE_US                                                                                   \
    INT64_C(2000) /* of a snooze, and before the second attempt; then twice that, ... */

/* What a step is going to say: snoozes, then failures, then its end. */
struct plan {
    const char *name; /* NULL closes a table */
    const char *after[AFTER_MOST + 1];
    uint32_t snoozes;  /* at most 1, and then no failures */
    uint32_t fails;    /* attempts that fail before its end */
    uint32_t attempts; /* of its retry policy; 0: 1 */
    uint32_t end;      /* enum kedge_outcome_kind; 0: OK.  FAIL is for good. */
    uint32_t flags;    /* KEDGE_STEP_POOL */
    int undo;          /* it has one */
    int compensate;
    uint32_t back_fails;   /* attempts of either that fail; for good if its policy has no more */
    uint32_t back_snoozes; /* at most 1, and then no failures, forward or back */
};

/*
 * One entry of the enumeration.  What is asked for from a step is asked each time its run is
 * executed, through a handle that does not die; whoever finds the run paused resumes it.
 */
struct saga {
    const char *name;
    struct plan steps[STEPS_MOST + 1]; /* each after those it comes after */
    int runs;                          /* started together; 0: 1 */
    int deaths;                        /* one worker after the other; 0: 1 */
    int pad;                           /* blanks behind each value */
    uint32_t flags;                    /* of all steps */
    uint32_t verb;                     /* enum kedge_verb that is asked; 0: none */
    const char *in;                    /* by this step; NULL: between its rounds, see below */
    int heeds;                         /* that step then waits until it is told to stop */
    uint32_t due;                      /* enum kedge_run_status, if not what the plans say */
};

extern const struct saga sagas[]; /* closed by one without a name */

int saga_steps(const struct saga *saga);
int saga_runs(const struct saga *saga);
int saga_deaths(const struct saga *saga);
int saga_find(const struct saga *saga, const char *name); /* index of a step */
struct kedge_reactor *saga_reactor(const struct saga *saga, const char *name);
void saga_run_id(int run, char id[16]);
int saga_run_number(struct kedge_bytes id);

/* ----------------------------------------------------------------- effects */

/* One execution of a step's function, written before its outcome is told.  Never across a page: a
   kill could tear it. */
struct effect {
    int32_t run;
    int32_t step;
    uint32_t action;
    uint32_t attempt;
    uint32_t flags;
    int32_t phase;
    uint64_t fence;
    int64_t at; /* the store's wall clock, nearly */
    char key[64];
    char unused[24];
};
_Static_assert(4096 % sizeof(struct effect) == 0, "an effect lies in one page");

void effects_open(void); /* once; processes forked later share the file */
void effects_forget(void);
size_t effects_read(struct effect *to, size_t most);

/* What people do is logged as well: as action ASKED + the verb, with the answer as the attempt.
   Whoever asks while others may die first says that it is ASKING. */
enum { ASKED = 100, ASKING = 9999 };
void effect_asked(int run, int step, uint64_t fence, uint32_t verb, int answer);

extern int the_phase;
extern int64_t (*the_clock)(void);
extern int (*the_asker)(int run, uint32_t verb);
extern int (*the_end)(void); /* is the worker cut off? */
#define ASKED_WHY "somebody wants it so"

/* ------------------------------------------------------------------- model */

struct seen_step {
    uint32_t state; /* enum kedge_step_state; 0: nothing is known */
    uint32_t failures;
    uint32_t back; /* the model's: it is delayed on the way back, and was so often tried */
    int64_t time;  /* of its last record */
};

struct seen_run {
    uint32_t status; /* 0: there is no such run */
    uint32_t place;
    uint32_t requests;
    uint64_t records;
    struct seen_step steps[STEPS_MOST];
};

struct history {
    int phases;
    struct seen_run at[PHASES_MOST + 1][RUNS_MOST]; /* at the start of each phase, and at the end */
    uint32_t recovered[RUNS_MOST]; /* recoveries that were charged in the last phase */
    char result[RUNS_MOST][65536];
    char error[RUNS_MOST][128];
    char error_step[RUNS_MOST][32];
    struct effect effects[4096];
    size_t n_effects;
    int buried;     /* the run was held by a dead worker, before the last phase */
    int same_clock; /* effects and the store have one clock */
};

/* What went wrong with a step of a run going back, as its error. */
void back_error(const struct plan *plan, uint32_t attempt, char *to, size_t size);

/* What is wrong with a run; NULL: nothing.  Valid until the next call. */
const char *model_fault(const struct saga *saga, const struct history *h, int run);

#endif
