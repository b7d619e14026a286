/* test_progress.c - the fold of a journal: by hand, by chance, and by snapshots */
#include <config.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <kedge/run.h>
#include <kedge/store.h>

#include "../../src/progress.h"

#define MAX_STEPS   24
#define MAX_RECORDS 4000

static const struct kedge_host *host;
static struct kedge_error err;

static int nothing(struct kedge_step *step, void *user)
{
    (void)step;
    (void)user;
    return 0;
}

/* ---------------------------------------------------------------- definitions */

static struct kedge_reactor_step *defs;
static uint32_t *edges;
static struct kedge_reactor reactor;

static void undefine(void)
{
    free(defs);
    free(edges);
    free(reactor.edges);
    free(reactor.after_at);
    defs = NULL;
    edges = NULL;
    memset(&reactor, 0, sizeof reactor);
}

static void define(uint32_t n)
{
    undefine();
    defs = calloc(n, sizeof *defs);
    edges = calloc((size_t)n * 2 * (n < 100 ? n : 1), sizeof *edges);
    reactor.name = "order";
    reactor.version = 1;
    reactor.n_steps = n;
    reactor.result = n - 1;
    reactor.steps = defs;
    for (uint32_t i = 0; i < n; i++) {
        defs[i].name = "step";
        defs[i].run = nothing;
        defs[i].functions = KEDGE_REACTOR_RUN | KEDGE_REACTOR_UNDO | KEDGE_REACTOR_COMPENSATE;
    }
}

/* What is in the steps once more, as the reactor has it. */
static void copy_graph(void)
{
    uint32_t n = reactor.n_steps;
    uint32_t at = 0;

    for (uint32_t i = 0; i < n; i++)
        reactor.n_edges += defs[i].n_after;
    reactor.edges = malloc((2 * reactor.n_edges + 1) * sizeof *reactor.edges);
    reactor.after_at = malloc(2 * ((size_t)n + 1) * sizeof *reactor.after_at);
    reactor.before_at = reactor.after_at + n + 1;
    for (uint32_t i = 0; i < n; i++) {
        reactor.after_at[i] = at;
        for (uint32_t k = 0; k < defs[i].n_after; k++)
            reactor.edges[at++] = defs[i].after[k];
    }
    reactor.after_at[n] = at;
    for (uint32_t i = 0; i < n; i++) {
        reactor.before_at[i] = at;
        for (uint32_t k = 0; k < defs[i].n_before; k++)
            reactor.edges[at++] = defs[i].before[k];
    }
    reactor.before_at[n] = at;
}

/* i needs j: below 100 steps any, else the one before. */
static void finish_definition(int (*needs)(uint32_t i, uint32_t j))
{
    uint32_t n = reactor.n_steps;
    uint32_t *to = edges;

    for (uint32_t i = 0; i < n; i++) {
        defs[i].after = to;
        for (uint32_t j = 0; j < n; j++)
            if (needs(i, j))
                *to++ = j;
        defs[i].n_after = (uint32_t)(to - defs[i].after);
        defs[i].before = to;
        for (uint32_t j = 0; j < n; j++)
            if (needs(j, i))
                *to++ = j;
        defs[i].n_before = (uint32_t)(to - defs[i].before);
    }
    copy_graph();
}

static int none(uint32_t i, uint32_t j)
{
    (void)i;
    (void)j;
    return 0;
}

static int chained(uint32_t i, uint32_t j)
{
    return j + 1 == i;
}

/* ------------------------------------------------------------------ a journal */

struct line {
    struct kedge_buf *buf;
    unsigned char *snapshot; /* after it */
    size_t snapshot_len;
    int64_t time;
};
static struct line journal[MAX_RECORDS + 1];
static uint64_t n_records;
static struct kedge_progress *p;
static int64_t now;

static void setup(void)
{
    host = kedge_host_default();
    n_records = 0;
    now = 1000;
    p = NULL;
}

static void forget(void)
{
    for (uint64_t i = 1; i <= n_records; i++) {
        kedge_buf_drop(host, journal[i].buf);
        free(journal[i].snapshot);
    }
    n_records = 0;
    kedge_progress_free(p);
    p = NULL;
}

static void teardown(void)
{
    forget();
    undefine();
}

static int apply(struct kedge_progress *to, uint64_t number)
{
    const struct kedge_buf *buf = journal[number].buf;
    struct kedge_rec rec;

    ck_assert_int_eq(kedge_record_decode((struct kedge_bytes){ buf->data, buf->len }, &rec, &err),
                     KEDGE_OK);
    return kedge_progress_apply(to, number, journal[number].time, &rec, buf->len, &err);
}

/* Texts that count and are not in memory. */
static void read_texts(struct kedge_progress *q)
{
    uint64_t number;

    while ((number = kedge_progress_unread(q)) != 0) {
        const struct kedge_buf *buf = journal[number].buf;
        struct kedge_rec rec;

        ck_assert_int_eq(kedge_record_decode((struct kedge_bytes){ buf->data, buf->len }, &rec,
                                             &err),
                         KEDGE_OK);
        ck_assert_int_eq(kedge_progress_read(q, &rec, &err), KEDGE_OK);
    }
}

static int try_append(const struct kedge_rec *rec)
{
    struct line *line = &journal[n_records + 1];
    int rc;

    line->buf = kedge_record_encode(host, rec);
    line->time = now;
    rc = apply(p, n_records + 1);
    if (rc != KEDGE_OK) {
        kedge_buf_drop(host, line->buf);
        return rc;
    }
    n_records++;
    line->snapshot_len = kedge_progress_snapshot_size(p);
    line->snapshot = malloc(line->snapshot_len);
    ck_assert_uint_eq(kedge_progress_snapshot(p, line->snapshot), line->snapshot_len);
    if (rec->kind == KEDGE_RECORD_REQUEST)
        read_texts(p);
    return rc;
}

static void append(const struct kedge_rec *rec)
{
    ck_assert_msg(try_append(rec) == KEDGE_OK, "%s", err.msg);
}

static struct kedge_rec rec_of(uint32_t kind, uint32_t step)
{
    struct kedge_rec rec = { .kind = kind, .step = step };

    rec.has_value = kind == KEDGE_RECORD_DONE || kind == KEDGE_RECORD_BEGIN;
    if (kind == KEDGE_RECORD_FAILED || kind == KEDGE_RECORD_HALTED ||
        kind == KEDGE_RECORD_UNDO_FAILED)
        rec.text = kedge_text(step == 0 ? "zero" : step == 1 ? "one" : "more");
    return rec;
}

static void say(uint32_t kind, uint32_t step)
{
    struct kedge_rec rec = rec_of(kind, step);

    append(&rec);
}

static struct kedge_rec request_of(uint32_t verb, uint32_t step)
{
    struct kedge_rec rec = { .kind = KEDGE_RECORD_REQUEST, .step = step, .number = verb };

    rec.text = kedge_text("because");
    rec.value = kedge_text("somebody");
    rec.has_value = 1;
    return rec;
}

static void asked(uint32_t verb, uint32_t step)
{
    struct kedge_rec rec = request_of(verb, step);

    ck_assert_ptr_null(kedge_progress_refuses(p, verb, step));
    append(&rec);
}

