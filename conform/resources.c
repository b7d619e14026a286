/* resources.c - cases: much of something at once */
#include "cases.h"

/* As many locks as a large installation has, each under a lease that lives; others go on. */
static void many_locks(struct world *w)
{
    enum { LOCKS = 100000, PER = 40 };
    struct kedge_id128 lease = lease_make(w, SEC(30000)), other = lease_make(w, SEC(30000));
    struct kedge_held_page held;
    struct kedge_bytes cursor = none();
    struct kedge_lock_state ks;
    size_t seen = 0;

    for (int i = 0; i < LOCKS; i += PER) {
        struct tx *t = tx_new(w);

        for (int k = i; k < i + PER; k++)
            c_lock_take(t, name(w, "lock %d", k), lease);
        expect_tx(t, KEDGE_OK);
        world_forget(w);
    }
    expect_rc(do_lock_acquire(w, str("lock 0"), other, random_id(w), &ks), KEDGE_HELD);
    expect_rc(do_lock_acquire(w, str("lock 99999"), other, random_id(w), &ks), KEDGE_HELD);
    lock_take(w, str("one more"), other);
    run_held(w, str("a run"), other);
    do {
        struct kedge_mem *kept = w->keep;

        w->keep = NULL;
        expect_ok(do_held(w, lease, cursor, w->limits.page_max, &held));
        seen += held.n;
        cursor = held.next;
        kedge_mem_free(w->host, kept);
    } while (cursor.len != 0);
    expect_eq(seen, LOCKS);
    expect_ok(do_revoke(w, lease)); /* and all of them are free in one step */
    lock_take(w, str("lock 0"), other);
    lock_take(w, str("lock 99999"), other);
    expect_ok(do_held(w, lease, none(), 10, &held));
    expect_eq(held.n, 0);
}

const struct contract_case cases_resources[] = {
    { "resources-01", "a hundred thousand locks at once", 0, many_locks },
    { NULL, NULL, 0, NULL },
};
