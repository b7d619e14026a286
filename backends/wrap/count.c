/*
 * count.c - the wrapper `count': how often each operation was called
 *
 *	count,to=/tmp/counts+lmdb:/x
 *
 *   to=PATH   where the numbers are appended when the store is closed; standard error if it is not
 *             said
 *
 * One line, OPERATION=CALLS for each that was called at all, in the order of struct
 * kedge_backend_ops.  It is written at the end, and not told by info, so that it has all of a
 * program's calls, also of one that nobody can ask; a process that is killed tells nothing.
 */
#include <config.h>

#include <inttypes.h>
#include <stdatomic.h>

#include "kit.h"

#include "../kit/url.h"

const char *const wrap_name = "count";

struct count {
    const struct kedge_host *host;
    struct wrap_file file;
    _Atomic uint64_t calls[WRAP_OP_COUNT];
};

int wrap_self_open(const struct kedge_host *host, struct kedge_bytes settings, void **self,
                   struct kedge_error *err)
{
    struct count *c = host->alloc(host->ctx, sizeof *c);
    struct kedge_bytes key;
    struct kedge_bytes value;
    int rc = KEDGE_OK;

    if (c == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    c->host = host;
    c->file = (struct wrap_file)WRAP_FILE_NONE;
    for (size_t i = 0; i < WRAP_OP_COUNT; i++)
        atomic_init(&c->calls[i], 0);
    while (rc == KEDGE_OK && wrap_setting(&settings, &key, &value))
        rc = kedge_url_is(key, "to") ? wrap_file_open(&c->file, host, value, err)
                                     : wrap_unknown(key, "to", err);
    if (rc != KEDGE_OK) {
        wrap_file_close(&c->file);
        host->release(host->ctx, c);
        return rc;
    }
    wrap_file_default(&c->file, host);
    *self = c;
    return KEDGE_OK;
}

void wrap_self_close(void *self)
{
    struct count *c = self;
    struct wrap_line line;

    wrap_line_init(&line, c->host);
    for (unsigned op = 0; op < WRAP_OP_COUNT; op++) {
        uint64_t n = atomic_load(&c->calls[op]);

        if (n > 0)
            wrap_add(&line, "%s%s=%" PRIu64, line.len > 0 ? " " : "",
                     wrap_op_name((enum wrap_op)op), n);
    }
    wrap_add(&line, "\n");
    if (wrap_file_ours(&c->file))
        wrap_file_put(&c->file, &line);
    wrap_line_free(&line);
    wrap_file_close(&c->file);
    c->host->release(c->host->ctx, c);
}

enum wrap_verdict wrap_before(struct wrap_call *call)
{
    struct count *c = call->below.self;

    (void)atomic_fetch_add(&c->calls[call->op], 1);
    return WRAP_GO;
}

void wrap_after(struct wrap_call *call)
{
    (void)call;
}
