/*
 * drive.c - the driver's seat: batches to the store, claims from it
 *
 * One thread at a time.  It takes what has gathered, without waiting for more, and goes on until
 * nothing is left that only a driver can do.
 */
#include <config.h>

#include <string.h>
#include <syslog.h>

#include "worker.h"

#define RETRY_FIRST_US INT64_C(1000)
#define RETRY_MOST_US  INT64_C(500000)
#define LATE_LOOKS     2

/* ----------------------------------------------------------------- timers */

/* Take the steps of crowded runs out of a queue; those runs are for others first. */
static struct kedge_step **unqueue(struct kedge_worker *w, struct kedge_step **queue, int64_t now)
{
    struct kedge_step **at = queue;
    struct kedge_step *step;

    while ((step = *at) != NULL) {
        struct kedge_inflight *run = step->run;

        if (!run->crowded) {
            at = &step->next;
            continue;
        }
        *at = step->next;
        if (queue == &w->pool_queue)
            w->n_pool_queue--;
        kedge_progress_give_back(run->progress, step->index);
        kedge_step_free(w, step);
        run->patience = now;
        kedge_inflight_dirty(w, run);
    }
    return at;
}

static void hand_crowded_back(struct kedge_worker *w, int64_t now)
{
    w->loop_end = unqueue(w, &w->loop_queue, now);
    w->pool_end = unqueue(w, &w->pool_queue, now);
    for (struct kedge_inflight *run = w->runs; run != NULL; run = run->next)
        run->crowded = false;
}

/* Runs whose time has come.  Rare: the list is walked only when the earliest is due. */
static void wake_runs(struct kedge_worker *w, int64_t now)
{
    bool crowded = false;

    if (now < w->next_timer)
        return;
    w->next_timer = INT64_MAX;
    for (struct kedge_inflight *run = w->runs; run != NULL; run = run->next) {
        if (run->wake_at > now) {
            w->next_timer = kedge_min64(w->next_timer, run->wake_at);
            continue;
        }
        run->wake_at = INT64_MAX;
        kedge_step_expire(w, run, now);
        if (run->requests != 0)
            kedge_asked_note(w, run, run->requests);
        if (run->item.n_records > 0 && !run->sending) {
            run->flushed = 0; /* held back long enough */
            kedge_inflight_dirty(w, run);
            kedge_inflight_timers(w, run, kedge_worker_wall(w));
        } else if (kedge_inflight_crowded(w, run)) {
            run->crowded = crowded = true;
        } else {
            kedge_inflight_go_on(w, run);
        }
    }
    if (crowded)
        hand_crowded_back(w, now);
}

/* ---------------------------------------------------------------- batches */

static struct kedge_inflight *pop_dirty(struct kedge_worker *w)
{
    struct kedge_inflight *run = w->dirty;

    w->dirty = run->dirty_next;
    if (w->dirty == NULL)
        w->dirty_end = &w->dirty;
    w->n_dirty--;
    run->dirty = false;
    return run;
}

/* What its item counts for at most: its bytes, and the run's name in the guard and each change. */
static size_t weight(const struct kedge_inflight *run)
{
    return run->item.bytes + 512 + (run->item.n_changes + 1) * run->id.len;
}

/* Fill the batch from the runs that need a commit. */
static size_t gather(struct kedge_worker *w)
{
    size_t n = 0;
    size_t bytes = 0;
    uint32_t look = w->n_dirty;

    while (look-- > 0 && n < w->limits.batch_items) {
        struct kedge_inflight *run = pop_dirty(w);

        if (run->gone) {
            kedge_inflight_unref(w, run);
            continue;
        }
        run->sending = true; /* what seals it may find it dirty again */
        run->refs++;         /* or drop it */
        if (!kedge_inflight_seal(w, run)) {
            run->sending = false;
            kedge_inflight_unref(w, run);
            continue;
        }
        kedge_inflight_unref(w, run);
        if (n > 0 && bytes + weight(run) > w->limits.batch_bytes) {
            run->sending = false;
            kedge_inflight_dirty(w, run);
            break;
        }
        bytes += weight(run);
        w->commits[n] = (struct kedge_commit){
            .request = run->item.request,
            .guards = run->item.guards,
            .n_guards = run->item.n_guards,
            .changes = run->item.changes,
            .n_changes = run->item.n_changes,
            .results = run->item.results,
        };
        w->batch[n++] = run;
    }
    return n;
}

static void store_away(struct kedge_worker *w, int outcome, const char *why)
{
    w->retry_wait =
        w->retry_wait == 0 ? RETRY_FIRST_US : kedge_min64(2 * w->retry_wait, RETRY_MOST_US);
    w->retry_at = kedge_worker_now(w) + w->retry_wait;
    /* That it is full is for people, who do not hear of a store that was only busy. */
    if (!w->told_unavailable || (outcome == KEDGE_ERR_FULL && !w->told_full))
        kedge_worker_log(w, LOG_WARNING, "the store does not take commits now (%s): %s",
                         kedge_status_text(outcome), why);
    w->told_unavailable = true;
    w->told_full |= outcome == KEDGE_ERR_FULL;
}