static void asked_in_vain(uint32_t verb, uint32_t step)
{
    struct kedge_rec rec = request_of(verb, step);

    ck_assert_ptr_nonnull(kedge_progress_refuses(p, verb, step));
    ck_assert_int_eq(try_append(&rec), KEDGE_ERR_CORRUPT);
}

static void delayed(uint32_t step, uint32_t action, uint32_t failures, int64_t delay)
{
    struct kedge_rec rec = rec_of(KEDGE_RECORD_DELAYED, step);

    rec.action = action;
    rec.failures = failures;
    rec.delay_us = delay;
    append(&rec);
}

static void refused(uint32_t kind, uint32_t step)
{
    struct kedge_rec rec = rec_of(kind, step);

    ck_assert_int_eq(try_append(&rec), KEDGE_ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.msg, "of a run of 'order'"));
}

static void begin(uint32_t n, int (*needs)(uint32_t, uint32_t))
{
    define(n);
    finish_definition(needs);
    p = kedge_progress_new(host, &reactor);
    say(KEDGE_RECORD_BEGIN, KEDGE_NO_STEP);
}

/* From the snapshot after record FROM (0, which has none: from nothing) and the rest. */
static struct kedge_progress *rebuild(uint64_t from)
{
    struct kedge_progress *q = kedge_progress_new(host, &reactor);
    struct kedge_bytes snapshot = { journal[from].snapshot, journal[from].snapshot_len };

    ck_assert_msg(kedge_progress_load(q, snapshot, &err) == KEDGE_OK, "%s", err.msg);
    ck_assert_uint_eq(kedge_progress_position(q), from);
    for (uint64_t i = from + 1; i <= n_records; i++)
        ck_assert_msg(apply(q, i) == KEDGE_OK, "%s", err.msg);
    return q;
}

/* And with the texts that no snapshot has. */
static struct kedge_progress *rebuild_all(uint64_t from)
{
    struct kedge_progress *q = rebuild(from);

    read_texts(q);
    return q;
}

static void recover(void)
{
    struct kedge_progress *q = rebuild(0);
    struct kedge_rec rec;

    kedge_progress_free(p);
    p = q;
    if (kedge_progress_doubt(p, now, 1, &rec))
        append(&rec);
    ck_assert_int_eq(kedge_progress_doubt(p, now, 1, &rec), 0);
}

static void takes(uint32_t step, uint32_t action, uint32_t attempt, uint32_t in_doubt)
{
    struct kedge_action a;

    ck_assert_int_eq(kedge_progress_ready(p, now), 1);
    ck_assert_int_eq(kedge_progress_take(p, now, &a), 1);
    ck_assert_uint_eq(a.step, step);
    ck_assert_uint_eq(a.action, action);
    ck_assert_uint_eq(a.attempt, attempt);
    ck_assert_uint_eq(a.in_doubt, in_doubt);
}

static void takes_nothing(void)
{
    struct kedge_action a;

    ck_assert_int_eq(kedge_progress_ready(p, now), 0);
    ck_assert_int_eq(kedge_progress_take(p, now, &a), 0);
}

static void ends(uint32_t status, uint32_t step, const char *text)
{
    struct kedge_rec rec;

    ck_assert_int_eq(kedge_progress_end(p, &rec), 1);
    ck_assert_uint_eq(rec.status, status);
    ck_assert_uint_eq(rec.step, step);
    ck_assert_uint_eq(rec.text.len, strlen(text));
    if (rec.text.len > 0)
        ck_assert_mem_eq(rec.text.data, text, rec.text.len);
    append(&rec);
    ck_assert_int_eq(kedge_progress_phase(p), KEDGE_PHASE_ENDED);
    ck_assert_int_eq(kedge_progress_end(p, &rec), 0);
    takes_nothing();
    refused(KEDGE_RECORD_DONE, 0);
    refused(KEDGE_RECORD_END, KEDGE_NO_STEP);
}

#define PHASE(x)       ck_assert_int_eq(kedge_progress_phase(p), KEDGE_PHASE_##x)
#define STATE(step, x) ck_assert_uint_eq(kedge_progress_state(p, (step)), KEDGE_STEP_##x)
#define RUN            KEDGE_ACTION_RUN
#define COMPENSATE     KEDGE_ACTION_COMPENSATE
#define UNDO           KEDGE_ACTION_UNDO

/* -------------------------------------------------------------------- by hand */

START_TEST(all_done)
{
    struct kedge_rec rec;

    begin(3, chained);
    STATE(0, READY);
    STATE(1, WAITING);
    takes(0, RUN, 1, 0);
    takes_nothing();
    ck_assert_uint_eq(kedge_progress_running(p), 1);
    kedge_progress_give_back(p, 0);
    takes(0, RUN, 1, 0);
    say(KEDGE_RECORD_DONE, 0);
    takes(1, RUN, 1, 0);
    say(KEDGE_RECORD_SKIPPED, 1);
    ck_assert_int_eq(kedge_progress_end(p, &rec), 0);
    takes(2, RUN, 1, 0);
    say(KEDGE_RECORD_DONE, 2);
    ck_assert_uint_eq(kedge_progress_value_record(p, 0), 2);
    ck_assert_uint_eq(kedge_progress_value_record(p, 1), 0);
    ck_assert_int_eq(kedge_progress_end(p, &rec), 1);
    ck_assert_uint_eq(rec.number, 4);
    ends(KEDGE_COMPLETED, KEDGE_NO_STEP, "");
}
END_TEST

START_TEST(a_skipped_result_is_none)
{
    struct kedge_rec rec;

    begin(1, none);
    say(KEDGE_RECORD_SKIPPED, 0);
    ck_assert_int_eq(kedge_progress_end(p, &rec), 1);
    ck_assert_uint_eq(rec.number, 0);
}
END_TEST

START_TEST(delays)
{
    begin(2, none);
    delayed(0, 0, 1, 500);
    delayed(1, RUN, 0, 300);
    STATE(0, DELAYED);
    ck_assert_int_eq(kedge_progress_until(p, 0), 1500);
    ck_assert_uint_eq(kedge_progress_failures(p, 0), 1);
    ck_assert_int_eq(kedge_progress_next_time(p), 1300);
    takes_nothing();
    now = 1300;
    takes(1, RUN, 1, 0);
    takes_nothing();
    ck_assert_int_eq(kedge_progress_next_time(p), 1500);
    now = 1500;
    takes(0, RUN, 2, 0);
    ck_assert_int_eq(kedge_progress_next_time(p), INT64_MAX);
}
END_TEST

START_TEST(failure_awaits_those_running_and_goes_back)
{
    begin(4, none);
    takes(0, RUN, 1, 0);
    takes(1, RUN, 1, 0);
    takes(2, RUN, 1, 0);
    say(KEDGE_RECORD_DONE, 2);
    say(KEDGE_RECORD_FAILED, 1);
    PHASE(STOPPING);
    takes_nothing();
    say(KEDGE_RECORD_DONE, 0);
    PHASE(BACK);
    takes(1, COMPENSATE, 1, 0);
    takes_nothing();
    delayed(1, COMPENSATE, 1, 100);
    STATE(3, DROPPED);
    STATE(1, DELAYED);
    takes_nothing();
    ck_assert_int_eq(kedge_progress_next_time(p), 1100);
    now = 1100;
    takes(1, COMPENSATE, 2, 0);
    say(KEDGE_RECORD_COMPENSATED, 1);
    takes(0, UNDO, 1, 0);
    say(KEDGE_RECORD_UNDONE, 0);
    takes(2, UNDO, 1, 0);
    recover();
    takes(2, UNDO, 1, 1);
    say(KEDGE_RECORD_UNDONE, 2);
    ends(KEDGE_FAILED, 1, "one");
}
END_TEST

