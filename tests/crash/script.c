/* script.c - one of everything a store can be asked; see script.h */
#include <config.h>

#include <stdlib.h>

#include "script.h"

static const char *const run_names[SCRIPT_RUNS] = {
    "r1", "r2", "r3", "parent", "orphan", "k1", "k2"
};
static const char *const cell_names[] = { "c1", "c2", "c3" };
static const char *const lock_names[] = { "l1", "l2" };

const struct crash_known script_known = {
    .cells = cell_names,
    .n_cells = ARRAY_LEN(cell_names),
    .locks = lock_names,
    .n_locks = ARRAY_LEN(lock_names),
    .sets = 2,
    .epoch = SCRIPT_EPOCH,
};

int64_t script_time(int step)
{
    return SCRIPT_EPOCH + (step + 1) * SCRIPT_TICK;
}

static struct kedge_id128 lease(char which)
{
    return crash_id("lease", (uint64_t)which);
}

static struct kedge_id128 request(const struct script *s, unsigned n)
{
    return crash_id("request", (uint64_t)s->step * 100 + n);
}

static struct kedge_when in_seconds(int64_t s)
{
    return (struct kedge_when){ .us = s * CRASH_SEC, .base = KEDGE_IN };
}

/* ------------------------------------------------------- building of commits */

#define PARTS 10

struct draft {
    struct kedge_commit c;
    struct kedge_guard guards[PARTS];
    struct kedge_change changes[PARTS];
    struct kedge_run_new news[PARTS];
    struct kedge_bytes records[PARTS][4];
    uint64_t results[PARTS];
    int run; /* whose revision the answer tells */
};

static void draft(struct draft *d, const struct script *s, unsigned n, int run)
{
    memset(d, 0, sizeof *d);
    d->c.request = request(s, n);
    d->c.guards = d->guards;
    d->c.changes = d->changes;
    d->c.results = d->results;
    d->run = run;
}

static struct kedge_guard *guard(struct draft *d, uint32_t kind, const char *name)
{
    struct kedge_guard *g = &d->guards[d->c.n_guards++];

    g->kind = kind;
    g->name = crash_text(name);
    return g;
}

static struct kedge_change *change(struct draft *d, uint32_t kind, const char *name)
{
    struct kedge_change *c = &d->changes[d->c.n_changes++];

    c->kind = kind;
    c->name = crash_text(name);
    return c;
}

static void held(struct draft *d, const struct script *s, int run, char who)
{
    struct kedge_guard *g = guard(d, KEDGE_GUARD_HELD, run_names[run]);

    g->number = s->world->fence[run];
    g->lease = lease(who);
}

/* HOLDER 0: due now. */
static void create(struct draft *d, int run, const char *reactor, char holder)
{
    struct kedge_run_new *n = &d->news[d->c.n_changes];

    n->reactor = crash_text(reactor);
    n->queue = crash_text("q");
    n->context = crash_text("ctx");
    n->version = 2;
    n->parent_slot = KEDGE_NO_SLOT;
    if (holder != 0)
        n->lease = lease(holder);
    else
        n->due = in_seconds(0);
    change(d, KEDGE_CREATE, run_names[run])->create = n;
}

static void create_child(struct draft *d, const struct script *s, int run, uint32_t slot)
{
    struct kedge_run_new *n = &d->news[d->c.n_changes];

    create(d, run, "child", 0);
    n->parent = crash_text(run_names[PARENT]);
    n->root = n->parent;
    n->parent_incarnation = s->world->inc[PARENT];
    n->parent_set = 0;
    n->parent_slot = slot;
}

static void append(struct draft *d, int run, uint64_t first, size_t n)
{
    static const char *const words[] = { "charged the card", "", "reserved a room",
                                         "a\0b and whatever else" };
    struct kedge_bytes *recs = d->records[d->c.n_changes];
    struct kedge_change *c = change(d, KEDGE_APPEND, run_names[run]);

    for (size_t i = 0; i < n; i++)
        recs[i] = crash_text(words[(first + i) % 4]);
    c->append.records = recs;
    c->append.n = n;
    c->append.first = first;
}

