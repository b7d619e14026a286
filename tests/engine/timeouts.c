/*
 * timeouts.c - step timeouts, functions that do not return, run deadlines, holds; speaks TAP
 *
 * Over any store, by its own clock; with the clock moved by hand, once (with mem:); with worker
 * processes, where the store can be shared.
 *
 *	./timeouts URL DIR
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <kedge/backend.h>
#include <kedge/testing.h>

#include "effects.h"

#define MS         INT64_C(1000)
#define PATIENCE   (60 * SECONDS) /* of the test: what takes longer does not come */
#define HOUR       (3600 * SECONDS)
#define CALLS_MOST 64

static const char *url;
static struct kedge_store *store;
static int n_tests;
static int n_failed;

static void ok(int good, const char *what)
{
    printf("%sok %d - %s\n", good ? "" : "not ", ++n_tests, what);
    (void)fflush(stdout);
    n_failed += !good;
}

/* ------------------------------------------------------------------ probes */

/* What a step's function does. */
enum mode {
    QUICK,   /* ok */
    HEED,    /* waits until it is told to stop, and fails */
    HEED_OK, /* ... and says ok all the same */
    DEAF,    /* waits for the gate, and says ok */
    SAID,    /* says ok, and waits for the gate */
    FAIL,
    LATER,
    SNOOZE
};

struct call {
    uint32_t action;
    uint32_t attempt;
    uint32_t flags;
    char key[64];
    uint64_t token;
    int told;  /* it has seen that it is told to stop */
    int right; /* what it borrowed was what it should be, to the end */
};

/* All functions of a step, and what they have been through. */
struct probe {
    enum mode modes[3][10]; /* by action - 1; then QUICK */
    int n_modes[3];
    struct call calls[CALLS_MOST];
    int n_calls;
    int n_of[3];
    int inside;
    int overlaps;
    int returned;
    int gate; /* open */
    int texts;
    char text[256]; /* of the last attempt that failed */
    const char *borrows;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;

static void init_cond(void)
{
    pthread_condattr_t attr;

    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&changed, &attr);
    (void)pthread_condattr_destroy(&attr);
}

static void tell(void)
{
    (void)pthread_cond_broadcast(&changed);
}

/* Wait until *N is at least LEAST; answers 0 if it does not come to that. */
static int reaches_in(const int *n, int least, int64_t us)
{
    int64_t until = now_us() + us;
    struct timespec ts = { (time_t)(until / SECONDS), (long)(until % SECONDS) * 1000 };
    int good;

    (void)pthread_mutex_lock(&lock);
    while (*n < least && now_us() < until)
        (void)pthread_cond_timedwait(&changed, &lock, &ts);
    good = *n >= least;
    (void)pthread_mutex_unlock(&lock);
    return good;
}

static int reaches(const int *n, int least)
{
    return reaches_in(n, least, PATIENCE);
}

static int get(const int *n)
{
    int now;

    (void)pthread_mutex_lock(&lock);
    now = *n;
    (void)pthread_mutex_unlock(&lock);
    return now;
}

static void open_gate(struct probe *p)
{
    (void)pthread_mutex_lock(&lock);
    p->gate = 1;
    tell();
    (void)pthread_mutex_unlock(&lock);
}

static void see_stop(struct kedge_step *step, struct call *call)
{
    struct pollfd at = { .fd = kedge_step_stop_fd(step), .events = POLLIN };

    if (poll(&at, 1, (int)(PATIENCE / 1000)) != 1 || !kedge_step_stopping(step))
        return;
    (void)pthread_mutex_lock(&lock);
    call->told = 1;
    tell();
    (void)pthread_mutex_unlock(&lock);
}

static void wait_for_gate(const struct probe *p)
{
    (void)reaches(&p->gate, 1);
}

/* Does it still see what it depends on? */
static int sees(struct kedge_step *step, const struct probe *p, const struct kedge_bytes *before)
{
    static const char text[] = "{\"borrowed\":\"a value of some length, to be read to its end\"}";
    struct kedge_bytes value = { NULL, 0 };

    if (p->borrows == NULL)
        return 1;
    if (kedge_step_result(step, p->borrows, &value, NULL) != KEDGE_OK)
        return 0;
    return value.len == sizeof text - 1 && memcmp(value.data, text, value.len) == 0 &&
           (before == NULL ||
            (before->len == value.len && memcmp(before->data, text, before->len) == 0));
}

static struct call *enter(struct kedge_step *step, struct probe *p, enum mode *mode)
{
    const struct kedge_view *view = kedge_step_view(step);
    uint32_t a = view->action - 1;
    struct call *call;
    int n;

    (void)pthread_mutex_lock(&lock);
    if (p->n_calls == CALLS_MOST)
        bail("called too often");
    n = p->n_of[a]++;
    call = &p->calls[p->n_calls++];
    *call = (struct call){ .action = view->action, .attempt = view->attempt, .flags = view->flags };
    memcpy(call->key, view->key.data, view->key.len);
    p->overlaps += p->inside++ > 0;
    *mode = n < p->n_modes[a] ? p->modes[a][n] : QUICK;
    tell();
    (void)pthread_mutex_unlock(&lock);
    return call;
}

