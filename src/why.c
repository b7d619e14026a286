/*
 * why.c - why a run is not moving
 *
 * Everything is read first: the head, the journal up to where the head says it ended, what was
 * asked of the run, the leases, the paused queues.  Then it is told, without a session.  What is
 * read later may be younger than the head: a run that moves all the time is told of as it was at
 * one moment or the next.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include <kedge/admin.h>
#include <kedge/store.h>

#include "args.h"
#include "asked.h"
#include "queue.h"
#include "reader.h"
#include "say.h"
#include "told.h"
#include "workers.h"

/* -------------------------------------------------------------------- words */

const char *kedge_cause_text(uint32_t kind)
{
    static const char *const texts[] = {
        [KEDGE_CAUSE_ENDED] = "ended",
        [KEDGE_CAUSE_UNDO] = "undo",
        [KEDGE_CAUSE_CRASH] = "crash",
        [KEDGE_CAUSE_ASIDE] = "aside",
        [KEDGE_CAUSE_ABORTED] = "aborted",
        [KEDGE_CAUSE_PAUSED] = "paused",
        [KEDGE_CAUSE_ASKED] = "asked",
        [KEDGE_CAUSE_HELD] = "held",
        [KEDGE_CAUSE_GONE] = "gone",
        [KEDGE_CAUSE_LAPSED] = "lapsed",
        [KEDGE_CAUSE_DEAD] = "dead",
        [KEDGE_CAUSE_OVERDUE] = "overdue",
        [KEDGE_CAUSE_STEP] = "step",
        [KEDGE_CAUSE_DELAYED] = "delayed",
        [KEDGE_CAUSE_LATER] = "later",
        [KEDGE_CAUSE_DUE] = "due",
        [KEDGE_CAUSE_NOBODY] = "nobody",
        [KEDGE_CAUSE_QUEUE] = "queue",
        [KEDGE_CAUSE_REACTOR] = "reactor",
        [KEDGE_CAUSE_VERSION] = "version",
        [KEDGE_CAUSE_QUEUE_PAUSED] = "queue-paused",
        [KEDGE_CAUSE_WAITING] = "waiting",
    };

    return kind < sizeof texts / sizeof *texts && texts[kind] != NULL ? texts[kind] : "?";
}

/* ------------------------------------------------------------------ what is read */

struct versions {
    uint32_t min;
    uint32_t max;
};

/* Workers that are alive: all, and those who serve the run's queue, its reactor from that queue,
   and its version of that. */
struct crowd {
    uint64_t alive;
    uint64_t queue;
    uint64_t reactor;
    uint64_t version;
    struct versions *served; /* of the reactor, from the queue */
    size_t n;
    size_t room;
};

/* What was asked of a run that is held, or was. */
struct asked {
    struct kedge_mem *mem;
    struct kedge_rec rec; /* kind 0: nothing */
};

struct delayed {
    int64_t at;
    uint32_t step;
};

struct why {
    struct kedge_reader r;
    struct kedge_run_state state;
    struct kedge_told told;
    struct kedge_mem *mem; /* of leases */
    struct kedge_time now;
    struct crowd crowd;
    struct kedge_lease holder; /* state 0: there is none, or it has no record */
    struct kedge_queues queues;
    struct asked asked[2];
    struct delayed *delayed; /* steps that go on later */
    uint32_t n_delayed;
    int64_t taken; /* by its holder */
    kedge_cause_fn *each;
    void *ctx;
    int rc; /* what the last call of EACH answered */
};

