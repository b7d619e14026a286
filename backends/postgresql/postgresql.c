/*
 * postgresql.c - the PostgreSQL backend: a schema per namespace, rules decided in the client
 *
 * How a commit travels: arguments are checked (kit/check.c).  Plain appends of runs this process
 * remembers go as one statement whose only answer is their number (commits.c).  Everything else is
 * decided by the kit on rows it has looked at (look.c) and goes as one call of a function that
 * compares and writes (apply.c, schema.c).  Both are one round trip, one transaction, one flush.
 *
 * Clocks: both are the server's clock_timestamp().
 */
#include <config.h>

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "session.h"

#include "../kit/mutant.h"

/* Opening and dropping have no timeout of their own. */
#define OPEN_US INT64_C(30000000)
#define SHUT_US INT64_C(1000000)

const struct kedge_limits pg_limits = {
    .struct_size = sizeof(struct kedge_limits),
    .id_max = 1024,
    .value_max = UINT64_C(16) << 20,
    .cell_max = UINT64_C(64) << 10,
    .batch_items = 256,
    .batch_bytes = UINT64_C(1) << 20,
    .commit_changes = 1000,
    .commit_bytes = (UINT64_C(16) << 20) + (UINT64_C(64) << 10),
    .page_max = 1000,
    .ttl_min_us = 1000,
    .ttl_max_us = INT64_C(10) * 365 * 86400 * 1000000,
};

/* ------------------------------------------------------------------- shared */

int pg_check_fork(const struct pg_store *store, struct kedge_error *err)
{
    if (KIT_MUTANT("p06", true, store->pid == getpid()))
        return KEDGE_OK;
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "%s: the store was opened before this process was forked; open it again "
                           "here",
                           store->place.shown);
}

int pg_enter(struct pg_session *s, int64_t timeout_us, int64_t *end, struct kedge_error *err)
{
    int rc = kit_check_timeout(timeout_us, err);

    if (rc == KEDGE_OK)
        rc = pg_check_fork(s->store, err);
    if (rc != KEDGE_OK)
        return rc;
    *end = pg_end(timeout_us);
    s->entered = pg_mono_us();
    rc = pg_conn_ready(&s->conn, *end, err);
    pg_begin(&s->conn);
    return rc;
}

void pg_saw(struct pg_session *s, int64_t wall)
{
    kit_moment_told(&s->store->moment, wall, s->entered, pg_mono_us());
}

int pg_check_id(const struct kedge_id128 *id, const char *what, struct kedge_error *err)
{
    return kit_id_zero(id) ? kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                             "the id of a %s is all zero: it must be random", what)
                           : KEDGE_OK;
}

int pg_check_page(size_t limit, struct kedge_error *err)
{
    return limit >= 1 && limit <= pg_limits.page_max
               ? KEDGE_OK
               : kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a page has 1 to %llu entries, not %zu",
                                 (unsigned long long)pg_limits.page_max, limit);
}

int pg_bad_cursor(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "the cursor is not one that this list handed out");
}

/* ----------------------------------------------------------------- lifeline */

static int life_take(struct pg_store *st, int64_t end, struct kedge_error *err)
{
    struct timespec ts = { (time_t)(end / 1000000), (long)(end % 1000000) * 1000 };
    int rc = 0;

    (void)pthread_mutex_lock(&st->lock);
    while (st->busy && rc == 0)
        rc = pthread_cond_timedwait(&st->idle, &st->lock, &ts);
    if (!st->busy) {
        st->busy = true;
        rc = 0;
    }
    (void)pthread_mutex_unlock(&st->lock);
    return rc == 0 ? KEDGE_OK
                   : kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, rc,
                                     "%s: other sessions kept the connection for leases busy; try "
                                     "again",
                                     st->place.shown);
}

void pg_life_leave(struct pg_store *st)
{
    (void)pthread_mutex_lock(&st->lock);
    st->busy = false;
    (void)pthread_cond_signal(&st->idle);
    (void)pthread_mutex_unlock(&st->lock);
}

