/*
 * upkeep.c - purge, verify, and what a store tells about itself
 *
 * Purge removes a head with all its index rows in one step and notes the incarnation in `trash';
 * the rows of records, snapshots and slots go from there, now or later, by a bounded number at a
 * time.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "recent.h"
#include "session.h"

#include "../kit/mutant.h"

/* -------------------------------------------------------------------- purge */

#define LEASES_AT_ONCE 64u

struct purge_job {
    struct lm_small small;
    size_t limit;
    struct kedge_purged out;
    struct kedge_id128 gone[LEASES_AT_ONCE]; /* leases whose hint files go after the commit */
    size_t n_gone;
};

static bool spent(struct purge_job *j)
{
    if (j->out.runs + j->out.rows < j->limit)
        return false;
    j->out.more = 1;
    return true;
}

/* Delete rows of TABLE that begin with the incarnation.  OK: none is left, or the limit is reached.
 */
static int empty_rows(struct lm_step *step, struct purge_job *j, enum lm_table table, uint64_t inc)
{
    struct lm_key prefix = lm_key_inc(inc);
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(step->v.txn, step->v.env->dbi[table], &cursor);

    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    while (!spent(j)) {
        MDB_val k = lm_key_val(&prefix);
        MDB_val value;

        rc = mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE);
        if (rc == MDB_NOTFOUND || (rc == MDB_SUCCESS && memcmp(k.mv_data, prefix.b, 8) != 0)) {
            rc = MDB_SUCCESS;
            break;
        }
        if (rc == MDB_SUCCESS)
            rc = mdb_cursor_del(cursor, 0);
        if (rc != MDB_SUCCESS)
            break;
        j->out.rows++;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_SUCCESS ? KEDGE_OK : lm_broken(step, rc);
}

/* First row of TABLE at or behind FROM.  LMDB code. */
static int first_row(struct lm_step *step, enum lm_table table, const struct lm_key *from,
                     struct lm_key *out)
{
    MDB_cursor *cursor;
    struct lm_key copy = *from;
    MDB_val k = lm_key_val(&copy);
    MDB_val value;
    int rc = mdb_cursor_open(step->v.txn, step->v.env->dbi[table], &cursor);

    if (rc != MDB_SUCCESS)
        return rc;
    rc = mdb_cursor_get(cursor, &k, &value, from->len == 0 ? MDB_FIRST : MDB_SET_RANGE);
    out->len = 0;
    if (rc == MDB_SUCCESS)
        lm_key_bytes(out, k.mv_data, k.mv_size);
    mdb_cursor_close(cursor);
    return rc;
}

static int purge_trash(struct lm_step *step, struct purge_job *j)
{
    static const enum lm_table tables[] = { LM_JOURNAL, LM_SNAPS, LM_SETS, LM_SLOTS };
    const struct lm_key start = { 0 };
    struct lm_key row;
    int rc = KEDGE_OK;
    int mdb = MDB_SUCCESS;

    while (rc == KEDGE_OK && !spent(j) &&
           (mdb = first_row(step, LM_TRASH, &start, &row)) == MDB_SUCCESS) {
        for (size_t i = 0; i < sizeof tables / sizeof tables[0] && rc == KEDGE_OK; i++)
            rc = empty_rows(step, j, tables[i], lm_get_u64(row.b));
        if (rc == KEDGE_OK && !spent(j))
            rc = lm_row_delete(step, LM_TRASH, &row);
    }
    return rc != KEDGE_OK || mdb == MDB_SUCCESS || mdb == MDB_NOTFOUND ? rc : lm_broken(step, mdb);
}

static int purge_run(struct lm_step *step, struct purge_job *j, uint64_t inc)
{
    const struct kit_run *run;
    struct lm_tail tail;
    int rc = lm_step_load(step, inc, &run);

    if (rc == KEDGE_ERR_CORRUPT)
        return KEDGE_OK; /* kept, byte for byte */
    if (rc == KEDGE_OK && kit_run_expired(run, step->kit.now_wall)) {
        if (lm_tail_get(&step->v, inc, &tail) == KEDGE_OK) /* those go with the head */
            j->out.rows += tail.last - tail.first + 1;
        rc = lm_kit_store.run_drop(step, run);
        j->out.runs++;
    }
    return rc;
}

