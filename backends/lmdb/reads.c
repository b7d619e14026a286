/*
 * reads.c - one run, its records and slots, a cell: each from one read transaction
 *
 * Everything handed out is a copy; nothing points into the map after the transaction.
 */
#include <config.h>

#include "session.h"

/* Head of ID, not expired and of that incarnation (0: any); points into the map. */
static int find_run(struct lm_read *r, struct kedge_bytes id, uint64_t incarnation,
                    struct kit_run_row *out)
{
    MDB_cursor *journal;
    uint64_t inc;
    int rc = lm_incarnation(&r->v, id, &inc);

    if (rc == KEDGE_OK && incarnation != 0 && inc != incarnation)
        return KEDGE_NOT_FOUND;
    if (rc == KEDGE_OK)
        rc = lm_read_journal(r, &journal);
    if (rc == KEDGE_OK)
        rc = lm_run_load(&r->v, NULL, journal, inc, out);
    if (rc == KEDGE_OK && kit_run_expired(&out->k, r->now_wall))
        rc = KEDGE_NOT_FOUND;
    return rc;
}

static int load_record(const struct lm_read *r, struct kedge_mem **mem, uint64_t inc, uint64_t n,
                       struct kedge_record *out)
{
    struct kit_blob blob;
    int rc = lm_record_load(&r->v, mem, inc, n, &blob, &out->data);

    if (rc == KEDGE_NOT_FOUND) /* the journal has no gaps */
        return KEDGE_ERR_CORRUPT;
    out->number = n;
    out->request = blob.request;
    out->time = blob.time;
    return rc;
}

static int load_tail(struct lm_read *r, const struct kit_run_row *run, struct kedge_run_state *out)
{
    uint64_t first = run->k.r.snapshot_position + 1;
    uint64_t n = run->k.r.position < first ? 0 : run->k.r.position - first + 1;
    int rc = KEDGE_OK;

    if (n == 0)
        return KEDGE_OK;
    if (n > SIZE_MAX / sizeof *out->tail)
        return KEDGE_ERR_NOMEM;
    out->tail = kedge_mem_alloc(r->v.host, &out->mem, (size_t)n * sizeof *out->tail);
    if (out->tail == NULL)
        return KEDGE_ERR_NOMEM;
    while (rc == KEDGE_OK && out->n_tail < n) {
        rc = load_record(r, &out->mem, run->k.r.incarnation, first + out->n_tail,
                         &out->tail[out->n_tail]);
        out->n_tail++;
    }
    return rc;
}

static int load_snapshot(struct lm_read *r, const struct kit_run_row *run,
                         struct kedge_run_state *out)
{
    struct lm_key stem = lm_key_inc(run->k.r.incarnation);
    struct kit_blob blob;
    int rc = lm_blob_load(&r->v, &out->mem, LM_SNAPS, &stem, lm_seed_snapshot(run->k.r.incarnation),
                          &blob, &out->snapshot);

    if (rc == KEDGE_NOT_FOUND)
        rc = run->k.r.snapshot_position == 0 ? KEDGE_OK : KEDGE_ERR_CORRUPT;
    return rc;
}

static int load_state(struct lm_read *r, const struct kedge_retrieve *in,
                      struct kedge_run_state *out)
{
    struct kit_run_row run;
    int rc = find_run(r, in->id, in->incarnation, &run);

    if (rc == KEDGE_OK && (in->want & KEDGE_WANT_SNAPSHOT) != 0)
        rc = load_snapshot(r, &run, out);
    if (rc == KEDGE_OK && (in->want & KEDGE_WANT_TAIL) != 0)
        rc = load_tail(r, &run, out);
    if (rc == KEDGE_OK && !kit_copy_run(r->v.host, &out->mem, &run.k.r, &out->run))
        rc = KEDGE_ERR_NOMEM;
    return rc;
}

int lm_retrieve(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct kedge_run_state state = { 0 };
    struct lm_read r;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&lm_limits, in->id, "the id of a run", err);
    if (rc == KEDGE_OK && (in->want & ~(KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL)) != 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "unknown bits 0x%x in what is wanted",
                             (unsigned)in->want);
    if (rc == KEDGE_OK)
        rc = lm_read_open(s, &r, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = load_state(&r, in, &state);
    lm_read_close(s, &r);
    if (rc == KEDGE_OK)
        *out = state;
    else
        kedge_mem_free(s->host, state.mem);
    return lm_say(s, rc, "the run", err);
}

static int load_records(struct lm_read *r, const struct kit_run_row *run, uint64_t first,
                        size_t limit, size_t bytes_max, struct kedge_record_page *out)
{
    uint64_t position = run->k.r.position;
    uint64_t n = first > position ? 0 : position - first + 1;
    size_t bytes = 0;
    int rc = KEDGE_OK;

    if (n > limit)
        n = limit;
    if (n == 0)
        return KEDGE_OK;
    out->records = kedge_mem_alloc(r->v.host, &out->mem, (size_t)n * sizeof *out->records);
    if (out->records == NULL)
        return KEDGE_ERR_NOMEM;
    while (rc == KEDGE_OK && out->n < n && (out->n == 0 || bytes < bytes_max)) {
        rc = load_record(r, &out->mem, run->k.r.incarnation, first + out->n, &out->records[out->n]);
        if (rc == KEDGE_OK)
            bytes += out->records[out->n++].data.len;
    }
    if (first + out->n <= position)
        out->next = first + out->n;
    return rc;
}

