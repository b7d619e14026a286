/* harness.c - passes, statistics, report */
#include <config.h>

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "hdr/hdr_histogram.h"
#include "made.h"

struct options opt = {
    .slices = 10,
    .seconds = 1.0,
    .dir = ".",
    .population = 1000000,
    .records = 100000,
    .parked = 100000,
    .waiting = 10000,
    .record = 256,
};

static char scratch[4096]; /* "": none */
static pid_t scratch_owner;
static volatile sig_atomic_t stopped;
static FILE *tsv;
static const char *workload;
static unsigned tests_done;
static struct meter meter; /* no members: there is none */

/* What the machine did since the workload began. */
static double began_busy_s;
static double began_own_s;
static int64_t began_ns;

/* ------------------------------------------------------------- what ends it */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void remove_tree(const char *path)
{
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        (void)fprintf(stderr, "cannot remove '%s': %s\n", path, strerror(errno));
}

static void remove_scratch(void)
{
    if (scratch[0] != '\0' && getpid() == scratch_owner)
        remove_tree(scratch);
    scratch[0] = '\0';
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 0), noreturn))
#endif
static void
end_with(int status, const char *fmt, va_list ap)
{
    char text[1024];

    (void)vsnprintf(text, sizeof text, fmt, ap);
    if (opt.smoke && workload != NULL && getpid() == scratch_owner)
        printf("not ok %u - %s: %s\n", tests_done + 1, workload, text);
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s%s%s%s\n", opt.own ? "kedge bench: " : "",
                  workload != NULL ? workload : "", workload != NULL ? ": " : "", text);
    remove_scratch();
    _exit(status);
}

void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    end_with(1, fmt, ap);
}

void die_with(int status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    end_with(status, fmt, ap);
}

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

void die_if_stopped(void)
{
    if (stopped)
        die_with(130, "interrupted");
}

void scratch_dir(char *path, size_t size, const char *name)
{
    int n = snprintf(path, size, "%s/%s", scratch, name);

    if (n < 0 || (size_t)n >= size)
        die("the name of a directory below '%s' is too long", scratch);
    if (mkdir(path, 0700) != 0)
        die("cannot make directory '%s': %s", path, strerror(errno));
}

/* -------------------------------------------------------------- small things */

