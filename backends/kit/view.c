/* view.c - rows of a store that is elsewhere; see view.h for the invariants */
#include "view.h"

/* ---------------------------------------------------------------- memory */

void kit_view_init(struct view *v, const struct kedge_host *host)
{
    memset(v, 0, sizeof *v);
    v->host = host;
}

void kit_view_clear(struct view *v)
{
    kedge_mem_free(v->host, v->mem);
    v->mem = NULL;
    v->rows.n = v->asked.n = v->expects.n = v->writes.n = v->undo.n = 0;
    if (v->buckets != NULL)
        memset(v->buckets, 0, v->n_buckets * sizeof(struct view_row *));
    v->decision = 0;
    v->n_fences = 0;
    v->no_memory = v->missed = v->work = false;
}

void kit_view_fini(struct view *v)
{
    kedge_mem_free(v->host, v->mem);
    v->host->release(v->host->ctx, v->rows.items);
    v->host->release(v->host->ctx, v->asked.items);
    v->host->release(v->host->ctx, v->expects.items);
    v->host->release(v->host->ctx, v->writes.items);
    v->host->release(v->host->ctx, v->undo.items);
    v->host->release(v->host->ctx, v->buckets);
}

void *kit_view_push(struct view *v, struct view_list *list, size_t size)
{
    if (list->n == list->cap) {
        size_t cap = list->cap == 0 ? 32 : list->cap * 2;
        void *items = v->host->alloc(v->host->ctx, cap * size);

        if (items == NULL) {
            v->no_memory = true;
            return NULL;
        }
        if (list->n != 0)
            memcpy(items, list->items, list->n * size);
        v->host->release(v->host->ctx, list->items);
        list->items = items;
        list->cap = cap;
    }
    return memset((char *)list->items + size * list->n++, 0, size);
}

static void *view_alloc(struct view *v, size_t size)
{
    void *p = kedge_mem_alloc(v->host, &v->mem, size);

    if (p == NULL)
        v->no_memory = true;
    return p;
}

/* A version of its own of what IN points to; NULL: no memory. */
static void *version(struct view *v, const void *in, size_t size)
{
    void *p = view_alloc(v, size);

    return p == NULL ? NULL : memcpy(p, in, size);
}

/* --------------------------------------------------------------- finding */

static size_t mix(size_t h, const void *data, size_t len)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * (size_t)1099511628211u;
    return h;
}

static size_t row_hash(const struct kit_row *r)
{
    size_t h = mix((size_t)14695981039346656037u, &r->kind, sizeof r->kind);

    h = mix(h, r->name.data, r->name.len);
    h = mix(h, r->lease_id.b, sizeof r->lease_id.b);
    h = mix(h, &r->of, sizeof(struct kit_row *));
    h = mix(h, &r->set, sizeof r->set);
    h = mix(h, &r->index, sizeof r->index);
    return mix(h, &r->number, sizeof r->number);
}

static bool row_is(const struct kit_row *a, const struct kit_row *b)
{
    return a->kind == b->kind && a->of == b->of && a->set == b->set && a->index == b->index &&
           a->number == b->number && kit_id_equal(&a->lease_id, &b->lease_id) &&
           kit_bytes_equal(a->name, b->name);
}

static bool buckets_grow(struct view *v)
{
    size_t n = v->n_buckets == 0 ? 64 : v->n_buckets * 4;
    struct view_row **buckets = v->host->alloc(v->host->ctx, n * sizeof(struct view_row *));
    struct view_row **rows = v->rows.items;

    if (buckets == NULL)
        return false;
    memset(buckets, 0, n * sizeof(struct view_row *));
    for (size_t i = 0; i < v->rows.n; i++) {
        struct view_row **at = &buckets[row_hash(&rows[i]->r) & (n - 1)];

        rows[i]->chain = *at;
        *at = rows[i];
    }
    v->host->release(v->host->ctx, v->buckets);
    v->buckets = buckets;
    v->n_buckets = n;
    return true;
}