static struct kedge_bytes filler(size_t len)
{
    static unsigned char *big;
    static const size_t room = (size_t)512 * 1024;

    if (big == NULL) {
        uint64_t state = 7;

        big = malloc(room);
        CRASH_CHECK(big != NULL, "no memory");
        for (size_t i = 0; i < room; i++)
            big[i] = (unsigned char)crash_random(&state);
    }
    return (struct kedge_bytes){ big, len };
}

static void append_big(struct draft *d, int run, uint64_t first, size_t len)
{
    struct kedge_bytes *recs = d->records[d->c.n_changes];
    struct kedge_change *c = change(d, KEDGE_APPEND, run_names[run]);

    recs[0] = filler(len);
    c->append.records = recs;
    c->append.n = 1;
    c->append.first = first;
}

static void rest(struct draft *d, int run, uint32_t status, int64_t expires_s)
{
    struct kedge_change *c = change(d, KEDGE_RELEASE, run_names[run]);

    c->release.place = KEDGE_PLACE_REST;
    c->release.status = status;
    if (expires_s != 0)
        c->release.when = in_seconds(expires_s);
}

static void park(struct draft *d, int run, uint32_t wakes_on)
{
    struct kedge_change *c = change(d, KEDGE_RELEASE, run_names[run]);

    c->release.place = KEDGE_PLACE_PARKED;
    c->release.status = KEDGE_PAUSED;
    c->release.wakes_on = wakes_on;
    if ((wakes_on & KEDGE_WAKES_ON_TIME) != 0)
        c->release.when = in_seconds(3600);
}

static void fill_slot(struct draft *d, const struct script *s, uint32_t index, size_t len)
{
    struct kedge_change *c = change(d, KEDGE_SLOT_PUT, run_names[PARENT]);

    c->slot.incarnation = s->world->inc[PARENT];
    c->slot.set = 0;
    c->slot.index = index;
    c->slot.value = filler(len);
}

static void cell(struct draft *d, int which, const char *value, int64_t expires_s)
{
    struct kedge_change *c = change(d, KEDGE_CELL_PUT, cell_names[which]);

    c->cell.value = crash_text(value);
    if (expires_s != 0)
        c->cell.expires = in_seconds(expires_s);
}

/* Keep what OK answers told. */
static void learn(struct script *s, const struct draft *d, const struct kedge_answer *a)
{
    struct script_world *w = s->world;

    if (d->run >= 0)
        w->revision[d->run] = a->revision;
    for (size_t i = 0; i < d->c.n_changes; i++) {
        const struct kedge_change *c = &d->changes[i];
        uint64_t result = d->results[i];

        for (int r = 0; r < SCRIPT_RUNS; r++) {
            if (strncmp(run_names[r], c->name.data, c->name.len) != 0 ||
                run_names[r][c->name.len] != '\0')
                continue;
            if (c->kind == KEDGE_CREATE && result != 0)
                w->inc[r] = w->fence[r] = result;
            if (c->kind == KEDGE_TAKE)
                w->fence[r] = result;
        }
        if (c->kind == KEDGE_CELL_PUT)
            w->cell_version[((const char *)c->name.data)[1] - '1'] = result;
        if (c->kind == KEDGE_LOCK_TAKE)
            w->lock_fence[((const char *)c->name.data)[1] - '1'] = result;
    }
}

static int send(struct script *s, struct draft *d, size_t n)
{
    struct kedge_commit commits[SCRIPT_ITEMS];
    struct kedge_answer answers[SCRIPT_ITEMS];
    int rc;
    int all = KEDGE_OK;

    memset(answers, 0, sizeof answers);
    for (size_t i = 0; i < n; i++) {
        commits[i] = d[i].c;
        answers[i].outcome = 99;
    }
    rc = s->ops->commit(s->session, commits, n, answers, s->timeout_us, &s->err);
    s->n_outcomes = n;
    for (size_t i = 0; i < n; i++) {
        s->outcome[i] = answers[i].outcome;
        if (answers[i].outcome == KEDGE_OK)
            learn(s, &d[i], &answers[i]);
        else if (all == KEDGE_OK || (all > 0 && answers[i].outcome < 0)) {
            all = answers[i].outcome;
            if (rc == KEDGE_OK && all < 0)
                (void)kedge_error_set(&s->err, all, 0, "%s", answers[i].why);
        }
        if (rc != KEDGE_OK && answers[i].outcome != rc)
            crash_fail("step %d: the call answers %d, item %zu %d", s->step, rc, i,
                       answers[i].outcome);
    }
    return rc != KEDGE_OK ? rc : all;
}

