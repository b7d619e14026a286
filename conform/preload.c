/* preload.c - a case's process becomes the program again, with a shim; see preload.h */
#include <config.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload.h"

#define WORDS_MAX 256
/* The process's own clock; KEDGE_TEST_CLOCK is the server's. */
#define OWN_CLOCK "KEDGE_CONFORM_OWN_CLOCK"

/* This process's words, with SPEC before them; static. */
static char *const *words_with(const char *spec)
{
    static char text[1 << 16];
    static char *words[WORDS_MAX + 3];
    static char option[] = "--in-case";
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    size_t n = 0;

    if (fd >= 0)
        (void)close(fd);
    if (len <= 0 || (size_t)len == sizeof text - 1)
        return NULL;
    for (char *p = text; p < text + len && n < WORDS_MAX; p += strlen(p) + 1) {
        words[n++] = p;
        if (n == 1) {
            words[n++] = option;
            words[n++] = strdup(spec);
        }
    }
    words[n] = NULL;
    return words;
}

/* The shim before whatever is preloaded already. */
static bool set_preload(const char *shim)
{
    const char *dir = getenv("KEDGE_SHIM_PATH");
    const char *old = getenv("LD_PRELOAD");
    char path[1024], all[4096];
    int n = snprintf(path, sizeof path, "%s/%s", dir != NULL ? dir : KEDGE_SHIM_DIR, shim);

    if (n < 0 || (size_t)n >= sizeof path || access(path, R_OK) != 0)
        return false;
    n = snprintf(all, sizeof all, "%s%s%s", path, old != NULL ? ":" : "", old != NULL ? old : "");
    return n > 0 && (size_t)n < sizeof all && setenv("LD_PRELOAD", all, 1) == 0;
}

/* A clock file that goes with the process: it stays open across exec. */
static bool set_clock(void)
{
    int fd = memfd_create("kedge-clock", 0);
    char path[64];

    if (fd < 0 || ftruncate(fd, sizeof(struct clock_file)) != 0)
        return false;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return setenv(OWN_CLOCK, path, 1) == 0;
}

void preload_again(const char *shim, bool clock, const char *spec)
{
    char *const *words = words_with(spec);

    if (words == NULL || !set_preload(shim) || (clock && !set_clock()))
        return;
    (void)execv("/proc/self/exe", words);
}

const struct iofault_calls *preload_iofault(void)
{
    static struct iofault_calls calls;

    *(void **)&calls.use = dlsym(RTLD_DEFAULT, "iofault_use");
    *(void **)&calls.arm = dlsym(RTLD_DEFAULT, "iofault_arm");
    *(void **)&calls.disarm = dlsym(RTLD_DEFAULT, "iofault_disarm");
    return calls.use != NULL && calls.arm != NULL && calls.disarm != NULL ? &calls : NULL;
}

struct clock_file *preload_clock(void)
{
    const char *path = getenv(OWN_CLOCK);
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *p = MAP_FAILED;

    if (fd < 0)
        return NULL;
    p = mmap(NULL, sizeof(struct clock_file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    return p == MAP_FAILED ? NULL : p;
}
