/* iofault.c - the C library's calls that write and talk, taken over; see iofault.h */

/* The checked variants are inline functions of the same names. */
#undef _FORTIFY_SOURCE
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "iofault.h"

/*
 * The sanitizers' runtimes open files before they are ready for instrumented code; so nothing here
 * is instrumented, and nothing here calls anything that is.
 */
#if defined(__clang__)
#    define BARE __attribute__((no_sanitize("address", "thread", "undefined", "memory")))
#elif defined(__GNUC__)
#    define BARE __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize_undefined))
#endif
#define SHOWN BARE __attribute__((visibility("default")))

static struct iofault own;
static _Atomic(struct iofault *) used = &own;

SHOWN void iofault_use(struct iofault *f)
{
    atomic_store(&used, f != NULL ? f : &own);
}

BARE static void futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *t)
{
    int saved = errno;

    (void)syscall(SYS_futex, (uintptr_t)word, op, value, t, NULL, 0);
    errno = saved;
}

SHOWN void iofault_arm(struct iofault *f, enum iofault_mode mode, uint64_t at, int err)
{
    if (f == NULL)
        f = atomic_load(&used);
    atomic_store(&f->armed, 0);
    atomic_store(&f->mode, (uint32_t)mode);
    atomic_store(&f->err, (uint32_t)err);
    atomic_store(&f->at, at);
    atomic_store(&f->count, 0);
    atomic_store(&f->fired, 0);
    for (int i = 0; i < IOFAULT_N_CALLS; i++)
        atomic_store(&f->calls[i], 0);
    atomic_store(&f->stalled, 0);
    atomic_store(&f->released, 0);
    atomic_store(&f->armed, 1);
}

SHOWN void iofault_disarm(struct iofault *f)
{
    if (f == NULL)
        f = atomic_load(&used);
    atomic_store(&f->armed, 0);
}

BARE static int64_t now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

BARE bool iofault_await_stall(struct iofault *f, uint32_t n, int timeout_ms)
{
    int64_t end = now_ms() + timeout_ms;
    uint32_t seen;

    if (f == NULL)
        f = atomic_load(&used);
    while ((seen = atomic_load(&f->stalled)) < n) {
        int64_t left = end - now_ms();
        struct timespec t = { left / 1000, left % 1000 * 1000000 };

        if (left <= 0)
            return false;
        futex(&f->stalled, FUTEX_WAIT, seen, &t);
    }
    return true;
}

BARE void iofault_release(struct iofault *f, uint32_t n)
{
    if (f == NULL)
        f = atomic_load(&used);
    atomic_store(&f->released, n);
    futex(&f->released, FUTEX_WAKE, INT_MAX, NULL);
}

BARE static void wait_for_release(struct iofault *f)
{
    uint32_t me = atomic_fetch_add(&f->stalled, 1) + 1;
    uint32_t released;

    futex(&f->stalled, FUTEX_WAKE, INT_MAX, NULL);
    while ((released = atomic_load(&f->released)) < me)
        futex(&f->released, FUTEX_WAIT, released, NULL);
}

const char *iofault_call_name(uint32_t call)
{
#define IOFAULT_NAME(name) #name,
    static const char *const names[] = { IOFAULT_CALLS(IOFAULT_NAME) };
#undef IOFAULT_NAME

    return call < IOFAULT_N_CALLS ? names[call] : "?";
}

BARE static void die(void)
{
    (void)syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;)
        (void)syscall(SYS_pause);
}

BARE static bool is_socket(int fd)
{
    int saved = errno, type;
    socklen_t len = sizeof type;
    bool yes = syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;

    errno = saved;
    return yes;
}

/* One call on its way through: what shall happen to it. */
struct pass {
    struct iofault *f;
    bool hit;
    uint32_t mode;
    int socket; /* -1: it is none */
};

