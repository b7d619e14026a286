/*
 * wire.h - what goes between the backend `shared' and the program that serves it a store
 *
 * One operation is one frame there and one frame back, on a connection of its session's own.  A
 * frame is a head and as many bytes as it says; the two ends are processes of one machine and of
 * one version of kedge, so numbers go in its byte order, and the head's first word tells another.
 *
 *   W1  Each structure is walked in one place, by one function that packs or unpacks it: the two
 *       ends cannot disagree about a field.
 *   W2  Nothing that came is believed: a length or a count is held against what is left of the
 *       frame before anything is read or allocated for it, and what does not add up is `bad'.
 *   W3  Members that the contract says are ignored are not looked at: they may point anywhere.
 *
 * Libraries were weighed.  msgpack-c unpacks into trees of its own objects: each structure would be
 * written twice, once as calls that pack and once as a walk over such a tree with a check of every
 * type, and the bytes would still have to be copied from it.  XDR (libtirpc) has functions for both
 * directions, as here, but takes memory from malloc and needs a discriminated copy of each union.
 * What is left to write oneself is four primitives and a list.
 */
#ifndef KEDGE_SHARED_WIRE_H
#define KEDGE_SHARED_WIRE_H

#include <stdbool.h>

#include <kedge/backend.h>

/* The head of a frame. */
struct wire_head {
    uint32_t magic;
    uint32_t op;   /* enum wire_op; in an answer the one that is answered */
    uint64_t size; /* bytes that follow */
};
/* "kd", the ABI of backends, and the version of what is said here. */
#define WIRE_MAGIC (UINT32_C(0x6b640000) | KEDGE_BACKEND_ABI << 8 | 1u)
/* No frame is larger: an answer may hold a whole journal. */
#define WIRE_SIZE_MAX (UINT64_C(1) << 30)

/*
 * X(NAME, what it does to the store, what is asked, what is told).  The last two name functions of
 * wire.c.  The first operation on a connection is OPEN, or DROP, after which there is nothing.  All
 * connections that give one token are one handle on the store behind, which is closed with the last
 * of them: a process that is gone has none left, and that is the crash hint of its leases.
 */
#define WIRE_OPS(X)                                                                                \
    X(OPEN, READS, ask_open, tell_token)                                                           \
    X(CLOSE, READS, ask_nothing, tell_nothing)                                                     \
    X(DROP, WRITES, ask_open, tell_nothing)                                                        \
    X(INFO, READS, ask_nothing, tell_info)                                                         \
    X(NOW, READS, ask_nothing, tell_time)                                                          \
    X(LEASE_GRANT, WRITES, ask_grant, tell_lease)                                                  \
    X(LEASE_EXTEND, WRITES, ask_lease, tell_lease)                                                 \
    X(LEASE_REVOKE, WRITES, ask_lease, tell_nothing)                                               \
    X(LEASE_BURY, WRITES, ask_lease, tell_nothing)                                                 \
    X(LEASE_LIST, READS, ask_page, tell_leases)                                                    \
    X(LIST_HELD, READS, ask_held, tell_held)                                                       \
    X(LOCK_ACQUIRE, WRITES, ask_acquire, tell_lock)                                                \
    X(LOCK_EXTEND, WRITES, ask_lock, tell_lock)                                                    \
    X(LOCK_RELEASE, WRITES, ask_lock, tell_nothing)                                                \
    X(LOCK_QUERY, READS, ask_name, tell_lock)                                                      \
    X(COMMIT, WRITES, ask_commits, tell_answers)                                                   \
    X(CLAIM, WRITES, ask_claim, tell_runs)                                                         \
    X(RETRIEVE, READS, ask_retrieve, tell_state)                                                   \
    X(RETRIEVE_RECORDS, READS, ask_records, tell_records)                                          \
    X(RETRIEVE_SLOTS, READS, ask_slots, tell_slots)                                                \
    X(LIST_EXPIRED, READS, ask_page, tell_runs)                                                    \
    X(LIST, READS, ask_list, tell_runs)                                                            \
    X(CELL_GET, READS, ask_name, tell_cell)                                                        \
    X(PURGE, WRITES, ask_limit, tell_purged)                                                       \
    X(VERIFY, READS, ask_nothing, tell_verified)                                                   \
    X(WAIT, READS, ask_seen, tell_ticket)                                                          \
    X(NOTIFY, READS, ask_nothing, tell_nothing)