/* ----------------------------------------------------------------- the steps */

static int grant(struct script *s, char who, const char *owner, int64_t ttl_s)
{
    const struct kedge_serve serves[] = {
        { crash_text("q"), crash_text("order"), 1, 3 },
        { crash_text("q"), crash_text("child"), 2, 2 },
    };
    const struct kedge_lease_new in = { .id = lease(who),
                                        .request = request(s, 0),
                                        .owner = crash_text(owner),
                                        .serves = serves,
                                        .n_serves = ARRAY_LEN(serves),
                                        .ttl_us = ttl_s * CRASH_SEC };
    struct kedge_lease_state out;

    return s->ops->lease_grant(s->session, &in, &out, s->timeout_us, &s->err);
}

static int grant_a(struct script *s)
{
    return grant(s, 'A', "worker a", 3600);
}

static int grant_b(struct script *s)
{
    return grant(s, 'B', "worker b", 3600);
}

static int grant_c(struct script *s)
{
    return grant(s, 'C', "worker c", 25);
}

static int create_one(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R1);
    (void)guard(&d, KEDGE_GUARD_ABSENT, "r1");
    create(&d, R1, "order", 0);
    return send(s, &d, 1);
}

static int create_batch(struct script *s)
{
    static struct draft d[4];

    draft(&d[0], s, 0, R2);
    create(&d[0], R2, "order", 0);
    cell(&d[0], 0, "one", 0);
    draft(&d[1], s, 1, R3);
    create(&d[1], R3, "order", 'A');
    draft(&d[2], s, 2, PARENT);
    create(&d[2], PARENT, "order", 'A');
    draft(&d[3], s, 3, ORPHAN);
    create(&d[3], ORPHAN, "order", 'C');
    return send(s, d, 4);
}

/* Claim, and expect the runs in the bits of WANT. */
static int claim(struct script *s, char who, const char *queue, const char *reactor, size_t limit,
                 unsigned want)
{
    const struct kedge_serve serve = { crash_text(queue), crash_text(reactor), 1, 9 };
    const struct kedge_claim in = { .request = request(s, 0),
                                    .lease = lease(who),
                                    .serves = &serve,
                                    .n_serves = 1,
                                    .limit = limit };
    struct kedge_run_page page = { 0 };
    unsigned got = 0;
    int rc = s->ops->claim(s->session, &in, &page, s->timeout_us, &s->err);

    if (rc != KEDGE_OK)
        return rc;
    for (size_t i = 0; i < page.n; i++)
        for (int r = 0; r < SCRIPT_RUNS; r++)
            if (page.runs[i].id.len == strlen(run_names[r]) &&
                memcmp(page.runs[i].id.data, run_names[r], page.runs[i].id.len) == 0) {
                s->world->fence[r] = page.runs[i].fence;
                s->world->inc[r] = page.runs[i].incarnation;
                s->world->revision[r] = page.runs[i].revision;
                got |= 1u << r;
            }
    kedge_mem_free(s->host, page.mem);
    CRASH_CHECK(got == want, "step %d: claim handed out runs %x, not %x", s->step, got, want);
    return KEDGE_OK;
}

static int claim_two(struct script *s)
{
    return claim(s, 'A', "q", "order", 2, 1u << R1 | 1u << R2);
}

static int append_one(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R1);
    held(&d, s, R1, 'A');
    append(&d, R1, 1, 1);
    return send(s, &d, 1);
}

static int append_three(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R1);
    held(&d, s, R1, 'A');
    append(&d, R1, 2, 3);
    return send(s, &d, 1);
}

