/* compare.h - two files of results: is the second one slower? */
#ifndef KEDGE_BENCH_COMPARE_H
#define KEDGE_BENCH_COMPARE_H

/* Prints a line for each result that is in both; the exit status. */
int compare(const char *before, const char *after, double fail_above);

#endif
