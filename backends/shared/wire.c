/* wire.c - see wire.h */
#include <config.h>

#include "wire.h"

/* ------------------------------------------------------------------------ bytes */

bool wire_room(const struct kedge_host *host, struct wire_buffer *b, size_t size)
{
    size_t more = b->size < 4096 ? 4096 : b->size;
    unsigned char *data;

    if (size <= b->size)
        return true;
    while (more < size)
        more = more > SIZE_MAX / 2 ? size : more * 2;
    data = host->alloc(host->ctx, more);
    if (data == NULL)
        return false;
    if (b->len != 0)
        memcpy(data, b->data, b->len);
    host->release(host->ctx, b->data);
    b->data = data;
    b->size = more;
    return true;
}

void wire_buffer_free(const struct kedge_host *host, struct wire_buffer *b)
{
    host->release(host->ctx, b->data);
    *b = (struct wire_buffer){ NULL, 0, 0 };
}

static void bad(struct wire *w, int why, const char *what)
{
    if (w->bad == NULL) {
        w->bad = what;
        w->why = why;
    }
}

static size_t left(const struct wire *w)
{
    return w->frame->len - w->at;
}

static void *memory(struct wire *w, size_t size)
{
    void *p = kedge_mem_alloc(w->host, &w->mem, size);

    if (p == NULL)
        bad(w, KEDGE_ERR_NOMEM, "out of memory");
    return p;
}

/* Unpacking something bad leaves zeros, so that nobody looks at what is not there. */
static void raw(struct wire *w, void *p, size_t size)
{
    struct wire_buffer *b = w->frame;

    if (w->unpacks) {
        if (w->bad == NULL && left(w) < size)
            bad(w, KEDGE_ERR_CORRUPT, "it ends too early");
        if (w->bad != NULL) {
            memset(p, 0, size);
            return;
        }
        memcpy(p, b->data + w->at, size);
        w->at += size;
        return;
    }
    if (w->bad == NULL && size > WIRE_SIZE_MAX - b->len)
        bad(w, KEDGE_ERR_TOO_BIG, "it is larger than what can be sent to the server of a store");
    if (w->bad == NULL && !wire_room(w->host, b, b->len + size))
        bad(w, KEDGE_ERR_NOMEM, "out of memory");
    if (w->bad != NULL)
        return;
    memcpy(b->data + b->len, p, size);
    b->len += size;
}

static void u32(struct wire *w, uint32_t *v)
{
    raw(w, v, sizeof *v);
}
static void u64(struct wire *w, uint64_t *v)
{
    raw(w, v, sizeof *v);
}
static void i64(struct wire *w, int64_t *v)
{
    raw(w, v, sizeof *v);
}
static void id128(struct wire *w, struct kedge_id128 *v)
{
    raw(w, v->b, sizeof v->b);
}

static void size(struct wire *w, size_t *v)
{
    uint64_t wide = *v;

    u64(w, &wide);
    if (wide > SIZE_MAX)
        bad(w, KEDGE_ERR_CORRUPT, "a number in it is too large");
    if (w->unpacks)
        *v = w->bad == NULL ? (size_t)wide : 0;
}

static bool is_status(int32_t v)
{
    switch (v) {
#define STATUS_CASE(name, value, text) case (value):
        KEDGE_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
        return true;
    default:
        return false;
    }
}

static void status(struct wire *w, int *v)
{
    int32_t narrow = (int32_t)*v;

    raw(w, &narrow, sizeof narrow);
    if (w->unpacks && !is_status(narrow))
        bad(w, KEDGE_ERR_CORRUPT, "a status in it is none");
    *v = narrow;
}

/* LEN bytes that come next, where they stand or a copy of them, and a NUL if asked for. */
static const void *unpack_bytes(struct wire *w, size_t len, bool ended)
{
    const unsigned char *there = w->frame->data + w->at;
    unsigned char *copy;

    if (w->bad == NULL && left(w) < len)
        bad(w, KEDGE_ERR_CORRUPT, "bytes in it are longer than it is");
    if (w->bad != NULL)
        return NULL;
    w->at += len;
    if (!ended && (len == 0 || !w->copies))
        return len == 0 ? NULL : there;
    copy = memory(w, len + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, there, len);
    copy[len] = '\0';
    return copy;
}