static struct view_row *find(struct view *v, const struct kit_row *key)
{
    size_t h = row_hash(key);
    struct view_row **at;
    struct view_row **slot;
    struct view_row *row;

    if (v->n_buckets <= v->rows.n && !buckets_grow(v)) {
        v->no_memory = true;
        return NULL;
    }
    at = &v->buckets[h & (v->n_buckets - 1)];
    for (row = *at; row != NULL; row = row->chain)
        if (row_is(&row->r, key))
            return row;
    row = view_alloc(v, sizeof *row);
    slot = row == NULL ? NULL : kit_view_push(v, &v->rows, sizeof(struct view_row *));
    if (slot == NULL)
        return NULL;
    memset(row, 0, sizeof *row);
    row->r = *key;
    row->chain = *at;
    *at = *slot = row;
    return row;
}

struct view_row *kit_view_named(struct view *v, uint32_t kind, struct kedge_bytes name)
{
    return find(v, &(struct kit_row){ .kind = kind, .name = name });
}

struct view_row *kit_view_run(struct view *v, struct kedge_bytes id)
{
    return kit_view_named(v, KIT_ROW_RUN, id);
}

struct view_row *kit_view_lease(struct view *v, const struct kedge_id128 *id)
{
    return find(v, &(struct kit_row){ .kind = KIT_ROW_LEASE, .lease_id = *id });
}

struct view_row *kit_view_set(struct view *v, struct view_row *of, uint32_t set)
{
    return find(v, &(struct kit_row){ .kind = KIT_ROW_SET, .of = &of->r, .set = set });
}

struct view_row *kit_view_slot(struct view *v, struct view_row *of, uint32_t set, uint32_t index)
{
    return find(v, &(struct kit_row){
                       .kind = KIT_ROW_SLOT, .of = &of->r, .set = set, .index = index });
}

void kit_view_ask(struct view *v, struct view_row *row)
{
    struct kit_row **slot;

    if (row->asked || row->pending)
        return;
    /* Before it the run it belongs to: a look goes through the list in order. */
    if (row->r.of != NULL)
        kit_view_ask(v, (struct view_row *)row->r.of);
    slot = kit_view_push(v, &v->asked, sizeof(struct kit_row *));
    if (slot == NULL)
        return;
    *slot = &row->r;
    row->asked = true;
}

/* --------------------------------------------------------------- looking */

static uint64_t stamp_of(const struct kit_row *r)
{
    switch (r->kind) {
    case KIT_ROW_RUN:
        return r->run->head_revision;
    case KIT_ROW_LEASE:
        return r->lease->l.state == KEDGE_LEASE_DEAD;
    case KIT_ROW_CELL:
        return r->cell->version;
    case KIT_ROW_LOCK:
        return r->lock->fence;
    default:
        return r->slots.remaining;
    }
}

/* OK: known, and noted; else what the callback answers. */
static int looked(struct view *v, struct view_row *row)
{
    struct kit_expect *e;

    if (row == NULL)
        return KEDGE_ERR_NOMEM;
    if (row->r.known == 0) {
        v->missed = true;
        kit_view_ask(v, row);
        return KIT_MISSED;
    }
    if (row->r.fault != 0)
        return row->r.fault;
    if (row->looked_by == v->decision || row->r.kind >= KIT_ROW_SLOT)
        return KEDGE_OK;
    e = kit_view_push(v, &v->expects, sizeof *e);
    if (e == NULL)
        return KEDGE_ERR_NOMEM;
    row->looked_by = v->decision;
    e->row = &row->r;
    e->there = row->r.there;
    if (!e->there)
        return KEDGE_OK;
    e->stamp = stamp_of(&row->r);
    if (row->r.kind == KIT_ROW_CELL)
        e->expires = row->r.cell->expires;
    if (row->r.kind == KIT_ROW_RUN) {
        e->run = row->r.run;
        e->incarnation = row->r.run->r.incarnation;
        e->position = row->r.run->r.position;
    }
    return KEDGE_OK;
}

