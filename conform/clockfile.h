/* clockfile.h - a clock that is a file: what clockshim.c shows to a server, and tests move */
#ifndef KEDGE_CONFORM_CLOCKFILE_H
#define KEDGE_CONFORM_CLOCKFILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* KEDGE_TEST_CLOCK names the file.  Zeroed, it is real time. */
struct clock_file {
    _Atomic int64_t at;    /* UTC in us; 0: real time */
    _Atomic int64_t since; /* CLOCK_MONOTONIC in us, when it was `at'; 0: it stands still */
    _Atomic int64_t begun; /* the tests': where the last one began */
    _Atomic int64_t slow;  /* it runs so many times slower than it should; 0: it does not */
};

/* In a test: the clock is UTC_US now, and runs.  false: KEDGE_TEST_CLOCK names no file. */
bool clock_file_run(int64_t utc_us);
/* It is real time again.  false: as above. */
bool clock_file_real(void);

#endif
