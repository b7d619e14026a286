/* requests_stuck.c - runs that are stuck, crash loops, journals that cannot be read, unserved runs
 */
#include <config.h>

#include <syslog.h>

#include "requests.h"
#include "src/record.h"

/* --------------------------------------------------------------------- an undo fails */

/* d fails; then c and f are undone, b cannot be, and so a is not. */
static const char *stuck_in_b(void)
{
    const char *id;

    acts_reset();
    atomic_store(&ACT('d')->hold, 1);
    atomic_store(&ACT('d')->fails, 1);
    atomic_store(&ACT('b')->undo_fails, 1);
    id = begin("wide", 0);
    AWAIT(strstr(story(id), "done:f") != NULL && atomic_load(&ACT('d')->began) == 1);
    atomic_store(&ACT('d')->hold, 0);
    if (wait_for(id) != KEDGE_STUCK)
        bail("%s is not stuck: %s", id, story(id));
    return id;
}

static bool undone_once(const char *id, const char *steps)
{
    const char *all = effects(id);

    for (; *steps != '\0'; steps++) {
        char what[3] = { '-', *steps, '\0' };
        const char *found = strstr(all, what);

        if (found == NULL || strstr(found + 1, what) != NULL) {
            note("%s: %s", id, all);
            return false;
        }
    }
    return true;
}

static bool not_undone(const char *id, char step)
{
    char what[3] = { '-', step, '\0' };

    return strstr(effects(id), what) == NULL;
}

static void refused_when_stuck(const char *id)
{
    asked(id, KEDGE_VERB_CANCEL, KEDGE_STALE, KEDGE_STUCK, 0, "a stuck run");
    asked(id, KEDGE_VERB_PAUSE, KEDGE_STALE, KEDGE_STUCK, 0, "a stuck run");
    asked(id, KEDGE_VERB_RESUME, KEDGE_STALE, KEDGE_STUCK, 0, "a stuck run");
    asked(id, KEDGE_VERB_UNDO, KEDGE_STALE, KEDGE_STUCK, 0, "a stuck run");
    asked(id, KEDGE_VERB_RETRY, KEDGE_STALE, KEDGE_STUCK, 0, "a stuck run");
    ok(ask_step(id, KEDGE_VERB_RETRY_UNDO, "z") == KEDGE_ERR_INVALID &&
           strstr(err.msg, "no step 'z'") != NULL,
       "retry-undo of a step there is not: %s", err.msg);
    ok(ask_step(id, KEDGE_VERB_RETRY_UNDO, "c") == KEDGE_STALE, "of one that is not stuck");
}

static void retry_undo(void)
{
    const char *id = stuck_in_b();
    struct kedge_run_info *info = info_of(id);

    ok(ended_with(id, KEDGE_STUCK, "undo of b failed", "b"), "an undo that fails: stuck in it");
    ok(undone_once(id, "bcf") && not_undone(id, 'a'),
       "what does not depend on it is undone, what it came after is not");
    ok(info->expires == 0, "a stuck run never expires");
    kedge_run_info_free(info);
    refused_when_stuck(id);
    atomic_store(&ACT('b')->undo_fails, 1);
    ok(ask_step(id, KEDGE_VERB_RETRY_UNDO, "b") == KEDGE_OK && out.status == KEDGE_ROLLING_BACK,
       "retry-undo of that step");
    ok(wait_for(id) == KEDGE_STUCK && ended_with(id, KEDGE_STUCK, "undo of b failed", "b") &&
           not_undone(id, 'a'),
       "... which fails again: stuck again");
    ok(ask(id, KEDGE_VERB_RETRY_UNDO) == KEDGE_OK, "retry-undo of all");
    ok(wait_for(id) == KEDGE_FAILED && ended_with(id, KEDGE_FAILED, "d failed", "d") &&
           undone_once(id, "acf") && keys_of(id, '-', 'b') == 1,
       "... goes on, and ends as it would have, under the same key");
    asked(id, KEDGE_VERB_RETRY_UNDO, KEDGE_STALE, KEDGE_FAILED, 0, "a run no longer stuck");
}

static void skip_and_mark(uint32_t verb, const char *step, uint32_t state)
{
    const char *id = stuck_in_b();

    (void)state;
    ok(ask_step(id, verb, step) == KEDGE_OK && out.status == KEDGE_ROLLING_BACK, "%s of %s",
       kedge_verb_text(verb), step != NULL ? step : "all");
    ok(wait_for(id) == KEDGE_FAILED && undone_once(id, "abcf"),
       "... goes on with what it came after, without trying again");
    ok(ended_with(id, KEDGE_FAILED, "d failed", "d"), "... and ends as it would have");
    asked(id, verb, KEDGE_STALE, KEDGE_FAILED, 0, "the same again");
}

