/*
 * effects.h - worker processes of the tests of death: what each does goes into one file
 *
 * A worker process is this very program, executed anew (a store does not survive a fork), and is
 * known by a number that no other process of the test has, unlike its pid.  It appends lines of
 * one size, which divides a page: a kill can neither tear a line nor mix two.
 */
#ifndef KEDGE_TESTS_EFFECTS_H
#define KEDGE_TESTS_EFFECTS_H

#include <sys/types.h>

#include <kedge/kedge.h>

#define SECONDS INT64_C(1000000)

enum line_kind {
    LINE_BEGIN = 'B',     /* a step's function has been entered; its effect comes next */
    LINE_END = 'E',       /* its effect is there; what it says is not recorded yet */
    LINE_READY = 'P',     /* a worker is open */
    LINE_TAKEN = 'T',     /* it has claimed a run */
    LINE_LOST = 'L',      /* it has found that somebody else has the run */
    LINE_LEASE = 'X',     /* it has found its lease dead and has a new one */
    LINE_SAID = 'G',      /* ... and has logged it */
    LINE_BURIED = 'W',    /* it has buried worker `other' */
    LINE_RECOVERED = 'R', /* it has made a run due that a dead one held */
    LINE_KILL = 'K',      /* from the nemesis: worker `worker' is killed next, ... */
    LINE_DEAD = 'D',      /* ... is dead, ... */
    LINE_STOP = 'S',      /* ... stopped next, ... */
    LINE_CONT = 'C'       /* ... goes on next */
};

struct line {
    int64_t at; /* CLOCK_MONOTONIC, us: one clock for all processes */
    uint64_t fence;
    uint64_t key; /* hash of the idempotency key */
    int32_t kind;
    int32_t worker;
    int32_t pid;
    int32_t run;
    int32_t step;
    int32_t action;
    int32_t doubt;
    int32_t attempt;
    int32_t other;
    int32_t unused;
};
_Static_assert(4096 % sizeof(struct line) == 0, "a line lies in one page");

extern struct kedge_error err;

/* End the program unless RC is OK. */
void must(int rc, const char *what);
void bail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* The number that TEXT is, from 0 to MOST; else the program ends. */
int number_of(const char *text, int most);

int64_t now_us(void);
void nap_us(int64_t us);

/* Lines go to the file at PATH, as from worker WORKER (0: the test itself). */
void effects_open(const char *path, int worker);
void effects_write(struct line line);
/* What a step's view says: run, step, action, fence, ... */
struct line effects_of(const struct kedge_step *step, enum line_kind kind);

/* Read lines from where the last one was read.  Answers 0 when there is none yet. */
int effects_read(struct line *line);

/*
 * The value of a step: {"chaos":N,"fence":F,"step":S,"worker":W} in BUF, from a line; and from the
 * bytes of a record, whatever else is in them.  Answers 0 when there is none in it.
 */
const char *effects_value(const struct line *line, char *buf, size_t size);
int effects_find(struct kedge_bytes record, struct line *line);

/*
 * A worker's whole life, until SIGTERM: OPTIONS has everything but reactors, label and observer.
 * Does not return.
 */
void effects_serve(const char *url, const struct kedge_reactor *const *reactors, size_t n_reactors,
                   struct kedge_worker_options *options) __attribute__((noreturn));

/* Execute this program with ARGS (closed by NULL), args[0] is set here.  It dies with us. */
pid_t effects_spawn(char **args);

/* Is the lease of worker WORKER dead (KEDGE_LEASE_DEAD, or not there), by the store?  And its id.
 */
int effects_lease_dead(struct kedge_store *store, int worker, struct kedge_id128 *id);

/* Can the store be written to now?  No: somebody was stopped inside a write. */
int effects_writable(struct kedge_store *store);

#endif
