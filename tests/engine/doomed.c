/*
 * doomed.c - sagas whose workers die at every store call there is, one after the other
 *
 * For each writing call K of a worker, before and after its effect: a worker that dies there, then
 * another that ends what the first has left; or a client that dies while it starts runs.  On a
 * store that processes share, the dead is a process and dies by SIGKILL; or it is cut off, and
 * killed when it has done what it still could.  In memory all are cut off, under a clock that is
 * moved by hand.  The model judges what was left and what came of it.  Speaks TAP.
 *
 *	./doomed URL [SAGA [K]]
 *
 * {} in URL stands for the name of one store; every point has its own.  A server has six, called 0
 * to 5, one for each process that tries the points, and each point finds it empty.  K is for the
 * sagas that are listed in doomed_sagas.c; those that are made in doomed_asked.c are tried as a
 * whole.
 */
#include "doomed_kit.h"

#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <kedge/backend.h>
#include <kedge/kedge.h>
#include <kedge/testing.h>

enum { CALLS_MOST = 500, WATCHDOG_S = 120, FAULTS_TOLD = 5, CREW = 6 };
/* So many store calls apart the points are, when there is less time: a store of a server is made
   more slowly. */
enum { STRIDE = 3, STRIDE_SERVED = 12 };

static const char *url_pattern;
static char url[4096];
static const struct kedge_backend_ops *backend;
int shared;        /* the dead are processes */
static int served; /* by a server, whose stores are made before */
static int crew = 1;
static int mine;   /* which of the crew this is */
static int slowly; /* this one is cut off first */
static struct kedge_testing *memory;
static struct kedge_error err;
struct history h;
static int64_t look_us; /* in memory time is moved by hand */
static int n_tests;
static int n_failed;

void must(int rc, const char *what)
{
    if (rc == KEDGE_OK)
        return;
    printf("Bail out! %s: %s: %s\n", what, kedge_status_name(rc), rc < 0 ? err.msg : "");
    (void)fflush(stdout);
    _exit(99);
}

static int64_t wall(void)
{
    const struct kedge_host *host = kedge_host_default();

    return shared ? host->clock_us(host->ctx, KEDGE_CLOCK_WALL) : kedge_testing_now(memory);
}

/* ------------------------------------------------------------------ stores */

/* A store of its own for the next point. */
void store_new(void)
{
    static int n;
    const char *hole = strstr(url_pattern, "{}");
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_store *store;
    char name[64];

    (void)alarm(WATCHDOG_S);
    effects_forget();
    memset(&h, 0, sizeof h);
    if (!shared) {
        must(kedge_testing_open(NULL, &memory, &err), "testing");
        return;
    }
    if (served)
        (void)snprintf(name, sizeof name, "%d", mine);
    else
        (void)snprintf(name, sizeof name, "doomed-%ld-%d", (long)getpid(), n++);
    (void)snprintf(url, sizeof url, "%.*s%s%s", (int)(hole - url_pattern), url_pattern, name,
                   hole + 2);
    options.flags = KEDGE_STORE_CREATE;
    must(kedge_store_open(url, &options, &store, &err), "create");
    kedge_store_close(store);
}

void store_drop(void)
{
    static const struct timespec a_moment = { 0, 1000000 };
    struct kedge_open open = { .struct_size = sizeof open, .url = url };
    int rc;

    if (!shared) {
        kedge_testing_close(memory);
        return;
    }
    open.ns = kedge_text("default");
    /* Who was killed has it open until the server has seen that. */
    while ((rc = backend->store_drop(kedge_host_default(), &open, &err)) == KEDGE_HELD && served)
        (void)nanosleep(&a_moment, NULL);
    must(rc, "drop");
}

struct kedge_store *store_open(void)
{
    struct kedge_store *store;

    must(shared ? kedge_store_open(url, NULL, &store, &err)
                : kedge_testing_store(memory, &store, &err),
         "open");
    return store;
}

