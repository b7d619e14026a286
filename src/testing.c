/*
 * testing.c - stores for tests: a clock that is moved by hand, and handles that die
 *
 *   I1  A doomed handle has one number, its writing calls so far.  It is dead from the moment that
 *       number reaches K: no call that begins later reaches the store, and no answer that comes
 *       later is seen, whichever thread waits for it.  With KILL the process goes at that point:
 *       the K-th call takes it along, and every other thread that comes here waits for that.
 *   I2  A doomed handle owns a handle of its own underneath; closing the one closes the other.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <kedge/backend.h>
#include <kedge/testing.h>

#include "kassert.h"
#include "session.h"
#include "store.h"
#include "testing.h"

/* 2020-01-01T00:00:00Z: as good as any, and no test may come to depend on today. */
#define BEGIN_US INT64_C(1577836800000000)

/* A dead store is asked again and again; whoever asks must not keep a processor busy with it. */
#define DEAD_WAIT_US INT64_C(5000)

struct kedge_testing {
    struct kedge_host host; /* MANUAL only */
    _Atomic int64_t now;
    bool manual;
    bool ours; /* nobody else knows the store's name: it goes when this is closed */
    char *url;
    struct kedge_store *anchor; /* open all the time */
    kedge_testing_log_fn *log;  /* NULL: as everywhere */
    void *log_ctx;
};

/* ------------------------------------------------------------ a doomed handle */

struct doomed {
    struct kedge_registered backend; /* the operations of this handle, which end with it */
    struct kedge_store *below;
    const struct kedge_backend_ops *ops; /* of `below' */
    const struct kedge_host *host;
    uint64_t k;
    uint32_t when; /* BEFORE or AFTER */
    bool kill;
    _Atomic uint64_t calls;
    /* Watched (testing.h); before anything uses the handle. */
    kedge_testing_watch_fn *watch;
    void *watch_ctx;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool told;
};

struct session {
    struct doomed *store;
    void *below;
};

static bool is_dead(const struct doomed *d)
{
    return atomic_load(&d->calls) >= d->k;
}

static int died(const struct doomed *d, struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0, "this handle died at call %" PRIu64,
                           d->k);
}

static _Noreturn void await_death(void)
{
    for (;;)
        (void)pause();
}

static _Noreturn void perish(void)
{
    (void)kill(getpid(), SIGKILL);
    await_death();
}

/* What a call may do to the store, and whether it gets there. */
enum effect { READS, WRITES };
enum passage { REFUSED, PASSES, LAST };

static enum passage enter(struct session *s, enum effect effect)
{
    struct doomed *d = s->store;
    uint64_t n;

    if (is_dead(d)) { /* a count of what the dead tried would mean nothing */
        if (d->kill)
            await_death();
        return REFUSED;
    }
    if (effect == READS)
        return PASSES;
    n = atomic_fetch_add(&d->calls, 1) + 1;
    if (d->watch != NULL && n <= d->k)
        d->watch(d->watch_ctx, n);
    if (n < d->k)
        return PASSES;
    if (d->kill && n > d->k)
        await_death();
    if (d->kill && d->when == KEDGE_TESTING_BEFORE)
        perish();
    /* Threads that wait in the store are to hear of it now.  To others it is a hint in vain. */
    if (n == d->k && !d->kill)
        (void)d->ops->notify(s->below, NULL);
    return n == d->k && d->when == KEDGE_TESTING_AFTER ? LAST : REFUSED;
}

/* The store has answered: is the answer not to be seen? */
static bool unseen(const struct doomed *d, enum passage passage)
{
    if (!is_dead(d))
        return false;
    if (d->kill && passage == LAST)
        perish();
    if (d->kill)
        await_death();
    return true;
}

static void wait_in_vain(int64_t us)
{
    struct timespec ts = { 0, (long)(us < DEAD_WAIT_US ? us : DEAD_WAIT_US) * 1000 };

    while (us > 0 && nanosleep(&ts, &ts) != 0 && errno == EINTR)
        ;
}

