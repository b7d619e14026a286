/*
 * worker.c - a worker's life: opened, run or turned, stopped, closed; its threads and their sleep
 */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "kassert.h"
#include "rescue.h"
#include "session.h"
#include "worker.h"

#define LOOP_SLICE_US INT64_C(1000)
#define HOLD_MORE_US  INT64_C(10000000)

/* ------------------------------------------------------------------ services */

int64_t kedge_worker_now(const struct kedge_worker *w)
{
    return w->host->clock_us(w->host->ctx, KEDGE_CLOCK_LEASE);
}

int64_t kedge_worker_wall(const struct kedge_worker *w)
{
    return w->host->clock_us(w->host->ctx, KEDGE_CLOCK_WALL) + w->skew;
}

void kedge_moment_begin(struct kedge_worker *w)
{
    w->moment_now = kedge_worker_now(w);
    w->moment_wall = kedge_worker_wall(w);
    w->at_moment = true;
}

void kedge_moment_end(struct kedge_worker *w)
{
    w->at_moment = false;
}

/* Lock held. */
void kedge_worker_random(struct kedge_worker *w, struct kedge_id128 *id)
{
    kedge_random_id(&w->random, id);
}

void kedge_worker_request(struct kedge_worker *w, struct kedge_id128 *id)
{
    kedge_request_id(&w->lease, &w->random, id);
}

void kedge_worker_log(const struct kedge_worker *w, int level, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    w->host->log(w->host->ctx, level, text);
}

const char *kedge_worker_id_text(struct kedge_bytes id, char buf[KEDGE_ID_ROOM])
{
    const unsigned char *from = id.data;
    size_t n = id.len < KEDGE_ID_ROOM - 4 ? id.len : KEDGE_ID_ROOM - 4;

    for (size_t i = 0; i < n; i++)
        buf[i] = from[i] > ' ' && from[i] < 127 ? (char)from[i] : '?';
    (void)strcpy(buf + n, id.len > n ? "..." : "");
    return buf;
}

void kedge_worker_emit(struct kedge_worker *w, const struct kedge_event *event)
{
    if (w->options.observe == NULL)
        return;
    (void)pthread_mutex_lock(&w->observe_lock);
    w->options.observe(w->options.observe_ctx, event);
    (void)pthread_mutex_unlock(&w->observe_lock);
}

void kedge_worker_tell_loop(struct kedge_worker *w)
{
    if (w->loop_told || !w->loop_sleeps)
        return; /* it looks before it sleeps */
    w->loop_told = true;
    w->stats.hand_offs++;
    (void)eventfd_write(w->event_fd, 1);
}

void kedge_worker_timer(struct kedge_worker *w, int64_t at)
{
    if (at < w->next_timer)
        w->next_timer = at;
    if (w->loop_sleeps && at < w->loop_wakes && !w->driving) /* else who drives looks at it later */
        kedge_worker_tell_loop(w);
}

/* ---------------------------------------------------------- running steps */

static struct kedge_step *pop(struct kedge_step **queue, struct kedge_step ***end)
{
    struct kedge_step *step = *queue;

    *queue = step->next;
    if (*queue == NULL)
        *end = queue;
    return step;
}

/*
 * Is the run still ours, as far as can be known without asking?  Whoever was stopped past his
 * lease's deadline may have lost it, and asks before he begins anything.
 */
static bool is_held(const struct kedge_worker *w, const struct kedge_inflight *run, int64_t now)
{
    return !w->lease_dead && memcmp(&run->lease, &w->lease, sizeof w->lease) == 0 &&
           now - w->extended < w->options.lease_ttl_us;
}

void kedge_worker_run_step(struct kedge_worker *w, struct kedge_step *step, int64_t now)
{
    bool held = is_held(w, step->run, now);

    if (!step->run->gone && !atomic_load(&w->stopping) && held) {
        kedge_step_call(w, step, now);
        return;
    }
    if (!step->run->gone) {
        kedge_progress_give_back(step->run->progress, step->index);
        kedge_inflight_dirty(w, step->run);
        if (!held)
            kedge_worker_tell_loop(w);
    }
    kedge_step_free(w, step);
}

static void run_loop_steps(struct kedge_worker *w)
{
    int64_t began = kedge_worker_now(w);
    int64_t now = began;

    while (w->loop_queue != NULL && w->n_dirty < w->limits.batch_items &&
           now - began < LOOP_SLICE_US) {
        kedge_worker_run_step(w, pop(&w->loop_queue, &w->loop_end), now);
        now = kedge_worker_now(w);
    }
}

/* ------------------------------------------------------------------- time */

