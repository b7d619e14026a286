/*
 * stall.c - somebody is stopped, inside of a write or outside: what does it cost the others?
 *
 *   another process  is answered ERR_UNAVAILABLE at its deadline, with the pid of the stopped one;
 *                    reading, opening and waiting go on; after SIGCONT or SIGKILL writing does, too
 *   the same process  a commit that the stuck leader has picked up is ERR_UNKNOWN at its deadline,
 *                    one that it has not is ERR_UNAVAILABLE; sent again both are there once
 */
#include <config.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client.h"
#include "conform/iofault.h"

#define SHORT_US INT64_C(300000)

static struct shared {
    struct iofault fault;
    struct client_run run;
    _Atomic int phase; /* of the holder: 1 set up, 2 its commit has answered */
    _Atomic int outcome;
    _Atomic int pid;
} * sh;
static char url[4300];
static char path[4200];
static int64_t took_us; /* the other's wait */

static bool await_phase(int phase, int64_t timeout_us)
{
    int64_t end = crash_now_us() + timeout_us;

    while (atomic_load(&sh->phase) < phase) {
        if (crash_now_us() > end)
            return false;
        crash_sleep_us(200);
    }
    return true;
}

/* ------------------------------------------------------------- two processes */

/* Commits once; stalls in its first sync of that when armed. */
static void holder(void *ctx)
{
    struct client c = { .url = url };

    iofault_use(&sh->fault);
    client_must_open(&c, KEDGE_OPEN_CREATE);
    client_expect(&c, client_grant(&c, 1, 60 * CRASH_SEC), KEDGE_OK, "lease_grant");
    client_expect(&c, client_create(&c, "r", &sh->run), KEDGE_OK, "create");
    client_expect(&c, client_append(&c, &sh->run, 1, 100), KEDGE_OK, "append");
    atomic_store(&sh->pid, getpid());
    if (ctx != NULL) {
        atomic_store(&sh->fault.mask, *(const uint32_t *)ctx);
        iofault_arm(&sh->fault, IOFAULT_STALL, 1, 0);
    }
    atomic_store(&sh->phase, 1);
    if (ctx != NULL) {
        atomic_store(&sh->outcome, client_append(&c, &sh->run, 2, 3000));
        iofault_disarm(&sh->fault);
    }
    atomic_store(&sh->phase, 2);
    /* Until told to end. */
    while (atomic_load(&sh->phase) != 3)
        crash_sleep_us(1000);
    client_close(&c);
}

/* While the holder is stopped inside of a write. */
static void others(void *ctx)
{
    struct client c = { .url = url };
    struct kedge_lease_page leases = { 0 };
    struct kedge_bytes none = { NULL, 0 };
    struct kedge_lease_state state;
    struct client_run other;
    struct client_run run = sh->run;
    char pid[20];
    uint64_t ticket = 0;
    int64_t start;
    int rc;

    (void)ctx;
    (void)snprintf(pid, sizeof pid, "%d", atomic_load(&sh->pid));
    start = crash_now_us();
    client_must_open(&c, 0);
    CRASH_CHECK(crash_now_us() - start < 5 * CRASH_SEC, "opening waits for a stopped writer");
    run.position = 1;
    client_check(&c, &run, 1);
    rc = c.ops->lease_list(c.session, none, 10, &leases, SHORT_US, &c.err);
    client_expect(&c, rc, KEDGE_OK, "lease_list");
    kedge_mem_free(c.host, leases.mem);
    client_expect(&c, c.ops->wait(c.session, 0, &ticket, 1, &c.err) < 0, 0, "wait");

    c.timeout_us = SHORT_US;
    start = crash_now_us();
    client_expect(&c, client_grant(&c, 2, 60 * CRASH_SEC), KEDGE_ERR_UNAVAILABLE, "lease_grant");
    took_us = crash_now_us() - start;
    CRASH_CHECK(took_us >= SHORT_US / 2, "gave up after %lld us", (long long)took_us);
    CRASH_CHECK(took_us < 10 * SHORT_US, "waited %lld us", (long long)took_us);
    client_expect_word(&c, pid, "lease_grant");
    client_expect(&c, client_create(&c, "other", &other), KEDGE_ERR_UNAVAILABLE, "create");
    client_expect_word(&c, pid, "create");
    rc = c.ops->lease_extend(c.session, &c.lease, &state, SHORT_US, &c.err);
    client_expect(&c, rc, KEDGE_ERR_UNAVAILABLE, "lease_extend");
    client_expect_word(&c, pid, "lease_extend");
    client_check(&c, &run, 1);
    client_close(&c);
}

