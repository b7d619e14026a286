/*
 * shared.c - the backend `shared': a store that another process serves, over a Unix socket
 *
 *	shared:/path/of/socket
 *
 * Whatever store kedge-refd serves there; it is meant for the one in memory, which then lives as
 * long as the server and is open to as many processes as like.  Each session has a connection of
 * its own, and so has the store: the server holds it open for as long.  Every operation is asked of
 * the server and answered by the store behind it, which also checks arguments; nothing is decided
 * here.  Time is the server's.  The crash hint of a lease is that the server has a connection left
 * of this store handle; it does not see that a process is gone whose forked child lives on.
 */
#include <config.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../kit/rules.h"
#include "../kit/url.h"
#include "../mem/limits.h"
#include "link.h"

#define SH_CAPS (KEDGE_CAP_SHARED | KEDGE_CAP_SERVER_CLOCK)
/* If the store behind has them. */
#define SH_PASSED (KEDGE_CAP_HINT | KEDGE_CAP_FENCE_VOLATILE)
#define OPEN_US   INT64_C(10000000)
#define NOTIFY_US INT64_C(10000000)

static const struct kedge_limits sh_limits = MEM_LIMITS;

struct sh_handle {
    struct sh_store store;
    struct sh_link held; /* open as long as this is */
};

struct sh_session {
    struct sh_handle *handle;
    struct sh_link link;
};

/* ------------------------------------------------------------- open and close */

