/* memory.c - cases: no memory, at each place where some is asked for */
#include "cases.h"

#include <stdlib.h>

struct scene {
    struct kedge_id128 lease;
    struct run held;
    struct kedge_bytes big;
};

/* Each answers the status of one operation; the same at every call that was refused before. */
typedef int operation_fn(struct world *w, struct scene *s, void *state);

static int op_commit(struct world *w, struct scene *s, void *state)
{
    (void)s;
    return tx_send(w, state);
}

static int op_claim(struct world *w, struct scene *s, void *state)
{
    struct kedge_run_page page;

    (void)s;
    return do_claim(w, state, &page);
}

static int op_grant(struct world *w, struct scene *s, void *state)
{
    struct kedge_lease_state st;

    (void)s;
    return do_grant(w, state, &st);
}

static int op_extend(struct world *w, struct scene *s, void *state)
{
    struct kedge_lease_state st;

    (void)state;
    return do_extend(w, s->lease, &st);
}

static int op_acquire(struct world *w, struct scene *s, void *state)
{
    struct kedge_lock_state st;

    return do_lock_acquire(w, str("lock"), s->lease, *(struct kedge_id128 *)state, &st);
}

static int op_retrieve(struct world *w, struct scene *s, void *state)
{
    struct kedge_run_state st;

    (void)state;
    return do_retrieve(w, s->held.id, 0, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL, &st);
}

static int op_records(struct world *w, struct scene *s, void *state)
{
    struct kedge_record_page page;

    (void)state;
    return do_records(w, s->held.id, 0, 1, 100, SIZE_MAX, &page);
}

static int op_slots(struct world *w, struct scene *s, void *state)
{
    struct kedge_slot_page page;

    (void)state;
    return do_slots(w, s->held.id, 0, 0, 0, 10, &page);
}

static int op_list(struct world *w, struct scene *s, void *state)
{
    struct kedge_list list = { .limit = 50 };
    struct kedge_run_page page;

    (void)s;
    (void)state;
    return do_list(w, &list, &page);
}

static int op_expired(struct world *w, struct scene *s, void *state)
{
    struct kedge_run_page page;

    (void)s;
    (void)state;
    return do_expired(w, none(), 50, &page);
}

static int op_leases(struct world *w, struct scene *s, void *state)
{
    struct kedge_lease_page page;

    (void)s;
    (void)state;
    return do_leases(w, none(), 50, &page);
}

static int op_held(struct world *w, struct scene *s, void *state)
{
    struct kedge_held_page page;

    (void)state;
    return do_held(w, s->lease, none(), 50, &page);
}

static int op_cell(struct world *w, struct scene *s, void *state)
{
    struct kedge_cell cell;

    (void)s;
    (void)state;
    return do_cell(w, str("cell"), &cell);
}

static int op_info(struct world *w, struct scene *s, void *state)
{
    struct kedge_info info;

    (void)s;
    (void)state;
    return do_info(w, &info);
}

static int op_revoke(struct world *w, struct scene *s, void *state)
{
    (void)s;
    return do_revoke(w, *(struct kedge_id128 *)state);
}

static int op_purge(struct world *w, struct scene *s, void *state)
{
    struct kedge_purged p;

    (void)s;
    (void)state;
    return do_purge(w, 100, &p);
}

/* Fail the first allocation, the second, ... until the operation gets by without. */
static void exhaust(struct world *w, struct scene *s, const char *what, operation_fn *op,
                    void *state)
{
    uint64_t n;

    for (n = 1;; n++) {
        char *before = dump(w);
        bool hit;
        int rc;

        context("%s, allocation %llu", what, (unsigned long long)n);
        alloc_fail_at(n);
        rc = op(w, s, state);
        hit = alloc_fail_at(0);
        if (rc == KEDGE_OK) {
            free(before);
            if (!hit)
                break;
        } else {
            expect_rc(rc, KEDGE_ERR_NOMEM);
            expect(hit);
            check_unchanged(__FILE__, __LINE__, what, w, before);
        }
        expect(n < 2000);
        if (rc == KEDGE_OK)
            break; /* it did without that one, and has been done */
    }
    context(NULL);
}

