/* doomed_sagas.c - the sagas of the enumeration, their steps, and the log of what these did */
#include "doomed.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POOL       KEDGE_STEP_POOL
#define AFTER(...) .after = { __VA_ARGS__ }

const struct saga sagas[] = {
    { .name = "chain",
      .steps = { { .name = "a" },
                 { .name = "b", AFTER("a") },
                 { .name = "c", AFTER("b") },
                 { .name = "d", AFTER("c") } } },
    { .name = "chain on the pool",
      .flags = POOL,
      .steps = { { .name = "a" },
                 { .name = "b", AFTER("a") },
                 { .name = "c", AFTER("b") },
                 { .name = "d", AFTER("c") } } },
    { .name = "diamond",
      .steps = { { .name = "a" },
                 { .name = "b", AFTER("a"), .fails = 1, .attempts = 2 },
                 { .name = "c", AFTER("a") },
                 { .name = "d", AFTER("b", "c") },
                 { .name = "e", AFTER("d") } } },
    { .name = "diamond on both",
      .steps = { { .name = "a" },
                 { .name = "b", AFTER("a"), .fails = 1, .attempts = 2, .flags = POOL },
                 { .name = "c", AFTER("a") },
                 { .name = "d", AFTER("b", "c"), .flags = POOL },
                 { .name = "e", AFTER("d") } } },
    { .name = "wide on the pool",
      .flags = POOL,
      .steps = { { .name = "a" },
                 { .name = "b", AFTER("a") },
                 { .name = "c", AFTER("a") },
                 { .name = "d", AFTER("a") },
                 { .name = "e", AFTER("a"), .fails = 1, .attempts = 3 },
                 { .name = "f", AFTER("b", "c", "d", "e") } } },
    { .name = "retries",
      .steps = { { .name = "a" },
                 { .name = "b", AFTER("a"), .fails = 2, .attempts = 3 },
                 { .name = "c", AFTER("b"), .flags = POOL, .fails = 1, .attempts = 2 } } },
    { .name = "snoozes",
      .steps = { { .name = "a", .snoozes = 1 },
                 { .name = "b", AFTER("a"), .snoozes = 1, .flags = POOL },
                 { .name = "c", AFTER("a") },
                 { .name = "d", AFTER("b", "c") } } },
    { .name = "skips",
      .steps = { { .name = "a" },
                 { .name = "b", AFTER("a"), .end = KEDGE_OUTCOME_SKIP },
                 { .name = "c", AFTER("a", "b") },
                 { .name = "d", AFTER("b"), .end = KEDGE_OUTCOME_SKIP, .flags = POOL },
                 { .name = "e", AFTER("c", "d") } } },
    { .name = "halts",
      .steps = { { .name = "a", .undo = 1 },
                 { .name = "b", AFTER("a"), .undo = 1, .flags = POOL },
                 { .name = "c", AFTER("b"), .end = KEDGE_OUTCOME_HALT },
                 { .name = "d", AFTER("c") } } },
    { .name = "snapshots", /* a tail of 256 KiB is worth one */
      .pad = 49152,
      .steps = { { .name = "a" },
                 { .name = "b", AFTER("a") },
                 { .name = "c", AFTER("b") },
                 { .name = "d", AFTER("c") },
                 { .name = "e", AFTER("d") },
                 { .name = "f", AFTER("e"), .fails = 1, .attempts = 2 },
                 { .name = "g", AFTER("a", "f") },
                 { .name = "h", AFTER("g", "c") } } },
    { .name = "many",
      .runs = 6,
      .steps = { { .name = "a" },
                 { .name = "b", AFTER("a"), .fails = 1, .attempts = 2 },
                 { .name = "c", AFTER("a"), .flags = POOL },
                 { .name = "d", AFTER("b", "c") } } },
    { .name = "diamond, two deaths",
      .deaths = 2,
      .steps = { { .name = "a" },
                 { .name = "b", AFTER("a"), .fails = 1, .attempts = 2, .flags = POOL },
                 { .name = "c", AFTER("a"), .flags = POOL },
                 { .name = "d", AFTER("b", "c") },
                 { .name = "e", AFTER("d") } } },
    { .name = "many, two deaths",
      .runs = 4,
      .deaths = 2,
      .steps = { { .name = "a" },
                 { .name = "b", AFTER("a") },
                 { .name = "c", AFTER("a") },
                 { .name = "d", AFTER("b", "c") } } },
    { .name = "rolled back",
      .steps = { { .name = "a", .undo = 1 },
                 { .name = "b", AFTER("a"), .fails = 1, .attempts = 2, .undo = 1 },
                 { .name = "c", AFTER("a"), .undo = 1 },
                 { .name = "d", AFTER("b", "c"), .undo = 1 },
                 { .name = "e", AFTER("d"), .end = KEDGE_OUTCOME_FAIL, .undo = 1 } } },
    { .name = "rolled back on the pool, attempts spent",
      .flags = POOL,
      .steps = { { .name = "a", .undo = 1 },
                 { .name = "b", AFTER("a") },
                 { .name = "c", AFTER("a"), .undo = 1 },
                 { .name = "d", AFTER("b", "c"), .fails = 2, .attempts = 2, .compensate = 1 },
                 { .name = "e", AFTER("d") } } },
    { .name = NULL },
};

