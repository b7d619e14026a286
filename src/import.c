/*
 * import.c - a backend's own table, made safe to use
 *
 * A module may have been built against older or newer headers of the same ABI.  So nothing beyond
 * its first two members is read before they are known good, sizes are compared before anything is
 * copied, and what the copy lacks is filled in here, once, rather than tested for everywhere.
 */
#include <config.h>

#include <string.h>

#include "import.h"

#define SIZE_MOST 65536u

static int refuse(struct kedge_error *err, const char *operation)
{
    return kedge_error_set(err, KEDGE_ERR_UNSUPPORTED, 0, "this backend has no operation '%s'",
                           operation);
}

static int no_verify(void *session, struct kedge_verified *out, int64_t timeout_us,
                     struct kedge_error *err)
{
    (void)session;
    (void)out;
    (void)timeout_us;
    return refuse(err, "verify");
}

static int no_wait(void *session, uint64_t seen, uint64_t *ticket, int64_t timeout_us,
                   struct kedge_error *err)
{
    (void)session;
    (void)seen;
    (void)ticket;
    (void)timeout_us;
    return refuse(err, "wait");
}

static int no_notify(void *session, struct kedge_error *err)
{
    (void)session;
    return refuse(err, "notify");
}

static int no_script(const struct kedge_host *host, const struct kedge_open *open,
                     struct kedge_script *out, struct kedge_error *err)
{
    (void)host;
    (void)open;
    (void)out;
    return refuse(err, "schema_script");
}

bool kedge_backend_has_verify(const struct kedge_backend *be)
{
    return be->ops.verify != no_verify;
}

bool kedge_backend_has_wait(const struct kedge_backend *be)
{
    return be->ops.wait != no_wait;
}

bool kedge_backend_has_script(const struct kedge_backend *be)
{
    return be->ops.schema_script != no_script;
}

bool kedge_backend_name_ok(const char *name)
{
    size_t n = 0;

    if (name[0] < 'a' || name[0] > 'z')
        return false;
    for (; name[n] != '\0'; n++) {
        char c = name[n];

        if (n == KEDGE_BACKEND_NAME_MAX)
            return false;
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return true;
}

/* Every structure that crosses the border begins with its size; ours is DST_SIZE. */
static void copy_min(void *dst, size_t dst_size, const void *src, uint32_t src_size)
{
    memset(dst, 0, dst_size);
    memcpy(dst, src, src_size < dst_size ? src_size : dst_size);
}

/*
 * A size that no release could have.  One in the middle of a member would leave half a pointer
 * behind; one that is enormous was never set, and then nothing beside it is to be believed.
 */
static int check_size(uint32_t size, const char *what, const char *origin, struct kedge_error *err)
{
    if (size % sizeof(void *) != 0)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: %s is %u, which ends inside a member", origin, what,
                               (unsigned)size);
    if (size > SIZE_MOST)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: %s is %u, which no table has: set it with "
                               "KEDGE_BACKEND_HEADER, or to its sizeof",
                               origin, what, (unsigned)size);
    return KEDGE_OK;
}

/* The first required operation that is missing, or NULL. */
static const char *missing_operation(const struct kedge_backend_ops *ops)
{
#define REQUIRED(member)                                                                           \
    if (ops->member == NULL)                                                                       \
        return #member;
    REQUIRED(store_open)
    REQUIRED(store_close)
    REQUIRED(store_drop)
    REQUIRED(session_open)
    REQUIRED(session_close)
    REQUIRED(info)
    REQUIRED(now)
    REQUIRED(lease_grant)
    REQUIRED(lease_extend)
    REQUIRED(lease_revoke)
    REQUIRED(lease_bury)
    REQUIRED(lease_list)
    REQUIRED(list_held)
    REQUIRED(lock_acquire)
    REQUIRED(lock_extend)
    REQUIRED(lock_release)
    REQUIRED(lock_query)
    REQUIRED(commit)
    REQUIRED(claim)
    REQUIRED(retrieve)
    REQUIRED(retrieve_records)
    REQUIRED(retrieve_slots)
    REQUIRED(list_expired)
    REQUIRED(list)
    REQUIRED(cell_get)
    REQUIRED(purge)
#undef REQUIRED
    return NULL;
}

/* What the contract promises at least; an engine that relies on it must not find out later. */
static int check_limits(const struct kedge_limits *l, const char *origin, struct kedge_error *err)
{
    const struct {
        const char *name;
        uint64_t have;
        uint64_t least;
    } floors[] = {
        { "id_max", l->id_max, 1024 },
        { "value_max", l->value_max, UINT64_C(16) << 20 },
        { "cell_max", l->cell_max, UINT64_C(64) << 10 },
        { "batch_items", l->batch_items, 1 },
        { "batch_bytes", l->batch_bytes, 1 },
        { "commit_changes", l->commit_changes, 2 },
        { "commit_bytes", l->commit_bytes, l->value_max },
        { "page_max", l->page_max, 1 },
    };

    for (size_t i = 0; i < sizeof floors / sizeof floors[0]; i++) {
        if (floors[i].have < floors[i].least)
            return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                                   "%s: limits.%s is %llu, it must be at least %llu", origin,
                                   floors[i].name, (unsigned long long)floors[i].have,
                                   (unsigned long long)floors[i].least);
    }
    if (l->ttl_min_us <= 0 || l->ttl_max_us < l->ttl_min_us)
        return kedge_error_set(
            err, KEDGE_ERR_BACKEND, 0,
            "%s: limits.ttl_min_us is %lld and limits.ttl_max_us %lld; the first must be positive "
            "and the second not below it",
            origin, (long long)l->ttl_min_us, (long long)l->ttl_max_us);
    if (l->reserved != 0)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0, "%s: limits.reserved is not zero",
                               origin);
    return KEDGE_OK;
}