/* 0 and 1 before 2 before 3; 4 alone. */
static int forked(uint32_t i, uint32_t j)
{
    return (i == 2 && j < 2) || (i == 3 && j == 2);
}

START_TEST(what_others_count_on_is_not_undone)
{
    begin(6, forked);
    for (uint32_t i = 0; i < 5; i++)
        say(KEDGE_RECORD_DONE, i);
    say(KEDGE_RECORD_FAILED, 5);
    takes(5, COMPENSATE, 1, 0);
    say(KEDGE_RECORD_COMPENSATED, 5);
    takes(4, UNDO, 1, 0);
    say(KEDGE_RECORD_UNDONE, 4);
    takes(3, UNDO, 1, 0);
    say(KEDGE_RECORD_UNDONE, 3);
    takes(2, UNDO, 1, 0);
    say(KEDGE_RECORD_UNDO_FAILED, 2);
    STATE(0, DONE);
    STATE(1, DONE);
    ends(KEDGE_STUCK, 2, "more");
    asked_in_vain(KEDGE_VERB_RETRY_UNDO, 1);
    asked_in_vain(KEDGE_VERB_RESUME, KEDGE_NO_STEP);
    asked_in_vain(KEDGE_VERB_UNDO, KEDGE_NO_STEP);
    asked_in_vain(KEDGE_VERB_CANCEL, KEDGE_NO_STEP);
    asked(KEDGE_VERB_RETRY_UNDO, 2);
    takes(2, UNDO, 1, 0);
    say(KEDGE_RECORD_UNDO_FAILED, 2);
    ends(KEDGE_STUCK, 2, "more");
    asked(KEDGE_VERB_SKIP_UNDO, KEDGE_NO_STEP);
    STATE(2, LEFT);
    takes(1, UNDO, 1, 0);
    say(KEDGE_RECORD_UNDONE, 1);
    recover();
    takes(0, UNDO, 1, 1);
    say(KEDGE_RECORD_UNDO_FAILED, 0);
    ends(KEDGE_STUCK, 0, "zero");
    asked(KEDGE_VERB_MARK_UNDONE, 0);
    STATE(0, UNDONE);
    ends(KEDGE_FAILED, 5, "more");
}
END_TEST

START_TEST(cancelled_by_somebody)
{
    begin(3, none);
    takes(0, RUN, 1, 0);
    takes(1, RUN, 1, 0);
    say(KEDGE_RECORD_DONE, 0);
    asked(KEDGE_VERB_CANCEL, KEDGE_NO_STEP);
    asked_in_vain(KEDGE_VERB_CANCEL, KEDGE_NO_STEP);
    asked_in_vain(KEDGE_VERB_PAUSE, KEDGE_NO_STEP);
    PHASE(STOPPING);
    takes_nothing();
    say(KEDGE_RECORD_FAILED, 1);
    takes(1, COMPENSATE, 1, 0);
    say(KEDGE_RECORD_COMPENSATED, 1);
    takes(0, UNDO, 1, 0);
    say(KEDGE_RECORD_UNDONE, 0);
    STATE(2, DROPPED);
    ends(KEDGE_CANCELLED, KEDGE_NO_STEP, "because");
}
END_TEST

START_TEST(what_was_delayed_is_compensated)
{
    begin(3, none);
    takes(0, RUN, 1, 0);
    delayed(0, 0, 0, 1000); /* a snooze */
    takes(1, RUN, 1, 0);
    delayed(1, 0, 1, 1000);
    asked(KEDGE_VERB_CANCEL, KEDGE_NO_STEP);
    takes(0, COMPENSATE, 1, 0);
    say(KEDGE_RECORD_COMPENSATED, 0);
    recover();
    takes(1, COMPENSATE, 1, 1);
    say(KEDGE_RECORD_COMPENSATED, 1);
    ends(KEDGE_CANCELLED, KEDGE_NO_STEP, "because");
}
END_TEST

START_TEST(paused_and_resumed)
{
    begin(2, none);
    asked_in_vain(KEDGE_VERB_RESUME, KEDGE_NO_STEP);
    takes(0, RUN, 1, 0);
    asked(KEDGE_VERB_PAUSE, KEDGE_NO_STEP);
    asked_in_vain(KEDGE_VERB_PAUSE, KEDGE_NO_STEP);
    say(KEDGE_RECORD_DONE, 0);
    takes_nothing();
    ck_assert_int_eq(kedge_progress_next_time(p), INT64_MAX);
    asked(KEDGE_VERB_RESUME, KEDGE_NO_STEP);
    takes(1, RUN, 1, 0);
    asked(KEDGE_VERB_PAUSE, KEDGE_NO_STEP);
    say(KEDGE_RECORD_DONE, 1); /* the last one: there is nothing to pause */
    ends(KEDGE_COMPLETED, KEDGE_NO_STEP, "");
    asked_in_vain(KEDGE_VERB_RESUME, KEDGE_NO_STEP); /* nor to resume */
}
END_TEST

START_TEST(undone_after_its_end)
{
    begin(3, chained);
    for (uint32_t i = 0; i < 3; i++)
        say(KEDGE_RECORD_DONE, i);
    asked_in_vain(KEDGE_VERB_UNDO, KEDGE_NO_STEP);
    ends(KEDGE_COMPLETED, KEDGE_NO_STEP, "");
    asked_in_vain(KEDGE_VERB_RETRY, KEDGE_NO_STEP);
    asked(KEDGE_VERB_UNDO, KEDGE_NO_STEP);
    for (uint32_t i = 3; i-- > 0;) {
        takes(i, UNDO, 1, 0);
        say(KEDGE_RECORD_UNDONE, i);
    }
    ends(KEDGE_CANCELLED, KEDGE_NO_STEP, "because");
    asked_in_vain(KEDGE_VERB_UNDO, KEDGE_NO_STEP);
}
END_TEST

/* 0 before 1 before 2 before 3; only 1 has an undo; 4 and 5 alone. */
static int four_chained(uint32_t i, uint32_t j)
{
    return i < 4 && i == j + 1;
}