/* Rows of an index by time, from the oldest; ONE is called for each that has come. */
static int purge_by_time(struct lm_step *step, struct purge_job *j, enum lm_table table,
                         int (*one)(struct lm_step *, struct purge_job *, struct lm_key *))
{
    struct lm_key from = { 0 };
    struct lm_key row;
    int rc = KEDGE_OK;
    int mdb;

    while (rc == KEDGE_OK) {
        mdb = first_row(step, table, &from, &row);
        if (mdb == MDB_NOTFOUND ||
            (mdb == MDB_SUCCESS && lm_get_u64(row.b) > (uint64_t)step->kit.now_wall))
            return KEDGE_OK;
        if (mdb != MDB_SUCCESS)
            return lm_broken(step, mdb);
        if (spent(j))
            return KEDGE_OK;
        rc = one(step, j, &row);
        from = row;
        lm_key_u8(&from, 0);
    }
    return rc;
}

static int purge_expiry(struct lm_step *step, struct purge_job *j, struct lm_key *row)
{
    return purge_run(step, j, lm_get_u64(row->b + 8));
}

static int purge_cell(struct lm_step *step, struct purge_job *j, struct lm_key *row)
{
    struct lm_key key = { 0 };
    int rc;

    lm_key_bytes(&key, row->b + 8, row->len - 8);
    rc = lm_row_delete(step, LM_CELLX, row);
    if (rc == KEDGE_OK)
        rc = lm_cell_remove(step, &key);
    j->out.rows++;
    return rc;
}

static bool holds_anything(struct lm_step *step, const struct lm_key *id)
{
    struct lm_key from = *id;
    struct lm_key row;

    return first_row(step, LM_HELD, &from, &row) == MDB_SUCCESS && row.len >= 16 &&
           memcmp(row.b, id->b, 16) == 0;
}

static int purge_leases(struct lm_step *step, struct purge_job *j)
{
    struct lm_key from = { 0 };
    struct lm_key row;
    int rc = KEDGE_OK;
    int mdb = MDB_SUCCESS;

    while (rc == KEDGE_OK && j->n_gone < LEASES_AT_ONCE &&
           (mdb = first_row(step, LM_LEASES, &from, &row)) == MDB_SUCCESS) {
        const struct kit_lease *lease;
        struct kedge_id128 id;

        memcpy(id.b, row.b, 16);
        from = row;
        lm_key_u8(&from, 0);
        rc = lm_step_lease(step, &id, &lease);
        if (rc == KEDGE_ERR_CORRUPT) {
            rc = KEDGE_OK;
            continue;
        }
        if (rc != KEDGE_OK || lease->l.state != KEDGE_LEASE_DEAD || holds_anything(step, &row))
            continue;
        if (spent(j))
            break;
        rc = lm_row_delete(step, LM_LEASES, &row);
        j->gone[j->n_gone++] = id;
        j->out.rows++;
    }
    return rc != KEDGE_OK || mdb == MDB_SUCCESS || mdb == MDB_NOTFOUND ? rc : lm_broken(step, mdb);
}

static int purge_body(struct lm_step *step, struct lm_small *small)
{
    struct purge_job *j = (struct purge_job *)small;
    int rc;

    memset(&j->out, 0, sizeof j->out);
    j->n_gone = 0;
    rc = purge_by_time(step, j, LM_EXPIRY, purge_expiry);
    if (rc == KEDGE_OK)
        rc = purge_trash(step, j);
    if (rc == KEDGE_OK)
        rc = purge_by_time(step, j, LM_CELLX, purge_cell);
    if (rc == KEDGE_OK)
        rc = purge_leases(step, j);
    if (KIT_MUTANT("l08", j->out.runs > 0, false)) {
        step->fence = 0;
        step->fence_known = step->fence_moved = true;
    }
    return rc;
}

