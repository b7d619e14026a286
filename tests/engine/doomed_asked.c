/*
 * doomed_asked.c - rollbacks and requests: each step fails in turn, each undo does, and whatever
 * can be asked of a run is asked; with a death at every call of the worker, or of who asks
 *
 * The sagas are made here, all from one diamond whose steps have an undo and a compensate.
 */
#include "doomed_kit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL_BACK .undo = 1, .compensate = 1
#define LAST     4 /* step of the diamond */

/* One step after the other; b may run beside c. */
static const struct saga diamond = {
    .steps = { { .name = "a", ALL_BACK },
               { .name = "b", .after = { "a" }, .flags = KEDGE_STEP_POOL, ALL_BACK },
               { .name = "c", .after = { "a" }, ALL_BACK },
               { .name = "d", .after = { "b", "c" }, ALL_BACK },
               { .name = "e", .after = { "d" }, .flags = KEDGE_STEP_POOL, ALL_BACK } },
};

static const char *wanted; /* one saga alone; NULL: all */
static uint64_t stride;
static uint64_t offset;

static void go(struct saga *saga, point_fn *point, const char *who, uint64_t step, const char *fmt,
               ...) __attribute__((format(printf, 5, 6)));
static void go(struct saga *saga, point_fn *point, const char *who, uint64_t step, const char *fmt,
               ...)
{
    char name[80];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    saga->name = name;
    offset = offset % step + 1;
    if (wanted == NULL || strcmp(wanted, name) == 0)
        enumerate(saga, point, step > 1 ? offset : 1, step, who);
    saga->name = NULL;
}

/* --------------------------------------------------- what fails, and what is late */

static void rollbacks(void)
{
    for (int i = 0; i <= LAST; i++) {
        struct saga saga = diamond;

        saga.steps[i].end = KEDGE_OUTCOME_FAIL;
        go(&saga, worker_point, "a worker", stride, "%s fails", saga.steps[i].name);
    }
    for (int i = 0; i <= LAST; i++) {
        struct saga saga = diamond;

        saga.steps[LAST].end = KEDGE_OUTCOME_FAIL;
        saga.steps[i].back_fails = 1;
        go(&saga, worker_point, "a worker", stride, "e fails, %s cannot be taken back",
           saga.steps[i].name);
    }
    for (int i = 0; i <= LAST; i++) {
        struct saga saga = diamond;

        saga.steps[LAST].end = KEDGE_OUTCOME_FAIL;
        saga.steps[i].back_fails = i % 2 == 0 ? 1 : 2;
        saga.steps[i].attempts = 3;
        saga.steps[(i + 2) % LAST].back_snoozes = 1;
        saga.deaths = 1 + i % 2;
        go(&saga, worker_point, "a worker", stride, "e fails, %s is taken back at last, %s snoozes",
           saga.steps[i].name, saga.steps[(i + 2) % LAST].name);
    }
}

/* ------------------------------------------------------- asked from a step's function */

static void requests_to_a_holder(void)
{
    static const uint32_t verbs[] = { KEDGE_VERB_CANCEL, KEDGE_VERB_PAUSE };

    for (int i = 0; i <= LAST; i++) {
        for (int v = 0; v < 2; v++) {
            struct saga saga = diamond;

            saga.verb = verbs[v];
            saga.in = saga.steps[i].name;
            go(&saga, worker_point, "a worker", stride, "%s in %s", kedge_verb_text(saga.verb),
               saga.in);
        }
    }
    for (int i = 0; i <= LAST; i++) {
        struct saga saga = diamond;

        saga.verb = KEDGE_VERB_CANCEL;
        saga.in = saga.steps[i].name;
        saga.heeds = 1;
        saga.flags = KEDGE_STEP_POOL; /* who blocks the loop is told nothing */
        go(&saga, worker_point, "a worker", stride, "cancel in %s, which heeds it", saga.in);
    }
}

/* ------------------------------------------------------------------ a second round */

/*
 * A run that is at rest, or was never taken, or whose worker is dead, is asked for something; what
 * comes then is the second round.  FIRST and AGAIN are what its steps do in the one and the other.
 */
struct rounds {
    struct saga first;
    struct saga again;
    uint64_t dies; /* the call at which the first worker dies; 0: none */
    uint32_t from; /* how the first round ends; 0: there is none */
    int step;      /* that is stuck */
    int buried;    /* and its runs are due again */
    int known;     /* the store has seen the reactor, if nobody has taken the run */
};

/* What is asked of a run whose E fails and whose I cannot be taken back. */
static struct rounds stuck_rounds(int i, uint32_t verb)
{
    struct rounds r = { diamond, diamond, 0, KEDGE_STUCK, 0, 0, 0 };