START_TEST(taken_up_again_after_a_failure)
{
    begin(6, four_chained);
    for (uint32_t i = 0; i < 6; i++)
        defs[i].functions = i == 1 ? KEDGE_REACTOR_UNDO : 0;
    for (uint32_t i = 0; i < 3; i++)
        say(KEDGE_RECORD_DONE, i);
    say(KEDGE_RECORD_SKIPPED, 4);
    say(KEDGE_RECORD_FAILED, 3);
    takes(1, UNDO, 1, 0);
    say(KEDGE_RECORD_UNDONE, 1);
    ends(KEDGE_FAILED, 3, "more");
    ck_assert_uint_eq(kedge_progress_round(p), 0);
    asked(KEDGE_VERB_RETRY, KEDGE_NO_STEP);
    ck_assert_uint_eq(kedge_progress_round(p), 1);
    PHASE(FORWARD);
    STATE(0, DONE);    /* not taken back */
    STATE(1, READY);   /* taken back */
    STATE(2, WAITING); /* made from what 1 said */
    STATE(3, WAITING);
    STATE(4, SKIPPED);
    STATE(5, READY);
    takes(5, RUN, 1, 0);
    takes(1, RUN, 1, 0);
    takes_nothing();
    say(KEDGE_RECORD_DONE, 5);
    for (uint32_t i = 1; i < 4; i++)
        say(KEDGE_RECORD_DONE, i);
    ends(KEDGE_COMPLETED, KEDGE_NO_STEP, "");
}
END_TEST

START_TEST(its_deadline_passes)
{
    struct kedge_rec rec = rec_of(KEDGE_RECORD_BEGIN, KEDGE_NO_STEP);

    define(2);
    finish_definition(chained);
    p = kedge_progress_new(host, &reactor);
    rec.number = 2000;
    append(&rec);
    ck_assert_int_eq(kedge_progress_next_time(p), 2000);
    say(KEDGE_RECORD_DONE, 0);
    takes(1, RUN, 1, 0);
    ck_assert_int_eq(kedge_progress_overdue(p, 1999, &rec), 0);
    ck_assert_int_eq(kedge_progress_overdue(p, 2000, &rec), 1);
    append(&rec);
    ck_assert_int_eq(kedge_progress_overdue(p, 2000, &rec), 0);
    PHASE(STOPPING);
    say(KEDGE_RECORD_FAILED, 1);
    takes(1, COMPENSATE, 1, 0);
    say(KEDGE_RECORD_COMPENSATED, 1);
    takes(0, UNDO, 1, 0);
    say(KEDGE_RECORD_UNDONE, 0);
    ends(KEDGE_FAILED, KEDGE_NO_STEP, "the run's deadline has passed");
}
END_TEST

START_TEST(set_aside_and_given_up)
{
    begin(2, none);
    say(KEDGE_RECORD_DONE, 0);
    say(KEDGE_RECORD_ASIDE, KEDGE_NO_STEP);
    takes_nothing();
    refused(KEDGE_RECORD_DONE, 1);
    asked_in_vain(KEDGE_VERB_CANCEL, KEDGE_NO_STEP);
    asked(KEDGE_VERB_RESUME, KEDGE_NO_STEP);
    takes(1, RUN, 1, 0);
    kedge_progress_give_back(p, 1);
    say(KEDGE_RECORD_ASIDE, KEDGE_NO_STEP);
    asked(KEDGE_VERB_ABANDON, KEDGE_NO_STEP);
    takes_nothing();
    ends(KEDGE_ABORTED, KEDGE_NO_STEP, "because");
    asked_in_vain(KEDGE_VERB_ABANDON, KEDGE_NO_STEP);
}
END_TEST

/* It would not take what it said. */
START_TEST(what_was_set_aside_has_nothing_to_say)
{
    struct kedge_rec rec = rec_of(KEDGE_RECORD_BEGIN, KEDGE_NO_STEP);

    define(1);
    finish_definition(none);
    p = kedge_progress_new(host, &reactor);
    rec.number = 7; /* its deadline */
    append(&rec);
    ck_assert_int_eq(kedge_progress_overdue(p, now, &rec), 1);
    say(KEDGE_RECORD_ASIDE, KEDGE_NO_STEP);
    ck_assert_int_eq(kedge_progress_overdue(p, now, &rec), 0);
    ck_assert_int_eq(kedge_progress_doubt(p, now, 1, &rec), 0);
    asked(KEDGE_VERB_RESUME, KEDGE_NO_STEP);
    ck_assert_int_eq(kedge_progress_doubt(p, now, 1, &rec), 1);
    ck_assert_int_eq(kedge_progress_overdue(p, now, &rec), 1);
}
END_TEST

START_TEST(what_ran_out_of_time_is_in_doubt)
{
    struct kedge_rec rec = rec_of(KEDGE_RECORD_DELAYED, 0);

    begin(1, none);
    takes(0, RUN, 1, 0);
    rec.failures = 1;
    rec.flags = KEDGE_RECORD_TIMED_OUT;
    append(&rec);
    takes(0, RUN, 2, 1);
    rec.kind = KEDGE_RECORD_FAILED;
    rec.failures = 2;
    append(&rec);
    takes(0, COMPENSATE, 1, 1);
    say(KEDGE_RECORD_COMPENSATED, 0);
}
END_TEST

START_TEST(what_cannot_be_undone_is_stuck)
{
    begin(3, none);
    say(KEDGE_RECORD_DONE, 0);
    say(KEDGE_RECORD_DONE, 1);
    say(KEDGE_RECORD_FAILED, 2);
    takes(2, COMPENSATE, 1, 0);
    say(KEDGE_RECORD_UNDO_FAILED, 2);
    takes(1, UNDO, 1, 0);
    say(KEDGE_RECORD_UNDO_FAILED, 1);
    takes(0, UNDO, 1, 0);
    say(KEDGE_RECORD_UNDONE, 0);
    STATE(1, UNDO_FAILED);
    ends(KEDGE_STUCK, 1, "one");
}
END_TEST

START_TEST(the_first_failure_in_the_table_counts)
{
    struct kedge_progress *q;

    begin(3, none);
    takes(0, RUN, 1, 0);
    say(KEDGE_RECORD_FAILED, 2);
    say(KEDGE_RECORD_FAILED, 1);
    say(KEDGE_RECORD_FAILED, 0);
    q = rebuild(n_records);
    ck_assert_uint_eq(kedge_progress_unread(p), 0);
    ck_assert_uint_eq(kedge_progress_unread(q), n_records);
    kedge_progress_free(q);
    q = rebuild(n_records - 1);
    ck_assert_uint_eq(kedge_progress_unread(q), 0);
    kedge_progress_free(q);
    for (uint32_t i = 0; i < 3; i++) {
        takes(i, COMPENSATE, 1, 0);
        say(KEDGE_RECORD_COMPENSATED, i);
    }
    ends(KEDGE_FAILED, 0, "zero");
}
END_TEST

START_TEST(halt_awaits_those_running)
{
    struct kedge_rec rec;

    begin(3, none);
    takes(0, RUN, 1, 0);
    takes(1, RUN, 1, 0);
    say(KEDGE_RECORD_HALTED, 1);
    PHASE(HALTING);
    takes_nothing();
    ck_assert_int_eq(kedge_progress_end(p, &rec), 0);
    say(KEDGE_RECORD_DONE, 0);
    ends(KEDGE_HALTED, 1, "one");
    STATE(0, DONE);
    STATE(1, HALTED);
    STATE(2, DROPPED);
}
END_TEST

START_TEST(failure_beats_halt)
{
    begin(2, none);
    takes(0, RUN, 1, 0);
    takes(1, RUN, 1, 0);
    say(KEDGE_RECORD_HALTED, 0);
    say(KEDGE_RECORD_FAILED, 1);
    PHASE(BACK);
    takes(1, COMPENSATE, 1, 0);
    say(KEDGE_RECORD_COMPENSATED, 1);
    ends(KEDGE_FAILED, 1, "one");
}
END_TEST

