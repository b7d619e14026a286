/*
 * backend.h - the storage contract: what a backend promises, and all its author includes
 *
 * Read the objects first, then struct kedge_commit (one verb writes), then struct
 * kedge_backend_ops, where each operation is documented: meaning, atomicity, outcomes,
 * durability.  "Must" and "may" are words of requirement.
 *
 * Changes, newest first:
 *   ABI 1  first version
 *
 * What holds for everything here
 *
 *   Bytes.      Ids, names and keys are bytes with a length, 1 .. limits.id_max; values are
 *               bytes with a length.  No separator, NUL, glob character or brace in them means
 *               anything, and a hash alone never decides which record is meant.
 *   Time.       Microseconds.  Points in time are UTC of the *store's* clock; the caller's clock
 *               decides nothing.  Leases run on a clock of their own (see struct kedge_lease).
 *   Fences.     One rising sequence per namespace: a new fence is max(last issued + 1, stored + 1,
 *               store time in us).  It never falls and is never used twice: not through expiry,
 *               delete, restart, restore.  A store that can lose acknowledged writes says
 *               KEDGE_CAP_FENCE_VOLATILE.
 *   Arguments.  A backend checks what it is given before the first write and answers ERR_INVALID
 *               or ERR_TOO_BIG with a message that names the thing; nothing is changed then.
 *               Pointers to required structures are not NULL.
 *   Ownership.  What is passed in is borrowed until the call returns.  What is handed out hangs
 *               on the `mem' member of the output structure, is the caller's, stays valid across
 *               later calls, deletes and store_close, and is freed with kedge_mem_free().
 *               Outputs are written only when the call answers KEDGE_OK.
 *   Threads.    A store may be used by many threads; a session by one at a time; sessions of one
 *               store work in parallel (unless `threads' says KEDGE_THREADS_ONE).
 *   Process.    Signals, umask, directory, locale and output are the process's own: a backend
 *               changes none of them and writes to none of its streams.
 *   Fork.       A store does not survive fork(): every operation in the child answers
 *               ERR_INVALID and says so; closing there only forgets.
 *   Timeout.    timeout_us bounds the time spent waiting for others (locks, threads, servers):
 *               ERR_UNAVAILABLE when nothing was begun, ERR_UNKNOWN when a write was under way.
 *               It cannot cut short a system call in which the operating system itself hangs.
 *   Durability. A call that answers KEDGE_OK has made its change durable to the degree that
 *               info() reports; a reader that sees a change sees a durable one.
 *   Expiry.     A record whose `expires' has come is invisible to every operation at once,
 *               purged or not.
 */
#ifndef KEDGE_BACKEND_H
#    define KEDGE_BACKEND_H

#    include <stdarg.h>
#    include <stddef.h>
#    include <stdint.h>
#    include <stdio.h>
#    include <string.h>

#    include <kedge/base.h>
#    include <kedge/error.h>

