/* forked.c - a store and a worker in a child of the process that opened them */
#include "badinput.h"
#include "tests/support/tsan.h"

#include <unistd.h>

static struct kedge_worker *worker;
static atomic_int inside; /* 1: the worker's thread is in the observer, with the worker's lock */
static atomic_int go_on;

static void hold_still(void *ctx, const struct kedge_event *event)
{
    (void)ctx;
    if (event->kind != KEDGE_EVENT_RUN_TAKEN || atomic_load(&go_on) != 0)
        return;
    atomic_store(&inside, 1);
    (void)await_count(&go_on, 1);
}

static int say_parent(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, "\"of the parent\"", 15);
}

static int ignore_run(void *ctx, const struct kedge_run_info *info)
{
    (void)ctx;
    (void)info;
    return 0;
}

static int ignore_step(void *ctx, const struct kedge_step_info *step)
{
    (void)ctx;
    (void)step;
    return 0;
}

static void ignore_fact(void *ctx, const char *name, const char *value)
{
    (void)ctx;
    (void)name;
    (void)value;
}

static int n_bad;

/* Refused, because of the fork, and by the name of what was opened before it. */
static void told(int rc, const char *name, const char *call)
{
    if (rc != KEDGE_ERR_INVALID || err.code != rc || strstr(err.msg, "before a fork") == NULL ||
        strstr(err.msg, name) == NULL) {
        note("in the child %s answers %s: %s", call, kedge_status_name(rc), err.msg);
        n_bad++;
    }
    memset(&err, 0, sizeof err);
}

static void use_store(void)
{
    struct kedge_run_start start = KEDGE_START_INIT;
    struct kedge_request request = KEDGE_REQUEST_INIT;
    struct kedge_bytes id = kedge_text("forked");
    struct kedge_run_info *info = NULL;
    const char *url = kedge_store_url(store);

    start.reactor = "forked";
    start.version = 1;
    start.id = kedge_text("by-the-child");
    request.run = id;
    request.verb = KEDGE_VERB_CANCEL;
    told(kedge_start(store, &start, SECONDS, &err), url, "kedge_start");
    told(kedge_run_get(store, id, 0, &info, SECONDS, &err), url, "kedge_run_get");
    told(kedge_run_wait(store, id, &info, SECONDS, &err), url, "kedge_run_wait");
    told(kedge_run_list(store, NULL, ignore_run, NULL, SECONDS, &err), url, "kedge_run_list");
    told(kedge_run_steps(store, id, ignore_step, NULL, SECONDS, &err), url, "kedge_run_steps");
    told(kedge_run_request(store, &request, NULL, SECONDS, &err), url, "kedge_run_request");
    told(kedge_store_info(store, SECONDS, ignore_fact, NULL, &err), url, "kedge_store_info");
}

static void use_worker(const struct kedge_reactor_def *def)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_outcome said = { sizeof said, KEDGE_OUTCOME_OK, 0, { NULL, 0 }, NULL, 0 };
    struct kedge_counts counts = { .struct_size = sizeof counts };
    const struct kedge_reactor *reactors[1];
    struct kedge_reactor *reactor;
    struct kedge_worker *other = NULL;

    must(kedge_reactor_new(def, &reactor, &err), "reactor");
    reactors[0] = reactor;
    options.reactors = reactors;
    options.n_reactors = 1;
    told(kedge_worker_open(store, &options, &other, &err), kedge_store_url(store),
         "kedge_worker_open");
    kedge_reactor_free(reactor);
    told(kedge_worker_run(worker, &err), "forked label@", "kedge_worker_run");
    told(kedge_worker_turn(worker, &err), "forked label@", "kedge_worker_turn");
    told(kedge_worker_drain(worker, SECONDS, &err), "forked label@", "kedge_worker_drain");
    told(kedge_settle(worker, 0, &said, &err), "forked label@", "kedge_settle");
    kedge_worker_stats(worker, &counts);
    kedge_worker_stop(worker);
    kedge_worker_close(worker, SECONDS);
}

static int say_child(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, "\"of the child\"", 14);
}

/* What the child opens is its own. */
static void open_anew(void)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_run_info *info;

    options.flags = KEDGE_STORE_CREATE;
    must(kedge_store_open(store_url, &options, &store, &err), "open");
    info = run_step("child", say_child, NULL, KEDGE_STEP_POOL);
    if (info->status != KEDGE_COMPLETED || !is(info->result, "\"of the child\"")) {
        note("a run of the child's own ends as %s", kedge_run_status_text(info->status));
        n_bad++;
    }
    kedge_run_info_free(info);
    kedge_store_close(store);
}

static bool uses_old(void *def)
{
    n_bad = 0;
    use_store();
    use_worker(def);
    return n_bad == 0;
}

static bool opens_anew(void *unused)
{
    (void)unused;
    n_bad = 0;
    kedge_store_close(store);
    open_anew();
    return n_bad == 0;
}

void after_fork(void)
{
    static const struct kedge_step_def steps[] = { { .name = "a", .run = say_parent } };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("forked", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_run_info *info;
    pthread_t thread;
    bool refuses;
    bool opens = true;

    atomic_store(&inside, 0);
    atomic_store(&go_on, 0);
    options.observe = hold_still;
    options.label = "forked label";
    worker = worker_open(&def, &options);
    thread = worker_start(worker);
    run_start("forked", "forked");
    if (!await_count(&inside, 1))
        must(KEDGE_QUIET, "the worker takes the run");
    refuses = in_child(uses_old, &def);
    if (!KEDGE_TSAN)
        opens = in_child(opens_anew, NULL);
    atomic_store(&go_on, 1);
    ok(refuses, "in a child each call is refused, and names what the parent had opened");
    if (KEDGE_TSAN)
        skip("what a child opens is its own",
             "ThreadSanitizer bears no threads in a child of threads");
    else
        ok(opens, "what a child opens is its own");
    info = run_await("forked");
    ok(info->status == KEDGE_COMPLETED && is(info->result, "\"of the parent\"") &&
           info->recoveries == 0,
       "the parent's worker goes on");
    kedge_run_info_free(info);
    run_start("forked", "forked-again");
    info = run_await("forked-again");
    ok(is(info->result, "\"of the parent\""), "and takes other runs");
    kedge_run_info_free(info);
    worker_join(worker, thread);
    if (kedge_run_get(store, kedge_text("by-the-child"), 0, &info, LIVENESS, &err) == KEDGE_OK) {
        ok(0, "what was refused in the child was not started");
        kedge_run_info_free(info);
    }
}
