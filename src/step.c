/*
 * step.c - one execution of a step's function: the view it has, the outcome it gives
 *
 * A handle is settled once: the first to move `settled' from OPEN wins.  Handles are kept and used
 * again, never freed before the worker is; a token names handle and generation, so that a late
 * second settle is told from a first.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <kedge/value.h>

#include "args.h"
#include "kassert.h"
#include "session.h"
#include "worker.h"

#define SAID 1 /* what the outcome functions answer */

/* A run waits so much longer for a function that hangs, beyond another time of its own. */
#define ORPHAN_MORE_US INT64_C(1000000)

/* ------------------------------------------------------------------ handles */

static const struct kedge_reactor_step *def_of(const struct kedge_step *step)
{
    return &step->run->reactor->steps[step->index];
}

static struct kedge_step *handle_new(struct kedge_worker *w)
{
    const struct kedge_host *host = w->host;
    struct kedge_step *step = w->free_steps;
    uint32_t max;

    if (step != NULL) {
        w->free_steps = step->free_next;
        return step;
    }
    if ((w->n_slots & (w->n_slots - 1)) == 0) { /* full at the powers of two */
        struct kedge_step **slots;

        max = w->n_slots == 0 ? 1 : 2 * w->n_slots;
        slots = host->alloc(host->ctx, max * sizeof(struct kedge_step *));
        if (slots == NULL)
            return NULL;
        if (w->n_slots > 0)
            memcpy(slots, w->slots, w->n_slots * sizeof(struct kedge_step *));
        host->release(host->ctx, w->slots);
        w->slots = slots;
    }
    step = host->alloc(host->ctx, sizeof *step);
    if (step == NULL)
        return NULL;
    memset(step, 0, sizeof *step);
    atomic_init(&step->stop_fd, -1);
    step->slot = w->n_slots;
    w->slots[w->n_slots++] = step;
    return step;
}

/* 16 digits: printf takes a tenth of the time of a whole step for three of these. */
static void put_hex(char *to, uint64_t number)
{
    for (int i = 15; i >= 0; i--, number >>= 4)
        to[i] = "0123456789abcdef"[number & 15];
}

/* Of all parts, one behind the other.  In one piece where they fit: to begin in pieces costs more
   than to hash what is short. */
static XXH128_hash_t hash_parts(const struct kedge_bytes *parts, size_t n)
{
    char all[1024];
    XXH3_state_t state;
    size_t len = 0;

    for (size_t i = 0; i < n && len <= sizeof all; i++) {
        if (parts[i].len <= sizeof all - len)
            memcpy(all + len, parts[i].data, parts[i].len);
        len += parts[i].len;
    }
    if (len <= sizeof all)
        return XXH3_128bits(all, len);
    (void)XXH3_128bits_reset(&state);
    for (size_t i = 0; i < n; i++)
        (void)XXH3_128bits_update(&state, parts[i].data, parts[i].len);
    return XXH3_128bits_digest(&state);
}

/* Unique in the store by the incarnation; told apart from other stores by the names. */
static void make_key(struct kedge_step *step)
{
    const struct kedge_view *view = &step->view;
    uint32_t round = kedge_progress_round(step->run->progress);
    const struct kedge_bytes parts[] = {
        view->run,
        { view->reactor, strlen(view->reactor) + 1 },
        { view->step, strlen(view->step) + 1 },
        { &view->action, sizeof view->action },
        /* taken up again after its end: what was done then was taken back */
        { &round, round > 0 ? sizeof round : 0 },
    };
    XXH128_hash_t hash = hash_parts(parts, sizeof parts / sizeof parts[0]);

    memcpy(step->key, "kedge-", 6);
    put_hex(step->key + 6, step->run->incarnation);
    step->key[22] = '-';
    put_hex(step->key + 23, hash.high64);
    put_hex(step->key + 39, hash.low64);
    step->key[55] = '\0';
    step->view.key = (struct kedge_bytes){ step->key, 55 };
}

