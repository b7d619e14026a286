/*
 * compare.c - rates of two files, by their repeats
 *
 * Rates differ by factors, so means and the interval are those of logarithms: Welch's, which lets
 * the two vary differently.  At a fixed rate it is the 99th percentile that is compared, as there
 * the rate is what was asked for; there less is better.
 */
#include <config.h>

#include <cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "harness.h"
#include "settings.h"

#define SCHEMA "kedge-bench/1"

/* --------------------------------------------------------------------- files */

static char *text_of(const char *path)
{
    FILE *f = fopen(path, "re");
    size_t room = 1 << 16;
    size_t len = 0;
    char *text = must_alloc(1, room);

    if (f == NULL)
        die_with(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_FAILURE, "cannot read '%s': %s", path,
                 strerror(errno));
    for (size_t n; (n = fread(text + len, 1, room - len - 1, f)) > 0;) {
        len += n;
        if (room - len == 1) {
            text = realloc(text, room *= 2);
            if (text == NULL)
                die("out of memory");
        }
    }
    if (ferror(f) != 0)
        die("cannot read '%s': %s", path, strerror(errno));
    (void)fclose(f);
    text[len] = '\0';
    return text;
}

static const cJSON *results_of(const cJSON *all)
{
    return cJSON_GetObjectItemCaseSensitive(all, "results");
}

/* What a file has, and that it has results. */
static cJSON *document(const char *path)
{
    char *text = text_of(path);
    cJSON *all = cJSON_Parse(text);
    const char *schema = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(all, "schema"));

    free(text);
    if (schema == NULL || strcmp(schema, SCHEMA) != 0 || !cJSON_IsArray(results_of(all)))
        refuse(
            "'%.200s' has no results in it: name a file that 'kedge bench run --json FILE' wrote",
            path);
    return all;
}

/* ---------------------------------------------------------------- what is the same */

static const char *const keys[] = { "workload", "store", "clients", "rate", "payload", "steps" };

static bool is_same(const cJSON *a, const cJSON *b)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const cJSON *x = cJSON_GetObjectItemCaseSensitive(a, keys[i]);
        const cJSON *y = cJSON_GetObjectItemCaseSensitive(b, keys[i]);

        if ((x != NULL || y != NULL) && !cJSON_Compare(x, y, true))
            return false;
    }
    return true;
}

static const cJSON *counterpart(const cJSON *results, const cJSON *of)
{
    const cJSON *r;

    cJSON_ArrayForEach(r, results) if (is_same(r, of)) return r;
    return NULL;
}

/* ------------------------------------------------------------------- statistics */

struct sample {
    size_t n;
    double mean; /* of logarithms */
    double variance;
};

/* KEY of each repeat. */
static struct sample sample_of(const cJSON *result, const char *key)
{
    struct sample s = { 0 };
    double sum = 0;
    double squares = 0;
    const cJSON *r;

    cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(result, "repeats"))
    {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(r, key);

        if (!cJSON_IsNumber(value) || !(value->valuedouble > 0))
            continue;
        s.n++;
        sum += log(value->valuedouble);
        squares += log(value->valuedouble) * log(value->valuedouble);
    }
    if (s.n > 0)
        s.mean = sum / (double)s.n;
    if (s.n > 1)
        s.variance = fmax(0, (squares - sum * s.mean) / (double)(s.n - 1));
    return s;
}

/* Student's t, 97.5 %, for DF degrees of freedom: between two lines of the table the larger one. */
static double student(double df)
{
    static const struct {
        double df;
        double t;
    } table[] = {
        { 1, 12.706 }, { 2, 4.303 },  { 3, 3.182 },  { 4, 2.776 },   { 5, 2.571 },  { 6, 2.447 },
        { 7, 2.365 },  { 8, 2.306 },  { 9, 2.262 },  { 10, 2.228 },  { 12, 2.179 }, { 15, 2.131 },
        { 20, 2.086 }, { 30, 2.042 }, { 60, 2.000 }, { 120, 1.980 },
    };
    size_t i = sizeof table / sizeof *table - 1;

    while (i > 0 && table[i].df > df)
        i--;
    return table[i].t;
}

struct change { /* factors */
    double by;
    double low;
    double high;
};

static struct change change_of(const struct sample *a, const struct sample *b)
{
    double va = a->variance / (double)a->n;
    double vb = b->variance / (double)b->n;
    double by = b->mean - a->mean;
    double spread = 0;

    if (va + vb > 0)
        spread =
            sqrt(va + vb) * student((va + vb) * (va + vb) /
                                    (va * va / (double)(a->n - 1) + vb * vb / (double)(b->n - 1)));
    return (struct change){ exp(by), exp(by - spread), exp(by + spread) };
}

/* ------------------------------------------------------------------------ report */

static void put_name(const cJSON *r)
{
    const cJSON *rate = cJSON_GetObjectItemCaseSensitive(r, "rate");
    char name[128];

    (void)snprintf(name, sizeof name, "%s/%s",
                   cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r, "workload")),
                   cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r, "store")));
    printf("%-22s %4.0f client(s)", name,
           cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(r, "clients")));
    if (cJSON_IsNumber(rate))
        printf("  %g/s", rate->valuedouble);
}

static double percent(double factor)
{
    return 100 * (factor - 1);
}

/* True: a regression. */
static bool compare_one(const cJSON *a, const cJSON *b, double fail_above)
{
    bool fixed = cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(a, "rate"));
    const char *key = fixed ? "p99_us" : "steps_per_s";
    struct sample x = sample_of(a, key);
    struct sample y = sample_of(b, key);
    struct change c;
    bool worse;
    bool better;

    put_name(a);
    if (x.n < 2 || y.n < 2) {
        printf("  fewer than two repeats: no interval can be told\n");
        return false;
    }
    c = change_of(&x, &y);
    worse = fixed ? c.low > 1 : c.high < 1;
    better = fixed ? c.high < 1 : c.low > 1;
    worse = worse && fabs(percent(c.by)) > fail_above;
    printf("  %s %.0f -> %.0f  %+.1f%% (95%% CI %+.1f .. %+.1f)  %s\n", fixed ? "p99 us" : "per s",
           exp(x.mean), exp(y.mean), percent(c.by), percent(c.low), percent(c.high),
           worse    ? "REGRESSION"
           : better ? "better"
                    : "no regression");
    return worse;
}

int compare(const char *before, const char *after, double fail_above)
{
    cJSON *first = document(before);
    cJSON *second = document(after);
    const cJSON *a = results_of(first);
    const cJSON *b = results_of(second);
    unsigned both = 0;
    unsigned worse = 0;
    const cJSON *r;

    cJSON_ArrayForEach(r, a) both += counterpart(b, r) != NULL ? 1 : 0;
    if (both == 0)
        refuse("the two files have no result in common: the same workload, store, clients, rate, "
               "payload and steps");
    cJSON_ArrayForEach(r, a)
    {
        const cJSON *other = counterpart(b, r);

        if (other != NULL) {
            worse += compare_one(r, other, fail_above) ? 1 : 0;
            continue;
        }
        put_name(r);
        printf("  is not in %s\n", after);
    }
    cJSON_Delete(first);
    cJSON_Delete(second);
    return worse > 0 ? STATUS_REGRESSION : 0;
}