static int find_state(void *ctx, const struct kedge_step_info *step)
{
    uint32_t *states = ctx;

    states[step->index] = step->state;
    return 0;
}

static void abandon(void)
{
    const char *id = stuck_in_b();
    struct kedge_run_info *info;
    uint32_t states[6] = { 0 };

    must(kedge_run_steps(store, kedge_text(id), find_state, states, PATIENCE, &err), "steps");
    ok(states[0] == KEDGE_STEP_DONE && states[1] == KEDGE_STEP_UNDO_FAILED &&
           states[2] == KEDGE_STEP_UNDONE && states[3] == KEDGE_STEP_COMPENSATED &&
           states[4] == KEDGE_STEP_DROPPED && states[5] == KEDGE_STEP_UNDONE,
       "the steps of a stuck run say how they stand");
    asked(id, KEDGE_VERB_ABANDON, KEDGE_OK, KEDGE_ABORTED, 0, "a stuck run");
    asked(id, KEDGE_VERB_ABANDON, KEDGE_EXISTS, KEDGE_ABORTED, 0, "the same again");
    asked(id, KEDGE_VERB_RETRY_UNDO, KEDGE_STALE, KEDGE_ABORTED, 0, "an abandoned run");
    asked(id, KEDGE_VERB_RETRY, KEDGE_STALE, KEDGE_ABORTED, 0, "an abandoned run");
    ok(ended_with(id, KEDGE_ABORTED, "as i say", "") && not_undone(id, 'a'), "... undoes no more");
    info = info_of(id);
    ok(info->expires == 0, "an aborted run never expires");
    kedge_run_info_free(info);
}

/* Two of them: what remains stuck says why. */
static void two_stuck(void)
{
    const char *id;

    acts_reset();
    atomic_store(&ACT('d')->hold, 1);
    atomic_store(&ACT('d')->fails, 1);
    atomic_store(&ACT('b')->undo_fails, 1);
    atomic_store(&ACT('c')->undo_fails, 1);
    id = begin("wide", 0);
    AWAIT(strstr(story(id), "done:f") != NULL && atomic_load(&ACT('d')->began) == 1);
    atomic_store(&ACT('d')->hold, 0);
    ok(wait_for(id) == KEDGE_STUCK && ended_with(id, KEDGE_STUCK, "undo of b failed", "b"),
       "two undos fail: the first in the table is told");
    ok(ask_step(id, KEDGE_VERB_SKIP_UNDO, "b") == KEDGE_OK, "skip-undo of one");
    ok(wait_for(id) == KEDGE_STUCK && ended_with(id, KEDGE_STUCK, "undo of c failed", "c") &&
           not_undone(id, 'a'),
       "... leaves it stuck in the other, with its reason");
    ok(ask(id, KEDGE_VERB_MARK_UNDONE) == KEDGE_OK && wait_for(id) == KEDGE_FAILED &&
           undone_once(id, "abcf"),
       "mark-undone of that one ends it");
}

/* A compensate that fails keeps what its step came after from being undone. */
static void compensate_fails(void)
{
    const char *id;

    acts_reset();
    atomic_store(&ACT('b')->fails, 1);
    atomic_store(&ACT('b')->compensate_fails, 1);
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_STUCK && ended_with(id, KEDGE_STUCK, "compensate of b failed", "b") &&
           did(id, "+a +b ?b"),
       "a compensate that fails: stuck in it");
    ok(ask(id, KEDGE_VERB_RETRY_UNDO) == KEDGE_OK && wait_for(id) == KEDGE_FAILED &&
           did(id, "+a +b ?b ?b -a"),
       "retry-undo tries it again");
    asked(id, KEDGE_VERB_RETRY, KEDGE_OK, KEDGE_RUNNING, 0, "it");
    ok(wait_for(id) == KEDGE_COMPLETED, "... and it can be retried");
}

void cases_stuck(void)
{
    struct crew crew;

    hire(&crew, NULL);
    retry_undo();
    skip_and_mark(KEDGE_VERB_SKIP_UNDO, "b", KEDGE_STEP_LEFT);
    skip_and_mark(KEDGE_VERB_SKIP_UNDO, NULL, KEDGE_STEP_LEFT);
    skip_and_mark(KEDGE_VERB_MARK_UNDONE, "b", KEDGE_STEP_UNDONE);
    skip_and_mark(KEDGE_VERB_MARK_UNDONE, NULL, KEDGE_STEP_UNDONE);
    abandon();
    two_stuck();
    compensate_fails();
    dismiss(&crew);
}