    r.first.steps[LAST].end = KEDGE_OUTCOME_FAIL;
    r.again.steps[LAST].end = KEDGE_OUTCOME_FAIL;
    r.first.steps[i].back_fails = 1;
    r.step = i;
    if (verb == KEDGE_VERB_ABANDON) {
        r.again.steps[i].back_fails = 1;
        r.again.due = KEDGE_ABORTED;
    }
    return r;
}

static struct rounds make_rounds(int kind, uint32_t verb)
{
    struct rounds r = { diamond, diamond, 0, 0, 0, 0, 0 };

    switch (verb) {
    case KEDGE_VERB_UNDO:
        r.from = KEDGE_COMPLETED;
        r.again.due = KEDGE_CANCELLED;
        break;
    case KEDGE_VERB_RETRY:
        r.from = KEDGE_FAILED;
        r.first.steps[kind].end = KEDGE_OUTCOME_FAIL;
        break;
    case KEDGE_VERB_CANCEL:
    case KEDGE_VERB_PAUSE:
        r.dies = kind > 1 ? (uint64_t)kind : 0;
        r.known = kind == 1;
        r.buried = kind == 6;
        r.again.due = verb == KEDGE_VERB_CANCEL ? KEDGE_CANCELLED : 0;
        break;
    default:
        r = stuck_rounds(kind, verb);
        break;
    }
    r.again.verb = verb;
    return r;
}

static struct rounds the;                                 /* the rounds at hand */
static struct effect earlier[RUNS_MOST * STEPS_MOST * 8]; /* what the first round did */
static size_t n_earlier;

/* In the second round an action has its key of the first, but after a retry all are new. */
static int keys_fit(void)
{
    int retried = the.again.verb == KEDGE_VERB_RETRY;

    for (size_t i = 0; i < h.n_effects; i++) {
        for (size_t j = 0; j < n_earlier; j++) {
            const struct effect *a = &h.effects[i];
            const struct effect *b = &earlier[j];
            int same = strcmp(a->key, b->key) == 0;

            if (a->action >= ASKED || b->action >= ASKED)
                continue;
            if (same != (!retried && a->step == b->step && a->action == b->action)) {
                printf("# key '%s' in the first round, '%s' in the second\n", b->key, a->key);
                return 0;
            }
        }
    }
    return 1;
}

/* Up to the request.  Answers whether all went well. */
static int first_round(uint64_t k)
{
    struct kedge_store *store;
    int outcomes[RUNS_MOST];
    int good = 1;

    n_earlier = 0;
    the_phase = 0;
    store_new();
    h.phases = 1;
    store = store_open();
    if (the.known)
        introduce(&the.first);
    must(start_runs(store, 1, outcomes), "start");
    (void)look(store, &the.first, 0);
    kedge_store_close(store);
    if (the.from != 0) {
        finish(&the.first);
        good = judge(&the.first, k) && h.at[1][0].status == the.from;
        n_earlier = h.n_effects;
        memcpy(earlier, h.effects, n_earlier * sizeof *earlier);
        effects_forget();
        memset(&h, 0, sizeof h);
    }
    return good;
}

static int ask_now(void)
{
    struct kedge_store *store = store_open();
    int rc = ask(store, 0, the.again.verb);

    effect_asked(0, 0, 0, the.again.verb, rc);
    kedge_store_close(store);
    return rc;
}

static void look_now(int phase)
{
    struct kedge_store *store = store_open();

    (void)look(store, &the.again, phase);
    kedge_store_close(store);
}

static int said(int good, const char *what, int got, int due)
{
    if (!good)
        printf("# %s: %d, not %d\n", what, got, due);
    return good;
}

/* Does the step that was stuck stand as the verb says?  Nothing has been executed since. */
static int stands(void)
{
    uint32_t state = h.at[0][0].steps[the.step].state;
    uint32_t undone = the.step == LAST ? KEDGE_STEP_COMPENSATED : KEDGE_STEP_UNDONE;

    switch (the.again.verb) {
    case KEDGE_VERB_SKIP_UNDO:
        return said(state == KEDGE_STEP_LEFT, "skipped", (int)state, KEDGE_STEP_LEFT);
    case KEDGE_VERB_MARK_UNDONE:
        return said(state == undone, "marked", (int)state, (int)undone);
    default:
        return 1;
    }
}

/* -- the worker of the second round dies -- */