int saga_steps(const struct saga *saga)
{
    int n = 0;

    while (saga->steps[n].name != NULL)
        n++;
    return n;
}

int saga_runs(const struct saga *saga)
{
    return saga->runs > 0 ? saga->runs : 1;
}

int saga_deaths(const struct saga *saga)
{
    return saga->deaths > 0 ? saga->deaths : 1;
}

int saga_find(const struct saga *saga, const char *name)
{
    int i = 0;

    while (saga->steps[i].name != NULL && strcmp(saga->steps[i].name, name) != 0)
        i++;
    return i;
}

void saga_run_id(int run, char id[16])
{
    (void)snprintf(id, 16, "run-%d", run);
}

int saga_run_number(struct kedge_bytes id)
{
    char text[16];

    (void)snprintf(text, sizeof text, "%.*s", (int)id.len, (const char *)id.data);
    return (int)strtol(text + strlen("run-"), NULL, 10);
}

/* ----------------------------------------------------------------- effects */

int the_phase;
int64_t (*the_clock)(void);
int (*the_asker)(int run, uint32_t verb);
int (*the_end)(void);
static int log_fd = -1;

void effects_open(void)
{
    char path[] = "/tmp/kedge-doomed-XXXXXX";

    log_fd = mkstemp(path);
    if (log_fd < 0 || unlink(path) != 0 || fcntl(log_fd, F_SETFL, O_APPEND) != 0) {
        printf("Bail out! no file for the effects\n");
        exit(99);
    }
}

void effects_forget(void)
{
    if (ftruncate(log_fd, 0) != 0) {
        printf("Bail out! the file of the effects cannot be emptied\n");
        exit(99);
    }
}

size_t effects_read(struct effect *to, size_t most)
{
    size_t n = 0;

    while (n < most &&
           pread(log_fd, &to[n], sizeof *to, (off_t)(n * sizeof *to)) == (ssize_t)sizeof *to)
        n++;
    return n;
}

/* How often this action of this step of this run was executed, by whomever. */
static uint32_t earlier(const struct effect *mine)
{
    struct effect e;
    uint32_t n = 0;

    for (off_t at = 0; pread(log_fd, &e, sizeof e, at) == (ssize_t)sizeof e; at += (off_t)sizeof e)
        n += e.run == mine->run && e.step == mine->step && e.action == mine->action;
    return n;
}

/* Answers how often it had happened before. */
static uint32_t happen(const struct kedge_step *step, const struct saga *saga)
{
    const struct kedge_view *view = kedge_step_view(step);
    struct effect e = { .step = saga_find(saga, view->step),
                        .action = view->action,
                        .attempt = view->attempt,
                        .flags = view->flags,
                        .phase = the_phase,
                        .fence = view->fence,
                        .at = the_clock() };
    uint32_t before;

    e.run = saga_run_number(view->run);
    memcpy(e.key, view->key.data, view->key.len < sizeof e.key ? view->key.len : sizeof e.key - 1);
    before = earlier(&e);
    if (write(log_fd, &e, sizeof e) != (ssize_t)sizeof e)
        abort();
    return before;
}

void effect_asked(int run, int step, uint64_t fence, uint32_t verb, int answer)
{
    struct effect e = { .run = run,
                        .step = step,
                        .action = ASKED + verb,
                        .attempt = (uint32_t)answer,
                        .phase = the_phase,
                        .fence = fence,
                        .at = the_clock(),
                        .key = "asked" };

    if (write(log_fd, &e, sizeof e) != (ssize_t)sizeof e)
        abort();
}

/* ------------------------------------------------------------------- steps */

static int bad(struct kedge_step *step, const char *what)
{
    return kedge_fail(step, KEDGE_FAIL_FINAL, what);
}

