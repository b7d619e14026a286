/*
 * sagas.c - whole sagas through the public API, over any store; speaks TAP
 *
 *	./sagas URL
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/kedge.h>

#define SECONDS INT64_C(1000000)

static int n_tests;
static int n_failed;
static struct kedge_store *store;
static struct kedge_error err;

static void ok(int good, const char *what)
{
    n_tests++;
    if (!good)
        n_failed++;
    printf("%sok %d - %s\n", good ? "" : "not ", n_tests, what);
    (void)fflush(stdout);
}

static void must(int rc, const char *what)
{
    if (rc == KEDGE_OK)
        return;
    printf("Bail out! %s: %s: %s\n", what, kedge_status_name(rc), rc < 0 ? err.msg : "");
    exit(99);
}

/* ------------------------------------------------------------ a journal of effects */

static pthread_mutex_t trail_lock = PTHREAD_MUTEX_INITIALIZER;
static char trail[65536];

static void note(const struct kedge_step *step)
{
    const struct kedge_view *view = kedge_step_view(step);
    static const char *const marks[] = { "", "", "?", "-" };

    (void)pthread_mutex_lock(&trail_lock);
    (void)snprintf(trail + strlen(trail), sizeof trail - strlen(trail), "%s%s ",
                   marks[view->action], view->step);
    (void)pthread_mutex_unlock(&trail_lock);
}

static int say_null(struct kedge_step *step, void *user)
{
    (void)user;
    note(step);
    return kedge_ok(step, NULL, 0);
}

static int undo_it(struct kedge_step *step, void *user)
{
    return say_null(step, user);
}

/* The sum of what it comes after, and one. */
static int add_up(struct kedge_step *step, void *user)
{
    const char *const *names = user;
    int64_t sum = 1;
    char text[32];

    note(step);
    for (; names != NULL && *names != NULL; names++) {
        struct kedge_bytes value;
        int64_t n;

        if (kedge_step_result(step, *names, &value, NULL) != KEDGE_OK ||
            kedge_json_int64(value.data, value.len, "", &n, NULL) != KEDGE_OK)
            return kedge_fail(step, KEDGE_FAIL_FINAL, "no value");
        sum += n;
    }
    (void)snprintf(text, sizeof text, "%lld", (long long)sum);
    return kedge_ok(step, text, strlen(text));
}

static int fail_twice(struct kedge_step *step, void *user)
{
    (void)user;
    note(step);
    if (kedge_step_view(step)->attempt < 3)
        return kedge_fail(step, 0, "not yet");
    return kedge_ok(step, "\"third\"", 7);
}

static int fail_it(struct kedge_step *step, void *user)
{
    (void)user;
    note(step);
    return kedge_fail(step, KEDGE_FAIL_FINAL, "no money");
}

static int skip_it(struct kedge_step *step, void *user)
{
    (void)user;
    note(step);
    return kedge_skip(step, "nothing to do");
}

static int halt_it(struct kedge_step *step, void *user)
{
    (void)user;
    note(step);
    return kedge_halt(step, "enough");
}

static int bad_json(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, "{\"a\":01}", 8);
}

static int no_outcome(struct kedge_step *step, void *user)
{
    (void)step;
    (void)user;
    return 0;
}

static int snoozes;
static int snooze_twice(struct kedge_step *step, void *user)
{
    (void)user;
    note(step);
    if (kedge_step_view(step)->attempt != 1)
        return kedge_fail(step, KEDGE_FAIL_FINAL, "a snooze spent an attempt");
    if (snoozes++ < 2)
        return kedge_snooze(step, 2000);
    return kedge_ok(step, "true", 4);
}

/* ------------------------------------------------------------ running */

static struct kedge_counts stats;

/* Drain until the run is at rest, however often it is due later. */
static struct kedge_run_info *finish(struct kedge_worker *worker, const char *id)
{
    struct kedge_run_info *info = NULL;
    int rc;

    do {
        must(kedge_worker_drain(worker, 60 * SECONDS, &err), "drain");
        rc = kedge_run_wait(store, kedge_text(id), &info, SECONDS / 20, &err);
    } while (rc == KEDGE_QUIET);
    must(rc, "wait");
    return info;
}

