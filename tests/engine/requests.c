/*
 * requests.c - what people ask of runs: each verb on a run in every place and status; speaks TAP
 *
 *	./requests URL [CASE...]
 */
#include <config.h>

#include "conform/fault_backend.h"
#include "requests.h"

/* ----------------------------------------------------------------- nobody holds it */

/* Everything that is for runs at rest only. */
static void refuse_all(const char *id, uint32_t status, const char *what)
{
    static const uint32_t verbs[] = { KEDGE_VERB_UNDO,        KEDGE_VERB_RETRY,
                                      KEDGE_VERB_RETRY_UNDO,  KEDGE_VERB_SKIP_UNDO,
                                      KEDGE_VERB_MARK_UNDONE, KEDGE_VERB_RETRY_NEW };

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        asked(id, verbs[i], KEDGE_STALE, status, 0, what);
}

static void pending(void)
{
    const char *id = begin("loop", 0);

    refuse_all(id, KEDGE_PENDING, "a pending run");
    asked(id, KEDGE_VERB_RESUME, KEDGE_STALE, KEDGE_PENDING, 0, "a pending run");
    ok(told(id, "begin"), "and nothing of that is in its journal");
    asked(id, KEDGE_VERB_CANCEL, KEDGE_OK, KEDGE_CANCELLED, 0, "a pending run");
    ok(ended_with(id, KEDGE_CANCELLED, "as i say", ""), "... ends it at once, with the reason");
    asked(id, KEDGE_VERB_CANCEL, KEDGE_EXISTS, KEDGE_CANCELLED, 0, "the same again");
    ok(told(id, "begin cancel[ann|as i say] end:cancelled"), "... who and why are in the journal");
    id = begin("loop", 0);
    asked(id, KEDGE_VERB_ABANDON, KEDGE_OK, KEDGE_ABORTED, 0, "a pending run");
    asked(id, KEDGE_VERB_ABANDON, KEDGE_EXISTS, KEDGE_ABORTED, 0, "the same again");
    ok(ended_with(id, KEDGE_ABORTED, "as i say", ""), "... ends as aborted");
    asked(id, KEDGE_VERB_CANCEL, KEDGE_STALE, KEDGE_ABORTED, 0, "an aborted run");
    asked(id, KEDGE_VERB_RETRY, KEDGE_STALE, KEDGE_ABORTED, 0, "an aborted run");
    asked(id, KEDGE_VERB_RESUME, KEDGE_STALE, KEDGE_ABORTED, 0, "an aborted run");
    ok(ask("no such run", KEDGE_VERB_CANCEL) == KEDGE_NOT_FOUND, "cancel of nothing: not found");
    ok(ask(id, 77) == KEDGE_ERR_INVALID && ask(id, 0) == KEDGE_ERR_INVALID, "no such verb");
    ok(ask_step(id, KEDGE_VERB_CANCEL, "a") == KEDGE_ERR_INVALID, "cancel of a step is no request");
}

/* Paused before it began, it begins not before its time. */
static void delayed(void)
{
    const char *id = begin("loop", HOUR);
    struct kedge_run_info *before = info_of(id);
    struct kedge_run_info *after;
    struct crew crew;

    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_PAUSED, 0, "a run that is due later");
    asked(id, KEDGE_VERB_PAUSE, KEDGE_EXISTS, KEDGE_PAUSED, 0, "the same again");
    ok(place_of(id) == KEDGE_PLACE_PARKED, "... is parked");
    asked(id, KEDGE_VERB_RESUME, KEDGE_OK, KEDGE_RUNNING, 0, "the same");
    asked(id, KEDGE_VERB_RESUME, KEDGE_STALE, KEDGE_RUNNING, 0, "the same again");
    after = info_of(id);
    ok(after->place == KEDGE_PLACE_DUE && after->due == before->due, "... is due when it was");
    kedge_run_info_free(before);
    kedge_run_info_free(after);
    hire(&crew, NULL);
    asked(id, KEDGE_VERB_CANCEL, KEDGE_OK, KEDGE_CANCELLED, 0, "a run that is due later");
    ok(did(id, ""), "... and it never began");
    id = begin("loop", HOUR);
    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_PAUSED, 0, "another");
    asked(id, KEDGE_VERB_CANCEL, KEDGE_OK, KEDGE_CANCELLED, 0, "it, paused");
    ok(told(id, "begin pause[ann|as i say] cancel[ann|as i say] end:cancelled") && did(id, ""),
       "... ends it at once");
    id = begin("loop", HOUR);
    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_PAUSED, 0, "a third");
    asked(id, KEDGE_VERB_ABANDON, KEDGE_OK, KEDGE_ABORTED, 0, "it, paused");
    dismiss(&crew);
}

