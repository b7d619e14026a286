/*
 * iofault.h - what happens when a write fails, is cut short, never returns, or is the last one
 *
 * Linked into a program, or preloaded into it as kedge-kill.so, iofault.c defines the C library's
 * writing calls, and those on sockets, itself.  Such symbols come first when a shared library's
 * calls are resolved, so those of liblmdb, libpq and hiredis and of backends arrive here; a program
 * that links it needs no LD_PRELOAD, and works with sanitizers too, but must be linked with
 * -export-dynamic.  Each call is passed on to the kernel.  While a plan is armed, calls are
 * counted, and call number `at' (from 1) meets the fault.
 *
 * Not counted: standard input, output and error, opening without O_CREAT or O_TRUNC, reading from
 * what is no socket, and whatever uses syscall(2), which is how a test talks while a plan is armed.
 * Writing to a socket counts as `send', reading from it as `recv'.
 */
#ifndef KEDGE_CONFORM_IOFAULT_H
#define KEDGE_CONFORM_IOFAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define IOFAULT_CALLS(X)                                                                           \
    X(write)                                                                                       \
    X(pwrite)                                                                                      \
    X(writev)                                                                                      \
    X(pwritev)                                                                                     \
    X(fdatasync)                                                                                   \
    X(fsync)                                                                                       \
    X(msync)                                                                                       \
    X(ftruncate)                                                                                   \
    X(fallocate)                                                                                   \
    X(rename)                                                                                      \
    X(unlink)                                                                                      \
    X(link)                                                                                        \
    X(open)                                                                                        \
    X(mkdir)                                                                                       \
    X(connect)                                                                                     \
    X(send)                                                                                        \
    X(recv)

#define IOFAULT_ENUM(name) IOFAULT_##name,
enum iofault_call { IOFAULT_CALLS(IOFAULT_ENUM) IOFAULT_N_CALLS };
#undef IOFAULT_ENUM

#define IOFAULT_WRITES                                                                             \
    (1u << IOFAULT_write | 1u << IOFAULT_pwrite | 1u << IOFAULT_writev | 1u << IOFAULT_pwritev |   \
     1u << IOFAULT_send)
#define IOFAULT_SOCKETS (1u << IOFAULT_connect | 1u << IOFAULT_send | 1u << IOFAULT_recv)
#define IOFAULT_SYNCS   (1u << IOFAULT_fdatasync | 1u << IOFAULT_fsync | 1u << IOFAULT_msync)
#define IOFAULT_ALL     ((1u << IOFAULT_N_CALLS) - 1)

#define IOFAULT_TRACE 4096

enum iofault_mode {
    IOFAULT_COUNT,       /* nothing happens */
    IOFAULT_KILL_BEFORE, /* SIGKILL instead of the call */
    IOFAULT_KILL_AFTER,  /* SIGKILL when the call is done */
    IOFAULT_TORN,        /* half of the bytes are written, then SIGKILL; other calls: KILL_BEFORE */
    IOFAULT_FAIL,        /* not done; answers -1 with errno */
    IOFAULT_FAIL_AFTER,  /* done; answers -1 with errno */
    IOFAULT_SHORT,       /* half of the bytes are written, or received, and that count is the
                            answer; other calls: not hit, the next such is */
    IOFAULT_STALL        /* the thread waits inside the call until released, then does it */
};

/*
 * All that is shared between the threads of a process, and, if put into shared memory, with the
 * process that watches it.  Zero is a good start.
 */
struct iofault {
    /* the plan */
    _Atomic uint32_t armed;
    _Atomic uint32_t mode;
    _Atomic uint32_t mask;   /* of 1 << enum iofault_call: what is counted; 0: all */
    _Atomic uint32_t sticky; /* 1: every call from `at' on */
    _Atomic uint32_t err;    /* errno of FAIL */
    _Atomic uint64_t at;
    /* what came of it */
    _Atomic uint64_t count; /* calls since armed */
    _Atomic uint64_t fired; /* faults that took place; the killing ones count before they kill */
    _Atomic uint32_t fired_call;
    _Atomic uint64_t calls[IOFAULT_N_CALLS];
    _Atomic uint8_t trace[IOFAULT_TRACE]; /* which call was number i + 1 */
    /* STALL; futexes */
    _Atomic uint32_t stalled;  /* threads that have come to a stall */
    _Atomic uint32_t released; /* ... that may go on */
};

/* Use F from now on; NULL: the process's own.  Not while armed. */
void iofault_use(struct iofault *f);
/* Start counting from 0.  ERR is for FAIL. */
void iofault_arm(struct iofault *f, enum iofault_mode mode, uint64_t at, int err);
void iofault_disarm(struct iofault *f);
/* Wait until thread number N (from 1) has come to a stall; false: not within TIMEOUT_MS. */
bool iofault_await_stall(struct iofault *f, uint32_t n, int timeout_ms);
/* Let the first N of them go on; UINT32_MAX: all, and whoever comes. */
void iofault_release(struct iofault *f, uint32_t n);
const char *iofault_call_name(uint32_t call);

#endif
