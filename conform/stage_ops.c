/* stage_ops.c - every operation of the contract, as stage.h wants it */
#include <inttypes.h>
#include <stdlib.h>

#include "stage.h"

/* `w' of the checks is the one whose call it is. */
#define HOUR SEC(3600)

/* ---------------------------------------------------------- things of a stage */

static void quiet(struct world *w)
{
    w->err.code = 0;
    w->err.msg[0] = '\0';
}

/* A failure says why, and the same in both places. */
static int told(struct world *w, int rc)
{
    if (rc < 0 && (w->err.code != rc || w->err.msg[0] == '\0'))
        fail_case(__FILE__, __LINE__, "%s without a message", status_name(rc));
    return rc;
}

static void lease_new(struct stage *s, int64_t ttl)
{
    s->made[s->n_made++] = lease_make(s->d, ttl);
}

static struct run *held(struct stage *s)
{
    size_t i = s->n_runs++;

    s->run[i] = run_held(s->d, name(s->d, "r%d-%zu", s->number, i), s->lease);
    return &s->run[i];
}

static void cell_new(struct stage *s)
{
    s->cell[s->n_cells] = name(s->d, "c%d-%zu", s->number, s->n_cells);
    s->n_cells++;
}

static void lock_new(struct stage *s)
{
    s->lock[s->n_locks] = name(s->d, "l%d-%zu", s->number, s->n_locks);
    s->n_locks++;
}

static struct tx *tx_add(struct stage *s, int want)
{
    s->tx[s->n_tx] = tx_new(s->d);
    s->want[s->n_tx] = want;
    return s->tx[s->n_tx++];
}

static void outcome_check(struct stage *s, size_t i)
{
    struct tx *t = s->tx[i];
    size_t size = t->c.n_changes * sizeof t->results[0];

    if (t->answer.outcome < 0) {
        if (memchr(t->answer.why, '\0', sizeof t->answer.why) == NULL || t->answer.why[0] == '\0')
            fail_case(__FILE__, __LINE__, "item %zu: %s without a sentence", i,
                      status_name(t->answer.outcome));
        return;
    }
    if (t->answer.outcome != s->want[i])
        fail_case(__FILE__, __LINE__, "item %zu: expected %s, got %s at part %" PRIu32, i,
                  status_name(s->want[i]), status_name(t->answer.outcome), t->answer.at);
    if (t->answer.outcome != KEDGE_OK)
        return;
    if (s->done[i] && memcmp(s->results[i], t->results, size) != 0)
        fail_case(__FILE__, __LINE__, "item %zu has other results than before", i);
    s->done[i] = true;
    memcpy(s->results[i], t->results, size);
}

/* All of them, as one call; the worst that is said of one. */
static int call_commit(struct stage *s)
{
    static struct kedge_commit commits[STAGE_TXS];
    static struct kedge_answer answers[STAGE_TXS];
    struct world *w = s->w;
    int worst = KEDGE_OK;
    int rc;

    for (size_t i = 0; i < s->n_tx; i++) {
        commits[i] = *tx_ready(s->tx[i]);
        answers[i].outcome = 99;
    }
    quiet(w);
    rc = told(w, w->ops->commit(w->session, commits, s->n_tx, answers, s->patience, &w->err));
    if (rc > 0)
        fail_case(__FILE__, __LINE__, "commit itself answers %s", status_name(rc));
    for (size_t i = 0; i < s->n_tx; i++) {
        int outcome = answers[i].outcome;

        if (outcome == 99 || (rc < 0 && outcome != rc))
            fail_case(__FILE__, __LINE__, "commit answers %s, its item %zu %s", status_name(rc), i,
                      status_name(outcome));
        s->tx[i]->answer = answers[i];
        if (rc == KEDGE_OK)
            outcome_check(s, i);
        if (outcome == KEDGE_ERR_UNKNOWN || (outcome < 0 && worst == KEDGE_OK))
            worst = outcome;
    }
    return worst;
}

static struct kedge_run now_of(struct stage *s, size_t i)
{
    return head(s->d, s->run[i].id);
}

/* ------------------------------------------------------------------- leases */

static void prepare_grant(struct stage *s)
{
    s->made[s->n_made++] = random_id(s->d);
    s->request = random_id(s->d);
}

