/* judge.c - what may come of a run */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/store.h>

#include "judge.h"
#include "kassert.h"

#define ACTIONS 3

static const char *const action_names[] = { "?", "run", "compensate", "undo" };

static const char *name_of(const struct kedge_judge *j, uint32_t step)
{
    return j->reactor->steps[step].name;
}

void kedge_judge_fault(struct kedge_judge *j, const char *fmt, ...)
{
    va_list ap;

    if (j->why[0] != '\0')
        return;
    va_start(ap, fmt);
    (void)vsnprintf(j->why, sizeof j->why, fmt, ap);
    va_end(ap);
}

struct kedge_deed *kedge_judge_deed(const struct kedge_judge *j, uint32_t step, uint32_t action)
{
    KEDGE_ASSERT(step < j->n && action >= KEDGE_ACTION_RUN && action <= KEDGE_ACTION_UNDO);
    return &j->deeds[step * ACTIONS + action - 1];
}

static const struct kedge_deed *ran(const struct kedge_judge *j, uint32_t step)
{
    return kedge_judge_deed(j, step, KEDGE_ACTION_RUN);
}

static bool follows(const struct kedge_judge *j, uint32_t step, uint32_t other)
{
    return j->follows[(size_t)step * j->n + other] != 0;
}

/* From each step along the edges, until nothing is new. */
static void find_followers(struct kedge_judge *j)
{
    bool more = true;

    while (more) {
        more = false;
        for (uint32_t i = 0; i < j->n; i++) {
            const struct kedge_reactor_step *def = &j->reactor->steps[i];

            for (uint32_t k = 0; k < def->n_after; k++) {
                for (uint32_t a = 0; a < j->n; a++) {
                    unsigned char *it = &j->follows[(size_t)a * j->n + i];

                    if (*it == 0 && (a == def->after[k] || follows(j, a, def->after[k]))) {
                        *it = 1;
                        more = true;
                    }
                }
            }
        }
    }
}

struct kedge_judge *kedge_judge_new(const struct kedge_reactor *reactor, bool in_turn)
{
    struct kedge_judge *j = calloc(1, sizeof *j);
    size_t n = reactor->n_steps;

    if (j == NULL)
        return NULL;
    j->reactor = reactor;
    j->n = reactor->n_steps;
    j->in_turn = in_turn;
    j->follows = calloc(n + 1, n + 1);
    j->deeds = calloc(n + 1, ACTIONS * sizeof *j->deeds);
    j->kept = calloc(n + 1, 1);
    if (j->follows == NULL || j->deeds == NULL || j->kept == NULL) {
        kedge_judge_free(j);
        return NULL;
    }
    find_followers(j);
    return j;
}

void kedge_judge_free(struct kedge_judge *j)
{
    if (j == NULL)
        return;
    free(j->follows);
    free(j->deeds);
    free(j->kept);
    free(j);
}

void kedge_judge_begin(struct kedge_judge *j)
{
    memset(j->deeds, 0, j->n * ACTIONS * sizeof *j->deeds);
    memset(j->kept, 0, j->n);
    j->clock = 0;
    j->life = 0;
    j->back = 0;
    j->kills = 0;
    j->rests = j->paused = j->undoing = j->cancelled = j->maybe_cancelled = j->stopped = false;
    j->stopped_at = 0;
    j->why[0] = '\0';
}

