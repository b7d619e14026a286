/*
 * limits.c - cases: what is declared as a limit is one
 *
 * One below it and the limit itself are taken and come back whole; one above is refused, and
 * nothing has changed.
 */
#include "cases.h"

#include <stdlib.h>

/* -1, 0 and 1 around a limit. */
#define AROUND 3

/* ------------------------------------------------------------------------ names */

/* A name one shorter, as long as, and one longer than allowed; different in the last byte only. */
static void names_around(struct world *w, struct kedge_bytes *names)
{
    for (size_t i = 0; i < AROUND; i++)
        names[i] = blob(w, w->limits.id_max - 1 + i, 7);
}

static void names_of_runs(struct world *w, struct kedge_bytes n, int want)
{
    const struct kedge_serve serve = { n, n, 0, 9 };
    struct kedge_claim in = claim_of(w, lease_make(w, TTL), 5);
    struct kedge_list list = { .limit = 5, .reactor = n };
    struct kedge_run_new *new;
    struct kedge_run_page page;
    struct kedge_run_state st;
    struct tx *t;

    for (int which = 0; which < 5; which++) {
        context("%zu bytes, member %d of a run", n.len, which);
        t = tx_new(w);
        new = c_create_due(t, which == 0 ? n : name(w, "run %zu %d", n.len, which), from_now(0));
        if (which == 1)
            new->reactor = new->queue = n;
        if (which == 2)
            new->queue = n;
        if (which == 3) {
            new->parent = n;
            new->parent_incarnation = 5;
        }
        if (which == 4)
            new->root = n;
        if (want == KEDGE_OK)
            expect_tx(t, KEDGE_OK);
        else
            refuse_tx(t, want, -1);
    }
    context("%zu bytes", n.len);
    in.serves = &serve;
    if (want != KEDGE_OK) {
        refuse(do_retrieve(w, n, 0, 0, &st), want);
        refuse(do_list(w, &list, &page), want);
        list = (struct kedge_list){ .limit = 5, .parent = n, .parent_incarnation = 5 };
        refuse(do_list(w, &list, &page), want);
        refuse(do_claim(w, &in, &page), want);
        return;
    }
    expect_ok(do_retrieve(w, n, 0, 0, &st));
    expect_bytes(st.run.id, n);
    expect_ok(do_list(w, &list, &page));
    expect_eq(page.n, 1);
    expect_bytes(page.runs[0].reactor, n);
    list = (struct kedge_list){ .limit = 5, .parent = n, .parent_incarnation = 5 };
    expect_ok(do_list(w, &list, &page));
    expect_eq(page.n, 1);
    expect_bytes(page.runs[0].parent, n);
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, 1);
    expect_bytes(page.runs[0].queue, n);
    expect_ok(do_retrieve(w, name(w, "run %zu 4", n.len), 0, 0, &st));
    expect_bytes(st.run.root, n);
}

static void names_of_others(struct world *w, struct kedge_bytes n, int want)
{
    struct kedge_lease_new in = { .id = random_id(w), .request = random_id(w), .ttl_us = TTL };
    const struct kedge_serve serve = { n, n, 0, 9 };
    struct kedge_lease_state ls;
    struct kedge_lock_state ks;
    struct kedge_cell cell;
    struct kedge_lease_page page;
    struct kedge_id128 lease = lease_make(w, TTL);
    struct tx *t = tx_new(w);
    uint64_t fence;

    context("%zu bytes", n.len);
    c_cell_put(t, n, str("value"), never());
    if (want != KEDGE_OK) {
        refuse_tx(t, want, -1);
        refuse(do_cell(w, n, &cell), want);
        refuse(do_lock_acquire(w, n, lease, random_id(w), &ks), want);
        refuse(do_lock_extend(w, n, lease, 1, &ks), want);
        refuse(do_lock_query(w, n, &ks), want);
        refuse(do_lock_release(w, n, lease, 1), want);
        in.owner = n;
        refuse(do_grant(w, &in, &ls), want);
        in.owner = none();
        in.serves = &serve;
        in.n_serves = 1;
        refuse(do_grant(w, &in, &ls), want);
        return;
    }
    expect_tx(t, KEDGE_OK);
    expect_ok(do_cell(w, n, &cell));
    expect_eq(cell.version, t->results[0]);
    fence = lock_take(w, n, lease);
    expect_ok(do_lock_query(w, n, &ks));
    expect_eq(ks.fence, fence);
    expect_ok(do_lock_extend(w, n, lease, fence, &ks));
    expect_ok(do_lock_release(w, n, lease, fence));
    in.owner = n;
    in.serves = &serve;
    in.n_serves = 1;
    expect_ok(do_grant(w, &in, &ls));
    expect_ok(do_leases(w, none(), 20, &page));
    for (size_t i = 0; i < page.n; i++)
        if (same_id(&page.leases[i].id, &in.id)) {
            expect_bytes(page.leases[i].owner, n);
            expect_bytes(page.leases[i].serves[0].queue, n);
            expect_bytes(page.leases[i].serves[0].reactor, n);
            return;
        }
    fail_case(__FILE__, __LINE__, "the lease is not listed");
}

