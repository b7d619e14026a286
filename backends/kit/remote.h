/*
 * remote.h - the rules of the contract for stores that are elsewhere: servers
 *
 * kit_commit() wants one exclusive step in which it reads and writes.  A server has none to lend
 * to a client.  So the rules are applied to rows as they were read, or are remembered, and the
 * store is then asked for one thing only: is everything the decision looked at still so?  Then
 * write this.  A server backend needs two kernels for all of commit: look, and compare-and-write.
 *
 *   I1  A decision counts when the store has confirmed, in the atomic step that writes, each row it
 *       looked at and that the store's time is one for which it holds.  A refusal counts when the
 *       rows it looked at were read in one look of this call, or were confirmed in the same way.
 *   I2  Each commit is a group: written whole or not at all, whatever becomes of its neighbours.
 *       Groups are carried out in their order; one that builds on rows written by a group before
 *       it expects them as that group leaves them, and fails with it.
 *   I3  What was not confirmed is read anew and decided anew, until the deadline.
 *   I4  Fences are issued by the store.  Until it has answered, a fence is a placeholder, which may
 *       stand in any 64-bit member of a row that holds a fence or a cell's version, in a name of
 *       none.
 *   I5  Which rows a commit may have changed is decided by their stamps (struct kit_expect): a
 *       heartbeat changes no lease's stamp, and an append none of a run whose journal was not
 * looked at.
 */
#ifndef KEDGE_KIT_REMOTE_H
#define KEDGE_KIT_REMOTE_H

#include "rules.h"

/* Placeholder number I of a call: above every fence there can be.  KIT_FENCE_PENDING is not one. */
#define KIT_PLACE_BASE     UINT64_C(0xffffffff00000000)
#define KIT_IS_PLACE(f)    ((f) >= KIT_PLACE_BASE && (f) != UINT64_MAX)
#define KIT_PLACE_INDEX(f) ((uint32_t)((f)-KIT_PLACE_BASE))

enum kit_row_kind {
    KIT_ROW_RUN = 1, /* named by `name' */
    KIT_ROW_LEASE,   /* by `lease' */
    KIT_ROW_CELL,    /* by `name' */
    KIT_ROW_LOCK,    /* by `name' */
    KIT_ROW_SET,     /* slot set `set' of run row `of' */
    KIT_ROW_SLOT,    /* slot `index' of it: only whether it is filled */
    KIT_ROW_RECORD   /* record `number' of run row `of': only the request that appended it */
};

/*
 * What is known of one row of the store, for the time of one call.  A look fills in `there' and,
 * where it is there, the member of its kind, as stored: expired runs and cells are there, dead
 * leases too.  Bytes in it live until the call is over (allocate from `mem' of kit_remote_mem).
 */
struct kit_row {
    uint32_t kind;
    uint32_t known; /* 0: not; else number of the look or of the guess that told it */
    bool there;
    bool guessed; /* not read in this call */
    /* A look answers KEDGE_ERR_CORRUPT for this row alone by setting it here; else 0. */
    int fault;
    struct kedge_bytes name;
    struct kedge_id128 lease_id;
    struct kit_row *of;
    uint32_t set;
    uint32_t index;
    uint64_t number;
    /* Each points to what never changes in this call; a write makes a new one. */
    const struct kit_run *run;
    const struct kit_lease *lease;
    const struct kit_cell *cell;
    const struct kit_lock *lock;
    struct kit_slots slots;
    struct kedge_id128 request;
    void *own;       /* the backend's, e.g. the row's number in the store; NULL at first */
    uint64_t own_no; /* likewise */
};

/* What must still be so. */
struct kit_expect {
    const struct kit_row *row; /* RUN, LEASE, CELL, LOCK or SET */
    bool there;
    bool journal; /* RUN: `position' counts too */
    /* RUN: head_revision.  LEASE: 1 when dead, else 0.  CELL: version.  LOCK: fence.  SET:
       remaining places.  May be a placeholder (I4, I2). */
    uint64_t stamp;
    uint64_t incarnation;      /* RUN; may be a placeholder */
    uint64_t position;         /* RUN with `journal' */
    int64_t expires;           /* CELL; 0: never */
    const struct kit_run *run; /* RUN that is there: all of it, as it was looked at */
};

enum kit_write_kind {
    KIT_WRITE_RUN = 1,   /* run_new, over run_old (NULL: a new run) */
    KIT_WRITE_DROP,      /* the expired run run_old goes, with all its rows; a new one may follow */
    KIT_WRITE_APPEND,    /* records first .. first + n - 1 of run_new */
    KIT_WRITE_SNAPSHOT,  /* `value' replaces the snapshot of run_new */
    KIT_WRITE_SET,       /* slots_new, over slots_old (total 0: newly opened) */
    KIT_WRITE_SLOT,      /* `value' in place `index' */
    KIT_WRITE_CELL,      /* cell_new, over cell_old (NULL: there was none) */
    KIT_WRITE_CELL_GONE, /* cell_old */
    KIT_WRITE_LOCK,      /* lock_new, over lock_old (NULL) */
    KIT_WRITE_LOCK_GONE, /* lock_old */
    KIT_WRITE_ATTENTION  /* the lease's attention rises by `number' */
};

