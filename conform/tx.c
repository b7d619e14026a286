/* tx.c - commits put together part by part, and what most cases begin with */
#include "world.h"

#include <inttypes.h>
#include <stdlib.h>

static const uint64_t unwritten = UINT64_C(0xa5a5a5a5a5a5a5a5);

void tx_init(struct world *w, struct tx *t)
{
    memset(t, 0, sizeof *t);
    t->w = w;
    t->c.request = random_id(w);
    t->c.guards = t->guards;
    t->c.changes = t->changes;
    t->c.results = t->results;
}

struct tx *tx_new(struct world *w)
{
    struct tx *t = malloc(sizeof *t);

    if (t == NULL)
        abort();
    tx_init(w, t);
    t->next = w->txs;
    w->txs = t;
    return t;
}

void tx_again(struct tx *t)
{
    struct tx *next = t->next;

    tx_init(t->w, t);
    t->next = next;
}

/* -------------------------------------------------------------------- guards */

static struct kedge_guard *guard(struct tx *t, uint32_t kind)
{
    struct kedge_guard *g = &t->guards[t->c.n_guards];

    expect(t->c.n_guards < TX_PARTS);
    t->c.n_guards++;
    g->kind = kind;
    return g;
}

struct kedge_guard *g_held_by(struct tx *t, struct kedge_bytes id, struct kedge_id128 lease,
                              uint64_t fence)
{
    struct kedge_guard *g = guard(t, KEDGE_GUARD_HELD);

    g->name = id;
    g->lease = lease;
    g->number = fence;
    return g;
}

struct kedge_guard *g_held(struct tx *t, const struct run *r)
{
    return g_held_by(t, r->id, r->lease, r->fence);
}

struct kedge_guard *g_absent(struct tx *t, struct kedge_bytes id)
{
    struct kedge_guard *g = guard(t, KEDGE_GUARD_ABSENT);

    g->name = id;
    return g;
}

struct kedge_guard *g_unheld(struct tx *t, struct kedge_bytes id, uint32_t statuses,
                             uint64_t revision)
{
    struct kedge_guard *g = guard(t, KEDGE_GUARD_UNHELD);

    g->name = id;
    g->statuses = statuses;
    g->number = revision;
    return g;
}

struct kedge_guard *g_position(struct tx *t, struct kedge_bytes id, uint64_t position)
{
    struct kedge_guard *g = guard(t, KEDGE_GUARD_POSITION);

    g->name = id;
    g->number = position;
    return g;
}

struct kedge_guard *g_live(struct tx *t, struct kedge_id128 lease)
{
    struct kedge_guard *g = guard(t, KEDGE_GUARD_LEASE_LIVE);

    g->lease = lease;
    return g;
}

struct kedge_guard *g_dead(struct tx *t, struct kedge_id128 lease)
{
    struct kedge_guard *g = guard(t, KEDGE_GUARD_LEASE_DEAD);

    g->lease = lease;
    return g;
}

struct kedge_guard *g_lock(struct tx *t, struct kedge_bytes lock, struct kedge_id128 lease,
                           uint64_t fence)
{
    struct kedge_guard *g = guard(t, KEDGE_GUARD_LOCK);

    dump_lock(t->w, lock);
    g->name = lock;
    g->lease = lease;
    g->number = fence;
    return g;
}

struct kedge_guard *g_cell(struct tx *t, struct kedge_bytes cell, uint64_t version)
{
    struct kedge_guard *g = guard(t, KEDGE_GUARD_CELL);

    dump_cell(t->w, cell);
    g->name = cell;
    g->number = version;
    return g;
}

struct kedge_guard *g_time(struct tx *t, int64_t from, int64_t to)
{
    struct kedge_guard *g = guard(t, KEDGE_GUARD_TIME);

    g->from = from;
    g->to = to;
    return g;
}

/* ------------------------------------------------------------------- changes */

