/* claim.c - cases: who gets which runs, and when */
#include "cases.h"

static void made(struct world *w, const char *id, const char *queue, const char *reactor,
                 uint32_t version, struct kedge_when due)
{
    struct tx *t = tx_new(w);
    struct kedge_run_new *n = c_create_due(t, name(w, "%s", id), due);

    n->queue = str(queue);
    n->reactor = str(reactor);
    n->version = version;
    expect_tx(t, KEDGE_OK);
}

static size_t claim_serves(struct world *w, struct kedge_id128 lease,
                           const struct kedge_serve *serves, size_t n, size_t limit,
                           struct kedge_run_page *page)
{
    struct kedge_claim in = claim_of(w, lease, limit);

    in.serves = serves;
    in.n_serves = n;
    expect_ok(do_claim(w, &in, page));
    expect(page->n <= limit);
    return page->n;
}

static void nothing_due(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct kedge_claim in = claim_of(w, lease, 10);
    struct kedge_run_page page;

    refuse(do_claim(w, &in, &page), KEDGE_OK);
    expect(page.n == 0 && page.next_due == 0);
    run_due(w, str("later"), from_now(SEC(9)));
    run_due(w, str("soon"), from_now(SEC(7)));
    in = claim_of(w, lease, 10);
    refuse(do_claim(w, &in, &page), KEDGE_OK);
    expect_eq(page.n, 0);
    expect_eq(page.next_due, wall_now() + SEC(7));
    clock_advance(SEC(7) - 1);
    in = claim_of(w, lease, 10);
    refuse(do_claim(w, &in, &page), KEDGE_OK);
    expect_eq(page.n, 0);
    clock_advance(1);
    in = claim_of(w, lease, 10);
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, 1);
    expect_bytes(page.runs[0].id, str("soon"));
    expect_eq(page.next_due, wall_now() + SEC(2));
}

static void oldest_first(struct world *w)
{
    enum { N = 20 };
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct kedge_run_page page;
    int64_t last = 0;
    size_t seen = 0;

    for (int i = 0; i < N; i++)
        run_due(w, name(w, "run %d", i), from_now(SEC(13 * i % N)));
    clock_advance(SEC(N));
    for (size_t limit = 1; seen < N; limit++) {
        struct kedge_claim in = claim_of(w, lease, limit);
        int64_t due[N];
        size_t left = N - seen;

        for (int i = 0; i < N; i++)
            due[i] = head(w, name(w, "run %d", i)).due;
        expect_ok(do_claim(w, &in, &page));
        expect_eq(page.n, limit < left ? limit : left);
        for (size_t k = 0; k < page.n; k++, seen++) {
            int i = 0;

            while (!same_bytes(page.runs[k].id, name(w, "run %d", i)))
                expect(++i < N);
            expect(due[i] > last);
            last = due[i];
        }
        expect_eq(page.next_due != 0, seen < N);
        if (seen < N)
            expect(page.next_due > last);
    }
}

static void what_it_gives(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct kedge_claim in = claim_of(w, lease, 2);
    struct kedge_run_page page;
    struct run r;
    struct kedge_run h;
    uint64_t created;

    created = run_due(w, str("pending"), from_now(0)).incarnation;
    r = run_held(w, str("rolling"), lease);
    {
        struct tx *t = tx_new(w);

        g_held(t, &r);
        c_append(t, r.id, 1, str("one"));
        c_due(t, r.id, from_now(0))->release.status = KEDGE_ROLLING_BACK;
        expect_tx(t, KEDGE_OK);
    }
    run_due(w, str("third"), from_now(0));
    in.hold_until = from_now(SEC(5));
    clock_advance(1);
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, 2);
    expect(page.next_due != 0 && page.next_due <= wall_now()); /* there is more */
    for (size_t i = 0; i < 2; i++) {
        h = head(w, page.runs[i].id);
        expect_eq(h.place, KEDGE_PLACE_HELD);
        expect_eq(page.runs[i].place, KEDGE_PLACE_HELD);
        expect(same_id(&h.holder, &lease) && same_id(&page.runs[i].holder, &lease));
        expect_eq(h.due, 0);
        expect_eq(h.wake_mark, 0);
        expect_eq(h.hold_until, wall_now() + SEC(5));
        expect_eq(page.runs[i].fence, h.fence);
        expect_eq(page.runs[i].revision, h.revision);
        expect_eq(page.runs[i].position, h.position);
        expect(h.fence > created);
    }
    expect_eq(head(w, str("pending")).status, KEDGE_RUNNING);
    expect_eq(head(w, str("rolling")).status, KEDGE_ROLLING_BACK);
    expect_eq(head(w, str("rolling")).position, 1);
    expect_eq(head(w, str("third")).place, KEDGE_PLACE_DUE); /* what is not given is not touched */
    in = claim_of(w, lease_make(w, TTL), 10);
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, 1); /* the others are hidden */
}