struct kedge_step *kedge_step_new(struct kedge_inflight *run, const struct kedge_action *action,
                                  struct kedge_worker *w)
{
    struct kedge_step *step = handle_new(w);
    const struct kedge_reactor_step *def = &run->reactor->steps[action->step];

    if (step == NULL)
        return NULL;
    step->worker = w;
    step->run = run;
    step->index = action->step;
    step->generation++;
    step->next = NULL;
    step->out = NULL;
    step->live = true;
    step->called = false;
    step->later = false;
    step->orphan = false;
    step->deadline = INT64_MAX;
    atomic_store(&step->late, false);
    atomic_store(&step->settled, STEP_OPEN);
    atomic_store(&step->stop, 0);
    step->started = kedge_moment_now(w);
    step->view = (struct kedge_view){
        .struct_size = sizeof step->view,
        .reactor = run->reactor->name,
        .step = def->name,
        .version = run->reactor->version,
        .action = action->action,
        .attempt = action->attempt,
        .flags = action->in_doubt ? KEDGE_STEP_IN_DOUBT : 0,
        .fence = run->fence,
        .run = run->id,
        .input = run->input,
        .context = run->context,
    };
    make_key(step);
    step->run_next = run->steps;
    run->steps = step;
    run->refs++;
    return step;
}

static void drop_kept(struct kedge_worker *w, struct kedge_step *step)
{
    for (uint32_t i = 0; step->kept != NULL && i < def_of(step)->n_after; i++)
        kedge_buf_drop(w->host, step->kept[i].buf);
    w->host->release(w->host->ctx, step->kept);
    step->kept = NULL;
}

void kedge_step_free(struct kedge_worker *w, struct kedge_step *step)
{
    struct kedge_inflight *run = step->run;
    int fd = atomic_exchange(&step->stop_fd, -1);
    struct kedge_step **at = &run->steps;

    if (fd >= 0)
        (void)close(fd);
    while (*at != step)
        at = &(*at)->run_next;
    *at = step->run_next;
    if (step->orphan)
        kedge_orphan_returns(w, step);
    for (uint32_t i = 0; i < step->n_pages; i++)
        kedge_mem_free(w->host, step->pages[i].mem);
    w->host->release(w->host->ctx, step->pages);
    step->pages = NULL;
    step->n_pages = 0;
    drop_kept(w, step);
    step->live = false;
    step->free_next = w->free_steps;
    w->free_steps = step;
    kedge_inflight_unref(w, run);
}

void kedge_step_release_all(struct kedge_worker *w)
{
    for (uint32_t i = 0; i < w->n_slots; i++)
        w->host->release(w->host->ctx, w->slots[i]);
    w->host->release(w->host->ctx, w->slots);
}

/* ------------------------------------------------------------ what it sees */

const struct kedge_view *kedge_step_view(const struct kedge_step *step)
{
    return &step->view;
}

/* The driver may be applying a record of the run. */
static uint64_t value_record(const struct kedge_step *step, uint32_t index)
{
    uint64_t number;

    (void)pthread_mutex_lock(&step->worker->lock);
    number = kedge_progress_value_record(step->run->progress, index);
    (void)pthread_mutex_unlock(&step->worker->lock);
    return number;
}

/* In compensate and undo: from the pages read before it was called. */
static int value_of_page(const struct kedge_step *step, uint64_t number, struct kedge_bytes *value)
{
    for (uint32_t i = 0; i < step->n_pages; i++) {
        const struct kedge_record_page *page = &step->pages[i];
        struct kedge_rec rec;

        if (page->n == 1 && page->records[0].number == number &&
            kedge_record_decode(page->records[0].data, &rec, NULL) == KEDGE_OK && rec.has_value) {
            *value = rec.value;
            return KEDGE_OK;
        }
    }
    return KEDGE_NOT_FOUND;
}