static int call_grant(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_lease_new in = { .id = s->made[0],
                                  .request = s->request,
                                  .owner = str("somebody"),
                                  .serves = &serve_all,
                                  .n_serves = 1,
                                  .ttl_us = HOUR };
    struct kedge_lease_state st;
    int rc;

    quiet(w);
    rc = told(w, w->ops->lease_grant(w->session, &in, &st, s->patience, &w->err));
    if (rc == KEDGE_OK)
        expect(st.remaining_us > HOUR - SEC(60) && st.remaining_us <= HOUR);
    return rc;
}

static void check_live(struct stage *s)
{
    expect_eq(lease_state_of(s->d, s->made[0]), KEDGE_LEASE_LIVE);
}

static void prepare_lease(struct stage *s)
{
    lease_new(s, HOUR);
}

static int call_extend(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_lease_state st;
    int rc;

    quiet(w);
    rc = told(w, w->ops->lease_extend(w->session, &s->made[0], &st, s->patience, &w->err));
    if (rc == KEDGE_OK)
        expect(st.remaining_us > HOUR - SEC(60) && st.remaining_us <= HOUR);
    return rc;
}

/* A run and a lock under the lease that was made. */
static void prepare_possessions(struct stage *s)
{
    struct kedge_id128 lease = s->lease;

    s->lease = s->made[0];
    held(s);
    lock_new(s);
    lock_take(s->d, s->lock[0], s->lease);
    s->lease = lease;
}

static void prepare_revoke(struct stage *s)
{
    lease_new(s, HOUR);
    prepare_possessions(s);
}

static int call_revoke(struct stage *s)
{
    quiet(s->w);
    return told(s->w, s->w->ops->lease_revoke(s->w->session, &s->made[0], s->patience, &s->w->err));
}

static void check_revoked(struct stage *s)
{
    struct world *w = s->d;
    struct kedge_lock_state st;

    expect_eq(lease_state_of(w, s->made[0]), KEDGE_LEASE_DEAD);
    expect_eq(now_of(s, 0).place, KEDGE_PLACE_DUE);
    expect_eq(now_of(s, 0).recoveries, 0);
    expect_rc(do_lock_query(w, s->lock[0], &st), KEDGE_NOT_FOUND);
}

static void prepare_bury(struct stage *s)
{
    lease_new(s, MS(20) > s->d->limits.ttl_min_us ? MS(20) : s->d->limits.ttl_min_us);
    prepare_possessions(s);
    while (lease_state_of(s->d, s->made[0]) != KEDGE_LEASE_LAPSED)
        pause_us(MS(1));
}

static int call_bury(struct stage *s)
{
    quiet(s->w);
    return told(s->w, s->w->ops->lease_bury(s->w->session, &s->made[0], s->patience, &s->w->err));
}

static void check_buried(struct stage *s)
{
    struct world *w = s->d;
    struct kedge_lock_state st;

    expect_eq(lease_state_of(w, s->made[0]), KEDGE_LEASE_DEAD);
    expect_eq(now_of(s, 0).place, KEDGE_PLACE_HELD);
    expect_rc(do_lock_query(w, s->lock[0], &st), KEDGE_NOT_FOUND);
}

/* -------------------------------------------------------------------- locks */

static void prepare_lock(struct stage *s)
{
    lock_new(s);
    s->request = random_id(s->d);
}

static int call_lock_acquire(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_lock_state st;
    int rc;

    quiet(w);
    rc = told(w, w->ops->lock_acquire(w->session, s->lock[0], &s->lease, &s->request, &st,
                                      s->patience, &w->err));
    if (rc == KEDGE_OK) {
        expect(same_id(&st.holder, &s->lease));
        expect(s->fence[0] == 0 || s->fence[0] == st.fence);
        s->fence[0] = st.fence;
    }
    return rc;
}

static void check_locked(struct stage *s)
{
    struct world *w = s->d;
    struct kedge_lock_state st;

    expect_ok(do_lock_query(w, s->lock[0], &st));
    expect(same_id(&st.holder, &s->lease));
    expect_eq(st.fence, s->fence[0]);
}

static void prepare_locked(struct stage *s)
{
    lock_new(s);
    s->fence[0] = lock_take(s->d, s->lock[0], s->lease);
}