static bool is_away(int outcome)
{
    return outcome == KEDGE_ERR_UNKNOWN || outcome == KEDGE_ERR_UNAVAILABLE ||
           outcome == KEDGE_ERR_NOMEM || outcome == KEDGE_ERR_FULL;
}

static void flush(struct kedge_worker *w)
{
    struct kedge_error err = { 0, 0, "" };
    bool away = false;
    size_t n;
    int rc;

    kedge_moment_begin(w);
    n = gather(w);
    kedge_moment_end(w);
    if (n == 0)
        return;
    w->stats.commits += n;
    w->stats.flushes++;
    (void)pthread_mutex_unlock(&w->lock);
    memset(w->answers, 0, n * sizeof *w->answers);
    rc = w->ops->commit(w->driver_session, w->commits, n, w->answers, w->options.timeout_us, &err);
    (void)pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < n; i++) {
        if (rc != KEDGE_OK)
            w->answers[i].outcome = rc;
        if (is_away(w->answers[i].outcome) && !away) {
            store_away(w, w->answers[i].outcome,
                       w->answers[i].why[0] != '\0' ? w->answers[i].why : err.msg);
            away = true;
        }
    }
    if (!away) {
        w->retry_wait = 0;
        w->retry_at = 0;
        w->told_unavailable = false;
        w->told_full = false;
    }
    kedge_moment_begin(w);
    for (size_t i = 0; i < n; i++)
        kedge_inflight_answered(w, w->batch[i], w->answers[i].outcome, &w->answers[i]);
    kedge_moment_end(w);
}

/* ----------------------------------------------------------------- claims */

/* Steps that wait for a thread are better started by a worker that has one. */
bool kedge_drive_room(const struct kedge_worker *w)
{
    return w->n_runs < w->options.in_flight && w->n_pool_queue < w->options.claim_slice &&
           !atomic_load(&w->stopping) && (w->n_open > 0 || w->claim_doubt);
}

static bool claim_wanted(const struct kedge_worker *w, int64_t now)
{
    return (w->claim_hint || now >= w->claim_at) && now >= w->retry_at && kedge_drive_room(w);
}

/* The store knows the last claim of a lease only: one in doubt comes before any other. */
static void form_claim(struct kedge_worker *w)
{
    uint32_t room = w->options.in_flight - w->n_runs;
    struct kedge_claim *in = &w->claim;

    if (w->claim_doubt)
        return;
    *in = (struct kedge_claim){ .lease = w->lease, .serves = w->claim_serves };
    for (size_t i = 0; i < w->n_serves; i++) {
        if (!w->shut[i])
            w->claim_serves[in->n_serves++] = w->serves[i];
    }
    if (w->claim_hold > 0)
        in->hold_until = (struct kedge_when){ w->claim_hold, KEDGE_IN, 0 };
    in->limit = room < w->options.claim_slice ? room : w->options.claim_slice;
    if (in->limit > w->limits.batch_items)
        in->limit = w->limits.batch_items;
    kedge_worker_random(w, &in->request);
}

/* The keeper does this in time, unless the process was stopped, or time is moved by hand. */
static void look_at_queues_if_late(struct kedge_worker *w)
{
    struct kedge_error err = { 0, 0, "" };
    int rc;

    if ((kedge_worker_now(w) - w->queues_at) / LATE_LOOKS < w->options.look_us)
        return;
    (void)pthread_mutex_unlock(&w->lock);
    rc = kedge_keeper_queues(w, w->driver_session, &err);
    (void)pthread_mutex_lock(&w->lock);
    if (rc < 0 && rc != KEDGE_ERR_CORRUPT && rc != KEDGE_ERR_SCHEMA_NEW)
        store_away(w, rc, err.msg);
}

static bool is_shut(const struct kedge_worker *w, struct kedge_bytes queue)
{
    for (size_t i = 0; i < w->n_serves; i++) {
        const struct kedge_bytes *served = &w->serves[i].queue;

        if (served->len == queue.len && memcmp(served->data, queue.data, queue.len) == 0)
            return w->shut[i];
    }
    return false;
}

/*
 * What was claimed from a queue that was paused before the answer came, perhaps long before, is not
 * begun: it goes back, as all that is held and not known here.
 */
static void leave_shut(struct kedge_worker *w, struct kedge_run_page *page)
{
    size_t n = 0;

    if (w->n_open == w->n_serves)
        return;
    for (size_t i = 0; i < page->n; i++) {
        if (!is_shut(w, page->runs[i].queue))
            page->runs[n++] = page->runs[i];
    }
    if (n < page->n)
        kedge_reconcile_in(w, 0);
    page->n = n;
}

