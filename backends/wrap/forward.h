/*
 * forward.h - a table that passes every call on to another one, and lets somebody look at it
 *
 * Whoever builds on this defines three functions: what a handle stands for, what comes before a
 * call, what comes after it.  So each operation is passed on in one place, whatever it is done for.
 *
 * F1  Arguments and outputs go through as they are: what the table below does wrong is seen above.
 *
 * F2  A call whose answer is to be lost gets outputs of its own, which are freed; the caller's stay
 *     unwritten (results of a commit, which have nowhere else to go, become nonsense).
 *
 * F3  A call that was refused below with a failure keeps that answer: there is nothing to lose.
 *
 * F4  An operation that is done instead of passed on gets the handle of whoever builds on this, and
 *     finds what is below it with wrap_below().
 */
#ifndef KEDGE_WRAP_FORWARD_H
#define KEDGE_WRAP_FORWARD_H

#include <kedge/backend.h>

#define WRAP_TAIL int64_t timeout_us, struct kedge_error *err

/*
 * Every operation with a session, by the name of its member.
 *   PLAIN(op, parameters, arguments, what it tells)                       no output
 *   OUT(op, type of the output, how that is freed, parameters, arguments, what it tells)
 *   COMMIT(op, type of its answers)                                       of a kind of its own
 */
#define WRAP_OPS(PLAIN, OUT, COMMIT)                                                               \
    OUT(info, struct kedge_info, PAGE, (void *s, struct kedge_info *out, WRAP_TAIL),               \
        (below.session, out, timeout_us, err), .limit = 0)                                         \
    OUT(now, struct kedge_time, NONE, (void *s, struct kedge_time *out, WRAP_TAIL),                \
        (below.session, out, timeout_us, err), .limit = 0)                                         \
    OUT(lease_grant, struct kedge_lease_state, NONE,                                               \
        (void *s, const struct kedge_lease_new *in, struct kedge_lease_state *out, WRAP_TAIL),     \
        (below.session, in, out, timeout_us, err), .grant = in, .lease = &in->id,                  \
        .request = &in->request)                                                                   \
    OUT(lease_extend, struct kedge_lease_state, NONE,                                              \
        (void *s, const struct kedge_id128 *lease, struct kedge_lease_state *out, WRAP_TAIL),      \
        (below.session, lease, out, timeout_us, err), .lease = lease)                              \
    PLAIN(lease_revoke, (void *s, const struct kedge_id128 *lease, WRAP_TAIL),                     \
          (below.session, lease, timeout_us, err), .lease = lease)                                 \
    PLAIN(lease_bury, (void *s, const struct kedge_id128 *lease, WRAP_TAIL),                       \
          (below.session, lease, timeout_us, err), .lease = lease)                                 \
    OUT(lease_list, struct kedge_lease_page, PAGE,                                                 \
        (void *s, struct kedge_bytes cursor, size_t limit, struct kedge_lease_page *out,           \
         WRAP_TAIL),                                                                               \
        (below.session, cursor, limit, out, timeout_us, err), .limit = limit)                      \
    OUT(list_held, struct kedge_held_page, PAGE,                                                   \
        (void *s, const struct kedge_id128 *lease, struct kedge_bytes cursor, size_t limit,        \
         struct kedge_held_page *out, WRAP_TAIL),                                                  \
        (below.session, lease, cursor, limit, out, timeout_us, err), .lease = lease,               \
        .limit = limit)                                                                            \
    OUT(lock_acquire, struct kedge_lock_state, NONE,                                               \
        (void *s, struct kedge_bytes name, const struct kedge_id128 *lease,                        \
         const struct kedge_id128 *request, struct kedge_lock_state *out, WRAP_TAIL),              \
        (below.session, name, lease, request, out, timeout_us, err), .name = name, .lease = lease, \
        .request = request)                                                                        \
    OUT(lock_extend, struct kedge_lock_state, NONE,                                                \
        (void *s, struct kedge_bytes name, const struct kedge_id128 *lease, uint64_t fence,        \
         struct kedge_lock_state *out, WRAP_TAIL),                                                 \
        (below.session, name, lease, fence, out, timeout_us, err), .name = name, .lease = lease,   \
        .fence = fence)                                                                            \
    PLAIN(lock_release,                                                                            \
          (void *s, struct kedge_bytes name, const struct kedge_id128 *lease, uint64_t fence,      \
           WRAP_TAIL),                                                                             \
          (below.session, name, lease, fence, timeout_us, err), .name = name, .lease = lease,      \
          .fence = fence)                                                                          \
    OUT(lock_query, struct kedge_lock_state, NONE,                                                 \
        (void *s, struct kedge_bytes name, struct kedge_lock_state *out, WRAP_TAIL),               \
        (below.session, name, out, timeout_us, err), .name = name)                                 \
    COMMIT(commit, struct kedge_answer)                                                            \
    OUT(claim, struct kedge_run_page, PAGE,                                                        \
        (void *s, const struct kedge_claim *in, struct kedge_run_page *out, WRAP_TAIL),            \
        (below.session, in, out, timeout_us, err), .lease = &in->lease, .request = &in->request,   \
        .limit = in->limit)                                                                        \
    OUT(retrieve, struct kedge_run_state, PAGE,                                                    \
        (void *s, const struct kedge_retrieve *in, struct kedge_run_state *out, WRAP_TAIL),        \
        (below.session, in, out, timeout_us, err), .name = in->id, .incarnation = in->incarnation) \
    OUT(retrieve_records, struct kedge_record_page, PAGE,                                          \
        (void *s, struct kedge_bytes id, uint64_t incarnation, uint64_t first, size_t limit,       \
         size_t bytes_max, struct kedge_record_page *out, WRAP_TAIL),                              \
        (below.session, id, incarnation, first, limit, bytes_max, out, timeout_us, err),           \
        .name = id, .incarnation = incarnation, .first = first, .limit = limit)                    \
    OUT(retrieve_slots, struct kedge_slot_page, PAGE,                                              \
        (void *s, struct kedge_bytes id, uint64_t incarnation, uint32_t set, uint32_t first,       \
         size_t limit, struct kedge_slot_page *out, WRAP_TAIL),                                    \
        (below.session, id, incarnation, set, first, limit, out, timeout_us, err), .name = id,     \
        .incarnation = incarnation, .set = set, .first = first, .limit = limit)                    \
    OUT(list_expired, struct kedge_run_page, PAGE,                                                 \
        (void *s, struct kedge_bytes cursor, size_t limit, struct kedge_run_page *out, WRAP_TAIL), \
        (below.session, cursor, limit, out, timeout_us, err), .limit = limit)                      \
    OUT(list, struct kedge_run_page, PAGE,                                                         \
        (void *s, const struct kedge_list *in, struct kedge_run_page *out, WRAP_TAIL),             \
        (below.session, in, out, timeout_us, err), .limit = in->limit)                             \
    OUT(cell_get, struct kedge_cell, PAGE,                                                         \
        (void *s, struct kedge_bytes name, struct kedge_cell *out, WRAP_TAIL),                     \
        (below.session, name, out, timeout_us, err), .name = name)                                 \
    OUT(purge, struct kedge_purged, NONE,                                                          \
        (void *s, size_t limit, struct kedge_purged *out, WRAP_TAIL),                              \
        (below.session, limit, out, timeout_us, err), .limit = limit)                              \
    OUT(verify, struct kedge_verified, PAGE, (void *s, struct kedge_verified *out, WRAP_TAIL),     \
        (below.session, out, timeout_us, err), .limit = 0)                                         \
    OUT(wait, uint64_t, NONE, (void *s, uint64_t seen, uint64_t *out, WRAP_TAIL),                  \
        (below.session, seen, out, timeout_us, err), .seen = seen)                                 \
    PLAIN(notify, (void *s, struct kedge_error *err), (below.session, err), .limit = 0)

