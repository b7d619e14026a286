/*
 * kedge_peer.c - kedge's side of the comparison: a worker process that peers.mjs starts, and kills
 *
 *      kedge_peer cells URL NAMESPACE WARM_MS SLICE_MS STEPSxIN_FLIGHT...
 *      kedge_peer hold URL NAMESPACE RUN STEPS AT
 *      kedge_peer take URL NAMESPACE RUN STEPS
 *
 * It says what worker.mjs says for the others, in the same lines of JSON, and counts as that does:
 * a step is durable when the next step of its run begins, or the run has ended.  Steps do nothing
 * but answer a value of VALUE_BYTES, on the loop.
 *
 * What has to be started at one moment is started by one call, as the others start it concurrently.
 */
#include <config.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <kedge/kedge.h>

#define VALUE_BYTES 256
#define TIMEOUT_US  INT64_C(60000000)
#define STEPS_MAX   1000
#define STARTS_MAX  256
#define PATIENCE_NS INT64_C(120000000000)
#define ID_ROOM     48

struct number {
    uint32_t n; /* 1 ... */
    char name[16];
    const char *after[2];
};

static struct {
    const char *url;
    const char *ns;
    struct kedge_store *store;
    struct kedge_reactor *reactor;
    struct kedge_worker *worker;
    pthread_t thread; /* it is in kedge_worker_run() */
    struct number numbers[STEPS_MAX];
    uint32_t n_steps;
    uint32_t hold_at; /* the step that does not end; 0: none */
    bool take;        /* say which step is the first */
    atomic_bool said;
    atomic_uint_fast64_t ran;
    atomic_uint_fast64_t durable;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t ended; /* under the lock */
} peer = { .lock = PTHREAD_MUTEX_INITIALIZER };

__attribute__((format(printf, 1, 2))) _Noreturn static void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fputs("kedge_peer: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    _Exit(1);
}

static void check(int rc, const struct kedge_error *err, const char *what)
{
    if (rc != KEDGE_OK)
        die("%s: %s%s%s", what, kedge_status_text(rc), rc < 0 ? ": " : "", rc < 0 ? err->msg : "");
}

static int64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint32_t number_of(const char *text, const char *what)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || n > UINT32_MAX)
        die("%s is not a number: %s", what, text);
    return (uint32_t)n;
}

/* ------------------------------------------------------------------ the run */

static void say_step(const char *event, uint32_t step)
{
    (void)printf("{\"event\":\"%s\",\"step\":%" PRIu32 ",\"at\":\"%" PRId64 "\"}\n", event, step,
                 now_ns());
    (void)fflush(stdout);
}

static void fill_value(char value[VALUE_BYTES], struct kedge_bytes run, uint32_t step)
{
    int n = snprintf(value, VALUE_BYTES, "{\"run\":\"%.*s\",\"step\":%" PRIu32 ",\"text\":\"",
                     (int)run.len, (const char *)run.data, step);

    memset(value + n, 'x', VALUE_BYTES - (size_t)n);
    memcpy(value + VALUE_BYTES - 2, "\"}", 2);
}

static int run_step(struct kedge_step *step, void *user)
{
    const struct number *number = user;
    char value[VALUE_BYTES];
    uint64_t token;

    (void)atomic_fetch_add(&peer.ran, 1);
    if (number->n > 1)
        (void)atomic_fetch_add(&peer.durable, 1);
    if (number->n == peer.hold_at) {
        say_step("inside", number->n);
        return kedge_later(step, &token); /* nobody settles it */
    }
    if (peer.take && !atomic_exchange(&peer.said, true))
        say_step("step", number->n);
    fill_value(value, kedge_step_view(step)->run, number->n);
    return kedge_ok(step, value, sizeof value);
}

static void observe(void *ctx, const struct kedge_event *event)
{
    (void)ctx;
    if (event->kind != KEDGE_EVENT_RUN_ENDED)
        return;
    if (event->outcome != KEDGE_COMPLETED)
        die("run %.*s ended as %s", (int)event->run.len, (const char *)event->run.data,
            kedge_run_status_text(event->outcome));
    (void)atomic_fetch_add(&peer.durable, 1);
    (void)pthread_mutex_lock(&peer.lock);
    peer.ended++;
    (void)pthread_cond_signal(&peer.changed);
    (void)pthread_mutex_unlock(&peer.lock);
}

