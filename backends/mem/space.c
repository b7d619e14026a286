/*
 * space.c - the objects of a namespace, their orders, and what the rules read and write
 */
#include <config.h>

#include "space.h"

#include <time.h>
#include <unistd.h>

/* -------------------------------------------------------------------- orders */

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int run_by_id(const void *a, const void *b)
{
    const struct mem_run *x = a;
    const struct mem_run *y = b;

    return kit_bytes_cmp(x->k.r.id, y->k.r.id);
}

static int run_by_age(const void *a, const void *b)
{
    const struct mem_run *x = a;
    const struct mem_run *y = b;

    return ORDER(x->k.r.incarnation, y->k.r.incarnation);
}

/* What waits for a worker: queue, reactor, time. */
static int run_by_work(const void *a, const void *b)
{
    const struct mem_run *x = a;
    const struct mem_run *y = b;
    int order = kit_bytes_cmp(x->k.r.queue, y->k.r.queue);

    if (order == 0)
        order = kit_bytes_cmp(x->k.r.reactor, y->k.r.reactor);
    if (order == 0)
        order = ORDER(x->k.r.due, y->k.r.due);
    return order != 0 ? order : run_by_age(a, b);
}

static bool run_has_due(const void *a)
{
    return ((const struct mem_run *)a)->k.r.due != 0;
}

static int run_by_holder(const void *a, const void *b)
{
    const struct mem_run *x = a;
    const struct mem_run *y = b;
    int order = memcmp(&x->k.r.holder, &y->k.r.holder, sizeof x->k.r.holder);

    return order != 0 ? order : run_by_id(a, b);
}

static bool run_is_held(const void *a)
{
    return ((const struct mem_run *)a)->k.r.place == KEDGE_PLACE_HELD;
}

static int run_by_hold(const void *a, const void *b)
{
    const struct mem_run *x = a;
    const struct mem_run *y = b;
    int order = ORDER(x->k.r.hold_until, y->k.r.hold_until);

    return order != 0 ? order : run_by_age(a, b);
}

static bool run_has_hold(const void *a)
{
    return ((const struct mem_run *)a)->k.r.hold_until != 0;
}

static int run_by_expires(const void *a, const void *b)
{
    const struct mem_run *x = a;
    const struct mem_run *y = b;
    int order = ORDER(x->k.r.expires, y->k.r.expires);

    return order != 0 ? order : run_by_age(a, b);
}

static bool run_has_expires(const void *a)
{
    return ((const struct mem_run *)a)->k.r.expires != 0;
}

static int body_cmp(const void *a, const void *b)
{
    return ORDER(((const struct mem_body *)a)->incarnation,
                 ((const struct mem_body *)b)->incarnation);
}

static int value_cmp(const void *a, const void *b)
{
    return ORDER(((const struct mem_value *)a)->number, ((const struct mem_value *)b)->number);
}

static int set_cmp(const void *a, const void *b)
{
    return ORDER(((const struct mem_set *)a)->set, ((const struct mem_set *)b)->set);
}

static int lease_cmp(const void *a, const void *b)
{
    return memcmp(&((const struct mem_lease *)a)->k.l.id, &((const struct mem_lease *)b)->k.l.id,
                  sizeof(struct kedge_id128));
}

static int cell_by_name(const void *a, const void *b)
{
    return kit_bytes_cmp(((const struct mem_cell *)a)->name, ((const struct mem_cell *)b)->name);
}

static int cell_by_expires(const void *a, const void *b)
{
    const struct mem_cell *x = a;
    const struct mem_cell *y = b;
    int order = ORDER(x->k.expires, y->k.expires);

    return order != 0 ? order : cell_by_name(a, b);
}

static bool cell_has_expires(const void *a)
{
    return ((const struct mem_cell *)a)->k.expires != 0;
}

static int lock_by_name(const void *a, const void *b)
{
    return kit_bytes_cmp(((const struct mem_lock *)a)->name, ((const struct mem_lock *)b)->name);
}

static int lock_by_lease(const void *a, const void *b)
{
    const struct mem_lock *x = a;
    const struct mem_lock *y = b;
    int order = memcmp(&x->k.lease, &y->k.lease, sizeof x->k.lease);

    return order != 0 ? order : lock_by_name(a, b);
}

/* ------------------------------------------------------------------- objects */

static void value_destroy(const struct kedge_host *host, struct mem_obj *obj)
{
    host->release(host->ctx, obj);
}