BARE static struct pass enter(enum iofault_call call, int fd)
{
    struct pass p = { atomic_load(&used), false, IOFAULT_COUNT, -1 };
    struct iofault *f = p.f;
    uint32_t mask = atomic_load(&f->mask);
    uint64_t number;
    uint64_t at = atomic_load(&f->at);

    if (atomic_load(&f->armed) == 0 || (fd >= 0 && fd <= 2))
        return p;
    if ((1u << call & IOFAULT_WRITES) != 0 && is_socket(fd))
        call = IOFAULT_send;
    if (call == IOFAULT_recv && !is_socket(fd))
        return p;
    if (mask != 0 && (mask & 1u << call) == 0)
        return p;
    if ((1u << call & IOFAULT_SOCKETS) != 0)
        p.socket = fd;
    number = atomic_fetch_add(&f->count, 1) + 1;
    atomic_fetch_add(&f->calls[call], 1);
    if (number <= IOFAULT_TRACE)
        atomic_store(&f->trace[number - 1], (uint8_t)call);
    p.mode = atomic_load(&f->mode);
    if (p.mode == IOFAULT_COUNT || at == 0)
        return p;
    if (p.mode == IOFAULT_SHORT)
        p.hit = (1u << call & (IOFAULT_WRITES | 1u << IOFAULT_recv)) != 0 && number >= at &&
                (atomic_load(&f->sticky) != 0 || atomic_load(&f->fired) == 0);
    else
        p.hit = number == at || (atomic_load(&f->sticky) != 0 && number > at);
    if (!p.hit)
        return p;
    atomic_store(&f->fired_call, (uint32_t)call);
    atomic_fetch_add(&f->fired, 1);
    if (p.mode == IOFAULT_KILL_BEFORE ||
        (p.mode == IOFAULT_TORN && (1u << call & IOFAULT_WRITES) == 0))
        die();
    if (p.mode == IOFAULT_STALL)
        wait_for_release(f);
    return p;
}

/* What fails as it was planned.  A connection that is said to have been reset is of no use any
   more, nor is its other end left to wonder. */
BARE static void fail(const struct pass *p)
{
    int err = (int)atomic_load(&p->f->err);

    if (p->socket >= 0 && err == ECONNRESET)
        (void)syscall(SYS_shutdown, p->socket, SHUT_RDWR);
    errno = err;
}

/* Not to be done at all? */
BARE static bool refused(const struct pass *p)
{
    if (!p->hit || p->mode != IOFAULT_FAIL)
        return false;
    fail(p);
    return true;
}

BARE static bool halved(const struct pass *p)
{
    return p->hit && (p->mode == IOFAULT_SHORT || p->mode == IOFAULT_TORN);
}

BARE static long leave(const struct pass *p, long result)
{
    if (!p->hit)
        return result;
    if (p->mode == IOFAULT_KILL_AFTER || p->mode == IOFAULT_TORN)
        die();
    if (p->mode == IOFAULT_FAIL_AFTER) {
        fail(p);
        return -1;
    }
    return result;
}

#define SIMPLE(call, fd, expr)                                                                     \
    do {                                                                                           \
        struct pass p_ = enter(IOFAULT_##call, fd);                                                \
                                                                                                   \
        if (refused(&p_))                                                                          \
            return -1;                                                                             \
        return (int)leave(&p_, expr);                                                              \
    } while (0)

/* ------------------------------------------------------------------ writing */

/* POSIX takes an offset whole; the kernel of a 64-bit machine does, too. */
_Static_assert(sizeof(long) == 8 && sizeof(off_t) == 8, "64-bit Linux");

SHOWN ssize_t write(int fd, const void *buf, size_t n)
{
    struct pass p = enter(IOFAULT_write, fd);

    if (refused(&p))
        return -1;
    return leave(&p, syscall(SYS_write, fd, buf, halved(&p) ? n / 2 : n));
}

BARE static ssize_t do_pwrite(int fd, const void *buf, size_t n, off_t at)
{
    struct pass p = enter(IOFAULT_pwrite, fd);

    if (refused(&p))
        return -1;
    return leave(&p, syscall(SYS_pwrite64, fd, buf, halved(&p) ? n / 2 : n, at));
}

SHOWN ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
    return do_pwrite(fd, buf, n, at);
}

SHOWN ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at)
{
    return do_pwrite(fd, buf, n, at);
}

#define PARTS_MAX 256

