/* needs.c - what cases need, and which of them probe what is declared */
#include "needs.h"

#include "catalogue.h"

const struct need needs[] = {
    { NEEDS_CLOCKS, "a wall clock and a lease clock that are two",
      "its two clocks are one, a server's", "caps-03" },
    { NEEDS_HINT, "crash hints (KEDGE_CAP_HINT)", "it has no crash hints", "caps-01" },
    { NEEDS_SHARED, "several processes on one store (KEDGE_CAP_SHARED)", "it is for one process",
      "caps-02" },
    { NEEDS_THREADS, "several threads at a time (KEDGE_THREADS_SESSION)",
      "it is for one thread at a time", "caps-04" },
    { NEEDS_WAIT, "the operations wait and notify", "it has no wait", "caps-06" },
    { NEEDS_SERVER, "a server, whose clock it is (KEDGE_CAP_SERVER_CLOCK)",
      "no server has a clock of its own", "caps-03" },
    { 0, NULL, NULL, NULL },
};

static bool promised(uint32_t bits, struct world *w)
{
    uint64_t ticket;

    switch (bits) {
    case NEEDS_CLOCKS:
        return (w->ops->caps & KEDGE_CAP_SERVER_CLOCK) == 0;
    case NEEDS_HINT:
        return (w->caps & KEDGE_CAP_HINT) != 0;
    case NEEDS_SHARED:
        return (w->ops->caps & KEDGE_CAP_SHARED) != 0;
    case NEEDS_THREADS:
        return w->ops->threads == KEDGE_THREADS_SESSION;
    case NEEDS_WAIT:
        return do_wait(w, 0, &ticket, 0) != KEDGE_ERR_UNSUPPORTED;
    case NEEDS_SERVER:
        return (w->ops->caps & KEDGE_CAP_SERVER_CLOCK) != 0;
    default:
        return true;
    }
}

const struct need *need_missing(const struct contract_case *c, struct world *w)
{
    for (const struct need *n = needs; n->bits != 0; n++)
        if ((c->needs & n->bits) == n->bits && !promised(n->bits, w))
            return n;
    return NULL;
}

const struct need *need_said(const char *absent)
{
    for (const struct need *n = needs; n->bits != 0; n++)
        if (strcmp(n->absent, absent) == 0)
            return n;
    return NULL;
}

const struct declaration declarations[] = {
    { "capability.shared", "caps-02", NEEDS_SHARED },
    { "capability.hint", "caps-01", NEEDS_HINT },
    { "capability.server_clock", "caps-03 store-09 leases-21", 0 },
    { "capability.fence_volatile", "fences-01 fences-04 fences-05", 0 },
    { "capability.threads", "caps-04", NEEDS_THREADS },
    { "operation.verify", "caps-05", 0 },
    { "operation.wait", "caps-06", NEEDS_WAIT },
    { "operation.notify", "caps-06 wait-01 wait-04", 0 },
    { "operation.schema_script", "caps-07", 0 },
    { "limit.id_max", "limits-01 commit-06 leases-03 lists-05", 0 },
    { "limit.value_max", "limits-02 commit-06", 0 },
    { "limit.cell_max", "limits-03 commit-06", 0 },
    { "limit.batch_items", "limits-04 batch-09 claim-09", 0 },
    { "limit.batch_bytes", "limits-05 batch-10", 0 },
    { "limit.commit_changes", "limits-06 commit-07", 0 },
    { "limit.commit_bytes", "limits-05 commit-08", 0 },
    { "limit.page_max", "limits-07 lists-05 leases-19", 0 },
    { "limit.ttl_min_us", "limits-08 leases-03", 0 },
    { "limit.ttl_max_us", "limits-08 leases-03", 0 },
    { NULL, NULL, 0 },
};

bool declaration_probed_by(const struct declaration *d, const struct contract_case *c)
{
    return catalogue_names(d->cases, c->id) || (d->needs != 0 && (c->needs & d->needs) == d->needs);
}