static void bytes(struct wire *w, struct kedge_bytes *v)
{
    size_t len = v->len;

    if (!w->unpacks && v->data == NULL && v->len != 0)
        bad(w, KEDGE_ERR_INVALID, "there are bytes that are nowhere: a length without data");
    size(w, &len);
    if (w->unpacks) {
        v->data = unpack_bytes(w, len, false);
        v->len = w->bad == NULL ? len : 0;
    } else if (v->len != 0) {
        raw(w, (void *)(uintptr_t)v->data, v->len);
    }
}

/* Text somebody else keeps. */
static void text(struct wire *w, const char **v)
{
    size_t len = w->unpacks ? 0 : strlen(*v);

    size(w, &len);
    if (!w->unpacks) {
        raw(w, (void *)(uintptr_t)*v, len);
        return;
    }
    *v = unpack_bytes(w, len, true);
    if (*v == NULL)
        *v = "";
}

/* Text in an array of ROOM bytes. */
static void text_in(struct wire *w, char *v, size_t room)
{
    size_t len = w->unpacks ? 0 : strnlen(v, room - 1);

    size(w, &len);
    if (w->unpacks && len >= room)
        bad(w, KEDGE_ERR_CORRUPT, "a text in it is too long");
    if (w->bad == NULL)
        raw(w, v, len);
    if (w->unpacks)
        v[w->bad == NULL ? len : 0] = '\0';
}

/* The N elements at V, or as many as are told of, new.  Each takes four bytes of a frame at least.
 */
static void *elements(struct wire *w, const void *v, size_t *n, size_t each)
{
    void *p;

    size(w, n);
    if (!w->unpacks)
        return (void *)(uintptr_t)v;
    if (w->bad == NULL && *n > left(w) / 4)
        bad(w, KEDGE_ERR_CORRUPT, "a list in it is longer than it is");
    if (w->bad == NULL && *n > SIZE_MAX / each)
        bad(w, KEDGE_ERR_NOMEM, "out of memory");
    p = w->bad == NULL && *n != 0 ? memory(w, *n * each) : NULL;
    if (p == NULL) {
        *n = 0;
        return NULL;
    }
    return memset(p, 0, *n * each);
}

/* A list of TYPE at PTR, N long; the walk over what is packed changes nothing of it. */
#define LIST(w, type, ptr, n, each)                                                                \
    do {                                                                                           \
        /* NOLINTNEXTLINE(bugprone-macro-parentheses): a type */                                   \
        type *list_ = elements((w), (ptr), &(n), sizeof(type));                                    \
                                                                                                   \
        for (size_t i_ = 0; i_ < (n) && (w)->bad == NULL; i_++)                                    \
            each((w), &list_[i_]);                                                                 \
        if ((w)->unpacks)                                                                          \
            (ptr) = list_;                                                                         \
    } while (0)
/* Of one whose length is only read: that of what is packed belongs to somebody else. */
#define LIST_OF(w, type, ptr, n, each)                                                             \
    do {                                                                                           \
        size_t n_ = (n);                                                                           \
                                                                                                   \
        LIST(w, type, ptr, n_, each);                                                              \
        if ((w)->unpacks)                                                                          \
            (n) = n_;                                                                              \
    } while (0)

/* ---------------------------------------------------------------- what is asked */

static void when(struct wire *w, struct kedge_when *v)
{
    i64(w, &v->us);
    u32(w, &v->base);
}

static void serve(struct wire *w, struct kedge_serve *v)
{
    bytes(w, &v->queue);
    bytes(w, &v->reactor);
    u32(w, &v->version_min);
    u32(w, &v->version_max);
}

static bool guard_has_name(uint32_t kind)
{
    return (kind >= KEDGE_GUARD_HELD && kind <= KEDGE_GUARD_POSITION) || kind == KEDGE_GUARD_LOCK ||
           kind == KEDGE_GUARD_CELL;
}

static void guard(struct wire *w, struct kedge_guard *v)
{
    u32(w, &v->kind);
    u32(w, &v->statuses);
    if (guard_has_name(v->kind))
        bytes(w, &v->name);
    id128(w, &v->lease);
    u64(w, &v->number);
    i64(w, &v->from);
    i64(w, &v->to);
}

static void run_new(struct wire *w, struct kedge_run_new *v)
{
    bytes(w, &v->reactor);
    bytes(w, &v->queue);
    bytes(w, &v->context);
    bytes(w, &v->parent);
    bytes(w, &v->root);
    u64(w, &v->parent_incarnation);
    u32(w, &v->parent_set);
    u32(w, &v->parent_slot);
    u32(w, &v->version);
    when(w, &v->due);
    id128(w, &v->lease);
    when(w, &v->hold_until);
}