/* ------------------------------------------------------------------- starts */

static void make_start(struct kedge_run_start *start, int run, char id[16], char input[16])
{
    saga_run_id(run, id);
    (void)snprintf(input, 16, "%d", run);
    *start = (struct kedge_run_start)KEDGE_START_INIT;
    start->reactor = "doomed";
    start->version = 1;
    start->id = kedge_text(id);
    start->input = kedge_text(input);
}

int start_runs(struct kedge_store *store, int n, int *outcomes)
{
    struct kedge_run_start *starts = calloc((size_t)n, sizeof *starts);
    char(*texts)[2][16] = calloc((size_t)n, sizeof *texts);
    int rc;

    if (starts == NULL || texts == NULL)
        abort();
    for (int i = 0; i < n; i++)
        make_start(&starts[i], i, texts[i][0], texts[i][1]);
    if (n == 1) {
        rc = outcomes[0] = kedge_start(store, starts, 10 * SECONDS, &err);
        rc = rc == KEDGE_EXISTS ? KEDGE_OK : rc;
    } else {
        rc = kedge_start_many(store, starts, (size_t)n, sizeof *starts, outcomes, 10 * SECONDS,
                              &err);
    }
    free(starts);
    free(texts);
    return rc;
}

/* ---------------------------------------------------------------- requests */

int ask(struct kedge_store *store, int run, uint32_t verb)
{
    struct kedge_request request = KEDGE_REQUEST_INIT;
    char id[16];

    saga_run_id(run, id);
    request.verb = verb;
    request.run = kedge_text(id);
    request.who = "doomed";
    request.why = ASKED_WHY;
    return kedge_run_request(store, &request, NULL, 10 * SECONDS, &err);
}

/* From a step: as another process would. */
static int ask_aside(int run, uint32_t verb)
{
    struct kedge_store *store = store_open();
    int rc = ask(store, run, verb);

    kedge_store_close(store);
    return rc;
}

static struct kedge_store *the_worked; /* the store of the present worker */

static int cut_off(void)
{
    return the_worked != NULL && kedge_testing_dead(the_worked);
}

/* --------------------------------------------------------------- a worker */

struct watch {
    struct kedge_worker *worker;
    const struct saga *saga;
    atomic_int parked; /* somebody has to resume it */
    atomic_int left;   /* runs that are not at rest */
    int n_runs;
};

static void on_event(void *ctx, const struct kedge_event *event)
{
    struct watch *watch = ctx;

    if (event->kind == KEDGE_EVENT_RUN_RECOVERED && saga_run_number(event->run) < RUNS_MOST)
        h.recovered[saga_run_number(event->run)]++;
    if (event->kind == KEDGE_EVENT_RUN_LEFT && event->us < 0 &&
        watch->saga->verb == KEDGE_VERB_PAUSE)
        watch->parked = 1;
    if (event->kind == KEDGE_EVENT_RUN_ENDED)
        watch->left--;
    if ((watch->left == 0 || watch->parked) && shared && !slowly)
        kedge_worker_stop(watch->worker);
}

/*
 * For those who may be cut off, and would wait for their store for ever.  In memory time passes
 * when nothing is left to do.
 */
static void drain(struct kedge_store *store, struct watch *watch)
{
    while (watch->left > 0 && !watch->parked && !kedge_testing_dead(store)) {
        (void)kedge_worker_drain(watch->worker, SECONDS / 50, &err);
        if (!shared)
            must(kedge_testing_advance(memory, 2000, &err), "advance");
    }
}

