/*
 * queues.c - a queue that is paused gives no run to anybody; one that was resumed does, by itself
 *
 * Whether a run was ever claimed is told by its fence, which is its first one then.
 *
 *	./queues URL...
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <kedge/testing.h>

#include "conform/fault_backend.h"
#include "src/queue.h"
#include "src/record.h"
#include "tests/support/fault_store.h"
#include "tests/support/saga.h"

#define LOOK_US INT64_C(20000)
#define HOUR    (3600 * SECONDS)

enum { RACERS = 2, EACH = 60 };

static atomic_int began; /* runs whose id begins with "held", in this process */
static atomic_int gate;  /* not 0: they wait */

/* -------------------------------------------------------------- runs, workers */

static int act(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);

    (void)user;
    if (view->run.len > 4 && memcmp(view->run.data, "held", 4) == 0) {
        atomic_fetch_add(&began, 1);
        while (atomic_load(&gate) != 0)
            nap();
    }
    return kedge_ok(step, NULL, 0);
}

static const struct kedge_step_def steps[] = {
    { .name = "a", .run = act, .flags = KEDGE_STEP_POOL },
};
static const struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("queued", 1, steps);

static struct kedge_worker *open_with(struct kedge_store *in,
                                      const struct kedge_worker_options *options)
{
    struct kedge_store *usual = store;
    struct kedge_worker *worker;

    store = in;
    worker = worker_open(&def, options);
    store = usual;
    return worker;
}

static struct kedge_worker *open_in(struct kedge_store *in, const char *const *queues,
                                    int64_t look_us)
{
    struct kedge_worker_options o = KEDGE_WORKER_OPTIONS_INIT;

    o.queues = queues;
    o.look_us = look_us;
    return open_with(in, &o);
}

static void start_in(struct kedge_store *in, const char *queue, const char *id, int64_t delay_us)
{
    struct kedge_run_start start = KEDGE_START_INIT;

    start.reactor = "queued";
    start.version = 1;
    start.queue = kedge_text(queue);
    start.id = kedge_text(id);
    start.delay_us = delay_us;
    must(kedge_start(in, &start, LIVENESS, &err), "start");
}

static struct kedge_run_info *info_in(struct kedge_store *in, const char *id)
{
    struct kedge_run_info *info;

    must(kedge_run_get(in, kedge_text(id), 0, &info, LIVENESS, &err), "get");
    return info;
}

/* Is it due, and has nobody ever claimed it? */
static bool untouched_in(struct kedge_store *in, const char *id)
{
    struct kedge_run_info *info = info_in(in, id);
    bool good = info->place == KEDGE_PLACE_DUE && info->status == KEDGE_PENDING &&
                info->fence == info->incarnation;

    kedge_run_info_free(info);
    return good;
}

static bool untouched(const char *id)
{
    return untouched_in(store, id);
}

static uint32_t place_of(const char *id)
{
    struct kedge_run_info *info = info_in(store, id);
    uint32_t place = info->place;

    kedge_run_info_free(info);
    return place;
}

static bool completes(const char *id)
{
    struct kedge_run_info *info = run_await(id);
    bool good = info->status == KEDGE_COMPLETED;

    kedge_run_info_free(info);
    return good;
}

static struct kedge_store *faulty(const struct kedge_backend_ops *ops)
{
    struct kedge_store *outer = fault_store(store, ops, &err);

    if (outer == NULL)
        must(err.code, "wrap");
    return outer;
}

static const struct kedge_backend_ops *wrapped(void)
{
    return fault_wrap(kedge_store_ops(store), kedge_store_host(store));
}

/* The one worker on a wrapped handle has read the list, and began to after this was called. */
static void await_looks(void)
{
    uint64_t n = fault_calls(FAULT_cell_get);

    AWAIT(fault_calls(FAULT_cell_get) >= n + 3);
}

/* -------------------------------------------------------------------- the list */

static int pause_queue(const char *name)
{
    return kedge_queue_pause(store, kedge_text(name), "ann", "as i say", LIVENESS, &err);
}

static int resume_queue(const char *name)
{
    return kedge_queue_resume(store, kedge_text(name), LIVENESS, &err);
}

/* The list as it was told. */
struct told {
    size_t n;
    bool ordered;
    char last[2048];
    size_t last_len;
};

