/* hammer_work.c - a worker of the hammer: every operation, in no order; see hammer.h */
#include <config.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hammer.h"

struct holding {
    bool held;
    uint64_t fence;
    uint64_t incarnation;
    uint64_t position;
};

struct worker {
    struct hammer *h;
    const struct kedge_backend_ops *ops;
    const struct kedge_host *host;
    void *session;
    unsigned slot, generation, thread;
    uint64_t rng;
    uint64_t calls;
    int log;
    struct kedge_id128 lease;
    struct holding runs[HAMMER_RUNS];
    struct holding locks[HAMMER_LOCKS];
    unsigned born;
    unsigned char *room;
};

void hammer_run_name(unsigned run, char out[16])
{
    (void)snprintf(out, 16, "h%u", run);
}

struct kedge_bytes hammer_data(const struct kedge_id128 *request, unsigned k, unsigned char *room,
                               size_t size)
{
    uint64_t state = crash_hash(k, request->b, sizeof request->b);
    uint64_t kind = crash_random(&state) % 100;
    uint64_t max = kind < 90 ? 200 : kind < 99 ? 12000 : 320 * 1024;
    size_t len = (size_t)(crash_random(&state) % max);

    if (len > size)
        len = size;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = crash_random(&state);

        memcpy(room + i, &v, len - i < 8 ? len - i : 8);
    }
    return (struct kedge_bytes){ room, len };
}

static unsigned pick(struct worker *w, unsigned n)
{
    return (unsigned)(crash_random(&w->rng) % n);
}

static struct kedge_id128 new_id(struct worker *w)
{
    struct kedge_id128 id;
    uint64_t a = crash_random(&w->rng);
    uint64_t b = crash_random(&w->rng) | 1;

    memcpy(id.b, &a, sizeof a);
    memcpy(id.b + 8, &b, sizeof b);
    return id;
}

/* ------------------------------------------------------------------ the log */

static void put_line(struct worker *w, struct hammer_line *line)
{
    line->time = crash_now_us();
    /* Past the shim: the log is not the store's. */
    if (syscall(SYS_write, w->log, line, sizeof *line) != (long)sizeof *line)
        crash_fail("cannot write the log");
}

static struct hammer_line before(struct worker *w, enum hammer_kind kind, unsigned run,
                                 const struct kedge_id128 *request)
{
    struct hammer_line line;

    memset(&line, 0, sizeof line);
    line.kind = (uint8_t)kind;
    line.run = (uint16_t)run;
    line.call = ++w->calls;
    line.lease = w->lease;
    if (request != NULL)
        line.request = *request;
    return line;
}

static void after(struct worker *w, struct hammer_line *line, int outcome,
                  const struct kedge_error *err)
{
    line->after = 1;
    line->outcome = outcome;
    put_line(w, line);
    atomic_fetch_add(&w->h->calls, 1);
    if (outcome >= -13 && outcome < 11)
        atomic_fetch_add(&w->h->outcomes[outcome + 13], 1);
    if (outcome == KEDGE_ERR_UNAVAILABLE && strstr(err->msg, "by process ") != NULL)
        atomic_fetch_add(&w->h->named, 1);
    else if ((outcome == KEDGE_ERR_UNAVAILABLE || outcome == KEDGE_ERR_UNKNOWN) &&
             atomic_fetch_add(&w->h->others, 1) == 0)
        (void)snprintf(w->h->other, sizeof w->h->other, "%s: %.480s", kedge_status_name(outcome),
                       err->msg);
    if (outcome == KEDGE_ERR_CORRUPT || outcome == KEDGE_ERR_INVALID ||
        outcome == KEDGE_ERR_TOO_BIG || outcome == KEDGE_ERR_FULL ||
        outcome == KEDGE_ERR_PERMISSION)
        crash_fail("a worker was answered %s: %s", kedge_status_name(outcome), err->msg);
}

/* -------------------------------------------------------------------- leases */

static bool stopping(const struct worker *w)
{
    return atomic_load(&w->h->stop) != 0;
}

static struct kedge_serve serve_all(void)
{
    return (struct kedge_serve){ crash_text("q"), crash_text("hammer"), 1, 1 };
}

