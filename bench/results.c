/* results.c - results in JSON, schema kedge-bench/1, and histograms as logs; see print.h */
#include <config.h>

#include <cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hdr_log.h"
#include "print.h"
#include "settings.h"

static void put_text(cJSON *to, const char *name, const char *text)
{
    if (cJSON_AddStringToObject(to, name, text) == NULL)
        die("out of memory");
}

static void put_number(cJSON *to, const char *name, double value)
{
    if (cJSON_AddNumberToObject(to, name, value) == NULL)
        die("out of memory");
}

/* What is not known is left out. */
static void put_known(cJSON *to, const char *name, double value)
{
    if (value >= 0)
        put_number(to, name, value);
}

static cJSON *put_object(cJSON *to, const char *name)
{
    cJSON *o = cJSON_CreateObject();

    if (o == NULL ||
        !(name != NULL ? cJSON_AddItemToObject(to, name, o) : cJSON_AddItemToArray(to, o)))
        die("out of memory");
    return o;
}

static cJSON *put_array(cJSON *to, const char *name)
{
    cJSON *a = cJSON_AddArrayToObject(to, name);

    if (a == NULL)
        die("out of memory");
    return a;
}

static void put_facts(cJSON *to, const char *name, const struct facts *facts)
{
    cJSON *o = put_object(to, name);

    for (size_t i = 0; i < facts->n; i++)
        put_text(o, facts->v[i].name, facts->v[i].value);
}

static void put_percentiles(cJSON *to, const char *name, const struct samples *s)
{
    cJSON *o = put_object(to, name);

    for (size_t i = 0; i < settings.n_percentiles; i++) {
        char key[32];

        (void)snprintf(key, sizeof key, "%g", settings.percentiles[i]);
        put_number(o, key, samples_at(s, settings.percentiles[i] / 100));
    }
    put_number(o, "max", samples_at(s, 1));
}

static void put_repeat(cJSON *to, const struct repeat *r)
{
    cJSON *o = put_object(to, NULL);

    put_number(o, "ops", (double)r->ops);
    put_number(o, "elapsed_ns", (double)r->ns);
    put_number(o, "steps_per_s", r->rate);
    put_known(o, "ceiling_steps_per_s", r->ceiling);
    if (r->ceiling > 0)
        put_number(o, "ratio", r->rate / r->ceiling);
    put_number(o, "p50_us", r->p50_us);
    put_number(o, "p99_us", r->p99_us);
    put_text(o, "histogram", r->histogram);
    if (r->service != NULL)
        put_text(o, "service_histogram", r->service);
}

static void put_rate(cJSON *to, double rate)
{
    if (rate > 0)
        put_number(to, "rate", rate);
    else
        put_text(to, "rate", "max");
}

static void put_spread(cJSON *to, const char *name, const struct spread *s)
{
    char key[48];

    put_number(to, name, s->median);
    (void)snprintf(key, sizeof key, "%s_min", name);
    put_number(to, key, s->min);
    (void)snprintf(key, sizeof key, "%s_max", name);
    put_number(to, key, s->max);
}

static void put_verdict(cJSON *to, const struct result *r)
{
    cJSON *o = put_object(to, "verify");

    put_text(o, "what", r->what != NULL ? r->what : "locks");
    put_number(o, "acknowledged", (double)r->written);
    put_number(o, "readable", (double)r->readable);
    put_number(o, "lost", (double)result_lost(r));
    put_number(o, "twice", (double)result_twice(r));
}

static void put_result(cJSON *to, const struct result *r)
{
    cJSON *o = put_object(to, NULL);
    cJSON *repeats;

    put_text(o, "store", r->store->label);
    put_text(o, "workload", r->workload->name);
    put_text(o, "unit", r->workload->unit);
    put_number(o, "clients", r->clients);
    put_rate(o, r->wanted);
    put_number(o, "payload", (double)opt.record);
    put_number(o, "steps", settings.steps);
    put_spread(o, "steps_per_s", &r->rate);
    put_number(o, "p50_us", samples_at(&r->latency, 0.5));
    put_number(o, "p99_us", samples_at(&r->latency, 0.99));
    put_percentiles(o, "percentiles_us", &r->latency);
    if (r->wanted > 0) {
        put_percentiles(o, "service_percentiles_us", &r->service);
        put_number(o, "lag_max_us", (double)r->lag_ns / 1e3);
        if (cJSON_AddBoolToObject(o, "reached", r->reached) == NULL)
            die("out of memory");
    }
    if (has_ceiling(r)) {
        put_spread(o, "ceiling_steps_per_s", &r->ceiling);
        put_spread(o, "ratio", &r->ratio);
    }
    put_known(o, "cpu_us_per_step", r->cpu_us);
    put_known(o, "server_cpu_us_per_step", r->server_us);
    put_known(o, "flushes_per_step", r->flushes);
    put_known(o, "bytes_per_step", r->bytes);
    put_known(o, "peak_kib", r->peak_kib);
    put_known(o, "server_kib", r->server_kib);
    put_verdict(o, r);
    repeats = put_array(o, "repeats");
    for (size_t i = 0; i < r->n; i++)
        put_repeat(repeats, &r->repeats[i]);
}

