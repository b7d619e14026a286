/*
 * stage.c - fetch once, keep, and use the memory again
 *
 * Commits name few things, and the same thing several times in a row: looking from the newest back
 * finds it at once.
 */
#include "stage.h"

/* -------------------------------------------------------------- the memory */

struct kit_scratch *kit_scratch_new(const struct kedge_host *host)
{
    struct kit_scratch *s = host->alloc(host->ctx, sizeof *s);

    if (s != NULL) {
        memset(s, 0, sizeof *s);
        s->host = host;
    }
    return s;
}

static void pool_free(const struct kedge_host *host, struct kit_pool *pool)
{
    for (size_t i = 0; i < pool->made; i++)
        host->release(host->ctx, pool->items[i]);
    host->release(host->ctx, pool->items);
}

void kit_scratch_free(struct kit_scratch *s)
{
    const struct kedge_host *host;

    if (s == NULL)
        return;
    host = s->host;
    pool_free(host, &s->runs);
    pool_free(host, &s->leases);
    pool_free(host, &s->cells);
    pool_free(host, &s->locks);
    pool_free(host, &s->sets);
    pool_free(host, &s->slots);
    host->release(host->ctx, s->changes);
    host->release(host->ctx, s);
}

static bool pool_grow(const struct kedge_host *host, struct kit_pool *pool)
{
    size_t cap = pool->cap == 0 ? 8 : pool->cap * 2;
    void **items = host->alloc(host->ctx, cap * sizeof *items);

    if (items == NULL)
        return false;
    if (pool->made != 0)
        memcpy(items, pool->items, pool->made * sizeof *items);
    host->release(host->ctx, pool->items);
    pool->items = items;
    pool->cap = cap;
    return true;
}

/* An item of SIZE, the same for each call on one pool, its first ZEROED bytes cleared: a head is
   large, and is copied in anyway.  NULL: no memory. */
static void *pool_next(const struct kedge_host *host, struct kit_pool *pool, size_t size,
                       size_t zeroed)
{
    if (pool->n == pool->made) {
        void *item;

        if (pool->made == pool->cap && !pool_grow(host, pool))
            return NULL;
        item = host->alloc(host->ctx, size);
        if (item == NULL)
            return NULL;
        pool->items[pool->made++] = item;
    }
    memset(pool->items[pool->n], 0, zeroed);
    return pool->items[pool->n++];
}

static int reserve_changes(struct kit_scratch *s, size_t n)
{
    size_t cap = s->cap_changes == 0 ? 16 : s->cap_changes;
    struct kit_staged_change *changes;

    if (n <= s->cap_changes)
        return KEDGE_OK;
    while (cap < n)
        cap *= 2;
    changes = s->host->alloc(s->host->ctx, cap * sizeof *changes);
    if (changes == NULL)
        return KEDGE_ERR_NOMEM;
    s->host->release(s->host->ctx, s->changes);
    s->changes = changes;
    s->cap_changes = cap;
    return KEDGE_OK;
}

/* ----------------------------------------------------------------- fetching */

int kit_stage_run(struct kit_plan *plan, struct kedge_bytes id, struct kit_staged_run **out)
{
    struct kit_pool *pool = &plan->scratch->runs;
    struct kit_staged_run *e;
    int rc;

    for (size_t i = pool->n; i > 0; i--) {
        e = pool->items[i - 1];
        if (kit_bytes_equal(e->id, id)) {
            *out = e;
            return KEDGE_OK;
        }
    }
    e = pool_next(plan->scratch->host, pool, sizeof *e, offsetof(struct kit_staged_run, now));
    if (e == NULL)
        return KEDGE_ERR_NOMEM;
    e->id = id;
    rc = plan->step->store->run_get(plan->step->ctx, id, &e->old);
    if (rc == KEDGE_NOT_FOUND)
        e->old = NULL;
    else if (rc != KEDGE_OK)
        return rc;
    else if (!kit_run_expired(e->old, plan->step->now_wall)) {
        e->there = true;
        e->now = *e->old;
    }
    *out = e;
    return KEDGE_OK;
}

int kit_stage_lease(struct kit_plan *plan, const struct kedge_id128 *id,
                    struct kit_staged_lease **out)
{
    struct kit_pool *pool = &plan->scratch->leases;
    struct kit_staged_lease *e;
    int rc;

    for (size_t i = pool->n; i > 0; i--) {
        e = pool->items[i - 1];
        if (kit_id_equal(&e->id, id)) {
            *out = e;
            return KEDGE_OK;
        }
    }
    e = pool_next(plan->scratch->host, pool, sizeof *e, offsetof(struct kit_staged_lease, now));
    if (e == NULL)
        return KEDGE_ERR_NOMEM;
    e->id = *id;
    rc = plan->step->store->lease_get(plan->step->ctx, id, &e->old);
    if (rc == KEDGE_NOT_FOUND)
        e->old = NULL;
    else if (rc != KEDGE_OK)
        return rc;
    *out = e;
    return KEDGE_OK;
}

int kit_stage_cell(struct kit_plan *plan, struct kedge_bytes name, struct kit_staged_cell **out)
{
    struct kit_pool *pool = &plan->scratch->cells;
    struct kit_staged_cell *e;
    int rc;

    for (size_t i = pool->n; i > 0; i--) {
        e = pool->items[i - 1];
        if (kit_bytes_equal(e->name, name)) {
            *out = e;
            return KEDGE_OK;
        }
    }
    e = pool_next(plan->scratch->host, pool, sizeof *e, offsetof(struct kit_staged_cell, now));
    if (e == NULL)
        return KEDGE_ERR_NOMEM;
    e->name = name;
    rc = plan->step->store->cell_get(plan->step->ctx, name, &e->old);
    if (rc == KEDGE_NOT_FOUND)
        e->old = NULL;
    else if (rc != KEDGE_OK)
        return rc;
    else if (e->old->expires == 0 || e->old->expires > plan->step->now_wall) {
        e->there = true;
        e->now = *e->old;
    }
    *out = e;
    return KEDGE_OK;
}

