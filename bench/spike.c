/*
 * spike.c - what the storage contract and the engine cost on a store, next to a bare client of the
 * same kind of store in the same run
 *
 * Every workload checks in the end that what it wrote is there.  Times never make it fail.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bare.h"
#include "engine.h"
#include "harness.h"
#include "made.h"
#include "outside.h"
#include "population.h"
#include "procs.h"
#include "subject.h"

#define RUNS    64
#define THREADS 64
#define PROCS   8
#define HOUR_US INT64_C(3600000000)
#define N_OF(a) (sizeof(a) / sizeof *(a))

/* ----------------------------------------------------- commits and bare puts */

struct kedge_work {
    struct user *user;
    struct runs *runs;
    size_t batch;
};
static void kedge_appends(struct side *side, const struct limit *limit)
{
    const struct kedge_work *w = side->ctx;
    int64_t t = now_ns();

    for (uint64_t rounds = 0; !limit_reached(limit, rounds, t); rounds++) {
        int64_t began = t;

        user_append(w->user, w->runs, w->batch);
        t = now_ns();
        samples_add(&side->lat, t - began);
        side->ops += w->batch;
    }
}

/* A store and a bare environment, each with its runs. */
struct pair {
    struct subject subject;
    struct user user;
    struct runs runs;
    struct bare bare;
    struct bare_runs bare_runs;
};

static void pair_open(struct pair *p, const char *ns, size_t n_runs)
{
    char url[PATH_MAX + 64];

    subject_url(url, sizeof url, "kedge");
    subject_open(&p->subject, url, ns);
    user_open(&p->user, &p->subject, HOUR_US);
    runs_create(&p->runs, &p->user, 1, n_runs);
    bare_begin(&p->bare, &p->bare_runs, "bare", n_runs);
}

static void pair_close(struct pair *p)
{
    user_verify(&p->user, &p->runs);
    runs_release(&p->runs);
    user_close(&p->user);
    subject_close(&p->subject);
    bare_end(&p->bare, &p->bare_runs);
}

static void workload_one(void)
{
    static struct pair p;
    struct kedge_work kw = { &p.user, &p.runs, 1 };
    struct bare_work bw = { &p.bare_runs, 1 };
    struct side sides[] = {
        { .name = "kedge", .run = kedge_appends, .ctx = &kw },
        { .name = the_kind()->side, .run = bare_appends, .ctx = &bw },
    };
    const struct claim claims[] = { { 0, 1, RATE, false, required(0.9, 0.85, 0.75) },
                                    { 0, 1, P50, true, 0 } };

    pair_open(&p, "one", RUNS);
    run_passes(sides, N_OF(sides), opt.slices);
    report_sides(sides, N_OF(sides), "commits");
    report_claims(sides, claims, N_OF(claims));
    pair_close(&p);
    sides_release(sides, N_OF(sides));
}

static void batches(const char *ns, size_t size, double bound)
{
    static struct pair p;
    static struct bare rising;
    static struct bare_runs rising_runs;
    struct kedge_work kw = { &p.user, &p.runs, size };
    struct bare_work bw = { &p.bare_runs, size };
    struct bare_work rw = { &rising_runs, size };
    struct side sides[] = {
        { .name = "kedge", .run = kedge_appends, .ctx = &kw },
        { .name = the_kind()->side, .run = bare_appends, .ctx = &bw },
        { .name = "bare, rising keys", .run = bare_sequences, .ctx = &rw },
    };
    const struct claim claims[] = { { 0, 1, RATE, false, bound },
                                    { 0, 1, P50, true, 0 },
                                    { 0, 2, RATE, false, 0 } };

    size_t spare = the_kind()->is_server ? 1 : 0; /* the last side is of interest on LMDB only */
    size_t n = N_OF(sides) - spare;

    pair_open(&p, ns, size);
    if (size > p.user.most)
        die("this store takes %zu commits in a call", p.user.most);
    if (spare == 0)
        bare_begin(&rising, &rising_runs, "rising", 1);
    run_passes(sides, n, opt.slices);
    report_sides(sides, n, "commits");
    report_claims(sides, claims, N_OF(claims) - spare);
    if (spare == 0) {
        report_note("(rising keys: one journal, the puts of a transaction share a few pages)");
        bare_end(&rising, &rising_runs);
    }
    pair_close(&p);
    sides_release(sides, n);
}

