/*
 * enumerate.c - kedge_test_enumerate(): everything that can happen to a run, one after the other
 *
 * A case is a scenario (what fails, what is executed twice, what is asked for and when) and the
 * death of a worker, or none.  A scenario is tried without a death first, which tells how it ends
 * and how many writing calls there are; then with a death at each of them.
 *
 * The user's reactor is shadowed by one whose functions call the user's: they tell the judge, and
 * change outcomes.  Everything takes place in the caller's thread, one step after the other, and
 * no news comes in from outside (testing.h), so that a case is the same each time.
 */
#include <config.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include <kedge/kedge.h>

#include "args.h"
#include "judge.h"
#include "kassert.h"
#include "testing.h"
#include "worker.h"

#define FLAGS       (KEDGE_TEST_THREADS | KEDGE_TEST_MAY_DIFFER)
#define NONE        UINT32_MAX
#define RUN_ID      "run"
#define TIMEOUT_US  INT64_C(60000000) /* real time: whoever waits so long hangs */
#define LEASE_US    INT64_C(60000000) /* long in real time, so that only this thread extends it */
#define DEAD_US     INT64_C(70000000)
#define QUIET_US    INT64_C(3600000000) /* what is done now and then is not done here */
#define TURN_US     INT64_C(1000)       /* of the loop: the steps that are ready go one by one */
#define CRASH_LIMIT 2                   /* in a crash loop; elsewhere no worker dies twice */
#define ROUNDS_MOST 2000

struct scenario {
    uint32_t fail;       /* step whose run fails for good */
    uint32_t undo_fails; /* step whose compensate or undo does */
    uint32_t twice;      /* step, of whom this action */
    uint32_t twice_action;
    uint32_t kills;
    uint32_t kills_action;
    uint32_t verb;
    uint32_t apart; /* each step's end is recorded before the next one that is ready begins */
    uint64_t at;    /* call of the request; 0: when the run is at rest */
    uint64_t crash; /* call of the death; 0: none */
    uint32_t when;
};

/* One that was tried without a death. */
struct tried {
    struct scenario s;
    uint64_t first; /* call, the first in which the run takes part */
    uint64_t calls;
    uint32_t status;
};

struct trial;

struct shadow {
    struct trial *t;
    uint32_t index;
    kedge_step_fn *functions[4]; /* by action */
    void *user;
};

struct trial {
    struct kedge_test_plan plan;
    struct kedge_test_report report;
    struct kedge_reactor *reactor; /* the shadow */
    struct shadow *shadows;
    struct kedge_test_step *ends;
    uint32_t *states;
    uint32_t n;
    pthread_mutex_t lock; /* of the judge and what follows */
    struct kedge_judge *judge;
    bool later; /* a step said kedge_later() */
    /* the case at hand */
    struct scenario s;
    uint32_t usual;
    char text[KEDGE_TEST_TEXT_SIZE];
    struct kedge_testing *testing;
    struct kedge_store *healthy;
    struct kedge_store *store; /* the present worker's */
    struct kedge_worker *worker;
    _Atomic bool dead;
    bool asked;
    uint64_t first;
    uint64_t calls;
    uint32_t status;
    /* all scenarios */
    struct tried *tried;
    size_t n_tried;
    size_t max_tried;
};

static const struct scenario plain = { .fail = NONE,
                                       .undo_fails = NONE,
                                       .twice = NONE,
                                       .kills = NONE };

/* --------------------------------------------------------------- a case as text */

static const char *const actions[] = { "", "run", "compensate", "undo" };

static const char *name_of(const struct trial *t, uint32_t step)
{
    return t->reactor->steps[step].name;
}

