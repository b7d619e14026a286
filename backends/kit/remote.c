/*
 * remote.c - look, decide, compare and write; again for what did not hold
 *
 * One turn of the loop in carry_out():
 *
 *   decide      every item that is not answered yet, in order; those that miss a row wait for a
 *               look, and so does what comes after them on the same run
 *   look        all rows that were missed, in one round trip; decide those items then
 *   apply       all groups in one round trip; what held is answered, the rest is forgotten and
 *               comes again
 *
 * The first turn works with what is remembered and guesses what is nearly always so: that a run to
 * be created is not there, that a lease is alive.  A guess is confirmed like everything else.
 */
#ifndef _GNU_SOURCE
#    define _GNU_SOURCE 1 /* clocks, timers */
#endif

#include "view.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

/* How far the store's time may have gone on since a decision; doubled with each turn. */
#define LAG_US INT64_C(250000)
/* From this turn on it waits a little before the next, so that others get through. */
#define PATIENT_TURNS 4u

enum item_state { ITEM_OPEN = 0, ITEM_WAITS, ITEM_GROUPED, ITEM_ANSWERED };

struct kit_remote {
    const struct kit_remote_ops *ops;
    void *ctx;
    struct view view;
    struct kit_scratch *scratch;
    struct view_list groups; /* struct kit_group */
    struct view_list states; /* uint8_t, per item */
    int64_t now;             /* the store's */
    bool now_known;
    uint32_t now_round; /* look that told; 0: guessed */
    uint32_t round;
    uint32_t turn;
};

/* What is carried out: commits, or one thing about a lock. */
struct job {
    struct kit_remote *remote;
    const struct kedge_commit *commits; /* NULL: `lock' */
    struct kedge_answer *answers;
    size_t n;
    int (*lock)(struct kit_step *step, struct job *job);
    struct kedge_bytes name;
    const struct kedge_id128 *lease;
    const struct kedge_id128 *request;
    uint64_t fence;
    struct kedge_lock_state state;
    bool some; /* at least one item has an answer of its own, not that of a call that failed */
};

struct kit_remote *kit_remote_new(const struct kedge_host *host, const struct kit_remote_ops *ops,
                                  void *ctx)
{
    struct kit_remote *m = host->alloc(host->ctx, sizeof *m);

    if (m == NULL)
        return NULL;
    memset(m, 0, sizeof *m);
    m->ops = ops;
    m->ctx = ctx;
    kit_view_init(&m->view, host);
    m->scratch = kit_scratch_new(host);
    if (m->scratch == NULL) {
        host->release(host->ctx, m);
        return NULL;
    }
    return m;
}

void kit_remote_free(struct kit_remote *m)
{
    const struct kedge_host *host;

    if (m == NULL)
        return;
    host = m->view.host;
    kit_view_fini(&m->view);
    kit_scratch_free(m->scratch);
    host->release(host->ctx, m->groups.items);
    host->release(host->ctx, m->states.items);
    host->release(host->ctx, m);
}

struct kedge_mem **kit_remote_mem(struct kit_remote *m)
{
    return &m->view.mem;
}

static int64_t clock_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int out_of_memory(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
}

/*
 * ------------------------------------------------------- what is known before
 *
 * Guesses are for the first turn: what was guessed and not confirmed has to be looked at, or it
 * would be guessed for ever.
 */

static void guess_absent(struct view_row *row)
{
    row->r.known = 1;
    row->r.guessed = true;
    row->r.there = false;
}

/* A lease nobody has read: all that a commit asks of one is that it is not dead. */
static void guess_alive(struct view *v, struct view_row *row)
{
    struct kit_lease *lease = kedge_mem_alloc(v->host, &v->mem, sizeof *lease);

    if (lease == NULL) {
        v->no_memory = true;
        return;
    }
    memset(lease, 0, sizeof *lease);
    lease->l.id = row->r.lease_id;
    lease->l.state = KEDGE_LEASE_LIVE;
    row->r.lease = lease;
    row->r.known = 1;
    row->r.guessed = true;
    row->r.there = true;
}

static bool recall(struct kit_remote *m, struct view_row *row)
{
    if (row->r.known != 0)
        return true;
    if (!m->ops->recall(m->ctx, &row->r))
        return false;
    row->r.known = 1;
    row->r.guessed = true;
    return true;
}