int lm_purge(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
             struct kedge_error *err)
{
    struct lm_session *s = session;
    struct purge_job *j;
    int dead = 0;
    bool left;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK && limit == 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a purge removes at least one row");
    if (rc != KEDGE_OK)
        return rc;
    (void)mdb_reader_check(s->env->env, &dead);
    j = lm_small_new(s, sizeof *j, purge_body);
    if (j == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    j->small.job.urgent = false;
    j->limit = limit;
    rc = lm_small_submit(&j->small, timeout_us, &left, err);
    if (rc == KEDGE_OK) {
        *out = j->out;
        for (size_t i = 0; i < j->n_gone; i++)
            lm_hint_remove(s->env->hints, &j->gone[i]);
    }
    if (!left)
        lm_job_free(&j->small.job);
    return rc;
}

/* ------------------------------------------------------------------- verify */

struct check {
    struct lm_read *r;
    struct kedge_verified *out;
    char first[256];
    size_t want[LM_TABLES]; /* rows that the heads, cells and locks call for */
};

static void fault(struct check *c, const char *what, uint64_t inc)
{
    if (c->out->faults++ == 0)
        (void)snprintf(c->first, sizeof c->first, "incarnation %" PRIu64 ": %s", inc, what);
}

static void need_row(struct check *c, enum lm_table table, struct lm_key key, uint64_t inc)
{
    static const char *const names[LM_TABLES] = LM_TABLE_NAMES;
    MDB_val k = lm_key_val(&key);
    MDB_val value;
    char text[64];

    c->want[table]++;
    if (mdb_get(c->r->v.txn, c->r->v.env->dbi[table], &k, &value) == MDB_SUCCESS)
        return;
    (void)snprintf(text, sizeof text, "no row in '%s'", names[table]);
    fault(c, text, inc);
}

static void check_records(struct check *c, const struct kit_run_row *run)
{
    uint64_t inc = run->k.r.incarnation;

    for (uint64_t n = 1; n <= run->k.r.position; n++) {
        struct kedge_mem *mem = NULL;
        struct kedge_bytes data;
        struct kit_blob blob;

        if (lm_record_load(&c->r->v, &mem, inc, n, &blob, &data) != KEDGE_OK)
            fault(c, "a record is missing or cannot be understood", inc);
        kedge_mem_free(c->r->v.host, mem);
        c->out->records++;
    }
}

static void check_tail(struct check *c, uint64_t inc, MDB_cursor *journal)
{
    struct lm_tail tail;
    uint64_t placed = 0;
    int rc = lm_tail_get(&c->r->v, inc, &tail);

    if (rc == KEDGE_NOT_FOUND)
        return;
    c->want[LM_TAILS]++;
    if (rc != KEDGE_OK || lm_position(journal, inc, &placed) != MDB_SUCCESS ||
        placed + 1 != tail.first)
        fault(c, "its newest records do not follow those before", inc);
}

static void check_rows(struct check *c, const struct kit_run_row *run)
{
    const struct kedge_run *r = &run->k.r;
    struct lm_combo combo = lm_run_combo(run);
    uint64_t inc = r->incarnation;
    uint64_t named = 0;

    if (lm_incarnation(&c->r->v, r->id, &named) != KEDGE_OK || named != inc)
        fault(c, "its id names another run", inc);
    c->want[LM_IDS]++;
    need_row(c, LM_KINDS, lm_key_kind(&combo, r->status, inc), inc);
    if (r->due != 0)
        need_row(c, LM_DUE, lm_key_due(&combo, r->due, inc), inc);
    if (!kit_id_zero(&r->holder))
        need_row(c, LM_HELD, lm_key_held_run(&r->holder, inc), inc);
    if (r->hold_until != 0)
        need_row(c, LM_OVER, lm_key_pair((uint64_t)r->hold_until, inc), inc);
    if (r->expires != 0)
        need_row(c, LM_EXPIRY, lm_key_pair((uint64_t)r->expires, inc), inc);
    if (r->parent.len != 0)
        need_row(c, LM_KIDS, lm_key_pair(r->parent_incarnation, inc), inc);
}

static void check_run(struct check *c, uint64_t inc, MDB_cursor *journal)
{
    struct kit_run_row run;
    const char *wrong;

    c->out->runs++;
    if (lm_run_load(&c->r->v, NULL, journal, inc, &run) != KEDGE_OK) {
        fault(c, "the head cannot be understood", inc);
        return;
    }
    wrong = kit_run_sound(&run.k);
    if (wrong != NULL)
        fault(c, wrong, inc);
    check_rows(c, &run);
    check_tail(c, inc, journal);
    check_records(c, &run);
}

/* Call ONE for each row of a table. */
static int walk(struct check *c, enum lm_table table,
                void (*one)(struct check *, const MDB_val *, const MDB_val *))
{
    MDB_cursor *cursor;
    MDB_val k;
    MDB_val value;

    if (mdb_cursor_open(c->r->v.txn, c->r->v.env->dbi[table], &cursor) != MDB_SUCCESS)
        return KEDGE_ERR_UNAVAILABLE;
    while (mdb_cursor_get(cursor, &k, &value, MDB_NEXT) == MDB_SUCCESS)
        one(c, &k, &value);
    mdb_cursor_close(cursor);
    return KEDGE_OK;
}

static void walk_head(struct check *c, const MDB_val *k, const MDB_val *value)
{
    MDB_cursor *journal;

    (void)value;
    if (lm_read_journal(c->r, &journal) == KEDGE_OK)
        check_run(c, lm_get_u64(k->mv_data), journal);
}

static void walk_lock(struct check *c, const MDB_val *k, const MDB_val *value)
{
    struct lm_key name = { 0 };
    struct kedge_bytes full;
    struct kit_lock lock;
    MDB_val payload;

    if (!lm_name_of(k, 0, value, &full, &payload))
        return;
    lm_key_bytes(&name, k->mv_data, k->mv_size);
    if (!kit_lock_decode((struct kedge_bytes){ payload.mv_data, payload.mv_size }, &lock))
        fault(c, "a lock cannot be understood", 0);
    else
        need_row(c, LM_HELD, lm_key_held_lock(&lock.lease, &name), 0);
}

static void walk_cell(struct check *c, const MDB_val *k, const MDB_val *value)
{
    struct lm_key name = { 0 };
    struct kedge_bytes full;
    struct kit_cell cell;
    MDB_val payload;

    if (!lm_name_of(k, 0, value, &full, &payload))
        return;
    lm_key_bytes(&name, k->mv_data, k->mv_size);
    if (!kit_cell_decode((struct kedge_bytes){ payload.mv_data, payload.mv_size }, &cell))
        fault(c, "a cell cannot be understood", 0);
    else if (cell.expires != 0)
        need_row(c, LM_CELLX, lm_key_cellx(cell.expires, &name), 0);
}

static void walk_set(struct check *c, const MDB_val *k, const MDB_val *value)
{
    struct lm_key at = { 0 };
    struct kit_slots slots;
    uint32_t filled = 0;
    MDB_cursor *cursor;
    MDB_val row;
    MDB_val none;

    if (!kit_slots_decode((struct kedge_bytes){ value->mv_data, value->mv_size }, &slots)) {
        fault(c, "a slot set cannot be understood", lm_get_u64(k->mv_data));
        return;
    }
    if (mdb_cursor_open(c->r->v.txn, c->r->v.env->dbi[LM_SLOTS], &cursor) != MDB_SUCCESS)
        return;
    lm_key_bytes(&at, k->mv_data, k->mv_size);
    row = lm_key_val(&at);
    for (MDB_cursor_op op = MDB_SET_RANGE; mdb_cursor_get(cursor, &row, &none, op) == MDB_SUCCESS &&
                                           memcmp(row.mv_data, k->mv_data, 12) == 0;
         op = MDB_NEXT)
        filled += ((const unsigned char *)row.mv_data)[16] == 0 &&
                  ((const unsigned char *)row.mv_data)[17] == 0;
    mdb_cursor_close(cursor);
    if (filled + slots.remaining != slots.total)
        fault(c, "the count of empty slots is not that of the set", lm_get_u64(k->mv_data));
}

/* Every row was asked for by somebody: an index has no more rows than its owners need. */
static void check_counts(struct check *c)
{
    static const enum lm_table tables[] = { LM_IDS,  LM_KINDS,  LM_DUE,  LM_HELD, LM_TAILS,
                                            LM_OVER, LM_EXPIRY, LM_KIDS, LM_CELLX };
    static const char *const names[LM_TABLES] = LM_TABLE_NAMES;

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        MDB_stat st;
        char text[96];

        if (mdb_stat(c->r->v.txn, c->r->v.env->dbi[tables[i]], &st) != MDB_SUCCESS ||
            st.ms_entries == c->want[tables[i]])
            continue;
        if (tables[i] == LM_IDS && st.ms_entries > c->want[LM_IDS])
            continue; /* tombstones of long names */
        (void)snprintf(text, sizeof text, "'%s' has %zu rows, %zu are called for", names[tables[i]],
                       st.ms_entries, c->want[tables[i]]);
        fault(c, text, 0);
    }
}

