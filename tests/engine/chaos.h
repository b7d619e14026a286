/* chaos.h - the two halves of the chaos test: who makes the havoc, and who looks at what came of it
 */
#ifndef KEDGE_TESTS_CHAOS_H
#define KEDGE_TESTS_CHAOS_H

#include "effects.h"

enum { CHAOS_SHAPES = 3, CHAOS_STEPS = 8, CHAOS_WORKERS_MOST = 2000 };

/* What step STEP of shape SHAPE comes after: a bit for each. */
extern const uint32_t chaos_after[CHAOS_SHAPES][CHAOS_STEPS];

/* Shape of run RUN, and does its last step fail? */
static inline int chaos_shape(int run)
{
    return run % CHAOS_SHAPES;
}
static inline int chaos_fails(int run)
{
    return run % 5 == 4;
}

/* All that happened. */
struct chaos_log {
    struct line *lines;
    size_t n;
    size_t max;
};

/* Look at everything, print TAP from number FIRST on.  Answers how many tests failed, and *N. */
int chaos_check(struct kedge_store *store, const struct chaos_log *log, int runs, int first,
                int *n);

#endif
