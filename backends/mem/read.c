/*
 * read.c - everything that only looks, page by page
 *
 * A cursor is the key of the last thing shown, so that a page never depends on what came or went
 * in between.
 */
#include <config.h>

#include "../kit/stray.h"
#include "space.h"

/* A page under way: where its memory comes from, and whether there is any left. */
struct page {
    const struct kedge_host *host;
    struct kedge_mem *mem;
};

static void *page_array(struct page *page, size_t n, size_t size)
{
    return n > SIZE_MAX / size ? NULL : kedge_mem_alloc(page->host, &page->mem, n * size);
}

static struct page page_new(void *session)
{
    return (struct page){ .host = ((struct mem_session *)session)->handle->host };
}

/* Ends the step; on a failure the page's memory is given back. */
static int page_end(struct page *page, struct kit_step *step, int rc, struct kedge_error *err)
{
    if (rc != KEDGE_OK)
        kedge_mem_free(page->host, page->mem);
    return mem_end(step, rc, err);
}

int mem_check_limit(size_t limit, struct kedge_error *err)
{
    if (limit == 0 || limit > mem_limits.page_max)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the limit of a list is out of range");
    return KEDGE_OK;
}

static int bad_cursor(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the cursor is not one of this list");
}

static bool copy_run(struct page *page, const struct mem_run *run, struct kedge_run *out)
{
    return kit_copy_run(page->host, &page->mem, &run->k.r, out);
}

/* ------------------------------------------------------------------- one run */

static bool copy_record(struct page *page, const struct mem_obj *obj, struct kedge_record *out)
{
    const struct mem_value *value = (const struct mem_value *)obj;

    out->number = value->number;
    out->request = value->request;
    out->time = value->time;
    return kit_copy(page->host, &page->mem, value->data, &out->data);
}

static int fill_state(struct page *page, const struct mem_run *run, uint32_t want,
                      struct kedge_run_state *st)
{
    const struct mem_body *body = run->body;
    size_t from = (size_t)run->k.r.snapshot_position;

    if (!copy_run(page, run, &st->run))
        return KEDGE_ERR_NOMEM;
    if ((want & KEDGE_WANT_SNAPSHOT) != 0 && from != 0 && body->snapshot_ix[0].n != 0 &&
        !kit_copy(page->host, &page->mem, ((struct mem_value *)body->snapshot_ix[0].v[0])->data,
                  &st->snapshot))
        return KEDGE_ERR_NOMEM;
    if ((want & KEDGE_WANT_TAIL) == 0 || from >= body->record_ix[0].n)
        return KEDGE_OK;
    st->n_tail = body->record_ix[0].n - from;
    st->tail = page_array(page, st->n_tail, sizeof *st->tail);
    if (st->tail == NULL)
        return KEDGE_ERR_NOMEM;
    for (size_t i = 0; i < st->n_tail; i++) {
        if (!copy_record(page, body->record_ix[0].v[from + i], &st->tail[i]))
            return KEDGE_ERR_NOMEM;
    }
    return KEDGE_OK;
}

