/*
 * check_interval.c - locks under leases, by the clock of this host
 *
 * Exact where linearizability is not: it says when a lease must still protect its holder.  For a
 * grant that was answered OK two spans are drawn,
 *
 *   safe      [answer, its release is called), and no later than ttl - margin after the last call
 *             that extended the lease for certain, or its process was killed, or it was revoked.
 *             As death is a write, an extend that succeeded proves the time before it as well.
 *   possible  [call, its release, or the death of its lease, was answered]
 *
 * and then: safe spans of one lock do not overlap; whoever is told HELD meets a possible one (else
 * the lock has leaked); nothing is done under a lease that was answered dead, or a grant that was
 * answered released; no lease is buried while it is safe.  A lock whose lease has lapsed stays
 * held until somebody buries it: that is no leak.  O(n log n).
 */
#include <config.h>

#include "check_models.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/error.h>

struct hold {
    const struct history_event *e;
    int64_t from, to; /* safe */
    int64_t maybe_from, maybe_to;
};

struct look {
    const struct history *h;
    struct verdict *v;
    int64_t margin;
    struct lease_span *spans;
    size_t n_spans;
    const struct history_event **locks; /* by key */
    size_t n_locks;
    const struct history_event **releases; /* done or in doubt, by key, owner, fence, answer */
    size_t n_releases;
    struct hold *holds; /* by key */
    size_t n_holds;
};

