/* saga.c - a saga's store, worker and runs; slices of work, and what they left in the store */
#include <config.h>

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "saga.h"
#include "subject.h"

#define TIMEOUT_US   INT64_C(60000000)
#define POOL_THREADS 16
#define DIGITS       8
#define ID_ROOM      32 /* name, '-', DIGITS, NUL */
#define FEED_MAX     256

struct saga_number {
    struct saga *saga;
    uint32_t number; /* 1 ... */
    char text[DIGITS];
    char name[DIGITS + 2];
    const char *after[2];
};

static void check(int rc, const struct kedge_error *err, const char *what)
{
    if (rc != KEDGE_OK)
        die("%s: %s%s%s", what, kedge_status_text(rc), rc < 0 ? ": " : "", rc < 0 ? err->msg : "");
}

static void put_digits(char *to, uint64_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (int i = DIGITS - 1; i >= 0; i--, n >>= 4)
        to[i] = digits[n & 15];
}

/* -------------------------------------------------------------------- steps */

#define RUN_AT  8
#define STEP_AT 26
static const char value_head[] = "{\"run\":\"00000000\",\"step\":\"00000000\",\"text\":\"";
static const char value_text[] = "charge, ok, amount 1234.56, ";

/* JSON of opt.record bytes. */
static void fill_value(char *value, struct kedge_bytes id, const char *digits)
{
    size_t at = sizeof value_head - 1;
    size_t end = opt.record - 2;

    memcpy(value, value_head, at);
    while (at < end) {
        size_t n = end - at < sizeof value_text - 1 ? end - at : sizeof value_text - 1;

        memcpy(value + at, value_text, n);
        at += n;
    }
    memcpy(value + end, "\"}", 2);
    memcpy(value + RUN_AT, (const char *)id.data + id.len - DIGITS, DIGITS);
    memcpy(value + STEP_AT, digits, DIGITS);
}

void saga_value(char *value, struct kedge_bytes id, uint32_t number)
{
    char digits[DIGITS];

    put_digits(digits, number);
    fill_value(value, id, digits);
}

static void pass_gate(struct saga *saga)
{
    if (!atomic_load(&saga->closed))
        return;
    (void)pthread_mutex_lock(&saga->lock);
    saga->at_gate++;
    while (atomic_load(&saga->closed))
        (void)pthread_cond_wait(&saga->opened, &saga->lock);
    saga->at_gate--;
    (void)pthread_mutex_unlock(&saga->lock);
}

uint64_t saga_run_of(struct kedge_bytes id)
{
    const char *digits = (const char *)id.data + id.len - DIGITS;
    uint64_t n = 0;

    for (int i = 0; i < DIGITS; i++)
        n = n << 4 | (uint64_t)(digits[i] <= '9' ? digits[i] - '0' : digits[i] - 'a' + 10);
    return n;
}

/* From the start of a step to that of the next one, if nothing had to rest in between. */
static void time_step(struct saga *saga, uint64_t run)
{
    int64_t began = atomic_load_explicit(&saga->began[run], memory_order_relaxed);

    if (began > atomic_load_explicit(&saga->slice_began, memory_order_relaxed))
        samples_add_shared(&saga->side->lat, now_ns() - began);
}

static int run_step(struct kedge_step *step, void *user)
{
    const struct saga_number *n = user;
    const struct kedge_view *view = kedge_step_view(step);
    struct saga *saga = n->saga;
    uint64_t run = saga_run_of(view->run);
    char value[SAGA_VALUE_MOST];

    if (saga->began != NULL)
        time_step(saga, run);
    if (saga->shape.pool)
        pass_gate(saga);
    if (saga->began != NULL)
        atomic_store_explicit(&saga->began[run], now_ns(), memory_order_relaxed);
    if (atomic_load_explicit(&saga->seen[run], memory_order_relaxed) >= n->number)
        (void)atomic_fetch_add(&saga->twice, 1);
    atomic_store_explicit(&saga->seen[run], n->number, memory_order_relaxed);
    if (n->number == saga->shape.n_steps)
        (void)atomic_fetch_add(&saga->end, 1);
    if (saga->shape.step != NULL)
        return saga->shape.step(saga, step, n->number);
    if (saga->shape.undo && n->number == saga->shape.n_steps)
        return kedge_fail(step, KEDGE_FAIL_FINAL, "so that all is undone");
    fill_value(value, view->run, n->text);
    return kedge_ok(step, value, opt.record);
}

