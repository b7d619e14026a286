/* resend.c - cases: what is sent again after ERR_UNKNOWN answers as it did, and is done once */
#include "cases.h"

#include <inttypes.h>

#include "fault_backend.h"

static void with_faults(struct world *w)
{
    w->ops = fault_wrap(w->ops, w->host);
}

/*
 * Send T, whose answer is lost although it was done, and once more: the same outcome and results.
 * WANT has the results it had.
 */
static void lost_and_resent(struct world *w, struct tx *t, const char *what)
{
    uint64_t first[TX_PARTS];
    struct kedge_answer answer;
    char *after;

    context("%s", what);
    /* what would the results be?  Ask the one who knows: send it, then pretend */
    fault_plan(FAULT_commit, 1, FAULT_AFTER);
    expect_tx(t, KEDGE_ERR_UNKNOWN);
    after = dump(w);
    expect_tx(t, KEDGE_OK);
    answer = t->answer;
    memcpy(first, t->results, sizeof first);
    check_unchanged(__FILE__, __LINE__, "a commit that was sent again", w, after);
    /* and it stays so */
    clock_advance(SEC(1));
    after = dump(w);
    expect_tx(t, KEDGE_OK);
    expect_eq(t->answer.revision, answer.revision);
    expect_eq(t->answer.fence, answer.fence);
    expect_eq(t->answer.position, answer.position);
    expect(memcmp(first, t->results, t->c.n_changes * sizeof first[0]) == 0);
    check_unchanged(__FILE__, __LINE__, "a commit that was sent a third time", w, after);
    context(NULL);
}

static void never_sent(struct world *w)
{
    struct tx *t = tx_new(w);

    with_faults(w);
    c_create_due(t, str("a"), from_now(0));
    fault_plan(FAULT_commit, 1, FAULT_BEFORE);
    refuse_tx(t, KEDGE_ERR_UNAVAILABLE, -1);
    expect_tx(t, KEDGE_OK);
    expect_eq(fault_hits(), 1);
    expect_eq(head(w, str("a")).incarnation, t->results[0]);
}

static void creations(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = { .id = str("held"), .lease = lease };
    struct tx *a, *b, *c;

    with_faults(w);
    a = tx_new(w);
    g_absent(a, str("due"));
    c_create_due(a, str("due"), from_now(SEC(60)));
    lost_and_resent(w, a, "create due");
    expect_eq(a->results[0], head(w, str("due")).incarnation);
    b = tx_new(w);
    c_create_held(b, str("held"), lease);
    lost_and_resent(w, b, "create held, unguarded");
    expect_eq(b->results[0], head(w, str("held")).fence);
    c = tx_new(w);
    g_absent(c, str("full"));
    c_create_held(c, str("full"), lease);
    c_append(c, str("full"), 1, str("one"));
    c_snapshot(c, str("full"), 1, str("state"));
    c_cell_put(c, str("key"), str("full"), never());
    c_slots(c, str("full"), 0, 2);
    lost_and_resent(w, c, "create with everything");
    expect_eq(c->results[3], cell_version(w, str("key")));

    /* the creation is remembered when the run has gone on, and when it is over */
    r.fence = b->results[0];
    step(w, &r, "one");
    release_due(w, &r, from_now(0));
    r = claim_one(w, r.id, lease);
    step(w, &r, "two");
    refuse_tx(b, KEDGE_OK, -1);
    expect_eq(b->results[0], head(w, str("held")).incarnation);
    release_rest(w, &r, KEDGE_COMPLETED, never());
    refuse_tx(b, KEDGE_OK, -1);
    /* another request for the same id is not */
    b = tx_new(w);
    c_create_held(b, str("held"), lease);
    refuse_tx(b, KEDGE_EXISTS, 0);
}

