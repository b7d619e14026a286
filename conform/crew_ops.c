/* crew_ops.c - the calls of a member, each written down */
#include "crew.h"

/* ------------------------------------------------------------------- the log */

/* A session with an idea of a server's time gets a new one after the clock was moved. */
static void keep_time(struct member *m)
{
    struct world *w = &m->w;
    struct crew_board *b = m->crew->board;
    uint64_t epoch = atomic_load(&b->epoch);
    struct kedge_time now;

    if (epoch == m->epoch && m->epoch != 0)
        return;
    m->now_from = lease_now();
    m->epoch = epoch;
    if (clock_of_server(w->ops) != NULL)
        expect_ok(do_now(w, &now));
}

static struct history_event *place_of(struct member *m)
{
    struct crew_log *log = &m->crew->board->logs[m->number];
    uint64_t n = atomic_load(&log->n);

    if (n == CREW_EVENTS)
        fail_case(__FILE__, __LINE__, "a member's log is full");
    return &log->events[n];
}

struct history_event *m_begin(struct member *m, uint32_t op, const char *key)
{
    struct history_event *e = place_of(m);

    keep_time(m);
    *e = history_event(op, m->number, key, m->owner);
    e->call = real_us();
    atomic_fetch_add(&m->crew->board->logs[m->number].n, 1);
    return e;
}

/* The result comes last: until then the call is in doubt. */
int m_end(struct member *m, struct history_event *e, int rc)
{
    e->ret = real_us();
    if (m->crew->timed) {
        e->now_from = m->now_from;
        e->now_to = lease_now();
    }
    atomic_thread_fence(memory_order_release);
    e->result = rc;
    return rc;
}

static uint64_t number_of(const struct member *m, const struct kedge_id128 *lease)
{
    const struct crew_board *b = m->crew->board;
    uint64_t n = atomic_load(&m->crew->board->owners);

    for (uint64_t i = n; i > 0; i--)
        if (same_id(&b->leases[i], lease))
            return i;
    return 0;
}

/* -------------------------------------------------------------------- leases */

int m_grant(struct member *m, int64_t ttl)
{
    struct crew_board *b = m->crew->board;
    struct kedge_lease_new in = { .id = random_id(&m->w),
                                  .request = random_id(&m->w),
                                  .serves = &serve_all,
                                  .n_serves = 1,
                                  .ttl_us = ttl };
    uint64_t owner = atomic_fetch_add(&b->owners, 1) + 1;
    struct kedge_lease_state st;
    struct history_event *e;

    if (owner >= CREW_LEASES)
        fail_case(__FILE__, __LINE__, "too many leases were made");
    b->leases[owner] = in.id;
    atomic_store(&b->logs[m->number].owner, owner);
    m->owner = owner;
    m->lease = in.id;
    e = m_begin(m, HISTORY_GRANT, "");
    e->ttl = ttl;
    return m_end(m, e, do_grant(&m->w, &in, &st));
}

int m_extend(struct member *m)
{
    struct kedge_lease_state st;
    struct history_event *e = m_begin(m, HISTORY_EXTEND, "");

    e->ttl = m->crew->ttl;
    return m_end(m, e, do_extend(&m->w, m->lease, &st));
}

int m_revoke(struct member *m)
{
    struct history_event *e = m_begin(m, HISTORY_REVOKE, "");

    return m_end(m, e, do_revoke(&m->w, m->lease));
}

int m_bury(struct member *m, uint64_t owner)
{
    struct history_event *e = m_begin(m, HISTORY_BURY, "");

    e->owner = owner;
    return m_end(m, e, do_bury(&m->w, m->crew->board->leases[owner]));
}

/* --------------------------------------------------------------------- locks */

int m_acquire(struct member *m, const char *lock, uint64_t *fence, uint64_t *holder)
{
    struct history_event *e = m_begin(m, HISTORY_ACQUIRE, lock);
    struct kedge_lock_state st;
    int rc = do_lock_acquire(&m->w, str(lock), m->lease, random_id(&m->w), &st);

    if (rc == KEDGE_OK)
        *fence = e->fence = st.fence;
    if (rc == KEDGE_HELD) {
        e->holder = number_of(m, &st.holder);
        e->fence = e->holder != 0 ? st.fence : 0;
        if (holder != NULL)
            *holder = e->holder;
    }
    return m_end(m, e, rc);
}

int m_check(struct member *m, const char *lock, uint64_t fence)
{
    struct history_event *e = m_begin(m, HISTORY_CHECK, lock);
    struct kedge_lock_state st;

    e->fence = fence;
    e->ttl = m->crew->ttl;
    return m_end(m, e, do_lock_extend(&m->w, str(lock), m->lease, fence, &st));
}

int m_release(struct member *m, const char *lock, uint64_t fence)
{
    struct history_event *e = m_begin(m, HISTORY_UNLOCK, lock);

    e->fence = fence;
    return m_end(m, e, do_lock_release(&m->w, str(lock), m->lease, fence));
}

