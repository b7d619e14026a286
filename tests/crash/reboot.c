/*
 * reboot.c - a machine that was started anew makes no lease and no lock immortal; speaks TAP
 *
 *	./crash_reboot
 *
 * The kernel's name for a boot is read from a file: this program stands in front of fopen(3), for
 * libkedge too, and shows another one there.  The lease clock begins at nothing with each boot;
 *here it is the test's (conform/world.h).
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include <kedge/store.h>

#include "conform/world.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static const char *boot_id; /* a file */
static int n_tests;

__attribute__((visibility("default"))) FILE *fopen(const char *path, const char *mode)
{
    static FILE *(*next)(const char *path, const char *mode);

    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "fopen");
    return next(boot_id != NULL && strcmp(path, BOOT_ID) == 0 ? boot_id : path, mode);
}

static void ok(const char *what)
{
    printf("ok %d - %s\n", ++n_tests, what);
    (void)fflush(stdout);
}

/* It has a run and a lock for an hour, which nobody gives back. */
struct holder {
    struct run run;
    uint64_t fence;
};

static struct holder holder_new(struct world *w, int number)
{
    struct kedge_id128 lease = lease_make(w, SEC(3600));
    struct holder h = { .run = run_held(w, name(w, "run %d", number), lease) };

    step(w, &h.run, "before");
    h.fence = lock_take(w, name(w, "lock %d", number), lease);
    return h;
}

/* The store is closed, and opened under another boot, whose clock has just begun. */
static void boot(struct world *w, const char *id)
{
    world_leave(w);
    boot_id = id;
    clock_step_lease(SEC(3) - lease_now());
    world_return(w);
}

/* Somebody else buries it, and has all that it had. */
static void taken_over(struct world *w, const struct holder *h, int number)
{
    struct kedge_id128 other = lease_make(w, TTL);
    struct run r;
    struct tx *t = tx_new(w);

    expect_ok(do_bury(w, h->run.lease));
    r = run_take(w, h->run.id, other);
    expect(r.fence > h->run.fence);
    expect(lock_take(w, name(w, "lock %d", number), other) > h->fence);
    g_held(t, &h->run);
    c_append(t, r.id, 2, str("too late"));
    expect_tx(t, KEDGE_STALE);
    step(w, &r, "after");
}

static void write_id(const char *path, const char *id)
{
    FILE *f = fopen(path, "w");

    expect(f != NULL && fputs(id, f) >= 0 && fclose(f) == 0);
}

int main(void)
{
    static struct world world;
    struct world *w = &world;
    const struct kedge_backend_ops *ops;
    struct kedge_error err = { 0 };
    char dir[] = "crash-reboot.XXXXXX";
    char url[64], first[64], second[64], unknown[64];
    struct holder h[2];

    if (kedge_backend_find("lmdb", &ops, &err) != KEDGE_OK) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    expect(mkdtemp(dir) != NULL);
    (void)snprintf(url, sizeof url, "lmdb:%s/store", dir);
    (void)snprintf(first, sizeof first, "%s/first", dir);
    (void)snprintf(second, sizeof second, "%s/second", dir);
    (void)snprintf(unknown, sizeof unknown, "%s/unknown", dir);
    write_id(first, "01234567-89ab-cdef-0123-456789abcdef\n");
    write_id(second, "5b7a0b0e-3f3f-4c7e-9f86-0123456789ab\n");
    write_id(unknown, "\n");
    boot_id = first;
    puts("1..4");
    world_open(w, "lmdb", ops, url, "reboot", 1);

    h[0] = holder_new(w, 0);
    expect_rc(do_bury(w, h[0].run.lease), KEDGE_HELD);
    ok("in the same boot a lease is its holder's for its hour");
    world_reopen(w);
    expect_rc(do_bury(w, h[0].run.lease), KEDGE_HELD);
    ok("also when the store was closed in between");

    boot(w, second);
    taken_over(w, &h[0], 0);
    ok("in another boot its holder cannot have survived: it is buried at once");

    h[1] = holder_new(w, 1);
    boot(w, unknown);
    expect_rc(do_bury(w, h[1].run.lease), KEDGE_HELD);
    clock_step_lease(SEC(3600));
    taken_over(w, &h[1], 1);
    ok("where boots have no names, a clock that began anew prolongs it by one ttl");

    world_close(w);
    (void)unlink(first);
    (void)unlink(second);
    (void)unlink(unknown);
    (void)rmdir(dir);
    return 0;
}