/* In run: from what has not been dropped yet, or was kept for it.  Lock held. */
static int value_of_run(const struct kedge_step *step, uint32_t index, struct kedge_bytes *value)
{
    const struct kedge_reactor_step *def = def_of(step);
    const struct kedge_bytes *found = NULL;

    if (step->kept == NULL)
        found = kedge_progress_value(step->run->progress, index);
    for (uint32_t i = 0; step->kept != NULL && i < def->n_after; i++) {
        if (def->after[i] == index && step->kept[i].buf != NULL)
            found = &step->kept[i].value;
    }
    if (found == NULL)
        return KEDGE_NOT_FOUND;
    *value = *found;
    return KEDGE_OK;
}

int kedge_step_result(const struct kedge_step *step, const char *name, struct kedge_bytes *value,
                      struct kedge_error *err)
{
    const struct kedge_reactor *reactor = step->run->reactor;
    const struct kedge_reactor_step *def = def_of(step);
    uint32_t index = kedge_reactor_find(reactor, kedge_text(name));
    bool named = index == step->index && step->view.action != KEDGE_ACTION_RUN;
    struct kedge_worker *w = step->worker;
    int rc;

    for (uint32_t i = 0; i < def->n_after && !named; i++)
        named = def->after[i] == index;
    if (!named || index == UINT32_MAX)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "step '%s' of reactor '%s' does not come after '%s'",
                               step->view.step, step->view.reactor, name != NULL ? name : "");
    if (step->view.action != KEDGE_ACTION_RUN)
        return value_of_page(step, value_record(step, index), value);
    (void)pthread_mutex_lock(&w->lock);
    rc = value_of_run(step, index, value);
    (void)pthread_mutex_unlock(&w->lock);
    return rc;
}

int kedge_step_stopping(const struct kedge_step *step)
{
    return atomic_load(&step->stop) != 0;
}

int kedge_step_stop_fd(struct kedge_step *step)
{
    int fd = atomic_load(&step->stop_fd);
    int none = -1;

    if (fd >= 0)
        return fd;
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -1;
    if (!atomic_compare_exchange_strong(&step->stop_fd, &none, fd)) {
        (void)close(fd);
        return none;
    }
    if (atomic_load(&step->stop) != 0)
        (void)eventfd_write(fd, 1);
    return fd;
}

void kedge_step_tell_stop(struct kedge_step *step)
{
    int fd;

    if (atomic_exchange(&step->stop, 1) != 0)
        return;
    fd = atomic_load(&step->stop_fd);
    if (fd >= 0)
        (void)eventfd_write(fd, 1);
}

/* ------------------------------------------------------------ what it says */

/* REC as it is stored, and what is borrowed from that.  NULL: no memory. */
static struct kedge_buf *encode_out(struct kedge_worker *w, const struct kedge_rec *rec,
                                    struct kedge_rec *same)
{
    struct kedge_buf *buf = kedge_record_encode(w->host, rec);

    if (buf != NULL &&
        kedge_record_decode((struct kedge_bytes){ buf->data, buf->len }, same, NULL) == KEDGE_OK)
        return buf;
    kedge_buf_drop(w->host, buf);
    return NULL;
}

/*
 * Which of several that are made at a time becomes the first is known later, under the lock: it is
 * named again then if it has to be, which is rare.
 */
static bool is_first(struct kedge_inflight *run)
{
    return !atomic_load_explicit(&run->naming, memory_order_relaxed) &&
           !atomic_exchange(&run->naming, true);
}

struct kedge_out *kedge_out_new(struct kedge_worker *w, struct kedge_inflight *run,
                                const struct kedge_rec *rec)
{
    struct kedge_out *out = w->host->alloc(w->host->ctx, sizeof *out);
    struct kedge_rec named;

    if (out == NULL)
        return NULL;
    if (is_first(run)) {
        named = *rec;
        named.writer = kedge_text(w->owner);
        rec = &named;
    }
    out->next = NULL;
    out->took_us = 0;
    out->buf = encode_out(w, rec, &out->rec);
    if (out->buf == NULL) {
        w->host->release(w->host->ctx, out);
        return NULL;
    }
    return out;
}

