/*
 * definition.c - fuzz target: the stored form of a reactor
 *
 * The input with the format's number before it and a digest behind it that fits, as hardly any
 * input has those by chance.  What is understood has a graph that can be walked, and is the same
 * bytes when it is stored again.
 */
#include <config.h>

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../../src/reactor.h"
#include "fuzz.h"

static struct kedge_error err;

static void walk(const struct kedge_reactor *r)
{
    size_t n_after = 0;
    size_t n_before = 0;

    MUST(r->n_steps > 0 && r->result < r->n_steps && r->version > 0);
    for (uint32_t i = 0; i < r->n_steps; i++) {
        const struct kedge_reactor_step *step = &r->steps[i];

        MUST(strlen(step->name) == step->name_len);
        MUST(kedge_reactor_find(r, kedge_text(step->name)) == i);
        for (uint32_t k = 0; k < step->n_after; k++)
            MUST(step->after[k] < r->n_steps && step->after[k] != i);
        for (uint32_t k = 0; k < step->n_before; k++)
            MUST(step->before[k] < r->n_steps && (k == 0 || step->before[k - 1] < step->before[k]));
        n_after += step->n_after;
        n_before += step->n_before;
    }
    MUST(n_after == r->n_edges && n_before == r->n_edges);
}

static void stored_again(const struct kedge_reactor *r, struct kedge_bytes as)
{
    size_t size = kedge_reactor_store_size(r);
    unsigned char *bytes = malloc(size);
    char why[256];

    MUST(bytes != NULL && size == as.len);
    kedge_reactor_store(r, bytes);
    MUST(memcmp(bytes, as.data, size) == 0);
    MUST(kedge_reactor_differ(r, r, why, sizeof why) == 0);
    free(bytes);
}

static void load(struct kedge_bytes stored)
{
    struct kedge_reactor *r = NULL;
    int rc = kedge_reactor_load(stored, &r, &err);

    if (rc != KEDGE_OK) {
        MUST(rc == KEDGE_ERR_CORRUPT || rc == KEDGE_ERR_SCHEMA_NEW);
        MUST(r == NULL && err.code == rc && err.msg[0] != '\0');
        return;
    }
    walk(r);
    stored_again(r, stored);
    kedge_reactor_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    XXH128_canonical_t digest;
    unsigned char *stored = malloc(size + 1 + sizeof digest);

    MUST(stored != NULL);
    load((struct kedge_bytes){ data, size });
    stored[0] = 1;
    if (size > 0)
        memcpy(stored + 1, data, size);
    XXH128_canonicalFromHash(&digest, XXH3_128bits(stored, size + 1));
    memcpy(stored + size + 1, &digest, sizeof digest);
    load((struct kedge_bytes){ stored, size + 1 + sizeof digest });
    free(stored);
    return 0;
}