/* How long it is kept is said by whoever ends it. */
static void retention(void)
{
    static const int64_t keep[] = { 0, HOUR, -1 };

    for (int i = 0; i < 3; i++) {
        struct kedge_request request = KEDGE_REQUEST_INIT;
        const char *id = begin("loop", HOUR);
        struct kedge_run_info *info;

        request.verb = KEDGE_VERB_CANCEL;
        request.run = kedge_text(id);
        request.retention_us = keep[i];
        must(kedge_run_request(store, &request, NULL, PATIENCE, &err), "cancel");
        info = info_of(id);
        ok(info->status == KEDGE_CANCELLED && info->error.len == 0 &&
               info->expires == (keep[i] < 0    ? 0
                                 : keep[i] == 0 ? info->finished + 24 * HOUR
                                                : info->finished + keep[i]),
           "kept %s",
           keep[i] < 0    ? "for ever"
           : keep[i] == 0 ? "for a day"
                          : "for an hour");
        kedge_run_info_free(info);
    }
}

/* Time does not wait for a paused run. */
static void paused_past_deadline(void)
{
    struct kedge_run_start start = KEDGE_START_INIT;
    struct crew crew;

    start.reactor = "loop";
    start.version = 1;
    start.id = kedge_text("in time");
    start.timeout_us = SECONDS / 5;
    must(kedge_start(store, &start, PATIENCE, &err), "start");
    asked("in time", KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_PAUSED, 0, "a run with a deadline");
    hire(&crew, NULL);
    ok(wait_for("in time") == KEDGE_FAILED &&
           ended_with("in time", KEDGE_FAILED, "the run's deadline has passed", "") &&
           did("in time", ""),
       "... which fails when that has passed");
    dismiss(&crew);
}

/* A step has failed and is due again in an hour; the one before it is done. */
static const char *backing_off(void)
{
    const char *id = begin("slow", 0);
    struct crew crew;

    atomic_store(&ACT('b')->fails, 1);
    hire(&crew, NULL);
    AWAIT(place_of(id) == KEDGE_PLACE_DUE && strcmp(story(id), "begin done:a delayed:b") == 0);
    dismiss(&crew);
    return id;
}

static void backs_off(void)
{
    const char *id = backing_off();
    struct kedge_run_info *before = info_of(id);
    struct kedge_run_info *after;
    struct crew crew;

    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_PAUSED, 0, "a run that backs off");
    asked(id, KEDGE_VERB_RESUME, KEDGE_OK, KEDGE_RUNNING, 0, "a run that backs off");
    after = info_of(id);
    ok(after->place == KEDGE_PLACE_DUE && after->due == before->due, "... is due when it was");
    kedge_run_info_free(before);
    kedge_run_info_free(after);
    refuse_all(id, KEDGE_RUNNING, "a run that backs off");
    asked(id, KEDGE_VERB_CANCEL, KEDGE_OK, KEDGE_ROLLING_BACK, 0, "a run that backs off");
    asked(id, KEDGE_VERB_CANCEL, KEDGE_EXISTS, KEDGE_ROLLING_BACK, 0, "the same again");
    asked(id, KEDGE_VERB_PAUSE, KEDGE_STALE, KEDGE_ROLLING_BACK, 0, "it, rolling back");
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_CANCELLED && did(id, "+a +b ?b -a"),
       "... what failed is compensated, what is done undone");
    ok(ended_with(id, KEDGE_CANCELLED, "as i say", ""), "... and the reason is its error");
    dismiss(&crew);
    id = backing_off();
    asked(id, KEDGE_VERB_ABANDON, KEDGE_OK, KEDGE_ABORTED, 0, "another");
    ok(did(id, "+a +b"), "... undoes nothing");
}

void cases_unheld(void)
{
    pending();
    delayed();
    retention();
    paused_past_deadline();
    acts_reset();
    backs_off();
}

/* ------------------------------------------------------------------- held, alive */

