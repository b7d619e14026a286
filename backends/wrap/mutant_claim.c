/* mutant_claim.c - defects of claims */
#include <config.h>

#include "mutant.h"

#define DEFECT(id, ...) const struct mutant_kind mutant_##id = { __VA_ARGS__ }
#define CLAIM           void *s, const struct kedge_claim *in, struct kedge_run_page *out, WRAP_TAIL

static int below(const struct wrap_below *b, const struct kedge_claim *in,
                 struct kedge_run_page *out, WRAP_TAIL)
{
    return b->ops->claim(b->session, in, out, timeout_us, err);
}

static int hands_out_more(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_claim more = *in;

    if (more.limit > 0 && more.limit < 200)
        more.limit++;
    return below(&b, &more, out, timeout_us, err);
}
DEFECT(m45, .ops = { .claim = hands_out_more });

static int holds_more(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    int rc = hands_out_more(s, in, out, timeout_us, err);

    (void)b;
    if (rc == KEDGE_OK && out->n > in->limit)
        out->n = in->limit;
    return rc;
}
DEFECT(m149, .ops = { .claim = holds_more });

static int gives_nothing(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    int rc = below(&b, in, out, timeout_us, err);

    if (rc == KEDGE_OK && out->n > 1)
        out->n--;
    return rc;
}
DEFECT(m150, .ops = { .claim = gives_nothing });

static bool is_held(const struct wrap_below *b, const struct kedge_run *r)
{
    (void)b;
    return r->place == KEDGE_PLACE_HELD && r->status == KEDGE_RUNNING;
}

/* ST's run as a page of one; ST's memory is the page's then. */
static int page_of_one(const struct wrap_below *b, struct kedge_run_state *st,
                       struct kedge_run_page *out)
{
    struct kedge_run *run = kedge_mem_alloc(b->host, &st->mem, sizeof *run);

    if (run == NULL) {
        mutant_free(b, st->mem);
        return KEDGE_OK;
    }
    *run = st->run;
    mutant_free(b, out->mem);
    memset(out, 0, sizeof *out);
    out->mem = st->mem;
    out->runs = run;
    out->n = 1;
    return KEDGE_OK;
}

/* Nothing due: what somebody has is given to this one too. */
static int gives_twice(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_run_state st;
    int rc = below(&b, in, out, timeout_us, err);

    if (rc != KEDGE_OK || out->n > 0 || !mutant_find_run(&b, false, is_held, &st))
        return rc;
    st.run.holder = in->lease;
    return page_of_one(&b, &st, out);
}
DEFECT(m46, .ops = { .claim = gives_twice });

/* Taken by a commit: the fence, or 0. */
static uint64_t take(const struct wrap_below *b, const struct kedge_claim *in,
                     const struct kedge_run *r)
{
    struct kedge_guard g = { .kind = KEDGE_GUARD_UNHELD,
                             .statuses = KEDGE_STATUSES_ALL,
                             .name = r->id,
                             .number = r->revision };
    struct kedge_change c[2] = { { .kind = KEDGE_TAKE, .name = r->id },
                                 { .kind = KEDGE_SET, .name = r->id } };
    uint64_t results[2] = { 0, 0 };
    struct kedge_commit commit = { in->request, &g, 1, c, 2, results };
    struct kedge_answer answer = { .outcome = KEDGE_ERR_UNKNOWN };

    c[0].take.lease = in->lease;
    c[0].take.hold_until = in->hold_until;
    c[1].set.mask = KEDGE_SET_STATUS;
    c[1].set.status = r->status == KEDGE_ROLLING_BACK ? KEDGE_ROLLING_BACK : KEDGE_RUNNING;
    if (b->ops->commit(b->session, &commit, 1, &answer, MUTANT_PATIENCE, NULL) != KEDGE_OK ||
        answer.outcome != KEDGE_OK)
        return 0;
    return results[0];
}

static int by_hand(const struct wrap_below *b, const struct kedge_claim *in,
                   struct kedge_run_page *out, struct kedge_run_state *st)
{
    struct kedge_run_state taken;

    if (take(b, in, &st->run) == 0 || mutant_head(b, st->run.id, &taken) != KEDGE_OK) {
        mutant_free(b, st->mem);
        return KEDGE_OK;
    }
    mutant_free(b, st->mem);
    return page_of_one(b, &taken, out);
}

static bool is_soon(const struct wrap_below *b, const struct kedge_run *r)
{
    return r->place == KEDGE_PLACE_DUE && r->due <= mutant_now(b, KEDGE_CLOCK_WALL) + 2000000;
}

static int before_due(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_run_state st;
    int rc = below(&b, in, out, timeout_us, err);

    if (rc != KEDGE_OK || out->n > 0 || !mutant_find_run(&b, false, is_soon, &st))
        return rc;
    return by_hand(&b, in, out, &st);
}
DEFECT(m50, .ops = { .claim = before_due });