/* ----------------------------------------------------------------------- crash loops */

void cases_loops(void)
{
    const char *id = begin("pool", 0);
    struct crew crew;

    crash(id, 'b', false, 6); /* a worker's default: 5 recoveries, and this is the sixth */
    ok(status_of(id) == KEDGE_ROLLING_BACK && told(id, "begin done:a crash-loop"),
       "a crash loop turns a run back");
    asked(id, KEDGE_VERB_CANCEL, KEDGE_STALE, KEDGE_ROLLING_BACK, 0, "it");
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_FAILED && did(id, "+a +b +b! +b! +b! +b! +b! ?b! -a") &&
           ended_with(id, KEDGE_FAILED, "crash loop", ""),
       "... and what was in flight is compensated in doubt");
    asked(id, KEDGE_VERB_RETRY, KEDGE_OK, KEDGE_RUNNING, 0, "it");
    ok(wait_for(id) == KEDGE_COMPLETED, "... and it can be retried");
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_COMPLETED, "another");
    dismiss(&crew);
    asked(id, KEDGE_VERB_UNDO, KEDGE_OK, KEDGE_ROLLING_BACK, 0, "it, which kills its workers");
    crash(id, 'c', true, 6);
    ok(ended_with(id, KEDGE_STUCK, "crash loop", ""), "a crash loop on the way back is stuck");
    ok(ask_step(id, KEDGE_VERB_SKIP_UNDO, "b") == KEDGE_STALE, "skip-undo of a step beside it");
    asked(id, KEDGE_VERB_RESUME, KEDGE_OK, KEDGE_ROLLING_BACK, 0, "it");
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_CANCELLED && did(id, "+a +b +c -c -c! -c! -c! -c! -c! -c! -b -a"),
       "... and it goes on from there, what was in flight in doubt");
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_COMPLETED, "a third");
    dismiss(&crew);
    asked(id, KEDGE_VERB_UNDO, KEDGE_OK, KEDGE_ROLLING_BACK, 0, "it, which kills its workers");
    crash(id, 'c', true, 6);
    ok(ask_step(id, KEDGE_VERB_MARK_UNDONE, NULL) == KEDGE_OK,
       "somebody has undone by hand what kills");
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_CANCELLED && did(id, "+a +b +c -c -c! -c! -c! -c! -c! -b -a"),
       "... and the rest is taken back");
    dismiss(&crew);
}

/* ---------------------------------------------------------- what cannot be understood */

/* A sound record of another kind, or format: as a later kedge may write it. */
static size_t newer_record(unsigned char *to, unsigned char format, unsigned char kind)
{
    uint32_t sum;

    to[0] = format;
    to[1] = kind;
    sum = kedge_record_sum((struct kedge_bytes){ to, 2 });
    for (unsigned i = 0; i < 4; i++)
        to[2 + i] = (unsigned char)(sum >> (8 * i));
    return 6;
}

static int nothing(void *ctx, const struct kedge_step_info *step)
{
    (void)ctx;
    (void)step;
    return 0;
}

static bool contains(struct kedge_bytes bytes, const char *text)
{
    char buf[512];

    (void)snprintf(buf, sizeof buf, "%.*s", (int)bytes.len, (const char *)bytes.data);
    if (strstr(buf, text) != NULL)
        return true;
    note("'%s' does not say '%s'", buf, text);
    return false;
}

/* One run of three has BYTES as its second record. */
static void aside(const char *what, struct kedge_bytes bytes, int status, const char *why)
{
    const char *before = begin("pool", 0);
    const char *id = begin("pool", 0);
    const char *after = begin("pool", 0);
    struct kedge_run_info *info;
    struct crew crew;

    append_raw(id, bytes, 0);
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_STUCK, "%s: the run is stuck", what);
    ok(wait_for(before) == KEDGE_COMPLETED && wait_for(after) == KEDGE_COMPLETED,
       "... and the others go on");
    info = info_of(id);
    ok(contains(info->error, why) && contains(info->error, "record 2") && info->expires == 0,
       "... the reason says what is wrong, and where");
    kedge_run_info_free(info);
    ok(record_is(id, 2, bytes) && did(id, ""), "... its bytes are as they were");
    ok(kedge_run_steps(store, kedge_text(id), nothing, NULL, PATIENCE, &err) == status &&
           strstr(err.msg, why) != NULL,
       "... its steps: %s", err.msg);
    ok(ask(id, KEDGE_VERB_CANCEL) == status && ask(id, KEDGE_VERB_UNDO) == status &&
           ask(id, KEDGE_VERB_RETRY_UNDO) == status,
       "... verbs that need to understand it say that");
    asked(id, KEDGE_VERB_RESUME, KEDGE_OK, KEDGE_RUNNING, 0, "it");
    ok(wait_for(id) == KEDGE_STUCK && record_is(id, 2, bytes), "... and it is stuck again");
    asked(id, KEDGE_VERB_ABANDON, KEDGE_OK, KEDGE_ABORTED, 0, "it");
    asked(id, KEDGE_VERB_ABANDON, KEDGE_EXISTS, KEDGE_ABORTED, 0, "it, again");
    ok(ended_with(id, KEDGE_ABORTED, "as i say", "") && record_is(id, 2, bytes),
       "... ends it, and its bytes are kept");
    dismiss(&crew);
    acts_reset();
}