static int tell(void *ctx, const struct kedge_queue_info *q)
{
    struct told *t = ctx;
    size_t both = q->name.len < t->last_len ? q->name.len : t->last_len;
    int order = both > 0 ? memcmp(t->last, q->name.data, both) : 0;

    if (t->n > 0 && (order > 0 || (order == 0 && t->last_len >= q->name.len)))
        t->ordered = false;
    memcpy(t->last, q->name.data, q->name.len);
    t->last_len = q->name.len;
    t->n++;
    return 0;
}

/* How many are paused; 9999 if they were not told in order. */
static size_t paused(void)
{
    struct told t = { .ordered = true };

    must(kedge_queue_list(store, tell, &t, LIVENESS, &err), "list");
    return t.ordered ? t.n : 9999;
}

static int resume_first(void *ctx, const struct kedge_queue_info *q)
{
    (void)ctx;
    must(kedge_queue_resume(store, q->name, LIVENESS, &err), "resume");
    return 0;
}

/* A callback may change what it is told of. */
static void resume_all(void)
{
    must(kedge_queue_list(store, resume_first, NULL, LIVENESS, &err), "list");
}

struct expected {
    struct kedge_bytes name;
    const char *who;
    const char *why;
    size_t why_len;
    int64_t from, to;
    bool found;
};

static int look_for(void *ctx, const struct kedge_queue_info *q)
{
    struct expected *e = ctx;

    if (q->name.len != e->name.len || memcmp(q->name.data, e->name.data, q->name.len) != 0)
        return 0;
    e->found = q->struct_size == sizeof *q && is(q->who, e->who) && q->why.len == e->why_len &&
               memcmp(q->why.data != NULL ? q->why.data : "", e->why, q->why.len) == 0 &&
               q->paused >= e->from && q->paused <= e->to;
    return 7;
}

static int64_t store_now(void)
{
    struct kedge_time now;
    void *session;

    must(kedge_store_ops(store)->session_open(kedge_store_handle(store), &session, &err),
         "session");
    must(kedge_store_ops(store)->now(session, &now, LIVENESS, &err), "now");
    kedge_store_ops(store)->session_close(session);
    return now.wall;
}

static bool finds(struct expected *e)
{
    return kedge_queue_list(store, look_for, e, LIVENESS, &err) == 7 && e->found;
}

static void what_is_kept(void)
{
    static const char odd[] = "a\0b\xff*";
    char reason[300];
    struct expected e = { .name = kedge_text("kept"), .who = "ann", .why = "as i say" };

    e.from = store_now();
    ok(pause_queue("kept") == KEDGE_OK, "a queue is paused");
    e.to = store_now();
    e.why_len = strlen(e.why);
    ok(finds(&e), "with who, why and since when; and the callback's answer ends the walk");
    ok(kedge_queue_pause(store, e.name, "bob", "no", LIVENESS, &err) == KEDGE_EXISTS,
       "paused again: it is already");
    ok(finds(&e), "and nothing was changed");

    /* Its 255th byte is within a character. */
    memset(reason, 'x', sizeof reason);
    memcpy(reason + 254, "\xc3\xa9", 2);
    reason[299] = '\0';
    e = (struct expected){ .name = { odd, sizeof odd - 1 }, .who = "", .why = reason };
    e.why_len = 254;
    e.from = store_now();
    must(kedge_queue_pause(store, e.name, NULL, reason, LIVENESS, &err), "pause");
    e.to = store_now();
    ok(finds(&e), "a name is any bytes, nobody may have said so, a long reason is cut");
    ok(paused() == 2, "both are listed");

    ok(resume_queue("kept") == KEDGE_OK, "the first is resumed");
    ok(resume_queue("kept") == KEDGE_NOT_FOUND, "resumed again: it is not paused");
    ok(resume_queue("never") == KEDGE_NOT_FOUND, "nor is one that never was");
    ok(paused() == 1, "the other is still paused");
    resume_all();
    ok(paused() == 0, "until it is resumed");
}

