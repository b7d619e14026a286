/*
 * request.c - what people ask of a run: cancel, pause, undo, retry, and the verbs for stuck ones
 *
 * A run that nobody holds is read, folded and changed here: one commit with the record that says
 * who asked and why, guarded by the revision that was read; if somebody was faster, all of it
 * again.  For a run that is held, the request is left with it (asked.h).  A run that a dead worker
 * holds counts as held: whoever makes it due again charges a recovery and with it the doubt that
 * its steps are in.
 */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include <kedge/run.h>
#include <kedge/store.h>

#include "args.h"
#include "asked.h"
#include "progress.h"
#include "reader.h"

#define WHO_MAX      255
#define RETENTION_US INT64_C(86400000000)
#define RECORDS_MOST 5 /* a doubt, two that were pending, the request, the end */

/* Not an answer: the run changed in between. */
#define AGAIN 100

struct asker {
    struct kedge_reader r;
    struct kedge_request in;
    uint32_t step;
    struct kedge_requested out;
    /* the run, as it was read */
    struct kedge_run_state state;
    struct kedge_reactor *reactor;   /* NULL: the store has no definition */
    struct kedge_progress *progress; /* NULL: without one, or the journal cannot be understood */
    int unreadable;                  /* why it cannot; KEDGE_OK: it can */
    struct kedge_error why;
    bool doubt; /* an answer never came */
    bool late;  /* it was left with the holder after another one had been taken up */
};

/* ------------------------------------------------------------------- words */

static const char *const verbs[] = {
    [KEDGE_VERB_CANCEL] = "cancel",       [KEDGE_VERB_PAUSE] = "pause",
    [KEDGE_VERB_RESUME] = "resume",       [KEDGE_VERB_UNDO] = "undo",
    [KEDGE_VERB_RETRY] = "retry",         [KEDGE_VERB_RETRY_UNDO] = "retry-undo",
    [KEDGE_VERB_SKIP_UNDO] = "skip-undo", [KEDGE_VERB_MARK_UNDONE] = "mark-undone",
    [KEDGE_VERB_ABANDON] = "abandon",     [KEDGE_VERB_RETRY_NEW] = "retry-new",
};

const char *kedge_verb_text(uint32_t verb)
{
    return verb < sizeof verbs / sizeof *verbs && verbs[verb] != NULL ? verbs[verb] : "?";
}

static int refused(struct asker *a, const char *why)
{
    (void)snprintf(a->out.why, sizeof a->out.why, "the run %s (it is %s); %s changes nothing", why,
                   kedge_run_status_text(a->state.run.status), kedge_verb_text(a->in.verb));
    return KEDGE_STALE;
}

/* --------------------------------------------------------------- reading the run */

static int fold_record(struct asker *a, const struct kedge_record *record, struct kedge_error *err)
{
    struct kedge_rec rec;
    int rc = kedge_record_read(record, &rec, err);

    if (rc == KEDGE_OK)
        rc = kedge_progress_apply(a->progress, record->number, record->time, &rec, record->data.len,
                                  err);
    return rc;
}

/* Texts that are not in the snapshot. */
static int fold_texts(struct asker *a, struct kedge_error *err)
{
    const struct kedge_run *run = &a->state.run;
    uint64_t number;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && (number = kedge_progress_unread(a->progress)) != 0) {
        struct kedge_record_page page = { .mem = NULL };
        struct kedge_rec rec;

        rc = a->r.ops->retrieve_records(a->r.session, run->id, run->incarnation, number, 1, 1,
                                        &page, kedge_reader_time(&a->r), err);
        if (rc == KEDGE_OK && page.n == 0)
            rc = kedge_error_set(err, KEDGE_ERR_CORRUPT, 0, "record %llu of the run is missing",
                                 (unsigned long long)number);
        if (rc == KEDGE_OK)
            rc = kedge_record_read(&page.records[0], &rec, err);
        if (rc == KEDGE_OK)
            rc = kedge_progress_read(a->progress, &rec, err);
        kedge_mem_free(a->r.host, page.mem);
    }
    return rc;
}