static int v_run_get(void *ctx, struct kedge_bytes id, const struct kit_run **out)
{
    struct view_row *row = kit_view_run(ctx, id);
    int rc = looked(ctx, row);

    if (rc != KEDGE_OK)
        return rc;
    *out = row->r.run;
    return row->r.there ? KEDGE_OK : KEDGE_NOT_FOUND;
}

static int v_lease_get(void *ctx, const struct kedge_id128 *id, const struct kit_lease **out)
{
    struct view_row *row = kit_view_lease(ctx, id);
    int rc = looked(ctx, row);

    if (rc != KEDGE_OK)
        return rc;
    *out = row->r.lease;
    return row->r.there ? KEDGE_OK : KEDGE_NOT_FOUND;
}

static int v_cell_get(void *ctx, struct kedge_bytes name, const struct kit_cell **out)
{
    struct view_row *row = kit_view_named(ctx, KIT_ROW_CELL, name);
    int rc = looked(ctx, row);

    if (rc != KEDGE_OK)
        return rc;
    *out = row->r.cell;
    return row->r.there ? KEDGE_OK : KEDGE_NOT_FOUND;
}

static int v_lock_get(void *ctx, struct kedge_bytes name, const struct kit_lock **out)
{
    struct view_row *row = kit_view_named(ctx, KIT_ROW_LOCK, name);
    int rc = looked(ctx, row);

    if (rc != KEDGE_OK)
        return rc;
    *out = row->r.lock;
    return row->r.there ? KEDGE_OK : KEDGE_NOT_FOUND;
}

static int v_record_request(void *ctx, const struct kit_run *run, uint64_t number,
                            struct kedge_id128 *out)
{
    struct view *v = ctx;
    struct view_row *of = kit_view_run(v, run->r.id);
    struct view_row *row;
    int rc;

    for (const struct view_append *a = of == NULL ? NULL : of->appends; a != NULL; a = a->next) {
        if (number >= a->first && number - a->first < a->n) {
            *out = a->request;
            return KEDGE_OK;
        }
    }
    row =
        of == NULL
            ? NULL
            : find(v, &(struct kit_row){ .kind = KIT_ROW_RECORD, .of = &of->r, .number = number });
    rc = looked(v, row);
    if (rc != KEDGE_OK)
        return rc;
    *out = row->r.request;
    return row->r.there ? KEDGE_OK : KEDGE_NOT_FOUND;
}

/* The run of that incarnation: one the decision has looked at, or the parent a slot names. */
static struct view_row *run_of(struct view *v, uint64_t incarnation)
{
    struct view_row **rows = v->rows.items;

    for (size_t i = v->rows.n; i > 0; i--) {
        struct view_row *row = rows[i - 1];

        if (row->r.kind == KIT_ROW_RUN && row->r.there && row->r.known != 0 &&
            row->r.run->r.incarnation == incarnation)
            return row;
    }
    for (size_t i = 0; v->commit != NULL && i < v->commit->n_changes; i++) {
        const struct kedge_change *ch = &v->commit->changes[i];

        if (ch->kind == KEDGE_SLOT_PUT && ch->slot.incarnation == incarnation)
            return kit_view_run(v, ch->name);
    }
    return NULL;
}

static int v_slots_get(void *ctx, uint64_t incarnation, uint32_t set, struct kit_slots *out)
{
    struct view *v = ctx;
    struct view_row *of = run_of(v, incarnation);
    struct view_row *row;
    int rc = of == NULL ? KEDGE_NOT_FOUND : looked(v, of);

    if (rc != KEDGE_OK)
        return v->no_memory ? KEDGE_ERR_NOMEM : rc;
    if (!of->r.there || of->r.run->r.incarnation != incarnation)
        return KEDGE_NOT_FOUND;
    row = kit_view_set(v, of, set);
    rc = looked(v, row);
    if (rc != KEDGE_OK)
        return rc;
    *out = row->r.slots;
    return row->r.there ? KEDGE_OK : KEDGE_NOT_FOUND;
}

