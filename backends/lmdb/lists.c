/*
 * lists.c - many runs: by filter in the order of creation, and those that must be swept
 *
 *   I1  A page is a merge of a few ordered streams, each a range of one index; what a list does not
 *       ask for is not looked at.  Order of creation is the order of incarnations.
 *   I2  A cursor is the place in that order, not a row: rows may come and go between pages.
 *   I3  A page looks at a bounded number of rows; it may be short before the end.
 */
#include <config.h>

#include <stdlib.h>

#include "session.h"

/* ------------------------------------------------------------------ streams */

/* One range of `kinds', `kids', `held' or `over': all rows with this prefix. */
struct stream {
    enum lm_table table;
    struct lm_key prefix; /* the incarnation follows it */
    int64_t since;        /* list_expired: first part of the order */
    uint32_t reason;
    uint64_t inc; /* where it stands */
};

struct streams {
    struct lm_read *r;
    MDB_cursor *cursors[LM_TABLES];
    struct stream *list;
    size_t n;
    size_t room;
    bool newest;
};

static MDB_cursor *cursor_of(struct streams *ss, enum lm_table table)
{
    if (ss->cursors[table] == NULL &&
        mdb_cursor_open(ss->r->v.txn, ss->r->v.env->dbi[table], &ss->cursors[table]) != MDB_SUCCESS)
        ss->cursors[table] = NULL;
    return ss->cursors[table];
}

static void streams_close(struct streams *ss)
{
    for (size_t i = 0; i < LM_TABLES; i++)
        if (ss->cursors[i] != NULL)
            mdb_cursor_close(ss->cursors[i]);
    free(ss->list);
}

static bool has_prefix(const MDB_val *k, const struct lm_key *prefix)
{
    return k->mv_size == prefix->len + 8 && memcmp(k->mv_data, prefix->b, prefix->len) == 0;
}

/* Stand on the first row at or after INC (newest first: at or before).  false: none. */
static bool stream_seek(struct streams *ss, struct stream *s, uint64_t inc)
{
    MDB_cursor *cursor = cursor_of(ss, s->table);
    struct lm_key from = s->prefix;
    MDB_val k;
    MDB_val none;
    int rc;

    if (cursor == NULL)
        return false;
    lm_key_u64(&from, inc);
    k = lm_key_val(&from);
    rc = mdb_cursor_get(cursor, &k, &none, MDB_SET_RANGE);
    if (ss->newest &&
        (rc != MDB_SUCCESS || k.mv_size != from.len || memcmp(k.mv_data, from.b, from.len) != 0))
        rc = mdb_cursor_get(cursor, &k, &none, rc == MDB_SUCCESS ? MDB_PREV : MDB_LAST);
    if (rc != MDB_SUCCESS || !has_prefix(&k, &s->prefix))
        return false;
    s->inc = lm_get_u64((const unsigned char *)k.mv_data + s->prefix.len);
    return true;
}

static int streams_add(struct streams *ss, const struct stream *s)
{
    if (ss->n == ss->room) {
        size_t room = ss->room == 0 ? 16 : ss->room * 2;
        struct stream *list = realloc(ss->list, room * sizeof *list);

        if (list == NULL)
            return KEDGE_ERR_NOMEM;
        ss->list = list;
        ss->room = room;
    }
    ss->list[ss->n++] = *s;
    return KEDGE_OK;
}

static struct stream *streams_first(struct streams *ss)
{
    struct stream *best = NULL;

    for (size_t i = 0; i < ss->n; i++) {
        struct stream *s = &ss->list[i];

        if (best == NULL || s->since < best->since ||
            (s->since == best->since && (ss->newest ? s->inc > best->inc : s->inc < best->inc)))
            best = s;
    }
    return best;
}

static void streams_advance(struct streams *ss, struct stream *s)
{
    if ((ss->newest && s->inc == 0) || !stream_seek(ss, s, ss->newest ? s->inc - 1 : s->inc + 1))
        *s = ss->list[--ss->n];
}

static int add_run(struct lm_read *r, struct kedge_run_page *out, const struct kit_run_row *run)
{
    if (!kit_copy_run(r->v.host, &out->mem, &run->k.r, &out->runs[out->n]))
        return KEDGE_ERR_NOMEM;
    out->n++;
    return KEDGE_OK;
}

