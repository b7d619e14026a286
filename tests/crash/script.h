/*
 * script.h - one of everything a store can be asked, as steps whose effect is known
 *
 * Every step may be done again by another process with the same bytes: ids and requests are made
 * from the step's number, time stands still during a step, and what earlier steps were answered is
 * in struct script_world, which lives in shared memory and is written when a step is over.
 */
#ifndef KEDGE_TESTS_SCRIPT_H
#define KEDGE_TESTS_SCRIPT_H

#include "crash.h"

#define SCRIPT_EPOCH INT64_C(1800000000000000) /* 2027-01-15 */
#define SCRIPT_TICK  (10 * CRASH_SEC)

enum script_run { R1, R2, R3, PARENT, ORPHAN, K1, K2, SCRIPT_RUNS };

struct script_world {
    uint64_t inc[SCRIPT_RUNS];
    uint64_t fence[SCRIPT_RUNS];
    uint64_t revision[SCRIPT_RUNS];
    uint64_t lock_fence[2];
    uint64_t cell_version[3];
    uint64_t ticket;
};

#define SCRIPT_ITEMS 8

/* A store in use by a script, and the answer of the last step. */
struct script {
    const struct kedge_backend_ops *ops;
    const struct kedge_host *host;
    int64_t *clock; /* the host's */
    const char *url;
    void *store;
    void *session;
    struct script_world *world;
    int64_t timeout_us;
    int step;
    /* of the last step: one outcome per item of a batch */
    int outcome[SCRIPT_ITEMS];
    size_t n_outcomes;
    struct kedge_error err;
};

struct script_step {
    const char *name;
    int (*run)(struct script *s); /* KEDGE_OK, or the first failure, or the first refusal */
    int expect;
    int again; /* also right when the step had taken place before, and is done again */
    /* Objects of each item of a batch, by name: "a b".  None: all objects are one item's. */
    const char *items[SCRIPT_ITEMS];
    bool loose; /* each object may change by itself */
};

extern const struct script_step script_steps[];
extern const int script_n_steps;
extern const struct crash_known script_known;

int64_t script_time(int step);
/* With KEDGE_OPEN_CREATE or not; OK leaves store and session open. */
int script_open(struct script *s, uint32_t flags);
void script_close(struct script *s);
/* Do step I (0 ..): sets the clock, calls, and keeps outcomes. */
int script_do(struct script *s, int i);

#endif
