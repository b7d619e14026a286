/* link.c - see link.h */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "link.h"

/* Kept from call to call; more is given back. */
#define BUFFER_KEPT  (UINT64_C(256) << 10)
#define BUFFER_FIRST (UINT64_C(16) << 10)
#define CLOSE_US     INT64_C(10000000)
#define WAIT_MOST_US INT64_C(86400000000)
#define WAIT_MORE_US INT64_C(5000000)
/* What a store is given less than there is, so that its own answer comes in time. */
#define WAY_BACK(us) ((us) / 8)

static int64_t mono_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t deadline_in(int64_t us)
{
    int64_t now = mono_us();

    return us < INT64_MAX - now ? now + us : INT64_MAX;
}

/* ------------------------------------------------------------------- connections */

static void hang_up(struct sh_link *l)
{
    if (l->fd < 0)
        return;
    /* A forked child may have it too: the server is to see the end now. */
    (void)shutdown(l->fd, SHUT_RDWR);
    (void)close(l->fd);
    l->fd = -1;
}

static int unreachable(const struct sh_link *l, int sys_errno, struct kedge_error *err)
{
    int rc =
        sys_errno == EACCES || sys_errno == EPERM ? KEDGE_ERR_PERMISSION : KEDGE_ERR_UNAVAILABLE;

    return kedge_error_set(err, rc, sys_errno, "no server of a store answers at '%s': %s",
                           l->store->at.sun_path,
                           sys_errno == EAGAIN ? "it takes no connections" : strerror(sys_errno));
}

/* A full queue of a server's connections is waited for in connect() itself. */
static int dial(struct sh_link *l, int64_t deadline, struct kedge_error *err)
{
    int64_t left = deadline - mono_us();
    struct timeval most;
    int fd, rc;

    if (left <= 0)
        return unreachable(l, ETIMEDOUT, err);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return unreachable(l, errno, err);
    most.tv_sec = (time_t)(left / 1000000);
    most.tv_usec = (suseconds_t)(left % 1000000);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    do
        rc = connect(fd, (const struct sockaddr *)&l->store->at, sizeof l->store->at);
    while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        int sys_errno = errno;

        (void)close(fd);
        return unreachable(l, sys_errno, err);
    }
    l->fd = fd;
    return KEDGE_OK;
}

/* ------------------------------------------------------------------------ frames */

/* How far a frame came. */
enum outcome { WENT, BROKE, TIMED_OUT };

/* All of what is in l->out. */
static enum outcome send_all(struct sh_link *l, int64_t deadline)
{
    size_t sent = 0;

    while (sent < l->out.len) {
        ssize_t n = send(l->fd, l->out.data + sent, l->out.len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        int ready;

        if (n >= 0) {
            sent += (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return BROKE;
        ready = kit_await(&l->await, l->fd, POLLOUT, deadline);
        if (ready <= 0)
            return ready == 0 ? TIMED_OUT : BROKE;
    }
    return WENT;
}

static enum outcome receive(struct sh_link *l, void *p, size_t size, int64_t deadline)
{
    size_t got = 0;

    while (got < size) {
        ssize_t n = recv(l->fd, (unsigned char *)p + got, size - got, MSG_DONTWAIT);
        int ready;

        if (n > 0) {
            got += (size_t)n;
            continue;
        }
        if (n == 0)
            return BROKE;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return BROKE;
        ready = kit_await(&l->await, l->fd, POLLIN, deadline);
        if (ready <= 0)
            return ready == 0 ? TIMED_OUT : BROKE;
    }
    return WENT;
}

/* No answer, or none that can be used. */
static int in_doubt(struct sh_link *l, uint32_t op, const char *what, struct kedge_error *err)
{
    hang_up(l);
    if (wire_op_writes(op))
        return kedge_error_set(err, KEDGE_ERR_UNKNOWN, 0,
                               "%s after the operation was sent to the server at '%s'; it may or "
                               "may not have been carried out",
                               what, l->store->at.sun_path);
    return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0, "%s by the server at '%s'", what,
                           l->store->at.sun_path);
}

static int no_memory(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
}

/* An upper bound, so that an answer to a write always has room. */
static size_t answer_size(const struct wire_call *c)
{
    size_t size = BUFFER_FIRST;

    for (size_t i = 0; c->op == WIRE_COMMIT && i < c->n; i++)
        size += sizeof(struct kedge_answer) + c->commits[i].n_changes * sizeof(uint64_t);
    return size;
}

static int take_answer(struct sh_link *l, struct wire_call *c, struct kedge_mem **mem,
                       int64_t deadline, struct kedge_error *err)
{
    struct wire w = { .host = l->store->host, .frame = &l->in, .copies = true, .mem = *mem };
    struct wire_head head;
    enum outcome came = receive(l, &head, sizeof head, deadline);
    int rc;

    l->in.len = 0;
    if (came == WENT) {
        if (head.magic != WIRE_MAGIC || head.op != c->op || head.size > WIRE_SIZE_MAX)
            return in_doubt(l, c->op, "something that is no answer was sent", err);
        if (!wire_room(w.host, &l->in, (size_t)head.size)) {
            rc = in_doubt(l, c->op, "there was no memory for what was answered", err);
            return wire_op_writes(c->op) ? rc : no_memory(err);
        }
        came = receive(l, l->in.data, (size_t)head.size, deadline);
        l->in.len = (size_t)head.size;
    }
    if (came != WENT)
        return in_doubt(l, c->op,
                        came == TIMED_OUT ? "nothing was answered in time"
                                          : "the connection was closed",
                        err);
    rc = wire_unpack_answer(&w, c);
    *mem = w.mem;
    c->answered = rc == KEDGE_OK;
    if (rc == KEDGE_ERR_NOMEM && !wire_op_writes(c->op))
        return no_memory(err);
    if (rc != KEDGE_OK)
        return in_doubt(l, c->op,
                        rc == KEDGE_ERR_NOMEM ? "there was no memory for what was answered"
                                              : "something that is no answer was sent",
                        err);
    if (c->rc < 0)
        return kedge_error_set(err, c->rc, c->err.sys_errno, "%s", c->err.msg);
    return c->rc;
}

/* *SENT: it went out whole. */
static int exchange(struct sh_link *l, struct wire_call *c, struct kedge_mem **mem,
                    int64_t deadline, bool *sent, struct kedge_error *err)
{
    struct wire w = { .host = l->store->host, .frame = &l->out };
    int64_t asked = c->timeout_us;
    enum outcome went;
    int rc;

    *sent = true;
    if (c->op != WIRE_WAIT) {
        int64_t left = deadline - mono_us();

        c->timeout_us = left > 8 ? left - WAY_BACK(left) : 1;
    }
    rc = wire_pack_request(&w, c);
    c->timeout_us = asked;
    if (rc != KEDGE_OK)
        return kedge_error_set(err, rc, 0, "%s", w.bad);
    if (!wire_room(w.host, &l->in, answer_size(c)))
        return no_memory(err);
    went = send_all(l, deadline);
    if (went == WENT)
        return take_answer(l, c, mem, deadline, err);
    *sent = false;
    hang_up(l);
    return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                           went == TIMED_OUT
                               ? "the server at '%s' did not take the operation in time"
                               : "the server at '%s' closed the connection before it took the "
                                 "operation",
                           l->store->at.sun_path);
}

/* -------------------------------------------------------------------- operations */

/* What is missing at a server was there when this store was opened. */
static int introduce(struct sh_link *l, uint32_t flags, bool again, int64_t deadline,
                     struct kedge_error *err)
{
    struct wire_call open = {
        .op = WIRE_OPEN, .flags = flags, .name = l->store->ns, .token = l->store->token
    };
    struct kedge_mem *mem = NULL;
    bool sent;
    int rc = dial(l, deadline, err);