static void what_is_refused(void)
{
    static char huge[1 << 16];
    const struct kedge_bytes q = kedge_text("q");
    struct kedge_bytes long_name = { huge, kedge_store_ops(store)->limits->id_max + 1 };

    memset(huge, 'q', sizeof huge);
    ok(kedge_queue_pause(NULL, q, NULL, NULL, 1, &err) == KEDGE_ERR_INVALID &&
           kedge_queue_resume(NULL, q, 1, &err) == KEDGE_ERR_INVALID &&
           kedge_queue_list(NULL, tell, NULL, 1, &err) == KEDGE_ERR_INVALID &&
           kedge_queue_list(store, NULL, NULL, 1, &err) == KEDGE_ERR_INVALID &&
           kedge_queue_pause(store, q, NULL, NULL, 0, &err) == KEDGE_ERR_INVALID,
       "no store, no callback, no time: refused");
    ok(kedge_queue_pause(store, (struct kedge_bytes){ NULL, 0 }, NULL, NULL, LIVENESS, &err) ==
               KEDGE_ERR_INVALID &&
           strstr(err.msg, "queue's name") != NULL,
       "a name without bytes is refused, and the message says what is wrong");
    ok(kedge_queue_pause(store, long_name, NULL, NULL, LIVENESS, &err) == KEDGE_ERR_INVALID,
       "so is one that is too long");
    long_name.len--;
    ok(kedge_queue_pause(store, long_name, NULL, NULL, LIVENESS, &err) == KEDGE_OK &&
           kedge_queue_resume(store, long_name, LIVENESS, &err) == KEDGE_OK,
       "the longest one is not");
}

static void full(void)
{
    static char reason[256];
    char name[256];
    int rc = KEDGE_OK;
    size_t n = 0;

    for (int i = 0; i < KEDGE_QUEUES_PAUSED_MAX; i++) {
        (void)snprintf(name, sizeof name, "full-%d", i);
        rc |= pause_queue(name);
    }
    ok(rc == KEDGE_OK && paused() == KEDGE_QUEUES_PAUSED_MAX, "256 queues are paused");
    ok(pause_queue("one-more") == KEDGE_ERR_FULL && strstr(err.msg, "256") != NULL,
       "the 257th is one too many");
    ok(pause_queue("full-255") == KEDGE_EXISTS, "one of the 256 is paused already, full or not");
    ok(resume_queue("full-17") == KEDGE_OK && pause_queue("one-more") == KEDGE_OK &&
           paused() == KEDGE_QUEUES_PAUSED_MAX,
       "where one was resumed another has room");
    resume_all();

    memset(reason, 'r', sizeof reason - 1);
    memset(name, 'n', sizeof name - 1);
    name[200] = '\0';
    for (; n < KEDGE_QUEUES_PAUSED_MAX; n++) {
        (void)snprintf(name + 190, 10, "%zu", n);
        rc = kedge_queue_pause(store, kedge_text(name), reason, reason, LIVENESS, &err);
        if (rc != KEDGE_OK)
            break;
    }
    note("%zu queues with 255 bytes of who and why each: %s", n, err.msg);
    ok(n > 64 && n < KEDGE_QUEUES_PAUSED_MAX && rc == KEDGE_ERR_FULL && paused() == n,
       "more text than a cell holds is too much, and nothing is lost");
    resume_all();
}

/* ------------------------------------------------------------------- races */

struct racer {
    int number;
    struct kedge_store *in;
    int (*what)(struct kedge_store *, const char *name);
};

static int race_pause(struct kedge_store *in, const char *name)
{
    return kedge_queue_pause(in, kedge_text(name), NULL, "race", LIVENESS, NULL);
}

static int race_resume(struct kedge_store *in, const char *name)
{
    return kedge_queue_resume(in, kedge_text(name), LIVENESS, NULL);
}

/* EACH queues of its own; NULL if all answered OK. */
static void *race(void *arg)
{
    struct racer *r = arg;
    void *failed = NULL;

    for (int i = 0; i < EACH; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "race-%d-%d", i, r->number);
        if (r->what(r->in, name) != KEDGE_OK)
            failed = r;
    }
    return failed;
}

/* Each stays between its look and its write for a while. */
static bool race_threads(int (*what)(struct kedge_store *, const char *))
{
    struct kedge_store *outer = faulty(wrapped());
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    bool good = true;
    void *failed;

    fault_delay(FAULT_commit, 200);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){ i, outer, what };
        must(pthread_create(&threads[i], NULL, race, &racers[i]), "a thread");
    }
    for (int i = 0; i < RACERS; i++) {
        (void)pthread_join(threads[i], &failed);
        good &= failed == NULL;
    }
    kedge_store_close(outer);
    return good;
}