int kedge_out_name(struct kedge_worker *w, struct kedge_out *out)
{
    struct kedge_rec named = out->rec;
    struct kedge_rec same;
    struct kedge_buf *buf;

    if (named.writer.len > 0)
        return KEDGE_OK;
    named.writer = kedge_text(w->owner);
    buf = encode_out(w, &named, &same);
    if (buf == NULL)
        return KEDGE_ERR_NOMEM;
    kedge_buf_drop(w->host, out->buf);
    out->buf = buf;
    out->rec = same;
    return KEDGE_OK;
}

void kedge_out_free(struct kedge_worker *w, struct kedge_out *out)
{
    if (out == NULL)
        return;
    kedge_buf_drop(w->host, out->buf);
    w->host->release(w->host->ctx, out);
}

static uint32_t any_random(const struct kedge_step *step)
{
    uint64_t x = ((uint64_t)step->generation << 32 | step->slot) ^ (uint64_t)step->started;

    return (uint32_t)XXH3_64bits(&x, sizeof x);
}

/* What the outcome means for the journal: retry, or for good. */
static void fail_record(const struct kedge_step *step, const struct kedge_outcome *said,
                        struct kedge_rec *rec)
{
    const struct kedge_retry *retry = &def_of(step)->retry;
    bool run = step->view.action == KEDGE_ACTION_RUN;

    rec->text = kedge_text(said->text != NULL ? said->text : "failed");
    rec->failures = step->view.attempt;
    if ((said->flags & KEDGE_FAIL_FINAL) == 0 && rec->failures < retry->attempts) {
        rec->kind = KEDGE_RECORD_DELAYED;
        rec->action = step->view.action;
        rec->delay_us = kedge_retry_delay(retry, rec->failures, any_random(step));
    } else {
        rec->kind = run ? KEDGE_RECORD_FAILED : KEDGE_RECORD_UNDO_FAILED;
    }
}

static void outcome_record(const struct kedge_step *step, const struct kedge_outcome *said,
                           struct kedge_rec *rec)
{
    uint32_t action = step->view.action;

    memset(rec, 0, sizeof *rec);
    rec->step = step->index;
    switch (said->kind) {
    case KEDGE_OUTCOME_OK:
    case KEDGE_OUTCOME_SKIP:
    case KEDGE_OUTCOME_HALT:
        if (action != KEDGE_ACTION_RUN) {
            rec->kind =
                action == KEDGE_ACTION_UNDO ? KEDGE_RECORD_UNDONE : KEDGE_RECORD_COMPENSATED;
        } else if (said->kind == KEDGE_OUTCOME_OK) {
            rec->kind = KEDGE_RECORD_DONE;
            rec->has_value = 1;
            rec->value = said->value.len > 0 ? said->value : kedge_text("null");
        } else {
            rec->kind =
                said->kind == KEDGE_OUTCOME_SKIP ? KEDGE_RECORD_SKIPPED : KEDGE_RECORD_HALTED;
            rec->text = kedge_text(said->text);
        }
        break;
    case KEDGE_OUTCOME_SNOOZE:
        rec->kind = KEDGE_RECORD_DELAYED;
        rec->action = action;
        rec->failures = step->view.attempt - 1;
        rec->delay_us = said->delay_us > 0 ? said->delay_us : 0;
        break;
    default:
        fail_record(step, said, rec);
        break;
    }
}

/* Why an outcome cannot be taken as it is; NULL: it can. */
static const char *outcome_fault(const struct kedge_worker *w, const struct kedge_outcome *said,
                                 struct kedge_error *err)
{
    uint64_t most = w->limits.value_max - KEDGE_RECORD_ROOM;