static void claim(struct kedge_worker *w)
{
    struct kedge_run_page page = { 0 };
    struct kedge_error err = { 0, 0, "" };
    int rc;

    form_claim(w);
    w->claim_hint = false;
    w->claim_at = INT64_MAX;
    w->claimed_at = kedge_worker_now(w);
    w->stats.claims++;
    (void)pthread_mutex_unlock(&w->lock);
    rc = w->ops->claim(w->driver_session, &w->claim, &page, w->options.timeout_us, &err);
    (void)pthread_mutex_lock(&w->lock);
    if (rc == KEDGE_OK) {
        if (page.n == w->claim.limit || w->claim_doubt) /* that one said nothing of others */
            w->claim_hint = true;
        w->claim_doubt = false;
        if (page.next_due != 0) {
            int64_t wait = page.next_due - kedge_worker_wall(w);

            if (wait <= 0)
                w->claim_hint = true;
            else
                w->claim_at = kedge_min64(w->claim_at, kedge_worker_now(w) + wait);
        }
        leave_shut(w, &page);
        kedge_inflight_take(w, &page);
        kedge_mem_free(w->host, page.mem);
        return;
    }
    w->claim_hint = true;
    if (rc == KEDGE_ERR_UNKNOWN)
        w->claim_doubt = true;
    if (rc == KEDGE_LOST)
        w->lease_dead = true;
    else
        store_away(w, rc, err.msg);
}

/* ------------------------------------------------------------------ lease */

/*
 * Declared dead: say so once, and go on under a new lease.  Runs that nobody has taken are taken
 * anew at once, whether or not there is something to write: the others are learned of by that, and
 * their steps told to stop.
 */
static void renew(struct kedge_worker *w)
{
    struct kedge_error err = { 0, 0, "" };
    int rc;

    kedge_worker_log(w, LOG_WARNING,
                     "this worker was unheard of for too long and was declared "
                     "dead; it goes on under a new lease");
    (void)pthread_mutex_unlock(&w->lock);
    rc = kedge_keeper_grant(w, w->driver_session, &err);
    (void)pthread_mutex_lock(&w->lock);
    if (rc != KEDGE_OK) {
        store_away(w, rc, err.msg);
        return;
    }
    w->lease_dead = false;
    w->claim_doubt = false; /* it went with its lease */
    w->renewed = true;
    for (struct kedge_inflight *run = w->runs; run != NULL; run = run->next)
        kedge_inflight_dirty(w, run);
    kedge_worker_emit(w, &(struct kedge_event){ .struct_size = sizeof(struct kedge_event),
                                                .kind = KEDGE_EVENT_LEASE_LOST });
}

/* The keeper does this in time, unless time is moved by hand. */
static void extend_if_late(struct kedge_worker *w, int64_t now)
{
    int rc;

    if (now - w->extended < w->options.lease_ttl_us / 2)
        return;
    (void)pthread_mutex_unlock(&w->lock);
    rc = kedge_keeper_extend(w, w->driver_session);
    (void)pthread_mutex_lock(&w->lock);
    if (rc < 0 && now >= w->retry_at)
        store_away(w, rc, "its lease cannot be extended");
}

/* ------------------------------------------------------------------ the seat */

bool kedge_drive_wanted(struct kedge_worker *w)
{
    int64_t now = kedge_worker_now(w);

    if (w->driving)
        return false;
    if (now >= w->next_timer)
        return true;
    return now >= w->retry_at && (w->n_dirty > 0 || w->asked != NULL || w->lease_dead ||
                                  claim_wanted(w, now) || kedge_reconcile_wanted(w, now));
}

void kedge_drive(struct kedge_worker *w, bool is_loop)
{
    w->driving = true;
    for (;;) {
        int64_t now = kedge_worker_now(w);

        extend_if_late(w, now);
        wake_runs(w, now);
        if (now < w->retry_at)
            break;
        if (w->lease_dead) {
            renew(w);
            continue;
        }
        kedge_asked_take_up(w);
        if (w->n_dirty == 0 && !claim_wanted(w, now) && !kedge_reconcile_wanted(w, now))
            break;
        flush(w);
        if (!w->lease_dead && claim_wanted(w, kedge_worker_now(w)))
            look_at_queues_if_late(w);
        if (!w->lease_dead && claim_wanted(w, kedge_worker_now(w)))
            claim(w);
        if (kedge_reconcile_wanted(w, kedge_worker_now(w)))
            kedge_reconcile(w);
        if (w->pool_queue != NULL && !is_loop)
            break; /* its own thread runs one, and wakes another if that is worth it */
        if (is_loop)
            break; /* it comes back, if it may: a pool that never rests could keep it for ever */
    }
    w->driving = false;
    if (is_loop && w->pool_queue != NULL)
        kedge_pool_wake(w); /* a timer may have put it there */
    if (!is_loop &&
        (w->loop_queue != NULL || (w->n_runs == 0 && (w->draining || atomic_load(&w->stopping)))))
        kedge_worker_tell_loop(w);
}
