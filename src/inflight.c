/*
 * inflight.c - a run in flight: from the claim that took it to the commit that lets it go
 *
 * Between commits a run is nothing but its progress, the steps in flight and the outcomes that
 * wait.  Everything that ends its stay here goes through one commit, which says where it goes:
 * take.c makes it from what the store has, item.c makes the commit, answer.c takes the store's
 * answer.
 */
#include <config.h>

#include "kassert.h"
#include "worker.h"

void kedge_inflight_dirty(struct kedge_worker *w, struct kedge_inflight *run)
{
    if (run->dirty || run->sending || run->gone)
        return;
    run->dirty = true;
    run->dirty_next = NULL;
    if (w->n_dirty == 0)
        w->dirty_since = kedge_moment_now(w);
    *w->dirty_end = run;
    w->dirty_end = &run->dirty_next;
    w->n_dirty++;
}

void kedge_inflight_timer(struct kedge_worker *w, struct kedge_inflight *run, int64_t at)
{
    run->wake_at = kedge_min64(run->wake_at, at);
    kedge_worker_timer(w, at);
}

/* ---------------------------------------------------------------- starting */

static void enqueue(struct kedge_worker *w, struct kedge_step *step)
{
    const struct kedge_reactor_step *def = &step->run->reactor->steps[step->index];
    bool pool = (def->flags & KEDGE_STEP_POOL) != 0;
    struct kedge_step ***end = pool ? &w->pool_end : &w->loop_end;

    if (pool)
        w->n_pool_queue++;
    step->next = NULL;
    **end = step;
    *end = &step->next;
}

/* Start what may start, but for what must wait until a function returns.  Answers when to let go of
   the run if it does not; INT64_MAX: nothing waits for one. */
static int64_t start_ready(struct kedge_worker *w, struct kedge_inflight *run, int64_t wall)
{
    uint32_t first = KEDGE_NO_STEP; /* that was given back: round once */
    int64_t patience = INT64_MAX;
    struct kedge_action action;

    while (!atomic_load(&w->stopping) && kedge_progress_take(run->progress, wall, &action)) {
        int64_t until = INT64_MAX;
        bool waits = kedge_orphan_in_the_way(run, &action, w, &until);
        struct kedge_step *step = waits ? NULL : kedge_step_new(run, &action, w);

        if (step != NULL) {
            enqueue(w, step);
            continue;
        }
        kedge_progress_give_back(run->progress, action.step);
        if (!waits) { /* no memory */
            kedge_inflight_timer(w, run, kedge_moment_now(w) + 1000000);
            break;
        }
        patience = kedge_min64(patience, until);
        if (action.step == first)
            break;
        if (first == KEDGE_NO_STEP)
            first = action.step;
    }
    return patience;
}

/* Past its deadline: a record will say so, once, and is waited for.  Answers whether it is. */
static bool note_overdue(struct kedge_worker *w, struct kedge_inflight *run, int64_t wall)
{
    struct kedge_out *out;
    struct kedge_rec rec;

    if (!kedge_progress_overdue(run->progress, wall, &rec))
        return false;
    if (run->overdue)
        return true;
    out = kedge_out_new(w, run, &rec);
    if (out == NULL) {
        kedge_inflight_timer(w, run, kedge_moment_now(w) + 1000000);
        return true;
    }
    run->overdue = true;
    *run->waiting_end = out;
    run->waiting_end = &out->next;
    return true;
}

/* What is past needs no timer: it has been seen to, or waits for something else. */
static void timer_after(struct kedge_worker *w, struct kedge_inflight *run, int64_t at, int64_t now)
{
    if (at > now && at != INT64_MAX)
        kedge_inflight_timer(w, run, at);
}

void kedge_inflight_timers(struct kedge_worker *w, struct kedge_inflight *run, int64_t wall)
{
    int64_t now = kedge_moment_now(w);
    int64_t next = kedge_progress_next_time(run->progress);

    if (next != INT64_MAX && next > wall)
        kedge_inflight_timer(w, run, now + (next - wall));
    timer_after(w, run, run->patience, now);
    if (run->hold_us > 0)
        timer_after(w, run, run->held_until - run->hold_us / 2 + 1, now);
    for (const struct kedge_step *step = run->steps; step != NULL; step = step->run_next) {
        if (!step->orphan && step->deadline != INT64_MAX)
            kedge_inflight_timer(w, run, step->deadline);
    }
}

void kedge_inflight_go_on(struct kedge_worker *w, struct kedge_inflight *run)
{
    int64_t wall = kedge_moment_wall(w);
    enum kedge_phase phase = kedge_progress_phase(run->progress);
    bool overdue;

    if (run->gone)
        return;
    if (phase == KEDGE_PHASE_STOPPING || phase == KEDGE_PHASE_HALTING)
        for (struct kedge_step *step = run->steps; step != NULL; step = step->run_next)
            kedge_step_tell_stop(step);
    overdue = note_overdue(w, run, wall);
    run->patience = INT64_MAX;
    if (!overdue && (run->requests | run->clear) == 0) /* else what is asked for comes first */
        run->patience = start_ready(w, run, wall);
    if (run->waiting != NULL || (kedge_progress_running(run->progress) == 0 && !run->sending))
        kedge_inflight_dirty(w, run);
    kedge_inflight_timers(w, run, wall);
}

void kedge_inflight_again(struct kedge_worker *w, struct kedge_inflight *run, uint32_t step)
{
    if (run->gone)
        return;
    kedge_progress_give_back(run->progress, step);
    kedge_inflight_timer(w, run, kedge_moment_now(w) + 1000000);
}

bool kedge_inflight_crowded(const struct kedge_worker *w, const struct kedge_inflight *run)
{
    if (run->sending || run->dirty || run->item.sealed || run->waiting != NULL ||
        run->item.n_records > 0 || kedge_progress_running(run->progress) == 0 ||
        !kedge_item_wants_hold(w, run))
        return false;
    for (const struct kedge_step *step = run->steps; step != NULL; step = step->run_next) {
        if (!step->orphan && (step->called || step->later))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------ the end here */

void kedge_inflight_unref(struct kedge_worker *w, struct kedge_inflight *run)
{
    const struct kedge_host *host = w->host;

    KEDGE_ASSERT(run->refs > 0);
    if (--run->refs > 0)
        return;
    kedge_progress_free(run->progress);
    kedge_buf_drop(host, run->input_buf);
    kedge_reactor_free(run->reactor);
    host->release(host->ctx, run->item.records);
    host->release(host->ctx, run);
}

void kedge_inflight_drop(struct kedge_worker *w, struct kedge_inflight *run)
{
    struct kedge_step *step;
    struct kedge_step *next;
    struct kedge_out *out;

    if (run->gone)
        return;
    run->gone = true;
    *run->prev = run->next;
    if (run->next != NULL)
        run->next->prev = run->prev;
    w->n_runs--;
    if (w->n_runs == 0 && (w->draining || atomic_load(&w->stopping)))
        kedge_worker_tell_loop(w);
    kedge_item_reset(w, &run->item);
    while ((out = run->waiting) != NULL) {
        run->waiting = out->next;
        kedge_out_free(w, out);
    }
    for (step = run->steps; step != NULL; step = next) {
        next = step->run_next;
        kedge_step_tell_stop(step);
        if (step->later && !step->called && atomic_load(&step->settled) == STEP_OPEN)
            kedge_step_free(w, step);
        else if (step->called && !step->orphan)
            kedge_orphan_add(step, 0);
    }
    if (!run->dirty)
        kedge_inflight_unref(w, run); /* else whoever finds it in the queue does */
}