static int leave(struct probe *p, int rc)
{
    (void)pthread_mutex_lock(&lock);
    p->inside--;
    p->returned++;
    tell();
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

static int act(struct kedge_step *step, void *user)
{
    struct probe *p = user;
    enum mode mode;
    struct call *call = enter(step, p, &mode);
    struct kedge_bytes borrowed = { NULL, 0 };
    char value[16];

    if (p->borrows != NULL)
        (void)kedge_step_result(step, p->borrows, &borrowed, NULL);
    (void)snprintf(value, sizeof value, "%d", p->n_calls);
    switch (mode) {
    case HEED:
        see_stop(step, call);
        return leave(p, kedge_fail(step, 0, "told to stop"));
    case HEED_OK:
        see_stop(step, call);
        return leave(p, kedge_ok(step, "\"late\"", 6));
    case DEAF:
        see_stop(step, call);
        wait_for_gate(p);
        call->right = sees(step, p, &borrowed);
        return leave(p, kedge_ok(step, "\"late\"", 6));
    case SAID:
        (void)kedge_ok(step, value, strlen(value));
        wait_for_gate(p);
        return leave(p, 0);
    case FAIL:
        return leave(p, kedge_fail(step, 0, "it fails"));
    case LATER:
        (void)kedge_later(step, &call->token); /* the test looks when it has returned */
        return leave(p, 0);
    case SNOOZE:
        return leave(p, kedge_snooze(step, HOUR));
    case QUICK:
    default:
        return leave(p, kedge_ok(step, value, strlen(value)));
    }
}

static int lend(struct kedge_step *step, void *user)
{
    static const char text[] = "{\"borrowed\":\"a value of some length, to be read to its end\"}";

    (void)user;
    return kedge_ok(step, text, sizeof text - 1);
}

/* --------------------------------------------------------------- reactors */

#define STEPS_MOST 4

static struct kedge_reactor *reactor_of(const char *name, const struct kedge_step_def *steps,
                                        size_t n)
{
    struct kedge_reactor_def def = { .struct_size = sizeof def,
                                     .name = name,
                                     .version = 1,
                                     .steps = steps,
                                     .n_steps = n,
                                     .step_size = sizeof *steps };
    struct kedge_reactor *reactor;

    must(kedge_reactor_new(&def, &reactor, &err), name);
    return reactor;
}

static struct kedge_step_def step_of(const char *name, struct probe *p, int64_t timeout_us,
                                     uint32_t attempts)
{
    return (struct kedge_step_def){ .name = name,
                                    .flags = KEDGE_STEP_POOL,
                                    .run = act,
                                    .user = p,
                                    .retry = { .attempts = attempts },
                                    .timeout_us = timeout_us };
}

static void modes(struct probe *p, uint32_t action, int n, enum mode a, enum mode b, enum mode c)
{
    const enum mode all[3] = { a, b, c };

    for (int i = 0; i < n; i++)
        p->modes[action - 1][i] = all[i];
    p->n_modes[action - 1] = n;
}

/* ----------------------------------------------------------------- workers */

struct work {
    struct kedge_worker *worker;
    struct kedge_reactor *reactor;
    struct kedge_reactor *other;
    pthread_t thread;
    int stopped; /* run has returned */
    int closed;
    int taken;
    int left;
    int ended;
    int lost;
    int lease_lost;
    int recovered;
    struct probe *probe; /* takes the texts of failed attempts */
};

static void watch(void *ctx, const struct kedge_event *event)
{
    struct work *w = ctx;

    (void)pthread_mutex_lock(&lock);
    w->taken += event->kind == KEDGE_EVENT_RUN_TAKEN;
    w->left += event->kind == KEDGE_EVENT_RUN_LEFT;
    w->ended += event->kind == KEDGE_EVENT_RUN_ENDED;
    w->lost += event->kind == KEDGE_EVENT_RUN_LOST;
    w->lease_lost += event->kind == KEDGE_EVENT_LEASE_LOST;
    w->recovered += event->kind == KEDGE_EVENT_RUN_RECOVERED;
    if (event->kind == KEDGE_EVENT_STEP_ENDED && event->outcome == KEDGE_OUTCOME_FAIL &&
        w->probe != NULL) {
        (void)snprintf(w->probe->text, sizeof w->probe->text, "%s", event->text);
        w->probe->texts++;
    }
    tell();
    (void)pthread_mutex_unlock(&lock);
}

/* Nobody looks for what is late: only what is armed wakes the worker. */
static struct kedge_worker_options usual(void)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;

    options.look_us = HOUR;
    options.sweep_us = HOUR;
    options.lease_ttl_us = 100 * HOUR;
    options.pool_threads = 4;
    return options;
}

static void *run_worker(void *arg)
{
    struct work *w = arg;

    must(kedge_worker_run(w->worker, &err), "run");
    (void)pthread_mutex_lock(&lock);
    w->stopped = 1;
    tell();
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

static void open_work(struct work *w, struct kedge_store *on, struct kedge_worker_options options)
{
    const struct kedge_reactor *reactors[2] = { w->reactor, w->other };

    options.reactors = reactors;
    options.n_reactors = w->other != NULL ? 2 : 1;
    options.observe = watch;
    options.observe_ctx = w;
    w->stopped = 0;
    must(kedge_worker_open(on, &options, &w->worker, &err), "worker");
}

static void begin_work(struct work *w, struct kedge_store *on, struct kedge_worker_options options)
{
    open_work(w, on, options);
    if (pthread_create(&w->thread, NULL, run_worker, w) != 0)
        bail("no thread");
}

static void end_work(struct work *w)
{
    kedge_worker_stop(w->worker);
    (void)pthread_join(w->thread, NULL);
    kedge_worker_close(w->worker, 10 * SECONDS);
    kedge_reactor_free(w->reactor);
    kedge_reactor_free(w->other);
}

static void start_run_by(struct kedge_store *on, const char *id, const char *reactor,
                         int64_t timeout_us)
{
    struct kedge_run_start start = KEDGE_START_INIT;

    start.reactor = reactor;
    start.version = 1;
    start.id = kedge_text(id);
    start.timeout_us = timeout_us;
    must(kedge_start(on, &start, PATIENCE, &err), "start");
}

static void start_run(const char *id, const char *reactor)
{
    start_run_by(store, id, reactor, 0);
}

/* Status and error of a run once it is at rest; and the result. */
static uint32_t ends_as(struct kedge_store *on, const char *id, char *text, size_t size)
{
    struct kedge_run_info *info;
    uint32_t status;
    int rc = kedge_run_wait(on, kedge_text(id), &info, PATIENCE, &err);

    if (rc == KEDGE_QUIET)
        return 0;
    must(rc, "wait");
    status = info->status;
    if (text != NULL) {
        struct kedge_bytes from = status == KEDGE_COMPLETED ? info->result : info->error;

        (void)snprintf(text, size, "%.*s", (int)from.len,
                       from.data != NULL ? (const char *)from.data : "");
    }
    kedge_run_info_free(info);
    return status;
}

static int completes(const char *id, const char *value)
{
    char text[256] = "";

    return ends_as(store, id, text, sizeof text) == KEDGE_COMPLETED && strcmp(text, value) == 0;
}

static int fails(const char *id, const char *why)
{
    char text[256] = "";

    return ends_as(store, id, text, sizeof text) == KEDGE_FAILED && strcmp(text, why) == 0;
}

static struct kedge_run_info *info_of(struct kedge_store *on, const char *id)
{
    struct kedge_run_info *info;

    must(kedge_run_get(on, kedge_text(id), 0, &info, PATIENCE, &err), "get");
    return info;
}

/* CPU time of all threads: whoever turns in circles uses it. */
static int64_t cpu_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * SECONDS + ts.tv_nsec / 1000;
}

static int is_idle(void)
{
    int64_t before = cpu_us();

    nap_us(500 * MS); /* the very thing to be measured */
    return cpu_us() - before < 150 * MS;
}

static int same_keys(const struct probe *p)
{
    for (int i = 1; i < p->n_calls; i++)
        if (p->calls[i].action == p->calls[0].action &&
            strcmp(p->calls[i].key, p->calls[0].key) != 0)
            return 0;
    return 1;
}

static int is_late_text(const struct probe *p)
{
    return strstr(p->text, "took longer than its") != NULL;
}

/* ------------------------------------------------------- any store, its own clock */

