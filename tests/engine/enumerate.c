/*
 * enumerate.c - kedge_test_enumerate() over reactors of many shapes, and over broken ones
 *
 * First: everything that can happen to reactors in a sound world holds.  Then worlds that are not
 * sound, each in one way: a counter-example is found, it is the one that was to be found, and its
 * text alone leads to it again.  Last: reactors at random, by seed.  Speaks TAP.
 *
 *	./enumerate [SEED [HOW-MANY]]
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/kedge.h>
#include <kedge/testing.h>

enum { STEPS_MOST = 8, TRIES = 3, LINKS = 4 };

/* What a function does in an attempt of its own. */
enum does { OK, SKIP, HALT, FAIL, FINAL, SNOOZE, NO_OUTCOME };

/* A step of these tests, and the effects it has in the world. */
struct act {
    const char *name;
    enum does run[TRIES]; /* by attempt */
    enum does back[TRIES];
    unsigned char no_undo;
    unsigned char no_compensate;
    unsigned char pool;
    uint32_t attempts;
    int64_t base_us;
    const char *after[LINKS + 1];
    /* the world */
    int effect; /* 1: in force */
    int blind;  /* how often it took effect, for those who do not look at keys */
    int snoozed[4];
};

static struct kedge_error err;
static int n_tests;
static int n_failed;
static int verbose;

static void report(int good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void report(int good, const char *fmt, ...)
{
    va_list ap;

    n_tests++;
    n_failed += !good;
    printf("%sok %d - ", good ? "" : "not ", n_tests);
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    (void)putchar('\n');
    (void)fflush(stdout);
}

/* ------------------------------------------------------------------- the world */

static int say(struct kedge_step *step, struct act *act, enum does what)
{
    const struct kedge_view *view = kedge_step_view(step);

    switch (what) {
    case SKIP:
        return kedge_skip(step, "nothing to do");
    case HALT:
        return kedge_halt(step, "enough");
    case FAIL:
        return kedge_fail(step, 0, "once more");
    case FINAL:
        return kedge_fail(step, KEDGE_FAIL_FINAL, act->name);
    case SNOOZE:
        if (act->snoozed[view->action]++ == 0)
            return kedge_snooze(step, 3600 * INT64_C(1000000));
        return kedge_ok(step, "{\"late\":true}", 13);
    case NO_OUTCOME:
        return 0;
    case OK:
    default:
        return kedge_ok(step, "{\"n\":1}", 7);
    }
}

static void trace(const struct kedge_view *view)
{
    static const char *const actions[] = { "?", "run", "compensate", "undo" };

    if (verbose)
        printf("#   %s %s, attempt %u%s\n", actions[view->action], view->step,
               (unsigned)view->attempt, (view->flags & KEDGE_STEP_IN_DOUBT) ? ", in doubt" : "");
}

/* Idempotent. */
static int do_run(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);
    struct act *act = user;
    enum does what = act->run[view->attempt <= TRIES ? view->attempt - 1 : TRIES - 1];

    trace(view);
    if (what != SKIP && what != HALT) {
        act->effect = 1;
        act->blind++;
    }
    return say(step, act, what);
}

static int do_back(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);
    struct act *act = user;

    trace(view);
    act->effect = 0;
    return say(step, act, act->back[view->attempt <= TRIES ? view->attempt - 1 : TRIES - 1]);
}

struct world {
    const char *what;
    struct act *acts;
    size_t n;
    struct kedge_step_def steps[STEPS_MOST];
    struct kedge_reactor_def def;
    uint64_t cases;
    kedge_test_check_fn *check;
};

static void begin(void *ctx, const char *text)
{
    struct world *w = ctx;

    if (verbose)
        printf("# %s\n", text);
    for (size_t i = 0; i < w->n; i++) {
        struct act *act = &w->acts[i];

        act->effect = act->blind = 0;
        memset(act->snoozed, 0, sizeof act->snoozed);
    }
    w->cases++;
}

static const struct kedge_test_step *step_at(const struct kedge_test_end *end, size_t i)
{
    return (const void *)((const char *)end->steps + i * end->step_size);
}