static int call_lock_extend(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_lock_state st;
    int rc;

    quiet(w);
    rc = told(w, w->ops->lock_extend(w->session, s->lock[0], &s->lease, s->fence[0], &st,
                                     s->patience, &w->err));
    if (rc == KEDGE_OK)
        expect_eq(st.fence, s->fence[0]);
    return rc;
}

static int call_lock_release(struct stage *s)
{
    struct world *w = s->w;

    quiet(w);
    return told(w, w->ops->lock_release(w->session, s->lock[0], &s->lease, s->fence[0], s->patience,
                                        &w->err));
}

static void check_unlocked(struct stage *s)
{
    struct world *w = s->d;
    struct kedge_lock_state st;

    expect_rc(do_lock_query(w, s->lock[0], &st), KEDGE_NOT_FOUND);
}

/* ------------------------------------------------------------------ commits */

static void prepare_create_due(struct stage *s)
{
    struct tx *t = tx_add(s, KEDGE_OK);

    s->run[s->n_runs++].id = name(s->d, "r%d", s->number);
    g_absent(t, s->run[0].id);
    c_create_due(t, s->run[0].id, from_now(HOUR));
}

static void check_created(struct stage *s)
{
    struct kedge_run r = now_of(s, 0);

    expect_eq(r.incarnation, s->results[0][0]);
    expect_eq(r.position, 0);
}

static void prepare_create_held(struct stage *s)
{
    struct tx *t = tx_add(s, KEDGE_OK);

    s->run[s->n_runs++].id = name(s->d, "r%d", s->number);
    g_absent(t, s->run[0].id);
    c_create_held(t, s->run[0].id, s->lease);
    c_append(t, s->run[0].id, 1, str("the input"));
}

static void check_created_held(struct stage *s)
{
    struct kedge_run r = now_of(s, 0);

    expect_eq(r.incarnation, s->results[0][0]);
    expect_eq(r.place, KEDGE_PLACE_HELD);
    expect_eq(r.position, 1);
}

static void prepare_append(struct stage *s)
{
    struct run *r = held(s);
    struct tx *t;

    step(s->d, r, "one");
    t = tx_add(s, KEDGE_OK);
    g_held(t, r);
    c_append(t, r->id, 2, str("two"));
}

static void check_appended(struct stage *s)
{
    expect_eq(now_of(s, 0).position, 2);
    expect_eq(s->results[0][0], 2);
}

static void prepare_append_large(struct stage *s)
{
    struct run *r = held(s);
    struct tx *t;

    step(s->d, r, "one");
    t = tx_add(s, KEDGE_OK);
    g_held(t, r);
    c_append(t, r->id, 2, blob(s->d, 1 << 20, (uint64_t)s->number));
}

/* Everything a step's commit may say beside its record. */
static void prepare_checkpoint(struct stage *s)
{
    struct run *r = held(s);
    struct tx *t = tx_add(s, KEDGE_OK);

    cell_new(s);
    lock_new(s);
    g_held(t, r);
    g_position(t, r->id, 0);
    g_cell(t, s->cell[0], 0);
    c_append(t, r->id, 1, str("one"));
    c_snapshot(t, r->id, 1, str("the state"));
    c_set(t, r->id, KEDGE_SET_RECOVERIES)->set.recoveries = 3;
    c_cell_put(t, s->cell[0], str("value"), never());
    c_lock_take(t, s->lock[0], s->lease);
}

static void check_checkpoint(struct stage *s)
{
    struct kedge_run r = now_of(s, 0);

    expect_eq(r.position, 1);
    expect_eq(r.snapshot_position, 1);
    expect_eq(cell_version(s->d, s->cell[0]), s->results[0][3]);
    s->fence[0] = s->results[0][4];
    check_locked(s);
}

static void prepare_finish(struct stage *s)
{
    struct run *r = held(s);
    struct tx *t;

    step(s->d, r, "one");
    t = tx_add(s, KEDGE_OK);
    g_held(t, r);
    c_append(t, r->id, 2, str("the end"));
    c_rest(t, r->id, KEDGE_COMPLETED, from_now(HOUR));
}