/*
 * When has the loop something to do even if nobody tells it?  INT64_MAX: never.  While another
 * thread drives, what is due now is that one's business, and it looks at this when it has left
 * the seat.  What is due later is told all the same: else it would have to be told each time.
 */
static int64_t next_time(const struct kedge_worker *w)
{
    bool stopping = atomic_load(&w->stopping);
    int64_t at = w->next_timer;

    if (kedge_drive_room(w) && w->claim_at < at)
        at = w->claim_at;
    if (!stopping && !w->lease_dead && w->reconcile_at < at)
        at = w->reconcile_at;
    if (!w->driving && (w->n_dirty > 0 || w->asked != NULL || w->lease_dead ||
                        (w->claim_hint && kedge_drive_room(w))))
        at = 0;
    if (at < w->retry_at)
        at = w->retry_at;
    return w->driving && at <= kedge_worker_now(w) ? INT64_MAX : at;
}

void kedge_worker_leave_to_loop(struct kedge_worker *w)
{
    if (next_time(w) < w->loop_wakes)
        kedge_worker_tell_loop(w);
}

/* ------------------------------------------------------------------- loop */

static bool is_stopping(struct kedge_worker *w)
{
    return atomic_load(&w->stopping) || atomic_load(&w->given_up);
}

static int64_t next_time_before(const struct kedge_worker *w, int64_t most_us)
{
    int64_t at = next_time(w);
    int64_t most = kedge_worker_now(w) + (most_us > 0 ? most_us : 0);

    return at < most ? at : most;
}

static bool loop_once(struct kedge_worker *w)
{
    if (w->loop_queue != NULL) {
        run_loop_steps(w);
        if (kedge_drive_wanted(w))
            kedge_drive(w, true);
        return true;
    }
    if (kedge_drive_wanted(w)) {
        kedge_drive(w, true);
        return true;
    }
    return false;
}

/* The timer of those who wait themselves may have fired. */
static void clear_timer(struct kedge_worker *w)
{
    uint64_t ticks;

    if (w->timer_at == INT64_MAX || kedge_monotonic_us() < w->timer_real)
        return;
    if (read(w->timer_fd, &ticks, sizeof ticks) < 0)
        ticks = 0; /* it has not */
    w->timer_at = INT64_MIN;
    w->timer_real = INT64_MAX;
}

/* Sleep until told, or AT.  Lock held, released meanwhile. */
static void loop_sleep(struct kedge_worker *w, int64_t at)
{
    int64_t now = kedge_worker_now(w);
    int64_t wait_us = at == INT64_MAX ? INT64_MAX : (at > now ? at - now : 0);
    struct epoll_event event;
    eventfd_t n;
    int ms;

    if (wait_us > INT64_C(60000000))
        ms = 60000;
    else
        ms = (int)((wait_us + 999) / 1000);
    w->loop_sleeps = true;
    w->loop_wakes = at;
    (void)pthread_mutex_unlock(&w->lock);
    (void)epoll_wait(w->epoll_fd, &event, 1, ms);
    (void)pthread_mutex_lock(&w->lock);
    w->loop_sleeps = false;
    w->stats.wake_ups++;
    (void)eventfd_read(w->event_fd, &n);
    w->loop_told = false;
    clear_timer(w);
}

/*
 * For those who wait on the descriptor themselves: it is readable if there is something to do.  A
 * turn after another finds most of it as the last one left it, and calls the system for what is
 * not.
 */
static void set_event(struct kedge_worker *w, bool more, bool stops)
{
    eventfd_t n;

    if (more && !w->loop_told)
        (void)eventfd_write(w->event_fd, 1);
    if (!more && (w->loop_told || stops))
        (void)eventfd_read(w->event_fd, &n);
    w->loop_told = more;
    if (!more && !stops && is_stopping(w)) /* it may have been told just now, and read above */
        (void)eventfd_write(w->event_fd, 1);
}

static void set_timer(struct kedge_worker *w)
{
    int64_t at = next_time(w);
    struct itimerspec spec = { 0 };
    int64_t now, wait_us;

    w->loop_wakes = at;
    if (at == w->timer_at)
        return;
    now = kedge_worker_now(w);
    wait_us = at > now ? at - now : 1;
    if (at != INT64_MAX) {
        spec.it_value.tv_sec = (time_t)(wait_us / 1000000);
        spec.it_value.tv_nsec = (long)(wait_us % 1000000) * 1000;
    }
    (void)timerfd_settime(w->timer_fd, 0, &spec, NULL);
    w->timer_at = at;
    w->timer_real = at == INT64_MAX ? INT64_MAX : kedge_monotonic_us() + wait_us;
}

