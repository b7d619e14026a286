/*
 * names.c - names of any length as keys, and as numbers
 *
 * A long name's row begins with the whole name, which is compared: its hash in the key only says
 * where to look.  When one of several names with equal hashes is deleted it leaves an empty row, so
 * that those behind it are still found.
 */
#include <config.h>

#include "tables.h"

static void name_key(unsigned kind, struct kedge_bytes name, struct lm_key *key)
{
    unsigned char hash[16];

    key->len = 0;
    if (kind != 0)
        lm_key_u8(key, kind);
    if (name.len <= LM_NAME_SHORT) {
        lm_key_u8(key, 0);
        lm_key_bytes(key, name.data, name.len);
        return;
    }
    kit_hash128(name, hash);
    lm_key_u8(key, 1);
    lm_key_bytes(key, name.data, LM_NAME_PREFIX);
    lm_key_bytes(key, hash, sizeof hash);
    lm_key_u8(key, 0); /* the ordinal */
}

bool lm_name_of(const MDB_val *key, size_t skip, const MDB_val *value, struct kedge_bytes *name,
                MDB_val *payload)
{
    const unsigned char *k = (const unsigned char *)key->mv_data + skip;
    unsigned char *v = value->mv_data;
    size_t len;

    if (key->mv_size <= skip)
        return false;
    if (k[0] == 0) {
        *name = (struct kedge_bytes){ k + 1, key->mv_size - skip - 1 };
        *payload = *value;
        return true;
    }
    if (value->mv_size < 2)
        return false; /* a tombstone */
    len = (size_t)v[0] << 8 | v[1];
    if (value->mv_size - 2 < len)
        return false;
    *name = (struct kedge_bytes){ v + 2, len };
    *payload = (MDB_val){ value->mv_size - 2 - len, v + 2 + len };
    return true;
}

int lm_name_find(const struct lm_view *v, enum lm_table table, unsigned kind,
                 struct kedge_bytes name, MDB_val *payload, struct lm_key *key)
{
    struct lm_key free_key = { 0 };
    struct kedge_bytes full;
    MDB_val k;
    MDB_val value;
    int rc;

    name_key(kind, name, key);
    k = lm_key_val(key);
    if (name.len <= LM_NAME_SHORT)
        return mdb_get(v->txn, v->env->dbi[table], &k, payload);
    for (unsigned ordinal = 0; ordinal < 256; ordinal++) {
        key->b[key->len - 1] = (unsigned char)ordinal;
        k = lm_key_val(key);
        rc = mdb_get(v->txn, v->env->dbi[table], &k, &value);
        if (rc == MDB_NOTFOUND) {
            if (free_key.len != 0)
                *key = free_key;
            return rc;
        }
        if (rc != MDB_SUCCESS)
            return rc;
        if (!lm_name_of(&k, kind != 0, &value, &full, payload)) {
            if (free_key.len == 0)
                free_key = *key;
        } else if (kit_bytes_equal(full, name)) {
            return MDB_SUCCESS;
        }
    }
    return MDB_BAD_VALSIZE; /* 256 names of one hash: nobody will see this */
}

/* Room for a row under KEY, with the name in front where the key does not hold all of it. */
int lm_name_reserve(struct lm_step *step, enum lm_table table, unsigned kind, struct lm_key *key,
                    struct kedge_bytes name, size_t size, void **room)
{
    bool is_long = key->b[kind != 0] == 1;
    MDB_val k = lm_key_val(key);
    MDB_val value = { size + (is_long ? 2 + name.len : 0), NULL };
    unsigned char *p;
    int rc = mdb_put(step->v.txn, step->v.env->dbi[table], &k, &value, MDB_RESERVE);

    p = value.mv_data;
    if (rc != MDB_SUCCESS || p == NULL)
        return lm_broken(step, rc);
    if (is_long) {
        p[0] = (unsigned char)(name.len >> 8);
        p[1] = (unsigned char)name.len;
        memcpy(p + 2, name.data, name.len);
        p += 2 + name.len;
    }
    *room = p;
    return KEDGE_OK;
}

/* A long name leaves a tombstone, so that a later one of the same hash is still found. */
int lm_name_delete(struct lm_step *step, enum lm_table table, unsigned kind, struct lm_key *key)
{
    MDB_val k = lm_key_val(key);
    MDB_val none = { 0, NULL };
    MDB_val value;
    struct lm_key next = *key;
    int rc;

    if (key->b[kind != 0] == 1 && key->b[key->len - 1] != 255) {
        MDB_val n;

        next.b[next.len - 1]++;
        n = lm_key_val(&next);
        if (mdb_get(step->v.txn, step->v.env->dbi[table], &n, &value) == MDB_SUCCESS) {
            rc = mdb_put(step->v.txn, step->v.env->dbi[table], &k, &none, 0);
            return rc == MDB_SUCCESS ? KEDGE_OK : lm_broken(step, rc);
        }
    }
    rc = mdb_del(step->v.txn, step->v.env->dbi[table], &k, NULL);
    return rc == MDB_SUCCESS || rc == MDB_NOTFOUND ? KEDGE_OK : lm_broken(step, rc);
}

int lm_name_number(const struct lm_view *v, unsigned kind, struct kedge_bytes name, uint32_t *out)
{
    struct lm_key key;
    MDB_val payload;
    int rc = lm_name_find(v, LM_NAMES, kind, name, &payload, &key);

    *out = 0;
    if (rc == MDB_SUCCESS && payload.mv_size == 4)
        *out = lm_get_u32(payload.mv_data);
    return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
}

/* Names are never taken back: a few bytes for each queue and reactor there ever was. */
int lm_name_intern(struct lm_step *step, unsigned kind, struct kedge_bytes name, uint32_t *out)
{
    struct lm_key key;
    struct lm_key number = { 0 };
    MDB_val payload;
    MDB_stat st = { 0 };
    void *room = NULL;
    int rc = lm_name_find(&step->v, LM_NAMES, kind, name, &payload, &key);

    if (rc == MDB_SUCCESS && payload.mv_size == 4) {
        *out = lm_get_u32(payload.mv_data);
        return KEDGE_OK;
    }
    if (rc == MDB_NOTFOUND)
        rc = mdb_stat(step->v.txn, step->v.env->dbi[LM_NAMES], &st);
    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    *out = (uint32_t)st.ms_entries + 1;
    rc = lm_name_reserve(step, LM_NAMES, kind, &key, name, 4, &room);
    if (rc == KEDGE_OK && room != NULL) {
        lm_key_u32(&number, *out);
        memcpy(room, number.b, 4);
    }
    return rc;
}
