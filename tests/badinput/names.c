/* names.c - ids of any bytes, names that are too long, arguments that are missing */
#include "badinput.h"

/* ------------------------------------------------------------- ids of any bytes */

static char longest[1024];

static const struct kedge_bytes ids[] = {
    { "a\0b", 3 },
    { "a", 1 },
    { "a\0", 2 },
    { "\0", 1 },
    { "\xff\xfe\xc0\x80", 4 },
    { "line\n\x1b[31mred\x7f", 14 },
    { "%s%n'\"\\", 7 },
    { longest, sizeof longest },
};

static bool same(struct kedge_bytes a, struct kedge_bytes b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* Says how many of the ids it is; 0: none of them. */
static int which(struct kedge_step *step, void *user)
{
    char text[24];
    size_t n = 0;

    (void)user;
    for (size_t i = 0; i < COUNT(ids); i++) {
        if (same(kedge_step_view(step)->run, ids[i]))
            n = i + 1;
    }
    (void)snprintf(text, sizeof text, "%zu", n);
    return kedge_ok(step, text, strlen(text));
}

static int count_ids(void *ctx, const struct kedge_run_info *info)
{
    unsigned *seen = ctx;

    for (size_t i = 0; i < COUNT(ids); i++)
        *seen += same(info->id, ids[i]) ? 1u << (4 * i) : 0;
    return 0;
}

static int count_steps(void *ctx, const struct kedge_step_info *step)
{
    *(int *)ctx += step->state == KEDGE_STEP_DONE;
    return 0;
}

static void any_bytes(void)
{
    static const struct kedge_step_def steps[] = { { .name = "a", .run = which } };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("ids", 1, steps);
    struct kedge_run_start start = KEDGE_START_INIT;
    struct kedge_run_filter filter = KEDGE_RUN_FILTER_INIT;
    struct kedge_worker *worker = worker_open(&def, NULL);
    unsigned seen = 0;
    int again = 0;
    int right = 0;
    int known = 0;

    memset(longest, '\xfe', sizeof longest);
    start.reactor = "ids";
    start.version = 1;
    for (size_t i = 0; i < COUNT(ids); i++) {
        start.id = ids[i];
        must(kedge_start(store, &start, LIVENESS, &err), "start");
        again += kedge_start(store, &start, LIVENESS, &err) == KEDGE_EXISTS;
    }
    must(kedge_worker_drain(worker, LIVENESS, &err), "drain");
    for (size_t i = 0; i < COUNT(ids); i++) {
        struct kedge_request request = KEDGE_REQUEST_INIT;
        struct kedge_requested out = { .struct_size = sizeof out };
        struct kedge_run_info *info;
        char text[24];
        int n = 0;

        must(kedge_run_wait(store, ids[i], &info, LIVENESS, &err), "wait");
        (void)snprintf(text, sizeof text, "%zu", i + 1);
        right +=
            info->status == KEDGE_COMPLETED && same(info->id, ids[i]) && is(info->result, text);
        kedge_run_info_free(info);
        must(kedge_run_steps(store, ids[i], count_steps, &n, LIVENESS, &err), "steps");
        request.verb = KEDGE_VERB_PAUSE;
        request.run = ids[i];
        known += n == 1 && kedge_run_request(store, &request, &out, LIVENESS, &err) == KEDGE_STALE;
    }
    filter.reactor = kedge_text("ids");
    must(kedge_run_list(store, &filter, count_ids, &seen, LIVENESS, &err), "list");
    ok(right == COUNT(ids),
       "ids with NULs, escapes, broken UTF-8, of 1024 bytes: each has its run");
    ok(again == COUNT(ids), "started again, each is there already");
    ok(seen == 0x11111111u, "each is listed once");
    ok(known == COUNT(ids), "and each can be asked about");
    kedge_worker_close(worker, LIVENESS);
}

/* What is told about them can be printed. */
static int last_attempt(struct kedge_step *step, void *user)
{
    (void)user;
    (void)kedge_ok(step, "1", 1);
    return kedge_ok(step, "2", 1);
}

static void end_lease_of(struct kedge_bytes id)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_run_info *info;
    struct kedge_id128 lease;
    void *session;

    must(kedge_run_get(store, id, 0, &info, LIVENESS, &err), "get");
    memcpy(lease.b, info->holder, sizeof lease.b);
    kedge_run_info_free(info);
    must(ops->session_open(kedge_store_handle(store), &session, &err), "session");
    must(ops->lease_revoke(session, &lease, LIVENESS, &err), "revoke");
    ops->session_close(session);
}

static atomic_int waiting;

static int wait_for_nobody(struct kedge_step *step, void *user)
{
    uint64_t token;

    (void)user;
    if (atomic_fetch_add(&waiting, 1) > 0)
        return last_attempt(step, user);
    return kedge_later(step, &token);
}

