/*
 * badinput.h - what an application does wrong, seen from its side of the public headers
 *
 * Each refusal is one sentence that names the thing, and changes nothing; each misbehaving step
 * ends its run as the headers say, and what was acknowledged before is there.
 */
#ifndef KEDGE_TESTS_BADINPUT_H
#define KEDGE_TESTS_BADINPUT_H

#include <kedge/backend.h>

#include "tests/support/saga.h"

#define MIB        ((size_t)1 << 20)
#define COUNT(a)   (sizeof(a) / sizeof *(a))
#define CHILD_ENDS 60 /* seconds: a bound for a child that hangs */

/* Is RC the refusal WANT, told in one sentence with both words?  Then `err' is empty again. */
void refused(int rc, int want, const char *word, const char *other, const char *what);

/* The last thing that was logged has both words. */
bool logged(const char *word, const char *other);
void forget_log(void);

/* Call FN in a child, which may not print; false: it answered false, hung or died. */
bool in_child(bool (*fn)(void *arg), void *arg);

/* JSON: a string of LEN bytes, quotes and all; freed by the caller. */
char *long_string(size_t len);

/* The store still takes a run, and a worker completes it. */
void still_works(const char *what);

/* Start a run of one step called a, and wait for its end. */
struct kedge_run_info *run_step(const char *id, kedge_step_fn *run, void *user, uint32_t flags);

bool ends_as(const struct kedge_run_info *info, uint32_t status, const char *error);

void bad_values(void);
void bad_names(void);
void bad_calls(void);
void bad_steps(void);
void after_fork(void);

#endif
