/*
 * rules.h - the rules of the contract, written once, for stores that decide inside the process
 *
 * A store that has one exclusive step at a time (memory, LMDB; not a server with scripts of its
 * own) lends these functions its tables and keeps nothing but tables itself.
 *
 *   I1  Everything of a commit is decided before its first write: a refusal writes nothing.
 *   I2  Reads and writes go through struct kit_store only, inside one exclusive step.
 *   I3  After a commit every run it touched is due, held, parked or at rest (kit_run_sound).
 *   I4  A head is written only when one of its members changed; a plain append writes records
 *       alone.
 *   I5  A negative answer of a writing call means that the step is broken: the caller undoes all
 *       of it.
 */
#ifndef KEDGE_KIT_RULES_H
#define KEDGE_KIT_RULES_H

#include <stdbool.h>

#include <kedge/backend.h>

/* The result of a commit, kept so that the same request can be answered again. */
struct kit_done {
    struct kedge_id128 request; /* zero: none */
    uint64_t fence;
    uint64_t revision;
    uint64_t position;
};

/* A head as stored.  What depends on the journal's length is derived: see kit_run_load. */
struct kit_run {
    struct kedge_run
        r; /* position: filled in by run_get; revision: of the last head write, see below */
    uint64_t head_revision; /* r.revision == head_revision + r.position */
    uint64_t recoveries_at; /* position when r.recoveries was counted; more records: progress, 0 */
    struct kedge_id128 create_request;
    struct kedge_id128 take_request; /* of the claim or commit that gave the present fence */
    struct kit_done last;            /* last head-writing commit under the present fence */
    struct kit_done prev;            /* last commit under the previous fence */
};

struct kit_lease {
    struct kedge_lease l; /* remaining_us, hint and the LAPSED state are derived, not stored */
    int64_t extended;     /* lease clock at the last extend */
    int64_t died;         /* lease clock when buried or revoked, 0 while not */
    uint64_t hint_id[2];  /* device and inode, or whatever names the hint; zero: none */
    struct kedge_id128 grant_request;
    struct kedge_id128 claim_request; /* of its last claim that took something */
    uint8_t boot_id[16];              /* zero where the store has none */
};

struct kit_cell {
    struct kedge_bytes value;
    uint64_t version;
    int64_t expires;
    struct kedge_id128 request;
};

struct kit_lock {
    struct kedge_id128 lease;
    uint64_t fence;
    struct kedge_id128 request;
};

struct kit_slots {
    uint32_t total;
    uint32_t remaining;
};

/*
 * The tables, as seen inside one exclusive step.  Readers answer KEDGE_OK, KEDGE_NOT_FOUND or a
 * failure (ERR_CORRUPT, ERR_NOMEM, ...); what they point to stays valid and unchanged until the
 * commit is over, across writes too.  Writers answer KEDGE_OK or a failure.  Expired runs and cells
 * are handed out as they are; the rules decide that they are not there.
 */
struct kit_store {
    int (*run_get)(void *ctx, struct kedge_bytes id, const struct kit_run **out);
    /* Request id of record `number' (1 .. position) of a run. */
    int (*record_request)(void *ctx, const struct kit_run *run, uint64_t number,
                          struct kedge_id128 *out);
    int (*lease_get)(void *ctx, const struct kedge_id128 *id, const struct kit_lease **out);
    int (*cell_get)(void *ctx, struct kedge_bytes name, const struct kit_cell **out);
    int (*lock_get)(void *ctx, struct kedge_bytes name, const struct kit_lock **out);
    int (*slots_get)(void *ctx, uint64_t incarnation, uint32_t set, struct kit_slots *out);
    /* NOT_FOUND: that index is empty. */
    int (*slot_has)(void *ctx, uint64_t incarnation, uint32_t set, uint32_t index);

