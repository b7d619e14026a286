/* table.c - see table.h */
#include "table.h"

void *mem_obj_new(const struct kedge_host *host, size_t size,
                  void (*destroy)(const struct kedge_host *, struct mem_obj *))
{
    struct mem_obj *obj = host->alloc(host->ctx, size);

    if (obj == NULL)
        return NULL;
    memset(obj, 0, size);
    obj->refs = 1;
    obj->destroy = destroy;
    return obj;
}

void mem_obj_unref(const struct kedge_host *host, void *ptr)
{
    struct mem_obj *obj = ptr;

    if (obj != NULL && --obj->refs == 0)
        obj->destroy(host, obj);
}

size_t mem_seek(const struct mem_index *ix, const void *key, bool after)
{
    int least = after ? 1 : 0; /* of the order of an object and KEY */
    size_t from = 0;
    size_t to = ix->n;

    if (to != 0 && ix->cmp(ix->v[to - 1], key) < least)
        return to; /* what is new mostly comes last */
    while (from < to) {
        size_t mid = from + (to - from) / 2;

        if (ix->cmp(ix->v[mid], key) < least)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

void *mem_find(const struct mem_index *ix, const void *key)
{
    size_t at = mem_seek(ix, key, false);

    return at < ix->n && ix->cmp(ix->v[at], key) == 0 ? ix->v[at] : NULL;
}

static bool reserve(const struct kedge_host *host, void **v, size_t *cap, size_t n, size_t size)
{
    size_t more = *cap == 0 ? 4 : *cap * 2;
    void *grown;

    if (n < *cap)
        return true;
    grown = more > SIZE_MAX / size ? NULL : host->alloc(host->ctx, more * size);
    if (grown == NULL)
        return false;
    if (n != 0)
        memcpy(grown, *v, n * size);
    host->release(host->ctx, *v);
    *v = grown;
    *cap = more;
    return true;
}

static bool has(const struct mem_index *ix, const struct mem_obj *obj)
{
    return obj != NULL && (ix->has == NULL || ix->has(obj));
}

static void swap_one(struct mem_index *ix, struct mem_obj *old, struct mem_obj *new)
{
    size_t at;

    if (has(ix, old)) {
        at = mem_seek(ix, old, false);
        if (has(ix, new) && ix->cmp(old, new) == 0) {
            ix->v[at] = new;
            return;
        }
        ix->n--;
        memmove(&ix->v[at], &ix->v[at + 1], (ix->n - at) * sizeof(struct mem_obj *));
    }
    if (has(ix, new)) {
        at = mem_seek(ix, new, false);
        memmove(&ix->v[at + 1], &ix->v[at], (ix->n - at) * sizeof(struct mem_obj *));
        ix->v[at] = new;
        ix->n++;
    }
}

static void swap(struct mem_table *table, struct mem_obj *old, struct mem_obj *new)
{
    for (size_t i = 0; i < table->n_ix; i++)
        swap_one(&table->ix[i], old, new);
}

int mem_replace(struct mem_log *log, struct mem_table *table, void *old, void *new)
{
    struct mem_obj *added = new;
    void *grown = log->v;
    bool room = reserve(log->host, &grown, &log->cap, log->n, sizeof *log->v);

    log->v = grown;
    for (size_t i = 0; room && i < table->n_ix; i++) {
        struct mem_index *ix = &table->ix[i];

        grown = ix->v;
        room = reserve(log->host, &grown, &ix->cap, ix->n, sizeof(struct mem_obj *));
        ix->v = grown;
    }
    if (!room)
        return KEDGE_ERR_NOMEM;
    if (added != NULL)
        added->refs++;
    swap(table, old, added);
    log->v[log->n++] = (struct mem_change){ table, old, added };
    return KEDGE_OK;
}

void mem_log_keep(struct mem_log *log)
{
    for (size_t i = 0; i < log->n; i++)
        mem_obj_unref(log->host, log->v[i].old);
    log->n = 0;
}

/* What was taken out goes back in: its place is still reserved. */
void mem_log_undo(struct mem_log *log)
{
    while (log->n > 0) {
        struct mem_change *c = &log->v[--log->n];

        swap(c->table, c->new, c->old);
        mem_obj_unref(log->host, c->new);
    }
}

void mem_table_free(const struct kedge_host *host, struct mem_table *table)
{
    for (size_t i = 0; i < table->ix[0].n; i++)
        mem_obj_unref(host, table->ix[0].v[i]);
    for (size_t i = 0; i < table->n_ix; i++) {
        host->release(host->ctx, table->ix[i].v);
        table->ix[i].v = NULL;
        table->ix[i].n = table->ix[i].cap = 0;
    }
}
