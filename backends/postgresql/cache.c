/*
 * cache.c - runs held by leases of this process, as they were seen last; see session.h
 *
 * One for all sessions of a store: a run may be appended to by one thread now and by another next.
 * So answers are taken in as they come, not in the order in which the server gave them.
 *
 *   I1  Each change of a grip that is not one of ours, as far as we know, begins an era of that
 *       lease.  Runs are sure if they are of the present one.
 *   I2  What is learned late is sure only if the grip is still the one it was learned under.
 *   I3  Grips of leases may be forgotten at any time: eras are never used twice.
 */
#include <config.h>

#include <pthread.h>
#include <stdlib.h>

#include "session.h"

#include "../kit/mutant.h"

#define BUCKETS   1024u /* a power of two */
#define ENTRY_MAX 8192u
#define HOLDS     256u /* a power of two */
#define HOLD_MAX  1024u

struct entry {
    struct entry *next;
    struct kedge_mem *mem; /* of what run points to */
    struct kit_run run;
    uint64_t serial;
    uint64_t era;  /* of its holder; 0: not sure */
    int64_t asked; /* when it was asked for, monotonic */
};

/* A lease that held something. */
struct hold {
    struct hold *next;
    struct kedge_id128 lease;
    int64_t grip;
    uint64_t era;
};

struct pg_cache {
    pthread_mutex_t lock;
    struct entry *buckets[BUCKETS];
    size_t n;
    struct hold *holds[HOLDS];
    size_t n_holds;
    uint64_t serials;
    uint64_t eras;
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

static void let_go(struct pg_cache *cache)
{
    for (size_t i = 0; i < HOLDS; i++)
        while (cache->holds[i] != NULL) {
            struct hold *h = cache->holds[i];

            cache->holds[i] = h->next;
            free(h);
        }
    cache->n_holds = 0;
}

void pg_cache_free(struct pg_cache *cache)
{
    if (cache == NULL)
        return;
    empty(cache);
    let_go(cache);
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

/* --------------------------------------------------------------------- grips */

/* Ids of leases are random. */
static struct hold **hold_of(struct pg_cache *cache, const struct kedge_id128 *lease)
{
    struct hold **at = &cache->holds[(lease->b[0] ^ lease->b[15]) & (HOLDS - 1)];

    while (*at != NULL && !kit_id_equal(&(*at)->lease, lease))
        at = &(*at)->next;
    return at;
}

/* Without memory it is not known, and nothing is sure. */
static void hold_new(struct pg_cache *cache, const struct pg_grip *grip)
{
    struct hold *h = calloc(1, sizeof *h);
    struct hold **at;

    if (h == NULL)
        return;
    if (cache->n_holds >= HOLD_MAX)
        let_go(cache);
    h->lease = grip->lease;
    h->grip = grip->is;
    h->era = ++cache->eras;
    at = hold_of(cache, &h->lease);
    h->next = *at;
    *at = h;
    cache->n_holds++;
}

static void told(struct pg_cache *cache, const struct pg_grip *grip)
{
    struct hold *h = *hold_of(cache, &grip->lease);

    if (h == NULL) {
        hold_new(cache, grip);
    } else if (h->grip == grip->was) {
        h->grip = grip->is;
    } else if (h->grip < grip->is) { /* else it is old news */
        h->grip = grip->is;
        h->era = ++cache->eras;
    }
}

void pg_cache_told(struct pg_cache *cache, const struct pg_grip *grips, size_t n,
                   const struct kedge_bytes *runs, size_t n_runs)
{
    (void)pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < n_runs; i++) {
        struct entry *e = *find(cache, runs[i]);

        if (e != NULL)
            e->era = 0;
    }
    for (size_t i = 0; i < n; i++)
        told(cache, &grips[i]);
    (void)pthread_mutex_unlock(&cache->lock);
}

/* ---------------------------------------------------------------------- runs */

static struct entry *entry_new(const struct kit_run *run)
{
    struct entry *e = run->r.place == KEDGE_PLACE_HELD ? calloc(1, sizeof *e) : NULL;

