/* rows.c - reading what tables hold: heads, leases, large values; points into the map unless it
 * says so */
#include <config.h>

#include <errno.h>

#include "recent.h"

uint64_t lm_seed_record(uint64_t inc, uint64_t n)
{
    return kit_seed(inc, n);
}

uint64_t lm_seed_snapshot(uint64_t inc)
{
    return kit_seed(inc, UINT64_MAX);
}

uint64_t lm_seed_slot(uint64_t inc, uint32_t set, uint32_t index)
{
    return kit_seed(kit_seed(inc, set), (uint64_t)index << 32 | 1u);
}

struct lm_combo lm_run_combo(const struct kit_run_row *run)
{
    return (struct lm_combo){ run->queue_no, run->reactor_no, run->k.r.version };
}

int lm_position(MDB_cursor *cursor, uint64_t inc, uint64_t *out)
{
    struct lm_key key = lm_key_record(inc, UINT32_MAX);
    MDB_val k;
    MDB_val value;
    int rc;

    lm_key_u16(&key, 0xffff);
    k = lm_key_val(&key);
    rc = mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE);
    rc = mdb_cursor_get(cursor, &k, &value, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
    *out = 0;
    if (rc == MDB_SUCCESS && k.mv_size == 14 && lm_get_u64(k.mv_data) == inc)
        *out = lm_get_u32((const unsigned char *)k.mv_data + 8);
    return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
}

int lm_status(int rc)
{
    if (rc == MDB_SUCCESS)
        return KEDGE_OK;
    if (rc == MDB_NOTFOUND)
        return KEDGE_NOT_FOUND;
    return rc == ENOMEM ? KEDGE_ERR_NOMEM
                        : (rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND ? KEDGE_ERR_CORRUPT
                                                                          : KEDGE_ERR_UNAVAILABLE);
}

int lm_incarnation(const struct lm_view *v, struct kedge_bytes id, uint64_t *inc)
{
    struct lm_key key;
    MDB_val payload;
    int rc = lm_name_find(v, LM_IDS, 0, id, &payload, &key);

    if (rc != MDB_SUCCESS)
        return lm_status(rc);
    if (payload.mv_size != 8)
        return KEDGE_ERR_CORRUPT;
    *inc = lm_get_u64(payload.mv_data);
    return KEDGE_OK;
}

int lm_head_value(const struct lm_view *v, uint64_t inc, struct kedge_bytes *out)
{
    struct lm_key key = lm_key_inc(inc);
    MDB_val k = lm_key_val(&key);
    MDB_val value;
    int rc = mdb_get(v->txn, v->env->dbi[LM_HEADS], &k, &value);

    if (rc == MDB_SUCCESS)
        *out = (struct kedge_bytes){ value.mv_data, value.mv_size };
    return lm_status(rc);
}

int lm_head(const struct lm_view *v, uint64_t inc, struct kit_run_row *out)
{
    struct kedge_bytes value;
    int rc = lm_head_value(v, inc, &value);

    if (rc == KEDGE_OK && !kit_run_decode(inc, value, out))
        rc = KEDGE_ERR_CORRUPT;
    return rc;
}

int lm_run_load(const struct lm_view *v, struct kedge_mem **mem, MDB_cursor *journal, uint64_t inc,
                struct kit_run_row *out)
{
    struct kedge_bytes value;
    struct lm_tail tail;
    uint64_t position;
    int rc = lm_head_value(v, inc, &value);

    if (rc != KEDGE_OK)
        return rc;
    if (mem != NULL && !kit_copy(v->host, mem, value, &value))
        return KEDGE_ERR_NOMEM;
    if (!kit_run_decode(inc, value, out))
        return KEDGE_ERR_CORRUPT;
    rc = lm_tail_get(v, inc, &tail);
    if (rc == KEDGE_OK)
        position = tail.last;
    else if (rc == KEDGE_NOT_FOUND)
        rc = lm_status(lm_position(journal, inc, &position));
    if (rc != KEDGE_OK)
        return rc;
    kit_run_load(&out->k, position);
    return KEDGE_OK;
}

int lm_lease_load(const struct lm_view *v, struct kedge_mem **mem, const struct kedge_id128 *id,
                  struct kit_lease_row *out)
{
    struct lm_key key = { 0 };
    struct kedge_bytes bytes;
    MDB_val k;
    MDB_val value;
    int rc;