int lm_retrieve_records(void *session, struct kedge_bytes id, uint64_t incarnation, uint64_t first,
                        size_t limit, size_t bytes_max, struct kedge_record_page *out,
                        int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct kedge_record_page page = { 0 };
    struct kit_run_row run;
    struct lm_read r;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&lm_limits, id, "the id of a run", err);
    if (rc == KEDGE_OK && (first == 0 || limit == 0))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "records are numbered from 1, and a page has at least one");
    if (rc == KEDGE_OK)
        rc = lm_read_open(s, &r, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = find_run(&r, id, incarnation, &run);
    if (rc == KEDGE_OK)
        rc = load_records(&r, &run, first, limit, bytes_max, &page);
    lm_read_close(s, &r);
    if (rc == KEDGE_OK)
        *out = page;
    else
        kedge_mem_free(s->host, page.mem);
    return lm_say(s, rc, "a record", err);
}

/* Slots from index FIRST on; a slot's rows are neighbours, row 0 leads. */
static int load_slots(struct lm_read *r, uint64_t inc, uint32_t set, uint32_t first, size_t limit,
                      struct kedge_slot_page *out)
{
    struct lm_key from = lm_key_slot(inc, set, first);
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(r->v.txn, r->v.env->dbi[LM_SLOTS], &cursor);

    if (rc != MDB_SUCCESS)
        return KEDGE_ERR_UNAVAILABLE;
    rc = KEDGE_OK;
    while (rc == KEDGE_OK) {
        struct kedge_slot *slot = &out->slots[out->n];
        MDB_val k = lm_key_val(&from);
        MDB_val value;
        struct kit_blob blob;
        struct lm_key stem = { 0 };
        uint32_t index;

        if (mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE) != MDB_SUCCESS ||
            memcmp(k.mv_data, from.b, 12) != 0)
            break;
        index = lm_get_u32((const unsigned char *)k.mv_data + 12);
        if (out->n == limit) {
            out->next = index;
            break;
        }
        lm_key_bytes(&stem, k.mv_data, 16);
        slot->index = index;
        slot->reserved = 0;
        rc = lm_blob_load(&r->v, &out->mem, LM_SLOTS, &stem, lm_seed_slot(inc, set, index), &blob,
                          &slot->value);
        out->n++;
        if (index == UINT32_MAX)
            break;
        from = lm_key_slot(inc, set, index + 1);
    }
    mdb_cursor_close(cursor);
    return rc;
}

int lm_retrieve_slots(void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
                      uint32_t first, size_t limit, struct kedge_slot_page *out, int64_t timeout_us,
                      struct kedge_error *err)
{
    struct lm_session *s = session;
    struct kedge_slot_page page = { 0 };
    struct kit_slots slots;
    struct kit_run_row run;
    struct lm_read r;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&lm_limits, id, "the id of a run", err);
    if (rc == KEDGE_OK && (limit == 0 || limit > lm_limits.page_max))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a page has 1 to %llu slots, not %zu",
                             (unsigned long long)lm_limits.page_max, limit);
    if (rc == KEDGE_OK)
        rc = lm_read_open(s, &r, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = find_run(&r, id, incarnation, &run);
    if (rc == KEDGE_OK)
        rc = lm_slots_load(&r.v, run.k.r.incarnation, set, &slots);
    if (rc == KEDGE_OK) {
        page.total = slots.total;
        page.remaining = slots.remaining;
        page.slots = kedge_mem_alloc(s->host, &page.mem, limit * sizeof *page.slots);
        rc = page.slots == NULL ? KEDGE_ERR_NOMEM
                                : load_slots(&r, run.k.r.incarnation, set, first, limit, &page);
    }
    lm_read_close(s, &r);
    if (rc == KEDGE_OK)
        *out = page;
    else
        kedge_mem_free(s->host, page.mem);
    return lm_say(s, rc, "a slot", err);
}

int lm_cell_get(void *session, struct kedge_bytes name, struct kedge_cell *out, int64_t timeout_us,
                struct kedge_error *err)
{
    struct lm_session *s = session;
    struct kedge_cell copy = { 0 };
    struct kit_cell cell;
    struct lm_read r;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&lm_limits, name, "the name of a cell", err);
    if (rc == KEDGE_OK)
        rc = lm_read_open(s, &r, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = lm_cell_load(&r.v, name, &cell);
    if (rc == KEDGE_OK && cell.expires != 0 && cell.expires <= r.now_wall)
        rc = KEDGE_NOT_FOUND;
    if (rc == KEDGE_OK && !kit_copy(s->host, &copy.mem, cell.value, &copy.value))
        rc = KEDGE_ERR_NOMEM;
    lm_read_close(s, &r);
    if (rc == KEDGE_OK) {
        copy.version = cell.version;
        copy.expires = cell.expires;
        *out = copy;
    }
    return lm_say(s, rc, "the cell", err);
}