static void expect_run(struct kit_remote *m, struct kedge_bytes id, bool absent)
{
    struct view_row *row = kit_view_run(&m->view, id);

    if (row == NULL || recall(m, row))
        return;
    if (absent && m->turn == 0)
        guess_absent(row);
    else
        kit_view_ask(&m->view, row);
}

static void expect_lease(struct kit_remote *m, const struct kedge_id128 *id)
{
    struct view_row *row = kit_id_zero(id) ? NULL : kit_view_lease(&m->view, id);

    if (row == NULL || recall(m, row))
        return;
    if (m->turn == 0)
        guess_alive(&m->view, row);
    else
        kit_view_ask(&m->view, row);
}

static void expect_named(struct kit_remote *m, uint32_t kind, struct kedge_bytes name)
{
    struct view_row *row = kit_view_named(&m->view, kind, name);

    if (row != NULL && row->r.known == 0)
        kit_view_ask(&m->view, row);
}

static void expect_guard(struct kit_remote *m, const struct kedge_guard *g)
{
    switch (g->kind) {
    case KEDGE_GUARD_HELD:
        expect_run(m, g->name, false);
        expect_lease(m, &g->lease);
        return;
    case KEDGE_GUARD_ABSENT:
        expect_run(m, g->name, true);
        return;
    case KEDGE_GUARD_LEASE_LIVE:
        expect_lease(m, &g->lease);
        return;
    case KEDGE_GUARD_LOCK:
        expect_named(m, KIT_ROW_LOCK, g->name);
        expect_lease(m, &g->lease);
        return;
    case KEDGE_GUARD_CELL:
        expect_named(m, KIT_ROW_CELL, g->name);
        return;
    case KEDGE_GUARD_LEASE_DEAD:
    case KEDGE_GUARD_TIME:
        return;
    default:
        expect_run(m, g->name, false);
    }
}

static void expect_slot(struct kit_remote *m, const struct kedge_change *ch)
{
    struct view_row *of = kit_view_run(&m->view, ch->name);
    struct view_row *set = of == NULL ? NULL : kit_view_set(&m->view, of, ch->slot.set);
    struct view_row *slot =
        set == NULL ? NULL : kit_view_slot(&m->view, of, ch->slot.set, ch->slot.index);

    if (slot == NULL || slot->r.known != 0)
        return;
    kit_view_ask(&m->view, set);
    kit_view_ask(&m->view, slot);
}

static void expect_change(struct kit_remote *m, const struct kedge_change *ch)
{
    switch (ch->kind) {
    case KEDGE_CREATE:
        expect_run(m, ch->name, true);
        expect_lease(m, &ch->create->lease);
        return;
    case KEDGE_TAKE:
        expect_run(m, ch->name, false);
        expect_lease(m, &ch->take.lease);
        return;
    case KEDGE_SLOT_PUT:
        expect_slot(m, ch);
        return;
    case KEDGE_CELL_PUT:
    case KEDGE_CELL_DELETE:
        expect_named(m, KIT_ROW_CELL, ch->name);
        return;
    case KEDGE_LOCK_TAKE:
        expect_lease(m, &ch->lock.lease);
        expect_named(m, KIT_ROW_LOCK, ch->name);
        return;
    case KEDGE_LOCK_RELEASE:
        expect_named(m, KIT_ROW_LOCK, ch->name);
        return;
    default:
        expect_run(m, ch->name, false);
    }
}

static void expect_item(struct job *job, size_t i)
{
    const struct kedge_commit *c;

    if (job->commits == NULL)
        return;
    c = &job->commits[i];
    for (size_t k = 0; k < c->n_guards; k++)
        expect_guard(job->remote, &c->guards[k]);
    for (size_t k = 0; k < c->n_changes; k++)
        expect_change(job->remote, &c->changes[k]);
}

/* ------------------------------------------------------------------ looking */

/*
 * Guesses go along with a look that is due anyway: then the decision rests on one moment.  What
 * belongs to a run that is read again is read again with it.
 */
static void ask_more(struct kit_remote *m)
{
    struct view_row **rows = m->view.rows.items;

    for (size_t i = 0; i < m->view.rows.n; i++)
        if (rows[i]->r.guessed)
            kit_view_ask(&m->view, rows[i]);
    for (size_t i = 0; i < m->view.rows.n; i++)
        if (rows[i]->r.of != NULL && rows[i]->r.known != 0 &&
            ((const struct view_row *)rows[i]->r.of)->asked)
            kit_view_ask(&m->view, rows[i]);
}