static void change_set(struct wire *w, struct kedge_change *v)
{
    u32(w, &v->set.mask);
    u32(w, &v->set.status);
    u32(w, &v->set.recoveries);
    u32(w, &v->set.clear_requests);
    if (v->set.mask & KEDGE_SET_QUEUE)
        bytes(w, &v->set.queue);
    when(w, &v->set.expires);
    when(w, &v->set.hold_until);
}

static void change_release(struct wire *w, struct kedge_change *v)
{
    u32(w, &v->release.place);
    u32(w, &v->release.status);
    u32(w, &v->release.wakes_on);
    when(w, &v->release.when);
}

static void change_slot(struct wire *w, struct kedge_change *v)
{
    u64(w, &v->slot.incarnation);
    u32(w, &v->slot.set);
    u32(w, &v->slot.index);
    u32(w, &v->slot.wake_at);
    bytes(w, &v->slot.value);
}

static void change_create(struct wire *w, struct kedge_change *v)
{
    size_t one = v->create != NULL ? 1 : 0;

    LIST(w, struct kedge_run_new, v->create, one, run_new);
}

/* One of a kind that is none has nothing behind it; the store will say so. */
static void change(struct wire *w, struct kedge_change *v)
{
    u32(w, &v->kind);
    if (v->kind < KEDGE_CREATE || v->kind > KEDGE_LOCK_RELEASE)
        return;
    bytes(w, &v->name);
    switch (v->kind) {
    case KEDGE_CREATE:
        change_create(w, v);
        break;
    case KEDGE_TAKE:
        id128(w, &v->take.lease);
        when(w, &v->take.hold_until);
        break;
    case KEDGE_APPEND:
        LIST_OF(w, struct kedge_bytes, v->append.records, v->append.n, bytes);
        u64(w, &v->append.first);
        break;
    case KEDGE_SNAPSHOT:
        bytes(w, &v->snapshot.data);
        u64(w, &v->snapshot.position);
        break;
    case KEDGE_SET:
        change_set(w, v);
        break;
    case KEDGE_RELEASE:
        change_release(w, v);
        break;
    case KEDGE_REQUEST:
        u32(w, &v->request.bits);
        break;
    case KEDGE_SLOTS:
        u32(w, &v->slots.set);
        u32(w, &v->slots.total);
        break;
    case KEDGE_SLOT_PUT:
        change_slot(w, v);
        break;
    case KEDGE_CELL_PUT:
        bytes(w, &v->cell.value);
        when(w, &v->cell.expires);
        break;
    case KEDGE_LOCK_TAKE:
    case KEDGE_LOCK_RELEASE:
        id128(w, &v->lock.lease);
        u64(w, &v->lock.fence);
        break;
    default: /* a wake, a deletion */
        break;
    }
}

static void commit(struct wire *w, struct kedge_commit *v)
{
    uint32_t wants = v->results != NULL;

    id128(w, &v->request);
    LIST_OF(w, struct kedge_guard, v->guards, v->n_guards, guard);
    LIST_OF(w, struct kedge_change, v->changes, v->n_changes, change);
    u32(w, &wants);
    if (!w->unpacks)
        return;
    v->results = wants != 0 ? memory(w, (v->n_changes + 1) * sizeof *v->results) : NULL;
    if (v->results != NULL)
        memset(v->results, 0, v->n_changes * sizeof *v->results);
}

static void ask_nothing(struct wire *w, struct wire_call *c)
{
    (void)w;
    (void)c;
}

static void ask_open(struct wire *w, struct wire_call *c)
{
    u32(w, &c->flags);
    bytes(w, &c->name);
    u64(w, &c->token);
}

static void ask_grant(struct wire *w, struct wire_call *c)
{
    id128(w, &c->grant.id);
    id128(w, &c->grant.request);
    bytes(w, &c->grant.owner);
    LIST(w, struct kedge_serve, c->grant.serves, c->grant.n_serves, serve);
    i64(w, &c->grant.ttl_us);
}

static void ask_lease(struct wire *w, struct wire_call *c)
{
    id128(w, &c->lease);
}

static void ask_limit(struct wire *w, struct wire_call *c)
{
    size(w, &c->limit);
}