/* A step that heeds its stop request; the one before it is done. */
static void cancel_heeded(const char *reactor, int heeds)
{
    const char *id;
    struct crew crew;

    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    atomic_store(&ACT('b')->heeds, heeds);
    id = begin(reactor, 0);
    hire(&crew, NULL);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    asked(id, KEDGE_VERB_RETRY, KEDGE_STALE, KEDGE_RUNNING, 0, "a held run");
    asked(id, KEDGE_VERB_ABANDON, KEDGE_STALE, KEDGE_RUNNING, 0, "a held run");
    asked(id, KEDGE_VERB_RESUME, KEDGE_STALE, KEDGE_RUNNING, 0, "a held run");
    asked(id, KEDGE_VERB_UNDO, KEDGE_STALE, KEDGE_RUNNING, 0, "a held run");
    asked(id, KEDGE_VERB_CANCEL, KEDGE_OK, KEDGE_RUNNING, 1, "a held run");
    ok(ask(id, KEDGE_VERB_CANCEL) == KEDGE_EXISTS, "the same again exists");
    ok(wait_for(id) == KEDGE_CANCELLED, "a step in flight heeds it (%s)",
       heeds == 1 ? "it polls" : "by its descriptor");
    ok(atomic_load(&ACT('b')->stopped) == 1 && did(id, "+a +b ?b -a") &&
           told(id, "begin done:a cancel[ann|as i say] failed:b compensated:b undone:a "
                    "end:cancelled"),
       "... is compensated, and what came before undone");
    ok(ended_with(id, KEDGE_CANCELLED, "as i say", ""), "... the error is the reason given");
    ok(ask(id, KEDGE_VERB_CANCEL) == KEDGE_EXISTS, "and a last time exists");
    dismiss(&crew);
}

/* A step that does not heed it ends well, and is undone. */
static void cancel_ignored(const char *reactor)
{
    const char *id;
    struct crew crew;

    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    id = begin(reactor, 0);
    hire(&crew, NULL);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    asked(id, KEDGE_VERB_CANCEL, KEDGE_OK, KEDGE_RUNNING, 1, "a run in a step that is deaf");
    atomic_store(&ACT('b')->hold, 0);
    ok(wait_for(id) == KEDGE_CANCELLED && strchr(effects(id), 'c') == NULL,
       "%s: no further step starts", reactor);
    ok(did(id, "+a +b -b -a"), "... and what is done is undone");
    dismiss(&crew);
}

/* The step has left the loop and waits for its outcome. */
static void cancel_later(void)
{
    struct kedge_outcome said = { sizeof said, KEDGE_OUTCOME_OK, 0, { "1", 1 }, NULL, 0 };
    const char *id;
    struct crew crew;

    acts_reset();
    atomic_store(&ACT('b')->later, 1);
    id = begin("loop", 0);
    hire(&crew, NULL);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    asked(id, KEDGE_VERB_CANCEL, KEDGE_OK, KEDGE_RUNNING, 1, "a run whose step ends later");
    AWAIT(status_of(id) == KEDGE_ROLLING_BACK);
    ok(told(id, "begin done:a cancel[ann|as i say]") && did(id, "+a +b"),
       "nothing is undone before that");
    ok(ask(id, KEDGE_VERB_CANCEL) == KEDGE_EXISTS, "the same again exists");
    ok(ask(id, KEDGE_VERB_PAUSE) == KEDGE_STALE, "and it cannot be paused");
    must(kedge_settle(crew.worker, atomic_load(&ACT('b')->token), &said, &err), "settle");
    ok(wait_for(id) == KEDGE_CANCELLED && did(id, "+a +b -b -a"), "... and all is");
    dismiss(&crew);
}

static void pause_held(const char *reactor)
{
    const char *id;
    struct crew crew;

    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    atomic_store(&ACT('b')->heeds, 1);
    id = begin(reactor, 0);
    hire(&crew, NULL);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_RUNNING, 1, "a held run");
    ok(ask(id, KEDGE_VERB_PAUSE) == KEDGE_EXISTS, "the same again exists");
    AWAIT(strcmp(reactor, "loop") == 0 ||
          strcmp(story(id), "begin done:a pause[ann|as i say]") == 0);
    ok(atomic_load(&ACT('b')->stopped) == 0, "the step in flight is not told to stop");
    atomic_store(&ACT('b')->hold, 0);
    AWAIT(place_of(id) == KEDGE_PLACE_PARKED);
    ok(status_of(id) == KEDGE_PAUSED && did(id, "+a +b"), "... ends, and no further one starts");
    refuse_all(id, KEDGE_PAUSED, "a paused run");
    asked(id, KEDGE_VERB_PAUSE, KEDGE_EXISTS, KEDGE_PAUSED, 0, "a paused run");
    asked(id, KEDGE_VERB_RESUME, KEDGE_OK, KEDGE_RUNNING, 0, "a paused run");
    ok(wait_for(id) == KEDGE_COMPLETED && did(id, "+a +b +c") &&
           told(id, strcmp(reactor, "loop") == 0
                        ? "begin done:a done:b pause[ann|as i say] resume[ann|as i say] done:c "
                          "end:completed"
                        : "begin done:a pause[ann|as i say] done:b resume[ann|as i say] done:c "
                          "end:completed"),
       "... goes on where it was, no step twice");
    ok(ended_with(id, KEDGE_COMPLETED, "", ""), "... and completes");
    dismiss(&crew);
}