/* What can be taken back is, after a rollback; what is done is in force. */
static int check(void *ctx, const struct kedge_test_end *end, char *why, size_t size)
{
    struct world *w = ctx;
    uint32_t status = end->info->status;
    int back = status == KEDGE_FAILED || status == KEDGE_CANCELLED;
    int forward = status == KEDGE_COMPLETED || status == KEDGE_HALTED;

    for (size_t i = 0; i < w->n; i++) {
        const struct act *act = &w->acts[i];
        const struct kedge_test_step *step = step_at(end, i);
        int in_force = forward && step->state == KEDGE_STEP_DONE;

        if (strcmp(step->name, act->name) != 0) {
            (void)snprintf(why, size, "step %zu is '%s'", i, step->name);
            return 1;
        }
        if ((back && !act->no_undo && !act->no_compensate && act->effect != 0) ||
            (in_force && act->effect == 0)) {
            (void)snprintf(why, size, "'%s' is %s, and its effect is %s", act->name,
                           kedge_step_state_text(step->state),
                           act->effect != 0 ? "there" : "not there");
            return 1;
        }
    }
    return 0;
}

static void build(struct world *w, const char *what, struct act *acts, size_t n)
{
    memset(w, 0, sizeof *w);
    w->what = what;
    w->acts = acts;
    w->n = n;
    w->check = check;
    for (size_t i = 0; i < n; i++) {
        w->steps[i] = (struct kedge_step_def){
            .name = acts[i].name,
            .flags = acts[i].pool ? KEDGE_STEP_POOL : 0,
            .run = do_run,
            .compensate = acts[i].no_compensate ? NULL : do_back,
            .undo = acts[i].no_undo ? NULL : do_back,
            .user = &acts[i],
            .after = acts[i].after,
            .retry = { .attempts = acts[i].attempts, .base_us = acts[i].base_us },
        };
    }
    w->def = (struct kedge_reactor_def){ .struct_size = sizeof w->def,
                                         .name = "under-test",
                                         .version = 1,
                                         .steps = w->steps,
                                         .n_steps = n,
                                         .step_size = sizeof w->steps[0] };
}

static int enumerate(struct world *w, uint32_t flags, uint64_t limit, const char *only,
                     struct kedge_test_report *out)
{
    struct kedge_test_plan plan = KEDGE_TEST_PLAN_INIT(&w->def, begin, w->check);
    struct kedge_test_report fresh = KEDGE_TEST_REPORT_INIT;
    int rc;

    *out = fresh;
    w->cases = 0;
    plan.ctx = w;
    plan.flags = flags;
    plan.limit = limit;
    plan.only = only;
    plan.input = kedge_text("{\"order\":7}");
    rc = kedge_test_enumerate(&plan, out, &err);
    if (rc < 0) {
        printf("Bail out! %s: %s: %s\n", w->what, kedge_status_name(rc), err.msg);
        exit(99);
    }
    return rc;
}

/* ------------------------------------------------------------------ sound worlds */

static int is_long;