static int undo_step(struct kedge_step *step, void *user)
{
    const struct saga_number *n = user;
    struct saga *saga = n->saga;
    uint64_t run = saga_run_of(kedge_step_view(step)->run);

    if (saga->began != NULL)
        time_step(saga, run);
    if (saga->shape.pool)
        pass_gate(saga);
    if (saga->began != NULL)
        atomic_store_explicit(&saga->began[run], now_ns(), memory_order_relaxed);
    return kedge_ok(step, NULL, 0);
}

/* --------------------------------------------------------- opening, closing */

void saga_define(struct saga *saga, const struct saga_shape *shape)
{
    struct kedge_step_def *steps = must_alloc(shape->n_steps, sizeof *steps);
    struct kedge_reactor_def def = {
        .struct_size = sizeof def,
        .name = shape->name,
        .version = 1,
        .steps = steps,
        .n_steps = shape->n_steps,
        .step_size = sizeof *steps,
    };
    struct kedge_error err;

    memset(saga, 0, sizeof *saga);
    saga->shape = *shape;
    if (saga->shape.pool_threads == 0)
        saga->shape.pool_threads = POOL_THREADS;
    if (shape->timed)
        saga->began = must_alloc(SAGA_RUNS_MAX, sizeof *saga->began);
    saga->numbers = must_alloc(shape->n_steps, sizeof *saga->numbers);
    saga->seen = must_alloc(SAGA_RUNS_MAX, sizeof *saga->seen);
    for (uint32_t i = 0; i < shape->n_steps; i++) {
        struct saga_number *n = &saga->numbers[i];

        n->saga = saga;
        n->number = i + 1;
        put_digits(n->text, n->number);
        n->name[0] = 's';
        memcpy(n->name + 1, n->text, DIGITS);
        if (i > 0)
            n->after[0] = saga->numbers[i - 1].name;
        steps[i].name = n->name;
        steps[i].flags = shape->pool ? KEDGE_STEP_POOL : 0;
        steps[i].run = run_step;
        steps[i].undo = shape->undo && i + 1 < shape->n_steps ? undo_step : NULL;
        steps[i].user = n;
        steps[i].after = n->after;
    }
    check(kedge_reactor_new(&def, &saga->reactor, &err), &err, "kedge_reactor_new");
    free(steps);
    if (pthread_mutex_init(&saga->lock, NULL) != 0 || pthread_cond_init(&saga->opened, NULL) != 0)
        die("no lock");
    atomic_store(&saga->closed, shape->pool);
}

void saga_undefine(struct saga *saga)
{
    (void)pthread_cond_destroy(&saga->opened);
    (void)pthread_mutex_destroy(&saga->lock);
    kedge_reactor_free(saga->reactor);
    free(saga->numbers);
    free(saga->seen);
    free(saga->began);
}

void saga_store_open(struct saga *saga, const char *url, const struct kedge_host *host)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_error err;
    char ns[NS_BYTES];

    options.flags = KEDGE_STORE_CREATE;
    options.ns = subject_ns(ns, saga->shape.name);
    options.host = host;
    options.backend = opt.backend;
    options.backend_options = opt.backend_options;
    check(kedge_store_open(url, &options, &saga->store, &err), &err, "kedge_store_open");
}

void saga_store_close(struct saga *saga)
{
    kedge_store_close(saga->store);
    saga->store = NULL;
}

void saga_worker_open(struct saga *saga)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactors[1];
    struct kedge_error err;

    reactors[0] = saga->reactor;
    options.reactors = reactors;
    options.n_reactors = 1;
    options.pool_threads = saga->shape.pool_threads;
    options.in_flight = saga->shape.in_flight;
    options.checkpoint_min_interval_us = saga->shape.checkpoint_us;
    options.observe = saga->shape.observe;
    options.observe_ctx = saga->shape.ctx;
    check(kedge_worker_open(saga->store, &options, &saga->worker, &err), &err, "kedge_worker_open");
}

void saga_gate(struct saga *saga, bool open)
{
    (void)pthread_mutex_lock(&saga->lock);
    atomic_store(&saga->closed, !open);
    (void)pthread_cond_broadcast(&saga->opened);
    (void)pthread_mutex_unlock(&saga->lock);
}

void saga_worker_close(struct saga *saga)
{
    kedge_worker_stop(saga->worker); /* what passes the gate now has no successor */
    saga_gate(saga, true);
    kedge_worker_close(saga->worker, TIMEOUT_US);
    saga->worker = NULL;
}

void saga_open(struct saga *saga, const struct saga_shape *shape)
{
    char url[PATH_MAX + 64];

    subject_url(url, sizeof url, shape->name);
    saga_define(saga, shape);
    saga_store_open(saga, url, NULL);
    saga_worker_open(saga);
}