static bool same(struct kedge_bytes a, struct kedge_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static int add_versions(struct why *w, const struct kedge_serve *serve, struct kedge_error *err)
{
    const struct kedge_host *host = w->r.host;
    struct crowd *c = &w->crowd;

    if (c->n == c->room) {
        size_t room = c->room != 0 ? 2 * c->room : 16;
        struct versions *more = host->alloc(host->ctx, room * sizeof *more);

        if (more == NULL)
            return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
        if (c->n > 0)
            memcpy(more, c->served, c->n * sizeof *more);
        host->release(host->ctx, c->served);
        c->served = more;
        c->room = room;
    }
    c->served[c->n++] = (struct versions){ serve->version_min, serve->version_max };
    return KEDGE_OK;
}

static int count_serves(struct why *w, const struct kedge_lease *lease, struct kedge_error *err)
{
    const struct kedge_run *run = &w->state.run;
    bool queue = false;
    bool reactor = false;
    bool version = false;
    int rc = KEDGE_OK;

    for (size_t i = 0; i < lease->n_serves && rc == KEDGE_OK; i++) {
        const struct kedge_serve *serve = &lease->serves[i];

        if (!same(serve->queue, run->queue))
            continue;
        queue = true;
        if (!same(serve->reactor, run->reactor))
            continue;
        reactor = true;
        version |= serve->version_min <= run->version && run->version <= serve->version_max;
        rc = add_versions(w, serve, err);
    }
    w->crowd.alive++;
    w->crowd.queue += queue;
    w->crowd.reactor += reactor;
    w->crowd.version += version;
    return rc;
}

static int see_lease(void *ctx, struct kedge_reader *r, const struct kedge_lease *lease,
                     struct kedge_error *err)
{
    struct why *w = ctx;

    (void)r;
    if (w->state.run.place == KEDGE_PLACE_HELD &&
        memcmp(&lease->id, &w->state.run.holder, sizeof lease->id) == 0)
        w->holder = *lease;
    if (kedge_lease_worker_state(lease) != KEDGE_WORKER_ALIVE)
        return KEDGE_OK;
    return count_serves(w, lease, err);
}

static int read_asked(struct why *w, struct kedge_error *err)
{
    const struct kedge_run *run = &w->state.run;
    int rc = KEDGE_OK;

    for (int i = 0; i < 2 && rc == KEDGE_OK; i++) {
        uint32_t flag = i == 0 ? KEDGE_REQUEST_CANCEL : KEDGE_REQUEST_PAUSE;
        struct kedge_cell cell = { .mem = NULL };
        char name[KEDGE_REQUEST_CELL_ROOM];

        if ((run->requests & flag) == 0)
            continue;
        rc = w->r.ops->cell_get(w->r.session, kedge_request_cell(name, run->incarnation, flag),
                                &cell, kedge_reader_time(&w->r), err);
        if (rc == KEDGE_NOT_FOUND)
            rc = KEDGE_OK;
        if (rc == KEDGE_OK)
            kedge_request_in_cell(cell.value, flag, &w->asked[i].rec);
        w->asked[i].mem = cell.mem;
    }
    return rc;
}

static int read_all(struct why *w, struct kedge_bytes id, struct kedge_error *err)
{
    struct kedge_reader *r = &w->r;
    int rc = kedge_args_id(r->ops, id, err);

    if (rc == KEDGE_OK)
        rc = kedge_reader_head(r, id, &w->state, err);
    if (rc == KEDGE_OK)
        rc = kedge_told_read(&w->told, r, &w->state.run, err);
    if (rc != KEDGE_OK || w->state.run.place == KEDGE_PLACE_REST)
        return rc;
    rc = read_asked(w, err);
    if (rc == KEDGE_OK)
        rc = kedge_queues_read(r->ops, r->session, r->host, &w->queues, kedge_reader_time(r), err);
    if (rc == KEDGE_OK)
        rc = kedge_reader_leases(r, see_lease, w, &w->mem, err);
    if (rc == KEDGE_OK)
        rc = r->ops->now(r->session, &w->now, kedge_reader_time(r), err);
    return rc;
}

static void forget(struct why *w)
{
    const struct kedge_host *host = w->r.host;

    for (int i = 0; i < 2; i++)
        kedge_mem_free(host, w->asked[i].mem);
    kedge_queues_free(host, &w->queues);
    host->release(host->ctx, w->crowd.served);
    host->release(host->ctx, w->delayed);
    kedge_mem_free(host, w->mem);
    kedge_told_free(&w->told);
    kedge_mem_free(host, w->state.mem);
}

/* ------------------------------------------------------------------ telling one */

/* A cause on its way, and its sentence. */
struct telling {
    struct kedge_cause cause;
    struct kedge_say say;
};

static struct kedge_say *tell(const struct why *w, struct telling *t, uint32_t kind, int64_t at)
{
    t->cause = (struct kedge_cause){
        .struct_size = sizeof t->cause, .kind = kind, .status = w->state.run.status, .at = at
    };
    kedge_say_begin(&t->say, t->cause.sentence, sizeof t->cause.sentence);
    return &t->say;
}

static void emit(struct why *w, const struct telling *t)
{
    if (w->rc == 0)
        w->rc = w->each(w->ctx, &t->cause);
}

/* WHAT 'NAME' */
static void say_name(struct kedge_say *s, const char *what, struct kedge_bytes name)
{
    kedge_say(s, "%s '", what);
    kedge_say_bytes(s, name);
    kedge_say(s, "'");
}

/* "step 'NAME'", or "OF 'NAME'"; a step that nobody here can name is "step N". */
static void say_step(const struct why *w, struct kedge_say *s, const char *of, uint32_t step,
                     const char *name)
{
    if (w->told.reactor != NULL && step < w->told.reactor->n_steps)
        say_name(s, of != NULL ? of : "step", kedge_text(name));
    else
        kedge_say(s, "%s%s%s", of != NULL ? of : "", of != NULL ? " " : "", name);
}

static void say_at(struct kedge_say *s, const char *what, int64_t at)
{
    kedge_say(s, "%s ", what);
    kedge_say_time(s, at);
}

static void say_by(struct kedge_say *s, struct kedge_bytes who)
{
    if (who.len == 0)
        return;
    kedge_say(s, " by ");
    kedge_say_bytes(s, who);
}

/* ------------------------------------------------------------------ at rest */

/* What was done to take a step back?  What is done has a value. */
static const char *way_back(const struct kedge_step_info *info)
{
    return info->record != 0 ? "the undo of" : "the compensation of";
}

/* Is it what its last record says?  A run may be put to rest from below, without a word. */
static bool has_end(const struct why *w)
{
    return w->told.end.rec.kind != 0 && w->told.end.number == w->state.run.position;
}

static void tell_ended(struct why *w)
{
    static const char *const how[] = { [KEDGE_COMPLETED] = "completed",
                                       [KEDGE_FAILED] = "failed",
                                       [KEDGE_HALTED] = "halted",
                                       [KEDGE_CANCELLED] = "was cancelled" };
    const struct kedge_run *run = &w->state.run;
    const struct kedge_rec *end = &w->told.end.rec;
    char name[KEDGE_STEP_NAME_ROOM];
    struct telling t;
    struct kedge_say *s = tell(w, &t, KEDGE_CAUSE_ENDED, run->finished);

    kedge_say(s, "it %s",
              run->status <= KEDGE_CANCELLED && how[run->status] != NULL ? how[run->status]
                                                                         : "ended");
    say_at(s, " at", run->finished);
    if (has_end(w)) {
        if (end->step != KEDGE_NO_STEP) {
            t.cause.step = kedge_reader_step_name(w->told.reactor, end->step, name);
            kedge_say(s, ", in ");
            say_step(w, s, NULL, end->step, t.cause.step);
        }
        t.cause.text = end->text;
        kedge_say_why(s, end->text);
    }
    emit(w, &t);
}

static void tell_aborted(struct why *w)
{
    const struct kedge_run *run = &w->state.run;
    struct telling t;
    struct kedge_say *s = tell(w, &t, KEDGE_CAUSE_ABORTED, run->finished);

    if (w->told.abandon.rec.kind != 0)
        t.cause.who = w->told.abandon.rec.value;
    if (has_end(w))
        t.cause.text = w->told.end.rec.text;
    kedge_say(s, "it was given up");
    say_at(s, " at", run->finished);
    say_by(s, t.cause.who);
    kedge_say_why(s, t.cause.text);
    emit(w, &t);
}

static void tell_aside(struct why *w)
{
    const struct kedge_told *told = &w->told;
    bool set_aside = told->aside.rec.kind != 0;
    struct telling t;
    struct kedge_say *s = tell(w, &t, KEDGE_CAUSE_ASIDE, w->state.run.finished);

    if (set_aside || told->unreadable != KEDGE_OK) {
        t.cause.text = set_aside ? told->aside.rec.text : kedge_text(told->why.msg);
        kedge_say(s, "its journal cannot be understood, and it was set aside");
    } else {
        t.cause.text = kedge_text("its journal does not say why");
        kedge_say(s, "it was left as stuck");
    }
    say_at(s, " at", w->state.run.finished);
    kedge_say_why(s, t.cause.text);
    emit(w, &t);
}

static void tell_crash(struct why *w)
{
    uint32_t step =
        w->told.progress != NULL ? kedge_progress_in_the_way(w->told.progress) : KEDGE_NO_STEP;
    char name[KEDGE_STEP_NAME_ROOM];
    struct kedge_step_info info;
    struct telling t;
    struct kedge_say *s = tell(w, &t, KEDGE_CAUSE_CRASH, w->state.run.finished);

    if (w->told.crash_loop.rec.kind != 0)
        t.cause.count = w->told.crash_loop.rec.number;
    if (t.cause.count > 0)
        kedge_say(s, "%llu workers in a row died of it", (unsigned long long)t.cause.count);
    else
        kedge_say(s, "worker after worker died of it");
    if (step != KEDGE_NO_STEP) {
        kedge_told_step(&w->told, step, &info, name);
        t.cause.step = info.name;
        kedge_say(s, ", the last ones in ");
        say_step(w, s, way_back(&info), step, info.name);
    }
    say_at(s, ", until", w->state.run.finished);
    emit(w, &t);
}

static void tell_undo(struct why *w, const struct kedge_step_info *info, int64_t at)
{
    struct telling t;
    struct kedge_say *s = tell(w, &t, KEDGE_CAUSE_UNDO, at);

    t.cause.step = info->name;
    t.cause.text = info->error;
    t.cause.count = info->failures;
    say_step(w, s, way_back(info), info->index, info->name);
    say_at(s, " failed at", at);
    kedge_say_why(s, info->error);
    emit(w, &t);
}

/* Those that failed; answers how many. */
static uint32_t tell_undos(struct why *w)
{
    char name[KEDGE_STEP_NAME_ROOM];
    struct kedge_step_info info;
    uint32_t n = 0;

    for (uint32_t i = 0; i < kedge_told_steps(&w->told); i++) {
        if (!kedge_told_knows(&w->told, i))
            continue;
        kedge_told_step(&w->told, i, &info, name);
        if (info.state != KEDGE_STEP_UNDO_FAILED)
            continue;
        n++;
        tell_undo(w, &info, info.time);
    }
    return n;
}

/* Set aside by its last record; in a crash loop when its end speaks of no step; else in undos. */
static void tell_stuck(struct why *w)
{
    bool looped = has_end(w) && w->told.end.rec.step == KEDGE_NO_STEP;

    if (looped)
        tell_crash(w);
    if (!has_end(w) || (tell_undos(w) == 0 && !looped))
        tell_aside(w);
}

static void tell_rest(struct why *w)
{
    switch (w->state.run.status) {
    case KEDGE_STUCK:
        tell_stuck(w);
        break;
    case KEDGE_ABORTED:
        tell_aborted(w);
        break;
    default:
        tell_ended(w);
        break;
    }
}

/* ------------------------------------------------------------------ who takes it */

static void tell_queue_paused(struct why *w)
{
    const struct kedge_run *run = &w->state.run;
    const struct kedge_queue_info *queue = kedge_queues_find(&w->queues, run->queue);
    struct telling t;
    struct kedge_say *s;

    if (queue == NULL)
        return;
    s = tell(w, &t, KEDGE_CAUSE_QUEUE_PAUSED, queue->paused);
    t.cause.who = queue->who;
    t.cause.text = queue->why;
    say_name(s, "the queue", run->queue);
    say_at(s, " has been paused since", queue->paused);
    say_by(s, queue->who);
    kedge_say_why(s, queue->why);
    emit(w, &t);
}

static int by_min(const void *a, const void *b)
{
    const struct versions *x = a;
    const struct versions *y = b;

    return x->min < y->min ? -1 : x->min > y->min;
}

/* "1-3, 7": in order, and what touches is one. */
static void say_versions(struct kedge_say *s, struct crowd *c)
{
    qsort(c->served, c->n, sizeof *c->served, by_min);
    for (size_t i = 0; i < c->n;) {
        struct versions all = c->served[i];
        const char *comma = i > 0 ? ", " : "";

        for (i++; i < c->n && (c->served[i].min <= all.max || c->served[i].min == all.max + 1); i++)
            all.max = c->served[i].max > all.max ? c->served[i].max : all.max;
        if (all.min == all.max)
            kedge_say(s, "%s%lu", comma, (unsigned long)all.min);
        else
            kedge_say(s, "%s%lu-%lu", comma, (unsigned long)all.min, (unsigned long)all.max);
    }
}

static void tell_nobody(struct why *w)
{
    struct telling t;

    kedge_say(tell(w, &t, KEDGE_CAUSE_NOBODY, 0), "no worker is alive");
    emit(w, &t);
}

/* Of those who are alive, nobody serves ... */
static void tell_unserved(struct why *w)
{
    const struct kedge_run *run = &w->state.run;
    struct crowd *c = &w->crowd;
    char versions[160];
    struct kedge_say list;
    struct telling t;
    struct kedge_say *s;

    if (c->queue == 0) {
        s = tell(w, &t, KEDGE_CAUSE_QUEUE, 0);
        say_name(s, "no worker alive serves the queue", run->queue);
    } else if (c->reactor == 0) {
        s = tell(w, &t, KEDGE_CAUSE_REACTOR, 0);
        say_name(s, "no worker alive serves the reactor", run->reactor);
        say_name(s, " from the queue", run->queue);
    } else {
        s = tell(w, &t, KEDGE_CAUSE_VERSION, 0);
        kedge_say_begin(&list, versions, sizeof versions);
        say_versions(&list, c);
        t.cause.text = kedge_text(versions);
        kedge_say(s, "no worker alive serves version %lu", (unsigned long)run->version);
        say_name(s, " of the reactor", run->reactor);
        say_name(s, " from the queue", run->queue);
        kedge_say(s, ", only %s", versions);
    }
    emit(w, &t);
}

static void tell_due(struct why *w)
{
    const struct kedge_run *run = &w->state.run;
    uint64_t n = w->crowd.version;
    struct telling t;
    struct kedge_say *s = tell(w, &t, KEDGE_CAUSE_DUE, run->due);

    t.cause.count = n;
    kedge_say(s, "it has been due since ");
    kedge_say_time(s, run->due);
    kedge_say(s,
              n == 1 ? ", and the one worker that serves it will take it"
                     : ", and one of the %llu workers that serve it will take it",
              (unsigned long long)n);
    emit(w, &t);
}

/* Why nobody takes it now, or would take it when it is due; NOW: it is, and nothing is in the way
   when one of them can. */
static void tell_takers(struct why *w, bool now)
{
    tell_queue_paused(w);
    if (w->crowd.alive == 0)
        tell_nobody(w);
    else if (w->crowd.version == 0)
        tell_unserved(w);
    else if (now && kedge_queues_find(&w->queues, w->state.run.queue) == NULL)
        tell_due(w);
}

/* ------------------------------------------------------------------ its steps */

static void tell_delayed(struct why *w, const struct kedge_step_info *info)
{
    const struct kedge_told *told = &w->told;
    bool back = told->progress != NULL ? kedge_progress_phase(told->progress) == KEDGE_PHASE_BACK
                                       : w->state.run.status == KEDGE_ROLLING_BACK;
    struct telling t;
    struct kedge_say *s = tell(w, &t, KEDGE_CAUSE_DELAYED, info->next);

    t.cause.step = info->name;
    t.cause.count = info->failures;
    say_step(w, s, back ? way_back(info) : NULL, info->index, info->name);
    if (info->index < told->n && told->steps[info->index].snoozed) {
        say_at(s, " snoozes until", info->next);
    } else {
        t.cause.text = info->error;
        kedge_say(s, info->failures == 1 ? " failed" : " failed %lu times so far",
                  (unsigned long)info->failures);
        say_at(s, " and is tried again at", info->next);
        kedge_say_why(s, info->error);
    }
    emit(w, &t);
}

/* Does what a step's record put off still go on then? */
static bool goes_on(const struct kedge_told *told)
{
    const struct kedge_progress *p = told->progress;

    if (p == NULL)
        return told->pause.rec.kind == 0;
    return !kedge_progress_paused(p) &&
           (kedge_progress_phase(p) == KEDGE_PHASE_FORWARD || kedge_progress_settled(p));
}

/* Those that are not due yet, the first one first. */
static void tell_all_delayed(struct why *w)
{
    char name[KEDGE_STEP_NAME_ROOM];
    struct kedge_step_info info;

    for (uint32_t i = 0; i < w->n_delayed; i++) {
        kedge_told_step(&w->told, w->delayed[i].step, &info, name);
        tell_delayed(w, &info);
    }
}

/* It may be running, since it was free to, or its run was taken. */
static void tell_step(struct why *w, const struct kedge_action *action, int64_t since)
{
    char name[KEDGE_STEP_NAME_ROOM];
    struct kedge_step_info info;
    struct telling t;
    struct kedge_say *s = tell(w, &t, KEDGE_CAUSE_STEP, since);

    kedge_told_step(&w->told, action->step, &info, name);
    t.cause.step = info.name;
    t.cause.count = action->attempt;
    say_step(w, s, action->action != KEDGE_ACTION_RUN ? way_back(&info) : NULL, info.index,
             info.name);
    if (action->attempt > 1)
        kedge_say(s, ", attempt %lu,", (unsigned long)action->attempt);
    say_at(s, " may have been running since", since);
    emit(w, &t);
}

/* Those that were free to start, and are awaited now that no further one starts. */
static bool tell_awaited(struct why *w, int64_t since)
{
    const struct kedge_progress *p = w->told.progress;
    bool some = false;

    if (kedge_progress_settled(p))
        return false;
    for (uint32_t i = 0; i < kedge_told_steps(&w->told); i++) {
        struct kedge_action action = { .step = i, .action = KEDGE_ACTION_RUN };

        if (kedge_progress_state(p, i) != KEDGE_STEP_READY)
            continue;
        action.attempt = kedge_progress_failures(p, i) + 1;
        tell_step(w, &action, since);
        some = true;
    }
    return some;
}

/*
 * What its holder may be at: starts are not recorded.  The fold, which is ours alone, hands out
 * what it would hand out to a worker.
 */
static void tell_steps(struct why *w)
{
    struct kedge_progress *p = w->told.progress;
    struct kedge_action action;
    int64_t since = w->told.time > w->taken ? w->told.time : w->taken;

    if (p == NULL)
        return;
    if ((kedge_progress_phase(p) != KEDGE_PHASE_FORWARD || kedge_progress_paused(p)) &&
        tell_awaited(w, since))
        return;
    while (kedge_progress_take(p, w->now.wall, &action))
        tell_step(w, &action, since);
}

/* ------------------------------------------------------------- not at rest */

static bool is_paused(const struct why *w)
{
    return w->told.progress != NULL ? kedge_progress_paused(w->told.progress)
                                    : w->told.pause.rec.kind != 0;
}

static void tell_paused(struct why *w)
{
    const struct kedge_told_record *pause = &w->told.pause;
    struct telling t;
    struct kedge_say *s;

    if (!is_paused(w))
        return;
    s = tell(w, &t, KEDGE_CAUSE_PAUSED, pause->time);
    t.cause.who = pause->rec.value;
    t.cause.text = pause->rec.text;
    kedge_say(s, "it was paused");
    say_at(s, " at", pause->time);
    say_by(s, t.cause.who);
    kedge_say_why(s, t.cause.text);
    emit(w, &t);
}

static void tell_asked(struct why *w)
{
    for (int i = 0; i < 2; i++) {
        const struct kedge_rec *rec = &w->asked[i].rec;
        const char *verb = kedge_verb_text((uint32_t)rec->number);
        struct telling t;
        struct kedge_say *s;

        if (rec->kind == 0)
            continue;
        s = tell(w, &t, KEDGE_CAUSE_ASKED, 0);
        t.cause.who = rec->value;
        t.cause.text = kedge_text(verb);
        kedge_say(s, "%s was asked for", verb);
        say_by(s, rec->value);
        kedge_say(s, w->state.run.place == KEDGE_PLACE_HELD
                         ? ", and its worker has yet to take that up"
                         : ", and whoever takes it next has yet to take that up");
        kedge_say_why(s, rec->text);
        emit(w, &t);
    }
}

/* How it stands with whoever holds the run: one of HELD, GONE, LAPSED, DEAD, OVERDUE. */
static uint32_t holding(const struct why *w)
{
    const struct kedge_run *run = &w->state.run;

    if (w->holder.state == 0)
        return KEDGE_CAUSE_DEAD; /* long since: even the record of its lease has been removed */
    switch (kedge_lease_worker_state(&w->holder)) {
    case KEDGE_WORKER_DEAD:
        return KEDGE_CAUSE_DEAD;
    case KEDGE_WORKER_GONE:
        return KEDGE_CAUSE_GONE;
    case KEDGE_WORKER_LAPSED:
        return KEDGE_CAUSE_LAPSED;
    default:
        return run->hold_until != 0 && w->now.wall >= run->hold_until ? KEDGE_CAUSE_OVERDUE
                                                                      : KEDGE_CAUSE_HELD;
    }
}

static void tell_holder(struct why *w, uint32_t kind)
{
    static const char *const what[] = {
        [KEDGE_CAUSE_HELD] = "",
        [KEDGE_CAUSE_GONE] = ", and its process is gone",
        [KEDGE_CAUSE_LAPSED] = ", and has not been heard of for longer than its time to live",
        [KEDGE_CAUSE_DEAD] = ", and is dead",
        [KEDGE_CAUSE_OVERDUE] = ", longer than its steps may take",
    };
    struct telling t;
    struct kedge_say *s = tell(w, &t, kind, w->taken);

    t.cause.worker = w->holder.owner;
    if (w->holder.owner.len > 0)
        say_name(s, "worker", w->holder.owner);
    else
        kedge_say(s, "a worker");
    say_at(s, " has held it since", w->taken);
    kedge_say(s, "%s", what[kind]);
    if (kind != KEDGE_CAUSE_HELD)
        kedge_say(s, "; the next worker that looks makes it go on");
    emit(w, &t);
}

static void tell_held(struct why *w)
{
    uint32_t kind = holding(w);

    tell_holder(w, kind);
    if (kind != KEDGE_CAUSE_HELD && w->crowd.alive == 0)
        tell_nobody(w);
    tell_asked(w);
    tell_paused(w);
    if (kind == KEDGE_CAUSE_DEAD || kind == KEDGE_CAUSE_GONE)
        return;
    tell_steps(w);
    tell_all_delayed(w);
}

static void tell_later(struct why *w)
{
    const struct kedge_run *run = &w->state.run;
    struct telling t;
    struct kedge_say *s = tell(w, &t, KEDGE_CAUSE_LATER, run->due);

    /* Whoever hands a run on may put it off a little, for others to come first. */
    kedge_say(s, run->fence == run->incarnation ? "it is to start at " : "it goes on at ");
    kedge_say_time(s, run->due);
    emit(w, &t);
}

static void tell_waiting(struct why *w)
{
    const struct kedge_run *run = &w->state.run;
    bool woken = (run->wakes_on & ~KEDGE_WAKES_ON_TIME) != 0;
    struct telling t;
    struct kedge_say *s = tell(w, &t, KEDGE_CAUSE_WAITING, run->due);

    kedge_say(s, woken ? "it is parked until it is woken" : "it is parked");
    if (run->due != 0)
        say_at(s, woken ? ", or until" : " until", run->due);
    emit(w, &t);
}

static void tell_parked(struct why *w)
{
    if (is_paused(w))
        tell_paused(w);
    else
        tell_waiting(w);
}

/* Due, or parked. */
static void tell_unheld(struct why *w)
{
    const struct kedge_run *run = &w->state.run;
    bool parked = run->place == KEDGE_PLACE_PARKED;
    bool now = run->due <= w->now.wall && (!parked || run->due != 0);

    if (now)
        tell_takers(w, true);
    if (parked)
        tell_parked(w);
    else if (!now && w->n_delayed == 0)
        tell_later(w);
    if (!parked)
        tell_all_delayed(w);
    if (!now && !parked)
        tell_takers(w, false);
    tell_asked(w);
}

/* ---------------------------------------------------------------- public face */

static int by_time(const void *a, const void *b)
{
    const struct delayed *x = a;
    const struct delayed *y = b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->step < y->step ? -1 : 1;
}

/* What goes on later, if it does. */
static int find_delayed(struct why *w, struct kedge_error *err)
{
    const struct kedge_host *host = w->r.host;
    uint32_t most = kedge_told_steps(&w->told);
    char name[KEDGE_STEP_NAME_ROOM];
    struct kedge_step_info info;

    if (most == 0 || w->state.run.place == KEDGE_PLACE_REST || !goes_on(&w->told))
        return KEDGE_OK;
    w->delayed = host->alloc(host->ctx, most * sizeof *w->delayed);
    if (w->delayed == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    for (uint32_t i = 0; i < most; i++) {
        if (!kedge_told_knows(&w->told, i))
            continue;
        kedge_told_step(&w->told, i, &info, name);
        if (info.state == KEDGE_STEP_DELAYED && info.next > w->now.wall)
            w->delayed[w->n_delayed++] = (struct delayed){ info.next, i };
    }
    if (w->n_delayed > 0)
        qsort(w->delayed, w->n_delayed, sizeof *w->delayed, by_time);
    return KEDGE_OK;
}

/* A fence is the time it was issued at, or what comes after the last one when the clock was set
   back since. */
static void find_taken(struct why *w)
{
    uint64_t fence = w->state.run.fence;

    w->taken = fence < (uint64_t)w->now.wall ? (int64_t)fence : w->now.wall;
}

int kedge_run_why(struct kedge_store *store, struct kedge_bytes id, kedge_cause_fn *each, void *ctx,
                  int64_t timeout_us, struct kedge_error *err)
{
    struct why w = { .each = each, .ctx = ctx };
    int rc;

    if (each == NULL)
        return kedge_args_null("each", err);
    rc = kedge_reader_begin(&w.r, store, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = read_all(&w, id, err);
    kedge_reader_end(&w.r);
    if (rc == KEDGE_OK)
        rc = find_delayed(&w, err);
    if (rc == KEDGE_OK) {
        find_taken(&w);
        if (w.state.run.place == KEDGE_PLACE_REST)
            tell_rest(&w);
        else if (w.state.run.place == KEDGE_PLACE_HELD)
            tell_held(&w);
        else
            tell_unheld(&w);
        rc = w.rc;
    }
    forget(&w);
    return rc;
}