/* When the holder goes on, or is dead. */
static void afterwards(void *ctx)
{
    struct client c = { .url = url };
    struct client_run run = sh->run;
    struct client_run other;
    const char *fault;
    int64_t start;

    client_must_open(&c, 0);
    start = crash_now_us();
    c.timeout_us = 5 * CRASH_SEC;
    client_expect(&c, client_grant(&c, 2, 60 * CRASH_SEC), KEDGE_OK, "lease_grant");
    client_expect(&c, client_create(&c, "other", &other), KEDGE_OK, "create");
    CRASH_CHECK(crash_now_us() - start < 3 * CRASH_SEC, "slow: %lld us",
                (long long)(crash_now_us() - start));
    fault = crash_verify(c.ops, c.host, c.session);
    CRASH_CHECK(fault == NULL, "%s", fault);
    if (ctx == NULL) { /* the holder was killed: its commit is there or not; sent again, it is */
        c.lease = crash_id("lease", 1);
        run.position = 1;
        client_expect(&c, client_append(&c, &run, 2, 3000), KEDGE_OK, "append sent again");
    }
    run.position = 2;
    client_check(&c, &run, 1);
    client_close(&c);
}

/* Bounded by the caller's patience, not by a store's. */
static bool two_processes(uint32_t mask, bool kill_it, const char **what)
{
    enum crash_end end = CRASH_FAILED;
    enum crash_end last;
    pid_t pid;

    crash_remove(path);
    memset(sh, 0, sizeof *sh);
    pid = crash_start(holder, &mask);
    *what = "the holder comes to its stall";
    if (iofault_await_stall(&sh->fault, 1, 20000)) {
        (void)kill(pid, SIGSTOP);
        *what = "the others, meanwhile";
        end = crash_run(others, NULL);
    }
    iofault_disarm(&sh->fault);
    iofault_release(&sh->fault, UINT32_MAX);
    (void)kill(pid, kill_it ? SIGKILL : SIGCONT);
    if (kill_it)
        (void)crash_wait(pid, 10);
    if (end == CRASH_PASSED) {
        bool went_on = kill_it || await_phase(2, 20 * CRASH_SEC);

        *what = "the holder goes on";
        end = went_on && (kill_it || atomic_load(&sh->outcome) == KEDGE_OK) ? CRASH_PASSED
                                                                            : CRASH_FAILED;
    }
    if (end == CRASH_PASSED) {
        *what = "the others, afterwards";
        end = crash_run(afterwards, kill_it ? NULL : sh);
    }
    if (!kill_it) {
        atomic_store(&sh->phase, 3);
        last = crash_wait(pid, 20);
        if (end == CRASH_PASSED && last != CRASH_PASSED) {
            *what = "the holder's end";
            end = last;
        }
    }
    return end == CRASH_PASSED;
}

/* Stopped while it holds nothing. */
static bool stopped_outside(const char **what)
{
    enum crash_end end = CRASH_FAILED;
    pid_t pid;

    crash_remove(path);
    memset(sh, 0, sizeof *sh);
    pid = crash_start(holder, NULL);
    *what = "set up";
    if (await_phase(2, 20 * CRASH_SEC)) {
        (void)kill(pid, SIGSTOP);
        *what = "the others, meanwhile";
        end = crash_run(afterwards, NULL);
        (void)kill(pid, SIGCONT);
    }
    atomic_store(&sh->phase, 3);
    return crash_wait(pid, 20) == CRASH_PASSED && end == CRASH_PASSED;
}