static void workload_batch64(void)
{
    batches("batch64", 64, required(0.8, 0.75, 0.6));
}

static void workload_batch256(void)
{
    batches("batch256", 256, 0);
}

/* -------------------------------------------------------------------- threads */

struct worker {
    pthread_t thread;
    pthread_barrier_t *gate;
    const struct limit *limit;
    struct user user;
    struct runs runs;
    struct bare_runs bare;
    bool is_bare;
    uint64_t ops;
    struct samples lat;
};

struct crowd {
    struct worker *v;
    unsigned n;
    bool is_bare;
};

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    int64_t t;

    (void)pthread_barrier_wait(w->gate);
    t = now_ns();
    for (w->ops = 0; !limit_reached(w->limit, w->ops, t); w->ops++) {
        int64_t began = t;

        if (w->is_bare)
            bare_append(&w->bare, 1);
        else
            user_append(&w->user, &w->runs, 1);
        t = now_ns();
        samples_add(&w->lat, t - began);
    }
    return NULL;
}

static void crowd_run(struct side *side, const struct limit *limit)
{
    const struct crowd *crowd = side->ctx;
    struct limit shared = *limit;
    int64_t span = limit->until_ns - now_ns();
    pthread_barrier_t gate;
    int64_t began;

    if (pthread_barrier_init(&gate, NULL, crowd->n + 1) != 0)
        die("no barrier");
    for (unsigned i = 0; i < crowd->n; i++) {
        struct worker *w = &crowd->v[i];

        w->gate = &gate;
        w->limit = &shared;
        w->is_bare = crowd->is_bare;
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
            die("cannot start thread %u", i);
    }
    began = now_ns();
    shared.until_ns = began + span; /* seen by all: the barrier is still closed */
    (void)pthread_barrier_wait(&gate);
    for (unsigned i = 0; i < crowd->n; i++) {
        struct worker *w = &crowd->v[i];

        (void)pthread_join(w->thread, NULL);
        side->ops += w->ops;
        samples_join(&side->lat, &w->lat);
        samples_clear(&w->lat);
    }
    side->own_ns = now_ns() - began;
    (void)pthread_barrier_destroy(&gate);
}

static void workload_threads64(void)
{
    static struct pair p;
    static struct bare crowded;
    static struct bare_runs none;
    struct worker *v = must_alloc(THREADS, sizeof *v);
    struct bare_work bw = { &p.bare_runs, 64 };
    struct crowd kc = { v, THREADS, false };
    struct crowd bc = { v, THREADS, true };
    struct side sides[] = {
        { .name = "kedge, 64 threads", .run = crowd_run, .ctx = &kc },
        { .name = "bare, batches of 64", .run = bare_appends, .ctx = &bw },
        { .name = "bare, 64 threads", .run = crowd_run, .ctx = &bc },
    };
    static const struct claim claims[] = { { 0, 1, RATE, false, 0 }, { 0, 2, RATE, false, 0 } };

    pair_open(&p, "threads64", RUNS);
    bare_begin(&crowded, &none, "crowded", 0);
    for (unsigned i = 0; i < THREADS; i++) {
        user_open(&v[i].user, &p.subject, HOUR_US);
        runs_create(&v[i].runs, &v[i].user, 1000 + i, 1);
        bare_runs_init(&v[i].bare, &crowded, 1000 + i, 1);
    }
    run_passes(sides, N_OF(sides), opt.slices > 2 ? 2 : opt.slices);
    report_sides(sides, N_OF(sides), "commits");
    report_claims(sides, claims, N_OF(claims));
    for (unsigned i = 0; i < THREADS; i++) {
        user_verify(&v[i].user, &v[i].runs);
        bare_verify(&v[i].bare);
        bare_runs_release(&v[i].bare);
        runs_release(&v[i].runs);
        user_close(&v[i].user);
        samples_release(&v[i].lat);
    }
    bare_end(&crowded, &none);
    pair_close(&p);
    sides_release(sides, N_OF(sides));
    free(v);
}

