/* upkeep.c - purge, verify, and what a store tells about itself */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>

#include "session.h"

/* -------------------------------------------------------------------- purge */

int pg_purge(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
             struct kedge_error *err)
{
    struct pg_session *s = session;
    struct pg_query q;
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK && limit == 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a purge removes at least one row");
    if (rc != KEDGE_OK)
        return rc;
    pg_query_init(&q, PG_SQL_PURGE);
    pg_arg_i64(&s->conn, &q, limit > INT32_MAX ? INT32_MAX : (int64_t)limit);
    rc = pg_run(&s->conn, &q, 1, PG_WRITE, end, err);
    if (rc != KEDGE_OK)
        return rc;
    memset(out, 0, sizeof *out);
    out->runs = (uint64_t)pg_i64(q.result, 0, 0);
    out->rows = (uint64_t)pg_i64(q.result, 0, 1);
    out->more = pg_bool(q.result, 0, 2) ? 1 : 0;
    pg_clear(&q, 1);
    return KEDGE_OK;
}

/* ------------------------------------------------------------------- verify */

#define VERIFY_AT_ONCE 500

static void fault(struct kedge_verified *out, char first[256], uint64_t inc, const char *what)
{
    if (out->faults++ == 0)
        (void)snprintf(first, 256, "incarnation %" PRIu64 ": %s", inc, what);
}

static void verify_run(struct kedge_verified *out, char first[256], const PGresult *r, int row)
{
    uint64_t records = (uint64_t)pg_i64(r, row, PG_RUN_WIDTH);
    uint64_t last = (uint64_t)pg_i64(r, row, PG_RUN_WIDTH + 1);
    struct kit_run run;
    const char *wrong;

    pg_run_read(r, row, 0, &run);
    wrong = kit_run_sound(&run);
    out->runs++;
    out->records += records;
    if (wrong != NULL)
        fault(out, first, run.r.incarnation, wrong);
    if (records != run.r.position || last != run.r.position)
        fault(out, first, run.r.incarnation, "its journal has gaps or another length");
    if (run.r.snapshot_position != 0 && !pg_bool(r, row, PG_RUN_WIDTH + 2))
        fault(out, first, run.r.incarnation, "its snapshot is missing");
}

static int verify_runs(struct pg_session *s, struct kedge_verified *out, char first[256],
                       int64_t end, struct kedge_error *err)
{
    int64_t from = INT64_MIN;
    struct pg_query q;
    int n;

    do {
        int rc;

        pg_begin(&s->conn);
        pg_query_init(&q, PG_SQL_VERIFY_RUNS);
        pg_arg_i64(&s->conn, &q, from);
        pg_arg_i32(&s->conn, &q, VERIFY_AT_ONCE);
        rc = pg_run(&s->conn, &q, 1, PG_READ, end, err);
        if (rc != KEDGE_OK)
            return rc;
        n = PQntuples(q.result);
        for (int i = 0; i < n; i++) {
            verify_run(out, first, q.result, i);
            from = pg_i64(q.result, i, 0);
        }
        pg_clear(&q, 1);
    } while (n == VERIFY_AT_ONCE);
    return KEDGE_OK;
}

static int verify_rest(struct pg_session *s, struct kedge_verified *out, char first[256],
                       int64_t end, struct kedge_error *err)
{
    static const char *const what[] = { "rows of 'hot' without a head",
                                        "heads without a row of 'hot'",
                                        "slot sets with a wrong count",
                                        "slot sets of no run",
                                        "journals of no run",
                                        "leases without a row of 'beat'",
                                        "fences above those that were issued" };
    struct pg_query q;
    int rc;

    pg_begin(&s->conn);
    pg_query_init(&q, PG_SQL_VERIFY_REST);
    rc = pg_run(&s->conn, &q, 1, PG_READ, end, err);
    if (rc != KEDGE_OK)
        return rc;
    for (int i = 0; i < (int)(sizeof what / sizeof what[0]); i++) {
        uint64_t n = (uint64_t)pg_i64(q.result, 0, i);

        if (n != 0 && out->faults == 0)
            (void)snprintf(first, 256, "%" PRIu64 " %s", n, what[i]);
        out->faults += n;
    }
    pg_clear(&q, 1);
    return KEDGE_OK;
}

int pg_verify(void *session, struct kedge_verified *out, int64_t timeout_us,
              struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_verified found = { 0 };
    char first[256] = "";
    struct kedge_bytes text;
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc == KEDGE_OK)
        rc = verify_runs(s, &found, first, end, err);
    if (rc == KEDGE_OK)
        rc = verify_rest(s, &found, first, end, err);
    if (rc != KEDGE_OK)
        return rc;
    text = (struct kedge_bytes){ first, strlen(first) + 1 };
    if (!kit_copy(s->host, &found.mem, text, &text))
        return pg_no_memory(err);
    found.first = text.data;
    *out = found;
    return KEDGE_OK;
}

/* --------------------------------------------------------------------- info */

struct telling {
    struct pg_session *s;
    struct kedge_info *out;
    struct kedge_fact *facts;
    bool failed;
};

