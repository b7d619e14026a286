/* population.h - ten expired runs among many healthy ones */
#ifndef KEDGE_BENCH_POPULATION_H
#define KEDGE_BENCH_POPULATION_H

#include "harness.h"
#include "subject.h"

#define EXPIRED_N 10

struct population {
    struct subject subject;
    struct user user;
};

/* N healthy runs (held, held with a bound, due later: a third each) and ten that are not. */
void population_build(struct population *p, const char *url, const char *ns, uint64_t n);
/* Until the short lease has lapsed. */
void population_wait(struct population *p);
void population_close(struct population *p);
/* A side: whole scans of what has expired. */
void population_scans(struct side *side, const struct limit *limit);

#endif
