/* cells.c - cases: small values with versions and expiry */
#include "cases.h"

static void put_and_get(struct world *w)
{
    struct kedge_cell cell;
    uint64_t first, second;
    struct tx *t = tx_new(w);

    expect_rc(do_cell(w, str("cell"), &cell), KEDGE_NOT_FOUND);
    first = cell_put(w, str("cell"), "one");
    expect_ok(do_cell(w, str("cell"), &cell));
    expect_bytes(cell.value, str("one"));
    expect_eq(cell.version, first);
    expect_eq(cell.expires, 0);
    second = cell_put(w, str("cell"), "two");
    expect(second > first);
    expect_ok(do_cell(w, str("cell"), &cell));
    expect_bytes(cell.value, str("two"));
    cell_put(w, str("cell"), "");
    expect_ok(do_cell(w, str("cell"), &cell)); /* empty is not absent */
    expect_eq(cell.value.len, 0);
    c_cell_delete(t, str("cell"));
    expect_tx(t, KEDGE_OK);
    expect_rc(do_cell(w, str("cell"), &cell), KEDGE_NOT_FOUND);
    t = tx_new(w);
    c_cell_delete(t, str("cell"));
    refuse_tx(t, KEDGE_OK, -1);
    expect(cell_put(w, str("cell"), "three") > second);
}

static void compare_and_set(struct world *w)
{
    struct tx *t = tx_new(w);
    uint64_t version;

    g_cell(t, str("cell"), 7);
    c_cell_put(t, str("cell"), str("x"), never());
    refuse_tx(t, KEDGE_STALE, 0);
    t = tx_new(w);
    g_cell(t, str("cell"), 0);
    c_cell_put(t, str("cell"), str("one"), never());
    expect_tx(t, KEDGE_OK);
    version = t->results[0];
    t = tx_new(w);
    g_cell(t, str("cell"), 0);
    c_cell_put(t, str("cell"), str("x"), never());
    refuse_tx(t, KEDGE_STALE, 0);
    for (int i = 0; i < 10; i++) {
        t = tx_new(w);
        g_cell(t, str("cell"), version);
        c_cell_put(t, str("cell"), name(w, "value %d", i), never());
        expect_tx(t, KEDGE_OK);
        expect(t->results[0] > version);
        version = t->results[0];
    }
    t = tx_new(w);
    g_cell(t, str("cell"), version);
    c_cell_delete(t, str("cell"));
    expect_tx(t, KEDGE_OK);
    t = tx_new(w);
    g_cell(t, str("cell"), version); /* the version does not come back */
    c_cell_put(t, str("cell"), str("x"), never());
    refuse_tx(t, KEDGE_STALE, 0);
}

static void expiring(struct world *w)
{
    struct kedge_cell cell;
    struct tx *t = tx_new(w);
    uint64_t first;

    c_cell_put(t, str("cell"), str("brief"), from_now(SEC(5)));
    c_cell_put(t, str("lasting"), str("x"), at(wall_now() + SEC(50)));
    expect_tx(t, KEDGE_OK);
    first = t->results[0];
    expect_ok(do_cell(w, str("cell"), &cell));
    expect_eq(cell.expires, wall_now() + SEC(5));
    clock_advance(SEC(5) - 1);
    expect_ok(do_cell(w, str("cell"), &cell));
    t = tx_new(w);
    g_cell(t, str("cell"), first);
    expect_tx(t, KEDGE_OK);
    clock_advance(1);
    expect_rc(do_cell(w, str("cell"), &cell), KEDGE_NOT_FOUND);
    expect_ok(do_cell(w, str("lasting"), &cell));
    t = tx_new(w);
    g_cell(t, str("cell"), first);
    c_cell_put(t, str("cell"), str("x"), never());
    refuse_tx(t, KEDGE_STALE, 0);
    t = tx_new(w);
    g_cell(t, str("cell"), 0); /* expired is absent */
    c_cell_put(t, str("cell"), str("new"), never());
    expect_tx(t, KEDGE_OK);
    expect(t->results[0] > first);
    clock_advance(SEC(100));
    expect_ok(do_cell(w, str("cell"), &cell));
    expect_eq(cell.expires, 0);
    expect_bytes(cell.value, str("new"));
    expect_rc(do_cell(w, str("lasting"), &cell), KEDGE_NOT_FOUND);
}