static int fold(struct asker *a, struct kedge_error *err)
{
    int rc;

    a->progress = kedge_progress_new(a->r.host, a->reactor);
    if (a->progress == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    rc = kedge_progress_load(a->progress, a->state.snapshot, err);
    for (size_t i = 0; i < a->state.n_tail && rc == KEDGE_OK; i++)
        rc = fold_record(a, &a->state.tail[i], err);
    if (rc == KEDGE_OK)
        rc = fold_texts(a, err);
    return rc;
}

static void forget(struct asker *a)
{
    kedge_progress_free(a->progress);
    kedge_reactor_free(a->reactor);
    kedge_mem_free(a->r.host, a->state.mem);
    a->progress = NULL;
    a->reactor = NULL;
    memset(&a->state, 0, sizeof a->state);
}

static int read_run(struct asker *a, struct kedge_error *err)
{
    struct kedge_retrieve what = { .id = a->in.run, .want = KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL };
    int rc = a->r.ops->retrieve(a->r.session, &what, &a->state, kedge_reader_time(&a->r), err);

    if (rc != KEDGE_OK)
        return rc;
    a->out.status = a->state.run.status;
    a->out.place = a->state.run.place;
    rc = kedge_reader_definition(&a->r, &a->state.run, &a->reactor, err);
    if (rc != KEDGE_OK || a->reactor == NULL)
        return rc;
    a->unreadable = fold(a, &a->why);
    if (a->unreadable == KEDGE_OK)
        return KEDGE_OK;
    kedge_progress_free(a->progress);
    a->progress = NULL;
    if (a->unreadable == KEDGE_ERR_CORRUPT || a->unreadable == KEDGE_ERR_SCHEMA_NEW)
        return KEDGE_OK; /* what can be asked all the same is decided later */
    return kedge_error_set(err, a->unreadable, 0, "%s", a->why.msg);
}

static int find_step(struct asker *a, struct kedge_error *err)
{
    a->step = KEDGE_NO_STEP;
    if (a->in.step == NULL)
        return KEDGE_OK;
    if (a->reactor != NULL)
        a->step = kedge_reactor_find(a->reactor, kedge_text(a->in.step));
    if (a->step != KEDGE_NO_STEP)
        return KEDGE_OK;
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "reactor '%.*s' version %u has no step '%.128s'",
                           (int)a->state.run.reactor.len, (const char *)a->state.run.reactor.data,
                           (unsigned)a->state.run.version, a->in.step);
}

/* ------------------------------------------------------------- may it be asked */

/* Is it as asked for already? */
static int stands(const struct asker *a)
{
    uint32_t status = a->state.run.status;
    bool unfinished = a->state.run.place != KEDGE_PLACE_REST;

    switch (a->in.verb) {
    case KEDGE_VERB_CANCEL:
    case KEDGE_VERB_UNDO:
        return status == KEDGE_CANCELLED ||
               (unfinished && a->progress != NULL && kedge_progress_cancelled(a->progress));
    case KEDGE_VERB_PAUSE:
        return unfinished &&
               (a->progress != NULL ? kedge_progress_paused(a->progress) : status == KEDGE_PAUSED);
    case KEDGE_VERB_ABANDON:
        return status == KEDGE_ABORTED;
    default:
        return 0;
    }
}

/* Does its journal say that nobody has ever taken it? */
static bool never_taken(const struct asker *a)
{
    const struct kedge_run_state *state = &a->state;
    bool never = a->unreadable == KEDGE_OK && state->run.place != KEDGE_PLACE_REST &&
                 state->run.fence == state->run.incarnation && state->snapshot.len == 0 &&
                 state->n_tail > 0;

    for (size_t i = 0; i < state->n_tail && never; i++) {
        struct kedge_rec rec;

        never = kedge_record_decode(state->tail[i].data, &rec, NULL) == KEDGE_OK &&
                (rec.kind == KEDGE_RECORD_BEGIN || rec.kind == KEDGE_RECORD_REQUEST);
    }
    return never;
}