/* Every change on a held run, each alone in its commit. */
static void held_changes(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct kedge_bytes records[] = { str("two"), str("three") };
    struct run r = run_held(w, str("a"), lease);
    struct tx *t;

    with_faults(w);
    t = tx_new(w);
    g_held(t, &r);
    c_append(t, r.id, 1, str("one"));
    lost_and_resent(w, t, "append");
    expect_eq(t->results[0], 1);
    t = tx_new(w);
    g_held(t, &r);
    g_position(t, r.id, 1);
    c_append_n(t, r.id, 2, records, 2);
    lost_and_resent(w, t, "append two");
    expect_eq(t->results[0], 3);
    t = tx_new(w);
    g_held(t, &r);
    c_snapshot(t, r.id, 3, str("state"));
    lost_and_resent(w, t, "snapshot");
    t = tx_new(w);
    g_held(t, &r);
    c_set(t, r.id, KEDGE_SET_QUEUE)->set.queue = str("elsewhere");
    lost_and_resent(w, t, "set");
    t = tx_new(w);
    g_held(t, &r);
    c_slots(t, r.id, 0, 3);
    lost_and_resent(w, t, "slots");
    t = tx_new(w);
    g_held(t, &r);
    c_append(t, r.id, 4, str("four"));
    c_snapshot(t, r.id, 4, str("state"));
    c_create_child(t, str("child"), &r, 0, 0);
    c_cell_put(t, str("cell"), str("value"), never());
    c_lock_take(t, str("lock"), lease);
    c_wake(t, str("nobody"));
    lost_and_resent(w, t, "many at once");
    expect_eq(t->results[0], 4);
    expect_eq(t->results[2], head(w, str("child")).incarnation);
    expect_eq(t->results[3], cell_version(w, str("cell")));
    t = tx_new(w);
    g_held(t, &r);
    c_park(t, r.id, KEDGE_WAKES_ON_INTERRUPT, never());
    lost_and_resent(w, t, "park");
    r = run_take(w, r.id, lease);
    t = tx_new(w);
    g_held(t, &r);
    c_due(t, r.id, from_now(SEC(3600)));
    lost_and_resent(w, t, "release");
    r = run_take(w, r.id, lease);
    t = tx_new(w);
    g_held(t, &r);
    c_append(t, r.id, 5, str("the end"));
    c_rest(t, r.id, KEDGE_COMPLETED, never());
    lost_and_resent(w, t, "rest");
    expect_eq(t->results[0], 5);
    expect(fault_hits() == 9);
}

static void takes(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL), other = lease_make(w, 100 * TTL);
    struct run r = run_due(w, str("a"), from_now(0)), theirs;
    struct tx *t = tx_new(w), *again;
    uint64_t first;

    with_faults(w);
    g_unheld(t, r.id, KEDGE_STATUSES_ALL, head(w, r.id).revision);
    c_take(t, r.id, lease);
    lost_and_resent(w, t, "take");
    expect_eq(t->results[0], head(w, r.id).fence);
    again = tx_new(w);
    g_unheld(again, r.id, KEDGE_STATUSES_ALL, t->answer.revision);
    c_take(again, r.id, other);
    refuse_tx(again, KEDGE_STALE, 0); /* another request: it is held */
    /* its holder dies, somebody else takes it: the old answer is still the answer */
    first = t->results[0];
    expect_ok(do_revoke(w, lease));
    theirs = run_take(w, r.id, other);
    expect(theirs.fence > first);
    refuse_tx(t, KEDGE_OK, -1);
    expect_eq(t->results[0], first);
    expect_eq(t->answer.fence, first);
    step(w, &theirs, "one");
}

