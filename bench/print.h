/* print.h - results for people; and for programs, in JSON and as logs of histograms */
#ifndef KEDGE_BENCH_PRINT_H
#define KEDGE_BENCH_PRINT_H

#include "measure.h"

void print_head(const struct facts *tool, const struct facts *host);
void print_store(const struct store_facts *store);
void print_group(const struct workload *workload, unsigned clients, double rate);
void print_result(const struct result *r);
void print_warnings(void);

/* All of it; a file that cannot be written ends the program. */
struct report {
    struct facts tool;
    struct facts host;
    struct store_facts stores[16];
    size_t n_stores;
    struct result *results;
    size_t n_results;
};
void results_write(const struct report *report, const char *path);
void logs_write(const struct report *report, const char *dir);

#endif