static int parse(const struct kedge_open *open, struct sockaddr_un *at, struct kedge_error *err)
{
    struct kedge_url url;
    int rc = kedge_url_split(open->url, &url, err);

    if (rc != KEDGE_OK)
        return rc;
    if ((url.has_authority && url.authority.len != 0) || url.query.len != 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "a shared store is 'shared:/path/of/socket', without server and "
                               "parameters");
    if (kedge_url_options(open).len != 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a shared store has no options");
    if ((open->flags & ~(KEDGE_OPEN_CREATE | KEDGE_OPEN_MIGRATE)) != 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the flags of the open are unknown");
    if (url.path.len == 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "a shared store needs the path of its server's socket: "
                               "'shared:/path/of/socket'");
    *at = (struct sockaddr_un){ .sun_family = AF_UNIX };
    return kedge_url_decode(url.path, "path of the socket", at->sun_path, sizeof at->sun_path, err);
}

/* What OPEN names, connected to nothing. */
static int handle_new(const struct kedge_host *host, const struct kedge_open *open,
                      struct sh_handle **out, struct kedge_error *err)
{
    struct sockaddr_un at;
    struct sh_handle *h;
    int rc = parse(open, &at, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&sh_limits, open->ns, "the namespace", err);
    if (rc != KEDGE_OK)
        return rc;
    h = host->alloc(host->ctx, sizeof *h + open->ns.len);
    if (h == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    h->store = (struct sh_store){ .host = host, .pid = getpid(), .at = at };
    h->store.ns = (struct kedge_bytes){ h + 1, open->ns.len };
    memcpy(h + 1, open->ns.data, open->ns.len);
    rc = sh_link_init(&h->held, &h->store, err);
    if (rc == KEDGE_OK)
        *out = h;
    else
        host->release(host->ctx, h);
    return rc;
}

static void handle_free(struct sh_handle *h, bool gently)
{
    const struct kedge_host *host = h->store.host;

    sh_link_fini(&h->held, gently);
    host->release(host->ctx, h);
}

/* Ask it on the store's own connection, which is new. */
static int first(const struct kedge_host *host, const struct kedge_open *open, uint32_t op,
                 struct sh_handle **out, struct kedge_error *err)
{
    struct wire_call c = { .op = op, .timeout_us = OPEN_US, .name = open->ns };
    struct kedge_mem *mem = NULL;
    struct sh_handle *h = NULL;
    int rc = handle_new(host, open, &h, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = sh_ask(&h->held, &c, open->flags, &mem, err);
    kedge_mem_free(host, mem);
    h->store.token = h->held.token;
    if (rc == KEDGE_OK && out != NULL)
        *out = h;
    else
        handle_free(h, false);
    return rc;
}

static int store_open(const struct kedge_host *host, const struct kedge_open *open, void **store,
                      struct kedge_error *err)
{
    struct sh_handle *h;
    int rc = first(host, open, WIRE_OPEN, &h, err);

    if (rc == KEDGE_OK)
        *store = h;
    return rc;
}

static void store_close(void *store)
{
    struct sh_handle *h = store;

    if (h != NULL)
        handle_free(h, h->store.pid == getpid());
}

static int store_drop(const struct kedge_host *host, const struct kedge_open *open,
                      struct kedge_error *err)
{
    return first(host, open, WIRE_DROP, NULL, err);
}

static int check_fork(const struct sh_handle *h, struct kedge_error *err)
{
    if (h->store.pid == getpid())
        return KEDGE_OK;
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "the store was opened before fork() and cannot be used after it");
}

static int session_open(void *store, void **session, struct kedge_error *err)
{
    struct sh_handle *h = store;
    const struct kedge_host *host = h->store.host;
    struct sh_session *s;
    int rc = check_fork(h, err);

    if (rc != KEDGE_OK)
        return rc;
    s = host->alloc(host->ctx, sizeof *s);
    if (s == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    s->handle = h;
    rc = sh_link_init(&s->link, &h->store, err);
    if (rc == KEDGE_OK)
        *session = s;
    else
        host->release(host->ctx, s);
    return rc;
}

static void session_close(void *session)
{
    struct sh_session *s = session;
    const struct kedge_host *host;

    if (s == NULL)
        return;
    host = s->handle->store.host;
    sh_link_fini(&s->link, s->handle->store.pid == getpid());
    host->release(host->ctx, s);
}

/* ------------------------------------------------------------------- operations */

/* Ask C, what is told hanging on *MEM. */
static int ask_page(void *session, struct wire_call *c, struct kedge_mem **mem,
                    struct kedge_error *err)
{
    struct sh_session *s = session;
    int rc = check_fork(s->handle, err);

    if (rc == KEDGE_OK && (c->op != WIRE_WAIT || c->timeout_us < 0))
        rc = kit_check_timeout(c->timeout_us, err);
    if (rc == KEDGE_OK)
        rc = sh_ask(&s->link, c, 0, mem, err);
    if (rc == KEDGE_OK)
        return rc;
    kedge_mem_free(s->handle->store.host, *mem);
    *mem = NULL;
    return rc;
}

/* Nothing hangs on what is told. */
static int ask(void *session, struct wire_call *c, struct kedge_error *err)
{
    struct kedge_mem *mem = NULL;
    int rc = ask_page(session, c, &mem, err);

    kedge_mem_free(((struct sh_session *)session)->handle->store.host, mem);
    return rc;
}

/* The page of C, asked for, to OUT. */
#define TELL_PAGE(member)                                                                          \
    do {                                                                                           \
        struct kedge_mem *mem_ = NULL;                                                             \
        int rc_ = ask_page(session, &c, &mem_, err);                                               \
                                                                                                   \
        if (rc_ == KEDGE_OK) {                                                                     \
            *out = c.out.member;                                                                   \
            out->mem = mem_;                                                                       \
        }                                                                                          \
        return rc_;                                                                                \
    } while (0)
#define TELL(member)                                                                               \
    do {                                                                                           \
        int rc_ = ask(session, &c, err);                                                           \
                                                                                                   \
        if (rc_ == KEDGE_OK)                                                                       \
            *out = c.member;                                                                       \
        return rc_;                                                                                \
    } while (0)

/* The place is the server's; of what the store behind can do beyond this nothing is to be had. */
static int info(void *session, struct kedge_info *out, int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_INFO, .timeout_us = timeout_us };
    const struct sh_store *store = &((struct sh_session *)session)->handle->store;
    size_t len = strlen(store->at.sun_path) + 1;
    struct kedge_mem *mem = NULL;
    char *place;
    int rc = ask_page(session, &c, &mem, err);

    if (rc != KEDGE_OK)
        return rc;
    place = kedge_mem_alloc(store->host, &mem, len);
    if (place == NULL) {
        kedge_mem_free(store->host, mem);
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    memcpy(place, store->at.sun_path, len);
    *out = c.out.info;
    out->mem = mem;
    out->place = place;
    out->caps = SH_CAPS | (c.out.info.caps & SH_PASSED);
    return KEDGE_OK;
}

static int now(void *session, struct kedge_time *out, int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_NOW, .timeout_us = timeout_us };

    TELL(time);
}

static int lease_grant(void *session, const struct kedge_lease_new *in,
                       struct kedge_lease_state *out, int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_LEASE_GRANT, .timeout_us = timeout_us, .grant = *in };

    TELL(lease_state);
}

static int lease_extend(void *session, const struct kedge_id128 *lease,
                        struct kedge_lease_state *out, int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_LEASE_EXTEND, .timeout_us = timeout_us, .lease = *lease };

    TELL(lease_state);
}

static int lease_revoke(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                        struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_LEASE_REVOKE, .timeout_us = timeout_us, .lease = *lease };

    return ask(session, &c, err);
}