bool kedge_judge_parallel(const struct kedge_judge *j)
{
    for (uint32_t a = 0; a < j->n; a++) {
        for (uint32_t b = a + 1; b < j->n; b++) {
            if (!follows(j, a, b) && !follows(j, b, a))
                return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------- what is known */

static bool is_final(enum kedge_said said)
{
    return said >= KEDGE_SAID_OK && said <= KEDGE_SAID_FAILED;
}

/* Is it sure that the step's end was recorded, as something happened that needed it? */
static bool was_needed(const struct kedge_judge *j, uint32_t step)
{
    const struct kedge_deed *run = ran(j, step);

    if (kedge_judge_deed(j, step, KEDGE_ACTION_UNDO)->executed > 0)
        return true;
    for (uint32_t i = 0; i < j->n; i++) {
        if (follows(j, step, i) && ran(j, i)->executed > 0 && ran(j, i)->at > run->at)
            return true;
    }
    return false;
}

/* Its worker died since, and nobody can know whether it was recorded. */
static bool maybe_lost(const struct kedge_judge *j, uint32_t step)
{
    const struct kedge_deed *run = ran(j, step);

    return run->last != KEDGE_SAID_NOTHING && run->life < j->life && !was_needed(j, step);
}

static bool back_failed(const struct kedge_judge *j, uint32_t step)
{
    return kedge_judge_deed(j, step, KEDGE_ACTION_COMPENSATE)->last == KEDGE_SAID_FAILED ||
           kedge_judge_deed(j, step, KEDGE_ACTION_UNDO)->last == KEDGE_SAID_FAILED;
}

/* Could something that came after it, or itself, not be taken back? */
static bool is_blocked(const struct kedge_judge *j, uint32_t step)
{
    for (uint32_t i = 0; i < j->n; i++) {
        if ((i == step || follows(j, step, i)) && back_failed(j, i))
            return true;
    }
    return false;
}

/* ------------------------------------------------------ an execution: any action */

static bool same_key(const char *known, struct kedge_bytes key)
{
    return strlen(known) == key.len && memcmp(known, key.data, key.len) == 0;
}

static void check_key(struct kedge_judge *j, uint32_t step, const struct kedge_view *view)
{
    struct kedge_deed *d = kedge_judge_deed(j, step, view->action);

    if (view->key.len == 0 || view->key.len >= sizeof d->key) {
        kedge_judge_fault(j, "%s of '%s' has no idempotency key that could be one",
                          action_names[view->action], view->step);
        return;
    }
    if (d->key[0] != '\0') {
        if (!same_key(d->key, view->key))
            kedge_judge_fault(j, "%s of '%s' was executed again with another idempotency key",
                              action_names[view->action], view->step);
        return;
    }
    for (uint32_t i = 0; i < j->n * ACTIONS; i++) {
        if (same_key(j->deeds[i].key, view->key) || same_key(j->deeds[i].old_key, view->key))
            kedge_judge_fault(j, "%s of '%s' has the idempotency key of %s of '%s'",
                              action_names[view->action], view->step, action_names[i % ACTIONS + 1],
                              name_of(j, i / ACTIONS));
    }
    memcpy(d->key, view->key.data, view->key.len);
    d->key[view->key.len] = '\0';
}

static void check_attempt(struct kedge_judge *j, const struct kedge_deed *d,
                          const struct kedge_view *view, uint32_t attempts)
{
    uint32_t least = 1;
    uint32_t most = 1;

    if (d->last == KEDGE_SAID_TRIED) {
        most = d->attempt + 1;
        least = d->life < j->life ? d->attempt : most;
    } else if (d->last != KEDGE_SAID_NOTHING) {
        least = most = d->attempt;
    }
    /* After a death: if it was recorded, which the next attempt shows. */
    if ((d->life == j->life || view->attempt > d->attempt) && j->now < d->not_before)
        kedge_judge_fault(j, "%s of '%s' came %lld us before its time", action_names[view->action],
                          view->step, (long long)(d->not_before - j->now));
    if (view->attempt > attempts)
        kedge_judge_fault(j, "%s of '%s' began attempt %u of %u", action_names[view->action],
                          view->step, (unsigned)view->attempt, (unsigned)attempts);
    if (view->attempt < least || view->attempt > most)
        kedge_judge_fault(j, "%s of '%s' began attempt %u, where %u was to come",
                          action_names[view->action], view->step, (unsigned)view->attempt,
                          (unsigned)most);
}

/* Again: only what may have been lost, and with the flag that says so. */
static void check_again(struct kedge_judge *j, uint32_t step, const struct kedge_deed *d,
                        const struct kedge_view *view)
{
    bool doubt = (view->flags & KEDGE_STEP_IN_DOUBT) != 0;
    bool lost = d->life < j->life;
    bool repeated = is_final(d->last) || d->last == KEDGE_SAID_BEGUN ||
                    (d->last == KEDGE_SAID_TRIED && view->attempt == d->attempt);

    if (j->life == 0 && doubt)
        kedge_judge_fault(j, "%s of '%s' is in doubt, and no worker has died",
                          action_names[view->action], view->step);
    if (d->last == KEDGE_SAID_NOTHING)
        return;
    if (!lost && (is_final(d->last) || d->last == KEDGE_SAID_BEGUN))
        kedge_judge_fault(j, "%s of '%s' was executed again, though it had ended",
                          action_names[view->action], view->step);
    if (is_final(d->last) && view->action == KEDGE_ACTION_RUN && was_needed(j, step))
        kedge_judge_fault(j, "run of '%s' was executed again, though its record was durable",
                          view->step);
    if (lost && repeated && !doubt)
        kedge_judge_fault(j, "%s of '%s' was executed again without being in doubt",
                          action_names[view->action], view->step);
}

static void check_count(struct kedge_judge *j, const struct kedge_deed *d,
                        const struct kedge_view *view, uint32_t attempts)
{
    uint64_t most = (uint64_t)attempts + d->snoozed + d->twice + j->life;

    if (d->executed > most)
        kedge_judge_fault(j, "%s of '%s' was executed %u times, with %u attempts and %u deaths",
                          action_names[view->action], view->step, (unsigned)d->executed,
                          (unsigned)attempts, (unsigned)j->life);
}

/* ------------------------------------------------------- an execution: forward */

static bool is_done(const struct kedge_judge *j, uint32_t step)
{
    enum kedge_said last = ran(j, step)->last;

    return last == KEDGE_SAID_OK || last == KEDGE_SAID_SKIP || j->kept[step] != KEDGE_KEPT_NOT;
}

/* When the last of those it comes after ended: before that it cannot have been handed out. */
static uint64_t free_since(const struct kedge_judge *j, uint32_t step)
{
    const struct kedge_reactor_step *def = &j->reactor->steps[step];
    uint64_t at = 0;

    for (uint32_t k = 0; k < def->n_after; k++) {
        if (ran(j, def->after[k])->at > at)
            at = ran(j, def->after[k])->at;
    }
    return at;
}

/* After a failure or a halt only what was under way may still be executed. */
static void check_stopped(struct kedge_judge *j, uint32_t step)
{
    uint64_t since = free_since(j, step);

    for (uint32_t i = 0; i < j->n && j->in_turn; i++) {
        const struct kedge_deed *d = ran(j, i);

        if ((d->last == KEDGE_SAID_FAILED || d->last == KEDGE_SAID_HALT) && d->life == j->life &&
            d->at < since)
            kedge_judge_fault(j, "'%s' was started after '%s' had ended the way forward",
                              name_of(j, step), name_of(j, i));
    }
    if (j->in_turn && j->stopped && (since > j->stopped_at || ran(j, step)->at > j->stopped_at))
        kedge_judge_fault(j, "'%s' was started after the run had been asked to stop",
                          name_of(j, step));
}

static void check_run(struct kedge_judge *j, uint32_t step)
{
    const struct kedge_reactor_step *def = &j->reactor->steps[step];

    if (j->back > 0)
        kedge_judge_fault(j, "'%s' was run after the rollback had begun", def->name);
    if (j->cancelled)
        kedge_judge_fault(j, "'%s' was run after the run had been cancelled", def->name);
    if (j->kept[step] == KEDGE_KEPT)
        kedge_judge_fault(j, "'%s' was done, and was run again by a retry", def->name);
    for (uint32_t k = 0; k < def->n_after; k++) {
        if (!is_done(j, def->after[k]))
            kedge_judge_fault(j, "'%s' was run before '%s', which it comes after, was done",
                              def->name, name_of(j, def->after[k]));
    }
    check_stopped(j, step);
}

/* ---------------------------------------------------------- an execution: back */

/*
 * They come before all undos.  But whoever died in the first undo has left no record that the way
 * back had begun, and the next cannot know which steps were under way: all that were ready are
 * compensated, in doubt, and then the undo comes again.
 */
static void check_before_undos(struct kedge_judge *j, uint32_t step)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < j->n; i++) {
        const struct kedge_deed *undo = kedge_judge_deed(j, i, KEDGE_ACTION_UNDO);

        if (undo->executed > 0 && (++n > 1 || undo->life == j->life))
            kedge_judge_fault(j, "'%s' was compensated after '%s' had been undone",
                              name_of(j, step), name_of(j, i));
    }
}

static void check_compensate(struct kedge_judge *j, uint32_t step, bool doubt)
{
    const struct kedge_deed *run = ran(j, step);
    bool ended_well =
        run->last == KEDGE_SAID_OK || run->last == KEDGE_SAID_SKIP || run->last == KEDGE_SAID_HALT;

    if (run->last == KEDGE_SAID_NOTHING && !doubt)
        kedge_judge_fault(j, "'%s' was compensated, and had never begun", name_of(j, step));
    if (ended_well && !maybe_lost(j, step))
        kedge_judge_fault(j, "'%s' was compensated, and had come to a good end", name_of(j, step));
    check_before_undos(j, step);
}

/* In the table's order of ends, when that is known. */
static void check_newest(struct kedge_judge *j, uint32_t step)
{
    for (uint32_t i = 0; i < j->n && j->in_turn && j->life == 0; i++) {
        if (j->reactor->steps[i].undo != NULL && ran(j, i)->last == KEDGE_SAID_OK &&
            ran(j, i)->at > ran(j, step)->at && !is_blocked(j, i) &&
            kedge_judge_deed(j, i, KEDGE_ACTION_UNDO)->last != KEDGE_SAID_OK)
            kedge_judge_fault(j, "'%s' was undone before '%s', which is newer", name_of(j, step),
                              name_of(j, i));
    }
}

static void check_undo(struct kedge_judge *j, uint32_t step)
{
    const char *name = name_of(j, step);

    if (ran(j, step)->last != KEDGE_SAID_OK)
        kedge_judge_fault(j, "'%s' was undone, and was not done", name);
    for (uint32_t i = 0; i < j->n; i++) {
        if (follows(j, i, step) && kedge_judge_deed(j, i, KEDGE_ACTION_UNDO)->executed > 0)
            kedge_judge_fault(j, "'%s' was undone after '%s', which it came after", name,
                              name_of(j, i));
        if (follows(j, step, i) && back_failed(j, i))
            kedge_judge_fault(j, "'%s' was undone, though '%s', which came after it, could not be",
                              name, name_of(j, i));
    }
    check_newest(j, step);
}

/* ------------------------------------------------------------------ it happens */

void kedge_judge_started(struct kedge_judge *j, uint32_t step, const struct kedge_view *view)
{
    struct kedge_deed *d = kedge_judge_deed(j, step, view->action);
    uint32_t attempts = j->reactor->steps[step].retry.attempts;

    if (j->rests)
        kedge_judge_fault(j, "%s of '%s' was executed when the run had come to rest",
                          action_names[view->action], view->step);
    if (j->paused)
        kedge_judge_fault(j, "%s of '%s' was executed when the run was paused",
                          action_names[view->action], view->step);
    check_key(j, step, view);
    check_attempt(j, d, view, attempts);
    check_again(j, step, d, view);
    if (view->action == KEDGE_ACTION_RUN)
        check_run(j, step);
    else if (view->action == KEDGE_ACTION_COMPENSATE)
        check_compensate(j, step, (view->flags & KEDGE_STEP_IN_DOUBT) != 0);
    else
        check_undo(j, step);
    if (view->action != KEDGE_ACTION_RUN)
        j->back++;
    d->executed++;
    d->all++;
    d->not_before = 0;
    d->attempt = view->attempt;
    d->in_doubt = (view->flags & KEDGE_STEP_IN_DOUBT) != 0;
    d->last = KEDGE_SAID_BEGUN;
    d->life = j->life;
    d->at = ++j->clock;
    check_count(j, d, view, attempts);
}

void kedge_judge_twice(struct kedge_judge *j, uint32_t step, uint32_t action)
{
    struct kedge_deed *d = kedge_judge_deed(j, step, action);

    d->executed++;
    d->all++;
    d->twice++;
    d->in_doubt = true;
}

void kedge_judge_ended(struct kedge_judge *j, uint32_t step, uint32_t action, enum kedge_said said,
                       struct kedge_bytes text)
{
    struct kedge_deed *d = kedge_judge_deed(j, step, action);

    d->last = said;
    d->at = ++j->clock;
    if (said == KEDGE_SAID_SNOOZED)
        d->snoozed++;
    if (said == KEDGE_SAID_OK)
        d->all_ok++;
    (void)snprintf(d->text, sizeof d->text, "%.*s", (int)text.len,
                   text.len > 0 ? (const char *)text.data : "");
    if (said == KEDGE_SAID_TRIED && d->attempt >= j->reactor->steps[step].retry.attempts)
        kedge_judge_fault(j, "%s of '%s' is to be tried again after its last attempt",
                          action_names[action], name_of(j, step));
}

void kedge_judge_last(struct kedge_judge *j, uint32_t step, uint32_t action)
{
    const struct kedge_deed *d = kedge_judge_deed(j, step, action);
    uint32_t attempts = j->reactor->steps[step].retry.attempts;

    if (d->attempt < attempts)
        kedge_judge_fault(j, "%s of '%s' was given up after attempt %u of %u", action_names[action],
                          name_of(j, step), (unsigned)d->attempt, (unsigned)attempts);
}

void kedge_judge_died(struct kedge_judge *j)
{
    j->life++;
}

/* ------------------------------------------------------------------ requests */

static enum kedge_judged keep(const struct kedge_judge *j, uint32_t step)
{
    const struct kedge_reactor_step *def = &j->reactor->steps[step];
    enum kedge_judged kept = KEDGE_KEPT;

    if (!is_done(j, step) ||
        kedge_judge_deed(j, step, KEDGE_ACTION_UNDO)->last != KEDGE_SAID_NOTHING ||
        kedge_judge_deed(j, step, KEDGE_ACTION_COMPENSATE)->last != KEDGE_SAID_NOTHING)
        return KEDGE_KEPT_NOT;
    if (j->kept[step] == KEDGE_KEPT_MAYBE ||
        (j->kept[step] == KEDGE_KEPT_NOT && maybe_lost(j, step)))
        kept = KEDGE_KEPT_MAYBE;
    for (uint32_t k = 0; k < def->n_after; k++) {
        enum kedge_judged other = keep(j, def->after[k]);

        if (other == KEDGE_KEPT_NOT)
            return KEDGE_KEPT_NOT;
        if (other == KEDGE_KEPT_MAYBE)
            kept = KEDGE_KEPT_MAYBE;
    }
    return kept;
}

/* Forward again: what is done stays, all else is as if it had never been. */
static bool take_up(struct kedge_judge *j)
{
    unsigned char *kept = calloc(j->n + 1, 1);

    if (kept == NULL)
        return false;
    for (uint32_t i = 0; i < j->n; i++)
        kept[i] = (unsigned char)keep(j, i);
    memcpy(j->kept, kept, j->n);
    free(kept);
    for (uint32_t i = 0; i < j->n * ACTIONS; i++) {
        struct kedge_deed *d = &j->deeds[i];
        struct kedge_deed fresh = { .all = d->all, .all_ok = d->all_ok };

        memcpy(fresh.old_key, d->key[0] != '\0' ? d->key : d->old_key, sizeof fresh.old_key);
        *d = fresh;
    }
    j->back = 0;
    j->undoing = j->cancelled = j->maybe_cancelled = j->stopped = false;
    return true;
}

/* Whoever commits next is told, so that nothing starts that waited for that commit. */
static void stop(struct kedge_judge *j)
{
    if (!j->stopped)
        j->stopped_at = j->clock;
    j->stopped = true;
}

void kedge_judge_asked(struct kedge_judge *j, uint32_t verb, int answer, bool pending)
{
    if (answer != KEDGE_OK && answer != KEDGE_EXISTS && answer != KEDGE_STALE)
        kedge_judge_fault(j, "%s was answered with %s", kedge_verb_text(verb),
                          kedge_status_name(answer));
    if (answer != KEDGE_OK)
        return;
    switch (verb) {
    case KEDGE_VERB_CANCEL:
        j->cancelled |= !pending;
        j->maybe_cancelled = true;
        stop(j);
        break;
    case KEDGE_VERB_PAUSE:
        j->paused = !pending;
        stop(j);
        break;
    case KEDGE_VERB_RESUME:
        j->paused = j->stopped = false;
        break;
    case KEDGE_VERB_UNDO:
        j->rests = false;
        j->undoing = true;
        break;
    case KEDGE_VERB_RETRY:
        j->rests = false;
        if (!take_up(j))
            kedge_judge_fault(j, "out of memory");
        break;
    default:
        break;
    }
}

void kedge_judge_took_up(struct kedge_judge *j, uint32_t verb)
{
    if (verb == KEDGE_VERB_CANCEL)
        j->undoing = true;
}

/* --------------------------------------------------------- at rest: the status */

#define BIT(status) KEDGE_STATUS_BIT(KEDGE_##status)

static uint32_t may_end_as(const struct kedge_judge *j)
{
    bool killed = j->kills != 0 && j->life > 0; /* how far others were may keep it from its turn */
    bool failed = false;
    bool sure = false;
    bool halted = false;
    uint32_t may;

    for (uint32_t i = 0; i < j->n; i++) {
        enum kedge_said last = ran(j, i)->last;

        if (back_failed(j, i))
            return BIT(STUCK);
        failed |= last == KEDGE_SAID_FAILED;
        sure |= last == KEDGE_SAID_FAILED && !maybe_lost(j, i);
        halted |= last == KEDGE_SAID_HALT;
    }
    if (killed && j->kills != KEDGE_ACTION_RUN)
        return BIT(STUCK);
    if (j->undoing || j->cancelled)
        return BIT(CANCELLED);
    may = halted ? BIT(HALTED) : BIT(COMPLETED);
    if (failed || killed)
        may = sure || !halted ? BIT(FAILED) : BIT(FAILED) | BIT(HALTED);
    return j->maybe_cancelled ? may | BIT(CANCELLED) : may;
}

/* A death may lose what was said on a step that nobody comes back to; nothing else. */
static bool may_differ(const struct kedge_judge *j)
{
    for (uint32_t i = 0; i < j->n; i++) {
        if (ran(j, i)->last == KEDGE_SAID_HALT || maybe_lost(j, i))
            return true;
    }
    return j->maybe_cancelled;
}

/* How far others were when a step failed decides what is to be undone, and so what may get stuck.
 */
static bool is_as_usual(const struct kedge_judge *j, uint32_t status, uint32_t usual)
{
    uint32_t both = BIT(FAILED) | BIT(STUCK);

    if (status == usual)
        return true;
    return kedge_judge_parallel(j) && (both & KEDGE_STATUS_BIT(status)) != 0 &&
           (both & KEDGE_STATUS_BIT(usual)) != 0;
}

static void check_status(struct kedge_judge *j, const struct kedge_run_info *info, uint32_t usual)
{
    uint32_t may = may_end_as(j);

    if ((may & KEDGE_STATUS_BIT(info->status)) == 0)
        kedge_judge_fault(j, "it ended as %s, and nothing that happened leads to that",
                          kedge_run_status_text(info->status));
    if (usual != 0 && !is_as_usual(j, info->status, usual) && !may_differ(j))
        kedge_judge_fault(j, "it ended as %s; without the death of a worker it ends as %s",
                          kedge_run_status_text(info->status), kedge_run_status_text(usual));
    if (j->back > 0 && (info->status == KEDGE_COMPLETED || info->status == KEDGE_HALTED))
        kedge_judge_fault(j, "it ended as %s, and was rolled back",
                          kedge_run_status_text(info->status));
    for (uint32_t i = 0; i < j->n && info->status == KEDGE_COMPLETED; i++) {
        if (!is_done(j, i))
            kedge_judge_fault(j, "it ended as completed, and '%s' is not done", name_of(j, i));
    }
}

static bool begins_with(struct kedge_bytes text, const char *known)
{
    size_t len = strlen(known);

    return text.len >= len && memcmp(text.data, known, len) == 0;
}

/* The first failed step in the table's order. */
static void check_error(struct kedge_judge *j, const struct kedge_run_info *info)
{
    if (info->status != KEDGE_FAILED)
        return;
    for (uint32_t i = 0; i < j->n; i++) {
        const struct kedge_deed *d = ran(j, i);
        struct kedge_bytes name = kedge_text(name_of(j, i));

        if (d->last != KEDGE_SAID_FAILED)
            continue;
        if (name.len == info->error_step.len &&
            memcmp(name.data, info->error_step.data, name.len) == 0) {
            if (!begins_with(info->error, d->text))
                kedge_judge_fault(j, "the run's error is not what '%s' said: \"%s\"", name_of(j, i),
                                  d->text);
            return;
        }
        if (!maybe_lost(j, i)) {
            kedge_judge_fault(j, "the run's error is not that of '%s', the first that failed",
                              name_of(j, i));
            return;
        }
    }
    if (j->kills == 0 || !begins_with(info->error, "crash loop"))
        kedge_judge_fault(j, "the run failed with an error that no step has: \"%.*s\"",
                          (int)(info->error.len < 100 ? info->error.len : 100),
                          info->error.len > 0 ? (const char *)info->error.data : "");
}

/* ------------------------------------------------------ at rest: what is left */

/* Done: undone once, and successfully. */
static void check_undone(struct kedge_judge *j, uint32_t step)
{
    const struct kedge_reactor_step *def = &j->reactor->steps[step];
    bool undone = kedge_judge_deed(j, step, KEDGE_ACTION_UNDO)->last == KEDGE_SAID_OK;
    bool compensated = kedge_judge_deed(j, step, KEDGE_ACTION_COMPENSATE)->last == KEDGE_SAID_OK;

    if (is_blocked(j, step))
        return;
    if (!maybe_lost(j, step)) {
        if (def->undo != NULL && !undone)
            kedge_judge_fault(j, "'%s' is done, and was not undone", def->name);
    } else if (def->undo != NULL && def->compensate != NULL && !undone && !compensated) {
        kedge_judge_fault(j, "'%s' was neither undone nor compensated", def->name);
    }
}

/* Begun, and come to no good end. */
static void check_compensated(struct kedge_judge *j, uint32_t step)
{
    enum kedge_said last = kedge_judge_deed(j, step, KEDGE_ACTION_COMPENSATE)->last;

    if (j->reactor->steps[step].compensate != NULL && last != KEDGE_SAID_OK &&
        last != KEDGE_SAID_FAILED)
        kedge_judge_fault(j, "'%s' came to no good end, and was not compensated", name_of(j, step));
}

static void check_back(struct kedge_judge *j)
{
    for (uint32_t i = 0; i < j->n; i++) {
        enum kedge_said last = ran(j, i)->last;

        if (last == KEDGE_SAID_OK)
            check_undone(j, i);
        else if (last != KEDGE_SAID_NOTHING && last != KEDGE_SAID_SKIP && last != KEDGE_SAID_HALT)
            check_compensated(j, i);
    }
}

/* ------------------------------------------------- at rest: what the store says */

static bool fits(const struct kedge_judge *j, uint32_t step, uint32_t state)
{
    enum kedge_said run = ran(j, step)->last;
    const struct kedge_deed *undone = kedge_judge_deed(j, step, KEDGE_ACTION_UNDO);
    enum kedge_said undo = undone->last;
    enum kedge_said compensate = kedge_judge_deed(j, step, KEDGE_ACTION_COMPENSATE)->last;

    /* Nobody knows of it, and it was not to be repeated as something else went wrong since. */
    if (state == KEDGE_STEP_DONE && undone->life < j->life && is_blocked(j, step))
        return true;
    if (undo == KEDGE_SAID_OK)
        return state == KEDGE_STEP_UNDONE;
    if (compensate == KEDGE_SAID_OK)
        return state == KEDGE_STEP_COMPENSATED;
    if (undo == KEDGE_SAID_FAILED || compensate == KEDGE_SAID_FAILED)
        return state == KEDGE_STEP_UNDO_FAILED;
    switch (state) {
    case KEDGE_STEP_DONE:
        return run == KEDGE_SAID_OK || (run == KEDGE_SAID_NOTHING && j->kept[step] != 0);
    case KEDGE_STEP_SKIPPED:
        return run == KEDGE_SAID_SKIP || (run == KEDGE_SAID_NOTHING && j->kept[step] != 0);
    case KEDGE_STEP_HALTED:
        return run == KEDGE_SAID_HALT;
    case KEDGE_STEP_FAILED:
        return run == KEDGE_SAID_FAILED;
    case KEDGE_STEP_WAITING:
    case KEDGE_STEP_READY:
    case KEDGE_STEP_DELAYED:
    case KEDGE_STEP_DROPPED:
        return !is_final(run) || maybe_lost(j, step);
    default:
        return false;
    }
}

void kedge_judge_rest(struct kedge_judge *j, const struct kedge_run_info *info,
                      const uint32_t *states, uint32_t usual)
{
    j->rests = true;
    check_status(j, info, usual);
    check_error(j, info);
    if (info->status == KEDGE_FAILED || info->status == KEDGE_CANCELLED ||
        (info->status == KEDGE_STUCK && j->kills == 0))
        check_back(j);
    for (uint32_t i = 0; i < j->n; i++) {
        if (!fits(j, i, states[i]))
            kedge_judge_fault(j, "'%s' is %s in the store, which is not what became of it",
                              name_of(j, i), kedge_step_state_text(states[i]));
    }
}
