/* stray.c - a page of list_expired; see stray.h */
#include "stray.h"

#include <stdlib.h>

struct kit_stray {
    const struct kit_run *run;
    int64_t since;
    uint32_t reason;
};

/* Of the cursor: the offset, then the key. */
struct mark {
    int64_t offset;
    int64_t since;
    uint64_t incarnation;
};

bool kit_strays_cursor_fits(struct kedge_bytes cursor)
{
    return cursor.len == 0 || cursor.len == sizeof(struct mark);
}

static int by_age(const void *a, const void *b)
{
    const struct kit_stray *x = a;
    const struct kit_stray *y = b;

    if (x->since != y->since)
        return x->since < y->since ? -1 : 1;
    if (x->run->r.incarnation != y->run->r.incarnation)
        return x->run->r.incarnation < y->run->r.incarnation ? -1 : 1;
    return 0;
}

void kit_strays_init(struct kit_strays *s, const struct kit_step *step,
                     const struct kedge_host *host, struct kedge_bytes cursor)
{
    struct mark mark;

    memset(s, 0, sizeof *s);
    s->step = step;
    s->host = host;
    s->cursor = cursor;
    s->offset = step->now_wall - step->now_lease;
    if (cursor.len != 0) {
        memcpy(&mark, cursor.data, sizeof mark);
        s->offset = mark.offset;
    }
}

void kit_strays_free(struct kit_strays *s)
{
    s->host->release(s->host->ctx, s->v);
}

bool kit_strays_add(struct kit_strays *s, const struct kit_run *run, const struct kit_lease *lease)
{
    uint32_t reason = kit_run_sweep(run, lease, s->step->now_wall, s->step->now_lease);

    if (reason == 0)
        return true;
    if (s->n == s->cap) {
        size_t cap = s->cap == 0 ? 64 : s->cap * 2;
        struct kit_stray *v = s->host->alloc(s->host->ctx, cap * sizeof *v);

        if (v == NULL)
            return false;
        if (s->n != 0)
            memcpy(v, s->v, s->n * sizeof *v);
        s->host->release(s->host->ctx, s->v);
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n++] = (struct kit_stray){
        .run = run,
        .since = kit_run_sweep_since(run, lease, reason, s->offset),
        .reason = reason,
    };
    return true;
}

/* The first that the cursor has not passed. */
static size_t start(const struct kit_strays *s)
{
    struct mark mark;
    size_t from = 0;

    if (s->cursor.len == 0)
        return 0;
    memcpy(&mark, s->cursor.data, sizeof mark);
    while (from < s->n &&
           (s->v[from].since < mark.since ||
            (s->v[from].since == mark.since && s->v[from].run->r.incarnation <= mark.incarnation)))
        from++;
    return from;
}

int kit_strays_page(struct kit_strays *s, size_t limit, struct kedge_run_page *page)
{
    struct mark *next;
    size_t from;

    if (s->n != 0)
        qsort(s->v, s->n, sizeof *s->v, by_age);
    from = start(s);
    page->n = s->n - from < limit ? s->n - from : limit;
    page->runs = kedge_mem_alloc(s->host, &page->mem, page->n * sizeof *page->runs);
    page->reasons = kedge_mem_alloc(s->host, &page->mem, page->n * sizeof *page->reasons);
    next = kedge_mem_alloc(s->host, &page->mem, sizeof *next);
    if (page->runs == NULL || page->reasons == NULL || next == NULL)
        return KEDGE_ERR_NOMEM;
    for (size_t i = 0; i < page->n; i++) {
        const struct kit_stray *stray = &s->v[from + i];

        page->reasons[i] = stray->reason;
        if (!kit_copy_run(s->host, &page->mem, &stray->run->r, &page->runs[i]))
            return KEDGE_ERR_NOMEM;
        *next = (struct mark){ s->offset, stray->since, stray->run->r.incarnation };
    }
    if (from + page->n < s->n)
        page->next = (struct kedge_bytes){ next, sizeof *next };
    return KEDGE_OK;
}
