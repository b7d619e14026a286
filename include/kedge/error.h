/* error.h - status codes and the message that goes with a failure */
#ifndef KEDGE_ERROR_H
#define KEDGE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One list, X(name, value, text), from which codes, names and texts are made.
 *
 * Zero: done.  Positive: the store answered "no" and changed nothing; that is a result and
 * no message comes with it.  Negative: a failure, and struct kedge_error says what to do.
 * Only ERR_UNKNOWN leaves open whether the write took place (wholly or not at all).
 */
#define KEDGE_STATUS_LIST(X)                                                                       \
    X(OK, 0, "done")                                                                               \
    X(NOT_FOUND, 1, "no such record")                                                              \
    X(EXISTS, 2, "a record of that name exists")                                                   \
    X(STALE, 3, "somebody else was there: fence, lease, revision, position or version differ")     \
    X(LOST, 4, "the lease is dead")                                                                \
    X(HELD, 5, "somebody else holds it")                                                           \
    X(QUIET, 6, "nothing happened before the time was up")                                         \
    X(ERR_NOMEM, -1, "out of memory")                                                              \
    X(ERR_INVALID, -2, "invalid argument")                                                         \
    X(ERR_UNAVAILABLE, -3, "not reachable now, nothing changed")                                   \
    X(ERR_UNKNOWN, -4, "the write may or may not have happened")                                   \
    X(ERR_FULL, -5, "the store is full, nothing changed")                                          \
    X(ERR_TOO_BIG, -6, "larger than the store's limit")                                            \
    X(ERR_CORRUPT, -7, "stored data cannot be understood")                                         \
    X(ERR_UNSUPPORTED, -8, "this backend cannot do that")                                          \
    X(ERR_BACKEND, -9, "unusable backend")                                                         \
    X(ERR_SCHEMA_MISSING, -10, "the store was never set up")                                       \
    X(ERR_SCHEMA_OLD, -11, "the store was written by an older kedge")                              \
    X(ERR_SCHEMA_NEW, -12, "the store was written by a newer kedge")                               \
    X(ERR_PERMISSION, -13, "permission denied")

#define KEDGE_STATUS_ENUM(name, value, text) KEDGE_##name = (value),
enum kedge_status { KEDGE_STATUS_LIST(KEDGE_STATUS_ENUM) KEDGE_STATUS_END_ = 127 };
#undef KEDGE_STATUS_ENUM

#define KEDGE_ERRMSG_MAX 512

/* The caller's; written on a negative status and only then.  May be passed as NULL. */
struct kedge_error {
    int code;      /* enum kedge_status */
    int sys_errno; /* errno of the call that failed, or 0 */
    char msg[KEDGE_ERRMSG_MAX];
};

#ifdef __cplusplus
}
#endif

#endif