static void grant(struct worker *w)
{
    struct kedge_serve serve = serve_all();
    struct kedge_lease_state out;
    struct kedge_lease_new in = {
        .owner = crash_text("hammer"), .serves = &serve, .n_serves = 1, .ttl_us = w->h->ttl_us
    };
    struct kedge_error err;
    struct hammer_line line;
    int rc;

    memset(w->runs, 0, sizeof w->runs);
    memset(w->locks, 0, sizeof w->locks);
    w->lease = in.id = new_id(w);
    in.request = new_id(w);
    line = before(w, HAMMER_GRANT, 0, &in.request);
    put_line(w, &line);
    do
        rc = w->ops->lease_grant(w->session, &in, &out, w->h->timeout_us, &err);
    while (rc < 0 && !stopping(w));
    after(w, &line, rc, &err);
}

/* Something is in doubt: hand all back and begin anew. */
static void start_over(struct worker *w)
{
    struct hammer_line line = before(w, HAMMER_END, 0, NULL);
    struct kedge_error err;
    int rc;

    put_line(w, &line);
    do
        rc = w->ops->lease_revoke(w->session, &w->lease, w->h->timeout_us, &err);
    while (rc < 0 && !stopping(w));
    after(w, &line, rc, &err);
    grant(w);
}

static void extend(struct worker *w)
{
    struct kedge_lease_state out;
    struct kedge_error err;
    struct hammer_line line = before(w, HAMMER_OTHER, 0, NULL);
    int rc;

    put_line(w, &line);
    rc = w->ops->lease_extend(w->session, &w->lease, &out, w->h->timeout_us, &err);
    after(w, &line, rc, &err);
    if (rc == KEDGE_LOST)
        grant(w);
}

static int bury(struct worker *w, const struct kedge_id128 *lease)
{
    struct hammer_line line = before(w, HAMMER_END, 0, NULL);
    struct kedge_error err;
    int rc;

    line.lease = *lease;
    put_line(w, &line);
    rc = w->ops->lease_bury(w->session, lease, w->h->timeout_us, &err);
    after(w, &line, rc, &err);
    return rc;
}

/* ------------------------------------------------------------------- commits */

/* Send one commit until it is decided or nothing happened.  Answers the outcome. */
static int decide(struct worker *w, const struct kedge_commit *c, struct kedge_answer *a,
                  struct kedge_error *err)
{
    bool doubt = false;

    for (int tries = 0;; tries++) {
        int rc;

        memset(a, 0, sizeof *a);
        err->msg[0] = '\0';
        rc = w->ops->commit(w->session, c, 1, a, w->h->timeout_us, err);
        if (rc == KEDGE_OK) {
            rc = a->outcome;
            if (rc < 0)
                (void)kedge_error_set(err, rc, 0, "%s", a->why);
        }
        if (rc == KEDGE_OK || (!doubt && rc != KEDGE_ERR_UNKNOWN))
            return rc;
        doubt = true;
        /* A refusal of what was in doubt proves nothing. */
        if (rc >= 0 || stopping(w) || tries > 100)
            return KEDGE_ERR_UNKNOWN;
    }
}

#define RECORDS_MAX 3

struct draft {
    struct kedge_commit c;
    struct kedge_guard guard;
    struct kedge_change changes[3];
    struct kedge_bytes records[RECORDS_MAX];
    uint64_t results[3];
    char name[16];
    struct hammer_line line;
};

static void draft_append(struct worker *w, struct draft *d, unsigned run)
{
    struct holding *hold = &w->runs[run];
    unsigned n = 1 + (pick(w, 4) == 0 ? pick(w, RECORDS_MAX) : 0);

    memset(d, 0, sizeof *d);
    hammer_run_name(run, d->name);
    d->c.request = new_id(w);
    d->c.guards = &d->guard;
    d->c.n_guards = 1;
    d->c.changes = d->changes;
    d->c.results = d->results;
    d->guard.kind = KEDGE_GUARD_HELD;
    d->guard.name = crash_text(d->name);
    d->guard.lease = w->lease;
    d->guard.number = hold->fence;
    d->changes[0].kind = KEDGE_APPEND;
    d->changes[0].name = d->guard.name;
    d->changes[0].append.first = hold->position + 1;
    d->changes[0].append.n = n;
    d->changes[0].append.records = d->records;
    for (unsigned k = 0; k < n; k++) {
        unsigned char *room = w->room + (run * RECORDS_MAX + k) * HAMMER_DATA_MAX;

        d->records[k] = hammer_data(&d->c.request, k, room, HAMMER_DATA_MAX);
    }
    d->c.n_changes = 1;
    d->line = before(w, HAMMER_APPEND, run, &d->c.request);
    d->line.fence = hold->fence;
    d->line.incarnation = hold->incarnation;
    d->line.n = n;
}