/* The bytes stand behind the structure: records are many. */
static struct mem_value *value_new(const struct kedge_host *host, uint64_t number,
                                   struct kedge_bytes data)
{
    struct mem_value *value = NULL;

    if (data.len <= SIZE_MAX - sizeof *value)
        value = mem_obj_new(host, sizeof *value + data.len, value_destroy);
    if (value == NULL)
        return NULL;
    if (data.len != 0)
        memcpy(value + 1, data.data, data.len);
    value->number = number;
    value->data = (struct kedge_bytes){ value + 1, data.len };
    return value;
}

static void body_destroy(const struct kedge_host *host, struct mem_obj *obj)
{
    struct mem_body *body = (struct mem_body *)obj;

    mem_table_free(host, &body->records);
    mem_table_free(host, &body->sets);
    mem_table_free(host, &body->slots);
    mem_table_free(host, &body->snapshot);
    host->release(host->ctx, body);
}

static struct mem_body *body_new(const struct kedge_host *host, uint64_t incarnation)
{
    struct mem_body *body = mem_obj_new(host, sizeof *body, body_destroy);

    if (body == NULL)
        return NULL;
    body->incarnation = incarnation;
    body->record_ix[0].cmp = value_cmp;
    body->set_ix[0].cmp = set_cmp;
    body->slot_ix[0].cmp = value_cmp;
    body->snapshot_ix[0].cmp = value_cmp;
    body->records = (struct mem_table){ body->record_ix, 1 };
    body->sets = (struct mem_table){ body->set_ix, 1 };
    body->slots = (struct mem_table){ body->slot_ix, 1 };
    body->snapshot = (struct mem_table){ body->snapshot_ix, 1 };
    return body;
}

static void run_destroy(const struct kedge_host *host, struct mem_obj *obj)
{
    struct mem_run *run = (struct mem_run *)obj;

    mem_obj_unref(host, run->body);
    kedge_mem_free(host, run->mem);
    host->release(host->ctx, run);
}

static struct mem_run *run_new(const struct kedge_host *host, const struct kit_run *in,
                               struct mem_body *body)
{
    struct mem_run *run = mem_obj_new(host, sizeof *run, run_destroy);

    if (run == NULL)
        return NULL;
    run->k = *in;
    run->body = body != NULL ? body : body_new(host, in->r.incarnation);
    if (body != NULL)
        body->obj.refs++;
    if (run->body == NULL || !kit_copy_run(host, &run->mem, &in->r, &run->k.r)) {
        mem_obj_unref(host, run);
        return NULL;
    }
    return run;
}

static void lease_destroy(const struct kedge_host *host, struct mem_obj *obj)
{
    kedge_mem_free(host, ((struct mem_lease *)obj)->mem);
    host->release(host->ctx, obj);
}

static void cell_destroy(const struct kedge_host *host, struct mem_obj *obj)
{
    kedge_mem_free(host, ((struct mem_cell *)obj)->mem);
    host->release(host->ctx, obj);
}

static void lock_destroy(const struct kedge_host *host, struct mem_obj *obj)
{
    kedge_mem_free(host, ((struct mem_lock *)obj)->mem);
    host->release(host->ctx, obj);
}

/* Put NEW for OLD and let the table own it. */
static int put(struct mem_space *space, struct mem_table *table, void *old, void *new)
{
    int rc = new == NULL ? KEDGE_ERR_NOMEM : mem_replace(&space->log, table, old, new);

    mem_obj_unref(space->host, new);
    return rc;
}

/* ------------------------------------------------------------------- lookups */

static struct mem_run *up_to_date(struct mem_run *run)
{
    if (run != NULL)
        kit_run_load(&run->k, run->body->record_ix[0].n);
    return run;
}

struct mem_run *mem_run_any(struct mem_space *space, struct kedge_bytes id)
{
    struct mem_run key;

    key.k.r.id = id;
    return up_to_date(mem_find(&space->run_ix[RUN_BY_ID], &key));
}

struct mem_run *mem_run_find(struct mem_space *space, struct kedge_bytes id, uint64_t incarnation)
{
    struct mem_run *run = mem_run_any(space, id);

    if (run == NULL || kit_run_expired(&run->k, space->now_wall) ||
        (incarnation != 0 && incarnation != run->k.r.incarnation))
        return NULL;
    return run;
}