/* What cannot be understood is shown as stuck, with what could be read of it. */
static int load_or_salvage(struct lm_read *r, uint64_t inc, struct kit_run_row *run)
{
    MDB_cursor *journal;
    int rc = lm_read_journal(r, &journal);

    if (rc == KEDGE_OK)
        rc = lm_run_load(&r->v, NULL, journal, inc, run);
    if (rc == KEDGE_ERR_CORRUPT) {
        struct lm_key key = lm_key_inc(inc);
        MDB_val k = lm_key_val(&key);
        MDB_val value;

        memset(run, 0, sizeof *run);
        if (mdb_get(r->v.txn, r->v.env->dbi[LM_HEADS], &k, &value) == MDB_SUCCESS)
            kit_run_salvage((struct kedge_bytes){ value.mv_data, value.mv_size }, run);
        run->k.r.incarnation = inc;
        run->k.r.status = KEDGE_STUCK;
        run->k.r.place = KEDGE_PLACE_REST;
        rc = KEDGE_OK;
    }
    return rc;
}

/* --------------------------------------------------------------------- list */

struct filter {
    const struct kedge_list *in;
    uint32_t statuses;
    uint32_t reactor;        /* number; 0: all */
    struct lm_combo *serves; /* version: the least; */
    uint32_t *version_max;
};

static bool served(const struct filter *f, const struct lm_combo *c)
{
    for (size_t i = 0; i < f->in->n_serves; i++)
        if (f->serves[i].queue == c->queue && f->serves[i].reactor == c->reactor &&
            f->serves[i].version <= c->version && c->version <= f->version_max[i])
            return true;
    return false;
}

static int filter_serves(struct lm_read *r, struct kedge_mem **mem, struct filter *f)
{
    size_t n = f->in->unserved != 0 ? f->in->n_serves : 0;
    int rc = MDB_SUCCESS;

    if (n == 0)
        return KEDGE_OK;
    f->serves = kedge_mem_alloc(r->v.host, mem, n * sizeof *f->serves);
    f->version_max = kedge_mem_alloc(r->v.host, mem, n * sizeof *f->version_max);
    if (f->serves == NULL || f->version_max == NULL)
        return KEDGE_ERR_NOMEM;
    for (size_t i = 0; i < n && rc == MDB_SUCCESS; i++) {
        const struct kedge_serve *s = &f->in->serves[i];

        f->serves[i].version = s->version_min;
        f->version_max[i] = s->version_max;
        rc = lm_name_number(&r->v, 'q', s->queue, &f->serves[i].queue);
        if (rc == MDB_SUCCESS)
            rc = lm_name_number(&r->v, 'r', s->reactor, &f->serves[i].reactor);
    }
    return rc == MDB_SUCCESS ? KEDGE_OK : KEDGE_ERR_UNAVAILABLE;
}

static bool wants_kind(const struct filter *f, const struct lm_combo *c, uint32_t status)
{
    if (status > 31 || (f->statuses & KEDGE_STATUS_BIT(status)) == 0)
        return false;
    if (f->in->reactor.len != 0 && c->reactor != f->reactor)
        return false;
    return f->in->unserved == 0 || !served(f, c);
}

/* One stream for each (queue, reactor, version, status) there is and the filter wants. */
static int kinds_streams(struct streams *ss, const struct filter *f, uint64_t from)
{
    MDB_cursor *cursor = cursor_of(ss, LM_KINDS);
    struct lm_key at = { 0 };
    MDB_val k;
    MDB_val none;
    int rc = cursor == NULL ? KEDGE_ERR_UNAVAILABLE : KEDGE_OK;

    lm_key_u8(&at, 0);
    k = lm_key_val(&at);
    while (rc == KEDGE_OK && mdb_cursor_get(cursor, &k, &none, MDB_SET_RANGE) == MDB_SUCCESS) {
        struct lm_combo c = lm_combo_of(&k);
        struct stream s = { .table = LM_KINDS };
        uint32_t status = ((const unsigned char *)k.mv_data)[12];

        lm_key_bytes(&s.prefix, k.mv_data, 13);
        at = s.prefix;
        lm_key_u64(&at, UINT64_MAX);
        lm_key_u8(&at, 0);
        if (wants_kind(f, &c, status) && stream_seek(ss, &s, from))
            rc = streams_add(ss, &s);
        k = lm_key_val(&at);
    }
    return rc;
}