/* ------------------------------------------------------------------ processes */

enum proc_kind { PROC_KEDGE, PROC_BARE };

struct proc_state {
    char url[PATH_MAX + 64];
    char dir[PATH_MAX];
    struct subject subject;
    struct user user;
    struct runs runs;
    struct bare bare;
    struct bare_runs bare_runs;
    unsigned index;
};

static void proc_begin(void *ctx, unsigned index)
{
    struct proc_state *p = ctx;

    p->index = index;
    subject_open(&p->subject, p->url, "procs8");
    user_open(&p->user, &p->subject, HOUR_US);
    runs_create(&p->runs, &p->user, 1000 * (uint64_t)index, RUNS);
    bare_open(&p->bare, p->dir);
    bare_runs_init(&p->bare_runs, &p->bare, 1000 * (uint64_t)index, RUNS);
}

static uint64_t proc_work(void *ctx, unsigned kind, const struct limit *limit, struct samples *lat)
{
    struct proc_state *p = ctx;
    uint64_t ops = 0;
    int64_t t = now_ns();

    for (; !limit_reached(limit, ops, t); ops++) {
        int64_t began = t;

        if (kind == PROC_KEDGE)
            user_append(&p->user, &p->runs, 1);
        else
            bare_append(&p->bare_runs, 1);
        t = now_ns();
        samples_add(lat, t - began);
    }
    return ops;
}

static void proc_end(void *ctx)
{
    struct proc_state *p = ctx;

    user_verify(&p->user, &p->runs);
    bare_verify(&p->bare_runs);
    user_close(&p->user);
    subject_close(&p->subject);
    bare_runs_release(&p->bare_runs);
    /* They end one after the other, and what is on a server goes with the last. */
    if (p->index == PROCS - 1 || !p->bare.kind->is_server)
        bare_close(&p->bare);
}

struct proc_side {
    struct procs *procs;
    unsigned n;
    enum proc_kind kind;
    uint64_t total[PROCS];
    struct series least; /* the share of the slowest and of the fastest, of an equal share */
    struct series most;
};

static void proc_run(struct side *side, const struct limit *limit)
{
    struct proc_side *p = side->ctx;
    uint64_t per[PROCS];
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    uint64_t sum = 0;

    procs_run(p->procs, p->n, p->kind, limit, side, per);
    for (unsigned i = 0; i < p->n; i++) {
        p->total[i] += per[i];
        sum += per[i];
        least = per[i] < least ? per[i] : least;
        most = per[i] > most ? per[i] : most;
    }
    if (sum > 0) {
        series_add(&p->least, (double)least * p->n / (double)sum);
        series_add(&p->most, (double)most * p->n / (double)sum);
    }
}

static void report_fairness(const char *name, const struct proc_side *p)
{
    struct spread least = series_spread(&p->least);
    struct spread most = series_spread(&p->most);
    uint64_t min = UINT64_MAX;
    uint64_t max = 0;

    for (unsigned i = 0; i < p->n; i++) {
        min = p->total[i] < min ? p->total[i] : min;
        max = p->total[i] > max ? p->total[i] : max;
    }
    report_note("%s: commits per process in all %" PRIu64 " .. %" PRIu64
                "; in one pass the slowest got %.2f (worst %.2f) and the fastest %.2f (worst %.2f) "
                "of an equal share",
                name, min, max, least.median, least.min, most.median, most.max);
}