static int append_batch(struct script *s)
{
    static struct draft d[3];

    draft(&d[0], s, 0, R1);
    held(&d[0], s, R1, 'A');
    append(&d[0], R1, 5, 1);
    draft(&d[1], s, 1, R2);
    held(&d[1], s, R2, 'A');
    append(&d[1], R2, 1, 2);
    draft(&d[2], s, 2, R3);
    held(&d[2], s, R3, 'A');
    append(&d[2], R3, 1, 1);
    return send(s, d, 3);
}

static int append_snapshot(struct script *s)
{
    struct draft d;
    struct kedge_change *c;

    draft(&d, s, 0, R1);
    held(&d, s, R1, 'A');
    append(&d, R1, 6, 1);
    c = change(&d, KEDGE_SNAPSHOT, "r1");
    c->snapshot.data = filler(5000);
    c->snapshot.position = 6;
    return send(s, &d, 1);
}

static int append_large(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R2);
    held(&d, s, R2, 'A');
    append_big(&d, R2, 3, (size_t)300 * 1024);
    return send(s, &d, 1);
}

static int fan_out(struct script *s)
{
    struct draft d;
    struct kedge_change *c;

    draft(&d, s, 0, PARENT);
    held(&d, s, PARENT, 'A');
    append(&d, PARENT, 1, 1);
    c = change(&d, KEDGE_SLOTS, "parent");
    c->slots.set = 0;
    c->slots.total = 2;
    create_child(&d, s, K1, 0);
    create_child(&d, s, K2, 1);
    return send(s, &d, 1);
}

static int park_parent(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, PARENT);
    held(&d, s, PARENT, 'A');
    append(&d, PARENT, 2, 1);
    create_child(&d, s, K1, 0); /* once more: passed over */
    park(&d, PARENT, KEDGE_WAKES_ON_SLOTS);
    return send(s, &d, 1);
}

static int claim_children(struct script *s)
{
    return claim(s, 'B', "q", "child", 10, 1u << K1 | 1u << K2);
}

static int finish_child(struct script *s, int child, uint32_t slot, size_t len)
{
    struct draft d;

    draft(&d, s, 0, child);
    held(&d, s, child, 'B');
    append(&d, child, 1, 1);
    rest(&d, child, KEDGE_COMPLETED, 25);
    fill_slot(&d, s, slot, len);
    return send(s, &d, 1);
}

static int finish_k1(struct script *s)
{
    return finish_child(s, K1, 0, 10);
}

static int finish_k2(struct script *s)
{
    return finish_child(s, K2, 1, 20000);
}

static int cells_and_record(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R3);
    held(&d, s, R3, 'A');
    guard(&d, KEDGE_GUARD_CELL, "c1")->number = s->world->cell_version[0];
    append(&d, R3, 2, 1);
    cell(&d, 0, "two", 0);
    cell(&d, 1, "for a while", 25);
    return send(s, &d, 1);
}

static int lock_acquire(struct script *s)
{
    const struct kedge_id128 who = lease('A');
    const struct kedge_id128 req = request(s, 0);
    struct kedge_lock_state out;
    int rc = s->ops->lock_acquire(s->session, crash_text("l1"), &who, &req, &out, s->timeout_us,
                                  &s->err);

    if (rc == KEDGE_OK)
        s->world->lock_fence[0] = out.fence;
    return rc;
}

static int lock_take(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R3);
    held(&d, s, R3, 'A');
    guard(&d, KEDGE_GUARD_LOCK, "l1")->number = s->world->lock_fence[0];
    d.guards[1].lease = lease('A');
    change(&d, KEDGE_LOCK_TAKE, "l2")->lock.lease = lease('A');
    append(&d, R3, 3, 1);
    return send(s, &d, 1);
}

static int lock_release(struct script *s)
{
    const struct kedge_id128 who = lease('A');

    return s->ops->lock_release(s->session, crash_text("l1"), &who, s->world->lock_fence[0],
                                s->timeout_us, &s->err);
}

static int request_cancel(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R3);
    change(&d, KEDGE_REQUEST, "r3")->request.bits = KEDGE_REQUEST_CANCEL;
    return send(s, &d, 1);
}

