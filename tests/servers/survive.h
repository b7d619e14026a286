/* survive.h - the two halves of the test of trouble: who goes through it, and who looks at it */
#ifndef KEDGE_TESTS_SURVIVE_H
#define KEDGE_TESTS_SURVIVE_H

#include "../engine/effects.h"

/* Numbers of runs: long ones, short ones that are started all the time, and some for the end. */
enum { SHORT_FIRST = 1000, LAST_FIRST = 100000, LINES_MOST = 400000 };

struct survive_log {
    const struct line *lines;
    size_t n;
    size_t finished; /* lines before which runs 0 .. n_finished - 1 had come to their end */
    int n_finished;
    size_t before; /* lines that were there before the trouble */
    size_t after;  /* lines that were there when all runs had ended */
};

/* Has it to be so? */
struct survive_rules {
    int once;    /* no worker is buried: each step runs once */
    int forgets; /* the store may lose what it has acknowledged */
};

/* A line of TAP. */
void verdict(int good, const char *what);

/* What the lines say. */
void survive_check(const struct survive_log *log, const struct survive_rules *rules);
/* What the journal of RUN says: a record for each of STEPS steps, made by an execution that the
   lines know, under the last fence the step ran under.  Answers how much is wrong. */
int survive_journal(struct kedge_store *store, const struct survive_log *log, int run, int steps);

#endif