struct mem_run *mem_run_at(struct mem_space *space, int order, size_t at)
{
    struct mem_index *ix = &space->run_ix[order];

    return at < ix->n ? up_to_date((struct mem_run *)ix->v[at]) : NULL;
}

struct mem_lease *mem_lease_find(struct mem_space *space, const struct kedge_id128 *id)
{
    struct mem_lease key;

    key.k.l.id = *id;
    return mem_find(&space->lease_ix[0], &key);
}

struct mem_set *mem_set_find(struct mem_body *body, uint32_t set)
{
    struct mem_set key;

    key.set = set;
    return mem_find(&body->set_ix[0], &key);
}

size_t mem_held_from(struct mem_space *space, const struct kedge_id128 *holder,
                     struct kedge_bytes after)
{
    struct mem_run key;

    key.k.r.holder = *holder;
    key.k.r.id = after;
    return mem_seek(&space->run_ix[RUN_BY_HOLDER], &key, true);
}

size_t mem_locks_from(struct mem_space *space, const struct kedge_id128 *holder,
                      struct kedge_bytes after)
{
    struct mem_lock key;

    key.k.lease = *holder;
    key.name = after;
    return mem_seek(&space->lock_ix[LOCK_BY_LEASE], &key, true);
}

static struct mem_body *body_of(struct mem_space *space, uint64_t incarnation)
{
    struct mem_run key;
    struct mem_run *run;

    key.k.r.incarnation = incarnation;
    run = mem_find(&space->run_ix[RUN_BY_AGE], &key);
    return run != NULL ? run->body : NULL;
}

/* ------------------------------------------------- what the rules read and write */

static int run_get(void *ctx, struct kedge_bytes id, const struct kit_run **out)
{
    struct mem_run *run = mem_run_any(ctx, id);

    if (run == NULL)
        return KEDGE_NOT_FOUND;
    *out = &run->k;
    return KEDGE_OK;
}

static int record_request(void *ctx, const struct kit_run *run, uint64_t number,
                          struct kedge_id128 *out)
{
    struct mem_body *body = body_of(ctx, run->r.incarnation);

    if (body == NULL || number == 0 || number > body->record_ix[0].n)
        return KEDGE_ERR_CORRUPT;
    *out = ((const struct mem_value *)body->record_ix[0].v[number - 1])->request;
    return KEDGE_OK;
}

static int lease_get(void *ctx, const struct kedge_id128 *id, const struct kit_lease **out)
{
    struct mem_lease *lease = mem_lease_find(ctx, id);

    if (lease == NULL)
        return KEDGE_NOT_FOUND;
    *out = &lease->k;
    return KEDGE_OK;
}

static struct mem_cell *cell_find(struct mem_space *space, struct kedge_bytes name)
{
    struct mem_cell key;

    key.name = name;
    return mem_find(&space->cell_ix[CELL_BY_NAME], &key);
}

static int cell_get(void *ctx, struct kedge_bytes name, const struct kit_cell **out)
{
    struct mem_cell *cell = cell_find(ctx, name);

    if (cell == NULL)
        return KEDGE_NOT_FOUND;
    *out = &cell->k;
    return KEDGE_OK;
}

static struct mem_lock *lock_find(struct mem_space *space, struct kedge_bytes name)
{
    struct mem_lock key;

    key.name = name;
    return mem_find(&space->lock_ix[LOCK_BY_NAME], &key);
}

static int lock_get(void *ctx, struct kedge_bytes name, const struct kit_lock **out)
{
    struct mem_lock *lock = lock_find(ctx, name);

    if (lock == NULL)
        return KEDGE_NOT_FOUND;
    *out = &lock->k;
    return KEDGE_OK;
}

static int slots_get(void *ctx, uint64_t incarnation, uint32_t set, struct kit_slots *out)
{
    struct mem_body *body = body_of(ctx, incarnation);
    struct mem_set *found = body != NULL ? mem_set_find(body, set) : NULL;

    if (found == NULL)
        return KEDGE_NOT_FOUND;
    *out = found->slots;
    return KEDGE_OK;
}

static uint64_t slot_number(uint32_t set, uint32_t index)
{
    return (uint64_t)set << 32 | index;
}

