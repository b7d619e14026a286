/* env.c - opening, refusing, sharing and closing an environment; see env.h for the invariants */
#include <config.h>

#include "env.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hint.h"
#include "writer.h"

#define MAP_DEFAULT (UINT64_C(64) << 30) /* sparse: costs address space, not disk */
#define MAP_MIN     (UINT64_C(256) << 10)
#define READERS_MAX 1022u
#define GATE_US     INT64_C(10000000)

/* ------------------------------------------------------------- shared page */

#define SHARED_MAGIC UINT64_C(0x6b65646765310003) /* "kedge1", layout 3 */

struct lm_shared {
    uint64_t magic;
    uint64_t pid_ns; /* inode numbers of the namespaces of whoever set this up */
    uint64_t time_ns;
    unsigned char boot_id[16];
    pthread_mutex_t write_lock;
    _Atomic uint32_t holder;  /* pid inside the write lock, 0 none */
    _Atomic uint32_t last;    /* pid that had it last */
    _Atomic uint32_t waiting; /* about how many want it; for politeness only */
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

/* -------------------------------------------------------------- write lock */

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

static int lock_slice(struct lm_shared *s, int64_t until_mono)
{
    int64_t left = until_mono - lm_mono_us();
    struct timespec at;

    if (left > SLICE_US)
        left = SLICE_US;
    if (left < 0)
        left = 0;
    (void)clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += (long)(left % 1000000) * 1000;
    at.tv_sec += (time_t)(left / 1000000);
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return pthread_mutex_timedlock(&s->write_lock, &at);
}

static int lock_slow(struct lm_shared *s, int64_t deadline_mono)
{
    int rc;

    atomic_fetch_add(&s->waiting, 1);
    do
        rc = lock_slice(s, deadline_mono);
    while (rc == ETIMEDOUT && lm_mono_us() < deadline_mono);
    /* Never below zero: a polite waiter may have given up on us. */
    for (uint32_t n = atomic_load(&s->waiting); n != 0;)
        if (atomic_compare_exchange_weak(&s->waiting, &n, n - 1))
            break;
    return rc;
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
    if (rc == ETIMEDOUT)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, ETIMEDOUT,
                               "store '%s' is being written by process %" PRIu32
                               ", which does not let go: is it stopped? continue or kill it",
                               env->dir, atomic_load(&s->holder));
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
    atomic_store(&env->shared->holder, 0);
    (void)pthread_mutex_unlock(&env->shared->write_lock);
}

/* ---------------------------------------------------------------- new work */

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

/* ---------------------------------------------------------------- failures */

static bool disk_full(const struct lm_env *env)
{
    struct statvfs v;

    return fstatvfs(env->dir_fd, &v) == 0 && v.f_bavail * (uint64_t)v.f_frsize < 64 * 1024;
}

static int fail_full(const struct lm_env *env, int rc, struct kedge_error *err)
{
    if (rc == MDB_MAP_FULL || rc == MDB_TXN_FULL)
        return kedge_error_set(err, KEDGE_ERR_FULL, 0,
                               "store '%s' has used its map of %" PRIu64
                               " bytes: purge, or open it with a larger ?map_size=",
                               env->dir, env->map_size);
    return kedge_error_set(err, KEDGE_ERR_FULL, ENOSPC,
                           "the file system of store '%s' is full: make room there", env->dir);
}

int lm_fail(struct lm_env *env, int rc, const char *what, struct kedge_error *err)
{
    switch (rc) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
        return fail_full(env, rc, err);
    case MDB_READERS_FULL:
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                               "store '%s' has %u readers, the most it can have: use fewer "
                               "sessions or processes",
                               env->dir, READERS_MAX);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_BAD_TXN:
    case MDB_INCOMPATIBLE:
        return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                               "store '%s': %s: %s; restore it from a copy", env->dir, what,
                               mdb_strerror(rc));
    case MDB_PANIC:
        return kedge_error_set(
            err, KEDGE_ERR_UNAVAILABLE, EIO,
            "store '%s' is closed after an input/output error: close it and open "
            "it again",
            env->dir);
    case ENOMEM:
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "store '%s': out of memory", env->dir);
    case EACCES:
    case EPERM:
    case EROFS:
        return kedge_error_set(
            err, KEDGE_ERR_PERMISSION, rc,
            "store '%s': %s: permission denied; it must be writable for this user", env->dir, what);
    default:
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, rc > 0 ? rc : 0, "store '%s': %s: %s",
                               env->dir, what, mdb_strerror(rc));
    }
}