static void ask_page(struct wire *w, struct wire_call *c)
{
    bytes(w, &c->cursor);
    size(w, &c->limit);
}

static void ask_held(struct wire *w, struct wire_call *c)
{
    id128(w, &c->lease);
    ask_page(w, c);
}

static void ask_name(struct wire *w, struct wire_call *c)
{
    bytes(w, &c->name);
}

static void ask_acquire(struct wire *w, struct wire_call *c)
{
    bytes(w, &c->name);
    id128(w, &c->lease);
    id128(w, &c->request);
}

static void ask_lock(struct wire *w, struct wire_call *c)
{
    bytes(w, &c->name);
    id128(w, &c->lease);
    u64(w, &c->fence);
}

static void ask_commits(struct wire *w, struct wire_call *c)
{
    LIST(w, struct kedge_commit, c->commits, c->n, commit);
    if (!w->unpacks)
        return;
    c->answers = memory(w, (c->n + 1) * sizeof *c->answers);
    if (c->answers != NULL)
        memset(c->answers, 0, c->n * sizeof *c->answers);
}

static void ask_claim(struct wire *w, struct wire_call *c)
{
    id128(w, &c->claim.request);
    id128(w, &c->claim.lease);
    LIST(w, struct kedge_serve, c->claim.serves, c->claim.n_serves, serve);
    size(w, &c->claim.limit);
    when(w, &c->claim.hold_until);
}

static void ask_retrieve(struct wire *w, struct wire_call *c)
{
    bytes(w, &c->retrieve.id);
    u64(w, &c->retrieve.incarnation);
    u32(w, &c->retrieve.want);
}

static void ask_records(struct wire *w, struct wire_call *c)
{
    bytes(w, &c->name);
    u64(w, &c->incarnation);
    u64(w, &c->first);
    size(w, &c->limit);
    size(w, &c->bytes_max);
}

static void ask_slots(struct wire *w, struct wire_call *c)
{
    bytes(w, &c->name);
    u64(w, &c->incarnation);
    u32(w, &c->set);
    u64(w, &c->first);
    size(w, &c->limit);
}

static void ask_list(struct wire *w, struct wire_call *c)
{
    u32(w, &c->list.statuses);
    u32(w, &c->list.newest_first);
    bytes(w, &c->list.reactor);
    bytes(w, &c->list.parent);
    u64(w, &c->list.parent_incarnation);
    u32(w, &c->list.unserved);
    LIST(w, struct kedge_serve, c->list.serves, c->list.n_serves, serve);
    size(w, &c->list.limit);
    bytes(w, &c->list.cursor);
}

static void ask_seen(struct wire *w, struct wire_call *c)
{
    u64(w, &c->seen);
}

/* ----------------------------------------------------------------- what is told */

static void run(struct wire *w, struct kedge_run *v)
{
    bytes(w, &v->id);
    bytes(w, &v->reactor);
    bytes(w, &v->queue);
    bytes(w, &v->context);
    bytes(w, &v->parent);
    bytes(w, &v->root);
    u64(w, &v->parent_incarnation);
    u32(w, &v->parent_set);
    u32(w, &v->parent_slot);
    u64(w, &v->incarnation);
    u64(w, &v->revision);
    u64(w, &v->fence);
    u64(w, &v->position);
    u64(w, &v->snapshot_position);
    id128(w, &v->holder);
    u32(w, &v->version);
    u32(w, &v->status);
    u32(w, &v->place);
    u32(w, &v->wakes_on);
    u32(w, &v->requests);
    u32(w, &v->recoveries);
    u32(w, &v->wake_mark);
    i64(w, &v->due);
    i64(w, &v->created);
    i64(w, &v->finished);
    i64(w, &v->expires);
    i64(w, &v->hold_until);
}

static void record(struct wire *w, struct kedge_record *v)
{
    u64(w, &v->number);
    id128(w, &v->request);
    i64(w, &v->time);
    bytes(w, &v->data);
}

static void lease(struct wire *w, struct kedge_lease *v)
{
    id128(w, &v->id);
    bytes(w, &v->owner);
    LIST(w, struct kedge_serve, v->serves, v->n_serves, serve);
    i64(w, &v->ttl_us);
    i64(w, &v->deadline);
    i64(w, &v->remaining_us);
    i64(w, &v->granted);
    u64(w, &v->attention);
    u64(w, &v->incarnation);
    u32(w, &v->state);
    u32(w, &v->hint);
}

