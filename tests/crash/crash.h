/*
 * crash.h - what the crash programs share: TAP, children, a clock that stands still, and dumps
 *
 * The parent of these programs opens no store and has one thread, so that it may fork as often as
 * it likes; what children learn, they write into memory shared with it (which outlives SIGKILL).
 */
#ifndef KEDGE_TESTS_CRASH_H
#define KEDGE_TESTS_CRASH_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include <kedge/backend.h>
#include <kedge/store.h>

#include "tests/support/tsan.h"

#if defined(__GNUC__)
#    define CRASH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#    define CRASH_PRINTF(fmt, args)
#endif

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0])) /* NOLINT(bugprone-sizeof-expression) */

#define CRASH_SEC      INT64_C(1000000)
#define CRASH_TIMEOUT  (20 * CRASH_SEC) /* for a store call that nothing should hold up */
#define CRASH_WATCHDOG 60 /* seconds for a child; late past them, hung past three times */

/* ---------------------------------------------------------------------- TAP */

bool tap_ok(bool ok, const char *fmt, ...) CRASH_PRINTF(2, 3);
void tap_skip(const char *why, const char *fmt, ...) CRASH_PRINTF(2, 3);
void tap_diag(const char *fmt, ...) CRASH_PRINTF(1, 2);
/* Prints the plan; the exit status. */
int tap_end(void);
/* Ends the program: the harness itself cannot work. */
_Noreturn void tap_bail(const char *fmt, ...) CRASH_PRINTF(1, 2);

/* ------------------------------------------------------------------- general */

/* KEDGE_TEST_LONG is set: take your time. */
bool crash_long(void);
/* $KEDGE_TEST_SEED or a new one; printed. */
uint64_t crash_seed(void);
uint64_t crash_random(uint64_t *state);
int64_t crash_now_us(void); /* monotonic */
void crash_sleep_us(int64_t us);

/*
 * A new empty directory, gone at the program's end unless a test failed (then its name is shown)
 * or KEDGE_TEST_KEEP is set.  In $KEDGE_TEST_DIR, else /dev/shm (kill -9 makes no difference
 * between file systems, and an enumeration is as fast as its syncs), else $TMPDIR or /tmp.
 */
const char *crash_dir(void);
/* Remove what is at PATH, with all that is in it. */
void crash_remove(const char *path);
/* SIZE zeroed bytes, shared with children. */
void *crash_shared(size_t size);

struct kedge_bytes crash_text(const char *text);
/* The same id for the same words, everywhere. */
struct kedge_id128 crash_id(const char *kind, uint64_t n);
uint64_t crash_hash(uint64_t seed, const void *data, size_t len);

/* The backend under test; bails out when it cannot be had.  NULL: lmdb. */
const struct kedge_backend_ops *crash_ops(const char *name);

/* -------------------------------------------------------------------- children */

/* How a child ended; its reasons are in crash_why(). */
enum crash_end {
    CRASH_PASSED,
    CRASH_FAILED,
    CRASH_KILLED,
    CRASH_HUNG,
    CRASH_ABORTED,
    CRASH_SKIPPED
};

/* Run FN in a child of its own; bounded by CRASH_WATCHDOG. */
enum crash_end crash_run(void (*fn)(void *ctx), void *ctx);
/* Start it only; FN's return ends the child with "passed". */
pid_t crash_start(void (*fn)(void *ctx), void *ctx);
/* Wait for one.  After SECONDS its threads are shown on standard error; after three times that it
   is killed: it hangs. */
enum crash_end crash_wait(pid_t pid, int seconds);
/* What the last failing child had to say, a word for each way to end. */
const char *crash_why(void);
const char *crash_end_name(enum crash_end end);

/* For children: end as "failed" or "skipped", with a reason. */
_Noreturn void crash_fail(const char *fmt, ...) CRASH_PRINTF(1, 2);
_Noreturn void crash_skip(const char *fmt, ...) CRASH_PRINTF(1, 2);
#define CRASH_CHECK(cond, ...)                                                                     \
    do {                                                                                           \
        if (!(cond))                                                                               \
            crash_fail(__VA_ARGS__);                                                               \
    } while (0)

/* ----------------------------------------------------------- a host for tests */

/* The default host, except for clocks that show *BASE (UTC and lease clock alike). */
void crash_host_manual(struct kedge_host *host, const int64_t *base);

/* --------------------------------------------------------------------- dumps */

/*
 * All that a session shows, as text: one block per object, "[kind name]" and lines.  Of fences and
 * versions only the second of their time is shown (with a manual clock: the step that issued
 * them); of hints nothing.
 */
struct crash_dump {
    char *text;
    size_t len;
};
struct crash_known {
    const char *const *cells;
    size_t n_cells;
    const char *const *locks;
    size_t n_locks;
    uint32_t sets; /* slot sets 0 .. sets - 1 are asked for */
    int64_t epoch; /* times and fences are counted from here */
};
/* OK, or the first failure with its message in err.  Free the text with free(). */
int crash_dump(const struct kedge_backend_ops *ops, const struct kedge_host *host, void *session,
               const struct crash_known *known, struct crash_dump *out, struct kedge_error *err);
/* The first line in which two dumps differ, as "... | ..."; static. */
const char *crash_dump_differ(const char *a, const char *b);

/* verify: OK and no faults; else a sentence.  NULL: fine.  Static. */
const char *crash_verify(const struct kedge_backend_ops *ops, const struct kedge_host *host,
                         void *session);

#endif
