/*
 * behave.c - what steps see and say, whatever the timing; what the library leaves alone
 *
 *	./behave URL...
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <kedge/backend.h>

#include "tests/support/saga.h"

#define POOL KEDGE_STEP_POOL

static const char *const after_a[] = { "a", NULL };
static const char *const after_b[] = { "b", NULL };

static atomic_int flag[4];

static void lower_flags(void)
{
    for (size_t i = 0; i < sizeof flag / sizeof flag[0]; i++)
        atomic_store(&flag[i], 0);
}

static void check(const struct kedge_reactor_def *def, uint32_t status, const char *result,
                  const char *error, const char *what)
{
    struct kedge_run_info *info = run_alone(def);
    int good = info->status == status && is(info->result, result) && is(info->error, error);

    ok(good, what);
    if (!good)
        note("%s, result '%.*s', error '%.*s'", kedge_run_status_text(info->status),
             (int)info->result.len, (const char *)info->result.data, (int)info->error.len,
             (const char *)info->error.data);
    kedge_run_info_free(info);
}

static int say_null(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, NULL, 0);
}

/* ------------------------------------------------------------ what is logged */

static atomic_int logged;
static char last_log[1024];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void log_text(void *ctx, int level, const char *text)
{
    (void)ctx;
    (void)level;
    (void)pthread_mutex_lock(&log_lock);
    (void)snprintf(last_log, sizeof last_log, "%s", text);
    (void)pthread_mutex_unlock(&log_lock);
    atomic_fetch_add(&logged, 1);
}

/* ---------------------------------------------------------------- in parallel */

/* Each waits for the other. */
static int meet(struct kedge_step *step, void *user)
{
    int mine = kedge_step_view(step)->step[0] - 'a';

    (void)user;
    atomic_store(&flag[mine], 1);
    return await_count(&flag[1 - mine], 1) ? kedge_ok(step, "true", 4)
                                           : kedge_fail(step, KEDGE_FAIL_FINAL, "alone");
}

static void in_parallel(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = meet, .flags = POOL },
        { .name = "b", .run = meet, .flags = POOL },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("meet", 1, steps);

    lower_flags();
    check(&def, KEDGE_COMPLETED, "true", "", "steps that do not depend on one another meet");
}

/*
 * Many steps that take no time, and then two that do: the thread that takes the first of them
 * believes both to be like those before.
 */
#define BRIEF 40

static void after_brief(struct kedge_step_def *steps, kedge_step_fn *run)
{
    static char names[BRIEF][4];
    static const char *all[BRIEF + 1];

    for (int i = 0; i < BRIEF; i++) {
        (void)snprintf(names[i], sizeof names[i], "s%02d", i);
        all[i] = names[i];
        steps[i] = (struct kedge_step_def){ .name = names[i], .run = say_null, .flags = POOL };
    }
    steps[BRIEF] = (struct kedge_step_def){ .name = "a", .run = run, .flags = POOL, .after = all };
    steps[BRIEF + 1] =
        (struct kedge_step_def){ .name = "b", .run = run, .flags = POOL, .after = all };
}

/*
 * One worker, which knows how long steps took, and many runs: which thread it is is chance.  It
 * does not look by itself at what it has before a bound for what hangs is over.
 */
static struct kedge_run_info *run_often(const struct kedge_reactor_def *def,
                                        struct kedge_worker_options *options, uint32_t status)
{
    struct kedge_run_info *info = NULL;
    struct kedge_worker *worker;

    options->pool_threads = 2;
    options->look_us = 600 * INT64_C(1000000);
    options->lease_ttl_us = 3600 * INT64_C(1000000);
    worker = worker_open(def, options);
    for (int i = 0;
         i < 10 && (info == NULL || (info->status == status && atomic_load(&flag[2]) == 0)); i++) {
        char id[32];

        kedge_run_info_free(info);
        (void)snprintf(id, sizeof id, "%s-%d", def->name, i);
        lower_flags();
        run_start(def->name, id);
        info = run_drain(worker, id);
    }
    kedge_worker_close(worker, LIVENESS);
    return info;
}

