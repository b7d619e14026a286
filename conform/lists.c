/* lists.c - cases: runs by what they are, page by page, while others write */
#include "cases.h"

#include <stdlib.h>

static const uint32_t every_status[] = {
    KEDGE_PENDING, KEDGE_RUNNING, KEDGE_ROLLING_BACK, KEDGE_PAUSED, KEDGE_COMPLETED,
    KEDGE_FAILED,  KEDGE_HALTED,  KEDGE_CANCELLED,    KEDGE_STUCK,  KEDGE_ABORTED,
};

static void put_into(struct world *w, struct kedge_bytes id, struct kedge_id128 lease,
                     uint32_t status)
{
    struct run r;
    struct tx *t;

    if (status == KEDGE_PENDING) {
        run_due(w, id, from_now(SEC(3600)));
        return;
    }
    r = run_held(w, id, lease);
    if (status == KEDGE_RUNNING)
        return;
    t = tx_new(w);
    g_held(t, &r);
    if (status == KEDGE_ROLLING_BACK)
        c_set(t, id, KEDGE_SET_STATUS)->set.status = status;
    else if (status == KEDGE_PAUSED)
        c_park(t, id, KEDGE_WAKES_ON_INTERRUPT, never());
    else
        c_rest(t, id, status, never());
    expect_tx(t, KEDGE_OK);
}

/* All that LIST shows, in its order; ids live until world_forget. */
static size_t all_of(struct world *w, struct kedge_list list, struct kedge_bytes *ids, size_t max)
{
    struct kedge_run_page page;
    size_t n = 0;

    list.cursor = none();
    do {
        expect_ok(do_list(w, &list, &page));
        expect(page.n <= list.limit);
        expect(page.reasons == NULL);
        for (size_t i = 0; i < page.n; i++) {
            expect(n < max);
            ids[n++] = page.runs[i].id;
        }
        list.cursor = page.next;
    } while (page.next.len != 0);
    return n;
}

static void by_creation(struct world *w)
{
    enum { N = 25 };
    struct kedge_bytes ids[N + 1];

    for (int i = 0; i < N; i++) {
        run_due(w, name(w, "run %d", (i * 7) % N), from_now(SEC(1000 - i)));
        clock_advance(i % 3 == 0 ? 0 : 1); /* some at the same moment */
    }
    for (size_t limit = 1; limit <= 30; limit += 4)
        for (uint32_t newest = 0; newest < 2; newest++) {
            struct kedge_list list = { .limit = limit, .newest_first = newest };

            expect_eq(all_of(w, list, ids, N + 1), N);
            for (int i = 0; i < N; i++)
                expect_bytes(ids[newest ? N - 1 - i : i], name(w, "run %d", (i * 7) % N));
        }
}

static void by_status(struct world *w)
{
    enum { N = 40 };
    struct kedge_id128 lease = lease_make(w, TTL);
    struct kedge_bytes ids[N + 1];

    for (int i = 0; i < N; i++)
        put_into(w, name(w, "run %d", i), lease, every_status[i % 10]);
    for (uint32_t a = 0; a < 10; a++)
        for (uint32_t b = a; b < 10; b++) {
            struct kedge_list list = { .limit = 3, .newest_first = (a + b) % 2 };
            size_t n;

            list.statuses = KEDGE_STATUS_BIT(every_status[a]) | KEDGE_STATUS_BIT(every_status[b]);
            n = all_of(w, list, ids, N);
            expect_eq(n, a == b ? 4 : 8);
            for (size_t i = 0; i < n; i++) {
                uint32_t status = head(w, ids[i]).status;

                expect(status == every_status[a] || status == every_status[b]);
            }
        }
    {
        struct kedge_list list = { .limit = 100 };

        expect_eq(all_of(w, list, ids, N), N); /* 0: all */
        list.statuses = KEDGE_STATUSES_UNFINISHED;
        expect_eq(all_of(w, list, ids, N), 16);
    }
}