/* An operation without output. */
#define PASS(op, effect, params, args)                                                             \
    static int doomed_##op params                                                                  \
    {                                                                                              \
        struct session *s = session;                                                               \
        enum passage passage = enter(s, effect);                                                   \
        int rc;                                                                                    \
                                                                                                   \
        if (passage == REFUSED)                                                                    \
            return died(s->store, err);                                                            \
        rc = s->store->ops->op args;                                                               \
        return unseen(s->store, passage) ? died(s->store, err) : rc;                               \
    }

/*
 * An operation with an output, which stays unwritten when the answer is not to be seen.  HELD is
 * the one refusal that comes with an output.
 */
#define PASS_OUT(op, effect, type, release, params, args)                                          \
    static int doomed_##op params                                                                  \
    {                                                                                              \
        struct session *s = session;                                                               \
        enum passage passage = enter(s, effect);                                                   \
        type answer;                                                                               \
        int rc;                                                                                    \
                                                                                                   \
        memset(&answer, 0, sizeof answer);                                                         \
        if (passage == REFUSED)                                                                    \
            return died(s->store, err);                                                            \
        rc = s->store->ops->op args;                                                               \
        if (unseen(s->store, passage)) {                                                           \
            release(s->store->host, answer);                                                       \
            return died(s->store, err);                                                            \
        }                                                                                          \
        if (rc == KEDGE_OK || rc == KEDGE_HELD)                                                    \
            *out = answer;                                                                         \
        return rc;                                                                                 \
    }

#define MEMORY(host, answer)  kedge_mem_free(host, (answer).mem)
#define NOTHING(host, answer) ((void)(answer))

#define TAIL int64_t timeout_us, struct kedge_error *err

PASS_OUT(info, READS, struct kedge_info, MEMORY, (void *session, struct kedge_info *out, TAIL),
         (s->below, &answer, timeout_us, err))
PASS_OUT(now, READS, struct kedge_time, NOTHING, (void *session, struct kedge_time *out, TAIL),
         (s->below, &answer, timeout_us, err))
PASS_OUT(lease_grant, WRITES, struct kedge_lease_state, NOTHING,
         (void *session, const struct kedge_lease_new *in, struct kedge_lease_state *out, TAIL),
         (s->below, in, &answer, timeout_us, err))
PASS_OUT(lease_extend, WRITES, struct kedge_lease_state, NOTHING,
         (void *session, const struct kedge_id128 *lease, struct kedge_lease_state *out, TAIL),
         (s->below, lease, &answer, timeout_us, err))
PASS(lease_revoke, WRITES, (void *session, const struct kedge_id128 *lease, TAIL),
     (s->below, lease, timeout_us, err))
PASS(lease_bury, WRITES, (void *session, const struct kedge_id128 *lease, TAIL),
     (s->below, lease, timeout_us, err))
PASS_OUT(lease_list, READS, struct kedge_lease_page, MEMORY,
         (void *session, struct kedge_bytes cursor, size_t limit, struct kedge_lease_page *out,
          TAIL),
         (s->below, cursor, limit, &answer, timeout_us, err))
PASS_OUT(list_held, READS, struct kedge_held_page, MEMORY,
         (void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor, size_t limit,
          struct kedge_held_page *out, TAIL),
         (s->below, lease, cursor, limit, &answer, timeout_us, err))
PASS_OUT(lock_acquire, WRITES, struct kedge_lock_state, NOTHING,
         (void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
          const struct kedge_id128 *request, struct kedge_lock_state *out, TAIL),
         (s->below, name, lease, request, &answer, timeout_us, err))
PASS_OUT(lock_extend, WRITES, struct kedge_lock_state, NOTHING,
         (void *session, struct kedge_bytes name, const struct kedge_id128 *lease, uint64_t fence,
          struct kedge_lock_state *out, TAIL),
         (s->below, name, lease, fence, &answer, timeout_us, err))
PASS(lock_release, WRITES,
     (void *session, struct kedge_bytes name, const struct kedge_id128 *lease, uint64_t fence,
      TAIL),
     (s->below, name, lease, fence, timeout_us, err))
PASS_OUT(lock_query, READS, struct kedge_lock_state, NOTHING,
         (void *session, struct kedge_bytes name, struct kedge_lock_state *out, TAIL),
         (s->below, name, &answer, timeout_us, err))
PASS_OUT(claim, WRITES, struct kedge_run_page, MEMORY,
         (void *session, const struct kedge_claim *in, struct kedge_run_page *out, TAIL),
         (s->below, in, &answer, timeout_us, err))
