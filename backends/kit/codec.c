/* codec.c - values of a store of bytes: field tags, checksums; see codec.h for the invariants */
#include "codec.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define FORMAT     1u
#define FIELD_HEAD 5u /* tag, length */

/* Tags.  Those a reader cannot do without carry KIT_MUST. */
enum {
    TAG_NUMBERS = KIT_MUST | 1,
    TAG_ID = KIT_MUST | 2,
    TAG_REACTOR = KIT_MUST | 3,
    TAG_QUEUE = KIT_MUST | 4,
    TAG_CONTEXT = 5,
    TAG_PARENT = KIT_MUST | 6,
    TAG_ROOT = 7,
    TAG_LAST = 8,
    TAG_PREV = 9,
    TAG_OWNER = 10,
    TAG_SERVE = 11,
    TAG_VALUE = KIT_MUST | 12
};

uint64_t kit_seed(uint64_t a, uint64_t b)
{
    return a * UINT64_C(0x9E3779B97F4A7C15) ^ b;
}

uint64_t kit_hash64(struct kedge_bytes in)
{
    return XXH3_64bits(in.data, in.len);
}

void kit_hash128(struct kedge_bytes in, unsigned char out[16])
{
    XXH128_canonical_t c;

    XXH128_canonicalFromHash(&c, XXH3_128bits(in.data, in.len));
    memcpy(out, c.digest, 16);
}

/* ---------------------------------------------------------- little writers */

struct out {
    unsigned char *p;
};

static void put(struct out *o, const void *data, size_t len)
{
    if (len != 0)
        memcpy(o->p, data, len);
    o->p += len;
}