int lm_verify(void *session, struct kedge_verified *out, int64_t timeout_us,
              struct kedge_error *err)
{
    struct lm_session *s = session;
    struct kedge_verified found = { 0 };
    struct check c = { .out = &found };
    struct kedge_bytes text;
    struct lm_read r;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = lm_read_open(s, &r, err);
    if (rc != KEDGE_OK)
        return rc;
    c.r = &r;
    rc = walk(&c, LM_HEADS, walk_head);
    if (rc == KEDGE_OK)
        rc = walk(&c, LM_LOCKS, walk_lock);
    if (rc == KEDGE_OK)
        rc = walk(&c, LM_CELLS, walk_cell);
    if (rc == KEDGE_OK)
        rc = walk(&c, LM_SETS, walk_set);
    if (rc == KEDGE_OK)
        check_counts(&c);
    lm_read_close(s, &r);
    text = (struct kedge_bytes){ c.first, strlen(c.first) + 1 };
    if (rc == KEDGE_OK && !kit_copy(s->host, &found.mem, text, &text))
        rc = KEDGE_ERR_NOMEM;
    found.first = text.data;
    if (rc == KEDGE_OK)
        *out = found;
    return lm_say(s, rc, "the store", err);
}

/* --------------------------------------------------------------------- info */

static char *say(struct lm_session *s, struct kedge_info *out, uint64_t number)
{
    char text[64];
    struct kedge_bytes b;

    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    b = (struct kedge_bytes){ text, strlen(text) + 1 };
    return kit_copy(s->host, &out->mem, b, &b) ? (char *)(uintptr_t)b.data : NULL;
}

