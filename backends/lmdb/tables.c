/* tables.c - rows and indexes inside one transaction; see tables.h for the invariants */
#include <config.h>

#include "recent.h"

#include <errno.h>
#include <stdlib.h>

#include "../kit/mutant.h"

struct lm_cached {
    struct lm_cached *next;
    struct kit_lease_row lease;
};

struct lm_loaded {
    struct lm_loaded *next;
    struct kit_run_row run;
};

/* -------------------------------------------------------------------- step */

int lm_step_init(struct lm_step *step, struct lm_env *env, const struct kedge_host *host)
{
    memset(step, 0, sizeof *step);
    step->v.env = env;
    step->v.host = host;
    step->v.fresh = &step->fresh;
    step->kit.store = &lm_kit_store;
    step->kit.ctx = step;
    step->kit.host = host;
    step->kit.scratch = kit_scratch_new(host);
    step->cache = lm_cache_new();
    return step->kit.scratch == NULL || step->cache == NULL ? KEDGE_ERR_NOMEM : KEDGE_OK;
}

/* Keep one chunk for the next round. */
static void mem_reset(const struct kedge_host *host, struct kedge_mem **mem)
{
    struct kedge_mem *keep = *mem;

    if (keep == NULL)
        return;
    kedge_mem_free(host, keep->next);
    keep->next = NULL;
    keep->used = 0;
    if (keep->size > 1024 * 1024) {
        kedge_mem_free(host, keep);
        *mem = NULL;
    }
}

void lm_step_release(struct lm_step *step)
{
    kit_scratch_free(step->kit.scratch);
    lm_cache_free(step->cache);
    free(step->fresh.data);
    kedge_mem_free(step->v.host, step->mem);
    kedge_mem_free(step->v.host, step->txn_mem);
}

void lm_step_begin(struct lm_step *step, MDB_txn *txn)
{
    const struct kedge_host *host = step->v.host;

    step->v.txn = txn;
    step->kit.now_wall = host->clock_us(host->ctx, KEDGE_CLOCK_WALL);
    step->kit.now_lease = host->clock_us(host->ctx, KEDGE_CLOCK_LEASE);
    step->fence_known = false;
    step->fence_moved = false;
    step->work = false;
    step->rc = 0;
    lm_cache_begin(step->cache, mdb_txn_id(txn));
    lm_step_next(step);
}

void lm_step_next(struct lm_step *step)
{
    step->runs = NULL;
    lm_cache_settle(step->cache);
    mem_reset(step->v.host, &step->mem);
}

void lm_step_end(struct lm_step *step, bool committed)
{
    MDB_envinfo info = { 0 };

    /* The write lock is still held: what LMDB calls the last transaction is ours. */
    (void)mdb_env_info(step->v.env->env, &info);
    lm_cache_end(step->cache, committed, info.me_last_txnid);
    step->leases = NULL;
    step->runs = NULL;
    step->v.txn = NULL;
    mem_reset(step->v.host, &step->mem);
    mem_reset(step->v.host, &step->txn_mem);
}

int lm_broken(struct lm_step *step, int rc)
{
    if (step->rc == 0)
        step->rc = rc;
    return KEDGE_ERR_UNAVAILABLE;
}

void lm_step_close(struct lm_step *step)
{
    if (step->journal != NULL)
        mdb_cursor_close(step->journal);
    step->journal = NULL;
}

MDB_cursor *lm_step_journal(struct lm_step *step)
{
    if (step->journal == NULL) {
        int rc = mdb_cursor_open(step->v.txn, step->v.env->dbi[LM_JOURNAL], &step->journal);

        if (rc != MDB_SUCCESS) {
            step->journal = NULL;
            (void)lm_broken(step, rc);
        }
    }
    return step->journal;
}

static void *step_alloc(struct lm_step *step, size_t size)
{
    return kedge_mem_alloc(step->v.host, &step->mem, size);
}

/* --------------------------------------------------- the rules' view: reads */