static void served(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    const struct kedge_serve two_to_four = { str("q"), str("r"), 2, 4 };
    const struct kedge_serve both[] = { { str("q"), str("s"), 0, UINT32_MAX },
                                        { str("p"), str("r"), 1, 1 } };
    struct kedge_run_page page;

    for (uint32_t v = 1; v <= 5; v++) {
        made(w, (const char *)name(w, "r%u", v).data, "q", "r", v, from_now(0));
        clock_advance(1);
    }
    made(w, "other reactor", "q", "s", 3, from_now(0));
    made(w, "other queue", "p", "r", 1, from_now(0));
    made(w, "neither", "p", "s", 1, from_now(0));
    made(w, "near", "q", "r ", 3, from_now(0));
    clock_advance(1);
    expect_eq(claim_serves(w, lease, &two_to_four, 1, 10, &page), 3);
    for (size_t i = 0; i < page.n; i++) {
        expect_bytes(page.runs[i].queue, str("q"));
        expect_bytes(page.runs[i].reactor, str("r"));
        expect(page.runs[i].version >= 2 && page.runs[i].version <= 4);
    }
    expect_eq(page.next_due, 0); /* of what the caller serves */
    expect_eq(head(w, str("r1")).place, KEDGE_PLACE_DUE);
    expect_eq(head(w, str("r5")).place, KEDGE_PLACE_DUE);
    expect_eq(head(w, str("r1")).fence, head(w, str("r1")).incarnation);
    expect_eq(claim_serves(w, lease, both, 2, 10, &page), 2);
    expect_eq(head(w, str("other reactor")).place, KEDGE_PLACE_HELD);
    expect_eq(head(w, str("other queue")).place, KEDGE_PLACE_HELD);
    expect_eq(head(w, str("neither")).place, KEDGE_PLACE_DUE);
}

/* A crowd that nobody serves, older than all, costs the others nothing. */
static void unserved_crowd(struct world *w)
{
    enum { N = 300 };
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    const struct kedge_serve mine = { str("q"), str("mine"), 1, 1 };
    struct kedge_list list = { .unserved = 1, .serves = &mine, .n_serves = 1, .limit = 1000 };
    struct kedge_run_page page;
    struct tx *t[100];

    list.limit = w->limits.page_max < 1000 ? w->limits.page_max : 1000;
    for (int i = 0; i < N; i += 100) {
        for (int j = 0; j < 100; j++) {
            struct kedge_run_new *n;

            t[j] = tx_new(w);
            n = c_create_due(t[j], name(w, "foreign %d", i + j), from_now(0));
            n->queue = str("q");
            n->reactor = str(j % 2 == 0 ? "theirs" : "mine");
            n->version = 2;
        }
        tx_send_batch(w, t, 100);
    }
    clock_advance(1);
    made(w, "a", "q", "mine", 1, from_now(0));
    made(w, "b", "q", "mine", 1, from_now(SEC(5)));
    expect_eq(claim_serves(w, lease, &mine, 1, 10, &page), 1);
    expect_bytes(page.runs[0].id, str("a"));
    expect_eq(page.next_due, wall_now() + SEC(5));
    expect_ok(do_list(w, &list, &page));
    expect_eq(page.n, N);
    for (size_t i = 0; i < page.n; i++)
        expect_eq(page.runs[i].place, KEDGE_PLACE_DUE);
}