static int slot_has(void *ctx, uint64_t incarnation, uint32_t set, uint32_t index)
{
    struct mem_body *body = body_of(ctx, incarnation);
    struct mem_value key;

    key.number = slot_number(set, index);
    if (body == NULL || mem_find(&body->slot_ix[0], &key) == NULL)
        return KEDGE_NOT_FOUND;
    return KEDGE_OK;
}

static uint64_t fence_next(void *ctx)
{
    struct mem_space *space = ctx;
    uint64_t now = space->now_wall > 0 ? (uint64_t)space->now_wall : 0;

    space->fence = now > space->fence ? now : space->fence + 1;
    return space->fence;
}

static int run_put(void *ctx, const struct kit_run *old, const struct kit_run *run)
{
    struct mem_space *space = ctx;
    struct mem_run *before = old != NULL ? mem_run_any(space, old->r.id) : NULL;

    if (old != NULL && before == NULL)
        return KEDGE_ERR_CORRUPT;
    return put(space, &space->runs, before,
               run_new(space->host, run, before != NULL ? before->body : NULL));
}

static int run_drop(void *ctx, const struct kit_run *run)
{
    struct mem_space *space = ctx;
    struct mem_run *before = mem_run_any(space, run->r.id);
    int rc;

    if (before == NULL)
        return KEDGE_ERR_CORRUPT;
    rc = mem_replace(&space->log, &space->doomed, NULL, before->body);
    return rc == KEDGE_OK ? mem_replace(&space->log, &space->runs, before, NULL) : rc;
}