static void add(char *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(char *text, const char *fmt, ...)
{
    size_t len = strlen(text);
    va_list ap;

    if (len > 0 && len + 1 < KEDGE_TEST_TEXT_SIZE)
        text[len++] = ' ';
    va_start(ap, fmt);
    (void)vsnprintf(text + len, KEDGE_TEST_TEXT_SIZE - len, fmt, ap);
    va_end(ap);
}

static void write_case(const struct trial *t, const struct scenario *s, char *text)
{
    text[0] = '\0';
    if (s->fail != NONE)
        add(text, "fail=%s", name_of(t, s->fail));
    if (s->undo_fails != NONE)
        add(text, "undo-fails=%s", name_of(t, s->undo_fails));
    if (s->twice != NONE)
        add(text, "twice=%s:%s", actions[s->twice_action], name_of(t, s->twice));
    if (s->kills != NONE)
        add(text, "kills=%s:%s", actions[s->kills_action], name_of(t, s->kills));
    if (s->apart != 0)
        add(text, "apart");
    if (s->verb != 0 && s->at != 0)
        add(text, "request=%s:%" PRIu64, kedge_verb_text(s->verb), s->at);
    else if (s->verb != 0)
        add(text, "request=%s", kedge_verb_text(s->verb));
    if (s->crash != 0)
        add(text, "crash=%s:%" PRIu64, s->when == KEDGE_TESTING_BEFORE ? "before" : "after",
            s->crash);
    if (text[0] == '\0')
        add(text, "plain");
}

static bool is_word(struct kedge_bytes word, const char *text)
{
    return word.len == strlen(text) && memcmp(word.data, text, word.len) == 0;
}

/* The part before SEPARATOR, which is taken from *REST; all of it, if there is none. */
static struct kedge_bytes split(struct kedge_bytes *rest, char separator)
{
    const char *from = rest->data;
    struct kedge_bytes word = *rest;

    for (size_t i = 0; i < rest->len; i++) {
        if (from[i] == separator) {
            word.len = i;
            break;
        }
    }
    rest->data = from + word.len + (word.len < rest->len);
    rest->len -= word.len + (word.len < rest->len);
    return word;
}

static bool read_step(const struct trial *t, struct kedge_bytes text, uint32_t *step)
{
    *step = kedge_reactor_find(t->reactor, text);
    return *step != NONE;
}

static bool read_deed(const struct trial *t, struct kedge_bytes text, uint32_t *action,
                      uint32_t *step)
{
    struct kedge_bytes word = split(&text, ':');

    for (*action = KEDGE_ACTION_RUN; *action <= KEDGE_ACTION_UNDO; ++*action) {
        if (is_word(word, actions[*action]))
            return read_step(t, text, step);
    }
    return false;
}

static bool read_number(struct kedge_bytes text, uint64_t *number)
{
    const char *from = text.data;

    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (from[i] < '0' || from[i] > '9' || *number > UINT64_MAX / 10 - 1)
            return false;
        *number = 10 * *number + (uint64_t)(from[i] - '0');
    }
    return *number > 0;
}

static bool read_request(struct kedge_bytes text, struct scenario *s)
{
    struct kedge_bytes word = split(&text, ':');
    bool now = text.len > 0;

    for (s->verb = KEDGE_VERB_CANCEL; s->verb <= KEDGE_VERB_RETRY; s->verb++) {
        if (is_word(word, kedge_verb_text(s->verb)))
            break;
    }
    s->at = 0;
    if (s->verb == KEDGE_VERB_UNDO || s->verb == KEDGE_VERB_RETRY)
        return !now;
    return (s->verb == KEDGE_VERB_CANCEL || s->verb == KEDGE_VERB_PAUSE) &&
           read_number(text, &s->at);
}

static bool read_crash(struct kedge_bytes text, struct scenario *s)
{
    struct kedge_bytes word = split(&text, ':');

    s->when = is_word(word, "before") ? KEDGE_TESTING_BEFORE : KEDGE_TESTING_AFTER;
    return (is_word(word, "before") || is_word(word, "after")) && read_number(text, &s->crash);
}

static bool read_word(const struct trial *t, struct kedge_bytes word, struct scenario *s)
{
    struct kedge_bytes value = word;
    struct kedge_bytes name = split(&value, '=');

    if (is_word(word, "plain") || word.len == 0)
        return true;
    if (is_word(word, "apart"))
        s->apart = 1;
    else if (is_word(name, "fail"))
        return read_step(t, value, &s->fail);
    else if (is_word(name, "undo-fails"))
        return read_step(t, value, &s->undo_fails);
    else if (is_word(name, "twice"))
        return read_deed(t, value, &s->twice_action, &s->twice);
    else if (is_word(name, "kills"))
        return read_deed(t, value, &s->kills_action, &s->kills);
    else if (is_word(name, "request"))
        return read_request(value, s);
    else if (is_word(name, "crash"))
        return read_crash(value, s);
    else
        return false;
    return true;
}

static int read_case(const struct trial *t, const char *text, struct scenario *s,
                     struct kedge_error *err)
{
    struct kedge_bytes rest = kedge_text(text);

    *s = plain;
    while (rest.len > 0) {
        struct kedge_bytes word = split(&rest, ' ');

        if (!read_word(t, word, s))
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                   "plan.only has '%.*s', which is no part of a case of reactor "
                                   "'%s'",
                                   (int)(word.len < 200 ? word.len : 200), (const char *)word.data,
                                   t->reactor->name);
    }
    return KEDGE_OK;
}

/* -------------------------------------------------------- the shadow's functions */

static void die(struct trial *t)
{
    atomic_store(&t->dead, true);
    if (t->worker != NULL)
        kedge_worker_give_up(t->worker);
}

/* What the function has said, and nobody has taken yet. */
static enum kedge_said said(const struct kedge_step *step, struct kedge_bytes *text)
{
    const struct kedge_rec *rec;

    *text = kedge_text("it returned without an outcome");
    if (atomic_load(&step->settled) != STEP_SETTLED || step->out == NULL)
        return KEDGE_SAID_FAILED;
    rec = &step->out->rec;
    *text = rec->text;
    switch (rec->kind) {
    case KEDGE_RECORD_SKIPPED:
        return KEDGE_SAID_SKIP;
    case KEDGE_RECORD_HALTED:
        return KEDGE_SAID_HALT;
    case KEDGE_RECORD_FAILED:
    case KEDGE_RECORD_UNDO_FAILED:
        return KEDGE_SAID_FAILED;
    case KEDGE_RECORD_DELAYED:
        return rec->failures == step->view.attempt ? KEDGE_SAID_TRIED : KEDGE_SAID_SNOOZED;
    default:
        return KEDGE_SAID_OK;
    }
}