    if (said->kind < KEDGE_OUTCOME_OK || said->kind > KEDGE_OUTCOME_SNOOZE)
        return "no such kind of outcome";
    if (said->kind == KEDGE_OUTCOME_SNOOZE && said->delay_us < 0)
        return "a snooze into the past";
    if (said->kind != KEDGE_OUTCOME_OK || said->value.len == 0)
        return NULL;
    if (said->value.data == NULL)
        return "its value has a length, and no bytes";
    if (said->value.len > most)
        (void)kedge_error_set(err, KEDGE_ERR_TOO_BIG, 0,
                              "its value has %zu bytes, more than the %llu that '%s' takes",
                              said->value.len, (unsigned long long)most, w->ops->name);
    else if (kedge_json_check(said->value.data, said->value.len, err) == KEDGE_OK)
        return NULL;
    return err->msg;
}

/* Encode the outcome.  The caller has won the right to.  NULL: no memory. */
static struct kedge_out *encode(struct kedge_step *step, const struct kedge_outcome *said)
{
    struct kedge_error why;
    struct kedge_rec rec;
    char text[KEDGE_ERRMSG_MAX + 64];
    const char *fault = outcome_fault(step->worker, said, &why);
    struct kedge_outcome instead = {
        sizeof instead, KEDGE_OUTCOME_FAIL, KEDGE_FAIL_FINAL, { NULL, 0 }, text, 0
    };

    if (fault != NULL) {
        (void)snprintf(text, sizeof text, "the outcome was no good: %s", fault);
        said = &instead;
    }
    outcome_record(step, said, &rec);
    step->final = said->kind == KEDGE_OUTCOME_FAIL && (said->flags & KEDGE_FAIL_FINAL) != 0;
    return kedge_out_new(step->worker, step->run, &rec);
}

static int say(struct kedge_step *step, const struct kedge_outcome *said)
{
    int open = STEP_OPEN;

    if (!atomic_compare_exchange_strong(&step->settled, &open, STEP_SETTLING)) {
        bool late = atomic_load(&step->late);

        kedge_worker_log(step->worker, late ? LOG_NOTICE : LOG_ERR,
                         "step '%s' of reactor '%s' gave %s, which is ignored", step->view.step,
                         step->view.reactor,
                         late ? "its outcome after its time was over" : "a second outcome");
        return SAID;
    }
    /* NULL, without memory: the call's end makes a failed attempt of it. */
    step->out = encode(step, said);
    atomic_store(&step->settled, STEP_SETTLED);
    return SAID;
}

int kedge_ok(struct kedge_step *step, const void *value, size_t len)
{
    struct kedge_outcome said = { sizeof said, KEDGE_OUTCOME_OK, 0, { value, len }, NULL, 0 };

    return say(step, &said);
}

int kedge_skip(struct kedge_step *step, const char *reason)
{
    struct kedge_outcome said = { sizeof said, KEDGE_OUTCOME_SKIP, 0, { NULL, 0 }, reason, 0 };

    return say(step, &said);
}

int kedge_fail(struct kedge_step *step, uint32_t flags, const char *message)
{
    struct kedge_outcome said = { sizeof said, KEDGE_OUTCOME_FAIL, flags, { NULL, 0 }, message, 0 };

    return say(step, &said);
}

int kedge_halt(struct kedge_step *step, const char *reason)
{
    struct kedge_outcome said = { sizeof said, KEDGE_OUTCOME_HALT, 0, { NULL, 0 }, reason, 0 };

    return say(step, &said);
}

int kedge_snooze(struct kedge_step *step, int64_t delay_us)
{
    struct kedge_outcome said = {
        sizeof said, KEDGE_OUTCOME_SNOOZE, 0, { NULL, 0 }, NULL, delay_us
    };

    return say(step, &said);
}

