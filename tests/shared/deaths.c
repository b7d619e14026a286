/*
 * deaths.c - a served store, its clients and its server killed and stopped; speaks TAP
 *
 *	./deaths URL          of a server called `store' of tests/support/server.sh
 */
#include <config.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

enum { CLIENTS = 4, STEPS = 200 };

/* Seen by all of them. */
struct board {
    atomic_int done[CLIENTS];
    atomic_bool enough;
};

/* Count in one cell that all share, until told that it is enough. */
static _Noreturn void count_on(struct board *b, int me)
{
    struct client c;
    uint64_t value, version;
    int rc;

    client_open(&c, "deaths", 0);
    while (!atomic_load(&b->enough)) {
        need_rc(&c, cell_get(&c, "count", &value, &version), KEDGE_OK);
        rc = cell_put(&c, "count", value + 1, version, NULL, PATIENCE);
        if (rc == KEDGE_OK)
            atomic_fetch_add(&b->done[me], 1);
        else
            need_rc(&c, rc, KEDGE_STALE);
    }
    client_close(&c);
    _exit(0);
}

static void await_steps(struct board *b, int who, int n)
{
    int64_t until = mono_us() + 6 * PATIENCE;

    while (atomic_load(&b->done[who]) < n) {
        need(mono_us() < until);
        (void)usleep(500);
    }
}