int m_query(struct member *m, const char *lock)
{
    struct history_event *e = m_begin(m, HISTORY_QUERY, lock);
    struct kedge_lock_state st;
    int rc = do_lock_query(&m->w, str(lock), &st);

    if (rc == KEDGE_OK) {
        e->holder = number_of(m, &st.holder);
        e->fence = st.fence;
    }
    return m_end(m, e, rc);
}

/* --------------------------------------------------------------------- cells */

int m_get(struct member *m, const char *cell, uint64_t *version, uint64_t *value)
{
    struct history_event *e = m_begin(m, HISTORY_GET, cell);
    struct kedge_cell c;
    int rc = do_cell(&m->w, str(cell), &c);

    *version = *value = 0;
    if (rc == KEDGE_OK) {
        expect_eq(c.value.len, sizeof *value);
        memcpy(value, c.value.data, sizeof *value);
        *version = c.version;
    }
    e->version = *version;
    e->value = *value;
    return m_end(m, e, rc);
}

int m_put(struct member *m, const char *cell, uint64_t seen, uint64_t value)
{
    struct history_event *e = m_begin(m, HISTORY_PUT, cell);
    struct tx t;
    int rc;

    e->seen = seen;
    e->value = value;
    tx_init(&m->w, &t);
    g_cell(&t, str(cell), seen);
    c_cell_put(&t, str(cell), bytes(&value, sizeof value), never());
    rc = tx_send(&m->w, &t);
    if (rc == KEDGE_OK)
        e->version = t.results[0];
    return m_end(m, e, rc);
}

/* ---------------------------------------------------------------------- runs */

int m_create(struct member *m, const char *run)
{
    struct history_event *e = m_begin(m, HISTORY_CREATE, run);
    struct tx t;

    e->owner = 0;
    tx_init(&m->w, &t);
    g_absent(&t, str(run));
    c_create_due(&t, str(run), from_now(0));
    return m_end(m, e, tx_send(&m->w, &t));
}

/* One event for the call, which is in doubt until those of its runs are there. */
int m_claim(struct member *m, size_t limit, struct kedge_run_page *page)
{
    struct kedge_claim in = claim_of(&m->w, m->lease, limit);
    struct history_event *e = m_begin(m, HISTORY_CLAIM, HISTORY_ANY_KEY);
    int rc = do_claim(&m->w, &in, page);

    for (size_t i = 0; rc == KEDGE_OK && i < page->n; i++) {
        char id[HISTORY_KEY_MAX];
        struct history_event *one;

        (void)snprintf(id, sizeof id, "%.*s", (int)page->runs[i].id.len,
                       (const char *)page->runs[i].id.data);
        one = m_begin(m, HISTORY_CLAIM, id);
        one->call = e->call;
        one->fence = page->runs[i].fence;
        (void)m_end(m, one, KEDGE_OK);
    }
    return m_end(m, e, rc);
}

int m_take(struct member *m, const char *run, uint64_t *fence, uint64_t *position)
{
    struct kedge_run h = head(&m->w, str(run));
    struct history_event *e = m_begin(m, HISTORY_TAKE, run);
    struct tx t;
    int rc;

    tx_init(&m->w, &t);
    g_unheld(&t, str(run), KEDGE_STATUSES_ALL & ~KEDGE_STATUSES_RESTING, h.revision);
    c_take(&t, str(run), m->lease);
    rc = tx_send(&m->w, &t);
    if (rc == KEDGE_OK) {
        *fence = e->fence = t.results[0];
        *position = h.position;
    }
    return m_end(m, e, rc);
}

int m_commit(struct member *m, const char *run, uint64_t fence, uint64_t number,
             enum history_op what)
{
    struct history_event *e = m_begin(m, what, run);
    struct tx t;

    e->fence = fence;
    e->version = number;
    tx_init(&m->w, &t);
    g_held_by(&t, str(run), m->lease, fence);
    if (number != 0)
        c_append(&t, str(run), number, str("a step"));
    if (what == HISTORY_YIELD)
        c_due(&t, str(run), from_now(0));
    if (what == HISTORY_REST)
        c_rest(&t, str(run), KEDGE_COMPLETED, never());
    return m_end(m, e, tx_send(&m->w, &t));
}

int m_read(struct member *m, const char *run)
{
    struct history_event *e = m_begin(m, HISTORY_READ, run);
    struct kedge_run_state st;
    int rc = do_retrieve(&m->w, str(run), 0, 0, &st);

    e->owner = 0;
    if (rc == KEDGE_OK) {
        e->version = st.run.position;
        e->value = st.run.place;
        e->fence = st.run.place == KEDGE_PLACE_HELD ? st.run.fence : 0;
    }
    return m_end(m, e, rc);
}
