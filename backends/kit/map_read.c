/*
 * map_read.c - everything that only looks at an ordered map, page by page
 *
 * A cursor is the end of the key of the last thing shown, so that a page never depends on what
 * came or went in between.
 */
#include "map_rows.h"
#include "stray.h"

static const struct kedge_host *host_of(void *session)
{
    return ((struct map_session *)session)->store->host;
}

static const struct kedge_limits *limits_of(void *session)
{
    return ((struct map_session *)session)->store->ops->limits;
}

/* Ends the step; on a failure what was to be handed out is given back. */
static int page_end(struct map_step *s, int rc, struct kedge_mem *mem, struct kedge_error *err)
{
    const struct kedge_host *host = s->store->host;

    rc = kit_map_end(s, rc, err);
    if (rc != KEDGE_OK)
        kedge_mem_free(host, mem);
    return rc;
}

static int check_limit(void *session, size_t limit, struct kedge_error *err)
{
    if (limit == 0 || limit > limits_of(session)->page_max)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the limit of a list is out of range");
    return KEDGE_OK;
}

static int check_cursor(struct kedge_bytes cursor, size_t least, size_t most,
                        struct kedge_error *err)
{
    if (cursor.len != 0 && (cursor.len < least || cursor.len > most))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the cursor is not one of this list");
    return KEDGE_OK;
}

/* ------------------------------------------------------------------- one run */

static int record(struct map_step *s, struct kedge_mem **mem, const struct kit_run *run, uint64_t n,
                  struct kedge_record *out)
{
    struct map_key stem = kit_map_key_record(run->r.incarnation, n);
    struct kit_blob blob;
    int rc = kit_map_blob(s, mem, &stem, &blob, &out->data);

    if (rc != KEDGE_OK)
        return rc == KEDGE_NOT_FOUND ? KEDGE_ERR_CORRUPT : rc;
    out->number = n;
    out->request = blob.request;
    out->time = blob.time;
    return KEDGE_OK;
}

static int fill_state(struct map_step *s, const struct kit_run *run, uint32_t want,
                      struct kedge_run_state *st)
{
    const struct kedge_host *host = s->store->host;
    struct map_key stem = kit_map_key_inc('s', run->r.incarnation);
    uint64_t from = run->r.snapshot_position;
    struct kit_blob blob;
    int rc = KEDGE_OK;

    if (!kit_copy_run(host, &st->mem, &run->r, &st->run))
        return KEDGE_ERR_NOMEM;
    if ((want & KEDGE_WANT_SNAPSHOT) != 0 && from != 0)
        rc = kit_map_blob(s, &st->mem, &stem, &blob, &st->snapshot);
    if (rc != KEDGE_OK)
        return rc == KEDGE_NOT_FOUND ? KEDGE_ERR_CORRUPT : rc;
    if ((want & KEDGE_WANT_TAIL) == 0 || from >= run->r.position)
        return KEDGE_OK;
    if (run->r.position - from > SIZE_MAX / sizeof *st->tail)
        return KEDGE_ERR_NOMEM;
    st->tail = kedge_mem_alloc(host, &st->mem, (size_t)(run->r.position - from) * sizeof *st->tail);
    if (st->tail == NULL)
        return KEDGE_ERR_NOMEM;
    while (rc == KEDGE_OK && from + st->n_tail < run->r.position) {
        rc = record(s, &st->mem, run, from + st->n_tail + 1, &st->tail[st->n_tail]);
        st->n_tail++;
    }
    return rc;
}