/* As if it had said nothing. */
static void take_back(struct kedge_step *step)
{
    if (atomic_load(&step->settled) != STEP_SETTLED)
        return;
    kedge_out_free(step->worker, step->out);
    step->out = NULL;
    atomic_store(&step->settled, STEP_OPEN);
}

static bool is_deed(const struct kedge_step *step, uint32_t index, uint32_t which, uint32_t action)
{
    return which == index && step->view.action == action;
}

/* A retry finds the world repaired. */
static bool is_to_fail(const struct trial *t, const struct kedge_step *step, uint32_t index)
{
    if (step->view.action == KEDGE_ACTION_RUN)
        return t->s.fail == index && !(t->s.verb == KEDGE_VERB_RETRY && t->asked);
    return t->s.undo_fails == index;
}

static void again(struct shadow *sh, struct kedge_step *step)
{
    struct trial *t = sh->t;

    take_back(step);
    step->view.flags |= KEDGE_STEP_IN_DOUBT; /* as whenever this happens in earnest */
    (void)pthread_mutex_lock(&t->lock);
    kedge_judge_twice(t->judge, sh->index, step->view.action);
    (void)pthread_mutex_unlock(&t->lock);
    (void)sh->functions[step->view.action](step, sh->user);
}

static void end_step(struct shadow *sh, struct kedge_step *step)
{
    struct trial *t = sh->t;
    struct kedge_bytes text;
    enum kedge_said how;

    if (step->later && atomic_load(&step->settled) == STEP_OPEN) {
        t->later = true;
        step->later = false;
    }
    if (is_to_fail(t, step, sh->index)) {
        take_back(step);
        (void)kedge_fail(step, KEDGE_FAIL_FINAL, "made to fail");
    }
    how = said(step, &text);
    (void)pthread_mutex_lock(&t->lock);
    kedge_judge_ended(t->judge, sh->index, step->view.action, how, text);
    if (how == KEDGE_SAID_TRIED || how == KEDGE_SAID_SNOOZED)
        kedge_judge_deed(t->judge, sh->index, step->view.action)->not_before =
            kedge_testing_now(t->testing) + step->out->rec.delay_us;
    if (how == KEDGE_SAID_FAILED && step->out != NULL && !step->final)
        kedge_judge_last(t->judge, sh->index, step->view.action);
    (void)pthread_mutex_unlock(&t->lock);
    if (t->s.apart != 0)
        (void)kedge_testing_advance(t->testing, TURN_US, NULL);
}

static int shadow_fn(struct kedge_step *step, void *user)
{
    struct shadow *sh = user;
    struct trial *t = sh->t;

    if (atomic_load(&t->dead))
        return kedge_fail(step, 0, "dead"); /* which nobody hears */
    (void)pthread_mutex_lock(&t->lock);
    t->judge->now = kedge_testing_now(t->testing);
    kedge_judge_started(t->judge, sh->index, &step->view);
    if (t->judge->why[0] != '\0' && t->worker != NULL)
        kedge_worker_give_up(t->worker); /* it might go on so for ever */
    (void)pthread_mutex_unlock(&t->lock);
    (void)sh->functions[step->view.action](step, sh->user);
    if (is_deed(step, sh->index, t->s.kills, t->s.kills_action)) {
        kedge_testing_die(t->store);
        die(t);
        return 0;
    }
    if (is_deed(step, sh->index, t->s.twice, t->s.twice_action))
        again(sh, step);
    end_step(sh, step);
    return 0;
}

/* ----------------------------------------------------------------- making it */

static void shadow_step(struct trial *t, const struct kedge_reactor_def *def, uint32_t i,
                        struct kedge_step_def *step)
{
    struct shadow *sh = &t->shadows[i];

    /* Its size is that of the program. */
    memcpy(step, (const char *)def->steps + i * def->step_size, sizeof *step);
    *sh = (struct shadow){ .t = t,
                           .index = i,
                           .functions = { NULL, step->run, step->compensate, step->undo },
                           .user = step->user != NULL ? step->user : def->user };
    step->run = shadow_fn;
    step->compensate = step->compensate != NULL ? shadow_fn : NULL;
    step->undo = step->undo != NULL ? shadow_fn : NULL;
    step->user = sh;
    if ((t->plan.flags & KEDGE_TEST_THREADS) == 0)
        step->flags &= ~KEDGE_STEP_POOL;
}