static void in_parallel_after_brief(void)
{
    struct kedge_step_def steps[BRIEF + 2] = { { 0 } };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("meet-late", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_run_info *info;

    after_brief(steps, meet);
    info = run_often(&def, &options, KEDGE_COMPLETED);
    ok(info->status == KEDGE_COMPLETED, "they meet also when they were thought to be brief");
    kedge_run_info_free(info);
}

/* a and b fail; who is first is told by the flag it waits for, which the observer raises. */
static const char *fails_first;

static void see_failed(void *ctx, const struct kedge_event *event)
{
    (void)ctx;
    if (event->kind == KEDGE_EVENT_STEP_ENDED && strcmp(event->step, fails_first) == 0)
        atomic_store(&flag[0], 1);
}

static int fail_in_turn(struct kedge_step *step, void *user)
{
    const char *name = kedge_step_view(step)->step;

    (void)user;
    if (strcmp(name, fails_first) != 0)
        atomic_store(&flag[2], !await_count(&flag[0], 1)); /* until the other's record is durable */
    return kedge_fail(step, KEDGE_FAIL_FINAL, name[0] == 'a' ? "a failed" : "b failed");
}

/* Also what was thought to be brief leaves what ended before it to others. */
static void durable_meanwhile(const char *name, const char *first)
{
    struct kedge_step_def steps[BRIEF + 2] = { { 0 } };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT(name, 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_run_info *info;

    after_brief(steps, fail_in_turn);
    fails_first = first;
    options.observe = see_failed;
    info = run_often(&def, &options, KEDGE_FAILED);
    ok(info->status == KEDGE_FAILED && is(info->error_step, "a") && atomic_load(&flag[2]) == 0,
       first[0] == 'a' ? "what ends before one that was thought to be brief is durable meanwhile"
                       : "what is behind one that was thought to be brief is not kept waiting");
    kedge_run_info_free(info);
}

static void first_failure(const char *name, const char *first)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = fail_in_turn, .flags = POOL },
        { .name = "b", .run = fail_in_turn, .flags = POOL },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT(name, 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;
    struct kedge_run_info *info;

    lower_flags();
    fails_first = first;
    options.observe = see_failed;
    worker = worker_open(&def, &options);
    run_start(name, name);
    info = run_drain(worker, name);
    ok(info->status == KEDGE_FAILED && is(info->error, "a failed") && is(info->error_step, "a"),
       first[0] == 'a' ? "two fail, the first of the table first: its error"
                       : "two fail, the first of the table last: its error");
    kedge_run_info_free(info);
    kedge_worker_close(worker, LIVENESS);
}

/* --------------------------------------------------------------------- to stop */

static int fail_when_told(struct kedge_step *step, void *user)
{
    (void)user;
    (void)await_count(&flag[0], 1);
    return kedge_fail(step, KEDGE_FAIL_FINAL, "no");
}

/* Polls half of the time by descriptor, then asks. */
static int heed(struct kedge_step *step, void *user)
{
    struct pollfd fd = { .events = POLLIN };
    int before = kedge_step_stopping(step);

    (void)user;
    fd.fd = kedge_step_stop_fd(step);
    if (before == 0 && poll(&fd, 1, 0) == 0 && fd.fd == kedge_step_stop_fd(step))
        atomic_fetch_add(&flag[1], 1); /* not stopped yet */
    atomic_store(&flag[0], 1);
    if (poll(&fd, 1, (int)(LIVENESS / 1000)) == 1 && kedge_step_stopping(step))
        atomic_fetch_add(&flag[2], 1);
    return kedge_ok(step, NULL, 0);
}

static void stopped_by_a_sibling(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = heed, .flags = POOL },
        { .name = "b", .run = fail_when_told, .flags = POOL },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("sibling", 1, steps);

    lower_flags();
    check(&def, KEDGE_FAILED, "", "no", "a failure ends the run");
    ok(atomic_load(&flag[1]) == 1, "before it, no stop is asked for, and the descriptor is quiet");
    ok(atomic_load(&flag[2]) == 1, "after it the step beside it is asked to stop, both ways");
}

/* ------------------------------------------------------------------ what it sees */