static void no_memory(struct world *w)
{
    static const struct kedge_serve serves[] = { { { "q", 1 }, { "r", 1 }, 0, 1 },
                                                 { { "p", 1 }, { "r", 1 }, 0, 1 } };
    struct scene s;
    struct kedge_claim claim;
    struct kedge_lease_new grant = { .id = random_id(w), .request = random_id(w), .ttl_us = TTL };
    struct kedge_id128 request = random_id(w), doomed = lease_make(w, 100 * TTL);
    struct tx *t;

    grant.owner = str("an owner with a name");
    grant.serves = serves;
    grant.n_serves = 2;
    s.lease = lease_make(w, 100 * TTL);
    s.big = blob(w, 70000, 1);
    s.held = run_held(w, str("held"), s.lease);
    run_held(w, str("doomed"), doomed);
    lock_take(w, str("doomed"), doomed);
    for (int i = 0; i < 3; i++)
        run_due(w, name(w, "due %d", i), from_now(0));
    t = tx_new(w);
    g_held(t, &s.held);
    c_append(t, s.held.id, 1, s.big);
    c_append(t, s.held.id, 2, str("two"));
    c_snapshot(t, s.held.id, 1, s.big);
    c_slots(t, s.held.id, 0, 3);
    c_slot_put(t, &s.held, 0, 1, s.big);
    c_create_held(t, str("new"), s.lease)->context = bytes(s.big.data, 1000);
    c_cell_put(t, str("cell"), bytes(s.big.data, 60000), never());
    c_lock_take(t, str("other"), s.lease);
    c_wake(t, str("due 0"));
    exhaust(w, &s, "commit", op_commit, t);
    expect_eq(head(w, s.held.id).position, 2);
    exhaust(w, &s, "lease_grant", op_grant, &grant);
    exhaust(w, &s, "lock_acquire", op_acquire, &request);
    exhaust(w, &s, "retrieve", op_retrieve, NULL);
    exhaust(w, &s, "retrieve_records", op_records, NULL);
    exhaust(w, &s, "retrieve_slots", op_slots, NULL);
    exhaust(w, &s, "list", op_list, NULL);
    exhaust(w, &s, "lease_list", op_leases, NULL);
    exhaust(w, &s, "list_held", op_held, NULL);
    exhaust(w, &s, "cell_get", op_cell, NULL);
    exhaust(w, &s, "info", op_info, NULL);
    exhaust(w, &s, "lease_extend", op_extend, NULL);
    claim = claim_of(w, s.lease, 10);
    exhaust(w, &s, "claim", op_claim, &claim);
    expect_eq(head(w, str("due 0")).place, KEDGE_PLACE_HELD);
    exhaust(w, &s, "lease_revoke", op_revoke, &doomed);
    expect_eq(head(w, str("doomed")).place, KEDGE_PLACE_DUE);
    run_rest(w, str("done"), KEDGE_COMPLETED, from_now(1));
    clock_advance(300 * TTL);
    exhaust(w, &s, "list_expired", op_expired, NULL);
    exhaust(w, &s, "purge", op_purge, NULL);
    expect_eq(is_there(w, str("done")), 0);
}

/* Opening without memory opens nothing, and leaves nothing. */
static void no_memory_to_open(struct world *w)
{
    struct kedge_open open = { sizeof open, 0, w->url, str(w->ns), w->options, NULL };

    for (uint64_t n = 1;; n++) {
        void *store = NULL, *session = NULL;
        bool hit;
        int rc;

        context("allocation %llu", (unsigned long long)n);
        w->err.msg[0] = '\0';
        alloc_fail_at(n);
        rc = w->ops->store_open(w->host, &open, &store, &w->err);
        if (rc == KEDGE_OK)
            rc = w->ops->session_open(store, &session, &w->err);
        hit = alloc_fail_at(0);
        w->ops->session_close(session);
        w->ops->store_close(store);
        if (rc == KEDGE_OK && !hit)
            break;
        if (rc != KEDGE_OK)
            expect_rc(rc, KEDGE_ERR_NOMEM);
        expect(n < 1000);
    }
}

/* What is taken once and kept, for the process or for the store, is taken in the first rounds. */
static void given_back(struct world *w)
{
    int64_t first = 0;

    for (int i = 0; i < 40; i++) {
        struct kedge_open open = { sizeof open, 0, w->url, str(w->ns), w->options, NULL };
        struct world other = *w;
        struct run r;

        if (i == 10)
            first = world_memory();
        other.keep = NULL;
        other.txs = NULL;
        other.rng = random_u64(w);
        expect_ok(w->ops->store_open(w->host, &open, &other.store, &w->err));
        expect_ok(w->ops->session_open(other.store, &other.session, &w->err));
        r = run_held(&other, str("a"), lease_make(&other, TTL));
        step(&other, &r, "one");
        release_rest(&other, &r, KEDGE_COMPLETED, from_now(0));
        purge_all(&other);
        world_forget(&other);
        w->ops->session_close(other.session);
        w->ops->store_close(other.store);
    }
    expect_eq(world_memory(), first);
}

const struct contract_case cases_memory[] = {
    { "memory-01", "an operation without memory changes nothing", NEEDS_CLOCK, no_memory },
    { "memory-02", "opening without memory fails cleanly", 0, no_memory_to_open },
    { "memory-03", "sessions and stores give back what they took", 0, given_back },
    { NULL, NULL, 0, NULL },
};
