/* engine.h - workloads through the whole engine: the public API, one worker, sagas of many steps */
#ifndef KEDGE_BENCH_ENGINE_H
#define KEDGE_BENCH_ENGINE_H

#include "harness.h"

/* engine.c */
void workload_saga1(void);
void workload_saga64(void);
void workload_stepcost(void);
/* resume.c */
void workload_resume(void);
/* A run with so many finished steps; a side that takes it over again and again; read it back: how
   many steps are there, of those that are DONE. */
struct resume;
struct resume *resume_open(uint64_t steps);
void resume_take_overs(struct side *side, const struct limit *limit);
uint64_t resume_close(struct resume *resume, uint64_t *done);
/* parked.c */
void workload_parked(void);

#endif
