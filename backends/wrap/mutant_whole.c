/* mutant_whole.c - defects of commits as a whole: what is refused, in which order, how much */
#include <config.h>

#include "mutant.h"

#define DEFECT(id, ...) const struct mutant_kind mutant_##id = { __VA_ARGS__ }
#define CUT             const struct mutant_cut *cut

static int below(const struct wrap_below *b, const struct kedge_commit *commits, size_t n,
                 struct kedge_answer *answers, WRAP_TAIL)
{
    return b->ops->commit(b->session, commits, n, answers, timeout_us, err);
}

static void pass(CUT, struct kedge_answer *a, int outcome)
{
    (void)cut;
    if (a->outcome == outcome) {
        a->outcome = KEDGE_OK;
        a->why[0] = '\0';
    }
}

static void senseless_passes(CUT, struct kedge_answer *a)
{
    pass(cut, a, KEDGE_ERR_INVALID);
}
DEFECT(m219, .answer = senseless_passes);

static void too_big_passes(CUT, struct kedge_answer *a)
{
    pass(cut, a, KEDGE_ERR_TOO_BIG);
}
DEFECT(m220, .answer = too_big_passes);

static void only_asking(CUT, struct kedge_answer *a)
{
    if (cut->commit->n_changes == 0 && a->outcome == KEDGE_OK)
        a->outcome = KEDGE_STALE;
}
DEFECT(m221, .answer = only_asking);

static void nameless(CUT, struct kedge_id128 *request)
{
    static const struct kedge_id128 zero;

    (void)cut;
    if (mutant_same_id(request, &zero))
        *request = mutant_new_id();
}
DEFECT(m216, .request = nameless);

/* What an unfenced write would have needed in front of it, it gets. */
static bool fence_of(const struct wrap_below *b, const struct kedge_change *c,
                     struct kedge_guard *g)
{
    struct kedge_run_state st;
    bool needs = c->kind == KEDGE_APPEND || c->kind == KEDGE_SNAPSHOT || c->kind == KEDGE_SET ||
                 c->kind == KEDGE_RELEASE || c->kind == KEDGE_SLOTS || c->kind == KEDGE_TAKE;

    if (!needs || mutant_head(b, c->name, &st) != KEDGE_OK)
        return false;
    *g = (struct kedge_guard){ .name = c->name };
    g->kind = st.run.place == KEDGE_PLACE_HELD ? KEDGE_GUARD_HELD : KEDGE_GUARD_UNHELD;
    g->statuses = KEDGE_STATUSES_ALL;
    g->lease = st.run.holder;
    g->number = st.run.place == KEDGE_PLACE_HELD ? st.run.fence : st.run.revision;
    mutant_free(b, st.mem);
    return true;
}

static int fences_the_unfenced(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_commit fenced = commits[0];
    struct kedge_guard g;

    if (n != 1 || fenced.n_guards != 0 || fenced.n_changes == 0 ||
        !fence_of(&b, &fenced.changes[0], &g))
        return below(&b, commits, n, answers, timeout_us, err);
    fenced.guards = &g;
    fenced.n_guards = 1;
    return below(&b, &fenced, 1, answers, timeout_us, err);
}
DEFECT(m217, .ops = { .commit = fences_the_unfenced });

/* A run at rest is taken by reopening it first. */
static int takes_from_rest(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_commit more = commits[0];
    struct kedge_change c[2] = { { .kind = KEDGE_SET } };

    if (n != 1 || more.n_changes != 1 || more.changes[0].kind != KEDGE_TAKE)
        return below(&b, commits, n, answers, timeout_us, err);
    c[0].name = more.changes[0].name;
    c[0].set.mask = KEDGE_SET_REOPEN | KEDGE_SET_STATUS;
    c[0].set.status = KEDGE_RUNNING;
    c[1] = more.changes[0];
    more.changes = c;
    more.n_changes = 2;
    more.results = NULL;
    if (below(&b, &more, 1, answers, timeout_us, NULL) == KEDGE_OK &&
        answers[0].outcome == KEDGE_OK)
        return KEDGE_OK;
    return below(&b, commits, n, answers, timeout_us, err);
}
DEFECT(m218, .ops = { .commit = takes_from_rest });

