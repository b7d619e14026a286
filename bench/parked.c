/*
 * parked.c - what runs that are not due cost a worker that carries one run: memory, and nothing
 *
 * Each figure is that of a process of its own, which opens the store and a worker on it, and looks
 * at itself between two steps of its run.
 */
#include <config.h>

#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/backend.h>

#include "engine.h"
#include "harness.h"
#include "procs.h"
#include "saga.h"
#include "subject.h"

#define DAY_US  INT64_C(86400000000)
#define PROCS   5
#define STEPS   1000
#define LOOK_NS INT64_C(600000000) /* the keeper has looked at least twice */
#define BOUND   (64 << 10)
#define CARRIED 900000 /* number of the first run that a process carries */

struct memory {
    int64_t host; /* handed out by the host's allocator: library and backend */
    int64_t heap; /* all of malloc's that is in use */
    int64_t anon; /* resident, and not of a file */
};

struct parked {
    char url[PATH_MAX + 64];
    uint64_t run; /* of the process to come */
    struct saga saga;
};

static _Atomic int64_t handed_out;

static void *counted_alloc(void *ctx, size_t size)
{
    void *p = malloc(size);

    (void)ctx;
    (void)atomic_fetch_add(&handed_out, (int64_t)malloc_usable_size(p));
    return p;
}

static void counted_release(void *ctx, void *p)
{
    (void)ctx;
    (void)atomic_fetch_sub(&handed_out, (int64_t)malloc_usable_size(p));
    free(p);
}

static int64_t resident_anon(void)
{
    char line[256];
    int64_t kib = 0;
    FILE *f = fopen("/proc/self/status", "re");

    if (f == NULL)
        die("no /proc");
    while (fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "RssAnon:", 8) == 0)
            kib = strtoll(line + 8, NULL, 10);
    (void)fclose(f);
    return kib * 1024;
}

static struct memory in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return (struct memory){ atomic_load(&handed_out), (int64_t)(info.uordblks + info.hblkhd),
                            resident_anon() };
}

static void define(struct parked *p)
{
    struct saga_shape shape = { .name = "carried", .n_steps = STEPS, .in_flight = 64 };

    saga_define(&p->saga, &shape);
    p->saga.runs = p->run;
}

/* In a process of its own: what it has gained since nothing of kedge was open. */
static void measure(void *ctx, void *result)
{
    struct parked *p = ctx;
    struct kedge_host host = *kedge_host_default();
    struct memory *m = result;
    struct memory before;
    int64_t until;

    host.alloc = counted_alloc;
    host.release = counted_release;
    define(p);
    before = in_use();
    saga_store_open(&p->saga, p->url, &host);
    saga_worker_open(&p->saga);
    saga_start(&p->saga, 1, 0);
    until = now_ns() + (opt.smoke ? 0 : LOOK_NS);
    while (saga_counts(&p->saga).steps < STEPS / 2 || now_ns() < until) {
        if (saga_counts(&p->saga).steps < STEPS - 10)
            saga_turn(&p->saga, 1);
        die_if_stopped();
    }
    *m = in_use();
    m->host -= before.host;
    m->heap -= before.heap;
    m->anon -= before.anon;
    saga_worker_close(&p->saga);
    saga_store_close(&p->saga);
}

/* The median of several processes, member by member. */
static struct memory measured(struct parked *p)
{
    struct series host = { 0 };
    struct series heap = { 0 };
    struct series anon = { 0 };
    struct memory m = { 0 };

    for (int i = 0; i < (opt.smoke ? 1 : PROCS); i++) {
        proc_once(measure, p, &m, sizeof m);
        p->run++;
        series_add(&host, (double)m.host);
        series_add(&heap, (double)m.heap);
        series_add(&anon, (double)m.anon);
    }
    m.host = (int64_t)series_spread(&host).median;
    m.heap = (int64_t)series_spread(&heap).median;
    m.anon = (int64_t)series_spread(&anon).median;
    free(host.v);
    free(heap.v);
    free(anon.v);
    return m;
}

static void park(struct parked *p, uint64_t n)
{
    define(p);
    p->saga.runs = 0;
    saga_store_open(&p->saga, p->url, NULL);
    saga_start(&p->saga, n, DAY_US);
    saga_store_close(&p->saga);
    saga_undefine(&p->saga);
}

static void report_memory(const char *what, int64_t none, int64_t many, uint64_t n)
{
    report_note("%-34s %10" PRId64 " %10" PRId64 " %+10" PRId64 "   %.3f a run", what, none, many,
                many - none, (double)(many - none) / (double)n);
}

void workload_parked(void)
{
    static struct parked p;
    uint64_t n = opt.smoke ? 500 : opt.parked;
    struct memory none;
    struct memory many;
    int64_t most;

    subject_url(p.url, sizeof p.url, "kedge");
    p.run = CARRIED;
    none = measured(&p);
    park(&p, n);
    many = measured(&p);
    report_note("%-34s %10s %10s", "bytes of a worker with one run", "none", "parked");
    report_memory("host allocator", none.host, many.host, n);
    report_memory("malloc, in use", none.heap, many.heap, n);
    report_memory("resident, without files", none.anon, many.anon, n);
    report_note(
        "(LMDB has tables for free and for dirty pages; they are there from the start, 3 MiB, and");
    report_note("become resident as they are used)");
    most = many.heap - none.heap > many.host - none.host ? many.heap - none.heap
                                                         : many.host - none.host;
    report_note("=> %" PRIu64 " runs that are not due add %" PRId64 " bytes   required < %d: %s", n,
                most, BOUND, most < BOUND ? "met" : "MISSED");
}