int kedge_later(struct kedge_step *step, uint64_t *token)
{
    /* Seen by others under the lock only; the token is the caller's to pass on. */
    (void)pthread_mutex_lock(&step->worker->lock);
    step->later = true;
    *token = (uint64_t)step->generation << 32 | step->slot;
    (void)pthread_mutex_unlock(&step->worker->lock);
    return SAID;
}

/* ------------------------------------------------------------ taking it */

static void emit_started(struct kedge_worker *w, const struct kedge_step *step)
{
    if (w->options.observe == NULL)
        return;
    kedge_worker_emit(w, &(struct kedge_event){
                             .struct_size = sizeof(struct kedge_event),
                             .kind = KEDGE_EVENT_STEP_STARTED,
                             .action = step->view.action,
                             .n = step->view.attempt,
                             .fence = step->view.fence,
                             .run = step->view.run,
                             .reactor = step->view.reactor,
                             .step = step->view.step,
                         });
}

static void hand_over(struct kedge_worker *w, struct kedge_step *step, struct kedge_out *out)
{
    struct kedge_inflight *run = step->run;

    out->took_us = kedge_worker_now(w) - step->started;
    *run->waiting_end = out;
    run->waiting_end = &out->next;
    kedge_inflight_dirty(w, run);
}

/* Settled, and its function has returned: hand the outcome to the run.  Lock held. */
static void finish(struct kedge_worker *w, struct kedge_step *step)
{
    struct kedge_inflight *run = step->run;
    struct kedge_out *out = step->out;

    step->out = NULL;
    if (run->gone)
        kedge_out_free(w, out);
    else
        hand_over(w, step, out);
    kedge_step_free(w, step);
}

static void no_outcome(struct kedge_step *step)
{
    struct kedge_outcome said = { sizeof said,
                                  KEDGE_OUTCOME_FAIL,
                                  KEDGE_FAIL_FINAL,
                                  { NULL, 0 },
                                  "it returned without an outcome",
                                  0 };

    (void)say(step, &said);
}

/* The end of time is INT64_MAX. */
static int64_t after(int64_t time, int64_t us)
{
    return us < INT64_MAX - time ? time + us : INT64_MAX;
}

static kedge_step_fn *function_of(const struct kedge_step *step)
{
    const struct kedge_reactor_step *def = def_of(step);

    switch (step->view.action) {
    case KEDGE_ACTION_RUN:
        return def->run;
    case KEDGE_ACTION_COMPENSATE:
        return def->compensate;
    default:
        return def->undo;
    }
}

/* Read what compensate and undo may ask for.  No lock held.  False: not now. */
static bool read_values(struct kedge_worker *w, struct kedge_step *step)
{
    const struct kedge_reactor_step *def = def_of(step);
    size_t size = (def->n_after + 1) * sizeof *step->pages;
    void *session;
    bool good = true;

    step->pages = w->host->alloc(w->host->ctx, size);
    if (step->pages == NULL)
        return false;
    memset(step->pages, 0, size);
    if (w->ops->session_open(kedge_store_handle(w->store), &session, NULL) != KEDGE_OK)
        return false;
    for (uint32_t i = 0; i <= def->n_after && good; i++) {
        uint32_t index = i < def->n_after ? def->after[i] : step->index;
        uint64_t number = value_record(step, index);

        if (number != 0)
            good = w->ops->retrieve_records(session, step->run->id, step->run->incarnation, number,
                                            1, SIZE_MAX, &step->pages[step->n_pages++],
                                            w->options.timeout_us, NULL) == KEDGE_OK;
    }
    w->ops->session_close(session);
    return good;
}

