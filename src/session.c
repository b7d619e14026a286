/* session.c - a cache of backend sessions, and the list of those who wait for a run */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kassert.h"
#include "session.h"

/* ------------------------------------------------------------------- clock */

int64_t kedge_monotonic_us(void)
{
    struct timespec ts;
    int rc = clock_gettime(CLOCK_MONOTONIC, &ts);

    KEDGE_ASSERT(rc == 0);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void kedge_sleep_us(int64_t us)
{
    struct timespec ts = { .tv_sec = (time_t)(us / 1000000),
                           .tv_nsec = (long)(us % 1000000) * 1000 };

    (void)nanosleep(&ts, NULL);
}

int64_t kedge_deadline(int64_t timeout_us)
{
    int64_t now = kedge_monotonic_us();

    return timeout_us < INT64_MAX - now ? now + timeout_us : INT64_MAX;
}

/* A condition whose timed wait goes by the monotonic clock. */
static int cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc != 0)
        return rc;
    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    return rc;
}

/* 0, or ETIMEDOUT. */
static int cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline)
{
    struct timespec ts = { .tv_sec = (time_t)(deadline / 1000000),
                           .tv_nsec = (long)(deadline % 1000000 * 1000) };

    return pthread_cond_timedwait(cond, lock, &ts);
}

/* ---------------------------------------------------------------- sessions */

/* More than so many idle ones are not worth a reader's slot each. */
#define IDLE_MAX 32

/* For whoever has no timeout of his own. */
#define GET_TIMEOUT_US INT64_C(10000000)

struct kedge_sessions {
    const struct kedge_host *host;
    pid_t pid; /* whose they are */
    pthread_mutex_t lock;
    pthread_cond_t put; /* for backends with one session at a time */
    size_t n_idle;
    size_t n_out; /* handed out now */
    void *idle[IDLE_MAX];
};

struct kedge_sessions *kedge_sessions_new(const struct kedge_host *host)
{
    struct kedge_sessions *s = host->alloc(host->ctx, sizeof *s);

    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof *s);
    s->host = host;
    s->pid = getpid();
    if (pthread_mutex_init(&s->lock, NULL) != 0) {
        host->release(host->ctx, s);
        return NULL;
    }
    if (cond_init(&s->put) != 0) {
        (void)pthread_mutex_destroy(&s->lock);
        host->release(host->ctx, s);
        return NULL;
    }
    return s;
}

void kedge_sessions_free(struct kedge_sessions *sessions, const struct kedge_backend_ops *ops)
{
    if (sessions == NULL)
        return;
    if (sessions->pid == getpid()) { /* else threads of the parent may be using them */
        while (sessions->n_idle > 0)
            ops->session_close(sessions->idle[--sessions->n_idle]);
        (void)pthread_cond_destroy(&sessions->put);
        (void)pthread_mutex_destroy(&sessions->lock);
    }
    sessions->host->release(sessions->host->ctx, sessions);
}

int kedge_session_check(struct kedge_store *store, struct kedge_error *err)
{
    pid_t pid = kedge_store_sessions(store)->pid;

    if (pid == getpid())
        return KEDGE_OK;
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "the store '%s' was opened by process %ld, before a fork: open it anew "
                           "in the child",
                           kedge_store_url(store), (long)pid);
}

/* Under the lock: wait until no session is out. */
static int wait_for_the_one(struct kedge_sessions *s, int64_t timeout_us, struct kedge_error *err)
{
    int64_t deadline = kedge_deadline(timeout_us);

    while (s->n_out > 0) {
        if (cond_wait_until(&s->put, &s->lock, deadline) == ETIMEDOUT && s->n_out > 0)
            return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                                   "the store has one session at a time, and it stayed in use");
    }
    return KEDGE_OK;
}

int kedge_session_get_timed(struct kedge_store *store, void **session, int64_t timeout_us,
                            struct kedge_error *err)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_sessions *s = kedge_store_sessions(store);
    void *found = NULL;
    int rc = kedge_session_check(store, err);

    if (rc != KEDGE_OK)
        return rc;
    (void)pthread_mutex_lock(&s->lock);
    if (ops->threads == KEDGE_THREADS_ONE)
        rc = wait_for_the_one(s, timeout_us, err);
    if (rc == KEDGE_OK) {
        s->n_out++;
        if (s->n_idle > 0)
            found = s->idle[--s->n_idle];
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (rc != KEDGE_OK)
        return rc;
    if (found == NULL) {
        rc = ops->session_open(kedge_store_handle(store), &found, err);
        if (rc != KEDGE_OK) {
            kedge_session_put(store, NULL);
            return rc;
        }
    }
    *session = found;
    return KEDGE_OK;
}