struct kit_write {
    uint32_t kind;
    uint32_t index;      /* SLOT */
    struct kit_row *row; /* of the run for RUN, DROP, APPEND, SNAPSHOT; else of its own kind, and
                            for SLOT of the set */
    const struct kit_run *run_old;
    const struct kit_run *run_new;
    const struct kit_cell *cell_old;
    const struct kit_cell *cell_new;
    const struct kit_lock *lock_old;
    const struct kit_lock *lock_new;
    struct kit_slots slots_old;
    struct kit_slots slots_new;
    uint64_t number; /* APPEND: first; ATTENTION: by how much */
    const struct kedge_bytes *records;
    size_t n;
    struct kedge_bytes value;
    struct kedge_id128 request; /* of the commit */
    int64_t time;               /* APPEND: store time of the records */
};

/* One commit to be carried out.  With no writes it only asks whether its expectations hold. */
struct kit_group {
    size_t item; /* which commit of the call */
    const struct kit_expect *expects;
    size_t n_expects;
    const struct kit_write *writes; /* in the order in which they are to take effect */
    size_t n_writes;
    int64_t from; /* it holds while from <= store time < to */
    int64_t to;
    bool work;    /* a run becomes due by it */
    bool applied; /* out: expectations held, all is written */
    int failed;   /* out: this group alone failed with this negative code (nothing is written) */
};

struct kit_remote;

/* What a backend lends.  CTX is its session. */
struct kit_remote_ops {
    /* Fill in ROW from what earlier calls have shown, without asking; false: nothing known.  Only
       RUN and LEASE rows are asked for. */
    bool (*recall)(void *ctx, struct kit_row *row);
    /* The store's time as it must be about now; false: no idea. */
    bool (*guess_now)(void *ctx, int64_t *wall);
    /* Fill in ROWS (`there', `fault', the member of the kind; own) as they are now, in one round
       trip; *NOW is the store's time in it.  Order of rows: a row comes after the run it is `of'.
       OK, or a failure. */
    int (*look)(void *ctx, struct kit_row *const *rows, size_t n, int64_t *now, int64_t timeout_us,
                struct kedge_error *err);
    /*
     * Carry out GROUPS in one round trip and one durable flush.  Each gets `applied' or not (or
     * `failed').  N_FENCES placeholders occur in them; fences[i] is put in place of placeholder i,
     * rising in that order.  *NOW is the store's time in it.  OK, or a failure of all (UNAVAILABLE:
     * nothing happened; UNKNOWN).
     */
    int (*apply)(void *ctx, struct kit_group *groups, size_t n, uint64_t *fences, size_t n_fences,
                 int64_t *now, int64_t timeout_us, struct kedge_error *err);
    /* ROW (RUN) is now so in the store: as written by this call, with its fences.  May be NULL. */
    void (*learn)(void *ctx, const struct kit_row *row);
    /* What is remembered of ROW (RUN or LEASE) was wrong. */
    void (*forget)(void *ctx, const struct kit_row *row);
};

/* For one session.  NULL: no memory. */
struct kit_remote *kit_remote_new(const struct kedge_host *host, const struct kit_remote_ops *ops,
                                  void *ctx);
void kit_remote_free(struct kit_remote *remote); /* NULL is fine */
/* Where a look allocates what rows point to; emptied when the call is over. */
struct kedge_mem **kit_remote_mem(struct kit_remote *remote);

/*
 * Carry out commits that kit_check_batch has passed; those whose answer has a negative outcome
 * already are passed over.  Answers as commit() of the contract does, the failure of the call as
 * a whole included.
 */
int kit_remote_commit(struct kit_remote *remote, const struct kedge_commit *commits, size_t n,
                      struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err);

/* Operations of the same names, arguments checked. */
int kit_remote_lock_acquire(struct kit_remote *remote, struct kedge_bytes name,
                            const struct kedge_id128 *lease, const struct kedge_id128 *request,
                            struct kedge_lock_state *out, int64_t timeout_us,
                            struct kedge_error *err);
int kit_remote_lock_release(struct kit_remote *remote, struct kedge_bytes name,
                            const struct kedge_id128 *lease, uint64_t fence, int64_t timeout_us,
                            struct kedge_error *err);
/* OK: held by LEASE at FENCE and the lease is not dead; NOT_FOUND, STALE, LOST. */
int kit_remote_lock_check(struct kit_remote *remote, struct kedge_bytes name,
                          const struct kedge_id128 *lease, uint64_t fence, int64_t timeout_us,
                          struct kedge_error *err);
int kit_remote_lock_query(struct kit_remote *remote, struct kedge_bytes name,
                          struct kedge_lock_state *out, int64_t timeout_us,
                          struct kedge_error *err);

#endif
