/* wakeup.c - does an idle worker of another process see new work soon, and sleep until then? */
#include <config.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client.h"

#define ROUNDS 50

static struct shared {
    _Atomic int64_t seen_at; /* 0: still waiting */
    _Atomic uint64_t rounds; /* of the waiter: about to wait */
    _Atomic int end;
    int64_t late_us[ROUNDS];  /* from the commit's return to the waiter's */
    int64_t whole_us[ROUNDS]; /* ... from its call */
    long switches;
    int64_t idle_us;
} * sh;
static char url[4300];

static void waiter(void *ctx)
{
    const struct kedge_serve serve = { crash_text("q"), crash_text("woken"), 1, 1 };
    struct client c = { .url = url };
    uint64_t ticket = 0;
    int rc;

    (void)ctx;
    client_must_open(&c, 0);
    client_expect(&c, client_grant(&c, 77, 600 * CRASH_SEC), KEDGE_OK, "lease_grant");
    rc = c.ops->wait(c.session, UINT64_MAX, &ticket, 1, &c.err);
    client_expect(&c, rc, KEDGE_OK, "wait for the present ticket");
    for (uint64_t n = 0; atomic_load(&sh->end) == 0; n++) {
        struct kedge_claim in = { .request = crash_id("claim", n),
                                  .lease = c.lease,
                                  .serves = &serve,
                                  .n_serves = 1,
                                  .limit = 10 };
        struct kedge_run_page page = { 0 };

        rc = c.ops->claim(c.session, &in, &page, CRASH_TIMEOUT, &c.err);
        client_expect(&c, rc, KEDGE_OK, "claim");
        if (page.n != 0)
            atomic_store(&sh->seen_at, crash_now_us());
        kedge_mem_free(c.host, page.mem);
        atomic_fetch_add(&sh->rounds, 1);
        rc = c.ops->wait(c.session, ticket, &ticket, 10 * CRASH_SEC, &c.err);
        CRASH_CHECK(rc == KEDGE_OK || rc == KEDGE_QUIET, "wait: %s", kedge_status_name(rc));
    }
    client_close(&c);
}

/* Asleep in wait: a state that can be seen from outside. */
static void await_sleep(pid_t pid)
{
    char name[64];
    int64_t end = crash_now_us() + 10 * CRASH_SEC;

    (void)snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
    while (crash_now_us() < end) {
        char text[512];
        const char *p = NULL;
        FILE *f = fopen(name, "re");

        CRASH_CHECK(f != NULL, "the waiter is gone");
        if (fgets(text, sizeof text, f) != NULL)
            p = strrchr(text, ')');
        (void)fclose(f);
        if (p != NULL && p[2] == 'S')
            return;
        crash_sleep_us(500);
    }
    crash_fail("the waiter does not sleep");
}

static void giver(void *ctx)
{
    pid_t pid = *(const pid_t *)ctx;
    struct client c = { .url = url };

    client_must_open(&c, 0);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t rounds = atomic_load(&sh->rounds);
        int64_t start, done, end;
        char name[32];

        (void)snprintf(name, sizeof name, "w%d", i);
        for (end = crash_now_us() + 10 * CRASH_SEC; rounds == 0 && crash_now_us() < end;
             rounds = atomic_load(&sh->rounds))
            crash_sleep_us(500);
        await_sleep(pid);
        atomic_store(&sh->seen_at, 0);
        start = crash_now_us();
        client_expect(&c, client_create_due(&c, name, "woken"), KEDGE_OK, "create");
        done = crash_now_us();
        for (end = done + 5 * CRASH_SEC; atomic_load(&sh->seen_at) == 0 && crash_now_us() < end;)
            crash_sleep_us(50);
        CRASH_CHECK(atomic_load(&sh->seen_at) != 0, "round %d: not seen within 5 s", i);
        sh->whole_us[i] = atomic_load(&sh->seen_at) - start;
        sh->late_us[i] = atomic_load(&sh->seen_at) - done;
        for (end = crash_now_us() + 5 * CRASH_SEC;
             atomic_load(&sh->rounds) == rounds && crash_now_us() < end;)
            crash_sleep_us(200);
    }
    atomic_store(&sh->end, 1);
    client_expect(&c, c.ops->notify(c.session, &c.err), KEDGE_OK, "notify");
    client_close(&c);
}