int lm_step_load(struct lm_step *step, uint64_t inc, const struct kit_run **out)
{
    struct lm_loaded *l = step_alloc(step, sizeof *l);
    MDB_cursor *journal = lm_step_journal(step);
    int rc;

    if (l == NULL)
        return KEDGE_ERR_NOMEM;
    if (journal == NULL)
        return KEDGE_ERR_UNAVAILABLE;
    rc = lm_run_load(&step->v, &step->mem, journal, inc, &l->run);
    if (rc == KEDGE_NOT_FOUND) /* an id without a head */
        rc = KEDGE_ERR_CORRUPT;
    if (rc == KEDGE_OK) {
        l->next = step->runs;
        step->runs = l;
        *out = &l->run.k;
    }
    return rc;
}

/* Also of a run that this very commit created: it may be written twice. */
static int remember(struct lm_step *step, const struct kit_run_row *run)
{
    struct lm_loaded *l = step_alloc(step, sizeof *l);

    if (l == NULL)
        return KEDGE_ERR_NOMEM;
    l->run = *run;
    l->next = step->runs;
    step->runs = l;
    return KEDGE_OK;
}

static int t_run_get(void *ctx, struct kedge_bytes id, const struct kit_run **out)
{
    struct lm_step *step = ctx;
    const struct kit_run_row *known = lm_cache_get(step->cache, id);
    struct kedge_bytes value;
    uint64_t inc;
    int rc;

    if (known != NULL) {
        rc = remember(step, known);
        *out = &step->runs->run.k;
        return rc;
    }
    rc = lm_incarnation(&step->v, id, &inc);
    if (rc == KEDGE_OK)
        rc = lm_step_load(step, inc, out);
    if (rc == KEDGE_OK && lm_head_value(&step->v, inc, &value) == KEDGE_OK) {
        struct kit_run_row fresh;

        if (kit_run_decode(inc, value, &fresh)) {
            kit_run_load(&fresh.k, (*out)->r.position);
            lm_cache_put(step->cache, &fresh, value);
        }
    }
    return rc;
}

static int t_record_request(void *ctx, const struct kit_run *run, uint64_t number,
                            struct kedge_id128 *out)
{
    struct lm_step *step = ctx;
    struct kedge_bytes data;
    struct kit_blob blob;
    int rc = lm_record_load(&step->v, &step->mem, run->r.incarnation, number, &blob, &data);

    if (rc != KEDGE_OK)
        return rc;
    *out = blob.request;
    return KEDGE_OK;
}

int lm_step_lease(struct lm_step *step, const struct kedge_id128 *id, const struct kit_lease **out)
{
    struct lm_cached *c;
    int rc;

    for (c = step->leases; c != NULL; c = c->next)
        if (kit_id_equal(&c->lease.k.l.id, id)) {
            *out = &c->lease.k;
            return KEDGE_OK;
        }
    c = kedge_mem_alloc(step->v.host, &step->txn_mem, sizeof *c);
    if (c == NULL)
        return KEDGE_ERR_NOMEM;
    rc = lm_lease_load(&step->v, &step->txn_mem, id, &c->lease);
    if (rc == KEDGE_OK) {
        c->next = step->leases;
        step->leases = c;
        *out = &c->lease.k;
    }
    return rc;
}

static int t_lease_get(void *ctx, const struct kedge_id128 *id, const struct kit_lease **out)
{
    return lm_step_lease(ctx, id, out);
}

static int t_cell_get(void *ctx, struct kedge_bytes name, const struct kit_cell **out)
{
    struct lm_step *step = ctx;
    struct kit_cell *cell = step_alloc(step, sizeof *cell);
    int rc;

    if (cell == NULL)
        return KEDGE_ERR_NOMEM;
    rc = lm_cell_load(&step->v, name, cell);
    if (rc == KEDGE_OK && !kit_copy(step->v.host, &step->mem, cell->value, &cell->value))
        rc = KEDGE_ERR_NOMEM;
    if (rc == KEDGE_OK)
        *out = cell;
    return rc;
}

