/*
 * doomed_model.c - what must be true of a saga whose workers died: of each phase, and at the end
 *
 * Knows plans, the journal as it was between the phases, and the log of effects.  It shares nothing
 * with the engine.
 *
 *   M1  A step starts only when the records of all it comes after are durable.
 *   M2  What is on record does not happen again; what is not, goes on with the attempt that is due.
 *   M3  In a phase at most one execution of a step leaves no record: the one in flight at the
 *       death.  In the last phase none does.
 *   M4  From then on the step is in doubt, and is told so in every attempt until it has ended; a
 *       step that cannot have been started is not.  The key is the same, and no other step's.
 *   M5  Fences rise from phase to phase.  A recovery is charged if a dead worker held the run.
 *   M6  A step that waits is not started before its time, death or not.
 *   M7  The run ends as its plan says.
 */
#include "doomed.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RUN        KEDGE_ACTION_RUN
#define COMPENSATE KEDGE_ACTION_COMPENSATE
#define UNDO       KEDGE_ACTION_UNDO

/* What is being judged. */
static const struct saga *saga;
static const struct history *h;
static int run;

static char fault[512];

static int wrong(int step, int phase, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int wrong(int step, int phase, const char *fmt, ...)
{
    va_list args;
    int n = snprintf(fault, sizeof fault, "run %d step %s phase %d: ", run,
                     step >= 0 ? saga->steps[step].name : "-", phase);

    va_start(args, fmt);
    (void)vsnprintf(fault + n, sizeof fault - (size_t)n, fmt, args);
    va_end(args);
    return 0;
}

/* ------------------------------------------------------------- one plan's end */

static uint32_t end_of(const struct plan *plan)
{
    if (plan->fails > 0 && plan->fails >= plan->attempts)
        return KEDGE_OUTCOME_FAIL;
    return plan->end != 0 ? plan->end : KEDGE_OUTCOME_OK;
}

static uint32_t last_attempt(const struct plan *plan)
{
    return plan->fails > 0 && plan->fails >= plan->attempts ? plan->fails : plan->fails + 1;
}

static int comes_after(int step, int other)
{
    for (int i = 0; saga->steps[step].after[i] != NULL; i++) {
        int direct = saga_find(saga, saga->steps[step].after[i]);

        if (direct == other || comes_after(direct, other))
            return 1;
    }
    return 0;
}

/* The step that ends the run before its time; -1: none.  There is one at most in a plan. */
static int stopper(void)
{
    for (int i = 0; i < saga_steps(saga); i++) {
        uint32_t end = end_of(&saga->steps[i]);

        if (end == KEDGE_OUTCOME_FAIL || end == KEDGE_OUTCOME_HALT)
            return i;
    }
    return -1;
}

/* --------------------------------------------------------- what was on record */

static const struct seen_step *seen(int phase, int step)
{
    return &h->at[phase][run].steps[step];
}

/* Has RUN, or the way back, its last word on record? */
static int ended(int phase, int step, uint32_t action)
{
    uint32_t state = seen(phase, step)->state;

    switch (action) {
    case RUN:
        return state >= KEDGE_STEP_DONE;
    case UNDO:
        return state == KEDGE_STEP_UNDONE;
    default:
        return state == KEDGE_STEP_COMPENSATED;
    }
}

static int free_to_go(int phase, int step)
{
    for (int i = 0; saga->steps[step].after[i] != NULL; i++) {
        uint32_t state = seen(phase, saga_find(saga, saga->steps[step].after[i]))->state;

        if (state != KEDGE_STEP_DONE && state != KEDGE_STEP_SKIPPED && state != KEDGE_STEP_UNDONE)
            return 0;
    }
    return 1;
}

/* Has it been done, and is it not taken back? */
static int standing(int phase, int step)
{
    return saga->steps[step].undo && seen(phase, step)->state == KEDGE_STEP_DONE;
}

static int was_done(int step)
{
    for (int p = 0; p <= h->phases; p++)
        if (seen(p, step)->state == KEDGE_STEP_DONE || seen(p, step)->state == KEDGE_STEP_UNDONE)
            return 1;
    return 0;
}

static int ever_held(int phase)
{
    for (int p = 1; p <= phase; p++)
        if (h->at[p][run].place == KEDGE_PLACE_HELD)
            return 1;
    return 0;
}

/* Executions of one action of one step in one phase, in order. */
static int executions(int step, uint32_t action, int phase, const struct effect **out, int most)
{
    int n = 0;

    for (size_t i = 0; i < h->n_effects && n < most; i++) {
        const struct effect *e = &h->effects[i];

        if (e->run == run && e->step == step && e->action == action && e->phase == phase)
            out[n++] = e;
    }
    return n;
}

/* ----------------------------------------------------------- one step, phase */

/* Of N executions in PHASE, how many left no record? */
static int unrecorded(int step, uint32_t action, int phase, int n)
{
    const struct seen_step *from = seen(phase, step);
    const struct seen_step *to = seen(phase + 1, step);
    int recorded;

    if (n == 0 || ended(phase + 1, step, action)) /* nothing comes before it that is not there */
        return 0;
    recorded = action == RUN ? (int)(to->failures - from->failures) : 0;
    if (action == RUN && saga->steps[step].snoozes > 0)
        recorded = to->state == KEDGE_STEP_DELAYED && from->state != KEDGE_STEP_DELAYED;
    return n - recorded;
}

/* How long it waits after so many failures, or its snooze. */
static int64_t wait_of(const struct plan *plan, uint32_t failures)
{
    return plan->snoozes > 0 ? PAUSE_US : PAUSE_US << (failures - 1);
}

/* M1, M2 and M6 of a step that runs. */
static int check_runs(int step, int phase, const struct effect **e, int n)
{
    const struct plan *plan = &saga->steps[step];
    const struct seen_step *from = seen(phase, step);

    if (n > 0 && !free_to_go(phase + 1, step))
        return wrong(step, phase, "it started before the record of one it comes after");
    for (int i = 0; i < n; i++) {
        uint32_t due = from->failures + 1 + (plan->snoozes > 0 ? 0 : (uint32_t)i);

        if (e[i]->attempt != due)
            return wrong(step, phase, "attempt %u, but %u is due", (unsigned)e[i]->attempt,
                         (unsigned)due);
        if (due > last_attempt(plan))
            return wrong(step, phase, "attempt %u of %u", (unsigned)due,
                         (unsigned)last_attempt(plan));
    }
    for (int i = 0; i < n && h->same_clock; i++) {
        int64_t since = i > 0 ? e[i - 1]->at : from->time;
        int64_t wait = i > 0 || from->state == KEDGE_STEP_DELAYED
                           ? wait_of(plan, from->failures + (uint32_t)i)
                           : 0;

        if (wait > 0 && e[i]->at < since + wait)
            return wrong(step, phase, "%lld us before its time",
                         (long long)(since + wait - e[i]->at));
    }
    return 1;
}

/* M1 and M2 on the way back: what was done later is taken back before. */
static int check_back(int step, uint32_t action, int phase, int n)
{
    const struct plan *plan = &saga->steps[step];
    int stop = stopper();

    if (n == 0)
        return 1;
    if (stop < 0 || end_of(&saga->steps[stop]) != KEDGE_OUTCOME_FAIL)
        return wrong(step, phase, "taken back, though nothing failed");
    if (seen(phase + 1, stop)->state < KEDGE_STEP_FAILED)
        return wrong(step, phase, "taken back before the failure is on record");
    if (!(action == UNDO ? plan->undo : plan->compensate) || (action == UNDO && !was_done(step)))
        return wrong(step, phase, "taken back, though it was not done");
    for (int other = 0; other < saga_steps(saga) && action == UNDO; other++)
        if (comes_after(other, step) && standing(phase + 1, other))
            return wrong(step, phase, "taken back before %s", saga->steps[other].name);
    return 1;
}

/* M4, of the executions in one phase.  OWED: one before it has no record. */
static int check_doubt(int step, int phase, const struct effect **e, int n, int owed)
{
    for (int i = 0; i < n; i++) {
        int doubt = (e[i]->flags & KEDGE_STEP_IN_DOUBT) != 0;

        if (owed && !doubt)
            return wrong(step, phase, "it is in doubt and was not told");
        if (doubt && (phase == 0 || !ever_held(phase)))
            return wrong(step, phase, "told of a doubt, though no worker died with it");
        if (doubt && e[i]->action == RUN && !free_to_go(phase, step))
            return wrong(step, phase, "told of a doubt, though it cannot have been started");
    }
    return 1;
}

static int check_action(int step, uint32_t action)
{
    int owed = 0;

    for (int phase = 0; phase < h->phases; phase++) {
        const struct effect *e[64];
        int n = executions(step, action, phase, e, 64);
        int lost = unrecorded(step, action, phase, n);

        if (n > 0 && ended(phase, step, action))
            return wrong(step, phase, "it happened again, though it was on record");
        if (!(action == RUN ? check_runs(step, phase, e, n) : check_back(step, action, phase, n)))
            return 0;
        if (lost < 0 || lost > (phase < h->phases - 1))
            return wrong(step, phase, "%d of %d executions without a record", lost, n);
        if (!check_doubt(step, phase, e, n, owed))
            return 0;
        owed |= lost > 0;
    }
    return 1;
}

/* ------------------------------------------------------------------ the run */

static int same_thing(const struct effect *a, const struct effect *b)
{
    return a->run == b->run && a->step == b->step && a->action == b->action;
}

/* M4 and M5: keys, and fences. */
static int check_keys(void)
{
    for (size_t i = 0; i < h->n_effects; i++) {
        const struct effect *a = &h->effects[i];

        for (size_t j = 0; j < i && a->run == run; j++) {
            const struct effect *b = &h->effects[j];

            if ((strcmp(a->key, b->key) == 0) != same_thing(a, b))
                return wrong(a->step, a->phase, "its key is '%s', and that of %s '%s'", a->key,
                             saga->steps[b->step].name, b->key);
            if (b->run == run && (a->phase > b->phase ? a->fence <= b->fence : a->fence < b->fence))
                return wrong(a->step, a->phase, "fence %llu comes after %llu",
                             (unsigned long long)a->fence, (unsigned long long)b->fence);
        }
    }
    return 1;
}

static int check_recoveries(void)
{
    uint32_t due = h->at[h->phases - 1][run].place == KEDGE_PLACE_HELD;

    if (h->recovered[run] != due)
        return wrong(-1, h->phases - 1, "%u recoveries, not %u", (unsigned)h->recovered[run],
                     (unsigned)due);
    return 1;
}

/* The value of a step, by the plan. */
static size_t value_of(int step, char *to, size_t size)
{
    const struct plan *plan = &saga->steps[step];
    size_t n;

    if (end_of(plan) != KEDGE_OUTCOME_OK)
        return (size_t)snprintf(to, size, "-");
    n = (size_t)snprintf(to, size, "%s(", plan->name);
    if (plan->after[0] == NULL)
        n += (size_t)snprintf(to + n, size - n, "%d", run);
    for (int i = 0; plan->after[i] != NULL; i++) {
        if (i > 0)
            to[n++] = ',';
        n += value_of(saga_find(saga, plan->after[i]), to + n, size - n);
    }
    return n + (size_t)snprintf(to + n, size - n, ")");
}

static void error_of(const struct plan *plan, char *to, size_t size)
{
    if (end_of(plan) == KEDGE_OUTCOME_HALT)
        (void)snprintf(to, size, "halted");
    else if (plan->end == KEDGE_OUTCOME_FAIL)
        (void)snprintf(to, size, "failed for good");
    else
        (void)snprintf(to, size, "%s failed, attempt %u", plan->name, (unsigned)plan->fails);
}

static int check_status(void)
{
    int stop = stopper();
    uint32_t status = h->at[h->phases][run].status;
    uint32_t due = KEDGE_COMPLETED;
    char result[8192] = "";
    char text[4096];

    if (stop >= 0) {
        due = end_of(&saga->steps[stop]) == KEDGE_OUTCOME_HALT ? KEDGE_HALTED : KEDGE_FAILED;
        error_of(&saga->steps[stop], text, sizeof text);
    } else if (end_of(&saga->steps[saga_steps(saga) - 1]) == KEDGE_OUTCOME_OK) {
        (void)value_of(saga_steps(saga) - 1, text, sizeof text);
        (void)snprintf(result, sizeof result, "\"%s\"%*s", text, saga->pad, "");
    }
    if (status != due)
        return wrong(-1, h->phases, "it is %s, not %s", kedge_run_status_text(status),
                     kedge_run_status_text(due));
    if (strcmp(h->result[run], result) != 0)
        return wrong(-1, h->phases, "its result is %.100s, not %.100s", h->result[run], result);
    if (strcmp(h->error[run], stop >= 0 ? text : "") != 0 ||
        strcmp(h->error_step[run], stop >= 0 ? saga->steps[stop].name : "") != 0)
        return wrong(-1, h->phases, "its error is '%s' of '%s'", h->error[run], h->error_step[run]);
    return 1;
}

/* Where a step must stand at the end.  Every step of a plan that stops comes before the one that
   stops it, or after. */
static int check_end(int step)
{
    const struct plan *plan = &saga->steps[step];
    int stop = stopper();
    uint32_t state = seen(h->phases, step)->state;
    uint32_t end = end_of(plan);
    int back = stop >= 0 && end_of(&saga->steps[stop]) == KEDGE_OUTCOME_FAIL;
    uint32_t due;

    if (stop >= 0 && comes_after(step, stop))
        due = KEDGE_STEP_DROPPED;
    else if (end == KEDGE_OUTCOME_SKIP)
        due = KEDGE_STEP_SKIPPED;
    else if (end == KEDGE_OUTCOME_HALT)
        due = KEDGE_STEP_HALTED;
    else if (end == KEDGE_OUTCOME_FAIL)
        due = plan->compensate ? KEDGE_STEP_COMPENSATED : KEDGE_STEP_FAILED;
    else
        due = back && plan->undo ? KEDGE_STEP_UNDONE : KEDGE_STEP_DONE;
    if (state != due)
        return wrong(step, h->phases, "it is %s, not %s", kedge_step_state_text(state),
                     kedge_step_state_text(due));
    return 1;
}

const char *model_fault(const struct saga *of, const struct history *history, int number)
{
    int good;

    saga = of;
    h = history;
    run = number;
    good = check_status() && check_keys() && check_recoveries();
    for (int step = 0; step < saga_steps(saga) && good; step++) {
        good = check_action(step, RUN) && check_action(step, COMPENSATE) &&
               check_action(step, UNDO) && check_end(step);
    }
    return good ? NULL : fault;
}