static void heeded(void)
{
    struct probe p = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 50 * MS, 3) };
    struct work w = { .reactor = reactor_of("heeded", steps, 1), .probe = &p };

    modes(&p, KEDGE_ACTION_RUN, 2, HEED_OK, HEED, QUICK);
    begin_work(&w, store, usual());
    start_run("heeded", "heeded");
    ok(completes("heeded", "3"), "heeded: the third attempt counts, no late outcome does");
    ok(p.calls[0].told && p.calls[1].told, "heeded: the step is told to stop, in time");
    ok(p.n_calls == 3 && p.calls[0].attempt == 1 && p.calls[1].attempt == 2 &&
           p.calls[2].attempt == 3,
       "heeded: attempts are counted");
    ok((p.calls[0].flags & KEDGE_STEP_IN_DOUBT) == 0 &&
           (p.calls[1].flags & p.calls[2].flags & KEDGE_STEP_IN_DOUBT) != 0 && same_keys(&p),
       "heeded: later ones are in doubt, with the same key");
    ok(is_late_text(&p) && p.texts == 2, "heeded: the failed attempts say why");
    ok(p.overlaps == 0, "heeded: one at a time");
    end_work(&w);
}

static void deaf(void)
{
    struct probe p = { 0 };
    struct probe q = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 50 * MS, 2) };
    struct kedge_step_def others[] = { step_of("s", &q, 50 * MS, 2) };
    struct work w = { .reactor = reactor_of("deaf", steps, 1),
                      .other = reactor_of("quick", others, 1),
                      .probe = &p };

    modes(&p, KEDGE_ACTION_RUN, 1, DEAF, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run("deaf", "deaf");
    ok(reaches(&p.calls[0].told, 1) && reaches(&p.texts, 1), "deaf: the attempt fails");
    start_run("deaf-other", "quick");
    ok(completes("deaf-other", "1"), "deaf: other runs go on");
    ok(reaches(&w.left, 2), "deaf: the run is left to others, again and again");
    ok(get(&p.n_calls) == 1 && get(&p.inside) == 1, "deaf: nothing starts before it returns");
    open_gate(&p);
    ok(completes("deaf", "2"), "deaf: when it returns the next attempt starts");
    ok(p.overlaps == 0 && p.n_calls == 2 && same_keys(&p) &&
           (p.calls[1].flags & KEDGE_STEP_IN_DOUBT) != 0 && p.calls[1].attempt == 2,
       "deaf: alone, in doubt, with the same key, as the second attempt");
    end_work(&w);
}

/* Another worker of the same process has the run by then: it waits for that function as well. */
static void deaf_elsewhere(void)
{
    struct probe p = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 50 * MS, 2) };
    struct work w = { .reactor = reactor_of("deaf-2", steps, 1), .probe = &p };
    struct work v = { .reactor = reactor_of("deaf-2", steps, 1), .probe = &p };

    modes(&p, KEDGE_ACTION_RUN, 1, DEAF, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run("deaf-2", "deaf-2");
    (void)reaches(&p.texts, 1);
    begin_work(&v, store, usual());
    ok(reaches(&v.left, 1), "deaf elsewhere: another worker takes the run, and leaves it");
    ok(get(&p.n_calls) == 1 && get(&p.inside) == 1,
       "deaf elsewhere: it starts nothing before the function has returned");
    open_gate(&p);
    ok(completes("deaf-2", "2") && p.overlaps == 0, "deaf elsewhere: then it goes on");
    end_work(&v);
    end_work(&w);
}

static void rolled_back(void)
{
    struct probe first = { 0 };
    struct probe p = { 0 };
    static const char *const after[] = { "first", NULL };
    struct kedge_step_def steps[] = { step_of("first", &first, 0, 1),
                                      step_of("s", &p, 50 * MS, 1) };
    struct work w = { .probe = &p };

    steps[0].undo = act;
    steps[1].after = after;
    steps[1].compensate = act;
    w.reactor = reactor_of("back", steps, 2);
    modes(&p, KEDGE_ACTION_RUN, 1, DEAF, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run("back", "back");
    ok(reaches(&p.texts, 1) && reaches(&w.left, 1), "back: the only attempt fails");
    ok(get(&p.n_calls) == 1 && get(&first.n_calls) == 1, "back: nothing is taken back meanwhile");
    open_gate(&p);
    ok(fails("back", "it took longer than its 50 ms"), "back: the run fails");
    ok(p.overlaps == 0 && p.n_calls == 2 && p.calls[1].action == KEDGE_ACTION_COMPENSATE &&
           (p.calls[1].flags & KEDGE_STEP_IN_DOUBT) != 0,
       "back: it is compensated once it has returned, in doubt");
    ok(first.n_of[KEDGE_ACTION_UNDO - 1] == 1, "back: what was done is undone");
    end_work(&w);
}

/* What it borrowed stays, though the run is over before it has returned. */
static void borrowed(void)
{
    struct probe p = { .borrows = "first" };
    static const char *const after[] = { "first", NULL };
    struct kedge_step_def steps[] = { { .name = "first", .run = lend },
                                      step_of("s", &p, 50 * MS, 1) };
    struct work w = { .probe = &p };

    steps[1].after = after;
    w.reactor = reactor_of("borrowed", steps, 2);
    modes(&p, KEDGE_ACTION_RUN, 1, DEAF, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run("borrowed", "borrowed");
    ok(fails("borrowed", "it took longer than its 50 ms") && get(&p.inside) == 1,
       "borrowed: a run with nothing to take back fails before the function returns");
    open_gate(&p);
    ok(reaches(&p.returned, 1) && p.calls[0].right, "borrowed: what it has borrowed stays");
    end_work(&w);
}

static int settle(struct work *w, uint64_t token)
{
    struct kedge_outcome said = { sizeof said, KEDGE_OUTCOME_OK,
                                  0,           kedge_text("\"settled\""),
                                  NULL,        0 };

    return kedge_settle(w->worker, token, &said, &err);
}

static void later(void)
{
    struct probe p = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 100 * MS, 9) };
    struct work w = { .reactor = reactor_of("later", steps, 1), .probe = &p };
    int rc;

    for (int i = 0; i < 9; i++)
        p.modes[0][i] = LATER;
    p.n_modes[0] = 9;
    begin_work(&w, store, usual());
    start_run("later", "later");
    ok(reaches(&p.returned, 2) && is_late_text(&p), "later: never settled, it is tried again");
    ok(settle(&w, p.calls[0].token) == KEDGE_STALE, "later: its token is stale then");
    rc = KEDGE_STALE;
    for (int i = 1; i < 9 && rc == KEDGE_STALE; i++) { /* a slow machine may be late */
        if (reaches(&p.returned, i + 1))
            rc = settle(&w, p.calls[i].token);
    }
    ok(rc == KEDGE_OK, "later: settled in time, it counts");
    ok(ends_as(store, "later", NULL, 0) == KEDGE_COMPLETED && p.overlaps == 0,
       "later: and the run completes");
    end_work(&w);
}

