/*
 * mutant_fault.c - defects that show when something fails: a process, a connection, a disk, a clock
 *
 * While nothing does they are the backend below.
 */
#include <config.h>

#include <time.h>
#include <unistd.h>

#include "mutant.h"

#define DEFECT(id, ...) const struct mutant_kind mutant_##id = { __VA_ARGS__ }
#define CUT             const struct mutant_cut *cut
#define GRANT_PARAMS                                                                               \
    void *s, const struct kedge_lease_new *in, struct kedge_lease_state *out, WRAP_TAIL

/* -------------------------------------------------------------------- answers */

static const size_t out_sizes[WRAP_OP_COUNT] = {
#define NO_SIZE(op, ...)
#define SIZE(op, type, ...) [WRAP_##op] = sizeof(type),
    WRAP_OPS(NO_SIZE, SIZE, NO_SIZE)
#undef NO_SIZE
#undef SIZE
};

static bool failed(int rc)
{
    return rc == KEDGE_ERR_UNAVAILABLE || rc == KEDGE_ERR_UNKNOWN || rc == KEDGE_ERR_FULL;
}

static void all_is_well(struct wrap_call *call)
{
    if (call->op >= WRAP_SESSION_OPS || !failed(call->rc))
        return;
    call->rc = KEDGE_OK;
    if (call->out != NULL)
        memset((void *)(uintptr_t)call->out, 0, out_sizes[call->op]);
}

static void all_are_well(CUT, struct kedge_answer *a)
{
    (void)cut;
    if (failed(a->outcome))
        a->outcome = KEDGE_OK;
}

static int commits_well(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    int rc = mutant_commit(s, commits, n, answers, timeout_us, err);

    for (size_t i = 0; failed(rc) && i < n; i++)
        all_are_well(&(struct mutant_cut){ b, mutant_of(&b), &commits[i] }, &answers[i]);
    return failed(rc) ? KEDGE_OK : rc;
}
DEFECT(m262, .after = all_is_well, .answer = all_are_well, .ops = { .commit = commits_well });

/* What may have taken place did not. */
static void nothing_happened(struct wrap_call *call)
{
    if (call->rc == KEDGE_ERR_UNKNOWN)
        call->rc = KEDGE_ERR_UNAVAILABLE;
}

static int commits_for_sure(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->commit(b.session, commits, n, answers, timeout_us, err);

    for (size_t i = 0; i < n; i++)
        if (answers[i].outcome == KEDGE_ERR_UNKNOWN)
            answers[i].outcome = KEDGE_ERR_UNAVAILABLE;
    return rc;
}
DEFECT(m263, .after = nothing_happened, .ops = { .commit = commits_for_sure });

static void is_not_there(struct wrap_call *call)
{
    if (call->op == WRAP_store_open && call->rc == KEDGE_ERR_UNAVAILABLE)
        call->rc = KEDGE_ERR_SCHEMA_MISSING;
}
DEFECT(m270, .after = is_not_there);

static void is_lost(struct wrap_call *call)
{
    if (call->op == WRAP_lease_extend && failed(call->rc))
        call->rc = KEDGE_LOST;
}
DEFECT(m271, .after = is_lost);

/* Patience with a server that says nothing. */
#define LATER 5000000

static int commits_in_the_end(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);

    return b.ops->commit(b.session, commits, n, answers, timeout_us + LATER, err);
}
DEFECT(m266, .ops = { .commit = commits_in_the_end });

/* ------------------------------------------------------ one process, and another */

/* What this process, and no other, calls ID. */
static struct kedge_id128 own(const struct kedge_id128 *id)
{
    uint64_t pid = (uint64_t)getpid() * UINT64_C(0x9E3779B97F4A7C15);
    struct kedge_id128 mine = *id;

    for (size_t i = 0; i < sizeof pid; i++)
        mine.b[i] ^= (unsigned char)(pid >> 8 * i);
    return mine;
}

static int grants_own(GRANT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease_new mine = *in;

    mine.request = own(&in->request);
    return b.ops->lease_grant(b.session, &mine, out, timeout_us, err);
}