static int race_in_child(char **args)
{
    struct racer r = { .number = (int)strtol(args[2], NULL, 10),
                       .what = strcmp(args[0], "--pause") == 0 ? race_pause : race_resume };
    void *failed;

    must(kedge_store_open(args[1], NULL, &r.in, &err), "open");
    failed = race(&r);
    kedge_store_close(r.in);
    return failed != NULL;
}

static bool race_processes(const char *mode)
{
    pid_t pids[RACERS];
    bool good = true;

    for (int i = 0; i < RACERS; i++) {
        char number[16];

        (void)snprintf(number, sizeof number, "%d", i);
        pids[i] = spawn(mode, number);
    }
    for (int i = 0; i < RACERS; i++) {
        int status = 1;

        (void)waitpid(pids[i], &status, 0);
        good &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return good;
}

static void races(void)
{
    ok(race_threads(race_pause), "two threads pause different queues at the same time");
    ok(paused() == (size_t)RACERS * EACH, "and none is lost");
    ok(race_threads(race_resume) && paused() == 0, "nor is one when they resume them");
    if ((kedge_store_ops(store)->caps & KEDGE_CAP_SHARED) == 0)
        return;
    ok(race_processes("--pause"), "two processes pause different queues at the same time");
    ok(paused() == (size_t)RACERS * EACH, "and none is lost");
    ok(race_processes("--resume") && paused() == 0, "nor is one when they resume them");
}

/* ----------------------------------------------------- answers that never came */

static const struct kedge_backend_ops *below;
static const char *meddler; /* a queue that somebody else pauses in between */

/* The first commit is carried out, somebody is faster with another one, and nobody hears of it. */
static int meddle(void *s, const struct kedge_commit *commits, size_t n,
                  struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *e)
{
    const char *queue = meddler;
    int rc = below->commit(s, commits, n, answers, timeout_us, e);

    meddler = NULL;
    if (queue == NULL || rc != KEDGE_OK)
        return rc;
    must(kedge_queue_pause(store, kedge_text(queue), NULL, NULL, LIVENESS, &err), "pause");
    return kedge_error_set(e, KEDGE_ERR_UNKNOWN, 0, "the answer was lost");
}

static void answers_lost(void)
{
    struct kedge_backend_ops table;
    struct kedge_store *outer;

    below = wrapped();
    table = *below;
    table.commit = meddle;
    outer = faulty(&table);
    fault_plan(FAULT_commit, 1, FAULT_AFTER);
    ok(kedge_queue_pause(outer, kedge_text("lost"), NULL, NULL, LIVENESS, &err) == KEDGE_OK &&
           fault_hits() == 1 && paused() == 1,
       "an answer that never came is asked for again");
    fault_plan(FAULT_commit, 1, FAULT_BEFORE);
    ok(kedge_queue_pause(outer, kedge_text("away"), NULL, NULL, LIVENESS, &err) ==
               KEDGE_ERR_UNAVAILABLE &&
           paused() == 1,
       "where nothing was begun nothing is in doubt");
    meddler = "meddler-1";
    ok(kedge_queue_pause(outer, kedge_text("mine"), "me", NULL, LIVENESS, &err) == KEDGE_OK &&
           paused() == 3,
       "what was done is known as one's own, though somebody wrote after it");
    meddler = "meddler-2";
    ok(kedge_queue_resume(outer, kedge_text("mine"), LIVENESS, &err) == KEDGE_OK && paused() == 3,
       "and what was resumed as resumed");
    kedge_store_close(outer);
    resume_all();
}

/* ------------------------------------------------------------------- workers */

static const char *const two[] = { "paused", "open", NULL };

static void before_it_starts(void)
{
    struct kedge_store *outer;
    struct kedge_worker *worker;
    pthread_t thread;

    must(pause_queue("paused"), "pause");
    start_in(store, "paused", "before-1", 0);
    start_in(store, "open", "before-2", 0);
    /* Whoever claims without having read the list does so before his keeper has. */
    outer = faulty(wrapped());
    fault_delay(FAULT_cell_get, 100000);
    worker = open_in(outer, two, LOOK_US);
    thread = worker_start(worker);
    ok(completes("before-2"), "a worker starts with one of its queues paused: the other goes on");
    ok(untouched("before-1"), "and the paused one leaks nothing");
    worker_join(worker, thread);
    kedge_store_close(outer);

    worker = open_in(store, two, LOOK_US);
    start_in(store, "open", "before-3", 0);
    ok(kedge_worker_drain(worker, LIVENESS, &err) == KEDGE_OK, "a drain ends though it is paused");
    ok(completes("before-3") && untouched("before-1"), "and does what is not");
    must(resume_queue("paused"), "resume");
    ok(kedge_worker_drain(worker, LIVENESS, &err) == KEDGE_OK && completes("before-1"),
       "once it is resumed a drain does it");
    kedge_worker_close(worker, LIVENESS);
}

static void while_it_works(void)
{
    struct kedge_store *outer = faulty(wrapped());
    struct kedge_worker *worker = open_in(outer, two, LOOK_US);
    pthread_t thread = worker_start(worker);

    atomic_store(&began, 0);
    atomic_store(&gate, 1);
    start_in(store, "paused", "held-1", 0);
    ok(await_count(&began, 1), "a run of a queue is held, in a step");
    must(pause_queue("paused"), "pause");
    await_looks();
    start_in(store, "paused", "while-1", 0);
    start_in(store, "paused", "while-2", 300000);
    start_in(store, "open", "while-3", 0);
    ok(completes("while-3"), "the queue is paused: the worker goes on with others");
    ok(untouched("while-1"), "what is due in it is not claimed any more");
    atomic_store(&gate, 0);
    ok(completes("held-1"), "what was held goes on to its end");
    ok(untouched("while-1"), "and makes no room for another");
    must(resume_queue("paused"), "resume");
    ok(completes("while-1"),
       "resumed, it goes on without anything else that would wake the worker");
    ok(completes("while-2"), "and so does what was due later only");
    worker_join(worker, thread);
    kedge_store_close(outer);
}

/* All of its queues, and something due in each. */
static void nothing_to_claim(void)
{
    struct kedge_store *outer = faulty(wrapped());
    struct kedge_worker *worker;
    struct kedge_counts a;
    struct kedge_counts b;
    pthread_t thread;
    uint64_t looks;

    must(pause_queue("paused"), "pause");
    must(pause_queue("open"), "pause");
    worker = open_in(outer, two, LOOK_US);
    thread = worker_start(worker);
    start_in(store, "paused", "none-1", 0);
    start_in(store, "open", "none-2", 0);
    await_looks();
    a = worker_counts(worker);
    looks = fault_calls(FAULT_cell_get);
    await_looks();
    await_looks();
    await_looks();
    b = worker_counts(worker);
    looks = fault_calls(FAULT_cell_get) - looks;
    note("%llu looks, %llu wake-ups", (unsigned long long)looks,
         (unsigned long long)(b.wake_ups - a.wake_ups));
    ok(b.claims == 0, "all queues of a worker are paused: it does not ask");
    if (tells())
        ok(b.wake_ups - a.wake_ups <= 2 * looks + 2, "nor does it wake but to look");
    else
        skip("nor does it wake but to look", "its store does not tell of news");
    must(resume_queue("open"), "resume");
    ok(completes("none-2"), "until one is resumed");
    ok(untouched("none-1"), "which the other is not");
    must(resume_queue("paused"), "resume");
    ok(completes("none-1"), "and then is");
    worker_join(worker, thread);
    kedge_store_close(outer);
}

/* A claim was carried out, its answer was lost, and by the time it is asked for again its queue is
   paused. */
static void claim_in_doubt(void)
{
    struct kedge_store *outer = faulty(wrapped());
    struct kedge_worker *worker = open_in(outer, two, LOOK_US);
    struct kedge_run_info *info;

    atomic_store(&began, 0);
    atomic_store(&gate, 0);
    start_in(store, "paused", "held-doubt", 0);
    fault_plan(FAULT_claim, 1, FAULT_AFTER);
    must(kedge_worker_turn(worker, &err), "turn");
    ok(fault_hits() == 1 && place_of("held-doubt") == KEDGE_PLACE_HELD,
       "the answer to a claim is lost");
    must(pause_queue("paused"), "pause");
    must(pause_queue("open"), "pause");
    await_looks();
    AWAIT(kedge_worker_turn(worker, &err) == KEDGE_OK &&
          place_of("held-doubt") != KEDGE_PLACE_HELD);
    info = info_in(store, "held-doubt");
    ok(atomic_load(&began) == 0 && info->place == KEDGE_PLACE_DUE && info->recoveries == 0,
       "its queue is paused when it comes: the run is not begun, and goes back");
    kedge_run_info_free(info);
    resume_all();
    ok(kedge_worker_drain(worker, LIVENESS, &err) == KEDGE_OK && completes("held-doubt"),
       "and is claimed again when its queue is resumed");
    kedge_worker_close(worker, LIVENESS);
    kedge_store_close(outer);
}

/* Its keeper does not come to look, as if it had been stopped all that time. */
static void late_keeper(void)
{
    struct kedge_testing *testing;
    struct kedge_worker *worker;
    struct kedge_store *in;

    must(kedge_testing_open(NULL, &testing, &err), "testing");
    must(kedge_testing_store(testing, &in, &err), "testing store");
    worker = open_in(in, two, HOUR);
    start_in(in, "open", "late-1", 0);
    AWAIT(kedge_worker_turn(worker, &err) == KEDGE_OK && worker_counts(worker).runs_ended == 1);
    must(kedge_queue_pause(in, kedge_text("paused"), NULL, NULL, LIVENESS, &err), "pause");
    must(kedge_testing_advance(testing, 3 * HOUR, &err), "advance");
    start_in(in, "paused", "late-2", 0);
    start_in(in, "open", "late-3", 0);
    AWAIT(kedge_worker_turn(worker, &err) == KEDGE_OK && worker_counts(worker).runs_ended >= 2);
    ok(untouched_in(in, "late-2"), "who has not looked for long looks before he claims");
    kedge_worker_close(worker, LIVENESS);
    kedge_store_close(in);
    kedge_testing_close(testing);
}

/* ------------------------------------------------------- a list that is no list */

/* Whoever made a run due has died before he could tell of it. */
static int hear_nothing(void *s, uint64_t seen, uint64_t *ticket, int64_t timeout_us,
                        struct kedge_error *e)
{
    const struct timespec all = { (time_t)(timeout_us / SECONDS),
                                  (long)(timeout_us % SECONDS) * 1000 };

    (void)s;
    (void)seen;
    (void)ticket;
    (void)e;
    (void)nanosleep(&all, NULL);
    return KEDGE_QUIET;
}

static void no_news(void)
{
    struct kedge_worker_options o = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_backend_ops table = *wrapped();
    struct kedge_store *outer;
    struct kedge_worker *worker;
    pthread_t thread;

    table.wait = hear_nothing;
    outer = faulty(&table);
    o.look_us = LOOK_US;
    o.lease_ttl_us = SECONDS / 2;
    worker = open_with(outer, &o);
    thread = worker_start(worker);
    AWAIT(fault_calls(FAULT_claim) > 0);
    await_looks(); /* that claim is over */
    start_in(store, "default", "untold-1", 0);
    ok(completes("untold-1"), "what nobody told of is taken all the same");
    worker_join(worker, thread);
    kedge_store_close(outer);
}

static void put_cell(const void *bytes, size_t len)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_change change = { .kind = len > 0 ? KEDGE_CELL_PUT : KEDGE_CELL_DELETE,
                                   .name = kedge_text(KEDGE_QUEUES_CELL) };
    struct kedge_commit commit = { .request = { { 1 } }, .changes = &change, .n_changes = 1 };
    struct kedge_answer answer = { 0 };
    static unsigned char count;
    void *session;

    commit.request.b[1] = ++count;
    change.cell.value = (struct kedge_bytes){ bytes, len };
    must(ops->session_open(kedge_store_handle(store), &session, &err), "session");
    must(ops->commit(session, &commit, 1, &answer, LIVENESS, &err), "commit");
    must(answer.outcome, "put");
    ops->session_close(session);
}