static int again_point(const struct saga *saga, uint64_t k, uint32_t how, int *good)
{
    struct saga again = the.again;
    int dead;
    int rc;

    again.name = saga->name;
    *good = first_round(k);
    h.phases = 2;
    rc = ask_now();
    if (rc != KEDGE_OK)
        printf("# %s answers %s\n", kedge_verb_text(again.verb), kedge_status_name(rc));
    effects_forget();
    look_now(0);
    *good &= stands();
    dead = die(k, how, work, &again, 1);
    look_now(1);
    finish(&again);
    *good &= rc == KEDGE_OK && judge(&again, k) && keys_fit();
    store_drop();
    return dead;
}

/* -- who asks dies -- */

static void ask_and_die(struct kedge_store *store, const struct saga *saga, int n)
{
    (void)n;
    (void)ask(store, 0, saga->verb);
}

/* What the second to ask is told, if the first one's request is THERE, or is not. */
static int due_answer(int there)
{
    if (!there)
        return KEDGE_OK;
    switch (the.again.verb) {
    case KEDGE_VERB_CANCEL:
    case KEDGE_VERB_PAUSE:
    case KEDGE_VERB_UNDO:
    case KEDGE_VERB_ABANDON:
        return KEDGE_EXISTS;
    default:
        return KEDGE_STALE;
    }
}

/*
 * Is what the dead has asked for there wholly, or not at all?  *THERE, of which NEEDED says what is
 * due: 1, 0, or -1 for either, as only the last call of several makes it so.
 */
static int whole(const struct seen_run *was, int needed, int *there)
{
    struct seen_run is;

    look_now(h.phases);
    is = h.at[h.phases][0];
    *there = is.status != was->status || is.place != was->place || is.records != was->records ||
             is.requests != was->requests;
    return said(needed < 0 || *there == needed, "its request is there", *there, needed);
}

/* As often as one asks, it stays as it is. */
static int asked_again(int there)
{
    int rc = ask_now();
    int good = said(rc == due_answer(there), "asked again", rc, due_answer(there));

    rc = ask_now();
    return good && said(rc == due_answer(1), "asked once more", rc, due_answer(1));
}

static int client_again_point(const struct saga *saga, uint64_t k, uint32_t how, int *good)
{
    struct saga again = the.again;
    struct seen_run was;
    int there = 0;
    int dead;

    again.name = saga->name;
    *good = first_round(k);
    if (the.dies > 0)
        (void)die(the.dies, KEDGE_TESTING_AFTER, work, &again, 1);
    if (the.buried)
        bury_the_dead(&again);
    h.buried = the.buried;
    h.phases = the.dies > 0 ? 2 : 1;
    look_now(h.phases);
    was = h.at[h.phases][0];
    dead = die(k, how, ask_and_die, &again, 1);
    *good &= whole(&was, dead && how != KEDGE_TESTING_AFTER ? 0 : dead ? -1 : 1, &there);
    *good &= asked_again(there);
    if (the.dies == 0)
        effects_forget();
    look_now(h.phases - 1);
    finish(&again);
    *good &= judge(&again, k) && keys_fit();
    store_drop();
    return dead;
}

static void second_rounds(void)
{
    static const struct {
        uint32_t verb;
        int kind;
    } all[] = {
        { KEDGE_VERB_UNDO, 0 },           { KEDGE_VERB_RETRY, 1 },
        { KEDGE_VERB_RETRY, LAST },       { KEDGE_VERB_RETRY_UNDO, 1 },
        { KEDGE_VERB_RETRY_UNDO, LAST },  { KEDGE_VERB_SKIP_UNDO, 1 },
        { KEDGE_VERB_SKIP_UNDO, LAST },   { KEDGE_VERB_MARK_UNDONE, 1 },
        { KEDGE_VERB_MARK_UNDONE, LAST }, { KEDGE_VERB_ABANDON, 2 },
        { KEDGE_VERB_CANCEL, 0 },         { KEDGE_VERB_PAUSE, 0 },
        { KEDGE_VERB_CANCEL, 1 },         { KEDGE_VERB_PAUSE, 1 },
        { KEDGE_VERB_CANCEL, 4 },         { KEDGE_VERB_PAUSE, 4 },
        { KEDGE_VERB_CANCEL, 6 },         { KEDGE_VERB_PAUSE, 6 },
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *verb = kedge_verb_text(all[i].verb);
        struct saga saga;

        the = make_rounds(all[i].kind, all[i].verb);
        saga = the.again;
        go(&saga, client_again_point, "a client", 1, "%s, %d", verb, all[i].kind);
        if (the.from != 0 && all[i].verb != KEDGE_VERB_ABANDON)
            go(&saga, again_point, "a worker", stride, "after %s, %d", verb, all[i].kind);
    }
}

void asked_points(const char *only, uint64_t step)
{
    wanted = only;
    stride = step;
    rollbacks();
    requests_to_a_holder();
    second_rounds();
}
