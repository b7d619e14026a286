/*
 * one.c - the smallest backend there can be: it opens, tells the time, and refuses all else
 *
 * Built from installed files only, with nothing to link against:
 *
 *	make -f Makefile.example
 *	kedge backends ./one.so
 *	kedge -b ./one.so store info one:
 *
 * A start for a backend of your own.  Each operation's obligations stand beside it in
 * <kedge/backend.h>; only verify, wait, notify and schema_script may be left
 * out, as they are here.
 */
#include <kedge/backend.h>

struct one_store {
    const struct kedge_host *host;
};

static const struct kedge_limits one_limits = {
    .struct_size = sizeof one_limits,
    .id_max = 1024,
    .value_max = 16 << 20,
    .cell_max = 64 << 10,
    .batch_items = 256,
    .batch_bytes = 1 << 20,
    .commit_changes = 1000,
    .commit_bytes = 16 << 20,
    .page_max = 1000,
    .ttl_min_us = 1000,
    .ttl_max_us = 3600 * INT64_C(1000000),
};

static int refuse(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_UNSUPPORTED, 0, "'one' is an example and keeps nothing");
}

static int one_store_open(const struct kedge_host *host, const struct kedge_open *open,
                          void **store, struct kedge_error *err)
{
    struct one_store *s = host->alloc(host->ctx, sizeof *s);

    (void)open;
    if (s == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    s->host = host;
    *store = s;
    return KEDGE_OK;
}

static void one_store_close(void *store)
{
    struct one_store *s = store;

    if (s != NULL)
        s->host->release(s->host->ctx, s);
}

static int one_store_drop(const struct kedge_host *host, const struct kedge_open *open,
                          struct kedge_error *err)
{
    (void)host;
    (void)open;
    (void)err;
    return KEDGE_NOT_FOUND; /* it never keeps anything */
}

static int one_session_open(void *store, void **session, struct kedge_error *err)
{
    (void)err;
    *session = store; /* nothing belongs to one thread */
    return KEDGE_OK;
}

static void one_session_close(void *session)
{
    (void)session;
}

static int one_info(void *session, struct kedge_info *out, int64_t timeout_us,
                    struct kedge_error *err)
{
    (void)session;
    (void)timeout_us;
    (void)err;
    *out = (struct kedge_info){
        .server = "one 1",
        .place = "nowhere",
        .limits = one_limits,
    };
    return KEDGE_OK;
}

static int one_now(void *session, struct kedge_time *out, int64_t timeout_us,
                   struct kedge_error *err)
{
    const struct one_store *s = session;

    (void)timeout_us;
    (void)err;
    out->wall = s->host->clock_us(s->host->ctx, KEDGE_CLOCK_WALL);
    out->lease = s->host->clock_us(s->host->ctx, KEDGE_CLOCK_LEASE);
    return KEDGE_OK;
}

/* From here on the answer is always the same; a real backend has its work to do. */

static int one_lease_grant(void *session, const struct kedge_lease_new *in,
                           struct kedge_lease_state *out, int64_t timeout_us,
                           struct kedge_error *err)
{
    return refuse(err);
}

static int one_lease_extend(void *session, const struct kedge_id128 *lease,
                            struct kedge_lease_state *out, int64_t timeout_us,
                            struct kedge_error *err)
{
    return refuse(err);
}

static int one_lease_revoke(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                            struct kedge_error *err)
{
    return refuse(err);
}

static int one_lease_bury(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                          struct kedge_error *err)
{
    return refuse(err);
}

static int one_lease_list(void *session, struct kedge_bytes cursor, size_t limit,
                          struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err)
{
    return refuse(err);
}

static int one_list_held(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                         size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                         struct kedge_error *err)
{
    return refuse(err);
}

static int one_lock_acquire(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                            const struct kedge_id128 *request, struct kedge_lock_state *out,
                            int64_t timeout_us, struct kedge_error *err)
{
    return refuse(err);
}

static int one_lock_extend(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                           uint64_t fence, struct kedge_lock_state *out, int64_t timeout_us,
                           struct kedge_error *err)
{
    return refuse(err);
}

static int one_lock_release(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                            uint64_t fence, int64_t timeout_us, struct kedge_error *err)
{
    return refuse(err);
}

static int one_lock_query(void *session, struct kedge_bytes name, struct kedge_lock_state *out,
                          int64_t timeout_us, struct kedge_error *err)
{
    return refuse(err);
}

static int one_commit(void *session, const struct kedge_commit *commits, size_t n,
                      struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err)
{
    return refuse(err);
}

static int one_claim(void *session, const struct kedge_claim *in, struct kedge_run_page *out,
                     int64_t timeout_us, struct kedge_error *err)
{
    return refuse(err);
}

static int one_retrieve(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                        int64_t timeout_us, struct kedge_error *err)
{
    return refuse(err);
}

static int one_retrieve_records(void *session, struct kedge_bytes id, uint64_t incarnation,
                                uint64_t first, size_t limit, size_t bytes_max,
                                struct kedge_record_page *out, int64_t timeout_us,
                                struct kedge_error *err)
{
    return refuse(err);
}

static int one_retrieve_slots(void *session, struct kedge_bytes id, uint64_t incarnation,
                              uint32_t set, uint32_t first, size_t limit,
                              struct kedge_slot_page *out, int64_t timeout_us,
                              struct kedge_error *err)
{
    return refuse(err);
}

static int one_list_expired(void *session, struct kedge_bytes cursor, size_t limit,
                            struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err)
{
    return refuse(err);
}

static int one_list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
                    int64_t timeout_us, struct kedge_error *err)
{
    return refuse(err);
}

static int one_cell_get(void *session, struct kedge_bytes name, struct kedge_cell *out,
                        int64_t timeout_us, struct kedge_error *err)
{
    return refuse(err);
}

static int one_purge(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
                     struct kedge_error *err)
{
    return refuse(err);
}

static const struct kedge_backend_ops one_ops = {
    KEDGE_BACKEND_HEADER,
    .threads = KEDGE_THREADS_SESSION,
    .name = "one",
    .version = "1",
    .limits = &one_limits,
    .store_open = one_store_open,
    .store_close = one_store_close,
    .store_drop = one_store_drop,
    .session_open = one_session_open,
    .session_close = one_session_close,
    .info = one_info,
    .now = one_now,
    .lease_grant = one_lease_grant,
    .lease_extend = one_lease_extend,
    .lease_revoke = one_lease_revoke,
    .lease_bury = one_lease_bury,
    .lease_list = one_lease_list,
    .list_held = one_list_held,
    .lock_acquire = one_lock_acquire,
    .lock_extend = one_lock_extend,
    .lock_release = one_lock_release,
    .lock_query = one_lock_query,
    .commit = one_commit,
    .claim = one_claim,
    .retrieve = one_retrieve,
    .retrieve_records = one_retrieve_records,
    .retrieve_slots = one_retrieve_slots,
    .list_expired = one_list_expired,
    .list = one_list,
    .cell_get = one_cell_get,
    .purge = one_purge,
};

KEDGE_BACKEND_DEFINE(one, one_ops);
