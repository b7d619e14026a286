/* host.c - what the process itself lends to a backend: clocks, memory, a log */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

#include <kedge/backend.h>
#include <kedge/store.h>

#include "kassert.h"

static int64_t clock_us(void *ctx, uint32_t which)
{
    struct timespec ts;
    int rc;

    (void)ctx;
    KEDGE_ASSERT(which == KEDGE_CLOCK_WALL || which == KEDGE_CLOCK_LEASE);
    /* A lease runs on while the machine sleeps: its holder does not work then, either. */
    rc = clock_gettime(which == KEDGE_CLOCK_WALL ? CLOCK_REALTIME : CLOCK_BOOTTIME, &ts);
    KEDGE_ASSERT(rc == 0);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* A library has no business on standard error, unless something is wrong. */
static void log_text(void *ctx, int level, const char *text)
{
    (void)ctx;
    if (level <= LOG_WARNING)
        (void)fprintf(stderr, "kedge: %s\n", text);
}

static void *alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void release(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

static const struct kedge_host host = {
    .struct_size = sizeof host,
    .abi = KEDGE_BACKEND_ABI,
    .clock_us = clock_us,
    .log = log_text,
    .alloc = alloc,
    .release = release,
};

const struct kedge_host *kedge_host_default(void)
{
    return &host;
}