static void shared_things(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct run p = run_held(w, str("p"), lease);
    struct tx *t = tx_new(w);
    uint64_t version;

    g_held(t, &p);
    c_slots(t, p.id, 0, 3);
    expect_tx(t, KEDGE_OK);
    with_faults(w);
    t = tx_new(w);
    g_cell(t, str("cell"), 0);
    c_cell_put(t, str("cell"), str("one"), from_now(SEC(3600)));
    lost_and_resent(w, t, "cell put");
    version = cell_version(w, str("cell"));
    expect_eq(t->results[0], version);
    t = tx_new(w);
    g_cell(t, str("cell"), version);
    c_cell_put(t, str("cell"), str("two"), never());
    lost_and_resent(w, t, "cell put over another");
    expect(cell_version(w, str("cell")) > version);
    t = tx_new(w);
    g_live(t, lease);
    c_lock_take(t, str("lock"), lease);
    lost_and_resent(w, t, "lock take");
    t = tx_new(w);
    c_slot_put(t, &p, 0, 1, str("result"));
    lost_and_resent(w, t, "slot put");
    t = tx_new(w);
    c_request(t, p.id, KEDGE_REQUEST_PAUSE);
    fault_plan(FAULT_commit, 1, FAULT_AFTER);
    expect_tx(t, KEDGE_ERR_UNKNOWN);
    expect_tx(t, KEDGE_OK);
    expect_eq(head(w, p.id).requests, KEDGE_REQUEST_PAUSE);
    t = tx_new(w);
    c_cell_delete(t, str("cell"));
    fault_plan(FAULT_commit, 1, FAULT_AFTER);
    expect_tx(t, KEDGE_ERR_UNKNOWN);
    expect_tx(t, KEDGE_OK);
    expect_eq(cell_version(w, str("cell")), 0);
}

/* A finished step's commit, whose answer is lost, and meanwhile somebody else has the run. */
static void after_another_holder(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL), other = lease_make(w, 100 * TTL);
    struct run r = run_held(w, str("a"), lease), theirs;
    struct tx *t = tx_new(w), *different;
    struct kedge_answer first;

    with_faults(w);
    g_held(t, &r);
    c_append(t, r.id, 1, str("one"));
    c_cell_put(t, str("cell"), str("value"), never());
    c_due(t, r.id, from_now(0));
    fault_plan(FAULT_commit, 1, FAULT_AFTER);
    expect_tx(t, KEDGE_ERR_UNKNOWN);
    theirs = claim_one(w, r.id, other);
    refuse_tx(t, KEDGE_OK, -1);
    first = t->answer;
    expect_eq(t->results[0], 1);
    expect_eq(t->results[1], cell_version(w, str("cell")));
    expect_eq(first.position, 1);
    step(w, &theirs, "two");
    refuse_tx(t, KEDGE_OK, -1);
    expect_eq(t->answer.revision, first.revision);
    /* the same place in the journal under another request: somebody else was there */
    different = tx_new(w);
    g_held(different, &r);
    c_append(different, r.id, 1, str("one"));
    refuse_tx(different, KEDGE_STALE, -1);
    different = tx_new(w);
    g_held(different, &theirs);
    c_append(different, r.id, 1, str("one"));
    refuse_tx(different, KEDGE_STALE, 1);
}

/* Without a record to recognise it by. */
static void after_another_holder_plain(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL), other = lease_make(w, 100 * TTL);
    struct run r = run_held(w, str("a"), lease), theirs;
    struct tx *t = tx_new(w);

    with_faults(w);
    g_held(t, &r);
    c_set(t, r.id, KEDGE_SET_RECOVERIES)->set.recoveries = 2;
    c_due(t, r.id, from_now(0));
    fault_plan(FAULT_commit, 1, FAULT_AFTER);
    expect_tx(t, KEDGE_ERR_UNKNOWN);
    theirs = claim_one(w, r.id, other);
    refuse_tx(t, KEDGE_OK, -1);
    release_parked(w, &theirs, KEDGE_WAKES_ON_INTERRUPT, never());
    refuse_tx(t, KEDGE_OK, -1); /* the last commit under the previous fence */
}

