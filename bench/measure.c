/*
 * measure.c - a workload beside its ceiling, in slices that alternate; then what it writes
 *
 * The time of a repeat goes to the workload, and as much again to the bare client, a tenth of a
 * second each in turn: so both meet the same machine, and a ratio is one of the same time.  What is
 * written and flushed is counted apart, over so many operations, from opening to closing, less what
 * opening and closing alone cost.
 */
#include <config.h>

#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bare.h"
#include "flushes.h"
#include "hdr_log.h"
#include "measure.h"
#include "outside.h"
#include "settings.h"
#include "subject.h"

#define SLICE_S   0.1
#define NEARLY    0.97 /* of a rate: it is reached */
#define NOT_KNOWN (-1.0)

bool has_ceiling(const struct result *r)
{
    return r->ceiling.median > 0;
}

uint64_t result_lost(const struct result *r)
{
    return r->written > r->readable ? r->written - r->readable : 0;
}

uint64_t result_twice(const struct result *r)
{
    return r->readable > r->written ? r->readable - r->written : 0;
}

/* ------------------------------------------------------------------- progress */

static struct result *current;
static atomic_uint repeats_done;
static atomic_bool stop_telling;
static pthread_t teller;

static void *tell(void *arg)
{
    const struct result *r = arg;
    int64_t began = now_ns();
    int64_t step = (int64_t)(settings.progress_s * 1e9);

    for (int64_t next = began + step; !atomic_load(&stop_telling);) {
        int64_t t = now_ns();

        if (t >= next) {
            (void)fprintf(stderr, "%s on %s, %u client%s: %.0f s, %u of %u repeats done\n",
                          r->workload->name, r->store->label, r->clients, r->clients > 1 ? "s" : "",
                          (double)(t - began) / 1e9, atomic_load(&repeats_done), settings.repeat);
            next += step;
        }
        sleep_until(t + 10000000);
    }
    return NULL;
}

static void progress_begin(void)
{
    atomic_store(&repeats_done, 0);
    atomic_store(&stop_telling, false);
    if (settings.progress_s > 0 && pthread_create(&teller, NULL, tell, current) != 0)
        die("cannot start a thread");
}

static void progress_end(void)
{
    atomic_store(&stop_telling, true);
    if (settings.progress_s > 0)
        (void)pthread_join(teller, NULL);
}

/* -------------------------------------------------------------------- repeats */

static void keep(struct side *side, size_t pass, int64_t ns)
{
    struct repeat *r = &current->repeats[pass];
    const struct samples *latency = current->wanted > 0 ? &side->late : &side->lat;

    *r = (struct repeat){
        .ops = side->ops,
        .ns = ns,
        .rate = ns > 0 ? (double)side->ops * 1e9 / (double)ns : 0,
        .ceiling = NOT_KNOWN,
        .p50_us = samples_at(latency, 0.5),
        .p99_us = samples_at(latency, 0.99),
        .max_us = samples_at(latency, 1),
        .service_max_us = samples_at(&side->lat, 1),
        .histogram = hdr_text(latency),
        .service = current->wanted > 0 ? hdr_text(&side->lat) : NULL,
    };
    samples_join(&current->latency, latency);
    samples_join(&current->service, &side->lat);
    if (side->lag_ns > current->lag_ns)
        current->lag_ns = side->lag_ns;
    (void)atomic_fetch_add(&repeats_done, 1);
}

static void keep_ceiling(struct result *r, const struct side *bare)
{
    struct series ratio = { 0 };

    for (size_t i = 0; i < r->n; i++) {
        r->repeats[i].ceiling = bare->rate.v[i];
        series_add(&ratio, bare->rate.v[i] > 0 ? r->repeats[i].rate / bare->rate.v[i] : 0);
    }
    r->ceiling = series_spread(&bare->rate);
    r->ceiling_p50_us = samples_at(&bare->all, 0.5);
    r->ratio = series_spread(&ratio);
    free(ratio.v);
}

/* What is in flight when a repeat ends is not missing. */
static bool is_reached(const struct result *r)
{
    double slack = r->clients + ((r->workload->flags & OF_RUNS) != 0 ? settings.steps : 0);

    for (size_t i = 0; i < r->n; i++) {
        double due = r->wanted * (double)r->repeats[i].ns / 1e9;

        if ((double)r->repeats[i].ops + slack < NEARLY * due)
            return false;
    }
    return true;
}

static double peak_kib(void)
{
    char text[64];

    file_value("/proc/self/status", "VmHWM", text, sizeof text);
    return strtod(text, NULL);
}

static void forget_peak(void)
{
    FILE *f;

    (void)malloc_trim(0);
    f = fopen("/proc/self/clear_refs", "we");
    if (f == NULL)
        return;
    (void)fputs("5", f);
    (void)fclose(f);
}

/* A store in memory does nothing that anything could be held against. */
static const struct bare_kind *kind_of(const struct store_facts *store)
{
    return strcmp(fact_of(&store->all, "backend"), "mem") == 0 ? NULL : bare_kind_of(store->given);
}