/*
 * LMDB writes pages, syncs, then writes the meta page.  Only a failure of the last leaves open
 * what is on the disk, and then LMDB has declared the environment dead (MDB_PANIC).
 */
int lm_commit_failed(struct lm_env *env, int rc, struct kedge_error *err)
{
    MDB_txn *probe = NULL;
    int panic = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &probe);

    if (panic == MDB_SUCCESS)
        mdb_txn_abort(probe);
    if (panic == MDB_PANIC) {
        atomic_store(&env->closed_errno, rc > 0 ? rc : EIO);
        return kedge_error_set(err, KEDGE_ERR_UNKNOWN, rc > 0 ? rc : 0,
                               "store '%s': the last step of a commit failed (%s), it may or may "
                               "not be on the disk: close the store, open it again, send it again",
                               env->dir, mdb_strerror(rc));
    }
    if ((rc == EIO || rc == ENOSPC) && disk_full(env))
        return fail_full(env, ENOSPC, err);
    if (rc == EIO) {
        atomic_store(&env->closed_errno, EIO);
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, EIO,
                               "store '%s': input/output error while writing, nothing was changed: "
                               "check the disk, then close the store and open it again",
                               env->dir);
    }
    return lm_fail(env, rc, "cannot commit", err);
}

/* ------------------------------------------------------------ transactions */

int lm_env_check(const struct lm_env *env, struct kedge_error *err)
{
    if (env->pid != (int)getpid())
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "store '%s' was opened by process %d, before a fork: open it anew "
                               "in the child",
                               env->dir, env->pid);
    return KEDGE_OK;
}

/* Somebody grew the map: adopt the new size, with nobody reading in this process. */
static int adopt_map(struct lm_env *env)
{
    MDB_envinfo info;
    int rc;

    (void)pthread_rwlock_wrlock(&env->map_lock);
    rc = mdb_env_set_mapsize(env->env, 0);
    if (rc == MDB_SUCCESS && mdb_env_info(env->env, &info) == MDB_SUCCESS)
        env->map_size = info.me_mapsize;
    (void)pthread_rwlock_unlock(&env->map_lock);
    return rc;
}

static int begin_read(struct lm_env *env, MDB_txn **txn)
{
    return *txn != NULL ? mdb_txn_renew(*txn) : mdb_txn_begin(env->env, NULL, MDB_RDONLY, txn);
}

int lm_read_begin(struct lm_env *env, MDB_txn **txn, struct kedge_error *err)
{
    int dead = 0;
    int rc;

    for (int tries = 0; tries < 3; tries++) {
        (void)pthread_rwlock_rdlock(&env->map_lock);
        rc = begin_read(env, txn);
        if (rc == MDB_SUCCESS)
            return KEDGE_OK;
        (void)pthread_rwlock_unlock(&env->map_lock);
        if (rc == MDB_READERS_FULL)
            (void)mdb_reader_check(env->env, &dead);
        else if (rc == MDB_MAP_RESIZED)
            rc = adopt_map(env);
        else
            break;
    }
    return lm_fail(env, rc, "cannot read", err);
}

void lm_read_end(struct lm_env *env, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    (void)pthread_rwlock_unlock(&env->map_lock);
}

int lm_write_begin(struct lm_env *env, MDB_txn **txn, struct kedge_error *err)
{
    int rc;

    if (atomic_load(&env->closed_errno) != 0)
        return kedge_error_set(
            err, KEDGE_ERR_UNAVAILABLE, atomic_load(&env->closed_errno),
            "store '%s' is closed for writing after an input/output error: close "
            "it and open it again",
            env->dir);
    rc = mdb_txn_begin(env->env, NULL, 0, txn);
    if (rc == MDB_MAP_RESIZED && (rc = adopt_map(env)) == MDB_SUCCESS)
        rc = mdb_txn_begin(env->env, NULL, 0, txn);
    return rc == MDB_SUCCESS ? KEDGE_OK : lm_fail(env, rc, "cannot write", err);
}