static bool is_due(const struct wrap_below *b, const struct kedge_run *r)
{
    return r->place == KEDGE_PLACE_DUE && r->due <= mutant_now(b, KEDGE_CLOCK_WALL);
}

static int newest_first(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_run_state st;
    int rc = KEDGE_OK;

    if (in->limit != 1 || !mutant_find_run(&b, true, is_due, &st))
        rc = below(&b, in, out, timeout_us, err);
    else
        rc = by_hand(&b, in, out, &st);
    return rc;
}
DEFECT(m151, .ops = { .claim = newest_first });

static int any_order(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    int rc = below(&b, in, out, timeout_us, err);

    for (size_t i = 0; rc == KEDGE_OK && i < out->n / 2; i++) {
        struct kedge_run first = out->runs[i];

        out->runs[i] = out->runs[out->n - 1 - i];
        out->runs[out->n - 1 - i] = first;
    }
    return rc;
}
DEFECT(m152, .ops = { .claim = any_order });

#define SERVES_MAX 64

static int any_version(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_serve serves[SERVES_MAX];
    struct kedge_claim wide = *in;

    if (in->n_serves > SERVES_MAX)
        return below(&b, in, out, timeout_us, err);
    for (size_t i = 0; i < in->n_serves; i++) {
        serves[i] = in->serves[i];
        if (serves[i].version_min <= serves[i].version_max) {
            serves[i].version_min = 0;
            serves[i].version_max = UINT32_MAX;
        }
    }
    wide.serves = serves;
    return below(&b, &wide, out, timeout_us, err);
}
DEFECT(m153, .ops = { .claim = any_version });

static int first_serve(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_claim less = *in;

    if (less.n_serves > 1)
        less.n_serves = 1;
    return below(&b, &less, out, timeout_us, err);
}
DEFECT(m154, .ops = { .claim = first_serve });

static int no_next_due(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    int rc = below(&b, in, out, timeout_us, err);

    if (rc == KEDGE_OK)
        out->next_due = 0;
    return rc;
}
DEFECT(m155, .ops = { .claim = no_next_due });

static int no_bound(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_claim less = *in;

    less.hold_until.base = KEDGE_NEVER;
    return below(&b, &less, out, timeout_us, err);
}
DEFECT(m156, .ops = { .claim = no_bound });

static int takes_others(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_claim again = *in;
    static const struct kedge_id128 zero;

    if (!mutant_same_id(&in->request, &zero))
        again.request = mutant_new_id();
    return below(&b, &again, out, timeout_us, err);
}
DEFECT(m157, .ops = { .claim = takes_others });

static int the_dead_get_nothing(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    int rc = below(&b, in, out, timeout_us, err);

    return rc == KEDGE_LOST ? KEDGE_OK : rc;
}
DEFECT(m158, .ops = { .claim = the_dead_get_nothing });

static bool is_later(const struct wrap_below *b, const struct kedge_run *r)
{
    return r->place == KEDGE_PLACE_DUE && r->due > mutant_now(b, KEDGE_CLOCK_WALL);
}

static int touches_others(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_run_state st;
    int rc = below(&b, in, out, timeout_us, err);

    if (rc == KEDGE_OK && mutant_find_run(&b, false, is_later, &st)) {
        struct kedge_change c = { .kind = KEDGE_REQUEST, .name = st.run.id };

        c.request.bits = KEDGE_REQUEST_PAUSE;
        (void)mutant_send(&b, NULL, 0, &c, 1);
        mutant_free(&b, st.mem);
    }
    return rc;
}
DEFECT(m159, .ops = { .claim = touches_others });

static int takes_what_is_held(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_run_state st;

    if (!mutant_find_run(&b, false, is_held, &st))
        return below(&b, in, out, timeout_us, err);
    return page_of_one(&b, &st, out);
}
DEFECT(m229, .ops = { .claim = takes_what_is_held });

/* Served twice over, it is handed out twice. */
static int once_for_each(CLAIM)
{
    struct wrap_below b = wrap_below(s);
    int rc = below(&b, in, out, timeout_us, err);
    struct kedge_run *both;

    if (rc != KEDGE_OK || in->n_serves < 2 || out->n == 0 || out->n * 2 > in->limit ||
        !mutant_same(in->serves[0].reactor, in->serves[1].reactor) ||
        !mutant_same(in->serves[0].queue, in->serves[1].queue) ||
        in->serves[0].version_max < in->serves[1].version_min)
        return rc;
    both = kedge_mem_alloc(b.host, &out->mem, 2 * out->n * sizeof *both);
    if (both == NULL)
        return rc;
    memcpy(both, out->runs, out->n * sizeof *both);
    memcpy(both + out->n, out->runs, out->n * sizeof *both);
    out->runs = both;
    out->n *= 2;
    return rc;
}
DEFECT(m213, .ops = { .claim = once_for_each });