/* Paused while its last step is under way: with that it ends, and there is nothing to resume. */
static void paused_at_the_end(void)
{
    const char *id;
    struct crew crew;

    acts_reset();
    atomic_store(&ACT('c')->hold, 1);
    id = begin("pool", 0);
    hire(&crew, NULL);
    AWAIT(atomic_load(&ACT('c')->began) == 1);
    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_RUNNING, 1, "a run in its last step");
    AWAIT(strcmp(story(id), "begin done:a done:b pause[ann|as i say]") == 0);
    atomic_store(&ACT('c')->hold, 0);
    ok(wait_for(id) == KEDGE_COMPLETED, "... completes");
    asked(id, KEDGE_VERB_RESUME, KEDGE_STALE, KEDGE_COMPLETED, 0, "it, completed");
    ok(told(id, "begin done:a done:b pause[ann|as i say] done:c end:completed"),
       "... and nothing comes after its end");
    dismiss(&crew);
}

/* Taken back before it was parked: nothing has happened. */
static void resume_held(void)
{
    const char *id;
    struct crew crew;

    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    id = begin("pool", 0);
    hire(&crew, NULL);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_RUNNING, 1, "a held run");
    ok(ask(id, KEDGE_VERB_RESUME) == KEDGE_OK && out.pending == 1, "resume before it is parked");
    atomic_store(&ACT('b')->hold, 0);
    ok(wait_for(id) == KEDGE_COMPLETED && did(id, "+a +b +c"), "... and it completes");
    dismiss(&crew);
}

/*
 * Taken back while its last step under way ends: the worker, which looks at nothing but what its
 * commits answer, parks it without having heard of that.
 */
static void resume_before_parked(void)
{
    const char *id;
    const char *told;
    struct crew crew;

    acts_reset();
    atomic_store(&ACT('a')->hold, 1);
    atomic_store(&ACT('f')->hold, 1);
    id = begin("wide", 0);
    look_us = HOUR;
    hire(&crew, NULL);
    look_us = 20000;
    AWAIT(atomic_load(&ACT('a')->began) == 1 && atomic_load(&ACT('f')->began) == 1);
    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_RUNNING, 1, "a run with two steps under way");
    atomic_store(&ACT('a')->hold, 0);
    AWAIT(strcmp(story(id), "begin done:a pause[ann|as i say]") == 0);
    asked(id, KEDGE_VERB_RESUME, KEDGE_OK, KEDGE_RUNNING, 1, "it, while one is under way");
    atomic_store(&ACT('f')->hold, 0);
    ok(wait_for(id) == KEDGE_COMPLETED, "... and nothing keeps it");
    told = story(id);
    /* On a slow machine the lease is extended meanwhile, which tells the worker of it before f. */
    ok(strstr(told, "begin done:a pause[ann|as i say] done:f resume[ann|as i say] ") != NULL ||
           strstr(told, "begin done:a pause[ann|as i say] resume[ann|as i say] done:f ") != NULL,
       "... each of them is in its journal: %s", told);
    dismiss(&crew);
}

/* A failure takes a paused run back; a cancel too. */
static void paused_and_back(void)
{
    const char *id;
    struct crew crew;

    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    atomic_store(&ACT('b')->fails, 1);
    id = begin("pool", 0);
    hire(&crew, NULL);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_RUNNING, 1, "a held run");
    AWAIT(strcmp(story(id), "begin done:a pause[ann|as i say]") == 0);
    atomic_store(&ACT('b')->hold, 0);
    ok(wait_for(id) == KEDGE_FAILED && did(id, "+a +b ?b -a") &&
           ended_with(id, KEDGE_FAILED, "b failed", "b"),
       "what fails while it is paused takes it back");
    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    id = begin("pool", 0);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_RUNNING, 1, "a held run");
    atomic_store(&ACT('b')->hold, 0);
    AWAIT(place_of(id) == KEDGE_PLACE_PARKED);
    asked(id, KEDGE_VERB_CANCEL, KEDGE_OK, KEDGE_ROLLING_BACK, 0, "a paused run");
    ok(wait_for(id) == KEDGE_CANCELLED && did(id, "+a +b -b -a"), "... rolls it back");
    dismiss(&crew);
}