/* Long ago, under a fence that is neither the present nor the previous one. */
static void after_many_holders(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct run r = run_held(w, str("a"), lease);
    struct tx *t = tx_new(w), *different = tx_new(w);

    with_faults(w);
    g_held(t, &r);
    c_append(t, r.id, 1, str("one"));
    c_cell_put(t, str("cell"), str("first"), never());
    c_due(t, r.id, from_now(0));
    fault_plan(FAULT_commit, 1, FAULT_AFTER);
    expect_tx(t, KEDGE_ERR_UNKNOWN);
    g_held(different, &r);
    c_append(different, r.id, 1, str("one"));
    for (int i = 0; i < 4; i++) {
        struct run next = run_take(w, r.id, lease);

        step(w, &next, "another");
        cell_put(w, str("cell"), "another");
        release_due(w, &next, from_now(0));
    }
    refuse_tx(t, KEDGE_OK, -1); /* its record is there for ever */
    expect_eq(t->results[0], 1);
    expect_eq(t->answer.position, 1);
    refuse_tx(different, KEDGE_STALE, -1);
}

/* The holder died after the commit took place; it was buried, and its successor went on. */
static void after_burial(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL), other = lease_make(w, 100 * TTL);
    struct run r = run_held(w, str("a"), lease), theirs;
    struct tx *t = tx_new(w), *late = tx_new(w);

    with_faults(w);
    g_held(t, &r);
    c_append(t, r.id, 1, str("one"));
    fault_plan(FAULT_commit, 1, FAULT_AFTER);
    expect_tx(t, KEDGE_ERR_UNKNOWN);
    g_held(late, &r);
    c_append(late, r.id, 2, str("two"));
    fault_plan(FAULT_commit, 1, FAULT_BEFORE);
    expect_tx(late, KEDGE_ERR_UNAVAILABLE);
    clock_advance(TTL);
    expect_ok(do_bury(w, lease));
    refuse_tx(t, KEDGE_OK, -1);
    refuse_tx(late, KEDGE_LOST, 0);
    theirs = run_take(w, r.id, other);
    refuse_tx(t, KEDGE_OK, -1);
    refuse_tx(late, KEDGE_STALE, 0);
    step(w, &theirs, "two");
    refuse_tx(t, KEDGE_OK, -1);
    refuse_tx(late, KEDGE_STALE, 0);
}

static void whole_batch(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct tx *t[4];
    struct kedge_commit commits[4];
    struct kedge_answer answers[4];
    uint64_t results[4][TX_PARTS] = { 0 };
    struct run r = run_held(w, str("a"), lease);

    with_faults(w);
    for (int i = 0; i < 4; i++)
        t[i] = tx_new(w);
    g_held(t[0], &r);
    c_append(t[0], r.id, 1, str("one"));
    c_create_due(t[1], str("new"), from_now(0));
    c_cell_put(t[2], str("cell"), str("value"), never());
    g_held_by(t[3], str("nobody"), lease, 1);
    c_wake(t[3], r.id);
    for (int i = 0; i < 4; i++)
        commits[i] = *tx_ready(t[i]);
    fault_plan(FAULT_commit, 1, FAULT_AFTER);
    expect_rc(w->ops->commit(w->session, commits, 4, answers, PATIENCE, &w->err),
              KEDGE_ERR_UNKNOWN);
    for (int i = 0; i < 4; i++)
        expect_eq(answers[i].outcome, KEDGE_ERR_UNKNOWN);
    for (int round = 0; round < 2; round++) {
        char *before = dump(w);

        tx_send_batch(w, t, 4);
        for (int i = 0; i < 4; i++) {
            expect_outcome(t[i], i == 3 ? KEDGE_NOT_FOUND : KEDGE_OK);
            if (round == 0)
                memcpy(results[i], t[i]->results, sizeof results[i]);
            expect(memcmp(results[i], t[i]->results, sizeof results[i]) == 0);
        }
        check_unchanged(__FILE__, __LINE__, "a batch that was sent again", w, before);
    }
    expect_eq(results[0][0], 1);
    expect_eq(results[1][0], head(w, str("new")).incarnation);
    expect_eq(results[2][0], cell_version(w, str("cell")));
}