/* Expiring at once; a time that has passed. */
static void expired_at_once(struct world *w)
{
    struct kedge_cell cell;
    struct tx *t = tx_new(w);

    c_cell_put(t, str("a"), str("x"), from_now(0));
    c_cell_put(t, str("b"), str("x"), at(wall_now() - SEC(1)));
    c_cell_put(t, str("c"), str("x"), from_now(1));
    expect_tx(t, KEDGE_OK);
    expect_rc(do_cell(w, str("a"), &cell), KEDGE_NOT_FOUND);
    expect_rc(do_cell(w, str("b"), &cell), KEDGE_NOT_FOUND);
    expect_ok(do_cell(w, str("c"), &cell));
    (void)purge_all(w);
    expect_ok(do_cell(w, str("c"), &cell));
}

/* A put replaces the expiry as well. */
static void stamped_anew(struct world *w)
{
    struct kedge_cell cell;

    for (int i = 0; i < 5; i++) {
        struct tx *t = tx_new(w);

        c_cell_put(t, str("cell"), str("x"), from_now(SEC(10)));
        expect_tx(t, KEDGE_OK);
        clock_advance(SEC(9));
        expect_ok(do_cell(w, str("cell"), &cell)); /* looking does not prolong it */
        expect_eq(cell.expires, wall_now() + SEC(1));
    }
    clock_advance(SEC(1));
    expect_rc(do_cell(w, str("cell"), &cell), KEDGE_NOT_FOUND);
}

/* A window that is claimed by a cell, by the store's clock: once per window. */
static void windows(struct world *w)
{
    int64_t width = SEC(60), start = wall_now();
    struct tx *t = tx_new(w);

    g_time(t, start, start + width);
    g_cell(t, str("tick"), 0);
    c_cell_put(t, str("tick"), str("first"), at(start + width));
    expect_tx(t, KEDGE_OK);
    t = tx_new(w);
    g_time(t, start, start + width);
    g_cell(t, str("tick"), 0);
    c_cell_put(t, str("tick"), str("duplicate"), at(start + width));
    refuse_tx(t, KEDGE_STALE, 1);
    clock_advance(width);
    refuse_tx(t, KEDGE_STALE, 0); /* late */
    t = tx_new(w);
    g_time(t, start + width, start + 2 * width);
    g_cell(t, str("tick"), 0);
    c_cell_put(t, str("tick"), str("second"), at(start + 2 * width));
    expect_tx(t, KEDGE_OK);
}

static void delete_and_put(struct world *w)
{
    struct tx *t = tx_new(w);
    struct kedge_cell cell;

    cell_put(w, str("cell"), "one");
    c_cell_delete(t, str("cell"));
    c_cell_put(t, str("cell"), str("two"), never());
    expect_tx(t, KEDGE_OK);
    expect_ok(do_cell(w, str("cell"), &cell));
    expect_bytes(cell.value, str("two"));
    t = tx_new(w);
    c_cell_put(t, str("cell"), str("three"), never());
    c_cell_delete(t, str("cell"));
    expect_tx(t, KEDGE_OK);
    expect_rc(do_cell(w, str("cell"), &cell), KEDGE_NOT_FOUND);
}

/* Each version that a cell has had, when it has another. */
static void old_versions(struct world *w)
{
    enum { N = 5 };
    uint64_t versions[N];

    for (int i = 0; i < N; i++) {
        struct kedge_cell cell;

        versions[i] = cell_put(w, str("cell"), (const char *)name(w, "value %d", i).data);
        expect_ok(do_cell(w, str("cell"), &cell));
        expect_eq(cell.version, versions[i]);
        expect_bytes(cell.value, name(w, "value %d", i));
        for (int old = 0; old < i; old++) {
            struct tx *t = tx_new(w);

            expect(versions[old] < versions[i]);
            g_cell(t, str("cell"), versions[old]);
            c_cell_put(t, str("cell"), str("by who knows an old one"), never());
            refuse_tx(t, KEDGE_STALE, 0);
        }
    }
}

const struct contract_case cases_cells[] = {
    { "cells-01", "a cell is written, read, replaced and deleted", 0, put_and_get },
    { "cells-02", "its version decides who may write", 0, compare_and_set },
    { "cells-03", "it is gone when its time has come, and absent then", NEEDS_CLOCK, expiring },
    { "cells-04", "a time that has come already", NEEDS_CLOCK, expired_at_once },
    { "cells-05", "each put stamps the expiry anew, a get does not", NEEDS_CLOCK, stamped_anew },
    { "cells-06", "a window of time is claimed once", NEEDS_CLOCK, windows },
    { "cells-07", "deleted and written in one commit", 0, delete_and_put },
    { "cells-08", "no old version writes, and what is read is what was written last", 0,
      old_versions },
    { NULL, NULL, 0, NULL },
};
