/* recent.c - the newest records of many runs side by side; see recent.h for the invariants */
#include <config.h>

#include "recent.h"

#include <stdlib.h>

#include "../kit/mutant.h"

#define RECORD_MAX ((size_t)1536)       /* of what is larger a page holds one or none */
#define VALUE_MAX  ((size_t)24 * 1024)  /* its pages have to be found in a row */
#define KEEP       32u                  /* values: about as many records of a run move together */
#define VALUES_MAX 128u                 /* R5 */
#define TAIL_MAX   64u                  /* records: a tail is read from its end */
#define ROOM_MIN   (UINT64_C(16) << 20) /* far more than all that may be in `recent' */
#define ROW_BYTES  32u                  /* of `tails': first, last, key, at, checksum */
#define ENTRY_HEAD 28u /* of an entry: inc, number, bytes; key, at of the one before */

struct entry {
    uint64_t inc;
    uint64_t n;
    struct kedge_bytes row;
    uint64_t key; /* of the one before */
    uint32_t at;
};

/* ------------------------------------------------------------------ reading */

static uint64_t row_sum(uint64_t inc, const void *row)
{
    return kit_seed(inc, kit_hash64((struct kedge_bytes){ row, ROW_BYTES - KIT_SUM }));
}

int lm_tail_get(const struct lm_view *v, uint64_t inc, struct lm_tail *out)
{
    struct lm_key key = lm_key_inc(inc);
    MDB_val k = lm_key_val(&key);
    MDB_val value;
    const unsigned char *p;
    int rc = mdb_get(v->txn, v->env->dbi[LM_TAILS], &k, &value);

    if (rc != MDB_SUCCESS)
        return lm_status(rc);
    p = value.mv_data;
    if (value.mv_size != ROW_BYTES || lm_get_u64(p + ROW_BYTES - KIT_SUM) != row_sum(inc, p))
        return KEDGE_ERR_CORRUPT;
    *out =
        (struct lm_tail){ lm_get_u32(p), lm_get_u32(p + 4), lm_get_u64(p + 8), lm_get_u32(p + 16) };
    return out->first >= 1 && out->first <= out->last ? KEDGE_OK : KEDGE_ERR_CORRUPT;
}

static bool entry_at(struct kedge_bytes value, size_t at, struct entry *out)
{
    const unsigned char *p = (const unsigned char *)value.data + at;
    size_t size;

    if (at > value.len || value.len - at < ENTRY_HEAD)
        return false;
    size = lm_get_u32(p + 12);
    *out = (struct entry){ lm_get_u64(p),
                           lm_get_u32(p + 8),
                           { p + ENTRY_HEAD, size },
                           lm_get_u64(p + 16),
                           lm_get_u32(p + 24) };
    return size <= value.len - at - ENTRY_HEAD;
}

static int value_get(const struct lm_view *v, uint64_t number, struct kedge_bytes *out)
{
    struct lm_key key = lm_key_inc(number);
    MDB_val k = lm_key_val(&key);
    MDB_val value;
    int rc;

    if (v->fresh != NULL && v->fresh->key == number) {
        *out = (struct kedge_bytes){ v->fresh->data, v->fresh->len };
        return KEDGE_OK;
    }
    rc = mdb_get(v->txn, v->env->dbi[LM_RECENT], &k, &value);
    if (rc == MDB_SUCCESS)
        *out = (struct kedge_bytes){ value.mv_data, value.mv_size };
    return rc == MDB_NOTFOUND ? KEDGE_ERR_CORRUPT : lm_status(rc);
}

/* Record N of INC, which is said to be there. */
static int entry_get(const struct lm_view *v, uint64_t inc, uint64_t n, uint64_t key, uint32_t at,
                     struct entry *out)
{
    struct kedge_bytes value = { NULL, 0 };
    int rc = value_get(v, key, &value);

    if (rc == KEDGE_OK && (!entry_at(value, at, out) || out->inc != inc || out->n != n))
        rc = KEDGE_ERR_CORRUPT;
    return rc;
}