static void names(struct world *w)
{
    struct kedge_bytes around[AROUND];

    names_around(w, around);
    for (size_t i = 0; i < AROUND; i++) {
        int want = i < 2 ? KEDGE_OK : KEDGE_ERR_TOO_BIG;

        names_of_runs(w, around[i], want);
        names_of_others(w, around[i], want);
    }
}

/* ----------------------------------------------------------------------- values */

static void values(struct world *w)
{
    struct kedge_bytes most = blob(w, w->limits.value_max + 1, 4);
    struct run r = run_held(w, str("a"), lease_make(w, SEC(3000)));
    struct kedge_run_state st;
    struct kedge_slot_page slots;
    struct tx *t = tx_new(w);

    g_held(t, &r);
    c_append(t, r.id, 1, str("small record"));
    c_snapshot(t, r.id, 1, str("small snapshot"));
    c_slots(t, r.id, 0, 4);
    expect_tx(t, KEDGE_OK);
    for (int which = 0; which < 3; which++) {
        t = tx_new(w);
        context("one byte too many, %d", which);
        g_held(t, &r);
        if (which == 0)
            c_append(t, r.id, 2, most);
        else if (which == 1)
            c_snapshot(t, r.id, 1, most);
        else
            c_slot_put(t, &r, 0, 1, most);
        refuse_tx(t, KEDGE_ERR_TOO_BIG, -1);
    }
    expect_ok(do_retrieve(w, r.id, 0, KEDGE_WANT_SNAPSHOT, &st));
    expect_bytes(st.snapshot, str("small snapshot"));
    for (uint64_t less = 0; less < 2; less++) {
        struct kedge_bytes v = bytes((const char *)most.data + less, w->limits.value_max - less);

        context("%zu bytes", v.len);
        t = tx_new(w);
        g_held(t, &r);
        c_append(t, r.id, 2 + less, v);
        expect_tx(t, KEDGE_OK);
        t = tx_new(w);
        g_held(t, &r);
        c_snapshot(t, r.id, 1 + less, v);
        expect_tx(t, KEDGE_OK);
        t = tx_new(w);
        c_slot_put(t, &r, 0, (uint32_t)less, v);
        expect_tx(t, KEDGE_OK);
        expect_ok(do_retrieve(w, r.id, 0, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL, &st));
        expect_bytes(st.snapshot, v);
        expect_eq(st.n_tail, 1);
        expect_bytes(st.tail[0].data, v);
        expect_ok(do_slots(w, r.id, 0, 0, (uint32_t)less, 1, &slots));
        expect_bytes(slots.slots[0].value, v);
        world_forget(w);
        most = blob(w, w->limits.value_max + 1, 4);
    }
}

static void cells(struct world *w)
{
    struct kedge_bytes most = blob(w, w->limits.cell_max + 1, 4);

    for (size_t i = 0; i < AROUND; i++) {
        struct kedge_bytes v = bytes(most.data, w->limits.cell_max - 1 + i);
        struct kedge_cell cell;
        struct tx *t = tx_new(w);

        context("%zu bytes", v.len);
        c_cell_put(t, str("cell"), v, never());
        if (i < 2)
            expect_tx(t, KEDGE_OK);
        else
            refuse_tx(t, KEDGE_ERR_TOO_BIG, -1);
        expect_ok(do_cell(w, str("cell"), &cell));
        expect_bytes(cell.value, bytes(most.data, i < 2 ? v.len : v.len - 1));
    }
}