/* A worker that goes hands a run on with what was asked of it. */
static void handed_on(uint32_t verb)
{
    const char *id;
    struct crew crew;

    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    id = begin("loop", 0); /* the loop is in the step, and hears of nothing */
    hire(&crew, NULL);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    asked(id, verb, KEDGE_OK, KEDGE_RUNNING, 1, "a run whose worker goes");
    kedge_worker_stop(crew.worker);
    atomic_store(&ACT('b')->hold, 0);
    dismiss(&crew);
    ok(ask(id, verb) == KEDGE_EXISTS, "the same again exists");
    hire(&crew, NULL);
    if (verb == KEDGE_VERB_PAUSE) {
        AWAIT(place_of(id) == KEDGE_PLACE_PARKED);
        asked(id, KEDGE_VERB_RESUME, KEDGE_OK, KEDGE_RUNNING, 0, "the paused run");
    }
    ok(wait_for(id) == (verb == KEDGE_VERB_PAUSE ? KEDGE_COMPLETED : KEDGE_CANCELLED) &&
           did(id, verb == KEDGE_VERB_PAUSE ? "+a +b +c" : "+a +b -b -a"),
       "... the next worker takes it up");
    dismiss(&crew);
}

void cases_held(void)
{
    cancel_heeded("pool", 1);
    cancel_heeded("pool", 2);
    cancel_ignored("pool");
    cancel_ignored("loop");
    cancel_later();
    pause_held("pool");
    pause_held("loop");
    paused_at_the_end();
    resume_held();
    resume_before_parked();
    paused_and_back();
    handed_on(KEDGE_VERB_CANCEL);
    handed_on(KEDGE_VERB_PAUSE);
}

/* --------------------------------------------------------------------- held, dead */

enum when { UNBURIED, BURIED, DUE };
static const char *const whens[] = { "before burial", "after burial", "when it is due again" };

/* A run that a dead worker holds, or held: in `b', after `a'. */
static const char *orphan(const char *reactor, enum when when)
{
    const char *id = begin(reactor, 0);

    die_in(id, 'b', false);
    acts_reset();
    if (when == BURIED)
        bury_only(id);
    if (when == DUE)
        buried(id);
    return id;
}

static void cancel_dead(enum when when)
{
    const char *id = orphan("pool", when);
    struct crew crew;

    if (when == DUE)
        asked(id, KEDGE_VERB_CANCEL, KEDGE_OK, KEDGE_ROLLING_BACK, 0, whens[when]);
    else
        asked(id, KEDGE_VERB_CANCEL, KEDGE_OK, KEDGE_RUNNING, 1, whens[when]);
    ok(ask(id, KEDGE_VERB_CANCEL) == KEDGE_EXISTS, "the same again exists");
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_CANCELLED && did(id, "+a +b ?b! -a"),
       "cancel %s: what was in flight is compensated, in doubt", whens[when]);
    ok(told(id, "begin done:a doubt:b cancel[ann|as i say] compensated:b undone:a end:cancelled"),
       "... and its journal says all that");
    dismiss(&crew);
}

static void pause_dead(enum when when)
{
    const char *id = orphan("pool", when);
    struct crew crew;

    if (when == DUE)
        asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_PAUSED, 0, whens[when]);
    else
        asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_RUNNING, 1, whens[when]);
    ok(ask(id, KEDGE_VERB_PAUSE) == KEDGE_EXISTS, "the same again exists");
    hire(&crew, NULL);
    AWAIT(place_of(id) == KEDGE_PLACE_PARKED);
    ok(did(id, "+a +b"), "pause %s: nothing starts again", whens[when]);
    asked(id, KEDGE_VERB_RESUME, KEDGE_OK, KEDGE_RUNNING, 0, "it");
    ok(wait_for(id) == KEDGE_COMPLETED && did(id, "+a +b +b! +c") && keys_of(id, '+', 'b') == 1,
       "... what was in flight runs again, in doubt, under its key");
    dismiss(&crew);
}

/* Two requests after another, before anybody takes up the first. */
static void two_dead(enum when when)
{
    const char *id = orphan("pool", when);
    struct crew crew;

    ok(ask(id, KEDGE_VERB_PAUSE) == KEDGE_OK && ask(id, KEDGE_VERB_RESUME) == KEDGE_OK,
       "pause and resume %s", whens[when]);
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_COMPLETED && did(id, "+a +b +b! +c"), "... and it completes");
    dismiss(&crew);
    id = orphan("pool", when);
    ok(ask(id, KEDGE_VERB_CANCEL) == KEDGE_OK, "cancel %s", whens[when]);
    if (when != DUE)
        buried(id);
    ok(ask(id, KEDGE_VERB_PAUSE) == KEDGE_STALE && out.why[0] != '\0',
       "... after which it cannot be paused");
    ok(ask(id, KEDGE_VERB_CANCEL) == KEDGE_EXISTS, "... and the same again exists");
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_CANCELLED && did(id, "+a +b ?b! -a"), "... and it is cancelled");
    dismiss(&crew);
}