int64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void sleep_until(int64_t ns)
{
    struct timespec ts = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static int64_t usage_ns(int who)
{
    struct rusage ru;

    if (getrusage(who, &ru) != 0)
        return 0;
    return ((int64_t)ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000000 +
           ((int64_t)ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000;
}

int64_t cpu_used_ns(void)
{
    return usage_ns(RUSAGE_SELF);
}

double load_average(void)
{
    double load[1];

    return getloadavg(load, 1) == 1 ? load[0] : -1;
}

/* Seconds that all processors together have been busy: user, nice, system. */
static double machine_busy_s(void)
{
    char line[256] = "";
    char *at = line + 3; /* behind "cpu" */
    unsigned long long ticks = 0;
    FILE *f = fopen("/proc/stat", "re");

    if (f == NULL)
        return 0;
    if (fgets(line, sizeof line, f) != NULL && strncmp(line, "cpu ", 4) == 0)
        for (int i = 0; i < 3; i++)
            ticks += strtoull(at, &at, 10);
    (void)fclose(f);
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static double own_s(void)
{
    return (double)(usage_ns(RUSAGE_SELF) + usage_ns(RUSAGE_CHILDREN)) / 1e9;
}

void *must_alloc(size_t n, size_t size)
{
    void *p = calloc(n > 0 ? n : 1, size);

    if (p == NULL)
        die("out of memory");
    return p;
}

static void *must_grow(void *p, size_t n, size_t size)
{
    p = reallocarray(p, n, size);
    if (p == NULL)
        die("out of memory");
    return p;
}

void rng_seed(struct rng *rng)
{
    static _Atomic uint64_t calls;

    if (opt.seed != 0) {
        rng->state = opt.seed + ++calls * UINT64_C(0xd1b54a32d192ed03);
        return;
    }
    if (getrandom(&rng->state, sizeof rng->state, 0) != (ssize_t)sizeof rng->state)
        die("no random numbers: %s", strerror(errno));
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t z = (rng->state += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#define LONGEST_NS INT64_C(3600000000000)

static int64_t clipped(int64_t ns)
{
    return ns < 1 ? 1 : ns > LONGEST_NS ? LONGEST_NS : ns;
}

static struct hdr_histogram *histogram(struct samples *s)
{
    if (s->h == NULL && hdr_init(1, LONGEST_NS, 3, &s->h) != 0)
        die("out of memory");
    return s->h;
}

void samples_add_n(struct samples *s, int64_t ns, int64_t n)
{
    (void)hdr_record_values(histogram(s), clipped(ns), n);
}

void samples_add(struct samples *s, int64_t ns)
{
    samples_add_n(s, ns, 1);
}

void samples_add_shared(struct samples *s, int64_t ns)
{
    (void)hdr_record_value_atomic(s->h, clipped(ns));
}

void samples_join(struct samples *to, const struct samples *from)
{
    if (from->h != NULL)
        (void)hdr_add(histogram(to), from->h);
}

void samples_clear(struct samples *s)
{
    hdr_reset(histogram(s));
}

void samples_release(struct samples *s)
{
    if (s->h != NULL)
        hdr_close(s->h);
    s->h = NULL;
}

uint64_t samples_n(const struct samples *s)
{
    return s->h != NULL ? (uint64_t)s->h->total_count : 0;
}

double samples_at(const struct samples *s, double q)
{
    if (samples_n(s) == 0)
        return 0;
    return (double)(q > 0 ? hdr_value_at_percentile(s->h, 100 * q) : hdr_min(s->h)) / 1e3;
}

static int double_cmp(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

void series_add(struct series *s, double value)
{
    if (s->n == s->room) {
        s->room = s->room > 0 ? 2 * s->room : 16;
        s->v = must_grow(s->v, s->room, sizeof *s->v);
    }
    s->v[s->n++] = value;
}

/* Between two values of a sorted list, as far as Q says. */
static double quantile(const double *v, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;

    return i + 1 < n ? v[i] + (at - (double)i) * (v[i + 1] - v[i]) : v[n - 1];
}

struct spread series_spread(const struct series *s)
{
    struct spread out = { 0 };
    double *v;

    if (s->n == 0)
        return out;
    v = must_alloc(s->n, sizeof *v);
    memcpy(v, s->v, s->n * sizeof *v);
    qsort(v, s->n, sizeof *v, double_cmp);
    out.min = v[0];
    out.q1 = quantile(v, s->n, 0.25);
    out.median = quantile(v, s->n, 0.5);
    out.q3 = quantile(v, s->n, 0.75);
    out.max = v[s->n - 1];
    free(v);
    return out;
}

/* --------------------------------------------------------------- sides, passes */

bool limit_reached(const struct limit *limit, uint64_t rounds, int64_t now)
{
    return stopped || now >= limit->until_ns || (limit->rounds > 0 && rounds >= limit->rounds);
}

#define WHATEVER_NS INT64_C(60000000000) /* rounds end it before */

/* What one side has used in a pass. */
struct usage {
    int64_t ns;
    int64_t cpu_ns;
    int64_t server_ns;
    int64_t log_bytes;
};

static void meter_begin(struct usage *u)
{
    if (meter.log_bytes != NULL)
        u->log_bytes -= meter.log_bytes(meter.ctx);
    if (meter.cpu_ns != NULL)
        u->server_ns -= meter.cpu_ns(meter.ctx);
}

/* The other way round: reading the log's length costs the server time. */
static void meter_end(struct usage *u)
{
    if (meter.cpu_ns != NULL)
        u->server_ns += meter.cpu_ns(meter.ctx);
    if (meter.log_bytes != NULL)
        u->log_bytes += meter.log_bytes(meter.ctx);
}

static void run_slice(struct side *side, int64_t slice_ns, uint64_t rounds, struct usage *u)
{
    struct limit limit = { .rounds = rounds };
    int64_t cpu_began;
    int64_t began;

    side->own_ns = 0;
    side->own_cpu_ns = 0;
    meter_begin(u);
    cpu_began = cpu_used_ns();
    began = now_ns();
    limit.until_ns = began + slice_ns;
    side->run(side, &limit);
    u->ns += side->own_ns > 0 ? side->own_ns : now_ns() - began;
    u->cpu_ns += cpu_used_ns() - cpu_began + side->own_cpu_ns;
    meter_end(u);
    die_if_stopped();
}

/* One line: workload, side, measure, pass, value. */
static void tsv_line(const char *side, const char *what, size_t pass, double value)
{
    if (tsv != NULL)
        (void)fprintf(tsv, "%s\t%s\t%s\t%zu\t%.6g\n", workload, side, what, pass, value);
}

void report_value(const char *side, const char *what, size_t pass, double value)
{
    tsv_line(side, what, pass, value);
}

static void forget_pass(struct side *side)
{
    side->ops = 0;
    side->lag_ns = 0;
    samples_clear(&side->lat);
    samples_clear(&side->late);
}

static void end_pass(struct side *side, size_t pass, const struct usage *u)
{
    double ops = side->ops > 0 ? (double)side->ops : 1;

    series_add(&side->rate, u->ns > 0 ? (double)side->ops / ((double)u->ns / 1e9) : 0);
    series_add(&side->cpu_us, (double)u->cpu_ns / 1e3 / ops);
    series_add(&side->server_us, (double)u->server_ns / 1e3 / ops);
    series_add(&side->log_bytes, (double)u->log_bytes / ops);
    samples_join(&side->all, &side->lat);
    series_add(&side->p50, samples_at(&side->lat, 0.5));
    tsv_line(side->name, "rate", pass, side->rate.v[pass]);
    tsv_line(side->name, "cpu_us", pass, side->cpu_us.v[pass]);
    if (meter.cpu_ns != NULL)
        tsv_line(side->name, "server_us", pass, side->server_us.v[pass]);
    if (meter.log_bytes != NULL)
        tsv_line(side->name, "log_bytes", pass, side->log_bytes.v[pass]);
    if (samples_n(&side->lat) > 0) {
        tsv_line(side->name, "p50_us", pass, side->p50.v[pass]);
        tsv_line(side->name, "p99_us", pass, samples_at(&side->lat, 0.99));
        tsv_line(side->name, "max_us", pass, samples_at(&side->lat, 1));
    }
    side->total += side->ops;
    if (side->passed != NULL)
        side->passed(side, pass, u->ns);
    forget_pass(side);
}

/* What does not count: a cold cache, a plan that is made, a file that grows. */
static void warm_up(struct side *sides, size_t n)
{
    for (size_t i = 0; i < n && opt.warmup > 0; i++) {
        struct usage none = { 0 };

        run_slice(&sides[i], (int64_t)(opt.warmup * 1e9), 0, &none);
        forget_pass(&sides[i]);
    }
}

void run_rounds(struct side *side, uint64_t rounds)
{
    struct usage none = { 0 };

    run_slice(side, WHATEVER_NS, rounds, &none);
}

void run_passes(struct side *sides, size_t n, unsigned slices)
{
    unsigned passes = opt.smoke ? 1 : opt.passes;
    int64_t slice_ns;
    struct usage *used = must_alloc(n, sizeof *used);

    if (opt.smoke || slices == 0)
        slices = 1;
    slice_ns = opt.smoke ? WHATEVER_NS : (int64_t)(opt.seconds * 1e9 / slices);
    for (size_t i = 0; i < n; i++)
        forget_pass(&sides[i]);
    warm_up(sides, n);
    for (unsigned pass = 0; pass < passes; pass++) {
        memset(used, 0, n * sizeof *used);
        for (unsigned slice = 0; slice < slices; slice++)
            for (size_t i = 0; i < n; i++) {
                size_t k = pass % 2 == 0 ? i : n - 1 - i;

                if (opt.side != NULL && strstr(sides[k].name, opt.side) == NULL)
                    continue;
                run_slice(&sides[k], slice_ns, opt.smoke ? 3 : 0, &used[k]);
            }
        for (size_t i = 0; i < n; i++)
            end_pass(&sides[i], pass, &used[i]);
    }
    free(used);
}

void sides_release(struct side *sides, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        samples_release(&sides[i].lat);
        samples_release(&sides[i].late);
        samples_release(&sides[i].all);
        free(sides[i].rate.v);
        free(sides[i].cpu_us.v);
        free(sides[i].server_us.v);
        free(sides[i].log_bytes.v);
        free(sides[i].p50.v);
    }
}

/* ------------------------------------------------------------------- report */

void report_note(const char *fmt, ...)
{
    va_list ap;

    if (opt.smoke || opt.quiet)
        return;
    va_start(ap, fmt);
    printf("  ");
    (void)vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    (void)fflush(stdout);
}

static bool metered(void)
{
    return meter.cpu_ns != NULL;
}

void report_sides(const struct side *sides, size_t n, const char *unit)
{
    if (opt.smoke)
        return;
    printf("  %-26s %9s  %-19s %-19s %8s %8s %8s %7s%s\n", "", "median", "quartiles", "extremes",
           "p50 us", "p99 us", "max us", "CPU us", metered() ? "  server us   log B" : "");
    for (size_t i = 0; i < n; i++) {
        struct spread r = series_spread(&sides[i].rate);
        char quartiles[64];
        char extremes[64];

        (void)snprintf(quartiles, sizeof quartiles, "%.0f .. %.0f", r.q1, r.q3);
        (void)snprintf(extremes, sizeof extremes, "%.0f .. %.0f", r.min, r.max);
        printf("  %-26s %9.0f  %-19s %-19s %8.1f %8.1f %8.0f %7.2f", sides[i].name, r.median,
               quartiles, extremes, samples_at(&sides[i].all, 0.5), samples_at(&sides[i].all, 0.99),
               samples_at(&sides[i].all, 1), series_spread(&sides[i].cpu_us).median);
        if (metered())
            printf("  %9.2f  %6.0f", series_spread(&sides[i].server_us).median,
                   series_spread(&sides[i].log_bytes).median);
        printf("\n");
    }
    printf("  (%s per second; how long a call took; processor time per operation%s)\n", unit,
           metered() ? "; the server's, and bytes of its log, per operation" : "");
    (void)fflush(stdout);
}

/* The ratio of two series pass by pass; its values go into the table of figures. */
static struct spread ratio_of(const struct series *a, const struct series *b, const char *name,
                              const char *what)
{
    struct series ratio = { 0 };
    struct spread s;

    for (size_t i = 0; i < a->n; i++) {
        series_add(&ratio, b->v[i] > 0 ? a->v[i] / b->v[i] : 0);
        tsv_line(name, what, i, ratio.v[i]);
    }
    s = series_spread(&ratio);
    free(ratio.v);
    return s;
}

static void report_cost(const struct side *over, const struct side *under, const char *name)
{
    struct spread cpu = ratio_of(&over->cpu_us, &under->cpu_us, name, "cpu_ratio");
    struct spread server = ratio_of(&over->server_us, &under->server_us, name, "server_ratio");
    struct spread log = ratio_of(&over->log_bytes, &under->log_bytes, name, "log_ratio");

    report_note("   %-40s server CPU x %.2f [%.2f .. %.2f], log x %.2f, our CPU x %.2f [%.2f .. "
                "%.2f]",
                "", server.median, server.q1, server.q3, log.median, cpu.median, cpu.q1, cpu.q3);
}

void report_claims(const struct side *sides, const struct claim *claims, size_t n)
{
    for (size_t c = 0; c < n; c++) {
        const struct side *over = &sides[claims[c].over];
        const struct side *under = &sides[claims[c].under];
        const struct series *a = claims[c].what == RATE ? &over->rate : &over->p50;
        const struct series *b = claims[c].what == RATE ? &under->rate : &under->p50;
        struct spread s;
        char name[96];
        char verdict[64] = "";

        (void)snprintf(name, sizeof name, "%s / %s", over->name, under->name);
        s = ratio_of(a, b, name, claims[c].what == RATE ? "rate_ratio" : "p50_ratio");
        if (opt.smoke)
            continue;
        if (claims[c].bound > 0)
            (void)snprintf(verdict, sizeof verdict, "   required %s %.2g: %s",
                           claims[c].at_most ? "<=" : ">=", claims[c].bound,
                           (claims[c].at_most ? s.median <= claims[c].bound
                                              : s.median >= claims[c].bound)
                               ? "met"
                               : "MISSED");
        printf("  => %-40s %s %.3f [%.3f .. %.3f] (%.3f .. %.3f)%s\n", name,
               claims[c].what == RATE ? "rate" : "p50", s.median, s.q1, s.q3, s.min, s.max,
               verdict);
        if (metered() && claims[c].what == RATE)
            report_cost(over, under, name);
    }
    (void)fflush(stdout);
}

void report_below(const struct side *side, double bound_us)
{
    double p50 = samples_at(&side->all, 0.5);

    report_note("=> %s: median %.1f us, p99 %.1f us, max %.0f us   required < %.0f us: %s",
                side->name, p50, samples_at(&side->all, 0.99), samples_at(&side->all, 1), bound_us,
                p50 < bound_us ? "met" : "MISSED");
}

void workload_begin(const char *name, const char *title)
{
    workload = name;
    began_busy_s = machine_busy_s();
    began_own_s = own_s();
    began_ns = now_ns();
    if (!opt.smoke && !opt.quiet)
        printf("\n%s: %s\n", name, title);
    (void)fflush(stdout);
}

void workload_end(void)
{
    double wall = (double)(now_ns() - began_ns) / 1e9;
    double others = machine_busy_s() - began_busy_s - (own_s() - began_own_s);
    char path[sizeof scratch];

    if (others < 0) /* the two clocks tick differently */
        others = 0;
    report_note("%.0f s; meanwhile other programs kept %.2f of %ld processors busy, load average "
                "%.2f",
                wall, others / wall, sysconf(_SC_NPROCESSORS_ONLN), load_average());
    if (tsv != NULL) {
        tsv_line("-", "others_busy", 0, others / wall);
        (void)fflush(tsv);
    }
    tests_done++;
    if (opt.smoke)
        printf("ok %u - %s\n", tests_done, workload);
    (void)fflush(stdout);
    workload = NULL;
    memcpy(path, scratch, sizeof path);
    remove_tree(path);
    if (mkdir(path, 0700) != 0)
        die("cannot make directory '%s': %s", path, strerror(errno));
}

/* ------------------------------------------------------------------ machine */

void file_value(const char *file, const char *key, char *out, size_t size)
{
    char line[512];
    FILE *f = fopen(file, "re");

    (void)snprintf(out, size, "unknown");
    if (f == NULL)
        return;
    while (fgets(line, sizeof line, f) != NULL) {
        char *value = strchr(line, ':');

        if (strncmp(line, key, strlen(key)) != 0 || value == NULL)
            continue;
        value += strspn(value, ": \t");
        value[strcspn(value, "\n")] = '\0';
        (void)snprintf(out, size, "%s", value);
        break;
    }
    (void)fclose(f);
}

/* By its device number, from /proc/self/mountinfo. */
void filesystem_name(const char *dir, char *out, size_t size)
{
    char line[1024];
    char want[64];
    struct stat st;
    FILE *f = fopen("/proc/self/mountinfo", "re");

    (void)snprintf(out, size, "unknown");
    if (f == NULL)
        return;
    if (stat(dir, &st) == 0) {
        (void)snprintf(want, sizeof want, " %u:%u ", (unsigned)(st.st_dev >> 8 & 0xfff),
                       (unsigned)(st.st_dev & 0xff));
        while (fgets(line, sizeof line, f) != NULL) {
            char *type = strstr(line, " - ");

            if (strstr(line, want) == NULL || type == NULL)
                continue;
            type[strcspn(type, "\n")] = '\0';
            (void)snprintf(out, size, "%s", type + 3);
            break;
        }
    }
    (void)fclose(f);
}

static void print_machine(const char *kind, const char *what)
{
    struct utsname u = { 0 };
    char cpu[256];
    char memory[64];
    char fs[512];

    (void)uname(&u);
    file_value("/proc/cpuinfo", "model name", cpu, sizeof cpu);
    file_value("/proc/meminfo", "MemTotal", memory, sizeof memory);
    filesystem_name(scratch, fs, sizeof fs);
    printf("machine      %ld x %s, %s\n", sysconf(_SC_NPROCESSORS_ONLN), cpu, memory);
    printf("kernel       %s %s %s\n", u.sysname, u.release, u.machine);
    printf("file system  %s\n", fs);
    if (kind != NULL)
        printf("%-12s %s\n", kind, what);
#if defined(__VERSION__)
    printf("compiler     %s\n", __VERSION__);
#endif
    printf(
        "method       %u passes of %.3g s per side, in alternating slices (up to %u); the order\n"
        "             turns round every other pass; median, [quartiles] and (extremes) of the\n"
        "             passes; ratios are taken within a pass\n",
        opt.passes, opt.seconds, opt.slices);
    printf("load         %.2f at the start\n", load_average());
#if defined(__GNUC__) && !defined(__OPTIMIZE__)
    printf("WARNING      compiled without optimisation\n");
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    printf("WARNING      compiled with a sanitizer\n");
#endif
    if (opt.passes < opt.passes_wanted || opt.seconds < 1)
        printf("WARNING      fewer than %u passes, or shorter than 1 s: not for quoting\n",
               opt.passes_wanted);
}

void scratch_begin(void)
{
    int n = snprintf(scratch, sizeof scratch, "%s/bench-XXXXXX", opt.dir);

    if (n < 0 || (size_t)n >= sizeof scratch)
        die("'%s' is too long a name", opt.dir);
    scratch_owner = getpid();
    if (mkdtemp(scratch) == NULL) {
        scratch[0] = '\0';
        die("cannot make a directory in '%s': %s", opt.dir, strerror(errno));
    }
    made_files(scratch);
}

void scratch_end(void)
{
    made_closed(scratch);
    remove_scratch();
}

void catch_signals(void)
{
    struct sigaction sa = { .sa_handler = on_signal };

    (void)sigaction(SIGINT, &sa, NULL);
    (void)sigaction(SIGTERM, &sa, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

void meter_set(const struct meter *outside)
{
    meter = outside != NULL ? *outside : (struct meter){ 0 };
}

void bench_start(const char *kind, const char *what, const struct meter *outside)
{
    scratch_begin();
    meter_set(outside);
    catch_signals();
    if (opt.tsv != NULL) {
        tsv = fopen(opt.tsv, "we");
        if (tsv == NULL)
            die("cannot write '%s': %s", opt.tsv, strerror(errno));
        (void)fprintf(tsv, "workload\tside\tmeasure\tpass\tvalue\n");
    }
    if (!opt.smoke)
        print_machine(kind, what);
}

void bench_end(void)
{
    remove_scratch();
    if (tsv != NULL && fclose(tsv) != 0)
        die("cannot write '%s': %s", opt.tsv, strerror(errno));
    tsv = NULL;
    if (opt.smoke)
        printf("1..%u\n", tests_done);
    else
        printf("\nload average %.2f at the end\n", load_average());
}
