/*
 * room.c - sagas on a store that has no room left, on the disk or in the map
 *
 * Runs are under way when it becomes full.  Who starts another one is told, and so is the log of
 * the worker; what was acknowledged stays and can be read; with room again all runs complete, on
 * the same worker, which runs no step a second time.
 */
#include <config.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/kedge.h>

#include "crash.h"
#include "disk.h"

enum { RUNS = 16, PAGES = 4, FILLERS = 4000 };
#define VALUE    (PAGES * 4096 - 200) /* bytes of a step's value */
#define LIVENESS (60 * CRASH_SEC)

static char disk[4200];
static char url[4400];

/* -------------------------------------------------------------------- the saga */

static struct {
    struct kedge_store *store;
    struct kedge_worker *worker;
    pthread_t thread;
    atomic_int gate;           /* b waits for it */
    atomic_int inside;         /* how many do */
    atomic_int calls[RUNS][3]; /* of each step */
    bool recorded[RUNS][3];    /* as the store says when it is full */
    int n_recorded;
    atomic_int told; /* the log said that there is no room */
    struct kedge_error err;
} it;

static void log_text(void *ctx, int level, const char *text)
{
    (void)ctx;
    (void)level;
    if (strstr(text, "does not take commits now") != NULL && strstr(text, "full") != NULL &&
        strstr(text, "store '") != NULL)
        atomic_fetch_add(&it.told, 1);
}

static void must(int rc, const char *what)
{
    CRASH_CHECK(rc == KEDGE_OK, "%s: %s: %s", what, kedge_status_name(rc),
                rc < 0 ? it.err.msg : "");
}

static void await(atomic_int *flag, int n, const char *what)
{
    int64_t end = crash_now_us() + LIVENESS;

    while (atomic_load(flag) < n) {
        CRASH_CHECK(crash_now_us() < end, "it never came to that: %s", what);
        crash_sleep_us(1000);
    }
}

/* What step S of run I says: its number over and over, in quotes. */
static void make_value(char value[VALUE + 1], int i, int s)
{
    memset(value, 'a' + (i * 3 + s) % 26, VALUE);
    value[0] = value[VALUE - 1] = '"';
    value[VALUE] = '\0';
}

static bool is_value(struct kedge_bytes bytes, int i, int s)
{
    char value[VALUE + 1];

    make_value(value, i, s);
    return bytes.len == VALUE && memcmp(bytes.data, value, VALUE) == 0;
}

/* The number of a run called run-I; fillers have none. */
static int number_of(struct kedge_bytes id)
{
    char text[16] = "";

    if (id.len < 5 || id.len - 4 >= sizeof text || memcmp(id.data, "run-", 4) != 0)
        return -1;
    memcpy(text, (const char *)id.data + 4, id.len - 4);
    return (int)strtol(text, NULL, 10);
}

static int work(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);
    int s = view->step[0] - 'a';
    int i = number_of(view->run);
    char value[VALUE + 1];

    (void)user;
    if (i < 0 || i >= RUNS)
        return kedge_ok(step, "true", 4);
    atomic_fetch_add(&it.calls[i][s], 1);
    if (s == 1) {
        atomic_fetch_add(&it.inside, 1);
        while (atomic_load(&it.gate) == 0 && !kedge_step_stopping(step))
            crash_sleep_us(1000);
    }
    make_value(value, i, s);
    return kedge_ok(step, value, VALUE);
}

static void open_store(void)
{
    static struct kedge_host host;
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    host = *kedge_host_default();
    host.log = log_text;
    options.flags = KEDGE_STORE_CREATE;
    options.host = &host;
    must(kedge_store_open(url, &options, &it.store, &it.err), "open");
}

static void *work_on(void *worker)
{
    (void)kedge_worker_run(worker, NULL);
    return NULL;
}

static void open_worker(int64_t retention_us)
{
    static const char *const after[][2] = { { "a", NULL }, { "b", NULL } };
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = work },
        { .name = "b", .run = work, .after = after[0], .flags = KEDGE_STEP_POOL },
        { .name = "c", .run = work, .after = after[1] },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("work", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactors[1];
    struct kedge_reactor *reactor;

    must(kedge_reactor_new(&def, &reactor, &it.err), "reactor");
    reactors[0] = reactor;
    options.reactors = reactors;
    options.n_reactors = 1;
    options.pool_threads = RUNS;
    options.retention_us = retention_us;
    options.sweep_us = 3600 * CRASH_SEC; /* what has expired stays until somebody purges */
    options.lease_ttl_us = 2 * CRASH_SEC;
    options.timeout_us = 2 * CRASH_SEC;
    must(kedge_worker_open(it.store, &options, &it.worker, &it.err), "worker");
    kedge_reactor_free(reactor);
    CRASH_CHECK(pthread_create(&it.thread, NULL, work_on, it.worker) == 0, "no thread");
}

static void close_worker(void)
{
    kedge_worker_stop(it.worker);
    (void)pthread_join(it.thread, NULL);
    kedge_worker_close(it.worker, 0);
}