/* Others of the run commit while the outcome of one is awaited. */
static void later_among_others(void)
{
    struct probe p = { 0 };
    struct probe q = { 0 };
    static const char *const after[] = { "q1", NULL };
    struct kedge_step_def steps[] = { step_of("s", &p, 300 * MS, 2), step_of("q1", &q, 0, 1),
                                      step_of("q2", &q, 0, 1) };
    struct work w = { .probe = &p };

    steps[2].after = after;
    w.reactor = reactor_of("among", steps, 3);
    modes(&p, KEDGE_ACTION_RUN, 1, LATER, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run("among", "among");
    ok(reaches_in(&p.n_calls, 2, 10 * SECONDS) && p.calls[1].attempt == 2,
       "later: its time runs while others of the run commit");
    ok(ends_as(store, "among", NULL, 0) == KEDGE_COMPLETED, "later: and that run completes");
    end_work(&w);
}

/* Nobody else can have acted on its time being over: what it did counts. */
static void on_loop(void)
{
    struct probe p = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 20 * MS, 3) };
    struct work w = { .probe = &p };

    steps[0].flags = 0;
    w.reactor = reactor_of("loop", steps, 1);
    modes(&p, KEDGE_ACTION_RUN, 1, SAID, QUICK, QUICK);
    p.modes[0][0] = SAID;
    begin_work(&w, store, usual());
    start_run("loop", "loop");
    (void)reaches(&p.n_calls, 1);
    nap_us(40 * MS); /* its time is over */
    open_gate(&p);
    ok(completes("loop", "1") && p.n_calls == 1,
       "loop: a step that overstays there is looked at when it returns, and counts");
    end_work(&w);
}

static void *close_worker(void *arg)
{
    struct work *w = arg;

    kedge_worker_close(w->worker, 0);
    (void)pthread_mutex_lock(&lock);
    w->closed = 1;
    tell();
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

static void stopped(void)
{
    struct probe p = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 50 * MS, 5) };
    struct work w = { .reactor = reactor_of("stopped", steps, 1), .probe = &p };
    struct work v = { .reactor = reactor_of("stopped", steps, 1), .probe = &p };
    struct kedge_run_info *info;

    modes(&p, KEDGE_ACTION_RUN, 1, DEAF, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run("stopped", "stopped");
    (void)reaches(&p.n_calls, 1);
    kedge_worker_stop(w.worker);
    ok(reaches(&w.stopped, 1) && get(&p.inside) == 1,
       "stop: run returns when the time of a deaf step is over");
    info = info_of(store, "stopped");
    ok(info->place == KEDGE_PLACE_DUE && info->recoveries == 0, "stop: its run is due");
    kedge_run_info_free(info);
    (void)pthread_join(w.thread, NULL);
    if (pthread_create(&w.thread, NULL, close_worker, &w) != 0)
        bail("no thread");
    ok(!reaches_in(&w.closed, 1, 200 * MS), "stop: close waits for the function");
    open_gate(&p);
    ok(reaches(&w.closed, 1), "stop: and returns after it");
    (void)pthread_join(w.thread, NULL);
    kedge_reactor_free(w.reactor);
    begin_work(&v, store, usual());
    ok(completes("stopped", "2") && (p.calls[1].flags & KEDGE_STEP_IN_DOUBT) != 0,
       "stop: another worker carries the run on");
    end_work(&v);
}

static void undo_late(void)
{
    struct probe p = { 0 };
    struct probe bad = { 0 };
    static const char *const after[] = { "s", NULL };
    struct kedge_step_def steps[] = { step_of("s", &p, 50 * MS, 2),
                                      step_of("bad", &bad, 50 * MS, 1) };
    struct work w = { .probe = &p };
    char text[256] = "";
    uint32_t status;

    steps[0].undo = act;
    steps[1].after = after;
    steps[1].compensate = act;
    w.reactor = reactor_of("undo", steps, 2);
    modes(&p, KEDGE_ACTION_UNDO, 2, HEED_OK, HEED_OK, QUICK);
    modes(&bad, KEDGE_ACTION_RUN, 1, FAIL, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run("undo", "undo");
    status = ends_as(store, "undo", text, sizeof text);
    ok(status == KEDGE_STUCK && strcmp(text, "it took longer than its 50 ms") == 0,
       "undo: one whose time is always over makes the run stuck");
    ok(p.n_of[KEDGE_ACTION_UNDO - 1] == 2 && p.overlaps == 0 && p.calls[1].attempt == 1 &&
           p.calls[2].attempt == 2 && (p.calls[1].flags & KEDGE_STEP_IN_DOUBT) == 0 &&
           (p.calls[2].flags & KEDGE_STEP_IN_DOUBT) != 0 &&
           strcmp(p.calls[1].key, p.calls[2].key) == 0,
       "undo: it is retried before, in doubt, with the same key");
    end_work(&w);
}

static void compensate_late(void)
{
    struct probe p = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 100 * MS, 2) };
    struct work w = { .probe = &p };

    steps[0].compensate = act;
    w.reactor = reactor_of("compensate", steps, 1);
    modes(&p, KEDGE_ACTION_RUN, 2, FAIL, FAIL, QUICK);
    modes(&p, KEDGE_ACTION_COMPENSATE, 1, DEAF, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run("compensate", "compensate");
    ok(reaches(&p.n_of[KEDGE_ACTION_COMPENSATE - 1], 1) && reaches(&p.texts, 3) &&
           get(&p.n_of[KEDGE_ACTION_COMPENSATE - 1]) == 1,
       "compensate: its time is over, and it is not tried again before it returns");
    open_gate(&p);
    ok(fails("compensate", "it fails"), "compensate: then it is");
    ok(p.overlaps == 0 && p.n_calls == 4 && (p.calls[2].flags & KEDGE_STEP_IN_DOUBT) == 0 &&
           (p.calls[3].flags & KEDGE_STEP_IN_DOUBT) != 0 && p.calls[3].attempt == 2,
       "compensate: in doubt, as the second attempt");
    end_work(&w);
}

static const char too_late[] = "the run's deadline has passed";

static void deadline_running(void)
{
    struct probe p = { 0 };
    struct probe q = { 0 };
    static const char *const after[] = { "q", NULL };
    static const char *const after_s[] = { "s", NULL };
    struct kedge_step_def steps[] = { step_of("q", &q, 0, 1), step_of("s", &p, 0, 1),
                                      step_of("never", &q, 0, 1) };
    struct work w = { .probe = &p };

    steps[0].undo = act;
    steps[1].after = after;
    steps[2].after = after_s;
    w.reactor = reactor_of("deadline", steps, 3);
    modes(&p, KEDGE_ACTION_RUN, 1, HEED, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run_by(store, "deadline", "deadline", 300 * MS);
    ok(fails("deadline", too_late) && p.calls[0].told,
       "deadline: a step under way is told to stop, and the run fails");
    ok(q.n_of[KEDGE_ACTION_RUN - 1] == 1 && q.n_of[KEDGE_ACTION_UNDO - 1] == 1,
       "deadline: what was done is undone, and nothing starts");
    end_work(&w);
}

static void deadline_waiting(void)
{
    struct probe p = { 0 };
    struct probe q = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 0, 5) };
    struct kedge_step_def others[] = { step_of("s", &q, 0, 5) };
    struct work w = { .probe = &p };

    steps[0].retry.base_us = HOUR;
    w.reactor = reactor_of("backoff", steps, 1);
    w.other = reactor_of("snooze", others, 1);
    modes(&p, KEDGE_ACTION_RUN, 1, FAIL, QUICK, QUICK);
    modes(&q, KEDGE_ACTION_RUN, 1, SNOOZE, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run_by(store, "backoff", "backoff", 300 * MS);
    start_run_by(store, "snooze", "snooze", 300 * MS);
    ok(fails("backoff", too_late) && p.n_calls == 1, "deadline: it wakes a run that backs off");
    ok(fails("snooze", too_late) && q.n_calls == 1, "deadline: and one that snoozes");
    end_work(&w);
}