static void draft_release(struct worker *w, struct draft *d)
{
    struct kedge_change *c = &d->changes[d->c.n_changes++];
    unsigned how = pick(w, 3);

    c->kind = KEDGE_RELEASE;
    c->name = d->guard.name;
    c->release.place = how == 0 ? KEDGE_PLACE_PARKED : KEDGE_PLACE_DUE;
    c->release.status = how == 0 ? KEDGE_PAUSED : 0;
    c->release.wakes_on = how == 0 ? KEDGE_WAKES_ON_INTERRUPT | KEDGE_WAKES_ON_TIME : 0;
    c->release.when = (struct kedge_when){ how == 2 ? 0 : (int64_t)pick(w, 20000), KEDGE_IN, 0 };
    d->line.extra |= HAMMER_RELEASES;
}

/* true: go on; false: in doubt. */
static bool settle_append(struct worker *w, struct draft *d, int rc, const struct kedge_answer *a,
                          const struct kedge_error *err)
{
    struct holding *hold = &w->runs[d->line.run];

    if (rc == KEDGE_OK)
        d->line.position = d->results[0];
    after(w, &d->line, rc, err);
    if (rc == KEDGE_OK) {
        hold->position = d->results[0];
        if ((d->line.extra & HAMMER_RELEASES) != 0)
            hold->held = false;
        CRASH_CHECK(a->position == d->results[0], "position %llu in the answer, %llu in the result",
                    (unsigned long long)a->position, (unsigned long long)d->results[0]);
        return true;
    }
    return rc == KEDGE_ERR_UNAVAILABLE; /* nothing changed */
}

static void append_one(struct worker *w, unsigned run)
{
    struct kedge_answer a;
    struct kedge_error err;
    struct draft d;
    int rc;

    draft_append(w, &d, run);
    if (pick(w, 5) == 0)
        draft_release(w, &d);
    put_line(w, &d.line);
    rc = decide(w, &d.c, &a, &err);
    if (!settle_append(w, &d, rc, &a, &err))
        start_over(w);
}

/* All that is held, in one call. */
static void append_all(struct worker *w)
{
    static _Thread_local struct draft d[HAMMER_RUNS];
    struct kedge_commit commits[HAMMER_RUNS];
    struct kedge_answer answers[HAMMER_RUNS];
    struct kedge_error err = { 0, 0, "" };
    size_t n = 0;
    size_t bytes = 0;
    bool fine = true;
    int rc;

    for (unsigned run = 0; run < HAMMER_RUNS; run++)
        if (w->runs[run].held && bytes < 50000) {
            draft_append(w, &d[n], run);
            for (size_t k = 0; k < d[n].changes[0].append.n; k++)
                bytes += d[n].records[k].len;
            if (n != 0 && bytes > 900000)
                break; /* more than a batch may have */
            put_line(w, &d[n].line);
            commits[n] = d[n].c;
            n++;
        }
    if (n == 0)
        return;
    memset(answers, 0, sizeof answers);
    rc = w->ops->commit(w->session, commits, n, answers, w->h->timeout_us, &err);
    for (size_t i = 0; i < n; i++) {
        int outcome = rc != KEDGE_OK ? rc : answers[i].outcome;

        if (outcome == KEDGE_ERR_UNKNOWN) {
            outcome = decide(w, &commits[i], &answers[i], &err);
            if (outcome != KEDGE_OK)
                outcome = KEDGE_ERR_UNKNOWN;
        }
        fine = settle_append(w, &d[i], outcome, &answers[i], &err) && fine;
    }
    if (!fine)
        start_over(w);
}

/* ------------------------------------------------------------------ operations */

static void learn_run(struct worker *w, const struct kedge_run *r, struct hammer_line *line)
{
    for (unsigned run = 0; run < HAMMER_RUNS; run++) {
        char name[16];

        hammer_run_name(run, name);
        if (r->id.len != strlen(name) || memcmp(r->id.data, name, r->id.len) != 0)
            continue;
        w->runs[run] = (struct holding){ true, r->fence, r->incarnation, r->position };
        line->run = (uint16_t)run;
        line->fence = r->fence;
        line->incarnation = r->incarnation;
    }
}