static int start(const char *id, struct kedge_bytes input)
{
    struct kedge_run_start s = KEDGE_START_INIT;

    s.reactor = "work";
    s.version = 1;
    s.id = kedge_text(id);
    s.input = input;
    memset(&it.err, 0, sizeof it.err);
    return kedge_start(it.store, &s, 5 * CRASH_SEC, &it.err);
}

static struct kedge_run_info *end_of(const char *id)
{
    struct kedge_run_info *info = NULL;

    must(kedge_run_wait(it.store, kedge_text(id), &info, LIVENESS, &it.err), id);
    CRASH_CHECK(info->status == KEDGE_COMPLETED, "%s ends as %s: %.*s", id,
                kedge_run_status_text(info->status), (int)info->error.len,
                info->error.len > 0 ? (const char *)info->error.data : "");
    return info;
}

/* All runs are in b, and the record of a is durable. */
static void begin_runs(void)
{
    atomic_store(&it.gate, 0);
    atomic_store(&it.inside, 0);
    atomic_store(&it.told, 0);
    memset(it.calls, 0, sizeof it.calls);
    for (int i = 0; i < RUNS; i++) {
        char id[24];

        (void)snprintf(id, sizeof id, "run-%d", i);
        must(start(id, kedge_text("1")), "start");
    }
    await(&it.inside, RUNS, "all runs are in their second step");
}

/* Start runs until one is refused for want of room; how many are acknowledged. */
static int start_until_full(struct kedge_bytes input, const char *word)
{
    for (int n = 0; n < FILLERS; n++) {
        char id[24];
        int rc;

        (void)snprintf(id, sizeof id, "filler-%d", n);
        rc = start(id, input);
        if (rc == KEDGE_OK)
            continue;
        CRASH_CHECK(rc == KEDGE_ERR_FULL, "a start on a full store: %s: %s", kedge_status_name(rc),
                    it.err.msg);
        CRASH_CHECK(strstr(it.err.msg, "store '") != NULL && strstr(it.err.msg, word) != NULL,
                    "it says: %s", it.err.msg);
        tap_diag("%d fillers, then: %s", n, it.err.msg);
        return n;
    }
    crash_fail("it never gets full");
}

/* What is recorded is what the step said.  A little may still have fitted in. */
static int see_step(void *ctx, const struct kedge_step_info *step)
{
    int i = *(int *)ctx;
    int s = step->name[0] - 'a';

    CRASH_CHECK(s > 0 || step->state == KEDGE_STEP_DONE, "run %d: what a has done is not there", i);
    it.recorded[i][s] = step->state == KEDGE_STEP_DONE;
    it.n_recorded += it.recorded[i][s];
    if (it.recorded[i][s])
        CRASH_CHECK(is_value(step->value, i, s), "run %d: step %s said something else", i,
                    step->name);
    return 0;
}

/* While it is full: every acknowledged run, and what its first step did. */
static void all_is_there(int fillers)
{
    char id[24];

    it.n_recorded = 0;
    for (int i = 0; i < RUNS; i++) {
        (void)snprintf(id, sizeof id, "run-%d", i);
        must(kedge_run_steps(it.store, kedge_text(id), see_step, &i, LIVENESS, &it.err), id);
    }
    CRASH_CHECK(it.n_recorded < 3 * RUNS, "all could be recorded");
    for (int n = 0; n < fillers; n++) {
        struct kedge_run_info *info = NULL;

        (void)snprintf(id, sizeof id, "filler-%d", n);
        must(kedge_run_get(it.store, kedge_text(id), 0, &info, LIVENESS, &it.err), id);
        kedge_run_info_free(info);
    }
}

/* AGAIN: what had no record when it was full may have run once more. */
static void all_complete(int fillers, bool again)
{
    char id[24];

    for (int i = 0; i < RUNS; i++) {
        struct kedge_run_info *info;

        (void)snprintf(id, sizeof id, "run-%d", i);
        info = end_of(id);
        CRASH_CHECK(is_value(info->result, i, 2), "%s: another result", id);
        kedge_run_info_free(info);
        for (int s = 0; s < 3; s++) {
            int calls = atomic_load(&it.calls[i][s]);

            CRASH_CHECK(calls == 1 || (again && !it.recorded[i][s] && calls == 2),
                        "%s: step %c ran %d times", id, 'a' + s, calls);
        }
    }
    for (int n = 0; n < fillers; n++) {
        (void)snprintf(id, sizeof id, "filler-%d", n);
        kedge_run_info_free(end_of(id));
    }
}

static void check_store(void)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(it.store);
    const char *fault;
    void *session;

    must(ops->session_open(kedge_store_handle(it.store), &session, &it.err), "session");
    fault = crash_verify(ops, kedge_store_host(it.store), session);
    ops->session_close(session);
    CRASH_CHECK(fault == NULL, "%s", fault);
}