static int parent_stream(struct streams *ss, const struct filter *f, uint64_t from)
{
    struct stream s = { .table = LM_KIDS, .prefix = lm_key_inc(f->in->parent_incarnation) };

    if (f->in->parent_incarnation == 0) {
        struct kit_run_row parent;
        uint64_t inc;
        int rc = lm_incarnation(&ss->r->v, f->in->parent, &inc);

        if (rc == KEDGE_OK)
            rc = load_or_salvage(ss->r, inc, &parent);
        if (rc != KEDGE_OK)
            return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
        if (kit_run_expired(&parent.k, ss->r->now_wall))
            return KEDGE_OK;
        s.prefix = lm_key_inc(inc);
    }
    return stream_seek(ss, &s, from) ? streams_add(ss, &s) : KEDGE_OK;
}

static bool fits(const struct filter *f, const struct kit_run_row *run, int64_t now_wall)
{
    const struct kedge_run *r = &run->k.r;
    struct lm_combo c = lm_run_combo(run);

    if (kit_run_expired(&run->k, now_wall))
        return false;
    if (f->in->unserved != 0 && (r->place != KEDGE_PLACE_DUE || served(f, &c)))
        return false;
    if (f->in->parent.len == 0)
        return true;
    return kit_bytes_equal(r->parent, f->in->parent) &&
           (f->statuses & KEDGE_STATUS_BIT(r->status)) != 0 &&
           (f->in->reactor.len == 0 || run->reactor_no == f->reactor);
}

static int list_page(struct streams *ss, const struct filter *f, struct kedge_run_page *out)
{
    size_t looked = 0;
    struct stream *s;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && (s = streams_first(ss)) != NULL) {
        struct kit_run_row run;
        struct lm_key here = lm_key_inc(s->inc);

        if (out->n == f->in->limit || looked++ == f->in->limit + 10000)
            return lm_cursor_out(ss->r->v.host, &out->mem, &here, &out->next) ? KEDGE_OK
                                                                              : KEDGE_ERR_NOMEM;
        rc = load_or_salvage(ss->r, s->inc, &run);
        if (rc == KEDGE_OK && (run.reactor_no == 0 || fits(f, &run, ss->r->now_wall)))
            rc = add_run(ss->r, out, &run); /* number 0: salvaged, its index row fitted */
        streams_advance(ss, s);
    }
    return rc;
}

int lm_list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
            int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct kedge_mem *mem = NULL;
    struct kedge_run_page page = { 0 };
    struct filter f = { .in = in };
    struct streams ss = { .newest = in->newest_first != 0 };
    uint64_t from = in->newest_first != 0 ? UINT64_MAX : 0;
    struct lm_read r;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_list(&lm_limits, in, err);
    if (rc == KEDGE_OK && in->cursor.len != 0 && in->cursor.len != 8)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "the cursor is not one that this list handed out");
    if (rc == KEDGE_OK)
        rc = lm_read_open(s, &r, err);
    if (rc != KEDGE_OK)
        return rc;
    ss.r = &r;
    if (in->cursor.len != 0)
        from = lm_get_u64(in->cursor.data);
    f.statuses = in->statuses == 0 ? KEDGE_STATUSES_ALL : in->statuses;
    if (in->unserved != 0)
        f.statuses &= KEDGE_STATUSES_UNFINISHED;
    if (lm_name_number(&r.v, 'r', in->reactor, &f.reactor) != MDB_SUCCESS)
        rc = KEDGE_ERR_UNAVAILABLE;
    if (rc == KEDGE_OK)
        rc = filter_serves(&r, &mem, &f);
    page.runs = kedge_mem_alloc(s->host, &page.mem, in->limit * sizeof *page.runs);
    if (page.runs == NULL)
        rc = KEDGE_ERR_NOMEM;
    if (rc == KEDGE_OK)
        rc = in->parent.len != 0 ? parent_stream(&ss, &f, from) : kinds_streams(&ss, &f, from);
    if (rc == KEDGE_OK)
        rc = list_page(&ss, &f, &page);
    streams_close(&ss);
    lm_read_close(s, &r);
    kedge_mem_free(s->host, mem);
    if (rc == KEDGE_OK)
        *out = page;
    else
        kedge_mem_free(s->host, page.mem);
    return lm_say(s, rc, "the list", err);
}