static void workload_procs8(void)
{
    static struct proc_state state;
    struct procs procs;
    struct proc_work work = { proc_begin, proc_work, proc_end, &state };
    static struct proc_side all = { .n = PROCS, .kind = PROC_KEDGE };
    static struct proc_side single = { .n = 1, .kind = PROC_KEDGE };
    static struct proc_side bare_all = { .n = PROCS, .kind = PROC_BARE };
    static struct proc_side bare_single = { .n = 1, .kind = PROC_BARE };
    struct side sides[] = {
        { .name = "kedge, 8 processes", .run = proc_run, .ctx = &all },
        { .name = "kedge, 1 process", .run = proc_run, .ctx = &single },
        { .name = "bare, 8 processes", .run = proc_run, .ctx = &bare_all },
        { .name = "bare, 1 process", .run = proc_run, .ctx = &bare_single },
    };
    static const struct claim claims[] = {
        { 0, 1, RATE, false, 0.7 },
        { 2, 3, RATE, false, 0 },
        { 0, 2, RATE, false, 0 },
    };

    all.procs = single.procs = bare_all.procs = bare_single.procs = &procs;
    subject_url(state.url, sizeof state.url, "kedge");
    bare_place(state.dir, sizeof state.dir, "bare");
    procs_start(&procs, PROCS, &work);
    run_passes(sides, N_OF(sides), 1);
    report_sides(sides, N_OF(sides), "commits");
    report_claims(sides, claims, N_OF(claims));
    report_fairness("kedge", &all);
    report_fairness("bare", &bare_all);
    report_note("(all 8 have both stores open throughout; those that are not told to work wait)");
    procs_finish(&procs);
    sides_release(sides, N_OF(sides));
}

/* -------------------------------------------------------------------- expired */

/* What a worker looks at again and again. */
static void sweeps(struct side *side, const struct limit *limit)
{
    struct population *p = side->ctx;
    int64_t t = now_ns();

    for (uint64_t rounds = 0; !limit_reached(limit, rounds, t); rounds++) {
        int64_t began = t;

        user_sweep(&p->user);
        t = now_ns();
        samples_add(&side->lat, t - began);
        side->ops++;
    }
}

static void workload_expired(void)
{
    static struct population few;
    static struct population many;
    uint64_t n = opt.smoke ? 600 : opt.population;
    char url[PATH_MAX + 64];
    struct side sides[] = {
        { .name = "among many", .run = population_scans, .ctx = &many },
        { .name = "among 1000", .run = population_scans, .ctx = &few },
        { .name = "sweep, among many", .run = sweeps, .ctx = &many },
        { .name = "sweep, among 1000", .run = sweeps, .ctx = &few },
    };
    static const struct claim claims[] = {
        { 0, 1, P50, true, 2 },
        { 2, 3, P50, true, 2 },
        { 2, 3, RATE, false, 0 },
    };

    subject_url(url, sizeof url, "kedge");
    population_build(&few, url, "few", opt.smoke ? 60 : 1000);
    population_build(&many, url, "many", n);
    population_wait(&few);
    population_wait(&many);
    run_passes(sides, N_OF(sides), opt.slices);
    report_sides(sides, N_OF(sides), "scans");
    report_claims(sides, claims, N_OF(claims));
    report_note(
        "(a scan is all pages of list_expired: 5 runs of a lapsed lease, 5 past hold_until; a "
        "sweep is that, lease_list, a claim that finds nothing, and a purge)");
    population_close(&few);
    population_close(&many);
    sides_release(sides, N_OF(sides));
}

/* ----------------------------------------------------------------------- head */

struct head_work {
    struct user *user;
    const struct runs *runs;
    size_t which;
};

static void head_calls(struct side *side, const struct limit *limit)
{
    const struct head_work *w = side->ctx;
    const struct run *run = &w->runs->v[w->which];
    int64_t t = now_ns();

    for (uint64_t rounds = 0; !limit_reached(limit, rounds, t); rounds++) {
        int64_t began = t;
        uint64_t position = user_head(w->user, run->tag);

        t = now_ns();
        if (position != run->position)
            die("the head says %" PRIu64 " records, there are %" PRIu64, position, run->position);
        samples_add(&side->lat, t - began);
        side->ops++;
    }
}