int kit_stage_lock(struct kit_plan *plan, struct kedge_bytes name, struct kit_staged_lock **out)
{
    struct kit_pool *pool = &plan->scratch->locks;
    struct kit_staged_lock *e;
    int rc;

    for (size_t i = pool->n; i > 0; i--) {
        e = pool->items[i - 1];
        if (kit_bytes_equal(e->name, name)) {
            *out = e;
            return KEDGE_OK;
        }
    }
    e = pool_next(plan->scratch->host, pool, sizeof *e, offsetof(struct kit_staged_lock, now));
    if (e == NULL)
        return KEDGE_ERR_NOMEM;
    e->name = name;
    rc = plan->step->store->lock_get(plan->step->ctx, name, &e->old);
    if (rc == KEDGE_NOT_FOUND)
        e->old = NULL;
    else if (rc != KEDGE_OK)
        return rc;
    else {
        e->there = true;
        e->now = *e->old;
    }
    *out = e;
    return KEDGE_OK;
}

int kit_stage_set(struct kit_plan *plan, struct kit_staged_run *run, uint32_t set,
                  struct kit_staged_set **out)
{
    struct kit_pool *pool = &plan->scratch->sets;
    struct kit_staged_set *e;
    int rc = KEDGE_NOT_FOUND;

    for (size_t i = pool->n; i > 0; i--) {
        e = pool->items[i - 1];
        if (e->run == run && e->set == set) {
            *out = e;
            return KEDGE_OK;
        }
    }
    e = pool_next(plan->scratch->host, pool, sizeof *e, offsetof(struct kit_staged_set, now));
    if (e == NULL)
        return KEDGE_ERR_NOMEM;
    e->run = run;
    e->set = set;
    if (!run->created)
        rc = plan->step->store->slots_get(plan->step->ctx, run->now.r.incarnation, set, &e->now);
    if (rc != KEDGE_OK && rc != KEDGE_NOT_FOUND)
        return rc;
    e->there = rc == KEDGE_OK;
    *out = e;
    return KEDGE_OK;
}

int kit_stage_slot(struct kit_plan *plan, struct kit_staged_set *set, uint32_t index)
{
    struct kit_pool *pool = &plan->scratch->slots;

    for (size_t i = pool->n; i > 0; i--) {
        const struct kit_staged_slot *e = pool->items[i - 1];

        if (e->set == set && e->index == index)
            return KEDGE_OK;
    }
    if (set->run->created)
        return KEDGE_NOT_FOUND;
    return plan->step->store->slot_has(plan->step->ctx, set->run->now.r.incarnation, set->set,
                                       index);
}

int kit_stage_slot_put(struct kit_plan *plan, struct kit_staged_set *set, uint32_t index,
                       struct kedge_bytes value)
{
    struct kit_staged_slot *e =
        pool_next(plan->scratch->host, &plan->scratch->slots, sizeof *e, sizeof *e);

    if (e == NULL)
        return KEDGE_ERR_NOMEM;
    e->set = set;
    e->index = index;
    e->value = value;
    return KEDGE_OK;
}

/* ------------------------------------------------------------------ the plan */

static const struct kedge_bytes *first_run(const struct kedge_commit *commit)
{
    for (size_t i = 0; i < commit->n_guards; i++) {
        if (commit->guards[i].kind <= KEDGE_GUARD_POSITION)
            return &commit->guards[i].name;
    }
    for (size_t i = 0; i < commit->n_changes; i++) {
        if (commit->changes[i].kind <= KEDGE_SLOT_PUT)
            return &commit->changes[i].name;
    }
    return NULL;
}

/* The kinds that name a run come first in both lists. */
_Static_assert(KEDGE_GUARD_POSITION < KEDGE_GUARD_LEASE_LIVE, "guards on runs come first");
_Static_assert(KEDGE_SLOT_PUT < KEDGE_CELL_PUT, "changes of runs come first");

int kit_plan_begin(struct kit_plan *plan)
{
    struct kit_scratch *s = plan->scratch;
    const struct kedge_bytes *name = first_run(plan->commit);
    int rc;

    s->runs.n = s->leases.n = s->cells.n = s->locks.n = s->sets.n = s->slots.n = 0;
    rc = reserve_changes(s, plan->commit->n_changes);
    if (rc != KEDGE_OK || name == NULL)
        return rc;
    return kit_stage_run(plan, *name, &plan->subject);
}

int kit_plan_alive(struct kit_plan *plan, const struct kedge_id128 *lease)
{
    struct kit_staged_lease *e;
    int rc = kit_stage_lease(plan, lease, &e);

    if (rc != KEDGE_OK)
        return rc;
    return e->old != NULL && e->old->l.state != KEDGE_LEASE_DEAD ? KEDGE_OK : KEDGE_LOST;
}

int kit_plan_unheld(struct kit_plan *plan, const struct kit_run *run, bool *unheld)
{
    struct kit_staged_lease *e;
    int rc;

    *unheld = true;
    if (run->r.place != KEDGE_PLACE_HELD)
        return KEDGE_OK;
    rc = kit_stage_lease(plan, &run->r.holder, &e);
    if (rc == KEDGE_OK)
        *unheld = kit_run_unheld(run, e->old, plan->step->now_wall);
    return rc;
}

int kit_plan_fail(struct kit_plan *plan, int code, const char *why)
{
    plan->why = why;
    return code;
}