static struct kedge_change *change(struct tx *t, uint32_t kind, struct kedge_bytes subject)
{
    struct kedge_change *c = &t->changes[t->c.n_changes];

    expect(t->c.n_changes < TX_PARTS);
    t->c.n_changes++;
    c->kind = kind;
    c->name = subject;
    return c;
}

static struct kedge_run_new *create(struct tx *t, struct kedge_bytes id)
{
    struct kedge_run_new *n = &t->news[t->c.n_changes];

    change(t, KEDGE_CREATE, id);
    n->reactor = str("reactor");
    n->queue = str("queue");
    n->version = 1;
    n->parent_slot = KEDGE_NO_SLOT;
    return n;
}

struct kedge_run_new *c_create_due(struct tx *t, struct kedge_bytes id, struct kedge_when due)
{
    struct kedge_run_new *n = create(t, id);

    n->due = due;
    return n;
}

struct kedge_run_new *c_create_held(struct tx *t, struct kedge_bytes id, struct kedge_id128 lease)
{
    struct kedge_run_new *n = create(t, id);

    n->lease = lease;
    return n;
}

struct kedge_run_new *c_create_child(struct tx *t, struct kedge_bytes id, const struct run *p,
                                     uint32_t set, uint32_t slot)
{
    struct kedge_run_new *n = c_create_due(t, id, from_now(0));

    n->parent = p->id;
    n->root = p->id;
    n->parent_incarnation = p->incarnation;
    n->parent_set = set;
    n->parent_slot = slot;
    return n;
}

struct kedge_change *c_take(struct tx *t, struct kedge_bytes id, struct kedge_id128 lease)
{
    struct kedge_change *c = change(t, KEDGE_TAKE, id);

    c->take.lease = lease;
    return c;
}

struct kedge_change *c_append(struct tx *t, struct kedge_bytes id, uint64_t first,
                              struct kedge_bytes record)
{
    size_t i = t->c.n_changes;
    struct kedge_change *c = change(t, KEDGE_APPEND, id);

    t->records[i] = record;
    t->one_record[i] = true;
    c->append.n = 1;
    c->append.first = first;
    return c;
}

struct kedge_change *c_append_n(struct tx *t, struct kedge_bytes id, uint64_t first,
                                const struct kedge_bytes *records, size_t n)
{
    struct kedge_change *c = change(t, KEDGE_APPEND, id);

    c->append.records = records;
    c->append.n = n;
    c->append.first = first;
    return c;
}

struct kedge_change *c_snapshot(struct tx *t, struct kedge_bytes id, uint64_t position,
                                struct kedge_bytes data)
{
    struct kedge_change *c = change(t, KEDGE_SNAPSHOT, id);

    c->snapshot.position = position;
    c->snapshot.data = data;
    return c;
}

struct kedge_change *c_set(struct tx *t, struct kedge_bytes id, uint32_t mask)
{
    struct kedge_change *c = change(t, KEDGE_SET, id);

    c->set.mask = mask;
    return c;
}

static struct kedge_change *release(struct tx *t, struct kedge_bytes id, uint32_t place,
                                    struct kedge_when when)
{
    struct kedge_change *c = change(t, KEDGE_RELEASE, id);

    c->release.place = place;
    c->release.when = when;
    return c;
}

struct kedge_change *c_due(struct tx *t, struct kedge_bytes id, struct kedge_when when)
{
    return release(t, id, KEDGE_PLACE_DUE, when);
}

struct kedge_change *c_park(struct tx *t, struct kedge_bytes id, uint32_t wakes_on,
                            struct kedge_when backstop)
{
    struct kedge_change *c = release(t, id, KEDGE_PLACE_PARKED, backstop);

    c->release.status = KEDGE_PAUSED;
    c->release.wakes_on = wakes_on;
    return c;
}