static void put_params(cJSON *to)
{
    cJSON *o = put_object(to, "params");

    put_number(o, "time_s", settings.time_s);
    put_number(o, "warmup_s", settings.warmup_s);
    put_number(o, "repeat", settings.repeat);
    put_number(o, "seed", (double)settings.seed);
    put_number(o, "threads", settings.threads > 0 ? settings.threads : settings.pool ? 16 : 1);
    put_text(o, "steps_run_on", settings.pool ? "pool" : "loop");
    put_number(o, "among", (double)settings.among);
}

static cJSON *whole(const struct report *report)
{
    cJSON *all = cJSON_CreateObject();
    cJSON *a;

    if (all == NULL)
        die("out of memory");
    put_text(all, "schema", "kedge-bench/1");
    put_facts(all, "tool", &report->tool);
    put_facts(all, "host", &report->host);
    put_params(all);
    a = put_array(all, "stores");
    for (size_t i = 0; i < report->n_stores; i++) {
        cJSON *o = put_object(a, NULL);

        put_text(o, "store", report->stores[i].label);
        put_text(o, "durability", fact_of(&report->stores[i].all, "durability"));
        put_facts(o, "facts", &report->stores[i].all);
    }
    a = put_array(all, "results");
    for (size_t i = 0; i < report->n_results; i++)
        put_result(a, &report->results[i]);
    a = put_array(all, "warnings");
    for (size_t i = 0; i < n_warnings; i++)
        if (!cJSON_AddItemToArray(a, cJSON_CreateString(warnings[i])))
            die("out of memory");
    return all;
}

void results_write(const struct report *report, const char *path)
{
    cJSON *all = whole(report);
    char *text = cJSON_Print(all);
    FILE *f = fopen(path, "we");
    bool good = f != NULL && text != NULL && fputs(text, f) != EOF && fputc('\n', f) != EOF;

    good = (f == NULL || fclose(f) == 0) && good;
    if (!good)
        die("cannot write '%s': %s", path, strerror(errno));
    cJSON_free(text);
    cJSON_Delete(all);
}

/* ----------------------------------------------------------------------- logs */

static void put_log(FILE *f, const char *tag, double start, double max_us, const char *text)
{
    if (text != NULL && text[0] != '\0')
        hdr_log_line(f, tag, start, settings.time_s, max_us, text);
}

static void write_log(const struct result *r, const char *dir)
{
    char path[4096];
    char rate[32] = "";
    FILE *f;

    if (r->wanted > 0)
        (void)snprintf(rate, sizeof rate, "-%g", r->wanted);
    (void)snprintf(path, sizeof path, "%s/%s-%s-%u%s.hlog", dir, r->workload->name, r->store->label,
                   r->clients, rate);
    f = fopen(path, "we");
    if (f == NULL)
        die("cannot write '%s': %s", path, strerror(errno));
    hdr_log_head(f, path + strlen(dir) + 1);
    for (size_t i = 0; i < r->n; i++) {
        double start = (double)i * settings.time_s;

        put_log(f, r->wanted > 0 ? "intended" : "call", start, r->repeats[i].max_us,
                r->repeats[i].histogram);
        put_log(f, "service", start, r->repeats[i].service_max_us, r->repeats[i].service);
    }
    if (fclose(f) != 0)
        die("cannot write '%s': %s", path, strerror(errno));
}

void logs_write(const struct report *report, const char *dir)
{
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        die("cannot make directory '%s': %s", dir, strerror(errno));
    for (size_t i = 0; i < report->n_results; i++)
        write_log(&report->results[i], dir);
}
