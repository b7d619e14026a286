/*
 * redis_cases.h - cases of the contract that look at a Redis server beside it, or do something to
 * it
 *
 * A case has a process, a namespace called after it, and the server to itself.
 */
#ifndef KEDGE_TESTS_SERVERS_REDIS_CASES_H
#define KEDGE_TESTS_SERVERS_REDIS_CASES_H

#include "conform/world.h"

struct redis_case {
    const char *name;
    const char *what; /* a sentence */
    void (*run)(struct world *w);
};

extern const struct redis_case redis_costs[];
extern const struct redis_case redis_events[];

/* Run COMMAND by the shell; it must succeed.  What it prints goes to TEXT, if that is not NULL. */
void shell(const char *command, char *text, size_t size);

/* N runs, held by one lease; their ids are "run-0" and so on. */
struct run *runs_held(struct world *w, size_t n);
/* T: one more record for R, which says TEXT. */
void append_to(struct tx *t, struct run *r, const char *text);
/* In one batch, one record for each of N runs, at most BATCH_MOST, which says APPENDED. */
#define BATCH_MOST 256u
#define APPENDED   "a record"
void append_batch(struct world *w, struct run *runs, size_t n);

#endif