/* Waits with nothing to do, and counts how often it was woken. */
static void idler(void *ctx)
{
    struct client c = { .url = url };
    struct rusage before, after;
    uint64_t ticket = 0;
    int64_t start;
    int rc;

    (void)ctx;
    client_must_open(&c, 0);
    client_expect(&c, client_grant(&c, 78, 600 * CRASH_SEC), KEDGE_OK, "lease_grant");
    rc = c.ops->wait(c.session, UINT64_MAX, &ticket, 1, &c.err);
    client_expect(&c, rc, KEDGE_OK, "wait for the present ticket");
    (void)getrusage(RUSAGE_SELF, &before);
    start = crash_now_us();
    rc = c.ops->wait(c.session, ticket, &ticket, 2 * CRASH_SEC, &c.err);
    sh->idle_us = crash_now_us() - start;
    (void)getrusage(RUSAGE_SELF, &after);
    client_expect(&c, rc, KEDGE_QUIET, "an idle wait");
    sh->switches = after.ru_nvcsw - before.ru_nvcsw;
    client_close(&c);
}

static void set_up(void *ctx)
{
    struct client c = { .url = url };

    (void)ctx;
    client_must_open(&c, KEDGE_OPEN_CREATE);
    client_close(&c);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int main(void)
{
    enum crash_end end;
    enum crash_end waited;
    pid_t pid;

    sh = crash_shared(sizeof *sh);
    (void)snprintf(url, sizeof url, "lmdb://%s/store", crash_dir());
    end = crash_run(set_up, NULL);
    if (!tap_ok(end == CRASH_PASSED, "set up %s", crash_why()))
        return tap_end();
    pid = crash_start(waiter, NULL);
    end = crash_run(giver, &pid);
    if (end != CRASH_PASSED) {
        (void)tap_ok(false, "rounds: %s", crash_why());
        (void)kill(pid, SIGKILL);
    }
    waited = crash_wait(pid, 30);
    if (end == CRASH_PASSED) {
        (void)tap_ok(waited == CRASH_PASSED, "the waiter comes to its end %s", crash_why());
        qsort(sh->late_us, ROUNDS, sizeof sh->late_us[0], by_size);
        qsort(sh->whole_us, ROUNDS, sizeof sh->whole_us[0], by_size);
        (void)tap_ok(sh->late_us[ROUNDS / 2] < 20000,
                     "new work is claimed by a waiting process within 20 ms (median of %d)",
                     ROUNDS);
        tap_diag("after the commit's return: median %lld us, worst %lld us; after its call: median "
                 "%lld us, worst %lld us",
                 (long long)sh->late_us[ROUNDS / 2], (long long)sh->late_us[ROUNDS - 1],
                 (long long)sh->whole_us[ROUNDS / 2], (long long)sh->whole_us[ROUNDS - 1]);
    }
    end = crash_run(idler, NULL);
    (void)tap_ok(end == CRASH_PASSED && sh->idle_us >= 2 * CRASH_SEC - 1000,
                 "an idle wait lasts as long as it should: %lld ms %s",
                 (long long)sh->idle_us / 1000, crash_why());
    if (KEDGE_TSAN)
        tap_skip("the thread sanitizer has a thread of its own",
                 "fewer than 5 wake-ups per second");
    else
        (void)tap_ok(end == CRASH_PASSED && sh->switches < 10,
                     "fewer than 5 wake-ups per second: %ld in 2 s", sh->switches);
    return tap_end();
}