/* The first half of the bytes of IOV; answers the number of parts. */
BARE static int first_half(const struct iovec *iov, int n, struct iovec *out)
{
    size_t total = 0;
    int k = 0;

    if (n > PARTS_MAX)
        n = PARTS_MAX;
    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    total /= 2;
    for (int i = 0; i < n && total > 0; i++, k++) {
        out[k] = iov[i];
        if (out[k].iov_len > total)
            out[k].iov_len = total;
        total -= out[k].iov_len;
    }
    return k;
}

SHOWN ssize_t writev(int fd, const struct iovec *iov, int n)
{
    struct pass p = enter(IOFAULT_writev, fd);
    struct iovec half[PARTS_MAX];

    if (refused(&p))
        return -1;
    if (halved(&p)) {
        n = first_half(iov, n, half);
        iov = half;
    }
    return leave(&p, syscall(SYS_writev, fd, iov, n));
}

BARE static ssize_t do_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
    struct pass p = enter(IOFAULT_pwritev, fd);
    struct iovec half[PARTS_MAX];

    if (refused(&p))
        return -1;
    if (halved(&p)) {
        n = first_half(iov, n, half);
        iov = half;
    }
    return leave(&p, syscall(SYS_pwritev, fd, iov, n, at, 0L));
}

SHOWN ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
    return do_pwritev(fd, iov, n, at);
}

SHOWN ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t at)
{
    return do_pwritev(fd, iov, n, at);
}

/* ------------------------------------------------------------------- talking */

/* In glibc's headers the type of an address is a union of pointers, so these have other names. */
SHOWN int iofault_connect(int fd, const struct sockaddr *to, socklen_t len) __asm__("connect");
SHOWN ssize_t iofault_sendto(int fd, const void *buf, size_t n, int flags,
                             const struct sockaddr *to, socklen_t len) __asm__("sendto");
SHOWN ssize_t iofault_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
                               socklen_t *len) __asm__("recvfrom");

SHOWN int iofault_connect(int fd, const struct sockaddr *to, socklen_t len)
{
    SIMPLE(connect, fd, syscall(SYS_connect, fd, to, len));
}

BARE static ssize_t do_sendto(int fd, const void *buf, size_t n, int flags,
                              const struct sockaddr *to, socklen_t len)
{
    struct pass p = enter(IOFAULT_send, fd);

    if (refused(&p))
        return -1;
    return leave(&p, syscall(SYS_sendto, fd, buf, halved(&p) ? n / 2 : n, flags, to, len));
}

SHOWN ssize_t send(int fd, const void *buf, size_t n, int flags)
{
    return do_sendto(fd, buf, n, flags, NULL, 0);
}

SHOWN ssize_t iofault_sendto(int fd, const void *buf, size_t n, int flags,
                             const struct sockaddr *to, socklen_t len)
{
    return do_sendto(fd, buf, n, flags, to, len);
}

SHOWN ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct pass p = enter(IOFAULT_send, fd);
    struct iovec half[PARTS_MAX];
    struct msghdr m = *message;

    if (refused(&p))
        return -1;
    if (halved(&p)) {
        m.msg_iovlen = (size_t)first_half(m.msg_iov, (int)m.msg_iovlen, half);
        m.msg_iov = half;
    }
    return leave(&p, syscall(SYS_sendmsg, fd, &m, flags));
}

/* A few bytes: half of the room that there is may be more than what came. */
BARE static size_t room(const struct pass *p, size_t n)
{
    return p->hit && p->mode == IOFAULT_SHORT && n > 1 ? (n < 8 ? n / 2 : 7) : n;
}

BARE static ssize_t do_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
                                socklen_t *len)
{
    struct pass p = enter(IOFAULT_recv, fd);

    if (refused(&p))
        return -1;
    return leave(&p, syscall(SYS_recvfrom, fd, buf, room(&p, n), flags, from, len));
}

SHOWN ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    return do_recvfrom(fd, buf, n, flags, NULL, NULL);
}

SHOWN ssize_t iofault_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
                               socklen_t *len)
{
    return do_recvfrom(fd, buf, n, flags, from, len);
}