/* --------------------------------------------------------------- items of a call */

/* N commits that each create a run; what the call answers. */
static int create_in_batch(struct world *w, size_t n, size_t call)
{
    struct kedge_commit *commits = zeroed(w, n, sizeof *commits);
    struct kedge_answer *answers = zeroed(w, n, sizeof *answers);
    struct tx *t = tx_new(w);
    int rc;

    c_create_due(t, str("a"), from_now(0));
    for (size_t i = 0; i < n; i++) {
        struct kedge_change *change = zeroed(w, 1, sizeof *change);

        commits[i] = *tx_ready(t);
        commits[i].request = random_id(w);
        commits[i].results = NULL;
        *change = t->changes[0];
        change->name = name(w, "run %zu %zu", call, i);
        commits[i].changes = change;
    }
    w->err.msg[0] = '\0';
    rc = w->ops->commit(w->session, commits, n, answers, PATIENCE, &w->err);
    for (size_t i = 0; i < n; i++)
        expect_eq(answers[i].outcome, rc);
    return rc;
}

static void batch_items(struct world *w)
{
    const size_t most = w->limits.batch_items;
    struct kedge_claim in = claim_of(w, lease_make(w, SEC(3000)), most);
    struct kedge_run_page page;
    char *before;
    int rc;

    expect_rc(create_in_batch(w, most - 1, 0), KEDGE_OK);
    expect_rc(create_in_batch(w, most, 1), KEDGE_OK);
    before = dump(w);
    rc = create_in_batch(w, most + 1, 2);
    expect(rc == KEDGE_ERR_TOO_BIG || rc == KEDGE_ERR_INVALID);
    expect(w->err.msg[0] != '\0');
    check_unchanged(__FILE__, __LINE__, "a batch of too many", w, before);
    /* as many are claimed at once; one more is not asked for */
    in.limit = most + 1;
    refuse(do_claim(w, &in, &page), KEDGE_ERR_INVALID);
    in.limit = most;
    in.request = random_id(w);
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, most);
    in.limit = most;
    in.request = random_id(w);
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, most - 1);
}

/* -------------------------------------------------------------------- their bytes */

/* What names and frames around values may take; how it is counted is the store's affair. */
#define AROUND_VALUES ((size_t)4096)

static void batch_bytes(struct world *w)
{
    const size_t most = w->limits.batch_bytes;
    struct kedge_bytes value = blob(w, most, 1);
    struct kedge_id128 lease = lease_make(w, SEC(3000));
    struct run r[2] = { run_held(w, str("a"), lease), run_held(w, str("b"), lease) };

    for (int over = 1; over >= 0; over--) {
        size_t size = over ? most / 2 + 1 : most / 2 - AROUND_VALUES;
        struct kedge_commit commits[2];
        struct kedge_answer answers[2];
        char *before = dump(w);
        int rc;

        context("two values of %zu bytes", size);
        for (int i = 0; i < 2; i++) {
            struct tx *t = tx_new(w);

            g_held(t, &r[i]);
            c_append(t, r[i].id, 1, bytes(value.data, size));
            commits[i] = *tx_ready(t);
            commits[i].request = random_id(w);
        }
        w->err.msg[0] = '\0';
        rc = w->ops->commit(w->session, commits, 2, answers, PATIENCE, &w->err);
        expect_rc(rc, over ? KEDGE_ERR_TOO_BIG : KEDGE_OK);
        expect_eq(answers[0].outcome, rc);
        expect_eq(answers[1].outcome, rc);
        if (over) {
            check_unchanged(__FILE__, __LINE__, "a batch of too many bytes", w, before);
            continue;
        }
        expect(differs(w, before));
        free(before);
    }
}

static void commit_bytes(struct world *w)
{
    enum { PARTS = 16 };
    const size_t most = w->limits.commit_bytes;
    struct kedge_bytes value = blob(w, most / PARTS + 1, 1);
    struct run r = run_held(w, str("c"), lease_make(w, SEC(3000)));
    struct kedge_bytes records[PARTS];
    struct tx *t;

    context("one commit");
    for (size_t i = 0; i < PARTS; i++)
        records[i] = value;
    t = tx_new(w);
    g_held(t, &r);
    c_append_n(t, r.id, 1, records, PARTS);
    refuse_tx(t, KEDGE_ERR_TOO_BIG, -1);
    records[0].len -= PARTS + AROUND_VALUES;
    t = tx_new(w);
    g_held(t, &r);
    c_append_n(t, r.id, 1, records, PARTS);
    expect_tx(t, KEDGE_OK);
    expect_eq(head(w, r.id).position, PARTS);
}

