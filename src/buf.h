/*
 * buf.h - bytes that several owners share: the encoded record of a step, and the value within it
 *
 * Counted, not locked: all counts move under the worker's lock.
 */
#ifndef KEDGE_SRC_BUF_H
#define KEDGE_SRC_BUF_H

#include <kedge/backend.h>

struct kedge_buf {
    uint32_t refs;
    uint32_t reserved;
    size_t len;
    unsigned char data[];
};

/* LEN bytes, uninitialised, held once; NULL: no memory. */
struct kedge_buf *kedge_buf_new(const struct kedge_host *host, size_t len);
struct kedge_buf *kedge_buf_hold(struct kedge_buf *buf);                   /* NULL is fine */
void kedge_buf_drop(const struct kedge_host *host, struct kedge_buf *buf); /* NULL is fine */

#endif