uint64_t saga_close(struct saga *saga)
{
    uint64_t done = saga_counts(saga).steps;

    saga_worker_close(saga);
    /* A batch may have left some to the next one, which closing makes. */
    done = saga_verify(saga, done, saga->shape.in_flight);
    saga_store_close(saga);
    saga_undefine(saga);
    return done;
}

/* --------------------------------------------------------------------- runs */

static struct kedge_bytes id_of(const struct saga *saga, char id[ID_ROOM], uint64_t run)
{
    size_t len = strlen(saga->shape.name);

    memcpy(id, saga->shape.name, len);
    id[len++] = '-';
    put_digits(id + len, run);
    return (struct kedge_bytes){ id, len + DIGITS };
}

static void start_batch(struct saga *saga, size_t n, int64_t delay_us)
{
    struct kedge_run_start starts[FEED_MAX];
    char ids[FEED_MAX][ID_ROOM];
    int outcomes[FEED_MAX];
    struct kedge_error err;

    for (size_t i = 0; i < n; i++) {
        starts[i] = (struct kedge_run_start)KEDGE_START_INIT;
        starts[i].reactor = saga->shape.name;
        starts[i].version = 1;
        starts[i].id = id_of(saga, ids[i], saga->runs + i);
        starts[i].delay_us = delay_us;
    }
    check(kedge_start_many(saga->store, starts, n, sizeof starts[0], outcomes, TIMEOUT_US, &err),
          &err, "kedge_start_many");
    for (size_t i = 0; i < n; i++)
        if (outcomes[i] != KEDGE_OK)
            die("run %.*s was there before", (int)starts[i].id.len, ids[i]);
    saga->runs += n;
}

void saga_start(struct saga *saga, size_t n, int64_t delay_us)
{
    if (saga->runs + n > SAGA_RUNS_MAX)
        die("more than %zu runs: measure for a shorter time, or runs of more steps", SAGA_RUNS_MAX);
    while (n > 0) {
        size_t k = n < FEED_MAX ? n : FEED_MAX;

        start_batch(saga, k, delay_us);
        n -= k;
    }
}

struct read_back {
    const struct saga *saga;
    struct kedge_bytes id;
    bool resting; /* of a saga that is undone */
    uint64_t done;
};

static int read_step(void *ctx, const struct kedge_step_info *step)
{
    struct read_back *r = ctx;
    uint32_t seen = atomic_load(&r->saga->seen[saga_run_of(r->id)]);
    char want[SAGA_VALUE_MOST];

    if (step->state != KEDGE_STEP_DONE) {
        if (step->index + 1 < seen)
            die("step %" PRIu32 " of run %.*s was followed by others, and is lost", step->index + 1,
                (int)r->id.len, (const char *)r->id.data);
        return 0;
    }
    saga_value(want, r->id, step->index + 1);
    if (step->value.len != opt.record || memcmp(step->value.data, want, opt.record) != 0)
        die("the value of step %" PRIu32 " of run %.*s is not what was said", step->index + 1,
            (int)r->id.len, (const char *)r->id.data);
    r->done++;
    return 0;
}

/* Runs that are at rest are undone as a whole; the others are on their way. */
static int read_undone(void *ctx, const struct kedge_step_info *step)
{
    struct read_back *r = ctx;
    bool last = step->index + 1 == r->saga->shape.n_steps;

    if (r->resting && step->state != (last ? KEDGE_STEP_FAILED : KEDGE_STEP_UNDONE))
        die("step %" PRIu32 " of run %.*s is not undone, and the run has ended", step->index + 1,
            (int)r->id.len, (const char *)r->id.data);
    if (step->state == KEDGE_STEP_UNDONE)
        r->done += 2;
    else if (step->state == KEDGE_STEP_DONE || step->state == KEDGE_STEP_FAILED)
        r->done++;
    return 0;
}

static bool at_rest(const struct saga *saga, struct kedge_bytes id)
{
    struct kedge_run_info *info;
    struct kedge_error err;
    bool resting;

    check(kedge_run_get(saga->store, id, 0, &info, TIMEOUT_US, &err), &err, "kedge_run_get");
    resting = info->status == KEDGE_FAILED;
    kedge_run_info_free(info);
    return resting;
}

