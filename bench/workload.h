/*
 * workload.h - what kedge bench run can measure
 *
 * A workload opens what it needs in the store at opt.store, has a side (harness.h) that works until
 * a limit, and reads back what it wrote when it closes: whatever is lost, or there twice, ends the
 * program.  One is open at a time.
 */
#ifndef KEDGE_BENCH_WORKLOAD_H
#define KEDGE_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "harness.h"

/* Flags. */
#define AT_A_RATE 1u  /* can be asked for a fixed rate */
#define CEILING   2u  /* there is something bare to hold it against */
#define SHARED    4u  /* needs a store for several processes */
#define COUNTED   8u  /* writes: flushes and bytes can be told for each operation */
#define OF_RUNS   16u /* of --steps steps */

struct work {
    const struct workload *kind;
    unsigned clients;
    double rate; /* 0: as fast as it goes */
    struct side side;
    void *own;
    /* When it has closed: steps, or whatever an operation leaves. */
    const char *what; /* they are */
    uint64_t written; /* acknowledged */
    uint64_t readable;
};

struct workload {
    const char *name;
    const char *title;
    const char *unit; /* an operation is one of these */
    unsigned flags;
    uint64_t rounds;                 /* to count what they write */
    void (*open)(struct work *work); /* its side gets .run and .ctx */
    void (*close)(struct work *work);
};

extern const struct workload workloads[]; /* closed by a NULL name */
const struct workload *workload_named(const char *name);

/* Of the store alone: works_store.c. */
void checkpoint_open(struct work *work);
void lock_open(struct work *work);
void contend_open(struct work *work);
void claim_open(struct work *work);
void mixed_open(struct work *work);
void crew_close(struct work *work);
void expired_open(struct work *work);
void expired_close(struct work *work);
/* Of the engine: works_engine.c. */
void saga_work_open(struct work *work);
void rollback_open(struct work *work);
void saga_work_close(struct work *work);
void resume_work_open(struct work *work);
void resume_work_close(struct work *work);
/* works_recover.c */
void recover_open(struct work *work);
void recover_close(struct work *work);

#endif