static void workload_head(void)
{
    static struct subject subject;
    static struct user user;
    struct runs runs;
    char url[PATH_MAX + 64];
    uint64_t records = opt.smoke ? 1000 : opt.records;
    struct head_work large = { &user, &runs, 0 };
    struct head_work small = { &user, &runs, 1 };
    struct side sides[] = {
        { .name = "long journal", .run = head_calls, .ctx = &large },
        { .name = "1 record", .run = head_calls, .ctx = &small },
    };
    static const struct claim claims[] = { { 0, 1, P50, true, 0 } };
    int64_t began = now_ns();

    subject_url(url, sizeof url, "kedge");
    subject_open(&subject, url, "head");
    user_open(&user, &subject, HOUR_US);
    runs_create(&runs, &user, 1, 2);
    while (runs.v[0].position < records) {
        uint64_t left = records - runs.v[0].position;

        user_append_many(&user, &runs.v[0], left < BATCH_MAX ? (size_t)left : BATCH_MAX);
    }
    user_append_many(&user, &runs.v[1], 1);
    report_note("%" PRIu64 " records of 256 bytes appended in %.1f s, 256 per commit", records,
                (double)(now_ns() - began) / 1e9);
    run_passes(sides, N_OF(sides), opt.slices);
    report_sides(sides, N_OF(sides), "heads");
    report_below(&sides[0], 1000);
    report_claims(sides, claims, N_OF(claims));
    user_verify(&user, &runs);
    runs_release(&runs);
    user_close(&user);
    subject_close(&subject);
    sides_release(sides, N_OF(sides));
}

/* ---------------------------------------------------------------------- cycle */

static void cycles(struct side *side, const struct limit *limit)
{
    const struct kedge_work *w = side->ctx;
    int64_t t = now_ns();

    for (uint64_t rounds = 0; !limit_reached(limit, rounds, t); rounds++) {
        int64_t began = t;
        size_t n = user_claim(w->user, w->batch);

        if (n != w->batch)
            die("claim took %zu due runs of %zu", n, w->batch);
        user_release(w->user, n);
        t = now_ns();
        samples_add(&side->lat, t - began);
        side->ops += n;
    }
}

static void workload_claim(void)
{
    static struct pair p;
    static struct bare other;
    static struct bare_runs other_runs;
    struct kedge_work one = { &p.user, &p.runs, 1 };
    struct kedge_work many = { &p.user, &p.runs, 64 };
    struct bare_work bw = { &p.bare_runs, 1 };
    struct bare_work bmany = { &other_runs, 64 };
    struct side sides[] = {
        { .name = "claim 1, release 1", .run = cycles, .ctx = &one },
        { .name = "claim 64, release 64", .run = cycles, .ctx = &many },
        { .name = "bare, 1 put", .run = bare_appends, .ctx = &bw },
        { .name = "bare, 64 puts", .run = bare_appends, .ctx = &bmany },
    };
    static const struct claim claims[] = { { 0, 2, RATE, false, 0 }, { 1, 3, RATE, false, 0 } };

    pair_open(&p, "claim", RUNS);
    bare_begin(&other, &other_runs, "other", RUNS);
    user_create(&p.user, 100000, 1000, BORN_DUE, NULL);
    run_passes(sides, N_OF(sides), opt.slices);
    report_sides(sides, N_OF(sides), "runs");
    report_claims(sides, claims, N_OF(claims));
    report_note("(a cycle is two durable calls, a bare put one; 1000 runs are due)");
    bare_end(&other, &other_runs);
    pair_close(&p);
    sides_release(sides, N_OF(sides));
}

/* --------------------------------------------------------------------- create */

struct create_work {
    struct user *user;
    uint64_t next; /* tag */
};

static void creates(struct side *side, const struct limit *limit)
{
    struct create_work *w = side->ctx;
    int64_t t = now_ns();

    for (uint64_t rounds = 0; !limit_reached(limit, rounds, t); rounds++) {
        int64_t began = t;

        user_create(w->user, w->next, BATCH_MAX, BORN_DUE, NULL);
        w->next += BATCH_MAX;
        t = now_ns();
        samples_add(&side->lat, t - began);
        side->ops += BATCH_MAX;
    }
}

