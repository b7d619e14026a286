/*
 * map.c - a backend over an ordered map: sessions, leases, locks, commits, claims
 *
 * Every decision is the rules' (rules.h).  Here is what one transaction has to hold.
 */
#include "map.h"

#include "map_rows.h"

const struct kedge_limits kit_map_limits = {
    .struct_size = sizeof kit_map_limits,
    .id_max = 1024,
    .value_max = 16u << 20,
    .cell_max = 64u << 10,
    .batch_items = 256,
    .batch_bytes = 1u << 20,
    .commit_changes = 1000,
    .commit_bytes = 32u << 20, /* a value of full size, and the names around it */
    .page_max = 1000,
    .ttl_min_us = 1000,
    .ttl_max_us = INT64_C(366) * 86400 * 1000000,
};

/* ------------------------------------------------------------------- sessions */

int kit_map_session_open(void *store, void **session, struct kedge_error *err)
{
    struct kit_map_store *st = store;
    struct map_session *s;

    if (!kit_map_mine(st))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "the store was opened before fork() and cannot be used after it");
    s = st->host->alloc(st->host->ctx, sizeof *s);
    if (s != NULL) {
        s->store = st;
        s->scratch = kit_scratch_new(st->host);
    }
    if (s == NULL || s->scratch == NULL) {
        st->host->release(st->host->ctx, s);
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    *session = s;
    return KEDGE_OK;
}

void kit_map_session_close(void *session)
{
    struct map_session *s = session;

    if (s == NULL)
        return;
    kit_scratch_free(s->scratch);
    s->store->host->release(s->store->host->ctx, s);
}