/* --------------------------------------------------------------------- URL */

static int parse_size(const char *text, uint64_t *out)
{
    static const struct {
        const char *suffix;
        unsigned shift;
    } units[] = { { "", 0 },     { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 },
                  { "TiB", 40 }, { "K", 10 },   { "M", 20 },   { "G", 30 } };
    char *end;
    unsigned long long v;

    errno = 0;
    if (!isdigit((unsigned char)text[0]))
        return -1;
    v = strtoull(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].suffix) == 0 && errno == 0 && v <= UINT64_MAX >> units[i].shift) {
            *out = (uint64_t)v << units[i].shift;
            return 0;
        }
    return -1;
}

static int parse_query(char *query, struct lm_params *out, struct kedge_error *err)
{
    char *save = NULL;

    for (char *p = strtok_r(query, "&", &save); p != NULL; p = strtok_r(NULL, "&", &save)) {
        char *eq = strchr(p, '=');

        if (eq != NULL)
            *eq = '\0';
        if (strcmp(p, "map_size") != 0)
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                   "unknown parameter '%s' in an lmdb URL; known: map_size", p);
        if (eq == NULL || parse_size(eq + 1, &out->map_size) != 0 || out->map_size < MAP_MIN ||
            out->map_size > (UINT64_C(1) << 46))
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                   "bad map_size '%s' in an lmdb URL: a number of bytes, or like "
                                   "512MiB or 4GiB, from 256KiB to 64TiB",
                                   eq == NULL ? "" : eq + 1);
        out->map_size &= ~UINT64_C(65535);
    }
    return KEDGE_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decoding in place.  false: malformed, or a NUL. */
static bool percent_decode(char *s)
{
    char *to = s;

    for (; *s != '\0'; s++) {
        if (*s == '%') {
            int hi = hex_digit(s[1]);
            int lo = hi < 0 ? -1 : hex_digit(s[2]);

            if (lo < 0 || (hi | lo) == 0)
                return false;
            *to++ = (char)(hi * 16 + lo);
            s += 2;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
    return true;
}

/* The directory of a namespace, below the path of the URL: its name, percent-encoded where not
 * plain. */
static bool namespace_dir(struct kedge_bytes ns, char *out, size_t room)
{
    static const char hex[] = "0123456789ABCDEF";
    const unsigned char *p = ns.data;
    size_t n = 0;

    if (ns.len == 0) {
        p = (const unsigned char *)"default";
        ns.len = 7;
    }
    for (size_t i = 0; i < ns.len; i++) {
        if (n + 4 > room)
            return false;
        if (isalnum(p[i]) || p[i] == '-' || p[i] == '_') {
            out[n++] = (char)p[i];
        } else {
            out[n++] = '%';
            out[n++] = hex[p[i] >> 4];
            out[n++] = hex[p[i] & 15];
        }
    }
    out[n] = '\0';
    return true;
}

/* After "lmdb:": "//" and an absolute path, or a path. */
static int parse_path(char *rest, struct kedge_error *err)
{
    if (strncmp(rest, "//", 2) == 0) {
        memmove(rest, rest + 2, strlen(rest + 2) + 1);
        if (rest[0] != '/')
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                   "an lmdb URL names no host: write lmdb:///absolute/path, with "
                                   "three slashes");
    }
    if (!percent_decode(rest))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "bad percent-encoding in the path of an lmdb URL");
    if (rest[0] == '\0')
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "an lmdb URL needs a path: lmdb:///absolute/path");
    return KEDGE_OK;
}