struct kedge_change *c_rest(struct tx *t, struct kedge_bytes id, uint32_t status,
                            struct kedge_when expires)
{
    struct kedge_change *c = release(t, id, KEDGE_PLACE_REST, expires);

    c->release.status = status;
    return c;
}

struct kedge_change *c_wake(struct tx *t, struct kedge_bytes id)
{
    return change(t, KEDGE_WAKE, id);
}

struct kedge_change *c_request(struct tx *t, struct kedge_bytes id, uint32_t bits)
{
    struct kedge_change *c = change(t, KEDGE_REQUEST, id);

    c->request.bits = bits;
    return c;
}

struct kedge_change *c_slots(struct tx *t, struct kedge_bytes id, uint32_t set, uint32_t total)
{
    struct kedge_change *c = change(t, KEDGE_SLOTS, id);

    c->slots.set = set;
    c->slots.total = total;
    return c;
}

struct kedge_change *c_slot_put(struct tx *t, const struct run *parent, uint32_t set,
                                uint32_t index, struct kedge_bytes value)
{
    struct kedge_change *c = change(t, KEDGE_SLOT_PUT, parent->id);

    c->slot.incarnation = parent->incarnation;
    c->slot.set = set;
    c->slot.index = index;
    c->slot.value = value;
    return c;
}

struct kedge_change *c_cell_put(struct tx *t, struct kedge_bytes cell, struct kedge_bytes value,
                                struct kedge_when expires)
{
    struct kedge_change *c = change(t, KEDGE_CELL_PUT, cell);

    dump_cell(t->w, cell);
    c->cell.value = value;
    c->cell.expires = expires;
    return c;
}

struct kedge_change *c_cell_delete(struct tx *t, struct kedge_bytes cell)
{
    dump_cell(t->w, cell);
    return change(t, KEDGE_CELL_DELETE, cell);
}

struct kedge_change *c_lock_take(struct tx *t, struct kedge_bytes lock, struct kedge_id128 lease)
{
    struct kedge_change *c = change(t, KEDGE_LOCK_TAKE, lock);

    dump_lock(t->w, lock);
    c->lock.lease = lease;
    return c;
}

struct kedge_change *c_lock_release(struct tx *t, struct kedge_bytes lock, struct kedge_id128 lease,
                                    uint64_t fence)
{
    struct kedge_change *c = change(t, KEDGE_LOCK_RELEASE, lock);

    dump_lock(t->w, lock);
    c->lock.lease = lease;
    c->lock.fence = fence;
    return c;
}

/* ------------------------------------------------------------------- sending */

const struct kedge_commit *tx_ready(struct tx *t)
{
    for (size_t i = 0; i < t->c.n_changes && i < TX_PARTS; i++) {
        if (t->changes[i].kind == KEDGE_CREATE)
            t->changes[i].create = &t->news[i];
        else if (t->changes[i].kind == KEDGE_APPEND && t->one_record[i])
            t->changes[i].append.records = &t->records[i];
        t->results[i] = unwritten;
    }
    memset(&t->answer, 0xa5, sizeof t->answer);
    return &t->c;
}

/* An answer that stands says what it should and no more. */
static void check_answer(const struct tx *t)
{
    const struct kedge_answer *a = &t->answer;
    size_t parts = t->c.n_guards + t->c.n_changes;

    if (memchr(a->why, '\0', sizeof a->why) == NULL)
        fail_case(__FILE__, __LINE__, "the answer's `why' has no end");
    if (a->outcome < 0 && a->why[0] == '\0')
        fail_case(__FILE__, __LINE__, "outcome %s without a sentence", status_name(a->outcome));
    if (a->outcome >= 0 && a->why[0] != '\0')
        fail_case(__FILE__, __LINE__, "outcome %s with a sentence: %s", status_name(a->outcome),
                  a->why);
    if (a->outcome > 0 && a->at >= parts)
        fail_case(__FILE__, __LINE__, "outcome %s at part %" PRIu32 " of %zu",
                  status_name(a->outcome), a->at, parts);
    if (a->outcome == KEDGE_OK)
        for (size_t i = 0; i < t->c.n_changes && i < TX_PARTS; i++)
            if (t->c.results == t->results && t->results[i] == unwritten)
                fail_case(__FILE__, __LINE__, "outcome OK, but results[%zu] was not written", i);
}