/* Asked of the dead, taken back when it is due again. */
static void across_burial(void)
{
    const char *id = orphan("pool", UNBURIED);
    struct crew crew;

    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_RUNNING, 1, "a dead worker's run");
    buried(id);
    ok(ask(id, KEDGE_VERB_PAUSE) == KEDGE_EXISTS, "the same, after its burial, exists");
    ok(ask(id, KEDGE_VERB_RESUME) == KEDGE_OK, "resume after its burial");
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_COMPLETED && did(id, "+a +b +b! +c"), "... and it completes");
    dismiss(&crew);
    id = orphan("pool", UNBURIED);
    asked(id, KEDGE_VERB_PAUSE, KEDGE_OK, KEDGE_RUNNING, 1, "a dead worker's run");
    buried(id);
    ok(ask(id, KEDGE_VERB_CANCEL) == KEDGE_OK, "cancel after its burial");
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_CANCELLED && did(id, "+a +b ?b! -a"), "... and it is cancelled");
    dismiss(&crew);
}

static void abandon_dead(void)
{
    const char *id = orphan("pool", UNBURIED);

    asked(id, KEDGE_VERB_ABANDON, KEDGE_STALE, KEDGE_RUNNING, 0, "a dead worker's run");
    buried(id);
    asked(id, KEDGE_VERB_ABANDON, KEDGE_OK, KEDGE_ABORTED, 0, "the same when it is due again");
    ok(did(id, "+a +b"), "... undoes nothing");
    ok(told(id, "begin done:a doubt:b abandon[ann|as i say] end:aborted"),
       "... and says what is in doubt");
}

static uint32_t in_flight(const struct crew *crew)
{
    struct kedge_counts counts = { .struct_size = sizeof counts };

    kedge_worker_stats(crew->worker, &counts);
    return counts.in_flight;
}

/* A worker that was cut off comes back with an outcome, when the run has been put to rest. */
static void zombie(uint32_t verb)
{
    struct kedge_store *below;
    struct kedge_store *mortal = faulty_open(&below);
    const char *id = begin("pool", 0);
    char before[1024];
    struct crew old;
    struct crew crew;

    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    hire_mortal(&old, mortal);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    fault_kill();
    buried(id);
    ok(ask(id, verb) == KEDGE_OK, "%s of a run whose worker is cut off", kedge_verb_text(verb));
    hire(&crew, NULL);
    ok(wait_for(id) == (verb == KEDGE_VERB_CANCEL ? KEDGE_CANCELLED : KEDGE_ABORTED) &&
           did(id, verb == KEDGE_VERB_CANCEL ? "+a +b ?b! -a" : "+a +b"),
       "... takes place without it");
    (void)snprintf(before, sizeof before, "%s", story(id));
    fault_revive();
    atomic_store(&ACT('b')->hold, 0);
    AWAIT(in_flight(&old) == 0);
    ok(told(id, before) && did(id, verb == KEDGE_VERB_CANCEL ? "+a +b ?b! -a" : "+a +b"),
       "... and is moved by nothing it says when it comes back");
    dismiss(&crew);
    dismiss_mortal(&old);
    faulty_close(mortal, below);
}

void cases_dead(void)
{
    for (int when = UNBURIED; when <= DUE; when++) {
        cancel_dead((enum when)when);
        pause_dead((enum when)when);
        two_dead((enum when)when);
    }
    across_burial();
    abandon_dead();
    zombie(KEDGE_VERB_CANCEL);
    zombie(KEDGE_VERB_ABANDON);
}

/* ------------------------------------------------------------------------- at rest */

static const char *completed(const char *reactor)
{
    const char *id = begin(reactor, 0);

    if (wait_for(id) != KEDGE_COMPLETED)
        bail("%s did not complete", id);
    return id;
}