START_TEST(steps_in_doubt_run_again)
{
    begin(3, chained);
    takes(0, RUN, 1, 0);
    recover();
    ck_assert_int_eq(kedge_progress_in_doubt(p, 0), 1);
    takes(0, RUN, 1, 1);
    delayed(0, 0, 1, 0);
    takes(0, RUN, 2, 1);
    say(KEDGE_RECORD_DONE, 0);
    ck_assert_int_eq(kedge_progress_in_doubt(p, 0), 0);
    takes(1, RUN, 1, 0);
    say(KEDGE_RECORD_DONE, 1);
}
END_TEST

START_TEST(abandoned_steps_are_in_doubt)
{
    struct kedge_rec rec;

    begin(3, none);
    takes(0, RUN, 1, 0);
    takes(1, RUN, 1, 0);
    kedge_progress_give_back(p, 0);
    ck_assert_int_eq(kedge_progress_abandon(p, &rec), 1);
    append(&rec);
    ck_assert_int_eq(kedge_progress_in_doubt(p, 0), 0);
    ck_assert_int_eq(kedge_progress_in_doubt(p, 1), 1);
    ck_assert_int_eq(kedge_progress_abandon(p, &rec), 0);
}
END_TEST

START_TEST(crash_loop_goes_back_and_then_is_stuck)
{
    begin(3, none);
    defs[1].functions &= ~KEDGE_REACTOR_COMPENSATE;
    say(KEDGE_RECORD_DONE, 2);
    takes(0, RUN, 1, 0);
    takes(1, RUN, 1, 0);
    recover();
    say(KEDGE_RECORD_CRASH_LOOP, KEDGE_NO_STEP);
    ck_assert_int_eq(kedge_progress_crashed(p), 1);
    PHASE(BACK);
    takes(0, COMPENSATE, 1, 1);
    say(KEDGE_RECORD_COMPENSATED, 0);
    STATE(1, DROPPED);
    takes(2, UNDO, 1, 0);
    recover();
    say(KEDGE_RECORD_CRASH_LOOP, KEDGE_NO_STEP);
    takes_nothing();
    ends(KEDGE_STUCK, KEDGE_NO_STEP, "crash loop");
}
END_TEST

/* Who makes such a run due or takes it tells of no death: the record does. */
START_TEST(what_a_crash_loop_left_is_in_doubt)
{
    struct kedge_rec rec;

    begin(3, none);
    defs[2].functions &= ~KEDGE_REACTOR_COMPENSATE;
    say(KEDGE_RECORD_DONE, 0);
    say(KEDGE_RECORD_DONE, 1);
    say(KEDGE_RECORD_CRASH_LOOP, KEDGE_NO_STEP);
    ck_assert_int_eq(kedge_progress_doubt(p, now, 0, &rec), 1); /* 2, which ran; 1 is not undone */
    append(&rec);
    takes(1, UNDO, 1, 0);
    kedge_progress_give_back(p, 1);
    say(KEDGE_RECORD_CRASH_LOOP, KEDGE_NO_STEP);
    ends(KEDGE_STUCK, KEDGE_NO_STEP, "crash loop");
    asked(KEDGE_VERB_RESUME, KEDGE_NO_STEP);
    takes(1, UNDO, 1, 1);
    say(KEDGE_RECORD_UNDONE, 1);
    takes(0, UNDO, 1, 0);
    kedge_progress_give_back(p, 0);
    rec = rec_of(KEDGE_RECORD_ASIDE, KEDGE_NO_STEP);
    rec.number = 1; /* one died of it before */
    append(&rec);
    asked(KEDGE_VERB_RESUME, KEDGE_NO_STEP);
    takes(0, UNDO, 1, 1);
}
END_TEST

START_TEST(what_kills_whoever_takes_it_back_is_left)
{
    begin(3, chained);
    for (uint32_t i = 0; i < 2; i++)
        say(KEDGE_RECORD_DONE, i);
    takes(2, RUN, 1, 0);
    recover();
    say(KEDGE_RECORD_CRASH_LOOP, KEDGE_NO_STEP);
    takes(2, COMPENSATE, 1, 1);
    recover();
    say(KEDGE_RECORD_CRASH_LOOP, KEDGE_NO_STEP);
    ends(KEDGE_STUCK, KEDGE_NO_STEP, "crash loop");
    asked_in_vain(KEDGE_VERB_SKIP_UNDO, 1);
    asked(KEDGE_VERB_SKIP_UNDO, 2);
    STATE(2, LEFT);
    takes(1, UNDO, 1, 0);
    recover();
    say(KEDGE_RECORD_CRASH_LOOP, KEDGE_NO_STEP);
    ends(KEDGE_STUCK, KEDGE_NO_STEP, "crash loop");
    asked(KEDGE_VERB_MARK_UNDONE, KEDGE_NO_STEP);
    STATE(1, UNDONE);
    takes(0, UNDO, 1, 0);
    say(KEDGE_RECORD_UNDONE, 0);
    ends(KEDGE_FAILED, KEDGE_NO_STEP, "crash loop");
}
END_TEST

START_TEST(contradictions_are_refused)
{
    struct kedge_rec rec = rec_of(KEDGE_RECORD_DONE, 0);

    define(3);
    finish_definition(chained);
    p = kedge_progress_new(host, &reactor);
    refused(KEDGE_RECORD_DONE, 0); /* nothing has begun */
    say(KEDGE_RECORD_BEGIN, KEDGE_NO_STEP);
    refused(KEDGE_RECORD_BEGIN, KEDGE_NO_STEP);
    refused(KEDGE_RECORD_DONE, 1);
    refused(KEDGE_RECORD_DONE, 3);
    refused(KEDGE_RECORD_DONE, KEDGE_NO_STEP);
    refused(KEDGE_RECORD_UNDONE, 0);
    ck_assert_int_eq(kedge_progress_apply(p, 3, now, &rec, 10, &err), KEDGE_ERR_CORRUPT);
    ck_assert_int_eq(kedge_progress_apply(p, 1, now, &rec, 10, &err), KEDGE_ERR_CORRUPT);
    rec = rec_of(KEDGE_RECORD_END, KEDGE_NO_STEP);
    rec.status = KEDGE_COMPLETED;
    ck_assert_int_eq(try_append(&rec), KEDGE_ERR_CORRUPT);
    rec = rec_of(KEDGE_RECORD_DOUBT, KEDGE_NO_STEP);
    rec.steps = (struct kedge_bytes){ "\1", 1 };
    ck_assert_int_eq(try_append(&rec), KEDGE_ERR_CORRUPT);
    say(KEDGE_RECORD_DONE, 0);
    refused(KEDGE_RECORD_DONE, 0);
    refused(KEDGE_RECORD_SKIPPED, 0);
    delayed(1, 0, 2, 0);
    rec = rec_of(KEDGE_RECORD_DELAYED, 1);
    rec.failures = 1;
    ck_assert_int_eq(try_append(&rec), KEDGE_ERR_CORRUPT);
    say(KEDGE_RECORD_FAILED, 1);
    refused(KEDGE_RECORD_COMPENSATED, 0);
    refused(KEDGE_RECORD_UNDONE, 1);
    say(KEDGE_RECORD_COMPENSATED, 1);
    refused(KEDGE_RECORD_COMPENSATED, 1);
    refused(KEDGE_RECORD_DONE, 2);
}
END_TEST