PASS_OUT(retrieve, READS, struct kedge_run_state, MEMORY,
         (void *session, const struct kedge_retrieve *in, struct kedge_run_state *out, TAIL),
         (s->below, in, &answer, timeout_us, err))
PASS_OUT(retrieve_records, READS, struct kedge_record_page, MEMORY,
         (void *session, struct kedge_bytes id, uint64_t incarnation, uint64_t first, size_t limit,
          size_t bytes_max, struct kedge_record_page *out, TAIL),
         (s->below, id, incarnation, first, limit, bytes_max, &answer, timeout_us, err))
PASS_OUT(retrieve_slots, READS, struct kedge_slot_page, MEMORY,
         (void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set, uint32_t first,
          size_t limit, struct kedge_slot_page *out, TAIL),
         (s->below, id, incarnation, set, first, limit, &answer, timeout_us, err))
PASS_OUT(list_expired, READS, struct kedge_run_page, MEMORY,
         (void *session, struct kedge_bytes cursor, size_t limit, struct kedge_run_page *out, TAIL),
         (s->below, cursor, limit, &answer, timeout_us, err))
PASS_OUT(list, READS, struct kedge_run_page, MEMORY,
         (void *session, const struct kedge_list *in, struct kedge_run_page *out, TAIL),
         (s->below, in, &answer, timeout_us, err))
PASS_OUT(cell_get, READS, struct kedge_cell, MEMORY,
         (void *session, struct kedge_bytes name, struct kedge_cell *out, TAIL),
         (s->below, name, &answer, timeout_us, err))
PASS_OUT(purge, WRITES, struct kedge_purged, NOTHING,
         (void *session, size_t limit, struct kedge_purged *out, TAIL),
         (s->below, limit, &answer, timeout_us, err))
PASS_OUT(verify, READS, struct kedge_verified, MEMORY,
         (void *session, struct kedge_verified *out, TAIL), (s->below, &answer, timeout_us, err))

/* -- a watched handle hears of what is told through itself, and of nothing else -- */

static void tell_watched(struct doomed *d)
{
    (void)pthread_mutex_lock(&d->lock);
    d->told = true;
    (void)pthread_cond_broadcast(&d->cond);
    (void)pthread_mutex_unlock(&d->lock);
}

static int wait_watched(struct doomed *d, int64_t timeout_us)
{
    struct timespec until;
    bool told;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_us / 1000000);
    until.tv_nsec += (long)(timeout_us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_mutex_lock(&d->lock);
    while (!d->told && pthread_cond_timedwait(&d->cond, &d->lock, &until) == 0)
        ;
    told = d->told;
    d->told = false;
    (void)pthread_mutex_unlock(&d->lock);
    return told ? KEDGE_OK : KEDGE_QUIET;
}

static int doomed_notify(void *session, struct kedge_error *err)
{
    struct session *s = session;
    struct doomed *d = s->store;
    int rc;

    if (d->watch != NULL)
        tell_watched(d);
    if (!enter(s, READS))
        return died(d, err);
    rc = d->ops->notify(s->below, err);
    return is_dead(d) ? died(d, err) : rc;
}

/* Nobody waits in a dead store, and nobody spins on one. */
static int doomed_wait(void *session, uint64_t seen, uint64_t *ticket, TAIL)
{
    struct session *s = session;
    uint64_t answer;
    int rc;

    if (s->store->watch != NULL) {
        rc = wait_watched(s->store, timeout_us);
        if (is_dead(s->store))
            return died(s->store, err);
        if (rc == KEDGE_OK)
            *ticket = seen;
        return rc;
    }
    if (enter(s, READS) == REFUSED) {
        wait_in_vain(timeout_us);
        return died(s->store, err);
    }
    rc = s->store->ops->wait(s->below, seen, &answer, timeout_us, err);
    if (unseen(s->store, PASSES))
        return died(s->store, err);
    if (rc == KEDGE_OK)
        *ticket = answer;
    return rc;
}