int lm_params_parse(const struct kedge_open *open, struct lm_params *out, struct kedge_error *err)
{
    const char *colon = strchr(open->url, ':');
    char ns[256];
    char *copy = NULL;
    char *query;
    int rc;

    memset(out, 0, sizeof *out);
    out->map_size = MAP_DEFAULT;
    if (colon == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "an lmdb URL begins with 'lmdb:'");
    if (!namespace_dir(open->ns, ns, sizeof ns))
        return kedge_error_set(err, KEDGE_ERR_TOO_BIG, 0,
                               "the name of the namespace is too long for a directory (%zu bytes)",
                               open->ns.len);
    copy = strdup(colon + 1);
    if (copy == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    query = strchr(copy, '?');
    if (query != NULL)
        *query++ = '\0';
    rc = parse_path(copy, err);
    if (rc == KEDGE_OK && query != NULL)
        rc = parse_query(query, out, err);
    if (rc == KEDGE_OK) {
        size_t room = strlen(copy) + strlen(ns) + 2;

        out->dir = malloc(room);
        if (out->dir != NULL)
            (void)snprintf(out->dir, room, "%s/%s", copy, ns);
        else
            rc = kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    }
    free(copy);
    return rc;
}

/* ----------------------------------------------------------------- refusals */

static int real_statfs(int fd, struct statfs *out)
{
    return fstatfs(fd, out);
}

int (*kedge_lmdb_statfs)(int fd, struct statfs *out) = real_statfs;

/* Magic numbers of statfs(2).  A lock or a shared page means nothing there to another host. */
static const struct {
    unsigned long magic;
    const char *name;
} network_fs[] = {
    { 0x6969, "NFS" },
    { 0xFF534D42, "CIFS" },
    { 0xFE534D42, "SMB2" },
    { 0x517B, "SMB" },
    { 0x01021997, "9P" },
    { 0x00C36400, "Ceph" },
    { 0x0BD00BD0, "Lustre" },
    { 0x01161970, "GFS2" },
    { 0x7461636F, "OCFS2" },
    { 0x5346414F, "AFS" },
    { 0x6B414653, "AFS" },
    { 0x73757245, "Coda" },
    { 0x47504653, "GPFS" },
    { 0x013111A8, "IBRIX" },
    { 0xAAD7AAEA, "PanFS" },
    { 0x19830326, "BeeGFS" },
    { 0x786F4256, "a VirtualBox share" },
};

static int refuse_network(const struct lm_env *env, struct kedge_error *err)
{
    struct statfs fs;

    if (kedge_lmdb_statfs(env->dir_fd, &fs) != 0)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, errno,
                               "cannot tell the file system of '%s': error %d", env->dir, errno);
    for (size_t i = 0; i < sizeof network_fs / sizeof network_fs[0]; i++)
        if (((unsigned long)fs.f_type & 0xFFFFFFFFul) == network_fs[i].magic)
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                   "'%s' is on %s, where LMDB's locks and maps do not hold: use a "
                                   "local file system, or the Redis or PostgreSQL backend",
                                   env->dir, network_fs[i].name);
    return KEDGE_OK;
}

static uint64_t ns_inode(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static void read_boot_id(unsigned char out[16])
{
    char text[64] = "";
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    size_t n = 0;

    memset(out, 0, 16);
    if (f == NULL)
        return;
    if (fgets(text, sizeof text, f) != NULL)
        for (const char *p = text; *p != '\0' && n < 32; p++) {
            int d = hex_digit(*p);

            if (d >= 0) {
                out[n / 2] = (unsigned char)(out[n / 2] << 4 | d);
                n++;
            }
        }
    (void)fclose(f);
}

/* --------------------------------------------------- directory, gate, shared */

static int path_failed(const char *what, const char *path, int e, struct kedge_error *err)
{
    if (e == EACCES || e == EPERM || e == EROFS)
        return kedge_error_set(err, KEDGE_ERR_PERMISSION, e,
                               "%s '%s': permission denied; it must be readable and writable for "
                               "this user",
                               what, path);
    return kedge_error_set(err, e == ENOSPC || e == EDQUOT ? KEDGE_ERR_FULL : KEDGE_ERR_UNAVAILABLE,
                           e, "%s '%s': %s", what, path, mdb_strerror(e));
}

/* mkdir -p, each new directory made durable in its parent. */
static int make_dirs(char *path, struct kedge_error *err)
{
    for (char *p = path + 1;; p++) {
        char kept = *p;

        if (kept != '/' && kept != '\0')
            continue;
        *p = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST) {
            int rc = path_failed("cannot create directory", path, errno, err);

            *p = kept;
            return rc;
        }
        *p = kept;
        if (kept == '\0')
            return KEDGE_OK;
    }
}