/* By the checksum of the row, which is seeded with its run and number. */
static bool is_sound(const struct entry *e)
{
    struct kit_blob blob;
    struct kedge_bytes data;

    return kit_blob_decode_first(lm_seed_record(e->inc, e->n), e->row, &blob, &data) &&
           data.len == blob.total;
}

int lm_tail_record(const struct lm_view *v, uint64_t inc, const struct lm_tail *tail, uint64_t n,
                   struct kedge_bytes *out)
{
    struct entry e = { .key = tail->key, .at = tail->at };

    if (n < tail->first || n > tail->last)
        return KEDGE_ERR_CORRUPT;
    for (uint64_t i = tail->last; i >= n; i--) {
        int rc = entry_get(v, inc, i, e.key, e.at, &e);

        if (rc != KEDGE_OK)
            return rc;
    }
    *out = e.row;
    return KEDGE_OK;
}

int lm_tails_count(const struct lm_view *v, uint64_t *records)
{
    MDB_cursor *cursor;
    MDB_val k;
    MDB_val value;
    struct lm_tail tail = { 0 };

    *records = 0;
    if (mdb_cursor_open(v->txn, v->env->dbi[LM_TAILS], &cursor) != MDB_SUCCESS)
        return KEDGE_ERR_UNAVAILABLE;
    while (mdb_cursor_get(cursor, &k, &value, MDB_NEXT) == MDB_SUCCESS)
        if (lm_tail_get(v, lm_get_u64(k.mv_data), &tail) == KEDGE_OK)
            *records += tail.last - tail.first + 1;
    mdb_cursor_close(cursor);
    return KEDGE_OK;
}

/* ------------------------------------------------------ taking a tail to its place */

/* R3.  What is on its way does not move under the cursor: it shares no page with `journal'. */
static int settle(struct lm_step *step, uint64_t inc, const struct lm_tail *tail)
{
    MDB_cursor *journal = lm_step_journal(step);
    struct lm_key key = lm_key_inc(inc);
    struct entry e = { .key = tail->key, .at = tail->at };
    MDB_val rows[TAIL_MAX];
    int rc = KEDGE_OK;

    if (journal == NULL)
        return KEDGE_ERR_UNAVAILABLE;
    if (tail->last - tail->first >= TAIL_MAX)
        return KEDGE_ERR_CORRUPT;
    for (uint64_t n = tail->last; n >= tail->first && rc == KEDGE_OK; n--) {
        rc = entry_get(&step->v, inc, n, e.key, e.at, &e);
        if (rc == KEDGE_OK && !is_sound(&e))
            rc = KEDGE_ERR_CORRUPT;
        rows[n - tail->first] = (MDB_val){ e.row.len, (void *)(uintptr_t)e.row.data };
    }
    for (uint64_t n = KIT_MUTANT("l12", tail->first + 1, tail->first);
         n <= tail->last && rc == KEDGE_OK; n++) {
        struct lm_key at = lm_key_record(inc, n);
        MDB_val k;
        int mdb;

        lm_key_u16(&at, 0);
        k = lm_key_val(&at);
        mdb = mdb_cursor_put(journal, &k, &rows[n - tail->first], 0);
        if (mdb != MDB_SUCCESS)
            return lm_broken(step, mdb);
    }
    return rc == KEDGE_OK ? lm_row_delete(step, LM_TAILS, &key) : rc;
}

/*
 * Of the entries of a value, those that are not rubbish yet, with their tails, until the BUDGET is
 * spent.  Of what cannot be understood nothing is touched (R4).
 */