static int append(void *ctx, const struct kit_run *run, uint64_t first,
                  const struct kedge_bytes *records, size_t n, const struct kedge_id128 *request,
                  int64_t now_wall)
{
    struct mem_space *space = ctx;
    struct mem_body *body = body_of(space, run->r.incarnation);

    if (body == NULL || first != body->record_ix[0].n + 1)
        return KEDGE_ERR_CORRUPT;
    for (size_t i = 0; i < n; i++) {
        struct mem_value *record = value_new(space->host, first + i, records[i]);
        int rc;

        if (record != NULL) {
            record->request = *request;
            record->time = now_wall;
        }
        rc = put(space, &body->records, NULL, record);
        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

static int snapshot_put(void *ctx, const struct kit_run *run, struct kedge_bytes data)
{
    struct mem_space *space = ctx;
    struct mem_body *body = body_of(space, run->r.incarnation);

    if (body == NULL)
        return KEDGE_ERR_CORRUPT;
    return put(space, &body->snapshot,
               body->snapshot_ix[0].n != 0 ? body->snapshot_ix[0].v[0] : NULL,
               value_new(space->host, 0, data));
}

static int slots_put(void *ctx, uint64_t incarnation, uint32_t set, const struct kit_slots *slots)
{
    struct mem_space *space = ctx;
    struct mem_body *body = body_of(space, incarnation);
    struct mem_set *new;

    if (body == NULL)
        return KEDGE_ERR_CORRUPT;
    new = mem_obj_new(space->host, sizeof *new, value_destroy);
    if (new != NULL) {
        new->set = set;
        new->slots = *slots;
    }
    return put(space, &body->sets, mem_set_find(body, set), new);
}

static int slot_put(void *ctx, uint64_t incarnation, uint32_t set, uint32_t index,
                    struct kedge_bytes value)
{
    struct mem_space *space = ctx;
    struct mem_body *body = body_of(space, incarnation);

    if (body == NULL)
        return KEDGE_ERR_CORRUPT;
    return put(space, &body->slots, NULL, value_new(space->host, slot_number(set, index), value));
}

static int cell_put(void *ctx, struct kedge_bytes name, const struct kit_cell *old,
                    const struct kit_cell *cell)
{
    struct mem_space *space = ctx;
    struct mem_cell *new = mem_obj_new(space->host, sizeof *new, cell_destroy);

    (void)old;
    if (new == NULL)
        return KEDGE_ERR_NOMEM;
    new->k = *cell;
    if (!kit_copy(space->host, &new->mem, name, &new->name) ||
        !kit_copy(space->host, &new->mem, cell->value, &new->k.value)) {
        mem_obj_unref(space->host, new);
        return KEDGE_ERR_NOMEM;
    }
    return put(space, &space->cells, cell_find(space, name), new);
}

static int cell_delete(void *ctx, struct kedge_bytes name, const struct kit_cell *old)
{
    struct mem_space *space = ctx;

    (void)old;
    return mem_replace(&space->log, &space->cells, cell_find(space, name), NULL);
}

static int lock_put(void *ctx, struct kedge_bytes name, const struct kit_lock *old,
                    const struct kit_lock *lock)
{
    struct mem_space *space = ctx;
    struct mem_lock *new = mem_obj_new(space->host, sizeof *new, lock_destroy);

    (void)old;
    if (new == NULL)
        return KEDGE_ERR_NOMEM;
    new->k = *lock;
    if (!kit_copy(space->host, &new->mem, name, &new->name)) {
        mem_obj_unref(space->host, new);
        return KEDGE_ERR_NOMEM;
    }
    return put(space, &space->locks, lock_find(space, name), new);
}

static int lock_delete(void *ctx, struct kedge_bytes name, const struct kit_lock *old)
{
    struct mem_space *space = ctx;

    (void)old;
    return mem_replace(&space->log, &space->locks, lock_find(space, name), NULL);
}

int mem_lease_put(struct mem_space *space, const struct kit_lease *lease)
{
    struct mem_lease *new = mem_obj_new(space->host, sizeof *new, lease_destroy);

    if (new == NULL)
        return KEDGE_ERR_NOMEM;
    new->k = *lease;
    if (!kit_copy_lease(space->host, &new->mem, &lease->l, &new->k.l)) {
        mem_obj_unref(space->host, new);
        return KEDGE_ERR_NOMEM;
    }
    return put(space, &space->leases, mem_lease_find(space, &lease->l.id), new);
}

static int lease_put(void *ctx, const struct kit_lease *lease)
{
    return mem_lease_put(ctx, lease);
}

static void work(void *ctx)
{
    struct mem_space *space = ctx;

    space->ticket++;
    (void)pthread_cond_broadcast(&space->changed);
}

const struct kit_store mem_kit = {
    .run_get = run_get,
    .record_request = record_request,
    .lease_get = lease_get,
    .cell_get = cell_get,
    .lock_get = lock_get,
    .slots_get = slots_get,
    .slot_has = slot_has,
    .fence_next = fence_next,
    .run_put = run_put,
    .run_drop = run_drop,
    .append = append,
    .snapshot_put = snapshot_put,
    .slots_put = slots_put,
    .slot_put = slot_put,
    .cell_put = cell_put,
    .cell_delete = cell_delete,
    .lock_put = lock_put,
    .lock_delete = lock_delete,
    .lease_put = lease_put,
    .work = work,
};

/* ---------------------------------------------------------------- a namespace */

static void set_orders(struct mem_space *space)
{
    static const struct mem_index run_ix[RUN_N] = {
        [RUN_BY_ID] = { .cmp = run_by_id },
        [RUN_BY_AGE] = { .cmp = run_by_age },
        [RUN_BY_WORK] = { .cmp = run_by_work, .has = run_has_due },
        [RUN_BY_HOLDER] = { .cmp = run_by_holder, .has = run_is_held },
        [RUN_BY_HOLD] = { .cmp = run_by_hold, .has = run_has_hold },
        [RUN_BY_EXPIRES] = { .cmp = run_by_expires, .has = run_has_expires },
    };

    memcpy(space->run_ix, run_ix, sizeof run_ix);
    space->doomed_ix[0].cmp = body_cmp;
    space->lease_ix[0].cmp = lease_cmp;
    space->cell_ix[CELL_BY_NAME].cmp = cell_by_name;
    space->cell_ix[CELL_BY_EXPIRES].cmp = cell_by_expires;
    space->cell_ix[CELL_BY_EXPIRES].has = cell_has_expires;
    space->lock_ix[LOCK_BY_NAME].cmp = lock_by_name;
    space->lock_ix[LOCK_BY_LEASE].cmp = lock_by_lease;
    space->runs = (struct mem_table){ space->run_ix, RUN_N };
    space->doomed = (struct mem_table){ space->doomed_ix, 1 };
    space->leases = (struct mem_table){ space->lease_ix, 1 };
    space->cells = (struct mem_table){ space->cell_ix, CELL_N };
    space->locks = (struct mem_table){ space->lock_ix, LOCK_N };
}

static bool sync_init(struct mem_space *space)
{
    pthread_condattr_t attr;
    bool ok;

    if (pthread_condattr_init(&attr) != 0)
        return false;
    ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
         pthread_cond_init(&space->changed, &attr) == 0;
    (void)pthread_condattr_destroy(&attr);
    if (ok && pthread_mutex_init(&space->lock, NULL) != 0) {
        (void)pthread_cond_destroy(&space->changed);
        ok = false;
    }
    return ok;
}

struct mem_space *mem_space_new(const struct kedge_host *host, struct kedge_bytes name,
                                struct kedge_bytes ns)
{
    struct mem_space *space = host->alloc(host->ctx, sizeof *space);

    if (space == NULL)
        return NULL;
    memset(space, 0, sizeof *space);
    space->host = host;
    space->log.host = host;
    space->ticket = 1;
    space->lease_clock = INT64_MIN;
    set_orders(space);
    space->scratch = kit_scratch_new(host);
    if (space->scratch == NULL || !kit_copy(host, &space->mem, name, &space->name) ||
        !kit_copy(host, &space->mem, ns, &space->ns) || !sync_init(space)) {
        kit_scratch_free(space->scratch);
        kedge_mem_free(host, space->mem);
        host->release(host->ctx, space);
        return NULL;
    }
    return space;
}

void mem_space_free(struct mem_space *space)
{
    const struct kedge_host *host = space->host;

    mem_table_free(host, &space->runs);
    mem_table_free(host, &space->doomed);
    mem_table_free(host, &space->leases);
    mem_table_free(host, &space->cells);
    mem_table_free(host, &space->locks);
    mem_hints_free(space);
    host->release(host->ctx, space->log.v);
    kit_scratch_free(space->scratch);
    (void)pthread_mutex_destroy(&space->lock);
    (void)pthread_cond_destroy(&space->changed);
    kedge_mem_free(host, space->mem);
    host->release(host->ctx, space);
}

/* -------------------------------------------------------------------- a step */

static int lock_in_time(struct mem_space *space, int64_t timeout_us)
{
    struct timespec until;

    if (pthread_mutex_trylock(&space->lock) == 0)
        return KEDGE_OK;
    if (clock_gettime(CLOCK_REALTIME, &until) != 0)
        return KEDGE_ERR_UNAVAILABLE;
    if (timeout_us > INT64_C(86400000000))
        timeout_us = INT64_C(86400000000);
    until.tv_sec += (time_t)(timeout_us / 1000000);
    until.tv_nsec += (long)(timeout_us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return pthread_mutex_timedlock(&space->lock, &until) == 0 ? KEDGE_OK : KEDGE_ERR_UNAVAILABLE;
}

/* The lease clock stepped back: whoever notices first stamps all leases anew. */
static void restamp(struct mem_space *space, int64_t now_lease)
{
    if (now_lease < space->lease_clock) {
        for (size_t i = 0; i < space->lease_ix[0].n; i++)
            (void)kit_lease_restamp(&((struct mem_lease *)space->lease_ix[0].v[i])->k, now_lease);
    }
    space->lease_clock = now_lease;
}

int mem_begin(struct mem_session *session, struct kit_step *step, int64_t timeout_us,
              struct kedge_error *err)
{
    struct mem_handle *handle = session->handle;
    struct mem_space *space = handle->space;
    const struct kedge_host *host = handle->host;
    int rc = kit_check_timeout(timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    if (handle->pid != getpid())
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "the store was opened before fork() and cannot be used after it");
    rc = lock_in_time(space, timeout_us);
    if (rc != KEDGE_OK)
        return kedge_error_set(err, rc, 0, "other threads kept the store busy until the timeout");
    *step = (struct kit_step){
        .store = &mem_kit,
        .ctx = space,
        .host = space->host,
        .now_wall = host->clock_us(host->ctx, KEDGE_CLOCK_WALL),
        .now_lease = host->clock_us(host->ctx, KEDGE_CLOCK_LEASE),
        .scratch = space->scratch,
    };
    space->now_wall = step->now_wall;
    restamp(space, step->now_lease);
    return KEDGE_OK;
}

int mem_end(struct kit_step *step, int rc, struct kedge_error *err)
{
    struct mem_space *space = step->ctx;

    if (rc < 0)
        mem_log_undo(&space->log);
    else
        mem_log_keep(&space->log);
    (void)pthread_mutex_unlock(&space->lock);
    if (rc == KEDGE_ERR_NOMEM)
        return kedge_error_set(err, rc, 0, "out of memory");
    if (rc == KEDGE_ERR_CORRUPT)
        return kedge_error_set(err, rc, 0, "the tables of the store contradict each other");
    return rc;
}
