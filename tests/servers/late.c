/*
 * late.c - a worker is killed, and what it had sent arrives when its runs are elsewhere; speaks TAP
 *
 * Its commits are under way, in the proxy, when it is killed.  The server does not see its end, as
 * its connections are still there: another worker buries it at its deadline, runs the steps again
 * and goes on.  Then the commits arrive.
 *
 *	./late URL ADDRESS DIR          URL with {server} or {host} in it, for the server at ADDRESS
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kedge/backend.h>

#include "../engine/effects.h"
#include "conform/proxy/address.h"
#include "conform/proxy/proxy.h"

#define TTL_US   (2 * SECONDS)
#define PATIENCE (60 * SECONDS)

enum { STEPS = 4, RUNS = 6, LINES_MOST = 4096, GATED = 1 };

/* ------------------------------------------------------------------- workers */

static int gate = -1; /* step GATED waits until it is readable; -1: it does not */

static int run_it(struct kedge_step *step, void *user)
{
    struct line line = effects_of(step, LINE_BEGIN);
    struct pollfd at = { .fd = gate, .events = POLLIN };
    char value[128];

    (void)user;
    effects_write(line);
    while (gate >= 0 && line.step == GATED && poll(&at, 1, -1) <= 0)
        ;
    line.kind = LINE_END;
    effects_write(line);
    (void)effects_value(&line, value, sizeof value);
    return kedge_ok(step, value, strlen(value));
}

static struct kedge_reactor *reactor_new(void)
{
    static const char *const names[STEPS] = { "s0", "s1", "s2", "s3" };
    const char *after[STEPS][2] = { { NULL } };
    struct kedge_step_def steps[STEPS];
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("late", 1, steps);
    struct kedge_reactor *reactor;

    memset(steps, 0, sizeof steps);
    for (int i = 0; i < STEPS; i++) {
        after[i][0] = i > 0 ? names[i - 1] : NULL;
        steps[i].name = names[i];
        steps[i].run = run_it;
        steps[i].flags = KEDGE_STEP_POOL;
        steps[i].after = after[i];
    }
    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    return reactor;
}

static void be_worker(char **args)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactor = reactor_new();

    effects_open(args[1], number_of(args[2], INT_MAX));
    gate = number_of(args[3], INT_MAX) - 1;
    options.lease_ttl_us = TTL_US;
    effects_serve(args[0], &reactor, 1, &options);
}

static pid_t spawn(const char *url, const char *log, int worker, int fd)
{
    static char flag[] = "--worker";
    char n[2][16];
    char *args[] = { NULL, flag, (char *)(uintptr_t)url, (char *)(uintptr_t)log, n[0], n[1], NULL };

    (void)snprintf(n[0], sizeof n[0], "%d", worker);
    (void)snprintf(n[1], sizeof n[1], "%d", fd + 1);
    return effects_spawn(args);
}

/* ------------------------------------------------------------------- the test */

static struct line lines[LINES_MOST];
static int n_lines;
static int n_tests;
static int n_failed;

static void ok(int good, const char *what)
{
    printf("%sok %d - %s\n", good ? "" : "not ", ++n_tests, what);
    n_failed += !good;
}

static int count(enum line_kind kind, int worker, int step)
{
    int n = 0;

    while (n_lines < LINES_MOST && effects_read(&lines[n_lines]))
        n_lines++;
    for (int i = 0; i < n_lines; i++)
        n += lines[i].kind == (int32_t)kind && lines[i].worker == worker && lines[i].step == step;
    return n;
}

static void await(enum line_kind kind, int worker, int step)
{
    int64_t until = now_us() + PATIENCE;

    while (count(kind, worker, step) < RUNS) {
        if (now_us() > until)
            bail("%d of %d lines '%c' of worker %d, step %d", count(kind, worker, step), RUNS,
                 (char)kind, worker, step);
        nap_us(1000);
    }
}

static const char *id_of(int run, char id[24])
{
    (void)snprintf(id, 24, "run-%d", run);
    return id;
}

static struct kedge_run_info *info_of(struct kedge_store *store, int run)
{
    struct kedge_run_info *info;
    char id[24];

    must(kedge_run_wait(store, kedge_text(id_of(run, id)), &info, PATIENCE, &err), "wait");
    return info;
}

static void runs_start(struct kedge_store *store)
{
    struct kedge_run_start start = KEDGE_START_INIT;
    char id[24];

    start.reactor = "late";
    start.version = 1;
    for (int i = 0; i < RUNS; i++) {
        start.id = kedge_text(id_of(i, id));
        must(kedge_start(store, &start, PATIENCE, &err), "start");
    }
}