static void by_reactor_and_parent(struct world *w)
{
    struct run p = run_held(w, str("p"), lease_make(w, TTL)), q;
    struct kedge_bytes ids[64] = { { NULL, 0 } };
    struct kedge_list list = { .limit = 2 };
    struct tx *t = tx_new(w);

    q = run_held(w, str("q"), p.lease);
    for (uint32_t i = 0; i < 9; i++) {
        struct kedge_run_new *n =
            c_create_child(t, name(w, "child %u", i), i % 3 == 0 ? &q : &p, 0, KEDGE_NO_SLOT);

        n->reactor = str(i % 2 == 0 ? "even" : "odd");
    }
    c_create_due(t, str("stranger"), from_now(0))->reactor = str("even");
    c_create_due(t, str("near"), from_now(0))->reactor = str("even ");
    c_create_due(t, str("glob"), from_now(0))->reactor = str("e*");
    expect_tx(t, KEDGE_OK);
    list.reactor = str("even");
    expect_eq(all_of(w, list, ids, 64), 6);
    list.parent = str("p");
    list.parent_incarnation = p.incarnation;
    expect_eq(all_of(w, list, ids, 64), 3);
    expect_bytes(ids[0], str("child 2"));
    expect_bytes(ids[1], str("child 4"));
    expect_bytes(ids[2], str("child 8"));
    list.reactor = none();
    expect_eq(all_of(w, list, ids, 64), 6);
    list.newest_first = 1;
    expect_eq(all_of(w, list, ids, 64), 6);
    expect_bytes(ids[0], str("child 8"));
    list.parent_incarnation = 0;
    expect_eq(all_of(w, list, ids, 64), 6);
    list.parent_incarnation = p.incarnation + 1;
    expect_eq(all_of(w, list, ids, 64), 0);
    list.parent = str("nobody");
    expect_eq(all_of(w, list, ids, 64), 0);
    list = (struct kedge_list){ .limit = 9, .reactor = str("e*") };
    expect_eq(all_of(w, list, ids, 64), 1);
    expect_bytes(ids[0], str("glob"));
    list.statuses = KEDGE_STATUS_BIT(KEDGE_RUNNING);
    expect_eq(all_of(w, list, ids, 64), 0);
}

/* Of a parent that was purged and made again, whose first children are still there. */
static void by_present_parent(struct world *w)
{
    struct run p = run_held(w, str("again"), lease_make(w, TTL));
    struct kedge_list list = { .limit = 9, .parent = p.id };
    struct kedge_bytes ids[4] = { { NULL, 0 } };
    uint64_t first = p.incarnation;
    struct tx *t = tx_new(w);

    (void)c_create_child(t, str("of the first"), &p, 0, KEDGE_NO_SLOT);
    expect_tx(t, KEDGE_OK);
    release_rest(w, &p, KEDGE_COMPLETED, from_now(SEC(1)));
    expect_eq(all_of(w, list, ids, 4), 1);
    clock_advance(SEC(2));
    expect_eq(all_of(w, list, ids, 4), 0); /* it has expired */
    (void)purge_all(w);
    expect_eq(all_of(w, list, ids, 4), 0);
    p = run_held(w, str("again"), lease_make(w, TTL));
    expect(p.incarnation > first);
    expect_eq(all_of(w, list, ids, 4), 0);
    t = tx_new(w);
    (void)c_create_child(t, str("of the second"), &p, 0, KEDGE_NO_SLOT);
    expect_tx(t, KEDGE_OK);
    for (uint32_t unserved = 0; unserved < 2; unserved++) {
        context("%s", unserved ? "unserved" : "all");
        list.unserved = unserved;
        list.parent_incarnation = 0;
        expect_eq(all_of(w, list, ids, 4), 1);
        expect_bytes(ids[0], str("of the second"));
        list.parent_incarnation = first;
        expect_eq(all_of(w, list, ids, 4), 1);
        expect_bytes(ids[0], str("of the first"));
    }
}

static void unserved(struct world *w)
{
    const struct kedge_serve serves[] = { { str("queue"), str("reactor"), 1, 1 },
                                          { str("other"), str("reactor"), 0, 9 } };
    struct kedge_id128 lease = lease_make(w, TTL);
    struct kedge_list list = { .limit = 2, .unserved = 1, .serves = serves, .n_serves = 2 };
    struct kedge_bytes ids[8] = { { NULL, 0 } };
    struct tx *t = tx_new(w);

    run_due(w, str("served"), from_now(0));
    c_create_due(t, str("newer version"), from_now(0))->version = 2;
    c_create_due(t, str("other queue"), from_now(0))->queue = str("third");
    c_create_due(t, str("other reactor"), from_now(0))->reactor = str("x");
    c_create_held(t, str("held"), lease)->reactor = str("x");
    c_create_due(t, str("served there"), from_now(0))->queue = str("other");
    expect_tx(t, KEDGE_OK);
    expect_eq(all_of(w, list, ids, 8), 3);
    expect_bytes(ids[0], str("newer version"));
    expect_bytes(ids[1], str("other queue"));
    expect_bytes(ids[2], str("other reactor"));
    list.n_serves = 0; /* nobody is there at all */
    expect_eq(all_of(w, list, ids, 8), 5);
}