static int v_slot_has(void *ctx, uint64_t incarnation, uint32_t set, uint32_t index)
{
    struct view *v = ctx;
    struct view_row *of = run_of(v, incarnation);
    struct view_row *row = of == NULL ? NULL : kit_view_slot(v, of, set, index);
    int rc = looked(v, row);

    if (rc != KEDGE_OK)
        return rc;
    return row->r.there ? KEDGE_OK : KEDGE_NOT_FOUND;
}

/* --------------------------------------------------------------- writing */

static uint64_t v_fence_next(void *ctx)
{
    struct view *v = ctx;

    return KIT_PLACE_BASE + v->n_fences++;
}

/* Note a write to ROW, which is saved first.  NULL: no memory. */
static struct kit_write *write_to(struct view *v, struct view_row *row, uint32_t kind)
{
    struct view_saved *saved =
        row == NULL ? NULL : kit_view_push(v, &v->undo, sizeof(struct view_saved));
    struct kit_write *w = saved == NULL ? NULL : kit_view_push(v, &v->writes, sizeof *w);

    if (w == NULL) {
        if (saved != NULL)
            v->undo.n--;
        return NULL;
    }
    saved->row = row;
    saved->was.r = row->r;
    saved->was.appends = row->appends;
    w->kind = kind;
    w->row = &row->r;
    if (v->commit != NULL)
        w->request = v->commit->request;
    return w;
}

static int v_run_put(void *ctx, const struct kit_run *old, const struct kit_run *run)
{
    struct view *v = ctx;
    struct view_row *row = kit_view_run(v, run->r.id);
    struct kit_write *w = write_to(v, row, KIT_WRITE_RUN);
    struct kit_run *now = w == NULL ? NULL : version(v, run, sizeof *now);

    if (now == NULL)
        return KEDGE_ERR_NOMEM;
    w->run_old = old;
    w->run_new = now;
    row->r.run = now;
    row->r.there = true;
    return KEDGE_OK;
}

static int v_run_drop(void *ctx, const struct kit_run *run)
{
    struct view *v = ctx;
    struct view_row *row = kit_view_run(v, run->r.id);
    struct kit_write *w = write_to(v, row, KIT_WRITE_DROP);

    if (w == NULL)
        return KEDGE_ERR_NOMEM;
    w->run_old = run;
    row->r.there = false;
    row->appends = NULL;
    return KEDGE_OK;
}

static int v_append(void *ctx, const struct kit_run *run, uint64_t first,
                    const struct kedge_bytes *records, size_t n, const struct kedge_id128 *request,
                    int64_t now_wall)
{
    struct view *v = ctx;
    struct view_row *row = kit_view_run(v, run->r.id);
    struct kit_write *w = write_to(v, row, KIT_WRITE_APPEND);
    struct view_append *a = w == NULL ? NULL : view_alloc(v, sizeof *a);
    uint64_t last = first + n - 1;

    if (a == NULL)
        return KEDGE_ERR_NOMEM;
    *a = (struct view_append){ row->appends, first, n, *request };
    row->appends = a;
    if (row->r.run->r.position < last) { /* a plain append: the head is not written */
        struct kit_run *now = version(v, row->r.run, sizeof *now);

        if (now == NULL)
            return KEDGE_ERR_NOMEM;
        kit_run_load(now, last);
        row->r.run = now;
    }
    w->run_new = row->r.run;
    w->number = first;
    w->records = records;
    w->n = n;
    w->request = *request;
    w->time = now_wall;
    return KEDGE_OK;
}

