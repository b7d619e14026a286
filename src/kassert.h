/*
 * kassert.h - for mistakes of our own: on in every build, whatever NDEBUG says
 *
 * Never for what an application passes in, for I/O, or for bytes that were stored.
 */
#ifndef KEDGE_SRC_KASSERT_H
#define KEDGE_SRC_KASSERT_H

#include <stdio.h>
#include <stdlib.h>

#define KEDGE_ASSERT(cond)                                                                         \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)fprintf(stderr, "kedge: %s:%d: %s: '%s' does not hold\n", __FILE__, __LINE__,    \
                          __func__, #cond);                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
