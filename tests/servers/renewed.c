/*
 * renewed.c - a server that was started again does not look like a dead worker; speaks TAP
 *
 *	./renewed BACKEND URL ADDRESS RESTART          RESTART: a command; URL as in late.c
 *
 * A worker has a lease, and cannot reach the server after its restart.  Somebody else can, but for
 * a while he could not either, so that what he does in the background waits a little before it
 * tries again: he must not bury the worker, whose lease has a long time to go.
 */
#include <signal.h>
#include <stdlib.h>

#include <kedge/store.h>

#include "conform/proxy/address.h"
#include "conform/proxy/proxy.h"
#include "conform/world.h"

static int n_tests;
static int n_failed;

static void ok(bool good, const char *what)
{
    printf("%sok %d - %s\n", good ? "" : "not ", ++n_tests, what);
    (void)fflush(stdout);
    n_failed += !good;
}

/* A proxy of its own, and the URL that leads through it. */
static void way(struct proxy *p, const char *url, const char *server, char *through, size_t size)
{
    proxy_start_before(p, server);
    if (!address_fill(through, size, url, p->address))
        fail_case(__FILE__, __LINE__, "the URL is too long");
}

/* Is it buried, with all the eagerness one can have, in MS milliseconds? */
static bool buried(struct world *w, struct kedge_id128 lease, int64_t ms)
{
    int64_t until = real_us() + ms * 1000;
    struct kedge_lease_page page;

    while (real_us() < until) {
        (void)do_leases(w, none(), 100, &page);
        if (do_bury(w, lease) == KEDGE_OK)
            return true;
        world_forget(w);
        pause_us(MS(5));
    }
    return false;
}

static bool extends(struct world *w, struct kedge_id128 lease)
{
    struct kedge_lease_state st;
    int64_t until = real_us() + SEC(20);
    int rc;

    do
        rc = do_extend(w, lease, &st);
    while (rc == KEDGE_ERR_UNAVAILABLE && real_us() < until);
    return rc == KEDGE_OK;
}

int main(int argc, char **argv)
{
    static struct world worker, looker;
    const struct kedge_backend_ops *ops;
    struct kedge_error err = { 0 };
    struct proxy proxies[2];
    char urls[2][1024];
    struct kedge_id128 lease;

    if (argc != 5 || !address_wanted(argv[2])) {
        (void)fputs("usage: renewed BACKEND URL ADDRESS RESTART\n", stderr);
        return 2;
    }
    if (kedge_backend_find(argv[1], &ops, &err) != KEDGE_OK) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    for (int i = 0; i < 2; i++)
        way(&proxies[i], argv[2], argv[3], urls[i], sizeof urls[i]);
    world_open(&worker, argv[1], ops, urls[0], "renewed", 1);
    world_open(&looker, argv[1], ops, urls[1], "renewed", 2);
    lease = lease_make(&worker, SEC(60));
    ok(!buried(&looker, lease, 300), "a worker that is there is not buried");
    for (int i = 0; i < 2; i++) {
        proxy_say(&proxies[i], "refuse");
        proxy_say(&proxies[i], "reset");
    }
    if (system(argv[4]) != 0) /* NOLINT(cert-env33-c): it is the test's own */
        fail_case(__FILE__, __LINE__, "'%s' failed", argv[4]);
    pause_us(SEC(3)); /* what waits longer from time to time waits longest now */
    proxy_say(&proxies[1], "accept");
    ok(!buried(&looker, lease, 2500), "nor is one that has not found the new server yet");
    proxy_say(&proxies[0], "accept");
    ok(extends(&worker, lease), "it finds it, and goes on under its lease");
    ok(!buried(&looker, lease, 300), "and is there again");
    printf("1..%d\n", n_tests);
    return n_failed > 0;
}