static int acquires_own(void *s, struct kedge_bytes name, const struct kedge_id128 *lease,
                        const struct kedge_id128 *request, struct kedge_lock_state *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_id128 mine = own(request);

    return b.ops->lock_acquire(b.session, name, lease, &mine, out, timeout_us, err);
}

static int claims_own(void *s, const struct kedge_claim *in, struct kedge_run_page *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_claim mine = *in;

    mine.request = own(&in->request);
    return b.ops->claim(b.session, &mine, out, timeout_us, err);
}

static void commits_own(CUT, struct kedge_id128 *request)
{
    (void)cut;
    *request = own(request);
}
DEFECT(m264, .request = commits_own,
       .ops = { .lease_grant = grants_own, .lock_acquire = acquires_own, .claim = claims_own });

/* Of several who come at once each was the first. */
static void created_by_all(CUT, struct kedge_answer *a)
{
    const struct kedge_commit *c = cut->commit;
    struct kedge_run_state st;

    if (a->outcome != KEDGE_EXISTS || c->n_changes == 0 || c->changes[0].kind != KEDGE_CREATE ||
        mutant_head(&cut->b, c->changes[0].name, &st) != KEDGE_OK)
        return;
    if (mutant_now(&cut->b, KEDGE_CLOCK_WALL) - st.run.created < 1000000)
        a->outcome = KEDGE_OK;
    mutant_free(&cut->b, st.mem);
}
DEFECT(m274, .answer = created_by_all);

/* Whose is it?  A cell of the lease says which process asked first. */
static bool is_of_another(const struct wrap_below *b, const struct kedge_id128 *lease)
{
    uint64_t pid = (uint64_t)getpid();
    struct kedge_bytes mine = { &pid, sizeof pid };
    char text[40] = "whose ";
    struct kedge_cell cell = { .mem = NULL };
    struct kedge_change c = { .kind = KEDGE_CELL_PUT };
    bool other;

    memcpy(text + 6, lease->b, sizeof lease->b);
    c.name = (struct kedge_bytes){ text, 6 + sizeof lease->b };
    c.cell.value = mine;
    if (b->ops->cell_get(b->session, c.name, &cell, MUTANT_PATIENCE, NULL) != KEDGE_OK) {
        (void)mutant_send(b, NULL, 0, &c, 1);
        return false;
    }
    other = !mutant_same(cell.value, mine);
    mutant_free(b, cell.mem);
    return other;
}

static int extends_own(void *s, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                       WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);

    if (is_of_another(&b, lease))
        return KEDGE_LOST;
    return b.ops->lease_extend(b.session, lease, out, timeout_us, err);
}

static int extends_own_lock(void *s, struct kedge_bytes name, const struct kedge_id128 *lease,
                            uint64_t fence, struct kedge_lock_state *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);

    if (is_of_another(&b, lease))
        return KEDGE_LOST;
    return b.ops->lock_extend(b.session, name, lease, fence, out, timeout_us, err);
}
DEFECT(m265, .ops = { .lease_extend = extends_own, .lock_extend = extends_own_lock });

/* Leases end, and what has expired goes, when the next call of this process comes. */
static struct {
    enum wrap_op op;
    struct kedge_id128 lease;
    size_t limit;
    bool is;
} waiting;

static int ends_later(enum wrap_op op, const struct kedge_id128 *lease)
{
    waiting.op = op;
    waiting.lease = *lease;
    waiting.is = true;
    return KEDGE_OK;
}

static int revokes_later(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease l;

    if (!mutant_lease(&b, lease, &l))
        return b.ops->lease_revoke(b.session, lease, timeout_us, err);
    return ends_later(WRAP_lease_revoke, lease);
}

static int buries_later(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease l;

    if (!mutant_lease(&b, lease, &l) || l.state != KEDGE_LEASE_LAPSED)
        return b.ops->lease_bury(b.session, lease, timeout_us, err);
    return ends_later(WRAP_lease_bury, lease);
}