static void overlapping_serves(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    const struct kedge_serve serves[] = { { str("q"), str("r"), 1, 5 },
                                          { str("q"), str("r"), 4, 9 },
                                          { str("q"), str("r"), 1, 5 } };
    struct kedge_run_page page;

    made(w, "a", "q", "r", 4, from_now(0));
    made(w, "b", "q", "r", 9, from_now(0));
    expect_eq(claim_serves(w, lease, serves, 3, 10, &page), 2); /* each once */
    expect(!same_bytes(page.runs[0].id, page.runs[1].id));
}

static void several_queues(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    const struct kedge_serve serves[] = { { str("q1"), str("r"), 0, 9 },
                                          { str("q2"), str("r"), 0, 9 },
                                          { str("q3"), str("r"), 0, 9 } };
    struct kedge_run_page page;

    /* oldest due first across them */
    for (int i = 0; i < 9; i++) {
        struct tx *t = tx_new(w);
        struct kedge_run_new *n = c_create_due(t, name(w, "run %d", i), from_now(i));

        n->queue = name(w, "q%d", 1 + (i * 2) % 3);
        n->reactor = str("r");
        expect_tx(t, KEDGE_OK);
    }
    clock_advance(100);
    for (int i = 0; i < 9; i += 3) {
        expect_eq(claim_serves(w, lease, serves, 3, 3, &page), 3);
        for (int k = 0; k < 3; k++)
            expect_bytes(page.runs[k].id, name(w, "run %d", i + k));
    }
}

static void backstop(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct kedge_claim in = claim_of(w, lease, 10);
    struct kedge_run_page page;

    run_parked(w, str("timed"), KEDGE_WAKES_ON_TIME | KEDGE_WAKES_ON_INTERRUPT, from_now(SEC(5)));
    run_parked(w, str("waits"), KEDGE_WAKES_ON_INTERRUPT, never());
    expect_eq(head(w, str("timed")).place, KEDGE_PLACE_PARKED);
    expect_eq(head(w, str("timed")).due, wall_now() + SEC(5));
    expect_eq(head(w, str("timed")).wakes_on, KEDGE_WAKES_ON_TIME | KEDGE_WAKES_ON_INTERRUPT);
    expect_eq(head(w, str("waits")).due, 0);
    refuse(do_claim(w, &in, &page), KEDGE_OK);
    expect_eq(page.n, 0);
    expect_eq(page.next_due, wall_now() + SEC(5));
    clock_advance(SEC(5));
    in = claim_of(w, lease, 10);
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, 1);
    expect_bytes(page.runs[0].id, str("timed"));
    expect_eq(head(w, str("timed")).status, KEDGE_RUNNING);
    expect_eq(head(w, str("timed")).wakes_on, 0);
    clock_advance(SEC(500));
    in = claim_of(w, lease, 10);
    refuse(do_claim(w, &in, &page), KEDGE_OK);
    expect(page.n == 0 && page.next_due == 0);
}

static void refused(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL), dead = lease_dead(w);
    struct kedge_claim in, good = claim_of(w, lease, 1);
    struct kedge_serve backwards = { str("q"), str("r"), 2, 1 }, nameless = serve_all;
    struct kedge_run_page page;

    run_due(w, str("a"), from_now(0));
    in = claim_of(w, dead, 1);
    refuse(do_claim(w, &in, &page), KEDGE_LOST);
    in = claim_of(w, random_id(w), 1);
    refuse(do_claim(w, &in, &page), KEDGE_LOST);
    in = good;
    in.request = (struct kedge_id128){ { 0 } };
    refuse(do_claim(w, &in, &page), KEDGE_ERR_INVALID);
    in = good;
    in.limit = 0;
    refuse(do_claim(w, &in, &page), KEDGE_ERR_INVALID);
    in.limit = w->limits.batch_items + 1;
    refuse(do_claim(w, &in, &page), KEDGE_ERR_INVALID);
    in = good;
    in.serves = &backwards;
    refuse(do_claim(w, &in, &page), KEDGE_ERR_INVALID);
    nameless.queue = none();
    in.serves = &nameless;
    refuse(do_claim(w, &in, &page), KEDGE_ERR_INVALID);
    in = good;
    in.hold_until = from_now(-1);
    refuse(do_claim(w, &in, &page), KEDGE_ERR_INVALID);
    in = good;
    in.limit = w->limits.batch_items;
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, 1);
}