/* A run that is lost is told by its id. */
static void told_of(void)
{
    static const struct kedge_step_def steps[] = { { .name = "a", .run = wait_for_nobody } };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("told", 1, steps);
    struct kedge_run_start start = KEDGE_START_INIT;
    struct kedge_worker *worker = worker_open(&def, NULL);
    struct kedge_worker *other;

    atomic_store(&waiting, 0);
    start.reactor = "told";
    start.version = 1;
    start.id = (struct kedge_bytes){ "told\0\x1b[2J\xff", 10 };
    must(kedge_start(store, &start, LIVENESS, &err), "start");
    while (atomic_load(&waiting) == 0)
        (void)kedge_worker_drain(worker, SECONDS / 50, &err);
    end_lease_of(start.id);
    other = worker_open(&def, NULL);
    must(kedge_worker_drain(other, LIVENESS, &err), "drain");
    kedge_worker_close(other, LIVENESS);
    forget_log();
    must(kedge_worker_drain(worker, LIVENESS, &err), "drain");
    ok(logged("run told??[2J?", "has gone elsewhere"), "in a log nothing is left of odd bytes");
    kedge_worker_close(worker, LIVENESS);
}

/* -------------------------------------------------------------- names too long */

static int never_called(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, NULL, 0);
}

static const struct kedge_step_def plain[] = { { .name = "a", .run = never_called } };

static struct kedge_reactor *plain_reactor(void)
{
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("plain", 1, plain);
    struct kedge_reactor *reactor;

    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    return reactor;
}

static void too_long(void)
{
    static char text[2000];
    struct kedge_reactor *reactor = plain_reactor();
    const struct kedge_reactor *served[] = { reactor };
    const char *queues[] = { "default", text, NULL };
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_store_options names = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_run_start start = KEDGE_START_INIT;
    struct kedge_run_info *info = NULL;
    struct kedge_worker *worker = NULL;
    struct kedge_store *other = NULL;

    memset(text, 'n', sizeof text - 1);
    start.reactor = "plain";
    start.version = 1;
    start.id = (struct kedge_bytes){ text, 1025 };
    refused(kedge_start(store, &start, LIVENESS, &err), KEDGE_ERR_INVALID,
            "the run's id has 1025 bytes", "1024", "an id of 1025 bytes at a start");
    refused(kedge_run_get(store, start.id, 0, &info, LIVENESS, &err), KEDGE_ERR_INVALID,
            "the run's id has 1025 bytes", "1024", "and where a run is asked for");
    start.id = kedge_text("queue");
    start.queue = (struct kedge_bytes){ text, 1025 };
    refused(kedge_start(store, &start, LIVENESS, &err), KEDGE_ERR_TOO_BIG,
            "the name of the queue has 1025 bytes", "1024", "a queue of 1025 bytes at a start");
    start.queue = (struct kedge_bytes){ NULL, 0 };
    start.reactor = text;
    refused(kedge_start(store, &start, LIVENESS, &err), KEDGE_ERR_INVALID,
            "the reactor's name has 1999 characters", "255", "a reactor of 1999 characters");
    options.reactors = served;
    options.n_reactors = 1;
    options.queues = queues;
    refused(kedge_worker_open(store, &options, &worker, &err), KEDGE_ERR_INVALID,
            "options.queues[1] has 1999 bytes", "1024", "a worker for a queue of 1999 bytes");
    queues[1] = "";
    refused(kedge_worker_open(store, &options, &worker, &err), KEDGE_ERR_INVALID,
            "options.queues[1]", "empty", "and for one without a name");
    queues[1] = NULL;
    options.label = text;
    must(kedge_worker_open(store, &options, &worker, &err), "a long label");
    ok(worker != NULL, "a label of 1999 bytes is cut");
    kedge_worker_close(worker, LIVENESS);
    names.ns = text;
    names.flags = KEDGE_STORE_CREATE;
    refused(kedge_store_open(store_url, &names, &other, &err), KEDGE_ERR_INVALID, "the namespace",
            "longer than", "a namespace of 1999 bytes");
    kedge_reactor_free(reactor);
}

/* ----------------------------------------------------------- missing arguments */

static void missing(void)
{
    struct kedge_reactor *reactor = plain_reactor();
    const struct kedge_reactor *served[] = { reactor, NULL };
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker = NULL;

    refused(kedge_worker_open(NULL, &options, &worker, &err), KEDGE_ERR_INVALID, "store", "NULL",
            "a worker without a store");
    refused(kedge_worker_open(store, NULL, &worker, &err), KEDGE_ERR_INVALID, "options", "NULL",
            "a worker without options");
    refused(kedge_worker_open(store, &options, NULL, &err), KEDGE_ERR_INVALID, "worker", "NULL",
            "a worker for nobody");
    refused(kedge_worker_open(store, &options, &worker, &err), KEDGE_ERR_INVALID, "worker",
            "reactor", "a worker that serves nothing");
    options.reactors = served;
    options.n_reactors = 2;
    refused(kedge_worker_open(store, &options, &worker, &err), KEDGE_ERR_INVALID,
            "options.reactors[1]", "NULL", "a worker for half a list of reactors");
    options.struct_size = 8;
    refused(kedge_worker_open(store, &options, &worker, &err), KEDGE_ERR_INVALID,
            "options.struct_size is 8", "KEDGE_WORKER_OPTIONS_INIT",
            "a worker whose options were not initialised");
    ok(worker == NULL, "none of them was made");
    kedge_reactor_free(reactor);
}

void bad_names(void)
{
    any_bytes();
    told_of();
    too_long();
    missing();
}