static void *copy_cell(size_t *len)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_cell cell = { .mem = NULL };
    void *session;
    void *copy;

    must(ops->session_open(kedge_store_handle(store), &session, &err), "session");
    must(ops->cell_get(session, kedge_text(KEDGE_QUEUES_CELL), &cell, LIVENESS, &err), "cell");
    ops->session_close(session);
    copy = malloc(cell.value.len);
    if (copy == NULL)
        exit(99);
    memcpy(copy, cell.value.data, cell.value.len);
    *len = cell.value.len;
    kedge_mem_free(kedge_store_host(store), cell.mem);
    return copy;
}

static int opens(void)
{
    struct kedge_worker_options o = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker = NULL;
    struct kedge_reactor *reactor;
    const struct kedge_reactor *one;
    int rc;

    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    one = reactor;
    o.reactors = &one;
    o.n_reactors = 1;
    rc = kedge_worker_open(store, &o, &worker, &err);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
    return rc;
}

static void seal(unsigned char *bytes, size_t len)
{
    uint32_t sum = kedge_record_sum((struct kedge_bytes){ bytes, len - 4 });

    for (int i = 0; i < 4; i++)
        bytes[len - 4 + (size_t)i] = (unsigned char)(sum >> (8 * i));
}

static bool all_refuse(int rc)
{
    struct told t = { .ordered = true };

    return kedge_queue_list(store, tell, &t, LIVENESS, &err) == rc &&
           strstr(err.msg, KEDGE_QUEUES_CELL) != NULL && t.n == 0 && pause_queue("x") == rc &&
           resume_queue("paused") == rc && opens() == rc;
}

