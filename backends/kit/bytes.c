/* bytes.c - comparing and copying what callers and stores hand in */
#include "rules.h"

bool kit_bytes_equal(struct kedge_bytes a, struct kedge_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int kit_bytes_cmp(struct kedge_bytes a, struct kedge_bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.data, b.data, len);

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool kit_id_equal(const struct kedge_id128 *a, const struct kedge_id128 *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool kit_id_zero(const struct kedge_id128 *a)
{
    static const struct kedge_id128 zero;

    return kit_id_equal(a, &zero);
}

bool kit_copy(const struct kedge_host *host, struct kedge_mem **mem, struct kedge_bytes in,
              struct kedge_bytes *out)
{
    void *data = NULL;

    if (in.len != 0) {
        data = kedge_mem_alloc(host, mem, in.len);
        if (data == NULL)
            return false;
        memcpy(data, in.data, in.len);
    }
    out->data = data;
    out->len = in.len;
    return true;
}

bool kit_copy_run(const struct kedge_host *host, struct kedge_mem **mem, const struct kedge_run *in,
                  struct kedge_run *out)
{
    struct kedge_run copy = *in;

    if (!kit_copy(host, mem, in->id, &copy.id) ||
        !kit_copy(host, mem, in->reactor, &copy.reactor) ||
        !kit_copy(host, mem, in->queue, &copy.queue) ||
        !kit_copy(host, mem, in->context, &copy.context) ||
        !kit_copy(host, mem, in->parent, &copy.parent) ||
        !kit_copy(host, mem, in->root, &copy.root))
        return false;
    *out = copy;
    return true;
}

bool kit_copy_lease(const struct kedge_host *host, struct kedge_mem **mem,
                    const struct kedge_lease *in, struct kedge_lease *out)
{
    struct kedge_lease copy = *in;
    struct kedge_serve *serves = NULL;

    if (!kit_copy(host, mem, in->owner, &copy.owner))
        return false;
    if (in->n_serves != 0) {
        if (in->n_serves > SIZE_MAX / sizeof *serves)
            return false;
        serves = kedge_mem_alloc(host, mem, in->n_serves * sizeof *serves);
        if (serves == NULL)
            return false;
    }
    for (size_t i = 0; i < in->n_serves; i++) {
        serves[i] = in->serves[i];
        if (!kit_copy(host, mem, in->serves[i].queue, &serves[i].queue) ||
            !kit_copy(host, mem, in->serves[i].reactor, &serves[i].reactor))
            return false;
    }
    copy.serves = serves;
    *out = copy;
    return true;
}