static int lease_bury(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                      struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_LEASE_BURY, .timeout_us = timeout_us, .lease = *lease };

    return ask(session, &c, err);
}

static int lease_list(void *session, struct kedge_bytes cursor, size_t limit,
                      struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = {
        .op = WIRE_LEASE_LIST, .timeout_us = timeout_us, .cursor = cursor, .limit = limit
    };

    TELL_PAGE(leases);
}

static int list_held(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                     size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                     struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_LIST_HELD,
                           .timeout_us = timeout_us,
                           .lease = *lease,
                           .cursor = cursor,
                           .limit = limit };

    TELL_PAGE(held);
}

static int lock_acquire(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                        const struct kedge_id128 *request, struct kedge_lock_state *out,
                        int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_LOCK_ACQUIRE,
                           .timeout_us = timeout_us,
                           .name = name,
                           .lease = *lease,
                           .request = *request };
    int rc = ask(session, &c, err);

    if (rc == KEDGE_OK || rc == KEDGE_HELD)
        *out = c.lock;
    return rc;
}

static int lock_extend(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                       uint64_t fence, struct kedge_lock_state *out, int64_t timeout_us,
                       struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_LOCK_EXTEND,
                           .timeout_us = timeout_us,
                           .name = name,
                           .lease = *lease,
                           .fence = fence };

    TELL(lock);
}

static int lock_release(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                        uint64_t fence, int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_LOCK_RELEASE,
                           .timeout_us = timeout_us,
                           .name = name,
                           .lease = *lease,
                           .fence = fence };

    return ask(session, &c, err);
}

static int lock_query(void *session, struct kedge_bytes name, struct kedge_lock_state *out,
                      int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_LOCK_QUERY, .timeout_us = timeout_us, .name = name };

    TELL(lock);
}

/* Without an answer of the store's, all commits came to the same. */
static int commit(void *session, const struct kedge_commit *commits, size_t n,
                  struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = {
        .op = WIRE_COMMIT, .timeout_us = timeout_us, .commits = commits, .n = n, .answers = answers
    };
    struct kedge_error why = { 0 };
    int rc = ask(session, &c, &why);

    if (rc == KEDGE_OK)
        return rc;
    if (err != NULL)
        *err = why;
    for (size_t i = 0; i < n; i++) {
        if (c.answered && answers[i].outcome == rc)
            continue;
        answers[i] = (struct kedge_answer){ .outcome = rc };
        (void)snprintf(answers[i].why, sizeof answers[i].why, "%.*s", KEDGE_WHY_MAX - 1, why.msg);
    }
    return rc;
}

/* Memory for what a page mostly takes, before anything is taken: an answer
   there is no room for would leave runs held that nobody was told of. */
static bool page_reserve(const struct kedge_host *host, size_t limit, struct kedge_mem **mem)
{
    size_t size = limit < 256 ? limit * (sizeof(struct kedge_run) + 256) : 131072;

    if (kedge_mem_alloc(host, mem, size) == NULL)
        return false;
    (*mem)->used = 0;
    return true;
}

