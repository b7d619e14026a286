/*
 * settings.h - what a command line of kedge-bench asks for
 *
 * The words come from `kedge bench', which knows what options there are: --NAME=VALUE, then -- and
 * the words proper.  Values are checked here; what is wrong is told in one sentence, exit status 2.
 */
#ifndef KEDGE_BENCH_SETTINGS_H
#define KEDGE_BENCH_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workload.h"

#define MOST_STORES 16
#define MOST_OF     16 /* of whatever else is a list */

enum status {
    STATUS_FAILURE = 1,
    STATUS_USAGE = 2,
    STATUS_NOT_FOUND = 3,
    STATUS_STATE = 4,
    STATUS_UNREACHABLE = 5,
    STATUS_REGRESSION = 8,
    STATUS_PERMISSION = 9,
    STATUS_INTERRUPTED = 130
};

struct settings {
    const char *verb;
    const char *stores[MOST_STORES];
    size_t n_stores;
    const struct workload *workloads[MOST_OF];
    size_t n_workloads;
    unsigned clients[MOST_OF];
    size_t n_clients;
    double rates[MOST_OF]; /* 0: as fast as it goes */
    size_t n_rates;
    double percentiles[MOST_OF];
    size_t n_percentiles;
    unsigned threads; /* 0: not said */
    bool pool;
    uint32_t steps;
    uint64_t among;
    double warmup_s;
    double time_s;
    unsigned repeat;
    uint64_t seed;
    bool ceiling;
    const char *json;
    const char *hdr;
    double progress_s; /* 0: none */
    double fail_above;
    char *const *words;
    size_t n_words;
};
extern struct settings settings;

void settings_read(int argc, char **argv);

/* "kedge bench VERB: MESSAGE; see kedge help bench VERB", exit status 2. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2), noreturn))
#endif
void refuse(const char *fmt, ...);

#endif