/* Due at once, in the past, at a time, long after. */
static void due_times(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 1000 * TTL);
    struct kedge_run_page page;
    struct kedge_claim in = claim_of(w, lease, 10);

    run_due(w, str("past"), at(wall_now() - SEC(3600)));
    run_due(w, str("epoch"), at(1));
    run_due(w, str("century"), at(INT64_C(4102444800) * SEC(1)));
    run_due(w, str("end"), from_now(INT64_MAX)); /* saturates */
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, 2);
    expect_bytes(page.runs[0].id, str("epoch"));
    expect_bytes(page.runs[1].id, str("past"));
    expect_eq(page.next_due, INT64_C(4102444800) * SEC(1));
    expect(head(w, str("end")).due >= INT64_C(4102444800) * SEC(1));
    clock_set_wall(INT64_C(4102444800) * SEC(1));
    claim_one(w, str("century"), lease);
}

/* Moved to another queue, its run is served there and nowhere else. */
static void moved(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    const struct kedge_serve there = { str("elsewhere"), str("reactor"), 0, 9 };
    struct kedge_claim in = claim_of(w, lease, 5);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_run_page page;
    struct tx *t = tx_new(w);

    g_held(t, &r);
    c_set(t, r.id, KEDGE_SET_QUEUE)->set.queue = str("elsewhere");
    c_due(t, r.id, from_now(0));
    expect_tx(t, KEDGE_OK);
    refuse(do_claim(w, &in, &page), KEDGE_OK);
    expect_eq(page.n, 0);
    expect_eq(claim_serves(w, lease, &there, 1, 5, &page), 1);
    r.fence = page.runs[0].fence;
    release_due(w, &r, from_now(0));
    /* an unheld one is moved as well, and leaves its old place */
    t = tx_new(w);
    g_unheld(t, r.id, KEDGE_STATUSES_ALL, head(w, r.id).revision);
    c_set(t, r.id, KEDGE_SET_QUEUE)->set.queue = str("queue");
    expect_tx(t, KEDGE_OK);
    expect_eq(claim_serves(w, lease, &there, 1, 5, &page), 0);
    claim_one(w, r.id, lease);
}

const struct contract_case cases_claim[] = {
    { "claim-01", "nothing before its time, and when to look again", NEEDS_CLOCK, nothing_due },
    { "claim-02", "oldest due first, as many as asked for", NEEDS_CLOCK, oldest_first },
    { "claim-03", "holder, fence, hold_until; the rest is not touched", NEEDS_CLOCK,
      what_it_gives },
    { "claim-04", "only served queues, reactors and versions", NEEDS_CLOCK, served },
    { "claim-05", "runs nobody serves are listed and in nobody's way", NEEDS_CLOCK,
      unserved_crowd },
    { "claim-06", "overlapping ranges give a run once", 0, overlapping_serves },
    { "claim-07", "oldest first across queues", NEEDS_CLOCK, several_queues },
    { "claim-08", "a parked run comes back at its backstop", NEEDS_CLOCK, backstop },
    { "claim-09", "dead leases and senseless claims are refused", 0, refused },
    { "claim-10", "times long ago and far ahead", NEEDS_CLOCK, due_times },
    { "claim-11", "a run that changed its queue is served there", 0, moved },
    { NULL, NULL, 0, NULL },
};