#define KEYS 16
static struct {
    pthread_mutex_t lock;
    char key[KEYS][64];
    char what[KEYS][64]; /* run, step, action */
    int n;
    int differ; /* two keys for one action */
    int same;   /* one key for two actions */
    int bad;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void note_key(const struct kedge_view *view)
{
    char what[64];
    int found = 0;

    (void)snprintf(what, sizeof what, "%.*s/%s/%u", (int)view->run.len,
                   (const char *)view->run.data, view->step, (unsigned)view->action);
    (void)pthread_mutex_lock(&seen.lock);
    seen.bad += view->key.len == 0 || view->key.len >= 64 ||
                memchr(view->key.data, 0, view->key.len) != NULL;
    for (int i = 0; i < seen.n; i++) {
        int key = is(view->key, seen.key[i]);
        int same = strcmp(what, seen.what[i]) == 0;

        found |= same;
        seen.differ += same && !key;
        seen.same += !same && key;
    }
    if (!found && seen.n < KEYS) {
        (void)snprintf(seen.key[seen.n], sizeof seen.key[0], "%.*s", (int)view->key.len,
                       (const char *)view->key.data);
        (void)snprintf(seen.what[seen.n++], sizeof seen.what[0], "%s", what);
    }
    (void)pthread_mutex_unlock(&seen.lock);
}

static int64_t monotonic(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Everything in the view; a fails once, c for good, so that all is undone. */
static int look_around(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);
    int64_t left = view->deadline_us - monotonic();
    int timed = view->step[0] == 'a';

    note_key(view);
    seen.bad += view->struct_size != sizeof *view || strcmp(view->reactor, "look") != 0 ||
                view->version != 7 || view->fence == 0 || view->flags != 0;
    seen.bad += !is(view->input, " {\"big\": 9007199254740993.0} ");
    seen.bad += view->context.len != 4 || memcmp(view->context.data, "t\0\xffx", 4) != 0;
    seen.bad += timed ? left <= 0 || left > 100 * SECONDS : view->deadline_us != 0;
    seen.bad += strcmp(user, timed ? "of the step" : "of the reactor") != 0;
    if (view->action != KEDGE_ACTION_RUN)
        return kedge_ok(step, NULL, 0);
    if (view->step[0] == 'a' && view->attempt == 1)
        return kedge_fail(step, 0, "once more");
    if (view->step[0] == 'c')
        return kedge_fail(step, KEDGE_FAIL_FINAL, "no");
    return kedge_ok(step, NULL, 0);
}

static void the_view(void)
{
    static char step_user[] = "of the step";
    static char reactor_user[] = "of the reactor";
    static const struct kedge_step_def steps[] = {
        { .name = "a",
          .run = look_around,
          .undo = look_around,
          .user = step_user,
          .retry = { .attempts = 2 },
          .timeout_us = 100 * SECONDS },
        { .name = "b", .run = look_around, .undo = look_around, .after = after_a },
        { .name = "c",
          .run = look_around,
          .undo = look_around,
          .compensate = look_around,
          .after = after_b },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("look", 7, steps);
    struct kedge_run_start start = KEDGE_START_INIT;
    struct kedge_worker *worker;

    seen.n = seen.differ = seen.same = seen.bad = 0;
    def.user = reactor_user;
    worker = worker_open(&def, NULL);
    start.reactor = "look";
    start.version = 7;
    start.input = kedge_text(" {\"big\": 9007199254740993.0} ");
    start.context = (struct kedge_bytes){ "t\0\xffx", 4 };
    for (int i = 0; i < 2; i++) {
        const char *id = i == 0 ? "look-0" : "look-1";

        start.id = kedge_text(id);
        must(kedge_start(store, &start, LIVENESS, &err), "start");
        kedge_run_info_free(run_drain(worker, id));
    }
    kedge_worker_close(worker, LIVENESS);
    ok(seen.bad == 0, "a step sees input and context byte for byte, its deadline, fence, user");
    ok(seen.n == 2 * 6 && seen.differ == 0, "the key of an action is the same in every attempt");
    ok(seen.same == 0, "and another for each run, step and action");
}

/* ------------------------------------------------------------------- outcomes */

static int two_outcomes(struct kedge_step *step, void *user)
{
    (void)user;
    (void)kedge_ok(step, "1", 1);
    return kedge_fail(step, KEDGE_FAIL_FINAL, "the second");
}

static int no_outcome(struct kedge_step *step, void *user)
{
    (void)step;
    (void)user;
    atomic_fetch_add(&flag[0], 1);
    return 0;
}

static void outcomes(void)
{
    struct kedge_step_def steps[] = {
        { .name = "a", .run = two_outcomes, .retry = { .attempts = 3 } }
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("two", 1, steps);
    int before = atomic_load(&logged);

    check(&def, KEDGE_COMPLETED, "1", "", "of two outcomes the first counts");
    ok(atomic_load(&logged) == before + 1 && strstr(last_log, "'a'") != NULL &&
           strstr(last_log, "'two'") != NULL,
       "and the second is logged, with the names of step and reactor");
    lower_flags();
    def.name = "none";
    steps[0].run = no_outcome;
    check(&def, KEDGE_FAILED, "", "it returned without an outcome",
          "without an outcome a step has failed");
    ok(atomic_load(&flag[0]) == 1, "for good, whatever its retry policy");
}

/* ---------------------------------------------------------------------- later */

static struct {
    struct kedge_worker *worker;
    uint64_t token;
    struct kedge_outcome said;
    int answers[4];
    pthread_t thread;
} later;

static struct kedge_outcome outcome(uint32_t kind, const char *value)
{
    struct kedge_outcome said = { sizeof said, kind, 0, kedge_text(value), value, 0 };

    return said;
}

static int settle(uint32_t kind, const char *value)
{
    struct kedge_outcome said = outcome(kind, value);

    return kedge_settle(later.worker, later.token, &said, NULL);
}

static int settled_inside(struct kedge_step *step, void *user)
{
    struct kedge_outcome nonsense = outcome(99, "1");

    (void)user;
    (void)kedge_later(step, &later.token);
    nonsense.struct_size = 8;
    later.answers[0] = kedge_settle(later.worker, later.token, &nonsense, &err);
    nonsense.struct_size = sizeof nonsense;
    later.answers[1] = kedge_settle(later.worker, later.token, &nonsense, &err);
    later.answers[2] = settle(KEDGE_OUTCOME_OK, "\"inside\"");
    later.answers[3] = settle(KEDGE_OUTCOME_OK, "\"twice\"");
    return 0;
}

static void *settle_it(void *arg)
{
    (void)arg;
    atomic_store(&flag[0], 1);
    later.answers[0] = settle(later.said.kind, (const char *)later.said.value.data);
    later.answers[1] = settle(KEDGE_OUTCOME_OK, "\"twice\"");
    atomic_store(&flag[1], 1);
    return NULL;
}

/* Settled by a thread while the function is still running, or after it. */
static int settled_outside(struct kedge_step *step, void *user)
{
    (void)kedge_later(step, &later.token);
    if (pthread_create(&later.thread, NULL, settle_it, NULL) != 0)
        return kedge_fail(step, KEDGE_FAIL_FINAL, "no thread");
    if (user != NULL)
        (void)await_count(&flag[1], 1);
    return 0;
}

static struct kedge_run_info *run_later(const char *name, kedge_step_fn *run, void *user,
                                        uint32_t flags)
{
    struct kedge_step_def steps[] = { { .name = "a", .run = run, .flags = flags } };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT(name, 1, steps);
    struct kedge_run_info *info;

    def.user = user;
    lower_flags();
    memset(later.answers, 0x55, sizeof later.answers);
    later.worker = worker_open(&def, NULL);
    run_start(name, name);
    info = run_drain(later.worker, name);
    return info;
}

static void settled(void)
{
    static const uint32_t kinds[] = { KEDGE_OUTCOME_OK, KEDGE_OUTCOME_SKIP, KEDGE_OUTCOME_FAIL,
                                      KEDGE_OUTCOME_HALT };
    static const uint32_t ends[] = { KEDGE_COMPLETED, KEDGE_COMPLETED, KEDGE_FAILED, KEDGE_HALTED };
    struct kedge_run_info *info = run_later("inside", settled_inside, NULL, 0);

    ok(is(info->result, "\"inside\"") && later.answers[2] == KEDGE_OK,
       "settled inside the function");
    ok(later.answers[0] == KEDGE_ERR_INVALID && later.answers[1] == KEDGE_ERR_INVALID,
       "nonsense is not taken, and something else can be said");
    ok(later.answers[3] == KEDGE_STALE && settle(KEDGE_OUTCOME_OK, "1") == KEDGE_STALE,
       "a second time is stale, and so is one after the end");
    later.token ^= UINT64_C(1) << 40;
    ok(settle(KEDGE_OUTCOME_OK, "1") == KEDGE_STALE, "and a token nobody gave");
    kedge_worker_close(later.worker, LIVENESS);
    kedge_run_info_free(info);
    for (int i = 0; i < 4; i++) {
        for (int waits = 0; waits < 2; waits++) {
            char name[32];
            char what[96];

            (void)snprintf(name, sizeof name, "outside-%d-%d", i, waits);
            (void)snprintf(what, sizeof what, "settled by a thread %s the function's end: %s",
                           waits ? "before" : "about", kedge_run_status_text(ends[i]));
            later.said = outcome(kinds[i], "\"x\"");
            info = run_later(name, settled_outside, waits ? name : NULL, waits ? POOL : 0);
            (void)pthread_join(later.thread, NULL);
            ok(info->status == ends[i] && later.answers[0] == KEDGE_OK &&
                   later.answers[1] == KEDGE_STALE &&
                   is(info->result, kinds[i] == KEDGE_OUTCOME_OK ? "\"x\"" : "") &&
                   is(info->error, ends[i] == KEDGE_COMPLETED ? "" : "\"x\""),
               what);
            kedge_worker_close(later.worker, LIVENESS);
            kedge_run_info_free(info);
        }
    }
}

/* Never settled: many at once, without a thread each; the end of the worker; another does it. */
enum { PATIENT = 200 };

static int never_or_second(struct kedge_step *step, void *user)
{
    uint64_t token;

    (void)user;
    if ((kedge_step_view(step)->flags & KEDGE_STEP_IN_DOUBT) != 0)
        return kedge_ok(step, "\"second\"", 8);
    atomic_fetch_add(&flag[0], 1);
    return kedge_later(step, &token);
}

static void never_settled(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = never_or_second, .flags = POOL }
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("never", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;
    int good = 0;

    lower_flags();
    options.lease_ttl_us = 3600 * SECONDS;
    options.pool_threads = 2;
    worker = worker_open(&def, &options);
    for (int i = 0; i < PATIENT; i++) {
        char id[32];

        (void)snprintf(id, sizeof id, "never-%d", i);
        run_start("never", id);
    }
    while (atomic_load(&flag[0]) < PATIENT)
        (void)kedge_worker_drain(worker, SECONDS / 50, &err);
    ok(worker_counts(worker).in_flight == PATIENT && worker_counts(worker).pool_threads <= 2,
       "two hundred steps that wait for an event, on two threads");
    kedge_worker_close(worker, 0);
    worker = worker_open(&def, &options);
    must(kedge_worker_drain(worker, LIVENESS, &err), "drain");
    for (int i = 0; i < PATIENT; i++) {
        struct kedge_run_info *info;
        char id[32];

        (void)snprintf(id, sizeof id, "never-%d", i);
        info = run_await(id);
        good += is(info->result, "\"second\"") && info->recoveries == 0;
        kedge_run_info_free(info);
    }
    ok(good == PATIENT, "what nobody settles is in doubt when its worker has gone, elsewhere");
    kedge_worker_close(worker, LIVENESS);
}

/* ------------------------------------------------------------------- elsewhere */

static struct {
    uint64_t fence[2];
    char key[2][64];
    int lost;
} elsewhere;

static int first_never(struct kedge_step *step, void *user)
{
    int i = atomic_fetch_add(&flag[0], 1);

    (void)user;
    elsewhere.fence[i] = kedge_step_view(step)->fence;
    memcpy(elsewhere.key[i], kedge_step_view(step)->key.data, kedge_step_view(step)->key.len);
    return i == 0 ? kedge_later(step, &later.token) : kedge_ok(step, "\"second\"", 8);
}

static void see_lost(void *ctx, const struct kedge_event *event)
{
    (void)ctx;
    elsewhere.lost += event->kind == KEDGE_EVENT_RUN_LOST;
}

/* End the lease that holds the run, as only its owner or its death would. */
static void take_away(const char *id)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_run_info *info;
    struct kedge_id128 lease;
    void *session;

    must(kedge_run_get(store, kedge_text(id), 0, &info, LIVENESS, &err), "get");
    memcpy(lease.b, info->holder, sizeof lease.b);
    kedge_run_info_free(info);
    must(ops->session_open(kedge_store_handle(store), &session, &err), "session");
    must(ops->lease_revoke(session, &lease, LIVENESS, &err), "revoke");
    ops->session_close(session);
}

static void gone_elsewhere(void)
{
    static const struct kedge_step_def steps[] = { { .name = "a", .run = first_never } };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("gone", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *second;
    struct kedge_run_info *info;
    int rc;

    lower_flags();
    memset(&elsewhere, 0, sizeof elsewhere);
    options.observe = see_lost;
    later.worker = worker_open(&def, &options);
    run_start("gone", "gone");
    while (atomic_load(&flag[0]) == 0)
        (void)kedge_worker_drain(later.worker, SECONDS / 50, &err);
    take_away("gone");
    second = worker_open(&def, NULL);
    must(kedge_worker_drain(second, LIVENESS, &err), "drain");
    rc = settle(KEDGE_OUTCOME_OK, "\"late\"");
    must(kedge_worker_drain(later.worker, LIVENESS, &err), "drain");
    info = run_await("gone");
    ok(is(info->result, "\"second\"") && elsewhere.lost == 1,
       "an outcome that comes when the run is elsewhere changes nothing, and is told once");
    ok((rc == KEDGE_OK || rc == KEDGE_STALE) &&
           settle(KEDGE_OUTCOME_OK, "\"later\"") == KEDGE_STALE,
       "then its token is stale");
    ok(elsewhere.fence[1] > elsewhere.fence[0] && elsewhere.key[0][0] != '\0' &&
           strcmp(elsewhere.key[0], elsewhere.key[1]) == 0,
       "the fence has risen, the key is the same");
    kedge_run_info_free(info);
    kedge_worker_close(second, LIVENESS);
    kedge_worker_close(later.worker, LIVENESS);
}

/* ------------------------------------------------------------ versions and queues */

static int say_version(struct kedge_step *step, void *user)
{
    char text[16];

    (void)user;
    (void)snprintf(text, sizeof text, "%u", (unsigned)kedge_step_view(step)->version);
    return kedge_ok(step, text, strlen(text));
}

static struct kedge_worker *open_versions(uint32_t first, uint32_t last, const char *queue)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = say_version },
        { .name = "b", .run = say_version, .after = after_a },
        { .name = "c", .run = say_version, .after = after_b },
    };
    const char *const queues[] = { queue, NULL };
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_reactor *reactors[4];
    const struct kedge_reactor *served[4];
    struct kedge_worker *worker;