static int loses_the_rest(COMMIT_PARAMS)
{
    enum { MOST = 128 };
    struct wrap_below b = wrap_below(s);
    int rc = below(&b, commits, n <= MOST || n > 256 ? n : MOST, answers, timeout_us, err);

    for (size_t i = MOST; rc == KEDGE_OK && n <= 256 && i < n; i++)
        memset(&answers[i], 0, sizeof answers[i]);
    return rc;
}
DEFECT(m210, .ops = { .commit = loses_the_rest });

static bool is_cell(const struct kedge_change *c)
{
    return c->kind == KEDGE_CELL_PUT || c->kind == KEDGE_CELL_DELETE;
}

/* Of two changes of a cell the second comes first. */
static int second_first(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_commit swapped = commits[0];
    struct kedge_change c[2];
    uint64_t result;
    int rc;

    if (n != 1 || swapped.n_changes != 2 || !is_cell(&swapped.changes[0]) ||
        !is_cell(&swapped.changes[1]))
        return below(&b, commits, n, answers, timeout_us, err);
    c[0] = swapped.changes[1];
    c[1] = swapped.changes[0];
    swapped.changes = c;
    rc = below(&b, &swapped, 1, answers, timeout_us, err);
    if (rc == KEDGE_OK && swapped.results != NULL) {
        result = swapped.results[0];
        swapped.results[0] = swapped.results[1];
        swapped.results[1] = result;
    }
    return rc;
}
DEFECT(m212, .ops = { .commit = second_first });

static void even_fences(CUT, struct kedge_answer *a)
{
    const struct kedge_commit *c = cut->commit;

    for (size_t i = 0; a->outcome == KEDGE_OK && c->results != NULL && i < c->n_changes; i++)
        if (c->changes[i].kind == KEDGE_CELL_PUT || c->changes[i].kind == KEDGE_LOCK_TAKE ||
            c->changes[i].kind == KEDGE_CREATE)
            c->results[i] &= ~UINT64_C(1);
}
DEFECT(m226, .answer = even_fences);

static void keeps_queue(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_SET)
        c->set.mask &= ~KEDGE_SET_QUEUE;
    if (c->kind == KEDGE_SET && c->set.mask == 0)
        *c = mutant_nothing();
}
DEFECT(m215, .change = keeps_queue);

static void all_is_well(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_RELEASE && c->release.place == KEDGE_PLACE_REST &&
        c->release.status == KEDGE_FAILED)
        c->release.status = KEDGE_COMPLETED;
}
DEFECT(m222, .change = all_is_well);

static void stays_at_rest(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind == KEDGE_SET && (c->set.mask & KEDGE_SET_REOPEN) != 0)
        *c = mutant_nothing();
}
DEFECT(m223, .change = stays_at_rest);

/* What a commit makes it does not let go of. */
static void made_stays(CUT, struct kedge_change *c)
{
    for (size_t i = 0; c->kind == KEDGE_RELEASE && i < cut->commit->n_changes; i++)
        if (cut->commit->changes[i].kind == KEDGE_CREATE &&
            mutant_same(cut->commit->changes[i].name, c->name))
            *c = mutant_nothing();
}
DEFECT(m224, .change = made_stays);

static size_t at_most_511(struct kedge_bytes name)
{
    return name.len < 511 ? name.len : 511;
}

static void short_guard(CUT, struct kedge_guard *g)
{
    (void)cut;
    if (g->kind <= KEDGE_GUARD_POSITION)
        g->name.len = at_most_511(g->name);
}

static void short_change(CUT, struct kedge_change *c)
{
    (void)cut;
    if (c->kind <= KEDGE_SLOT_PUT)
        c->name.len = at_most_511(c->name);
}

static int short_retrieve(void *s, const struct kedge_retrieve *in, struct kedge_run_state *out,
                          WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_retrieve less = *in;

    less.id.len = at_most_511(less.id);
    return b.ops->retrieve(b.session, &less, out, timeout_us, err);
}
DEFECT(m225, .guard = short_guard, .change = short_change, .ops = { .retrieve = short_retrieve });

/* A time that is over means now. */
static void no_past(CUT, struct kedge_change *c)
{
    static _Thread_local struct kedge_run_new later[64];
    static _Thread_local size_t next;

    if (c->kind != KEDGE_CREATE || c->create == NULL || c->create->due.base != KEDGE_AT ||
        c->create->due.us > mutant_now(&cut->b, KEDGE_CLOCK_WALL))
        return;
    next = (next + 1) % 64;
    later[next] = *c->create;
    later[next].due = (struct kedge_when){ 0, KEDGE_IN, 0 };
    c->create = &later[next];
}
DEFECT(m214, .change = no_past);