static int look(struct kit_remote *m, int64_t timeout_us, struct kedge_error *err)
{
    struct kit_row **asked = m->view.asked.items;
    size_t n = m->view.asked.n;
    int rc;

    for (size_t i = 0; i < n; i++) {
        struct view_row *row = (struct view_row *)asked[i];

        row->asked = false;
        row->appends = NULL;
        row->r.there = false;
        row->r.fault = 0;
    }
    m->view.asked.n = 0;
    rc = m->ops->look(m->ctx, asked, n, &m->now, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    m->round++;
    m->now_round = m->round;
    m->now_known = true;
    for (size_t i = 0; i < n; i++) {
        asked[i]->known = m->round;
        asked[i]->guessed = false;
    }
    return KEDGE_OK;
}

/* ------------------------------------------------------------------ deciding */

static bool kind_is_fenced(uint32_t kind)
{
    return kind == KEDGE_TAKE || kind == KEDGE_APPEND || kind == KEDGE_SNAPSHOT ||
           kind == KEDGE_SET || kind == KEDGE_RELEASE || kind == KEDGE_SLOTS;
}

/* Does the length of that run's journal matter to the commit?  Not to one that only wakes it. */
static bool journal_matters(const struct kedge_commit *c, struct kedge_bytes id)
{
    for (size_t i = 0; i < c->n_guards; i++)
        if (c->guards[i].kind <= KEDGE_GUARD_POSITION && kit_bytes_equal(c->guards[i].name, id))
            return true;
    for (size_t i = 0; i < c->n_changes; i++)
        if (kind_is_fenced(c->changes[i].kind) && kit_bytes_equal(c->changes[i].name, id))
            return true;
    return false;
}

static void bound(struct kit_group *g, int64_t now, int64_t at)
{
    if (at > now && at < g->to)
        g->to = at;
}

/* Until when the store's time lets the decision stand. */
static void bound_all(struct kit_remote *m, struct kit_group *g, const struct kedge_commit *c)
{
    g->from = m->now;
    g->to = m->now + (LAG_US << (m->turn < 16 ? m->turn : 16));
    for (size_t i = 0; i < g->n_expects; i++) {
        const struct kit_row *row = g->expects[i].row;

        if (g->expects[i].run != NULL) {
            bound(g, m->now, g->expects[i].run->r.expires);
            bound(g, m->now, g->expects[i].run->r.hold_until);
            bound(g, m->now, g->expects[i].run->r.due);
        } else if (row->kind == KIT_ROW_CELL && g->expects[i].there) {
            bound(g, m->now, g->expects[i].expires);
        }
    }
    for (size_t i = 0; c != NULL && i < c->n_guards; i++) {
        if (c->guards[i].kind != KEDGE_GUARD_TIME)
            continue;
        bound(g, m->now, c->guards[i].from);
        bound(g, m->now, c->guards[i].to);
    }
}

static void *keep(struct view *v, const struct view_list *list, size_t size)
{
    void *p;

    if (list->n == 0)
        return NULL;
    p = kedge_mem_alloc(v->host, &v->mem, list->n * size);
    if (p == NULL)
        v->no_memory = true;
    else
        memcpy(p, list->items, list->n * size);
    return p;
}

/* The decision just made, as a group. */
static int group_add(struct job *job, size_t i)
{
    struct kit_remote *m = job->remote;
    struct view *v = &m->view;
    const struct kedge_commit *c = job->commits == NULL ? NULL : &job->commits[i];
    struct kit_expect *expects = v->expects.items;
    struct kit_group *g = kit_view_push(v, &m->groups, sizeof *g);

    if (g == NULL)
        return KEDGE_ERR_NOMEM;
    for (size_t k = 0; k < v->expects.n; k++)
        if (expects[k].run != NULL)
            expects[k].journal = c != NULL && journal_matters(c, expects[k].row->name);
    g->item = i;
    g->expects = keep(v, &v->expects, sizeof *g->expects);
    g->n_expects = v->expects.n;
    g->writes = keep(v, &v->writes, sizeof *g->writes);
    g->n_writes = v->writes.n;
    g->work = v->work;
    if (v->no_memory) {
        m->groups.n--;
        return KEDGE_ERR_NOMEM;
    }
    bound_all(m, g, c);
    kit_view_keep(v);
    return KEDGE_OK;
}

/* Was all that the decision looked at read in one look of this call? */
static bool one_moment(const struct kit_remote *m)
{
    const struct kit_expect *expects = m->view.expects.items;

    if (m->now_round == 0)
        return false;
    for (size_t i = 0; i < m->view.expects.n; i++) {
        const struct view_row *row = (const struct view_row *)expects[i].row;

        if (row->r.guessed || row->pending || row->r.known != m->now_round)
            return false;
    }
    return true;
}

static void block(struct view *v, struct kedge_bytes id)
{
    struct view_row *row = kit_view_run(v, id);

    if (row != NULL)
        row->blocked = true;
}

static bool blocked(struct view *v, struct kedge_bytes id)
{
    const struct view_row *row = kit_view_run(v, id);

    return row != NULL && row->blocked;
}

/* Hold back what names a run of commit C until that has been decided. */
static void block_runs(struct view *v, const struct kedge_commit *c)
{
    for (size_t i = 0; i < c->n_guards; i++)
        if (c->guards[i].kind <= KEDGE_GUARD_POSITION)
            block(v, c->guards[i].name);
    for (size_t i = 0; i < c->n_changes; i++)
        if (c->changes[i].kind <= KEDGE_SLOT_PUT)
            block(v, c->changes[i].name);
}

static bool is_blocked(struct view *v, const struct kedge_commit *c)
{
    for (size_t i = 0; i < c->n_guards; i++)
        if (c->guards[i].kind <= KEDGE_GUARD_POSITION && blocked(v, c->guards[i].name))
            return true;
    for (size_t i = 0; i < c->n_changes; i++)
        if (c->changes[i].kind <= KEDGE_SLOT_PUT && blocked(v, c->changes[i].name))
            return true;
    return false;
}

static void unblock_all(struct view *v)
{
    struct view_row **rows = v->rows.items;

    for (size_t i = 0; i < v->rows.n; i++)
        rows[i]->blocked = false;
}

/* The rows this item has looked at are read again with the one it missed: one moment for all. */
static void ask_looked(struct view *v)
{
    struct kit_expect *expects = v->expects.items;

    for (size_t i = 0; i < v->expects.n; i++)
        kit_view_ask(v, (struct view_row *)(uintptr_t)expects[i].row);
}

static void answer_failure(struct kedge_answer *a, int status, const char *why)
{
    memset(a, 0, offsetof(struct kedge_answer, why) + 1);
    a->outcome = status;
    (void)snprintf(a->why, sizeof a->why, "%.*s", (int)sizeof a->why - 1, why);
}

static const char *what_failed(int code)
{
    switch (code) {
    case KEDGE_ERR_CORRUPT:
        return "a stored record cannot be understood";
    case KEDGE_ERR_FULL:
        return "the store is full";
    case KEDGE_ERR_NOMEM:
        return "out of memory";
    default:
        return "the store refused to read or write this";
    }
}

static int decide_one(struct job *job, size_t i)
{
    struct kit_remote *m = job->remote;
    struct kit_step step = { .store = &kit_view_store,
                             .ctx = &m->view,
                             .host = m->view.host,
                             .now_wall = m->now,
                             .now_lease = m->now,
                             .scratch = m->scratch };
    int rc;

    kit_view_begin(&m->view, job->commits == NULL ? NULL : &job->commits[i]);
    if (job->commits != NULL)
        return kit_commit(&step, &job->commits[i], &job->answers[i]);
    memset(&job->answers[i], 0, offsetof(struct kedge_answer, why) + 1);
    rc = job->lock(&step, job);
    job->answers[i].outcome = rc;
    if (rc < 0)
        answer_failure(&job->answers[i], rc, what_failed(rc));
    return rc < 0 && rc != KIT_MISSED ? rc : KEDGE_OK;
}

static enum item_state decide(struct job *job, size_t i)
{
    struct kit_remote *m = job->remote;
    struct view *v = &m->view;
    size_t fences = v->n_fences;
    int rc;

    if (job->commits != NULL && is_blocked(v, &job->commits[i])) {
        block_runs(v, &job->commits[i]);
        return ITEM_WAITS;
    }
    rc = decide_one(job, i);
    if (v->missed) {
        ask_looked(v);
        kit_view_undo(v);
        v->n_fences = fences;
        if (job->commits != NULL)
            block_runs(v, &job->commits[i]);
        return ITEM_WAITS;
    }
    if (rc == KEDGE_OK && v->writes.n == 0 && one_moment(m))
        return ITEM_ANSWERED;
    if (rc == KEDGE_OK && group_add(job, i) == KEDGE_OK)
        return ITEM_GROUPED;
    kit_view_undo(v);
    v->n_fences = fences;
    if (rc == KEDGE_OK)
        answer_failure(&job->answers[i], KEDGE_ERR_NOMEM, "out of memory");
    return ITEM_ANSWERED;
}

static size_t decide_all(struct job *job)
{
    uint8_t *states = job->remote->states.items;
    size_t waiting = 0;

    for (size_t i = 0; i < job->n; i++) {
        if (states[i] != ITEM_OPEN && states[i] != ITEM_WAITS)
            continue;
        states[i] = (uint8_t)decide(job, i);
        waiting += states[i] == ITEM_WAITS;
        job->some = job->some || states[i] == ITEM_ANSWERED;
    }
    unblock_all(&job->remote->view);
    return waiting;
}

/* ------------------------------------------------------------------ applying */

static void forget(struct kit_remote *m, struct view_row *row)
{
    if (row->r.kind == KIT_ROW_RUN || row->r.kind == KIT_ROW_LEASE)
        m->ops->forget(m->ctx, &row->r);
    row->r.known = 0;
    row->r.guessed = false;
    row->pending = false;
    row->appends = NULL;
}

static void forget_group(struct kit_remote *m, const struct kit_group *g)
{
    for (size_t i = 0; i < g->n_expects; i++)
        forget(m, (struct view_row *)(uintptr_t)g->expects[i].row);
    for (size_t i = 0; i < g->n_writes; i++)
        forget(m, (struct view_row *)g->writes[i].row);
}

static void learn_group(struct kit_remote *m, const struct kit_group *g, const uint64_t *fences)
{
    for (size_t i = 0; i < g->n_writes; i++) {
        struct view_row *row = (struct view_row *)g->writes[i].row;

        if (!row->pending)
            continue; /* settled, or written by a group that failed as well */
        row->pending = false;
        kit_view_settle(row, fences);
        if (row->r.kind == KIT_ROW_RUN && row->r.there)
            m->ops->learn(m->ctx, &row->r);
        else if (row->r.kind == KIT_ROW_RUN)
            m->ops->forget(m->ctx, &row->r);
    }
}

static uint64_t number(uint64_t f, const uint64_t *fences)
{
    return KIT_IS_PLACE(f) ? fences[KIT_PLACE_INDEX(f)] : f;
}

static void settle_answer(struct job *job, size_t i, const uint64_t *fences)
{
    struct kedge_answer *a = &job->answers[i];

    a->fence = number(a->fence, fences);
    job->state.fence = number(job->state.fence, fences);
    if (job->commits == NULL || job->commits[i].results == NULL || a->outcome != KEDGE_OK)
        return;
    for (size_t k = 0; k < job->commits[i].n_changes; k++)
        job->commits[i].results[k] = number(job->commits[i].results[k], fences);
}

/* Nothing is pending any more, and what belongs to a run that is not known is not known either. */
static void settle_rows(struct kit_remote *m)
{
    struct view_row **rows = m->view.rows.items;

    for (size_t i = 0; i < m->view.rows.n; i++) {
        rows[i]->pending = false;
        if (rows[i]->r.of != NULL && rows[i]->r.of->known == 0)
            rows[i]->r.known = 0;
    }
}

/* Rows of groups that failed first: what others built on them failed too. */
static void settle_groups(struct job *job, const uint64_t *fences)
{
    struct kit_remote *m = job->remote;
    struct kit_group *groups = m->groups.items;
    uint8_t *states = m->states.items;

    for (size_t i = 0; i < m->groups.n; i++)
        if (!groups[i].applied)
            forget_group(m, &groups[i]);
    for (size_t i = 0; i < m->groups.n; i++) {
        const struct kit_group *g = &groups[i];

        if (g->applied) {
            learn_group(m, g, fences);
            settle_answer(job, g->item, fences);
            states[g->item] = ITEM_ANSWERED;
        } else if (g->failed < 0) {
            answer_failure(&job->answers[g->item], g->failed, what_failed(g->failed));
            states[g->item] = ITEM_ANSWERED;
        } else {
            states[g->item] = ITEM_OPEN;
        }
        job->some = job->some || states[g->item] == ITEM_ANSWERED;
    }
    settle_rows(m);
}

static void fail_groups(struct job *job, int rc, const char *why)
{
    struct kit_remote *m = job->remote;
    struct kit_group *groups = m->groups.items;
    uint8_t *states = m->states.items;

    for (size_t i = 0; i < m->groups.n; i++) {
        forget_group(m, &groups[i]);
        answer_failure(&job->answers[groups[i].item], rc, why);
        states[groups[i].item] = ITEM_ANSWERED;
    }
}

static int apply(struct job *job, int64_t timeout_us, struct kedge_error *err)
{
    struct kit_remote *m = job->remote;
    struct view *v = &m->view;
    size_t n_fences = v->n_fences;
    uint64_t *fences = NULL;
    int rc;

    if (n_fences != 0) {
        fences = kedge_mem_alloc(v->host, &v->mem, n_fences * sizeof *fences);
        if (fences == NULL) {
            fail_groups(job, KEDGE_ERR_NOMEM, "out of memory");
            return out_of_memory(err);
        }
    }
    rc = m->ops->apply(m->ctx, m->groups.items, m->groups.n, fences, n_fences, &m->now, timeout_us,
                       err);
    m->now_known = true;
    m->now_round = 0;
    v->n_fences = 0;
    if (rc == KEDGE_OK)
        settle_groups(job, fences);
    else
        fail_groups(job, rc, err->msg);
    m->groups.n = 0;
    return rc;
}

/* ---------------------------------------------------------------- the loop */

static size_t answered(const struct job *job, const struct kit_remote *m)
{
    const uint8_t *states = m->states.items;
    size_t n = 0;

    for (size_t i = 0; i < job->n; i++)
        n += states[i] == ITEM_ANSWERED;
    return n;
}

static void fail_rest(struct job *job, int rc, const char *why)
{
    uint8_t *states = job->remote->states.items;

    for (size_t i = 0; i < job->n; i++) {
        if (states[i] == ITEM_ANSWERED)
            continue;
        answer_failure(&job->answers[i], rc, why);
        states[i] = ITEM_ANSWERED;
    }
}

static void wait_a_little(uint32_t turn, int64_t left_us)
{
    struct timespec ts = { 0, 0 };
    int64_t us = (int64_t)(turn < 10 ? turn : 10) * 500;

    us = 1 + (int64_t)((uint64_t)clock_us() * UINT64_C(2654435761) >> 20 & 0x7fffffff) % us;
    ts.tv_nsec = (us < left_us ? us : left_us) * 1000;
    (void)nanosleep(&ts, NULL);
}

/* Decide everything there is to decide; looks are made until nothing is missing. */
static int decide_with_looks(struct job *job, int64_t end, struct kedge_error *err)
{
    struct kit_remote *m = job->remote;
    bool due = m->view.asked.n != 0 || !m->now_known;

    for (;;) {
        int rc;

        if (m->view.no_memory)
            return out_of_memory(err);
        if (due) {
            int64_t left = end - clock_us();

            ask_more(m);
            rc = look(m, left > 1 ? left : 1, err);
            if (rc != KEDGE_OK)
                return rc;
        }
        if (decide_all(job) == 0)
            return m->view.no_memory ? out_of_memory(err) : KEDGE_OK;
        due = true;
    }
}

static int turn(struct job *job, int64_t end, struct kedge_error *err)
{
    struct kit_remote *m = job->remote;
    int64_t left;
    int rc;

    for (size_t i = 0; i < job->n; i++)
        if (((uint8_t *)m->states.items)[i] == ITEM_OPEN)
            expect_item(job, i);
    rc = decide_with_looks(job, end, err);
    if (rc != KEDGE_OK) {
        m->groups.n = 0;
        return rc;
    }
    left = end - clock_us();
    return m->groups.n == 0 ? KEDGE_OK : apply(job, left > 1 ? left : 1, err);
}

static bool begin(struct job *job)
{
    struct kit_remote *m = job->remote;

    m->turn = m->now_round = 0;
    m->round = 1; /* of guesses */
    m->groups.n = m->states.n = 0;
    m->now_known = m->ops->guess_now(m->ctx, &m->now);
    for (size_t i = 0; i < job->n; i++) {
        uint8_t *state = kit_view_push(&m->view, &m->states, 1);

        if (state == NULL)
            return false;
        if (job->commits != NULL && job->answers[i].outcome < 0)
            *state = ITEM_ANSWERED; /* the checks have refused it */
    }
    return true;
}

static int carry_out(struct job *job, int64_t timeout_us, struct kedge_error *err)
{
    struct kit_remote *m = job->remote;
    int64_t start = clock_us();
    int64_t end = timeout_us < INT64_MAX - start ? start + timeout_us : INT64_MAX;
    int rc = KEDGE_OK;

    if (!begin(job)) {
        for (size_t i = 0; i < job->n; i++)
            answer_failure(&job->answers[i], KEDGE_ERR_NOMEM, "out of memory");
        return out_of_memory(err);
    }
    while (rc == KEDGE_OK && answered(job, m) < job->n) {
        if (clock_us() >= end && m->turn != 0) {
            rc = kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                                 "others kept changing what this needs for %" PRId64
                                 " ms; nothing was written, try again",
                                 timeout_us / 1000);
            break;
        }
        if (m->turn >= PATIENT_TURNS)
            wait_a_little(m->turn, end - clock_us());
        rc = turn(job, end, err);
        m->turn++;
    }
    if (rc != KEDGE_OK) {
        fail_rest(job, rc, err->msg);
        if (job->some && job->commits != NULL)
            rc = KEDGE_OK; /* each has its answer */
    }
    kit_view_clear(&m->view);
    return rc;
}

