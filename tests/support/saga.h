/*
 * saga.h - what the tests of whole sagas share: TAP, a store, workers, starts, waits
 *
 * A program tries one store after the other:
 *
 *	./behave mem: lmdb:/tmp/x
 */
#ifndef KEDGE_TESTS_SAGA_H
#define KEDGE_TESTS_SAGA_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/kedge.h>

#define SECONDS  INT64_C(1000000)
#define LIVENESS (60 * SECONDS) /* longer than anything takes: a bound for what hangs */
#define A_MOMENT (SECONDS / 20) /* long enough for one look at a store */

extern struct kedge_error err;
extern struct kedge_store *store; /* the one under test */
extern const char *store_url;

void ok(int good, const char *what);
void skip(const char *what, const char *why);
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void must(int rc, const char *what); /* or bail out */

/* Open each store, call ALL, close it; the program's exit status.  HOST may be NULL. */
int saga_main(int argc, char **argv, const struct kedge_host *host, void (*all)(void));

/* A worker for one definition.  OPTIONS (may be NULL) has no reactors. */
struct kedge_worker *worker_open(const struct kedge_reactor_def *def,
                                 const struct kedge_worker_options *options);
struct kedge_counts worker_counts(const struct kedge_worker *worker);
/* A thread that is in kedge_worker_run(), and its end. */
pthread_t worker_start(struct kedge_worker *worker);
void worker_join(struct kedge_worker *worker, pthread_t thread);

void run_start(const char *reactor, const char *id);
struct kedge_run_info *run_await(const char *id);
/* Drain until it is at rest, however often it is due later. */
struct kedge_run_info *run_drain(struct kedge_worker *worker, const char *id);
/* Open a worker, start a run called as its reactor, drain it, close. */
struct kedge_run_info *run_alone(const struct kedge_reactor_def *def);
bool is(struct kedge_bytes bytes, const char *text);
/* Does the store tell of news?  Workers on one that does not look every now and then. */
bool tells(void);

/* A moment between two looks at something that is awaited. */
void nap(void);
/* Until it holds; a bound for what hangs, then the program ends. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        int64_t waited_ = 0;                                                                       \
        for (; !(condition) && waited_ < LIVENESS; waited_ += 1000)                                \
            nap();                                                                                 \
        if (waited_ >= LIVENESS)                                                                   \
            must(KEDGE_QUIET, #condition);                                                         \
    } while (0)

/* This program again, with MODE, the store's URL and WORD, as a store does not survive a fork.  It
   dies with us. */
pid_t spawn(const char *mode, const char *word);

/* Wait until *FLAG is at least N; false: it never was. */
bool await_count(atomic_int *flag, int n);

/* Steps that are called s0, s1, ...; each comes after the one before it. */
#define CHAIN_MOST 1024
const struct kedge_step_def *chain(size_t n, kedge_step_fn *run, uint32_t flags);

#endif