/* NAME: how it is called, or NULL: what its table says. */
static int import(struct kedge_backend *be, const struct kedge_backend_ops *ops, const char *name,
                  const char *origin, struct kedge_error *err)
{
    const char *missing;
    uint32_t size;
    int rc;

    if (ops == NULL)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: kedge_backend_entry answered no table", origin);
    if (ops->abi != KEDGE_BACKEND_ABI)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: member abi is %u, this library loads backends of ABI %u only; "
                               "build the backend again with this release's headers",
                               origin, (unsigned)ops->abi, KEDGE_BACKEND_ABI);
    /* Up to the last member without which a backend is none; optional ones may be beyond its end.
     */
    size = ops->struct_size;
    if (size < offsetof(struct kedge_backend_ops, verify))
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: member struct_size is %u, ABI %u begins at %zu", origin,
                               (unsigned)size, KEDGE_BACKEND_ABI,
                               offsetof(struct kedge_backend_ops, verify));
    rc = check_size(size, "member struct_size", origin, err);
    if (rc != KEDGE_OK)
        return rc;
    copy_min(&be->ops, sizeof be->ops, ops, size);
    be->ops.struct_size = (uint32_t)sizeof be->ops;

    if (name != NULL)
        be->ops.name = name;
    else if (be->ops.name == NULL || !kedge_backend_name_ok(be->ops.name))
        return kedge_error_set(
            err, KEDGE_ERR_BACKEND, 0,
            "%s: member name is '%.40s', it must be a letter a-z and up to %d more of a-z, 0-9, _",
            origin, be->ops.name != NULL ? be->ops.name : "", KEDGE_BACKEND_NAME_MAX - 1);
    if (be->ops.version == NULL || be->ops.version[0] == '\0')
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0, "%s: member version is empty", origin);
    if (be->ops.threads > KEDGE_THREADS_SESSION)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: member threads is %u, this library knows 0 to %u", origin,
                               (unsigned)be->ops.threads, KEDGE_THREADS_SESSION);
    if (be->ops.reserved != 0)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0, "%s: member reserved is not zero",
                               origin);
    missing = missing_operation(&be->ops);
    if (missing != NULL)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0, "%s: required operation '%s' is missing",
                               origin, missing);
    /* The two are halves of one thing. */
    if ((be->ops.wait == NULL) != (be->ops.notify == NULL))
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: operation '%s' is there without '%s'", origin,
                               be->ops.wait != NULL ? "wait" : "notify",
                               be->ops.wait != NULL ? "notify" : "wait");

    if (be->ops.limits == NULL)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0, "%s: member limits is missing", origin);
    if (be->ops.limits->struct_size <
        offsetof(struct kedge_limits, ttl_max_us) + sizeof be->limits.ttl_max_us)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: member limits.struct_size is %u, ABI %u begins at %zu", origin,
                               (unsigned)be->ops.limits->struct_size, KEDGE_BACKEND_ABI,
                               sizeof be->limits);
    rc = check_size(be->ops.limits->struct_size, "member limits.struct_size", origin, err);
    if (rc != KEDGE_OK)
        return rc;
    copy_min(&be->limits, sizeof be->limits, be->ops.limits, be->ops.limits->struct_size);
    be->limits.struct_size = (uint32_t)sizeof be->limits;
    be->ops.limits = &be->limits;
    rc = check_limits(&be->limits, origin, err);
    if (rc != KEDGE_OK)
        return rc;

    /* A bit from the future is a promise that we cannot make use of. */
    be->ops.caps &= KEDGE_CAPS_KNOWN;
    if (be->ops.verify == NULL)
        be->ops.verify = no_verify;
    if (be->ops.wait == NULL) {
        be->ops.wait = no_wait;
        be->ops.notify = no_notify;
    }
    if (be->ops.schema_script == NULL)
        be->ops.schema_script = no_script;
    return KEDGE_OK;
}

int kedge_backend_import(struct kedge_backend *be, const struct kedge_backend_ops *ops,
                         const char *origin, struct kedge_error *err)
{
    return import(be, ops, NULL, origin, err);
}

int kedge_backend_import_wrapper(struct kedge_backend *be, const struct kedge_backend_ops *ops,
                                 const struct kedge_backend *inner, const char *name,
                                 const char *origin, struct kedge_error *err)
{
    int rc = import(be, ops, name, origin, err);

    if (rc != KEDGE_OK)
        return rc;
    if (!kedge_backend_has_verify(inner))
        be->ops.verify = no_verify;
    if (!kedge_backend_has_wait(inner)) {
        be->ops.wait = no_wait;
        be->ops.notify = no_notify;
    }
    if (!kedge_backend_has_script(inner))
        be->ops.schema_script = no_script;
    return KEDGE_OK;
}
