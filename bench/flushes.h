/* flushes.h - what this process itself makes durable: how often it flushes, and what it writes */
#ifndef KEDGE_BENCH_FLUSHES_H
#define KEDGE_BENCH_FLUSHES_H

#include <stdbool.h>
#include <stdint.h>

struct flushed {
    uint64_t flushes; /* calls that come back when the disk has it: fsync and its like, and writes
                         to files that were opened with O_SYNC or O_DSYNC */
    uint64_t bytes;   /* written to files */
};

/* Begin anew.  False: they cannot be counted here. */
bool flushes_count(void);
struct flushed flushes_end(void);

#endif
