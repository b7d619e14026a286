/* keys.c - the keys of a namespace, and what is in them; see keys.h */
#include <config.h>

#include "keys.h"

#include <stdio.h>

/* ------------------------------------------------------------------ names */

static const struct kedge_bytes nothing;

/* Prefix, letter and up to three parts. */
static struct kedge_bytes join(struct rd_arena *a, const char *prefix, char letter,
                               struct kedge_bytes one, struct kedge_bytes two)
{
    size_t front = strlen(prefix);
    size_t len = front + 1 + one.len + two.len;
    char *p = rd_alloc(a, len);

    if (p == NULL)
        return nothing;
    memcpy(p, prefix, front); /* NOLINT(bugprone-not-null-terminated-result): a key has no end */
    p[front] = letter;
    if (one.len != 0)
        memcpy(p + front + 1, one.data, one.len);
    if (two.len != 0)
        memcpy(p + front + 1 + one.len, two.data, two.len);
    return (struct kedge_bytes){ p, len };
}

struct kedge_bytes rd_key(struct rd_arena *a, const char *prefix, char letter,
                          struct kedge_bytes name)
{
    return join(a, prefix, letter, name, nothing);
}

struct kedge_bytes rd_key_lease(struct rd_arena *a, const char *prefix, char letter,
                                const struct kedge_id128 *lease)
{
    return join(a, prefix, letter, (struct kedge_bytes){ lease->b, sizeof lease->b }, nothing);
}

struct kedge_bytes rd_key_kids(struct rd_arena *a, const char *prefix, uint64_t incarnation)
{
    unsigned char number[8];

    rd_put_u64(number, incarnation);
    return join(a, prefix, 'p', (struct kedge_bytes){ number, sizeof number }, nothing);
}

struct kedge_bytes rd_key_kind(struct rd_arena *a, const char *prefix, struct kedge_bytes class_,
                               uint32_t status)
{
    unsigned char byte = (unsigned char)status;

    return join(a, prefix, 'k', class_, (struct kedge_bytes){ &byte, 1 });
}

struct kedge_bytes rd_class(struct rd_arena *a, struct kedge_bytes queue,
                            struct kedge_bytes reactor, uint32_t version)
{
    size_t len = 2 + queue.len + 2 + reactor.len + 4;
    unsigned char *p = rd_alloc(a, len);

    if (p == NULL)
        return nothing;
    rd_put_u16(p, (uint32_t)queue.len);
    if (queue.len != 0)
        memcpy(p + 2, queue.data, queue.len);
    rd_put_u16(p + 2 + queue.len, (uint32_t)reactor.len);
    if (reactor.len != 0)
        memcpy(p + 4 + queue.len, reactor.data, reactor.len);
    rd_put_u32(p + 4 + queue.len + reactor.len, version);
    return (struct kedge_bytes){ p, len };
}

static bool take_bytes(struct kedge_bytes *from, struct kedge_bytes *out)
{
    const unsigned char *p = from->data;
    size_t len;

    if (from->len < 2)
        return false;
    len = (size_t)p[0] << 8 | p[1];
    if (from->len - 2 < len)
        return false;
    *out = (struct kedge_bytes){ p + 2, len };
    *from = (struct kedge_bytes){ p + 2 + len, from->len - 2 - len };
    return true;
}

bool rd_class_read(struct kedge_bytes class_, struct kedge_bytes *queue,
                   struct kedge_bytes *reactor, uint32_t *version)
{
    if (!take_bytes(&class_, queue) || !take_bytes(&class_, reactor) || class_.len != 4)
        return false;
    *version = rd_get_u32(class_.data);
    return true;
}

struct kedge_bytes rd_member(struct rd_arena *a, char letter, uint64_t incarnation,
                             struct kedge_bytes id)
{
    size_t front = letter != '\0' ? 1 : 0;
    size_t len = front + 8 + id.len;
    char *p = rd_alloc(a, len);

    if (p == NULL)
        return nothing;
    p[0] = letter;
    rd_put_u64(p + front, incarnation);
    if (id.len != 0)
        memcpy(p + front + 8, id.data, id.len);
    return (struct kedge_bytes){ p, len };
}