static int clear_request(struct script *s)
{
    struct draft d;
    struct kedge_change *c;

    draft(&d, s, 0, R3);
    held(&d, s, R3, 'A');
    append(&d, R3, 4, 1);
    c = change(&d, KEDGE_SET, "r3");
    c->set.mask = KEDGE_SET_CLEAR_REQUESTS;
    c->set.clear_requests = KEDGE_REQUEST_CANCEL;
    return send(s, &d, 1);
}

static int park_r3(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R3);
    held(&d, s, R3, 'A');
    park(&d, R3, KEDGE_WAKES_ON_INTERRUPT | KEDGE_WAKES_ON_TIME);
    return send(s, &d, 1);
}

static int wake(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R3);
    (void)change(&d, KEDGE_WAKE, "r3");
    (void)change(&d, KEDGE_WAKE, "r1"); /* held: a mark */
    (void)change(&d, KEDGE_WAKE, "nobody");
    return send(s, &d, 1);
}

static int extend(struct script *s)
{
    const struct kedge_id128 who = lease('A');
    struct kedge_lease_state out;

    return s->ops->lease_extend(s->session, &who, &out, s->timeout_us, &s->err);
}

static int lock_extend(struct script *s)
{
    const struct kedge_id128 who = lease('A');
    struct kedge_lock_state out;

    return s->ops->lock_extend(s->session, crash_text("l2"), &who, s->world->lock_fence[1], &out,
                               s->timeout_us, &s->err);
}

static int claim_woken(struct script *s)
{
    return claim(s, 'A', "q", "order", 10, 1u << R3 | 1u << PARENT);
}

static int park_marked(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R1);
    held(&d, s, R1, 'A');
    park(&d, R1, KEDGE_WAKES_ON_INTERRUPT);
    return send(s, &d, 1);
}

static int halt(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R3);
    held(&d, s, R3, 'A');
    append(&d, R3, 5, 1);
    rest(&d, R3, KEDGE_HALTED, 25);
    return send(s, &d, 1);
}

static int refused_stale(struct script *s)
{
    static struct draft d[2];

    draft(&d[0], s, 0, R3);
    held(&d[0], s, R3, 'A');
    append(&d[0], R3, 6, 1);
    draft(&d[1], s, 1, PARENT); /* a neighbour that is in order */
    held(&d[1], s, PARENT, 'A');
    append(&d[1], PARENT, 3, 1);
    return send(s, d, 2);
}

static int refused_exists(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R1);
    (void)guard(&d, KEDGE_GUARD_ABSENT, "r1");
    create(&d, R1, "order", 0);
    cell(&d, 2, "must not be seen", 0);
    return send(s, &d, 1);
}

static int bury(struct script *s)
{
    const struct kedge_id128 who = lease('C');

    return s->ops->lease_bury(s->session, &who, s->timeout_us, &s->err);
}

static int take_orphan(struct script *s)
{
    struct draft d;
    struct kedge_guard *g;

    draft(&d, s, 0, ORPHAN);
    g = guard(&d, KEDGE_GUARD_UNHELD, "orphan");
    g->statuses = KEDGE_STATUSES_UNFINISHED;
    g->number = s->world->revision[ORPHAN];
    change(&d, KEDGE_TAKE, "orphan")->take.lease = lease('B');
    append(&d, ORPHAN, 1, 1);
    return send(s, &d, 1);
}

static int revoke(struct script *s)
{
    const struct kedge_id128 who = lease('B');

    return s->ops->lease_revoke(s->session, &who, s->timeout_us, &s->err);
}

static int cells_again(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, -1);
    guard(&d, KEDGE_GUARD_CELL, "c3")->number = 0;
    (void)change(&d, KEDGE_CELL_DELETE, "c1");
    cell(&d, 2, "three", 0);
    return send(s, &d, 1);
}

static int set_members(struct script *s)
{
    struct draft d;
    struct kedge_change *c;

    draft(&d, s, 0, R2);
    held(&d, s, R2, 'A');
    c = change(&d, KEDGE_SET, "r2");
    c->set.mask = KEDGE_SET_QUEUE | KEDGE_SET_HOLD_UNTIL | KEDGE_SET_RECOVERIES;
    c->set.queue = crash_text("q2");
    c->set.hold_until = in_seconds(3600);
    c->set.recoveries = 2;
    return send(s, &d, 1);
}

