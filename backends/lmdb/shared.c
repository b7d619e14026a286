/*
 * shared.c - the page that processes share beside LMDB: write lock, turns, new work
 *
 * The write lock is a robust mutex that is only ever tried: who does not get it sleeps on a futex,
 * with a timeout, which LMDB's own mutex does not have.  Whoever had it last lets one waiter go
 * first.  The ticket is a futex; idle processes sleep on it and are woken by whoever makes a run
 * due.
 */
#include <config.h>

#include "env.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SHARED_MAGIC UINT64_C(0x6b65646765310004) /* "kedge1", layout 4 */

struct lm_shared {
    uint64_t magic;
    uint64_t pid_ns; /* inode numbers of the namespaces of whoever set this up */
    uint64_t time_ns;
    unsigned char boot_id[16];
    pthread_mutex_t write_lock;
    _Atomic uint32_t holder;  /* pid inside the write lock, 0 none */
    _Atomic uint32_t last;    /* pid that had it last */
    _Atomic uint32_t waiting; /* about how many want it; for politeness only */
    _Atomic uint32_t freed;   /* futex: moves when the write lock is let go */
    _Atomic uint32_t asleep;  /* sleepers on `freed' */
    _Atomic uint32_t turns;   /* futex: moves with every acquisition */
    _Atomic uint32_t polite;  /* sleepers on `turns' */
    _Atomic uint32_t ticket;  /* futex: new work */
    _Atomic uint32_t idle;    /* sleepers on `ticket' */
};

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

int64_t lm_mono_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static struct timespec span(int64_t us)
{
    return (struct timespec){ (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };
}

/* ---------------------------------------------------------------- write lock */

#define SLICE_US                                                                                   \
    INT64_C(50000) /* a woken waiter may be stopped before it takes the lock: look again */
#define POLITE_US INT64_C(500)

/*
 * Whoever had the lock last lets one waiter go first: an unlocked mutex goes to who is running, and
 * that is nearly always the process that just released it.
 */
static void let_others(struct lm_shared *s, uint32_t me)
{
    struct timespec ts = span(POLITE_US);
    uint32_t turns = atomic_load(&s->turns);

    if (atomic_load(&s->last) != me || atomic_load(&s->waiting) == 0)
        return;
    atomic_fetch_add(&s->polite, 1);
    if (futex(&s->turns, FUTEX_WAIT, turns, &ts) != 0 && errno == ETIMEDOUT)
        atomic_store(&s->waiting, 0); /* they died or are stopped */
    atomic_fetch_sub(&s->polite, 1);
}

/*
 * Try, sleep until somebody lets go, try again.  A slice bounds the sleep: who was woken may be
 * stopped before it takes the lock, and who holds it may die without a word (trylock then answers
 * EOWNERDEAD).
 */
static int lock_slow(struct lm_shared *s, int64_t deadline_mono)
{
    int64_t left;
    int rc;

    atomic_fetch_add(&s->waiting, 1);
    for (;;) {
        uint32_t seen = atomic_load(&s->freed);
        struct timespec ts;

        rc = pthread_mutex_trylock(&s->write_lock);
        left = deadline_mono - lm_mono_us();
        if (rc != EBUSY || left <= 0)
            break;
        ts = span(left < SLICE_US ? left : SLICE_US);
        atomic_fetch_add(&s->asleep, 1);
        (void)futex(&s->freed, FUTEX_WAIT, seen, &ts);
        atomic_fetch_sub(&s->asleep, 1);
    }
    /* Never below zero: a polite waiter may have given up on us. */
    for (uint32_t n = atomic_load(&s->waiting); n != 0;)
        if (atomic_compare_exchange_weak(&s->waiting, &n, n - 1))
            break;
    return rc;
}

int lm_write_busy(const struct lm_env *env, struct kedge_error *err)
{
    uint32_t holder = atomic_load(&env->shared->holder);

    if (holder == 0 || holder == (uint32_t)env->pid)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, ETIMEDOUT,
                               "store '%s' is busy: the time was up before this could be written",
                               env->dir);
    return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, ETIMEDOUT,
                           "store '%s' is being written by process %" PRIu32
                           ", which does not let go: is it stopped? continue or kill it",
                           env->dir, holder);
}

int lm_write_lock(struct lm_env *env, int64_t deadline_mono, struct kedge_error *err)
{
    struct lm_shared *s = env->shared;
    uint32_t me = (uint32_t)env->pid;
    int rc;

    let_others(s, me);
    rc = pthread_mutex_trylock(&s->write_lock);
    if (rc == EBUSY)
        rc = lock_slow(s, deadline_mono);
    if (rc == EOWNERDEAD) /* it died inside; LMDB undoes what it had begun */
        rc = pthread_mutex_consistent(&s->write_lock);
    if (rc == EBUSY)
        return lm_write_busy(env, err);
    if (rc != 0)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, rc,
                               "the write lock of store '%s' is unusable (error %d): stop every "
                               "process that has the store open, then start again",
                               env->dir, rc);
    atomic_store(&s->holder, me);
    atomic_store(&s->last, me);
    atomic_fetch_add(&s->turns, 1);
    if (atomic_load(&s->polite) != 0)
        (void)futex(&s->turns, FUTEX_WAKE, INT_MAX, NULL);
    return KEDGE_OK;
}