static void senseless(struct world *w)
{
    struct kedge_list list = { .limit = 0 };
    struct kedge_run_page page;

    run_due(w, str("a"), from_now(0));
    refuse(do_list(w, &list, &page), KEDGE_ERR_INVALID);
    list.limit = w->limits.page_max + 1;
    refuse(do_list(w, &list, &page), KEDGE_ERR_INVALID);
    list.limit = 1;
    list.statuses = 1;
    refuse(do_list(w, &list, &page), KEDGE_ERR_INVALID);
    list.statuses = 1u << 11;
    refuse(do_list(w, &list, &page), KEDGE_ERR_INVALID);
    list.statuses = 0;
    list.reactor = blob(w, w->limits.id_max + 1, 1);
    refuse(do_list(w, &list, &page), KEDGE_ERR_TOO_BIG);
    list.reactor = none();
    list.cursor = str("no cursor of ours");
    refuse(do_list(w, &list, &page), KEDGE_ERR_INVALID);
    list.cursor = none();
    expect_ok(do_list(w, &list, &page));
    expect_eq(page.n, 1);
    list.limit = w->limits.page_max;
    expect_ok(do_list(w, &list, &page));
}

/* One change at random to the runs that need not appear. */
static void disturb(struct world *w, struct kedge_id128 lease, int *made)
{
    static const uint32_t rests[] = { KEDGE_COMPLETED, KEDGE_FAILED, KEDGE_HALTED };
    struct kedge_bytes id = name(w, "passing %u", random_below(w, (uint32_t)*made + 1));
    struct kedge_run_state st;
    struct run r;

    switch (random_below(w, 4)) {
    case 0:
    case 1:
        run_due(w, name(w, "passing %d", (*made)++), from_now(0));
        break;
    case 2:
        if (do_retrieve(w, id, 0, 0, &st) != KEDGE_OK || st.run.place == KEDGE_PLACE_REST)
            break;
        r = run_take(w, id, lease);
        release_rest(w, &r, rests[random_below(w, 3)], from_now(SEC(1)));
        break;
    default:
        clock_advance(SEC(1));
        (void)purge_all(w);
        break;
    }
}

/* Runs that live through a scan appear once, whatever else happens between its pages. */
static void while_others_write(struct world *w)
{
    enum { N = 30, ROUNDS = 24 };
    struct kedge_id128 lease = lease_make(w, TTL * 100000);
    static struct kedge_bytes seen[1000];
    int made = 0;

    for (int i = 0; i < N; i++) {
        struct tx *t = tx_new(w);

        c_create_held(t, name(w, "lasting %d", i), lease)->reactor =
            str(i % 2 == 0 ? "even" : "odd");
        expect_tx(t, KEDGE_OK);
        for (int k = 0; k < 3; k++)
            disturb(w, lease, &made);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct kedge_list list = { .limit = 4 + random_below(w, 9),
                                   .newest_first = (uint32_t)round % 2 };
        struct kedge_run_page page;
        size_t n = 0, want = N;

        context("round %d", round);
        if (round % 3 == 1) {
            list.statuses = KEDGE_STATUS_BIT(KEDGE_RUNNING);
        } else if (round % 3 == 2) {
            list.reactor = str("even");
            want = N / 2;
        }
        do {
            expect_ok(do_list(w, &list, &page));
            for (size_t i = 0; i < page.n; i++) {
                for (size_t k = 0; k < n; k++)
                    expect(!same_bytes(page.runs[i].id, seen[k]));
                if (n == ARRAY_LEN(seen))
                    abort();
                seen[n++] = page.runs[i].id;
                if (list.statuses != 0)
                    expect_eq(page.runs[i].status, KEDGE_RUNNING);
            }
            for (int k = 0; k < 3; k++)
                disturb(w, lease, &made);
            list.cursor = page.next;
        } while (page.next.len != 0);
        for (size_t i = 0; i < n; i++)
            if (seen[i].len > 7 && memcmp(seen[i].data, "lasting", 7) == 0)
                want--;
        expect_eq(want, 0);
    }
}