static int t_lock_get(void *ctx, struct kedge_bytes name, const struct kit_lock **out)
{
    struct lm_step *step = ctx;
    struct kit_lock *lock = step_alloc(step, sizeof *lock);
    struct lm_key key;
    MDB_val payload;
    int rc;

    if (lock == NULL)
        return KEDGE_ERR_NOMEM;
    rc = lm_name_find(&step->v, LM_LOCKS, 0, name, &payload, &key);
    if (rc != MDB_SUCCESS)
        return lm_status(rc);
    if (!kit_lock_decode((struct kedge_bytes){ payload.mv_data, payload.mv_size }, lock))
        return KEDGE_ERR_CORRUPT;
    *out = lock;
    return KEDGE_OK;
}

static int t_slots_get(void *ctx, uint64_t incarnation, uint32_t set, struct kit_slots *out)
{
    struct lm_step *step = ctx;

    return lm_slots_load(&step->v, incarnation, set, out);
}

static int t_slot_has(void *ctx, uint64_t incarnation, uint32_t set, uint32_t index)
{
    struct lm_step *step = ctx;
    struct lm_key key = lm_key_slot(incarnation, set, index);
    MDB_val k;
    MDB_val value;

    lm_key_u16(&key, 0);
    k = lm_key_val(&key);
    return lm_status(mdb_get(step->v.txn, step->v.env->dbi[LM_SLOTS], &k, &value));
}

/* -------------------------------------------------- the rules' view: writes */

static uint64_t t_fence_next(void *ctx)
{
    struct lm_step *step = ctx;

    if (!step->fence_known) {
        MDB_val key = lm_meta_key("fence");
        MDB_val value;

        step->fence = 0;
        if (mdb_get(step->v.txn, step->v.env->dbi[LM_META], &key, &value) == MDB_SUCCESS &&
            value.mv_size == 8)
            step->fence = lm_get_u64(value.mv_data);
        step->fence_known = true;
    }
    step->fence++;
    if (step->kit.now_wall > 0 &&
        KIT_MUTANT("l03", true, step->fence < (uint64_t)step->kit.now_wall))
        step->fence = (uint64_t)step->kit.now_wall;
    step->fence_moved = true;
    return step->fence;
}

int lm_step_flush(struct lm_step *step)
{
    struct lm_key last = lm_key_inc(step->fence);
    MDB_val key = lm_meta_key("fence");
    MDB_val value = lm_key_val(&last);

    if (KIT_MUTANT("l05", true, !step->fence_moved))
        return MDB_SUCCESS;
    return mdb_put(step->v.txn, step->v.env->dbi[LM_META], &key, &value, 0);
}

int lm_row_put(struct lm_step *step, enum lm_table table, struct lm_key *key)
{
    MDB_val k = lm_key_val(key);
    MDB_val none = { 0, NULL };
    int rc = mdb_put(step->v.txn, step->v.env->dbi[table], &k, &none, 0);

    return rc == MDB_SUCCESS ? KEDGE_OK : lm_broken(step, rc);
}

int lm_row_delete(struct lm_step *step, enum lm_table table, struct lm_key *key)
{
    MDB_val k = lm_key_val(key);
    int rc = mdb_del(step->v.txn, step->v.env->dbi[table], &k, NULL);

    return rc == MDB_SUCCESS || rc == MDB_NOTFOUND ? KEDGE_OK : lm_broken(step, rc);
}

/* One index row from OLD (had, if any) to NEW (has, if any). */
static int move_row(struct lm_step *step, enum lm_table table, bool had, struct lm_key *old,
                    bool has, struct lm_key *new)
{
    int rc = KEDGE_OK;

    if (had && has && old->len == new->len &&memcmp(old->b, new->b, old->len) == 0)
        return KEDGE_OK;
    if (had)
        rc = lm_row_delete(step, table, old);
    if (rc == KEDGE_OK && has)
        rc = lm_row_put(step, table, new);
    return rc;
}

static const struct kedge_run nothing;

static struct lm_combo combo_or_none(const struct kit_run_row *run)
{
    const struct lm_combo none = { 0 };

    return run == NULL ? none : lm_run_combo(run);
}

