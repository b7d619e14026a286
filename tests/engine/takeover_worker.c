/* takeover_worker.c - a worker process of takeover.c, until it is killed or told to end */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <kedge/backend.h>

#include "../support/fault_store.h"
#include "src/registry.h"
#include "takeover.h"

enum { STEP_MS = 5, LATER_MS = 150 };

static int log_fd;
static int my_slot;
static struct kedge_worker *the_worker;
static const struct kedge_backend_ops *inner;

/* ---------------------------------------------------------- outcomes that come later */

/* A run has one step at a time: room for all of them, in the order in which they are due. */
static struct {
    uint64_t token;
    int64_t due;
} later[4 * RUNS];
static size_t later_first;
static size_t later_n;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;

static void *settle(void *arg)
{
    struct kedge_outcome outcome = { .struct_size = sizeof outcome, .kind = KEDGE_OUTCOME_OK };

    (void)pthread_mutex_lock(&lock);
    for (;;) {
        int64_t left;
        struct timespec nap;
        uint64_t token;

        while (later_n == 0)
            (void)pthread_cond_wait(&more, &lock);
        token = later[later_first].token;
        left = later[later_first].due - now_us();
        later_first = (later_first + 1) % (4 * RUNS);
        later_n--;
        (void)pthread_mutex_unlock(&lock);
        nap = (struct timespec){ 0, left > 0 ? left * 1000 : 0 };
        (void)nanosleep(&nap, NULL);
        (void)kedge_settle(the_worker, token, &outcome, NULL);
        (void)pthread_mutex_lock(&lock);
    }
    return arg;
}

static int settle_later(struct kedge_step *step)
{
    uint64_t token;
    int rc = kedge_later(step, &token);

    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&lock);
    later[(later_first + later_n) % (4 * RUNS)].token = token;
    later[(later_first + later_n) % (4 * RUNS)].due = now_us() + LATER_MS * 1000;
    later_n++;
    (void)pthread_cond_signal(&more);
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

/* -------------------------------------------------------------------------- steps */

static int work(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);
    struct timespec nap = { 0, STEP_MS * 1000000L };
    struct line line = { .at = now_us(),
                         .step = (int32_t)strtol(view->step + 1, NULL, 10),
                         .pid = (int32_t)getpid(),
                         .doubt = (int32_t)view->flags };
    int64_t run;

    (void)user;
    if (kedge_json_int64(view->input.data, view->input.len, "", &run, NULL) != KEDGE_OK)
        return kedge_fail(step, KEDGE_FAIL_FINAL, "whose run is it?");
    line.run = (int32_t)run;
    if (write(log_fd, &line, sizeof line) != sizeof line)
        return kedge_fail(step, 0, "cannot log");
    if (takeover.where == IDLE)
        return settle_later(step);
    (void)nanosleep(&nap, NULL); /* the step's work */
    return kedge_ok(step, NULL, 0);
}

static struct kedge_reactor *make_reactor(void)
{
    size_t n = (size_t)takeover.n_steps;
    struct kedge_step_def *steps = calloc(n, sizeof *steps);
    struct kedge_reactor_def def = { sizeof def, "takeover",    1,    0,   steps,
                                     n,          sizeof *steps, NULL, NULL };
    char(*names)[16] = calloc(n, sizeof *names);
    const char *(*after)[2] = calloc(n, sizeof *after);
    struct kedge_reactor *reactor;

    if (steps == NULL || names == NULL || after == NULL)
        exit(99);
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(names[i], sizeof names[i], "s%u", i);
        steps[i].name = names[i];
        steps[i].run = work;
        steps[i].flags = takeover.where == IDLE ? 0 : KEDGE_STEP_POOL;
        if (i > 0) {
            after[i][0] = names[i - 1];
            steps[i].after = after[i];
        }
    }
    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    free(steps);
    free(names);
    free(after);
    return reactor;
}

/* ------------------------------------------------------------------------ process */

/* The store's own commit; whoever looks can see that it is under way. */
static int seen_commit(void *session, const struct kedge_commit *commits, size_t n,
                       struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *why)
{
    int rc;

    (void)atomic_fetch_add(&takeover.calls[my_slot], 1);
    rc = inner->commit(session, commits, n, answers, timeout_us, why);
    (void)atomic_fetch_sub(&takeover.calls[my_slot], 1);
    return rc;
}

static struct kedge_store *store_seen(struct kedge_store **below)
{
    struct kedge_backend_ops ops;
    struct kedge_store *store;
    char name[KEDGE_REGISTRY_NAME_MAX + 1];
    const char *base;

    if (kedge_registry_scheme(takeover.url, name, &base) == 0)
        must(KEDGE_ERR_INVALID, takeover.url);
    must(kedge_backend_find(name, &inner, &err), "backend");
    *below = store_open(0);
    ops = *inner;
    ops.commit = seen_commit;
    store = fault_store(*below, &ops, &err);
    must(store != NULL ? KEDGE_OK : KEDGE_ERR_INVALID, "a handle on the store");
    return store;
}

static void on_term(int sig)
{
    (void)sig;
    /* NOLINTNEXTLINE(bugprone-signal-handler,cert-sig30-c): documented as safe here */
    kedge_worker_stop(the_worker);
}

pid_t worker_spawn(int slot)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactor;
    struct kedge_store *below;
    struct kedge_store *store;
    pthread_t thread;
    pid_t pid;

    atomic_store(&takeover.calls[slot], 0);
    pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever ends the test */
    my_slot = slot;
    log_fd = open(takeover.log_path, O_WRONLY | O_APPEND | O_CLOEXEC);
    reactor = make_reactor();
    store = store_seen(&below);
    options.reactors = &reactor;
    options.n_reactors = 1;
    options.claim_slice = 2;
    options.crash_limit = 1000; /* a step that takes long may be hit several times */
    must(kedge_worker_open(store, &options, &the_worker, &err), "worker");
    if (takeover.where == IDLE && pthread_create(&thread, NULL, settle, NULL) != 0)
        exit(99);
    (void)signal(SIGTERM, on_term);
    must(kedge_worker_run(the_worker, &err), "run");
    kedge_worker_close(the_worker, SECONDS);
    kedge_store_close(store);
    kedge_store_close(below);
    _exit(0);
}
