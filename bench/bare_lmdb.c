/*
 * bare_lmdb.c - records in an LMDB table, nothing else
 *
 * One environment with the settings the backend uses too (MDB_NOTLS, full sync, no MDB_WRITEMAP),
 * one table; the key of record N of run R is the big-endian bytes of R (8), N (4) and 0 (2).
 * No guard; nothing is looked up.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lmdb.h>

#include "bare.h"

#define MAP_BYTES ((size_t)32 << 30)
#define KEY_BYTES 14

struct bare_env {
    MDB_env *env;
    MDB_dbi dbi;
};

static void check(int rc, const char *what)
{
    if (rc != MDB_SUCCESS)
        die("bare LMDB: %s: %s", what, mdb_strerror(rc));
}

static void lmdb_describe(char *text, size_t size)
{
    int major;
    int minor;
    int patch;

    (void)mdb_version(&major, &minor, &patch);
    (void)snprintf(text, size, "%d.%d.%d, MDB_NOTLS, full sync, no MDB_WRITEMAP", major, minor,
                   patch);
}

static void put_be(uint8_t *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--) {
        to[i - 1] = (uint8_t)value;
        value >>= 8;
    }
}

static void key_of(uint8_t key[KEY_BYTES], uint64_t tag, uint64_t number)
{
    put_be(key, tag, 8);
    put_be(key + 8, number, 4);
    put_be(key + 12, 0, 2);
}

static void lmdb_open(struct bare *bare)
{
    struct bare_env *own = must_alloc(1, sizeof *own);
    MDB_txn *txn;

    bare->own = own;
    check(mdb_env_create(&own->env), "mdb_env_create");
    check(mdb_env_set_mapsize(own->env, MAP_BYTES), "mdb_env_set_mapsize");
    check(mdb_env_open(own->env, bare->place, MDB_NOTLS, 0600), "mdb_env_open");
    check(mdb_txn_begin(own->env, NULL, 0, &txn), "mdb_txn_begin");
    check(mdb_dbi_open(txn, NULL, 0, &own->dbi), "mdb_dbi_open");
    check(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void lmdb_close(struct bare *bare)
{
    struct bare_env *own = bare->own;

    mdb_env_close(own->env);
    free(own);
}

static void *lmdb_link(struct bare *bare)
{
    return bare->own;
}

static void lmdb_unlink(void *link)
{
    (void)link;
}

static void lmdb_birth(void *link, uint64_t first, size_t n)
{
    (void)link;
    (void)first;
    (void)n;
}

static void put(const struct bare_env *own, MDB_txn *txn, const struct bare_item *item)
{
    uint8_t key[KEY_BYTES];
    MDB_val k = { sizeof key, key };
    MDB_val v = { opt.record, NULL };

    key_of(key, item->tag, item->number);
    check(mdb_put(txn, own->dbi, &k, &v, MDB_RESERVE), "mdb_put");
    record_fill(v.mv_data, item->tag, item->number);
}

static void lmdb_append(void *link, const struct bare_item *items, size_t n)
{
    const struct bare_env *own = link;
    MDB_txn *txn;

    check(mdb_txn_begin(own->env, NULL, 0, &txn), "mdb_txn_begin");
    for (size_t i = 0; i < n; i++)
        put(own, txn, &items[i]);
    check(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void lmdb_verify(void *link, uint64_t tag, uint64_t count)
{
    const struct bare_env *own = link;
    MDB_txn *txn;

    check(mdb_txn_begin(own->env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    for (uint64_t number = 1; number <= count; number++) {
        uint8_t key[KEY_BYTES];
        MDB_val k = { sizeof key, key };
        MDB_val v;

        key_of(key, tag, number);
        check(mdb_get(txn, own->dbi, &k, &v), "mdb_get");
        if (!record_is(v.mv_data, v.mv_size, tag, number))
            die("bare LMDB: record %llu of journal %llu is not what was written",
                (unsigned long long)number, (unsigned long long)tag);
    }
    mdb_txn_abort(txn);
}

const struct bare_kind bare_lmdb = {
    .name = "LMDB",
    .side = "bare LMDB",
    .describe = lmdb_describe,
    .open = lmdb_open,
    .close = lmdb_close,
    .link = lmdb_link,
    .unlink = lmdb_unlink,
    .birth = lmdb_birth,
    .append = lmdb_append,
    .verify = lmdb_verify,
};
