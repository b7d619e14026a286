/*
 * steps.c - runs carried by one worker, for scripts that look at the server of their store
 *
 *	./steps URL RUNS STEPS
 *
 * All of them are in flight at once; they have ended when this does, and no session is left.
 */
#include <unistd.h>

#include "tests/support/saga.h"

enum { RUNS_MOST = 256 };
static long n_runs;
static long n_steps;

static int say_null(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, NULL, 0);
}

static void start_all(const char *reactor)
{
    static struct kedge_run_start all[RUNS_MOST];
    static char ids[RUNS_MOST][48];
    int outcomes[RUNS_MOST];

    for (long i = 0; i < n_runs; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "%d-%ld", (int)getpid(), i);
        all[i] = (struct kedge_run_start)KEDGE_START_INIT;
        all[i].reactor = reactor;
        all[i].version = 1;
        all[i].id = kedge_text(ids[i]);
    }
    must(kedge_start_many(store, all, (size_t)n_runs, sizeof *all, outcomes, LIVENESS, &err),
         "start");
    for (long i = 0; i < n_runs; i++)
        must(outcomes[i], "start");
    for (long i = 0; i < n_runs; i++) {
        struct kedge_run_info *info = run_await(ids[i]);

        if (info->status != KEDGE_COMPLETED)
            must(KEDGE_QUIET, ids[i]);
        kedge_run_info_free(info);
    }
}

static void all(void)
{
    static char reactor[32]; /* what is started keeps its name */
    struct kedge_reactor_def def = { .struct_size = sizeof def,
                                     .name = reactor,
                                     .version = 1,
                                     .steps = chain((size_t)n_steps, say_null, 0),
                                     .n_steps = (size_t)n_steps,
                                     .step_size = sizeof(struct kedge_step_def) };
    struct kedge_worker *worker;
    pthread_t thread;

    (void)snprintf(reactor, sizeof reactor, "steps-%ld", n_steps);
    worker = worker_open(&def, NULL);
    thread = worker_start(worker);
    start_all(reactor);
    worker_join(worker, thread);
}

int main(int argc, char **argv)
{
    n_runs = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    n_steps = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    if (n_runs < 1 || n_runs > RUNS_MOST || n_steps < 1 || n_steps > CHAIN_MOST) {
        (void)fputs("usage: steps URL RUNS STEPS\n", stderr);
        return 2;
    }
    return saga_main(2, argv, NULL, all);
}