static int empty_value(struct lm_step *step, struct kedge_bytes value, size_t *budget, bool *empty)
{
    struct entry e;

    *empty = false;
    for (size_t at = 0; at < value.len; at += ENTRY_HEAD + e.row.len) {
        struct lm_tail tail = { 0 };
        int rc;

        if (!entry_at(value, at, &e) || !is_sound(&e))
            return KEDGE_OK;
        rc = lm_tail_get(&step->v, e.inc, &tail);
        if (rc == KEDGE_NOT_FOUND || (rc == KEDGE_OK && e.n < tail.first))
            continue;
        if (KIT_MUTANT("l13", true, false))
            continue;
        if (*budget == 0)
            return KEDGE_OK;
        if (rc == KEDGE_OK)
            rc = settle(step, e.inc, &tail);
        if (rc != KEDGE_OK)
            return rc == KEDGE_ERR_CORRUPT ? KEDGE_OK : rc;
        *budget -=
            tail.last - tail.first < *budget ? (size_t)(tail.last - tail.first + 1) : *budget;
    }
    *empty = true;
    return KEDGE_OK;
}

/* R4, R5. */
static int trim(struct lm_step *step)
{
    size_t budget = 2 * step->recent_added;
    bool empty = true;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && empty && step->recent_next - step->recent_first > KEEP) {
        struct lm_key key = lm_key_inc(step->recent_first);
        struct kedge_bytes value = { NULL, 0 };

        rc = value_get(&step->v, step->recent_first, &value);
        if (rc == KEDGE_ERR_CORRUPT)
            return KEDGE_OK;
        if (rc == KEDGE_OK)
            rc = empty_value(step, value, &budget, &empty);
        if (rc == KEDGE_OK && empty)
            rc = lm_row_delete(step, LM_RECENT, &key);
        if (rc == KEDGE_OK && empty)
            step->recent_first++;
    }
    return rc;
}

/* ------------------------------------------------------------------ appending */

static int end_key(struct lm_step *step, MDB_cursor_op op, uint64_t *out)
{
    MDB_cursor *cursor;
    MDB_val k;
    MDB_val value;
    int rc = mdb_cursor_open(step->v.txn, step->v.env->dbi[LM_RECENT], &cursor);

    if (rc != MDB_SUCCESS)
        return rc;
    rc = mdb_cursor_get(cursor, &k, &value, op);
    *out = rc == MDB_SUCCESS ? lm_get_u64(k.mv_data) : 0;
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
}

int lm_recent_begin(struct lm_step *step, size_t commits, uint64_t room)
{
    MDB_stat st;
    uint64_t last;
    int rc = mdb_stat(step->v.txn, step->v.env->dbi[LM_TAILS], &st);

    step->fresh.key = 0;
    step->recent_added = 0;
    step->recent = false;
    step->tails = rc == MDB_SUCCESS && st.ms_entries != 0;
    if (rc != MDB_SUCCESS || commits < step->v.env->gather || step->v.env->gather == 0 ||
        room < ROOM_MIN)
        return rc == MDB_SUCCESS ? KEDGE_OK : lm_broken(step, rc);
    rc = end_key(step, MDB_FIRST, &step->recent_first);
    if (rc == MDB_SUCCESS)
        rc = end_key(step, MDB_LAST, &last);
    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    step->recent_next = last + 1;
    if (step->recent_first == 0)
        step->recent_first = step->recent_next;
    step->recent = step->recent_next - step->recent_first < VALUES_MAX;
    return KEDGE_OK;
}

/* The value that is being put together is complete. */
static int put_value(struct lm_step *step)
{
    struct lm_fresh *fresh = &step->fresh;
    struct lm_key key = lm_key_inc(fresh->key);
    MDB_val k = lm_key_val(&key);
    MDB_val value = { fresh->len, NULL };
    int rc =
        mdb_put(step->v.txn, step->v.env->dbi[LM_RECENT], &k, &value, MDB_APPEND | MDB_RESERVE);

    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    memcpy(value.mv_data, fresh->data, fresh->len);
    fresh->key = 0;
    return KEDGE_OK;
}

/* Room for SIZE bytes more in the value that is being put together. */
static int make_room(struct lm_step *step, size_t size)
{
    struct lm_fresh *fresh = &step->fresh;
    unsigned char *data;
    int rc = KEDGE_OK;

    if (fresh->key != 0 && fresh->len + size > VALUE_MAX)
        rc = put_value(step);
    if (rc != KEDGE_OK)
        return rc;
    if (fresh->key == 0) {
        fresh->key = step->recent_next++;
        fresh->len = 0;
    }
    if (fresh->data == NULL) {
        data = malloc(VALUE_MAX);
        if (data == NULL)
            return KEDGE_ERR_NOMEM;
        fresh->data = data;
    }
    return KEDGE_OK;
}