    /* Issue the next fence, >= now_wall; durable with the step. */
    uint64_t (*fence_next)(void *ctx);
    /* Write a head and keep every index in step.  OLD is NULL for a new run.  */
    int (*run_put)(void *ctx, const struct kit_run *old, const struct kit_run *run);
    /* Make an expired run vanish, so that its id can be created again; its rows go with purge. */
    int (*run_drop)(void *ctx, const struct kit_run *run);
    int (*append)(void *ctx, const struct kit_run *run, uint64_t first,
                  const struct kedge_bytes *records, size_t n, const struct kedge_id128 *request,
                  int64_t now_wall);
    int (*snapshot_put)(void *ctx, const struct kit_run *run, struct kedge_bytes data);
    int (*slots_put)(void *ctx, uint64_t incarnation, uint32_t set, const struct kit_slots *slots);
    int (*slot_put)(void *ctx, uint64_t incarnation, uint32_t set, uint32_t index,
                    struct kedge_bytes value);
    /* OLD is NULL for a new cell or lock. */
    int (*cell_put)(void *ctx, struct kedge_bytes name, const struct kit_cell *old,
                    const struct kit_cell *cell);
    int (*cell_delete)(void *ctx, struct kedge_bytes name, const struct kit_cell *old);
    int (*lock_put)(void *ctx, struct kedge_bytes name, const struct kit_lock *old,
                    const struct kit_lock *lock);
    int (*lock_delete)(void *ctx, struct kedge_bytes name, const struct kit_lock *old);
    int (*lease_put)(void *ctx, const struct kit_lease *lease);
    /* A run became due, now or later: whoever waits should look again. */
    void (*work)(void *ctx);
};

/* One exclusive step: the same moment for everything in it. */
struct kit_step {
    const struct kit_store *store;
    void *ctx;
    const struct kedge_host *host;
    int64_t now_wall;
    int64_t now_lease;
    struct kit_scratch *scratch; /* kit_scratch_new(); reused from commit to commit */
};

struct kit_scratch *kit_scratch_new(const struct kedge_host *host);
void kit_scratch_free(struct kit_scratch *scratch); /* NULL is fine */

/*
 * Decide and carry out one commit that kit_check_commit has passed.  Fills *ANSWER (outcome, at,
 * ...) and COMMIT->results.  Returns KEDGE_OK when the answer stands (done or refused), negative
 * when a write failed half way (I5).
 */
int kit_commit(struct kit_step *step, const struct kedge_commit *commit,
               struct kedge_answer *answer);

/* Structural checks that need no store: sizes, kinds, ranges, required members, fenced writes.
   Clears the answer; a refusal is written to it (outcome, at, why) and returned. */
int kit_check_commit(const struct kedge_limits *limits, const struct kedge_commit *commit,
                     struct kedge_answer *answer);
/* The whole call: n, total bytes, each commit, one held run per batch.  Fails (ERR_INVALID,
   ERR_TOO_BIG) for the call as a whole only and is every item's outcome then; answers[i].outcome
   is 0 or negative per item otherwise.  N may be 0. */
int kit_check_batch(const struct kedge_limits *limits, const struct kedge_commit *commits, size_t n,
                    struct kedge_answer *answers, struct kedge_error *err);
int kit_check_lease(const struct kedge_limits *limits, const struct kedge_lease_new *in,
                    struct kedge_error *err);
int kit_check_claim(const struct kedge_limits *limits, const struct kedge_claim *in,
                    struct kedge_error *err);
int kit_check_list(const struct kedge_limits *limits, const struct kedge_list *in,
                   struct kedge_error *err);
/* WHAT names the argument in the message. */
int kit_check_name(const struct kedge_limits *limits, struct kedge_bytes name, const char *what,
                   struct kedge_error *err);
int kit_check_timeout(int64_t timeout_us, struct kedge_error *err);

/* Fill ANSWER's view of RUN (revision, position, fence, requests, status). */
void kit_answer_run(struct kedge_answer *answer, const struct kedge_run *run);

/* Outcome lock_acquire gives; like a commit with LOCK_TAKE, but HELD and who holds it. */
int kit_lock_acquire(struct kit_step *step, struct kedge_bytes name,
                     const struct kedge_id128 *lease, const struct kedge_id128 *request,
                     struct kedge_lock_state *out);
int kit_lock_release(struct kit_step *step, struct kedge_bytes name,
                     const struct kedge_id128 *lease, uint64_t fence);
/* OK: held by LEASE at FENCE and the lease is not dead; NOT_FOUND, STALE, LOST else.  Writes
 * nothing. */
int kit_lock_check(struct kit_step *step, struct kedge_bytes name, const struct kedge_id128 *lease,
                   uint64_t fence);
/* OK and its holder, or NOT_FOUND (free, or held by the dead). */
int kit_lock_query(struct kit_step *step, struct kedge_bytes name, struct kedge_lock_state *out);

/* --- leases.  The caller reads the record and writes it back when told so. --- */

/* A new record from IN; deadline stamped. */
void kit_lease_init(struct kit_lease *lease, const struct kedge_lease_new *in, int64_t now_wall,
                    int64_t now_lease);
