/* map_rows.c - rows of an ordered map, and what the rules of the contract read and write */
#include "map_rows.h"

#include <unistd.h>

#include "schema.h"

/* store_open has no timeout of its own. */
#define OPEN_PATIENCE_US INT64_C(30000000)

/* ---------------------------------------------------------------------- keys */

struct map_key kit_map_key(char table)
{
    struct map_key key;

    key.len = 1;
    key.b[0] = (unsigned char)table;
    return key;
}

static void key_number(struct map_key *key, uint64_t v, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;)
        key->b[key->len++] = (unsigned char)(v >> (8 * i));
}

void kit_map_key_u32(struct map_key *key, uint32_t v)
{
    key_number(key, v, 4);
}

void kit_map_key_u64(struct map_key *key, uint64_t v)
{
    key_number(key, v, 8);
}

void kit_map_key_bytes(struct map_key *key, struct kedge_bytes b)
{
    if (b.len != 0) /* empty bytes may have no address */
        memcpy(key->b + key->len, b.data, b.len);
    key->len += b.len;
}

struct map_key kit_map_key_name(char table, struct kedge_bytes name)
{
    struct map_key key = kit_map_key(table);

    kit_map_key_bytes(&key, name);
    return key;
}

struct map_key kit_map_key_id(char table, const struct kedge_id128 *id)
{
    return kit_map_key_name(table, (struct kedge_bytes){ id->b, sizeof id->b });
}

struct map_key kit_map_key_inc(char table, uint64_t inc)
{
    struct map_key key = kit_map_key(table);

    kit_map_key_u64(&key, inc);
    return key;
}

/* Times in keys are never negative. */
static struct map_key key_time(char table, int64_t time)
{
    return kit_map_key_inc(table, time < 0 ? 0 : (uint64_t)time);
}

struct map_key kit_map_key_record(uint64_t inc, uint64_t n)
{
    struct map_key key = kit_map_key_inc('j', inc);

    kit_map_key_u64(&key, n);
    return key;
}

static struct map_key key_set(char table, uint64_t inc, uint32_t set)
{
    struct map_key key = kit_map_key_inc(table, inc);

    kit_map_key_u32(&key, set);
    return key;
}

struct map_key kit_map_key_slot(uint64_t inc, uint32_t set, uint32_t index)
{
    struct map_key key = key_set('u', inc, set);

    kit_map_key_u32(&key, index);
    return key;
}