/* The answers are not to be seen, and what was written in the caller's memory neither. */
static int died_in_commit(const struct doomed *d, const struct kedge_commit *commits, size_t n,
                          struct kedge_answer *answers, struct kedge_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (commits[i].results != NULL)
            memset(commits[i].results, 0, commits[i].n_changes * sizeof *commits[i].results);
        answers[i] = (struct kedge_answer){ .outcome = KEDGE_ERR_UNAVAILABLE };
        (void)snprintf(answers[i].why, sizeof answers[i].why, "this handle died at call %" PRIu64,
                       d->k);
    }
    return died(d, err);
}

static int doomed_commit(void *session, const struct kedge_commit *commits, size_t n,
                         struct kedge_answer *answers, TAIL)
{
    struct session *s = session;
    enum passage passage = enter(s, WRITES);
    int rc;

    if (passage == REFUSED)
        return died_in_commit(s->store, commits, n, answers, err);
    rc = s->store->ops->commit(s->below, commits, n, answers, timeout_us, err);
    return unseen(s->store, passage) ? died_in_commit(s->store, commits, n, answers, err) : rc;
}

static int doomed_session_open(void *store, void **session, struct kedge_error *err)
{
    struct doomed *d = store;
    struct session *s;
    int rc;

    if (unseen(d, PASSES))
        return died(d, err);
    s = malloc(sizeof *s);
    if (s == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    s->store = d;
    rc = d->ops->session_open(kedge_store_handle(d->below), &s->below, err);
    if (rc != KEDGE_OK) {
        free(s);
        return rc;
    }
    *session = s;
    return KEDGE_OK;
}

static void doomed_session_close(void *session)
{
    struct session *s = session;

    if (s == NULL)
        return;
    s->store->ops->session_close(s->below);
    free(s);
}

/* The table is that of one handle; a handle from elsewhere would not fit it. */
static int doomed_store_open(const struct kedge_host *host, const struct kedge_open *open,
                             void **store, struct kedge_error *err)
{
    (void)host;
    (void)open;
    (void)store;
    return kedge_error_set(err, KEDGE_ERR_UNSUPPORTED, 0, "a doomed handle opens no other");
}

static int doomed_store_drop(const struct kedge_host *host, const struct kedge_open *open,
                             struct kedge_error *err)
{
    (void)host;
    (void)open;
    return kedge_error_set(err, KEDGE_ERR_UNSUPPORTED, 0, "a doomed handle drops nothing");
}

static int doomed_schema_script(const struct kedge_host *host, const struct kedge_open *open,
                                struct kedge_script *out, struct kedge_error *err)
{
    (void)host;
    (void)open;
    (void)out;
    return kedge_error_set(err, KEDGE_ERR_UNSUPPORTED, 0, "a doomed handle prints nothing");
}

static void doomed_store_close(void *store)
{
    struct doomed *d = store;

    if (d == NULL)
        return;
    kedge_store_close(d->below);
    if (d->watch != NULL) {
        (void)pthread_cond_destroy(&d->cond);
        (void)pthread_mutex_destroy(&d->lock);
    }
    free(d);
}

/* Limits, name and capabilities stay those of the backend, and what it lacks stays a stub. */
static void fill_table(struct kedge_backend *be, const struct kedge_backend_ops *ops)
{
    bool verify;
    bool wait;

    be->ops = *ops;
    be->limits = *ops->limits;
    be->ops.limits = &be->limits;
    verify = kedge_backend_has_verify(be);
    wait = kedge_backend_has_wait(be);
    be->ops.store_open = doomed_store_open;
    be->ops.store_close = doomed_store_close;
    be->ops.store_drop = doomed_store_drop;
    be->ops.schema_script = doomed_schema_script;
    be->ops.session_open = doomed_session_open;
    be->ops.session_close = doomed_session_close;
    be->ops.info = doomed_info;
    be->ops.now = doomed_now;
    be->ops.lease_grant = doomed_lease_grant;
    be->ops.lease_extend = doomed_lease_extend;
    be->ops.lease_revoke = doomed_lease_revoke;
    be->ops.lease_bury = doomed_lease_bury;
    be->ops.lease_list = doomed_lease_list;
    be->ops.list_held = doomed_list_held;
    be->ops.lock_acquire = doomed_lock_acquire;
    be->ops.lock_extend = doomed_lock_extend;
    be->ops.lock_release = doomed_lock_release;
    be->ops.lock_query = doomed_lock_query;
    be->ops.commit = doomed_commit;
    be->ops.claim = doomed_claim;
    be->ops.retrieve = doomed_retrieve;
    be->ops.retrieve_records = doomed_retrieve_records;
    be->ops.retrieve_slots = doomed_retrieve_slots;
    be->ops.list_expired = doomed_list_expired;
    be->ops.list = doomed_list;
    be->ops.cell_get = doomed_cell_get;
    be->ops.purge = doomed_purge;
    if (verify)
        be->ops.verify = doomed_verify;
    if (wait) {
        be->ops.wait = doomed_wait;
        be->ops.notify = doomed_notify;
    }
}

int kedge_testing_doomed(struct kedge_testing *testing, uint64_t k, uint32_t when,
                         struct kedge_store **store, struct kedge_error *err)
{
    struct doomed *d;
    int rc;

    if (testing == NULL || store == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument '%s' is NULL",
                               testing == NULL ? "testing" : "store");
    if (k == 0 || (when & ~KEDGE_TESTING_KILL) > KEDGE_TESTING_AFTER)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               k == 0 ? "k is 0; the first call is 1"
                                      : "when is neither BEFORE nor AFTER, with KILL or without");
    d = calloc(1, sizeof *d);
    if (d == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    d->k = k;
    d->when = when & ~KEDGE_TESTING_KILL;
    d->kill = (when & KEDGE_TESTING_KILL) != 0;
    atomic_init(&d->calls, 0);
    rc = kedge_testing_store(testing, &d->below, err);
    if (rc == KEDGE_OK) {
        d->ops = kedge_store_ops(d->below);
        d->host = kedge_store_host(d->below);
        fill_table(&d->backend.backend, d->ops);
        rc = kedge_store_wrap(&d->backend, d, d->below, store, err);
    }
    if (rc != KEDGE_OK)
        doomed_store_close(d);
    return rc;
}

/* NULL: STORE is a handle like any other. */
static const struct doomed *doomed_of(const struct kedge_store *store)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);

    if (ops->session_open != doomed_session_open)
        return NULL;
    return (const void *)((const char *)ops - offsetof(struct doomed, backend.backend.ops));
}

