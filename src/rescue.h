/*
 * rescue.h - declare dead workers dead, and make their runs due: by every worker, and by a sweep
 *
 * The store decides who may be declared dead; here is who looks dead, and what becomes of the runs.
 * Both functions go on after a failure and answer the first one; what was done by then is counted.
 */
#ifndef KEDGE_SRC_RESCUE_H
#define KEDGE_SRC_RESCUE_H

#include <stdbool.h>

#include <kedge/backend.h>
#include <kedge/store.h>

/* An absent hint counts 100 ms after somebody saw that first: look again then, not much later. */
#define KEDGE_RESCUE_GRACE_US INT64_C(105000)

/* Recoveries without progress before a run is turned back, unless somebody says otherwise. */
#define KEDGE_RESCUE_CRASH_LIMIT 5

struct kedge_rescued {
    uint64_t leases;    /* that are not dead */
    uint64_t buried;    /* of them, declared dead */
    uint64_t held;      /* of them, look dead; the store does not permit it yet */
    uint64_t recovered; /* runs that were made due */
    uint64_t stuck;     /* runs that were given up */
};

struct kedge_rescue {
    struct kedge_store *store;
    const struct kedge_backend_ops *ops;
    const struct kedge_host *host;
    void *session;
    uint32_t crash_limit; /* recoveries without progress before a run is turned back */
    bool dry;             /* nothing is written: counted and told is what looks as if it would */
    uint64_t seed;
    struct kedge_id128 lease;   /* whose worker does it; zeros: no worker does */
    struct kedge_bytes writer;  /* its label */
    void *ctx;                  /* of what follows */
    int64_t (*time)(void *ctx); /* timeout of the next call */
    void (*saw)(void *ctx, const struct kedge_lease *lease);      /* each; NULL: nobody asks */
    bool (*may_bury)(void *ctx, const struct kedge_id128 *lease); /* NULL: all */
    bool (*is_here)(void *ctx, const struct kedge_run *run);      /* it is looked after; or NULL */
    void (*buried)(void *ctx, const struct kedge_lease *lease);   /* NULL likewise */
    void (*recovered)(void *ctx, const struct kedge_run *run, bool stuck); /* likewise */
    struct kedge_rescued done;                                             /* counts on */
};

/* Look at all leases; bury those that look dead. */
int kedge_rescue_bury(struct kedge_rescue *r, struct kedge_error *err);

/* Runs that nobody holds any more: due again, before all that waits, one recovery charged. */
int kedge_rescue_recover(struct kedge_rescue *r, struct kedge_error *err);

/* Would RUN be given up, if it was recovered now? */
bool kedge_rescue_gives_up(const struct kedge_rescue *r, const struct kedge_run *run);

#endif