void kedge_step_call(struct kedge_worker *w, struct kedge_step *step, int64_t now)
{
    const struct kedge_reactor_step *def = def_of(step);
    kedge_step_fn *function = function_of(step);
    bool pool = (def->flags & KEDGE_STEP_POOL) != 0;
    int64_t took;

    step->called = true;
    step->started = now;
    if (def->timeout_us > 0) {
        step->view.deadline_us = after(kedge_monotonic_us(), def->timeout_us);
        step->deadline = after(step->started, def->timeout_us);
        kedge_inflight_timer(w, step->run, step->deadline);
    }
    w->calls++;
    if (!pool)
        w->loop_step = step;
    (void)pthread_mutex_unlock(&w->lock);
    took = pool ? -kedge_monotonic_us() : 0;
    if (step->view.action != KEDGE_ACTION_RUN && !read_values(w, step)) {
        (void)kedge_snooze(step, 1000000);
    } else {
        emit_started(w, step);
        (void)function(step, def->user);
    }
    took += pool ? kedge_monotonic_us() : 0;
    (void)pthread_mutex_lock(&w->lock);
    w->calls--;
    if (pool)
        kedge_pool_learn(w, took);
    else
        w->loop_step = NULL;
    step->called = false;
    if (step->orphan && atomic_load(&step->settled) != STEP_SETTLING) {
        kedge_out_free(w, step->out);
        step->out = NULL;
        kedge_step_free(w, step);
        return;
    }
    if (atomic_load(&step->settled) == STEP_OPEN && !step->later) {
        (void)pthread_mutex_unlock(&w->lock);
        no_outcome(step);
        (void)pthread_mutex_lock(&w->lock);
    }
    if (atomic_load(&step->settled) != STEP_SETTLED) {
        if (atomic_load(&step->settled) == STEP_OPEN && step->run->gone)
            kedge_step_free(w, step); /* the run went meanwhile: nobody may settle it any more */
        return;                       /* else somebody will */
    }
    if (step->out == NULL) {
        kedge_worker_log(w, LOG_ERR, "out of memory: step '%s' of reactor '%s' is run again",
                         step->view.step, step->view.reactor);
        kedge_inflight_again(w, step->run, step->index);
        kedge_step_free(w, step);
        return;
    }
    finish(w, step);
}

/* The run goes on without it, and the function until it heeds its stop request. */
static void go_without(struct kedge_worker *w, struct kedge_step *step, int64_t now)
{
    int64_t patience = after(now, def_of(step)->timeout_us);

    kedge_step_tell_stop(step);
    if (step->called)
        kedge_orphan_add(step, after(patience, ORPHAN_MORE_US));
    else
        kedge_step_free(w, step); /* what was to come later is not waited for */
}

static struct kedge_out *timed_out(struct kedge_worker *w, const struct kedge_step *step)
{
    struct kedge_outcome said = { sizeof said, KEDGE_OUTCOME_FAIL, 0, { NULL, 0 }, NULL, 0 };
    struct kedge_rec rec;
    char text[64];

    (void)snprintf(text, sizeof text, "it took longer than its %lld ms",
                   (long long)(def_of(step)->timeout_us / 1000));
    said.text = text;
    outcome_record(step, &said, &rec);
    rec.flags = KEDGE_RECORD_TIMED_OUT;
    return kedge_out_new(w, step->run, &rec);
}

/* Look at it again at AT. */
static void expire_at(struct kedge_worker *w, struct kedge_step *step, int64_t at)
{
    step->deadline = at;
    if (at != INT64_MAX)
        kedge_inflight_timer(w, step->run, at);
}

/* It said what became of it in time, and does not return: what it said counts. */
static void expire_settled(struct kedge_worker *w, struct kedge_step *step, int64_t now)
{
    struct kedge_out *out = step->out;

    if (out == NULL) { /* no memory: its return makes it run again */
        expire_at(w, step, INT64_MAX);
        return;
    }
    step->out = NULL;
    hand_over(w, step, out);
    go_without(w, step, now);
}