int kedge_testing_dead(const struct kedge_store *doomed)
{
    const struct doomed *d = doomed_of(doomed);

    return d != NULL && is_dead(d) ? 1 : 0;
}

uint64_t kedge_testing_calls(const struct kedge_store *doomed)
{
    const struct doomed *d = doomed_of(doomed);
    uint64_t calls = d != NULL ? atomic_load(&d->calls) : 0;

    /* Threads that came together with the last one have counted on. */
    return d != NULL && calls > d->k ? d->k : calls;
}

/* What doomed_of() finds is ours: it is const for those who only look. */
static struct doomed *doomed_for(const struct kedge_store *store)
{
    return (struct doomed *)(uintptr_t)doomed_of(store);
}

int kedge_testing_watch(struct kedge_store *doomed, kedge_testing_watch_fn *watch, void *ctx)
{
    struct doomed *d = doomed_for(doomed);
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    KEDGE_ASSERT(d != NULL);
    if (rc != 0)
        return KEDGE_ERR_NOMEM;
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = pthread_mutex_init(&d->lock, NULL);
    if (rc == 0 && pthread_cond_init(&d->cond, &attr) != 0) {
        (void)pthread_mutex_destroy(&d->lock);
        rc = ENOMEM;
    }
    (void)pthread_condattr_destroy(&attr);
    if (rc != 0)
        return KEDGE_ERR_NOMEM;
    d->watch_ctx = ctx;
    d->watch = watch;
    return KEDGE_OK;
}

void kedge_testing_die(struct kedge_store *doomed)
{
    struct doomed *d = doomed_for(doomed);

    KEDGE_ASSERT(d != NULL);
    atomic_store(&d->calls, d->k);
}

/* ------------------------------------------------------------ clock and store */

static void log_text(void *ctx, int level, const char *text)
{
    const struct kedge_testing *t = ctx;
    const struct kedge_host *host = kedge_host_default();

    if (t->log != NULL)
        t->log(t->log_ctx, level, text);
    else
        host->log(host->ctx, level, text);
}

void kedge_testing_log(struct kedge_testing *testing, kedge_testing_log_fn *log, void *ctx)
{
    testing->log_ctx = ctx;
    testing->log = log;
}

