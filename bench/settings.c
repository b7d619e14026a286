/* settings.c - the values of options; see settings.h */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <kedge/store.h>

#include "saga.h"
#include "settings.h"

#define CLIENTS_MOST 1024
#define THREADS_MOST 256
#define STEPS_MOST   100000
#define SEED_MOST    UINT64_C(1000000000)

struct settings settings = {
    .steps = 1000,
    .among = 100000,
    .warmup_s = 2,
    .time_s = 10,
    .repeat = 5,
    .fail_above = 5,
};

void refuse(const char *fmt, ...)
{
    va_list ap;

    (void)fflush(stdout);
    (void)fprintf(stderr, "kedge bench %s: ", settings.verb);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "; see kedge help bench %s\n", settings.verb);
    exit(STATUS_USAGE);
}

/* ------------------------------------------------------------------- values */

static uint64_t number(const char *name, const char *text, uint64_t min, uint64_t max)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || n < min || n > max)
        refuse("--%s takes a number from %" PRIu64 " to %" PRIu64 ", not '%.100s'", name, min, max,
               text);
    return n;
}

/* A number, and a unit of UNITS, of which the first is one. */
struct unit {
    const char *name;
    double value;
};

static bool with_unit(const char *text, const struct unit *units, double *value)
{
    char *end;
    double n = strtod(text, &end);

    if (end == text || !(*text >= '0' && *text <= '9') || !isfinite(n))
        return false;
    for (; units->name != NULL; units++)
        if (strcmp(end, units->name) == 0) {
            *value = n * units->value;
            return true;
        }
    return false;
}

static double span(const char *name, const char *text, double min)
{
    static const struct unit units[] = { { "us", 1e-6 }, { "ms", 1e-3 }, { "s", 1 },
                                         { "m", 60 },    { "h", 3600 },  { NULL, 0 } };
    double s = 0;

    if (strcmp(text, "0") != 0 && (!with_unit(text, units, &s) || s > 86400))
        s = -1;
    if (s < min)
        refuse("--%s takes a number and a unit (us, ms, s, m, h), like 30s,%s not '%.100s'", name,
               min > 0 ? " and at least 1ms," : "", text);
    return s;
}

static size_t size_of(const char *text)
{
    static const struct unit units[] = { { "", 1 },          { "B", 1 },    { "KiB", 1024 },
                                         { "K", 1024 },      { "k", 1000 }, { "kB", 1000 },
                                         { "MiB", 1 << 20 }, { NULL, 0 } };
    double n = 0;

    if (!with_unit(text, units, &n) || n < SAGA_VALUE_LEAST || n > SAGA_VALUE_MOST)
        refuse("--payload takes a size from %d bytes to %zu KiB, like 256 or 4KiB, not '%.100s'",
               SAGA_VALUE_LEAST, SAGA_VALUE_MOST >> 10, text);
    return (size_t)n;
}

static double rate(const char *text)
{
    char copy[64];
    char *end;
    double n;

    if (strcmp(text, "max") == 0)
        return 0;
    (void)snprintf(copy, sizeof copy, "%s", text);
    n = strtod(copy, &end);
    if (end == copy || (strcmp(end, "/s") != 0 && *end != '\0') || !(n >= 0.1 && n <= 1e9))
        refuse("--rate takes max, or a number a second like 5000/s, not '%.100s'", text);
    return n;
}

static double percentile(const char *text)
{
    char *end;
    double p = strtod(text, &end);

    if (end == text || *end != '\0' || !(p > 0 && p <= 100))
        refuse("--percentiles takes numbers up to 100, like 50,99,99.9, not '%.100s'", text);
    return p;
}

/* Calls EACH for the parts of a list. */
static size_t list_of(const char *name, const char *text, void (*each)(size_t i, const char *part))
{
    char copy[1024];
    char *at = copy;
    size_t n = 0;

    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        refuse("--%s is too long", name);
    for (char *part; (part = strsep(&at, ",")) != NULL; n++) {
        if (n == MOST_OF)
            refuse("--%s takes at most %d values", name, MOST_OF);
        each(n, part);
    }
    return n;
}

static void set_clients(size_t i, const char *part)
{
    settings.clients[i] = (unsigned)number("clients", part, 1, CLIENTS_MOST);
}

static void set_rate(size_t i, const char *part)
{
    settings.rates[i] = rate(part);
}

static void set_percentile(size_t i, const char *part)
{
    settings.percentiles[i] = percentile(part);
}

static double percent(const char *text)
{
    char *end;
    double p = strtod(text, &end);

    if (*end == '%')
        end++;
    if (end == text || *end != '\0' || !(p >= 0 && p <= 100))
        refuse("--fail-above takes a number of percent, from 0 to 100, not '%.100s'", text);
    return p;
}

/* ------------------------------------------------------------------ options */

/* A plain path is one of the default backend: said, so that its bare client is found. */
static const char *with_scheme(const char *url)
{
    const char *backend = kedge_backend_default();
    size_t room = strlen(backend) + strlen(url) + 2;
    char *whole;

    if (url[0] != '/' || strpbrk(url, "%?#") != NULL || opt.backend != NULL)
        return url;
    whole = must_alloc(1, room);
    (void)snprintf(whole, room, "%s:%s", backend, url);
    return whole;
}