/* OK: deadline moved (write it); LOST: dead. */
int kit_lease_extend(struct kit_lease *lease, int64_t now_lease);
/* The clock stepped back behind the last extend: stamp anew.  True: write it. */
bool kit_lease_restamp(struct kit_lease *lease, int64_t now_lease);
bool kit_lease_lapsed(const struct kit_lease *lease, int64_t now_lease);
/* Fill the derived members (state, remaining_us) for handing out. */
void kit_lease_view(struct kit_lease *lease, int64_t now_lease);
void kit_lease_kill(struct kit_lease *lease, int64_t now_lease);

/* What the store knows for a burial, beside the record. */
struct kit_suspicion {
    bool certain;       /* the holder cannot have survived (another boot) */
    bool hint_absent;   /* the registered hint is absent now */
    int64_t absent_us;  /* for how long it has been seen so */
    bool hints_ignored; /* more than half looked dead at once less than a ttl ago */
    bool early;         /* extended under an earlier incarnation, first seen less than a ttl ago */
};
/* OK: bury it (or it is dead); HELD: not now. */
int kit_lease_may_bury(const struct kit_lease *lease, int64_t now_lease,
                       const struct kit_suspicion *s);
#define KIT_HINT_GRACE_US INT64_C(100000)
/* ABSENT of LIVE leases look dead at NOW.  When that is more than half, and more than one, *SINCE
   remembers it for the longest ttl; 0: no such thing.  Answers for how long, -1: it is not so. */
int64_t kit_hints_mass(int64_t *since, int64_t now, size_t live, size_t absent,
                       int64_t longest_ttl_us);

/* --- runs --- */

/* Derive revision and recoveries from the journal's length; store calls it in run_get. */
void kit_run_load(struct kit_run *run, uint64_t position);
bool kit_run_expired(const struct kit_run *run, int64_t now_wall);
/* NULL when the run is in exactly one place, else what is wrong, in a sentence (I3). */
const char *kit_run_sound(const struct kit_run *run);
/* May be claimed now: due, or parked with a passed backstop. */
bool kit_run_claimable(const struct kit_run *run, int64_t now_wall);
bool kit_served(const struct kedge_run *run, const struct kedge_serve *serves, size_t n);
/*
 * Does a list show it?  Not an expired one.  Of a parent IN says which: who is called with no
 * incarnation looks up the present one first, and where there is none nothing is shown.
 */
bool kit_run_listed(const struct kedge_list *in, const struct kit_run *run, int64_t now_wall);
/* RUN as taken by LEASE under FENCE: place, status, due, marks, hold_until, kept request. */
void kit_run_take(struct kit_run *run, const struct kedge_id128 *lease, uint64_t fence,
                  const struct kedge_id128 *request, struct kedge_when hold_until,
                  int64_t now_wall);
/* RUN made due at AT by a revoked lease: no recovery charged. */
void kit_run_hand_back(struct kit_run *run, int64_t at);
/* No holder, or one whose lease is dead or has no record (LEASE is NULL), or hold_until passed. */
bool kit_run_unheld(const struct kit_run *run, const struct kit_lease *lease, int64_t now_wall);
/* 0: healthy; else KEDGE_SWEEP_....  LEASE is NULL without a record. */
uint32_t kit_run_sweep(const struct kit_run *run, const struct kit_lease *lease, int64_t now_wall,
                       int64_t now_lease);

/* Since when, to put the longest first: UTC, by a fixed difference of the two clocks (a list that
   goes on must keep it), INT64_MIN without a record. */
int64_t kit_run_sweep_since(const struct kit_run *run, const struct kit_lease *lease,
                            uint32_t reason, int64_t wall_minus_lease);

/* Absolute time of WHEN, 0 for KEDGE_NEVER; else at least 1; saturates. */
int64_t kit_when(struct kedge_when when, int64_t now_wall);

/* --- bytes --- */
bool kit_bytes_equal(struct kedge_bytes a, struct kedge_bytes b);
int kit_bytes_cmp(struct kedge_bytes a, struct kedge_bytes b); /* memcmp, shorter first */
bool kit_id_equal(const struct kedge_id128 *a, const struct kedge_id128 *b);
bool kit_id_zero(const struct kedge_id128 *a);
/* A copy in MEM.  false: no memory. */
bool kit_copy(const struct kedge_host *host, struct kedge_mem **mem, struct kedge_bytes in,
              struct kedge_bytes *out);
/* Deep copy of what a head points to. */
bool kit_copy_run(const struct kedge_host *host, struct kedge_mem **mem, const struct kedge_run *in,
                  struct kedge_run *out);
bool kit_copy_lease(const struct kedge_host *host, struct kedge_mem **mem,
                    const struct kedge_lease *in, struct kedge_lease *out);

#endif