/* Tell that the store is open, on a new connection anew. */
static int mark_open(struct pg_store *st, int64_t end, struct kedge_error *err)
{
    struct pg_query q;
    int rc;

    if (st->life.pooled || st->marked == st->life.made)
        return KEDGE_OK;
    pg_begin(&st->life);
    pg_query_init(&q, PG_SQL_HOLD);
    rc = pg_run(&st->life, &q, 1, PG_READ, end, err);
    pg_clear(&q, 1);
    if (rc == KEDGE_OK)
        st->marked = st->life.made;
    return rc;
}

int pg_life_enter(struct pg_store *st, int64_t end, struct kedge_error *err)
{
    int rc = life_take(st, end, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = pg_conn_ready(&st->life, end, err);
    if (rc == KEDGE_OK)
        rc = mark_open(st, end, err);
    if (rc != KEDGE_OK)
        pg_life_leave(st);
    pg_begin(&st->life);
    return rc;
}

/* --------------------------------------------------------- store and session */

static bool store_init(struct pg_store *st)
{
    pthread_condattr_t attr;
    bool ok = pg_statements_init(&st->statements, st->place.quoted);

    st->hints = pg_hints_new();
    st->cache = pg_cache_new();
    st->pid = getpid();
    pg_conn_init(&st->life, &st->place, &st->statements);
    kit_moment_init(&st->moment);
    (void)pthread_mutex_init(&st->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&st->idle, &attr);
    (void)pthread_condattr_destroy(&attr);
    return ok && st->hints != NULL && st->cache != NULL;
}

static void store_free(struct pg_store *st, bool mine)
{
    pg_conn_fini(&st->life, mine);
    pg_hints_free(st->hints);
    pg_cache_free(st->cache);
    pg_statements_fini(&st->statements);
    pg_place_fini(&st->place);
    if (mine) {
        (void)pthread_mutex_destroy(&st->lock);
        (void)pthread_cond_destroy(&st->idle);
    }
    free(st);
}

static int store_new(const struct kedge_host *host, const struct kedge_open *open,
                     struct pg_store **out, struct kedge_error *err)
{
    struct pg_store *st = calloc(1, sizeof *st);
    int rc;

    if (st == NULL)
        return pg_no_memory(err);
    st->host = host;
    rc = pg_place_init(&st->place, open, err);
    if (rc != KEDGE_OK) {
        free(st);
        return rc;
    }
    if (!store_init(st)) {
        store_free(st, true);
        return pg_no_memory(err);
    }
    *out = st;
    return KEDGE_OK;
}

static int store_open(const struct kedge_host *host, const struct kedge_open *open, void **store,
                      struct kedge_error *err)
{
    struct pg_store *st;
    int rc = kit_check_name(&pg_limits, open->ns, "the namespace", err);
    int64_t end = pg_end(OPEN_US);

    if (rc == KEDGE_OK)
        rc = store_new(host, open, &st, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = pg_setup_open(&st->life, open->flags, end, err);
    if (rc == KEDGE_OK)
        rc = mark_open(st, end, err);
    if (rc != KEDGE_OK) {
        store_free(st, true);
        return rc;
    }
    *store = st;
    return KEDGE_OK;
}

/* The server ends a session when it gets round to it: its locks are to be free now. */
static void let_go(struct pg_store *st)
{
    struct pg_query q;

    if (st->life.pg == NULL || st->life.pooled)
        return;
    pg_begin(&st->life);
    pg_query_init(&q, PG_SQL_LET_GO);
    (void)pg_run(&st->life, &q, 1, PG_READ, pg_end(SHUT_US), NULL);
    pg_clear(&q, 1);
}

static void store_close(void *store)
{
    struct pg_store *st = store;
    bool mine;

    if (st == NULL)
        return;
    mine = st->pid == getpid();
    if (mine)
        let_go(st);
    store_free(st, mine);
}

static int store_drop(const struct kedge_host *host, const struct kedge_open *open,
                      struct kedge_error *err)
{
    struct pg_store *st;
    int rc = kit_check_name(&pg_limits, open->ns, "the namespace", err);

    if (rc == KEDGE_OK)
        rc = store_new(host, open, &st, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = pg_setup_drop(&st->life, pg_end(OPEN_US), err);
    store_free(st, true);
    return rc;
}

static int schema_script(const struct kedge_host *host, const struct kedge_open *open,
                         struct kedge_script *out, struct kedge_error *err)
{
    struct kedge_script script = { .to = pg_schema_version };
    struct kedge_bytes text;
    struct pg_store *st;
    char *all = NULL;
    int rc = kit_check_name(&pg_limits, open->ns, "the namespace", err);

    if (rc == KEDGE_OK)
        rc = store_new(host, open, &st, err);
    if (rc != KEDGE_OK)
        return rc;
    if ((open->flags & KEDGE_OPEN_MIGRATE) != 0)
        rc = pg_setup_have(&st->life, &script.from, pg_end(OPEN_US), err);
    if (rc == KEDGE_OK) {
        all = pg_setup_script(&st->place, script.from);
        text = (struct kedge_bytes){ all, all == NULL ? 0 : strlen(all) + 1 };
        if (all == NULL || !kit_copy(host, &script.mem, text, &text))
            rc = pg_no_memory(err);
        else
            script.text = text.data;
        free(all);
    }
    store_free(st, true);
    if (rc == KEDGE_OK)
        *out = script;
    return rc;
}

static int session_open(void *store, void **session, struct kedge_error *err)
{
    struct pg_store *st = store;
    struct pg_session *s;
    int rc = pg_check_fork(st, err);

    if (rc != KEDGE_OK)
        return rc;
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return pg_no_memory(err);
    s->store = st;
    s->host = st->host;
    pg_conn_init(&s->conn, &st->place, &st->statements);
    s->remote = kit_remote_new(st->host, &pg_remote_ops, s);
    if (s->remote == NULL) {
        free(s);
        return pg_no_memory(err);
    }
    *session = s;
    return KEDGE_OK;
}

static void session_close(void *session)
{
    struct pg_session *s = session;

    if (s == NULL)
        return;
    pg_conn_fini(&s->conn, s->store->pid == getpid());
    pg_ear_free(s->ear, s->store->pid == getpid());
    free(s->grips);
    kit_remote_free(s->remote);
    free(s);
}

static int now(void *session, struct kedge_time *out, int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    struct pg_query q;
    int64_t end;
    int rc = pg_enter(s, timeout_us, &end, err);

    if (rc != KEDGE_OK)
        return rc;
    pg_query_init(&q, PG_SQL_NOW);
    rc = pg_run(&s->conn, &q, 1, PG_READ, end, err);
    if (rc != KEDGE_OK)
        return rc;
    out->wall = out->lease = pg_i64(q.result, 0, 0);
    pg_saw(s, out->wall);
    pg_clear(&q, 1);
    return KEDGE_OK;
}

static const struct kedge_backend_ops pg_ops = {
    KEDGE_BACKEND_HEADER,
    .caps = KEDGE_CAP_SHARED | KEDGE_CAP_HINT | KEDGE_CAP_SERVER_CLOCK,
    .threads = KEDGE_THREADS_SESSION,
    .name = "postgresql",
    .version = PACKAGE_VERSION,
    .limits = &pg_limits,
    .store_open = store_open,
    .store_close = store_close,
    .store_drop = store_drop,
    .session_open = session_open,
    .session_close = session_close,
    .info = pg_info,
    .now = now,
    .lease_grant = pg_lease_grant,
    .lease_extend = pg_lease_extend,
    .lease_revoke = pg_lease_revoke,
    .lease_bury = pg_lease_bury,
    .lease_list = pg_lease_list,
    .list_held = pg_list_held,
    .lock_acquire = pg_lock_acquire,
    .lock_extend = pg_lock_extend,
    .lock_release = pg_lock_release,
    .lock_query = pg_lock_query,
    .commit = pg_commit,
    .claim = pg_claim,
    .retrieve = pg_retrieve,
    .retrieve_records = pg_retrieve_records,
    .retrieve_slots = pg_retrieve_slots,
    .list_expired = pg_list_expired,
    .list = pg_list,
    .cell_get = pg_cell_get,
    .purge = pg_purge,
    .verify = pg_verify,
    .wait = pg_wait,
    .notify = pg_notify,
    .schema_script = schema_script,
};

KEDGE_BACKEND_DEFINE(postgresql, pg_ops);