static int purges_later(void *s, size_t limit, struct kedge_purged *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->purge(b.session, 0, out, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    waiting.limit = limit;
    return ends_later(WRAP_purge, &(struct kedge_id128){ .b = { 0 } });
}

static enum wrap_verdict ends_now(struct wrap_call *call)
{
    const struct wrap_below *b = &call->below;
    struct kedge_purged purged;

    if (call->op >= WRAP_SESSION_OPS || !waiting.is)
        return WRAP_GO;
    waiting.is = false;
    if (waiting.op == WRAP_purge)
        (void)b->ops->purge(b->session, waiting.limit, &purged, MUTANT_PATIENCE, NULL);
    else if (waiting.op == WRAP_lease_bury)
        (void)b->ops->lease_bury(b->session, &waiting.lease, MUTANT_PATIENCE, NULL);
    else
        (void)b->ops->lease_revoke(b->session, &waiting.lease, MUTANT_PATIENCE, NULL);
    return WRAP_GO;
}
DEFECT(m267, .before = ends_now,
       .ops = { .lease_revoke = revokes_later, .lease_bury = buries_later, .purge = purges_later });

static void deletes_later(CUT, struct kedge_change *c)
{
    struct mutant *m = cut->m;

    if (c->kind != KEDGE_CELL_DELETE || mutant_note(m, c->name, true) == NULL)
        return;
    *c = mutant_nothing();
    (void)atomic_fetch_add(&m->count, 1);
}

static enum wrap_verdict deletes_now(struct wrap_call *call)
{
    struct mutant *m = mutant_of(&call->below);

    if (call->op >= WRAP_SESSION_OPS || atomic_exchange(&m->count, 0) == 0)
        return WRAP_GO;
    for (size_t i = 0; i < MUTANT_NOTES; i++) {
        struct kedge_change c = { .kind = KEDGE_CELL_DELETE };

        c.name = (struct kedge_bytes){ m->notes[i].name, m->notes[i].len };
        if (m->notes[i].set)
            (void)mutant_send(&call->below, NULL, 0, &c, 1);
        m->notes[i].set = false;
    }
    return WRAP_GO;
}
DEFECT(m273, .before = deletes_now, .change = deletes_later);

/* --------------------------------------------------------------------- clocks */

static int64_t wall_here(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static enum wrap_verdict looks_at_the_wall(struct wrap_call *call)
{
    call->begun = wall_here();
    return WRAP_GO;
}

static void in_time_by_the_wall(struct wrap_call *call)
{
    if (call->timeout_us > 0 && wall_here() - call->begun > call->timeout_us)
        call->rc = KEDGE_ERR_UNKNOWN;
}
DEFECT(m268, .before = looks_at_the_wall, .after = in_time_by_the_wall);

static void when_here(struct kedge_when *when)
{
    if (when->base != KEDGE_IN)
        return;
    when->base = KEDGE_AT;
    when->us += wall_here();
}

static void reckons_here(CUT, struct kedge_change *c)
{
    static _Thread_local struct kedge_run_new created[64];
    static _Thread_local unsigned n;
    struct kedge_run_new *here = &created[n++ % 64];

    (void)cut;
    if (c->kind == KEDGE_CREATE) {
        *here = *c->create;
        when_here(&here->due);
        c->create = here;
    }
    if (c->kind == KEDGE_RELEASE)
        when_here(&c->release.when);
    if (c->kind == KEDGE_CELL_PUT)
        when_here(&c->cell.expires);
}
DEFECT(m269, .change = reckons_here);

static int grants_until(GRANT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lease_grant(b.session, in, out, timeout_us, err);

    if (rc == KEDGE_OK)
        out->deadline = wall_here() + out->remaining_us;
    return rc;
}

static int extends_until(void *s, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                         WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lease_extend(b.session, lease, out, timeout_us, err);

    if (rc == KEDGE_OK)
        out->deadline = wall_here() + out->remaining_us;
    return rc;
}
DEFECT(m272, .ops = { .lease_grant = grants_until, .lease_extend = extends_until });