static void held(struct wire *w, struct kedge_held *v)
{
    u32(w, &v->is_lock);
    u32(w, &v->requests);
    bytes(w, &v->name);
    u64(w, &v->fence);
}

static void slot(struct wire *w, struct kedge_slot *v)
{
    u32(w, &v->index);
    bytes(w, &v->value);
}

static void fact(struct wire *w, struct kedge_fact *v)
{
    text(w, &v->name);
    text(w, &v->value);
}

static void limits(struct wire *w, struct kedge_limits *v)
{
    u64(w, &v->id_max);
    u64(w, &v->value_max);
    u64(w, &v->cell_max);
    u64(w, &v->batch_items);
    u64(w, &v->batch_bytes);
    u64(w, &v->commit_changes);
    u64(w, &v->commit_bytes);
    u64(w, &v->page_max);
    i64(w, &v->ttl_min_us);
    i64(w, &v->ttl_max_us);
    v->struct_size = sizeof *v;
}

static void answer(struct wire *w, struct kedge_answer *v)
{
    status(w, &v->outcome);
    u32(w, &v->at);
    u32(w, &v->requests);
    u32(w, &v->status);
    u64(w, &v->revision);
    u64(w, &v->position);
    u64(w, &v->fence);
    text_in(w, v->why, sizeof v->why);
}

static void tell_nothing(struct wire *w, struct wire_call *c)
{
    (void)w;
    (void)c;
}

static void tell_token(struct wire *w, struct wire_call *c)
{
    u64(w, &c->token);
}

static void tell_info(struct wire *w, struct wire_call *c)
{
    struct kedge_info *v = &c->out.info;

    text(w, &v->server);
    text(w, &v->place);
    u32(w, &v->durability);
    u32(w, &v->schema);
    u64(w, &v->caps);
    u64(w, &v->incarnation);
    limits(w, &v->limits);
    LIST(w, struct kedge_fact, v->facts, v->n_facts, fact);
}

static void tell_time(struct wire *w, struct wire_call *c)
{
    i64(w, &c->time.wall);
    i64(w, &c->time.lease);
}

static void tell_lease(struct wire *w, struct wire_call *c)
{
    i64(w, &c->lease_state.deadline);
    i64(w, &c->lease_state.remaining_us);
    u64(w, &c->lease_state.attention);
    u32(w, &c->lease_state.hint);
}

static void tell_leases(struct wire *w, struct wire_call *c)
{
    LIST(w, struct kedge_lease, c->out.leases.leases, c->out.leases.n, lease);
    bytes(w, &c->out.leases.next);
}

static void tell_held(struct wire *w, struct wire_call *c)
{
    LIST(w, struct kedge_held, c->out.held.held, c->out.held.n, held);
    bytes(w, &c->out.held.next);
}

static void tell_lock(struct wire *w, struct wire_call *c)
{
    id128(w, &c->lock.holder);
    u64(w, &c->lock.fence);
    i64(w, &c->lock.remaining_us);
}

/* As many as were asked, and the results of those that were carried out and wanted them. */
static void tell_answers(struct wire *w, struct wire_call *c)
{
    for (size_t i = 0; i < c->n && w->bad == NULL; i++) {
        const struct kedge_commit *of = &c->commits[i];

        answer(w, &c->answers[i]);
        if (of->results == NULL || c->answers[i].outcome != KEDGE_OK)
            continue;
        for (size_t k = 0; k < of->n_changes; k++)
            u64(w, &of->results[k]);
    }
}

static void tell_runs(struct wire *w, struct wire_call *c)
{
    struct kedge_run_page *v = &c->out.runs;
    size_t n_reasons = v->reasons != NULL ? v->n : 0;

    LIST(w, struct kedge_run, v->runs, v->n, run);
    LIST(w, uint32_t, v->reasons, n_reasons, u32);
    if (w->unpacks && n_reasons != 0 && n_reasons != v->n)
        bad(w, KEDGE_ERR_CORRUPT, "there is not a reason for each run in it");
    bytes(w, &v->next);
    i64(w, &v->next_due);
}

static void tell_state(struct wire *w, struct wire_call *c)
{
    run(w, &c->out.state.run);
    bytes(w, &c->out.state.snapshot);
    LIST(w, struct kedge_record, c->out.state.tail, c->out.state.n_tail, record);
}