/* Nothing of it but the head can be read. */
static const char *refuses_blindly(const struct asker *a)
{
    uint32_t status = a->state.run.status;

    switch (a->in.verb) {
    case KEDGE_VERB_CANCEL:
    case KEDGE_VERB_PAUSE:
        return never_taken(a) ? NULL : "has begun";
    case KEDGE_VERB_RESUME:
        return status == KEDGE_PAUSED || status == KEDGE_STUCK ? NULL
                                                               : "is neither paused nor stuck";
    case KEDGE_VERB_ABANDON:
        return a->state.run.place != KEDGE_PLACE_REST || status == KEDGE_STUCK
                   ? NULL
                   : "has come to its end";
    default:
        return "has steps that are not known here";
    }
}

/* OK, EXISTS, STALE, or why the run cannot be understood. */
static int may_ask(struct asker *a, struct kedge_error *err)
{
    const char *why;

    if (stands(a))
        return KEDGE_EXISTS;
    if (a->progress != NULL) {
        why = kedge_progress_refuses(a->progress, a->in.verb, a->step);
    } else {
        why = refuses_blindly(a);
        if (why != NULL && a->unreadable != KEDGE_OK)
            return kedge_error_set(err, a->unreadable, 0, "%s", a->why.msg);
    }
    return why != NULL ? refused(a, why) : KEDGE_OK;
}

/* ----------------------------------------------------------------- the commit */

/* STALE and NOT_FOUND: AGAIN. */
static int send(struct asker *a, struct kedge_commit *commit, struct kedge_answer *answer,
                struct kedge_error *err)
{
    int rc = kedge_reader_commit(&a->r, commit, answer, &a->doubt, err);

    return rc == KEDGE_STALE || rc == KEDGE_NOT_FOUND ? AGAIN : rc;
}

/* The record of the request itself. */
static void request_record(const struct asker *a, uint32_t verb, struct kedge_rec *rec)
{
    struct kedge_bytes who = kedge_text(a->in.who);

    if (who.len > WHO_MAX)
        who.len = WHO_MAX;
    *rec = (struct kedge_rec){ .kind = KEDGE_RECORD_REQUEST,
                               .step = a->step,
                               .number = verb,
                               .text = kedge_text(a->in.why),
                               .value = who,
                               .has_value = 1 };
}

/* -- the run is held: leave it with its holder -- */

static uint32_t flag_of(uint32_t verb)
{
    switch (verb) {
    case KEDGE_VERB_CANCEL:
        return KEDGE_REQUEST_CANCEL;
    case KEDGE_VERB_PAUSE:
    case KEDGE_VERB_RESUME:
        return KEDGE_REQUEST_PAUSE;
    default:
        return 0;
    }
}

/* What was asked beside a flag: the cell, its version 0 if there is none, and what it holds or what
 * the flag alone says. */
struct asked {
    struct kedge_cell cell;
    struct kedge_rec rec;
};

static int asked_read(struct asker *a, uint32_t flag, char name[KEDGE_REQUEST_CELL_ROOM],
                      struct asked *asked, struct kedge_error *err)
{
    int rc;

    *asked = (struct asked){ .cell = { .mem = NULL } };
    rc = a->r.ops->cell_get(a->r.session, kedge_request_cell(name, a->state.run.incarnation, flag),
                            &asked->cell, kedge_reader_time(&a->r), err);
    if (rc != KEDGE_OK && rc != KEDGE_NOT_FOUND)
        return rc;
    kedge_request_in_cell(rc == KEDGE_OK ? asked->cell.value : (struct kedge_bytes){ NULL, 0 },
                          flag, &asked->rec);
    return KEDGE_OK;
}

/* A cell without its flag: it outlived a request that came too late, or somebody has asked since
 * the run was read: AGAIN. */
static int outlived(struct asker *a, uint32_t flag, struct kedge_error *err)
{
    struct kedge_run_state now = { .mem = NULL };
    int rc = kedge_reader_head(&a->r, a->in.run, &now, err);

    if (rc != KEDGE_OK)
        return rc == KEDGE_NOT_FOUND ? AGAIN : rc;
    rc = (now.run.requests & flag) != 0 ? AGAIN : KEDGE_OK;
    kedge_mem_free(a->r.host, now.mem);
    return rc;
}