int kedge_session_get(struct kedge_store *store, void **session, struct kedge_error *err)
{
    return kedge_session_get_timed(store, session, GET_TIMEOUT_US, err);
}

void kedge_session_put(struct kedge_store *store, void *session)
{
    struct kedge_sessions *s = kedge_store_sessions(store);

    (void)pthread_mutex_lock(&s->lock);
    KEDGE_ASSERT(s->n_out > 0);
    s->n_out--;
    if (session != NULL && s->n_idle < IDLE_MAX) {
        s->idle[s->n_idle++] = session;
        session = NULL;
    }
    (void)pthread_cond_signal(&s->put);
    (void)pthread_mutex_unlock(&s->lock);
    if (session != NULL)
        kedge_store_ops(store)->session_close(session);
}

/* ----------------------------------------------------------------- waiters */

/*
 * One table for the process: two handles may be of one store, and a waiter that is woken for a run
 * of the same name elsewhere just looks once more.
 */
#define N_BUCKETS 64

static struct bucket {
    pthread_mutex_t lock;
    struct kedge_waiter *first;
} buckets[N_BUCKETS];

static pthread_once_t buckets_once = PTHREAD_ONCE_INIT;
static _Atomic size_t n_waiters;

/* A child has none of the threads that wait, or hold a lock. */
static void buckets_clear(void)
{
    memset(buckets, 0, sizeof buckets);
    atomic_store(&n_waiters, 0);
    for (size_t i = 0; i < N_BUCKETS; i++)
        (void)pthread_mutex_init(&buckets[i].lock, NULL);
}

static void buckets_init(void)
{
    buckets_clear();
    (void)pthread_atfork(NULL, NULL, buckets_clear);
}

static struct bucket *bucket_of(struct kedge_bytes id)
{
    const unsigned char *p = id.data;
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < id.len; i++)
        h = (h ^ p[i]) * 16777619u;
    return &buckets[(h ^ (h >> 15)) % N_BUCKETS];
}

/*
 * The commit comes before the load here, and begin() before the look at the run there; the store
 * orders commit and look.  So either the look finds the run at rest, or the load finds the waiter.
 */
void kedge_store_run_ended(struct kedge_store *store, struct kedge_bytes id)
{
    struct bucket *b;

    (void)store;
    if (atomic_load(&n_waiters) == 0)
        return;
    (void)pthread_once(&buckets_once, buckets_init);
    b = bucket_of(id);
    (void)pthread_mutex_lock(&b->lock);
    for (struct kedge_waiter *w = b->first; w != NULL; w = w->next) {
        if (w->id.len == id.len && memcmp(w->id.data, id.data, id.len) == 0) {
            w->woken = true;
            (void)pthread_cond_signal(&w->cond);
        }
    }
    (void)pthread_mutex_unlock(&b->lock);
}

int kedge_waiter_begin(struct kedge_waiter *waiter, struct kedge_bytes id, struct kedge_error *err)
{
    struct bucket *b;
    int rc = cond_init(&waiter->cond);

    if (rc != 0)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, rc, "out of memory");
    (void)pthread_once(&buckets_once, buckets_init);
    waiter->id = id;
    waiter->woken = false;
    b = bucket_of(id);
    (void)pthread_mutex_lock(&b->lock);
    waiter->next = b->first;
    b->first = waiter;
    (void)pthread_mutex_unlock(&b->lock);
    (void)atomic_fetch_add(&n_waiters, 1);
    return KEDGE_OK;
}

void kedge_waiter_sleep(struct kedge_waiter *waiter, int64_t timeout_us)
{
    int64_t deadline = kedge_deadline(timeout_us);
    struct bucket *b = bucket_of(waiter->id);

    (void)pthread_mutex_lock(&b->lock);
    while (!waiter->woken) {
        if (cond_wait_until(&waiter->cond, &b->lock, deadline) == ETIMEDOUT)
            break;
    }
    waiter->woken = false;
    (void)pthread_mutex_unlock(&b->lock);
}

void kedge_waiter_end(struct kedge_waiter *waiter)
{
    struct bucket *b = bucket_of(waiter->id);
    struct kedge_waiter **at = &b->first;

    (void)atomic_fetch_sub(&n_waiters, 1);
    (void)pthread_mutex_lock(&b->lock);
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    (void)pthread_mutex_unlock(&b->lock);
    (void)pthread_cond_destroy(&waiter->cond);
}
