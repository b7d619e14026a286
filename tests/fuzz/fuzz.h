/*
 * fuzz.h - what a fuzz target is, and how it says that something must never be
 *
 * A target is one file with LLVMFuzzerTestOneInput().  libFuzzer calls it with inputs it makes up
 * (scripts/check-long.sh fuzz), replay.c with those of the corpus (replay.sh, in `make check').
 * It must not depend on anything but its input: the same bytes, the same verdict.
 */
#ifndef KEDGE_TESTS_FUZZ_H
#define KEDGE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: must be: %s\n", __FILE__, __LINE__, #cond);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
