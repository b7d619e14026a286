/* clockfile.c - moving a clock that is a file */
#include "clockfile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static struct clock_file *clock_map(void)
{
    const char *path = getenv("KEDGE_TEST_CLOCK");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *p = MAP_FAILED;

    if (fd < 0)
        return NULL;
    if (ftruncate(fd, sizeof(struct clock_file)) == 0)
        p = mmap(NULL, sizeof(struct clock_file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    return p != MAP_FAILED ? p : NULL;
}

bool clock_file_run(int64_t utc_us)
{
    struct clock_file *file = clock_map();
    struct timespec ts = { 0, 0 };

    if (file == NULL)
        return false;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    atomic_store(&file->since, (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
    atomic_store(&file->at, utc_us);
    return munmap(file, sizeof *file) == 0;
}

bool clock_file_real(void)
{
    struct clock_file *file = clock_map();

    if (file == NULL)
        return false;
    atomic_store(&file->since, 0);
    atomic_store(&file->at, 0);
    return munmap(file, sizeof *file) == 0;
}