static void undo_completed(void)
{
    const char *id = completed("pool");

    asked(id, KEDGE_VERB_CANCEL, KEDGE_STALE, KEDGE_COMPLETED, 0, "a completed run");
    asked(id, KEDGE_VERB_PAUSE, KEDGE_STALE, KEDGE_COMPLETED, 0, "a completed run");
    asked(id, KEDGE_VERB_RESUME, KEDGE_STALE, KEDGE_COMPLETED, 0, "a completed run");
    asked(id, KEDGE_VERB_RETRY, KEDGE_STALE, KEDGE_COMPLETED, 0, "a completed run");
    asked(id, KEDGE_VERB_RETRY_NEW, KEDGE_STALE, KEDGE_COMPLETED, 0, "a completed run");
    asked(id, KEDGE_VERB_RETRY_UNDO, KEDGE_STALE, KEDGE_COMPLETED, 0, "a completed run");
    asked(id, KEDGE_VERB_ABANDON, KEDGE_STALE, KEDGE_COMPLETED, 0, "a completed run");
    asked(id, KEDGE_VERB_UNDO, KEDGE_OK, KEDGE_ROLLING_BACK, 0, "a completed run");
    ok(wait_for(id) == KEDGE_CANCELLED && did(id, "+a +b +c -c -b -a") &&
           ended_with(id, KEDGE_CANCELLED, "as i say", ""),
       "... undoes all, the newest first");
    asked(id, KEDGE_VERB_UNDO, KEDGE_EXISTS, KEDGE_CANCELLED, 0, "the same again");
    ok(told(id, "begin done:a done:b done:c end:completed undo[ann|as i say] undone:c undone:b "
                "undone:a end:cancelled"),
       "... and its journal says so");
    asked(id, KEDGE_VERB_RETRY, KEDGE_OK, KEDGE_RUNNING, 0, "it");
    ok(wait_for(id) == KEDGE_COMPLETED && did(id, "+a +b +c -c -b -a +a +b +c") &&
           keys_of(id, '+', 'a') == 2 && keys_of(id, '+', 'c') == 2,
       "... runs all again, with new keys");
    asked(id, KEDGE_VERB_UNDO, KEDGE_OK, KEDGE_ROLLING_BACK, 0, "it, a second time");
    ok(wait_for(id) == KEDGE_CANCELLED && keys_of(id, '-', 'a') == 2, "... has new keys as well");
    id = completed("bare");
    asked(id, KEDGE_VERB_UNDO, KEDGE_OK, KEDGE_CANCELLED, 0, "a run with nothing to undo");
    ok(ended_with(id, KEDGE_CANCELLED, "as i say", "") && did(id, "+a +b"), "... ends at once");
}

static void undo_halted(void)
{
    const char *id;

    acts_reset();
    atomic_store(&ACT('b')->halts, 1);
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_HALTED, "a halted run");
    asked(id, KEDGE_VERB_RETRY, KEDGE_STALE, KEDGE_HALTED, 0, "a halted run");
    asked(id, KEDGE_VERB_CANCEL, KEDGE_STALE, KEDGE_HALTED, 0, "a halted run");
    asked(id, KEDGE_VERB_UNDO, KEDGE_OK, KEDGE_ROLLING_BACK, 0, "a halted run");
    ok(wait_for(id) == KEDGE_CANCELLED && did(id, "+a +b -a"), "... undoes what is done");
}

static void retry_failed(void)
{
    struct kedge_run_info *info;
    const char *id;

    acts_reset();
    atomic_store(&ACT('b')->fails, 1);
    id = begin("bare", 0);
    ok(wait_for(id) == KEDGE_FAILED, "a failed run");
    asked(id, KEDGE_VERB_UNDO, KEDGE_STALE, KEDGE_FAILED, 0, "a failed run");
    asked(id, KEDGE_VERB_CANCEL, KEDGE_STALE, KEDGE_FAILED, 0, "a failed run");
    asked(id, KEDGE_VERB_RESUME, KEDGE_STALE, KEDGE_FAILED, 0, "a failed run");
    asked(id, KEDGE_VERB_ABANDON, KEDGE_STALE, KEDGE_FAILED, 0, "a failed run");
    asked(id, KEDGE_VERB_SKIP_UNDO, KEDGE_STALE, KEDGE_FAILED, 0, "a failed run");
    asked(id, KEDGE_VERB_RETRY, KEDGE_OK, KEDGE_RUNNING, 0, "a failed run");
    ok(wait_for(id) == KEDGE_COMPLETED && did(id, "+a +b +b") && keys_of(id, '+', 'a') == 1 &&
           keys_of(id, '+', 'b') == 2,
       "... runs what failed again, with a new key, and not what was done");
    info = info_of(id);
    ok(info->finished != 0 && info->expires > info->finished && info->result.len > 0,
       "... and completes, with a result");
    kedge_run_info_free(info);
    asked(id, KEDGE_VERB_RETRY, KEDGE_STALE, KEDGE_COMPLETED, 0, "the same again");
    acts_reset();
    atomic_store(&ACT('b')->fails, 1);
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_FAILED && did(id, "+a +b ?b -a"), "a run that was rolled back");
    asked(id, KEDGE_VERB_RETRY, KEDGE_OK, KEDGE_RUNNING, 0, "it");
    ok(wait_for(id) == KEDGE_COMPLETED && did(id, "+a +b ?b -a +a +b +c") &&
           keys_of(id, '+', 'a') == 2,
       "... runs again what was taken back");
}