/* I2: every index whose key depends on the head. */
static int move_indexes(struct lm_step *step, const struct kit_run_row *old,
                        const struct kit_run_row *run)
{
    const struct kedge_run *o = old == NULL ? &nothing : &old->k.r;
    const struct kedge_run *n = run == NULL ? &nothing : &run->k.r;
    uint64_t inc = run == NULL ? o->incarnation : n->incarnation;
    struct lm_combo oc = combo_or_none(old);
    struct lm_combo nc = combo_or_none(run);
    struct lm_key a = lm_key_due(&oc, o->due, inc);
    struct lm_key b = lm_key_due(&nc, n->due, inc);
    int rc = move_row(step, LM_DUE, o->due != 0, &a, n->due != 0, &b);

    if (rc == KEDGE_OK) {
        a = lm_key_kind(&oc, o->status, inc);
        b = lm_key_kind(&nc, n->status, inc);
        rc = move_row(step, LM_KINDS, old != NULL, &a, run != NULL, &b);
    }
    if (rc == KEDGE_OK) {
        a = lm_key_held_run(&o->holder, inc);
        b = lm_key_held_run(&n->holder, inc);
        rc = move_row(step, LM_HELD, !kit_id_zero(&o->holder), &a, !kit_id_zero(&n->holder), &b);
    }
    if (rc == KEDGE_OK) {
        a = lm_key_pair((uint64_t)o->hold_until, inc);
        b = lm_key_pair((uint64_t)n->hold_until, inc);
        rc = move_row(step, LM_OVER, o->hold_until != 0, &a, n->hold_until != 0, &b);
    }
    if (rc == KEDGE_OK) {
        a = lm_key_pair((uint64_t)o->expires, inc);
        b = lm_key_pair((uint64_t)n->expires, inc);
        rc = move_row(step, LM_EXPIRY, o->expires != 0, &a, n->expires != 0, &b);
    }
    if (rc == KEDGE_OK && (old == NULL || run == NULL)) {
        a = lm_key_pair(o->parent_incarnation, inc);
        b = lm_key_pair(n->parent_incarnation, inc);
        rc = move_row(step, LM_KIDS, o->parent.len != 0, &a, n->parent.len != 0, &b);
    }
    return rc;
}

static struct kit_run_row *loaded(const struct lm_step *step, uint64_t inc)
{
    for (struct lm_loaded *l = step->runs; l != NULL; l = l->next)
        if (l->run.k.r.incarnation == inc)
            return &l->run;
    return NULL;
}

static int put_head(struct lm_step *step, const struct kit_run_row *run)
{
    struct lm_key key = lm_key_inc(run->k.r.incarnation);
    MDB_val k = lm_key_val(&key);
    MDB_val value = { kit_run_size(run), NULL };
    int rc = mdb_put(step->v.txn, step->v.env->dbi[LM_HEADS], &k, &value, MDB_RESERVE);

    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    kit_run_encode(run, value.mv_data);
    return KEDGE_OK;
}

static int put_id(struct lm_step *step, const struct kedge_run *r)
{
    struct lm_key inc = lm_key_inc(r->incarnation);
    struct lm_key key;
    MDB_val payload;
    void *room;
    int rc = lm_name_find(&step->v, LM_IDS, 0, r->id, &payload, &key);

    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND)
        return lm_broken(step, rc);
    rc = lm_name_reserve(step, LM_IDS, 0, &key, r->id, 8, &room);
    if (rc == KEDGE_OK)
        memcpy(room, inc.b, 8);
    return rc;
}

/* The numbers of its names; those of OLD where they are the same. */
static int number_names(struct lm_step *step, const struct kit_run_row *old,
                        struct kit_run_row *run)
{
    int rc = KEDGE_OK;

    if (old != NULL) {
        run->unknown = old->unknown;
        run->queue_no = old->queue_no;
        run->reactor_no = old->reactor_no;
        if (kit_bytes_equal(old->k.r.queue, run->k.r.queue))
            return KEDGE_OK;
    }
    rc = lm_name_intern(step, 'q', run->k.r.queue, &run->queue_no);
    if (rc == KEDGE_OK && old == NULL)
        rc = lm_name_intern(step, 'r', run->k.r.reactor, &run->reactor_no);
    return rc;
}