/* --------------------------------------------------------------- one process */

#define FOLLOWERS 3

struct follower {
    struct client c;
    struct client_run run;
    uint64_t request;
    pthread_t thread;
    _Atomic int tid;
    _Atomic int outcome; /* 1000: not yet */
    _Atomic int64_t us;
};

static void *follow(void *arg)
{
    struct follower *f = arg;
    int64_t start = crash_now_us();

    atomic_store(&f->tid, (int)syscall(SYS_gettid));
    atomic_store(&f->outcome, client_append(&f->c, &f->run, f->request, 500));
    atomic_store(&f->us, crash_now_us() - start);
    return NULL;
}

/* Is the thread asleep, with nothing left to do before it waits? */
static bool asleep(int tid)
{
    char name[64];
    char text[512];
    const char *p;
    FILE *f;
    bool yes = false;

    (void)snprintf(name, sizeof name, "/proc/self/task/%d/stat", tid);
    f = fopen(name, "re");
    if (f == NULL)
        return false;
    if (fgets(text, sizeof text, f) != NULL && (p = strrchr(text, ')')) != NULL)
        yes = p[2] == 'S';
    (void)fclose(f);
    return yes;
}

/* Twice in a row, some time apart: a mutex that was contended is behind it. */
static void await_asleep(struct follower *f)
{
    int64_t end = crash_now_us() + 10 * CRASH_SEC;

    for (int in_a_row = 0; in_a_row < 5 && crash_now_us() < end; crash_sleep_us(2000))
        in_a_row = atomic_load(&f->tid) != 0 && asleep(atomic_load(&f->tid)) ? in_a_row + 1 : 0;
}

static void follower_start(struct follower *f, const struct client *c, const char *name,
                           uint64_t request, int64_t timeout_us)
{
    f->c = client_again(c);
    client_expect(&f->c, client_create(&f->c, name, &f->run), KEDGE_OK, "create");
    f->c.timeout_us = timeout_us;
    f->request = request;
    atomic_store(&f->outcome, 1000);
}

static void follower_go(struct follower *f)
{
    CRASH_CHECK(pthread_create(&f->thread, NULL, follow, f) == 0, "pthread_create");
}