/* One worker.  Answers how many runs are left. */
static int work_once(struct kedge_store *store, const struct saga *saga, int n_left)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactors[1];
    struct watch watch = { .left = n_left, .saga = saga };
    struct kedge_reactor *reactor;
    int rc;

    reactors[0] = reactor = saga_reactor(saga, "doomed");
    options.reactors = reactors;
    options.n_reactors = 1;
    options.sweep_us = 3600 * SECONDS;
    options.look_us = look_us;
    options.observe = on_event;
    options.observe_ctx = &watch;
    rc = kedge_worker_open(store, &options, &watch.worker, &err);
    if (rc == KEDGE_OK) {
        if (shared && !slowly)
            must(kedge_worker_run(watch.worker, &err), "run");
        else
            drain(store, &watch);
        kedge_worker_close(watch.worker, 0);
    } else if (!kedge_testing_dead(store)) {
        must(rc, "worker");
    }
    kedge_reactor_free(reactor);
    return watch.left;
}

/* Whoever finds the run paused resumes it. */
static void resume(const struct saga *saga)
{
    struct kedge_store *store;
    struct kedge_run_info *info;
    char id[16];
    int paused;

    if (saga->verb != KEDGE_VERB_PAUSE)
        return;
    saga_run_id(0, id);
    store = store_open();
    must(kedge_run_get(store, kedge_text(id), 0, &info, 10 * SECONDS, &err), "get");
    paused = info->status == KEDGE_PAUSED;
    if (paused)
        effect_asked(0, 0, info->fence, KEDGE_VERB_RESUME, ask(store, 0, KEDGE_VERB_RESUME));
    kedge_run_info_free(info);
    kedge_store_close(store);
}

/* Work until N_LEFT runs have ended, or the handle is dead. */
void work(struct kedge_store *store, const struct saga *saga, int n_left)
{
    the_worked = store;
    while (n_left > 0 && !kedge_testing_dead(store)) {
        resume(saga);
        n_left = work_once(store, saga, n_left);
    }
    the_worked = NULL;
}

/* ------------------------------------------------------------------- death */

static const char *const how_text[] = { "killed before", "killed after", "cut off at" };

static void *do_it(struct kedge_testing *testing, uint64_t k, uint32_t how, doomed_fn *fn,
                   const struct saga *saga, int n)
{
    struct kedge_store *store;

    must(kedge_testing_doomed(testing, k, how, &store, &err), "doomed");
    fn(store, saga, n);
    return store;
}

static _Noreturn void be_it(uint64_t k, uint32_t how, doomed_fn *fn, const struct saga *saga, int n)
{
    struct kedge_testing *testing;
    struct kedge_store *store;

    (void)alarm(WATCHDOG_S);
    slowly = how == CUT;
    must(kedge_testing_open(url, &testing, &err), "testing");
    store = do_it(testing, k, how == CUT ? KEDGE_TESTING_BEFORE : how | KEDGE_TESTING_KILL, fn,
                  saga, n);
    if (kedge_testing_dead(store))
        (void)kill(getpid(), SIGKILL);
    kedge_store_close(store);
    kedge_testing_close(testing);
    _exit(0);
}

static int do_it_in_a_process(uint64_t k, uint32_t how, doomed_fn *fn, const struct saga *saga,
                              int n)
{
    int status = 0;
    pid_t pid;

    (void)fflush(stdout);
    pid = fork();
    if (pid == 0)
        be_it(k, how, fn, saga, n);
    if (pid < 0 || waitpid(pid, &status, 0) != pid ||
        !(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0)) {
        printf("Bail out! %s: a process that was to die at call %llu ended otherwise: %#x\n",
               saga->name, (unsigned long long)k, (unsigned)status);
        exit(99);
    }
    return WIFSIGNALED(status);
}

/* Answers whether it died, which it does not if it makes fewer calls than K. */
int die(uint64_t k, uint32_t how, doomed_fn *fn, const struct saga *saga, int n)
{
    struct kedge_store *store;
    int dead;

    if (shared)
        return do_it_in_a_process(k, how, fn, saga, n);
    store = do_it(memory, k, how, fn, saga, n);
    dead = kedge_testing_dead(store);
    kedge_store_close(store);
    must(kedge_testing_advance(memory, 20 * SECONDS, &err), "advance");
    return dead;
}

