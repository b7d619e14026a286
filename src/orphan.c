/*
 * orphan.c - functions of steps that go on although their run has gone on without them
 *
 * A function that overran its time, or whose run was lost, is not ended from outside.  Until it has
 * returned, nothing that it could meddle with starts in this process, whichever worker has the run
 * by then; so there is one list for all of them, with a lock of its own, which is taken last.
 */
#include <config.h>

#include <string.h>

#include "worker.h"

static pthread_mutex_t orphans_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kedge_step *orphans;
static atomic_uint n_orphans; /* most often 0, which is all that has to be known */
static pthread_once_t forget_once = PTHREAD_ONCE_INIT;

/* In a child none of them goes on. */
static void forget(void)
{
    (void)pthread_mutex_init(&orphans_lock, NULL);
    orphans = NULL;
    atomic_store(&n_orphans, 0);
}

static void forget_in_children(void)
{
    (void)pthread_atfork(NULL, NULL, forget);
}

/* No two runs of a store are alike in it; of several stores, at the worst one waits for another. */
static bool is_run(const struct kedge_inflight *a, const struct kedge_inflight *b)
{
    return a->incarnation == b->incarnation && a->id.len == b->id.len &&
           memcmp(a->id.data, b->id.data, a->id.len) == 0;
}

void kedge_orphan_add(struct kedge_step *step, int64_t patience)
{
    atomic_store(&step->late, true);
    step->orphan = true;
    (void)pthread_once(&forget_once, forget_in_children);
    (void)pthread_mutex_lock(&orphans_lock);
    step->patience = patience;
    step->orphan_next = orphans;
    orphans = step;
    atomic_fetch_add(&n_orphans, 1);
    (void)pthread_mutex_unlock(&orphans_lock);
}

/* What has waited for it here may go on; other workers find out when they try again. */
void kedge_orphan_returns(struct kedge_worker *w, struct kedge_step *step)
{
    struct kedge_step **at = &orphans;

    (void)pthread_mutex_lock(&orphans_lock);
    while (*at != step)
        at = &(*at)->orphan_next;
    *at = step->orphan_next;
    atomic_fetch_sub(&n_orphans, 1);
    (void)pthread_mutex_unlock(&orphans_lock);
    step->orphan = false;
    for (struct kedge_inflight *run = w->runs; run != NULL; run = run->next) {
        if (is_run(run, step->run))
            kedge_inflight_timer(w, run, kedge_worker_now(w));
    }
}

bool kedge_orphan_in_the_way(const struct kedge_inflight *run, const struct kedge_action *action,
                             const struct kedge_worker *w, int64_t *patience)
{
    bool found = false;

    if (atomic_load(&n_orphans) == 0)
        return false;
    (void)pthread_mutex_lock(&orphans_lock);
    for (const struct kedge_step *step = orphans; step != NULL && !found;
         step = step->orphan_next) {
        found = is_run(step->run, run) &&
                (step->index == action->step || action->action != KEDGE_ACTION_RUN);
        if (found) /* another worker's clock says nothing here */
            *patience = step->worker == w ? step->patience : 0;
    }
    (void)pthread_mutex_unlock(&orphans_lock);
    return found;
}