/* As far as the run goes it has failed, and may yet take effect.  What it says now is ignored. */
static void expire_open(struct kedge_worker *w, struct kedge_step *step, int64_t now)
{
    struct kedge_out *out = timed_out(w, step);
    int open = STEP_OPEN;

    if (out == NULL) {
        expire_at(w, step, now + 1000000);
        return;
    }
    atomic_store(&step->late, true);
    if (!atomic_compare_exchange_strong(&step->settled, &open, STEP_SETTLED)) {
        atomic_store(&step->late, false); /* it spoke in the last moment */
        kedge_out_free(w, out);
        expire_at(w, step, now);
        return;
    }
    hand_over(w, step, out);
    go_without(w, step, now);
}

/* The run may drop what only this step needed.  Its function has borrowed it.  False: no memory. */
static bool keep_values(struct kedge_worker *w, struct kedge_step *step)
{
    const struct kedge_reactor_step *def = def_of(step);
    const struct kedge_progress *progress = step->run->progress;

    if (step->kept != NULL || !step->called || step->view.action != KEDGE_ACTION_RUN ||
        def->n_after == 0)
        return true;
    step->kept = w->host->alloc(w->host->ctx, def->n_after * sizeof *step->kept);
    for (uint32_t i = 0; step->kept != NULL && i < def->n_after; i++)
        step->kept[i].buf =
            kedge_progress_value_hold(progress, def->after[i], &step->kept[i].value);
    return step->kept != NULL;
}

static void expire(struct kedge_worker *w, struct kedge_step *step, int64_t now)
{
    int settled = atomic_load(&step->settled);

    if (settled == STEP_SETTLING) /* by a thread that is about to say so */
        expire_at(w, step, now + 1000);
    else if (!keep_values(w, step))
        expire_at(w, step, now + 1000000);
    else if (settled == STEP_SETTLED)
        expire_settled(w, step, now);
    else
        expire_open(w, step, now);
}

void kedge_step_expire(struct kedge_worker *w, struct kedge_inflight *run, int64_t now)
{
    struct kedge_step *next;

    for (struct kedge_step *step = run->steps; step != NULL; step = next) {
        next = step->run_next;
        if (step->deadline <= now && !step->orphan)
            expire(w, step, now);
    }
}

int kedge_settle(struct kedge_worker *w, uint64_t token, const struct kedge_outcome *said,
                 struct kedge_error *err)
{
    uint32_t slot = (uint32_t)token;
    struct kedge_step *step;
    struct kedge_out *out;
    int open = STEP_OPEN;
    struct kedge_error why;
    const char *fault;
    bool gone;

    if (w == NULL || said == NULL)
        return kedge_args_null(w == NULL ? "worker" : "outcome", err);
    if (kedge_worker_forked(w, err))
        return KEDGE_ERR_INVALID;
    if (said->struct_size < sizeof *said)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "outcome.struct_size is %zu, not %zu",
                               said->struct_size, sizeof *said);
    fault = outcome_fault(w, said, &why);
    if (fault != NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the outcome is no good: %s", fault);
    (void)pthread_mutex_lock(&w->lock);
    step = slot < w->n_slots ? w->slots[slot] : NULL;
    if (step == NULL || !step->live || step->generation != (uint32_t)(token >> 32) ||
        !step->later || step->run->gone ||
        !atomic_compare_exchange_strong(&step->settled, &open, STEP_SETTLING)) {
        (void)pthread_mutex_unlock(&w->lock);
        return KEDGE_STALE;
    }
    (void)pthread_mutex_unlock(&w->lock);
    out = encode(step, said); /* STEP_SETTLING keeps the handle ours */
    (void)pthread_mutex_lock(&w->lock);
    gone = step->run->gone;
    if (out == NULL && !gone) {
        atomic_store(&step->settled, STEP_OPEN);
        (void)pthread_mutex_unlock(&w->lock);
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    step->out = out;
    atomic_store(&step->settled, STEP_SETTLED);
    if (!step->called) {
        finish(w, step);
        if (!w->driving)
            kedge_worker_tell_loop(w);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return gone ? KEDGE_STALE : KEDGE_OK;
}