/* ------------------------------------------------------------- what is there */

static int see_step(void *ctx, const struct kedge_step_info *info)
{
    struct seen_run *run = ctx;

    if (info->index < STEPS_MOST)
        run->steps[info->index] = (struct seen_step){ info->state, info->failures, 0, info->time };
    return 0;
}

static void keep(char *to, size_t size, struct kedge_bytes text)
{
    (void)snprintf(to, size, "%.*s", (int)text.len,
                   text.data != NULL ? (const char *)text.data : "");
}

/* Look at the runs between two phases.  Answers how many are not at rest. */
int look(struct kedge_store *store, const struct saga *saga, int phase)
{
    int left = 0;

    for (int r = 0; r < saga_runs(saga); r++) {
        struct seen_run *run = &h.at[phase][r];
        struct kedge_run_info *info;
        char id[16];

        saga_run_id(r, id);
        must(kedge_run_get(store, kedge_text(id), KEDGE_RUN_WANT_RESULT, &info, 10 * SECONDS, &err),
             "get");
        run->status = info->status;
        run->place = info->place;
        run->requests = info->requests;
        run->records = info->records;
        left += info->place != KEDGE_PLACE_REST;
        keep(h.result[r], sizeof h.result[r], info->result);
        keep(h.error[r], sizeof h.error[r], info->error);
        keep(h.error_step[r], sizeof h.error_step[r], info->error_step);
        kedge_run_info_free(info);
        must(kedge_run_steps(store, kedge_text(id), see_step, run, 10 * SECONDS, &err), "steps");
    }
    return left;
}

/* A healthy worker ends what is left. */
void finish(const struct saga *saga)
{
    struct kedge_store *store = store_open();

    the_phase = h.phases - 1;
    memset(h.recovered, 0, sizeof h.recovered);
    work(store, saga, look(store, saga, the_phase));
    (void)look(store, saga, h.phases);
    kedge_store_close(store);
    h.n_effects = effects_read(h.effects, sizeof h.effects / sizeof h.effects[0]);
    h.same_clock = (backend->caps & KEDGE_CAP_SERVER_CLOCK) == 0;
}

int judge(const struct saga *saga, uint64_t k)
{
    static int told;
    const char *fault = NULL;

    for (int r = 0; r < saga_runs(saga) && fault == NULL; r++)
        fault = model_fault(saga, &h, r);
    if (fault != NULL && told++ < FAULTS_TOLD) {
        printf("# %s, call %llu: %s\n", saga->name, (unsigned long long)k, fault);
        for (size_t i = 0; i < h.n_effects && i < 40; i++)
            printf("#   run %d step %s phase %d action %u attempt %u flags %u fence %llu\n",
                   h.effects[i].run, saga->steps[h.effects[i].step].name, h.effects[i].phase,
                   (unsigned)h.effects[i].action, (unsigned)h.effects[i].attempt,
                   (unsigned)h.effects[i].flags, (unsigned long long)h.effects[i].fence);
    }
    return fault == NULL;
}

/* Is there a dead worker whom nobody has buried? */
static int unburied(struct kedge_store *store)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_lease_page page = { .mem = NULL };
    void *session;
    int n = 0;

    must(ops->session_open(kedge_store_handle(store), &session, &err), "session");
    must(ops->lease_list(session, kedge_text(""), 256, &page, 10 * SECONDS, &err), "leases");
    for (size_t i = 0; i < page.n; i++)
        n += page.leases[i].state == KEDGE_LEASE_LAPSED ||
             (page.leases[i].state == KEDGE_LEASE_LIVE && page.leases[i].hint == KEDGE_HINT_ABSENT);
    kedge_mem_free(kedge_store_host(store), page.mem);
    ops->session_close(session);
    return n > 0;
}