struct kedge_bytes rd_timed(struct rd_arena *a, int64_t time, uint64_t incarnation,
                            struct kedge_bytes id)
{
    unsigned char *p = rd_alloc(a, 16 + id.len);

    if (p == NULL)
        return nothing;
    rd_put_u64(p, time < 0 ? 0 : (uint64_t)time);
    rd_put_u64(p + 8, incarnation);
    if (id.len != 0)
        memcpy(p + 16, id.data, id.len);
    return (struct kedge_bytes){ p, 16 + id.len };
}

struct kedge_bytes rd_edge2(struct rd_arena *a, char kind, uint64_t one, uint64_t two)
{
    unsigned char *p = rd_alloc(a, 17);

    if (p == NULL)
        return nothing;
    p[0] = (unsigned char)kind;
    rd_put_u64(p + 1, one);
    rd_put_u64(p + 9, two);
    return (struct kedge_bytes){ p, 17 };
}

struct kedge_bytes rd_edge(struct rd_arena *a, char kind, uint64_t one)
{
    struct kedge_bytes e = rd_edge2(a, kind, one, 0);

    return (struct kedge_bytes){ e.data, e.data == NULL ? 0 : 9 };
}

struct kedge_bytes rd_u64_bytes(struct rd_arena *a, uint64_t number)
{
    unsigned char *p = rd_alloc(a, 8);

    if (p == NULL)
        return nothing;
    rd_put_u64(p, number);
    return (struct kedge_bytes){ p, 8 };
}

struct kedge_bytes rd_two_u32(struct rd_arena *a, uint32_t one, uint32_t two)
{
    unsigned char *p = rd_alloc(a, 8);

    if (p == NULL)
        return nothing;
    rd_put_u32(p, one);
    rd_put_u32(p + 4, two);
    return (struct kedge_bytes){ p, 8 };
}

struct kedge_bytes rd_set_field(struct rd_arena *a, uint32_t set)
{
    struct kedge_bytes b = rd_two_u32(a, set, 0);

    return (struct kedge_bytes){ b.data, b.data == NULL ? 0 : 4 };
}

/* -------------------------------------------------------------------- heads */

static uint64_t settled(uint64_t fence)
{
    return KIT_IS_PLACE(fence) ? 0 : fence;
}

void rd_head_front(const struct kit_run *run, unsigned char *out)
{
    rd_put_u64(out + RD_HEAD_FENCE, settled(run->r.fence));
    memcpy(out + RD_HEAD_HOLDER, run->r.holder.b, 16);
    rd_put_u64(out + RD_HEAD_INCARNATION, settled(run->r.incarnation));
    rd_put_u64(out + RD_HEAD_REVISION, run->head_revision);
    out[RD_HEAD_REQUESTS] = (unsigned char)run->r.requests;
    out[RD_HEAD_STATUS] = (unsigned char)run->r.status;
    out[RD_HEAD_PLACE] = (unsigned char)run->r.place;
}

struct kedge_bytes rd_head_encode(struct rd_arena *a, const struct kit_run *run,
                                  struct kedge_bytes unknown)
{
    struct kit_run_row rest = { .k = *run, .unknown = unknown };
    size_t size;
    unsigned char *p;

    rest.k.r.fence = rest.k.r.incarnation = rest.k.last.fence = rest.k.prev.fence = 0;
    size = kit_run_size(&rest);
    p = rd_alloc(a, RD_HEAD_SIZE + size);
    if (p == NULL)
        return nothing;
    rd_head_front(run, p);
    p[RD_HEAD_FORMAT] = RD_FORMAT;
    rd_put_u64(p + RD_HEAD_LAST_FENCE, settled(run->last.fence));
    rd_put_u64(p + RD_HEAD_PREV_FENCE, settled(run->prev.fence));
    rd_put_u64(p + RD_HEAD_SNAPSHOT, run->r.snapshot_position);
    kit_run_encode(&rest, p + RD_HEAD_SIZE);
    return (struct kedge_bytes){ p, RD_HEAD_SIZE + size };
}

static struct kedge_bytes behind(struct kedge_bytes value, size_t fixed)
{
    return (struct kedge_bytes){ (const unsigned char *)value.data + fixed, value.len - fixed };
}