static void run_repeats(struct result *r, struct work *work, const struct meter *meter)
{
    static struct bare bare;
    static struct bare_runs runs;
    bool ceiling = settings.ceiling && (r->workload->flags & CEILING) != 0 && !(r->wanted > 0) &&
                   kind_of(r->store) != NULL;
    struct bare_work bw = { &runs, r->clients < BARE_MOST ? r->clients : BARE_MOST };
    struct side sides[2] = { work->side, { .name = "bare", .run = bare_appends, .ctx = &bw } };
    double slices = ceiling ? settings.time_s / SLICE_S : 1;

    if (ceiling)
        bare_begin(&bare, &runs, "bare", bw.batch);
    forget_peak();
    progress_begin();
    run_passes(sides, ceiling ? 2 : 1, slices < 2 ? (ceiling ? 2 : 1) : (unsigned)slices);
    progress_end();
    r->rate = series_spread(&sides[0].rate);
    r->cpu_us = series_spread(&sides[0].cpu_us).median;
    r->server_us = meter != NULL && meter->cpu_ns != NULL
                       ? series_spread(&sides[0].server_us).median
                       : NOT_KNOWN;
    r->peak_kib = peak_kib();
    r->server_kib = (double)outside_memory_kib();
    if (ceiling) {
        keep_ceiling(r, &sides[1]);
        bare_end(&bare, &runs);
    }
    sides_release(sides, 2);
}

/* ---------------------------------------------------------------- what it writes */

struct written {
    double ops;
    double flushes;
    double bytes;
    bool known;
};

static bool is_local(const struct store_facts *store)
{
    return store->place != NULL || strcmp(fact_of(&store->all, "backend"), "mem") == 0;
}

/* From opening to closing. */
static struct written count(const struct result *r, bool server, uint64_t rounds)
{
    struct work work = { .kind = r->workload, .clients = r->clients };
    struct written w = { .known = true };
    struct server_counts before = { 0 };

    if (server) {
        before = counts_now();
        w.known = !before.crowded;
    } else {
        w.known = flushes_count();
    }
    if (!w.known)
        return w;
    r->workload->open(&work);
    samples_clear(&work.side.lat);
    samples_clear(&work.side.late);
    if (rounds > 0)
        run_rounds(&work.side, rounds);
    w.ops = (double)work.side.ops;
    r->workload->close(&work);
    if (server) {
        struct happened h = since(&before);

        w.flushes = h.flushes;
        w.bytes = h.log_bytes;
    } else {
        struct flushed f = flushes_end();

        w.flushes = (double)f.flushes;
        w.bytes = (double)f.bytes;
    }
    sides_release(&work.side, 1);
    subject_drop();
    return w;
}

/*
 * What it writes for each operation once it is under way: with many clients a store may put off
 * work, and the first rounds do not pay for it.
 */
static void count_writes(struct result *r, bool server)
{
    uint64_t scale = 1 + r->clients / 16;
    uint64_t rounds = r->workload->rounds * scale;
    uint64_t first = scale > 1 ? rounds : 0;
    struct written nothing;
    struct written all;

    r->flushes = r->bytes = NOT_KNOWN;
    if ((r->workload->flags & COUNTED) == 0 || r->wanted > 0 || (!server && !is_local(r->store)))
        return;
    nothing = count(r, server, first);
    if (!nothing.known) {
        warn_of("%s: others are at work there, so what a step writes cannot be told",
                r->store->label);
        return;
    }
    all = count(r, server, first + rounds);
    all.ops -= nothing.ops;
    if (!all.known || !(all.ops > 0))
        return;
    if (!server || outside_flushes_all())
        r->flushes = fmax(0, (all.flushes - nothing.flushes) / all.ops);
    r->bytes = fmax(0, (all.bytes - nothing.bytes) / all.ops);
}

/* ---------------------------------------------------------------------- a result */

static void warn_of_result(const struct result *r, bool server)
{
    double cpus = (double)sysconf(_SC_NPROCESSORS_ONLN);

    if (r->wanted > 0 && !r->reached)
        warn_of("%s on %s: %g/s was not reached (%.0f/s): it queues, and percentiles say little",
                r->workload->name, r->store->label, r->wanted, r->rate.median);
    if (server && r->server_us >= 0)
        warn_of("%s: client and server are on one host", r->store->label);
    if (settings.ceiling && (r->workload->flags & CEILING) == 0)
        warn_of("%s has no ceiling: a bare client does nothing of the kind", r->workload->name);
    if (settings.ceiling && kind_of(r->store) == NULL)
        warn_of("%s has no ceiling: this program has no bare client for it", r->store->label);
    if (cpus > 0 && r->cpu_us * r->rate.median > 0.8e6 * cpus)
        warn_of("%s on %s: this process keeps more than 80 %% of the processors busy",
                r->workload->name, r->store->label);
}

void measure(struct result *result, const struct store_facts *store,
             const struct workload *workload, unsigned clients, double rate)
{
    const struct bare_kind *kind;
    const struct meter *meter;
    struct work work = { .kind = workload, .clients = clients, .rate = rate };
    bool server;

    opt.store = store->given;
    opt.dir = store->place != NULL ? store->place : "/tmp";
    opt.passes = settings.repeat;
    opt.seconds = settings.time_s;
    opt.warmup = settings.warmup_s;
    kind = kind_of(store);
    server = kind != NULL && kind->is_server;
    *result = (struct result){
        .store = store,
        .workload = workload,
        .clients = clients,
        .wanted = rate,
        .n = settings.repeat,
        .repeats = must_alloc(settings.repeat, sizeof *result->repeats),
    };
    current = result;
    workload_begin(workload->name, workload->title);
    scratch_begin();
    meter = outside_open(kind, false);
    meter_set(meter);
    workload->open(&work);
    work.side.name = workload->name;
    work.side.passed = keep;
    run_repeats(result, &work, meter);
    workload->close(&work);
    result->what = work.what;
    result->written = work.written;
    result->readable = work.readable;
    result->reached = !(rate > 0) || is_reached(result);
    subject_drop();
    count_writes(result, server);
    outside_close();
    meter_set(NULL);
    workload_end();
    scratch_end();
    warn_of_result(result, server);
}
