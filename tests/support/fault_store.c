/* fault_store.c - a handle on an open store whose calls go through a table of the test's own */
#include "fault_store.h"

#include "src/registry.h"
#include "src/store.h"

static void leave_open(void *handle)
{
    (void)handle;
}

struct kedge_store *fault_store(struct kedge_store *below, const struct kedge_backend_ops *ops,
                                struct kedge_error *err)
{
    static struct kedge_registered backend;
    struct kedge_store *outer;

    backend = (struct kedge_registered){ .backend = { .ops = *ops, .limits = *ops->limits } };
    backend.backend.ops.store_close = leave_open;
    if (kedge_store_wrap(&backend, kedge_store_handle(below), below, &outer, err) != KEDGE_OK)
        return NULL;
    return outer;
}