/* The same commit twice in a batch: done once, answered twice. */
static void twice_in_a_batch(struct world *w)
{
    struct tx *a = tx_new(w), *b = tx_new(w), *both[2] = { a, b };

    c_create_due(a, str("a"), from_now(0));
    c_cell_put(a, str("cell"), str("value"), never());
    c_create_due(b, str("a"), from_now(0));
    c_cell_put(b, str("cell"), str("value"), never());
    b->c.request = a->c.request;
    tx_send_batch(w, both, 2);
    expect_outcome(a, KEDGE_OK);
    expect_outcome(b, KEDGE_OK);
    expect_eq(a->results[0], b->results[0]);
    expect_eq(a->results[1], b->results[1]);
    expect_eq(cell_version(w, str("cell")), a->results[1]);
}

static void claims(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct kedge_claim in = claim_of(w, lease, 3);
    struct kedge_run_page page;
    struct run taken[3];

    run_held(w, str("held before"), lease); /* what this claim did not take is not in its answer */
    for (int i = 0; i < 5; i++) {
        clock_advance(1);
        run_due(w, name(w, "run %d", i), from_now(0));
    }
    with_faults(w);
    fault_plan(FAULT_claim, 1, FAULT_AFTER);
    expect_rc(do_claim(w, &in, &page), KEDGE_ERR_UNKNOWN);
    refuse(do_claim(w, &in, &page), KEDGE_OK);
    expect_eq(page.n, 3);
    for (size_t i = 0; i < 3; i++) {
        struct kedge_run h = head(w, page.runs[i].id);

        expect_eq(h.fence, page.runs[i].fence);
        expect_eq(page.runs[i].place, KEDGE_PLACE_HELD);
        taken[i] = (struct run){ .id = h.id, .lease = lease, .fence = h.fence };
    }
    /* what it still holds: one was let go since, and even claimed again by another request */
    release_due(w, &taken[1], from_now(0));
    refuse(do_claim(w, &in, &page), KEDGE_OK);
    expect_eq(page.n, 2);
    for (size_t i = 0; i < 2; i++)
        expect(!same_bytes(page.runs[i].id, taken[1].id));
    /* another request takes the rest */
    in = claim_of(w, lease, 10);
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, 3);
    in = claim_of(w, lease, 10);
    fault_plan(FAULT_claim, 1, FAULT_BEFORE);
    refuse(do_claim(w, &in, &page), KEDGE_ERR_UNAVAILABLE);
}

static void leases_and_locks(struct world *w)
{
    struct kedge_lease_new in = { .id = random_id(w), .request = random_id(w), .ttl_us = TTL };
    struct kedge_id128 request = random_id(w);
    struct kedge_lease_state st;
    struct kedge_lock_state ks, again;

    with_faults(w);
    fault_plan(FAULT_lease_grant, 1, FAULT_AFTER);
    expect_rc(do_grant(w, &in, &st), KEDGE_ERR_UNKNOWN);
    expect_eq(lease_state_of(w, in.id), KEDGE_LEASE_LIVE);
    expect_ok(do_grant(w, &in, &st));
    expect_eq(st.remaining_us, TTL);

    fault_plan(FAULT_lock_acquire, 1, FAULT_AFTER);
    expect_rc(do_lock_acquire(w, str("lock"), in.id, request, &ks), KEDGE_ERR_UNKNOWN);
    expect_ok(do_lock_query(w, str("lock"), &ks));
    refuse(do_lock_acquire(w, str("lock"), in.id, request, &again), KEDGE_OK);
    expect_eq(again.fence, ks.fence);
    refuse(do_lock_acquire(w, str("lock"), in.id, random_id(w), &again), KEDGE_HELD);

    fault_plan(FAULT_lease_extend, 1, FAULT_AFTER);
    clock_advance(SEC(1));
    expect_rc(do_extend(w, in.id, &st), KEDGE_ERR_UNKNOWN);
    expect_ok(do_extend(w, in.id, &st));
    expect_eq(st.deadline, lease_now() + TTL);

    fault_plan(FAULT_lock_release, 1, FAULT_AFTER);
    expect_rc(do_lock_release(w, str("lock"), in.id, ks.fence), KEDGE_ERR_UNKNOWN);
    expect_rc(do_lock_release(w, str("lock"), in.id, ks.fence), KEDGE_NOT_FOUND);
    fault_plan(FAULT_lease_revoke, 1, FAULT_AFTER);
    expect_rc(do_revoke(w, in.id), KEDGE_ERR_UNKNOWN);
    expect_ok(do_revoke(w, in.id));
    refuse(do_lock_acquire(w, str("lock"), in.id, request, &again), KEDGE_LOST);
}

