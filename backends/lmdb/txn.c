/*
 * txn.c - transactions, and what to make of LMDB's errors
 *
 * A message names the store and says what to do.  After a failed commit the question is whether it
 * took place: see lm_commit_failed.
 */
#include <config.h>

#include "env.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../kit/mutant.h"

/* ------------------------------------------------------------------ failures */

/* A reader has a lock to take and a place to note what it reads. */
#define USERS_MUST "a store must be readable and writable for its users, those who only read too"

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
    if (rc == EIO && disk_full(env)) /* that is what LMDB makes of a short write */
        rc = ENOSPC;
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
                               env->dir, LM_READERS_MAX);
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
        return kedge_error_set(err, KEDGE_ERR_PERMISSION, rc,
                               "store '%s': %s: permission denied; " USERS_MUST, env->dir, what);
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
    if (rc == EIO && !disk_full(env)) {
        atomic_store(&env->closed_errno, EIO);
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, EIO,
                               "store '%s': input/output error while writing, nothing was changed: "
                               "check the disk, then close the store and open it again",
                               env->dir);
    }
    return lm_fail(env, rc, "cannot commit", err);
}

int lm_path_failed(const char *what, const char *path, int e, struct kedge_error *err)
{
    if (e == EACCES || e == EPERM || e == EROFS)
        return kedge_error_set(err, KEDGE_ERR_PERMISSION, e,
                               "%s '%s': permission denied; " USERS_MUST, what, path);
    if (e == ENOTDIR || e == ENAMETOOLONG || e == ELOOP)
        return kedge_error_set(err, KEDGE_ERR_INVALID, e,
                               "%s '%s': %s: no store can be there, choose another path", what,
                               path, mdb_strerror(e));
    if (e == ENOSPC || e == EDQUOT)
        return kedge_error_set(err, KEDGE_ERR_FULL, e, "%s '%s': %s: make room there", what, path,
                               mdb_strerror(e));
    return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, e, "%s '%s': %s", what, path,
                           mdb_strerror(e));
}

/* -------------------------------------------------------------- transactions */

int lm_env_check(const struct lm_env *env, struct kedge_error *err)
{
    if (KIT_MUTANT("l02", false, env->pid != (int)getpid()))
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

/*
 * LMDB has two meta pages, which its commits use in turns.  A reader first learns the number of the
 * last commit, then reads the page of its parity.  If it is held up in between, that page may be
 * the next but one's, which is in the file before it is durable and before that commit is over: the
 * reader would see what is not yet there for others, nor for itself the next time.  While no commit
 * is further than one ahead of the number, the page was the right one.
 */
static bool overtaken(struct lm_env *env, MDB_txn *txn)
{
    MDB_envinfo info;

    atomic_thread_fence(memory_order_acquire); /* the page was read before what follows */
    return mdb_env_info(env->env, &info) == MDB_SUCCESS && info.me_last_txnid > mdb_txn_id(txn) + 1;
}

static int begin_read(struct lm_env *env, MDB_txn **txn)
{
    for (;;) {
        int rc =
            *txn != NULL ? mdb_txn_renew(*txn) : mdb_txn_begin(env->env, NULL, MDB_RDONLY, txn);

        if (rc != MDB_SUCCESS || !overtaken(env, *txn))
            return rc;
        mdb_txn_reset(*txn);
    }
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

/* The map must not move under a writer either: map_lock is held shared until lm_write_end. */
int lm_write_begin(struct lm_env *env, MDB_txn **txn, struct kedge_error *err)
{
    int rc;

    if (atomic_load(&env->closed_errno) != 0)
        return kedge_error_set(
            err, KEDGE_ERR_UNAVAILABLE, atomic_load(&env->closed_errno),
            "store '%s' is closed for writing after an input/output error: close "
            "it and open it again",
            env->dir);
    for (int tries = 0; tries < 3; tries++) {
        (void)pthread_rwlock_rdlock(&env->map_lock);
        rc = mdb_txn_begin(env->env, NULL, 0, txn);
        if (rc == MDB_SUCCESS)
            return KEDGE_OK;
        (void)pthread_rwlock_unlock(&env->map_lock);
        if (rc != MDB_MAP_RESIZED || (rc = adopt_map(env)) != MDB_SUCCESS)
            break;
    }
    return lm_fail(env, rc, "cannot write", err);
}

void lm_write_end(struct lm_env *env)
{
    (void)pthread_rwlock_unlock(&env->map_lock);
}