static void workload_create(void)
{
    static struct pair p;
    struct create_work cw = { &p.user, 1000000 };
    struct bare_work bw = { &p.bare_runs, 256 };
    struct side sides[] = {
        { .name = "create, 256 per call", .run = creates, .ctx = &cw },
        { .name = "bare, 256 puts", .run = bare_appends, .ctx = &bw },
    };
    static const struct claim claims[] = { { 0, 1, RATE, false, 0 } };

    pair_open(&p, "create", BATCH_MAX);
    run_passes(sides, N_OF(sides), opt.slices);
    report_sides(sides, N_OF(sides), "runs");
    report_claims(sides, claims, N_OF(claims));
    for (uint64_t tag = 1000000; tag < cw.next; tag += 97)
        if (user_head(&p.user, tag) != 0)
            die("run %" PRIu64 " has records", tag);
    pair_close(&p);
    sides_release(sides, N_OF(sides));
}

/* --------------------------------------------------------------------- extend */

struct extend_work {
    struct user *user;       /* extends its lease, or */
    struct bare_runs *bare;  /* a put instead */
    struct kedge_work *load; /* NULL: none */
};
struct loader {
    struct kedge_work *work;
    struct limit limit;
};

static void *loader_main(void *arg)
{
    struct loader *l = arg;

    while (!limit_reached(&l->limit, 0, now_ns()))
        user_append(l->work->user, l->work->runs, l->work->batch);
    return NULL;
}

/* A call every other millisecond, as several workers of a process would make them. */
static void extends(struct side *side, const struct limit *limit)
{
    const struct extend_work *w = side->ctx;
    const struct timespec pause = { .tv_nsec = 2000000 };
    struct loader loader = { w->load, *limit };
    pthread_t thread;

    if (opt.smoke)
        loader.limit.until_ns = now_ns() + 20000000;
    if (w->load != NULL && pthread_create(&thread, NULL, loader_main, &loader) != 0)
        die("cannot start a thread");
    for (uint64_t rounds = 0; !limit_reached(limit, rounds, now_ns()); rounds++) {
        int64_t began;

        (void)nanosleep(&pause, NULL);
        began = now_ns();
        if (w->bare != NULL)
            bare_append(w->bare, 1);
        else
            user_extend(w->user);
        samples_add(&side->lat, now_ns() - began);
        side->ops++;
    }
    if (w->load != NULL)
        (void)pthread_join(thread, NULL);
}

static void workload_extend(void)
{
    static struct pair p;
    static struct user other;
    static struct runs runs;
    struct kedge_work load = { &other, &runs, BATCH_MAX }; /* or as many as it takes */
    struct extend_work loaded = { &p.user, NULL, &load };
    struct extend_work idle = { &p.user, NULL, NULL };
    struct extend_work bare = { NULL, &p.bare_runs, NULL };
    struct side sides[] = {
        { .name = "extend, 256-batches beside", .run = extends, .ctx = &loaded },
        { .name = "extend, idle store", .run = extends, .ctx = &idle },
        { .name = "bare put, idle", .run = extends, .ctx = &bare },
    };
    static const struct claim claims[] = { { 0, 1, P50, true, 0 }, { 1, 2, P50, true, 0 } };

    pair_open(&p, "extend", RUNS);
    user_open(&other, &p.subject, HOUR_US);
    load.batch = other.most;
    runs_create(&runs, &other, 10000, other.most);
    run_passes(sides, N_OF(sides), 2);
    report_sides(sides, N_OF(sides), "calls, one each 2 ms,");
    report_claims(sides, claims, N_OF(claims));
    report_note("(processor time of the first includes the batches)");
    user_verify(&other, &runs);
    runs_release(&runs);
    user_close(&other);
    pair_close(&p);
    sides_release(sides, N_OF(sides));
}

/* ----------------------------------------------------------------------- main */

/* What a workload needs. */
enum {
    STORE = 1,
    BARE = 2,   /* a bare client for this kind of store */
    SHARED = 4, /* a store for several processes */
    SERVER = 8
};