/* The fixed part says again what is under the checksum, but for the fences. */
static bool head_agrees(const unsigned char *p, const struct kit_run *run)
{
    return memcmp(p + RD_HEAD_HOLDER, run->r.holder.b, 16) == 0 &&
           rd_get_u64(p + RD_HEAD_REVISION) == run->head_revision &&
           p[RD_HEAD_REQUESTS] == run->r.requests && p[RD_HEAD_STATUS] == run->r.status &&
           p[RD_HEAD_PLACE] == run->r.place &&
           rd_get_u64(p + RD_HEAD_SNAPSHOT) == run->r.snapshot_position;
}

bool rd_head_decode(struct kedge_bytes value, uint64_t position, struct kit_run *run,
                    struct kedge_bytes *unknown)
{
    const unsigned char *p = value.data;
    struct kit_run_row rest;

    if (value.len < RD_HEAD_SIZE || p[RD_HEAD_FORMAT] != RD_FORMAT ||
        !kit_run_decode(0, behind(value, RD_HEAD_SIZE), &rest) || !head_agrees(p, &rest.k))
        return false;
    *run = rest.k;
    run->r.fence = rd_get_u64(p + RD_HEAD_FENCE);
    run->r.incarnation = rd_get_u64(p + RD_HEAD_INCARNATION);
    run->last.fence = rd_get_u64(p + RD_HEAD_LAST_FENCE);
    run->prev.fence = rd_get_u64(p + RD_HEAD_PREV_FENCE);
    if (unknown != NULL)
        *unknown = rest.unknown;
    if (run->r.incarnation == 0 || run->r.fence == 0)
        return false;
    kit_run_load(run, position);
    return true;
}

void rd_head_salvage(struct kedge_bytes value, struct kit_run *run)
{
    struct kit_run_row rest = { .queue_no = 0 };

    memset(run, 0, sizeof *run);
    if (value.len < RD_HEAD_SIZE)
        return;
    kit_run_salvage(behind(value, RD_HEAD_SIZE), &rest);
    run->r.id = rest.k.r.id;
    run->r.reactor = rest.k.r.reactor;
    run->r.queue = rest.k.r.queue;
}

/* ------------------------------------------------------------------- leases */

struct kedge_bytes rd_lease_encode(struct rd_arena *a, const struct kit_lease *lease)
{
    struct kit_lease_row rest = { .k = { .l = lease->l } };
    size_t size;
    unsigned char *p;

    rest.k.l.ttl_us = rest.k.l.deadline = rest.k.l.granted = 0;
    rest.k.l.attention = rest.k.l.incarnation = 0;
    rest.k.l.state = 0;
    size = kit_lease_size(&rest);
    p = rd_alloc(a, RD_LEASE_SIZE + size);
    if (p == NULL)
        return nothing;
    p[RD_LEASE_STATE] = lease->l.state == KEDGE_LEASE_DEAD ? 'D' : 'L';
    rd_put_u64(p + RD_LEASE_ATTENTION, lease->l.attention);
    rd_put_u64(p + RD_LEASE_TTL, (uint64_t)lease->l.ttl_us);
    rd_put_u64(p + RD_LEASE_DEADLINE, (uint64_t)lease->l.deadline);
    rd_put_u64(p + RD_LEASE_EXTENDED, (uint64_t)lease->extended);
    rd_put_u64(p + RD_LEASE_HINT, lease->hint_id[0]);
    rd_put_u64(p + RD_LEASE_HINT + 8, lease->hint_id[1]);
    rd_put_u64(p + RD_LEASE_INCARNATION, lease->l.incarnation);
    rd_put_u64(p + RD_LEASE_DIED, (uint64_t)lease->died);
    memcpy(p + RD_LEASE_CLAIM, lease->claim_request.b, 16);
    memcpy(p + RD_LEASE_GRANT, lease->grant_request.b, 16);
    rd_put_u64(p + RD_LEASE_GRANTED, (uint64_t)lease->l.granted);
    memcpy(p + RD_LEASE_GRIP, lease->grant_request.b, 16);
    kit_lease_encode(&rest, p + RD_LEASE_SIZE);
    return (struct kedge_bytes){ p, RD_LEASE_SIZE + size };
}

