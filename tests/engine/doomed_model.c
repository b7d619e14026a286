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
 *   M7  The run ends as its plan says.  Each step ends as what was executed of it says: what is
 *       done is undone, what may have been done is compensated, in doubt; what could not be undone,
 *       and what that came after, stays.
 *   M8  What was asked for, and answered OK, is not lost: nothing starts once a cancel is left with
 *       the run or on record, nothing goes on after a pause before somebody resumes it.  A run that
 *       ends in the very phase in which it is asked may be faster.
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

/* As it was seen; but a step that is delayed on its way back is what it was before. */
static struct seen_step before_back[PHASES_MOST + 1][STEPS_MOST];

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

/* Attempts of its undo or compensate; do they end badly? */
static uint32_t back_attempts(const struct plan *plan)
{
    return plan->attempts > 0 ? plan->attempts : 1;
}

static int stays(const struct plan *plan)
{
    return plan->back_fails >= back_attempts(plan);
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
    return &before_back[phase][step];
}

/* A plan that waits on its way back never does so forward. */
static void see(void)
{
    int stop = stopper();

    for (int p = 0; p <= h->phases; p++) {
        for (int i = 0; i < saga_steps(saga); i++) {
            const struct plan *plan = &saga->steps[i];
            struct seen_step *s = &before_back[p][i];

            *s = h->at[p][run].steps[i];
            if (s->state != KEDGE_STEP_DELAYED || plan->back_fails + plan->back_snoozes == 0)
                continue;
            s->state = i == stop ? KEDGE_STEP_FAILED : KEDGE_STEP_DONE;
            s->back = 1 + s->failures;
            s->failures = 0;
        }
    }
}

/* Has RUN, or the way back, its last word on record? */
static int ended(int phase, int step, uint32_t action)
{
    uint32_t state = seen(phase, step)->state;

    switch (action) {
    case RUN:
        return state >= KEDGE_STEP_DONE;
    case UNDO:
        return state == KEDGE_STEP_UNDONE || state == KEDGE_STEP_UNDO_FAILED ||
               state == KEDGE_STEP_LEFT;
    default:
        return state == KEDGE_STEP_COMPENSATED || state == KEDGE_STEP_UNDO_FAILED ||
               state == KEDGE_STEP_LEFT;
    }
}

static int free_to_go(int phase, int step)
{
    for (int i = 0; saga->steps[step].after[i] != NULL; i++) {
        uint32_t state = seen(phase, saga_find(saga, saga->steps[step].after[i]))->state;

        if (state != KEDGE_STEP_DONE && state != KEDGE_STEP_SKIPPED && state != KEDGE_STEP_UNDONE &&
            state != KEDGE_STEP_UNDO_FAILED)
            return 0;
    }
    return 1;
}

/* Has it been done, and is it not taken back? */
static int standing(int phase, int step)
{
    return saga->steps[step].undo && seen(phase, step)->state == KEDGE_STEP_DONE;
}

static int executed(int step, uint32_t action)
{
    int n = 0;

    for (size_t i = 0; i < h->n_effects; i++)
        n += h->effects[i].run == run && h->effects[i].step == step &&
             h->effects[i].action == action;
    return n;
}

static int was_done(int step)
{
    for (int p = 0; p <= h->phases; p++) {
        uint32_t state = seen(p, step)->state;

        if (state == KEDGE_STEP_DONE || state == KEDGE_STEP_UNDONE ||
            (state == KEDGE_STEP_UNDO_FAILED && executed(step, UNDO) > 0))
            return 1;
    }
    return 0;
}

