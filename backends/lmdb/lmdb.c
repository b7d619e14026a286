/*
 * lmdb.c - the LMDB backend: embedded, several processes of one host, every commit synced
 *
 * How a commit travels: arguments are checked (kit/check.c), the thread becomes the committer of
 * its process or queues behind it (writer.c), takes the write lock that processes share (env.c),
 * decides and writes by the rules (kit/commit.c over tables.c), and LMDB commits: pages, sync, meta
 * page.  Only then is anything answered.
 *
 * Reads never wait: each session has a read transaction of its own, on the last committed state.
 *
 * Clocks: wall is UTC of this host, lease is CLOCK_BOOTTIME, the same in every process of one time
 * namespace; a lease of another boot is dead at once, since no process survives that.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "session.h"

const struct kedge_limits lm_limits = {
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

int lm_enter(struct lm_session *s, int64_t timeout_us, struct kedge_error *err)
{
    int rc = kit_check_timeout(timeout_us, err);

    return rc == KEDGE_OK ? lm_env_check(s->env, err) : rc;
}

int lm_read_open(struct lm_session *s, struct lm_read *r, struct kedge_error *err)
{
    int rc = lm_read_begin(s->env, &s->txn, err);

    if (rc != KEDGE_OK)
        return rc;
    memset(r, 0, sizeof *r);
    r->v = (struct lm_view){ s->env, s->host, s->txn, NULL };
    r->now_wall = s->host->clock_us(s->host->ctx, KEDGE_CLOCK_WALL);
    r->now_lease = s->host->clock_us(s->host->ctx, KEDGE_CLOCK_LEASE);
    return KEDGE_OK;
}

void lm_read_close(struct lm_session *s, struct lm_read *r)
{
    if (r->journal != NULL)
        mdb_cursor_close(r->journal);
    lm_read_end(s->env, s->txn);
}

int lm_read_journal(struct lm_read *r, MDB_cursor **out)
{
    if (r->journal == NULL &&
        mdb_cursor_open(r->v.txn, r->v.env->dbi[LM_JOURNAL], &r->journal) != MDB_SUCCESS) {
        r->journal = NULL;
        return KEDGE_ERR_UNAVAILABLE;
    }
    *out = r->journal;
    return KEDGE_OK;
}

int lm_say(struct lm_session *s, int rc, const char *what, struct kedge_error *err)
{
    if (rc >= 0)
        return rc;
    if (rc == KEDGE_ERR_NOMEM)
        return kedge_error_set(err, rc, ENOMEM, "out of memory");
    if (rc == KEDGE_ERR_CORRUPT)
        return kedge_error_set(
            err, rc, 0,
            "store '%s': %s cannot be understood: its bytes are kept; look at it "
            "with a newer kedge, or restore it from a copy",
            s->env->dir, what);
    return kedge_error_set(err, rc, 0, "store '%s': %s cannot be read", s->env->dir, what);
}

bool lm_cursor_out(const struct kedge_host *host, struct kedge_mem **mem, const struct lm_key *key,
                   struct kedge_bytes *out)
{
    return kit_copy(host, mem, (struct kedge_bytes){ key->b, key->len }, out);
}

/* --------------------------------------------------------- store and session */

static int store_open(const struct kedge_host *host, const struct kedge_open *open, void **store,
                      struct kedge_error *err)
{
    struct lm_store *s;
    int rc = kit_check_name(&lm_limits, open->ns, "the namespace", err);

    if (rc != KEDGE_OK)
        return rc;
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    rc = lm_env_open(host, open, &s->env, err);
    if (rc != KEDGE_OK) {
        free(s);
        return rc;
    }
    s->magic = LM_STORE_MAGIC;
    s->host = host;
    *store = s;
    return KEDGE_OK;
}