    if (e == NULL)
        return NULL;
    e->run = *run;
    if (kit_copy_run(&cache_host, &e->mem, &run->r, &e->run.r))
        return e;
    entry_free(e);
    return NULL;
}

/* E, NULL for none, in place of what is remembered of the run of that id. */
static void replace(struct pg_cache *cache, struct kedge_bytes id, struct entry *e)
{
    struct entry **at;

    forget(cache, id);
    if (e == NULL)
        return;
    if (cache->n >= ENTRY_MAX)
        empty(cache);
    at = find(cache, id);
    e->serial = ++cache->serials;
    e->next = *at;
    *at = e;
    cache->n++;
}

void pg_cache_learn_sure(struct pg_cache *cache, const struct kit_run *run, int64_t grip,
                         int64_t asked)
{
    struct entry *e = entry_new(run);

    (void)pthread_mutex_lock(&cache->lock);
    if (e != NULL) {
        const struct hold *h = *hold_of(cache, &run->r.holder);

        e->era = h != NULL && h->grip == grip ? h->era : 0;
        e->asked = asked;
    }
    replace(cache, run->r.id, e);
    (void)pthread_mutex_unlock(&cache->lock);
}

static bool is_as_known(const struct entry *e, const struct kit_run *run)
{
    return e != NULL && e->run.r.incarnation == run->r.incarnation &&
           e->run.head_revision == run->head_revision && e->run.r.position == run->r.position;
}

void pg_cache_learn(struct pg_cache *cache, const struct kit_run *run)
{
    struct entry *e = entry_new(run);

    (void)pthread_mutex_lock(&cache->lock);
    if (e != NULL && is_as_known(*find(cache, run->r.id), run))
        entry_free(e);
    else
        replace(cache, run->r.id, e);
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

static bool is_sure(struct pg_cache *cache, const struct entry *e, int64_t born, int64_t *grip)
{
    const struct hold *h;

    if (e->era == 0 || e->asked <= born)
        return false;
    h = *hold_of(cache, &e->run.r.holder);
    if (h == NULL || h->era != e->era)
        return false;
    *grip = h->grip;
    return true;
}

bool pg_cache_plain(struct pg_cache *cache, const struct kedge_commit *c, int64_t born,
                    struct pg_known *out)
{
    const struct entry *e;
    int64_t grip;
    bool ok;

    if (!is_plain(c))
        return false;
    (void)pthread_mutex_lock(&cache->lock);
    e = *find(cache, c->guards[0].name);
    ok = e != NULL && e->run.r.fence == c->guards[0].number &&
         kit_id_equal(&e->run.r.holder, &c->guards[0].lease) &&
         KIT_MUTANT("p05", true, e->run.r.position + 1 == c->changes[0].append.first) &&
         !seen(&e->run, &c->request) && is_sure(cache, e, born, &grip);
    if (ok)
        *out = (struct pg_known){ .rid = e->run.r.incarnation,
                                  .head_revision = e->run.head_revision,
                                  .position = e->run.r.position,
                                  .fence = e->run.r.fence,
                                  .status = e->run.r.status,
                                  .requests = e->run.r.requests,
                                  .grip = grip,
                                  .serial = e->serial };
    (void)pthread_mutex_unlock(&cache->lock);
    return ok;
}

/* What was learned meanwhile may be of a server that has lost the record again. */
void pg_cache_appended(struct pg_cache *cache, struct kedge_bytes id, const struct pg_known *known,
                       int64_t asked)
{
    struct entry *e;

    (void)pthread_mutex_lock(&cache->lock);
    e = *find(cache, id);
    if (e != NULL && e->serial == known->serial) {
        if (e->run.r.position <= known->position)
            kit_run_load(&e->run, known->position + 1);
        if (e->asked < asked)
            e->asked = asked;
    }
    (void)pthread_mutex_unlock(&cache->lock);
}
