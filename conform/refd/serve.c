/* serve.c - see serve.h */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "backends/shared/wire.h"
#include "serve.h"

/* A wait looks so often whether anybody still waits. */
#define LOOK_US INT64_C(100000)
/* A frame is taken in pieces of this size: its head may lie. */
#define PIECE ((size_t)1 << 20)
#define KEPT  ((size_t)1 << 20)
/* Longer than anybody waits, and a number that can be reckoned with. */
#define MOST_US INT64_C(86400000000)

struct peer {
    struct refd *refd;
    int fd;
    unsigned long number;
    struct held *held;
    void *session;
    struct wire_buffer in, out;
};

/* ------------------------------------------------------------------------ frames */

static long pid_of(int fd)
{
    struct ucred who = { 0, 0, 0 };
    socklen_t len = sizeof who;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 ? (long)who.pid : 0;
}

static bool refuse(const struct peer *p, const char *what, const char *why)
{
    refd_say("connection %lu of process %ld: %s: %s; it is closed", p->number, pid_of(p->fd), what,
             why);
    return false;
}

static bool receive(const struct peer *p, void *to, size_t size, size_t *got)
{
    *got = 0;
    while (*got < size) {
        ssize_t n = recv(p->fd, (unsigned char *)to + *got, size - *got, 0);

        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        if (n > 0)
            *got += (size_t)n;
    }
    return true;
}

/* The next frame.  false: there is none, and the connection is over. */
static bool next_frame(struct peer *p, struct wire_head *head)
{
    const struct kedge_host *host = &p->refd->host;
    size_t got;

    if (!receive(p, head, sizeof *head, &got))
        return got == 0 ? false : refuse(p, "bad frame", "its head is cut off");
    if (head->magic != WIRE_MAGIC)
        return refuse(p, "bad frame", "it is not of this version of kedge, or of something else");
    if (head->op >= WIRE_OPS_N)
        return refuse(p, "bad frame", "it asks for an operation that is none");
    if (head->size > WIRE_SIZE_MAX)
        return refuse(p, "bad frame", "it says it is larger than any may be");
    p->in.len = 0;
    while (p->in.len < head->size) {
        size_t more = (size_t)head->size - p->in.len;

        more = more > PIECE ? PIECE : more;
        if (!wire_room(host, &p->in, p->in.len + more))
            return refuse(p, wire_op_name(head->op), "there is no memory for it");
        if (!receive(p, p->in.data + p->in.len, more, &got))
            return refuse(p, "bad frame", "it is cut off");
        p->in.len += more;
    }
    return true;
}