enum wire_op {
#define WIRE_OP_ENUM(name, does, ask, tell) WIRE_##name,
    WIRE_OPS(WIRE_OP_ENUM)
#undef WIRE_OP_ENUM
        WIRE_OPS_N
};

const char *wire_op_name(uint32_t op);
/*
 * Does it matter whether it took place, if no answer came?  Opening may be repeated, and a notice
 * may be lost.
 */
bool wire_op_writes(uint32_t op);

/* One operation: what is asked and what is told; each op has its members. */
struct wire_call {
    uint32_t op;
    int64_t timeout_us;

    uint32_t flags;          /* OPEN, DROP */
    uint64_t token;          /* OPEN: the store, if it is open already; told which one it is */
    struct kedge_bytes name; /* namespace, run, lock, cell */
    struct kedge_bytes cursor;
    struct kedge_id128 lease;
    struct kedge_id128 request;
    uint64_t fence;
    uint64_t incarnation;
    uint64_t first;
    uint64_t seen;
    uint32_t set;
    size_t limit;
    size_t bytes_max;
    struct kedge_lease_new grant;
    struct kedge_claim claim;
    struct kedge_retrieve retrieve;
    struct kedge_list list;
    const struct kedge_commit *commits;
    size_t n;

    bool answered; /* all that follows has come from the server */
    int rc;
    struct kedge_error err; /* when rc is negative */
    struct kedge_time time;
    struct kedge_lease_state lease_state;
    struct kedge_lock_state lock;
    struct kedge_purged purged;
    uint64_t ticket;
    struct kedge_answer *answers; /* n of them */
    union {                       /* what has memory hanging on it */
        struct kedge_mem *mem;
        struct kedge_info info;
        struct kedge_lease_page leases;
        struct kedge_held_page held;
        struct kedge_run_page runs;
        struct kedge_run_state state;
        struct kedge_record_page records;
        struct kedge_slot_page slots;
        struct kedge_cell cell;
        struct kedge_verified verified;
    } out;
};

/* Bytes that grow; memory of the host's.  Starts as all zero. */
struct wire_buffer {
    unsigned char *data;
    size_t len;
    size_t size;
};
/* Room for SIZE bytes in all, those that are there kept.  false: no memory. */
bool wire_room(const struct kedge_host *host, struct wire_buffer *b, size_t size);
void wire_buffer_free(const struct kedge_host *host, struct wire_buffer *b);

/* A walk over structures and a frame. */
struct wire {
    const struct kedge_host *host;
    struct wire_buffer *frame;
    size_t at; /* unpacking: how far it has been read */
    bool unpacks;
    bool copies;     /* bytes that are unpacked are copied into `mem', else they are in the frame */
    const char *bad; /* what is wrong; NULL: nothing */
    int why;         /* and which status that is */
    struct kedge_mem *mem; /* for what is unpacked, also when it is bad */
};

/* Pack a whole frame, head and all.  OK, or ERR_NOMEM, ERR_TOO_BIG, ERR_INVALID; see w->bad. */
int wire_pack_request(struct wire *w, struct wire_call *c);
int wire_pack_answer(struct wire *w, struct wire_call *c);
/* Unpack what followed a head.  c->op is set; for an answer to COMMIT, commits, n and answers too.
   OK, or ERR_NOMEM, or ERR_CORRUPT. */
int wire_unpack_request(struct wire *w, struct wire_call *c);
int wire_unpack_answer(struct wire *w, struct wire_call *c);

#endif
