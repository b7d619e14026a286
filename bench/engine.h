/* engine.h - workloads through the whole engine: the public API, one worker, sagas of many steps */
#ifndef KEDGE_BENCH_ENGINE_H
#define KEDGE_BENCH_ENGINE_H

/* engine.c */
void workload_saga1(void);
void workload_saga64(void);
void workload_stepcost(void);
/* resume.c */
void workload_resume(void);
/* parked.c */
void workload_parked(void);

#endif
