/*
 * stage.h - one operation of the contract, for those who do harm around it
 *
 * A stage is what one call of an operation works on: things with names of their own, made through
 * a world that nothing happens to (`d'), while the call is made in another (`w').  Its picture is
 * all that the contract shows of these things, object by object.
 *
 * Whatever happens around the call, its outcome is judged by the same rules (stage_judge): OK means
 * that it took place, UNAVAILABLE and FULL that nothing did, UNKNOWN, or no answer at all, that all
 * of it or nothing did; and sent again, the same bytes are answered as if for the first time.
 */
#ifndef KEDGE_CONFORM_STAGE_H
#define KEDGE_CONFORM_STAGE_H

#include "world.h"

#define STAGE_RUNS 64
#define STAGE_TXS  64

struct stage {
    struct world *d;
    struct world *w;
    int64_t patience; /* of the call, us */
    int number;
    struct kedge_id128 lease;  /* outlives the stage */
    struct kedge_bytes canary; /* a cell that is there all the time */
    /* The things. */
    struct run run[STAGE_RUNS];
    size_t n_runs;
    struct kedge_bytes cell[2];
    size_t n_cells;
    struct kedge_bytes lock[1];
    size_t n_locks;
    struct kedge_id128 made[1];
    size_t n_made; /* leases */
    /* What is sent, the same each time. */
    struct tx *tx[STAGE_TXS];
    int want[STAGE_TXS]; /* outcomes */
    size_t n_tx;
    struct kedge_id128 request;
    struct kedge_serve serve;
    bool any_revision; /* what is sent again counts again */
    /* What the first call that was answered said; it may say nothing else later. */
    uint64_t fence[STAGE_RUNS];
    uint64_t results[STAGE_TXS][TX_PARTS];
    bool done[STAGE_TXS];
};

#define OP_READS 1u /* changes nothing, so that nothing can be in doubt */
#define OP_LOOSE 2u /* each object may have changed without the others */

struct stage_op {
    const char *name;
    uint32_t flags;
    void (*prepare)(struct stage *s);
    int (*call)(struct stage *s);   /* as far as it answers OK it has compared what it was told */
    int again;                      /* also right when it has taken place before */
    void (*check)(struct stage *s); /* it has taken place, once */
    bool (*there)(struct world *w); /* NULL: every backend has it */
};

extern const struct stage_op stage_ops[];
extern const size_t stage_n_ops;

/* The operation of that name, which must be there. */
const struct stage_op *stage_op_named(const char *name);

/*
 * A new stage for OP, in D and W, which may be one: what it had is forgotten, but for the number
 * and the lease, which go from stage to stage.
 */
void stage_begin(struct stage *s, const struct stage_op *op, struct world *d, struct world *w,
                 int64_t patience);

/* What there is of the things now: one text per object. */
struct picture {
    char *part[STAGE_RUNS + 8];
    size_t n;
};
void picture_take(struct stage *s, struct picture *p);
/* The same once it stands still: a server may still be at work on what was sent by somebody who
   died or gave up, and a picture takes several questions. */
void picture_settled(struct stage *s, struct picture *p);
void picture_free(struct picture *p);
bool picture_same(const struct picture *a, const struct picture *b);
/* Each object is as in A or as in B. */
bool picture_between(const struct picture *p, const struct picture *a, const struct picture *b);
/* Print where A and B differ. */
void picture_differ(const struct picture *a, const struct picture *b);
/*
 * What RC, an answer to OP, says of A, the picture after the call, seen from BEFORE and from B, the
 * picture when it was sent again and answered.  KEDGE_ERR_UNKNOWN: or there was no answer.
 */
void stage_judge(const struct stage_op *op, int rc, const struct picture *before,
                 const struct picture *a, const struct picture *b);

#endif