int kit_remote_commit(struct kit_remote *m, const struct kedge_commit *commits, size_t n,
                      struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_error local;
    struct job job = { .remote = m, .commits = commits, .answers = answers, .n = n };

    return carry_out(&job, timeout_us, err != NULL ? err : &local);
}

/* -------------------------------------------------------------------- locks */

static int lock_acquire(struct kit_step *step, struct job *job)
{
    return kit_lock_acquire(step, job->name, job->lease, job->request, &job->state);
}

static int lock_release(struct kit_step *step, struct job *job)
{
    return kit_lock_release(step, job->name, job->lease, job->fence);
}

static int lock_check(struct kit_step *step, struct job *job)
{
    return kit_lock_check(step, job->name, job->lease, job->fence);
}

static int lock_query(struct kit_step *step, struct job *job)
{
    return kit_lock_query(step, job->name, &job->state);
}

/* The status of the one thing that was done. */
static int lock_do(struct kit_remote *m, struct job *job, int64_t timeout_us,
                   struct kedge_error *err)
{
    struct kedge_error local;
    struct kedge_answer answer = { .outcome = KEDGE_ERR_UNKNOWN };
    int rc;

    job->remote = m;
    job->answers = &answer;
    job->n = 1;
    if (err == NULL)
        err = &local;
    rc = carry_out(job, timeout_us, err);
    job->answers = NULL;
    if (rc != KEDGE_OK)
        return rc;
    if (answer.outcome < 0)
        return kedge_error_set(err, answer.outcome, 0, "%s", answer.why);
    return answer.outcome;
}

