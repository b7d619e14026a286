/*
 * clock_set - make a clock file, or move it: what clockshim.c shows
 *
 *	clock_set FILE real          real time
 *	clock_set FILE still US      it is US microseconds since 1970, and stays there
 *	clock_set FILE run US        it is, and runs
 *	clock_set FILE by US         it moves by US
 *
 * Prints what it is then.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "clockfile.h"

static int64_t us_of(clockid_t id)
{
    struct timespec ts = { 0, 0 };

    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static struct clock_file *map(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    void *p = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof(struct clock_file)) == 0)
        p = mmap(NULL, sizeof(struct clock_file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        (void)fprintf(stderr, "clock_set: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    return p;
}

int main(int argc, char **argv)
{
    struct clock_file *file;
    int64_t us = argc > 3 ? strtoll(argv[3], NULL, 10) : 0;
    int64_t now, since;

    if (argc < 3 || (strcmp(argv[2], "real") == 0) != (argc == 3)) {
        (void)fputs("usage: clock_set FILE real|still US|run US|by US\n", stderr);
        return 2;
    }
    file = map(argv[1]);
    if (strcmp(argv[2], "by") == 0 && atomic_load(&file->at) == 0) {
        (void)fputs("clock_set: it is real time, and cannot be moved by so much\n", stderr);
        return 1;
    }
    if (strcmp(argv[2], "by") == 0)
        (void)atomic_fetch_add(&file->at, us);
    else
        atomic_store(&file->at, us);
    if (strcmp(argv[2], "run") == 0)
        atomic_store(&file->since, us_of(CLOCK_MONOTONIC));
    else if (strcmp(argv[2], "by") != 0)
        atomic_store(&file->since, 0);
    now = atomic_load(&file->at);
    since = atomic_load(&file->since);
    printf("%" PRId64 "\n", now == 0     ? us_of(CLOCK_REALTIME)
                            : since == 0 ? now
                                         : now + us_of(CLOCK_MONOTONIC) - since);
    return 0;
}