uint64_t saga_verify(struct saga *saga, uint64_t done, uint64_t more)
{
    struct read_back r = { .saga = saga };
    struct kedge_error err;
    char id[ID_ROOM];

    for (uint64_t run = 0; run < saga->runs; run++) {
        if (atomic_load(&saga->seen[run]) == 0)
            continue;
        die_if_stopped();
        r.id = id_of(saga, id, run);
        r.resting = saga->shape.undo && at_rest(saga, r.id);
        check(kedge_run_steps(saga->store, r.id, saga->shape.undo ? read_undone : read_step, &r,
                              TIMEOUT_US, &err),
              &err, "kedge_run_steps");
    }
    if (r.done < done || r.done > done + more)
        die("%" PRIu64 " steps are in the store, %" PRIu64 " were acknowledged", r.done, done);
    return r.done;
}

/* ------------------------------------------------------------------- slices */

struct kedge_counts saga_counts(const struct saga *saga)
{
    struct kedge_counts counts = { .struct_size = sizeof counts };

    kedge_worker_stats(saga->worker, &counts);
    return counts;
}

void saga_turn(struct saga *saga, int wait_ms)
{
    struct pollfd fd = { .fd = kedge_worker_fd(saga->worker), .events = POLLIN };
    struct kedge_error err;

    (void)poll(&fd, 1, wait_ms); /* a turn too many does no harm */
    check(kedge_worker_turn(saga->worker, &err), &err, "kedge_worker_turn");
}

void saga_reach(struct saga *saga, uint64_t n)
{
    while (saga_counts(saga).steps < n) {
        saga_turn(saga, 1);
        if (saga_counts(saga).runs_ended > 0)
            die("a run ended before its time");
        die_if_stopped();
    }
}

/* See that there are more runs than can be in flight.  The time it takes is the side's loss. */
static int64_t feed(struct saga *saga, struct side *side)
{
    int64_t began;
    int64_t cpu;

    if (saga->shape.feed == 0 || saga->runs - atomic_load(&saga->end) > saga->shape.in_flight)
        return 0;
    began = now_ns();
    cpu = cpu_used_ns();
    saga_start(saga, saga->shape.feed, 0);
    side->own_cpu_ns -= cpu_used_ns() - cpu;
    return now_ns() - began;
}

/* Each turn of the worker makes durable what it ran. */
static void loop_steps(struct saga *saga, struct side *side, const struct limit *limit)
{
    struct kedge_counts before = saga_counts(saga);
    uint64_t first = before.steps;
    int64_t t;

    (void)feed(saga, side);
    t = now_ns();
    while (!limit_reached(limit, before.steps - first, t)) {
        int64_t began = t;
        struct kedge_counts now;
        bool counts;

        saga_turn(saga, 0); /* there is always a step to run */
        now = saga_counts(saga);
        t = now_ns();
        counts = !saga->shape.without_claims || now.claims == before.claims;
        if (counts) {
            side->own_ns += t - began;
            side->ops += now.steps - before.steps;
            if (saga->began == NULL)
                samples_add(&side->lat, t - began);
        }
        before = now;
        t += feed(saga, side);
    }
}

/* Nothing moves: every thread of the pool that could run a step stands before the gate. */
static bool is_still(struct saga *saga)
{
    struct kedge_counts counts = saga_counts(saga);
    uint32_t most =
        counts.in_flight < saga->shape.pool_threads ? counts.in_flight : saga->shape.pool_threads;
    bool still;

    (void)pthread_mutex_lock(&saga->lock);
    still = counts.in_flight == saga->shape.in_flight && saga->at_gate == most;
    (void)pthread_mutex_unlock(&saga->lock);
    return still;
}

static void wait_until_still(struct saga *saga, int wait_ms)
{
    int64_t until = now_ns() + TIMEOUT_US * 1000;

    while (!is_still(saga)) {
        saga_turn(saga, wait_ms);
        die_if_stopped();
        if (now_ns() > until)
            die("the pool does not come to its gate");
    }
}

static void pool_steps(struct saga *saga, struct side *side, const struct limit *limit)
{
    uint64_t first;
    uint64_t steps;
    int64_t began;
    int64_t fed = 0;

    (void)feed(saga, side);
    wait_until_still(saga, 1);
    first = steps = saga_counts(saga).steps;
    began = now_ns();
    saga_gate(saga, true);
    while (!limit_reached(limit, steps - first, now_ns())) {
        saga_turn(saga, 2);
        steps = saga_counts(saga).steps;
        fed += feed(saga, side);
    }
    saga_gate(saga, false);
    wait_until_still(saga, 0);
    side->own_ns = now_ns() - began - fed;
    side->ops += saga_counts(saga).steps - first;
}

void saga_steps(struct side *side, const struct limit *limit)
{
    struct saga *saga = side->ctx;

    saga->side = side;
    atomic_store(&saga->slice_began, now_ns());
    if (saga->shape.pool)
        pool_steps(saga, side, limit);
    else
        loop_steps(saga, side, limit);
}