static int make_shadow(struct trial *t, struct kedge_error *err)
{
    struct kedge_reactor_def def = *t->plan.def;
    struct kedge_step_def *steps = calloc(def.n_steps + 1, sizeof *steps);
    int rc;

    t->n = (uint32_t)def.n_steps;
    t->shadows = calloc(def.n_steps + 1, sizeof *t->shadows);
    t->ends = calloc(def.n_steps + 1, sizeof *t->ends);
    t->states = calloc(def.n_steps + 1, sizeof *t->states);
    if (steps == NULL || t->shadows == NULL || t->ends == NULL || t->states == NULL) {
        free(steps);
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    for (uint32_t i = 0; i < t->n; i++)
        shadow_step(t, t->plan.def, i, &steps[i]);
    def.steps = steps;
    def.step_size = sizeof *steps;
    rc = kedge_reactor_new(&def, &t->reactor, err);
    free(steps);
    if (rc != KEDGE_OK)
        return rc;
    t->judge = kedge_judge_new(t->reactor, (t->plan.flags & KEDGE_TEST_THREADS) == 0);
    return t->judge != NULL ? KEDGE_OK : kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
}

static int check_plan(struct trial *t, const struct kedge_test_plan *plan, struct kedge_error *err)
{
    struct kedge_reactor *reactor;
    int rc;

    if (plan == NULL)
        return kedge_args_null("plan", err);
    rc = kedge_args_import(&t->plan, sizeof t->plan, plan, plan->struct_size, "plan",
                           "KEDGE_TEST_PLAN_INIT", err);
    if (rc != KEDGE_OK)
        return rc;
    if (plan->def == NULL)
        return kedge_args_null("plan.def", err);
    if ((plan->what & ~KEDGE_TEST_ALL) != 0 || (plan->flags & ~FLAGS) != 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "plan.%s has bits that mean nothing",
                               (plan->what & ~KEDGE_TEST_ALL) != 0 ? "what" : "flags");
    if (plan->what == 0)
        t->plan.what = KEDGE_TEST_ALL;
    rc = kedge_reactor_new(plan->def, &reactor, err); /* as it came: messages are about that one */
    if (rc == KEDGE_OK)
        kedge_reactor_free(reactor);
    return rc != KEDGE_OK ? rc : make_shadow(t, err);
}

/* ------------------------------------------------------------------ requests */

static void ask(struct trial *t, uint32_t verb)
{
    struct kedge_request request = KEDGE_REQUEST_INIT;
    struct kedge_requested answer = { .struct_size = sizeof answer };
    int rc;

    request.verb = verb;
    request.run = kedge_text(RUN_ID);
    request.who = "kedge_test_enumerate";
    request.why = "asked by a test";
    request.retention_us = -1;
    rc = kedge_run_request(t->healthy, &request, &answer, TIMEOUT_US, NULL);
    (void)pthread_mutex_lock(&t->lock);
    kedge_judge_asked(t->judge, verb, rc, answer.pending != 0);
    (void)pthread_mutex_unlock(&t->lock);
}

static void nap(void)
{
    struct timespec ts = { 0, 300000 };

    (void)nanosleep(&ts, NULL);
}

/* Before each writing call, in the thread that makes it. */
static void watch(void *ctx, uint64_t call)
{
    struct trial *t = ctx;
    bool now = false;

    (void)pthread_mutex_lock(&t->lock);
    t->calls = call;
    if (t->s.verb != 0 && t->s.at == call && !t->asked)
        now = t->asked = true;
    (void)pthread_mutex_unlock(&t->lock);
    if (now)
        ask(t, t->s.verb);
    if ((t->plan.flags & KEDGE_TEST_THREADS) != 0)
        nap(); /* what is not to begin before this call has ended has time to begin all the same */
    if (call == t->s.crash)
        die(t);
}

/* Later lives go on undisturbed. */
static void look_on(void *ctx, uint64_t call)
{
    (void)ctx;
    (void)call;
}

/* A step has begun, or may have, after the call of the claim. */
static void note_event(void *ctx, const struct kedge_event *event)
{
    struct trial *t = ctx;

    (void)pthread_mutex_lock(&t->lock);
    if (event->kind == KEDGE_EVENT_RUN_TAKEN && t->first == 0)
        t->first = t->calls;
    if (event->kind == KEDGE_EVENT_RUN_REQUESTED)
        kedge_judge_took_up(t->judge, event->outcome);
    (void)pthread_mutex_unlock(&t->lock);
}

/* --------------------------------------------------------------- one worker's life */

static int open_worker(struct trial *t, struct kedge_error *err)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactor = t->reactor;
    int rc;

    options.reactors = &reactor;
    options.n_reactors = 1;
    options.crash_limit = CRASH_LIMIT;
    options.lease_ttl_us = LEASE_US;
    options.look_us = QUIET_US;
    options.sweep_us = QUIET_US;
    options.retention_us = -1;
    options.pool_threads = 4;
    options.observe = note_event;
    options.observe_ctx = t;
    rc = kedge_worker_open(t->store, &options, &t->worker, err);
    if (rc == KEDGE_OK)
        return KEDGE_OK;
    t->worker = NULL;
    return atomic_load(&t->dead) ? KEDGE_OK : rc;
}