static int ever_held(int phase)
{
    if (h->buried && phase == h->phases - 1)
        return 1;
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

/* Failures, or a snooze, of the way back that are on record between the two. */
static int back_recorded(const struct plan *plan, const struct seen_step *from,
                         const struct seen_step *to)
{
    if (plan->back_snoozes > 0)
        return to->back > 0 && from->back == 0;
    return to->back > 0 ? (int)(to->back - (from->back > 0 ? from->back : 1)) : 0;
}

/* Of N executions in PHASE, how many left no record? */
static int unrecorded(int step, uint32_t action, int phase, int n)
{
    const struct seen_step *from = seen(phase, step);
    const struct seen_step *to = seen(phase + 1, step);
    int recorded;

    if (n == 0 || ended(phase + 1, step, action)) /* nothing comes before it that is not there */
        return 0;
    recorded = action == RUN ? (int)(to->failures - from->failures)
                             : back_recorded(&saga->steps[step], from, to);
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

/* M2 and M6 on the way back. */
static int check_back_attempts(int step, int phase, const struct effect **e, int n)
{
    const struct plan *plan = &saga->steps[step];
    const struct seen_step *from = seen(phase, step);
    uint32_t failures = from->back > 0 ? from->back - 1 : 0;

    for (int i = 0; i < n; i++) {
        uint32_t due = failures + 1 + (plan->back_snoozes > 0 ? 0 : (uint32_t)i);
        int64_t since = i > 0 ? e[i - 1]->at : from->time;
        int64_t wait = plan->back_snoozes > 0 ? PAUSE_US : PAUSE_US << (due > 1 ? due - 2 : 0);

        if (e[i]->attempt != due || due > back_attempts(plan))
            return wrong(step, phase, "attempt %u to take it back, but %u of %u is due",
                         (unsigned)e[i]->attempt, (unsigned)due, (unsigned)back_attempts(plan));
        if ((i > 0 || from->back > 0) && h->same_clock && e[i]->at < since + wait)
            return wrong(step, phase, "taken back %lld us before its time",
                         (long long)(since + wait - e[i]->at));
    }
    return 1;
}

/* Why may the run be on its way back in PHASE?  NULL: it may. */
static const char *not_back(int phase)
{
    int stop = stopper();

    if (stop >= 0 && end_of(&saga->steps[stop]) == KEDGE_OUTCOME_FAIL)
        return seen(phase + 1, stop)->state < KEDGE_STEP_FAILED ? "the failure is not on record"
                                                                : NULL;
    if (saga->verb != KEDGE_VERB_CANCEL && saga->verb != KEDGE_VERB_UNDO)
        return "nothing failed";
    return h->at[phase + 1][run].status != KEDGE_ROLLING_BACK &&
                   h->at[phase + 1][run].status != KEDGE_CANCELLED
               ? "no request is on record"
               : NULL;
}

/* M1 on the way back: what was done later is taken back before.  What is compensated, and has not
   failed, was in flight when a worker died. */
static int check_back(int step, uint32_t action, int phase, const struct effect **e, int n)
{
    const struct plan *plan = &saga->steps[step];
    const char *why;

    if (n == 0)
        return 1;
    why = not_back(phase);
    if (why != NULL)
        return wrong(step, phase, "taken back, though %s", why);
    if (action == COMPENSATE && step != stopper() && (e[0]->flags & KEDGE_STEP_IN_DOUBT) == 0)
        return wrong(step, phase, "compensated without a doubt, though it has not failed");
    if (!check_back_attempts(step, phase, e, n))
        return 0;
    if (!(action == UNDO ? plan->undo : plan->compensate) || (action == UNDO && !was_done(step)))
        return wrong(step, phase, "taken back, though it was not done");
    for (int other = 0; other < saga_steps(saga) && action == UNDO; other++)
        if (comes_after(other, step) &&
            (standing(phase + 1, other) || seen(phase + 1, other)->state == KEDGE_STEP_UNDO_FAILED))
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
        if (!(action == RUN ? check_runs(step, phase, e, n)
                            : check_back(step, action, phase, e, n)))
            return 0;
        if (lost < 0 || lost > (phase < h->phases - 1 ? 1 : 0))
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

            if (a->action >= ASKED || b->action >= ASKED)
                continue;
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

/* -- the way back, when it has been gone -- */

static uint32_t last_state(int step)
{
    return seen(h->phases, step)->state;
}

/* Does something that came after it stand, as it could not be undone? */
static int in_the_way(int step)
{
    for (int other = 0; other < saga_steps(saga); other++)
        if (comes_after(other, step) && last_state(other) == KEDGE_STEP_UNDO_FAILED)
            return 1;
    return 0;
}

/* May it end so, by what was executed of it?  One that never ran may look as if it had, to those
   who found its worker dead. */
static int fits(int step, uint32_t state)
{
    const struct plan *plan = &saga->steps[step];
    uint32_t first = seen(0, step)->state;
    int stop = stopper();
    int undone = plan->undo && executed(step, UNDO) > 0;
    int compensated = plan->compensate && executed(step, COMPENSATE) > 0;

    switch (state) {
    case KEDGE_STEP_DONE:
        return was_done(step) && (!plan->undo || in_the_way(step));
    case KEDGE_STEP_SKIPPED:
        return end_of(plan) == KEDGE_OUTCOME_SKIP;
    case KEDGE_STEP_FAILED:
        return step == stop && !plan->compensate;
    case KEDGE_STEP_UNDONE:
        return first == state || (undone && !stays(plan) && step != stop);
    case KEDGE_STEP_COMPENSATED:
        return first == state ||
               (compensated && !stays(plan) && (step == stop || ever_held(h->phases - 1)));
    case KEDGE_STEP_UNDO_FAILED:
        return (first == state || undone || compensated) && stays(plan);
    case KEDGE_STEP_LEFT:
        return first == state;
    case 0: /* the store has never seen the reactor */
        return first == 0 && saga->verb == KEDGE_VERB_CANCEL && h->n_effects == 0;
    case KEDGE_STEP_DROPPED:
        return executed(step, RUN) == 0 && !was_done(step) && step != stop &&
               (stop < 0 || !comes_after(stop, step));
    default:
        return 0;
    }
}

static int stuck(void)
{
    for (int i = 0; i < saga_steps(saga); i++)
        if (last_state(i) == KEDGE_STEP_UNDO_FAILED)
            return i + 1;
    return 0;
}

/* -- M8 -- */

/* The first that was asked for VERB and has OK for an answer, or EXISTS, as the one before did not
   live to tell; -1: nobody. */
static int asked(uint32_t verb)
{
    for (size_t i = 0; i < h->n_effects; i++) {
        const struct effect *e = &h->effects[i];

        if (e->run == run && e->action == ASKED + verb &&
            (e->attempt == KEDGE_OK || e->attempt == KEDGE_EXISTS))
            return (int)i;
    }
    return -1;
}

/* Has anybody gone to ask, and perhaps not lived to tell? */
static int asking(uint32_t verb)
{
    for (size_t i = 0; i < h->n_effects; i++)
        if (h->effects[i].run == run && h->effects[i].action == ASKED + verb)
            return 1;
    return 0;
}

/* Between two phases: is a cancel left with the run, or on record? */
static int cancel_seen(void)
{
    for (int p = 1; p < h->phases; p++)
        if (h->at[p][run].status == KEDGE_ROLLING_BACK || h->at[p][run].requests != 0)
            return 1;
    return 0;
}

/* Was it unfinished after the phase in which it was asked? */
static int lived_on(int asked_at)
{
    int phase = asked_at >= 0 ? h->effects[asked_at].phase : h->phases;

    return phase < h->phases && h->at[phase + 1][run].place != KEDGE_PLACE_REST;
}

/* Nothing runs that starts after the journal, or what lies beside it, has the request. */
static int check_nothing_starts(void)
{
    for (size_t i = 0; i < h->n_effects; i++) {
        const struct effect *e = &h->effects[i];
        const struct seen_run *at = &h->at[e->phase][run];

        if (e->run == run && e->action == RUN &&
            (at->status == KEDGE_ROLLING_BACK || (saga->verb == KEDGE_VERB_CANCEL && at->requests)))
            return wrong(e->step, e->phase, "it runs, though the run was cancelled before");
    }
    return 1;
}

/* A phase that begins with a pause does nothing before it ends. */
static int check_pause(void)
{
    int from = asked(KEDGE_VERB_PAUSE);
    int resumed[PHASES_MOST] = { 0 };
    int n = 0;

    for (size_t i = 0; i < h->n_effects; i++) {
        const struct effect *e = &h->effects[i];
        const struct seen_run *at = &h->at[e->phase][run];

        if (e->action == ASKED + KEDGE_VERB_RESUME) {
            if (e->attempt != KEDGE_OK)
                return wrong(-1, e->phase, "resume answers %d", (int)e->attempt);
            resumed[e->phase] = 1;
            n++;
        } else if (e->action == RUN && !resumed[e->phase] &&
                   (at->status == KEDGE_PAUSED || at->requests != 0)) {
            return wrong(e->step, e->phase, "it runs, though the run is paused");
        }
    }
    if (lived_on(from) && n == 0)
        return wrong(-1, h->phases, "its pause was lost");
    return 1;
}

static int check_asked(void)
{
    for (size_t i = 0; i < h->n_effects; i++) {
        const struct effect *e = &h->effects[i];
        int answer = (int)e->attempt;

        if (e->run == run && e->action == ASKED + saga->verb && answer != KEDGE_OK &&
            answer != KEDGE_EXISTS && answer != ASKING)
            return wrong(e->step, e->phase, "%s answers %s", kedge_verb_text(saga->verb),
                         kedge_status_name(answer));
    }
    return saga->verb != KEDGE_VERB_PAUSE || check_pause();
}

/* ------------------------------------------------------------------- its end */

static uint32_t due_status(void)
{
    int stop = stopper();
    int cancel = asked(KEDGE_VERB_CANCEL);

    if (saga->due != 0)
        return saga->due;
    if (stop >= 0 && end_of(&saga->steps[stop]) == KEDGE_OUTCOME_HALT)
        return KEDGE_HALTED;
    for (int i = 0; i < saga_steps(saga) && stop >= 0; i++)
        if (stays(&saga->steps[i]) && last_state(i) == KEDGE_STEP_UNDO_FAILED)
            return KEDGE_STUCK;
    if (stop >= 0)
        return KEDGE_FAILED;
    if (!asking(KEDGE_VERB_CANCEL))
        return KEDGE_COMPLETED;
    if (lived_on(cancel) || cancel_seen())
        return KEDGE_CANCELLED;
    /* The one or the other was faster, or the request was not made. */
    return h->at[h->phases][run].status == KEDGE_CANCELLED ? KEDGE_CANCELLED : KEDGE_COMPLETED;
}

static void due_texts(uint32_t status, char *result, char *error, const char **step)
{
    char text[4096];
    int last = saga_steps(saga) - 1;
    int at = status == KEDGE_STUCK ? stuck() - 1 : stopper();

    result[0] = error[0] = '\0';
    *step = "";
    if (status == KEDGE_COMPLETED) {
        if (end_of(&saga->steps[last]) != KEDGE_OUTCOME_OK)
            return;
        (void)value_of(last, text, sizeof text);
        (void)snprintf(result, DOOMED_TEXT, "\"%s\"%*s", text, saga->pad, "");
    } else if (status == KEDGE_CANCELLED || status == KEDGE_ABORTED) {
        (void)snprintf(error, 128, ASKED_WHY);
    } else if (at >= 0) {
        *step = saga->steps[at].name;
        if (status == KEDGE_STUCK)
            back_error(&saga->steps[at], back_attempts(&saga->steps[at]), error, 128);
        else
            error_of(&saga->steps[at], error, 128);
    }
}

static int check_status(void)
{
    uint32_t status = h->at[h->phases][run].status;
    uint32_t due = due_status();
    char result[DOOMED_TEXT];
    char error[128];
    const char *step;

    if (status != due)
        return wrong(-1, h->phases, "it is %s, not %s", kedge_run_status_text(status),
                     kedge_run_status_text(due));
    due_texts(due, result, error, &step);
    if (strcmp(h->result[run], result) != 0)
        return wrong(-1, h->phases, "its result is %.100s, not %.100s", h->result[run], result);
    if (strcmp(h->error[run], error) != 0 || strcmp(h->error_step[run], step) != 0)
        return wrong(-1, h->phases, "its error is '%s' of '%s', not '%s' of '%s'", h->error[run],
                     h->error_step[run], error, step);
    return 1;
}

/* Where a step must stand at the end of a run that goes no way back. */
static int due_forward(int step)
{
    const struct plan *plan = &saga->steps[step];
    int stop = stopper();

    if (stop >= 0 && comes_after(step, stop))
        return KEDGE_STEP_DROPPED;
    switch (end_of(plan)) {
    case KEDGE_OUTCOME_SKIP:
        return KEDGE_STEP_SKIPPED;
    case KEDGE_OUTCOME_HALT:
        return KEDGE_STEP_HALTED;
    default:
        return KEDGE_STEP_DONE;
    }
}

static int check_end(int step)
{
    uint32_t status = h->at[h->phases][run].status;
    uint32_t state = last_state(step);
    uint32_t due = (uint32_t)due_forward(step);

    if (status == KEDGE_COMPLETED || status == KEDGE_HALTED) {
        if (state != due)
            return wrong(step, h->phases, "it is %s, not %s", kedge_step_state_text(state),
                         kedge_step_state_text(due));
    } else if (!fits(step, state)) {
        return wrong(step, h->phases, "it is %s after %d runs, %d compensates and %d undos",
                     kedge_step_state_text(state), executed(step, RUN), executed(step, COMPENSATE),
                     executed(step, UNDO));
    }
    return 1;
}

const char *model_fault(const struct saga *of, const struct history *history, int number)
{
    int good;

    saga = of;
    h = history;
    run = number;
    see();
    good = check_status() && check_keys() && check_recoveries() && check_nothing_starts() &&
           check_asked();
    for (int step = 0; step < saga_steps(saga) && good; step++) {
        good = check_action(step, RUN) && check_action(step, COMPENSATE) &&
               check_action(step, UNDO) && check_end(step);
    }
    return good ? NULL : fault;
}