/* Those around them, which a table that has handles of its own passes on by itself. */
#define WRAP_AROUND(X)                                                                             \
    X(store_open)                                                                                  \
    X(store_close)                                                                                 \
    X(store_drop)                                                                                  \
    X(session_open)                                                                                \
    X(session_close)                                                                               \
    X(schema_script)

enum wrap_op {
#define WRAP_ENUM(op, ...)   WRAP_##op,
#define WRAP_ENUM_AROUND(op) WRAP_##op,
    WRAP_OPS(WRAP_ENUM, WRAP_ENUM, WRAP_ENUM) WRAP_SESSION_OPS, /* so many have a session */
    WRAP_BEFORE_AROUND = WRAP_SESSION_OPS - 1,
    WRAP_AROUND(WRAP_ENUM_AROUND) WRAP_OP_COUNT
#undef WRAP_ENUM
#undef WRAP_ENUM_AROUND
};

/* The name of its member, and the operation of that name; WRAP_OP_COUNT: there is none. */
const char *wrap_op_name(enum wrap_op op);
enum wrap_op wrap_op_find(const char *name);

/* What is behind a handle. */
struct wrap_below {
    const struct kedge_backend_ops *ops;
    void *session;
    const struct kedge_host *host;
    void *self; /* of whoever builds on this */
};

/* One call.  What an operation does not have is zero. */
struct wrap_call {
    enum wrap_op op;
    struct wrap_below below;
    struct kedge_bytes name; /* of the lock, cell or run; the namespace of a store */
    const struct kedge_id128 *lease;
    const struct kedge_id128 *request;
    const struct kedge_lease_new *grant;
    const struct kedge_commit *commits;
    size_t n; /* of them */
    uint64_t fence;
    uint64_t incarnation;
    uint64_t first;
    uint64_t seen;
    size_t limit;
    uint32_t set;
    int64_t timeout_us; /* 0: it has none */
    struct kedge_error *err;
    /* Afterwards: */
    int rc;
    const void *out; /* what the member's `out' points to; written if rc says so */
    const struct kedge_answer *answers;
    /* Set by `before': its members, where there are any, are called in place of those below (F4).
     */
    const struct kedge_backend_ops *instead;
    /* store_open, store_drop, schema_script: what goes below, and may be changed by `before'. */
    struct kedge_open *open;
    /* For whoever builds on this, between before and after: */
    int64_t begun;
    uint64_t number;
};

enum wrap_verdict {
    WRAP_GO,
    WRAP_REFUSE, /* not done; ERR_UNAVAILABLE, and the message is in call->err */
    WRAP_LOSE    /* done; ERR_UNKNOWN */
};

/*
 * The three that are to be defined.  `after' sees what came from below, also if it will be lost,
 * and may change `rc'.
 */
struct wrap_below wrap_below(void *session);
enum wrap_verdict wrap_before(struct wrap_call *call);
void wrap_after(struct wrap_call *call);

/* The answer to a call whose own was lost. */
int wrap_lost(struct wrap_call *call);

/* Set every member of OPS that has a session; optional ones only where BELOW has them. */
void wrap_forward(struct kedge_backend_ops *ops, const struct kedge_backend_ops *below);

#endif