/* Across closing and opening the store. */
static void after_reopening(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, 100 * TTL);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_claim in = claim_of(w, lease, 2);
    struct kedge_run_page page;
    struct tx *create = tx_new(w), *append = tx_new(w), *release = tx_new(w), *cell = tx_new(w);
    uint64_t created, version;

    run_due(w, str("due"), from_now(0));
    c_create_due(create, str("b"), from_now(SEC(60)));
    expect_tx(create, KEDGE_OK);
    created = create->results[0];
    g_held(append, &r);
    c_append(append, r.id, 1, str("one"));
    expect_tx(append, KEDGE_OK);
    g_held(release, &r);
    c_due(release, r.id, from_now(SEC(60)));
    expect_tx(release, KEDGE_OK);
    c_cell_put(cell, str("cell"), str("value"), never());
    expect_tx(cell, KEDGE_OK);
    version = cell->results[0];
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, 1);
    world_reopen(w);
    refuse_tx(create, KEDGE_OK, -1);
    expect_eq(create->results[0], created);
    refuse_tx(append, KEDGE_OK, -1);
    expect_eq(append->results[0], 1);
    refuse_tx(release, KEDGE_OK, -1);
    refuse_tx(cell, KEDGE_OK, -1);
    expect_eq(cell->results[0], version);
    refuse(do_claim(w, &in, &page), KEDGE_OK);
    expect_eq(page.n, 1);
    expect_bytes(page.runs[0].id, str("due"));
}

const struct contract_case cases_resend[] = {
    { "resend-01", "what was never sent changes nothing and is carried out then", 0, never_sent },
    { "resend-02", "a creation sent again answers with the run it made", NEEDS_CLOCK, creations },
    { "resend-03", "every change of a held run, sent again", NEEDS_CLOCK, held_changes },
    { "resend-04", "a take sent again has the same fence", NEEDS_CLOCK, takes },
    { "resend-05", "cells, locks, slots, requests, deletes, sent again", NEEDS_CLOCK,
      shared_things },
    { "resend-06", "sent again after another holder took the run", 0, after_another_holder },
    { "resend-07", "the same, of a commit that appended nothing", 0, after_another_holder_plain },
    { "resend-14", "the same, many holders later", 0, after_many_holders },
    { "resend-08", "sent again after a burial", NEEDS_CLOCK, after_burial },
    { "resend-09", "a whole batch, sent again", 0, whole_batch },
    { "resend-10", "one commit twice in a batch is done once", 0, twice_in_a_batch },
    { "resend-11", "a claim sent again answers what it took and still holds", NEEDS_CLOCK, claims },
    { "resend-12", "grants and locks sent again", NEEDS_CLOCK, leases_and_locks },
    { "resend-13", "sent again after the store was opened anew", 0, after_reopening },
    { NULL, NULL, 0, NULL },
};