/* Sound records, and a run that is due all the same. */
static void ended_and_due(void)
{
    const struct kedge_rec cancel = { .kind = KEDGE_RECORD_REQUEST,
                                      .step = KEDGE_NO_STEP,
                                      .number = KEDGE_VERB_CANCEL };
    const struct kedge_rec end = { .kind = KEDGE_RECORD_END,
                                   .step = KEDGE_NO_STEP,
                                   .status = KEDGE_CANCELLED };
    const char *id = begin("pool", HOUR);
    struct kedge_run_info *info;
    struct crew crew;

    append(id, &cancel, HOUR);
    append(id, &end, 0);
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_STUCK && did(id, ""), "a run that is due after its end is stuck");
    info = info_of(id);
    ok(contains(info->error, "its journal says that it has ended"), "... and says why");
    kedge_run_info_free(info);
    asked(id, KEDGE_VERB_RESUME, KEDGE_OK, KEDGE_RUNNING, 0, "it");
    ok(wait_for(id) == KEDGE_STUCK, "... and it is stuck again");
    asked(id, KEDGE_VERB_ABANDON, KEDGE_OK, KEDGE_ABORTED, 0, "it");
    dismiss(&crew);
}

void cases_aside(void)
{
    unsigned char newer[6];
    unsigned char torn[] = { 1, 2, 3 };
    unsigned char flipped[6];
    struct kedge_bytes bytes = { newer, sizeof newer };

    acts_reset();
    (void)newer_record(newer, 1, 99);
    aside("a record of a newer kind", bytes, KEDGE_ERR_SCHEMA_NEW, "newer kedge: its kind 99");
    (void)newer_record(newer, 2, 2);
    aside("a record of a newer format", bytes, KEDGE_ERR_SCHEMA_NEW, "newer kedge: its version 2");
    (void)newer_record(flipped, 1, 2);
    flipped[1] ^= 4;
    bytes.data = flipped;
    aside("a record with a flipped bit", bytes, KEDGE_ERR_CORRUPT, "checksum");
    bytes.data = torn;
    bytes.len = sizeof torn;
    aside("a truncated record", bytes, KEDGE_ERR_CORRUPT, "too short");
    (void)newer_record(newer, 1, KEDGE_RECORD_END);
    bytes.data = newer;
    bytes.len = sizeof newer;
    aside("a record that contradicts the others", bytes, KEDGE_ERR_CORRUPT, "does not end here");
    ended_and_due();
}

/* ------------------------------------------------------------------ served, and by whom */

static int do_nothing(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, NULL, 0);
}

static const char *const after_one[] = { "one", NULL };

static int open_with(const struct kedge_step_def *steps, size_t n, uint32_t version,
                     struct crew *crew)
{
    struct kedge_reactor_def def = { sizeof def, "changing",    version, 0,   steps,
                                     n,          sizeof *steps, NULL,    NULL };
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactors[1];
    struct kedge_reactor *reactor;
    int rc;

    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    reactors[0] = reactor;
    options.reactors = reactors;
    options.n_reactors = 1;
    rc = kedge_worker_open(store, &options, &crew->worker, &err);
    kedge_reactor_free(reactor);
    return rc;
}