/* Steps that were taken but not called go back; runs with nothing under way are handed on. */
static void wind_down(struct kedge_worker *w)
{
    for (struct kedge_inflight *run = w->runs; run != NULL; run = run->next) {
        for (struct kedge_step *step = run->steps; step != NULL; step = step->run_next)
            kedge_step_tell_stop(step);
        if (!run->sending && kedge_progress_running(run->progress) == 0)
            kedge_inflight_dirty(w, run);
    }
    while (w->pool_queue != NULL)
        kedge_worker_run_step(w, kedge_pool_take(w), kedge_worker_now(w));
    while (w->loop_queue != NULL)
        kedge_worker_run_step(w, pop(&w->loop_queue, &w->loop_end), kedge_worker_now(w));
}

/*
 * Nothing is in flight any more but what the store does not take, and it had its time since the
 * stop. What could not be said then is for close to say, or is left to the lease's end.
 */
static bool waits_in_vain(struct kedge_worker *w)
{
    int64_t now = kedge_monotonic_us();

    if (w->stop_seen == 0)
        w->stop_seen = now;
    if (!w->told_unavailable || now - w->stop_seen < w->options.timeout_us)
        return false;
    for (const struct kedge_inflight *run = w->runs; run != NULL; run = run->next) {
        for (const struct kedge_step *step = run->steps; step != NULL; step = step->run_next) {
            if (!step->orphan)
                return false;
        }
    }
    return true;
}

static bool has_ended(struct kedge_worker *w)
{
    return atomic_load(&w->stopping) && (w->n_runs == 0 || waits_in_vain(w));
}

/* Its locks may be those of threads that are not here: no lock is taken where this is true. */
bool kedge_worker_forked(const struct kedge_worker *w, struct kedge_error *err)
{
    if (w->pid == getpid())
        return false;
    (void)
        kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                        "worker '%s' was opened by process %ld, before a fork: open the store and "
                        "a worker anew in the child",
                        w->owner, (long)w->pid);
    return true;
}

/* This thread is in the function of a step, or was, and left it by longjmp: who can tell. */
static bool is_in_step(const struct kedge_worker *w)
{
    return w->in_loop && w->loop_step != NULL && pthread_equal(w->loop_thread, pthread_self());
}

static int busy(const struct kedge_worker *w, struct kedge_error *err)
{
    if (is_in_step(w))
        return kedge_error_set(
            err, KEDGE_ERR_INVALID, 0,
            "worker '%s': step '%s' of reactor '%s' has not returned; it may not "
            "run its own worker, nor be left by longjmp: close the worker",
            w->owner, w->loop_step->view.step, w->loop_step->view.reactor);
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "another thread is in run, turn or drain of worker '%s', which is for "
                           "one at a time",
                           w->owner);
}

static int enter(struct kedge_worker *w, struct kedge_error *err)
{
    int rc;

    if (kedge_worker_forked(w, err))
        return KEDGE_ERR_INVALID;
    (void)pthread_mutex_lock(&w->lock);
    if (!w->in_loop && !w->closing) {
        w->in_loop = true;
        w->loop_thread = pthread_self();
        w->loop_sleeps = false;
        return KEDGE_OK;
    }
    rc = busy(w, err);
    (void)pthread_mutex_unlock(&w->lock);
    return rc;
}

static void free_worker(struct kedge_worker *w);

static void leave(struct kedge_worker *w)
{
    bool closed = w->closed && w->calls == 0;

    w->in_loop = false;
    (void)pthread_mutex_unlock(&w->lock);
    if (closed)
        free_worker(w); /* by the step that has just returned here */
}

int kedge_worker_run(struct kedge_worker *w, struct kedge_error *err)
{
    int rc = enter(w, err);

    if (rc != KEDGE_OK)
        return rc;
    while (!has_ended(w)) {
        if (atomic_load(&w->stopping))
            wind_down(w);
        if (!loop_once(w))
            loop_sleep(w, next_time(w));
    }
    leave(w);
    return KEDGE_OK;
}

int kedge_worker_fd(const struct kedge_worker *w)
{
    return w->epoll_fd;
}

int kedge_worker_turn(struct kedge_worker *w, struct kedge_error *err)
{
    int rc = enter(w, err);
    bool stops;

    if (rc != KEDGE_OK)
        return rc;
    clear_timer(w);
    w->loop_sleeps = false;
    stops = is_stopping(w);
    if (atomic_load(&w->stopping))
        wind_down(w);
    /* One round: another one, if there is more, when the loop comes back. */
    (void)loop_once(w);
    set_event(w, w->loop_queue != NULL || kedge_drive_wanted(w), stops);
    set_timer(w);
    w->loop_sleeps = true;
    rc = has_ended(w) ? KEDGE_QUIET : KEDGE_OK;
    leave(w);
    return rc;
}

