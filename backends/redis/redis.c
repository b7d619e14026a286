/*
 * redis.c - the Redis backend: a store that workers on many machines share
 *
 * How a commit travels: arguments are checked (kit/check.c); plain appends by holders need no
 * decision and go as they are, the rest is decided by the rules on what is remembered or looked up
 * (kit/remote.c); both are carried out by one script in one round trip and one flush of the
 * server's journal (build.c, scripts.c).
 *
 * Time is the server's, both clocks.  What a write survives is what the server is set to; info
 * tells. A server that is replaced by a replica may lose writes it has acknowledged, fences among
 * them, so fences are called volatile.
 */
#include <config.h>

#include "session.h"

static const struct kedge_backend_ops redis_ops = {
    KEDGE_BACKEND_HEADER,
    .caps = RD_CAPS,
    .threads = KEDGE_THREADS_SESSION,
    .name = "redis",
    .version = PACKAGE_VERSION,
    .limits = &rd_limits,
    .store_open = rd_store_open,
    .store_close = rd_store_close,
    .store_drop = rd_store_drop,
    .session_open = rd_session_open,
    .session_close = rd_session_close,
    .info = rd_info,
    .now = rd_now,
    .lease_grant = rd_lease_grant,
    .lease_extend = rd_lease_extend,
    .lease_revoke = rd_lease_revoke,
    .lease_bury = rd_lease_bury,
    .lease_list = rd_lease_list,
    .list_held = rd_list_held,
    .lock_acquire = rd_lock_acquire,
    .lock_extend = rd_lock_extend,
    .lock_release = rd_lock_release,
    .lock_query = rd_lock_query,
    .commit = rd_commit,
    .claim = rd_claim,
    .retrieve = rd_retrieve,
    .retrieve_records = rd_retrieve_records,
    .retrieve_slots = rd_retrieve_slots,
    .list_expired = rd_list_expired,
    .list = rd_list,
    .cell_get = rd_cell_get,
    .purge = rd_purge,
    .verify = rd_verify,
    .wait = rd_wait,
    .notify = rd_notify,
};

KEDGE_BACKEND_DEFINE(redis, redis_ops);