static void check_finished(struct stage *s)
{
    struct kedge_run r = now_of(s, 0);

    expect_eq(r.position, 2);
    expect_eq(r.place, KEDGE_PLACE_REST);
    expect_eq(r.status, KEDGE_COMPLETED);
}

static void prepare_hand_on(struct stage *s)
{
    struct run *r = held(s);
    struct tx *t = tx_add(s, KEDGE_OK);

    g_held(t, r);
    c_due(t, r->id, from_now(HOUR));
}

static void check_due(struct stage *s)
{
    expect_eq(now_of(s, 0).place, KEDGE_PLACE_DUE);
}

static void prepare_park(struct stage *s)
{
    struct run *r = held(s);
    struct tx *t = tx_add(s, KEDGE_OK);

    g_held(t, r);
    c_append(t, r->id, 1, str("waits"));
    c_park(t, r->id, KEDGE_WAKES_ON_INTERRUPT, never());
}

static void check_parked(struct stage *s)
{
    expect_eq(now_of(s, 0).place, KEDGE_PLACE_PARKED);
    expect_eq(now_of(s, 0).position, 1);
}

static void prepare_take(struct stage *s)
{
    struct run *r = &s->run[s->n_runs++];
    struct tx *t = tx_add(s, KEDGE_OK);

    *r = run_due(s->d, name(s->d, "r%d", s->number), from_now(HOUR));
    g_unheld(t, r->id, KEDGE_STATUSES_ALL, now_of(s, 0).revision);
    c_take(t, r->id, s->lease);
}

static void check_taken(struct stage *s)
{
    expect_eq(now_of(s, 0).place, KEDGE_PLACE_HELD);
    expect_eq(now_of(s, 0).fence, s->results[0][0]);
}

/* The last child comes to rest, fills its slot and wakes the parent. */
static void prepare_child(struct stage *s)
{
    struct run *p = held(s);
    struct run *c = &s->run[1];
    struct tx *t = tx_new(s->d);

    g_held(t, p);
    c_slots(t, p->id, 0, 1);
    expect_tx(t, KEDGE_OK);
    c->id = name(s->d, "r%d-child", s->number);
    t = tx_new(s->d);
    c_create_child(t, c->id, p, 0, 0);
    expect_tx(t, KEDGE_OK);
    *c = run_take(s->d, c->id, s->lease);
    s->n_runs = 2;
    release_parked(s->d, p, KEDGE_WAKES_ON_SLOTS, never());
    t = tx_add(s, KEDGE_OK);
    g_held(t, c);
    c_append(t, c->id, 1, str("the result"));
    c_rest(t, c->id, KEDGE_COMPLETED, from_now(HOUR));
    c_slot_put(t, p, 0, 0, str("the result"));
}

static void check_child(struct stage *s)
{
    expect_eq(now_of(s, 0).place, KEDGE_PLACE_DUE);
    expect_eq(now_of(s, 1).place, KEDGE_PLACE_REST);
    expect_eq(now_of(s, 1).position, 1);
}

/* What has no request id to be known by: twice is as good as once. */
static void prepare_request(struct stage *s)
{
    struct run *r = held(s);
    struct tx *t = tx_add(s, KEDGE_OK);

    cell_new(s);
    cell_put(s->d, s->cell[0], "old");
    s->any_revision = true;
    c_request(t, r->id, KEDGE_REQUEST_CANCEL);
    c_wake(t, r->id);
    c_cell_delete(t, s->cell[0]);
}

static void check_requested(struct stage *s)
{
    expect_eq(now_of(s, 0).requests, KEDGE_REQUEST_CANCEL);
    expect_eq(now_of(s, 0).wake_mark, 1);
    expect_eq(cell_version(s->d, s->cell[0]), 0);
}