static int find_letter(void *ctx, const struct kedge_step_info *step)
{
    return step->name[0] == *(const char *)ctx ? (int)step->state : 0;
}

/* What is done stays done, but for what was made from something that was taken back. */
static void retry_mixed(void)
{
    const char *id;

    acts_reset();
    atomic_store(&ACT('c')->fails, 1);
    id = begin("mixed", 0);
    ok(wait_for(id) == KEDGE_FAILED &&
           kedge_run_steps(store, kedge_text(id), find_letter, (char[]){ "b" }, PATIENCE, &err) ==
               KEDGE_STEP_DONE,
       "a step without undo stays done");
    asked(id, KEDGE_VERB_RETRY, KEDGE_OK, KEDGE_RUNNING, 0, "it");
    ok(wait_for(id) == KEDGE_COMPLETED && keys_of(id, '+', 'a') == 2 &&
           keys_of(id, '+', 'b') == 2 && keys_of(id, '+', 'c') == 2 && keys_of(id, '+', 'x') == 1,
       "... and runs again if what it comes after does");
}

static int ask_new(const char *id, const char *new_id)
{
    struct kedge_request request = KEDGE_REQUEST_INIT;

    memset(&out, 0, sizeof out);
    out.struct_size = sizeof out;
    request.verb = KEDGE_VERB_RETRY_NEW;
    request.run = kedge_text(id);
    request.new_id = kedge_text(new_id);
    return kedge_run_request(store, &request, &out, PATIENCE, &err);
}

static bool same(struct kedge_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static void retry_new(void)
{
    char made[KEDGE_RUN_ID_SIZE];
    struct kedge_run_info *info;
    const char *id;

    acts_reset();
    atomic_store(&ACT('b')->fails, 1);
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_FAILED, "a failed run");
    ok(ask_new(id, "its-heir") == KEDGE_OK && out.new_id[0] == '\0' && out.status == KEDGE_FAILED,
       "retry-new under an id of one's own");
    ok(ask_new(id, "its-heir") == KEDGE_EXISTS, "the same id again exists");
    ok(ask_new(id, id) == KEDGE_EXISTS, "and so does its own");
    ok(wait_for("its-heir") == KEDGE_COMPLETED && did("its-heir", "+a +b +c"), "it runs");
    info = info_of("its-heir");
    ok(same(info->parent, id) && same(info->context, "tenant 7") && same(info->reactor, "pool") &&
           info->version == 1,
       "... is linked to the old one, and has its context");
    kedge_run_info_free(info);
    ok(ask(id, KEDGE_VERB_RETRY_NEW) == KEDGE_OK && out.new_id[0] != '\0', "under a made id");
    (void)snprintf(made, sizeof made, "%s", out.new_id);
    ok(wait_for(made) == KEDGE_COMPLETED, "... it runs");
    ok(ask(id, KEDGE_VERB_RETRY_NEW) == KEDGE_OK && strcmp(made, out.new_id) != 0,
       "... and again, under another");
    ok(wait_for(out.new_id) == KEDGE_COMPLETED, "... which runs as well");
    ok(status_of(id) == KEDGE_FAILED && did(id, "+a +b ?b -a"), "the old one stays as it is");
}

void cases_rest(void)
{
    struct crew crew;

    hire(&crew, NULL);
    undo_completed();
    undo_halted();
    retry_failed();
    retry_mixed();
    retry_new();
    dismiss(&crew);
}

/* ------------------------------------------------------------------------- all of it */

int other_process(const char *mode, char **args)
{
    return strcmp(mode, "--ask") == 0 ? ask_once(args) : -1;
}

const struct test_case test_cases[] = {
    { "unheld", cases_unheld },
    { "held", cases_held },
    { "dead", cases_dead },
    { "rest", cases_rest },
    { "stuck", cases_stuck },
    { "loops", cases_loops },
    { "aside", cases_aside },
    { "served", cases_served },
    { "unknown", cases_unknown },
    { "races", cases_races },
    { NULL, NULL },
};
