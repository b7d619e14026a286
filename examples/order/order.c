/* order.c - a saga of three steps; the last one fails, and what was done is taken back */
#include <stdio.h>

#include <kedge/kedge.h>

static int work(struct kedge_step *step, void *fails)
{
    const struct kedge_view *view = kedge_step_view(step);

    printf("%s %s\n", view->action == KEDGE_ACTION_RUN ? "do  " : "undo", view->step);
    if (fails != NULL && view->action == KEDGE_ACTION_RUN)
        return kedge_fail(step, KEDGE_FAIL_FINAL, "no carrier");
    return kedge_ok(step, "{\"id\":7}", 8);
}

static const char *const after_reserve[] = { "reserve", NULL };
static const char *const after_charge[] = { "charge", NULL };
static const struct kedge_step_def steps[] = {
    { .name = "reserve", .run = work, .undo = work },
    { .name = "charge", .run = work, .undo = work, .after = after_reserve },
    { .name = "ship", .run = work, .after = after_charge, .user = (void *)(uintptr_t) "fails" },
};

int main(int argc, char **argv)
{
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("order", 1, steps);
    struct kedge_store_options create = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_worker_options serve = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_run_start start = KEDGE_START_INIT;
    struct kedge_reactor *reactor = NULL;
    struct kedge_worker *worker = NULL;
    struct kedge_store *store = NULL;
    struct kedge_error err;

    create.flags = KEDGE_STORE_CREATE;
    start.reactor = "order";
    start.version = 1;
    start.id = kedge_text("order-1001"); /* starting it twice does no harm */
    serve.reactors = (const struct kedge_reactor *const *)&reactor;
    serve.n_reactors = 1;
    if (kedge_reactor_new(&def, &reactor, &err) < 0 ||
        kedge_store_open(argc > 1 ? argv[1] : "mem:", &create, &store, &err) < 0 ||
        kedge_start(store, &start, 1000000, &err) < 0 || /* durable from here on */
        kedge_worker_open(store, &serve, &worker, &err) < 0 ||
        kedge_worker_drain(worker, 60000000, &err) < 0)
        return fprintf(stderr, "%s\n", err.msg), 1;
    kedge_worker_close(worker, 1000000);
    kedge_store_close(store);
    kedge_reactor_free(reactor);
    return 0;
}
