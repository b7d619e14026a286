/*
 * check_conserve.c - runs and their records, as things that are neither made nor lost on the way
 *
 *   phantom   handed out, though nobody had created it; a record that nobody appended
 *   doubled   put to rest twice; handed out after that; two records of one number
 *   two       handed out while a holder had neither let go nor been buried
 *   lost      a record that was acknowledged and is not there; and, where everything was to be
 *             worked off, a run that nobody put to rest
 */
#include <config.h>

#include "check.h"

#include <inttypes.h>
#include <stdlib.h>

#include <kedge/base.h>
#include <kedge/error.h>

struct look {
    struct verdict *v;
    const struct lease_span *spans;
    size_t n_spans;
    bool drained;
};

/* All events of one run. */
struct run {
    const struct history_event *const *e;
    size_t n;
    const char *key;
};

static bool ok(const struct history_event *e)
{
    return e->result == KEDGE_OK;
}

static bool perhaps(const struct history_event *e)
{
    return ok(e) || e->result == KEDGE_ERR_UNKNOWN;
}

static bool hands_out(const struct history_event *e)
{
    return e->op == HISTORY_CLAIM || e->op == HISTORY_TAKE;
}

static bool writes(const struct history_event *e)
{
    return e->op == HISTORY_APPEND || e->op == HISTORY_YIELD || e->op == HISTORY_REST;
}

static void fail(struct look *l, const struct run *r, const char *what,
                 const struct history_event *a, const struct history_event *b)
{
    if (!verdict_fail(l->v, r->key, "run \"%s\": %s", r->key, what))
        return;
    if (a != NULL)
        verdict_add(l->v, a, "\n  ");
    if (b != NULL)
        verdict_add(l->v, b, "\n  ");
}

static void phantom(struct look *l, const struct run *r)
{
    int64_t created = HISTORY_NEVER;

    for (size_t i = 0; i < r->n; i++)
        if (r->e[i]->op == HISTORY_CREATE && perhaps(r->e[i]) && r->e[i]->call < created)
            created = r->e[i]->call;
    for (size_t i = 0; i < r->n; i++)
        if (hands_out(r->e[i]) && ok(r->e[i]) && r->e[i]->ret < created)
            fail(l, r, "handed out, though nobody had created it", r->e[i], NULL);
}

static void finished_once(struct look *l, const struct run *r)
{
    const struct history_event *rest = NULL;
    bool created = false, maybe = false;

    for (size_t i = 0; i < r->n; i++) {
        const struct history_event *e = r->e[i];

        created = created || (e->op == HISTORY_CREATE && ok(e));
        maybe = maybe || (e->op == HISTORY_REST && perhaps(e));
        if (e->op != HISTORY_REST || !ok(e))
            continue;
        if (rest != NULL)
            fail(l, r, "put to rest twice", rest, e);
        rest = e;
    }
    for (size_t i = 0; rest != NULL && i < r->n; i++)
        if (hands_out(r->e[i]) && ok(r->e[i]) && r->e[i]->call > rest->ret)
            fail(l, r, "handed out after it was put to rest", rest, r->e[i]);
    if (l->drained && created && !maybe)
        fail(l, r, "lost: nobody put it to rest", r->e[0], NULL);
}

/* The first instant at which the hold E can have been over. */
static int64_t end_of(const struct look *l, const struct run *r, const struct history_event *e)
{
    const struct lease_span *s = check_span(l->spans, l->n_spans, e->owner);
    int64_t end = s != NULL ? s->ending : HISTORY_NEVER;

    for (size_t i = 0; i < r->n; i++)
        if (writes(r->e[i]) && r->e[i]->op != HISTORY_APPEND && perhaps(r->e[i]) &&
            r->e[i]->owner == e->owner && r->e[i]->fence == e->fence && r->e[i]->call < end)
            end = r->e[i]->call;
    return end;
}

static void held_once(struct look *l, const struct run *r)
{
    for (size_t i = 0; i < r->n; i++) {
        int64_t end;

        if (!hands_out(r->e[i]) || !ok(r->e[i]))
            continue;
        end = end_of(l, r, r->e[i]);
        for (size_t j = 0; j < r->n; j++)
            if (j != i && hands_out(r->e[j]) && ok(r->e[j]) && r->e[j]->fence > r->e[i]->fence &&
                r->e[j]->ret < end)
                fail(l, r, "two holders at once", r->e[i], r->e[j]);
    }
}

static void records(struct look *l, const struct run *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct history_event *e = r->e[i];
        uint64_t most = 0;

        if (writes(e) && ok(e) && e->version != 0)
            for (size_t j = 0; j < i; j++)
                if (writes(r->e[j]) && ok(r->e[j]) && r->e[j]->version == e->version)
                    fail(l, r, "two records of one number", r->e[j], e);
        if (e->op != HISTORY_READ || !ok(e))
            continue;
        for (size_t j = 0; j < r->n; j++) {
            const struct history_event *a = r->e[j];

            if (!writes(a) || !perhaps(a))
                continue;
            if (a->call <= e->ret && a->version > most)
                most = a->version;
            if (ok(a) && a->ret < e->call && a->version > e->version)
                fail(l, r, "a record is lost", a, e);
        }
        if (e->version > most)
            fail(l, r, "a record that nobody appended", e, NULL);
    }
}

void check_conserved(const struct history *h, bool drained, struct verdict *v)
{
    size_t n, n_spans;
    struct lease_span *spans = check_spans(h, &n_spans);
    const struct history_event **events = check_by_key(h, &n);
    struct look l;

    verdict_init(v);
    l = (struct look){ v, spans, n_spans, drained };
    if (spans == NULL || events == NULL)
        verdict_unsure(v, "", "out of memory");
    for (size_t i = 0, end; events != NULL && v->result == CHECK_PASS && i < n; i = end) {
        struct run r = { events + i, 0, events[i]->key };

        for (end = i; end < n && check_same_key(events[i], events[end]); end++)
            r.n++;
        if (history_subject(events[i]->op) != HISTORY_OF_RUN || events[i]->key[0] == '*')
            continue;
        phantom(&l, &r);
        finished_once(&l, &r);
        held_once(&l, &r);
        records(&l, &r);
        v->looked_at += r.n;
    }
    free(spans);
    free(events);
}
