/* takeover.h - what the observer of takeover.c and its worker processes share */
#ifndef KEDGE_TESTS_TAKEOVER_H
#define KEDGE_TESTS_TAKEOVER_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include <kedge/kedge.h>

#define SECONDS INT64_C(1000000)

enum { RUNS = 6, WORKERS = 2 };

/* Where a worker process is when it is killed. */
enum where {
    IN_STEP, /* in the function of a step, which takes 5 ms */
    IN_CALL, /* in a commit: sent, or about to be */
    IDLE     /* nowhere: its runs' steps have said that their outcome comes later */
};

/* What is written by an execution of a step, before its work.  Never across a page: a kill could
   tear it. */
struct line {
    int64_t at;
    int32_t run;
    int32_t step;
    int32_t pid;
    int32_t doubt;
    int64_t unused;
};
_Static_assert(4096 % sizeof(struct line) == 0, "a line lies in one page");

struct takeover {
    enum where where;
    const char *url;
    const char *ns; /* named after where: each has runs of its own in one store */
    char log_path[4096];
    int n_steps;
    /* In memory that all processes share: how many commits are under way in each. */
    atomic_int *calls; /* WORKERS of them */
};
extern struct takeover takeover;
extern struct kedge_error err;

void must(int rc, const char *what); /* or bail out */
int64_t now_us(void);
struct kedge_store *store_open(uint32_t flags);
/* Worker process number SLOT.  Forked before anything is opened: a store does not survive that. */
pid_t worker_spawn(int slot);

#endif