/* The leader of a flush is stuck in it with two commits of others. */
static void stuck_leader(void *ctx)
{
    static const char *const names[] = { "f0", "f1", "f2" };
    struct client c = { .url = url };
    struct follower first = { .request = 0 };
    struct follower late = { .request = 0 };
    struct follower f[FOLLOWERS];
    int unknown = 0;
    int stuck = 0;

    (void)ctx;
    memset(f, 0, sizeof f);
    iofault_use(&sh->fault);
    client_must_open(&c, KEDGE_OPEN_CREATE);
    client_expect(&c, client_grant(&c, 1, 600 * CRASH_SEC), KEDGE_OK, "lease_grant");
    follower_start(&first, &c, "first", 100, CRASH_TIMEOUT);
    follower_start(&late, &c, "late", 300, SHORT_US);
    for (unsigned i = 0; i < FOLLOWERS; i++)
        follower_start(&f[i], &c, names[i], 200 + i, 2 * CRASH_SEC);

    atomic_store(&sh->fault.mask, IOFAULT_SYNCS);
    atomic_store(&sh->fault.sticky, 1);
    iofault_arm(&sh->fault, IOFAULT_STALL, 1, 0);
    follower_go(&first);
    CRASH_CHECK(iofault_await_stall(&sh->fault, 1, 10000), "the first flush does not stall");
    for (unsigned i = 0; i < FOLLOWERS; i++)
        follower_go(&f[i]);
    for (unsigned i = 0; i < FOLLOWERS; i++)
        await_asleep(&f[i]);
    iofault_release(&sh->fault, 1); /* the next flush takes all three, and stalls */
    CRASH_CHECK(iofault_await_stall(&sh->fault, 2, 10000), "the second flush does not stall");
    (void)pthread_join(first.thread, NULL);
    CRASH_CHECK(atomic_load(&first.outcome) == KEDGE_OK, "the first leader: %s",
                kedge_status_name(atomic_load(&first.outcome)));

    follower_go(&late); /* nobody picks it up */
    (void)pthread_join(late.thread, NULL);
    client_expect(&late.c, atomic_load(&late.outcome), KEDGE_ERR_UNAVAILABLE,
                  "a commit that was not picked up");
    CRASH_CHECK(late.c.err.msg[0] != '\0', "no message");
    for (int64_t end = crash_now_us() + 10 * CRASH_SEC; unknown < FOLLOWERS - 1;) {
        unknown = 0;
        for (unsigned i = 0; i < FOLLOWERS; i++)
            unknown += atomic_load(&f[i].outcome) == KEDGE_ERR_UNKNOWN;
        CRASH_CHECK(crash_now_us() < end, "%d followers answer ERR_UNKNOWN, not two: %s %s %s",
                    unknown, kedge_status_name(f[0].outcome), kedge_status_name(f[1].outcome),
                    kedge_status_name(f[2].outcome));
        crash_sleep_us(1000);
    }
    for (unsigned i = 0; i < FOLLOWERS; i++)
        stuck += atomic_load(&f[i].outcome) == 1000;
    CRASH_CHECK(stuck == 1, "%d leaders are stuck", stuck);

    iofault_disarm(&sh->fault);
    iofault_release(&sh->fault, UINT32_MAX);
    for (unsigned i = 0; i < FOLLOWERS; i++) {
        (void)pthread_join(f[i].thread, NULL);
        f[i].c.timeout_us = CRASH_TIMEOUT;
        if (atomic_load(&f[i].outcome) != KEDGE_OK)
            client_expect(&f[i].c, client_append(&f[i].c, &f[i].run, f[i].request, 500), KEDGE_OK,
                          "sent again");
        client_check(&f[i].c, &f[i].run, f[i].request);
    }
    late.c.timeout_us = CRASH_TIMEOUT;
    client_check(&late.c, &late.run, late.request); /* nothing yet: it meant so */
    client_expect(&late.c, client_append(&late.c, &late.run, late.request, 500), KEDGE_OK,
                  "sent again");
    client_check(&late.c, &late.run, late.request);
    CRASH_CHECK(crash_verify(c.ops, c.host, c.session) == NULL, "verify");
    for (unsigned i = 0; i < FOLLOWERS; i++)
        client_close(&f[i].c);
    client_close(&first.c);
    client_close(&late.c);
    client_close(&c);
}

int main(void)
{
    static const struct {
        uint32_t mask;
        const char *name;
    } places[] = { { IOFAULT_SYNCS, "in a sync" }, { IOFAULT_WRITES, "in a write" } };
    const char *what = "";
    enum crash_end end;

    sh = crash_shared(sizeof *sh);
    (void)snprintf(path, sizeof path, "%s/store", crash_dir());
    (void)snprintf(url, sizeof url, "lmdb://%s", path);
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        for (int kill_it = 0; kill_it < 2; kill_it++) {
            bool ok = two_processes(places[i].mask, kill_it != 0, &what);

            (void)tap_ok(ok, "a process is stopped %s, then %s%s%s %s", places[i].name,
                         kill_it ? "killed" : "continued", ok ? "" : ": ", ok ? "" : what,
                         ok ? "" : crash_why());
        }
    {
        bool ok = stopped_outside(&what);

        (void)tap_ok(ok, "a process is stopped outside of a write%s%s %s", ok ? "" : ": ",
                     ok ? "" : what, ok ? "" : crash_why());
    }
    crash_remove(path);
    memset(sh, 0, sizeof *sh);
    end = crash_run(stuck_leader, NULL);
    (void)tap_ok(end == CRASH_PASSED, "a leader is stuck in a flush with others' commits %s",
                 crash_why());
    return tap_end();
}
