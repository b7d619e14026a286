/* dump.c - all that the contract lets one see of a namespace, as text to be compared */
#include "world.h"

#include <inttypes.h>
#include <stdlib.h>

#define NAMES_MAX 48
#define SETS_MAX  4

struct names {
    struct kedge_bytes name[NAMES_MAX];
    unsigned char kept[NAMES_MAX][24];
    size_t n;
};

struct registry {
    struct names cells;
    struct names locks;
};

struct registry *registry_new(void)
{
    return calloc(1, sizeof(struct registry));
}

/* Names that cannot be held here are looked at by the case itself, if it cares. */
static void remember(struct names *names, struct kedge_bytes b)
{
    if (names->n == NAMES_MAX || b.len == 0 || b.len > sizeof names->kept[0])
        return;
    for (size_t i = 0; i < names->n; i++)
        if (same_bytes(names->name[i], b))
            return;
    memcpy(names->kept[names->n], b.data, b.len);
    names->name[names->n] = bytes(names->kept[names->n], b.len);
    names->n++;
}

void dump_cell(struct world *w, struct kedge_bytes cell)
{
    if (w->registry != NULL)
        remember(&w->registry->cells, cell);
}

void dump_lock(struct world *w, struct kedge_bytes lock)
{
    if (w->registry != NULL)
        remember(&w->registry->locks, lock);
}

/* ---------------------------------------------------------------------- text */

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

    if (t->cap - t->len < 512) {
        size_t cap = t->cap * 2 + 4096;
        char *s = realloc(t->s, cap);

        if (s == NULL)
            fail_case(__FILE__, __LINE__, "the test is out of memory");
        t->s = s;
        t->cap = cap;
    }
    va_start(ap, fmt);
    n = vsnprintf(t->s + t->len, t->cap - t->len, fmt, ap);
    va_end(ap);
    expect(n >= 0 && (size_t)n < t->cap - t->len);
    t->len += (size_t)n;
}

static uint64_t fnv(struct kedge_bytes b)
{
    const unsigned char *p = b.data;
    uint64_t h = UINT64_C(1469598103934665603);

    for (size_t i = 0; i < b.len; i++)
        h = (h ^ p[i]) * UINT64_C(1099511628211);
    return h;
}

static void put_bytes(struct text *t, const char *label, struct kedge_bytes b)
{
    const unsigned char *p = b.data;

    put(t, " %s=", label);
    if (b.len > 40) {
        put(t, "%zu#%016" PRIx64, b.len, fnv(b));
        return;
    }
    for (size_t i = 0; i < b.len; i++)
        put(t, p[i] > ' ' && p[i] < 127 && p[i] != '\\' ? "%c" : "\\%02x", p[i]);
}

static void put_id(struct text *t, const char *label, const struct kedge_id128 *id)
{
    if (is_zero_id(id))
        put(t, " %s=-", label);
    else
        put(t, " %s=%02x%02x%02x%02x", label, id->b[0], id->b[1], id->b[2], id->b[3]);
}

/* ------------------------------------------------------------------ the parts */

static void put_slots(struct world *w, struct text *t, const struct kedge_run *r)
{
    struct kedge_slot_page page;

    for (uint32_t set = 0; set < SETS_MAX; set++) {
        int rc = do_slots(w, r->id, r->incarnation, set, 0, 100, &page);

        if (rc == KEDGE_NOT_FOUND)
            continue;
        expect_rc(rc, KEDGE_OK);
        put(t, "  slots %" PRIu32 " of %" PRIu32 " empty %" PRIu32, set, page.total,
            page.remaining);
        for (size_t i = 0; i < page.n; i++) {
            put(t, " %" PRIu32, page.slots[i].index);
            put_bytes(t, "", page.slots[i].value);
        }
        put(t, "\n");
    }
}

static void put_journal(struct world *w, struct text *t, const struct kedge_run *r)
{
    struct kedge_run_state st;
    struct kedge_record_page page;
    uint64_t number = 1;

    expect_ok(do_retrieve(w, r->id, r->incarnation, KEDGE_WANT_SNAPSHOT, &st));
    if (st.run.snapshot_position != 0) {
        put(t, "  snapshot %" PRIu64, st.run.snapshot_position);
        put_bytes(t, "", st.snapshot);
        put(t, "\n");
    }
    while (number != 0) {
        expect_ok(do_records(w, r->id, r->incarnation, number, 100, 1 << 20, &page));
        for (size_t i = 0; i < page.n; i++) {
            put(t, "  record %" PRIu64 " at %" PRId64, page.records[i].number,
                page.records[i].time);
            put_id(t, "by", &page.records[i].request);
            put_bytes(t, "data", page.records[i].data);
            put(t, "\n");
        }
        number = page.next;
    }
}

static void put_run(struct world *w, struct text *t, const struct kedge_run *r)
{
    put(t, "run");
    put_bytes(t, "id", r->id);
    put(t,
        " inc %" PRIu64 " rev %" PRIu64 " fence %" PRIu64 " pos %" PRIu64 " place %" PRIu32
        " status %" PRIu32 " wakes %" PRIu32 " requests %" PRIu32 " recoveries %" PRIu32
        " mark %" PRIu32,
        r->incarnation, r->revision, r->fence, r->position, r->place, r->status, r->wakes_on,
        r->requests, r->recoveries, r->wake_mark);
    put(t,
        " due %" PRId64 " created %" PRId64 " finished %" PRId64 " expires %" PRId64
        " hold_until %" PRId64 " version %" PRIu32,
        r->due, r->created, r->finished, r->expires, r->hold_until, r->version);
    put_id(t, "holder", &r->holder);
    put_bytes(t, "reactor", r->reactor);
    put_bytes(t, "queue", r->queue);
    put_bytes(t, "context", r->context);
    put_bytes(t, "parent", r->parent);
    put_bytes(t, "root", r->root);
    put(t, " %" PRIu64 ".%" PRIu32 ".%" PRIu32 "\n", r->parent_incarnation, r->parent_set,
        r->parent_slot);
    put_journal(w, t, r);
    put_slots(w, t, r);
}