int rd_lease_decode(const struct kedge_host *host, struct kedge_mem **mem,
                    const struct kedge_id128 *id, struct kedge_bytes value, struct kit_lease *lease)
{
    const unsigned char *p = value.data;
    struct kit_lease_row rest;
    int rc;

    if (value.len < RD_LEASE_SIZE || (p[RD_LEASE_STATE] != 'L' && p[RD_LEASE_STATE] != 'D'))
        return KEDGE_ERR_CORRUPT;
    rc = kit_lease_decode(host, mem, id, behind(value, RD_LEASE_SIZE), &rest);
    if (rc != KEDGE_OK)
        return rc;
    *lease = rest.k;
    lease->l.state = p[RD_LEASE_STATE] == 'D' ? KEDGE_LEASE_DEAD : KEDGE_LEASE_LIVE;
    lease->l.attention = rd_get_u64(p + RD_LEASE_ATTENTION);
    lease->l.ttl_us = (int64_t)rd_get_u64(p + RD_LEASE_TTL);
    lease->l.deadline = (int64_t)rd_get_u64(p + RD_LEASE_DEADLINE);
    lease->extended = (int64_t)rd_get_u64(p + RD_LEASE_EXTENDED);
    lease->hint_id[0] = rd_get_u64(p + RD_LEASE_HINT);
    lease->hint_id[1] = rd_get_u64(p + RD_LEASE_HINT + 8);
    lease->l.incarnation = rd_get_u64(p + RD_LEASE_INCARNATION);
    lease->died = (int64_t)rd_get_u64(p + RD_LEASE_DIED);
    memcpy(lease->claim_request.b, p + RD_LEASE_CLAIM, 16);
    memcpy(lease->grant_request.b, p + RD_LEASE_GRANT, 16);
    lease->l.granted = (int64_t)rd_get_u64(p + RD_LEASE_GRANTED);
    return KEDGE_OK;
}

/* ------------------------------------------------------------ cells and locks */

struct kedge_bytes rd_cell_encode(struct rd_arena *a, const struct kit_cell *cell)
{
    struct kit_cell rest = *cell;
    unsigned char *p;
    size_t size;

    rest.version = 0;
    size = kit_cell_size(&rest);
    p = rd_alloc(a, 8 + size);
    if (p == NULL)
        return nothing;
    rd_put_u64(p, settled(cell->version));
    kit_cell_encode(&rest, p + 8);
    return (struct kedge_bytes){ p, 8 + size };
}

bool rd_cell_decode(struct kedge_bytes value, struct kit_cell *cell)
{
    if (value.len < 8 || !kit_cell_decode(behind(value, 8), cell))
        return false;
    cell->version = rd_get_u64(value.data);
    return cell->version != 0;
}

struct kedge_bytes rd_lock_encode(struct rd_arena *a, const struct kit_lock *lock)
{
    struct kit_lock rest = *lock;
    size_t size = kit_lock_size();
    unsigned char *p = rd_alloc(a, 8 + size);

    if (p == NULL)
        return nothing;
    rest.fence = 0;
    rd_put_u64(p, settled(lock->fence));
    kit_lock_encode(&rest, p + 8);
    return (struct kedge_bytes){ p, 8 + size };
}

bool rd_lock_decode(struct kedge_bytes value, struct kit_lock *lock)
{
    if (value.len < 8 || !kit_lock_decode(behind(value, 8), lock))
        return false;
    lock->fence = rd_get_u64(value.data);
    return lock->fence != 0;
}

/* ------------------------------------------------------------------ records */

uint64_t rd_sum(uint64_t seed, struct kedge_bytes value)
{
    return kit_seed(seed, kit_hash64(value));
}

bool rd_record_decode(struct kedge_bytes element, uint64_t number, struct kedge_record *out)
{
    const unsigned char *p = element.data;
    struct kedge_bytes data;

    if (element.len < RD_RECORD_SIZE || p[RD_RECORD_FORMAT] != RD_FORMAT)
        return false;
    data = behind(element, RD_RECORD_SIZE);
    if (rd_sum(number, data) != rd_get_u64(p + RD_RECORD_SUM))
        return false;
    out->number = number;
    memcpy(out->request.b, p + RD_RECORD_REQUEST, 16);
    out->time = (int64_t)rd_get_u64(p + RD_RECORD_TIME);
    out->data = data;
    return true;
}