static void claim(struct worker *w)
{
    struct kedge_serve serve = serve_all();
    struct kedge_claim in = { .request = new_id(w),
                              .lease = w->lease,
                              .serves = &serve,
                              .n_serves = 1,
                              .limit = 1 + pick(w, 3) };
    struct hammer_line line = before(w, HAMMER_CLAIM, 0, &in.request);
    struct kedge_run_page page = { 0 };
    struct kedge_error err;
    int rc;

    put_line(w, &line);
    for (int tries = 0; tries < 100; tries++) {
        rc = w->ops->claim(w->session, &in, &page, w->h->timeout_us, &err);
        if (rc != KEDGE_ERR_UNKNOWN || stopping(w))
            break;
    }
    if (rc != KEDGE_OK || page.n == 0)
        after(w, &line, rc, &err);
    if (rc == KEDGE_OK) {
        for (size_t i = 0; i < page.n; i++) {
            learn_run(w, &page.runs[i], &line);
            after(w, &line, rc, &err);
        }
        kedge_mem_free(w->host, page.mem);
    } else if (rc == KEDGE_LOST)
        grant(w);
    else if (rc == KEDGE_ERR_UNKNOWN)
        start_over(w);
}

static void lock_or_unlock(struct worker *w)
{
    unsigned k = pick(w, HAMMER_LOCKS);
    struct holding *lock = &w->locks[k];
    const bool held = lock->held;
    struct kedge_id128 request = new_id(w);
    struct kedge_lock_state out;
    struct kedge_error err;
    struct hammer_line line;
    char name[16];
    int rc;

    (void)snprintf(name, sizeof name, "l%u", k);
    line = before(w, held ? HAMMER_UNLOCK : HAMMER_LOCK, k, &request);
    line.fence = held ? lock->fence : 0;
    put_line(w, &line);
    if (held)
        rc = w->ops->lock_release(w->session, crash_text(name), &w->lease, lock->fence,
                                  w->h->timeout_us, &err);
    else
        for (int tries = 0; tries < 100; tries++) {
            rc = w->ops->lock_acquire(w->session, crash_text(name), &w->lease, &request, &out,
                                      w->h->timeout_us, &err);
            if (rc != KEDGE_ERR_UNKNOWN || stopping(w))
                break;
        }
    if (rc == KEDGE_OK && !held)
        line.fence = out.fence;
    after(w, &line, rc, &err);
    if (rc == KEDGE_OK) {
        lock->held = !held;
        lock->fence = line.fence;
    } else if (rc == KEDGE_LOST || rc == KEDGE_STALE || rc == KEDGE_NOT_FOUND ||
               rc == KEDGE_ERR_UNKNOWN)
        start_over(w);
}

/* Cell := cell + 1, if nobody was faster. */
static void count_up(struct worker *w)
{
    unsigned k = pick(w, HAMMER_CELLS);
    struct kedge_cell cell = { 0 };
    struct kedge_guard guard = { .kind = KEDGE_GUARD_CELL };
    struct kedge_change change = { .kind = KEDGE_CELL_PUT };
    struct kedge_commit c = { .guards = &guard, .n_guards = 1, .changes = &change, .n_changes = 1 };
    struct kedge_answer a;
    struct kedge_error err;
    struct hammer_line line;
    uint64_t value = 0;
    char name[16];
    int rc;

    (void)snprintf(name, sizeof name, "c%u", k);
    rc = w->ops->cell_get(w->session, crash_text(name), &cell, w->h->timeout_us, &err);
    if (rc == KEDGE_OK) {
        if (cell.value.len == sizeof value)
            memcpy(&value, cell.value.data, sizeof value);
        guard.number = cell.version;
        kedge_mem_free(w->host, cell.mem);
    } else if (rc != KEDGE_NOT_FOUND)
        return;
    value++;
    guard.name = change.name = crash_text(name);
    change.cell.value = (struct kedge_bytes){ &value, sizeof value };
    c.request = new_id(w);
    line = before(w, HAMMER_CELL, k, &c.request);
    line.extra = (uint32_t)value;
    put_line(w, &line);
    rc = decide(w, &c, &a, &err);
    after(w, &line, rc, &err);
}

static void fill_slot(struct worker *w)
{
    struct kedge_change change = { .kind = KEDGE_SLOT_PUT, .name = crash_text("parent") };
    struct kedge_commit c = { .changes = &change, .n_changes = 1 };
    struct kedge_answer a;
    struct kedge_error err;
    struct hammer_line line;
    int rc;

    c.request = new_id(w);
    change.slot.incarnation = w->h->parent_incarnation;
    change.slot.index = pick(w, HAMMER_PLACES);
    change.slot.value = crash_text("a result");
    line = before(w, HAMMER_SLOT, 0, &c.request);
    line.extra = change.slot.index;
    put_line(w, &line);
    rc = decide(w, &c, &a, &err);
    after(w, &line, rc, &err);
}

