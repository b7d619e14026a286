/* doomed_kit.h - how a point is made: stores, workers and clients, their deaths, what is left */
#ifndef KEDGE_TESTS_DOOMED_KIT_H
#define KEDGE_TESTS_DOOMED_KIT_H

#include "doomed.h"

#include <kedge/kedge.h>
#include <kedge/testing.h>

#define SECONDS INT64_C(1000000)

enum { CUT = 2 }; /* beside KEDGE_TESTING_BEFORE and _AFTER, of a process: before, but slowly */

extern struct history h;
extern int shared; /* the dead are processes */

void must(int rc, const char *what);
void store_new(void); /* of its own, for the next point */
void store_drop(void);
struct kedge_store *store_open(void);
int start_runs(struct kedge_store *store, int n, int *outcomes);
int ask(struct kedge_store *store, int run, uint32_t verb);

/* What is going to die, at its call K. */
typedef void doomed_fn(struct kedge_store *store, const struct saga *saga, int n);
void work(struct kedge_store *store, const struct saga *saga, int n_left);
/* Answers whether it died, which it does not if it makes fewer calls than K. */
int die(uint64_t k, uint32_t how, doomed_fn *fn, const struct saga *saga, int n);
void introduce(const struct saga *saga); /* its reactor to the store */
void bury_the_dead(const struct saga *saga);

/* Look at the runs between two phases.  Answers how many are not at rest. */
int look(struct kedge_store *store, const struct saga *saga, int phase);
void finish(const struct saga *saga); /* a healthy worker ends what is left */
int judge(const struct saga *saga, uint64_t k);

/* One point.  Answers whether it was one: something died.  *GOOD: and all went well. */
typedef int point_fn(const struct saga *saga, uint64_t k, uint32_t how, int *good);
int worker_point(const struct saga *saga, uint64_t k, uint32_t how, int *good);
/* Each point from FIRST on, STEP calls apart, until there is nothing left to die at. */
void enumerate(const struct saga *saga, point_fn *point, uint64_t first, uint64_t step,
               const char *who);

/* -- doomed_asked.c -- */
/* Rollbacks and requests: the sagas are made, not listed. */
void asked_points(const char *only, uint64_t step);

#endif