/*
 * Between two deaths somebody who serves others buries the dead and makes their runs due.  Of two
 * that look dead at once a store says that it is its own sight that fails, and waits for their time
 * to lapse.
 */
void bury_the_dead(const struct saga *saga)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_reactor *reactor = saga_reactor(saga, "another");
    const struct kedge_reactor *reactors[1] = { reactor };
    struct kedge_store *store = store_open();
    struct kedge_worker *worker;

    options.reactors = reactors;
    options.n_reactors = 1;
    options.look_us = look_us;
    must(kedge_worker_open(store, &options, &worker, &err), "worker");
    while (unburied(store))
        (void)kedge_worker_drain(worker, SECONDS / 100, &err);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
    kedge_store_close(store);
}

void introduce(const struct saga *saga)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_reactor *reactor = saga_reactor(saga, "doomed");
    const struct kedge_reactor *reactors[1] = { reactor };
    struct kedge_store *store = store_open();
    struct kedge_worker *worker;

    options.reactors = reactors;
    options.n_reactors = 1;
    must(kedge_worker_open(store, &options, &worker, &err), "worker");
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
    kedge_store_close(store);
}

/* -------------------------------------------------------------- the points */

int worker_point(const struct saga *saga, uint64_t k, uint32_t how, int *good)
{
    int outcomes[RUNS_MOST];
    struct kedge_store *store;
    int dead = 0;
    int left;

    store_new();
    h.phases = saga_deaths(saga) + 1;
    store = store_open();
    must(start_runs(store, saga_runs(saga), outcomes), "start");
    left = look(store, saga, 0);
    kedge_store_close(store);
    for (the_phase = 0; the_phase < h.phases - 1 && left > 0; the_phase++) {
        if (the_phase > 0 && shared)
            bury_the_dead(saga);
        dead += die(the_phase == 0 ? k : 1 + k % 9, how, work, saga, left);
        store = store_open();
        left = look(store, saga, the_phase + 1);
        kedge_store_close(store);
    }
    for (; the_phase < h.phases - 1; the_phase++) /* it was at rest before its last death */
        memcpy(h.at[the_phase + 1], h.at[the_phase], sizeof h.at[0]);
    finish(saga);
    *good = judge(saga, k);
    store_drop();
    return dead > 0;
}

static void start_them(struct kedge_store *store, const struct saga *saga, int n)
{
    int *outcomes = calloc((size_t)n, sizeof *outcomes);

    (void)saga;
    if (outcomes == NULL)
        abort();
    (void)start_runs(store, n, outcomes);
    free(outcomes);
}

/* The batches that took place are there, the others are not, and none is there in part. */
static int there(const struct saga *saga, int calls)
{
    int batch = (int)backend->limits->batch_items;
    int n = saga_runs(saga);
    int due = calls * batch < n ? calls * batch : n;
    struct kedge_store *store = store_open();
    int *outcomes = calloc((size_t)n, sizeof *outcomes);
    int good = 1;

    if (outcomes == NULL)
        abort();
    for (int i = 0; i < n; i++) {
        struct kedge_run_info *info = NULL;
        char id[16];
        int rc;

        saga_run_id(i, id);
        rc = kedge_run_get(store, kedge_text(id), 0, &info, 10 * SECONDS, &err);
        good = good && rc == (i < due ? KEDGE_OK : KEDGE_NOT_FOUND);
        good = good && (info == NULL || (info->records == 1 && info->place == KEDGE_PLACE_DUE));
        kedge_run_info_free(info);
    }
    must(start_runs(store, n, outcomes), "start again");
    for (int i = 0; i < n; i++)
        good = good && outcomes[i] == (i < due ? KEDGE_EXISTS : KEDGE_OK);
    if (!good)
        printf("# of %d runs those up to %d should have been there\n", n, due);
    free(outcomes);
    kedge_store_close(store);
    return good;
}