int tx_send(struct world *w, struct tx *t)
{
    struct kedge_commit c = *tx_ready(t);
    int rc;

    w->err.code = 0;
    w->err.msg[0] = '\0';
    rc = w->ops->commit(w->session, &c, 1, &t->answer, PATIENCE, &w->err);
    if (rc > 0)
        fail_case(__FILE__, __LINE__, "commit itself answered %s", status_name(rc));
    if (rc < 0 && (w->err.code != rc || w->err.msg[0] == '\0'))
        fail_case(__FILE__, __LINE__, "commit answered %s without a message", status_name(rc));
    if (rc < 0 && t->answer.outcome != rc)
        fail_case(__FILE__, __LINE__, "commit answered %s, its item %s", status_name(rc),
                  status_name(t->answer.outcome));
    if (rc == KEDGE_OK)
        check_answer(t);
    digest(&w->answers, (uint64_t)t->answer.outcome);
    if (rc == KEDGE_OK && t->answer.outcome >= 0) {
        digest(&w->answers, t->answer.outcome > 0 ? t->answer.at : 0);
        digest(&w->answers, t->answer.requests);
        digest(&w->answers, t->answer.status);
        digest(&w->answers, t->answer.position);
    }
    if (rc == KEDGE_OK && t->answer.outcome < 0) {
        w->err.code = t->answer.outcome;
        (void)snprintf(w->err.msg, sizeof w->err.msg, "%s", t->answer.why);
    }
    return t->answer.outcome;
}

void tx_send_batch(struct world *w, struct tx *const *txs, size_t n)
{
    struct kedge_commit *commits = zeroed(w, n, sizeof *commits);
    struct kedge_answer *answers = zeroed(w, n, sizeof *answers);

    for (size_t i = 0; i < n; i++) {
        commits[i] = *tx_ready(txs[i]);
        answers[i].outcome = 99;
    }
    expect_ok(w->ops->commit(w->session, commits, n, answers, PATIENCE, &w->err));
    for (size_t i = 0; i < n; i++) {
        txs[i]->answer = answers[i];
        expect(answers[i].outcome != 99);
        check_answer(txs[i]);
    }
}

void check_outcome(const char *file, int line, const struct tx *t, int want)
{
    int got = t->answer.outcome;

    if (got != want)
        fail_case(file, line, "commit: expected %s, got %s%s%s (at part %" PRIu32 ")",
                  status_name(want), status_name(got), got < 0 ? ": " : "",
                  got < 0 ? t->answer.why : "", t->answer.at);
}

void check_tx(const char *file, int line, struct tx *t, int want)
{
    tx_send(t->w, t);
    check_outcome(file, line, t, want);
}

void check_tx_refused(const char *file, int line, struct tx *t, int want, int64_t at_part)
{
    char *before = dump(t->w);

    check_tx(file, line, t, want);
    check_unchanged(file, line, "a refused commit", t->w, before);
    if (at_part >= 0 && want > 0)
        check_eq(file, line, "the part that refused", t->answer.at, at_part);
}

/* -------------------------------------------------------- things ready made */

const struct kedge_serve serve_all = {
    { "queue", 5 },
    { "reactor", 7 },
    0,
    UINT32_MAX,
};

struct kedge_id128 lease_make(struct world *w, int64_t ttl)
{
    struct kedge_lease_new in = {
        .id = random_id(w),
        .request = random_id(w),
        .owner = str("somebody"),
        .serves = &serve_all,
        .n_serves = 1,
        .ttl_us = ttl,
    };
    struct kedge_lease_state st;