static int put_new(struct lm_step *step, struct kit_run_row *run)
{
    int rc = step->full ? lm_broken(step, MDB_MAP_FULL) : number_names(step, NULL, run);

    if (rc == KEDGE_OK)
        rc = put_id(step, &run->k.r);
    if (rc == KEDGE_OK)
        rc = move_indexes(step, NULL, run);
    if (rc == KEDGE_OK)
        rc = put_head(step, run);
    return rc == KEDGE_OK ? remember(step, run) : rc;
}

static int t_run_put(void *ctx, const struct kit_run *old_kit, const struct kit_run *kit)
{
    struct lm_step *step = ctx;
    struct kit_run_row *known = loaded(step, kit->r.incarnation);
    struct kit_run_row run = { .k = *kit };
    struct kit_run_row old;
    int rc;

    lm_cache_drop(step->cache, kit->r.id);
    if (old_kit == NULL)
        return put_new(step, &run);
    if (known == NULL)
        return KEDGE_ERR_CORRUPT;
    old = *known;
    old.k = *old_kit;
    rc = number_names(step, &old, &run);
    if (rc == KEDGE_OK)
        rc = move_indexes(step, &old, &run);
    if (rc == KEDGE_OK)
        rc = put_head(step, &run);
    if (rc == KEDGE_OK)
        known->queue_no = run.queue_no;
    return rc;
}

static int t_run_drop(void *ctx, const struct kit_run *kit)
{
    struct lm_step *step = ctx;
    const struct kit_run_row *run = loaded(step, kit->r.incarnation);
    struct lm_key inc = lm_key_inc(kit->r.incarnation);
    struct lm_key key;
    MDB_val payload;
    int rc;

    lm_cache_drop(step->cache, kit->r.id);
    if (run == NULL)
        return KEDGE_ERR_CORRUPT;
    rc = lm_name_find(&step->v, LM_IDS, 0, kit->r.id, &payload, &key);
    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    rc = lm_name_delete(step, LM_IDS, 0, &key);
    if (rc == KEDGE_OK)
        rc = move_indexes(step, run, NULL);
    if (rc == KEDGE_OK)
        rc = lm_row_delete(step, LM_HEADS, &inc);
    if (rc == KEDGE_OK)
        rc = KIT_MUTANT("l14", KEDGE_OK, lm_row_delete(step, LM_TAILS, &inc));
    if (rc == KEDGE_OK)
        rc = lm_row_put(step, LM_TRASH, &inc);
    return rc;
}

/* The rows of one large value, written where they belong. */
static int put_blob(struct lm_step *step, enum lm_table table, MDB_cursor *cursor,
                    const struct lm_key *stem, uint64_t seed, const struct kit_blob *blob,
                    struct kedge_bytes data)
{
    if (step->full)
        return lm_broken(step, MDB_MAP_FULL);
    for (size_t row = 0; row < kit_blob_rows(data.len); row++) {
        struct lm_key key = *stem;
        MDB_val value = { kit_blob_row_size(data.len, row), NULL };
        MDB_val k;
        int rc;

        lm_key_u16(&key, (unsigned)row);
        k = lm_key_val(&key);
        rc = cursor != NULL
                 ? mdb_cursor_put(cursor, &k, &value, MDB_RESERVE)
                 : mdb_put(step->v.txn, step->v.env->dbi[table], &k, &value, MDB_RESERVE);
        if (rc != MDB_SUCCESS)
            return lm_broken(step, rc);
        kit_blob_encode(seed, blob, data, row, value.mv_data);
    }
    return KEDGE_OK;
}

