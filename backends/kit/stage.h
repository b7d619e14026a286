/*
 * stage.h - one commit while it is being decided (inside the kit only)
 *
 * Whatever a commit looks at is fetched once and kept here; changes are made to the copies.  The
 * store is written when nothing can be refused any more.
 */
#ifndef KEDGE_KIT_STAGE_H
#define KEDGE_KIT_STAGE_H

#include "rules.h"

/* A fence that is issued when the commit is written. */
#define KIT_FENCE_PENDING UINT64_MAX

struct kit_staged_run {
    struct kedge_bytes id;
    const struct kit_run *old; /* as stored, expired or not; NULL: none */
    bool there;                /* it exists, as the changes so far leave it */
    bool created;
    bool owned;         /* this commit may write it: guarded or created */
    bool passed;        /* its creation was passed over as done */
    bool dirty;         /* its head is written */
    bool wants_rest;    /* a change that is in order only if it is at rest in the end */
    struct kit_run now; /* when there */
};

struct kit_staged_lease {
    struct kedge_id128 id;
    const struct kit_lease *old; /* NULL: none */
    bool dirty;
    struct kit_lease now; /* when dirty */
};

struct kit_staged_cell {
    struct kedge_bytes name;
    const struct kit_cell *old; /* as stored, expired or not; NULL: none */
    bool there;
    bool dirty;
    struct kit_cell now; /* when there */
};

struct kit_staged_lock {
    struct kedge_bytes name;
    const struct kit_lock *old;
    bool there;
    bool dirty;
    struct kit_lock now; /* when there */
};

struct kit_staged_set {
    struct kit_staged_run *run;
    uint32_t set;
    bool there;
    bool dirty;
    struct kit_slots now; /* when there */
};

struct kit_staged_slot {
    struct kit_staged_set *set;
    uint32_t index;
    struct kedge_bytes value;
};

/* What became of one change. */
struct kit_staged_change {
    void *target;    /* the staged run, cell, lock or set; NULL: passed over */
    uint64_t result; /* fences are put in when they are issued */
};

/* Items keep their addresses and are used again for the next commit. */
struct kit_pool {
    void **items;
    size_t n;    /* in use */
    size_t made; /* allocated */
    size_t cap;
};

struct kit_scratch {
    const struct kedge_host *host;
    struct kit_pool runs;
    struct kit_pool leases;
    struct kit_pool cells;
    struct kit_pool locks;
    struct kit_pool sets;
    struct kit_pool slots;
    struct kit_staged_change *changes;
    size_t cap_changes;
};

struct kit_plan {
    struct kit_step *step;
    struct kit_scratch *scratch;
    const struct kedge_commit *commit;
    struct kit_staged_run *subject; /* first run the commit names; NULL: none */
    const char *why;                /* of the failure that was found */
};

/* Fetch or find.  OK, or a failure of the store or ERR_NOMEM. */
int kit_plan_begin(struct kit_plan *plan);
int kit_stage_run(struct kit_plan *plan, struct kedge_bytes id, struct kit_staged_run **out);
int kit_stage_lease(struct kit_plan *plan, const struct kedge_id128 *id,
                    struct kit_staged_lease **out);
int kit_stage_cell(struct kit_plan *plan, struct kedge_bytes name, struct kit_staged_cell **out);
int kit_stage_lock(struct kit_plan *plan, struct kedge_bytes name, struct kit_staged_lock **out);
int kit_stage_set(struct kit_plan *plan, struct kit_staged_run *run, uint32_t set,
                  struct kit_staged_set **out);
/* OK, or NOT_FOUND: nothing is in that place. */
int kit_stage_slot(struct kit_plan *plan, struct kit_staged_set *set, uint32_t index);
int kit_stage_slot_put(struct kit_plan *plan, struct kit_staged_set *set, uint32_t index,
                       struct kedge_bytes value);

/* OK, or LOST: dead or without a record. */
int kit_plan_alive(struct kit_plan *plan, const struct kedge_id128 *lease);
/* *UNHELD as the contract has it; OK or a failure. */
int kit_plan_unheld(struct kit_plan *plan, const struct kit_run *run, bool *unheld);
int kit_plan_fail(struct kit_plan *plan, int code, const char *why);

/* The three steps of a commit. */
int kit_resent(struct kit_plan *plan, struct kedge_answer *answer); /* OK: it was; NOT_FOUND */
int kit_guards(struct kit_plan *plan, uint32_t *at);
int kit_changes(struct kit_plan *plan, uint32_t *at);

#endif