SHOWN ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    struct pass p = enter(IOFAULT_recv, fd);

    if (refused(&p))
        return -1;
    return leave(&p, syscall(SYS_recvmsg, fd, message, flags));
}

SHOWN ssize_t read(int fd, void *buf, size_t n)
{
    struct pass p = enter(IOFAULT_recv, fd);

    if (refused(&p))
        return -1;
    return leave(&p, syscall(SYS_read, fd, buf, room(&p, n)));
}

/* ------------------------------------------------------------------ syncing */

SHOWN int fdatasync(int fd)
{
    SIMPLE(fdatasync, fd, syscall(SYS_fdatasync, fd));
}

SHOWN int fsync(int fd)
{
    SIMPLE(fsync, fd, syscall(SYS_fsync, fd));
}

SHOWN int msync(void *addr, size_t n, int flags)
{
    SIMPLE(msync, -1, syscall(SYS_msync, addr, n, flags));
}

/* -------------------------------------------------------- files, directories */

SHOWN int ftruncate(int fd, off_t n)
{
    SIMPLE(ftruncate, fd, syscall(SYS_ftruncate, fd, n));
}

SHOWN int ftruncate64(int fd, off64_t n)
{
    SIMPLE(ftruncate, fd, syscall(SYS_ftruncate, fd, n));
}

SHOWN int fallocate(int fd, int mode, off_t at, off_t n)
{
    SIMPLE(fallocate, fd, syscall(SYS_fallocate, fd, mode, at, n));
}

/* Answers an error number.  (The kernel's own: without the C library's fallback by writing.) */
SHOWN int posix_fallocate(int fd, off_t at, off_t n)
{
    int saved = errno;
    int rc = fallocate(fd, 0, at, n) == 0 ? 0 : errno;

    errno = saved;
    return rc;
}

SHOWN int rename(const char *from, const char *to)
{
    SIMPLE(rename, -1, syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
}

SHOWN int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    SIMPLE(rename, -1, syscall(SYS_renameat, from_fd, from, to_fd, to));
}

SHOWN int unlink(const char *path)
{
    SIMPLE(unlink, -1, syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}

SHOWN int unlinkat(int fd, const char *path, int flags)
{
    SIMPLE(unlink, -1, syscall(SYS_unlinkat, fd, path, flags));
}

SHOWN int link(const char *from, const char *to)
{
    SIMPLE(link, -1, syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
}

SHOWN int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    SIMPLE(link, -1, syscall(SYS_linkat, from_fd, from, to_fd, to, flags));
}

SHOWN int mkdir(const char *path, mode_t mode)
{
    SIMPLE(mkdir, -1, syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}

SHOWN int mkdirat(int fd, const char *path, mode_t mode)
{
    SIMPLE(mkdir, -1, syscall(SYS_mkdirat, fd, path, mode));
}

BARE static int do_open(int dir, const char *path, int flags, mode_t mode)
{
    if ((flags & (O_CREAT | O_TRUNC)) == 0)
        return (int)syscall(SYS_openat, dir, path, flags, mode);
    SIMPLE(open, -1, syscall(SYS_openat, dir, path, flags, mode));
}

#define OPEN_MODE(after)                                                                           \
    do {                                                                                           \
        if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {                          \
            va_list ap;                                                                            \
                                                                                                   \
            va_start(ap, after);                                                                   \
            mode = (mode_t)va_arg(ap, unsigned);                                                   \
            va_end(ap);                                                                            \
        }                                                                                          \
    } while (0)

SHOWN int open(const char *path, int flags, ...)
{
    mode_t mode = 0;

    OPEN_MODE(flags);
    return do_open(AT_FDCWD, path, flags, mode);
}

SHOWN int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;

    OPEN_MODE(flags);
    return do_open(AT_FDCWD, path, flags, mode);
}

SHOWN int openat(int dir, const char *path, int flags, ...)
{
    mode_t mode = 0;

    OPEN_MODE(flags);
    return do_open(dir, path, flags, mode);
}

SHOWN int openat64(int dir, const char *path, int flags, ...)
{
    mode_t mode = 0;

    OPEN_MODE(flags);
    return do_open(dir, path, flags, mode);
}