static int stuck(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R2);
    held(&d, s, R2, 'A');
    rest(&d, R2, KEDGE_STUCK, 0);
    return send(s, &d, 1);
}

static int reopen(struct script *s)
{
    struct draft d;
    struct kedge_guard *g;
    struct kedge_change *c;

    draft(&d, s, 0, R2);
    g = guard(&d, KEDGE_GUARD_UNHELD, "r2");
    g->statuses = KEDGE_STATUS_BIT(KEDGE_STUCK);
    g->number = s->world->revision[R2];
    c = change(&d, KEDGE_SET, "r2");
    c->set.mask = KEDGE_SET_REOPEN | KEDGE_SET_STATUS;
    c->set.status = KEDGE_RUNNING;
    return send(s, &d, 1);
}

static int claim_reopened(struct script *s)
{
    return claim(s, 'A', "q2", "order", 1, 1u << R2);
}

static int complete_large(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, R2);
    held(&d, s, R2, 'A');
    rest(&d, R2, KEDGE_COMPLETED, 5);
    return send(s, &d, 1);
}

static int purge(struct script *s)
{
    for (int i = 0; i < 100; i++) {
        struct kedge_purged out;
        int rc = s->ops->purge(s->session, 5, &out, s->timeout_us, &s->err);

        if (rc != KEDGE_OK || out.more == 0)
            return rc;
    }
    crash_fail("purge does not come to an end");
}

static int create_again(struct script *s)
{
    struct draft d;

    draft(&d, s, 0, K1);
    (void)guard(&d, KEDGE_GUARD_ABSENT, "k1");
    create(&d, K1, "order", 0);
    return send(s, &d, 1);
}

static int notify(struct script *s)
{
    return s->ops->notify(s->session, &s->err);
}

static int release_later(struct script *s)
{
    struct draft d;
    struct kedge_change *c;

    draft(&d, s, 0, PARENT);
    held(&d, s, PARENT, 'A');
    append(&d, PARENT, 4, 1);
    c = change(&d, KEDGE_RELEASE, "parent");
    c->release.place = KEDGE_PLACE_DUE;
    c->release.when = in_seconds(3600);
    return send(s, &d, 1);
}

static int close_open(struct script *s)
{
    struct script keeper = *s;
    int rc;

    if (strncmp(s->url, "mem:", 4) == 0 && script_open(&keeper, 0) != KEDGE_OK)
        return keeper.err.code; /* what is in memory goes with its last handle */
    script_close(s);
    rc = script_open(s, 0);
    if (strncmp(s->url, "mem:", 4) == 0)
        script_close(&keeper);
    return rc;
}

static int claim_rest(struct script *s)
{
    return claim(s, 'A', "q", "order", 10, 1u << R1 | 1u << ORPHAN | 1u << K1);
}

static int last_batch(struct script *s)
{
    static struct draft d[3];

    draft(&d[0], s, 0, R1);
    held(&d[0], s, R1, 'A');
    append(&d[0], R1, 7, 2);
    rest(&d[0], R1, KEDGE_COMPLETED, 1000);
    draft(&d[1], s, 1, ORPHAN);
    held(&d[1], s, ORPHAN, 'A');
    append(&d[1], ORPHAN, 2, 1);
    draft(&d[2], s, 2, K1);
    held(&d[2], s, K1, 'A');
    append_big(&d[2], K1, 1, 9000);
    cell(&d[2], 0, "born again", 0);
    return send(s, d, 3);
}

static int revoke_a(struct script *s)
{
    const struct kedge_id128 who = lease('A');

    return s->ops->lease_revoke(s->session, &who, s->timeout_us, &s->err);
}