static void definitions(void)
{
    const struct kedge_step_def was[] = {
        { .name = "one", .run = do_nothing },
        { .name = "two", .run = do_nothing, .after = after_one }
    };
    struct kedge_step_def now[] = { { .name = "one", .run = do_nothing },
                                    { .name = "two", .run = do_nothing, .after = after_one },
                                    { .name = "three", .run = do_nothing } };
    struct crew crew;

    must(open_with(was, 2, 1, &crew), "worker");
    kedge_worker_close(crew.worker, 0);
    ok(open_with(now, 3, 1, &crew) == KEDGE_ERR_INVALID && strstr(err.msg, "changing") != NULL &&
           strstr(err.msg, "three") != NULL,
       "one step more under the same version: %s", err.msg);
    now[1].name = "zwei";
    ok(open_with(now, 2, 1, &crew) == KEDGE_ERR_INVALID && strstr(err.msg, "zwei") != NULL,
       "another name: %s", err.msg);
    now[1].name = "two";
    now[1].after = NULL;
    ok(open_with(now, 2, 1, &crew) == KEDGE_ERR_INVALID && strstr(err.msg, "two") != NULL,
       "another order: %s", err.msg);
    now[1].after = after_one;
    now[1].undo = do_nothing;
    ok(open_with(now, 2, 1, &crew) == KEDGE_ERR_INVALID && strstr(err.msg, "undo") != NULL,
       "an undo more: %s", err.msg);
    now[1].undo = NULL;
    ok(open_with(now, 1, 1, &crew) == KEDGE_ERR_INVALID && strstr(err.msg, "two") != NULL,
       "one step less: %s", err.msg);
    must(open_with(now, 3, 2, &crew), "worker");
    kedge_worker_close(crew.worker, 0);
    ok(open_with(now, 2, 1, &crew) == KEDGE_OK, "another version is another, and the old one is");
    kedge_worker_close(crew.worker, 0);
}

struct listed {
    const char *id;
    bool found;
};

static int find_run(void *ctx, const struct kedge_run_info *info)
{
    struct listed *l = ctx;

    l->found |= info->id.len == strlen(l->id) && memcmp(info->id.data, l->id, info->id.len) == 0;
    return 0;
}

static bool unserved(const char *id)
{
    struct kedge_run_filter filter = KEDGE_RUN_FILTER_INIT;
    struct listed l = { id, false };

    filter.unserved = 1;
    must(kedge_run_list(store, &filter, find_run, &l, PATIENCE, &err), "list");
    return l.found;
}

/* Of a reactor that the store has never heard of, there is the first record, and what was asked. */
static void unheard_of(void)
{
    struct kedge_run_start start = KEDGE_START_INIT;
    const char *id = begin("nowhere", 0);
    struct kedge_run_info *info;

    asked(id, KEDGE_VERB_RESUME, KEDGE_STALE, KEDGE_PENDING, 0, "a run of an unknown reactor");
    asked(id, KEDGE_VERB_UNDO, KEDGE_STALE, KEDGE_PENDING, 0, "a run of an unknown reactor");
    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_PAUSED, 0, "a run of an unknown reactor");
    asked(id, KEDGE_VERB_PAUSE, KEDGE_EXISTS, KEDGE_PAUSED, 0, "the same again");
    asked(id, KEDGE_VERB_RESUME, KEDGE_OK, KEDGE_RUNNING, 0, "it");
    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_PAUSED, 0, "it");
    asked(id, KEDGE_VERB_CANCEL, KEDGE_OK, KEDGE_CANCELLED, 0, "it");
    asked(id, KEDGE_VERB_CANCEL, KEDGE_EXISTS, KEDGE_CANCELLED, 0, "the same again");
    ok(ended_with(id, KEDGE_CANCELLED, "as i say", ""), "... ends it");
    id = begin("nowhere", 0);
    asked(id, KEDGE_VERB_ABANDON, KEDGE_OK, KEDGE_ABORTED, 0, "another");
    start.reactor = "nowhere";
    start.version = 1;
    start.id = kedge_text("nowhere in time");
    start.timeout_us = HOUR;
    must(kedge_start(store, &start, PATIENCE, &err), "start");
    asked("nowhere in time", KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_PAUSED, 0, "one with a deadline");
    info = info_of("nowhere in time");
    ok(info->due > info->created, "... wakes when that has passed");
    kedge_run_info_free(info);
}

void cases_served(void)
{
    const char *id;
    struct crew crew;

    definitions();
    unheard_of();
    acts_reset();
    hire(&crew, "bystander");
    id = begin("pool", 0);
    ok(unserved(id) && status_of(id) == KEDGE_PENDING, "nobody serves it: it is listed, and waits");
    dismiss(&crew);
    ok(unserved(id), "... and so it is when there is no worker at all");
    atomic_store(&ACT('a')->hold, 1);
    hire(&crew, NULL);
    ok(!unserved(id), "a worker that serves it has opened: it is not listed any more");
    atomic_store(&ACT('a')->hold, 0);
    ok(wait_for(id) == KEDGE_COMPLETED && !unserved(id), "... and runs it");
    dismiss(&crew);
}