static void deadline_paused(void)
{
    struct probe p = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 0, 2) };
    struct work w = { .reactor = reactor_of("paused", steps, 1), .probe = &p };
    struct kedge_request request = KEDGE_REQUEST_INIT;
    struct kedge_worker_options options = usual();

    options.look_us = 20 * MS;
    start_run_by(store, "paused", "paused", 400 * MS);
    request.verb = KEDGE_VERB_PAUSE;
    request.run = kedge_text("paused");
    must(kedge_run_request(store, &request, NULL, PATIENCE, &err), "pause");
    begin_work(&w, store, options);
    ok(fails("paused", too_late) && p.n_calls == 0, "deadline: it ends a run that is paused");
    end_work(&w);
}

static void deadline_before(void)
{
    struct probe p = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 0, 2) };
    struct work w = { .reactor = reactor_of("before", steps, 1), .probe = &p };

    start_run_by(store, "before", "before", 1);
    nap_us(MS);
    begin_work(&w, store, usual());
    ok(fails("before", too_late) && p.n_calls == 0,
       "deadline: no step starts if it has passed before a worker comes");
    end_work(&w);
}

static void deadline_met(void)
{
    struct probe p = { 0 };
    struct probe bad = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 0, 2) };
    struct kedge_step_def others[] = { step_of("s", &p, 0, 2), step_of("bad", &bad, 0, 1) };
    static const char *const after[] = { "s", NULL };
    struct work w = { .probe = NULL };
    struct kedge_run_info *info;
    int64_t deadline;

    others[1].after = after;
    others[0].undo = act;
    w.reactor = reactor_of("met", steps, 1);
    w.other = reactor_of("undoing", others, 2);
    modes(&p, KEDGE_ACTION_UNDO, 1, SAID, QUICK, QUICK);
    modes(&bad, KEDGE_ACTION_RUN, 1, FAIL, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run_by(store, "met", "met", HOUR);
    ok(completes("met", "1"), "deadline: a run that is faster knows nothing of it");
    deadline = now_us() + SECONDS;
    start_run_by(store, "undoing", "undoing", SECONDS);
    if (!reaches(&p.n_of[KEDGE_ACTION_UNDO - 1], 1))
        bail("no undo");
    nap_us(deadline + 50 * MS - now_us());
    ok(is_idle(), "deadline: nobody turns in circles about one that has passed");
    open_gate(&p);
    ok(fails("undoing", "it fails"), "deadline: it does not matter on the way back");
    info = info_of(store, "undoing");
    ok(info->records == 5, "deadline: and leaves no record there");
    kedge_run_info_free(info);
    end_work(&w);
}

/* ------------------------------------------------------------------ circles */

/* Says ok in time, and does not return. */
static void lingers(void)
{
    struct probe p = { 0 };
    struct probe q = { 0 };
    static const char *const after[] = { "s", NULL };
    struct kedge_step_def steps[] = { step_of("s", &p, 50 * MS, 2), step_of("q", &q, 50 * MS, 1) };
    struct work w = { .probe = &p };

    steps[1].after = after;
    w.reactor = reactor_of("lingers", steps, 2);
    modes(&p, KEDGE_ACTION_RUN, 1, SAID, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run("lingers", "lingers");
    ok(completes("lingers", "1") && get(&p.inside) == 1,
       "lingers: what a step says in time counts, though it does not return");
    ok(is_idle(), "lingers: nobody turns in circles meanwhile");
    open_gate(&p);
    ok(reaches(&p.returned, 1) && p.n_calls == 1 && p.texts == 0,
       "lingers: it has not failed, and is not run again");
    end_work(&w);
}

static void circles(void)
{
    struct probe p = { 0 };
    struct probe q = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 50 * MS, 2), step_of("q", &q, 0, 1) };
    struct work w = { .reactor = reactor_of("circles", steps, 2), .probe = &p };

    modes(&p, KEDGE_ACTION_RUN, 1, DEAF, QUICK, QUICK);
    modes(&q, KEDGE_ACTION_RUN, 1, SAID, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run("circles", "circles");
    (void)reaches(&p.texts, 1);
    nap_us(1200 * MS); /* the run would be left, if the other step were not under way */
    ok(is_idle(), "circles: none for a run that cannot be left yet");
    open_gate(&p);
    open_gate(&q);
    ok(ends_as(store, "circles", NULL, 0) == KEDGE_COMPLETED && p.overlaps == 0,
       "circles: it goes on");
    end_work(&w);
}

/* A sibling's backoff ends while the worker waits for a step to end. */
static void stopping_circles(void)
{
    struct probe p = { 0 };
    struct probe q = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 0, 2), step_of("q", &q, 0, 2) };
    struct work w = { .probe = &q };

    steps[1].retry.base_us = 300 * MS;
    w.reactor = reactor_of("stopping", steps, 2);
    modes(&p, KEDGE_ACTION_RUN, 1, SAID, QUICK, QUICK);
    modes(&q, KEDGE_ACTION_RUN, 1, FAIL, QUICK, QUICK);
    begin_work(&w, store, usual());
    start_run("stopping", "stopping");
    (void)reaches(&p.n_calls, 1);
    (void)reaches(&q.texts, 1);
    kedge_worker_stop(w.worker);
    nap_us(400 * MS);
    ok(is_idle() && get(&w.stopped) == 0, "circles: none while a stopped worker waits for a step");
    open_gate(&p);
    ok(reaches(&w.stopped, 1), "circles: it ends with the step");
    end_work(&w);
}

/* -------------------------------------------------------------------- costs */

static int64_t hold_until_of(struct kedge_store *on, struct kedge_bytes id)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(on);
    struct kedge_retrieve want = { id, 0, 0, 0 };
    struct kedge_run_state state = { 0 };
    void *session;
    int64_t until;

    must(ops->session_open(kedge_store_handle(on), &session, &err), "session");
    must(ops->retrieve(session, &want, &state, PATIENCE, &err), "retrieve");
    until = state.run.hold_until;
    kedge_mem_free(kedge_store_host(on), state.mem);
    ops->session_close(session);
    return until;
}

#define LONG 1000

struct holds {
    int n;
    int64_t last;
    int changes;
    int none; /* heads without one */
};