/* Who uses the driver's session sits in the driver's seat. */
static void take_seat(struct kedge_worker *w)
{
    while (w->driving)
        loop_sleep(w, kedge_worker_now(w) + 1000);
    w->driving = true;
    (void)pthread_mutex_unlock(&w->lock);
}

static void leave_seat(struct kedge_worker *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->driving = false;
}

int kedge_worker_drain(struct kedge_worker *w, int64_t timeout_us, struct kedge_error *err)
{
    int64_t until = kedge_monotonic_us() + timeout_us;
    uint64_t checked = UINT64_MAX;
    int rc = enter(w, err);

    if (rc != KEDGE_OK)
        return rc;
    take_seat(w);
    (void)kedge_keeper_extend(w, w->driver_session);
    (void)kedge_keeper_look(w, w->driver_session);
    leave_seat(w);
    w->claim_hint = true;
    w->draining = true;
    for (;;) {
        if (atomic_load(&w->stopping))
            wind_down(w);
        if (loop_once(w))
            ;
        else if (w->n_runs > 0 || w->driving)
            loop_sleep(w, next_time_before(w, until - kedge_monotonic_us()));
        else if (atomic_load(&w->stopping) || checked == w->stats.runs_taken)
            break;
        else { /* what ended may have made something due: claim once more */
            checked = w->stats.runs_taken;
            w->claim_hint = true;
        }
        if (kedge_monotonic_us() >= until || atomic_load(&w->given_up)) {
            rc = KEDGE_QUIET;
            break;
        }
    }
    w->draining = false;
    leave(w);
    return rc;
}

void kedge_worker_stop(struct kedge_worker *w)
{
    int saved = errno;

    if (w->pid != getpid())
        return; /* the descriptor is the parent's as well */
    atomic_store(&w->stopping, true);
    (void)eventfd_write(w->event_fd, 1);
    errno = saved;
}

void kedge_worker_give_up(struct kedge_worker *w)
{
    atomic_store(&w->given_up, true);
    (void)eventfd_write(w->event_fd, 1);
}

void kedge_worker_stats(const struct kedge_worker *worker, struct kedge_counts *stats)
{
    struct kedge_worker *w = (struct kedge_worker *)(uintptr_t)worker;
    struct kedge_counts now = { 0 };

    if (w->pid == getpid()) {
        (void)pthread_mutex_lock(&w->lock);
        now = w->stats;
        now.in_flight = w->n_runs;
        now.pool_threads = w->n_pool;
        (void)pthread_mutex_unlock(&w->lock);
    }
    kedge_args_export(stats, &now, sizeof now);
}

/* ---------------------------------------------------------------- opening */

static void fill_defaults(struct kedge_worker_options *o)
{
    if (o->pool_threads == 0)
        o->pool_threads = 16;
    if (o->in_flight == 0)
        o->in_flight = 1024;
    if (o->claim_slice == 0)
        o->claim_slice = 64;
    if (o->crash_limit == 0)
        o->crash_limit = KEDGE_RESCUE_CRASH_LIMIT;
    if (o->lease_ttl_us == 0)
        o->lease_ttl_us = INT64_C(10000000);
    if (o->look_us == 0)
        o->look_us = INT64_C(140000);
    if (o->sweep_us == 0)
        o->sweep_us = INT64_C(30000000);
    if (o->retention_us == 0)
        o->retention_us = INT64_C(86400000000);
    if (o->timeout_us == 0)
        o->timeout_us = INT64_C(10000000);
}

static int check_queues(const char *const *queues, const struct kedge_limits *limits,
                        struct kedge_error *err)
{
    for (size_t i = 0; queues != NULL && queues[i] != NULL; i++) {
        size_t len = strlen(queues[i]);

        if (len == 0)
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "options.queues[%zu] is empty", i);
        if (len > limits->id_max)
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                   "options.queues[%zu] has %zu bytes; this store takes names of "
                                   "at most %llu",
                                   i, len, (unsigned long long)limits->id_max);
    }
    return KEDGE_OK;
}