int kit_map_retrieve(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                     int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_run_state st = { 0 };
    const struct kit_run *run;
    struct map_step s;
    int rc = kit_check_name(limits_of(session), in->id, "the id of the run", err);

    if (rc == KEDGE_OK && (in->want & ~(KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL)) != 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "what is wanted has unknown bits");
    if (rc == KEDGE_OK)
        rc = kit_map_begin(session, &s, false, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = kit_map_run_find(&s, in->id, in->incarnation, &run);
    if (rc == KEDGE_OK)
        rc = fill_state(&s, run, in->want, &st);
    rc = page_end(&s, rc, st.mem, err);
    if (rc == KEDGE_OK)
        *out = st;
    return rc;
}

static int fill_records(struct map_step *s, const struct kit_run *run, uint64_t first, size_t limit,
                        size_t bytes_max, struct kedge_record_page *p)
{
    uint64_t left = first > run->r.position ? 0 : run->r.position - first + 1;
    size_t n = left < limit ? (size_t)left : limit;
    size_t bytes = 0;

    p->records = kedge_mem_alloc(s->store->host, &p->mem, n * sizeof *p->records);
    if (p->records == NULL)
        return KEDGE_ERR_NOMEM;
    while (p->n < n) {
        int rc = record(s, &p->mem, run, first + p->n, &p->records[p->n]);
        size_t len;

        if (rc != KEDGE_OK)
            return rc;
        len = p->records[p->n].data.len;
        if (p->n != 0 && (bytes > bytes_max || len > bytes_max - bytes))
            break;
        bytes += len;
        p->n++;
    }
    p->next = p->n < left ? first + p->n : 0;
    return KEDGE_OK;
}

int kit_map_retrieve_records(void *session, struct kedge_bytes id, uint64_t incarnation,
                             uint64_t first, size_t limit, size_t bytes_max,
                             struct kedge_record_page *out, int64_t timeout_us,
                             struct kedge_error *err)
{
    struct kedge_record_page p = { 0 };
    const struct kit_run *run;
    struct map_step s;
    int rc = kit_check_name(limits_of(session), id, "the id of the run", err);

    if (rc == KEDGE_OK)
        rc = check_limit(session, limit, err);
    if (rc == KEDGE_OK && first == 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "records are numbered from 1");
    if (rc == KEDGE_OK)
        rc = kit_map_begin(session, &s, false, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = kit_map_run_find(&s, id, incarnation, &run);
    if (rc == KEDGE_OK)
        rc = fill_records(&s, run, first, limit, bytes_max, &p);
    rc = page_end(&s, rc, p.mem, err);
    if (rc == KEDGE_OK)
        *out = p;
    return rc;
}

static int fill_slots(struct map_step *s, const struct kit_run *run, uint32_t set, uint32_t first,
                      size_t limit, struct kedge_slot_page *p)
{
    struct map_key prefix = kit_map_key_slot(run->r.incarnation, set, 0);
    struct map_key start = { .len = 0 };
    struct kit_slots slots;
    struct map_scan scan;
    int rc = s->kit.store->slots_get(s, run->r.incarnation, set, &slots);

    if (rc != KEDGE_OK)
        return rc;
    p->total = slots.total;
    p->remaining = slots.remaining;
    p->slots = kedge_mem_alloc(s->store->host, &p->mem,
                               (limit < p->total ? limit : p->total) * sizeof *p->slots);
    if (p->slots == NULL)
        return KEDGE_ERR_NOMEM;
    prefix.len -= 4;
    scan = kit_map_scan(&prefix);
    kit_map_key_u32(&scan.at, first);
    while ((rc = kit_map_scan_next(s, &scan)) == KEDGE_OK) {
        struct map_key stem = scan.key;
        const unsigned char *at = stem.b + prefix.len;
        uint32_t index =
            (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        struct kit_blob blob;

        if (p->n == limit) {
            p->next = index;
            return KEDGE_OK;
        }
        if (p->n == p->total || stem.len != prefix.len + 8)
            return KEDGE_ERR_CORRUPT;
        stem.len -= 4; /* without the number of the chunk */
        p->slots[p->n] = (struct kedge_slot){ .index = index };
        rc = kit_map_blob(s, &p->mem, &stem, &blob, &p->slots[p->n].value);
        if (rc != KEDGE_OK)
            return rc;
        p->n++;
        /* past the other chunks */
        start.len = 0;
        kit_map_key_u32(&start, index);
        kit_map_key_u32(&start, UINT32_MAX);
        kit_map_scan_after(&scan, (struct kedge_bytes){ start.b, start.len });
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

int kit_map_retrieve_slots(void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
                           uint32_t first, size_t limit, struct kedge_slot_page *out,
                           int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_slot_page p = { 0 };
    const struct kit_run *run;
    struct map_step s;
    int rc = kit_check_name(limits_of(session), id, "the id of the run", err);

    if (rc == KEDGE_OK)
        rc = check_limit(session, limit, err);
    if (rc == KEDGE_OK)
        rc = kit_map_begin(session, &s, false, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = kit_map_run_find(&s, id, incarnation, &run);
    if (rc == KEDGE_OK)
        rc = fill_slots(&s, run, set, first, limit, &p);
    rc = page_end(&s, rc, p.mem, err);
    if (rc == KEDGE_OK)
        *out = p;
    return rc;
}

/* --------------------------------------------------------------- list_expired */

static int add_stray(struct map_step *s, struct kit_strays *strays, struct kedge_bytes id,
                     const struct kit_lease *lease)
{
    const struct kit_run *run;
    int rc = kit_map_run(s, id, &run);

    if (rc != KEDGE_OK)
        return rc == KEDGE_ERR_CORRUPT ? KEDGE_OK : rc;
    return kit_strays_add(strays, run, lease) ? KEDGE_OK : KEDGE_ERR_NOMEM;
}

/* The holder in the key that was found, and its record, or NULL. */
static int holder(struct map_step *s, const struct map_scan *scan, struct kedge_id128 *id,
                  const struct kit_lease **lease)
{
    int rc;

    if (scan->key.len < 1 + sizeof id->b)
        return KEDGE_ERR_CORRUPT;
    memcpy(id->b, scan->key.b + 1, sizeof id->b);
    rc = kit_map_lease(s, id, lease);
    if (rc == KEDGE_NOT_FOUND)
        *lease = NULL;
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

/* Runs of leases that are not healthy; the healthy ones are passed over whole. */
static int strays_by_lease(struct map_step *s, struct kit_strays *strays)
{
    struct map_key prefix = kit_map_key('h');
    struct map_scan scan = kit_map_scan(&prefix);
    int rc;

    while ((rc = kit_map_scan_next(s, &scan)) == KEDGE_OK) {
        const struct kit_lease *lease;
        struct kedge_id128 id;

        rc = holder(s, &scan, &id, &lease);
        if (rc != KEDGE_OK)
            return rc;
        if (lease != NULL && lease->l.state != KEDGE_LEASE_DEAD &&
            !kit_lease_lapsed(lease, s->kit.now_lease)) {
            struct map_key last = kit_map_key_id('h', &id);

            kit_map_key_u64(&last, UINT64_MAX);
            kit_map_scan_after(&scan, (struct kedge_bytes){ last.b + 1, last.len - 1 });
            continue;
        }
        rc = add_stray(s, strays, scan.value, lease);
        if (rc != KEDGE_OK)
            return rc;
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

/* Runs of healthy leases that are held too long. */
static int strays_by_hold(struct map_step *s, struct kit_strays *strays)
{
    struct map_key prefix = kit_map_key('o');
    struct map_scan scan = kit_map_scan(&prefix);
    int rc;

    while ((rc = kit_map_scan_next(s, &scan)) == KEDGE_OK) {
        const struct kit_lease *lease = NULL;
        const struct kit_run *run;

        if (kit_map_u64(scan.key.b + 1) > (uint64_t)s->kit.now_wall)
            return KEDGE_OK;
        rc = kit_map_run(s, scan.value, &run);
        if (rc == KEDGE_ERR_CORRUPT)
            continue;
        if (rc == KEDGE_OK)
            rc = kit_map_lease(s, &run->r.holder, &lease);
        if (rc == KEDGE_OK &&
            kit_run_sweep(run, lease, s->kit.now_wall, s->kit.now_lease) == KEDGE_SWEEP_OVERDUE)
            rc = kit_strays_add(strays, run, lease) ? KEDGE_OK : KEDGE_ERR_NOMEM;
        if (rc != KEDGE_OK && rc != KEDGE_NOT_FOUND)
            return rc;
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

int kit_map_list_expired(void *session, struct kedge_bytes cursor, size_t limit,
                         struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_run_page p = { 0 };
    struct kit_strays strays;
    struct map_step s;
    int rc = check_limit(session, limit, err);

    if (rc == KEDGE_OK && !kit_strays_cursor_fits(cursor))
        rc = check_cursor(cursor, 1, 0, err);
    if (rc == KEDGE_OK)
        rc = kit_map_begin(session, &s, false, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    kit_strays_init(&strays, &s.kit, host_of(session), cursor);
    rc = strays_by_lease(&s, &strays);
    if (rc == KEDGE_OK)
        rc = strays_by_hold(&s, &strays);
    if (rc == KEDGE_OK)
        rc = kit_strays_page(&strays, limit, &p);
    kit_strays_free(&strays);
    rc = page_end(&s, rc, p.mem, err);
    if (rc == KEDGE_OK)
        *out = p;
    return rc;
}

/* ------------------------------------------------------------------------ list */

static int fill_list(struct map_step *s, const struct kedge_list *in, struct kedge_run_page *p)
{
    const struct kedge_host *host = s->store->host;
    struct map_key prefix = kit_map_key(in->newest_first != 0 ? 'z' : 'a');
    struct map_scan scan = kit_map_scan(&prefix);
    struct kedge_bytes last = { NULL, 0 };
    int rc;

    if (in->cursor.len != 0)
        kit_map_scan_after(&scan, in->cursor);
    p->runs = kedge_mem_alloc(host, &p->mem, in->limit * sizeof *p->runs);
    if (p->runs == NULL)
        return KEDGE_ERR_NOMEM;
    while ((rc = kit_map_scan_next(s, &scan)) == KEDGE_OK) {
        uint64_t inc = kit_map_u64(scan.key.b + 1);
        const struct kit_run *run;

        rc = kit_map_run(s, scan.value, &run);
        if (rc == KEDGE_ERR_CORRUPT || rc == KEDGE_NOT_FOUND)
            rc = kit_map_run_salvage(s, scan.value, in->newest_first != 0 ? ~inc : inc, &run);
        if (rc != KEDGE_OK)
            return rc;
        if (!kit_run_listed(in, run, s->kit.now_wall))
            continue;
        if (p->n == in->limit) {
            p->next = last;
            return KEDGE_OK;
        }
        if (!kit_copy_run(host, &p->mem, &run->r, &p->runs[p->n++]) ||
            (p->n == in->limit && !kit_copy(host, &p->mem, kit_map_scan_rest(&scan), &last)))
            return KEDGE_ERR_NOMEM;
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

int kit_map_list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
                 int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_run_page p = { 0 };
    struct kedge_list whole;
    struct map_step s;
    int rc = kit_check_list(limits_of(session), in, err);

    if (rc == KEDGE_OK)
        rc = check_cursor(in->cursor, 8, 8, err);
    if (rc == KEDGE_OK)
        rc = kit_map_begin(session, &s, false, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    whole = *in;
    if (in->parent.len != 0 && in->parent_incarnation == 0) {
        const struct kit_run *parent;

        rc = kit_map_run_find(&s, in->parent, 0, &parent);
        whole.parent_incarnation = rc == KEDGE_OK ? parent->r.incarnation : 0;
    }
    if (rc == KEDGE_OK || rc == KEDGE_NOT_FOUND)
        rc = fill_list(&s, &whole, &p);
    rc = page_end(&s, rc, p.mem, err);
    if (rc == KEDGE_OK)
        *out = p;
    return rc;
}

/* ------------------------------------------------------------- held and leases */

/* One row of the runs ('h') or the locks ('k') of a lease.  NOT_FOUND: no such thing any more. */
static int held(struct map_step *s, char table, const struct map_scan *scan, struct kedge_held *h)
{
    struct kedge_bytes name = kit_map_scan_rest(scan);
    const struct kit_lock *lock;
    const struct kit_run *run;
    int rc;

    if (table == 'k') {
        rc = s->kit.store->lock_get(s, name, &lock);
        if (rc == KEDGE_OK)
            *h = (struct kedge_held){ .is_lock = 1, .name = name, .fence = lock->fence };
        return rc;
    }
    rc = kit_map_run(s, scan->value, &run);
    if (rc == KEDGE_OK)
        *h = (struct kedge_held){ .requests = run->r.requests,
                                  .name = run->r.id,
                                  .fence = run->r.fence };
    return rc;
}

/* The cursor: 'h' or 'k', and what stands behind the lease in the last key. */
static int held_cursor(struct map_step *s, char table, const struct map_scan *scan,
                       struct kedge_held_page *p)
{
    struct map_key cursor = kit_map_key_name(table, kit_map_scan_rest(scan));

    return kit_copy(s->store->host, &p->mem, (struct kedge_bytes){ cursor.b, cursor.len }, &p->next)
               ? KEDGE_OK
               : KEDGE_ERR_NOMEM;
}

/* KEDGE_QUIET: the page is full. */
static int fill_held(struct map_step *s, char table, const struct kedge_id128 *lease,
                     struct kedge_bytes after, size_t limit, struct kedge_held_page *p)
{
    struct map_key prefix = kit_map_key_id(table, lease);
    struct map_scan scan = kit_map_scan(&prefix);
    int rc;

    if (after.len != 0)
        kit_map_scan_after(&scan, after);
    while ((rc = kit_map_scan_next(s, &scan)) == KEDGE_OK) {
        struct kedge_held *h = &p->held[p->n];

        if (p->n == limit)
            return KEDGE_QUIET;
        rc = held(s, table, &scan, h);
        if (rc == KEDGE_NOT_FOUND || rc == KEDGE_ERR_CORRUPT)
            continue; /* its trouble is its own */
        if (rc == KEDGE_OK && !kit_copy(s->store->host, &p->mem, h->name, &h->name))
            rc = KEDGE_ERR_NOMEM;
        if (rc == KEDGE_OK && ++p->n == limit)
            rc = held_cursor(s, table, &scan, p);
        if (rc != KEDGE_OK)
            return rc;
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

int kit_map_list_held(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                      size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                      struct kedge_error *err)
{
    char table = cursor.len != 0 ? *(const char *)cursor.data : 'h';
    struct kedge_bytes after = { NULL, 0 };
    struct kedge_held_page p = { 0 };
    struct map_step s;
    int rc = check_limit(session, limit, err);

    if (rc == KEDGE_OK)
        rc = check_cursor(cursor, 2, table == 'k' ? 1 + limits_of(session)->id_max : 9, err);
    if (rc == KEDGE_OK && table != 'h' && table != 'k')
        rc = check_cursor(cursor, 1, 0, err);
    if (rc == KEDGE_OK)
        rc = kit_map_begin(session, &s, false, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    if (cursor.len != 0)
        after = (struct kedge_bytes){ (const char *)cursor.data + 1, cursor.len - 1 };
    p.held = kedge_mem_alloc(host_of(session), &p.mem, limit * sizeof *p.held);
    rc = p.held == NULL ? KEDGE_ERR_NOMEM : KEDGE_OK;
    if (rc == KEDGE_OK && table == 'h') {
        rc = fill_held(&s, 'h', lease, after, limit, &p);
        after.len = 0;
    }
    if (rc == KEDGE_OK)
        rc = fill_held(&s, 'k', lease, after, limit, &p);
    if (rc == KEDGE_OK)
        p.next.len = 0; /* that was all */
    rc = page_end(&s, rc == KEDGE_QUIET ? KEDGE_OK : rc, p.mem, err);
    if (rc == KEDGE_OK)
        *out = p;
    return rc;
}

/* Shows the lease that was found; one whose clock stepped back is stamped anew on the way. */
static int show_lease(struct map_step *s, const struct map_scan *scan, struct kedge_mem **mem,
                      struct kedge_lease *out)
{
    const struct kit_lease *found;
    struct kit_lease lease;
    struct kedge_id128 id;
    int rc;

    if (scan->key.len != 1 + sizeof id.b)
        return KEDGE_ERR_CORRUPT;
    memcpy(id.b, scan->key.b + 1, sizeof id.b);
    rc = kit_map_lease(s, &id, &found);
    if (rc != KEDGE_OK)
        return rc;
    lease = *found;
    if (kit_lease_restamp(&lease, s->kit.now_lease))
        rc = s->kit.store->lease_put(s, &lease);
    kit_lease_view(&lease, s->kit.now_lease);
    if (rc == KEDGE_OK && !kit_copy_lease(s->store->host, mem, &lease.l, out))
        return KEDGE_ERR_NOMEM;
    return rc;
}

static int fill_leases(struct map_step *s, struct kedge_bytes cursor, size_t limit,
                       struct kedge_lease_page *p)
{
    struct map_key prefix = kit_map_key('l');
    struct map_scan scan = kit_map_scan(&prefix);
    int rc;

    if (cursor.len != 0)
        kit_map_scan_after(&scan, cursor);
    p->leases = kedge_mem_alloc(s->store->host, &p->mem, limit * sizeof *p->leases);
    if (p->leases == NULL)
        return KEDGE_ERR_NOMEM;
    while ((rc = kit_map_scan_next(s, &scan)) == KEDGE_OK) {
        if (p->n == limit) {
            p->next = (struct kedge_bytes){ p->leases[p->n - 1].id.b, sizeof p->leases->id.b };
            return KEDGE_OK;
        }
        rc = show_lease(s, &scan, &p->mem, &p->leases[p->n]);
        if (rc == KEDGE_ERR_CORRUPT)
            continue;
        if (rc != KEDGE_OK)
            return rc;
        p->n++;
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

int kit_map_lease_list(void *session, struct kedge_bytes cursor, size_t limit,
                       struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_lease_page p = { 0 };
    struct map_step s;
    int rc = check_limit(session, limit, err);

    if (rc == KEDGE_OK)
        rc = check_cursor(cursor, sizeof(struct kedge_id128), sizeof(struct kedge_id128), err);
    if (rc == KEDGE_OK)
        rc = kit_map_begin(session, &s, true, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = fill_leases(&s, cursor, limit, &p);
    rc = page_end(&s, rc, p.mem, err);
    if (rc == KEDGE_OK)
        *out = p;
    return rc;
}

/* ----------------------------------------------------------------------- cells */

int kit_map_cell_get(void *session, struct kedge_bytes name, struct kedge_cell *out,
                     int64_t timeout_us, struct kedge_error *err)
{
    const struct kit_cell *cell;
    struct kedge_cell c = { 0 };
    struct map_step s;
    int rc = kit_check_name(limits_of(session), name, "the name of the cell", err);

    if (rc == KEDGE_OK)
        rc = kit_map_begin(session, &s, false, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = s.kit.store->cell_get(&s, name, &cell);
    if (rc == KEDGE_OK && cell->expires != 0 && cell->expires <= s.kit.now_wall)
        rc = KEDGE_NOT_FOUND;
    if (rc == KEDGE_OK) {
        c.version = cell->version;
        c.expires = cell->expires;
        if (!kit_copy(host_of(session), &c.mem, cell->value, &c.value))
            rc = KEDGE_ERR_NOMEM;
    }
    rc = page_end(&s, rc, c.mem, err);
    if (rc == KEDGE_OK)
        *out = c;
    return rc;
}