/* The first LEN bytes of a list with a checksum that fits: does it end where a list does? */
static int list_of(const unsigned char *bytes, size_t len, size_t flip)
{
    struct told t = { .ordered = true };
    unsigned char *cut = malloc(len + 4);
    int rc;

    if (cut == NULL)
        exit(99);
    memcpy(cut, bytes, len);
    if (flip < len)
        cut[flip] ^= 0x80;
    seal(cut, len + 4);
    put_cell(cut, len + 4);
    free(cut);
    rc = kedge_queue_list(store, tell, &t, LIVENESS, &err);
    return rc == KEDGE_OK && !t.ordered ? KEDGE_QUIET : rc;
}

/* With a checksum that fits each time. */
static void nonsense(const unsigned char *bytes, size_t len)
{
    bool ends = true;
    bool odd = true;

    for (size_t i = 0; i < len; i++) {
        int rc = list_of(bytes, len, i); /* a letter, or the time, may well be another */

        odd &= rc == KEDGE_OK || rc == KEDGE_ERR_CORRUPT || rc == KEDGE_ERR_SCHEMA_NEW;
        ends &= i == 0 || list_of(bytes, i, len) == KEDGE_ERR_CORRUPT;
    }
    ok(ends, "a list that ends too early is none");
    ok(odd, "nor is one that is not in order");
    ok(list_of(bytes, len, len) == KEDGE_OK, "(the whole one is)");
}

