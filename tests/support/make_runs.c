/*
 * make_runs.c - runs for tests of the kedge program
 *
 *	make_runs URL [examples]
 *
 * Leaves three runs in the store: "done", which is completed, "failed", and one that is due and
 * whose id is not fit to be printed.  Or those that the examples of the program's help speak of:
 * order-1001 failed, order-1002 is due, order-1003 is stuck in undoing "charge".
 */
#include <config.h>

#include <stdio.h>

#include "journal.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct kedge_rec completed[] = {
    { .kind = KEDGE_RECORD_DELAYED,
      .step = 0,
      .failures = 1,
      .delay_us = 5,
      .text = { "no\033", 3 } },
    { .kind = KEDGE_RECORD_DONE, .step = 0, .value = { "[1]", 3 }, .has_value = 1 },
    { .kind = KEDGE_RECORD_DONE, .step = 1, .value = { "\"two\"", 5 }, .has_value = 1 },
    { .kind = KEDGE_RECORD_END, .step = KEDGE_NO_STEP, .status = KEDGE_COMPLETED, .number = 4 },
};
static const struct kedge_rec failed[] = {
    { .kind = KEDGE_RECORD_FAILED, .step = 0, .failures = 2, .text = { "broken", 6 } },
    { .kind = KEDGE_RECORD_END, .step = 0, .status = KEDGE_FAILED, .text = { "broken", 6 } },
};

static const struct kedge_rec lost[] = {
    { .kind = KEDGE_RECORD_DONE, .step = 0, .value = { "1", 1 }, .has_value = 1 },
    { .kind = KEDGE_RECORD_FAILED, .step = 1, .failures = 1, .text = { "no carrier", 10 } },
    { .kind = KEDGE_RECORD_UNDONE, .step = 0 },
    { .kind = KEDGE_RECORD_END, .step = 1, .status = KEDGE_FAILED, .text = { "no carrier", 10 } },
};
static const struct kedge_rec stuck[] = {
    { .kind = KEDGE_RECORD_DONE, .step = 0, .value = { "1", 1 }, .has_value = 1 },
    { .kind = KEDGE_RECORD_FAILED, .step = 1, .failures = 1, .text = { "no carrier", 10 } },
    { .kind = KEDGE_RECORD_UNDO_FAILED, .step = 0, .failures = 1, .text = { "bank closed", 11 } },
    { .kind = KEDGE_RECORD_END, .step = 0, .status = KEDGE_STUCK, .text = { "bank closed", 11 } },
};

/* Is never run here. */
static int nothing(struct kedge_step *step, void *user)
{
    (void)step;
    (void)user;
    return 0;
}

static int define(struct kedge_store *store, const struct kedge_step_def *steps, size_t n,
                  struct kedge_error *err)
{
    static const struct kedge_step_def one[1];
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("order", 1, one);
    struct kedge_reactor *reactor = NULL;
    int rc;

    def.steps = steps;
    def.n_steps = n;
    rc = kedge_reactor_new(&def, &reactor, err);
    if (rc == KEDGE_OK)
        rc = journal_define(store, reactor);
    kedge_reactor_free(reactor);
    return rc;
}

static int start(struct kedge_store *store, const char *reactor, struct kedge_bytes id,
                 struct kedge_error *err)
{
    struct kedge_run_start start = KEDGE_START_INIT;

    start.reactor = reactor;
    start.version = 1;
    start.id = id;
    return kedge_start(store, &start, 10000000, err);
}

static int make_some(struct kedge_store *store, struct kedge_error *err)
{
    static const char *const after[] = { "reserve", NULL };
    static const struct kedge_step_def steps[] = {
        { .name = "reserve", .run = nothing },
        { .name = "charge", .run = nothing, .after = after },
    };
    int rc = define(store, steps, COUNT(steps), err);

    if (rc == KEDGE_OK)
        rc = start(store, "order", kedge_text("done"), err);
    if (rc == KEDGE_OK)
        rc = journal_write(store, "order", completed, COUNT(completed), KEDGE_COMPLETED);
    if (rc == KEDGE_OK)
        rc = start(store, "lost", kedge_text("failed"), err);
    if (rc == KEDGE_OK)
        rc = journal_write(store, "lost", failed, COUNT(failed), KEDGE_FAILED);
    return rc == KEDGE_OK ? start(store, "order", (struct kedge_bytes){ "a\n\0\\b", 5 }, err) : rc;
}

static int make_examples(struct kedge_store *store, struct kedge_error *err)
{
    static const char *const after[] = { "charge", NULL };
    static const struct kedge_step_def steps[] = {
        { .name = "charge", .run = nothing, .undo = nothing },
        { .name = "ship", .run = nothing, .after = after },
    };
    int rc = define(store, steps, COUNT(steps), err);

    if (rc == KEDGE_OK)
        rc = start(store, "order", kedge_text("order-1001"), err);
    if (rc == KEDGE_OK)
        rc = journal_write(store, "order", lost, COUNT(lost), KEDGE_FAILED);
    if (rc == KEDGE_OK)
        rc = start(store, "order", kedge_text("order-1003"), err);
    if (rc == KEDGE_OK)
        rc = journal_write(store, "order", stuck, COUNT(stuck), KEDGE_STUCK);
    return rc == KEDGE_OK ? start(store, "order", kedge_text("order-1002"), err) : rc;
}

int main(int argc, char **argv)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_store *store = NULL;
    struct kedge_error err = { .msg = "" };
    int rc;

    options.flags = KEDGE_STORE_CREATE;
    rc = argc == 2 || argc == 3 ? kedge_store_open(argv[1], &options, &store, &err)
                                : KEDGE_ERR_INVALID;
    if (rc == KEDGE_OK)
        rc = argc == 3 ? make_examples(store, &err) : make_some(store, &err);
    kedge_store_close(store);
    if (rc != KEDGE_OK)
        (void)fprintf(stderr, "make_runs: %d %s\n", rc, err.msg);
    return rc == KEDGE_OK ? 0 : 1;
}