static int check_options(const struct kedge_worker_options *o, const struct kedge_limits *limits,
                         struct kedge_error *err)
{
    if (o->flags != 0 || o->reserved != 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "options.flags is not 0");
    if (o->n_reactors == 0 || o->reactors == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a worker needs a reactor to serve");
    for (size_t i = 0; i < o->n_reactors; i++) {
        if (o->reactors[i] == NULL)
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "options.reactors[%zu] is NULL", i);
        for (size_t j = 0; j < i; j++)
            if (strcmp(o->reactors[i]->name, o->reactors[j]->name) == 0 &&
                o->reactors[i]->version == o->reactors[j]->version)
                return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                       "reactor '%s' version %u is given twice",
                                       o->reactors[i]->name, (unsigned)o->reactors[i]->version);
    }
    if (o->lease_ttl_us < limits->ttl_min_us || o->lease_ttl_us > limits->ttl_max_us)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "options.lease_ttl_us is %lld; this store takes %lld to %lld",
                               (long long)o->lease_ttl_us, (long long)limits->ttl_min_us,
                               (long long)limits->ttl_max_us);
    if (o->look_us < 0 || o->sweep_us < 0 || o->timeout_us < 0 || o->retention_us < -1 ||
        o->checkpoint_min_interval_us < 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a time in options is negative");
    return check_queues(o->queues, limits, err);
}

static void *get(struct kedge_worker *w, size_t n, size_t size)
{
    void *to = w->host->alloc(w->host->ctx, n * size > 0 ? n * size : 1);

    if (to != NULL)
        memset(to, 0, n * size);
    return to;
}

/*
 * How long a run may be held without a word from its worker before it is taken elsewhere, if all
 * its steps say how long they take: long past the longest of them.  The worker itself ends their
 * attempts much earlier, unless it hangs.
 */
static int64_t hold_of(const struct kedge_reactor *reactor)
{
    int64_t most = 0;

    for (uint32_t i = 0; i < reactor->n_steps; i++) {
        if (reactor->steps[i].timeout_us == 0)
            return 0;
        if (reactor->steps[i].timeout_us > most)
            most = reactor->steps[i].timeout_us;
    }
    return most < INT64_MAX / 4 ? 2 * most + HOLD_MORE_US : 0;
}

/* Every reactor in every queue. */
static int make_serves(struct kedge_worker *w, const struct kedge_worker_options *o)
{
    static const char *const usual[] = { "default", NULL };
    const char *const *queues = o->queues != NULL ? o->queues : usual;
    size_t n_queues = 0;
    size_t bytes = 0;
    char *to;

    for (; queues[n_queues] != NULL; n_queues++)
        bytes += strlen(queues[n_queues]);
    w->queues = get(w, bytes + 1, 1);
    w->serves = get(w, n_queues * o->n_reactors, sizeof *w->serves);
    w->shut = get(w, n_queues * o->n_reactors, sizeof *w->shut);
    w->claim_serves = get(w, n_queues * o->n_reactors, sizeof *w->claim_serves);
    w->reactors = get(w, o->n_reactors, sizeof(struct kedge_reactor *));
    w->holds = get(w, o->n_reactors, sizeof *w->holds);
    if (w->holds == NULL || w->queues == NULL || w->serves == NULL || w->shut == NULL ||
        w->claim_serves == NULL || w->reactors == NULL)
        return KEDGE_ERR_NOMEM;
    for (size_t i = 0; i < o->n_reactors; i++) {
        w->reactors[i] = kedge_reactor_hold((struct kedge_reactor *)(uintptr_t)o->reactors[i]);
        for (uint32_t j = 0; j < w->reactors[i]->n_steps; j++)
            w->has_pool |= (w->reactors[i]->steps[j].flags & KEDGE_STEP_POOL) != 0;
        w->holds[i] = hold_of(w->reactors[i]);
        w->claim_hold = i == 0 || (w->claim_hold > 0 && w->holds[i] > w->claim_hold)
                            ? w->holds[i]
                            : (w->holds[i] > 0 ? w->claim_hold : 0);
    }
    to = w->queues;
    for (size_t q = 0; q < n_queues; q++) {
        size_t len = strlen(queues[q]);

        memcpy(to, queues[q], len);
        for (size_t i = 0; i < o->n_reactors; i++)
            w->serves[w->n_serves++] = (struct kedge_serve){
                .queue = { to, len },
                .reactor = kedge_text(w->reactors[i]->name),
                .version_min = w->reactors[i]->version,
                .version_max = w->reactors[i]->version,
            };
        to += len;
    }
    w->options.reactors = NULL;
    w->options.queues = NULL;
    return KEDGE_OK;
}

static void make_owner(struct kedge_worker *w, const char *label)
{
    (void)snprintf(w->owner, sizeof w->owner, "%s%s%s", label != NULL ? label : "",
                   label != NULL ? "@" : "", kedge_store_program(w->store));
}

