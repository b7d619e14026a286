/* buf.c - counted bytes */
#include <config.h>

#include "buf.h"
#include "kassert.h"

struct kedge_buf *kedge_buf_new(const struct kedge_host *host, size_t len)
{
    struct kedge_buf *buf;

    if (len > SIZE_MAX - sizeof *buf)
        return NULL;
    buf = host->alloc(host->ctx, sizeof *buf + len);
    if (buf == NULL)
        return NULL;
    buf->refs = 1;
    buf->reserved = 0;
    buf->len = len;
    return buf;
}

struct kedge_buf *kedge_buf_hold(struct kedge_buf *buf)
{
    if (buf != NULL)
        buf->refs++;
    return buf;
}

void kedge_buf_drop(const struct kedge_host *host, struct kedge_buf *buf)
{
    if (buf == NULL)
        return;
    KEDGE_ASSERT(buf->refs > 0);
    if (--buf->refs == 0)
        host->release(host->ctx, buf);
}