static const struct workload {
    const char *name;
    const char *title;
    void (*run)(void);
    unsigned needs;
} workloads[] = {
    { "bare", "the bare clients alone", workload_bare, BARE | SERVER },
    { "one", "one commit at a time, one thread, 64 held runs in rotation", workload_one,
      STORE | BARE },
    { "batch64", "64 commits per call, one per run", workload_batch64, STORE | BARE },
    { "batch256", "256 commits per call, one per run", workload_batch256, STORE | BARE },
    { "threads64", "64 threads, each committing one at a time through one store",
      workload_threads64, STORE | BARE },
    { "procs8", "8 processes, each committing one at a time to one store", workload_procs8,
      STORE | BARE | SHARED },
    { "expired", "ten expired runs among many healthy ones", workload_expired, STORE },
    { "head", "the head of a run with a long journal", workload_head, STORE },
    { "claim", "claim and release", workload_claim, STORE | BARE },
    { "create", "start runs", workload_create, STORE | BARE },
    { "extend", "latency of lease_extend", workload_extend, STORE | BARE },
    { "saga1", "a worker with one run in flight", workload_saga1, STORE | BARE },
    { "saga64", "a worker with 64 runs in flight", workload_saga64, STORE | BARE },
    { "stepcost", "a step of a long run, and of short ones", workload_stepcost, STORE },
    { "resume", "take over a run with many finished steps", workload_resume, STORE | SHARED },
    { "parked", "a worker's memory with many runs that are not due", workload_parked,
      STORE | SHARED },
    { "counts", "what reaches the server for each step", workload_counts, STORE | BARE | SERVER },
    { "idle", "what an idle worker makes the server write, with and without waiting runs",
      workload_idle, STORE | BARE | SERVER },
};

static const char usage_text[] =
    "usage: spike [OPTION...]\n"
    "Measure kedge on a store, the store alone and the whole engine, against a bare client of the\n"
    "same kind of store: LMDB, Redis, PostgreSQL.\n"
    "\n"
    "  --passes N       passes per workload (9; on a server 25)\n"
    "  --seconds S      seconds per pass and side (1)\n"
    "  --slices N       alternating slices of a pass (10)\n"
    "  --dir D          put the files below D (.); they are deleted afterwards\n"
    "  --only NAME,...  these workloads alone\n"
    "  --side TEXT      only sides whose names contain TEXT, for a profiler; no ratios then\n"
    "  --tsv FILE       all figures of all passes\n"
    "  --population N   healthy runs for `expired' (1000000)\n"
    "  --records N      journal length for `head' and `resume' (100000)\n"
    "  --parked N       runs that are not due for `parked' (100000)\n"
    "  --waiting N      likewise for `idle' (10000)\n"
    "  --store URL      another store instead of LMDB below D; a server ought to be a private one\n"
    "  --smoke          a few operations each, checked; prints TAP, measures nothing\n"
    "\n"
    "Workloads:\n";

static void usage(FILE *to)
{
    (void)fputs(usage_text, to);
    for (size_t i = 0; i < N_OF(workloads); i++)
        (void)fprintf(to, "  %-10s %s\n", workloads[i].name, workloads[i].title);
}

static uint64_t number(const char *text, uint64_t min, uint64_t max, const char *name)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || n < min || n > max)
        die("--%s wants a number from %" PRIu64 " to %" PRIu64 ", not '%s'", name, min, max, text);
    return n;
}

static double seconds(const char *text)
{
    char *end;
    double s = strtod(text, &end);

    if (*end != '\0' || end == text || !(s >= 0.001 && s <= 3600))
        die("--seconds wants a number from 0.001 to 3600, not '%s'", text);
    return s;
}

