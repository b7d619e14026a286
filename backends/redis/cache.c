/*
 * cache.c - heads as this session saw them last, and what the kit asks for beside looking and
 * writing
 *
 * What is remembered is only a guess: the server confirms it when it is written.  It saves a look
 * for each commit of a holder on a run of his own.
 */
#include <config.h>

#include "rows.h"

#include <stdlib.h>

#define CACHE_SETS 256u
#define CACHE_WAYS 4u

/*
 * One allocation: the run, then the bytes it points to.  A run may be in any place of its set; what
 * was used last is first, and what is last goes.  With one place only, one in ten of what 64 runs
 * in flight do would not be remembered, and cost its batch a second flush.
 */
struct rd_cache {
    struct seen {
        struct kit_run run;
        size_t size;
        uint32_t epoch; /* rd_grip: in which it was so */
    } * sets[CACHE_SETS][CACHE_WAYS];
};

/* ------------------------------------------------------------------ the grip */

static void new_epoch(struct rd_grip *g)
{
    if (++g->epoch == 0)
        g->epoch = 1;
}

void rd_grip_lost(struct rd_session *s)
{
    s->grip.known = false;
    new_epoch(&s->grip);
}

void rd_grip_take(struct rd_session *s, const struct kedge_id128 *lease)
{
    if (kit_id_equal(&s->grip.lease, lease))
        return;
    s->grip.lease = *lease;
    rd_grip_lost(s);
}

/* Between two answers that follow each other, what is not ours is somebody else's. */
void rd_grip_told(struct rd_session *s, const redisReply *told)
{
    struct rd_grip *g = &s->grip;

    if (told->len == 0 || told->str[0] != '=')
        new_epoch(g);
    if (told->len == 0)
        g->known = false;
    if (told->len != 1 + sizeof g->value)
        return;
    memcpy(g->value, told->str + 1, sizeof g->value);
    g->known = true;
}

/* ----------------------------------------------------------------------- heads */

static struct seen **cache_set(struct rd_session *s, struct kedge_bytes id)
{
    return s->cache->sets[kit_hash64(id) % CACHE_SETS];
}

/* What is in place AT of a set becomes its first. */
static void cache_use(struct seen **set, size_t at)
{
    struct seen *seen = set[at];

    memmove(set + 1, set, at * sizeof(struct seen *));
    set[0] = seen;
}

static struct seen *cache_get(struct rd_session *s, struct kedge_bytes id)
{
    struct seen **set = s->cache == NULL ? NULL : cache_set(s, id);

    for (size_t i = 0; set != NULL && i < CACHE_WAYS; i++)
        if (set[i] != NULL && kit_bytes_equal(set[i]->run.r.id, id)) {
            cache_use(set, i);
            return set[0];
        }
    return NULL;
}

void rd_cache_drop(struct rd_session *s, struct kedge_bytes id)
{
    struct seen *seen = cache_get(s, id);

    if (seen != NULL) {
        *cache_set(s, id) = NULL;
        free(seen);
    }
}

/* A place for ID, which is in none: the first of its set. */
static struct seen **cache_room(struct rd_session *s, struct kedge_bytes id)
{
    struct seen **set = cache_set(s, id);
    size_t at = 0;

    while (at < CACHE_WAYS - 1 && set[at] != NULL)
        at++;
    cache_use(set, at);
    free(set[0]);
    set[0] = NULL;
    return set;
}

static void place_bytes(struct kedge_bytes *b, unsigned char **to)
{
    if (b->len != 0)
        memcpy(*to, b->data, b->len);
    b->data = *to;
    *to += b->len;
}

void rd_cache_put(struct rd_session *s, const struct kit_run *run)
{
    const struct kedge_run *r = &run->r;
    size_t size =
        r->id.len + r->reactor.len + r->queue.len + r->context.len + r->parent.len + r->root.len;
    struct seen *seen;
    unsigned char *to;

    if (s->cache == NULL)
        s->cache = calloc(1, sizeof *s->cache);
    if (s->cache == NULL)
        return;
    seen = malloc(sizeof *seen + size);
    if (seen != NULL) {
        seen->run = *run;
        seen->size = size;
        seen->epoch = s->grip.asked;
        to = (unsigned char *)(seen + 1);
        place_bytes(&seen->run.r.id, &to);
        place_bytes(&seen->run.r.reactor, &to);
        place_bytes(&seen->run.r.queue, &to);
        place_bytes(&seen->run.r.context, &to);
        place_bytes(&seen->run.r.parent, &to);
        place_bytes(&seen->run.r.root, &to);
    }
    rd_cache_drop(s, run->r.id);
    *cache_room(s, run->r.id) = seen;
}

void rd_cache_advance(struct rd_session *s, struct kedge_bytes id, uint64_t fence,
                      uint64_t position, uint32_t epoch)
{
    struct seen *seen = cache_get(s, id);

    if (seen != NULL && seen->run.r.fence == fence) {
        kit_run_load(&seen->run, position);
        if (epoch != 0)
            seen->epoch = epoch;
    }
}

bool rd_cache_front(struct rd_session *s, struct kedge_bytes id, uint64_t fence,
                    const struct kedge_id128 *lease, unsigned char out[RD_HEAD_FRONT], bool *sure)
{
    const struct seen *seen = cache_get(s, id);

    if (seen == NULL || seen->run.r.fence != fence || !kit_id_equal(&seen->run.r.holder, lease))
        return false;
    rd_head_front(&seen->run, out);
    *sure = s->grip.known && seen->epoch == s->grip.epoch && kit_id_equal(&s->grip.lease, lease);
    return true;
}

void rd_cache_free(struct rd_session *s)
{
    for (size_t i = 0; s->cache != NULL && i < CACHE_SETS; i++)
        for (size_t k = 0; k < CACHE_WAYS; k++)
            free(s->cache->sets[i][k]);
    free(s->cache);
    s->cache = NULL;
}

static bool recall(void *ctx, struct kit_row *row)
{
    struct rd_session *s = ctx;
    struct kedge_mem **mem = kit_remote_mem(s->remote);
    const struct seen *seen = row->kind == KIT_ROW_RUN ? cache_get(s, row->name) : NULL;
    struct kit_run *run;

    if (seen == NULL)
        return false;
    run = kedge_mem_alloc(s->host, mem, sizeof *run);
    if (run == NULL)
        return false;
    *run = seen->run;
    if (!kit_copy_run(s->host, mem, &seen->run.r, &run->r))
        return false;
    row->run = run;
    row->there = true;
    row->own = NULL;
    return true;
}

static bool guess_now(void *ctx, int64_t *wall)
{
    const struct rd_session *s = ctx;

    return kit_moment_guess(&s->store->moment, rd_mono_us(), wall);
}

static void learn(void *ctx, const struct kit_row *row)
{
    if (row->own == NULL) /* what has fields we do not know is read each time */
        rd_cache_put(ctx, row->run);
}

static void forget(void *ctx, const struct kit_row *row)
{
    if (row->kind == KIT_ROW_RUN)
        rd_cache_drop(ctx, row->name);
}

const struct kit_remote_ops rd_remote_ops = {
    .recall = recall,
    .guess_now = guess_now,
    .look = rd_look_rows,
    .apply = rd_apply,
    .learn = learn,
    .forget = forget,
};
