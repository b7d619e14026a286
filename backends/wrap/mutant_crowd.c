/*
 * mutant_crowd.c - defects that show only among several processes or threads
 *
 * Each process has the wrapper's state to itself, as it would have a cache: what is kept in it is
 * what a backend keeps that believes itself alone.
 */
#include <config.h>

#include "mutant.h"

#define DEFECT(id, ...) const struct mutant_kind mutant_##id = { __VA_ARGS__ }
#define CUT             const struct mutant_cut *cut
#define ACQUIRE                                                                                    \
    void *s, struct kedge_bytes name, const struct kedge_id128 *lease,                             \
        const struct kedge_id128 *request, struct kedge_lock_state *out, WRAP_TAIL
#define RELEASE                                                                                    \
    void *s, struct kedge_bytes name, const struct kedge_id128 *lease, uint64_t fence, WRAP_TAIL

static int acquire(const struct wrap_below *b, struct kedge_bytes name,
                   const struct kedge_id128 *lease, const struct kedge_id128 *request,
                   struct kedge_lock_state *out, WRAP_TAIL)
{
    return b->ops->lock_acquire(b->session, name, lease, request, out, timeout_us, err);
}

static int commit(const struct wrap_below *b, const struct kedge_commit *commits, size_t n,
                  struct kedge_answer *answers, WRAP_TAIL)
{
    return b->ops->commit(b->session, commits, n, answers, timeout_us, err);
}

/* Every Nth time. */
static bool each(struct mutant *m, uint64_t n)
{
    return atomic_fetch_add(&m->count, 1) % n == n - 1;
}

/* A number for a name, which this process keeps; 0: none. */
static void keep(struct mutant *m, struct kedge_bytes name, uint64_t number)
{
    struct mutant_note *note;

    (void)pthread_mutex_lock(&m->lock);
    note = mutant_note(m, name, number != 0);
    if (note != NULL)
        note->number = number;
    (void)pthread_mutex_unlock(&m->lock);
}

static uint64_t kept(struct mutant *m, struct kedge_bytes name)
{
    const struct mutant_note *note;
    uint64_t number;

    (void)pthread_mutex_lock(&m->lock);
    note = mutant_note(m, name, false);
    number = note != NULL ? note->number : 0;
    (void)pthread_mutex_unlock(&m->lock);
    return number;
}

/* ---------------------------------------------------------------------- locks */

static int grants_one_too_many(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    int rc = acquire(&b, name, lease, request, out, timeout_us, err);

    if (rc != KEDGE_HELD || !each(mutant_of(&b), 30))
        return rc;
    out->holder = *lease;
    return KEDGE_OK;
}
DEFECT(m234, .ops = { .lock_acquire = grants_one_too_many });

/* Long enough for all who come together to have looked. */
static int looks_and_takes(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lock_state st;
    bool was_free =
        b.ops->lock_query(b.session, name, &st, MUTANT_PATIENCE, NULL) == KEDGE_NOT_FOUND;
    int rc;

    if (was_free)
        mutant_pause(20000);
    rc = acquire(&b, name, lease, request, out, timeout_us, err);
    if (rc != KEDGE_HELD || !was_free)
        return rc;
    out->holder = *lease;
    return KEDGE_OK;
}
DEFECT(m240, .ops = { .lock_acquire = looks_and_takes });

static bool holds(const struct wrap_below *b, struct kedge_bytes name,
                  const struct kedge_id128 *lease, uint64_t fence)
{
    struct kedge_lock_state st;

    return b->ops->lock_query(b->session, name, &st, MUTANT_PATIENCE, NULL) == KEDGE_OK &&
           st.fence == fence && mutant_same_id(&st.holder, lease);
}

/* NOTES[0] is the lock and its fence, [1] the lease. */
static int releases_later(RELEASE)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);

    if (name.len > MUTANT_NAME_MAX || !holds(&b, name, lease, fence))
        return b.ops->lock_release(b.session, name, lease, fence, timeout_us, err);
    (void)pthread_mutex_lock(&m->lock);
    m->next = 0;
    memset(m->notes, 0, sizeof m->notes);
    mutant_note(m, name, true)->number = fence;
    (void)mutant_note(m, mutant_id_bytes(lease), true);
    (void)pthread_mutex_unlock(&m->lock);
    return KEDGE_OK;
}

static enum wrap_verdict releases_now(struct wrap_call *call)
{
    const struct wrap_below *b = &call->below;
    struct mutant *m = mutant_of(b);
    struct mutant_note lock;
    struct kedge_id128 lease;

