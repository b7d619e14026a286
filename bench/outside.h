/* outside.h - workloads that are about what a server does, by its own counters */
#ifndef KEDGE_BENCH_OUTSIDE_H
#define KEDGE_BENCH_OUTSIDE_H

#include "bare.h"
#include "harness.h"

/* A connection of its own to the server at opt.store, for its counters.  NULL: there is no server.
   STRICT: one that is less durable than the others will not do. */
const struct meter *outside_open(const struct bare_kind *kind, bool strict);
void outside_close(void);

/* All counters, by that connection; what is counted has been closed. */
struct server_counts counts_now(void);
/* What happened between two looks, without what a look itself is counted as. */
struct happened {
    double log_bytes;
    double commands;
    double round_trips;
    double flushes;
    double changes;
};
struct happened since(const struct server_counts *before);
/* Does it flush before it answers, so that its flushes can be told? */
bool outside_flushes_all(void);
/* What its processes have in memory; -1: they cannot be seen from here. */
int64_t outside_memory_kib(void);

void workload_bare(void);
void workload_counts(void);
void workload_idle(void);

#endif
