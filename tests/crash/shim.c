/* shim.c - do LMDB's writing calls really arrive at our shim, and does it do what it says? */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lmdb.h>

#include "conform/iofault.h"
#include "crash.h"

static char path[4200];
static struct iofault *fault;

static MDB_env *env_open(void)
{
    MDB_env *env;

    (void)mkdir(path, 0700);
    CRASH_CHECK(mdb_env_create(&env) == 0, "mdb_env_create");
    CRASH_CHECK(mdb_env_open(env, path, 0, 0600) == 0, "mdb_env_open");
    return env;
}

static int put(MDB_env *env, int n)
{
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = { sizeof n, &n };
    MDB_val value = { 20, path };

    CRASH_CHECK(mdb_txn_begin(env, NULL, 0, &txn) == 0, "mdb_txn_begin");
    CRASH_CHECK(mdb_dbi_open(txn, NULL, 0, &dbi) == 0, "mdb_dbi_open");
    CRASH_CHECK(mdb_put(txn, dbi, &key, &value, 0) == 0, "mdb_put");
    return mdb_txn_commit(txn);
}

static bool has(MDB_env *env, int n)
{
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = { sizeof n, &n };
    MDB_val value;
    bool found;

    CRASH_CHECK(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0, "mdb_txn_begin");
    CRASH_CHECK(mdb_dbi_open(txn, NULL, 0, &dbi) == 0, "mdb_dbi_open");
    found = mdb_get(txn, dbi, &key, &value) == 0;
    mdb_txn_abort(txn);
    return found;
}

static void count(void *ctx)
{
    MDB_env *env;

    (void)ctx;
    iofault_use(fault);
    env = env_open();
    iofault_arm(fault, IOFAULT_COUNT, 0, 0);
    CRASH_CHECK(put(env, 1) == 0, "put");
    iofault_disarm(fault);
    mdb_env_close(env);
}

struct fault {
    enum iofault_mode mode;
    int err;
    uint64_t at;
};

static void faulty(void *ctx)
{
    const struct fault *f = ctx;
    MDB_env *env;
    int rc;

    iofault_use(fault);
    env = env_open();
    CRASH_CHECK(put(env, 1) == 0, "put");
    iofault_arm(fault, f->mode, f->at, f->err);
    rc = put(env, 2);
    iofault_disarm(fault);
    CRASH_CHECK(atomic_load(&fault->fired) == 1, "fired %llu times",
                (unsigned long long)atomic_load(&fault->fired));
    CRASH_CHECK(rc == (f->mode == IOFAULT_SHORT ? EIO : f->err), "commit answers %d", rc);
    mdb_env_close(env);
}

static void look(void *ctx)
{
    MDB_env *env = env_open();
    bool two = has(env, 2);

    (void)ctx;
    CRASH_CHECK(has(env, 1), "the first put is lost");
    mdb_env_close(env);
    CRASH_CHECK(!two, "2");
}

static void *stalled_put(void *ctx)
{
    return (void *)(intptr_t)put(ctx, 2);
}

static void stall(void *ctx)
{
    MDB_env *env;
    pthread_t t;
    void *rc;

    (void)ctx;
    iofault_use(fault);
    env = env_open();
    CRASH_CHECK(put(env, 1) == 0, "put");
    atomic_store(&fault->mask, IOFAULT_SYNCS);
    iofault_arm(fault, IOFAULT_STALL, 1, 0);
    CRASH_CHECK(pthread_create(&t, NULL, stalled_put, env) == 0, "pthread_create");
    CRASH_CHECK(iofault_await_stall(fault, 1, 10000), "the sync does not stall");
    CRASH_CHECK(has(env, 1) && !has(env, 2), "readers go on, and do not see it");
    iofault_release(fault, 1);
    CRASH_CHECK(pthread_join(t, &rc) == 0 && rc == NULL, "join");
    iofault_disarm(fault);
    atomic_store(&fault->mask, 0);
    CRASH_CHECK(has(env, 2), "done after the release");
    mdb_env_close(env);
}