int kit_remote_lock_acquire(struct kit_remote *m, struct kedge_bytes name,
                            const struct kedge_id128 *lease, const struct kedge_id128 *request,
                            struct kedge_lock_state *out, int64_t timeout_us,
                            struct kedge_error *err)
{
    struct job job = { .lock = lock_acquire, .name = name, .lease = lease, .request = request };
    int rc = lock_do(m, &job, timeout_us, err);

    if (rc == KEDGE_OK || rc == KEDGE_HELD)
        *out = job.state;
    return rc;
}

int kit_remote_lock_release(struct kit_remote *m, struct kedge_bytes name,
                            const struct kedge_id128 *lease, uint64_t fence, int64_t timeout_us,
                            struct kedge_error *err)
{
    struct job job = { .lock = lock_release, .name = name, .lease = lease, .fence = fence };

    return lock_do(m, &job, timeout_us, err);
}

int kit_remote_lock_check(struct kit_remote *m, struct kedge_bytes name,
                          const struct kedge_id128 *lease, uint64_t fence, int64_t timeout_us,
                          struct kedge_error *err)
{
    struct job job = { .lock = lock_check, .name = name, .lease = lease, .fence = fence };

    return lock_do(m, &job, timeout_us, err);
}

int kit_remote_lock_query(struct kit_remote *m, struct kedge_bytes name,
                          struct kedge_lock_state *out, int64_t timeout_us, struct kedge_error *err)
{
    struct job job = { .lock = lock_query, .name = name };
    int rc = lock_do(m, &job, timeout_us, err);

    if (rc == KEDGE_OK)
        *out = job.state;
    return rc;
}
