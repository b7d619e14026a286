/*
 * file.c - a store in plain files: the template for a backend of your own
 *
 * file:DIR keeps each namespace in a file of DIR, the picture of an array of rows, key and value,
 *in order.  A transaction reads all of it, changes the rows in memory (<kit/sorted.h>), and writes
 *all of them anew.  That is atomic, durable and slow.
 *
 *	make -f Makefile.example
 *	kedge conform --plugin ./file.so file:/tmp/somewhere
 *
 * What a run, a lease or a commit is, the kit knows (<kit/map.h>).  Here is what it cannot know:
 * how a transaction begins and ends, and where all that is.
 *
 *   I1  NAME.lock is locked in two places.  Byte 0, shared: the namespace is open.  Byte 1, alone:
 *       a transaction is under way.  The kernel lets go of both when the process dies.
 *   I2  There are rows in memory only during a transaction.  What a failed one leaves behind is
 *       forgotten with the rest, never repaired.
 *   I3  NAME is replaced by rename() alone: a crash leaves the old file or the new one, whole.
 *   I4  A descriptor that was inherited over fork() would keep its lock alive in the child.  So
 *       locks are let go of by unlocking, which counts for all copies, and not by close().  So
 *       would a stream have its buffer and its position twice, and exit() in the child would write
 *       the one and move the other: there are none.
 */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <kit/map.h>
#include <kit/rules.h>
#include <kit/schema.h>
#include <kit/sorted.h>
#include <kit/url.h>

struct file_store {
    struct kit_map_store base; /* first */
    int dir;
    int lock;
    char name[256]; /* the files in DIR */
    char new_name[256];
    char lock_name[256];
    char dir_name[1024];
    char place[1300];       /* for people */
    pthread_mutex_t turn;   /* one transaction at a time, for all that follows */
    struct kit_sorted rows; /* the transaction */
};

/* ------------------------------------------------------------------ the file */

/* The system refused: nothing has been written that counts. */
static int failed(const struct file_store *f, const char *what, struct kedge_error *err)
{
    int e = errno;
    int code = e == ENOSPC || e == EDQUOT || e == EFBIG ? KEDGE_ERR_FULL : KEDGE_ERR_UNAVAILABLE;

    return kedge_error_set(err, code, e, "'%s' cannot be %s: %s", f->place, what, strerror(e));
}

/* All bytes of a file, to be freed; NULL: errno says why. */
static char *read_all(int fd, size_t *len)
{
    struct stat st;
    char *all = fstat(fd, &st) == 0 ? malloc((size_t)st.st_size + 1) : NULL;

    *len = 0;
    while (all != NULL && *len < (size_t)st.st_size) {
        ssize_t n = pread(fd, all + *len, (size_t)st.st_size - *len, (off_t)*len);

        if (n == 0)
            break;
        if (n > 0) {
            *len += (size_t)n;
        } else if (errno != EINTR) {
            free(all);
            return NULL;
        }
    }
    return all;
}

/* The rows as the last transaction left them, whoever's it was. */
static int load(struct file_store *f, struct kedge_error *err)
{
    int fd = openat(f->dir, f->name, O_RDONLY | O_CLOEXEC);
    size_t len;
    char *all;
    int rc;

    if (fd < 0) /* perhaps nobody has written anything yet */
        return errno == ENOENT ? KEDGE_OK : failed(f, "opened", err);
    all = read_all(fd, &len);
    rc = all != NULL ? kit_sorted_read(&f->rows, all, len) : failed(f, "read", err);
    if (rc == KEDGE_ERR_CORRUPT)
        (void)kedge_error_set(err, rc, 0, "'%s' is damaged, or no store of ours", f->place);
    else if (rc == KEDGE_ERR_NOMEM)
        (void)kedge_error_set(err, rc, 0, "out of memory");
    free(all);
    (void)close(fd);
    return rc;
}

