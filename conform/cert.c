/*
 * cert.c - the certificate: what was promised, what was asked, and what came of it, in JSON
 *
 * It is a record of one run and says no more than that: the declared guarantees held in it.  Every
 * case that was selected is in it, with its seed, so that any of them can be run again.
 */
#include <cJSON.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <kedge/store.h>

#include "results.h"

/* A number of 64 bits is text: a double holds 53 of them. */
static void add_u64(cJSON *to, const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    (void)cJSON_AddStringToObject(to, name, text);
}

static void add_fact(cJSON *to, const char *name, const char *value, size_t len)
{
    char *copy;

    while (len > 0 && value[len - 1] == ' ')
        len--;
    copy = strndup(value, len);
    if (copy != NULL)
        (void)cJSON_AddStringToObject(to, name, copy);
    free(copy);
}

/* Is the fact one of those that cases probe? */
static bool is_declaration(const char *name)
{
    for (const struct declaration *d = declarations; d->fact != NULL; d++)
        if (strcmp(d->fact, name) == 0)
            return true;
    return false;
}

/*
 * What begins with "backend." goes to a member of its own, what is probed to others.  Where the
 * store is concerns nobody who reads the certificate elsewhere.
 */
static void add_facts(cJSON *cert, const struct results *r)
{
    cJSON *store = cJSON_AddObjectToObject(cert, "store");
    cJSON *settings = cJSON_AddObjectToObject(cert, "settings");
    const char *line = r->facts;

    while (line != NULL && *line != '\0') {
        size_t len = strcspn(line, "\n"), n = strcspn(line, "\t\n");
        char name[96];

        if (n < len && n < sizeof name) {
            memcpy(name, line, n);
            name[n] = '\0';
            if (strncmp(name, "backend.", 8) == 0)
                add_fact(settings, name + 8, line + n + 1, len - n - 1);
            else if (strcmp(name, "place") != 0 && !is_declaration(name))
                add_fact(store, name, line + n + 1, len - n - 1);
        }
        line += len + (line[len] == '\n');
    }
}

/* "limit.id_max" becomes the member id_max of limits: what was declared, and who probed it. */
static void add_declarations(cJSON *cert, const struct results *r)
{
    static const char *const groups[][2] = { { "capability.", "capabilities" },
                                             { "operation.", "operations" },
                                             { "limit.", "limits" } };

    for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
        cJSON *group = cJSON_AddObjectToObject(cert, groups[g][1]);

        for (const struct declaration *d = declarations; d->fact != NULL; d++) {
            size_t skip = strlen(groups[g][0]), len = 0;
            const char *value = results_fact(r, d->fact, &len);
            cJSON *row, *probed;

            if (strncmp(d->fact, groups[g][0], skip) != 0)
                continue;
            row = cJSON_AddObjectToObject(group, d->fact + skip);
            add_fact(row, "declared", value != NULL ? value : "", len);
            probed = cJSON_AddObjectToObject(row, "probed");
            for (size_t i = 0; i < r->n; i++)
                if (declaration_probed_by(d, r->all[i].entry->c))
                    (void)cJSON_AddStringToObject(probed, r->all[i].entry->c->id,
                                                  outcome_name(r->all[i].outcome));
        }
    }
}

static void add_machine(cJSON *cert)
{
    cJSON *machine = cJSON_AddObjectToObject(cert, "machine");
    struct utsname u;

    if (uname(&u) == 0) {
        (void)cJSON_AddStringToObject(machine, "system", u.sysname);
        (void)cJSON_AddStringToObject(machine, "kernel", u.release);
        (void)cJSON_AddStringToObject(machine, "architecture", u.machine);
    }
    (void)cJSON_AddStringToObject(machine, "libc", gnu_get_libc_version());
    (void)cJSON_AddNumberToObject(machine, "processors", (double)sysconf(_SC_NPROCESSORS_ONLN));
}

static void add_suite(cJSON *cert, const struct results *r)
{
    cJSON *suite = cJSON_AddObjectToObject(cert, "suite");
    char hash[17];

    catalogue_hash(hash);
    (void)cJSON_AddStringToObject(suite, "version", kedge_version());
    (void)cJSON_AddStringToObject(suite, "catalogue", hash);
    add_u64(suite, "seed", r->options->seed);
    if (r->options->filter != NULL)
        (void)cJSON_AddStringToObject(suite, "filter", r->options->filter);
    (void)cJSON_AddStringToObject(suite, "tier",
                                  r->options->filter != NULL ? "as filtered"
                                                             : conform_tier_name(r->options->tier));
    (void)cJSON_AddStringToObject(suite, "time",
                                  getenv("KEDGE_TEST_CLOCK") != NULL
                                      ? "virtual, of the server"
                                      : "virtual where the backend takes the host's clocks");
}