/* The victim may have counted without getting to say so: once at most. */
static void killed_client(void)
{
    struct board *b =
        mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct client c;
    pid_t pid[CLIENTS];
    uint64_t value, version, sum = 0;
    struct kedge_verified v;
    int64_t until;
    int status, rc;

    need(b != MAP_FAILED);
    client_open(&c, "deaths", KEDGE_OPEN_CREATE);
    need_rc(&c, cell_put(&c, "count", 0, 0, NULL, PATIENCE), KEDGE_OK);
    (void)fflush(stdout);
    for (int i = 0; i < CLIENTS; i++) {
        pid[i] = fork();
        need(pid[i] >= 0);
        if (pid[i] == 0)
            count_on(b, i);
    }
    for (int i = 0; i < CLIENTS; i++)
        await_steps(b, i, STEPS / 4);
    need(kill(pid[0], SIGKILL) == 0 && waitpid(pid[0], &status, 0) == pid[0]);
    for (int i = 1; i < CLIENTS; i++)
        await_steps(b, i, atomic_load(&b->done[i]) + STEPS);
    atomic_store(&b->enough, true);
    for (int i = 1; i < CLIENTS; i++)
        need(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
    for (int i = 0; i < CLIENTS; i++)
        sum += (uint64_t)atomic_load(&b->done[i]);
    need_rc(&c, cell_get(&c, "count", &value, &version), KEDGE_OK);
    need(value == sum || value == sum + 1);
    need_rc(&c, ops->verify(c.session, &v, PATIENCE, &c.err), KEDGE_OK);
    need(v.faults == 0);
    kedge_mem_free(host, v.mem);
    passed("a client is killed, the others count on, and nothing is counted twice");

    need_rc(&c, drop("deaths", &c.err), KEDGE_HELD);
    client_close(&c);
    until = mono_us() + PATIENCE;
    do
        rc = drop("deaths", &c.err);
    while (rc == KEDGE_HELD && mono_us() < until);
    need_rc(&c, rc, KEDGE_OK);
    passed("what a killed client had open is open no more");
}

/* A client that is killed while it waits for work holds nothing open either. */
static void killed_in_wait(void)
{
    struct client c;
    uint64_t ticket;
    int64_t until;
    int pipes[2], status, rc;
    char ready;
    pid_t pid;

    client_open(&c, "waits", KEDGE_OPEN_CREATE);
    client_close(&c);
    need(pipe(pipes) == 0);
    pid = fork();
    need(pid >= 0);
    if (pid == 0) {
        client_open(&c, "waits", 0);
        rc = ops->wait(c.session, 0, &ticket, 0, &c.err);
        need(rc == KEDGE_OK || rc == KEDGE_QUIET);
        need(write(pipes[1], "r", 1) == 1);
        (void)ops->wait(c.session, rc == KEDGE_OK ? ticket : 0, &ticket, 50 * PATIENCE, &c.err);
        _exit(1);
    }
    need(read(pipes[0], &ready, 1) == 1);
    need_rc(&c, drop("waits", &c.err), KEDGE_HELD);
    need(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    until = mono_us() + PATIENCE;
    do
        rc = drop("waits", &c.err);
    while (rc == KEDGE_HELD && mono_us() < until);
    need_rc(&c, rc, KEDGE_OK);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    passed("nor what one had open that was waiting for work");
}

/* --------------------------------------------------------------- the server stops */

static void stopped_server(void)
{
    struct client c, other;
    struct kedge_id128 request = new_id();
    struct kedge_time now;
    uint64_t value, version;
    int64_t began;
    int rc;

    client_open(&c, "stops", KEDGE_OPEN_CREATE);
    client_open(&other, "stops", 0);
    need_rc(&c, cell_put(&c, "a", 1, 0, NULL, PATIENCE), KEDGE_OK);
    need_rc(&other, cell_get(&other, "a", &value, &version), KEDGE_OK);
    server("pause");
    began = mono_us();
    need_rc(&other, ops->now(other.session, &now, 300000, &other.err), KEDGE_ERR_UNAVAILABLE);
    need(mono_us() - began >= 300000 && mono_us() - began < PATIENCE / 2);
    need_rc(&c, cell_put(&c, "a", 2, UINT64_MAX, &request, 300000), KEDGE_ERR_UNKNOWN);
    need(strstr(c.err.msg, "may or may not") != NULL);
    /* A new connection: it is accepted by the system, and nobody reads from it. */
    rc = cell_put(&c, "a", 3, UINT64_MAX, NULL, 300000);
    need_rc(&c, rc, KEDGE_ERR_UNAVAILABLE);
    need(mono_us() - began < PATIENCE / 2);
    passed("of a server that stands still: in doubt is what was sent, and nothing else, in time");
    server("resume");
    need_rc(&c, cell_put(&c, "a", 2, UINT64_MAX, &request, PATIENCE), KEDGE_OK);
    need_rc(&other, cell_get(&other, "a", &value, &version), KEDGE_OK);
    need(value == 2);
    passed("when it goes on the same bytes are sent again, and all goes on");
    client_close(&c);
    client_close(&other);
}

/* ---------------------------------------------------------------- the server dies */

struct at_work {
    pthread_t thread;
    struct client c;
    bool waits;
    atomic_int steps;
    int rc;
};

static void *work_on(void *arg)
{
    struct at_work *w = arg;
    uint64_t n = 0, ticket = 0;

    do {
        atomic_fetch_add(&w->steps, 1);
        if (!w->waits)
            w->rc = cell_put(&w->c, "a", n++, UINT64_MAX, NULL, PATIENCE);
        else if ((w->rc = ops->wait(w->c.session, ticket, &ticket, 50 * PATIENCE, &w->c.err)) ==
                 KEDGE_QUIET)
            w->rc = KEDGE_OK;
    } while (w->rc == KEDGE_OK);
    return NULL;
}

static void killed_server(void)
{
    static struct at_work works[4];
    struct kedge_time now;
    struct client c;
    int64_t began;

    for (int i = 0; i < 4; i++) {
        client_open(&works[i].c, "dies", KEDGE_OPEN_CREATE);
        works[i].waits = i % 2 != 0;
    }
    client_open(&c, "dies", 0);
    for (int i = 0; i < 4; i++)
        need(pthread_create(&works[i].thread, NULL, work_on, &works[i]) == 0);
    began = mono_us();
    for (int i = 0; i < 4; i++)
        while (atomic_load(&works[i].steps) < (works[i].waits ? 1 : 20)) {
            need(mono_us() - began < PATIENCE);
            (void)usleep(500);
        }
    server("kill");
    began = mono_us();
    for (int i = 0; i < 4; i++) {
        need(pthread_join(works[i].thread, NULL) == 0);
        if (works[i].waits)
            need_rc(&works[i].c, works[i].rc, KEDGE_ERR_UNAVAILABLE);
        else
            need(works[i].rc == KEDGE_ERR_UNKNOWN || works[i].rc == KEDGE_ERR_UNAVAILABLE);
    }
    need(mono_us() - began < PATIENCE / 2);
    passed("of a server that is killed everybody learns at once");
    need_rc(&c, ops->now(c.session, &now, PATIENCE, &c.err), KEDGE_ERR_UNAVAILABLE);
    need_rc(&c, cell_put(&c, "a", 1, UINT64_MAX, NULL, PATIENCE), KEDGE_ERR_UNAVAILABLE);
    need(mono_us() - began < PATIENCE / 2);
    passed("who comes later finds nobody, and nothing is in doubt");
    server("start");
    need_rc(&c, ops->now(c.session, &now, PATIENCE, &c.err), KEDGE_ERR_UNAVAILABLE);
    need(strstr(c.err.msg, "started anew") != NULL);
    client_close(&c);
    for (int i = 0; i < 4; i++)
        client_close(&works[i].c);
    need_rc(&c, client_try(&c, "dies", 0), KEDGE_ERR_SCHEMA_MISSING);
    client_open(&c, "dies", KEDGE_OPEN_CREATE);
    need_rc(&c, cell_put(&c, "a", 1, 0, NULL, PATIENCE), KEDGE_OK);
    client_close(&c);
    passed("a new server has a new store, and says so to those who knew the old one");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fputs("usage: deaths URL\n", stderr);
        return 2;
    }
    begin(argv[1], 8);
    killed_client();
    killed_in_wait();
    stopped_server();
    killed_server();
    return 0;
}