static int64_t manual_clock(void *ctx, uint32_t which)
{
    const struct kedge_testing *t = ctx;

    (void)which;
    return atomic_load(&t->now);
}

/* A name in memory that no other has: the handles share it by its name. */
static char *own_url(void)
{
    static _Atomic uint64_t last;
    char url[64];

    (void)snprintf(url, sizeof url, "mem:kedge-testing-%" PRIu64, atomic_fetch_add(&last, 1) + 1);
    return strdup(url);
}

static int open_handle(const struct kedge_testing *t, uint32_t flags, struct kedge_store **store,
                       struct kedge_error *err)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    options.flags = flags;
    options.host = t->manual ? &t->host : NULL;
    return kedge_store_open(t->url, &options, store, err);
}

int kedge_testing_open(const char *url, struct kedge_testing **testing, struct kedge_error *err)
{
    struct kedge_testing *t;
    int rc;

    if (testing == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument 'testing' is NULL");
    t = calloc(1, sizeof *t);
    if (t == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    t->host = *kedge_host_default(); /* its functions need no context, so this one can be ours */
    t->host.ctx = t;
    t->host.clock_us = manual_clock;
    t->host.log = log_text;
    atomic_init(&t->now, BEGIN_US);
    t->manual = url == NULL;
    /* A store without a name would be another one for each handle. */
    t->ours = url == NULL || strcmp(url, "mem:") == 0;
    t->url = t->ours ? own_url() : strdup(url);
    rc = t->url != NULL ? open_handle(t, KEDGE_STORE_CREATE, &t->anchor, err)
                        : kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    if (rc != KEDGE_OK) {
        free(t->url);
        free(t);
        return rc;
    }
    *testing = t;
    return KEDGE_OK;
}

void kedge_testing_close(struct kedge_testing *testing)
{
    const struct kedge_host *host;
    const struct kedge_backend_ops *ops;
    struct kedge_open open = { .struct_size = sizeof open };

    if (testing == NULL)
        return;
    host = kedge_store_host(testing->anchor);
    ops = kedge_store_ops(testing->anchor);
    kedge_store_close(testing->anchor);
    open.url = testing->url;
    open.ns = (struct kedge_bytes){ .data = "default", .len = strlen("default") };
    if (testing->ours && ops->store_drop(host, &open, NULL) == KEDGE_HELD) {
        /* Its handles read this clock: a leak is the smaller harm. */
        host->log(host->ctx, LOG_WARNING,
                  "kedge_testing_close() came before kedge_store_close() of a handle");
        return;
    }
    free(testing->url);
    free(testing);
}

int kedge_testing_store(struct kedge_testing *testing, struct kedge_store **store,
                        struct kedge_error *err)
{
    if (testing == NULL || store == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument '%s' is NULL",
                               testing == NULL ? "testing" : "store");
    return open_handle(testing, 0, store, err);
}

int64_t kedge_testing_now(const struct kedge_testing *testing)
{
    const struct kedge_host *host = kedge_host_default();

    return testing->manual ? atomic_load(&testing->now)
                           : host->clock_us(host->ctx, KEDGE_CLOCK_WALL);
}

/* Who waits for work may be waiting for just this time to come. */
static void wake_all(struct kedge_testing *t)
{
    void *session;

    if (kedge_session_get(t->anchor, &session, NULL) != KEDGE_OK)
        return; /* it costs latency only */
    (void)kedge_store_ops(t->anchor)->notify(session, NULL);
    kedge_session_put(t->anchor, session);
}

int kedge_testing_advance(struct kedge_testing *testing, int64_t us, struct kedge_error *err)
{
    int64_t now;

    if (testing == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument 'testing' is NULL");
    if (!testing->manual)
        return kedge_error_set(err, KEDGE_ERR_UNSUPPORTED, 0,
                               "this store runs on its own clock; one opened with NULL can be "
                               "moved");
    if (us < 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the clock goes forward only");
    now = atomic_load(&testing->now);
    do {
        if (us > INT64_MAX - now)
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the clock cannot go that far");
    } while (!atomic_compare_exchange_weak(&testing->now, &now, now + us));
    wake_all(testing);
    return KEDGE_OK;
}