static void syscalls(void *ctx)
{
    char name[4300];
    char name2[4300];
    int fd;

    (void)ctx;
    iofault_use(fault);
    (void)snprintf(name, sizeof name, "%s-file", path);
    (void)snprintf(name2, sizeof name2, "%s-file2", path);
    iofault_arm(fault, IOFAULT_FAIL, 1000, EIO);
    fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CRASH_CHECK(fd > 2, "open: errno %d", errno);
    CRASH_CHECK(write(fd, "abc", 3) == 3 && pwrite(fd, "x", 1, 1) == 1, "write");
    CRASH_CHECK(ftruncate(fd, 10) == 0 && fsync(fd) == 0 && fdatasync(fd) == 0, "sync");
    CRASH_CHECK(rename(name, name2) == 0 && link(name2, name) == 0 && unlink(name) == 0, "names");
    CRASH_CHECK(atomic_load(&fault->count) == 9, "%llu calls counted",
                (unsigned long long)atomic_load(&fault->count));
    iofault_arm(fault, IOFAULT_SHORT, 1, 0);
    CRASH_CHECK(fsync(fd) == 0 && write(fd, "abcd", 4) == 2 && write(fd, "abcd", 4) == 4, "short");
    iofault_arm(fault, IOFAULT_FAIL, 2, ENOSPC);
    CRASH_CHECK(write(fd, "abcd", 4) == 4, "before the fault");
    CRASH_CHECK(write(fd, "abcd", 4) == -1 && errno == ENOSPC, "the fault");
    CRASH_CHECK(write(fd, "abcd", 4) == 4, "after it");
    iofault_disarm(fault);
    (void)close(fd);
}

int main(void)
{
    static const struct fault faults[] = {
        { IOFAULT_FAIL, EIO, 1 }, { IOFAULT_FAIL, ENOSPC, 1 }, { IOFAULT_SHORT, 0, 1 },
        { IOFAULT_FAIL, EIO, 2 }, { IOFAULT_FAIL, EIO, 3 },
    };
    enum crash_end end;
    unsigned killed = 0;
    unsigned whole = 0;
    bool ok = true;
    uint64_t n;

    fault = crash_shared(sizeof *fault);
    (void)snprintf(path, sizeof path, "%s/env", crash_dir());
    end = crash_run(syscalls, NULL);
    (void)tap_ok(end == CRASH_PASSED, "each call is passed on and counted %s", crash_why());

    end = crash_run(count, NULL);
    n = atomic_load(&fault->count);
    (void)tap_ok(end == CRASH_PASSED && n >= 3 && atomic_load(&fault->calls[IOFAULT_fdatasync]) > 0,
                 "one LMDB commit makes %llu calls %s", (unsigned long long)n, crash_why());
    for (uint64_t i = 0; i < n; i++)
        tap_diag("call %llu: %s", (unsigned long long)i + 1,
                 iofault_call_name(atomic_load(&fault->trace[i])));

    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct fault f = faults[i];

        crash_remove(path);
        end = crash_run(faulty, &f);
        if (end == CRASH_PASSED)
            end = crash_run(look, NULL);
        (void)tap_ok(end == CRASH_PASSED, "fault %zu: the commit fails and leaves nothing %s", i,
                     crash_why());
    }
    for (uint64_t at = 1; at <= n; at++)
        for (int after = 0; after < 2; after++) {
            struct fault f = { after ? IOFAULT_KILL_AFTER : IOFAULT_KILL_BEFORE, 0, at };

            crash_remove(path);
            killed += crash_run(faulty, &f) == CRASH_KILLED;
            end = crash_run(look, NULL);
            whole += end == CRASH_FAILED && strcmp(crash_why(), "2") == 0;
            ok = ok && (end == CRASH_PASSED || strcmp(crash_why(), "2") == 0);
        }
    (void)tap_ok(ok && killed == 2 * n && whole >= 1, "killed at %u points, there after %u", killed,
                 whole);
    crash_remove(path);
    end = crash_run(stall, NULL);
    (void)tap_ok(end == CRASH_PASSED, "a stalled sync goes on when released %s", crash_why());
    return tap_end();
}
