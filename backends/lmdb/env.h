/*
 * env.h - one LMDB environment per process and directory, and what processes share beside it
 *
 *   I1  A process has an environment open once: a registry by device and inode hands out the same
 *       one (a second mdb_env_open would drop the first one's record locks).
 *   I2  Opening and closing happen under the gate, a flock on `gate': LMDB's own open and close
 *       race.
 *   I3  Whoever has the store open holds a shared flock on `shared'.  Who gets it exclusively knows
 *       that nobody is there, and may set the shared page up anew.
 *   I4  Nobody begins a write transaction without the write lock of the shared page: a robust mutex
 *       that can be waited for with a timeout, which LMDB's own cannot.  A holder that died is
 *       cleaned up after; a holder that is stopped costs the others ERR_UNAVAILABLE, with its pid.
 *   I5  After an error that may have lost written pages (EIO from a sync) nothing is written
 *       through this environment any more; reading goes on where LMDB allows it.
 *   I6  Nothing here survives fork(): the pid is compared on entry.
 */
#ifndef KEDGE_LMDB_ENV_H
#define KEDGE_LMDB_ENV_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/statfs.h>

#include "../kit/codec.h"
#include "keys.h"

#define LM_READERS_MAX 1022u

struct lm_shared; /* the page in `shared' */
struct lm_writer;
struct lm_hints;

struct lm_env {
    struct lm_env *next;    /* registry */
    unsigned users;         /* store handles, under the registry's lock */
    uint64_t dev, ino;      /* of the directory */
    struct kedge_host host; /* of whoever opened it first: its clock is that of all writes */
    char *dir;
    int dir_fd;
    int shared_fd;
    int pid;
    struct lm_shared *shared;
    MDB_env *env;
    MDB_dbi dbi[LM_TABLES];
    uint64_t map_size;
    uint64_t soft_size; /* growth stops here; what is above is for letting go and deleting */
    unsigned page_size;
    unsigned gather; /* commits of a transaction from which on records are gathered; 0: never */
    pthread_rwlock_t map_lock; /* exclusive: the map is being adopted after somebody grew it */
    _Atomic int closed_errno;  /* I5: not 0, writing is over */
    unsigned char boot_id[16];
    uint64_t incarnation; /* of this boot */
    struct lm_writer *writer;
    struct lm_hints *hints;
};

struct lm_params {
    char *dir; /* of the namespace */
    uint64_t map_size;
    unsigned gather;
};

/* Network file systems are refused; a test may put another one in front of the eyes of this seam.
 */
extern int (*kedge_lmdb_statfs)(int fd, struct statfs *out);

/* Parse the URL and the namespace.  dir is malloc'ed. */
int lm_params_parse(const struct kedge_open *open, struct lm_params *out, struct kedge_error *err);

int lm_env_open(const struct kedge_host *host, const struct kedge_open *open, struct lm_env **out,
                struct kedge_error *err);
void lm_env_close(struct lm_env *env);
int lm_env_drop(const struct kedge_open *open, struct kedge_error *err);

/* The page in `shared' (I3).  *alone: nobody else has the store open. */
int lm_shared_open(struct lm_env *env, bool *alone, struct kedge_error *err);
void lm_shared_close(struct lm_env *env);

/* A status and a sentence for errno E on PATH. */
int lm_path_failed(const char *what, const char *path, int e, struct kedge_error *err);

/* Usable in this process?  ERR_INVALID after a fork. */
int lm_env_check(const struct lm_env *env, struct kedge_error *err);

/* Microseconds of the monotonic clock of this host: timeouts, hint grace; never stored. */
int64_t lm_mono_us(void);

/* The write lock.  0, or ERR_UNAVAILABLE and who holds it. */
int lm_write_lock(struct lm_env *env, int64_t deadline_mono, struct kedge_error *err);
void lm_write_unlock(struct lm_env *env);
/* ERR_UNAVAILABLE: the time was up before the lock was ours; names the process in the way. */
int lm_write_busy(const struct lm_env *env, struct kedge_error *err);

/* The ticket of new work. */
uint64_t lm_ticket(const struct lm_env *env);
void lm_ticket_move(struct lm_env *env);
/* OK when the ticket differs from SEEN, QUIET at the deadline. */
int lm_ticket_wait(struct lm_env *env, uint64_t seen, int64_t deadline_mono);

/* Begin a transaction with all that may be in the way: full reader table, a map grown elsewhere.
   A read transaction holds map_lock shared until lm_read_end. */
int lm_read_begin(struct lm_env *env, MDB_txn **txn, struct kedge_error *err);
void lm_read_end(struct lm_env *env, MDB_txn *txn);
int lm_write_begin(struct lm_env *env, MDB_txn **txn, struct kedge_error *err);
void lm_write_end(struct lm_env *env); /* after commit or abort */

/* A status and a sentence for what LMDB answered.  WHAT: "cannot write", ... */
int lm_fail(struct lm_env *env, int rc, const char *what, struct kedge_error *err);
/* The same for a commit: did it happen?  Closes the environment for writing where I5 wants it. */
int lm_commit_failed(struct lm_env *env, int rc, struct kedge_error *err);

#endif