static int look_at_hold(struct kedge_step *step, void *user)
{
    struct holds *h = user;
    int64_t until;

    if (h->n++ % 50 == 0) {
        until = hold_until_of(store, kedge_step_view(step)->run);
        h->changes += h->last != 0 && until != h->last;
        h->none += until == 0;
        h->last = until;
    }
    return kedge_ok(step, NULL, 0);
}

static struct kedge_reactor *chain(const char *name, int n, kedge_step_fn *fn, void *user,
                                   uint32_t flags, int64_t timeout_us)
{
    static char names[LONG][8];
    static const char *after[LONG][2];
    static struct kedge_step_def steps[LONG];

    memset(steps, 0, sizeof steps);
    for (int i = 0; i < n; i++) {
        (void)snprintf(names[i], sizeof names[i], "s%d", i);
        after[i][0] = i > 0 ? names[i - 1] : NULL;
        steps[i] = (struct kedge_step_def){ .name = names[i],
                                            .run = fn,
                                            .user = user,
                                            .flags = flags,
                                            .after = after[i],
                                            .retry = { .attempts = 3 },
                                            .timeout_us = timeout_us };
    }
    return reactor_of(name, steps, (size_t)n);
}

static struct kedge_counts counts_of(const struct work *w)
{
    struct kedge_counts counts = { .struct_size = sizeof counts };

    kedge_worker_stats(w->worker, &counts);
    return counts;
}

static void holds_cost(void)
{
    struct holds h = { 0 };
    struct work w = { .reactor = chain("holds", LONG, look_at_hold, &h, 0, 60 * SECONDS) };
    struct kedge_counts counts;

    begin_work(&w, store, usual());
    start_run("holds", "holds");
    ok(ends_as(store, "holds", NULL, 0) == KEDGE_COMPLETED, "holds: a long run completes");
    counts = counts_of(&w);
    printf("# %d steps, %llu commits\n", LONG, (unsigned long long)counts.commits);
    ok(counts.commits <= LONG + 2, "holds: its commits are those of its steps");
    ok(h.none == 0 && h.last > 0, "holds: it has its hold from the claim on");
    ok(h.changes <= 1, "holds: which is not said anew with each step");
    end_work(&w);
}

static void holds_mixed(void)
{
    struct holds bounded = { .n = 0 };
    struct holds not_bounded = { .n = 0 };
    struct work w = { .reactor = chain("bounded", 51, look_at_hold, &bounded, 0, 60 * SECONDS),
                      .other = chain("free", 51, look_at_hold, &not_bounded, 0, 0) };

    begin_work(&w, store, usual());
    start_run("bounded", "bounded");
    start_run("free", "free");
    ok(ends_as(store, "bounded", NULL, 0) == KEDGE_COMPLETED && bounded.last > 0,
       "holds: a claim that cannot say it leaves it to a commit");
    ok(ends_as(store, "free", NULL, 0) == KEDGE_COMPLETED && not_bounded.none == 2,
       "holds: none for a run whose steps may take any time");
    end_work(&w);
}

static void wakes(void)
{
    struct holds h = { .n = 1 };
    struct work w = { .reactor =
                          chain("wakes", 200, look_at_hold, &h, KEDGE_STEP_POOL, 60 * SECONDS) };
    struct kedge_worker_options options = usual();
    struct kedge_counts counts;

    options.lease_ttl_us = 100 * HOUR;
    begin_work(&w, store, options);
    start_run("wakes", "wakes");
    ok(ends_as(store, "wakes", NULL, 0) == KEDGE_COMPLETED, "wakes: a run of pool steps completes");
    counts = counts_of(&w);
    printf("# 200 steps, %llu wake-ups, %llu hand-offs\n", (unsigned long long)counts.wake_ups,
           (unsigned long long)counts.hand_offs);
    /* Where a store does not tell of news it is asked: a claim, two wake-ups. */
    ok(counts.wake_ups < 40 + 2 * counts.claims && counts.hand_offs < 20,
       "wakes: no thread is woken to note how long each may take");
    end_work(&w);
}

/* -------------------------------------------------------- a clock moved by hand */

static struct kedge_testing *testing;

static void advance(int64_t us)
{
    must(kedge_testing_advance(testing, us, &err), "advance");
}

/* The keeper looks often: it is how a worker hears of a clock that was moved. */
static struct kedge_worker_options by_hand(void)
{
    struct kedge_worker_options options = usual();

    options.look_us = 20 * MS;
    return options;
}

static void manual_returns(void)
{
    struct probe p = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, HOUR, 2) };
    struct work w = { .reactor = reactor_of("returns", steps, 1), .probe = &p };

    modes(&p, KEDGE_ACTION_RUN, 1, DEAF, QUICK, QUICK);
    begin_work(&w, store, by_hand());
    start_run("returns", "returns");
    (void)reaches(&p.n_calls, 1);
    ok(!reaches_in(&p.calls[0].told, 1, 100 * MS), "by hand: no time passes by itself");
    advance(HOUR);
    ok(reaches(&p.texts, 1) && reaches(&p.calls[0].told, 1),
       "by hand: a timeout passes when time does");
    open_gate(&p);
    ok(completes("returns", "2") && w.left == 0 && p.overlaps == 0,
       "by hand: the next attempt starts on its return, and the run is not left");
    end_work(&w);
}

static void manual_deadline(void)
{
    struct probe p = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 0, 2) };
    struct work w = { .reactor = reactor_of("dl", steps, 1), .probe = &p };

    modes(&p, KEDGE_ACTION_RUN, 1, HEED, QUICK, QUICK);
    begin_work(&w, store, by_hand());
    start_run_by(store, "dl", "dl", 10 * HOUR);
    (void)reaches(&p.n_calls, 1);
    advance(9 * HOUR);
    ok(!reaches_in(&p.calls[0].told, 1, 100 * MS), "by hand: a deadline does not pass before");
    advance(HOUR);
    ok(fails("dl", too_late) && p.calls[0].told, "by hand: a deadline passes when time does");
    end_work(&w);
}

/* Its loop hangs; its keeper does not. */
static void manual_hold(void)
{
    struct probe p = { 0 };
    struct probe q = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, SECONDS, 3) };
    struct kedge_step_def others[] = { step_of("s", &q, SECONDS, 3) };
    struct work w = { .probe = &p };
    struct work v = { .probe = &q };

    steps[0].flags = others[0].flags = 0;
    w.reactor = reactor_of("hangs", steps, 1);
    v.reactor = reactor_of("hangs", others, 1);
    modes(&p, KEDGE_ACTION_RUN, 1, SAID, QUICK, QUICK);
    begin_work(&w, store, by_hand());
    start_run("hangs", "hangs");
    (void)reaches(&p.n_calls, 1);
    advance(60 * SECONDS);
    ok(get(&w.recovered) == 0 && !reaches_in(&w.recovered, 1, 200 * MS),
       "hold: a worker alone takes nothing from itself");
    begin_work(&v, store, by_hand());
    ok(completes("hangs", "1") && q.n_calls == 1 && (q.calls[0].flags & KEDGE_STEP_IN_DOUBT) != 0 &&
           strcmp(q.calls[0].key, p.calls[0].key) == 0,
       "hold: a run whose worker's loop hangs goes on elsewhere, in doubt");
    ok(v.recovered == 1 && w.lease_lost == 0, "hold: though that worker's lease is alive");
    open_gate(&p);
    ok(reaches(&w.lost, 1) && p.n_calls == 1, "hold: what the other says then is refused");
    end_work(&v);
    end_work(&w);
}

