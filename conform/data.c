/* data.c - cases: bytes come back as they went in, and nothing in them means anything */
#include "cases.h"

/* Ids that could be mistaken for each other, or for something else. */
static size_t odd_ids(struct world *w, struct kedge_bytes *ids)
{
    static const struct kedge_bytes odd[] = {
        { "a", 1 },
        { "A", 1 },
        { "a\0", 2 },
        { "a\0b", 3 },
        { "\0", 1 },
        { "\0\0", 2 },
        { " ", 1 },
        { "a ", 2 },
        { "a:b", 3 },
        { "a:b:c", 5 },
        { "*", 1 },
        { "?", 1 },
        { "[a]", 3 },
        { "{a}", 3 },
        { "{}", 2 },
        { "a*", 2 },
        { "%s%n", 4 },
        { "a\r\nb", 4 },
        { "'; --", 5 },
        { "a/b", 3 },
        { "../a", 4 },
        { "\xff\xfe", 2 },
        { "\xc3\xa9", 2 },
        { "e\xcc\x81", 3 },
        { "\xed\xa0\x80", 3 },
        { "lock:a", 6 },
        { "run:a", 5 },
        { "a\xff", 2 },
        { "\x80", 1 },
        { "a\x01", 2 },
    };
    static const size_t sizes[] = { 255, 256, 499, 500, 510, 511, 512, 513, 1023, 1024 };
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        ids[n++] = odd[i];
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        ids[n++] = bytes(blob(w, 1024, 1).data, sizes[i]); /* each begins with the others */
    for (int last = 0; last < 3; last++)
        for (size_t len = 512; len <= 1024; len += 256) {
            unsigned char *p = zeroed(w, len, 1);

            /* equal in the first 511 bytes */
            memset(p, 'k', len);
            p[len - 1] = (unsigned char)last;
            ids[n++] = bytes(p, len);
        }
    return n;
}

enum { IDS_MAX = 64 };

static void ids(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct kedge_bytes id[IDS_MAX];
    struct run r[IDS_MAX];
    size_t n = odd_ids(w, id);
    struct kedge_list all = { .limit = 7 };
    struct kedge_run_page page;
    bool seen[IDS_MAX] = { false };
    size_t count = 0;

    expect(n < IDS_MAX);
    for (size_t i = 0; i < n; i++) {
        context("id %zu", i);
        expect_eq(is_there(w, id[i]), 0);
        r[i] = run_held(w, id[i], lease);
        step(w, &r[i], (const char *)name(w, "record of %zu", i).data);
    }
    for (size_t i = 0; i < n; i++) {
        struct kedge_run_state st;

        context("id %zu", i);
        expect_ok(do_retrieve(w, id[i], 0, KEDGE_WANT_TAIL, &st));
        expect_bytes(st.run.id, id[i]);
        expect_bytes(st.run.root, id[i]);
        expect_eq(st.run.fence, r[i].fence);
        expect_eq(st.n_tail, 1);
        expect_bytes(st.tail[0].data, name(w, "record of %zu", i));
    }
    context(NULL);
    do {
        expect_ok(do_list(w, &all, &page));
        for (size_t k = 0; k < page.n; k++, count++)
            for (size_t i = 0; i < n; i++)
                if (same_bytes(id[i], page.runs[k].id)) {
                    expect(!seen[i]);
                    seen[i] = true;
                }
        all.cursor = page.next;
    } while (page.next.len != 0);
    expect_eq(count, n);
    /* one finished and purged, the others stay */
    for (size_t i = 0; i < n; i += 5)
        release_rest(w, &r[i], KEDGE_COMPLETED, from_now(0));
    clock_advance(1);
    (void)purge_all(w);
    for (size_t i = 0; i < n; i++)
        expect_eq(is_there(w, id[i]), i % 5 != 0);
}

static void cell_and_lock_names(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct kedge_bytes id[IDS_MAX];
    uint64_t version[IDS_MAX], fence[IDS_MAX];
    size_t n = odd_ids(w, id);

    for (size_t i = 0; i < n; i++) {
        context("name %zu", i);
        expect_eq(cell_version(w, id[i]), 0);
        version[i] = cell_put(w, id[i], (const char *)name(w, "value %zu", i).data);
        fence[i] = lock_take(w, id[i], lease);
    }
    for (size_t i = 0; i < n; i++) {
        struct kedge_cell cell;
        struct kedge_lock_state ks;

        context("name %zu", i);
        expect_ok(do_cell(w, id[i], &cell));
        expect_eq(cell.version, version[i]);
        expect_bytes(cell.value, name(w, "value %zu", i));
        expect_ok(do_lock_query(w, id[i], &ks));
        expect_eq(ks.fence, fence[i]);
    }
    for (size_t i = 0; i < n; i += 3) {
        struct tx *t = tx_new(w);

        c_cell_delete(t, id[i]);
        c_lock_release(t, id[i], lease, fence[i]);
        expect_tx(t, KEDGE_OK);
    }
    for (size_t i = 0; i < n; i++) {
        struct kedge_lock_state ks;

        context("name %zu", i);
        expect_eq(cell_version(w, id[i]), i % 3 == 0 ? 0 : version[i]);
        expect_rc(do_lock_query(w, id[i], &ks), i % 3 == 0 ? KEDGE_NOT_FOUND : KEDGE_OK);
    }
}

