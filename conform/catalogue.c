/*
 * catalogue.c - all cases, with the tier each belongs to
 *
 * An id is given once and never again: it stands in reports, in certificates and in talk.
 */
#include "catalogue.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "covers.h"

/* One a line. */
/* clang-format off */
static const struct {
    const struct contract_case *cases;
    enum conform_tier tier;
} areas[] = {
    { cases_store, CONFORM_CORE },
    { cases_caps, CONFORM_CORE },
    { cases_limits, CONFORM_CORE },
    { cases_leases, CONFORM_CORE },
    { cases_hints, CONFORM_CORE },
    { cases_commit, CONFORM_CORE },
    { cases_matrix, CONFORM_CORE },
    { cases_batch, CONFORM_CORE },
    { cases_resend, CONFORM_CORE },
    { cases_fences, CONFORM_CORE },
    { cases_locks, CONFORM_CORE },
    { cases_cells, CONFORM_CORE },
    { cases_runs, CONFORM_CORE },
    { cases_claim, CONFORM_CORE },
    { cases_slots, CONFORM_CORE },
    { cases_lists, CONFORM_CORE },
    { cases_purge, CONFORM_CORE },
    { cases_data, CONFORM_CORE },
    { cases_manners, CONFORM_CORE },
    { cases_wait, CONFORM_CORE },
    { cases_memory, CONFORM_CORE },
    { cases_walk, CONFORM_CORE },
    { cases_ttl, CONFORM_CORE },
    { cases_threads, CONFORM_CORE },
    { cases_processes, CONFORM_CORE },
    { cases_linear, CONFORM_CONCURRENT },
    { cases_paused, CONFORM_CONCURRENT },
    { cases_queue, CONFORM_CONCURRENT },
    /* Harm is done: */
    { cases_crash, CONFORM_FAULT },
    { cases_iofail, CONFORM_FAULT },
    { cases_sweep, CONFORM_FAULT },
    { cases_clock, CONFORM_FAULT },
    { cases_net, CONFORM_FAULT },
    { cases_net_holder, CONFORM_FAULT },
    { cases_resources, CONFORM_FULL },
};
/* clang-format on */

static const char *const tier_names[] = { "core", "concurrent", "fault", "full" };

bool conform_tier_of(const char *name, enum conform_tier *tier)
{
    for (size_t i = 0; i < ARRAY_LEN(tier_names); i++)
        if (strcmp(tier_names[i], name) == 0) {
            *tier = (enum conform_tier)i;
            return true;
        }
    return false;
}

const char *conform_tier_name(enum conform_tier tier)
{
    return tier_names[tier];
}

static struct catalogue_entry entries[CATALOGUE_MAX + 1];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void gather(void)
{
    size_t n = 0;

    for (size_t a = 0; a < ARRAY_LEN(areas); a++)
        for (const struct contract_case *c = areas[a].cases; c->id != NULL; c++) {
            for (size_t i = 0; i < n; i++)
                if (strcmp(entries[i].c->id, c->id) == 0) {
                    (void)fprintf(stderr, "kedge: two cases are called %s\n", c->id);
                    abort();
                }
            if (n == CATALOGUE_MAX)
                abort();
            entries[n++] = (struct catalogue_entry){ c, areas[a].tier };
        }
}

const struct catalogue_entry *catalogue(void)
{
    (void)pthread_once(&once, gather);
    return entries;
}

bool catalogue_means(const char *word, size_t len, const char *id)
{
    char glob[128];

    if (strncmp(id, word, len) == 0 && (id[len] == '\0' || id[len] == '-'))
        return len > 0;
    if (len == 0 || len >= sizeof glob)
        return false;
    memcpy(glob, word, len);
    glob[len] = '\0';
    return fnmatch(glob, id, 0) == 0;
}

bool catalogue_names(const char *words, const char *id)
{
    while (*words != '\0') {
        size_t len = strcspn(words, " ");

        if (catalogue_means(words, len, id))
            return true;
        words += len + (words[len] == ' ');
    }
    return false;
}

bool catalogue_wanted(const struct contract_case *c, const char *filter)
{
    if (filter == NULL)
        return true;
    for (;;) {
        size_t len = strcspn(filter, ",");

        if (catalogue_means(filter, len, c->id) || covers_wanted(filter, len, c->id))
            return true;
        if (filter[len] == '\0')
            return false;
        filter += len + 1;
    }
}

static int unknown(const char *word, size_t len, struct kedge_error *err)
{
    const struct cover *none = covers_unheld(word, len);

    if (none != NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "%s is asked by no case: %s", none->id,
                               none->cases + strspn(none->cases, "- "));
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "no case, area or glob of cases is called '%.*s'; see `kedge conform "
                           "--list'",
                           (int)len, word);
}

int catalogue_check(const char *filter, struct kedge_error *err)
{
    while (filter != NULL) {
        size_t len = strcspn(filter, ",");
        bool known = len == 0;

        for (const struct catalogue_entry *e = catalogue(); !known && e->c != NULL; e++)
            known = catalogue_means(filter, len, e->c->id) || covers_wanted(filter, len, e->c->id);
        if (!known)
            return unknown(filter, len, err);
        filter = filter[len] == '\0' ? NULL : filter + len + 1;
    }
    return KEDGE_OK;
}

void catalogue_hash(char out[17])
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (const struct catalogue_entry *e = catalogue(); e->c != NULL; e++) {
        const char *const texts[] = { e->c->id, e->c->what, tier_names[e->tier] };

        for (size_t i = 0; i < ARRAY_LEN(texts); i++)
            for (const char *p = texts[i];; p++) {
                h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
                if (*p == '\0')
                    break;
            }
    }
    (void)snprintf(out, 17, "%016" PRIx64, h);
}