/* ------------------------------------------------------------- list_expired */

/*
 * Order: (since, incarnation).  The two clocks are compared by their difference at the first page,
 * which travels in the cursor, so that a wall clock that is set between pages moves nothing.
 */
struct place {
    int64_t wall_minus_lease;
    int64_t since;
    uint64_t inc;
};

static void place_key(const struct place *p, struct lm_key *key)
{
    key->len = 0;
    lm_key_u64(key, (uint64_t)p->wall_minus_lease);
    lm_key_u64(key, (uint64_t)p->since);
    lm_key_u64(key, p->inc);
}

static void place_read(struct kedge_bytes cursor, struct place *p)
{
    const unsigned char *b = cursor.data;

    p->wall_minus_lease = (int64_t)lm_get_u64(b);
    p->since = (int64_t)lm_get_u64(b + 8);
    p->inc = lm_get_u64(b + 16);
}

/* The runs of LEASE, if it is not healthy. */
static int lease_stream(struct streams *ss, struct kedge_mem **mem, const struct kedge_id128 *id,
                        const struct place *from)
{
    struct stream s = { .table = LM_HELD };
    struct kit_run held = { .r = { .place = KEDGE_PLACE_HELD } };
    struct kit_lease_row lease;
    const struct kit_lease *known = &lease.k;
    int rc = lm_lease_load(&ss->r->v, mem, id, &lease);

    if (rc == KEDGE_NOT_FOUND || rc == KEDGE_ERR_CORRUPT)
        known = NULL;
    else if (rc != KEDGE_OK)
        return rc;
    s.reason = kit_run_sweep(&held, known, ss->r->now_wall, ss->r->now_lease);
    if (s.reason == 0)
        return KEDGE_OK;
    s.since = kit_run_sweep_since(&held, known, s.reason, from->wall_minus_lease);
    if (s.since < from->since)
        return KEDGE_OK;
    lm_key_bytes(&s.prefix, id->b, 16);
    lm_key_u8(&s.prefix, 0);
    return stream_seek(ss, &s, s.since == from->since ? from->inc : 0) ? streams_add(ss, &s)
                                                                       : KEDGE_OK;
}

static int lease_streams(struct streams *ss, struct kedge_mem **mem, const struct place *from)
{
    MDB_cursor *cursor;
    struct lm_key at = { 0 };
    MDB_val k;
    MDB_val none;
    int rc = KEDGE_OK;

    if (mdb_cursor_open(ss->r->v.txn, ss->r->v.env->dbi[LM_HELD], &cursor) != MDB_SUCCESS)
        return KEDGE_ERR_UNAVAILABLE;
    lm_key_u8(&at, 0);
    k = lm_key_val(&at);
    while (rc == KEDGE_OK && mdb_cursor_get(cursor, &k, &none, MDB_SET_RANGE) == MDB_SUCCESS) {
        struct kedge_id128 id;

        memcpy(id.b, k.mv_data, 16);
        if (((const unsigned char *)k.mv_data)[16] == 0)
            rc = lease_stream(ss, mem, &id, from);
        at.len = 0;
        lm_key_bytes(&at, id.b, 16);
        lm_key_u8(&at, 0xff); /* behind all it holds */
        k = lm_key_val(&at);
    }
    mdb_cursor_close(cursor);
    return rc;
}

/* The front of `over' is a stream whose `since' moves on. */
static bool over_seek(struct streams *ss, struct stream *s, int64_t since, uint64_t inc)
{
    MDB_cursor *cursor = cursor_of(ss, LM_OVER);
    struct lm_key from = lm_key_pair(since < 0 ? 0 : (uint64_t)since, inc);
    MDB_val k = lm_key_val(&from);
    MDB_val none;

    if (cursor == NULL || mdb_cursor_get(cursor, &k, &none, MDB_SET_RANGE) != MDB_SUCCESS)
        return false;
    s->since = (int64_t)lm_get_u64(k.mv_data);
    s->inc = lm_get_u64((const unsigned char *)k.mv_data + 8);
    return s->since <= ss->r->now_wall;
}