/* A run that lives from birth to rest in two commits, and is purged soon. */
static void short_life(struct worker *w)
{
    struct kedge_run_new new = { .reactor = crash_text("short"),
                                 .queue = crash_text("other"),
                                 .version = 1,
                                 .lease = w->lease,
                                 .parent_slot = KEDGE_NO_SLOT };
    struct kedge_change changes[2] = { { .kind = KEDGE_CREATE }, { .kind = KEDGE_APPEND } };
    struct kedge_guard guard = { .kind = KEDGE_GUARD_HELD, .lease = w->lease };
    struct kedge_bytes record = crash_text("the only record");
    struct kedge_commit c = { .request = new_id(w), .changes = changes, .n_changes = 2 };
    uint64_t results[2];
    struct kedge_answer a;
    struct kedge_error err;
    struct hammer_line line = before(w, HAMMER_OTHER, 0, &c.request);
    char name[64];
    int rc;

    (void)snprintf(name, sizeof name, "x%u.%u.%u.%u", w->slot, w->generation, w->thread, w->born++);
    guard.name = changes[0].name = changes[1].name = crash_text(name);
    changes[0].create = &new;
    changes[1].append.records = &record;
    changes[1].append.n = 1;
    changes[1].append.first = 1;
    c.results = results;
    put_line(w, &line);
    rc = decide(w, &c, &a, &err);
    after(w, &line, rc, &err);
    if (rc == KEDGE_LOST || rc == KEDGE_ERR_UNKNOWN)
        start_over(w);
    if (rc != KEDGE_OK)
        return;
    guard.number = results[0];
    memset(&changes[0], 0, sizeof changes[0]);
    changes[0].kind = KEDGE_RELEASE;
    changes[0].name = guard.name;
    changes[0].release.place = KEDGE_PLACE_REST;
    changes[0].release.status = KEDGE_COMPLETED;
    changes[0].release.when = (struct kedge_when){ 50000, KEDGE_IN, 0 };
    c.request = new_id(w);
    c.guards = &guard;
    c.n_guards = 1;
    c.n_changes = 1;
    line = before(w, HAMMER_OTHER, 0, &c.request);
    put_line(w, &line);
    rc = decide(w, &c, &a, &err);
    after(w, &line, rc, &err);
    if (rc != KEDGE_OK)
        start_over(w);
}

static void disturb(struct worker *w)
{
    struct kedge_change change = { 0 };
    struct kedge_commit c = { .request = new_id(w), .changes = &change, .n_changes = 1 };
    struct hammer_line line = before(w, HAMMER_OTHER, 0, &c.request);
    struct kedge_answer a;
    struct kedge_error err;
    char name[16];

    hammer_run_name(pick(w, HAMMER_RUNS), name);
    change.name = crash_text(name);
    change.kind = pick(w, 3) == 0 ? KEDGE_REQUEST : KEDGE_WAKE;
    if (change.kind == KEDGE_REQUEST)
        change.request.bits = KEDGE_REQUEST_PAUSE;
    put_line(w, &line);
    after(w, &line, decide(w, &c, &a, &err), &err);
}

/* Take a run whose holder is dead, and give it back. */
static void take_over(struct worker *w, const struct kedge_run *r)
{
    struct kedge_guard guard = { .kind = KEDGE_GUARD_UNHELD,
                                 .name = r->id,
                                 .statuses = KEDGE_STATUSES_UNFINISHED,
                                 .number = r->revision };
    struct kedge_change changes[2] = { { .kind = KEDGE_TAKE, .name = r->id },
                                       { .kind = KEDGE_SET, .name = r->id } };
    uint64_t results[2];
    struct kedge_commit c = { .request = new_id(w),
                              .guards = &guard,
                              .n_guards = 1,
                              .changes = changes,
                              .n_changes = 2,
                              .results = results };
    struct hammer_line line = before(w, HAMMER_TAKE, HAMMER_RUNS, &c.request);
    struct kedge_answer a;
    struct kedge_error err;
    struct kedge_run got = *r;
    int rc;

    changes[0].take.lease = w->lease;
    changes[1].set.mask = KEDGE_SET_RECOVERIES;
    changes[1].set.recoveries = r->recoveries + 1;
    put_line(w, &line);
    rc = decide(w, &c, &a, &err);
    if (rc == KEDGE_OK) {
        got.fence = results[0];
        got.position = a.position;
        learn_run(w, &got, &line);
    }
    after(w, &line, rc, &err);
    if (rc == KEDGE_LOST || rc == KEDGE_ERR_UNKNOWN)
        start_over(w);
}

