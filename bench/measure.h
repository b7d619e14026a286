/* measure.h - one workload on one store with so many clients, again and again: a result */
#ifndef KEDGE_BENCH_MEASURE_H
#define KEDGE_BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "facts.h"
#include "workload.h"

/* What is not known is negative. */
struct repeat {
    uint64_t ops;
    int64_t ns;
    double rate;
    double ceiling; /* of the bare client, in the same time */
    double p50_us;
    double p99_us;
    double max_us;
    double service_max_us;
    char *histogram; /* in HdrHistogram's text; at a fixed rate from the intended start */
    char *service;   /* at a fixed rate: from when the call began; else NULL */
};

struct result {
    const struct store_facts *store;
    const struct workload *workload;
    unsigned clients;
    double wanted; /* rate; 0: as fast as it goes */
    struct repeat *repeats;
    size_t n;
    struct spread rate;
    struct spread ceiling;
    struct spread ratio; /* of each repeat */
    double ceiling_p50_us;
    struct samples latency;
    struct samples service;
    bool reached;
    int64_t lag_ns;
    double cpu_us; /* an operation: ours, the server's */
    double server_us;
    double flushes; /* and what is written, an operation */
    double bytes;
    double peak_kib; /* of this process */
    double server_kib;
    const char *what; /* was read back */
    uint64_t written;
    uint64_t readable;
};

bool has_ceiling(const struct result *r);
/* Of what was acknowledged: not there; there beyond that. */
uint64_t result_lost(const struct result *r);
uint64_t result_twice(const struct result *r);
void measure(struct result *result, const struct store_facts *store,
             const struct workload *workload, unsigned clients, double rate);

#endif