uint64_t kit_map_u64(const void *at)
{
    const unsigned char *p = at;
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static struct kedge_bytes key_bytes(const struct map_key *key)
{
    return (struct kedge_bytes){ key->b, key->len };
}

/* ---------------------------------------------------------------------- rows */

static int row_get(struct map_step *s, const struct map_key *key, struct kedge_bytes *value)
{
    return s->map->get(s->txn, key_bytes(key), value);
}

static int row_put(struct map_step *s, const struct map_key *key, struct kedge_bytes value)
{
    return s->map->put(s->txn, key_bytes(key), value);
}

int kit_map_row_del(struct map_step *s, const struct map_key *key)
{
    return s->map->del(s->txn, key_bytes(key));
}

static int row_put_u64(struct map_step *s, const struct map_key *key, uint64_t v)
{
    struct map_key number = { .len = 0 };

    kit_map_key_u64(&number, v);
    return row_put(s, key, key_bytes(&number));
}

/* A number that is 0 where there is no row. */
static int row_get_u64(struct map_step *s, const struct map_key *key, uint64_t *v)
{
    struct kedge_bytes value;
    int rc = row_get(s, key, &value);

    *v = 0;
    if (rc == KEDGE_NOT_FOUND)
        return KEDGE_OK;
    if (rc == KEDGE_OK && value.len != 8)
        return KEDGE_ERR_CORRUPT;
    if (rc == KEDGE_OK)
        *v = kit_map_u64(value.data);
    return rc;
}

static void *step_alloc(struct map_step *s, size_t size)
{
    return kedge_mem_alloc(s->store->host, &s->mem, size);
}

/* A copy that lasts until the end of the step. */
static int row_copy(struct map_step *s, const struct map_key *key, struct kedge_bytes *value)
{
    int rc = row_get(s, key, value);

    if (rc == KEDGE_OK && !kit_copy(s->store->host, &s->mem, *value, value))
        return KEDGE_ERR_NOMEM;
    return rc;
}

struct map_scan kit_map_scan(const struct map_key *prefix)
{
    struct map_scan scan;

    scan.at = *prefix;
    scan.prefix = prefix->len;
    scan.key.len = 0;
    scan.value = (struct kedge_bytes){ NULL, 0 };
    return scan;
}

void kit_map_scan_after(struct map_scan *scan, struct kedge_bytes rest)
{
    scan->at.len = scan->prefix;
    kit_map_key_bytes(&scan->at, rest);
    scan->at.b[scan->at.len++] = 0;
}

int kit_map_scan_next(struct map_step *s, struct map_scan *scan)
{
    struct kedge_bytes key;
    int rc = s->map->next(s->txn, key_bytes(&scan->at), &key, &scan->value);

    if (rc != KEDGE_OK)
        return rc;
    if (key.len < scan->prefix || memcmp(key.data, scan->at.b, scan->prefix) != 0)
        return KEDGE_NOT_FOUND;
    if (key.len > KIT_MAP_KEY_MAX)
        return KEDGE_ERR_CORRUPT;
    scan->key.len = 0;
    kit_map_key_bytes(&scan->key, key);
    kit_map_scan_after(scan, kit_map_scan_rest(scan));
    return KEDGE_OK;
}

struct kedge_bytes kit_map_scan_rest(const struct map_scan *scan)
{
    return (struct kedge_bytes){ scan->key.b + scan->prefix, scan->key.len - scan->prefix };
}

/* -------------------------------------------------------------- large values */

/* Ties a row to the place where it belongs. */
static uint64_t seed_of(const struct map_key *stem)
{
    return kit_hash64(key_bytes(stem));
}

static int blob_put(struct map_step *s, const struct map_key *stem, struct kit_blob blob,
                    struct kedge_bytes data)
{
    blob.total = data.len;
    for (size_t row = 0; row < kit_blob_rows(data.len); row++) {
        struct map_key key = *stem;
        size_t size = kit_blob_row_size(data.len, row);
        void *room = step_alloc(s, size);
        int rc;

        if (room == NULL)
            return KEDGE_ERR_NOMEM;
        kit_map_key_u32(&key, (uint32_t)row);
        kit_blob_encode(seed_of(stem), &blob, data, row, room);
        rc = row_put(s, &key, (struct kedge_bytes){ room, size });
        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

static int blob_first(struct map_step *s, const struct map_key *stem, struct kit_blob *blob,
                      struct kedge_bytes *part)
{
    struct map_key key = *stem;
    struct kedge_bytes value;
    int rc;

    kit_map_key_u32(&key, 0);
    rc = row_get(s, &key, &value);
    if (rc == KEDGE_OK && !kit_blob_decode_first(seed_of(stem), value, blob, part))
        return KEDGE_ERR_CORRUPT;
    return rc;
}

int kit_map_blob(struct map_step *s, struct kedge_mem **mem, const struct map_key *stem,
                 struct kit_blob *blob, struct kedge_bytes *out)
{
    struct kedge_bytes part;
    struct kedge_bytes value;
    char *data;
    size_t have;
    int rc = blob_first(s, stem, blob, &part);

    if (rc != KEDGE_OK)
        return rc;
    if (blob->total > s->store->ops->limits->commit_bytes)
        return KEDGE_ERR_CORRUPT;
    data = kedge_mem_alloc(s->store->host, mem, (size_t)blob->total);
    if (data == NULL)
        return KEDGE_ERR_NOMEM;
    *out = (struct kedge_bytes){ data, (size_t)blob->total };
    memcpy(data, part.data, part.len);
    have = part.len;
    for (size_t row = 1; have < blob->total; row++) {
        struct map_key key = *stem;

        kit_map_key_u32(&key, (uint32_t)row);
        rc = row_get(s, &key, &value);
        if (rc == KEDGE_NOT_FOUND)
            return KEDGE_ERR_CORRUPT;
        if (rc != KEDGE_OK)
            return rc;
        if (!kit_blob_decode_next(seed_of(stem), row, value, &part) || part.len == 0 ||
            part.len > blob->total - have)
            return KEDGE_ERR_CORRUPT;
        memcpy(data + have, part.data, part.len);
        have += part.len;
    }
    return KEDGE_OK;
}

/* ---------------------------------------------------------------------- heads */

/* The stored form: the incarnation, which seeds its checksum, and the head. */
static int head_get(struct map_step *s, struct kedge_bytes id, uint64_t *inc,
                    struct kedge_bytes *head)
{
    struct map_key key = kit_map_key_name('r', id);
    struct kedge_bytes value;
    int rc = row_copy(s, &key, &value);

    if (rc != KEDGE_OK)
        return rc;
    if (value.len < 8)
        return KEDGE_ERR_CORRUPT;
    *inc = kit_map_u64(value.data);
    *head = (struct kedge_bytes){ (const char *)value.data + 8, value.len - 8 };
    return KEDGE_OK;
}

int kit_map_run(struct map_step *s, struct kedge_bytes id, const struct kit_run **out)
{
    struct kedge_bytes head;
    struct kit_run_row *row;
    struct map_key key;
    uint64_t position;
    uint64_t inc;
    int rc = head_get(s, id, &inc, &head);

    if (rc != KEDGE_OK)
        return rc;
    row = step_alloc(s, sizeof *row);
    if (row == NULL)
        return KEDGE_ERR_NOMEM;
    if (!kit_run_decode(inc, head, row) || !kit_bytes_equal(row->k.r.id, id))
        return KEDGE_ERR_CORRUPT;
    key = kit_map_key_inc('p', inc);
    rc = row_get_u64(s, &key, &position);
    if (rc != KEDGE_OK)
        return rc;
    kit_run_load(&row->k, position);
    *out = &row->k;
    return KEDGE_OK;
}

int kit_map_run_find(struct map_step *s, struct kedge_bytes id, uint64_t incarnation,
                     const struct kit_run **out)
{
    int rc = kit_map_run(s, id, out);

    if (rc == KEDGE_OK && (kit_run_expired(*out, s->kit.now_wall) ||
                           (incarnation != 0 && incarnation != (*out)->r.incarnation)))
        return KEDGE_NOT_FOUND;
    return rc;
}

int kit_map_run_salvage(struct map_step *s, struct kedge_bytes id, uint64_t incarnation,
                        const struct kit_run **out)
{
    struct kit_run_row *row = step_alloc(s, sizeof *row);
    struct kedge_bytes head;
    uint64_t inc;
    int rc;

    if (row == NULL)
        return KEDGE_ERR_NOMEM;
    memset(row, 0, sizeof *row);
    rc = head_get(s, id, &inc, &head);
    if (rc == KEDGE_OK)
        kit_run_salvage(head, row);
    else if (rc != KEDGE_ERR_CORRUPT)
        return rc;
    if (!kit_copy(s->store->host, &s->mem, id, &row->k.r.id))
        return KEDGE_ERR_NOMEM;
    row->k.r.root = row->k.r.id;
    row->k.r.incarnation = incarnation;
    row->k.r.status = KEDGE_STUCK;
    row->k.r.place = KEDGE_PLACE_REST;
    row->k.r.parent_slot = KEDGE_NO_SLOT;
    *out = &row->k;
    return KEDGE_OK;
}

/* The keys under which a run can be found beside its id. */
#define INDEXES 6

static bool index_key(const struct kedge_run *r, int which, struct map_key *key)
{
    switch (which) {
    case 0:
        *key = kit_map_key_inc('a', r->incarnation);
        return true;
    case 1:
        *key = kit_map_key_inc('z', ~r->incarnation);
        return true;
    case 2:
        *key = key_time('d', r->due);
        break;
    case 3:
        *key = kit_map_key_id('h', &r->holder);
        break;
    case 4:
        *key = key_time('o', r->hold_until);
        break;
    default:
        *key = key_time('x', r->expires);
    }
    kit_map_key_u64(key, r->incarnation);
    return (which == 2 && r->due != 0) || (which == 3 && r->place == KEDGE_PLACE_HELD) ||
           (which == 4 && r->hold_until != 0) || (which == 5 && r->expires != 0);
}

/* From the indexes of OLD to those of NEW; either may be NULL. */
static int reindex(struct map_step *s, const struct kit_run *old, const struct kit_run *new)
{
    for (int i = 0; i < INDEXES; i++) {
        struct map_key before;
        struct map_key after;
        bool was = old != NULL && index_key(&old->r, i, &before);
        bool is = new != NULL &&index_key(&new->r, i, &after);
        int rc = KEDGE_OK;

        if (was && is && kit_bytes_equal(key_bytes(&before), key_bytes(&after)))
            continue;
        if (was)
            rc = kit_map_row_del(s, &before);
        if (rc == KEDGE_OK && is)
            rc = row_put(s, &after, new->r.id);
        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

static int run_get(void *ctx, struct kedge_bytes id, const struct kit_run **out)
{
    return kit_map_run(ctx, id, out);
}

static int run_put(void *ctx, const struct kit_run *old, const struct kit_run *run)
{
    struct map_step *s = ctx;
    struct map_key key = kit_map_key_name('r', run->r.id);
    struct kit_run_row row = { .k = *run };
    unsigned char *room;
    size_t size;
    int rc;

    if (old != NULL) /* what run_get handed out: the first member of a row */
        row.unknown = ((const struct kit_run_row *)old)->unknown;
    size = kit_run_size(&row);
    room = step_alloc(s, 8 + size);
    if (room == NULL)
        return KEDGE_ERR_NOMEM;
    for (int i = 0; i < 8; i++)
        room[i] = (unsigned char)(run->r.incarnation >> (56 - 8 * i));
    kit_run_encode(&row, room + 8);
    rc = row_put(s, &key, (struct kedge_bytes){ room, 8 + size });
    return rc == KEDGE_OK ? reindex(s, old, run) : rc;
}

static int run_drop(void *ctx, const struct kit_run *run)
{
    struct map_step *s = ctx;
    struct map_key key = kit_map_key_name('r', run->r.id);
    struct map_key gone = kit_map_key_inc('q', run->r.incarnation);
    int rc = kit_map_row_del(s, &key);

    if (rc == KEDGE_OK)
        rc = reindex(s, run, NULL);
    return rc == KEDGE_OK ? row_put(s, &gone, (struct kedge_bytes){ "", 0 }) : rc;
}

/* -------------------------------------------------- what hangs on a run */

static int record_request(void *ctx, const struct kit_run *run, uint64_t number,
                          struct kedge_id128 *out)
{
    struct map_key stem = kit_map_key_record(run->r.incarnation, number);
    struct kedge_bytes part;
    struct kit_blob blob;
    int rc = blob_first(ctx, &stem, &blob, &part);

    if (rc == KEDGE_OK)
        *out = blob.request;
    return rc == KEDGE_NOT_FOUND ? KEDGE_ERR_CORRUPT : rc;
}

static int append(void *ctx, const struct kit_run *run, uint64_t first,
                  const struct kedge_bytes *records, size_t n, const struct kedge_id128 *request,
                  int64_t now_wall)
{
    struct map_key position = kit_map_key_inc('p', run->r.incarnation);
    struct kit_blob blob = { .request = *request, .time = now_wall };

    for (size_t i = 0; i < n; i++) {
        struct map_key stem = kit_map_key_record(run->r.incarnation, first + i);
        int rc = blob_put(ctx, &stem, blob, records[i]);

        if (rc != KEDGE_OK)
            return rc;
    }
    return row_put_u64(ctx, &position, first + n - 1);
}

static int snapshot_put(void *ctx, const struct kit_run *run, struct kedge_bytes data)
{
    struct map_key stem = kit_map_key_inc('s', run->r.incarnation);
    struct map_scan old = kit_map_scan(&stem);
    int rc;

    while ((rc = kit_map_scan_next(ctx, &old)) == KEDGE_OK) {
        rc = kit_map_row_del(ctx, &old.key);
        if (rc != KEDGE_OK)
            return rc;
    }
    return rc == KEDGE_NOT_FOUND ? blob_put(ctx, &stem, (struct kit_blob){ 0 }, data) : rc;
}

static int slots_get(void *ctx, uint64_t incarnation, uint32_t set, struct kit_slots *out)
{
    struct map_key key = key_set('t', incarnation, set);
    struct kedge_bytes value;
    int rc = row_get(ctx, &key, &value);

    return rc == KEDGE_OK && !kit_slots_decode(value, out) ? KEDGE_ERR_CORRUPT : rc;
}

static int slots_put(void *ctx, uint64_t incarnation, uint32_t set, const struct kit_slots *slots)
{
    struct map_key key = key_set('t', incarnation, set);
    unsigned char room[64];

    kit_slots_encode(slots, room);
    return row_put(ctx, &key, (struct kedge_bytes){ room, kit_slots_size() });
}

static int slot_has(void *ctx, uint64_t incarnation, uint32_t set, uint32_t index)
{
    struct map_key stem = kit_map_key_slot(incarnation, set, index);
    struct kedge_bytes value;

    kit_map_key_u32(&stem, 0);
    return row_get(ctx, &stem, &value);
}

static int slot_put(void *ctx, uint64_t incarnation, uint32_t set, uint32_t index,
                    struct kedge_bytes value)
{
    struct map_key stem = kit_map_key_slot(incarnation, set, index);

    return blob_put(ctx, &stem, (struct kit_blob){ 0 }, value);
}

/* ----------------------------------------------------- leases, cells, locks */

static int lease_row(struct map_step *s, const struct kedge_id128 *id, struct kit_lease_row **out)
{
    struct map_key key = kit_map_key_id('l', id);
    struct kit_lease_row *row;
    struct kedge_bytes value;
    int rc = row_copy(s, &key, &value);

    if (rc != KEDGE_OK)
        return rc;
    row = step_alloc(s, sizeof *row);
    if (row == NULL)
        return KEDGE_ERR_NOMEM;
    *out = row;
    return kit_lease_decode(s->store->host, &s->mem, id, value, row);
}

int kit_map_lease(struct map_step *s, const struct kedge_id128 *id, const struct kit_lease **out)
{
    struct kit_lease_row *row;
    int rc = lease_row(s, id, &row);

    if (rc == KEDGE_OK)
        *out = &row->k;
    return rc;
}

static int lease_get(void *ctx, const struct kedge_id128 *id, const struct kit_lease **out)
{
    return kit_map_lease(ctx, id, out);
}

static int lease_put(void *ctx, const struct kit_lease *lease)
{
    struct map_step *s = ctx;
    struct map_key key = kit_map_key_id('l', &lease->l.id);
    struct kit_lease_row row = { .k = *lease };
    struct kit_lease_row *old;
    size_t size;
    void *room;
    int rc = lease_row(s, &lease->l.id, &old);

    if (rc == KEDGE_OK)
        row.unknown = old->unknown;
    else if (rc != KEDGE_NOT_FOUND)
        return rc;
    size = kit_lease_size(&row);
    room = step_alloc(s, size);
    if (room == NULL)
        return KEDGE_ERR_NOMEM;
    kit_lease_encode(&row, room);
    return row_put(s, &key, (struct kedge_bytes){ room, size });
}

bool kit_map_names(struct map_step *s, char table, const struct kedge_id128 *lease)
{
    struct map_key prefix = kit_map_key_id(table, lease);
    struct map_scan scan = kit_map_scan(&prefix);

    return kit_map_scan_next(s, &scan) != KEDGE_NOT_FOUND;
}

static struct map_key key_expiry(int64_t expires, struct kedge_bytes name)
{
    struct map_key key = key_time('y', expires);

    kit_map_key_bytes(&key, name);
    return key;
}

static int cell_get(void *ctx, struct kedge_bytes name, const struct kit_cell **out)
{
    struct map_step *s = ctx;
    struct map_key key = kit_map_key_name('c', name);
    struct kit_cell *cell;
    struct kedge_bytes value;
    int rc = row_copy(s, &key, &value);

    if (rc != KEDGE_OK)
        return rc;
    cell = step_alloc(s, sizeof *cell);
    if (cell == NULL)
        return KEDGE_ERR_NOMEM;
    *out = cell;
    return kit_cell_decode(value, cell) ? KEDGE_OK : KEDGE_ERR_CORRUPT;
}

static int cell_delete(void *ctx, struct kedge_bytes name, const struct kit_cell *old)
{
    struct map_key key = kit_map_key_name('c', name);
    struct map_key expiry = key_expiry(old->expires, name);
    int rc = kit_map_row_del(ctx, &key);

    return rc == KEDGE_OK && old->expires != 0 ? kit_map_row_del(ctx, &expiry) : rc;
}

static int cell_put(void *ctx, struct kedge_bytes name, const struct kit_cell *old,
                    const struct kit_cell *cell)
{
    struct map_key key = kit_map_key_name('c', name);
    struct map_key expiry = key_expiry(cell->expires, name);
    size_t size = kit_cell_size(cell);
    void *room = step_alloc(ctx, size);
    int rc = old != NULL ? cell_delete(ctx, name, old) : KEDGE_OK;

    if (room == NULL)
        return KEDGE_ERR_NOMEM;
    kit_cell_encode(cell, room);
    if (rc == KEDGE_OK)
        rc = row_put(ctx, &key, (struct kedge_bytes){ room, size });
    if (rc == KEDGE_OK && cell->expires != 0)
        rc = row_put(ctx, &expiry, (struct kedge_bytes){ "", 0 });
    return rc;
}

static struct map_key key_lock_of(const struct kedge_id128 *lease, struct kedge_bytes name)
{
    struct map_key key = kit_map_key_id('k', lease);

    kit_map_key_bytes(&key, name);
    return key;
}

static int lock_get(void *ctx, struct kedge_bytes name, const struct kit_lock **out)
{
    struct map_step *s = ctx;
    struct map_key key = kit_map_key_name('g', name);
    struct kedge_bytes value;
    struct kit_lock *lock;
    int rc = row_get(s, &key, &value);

    if (rc != KEDGE_OK)
        return rc;
    lock = step_alloc(s, sizeof *lock);
    if (lock == NULL)
        return KEDGE_ERR_NOMEM;
    *out = lock;
    return kit_lock_decode(value, lock) ? KEDGE_OK : KEDGE_ERR_CORRUPT;
}

static int lock_delete(void *ctx, struct kedge_bytes name, const struct kit_lock *old)
{
    struct map_key key = kit_map_key_name('g', name);
    struct map_key by_lease = key_lock_of(&old->lease, name);
    int rc = kit_map_row_del(ctx, &key);

    return rc == KEDGE_OK ? kit_map_row_del(ctx, &by_lease) : rc;
}

static int lock_put(void *ctx, struct kedge_bytes name, const struct kit_lock *old,
                    const struct kit_lock *lock)
{
    struct map_key key = kit_map_key_name('g', name);
    struct map_key by_lease = key_lock_of(&lock->lease, name);
    unsigned char room[128];
    int rc = old != NULL ? lock_delete(ctx, name, old) : KEDGE_OK;

    kit_lock_encode(lock, room);
    if (rc == KEDGE_OK)
        rc = row_put(ctx, &key, (struct kedge_bytes){ room, kit_lock_size() });
    return rc == KEDGE_OK ? row_put(ctx, &by_lease, (struct kedge_bytes){ "", 0 }) : rc;
}

/* --------------------------------------------------------------------- fences */

/* Read when the step began, and written when it ends: this cannot fail. */
static uint64_t fence_next(void *ctx)
{
    struct map_step *s = ctx;
    uint64_t now = s->kit.now_wall > 0 ? (uint64_t)s->kit.now_wall : 0;

    s->fence = now > s->fence ? now : s->fence + 1;
    return s->fence;
}

/* Nobody waits for a ticket of this store. */
static void work(void *ctx)
{
    (void)ctx;
}

const struct kit_store kit_map_rules = {
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

/* ---------------------------------------------------------------------- steps */

static struct map_key key_meta(const char *name)
{
    return kit_map_key_name('m', (struct kedge_bytes){ name, strlen(name) });
}

/* What an operation answers for a failure that nobody has put into words yet. */
static int say(int rc, struct kedge_error *err)
{
    switch (rc) {
    case KEDGE_ERR_NOMEM:
        return kedge_error_set(err, rc, 0, "out of memory");
    case KEDGE_ERR_CORRUPT:
        return kedge_error_set(err, rc, 0, "a stored record cannot be understood");
    case KEDGE_ERR_FULL:
        return kedge_error_set(err, rc, 0, "the store is full");
    default:
        return rc < 0 ? kedge_error_set(err, rc, 0, "the store cannot be read or written") : rc;
    }
}

static int look_around(struct map_step *s)
{
    const struct kedge_host *host = s->store->host;
    struct map_key fence = key_meta("fence");
    struct kedge_time now;
    int rc = KEDGE_OK;

    if (s->map->now != NULL) {
        rc = s->map->now(s->txn, &now);
    } else {
        now.wall = host->clock_us(host->ctx, KEDGE_CLOCK_WALL);
        now.lease = host->clock_us(host->ctx, KEDGE_CLOCK_LEASE);
    }
    if (rc == KEDGE_OK)
        rc = row_get_u64(s, &fence, &s->stored_fence);
    s->fence = s->stored_fence;
    s->kit.now_wall = now.wall;
    s->kit.now_lease = now.lease;
    return rc;
}

static int begin(struct kit_map_store *store, struct map_step *s, bool write, int64_t timeout_us,
                 struct kedge_error *err)
{
    int rc;

    memset(s, 0, sizeof *s);
    s->store = store;
    s->map = store->map;
    s->write = write;
    s->kit.store = &kit_map_rules;
    s->kit.ctx = s;
    s->kit.host = store->host;
    rc = store->map->begin(store, write, timeout_us, &s->txn, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = look_around(s);
    return rc == KEDGE_OK ? KEDGE_OK : kit_map_end(s, rc, err);
}

int kit_map_begin(struct map_session *session, struct map_step *s, bool write, int64_t timeout_us,
                  struct kedge_error *err)
{
    int rc = kit_check_timeout(timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    if (!kit_map_mine(session->store))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "the store was opened before fork() and cannot be used after it");
    rc = begin(session->store, s, write, timeout_us, err);
    s->kit.scratch = session->scratch;
    return rc;
}

int kit_map_end(struct map_step *s, int rc, struct kedge_error *err)
{
    struct map_key fence = key_meta("fence");
    int written;

    if (rc >= 0 && s->fence != s->stored_fence) {
        written = row_put_u64(s, &fence, s->fence);
        if (written != KEDGE_OK)
            rc = written;
    }
    if (rc < 0 || !s->write) {
        s->map->abort(s->txn);
        rc = say(rc, err);
    } else {
        written = s->map->commit(s->txn, err);
        if (written != KEDGE_OK)
            rc = written;
    }
    kedge_mem_free(s->store->host, s->mem);
    return rc;
}

/* ----------------------------------------------------------------------- open */

bool kit_map_mine(const struct kit_map_store *store)
{
    return store->pid == getpid();
}

static int check_schema(struct map_step *s, const struct kedge_open *open, struct kedge_error *err)
{
    struct map_key key = key_meta("schema");
    uint64_t have;
    int rc = row_get_u64(s, &key, &have);

    if (rc != KEDGE_OK)
        return kit_map_end(s, rc, err);
    if (have == 0 && (open->flags & KEDGE_OPEN_CREATE) != 0)
        return kit_map_end(s, row_put_u64(s, &key, KIT_MAP_SCHEMA), err);
    s->map->abort(s->txn);
    kedge_mem_free(s->store->host, s->mem);
    return kit_schema_check(s->store->place, have > UINT32_MAX ? UINT32_MAX : (uint32_t)have,
                            KIT_MAP_SCHEMA, KIT_MAP_SCHEMA, err);
}

int kit_map_open(struct kit_map_store *store, const struct kedge_open *open,
                 struct kedge_error *err)
{
    struct map_step s;
    int rc = kit_check_name(store->ops->limits, open->ns, "the namespace", err);

    if (rc == KEDGE_OK && (open->flags & ~(KEDGE_OPEN_CREATE | KEDGE_OPEN_MIGRATE)) != 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the flags of the open are unknown");
    store->pid = getpid();
    if (rc == KEDGE_OK)
        rc = begin(store, &s, (open->flags & KEDGE_OPEN_CREATE) != 0, OPEN_PATIENCE_US, err);
    return rc == KEDGE_OK ? check_schema(&s, open, err) : rc;
}