static int claim(void *session, const struct kedge_claim *in, struct kedge_run_page *out,
                 int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_CLAIM, .timeout_us = timeout_us, .claim = *in };
    const struct kedge_host *host = ((struct sh_session *)session)->handle->store.host;
    struct kedge_mem *mem = NULL;
    int rc;

    if (!page_reserve(host, in->limit, &mem))
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    rc = ask_page(session, &c, &mem, err);
    if (rc == KEDGE_OK) {
        *out = c.out.runs;
        out->mem = mem;
    }
    return rc;
}

static int retrieve(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                    int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_RETRIEVE, .timeout_us = timeout_us, .retrieve = *in };

    TELL_PAGE(state);
}

static int retrieve_records(void *session, struct kedge_bytes id, uint64_t incarnation,
                            uint64_t first_one, size_t limit, size_t bytes_max,
                            struct kedge_record_page *out, int64_t timeout_us,
                            struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_RETRIEVE_RECORDS,
                           .timeout_us = timeout_us,
                           .name = id,
                           .incarnation = incarnation,
                           .first = first_one,
                           .limit = limit,
                           .bytes_max = bytes_max };

    TELL_PAGE(records);
}

static int retrieve_slots(void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
                          uint32_t first_one, size_t limit, struct kedge_slot_page *out,
                          int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_RETRIEVE_SLOTS,
                           .timeout_us = timeout_us,
                           .name = id,
                           .incarnation = incarnation,
                           .set = set,
                           .first = first_one,
                           .limit = limit };

    TELL_PAGE(slots);
}

static int list_expired(void *session, struct kedge_bytes cursor, size_t limit,
                        struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = {
        .op = WIRE_LIST_EXPIRED, .timeout_us = timeout_us, .cursor = cursor, .limit = limit
    };

    TELL_PAGE(runs);
}

static int list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
                int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_LIST, .timeout_us = timeout_us, .list = *in };

    TELL_PAGE(runs);
}

static int cell_get(void *session, struct kedge_bytes name, struct kedge_cell *out,
                    int64_t timeout_us, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_CELL_GET, .timeout_us = timeout_us, .name = name };

    TELL_PAGE(cell);
}

static int purge(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
                 struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_PURGE, .timeout_us = timeout_us, .limit = limit };

    TELL(purged);
}

static int verify(void *session, struct kedge_verified *out, int64_t timeout_us,
                  struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_VERIFY, .timeout_us = timeout_us };

    TELL_PAGE(verified);
}

static int wait_for(void *session, uint64_t seen, uint64_t *ticket, int64_t timeout_us,
                    struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_WAIT, .timeout_us = timeout_us, .seen = seen };
    int rc = ask(session, &c, err);

    if (rc == KEDGE_OK)
        *ticket = c.ticket;
    return rc;
}

static int notify(void *session, struct kedge_error *err)
{
    struct wire_call c = { .op = WIRE_NOTIFY, .timeout_us = NOTIFY_US };

    return ask(session, &c, err);
}

static const struct kedge_backend_ops sh_ops = {
    KEDGE_BACKEND_HEADER,
    .caps = SH_CAPS | KEDGE_CAP_HINT,
    .threads = KEDGE_THREADS_SESSION,
    .name = "shared",
    .version = PACKAGE_VERSION,
    .limits = &sh_limits,
    .store_open = store_open,
    .store_close = store_close,
    .store_drop = store_drop,
    .session_open = session_open,
    .session_close = session_close,
    .info = info,
    .now = now,
    .lease_grant = lease_grant,
    .lease_extend = lease_extend,
    .lease_revoke = lease_revoke,
    .lease_bury = lease_bury,
    .lease_list = lease_list,
    .list_held = list_held,
    .lock_acquire = lock_acquire,
    .lock_extend = lock_extend,
    .lock_release = lock_release,
    .lock_query = lock_query,
    .commit = commit,
    .claim = claim,
    .retrieve = retrieve,
    .retrieve_records = retrieve_records,
    .retrieve_slots = retrieve_slots,
    .list_expired = list_expired,
    .list = list,
    .cell_get = cell_get,
    .purge = purge,
    .verify = verify,
    .wait = wait_for,
    .notify = notify,
};

KEDGE_BACKEND_DEFINE(shared, sh_ops);