static void sync_parent(const char *dir)
{
    char *copy = strdup(dir);
    char *slash = copy == NULL ? NULL : strrchr(copy, '/');
    int fd;

    if (slash != NULL && slash != copy) {
        *slash = '\0';
        fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            (void)fsync(fd);
            (void)close(fd);
        }
    }
    free(copy);
}

static int open_dir(struct lm_env *env, bool create, struct kedge_error *err)
{
    struct stat st;
    int rc;

    if (create && (rc = make_dirs(env->dir, err)) != KEDGE_OK)
        return rc;
    env->dir_fd = open(env->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (env->dir_fd < 0 && errno == ENOENT)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_MISSING, ENOENT,
                               "there is no store in '%s': create it first", env->dir);
    if (env->dir_fd < 0)
        return path_failed("cannot open directory", env->dir, errno, err);
    if (!create && fstatat(env->dir_fd, "data.mdb", &st, 0) != 0 && errno == ENOENT)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_MISSING, ENOENT,
                               "there is no store in '%s': create it first", env->dir);
    if (fstat(env->dir_fd, &st) != 0)
        return path_failed("cannot look at directory", env->dir, errno, err);
    env->dev = (uint64_t)st.st_dev;
    env->ino = (uint64_t)st.st_ino;
    return refuse_network(env, err);
}

/* flock has no timeout: try, and try again. */
static int gate_lock(int dir_fd, const char *dir, int *gate, struct kedge_error *err)
{
    int64_t deadline = lm_mono_us() + GATE_US;
    struct timespec pause = span(1000);
    int fd = openat(dir_fd, "gate", O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    if (fd < 0)
        return path_failed("cannot open the gate file in", dir, errno, err);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            int e = errno;

            (void)close(fd);
            return path_failed("cannot lock the gate file in", dir, e, err);
        }
        if (lm_mono_us() >= deadline) {
            (void)close(fd);
            return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                                   "store '%s': another process has been opening or closing it for "
                                   "ten seconds: is one stopped?",
                                   dir);
        }
        (void)nanosleep(&pause, NULL);
    }
    *gate = fd;
    return KEDGE_OK;
}

static void gate_unlock(int gate)
{
    if (gate >= 0)
        (void)close(gate);
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
static int open_shared(struct lm_env *env, bool *alone, struct kedge_error *err)
{
    void *page;
    int rc = 0;

    env->shared_fd = openat(env->dir_fd, "shared", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (env->shared_fd < 0)
        return path_failed("cannot open the shared page of", env->dir, errno, err);
    *alone = flock(env->shared_fd, LOCK_EX | LOCK_NB) == 0;
    if (*alone && posix_fallocate(env->shared_fd, 0, sizeof *env->shared) != 0)
        return path_failed("no room for the shared page of", env->dir, ENOSPC, err);
    page = mmap(NULL, sizeof *env->shared, PROT_READ | PROT_WRITE, MAP_SHARED, env->shared_fd, 0);
    if (page == MAP_FAILED)
        return path_failed("cannot map the shared page of", env->dir, errno, err);
    env->shared = page;
    if (*alone)
        rc = init_shared(env->shared, env);
    if (rc != 0 || flock(env->shared_fd, LOCK_SH) != 0)
        return path_failed("cannot set up the shared page of", env->dir, rc != 0 ? rc : errno, err);
    return check_shared(env->shared, env, err);
}

/* ------------------------------------------------------------------- schema */

static int put_schema(struct lm_env *env, MDB_txn *txn)
{
    static const char *const names[LM_TABLES] = LM_TABLE_NAMES;
    unsigned char version[4] = { 0, 0, 0, LM_SCHEMA };
    MDB_val key = lm_meta_key("schema");
    MDB_val value = { sizeof version, version };
    int rc = MDB_SUCCESS;

    for (int i = 0; i < LM_TABLES && rc == MDB_SUCCESS; i++)
        rc = mdb_dbi_open(txn, names[i], MDB_CREATE, &env->dbi[i]);
    return rc == MDB_SUCCESS ? mdb_put(txn, env->dbi[LM_META], &key, &value, 0) : rc;
}

static int open_tables(struct lm_env *env, MDB_txn *txn)
{
    static const char *const names[LM_TABLES] = LM_TABLE_NAMES;
    int rc = MDB_SUCCESS;

    for (int i = 0; i < LM_TABLES && rc == MDB_SUCCESS; i++)
        rc = mdb_dbi_open(txn, names[i], 0, &env->dbi[i]);
    return rc;
}

static int check_version(const struct lm_env *env, MDB_txn *txn, struct kedge_error *err)
{
    MDB_val key = lm_meta_key("schema");
    MDB_val value;
    uint32_t version;
    int rc = mdb_get(txn, env->dbi[LM_META], &key, &value);

    if (rc != MDB_SUCCESS || value.mv_size != 4)
        return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                               "store '%s' does not tell its schema version: restore it from a "
                               "copy",
                               env->dir);
    version = lm_get_u32(value.mv_data);
    if (version < LM_SCHEMA)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_OLD, 0,
                               "store '%s' has schema %" PRIu32 ", this kedge wants %u: copy its "
                               "runs with the kedge that wrote it",
                               env->dir, version, LM_SCHEMA);
    if (version > LM_SCHEMA)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_NEW, 0,
                               "store '%s' has schema %" PRIu32 ", this kedge knows %u: update "
                               "kedge",
                               env->dir, version, LM_SCHEMA);
    return KEDGE_OK;
}