static void put_u32(struct out *o, uint32_t v)
{
    unsigned char b[4] = { (unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
                           (unsigned char)(v >> 24) };

    put(o, b, sizeof b);
}

static void put_u64(struct out *o, uint64_t v)
{
    put_u32(o, (uint32_t)v);
    put_u32(o, (uint32_t)(v >> 32));
}

static void put_field(struct out *o, unsigned tag, const void *data, size_t len)
{
    unsigned char t = (unsigned char)tag;

    put(o, &t, 1);
    put_u32(o, (uint32_t)len);
    put(o, data, len);
}

static size_t field_size(size_t len)
{
    return FIELD_HEAD + len;
}

static size_t bytes_size(struct kedge_bytes b)
{
    return b.len == 0 ? 0 : field_size(b.len);
}

static void put_bytes(struct out *o, unsigned tag, struct kedge_bytes b)
{
    if (b.len != 0)
        put_field(o, tag, b.data, b.len);
}

static void seal(uint64_t seed, unsigned char *start, struct out *o)
{
    put_u64(o, XXH3_64bits_withSeed(start, (size_t)(o->p - start), seed));
}

/* ---------------------------------------------------------- little readers */

struct in {
    const unsigned char *p;
    const unsigned char *end;
};

static uint32_t u32_at(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t u64_at(const unsigned char *p)
{
    return u32_at(p) | (uint64_t)u32_at(p + 4) << 32;
}

/* Check format and checksum; what remains are the fields. */
static bool unseal(uint64_t seed, struct kedge_bytes value, struct in *in)
{
    const unsigned char *p = value.data;

    if (value.len < 1 + KIT_SUM || p[0] != FORMAT)
        return false;
    in->p = p + 1;
    in->end = p + value.len - KIT_SUM;
    return XXH3_64bits_withSeed(p, value.len - KIT_SUM, seed) == u64_at(in->end);
}

static bool next_field(struct in *in, unsigned *tag, struct kedge_bytes *body)
{
    uint32_t len;

    if ((size_t)(in->end - in->p) < FIELD_HEAD)
        return false;
    *tag = in->p[0];
    len = u32_at(in->p + 1);
    if ((size_t)(in->end - in->p) - FIELD_HEAD < len)
        return false;
    *body = (struct kedge_bytes){ in->p + FIELD_HEAD, len };
    in->p += FIELD_HEAD + len;
    return true;
}

/* Numbers of a block, one after the other; zeros past its end (I3). */
static uint64_t take_u64(struct kedge_bytes *b)
{
    const unsigned char *p = b->data;

    if (b->len < 8) {
        b->len = 0;
        return 0;
    }
    *b = (struct kedge_bytes){ p + 8, b->len - 8 };
    return u64_at(p);
}

static uint32_t take_u32(struct kedge_bytes *b)
{
    const unsigned char *p = b->data;

    if (b->len < 4) {
        b->len = 0;
        return 0;
    }
    *b = (struct kedge_bytes){ p + 4, b->len - 4 };
    return u32_at(p);
}

static void take_id(struct kedge_bytes *b, uint8_t out[16])
{
    const unsigned char *p = b->data;

    if (b->len < 16) {
        memset(out, 0, 16);
        b->len = 0;
        return;
    }
    memcpy(out, p, 16);
    *b = (struct kedge_bytes){ p + 16, b->len - 16 };
}

/* Fields we do not know: kept as one stretch, since a writer puts them behind ours. */
static bool keep_unknown(struct kedge_bytes *unknown, unsigned tag, struct kedge_bytes body)
{
    const unsigned char *start = (const unsigned char *)body.data - FIELD_HEAD;

    if ((tag & KIT_MUST) != 0)
        return false;
    if (unknown->len == 0)
        *unknown = (struct kedge_bytes){ start, 0 };
    else if ((const unsigned char *)unknown->data + unknown->len != start)
        return false;
    unknown->len += FIELD_HEAD + body.len;
    return true;
}

/* -------------------------------------------------------------------- runs */

#define RUN_NUMBERS (16u * 8u + 11u * 4u + 3u * 16u)

static void put_run_numbers(struct out *o, const struct kit_run_row *run)
{
    const struct kedge_run *r = &run->k.r;
    unsigned char tag = TAG_NUMBERS;

    put(o, &tag, 1);
    put_u32(o, RUN_NUMBERS);
    put_u64(o, r->incarnation);
    put_u64(o, run->k.head_revision);
    put_u64(o, r->fence);
    put_u64(o, r->snapshot_position);
    put_u64(o, r->parent_incarnation);
    put_u64(o, run->k.recoveries_at);
    put_u64(o, (uint64_t)r->due);
    put_u64(o, (uint64_t)r->created);
    put_u64(o, (uint64_t)r->finished);
    put_u64(o, (uint64_t)r->expires);
    put_u64(o, (uint64_t)r->hold_until);
    for (int spare = 0; spare < 5; spare++)
        put_u64(o, 0);
    put_u32(o, r->parent_set);
    put_u32(o, r->parent_slot);
    put_u32(o, r->version);
    put_u32(o, r->status);
    put_u32(o, r->place);
    put_u32(o, r->wakes_on);
    put_u32(o, r->requests);
    put_u32(o, r->recoveries);
    put_u32(o, r->wake_mark);
    put_u32(o, run->queue_no);
    put_u32(o, run->reactor_no);
    put(o, r->holder.b, 16);
    put(o, run->k.create_request.b, 16);
    put(o, run->k.take_request.b, 16);
}

static void take_run_numbers(struct kedge_bytes b, struct kit_run_row *run)
{
    struct kedge_run *r = &run->k.r;

    r->incarnation = take_u64(&b);
    run->k.head_revision = take_u64(&b);
    r->fence = take_u64(&b);
    r->snapshot_position = take_u64(&b);
    r->parent_incarnation = take_u64(&b);
    run->k.recoveries_at = take_u64(&b);
    r->due = (int64_t)take_u64(&b);
    r->created = (int64_t)take_u64(&b);
    r->finished = (int64_t)take_u64(&b);
    r->expires = (int64_t)take_u64(&b);
    r->hold_until = (int64_t)take_u64(&b);
    for (int spare = 0; spare < 5; spare++)
        (void)take_u64(&b);
    r->parent_set = take_u32(&b);
    r->parent_slot = take_u32(&b);
    r->version = take_u32(&b);
    r->status = take_u32(&b);
    r->place = take_u32(&b);
    r->wakes_on = take_u32(&b);
    r->requests = take_u32(&b);
    r->recoveries = take_u32(&b);
    r->wake_mark = take_u32(&b);
    run->queue_no = take_u32(&b);
    run->reactor_no = take_u32(&b);
    take_id(&b, r->holder.b);
    take_id(&b, run->k.create_request.b);
    take_id(&b, run->k.take_request.b);
}

#define DONE_SIZE (16u + 3u * 8u)

static size_t done_size(const struct kit_done *d)
{
    return kit_id_zero(&d->request) ? 0 : field_size(DONE_SIZE);
}

static void put_done(struct out *o, unsigned tag, const struct kit_done *d)
{
    unsigned char t = (unsigned char)tag;

    if (kit_id_zero(&d->request))
        return;
    put(o, &t, 1);
    put_u32(o, DONE_SIZE);
    put(o, d->request.b, 16);
    put_u64(o, d->fence);
    put_u64(o, d->revision);
    put_u64(o, d->position);
}

static void take_done(struct kedge_bytes b, struct kit_done *d)
{
    take_id(&b, d->request.b);
    d->fence = take_u64(&b);
    d->revision = take_u64(&b);
    d->position = take_u64(&b);
}

/* The root is not written when it is the run itself, which is nearly always. */
static struct kedge_bytes stored_root(const struct kedge_run *r)
{
    return kit_bytes_equal(r->root, r->id) ? (struct kedge_bytes){ NULL, 0 } : r->root;
}

size_t kit_run_size(const struct kit_run_row *run)
{
    const struct kedge_run *r = &run->k.r;

    return 1 + field_size(RUN_NUMBERS) + bytes_size(r->id) + bytes_size(r->reactor) +
           bytes_size(r->queue) + bytes_size(r->context) + bytes_size(r->parent) +
           bytes_size(stored_root(r)) + done_size(&run->k.last) + done_size(&run->k.prev) +
           run->unknown.len + KIT_SUM;
}

void kit_run_encode(const struct kit_run_row *run, void *to)
{
    const struct kedge_run *r = &run->k.r;
    struct out o = { to };
    unsigned char format = FORMAT;

    put(&o, &format, 1);
    put_run_numbers(&o, run);
    put_bytes(&o, TAG_ID, r->id);
    put_bytes(&o, TAG_REACTOR, r->reactor);
    put_bytes(&o, TAG_QUEUE, r->queue);
    put_bytes(&o, TAG_CONTEXT, r->context);
    put_bytes(&o, TAG_PARENT, r->parent);
    put_bytes(&o, TAG_ROOT, stored_root(r));
    put_done(&o, TAG_LAST, &run->k.last);
    put_done(&o, TAG_PREV, &run->k.prev);
    put(&o, run->unknown.data, run->unknown.len);
    seal(r->incarnation, to, &o);
}

bool kit_run_decode(uint64_t inc, struct kedge_bytes value, struct kit_run_row *run)
{
    struct kedge_run *r = &run->k.r;
    struct kedge_bytes body;
    struct in in;
    unsigned tag;

    memset(run, 0, sizeof *run);
    if (!unseal(inc, value, &in))
        return false;
    while (in.p != in.end) {
        if (!next_field(&in, &tag, &body))
            return false;
        switch (tag) {
        case TAG_NUMBERS:
            take_run_numbers(body, run);
            break;
        case TAG_ID:
            r->id = body;
            break;
        case TAG_REACTOR:
            r->reactor = body;
            break;
        case TAG_QUEUE:
            r->queue = body;
            break;
        case TAG_CONTEXT:
            r->context = body;
            break;
        case TAG_PARENT:
            r->parent = body;
            break;
        case TAG_ROOT:
            r->root = body;
            break;
        case TAG_LAST:
            take_done(body, &run->k.last);
            break;
        case TAG_PREV:
            take_done(body, &run->k.prev);
            break;
        default:
            if (!keep_unknown(&run->unknown, tag, body))
                return false;
        }
    }
    if (r->root.len == 0)
        r->root = r->id;
    return r->incarnation == inc && r->id.len != 0;
}

void kit_run_salvage(struct kedge_bytes value, struct kit_run_row *run)
{
    struct in in = { value.data, NULL };
    struct kedge_bytes body;
    unsigned tag;

    if (value.len < 1 + KIT_SUM)
        return;
    in.end = in.p + value.len - KIT_SUM;
    in.p++;
    while (next_field(&in, &tag, &body))
        if (tag == TAG_ID)
            run->k.r.id = body;
        else if (tag == TAG_REACTOR)
            run->k.r.reactor = body;
        else if (tag == TAG_QUEUE)
            run->k.r.queue = body;
}

/* ------------------------------------------------------------------ leases */

#define LEASE_NUMBERS (9u * 8u + 2u * 4u + 3u * 16u)

size_t kit_lease_size(const struct kit_lease_row *lease)
{
    const struct kedge_lease *l = &lease->k.l;
    size_t size = 1 + field_size(LEASE_NUMBERS) + bytes_size(l->owner);

    for (size_t i = 0; i < l->n_serves; i++)
        size += field_size(12 + l->serves[i].queue.len + l->serves[i].reactor.len);
    return size + lease->unknown.len + KIT_SUM;
}

static void put_serve(struct out *o, const struct kedge_serve *s)
{
    unsigned char tag = TAG_SERVE;

    put(o, &tag, 1);
    put_u32(o, (uint32_t)(12 + s->queue.len + s->reactor.len));
    put_u32(o, s->version_min);
    put_u32(o, s->version_max);
    put_u32(o, (uint32_t)s->queue.len);
    put(o, s->queue.data, s->queue.len);
    put(o, s->reactor.data, s->reactor.len);
}

static bool take_serve(struct kedge_bytes b, struct kedge_serve *s)
{
    size_t queue;

    if (b.len < 12)
        return false;
    s->version_min = take_u32(&b);
    s->version_max = take_u32(&b);
    queue = take_u32(&b);
    if (queue > b.len)
        return false;
    s->queue = (struct kedge_bytes){ b.data, queue };
    s->reactor = (struct kedge_bytes){ (const char *)b.data + queue, b.len - queue };
    return true;
}

void kit_lease_encode(const struct kit_lease_row *lease, void *to)
{
    const struct kit_lease *k = &lease->k;
    struct out o = { to };
    unsigned char format = FORMAT;
    unsigned char tag = TAG_NUMBERS;

    put(&o, &format, 1);
    put(&o, &tag, 1);
    put_u32(&o, LEASE_NUMBERS);
    put_u64(&o, (uint64_t)k->l.ttl_us);
    put_u64(&o, (uint64_t)k->l.deadline);
    put_u64(&o, (uint64_t)k->l.granted);
    put_u64(&o, k->l.attention);
    put_u64(&o, k->l.incarnation);
    put_u64(&o, (uint64_t)k->extended);
    put_u64(&o, (uint64_t)k->died);
    put_u64(&o, k->hint_id[0]);
    put_u64(&o, k->hint_id[1]);
    put_u32(&o, k->l.state);
    put_u32(&o, 0);
    put(&o, k->grant_request.b, 16);
    put(&o, k->claim_request.b, 16);
    put(&o, k->boot_id, 16);
    put_bytes(&o, TAG_OWNER, k->l.owner);
    for (size_t i = 0; i < k->l.n_serves; i++)
        put_serve(&o, &k->l.serves[i]);
    put(&o, lease->unknown.data, lease->unknown.len);
    seal(u64_at(k->l.id.b), to, &o);
}

static void take_lease_numbers(struct kedge_bytes b, struct kit_lease *k)
{
    k->l.ttl_us = (int64_t)take_u64(&b);
    k->l.deadline = (int64_t)take_u64(&b);
    k->l.granted = (int64_t)take_u64(&b);
    k->l.attention = take_u64(&b);
    k->l.incarnation = take_u64(&b);
    k->extended = (int64_t)take_u64(&b);
    k->died = (int64_t)take_u64(&b);
    k->hint_id[0] = take_u64(&b);
    k->hint_id[1] = take_u64(&b);
    k->l.state = take_u32(&b);
    (void)take_u32(&b);
    take_id(&b, k->grant_request.b);
    take_id(&b, k->claim_request.b);
    take_id(&b, k->boot_id);
}

static size_t count_fields(struct in in, unsigned wanted)
{
    struct kedge_bytes body;
    unsigned tag;
    size_t n = 0;

    while (in.p != in.end && next_field(&in, &tag, &body))
        n += tag == wanted;
    return n;
}

int kit_lease_decode(const struct kedge_host *host, struct kedge_mem **mem,
                     const struct kedge_id128 *id, struct kedge_bytes value,
                     struct kit_lease_row *lease)
{
    struct kedge_serve *serves = NULL;
    struct kedge_bytes body;
    struct in in;
    unsigned tag;
    size_t n;

    memset(lease, 0, sizeof *lease);
    if (!unseal(u64_at(id->b), value, &in))
        return KEDGE_ERR_CORRUPT;
    lease->k.l.id = *id;
    n = count_fields(in, TAG_SERVE);
    if (n != 0) {
        serves = kedge_mem_alloc(host, mem, n * sizeof *serves);
        if (serves == NULL)
            return KEDGE_ERR_NOMEM;
    }
    lease->k.l.serves = serves;
    while (in.p != in.end) {
        if (!next_field(&in, &tag, &body))
            return KEDGE_ERR_CORRUPT;
        if (tag == TAG_NUMBERS)
            take_lease_numbers(body, &lease->k);
        else if (tag == TAG_OWNER)
            lease->k.l.owner = body;
        else if (tag == TAG_SERVE && serves != NULL &&
                 take_serve(body, &serves[lease->k.l.n_serves]))
            lease->k.l.n_serves++;
        else if (tag == TAG_SERVE || !keep_unknown(&lease->unknown, tag, body))
            return KEDGE_ERR_CORRUPT;
    }
    return KEDGE_OK;
}

/* --------------------------------------------------- cells, locks, slot sets */

#define CELL_NUMBERS (2u * 8u + 16u)

size_t kit_cell_size(const struct kit_cell *cell)
{
    return 1 + field_size(CELL_NUMBERS) + field_size(cell->value.len) + KIT_SUM;
}

void kit_cell_encode(const struct kit_cell *cell, void *to)
{
    struct out o = { to };
    unsigned char format = FORMAT;
    unsigned char tag = TAG_NUMBERS;

    put(&o, &format, 1);
    put(&o, &tag, 1);
    put_u32(&o, CELL_NUMBERS);
    put_u64(&o, cell->version);
    put_u64(&o, (uint64_t)cell->expires);
    put(&o, cell->request.b, 16);
    put_field(&o, TAG_VALUE, cell->value.data, cell->value.len);
    seal(0, to, &o);
}

/* Walk the fields of a small record: its numbers and, if wanted, its value. */
static bool decode_small(struct kedge_bytes value, struct kedge_bytes *numbers,
                         struct kedge_bytes *payload)
{
    struct kedge_bytes body;
    struct in in;
    unsigned tag;

    if (!unseal(0, value, &in))
        return false;
    while (in.p != in.end) {
        if (!next_field(&in, &tag, &body))
            return false;
        if (tag == TAG_NUMBERS)
            *numbers = body;
        else if (tag == TAG_VALUE && payload != NULL)
            *payload = body;
        else if ((tag & KIT_MUST) != 0)
            return false;
    }
    return true;
}

bool kit_cell_decode(struct kedge_bytes value, struct kit_cell *cell)
{
    struct kedge_bytes numbers = { NULL, 0 };

    memset(cell, 0, sizeof *cell);
    if (!decode_small(value, &numbers, &cell->value))
        return false;
    cell->version = take_u64(&numbers);
    cell->expires = (int64_t)take_u64(&numbers);
    take_id(&numbers, cell->request.b);
    return true;
}

#define LOCK_NUMBERS (8u + 2u * 16u)

size_t kit_lock_size(void)
{
    return 1 + field_size(LOCK_NUMBERS) + KIT_SUM;
}

void kit_lock_encode(const struct kit_lock *lock, void *to)
{
    struct out o = { to };
    unsigned char format = FORMAT;
    unsigned char tag = TAG_NUMBERS;

    put(&o, &format, 1);
    put(&o, &tag, 1);
    put_u32(&o, LOCK_NUMBERS);
    put_u64(&o, lock->fence);
    put(&o, lock->lease.b, 16);
    put(&o, lock->request.b, 16);
    seal(0, to, &o);
}

bool kit_lock_decode(struct kedge_bytes value, struct kit_lock *lock)
{
    struct kedge_bytes numbers = { NULL, 0 };

    if (!decode_small(value, &numbers, NULL))
        return false;
    lock->fence = take_u64(&numbers);
    take_id(&numbers, lock->lease.b);
    take_id(&numbers, lock->request.b);
    return true;
}

#define SLOTS_NUMBERS (2u * 4u)

size_t kit_slots_size(void)
{
    return 1 + field_size(SLOTS_NUMBERS) + KIT_SUM;
}

void kit_slots_encode(const struct kit_slots *slots, void *to)
{
    struct out o = { to };
    unsigned char format = FORMAT;
    unsigned char tag = TAG_NUMBERS;

    put(&o, &format, 1);
    put(&o, &tag, 1);
    put_u32(&o, SLOTS_NUMBERS);
    put_u32(&o, slots->total);
    put_u32(&o, slots->remaining);
    seal(0, to, &o);
}

bool kit_slots_decode(struct kedge_bytes value, struct kit_slots *slots)
{
    struct kedge_bytes numbers = { NULL, 0 };

    if (!decode_small(value, &numbers, NULL))
        return false;
    slots->total = take_u32(&numbers);
    slots->remaining = take_u32(&numbers);
    return true;
}

/* ------------------------------------------------------------ large values */

size_t kit_blob_rows(size_t len)
{
    return len <= KIT_CHUNK ? 1 : (len + KIT_CHUNK - 1) / KIT_CHUNK;
}

static size_t part_len(size_t len, size_t row)
{
    size_t left = len - row * KIT_CHUNK;

    return left < KIT_CHUNK ? left : KIT_CHUNK;
}

size_t kit_blob_row_size(size_t len, size_t row)
{
    return (row == 0 ? KIT_BLOB_HEAD : 1) + part_len(len, row) + KIT_SUM;
}

void kit_blob_encode(uint64_t seed, const struct kit_blob *blob, struct kedge_bytes data,
                     size_t row, void *to)
{
    struct out o = { to };
    unsigned char format = FORMAT;

    put(&o, &format, 1);
    if (row == 0) {
        put_u64(&o, blob->total);
        put(&o, blob->request.b, 16);
        put_u64(&o, (uint64_t)blob->time);
    }
    if (data.len != 0)
        put(&o, (const char *)data.data + row * KIT_CHUNK, part_len(data.len, row));
    seal(kit_seed(seed, row), to, &o);
}

bool kit_blob_decode_first(uint64_t seed, struct kedge_bytes value, struct kit_blob *blob,
                           struct kedge_bytes *part)
{
    const unsigned char *p;
    struct in in;

    if (!unseal(kit_seed(seed, 0), value, &in) || (size_t)(in.end - in.p) < KIT_BLOB_HEAD - 1)
        return false;
    p = in.p;
    blob->total = u64_at(p);
    memcpy(blob->request.b, p + 8, 16);
    blob->time = (int64_t)u64_at(p + 24);
    *part = (struct kedge_bytes){ p + 32, (size_t)(in.end - p) - 32 };
    return part->len <= blob->total;
}

bool kit_blob_decode_next(uint64_t seed, size_t row, struct kedge_bytes value,
                          struct kedge_bytes *part)
{
    struct in in;

    if (!unseal(kit_seed(seed, row), value, &in))
        return false;
    *part = (struct kedge_bytes){ in.p, (size_t)(in.end - in.p) };
    return true;
}
