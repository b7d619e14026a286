/*
 * pool.c - the threads that run steps beside the loop, and how many of them it takes
 *
 * To wake a thread, and to pass the lock on to it, costs what a dozen short steps do.  So:
 *
 * P1  A thread that takes a step wakes another for what is behind it only if that is more than a
 *     little work, going by how long the functions of steps took lately.
 *
 * P2  That may be wrong of any step.  So while a thread runs steps, or drives, and others wait, a
 *     second one looks every WATCH_US whether a step was taken, and takes the next one itself if
 *     not.  Where nobody looks one is woken, whatever P1 says: no step waits for a function longer
 *     than twice that while there are threads left.
 *
 * P3  A thread that has nothing to run, or has gathered outcomes long enough, drives (drive.c).
 *     Before it runs a step that may take longer than that it leaves them to the loop; who watches
 *     sees to those of a step of which that was not known.
 */
#include <config.h>

#include <time.h>

#include "worker.h"

/* How long outcomes may wait while their thread goes on: with much to do, with little. */
#define SLICE_MUCH_US   INT64_C(150)
#define SLICE_LITTLE_US INT64_C(1000)
#define LITTLE_US       INT64_C(200) /* of work */
#define WATCH_US        INT64_C(1000)
#define UNKNOWN_US      INT64_C(1000) /* what a step takes, before any has ended; and at most */
#define WEIGHT          8             /* of what was known, next to one more step */

void kedge_pool_init(struct kedge_worker *w)
{
    w->pool_step_ns = UNKNOWN_US * 1000;
}

void kedge_pool_learn(struct kedge_worker *w, int64_t took_us)
{
    w->pool_step_ns += (kedge_min64(took_us, UNKNOWN_US) * 1000 - w->pool_step_ns) / WEIGHT;
}

static void *pool_main(void *worker);

void kedge_pool_wake(struct kedge_worker *w)
{
    if (w->waking || w->closing)
        return;
    if (w->pool_idle > 0) {
        w->waking = true;
        w->stats.hand_offs++;
        (void)pthread_cond_signal(&w->pool_cond);
    } else if (w->n_pool < w->options.pool_threads) {
        if (pthread_create(&w->pool[w->n_pool], NULL, pool_main, w) == 0) {
            w->n_pool++;
            w->waking = true;
            w->stats.hand_offs++;
        }
    }
}

struct kedge_step *kedge_pool_take(struct kedge_worker *w)
{
    struct kedge_step *step = w->pool_queue;

    w->pool_queue = step->next;
    if (w->pool_queue == NULL)
        w->pool_end = &w->pool_queue;
    w->n_pool_queue--;
    w->pool_taken++;
    return step;
}

static bool is_much(const struct kedge_worker *w)
{
    return w->n_pool_queue * w->pool_step_ns > LITTLE_US * 1000;
}

static bool should_drive(struct kedge_worker *w)
{
    if (!kedge_drive_wanted(w))
        return false;
    return w->pool_queue == NULL || w->n_dirty >= w->limits.batch_items ||
           kedge_worker_now(w) - w->dirty_since >= (is_much(w) ? SLICE_MUCH_US : SLICE_LITTLE_US);
}

/*
 * Wait to be called.  Who watches is also back when nobody calls; answers true if there was no
 * need for it.
 */
static bool rest(struct kedge_worker *w)
{
    uint64_t seen = w->pool_taken;
    bool alone = w->pool_idle + 1 == w->n_pool;
    bool watches = !alone && !w->pool_watched && seen != w->pool_seen;
    bool called;
    struct timespec until;

    w->pool_idle++;
    if (watches) {
        w->pool_watched = true;
        w->pool_seen = seen;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)WATCH_US * 1000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        (void)pthread_cond_timedwait(&w->pool_cond, &w->lock, &until);
        w->pool_watched = false;
    } else {
        (void)pthread_cond_wait(&w->pool_cond, &w->lock);
    }
    w->pool_idle--;
    w->stats.wake_ups++;
    called = w->waking;
    w->waking = false;
    return watches && !called && w->pool_taken != seen;
}

static void *pool_main(void *worker)
{
    struct kedge_worker *w = worker;
    bool others_do = false;

    (void)pthread_mutex_lock(&w->lock);
    w->waking = false;
    w->stats.wake_ups++;
    while (!w->closing) {
        if (!others_do && should_drive(w)) {
            if (w->pool_queue != NULL && !w->pool_watched)
                kedge_pool_wake(w);
            kedge_drive(w, false);
        } else if (!others_do && w->pool_queue != NULL) {
            struct kedge_step *step = kedge_pool_take(w);

            if (w->pool_queue != NULL && (!w->pool_watched || is_much(w)))
                kedge_pool_wake(w);
            if (!w->pool_watched || w->pool_step_ns > SLICE_MUCH_US * 1000)
                kedge_worker_leave_to_loop(w);
            kedge_worker_run_step(w, step, kedge_worker_now(w));
        } else {
            if (!others_do)
                kedge_worker_leave_to_loop(w);
            others_do = rest(w);
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}