static int cmp(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_grant(const struct history_event *x, const struct history_event *y)
{
    int diff = strcmp(x->key, y->key);

    if (diff == 0)
        diff = cmp(x->owner, y->owner);
    return diff != 0 ? diff : cmp(x->fence, y->fence);
}

static int by_grant_and_answer(const void *a, const void *b)
{
    const struct history_event *x = *(const struct history_event *const *)a;
    const struct history_event *y = *(const struct history_event *const *)b;
    int diff = by_grant(x, y);

    return diff != 0 ? diff : (x->ret > y->ret) - (x->ret < y->ret);
}

/* The releases of the grant that E names: the first of them, and how many. */
static size_t releases_of(const struct look *l, const struct history_event *e, size_t *n)
{
    size_t low = 0, high = l->n_releases;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (by_grant(l->releases[mid], e) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    for (*n = 0; low + *n < l->n_releases && by_grant(l->releases[low + *n], e) == 0;)
        (*n)++;
    return low;
}

static void add_hold(struct look *l, const struct history_event *e)
{
    const struct lease_span *s = check_span(l->spans, l->n_spans, e->owner);
    struct hold *hold = &l->holds[l->n_holds++];
    size_t n = 0, first = e->result == KEDGE_OK ? releases_of(l, e, &n) : 0;

    *hold = (struct hold){ e, e->ret, HISTORY_NO_TIME, e->call, HISTORY_NEVER };
    if (s != NULL) {
        hold->maybe_to = s->dead;
        if (e->result == KEDGE_OK && s->safe_until != HISTORY_NO_TIME) {
            hold->to = s->safe_until - l->margin;
            if (s->gone < hold->to)
                hold->to = s->gone;
            if (s->revoking < hold->to)
                hold->to = s->revoking;
        }
    }
    for (size_t i = 0; i < n; i++) {
        const struct history_event *r = l->releases[first + i];

        if (r->call < hold->to)
            hold->to = r->call;
        if (r->result == KEDGE_OK && r->ret < hold->maybe_to)
            hold->maybe_to = r->ret;
    }
}

static int by_safe(const void *a, const void *b)
{
    const struct hold *x = a, *y = b;

    return (x->from > y->from) - (x->from < y->from);
}

static int by_maybe(const void *a, const void *b)
{
    const struct hold *x = a, *y = b;

    return (x->maybe_from > y->maybe_from) - (x->maybe_from < y->maybe_from);
}

static void overlap(struct look *l, struct hold *holds, size_t n)
{
    const struct hold *longest = NULL;

    qsort(holds, n, sizeof *holds, by_safe);
    for (size_t i = 0; i < n; i++) {
        if (holds[i].from >= holds[i].to)
            continue;
        if (longest != NULL && holds[i].from < longest->to) {
            if (!verdict_fail(l->v, holds[i].e->key, "lock \"%s\": two held it safely at once",
                              holds[i].e->key))
                return;
            verdict_add(l->v, longest->e, "\n  safe until %" PRId64 ": ", longest->to);
            verdict_add(l->v, holds[i].e, "\n  safe until %" PRId64 ": ", holds[i].to);
        }
        if (longest == NULL || holds[i].to > longest->to)
            longest = &holds[i];
    }
}

/* EVENTS are of one lock, HOLDS its own. */
static void leaks(struct look *l, const struct history_event *const *events, size_t n_events,
                  struct hold *holds, size_t n)
{
    qsort(holds, n, sizeof *holds, by_maybe);
    for (size_t i = 1; i < n; i++) /* from here on: the latest end so far */
        if (holds[i].maybe_to < holds[i - 1].maybe_to)
            holds[i].maybe_to = holds[i - 1].maybe_to;
    for (size_t i = 0; i < n_events; i++) {
        const struct history_event *e = events[i];
        size_t low = 0, high = n;

        if (e->op != HISTORY_ACQUIRE || e->result != KEDGE_HELD)
            continue;
        while (low < high) {
            size_t mid = low + (high - low) / 2;

            if (holds[mid].maybe_from <= e->ret)
                low = mid + 1;
            else
                high = mid;
        }
        if (low > 0 && holds[low - 1].maybe_to >= e->call)
            continue;
        if (verdict_fail(l->v, e->key, "lock \"%s\": held, though nobody can have held it", e->key))
            verdict_add(l->v, e, "\n  ");
    }
}

/* What was done under a lease or a grant that was over. */
static void resurrected(struct look *l, const struct history_event *e)
{
    const struct lease_span *s = check_span(l->spans, l->n_spans, e->owner);
    size_t first, n = 0;

    if (e->result != KEDGE_OK || s == NULL)
        return;
    if (history_subject(e->op) == HISTORY_OF_LEASE ? e->op == HISTORY_EXTEND
                                                   : model_tells_of_lease(e)) {
        if (s->dead < e->call &&
            verdict_fail(l->v, e->key, "lease %" PRIu64 ": alive after its death", e->owner)) {
            verdict_add(l->v, s->death, "\n  had answered: ");
            verdict_add(l->v, e, "\n  was called after it: ");
        }
    }
    if (e->op != HISTORY_CHECK && e->op != HISTORY_UNLOCK)
        return;
    first = releases_of(l, e, &n);
    for (size_t i = first; i < first + n && l->releases[i]->ret < e->call; i++)
        if (l->releases[i]->result == KEDGE_OK &&
            verdict_fail(l->v, e->key, "lock \"%s\": held after its release", e->key)) {
            verdict_add(l->v, l->releases[i], "\n  had answered: ");
            verdict_add(l->v, e, "\n  was called after it: ");
        }
}

static void buried_early(struct look *l, const struct history_event *e)
{
    const struct lease_span *s = check_span(l->spans, l->n_spans, e->owner);

    if (e->op != HISTORY_BURY || e->result != KEDGE_OK || s == NULL ||
        s->safe_until == HISTORY_NO_TIME || s->gone <= e->ret || s->revoking <= e->ret)
        return;
    if (e->ret < s->safe_until - l->margin &&
        verdict_fail(l->v, e->key, "lease %" PRIu64 ": buried %" PRId64 " us before it could lapse",
                     e->owner, s->safe_until - e->ret))
        verdict_add(l->v, e, "\n  ");
}

static void look_at_locks(struct look *l)
{
    for (size_t i = 0, end; i < l->n_locks; i = end) {
        size_t first = l->n_holds;

        for (end = i; end < l->n_locks && check_same_key(l->locks[i], l->locks[end]); end++)
            if (l->locks[end]->op == HISTORY_ACQUIRE &&
                (l->locks[end]->result == KEDGE_OK || l->locks[end]->result == KEDGE_ERR_UNKNOWN))
                add_hold(l, l->locks[end]);
        overlap(l, l->holds + first, l->n_holds - first);
        leaks(l, l->locks + i, end - i, l->holds + first, l->n_holds - first);
    }
}

static bool gather(struct look *l)
{
    size_t n, m = 0;

    l->spans = check_spans(l->h, &l->n_spans);
    l->locks = check_by_key(l->h, &n);
    l->releases = calloc(l->h->n + 1, sizeof(struct history_event *));
    l->holds = calloc(l->h->n + 1, sizeof *l->holds);
    if (l->spans == NULL || l->locks == NULL || l->releases == NULL || l->holds == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct history_event *e = l->locks[i];

        if (history_subject(e->op) != HISTORY_OF_LOCK)
            continue;
        l->locks[m++] = e;
        if (e->op == HISTORY_UNLOCK && (e->result == KEDGE_OK || e->result == KEDGE_ERR_UNKNOWN))
            l->releases[l->n_releases++] = e;
    }
    l->n_locks = m;
    qsort(l->releases, l->n_releases, sizeof(struct history_event *), by_grant_and_answer);
    return true;
}

void check_intervals(const struct history *h, int64_t margin_us, struct verdict *v)
{
    struct look l = { .h = h, .v = v, .margin = margin_us };

    verdict_init(v);
    if (!gather(&l))
        verdict_unsure(v, "", "out of memory");
    else {
        look_at_locks(&l);
        for (size_t i = 0; i < h->n; i++) {
            resurrected(&l, &h->events[i]);
            buried_early(&l, &h->events[i]);
        }
        v->looked_at = h->n;
    }
    free(l.spans);
    free(l.locks);
    free(l.releases);
    free(l.holds);
}
