/*
 * junit.c - results as the XML that build servers read
 *
 * A suite is an area of the catalogue; what surrounds the run is in its properties.
 */
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include <kedge/store.h>

#include "results.h"

/* Text and attributes alike.  What XML cannot say at all becomes a question mark. */
static void put_escaped(FILE *f, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '<')
            (void)fputs("&lt;", f);
        else if (c == '>')
            (void)fputs("&gt;", f);
        else if (c == '&')
            (void)fputs("&amp;", f);
        else if (c == '"')
            (void)fputs("&quot;", f);
        else if (c == '\n')
            (void)fputs("&#10;", f);
        else
            (void)fputc((c < ' ' && c != '\t') || c > '~' ? '?' : c, f);
    }
}

static void put_attribute(FILE *f, const char *name, const char *value)
{
    (void)fprintf(f, " %s=\"", name);
    put_escaped(f, value, strlen(value));
    (void)fputc('"', f);
}

static size_t area_len(const struct result *one)
{
    return (size_t)(strrchr(one->entry->c->id, '-') - one->entry->c->id);
}

static bool same_area(const struct result *a, const struct result *b)
{
    size_t len = area_len(a);

    return area_len(b) == len && strncmp(a->entry->c->id, b->entry->c->id, len) == 0;
}

static void put_properties(FILE *f, const struct results *r)
{
    const char *line = r->facts;

    (void)fputs("    <properties>\n", f);
    (void)fprintf(f, "      <property name=\"seed\" value=\"%" PRIu64 "\"/>\n", r->options->seed);
    while (line != NULL && *line != '\0') {
        size_t len = strcspn(line, "\n"), name = strcspn(line, "\t\n");

        (void)fputs("      <property name=\"", f);
        put_escaped(f, line, name);
        (void)fputs("\" value=\"", f);
        if (name < len)
            put_escaped(f, line + name + 1, len - name - 1);
        (void)fputs("\"/>\n", f);
        line += len + (line[len] == '\n');
    }
    (void)fputs("    </properties>\n", f);
}

static void put_case(FILE *f, const struct result *one)
{
    const char *why = one->why != NULL ? one->why : "";

    (void)fputs("    <testcase", f);
    put_attribute(f, "classname", "kedge.conform");
    put_attribute(f, "name", one->entry->c->id);
    (void)fprintf(f, " time=\"%.3f\"", (double)one->took_us / 1e6);
    if (one->outcome == CONFORM_PASS) {
        (void)fputs("/>\n", f);
        return;
    }
    (void)fputs(">\n      <", f);
    (void)fputs(one->outcome == CONFORM_FAIL         ? "failure"
                : one->outcome == CONFORM_NO_VERDICT ? "error"
                                                     : "skipped",
                f);
    (void)fputs(" message=\"", f);
    if (one->outcome != CONFORM_FAIL && one->outcome != CONFORM_SKIP)
        (void)fprintf(f, "%s: ", outcome_name(one->outcome));
    put_escaped(f, why, strlen(why));
    (void)fputs("\">", f);
    if (one->outcome == CONFORM_FAIL && one->text != NULL)
        put_escaped(f, one->text, strlen(one->text));
    (void)fprintf(f, "</%s>\n    </testcase>\n",
                  one->outcome == CONFORM_FAIL         ? "failure"
                  : one->outcome == CONFORM_NO_VERDICT ? "error"
                                                       : "skipped");
}

static void put_suite(FILE *f, const struct results *r, size_t first, size_t end)
{
    size_t count[CONFORM_N_OUTCOMES] = { 0 };
    int64_t took = 0;
    char name[64], began[32] = "";
    struct tm utc;
    time_t at = (time_t)r->began;

    for (size_t i = first; i < end; i++) {
        count[r->all[i].outcome]++;
        took += r->all[i].took_us;
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)area_len(&r->all[first]),
                   r->all[first].entry->c->id);
    if (gmtime_r(&at, &utc) != NULL)
        (void)strftime(began, sizeof began, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)fputs("  <testsuite", f);
    put_attribute(f, "name", name);
    put_attribute(f, "timestamp", began);
    (void)fprintf(f, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"%.3f\"",
                  end - first, count[CONFORM_FAIL], count[CONFORM_NO_VERDICT],
                  count[CONFORM_NA] + count[CONFORM_SKIP] + count[CONFORM_OPTED_OUT],
                  (double)took / 1e6);
    (void)fputs(">\n", f);
    put_properties(f, r);
    for (size_t i = first; i < end; i++)
        put_case(f, &r->all[i]);
    (void)fputs("  </testsuite>\n", f);
}

int junit_write(const struct results *r, const char *path, struct kedge_error *err)
{
    FILE *f = fopen(path, "we");
    int bad;

    if (f == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, errno, "%s: %s", path, strerror(errno));
    (void)fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", f);
    put_attribute(f, "name", r->backend);
    (void)fputs(">\n", f);
    for (size_t i = 0, end; i < r->n && r->all[i].done; i = end) {
        for (end = i + 1; end < r->n && r->all[end].done && same_area(&r->all[i], &r->all[end]);)
            end++;
        put_suite(f, r, i, end);
    }
    (void)fputs("</testsuites>\n", f);
    bad = ferror(f);
    if (fclose(f) != 0 || bad)
        return kedge_error_set(err, KEDGE_ERR_INVALID, errno, "%s: %s", path, strerror(errno));
    return KEDGE_OK;
}