static int t_append(void *ctx, const struct kit_run *run, uint64_t first,
                    const struct kedge_bytes *records, size_t n, const struct kedge_id128 *request,
                    int64_t now_wall)
{
    struct lm_step *step = ctx;
    MDB_cursor *journal;
    int rc;

    if (first + n > UINT32_MAX) /* numbers are 32 bits in a key */
        return KEDGE_ERR_TOO_BIG;
    if (step->full)
        return lm_broken(step, MDB_MAP_FULL);
    lm_cache_advance(step->cache, run->r.id, first + n - 1);
    rc = lm_recent_append(step, run->r.incarnation, first, records, n, request, now_wall);
    if (rc != KEDGE_NOT_FOUND)
        return rc;
    journal = lm_step_journal(step);
    rc = journal == NULL ? KEDGE_ERR_UNAVAILABLE : KEDGE_OK;
    for (size_t i = 0; i < n && rc == KEDGE_OK; i++) {
        struct lm_key stem = lm_key_record(run->r.incarnation, first + i);
        struct kit_blob blob = { records[i].len, *request, now_wall };

        rc = put_blob(step, LM_JOURNAL, journal, &stem,
                      lm_seed_record(run->r.incarnation, first + i), &blob, records[i]);
    }
    return rc;
}

static int t_snapshot_put(void *ctx, const struct kit_run *run, struct kedge_bytes data)
{
    struct lm_step *step = ctx;
    struct lm_key stem = lm_key_inc(run->r.incarnation);
    struct kit_blob blob = { data.len, { { 0 } }, step->kit.now_wall };
    int rc =
        put_blob(step, LM_SNAPS, NULL, &stem, lm_seed_snapshot(run->r.incarnation), &blob, data);

    /* A longer predecessor leaves rows behind. */
    for (size_t row = kit_blob_rows(data.len); rc == KEDGE_OK; row++) {
        struct lm_key key = stem;
        MDB_val k;
        int del;

        lm_key_u16(&key, (unsigned)row);
        k = lm_key_val(&key);
        del = mdb_del(step->v.txn, step->v.env->dbi[LM_SNAPS], &k, NULL);
        if (del == MDB_NOTFOUND)
            break;
        if (del != MDB_SUCCESS)
            rc = lm_broken(step, del);
    }
    return rc;
}

static int t_slots_put(void *ctx, uint64_t incarnation, uint32_t set, const struct kit_slots *slots)
{
    struct lm_step *step = ctx;
    struct lm_key key = lm_key_record(incarnation, set);
    MDB_val k = lm_key_val(&key);
    MDB_val value = { kit_slots_size(), NULL };
    int rc = mdb_put(step->v.txn, step->v.env->dbi[LM_SETS], &k, &value, MDB_RESERVE);

    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    kit_slots_encode(slots, value.mv_data);
    return KEDGE_OK;
}

static int t_slot_put(void *ctx, uint64_t incarnation, uint32_t set, uint32_t index,
                      struct kedge_bytes value)
{
    struct lm_step *step = ctx;
    struct lm_key stem = lm_key_slot(incarnation, set, index);
    struct kit_blob blob = { value.len, { { 0 } }, step->kit.now_wall };

    return put_blob(step, LM_SLOTS, NULL, &stem, lm_seed_slot(incarnation, set, index), &blob,
                    value);
}

static int t_cell_put(void *ctx, struct kedge_bytes name, const struct kit_cell *old,
                      const struct kit_cell *cell)
{
    struct lm_step *step = ctx;
    struct lm_key key;
    struct lm_key a;
    struct lm_key b;
    MDB_val payload;
    void *room;
    int rc = step->full ? MDB_MAP_FULL : lm_name_find(&step->v, LM_CELLS, 0, name, &payload, &key);

    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND)
        return lm_broken(step, rc);
    a = lm_key_cellx(old == NULL ? 0 : old->expires, &key);
    b = lm_key_cellx(cell->expires, &key);
    rc = lm_name_reserve(step, LM_CELLS, 0, &key, name, kit_cell_size(cell), &room);
    if (rc != KEDGE_OK)
        return rc;
    kit_cell_encode(cell, room);
    return move_row(step, LM_CELLX, old != NULL && old->expires != 0, &a, cell->expires != 0, &b);
}

static int t_cell_delete(void *ctx, struct kedge_bytes name, const struct kit_cell *old)
{
    struct lm_step *step = ctx;
    struct lm_key key;
    struct lm_key a;
    MDB_val payload;
    int rc = lm_name_find(&step->v, LM_CELLS, 0, name, &payload, &key);

    if (rc == MDB_NOTFOUND)
        return KEDGE_OK;
    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    a = lm_key_cellx(old->expires, &key);
    rc = lm_name_delete(step, LM_CELLS, 0, &key);
    if (rc == KEDGE_OK && old->expires != 0)
        rc = lm_row_delete(step, LM_CELLX, &a);
    return rc;
}