/* Let the time come when something is to be done.  At rest: false. */
static bool wait_for_due(struct trial *t, const struct kedge_run_info *info)
{
    int64_t now = kedge_testing_now(t->testing);
    int64_t us = 1000000;

    if (info->place == KEDGE_PLACE_REST)
        return false;
    if (info->status == KEDGE_PAUSED) {
        ask(t, KEDGE_VERB_RESUME);
        return true;
    }
    if (info->place == KEDGE_PLACE_DUE)
        us = info->due > now ? info->due - now : 0;
    (void)kedge_testing_advance(t->testing, us, NULL);
    return true;
}

/* At rest: what was to be asked for then is asked for, once. */
static bool ask_at_rest(struct trial *t)
{
    t->judge->rests = true;
    if (t->s.verb == 0 || t->s.at != 0 || t->asked)
        return false;
    t->asked = true;
    ask(t, t->s.verb);
    return !t->judge->rests;
}

/* Until the run is at rest for good, or the worker dead. */
static int live(struct trial *t, struct kedge_error *err)
{
    struct kedge_run_info *info;
    int rc;

    for (int round = 0; round < ROUNDS_MOST; round++) {
        bool more;

        if (kedge_worker_drain(t->worker, TIMEOUT_US, err) == KEDGE_QUIET &&
            !atomic_load(&t->dead)) {
            kedge_judge_fault(t->judge, "the worker hangs");
            return KEDGE_OK;
        }
        if (atomic_load(&t->dead) || t->judge->why[0] != '\0')
            return KEDGE_OK;
        rc = kedge_run_get(t->healthy, kedge_text(RUN_ID), 0, &info, TIMEOUT_US, err);
        if (rc != KEDGE_OK)
            return rc;
        more = wait_for_due(t, info);
        kedge_run_info_free(info);
        if (!more && !ask_at_rest(t))
            return KEDGE_OK;
    }
    kedge_judge_fault(t->judge, "it does not come to rest");
    return KEDGE_OK;
}

