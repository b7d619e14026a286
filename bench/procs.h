/* procs.h - the same work in processes of its own, started before anything is open */
#ifndef KEDGE_BENCH_PROCS_H
#define KEDGE_BENCH_PROCS_H

#include <sys/types.h>

#include "harness.h"

#define PROCS_MAX 16

/* In the child: prepare, then work when told to, then check what was written. */
struct proc_work {
    void (*begin)(void *ctx, unsigned index);
    /* Until the limit; answers how many operations, and adds to LAT. */
    uint64_t (*work)(void *ctx, unsigned kind, const struct limit *limit, struct samples *lat);
    void (*end)(void *ctx);
    void *ctx;
};

struct procs {
    struct {
        pid_t pid;
        int to;
        int from;
    } v[PROCS_MAX];
    unsigned n;
};

/* Start N children; comes back when all are prepared.  They began one after the other. */
void procs_start(struct procs *procs, unsigned n, const struct proc_work *work);
/*
 * The first N work on KIND until the limit, all at once.  Adds to SIDE; PER, if not NULL, gets
 * what each of them did.
 */
void procs_run(struct procs *procs, unsigned n, unsigned kind, const struct limit *limit,
               struct side *side, uint64_t *per);
/* Let them check their work and end; a failure is ours. */
void procs_finish(struct procs *procs);

/* A process of its own for WORK, which does not outlive this one.  Nothing of a store's may be open
   here. */
pid_t proc_start(void (*work)(void *ctx), void *ctx);
/* End it with -9, and wait for that. */
void proc_kill(pid_t pid);

/* Run WORK in a process of its own, which is killed with -9 as soon as it has filled in its RESULT
   of SIZE bytes.  Nothing of a store's may be open here. */
void proc_once(void (*work)(void *ctx, void *result), void *ctx, void *result, size_t size);

#endif
