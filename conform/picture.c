/* picture.c - what can be seen of a stage's things, as text; see stage.h */
#include <inttypes.h>
#include <stdlib.h>

#include "stage.h"

struct text {
    char *s;
    size_t len;
    size_t cap;
};

static void put(struct text *t, const char *fmt, ...) WORLD_PRINTF(2, 3);
static void put(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (t->cap - t->len < 1024) {
        t->cap = t->cap * 2 + 4096;
        t->s = realloc(t->s, t->cap);
        if (t->s == NULL)
            abort();
    }
    va_start(ap, fmt);
    n = vsnprintf(t->s + t->len, t->cap - t->len, fmt, ap);
    va_end(ap);
    expect(n >= 0 && (size_t)n < t->cap - t->len);
    t->len += (size_t)n;
}

static void put_bytes(struct text *t, struct kedge_bytes b)
{
    const unsigned char *p = b.data;
    uint64_t h = UINT64_C(1469598103934665603);

    for (size_t i = 0; i < b.len; i++)
        h = (h ^ p[i]) * UINT64_C(1099511628211);
    put(t, " %zu#%" PRIx64, b.len, h);
}

static void put_id(struct text *t, const struct kedge_id128 *id)
{
    put(t, " ");
    for (size_t i = 0; i < sizeof id->b; i++)
        put(t, "%02x", id->b[i]);
}

static void put_slots(struct world *d, struct text *t, const struct kedge_run *r)
{
    struct kedge_slot_page page;
    int rc = do_slots(d, r->id, r->incarnation, 0, 0, 100, &page);
    struct world *w = d;

    if (rc == KEDGE_NOT_FOUND)
        return;
    expect_rc(rc, KEDGE_OK);
    put(t, "; %" PRIu32 " of %" PRIu32 " slots empty", page.remaining, page.total);
    for (size_t i = 0; i < page.n; i++) {
        put(t, ", %" PRIu32, page.slots[i].index);
        put_bytes(t, page.slots[i].value);
    }
}

static void put_run(struct stage *s, struct text *t, struct kedge_bytes id)
{
    struct world *w = s->d;
    struct kedge_run_state st;
    const struct kedge_run *r = &st.run;
    int rc = do_retrieve(w, id, 0, KEDGE_WANT_SNAPSHOT, &st);
    struct kedge_record_page page = { .next = 1 };

    put(t, "run %.*s", (int)id.len, (const char *)id.data);
    if (rc == KEDGE_NOT_FOUND)
        return;
    expect_rc(rc, KEDGE_OK);
    if (unsound(r) != NULL)
        fail_case(__FILE__, __LINE__, "run %.*s: %s", (int)id.len, (const char *)id.data,
                  unsound(r));
    put(t,
        " inc %" PRIu64 " rev %" PRIu64 " fence %" PRIu64 " pos %" PRIu64 " place %" PRIu32
        " status %" PRIu32 " requests %" PRIu32 " recoveries %" PRIu32 " mark %" PRIu32,
        r->incarnation, s->any_revision ? 0 : r->revision, r->fence, r->position, r->place,
        r->status, r->requests, r->recoveries, r->wake_mark);
    put(t, " due %" PRId64 " created %" PRId64 " finished %" PRId64 " expires %" PRId64, r->due,
        r->created, r->finished, r->expires);
    put_id(t, &r->holder);
    put_bytes(t, r->queue);
    put(t, " snapshot %" PRIu64, r->snapshot_position);
    put_bytes(t, st.snapshot);
    while (page.next != 0) {
        expect_ok(do_records(w, id, r->incarnation, page.next, 100, 16 << 20, &page));
        for (size_t i = 0; i < page.n; i++) {
            put(t, "; record %" PRIu64 " at %" PRId64, page.records[i].number,
                page.records[i].time);
            put_id(t, &page.records[i].request);
            put_bytes(t, page.records[i].data);
        }
    }
    put_slots(w, t, r);
}

static void put_cell(struct stage *s, struct text *t, struct kedge_bytes id)
{
    struct world *w = s->d;
    struct kedge_cell cell;
    int rc = do_cell(w, id, &cell);

    put(t, "cell %.*s", (int)id.len, (const char *)id.data);
    if (rc == KEDGE_NOT_FOUND)
        return;
    expect_rc(rc, KEDGE_OK);
    put(t, " version %" PRIu64 " expires %" PRId64, cell.version, cell.expires);
    put_bytes(t, cell.value);
}

static void put_lock(struct stage *s, struct text *t, struct kedge_bytes id)
{
    struct world *w = s->d;
    struct kedge_lock_state st;
    int rc = do_lock_query(w, id, &st);

    put(t, "lock %.*s", (int)id.len, (const char *)id.data);
    if (rc == KEDGE_NOT_FOUND)
        return;
    expect_rc(rc, KEDGE_OK);
    put(t, " fence %" PRIu64, st.fence);
    put_id(t, &st.holder);
}

/* The journal's text as well as the head's: a part each. */
void picture_take(struct stage *s, struct picture *p)
{
    struct text t;

    *p = (struct picture){ .n = 0 };
    for (size_t i = 0; i < s->n_runs; i++) {
        t = (struct text){ 0 };
        put_run(s, &t, s->run[i].id);
        p->part[p->n++] = t.s;
    }
    for (size_t i = 0; i < s->n_cells; i++) {
        t = (struct text){ 0 };
        put_cell(s, &t, s->cell[i]);
        p->part[p->n++] = t.s;
    }
    for (size_t i = 0; i < s->n_locks; i++) {
        t = (struct text){ 0 };
        put_lock(s, &t, s->lock[i]);
        p->part[p->n++] = t.s;
    }
    for (size_t i = 0; i < s->n_made; i++) {
        t = (struct text){ 0 };
        put(&t, "lease %zu state %" PRIu32, i, lease_state_of(s->d, s->made[i]));
        p->part[p->n++] = t.s;
    }
}

void picture_free(struct picture *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->part[i]);
    p->n = 0;
}

void picture_settled(struct stage *s, struct picture *p)
{
    struct picture again;

    picture_take(s, p);
    picture_take(s, &again);
    while (!picture_same(p, &again)) {
        picture_free(p);
        picture_free(&again);
        picture_take(s, p);
        picture_take(s, &again);
    }
    picture_free(&again);
}

bool picture_same(const struct picture *a, const struct picture *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->part[i], b->part[i]) != 0)
            return false;
    return true;
}

bool picture_between(const struct picture *p, const struct picture *a, const struct picture *b)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->part[i], a->part[i]) != 0 && strcmp(p->part[i], b->part[i]) != 0)
            return false;
    return true;
}

void picture_differ(const struct picture *a, const struct picture *b)
{
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->part[i], b->part[i]) != 0)
            note("was %s\nis  %s", a->part[i], b->part[i]);
}
