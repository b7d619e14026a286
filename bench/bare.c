/* bare.c - records in an LMDB table, nothing else */
#include <config.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"

#define MAP_BYTES    ((size_t)32 << 30)
#define KEY_BYTES    14
#define SEQUENCE_TAG (UINT64_MAX - 1)

static void check(int rc, const char *what)
{
    if (rc != MDB_SUCCESS)
        die("bare LMDB: %s: %s", what, mdb_strerror(rc));
}

void record_fill(uint8_t record[RECORD_BYTES], uint64_t tag, uint64_t number)
{
    static const char text[] = "{\"step\":\"charge\",\"ok\":true,\"amount\":1234.56}";

    memcpy(record, &tag, sizeof tag);
    memcpy(record + 8, &number, sizeof number);
    for (size_t at = 16; at < RECORD_BYTES; at += sizeof text - 1) {
        size_t room = RECORD_BYTES - at;

        memcpy(record + at, text, room < sizeof text - 1 ? room : sizeof text - 1);
    }
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

void bare_open(struct bare *bare, const char *path)
{
    MDB_txn *txn;

    (void)snprintf(bare->path, sizeof bare->path, "%s", path);
    check(mdb_env_create(&bare->env), "mdb_env_create");
    check(mdb_env_set_mapsize(bare->env, MAP_BYTES), "mdb_env_set_mapsize");
    check(mdb_env_open(bare->env, path, MDB_NOTLS, 0600), "mdb_env_open");
    check(mdb_txn_begin(bare->env, NULL, 0, &txn), "mdb_txn_begin");
    check(mdb_dbi_open(txn, NULL, 0, &bare->dbi), "mdb_dbi_open");
    check(mdb_txn_commit(txn), "mdb_txn_commit");
}

void bare_close(struct bare *bare)
{
    mdb_env_close(bare->env);
    bare->env = NULL;
}

void bare_runs_init(struct bare_runs *runs, struct bare *bare, uint64_t first, size_t n)
{
    memset(runs, 0, sizeof *runs);
    runs->bare = bare;
    runs->first = first;
    runs->n = n;
    runs->count = must_alloc(n, sizeof *runs->count);
}

void bare_runs_release(struct bare_runs *runs)
{
    free(runs->count);
    runs->count = NULL;
}

static void put(struct bare *bare, MDB_txn *txn, uint64_t tag, uint64_t number)
{
    uint8_t key[KEY_BYTES];
    uint8_t record[RECORD_BYTES];
    MDB_val k = { sizeof key, key };
    MDB_val v = { sizeof record, record };

    key_of(key, tag, number);
    record_fill(record, tag, number);
    check(mdb_put(txn, bare->dbi, &k, &v, 0), "mdb_put");
}

void bare_append(struct bare_runs *runs, size_t n)
{
    MDB_txn *txn;

    check(mdb_txn_begin(runs->bare->env, NULL, 0, &txn), "mdb_txn_begin");
    for (size_t i = 0; i < n; i++) {
        size_t r = runs->next;

        runs->next = r + 1 < runs->n ? r + 1 : 0;
        put(runs->bare, txn, runs->first + r, ++runs->count[r]);
    }
    check(mdb_txn_commit(txn), "mdb_txn_commit");
}

void bare_sequence(struct bare_runs *runs, size_t n)
{
    MDB_txn *txn;

    check(mdb_txn_begin(runs->bare->env, NULL, 0, &txn), "mdb_txn_begin");
    for (size_t i = 0; i < n; i++)
        put(runs->bare, txn, SEQUENCE_TAG, ++runs->sequence);
    check(mdb_txn_commit(txn), "mdb_txn_commit");
}

/* Records 1 .. COUNT of journal TAG. */
static void verify_journal(const struct bare *bare, MDB_txn *txn, uint64_t tag, uint64_t count)
{
    for (uint64_t number = 1; number <= count; number++) {
        uint8_t key[KEY_BYTES];
        uint8_t want[RECORD_BYTES];
        MDB_val k = { sizeof key, key };
        MDB_val v;

        key_of(key, tag, number);
        record_fill(want, tag, number);
        check(mdb_get(txn, bare->dbi, &k, &v), "mdb_get");
        if (v.mv_size != sizeof want || memcmp(v.mv_data, want, sizeof want) != 0)
            die("bare LMDB: record %llu of journal %llu is not what was written",
                (unsigned long long)number, (unsigned long long)tag);
    }
}

void bare_verify(const struct bare_runs *runs)
{
    MDB_txn *txn;

    check(mdb_txn_begin(runs->bare->env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    for (size_t r = 0; r < runs->n; r++)
        verify_journal(runs->bare, txn, runs->first + r, runs->count[r]);
    if (runs->sequence > 0)
        verify_journal(runs->bare, txn, SEQUENCE_TAG, runs->sequence);
    mdb_txn_abort(txn);
}

void bare_begin(struct bare *bare, struct bare_runs *runs, const char *name, size_t n_runs)
{
    char dir[PATH_MAX];

    scratch_dir(dir, sizeof dir, name);
    bare_open(bare, dir);
    bare_runs_init(runs, bare, 1, n_runs);
}

void bare_end(struct bare *bare, struct bare_runs *runs)
{
    bare_verify(runs);
    bare_runs_release(runs);
    bare_close(bare);
}

void bare_appends(struct side *side, const struct limit *limit)
{
    const struct bare_work *w = side->ctx;
    int64_t t = now_ns();

    for (uint64_t rounds = 0; !limit_reached(limit, rounds, t); rounds++) {
        int64_t began = t;

        bare_append(w->runs, w->batch);
        t = now_ns();
        samples_add(&side->lat, t - began);
        side->ops += w->batch;
    }
}

void bare_sequences(struct side *side, const struct limit *limit)
{
    const struct bare_work *w = side->ctx;
    int64_t t = now_ns();

    for (uint64_t rounds = 0; !limit_reached(limit, rounds, t); rounds++) {
        int64_t began = t;

        bare_sequence(w->runs, w->batch);
        t = now_ns();
        samples_add(&side->lat, t - began);
        side->ops += w->batch;
    }
}