static void bytes_of_calls(struct world *w)
{
    batch_bytes(w);
    commit_bytes(w);
}

/* --------------------------------------------------------------- parts of a commit */

static void commit_changes(struct world *w)
{
    const size_t most = w->limits.commit_changes;
    struct kedge_change *changes = zeroed(w, most, sizeof *changes);
    struct kedge_guard *guards = zeroed(w, 2, sizeof *guards);
    struct tx *t = tx_new(w);

    for (size_t i = 0; i < most; i++) {
        changes[i].kind = KEDGE_CELL_PUT;
        changes[i].name = name(w, "cell %zu", i);
        changes[i].cell.value = str("value");
    }
    for (size_t i = 0; i < 2; i++) {
        guards[i].kind = KEDGE_GUARD_ABSENT;
        guards[i].name = name(w, "no run %zu", i);
    }
    dump_cell(w, str("cell 0"));
    t->c.changes = changes;
    t->c.guards = guards;
    t->c.results = NULL;
    for (size_t less = 1;; less--) { /* guards count as well */
        t->c.n_guards = 1;
        t->c.n_changes = most - 1 - less;
        t->c.request = random_id(w);
        context("%zu parts", t->c.n_guards + t->c.n_changes);
        expect_tx(t, KEDGE_OK);
        expect(cell_version(w, changes[t->c.n_changes - 1].name) != 0);
        if (less == 0)
            break;
    }
    context("one part too many");
    t->c.request = random_id(w);
    t->c.n_guards = 2;
    t->c.n_changes = most - 1;
    refuse_tx(t, KEDGE_ERR_TOO_BIG, -1);
}

/* ------------------------------------------------------------------------- pages */

/* More runs than a page may hold, held by one lease; where that many are too many, ten. */
static size_t fill(struct world *w, struct kedge_id128 lease)
{
    const size_t n = w->limits.page_max <= 2000 ? w->limits.page_max + 2 : 10;
    enum { PER = 40 };

    for (size_t i = 0; i < n; i += PER) {
        struct tx *t = tx_new(w);

        for (size_t k = i; k < i + PER && k < n; k++)
            c_create_held(t, name(w, "run %zu", k), lease);
        expect_tx(t, KEDGE_OK);
    }
    return n;
}

/* What a limit one above the largest does: refused, or as if the largest had been asked for. */
static void over_limit(struct world *w, int rc, size_t n)
{
    if (rc != KEDGE_OK)
        expect_rc(rc, KEDGE_ERR_INVALID);
    else
        expect(n <= w->limits.page_max);
}

static void pages_of_runs(struct world *w, size_t n)
{
    const size_t most = w->limits.page_max;
    struct kedge_list list = { .limit = most };
    struct kedge_run_page page;
    size_t seen = 0;

    do {
        expect_ok(do_list(w, &list, &page));
        expect(page.n <= most);
        seen += page.n;
        list.cursor = page.next;
    } while (page.next.len != 0);
    expect_eq(seen, n);
    list = (struct kedge_list){ .limit = most - 1 };
    expect_ok(do_list(w, &list, &page));
    expect(page.n <= most - 1);
    list.limit = most + 1;
    refuse(do_list(w, &list, &page), KEDGE_ERR_INVALID);
    list.limit = 0;
    refuse(do_list(w, &list, &page), KEDGE_ERR_INVALID);
    expect_ok(do_expired(w, none(), most, &page));
    expect(page.n <= most && page.n > 0);
    over_limit(w, do_expired(w, none(), most + 1, &page), page.n);
    refuse(do_expired(w, none(), 0, &page), KEDGE_ERR_INVALID);
}