    if (call->op >= WRAP_SESSION_OPS)
        return WRAP_GO;
    (void)pthread_mutex_lock(&m->lock);
    lock = m->notes[0];
    memcpy(lease.b, m->notes[1].name, sizeof lease.b);
    m->notes[0].set = false;
    (void)pthread_mutex_unlock(&m->lock);
    if (lock.set)
        (void)b->ops->lock_release(b->session, (struct kedge_bytes){ lock.name, lock.len }, &lease,
                                   lock.number, MUTANT_PATIENCE, NULL);
    return WRAP_GO;
}
DEFECT(m241, .before = releases_now, .ops = { .lock_release = releases_later });

/* Who was in the way had a fence, and who comes after it gets that. */
static int same_fence_after(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = acquire(&b, name, lease, request, out, timeout_us, err);

    if (rc == KEDGE_HELD)
        keep(m, name, out->fence);
    if (rc == KEDGE_OK && kept(m, name) != 0)
        out->fence = kept(m, name);
    return rc;
}
DEFECT(m242, .ops = { .lock_acquire = same_fence_after });

static int remembers_its_locks(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    int rc = acquire(&b, name, lease, request, out, timeout_us, err);

    if (rc == KEDGE_OK)
        keep(mutant_of(&b), name, out->fence);
    return rc;
}

static void own_locks_hold(CUT, struct kedge_guard *g)
{
    if (g->kind == KEDGE_GUARD_LOCK && kept(cut->m, g->name) == g->number)
        *g = mutant_always();
}
DEFECT(m243, .ops = { .lock_acquire = remembers_its_locks }, .guard = own_locks_hold);

static int own_locks_are_released(RELEASE)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lock_release(b.session, name, lease, fence, timeout_us, err);

    return rc > KEDGE_OK && kept(mutant_of(&b), name) == fence ? KEDGE_OK : rc;
}
DEFECT(m244,
       .ops = { .lock_acquire = remembers_its_locks, .lock_release = own_locks_are_released });

/* --------------------------------------------------------------------- leases */

/* What has not lapsed is well as it is. */
static int extends_the_lapsed(void *s, const struct kedge_id128 *id, struct kedge_lease_state *out,
                              WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease lease;

    if (!mutant_lease(&b, id, &lease) || lease.state != KEDGE_LEASE_LIVE)
        return b.ops->lease_extend(b.session, id, out, timeout_us, err);
    *out = (struct kedge_lease_state){ .deadline = mutant_now(&b, KEDGE_CLOCK_LEASE) + lease.ttl_us,
                                       .remaining_us = lease.ttl_us,
                                       .attention = lease.attention,
                                       .hint = lease.hint };
    return KEDGE_OK;
}
DEFECT(m235, .ops = { .lease_extend = extends_the_lapsed });

static int buries_some_of_the_living(void *s, const struct kedge_id128 *id, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lease_bury(b.session, id, timeout_us, err);

    if (rc != KEDGE_HELD || !each(mutant_of(&b), 4))
        return rc;
    return b.ops->lease_revoke(b.session, id, timeout_us, err);
}
DEFECT(m236, .ops = { .lease_bury = buries_some_of_the_living });

/* Of an absent hint only burials begin the 100 ms. */
static int begins_itself(void *s, const struct kedge_id128 *id, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    struct kedge_lease lease;
    int64_t now = wrap_clock_us(), began = (int64_t)kept(m, mutant_id_bytes(id));

    if (!mutant_lease(&b, id, &lease) || lease.state != KEDGE_LEASE_LIVE ||
        (began != 0 && now - began >= 100000))
        return b.ops->lease_bury(b.session, id, timeout_us, err);
    if (began == 0)
        keep(m, mutant_id_bytes(id), (uint64_t)now);
    return KEDGE_HELD;
}
DEFECT(m257, .ops = { .lease_bury = begins_itself });

/* ---------------------------------------------------------------------- cells */

/* Of values of 8 bytes, which the note holds as its time. */
static int reads_its_cache(void *s, struct kedge_bytes name, struct kedge_cell *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = b.ops->cell_get(b.session, name, out, timeout_us, err);
    bool stale = each(m, 2);
    struct mutant_note *note;
    int64_t *value;

    if (rc != KEDGE_OK || out->value.len != sizeof note->time)
        return rc;
    (void)pthread_mutex_lock(&m->lock);
    note = mutant_note(m, name, true);
    if (note != NULL && note->number != 0 && stale) {
        value = kedge_mem_alloc(b.host, &out->mem, sizeof *value);
        if (value != NULL) {
            *value = note->time;
            out->value.data = value;
            out->version = note->number;
        }
    } else if (note != NULL) {
        note->number = out->version;
        memcpy(&note->time, out->value.data, sizeof note->time);
    }
    (void)pthread_mutex_unlock(&m->lock);
    return rc;
}
DEFECT(m237, .ops = { .cell_get = reads_its_cache });