static void define(uint32_t n_steps)
{
    static struct kedge_step_def steps[STEPS_MAX];
    char name[32];
    struct kedge_reactor_def def = {
        .struct_size = sizeof def,
        .name = name,
        .version = 1,
        .steps = steps,
        .n_steps = n_steps,
        .step_size = sizeof steps[0],
    };
    struct kedge_error err;

    if (n_steps < 1 || n_steps > STEPS_MAX)
        die("a run has 1 .. %d steps", STEPS_MAX);
    peer.n_steps = n_steps;
    (void)snprintf(name, sizeof name, "steps-%" PRIu32, n_steps);
    for (uint32_t i = 0; i < n_steps; i++) {
        struct number *number = &peer.numbers[i];

        number->n = i + 1;
        (void)snprintf(number->name, sizeof number->name, "s%" PRIu32, number->n);
        number->after[0] = i > 0 ? peer.numbers[i - 1].name : NULL;
        steps[i] = (struct kedge_step_def){
            .name = number->name,
            .run = run_step,
            .user = number,
            .after = number->after,
        };
    }
    check(kedge_reactor_new(&def, &peer.reactor, &err), &err, "kedge_reactor_new");
}

/* --------------------------------------------------------------- the worker */

static void *work(void *unused)
{
    struct kedge_error err;

    (void)unused;
    check(kedge_worker_run(peer.worker, &err), &err, "kedge_worker_run");
    return NULL;
}

static void store_open(void)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_error err;

    options.flags = KEDGE_STORE_CREATE;
    options.ns = peer.ns;
    check(kedge_store_open(peer.url, &options, &peer.store, &err), &err, "kedge_store_open");
}

static void worker_open(uint32_t n_steps, uint32_t in_flight)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactors[1];
    struct kedge_error err;

    define(n_steps);
    reactors[0] = peer.reactor;
    options.reactors = reactors;
    options.n_reactors = 1;
    options.in_flight = in_flight;
    options.observe = observe;
    peer.ended = 0;
    check(kedge_worker_open(peer.store, &options, &peer.worker, &err), &err, "kedge_worker_open");
    if (pthread_create(&peer.thread, NULL, work, NULL) != 0)
        die("no thread");
}

static void worker_close(void)
{
    kedge_worker_stop(peer.worker);
    (void)pthread_join(peer.thread, NULL);
    kedge_worker_close(peer.worker, TIMEOUT_US);
    kedge_reactor_free(peer.reactor);
}

static struct kedge_bytes id_of(char id[ID_ROOM], const char *stem, uint64_t i)
{
    int n = snprintf(id, ID_ROOM, "%s-%" PRIu64, stem, i);

    return (struct kedge_bytes){ id, (size_t)n };
}

/* Runs STEM-first ... STEM-(first + n - 1); without a STEM, the run ID alone. */
static void start(const char *stem, uint64_t first, size_t n, const char *id)
{
    static struct kedge_run_start starts[STARTS_MAX];
    static char ids[STARTS_MAX][ID_ROOM];
    static int outcomes[STARTS_MAX];
    struct kedge_error err;

    for (size_t i = 0; i < n; i++) {
        starts[i] = (struct kedge_run_start)KEDGE_START_INIT;
        starts[i].reactor = kedge_reactor_name(peer.reactor);
        starts[i].version = 1;
        starts[i].id = id != NULL ? kedge_text(id) : id_of(ids[i], stem, first + i);
    }
    check(kedge_start_many(peer.store, starts, n, sizeof starts[0], outcomes, TIMEOUT_US, &err),
          &err, "kedge_start_many");
}

/* --------------------------------------------------------------- reading back */

struct read_back {
    struct kedge_bytes run;
    uint32_t done;
};

static int read_step(void *ctx, const struct kedge_step_info *step)
{
    struct read_back *r = ctx;
    char want[VALUE_BYTES];

    fill_value(want, r->run, step->index + 1);
    if (step->state != KEDGE_STEP_DONE || step->value.len != sizeof want ||
        memcmp(step->value.data, want, sizeof want) != 0)
        die("run %.*s, step %" PRIu32 ": not done, or not the value it gave", (int)r->run.len,
            (const char *)r->run.data, step->index + 1);
    r->done++;
    return 0;
}

static void verify(struct kedge_bytes run)
{
    struct read_back r = { .run = run };
    struct kedge_run_info *info;
    struct kedge_error err;

    check(kedge_run_get(peer.store, run, 0, &info, TIMEOUT_US, &err), &err, "kedge_run_get");
    if (info->status != KEDGE_COMPLETED)
        die("run %.*s is %s in the store", (int)run.len, (const char *)run.data,
            kedge_run_status_text(info->status));
    kedge_run_info_free(info);
    check(kedge_run_steps(peer.store, run, read_step, &r, TIMEOUT_US, &err), &err,
          "kedge_run_steps");
    if (r.done != peer.n_steps)
        die("run %.*s has %" PRIu32 " steps in the store", (int)run.len, (const char *)run.data,
            r.done);
}

/* -------------------------------------------------------------------- cells */

/* Waits for a run to end, at most until then; answers how many have ended. */
static uint64_t await_ended(uint64_t known, int64_t until_ns)
{
    struct timespec until = { (time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000) };
    uint64_t ended;

    (void)pthread_mutex_lock(&peer.lock);
    while (peer.ended <= known && pthread_cond_timedwait(&peer.changed, &peer.lock, &until) == 0)
        ;
    ended = peer.ended;
    (void)pthread_mutex_unlock(&peer.lock);
    return ended;
}