/* Plain appends, others, and two that are refused, in one call. */
static void prepare_batch(struct stage *s)
{
    struct tx *t;

    cell_new(s);
    for (int i = 0; i < 4; i++)
        held(s);
    for (int i = 0; i < 3; i++) {
        t = tx_add(s, KEDGE_OK);
        g_held(t, &s->run[i]);
        c_append(t, s->run[i].id, 1, str("one"));
    }
    t = tx_add(s, KEDGE_STALE);
    g_held_by(t, s->run[3].id, s->lease, s->run[3].fence + 1);
    c_append(t, s->run[3].id, 1, str("not mine"));
    t = tx_add(s, KEDGE_OK);
    s->run[4].id = name(s->d, "r%d-new", s->number);
    s->n_runs = 5;
    c_create_due(t, s->run[4].id, from_now(HOUR));
    t = tx_add(s, KEDGE_OK);
    c_cell_put(t, s->cell[0], str("value"), never());
    t = tx_add(s, KEDGE_NOT_FOUND);
    g_held_by(t, name(s->d, "nothing"), s->lease, 1);
    c_append(t, name(s->d, "nothing"), 1, str("nobody's"));
}

static void check_batch(struct stage *s)
{
    for (size_t i = 0; i < 3; i++)
        expect_eq(now_of(s, i).position, 1);
    expect_eq(now_of(s, 3).position, 0);
    expect_eq(now_of(s, 4).incarnation, s->results[4][0]);
    expect_eq(cell_version(s->d, s->cell[0]), s->results[5][0]);
}

static void prepare_appends(struct stage *s)
{
    for (size_t i = 0; i < STAGE_RUNS; i++)
        held(s);
    for (size_t i = 0; i < STAGE_TXS; i++) {
        struct tx *t = tx_add(s, KEDGE_OK);

        g_held(t, &s->run[i]);
        c_append(t, s->run[i].id, 1, blob(s->d, 256, i));
    }
}

static void check_appends(struct stage *s)
{
    for (size_t i = 0; i < s->n_runs; i++)
        expect_eq(now_of(s, i).position, 1);
}

/* -------------------------------------------------------------------- claim */

static void prepare_claim(struct stage *s)
{
    s->serve = serve_all;
    s->serve.queue = name(s->d, "q%d", s->number);
    s->request = random_id(s->d);
    for (int i = 0; i < 3; i++) {
        struct run *r = &s->run[s->n_runs++];
        struct tx *t = tx_new(s->d);

        r->id = name(s->d, "r%d-%d", s->number, i);
        c_create_due(t, r->id, from_now(0))->queue = s->serve.queue;
        expect_tx(t, KEDGE_OK);
    }
}

static size_t run_number(struct stage *s, struct kedge_bytes id)
{
    for (size_t i = 0; i < s->n_runs; i++)
        if (same_bytes(s->run[i].id, id))
            return i;
    fail_case(__FILE__, __LINE__, "a claim hands out %.*s", (int)id.len, (const char *)id.data);
}

static int call_claim(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_claim in = {
        .request = s->request, .lease = s->lease, .serves = &s->serve, .n_serves = 1, .limit = 10
    };
    struct kedge_run_page page = { .n = 0 };
    int rc;

    quiet(w);
    rc = told(w, w->ops->claim(w->session, &in, &page, s->patience, &w->err));
    if (rc != KEDGE_OK)
        return rc;
    expect_eq(page.n, 3);
    for (size_t k = 0; k < page.n; k++) {
        size_t i = run_number(s, page.runs[k].id);

        expect(s->fence[i] == 0 || s->fence[i] == page.runs[k].fence);
        s->fence[i] = page.runs[k].fence;
    }
    kedge_mem_free(w->host, page.mem);
    return rc;
}

static void check_claimed(struct stage *s)
{
    for (size_t i = 0; i < s->n_runs; i++) {
        struct kedge_run r = now_of(s, i);

        expect_eq(r.place, KEDGE_PLACE_HELD);
        expect(same_id(&r.holder, &s->lease));
        expect_eq(r.fence, s->fence[i]);
    }
}

/* -------------------------------------------------------------------- purge */

static void prepare_purge(struct stage *s)
{
    struct tx *t = tx_new(s->d);

    for (int i = 0; i < 3; i++) {
        struct run *r = held(s);

        step(s->d, r, "one");
        release_rest(s->d, r, KEDGE_COMPLETED, from_now(0));
    }
    cell_new(s);
    c_cell_put(t, s->cell[0], str("value"), from_now(0));
    expect_tx(t, KEDGE_OK);
}

static int call_purge(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_purged out;
    int rc;

    do {
        quiet(w);
        rc = told(w, w->ops->purge(w->session, 1000, &out, s->patience, &w->err));
    } while (rc == KEDGE_OK && out.more != 0);
    return rc;
}