static void sweep(struct worker *w)
{
    struct kedge_bytes first = { NULL, 0 };
    struct kedge_lease_page leases = { 0 };
    struct kedge_run_page page = { 0 };
    struct kedge_error err;

    if (w->ops->lease_list(w->session, first, 100, &leases, w->h->timeout_us, &err) == KEDGE_OK) {
        for (size_t i = 0; i < leases.n; i++)
            if (leases.leases[i].state == KEDGE_LEASE_LAPSED ||
                (leases.leases[i].state == KEDGE_LEASE_LIVE &&
                 leases.leases[i].hint == KEDGE_HINT_ABSENT))
                (void)bury(w, &leases.leases[i].id);
        kedge_mem_free(w->host, leases.mem);
    }
    if (w->ops->list_expired(w->session, first, 4, &page, w->h->timeout_us, &err) != KEDGE_OK)
        return;
    for (size_t i = 0; i < page.n; i++)
        if (page.reasons[i] != KEDGE_SWEEP_LAPSED)
            take_over(w, &page.runs[i]);
    kedge_mem_free(w->host, page.mem);
}

static void read_and_purge(struct worker *w)
{
    char name[16];
    struct kedge_retrieve in = { .want = KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL };
    struct kedge_run_state state = { 0 };
    struct kedge_purged purged;
    struct kedge_error err;
    struct hammer_line line = before(w, HAMMER_OTHER, 0, NULL);

    if (pick(w, 4) == 0) {
        put_line(w, &line);
        after(w, &line, w->ops->purge(w->session, 30, &purged, w->h->timeout_us, &err), &err);
        return;
    }
    hammer_run_name(pick(w, HAMMER_RUNS), name);
    in.id = crash_text(name);
    if (w->ops->retrieve(w->session, &in, &state, w->h->timeout_us, &err) != KEDGE_OK)
        return;
    CRASH_CHECK(state.n_tail == state.run.position - state.run.snapshot_position,
                "%s: %zu records in the tail, %llu in the head", name, state.n_tail,
                (unsigned long long)state.run.position);
    for (size_t i = 0; i < state.n_tail; i++)
        CRASH_CHECK(state.tail[i].number == state.run.snapshot_position + i + 1,
                    "%s: a gap in the tail", name);
    kedge_mem_free(w->host, state.mem);
}

static void one_operation(struct worker *w)
{
    unsigned held[HAMMER_RUNS];
    unsigned n = 0;
    unsigned what = pick(w, 100);

    for (unsigned run = 0; run < HAMMER_RUNS; run++)
        if (w->runs[run].held)
            held[n++] = run;
    if (what < 50 && n != 0)
        append_one(w, held[pick(w, n)]);
    else if (what < 60)
        append_all(w);
    else if (what < 72 && n < 3)
        claim(w);
    else if (what < 78)
        lock_or_unlock(w);
    else if (what < 82)
        count_up(w);
    else if (what < 85)
        fill_slot(w);
    else if (what < 89)
        short_life(w);
    else if (what < 91)
        disturb(w);
    else if (what < 93)
        sweep(w);
    else if (what < 96)
        read_and_purge(w);
    else
        extend(w);
}

/* ------------------------------------------------------------------ processes */

/* Every other process gathers all its records, the rest none but in large batches. */
static void *open_store(struct hammer *h, const struct kedge_backend_ops *ops, uint32_t flags,
                        unsigned slot)
{
    const struct kedge_open open = {
        .struct_size = sizeof open, .flags = flags, .url = h->url, .ns = crash_text(HAMMER_NS)
    };
    char gathering[sizeof h->url + 16];
    struct kedge_open other = open;
    struct kedge_error err;
    void *store = NULL;
    int rc;

    (void)snprintf(gathering, sizeof gathering, "%s?gather=1", h->url);
    other.url = gathering;
    rc = ops->store_open(kedge_host_default(), slot % 2 == 0 ? &open : &other, &store, &err);
    CRASH_CHECK(rc == KEDGE_OK, "open: %s: %s", kedge_status_name(rc), err.msg);
    return store;
}

