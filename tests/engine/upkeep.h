/*
 * upkeep.h - what the tests of sweep and purge share: runs and leases made below the engine, worker
 * processes that die, and what the store has
 *
 * A run waits in a queue of its own name, so that who claims there gets that run.
 */
#ifndef KEDGE_TESTS_UPKEEP_H
#define KEDGE_TESTS_UPKEEP_H

#include <kedge/backend.h>

#include "conform/fault_backend.h"
#include "tests/support/fault_store.h"
#include "tests/support/saga.h"

#define HOUR (3600 * SECONDS)

extern const struct kedge_backend_ops *ops; /* of the store */
extern void *session;                       /* of the test's own thread */
extern bool counted;                        /* by verify(), as the store has it; else all is 0 */
extern bool hinted;      /* processes share it, and it knows when one of them is gone */
extern atomic_int began; /* steps, in this process */
extern atomic_int gate;  /* not 0: they wait */

/* -- runs -- */
void start(const char *id);
void start_in(const char *queue, const char *id);
/* Its head; freed by the next call. */
const struct kedge_run *head(const char *id);
bool is_there(const char *id);
bool is_at(const char *id, uint32_t place, uint32_t status);

/* -- below the engine -- */
struct kedge_id128 some_id(void);
/* A lease for TTL_US, by which nobody works. */
struct kedge_id128 grant(int64_t ttl_us);
void let_go(const struct kedge_id128 *lease);
/* One that has lapsed, and that nobody has buried. */
void await_lapse(const struct kedge_id128 *lease);
/* Claim the run, which is due. */
void hold(const char *id, const struct kedge_id128 *lease, int64_t hold_us);
/* One change of a run that is held; CHANGE has no name. */
void change_held(const char *id, const struct kedge_change *change);
/* Give it a past: so many recoveries, and that status. */
void load(const char *id, uint32_t recoveries, uint32_t status);
/* Start it, and put it to rest. */
void rest(const char *id, uint32_t status, struct kedge_when expires);
int commit_in(void *in, const struct kedge_guard *guard, const struct kedge_change *change);
struct kedge_verified verify(void); /* all is sound, and so many runs and records there are */

/* -- handles with a table of the test's own -- */
const struct kedge_backend_ops *wrapped(void);
struct kedge_store *faulty(const struct kedge_backend_ops *table);

/* -- workers -- */
/* From that queue, in a thread of this process. */
struct kedge_worker *worker_in(const char *queue);
void kill_worker(pid_t pid);

void cases_sweep(void);
void cases_purge(void);

#endif