/* The new file beside the old one, with all its bytes on the disk. */
static bool write_new(const struct file_store *f)
{
    size_t len, done = 0;
    char *all = kit_sorted_picture(&f->rows, &len);
    int fd = all == NULL
                 ? -1
                 : openat(f->dir, f->new_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool ok = fd >= 0;

    while (ok && done < len) {
        ssize_t n = write(fd, all + done, len - done);

        ok = n >= 0 || errno == EINTR;
        done += n > 0 ? (size_t)n : 0;
    }
    ok = ok && fsync(fd) == 0;
    free(all);
    return fd >= 0 && close(fd) == 0 && ok;
}

/* ------------------------------------------------------------- transactions */

/* TYPE is F_RDLCK, F_WRLCK or F_UNLCK; never waits. */
static bool lock_byte(int fd, short type, off_t byte)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static int64_t monotonic_us(void)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct file_store *store_of(void *txn)
{
    return (struct file_store *)((char *)txn - offsetof(struct file_store, rows));
}

static void file_abort(void *txn)
{
    struct file_store *f = store_of(txn);

    kit_sorted_clear(&f->rows);
    (void)lock_byte(f->lock, F_UNLCK, 1);
    (void)pthread_mutex_unlock(&f->turn);
}

/* First alone among threads, then among processes.  The kernel has no such lock with a timeout, so
   it is asked again and again. */
static int file_begin(struct kit_map_store *store, bool write, int64_t timeout_us, void **txn,
                      struct kedge_error *err)
{
    struct file_store *f = (struct file_store *)store;
    int64_t begun = monotonic_us();
    int rc;

    (void)write; /* readers take their turn, too */
    for (;;) {
        if (pthread_mutex_trylock(&f->turn) == 0) {
            if (lock_byte(f->lock, F_WRLCK, 1))
                break;
            (void)pthread_mutex_unlock(&f->turn);
        }
        if (monotonic_us() - begun >= timeout_us)
            return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                                   "'%s' was in use by others until the timeout", f->place);
        (void)nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
    }
    *txn = &f->rows;
    rc = load(f, err);
    if (rc != KEDGE_OK)
        file_abort(*txn);
    return rc;
}

static int file_commit(void *txn, struct kedge_error *err)
{
    struct file_store *f = store_of(txn);
    int rc = KEDGE_OK;

    if (f->rows.dirty && (!write_new(f) || renameat(f->dir, f->new_name, f->dir, f->name) != 0))
        rc = failed(f, "written", err);
    else if (f->rows.dirty &&
             fsync(f->dir) != 0) /* it counts now, and may be lost with the power */
        rc = kedge_error_set(err, KEDGE_ERR_UNKNOWN, errno, "'%s' cannot be flushed", f->place);
    file_abort(txn);
    return rc;
}

static const struct kit_map file_map = {
    .begin = file_begin,
    .commit = file_commit,
    .abort = file_abort,
    .get = kit_sorted_get,
    .next = kit_sorted_next,
    .put = kit_sorted_put,
    .del = kit_sorted_del,
};

/* --------------------------------------------------------- open, close, drop */

static const struct kedge_backend_ops file_ops;

/* Where URL and namespace say.  A namespace is any bytes, and a file name is not: what could mean
   something in one, or differ in case alone, is written as %XX. */
static int find_place(struct file_store *f, const struct kedge_open *open, struct kedge_error *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *ns = open->ns.data;
    struct kedge_url url;
    size_t len = 0;
    int rc = kedge_url_split(open->url, &url, err);

    if (rc == KEDGE_OK && (url.has_authority || url.query.len != 0 || url.path.len == 0 ||
                           kedge_url_options(open).len != 0))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "a store in files is 'file:DIRECTORY', without parameters");
    if (rc == KEDGE_OK && (open->ns.len == 0 || open->ns.len > 80))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the namespace is not of 1 to 80 bytes");
    if (rc == KEDGE_OK)
        rc = kedge_url_decode(url.path, "directory", f->dir_name, sizeof f->dir_name, err);
    for (size_t i = 0; rc == KEDGE_OK && i < open->ns.len; i++) {
        bool as_is = ns[i] != 0 && strchr(plain, ns[i]) != NULL;

        len +=
            (size_t)snprintf(f->name + len, sizeof f->name - len, as_is ? "%c" : "%%%02X", ns[i]);
    }
    (void)snprintf(f->new_name, sizeof f->new_name, "%.245s.new", f->name);
    (void)snprintf(f->lock_name, sizeof f->lock_name, "%.245s.lock", f->name);
    (void)snprintf(f->place, sizeof f->place, "%s/%s", f->dir_name, f->name);
    return rc;
}