    expect_ok(do_grant(w, &in, &st));
    return in.id;
}

struct kedge_id128 lease_dead(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);

    expect_ok(do_revoke(w, lease));
    return lease;
}

struct run run_due(struct world *w, struct kedge_bytes id, struct kedge_when due)
{
    struct tx t;

    tx_init(w, &t);
    g_absent(&t, id);
    c_create_due(&t, id, due);
    expect_tx(&t, KEDGE_OK);
    return (struct run){ .id = id, .incarnation = t.results[0], .fence = t.results[0] };
}

struct run run_held(struct world *w, struct kedge_bytes id, struct kedge_id128 lease)
{
    struct tx t;

    tx_init(w, &t);
    g_absent(&t, id);
    c_create_held(&t, id, lease);
    expect_tx(&t, KEDGE_OK);
    return (
        struct run){ .id = id, .lease = lease, .incarnation = t.results[0], .fence = t.results[0] };
}

/* Held under a lease that holds nothing else and is made for the purpose. */
static struct run run_held_briefly(struct world *w, struct kedge_bytes id)
{
    return run_held(w, id, lease_make(w, TTL));
}

struct run run_parked(struct world *w, struct kedge_bytes id, uint32_t wakes_on,
                      struct kedge_when backstop)
{
    struct run r = run_held_briefly(w, id);

    release_parked(w, &r, wakes_on, backstop);
    return r;
}

struct run run_rest(struct world *w, struct kedge_bytes id, uint32_t status,
                    struct kedge_when expires)
{
    struct run r = run_held_briefly(w, id);

    release_rest(w, &r, status, expires);
    return r;
}

struct run run_take(struct world *w, struct kedge_bytes id, struct kedge_id128 lease)
{
    struct kedge_run h = head(w, id);
    struct tx t;

    tx_init(w, &t);
    g_unheld(&t, id, KEDGE_STATUSES_ALL, h.revision);
    c_take(&t, id, lease);
    expect_tx(&t, KEDGE_OK);
    return (struct run){ .id = id,
                         .lease = lease,
                         .incarnation = h.incarnation,
                         .fence = t.results[0],
                         .position = h.position };
}

void step(struct world *w, struct run *r, const char *text)
{
    struct tx t;

    tx_init(w, &t);
    g_held(&t, r);
    c_append(&t, r->id, r->position + 1, str(text));
    expect_tx(&t, KEDGE_OK);
    expect_eq(t.results[0], r->position + 1);
    r->position++;
}

static void release_held(struct world *w, const struct run *r, uint32_t place, uint32_t status,
                         uint32_t wakes_on, struct kedge_when when)
{
    struct tx t;
    struct kedge_change *c;

    tx_init(w, &t);
    g_held(&t, r);
    c = release(&t, r->id, place, when);
    c->release.status = status;
    c->release.wakes_on = wakes_on;
    expect_tx(&t, KEDGE_OK);
}

void release_due(struct world *w, const struct run *r, struct kedge_when due)
{
    release_held(w, r, KEDGE_PLACE_DUE, 0, 0, due);
}

void release_parked(struct world *w, const struct run *r, uint32_t wakes_on,
                    struct kedge_when backstop)
{
    release_held(w, r, KEDGE_PLACE_PARKED, KEDGE_PAUSED, wakes_on, backstop);
}

void release_rest(struct world *w, const struct run *r, uint32_t status, struct kedge_when expires)
{
    release_held(w, r, KEDGE_PLACE_REST, status, 0, expires);
}

void wake(struct world *w, struct kedge_bytes id)
{
    struct tx t;

    tx_init(w, &t);
    c_wake(&t, id);
    expect_tx(&t, KEDGE_OK);
}

uint64_t lock_take(struct world *w, struct kedge_bytes lock, struct kedge_id128 lease)
{
    struct kedge_lock_state st;

    expect_ok(do_lock_acquire(w, lock, lease, random_id(w), &st));
    return st.fence;
}