static int create_schema(struct lm_env *env, struct kedge_error *err)
{
    MDB_txn *txn = NULL;
    MDB_stat st;
    MDB_dbi main_dbi;
    int rc = lm_write_lock(env, lm_mono_us() + GATE_US, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = lm_write_begin(env, &txn, err);
    if (rc == KEDGE_OK) {
        rc = mdb_dbi_open(txn, NULL, 0, &main_dbi);
        if (rc == MDB_SUCCESS)
            rc = mdb_stat(txn, main_dbi, &st);
        if (rc == MDB_SUCCESS && st.ms_entries != 0) {
            rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                 "'%s' holds the data of another program: choose another path",
                                 env->dir);
            mdb_txn_abort(txn);
        } else {
            if (rc == MDB_SUCCESS)
                rc = put_schema(env, txn);
            if (rc == MDB_SUCCESS)
                rc = mdb_txn_commit(txn);
            else
                mdb_txn_abort(txn);
            if (rc != MDB_SUCCESS)
                rc = lm_fail(env, rc, "cannot create the tables", err);
        }
    }
    lm_write_unlock(env);
    return rc;
}

static int open_schema(struct lm_env *env, bool create, struct kedge_error *err)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn);

    if (rc != MDB_SUCCESS)
        return lm_fail(env, rc, "cannot read", err);
    rc = mdb_dbi_open(txn, "meta", 0, &env->dbi[LM_META]);
    if (rc == MDB_NOTFOUND) {
        mdb_txn_abort(txn);
        return create
                   ? create_schema(env, err)
                   : kedge_error_set(err, KEDGE_ERR_SCHEMA_MISSING, 0,
                                     "'%s' was never set up as a store: create it first", env->dir);
    }
    if (rc != MDB_SUCCESS) {
        mdb_txn_abort(txn);
        return lm_fail(env, rc, "cannot read", err);
    }
    rc = check_version(env, txn, err);
    if (rc != KEDGE_OK) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = open_tables(env, txn);
    if (rc == MDB_SUCCESS)
        rc = mdb_txn_commit(txn); /* keeps the handles */
    else
        mdb_txn_abort(txn);
    return rc == MDB_SUCCESS ? KEDGE_OK : lm_fail(env, rc, "cannot open the tables", err);
}

/* --------------------------------------------------------------- open, close */

static void set_sizes(struct lm_env *env)
{
    uint64_t reserve = env->map_size / 16;
    MDB_envinfo info;
    MDB_stat st;

    if (mdb_env_info(env->env, &info) == MDB_SUCCESS)
        env->map_size = info.me_mapsize;
    env->page_size = mdb_env_stat(env->env, &st) == MDB_SUCCESS ? st.ms_psize : 4096;
    if (reserve > UINT64_C(64) << 20)
        reserve = UINT64_C(64) << 20;
    env->soft_size = env->map_size - reserve;
}

/*
 * LMDB sets up a new file with two meta pages.  A process that died in there, or a full disk,
 * leaves less than that or zeros: nothing was ever committed, and it would be refused for ever.
 * Only such a file is removed, and only when nobody else has the store open.
 */