static int count_rows(struct lm_read *r, enum lm_table table, uint64_t *out)
{
    MDB_stat st;

    if (mdb_stat(r->v.txn, r->v.env->dbi[table], &st) != MDB_SUCCESS)
        return KEDGE_ERR_UNAVAILABLE;
    *out = st.ms_entries;
    return KEDGE_OK;
}

static int fill_facts(struct lm_session *s, struct lm_read *r, struct kedge_info *out)
{
    static const struct {
        const char *name;
        enum lm_table table;
    } counts[] = { { "runs", LM_HEADS },      { "due", LM_DUE },     { "record_rows", LM_JOURNAL },
                   { "leases", LM_LEASES },   { "locks", LM_LOCKS }, { "cells", LM_CELLS },
                   { "purge_left", LM_TRASH } };
    size_t n = sizeof counts / sizeof counts[0];
    struct kedge_fact *facts = kedge_mem_alloc(s->host, &out->mem, (n + 4) * sizeof *facts);
    uint64_t in_tails;
    MDB_envinfo info;
    int rc = lm_tails_count(&r->v, &in_tails);

    if (rc != KEDGE_OK)
        return rc;
    if (facts == NULL || mdb_env_info(s->env->env, &info) != MDB_SUCCESS)
        return KEDGE_ERR_NOMEM;
    out->facts = facts;
    for (size_t i = 0; i < n; i++) {
        uint64_t rows = 0;

        rc = count_rows(r, counts[i].table, &rows);
        if (rc != KEDGE_OK)
            return rc;
        if (counts[i].table == LM_JOURNAL)
            rows += in_tails - (LM_TABLES - 1); /* the roots of the other tables */
        facts[out->n_facts++] = (struct kedge_fact){ counts[i].name, say(s, out, rows) };
    }
    facts[out->n_facts++] =
        (struct kedge_fact){ "bytes_used",
                             say(s, out, ((uint64_t)info.me_last_pgno + 1) * s->env->page_size) };
    facts[out->n_facts++] = (struct kedge_fact){ "map_size", say(s, out, s->env->map_size) };
    facts[out->n_facts++] = (struct kedge_fact){ "page_size", say(s, out, s->env->page_size) };
    facts[out->n_facts++] = (struct kedge_fact){ "readers_max", say(s, out, info.me_maxreaders) };
    for (size_t i = 0; i < out->n_facts; i++)
        if (facts[i].value == NULL)
            return KEDGE_ERR_NOMEM;
    return KEDGE_OK;
}

int lm_info(void *session, struct kedge_info *out, int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct kedge_info info = { 0 };
    struct kedge_bytes place;
    struct lm_read r;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = lm_read_open(s, &r, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = fill_facts(s, &r, &info);
    lm_read_close(s, &r);
    place = (struct kedge_bytes){ s->env->dir, strlen(s->env->dir) + 1 };
    if (rc == KEDGE_OK && !kit_copy(s->host, &info.mem, place, &place))
        rc = KEDGE_ERR_NOMEM;
    if (rc != KEDGE_OK) {
        kedge_mem_free(s->host, info.mem);
        return lm_say(s, rc, "the store", err);
    }
    info.server = mdb_version(NULL, NULL, NULL);
    info.place = place.data;
    /* mdb_env_open was given no flag that relaxes syncing. */
    info.durability = KEDGE_SURVIVES_PROCESS | KEDGE_SURVIVES_SERVER | KEDGE_SURVIVES_POWER;
    info.schema = LM_SCHEMA;
    info.caps = KEDGE_CAP_SHARED | KEDGE_CAP_HINT;
    info.incarnation = s->env->incarnation;
    info.limits = lm_limits;
    *out = info;
    return KEDGE_OK;
}