static void add_backend(cJSON *cert, const struct results *r)
{
    const struct kedge_backend_ops *ops = NULL;
    cJSON *backend = cJSON_AddObjectToObject(cert, "backend");
    struct kedge_error err;

    (void)cJSON_AddStringToObject(backend, "name", r->backend);
    if (r->options->backend != NULL)
        (void)cJSON_AddStringToObject(backend, "opened_as", r->options->backend);
    if (kedge_backend_find(r->options->backend != NULL ? r->options->backend : r->backend, &ops,
                           &err) == KEDGE_OK) {
        (void)cJSON_AddStringToObject(backend, "version", ops->version);
        (void)cJSON_AddNumberToObject(backend, "abi", ops->abi);
    }
}

/* What a case told of the path that it took, as "digest of the WHAT: NUMBER". */
static void add_digests(cJSON *row, const struct result *one)
{
    static const char before[] = "digest of the ";
    cJSON *digests = NULL;

    for (const char *line = one->text; line != NULL && *line != '\0';) {
        size_t len = strcspn(line, "\n");
        char what[16], number[20];

        if (strncmp(line, before, sizeof before - 1) == 0 &&
            sscanf(line + sizeof before - 1, "%15[a-z]: %19[0-9a-f]", what, number) == 2) {
            if (digests == NULL)
                digests = cJSON_AddObjectToObject(row, "digests");
            (void)cJSON_AddStringToObject(digests, what, number);
        }
        line += len + (line[len] == '\n');
    }
}

static void add_cases(cJSON *cert, const struct results *r)
{
    cJSON *cases = cJSON_AddArrayToObject(cert, "cases");

    for (size_t i = 0; i < r->n; i++) {
        const struct result *one = &r->all[i];
        cJSON *row = cJSON_CreateObject();
        int64_t ms = one->took_us / 1000;

        (void)cJSON_AddStringToObject(row, "id", one->entry->c->id);
        (void)cJSON_AddStringToObject(row, "tier", conform_tier_name(one->entry->tier));
        (void)cJSON_AddStringToObject(row, "outcome", outcome_name(one->outcome));
        if (one->outcome != CONFORM_PASS)
            (void)cJSON_AddStringToObject(row, "why", one->why != NULL ? one->why : "");
        if (one->missing != NULL) {
            const struct result *twin = results_twin(r, one);

            (void)cJSON_AddStringToObject(row, "twin", one->missing->twin);
            (void)cJSON_AddStringToObject(row, "twin_outcome",
                                          twin != NULL ? outcome_name(twin->outcome) : "not run");
        }
        (void)cJSON_AddNumberToObject(row, "ms", (double)ms);
        add_u64(row, "seed", one->seed);
        add_digests(row, one);
        if (one->opted_out != NULL) {
            (void)cJSON_AddStringToObject(row, "issue", one->opted_out->issue);
            (void)cJSON_AddStringToObject(row, "until", one->opted_out->until);
        }
        (void)cJSON_AddItemToArray(cases, row);
    }
}

static void add_verdict(cJSON *cert, const struct results *r)
{
    cJSON *verdict = cJSON_AddObjectToObject(cert, "verdict");
    cJSON *count = cJSON_AddObjectToObject(verdict, "count");
    int level = results_level(r);
    char name[4] = "";

    if (level >= 0)
        (void)snprintf(name, sizeof name, "C%d", (level + 1) & 7);
    (void)cJSON_AddStringToObject(verdict, "level", level >= 0 ? name : "none");
    (void)cJSON_AddStringToObject(verdict, "meaning",
                                  level >= 0 ? "the declared guarantees held in this run"
                                             : "no level was reached");
    for (size_t i = 0; i < CONFORM_N_OUTCOMES; i++)
        (void)cJSON_AddNumberToObject(count, outcome_name((enum conform_outcome)i),
                                      (double)r->count[i]);
}

int cert_write(const struct results *r, const char *path, struct kedge_error *err)
{
    cJSON *cert = cJSON_CreateObject();
    int64_t seconds = r->took_us / 1000000;
    time_t at = (time_t)r->began;
    char began[32] = "", *text;
    struct tm utc;
    FILE *f;
    int bad;

    if (gmtime_r(&at, &utc) != NULL)
        (void)strftime(began, sizeof began, "%Y-%m-%dT%H:%M:%SZ", &utc);
    (void)cJSON_AddStringToObject(cert, "kedge_conform", "1");
    (void)cJSON_AddStringToObject(cert, "began", began);
    (void)cJSON_AddNumberToObject(cert, "seconds", (double)seconds);
    add_verdict(cert, r);
    add_suite(cert, r);
    add_backend(cert, r);
    add_facts(cert, r);
    add_declarations(cert, r);
    add_machine(cert);
    add_cases(cert, r);
    text = cJSON_Print(cert);
    cJSON_Delete(cert);
    if (text == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    f = fopen(path, "we");
    if (f == NULL) {
        cJSON_free(text);
        return kedge_error_set(err, KEDGE_ERR_INVALID, errno, "%s: %s", path, strerror(errno));
    }
    (void)fprintf(f, "%s\n", text);
    cJSON_free(text);
    bad = ferror(f);
    if (fclose(f) != 0 || bad)
        return kedge_error_set(err, KEDGE_ERR_INVALID, errno, "%s: %s", path, strerror(errno));
    return KEDGE_OK;
}