static void pages(struct world *w)
{
    const size_t most = w->limits.page_max;
    struct kedge_id128 live = lease_make(w, SEC(3000));
    struct kedge_held_page held;
    struct kedge_lease_page leases;
    struct kedge_record_page records;
    struct kedge_slot_page slots;
    struct kedge_bytes cursor = none();
    size_t n = fill(w, live), seen = 0;
    struct run r = run_held(w, str("a"), live);
    struct tx *t = tx_new(w);

    do {
        expect_ok(do_held(w, live, cursor, most, &held));
        expect(held.n <= most);
        seen += held.n;
        cursor = held.next;
    } while (cursor.len != 0);
    expect_eq(seen, n + 1);
    over_limit(w, do_held(w, live, none(), most + 1, &held), held.n);
    expect_ok(do_leases(w, none(), most, &leases));
    expect_eq(leases.n, 1);
    over_limit(w, do_leases(w, none(), most + 1, &leases), leases.n);
    g_held(t, &r);
    c_append(t, r.id, 1, str("one"));
    c_append(t, r.id, 2, str("two"));
    c_slots(t, r.id, 0, 2);
    expect_tx(t, KEDGE_OK);
    expect_ok(do_records(w, r.id, 0, 1, most, 1000, &records));
    expect_eq(records.n, 2);
    over_limit(w, do_records(w, r.id, 0, 1, most + 1, 1000, &records), records.n);
    refuse(do_records(w, r.id, 0, 1, 0, 1000, &records), KEDGE_ERR_INVALID);
    expect_ok(do_slots(w, r.id, 0, 0, 0, most, &slots));
    over_limit(w, do_slots(w, r.id, 0, 0, 0, most + 1, &slots), slots.n);
    refuse(do_slots(w, r.id, 0, 0, 0, 0, &slots), KEDGE_ERR_INVALID);
    t = tx_new(w); /* overdue at once */
    g_held(t, &r);
    c_set(t, r.id, KEDGE_SET_HOLD_UNTIL)->set.hold_until = from_now(0);
    expect_tx(t, KEDGE_OK);
    pages_of_runs(w, n + 1);
}

/* -------------------------------------------------------------------------- times */

/* A lease of exactly that ttl: dead at its deadline, not a moment before. */
static void lives_for(struct world *w, int64_t ttl)
{
    struct kedge_lease_new in = { .ttl_us = ttl, .owner = str("owner") };
    struct kedge_lease_state st;

    context("ttl %lld us", (long long)ttl);
    in.id = random_id(w);
    in.request = random_id(w);
    expect_ok(do_grant(w, &in, &st));
    expect_eq(st.deadline, lease_now() + ttl);
    expect_eq(st.remaining_us, ttl);
    clock_advance(ttl - 1);
    refuse(do_bury(w, in.id), KEDGE_HELD);
    expect_ok(do_extend(w, in.id, &st));
    expect_eq(st.deadline, lease_now() + ttl);
    clock_advance(ttl);
    expect_ok(do_bury(w, in.id));
}

static void ttls(struct world *w)
{
    const int64_t least = w->limits.ttl_min_us, most = w->limits.ttl_max_us;
    const int64_t bad[] = { least - 1, most + 1 };
    const int64_t good[] = { least, least + 1, most - 1, most };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct kedge_lease_new in = { .ttl_us = bad[i], .owner = str("owner") };
        struct kedge_lease_state st;

        context("ttl %lld us", (long long)bad[i]);
        in.id = random_id(w);
        in.request = random_id(w);
        refuse(do_grant(w, &in, &st), KEDGE_ERR_INVALID);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        lives_for(w, good[i]);
}

const struct contract_case cases_limits[] = {
    { "limits-01", "names up to id_max, not a byte more", 0, names },
    { "limits-02", "values up to value_max, not a byte more", 0, values },
    { "limits-03", "cells up to cell_max, not a byte more", 0, cells },
    { "limits-04", "batch_items commits or claimed runs in a call, not one more", 0, batch_items },
    { "limits-05", "nearly batch_bytes and commit_bytes are taken, more is refused", 0,
      bytes_of_calls },
    { "limits-06", "commit_changes guards and changes, not one more", 0, commit_changes },
    { "limits-07", "pages up to page_max, never a larger one", 0, pages },
    { "limits-08", "ttls from ttl_min to ttl_max, to the microsecond", NEEDS_CLOCK, ttls },
    { NULL, NULL, 0, NULL },
};
