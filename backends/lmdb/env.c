/* env.c - opening, refusing and closing an environment; see env.h for the invariants */
#include <config.h>

#include "env.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../kit/mutant.h"
#include "hint.h"
#include "writer.h"

#define LOCK_FILE_SIZE 65536 /* 1021 readers of 64 bytes, and a head */
#define RESERVE_MIN                                                                                \
    (UINT64_C(512) << 10) /* a commit copies a page or more of each table it touches */
#define RESERVE_MAX (UINT64_C(64) << 20)
#define GATE_US     INT64_C(10000000)

/* ------------------------------------------------------------------ refusals */

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

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
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

/* -------------------------------------------------------- directory and gate */

/* mkdir -p, each new directory made durable in its parent. */
static int make_dirs(char *path, struct kedge_error *err)
{
    for (char *p = path + 1;; p++) {
        char kept = *p;

        if (kept != '/' && kept != '\0')
            continue;
        *p = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST) {
            int rc = lm_path_failed("cannot create directory", path, errno, err);

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
        return kedge_error_set(
            err, KEDGE_ERR_SCHEMA_MISSING, ENOENT,
            "there is no store in '%s': create it first, as with 'kedge store init'", env->dir);
    if (env->dir_fd < 0)
        return lm_path_failed("cannot open directory", env->dir, errno, err);
    if (!create && fstatat(env->dir_fd, "data.mdb", &st, 0) != 0 && errno == ENOENT)
        return kedge_error_set(
            err, KEDGE_ERR_SCHEMA_MISSING, ENOENT,
            "there is no store in '%s': create it first, as with 'kedge store init'", env->dir);
    if (fstat(env->dir_fd, &st) != 0)
        return lm_path_failed("cannot look at directory", env->dir, errno, err);
    env->dev = (uint64_t)st.st_dev;
    env->ino = (uint64_t)st.st_ino;
    return refuse_network(env, err);
}

/* flock has no timeout: try, and try again. */
static int gate_lock(int dir_fd, const char *dir, int *gate, struct kedge_error *err)
{
    int64_t deadline = lm_mono_us() + GATE_US;
    static const struct timespec pause = { 0, 1000000 };
    int fd = openat(dir_fd, "gate", O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    if (fd < 0)
        return lm_path_failed("cannot open the gate file in", dir, errno, err);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            int e = errno;

            (void)close(fd);
            return lm_path_failed("cannot lock the gate file in", dir, e, err);
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

/* -------------------------------------------------------------------- schema */

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

/* In a transaction of its own, which it ends. */
static int fill_new(struct lm_env *env, MDB_txn *txn, struct kedge_error *err)
{
    MDB_stat st;
    MDB_dbi main_table;
    int rc = mdb_dbi_open(txn, NULL, 0, &main_table);

    if (rc == MDB_SUCCESS)
        rc = mdb_stat(txn, main_table, &st);
    if (rc == MDB_SUCCESS && st.ms_entries != 0) {
        mdb_txn_abort(txn);
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "'%s' holds the data of another program: choose another path",
                               env->dir);
    }
    if (rc == MDB_SUCCESS)
        rc = put_schema(env, txn);
    if (rc != MDB_SUCCESS) {
        mdb_txn_abort(txn);
        return lm_fail(env, rc, "cannot create the tables", err);
    }
    rc = mdb_txn_commit(txn);
    return rc == MDB_SUCCESS ? KEDGE_OK : lm_commit_failed(env, rc, err);
}

static int create_schema(struct lm_env *env, struct kedge_error *err)
{
    MDB_txn *txn = NULL;
    int rc = lm_write_lock(env, lm_mono_us() + GATE_US, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = lm_write_begin(env, &txn, err);
    if (rc == KEDGE_OK) {
        rc = fill_new(env, txn, err);
        lm_write_end(env);
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
                   : kedge_error_set(
                         err, KEDGE_ERR_SCHEMA_MISSING, 0,
                         "'%s' was never set up as a store: create it first, as with 'kedge store "
                         "init'",
                         env->dir);
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
    uint64_t reserve;
    MDB_envinfo info;
    MDB_stat st;

    if (mdb_env_info(env->env, &info) == MDB_SUCCESS)
        env->map_size = info.me_mapsize;
    env->page_size = mdb_env_stat(env->env, &st) == MDB_SUCCESS ? st.ms_psize : 4096;
    reserve = env->map_size / 16;
    if (reserve < RESERVE_MIN)
        reserve = RESERVE_MIN;
    if (reserve > RESERVE_MAX)
        reserve = RESERVE_MAX;
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
        ours = zero || (half && n >= 20 &&
                        (memcmp(page + 16, magic, sizeof magic) == 0 ||
                         memcmp(page + 16, "\xBE\xEF\xC0\xDE", 4) == 0));
    }
    (void)close(fd);
    if (ours)
        (void)unlinkat(env->dir_fd, "data.mdb", 0);
}

/*
 * LMDB makes its lock file sparse and maps it: on a full disk the first touch of a page without a
 * block would be SIGBUS. Blocks first, then.  LMDB takes the number of readers from the size.  Not
 * while this process has the file open (a close would drop LMDB's record locks), and not needed
 * when somebody else has.
 */
static int fill_lock_file(const struct lm_env *env, struct kedge_error *err)
{
    int fd = openat(env->dir_fd, "lock.mdb", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int rc;

    if (fd < 0)
        return lm_path_failed("cannot open the lock file of", env->dir, errno, err);
    rc = posix_fallocate(fd, 0, LOCK_FILE_SIZE);
    (void)close(fd);
    return rc == 0 ? KEDGE_OK : lm_path_failed("no room for the lock file of", env->dir, rc, err);
}

static int open_mdb(struct lm_env *env, struct kedge_error *err)
{
    int dead = 0;
    int rc = mdb_env_create(&env->env);

    if (rc == MDB_SUCCESS)
        rc = mdb_env_set_maxdbs(env->env, LM_TABLES);
    if (rc == MDB_SUCCESS)
        rc = mdb_env_set_maxreaders(env->env, LM_READERS_MAX);
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
    if (rc == ENOMEM || rc == EINVAL)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, rc,
                               "store '%s': no room in the address space for a map of %" PRIu64
                               " bytes: open it with a smaller ?map_size=",
                               env->dir, env->map_size);
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
    lm_shared_close(env);
    if (env->dir_fd >= 0)
        (void)close(env->dir_fd);
    (void)pthread_rwlock_destroy(&env->map_lock);
    free(env->dir);
    free(env);
}

static struct lm_env *env_new(struct lm_params *params)
{
    struct lm_env *env = calloc(1, sizeof *env);
    pthread_rwlockattr_t attr;

    if (env == NULL) {
        free(params->dir);
        return NULL;
    }
    env->dir = params->dir;
    env->map_size = params->map_size;
    env->gather = params->gather;
    env->dir_fd = -1;
    env->shared_fd = -1;
    env->users = 1;
    env->pid = (int)getpid();
    (void)pthread_rwlockattr_init(&attr);
    (void)pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(&env->map_lock, &attr);
    (void)pthread_rwlockattr_destroy(&attr);
    read_boot_id(env->boot_id);
    memcpy(&env->incarnation, env->boot_id, sizeof env->incarnation);
    return env;
}

#ifdef KEDGE_MUTANTS
/* Did the last who opened it come to the end of that? */
static bool was_interrupted(const struct lm_env *env)
{
    int fd = openat(env->dir_fd, "opening", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd >= 0)
        (void)close(fd);
    return fd < 0;
}
#endif

static int env_fill(struct lm_env *env, const struct kedge_host *host, bool create,
                    struct kedge_error *err)
{
    bool alone = false;
    int rc = lm_shared_open(env, &alone, err);

    if (rc == KEDGE_OK && create && alone && KIT_MUTANT("l09", false, true))
        remove_stillborn(env);
    if (rc == KEDGE_OK && alone && KIT_MUTANT("l11", was_interrupted(env), false))
        (void)unlinkat(env->dir_fd, "data.mdb", 0);
    if (rc == KEDGE_OK && alone)
        rc = fill_lock_file(env, err);
    if (rc == KEDGE_OK)
        rc = open_mdb(env, err);
    if (rc == KEDGE_OK)
        rc = open_schema(env, create, err);
    if (rc != KEDGE_OK)
        return rc;
    (void)fsync(env->dir_fd);
    if (create)
        sync_parent(env->dir);
    if (KIT_MUTANT("l11", true, false))
        (void)unlinkat(env->dir_fd, "opening", 0);
    env->hints = lm_hints_new(env);
    env->host = *host;
    env->writer = lm_writer_new(env, &env->host);
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

/* ---------------------------------------------------------------------- drop */

static void remove_files(struct lm_env *env)
{
    static const char *const files[] = { "data.mdb", "lock.mdb", "shared", "gate" };
    const size_t n = sizeof files / sizeof files[0];

    lm_hints_remove_all(env->dir_fd);
    for (size_t i = 0; i < n; i++)
        (void)unlinkat(env->dir_fd, files[KIT_MUTANT("l10", n - 1 - i, i)], 0);
    if (KIT_MUTANT("l11", true, false))
        (void)unlinkat(env->dir_fd, "opening", 0);
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
    if (KIT_MUTANT("l10", env->shared_fd < 0, false))
        rc = KEDGE_NOT_FOUND;
    else if (env->shared_fd >= 0 && flock(env->shared_fd, LOCK_EX | LOCK_NB) != 0)
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