/* The same bytes as reactor, queue, parent and context. */
static void other_names(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct kedge_bytes id[IDS_MAX];
    size_t n = odd_ids(w, id);

    for (size_t i = 0; i < n; i++) {
        struct tx *t = tx_new(w);
        struct kedge_run_new *new = c_create_due(t, name(w, "run %zu", i), from_now(0));

        context("name %zu", i);
        new->reactor = id[i];
        new->queue = id[n - 1 - i];
        new->context = id[i];
        new->parent = id[(i + 1) % n];
        new->parent_incarnation = i + 1;
        new->root = id[(i + 2) % n];
        expect_tx(t, KEDGE_OK);
    }
    clock_advance(1);
    for (size_t i = 0; i < n; i++) {
        const struct kedge_serve serve = { id[n - 1 - i], id[i], 0, 9 };
        struct kedge_claim in = claim_of(w, lease, 5);
        struct kedge_list list = { .limit = 5, .reactor = id[i] };
        struct kedge_run_page page;
        struct kedge_run h;

        context("name %zu", i);
        expect_ok(do_list(w, &list, &page));
        expect_eq(page.n, 1);
        expect_bytes(page.runs[0].id, name(w, "run %zu", i));
        list = (struct kedge_list){ .limit = 5, .parent = id[(i + 1) % n] };
        list.parent_incarnation = i + 1;
        expect_ok(do_list(w, &list, &page));
        expect_eq(page.n, 1);
        in.serves = &serve;
        expect_ok(do_claim(w, &in, &page));
        expect_eq(page.n, 1);
        h = page.runs[0];
        expect_bytes(h.id, name(w, "run %zu", i));
        expect_bytes(h.reactor, id[i]);
        expect_bytes(h.queue, id[n - 1 - i]);
        expect_bytes(h.context, id[i]);
        expect_bytes(h.parent, id[(i + 1) % n]);
        expect_bytes(h.root, id[(i + 2) % n]);
        expect_eq(h.parent_incarnation, i + 1);
    }
}

static void values(struct world *w)
{
    static const size_t sizes[] = { 0,    1,     15,    16,    255,     256,     4095,    4096,
                                    4097, 65535, 65536, 65537, 1 << 20, 3000001, 16 << 20 };
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_record_page page;
    struct kedge_run_state st;
    struct kedge_slot_page slots;
    struct tx *t = tx_new(w);

    g_held(t, &r);
    c_slots(t, r.id, 0, ARRAY_LEN(sizes));
    expect_tx(t, KEDGE_OK);
    for (uint32_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct kedge_bytes v = blob(w, sizes[i], i);

        context("%zu bytes", sizes[i]);
        t = tx_new(w);
        g_held(t, &r);
        c_append(t, r.id, i + 1, v);
        expect_tx(t, KEDGE_OK);
        t = tx_new(w);
        g_held(t, &r);
        c_snapshot(t, r.id, i, v);
        expect_tx(t, KEDGE_OK);
        expect_ok(do_retrieve(w, r.id, 0, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL, &st));
        if (i > 0)
            expect_bytes(st.snapshot, v);
        expect_eq(st.n_tail, 1);
        expect_bytes(st.tail[0].data, v);
        t = tx_new(w);
        c_slot_put(t, &r, 0, i, v);
        expect_tx(t, KEDGE_OK);
        expect_ok(do_slots(w, r.id, 0, 0, i, 1, &slots));
        expect_eq(slots.n, 1);
        expect_bytes(slots.slots[0].value, v);
        if (sizes[i] <= w->limits.cell_max) {
            struct kedge_cell cell;

            t = tx_new(w);
            c_cell_put(t, str("cell"), v, never());
            expect_tx(t, KEDGE_OK);
            expect_ok(do_cell(w, str("cell"), &cell));
            expect_bytes(cell.value, v);
        }
    }
    for (uint32_t i = 0; i < ARRAY_LEN(sizes); i++) {
        expect_ok(do_records(w, r.id, 0, i + 1, 1, SIZE_MAX, &page));
        expect_eq(page.n, 1);
        expect_bytes(page.records[0].data, blob(w, sizes[i], i));
    }
}