static void store_close(void *store)
{
    struct lm_store *s = store;

    if (s == NULL)
        return;
    if (lm_env_check(s->env, NULL) == KEDGE_OK)
        lm_hints_release(s->env->hints, s);
    lm_env_close(s->env);
    s->magic = 0;
    free(s);
}

static int store_drop(const struct kedge_host *host, const struct kedge_open *open,
                      struct kedge_error *err)
{
    int rc = kit_check_name(&lm_limits, open->ns, "the namespace", err);

    (void)host;
    return rc == KEDGE_OK ? lm_env_drop(open, err) : rc;
}

static int session_open(void *store, void **session, struct kedge_error *err)
{
    struct lm_store *st = store;
    struct lm_session *s;
    int rc = lm_env_check(st->env, err);

    if (rc != KEDGE_OK)
        return rc;
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    s->magic = LM_SESSION_MAGIC;
    s->store = st;
    s->host = st->host;
    s->env = st->env;
    *session = s;
    return KEDGE_OK;
}

static void session_close(void *session)
{
    struct lm_session *s = session;

    if (s == NULL)
        return;
    if (s->txn != NULL && lm_env_check(s->env, NULL) == KEDGE_OK)
        mdb_txn_abort(s->txn);
    s->magic = 0;
    free(s);
}

static int now(void *session, struct kedge_time *out, int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    int rc = lm_enter(s, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    out->wall = s->host->clock_us(s->host->ctx, KEDGE_CLOCK_WALL);
    out->lease = s->host->clock_us(s->host->ctx, KEDGE_CLOCK_LEASE);
    return KEDGE_OK;
}

static int wait_work(void *session, uint64_t seen, uint64_t *ticket, int64_t timeout_us,
                     struct kedge_error *err)
{
    struct lm_session *s = session;
    int rc = lm_env_check(s->env, err);
    int64_t now_mono = lm_mono_us();

    if (rc != KEDGE_OK)
        return rc;
    if (timeout_us < 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a timeout is not negative");
    if (timeout_us > INT64_MAX / 4)
        timeout_us = INT64_MAX / 4;
    rc = lm_ticket_wait(s->env, seen, now_mono + timeout_us);
    if (rc == KEDGE_OK)
        *ticket = lm_ticket(s->env);
    return rc;
}

static int notify(void *session, struct kedge_error *err)
{
    struct lm_session *s = session;
    int rc = lm_env_check(s->env, err);

    if (rc == KEDGE_OK)
        lm_ticket_move(s->env);
    return rc;
}

static const struct kedge_backend_ops lmdb_ops = {
    KEDGE_BACKEND_HEADER,
    .caps = KEDGE_CAP_SHARED | KEDGE_CAP_HINT,
    .threads = KEDGE_THREADS_SESSION,
    .name = "lmdb",
    .version = PACKAGE_VERSION,
    .limits = &lm_limits,
    .store_open = store_open,
    .store_close = store_close,
    .store_drop = store_drop,
    .session_open = session_open,
    .session_close = session_close,
    .info = lm_info,
    .now = now,
    .lease_grant = lm_lease_grant,
    .lease_extend = lm_lease_extend,
    .lease_revoke = lm_lease_revoke,
    .lease_bury = lm_lease_bury,
    .lease_list = lm_lease_list,
    .list_held = lm_list_held,
    .lock_acquire = lm_lock_acquire,
    .lock_extend = lm_lock_extend,
    .lock_release = lm_lock_release,
    .lock_query = lm_lock_query,
    .commit = lm_commit,
    .claim = lm_claim,
    .retrieve = lm_retrieve,
    .retrieve_records = lm_retrieve_records,
    .retrieve_slots = lm_retrieve_slots,
    .list_expired = lm_list_expired,
    .list = lm_list,
    .cell_get = lm_cell_get,
    .purge = lm_purge,
    .verify = lm_verify,
    .wait = wait_work,
    .notify = notify,
};

KEDGE_BACKEND_DEFINE(lmdb, lmdb_ops);