static int add_entry(struct lm_step *step, uint64_t inc, uint64_t n, struct kedge_bytes record,
                     const struct kit_blob *blob, struct lm_tail *tail)
{
    size_t size = kit_blob_row_size(record.len, 0);
    struct lm_key head = lm_key_inc(inc);
    unsigned char *to;
    int rc = make_room(step, ENTRY_HEAD + size);

    if (rc != KEDGE_OK)
        return rc;
    lm_key_u32(&head, (uint32_t)n);
    lm_key_u32(&head, (uint32_t)size);
    lm_key_u64(&head, tail->key);
    lm_key_u32(&head, tail->at);
    to = step->fresh.data + step->fresh.len;
    memcpy(to, head.b, ENTRY_HEAD);
    kit_blob_encode(lm_seed_record(inc, n), blob, record, 0, to + ENTRY_HEAD);
    tail->last = n;
    tail->key = step->fresh.key;
    tail->at = (uint32_t)step->fresh.len;
    step->fresh.len += ENTRY_HEAD + size;
    step->recent_added++;
    return KEDGE_OK;
}

static int put_tail(struct lm_step *step, uint64_t inc, const struct lm_tail *tail)
{
    struct lm_key key = lm_key_inc(inc);
    struct lm_key row = { 0 };
    MDB_val k = lm_key_val(&key);
    MDB_val value;
    int rc;

    lm_key_u32(&row, (uint32_t)tail->first);
    lm_key_u32(&row, (uint32_t)tail->last);
    lm_key_u64(&row, tail->key);
    lm_key_u32(&row, tail->at);
    lm_key_u32(&row, 0);
    lm_key_u64(&row, row_sum(inc, row.b));
    value = lm_key_val(&row);
    rc = mdb_put(step->v.txn, step->v.env->dbi[LM_TAILS], &k, &value, 0);
    step->tails = true;
    return rc == MDB_SUCCESS ? KEDGE_OK : lm_broken(step, rc);
}

static bool small(const struct kedge_bytes *records, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (records[i].len > RECORD_MAX)
            return false;
    return n <= TAIL_MAX;
}

int lm_recent_append(struct lm_step *step, uint64_t inc, uint64_t first,
                     const struct kedge_bytes *records, size_t n, const struct kedge_id128 *request,
                     int64_t now_wall)
{
    struct lm_tail tail = { first, 0, 0, 0 };
    bool gather = step->recent && small(records, n);
    int rc = step->tails ? lm_tail_get(&step->v, inc, &tail) : KEDGE_NOT_FOUND;

    if (rc == KEDGE_OK && tail.last + 1 != first)
        return KEDGE_ERR_CORRUPT;
    if (rc == KEDGE_OK && (!gather || first + n - tail.first > TAIL_MAX)) {
        rc = settle(step, inc, &tail);
        tail = (struct lm_tail){ first, 0, 0, 0 };
    }
    if (rc < 0)
        return rc;
    if (!gather)
        return KEDGE_NOT_FOUND;
    rc = KEDGE_OK;
    for (size_t i = 0; i < n && rc == KEDGE_OK; i++) {
        struct kit_blob blob = { records[i].len, *request, now_wall };

        rc = add_entry(step, inc, first + i, records[i], &blob, &tail);
    }
    return rc == KEDGE_OK ? put_tail(step, inc, &tail) : rc;
}

int lm_recent_flush(struct lm_step *step)
{
    int rc = step->fresh.key != 0 ? put_value(step) : KEDGE_OK;

    return rc == KEDGE_OK && step->recent_added != 0 ? trim(step) : rc;
}

size_t lm_recent_cost(const struct lm_step *step)
{
    return step->tails && !step->recent ? TAIL_MAX * (RECORD_MAX + 64) : 0;
}