static void check_purged(struct stage *s)
{
    struct kedge_purged p = purge_all(s->d);

    expect_eq(p.runs, 0);
    expect_eq(p.rows, 0);
}

/* -------------------------------------------------------------------- reads */

static void prepare_reading(struct stage *s)
{
    struct run *r = held(s);
    struct tx *t;

    for (int i = 0; i < 5; i++)
        step(s->d, r, "a record");
    t = tx_new(s->d);
    g_held(t, r);
    c_snapshot(t, r->id, 3, str("the state"));
    c_slots(t, r->id, 0, 4);
    c_slot_put(t, r, 0, 2, str("a result"));
    expect_tx(t, KEDGE_OK);
    cell_new(s);
    s->fence[0] = cell_put(s->d, s->cell[0], "value");
    lock_new(s);
    s->fence[1] = lock_take(s->d, s->lock[0], s->lease);
}

static int call_retrieve(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_retrieve in = { .id = s->run[0].id,
                                 .want = KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL };
    struct kedge_run_state st = { .n_tail = 0 };
    int rc;

    quiet(w);
    rc = told(w, w->ops->retrieve(w->session, &in, &st, s->patience, &w->err));
    if (rc != KEDGE_OK)
        return rc;
    expect_bytes(st.run.id, s->run[0].id);
    expect_eq(st.run.position, 5);
    expect_bytes(st.snapshot, str("the state"));
    expect_eq(st.n_tail, 2);
    expect_eq(st.tail[1].number, 5);
    kedge_mem_free(w->host, st.mem);
    return rc;
}

static int call_records(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_record_page page = { .n = 0 };
    int rc;

    quiet(w);
    rc = told(w, w->ops->retrieve_records(w->session, s->run[0].id, 0, 2, 3, 1 << 20, &page,
                                          s->patience, &w->err));
    if (rc != KEDGE_OK)
        return rc;
    expect_eq(page.n, 3);
    for (size_t i = 0; i < 3; i++) {
        expect_eq(page.records[i].number, 2 + i);
        expect_bytes(page.records[i].data, str("a record"));
    }
    expect_eq(page.next, 5);
    kedge_mem_free(w->host, page.mem);
    return rc;
}

static int call_slots(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_slot_page page = { .n = 0 };
    int rc;

    quiet(w);
    rc = told(w, w->ops->retrieve_slots(w->session, s->run[0].id, s->run[0].incarnation, 0, 0, 10,
                                        &page, s->patience, &w->err));
    if (rc != KEDGE_OK)
        return rc;
    expect_eq(page.n, 1);
    expect_eq(page.slots[0].index, 2);
    expect_bytes(page.slots[0].value, str("a result"));
    expect_eq(page.total, 4);
    expect_eq(page.remaining, 3);
    kedge_mem_free(w->host, page.mem);
    return rc;
}

static int call_list(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_list in = { .limit = 1, .newest_first = 1 };
    struct kedge_run_page page = { .n = 0 };
    int rc;

    quiet(w);
    rc = told(w, w->ops->list(w->session, &in, &page, s->patience, &w->err));
    if (rc != KEDGE_OK)
        return rc;
    expect_eq(page.n, 1);
    expect_bytes(page.runs[0].id, s->run[0].id);
    expect_eq(page.runs[0].position, 5);
    kedge_mem_free(w->host, page.mem);
    return rc;
}

static int call_cell(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_cell cell = { .version = 0 };
    int rc;

    quiet(w);
    rc = told(w, w->ops->cell_get(w->session, s->cell[0], &cell, s->patience, &w->err));
    if (rc != KEDGE_OK)
        return rc;
    expect_eq(cell.version, s->fence[0]);
    expect_bytes(cell.value, str("value"));
    kedge_mem_free(w->host, cell.mem);
    return rc;
}

static int call_lock_query(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_lock_state st;
    int rc;

    quiet(w);
    rc = told(w, w->ops->lock_query(w->session, s->lock[0], &st, s->patience, &w->err));
    if (rc == KEDGE_OK) {
        expect_eq(st.fence, s->fence[1]);
        expect(same_id(&st.holder, &s->lease));
    }
    return rc;
}