    for (uint32_t v = first; v <= last; v++) {
        struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("sides", v, steps);

        def.n_steps = v; /* each has a step more */
        must(kedge_reactor_new(&def, &reactors[options.n_reactors], &err), "reactor");
        served[options.n_reactors] = reactors[options.n_reactors];
        options.n_reactors++;
    }
    options.reactors = served;
    options.queues = queue != NULL ? queues : NULL;
    must(kedge_worker_open(store, &options, &worker, &err), "worker");
    for (size_t i = 0; i < options.n_reactors; i++)
        kedge_reactor_free(reactors[i]);
    return worker;
}

static void start_version(uint32_t version, const char *id, const char *queue)
{
    struct kedge_run_start start = KEDGE_START_INIT;

    start.reactor = "sides";
    start.version = version;
    start.id = kedge_text(id);
    start.queue = kedge_text(queue);
    must(kedge_start(store, &start, LIVENESS, &err), "start");
}

static int place_of(const char *id, uint64_t *records)
{
    struct kedge_run_info *info;
    int place;

    must(kedge_run_get(store, kedge_text(id), 0, &info, LIVENESS, &err), "get");
    place = (int)info->place;
    *records = info->records;
    kedge_run_info_free(info);
    return place;
}

static void versions(void)
{
    struct kedge_worker *worker = open_versions(1, 2, NULL);
    uint64_t records[3];
    int places[3];

    for (uint32_t v = 1; v <= 3; v++) {
        char id[16];

        (void)snprintf(id, sizeof id, "version-%u", (unsigned)v);
        start_version(v, id, NULL);
    }
    must(kedge_worker_drain(worker, LIVENESS, &err), "drain");
    for (int i = 0; i < 3; i++) {
        static const char *const ids[] = { "version-1", "version-2", "version-3" };

        places[i] = place_of(ids[i], &records[i]);
    }
    ok(places[0] == KEDGE_PLACE_REST && records[0] == 3 && places[1] == KEDGE_PLACE_REST &&
           records[1] == 4,
       "versions side by side: each run has the steps of its own");
    ok(places[2] == KEDGE_PLACE_DUE, "a run of another version waits for a worker that has it");
    kedge_worker_close(worker, LIVENESS);
    worker = open_versions(3, 3, NULL);
    must(kedge_worker_drain(worker, LIVENESS, &err), "drain");
    ok(place_of("version-3", &records[2]) == KEDGE_PLACE_REST && records[2] == 5, "and gets it");
    kedge_worker_close(worker, LIVENESS);
}