START_TEST(values_are_held_while_they_are_needed)
{
    struct kedge_buf *buf;
    struct kedge_bytes value;

    begin(3, chained);
    buf = kedge_buf_new(host, 4);
    value = (struct kedge_bytes){ buf->data, 4 };
    say(KEDGE_RECORD_DONE, 0);
    kedge_progress_value_set(p, 0, buf, value);
    ck_assert_uint_eq(buf->refs, 2);
    ck_assert_ptr_eq(kedge_progress_value(p, 0)->data, buf->data);
    kedge_progress_value_set(p, 0, buf, value);
    ck_assert_uint_eq(buf->refs, 2);
    say(KEDGE_RECORD_DONE, 1);
    ck_assert_uint_eq(buf->refs, 1);
    ck_assert_ptr_null(kedge_progress_value(p, 0));
    kedge_progress_value_set(p, 2, buf, value); /* nobody comes after it */
    ck_assert_uint_eq(buf->refs, 1);
    kedge_progress_value_set(p, 1, buf, value);
    kedge_progress_free(p);
    p = NULL;
    ck_assert_uint_eq(buf->refs, 1);
    kedge_buf_drop(host, buf);
}
END_TEST

/* ------------------------------------------------------------------ snapshots */

START_TEST(a_damaged_snapshot_is_refused)
{
    struct line *line;

    begin(4, none);
    delayed(0, 0, 3, 50);
    say(KEDGE_RECORD_DONE, 1);
    say(KEDGE_RECORD_HALTED, 2);
    say(KEDGE_RECORD_FAILED, 3);
    delayed(3, COMPENSATE, 1, 9);
    line = &journal[n_records];
    for (size_t bit = 0; bit <= 8 * line->snapshot_len; bit++) {
        struct kedge_progress *q = kedge_progress_new(host, &reactor);
        size_t len = bit < 8 * line->snapshot_len ? line->snapshot_len : 0;

        line->snapshot[bit / 8 < len ? bit / 8 : 0] ^= (unsigned char)(len > 0 ? 1u << bit % 8 : 0);
        ck_assert_int_eq(kedge_progress_load(q, (struct kedge_bytes){ line->snapshot, len }, &err),
                         len > 0 ? KEDGE_ERR_CORRUPT : KEDGE_OK);
        line->snapshot[bit / 8 < len ? bit / 8 : 0] ^= (unsigned char)(len > 0 ? 1u << bit % 8 : 0);
        kedge_progress_free(q);
    }
    for (size_t len = 1; len < line->snapshot_len; len++) {
        struct kedge_progress *q = kedge_progress_new(host, &reactor);

        ck_assert_int_eq(kedge_progress_load(q, (struct kedge_bytes){ line->snapshot, len }, &err),
                         KEDGE_ERR_CORRUPT);
        kedge_progress_free(q);
    }
}
END_TEST

/* With a checksum that fits: anything may be refused, nothing may break. */
START_TEST(a_forged_snapshot_breaks_nothing)
{
    struct line *line;
    uint32_t random = 1;

    begin(4, none);
    delayed(0, 0, 3, 50);
    say(KEDGE_RECORD_DONE, 1);
    say(KEDGE_RECORD_FAILED, 3);
    delayed(3, COMPENSATE, 1, 9);
    line = &journal[n_records];
    for (unsigned round = 0; round < 20000; round++) {
        struct kedge_progress *q = kedge_progress_new(host, &reactor);
        unsigned char copy[256];
        size_t len = line->snapshot_len - 4;
        struct kedge_action a;
        uint32_t sum;

        memcpy(copy, line->snapshot, len);
        for (unsigned i = 0; i <= round % 3; i++) {
            random = random * 1664525u + 1013904223u;
            copy[(random >> 8) % len] = (unsigned char)(random >> 24);
        }
        sum = kedge_record_sum((struct kedge_bytes){ copy, len });
        for (unsigned i = 0; i < 4; i++)
            copy[len++] = (unsigned char)(sum >> (8 * i));
        if (kedge_progress_load(q, (struct kedge_bytes){ copy, len }, &err) == KEDGE_OK) {
            struct kedge_rec rec;

            (void)kedge_progress_doubt(q, now, 1, &rec);
            while (kedge_progress_take(q, INT64_MAX, &a))
                ck_assert_uint_lt(a.step, 4);
            (void)kedge_progress_end(q, &rec);
            (void)kedge_progress_snapshot_size(q);
        }
        kedge_progress_free(q);
    }
}
END_TEST

/* ------------------------------------------------------------------ by chance */

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((seed >> 33) % n);
}

static unsigned char graph[MAX_STEPS][MAX_STEPS];
static uint32_t rank[MAX_STEPS];

static int by_chance(uint32_t i, uint32_t j)
{
    return graph[i][j];
}

/* The table is in no order of the graph. */
static void define_by_chance(void)
{
    uint32_t n = 1 + below(MAX_STEPS);
    uint32_t density = 1 + below(100);

    define(n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = below(i + 1);

        rank[i] = rank[j];
        rank[j] = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++)
            graph[i][j] = rank[j] < rank[i] && below(density) < 5;
        defs[i].functions = KEDGE_REACTOR_RUN | (below(3) ? KEDGE_REACTOR_UNDO : 0) |
                            (below(3) ? KEDGE_REACTOR_COMPENSATE : 0);
    }
    reactor.result = below(n);
    finish_definition(by_chance);
}

static struct kedge_action running[MAX_STEPS];
static uint32_t n_running;

/* All that Q would start now, by step; 0: nothing of it. */
static void actions_of(struct kedge_progress *q, uint32_t *out, int give_back)
{
    struct kedge_action a;
    uint32_t taken[MAX_STEPS];
    uint32_t n = 0;

    while (kedge_progress_take(q, now, &a)) {
        ck_assert_uint_eq(out[a.step], 0);
        out[a.step] = a.action | a.in_doubt << 2 | a.attempt << 3;
        taken[n++] = a.step;
    }
    while (give_back && n > 0)
        kedge_progress_give_back(q, taken[--n]);
}

static void compare_actions(struct kedge_progress *q)
{
    uint32_t ours[MAX_STEPS] = { 0 };
    uint32_t theirs[MAX_STEPS] = { 0 };

    if (kedge_progress_phase(p) == KEDGE_PHASE_STOPPING)
        return; /* to Q nothing is running any more */
    if (kedge_progress_paused(p) && n_running > 0)
        return;
    /* What runs in HALTING is not offered again. */
    for (uint32_t i = 0; i < n_running && kedge_progress_phase(p) != KEDGE_PHASE_HALTING; i++)
        ours[running[i].step] =
            running[i].action | running[i].in_doubt << 2 | running[i].attempt << 3;
    actions_of(p, ours, 1);
    actions_of(q, theirs, 0);
    ck_assert_mem_eq(ours, theirs, sizeof ours);
}