/* More than the model has room for: each step of each run once, and all of them complete. */
static int all_once(const struct saga *saga)
{
    struct kedge_store *store = store_open();
    int n = saga_runs(saga);
    int completed = 0;

    the_phase = 0;
    work(store, saga, n);
    for (int i = 0; i < n; i++) {
        struct kedge_run_info *info;
        char id[16];

        saga_run_id(i, id);
        must(kedge_run_get(store, kedge_text(id), 0, &info, 10 * SECONDS, &err), "get");
        completed += info->status == KEDGE_COMPLETED;
        kedge_run_info_free(info);
    }
    kedge_store_close(store);
    h.n_effects = effects_read(h.effects, sizeof h.effects / sizeof h.effects[0]);
    return completed == n && h.n_effects == (size_t)n * (size_t)saga_steps(saga);
}

static int client_point(const struct saga *saga, uint64_t k, uint32_t how, int *good)
{
    int n = saga_runs(saga);
    int batches = (n + (int)backend->limits->batch_items - 1) / (int)backend->limits->batch_items;
    int dead;

    store_new();
    h.phases = 1;
    dead = die(k, how, start_them, saga, n);
    *good = there(saga, dead ? (int)k - (how != KEDGE_TESTING_AFTER) : batches);
    if (n <= RUNS_MOST) {
        finish(saga);
        *good &= judge(saga, k);
    } else {
        *good &= all_once(saga);
    }
    store_drop();
    return dead;
}

/* --------------------------------------------------------------- enumeration */

/* Each of CREW processes takes its part of them; alone, MINE of 1, all. */
static int is_mine(void)
{
    static int n;

    return n++ % crew == mine;
}

/* The parent numbers them. */
static void tell(int good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell(int good, const char *fmt, ...)
{
    va_list args;
    char text[512];

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    printf("%sok - %s\n", good ? "" : "not ", text);
    (void)fflush(stdout);
}

static void enumerate_one(const struct saga *saga, point_fn *point, uint32_t how, uint64_t k,
                          uint64_t step, const char *who)
{
    int points = 0;
    int bad = 0;
    int good = 1;

    while (k < CALLS_MOST && point(saga, k, how, &good)) {
        points++;
        bad += !good;
        k += step;
    }
    bad += !good || (points == 0 && step == 1);
    tell(bad == 0, "%s: %s %s %d of its store calls", saga->name, who, how_text[how], points);
}

void enumerate(const struct saga *saga, point_fn *point, uint64_t first, uint64_t step,
               const char *who)
{
    for (uint32_t how = 0; how < (shared ? 3 : 2); how++) {
        if (is_mine())
            enumerate_one(saga, point, how, first, step, who);
        if (step > 1)
            first = first % step + 1;
    }
}

static void enumerate_starts(void)
{
    struct saga saga = { .name = "start",
                         .steps = { { .name = "a" }, { .name = "b", .after = { "a" } } } };

    enumerate(&saga, client_point, 1, 1, "a client");
    saga.name = "start many";
    saga.runs = 6;
    enumerate(&saga, client_point, 1, 1, "a client");
    saga.name = "start many in two batches";
    saga.runs = (int)backend->limits->batch_items + 20;
    enumerate(&saga, client_point, 1, 1, "a client");
}

static void one_point(const char *name, uint64_t k)
{
    for (const struct saga *saga = sagas; saga->name != NULL; saga++) {
        for (uint32_t how = 0; strcmp(saga->name, name) == 0 && how < (shared ? 3 : 2); how++) {
            int good;
            int dead = worker_point(saga, k, how, &good);

            tell(good, "%s: %s call %llu%s", name, how_text[how], (unsigned long long)k,
                 dead ? "" : ": there is no such call");
        }
    }
}

static uint64_t stride(void)
{
    if (!shared || getenv("KEDGE_TEST_LONG") != NULL)
        return 1;
    return served ? STRIDE_SERVED : STRIDE;
}

static void all_points(const char *only)
{
    uint64_t step = stride();
    uint64_t first = 0;

    for (const struct saga *saga = sagas; saga->name != NULL; saga++) {
        first = first % step + 1;
        if (only == NULL || strcmp(saga->name, only) == 0)
            enumerate(saga, worker_point, first, step, "a worker");
    }
    asked_points(only, step);
    if (only == NULL)
        enumerate_starts();
}

/* ------------------------------------------------------------------- crew */

/* Nearly all of their time they wait: for the dead to be missed, and for the disk. */
static void be_one_of_them(int fd, const char *only, uint64_t k)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(fd, STDOUT_FILENO) < 0)
        _exit(99);
    (void)setvbuf(stdout, NULL, _IOLBF, 4096);
    effects_open();
    if (k > 0)
        one_point(only, k);
    else
        all_points(only);
    (void)fflush(stdout);
    _exit(0);
}

