/*
 * keeper.c - the thread that keeps the lease, looks after other workers, and listens for news
 *
 * It wakes for three reasons: the store says that something became due somewhere, it is time to
 * look (which is also when the lease is extended, long before its deadline), or the worker ends.
 * Looking is three reads.  Only what looks wrong leads to a write: burying the dead, and making
 * their runs due.
 */
#include <config.h>

#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "queue.h"
#include "rescue.h"
#include "session.h"
#include "worker.h"

#define BUSY_NAP_US   INT64_C(5000)
#define POLL_US       INT64_C(20000)
#define SWEEP_CELL    "kedge.sweep"
#define PURGE_AT_ONCE 1000
#define PURGE_ROUNDS  100

int kedge_keeper_grant(struct kedge_worker *w, void *session, struct kedge_error *err)
{
    struct kedge_lease_new in = {
        .owner = kedge_text(w->owner),
        .serves = w->serves,
        .n_serves = w->n_serves,
        .ttl_us = w->options.lease_ttl_us,
    };
    struct kedge_lease_state state;
    int64_t began;
    int rc;

    (void)pthread_mutex_lock(&w->lock);
    if (!w->grant_doubt) {
        kedge_worker_random(w, &w->grant_id);
        kedge_worker_random(w, &w->grant_request);
    }
    in.id = w->grant_id;
    in.request = w->grant_request;
    began = kedge_worker_now(w);
    (void)pthread_mutex_unlock(&w->lock);
    rc = w->ops->lease_grant(session, &in, &state, w->options.timeout_us, err);
    (void)pthread_mutex_lock(&w->lock);
    if (rc == KEDGE_ERR_UNKNOWN)
        w->grant_doubt = true;
    else if (rc >= 0) /* a failure of the repetition ends no doubt */
        w->grant_doubt = false;
    if (rc == KEDGE_OK) {
        w->lease = in.id;
        w->extended = began;
        w->attention = 0;
        w->reconcile_at = began + w->options.lease_ttl_us;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return rc;
}

int kedge_keeper_extend(struct kedge_worker *w, void *session)
{
    struct kedge_lease_state state;
    struct kedge_id128 lease;
    int64_t began;
    int rc;

    (void)pthread_mutex_lock(&w->lock);
    lease = w->lease;
    began = kedge_worker_now(w);
    (void)pthread_mutex_unlock(&w->lock);
    rc = w->ops->lease_extend(session, &lease, &state, w->options.timeout_us, NULL);
    (void)pthread_mutex_lock(&w->lock);
    if (memcmp(&lease, &w->lease, sizeof lease) == 0) {
        if (rc == KEDGE_OK)
            w->extended = began;
        if (rc == KEDGE_LOST || rc == KEDGE_NOT_FOUND) {
            w->lease_dead = true;
            kedge_worker_tell_loop(w);
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    return rc;
}

/* ------------------------------------------------------------ paused queues */

/* Lock held.  A queue that was resumed may have runs that are due since long. */
static void shut_queues(struct kedge_worker *w, const struct kedge_queues *paused)
{
    bool resumed = false;

    w->n_open = 0;
    for (size_t i = 0; i < w->n_serves; i++) {
        bool shut = kedge_queues_find(paused, w->serves[i].queue) != NULL;

        resumed |= w->shut[i] && !shut;
        w->shut[i] = shut;
        w->n_open += !shut;
    }
    if (resumed) {
        w->claim_hint = true;
        kedge_worker_tell_loop(w);
    }
}

/* Of those who look at the same time, who began later knows as much at least. */
int kedge_keeper_queues(struct kedge_worker *w, void *session, struct kedge_error *err)
{
    struct kedge_queues paused = { .mem = NULL };
    struct kedge_error why = { 0, 0, "" };
    uint64_t turn;
    int64_t began;
    bool odd;
    int rc;

    (void)pthread_mutex_lock(&w->lock);
    turn = ++w->queues_asked;
    began = kedge_worker_now(w);
    (void)pthread_mutex_unlock(&w->lock);
    rc = kedge_queues_read(w->ops, session, w->host, &paused, w->options.timeout_us, &why);
    odd = rc == KEDGE_ERR_CORRUPT || rc == KEDGE_ERR_SCHEMA_NEW;
    (void)pthread_mutex_lock(&w->lock);
    if (odd && !w->queues_odd && w->queues_known > 0)
        kedge_worker_log(w, LOG_ERR, "%s; the worker goes by what it knew", why.msg);
    if ((rc == KEDGE_OK || odd) && turn > w->queues_known) {
        w->queues_known = turn;
        w->queues_at = began;
        w->queues_odd = odd;
        if (rc == KEDGE_OK)
            shut_queues(w, &paused);
    }
    (void)pthread_mutex_unlock(&w->lock);
    kedge_queues_free(w->host, &paused);
    return rc == KEDGE_OK ? KEDGE_OK : kedge_error_set(err, rc, why.sys_errno, "%s", why.msg);
}

/* ------------------------------------------------------------- other workers */

/* Something was asked of a run of ours: the driver finds out which. */
static void look_at_own(void *worker, const struct kedge_lease *lease)
{
    struct kedge_worker *w = worker;

    (void)pthread_mutex_lock(&w->lock);
    if (memcmp(&lease->id, &w->lease, sizeof w->lease) == 0 && lease->attention != w->attention) {
        w->attention = lease->attention;
        kedge_reconcile_in(w, 0);
        kedge_worker_tell_loop(w);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

/* Its own lapsed lease is good as long as nobody buries it: the next extension says so. */
static bool is_others(void *worker, const struct kedge_id128 *lease)
{
    struct kedge_worker *w = worker;
    bool others;

    (void)pthread_mutex_lock(&w->lock);
    others = memcmp(&w->lease, lease, sizeof *lease) != 0;
    (void)pthread_mutex_unlock(&w->lock);
    return others;
}

/* Is it in flight here, under a lease that died?  Then it will be taken anew, or is about to be. */
static bool is_here(void *worker, const struct kedge_run *run)
{
    struct kedge_worker *w = worker;
    bool here = false;

    (void)pthread_mutex_lock(&w->lock);
    for (const struct kedge_inflight *r = w->runs; r != NULL && !here; r = r->next)
        here = r->fence == run->fence && r->id.len == run->id.len &&
               memcmp(r->id.data, run->id.data, run->id.len) == 0;
    (void)pthread_mutex_unlock(&w->lock);
    return here;
}

static void say_buried(void *worker, const struct kedge_lease *lease)
{
    struct kedge_worker *w = worker;
    char label[256];

    memcpy(label, lease->owner.data != NULL ? lease->owner.data : "",
           lease->owner.len < sizeof label ? lease->owner.len : sizeof label - 1);
    label[lease->owner.len < sizeof label ? lease->owner.len : sizeof label - 1] = '\0';
    (void)pthread_mutex_lock(&w->lock);
    kedge_worker_log(w, LOG_NOTICE, "worker %s is dead; its runs go on elsewhere", label);
    kedge_worker_emit(w, &(struct kedge_event){ .struct_size = sizeof(struct kedge_event),
                                                .kind = KEDGE_EVENT_WORKER_BURIED,
                                                .text = label });
    (void)pthread_mutex_unlock(&w->lock);
}

static void say_recovered(void *worker, const struct kedge_run *run, bool stuck)
{
    struct kedge_worker *w = worker;
    char id[KEDGE_ID_ROOM];

    (void)pthread_mutex_lock(&w->lock);
    w->stats.recoveries++;
    w->claim_hint = true;
    kedge_worker_emit(w, &(struct kedge_event){ .struct_size = sizeof(struct kedge_event),
                                                .kind = KEDGE_EVENT_RUN_RECOVERED,
                                                .n = run->recoveries + 1,
                                                .run = run->id });
    if (stuck)
        kedge_worker_log(w, LOG_ERR, "run %s is stuck: %u workers died of it on its way back",
                         kedge_worker_id_text(run->id, id), (unsigned)run->recoveries + 1);
    (void)pthread_mutex_unlock(&w->lock);
}

static int64_t timeout_of(void *worker)
{
    return ((struct kedge_worker *)worker)->options.timeout_us;
}

static int64_t jittered(struct kedge_worker *w, int64_t us)
{
    struct kedge_id128 random;

    (void)pthread_mutex_lock(&w->lock);
    kedge_worker_random(w, &random);
    (void)pthread_mutex_unlock(&w->lock);
    return us - us / 8 + (int64_t)random.b[0] * (us / 4) / 256;
}

int64_t kedge_keeper_look(struct kedge_worker *w, void *session)
{
    struct kedge_rescue r = { .store = w->store,
                              .ops = w->ops,
                              .host = w->host,
                              .session = session,
                              .crash_limit = w->options.crash_limit,
                              .writer = kedge_text(w->owner),
                              .ctx = w,
                              .time = timeout_of,
                              .saw = look_at_own,
                              .may_bury = is_others,
                              .is_here = is_here,
                              .buried = say_buried,
                              .recovered = say_recovered };
    struct kedge_id128 seed;

    (void)kedge_keeper_queues(w, session, NULL);
    (void)pthread_mutex_lock(&w->lock);
    kedge_worker_random(w, &seed);
    r.lease = w->lease;
    (void)pthread_mutex_unlock(&w->lock);
    memcpy(&r.seed, seed.b + 8, sizeof r.seed);
    (void)kedge_rescue_bury(&r, NULL);
    (void)kedge_rescue_recover(&r, NULL);
    if (r.done.recovered + r.done.stuck > 0) {
        (void)pthread_mutex_lock(&w->lock);
        kedge_worker_tell_loop(w);
        (void)pthread_mutex_unlock(&w->lock);
    }
    return r.done.held > 0 ? kedge_min64(KEDGE_RESCUE_GRACE_US, w->options.look_us)
                           : jittered(w, w->options.look_us);
}

/* ------------------------------------------------------------------ upkeep */

/* One worker per window, whoever comes first by the store's clock; nothing to be handed on. */
static bool claim_window(struct kedge_worker *w, void *session)
{
    struct kedge_guard guard = { .kind = KEDGE_GUARD_CELL, .name = kedge_text(SWEEP_CELL) };
    struct kedge_change change = { .kind = KEDGE_CELL_PUT, .name = kedge_text(SWEEP_CELL) };
    struct kedge_commit commit = {
        .guards = &guard, .n_guards = 1, .changes = &change, .n_changes = 1
    };
    struct kedge_answer answer = { 0 };
    struct kedge_cell cell = { 0 };

    if (w->ops->cell_get(session, guard.name, &cell, w->options.timeout_us, NULL) == KEDGE_OK) {
        kedge_mem_free(w->host, cell.mem);
        return false;
    }
    change.cell.value = kedge_text(w->owner);
    change.cell.expires = (struct kedge_when){ w->options.sweep_us, KEDGE_IN, 0 };
    (void)pthread_mutex_lock(&w->lock);
    kedge_worker_request(w, &commit.request);
    (void)pthread_mutex_unlock(&w->lock);
    return w->ops->commit(session, &commit, 1, &answer, w->options.timeout_us, NULL) == KEDGE_OK &&
           answer.outcome == KEDGE_OK;
}

static void upkeep(struct kedge_worker *w, void *session)
{
    struct kedge_purged purged = { 0 };

    if (!claim_window(w, session))
        return;
    for (int i = 0; i < PURGE_ROUNDS && !atomic_load(&w->stopping); i++) {
        if (w->ops->purge(session, PURGE_AT_ONCE, &purged, w->options.timeout_us, NULL) !=
                KEDGE_OK ||
            purged.more == 0)
            return;
    }
}

/* --------------------------------------------------------------- the thread */

/* A sleep that the worker's end cuts short. */
static void nap(struct kedge_worker *w, int64_t us)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(us / 1000000);
    until.tv_nsec += (long)(us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_mutex_lock(&w->lock);
    if (!w->closing) {
        (void)pthread_cond_timedwait(&w->keeper_cond, &w->lock, &until);
        w->stats.wake_ups++;
    }
    (void)pthread_mutex_unlock(&w->lock);
}

/* Wait for news until UNTIL.  Without a store that tells, look for due runs every now and then. */
static void listen(struct kedge_worker *w, uint64_t *seen, int64_t until)
{
    int64_t left = until - kedge_monotonic_us();
    bool busy;
    int rc;

    if (left <= 0)
        return;
    rc = w->ops->wait(w->keeper_session, *seen, seen, left, NULL);
    (void)pthread_mutex_lock(&w->lock);
    w->stats.wake_ups++;
    busy = !w->loop_sleeps;
    if (rc != KEDGE_QUIET)
        w->claim_hint = true;
    if (rc != KEDGE_QUIET && !busy && !w->driving)
        kedge_worker_tell_loop(w);
    (void)pthread_mutex_unlock(&w->lock);
    if (rc < 0)
        nap(w, left < POLL_US ? left : POLL_US);
    else if (rc == KEDGE_OK && busy)
        nap(w, BUSY_NAP_US); /* it claims by itself when it has room */
}

void *kedge_keeper_main(void *worker)
{
    struct kedge_worker *w = worker;
    int64_t next_look = 0;
    int64_t next_upkeep = kedge_monotonic_us() + jittered(w, w->options.sweep_us);
    int64_t extended = kedge_monotonic_us();
    uint64_t seen = 0;

    for (;;) {
        int64_t now = kedge_monotonic_us();
        bool closing;

        (void)pthread_mutex_lock(&w->lock);
        closing = w->closing;
        /* A pool thread may have gone into a long step with something left to be sent. */
        if (!closing && kedge_drive_wanted(w))
            kedge_worker_tell_loop(w);
        (void)pthread_mutex_unlock(&w->lock);
        if (closing)
            return NULL;
        if (now - extended >= w->options.lease_ttl_us / 3) {
            (void)kedge_keeper_extend(w, w->keeper_session);
            extended = now;
        }
        if (now >= next_look) {
            next_look = kedge_keeper_look(w, w->keeper_session);
            next_look += kedge_monotonic_us();
        }
        if (now >= next_upkeep) {
            upkeep(w, w->keeper_session);
            next_upkeep = kedge_monotonic_us() + jittered(w, w->options.sweep_us);
        }
        listen(w, &seen, next_look);
    }
}