static void tell_records(struct wire *w, struct wire_call *c)
{
    LIST(w, struct kedge_record, c->out.records.records, c->out.records.n, record);
    u64(w, &c->out.records.next);
}

static void tell_slots(struct wire *w, struct wire_call *c)
{
    struct kedge_slot_page *v = &c->out.slots;

    LIST(w, struct kedge_slot, v->slots, v->n, slot);
    u32(w, &v->total);
    u32(w, &v->remaining);
    u64(w, &v->next);
}

static void tell_cell(struct wire *w, struct wire_call *c)
{
    bytes(w, &c->out.cell.value);
    u64(w, &c->out.cell.version);
    i64(w, &c->out.cell.expires);
}

static void tell_purged(struct wire *w, struct wire_call *c)
{
    u64(w, &c->purged.runs);
    u64(w, &c->purged.rows);
    u32(w, &c->purged.more);
}

static void tell_verified(struct wire *w, struct wire_call *c)
{
    u64(w, &c->out.verified.runs);
    u64(w, &c->out.verified.records);
    u64(w, &c->out.verified.faults);
    text(w, &c->out.verified.first);
}

static void tell_ticket(struct wire *w, struct wire_call *c)
{
    u64(w, &c->ticket);
}

/* ------------------------------------------------------------------- operations */

enum { READS, WRITES };

static const struct {
    const char *name;
    int does;
    void (*ask)(struct wire *w, struct wire_call *c);
    void (*tell)(struct wire *w, struct wire_call *c);
} ops[] = {
#define WIRE_OP_ROW(name, does, ask, tell) { #name, does, ask, tell },
    WIRE_OPS(WIRE_OP_ROW)
#undef WIRE_OP_ROW
};

const char *wire_op_name(uint32_t op)
{
    return op < WIRE_OPS_N ? ops[op].name : "an operation that is none";
}

bool wire_op_writes(uint32_t op)
{
    return op < WIRE_OPS_N && ops[op].does == WRITES;
}

static void walk_request(struct wire *w, struct wire_call *c)
{
    i64(w, &c->timeout_us);
    ops[c->op].ask(w, c);
}

/* Outputs are there when all went well, and where the contract has one on a refusal. */
static bool tells(const struct wire_call *c)
{
    return c->rc == KEDGE_OK || c->op == WIRE_COMMIT ||
           (c->op == WIRE_LOCK_ACQUIRE && c->rc == KEDGE_HELD);
}

static void walk_answer(struct wire *w, struct wire_call *c)
{
    uint32_t sys_errno = (uint32_t)c->err.sys_errno;

    status(w, &c->rc);
    if (c->rc < 0) {
        c->err.code = c->rc;
        u32(w, &sys_errno);
        c->err.sys_errno = (int)sys_errno;
        text_in(w, c->err.msg, sizeof c->err.msg);
    }
    if (tells(c))
        ops[c->op].tell(w, c);
}

static int pack(struct wire *w, struct wire_call *c,
                void (*walk)(struct wire *, struct wire_call *))
{
    struct wire_head head = { WIRE_MAGIC, c->op, 0 };

    w->bad = NULL;
    w->unpacks = false;
    w->frame->len = 0;
    raw(w, &head, sizeof head);
    walk(w, c);
    if (w->bad != NULL)
        return w->why;
    head.size = w->frame->len - sizeof head;
    memcpy(w->frame->data, &head, sizeof head);
    return KEDGE_OK;
}

static int unpack(struct wire *w, struct wire_call *c,
                  void (*walk)(struct wire *, struct wire_call *))
{
    w->bad = NULL;
    w->unpacks = true;
    w->at = 0;
    walk(w, c);
    if (w->bad == NULL && left(w) != 0)
        bad(w, KEDGE_ERR_CORRUPT, "there is something behind its end");
    return w->bad == NULL ? KEDGE_OK : w->why;
}

int wire_pack_request(struct wire *w, struct wire_call *c)
{
    return pack(w, c, walk_request);
}

int wire_pack_answer(struct wire *w, struct wire_call *c)
{
    return pack(w, c, walk_answer);
}

int wire_unpack_request(struct wire *w, struct wire_call *c)
{
    return unpack(w, c, walk_request);
}

int wire_unpack_answer(struct wire *w, struct wire_call *c)
{
    return unpack(w, c, walk_answer);
}