/* Keep WANTED runs started that have not ended. */
static void feed(const char *stem, uint64_t *started, uint64_t wanted, int64_t until_ns)
{
    uint64_t ended = await_ended(UINT64_MAX, 0);

    while (now_ns() < until_ns) {
        while (*started < ended + wanted) {
            uint64_t n = ended + wanted - *started;

            n = n < STARTS_MAX ? n : STARTS_MAX;
            start(stem, *started, n, NULL);
            *started += n;
        }
        ended = await_ended(ended, until_ns);
    }
}

static void drain(uint64_t started)
{
    int64_t until = now_ns() + PATIENCE_NS;
    uint64_t ended = 0;

    while ((ended = await_ended(ended, until)) < started)
        if (now_ns() >= until)
            die("%" PRIu64 " of %" PRIu64 " runs ended", ended, started);
}

static void cell(const char *text, int64_t warm_ns, int64_t slice_ns)
{
    const char *x = strchr(text, 'x');
    char steps[16] = "";
    char stem[32];
    char id[ID_ROOM];
    uint32_t in_flight;
    uint64_t started = 0;
    uint64_t wanted;
    uint64_t durable;
    int64_t began;
    int64_t took;

    if (x == NULL || (size_t)(x - text) >= sizeof steps)
        die("%s is not STEPSxIN_FLIGHT", text);
    memcpy(steps, text, (size_t)(x - text));
    in_flight = number_of(x + 1, "IN_FLIGHT");
    (void)snprintf(stem, sizeof stem, "%s", text);
    atomic_store(&peer.ran, 0);
    worker_open(number_of(steps, "STEPS"), in_flight);
    wanted = in_flight + (in_flight > 1 ? in_flight : 2);
    feed(stem, &started, wanted, now_ns() + warm_ns);
    began = now_ns();
    durable = atomic_load(&peer.durable);
    feed(stem, &started, wanted, began + slice_ns);
    durable = atomic_load(&peer.durable) - durable;
    took = now_ns() - began;
    drain(started);
    worker_close();
    if (atomic_load(&peer.ran) != started * peer.n_steps)
        die("%" PRIu64 " steps ran for %" PRIu64 " runs of %" PRIu32, (uint64_t)peer.ran, started,
            peer.n_steps);
    for (uint64_t i = 0; i < started; i++)
        verify(id_of(id, stem, i));
    (void)printf("{\"event\":\"cell\",\"steps\":%" PRIu32 ",\"in_flight\":%" PRIu32
                 ",\"durable\":%" PRIu64 ",\"us\":%" PRId64 ",\"runs\":%" PRIu64
                 ",\"verified\":%" PRIu64 "}\n",
                 peer.n_steps, in_flight, durable, took / 1000, started, started * peer.n_steps);
    (void)fflush(stdout);
}

/* ----------------------------------------------------------------- recovery */

static void hold(const char *id, uint32_t n_steps, uint32_t at)
{
    peer.hold_at = at;
    worker_open(n_steps, 1);
    start(NULL, 0, 1, id);
    (void)pthread_join(peer.thread, NULL); /* until it is killed */
}

static void take(const char *id, uint32_t n_steps)
{
    peer.take = true;
    worker_open(n_steps, 1);
    (void)puts("{\"event\":\"ready\"}");
    (void)fflush(stdout);
    drain(1);
    worker_close();
    verify(kedge_text(id));
    (void)printf("{\"event\":\"ended\",\"steps\":%" PRIu32 "}\n", n_steps);
}

static void warn(void)
{
#if defined(__GNUC__) && !defined(__OPTIMIZE__)
    (void)fputs("kedge_peer: WARNING: compiled without optimisation\n", stderr);
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)fputs("kedge_peer: WARNING: compiled with a sanitizer\n", stderr);
#endif
}

int main(int argc, char **argv)
{
    pthread_condattr_t monotonic;

    if (argc < 6)
        die("cells, hold or take? (see the head of kedge_peer.c)");
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&peer.changed, &monotonic);
    peer.url = argv[2];
    peer.ns = argv[3];
    store_open();
    warn();
    if (strcmp(argv[1], "cells") == 0)
        for (int i = 6; i < argc; i++)
            cell(argv[i], number_of(argv[4], "WARM_MS") * INT64_C(1000000),
                 number_of(argv[5], "SLICE_MS") * INT64_C(1000000));
    else if (strcmp(argv[1], "hold") == 0 && argc == 7)
        hold(argv[4], number_of(argv[5], "STEPS"), number_of(argv[6], "AT"));
    else if (strcmp(argv[1], "take") == 0 && argc == 6)
        take(argv[4], number_of(argv[5], "STEPS"));
    else
        die("cells, hold or take? (see the head of kedge_peer.c)");
    kedge_store_close(peer.store);
    return 0;
}