/* A run whose status changes between two pages, and changes back, is not shown twice. */
static void moving_runs(struct world *w)
{
    enum { N = 20 };
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct kedge_list list = { .limit = 3, .statuses = KEDGE_STATUS_BIT(KEDGE_RUNNING) };
    struct run r[N];
    struct kedge_run_page page;
    int times[N] = { 0 };

    for (int i = 0; i < N; i++)
        r[i] = run_held(w, name(w, "run %d", i), lease);
    do {
        expect_ok(do_list(w, &list, &page));
        for (size_t i = 0; i < page.n; i++)
            for (int k = 0; k < N; k++)
                times[k] += same_bytes(page.runs[i].id, r[k].id);
        for (int k = 0; k < N; k += 2) {
            /* out of the filter and back: every head is written again */
            release_parked(w, &r[k], KEDGE_WAKES_ON_INTERRUPT, never());
            r[k] = run_take(w, r[k].id, lease);
            if (head(w, r[k].id).status != KEDGE_RUNNING) {
                struct tx *t = tx_new(w);

                g_held(t, &r[k]);
                c_set(t, r[k].id, KEDGE_SET_STATUS)->set.status = KEDGE_RUNNING;
                expect_tx(t, KEDGE_OK);
            }
            step(w, &r[k], "x");
        }
        list.cursor = page.next;
    } while (page.next.len != 0);
    for (int k = 0; k < N; k++)
        expect_eq(times[k], 1);
}

/* The clock falls between creations: every run is still shown once. */
static void clock_falls(struct world *w)
{
    enum { N = 30 };
    struct kedge_bytes ids[N + 1];

    for (int i = 0; i < N; i++) {
        run_due(w, name(w, "run %d", i), from_now(0));
        clock_step_wall(i % 5 == 0 ? -SEC(3600) : SEC(60));
    }
    for (uint32_t newest = 0; newest < 2; newest++) {
        struct kedge_list list = { .limit = 4, .newest_first = newest };

        expect_eq(all_of(w, list, ids, N + 1), N);
        for (int i = 0; i < N; i++)
            for (int k = 0; k < i; k++)
                expect(!same_bytes(ids[i], ids[k]));
    }
}

static void made_in_order(struct world *w)
{
    enum { N = 12 };
    struct kedge_bytes ids[N + 1];

    for (int i = 0; i < N; i++) {
        run_due(w, name(w, "run %d", i), from_now(0));
        clock_step_wall(i % 3 == 0 ? -SEC(3600) : SEC(60));
    }
    for (uint32_t newest = 0; newest < 2; newest++) {
        struct kedge_list list = { .limit = 5, .newest_first = newest };

        expect_eq(all_of(w, list, ids, N + 1), N);
        for (int i = 0; i < N; i++)
            expect_bytes(ids[newest ? N - 1 - i : i], name(w, "run %d", i));
    }
}

const struct contract_case cases_lists[] = {
    { "lists-01", "in the order of creation, and back, on every page size", NEEDS_CLOCK,
      by_creation },
    { "lists-02", "by any two statuses", 0, by_status },
    { "lists-03", "by reactor and by parent, byte for byte", 0, by_reactor_and_parent },
    { "lists-04", "due runs that nobody serves", 0, unserved },
    { "lists-05", "senseless lists are refused", 0, senseless },
    { "lists-06", "what lives through a scan appears exactly once", NEEDS_CLOCK,
      while_others_write },
    { "lists-07", "a run that moves between pages appears once", 0, moving_runs },
    { "lists-08", "a clock that falls hides nothing", NEEDS_CLOCK, clock_falls },
    { "lists-09", "the order of creation holds while the clock falls", NEEDS_CLOCK, made_in_order },
    { "lists-10", "children of a parent that was there before are not those of the present one",
      NEEDS_CLOCK, by_present_parent },
    { NULL, NULL, 0, NULL },
};