static void put_runs(struct world *w, struct text *t)
{
    struct kedge_list all = { .limit = 50 };
    struct kedge_run_page page;

    do {
        expect_ok(do_list(w, &all, &page));
        for (size_t i = 0; i < page.n; i++)
            put_run(w, t, &page.runs[i]);
        all.cursor = page.next;
    } while (page.next.len != 0);
}

static void put_held(struct world *w, struct text *t, struct kedge_id128 lease)
{
    struct kedge_bytes cursor = none();
    struct kedge_held_page page;

    do {
        expect_ok(do_held(w, lease, cursor, 50, &page));
        for (size_t i = 0; i < page.n; i++) {
            put(t, "  holds %s", page.held[i].is_lock != 0 ? "lock" : "run");
            put_bytes(t, "name", page.held[i].name);
            put(t, " fence %" PRIu64 " requests %" PRIu32 "\n", page.held[i].fence,
                page.held[i].requests);
        }
        cursor = page.next;
    } while (cursor.len != 0);
}

static void put_leases(struct world *w, struct text *t)
{
    struct kedge_bytes cursor = none();
    struct kedge_lease_page page;

    do {
        expect_ok(do_leases(w, cursor, 50, &page));
        for (size_t i = 0; i < page.n; i++) {
            const struct kedge_lease *l = &page.leases[i];

            put(t, "lease");
            put_id(t, "id", &l->id);
            put_bytes(t, "owner", l->owner);
            put(t,
                " state %" PRIu32 " ttl %" PRId64 " deadline %" PRId64 " granted %" PRId64
                " attention %" PRIu64 " serves %zu\n",
                l->state, l->ttl_us, l->deadline, l->granted, l->attention, l->n_serves);
            put_held(w, t, l->id);
        }
        cursor = page.next;
    } while (cursor.len != 0);
}

static void put_cells(struct world *w, struct text *t)
{
    for (size_t i = 0; i < w->registry->cells.n; i++) {
        struct kedge_bytes id = w->registry->cells.name[i];
        struct kedge_cell cell;
        int rc = do_cell(w, id, &cell);

        if (rc == KEDGE_NOT_FOUND)
            continue;
        expect_rc(rc, KEDGE_OK);
        put(t, "cell");
        put_bytes(t, "name", id);
        put(t, " version %" PRIu64 " expires %" PRId64, cell.version, cell.expires);
        put_bytes(t, "value", cell.value);
        put(t, "\n");
    }
}

static void put_locks(struct world *w, struct text *t)
{
    for (size_t i = 0; i < w->registry->locks.n; i++) {
        struct kedge_bytes id = w->registry->locks.name[i];
        struct kedge_lock_state st;
        int rc = do_lock_query(w, id, &st);

        if (rc == KEDGE_NOT_FOUND)
            continue;
        expect_rc(rc, KEDGE_OK);
        put(t, "lock");
        put_bytes(t, "name", id);
        put(t, " fence %" PRIu64, st.fence);
        if (clock_stands(w))
            put(t, " remaining %" PRId64, st.remaining_us);
        put_id(t, "holder", &st.holder);
        put(t, "\n");
    }
}

static void put_expired(struct world *w, struct text *t)
{
    struct kedge_bytes cursor = none();
    struct kedge_run_page page;

    do {
        expect_ok(do_expired(w, cursor, 50, &page));
        for (size_t i = 0; i < page.n; i++) {
            put(t, "to sweep");
            put_bytes(t, "id", page.runs[i].id);
            put(t, " reason %" PRIu32 "\n", page.reasons[i]);
        }
        cursor = page.next;
    } while (cursor.len != 0);
}

char *dump(struct world *w)
{
    struct text t = { 0 };
    struct kedge_mem *kept = w->keep;
    struct kedge_error err = w->err;

    w->keep = NULL;
    put(&t, "\n");
    put_runs(w, &t);
    put_leases(w, &t);
    put_cells(w, &t);
    put_locks(w, &t);
    put_expired(w, &t);
    kedge_mem_free(w->host, w->keep);
    w->keep = kept;
    w->err = err;
    return t.s;
}

bool differs(struct world *w, const char *before)
{
    char *after = dump(w);
    bool yes = strcmp(before, after) != 0;

    free(after);
    return yes;
}

void check_unchanged(const char *file, int line, const char *what, struct world *w, char *before)
{
    char *after = dump(w);
    const char *b = before, *a = after;

    if (strcmp(before, after) != 0) {
        while (*b != '\0' && *b == *a) {
            b++;
            a++;
        }
        while (b > before && b[-1] != '\n') {
            b--;
            a--;
        }
        fail_case(file, line, "%s changed something; before: %.*s; after: %.*s", what,
                  (int)strcspn(b, "\n"), b, (int)strcspn(a, "\n"), a);
    }
    free(before);
    free(after);
}