static void manual_hold_alone(void)
{
    struct probe p = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, SECONDS, 3) };
    struct work w = { .probe = &p };

    steps[0].flags = 0;
    w.reactor = reactor_of("alone", steps, 1);
    modes(&p, KEDGE_ACTION_RUN, 1, SAID, QUICK, QUICK);
    begin_work(&w, store, by_hand());
    start_run("alone", "alone");
    (void)reaches(&p.n_calls, 1);
    advance(60 * SECONDS);
    open_gate(&p);
    ok(completes("alone", "1") && p.n_calls == 1 && w.lost == 0,
       "hold: alone, a loop that comes back goes on as if nothing had been");
    end_work(&w);
}

/* A run that waits for a thread is not one that hangs. */
static void manual_crowded(void)
{
    struct probe p = { 0 };
    struct probe q = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, SECONDS, 3) };
    struct kedge_step_def others[] = { step_of("s", &q, SECONDS, 3) };
    struct work w = { .probe = &p, .reactor = reactor_of("crowd", steps, 1) };
    struct work v = { .probe = &q, .reactor = reactor_of("crowd", others, 1) };
    struct kedge_worker_options options = by_hand();
    struct kedge_run_info *info;

    options.pool_threads = 1;
    options.claim_slice = 1;
    modes(&p, KEDGE_ACTION_RUN, 1, SAID, QUICK, QUICK);
    begin_work(&w, store, options);
    start_run("crowd-1", "crowd");
    (void)reaches(&p.n_calls, 1);
    start_run("crowd-2", "crowd");
    ok(reaches(&w.taken, 2), "crowd: a run waits for the only thread");
    (void)counts_of(&w); /* it has been seen to */
    advance(7 * SECONDS);
    ok(reaches(&w.left, 1), "crowd: half its hold later it is handed back");
    info = info_of(store, "crowd-2");
    ok(info->place == KEDGE_PLACE_DUE && info->recoveries == 0, "crowd: with no recovery charged");
    kedge_run_info_free(info);
    begin_work(&v, store, options);
    advance(SECONDS);
    ok(ends_as(store, "crowd-2", NULL, 0) == KEDGE_COMPLETED, "crowd: it goes on");
    ok(w.recovered + v.recovered == 0, "crowd: nobody takes it for one that hangs");
    open_gate(&p);
    ok(ends_as(store, "crowd-1", NULL, 0) == KEDGE_COMPLETED && p.overlaps == 0,
       "crowd: the other one completes");
    end_work(&v);
    start_run("crowd-3", "crowd");
    ok(ends_as(store, "crowd-3", NULL, 0) == KEDGE_COMPLETED,
       "crowd: who handed one back has room for another");
    end_work(&w);
}

struct tokens {
    uint64_t last;
    int n;
};

static int later_each(struct kedge_step *step, void *user)
{
    struct tokens *t = user;
    uint64_t token;

    (void)kedge_later(step, &token);
    (void)pthread_mutex_lock(&lock);
    t->last = token;
    t->n++;
    tell();
    (void)pthread_mutex_unlock(&lock);
    return 0;
}

#define SLOW 20

/* No step takes long, but all of them do. */
static void hold_back(void)
{
    struct tokens t = { .n = 0 };
    struct work w = { .reactor = chain("held", SLOW, later_each, &t, 0, SECONDS) };
    struct kedge_worker_options options = by_hand();
    int passed = 0;

    options.checkpoint_min_interval_us = 10 * HOUR;
    begin_work(&w, store, options);
    start_run("held", "held");
    for (int i = 0; i < SLOW; i++) {
        if (!reaches(&t.n, i + 1))
            bail("no step %d", i);
        passed += hold_until_of(store, kedge_text("held")) <= kedge_testing_now(testing);
        advance(900 * MS);
        if (settle(&w, t.last) != KEDGE_OK)
            bail("its time is not over");
    }
    ok(ends_as(store, "held", NULL, 0) == KEDGE_COMPLETED, "hold: records are held back");
    ok(passed == 0 && counts_of(&w).commits < SLOW * 3 / 4,
       "hold: but not for so long that it passes");
    end_work(&w);
}

/* It goes elsewhere and comes back while the function is still there. */
static void comes_back(void)
{
    struct probe p = { 0 };
    struct probe q = { 0 };
    struct kedge_step_def steps[] = { step_of("s", &p, 0, 9) };
    struct kedge_step_def others[] = { step_of("s", &q, 0, 9) };
    struct work w = { .probe = &p, .reactor = reactor_of("returns-2", steps, 1) };
    struct work v = { .probe = &q, .reactor = reactor_of("returns-2", others, 1) };
    struct kedge_worker_options options = by_hand();

    options.look_us = HOUR;   /* it does nothing by itself, ... */
    options.pool_threads = 1; /* as its only thread is in the step */
    modes(&p, KEDGE_ACTION_RUN, 1, DEAF, QUICK, QUICK);
    modes(&q, KEDGE_ACTION_RUN, 1, HEED, QUICK, QUICK);
    start_run("returns-2", "returns-2");
    open_work(&w, store, options);
    while (get(&p.n_calls) == 0)
        must(kedge_worker_turn(w.worker, &err), "turn");
    advance(200 * HOUR);
    begin_work(&v, store, by_hand());
    ok(reaches(&q.n_calls, 1), "comes back: a run of a dead worker is taken over");
    end_work(&v);
    if (pthread_create(&w.thread, NULL, run_worker, &w) != 0)
        bail("no thread");
    ok(reaches(&w.lost, 1) && reaches(&w.taken, 2), "comes back: and taken by that one again");
    for (int i = 2; i < 5; i++) {
        (void)reaches(&w.left, i - 1);
        advance(SECONDS);
    }
    ok(get(&p.n_calls) == 1 && get(&p.inside) == 1,
       "comes back: its step does not start while the old function is there");
    open_gate(&p);
    for (int i = 0; i < 600 && get(&p.n_calls) < 2; i++) {
        advance(SECONDS);
        (void)reaches_in(&p.n_calls, 2, 100 * MS);
    }
    ok(ends_as(store, "returns-2", NULL, 0) == KEDGE_COMPLETED && p.n_calls == 2 && p.overlaps == 0,
       "comes back: it does when that returns");
    end_work(&w);
}