static int make_descriptors(struct kedge_worker *w, struct kedge_error *err)
{
    struct epoll_event event = { .events = EPOLLIN };

    w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (w->event_fd < 0 || w->timer_fd < 0 || w->epoll_fd < 0 ||
        epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->event_fd, &event) != 0 ||
        epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->timer_fd, &event) != 0)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, errno,
                               "no file descriptors for the worker: %s", strerror(errno));
    return KEDGE_OK;
}

static int make_room(struct kedge_worker *w)
{
    size_t n = w->limits.batch_items;

    w->commits = get(w, n, sizeof *w->commits);
    w->answers = get(w, n, sizeof *w->answers);
    w->batch = get(w, n, sizeof(struct kedge_inflight *));
    w->pool = get(w, w->options.pool_threads, sizeof *w->pool);
    return w->commits != NULL && w->answers != NULL && w->batch != NULL && w->pool != NULL
               ? KEDGE_OK
               : KEDGE_ERR_NOMEM;
}

/* Nobody drives yet: what is in doubt is asked again here, while there is time. */
static int first_lease(struct kedge_worker *w, struct kedge_error *err)
{
    int64_t until = kedge_monotonic_us() + w->options.timeout_us;
    int64_t pause = 1000;
    int rc = kedge_keeper_grant(w, w->driver_session, err);

    while (w->grant_doubt && rc != KEDGE_OK && kedge_monotonic_us() < until) {
        struct timespec ts = { 0, (long)pause * 1000 };

        (void)nanosleep(&ts, NULL);
        pause = pause < 50000 ? 2 * pause : 50000;
        rc = kedge_keeper_grant(w, w->driver_session, err);
    }
    return rc;
}

static int meet_store(struct kedge_worker *w, struct kedge_error *err)
{
    void *handle = kedge_store_handle(w->store);
    struct kedge_time now = { 0 };
    int rc;

    rc = w->ops->session_open(handle, &w->driver_session, err);
    if (rc == KEDGE_OK)
        rc = w->ops->session_open(handle, &w->keeper_session, err);
    for (size_t i = 0; i < w->options.n_reactors && rc == KEDGE_OK; i++)
        rc = kedge_reactor_register(w->ops, w->driver_session, w->host, w->reactors[i],
                                    w->options.timeout_us, err);
    if (rc == KEDGE_OK)
        rc = w->ops->now(w->driver_session, &now, w->options.timeout_us, err);
    if (rc == KEDGE_OK && (w->ops->caps & KEDGE_CAP_SERVER_CLOCK) != 0)
        w->skew = now.wall - w->host->clock_us(w->host->ctx, KEDGE_CLOCK_WALL);
    if (rc == KEDGE_OK) /* before the first claim */
        rc = kedge_keeper_queues(w, w->driver_session, err);
    if (rc == KEDGE_OK)
        rc = first_lease(w, err);
    return rc;
}

static int make_locks(struct kedge_worker *w)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc != 0)
        return rc;
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = pthread_mutex_init(&w->lock, NULL);
    if (rc == 0)
        rc = pthread_mutex_init(&w->observe_lock, NULL);
    if (rc == 0)
        rc = pthread_cond_init(&w->pool_cond, &attr);
    if (rc == 0)
        rc = pthread_cond_init(&w->keeper_cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    return rc;
}

static struct kedge_worker *new_worker(struct kedge_store *store,
                                       const struct kedge_worker_options *options)
{
    const struct kedge_host *host = kedge_store_host(store);
    struct kedge_worker *w = host->alloc(host->ctx, sizeof *w);

    if (w == NULL)
        return NULL;
    memset(w, 0, sizeof *w);
    w->store = store;
    w->host = host;
    w->ops = kedge_store_ops(store);
    w->limits = *w->ops->limits;
    kedge_pool_init(w);
    w->options = *options;
    fill_defaults(&w->options);
    w->pid = getpid();
    w->event_fd = w->timer_fd = w->epoll_fd = -1;
    w->timer_at = w->timer_real = INT64_MAX;
    w->dirty_end = &w->dirty;
    w->loop_end = &w->loop_queue;
    w->pool_end = &w->pool_queue;
    w->next_timer = INT64_MAX;
    w->claim_at = INT64_MAX;
    w->claim_hint = true;
    if (getrandom(&w->random, sizeof w->random, 0) != sizeof w->random || make_locks(w) != 0) {
        host->release(host->ctx, w);
        return NULL;
    }
    return w;
}