static void parse(int argc, char **argv)
{
    static const struct option longs[] = {
        { "passes", required_argument, NULL, 'p' },
        { "seconds", required_argument, NULL, 's' },
        { "slices", required_argument, NULL, 'l' },
        { "dir", required_argument, NULL, 'd' },
        { "only", required_argument, NULL, 'o' },
        { "side", required_argument, NULL, 'i' },
        { "tsv", required_argument, NULL, 't' },
        { "population", required_argument, NULL, 'n' },
        { "records", required_argument, NULL, 'r' },
        { "parked", required_argument, NULL, 'a' },
        { "waiting", required_argument, NULL, 'w' },
        { "store", required_argument, NULL, 'u' },
        { "smoke", no_argument, NULL, 'k' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        switch (c) {
        case 'p':
            opt.passes = (unsigned)number(optarg, 1, 10000, "passes");
            break;
        case 's':
            opt.seconds = seconds(optarg);
            break;
        case 'l':
            opt.slices = (unsigned)number(optarg, 1, 1000, "slices");
            break;
        case 'd':
            opt.dir = optarg;
            break;
        case 'o':
            opt.only = optarg;
            break;
        case 'i':
            opt.side = optarg;
            break;
        case 't':
            opt.tsv = optarg;
            break;
        case 'n':
            opt.population = number(optarg, 1, UINT32_MAX, "population");
            break;
        case 'r':
            opt.records = number(optarg, 1, UINT32_MAX, "records");
            break;
        case 'a':
            opt.parked = number(optarg, 1, 500000, "parked");
            break;
        case 'w':
            opt.waiting = number(optarg, 1, 500000, "waiting");
            break;
        case 'u':
            opt.store = optarg;
            break;
        case 'k':
            opt.smoke = true;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            exit(2);
        }
    }
    if (optind < argc)
        die("there is no argument '%s'", argv[optind]);
}

/* Is NAME in the list that was asked for? */
static bool asked_for(const char *name)
{
    size_t len = strlen(name);

    if (opt.only == NULL)
        return true;
    for (const char *at = opt.only; at != NULL; at = strchr(at, ',')) {
        at += *at == ',' ? 1 : 0;
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    }
    return false;
}

static bool wanted(const struct workload *w, unsigned lacking)
{
    return asked_for(w->name) && (w->needs & lacking) == 0;
}

/* Is the store one for several processes? */
static bool open_and_describe(void)
{
    struct subject subject;
    char url[PATH_MAX + 64];
    bool shared;

    workload_begin("store", "what it says of itself");
    subject_url(url, sizeof url, "kedge");
    subject_open(&subject, url, "default");
    shared = (subject.ops->caps & KEDGE_CAP_SHARED) != 0;
    subject_describe(&subject);
    subject_close(&subject);
    subject_drop();
    workload_end();
    return shared;
}

/* What of the needs of workloads is not there; opens the store, unless none of them wants it. */
static unsigned what_is_lacking(const struct bare_kind *kind)
{
    unsigned needs = 0;
    unsigned lacking = 0;

    if (kind == NULL)
        lacking |= BARE;
    if (kind == NULL || !kind->is_server)
        lacking |= SERVER;
    for (size_t i = 0; i < N_OF(workloads); i++)
        needs |= wanted(&workloads[i], lacking) ? workloads[i].needs : 0;
    if ((needs & STORE) != 0 && !open_and_describe())
        lacking |= SHARED;
    return lacking;
}

static void run_all(unsigned lacking)
{
    for (size_t i = 0; i < N_OF(workloads); i++)
        if (wanted(&workloads[i], lacking)) {
            workload_begin(workloads[i].name, workloads[i].title);
            workloads[i].run();
            subject_drop();
            workload_end();
        }
}

int main(int argc, char **argv)
{
    char dir[PATH_MAX];
    char what[256] = "";
    const struct bare_kind *kind;
    unsigned lacking;
    unsigned n = 0;

    parse(argc, argv);
    if (realpath(opt.dir, dir) == NULL)
        die("no directory '%s': %s", opt.dir, strerror(errno));
    opt.dir = dir;
    kind = bare_kind_of(opt.store);
    opt.passes_wanted = kind != NULL && kind->is_server ? 25 : 9;
    if (opt.passes == 0)
        opt.passes = opt.passes_wanted;
    if (kind != NULL)
        kind->describe(what, sizeof what);
    made_begin();
    bench_start(kind != NULL ? kind->name : NULL, what, outside_open(kind, true));
    lacking = what_is_lacking(kind);
    for (size_t i = 0; i < N_OF(workloads); i++)
        n += wanted(&workloads[i], lacking) ? 1 : 0;
    if (n == 0)
        die("there is no workload '%s' here", opt.only != NULL ? opt.only : "");
    run_all(lacking);
    outside_close();
    bench_end();
    return 0;
}