uint64_t cell_put(struct world *w, struct kedge_bytes cell, const char *value)
{
    struct tx t;

    tx_init(w, &t);
    c_cell_put(&t, cell, str(value), never());
    expect_tx(&t, KEDGE_OK);
    return t.results[0];
}

struct kedge_run head(struct world *w, struct kedge_bytes id)
{
    struct kedge_run_state st;

    expect_ok(do_retrieve(w, id, 0, 0, &st));
    expect(st.n_tail == 0 && st.snapshot.len == 0);
    return st.run;
}

bool is_there(struct world *w, struct kedge_bytes id)
{
    struct kedge_run_state st;
    int rc = do_retrieve(w, id, 0, 0, &st);

    if (rc != KEDGE_NOT_FOUND)
        expect_rc(rc, KEDGE_OK);
    return rc == KEDGE_OK;
}

uint64_t cell_version(struct world *w, struct kedge_bytes cell)
{
    struct kedge_cell c;
    int rc = do_cell(w, cell, &c);

    if (rc == KEDGE_NOT_FOUND)
        return 0;
    expect_rc(rc, KEDGE_OK);
    return c.version;
}

uint32_t lease_state_of(struct world *w, struct kedge_id128 lease)
{
    struct kedge_lease_page page;
    struct kedge_bytes cursor = none();

    do {
        expect_ok(do_leases(w, cursor, 100, &page));
        for (size_t i = 0; i < page.n; i++)
            if (same_id(&page.leases[i].id, &lease))
                return page.leases[i].state;
        cursor = page.next;
    } while (cursor.len != 0);
    return 0;
}

struct kedge_claim claim_of(struct world *w, struct kedge_id128 lease, size_t limit)
{
    return (struct kedge_claim){
        .request = random_id(w),
        .lease = lease,
        .serves = &serve_all,
        .n_serves = 1,
        .limit = limit,
    };
}

struct run claim_one(struct world *w, struct kedge_bytes id, struct kedge_id128 lease)
{
    struct kedge_claim in = claim_of(w, lease, 1);
    struct kedge_run_page page;

    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, 1);
    expect_bytes(page.runs[0].id, id);
    return (struct run){ .id = id,
                         .lease = lease,
                         .fence = page.runs[0].fence,
                         .incarnation = page.runs[0].incarnation,
                         .position = page.runs[0].position };
}

struct kedge_purged purge_all(struct world *w)
{
    struct kedge_purged sum = { 0 }, p;
    int calls = 0;

    do {
        expect_ok(do_purge(w, 100, &p));
        sum.runs += p.runs;
        sum.rows += p.rows;
        expect(calls++ < 1000);
    } while (p.more != 0);
    return sum;
}

size_t expired_all(struct world *w, size_t limit, struct kedge_run *runs, uint32_t *reasons,
                   size_t max)
{
    struct kedge_bytes cursor = none();
    struct kedge_run_page page;
    size_t n = 0;

    do {
        expect_ok(do_expired(w, cursor, limit, &page));
        expect(page.n <= limit);
        for (size_t i = 0; i < page.n; i++) {
            expect(n < max);
            runs[n] = page.runs[i];
            reasons[n++] = page.reasons[i];
        }
        cursor = page.next;
    } while (cursor.len != 0);
    return n;
}

bool is_expired_listed(struct world *w, struct kedge_bytes id, uint32_t *reason)
{
    struct kedge_bytes cursor = none();
    struct kedge_run_page page;

    do {
        expect_ok(do_expired(w, cursor, 50, &page));
        for (size_t i = 0; i < page.n; i++)
            if (same_bytes(page.runs[i].id, id)) {
                if (reason != NULL)
                    *reason = page.reasons[i];
                return true;
            }
        cursor = page.next;
    } while (cursor.len != 0);
    return false;
}
