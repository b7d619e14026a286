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
#include "session.h"
#include "worker.h"

#define GRACE_US      INT64_C(120000) /* an absent hint counts after 100 ms; more than its jitter */
#define RECOVER_MOST  64
#define RECOVER_MASS  1024          /* as many as a worker has in flight */
#define SPREAD_US     INT64_C(5000) /* for each page more of runs that became due together */
#define SPREAD_MOST   INT64_C(2000000)
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
    if (odd && !w->queues_odd)
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

/* ----------------------------------------------------------------- burying */

/* Its own lapsed lease is good as long as nobody buries it: the next extension says so. */
static bool is_own(struct kedge_worker *w, const struct kedge_id128 *lease)
{
    bool own;

    (void)pthread_mutex_lock(&w->lock);
    own = memcmp(&w->lease, lease, sizeof *lease) == 0;
    (void)pthread_mutex_unlock(&w->lock);
    return own;
}

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

/* Something was asked of a run of ours: the driver finds out which. */
static void look_at_own(struct kedge_worker *w, const struct kedge_lease *lease)
{
    (void)pthread_mutex_lock(&w->lock);
    if (memcmp(&lease->id, &w->lease, sizeof w->lease) == 0 && lease->attention != w->attention) {
        w->attention = lease->attention;
        kedge_reconcile_in(w, 0);
        kedge_worker_tell_loop(w);
    }
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

            look_at_own(w, lease);
            if ((lease->state == KEDGE_LEASE_LAPSED ||
                 (lease->state == KEDGE_LEASE_LIVE && lease->hint == KEDGE_HINT_ABSENT)) &&
                !is_own(w, &lease->id))
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
    struct kedge_buf *bufs[2];
    struct kedge_bytes records[2];
    size_t n_records;
    bool stuck;
};

static bool add_record(struct kedge_worker *w, struct recovery *r, const struct kedge_rec *rec)
{
    struct kedge_buf *buf = kedge_record_encode(w->host, rec);

    if (buf == NULL)
        return false;
    r->bufs[r->n_records] = buf;
    r->records[r->n_records++] = (struct kedge_bytes){ buf->data, buf->len };
    return true;
}

static void drop_records(struct kedge_worker *w, struct recovery *r)
{
    while (r->n_records > 0)
        kedge_buf_drop(w->host, r->bufs[--r->n_records]);
}

/*
 * Too many recoveries without progress.  Forward that turns the run back.  On the way back it ends
 * here, stuck: who takes it dies, perhaps while reading it.  False: no memory.
 */
static bool add_crash_loop(struct kedge_worker *w, const struct kedge_run *run, struct recovery *r)
{
    struct kedge_rec loop = { .kind = KEDGE_RECORD_CRASH_LOOP,
                              .step = KEDGE_NO_STEP,
                              .number = run->recoveries + UINT64_C(1) };
    struct kedge_rec end = { .kind = KEDGE_RECORD_END,
                             .status = KEDGE_STUCK,
                             .step = KEDGE_NO_STEP,
                             .text = kedge_text("crash loop") };

    /* Who ends a child fills its slot, which takes its result: not from here. */
    r->stuck = run->status == KEDGE_ROLLING_BACK && run->parent_slot == KEDGE_NO_SLOT;
    if (add_record(w, r, &loop) && (!r->stuck || add_record(w, r, &end)))
        return true;
    drop_records(w, r);
    r->stuck = false;
    return false;
}

/* Due in DUE_IN, or (0) since long, before all that waits; and one recovery charged.  Or, after too
   many of them, with a record that says so.
 */
static void form_recovery(struct kedge_worker *w, const struct kedge_run *run, int64_t due_in,
                          struct recovery *r, struct kedge_commit *commit)
{
    size_t n = 0;

    memset(r, 0, sizeof *r);
    r->guard = (struct kedge_guard){ .kind = KEDGE_GUARD_UNHELD,
                                     .statuses = KEDGE_STATUSES_UNFINISHED,
                                     .name = run->id,
                                     .number = run->revision };
    if (run->recoveries + 1 > w->options.crash_limit && add_crash_loop(w, run, r)) {
        r->changes[n].kind = KEDGE_APPEND;
        r->changes[n].append.records = r->records;
        r->changes[n].append.n = r->n_records;
        r->changes[n++].append.first = run->position + 1;
        if (!r->stuck) {
            r->changes[n].kind = KEDGE_SET;
            r->changes[n].set.mask = KEDGE_SET_STATUS;
            r->changes[n++].set.status = KEDGE_ROLLING_BACK;
        }
    } else {
        r->changes[n].kind = KEDGE_SET;
        r->changes[n].set.mask = KEDGE_SET_RECOVERIES;
        r->changes[n++].set.recoveries = run->recoveries + 1;
    }
    r->changes[n].kind = KEDGE_RELEASE;
    r->changes[n].release.place = r->stuck ? KEDGE_PLACE_REST : KEDGE_PLACE_DUE;
    if (r->stuck)
        r->changes[n++].release.status = KEDGE_STUCK;
    else
        r->changes[n++].release.when =
            due_in > 0 ? kedge_in_us(due_in) : (struct kedge_when){ run->created, KEDGE_AT, 0 };
    for (size_t i = 0; i < n; i++)
        r->changes[i].name = run->id;
    *commit = (struct kedge_commit){
        .guards = &r->guard, .n_guards = 1, .changes = r->changes, .n_changes = n
    };
    (void)pthread_mutex_lock(&w->lock);
    kedge_worker_random(w, &commit->request);
    (void)pthread_mutex_unlock(&w->lock);
}

