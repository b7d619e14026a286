/* print.c - tables; see print.h */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "print.h"
#include "settings.h"

void print_head(const struct facts *tool, const struct facts *host)
{
    const char *governor = fact_of(host, "governor");

    printf("kedge %s (%s, %s, %s)\n", fact_of(tool, "version"), fact_of(tool, "compiler"),
           fact_of(tool, "flags"), fact_of(tool, "build"));
    printf("%s, %s x %s, %s, governor %s, load %s, seed %" PRIu64 "\n", fact_of(host, "kernel"),
           fact_of(host, "cpus"), fact_of(host, "cpu"), fact_of(host, "memory"),
           governor[0] != '\0' ? governor : "not told", fact_of(host, "load"), settings.seed);
    (void)fflush(stdout);
}

/* A fact that is about what there is in the store just now, not about how it is set up. */
static bool is_passing(const char *name)
{
    static const char *const passing[] = {
        "runs",  "runs_estimated", "due",        "record_rows", "leases",      "locks",
        "cells", "purge_left",     "bytes_used", "used_memory", "schema_name", "readers_max",
    };

    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (strcmp(name, passing[i]) == 0)
            return true;
    return false;
}

void print_store(const struct store_facts *store)
{
    const struct facts *all = &store->all;

    printf("%-10s %s, %s", store->label, fact_of(all, "server"), fact_of(all, "url"));
    if (fact_of(all, "filesystem")[0] != '\0')
        printf(" on %s", fact_of(all, "filesystem"));
    printf("\n%-10s an acknowledged step survives: %s", "", fact_of(all, "durability"));
    for (size_t i = 0; i < all->n; i++)
        if (strncmp(all->v[i].name, "backend.", 8) == 0 && !is_passing(all->v[i].name + 8) &&
            all->v[i].value[0] != '\0')
            printf("; %s %s", all->v[i].name + 8, all->v[i].value);
    printf("\n");
    (void)fflush(stdout);
}

static void put_time(double us)
{
    if (us < 100)
        printf(" %7.1fus", us);
    else if (us < 10000)
        printf(" %7.0fus", us);
    else
        printf(" %7.1fms", us / 1e3);
}

void print_group(const struct workload *w, unsigned clients, double rate)
{
    printf("\n%s, %zu bytes", w->name, opt.record);
    if ((w->flags & OF_RUNS) != 0)
        printf(", runs of %u steps %s", (unsigned)settings.steps,
               settings.pool ? "on the pool" : "on the loop");
    printf(", %u client%s, ", clients, clients > 1 ? "s" : "");
    if (rate > 0)
        printf("%g/s", rate);
    else
        printf("as fast as it goes");
    printf(" (%u x %gs after %gs)\n%-10s %27s", settings.repeat, settings.time_s, settings.warmup_s,
           "STORE", "per s, median [range]");
    for (size_t i = 0; i < settings.n_percentiles; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "p%g", settings.percentiles[i]);
        printf(" %9s", name);
    }
    printf(" %9s  %-15s %8s %8s  %s\n", "max", "CPU us cli/srv", "flushes", "bytes", "MiB cli/srv");
    (void)fflush(stdout);
}

static void put_known(double value, int digits, int width)
{
    char text[32] = "-";

    if (value >= 0)
        (void)snprintf(text, sizeof text, "%.*f", digits, value);
    printf("%*s", width, text);
}

static void put_percentiles(const struct samples *s)
{
    for (size_t i = 0; i < settings.n_percentiles; i++)
        put_time(samples_at(s, settings.percentiles[i] / 100));
    put_time(samples_at(s, 1));
}

static void put_rate(const char *name, const struct spread *rate)
{
    char range[48];

    (void)snprintf(range, sizeof range, "[%.0f .. %.0f]", rate->min, rate->max);
    printf("%-10s %9.0f %-17s", name, rate->median, range);
}

void print_result(const struct result *r)
{
    put_rate(r->store->label, &r->rate);
    put_percentiles(&r->latency);
    put_known(r->cpu_us, 1, 8);
    printf("/");
    put_known(r->server_us, 1, 1);
    printf("%*s", 3, "");
    put_known(r->flushes, 3, 9);
    put_known(r->bytes, 0, 9);
    put_known(r->peak_kib / 1024, 0, 7);
    printf("/");
    put_known(r->server_kib < 0 ? -1 : r->server_kib / 1024, 0, 1);
    printf("\n");
    if (r->wanted > 0) {
        printf("%-10s %s, from the intended start; from the call:", "",
               r->reached ? "reached" : "NOT REACHED");
        put_percentiles(&r->service);
        printf("; begun late by at most");
        put_time((double)r->lag_ns / 1e3);
        printf("\n");
    }
    if (has_ceiling(r)) {
        put_rate("  ceiling", &r->ceiling);
        put_time(r->ceiling_p50_us);
        printf("  ratio %.3f [%.3f .. %.3f]\n", r->ratio.median, r->ratio.min, r->ratio.max);
    }
    printf("verify: ");
    if (r->what != NULL)
        printf("%" PRIu64 " %s acknowledged, %" PRIu64 " readable, %" PRIu64 " lost, %" PRIu64
               " twice%s\n",
               r->written, r->what, r->readable, result_lost(r), result_twice(r),
               result_lost(r) + result_twice(r) > 0 ? "  FAILED" : "");
    else
        printf("no lock is left, none was held twice\n");
    (void)fflush(stdout);
}

void print_warnings(void)
{
    for (size_t i = 0; i < n_warnings; i++)
        printf("%sWARNING  %s\n", i == 0 ? "\n" : "", warnings[i]);
}