/* LIMIT: unless there is time. */
static int holds(struct world *w, uint32_t flags, uint64_t limit)
{
    struct kedge_test_report r;
    int rc = enumerate(w, flags, is_long ? 0 : limit, NULL, &r);
    int good = rc == KEDGE_OK && r.cases == w->cases && r.deaths > 0;

    report(good, "%s: %llu cases, %llu scenarios, %llu deaths, stride %llu", w->what,
           (unsigned long long)r.cases, (unsigned long long)r.scenarios,
           (unsigned long long)r.deaths, (unsigned long long)r.stride);
    if (rc == KEDGE_EXISTS)
        printf("# %s: %s\n", r.found, r.why);
    return good;
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void sound(void)
{
    struct act chain[] = { { .name = "reserve" },
                           { .name = "charge", .after = { "reserve" } },
                           { .name = "ship", .after = { "charge" } } };
    struct act diamond[] = {
        { .name = "a" },
        { .name = "b", .run = { FAIL, OK }, .attempts = 2, .base_us = 1000, .after = { "a" } },
        { .name = "c", .after = { "a" } },
        { .name = "d", .after = { "b", "c" } }
    };
    struct act retries[] = {
        { .name = "patient",
          .run = { FAIL, FAIL, OK },
          .back = { FAIL, OK },
          .attempts = 3,
          .base_us = 86400 * INT64_C(1000000) },
        { .name = "gives-up", .run = { FAIL, FAIL, FAIL }, .attempts = 3, .after = { "patient" } }
    };
    struct act naps[] = { { .name = "nap", .run = { SNOOZE }, .back = { SNOOZE } },
                          { .name = "skip", .run = { SKIP }, .after = { "nap" } },
                          { .name = "end", .after = { "skip" } } };
    struct act halts[] = { { .name = "first" },
                           { .name = "halt", .run = { HALT }, .after = { "first" } },
                           { .name = "never", .after = { "halt" } } };
    struct act both[] = { { .name = "root" },
                          { .name = "fails", .run = { FINAL }, .after = { "root" } },
                          { .name = "halts", .run = { HALT }, .after = { "root" } },
                          { .name = "fails-too", .run = { NO_OUTCOME }, .after = { "root" } } };
    struct act last[] = { { .name = "fails", .run = { FINAL } },
                          { .name = "halts", .run = { HALT } } };
    struct act gaps[] = {
        { .name = "done" },
        { .name = "no-undo", .no_undo = 1, .after = { "done" } },
        { .name = "no-compensate", .no_compensate = 1, .after = { "no-undo" } },
        { .name = "neither", .no_undo = 1, .no_compensate = 1, .after = { "no-compensate" } },
        { .name = "beside" }
    };
    struct act stuck[] = { { .name = "under" },
                           { .name = "over", .back = { FINAL }, .after = { "under" } },
                           { .name = "beside" },
                           { .name = "bad", .run = { FINAL }, .after = { "over", "beside" } } };
    struct act pools[] = { { .name = "p", .pool = 1 },
                           { .name = "q", .pool = 1 },
                           { .name = "loop", .after = { "p" } },
                           { .name = "join",
                             .pool = 1,
                             .run = { FAIL, FINAL },
                             .attempts = 2,
                             .after = { "q", "loop" } } };
    struct act one[] = { { .name = "alone" } };
    struct world w;

    build(&w, "a step alone", one, COUNT(one));
    (void)holds(&w, 0, 0);
    build(&w, "chain", chain, COUNT(chain));
    (void)holds(&w, 0, 0);
    build(&w, "diamond with a retry", diamond, COUNT(diamond));
    (void)holds(&w, 0, 0);
    build(&w, "retries of run and undo, a day apart", retries, COUNT(retries));
    (void)holds(&w, 0, 800);
    build(&w, "snooze and skip", naps, COUNT(naps));
    (void)holds(&w, 0, 800);
    build(&w, "halt", halts, COUNT(halts));
    (void)holds(&w, 0, 0);
    build(&w, "two failures and a halt at once", both, COUNT(both));
    (void)holds(&w, 0, 800);
    build(&w, "a failure, then a halt", last, COUNT(last));
    (void)holds(&w, 0, 800);
    build(&w, "steps without undo, without compensate", gaps, COUNT(gaps));
    (void)holds(&w, 0, 800);
    build(&w, "an undo that fails", stuck, COUNT(stuck));
    (void)holds(&w, 0, 800);
    build(&w, "pool steps, one after the other", pools, COUNT(pools));
    (void)holds(&w, 0, 800);
    build(&w, "pool steps, on threads", pools, COUNT(pools));
    (void)holds(&w, KEDGE_TEST_THREADS, 400);
}

/* ------------------------------------------------------------- worlds that are not */

/* Found, as FOUND (or something that begins so), and found again by its text. */
static void breaks(struct world *w, const char *found, const char *why)
{
    struct kedge_test_report first;
    struct kedge_test_report again;
    int good = enumerate(w, 0, 0, NULL, &first) == KEDGE_EXISTS;

    good =
        good && strncmp(first.found, found, strlen(found)) == 0 && strstr(first.why, why) != NULL;
    good = good && enumerate(w, 0, 0, first.found, &again) == KEDGE_EXISTS &&
           strcmp(again.found, first.found) == 0 && strcmp(again.why, first.why) == 0;
    report(good, "%s: found, and replayed: %s", w->what, first.found);
    if (!good)
        printf("# found '%s' (%s) after %llu cases; again '%s' (%s)\n", first.found, first.why,
               (unsigned long long)first.cases, again.found, again.why);
}

/* Each execution counts. */
static int check_blind(void *ctx, const struct kedge_test_end *end, char *why, size_t size)
{
    struct world *w = ctx;

    for (size_t i = 0; i < w->n && end->info->status == KEDGE_COMPLETED; i++) {
        if (w->acts[i].blind != 1) {
            (void)snprintf(why, size, "'%s' took effect %d times", w->acts[i].name,
                           w->acts[i].blind);
            return 1;
        }
    }
    return 0;
}

static int check_deaths(void *ctx, const struct kedge_test_end *end, char *why, size_t size)
{
    if (end->deaths == 0)
        return 0;
    (void)size;
    why[0] = '\0'; /* which is a sentence of the library's then */
    return check_blind(ctx, end, why, size);
}

static int check_never(void *ctx, const struct kedge_test_end *end, char *why, size_t size)
{
    (void)ctx;
    (void)end;
    (void)why;
    (void)size;
    return 1;
}

static int check_uncancelled(void *ctx, const struct kedge_test_end *end, char *why, size_t size)
{
    (void)ctx;
    (void)snprintf(why, size, "it was cancelled");
    return end->info->status == KEDGE_CANCELLED;
}

static int check_error(void *ctx, const struct kedge_test_end *end, char *why, size_t size)
{
    (void)ctx;
    (void)snprintf(why, size, "a crash loop");
    return strstr(end->text, "kills=run:charge") != NULL && end->info->status == KEDGE_FAILED &&
           end->info->error.len == strlen("crash loop");
}

static int check_undo_once(void *ctx, const struct kedge_test_end *end, char *why, size_t size)
{
    (void)ctx;
    for (size_t i = 0; i < end->n_steps; i++) {
        const struct kedge_test_step *step = step_at(end, i);

        if (step->undo.executed > 1 && end->deaths == 0) {
            (void)snprintf(why, size, "'%s' was undone %u times", step->name,
                           (unsigned)step->undo.executed);
            return 1;
        }
    }
    return 0;
}

/* What it says depends on what happened before it: a death changes how the run ends. */
static int do_moody(struct kedge_step *step, void *user)
{
    struct act *act = user;

    return ++act->blind > 1 ? kedge_fail(step, KEDGE_FAIL_FINAL, "not twice")
                            : kedge_ok(step, NULL, 0);
}

static void unsound(void)
{
    struct act pay[] = { { .name = "reserve" },
                         { .name = "charge", .after = { "reserve" } },
                         { .name = "ship", .after = { "charge" } } };
    struct act gap[] = { { .name = "reserve" },
                         { .name = "charge", .no_compensate = 1, .after = { "reserve" } } };
    struct world w;

    build(&w, "an invariant that never holds", pay, COUNT(pay));
    w.check = check_never;
    breaks(&w, "plain", "the invariant does not hold");
    build(&w, "charges blindly", pay, COUNT(pay));
    w.check = check_blind;
    breaks(&w, "twice=run:reserve", "'reserve' took effect 2 times");
    build(&w, "charges blindly after a death", pay, COUNT(pay));
    w.check = check_deaths;
    breaks(&w, "crash=before:", "'reserve' took effect 2 times");
    build(&w, "must not be cancelled", pay, COUNT(pay));
    w.check = check_uncancelled;
    breaks(&w, "request=undo", "it was cancelled");
    build(&w, "must not loop", pay, COUNT(pay));
    w.check = check_error;
    breaks(&w, "kills=run:charge", "a crash loop");
    build(&w, "undone once", pay, COUNT(pay));
    w.check = check_undo_once;
    breaks(&w, "twice=undo:reserve request=undo", "'reserve' was undone 2 times");
    build(&w, "no compensate for what failed", gap, COUNT(gap));
    gap[1].no_compensate = 0; /* which the world does not know */
    breaks(&w, "fail=charge", "'charge' is failed, and its effect is there");
    build(&w, "ends otherwise after a death", pay, COUNT(pay));
    w.check = NULL;
    w.steps[1].run = do_moody;
    breaks(&w, "crash=before:", "without the death of a worker it ends as completed");
}

/* ------------------------------------------------------------------------ the rest */

static void limits(void)
{
    struct act acts[] = { { .name = "a" },
                          { .name = "b", .after = { "a" } },
                          { .name = "c", .after = { "a" } },
                          { .name = "d", .after = { "b", "c" } } };
    struct kedge_test_report all;
    struct kedge_test_report some;
    struct world w;

    build(&w, "limit", acts, COUNT(acts));
    (void)enumerate(&w, 0, 0, NULL, &all);
    (void)enumerate(&w, 0, all.cases / 4, NULL, &some);
    report(all.stride == 1 && all.left_out == 0 && some.stride > 1 && some.left_out > 0 &&
               some.cases < all.cases / 2 && some.cases > all.cases / 16,
           "a limit of %llu: %llu of %llu cases, stride %llu, about %llu left out",
           (unsigned long long)all.cases / 4, (unsigned long long)some.cases,
           (unsigned long long)all.cases, (unsigned long long)some.stride,
           (unsigned long long)some.left_out);
    (void)enumerate(&w, 0, 0, NULL, &some);
    report(some.cases == all.cases && some.deaths == all.deaths, "the same cases, time after time");
}

/* splitmix64 */
static uint64_t next(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(uint64_t *seed, size_t n)
{
    return (size_t)(next(seed) % n);
}

static enum does any(uint64_t *seed, int back)
{
    static const enum does forward[] = { OK,   OK,   OK,   OK,     OK,    OK,
                                         SKIP, FAIL, FAIL, SNOOZE, FINAL, HALT };
    static const enum does backward[] = { OK, OK, OK, OK, OK, OK, FAIL, SNOOZE, FINAL, SKIP };

    return back ? backward[below(seed, COUNT(backward))] : forward[below(seed, COUNT(forward))];
}

static size_t invent(uint64_t *seed, struct act *acts)
{
    static const char *const names[STEPS_MOST] = { "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7" };
    size_t n = 2 + below(seed, STEPS_MOST - 2);
    size_t turn = below(seed, n);

    memset(acts, 0, STEPS_MOST * sizeof *acts);
    for (size_t i = 0; i < n; i++) {
        struct act *act = &acts[(i + turn) % n]; /* the table is in another order */
        size_t links = i > 0 ? below(seed, 3) : 0;

        act->name = names[i];
        act->attempts = (uint32_t)below(seed, TRIES + 1);
        act->base_us = (int64_t)below(seed, 3) * 1000000;
        act->no_undo = below(seed, 4) == 0;
        act->no_compensate = below(seed, 4) == 0;
        act->pool = below(seed, 2) == 0;
        for (size_t k = 0; k < TRIES; k++) {
            act->run[k] = any(seed, 0);
            act->back[k] = any(seed, 1);
        }
        for (size_t k = 0; k < links; k++)
            act->after[k] = names[below(seed, i)];
        if (links == 2 && act->after[0] == act->after[1])
            act->after[1] = NULL;
    }
    return n;
}

/* Once more, with all there is to see. */
static void show(struct world *w, uint64_t seed, const struct kedge_test_report *r)
{
    struct kedge_test_report same;

    printf("# seed %llu: %s: %s\n", (unsigned long long)seed, r->found, r->why);
    verbose = 1;
    (void)enumerate(w, KEDGE_TEST_MAY_DIFFER, 0, r->found, &same);
}

static void at_random(uint64_t seed, int many, uint64_t limit)
{
    uint64_t first = seed;
    uint64_t cases = 0;
    int good = 1;

    for (int i = 0; i < many && good; i++, first++) {
        struct act acts[STEPS_MOST] = { { .name = NULL } };
        uint64_t state = first * UINT64_C(0x2545f4914f6cdd1d);
        struct kedge_test_report r;
        struct world w;

        build(&w, "at random", acts, invent(&state, acts));
        w.check = NULL; /* its functions may do what no invariant allows */
        /* A snooze comes once, and not again after a death. */
        good = enumerate(&w, KEDGE_TEST_MAY_DIFFER, limit, NULL, &r) == KEDGE_OK;
        cases += r.cases;
        if (!good)
            show(&w, first, &r);
    }
    report(good, "%d reactors at random, from seed %llu: %llu cases", many,
           (unsigned long long)seed, (unsigned long long)cases);
}

int main(int argc, char **argv)
{
    is_long = getenv("KEDGE_TEST_LONG") != NULL;
    if (argc > 1) {
        at_random(strtoull(argv[1], NULL, 10), argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1, 0);
    } else {
        sound();
        unsound();
        limits();
        at_random(1, is_long ? 40 : 15, is_long ? 1500 : 300);
    }
    printf("1..%d\n", n_tests);
    return n_failed > 0;
}