static void every_byte(struct world *w)
{
    unsigned char all[256 * 2];
    struct run r = run_held(w, str("a"), lease_make(w, TTL));
    struct kedge_run_state st;
    struct kedge_cell cell;
    struct tx *t = tx_new(w);

    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)(i < 256 ? i : 511 - i);
    g_held(t, &r);
    c_append(t, r.id, 1, bytes(all, sizeof all));
    c_append(t, r.id, 2, bytes("{\"a\":\"\\u0000\",\"a\":1}", 20));
    c_cell_put(t, str("cell"), bytes(all, sizeof all), never());
    expect_tx(t, KEDGE_OK);
    expect_ok(do_retrieve(w, r.id, 0, KEDGE_WANT_TAIL, &st));
    expect_bytes(st.tail[0].data, bytes(all, sizeof all));
    expect_bytes(st.tail[1].data, bytes("{\"a\":\"\\u0000\",\"a\":1}", 20));
    expect_ok(do_cell(w, str("cell"), &cell));
    expect_bytes(cell.value, bytes(all, sizeof all));
}

/* Two names whose 32-bit FNV-1a is the same: a hash alone decides nothing. */
static void colliding(struct world *w)
{
    static const char *const pairs[][2] = { { "costarring", "liquid" },
                                            { "declinate", "macallums" },
                                            { "altarage", "zinke" } };
    struct kedge_id128 lease = lease_make(w, TTL), other = lease_make(w, TTL);

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        uint64_t a = lock_take(w, str(pairs[i][0]), lease);
        uint64_t b = lock_take(w, str(pairs[i][1]), other);

        expect(a != b);
        run_held(w, str(pairs[i][0]), lease);
        expect_eq(is_there(w, str(pairs[i][1])), 0);
        run_held(w, str(pairs[i][1]), other);
        expect_ok(do_lock_release(w, str(pairs[i][0]), lease, a));
    }
}

/* Times far from now, before and after what 32 bits hold. */
static void times(struct world *w)
{
    static const int64_t years[] = { 1, 2147483647, 2147483648, 4102444800, 7258118400 };

    for (size_t i = 0; i < ARRAY_LEN(years); i++) {
        struct kedge_id128 lease;
        struct run r;

        clock_set_wall(years[i] * SEC(1) + 123456);
        lease = lease_make(w, TTL);
        r = run_held(w, name(w, "run %zu", i), lease);
        expect_eq(head(w, r.id).created, wall_now());
        step(w, &r, "x");
        release_rest(w, &r, KEDGE_COMPLETED, from_now(SEC(9)));
        expect_eq(head(w, r.id).expires, wall_now() + SEC(9));
        clock_advance(SEC(9));
        expect_eq(is_there(w, r.id), 0);
    }
}

static void many_records(struct world *w)
{
    enum { N = 3000, PER = 500 };
    struct run r = run_held(w, str("a"), lease_make(w, TTL));
    struct kedge_bytes data[PER];
    struct kedge_run_state st;

    for (int i = 0; i < N; i += PER) {
        struct tx *t = tx_new(w);

        for (int k = 0; k < PER; k++)
            data[k] = name(w, "record %d", i + k + 1);
        g_held(t, &r);
        c_append_n(t, r.id, (uint64_t)i + 1, data, PER);
        expect_tx(t, KEDGE_OK);
    }
    expect_ok(do_retrieve(w, r.id, 0, KEDGE_WANT_TAIL, &st));
    expect_eq(st.n_tail, N);
    for (int i = 0; i < N; i += 499)
        expect_bytes(st.tail[i].data, name(w, "record %d", i + 1));
}

/* Values that shrink to nothing when they are packed. */
static void compressible(struct world *w)
{
    static const size_t sizes[] = { 2000, 8192, 65536, 1 << 20, 4 << 20 };
    struct run r = run_held(w, str("a"), lease_make(w, TTL));
    struct kedge_run_state st;

    for (uint32_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char *p = zeroed(w, sizes[i], 1);
        struct tx *t = tx_new(w);

        context("%zu bytes", sizes[i]);
        memset(p, i % 2 == 0 ? 'a' : 0, sizes[i]);
        p[sizes[i] - 1] = 'z';
        g_held(t, &r);
        c_append(t, r.id, i + 1, bytes(p, sizes[i]));
        c_snapshot(t, r.id, i, bytes(p, sizes[i]));
        expect_tx(t, KEDGE_OK);
        expect_ok(do_retrieve(w, r.id, 0, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL, &st));
        expect_eq(st.n_tail, 1);
        expect_bytes(st.tail[0].data, bytes(p, sizes[i]));
        if (i > 0)
            expect_bytes(st.snapshot, bytes(p, sizes[i]));
    }
}

const struct contract_case cases_data[] = {
    { "data-01", "ids of all lengths and bytes are apart", NEEDS_CLOCK, ids },
    { "data-02", "names of cells and locks too", 0, cell_and_lock_names },
    { "data-03", "reactors, queues, parents and contexts too", NEEDS_CLOCK, other_names },
    { "data-04", "values from nothing to 16 MiB", 0, values },
    { "data-05", "every byte, and text that looks like something", 0, every_byte },
    { "data-06", "names with equal hashes are apart", 0, colliding },
    { "data-07", "times from 1970 to 2200", NEEDS_CLOCK, times },
    { "data-08", "a long journal", 0, many_records },
    { "data-09", "values that are one byte over and over", 0, compressible },
    { NULL, NULL, 0, NULL },
};
