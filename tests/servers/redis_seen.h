/*
 * redis_seen.h - what a Redis server has seen so far, asked of it beside the test
 *
 * KEDGE_TEST_SOCKET names its socket, KEDGE_TEST_FLUSHES the file that its flushes are counted in
 * (tests/support/flushshim.c).
 */
#ifndef KEDGE_TESTS_SERVERS_REDIS_SEEN_H
#define KEDGE_TESTS_SERVERS_REDIS_SEEN_H

#include <stdint.h>

struct seen {
    uint64_t reads;   /* of sockets that brought something */
    uint64_t writes;  /* of answers to sockets */
    uint64_t flushes; /* to the disk */
    uint64_t log;     /* bytes of its append-only file */
    char text[65536]; /* INFO */
};

/* Ends the program, with a line of TAP, where there is no answer. */
void seen_take(struct seen *s);
/* How often this command was called between two looks, also by scripts. */
uint64_t seen_calls(const struct seen *before, const struct seen *after, const char *command);
/* A command that was called meanwhile and is none of NAMES, which are in blanks; NULL: there is
   none.  The name is good until the next call. */
const char *seen_other(const struct seen *before, const struct seen *after, const char *names);
/* Round trips: what came and went but for the looks. */
uint64_t seen_reads(const struct seen *before, const struct seen *after);
uint64_t seen_writes(const struct seen *before, const struct seen *after);

#endif
