/*
 * victim.h - another process that does one thing with the store, and is killed at a call of its own
 *
 * It is forked from the case's process, opens the store for itself, and does its one thing with the
 * plan armed (iofault.h).  What it has to tell it leaves in memory that outlives it.
 *
 * The loops over these points have no number of calls written down: point after point is asked for
 * until the thing comes to its end unharmed.
 */
#ifndef KEDGE_CONFORM_VICTIM_H
#define KEDGE_CONFORM_VICTIM_H

#include "iofault.h"
#include "stage.h"

/* Seen by the case's process and by its victims. */
struct ground {
    struct iofault fault;
    struct stage stage;
    _Atomic int answered; /* the call has come back */
    int rc;               /* ... with this */
    _Atomic int go;       /* the victim may go on */
    int again;            /* what the same handle said when it was sent again */
    bool reopened;        /* it had to be closed and opened */
};

struct point {
    enum iofault_mode mode;
    uint64_t at;
    uint32_t mask; /* of calls that are counted; 0: all */
    int err;
    bool sticky;
};

struct ground *ground_new(void);

enum victim_end {
    VICTIM_KILLED,
    VICTIM_DONE,    /* and the plan struck */
    VICTIM_UNHARMED /* it came to its end, and the plan did not strike: there is no such point */
};

/*
 * A victim of P does BODY, which says why itself when it fails, in a world of its own; W may be
 * open meanwhile, or not.  BODY arms and disarms.  Returns when it is gone, or, with WATCH, calls
 * that once its call has come back, and lets it go on then.
 */
enum victim_end victim(struct world *w, struct ground *g, const struct point *p,
                       void (*body)(struct world *w, struct ground *g, const struct point *p),
                       void (*watch)(struct world *w, struct ground *g));
void victim_arm(struct ground *g, const struct point *p);
void victim_disarm(struct ground *g);
/* "kill after call 3 (send)", for messages. */
const char *point_name(const struct ground *g, const struct point *p);

#endif