static void with_clock_moved(void)
{
    struct kedge_store *usual_store = store;

    must(kedge_testing_open(NULL, &testing, &err), "testing");
    must(kedge_testing_store(testing, &store, &err), "store");
    manual_returns();
    manual_deadline();
    manual_hold();
    manual_hold_alone();
    manual_crowded();
    hold_back();
    comes_back();
    kedge_store_close(store);
    kedge_testing_close(testing);
    store = usual_store;
}

/* -------------------------------------------------------- worker processes */

/* Worker 1 hangs in the first step of its first run until its gate is open; others do not. */
static int gate;
static int hangs;

static int perhaps_hang(struct kedge_step *step, void *user)
{
    struct line line = effects_of(step, LINE_BEGIN);
    struct pollfd at = { .fd = gate, .events = POLLIN };

    (void)user;
    effects_write(line);
    while (hangs && line.attempt == 1 && poll(&at, 1, -1) <= 0)
        ;
    line.kind = LINE_END;
    effects_write(line);
    return kedge_ok(step, NULL, 0);
}

static void be_worker(char **args)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    int on_pool = number_of(args[3], 1);
    const struct kedge_reactor *reactor = chain(on_pool ? "pool" : "looping", 2, perhaps_hang, NULL,
                                                on_pool ? KEDGE_STEP_POOL : 0, 500 * MS);

    effects_open(args[1], number_of(args[2], INT_MAX));
    hangs = number_of(args[4], 1);
    gate = number_of(args[5], INT_MAX);
    options.look_us = 50 * MS;
    effects_serve(args[0], &reactor, 1, &options);
}

struct process {
    int worker;
    pid_t pid;
    int gate;
};

static char log_path[4096];
static struct line lines[1024];
static int n_lines;

static int count(enum line_kind kind, int worker, int run)
{
    int n = 0;

    while (n_lines < 1024 && effects_read(&lines[n_lines]))
        n_lines++;
    for (int i = 0; i < n_lines; i++)
        n += lines[i].kind == (int32_t)kind && (worker == 0 || lines[i].worker == worker) &&
             (run < 0 || lines[i].run == run);
    return n;
}

static int sees_lines(int n, enum line_kind kind, int worker, int run)
{
    int64_t until = now_us() + PATIENCE;

    while (count(kind, worker, run) < n && now_us() < until)
        nap_us(MS);
    return count(kind, worker, run) >= n;
}

static struct process spawn(int on_pool, int hanging)
{
    static int n_workers;
    static char flag[] = "--worker";
    char n[4][16];
    char *args[] = { NULL, flag, (char *)(uintptr_t)url, log_path, n[0], n[1], n[2], n[3], NULL };
    struct process p = { .worker = ++n_workers };
    int ends[2];

    if (pipe(ends) != 0 || fcntl(ends[1], F_SETFD, FD_CLOEXEC) != 0)
        bail("no pipe");
    (void)snprintf(n[0], sizeof n[0], "%d", p.worker);
    (void)snprintf(n[1], sizeof n[1], "%d", on_pool);
    (void)snprintf(n[2], sizeof n[2], "%d", hanging);
    (void)snprintf(n[3], sizeof n[3], "%d", ends[0]);
    p.pid = effects_spawn(args);
    (void)close(ends[0]);
    p.gate = ends[1];
    if (!sees_lines(1, LINE_READY, p.worker, -1))
        bail("worker %d does not come up", p.worker);
    return p;
}

static void end_process(const struct process *p)
{
    int status;

    (void)kill(p->pid, SIGTERM);
    if (waitpid(p->pid, &status, 0) != p->pid || status != 0)
        bail("worker %d does not end well", p->worker);
}

static const struct line *first_begin(int worker, int run)
{
    for (int i = 0; i < n_lines; i++)
        if (lines[i].kind == LINE_BEGIN && lines[i].worker == worker && lines[i].run == run)
            return &lines[i];
    bail("no step of run %d on worker %d", run, worker);
}

static void hung_process(int on_pool, const char *id, int run)
{
    const char *name = on_pool ? "pool" : "looping";
    struct process a = spawn(on_pool, 1);
    struct process b;
    char text[128];

    start_run(id, name);
    if (!sees_lines(1, LINE_BEGIN, a.worker, run))
        bail("no step of %s", id);
    b = spawn(on_pool, 0);
    (void)snprintf(text, sizeof text, "processes, %s: the run goes on elsewhere", name);
    ok(ends_as(store, id, NULL, 0) == KEDGE_COMPLETED && count(LINE_END, b.worker, run) == 2 &&
           first_begin(b.worker, run)->doubt == 1 &&
           first_begin(b.worker, run)->key == first_begin(a.worker, run)->key,
       text);
    (void)snprintf(text, sizeof text, "processes, %s: the other one's lease is alive", name);
    ok(!effects_lease_dead(store, a.worker, NULL) && count(LINE_BURIED, 0, -1) == 0, text);
    printf("# taken: %d by the one that hangs, %d by the other; lost: %d\n",
           count(LINE_TAKEN, a.worker, run), count(LINE_TAKEN, b.worker, run),
           count(LINE_LOST, a.worker, run));
    (void)close(a.gate);
    if (!on_pool)
        ok(sees_lines(1, LINE_LOST, a.worker, run),
           "processes, looping: what it says in the end is refused");
    end_process(&b);
    end_process(&a);
    (void)snprintf(text, sizeof text, "processes, %s: no step started there again", name);
    ok(count(LINE_BEGIN, a.worker, run) == 1 && count(LINE_BEGIN, b.worker, run) == 2, text);
}

static void with_processes(void)
{
    hung_process(1, "run-1", 1);
    hung_process(0, "run-2", 2);
}

/* --------------------------------------------------------------------- main */

static void with_own_clock(void)
{
    heeded();
    deaf();
    deaf_elsewhere();
    rolled_back();
    borrowed();
    later();
    later_among_others();
    on_loop();
    stopped();
    undo_late();
    compensate_late();
    deadline_running();
    deadline_waiting();
    deadline_paused();
    deadline_before();
    deadline_met();
    lingers();
    circles();
    stopping_circles();
    holds_cost();
    holds_mixed();
    wakes();
}

int main(int argc, char **argv)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    if (argc == 8 && strcmp(argv[1], "--worker") == 0)
        be_worker(argv + 2);
    if (argc != 3) {
        (void)fprintf(stderr, "usage: timeouts URL DIR\n");
        return 2;
    }
    init_cond();
    url = argv[1];
    options.flags = KEDGE_STORE_CREATE;
    must(kedge_store_open(url, &options, &store, &err), "open");
    with_own_clock();
    if ((kedge_store_ops(store)->caps & KEDGE_CAP_SHARED) == 0) {
        with_clock_moved();
    } else {
        (void)snprintf(log_path, sizeof log_path, "%s/effects", argv[2]);
        effects_open(log_path, 0);
        with_processes();
    }
    printf("1..%d\n", n_tests);
    kedge_store_close(store);
    return n_failed != 0;
}