int mem_retrieve(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                 int64_t timeout_us, struct kedge_error *err)
{
    struct page page = page_new(session);
    struct kedge_run_state st = { 0 };
    const struct mem_run *run;
    struct kit_step step;
    int rc = kit_check_name(&mem_limits, in->id, "the id of the run", err);

    if (rc == KEDGE_OK && (in->want & ~(KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL)) != 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "what is wanted has unknown bits");
    if (rc == KEDGE_OK)
        rc = mem_begin(session, &step, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    run = mem_run_find(step.ctx, in->id, in->incarnation);
    rc = run == NULL ? KEDGE_NOT_FOUND : fill_state(&page, run, in->want, &st);
    if (rc == KEDGE_OK) {
        st.mem = page.mem;
        *out = st;
    }
    return page_end(&page, &step, rc, err);
}

static int fill_records(struct page *page, const struct mem_index *ix, uint64_t first, size_t limit,
                        size_t bytes_max, struct kedge_record_page *p)
{
    size_t from = first > ix->n ? ix->n : (size_t)first - 1;
    size_t n = ix->n - from < limit ? ix->n - from : limit;
    size_t bytes = 0;

    p->records = page_array(page, n, sizeof *p->records);
    if (p->records == NULL)
        return KEDGE_ERR_NOMEM;
    while (p->n < n) {
        const struct mem_obj *obj = ix->v[from + p->n];
        size_t len = ((const struct mem_value *)obj)->data.len;

        if (p->n != 0 && (bytes > bytes_max || len > bytes_max - bytes))
            break;
        if (!copy_record(page, obj, &p->records[p->n]))
            return KEDGE_ERR_NOMEM;
        bytes += len;
        p->n++;
    }
    p->next = from + p->n < ix->n ? from + p->n + 1 : 0;
    return KEDGE_OK;
}

int mem_retrieve_records(void *session, struct kedge_bytes id, uint64_t incarnation, uint64_t first,
                         size_t limit, size_t bytes_max, struct kedge_record_page *out,
                         int64_t timeout_us, struct kedge_error *err)
{
    struct page page = page_new(session);
    struct kedge_record_page p = { 0 };
    const struct mem_run *run;
    struct kit_step step;
    int rc = kit_check_name(&mem_limits, id, "the id of the run", err);

    if (rc == KEDGE_OK)
        rc = mem_check_limit(limit, err);
    if (rc == KEDGE_OK && first == 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "records are numbered from 1");
    if (rc == KEDGE_OK)
        rc = mem_begin(session, &step, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    run = mem_run_find(step.ctx, id, incarnation);
    rc = run == NULL ? KEDGE_NOT_FOUND
                     : fill_records(&page, run->body->record_ix, first, limit, bytes_max, &p);
    if (rc == KEDGE_OK) {
        p.mem = page.mem;
        *out = p;
    }
    return page_end(&page, &step, rc, err);
}

static int fill_slots(struct page *page, struct mem_body *body, uint32_t set, uint32_t first,
                      size_t limit, struct kedge_slot_page *p)
{
    const struct mem_set *found = mem_set_find(body, set);
    const struct mem_index *ix = &body->slot_ix[0];
    struct mem_value key = { .number = (uint64_t)set << 32 | first };
    size_t from;

    if (found == NULL)
        return KEDGE_NOT_FOUND;
    p->total = found->slots.total;
    p->remaining = found->slots.remaining;
    p->slots = page_array(page, limit < p->total ? limit : p->total, sizeof *p->slots);
    if (p->slots == NULL)
        return KEDGE_ERR_NOMEM;
    for (from = mem_seek(ix, &key, false); from < ix->n; from++) {
        const struct mem_value *value = (const struct mem_value *)ix->v[from];
        struct kedge_slot *slot = &p->slots[p->n];

        if (value->number >> 32 != set)
            break;
        if (p->n == limit) {
            p->next = value->number & UINT32_MAX;
            break;
        }
        *slot = (struct kedge_slot){ .index = (uint32_t)(value->number & UINT32_MAX) };
        if (!kit_copy(page->host, &page->mem, value->data, &slot->value))
            return KEDGE_ERR_NOMEM;
        p->n++;
    }
    return KEDGE_OK;
}

int mem_retrieve_slots(void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
                       uint32_t first, size_t limit, struct kedge_slot_page *out,
                       int64_t timeout_us, struct kedge_error *err)
{
    struct page page = page_new(session);
    struct kedge_slot_page p = { 0 };
    const struct mem_run *run;
    struct kit_step step;
    int rc = kit_check_name(&mem_limits, id, "the id of the run", err);

    if (rc == KEDGE_OK)
        rc = mem_check_limit(limit, err);
    if (rc == KEDGE_OK)
        rc = mem_begin(session, &step, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    run = mem_run_find(step.ctx, id, incarnation);
    rc = run == NULL ? KEDGE_NOT_FOUND : fill_slots(&page, run->body, set, first, limit, &p);
    if (rc == KEDGE_OK) {
        p.mem = page.mem;
        *out = p;
    }
    return page_end(&page, &step, rc, err);
}

/* --------------------------------------------------------------- list_expired */

/* Runs of leases that are not healthy; the healthy ones are passed over whole. */
static bool stray_by_lease(struct kit_strays *s, const struct kit_step *step)
{
    static const struct kedge_id128 last = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
    struct mem_space *space = step->ctx;
    struct mem_run *run = mem_run_at(space, RUN_BY_HOLDER, 0);

    for (size_t at = 0; run != NULL; run = mem_run_at(space, RUN_BY_HOLDER, at)) {
        struct kedge_id128 holder = run->k.r.holder;
        const struct mem_lease *lease = mem_lease_find(space, &holder);
        struct kedge_id128 next = holder;
        bool healthy = lease != NULL && lease->k.l.state != KEDGE_LEASE_DEAD &&
                       !kit_lease_lapsed(&lease->k, step->now_lease);

        if (!healthy) {
            for (; run != NULL && kit_id_equal(&run->k.r.holder, &holder);
                 run = mem_run_at(space, RUN_BY_HOLDER, ++at)) {
                if (!kit_strays_add(s, &run->k, lease != NULL ? &lease->k : NULL))
                    return false;
            }
            continue;
        }
        if (kit_id_equal(&holder, &last))
            return true;
        for (size_t i = sizeof next.b; ++next.b[i - 1] == 0;)
            i--;
        at = mem_held_from(space, &next, (struct kedge_bytes){ NULL, 0 });
    }
    return true;
}

static bool stray_by_hold(struct kit_strays *s, const struct kit_step *step)
{
    struct mem_space *space = step->ctx;
    struct mem_run *run;

    for (size_t at = 0; (run = mem_run_at(space, RUN_BY_HOLD, at)) != NULL; at++) {
        const struct mem_lease *lease = mem_lease_find(space, &run->k.r.holder);
        const struct kit_lease *record = lease != NULL ? &lease->k : NULL;

        if (run->k.r.hold_until > step->now_wall)
            break;
        if (kit_run_sweep(&run->k, record, step->now_wall, step->now_lease) ==
                KEDGE_SWEEP_OVERDUE &&
            !kit_strays_add(s, &run->k, record))
            return false;
    }
    return true;
}

int mem_list_expired(void *session, struct kedge_bytes cursor, size_t limit,
                     struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err)
{
    struct page page = page_new(session);
    struct kedge_run_page p = { 0 };
    struct kit_strays strays;
    struct kit_step step;
    int rc = mem_check_limit(limit, err);

    if (rc == KEDGE_OK && !kit_strays_cursor_fits(cursor))
        rc = bad_cursor(err);
    if (rc == KEDGE_OK)
        rc = mem_begin(session, &step, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    kit_strays_init(&strays, &step, page.host, cursor);
    if (!stray_by_lease(&strays, &step) || !stray_by_hold(&strays, &step))
        rc = KEDGE_ERR_NOMEM;
    if (rc == KEDGE_OK)
        rc = kit_strays_page(&strays, limit, &p);
    kit_strays_free(&strays);
    if (rc == KEDGE_OK)
        *out = p;
    page.mem = p.mem;
    return page_end(&page, &step, rc, err);
}

/* ------------------------------------------------------------------------ list */

/* Places left in RUN_BY_AGE, in the direction of the list, from *AT on. */
static size_t list_start(const struct mem_space *space, const struct kedge_list *in, size_t *at)
{
    size_t n = space->run_ix[RUN_BY_AGE].n;
    struct mem_run key;

    *at = in->newest_first != 0 ? n : 0;
    if (in->cursor.len != 0) {
        memcpy(&key.k.r.incarnation, in->cursor.data, sizeof key.k.r.incarnation);
        *at = mem_seek(&space->run_ix[RUN_BY_AGE], &key, in->newest_first == 0);
    }
    return in->newest_first != 0 ? *at : n - *at;
}

static int fill_list(struct page *page, struct kit_step *step, const struct kedge_list *in,
                     struct kedge_run_page *p)
{
    struct mem_space *space = step->ctx;
    size_t at;
    size_t left = list_start(space, in, &at);
    uint64_t *last = page_array(page, 1, sizeof *last);

    p->runs = page_array(page, left < in->limit ? left : in->limit, sizeof *p->runs);
    if (p->runs == NULL || last == NULL)
        return KEDGE_ERR_NOMEM;
    for (; left > 0; left--) {
        struct mem_run *run = mem_run_at(space, RUN_BY_AGE, in->newest_first != 0 ? at - 1 : at);

        at = in->newest_first != 0 ? at - 1 : at + 1;
        if (!kit_run_listed(in, &run->k, step->now_wall))
            continue;
        if (p->n == in->limit) {
            p->next = (struct kedge_bytes){ last, sizeof *last };
            break;
        }
        if (!copy_run(page, run, &p->runs[p->n]))
            return KEDGE_ERR_NOMEM;
        *last = run->k.r.incarnation;
        p->n++;
    }
    return KEDGE_OK;
}

int mem_list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
             int64_t timeout_us, struct kedge_error *err)
{
    struct page page = page_new(session);
    struct kedge_run_page p = { 0 };
    struct kedge_list whole;
    struct kit_step step;
    int rc = kit_check_list(&mem_limits, in, err);

    if (rc == KEDGE_OK && in->cursor.len != 0 && in->cursor.len != sizeof(uint64_t))
        rc = bad_cursor(err);
    if (rc == KEDGE_OK)
        rc = mem_begin(session, &step, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    whole = *in;
    if (in->parent.len != 0 && in->parent_incarnation == 0) {
        const struct mem_run *parent = mem_run_find(step.ctx, in->parent, 0);

        whole.parent_incarnation = parent != NULL ? parent->k.r.incarnation : 0;
    }
    rc = fill_list(&page, &step, &whole, &p);
    if (rc == KEDGE_OK) {
        p.mem = page.mem;
        *out = p;
    }
    return page_end(&page, &step, rc, err);
}

/* ------------------------------------------------------------- held and leases */

/* The cursor: 'r' or 'l', and the last name.  Runs come first. */
static int held_cursor(struct page *page, struct kedge_held_page *p)
{
    const struct kedge_held *last = &p->held[p->n - 1];
    char *cursor = page_array(page, last->name.len + 1, 1);

    if (cursor == NULL)
        return KEDGE_ERR_NOMEM;
    cursor[0] = last->is_lock != 0 ? 'l' : 'r';
    memcpy(cursor + 1, last->name.data, last->name.len);
    p->next = (struct kedge_bytes){ cursor, last->name.len + 1 };
    return KEDGE_OK;
}

/* false: the page is full, or *RC says why. */
static bool held_add(struct page *page, struct kedge_held_page *p, size_t limit,
                     struct kedge_held held, int *rc)
{
    if (p->n == limit) {
        *rc = held_cursor(page, p);
        return false;
    }
    if (!kit_copy(page->host, &page->mem, held.name, &held.name)) {
        *rc = KEDGE_ERR_NOMEM;
        return false;
    }
    p->held[p->n++] = held;
    return true;
}

static int fill_held(struct page *page, struct mem_space *space, const struct kedge_id128 *lease,
                     struct kedge_bytes cursor, size_t limit, struct kedge_held_page *p)
{
    const struct mem_index *locks = &space->lock_ix[LOCK_BY_LEASE];
    bool in_locks = cursor.len != 0 && *(const char *)cursor.data == 'l';
    struct kedge_bytes after = { NULL, 0 };
    struct mem_run *run;
    int rc = KEDGE_OK;

    p->held = page_array(page, limit, sizeof *p->held);
    if (p->held == NULL)
        return KEDGE_ERR_NOMEM;
    if (cursor.len != 0)
        after = (struct kedge_bytes){ (const char *)cursor.data + 1, cursor.len - 1 };
    if (!in_locks) {
        for (size_t at = mem_held_from(space, lease, after);
             (run = mem_run_at(space, RUN_BY_HOLDER, at)) != NULL &&
             kit_id_equal(&run->k.r.holder, lease);
             at++) {
            struct kedge_held held = { .requests = run->k.r.requests,
                                       .name = run->k.r.id,
                                       .fence = run->k.r.fence };

            if (!held_add(page, p, limit, held, &rc))
                return rc;
        }
        after.len = 0;
    }
    for (size_t at = mem_locks_from(space, lease, after); at < locks->n; at++) {
        const struct mem_lock *lock = (const struct mem_lock *)locks->v[at];
        struct kedge_held held = { .is_lock = 1, .name = lock->name, .fence = lock->k.fence };

        if (!kit_id_equal(&lock->k.lease, lease) || !held_add(page, p, limit, held, &rc))
            break;
    }
    return rc;
}

int mem_list_held(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                  size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                  struct kedge_error *err)
{
    struct page page = page_new(session);
    struct kedge_held_page p = { 0 };
    struct kit_step step;
    int rc = mem_check_limit(limit, err);

    if (rc == KEDGE_OK && cursor.len != 0 && cursor.len < 2)
        rc = bad_cursor(err);
    if (rc == KEDGE_OK)
        rc = mem_begin(session, &step, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = fill_held(&page, step.ctx, lease, cursor, limit, &p);
    if (rc == KEDGE_OK) {
        p.mem = page.mem;
        *out = p;
    }
    return page_end(&page, &step, rc, err);
}

static int fill_leases(struct page *page, struct kit_step *step, struct kedge_bytes cursor,
                       size_t limit, struct kedge_lease_page *p)
{
    struct mem_space *space = step->ctx;
    const struct mem_index *ix = &space->lease_ix[0];
    struct mem_lease key;
    size_t from = 0;

    if (cursor.len != 0) {
        memcpy(&key.k.l.id, cursor.data, sizeof key.k.l.id);
        from = mem_seek(ix, &key, true);
    }
    p->n = ix->n - from < limit ? ix->n - from : limit;
    p->leases = page_array(page, p->n, sizeof *p->leases);
    if (p->leases == NULL)
        return KEDGE_ERR_NOMEM;
    for (size_t i = 0; i < p->n; i++) {
        struct kit_lease view = ((const struct mem_lease *)ix->v[from + i])->k;
        int64_t absent_us;

        kit_lease_view(&view, step->now_lease);
        view.l.hint = mem_hint_look(space, &view, &absent_us);
        if (!kit_copy_lease(page->host, &page->mem, &view.l, &p->leases[i]))
            return KEDGE_ERR_NOMEM;
    }
    if (from + p->n < ix->n)
        p->next = (struct kedge_bytes){ &p->leases[p->n - 1].id, sizeof(struct kedge_id128) };
    return KEDGE_OK;
}

int mem_lease_list(void *session, struct kedge_bytes cursor, size_t limit,
                   struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err)
{
    struct page page = page_new(session);
    struct kedge_lease_page p = { 0 };
    struct kit_step step;
    int rc = mem_check_limit(limit, err);

    if (rc == KEDGE_OK && cursor.len != 0 && cursor.len != sizeof(struct kedge_id128))
        rc = bad_cursor(err);
    if (rc == KEDGE_OK)
        rc = mem_begin(session, &step, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = fill_leases(&page, &step, cursor, limit, &p);
    if (rc == KEDGE_OK) {
        p.mem = page.mem;
        *out = p;
    }
    return page_end(&page, &step, rc, err);
}

/* ----------------------------------------------------------------------- cells */

int mem_cell_get(void *session, struct kedge_bytes name, struct kedge_cell *out, int64_t timeout_us,
                 struct kedge_error *err)
{
    struct page page = page_new(session);
    const struct kit_cell *cell;
    struct kedge_cell c = { 0 };
    struct kit_step step;
    int rc = kit_check_name(&mem_limits, name, "the name of the cell", err);

    if (rc == KEDGE_OK)
        rc = mem_begin(session, &step, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = step.store->cell_get(step.ctx, name, &cell);
    if (rc == KEDGE_OK && cell->expires != 0 && cell->expires <= step.now_wall)
        rc = KEDGE_NOT_FOUND;
    if (rc == KEDGE_OK && !kit_copy(page.host, &page.mem, cell->value, &c.value))
        rc = KEDGE_ERR_NOMEM;
    if (rc == KEDGE_OK) {
        c.mem = page.mem;
        c.version = cell->version;
        c.expires = cell->expires;
        *out = c;
    }
    return page_end(&page, &step, rc, err);
}
