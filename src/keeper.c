/*
 * keeper.c - the thread that keeps the lease, looks after other workers, and listens for news
 *
 * It wakes for three reasons: the store says that something became due somewhere, it is time to
 * look (which is also when the lease is extended, long before its deadline), or the worker ends.
 * Looking is two reads.  Only what looks wrong leads to a write: burying the dead, and making
 * their runs due.
 */
#include <config.h>

#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

#define GRACE_US      INT64_C(120000) /* an absent hint counts after 100 ms; more than its jitter */
#define RECOVER_MOST  64
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
    int rc;

    (void)pthread_mutex_lock(&w->lock);
    kedge_worker_random(w, &in.id);
    kedge_worker_random(w, &in.request);
    (void)pthread_mutex_unlock(&w->lock);
    do
        rc = w->ops->lease_grant(session, &in, &state, w->options.timeout_us, err);
    while (rc == KEDGE_ERR_UNKNOWN && !atomic_load(&w->stopping));
    if (rc != KEDGE_OK)
        return rc;
    (void)pthread_mutex_lock(&w->lock);
    w->lease = in.id;
    w->extended = kedge_worker_now(w);
    (void)pthread_mutex_unlock(&w->lock);
    return KEDGE_OK;
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

/* ----------------------------------------------------------------- burying */