/* Is it in flight here, under a lease that died?  Then it will be taken anew, or is about to be. */
static bool is_here(struct kedge_worker *w, const struct kedge_run *run)
{
    bool here = false;

    (void)pthread_mutex_lock(&w->lock);
    for (const struct kedge_inflight *r = w->runs; r != NULL && !here; r = r->next)
        here = r->fence == run->fence && r->id.len == run->id.len &&
               memcmp(r->id.data, run->id.data, run->id.len) == 0;
    (void)pthread_mutex_unlock(&w->lock);
    return here;
}

/* Bury whoever holds an expired run and was not in the list of leases, or lapsed since. */
static bool ripe(struct kedge_worker *w, void *session, const struct kedge_run *run,
                 uint32_t reason)
{
    if (is_here(w, run))
        return false;
    if (reason != KEDGE_SWEEP_LAPSED)
        return true;
    return !is_own(w, &run->holder) &&
           w->ops->lease_bury(session, &run->holder, w->options.timeout_us, NULL) == KEDGE_OK;
}

static void count_recovered(struct kedge_worker *w, const struct kedge_run *run, bool stuck)
{
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
    if (stuck)
        kedge_store_run_ended(w->store, run->id);
}

/* 0 .. MOST - 1; when many become due at once, so that not all go to the first who claims. */
static int64_t random_below(struct kedge_worker *w, int64_t most)
{
    struct kedge_id128 random;
    uint64_t n;

    if (most <= 0)
        return 0;
    (void)pthread_mutex_lock(&w->lock);
    kedge_worker_random(w, &random);
    (void)pthread_mutex_unlock(&w->lock);
    memcpy(&n, random.b + 8, sizeof n);
    return (int64_t)(n % (uint64_t)most);
}

/* One page of runs nobody holds any more.  Answers how many were made due. */
static size_t recover_page(struct kedge_worker *w, void *session, int64_t spread,
                           const struct kedge_run_page *page)
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
        form_recovery(w, runs[n], random_below(w, spread), &all[n], &commits[n]);
        n++;
    }
    if (n == 0)
        return 0;
    memset(answers, 0, sizeof answers);
    rc = w->ops->commit(session, commits, n, answers, w->options.timeout_us, NULL);
    for (size_t i = 0; i < n; i++) {
        if (rc == KEDGE_OK && answers[i].outcome == KEDGE_OK) {
            count_recovered(w, runs[i], all[i].stuck);
            made++;
        }
        drop_records(w, &all[i]);
    }
    return made;
}

static void recover(struct kedge_worker *w, void *session)
{
    struct kedge_bytes cursor = { NULL, 0 };
    struct kedge_mem *old = NULL;
    int64_t spread = 0;
    size_t all = 0;

    do { /* page by page, so that those whose time has not come hide nobody */
        struct kedge_run_page page = { 0 };

        if (w->ops->list_expired(session, cursor, RECOVER_MOST, &page, w->options.timeout_us,
                                 NULL) != KEDGE_OK)
            break;
        kedge_mem_free(w->host, old);
        old = page.mem;
        if (page.n > 0)
            all += recover_page(w, session, spread, &page);
        if (all >= RECOVER_MASS && spread < SPREAD_MOST)
            spread += SPREAD_US;
        cursor = page.next;
    } while (cursor.len > 0);
    kedge_mem_free(w->host, old);
    if (all > 0) {
        (void)pthread_mutex_lock(&w->lock);
        kedge_worker_tell_loop(w);
        (void)pthread_mutex_unlock(&w->lock);
    }
}

int64_t kedge_keeper_look(struct kedge_worker *w, void *session)
{
    int64_t again = w->options.look_us;

    (void)kedge_keeper_queues(w, session, NULL);
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
        if (now >= next_look)
            next_look = real_now() + jittered(w, kedge_keeper_look(w, w->keeper_session));
        if (now >= next_upkeep) {
            upkeep(w, w->keeper_session);
            next_upkeep = real_now() + jittered(w, w->options.sweep_us);
        }
        listen(w, &seen, next_look);
    }
}