    lm_key_bytes(&key, id->b, sizeof id->b);
    k = lm_key_val(&key);
    rc = mdb_get(v->txn, v->env->dbi[LM_LEASES], &k, &value);
    if (rc != MDB_SUCCESS)
        return lm_status(rc);
    bytes = (struct kedge_bytes){ value.mv_data, value.mv_size };
    if (!kit_copy(v->host, mem, bytes, &bytes))
        return KEDGE_ERR_NOMEM;
    return kit_lease_decode(v->host, mem, id, bytes, out);
}

int lm_blob_load(const struct lm_view *v, struct kedge_mem **mem, enum lm_table table,
                 const struct lm_key *stem, uint64_t seed, struct kit_blob *blob,
                 struct kedge_bytes *out)
{
    struct kedge_bytes part = { NULL, 0 };
    unsigned char *to = NULL;
    size_t done = 0;

    for (size_t row = 0; row == 0 || done < blob->total; row++) {
        struct lm_key key = *stem;
        struct kedge_bytes bytes;
        MDB_val k;
        MDB_val value;
        int rc;
        bool ok;

        lm_key_u16(&key, (unsigned)row);
        k = lm_key_val(&key);
        rc = mdb_get(v->txn, v->env->dbi[table], &k, &value);
        if (rc != MDB_SUCCESS)
            return row == 0 ? lm_status(rc) : KEDGE_ERR_CORRUPT;
        bytes = (struct kedge_bytes){ value.mv_data, value.mv_size };
        ok = row == 0 ? kit_blob_decode_first(seed, bytes, blob, &part)
                      : kit_blob_decode_next(seed, row, bytes, &part);
        if (!ok || part.len > blob->total - done || (part.len == 0 && blob->total != 0))
            return KEDGE_ERR_CORRUPT;
        if (row == 0) {
            to = kedge_mem_alloc(v->host, mem, (size_t)blob->total);
            if (to == NULL)
                return KEDGE_ERR_NOMEM;
        }
        if (part.len != 0)
            memcpy(to + done, part.data, part.len);
        done += part.len;
    }
    *out = (struct kedge_bytes){ to, done };
    return KEDGE_OK;
}

int lm_record_load(const struct lm_view *v, struct kedge_mem **mem, uint64_t inc, uint64_t n,
                   struct kit_blob *blob, struct kedge_bytes *data)
{
    struct lm_key stem = lm_key_record(inc, n);
    struct kedge_bytes row;
    struct kedge_bytes part;
    struct lm_tail tail;
    int rc = lm_tail_get(v, inc, &tail);

    if (rc == KEDGE_NOT_FOUND || (rc == KEDGE_OK && n < tail.first))
        return lm_blob_load(v, mem, LM_JOURNAL, &stem, lm_seed_record(inc, n), blob, data);
    if (rc == KEDGE_OK)
        rc = lm_tail_record(v, inc, &tail, n, &row);
    if (rc == KEDGE_OK && (!kit_blob_decode_first(lm_seed_record(inc, n), row, blob, &part) ||
                           part.len != blob->total))
        rc = KEDGE_ERR_CORRUPT;
    if (rc == KEDGE_OK && !kit_copy(v->host, mem, part, data))
        rc = KEDGE_ERR_NOMEM;
    return rc;
}

int lm_slots_load(const struct lm_view *v, uint64_t inc, uint32_t set, struct kit_slots *out)
{
    struct lm_key key = lm_key_record(inc, set);
    MDB_val k = lm_key_val(&key);
    MDB_val value;
    int rc = mdb_get(v->txn, v->env->dbi[LM_SETS], &k, &value);

    if (rc != MDB_SUCCESS)
        return lm_status(rc);
    return kit_slots_decode((struct kedge_bytes){ value.mv_data, value.mv_size }, out)
               ? KEDGE_OK
               : KEDGE_ERR_CORRUPT;
}

int lm_cell_load(const struct lm_view *v, struct kedge_bytes name, struct kit_cell *out)
{
    struct lm_key key;
    MDB_val payload;
    int rc = lm_name_find(v, LM_CELLS, 0, name, &payload, &key);

    if (rc != MDB_SUCCESS)
        return lm_status(rc);
    return kit_cell_decode((struct kedge_bytes){ payload.mv_data, payload.mv_size }, out)
               ? KEDGE_OK
               : KEDGE_ERR_CORRUPT;
}
