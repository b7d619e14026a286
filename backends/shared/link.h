/*
 * link.h - a session's connection to the server: one question, one answer, in time
 *
 *   L1  A connection on which something was not as it should be is thrown away, and the next
 *       operation makes a new one.  So what comes is the answer to what was asked last.
 *   L2  The server carries out whole frames only.  Of a frame that did not go out whole nothing
 *       was begun, and it may be sent again on a new connection.
 *   L3  One that went out and was not answered may have been carried out: ERR_UNKNOWN if it writes.
 */
#ifndef KEDGE_SHARED_LINK_H
#define KEDGE_SHARED_LINK_H

#include <sys/types.h>
#include <sys/un.h>

#include "../kit/await.h"
#include "wire.h"

/* What a handle on a namespace knows. */
struct sh_store {
    const struct kedge_host *host;
    pid_t pid;
    struct sockaddr_un at;
    struct kedge_bytes ns; /* behind this structure */
    uint64_t token;        /* the server's, for what it holds open; 0: nothing yet */
};

struct sh_link {
    const struct sh_store *store;
    int fd;         /* -1: none */
    uint64_t token; /* what OPEN told */
    struct kit_await await;
    struct wire_buffer out, in;
};

/* OK or ERR_NOMEM: the buffers are there, the connection is not. */
int sh_link_init(struct sh_link *l, const struct sh_store *store, struct kedge_error *err);
/* GENTLY: tell the server, and wait until it has closed what it had open for us. */
void sh_link_fini(struct sh_link *l, bool gently);

/*
 * Ask C of the server, by way of an OPEN with FLAGS if there is no connection yet; C->timeout_us
 * is how long that may take, and as much of it as is left goes along.  Answers c->rc, or why there
 * is no answer.  What is told hangs on *MEM, which may have room already, and is the caller's
 * in either case.
 */
int sh_ask(struct sh_link *l, struct wire_call *c, uint32_t flags, struct kedge_mem **mem,
           struct kedge_error *err);

#endif