static void close_descriptors(struct kedge_worker *w)
{
    int *const fds[] = { &w->event_fd, &w->timer_fd, &w->epoll_fd };

    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (*fds[i] >= 0)
            (void)close(*fds[i]);
        *fds[i] = -1;
    }
}

static void close_sessions(struct kedge_worker *w)
{
    if (w->driver_session != NULL)
        w->ops->session_close(w->driver_session);
    if (w->keeper_session != NULL)
        w->ops->session_close(w->keeper_session);
    w->driver_session = w->keeper_session = NULL;
}

static void free_worker(struct kedge_worker *w)
{
    const struct kedge_host *host = w->host;

    close_sessions(w);
    close_descriptors(w);
    for (size_t i = 0; w->reactors != NULL && i < w->options.n_reactors; i++)
        kedge_reactor_free(w->reactors[i]);
    kedge_step_release_all(w);
    host->release(host->ctx, w->reactors);
    host->release(host->ctx, w->holds);
    host->release(host->ctx, w->serves);
    host->release(host->ctx, w->shut);
    host->release(host->ctx, w->claim_serves);
    host->release(host->ctx, w->queues);
    host->release(host->ctx, w->commits);
    host->release(host->ctx, w->answers);
    host->release(host->ctx, w->batch);
    host->release(host->ctx, w->pool);
    (void)pthread_cond_destroy(&w->keeper_cond);
    (void)pthread_cond_destroy(&w->pool_cond);
    (void)pthread_mutex_destroy(&w->observe_lock);
    (void)pthread_mutex_destroy(&w->lock);
    host->release(host->ctx, w);
}

/* Before anything is read of them. */
static int check_arguments(struct kedge_store *store, const struct kedge_worker_options *options,
                           struct kedge_worker **worker, struct kedge_error *err)
{
    if (store == NULL || options == NULL || worker == NULL)
        return kedge_args_null(store == NULL     ? "store"
                               : options == NULL ? "options"
                                                 : "worker",
                               err);
    if (options->struct_size != sizeof *options)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "options.struct_size is %zu, not %zu; start from "
                               "KEDGE_WORKER_OPTIONS_INIT",
                               options->struct_size, sizeof *options);
    return kedge_session_check(store, err);
}

int kedge_worker_open(struct kedge_store *store, const struct kedge_worker_options *options,
                      struct kedge_worker **worker, struct kedge_error *err)
{
    struct kedge_worker *w;
    int rc = check_arguments(store, options, worker, err);

    if (rc != KEDGE_OK)
        return rc;
    w = new_worker(store, options);
    if (w == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    rc = check_options(&w->options, &w->limits, err);
    if (rc == KEDGE_OK && make_serves(w, options) != KEDGE_OK)
        rc = kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    if (rc == KEDGE_OK && make_room(w) != KEDGE_OK)
        rc = kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    make_owner(w, options->label);
    w->options.label = NULL;
    if (rc == KEDGE_OK)
        rc = make_descriptors(w, err);
    if (rc == KEDGE_OK) { /* the first turn has something to do */
        w->loop_told = true;
        (void)eventfd_write(w->event_fd, 1);
        rc = meet_store(w, err);
    }
    if (rc == KEDGE_OK && pthread_create(&w->keeper, NULL, kedge_keeper_main, w) != 0)
        rc = kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, errno, "no thread for the keeper");
    if (rc != KEDGE_OK) {
        free_worker(w);
        return rc;
    }
    *worker = w;
    return KEDGE_OK;
}

/* ---------------------------------------------------------------- closing */

/* What is still under way makes its run say so; then the run goes.  False: not all can say so. */
static bool abandon(struct kedge_worker *w)
{
    bool all = true;

    for (struct kedge_inflight *run = w->runs; run != NULL; run = run->next) {
        struct kedge_rec rec;
        struct kedge_out *out;

        if (!run->item.sealed && kedge_progress_running(run->progress) > 0 &&
            kedge_progress_abandon(run->progress, &rec)) {
            out = kedge_out_new(w, run, &rec);
            if (out == NULL) {
                all = false;
                continue;
            }
            *run->waiting_end = out;
            run->waiting_end = &out->next;
        }
        run->flushed = 0; /* nothing is held back any more */
        if (run->waiting != NULL || run->item.n_records > 0)
            kedge_inflight_dirty(w, run);
    }
    return all;
}

/* Is there anything here that the store should know? */
static bool owes(const struct kedge_worker *w)
{
    for (const struct kedge_inflight *run = w->runs; run != NULL; run = run->next) {
        if (run->item.sealed || run->item.n_records > 0 || run->waiting != NULL)
            return true;
    }
    return false;
}