const struct script_step script_steps[] = {
    { .name = "lease_grant a", .run = grant_a },
    { .name = "lease_grant b", .run = grant_b },
    { .name = "lease_grant c", .run = grant_c },
    { .name = "create", .run = create_one },
    { .name = "create, a batch",
      .run = create_batch,
      .items = { "r2 c1", "r3", "parent", "orphan" } },
    { .name = "claim", .run = claim_two },
    { .name = "append", .run = append_one },
    { .name = "append three records", .run = append_three },
    { .name = "append, a batch", .run = append_batch, .items = { "r1", "r2", "r3" } },
    { .name = "append and snapshot", .run = append_snapshot },
    { .name = "append 300 KiB", .run = append_large },
    { .name = "open slots, create children", .run = fan_out },
    { .name = "create a child again, park", .run = park_parent },
    { .name = "claim the children", .run = claim_children },
    { .name = "rest a child, fill a slot", .run = finish_k1 },
    { .name = "rest a child, wake the parent", .run = finish_k2 },
    { .name = "append and two cells", .run = cells_and_record },
    { .name = "lock_acquire", .run = lock_acquire },
    { .name = "append and take a lock", .run = lock_take },
    { .name = "lock_release", .run = lock_release, .again = KEDGE_NOT_FOUND },
    { .name = "request", .run = request_cancel },
    { .name = "append and clear the request", .run = clear_request },
    { .name = "park", .run = park_r3 },
    { .name = "wake", .run = wake },
    { .name = "lease_extend", .run = extend },
    { .name = "lock_extend", .run = lock_extend },
    { .name = "claim the woken", .run = claim_woken },
    { .name = "park with a wake mark", .run = park_marked },
    { .name = "rest", .run = halt },
    { .name = "a stale append and its neighbour",
      .run = refused_stale,
      .expect = KEDGE_STALE,
      .items = { "r3", "parent" } },
    { .name = "create what exists", .run = refused_exists, .expect = KEDGE_EXISTS },
    { .name = "lease_bury", .run = bury },
    { .name = "take and append", .run = take_orphan },
    { .name = "lease_revoke", .run = revoke },
    { .name = "delete a cell, put another", .run = cells_again },
    { .name = "set", .run = set_members },
    { .name = "rest stuck", .run = stuck },
    { .name = "reopen a run", .run = reopen },
    { .name = "claim the reopened", .run = claim_reopened },
    { .name = "rest with a large record", .run = complete_large },
    { .name = "purge", .run = purge, .loose = true },
    { .name = "create an id again", .run = create_again },
    { .name = "notify", .run = notify },
    { .name = "release for later", .run = release_later },
    { .name = "close and open", .run = close_open },
    { .name = "claim the rest", .run = claim_rest },
    { .name = "rest, append, 9 KB and a cell, a batch",
      .run = last_batch,
      .items = { "r1", "orphan", "k1 c1" } },
    { .name = "lease_revoke a", .run = revoke_a },
};
const int script_n_steps = (int)ARRAY_LEN(script_steps);

/* ------------------------------------------------------------------- running */

int script_open(struct script *s, uint32_t flags)
{
    const struct kedge_open open = {
        .struct_size = sizeof open, .flags = flags, .url = s->url, .ns = crash_text("crash")
    };
    int rc = s->ops->store_open(s->host, &open, &s->store, &s->err);

    s->session = NULL;
    if (rc != KEDGE_OK) {
        s->store = NULL;
        return rc;
    }
    rc = s->ops->session_open(s->store, &s->session, &s->err);
    if (rc != KEDGE_OK) {
        s->ops->store_close(s->store);
        s->store = NULL;
        s->session = NULL;
    }
    return rc;
}

void script_close(struct script *s)
{
    if (s->session != NULL)
        s->ops->session_close(s->session);
    if (s->store != NULL)
        s->ops->store_close(s->store);
    s->session = NULL;
    s->store = NULL;
}

int script_do(struct script *s, int i)
{
    int rc;

    s->step = i;
    s->n_outcomes = 0;
    s->err.code = 0;
    s->err.sys_errno = 0;
    s->err.msg[0] = '\0';
    __atomic_store_n(s->clock, script_time(i), __ATOMIC_RELAXED);
    rc = script_steps[i].run(s);
    if (s->n_outcomes == 0) {
        s->n_outcomes = 1;
        s->outcome[0] = rc;
    }
    return rc;
}
