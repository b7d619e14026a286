/* cache.c - heads of runs as this process saw them last; see cache.h for the invariants */
#include <config.h>

#include "cache.h"

#include <stdlib.h>

#include "../kit/mutant.h"

#define PLACES 4096u /* a power of two; each run has one place */

struct entry {
    struct entry *next; /* among those that left */
    struct kit_run_row run;
    unsigned char value[];
};

struct lm_cache {
    size_t txn;
    bool any;
    struct entry *left;
    struct entry *places[PLACES];
};

struct lm_cache *lm_cache_new(void)
{
    return calloc(1, sizeof(struct lm_cache));
}

void lm_cache_settle(struct lm_cache *c)
{
    while (c->left != NULL) {
        struct entry *e = c->left;

        c->left = e->next;
        free(e);
    }
}

static void leave(struct lm_cache *c, struct entry **place)
{
    if (*place == NULL)
        return;
    (*place)->next = c->left;
    c->left = *place;
    *place = NULL;
}

static void clear(struct lm_cache *c)
{
    for (size_t i = 0; c->any && i < PLACES; i++)
        leave(c, &c->places[i]);
    c->any = false;
    lm_cache_settle(c);
}

void lm_cache_free(struct lm_cache *c)
{
    if (c != NULL)
        clear(c);
    free(c);
}

void lm_cache_begin(struct lm_cache *c, size_t txn)
{
    if (KIT_MUTANT("l04", false, txn != c->txn + 1))
        clear(c);
}

void lm_cache_end(struct lm_cache *c, bool committed, size_t txn)
{
    if (!committed)
        clear(c);
    lm_cache_settle(c);
    c->txn = txn;
}

static struct entry **place_of(struct lm_cache *c, struct kedge_bytes id)
{
    return &c->places[kit_hash64(id) & (PLACES - 1)];
}

static struct entry **find(struct lm_cache *c, struct kedge_bytes id)
{
    struct entry **place = place_of(c, id);

    return *place != NULL && kit_bytes_equal((*place)->run.k.r.id, id) ? place : NULL;
}

const struct kit_run_row *lm_cache_get(struct lm_cache *c, struct kedge_bytes id)
{
    struct entry **place = find(c, id);

    return place == NULL ? NULL : &(*place)->run;
}

static void rebase(struct kedge_bytes *b, const void *from, const void *to)
{
    if (b->len != 0)
        b->data = (const char *)to + ((const char *)b->data - (const char *)from);
}

void lm_cache_put(struct lm_cache *c, const struct kit_run_row *run, struct kedge_bytes value)
{
    struct entry **place = place_of(c, run->k.r.id);
    struct entry *e = malloc(sizeof *e + value.len);

    if (e == NULL)
        return;
    leave(c, place);
    e->run = *run;
    memcpy(e->value, value.data, value.len);
    rebase(&e->run.k.r.id, value.data, e->value);
    rebase(&e->run.k.r.reactor, value.data, e->value);
    rebase(&e->run.k.r.queue, value.data, e->value);
    rebase(&e->run.k.r.context, value.data, e->value);
    rebase(&e->run.k.r.parent, value.data, e->value);
    rebase(&e->run.k.r.root, value.data, e->value);
    rebase(&e->run.unknown, value.data, e->value);
    *place = e;
    c->any = true;
}

void lm_cache_drop(struct lm_cache *c, struct kedge_bytes id)
{
    struct entry **place = find(c, id);

    if (place != NULL)
        leave(c, place);
}

void lm_cache_advance(struct lm_cache *c, struct kedge_bytes id, uint64_t position)
{
    struct entry **place = find(c, id);

    if (place != NULL)
        kit_run_load(&(*place)->run.k, position);
}