static void bury(struct kedge_worker *w, void *session, const struct kedge_lease *lease,
                 int64_t *again)
{
    int rc = w->ops->lease_bury(session, &lease->id, w->options.timeout_us, NULL);
    char label[256];

    if (rc == KEDGE_HELD) { /* not yet: its grace, or a restart of the server */
        *again = GRACE_US < *again ? GRACE_US : *again;
        return;
    }
    if (rc != KEDGE_OK)
        return;
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

static void look_at_leases(struct kedge_worker *w, void *session, int64_t *again)
{
    struct kedge_bytes cursor = { NULL, 0 };
    struct kedge_lease_page page = { 0 };
    struct kedge_mem *old = NULL;

    do {
        memset(&page, 0, sizeof page);
        if (w->ops->lease_list(session, cursor, 256, &page, w->options.timeout_us, NULL) !=
            KEDGE_OK)
            break;
        kedge_mem_free(w->host, old);
        old = page.mem;
        for (size_t i = 0; i < page.n; i++) {
            const struct kedge_lease *lease = &page.leases[i];

            if (lease->state == KEDGE_LEASE_LAPSED ||
                (lease->state == KEDGE_LEASE_LIVE && lease->hint == KEDGE_HINT_ABSENT))
                bury(w, session, lease, again);
        }
        cursor = page.next;
    } while (cursor.len > 0);
    kedge_mem_free(w->host, old);
}

/* --------------------------------------------------------------- recovering */

struct recovery {
    struct kedge_guard guard;
    struct kedge_change changes[3];
    struct kedge_buf *buf;
    struct kedge_bytes record;
};

/*
 * Due now, and one recovery charged; or, after too many without progress, on its way back with a
 * record that says why.
 */
static void form_recovery(struct kedge_worker *w, const struct kedge_run *run, struct recovery *r,
                          struct kedge_commit *commit)
{
    size_t n = 0;

    memset(r, 0, sizeof *r);
    r->guard = (struct kedge_guard){ .kind = KEDGE_GUARD_UNHELD,
                                     .statuses = KEDGE_STATUSES_UNFINISHED,
                                     .name = run->id,
                                     .number = run->revision };
    if (run->recoveries + 1 > w->options.crash_limit) {
        struct kedge_rec rec = { .kind = KEDGE_RECORD_CRASH_LOOP,
                                 .step = KEDGE_NO_STEP,
                                 .number = run->recoveries + UINT64_C(1) };

        r->buf = kedge_record_encode(w->host, &rec);
    }
    if (r->buf != NULL) {
        r->record = (struct kedge_bytes){ r->buf->data, r->buf->len };
        r->changes[n].kind = KEDGE_APPEND;
        r->changes[n].append.records = &r->record;
        r->changes[n].append.n = 1;
        r->changes[n++].append.first = run->position + 1;
        r->changes[n].kind = KEDGE_SET;
        r->changes[n].set.mask = KEDGE_SET_STATUS;
        r->changes[n++].set.status = KEDGE_ROLLING_BACK;
    } else {
        r->changes[n].kind = KEDGE_SET;
        r->changes[n].set.mask = KEDGE_SET_RECOVERIES;
        r->changes[n++].set.recoveries = run->recoveries + 1;
    }
    r->changes[n].kind = KEDGE_RELEASE;
    r->changes[n].release.place = KEDGE_PLACE_DUE;
    r->changes[n++].release.when = (struct kedge_when){ 0, KEDGE_IN, 0 };
    for (size_t i = 0; i < n; i++)
        r->changes[i].name = run->id;
    *commit = (struct kedge_commit){
        .guards = &r->guard, .n_guards = 1, .changes = r->changes, .n_changes = n
    };
    (void)pthread_mutex_lock(&w->lock);
    kedge_worker_random(w, &commit->request);
    (void)pthread_mutex_unlock(&w->lock);
}

/* Bury whoever holds an expired run and was not in the list of leases, or lapsed since. */
static bool ripe(struct kedge_worker *w, void *session, const struct kedge_run *run,
                 uint32_t reason)
{
    if (reason != KEDGE_SWEEP_LAPSED)
        return true;
    return w->ops->lease_bury(session, &run->holder, w->options.timeout_us, NULL) == KEDGE_OK;
}

static void count_recovered(struct kedge_worker *w, const struct kedge_run *run)
{
    (void)pthread_mutex_lock(&w->lock);
    w->stats.recoveries++;
    w->claim_hint = true;
    kedge_worker_emit(w, &(struct kedge_event){ .struct_size = sizeof(struct kedge_event),
                                                .kind = KEDGE_EVENT_RUN_RECOVERED,
                                                .n = run->recoveries + 1,
                                                .run = run->id });
    (void)pthread_mutex_unlock(&w->lock);
}

/* One page of runs nobody holds any more.  Answers how many were made due. */
static size_t recover_page(struct kedge_worker *w, void *session, const struct kedge_run_page *page)
{
    struct recovery all[RECOVER_MOST];
    struct kedge_commit commits[RECOVER_MOST];
    struct kedge_answer answers[RECOVER_MOST];
    const struct kedge_run *runs[RECOVER_MOST];
    size_t n = 0;
    size_t made = 0;
    int rc = KEDGE_OK;

    for (size_t i = 0; i < page->n; i++) {
        if (!ripe(w, session, &page->runs[i], page->reasons[i]))
            continue;
        runs[n] = &page->runs[i];
        form_recovery(w, runs[n], &all[n], &commits[n]);
        n++;
    }
    if (n == 0)
        return 0;
    memset(answers, 0, sizeof answers);
    rc = w->ops->commit(session, commits, n, answers, w->options.timeout_us, NULL);
    for (size_t i = 0; i < n; i++) {
        if (rc == KEDGE_OK && answers[i].outcome == KEDGE_OK) {
            count_recovered(w, runs[i]);
            made++;
        }
        kedge_buf_drop(w->host, all[i].buf);
    }
    return made;
}

static void recover(struct kedge_worker *w, void *session)
{
    size_t made;
    size_t all = 0;

    do { /* what was recovered is not listed again */
        struct kedge_run_page page = { 0 };
        struct kedge_bytes start = { NULL, 0 };

        if (w->ops->list_expired(session, start, RECOVER_MOST, &page, w->options.timeout_us,
                                 NULL) != KEDGE_OK)
            return;
        made = page.n > 0 ? recover_page(w, session, &page) : 0;
        all += made;
        kedge_mem_free(w->host, page.mem);
    } while (made == RECOVER_MOST);
    if (all > 0) {
        (void)pthread_mutex_lock(&w->lock);
        kedge_worker_tell_loop(w);
        (void)pthread_mutex_unlock(&w->lock);
    }
}

int64_t kedge_keeper_look(struct kedge_worker *w, void *session)
{
    int64_t again = w->options.look_us;

    look_at_leases(w, session, &again);
    recover(w, session);
    return again;
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
    kedge_worker_random(w, &commit.request);
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

static int64_t real_now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t jittered(struct kedge_worker *w, int64_t us)
{
    struct kedge_id128 random;

    (void)pthread_mutex_lock(&w->lock);
    kedge_worker_random(w, &random);
    (void)pthread_mutex_unlock(&w->lock);
    return us - us / 8 + (int64_t)random.b[0] * (us / 4) / 256;
}

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
    int64_t left = until - real_now();
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
    int64_t next_upkeep = real_now() + jittered(w, w->options.sweep_us);
    int64_t extended = real_now();
    uint64_t seen = 0;

    for (;;) {
        int64_t now = real_now();
        bool closing;

        (void)pthread_mutex_lock(&w->lock);
        closing = w->closing;
        (void)pthread_mutex_unlock(&w->lock);
        if (closing)
            return NULL;
        if (now - extended >= w->options.lease_ttl_us / 3) {
            (void)kedge_keeper_extend(w, w->keeper_session);
            extended = now;
        }
        if (now >= next_look)
            next_look = real_now() + jittered(w, kedge_keeper_look(w, w->keeper_session));
        if (now >= next_upkeep) {
            upkeep(w, w->keeper_session);
            next_upkeep = real_now() + jittered(w, w->options.sweep_us);
        }
        listen(w, &seen, next_look);
    }
}