int lm_cell_remove(struct lm_step *step, struct lm_key *key)
{
    return lm_name_delete(step, LM_CELLS, 0, key);
}

static int t_lock_put(void *ctx, struct kedge_bytes name, const struct kit_lock *old,
                      const struct kit_lock *lock)
{
    struct lm_step *step = ctx;
    struct lm_key key;
    struct lm_key a;
    struct lm_key b;
    MDB_val payload;
    void *room;
    int rc = lm_name_find(&step->v, LM_LOCKS, 0, name, &payload, &key);

    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND)
        return lm_broken(step, rc);
    b = lm_key_held_lock(&lock->lease, &key);
    a = old == NULL ? b : lm_key_held_lock(&old->lease, &key);
    rc = lm_name_reserve(step, LM_LOCKS, 0, &key, name, kit_lock_size(), &room);
    if (rc != KEDGE_OK)
        return rc;
    kit_lock_encode(lock, room);
    return move_row(step, LM_HELD, old != NULL, &a, true, &b);
}

static int t_lock_delete(void *ctx, struct kedge_bytes name, const struct kit_lock *old)
{
    struct lm_step *step = ctx;
    struct lm_key key;
    struct lm_key a;
    MDB_val payload;
    int rc = lm_name_find(&step->v, LM_LOCKS, 0, name, &payload, &key);

    if (rc == MDB_NOTFOUND)
        return KEDGE_OK;
    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    a = lm_key_held_lock(&old->lease, &key);
    rc = lm_name_delete(step, LM_LOCKS, 0, &key);
    return rc == KEDGE_OK ? lm_row_delete(step, LM_HELD, &a) : rc;
}

int lm_lease_write(struct lm_step *step, const struct kit_lease_row *lease)
{
    struct lm_cached *c = kedge_mem_alloc(step->v.host, &step->txn_mem, sizeof *c);
    struct lm_key key = { 0 };
    MDB_val value = { kit_lease_size(lease), NULL };
    MDB_val k;
    int rc;

    if (c == NULL)
        return KEDGE_ERR_NOMEM;
    lm_key_bytes(&key, lease->k.l.id.b, 16);
    k = lm_key_val(&key);
    rc = mdb_put(step->v.txn, step->v.env->dbi[LM_LEASES], &k, &value, MDB_RESERVE);
    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    kit_lease_encode(lease, value.mv_data);
    /* In front of any older one: readers of that keep what they have. */
    c->lease = *lease;
    c->next = step->leases;
    step->leases = c;
    return KEDGE_OK;
}

static int t_lease_put(void *ctx, const struct kit_lease *kit)
{
    struct lm_step *step = ctx;
    struct kit_lease_row lease = { .k = *kit };

    for (const struct lm_cached *c = step->leases; c != NULL; c = c->next)
        if (kit_id_equal(&c->lease.k.l.id, &kit->l.id)) {
            lease.unknown = c->lease.unknown;
            break;
        }
    return lm_lease_write(step, &lease);
}

static void t_work(void *ctx)
{
    ((struct lm_step *)ctx)->work = true;
}

const struct kit_store lm_kit_store = {
    .run_get = t_run_get,
    .record_request = t_record_request,
    .lease_get = t_lease_get,
    .cell_get = t_cell_get,
    .lock_get = t_lock_get,
    .slots_get = t_slots_get,
    .slot_has = t_slot_has,
    .fence_next = t_fence_next,
    .run_put = t_run_put,
    .run_drop = t_run_drop,
    .append = t_append,
    .snapshot_put = t_snapshot_put,
    .slots_put = t_slots_put,
    .slot_put = t_slot_put,
    .cell_put = t_cell_put,
    .cell_delete = t_cell_delete,
    .lock_put = t_lock_put,
    .lock_delete = t_lock_delete,
    .lease_put = t_lease_put,
    .work = t_work,
};