/* Looked at first, and written in a second step. */
static void looks_at_the_version(CUT, struct kedge_guard *g)
{
    struct kedge_cell cell = { .mem = NULL };
    uint64_t version = 0;

    if (g->kind != KEDGE_GUARD_CELL)
        return;
    if (cut->b.ops->cell_get(cut->b.session, g->name, &cell, MUTANT_PATIENCE, NULL) == KEDGE_OK)
        version = cell.version;
    mutant_free(&cut->b, cell.mem);
    if (version != g->number)
        return;
    mutant_pause(1000);
    *g = mutant_always();
}
DEFECT(m238, .guard = looks_at_the_version);

static int one_cell_after_the_other(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_commit half = commits[0];
    int rc;

    if (n != 1 || half.n_changes != 2 || half.changes[0].kind != KEDGE_CELL_PUT ||
        half.changes[1].kind != KEDGE_CELL_PUT)
        return commit(&b, commits, n, answers, timeout_us, err);
    half.n_changes = 1;
    rc = commit(&b, &half, 1, answers, timeout_us, err);
    if (rc != KEDGE_OK || answers[0].outcome != KEDGE_OK)
        return rc;
    mutant_pause(1000);
    half.request = mutant_new_id();
    half.n_guards = 0;
    half.changes++;
    if (half.results != NULL)
        half.results++;
    return commit(&b, &half, 1, answers, timeout_us, err);
}
DEFECT(m239, .ops = { .commit = one_cell_after_the_other });

/* ----------------------------------------------------------------------- runs */

static bool held_as(const struct kedge_run *r, const struct kedge_guard *g)
{
    return r->place == KEDGE_PLACE_HELD && r->fence == g->number &&
           mutant_same_id(&r->holder, &g->lease);
}

/* Its guard is looked at; what it writes then it writes for whoever holds the run by then. */
static int writes_for_whom_it_may(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_commit other = commits[0];
    struct kedge_guard g;
    struct kedge_change c;
    struct kedge_run_state st;
    bool mine;

    if (n != 1 || other.n_guards != 1 || other.guards[0].kind != KEDGE_GUARD_HELD ||
        other.n_changes != 1 || other.changes[0].kind != KEDGE_APPEND ||
        mutant_head(&b, other.guards[0].name, &st) != KEDGE_OK)
        return commit(&b, commits, n, answers, timeout_us, err);
    g = other.guards[0];
    c = other.changes[0];
    mine = held_as(&st.run, &g);
    mutant_free(&b, st.mem);
    if (!mine)
        return commit(&b, commits, n, answers, timeout_us, err);
    mutant_pause(2000);
    if (mutant_head(&b, g.name, &st) == KEDGE_OK) {
        if (st.run.place == KEDGE_PLACE_HELD && !held_as(&st.run, &g)) {
            g.lease = st.run.holder;
            g.number = st.run.fence;
            c.append.first = st.run.position + 1;
        }
        mutant_free(&b, st.mem);
    }
    other.guards = &g;
    other.changes = &c;
    return commit(&b, &other, 1, answers, timeout_us, err);
}

/* What is put to rest is so for a while only afterwards: there is time to come between. */
static int with_time_between(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);

    for (size_t i = 0; n == 1 && i < commits[0].n_changes; i++)
        if (commits[0].changes[i].kind == KEDGE_RELEASE) {
            mutant_pause(6000);
            return commit(&b, commits, n, answers, timeout_us, err);
        }
    return writes_for_whom_it_may(s, commits, n, answers, timeout_us, err);
}
DEFECT(m245, .ops = { .commit = with_time_between });

static int hands_out_what_is_held(void *s, const struct kedge_claim *in, struct kedge_run_page *out,
                                  WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_list held = { .statuses = KEDGE_STATUS_BIT(KEDGE_RUNNING), .limit = 1 };
    struct kedge_run_page page = { .mem = NULL };

    if (!each(mutant_of(&b), 3) ||
        b.ops->list(b.session, &held, &page, MUTANT_PATIENCE, NULL) != KEDGE_OK)
        return b.ops->claim(b.session, in, out, timeout_us, err);
    if (page.n == 0 || page.runs[0].place != KEDGE_PLACE_HELD) {
        mutant_free(&b, page.mem);
        return b.ops->claim(b.session, in, out, timeout_us, err);
    }
    memset(out, 0, sizeof *out);
    out->mem = page.mem;
    out->runs = page.runs;
    out->n = 1;
    return KEDGE_OK;
}
DEFECT(m246, .ops = { .claim = hands_out_what_is_held });

