/*
 * check.h - is a history one that the storage contract permits?
 *
 * Four checkers, each with its own idea; a history is sound if all that apply find nothing.
 * None raises a false alarm: what it calls a violation no correct store can have answered, however
 * calls overlapped.  What it cannot decide, for lack of budget, is inconclusive and never a pass.
 *
 * Calls that failed and changed nothing (a negative status other than ERR_UNKNOWN) say nothing.
 */
#ifndef KEDGE_CONFORM_CHECK_H
#define KEDGE_CONFORM_CHECK_H

#include "history.h"

enum check_result { CHECK_PASS, CHECK_VIOLATION, CHECK_INCONCLUSIVE };

#define CHECK_WHY_MAX 4000

struct verdict {
    enum check_result result;
    uint64_t looked_at; /* operations that were judged */
    uint64_t nodes;     /* of the search, see check_linear */
    char key[HISTORY_KEY_MAX];
    char why[CHECK_WHY_MAX]; /* lines of text, on anything but a pass */
};

#define CHECK_BUDGET UINT64_C(2000000)

/*
 * Is there an order of all operations in which each answer is the one that a store with one
 * client would have given, and which keeps the order of calls that did not overlap?  Looked for
 * key by key.  BUDGET bounds the nodes of the search over the whole history.
 */
enum check_model {
    CHECK_LOCKS = 1,  /* a lock: holder, fence, who is buried */
    CHECK_LEASES = 2, /* a lease: live, its deadline, dead for ever */
    CHECK_CELLS = 4,  /* a register whose writes are guarded by its version */
    CHECK_RUNS = 8,   /* a run: due, held under a fence, at rest; its records */
    CHECK_ALL = 15
};
void check_linear(const struct history *h, uint32_t models, uint64_t budget, struct verdict *v);

/*
 * Locks by the clock of this host.  MARGIN is how much the store's clock may disagree about a span
 * of one ttl.  A grant is safely held from its answer on, until its own release is called, or its
 * lease is buried with permission: ttl - margin after the last successful call that extended it.
 */
void check_intervals(const struct history *h, int64_t margin_us, struct verdict *v);

/* Fences are unique; they rise in the order of grants; what is older than what was seen to return
   is refused. */
void check_fences(const struct history *h, struct verdict *v);

/*
 * Runs are neither invented, lost, doubled nor held twice.  DRAINED: at the end everything was to
 * be finished.
 */
void check_conserved(const struct history *h, bool drained, struct verdict *v);

/* Between the checkers. */
void verdict_init(struct verdict *v);
/* false: answered already; the first violation is the one that is told. */
bool verdict_fail(struct verdict *v, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void verdict_add(struct verdict *v, const struct history_event *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void verdict_unsure(struct verdict *v, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Does it say anything? */
bool check_counts(const struct history_event *e);
/* Events of one key of one subject are together, in the order of their calls. */
const struct history_event **check_by_key(const struct history *h, size_t *n);
bool check_same_key(const struct history_event *a, const struct history_event *b);

/* When a lease was what.  HISTORY_NEVER: it was not; HISTORY_NO_TIME: nothing is known. */
struct lease_span {
    uint64_t owner;
    int64_t safe_until;                /* ttl after the last call that extended it for certain */
    int64_t gone;                      /* its process may be dead from here on */
    int64_t ending;                    /* somebody began to bury or revoke it */
    int64_t revoking;                  /* its holder began to revoke it */
    int64_t dead;                      /* the first answer that says it is */
    const struct history_event *death; /* that one */
};
/* Sorted by owner; freed with free(); NULL: no memory. */
struct lease_span *check_spans(const struct history *h, size_t *n);
const struct lease_span *check_span(const struct lease_span *spans, size_t n, uint64_t owner);

#endif
