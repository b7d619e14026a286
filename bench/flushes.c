/*
 * flushes.c - the calls that write and flush, in front of the C library's
 *
 * A program's own functions come before those of the libraries that it uses, in all of them: so the
 * calls of an embedded store come through here.  When nothing is counted they only pass.
 */
#include <config.h>

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "flushes.h"

#if defined(__LP64__) /* elsewhere an offset is two arguments, or one, by the name of the call */
#    define CAN_COUNT true
#else
#    define CAN_COUNT false
#endif

static atomic_bool counting;
static atomic_uint_fast64_t flushes;
static atomic_uint_fast64_t bytes;

bool flushes_count(void)
{
    atomic_store(&flushes, 0);
    atomic_store(&bytes, 0);
    atomic_store(&counting, CAN_COUNT);
    return CAN_COUNT;
}

struct flushed flushes_end(void)
{
    atomic_store(&counting, false);
    return (struct flushed){ atomic_load(&flushes), atomic_load(&bytes) };
}

#if defined(__LP64__)

#    define SEEN __attribute__((visibility("default")))

static void note_flush(void)
{
    if (atomic_load_explicit(&counting, memory_order_relaxed))
        (void)atomic_fetch_add(&flushes, 1);
}

static ssize_t noted(int fd, ssize_t written)
{
    struct stat st;

    if (!atomic_load_explicit(&counting, memory_order_relaxed) || written <= 0 ||
        fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return written;
    if ((fcntl(fd, F_GETFL) & (O_SYNC | O_DSYNC)) != 0)
        note_flush();
    (void)atomic_fetch_add(&bytes, (uint64_t)written);
    return written;
}

SEEN int fsync(int fd)
{
    note_flush();
    return (int)syscall(SYS_fsync, fd);
}

SEEN int fdatasync(int fd)
{
    note_flush();
    return (int)syscall(SYS_fdatasync, fd);
}

SEEN int msync(void *at, size_t len, int flags)
{
    if ((flags & MS_SYNC) != 0)
        note_flush();
    return (int)syscall(SYS_msync, at, len, flags);
}

SEEN ssize_t write(int fd, const void *data, size_t len)
{
    return noted(fd, syscall(SYS_write, fd, data, len));
}

SEEN ssize_t writev(int fd, const struct iovec *v, int n)
{
    return noted(fd, syscall(SYS_writev, fd, v, n));
}

SEEN ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return noted(fd, syscall(SYS_pwrite64, fd, data, len, at));
}

SEEN ssize_t pwrite64(int fd, const void *data, size_t len, off_t at)
{
    return pwrite(fd, data, len, at);
}

SEEN ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    return noted(fd, syscall(SYS_pwritev, fd, v, n, at, 0L));
}

SEEN ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t at)
{
    return pwritev(fd, v, n, at);
}

#endif