/* ------------------------------------------------------------------- a full disk */

/* Another handle, while the disk is full: it opens, or says why not. */
static void open_again(void)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_store *other = NULL;
    int rc = kedge_store_open(url, &options, &other, &it.err);

    CRASH_CHECK(rc == KEDGE_OK || rc == KEDGE_ERR_FULL, "opened on a full disk: %s: %s",
                kedge_status_name(rc), it.err.msg);
    kedge_store_close(other);
}

static void full_disk(void *ctx)
{
    int fillers;

    (void)ctx;
    disk_mount(disk, 24000);
    open_store();
    open_worker(0);
    begin_runs();
    disk_leave_free(disk, "ballast", 8);
    fillers = start_until_full(kedge_text("1"), "make room");
    atomic_store(&it.gate, 1);
    await(&it.told, 1, "the worker's log says that the disk is full");
    all_is_there(fillers);
    open_again();
    disk_leave_free(disk, "ballast", 4000);
    all_complete(fillers, false);
    must(start("afterwards", kedge_text("1")), "a start with room again");
    kedge_run_info_free(end_of("afterwards"));
    check_store();
    close_worker();
    kedge_store_close(it.store);
}

/* -------------------------------------------------------------------- a full map */

static char input[60000];

/* Runs that have completed and expired, and that nobody has removed yet. */
static void leave_expired(void)
{
    for (int i = 0; i < 3 * RUNS; i++) {
        char id[24];

        (void)snprintf(id, sizeof id, "old-%d", i);
        must(start(id, (struct kedge_bytes){ input, sizeof input }), "start");
    }
    for (int i = 0; i < 3 * RUNS; i++) { /* at its end, or already beyond it */
        char id[24];
        int rc;

        (void)snprintf(id, sizeof id, "old-%d", i);
        rc = kedge_run_wait(it.store, kedge_text(id), NULL, LIVENESS, &it.err);
        CRASH_CHECK(rc == KEDGE_OK || rc == KEDGE_NOT_FOUND, "%s: %s", id, kedge_status_name(rc));
    }
}

static void purge(void)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(it.store);
    struct kedge_purged purged = { .more = 1 };
    void *session;
    uint64_t runs = 0;

    must(ops->session_open(kedge_store_handle(it.store), &session, &it.err), "session");
    while (purged.more != 0) {
        must(ops->purge(session, 100, &purged, LIVENESS, &it.err), "purge in a full map");
        runs += purged.runs;
    }
    ops->session_close(session);
    CRASH_CHECK(runs >= 3 * RUNS, "only %llu runs were purged", (unsigned long long)runs);
}

static int fill_map(void)
{
    int fillers;

    open_store();
    open_worker(1);
    leave_expired();
    close_worker();
    open_worker(0);
    begin_runs();
    fillers = start_until_full((struct kedge_bytes){ input, sizeof input }, "larger ?map_size=");
    atomic_store(&it.gate, 1);
    await(&it.told, 1, "the worker's log says that the map is full");
    all_is_there(fillers);
    return fillers;
}

static void full_map_purged(void *ctx)
{
    int fillers;

    (void)ctx;
    fillers = fill_map();
    purge();
    all_complete(fillers, false);
    must(start("afterwards", kedge_text("1")), "a start with room again");
    kedge_run_info_free(end_of("afterwards"));
    check_store();
    close_worker();
    kedge_store_close(it.store);
}

/* What could not be kept is run again by the next worker; nothing else. */
static void full_map_grown(void *ctx)
{
    int fillers = fill_map();

    close_worker();
    kedge_store_close(it.store);
    (void)snprintf(url, sizeof url, "%s", (const char *)ctx);
    open_store();
    open_worker(0);
    all_complete(fillers, true);
    check_store();
    close_worker();
    kedge_store_close(it.store);
}

static void report(enum crash_end end, const char *what)
{
    if (end == CRASH_SKIPPED)
        tap_skip(crash_why(), "%s", what);
    else
        (void)tap_ok(end == CRASH_PASSED, "%s %s", what, crash_why());
}

int main(void)
{
    char grown[4400];

    memset(input, '7', sizeof input);
    (void)snprintf(disk, sizeof disk, "%s/disk", crash_dir());
    (void)snprintf(url, sizeof url, "lmdb://%s/store?map_size=64MiB", disk);
    report(crash_run(full_disk, NULL), "the disk becomes full under sagas, and has room again");
    (void)snprintf(url, sizeof url, "lmdb://%s/purged?map_size=8MiB", crash_dir());
    report(crash_run(full_map_purged, NULL), "the map becomes full under sagas, and is purged");
    (void)snprintf(url, sizeof url, "lmdb://%s/grown?map_size=8MiB", crash_dir());
    (void)snprintf(grown, sizeof grown, "lmdb://%s/grown?map_size=64MiB", crash_dir());
    report(crash_run(full_map_grown, grown),
           "the map becomes full under sagas, and the store is opened again with a larger one");
    return tap_end();
}
