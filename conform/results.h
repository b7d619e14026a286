/*
 * results.h - what came of the cases of one go, for those who report it
 *
 * The outcomes are five, and one more for what its user left out:
 *
 *   PASS          it holds
 *   FAIL          it does not
 *   NA            the backend does not promise it; that it says so is checked by another case
 *   SKIP          this machine cannot ask: no clock to move, no server to stop
 *   INCONCLUSIVE  it was asked, and there was no answer: the fault never struck, the search was
 *                 given up.  Never a pass.
 *   OPTED_OUT     left out by the file of opt-outs, with its reason
 */
#ifndef KEDGE_CONFORM_RESULTS_H
#define KEDGE_CONFORM_RESULTS_H

#include <sys/types.h>

#include "catalogue.h"
#include "needs.h"
#include "optout.h"

enum conform_outcome {
    CONFORM_PASS,
    CONFORM_FAIL,
    CONFORM_NA,
    CONFORM_SKIP,
    CONFORM_NO_VERDICT,
    CONFORM_OPTED_OUT,
    CONFORM_N_OUTCOMES
};

struct result {
    const struct catalogue_entry *entry;
    const struct opt_out *opted_out; /* NULL: no */
    uint64_t seed;
    char ns[64];
    pid_t pid;  /* 0: not started */
    FILE *said; /* what it printed */
    char *text; /* the same, once it has ended */
    char *why;  /* the last line of that, or what ended it */
    int64_t began_us;
    int64_t took_us;
    const struct need *missing; /* NA: what is not promised, where it is a thing of needs.h */
    enum conform_outcome outcome;
    bool done;
};

struct results {
    const struct conform_options *options;
    const char *backend; /* its name */
    char *url;           /* as the backend gets it */
    char *place;         /* the same before the server's address was put in; NULL: it was not */
    char *facts;         /* NAME\tVALUE lines: what the backend says of itself and its store */
    struct result *all;
    size_t n;
    size_t count[CONFORM_N_OUTCOMES];
    size_t overdue; /* cases that ran out of time */
    int64_t began;  /* UTC, s */
    int64_t took_us;
    bool interrupted;
};

const char *outcome_name(enum conform_outcome outcome);
/* The value of a fact, not NUL-terminated; NULL: it is not known. */
const char *results_fact(const struct results *r, const char *name, size_t *len);
/* The case that justifies one that does not apply; NULL: it was not run, or there is none. */
const struct result *results_twin(const struct results *r, const struct result *one);
/*
 * The highest tier all of whose cases, and of the tiers below it, were run without a failure and
 * without a missing verdict; -1: not even the first.  A case opted out of keeps its tier from
 * being reached, as does one that does not apply and whose twin did not pass.  Where nothing
 * outlives its process there is nothing to be said of crashes, so `concurrent' is the highest.
 */
int results_level(const struct results *r);
enum conform_exit results_exit(const struct results *r);

/* Reporters.  The first two print as it goes on. */
void tap_begin(const struct results *r);
void tap_result(const struct results *r, size_t number);
void tap_end(const struct results *r);
/* KEDGE_OK, or ERR_... with the file's name in ERR. */
int junit_write(const struct results *r, const char *path, struct kedge_error *err);
int cert_write(const struct results *r, const char *path, struct kedge_error *err);

#endif