static void send_all(struct kedge_worker *w)
{
    while (w->n_dirty > 0 && kedge_worker_now(w) >= w->retry_at)
        kedge_drive(w, true);
}

/* What is with the store, or waits for it, is tried once more, however long that was to wait. */
static bool say_all(struct kedge_worker *w)
{
    bool all;

    w->retry_at = 0;
    send_all(w);
    all = abandon(w);
    send_all(w);
    return all && !owes(w);
}

/*
 * All runs are due at once when the lease is revoked.  That charges no recovery, so that nobody
 * would take steps to be in doubt which ran here and whose outcome could not be told: then the
 * lease is left to its end, as by a crash.
 */
static void end_lease(struct kedge_worker *w, bool said)
{
    int rc = KEDGE_ERR_UNAVAILABLE;

    w->driving = true; /* for good: the session is used here */
    (void)pthread_mutex_unlock(&w->lock);
    if (said)
        rc = w->ops->lease_revoke(w->driver_session, &w->lease, w->options.timeout_us, NULL);
    (void)pthread_mutex_lock(&w->lock);
    if (rc < 0 && (w->n_runs > 0 || w->claim_doubt))
        kedge_worker_log(w, LOG_WARNING,
                         "the worker's lease could not be handed back%s; its %u runs go on "
                         "elsewhere when it is over, in %lld ms at most",
                         said ? "" : " with all that its steps have done", (unsigned)w->n_runs,
                         (long long)(w->options.lease_ttl_us / 1000));
}

static void hand_back(struct kedge_worker *w)
{
    struct kedge_inflight *run;
    struct kedge_inflight *next;

    end_lease(w, say_all(w));
    for (run = w->runs; run != NULL; run = next) {
        next = run->next;
        kedge_inflight_drop(w, run);
    }
    while ((run = w->dirty) != NULL) {
        w->dirty = run->dirty_next;
        kedge_inflight_unref(w, run);
    }
    w->dirty_end = &w->dirty;
    w->n_dirty = 0;
    while ((run = w->asked) != NULL) {
        w->asked = run->asked_next;
        kedge_inflight_unref(w, run);
    }
}

static void join_threads(struct kedge_worker *w)
{
    w->closing = true;
    (void)pthread_cond_broadcast(&w->pool_cond);
    (void)pthread_cond_broadcast(&w->keeper_cond);
    (void)pthread_mutex_unlock(&w->lock);
    (void)w->ops->notify(w->driver_session, NULL); /* the keeper may be listening */
    (void)pthread_join(w->keeper, NULL);
    for (uint32_t i = 0; i < w->n_pool; i++)
        (void)pthread_join(w->pool[i], NULL);
    (void)pthread_mutex_lock(&w->lock);
}

/*
 * The function of a step was left by longjmp, or ended its thread, or it is what closes the worker
 * here: its frames may be there, and go on.  So all ends but the memory, which waits for its
 * return.
 */
static void close_around(struct kedge_worker *w)
{
    for (uint32_t i = 0; i < w->n_slots; i++) {
        const struct kedge_step *step = w->slots[i];

        if (step->live && step->called)
            kedge_worker_log(
                w, LOG_ERR,
                "worker '%s' is closed, and step '%s' of reactor '%s' has not returned: "
                "memory stays for it",
                w->owner, step->view.step, step->view.reactor);
    }
    w->closed = true;
    atomic_store(&w->given_up, true);
    close_sessions(w);
    close_descriptors(w);
}

/* Of the runs, the lease and the threads nothing is the child's. */
static bool close_in_child(struct kedge_worker *w)
{
    if (!kedge_worker_forked(w, NULL))
        return false;
    close_descriptors(w);
    return true;
}

void kedge_worker_close(struct kedge_worker *w, int64_t grace_us)
{
    int64_t until;
    bool stays;

    if (w == NULL || close_in_child(w))
        return;
    kedge_worker_stop(w);
    until = kedge_monotonic_us() + grace_us;
    (void)pthread_mutex_lock(&w->lock);
    KEDGE_ASSERT(!w->in_loop || is_in_step(w));
    wind_down(w);
    while (w->n_runs > 0 && kedge_monotonic_us() < until) {
        wind_down(w);
        if (!loop_once(w))
            loop_sleep(w, kedge_worker_now(w) + 10000);
    }
    while (w->driving)
        loop_sleep(w, kedge_worker_now(w) + 1000);
    hand_back(w);
    join_threads(w);
    stays = w->calls > 0;
    if (stays)
        close_around(w);
    (void)pthread_mutex_unlock(&w->lock);
    if (!stays)
        free_worker(w);
}
