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

/* What is not the same for every store that keeps the contract: where its clocks began, and by how
   much its fences rise.  A fence is told by its rank among all that are told. */
struct ground_zero {
    int64_t wall;
    int64_t lease;
    uint64_t *fences;
    size_t n_fences;
    size_t room;
    bool ranked; /* FENCES are all, sorted */
};

struct text {
    char *s;
    size_t len;
    size_t cap;
    struct ground_zero *zero; /* NULL: everything is told as it is */
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

/* Absent times and fences are 0 in every store. */
static void put_time(struct text *t, const char *label, int64_t us, bool lease)
{
    if (t->zero != NULL && us != 0)
        us -= lease ? t->zero->lease : t->zero->wall;
    put(t, " %s %" PRId64, label, us);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static uint64_t rank(struct ground_zero *zero, uint64_t fence)
{
    const uint64_t *at;

    if (zero->ranked) {
        at = bsearch(&fence, zero->fences, zero->n_fences, sizeof fence, by_number);
        expect(at != NULL);
        return (uint64_t)(at - zero->fences) + 1;
    }
    if (zero->n_fences == zero->room) {
        zero->room = 2 * zero->room + 64;
        zero->fences = realloc(zero->fences, zero->room * sizeof *zero->fences);
        expect(zero->fences != NULL);
    }
    zero->fences[zero->n_fences++] = fence;
    return 0;
}

static void put_fence(struct text *t, const char *label, uint64_t fence)
{
    put(t, " %s %" PRIu64, label, t->zero != NULL && fence != 0 ? rank(t->zero, fence) : fence);
}

/* It rises, and by how much is free. */
static void put_rising(struct text *t, const char *label, uint64_t number)
{
    if (t->zero == NULL)
        put(t, " %s %" PRIu64, label, number);
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
            put(t, "  record %" PRIu64, page.records[i].number);
            put_time(t, "at", page.records[i].time, false);
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
    put_fence(t, "inc", r->incarnation);
    put_rising(t, "rev", r->revision);
    put_fence(t, "fence", r->fence);
    put(t,
        " pos %" PRIu64 " place %" PRIu32 " status %" PRIu32 " wakes %" PRIu32 " requests %" PRIu32
        " recoveries %" PRIu32 " mark %" PRIu32 " version %" PRIu32,
        r->position, r->place, r->status, r->wakes_on, r->requests, r->recoveries, r->wake_mark,
        r->version);
    put_time(t, "due", r->due, false);
    put_time(t, "created", r->created, false);
    put_time(t, "finished", r->finished, false);
    put_time(t, "expires", r->expires, false);
    put_time(t, "hold_until", r->hold_until, false);
    put_id(t, "holder", &r->holder);
    put_bytes(t, "reactor", r->reactor);
    put_bytes(t, "queue", r->queue);
    put_bytes(t, "context", r->context);
    put_bytes(t, "parent", r->parent);
    put_bytes(t, "root", r->root);
    put_fence(t, "of", r->parent_incarnation);
    put(t, " %" PRIu32 ".%" PRIu32 "\n", r->parent_set, r->parent_slot);
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

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines from FROM on, whose order is the store's own. */
static void sort_lines(struct text *t, size_t from)
{
    enum { MOST = 64 };
    char *copy = strdup(t->s + from), *line[MOST], *rest = copy;
    size_t n = 0;

    expect(copy != NULL);
    while (n < MOST && (line[n] = strsep(&rest, "\n")) != NULL && line[n][0] != '\0')
        n++;
    expect(n < MOST);
    qsort(line, n, sizeof line[0], by_text);
    t->len = from;
    for (size_t i = 0; i < n; i++)
        put(t, "%s\n", line[i]);
    free(copy);
}

static void put_held(struct world *w, struct text *t, struct kedge_id128 lease)
{
    size_t from = t->len;
    struct kedge_bytes cursor = none();
    struct kedge_held_page page;

    do {
        expect_ok(do_held(w, lease, cursor, 50, &page));
        for (size_t i = 0; i < page.n; i++) {
            put(t, "  holds %s", page.held[i].is_lock != 0 ? "lock" : "run");
            put_bytes(t, "name", page.held[i].name);
            put_fence(t, "fence", page.held[i].fence);
            put(t, " requests %" PRIu32 "\n", page.held[i].requests);
        }
        cursor = page.next;
    } while (cursor.len != 0);
    if (t->zero != NULL)
        sort_lines(t, from);
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
            put(t, " state %" PRIu32 " ttl %" PRId64, l->state, l->ttl_us);
            put_time(t, "deadline", l->deadline, true);
            put_time(t, "granted", l->granted, false);
            put_rising(t, "attention", l->attention);
            put(t, " serves %zu\n", l->n_serves);
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
        put_fence(t, "version", cell.version);
        put_time(t, "expires", cell.expires, false);
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
        put_fence(t, "fence", st.fence);
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

static char *told(struct world *w, struct ground_zero *zero)
{
    struct text t = { .zero = zero };
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

char *dump(struct world *w)
{
    return told(w, NULL);
}

char *dump_since(struct world *w, int64_t wall, int64_t lease)
{
    struct ground_zero zero = { .wall = wall, .lease = lease };
    size_t n = 0;
    char *all;

    free(told(w, &zero)); /* to know the fences */
    if (zero.n_fences > 0)
        qsort(zero.fences, zero.n_fences, sizeof *zero.fences, by_number);
    for (size_t i = 0; i < zero.n_fences; i++)
        if (n == 0 || zero.fences[i] != zero.fences[n - 1])
            zero.fences[n++] = zero.fences[i];
    zero.n_fences = n;
    zero.ranked = true;
    all = told(w, &zero);
    free(zero.fences);
    return all;
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