static void compare_ends(struct kedge_progress *q)
{
    struct kedge_rec ours;
    struct kedge_rec theirs;

    ck_assert_int_eq(kedge_progress_phase(p), kedge_progress_phase(q));
    ck_assert_int_eq(kedge_progress_ready(p, now), kedge_progress_ready(q, now));
    if (!kedge_progress_ready(p, now))
        ck_assert_int_eq(kedge_progress_next_time(p), kedge_progress_next_time(q));
    ck_assert_int_eq(kedge_progress_end(p, &ours), kedge_progress_end(q, &theirs));
    if (!kedge_progress_end(p, &ours))
        return;
    ck_assert_uint_eq(ours.status, theirs.status);
    ck_assert_uint_eq(ours.step, theirs.step);
    ck_assert_uint_eq(ours.number, theirs.number);
    ck_assert_uint_eq(ours.text.len, theirs.text.len);
    if (ours.text.len > 0)
        ck_assert_mem_eq(ours.text.data, theirs.text.data, ours.text.len);
}

static void compare(uint64_t from)
{
    struct kedge_progress *q = rebuild_all(from);
    unsigned char copy[2048];
    const struct line *line = &journal[n_records];

    for (uint32_t i = 0; i < reactor.n_steps; i++) {
        ck_assert_uint_eq(kedge_progress_state(p, i), kedge_progress_state(q, i));
        ck_assert_uint_eq(kedge_progress_failures(p, i), kedge_progress_failures(q, i));
        ck_assert_int_eq(kedge_progress_until(p, i), kedge_progress_until(q, i));
        ck_assert_int_eq(kedge_progress_in_doubt(p, i), kedge_progress_in_doubt(q, i));
        ck_assert_uint_eq(kedge_progress_value_record(p, i), kedge_progress_value_record(q, i));
    }
    ck_assert_uint_eq(kedge_progress_position(p), kedge_progress_position(q));
    ck_assert_uint_eq(kedge_progress_snapshot_size(q), line->snapshot_len);
    ck_assert_uint_eq(kedge_progress_snapshot(q, copy), line->snapshot_len);
    ck_assert_mem_eq(copy, line->snapshot, line->snapshot_len);
    if (n_running == 0)
        compare_ends(q);
    compare_actions(q);
    kedge_progress_free(q);
}

/* Does something that comes after J, or after what comes after it, count on J, its undo having
   failed? */
static int is_counted_on(uint32_t j)
{
    for (uint32_t k = 0; k < reactor.n_steps; k++) {
        if (graph[k][j] &&
            (kedge_progress_state(p, k) == KEDGE_STEP_UNDO_FAILED || is_counted_on(k)))
            return 1;
    }
    return 0;
}

/* What the rules say, from the journal alone. */
static void check_start(const struct kedge_action *a)
{
    uint32_t last = KEDGE_NO_STEP;
    uint64_t newest = 0;

    if (a->action == RUN) {
        for (uint32_t j = 0; j < reactor.n_steps; j++) {
            uint32_t state = kedge_progress_state(p, j);

            ck_assert(!graph[a->step][j] || state == KEDGE_STEP_DONE ||
                      state == KEDGE_STEP_SKIPPED);
        }
        return;
    }
    ck_assert_uint_eq(n_running, 0);
    for (uint32_t j = reactor.n_steps; j-- > 0;) {
        uint32_t state = kedge_progress_state(p, j);

        if ((defs[j].functions & KEDGE_REACTOR_COMPENSATE) != 0 && state == KEDGE_STEP_FAILED)
            last = j;
        if ((defs[j].functions & KEDGE_REACTOR_UNDO) != 0 && state == KEDGE_STEP_DONE &&
            !is_counted_on(j) && kedge_progress_value_record(p, j) > newest)
            newest = kedge_progress_value_record(p, j);
    }
    if (a->action == COMPENSATE)
        ck_assert_uint_le(a->step, last);
    else if (kedge_progress_state(p, a->step) == KEDGE_STEP_DONE)
        ck_assert_uint_eq(kedge_progress_value_record(p, a->step), newest);
}

static struct kedge_rec outcome_of(const struct kedge_action *a, uint32_t trouble)
{
    uint32_t dice = below(100);
    struct kedge_rec rec;

    if (a->action == RUN) {
        rec = rec_of(KEDGE_RECORD_DONE, a->step);
        if (dice < trouble)
            rec = rec_of(below(4) ? KEDGE_RECORD_FAILED : KEDGE_RECORD_HALTED, a->step);
        else if (dice < 20)
            rec = rec_of(KEDGE_RECORD_SKIPPED, a->step);
    } else {
        rec = rec_of(a->action == UNDO ? KEDGE_RECORD_UNDONE : KEDGE_RECORD_COMPENSATED, a->step);
        if (dice < trouble)
            rec = rec_of(KEDGE_RECORD_UNDO_FAILED, a->step);
    }
    if (dice >= 80) {
        rec = rec_of(KEDGE_RECORD_DELAYED, a->step);
        rec.action = a->action;
        rec.failures = a->attempt - below(2);
        rec.delay_us = below(3) * 10;
    } else if (rec.kind == KEDGE_RECORD_FAILED) {
        rec.failures = a->attempt;
    }
    return rec;
}

static void crash(void)
{
    recover();
    n_running = 0;
    if (below(8) == 0)
        say(KEDGE_RECORD_CRASH_LOOP, KEDGE_NO_STEP);
}

/* Somebody asks for something.  Answers whether it was done. */
static int ask(uint32_t verb)
{
    struct kedge_rec rec = request_of(verb, KEDGE_NO_STEP);

    if (verb >= KEDGE_VERB_RETRY_UNDO && verb <= KEDGE_VERB_MARK_UNDONE && below(2))
        rec.step = below(reactor.n_steps);
    if (kedge_progress_refuses(p, verb, rec.step) != NULL)
        return 0;
    append(&rec);
    return 1;
}

/* At its end: more requests, until one leads on or there were enough. */
static int asked_for_more(uint32_t *most)
{
    for (; *most > 0; --*most) {
        if (ask(KEDGE_VERB_CANCEL + below(KEDGE_VERB_RETRY_NEW - KEDGE_VERB_CANCEL)))
            return 1;
    }
    return 0;
}

static void turn(uint32_t trouble)
{
    struct kedge_action a;
    uint32_t i;

    now += below(8);
    while (below(3) && kedge_progress_take(p, now, &a)) {
        check_start(&a);
        running[n_running++] = a;
    }
    ck_assert_uint_eq(kedge_progress_running(p), n_running);
    if (below(40) == 0) {
        (void)ask(below(2) ? KEDGE_VERB_CANCEL : KEDGE_VERB_PAUSE);
    } else if (kedge_progress_paused(p) && n_running == 0) {
        (void)ask(below(4) ? KEDGE_VERB_RESUME : KEDGE_VERB_CANCEL);
    } else if (below(25) == 0) {
        crash();
    } else if (n_running > 0) {
        struct kedge_rec rec;

        i = below(n_running);
        a = running[i];
        running[i] = running[--n_running];
        if (below(10) == 0) {
            kedge_progress_give_back(p, a.step);
            return;
        }
        rec = outcome_of(&a, trouble);
        append(&rec);
    }
}