/* The store of the next worker. */
static int next_store(struct trial *t, uint32_t life, struct kedge_error *err)
{
    bool doomed = life == 0 && t->s.crash != 0;
    int rc = kedge_testing_doomed(t->testing, doomed ? t->s.crash : UINT64_MAX, t->s.when,
                                  &t->store, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = kedge_testing_watch(t->store, life == 0 ? watch : look_on, t);
    if (rc == KEDGE_OK)
        return KEDGE_OK;
    kedge_store_close(t->store);
    return kedge_error_set(err, rc, 0, "out of memory");
}

static int one_life(struct trial *t, uint32_t life, struct kedge_error *err)
{
    int rc;

    atomic_store(&t->dead, false);
    rc = next_store(t, life, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = open_worker(t, err);
    if (rc == KEDGE_OK && t->worker != NULL)
        rc = live(t, err);
    kedge_worker_close(t->worker, 0);
    t->worker = NULL;
    kedge_store_close(t->store);
    return rc;
}

/* One worker after the other, until one outlives the run; and one more, which finds it at rest. */
static int all_lives(struct trial *t, struct kedge_error *err)
{
    uint32_t most = t->s.kills != NONE ? CRASH_LIMIT + 3 + t->n : 2;
    uint32_t life = 0;
    int rc = KEDGE_OK;

    for (; life < most && rc == KEDGE_OK && t->judge->why[0] == '\0'; life++) {
        rc = one_life(t, life, err);
        if (rc != KEDGE_OK || !atomic_load(&t->dead))
            break;
        t->report.deaths++;
        kedge_judge_died(t->judge);
        rc = kedge_testing_advance(t->testing, DEAD_US, err);
    }
    if (rc == KEDGE_OK && life == most)
        kedge_judge_fault(t->judge, "its workers die of it without end");
    if (rc == KEDGE_OK && t->judge->life > 0 && t->judge->why[0] == '\0') {
        rc = kedge_testing_advance(t->testing, DEAD_US, err);
        if (rc == KEDGE_OK)
            rc = one_life(t, life + 1, err);
    }
    return rc;
}

/* ------------------------------------------------------------------ how it ended */

static int note_state(void *ctx, const struct kedge_step_info *step)
{
    struct trial *t = ctx;

    if (step->index < t->n)
        t->states[step->index] = step->state;
    return 0;
}

static struct kedge_test_action end_of(const struct kedge_deed *d)
{
    static const uint32_t kinds[] = {
        [KEDGE_SAID_OK] = KEDGE_OUTCOME_OK,      [KEDGE_SAID_SKIP] = KEDGE_OUTCOME_SKIP,
        [KEDGE_SAID_HALT] = KEDGE_OUTCOME_HALT,  [KEDGE_SAID_FAILED] = KEDGE_OUTCOME_FAIL,
        [KEDGE_SAID_TRIED] = KEDGE_OUTCOME_FAIL, [KEDGE_SAID_SNOOZED] = KEDGE_OUTCOME_SNOOZE,
    };

    return (struct kedge_test_action){ .executed = d->all,
                                       .succeeded = d->all_ok,
                                       .last = kinds[d->last] };
}

/* What the user has to say to it. */
static void ask_user(struct trial *t, const struct kedge_run_info *info)
{
    struct kedge_test_end end = { .struct_size = sizeof end,
                                  .text = t->text,
                                  .info = info,
                                  .steps = t->ends,
                                  .n_steps = t->n,
                                  .step_size = sizeof *t->ends,
                                  .deaths = t->judge->life };
    char why[KEDGE_JUDGE_WHY] = "";

    for (uint32_t i = 0; i < t->n; i++)
        t->ends[i] = (struct kedge_test_step){
            .name = name_of(t, i),
            .state = t->states[i],
            .run = end_of(kedge_judge_deed(t->judge, i, KEDGE_ACTION_RUN)),
            .compensate = end_of(kedge_judge_deed(t->judge, i, KEDGE_ACTION_COMPENSATE)),
            .undo = end_of(kedge_judge_deed(t->judge, i, KEDGE_ACTION_UNDO)),
        };
    if (t->plan.check != NULL && t->plan.check(t->plan.ctx, &end, why, sizeof why) != 0) {
        why[sizeof why - 1] = '\0';
        kedge_judge_fault(t->judge, "%s", why[0] != '\0' ? why : "the invariant does not hold");
    }
}

static int judge_end(struct trial *t, struct kedge_error *err)
{
    struct kedge_run_info *info;
    int rc = kedge_run_steps(t->healthy, kedge_text(RUN_ID), note_state, t, TIMEOUT_US, err);

    if (rc == KEDGE_OK)
        rc = kedge_run_get(t->healthy, kedge_text(RUN_ID), KEDGE_RUN_WANT_RESULT, &info, TIMEOUT_US,
                           err);
    if (rc != KEDGE_OK) {
        kedge_judge_fault(t->judge, "the run cannot be read: %s",
                          rc < 0 && err != NULL ? err->msg : kedge_status_text(rc));
        return KEDGE_OK;
    }
    t->status = info->status;
    kedge_judge_rest(t->judge, info, t->states, t->usual);
    if (t->judge->why[0] == '\0')
        ask_user(t, info);
    kedge_run_info_free(info);
    return KEDGE_OK;
}

/* --------------------------------------------------------------------- one case */

/* What a worker says for people is not wanted here; but what must never be said is. */
static void hear_log(void *ctx, int level, const char *text)
{
    struct trial *t = ctx;

    if (level > LOG_CRIT)
        return;
    (void)pthread_mutex_lock(&t->lock);
    kedge_judge_fault(t->judge, "a worker says: %s", text);
    (void)pthread_mutex_unlock(&t->lock);
}

static int start_run(struct trial *t, struct kedge_error *err)
{
    struct kedge_run_start start = KEDGE_START_INIT;

    start.reactor = t->reactor->name;
    start.version = t->reactor->version;
    start.id = kedge_text(RUN_ID);
    start.input = t->plan.input;
    start.context = t->plan.context;
    return kedge_start(t->healthy, &start, TIMEOUT_US, err);
}

static int in_store(struct trial *t, struct kedge_error *err)
{
    int rc = start_run(t, err);

    if (rc == KEDGE_OK)
        rc = all_lives(t, err);
    if (rc == KEDGE_OK && t->judge->why[0] == '\0')
        rc = judge_end(t, err);
    return rc;
}

/* OK: it held, or the judge has a fault. */
static int one_case(struct trial *t, const struct scenario *s, uint32_t usual,
                    struct kedge_error *err)
{
    int rc;

    t->s = *s;
    t->usual = (t->plan.flags & KEDGE_TEST_MAY_DIFFER) == 0 ? usual : 0;
    t->asked = false;
    t->first = 0;
    t->calls = 0;
    t->status = 0;
    t->report.cases++;
    write_case(t, s, t->text);
    kedge_judge_begin(t->judge);
    t->judge->kills = s->kills != NONE ? s->kills_action : 0;
    rc = kedge_testing_open(NULL, &t->testing, err);
    if (rc != KEDGE_OK)
        return rc;
    kedge_testing_log(t->testing, hear_log, t);
    if (t->plan.begin != NULL)
        t->plan.begin(t->plan.ctx, t->text);
    rc = kedge_testing_store(t->testing, &t->healthy, err);
    if (rc == KEDGE_OK) {
        rc = in_store(t, err);
        kedge_store_close(t->healthy);
    }
    kedge_testing_close(t->testing);
    if (rc == KEDGE_OK && t->later)
        return kedge_error_set(err, KEDGE_ERR_UNSUPPORTED, 0,
                               "a step of reactor '%s' said kedge_later(); there is nobody here "
                               "who would settle it",
                               t->reactor->name);
    return rc;
}

/* A case, and what became of it: OK, EXISTS, or why that is not known. */
static int try_case(struct trial *t, const struct scenario *s, uint32_t usual,
                    struct kedge_error *err)
{
    int rc = one_case(t, s, usual, err);

    if (rc != KEDGE_OK || t->judge->why[0] == '\0')
        return rc;
    memcpy(t->report.found, t->text, sizeof t->report.found);
    (void)snprintf(t->report.why, sizeof t->report.why, "%s", t->judge->why);
    return KEDGE_EXISTS;
}

/* ----------------------------------------------------------------- all scenarios */

static int push(struct trial *t, const struct scenario *s, struct kedge_error *err)
{
    if (t->n_tried == t->max_tried) {
        size_t max = t->max_tried == 0 ? 64 : 2 * t->max_tried;
        struct tried *more = realloc(t->tried, max * sizeof *more);

        if (more == NULL)
            return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
        t->tried = more;
        t->max_tried = max;
    }
    t->tried[t->n_tried++] = (struct tried){ .s = *s };
    return KEDGE_OK;
}

static bool wants(const struct trial *t, uint32_t what)
{
    return (t->plan.what & what) != 0;
}

/* What may go wrong with an action that was executed in S. */
static int add_of_deed(struct trial *t, const struct scenario *s, uint32_t step, uint32_t action,
                       struct kedge_error *err)
{
    struct scenario more = *s;
    int rc = KEDGE_OK;

    if (action != KEDGE_ACTION_RUN && wants(t, KEDGE_TEST_UNDO_FAILURES)) {
        more.undo_fails = step;
        rc = push(t, &more, err);
    }
    more = *s;
    more.twice = step;
    more.twice_action = action;
    if (rc == KEDGE_OK && wants(t, KEDGE_TEST_TWICE))
        rc = push(t, &more, err);
    more = *s;
    more.kills = step;
    more.kills_action = action;
    if (rc == KEDGE_OK && wants(t, KEDGE_TEST_CRASH_LOOPS))
        rc = push(t, &more, err);
    return rc;
}

/* Is it one that others are made from? */
static bool is_root(const struct scenario *s)
{
    return s->undo_fails == NONE && s->twice == NONE && s->kills == NONE && s->apart == 0 &&
           s->verb != KEDGE_VERB_RETRY;
}

static int add_of_plain(struct trial *t, struct kedge_error *err)
{
    struct scenario more = plain;
    int rc = KEDGE_OK;

    more.verb = KEDGE_VERB_UNDO;
    if (wants(t, KEDGE_TEST_REQUESTS))
        rc = push(t, &more, err);
    for (uint32_t i = 0; i < t->n && rc == KEDGE_OK && wants(t, KEDGE_TEST_FAILURES); i++) {
        more = plain;
        more.fail = i;
        if (kedge_judge_deed(t->judge, i, KEDGE_ACTION_RUN)->all > 0)
            rc = push(t, &more, err);
    }
    return rc;
}

/* The scenario that was just tried leads to others. */
static int add_others(struct trial *t, const struct scenario *s, struct kedge_error *err)
{
    bool is_plain = s->fail == NONE && s->verb == 0;
    struct scenario more = *s;
    int rc = is_plain ? add_of_plain(t, err) : KEDGE_OK;

    for (uint32_t i = 0; i < t->n; i++) {
        for (uint32_t a = is_plain ? KEDGE_ACTION_RUN : KEDGE_ACTION_COMPENSATE;
             a <= KEDGE_ACTION_UNDO && rc == KEDGE_OK; a++) {
            if (kedge_judge_deed(t->judge, i, a)->all > 0)
                rc = add_of_deed(t, s, i, a, err);
        }
    }
    more.apart = 1;
    if (rc == KEDGE_OK && s->verb == 0 && kedge_judge_parallel(t->judge))
        rc = push(t, &more, err);
    more = *s;
    more.verb = KEDGE_VERB_RETRY;
    if (rc == KEDGE_OK && wants(t, KEDGE_TEST_REQUESTS) && t->status == KEDGE_FAILED)
        rc = push(t, &more, err);
    return rc;
}

/* Without a death.  What it leads to comes behind all others. */
static int try_scenario(struct trial *t, size_t i, struct kedge_error *err)
{
    struct scenario s = t->tried[i].s;
    int rc = try_case(t, &s, 0, err);

    t->report.scenarios++;
    if (rc != KEDGE_OK)
        return rc;
    t->tried[i].first = t->first > 0 ? t->first : 1;
    t->tried[i].calls = t->calls;
    t->tried[i].status = t->status;
    return is_root(&s) && s.at == 0 ? add_others(t, &s, err) : KEDGE_OK;
}

/* --------------------------------------------------------------- what is left out */

static uint64_t calls_of(const struct tried *tried)
{
    return tried->calls - tried->first + 1;
}

/* Requests are made at any moment of these. */
static bool has_moments(const struct trial *t, const struct scenario *s)
{
    struct scenario alike = *s;

    alike.apart = 0; /* then steps are under way when a request is taken up */
    return wants(t, KEDGE_TEST_REQUESTS) && is_root(&alike) && s->verb == 0;
}

/* About so many cases there are, if each stride-th moment is tried. */
static uint64_t count_cases(const struct trial *t, uint64_t stride)
{
    uint64_t deaths = wants(t, KEDGE_TEST_CRASHES) ? 2 : 0;
    uint64_t n = t->report.cases;

    for (size_t i = 0; i < t->n_tried; i++) {
        uint64_t calls = calls_of(&t->tried[i]);

        if (t->tried[i].s.kills == NONE)
            n += deaths * calls / stride;
        if (has_moments(t, &t->tried[i].s)) /* cancel and pause; deaths after each, half of them */
            n += 2 * calls / stride * (1 + deaths * calls / 2 / stride);
    }
    return n;
}

static void find_stride(struct trial *t)
{
    uint64_t all = count_cases(t, 1);
    uint64_t stride = 1;

    while (t->plan.limit > 0 && stride < 10000 && count_cases(t, stride) > t->plan.limit)
        stride++;
    t->report.stride = stride;
    t->report.left_out = stride > 1 ? all - count_cases(t, stride) : 0;
}

/* ----------------------------------------------------------------- all of it */

static int add_moments(struct trial *t, uint64_t *turn, struct kedge_error *err)
{
    static const uint32_t verbs[] = { KEDGE_VERB_CANCEL, KEDGE_VERB_PAUSE };
    size_t n = t->n_tried;
    int rc = KEDGE_OK;

    for (size_t i = 0; i < n; i++) {
        struct tried from = t->tried[i];
        struct scenario s = from.s;

        for (uint64_t at = from.first; at <= from.calls && has_moments(t, &from.s); at++) {
            for (size_t v = 0; v < 2 && rc == KEDGE_OK; v++) {
                s.verb = verbs[v];
                s.at = at;
                if ((*turn)++ % t->report.stride == 0)
                    rc = push(t, &s, err);
            }
        }
    }
    return rc;
}

static int try_deaths(struct trial *t, const struct tried *of, uint64_t *turn,
                      struct kedge_error *err)
{
    struct scenario s = of->s;
    /* Before a request is made the case is that of the scenario without it. */
    uint64_t k = s.at > of->first ? s.at : of->first;
    int rc = KEDGE_OK;

    if (is_root(&s) && s.fail == NONE && s.verb == 0)
        k = 1; /* and before the run is claimed they are all the same */
    for (; k <= of->calls; k++) {
        for (uint32_t when = KEDGE_TESTING_BEFORE; when <= KEDGE_TESTING_AFTER; when++) {
            s.crash = k;
            s.when = when;
            if ((*turn)++ % t->report.stride == 0)
                rc = try_case(t, &s, of->status, err);
            if (rc != KEDGE_OK)
                return rc;
        }
    }
    return KEDGE_OK;
}

static int try_all(struct trial *t, struct kedge_error *err)
{
    uint64_t turn = 0;
    size_t i = 0;
    int rc = push(t, &plain, err);

    for (; i < t->n_tried && rc == KEDGE_OK; i++)
        rc = try_scenario(t, i, err);
    if (rc != KEDGE_OK)
        return rc;
    find_stride(t);
    rc = add_moments(t, &turn, err);
    for (; i < t->n_tried && rc == KEDGE_OK; i++)
        rc = try_scenario(t, i, err);
    for (i = 0; i < t->n_tried && rc == KEDGE_OK && wants(t, KEDGE_TEST_CRASHES); i++) {
        if (t->tried[i].s.kills == NONE)
            rc = try_deaths(t, &t->tried[i], &turn, err);
    }
    return rc;
}

static int try_only(struct trial *t, struct kedge_error *err)
{
    struct scenario s;
    struct scenario alive;
    int rc = read_case(t, t->plan.only, &s, err);

    if (rc != KEDGE_OK)
        return rc;
    alive = s;
    alive.crash = 0;
    alive.when = 0;
    t->report.scenarios = 1;
    rc = try_case(t, &alive, 0, err);
    if (rc == KEDGE_OK && s.crash != 0)
        rc = try_case(t, &s, t->status, err);
    return rc;
}

static void forget(struct trial *t)
{
    kedge_judge_free(t->judge);
    kedge_reactor_free(t->reactor);
    free(t->shadows);
    free(t->ends);
    free(t->states);
    free(t->tried);
    (void)pthread_mutex_destroy(&t->lock);
}

static void tell(const struct trial *t, struct kedge_test_report *report)
{
    size_t size = report->struct_size < sizeof t->report ? report->struct_size : sizeof t->report;

    memcpy(report, &t->report, size);
    if (size >= sizeof report->struct_size)
        report->struct_size = size;
}

int kedge_test_enumerate(const struct kedge_test_plan *plan, struct kedge_test_report *report,
                         struct kedge_error *err)
{
    struct trial t;
    int rc;

    memset(&t, 0, sizeof t);
    if (pthread_mutex_init(&t.lock, NULL) != 0)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    t.report.struct_size = sizeof t.report;
    t.report.stride = 1;
    rc = check_plan(&t, plan, err);
    if (rc == KEDGE_OK)
        rc = t.plan.only != NULL ? try_only(&t, err) : try_all(&t, err);
    if (rc >= 0 && report != NULL)
        tell(&t, report);
    forget(&t);
    return rc;
}