/* A worker whose steps have ended, and whose word of that is in the proxy. */
static void hold_its_word(struct proxy *proxy, int gate_end)
{
    uint64_t least = (uint64_t)RUNS * 60; /* the values alone */
    int64_t until = now_us() + PATIENCE;
    uint64_t before;

    proxy_say(proxy, "hold");
    before = proxy_count(proxy).up;
    (void)close(gate_end);
    await(LINE_END, 1, GATED);
    while (proxy_count(proxy).up < before + least && now_us() < until)
        nap_us(1000);
}

static void late_words(struct proxy *proxy)
{
    int64_t until = now_us() + PATIENCE;

    proxy_say(proxy, "go");
    while (proxy_count(proxy).open > 0 && now_us() < until)
        nap_us(1000);
    ok(proxy_count(proxy).open == 0, "what the dead one had sent has arrived");
}

/* One record for each step, by the worker that went on. */
static int records_wrong(struct kedge_store *store, int run)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_record_page page = { .n = 0 };
    int by[STEPS] = { 0 };
    void *session;
    char id[24];
    int wrong = 0;

    must(ops->session_open(kedge_store_handle(store), &session, &err), "session");
    must(ops->retrieve_records(session, kedge_text(id_of(run, id)), 0, 1, 256, SIZE_MAX, &page,
                               PATIENCE, &err),
         "records");
    for (size_t i = 0; i < page.n; i++) {
        struct line record;

        if (!effects_find(page.records[i].data, &record) || record.step < 0 || record.step >= STEPS)
            continue;
        by[record.step]++;
        wrong += record.worker != (record.step < GATED ? 1 : 2);
    }
    kedge_mem_free(kedge_store_host(store), page.mem);
    ops->session_close(session);
    for (int i = 0; i < STEPS; i++)
        wrong += by[i] != 1;
    return wrong;
}

static void after_all(struct kedge_store *store)
{
    int complete = 0;
    int wrong = 0;

    for (int i = 0; i < RUNS; i++) {
        struct kedge_run_info *info = info_of(store, i);

        complete += info->status == KEDGE_COMPLETED;
        kedge_run_info_free(info);
        wrong += records_wrong(store, i);
    }
    ok(complete == RUNS, "the runs come to their end");
    ok(wrong == 0, "each step is recorded once, and what came late is not");
    ok(count(LINE_BEGIN, 2, GATED) == RUNS && count(LINE_BEGIN, 2, GATED + 1) == RUNS,
       "each step runs once on the second worker");
}

int main(int argc, char **argv)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_store *store;
    struct proxy proxy;
    char log[4096];
    char direct[1024];
    char through[1024];
    int ends[2];
    pid_t pids[2];

    if (argc == 6 && strcmp(argv[1], "--worker") == 0)
        be_worker(argv + 2);
    if (argc != 4 || !address_wanted(argv[1])) {
        (void)fprintf(stderr, "usage: late URL ADDRESS DIR\n");
        return 2;
    }
    (void)snprintf(log, sizeof log, "%s/effects", argv[3]);
    proxy_start_before(&proxy, argv[2]);
    if (!address_fill(direct, sizeof direct, argv[1], argv[2]) ||
        !address_fill(through, sizeof through, argv[1], proxy.address))
        bail("the URL is too long");
    effects_open(log, 0);
    options.flags = KEDGE_STORE_CREATE;
    must(kedge_store_open(direct, &options, &store, &err), "open");
    runs_start(store);
    if (pipe(ends) != 0 || fcntl(ends[1], F_SETFD, FD_CLOEXEC) != 0)
        bail("no pipe");
    pids[0] = spawn(through, log, 1, ends[0]);
    await(LINE_BEGIN, 1, GATED);
    hold_its_word(&proxy, ends[1]);
    (void)kill(pids[0], SIGKILL);
    (void)waitpid(pids[0], NULL, 0);
    pids[1] = spawn(direct, log, 2, -1);
    await(LINE_END, 2, GATED + 1);
    late_words(&proxy);
    after_all(store);
    (void)kill(pids[1], SIGTERM);
    (void)waitpid(pids[1], NULL, 0);
    kedge_store_close(store);
    proxy_stop(&proxy);
    printf("1..%d\n", n_tests);
    return n_failed > 0;
}