static int over_stream(struct streams *ss, const struct place *from)
{
    struct stream s = { .table = LM_OVER, .reason = KEDGE_SWEEP_OVERDUE };

    return over_seek(ss, &s, from->since, from->since < 0 ? 0 : from->inc) ? streams_add(ss, &s)
                                                                           : KEDGE_OK;
}

static void expired_advance(struct streams *ss, struct stream *s)
{
    if (s->table != LM_OVER)
        streams_advance(ss, s);
    else if (!over_seek(ss, s, s->since, s->inc + 1))
        *s = ss->list[--ss->n];
}

/* Listed once: an overdue run of a lease that is itself unhealthy comes with that lease. */
static int expired_add(struct streams *ss, struct kedge_mem **mem, const struct stream *s,
                       struct kedge_run_page *out)
{
    struct kit_run_row run;
    struct kit_lease_row lease;
    int rc = load_or_salvage(ss->r, s->inc, &run);

    if (rc != KEDGE_OK)
        return rc;
    if (s->table == LM_OVER) {
        rc = lm_lease_load(&ss->r->v, mem, &run.k.r.holder, &lease);
        if (rc == KEDGE_NOT_FOUND || rc == KEDGE_ERR_CORRUPT)
            return KEDGE_OK;
        if (rc != KEDGE_OK)
            return rc;
        if (kit_run_sweep(&run.k, &lease.k, ss->r->now_wall, ss->r->now_lease) !=
            KEDGE_SWEEP_OVERDUE)
            return KEDGE_OK;
    }
    out->reasons[out->n] = s->reason;
    return add_run(ss->r, out, &run);
}

static int expired_page(struct streams *ss, struct kedge_mem **mem, size_t limit,
                        const struct place *from, struct kedge_run_page *out)
{
    struct stream *s;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && (s = streams_first(ss)) != NULL) {
        struct lm_key here;

        if (out->n == limit) {
            place_key(&(struct place){ from->wall_minus_lease, s->since, s->inc }, &here);
            return lm_cursor_out(ss->r->v.host, &out->mem, &here, &out->next) ? KEDGE_OK
                                                                              : KEDGE_ERR_NOMEM;
        }
        rc = expired_add(ss, mem, s, out);
        expired_advance(ss, s);
    }
    return rc;
}

int lm_list_expired(void *session, struct kedge_bytes cursor, size_t limit,
                    struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct kedge_run_page page = { 0 };
    struct kedge_mem *mem = NULL;
    struct streams ss = { 0 };
    struct place from = { .since = INT64_MIN };
    struct lm_read r;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK && (limit == 0 || limit > lm_limits.page_max))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a page has 1 to %llu runs, not %zu",
                             (unsigned long long)lm_limits.page_max, limit);
    if (rc == KEDGE_OK && cursor.len != 0 && cursor.len != 24)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "the cursor is not one that this list handed out");
    if (rc == KEDGE_OK)
        rc = lm_read_open(s, &r, err);
    if (rc != KEDGE_OK)
        return rc;
    ss.r = &r;
    from.wall_minus_lease = r.now_wall - r.now_lease;
    if (cursor.len != 0)
        place_read(cursor, &from);
    page.runs = kedge_mem_alloc(s->host, &page.mem, limit * sizeof *page.runs);
    page.reasons = kedge_mem_alloc(s->host, &page.mem, limit * sizeof *page.reasons);
    rc = page.runs == NULL || page.reasons == NULL ? KEDGE_ERR_NOMEM
                                                   : lease_streams(&ss, &mem, &from);
    if (rc == KEDGE_OK)
        rc = over_stream(&ss, &from);
    if (rc == KEDGE_OK)
        rc = expired_page(&ss, &mem, limit, &from, &page);
    streams_close(&ss);
    lm_read_close(s, &r);
    kedge_mem_free(s->host, mem);
    if (rc == KEDGE_OK)
        *out = page;
    else
        kedge_mem_free(s->host, page.mem);
    return lm_say(s, rc, "the list", err);
}