static void remove_stillborn(const struct lm_env *env)
{
    static const unsigned char magic[4] = { 0xDE, 0xC0, 0xEF, 0xBE };
    unsigned char page[4096];
    struct stat st;
    ssize_t n;
    int fd = openat(env->dir_fd, "data.mdb", O_RDONLY | O_CLOEXEC);
    bool ours = false;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size <= 2 * sysconf(_SC_PAGESIZE)) {
        bool half = st.st_size < 2 * sysconf(_SC_PAGESIZE);
        bool zero = true;

        n = pread(fd, page, sizeof page, 0);
        for (ssize_t i = 0; i < n; i++)
            zero = zero && page[i] == 0;
        ours = zero || (half && (n < 20 || memcmp(page + 16, magic, sizeof magic) == 0 ||
                                 memcmp(page + 16, "\xBE\xEF\xC0\xDE", 4) == 0));
    }
    (void)close(fd);
    if (ours)
        (void)unlinkat(env->dir_fd, "data.mdb", 0);
}

static int open_mdb(struct lm_env *env, struct kedge_error *err)
{
    int dead = 0;
    int rc = mdb_env_create(&env->env);

    if (rc == MDB_SUCCESS)
        rc = mdb_env_set_maxdbs(env->env, LM_TABLES);
    if (rc == MDB_SUCCESS)
        rc = mdb_env_set_maxreaders(env->env, READERS_MAX);
    if (rc == MDB_SUCCESS)
        rc = mdb_env_set_mapsize(env->env, env->map_size);
    if (rc == MDB_SUCCESS)
        rc = mdb_env_open(env->env, env->dir, MDB_NOTLS, 0666);
    if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH)
        return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                               "'%s/data.mdb' is not a database this LMDB understands: choose "
                               "another path, or restore it from a copy",
                               env->dir);
    if (rc == EAGAIN)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, rc,
                               "store '%s' is locked by a process that cannot be seen from here: "
                               "run all its workers in one pid namespace",
                               env->dir);
    if (rc != MDB_SUCCESS)
        return lm_fail(env, rc, "cannot open", err);
    (void)mdb_reader_check(env->env, &dead);
    set_sizes(env);
    return KEDGE_OK;
}

static void env_free(struct lm_env *env)
{
    if (env == NULL)
        return;
    lm_hints_free(env->hints);
    lm_writer_free(env->writer);
    if (env->env != NULL)
        mdb_env_close(env->env);
    if (env->shared != NULL)
        (void)munmap(env->shared, sizeof *env->shared);
    if (env->shared_fd >= 0)
        (void)close(env->shared_fd);
    if (env->dir_fd >= 0)
        (void)close(env->dir_fd);
    (void)pthread_rwlock_destroy(&env->map_lock);
    free(env->dir);
    free(env);
}

static struct lm_env *env_new(struct lm_params *params)
{
    struct lm_env *env = calloc(1, sizeof *env);

    if (env == NULL) {
        free(params->dir);
        return NULL;
    }
    env->dir = params->dir;
    env->map_size = params->map_size;
    env->dir_fd = -1;
    env->shared_fd = -1;
    env->users = 1;
    env->pid = (int)getpid();
    (void)pthread_rwlock_init(&env->map_lock, NULL);
    read_boot_id(env->boot_id);
    memcpy(&env->incarnation, env->boot_id, sizeof env->incarnation);
    return env;
}

static int env_fill(struct lm_env *env, const struct kedge_host *host, bool create,
                    struct kedge_error *err)
{
    bool alone = false;
    int rc = open_shared(env, &alone, err);

    if (rc == KEDGE_OK && create && alone)
        remove_stillborn(env);
    if (rc == KEDGE_OK)
        rc = open_mdb(env, err);
    if (rc == KEDGE_OK)
        rc = open_schema(env, create, err);
    if (rc != KEDGE_OK)
        return rc;
    (void)fsync(env->dir_fd);
    if (create)
        sync_parent(env->dir);
    env->hints = lm_hints_new(env);
    env->writer = lm_writer_new(env, host);
    return env->hints == NULL || env->writer == NULL
               ? kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory")
               : KEDGE_OK;
}

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;
static struct lm_env *registry;