int kit_map_info(void *session, struct kedge_info *out, int64_t timeout_us, struct kedge_error *err)
{
    const struct kit_map_store *store = ((struct map_session *)session)->store;
    struct kedge_info in = { .server = store->server,
                             .durability = store->durability,
                             .schema = KIT_MAP_SCHEMA,
                             .caps = store->ops->caps,
                             .incarnation = store->incarnation,
                             .limits = *store->ops->limits };
    struct kedge_bytes text = { store->place, strlen(store->place) + 1 };
    struct map_step s;
    int rc = kit_map_begin(session, &s, false, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    if (!kit_copy(store->host, &in.mem, text, &text))
        return kit_map_end(&s, KEDGE_ERR_NOMEM, err);
    in.place = text.data;
    *out = in;
    return kit_map_end(&s, KEDGE_OK, err);
}

int kit_map_now(void *session, struct kedge_time *out, int64_t timeout_us, struct kedge_error *err)
{
    struct map_step s;
    int rc = kit_map_begin(session, &s, false, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    out->wall = s.kit.now_wall;
    out->lease = s.kit.now_lease;
    return kit_map_end(&s, KEDGE_OK, err);
}

/* --------------------------------------------------------------------- leases */

static int check_lease(const struct kedge_id128 *lease, struct kedge_error *err)
{
    return kit_id_zero(lease)
               ? kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the id of the lease is missing")
               : KEDGE_OK;
}

static void lease_state(const struct kit_lease *lease, int64_t now_lease,
                        struct kedge_lease_state *out)
{
    struct kit_lease view = *lease;

    kit_lease_view(&view, now_lease);
    *out = (struct kedge_lease_state){ .deadline = view.l.deadline,
                                       .remaining_us = view.l.remaining_us,
                                       .attention = view.l.attention,
                                       .hint = KEDGE_HINT_NONE };
}

int kit_map_lease_grant(void *session, const struct kedge_lease_new *in,
                        struct kedge_lease_state *out, int64_t timeout_us, struct kedge_error *err)
{
    const struct kit_map_store *store = ((struct map_session *)session)->store;
    struct kedge_lease_state state = { 0 };
    const struct kit_lease *old;
    struct kit_lease lease;
    struct map_step s;
    int rc = kit_check_lease(store->ops->limits, in, err);

    if (rc == KEDGE_OK)
        rc = kit_map_begin(session, &s, true, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = kit_map_lease(&s, &in->id, &old);
    if (rc == KEDGE_OK) {
        lease = *old;
        rc = kit_id_equal(&old->grant_request, &in->request) ? KEDGE_OK : KEDGE_EXISTS;
    } else if (rc == KEDGE_NOT_FOUND) {
        kit_lease_init(&lease, in, s.kit.now_wall, s.kit.now_lease);
        lease.l.incarnation = store->incarnation;
        rc = s.kit.store->lease_put(&s, &lease);
    }
    if (rc == KEDGE_OK)
        lease_state(&lease, s.kit.now_lease, &state);
    rc = kit_map_end(&s, rc, err);
    if (rc == KEDGE_OK)
        *out = state;
    return rc;
}

/* Inside a step. */
static int extend(struct map_step *s, const struct kedge_id128 *id, struct kedge_lease_state *out)
{
    const struct kit_lease *old;
    struct kit_lease lease;
    int rc = kit_map_lease(s, id, &old);

    if (rc != KEDGE_OK)
        return rc == KEDGE_NOT_FOUND ? KEDGE_LOST : rc;
    lease = *old;
    rc = kit_lease_extend(&lease, s->kit.now_lease);
    if (rc != KEDGE_OK)
        return rc;
    lease.l.incarnation = s->store->incarnation;
    lease_state(&lease, s->kit.now_lease, out);
    return s->kit.store->lease_put(s, &lease);
}

int kit_map_lease_extend(void *session, const struct kedge_id128 *id, struct kedge_lease_state *out,
                         int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_lease_state state;
    struct map_step s;
    int rc = kit_map_begin(session, &s, true, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = kit_map_end(&s, extend(&s, id, &state), err);
    if (rc == KEDGE_OK)
        *out = state;
    return rc;
}

static int kill_lease(struct map_step *s, const struct kit_lease *old)
{
    struct kit_lease lease = *old;

    kit_lease_kill(&lease, s->kit.now_lease);
    return s->kit.store->lease_put(s, &lease);
}

static int hand_back_all(struct map_step *s, const struct kedge_id128 *id)
{
    struct map_key prefix = kit_map_key_id('h', id);
    struct map_scan scan = kit_map_scan(&prefix);
    const struct kit_lock *lock;
    const struct kit_run *run;
    int rc;

    while ((rc = kit_map_scan_next(s, &scan)) == KEDGE_OK) {
        struct kit_run back;

        rc = kit_map_run(s, scan.value, &run);
        if (rc == KEDGE_ERR_CORRUPT)
            continue; /* its trouble is its own */
        if (rc != KEDGE_OK)
            return rc;
        back = *run;
        kit_run_hand_back(&back, s->kit.now_wall);
        rc = s->kit.store->run_put(s, run, &back);
        if (rc != KEDGE_OK)
            return rc;
    }
    prefix = kit_map_key_id('k', id);
    scan = kit_map_scan(&prefix);
    while (rc == KEDGE_NOT_FOUND && (rc = kit_map_scan_next(s, &scan)) == KEDGE_OK) {
        struct kedge_bytes name = kit_map_scan_rest(&scan);

        rc = s->kit.store->lock_get(s, name, &lock);
        if (rc == KEDGE_OK)
            rc = s->kit.store->lock_delete(s, name, lock);
        if (rc != KEDGE_OK)
            return rc;
        rc = KEDGE_NOT_FOUND; /* go on */
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

int kit_map_lease_revoke(void *session, const struct kedge_id128 *id, int64_t timeout_us,
                         struct kedge_error *err)
{
    const struct kit_lease *lease;
    struct map_step s;
    int rc = kit_map_begin(session, &s, true, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = kit_map_lease(&s, id, &lease);
    if (rc == KEDGE_OK && lease->l.state != KEDGE_LEASE_DEAD) {
        rc = kill_lease(&s, lease);
        if (rc == KEDGE_OK)
            rc = hand_back_all(&s, id);
    }
    return kit_map_end(&s, rc, err);
}

/* There is no hint and the server, if any, is not asked how it fared: the deadline decides. */
int kit_map_lease_bury(void *session, const struct kedge_id128 *id, int64_t timeout_us,
                       struct kedge_error *err)
{
    static const struct kit_suspicion none;
    const struct kit_lease *old;
    struct kit_lease lease;
    struct map_step s;
    int rc = kit_map_begin(session, &s, true, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = kit_map_lease(&s, id, &old);
    if (rc != KEDGE_OK || old->l.state == KEDGE_LEASE_DEAD)
        return kit_map_end(&s, rc, err);
    lease = *old;
    if (kit_lease_restamp(&lease, s.kit.now_lease)) {
        rc = s.kit.store->lease_put(&s, &lease);
        return kit_map_end(&s, rc == KEDGE_OK ? KEDGE_HELD : rc, err);
    }
    rc = kit_lease_may_bury(old, s.kit.now_lease, &none);
    if (rc == KEDGE_OK)
        rc = kill_lease(&s, old);
    return kit_map_end(&s, rc, err);
}

/* ---------------------------------------------------------------------- locks */

static int begin_lock(struct map_session *session, struct kedge_bytes name, struct map_step *s,
                      bool write, int64_t timeout_us, struct kedge_error *err)
{
    int rc = kit_check_name(session->store->ops->limits, name, "the name of the lock", err);

    return rc == KEDGE_OK ? kit_map_begin(session, s, write, timeout_us, err) : rc;
}

int kit_map_lock_acquire(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                         const struct kedge_id128 *request, struct kedge_lock_state *out,
                         int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_lock_state state = { 0 };
    struct map_step s;
    int rc = check_lease(lease, err);

    if (rc == KEDGE_OK && kit_id_zero(request))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the request id is missing");
    if (rc == KEDGE_OK)
        rc = begin_lock(session, name, &s, true, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = kit_map_end(&s, kit_lock_acquire(&s.kit, name, lease, request, &state), err);
    if (rc == KEDGE_OK || rc == KEDGE_HELD)
        *out = state;
    return rc;
}

int kit_map_lock_extend(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                        uint64_t fence, struct kedge_lock_state *out, int64_t timeout_us,
                        struct kedge_error *err)
{
    struct kedge_lease_state ignored;
    struct kedge_lock_state state = { 0 };
    struct map_step s;
    int rc = begin_lock(session, name, &s, true, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = kit_lock_check(&s.kit, name, lease, fence);
    if (rc == KEDGE_OK)
        rc = extend(&s, lease, &ignored);
    if (rc == KEDGE_OK)
        rc = kit_lock_query(&s.kit, name, &state);
    rc = kit_map_end(&s, rc, err);
    if (rc == KEDGE_OK)
        *out = state;
    return rc;
}

int kit_map_lock_release(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                         uint64_t fence, int64_t timeout_us, struct kedge_error *err)
{
    struct map_step s;
    int rc = begin_lock(session, name, &s, true, timeout_us, err);

    return rc == KEDGE_OK ? kit_map_end(&s, kit_lock_release(&s.kit, name, lease, fence), err) : rc;
}

int kit_map_lock_query(void *session, struct kedge_bytes name, struct kedge_lock_state *out,
                       int64_t timeout_us, struct kedge_error *err)
{
    struct map_step s;
    int rc = begin_lock(session, name, &s, false, timeout_us, err);

    return rc == KEDGE_OK ? kit_map_end(&s, kit_lock_query(&s.kit, name, out), err) : rc;
}

/* --------------------------------------------------------------------- commit */

static void all_failed(struct kedge_answer *answers, size_t n, int rc)
{
    for (size_t i = 0; i < n; i++) {
        memset(&answers[i], 0, sizeof answers[i]);
        answers[i].outcome = rc;
        (void)snprintf(answers[i].why, sizeof answers[i].why, "%s",
                       rc == KEDGE_ERR_UNKNOWN ? "nobody can tell whether this was written"
                                               : "the store could not be used");
    }
}

/* All in one transaction.  *BROKEN: one of them could not be written, and none has been. */
static int commit_all(struct map_session *session, const struct kedge_commit *commits, size_t n,
                      struct kedge_answer *answers, bool *broken, int64_t timeout_us,
                      struct kedge_error *err)
{
    struct map_step s;
    int rc = kit_map_begin(session, &s, true, timeout_us, err);

    *broken = false;
    if (rc != KEDGE_OK)
        return rc;
    for (size_t i = 0; rc == KEDGE_OK && i < n; i++)
        if (answers[i].outcome == KEDGE_OK)
            rc = kit_commit(&s.kit, &commits[i], &answers[i]);
    *broken = rc != KEDGE_OK;
    rc = kit_map_end(&s, rc, err);
    *broken = *broken || (rc != KEDGE_OK && rc != KEDGE_ERR_UNKNOWN);
    return rc;
}

/* Each in its own, so that one that cannot be written does not take its neighbours along. */
static int commit_each(struct map_session *session, const struct kedge_commit *commits, size_t n,
                       struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_error own;
    int stop = KEDGE_OK;
    int rc = kit_check_batch(session->store->ops->limits, commits, n, answers, err);

    for (size_t i = 0; rc == KEDGE_OK && i < n; i++) {
        bool broken = false;
        int failed = stop;

        if (answers[i].outcome != KEDGE_OK)
            continue;
        if (stop == KEDGE_OK)
            failed = commit_all(session, &commits[i], 1, &answers[i], &broken, timeout_us, &own);
        if (failed != KEDGE_OK && !(broken && answers[i].outcome == failed))
            all_failed(&answers[i], 1, failed);
        if (failed != KEDGE_OK && !broken)
            stop = KEDGE_ERR_UNAVAILABLE; /* the time to wait was for all of them */
    }
    return rc;
}

int kit_map_commit(void *session, const struct kedge_commit *commits, size_t n,
                   struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err)
{
    struct map_session *ms = session;
    bool broken;
    int rc = kit_check_batch(ms->store->ops->limits, commits, n, answers, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = commit_all(ms, commits, n, answers, &broken, timeout_us, err);
    if (rc == KEDGE_OK)
        return rc;
    if (broken && n > 1)
        return commit_each(ms, commits, n, answers, timeout_us, err);
    if (broken && n == 1 && answers[0].outcome == rc)
        return KEDGE_OK; /* the answer says it, and more */
    all_failed(answers, n, rc);
    return rc;
}

/* ---------------------------------------------------------------------- claim */

struct claim {
    struct map_step s; /* first */
    const struct kedge_claim *in;
    const struct kedge_host *host;
    struct kedge_run_page page;
};

static int hand_out(struct claim *c, const struct kit_run *run)
{
    if (!kit_copy_run(c->host, &c->page.mem, &run->r, &c->page.runs[c->page.n]))
        return KEDGE_ERR_NOMEM;
    c->page.n++;
    return KEDGE_OK;
}

/* What the first claim of this request took and its lease still holds. */
static int claim_again(struct claim *c)
{
    struct map_key prefix = kit_map_key_id('h', &c->in->lease);
    struct map_scan scan = kit_map_scan(&prefix);
    const struct kit_run *run;
    int rc;

    while (c->page.n < c->in->limit && (rc = kit_map_scan_next(&c->s, &scan)) != KEDGE_NOT_FOUND) {
        if (rc == KEDGE_OK)
            rc = kit_map_run(&c->s, scan.value, &run);
        if (rc == KEDGE_ERR_CORRUPT)
            continue;
        if (rc == KEDGE_OK && kit_id_equal(&run->take_request, &c->in->request))
            rc = hand_out(c, run);
        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

static int take(struct claim *c, const struct kit_run *old)
{
    struct kit_run run = *old;
    int rc;

    kit_run_take(&run, &c->in->lease, c->s.kit.store->fence_next(&c->s), &c->in->request,
                 c->in->hold_until, c->s.kit.now_wall);
    rc = c->s.kit.store->run_put(&c->s, old, &run);
    return rc == KEDGE_OK ? hand_out(c, &run) : rc;
}

/* Oldest due first, up to MOST; the first that is left tells next_due. */
static int claim_new(struct claim *c, size_t most)
{
    struct map_key prefix = kit_map_key('d');
    struct map_scan scan = kit_map_scan(&prefix);
    const struct kit_run *run;
    int rc;

    while ((rc = kit_map_scan_next(&c->s, &scan)) == KEDGE_OK) {
        rc = kit_map_run(&c->s, scan.value, &run);
        if (rc == KEDGE_ERR_CORRUPT)
            continue; /* it is for people, and not in the way of others */
        if (rc != KEDGE_OK)
            return rc;
        if (!kit_served(&run->r, c->in->serves, c->in->n_serves))
            continue;
        if (c->page.n == most || !kit_run_claimable(run, c->s.kit.now_wall)) {
            c->page.next_due = run->r.due;
            return KEDGE_OK;
        }
        rc = take(c, run);
        if (rc != KEDGE_OK)
            return rc;
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

static int claim_in_step(struct claim *c)
{
    const struct kit_lease *lease;
    struct kit_lease record;
    int rc = kit_map_lease(&c->s, &c->in->lease, &lease);

    if (rc == KEDGE_NOT_FOUND || (rc == KEDGE_OK && lease->l.state == KEDGE_LEASE_DEAD))
        return KEDGE_LOST;
    if (rc != KEDGE_OK)
        return rc;
    c->page.runs = kedge_mem_alloc(c->host, &c->page.mem, c->in->limit * sizeof *c->page.runs);
    if (c->page.runs == NULL)
        return KEDGE_ERR_NOMEM;
    if (kit_id_equal(&lease->claim_request, &c->in->request)) {
        rc = claim_new(c, 0);
        return rc == KEDGE_OK ? claim_again(c) : rc;
    }
    rc = claim_new(c, c->in->limit);
    if (rc != KEDGE_OK || c->page.n == 0)
        return rc;
    record = *lease;
    record.claim_request = c->in->request;
    return c->s.kit.store->lease_put(&c->s, &record);
}

int kit_map_claim(void *session, const struct kedge_claim *in, struct kedge_run_page *out,
                  int64_t timeout_us, struct kedge_error *err)
{
    const struct kit_map_store *store = ((struct map_session *)session)->store;
    struct claim c = { .in = in, .host = store->host };
    int rc = kit_check_claim(store->ops->limits, in, err);

    if (rc == KEDGE_OK)
        rc = kit_map_begin(session, &c.s, true, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = kit_map_end(&c.s, claim_in_step(&c), err);
    if (rc == KEDGE_OK)
        *out = c.page;
    else
        kedge_mem_free(c.host, c.page.mem);
    return rc;
}