static struct kedge_run_info *run_one(const struct kedge_reactor_def *def, const char *id)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_run_start start = KEDGE_START_INIT;
    const struct kedge_reactor *reactors[1];
    struct kedge_reactor *reactor;
    struct kedge_worker *worker;
    struct kedge_run_info *info;

    trail[0] = '\0';
    must(kedge_reactor_new(def, &reactor, &err), "reactor");
    reactors[0] = reactor;
    options.reactors = reactors;
    options.n_reactors = 1;
    must(kedge_worker_open(store, &options, &worker, &err), "worker");
    kedge_reactor_free(reactor);
    start.reactor = def->name;
    start.version = def->version;
    start.id = kedge_text(id);
    start.input = kedge_text("{\"n\":1}");
    must(kedge_start(store, &start, 10 * SECONDS, &err), "start");
    info = finish(worker, id);
    stats.struct_size = sizeof stats;
    kedge_worker_stats(worker, &stats);
    kedge_worker_close(worker, SECONDS);
    return info;
}

static int is(struct kedge_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) &&
           (bytes.len == 0 || memcmp(bytes.data, text, bytes.len) == 0);
}

static void expect(const struct kedge_reactor_def *def, uint32_t status, const char *result,
                   const char *error, const char *effects)
{
    struct kedge_run_info *info = run_one(def, def->name);
    char what[256];
    int good = info->status == status && is(info->result, result) && is(info->error, error) &&
               (effects == NULL || strcmp(trail, effects) == 0);

    (void)snprintf(what, sizeof what, "%s: %s", def->name, kedge_run_status_text(status));
    ok(good, what);
    if (!good)
        printf("# status %s result '%.*s' error '%.*s' effects '%s'\n",
               kedge_run_status_text(info->status), (int)info->result.len,
               (const char *)info->result.data, (int)info->error.len,
               (const char *)info->error.data, trail);
    kedge_run_info_free(info);
}

/* ------------------------------------------------------------ the cases */

static const char *const after_a[] = { "a", NULL };
static const char *const after_b[] = { "b", NULL };
static const char *const after_c[] = { "c", NULL };
static const char *const after_bc[] = { "b", "c", NULL };