/* The child has none of them open, whatever the parent was doing (I6). */
static void registry_forget(void)
{
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

    memcpy(&registry_lock, &fresh, sizeof fresh);
    registry = NULL;
}

static void registry_setup(void)
{
    (void)pthread_atfork(NULL, NULL, registry_forget);
}

static struct lm_env *registry_find(const struct lm_env *like)
{
    for (struct lm_env *e = registry; e != NULL; e = e->next)
        if (e->dev == like->dev && e->ino == like->ino)
            return e;
    return NULL;
}

int lm_env_open(const struct kedge_host *host, const struct kedge_open *open, struct lm_env **out,
                struct kedge_error *err)
{
    bool create = (open->flags & KEDGE_OPEN_CREATE) != 0;
    struct lm_params params;
    struct lm_env *env;
    struct lm_env *there;
    int gate = -1;
    int rc = lm_params_parse(open, &params, err);

    if (rc != KEDGE_OK)
        return rc;
    env = env_new(&params);
    if (env == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    (void)pthread_once(&registry_once, registry_setup);
    (void)pthread_mutex_lock(&registry_lock);
    rc = open_dir(env, create, err);
    there = rc == KEDGE_OK ? registry_find(env) : NULL;
    if (there != NULL) {
        there->users++;
        *out = there;
    } else if (rc == KEDGE_OK) {
        rc = gate_lock(env->dir_fd, env->dir, &gate, err);
        if (rc == KEDGE_OK)
            rc = env_fill(env, host, create, err);
        if (rc == KEDGE_OK) {
            env->next = registry;
            registry = env;
            *out = env;
            env = NULL;
        }
    }
    env_free(env);
    gate_unlock(gate);
    (void)pthread_mutex_unlock(&registry_lock);
    return rc;
}

void lm_env_close(struct lm_env *env)
{
    int gate = -1;

    if (env == NULL || env->pid != (int)getpid())
        return; /* I6: it belongs to the parent */
    (void)pthread_mutex_lock(&registry_lock);
    if (--env->users == 0) {
        struct lm_env **at = &registry;

        while (*at != env)
            at = &(*at)->next;
        *at = env->next;
        (void)gate_lock(env->dir_fd, env->dir, &gate, NULL);
        env_free(env);
        gate_unlock(gate);
    }
    (void)pthread_mutex_unlock(&registry_lock);
}

/* --------------------------------------------------------------------- drop */

static void remove_files(struct lm_env *env)
{
    static const char *const files[] = { "data.mdb", "lock.mdb", "shared", "gate" };

    lm_hints_remove_all(env->dir_fd);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        (void)unlinkat(env->dir_fd, files[i], 0);
    (void)rmdir(env->dir);
    sync_parent(env->dir);
}

static int drop_closed(struct lm_env *env, struct kedge_error *err)
{
    int gate = -1;
    int rc = gate_lock(env->dir_fd, env->dir, &gate, err);

    if (rc != KEDGE_OK)
        return rc;
    env->shared_fd = openat(env->dir_fd, "shared", O_RDWR | O_CLOEXEC);
    if (env->shared_fd >= 0 && flock(env->shared_fd, LOCK_EX | LOCK_NB) != 0)
        rc = KEDGE_HELD;
    else
        remove_files(env);
    gate_unlock(gate);
    return rc;
}

int lm_env_drop(const struct kedge_open *open, struct kedge_error *err)
{
    struct lm_params params;
    struct lm_env *env;
    int rc = lm_params_parse(open, &params, err);

    if (rc != KEDGE_OK)
        return rc;
    env = env_new(&params);
    if (env == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    (void)pthread_once(&registry_once, registry_setup);
    (void)pthread_mutex_lock(&registry_lock);
    rc = open_dir(env, false, err);
    if (rc == KEDGE_ERR_SCHEMA_MISSING)
        rc = KEDGE_NOT_FOUND;
    else if (rc == KEDGE_OK)
        rc = registry_find(env) != NULL ? KEDGE_HELD : drop_closed(env, err);
    env_free(env);
    (void)pthread_mutex_unlock(&registry_lock);
    return rc;
}