static int call_list_held(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_held_page page = { .n = 0 };
    int rc;

    quiet(w);
    rc = told(w,
              w->ops->list_held(w->session, &s->made[0], none(), 10, &page, s->patience, &w->err));
    if (rc != KEDGE_OK)
        return rc;
    expect_eq(page.n, 2);
    for (size_t i = 0; i < 2; i++)
        expect_bytes(page.held[i].name, page.held[i].is_lock != 0 ? s->lock[0] : s->run[0].id);
    expect(page.held[0].is_lock != page.held[1].is_lock);
    kedge_mem_free(w->host, page.mem);
    return rc;
}

/* Page by page, as others before may have left many there. */
static int call_lease_list(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_lease_page page = { .n = 0 };
    bool there = false;
    int rc;

    quiet(w);
    do {
        struct kedge_mem *last = page.mem;

        rc = told(w, w->ops->lease_list(w->session, page.next, 100, &page, s->patience, &w->err));
        kedge_mem_free(w->host, last);
        if (rc != KEDGE_OK)
            return rc;
        for (size_t i = 0; i < page.n; i++)
            there |= same_id(&page.leases[i].id, &s->lease);
    } while (!there && page.next.len != 0);
    expect(there);
    kedge_mem_free(w->host, page.mem);
    return rc;
}

static int call_expired(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_run_page page = { .n = 0 };
    bool there = false;
    int rc;

    quiet(w);
    do {
        struct kedge_mem *last = page.mem;

        rc = told(w, w->ops->list_expired(w->session, page.next, 256, &page, s->patience, &w->err));
        kedge_mem_free(w->host, last);
        if (rc != KEDGE_OK)
            return rc;
        for (size_t i = 0; i < page.n; i++)
            if (same_bytes(page.runs[i].id, s->run[0].id)) {
                expect_eq(page.reasons[i], KEDGE_SWEEP_LAPSED);
                there = true;
            }
    } while (!there && page.next.len != 0);
    expect(there);
    kedge_mem_free(w->host, page.mem);
    return rc;
}

/* It is listed no more. */
static void check_expired(struct stage *s)
{
    struct world *w = s->d;

    expect_ok(do_revoke(w, s->made[0]));
}

static void prepare_nothing(struct stage *s)
{
    (void)s;
}

static int call_now(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_time t, real;
    int rc;

    quiet(w);
    rc = told(w, w->ops->now(w->session, &t, s->patience, &w->err));
    if (rc == KEDGE_OK) {
        check_rc(__FILE__, __LINE__, "now", s->d, do_now(s->d, &real), KEDGE_OK);
        expect(t.wall <= real.wall && t.wall > real.wall - SEC(60));
    }
    return rc;
}

static int call_info(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_info info = { .durability = 0 };
    int rc;

    quiet(w);
    rc = told(w, w->ops->info(w->session, &info, s->patience, &w->err));
    if (rc != KEDGE_OK)
        return rc;
    expect_eq(info.durability, s->d->durability);
    expect(info.server != NULL && info.server[0] != '\0');
    kedge_mem_free(w->host, info.mem);
    return rc;
}

static int call_verify(struct stage *s)
{
    struct world *w = s->w;
    struct kedge_verified v = { .faults = 0 };
    int rc;

    quiet(w);
    rc = told(w, w->ops->verify(w->session, &v, s->patience, &w->err));
    if (rc != KEDGE_OK)
        return rc;
    if (v.faults != 0)
        fail_case(__FILE__, __LINE__, "verify finds %" PRIu64 " faults: %s", v.faults, v.first);
    expect(v.runs >= 1 && v.records >= 5);
    kedge_mem_free(w->host, v.mem);
    return rc;
}

static bool has_verify(struct world *w)
{
    struct kedge_verified v;

    return do_verify(w, &v) != KEDGE_ERR_UNSUPPORTED;
}

/* Another handle on the same store, from its opening on. */
static int call_open(struct stage *s)
{
    struct world *w = s->w;
    void *store = NULL, *session = NULL;
    struct kedge_time t;
    int rc;

    quiet(w);
    w->open.flags = 0;
    rc = told(w, w->ops->store_open(w->host, &w->open, &store, &w->err));
    if (rc != KEDGE_OK)
        return rc;
    rc = told(w, w->ops->session_open(store, &session, &w->err));
    if (rc == KEDGE_OK) {
        rc = told(w, w->ops->now(session, &t, s->patience, &w->err));
        w->ops->session_close(session);
    }
    w->ops->store_close(store);
    return rc;
}