static void queues(void)
{
    struct kedge_worker *worker = open_versions(1, 1, "quick");
    uint64_t records;
    int places[3];

    start_version(1, "queue-quick", "quick");
    start_version(1, "queue-slow", "slow");
    start_version(1, "queue-none", NULL);
    must(kedge_worker_drain(worker, LIVENESS, &err), "drain");
    places[0] = place_of("queue-quick", &records);
    places[1] = place_of("queue-slow", &records);
    places[2] = place_of("queue-none", &records);
    ok(places[0] == KEDGE_PLACE_REST && places[1] == KEDGE_PLACE_DUE &&
           places[2] == KEDGE_PLACE_DUE,
       "a worker serves its queues and no others");
    kedge_worker_close(worker, LIVENESS);
    worker = open_versions(1, 1, NULL);
    must(kedge_worker_drain(worker, LIVENESS, &err), "drain");
    ok(place_of("queue-none", &records) == KEDGE_PLACE_REST &&
           place_of("queue-slow", &records) == KEDGE_PLACE_DUE,
       "without a word it serves the one called default");
    kedge_worker_close(worker, LIVENESS);
}

/* ------------------------------------------------------------- what it leaves alone */

#define SIGNALS 64

static void signals_now(struct sigaction *to)
{
    memset(to, 0, SIGNALS * sizeof *to);
    for (int i = 1; i < SIGNALS; i++)
        (void)sigaction(i, NULL, &to[i]);
}