/* "...: a worker killed before 12 of its store calls" */
static int points_of(const char *line)
{
    const char *end = strstr(line, " of its store calls");

    while (end != NULL && end > line && end[-1] != ' ')
        end--;
    return end != NULL ? (int)strtol(end, NULL, 10) : 0;
}

static void number_them(FILE *in)
{
    char line[4096];
    int deaths = 0;

    while (fgets(line, sizeof line, in) != NULL) {
        int good = strncmp(line, "ok - ", 5) == 0;

        if (!good && strncmp(line, "not ok - ", 9) != 0) {
            (void)fputs(line, stdout);
            continue;
        }
        n_tests++;
        n_failed += !good;
        deaths += points_of(line);
        printf("%sok %d%s", good ? "" : "not ", n_tests, line + (good ? 2 : 6));
        (void)fflush(stdout);
    }
    printf("# %d points\n", deaths);
}

static void all_of_them(const char *only, uint64_t k)
{
    int fds[2];
    int status = 0;
    FILE *in;

    if (pipe(fds) != 0)
        exit(99);
    crew = k > 0 ? 1 : CREW;
    (void)fflush(stdout);
    for (mine = 0; mine < crew; mine++) {
        pid_t pid = fork();

        if (pid == 0)
            be_one_of_them(fds[1], only, k);
        if (pid < 0)
            exit(99);
    }
    (void)close(fds[1]);
    in = fdopen(fds[0], "r");
    if (in == NULL)
        exit(99);
    number_them(in);
    for (int i = 0; i < crew; i++) {
        if (wait(&status) < 0 || status != 0) {
            printf("Bail out! one of those who try the points has ended: %#x\n", (unsigned)status);
            exit(99);
        }
    }
    (void)fclose(in);
}

int main(int argc, char **argv)
{
    char name[64];

    if (argc < 2 || argc > 4) {
        (void)fprintf(stderr, "usage: doomed URL [SAGA [K]]\n");
        return 2;
    }
    url_pattern = argv[1];
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(url_pattern, ":+"), url_pattern);
    must(kedge_backend_find(name, &backend, &err), "backend");
    shared = (backend->caps & KEDGE_CAP_SHARED) != 0;
    served = (backend->caps & KEDGE_CAP_SERVER_CLOCK) != 0;
    if (shared && strstr(url_pattern, "{}") == NULL) {
        (void)fprintf(stderr, "doomed: there is no {} in the URL\n");
        return 2;
    }
    the_clock = wall;
    the_asker = ask_aside;
    the_end = cut_off;
    look_us = shared ? SECONDS / 50 : 0;
    if (stride() > 1)
        printf("# one of %d store calls of each saga; with KEDGE_TEST_LONG all\n", (int)stride());
    all_of_them(argc > 2 ? argv[2] : NULL, argc > 3 ? strtoull(argv[3], NULL, 10) : 0);
    printf("1..%d\n", n_tests);
    return n_failed > 0 || n_tests == 0;
}