/* --------------------------------------------------------------------------- */

const struct stage_op stage_ops[] = {
    { "grant", 0, prepare_grant, call_grant, KEDGE_OK, check_live, NULL },
    { "extend", 0, prepare_lease, call_extend, KEDGE_OK, check_live, NULL },
    { "revoke", 0, prepare_revoke, call_revoke, KEDGE_OK, check_revoked, NULL },
    { "bury", 0, prepare_bury, call_bury, KEDGE_OK, check_buried, NULL },
    { "lock-acquire", 0, prepare_lock, call_lock_acquire, KEDGE_OK, check_locked, NULL },
    { "lock-extend", 0, prepare_locked, call_lock_extend, KEDGE_OK, check_locked, NULL },
    { "lock-release", 0, prepare_locked, call_lock_release, KEDGE_NOT_FOUND, check_unlocked, NULL },
    { "create-due", 0, prepare_create_due, call_commit, KEDGE_OK, check_created, NULL },
    { "create-held", 0, prepare_create_held, call_commit, KEDGE_OK, check_created_held, NULL },
    { "append", 0, prepare_append, call_commit, KEDGE_OK, check_appended, NULL },
    { "append-large", 0, prepare_append_large, call_commit, KEDGE_OK, check_appended, NULL },
    { "checkpoint", 0, prepare_checkpoint, call_commit, KEDGE_OK, check_checkpoint, NULL },
    { "finish", 0, prepare_finish, call_commit, KEDGE_OK, check_finished, NULL },
    { "hand-on", 0, prepare_hand_on, call_commit, KEDGE_OK, check_due, NULL },
    { "park", 0, prepare_park, call_commit, KEDGE_OK, check_parked, NULL },
    { "take", 0, prepare_take, call_commit, KEDGE_OK, check_taken, NULL },
    { "child", 0, prepare_child, call_commit, KEDGE_OK, check_child, NULL },
    { "request", 0, prepare_request, call_commit, KEDGE_OK, check_requested, NULL },
    { "batch", OP_LOOSE, prepare_batch, call_commit, KEDGE_OK, check_batch, NULL },
    { "appends", OP_LOOSE, prepare_appends, call_commit, KEDGE_OK, check_appends, NULL },
    { "claim", 0, prepare_claim, call_claim, KEDGE_OK, check_claimed, NULL },
    { "purge", OP_LOOSE, prepare_purge, call_purge, KEDGE_OK, check_purged, NULL },
    { "retrieve", OP_READS, prepare_reading, call_retrieve, KEDGE_OK, NULL, NULL },
    { "records", OP_READS, prepare_reading, call_records, KEDGE_OK, NULL, NULL },
    { "slots", OP_READS, prepare_reading, call_slots, KEDGE_OK, NULL, NULL },
    { "list", OP_READS, prepare_reading, call_list, KEDGE_OK, NULL, NULL },
    { "list-held", OP_READS, prepare_revoke, call_list_held, KEDGE_OK, NULL, NULL },
    { "list-expired", OP_READS, prepare_bury, call_expired, KEDGE_OK, check_expired, NULL },
    { "lease-list", OP_READS, prepare_nothing, call_lease_list, KEDGE_OK, NULL, NULL },
    { "lock-query", OP_READS, prepare_reading, call_lock_query, KEDGE_OK, NULL, NULL },
    { "cell-get", OP_READS, prepare_reading, call_cell, KEDGE_OK, NULL, NULL },
    { "now", OP_READS, prepare_nothing, call_now, KEDGE_OK, NULL, NULL },
    { "info", OP_READS, prepare_nothing, call_info, KEDGE_OK, NULL, NULL },
    { "verify", OP_READS, prepare_reading, call_verify, KEDGE_OK, NULL, has_verify },
    { "open", OP_READS, prepare_nothing, call_open, KEDGE_OK, NULL, NULL },
};
const size_t stage_n_ops = ARRAY_LEN(stage_ops);
