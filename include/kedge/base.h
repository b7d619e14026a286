/* base.h - what programs and backends share: visibility, bytes with a length, states of a run */
#ifndef KEDGE_BASE_H
#define KEDGE_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <kedge/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#    define KEDGE_API __attribute__((visibility("default")))
#else
#    define KEDGE_API
#endif

struct kedge_bytes {
    const void *data; /* may be NULL when len is 0 */
    size_t len;
};

/* The bytes of a C string, without its NUL; borrowed.  NULL gives none. */
static inline struct kedge_bytes kedge_text(const char *text)
{
    struct kedge_bytes bytes = { text, text != NULL ? strlen(text) : 0 };

    return bytes;
}

/* ------------------------------------------------------- the states of a run */

enum kedge_run_status {
    KEDGE_PENDING = 1,
    KEDGE_RUNNING = 2,
    KEDGE_ROLLING_BACK = 3,
    KEDGE_PAUSED = 4,
    /* at rest */
    KEDGE_COMPLETED = 5, /* finished well */
    KEDGE_FAILED = 6,    /* rolled back after a failure */
    KEDGE_HALTED = 7,    /* stopped cleanly, without undo */
    KEDGE_CANCELLED = 8, /* rolled back on request */
    KEDGE_STUCK = 9,     /* an operator must decide; never expires */
    KEDGE_ABORTED = 10   /* given up without undo; never expires */
};
#define KEDGE_STATUS_BIT(s) (UINT32_C(1) << (s))
#define KEDGE_STATUSES_UNFINISHED                                                                  \
    (KEDGE_STATUS_BIT(KEDGE_PENDING) | KEDGE_STATUS_BIT(KEDGE_RUNNING) |                           \
     KEDGE_STATUS_BIT(KEDGE_ROLLING_BACK) | KEDGE_STATUS_BIT(KEDGE_PAUSED))
#define KEDGE_STATUSES_RESTING                                                                     \
    (KEDGE_STATUS_BIT(KEDGE_COMPLETED) | KEDGE_STATUS_BIT(KEDGE_FAILED) |                          \
     KEDGE_STATUS_BIT(KEDGE_HALTED) | KEDGE_STATUS_BIT(KEDGE_CANCELLED) |                          \
     KEDGE_STATUS_BIT(KEDGE_STUCK) | KEDGE_STATUS_BIT(KEDGE_ABORTED))
#define KEDGE_STATUSES_ALL (KEDGE_STATUSES_UNFINISHED | KEDGE_STATUSES_RESTING)

/*
 * Where a run is.  After every commit a run is in exactly one place, never in limbo:
 *
 *      create --> DUE --claim/take--> HELD --release--> DUE | PARKED | AT REST
 *                  ^                    |                      |          |
 *                  +---- revoke, sweep -+        wake, backstop          reopen (operator)
 *                  +-------------------------------------------+----------+
 */
enum kedge_run_place {
    KEDGE_PLACE_DUE = 1,    /* unfinished, `due' is set, no holder */
    KEDGE_PLACE_HELD = 2,   /* unfinished, holder and fence set, no due */
    KEDGE_PLACE_PARKED = 3, /* status paused, `wakes_on' not 0, `due' is the backstop or 0 */
    KEDGE_PLACE_REST = 4    /* resting status, no holder, no due, no wake mark */
};

#ifdef __cplusplus
}
#endif

#endif
