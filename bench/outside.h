/* outside.h - workloads that are about what a server does, by its own counters */
#ifndef KEDGE_BENCH_OUTSIDE_H
#define KEDGE_BENCH_OUTSIDE_H

#include "bare.h"
#include "harness.h"

/* A connection of its own to the server at opt.store, for its counters.  NULL: there is no server.
 */
const struct meter *outside_open(const struct bare_kind *kind);
void outside_close(void);

void workload_bare(void);
void workload_counts(void);
void workload_idle(void);

#endif