struct thread {
    struct worker w;
    void *store;
    pthread_t id;
};

static void *work(void *arg)
{
    struct thread *t = arg;
    struct worker *w = &t->w;
    struct kedge_error err;
    int64_t extended = 0;

    if (w->ops->session_open(t->store, &w->session, &err) != KEDGE_OK)
        crash_fail("session_open: %s", err.msg);
    w->room = malloc(HAMMER_RUNS * RECORDS_MAX * HAMMER_DATA_MAX);
    CRASH_CHECK(w->room != NULL, "no memory");
    grant(w);
    while (!stopping(w)) {
        if (crash_now_us() - extended > w->h->ttl_us / 4) {
            extend(w);
            extended = crash_now_us();
        }
        one_operation(w);
    }
    w->ops->session_close(w->session);
    free(w->room);
    return NULL;
}

void hammer_worker(void *ctx)
{
    const struct hammer_worker *hw = ctx;
    struct thread threads[HAMMER_THREADS];
    const struct kedge_backend_ops *ops = crash_ops(getenv("KEDGE_TEST_CRASH_BACKEND"));
    void *store;

    iofault_use(&hw->h->fault[hw->slot]);
    store = open_store(hw->h, ops, 0, hw->slot);
    memset(threads, 0, sizeof threads);
    for (unsigned i = 0; i < HAMMER_THREADS; i++) {
        struct worker *w = &threads[i].w;
        char name[4400];

        w->h = hw->h;
        w->ops = ops;
        w->host = kedge_host_default();
        w->slot = hw->slot;
        w->generation = hw->generation;
        w->thread = i;
        w->rng = crash_hash(hw->h->seed, &(uint32_t[]){ hw->slot, hw->generation, i }, 12);
        (void)snprintf(name, sizeof name, "%s/%u.%u.%u", hw->h->dir, w->slot, w->generation, i);
        w->log = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        CRASH_CHECK(w->log >= 0, "cannot open %s", name);
        threads[i].store = store;
    }
    for (unsigned i = 0; i < HAMMER_THREADS; i++)
        CRASH_CHECK(pthread_create(&threads[i].id, NULL, work, &threads[i]) == 0, "pthread_create");
    for (unsigned i = 0; i < HAMMER_THREADS; i++) {
        (void)pthread_join(threads[i].id, NULL);
        (void)close(threads[i].w.log);
    }
    ops->store_close(store);
}

void hammer_setup(void *ctx)
{
    struct hammer *h = ctx;
    const struct kedge_backend_ops *ops = crash_ops(getenv("KEDGE_TEST_CRASH_BACKEND"));
    void *store = open_store(h, ops, KEDGE_OPEN_CREATE, 0);
    struct kedge_run_new new = { .reactor = crash_text("hammer"),
                                 .queue = crash_text("q"),
                                 .version = 1,
                                 .due = { 0, KEDGE_IN, 0 },
                                 .parent_slot = KEDGE_NO_SLOT };
    void *session = NULL;
    struct kedge_error err;
    uint64_t results[2];

    CRASH_CHECK(ops->session_open(store, &session, &err) == KEDGE_OK, "session: %s", err.msg);
    for (unsigned run = 0; run <= HAMMER_RUNS; run++) {
        struct kedge_change changes[2] = { { .kind = KEDGE_CREATE }, { .kind = KEDGE_SLOTS } };
        struct kedge_commit c = { .request = crash_id("setup", run),
                                  .changes = changes,
                                  .n_changes = 1,
                                  .results = results };
        struct kedge_answer a;
        char name[16] = "parent";

        if (run < HAMMER_RUNS) {
            hammer_run_name(run, name);
        } else {
            new.reactor = crash_text("nobody serves this");
            c.n_changes = 2;
            changes[1].slots.total = HAMMER_PLACES;
        }
        changes[0].name = changes[1].name = crash_text(name);
        changes[0].create = &new;
        CRASH_CHECK(ops->commit(session, &c, 1, &a, CRASH_TIMEOUT, &err) == KEDGE_OK &&
                        a.outcome == KEDGE_OK,
                    "setup: %s %s", err.msg, a.why);
        h->parent_incarnation = results[0];
    }
    ops->session_close(session);
    ops->store_close(store);
}

/* ------------------------------------------------------------------------ heir */

