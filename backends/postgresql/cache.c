/*
 * cache.c - runs held by leases of this process, as they were seen last
 *
 * One for all sessions of a store: a run may be appended to by one thread now and by another next.
 */
#include <config.h>

#include <pthread.h>
#include <stdlib.h>

#include "session.h"

#define BUCKETS   1024u /* a power of two */
#define ENTRY_MAX 8192u

struct entry {
    struct entry *next;
    struct kedge_mem *mem; /* of what run points to */
    struct kit_run run;
};

struct pg_cache {
    pthread_mutex_t lock;
    struct entry *buckets[BUCKETS];
    size_t n;
};

/* Entries live by malloc: the host's allocator belongs to results. */
static void *cache_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void cache_release(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

static const struct kedge_host cache_host = { .alloc = cache_alloc, .release = cache_release };

struct pg_cache *pg_cache_new(void)
{
    struct pg_cache *cache = calloc(1, sizeof *cache);

    if (cache != NULL)
        (void)pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

static void entry_free(struct entry *e)
{
    kedge_mem_free(&cache_host, e->mem);
    free(e);
}

static void empty(struct pg_cache *cache)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (cache->buckets[i] != NULL) {
            struct entry *e = cache->buckets[i];

            cache->buckets[i] = e->next;
            entry_free(e);
        }
    cache->n = 0;
}

void pg_cache_free(struct pg_cache *cache)
{
    if (cache == NULL)
        return;
    empty(cache);
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}

static struct entry **find(struct pg_cache *cache, struct kedge_bytes id)
{
    const unsigned char *p = id.data;
    uint32_t h = 2166136261u;
    struct entry **at;

    for (size_t i = 0; i < id.len; i++)
        h = (h ^ p[i]) * 16777619u;
    at = &cache->buckets[(h ^ h >> 15) & (BUCKETS - 1)];
    while (*at != NULL && !kit_bytes_equal((*at)->run.r.id, id))
        at = &(*at)->next;
    return at;
}

static void forget(struct pg_cache *cache, struct kedge_bytes id)
{
    struct entry **at = find(cache, id);
    struct entry *e = *at;

    if (e == NULL)
        return;
    *at = e->next;
    cache->n--;
    entry_free(e);
}

void pg_cache_forget(struct pg_cache *cache, struct kedge_bytes id)
{
    (void)pthread_mutex_lock(&cache->lock);
    forget(cache, id);
    (void)pthread_mutex_unlock(&cache->lock);
}

static struct entry *entry_new(const struct kit_run *run)
{
    struct entry *e = calloc(1, sizeof *e);

    if (e == NULL)
        return NULL;
    e->run = *run;
    if (kit_copy_run(&cache_host, &e->mem, &run->r, &e->run.r))
        return e;
    entry_free(e);
    return NULL;
}

void pg_cache_learn(struct pg_cache *cache, const struct kit_run *run)
{
    struct entry *e = run->r.place == KEDGE_PLACE_HELD ? entry_new(run) : NULL;

    (void)pthread_mutex_lock(&cache->lock);
    forget(cache, run->r.id);
    if (e != NULL) {
        struct entry **at;

        if (cache->n >= ENTRY_MAX)
            empty(cache);
        at = find(cache, e->run.r.id);
        e->next = *at;
        *at = e;
        cache->n++;
    }
    (void)pthread_mutex_unlock(&cache->lock);
}

bool pg_cache_recall(struct pg_cache *cache, struct kedge_bytes id, const struct kedge_host *host,
                     struct kedge_mem **mem, struct kit_run *out)
{
    const struct entry *e;
    bool ok = false;

    (void)pthread_mutex_lock(&cache->lock);
    e = *find(cache, id);
    if (e != NULL) {
        *out = e->run;
        ok = kit_copy_run(host, mem, &e->run.r, &out->r);
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return ok;
}

/* A commit that was carried out already has left its id in the head; that is for the kit. */
static bool seen(const struct kit_run *run, const struct kedge_id128 *request)
{
    return kit_id_equal(&run->last.request, request) || kit_id_equal(&run->prev.request, request) ||
           kit_id_equal(&run->take_request, request) || kit_id_equal(&run->create_request, request);
}

static bool is_plain(const struct kedge_commit *c)
{
    return c->n_guards == 1 && c->n_changes == 1 && c->guards[0].kind == KEDGE_GUARD_HELD &&
           c->changes[0].kind == KEDGE_APPEND && c->changes[0].append.n == 1 &&
           kit_bytes_equal(c->guards[0].name, c->changes[0].name);
}

bool pg_cache_plain(struct pg_cache *cache, const struct kedge_commit *c, struct pg_known *out)
{
    const struct entry *e;
    bool ok;

    if (!is_plain(c))
        return false;
    (void)pthread_mutex_lock(&cache->lock);
    e = *find(cache, c->guards[0].name);
    ok = e != NULL && e->run.r.fence == c->guards[0].number &&
         kit_id_equal(&e->run.r.holder, &c->guards[0].lease) &&
         e->run.r.position + 1 == c->changes[0].append.first && !seen(&e->run, &c->request);
    if (ok)
        *out = (struct pg_known){ .rid = e->run.r.incarnation,
                                  .head_revision = e->run.head_revision,
                                  .position = e->run.r.position,
                                  .fence = e->run.r.fence,
                                  .status = e->run.r.status,
                                  .requests = e->run.r.requests };
    (void)pthread_mutex_unlock(&cache->lock);
    return ok;
}

void pg_cache_appended(struct pg_cache *cache, struct kedge_bytes id, uint64_t position)
{
    struct entry *e;

    (void)pthread_mutex_lock(&cache->lock);
    e = *find(cache, id);
    if (e != NULL && e->run.r.position < position)
        kit_run_load(&e->run, position);
    (void)pthread_mutex_unlock(&cache->lock);
}
