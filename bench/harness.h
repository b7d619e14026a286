/*
 * harness.h - measure two ways of doing one thing against each other, on a machine that is not
 * quiet
 *
 * A workload has sides (kedge, bare LMDB, ...).  A pass gives every side the same time, cut into
 * slices that alternate, so that what else the machine does hits all sides alike; the order turns
 * round from pass to pass.  What counts is the ratio within a pass; shown are the median over the
 * passes, the quartiles, and the extremes.
 */
#ifndef KEDGE_BENCH_HARNESS_H
#define KEDGE_BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct options {
    unsigned passes;
    unsigned passes_wanted; /* for figures of this kind of store that can be quoted */
    unsigned slices;        /* per pass and side */
    double seconds;         /* per pass and side */
    const char *dir;
    const char *only; /* NULL: all workloads */
    const char *side; /* NULL: all sides */
    const char *tsv;
    const char *store;   /* URL; NULL: LMDB below `dir' */
    const char *backend; /* of it, and its options, as in struct kedge_store_options */
    const char *backend_options;
    uint64_t population; /* healthy runs in the large store of `expired' */
    uint64_t records;    /* journal length of `head' and `resume' */
    uint64_t parked;     /* runs that are not due, of `parked' */
    uint64_t waiting;    /* likewise, of `idle' */
    size_t record;       /* bytes of a record, or of the value of a step */
    double warmup;       /* seconds of each side before the first pass, which count for nothing */
    uint64_t seed;       /* 0: a new one each time */
    bool own;            /* nothing of the store is touched but namespaces made for this */
    bool quiet;          /* the caller reports */
    bool smoke;
};
extern struct options opt;

/* What counts outside of this process, on a server, while a side works. */
struct meter {
    int64_t (*cpu_ns)(void *ctx); /* negative: cannot be seen */
    int64_t (*log_bytes)(void *ctx);
    void *ctx;
};

/* ------------------------------------------------------------- what ends it */

/* Say why, remove the scratch directory, exit 1. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2), noreturn))
#endif
void die(const char *fmt, ...);
/* The same with another exit status. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3), noreturn))
#endif
void die_with(int status, const char *fmt, ...);
void die_if_stopped(void); /* by a signal */
/* Scratch directory, signals, machine.  WHAT is measured against, in a line; METER may be NULL. */
void bench_start(const char *kind, const char *what, const struct meter *meter);
void bench_end(void);
/* Parts of these two: a scratch directory below opt.dir, which belongs to the process that asks. */
void scratch_begin(void);
void scratch_end(void);
void remove_tree(const char *path);
/* Signals that end it are noted; see die_if_stopped(). */
void catch_signals(void);
void meter_set(const struct meter *outside); /* NULL: there is none */
/* A new directory for files of the workload under way. */
void scratch_dir(char *path, size_t size, const char *name);
void workload_begin(const char *name, const char *title);
void workload_end(void); /* removes its files */

/* -------------------------------------------------------------- small things */

int64_t now_ns(void);         /* monotonic */
void sleep_until(int64_t ns); /* of now_ns(); or a signal */
/* The value of the first line of FILE that begins with KEY; "unknown". */
void file_value(const char *file, const char *key, char *out, size_t size);
/* Type and device of DIR's file system. */
void filesystem_name(const char *dir, char *out, size_t size);
int64_t cpu_used_ns(void);               /* of this process, all threads */
double load_average(void);               /* over a minute; negative: not known */
void *must_alloc(size_t n, size_t size); /* zeroed */

struct rng {
    uint64_t state;
};
/* From opt.seed, another one with each call, or from chance. */
void rng_seed(struct rng *rng);
uint64_t rng_next(struct rng *rng);

/* Durations in ns, to three digits; longer ones than an hour count as that. */
struct samples {
    struct hdr_histogram *h; /* NULL: none yet */
};
void samples_add(struct samples *s, int64_t ns);
/* The same, N times. */
void samples_add_n(struct samples *s, int64_t ns, int64_t n);
/* The same by several threads at once; samples_clear() came before. */
void samples_add_shared(struct samples *s, int64_t ns);
void samples_join(struct samples *to, const struct samples *from);
void samples_clear(struct samples *s);
void samples_release(struct samples *s);
uint64_t samples_n(const struct samples *s);
/* Q in 0 .. 1; in us. */
double samples_at(const struct samples *s, double q);

struct series {
    double *v;
    size_t n;
    size_t room;
};
void series_add(struct series *s, double value);
struct spread {
    double min, q1, median, q3, max;
};
struct spread series_spread(const struct series *s);

/* --------------------------------------------------------------- sides, passes */

/* How long a side may go on: until then, or so many rounds (a call, a batch, a cycle). */
struct limit {
    int64_t until_ns;
    uint64_t rounds; /* 0: no bound */
};
/* ROUND rounds are done and it is NOW. */
bool limit_reached(const struct limit *limit, uint64_t rounds, int64_t now);

struct side;
/* Work until the limit; add to ops, and to `lat' what each call took.  A side that knows better
   than the harness how long it took, or whose CPU time was spent elsewhere, says so. */
typedef void side_fn(struct side *side, const struct limit *limit);

struct side {
    const char *name;
    side_fn *run;
    void *ctx;
    uint64_t ops; /* of this pass; likewise: */
    int64_t own_ns;
    int64_t own_cpu_ns;
    struct samples lat;
    struct samples late; /* at a fixed rate: from when a call was to begin */
    int64_t lag_ns;      /* the longest that one began later than that */
    /* What of this pass is to be kept, before it is forgotten; NULL: no more than follows. */
    void (*passed)(struct side *side, size_t pass, int64_t ns);
    /* over the passes */
    uint64_t total;
    struct series rate;
    struct series cpu_us; /* per operation; likewise: */
    struct series server_us;
    struct series log_bytes;
    struct series p50;
    struct samples all;
};

enum measure { RATE, P50 };

/* sides[over] / sides[under] by `what', which ought to be >= or <= `bound'.  Rates are followed by
   what each operation costs a server, if there is one. */
struct claim {
    unsigned over;
    unsigned under;
    enum measure what;
    bool at_most;
    double bound; /* 0: nothing is required */
};

void run_passes(struct side *sides, size_t n, unsigned slices);
/* So many rounds, which count for nothing. */
void run_rounds(struct side *side, uint64_t rounds);
/* UNIT is what an operation is called. */
void report_sides(const struct side *sides, size_t n, const char *unit);
void report_claims(const struct side *sides, const struct claim *claims, size_t n);
/* The median duration of SIDE, which ought to be below BOUND_US. */
void report_below(const struct side *side, double bound_us);
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
void report_note(const char *fmt, ...);
/* One more value for the table of figures. */
void report_value(const char *side, const char *what, size_t pass, double value);
void sides_release(struct side *sides, size_t n);

#endif