static void end_store(struct file_store *f)
{
    if (f->lock >= 0) {
        (void)lock_byte(f->lock, F_UNLCK, 0);
        (void)close(f->lock);
    }
    if (f->dir >= 0)
        (void)close(f->dir);
    (void)pthread_mutex_destroy(&f->turn);
    f->base.host->release(f->base.host->ctx, f);
}

/* Byte 0 of the lock file, for as long as the store lives.  NOT_FOUND: there is none; HELD. */
static int take_lock(struct file_store *f, short type, int flags, struct kedge_error *err)
{
    struct stat st;

    for (;;) {
        f->lock = openat(f->dir, f->lock_name, O_RDWR | O_CLOEXEC | flags, 0666);
        if (f->lock < 0)
            return errno == ENOENT ? KEDGE_NOT_FOUND : failed(f, "locked", err);
        if (!lock_byte(f->lock, type, 0))
            return KEDGE_HELD;
        if (fstat(f->lock, &st) == 0 && st.st_nlink != 0)
            return KEDGE_OK;
        (void)close(f->lock); /* dropped since it was opened */
    }
}

/* A store with its byte locked.  Whatever the answer, *OUT has to be ended if it is not NULL. */
static int new_store(const struct kedge_host *host, const struct kedge_open *open, short type,
                     struct file_store **out, struct kedge_error *err)
{
    struct file_store *f = *out = host->alloc(host->ctx, sizeof *f);
    bool create = (open->flags & KEDGE_OPEN_CREATE) != 0;
    int rc;

    if (f == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    memset(f, 0, sizeof *f);
    f->base = (struct kit_map_store){
        .map = &file_map,
        .ops = &file_ops,
        .host = host,
        .server = "plain files",
        .place = f->place,
        .durability = KEDGE_SURVIVES_PROCESS | KEDGE_SURVIVES_SERVER | KEDGE_SURVIVES_POWER,
        .incarnation = 1,
    };
    f->dir = f->lock = -1;
    (void)pthread_mutex_init(&f->turn, NULL);
    rc = find_place(f, open, err);
    if (rc != KEDGE_OK)
        return rc;
    f->dir = openat(AT_FDCWD, f->dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->dir < 0)
        return errno == ENOENT && !create ? KEDGE_NOT_FOUND : failed(f, "found", err);
    return take_lock(f, type, create ? O_CREAT : 0, err);
}

static int file_store_open(const struct kedge_host *host, const struct kedge_open *open,
                           void **store, struct kedge_error *err)
{
    struct file_store *f;
    int rc = new_store(host, open, F_RDLCK, &f, err);

    if (rc == KEDGE_OK)
        rc = kit_map_open(&f->base, open, err);
    else if (rc == KEDGE_NOT_FOUND)
        rc = kit_schema_check(f->place, 0, KIT_MAP_SCHEMA, KIT_MAP_SCHEMA, err);
    else if (rc == KEDGE_HELD)
        rc = kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0, "'%s' is being dropped", f->place);
    if (rc == KEDGE_OK)
        *store = f;
    else if (f != NULL)
        end_store(f);
    return rc;
}

static void file_store_close(void *store)
{
    struct file_store *f = store;

    if (f != NULL && kit_map_mine(&f->base))
        end_store(f);
}

static int file_store_drop(const struct kedge_host *host, const struct kedge_open *open,
                           struct kedge_error *err)
{
    struct file_store *f;
    int rc = new_store(host, open, F_WRLCK, &f, err);

    if (rc == KEDGE_OK) {
        (void)unlinkat(f->dir, f->new_name, 0);
        if (unlinkat(f->dir, f->name, 0) != 0)
            rc = errno == ENOENT ? KEDGE_NOT_FOUND : failed(f, "removed", err);
        if (rc >= 0 && (unlinkat(f->dir, f->lock_name, 0) != 0 || fsync(f->dir) != 0))
            rc = failed(f, "removed", err);
    }
    if (f != NULL)
        end_store(f);
    return rc;
}

static const struct kedge_backend_ops file_ops = {
    KEDGE_BACKEND_HEADER,
    .caps = KEDGE_CAP_SHARED,
    .threads = KEDGE_THREADS_SESSION,
    .name = "file",
    .version = "1",
    .limits = &kit_map_limits,
    .store_open = file_store_open,
    .store_close = file_store_close,
    .store_drop = file_store_drop,
    KIT_MAP_OPERATIONS,
};

KEDGE_BACKEND_DEFINE(file, file_ops);
