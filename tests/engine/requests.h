/*
 * requests.h - what the tests of requests and of inspection share: reactors, workers, deaths, and
 * what came of it; main() is here as well
 *
 * Steps are named by a letter and do what the test says at that moment.  Each call of a step's
 * function goes to a file that worker processes share (effects()), each record of a run can be told
 * (story()).
 */
#ifndef KEDGE_TESTS_REQUESTS_H
#define KEDGE_TESTS_REQUESTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <kedge/backend.h>
#include <kedge/kedge.h>
#include <kedge/testing.h>

#include "src/record.h"

#define SECONDS  INT64_C(1000000)
#define PATIENCE (60 * SECONDS)
#define HOUR     (3600 * SECONDS)

/* What a step does, by its letter. */
struct behaviour {
    atomic_int hold; /* its run waits until this is 0 ... */
    atomic_int
        heeds; /* ... or until it is told to stop, and fails then: 1 polls, 2 by descriptor */
    atomic_int later; /* it says kedge_later() and the test settles it */
    atomic_int fails; /* so many runs of it fail; < 0: all.  For good, unless the policy says */
    atomic_int undo_fails;
    atomic_int undo_hold;
    atomic_int compensate_fails;
    atomic_int halts;
    atomic_int skips;
    atomic_int began; /* runs, so far, in this process */
    atomic_int stopped;
    _Atomic uint64_t token;
};
extern struct behaviour acts[26];
#define ACT(letter) (&acts[(letter) - 'a'])
void acts_reset(void);

extern struct kedge_store *store;
extern struct kedge_error err;
extern const char *url;
extern bool shared; /* processes share it */
extern bool hinted; /* it knows when the process of a worker is gone */

/* -- the program -- */
struct test_case {
    const char *name; /* NULL: that was the last */
    void (*run)(void);
};
extern const struct test_case test_cases[];
/* What it does in another process than the test's (spawn()): its exit code; -1: no such mode. */
int other_process(const char *mode, char **args);

/*
 * The store's clock goes ahead of the system's by so much: for this process, or where it is a
 * server's, for all.  false: it cannot, and is said to be skipped.
 */
bool clock_go_ahead(int64_t us, const char *for_what);

/* -- TAP -- */
void ok(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
void skip(const char *what, const char *why);
void bail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void must(int rc, const char *what);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Wait for a condition; the test ends if it does not come. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        int64_t until_ = clock_us() + PATIENCE;                                                    \
        while (!(condition)) {                                                                     \
            if (clock_us() > until_)                                                               \
                bail("%s:%d: waited in vain for: %s", __FILE__, __LINE__, #condition);             \
            nap_us(500);                                                                           \
        }                                                                                          \
    } while (0)
int64_t clock_us(void);
void nap_us(int64_t us);

/* -- runs -- */
/* Start one of REACTOR under a new id, which is answered, in DELAY_US. */
const char *begin(const char *reactor, int64_t delay_us);
uint32_t place_of(const char *id);
uint32_t status_of(const char *id);
struct kedge_run_info *info_of(const char *id); /* with its result; freed by the caller */
uint32_t wait_for(const char *id);              /* until it is at rest: its status */
bool ended_with(const char *id, uint32_t status, const char *error, const char *step);

/* "+a +b! ?b! -a": runs, compensates, undos, and which were in doubt, as they came. */
const char *effects(const char *id);
bool did(const char *id, const char *expected); /* says what it did if it is something else */
/* Did the calls of ACTION ('+', '?', '-') of STEP have one key (1), or each another (N)? */
int keys_of(const char *id, char action, char step);
/* "begin done:a cancel[who|why] undone:a end:cancelled". */
const char *story(const char *id);
bool told(const char *id, const char *expected);

/* -- requests -- */
extern struct kedge_requested out;
int ask(const char *id, uint32_t verb);
int ask_step(const char *id, uint32_t verb, const char *step);
/* Ask, and say whether all is as expected; PENDING < 0: not asked about. */
void asked(const char *id, uint32_t verb, int rc, uint32_t status, int pending, const char *what);

/* -- workers -- */
struct crew {
    struct kedge_worker *worker;
    pthread_t thread;
};
extern int64_t look_us; /* how often those look who are hired from now on */
/* A worker in a thread, with these options. */
void hire_with(struct crew *crew, struct kedge_store *in,
               const struct kedge_worker_options *options);
/* For the reactors with these names (NULL: all but "bystander"). */
void hire(struct crew *crew, const char *reactor);
void hire_in(struct crew *crew, struct kedge_store *in, const char *reactor);
void dismiss(struct crew *crew);
/* One whose store may go away (fault_kill()); its lease is short. */
void hire_mortal(struct crew *crew, struct kedge_store *mortal);
void dismiss_mortal(struct crew *crew);
/* This program in another process: MODE, the store, and two words.  LMDB only. */
pid_t spawn(const char *mode, const char *first, const char *second);
/* In that process: open the store, and write to the trail that the test reads. */
void join_test(const char *store_url, const char *trail);
const char *trail(void);
/* A worker takes the runs that are due and dies while STEP of ID is in flight. */
void die_in(const char *id, char step, bool undo);
/* ... and is buried; ID is due, and not claimed. */
void buried(const char *id);
/* The run kills whoever takes it, until nobody makes it due any more. */
void crash(const char *id, char step, bool undo, int times);
/* It is declared dead, and nobody looks after its run. */
void bury_only(const char *id);
const struct kedge_reactor *reactor_of(const char *name);
/* The functions of all their steps. */
int run_step(struct kedge_step *step, void *user);
int undo_step(struct kedge_step *step, void *user);
int compensate_step(struct kedge_step *step, void *user);

/* -- below the engine -- */
/* A commit of CHANGES to ID, which nobody holds; under this request id, if that is not zero. */
extern struct kedge_id128 request_raw;
void commit_raw(const char *id, struct kedge_change *changes, size_t n);
void *session_of(void);
/* Append REC, or BYTES, to the journal of ID, which is due, and leave it due in DUE_IN_US. */
void append_raw(const char *id, struct kedge_bytes bytes, int64_t due_in_us);
void append(const char *id, const struct kedge_rec *rec, int64_t due_in_us);
/* Is that record NUMBER of ID, byte for byte? */
bool record_is(const char *id, uint64_t number, struct kedge_bytes bytes);
/* A second handle on the store, whose calls can be made to fail (fault_backend.h); one at a time.
 */
struct kedge_store *faulty_open(struct kedge_store **below);
void faulty_close(struct kedge_store *faulty, struct kedge_store *below);

/* -- the cases of requests.c and its parts -- */
int ask_once(char **args); /* what --ask does */
void cases_unheld(void);
void cases_held(void);
void cases_dead(void);
void cases_rest(void);
void cases_stuck(void);
void cases_loops(void);
void cases_aside(void);
void cases_served(void);
void cases_races(void);
void cases_unknown(void);

#endif