static int v_snapshot_put(void *ctx, const struct kit_run *run, struct kedge_bytes data)
{
    struct view *v = ctx;
    struct view_row *row = kit_view_run(v, run->r.id);
    struct kit_write *w = write_to(v, row, KIT_WRITE_SNAPSHOT);

    if (w == NULL)
        return KEDGE_ERR_NOMEM;
    w->run_new = row->r.run;
    w->value = data;
    return KEDGE_OK;
}

static int v_slots_put(void *ctx, uint64_t incarnation, uint32_t set, const struct kit_slots *slots)
{
    struct view *v = ctx;
    struct view_row *of = run_of(v, incarnation);
    struct view_row *row = of == NULL ? NULL : kit_view_set(v, of, set);
    struct kit_write *w = write_to(v, row, KIT_WRITE_SET);

    if (row == NULL || w == NULL)
        return KEDGE_ERR_NOMEM;
    if (row->r.there)
        w->slots_old = row->r.slots;
    w->slots_new = *slots;
    if (row->r.known == 0) { /* of a run created just now: nobody had to look */
        row->r.known = 1;
        row->r.guessed = true;
    }
    row->r.slots = *slots;
    row->r.there = true;
    return KEDGE_OK;
}

static int v_slot_put(void *ctx, uint64_t incarnation, uint32_t set, uint32_t index,
                      struct kedge_bytes value)
{
    struct view *v = ctx;
    struct view_row *of = run_of(v, incarnation);
    struct view_row *row = of == NULL ? NULL : kit_view_slot(v, of, set, index);
    struct kit_write *w = write_to(v, row, KIT_WRITE_SLOT);
    struct view_row *whole = w == NULL ? NULL : kit_view_set(v, of, set);

    if (row == NULL || whole == NULL)
        return KEDGE_ERR_NOMEM;
    w->row = &whole->r;
    w->index = index;
    w->value = value;
    if (row->r.known == 0) {
        row->r.known = 1;
        row->r.guessed = true;
    }
    row->r.there = true;
    return KEDGE_OK;
}

static int v_cell_put(void *ctx, struct kedge_bytes name, const struct kit_cell *old,
                      const struct kit_cell *cell)
{
    struct view *v = ctx;
    struct view_row *row = kit_view_named(v, KIT_ROW_CELL, name);
    struct kit_write *w = write_to(v, row, KIT_WRITE_CELL);
    struct kit_cell *now = w == NULL ? NULL : version(v, cell, sizeof *now);

    if (now == NULL)
        return KEDGE_ERR_NOMEM;
    w->cell_old = old;
    w->cell_new = now;
    row->r.cell = now;
    row->r.there = true;
    return KEDGE_OK;
}

static int v_cell_delete(void *ctx, struct kedge_bytes name, const struct kit_cell *old)
{
    struct view *v = ctx;
    struct view_row *row = kit_view_named(v, KIT_ROW_CELL, name);
    struct kit_write *w = write_to(v, row, KIT_WRITE_CELL_GONE);

    if (w == NULL)
        return KEDGE_ERR_NOMEM;
    w->cell_old = old;
    row->r.there = false;
    return KEDGE_OK;
}

static int v_lock_put(void *ctx, struct kedge_bytes name, const struct kit_lock *old,
                      const struct kit_lock *lock)
{
    struct view *v = ctx;
    struct view_row *row = kit_view_named(v, KIT_ROW_LOCK, name);
    struct kit_write *w = write_to(v, row, KIT_WRITE_LOCK);
    struct kit_lock *now = w == NULL ? NULL : version(v, lock, sizeof *now);

    if (now == NULL)
        return KEDGE_ERR_NOMEM;
    w->lock_old = old;
    w->lock_new = now;
    w->request = lock->request;
    row->r.lock = now;
    row->r.there = true;
    return KEDGE_OK;
}