static int leave_request(struct asker *a, uint32_t flag, struct kedge_bytes cell_name,
                         uint64_t cell_version, struct kedge_error *err)
{
    const struct kedge_run *run = &a->state.run;
    struct kedge_change changes[3] = { { .kind = KEDGE_CELL_PUT, .name = cell_name },
                                       { .kind = KEDGE_REQUEST, .name = run->id },
                                       { .kind = KEDGE_WAKE, .name = run->id } };
    /* Still held by the same, so that whoever takes it next finds the flag or the record; and
     * nobody has asked since. */
    struct kedge_guard guards[2] = {
        { .kind = KEDGE_GUARD_HELD, .name = run->id, .lease = run->holder, .number = run->fence },
        { .kind = KEDGE_GUARD_CELL, .name = cell_name, .number = cell_version }
    };
    /* Its holder may be about to park it: then it is due instead, and whoever takes it sees the
     * flag. */
    struct kedge_commit commit = { .guards = guards,
                                   .n_guards = 2,
                                   .changes = changes,
                                   .n_changes = a->in.verb == KEDGE_VERB_PAUSE ? 2 : 3 };
    struct kedge_answer answer;
    struct kedge_buf *buf;
    struct kedge_rec rec;
    int rc;

    request_record(a, a->in.verb, &rec);
    buf = kedge_record_encode(a->r.host, &rec);
    if (buf == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    changes[0].cell.value = (struct kedge_bytes){ buf->data, buf->len };
    changes[0].cell.expires = (struct kedge_when){ KEDGE_REQUEST_CELL_US, KEDGE_IN, 0 };
    changes[1].request.bits = flag;
    rc = send(a, &commit, &answer, err);
    if (rc == KEDGE_LOST) { /* its holder is dead, and nobody has taken it over yet */
        guards[0] = (struct kedge_guard){ .kind = KEDGE_GUARD_UNHELD,
                                          .statuses = KEDGE_STATUSES_UNFINISHED,
                                          .name = run->id,
                                          .number = run->revision };
        commit.n_changes = 2; /* a wake would make it due without charging its death */
        rc = send(a, &commit, &answer, err);
    }
    kedge_buf_drop(a->r.host, buf);
    if (rc != KEDGE_OK)
        return rc;
    a->out.pending = 1;
    (void)a->r.ops->notify(a->r.session, NULL); /* its keeper may look at once */
    /* On its way back already: the holder passes it over, and we say what it is instead. */
    a->late = a->in.verb == KEDGE_VERB_CANCEL && answer.status == KEDGE_ROLLING_BACK && !a->doubt;
    return a->late ? AGAIN : KEDGE_OK;
}

static int ask_holder(struct asker *a, struct kedge_error *err)
{
    uint32_t flag = flag_of(a->in.verb);
    char name[KEDGE_REQUEST_CELL_ROOM];
    struct asked asked;
    int rc;

    if (flag == 0)
        return refused(a, "is held by a worker");
    rc = asked_read(a, flag, name, &asked, err);
    if (rc != KEDGE_OK)
        return rc;
    if ((a->state.run.requests & flag) != 0 && !a->late) {
        a->out.pending = 1;
        rc = asked.rec.number == a->in.verb ? KEDGE_EXISTS : KEDGE_OK;
    } else {
        rc = may_ask(a, err);
        if (rc == KEDGE_OK && asked.cell.version != 0 && !a->late)
            rc = outlived(a, flag, err);
    }
    if (rc == KEDGE_OK)
        rc = leave_request(a, flag, kedge_text(name), asked.cell.version, err);
    kedge_mem_free(a->r.host, asked.cell.mem);
    return rc;
}

/* -- nobody holds it -- */

struct deed {
    struct kedge_buf *bufs[RECORDS_MOST];
    struct kedge_bytes records[RECORDS_MOST];
    size_t n_records;
    struct kedge_guard guards[3]; /* the run, and the cells of what was pending */
    size_t n_guards;
    struct kedge_change changes[5];
    size_t n_changes;
    char cells[2][KEDGE_REQUEST_CELL_ROOM];
    uint32_t ended; /* status that it ends with; 0: it goes on */
    bool paused;
    uint32_t status; /* if it goes on */
};

static int deed_record(struct asker *a, struct deed *d, const struct kedge_rec *rec,
                       struct kedge_error *err)
{
    struct kedge_rec same = *rec;
    struct kedge_buf *buf;
    int rc;

    same.writer = kedge_text(kedge_store_program(a->r.store));
    buf = kedge_record_encode(a->r.host, &same);
    if (buf == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    d->bufs[d->n_records] = buf;
    d->records[d->n_records++] = (struct kedge_bytes){ buf->data, buf->len };
    if (a->progress == NULL)
        return KEDGE_OK;
    rc = kedge_record_decode(d->records[d->n_records - 1], &same, err);
    if (rc == KEDGE_OK)
        rc = kedge_progress_apply(a->progress, kedge_progress_position(a->progress) + 1, 0, &same,
                                  buf->len, err);
    return rc;
}

/* With a fold: where it leads is where the fold stands. */
static int deed_folded(struct asker *a, struct deed *d, struct kedge_error *err)
{
    enum kedge_phase phase;
    struct kedge_rec rec;
    int rc = fold_texts(a, err); /* the request may have made another one count */

    if (rc != KEDGE_OK)
        return rc;
    if (!kedge_progress_end(a->progress, &rec)) {
        phase = kedge_progress_phase(a->progress);
        d->paused = kedge_progress_paused(a->progress);
        d->status = phase == KEDGE_PHASE_STOPPING || phase == KEDGE_PHASE_BACK ? KEDGE_ROLLING_BACK
                                                                               : KEDGE_RUNNING;
        return KEDGE_OK;
    }
    d->ended = rec.status;
    rc = deed_record(a, d, &rec, err);
    return rc;
}

/* Without one: what refuses_blindly() lets through. */
static int deed_blind(struct asker *a, struct deed *d, struct kedge_error *err)
{
    struct kedge_rec rec = { .kind = KEDGE_RECORD_END,
                             .step = KEDGE_NO_STEP,
                             .text = kedge_text(a->in.why) };

    d->paused = a->in.verb == KEDGE_VERB_PAUSE;
    d->status = KEDGE_RUNNING;
    if (a->in.verb != KEDGE_VERB_CANCEL && a->in.verb != KEDGE_VERB_ABANDON)
        return KEDGE_OK;
    d->ended = rec.status = a->in.verb == KEDGE_VERB_CANCEL ? KEDGE_CANCELLED : KEDGE_ABORTED;
    return deed_record(a, d, &rec, err);
}

/* A record of ours takes the recovery away that would have told of the doubt. */
static int deed_doubt(struct asker *a, struct deed *d, struct kedge_error *err)
{
    const struct kedge_run *run = &a->state.run;
    struct kedge_time now;
    struct kedge_rec rec;
    int rc;

    if (a->progress == NULL || run->place == KEDGE_PLACE_REST ||
        (run->recoveries == 0 && !kedge_progress_crashed(a->progress)))
        return KEDGE_OK;
    rc = a->r.ops->now(a->r.session, &now, kedge_reader_time(&a->r), err);
    if (rc != KEDGE_OK || !kedge_progress_doubt(a->progress, now.wall, run->recoveries, &rec))
        return rc;
    return deed_record(a, d, &rec, err);
}

static struct kedge_change *deed_change(const struct asker *a, struct deed *d, uint32_t kind)
{
    struct kedge_change *change = &d->changes[d->n_changes++];

    *change = (struct kedge_change){ .kind = kind, .name = a->state.run.id };
    return change;
}

/*
 * What was left with a holder that let go of the run before it took it up: it was asked first, so
 * it comes first, as far as it still fits.
 */
static int deed_pending(struct asker *a, struct deed *d, struct kedge_error *err)
{
    int rc = KEDGE_OK;

    if (a->progress == NULL || a->state.run.place == KEDGE_PLACE_REST)
        return KEDGE_OK;
    for (int i = 0; i < 2 && rc == KEDGE_OK; i++) {
        uint32_t flag = i == 0 ? KEDGE_REQUEST_CANCEL : KEDGE_REQUEST_PAUSE;
        struct asked asked;

        if ((a->state.run.requests & flag) == 0)
            continue;
        rc = asked_read(a, flag, d->cells[i], &asked, err);
        if (rc != KEDGE_OK)
            return rc;
        d->guards[d->n_guards++] = (struct kedge_guard){ .kind = KEDGE_GUARD_CELL,
                                                         .name = kedge_text(d->cells[i]),
                                                         .number = asked.cell.version };
        deed_change(a, d, KEDGE_CELL_DELETE)->name = kedge_text(d->cells[i]);
        a->out.pending = 1;
        if (kedge_progress_refuses(a->progress, (uint32_t)asked.rec.number, asked.rec.step) == NULL)
            rc = deed_record(a, d, &asked.rec, err);
        kedge_mem_free(a->r.host, asked.cell.mem);
    }
    return rc;
}

static int deed_records(struct asker *a, struct deed *d, struct kedge_error *err)
{
    struct kedge_rec rec;
    int rc = deed_doubt(a, d, err);

    if (rc == KEDGE_OK)
        rc = deed_pending(a, d, err);
    if (rc == KEDGE_OK)
        rc = may_ask(a, err);
    request_record(a, a->in.verb, &rec);
    if (a->in.verb == KEDGE_VERB_PAUSE)
        rec.delay_us = a->state.run.due;
    if (rc == KEDGE_OK)
        rc = deed_record(a, d, &rec, err);
    if (rc != KEDGE_OK)
        return rc;
    return a->progress != NULL ? deed_folded(a, d, err) : deed_blind(a, d, err);
}

/* When it was to go on before it was paused; 0: at once.  A pause starts nothing earlier. */
static int64_t due_before_pause(const struct asker *a)
{
    struct kedge_rec rec;

    if (a->state.run.place == KEDGE_PLACE_DUE) /* the pause was pending, too */
        return a->state.run.due;
    if (a->state.n_tail == 0 ||
        kedge_record_decode(a->state.tail[a->state.n_tail - 1].data, &rec, NULL) != KEDGE_OK ||
        rec.kind != KEDGE_RECORD_REQUEST || rec.number != KEDGE_VERB_PAUSE)
        return 0;
    return rec.delay_us;
}

/* When a paused run fails, having passed its deadline; INT64_MAX: it has none. */
static int64_t deadline_of(const struct asker *a)
{
    struct kedge_rec rec;

    if (a->progress != NULL)
        return kedge_progress_next_time(a->progress);
    if (kedge_record_decode(a->state.tail[0].data, &rec, NULL) != KEDGE_OK || rec.number == 0 ||
        rec.number >= INT64_MAX)
        return INT64_MAX;
    return (int64_t)rec.number;
}

static void deed_release(const struct asker *a, struct deed *d)
{
    struct kedge_change *change = deed_change(a, d, KEDGE_RELEASE);
    int64_t keep = a->in.retention_us != 0 ? a->in.retention_us : RETENTION_US;
    int64_t when;

    if (d->ended != 0) {
        change->release.place = KEDGE_PLACE_REST;
        change->release.status = d->ended;
        if (keep > 0 && d->ended != KEDGE_ABORTED && d->ended != KEDGE_STUCK)
            change->release.when = (struct kedge_when){ keep, KEDGE_IN, 0 };
        return;
    }
    if (!d->paused) {
        when = a->in.verb == KEDGE_VERB_RESUME ? due_before_pause(a) : 0;
        change->release.place = KEDGE_PLACE_DUE;
        change->release.when = (struct kedge_when){ when, when > 0 ? KEDGE_AT : KEDGE_IN, 0 };
        return;
    }
    when = deadline_of(a);
    change->release.place = KEDGE_PLACE_PARKED;
    change->release.status = KEDGE_PAUSED;
    change->release.wakes_on = KEDGE_WAKES_ON_INTERRUPT;
    if (when != INT64_MAX) {
        change->release.wakes_on |= KEDGE_WAKES_ON_TIME;
        change->release.when = (struct kedge_when){ when, KEDGE_AT, 0 };
    }
}

static void deed_changes(const struct asker *a, struct deed *d)
{
    bool rests = a->state.run.place == KEDGE_PLACE_REST;
    struct kedge_change *change = deed_change(a, d, KEDGE_SET);

    /* Those that are not taken up here came too late for the run's end, and are not for what comes
     * now; or nothing can be read, and whoever goes on takes them up. */
    change->set.mask = KEDGE_SET_STATUS | (rests ? KEDGE_SET_REOPEN : 0);
    if (rests || d->ended != 0 || a->progress != NULL)
        change->set.mask |= KEDGE_SET_CLEAR_REQUESTS;
    change->set.clear_requests = KEDGE_REQUESTS_ALL;
    change->set.status = d->ended != 0 || d->paused ? KEDGE_RUNNING : d->status;
    change = deed_change(a, d, KEDGE_APPEND);
    change->append.records = d->records;
    change->append.n = d->n_records;
    change->append.first = a->state.run.position + 1;
    if (!rests || d->ended != 0 || d->paused)
        deed_release(a, d);
}

static int do_it(struct asker *a, struct kedge_error *err)
{
    const struct kedge_run *run = &a->state.run;
    struct deed d = { .n_guards = 1 };
    struct kedge_commit commit = { .guards = d.guards, .changes = d.changes };
    struct kedge_answer answer;
    int rc;

    d.guards[0] = (struct kedge_guard){ .kind = KEDGE_GUARD_UNHELD,
                                        .statuses = KEDGE_STATUS_BIT(run->status),
                                        .name = run->id,
                                        .number = run->revision };
    rc = deed_records(a, &d, err);
    if (rc == KEDGE_OK) {
        deed_changes(a, &d);
        commit.n_guards = d.n_guards;
        commit.n_changes = d.n_changes;
        rc = send(a, &commit, &answer, err);
    }
    if (rc == KEDGE_OK) {
        a->out.pending = 0;
        a->out.place = d.ended != 0 ? KEDGE_PLACE_REST
                       : d.paused   ? KEDGE_PLACE_PARKED
                                    : KEDGE_PLACE_DUE;
        a->out.status = d.ended != 0 ? d.ended : d.paused ? KEDGE_PAUSED : d.status;
        if (d.ended != 0)
            kedge_store_run_ended(a->r.store, run->id);
    }
    for (size_t i = 0; i < d.n_records; i++)
        kedge_buf_drop(a->r.host, d.bufs[i]);
    return rc;
}

/* ---------------------------------------------------------- a new run like it */

/* Its first record, with the input.  NOT_FOUND: it was purged meanwhile. */
static int read_begin(struct asker *a, struct kedge_record_page *page, struct kedge_rec *rec,
                      struct kedge_error *err)
{
    const struct kedge_run *run = &a->state.run;
    int rc = a->r.ops->retrieve_records(a->r.session, run->id, run->incarnation, 1, 1, 1, page,
                                        kedge_reader_time(&a->r), err);

    if (rc != KEDGE_OK)
        return rc;
    if (page->n == 0)
        return KEDGE_NOT_FOUND;
    rc = kedge_record_read(&page->records[0], rec, err);
    if (rc != KEDGE_OK)
        return rc;
    rec->number = 0; /* the deadline was that one's */
    rec->writer = kedge_text(kedge_store_program(a->r.store));
    return rc;
}

static int create(struct asker *a, const struct kedge_rec *begin, struct kedge_bytes id,
                  struct kedge_error *err)
{
    const struct kedge_run *run = &a->state.run;
    struct kedge_run_new new_run = {
        .reactor = run->reactor,
        .queue = run->queue,
        .context = run->context,
        .parent = run->id,
        .root = run->root,
        .parent_incarnation = run->incarnation,
        .parent_slot = KEDGE_NO_SLOT,
        .version = a->in.new_version != 0 ? a->in.new_version : run->version,
        .due = { 0, KEDGE_IN, 0 },
    };
    struct kedge_guard guards[2] = { { .kind = KEDGE_GUARD_UNHELD,
                                       .statuses = KEDGE_STATUS_BIT(run->status),
                                       .name = run->id,
                                       .number = run->revision },
                                     { .kind = KEDGE_GUARD_ABSENT, .name = id } };
    struct kedge_change changes[2] = { { .kind = KEDGE_CREATE, .name = id },
                                       { .kind = KEDGE_APPEND, .name = id } };
    struct kedge_commit commit = {
        .guards = guards, .n_guards = 2, .changes = changes, .n_changes = 2
    };
    struct kedge_buf *buf = kedge_record_encode(a->r.host, begin);
    struct kedge_answer answer;
    struct kedge_bytes record;
    int rc;

    if (buf == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    record = (struct kedge_bytes){ buf->data, buf->len };
    changes[0].create = &new_run;
    changes[1].append.records = &record;
    changes[1].append.n = 1;
    changes[1].append.first = 1;
    rc = send(a, &commit, &answer, err);
    kedge_buf_drop(a->r.host, buf);
    return rc;
}

static int retry_new(struct asker *a, struct kedge_error *err)
{
    struct kedge_record_page page = { .mem = NULL };
    struct kedge_bytes id = a->in.new_id;
    struct kedge_rec begin;
    int rc;

    if (a->state.run.place != KEDGE_PLACE_REST || a->state.run.status == KEDGE_COMPLETED)
        return refused(a, "has not come to a bad end");
    if (id.len == 0) {
        if (a->out.new_id[0] == '\0') {
            rc = kedge_run_id_make(a->out.new_id, err);
            if (rc != KEDGE_OK)
                return rc;
        }
        id = kedge_text(a->out.new_id);
    }
    rc = read_begin(a, &page, &begin, err);
    if (rc == KEDGE_OK)
        rc = create(a, &begin, id, err);
    kedge_mem_free(a->r.host, page.mem);
    return rc;
}

/* ---------------------------------------------------------------- public face */

static int attempt(struct asker *a, struct kedge_error *err)
{
    int rc;

    a->unreadable = KEDGE_OK;
    a->out.pending = 0;
    a->doubt = false;
    rc = read_run(a, err);
    if (rc == KEDGE_OK)
        rc = find_step(a, err);
    if (rc == KEDGE_OK && a->in.verb == KEDGE_VERB_RETRY_NEW)
        rc = retry_new(a, err);
    else if (rc == KEDGE_OK)
        rc = a->state.run.place == KEDGE_PLACE_HELD ? ask_holder(a, err) : do_it(a, err);
    forget(a);
    return rc;
}

static int check(struct asker *a, const struct kedge_request *request, struct kedge_error *err)
{
    int rc = kedge_args_import(&a->in, sizeof a->in, request, request->struct_size, "request",
                               "KEDGE_REQUEST_INIT", err);

    if (rc == KEDGE_OK && (a->in.verb == 0 || a->in.verb >= KEDGE_VERB_END_))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "request.verb is %u, which is no verb",
                             (unsigned)a->in.verb);
    if (rc == KEDGE_OK && (a->in.flags != 0 || a->in.reserved != 0))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "request.flags is not 0");
    if (rc == KEDGE_OK && a->in.retention_us < -1)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "request.retention_us is negative");
    if (rc == KEDGE_OK && a->in.step != NULL &&
        (a->in.verb < KEDGE_VERB_RETRY_UNDO || a->in.verb > KEDGE_VERB_MARK_UNDONE))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "%s is of a run, not of a step of it",
                             kedge_verb_text(a->in.verb));
    if (rc == KEDGE_OK && a->in.new_id.len != 0)
        rc = kedge_args_id(a->r.ops, a->in.new_id, err);
    return rc != KEDGE_OK ? rc : kedge_args_id(a->r.ops, a->in.run, err);
}

int kedge_run_request(struct kedge_store *store, const struct kedge_request *request,
                      struct kedge_requested *out, int64_t timeout_us, struct kedge_error *err)
{
    struct asker a = { .out = { .struct_size = sizeof a.out } };
    int rc;

    if (request == NULL)
        return kedge_args_null("request", err);
    rc = kedge_reader_begin(&a.r, store, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = check(&a, request, err);
    while (rc == KEDGE_OK) {
        rc = attempt(&a, err);
        if (rc != AGAIN)
            break;
        rc = kedge_monotonic_us() < a.r.deadline
                 ? KEDGE_OK
                 : kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                                   "others change the run all the time; try again");
    }
    kedge_reader_end(&a.r);
    if (out != NULL && (rc == KEDGE_OK || rc == KEDGE_EXISTS || rc == KEDGE_STALE))
        kedge_args_export(out, &a.out, sizeof a.out);
    return rc;
}