/* All workers are gone: bury them all, within the time their leases give them. */
static void bury_all(struct worker *w)
{
    int64_t end = crash_now_us() + 3 * w->h->ttl_us + 20 * CRASH_SEC;

    for (;;) {
        struct kedge_bytes cursor = { NULL, 0 };
        char keep[64];
        size_t living = 0;
        struct kedge_error err;

        do {
            struct kedge_lease_page page = { 0 };
            int rc = w->ops->lease_list(w->session, cursor, 50, &page, CRASH_TIMEOUT, &err);

            CRASH_CHECK(rc == KEDGE_OK, "lease_list: %s", err.msg);
            for (size_t i = 0; i < page.n; i++) {
                const struct kedge_lease *l = &page.leases[i];

                if (memcmp(l->id.b, w->lease.b, sizeof l->id.b) == 0 ||
                    l->state == KEDGE_LEASE_DEAD)
                    continue;
                rc = bury(w, &l->id);
                CRASH_CHECK(rc == KEDGE_OK || rc == KEDGE_HELD || rc == KEDGE_NOT_FOUND,
                            "lease_bury: %s", kedge_status_name(rc));
                living += rc == KEDGE_HELD;
            }
            cursor.len = page.next.len <= sizeof keep ? page.next.len : sizeof keep;
            if (cursor.len != 0)
                memcpy(keep, page.next.data, cursor.len);
            cursor.data = keep;
            kedge_mem_free(w->host, page.mem);
        } while (cursor.len != 0);
        if (living == 0)
            return;
        CRASH_CHECK(crash_now_us() < end, "%zu leases of dead workers cannot be buried", living);
        crash_sleep_us(20000);
    }
}

static void adopt_all(struct worker *w)
{
    struct kedge_bytes first = { NULL, 0 };
    struct kedge_error err;
    bool held[HAMMER_RUNS];

    for (int round = 0; round < 100000; round++) {
        struct kedge_run_page page = { 0 };
        size_t n;

        CRASH_CHECK(w->ops->list_expired(w->session, first, 100, &page, CRASH_TIMEOUT, &err) ==
                        KEDGE_OK,
                    "list_expired: %s", err.msg);
        n = page.n;
        for (size_t i = 0; i < page.n; i++)
            take_over(w, &page.runs[i]);
        kedge_mem_free(w->host, page.mem);
        if (n == 0)
            break;
    }
    for (int64_t end = crash_now_us() + 10 * CRASH_SEC;;) {
        unsigned n = 0;

        claim(w);
        for (unsigned run = 0; run < HAMMER_RUNS; run++) {
            held[run] = w->runs[run].held;
            n += held[run];
        }
        if (n == HAMMER_RUNS)
            return;
        for (unsigned run = 0; run < HAMMER_RUNS; run++)
            CRASH_CHECK(crash_now_us() < end || held[run], "run h%u is in limbo", run);
    }
}

void hammer_heir(void *ctx)
{
    struct hammer *h = ctx;
    struct worker w = { .h = h,
                        .ops = crash_ops(getenv("KEDGE_TEST_CRASH_BACKEND")),
                        .host = kedge_host_default(),
                        .slot = HAMMER_SLOTS };
    struct kedge_error err;
    char name[4400];
    void *store = open_store(h, w.ops, 0, w.slot);
    const char *fault;

    h->ttl_us = 600 * CRASH_SEC;
    h->timeout_us = CRASH_TIMEOUT;
    w.rng = crash_hash(h->seed, "heir", 4);
    (void)snprintf(name, sizeof name, "%s/heir", h->dir);
    w.log = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    w.room = malloc(HAMMER_RUNS * RECORDS_MAX * HAMMER_DATA_MAX);
    CRASH_CHECK(w.log >= 0 && w.room != NULL, "cannot begin");
    CRASH_CHECK(w.ops->session_open(store, &w.session, &err) == KEDGE_OK, "session: %s", err.msg);
    fault = crash_verify(w.ops, w.host, w.session);
    CRASH_CHECK(fault == NULL, "after the hammer: %s", fault);
    atomic_store(&h->stop, 0);
    grant(&w);
    bury_all(&w);
    adopt_all(&w);
    for (unsigned run = 0; run < HAMMER_RUNS; run++)
        append_one(&w, run);
    fault = crash_verify(w.ops, w.host, w.session);
    CRASH_CHECK(fault == NULL, "at the end: %s", fault);
    w.ops->session_close(w.session);
    w.ops->store_close(store);
    (void)close(w.log);
    free(w.room);
}
