/*
 * flushshim.c - preloaded into a server, it counts what the server flushes to its disk
 *
 *	LD_PRELOAD=.../libflushshim.so KEDGE_TEST_FLUSHES=FILE redis-server ...
 *
 * FILE begins with the number, eight bytes as the machine has them, and is there already.  All
 * processes of the server count in it.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

static _Atomic uint64_t nowhere;
static _Atomic uint64_t *flushes = &nowhere;
static int (*next_fdatasync)(int);
static int (*next_fsync)(int);

static void find(void *fn, const char *name)
{
    void *p = dlsym(RTLD_NEXT, name);

    if (p == NULL)
        abort();
    *(void **)fn = p;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("KEDGE_TEST_FLUSHES");
    int fd;
    void *p;

    find(&next_fdatasync, "fdatasync");
    find(&next_fsync, "fsync");
    if (path == NULL)
        return;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        abort();
    p = mmap(NULL, sizeof *flushes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        abort();
    (void)close(fd);
    flushes = p;
}

SHOWN int fdatasync(int fd)
{
    atomic_fetch_add(flushes, 1);
    return next_fdatasync(fd);
}

SHOWN int fsync(int fd)
{
    atomic_fetch_add(flushes, 1);
    return next_fsync(fd);
}