    if (rc == KEDGE_OK) {
        rc = exchange(l, &open, &mem, deadline, &sent, err);
        kedge_mem_free(l->store->host, mem);
        if (rc != KEDGE_OK)
            hang_up(l);
        l->token = open.token;
    }
    if (rc == KEDGE_OK || !again)
        return rc;
    if (rc == KEDGE_ERR_SCHEMA_MISSING)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                               "the store is gone; the server at '%s' was started anew",
                               l->store->at.sun_path);
    if (rc == KEDGE_ERR_UNKNOWN || rc == KEDGE_ERR_PERMISSION)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                               "the server at '%s' could not be connected to again",
                               l->store->at.sun_path);
    return rc;
}

static void trim(struct sh_link *l)
{
    if (l->out.size > BUFFER_KEPT)
        wire_buffer_free(l->store->host, &l->out);
    if (l->in.size > BUFFER_KEPT)
        wire_buffer_free(l->store->host, &l->in);
}

int sh_ask(struct sh_link *l, struct wire_call *c, uint32_t flags, struct kedge_mem **mem,
           struct kedge_error *err)
{
    bool was_open = l->fd >= 0;
    int64_t deadline;
    int rc;

    /* Of a wait the timeout is how long it lasts when all is well. */
    if (c->op == WIRE_WAIT && c->timeout_us > WAIT_MOST_US)
        c->timeout_us = WAIT_MOST_US;
    deadline = deadline_in(c->op == WIRE_WAIT ? c->timeout_us + WAIT_MORE_US : c->timeout_us);
    for (;;) {
        bool sent = true;

        rc = KEDGE_OK;
        if (l->fd < 0)
            rc = c->op == WIRE_DROP ? dial(l, deadline, err)
                                    : introduce(l, flags, c->op != WIRE_OPEN, deadline, err);
        if (rc == KEDGE_OK && c->op != WIRE_OPEN)
            rc = exchange(l, c, mem, deadline, &sent, err);
        if (sent || !was_open)
            break;
        was_open = false; /* it was broken for long, perhaps: a new one, once */
    }
    trim(l);
    return rc;
}

int sh_link_init(struct sh_link *l, const struct sh_store *store, struct kedge_error *err)
{
    *l = (struct sh_link){ .store = store, .fd = -1 };
    if (wire_room(store->host, &l->out, BUFFER_FIRST) &&
        wire_room(store->host, &l->in, BUFFER_FIRST))
        return KEDGE_OK;
    sh_link_fini(l, false);
    return no_memory(err);
}

void sh_link_fini(struct sh_link *l, bool gently)
{
    struct wire_call done = { .op = WIRE_CLOSE, .timeout_us = CLOSE_US };
    struct kedge_mem *mem = NULL;
    bool sent;

    if (l->fd >= 0 && gently) {
        (void)exchange(l, &done, &mem, deadline_in(CLOSE_US), &sent, NULL);
        kedge_mem_free(l->store->host, mem);
        hang_up(l);
    } else if (l->fd >= 0) {
        (void)close(l->fd);
    }
    kit_await_fini(&l->await);
    wire_buffer_free(l->store->host, &l->out);
    wire_buffer_free(l->store->host, &l->in);
}
