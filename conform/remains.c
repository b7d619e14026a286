/* remains.c - what must be so after a process has died; see remains.h */
#include "remains.h"

#define PAGE 20

void remains_check(struct world *w)
{
    struct kedge_verified v;
    int rc = do_verify(w, &v);

    if (rc == KEDGE_ERR_UNSUPPORTED)
        return;
    expect_rc(rc, KEDGE_OK);
    if (v.faults != 0)
        fail_case(__FILE__, __LINE__, "verify finds %llu faults; the first: %s",
                  (unsigned long long)v.faults, v.first);
}

void remains_work_goes_on(struct world *w, uint64_t n)
{
    struct kedge_bytes id = name(w, "alive-%llu", (unsigned long long)n);
    struct kedge_serve serve = serve_all;
    struct kedge_id128 lease = lease_make(w, TTL);
    struct kedge_claim in = claim_of(w, lease, 1);
    struct kedge_run_page page;
    struct tx *t = tx_new(w);
    struct run r;

    serve.queue = id;
    in.serves = &serve;
    c_create_due(t, id, from_now(0))->queue = id;
    expect_tx(t, KEDGE_OK);
    expect_ok(do_claim(w, &in, &page));
    expect_eq(page.n, 1);
    r = (struct run){ id, lease, page.runs[0].fence, page.runs[0].incarnation, 0 };
    step(w, &r, "alive");
    release_rest(w, &r, KEDGE_COMPLETED, from_now(0));
    expect_ok(do_revoke(w, lease));
}

/* All of these are taken, and come to rest. */
static void finish(struct world *w, const struct kedge_run_page *page, struct kedge_id128 lease)
{
    struct tx *take[PAGE], *rest[PAGE];

    if (page->n == 0)
        return;
    for (size_t i = 0; i < page->n; i++) {
        const struct kedge_run *r = &page->runs[i];

        take[i] = tx_new(w);
        g_unheld(take[i], r->id, KEDGE_STATUSES_UNFINISHED, r->revision);
        c_take(take[i], r->id, lease);
    }
    tx_send_batch(w, take, page->n);
    for (size_t i = 0; i < page->n; i++) {
        struct tx *t = rest[i] = tx_new(w);

        expect_outcome(take[i], KEDGE_OK);
        g_held_by(t, page->runs[i].id, lease, take[i]->results[0]);
        c_rest(t, page->runs[i].id, KEDGE_COMPLETED, from_now(0));
    }
    tx_send_batch(w, rest, page->n);
    for (size_t i = 0; i < page->n; i++)
        expect_outcome(rest[i], KEDGE_OK);
}

void remains_end(struct world *w, struct kedge_id128 lease)
{
    struct kedge_list unfinished = { .statuses = KEDGE_STATUSES_UNFINISHED, .limit = PAGE };
    struct kedge_id128 heir;
    struct kedge_run_page page;

    world_forget(w);
    /* By its deadline, if that can be made to pass. */
    if ((w->ops->caps & KEDGE_CAP_SERVER_CLOCK) == 0 || clock_of_server(w->ops) != NULL) {
        clock_advance(REMAINS_TTL + SEC(1));
        expect_ok(do_bury(w, lease));
    } else {
        expect_ok(do_revoke(w, lease));
    }
    heir = lease_make(w, REMAINS_TTL);
    do {
        expect_ok(do_expired(w, none(), PAGE, &page));
        finish(w, &page, heir);
    } while (page.n != 0);
    do {
        expect_ok(do_list(w, &unfinished, &page));
        finish(w, &page, heir);
    } while (page.n != 0);
    (void)purge_all(w);
    world_check(w);
}