static void no_list(void)
{
    struct kedge_store *outer = faulty(wrapped());
    struct kedge_worker *worker = open_in(outer, two, LOOK_US);
    pthread_t thread = worker_start(worker);
    unsigned char *bytes;
    unsigned char *copy;
    size_t len;

    must(pause_queue("paused"), "pause");
    must(pause_queue("quite another"), "pause");
    bytes = copy_cell(&len);
    copy = copy_cell(&len);
    await_looks();
    put_cell("garbage", 7);
    ok(all_refuse(KEDGE_ERR_CORRUPT), "a list that is damaged is not guessed at, nor written over");
    await_looks();
    start_in(store, "paused", "odd-1", 0);
    start_in(store, "open", "odd-2", 0);
    ok(completes("odd-2") && untouched("odd-1"), "a worker goes by what it knew");
    bytes[0]++;
    seal(bytes, len);
    put_cell(bytes, len);
    ok(all_refuse(KEDGE_ERR_SCHEMA_NEW), "nor is one of a newer kedge");
    bytes[0]--;
    seal(bytes, len);
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= 1;
        put_cell(bytes, len);
        if (!all_refuse(KEDGE_ERR_CORRUPT))
            break;
        bytes[i] ^= 1;
        if (i > 8)
            i += 7;
    }
    ok(memcmp(bytes, copy, len) == 0, "no bit of it goes unnoticed");
    nonsense(bytes, len - 4);
    put_cell(copy, len);
    ok(paused() == 2, "it is as it was");
    put_cell(NULL, 0);
    ok(paused() == 0 && completes("odd-1"), "without a list nothing is paused");
    worker_join(worker, thread);
    kedge_store_close(outer);
    free(bytes);
    free(copy);
}

static void all(void)
{
    what_is_kept();
    what_is_refused();
    full();
    races();
    answers_lost();
    before_it_starts();
    while_it_works();
    nothing_to_claim();
    claim_in_doubt();
    late_keeper();
    no_news();
    no_list();
}

int main(int argc, char **argv)
{
    if (argc == 4 && strncmp(argv[1], "--", 2) == 0)
        return race_in_child(argv + 1);
    return saga_main(argc, argv, NULL, all);
}