static void chains(void)
{
    struct kedge_step_def steps[] = {
        { .name = "a", .run = add_up },
        { .name = "b", .run = add_up, .after = after_a, .user = (void *)(uintptr_t)after_a },
        { .name = "c", .run = add_up, .after = after_a, .user = (void *)(uintptr_t)after_a },
        { .name = "d", .run = add_up, .after = after_bc, .user = (void *)(uintptr_t)after_bc },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("diamond", 1, steps);

    expect(&def, KEDGE_COMPLETED, "5", "", NULL);
    for (size_t i = 0; i < 4; i++)
        steps[i].flags = KEDGE_STEP_POOL;
    def.name = "diamond-pool";
    expect(&def, KEDGE_COMPLETED, "5", "", NULL);
    steps[1].flags = 0;
    def.name = "diamond-mixed";
    expect(&def, KEDGE_COMPLETED, "5", "", NULL);
}

static void retries(void)
{
    struct kedge_step_def steps[] = {
        { .name = "a", .run = say_null },
        { .name = "b",
          .run = fail_twice,
          .after = after_a,
          .retry = { .attempts = 3, .base_us = 1000 } },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("retry", 1, steps);

    expect(&def, KEDGE_COMPLETED, "\"third\"", "", "a b b b ");
    steps[1].retry.attempts = 2;
    steps[0].undo = undo_it;
    def.name = "retry-spent";
    expect(&def, KEDGE_FAILED, "", "not yet", "a b b -a ");
    steps[1].run = snooze_twice;
    def.name = "snooze";
    expect(&def, KEDGE_COMPLETED, "true", "", "a b b b ");
}

static void rollbacks(void)
{
    struct kedge_step_def steps[] = {
        { .name = "a", .run = say_null, .undo = undo_it },
        { .name = "b", .run = say_null, .undo = undo_it, .after = after_a },
        { .name = "c", .run = skip_it, .undo = undo_it, .after = after_b },
        { .name = "d", .run = fail_it, .undo = undo_it, .compensate = undo_it, .after = after_c },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("rollback", 1, steps);

    expect(&def, KEDGE_FAILED, "", "no money", "a b c d ?d -b -a ");
    def.name = "halt";
    steps[3].run = halt_it;
    expect(&def, KEDGE_HALTED, "", "enough", "a b c d ");
    def.name = "skip";
    def.n_steps = 3;
    expect(&def, KEDGE_COMPLETED, "", "", "a b c ");
    def.name = "bad-json";
    steps[2].run = bad_json;
    {
        struct kedge_run_info *info = run_one(&def, def.name);

        ok(info->status == KEDGE_FAILED && info->error.len > 30 && is(info->error_step, "c"),
           "a value that is not JSON fails its step");
        kedge_run_info_free(info);
    }
    def.name = "no-outcome";
    steps[2].run = no_outcome;
    expect(&def, KEDGE_FAILED, "", "it returned without an outcome", "a b -b -a ");
}

/* ------------------------------------------------------------ asleep */

static void *run_worker(void *worker)
{
    must(kedge_worker_run(worker, &err), "run");
    return NULL;
}

enum { ASLEEP_RUNS = 20 };

/* The loop sleeps while a thread of the pool does it all, and sets the time of the next attempt.
   Nothing else wakes the loop: this worker looks after nobody. */
static void asleep(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = say_null, .flags = KEDGE_STEP_POOL },
        { .name = "b",
          .run = fail_twice,
          .flags = KEDGE_STEP_POOL,
          .after = after_a,
          .retry = { .attempts = 3, .base_us = 3000 } },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("asleep", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_run_start start = KEDGE_START_INIT;
    const struct kedge_reactor *reactors[1];
    struct kedge_run_info *info = NULL;
    struct kedge_reactor *reactor;
    struct kedge_worker *worker;
    pthread_t thread;
    int rc = KEDGE_OK;

    trail[0] = '\0';
    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    reactors[0] = reactor;
    options.reactors = reactors;
    options.n_reactors = 1;
    options.lease_ttl_us = 600 * SECONDS;
    options.look_us = 600 * SECONDS;
    options.sweep_us = 600 * SECONDS;
    must(kedge_worker_open(store, &options, &worker, &err), "worker");
    if (pthread_create(&thread, NULL, run_worker, worker) != 0)
        must(KEDGE_ERR_NOMEM, "thread");
    start.reactor = "asleep";
    start.version = 1;
    for (int i = 0; i < ASLEEP_RUNS && rc == KEDGE_OK; i++) {
        char id[16];

        (void)snprintf(id, sizeof id, "asleep-%d", i);
        start.id = kedge_text(id);
        must(kedge_start(store, &start, 10 * SECONDS, &err), "start");
        rc = kedge_run_wait(store, start.id, &info, 20 * SECONDS, &err);
        if (rc == KEDGE_OK)
            kedge_run_info_free(info);
    }
    ok(rc == KEDGE_OK, "a time that the pool sets wakes the loop");
    kedge_worker_stop(worker);
    (void)pthread_join(thread, NULL);
    kedge_worker_close(worker, SECONDS);
    kedge_reactor_free(reactor);
}

/* ------------------------------------------------------------ later */

static struct kedge_worker *later_worker;
static uint64_t later_token;
static int later_second = 1;

static void *settle_it(void *arg)
{
    struct kedge_outcome said = { sizeof said, KEDGE_OUTCOME_OK, 0, { "42", 2 }, NULL, 0 };

    (void)arg;
    if (kedge_settle(later_worker, later_token, &said, NULL) == KEDGE_OK)
        later_second = kedge_settle(later_worker, later_token, &said, NULL);
    return NULL;
}

static pthread_t later_thread;
static int say_later(struct kedge_step *step, void *user)
{
    (void)user;
    (void)kedge_later(step, &later_token);
    if (pthread_create(&later_thread, NULL, settle_it, NULL) != 0)
        return kedge_fail(step, 0, "no thread");
    return 0;
}

static void later(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = say_later },
        { .name = "b", .run = say_null, .after = after_a },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("later", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_run_start start = KEDGE_START_INIT;
    const struct kedge_reactor *reactors[1];
    struct kedge_reactor *reactor;
    struct kedge_run_info *info;

    def.result = "a";
    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    reactors[0] = reactor;
    options.reactors = reactors;
    options.n_reactors = 1;
    must(kedge_worker_open(store, &options, &later_worker, &err), "worker");
    start.reactor = "later";
    start.version = 1;
    start.id = kedge_text("later");
    must(kedge_start(store, &start, 10 * SECONDS, &err), "start");
    info = finish(later_worker, "later");
    (void)pthread_join(later_thread, NULL);
    ok(info->status == KEDGE_COMPLETED && is(info->result, "42"), "settled from another thread");
    ok(later_second == KEDGE_STALE, "and only once");
    ok(kedge_start(store, &start, 10 * SECONDS, &err) == KEDGE_EXISTS, "the same id again exists");
    kedge_run_info_free(info);
    kedge_worker_close(later_worker, SECONDS);
    kedge_reactor_free(reactor);
}

/* ------------------------------------------------------------ many */

static int count_runs(void *ctx, const struct kedge_run_info *info)
{
    uint64_t *n = ctx;

    (void)info;
    (*n)++;
    return 0;
}

enum { MANY_RUNS = 64, MANY_STEPS = 40 };

static void many(const char *name, uint32_t flags)
{
    static char names[MANY_STEPS][16];
    static const char *after[MANY_STEPS][2];
    static struct kedge_step_def steps[MANY_STEPS];
    static char ids[MANY_RUNS][64];
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT(name, 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_run_filter filter = KEDGE_RUN_FILTER_INIT;
    struct kedge_run_start starts[MANY_RUNS];
    const struct kedge_reactor *reactors[1];
    struct kedge_reactor *reactor;
    struct kedge_worker *worker;
    int outcomes[MANY_RUNS];
    uint64_t n = 0;
    char what[128];

    memset(steps, 0, sizeof steps);
    for (int i = 0; i < MANY_STEPS; i++) {
        (void)snprintf(names[i], sizeof names[i], "s%d", i);
        steps[i] = (struct kedge_step_def){ .name = names[i], .run = say_null, .flags = flags };
        if (i > 0) {
            after[i][0] = names[i - 1];
            steps[i].after = after[i];
        }
    }
    trail[0] = '\0';
    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    reactors[0] = reactor;
    options.reactors = reactors;
    options.n_reactors = 1;
    must(kedge_worker_open(store, &options, &worker, &err), "worker");
    for (int i = 0; i < MANY_RUNS; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "%s-%d", name, i);
        starts[i] = (struct kedge_run_start)KEDGE_START_INIT;
        starts[i].reactor = name;
        starts[i].version = 1;
        starts[i].id = kedge_text(ids[i]);
    }
    must(kedge_start_many(store, starts, MANY_RUNS, sizeof starts[0], outcomes, 10 * SECONDS, &err),
         "start_many");
    must(kedge_worker_drain(worker, 60 * SECONDS, &err), "drain");
    stats.struct_size = sizeof stats;
    kedge_worker_stats(worker, &stats);
    filter.reactor = kedge_text(name);
    filter.statuses = KEDGE_STATUS_BIT(KEDGE_COMPLETED);
    must(kedge_run_list(store, &filter, count_runs, &n, 10 * SECONDS, &err), "list");
    (void)snprintf(what, sizeof what, "%s: %d runs of %d steps", name, MANY_RUNS, MANY_STEPS);
    ok(n == MANY_RUNS && stats.steps == (uint64_t)MANY_RUNS * MANY_STEPS, what);
    (void)snprintf(what, sizeof what, "%s: one commit per step, none beside", name);
    ok(stats.commits == (uint64_t)MANY_RUNS * MANY_STEPS, what);
    (void)snprintf(what, sizeof what, "%s: under 0.2 hand-offs per step", name);
    ok((double)stats.hand_offs < 0.2 * MANY_RUNS * MANY_STEPS, what);
    printf("# %s: %llu steps %llu commits %llu flushes %llu claims %llu hand-offs %llu wake-ups\n",
           name, (unsigned long long)stats.steps, (unsigned long long)stats.commits,
           (unsigned long long)stats.flushes, (unsigned long long)stats.claims,
           (unsigned long long)stats.hand_offs, (unsigned long long)stats.wake_ups);
    kedge_worker_close(worker, SECONDS);
    kedge_reactor_free(reactor);
}

int main(int argc, char **argv)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: sagas URL\n");
        return 2;
    }
    options.flags = KEDGE_STORE_CREATE;
    must(kedge_store_open(argv[1], &options, &store, &err), "open");
    chains();
    retries();
    rollbacks();
    asleep();
    later();
    many("many-loop", 0);
    many("many-pool", KEDGE_STEP_POOL);
    kedge_store_close(store);
    printf("1..%d\n", n_tests);
    return n_failed > 0;
}