static void add_store(const char *url)
{
    if (url[0] == '\0')
        refuse("--store takes the URL of a store, like lmdb:///var/tmp/b, and not nothing");
    settings.stores[settings.n_stores++] = with_scheme(url); /* the caller has counted them */
}

static void set(const char *name, const char *value)
{
    if (strcmp(name, "store") == 0)
        add_store(value);
    else if (strcmp(name, "backend") == 0)
        opt.backend = value;
    else if (strcmp(name, "backend-opt") == 0)
        opt.backend_options = value;
    else if (strcmp(name, "clients") == 0)
        settings.n_clients = list_of(name, value, set_clients);
    else if (strcmp(name, "rate") == 0)
        settings.n_rates = list_of(name, value, set_rate);
    else if (strcmp(name, "percentiles") == 0)
        settings.n_percentiles = list_of(name, value, set_percentile);
    else if (strcmp(name, "threads") == 0)
        settings.threads = (unsigned)number(name, value, 1, THREADS_MOST);
    else if (strcmp(name, "pool") == 0)
        settings.pool = true;
    else if (strcmp(name, "payload") == 0)
        opt.record = size_of(value);
    else if (strcmp(name, "steps") == 0)
        settings.steps = (uint32_t)number(name, value, 2, STEPS_MOST);
    else if (strcmp(name, "among") == 0)
        settings.among = number(name, value, 1, UINT32_MAX);
    else if (strcmp(name, "warmup") == 0)
        settings.warmup_s = span(name, value, 0);
    else if (strcmp(name, "time") == 0)
        settings.time_s = span(name, value, 0.001);
    else if (strcmp(name, "repeat") == 0)
        settings.repeat = (unsigned)number(name, value, 1, 10000);
    else if (strcmp(name, "seed") == 0)
        settings.seed = number(name, value, 1, SEED_MOST);
    else if (strcmp(name, "ceiling") == 0)
        settings.ceiling = true;
    else if (strcmp(name, "json") == 0)
        settings.json = value;
    else if (strcmp(name, "hdr") == 0)
        settings.hdr = value;
    else if (strcmp(name, "progress") == 0)
        settings.progress_s = value[0] != '\0' ? span(name, value, 0.001) : 1;
    else if (strcmp(name, "fail-above") == 0)
        settings.fail_above = percent(value);
    else
        refuse("there is no option '--%.100s'", name);
}

static void add_workload(const char *name)
{
    const struct workload *w = workload_named(name);

    if (w == NULL)
        refuse("there is no workload '%.100s' (kedge bench list)", name);
    if (settings.n_workloads == MOST_OF)
        refuse("at most %d workloads at a time", MOST_OF);
    settings.workloads[settings.n_workloads++] = w;
}

/* What was not said. */
static void set_the_rest(void)
{
    static const double percentiles[] = { 50, 90, 99, 99.9 };
    const char *store = getenv("KEDGE_STORE");

    if (settings.n_stores == 0 && store != NULL && store[0] != '\0')
        add_store(store);
    if (settings.n_stores == 0)
        refuse("no store given: name one with --store URL, or set KEDGE_STORE");
    if (settings.n_clients == 0)
        settings.clients[settings.n_clients++] = 1;
    if (settings.n_rates == 0)
        settings.n_rates = 1;
    if (settings.n_percentiles == 0) {
        settings.n_percentiles = sizeof percentiles / sizeof *percentiles;
        memcpy(settings.percentiles, percentiles, sizeof percentiles);
    }
    if (settings.seed == 0)
        settings.seed =
            ((uint64_t)time(NULL) * UINT64_C(1000003) ^ (uint64_t)getpid()) % SEED_MOST + 1;
}

static void check_together(void)
{
    for (size_t i = 0; i < settings.n_workloads; i++) {
        const struct workload *w = settings.workloads[i];

        for (size_t k = 0; k < settings.n_rates; k++)
            if (settings.rates[k] > 0 && (w->flags & AT_A_RATE) == 0)
                refuse(
                    "--rate %g/s does not apply to %s, which has no fixed rate: leave it out, or "
                    "measure %s apart",
                    settings.rates[k], w->name, w->name);
        for (size_t k = 0; k < settings.n_clients; k++)
            if (settings.threads > settings.clients[k] && !settings.pool)
                refuse("--threads %u is more than --clients %u: each thread is to have one",
                       settings.threads, settings.clients[k]);
    }
}

void settings_read(int argc, char **argv)
{
    int i = 2;

    settings.verb = argc > 1 ? argv[1] : "run";
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        char name[32];
        const char *equals = strchr(argv[i], '=');
        const char *value = equals != NULL ? equals + 1 : "";
        size_t len = equals != NULL ? (size_t)(equals - argv[i]) - 2 : strlen(argv[i]) - 2;

        if (len == 0) {
            i++;
            break;
        }
        if (settings.n_stores == MOST_STORES)
            refuse("--store is given too often");
        (void)snprintf(name, sizeof name, "%.*s", (int)len, argv[i] + 2);
        set(name, value);
    }
    settings.words = argv + i;
    settings.n_words = (size_t)(argc - i);
    if (strcmp(settings.verb, "run") != 0)
        return;
    for (size_t k = 0; k < settings.n_words; k++)
        add_workload(settings.words[k]);
    if (settings.n_workloads == 0)
        refuse("no workload given (kedge bench list)");
    set_the_rest();
    check_together();
}