#    ifdef __cplusplus
extern "C" {
#    endif

#    define KEDGE_BACKEND_ABI 1u

/* ------------------------------------------------------------------ basics */

/* 128 bits that nobody makes twice: leases and requests.  All zero means none. */
struct kedge_id128 {
    uint8_t b[16];
};

/* A point in time as a caller can say it: the store adds its own now. */
enum kedge_when_base {
    KEDGE_NEVER = 0, /* not set */
    KEDGE_AT = 1,    /* `us' is UTC */
    KEDGE_IN = 2     /* `us' from the store's now; may be 0, not negative */
};
struct kedge_when {
    int64_t us;
    uint32_t base; /* enum kedge_when_base */
    uint32_t reserved;
};

/* Services lent to a backend.  They outlive the store. */
#    define KEDGE_CLOCK_WALL  0u /* UTC, us: due, expires, windows, cells */
#    define KEDGE_CLOCK_LEASE 1u /* runs on through suspend, never set: lease deadlines */

struct kedge_host {
    uint32_t struct_size;
    uint32_t abi;
    void *ctx;
    /*
     * The clocks of a store that lives inside the process (memory, LMDB).  Servers use their
     * own.  Handing in a manual clock is how tests move time.
     */
    int64_t (*clock_us)(void *ctx, uint32_t which);
    void (*log)(void *ctx, int level, const char *text); /* level as in syslog(3) */
    void *(*alloc)(void *ctx, size_t size);              /* NULL when there is no memory */
    void (*release)(void *ctx, void *ptr);               /* NULL is fine */
};

/* Result memory: a chain of chunks, each from host->alloc.  Start with NULL. */
struct kedge_mem {
    struct kedge_mem *next;
    size_t used;
    size_t size; /* bytes after this header */
    size_t reserved;
};

static inline void kedge_mem_free(const struct kedge_host *host, struct kedge_mem *mem)
{
    while (mem != NULL) {
        struct kedge_mem *next = mem->next;

        host->release(host->ctx, mem);
        mem = next;
    }
}

/* SIZE bytes, aligned for anything, uninitialised; NULL when there is no memory. */
static inline void *kedge_mem_alloc(const struct kedge_host *host, struct kedge_mem **mem,
                                    size_t size)
{
    size_t need = (size + 15u) & ~(size_t)15u;
    struct kedge_mem *top = *mem;

    if (need < size)
        return NULL;
    if (top == NULL || top->size - top->used < need) {
        size_t room = need > 1024 ? need : 1024;

        if (room > SIZE_MAX - sizeof *top)
            return NULL;
        top = (struct kedge_mem *)host->alloc(host->ctx, sizeof *top + room);
        if (top == NULL)
            return NULL;
        top->next = *mem;
        top->used = 0;
        top->size = room;
        top->reserved = 0;
        *mem = top;
    }
    top->used += need;
    return (char *)(top + 1) + (top->used - need);
}

#    if defined(__GNUC__)
#        define KEDGE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args), unused))
#    else
#        define KEDGE_PRINTF(fmt, args)
#    endif

/* Record a failure and hand its code back: return kedge_error_set(err, KEDGE_ERR_..., errno, ...)
 */
static inline int kedge_error_set(struct kedge_error *err, int code, int sys_errno, const char *fmt,
                                  ...) KEDGE_PRINTF(4, 5);
static inline int kedge_error_set(struct kedge_error *err, int code, int sys_errno, const char *fmt,
                                  ...)
{
    if (err != NULL) {
        va_list ap;

        err->code = code;
        err->sys_errno = sys_errno;
        va_start(ap, fmt);
        (void)vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
    }
    return code;
}
/* The analyser of clang does not look into a variadic function and takes it to answer anything. */
#    ifdef __clang_analyzer__
#        define kedge_error_set(err, code, ...)                                                    \
            ((void)kedge_error_set(err, code, __VA_ARGS__), (code))
#    endif

/* ----------------------------------------------------------------- objects */

/*
 * Run: one execution of a reactor.  A head, at most one snapshot, and a journal of records
 * numbered 1, 2, 3 ... without gaps; a record stays readable by its number until the run is
 * purged.  Its status and place are words of <kedge/base.h>.
 */

/* What wakes a parked run; names the reason, the store acts on SLOTS and TIME only. */
#    define KEDGE_WAKES_ON_INTERRUPT 1u /* somebody's explicit wake */
#    define KEDGE_WAKES_ON_SLOTS     2u /* its slot set becoming full or small enough */
#    define KEDGE_WAKES_ON_TIME      4u /* the backstop time in `due' */

/* Request flags, set by anybody, cleared by the holder. */
#    define KEDGE_REQUEST_CANCEL 1u
#    define KEDGE_REQUEST_PAUSE  2u
#    define KEDGE_REQUEST_UNDO   4u
#    define KEDGE_REQUESTS_ALL   7u

#    define KEDGE_NO_SLOT UINT32_MAX

/* The head of a run, as claim, retrieve and the lists hand it out. */
struct kedge_run {
    struct kedge_bytes id;
    struct kedge_bytes reactor;
    struct kedge_bytes queue;
    struct kedge_bytes context; /* opaque: trace parent, tenant, ... */
    struct kedge_bytes parent;  /* empty: none */
    struct kedge_bytes root;    /* id of the topmost run; its own id when it has no parent */
    uint64_t parent_incarnation;
    uint32_t parent_set;  /* with parent_slot: where this child's result goes */
    uint32_t parent_slot; /* KEDGE_NO_SLOT: it fills none */
    uint64_t incarnation; /* the first fence the run got; a re-created id has another */
    uint64_t revision;    /* rises with every commit on the run */
    uint64_t fence;
    uint64_t position;          /* number of the last record, 0 = none */
    uint64_t snapshot_position; /* last record the snapshot covers; 0 with no snapshot */
    struct kedge_id128 holder;  /* zero: nobody */
    uint32_t version;           /* of the reactor's definition */
    uint32_t status;            /* enum kedge_run_status */
    uint32_t place;             /* enum kedge_run_place */
    uint32_t wakes_on;
    uint32_t requests;
    uint32_t recoveries; /* since the last appended record */
    uint32_t wake_mark;  /* 1: woken while held; its next parking becomes due */
    uint32_t reserved;
    int64_t due;        /* 0: none */
    int64_t created;    /* never changes */
    int64_t finished;   /* 0: not at rest */
    int64_t expires;    /* 0: never */
    int64_t hold_until; /* 0: no bound; past it the holder's lease no longer protects the run */
};

struct kedge_record {
    uint64_t number;
    struct kedge_id128 request; /* of the commit that appended it */
    int64_t time;               /* store time of that commit */
    struct kedge_bytes data;
};

/* What somebody is able to run: a reactor in a range of versions, from one queue. */
struct kedge_serve {
    struct kedge_bytes queue;
    struct kedge_bytes reactor;
    uint32_t version_min;
    uint32_t version_max; /* inclusive */
};

/*
 * Lease: one per worker session.  It is live until somebody has *buried* (or revoked) it and then
 * dead for ever; death is a write.  A lapsed lease that nobody buried may still commit and
 * extend: nobody acted on its absence.  It is lapsed from now >= deadline on, by the lease clock.
 * A clock seen before the last extend has stepped back: the deadline is then stamped anew, so
 * that a step of any size prolongs a lease by one ttl at most.
 */
#    define KEDGE_LEASE_LIVE   1u
#    define KEDGE_LEASE_LAPSED 2u /* past its deadline, not buried */
#    define KEDGE_LEASE_DEAD   3u

/* Crash hint: what the store knows of the process behind a lease.  Suspicion, not proof. */
#    define KEDGE_HINT_NONE    0u /* not registered */
#    define KEDGE_HINT_PRESENT 1u
#    define KEDGE_HINT_ABSENT  2u

struct kedge_lease {
    struct kedge_id128 id;
    struct kedge_bytes owner; /* label for people: host, pid, boot id, start time */
    const struct kedge_serve *serves;
    size_t n_serves;
    int64_t ttl_us;
    int64_t deadline;     /* lease clock */
    int64_t remaining_us; /* until the deadline; 0 when lapsed or dead */
    int64_t granted;      /* UTC */
    uint64_t attention;   /* see lease_extend */
    uint64_t incarnation; /* of the server, at the last extend */
    uint32_t state;       /* KEDGE_LEASE_... */
    uint32_t hint;        /* KEDGE_HINT_... */
};

/* ------------------------------------------------------------------ commit */

/*
 * A commit is a list of guards and a list of changes: all guards hold and all changes are
 * applied, or nothing is.  At its end every run it touched is in exactly one place.
 *
 * Outcomes: OK; NOT_FOUND, EXISTS, STALE, LOST: when several guards fail, the first in this order
 * is the answer; ERR_INVALID, ERR_TOO_BIG, ERR_FULL, ERR_CORRUPT (a stored record it needs cannot
 * be understood), ERR_UNAVAILABLE, ERR_UNKNOWN, ERR_NOMEM.
 *
 * Request ids.  The store keeps the id of a commit with each record it appends; per run with the
 * last commit under the present and under the previous fence, and with its creation; and with
 * each cell and lock it wrote.  A commit that is sent again unchanged after ERR_UNKNOWN therefore
 * answers OK with the original result if it had taken place, and is carried out if not.  (What
 * it cannot see is a commit that only wakes, requests or deletes: doing those twice is harmless.)
 *
 * "Unheld" means: no holder, or one whose lease is dead or has no record, or hold_until has passed.
 */
enum kedge_guard_kind {
    /* Run `name' is held under fence `number' by lease `lease'.  NOT_FOUND; STALE: another fence
       or holder; LOST: that lease is dead. */
    KEDGE_GUARD_HELD = 1,
    /* Run `name' does not exist.  EXISTS. */
    KEDGE_GUARD_ABSENT = 2,
    /* Run `name' is unheld, in one of `statuses' (bits), at revision `number'.  NOT_FOUND, STALE.
     */
    KEDGE_GUARD_UNHELD = 3,
    /* Run `name' has `number' records.  NOT_FOUND, STALE. */
    KEDGE_GUARD_POSITION = 4,
    /* Lease `lease' has a record and is not dead / is dead or has no record.  LOST / STALE. */
    KEDGE_GUARD_LEASE_LIVE = 5,
    KEDGE_GUARD_LEASE_DEAD = 6,
    /* Lock `name' is held at fence `number' by `lease'.  NOT_FOUND: free; STALE; LOST. */
    KEDGE_GUARD_LOCK = 7,
    /* Cell `name' is at version `number'; 0 = absent or expired.  STALE. */
    KEDGE_GUARD_CELL = 8,
    /* The store's wall clock is in [from, to).  STALE. */
    KEDGE_GUARD_TIME = 9
};

struct kedge_guard {
    uint32_t kind; /* enum kedge_guard_kind; members it does not name are ignored */
    uint32_t statuses;
    struct kedge_bytes name;
    struct kedge_id128 lease;
    uint64_t number;
    int64_t from;
    int64_t to;
};

/* A run to be created. */
struct kedge_run_new {
    struct kedge_bytes reactor;
    struct kedge_bytes queue;
    struct kedge_bytes context;
    struct kedge_bytes parent;
    struct kedge_bytes root; /* empty: the run itself */
    uint64_t parent_incarnation;
    uint32_t parent_set;
    uint32_t parent_slot; /* KEDGE_NO_SLOT when it has no parent or fills no slot */
    uint32_t version;
    uint32_t reserved;
    /* Exactly one of: */
    struct kedge_when due;        /* due then */
    struct kedge_id128 lease;     /* held under this lease, status running; a fence is issued */
    struct kedge_when hold_until; /* with lease */
};

enum kedge_change_kind {
    /*
     * Create run `name'.  EXISTS if it is there, except that with the same parent (id and
     * incarnation, not empty) the change is passed over as done: a parent that crashed may send
     * its children again.  LOST when `lease' is dead.  Result: fence (the incarnation).
     * An expired run of that name counts as absent.
     */
    KEDGE_CREATE = 1,
    /* Take unheld, unfinished run `name' under `take.lease': new fence, clears due and wake mark.
       Needs GUARD_UNHELD on it.  LOST when the lease is dead.  Result: the fence. */
    KEDGE_TAKE = 2,
    /* Append records `append.first', first + 1, ... to run `name'; first is its position + 1, else
       STALE.  Result: number of the last record. */
    KEDGE_APPEND = 3,
    /* Replace the snapshot of run `name'; it covers records 1 .. snapshot.position. */
    KEDGE_SNAPSHOT = 4,
    /* Set members of run `name' named by `set.mask'. */
    KEDGE_SET = 5,
    /* Let go of run `name': due, parked or at rest.  Clears the holder (and its hold_until). */
    KEDGE_RELEASE = 6,
    /* Wake run `name': unheld and unfinished: due now (unless due earlier); held: wake mark; at
       rest or absent: nothing, and the commit goes on. */
    KEDGE_WAKE = 7,
    /* Add `request.bits' to the request flags of run `name'; tells its holder's lease (see
       lease_extend).  NOT_FOUND; a run at rest is left alone. */
    KEDGE_REQUEST = 8,
    /* Open slot set `slots.set' of run `name' with `slots.total' places.  Opened again with the
       same total: passed over; with another: ERR_INVALID. */
    KEDGE_SLOTS = 9,
    /*
     * Fill slot `slot.index' of set `slot.set' of parent `name' with incarnation
     * `slot.incarnation', if the index is not filled yet; wakes the parent when this insertion
     * makes the set full or the number of empty places <= slot.wake_at.  A parent that is absent,
     * at rest or of another incarnation is left alone.  Not opened, or index >= total:
     * ERR_INVALID.  Result: number of empty places.
     */
    KEDGE_SLOT_PUT = 10,
    /* Write cell `name'.  Result: its new version, from the fence sequence. */
    KEDGE_CELL_PUT = 11,
    /* Delete cell `name'; an absent one is passed over. */
    KEDGE_CELL_DELETE = 12,
    /* Take lock `name' under `lock.lease'.  STALE if held under a lease that is not dead (even the
       same one); LOST when `lock.lease' is dead.  Result: the lock's fence. */
    KEDGE_LOCK_TAKE = 13,
    /* Release lock `name' held by `lock.lease' at `lock.fence'.  NOT_FOUND: free; STALE. */
    KEDGE_LOCK_RELEASE = 14
};
/*
 * APPEND, SNAPSHOT, SET, RELEASE and SLOTS on a run need GUARD_HELD, GUARD_UNHELD, TAKE or CREATE
 * on it earlier in the same commit, else ERR_INVALID: every stored write is fenced.  A commit that
 * puts a run with a slot to rest must fill that slot of its parent, else ERR_INVALID.  One that
 * puts a run to rest as stuck or aborted leaves it without `expires', else ERR_INVALID: such a run
 * goes only when a later commit says so.
 */

/* KEDGE_SET mask */
#    define KEDGE_SET_STATUS         1u /* unfinished to unfinished; out of rest needs SET_REOPEN */
#    define KEDGE_SET_QUEUE          2u
#    define KEDGE_SET_EXPIRES        4u /* only of a run at rest (after this commit) */
#    define KEDGE_SET_HOLD_UNTIL     8u /* only of a held run */
#    define KEDGE_SET_RECOVERIES     16u
#    define KEDGE_SET_CLEAR_REQUESTS 32u
#    define KEDGE_SET_REOPEN         64u /* operator: a resting run becomes unfinished, due now */

struct kedge_change {
    uint32_t kind; /* enum kedge_change_kind */
    uint32_t reserved;
    struct kedge_bytes name;
    union {
        const struct kedge_run_new *create;
        struct {
            struct kedge_id128 lease;
            struct kedge_when hold_until;
        } take;
        struct {
            const struct kedge_bytes *records;
            size_t n;
            uint64_t first;
        } append;
        struct {
            struct kedge_bytes data;
            uint64_t position;
        } snapshot;
        struct {
            uint32_t mask;
            uint32_t status;
            uint32_t recoveries;
            uint32_t clear_requests; /* bits */
            struct kedge_bytes queue;
            struct kedge_when expires;
            struct kedge_when hold_until;
        } set;
        struct {
            uint32_t place;  /* DUE, PARKED or REST */
            uint32_t status; /* the new status; 0 keeps it.  PARKED: paused.  REST: a resting one */
            uint32_t wakes_on; /* PARKED: not 0; with TIME the backstop is `when' */
            uint32_t reserved;
            struct kedge_when when; /* DUE: due; PARKED: backstop; REST: expires (NEVER for stuck
                                       and aborted) */
        } release;
        struct {
            uint32_t bits;
        } request;
        struct {
            uint32_t set;
            uint32_t total; /* 1 .. UINT32_MAX - 1 */
        } slots;
        struct {
            uint64_t incarnation;
            uint32_t set;
            uint32_t index;
            uint32_t wake_at;
            uint32_t reserved;
            struct kedge_bytes value;
        } slot;
        struct {
            struct kedge_bytes value;
            struct kedge_when expires;
        } cell;
        struct {
            struct kedge_id128 lease;
            uint64_t fence; /* LOCK_RELEASE */
        } lock;
    };
};

struct kedge_commit {
    struct kedge_id128 request; /* not zero */
    const struct kedge_guard *guards;
    size_t n_guards;
    const struct kedge_change *changes;
    size_t n_changes;
    /* NULL, or n_changes numbers: the result of each change (0 where it has none), on OK. */
    uint64_t *results;
};

#    define KEDGE_WHY_MAX 160

/* The answer to one commit.  The run it speaks of is the first one its guards or changes name. */
struct kedge_answer {
    int outcome;
    uint32_t at;       /* refused: index of the guard, or n_guards + index of the change */
    uint32_t requests; /* request flags of the run, also when the commit was refused */
    uint32_t status;   /* its status, 0 when there is no run */
    uint64_t revision;
    uint64_t position;
    uint64_t fence;
    char why[KEDGE_WHY_MAX]; /* a sentence, on failures; else "" */
};

/* ---------------------------------------------------------- other requests */

struct kedge_open {
    uint32_t struct_size;
    uint32_t flags;
    const char *url;       /* whole, with its scheme; never to be put into a message unmasked */
    struct kedge_bytes ns; /* namespace; nothing outside it is read or written */
    /*
     * What the URL has no room for, as its grammar is somebody else's: "name=value&name=value",
     * percent-encoded like the query of a URL.  NULL or "": nothing.  One that the backend does
     * not know is ERR_INVALID.  Members from here on are there if struct_size says so.
     */
    const char *options;
    /*
     * For a wrapper: the table it stands before.  Behind NAME[,KEY=VALUE]...+ the URL is that
     * table's.  NULL: for a backend.
     */
    const struct kedge_backend_ops *inner;
};
/* Set up a namespace that does not exist (else ERR_SCHEMA_MISSING). */
#    define KEDGE_OPEN_CREATE 1u
/* Bring an older schema up to date (else ERR_SCHEMA_OLD, as also where that is not possible). */
#    define KEDGE_OPEN_MIGRATE 2u

/* Statements for somebody who carries them out by hand. */
struct kedge_script {
    struct kedge_mem *mem;
    const char *text; /* whole lines, in order; "": there is nothing to do */
    uint32_t from;    /* the schema they start from; 0: there is none yet */
    uint32_t to;      /* and the one they lead to */
};

struct kedge_lease_new {
    struct kedge_id128 id;      /* random, made by the caller, not zero */
    struct kedge_id128 request; /* not zero */
    struct kedge_bytes owner;   /* 0 .. id_max */
    const struct kedge_serve *serves;
    size_t n_serves;
    int64_t ttl_us; /* limits.ttl_min_us .. ttl_max_us */
};

struct kedge_lease_state {
    int64_t deadline;
    int64_t remaining_us;
    uint64_t attention; /* rises when a run of this lease got a request or a wake mark */
    uint32_t hint;
    uint32_t reserved;
};

struct kedge_lease_page {
    struct kedge_mem *mem;
    struct kedge_lease *leases;
    size_t n;
    struct kedge_bytes next; /* cursor for the next page; empty: that was all */
};

/* A run or a lock held by a lease. */
struct kedge_held {
    uint32_t is_lock;
    uint32_t requests;
    struct kedge_bytes name;
    uint64_t fence;
};
struct kedge_held_page {
    struct kedge_mem *mem;
    struct kedge_held *held;
    size_t n;
    struct kedge_bytes next;
};

struct kedge_lock_state {
    struct kedge_id128 holder;
    uint64_t fence;
    int64_t remaining_us; /* of the holder's lease */
};

struct kedge_claim {
    struct kedge_id128 request;
    struct kedge_id128 lease;
    const struct kedge_serve *serves;
    size_t n_serves;
    size_t limit; /* 1 .. limits.batch_items */
    struct kedge_when hold_until;
};

/* KEDGE_SWEEP_...: why list_expired shows a run */
#    define KEDGE_SWEEP_LAPSED  1u /* its lease is past the deadline, not buried */
#    define KEDGE_SWEEP_DEAD    2u
#    define KEDGE_SWEEP_NOLEASE 3u /* its lease has no record */
#    define KEDGE_SWEEP_OVERDUE 4u /* hold_until has passed */

struct kedge_run_page {
    struct kedge_mem *mem;
    struct kedge_run *runs;
    uint32_t *reasons; /* list_expired: KEDGE_SWEEP_..., one per run; else NULL */
    size_t n;
    struct kedge_bytes next; /* empty: that was all.  A page may be short, even empty, before */
    int64_t next_due;        /* claim: earliest due or backstop of what the caller serves and
                                was not handed out; 0: none */
};

#    define KEDGE_WANT_SNAPSHOT 1u
#    define KEDGE_WANT_TAIL     2u /* the records after the snapshot */

struct kedge_retrieve {
    struct kedge_bytes id;
    uint64_t incarnation; /* 0: any; else another one is NOT_FOUND */
    uint32_t want;        /* 0: the head alone */
    uint32_t reserved;
};
struct kedge_run_state {
    struct kedge_mem *mem;
    struct kedge_run run;
    struct kedge_bytes snapshot;
    struct kedge_record *tail;
    size_t n_tail;
};

struct kedge_record_page {
    struct kedge_mem *mem;
    struct kedge_record *records;
    size_t n;
    uint64_t next; /* number to go on with; 0: that was the last */
};

struct kedge_slot {
    uint32_t index;
    uint32_t reserved;
    struct kedge_bytes value;
};
struct kedge_slot_page {
    struct kedge_mem *mem;
    struct kedge_slot *slots; /* filled ones, by index */
    size_t n;
    uint32_t total;
    uint32_t remaining; /* empty places */
    uint64_t next;      /* index to go on with; 0: that was all */
};

struct kedge_list {
    uint32_t statuses;          /* bits; 0: all */
    uint32_t newest_first;      /* else oldest first */
    struct kedge_bytes reactor; /* empty: all */
    struct kedge_bytes parent;  /* empty: all */
    /* 0: the one that the parent has now; if there is no such run, none are listed. */
    uint64_t parent_incarnation;
    /* Only due runs that nothing in `serves' covers. */
    uint32_t unserved;
    uint32_t reserved;
    const struct kedge_serve *serves;
    size_t n_serves;
    size_t limit; /* 1 .. limits.page_max */
    struct kedge_bytes cursor;
};

struct kedge_cell {
    struct kedge_mem *mem;
    struct kedge_bytes value;
    uint64_t version;
    int64_t expires; /* 0: never */
};

struct kedge_purged {
    uint64_t runs; /* heads removed */
    uint64_t rows; /* everything else removed: records, slots, cells, leases */
    uint32_t more; /* not 0: call again */
    uint32_t reserved;
};

struct kedge_time {
    int64_t wall;
    int64_t lease;
};

struct kedge_limits {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t id_max;         /* bytes, >= 1024 */
    uint64_t value_max;      /* record, snapshot, slot value; >= 16 MiB */
    uint64_t cell_max;       /* >= 64 KiB */
    uint64_t batch_items;    /* commits in a call */
    uint64_t batch_bytes;    /* of a call with more than one commit */
    uint64_t commit_changes; /* guards + changes of one commit */
    uint64_t commit_bytes;
    uint64_t page_max; /* largest limit of a list */
    int64_t ttl_min_us;
    int64_t ttl_max_us;
};

/* What an acknowledged write survives. */
#    define KEDGE_SURVIVES_PROCESS 1u /* the death of the process that wrote it */
#    define KEDGE_SURVIVES_SERVER  2u /* the death of all store processes */
#    define KEDGE_SURVIVES_POWER   4u /* power loss, as far as the disk tells the truth */

/* One more thing to tell a person: "map size" = "1 GiB". */
struct kedge_fact {
    const char *name;
    const char *value;
};

struct kedge_info {
    struct kedge_mem *mem;
    const char *server; /* what and which version is behind this, as it says itself */
    const char *place;  /* path or address, no password */
    uint32_t durability;
    uint32_t schema;
    uint64_t caps;
    uint64_t incarnation;
    struct kedge_limits limits;
    struct kedge_fact *facts;
    size_t n_facts;
};

struct kedge_verified {
    struct kedge_mem *mem;
    uint64_t runs;
    uint64_t records;
    uint64_t faults;
    const char *first; /* the first fault in a sentence, or "" */
};

/* ------------------------------------------------------------- operations */

/* Capabilities: promises about behaviour.  Presence of an operation is not one of them. */
#    define KEDGE_CAP_SHARED       (UINT64_C(1) << 0) /* several processes may use one store */
#    define KEDGE_CAP_HINT         (UINT64_C(1) << 1) /* leases have crash hints */
#    define KEDGE_CAP_SERVER_CLOCK (UINT64_C(1) << 2) /* time is a server's, not this host's */
#    define KEDGE_CAP_FENCE_VOLATILE                                                               \
        (UINT64_C(1) << 3) /* a fence may repeat after a lost write                                \
                            */
#    define KEDGE_CAPS_KNOWN (UINT64_C(15))

#    define KEDGE_THREADS_ONE     0u /* one session at a time in the process */
#    define KEDGE_THREADS_SESSION 1u /* a session per thread, in parallel */

/*
 * The table.  `timeout_us' is > 0; `err' may be NULL.  Unless said otherwise an operation may
 * also answer ERR_INVALID, ERR_UNAVAILABLE, ERR_NOMEM and ERR_CORRUPT, and changes nothing then.
 * Members marked optional may be NULL; the importing side fills them with a stub that answers
 * ERR_UNSUPPORTED.  Append members, never insert; never change a signature.
 */
struct kedge_backend_ops {
    uint32_t struct_size; /* this and abi by KEDGE_BACKEND_HEADER */
    uint32_t abi;
    uint64_t caps;
    uint32_t threads; /* KEDGE_THREADS_... */
    uint32_t reserved;
    const char *name; /* [a-z][a-z0-9_]*, the URL scheme; see <kedge/store.h> for others */
    const char *version;
    const struct kedge_limits *limits;

    /* -- store and session -- */

    /*
     * Open a namespace.  Checks the schema before anything else is read or written
     * (ERR_SCHEMA_MISSING, _OLD, _NEW) and the settings that decide safety, and refuses with a
     * message that says what to do ('kedge store init', 'kedge store migrate', update kedge).
     * Opening one namespace twice in a process gives two handles on
     * the same data.  A failed open leaves nothing to close.
     */
    int (*store_open)(const struct kedge_host *host, const struct kedge_open *open, void **store,
                      struct kedge_error *err);
    /* All its sessions are closed.  Leases live on until they lapse or are buried; their crash
       hints go.  NULL is fine. */
    void (*store_close)(void *store);
    /* Remove the namespace and everything in it.  HELD when somebody has it open; NOT_FOUND. */
    int (*store_drop)(const struct kedge_host *host, const struct kedge_open *open,
                      struct kedge_error *err);
    int (*session_open)(void *store, void **session, struct kedge_error *err);
    void (*session_close)(void *session); /* NULL is fine */

    /* What is in force, read from the store and never assumed. */
    int (*info)(void *session, struct kedge_info *out, int64_t timeout_us, struct kedge_error *err);
    int (*now)(void *session, struct kedge_time *out, int64_t timeout_us, struct kedge_error *err);

    /* -- leases -- */

    /* Grant and durably record a lease, and register its crash hint where there is one.  EXISTS if
       the id is there under another request id; the same request again answers OK.  UNKNOWN. */
    int (*lease_grant)(void *session, const struct kedge_lease_new *in,
                       struct kedge_lease_state *out, int64_t timeout_us, struct kedge_error *err);
    /*
     * deadline = now + ttl, also for a lapsed lease that nobody buried.  Registers the hint anew if
     * it broke.  LOST: buried, revoked or purged, for ever.  `attention' has risen since the last
     * call when a run of the lease got a request or a wake mark: look with list_held.  Goes ahead
     * of waiting commits.
     */
    int (*lease_extend)(void *session, const struct kedge_id128 *lease,
                        struct kedge_lease_state *out, int64_t timeout_us, struct kedge_error *err);
    /*
     * Graceful end: the lease is dead, its runs are due now (no recovery is charged), its locks are
     * free: one atomic step.  OK also if it is dead already; NOT_FOUND.  UNKNOWN.
     */
    int (*lease_revoke)(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                        struct kedge_error *err);
    /*
     * Declare a lease dead, if that is permitted now.  Atomic and exclusive with extend and commit
     * of that lease; final.  Permitted when (1) the deadline has passed, or (2) the crash hint
     * registered with it has been absent for at least 100 ms and is still the registered one.  Not
     * permitted when the lease was last extended under an earlier server incarnation and less than
     * one ttl has passed since the present one was first seen, unless the store knows that the
     * holder cannot have survived.  When more than half of the live leases look dead by hint at
     * once (and more than one does), hints are ignored for one ttl. OK: it is dead (now, or
     * before).  NOT_FOUND.  HELD: not permitted now.  UNKNOWN. Its runs stay where they are until
     * somebody takes or releases them (GUARD_UNHELD); its locks are free to be taken.
     */
    int (*lease_bury)(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                      struct kedge_error *err);
    /* All leases, in the order of their ids; read-only.  Looking also starts the 100 ms of an
     * absent hint. */
    int (*lease_list)(void *session, struct kedge_bytes cursor, size_t limit,
                      struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err);
    /* Runs and locks that name this lease as holder, dead or not; in an order that does not change.
     */
    int (*list_held)(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                     size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                     struct kedge_error *err);

    /* -- locks: named, taken under a lease -- */

    /*
     * Free, or held under a dead lease: take it, OK and its fence.  Held otherwise, also by the
     * same lease: HELD, and `out' tells holder, fence and remaining time (the one output written on
     * a refusal).  LOST: the caller's own lease is dead.  The same request id again: OK, same
     * fence. UNKNOWN.
     */
    int (*lock_acquire)(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                        const struct kedge_id128 *request, struct kedge_lock_state *out,
                        int64_t timeout_us, struct kedge_error *err);
    /* Is it still mine?  OK: yes, and its lease was extended as by lease_extend.  NOT_FOUND: free.
       STALE: another fence or holder.  LOST: the lease is dead. */
    int (*lock_extend)(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                       uint64_t fence, struct kedge_lock_state *out, int64_t timeout_us,
                       struct kedge_error *err);
    /* OK: released.  NOT_FOUND: free.  STALE: another fence or holder; nothing is changed. UNKNOWN.
     */
    int (*lock_release)(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                        uint64_t fence, int64_t timeout_us, struct kedge_error *err);
    /* Who holds it.  NOT_FOUND: nobody, or a dead lease. */
    int (*lock_query)(void *session, struct kedge_bytes name, struct kedge_lock_state *out,
                      int64_t timeout_us, struct kedge_error *err);

    /* -- runs -- */

    /*
     * N independent commits, N answers.  Each is atomic by itself; a refused or failing one does
     * not disturb its neighbours; they take effect in some serial order that the outcomes fit,
     * those that name the same run in the order given; all share one durable flush.  A run may be
     * the subject of GUARD_HELD in one commit of a batch only (ERR_INVALID for the second);
     * parents, cells and locks may be shared. Answers OK when every answers[i].outcome is set; a
     * failure of the whole call is also every item's outcome.  A commit in doubt (ERR_UNKNOWN) is
     * sent again with the same bytes.
     */
    int (*commit)(void *session, const struct kedge_commit *commits, size_t n,
                  struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err);
    /*
     * Up to `limit' runs that are due (or parked with a passed backstop), of the caller's queues,
     * reactors and versions, oldest due first.  Each gets the lease as holder, a new fence and
     * hold_until; due and wake mark are cleared; one atomic step; status pending becomes running,
     * paused becomes running, others stay.  Touches nothing it does not hand out. OK with n = 0:
     * nothing due.  LOST: the lease is dead.  UNKNOWN: send again, before another
     * claim of this lease: the id of its last claim answers what that one took and still holds.
     */
    int (*claim)(void *session, const struct kedge_claim *in, struct kedge_run_page *out,
                 int64_t timeout_us, struct kedge_error *err);
    /*
     * Head and, as wanted, latest snapshot and the journal after it (all of it without a
     * snapshot), consistent with each other.  NOT_FOUND.
     */
    int (*retrieve)(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                    int64_t timeout_us, struct kedge_error *err);
    /* Records first .. by number, at most `limit' and about `bytes_max' bytes (at least one
       record).  NOT_FOUND: no such run or incarnation.  A number past the end gives an empty page.
     */
    int (*retrieve_records)(void *session, struct kedge_bytes id, uint64_t incarnation,
                            uint64_t first, size_t limit, size_t bytes_max,
                            struct kedge_record_page *out, int64_t timeout_us,
                            struct kedge_error *err);
    /* Filled slots of one set, from index `first' on.  NOT_FOUND: no such run, or set never opened.
     */
    int (*retrieve_slots)(void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
                          uint32_t first, size_t limit, struct kedge_slot_page *out,
                          int64_t timeout_us, struct kedge_error *err);
    /*
     * Held runs whose lease is lapsed, dead or without a record, or whose hold_until has passed;
     * longest first (no record, then by the time it lapsed or died, or by hold_until).  Read-only;
     * its cost does not grow with the healthy runs.
     */
    int (*list_expired)(void *session, struct kedge_bytes cursor, size_t limit,
                        struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err);
    /*
     * Runs by status, reactor, parent or unserved, in the order of their creation.  A run
     * that fits the filter all through a scan appears exactly once.  One record that cannot be
     * understood does not end the list: it is shown with status stuck and the members that could be
     * read.
     */
    int (*list)(void *session, const struct kedge_list *in, struct kedge_run_page *out,
                int64_t timeout_us, struct kedge_error *err);

    /* -- cells, retention, upkeep -- */

    int (*cell_get)(void *session, struct kedge_bytes name, struct kedge_cell *out,
                    int64_t timeout_us, struct kedge_error *err); /* NOT_FOUND */
    /*
     * Remove at most about `limit' rows of what has expired: runs (head first, atomically gone; the
     * rest in this or later calls), cells, and dead leases that nothing names any more.  Each is
     * checked again in the step that removes it.  Never lowers a fence.  UNKNOWN.
     */
    int (*purge)(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
                 struct kedge_error *err);

    /* Optional: walk everything and count what contradicts the contract.  Changes nothing. */
    int (*verify)(void *session, struct kedge_verified *out, int64_t timeout_us,
                  struct kedge_error *err);

    /*
     * Optional: a hint across processes that there may be new work.  wait answers OK and the
     * present ticket as soon as it differs from `seen', QUIET after timeout_us (0: at once).  A
     * ticket read before a claim that found nothing loses no hint.  notify moves it on and wakes
     * all who wait.  A lost hint costs latency, never work. Whatever makes a run due moves the
     * ticket by itself.
     */
    int (*wait)(void *session, uint64_t seen, uint64_t *ticket, int64_t timeout_us,
                struct kedge_error *err);
    int (*notify)(void *session, struct kedge_error *err);

    /*
     * Optional: the statements by which store_open would set this namespace up (flag CREATE alone)
     * or bring it up to date (MIGRATE alone); changes nothing.  CREATE starts from a server where
     * kedge has never been, asks it for nothing, and works while it cannot be reached.  MIGRATE
     * starts from what is there: ERR_SCHEMA_MISSING, _NEW; up to date: OK and no statements.
     * No password is in them.
     */
    int (*schema_script)(const struct kedge_host *host, const struct kedge_open *open,
                         struct kedge_script *out, struct kedge_error *err);
    /* end of ABI 1: append, never insert */
};

typedef const struct kedge_backend_ops *kedge_backend_entry_fn(void);

/*
 * The entry point.  A module exports "kedge_backend_entry"; inside the library each backend has
 * a name of its own, so that several can be linked together.
 */
#    ifdef KEDGE_BACKEND_STATIC
#        define KEDGE_BACKEND_ENTRY(id) kedge_backend_entry_##id
#        define KEDGE_BACKEND_EXPORT
#    else
#        define KEDGE_BACKEND_ENTRY(id) kedge_backend_entry
#        if defined(__GNUC__)
#            define KEDGE_BACKEND_EXPORT __attribute__((visibility("default")))
#        else
#            define KEDGE_BACKEND_EXPORT
#        endif
#    endif

#    define KEDGE_BACKEND_HEADER                                                                   \
        .struct_size = sizeof(struct kedge_backend_ops), .abi = KEDGE_BACKEND_ABI

#    define KEDGE_BACKEND_DEFINE(id, ops)                                                          \
        KEDGE_BACKEND_EXPORT const struct kedge_backend_ops *KEDGE_BACKEND_ENTRY(id)(void);        \
        const struct kedge_backend_ops *KEDGE_BACKEND_ENTRY(id)(void)                              \
        {                                                                                          \
            return &(ops);                                                                         \
        }                                                                                          \
        struct kedge_backend_ops

/*
 * Wrappers.  A wrapper is a table that stands before another backend's: it counts calls, writes
 * them down, lets some of them fail, or breaks a promise on purpose to see who notices.  A store's
 * URL says which ones, the outermost first; a value encodes ',', '+' and '%' as %2C, %2B and %25:
 *
 *   count+lmdb:/x      trace,to=/tmp/t+fault,op=commit,n=3,when=after+lmdb:/x
 *
 * A wrapper is always a module, NAME.so, and exports "kedge_wrapper_entry" in place of a backend's
 * entry.  It is called once for each INNER, which has no member that is NULL, and answers a table
 * that never moves and is never freed, or NULL: it cannot wrap that one.  Members of that table are
 * what the two are together: caps, threads, limits and version are INNER's, unless the wrapper
 * means to change them; name is passed over, as the library calls the two "NAME+INNER".  Of the
 * optional operations only those remain that INNER has as well.
 *
 * store_open, store_drop and schema_script get INNER in open->inner, take their own part off the
 * front of open->url (what they do not know in it is ERR_INVALID) and call INNER's with the rest.
 * All other operations come with a handle, which is the wrapper's own: it remembers INNER there.
 * Options beside the URL are for the backend.  A wrapper may wrap several tables in one process.
 */
typedef const struct kedge_backend_ops *kedge_wrapper_entry_fn(
    const struct kedge_backend_ops *inner);

/* WRAP: a kedge_wrapper_entry_fn, which is called for tables of this ABI only. */
#    define KEDGE_WRAPPER_DEFINE(wrap)                                                             \
        KEDGE_BACKEND_EXPORT kedge_wrapper_entry_fn kedge_wrapper_entry;                           \
        const struct kedge_backend_ops *kedge_wrapper_entry(const struct kedge_backend_ops *inner) \
        {                                                                                          \
            return inner->abi == KEDGE_BACKEND_ABI ? wrap(inner) : NULL;                           \
        }                                                                                          \
        struct kedge_backend_ops

#    ifdef __cplusplus
}
#    endif

#endif
/* end of backend.h */