static bool send_frame(const struct peer *p)
{
    size_t sent = 0;

    while (sent < p->out.len) {
        ssize_t n = send(p->fd, p->out.data + sent, p->out.len - sent, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return false; /* nobody waits for it any more */
        if (n > 0)
            sent += (size_t)n;
    }
    return true;
}

/* -------------------------------------------------------------- open, close, drop */

static struct kedge_open open_of(const struct peer *p, const struct wire_call *c)
{
    return (struct kedge_open){ .struct_size = sizeof(struct kedge_open),
                                .flags = c->flags,
                                .url = p->refd->url,
                                .ns = c->name,
                                .options = p->refd->options };
}

/* What is open under that token; NULL: nothing. */
static struct held *join(struct refd *r, const struct wire_call *c)
{
    struct held *h;

    (void)pthread_mutex_lock(&r->lock);
    for (h = r->held; h != NULL; h = h->next)
        if (h->token == c->token && h->ns.len == c->name.len &&
            memcmp(h->ns.data, c->name.data, h->ns.len) == 0)
            break;
    if (h != NULL)
        h->connections++;
    (void)pthread_mutex_unlock(&r->lock);
    return h;
}

static void leave(struct refd *r, struct held *h)
{
    struct held **at = &r->held;
    bool last;

    (void)pthread_mutex_lock(&r->lock);
    last = --h->connections == 0;
    if (last) {
        while (*at != h)
            at = &(*at)->next;
        *at = h->next;
    }
    (void)pthread_mutex_unlock(&r->lock);
    if (!last)
        return;
    r->ops->store_close(h->store);
    r->host.release(r->host.ctx, h);
}

static int hold(struct refd *r, const struct kedge_open *open, struct held **out,
                struct kedge_error *err)
{
    struct held *h = r->host.alloc(r->host.ctx, sizeof *h + open->ns.len);
    int rc;

    if (h == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    rc = r->ops->store_open(&r->host, open, &h->store, err);
    if (rc != KEDGE_OK) {
        r->host.release(r->host.ctx, h);
        return rc;
    }
    h->connections = 1;
    h->ns = (struct kedge_bytes){ h + 1, open->ns.len };
    if (open->ns.len != 0)
        memcpy(h + 1, open->ns.data, open->ns.len);
    (void)pthread_mutex_lock(&r->lock);
    h->token = ++r->last_token;
    h->next = r->held;
    r->held = h;
    (void)pthread_mutex_unlock(&r->lock);
    *out = h;
    return KEDGE_OK;
}

static void let_go(struct peer *p)
{
    p->refd->ops->session_close(p->session);
    p->session = NULL;
    if (p->held != NULL)
        leave(p->refd, p->held);
    p->held = NULL;
}

static int open_it(struct peer *p, struct wire_call *c)
{
    struct kedge_open open = open_of(p, c);
    int rc = KEDGE_OK;

    p->held = c->token != 0 ? join(p->refd, c) : NULL;
    if (p->held == NULL)
        rc = hold(p->refd, &open, &p->held, &c->err);
    if (rc == KEDGE_OK)
        rc = p->refd->ops->session_open(p->held->store, &p->session, &c->err);
    if (rc == KEDGE_OK)
        c->token = p->held->token;
    else
        let_go(p);
    return rc;
}

static int drop_it(struct peer *p, struct wire_call *c)
{
    struct kedge_open open = open_of(p, c);

    return p->refd->ops->store_drop(&p->refd->host, &open, &c->err);
}

/* ------------------------------------------------------------------- operations */

static int64_t mono_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static bool gone(const struct peer *p)
{
    struct pollfd look = { .fd = p->fd, .events = POLLRDHUP };

    return poll(&look, 1, 0) > 0;
}

/* Nothing ends a wait of the store's but news, so it is made of short ones. */
static int wait_for(struct peer *p, struct wire_call *c)
{
    int64_t end = mono_us() + c->timeout_us;

    for (;;) {
        int64_t left = end - mono_us();
        int64_t now = left > LOOK_US ? LOOK_US : left > 0 ? left : 0;
        int rc = p->refd->ops->wait(p->session, c->seen, &c->ticket, now, &c->err);

        if (rc != KEDGE_QUIET || now == left || left <= 0)
            return rc;
        if (atomic_load(&p->refd->stopping) || gone(p))
            return rc;
    }
}

static int leases(struct peer *p, struct wire_call *c)
{
    const struct kedge_backend_ops *ops = p->refd->ops;
    void *s = p->session;
    int64_t us = c->timeout_us;

    switch (c->op) {
    case WIRE_LEASE_GRANT:
        return ops->lease_grant(s, &c->grant, &c->lease_state, us, &c->err);
    case WIRE_LEASE_EXTEND:
        return ops->lease_extend(s, &c->lease, &c->lease_state, us, &c->err);
    case WIRE_LEASE_REVOKE:
        return ops->lease_revoke(s, &c->lease, us, &c->err);
    case WIRE_LEASE_BURY:
        return ops->lease_bury(s, &c->lease, us, &c->err);
    case WIRE_LEASE_LIST:
        return ops->lease_list(s, c->cursor, c->limit, &c->out.leases, us, &c->err);
    case WIRE_LIST_HELD:
        return ops->list_held(s, &c->lease, c->cursor, c->limit, &c->out.held, us, &c->err);
    case WIRE_LOCK_ACQUIRE:
        return ops->lock_acquire(s, c->name, &c->lease, &c->request, &c->lock, us, &c->err);
    case WIRE_LOCK_EXTEND:
        return ops->lock_extend(s, c->name, &c->lease, c->fence, &c->lock, us, &c->err);
    case WIRE_LOCK_RELEASE:
        return ops->lock_release(s, c->name, &c->lease, c->fence, us, &c->err);
    default:
        return ops->lock_query(s, c->name, &c->lock, us, &c->err);
    }
}

static int reads(struct peer *p, struct wire_call *c)
{
    const struct kedge_backend_ops *ops = p->refd->ops;
    void *s = p->session;
    int64_t us = c->timeout_us;

    switch (c->op) {
    case WIRE_RETRIEVE:
        return ops->retrieve(s, &c->retrieve, &c->out.state, us, &c->err);
    case WIRE_RETRIEVE_RECORDS:
        return ops->retrieve_records(s, c->name, c->incarnation, c->first, c->limit, c->bytes_max,
                                     &c->out.records, us, &c->err);
    case WIRE_RETRIEVE_SLOTS:
        return ops->retrieve_slots(s, c->name, c->incarnation, c->set, (uint32_t)c->first, c->limit,
                                   &c->out.slots, us, &c->err);
    case WIRE_LIST_EXPIRED:
        return ops->list_expired(s, c->cursor, c->limit, &c->out.runs, us, &c->err);
    case WIRE_LIST:
        return ops->list(s, &c->list, &c->out.runs, us, &c->err);
    default:
        return ops->cell_get(s, c->name, &c->out.cell, us, &c->err);
    }
}

/* With a session there. */
static int operate(struct peer *p, struct wire_call *c)
{
    const struct kedge_backend_ops *ops = p->refd->ops;
    void *s = p->session;
    int64_t us = c->timeout_us;

    switch (c->op) {
    case WIRE_CLOSE:
        let_go(p);
        return KEDGE_OK;
    case WIRE_INFO:
        return ops->info(s, &c->out.info, us, &c->err);
    case WIRE_NOW:
        return ops->now(s, &c->time, us, &c->err);
    case WIRE_COMMIT:
        return ops->commit(s, c->commits, c->n, c->answers, us, &c->err);
    case WIRE_CLAIM:
        return ops->claim(s, &c->claim, &c->out.runs, us, &c->err);
    case WIRE_PURGE:
        return ops->purge(s, c->limit, &c->purged, us, &c->err);
    case WIRE_VERIFY:
        return ops->verify(s, &c->out.verified, us, &c->err);
    case WIRE_WAIT:
        return wait_for(p, c);
    case WIRE_NOTIFY:
        return ops->notify(s, &c->err);
    default:
        return c->op <= WIRE_LOCK_QUERY ? leases(p, c) : reads(p, c);
    }
}

/* Answer C.  false: the connection is over. */
static bool answer(struct peer *p, struct wire_call *c)
{
    struct wire w = { .host = &p->refd->host, .frame = &p->out };
    bool opens = c->op == WIRE_OPEN || c->op == WIRE_DROP;

    if (c->timeout_us > MOST_US)
        c->timeout_us = MOST_US;
    if (opens != (p->session == NULL))
        return refuse(p, wire_op_name(c->op),
                      opens ? "a store is open here" : "no store is open here");
    c->rc = c->op == WIRE_OPEN ? open_it(p, c) : c->op == WIRE_DROP ? drop_it(p, c) : operate(p, c);
    /* What was done is done; too large an answer is one to a question. */
    if (wire_pack_answer(&w, c) != KEDGE_OK) {
        int why = w.why;

        c->rc = kedge_error_set(&c->err, why, 0, "the answer cannot be sent: %s", w.bad);
        if (wire_op_writes(c->op) || wire_pack_answer(&w, c) != KEDGE_OK)
            return refuse(p, wire_op_name(c->op), c->err.msg);
    }
    return send_frame(p) && c->op != WIRE_CLOSE && c->op != WIRE_DROP;
}

static bool serve_one(struct peer *p)
{
    const struct kedge_host *host = &p->refd->host;
    struct wire w = { .host = host, .frame = &p->in };
    struct wire_call c = { .op = 0 };
    struct wire_head head;
    bool on;

    if (!next_frame(p, &head))
        return false;
    c.op = head.op;
    on = wire_unpack_request(&w, &c) == KEDGE_OK ? answer(p, &c)
                                                 : refuse(p, wire_op_name(head.op), w.bad);
    kedge_mem_free(host, c.out.mem);
    kedge_mem_free(host, w.mem);
    if (p->in.size > KEPT)
        wire_buffer_free(host, &p->in);
    if (p->out.size > KEPT)
        wire_buffer_free(host, &p->out);
    return on;
}

void refd_serve(struct refd *r, int fd, unsigned long number)
{
    struct peer p = { .refd = r, .fd = fd, .number = number };

    while (serve_one(&p))
        ;
    let_go(&p);
    wire_buffer_free(&r->host, &p.in);
    wire_buffer_free(&r->host, &p.out);
}