/* "name(values of those it comes after, - if there is none)", or its input if it comes first. */
static int say_value(struct kedge_step *step, const struct saga *saga, const struct plan *plan)
{
    const struct kedge_view *view = kedge_step_view(step);
    char text[DOOMED_TEXT];
    size_t len = (size_t)snprintf(text, sizeof text, "\"%s(", plan->name);

    if (plan->after[0] == NULL)
        len += (size_t)snprintf(text + len, sizeof text - len, "%.*s", (int)view->input.len,
                                (const char *)view->input.data);
    for (int i = 0; plan->after[i] != NULL; i++) {
        struct kedge_bytes value;
        char of[4096] = "-";
        int rc = kedge_step_result(step, plan->after[i], &value, NULL);

        if (rc == KEDGE_OK)
            rc = kedge_json_string(value.data, value.len, "", of, sizeof of, NULL, NULL);
        if (rc != KEDGE_OK && rc != KEDGE_NOT_FOUND)
            return bad(step, "a value cannot be read");
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i > 0 ? "," : "", of);
    }
    len += (size_t)snprintf(text + len, sizeof text - len, ")\"%*s", saga->pad, "");
    return len < sizeof text ? kedge_ok(step, text, len) : bad(step, "a value is too long");
}

/* Somebody asks for something while this step runs. */
static void be_asked(const struct kedge_step *step, const struct saga *saga)
{
    const struct kedge_view *view = kedge_step_view(step);
    int run = saga_run_number(view->run);

    if (saga->in == NULL || strcmp(saga->in, view->step) != 0)
        return;
    effect_asked(run, saga_find(saga, view->step), view->fence, saga->verb, ASKING);
    effect_asked(run, saga_find(saga, view->step), view->fence, saga->verb,
                 the_asker(run, saga->verb));
    while (saga->heeds && !kedge_step_stopping(step) && !the_end())
        (void)usleep(200);
}

static int run_it(struct kedge_step *step, void *user)
{
    const struct saga *saga = user;
    const struct kedge_view *view = kedge_step_view(step);
    const struct plan *plan = &saga->steps[saga_find(saga, view->step)];
    uint32_t before = happen(step, saga);
    char text[64];

    be_asked(step, saga);
    if (before < plan->snoozes)
        return kedge_snooze(step, PAUSE_US);
    if (view->attempt <= plan->fails) {
        (void)snprintf(text, sizeof text, "%s failed, attempt %u", plan->name,
                       (unsigned)view->attempt);
        return kedge_fail(step, 0, text);
    }
    switch (plan->end) {
    case KEDGE_OUTCOME_SKIP:
        return kedge_skip(step, "skipped");
    case KEDGE_OUTCOME_HALT:
        return kedge_halt(step, "halted");
    case KEDGE_OUTCOME_FAIL:
        return bad(step, "failed for good");
    default:
        return say_value(step, saga, plan);
    }
}

void back_error(const struct plan *plan, uint32_t attempt, char *to, size_t size)
{
    (void)snprintf(to, size, "%s cannot be taken back, attempt %u", plan->name, (unsigned)attempt);
}

static int take_back(struct kedge_step *step, void *user)
{
    const struct saga *saga = user;
    const struct kedge_view *view = kedge_step_view(step);
    const struct plan *plan = &saga->steps[saga_find(saga, view->step)];
    char text[64];

    if (happen(step, saga) < plan->back_snoozes)
        return kedge_snooze(step, PAUSE_US);
    if (view->attempt > plan->back_fails)
        return kedge_ok(step, NULL, 0);
    back_error(plan, view->attempt, text, sizeof text);
    return kedge_fail(step, 0, text);
}

struct kedge_reactor *saga_reactor(const struct saga *saga, const char *name)
{
    struct kedge_step_def steps[STEPS_MOST];
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT(name, 1, steps);
    struct kedge_reactor *reactor;
    struct kedge_error err;

    memset(steps, 0, sizeof steps);
    def.n_steps = (size_t)saga_steps(saga);
    def.user = (void *)(uintptr_t)saga;
    for (size_t i = 0; i < def.n_steps; i++) {
        const struct plan *plan = &saga->steps[i];

        steps[i] = (struct kedge_step_def){
            .name = plan->name,
            .flags = saga->flags | plan->flags,
            .run = run_it,
            .undo = plan->undo ? take_back : NULL,
            .compensate = plan->compensate ? take_back : NULL,
            .after = plan->after,
            .retry = { .attempts = plan->attempts, .base_us = PAUSE_US },
        };
    }
    if (kedge_reactor_new(&def, &reactor, &err) != KEDGE_OK) {
        printf("Bail out! %s: %s\n", saga->name, err.msg);
        exit(99);
    }
    return reactor;
}