static const char *copy_text(struct telling *t, struct kedge_bytes b)
{
    char *text = kedge_mem_alloc(t->s->host, &t->out->mem, b.len + 1);

    if (text == NULL) {
        t->failed = true;
        return NULL;
    }
    if (b.len != 0)
        memcpy(text, b.data, b.len);
    text[b.len] = '\0';
    return text;
}

static void tell(struct telling *t, const char *name, struct kedge_bytes value)
{
    t->facts[t->out->n_facts++] = (struct kedge_fact){ name, copy_text(t, value) };
}

static bool says(const PGresult *r, int column, const char *word)
{
    struct kedge_bytes b = pg_bytes(r, 0, column);

    return b.len == strlen(word) && memcmp(b.data, word, b.len) == 0;
}

/* Columns of PG_SQL_INFO. */
enum {
    AT_VERSION,
    AT_FSYNC,
    AT_PAGES,
    AT_COMMIT,
    AT_WAL,
    AT_STANDBYS,
    AT_REPLICAS,
    AT_SYNCED,
    AT_ROLE,
    AT_DATABASE,
    AT_TOKEN,
    AT_SCHEMA,
    AT_LEASES,
    AT_LOCKS,
    AT_RUNS,
    AT_TRASH
};

/*
 * Without waiting for the flush the death of the server loses what was acknowledged; without fsync
 * the loss of power does, and without full pages it may tear what was there before.
 */
static uint32_t durability(const PGresult *r)
{
    uint32_t d = KEDGE_SURVIVES_PROCESS;

    if (says(r, AT_COMMIT, "off"))
        return d;
    d |= KEDGE_SURVIVES_SERVER;
    if (says(r, AT_FSYNC, "on") && says(r, AT_PAGES, "on"))
        d |= KEDGE_SURVIVES_POWER;
    return d;
}

/*
 * What is lost takes the fences with it that were issued since: by a crash, or with a standby that
 * is behind and takes over.
 */
static uint64_t capabilities(const struct pg_session *s, const PGresult *r, uint32_t survives)
{
    uint64_t caps = KEDGE_CAP_SHARED | KEDGE_CAP_SERVER_CLOCK;

    if (!s->conn.pooled)
        caps |= KEDGE_CAP_HINT;
    if ((survives & KEDGE_SURVIVES_POWER) == 0 ||
        (!says(r, AT_REPLICAS, "0") && says(r, AT_SYNCED, "0")))
        caps |= KEDGE_CAP_FENCE_VOLATILE;
    return caps;
}

static void tell_all(struct telling *t, const PGresult *r)
{
    static const struct {
        const char *name;
        int column;
    } facts[] = {
        { "fsync", AT_FSYNC },
        { "full_page_writes", AT_PAGES },
        { "synchronous_commit", AT_COMMIT },
        { "wal_level", AT_WAL },
        { "synchronous_standby_names", AT_STANDBYS },
        { "standbys", AT_REPLICAS },
        { "standbys_synchronous", AT_SYNCED },
        { "role", AT_ROLE },
        { "database", AT_DATABASE },
        { "leases", AT_LEASES },
        { "locks", AT_LOCKS },
        { "runs_estimated", AT_RUNS },
        { "purge_left", AT_TRASH },
    };
    size_t n = sizeof facts / sizeof facts[0];
    const struct pg_place *place = &t->s->store->place;

    t->facts = kedge_mem_alloc(t->s->host, &t->out->mem, (n + 2) * sizeof *t->facts);
    if (t->facts == NULL) {
        t->failed = true;
        return;
    }
    t->out->facts = t->facts;
    for (size_t i = 0; i < n; i++)
        tell(t, facts[i].name, pg_bytes(r, 0, facts[i].column));
    tell(t, "schema_name", kedge_text(place->schema));
    tell(t, "pooler",
         kedge_text(t->s->conn.pooled ? "yes: no crash hints, no prepared statements" : "no"));
}

int pg_info(void *session, struct kedge_info *out, int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_info info = { 0 };
    struct telling t = { .s = s, .out = &info };
    struct pg_query q;
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc != KEDGE_OK)
        return rc;
    pg_query_init(&q, PG_SQL_INFO);
    rc = pg_run(&s->conn, &q, 1, PG_NOTE, end, err); /* it may note a new life of the server */
    if (rc != KEDGE_OK)
        return rc;
    info.server = copy_text(&t, pg_bytes(q.result, 0, AT_VERSION));
    info.place = copy_text(&t, kedge_text(s->store->place.shown));
    info.durability = durability(q.result);
    info.schema = (uint32_t)pg_i64(q.result, 0, AT_SCHEMA);
    info.caps = capabilities(s, q.result, info.durability);
    info.incarnation = (uint64_t)pg_i64(q.result, 0, AT_TOKEN);
    info.limits = pg_limits;
    tell_all(&t, q.result);
    pg_clear(&q, 1);
    if (t.failed) {
        kedge_mem_free(s->host, info.mem);
        return pg_no_memory(err);
    }
    *out = info;
    return KEDGE_OK;
}