static int v_lock_delete(void *ctx, struct kedge_bytes name, const struct kit_lock *old)
{
    struct view *v = ctx;
    struct view_row *row = kit_view_named(v, KIT_ROW_LOCK, name);
    struct kit_write *w = write_to(v, row, KIT_WRITE_LOCK_GONE);

    if (w == NULL)
        return KEDGE_ERR_NOMEM;
    w->lock_old = old;
    row->r.there = false;
    return KEDGE_OK;
}

/* A commit changes nothing of a lease but its attention (rules.h, change.c). */
static int v_lease_put(void *ctx, const struct kit_lease *lease)
{
    struct view *v = ctx;
    struct view_row *row = kit_view_lease(v, &lease->l.id);
    struct kit_write *w = write_to(v, row, KIT_WRITE_ATTENTION);
    struct kit_lease *now = w == NULL ? NULL : version(v, lease, sizeof *now);

    if (now == NULL)
        return KEDGE_ERR_NOMEM;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what is put has been got before */
    w->number = lease->l.attention - row->r.lease->l.attention;
    row->r.lease = now;
    return KEDGE_OK;
}

static void v_work(void *ctx)
{
    ((struct view *)ctx)->work = true;
}

const struct kit_store kit_view_store = {
    .run_get = v_run_get,
    .record_request = v_record_request,
    .lease_get = v_lease_get,
    .cell_get = v_cell_get,
    .lock_get = v_lock_get,
    .slots_get = v_slots_get,
    .slot_has = v_slot_has,
    .fence_next = v_fence_next,
    .run_put = v_run_put,
    .run_drop = v_run_drop,
    .append = v_append,
    .snapshot_put = v_snapshot_put,
    .slots_put = v_slots_put,
    .slot_put = v_slot_put,
    .cell_put = v_cell_put,
    .cell_delete = v_cell_delete,
    .lock_put = v_lock_put,
    .lock_delete = v_lock_delete,
    .lease_put = v_lease_put,
    .work = v_work,
};

/* -------------------------------------------------------------- decisions */

void kit_view_begin(struct view *v, const struct kedge_commit *commit)
{
    v->commit = commit;
    v->decision++;
    v->expects.n = v->writes.n = v->undo.n = 0;
    v->missed = v->work = false;
}

void kit_view_undo(struct view *v)
{
    struct view_saved *saved = v->undo.items;

    for (size_t i = v->undo.n; i > 0; i--) {
        struct view_row *row = saved[i - 1].row;

        row->r = saved[i - 1].was.r;
        row->appends = saved[i - 1].was.appends;
    }
    v->undo.n = v->writes.n = 0;
}

void kit_view_keep(struct view *v)
{
    struct view_saved *saved = v->undo.items;

    for (size_t i = 0; i < v->undo.n; i++)
        saved[i].row->pending = true;
}

static uint64_t settled(uint64_t f, const uint64_t *fences)
{
    return KIT_IS_PLACE(f) ? fences[KIT_PLACE_INDEX(f)] : f;
}

/* Versions are the view's own when they were made by a write, and only those have placeholders. */
void kit_view_settle(struct view_row *row, const uint64_t *fences)
{
    if (!row->r.there)
        return;
    if (row->r.kind == KIT_ROW_RUN) {
        struct kit_run *run = (struct kit_run *)(uintptr_t)row->r.run;

        run->r.fence = settled(run->r.fence, fences);
        run->r.incarnation = settled(run->r.incarnation, fences);
        run->last.fence = settled(run->last.fence, fences);
        run->prev.fence = settled(run->prev.fence, fences);
    } else if (row->r.kind == KIT_ROW_CELL) {
        struct kit_cell *cell = (struct kit_cell *)(uintptr_t)row->r.cell;

        cell->version = settled(cell->version, fences);
    } else if (row->r.kind == KIT_ROW_LOCK) {
        struct kit_lock *lock = (struct kit_lock *)(uintptr_t)row->r.lock;

        lock->fence = settled(lock->fence, fences);
    }
}
