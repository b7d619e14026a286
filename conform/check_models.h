/*
 * check_models.h - the contract as seen by a single client, one object at a time
 *
 * A model says whether an operation, with the answer it got, could have taken place in a state, and
 * which state follows.  An operation in doubt takes place where it would have been carried out; its
 * fence or version is then one that nobody knows, above all before it, until somebody reads it.
 */
#ifndef KEDGE_CONFORM_CHECK_MODELS_H
#define KEDGE_CONFORM_CHECK_MODELS_H

#include "check.h"

struct model_op {
    const struct history_event *e;
    int64_t ret;    /* HISTORY_NEVER: open to the end */
    uint64_t death; /* the bit of its owner in `dead'; 0: that lease never dies */
    uint32_t slot;
    bool optional; /* in doubt: it need not have taken place */
};

/* Members without a meaning in a model stay 0, so that states can be compared as bytes. */
struct model_state {
    uint64_t dead;     /* leases that were buried or revoked, as bits */
    uint64_t holder;   /* 0: none */
    uint64_t hold_bit; /* the holder's bit in `dead' */
    uint64_t fence;    /* of the holder, or the version of a cell; 0: not known, above `top' */
    uint64_t top;      /* the highest fence or version known to have been given */
    uint64_t value;    /* of a cell; position of a run; earliest deadline of a lease */
    int64_t deadline;  /* latest deadline of a lease; HISTORY_NO_TIME: not known */
    uint64_t phase;    /* of a run or a lease */
};

struct model {
    const char *name;
    uint32_t bit; /* enum check_model */
    enum history_subject subject;
    /* The state at first, if it is not all zero; NULL: it is. */
    void (*begin)(const struct model_op *ops, size_t n, struct model_state *s);
    bool (*step)(const struct model_op *op, struct model_state *s);
    void (*tell)(const struct model_state *s, char *out, size_t size);
};

#define N_MODELS 4
extern const struct model check_models[N_MODELS];

/* Does E, in doubt, need its owner's lease to be alive to take effect? */
bool model_needs_life(const struct history_event *e);
/* Does E say something about the lease it was done under? */
bool model_tells_of_lease(const struct history_event *e);

#endif