static void one_run(uint64_t with)
{
    uint32_t trouble;
    uint32_t most;
    struct kedge_rec rec;

    seed = with;
    n_running = 0;
    now = 1000;
    define_by_chance();
    trouble = below(12);
    most = below(8);
    p = kedge_progress_new(host, &reactor);
    say(KEDGE_RECORD_BEGIN, KEDGE_NO_STEP);
    for (uint64_t last = 0;
         kedge_progress_phase(p) != KEDGE_PHASE_ENDED || asked_for_more(&most);) {
        if (n_running == 0 && kedge_progress_end(p, &rec))
            append(&rec);
        else
            turn(trouble);
        if (n_records != last) {
            compare(0);
            compare(1 + below((uint32_t)n_records));
        }
        last = n_records;
        ck_assert_uint_lt(n_records, MAX_RECORDS);
    }
    compare(0);
    forget();
}

START_TEST(a_rebuilt_run_stands_where_it_stood)
{
    for (uint64_t with = 1; with <= 1500; with++) {
        if (with % 500 == 1)
            printf("# seeds from %llu on\n", (unsigned long long)with);
        one_run(with);
    }
}
END_TEST

/* --------------------------------------------------------------------- at size */

#define LONG 10000u

static void define_chain(void)
{
    define(LONG);
    for (uint32_t i = 0; i < LONG; i++) {
        edges[2 * i] = i - 1;
        edges[2 * i + 1] = i + 1;
        defs[i].after = &edges[2 * i];
        defs[i].before = &edges[2 * i + 1];
        defs[i].n_after = i > 0;
        defs[i].n_before = i + 1 < LONG;
    }
    copy_graph();
}

START_TEST(a_long_chain_is_no_trouble)
{
    struct kedge_action a;
    struct kedge_rec rec = rec_of(KEDGE_RECORD_BEGIN, KEDGE_NO_STEP);
    uint64_t number = 1;
    clock_t start = clock();
    unsigned char *snapshot;
    size_t len;
    unsigned wanted = 0;

    define_chain();
    p = kedge_progress_new(host, &reactor);
    ck_assert_int_eq(kedge_progress_apply(p, number++, now, &rec, 100, &err), KEDGE_OK);
    while (kedge_progress_take(p, now, &a)) {
        rec = rec_of(KEDGE_RECORD_DONE, a.step);
        ck_assert_int_eq(kedge_progress_apply(p, number++, now, &rec, 400, &err), KEDGE_OK);
        if (kedge_progress_wants_snapshot(p) && a.step + 1 < LONG) {
            wanted++;
            len = kedge_progress_snapshot_size(p);
            snapshot = malloc(len);
            ck_assert_uint_eq(kedge_progress_snapshot(p, snapshot), len);
            ck_assert_uint_le(len, 4 * (a.step + 1) + 30);
            ck_assert_int_eq(kedge_progress_wants_snapshot(p), 0);
            free(snapshot);
        }
    }
    ck_assert_uint_ge(wanted, 10);
    len = kedge_progress_snapshot_size(p);
    snapshot = malloc(len);
    ck_assert_uint_eq(kedge_progress_snapshot(p, snapshot), len);
    kedge_progress_free(p);
    p = kedge_progress_new(host, &reactor);
    ck_assert_int_eq(kedge_progress_load(p, (struct kedge_bytes){ snapshot, len }, &err), KEDGE_OK);
    free(snapshot);
    ck_assert_int_eq(kedge_progress_end(p, &rec), 1);
    ck_assert_uint_eq(rec.status, KEDGE_COMPLETED);
    printf("# %u steps: %.1f ms, snapshot of %zu bytes, %u on the way\n", LONG,
           1000.0 * (double)(clock() - start) / CLOCKS_PER_SEC, len, wanted);
}
END_TEST

START_TEST(a_long_way_back_is_no_trouble)
{
    struct kedge_action a;
    struct kedge_rec rec = rec_of(KEDGE_RECORD_BEGIN, KEDGE_NO_STEP);
    uint64_t number = 1;
    uint32_t undone = 0;
    clock_t start = clock();

    define_chain();
    p = kedge_progress_new(host, &reactor);
    ck_assert_int_eq(kedge_progress_apply(p, number++, now, &rec, 100, &err), KEDGE_OK);
    for (uint32_t i = 0; i < LONG; i++) {
        rec = rec_of(i + 1 < LONG ? KEDGE_RECORD_DONE : KEDGE_RECORD_FAILED, i);
        ck_assert_int_eq(kedge_progress_apply(p, number++, now, &rec, 100, &err), KEDGE_OK);
    }
    while (kedge_progress_take(p, now, &a)) {
        ck_assert_uint_eq(a.step, LONG - 1 - undone++);
        rec = rec_of(a.action == UNDO ? KEDGE_RECORD_UNDONE : KEDGE_RECORD_COMPENSATED, a.step);
        ck_assert_int_eq(kedge_progress_apply(p, number++, now, &rec, 100, &err), KEDGE_OK);
        (void)kedge_progress_wants_snapshot(p);
        (void)kedge_progress_ready(p, now);
        (void)kedge_progress_end(p, &rec);
    }
    ck_assert_uint_eq(undone, LONG);
    ck_assert_int_eq(kedge_progress_end(p, &rec), 1);
    printf("# %u steps back: %.1f ms\n", LONG, 1000.0 * (double)(clock() - start) / CLOCKS_PER_SEC);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("progress");
    TCase *tc = tcase_create("progress");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, all_done);
    tcase_add_test(tc, a_skipped_result_is_none);
    tcase_add_test(tc, delays);
    tcase_add_test(tc, failure_awaits_those_running_and_goes_back);
    tcase_add_test(tc, what_cannot_be_undone_is_stuck);
    tcase_add_test(tc, what_others_count_on_is_not_undone);
    tcase_add_test(tc, cancelled_by_somebody);
    tcase_add_test(tc, what_was_delayed_is_compensated);
    tcase_add_test(tc, paused_and_resumed);
    tcase_add_test(tc, undone_after_its_end);
    tcase_add_test(tc, taken_up_again_after_a_failure);
    tcase_add_test(tc, its_deadline_passes);
    tcase_add_test(tc, set_aside_and_given_up);
    tcase_add_test(tc, what_was_set_aside_has_nothing_to_say);
    tcase_add_test(tc, what_ran_out_of_time_is_in_doubt);
    tcase_add_test(tc, the_first_failure_in_the_table_counts);
    tcase_add_test(tc, halt_awaits_those_running);
    tcase_add_test(tc, failure_beats_halt);
    tcase_add_test(tc, steps_in_doubt_run_again);
    tcase_add_test(tc, abandoned_steps_are_in_doubt);
    tcase_add_test(tc, crash_loop_goes_back_and_then_is_stuck);
    tcase_add_test(tc, what_a_crash_loop_left_is_in_doubt);
    tcase_add_test(tc, what_kills_whoever_takes_it_back_is_left);
    tcase_add_test(tc, contradictions_are_refused);
    tcase_add_test(tc, values_are_held_while_they_are_needed);
    tcase_add_test(tc, a_damaged_snapshot_is_refused);
    tcase_add_test(tc, a_forged_snapshot_breaks_nothing);
    tcase_add_test(tc, a_rebuilt_run_stands_where_it_stood);
    tcase_add_test(tc, a_long_chain_is_no_trouble);
    tcase_add_test(tc, a_long_way_back_is_no_trouble);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