/* Answered, and done with the next call; one at a time, of one small record. */
static struct {
    bool is;
    struct kedge_guard g;
    struct kedge_change c;
    struct kedge_bytes record;
    uint8_t name[MUTANT_NAME_MAX];
    uint8_t data[MUTANT_NAME_MAX];
} waiting;

static int appends_later(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    const struct kedge_guard *g = commits[0].guards;
    const struct kedge_change *c = commits[0].changes;
    struct kedge_run_state st;

    if (n != 1 || commits[0].n_guards != 1 || g->kind != KEDGE_GUARD_HELD ||
        commits[0].n_changes != 1 || c->kind != KEDGE_APPEND || c->append.n != 1 ||
        g->name.len > sizeof waiting.name || c->append.records[0].len > sizeof waiting.data ||
        mutant_head(&b, g->name, &st) != KEDGE_OK)
        return commit(&b, commits, n, answers, timeout_us, err);
    waiting.is = held_as(&st.run, g) && c->append.first == st.run.position + 1;
    mutant_free(&b, st.mem);
    if (!waiting.is)
        return commit(&b, commits, n, answers, timeout_us, err);
    memcpy(waiting.name, g->name.data, g->name.len);
    memcpy(waiting.data, c->append.records[0].data, c->append.records[0].len);
    waiting.g = *g;
    waiting.c = *c;
    waiting.record = (struct kedge_bytes){ waiting.data, c->append.records[0].len };
    waiting.g.name.data = waiting.c.name.data = waiting.name;
    waiting.c.append.records = &waiting.record;
    memset(answers, 0, sizeof *answers);
    if (commits[0].results != NULL)
        commits[0].results[0] = c->append.first;
    return KEDGE_OK;
}

static enum wrap_verdict appends_now(struct wrap_call *call)
{
    if (call->op < WRAP_SESSION_OPS && waiting.is) {
        waiting.is = false;
        (void)mutant_send(&call->below, &waiting.g, 1, &waiting.c, 1);
    }
    return WRAP_GO;
}
DEFECT(m247, .before = appends_now, .ops = { .commit = appends_later });

/* Whoever saw the run unheld, as others did who came with it, has it. */
static int takes_what_it_saw(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    struct kedge_run_state st;
    bool saw;
    int rc;

    if (n != 1 || commits[0].n_changes != 1 || commits[0].changes[0].kind != KEDGE_TAKE ||
        mutant_head(&b, commits[0].changes[0].name, &st) != KEDGE_OK)
        return commit(&b, commits, n, answers, timeout_us, err);
    saw = st.run.place != KEDGE_PLACE_HELD && st.run.revision == commits[0].guards[0].number;
    mutant_free(&b, st.mem);
    if (saw)
        (void)atomic_fetch_add(&m->count, 1);
    for (int i = 0; saw && i < 50 && atomic_load(&m->count) < 2; i++)
        mutant_pause(1000);
    rc = commit(&b, commits, n, answers, timeout_us, err);
    if (saw)
        (void)atomic_fetch_sub(&m->count, 1);
    if (rc != KEDGE_OK || !saw || answers[0].outcome != KEDGE_STALE ||
        mutant_head(&b, commits[0].changes[0].name, &st) != KEDGE_OK)
        return rc;
    answers[0].outcome = KEDGE_OK;
    if (commits[0].results != NULL)
        commits[0].results[0] = st.run.fence;
    mutant_free(&b, st.mem);
    return rc;
}
DEFECT(m248, .ops = { .commit = takes_what_it_saw });

/* ------------------------------------------------------------------ processes */

static long first_to_open;

static enum wrap_verdict is_for_one_process(struct wrap_call *call)
{
    if (call->op != WRAP_store_open)
        return WRAP_GO;
    if (first_to_open == 0)
        first_to_open = mutant_of(&call->below)->pid;
    if (first_to_open == mutant_of(&call->below)->pid)
        return WRAP_GO;
    (void)kedge_error_set(call->err, KEDGE_ERR_UNAVAILABLE, 0, "another process has it open");
    return WRAP_REFUSE;
}

DEFECT(m258, .before = is_for_one_process);
