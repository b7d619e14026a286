/*
 * make_runs.c - runs for tests of the kedge program
 *
 *	make_runs URL
 *
 * Leaves three runs in the store: "done", which is completed, "failed", and one that is due and
 * whose id is not fit to be printed.
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

/* Is never run here. */
static int nothing(struct kedge_step *step, void *user)
{
    (void)step;
    (void)user;
    return 0;
}

static int define(struct kedge_store *store, struct kedge_error *err)
{
    static const char *const after[] = { "reserve", NULL };
    static const struct kedge_step_def steps[] = {
        { .name = "reserve", .run = nothing },
        { .name = "charge", .run = nothing, .after = after },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("order", 1, steps);
    struct kedge_reactor *reactor = NULL;
    int rc = kedge_reactor_new(&def, &reactor, err);

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

int main(int argc, char **argv)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_store *store = NULL;
    struct kedge_error err = { .msg = "" };
    int rc;

    options.flags = KEDGE_STORE_CREATE;
    rc = argc == 2 ? kedge_store_open(argv[1], &options, &store, &err) : KEDGE_ERR_INVALID;
    if (rc == KEDGE_OK)
        rc = define(store, &err);
    if (rc == KEDGE_OK)
        rc = start(store, "order", kedge_text("done"), &err);
    if (rc == KEDGE_OK)
        rc = journal_write(store, "order", completed, COUNT(completed), KEDGE_COMPLETED);
    if (rc == KEDGE_OK)
        rc = start(store, "lost", kedge_text("failed"), &err);
    if (rc == KEDGE_OK)
        rc = journal_write(store, "lost", failed, COUNT(failed), KEDGE_FAILED);
    if (rc == KEDGE_OK)
        rc = start(store, "order", (struct kedge_bytes){ "a\n\0\\b", 5 }, &err);
    kedge_store_close(store);
    if (rc != KEDGE_OK)
        (void)fprintf(stderr, "make_runs: %d %s\n", rc, err.msg);
    return rc == KEDGE_OK ? 0 : 1;
}