void lm_write_unlock(struct lm_env *env)
{
    struct lm_shared *s = env->shared;

    atomic_store(&s->holder, 0);
    (void)pthread_mutex_unlock(&s->write_lock);
    atomic_fetch_add(&s->freed, 1);
    if (atomic_load(&s->asleep) != 0) /* one that died asleep costs a system call, no more */
        (void)futex(&s->freed, FUTEX_WAKE, 1, NULL);
}

/* ------------------------------------------------------------------ new work */

uint64_t lm_ticket(const struct lm_env *env)
{
    return atomic_load(&env->shared->ticket);
}

void lm_ticket_move(struct lm_env *env)
{
    atomic_fetch_add(&env->shared->ticket, 1);
    if (atomic_load(&env->shared->idle) != 0)
        (void)futex(&env->shared->ticket, FUTEX_WAKE, INT_MAX, NULL);
}

int lm_ticket_wait(struct lm_env *env, uint64_t seen, int64_t deadline_mono)
{
    struct lm_shared *s = env->shared;
    int rc = KEDGE_OK;

    atomic_fetch_add(&s->idle, 1);
    while (atomic_load(&s->ticket) == (uint32_t)seen) {
        int64_t left = deadline_mono - lm_mono_us();
        struct timespec ts;

        if (left <= 0) {
            rc = KEDGE_QUIET;
            break;
        }
        ts = span(left);
        (void)futex(&s->ticket, FUTEX_WAIT, (uint32_t)seen, &ts);
    }
    atomic_fetch_sub(&s->idle, 1);
    return rc;
}

/* ------------------------------------------------------------ open and close */

static uint64_t ns_inode(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static int init_shared(struct lm_shared *s, const struct lm_env *env)
{
    pthread_mutexattr_t attr;
    int rc;

    memset(s, 0, sizeof *s);
    (void)pthread_mutexattr_init(&attr);
    (void)pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    (void)pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    rc = pthread_mutex_init(&s->write_lock, &attr);
    (void)pthread_mutexattr_destroy(&attr);
    s->pid_ns = ns_inode("/proc/self/ns/pid");
    s->time_ns = ns_inode("/proc/self/ns/time");
    memcpy(s->boot_id, env->boot_id, sizeof s->boot_id);
    s->magic = SHARED_MAGIC;
    return rc;
}

/* Somebody else has it open: we must live in the same world. */
static int check_shared(const struct lm_shared *s, const struct lm_env *env,
                        struct kedge_error *err)
{
    if (s->magic != SHARED_MAGIC)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                               "store '%s' is open in a process of another kedge version: stop it "
                               "first",
                               env->dir);
    if (s->pid_ns != ns_inode("/proc/self/ns/pid"))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "store '%s' is open in another pid namespace (container), where "
                               "equal process numbers mean other processes: run all its workers in "
                               "one pid namespace, or use the Redis or PostgreSQL backend",
                               env->dir);
    if (s->time_ns != ns_inode("/proc/self/ns/time"))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "store '%s' is open in another time namespace, whose lease clock "
                               "differs: run all its workers in one time namespace",
                               env->dir);
    return KEDGE_OK;
}

/* I3.  The lock stays for as long as the environment is open. */
int lm_shared_open(struct lm_env *env, bool *alone, struct kedge_error *err)
{
    void *page;
    int rc = 0;

    env->shared_fd = openat(env->dir_fd, "shared", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (env->shared_fd < 0)
        return lm_path_failed("cannot open the shared page of", env->dir, errno, err);
    *alone = flock(env->shared_fd, LOCK_EX | LOCK_NB) == 0;
    if (*alone && posix_fallocate(env->shared_fd, 0, sizeof *env->shared) != 0)
        return lm_path_failed("no room for the shared page of", env->dir, ENOSPC, err);
    page = mmap(NULL, sizeof *env->shared, PROT_READ | PROT_WRITE, MAP_SHARED, env->shared_fd, 0);
    if (page == MAP_FAILED)
        return lm_path_failed("cannot map the shared page of", env->dir, errno, err);
    env->shared = page;
    if (*alone)
        rc = init_shared(env->shared, env);
    if (rc != 0 || flock(env->shared_fd, LOCK_SH) != 0)
        return lm_path_failed("cannot set up the shared page of", env->dir, rc != 0 ? rc : errno,
                              err);
    return check_shared(env->shared, env, err);
}

void lm_shared_close(struct lm_env *env)
{
    if (env->shared != NULL)
        (void)munmap(env->shared, sizeof *env->shared);
    if (env->shared_fd >= 0)
        (void)close(env->shared_fd);
}