static int same_handlers(const struct sigaction *a, const struct sigaction *b)
{
    int same = 1;

    for (int i = 1; i < SIGNALS; i++)
        same &= a[i].sa_handler == b[i].sa_handler && a[i].sa_flags == b[i].sa_flags;
    return same;
}

/* Nothing but the log is used to speak, whatever there is to tell. */
static void quiet(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = two_outcomes, .undo = say_null, .flags = POOL },
        { .name = "b", .run = no_outcome, .compensate = no_outcome, .after = after_a },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("quiet", 1, steps);
    struct sigaction before[SIGNALS];
    struct sigaction during[SIGNALS];
    struct sigaction after[SIGNALS];
    int saved[2] = { dup(1), dup(2) };
    FILE *file = tmpfile();
    struct kedge_worker *worker;
    struct kedge_run_info *info;
    int told = atomic_load(&logged);
    off_t size;

    must(file != NULL && saved[0] >= 0 && saved[1] >= 0 ? 0 : KEDGE_ERR_UNAVAILABLE, "files");
    signals_now(before);
    (void)fflush(stdout);
    (void)dup2(fileno(file), 1);
    (void)dup2(fileno(file), 2);
    worker = worker_open(&def, NULL);
    run_start("quiet", "quiet");
    info = run_drain(worker, "quiet");
    signals_now(during);
    kedge_worker_close(worker, LIVENESS);
    (void)fflush(stdout);
    (void)fflush(stderr);
    (void)dup2(saved[0], 1);
    (void)dup2(saved[1], 2);
    size = lseek(fileno(file), 0, SEEK_END);
    signals_now(after);
    ok(size == 0 && atomic_load(&logged) > told && info->status == KEDGE_STUCK,
       "what there is to tell goes to the log, and nothing is printed");
    ok(same_handlers(before, during) && same_handlers(before, after),
       "no signal handler is installed");
    kedge_run_info_free(info);
    (void)close(saved[0]);
    (void)close(saved[1]);
    (void)fclose(file);
}

static void all(void)
{
    in_parallel();
    first_failure("first-first", "a");
    first_failure("first-last", "b");
    in_parallel_after_brief();
    durable_meanwhile("late-first", "a");
    durable_meanwhile("late-last", "b");
    stopped_by_a_sibling();
    the_view();
    outcomes();
    settled();
    never_settled();
    gone_elsewhere();
    versions();
    queues();
    quiet();
}

int main(int argc, char **argv)
{
    static struct kedge_host host;

    host = *kedge_host_default();
    host.log = log_text;
    return saga_main(argc, argv, &host, all);
}
