/*
 * frames.c - what is no frame, sent to a server of a store and to its clients; speaks TAP
 *
 *	./frames URL LOG [SEED]          LOG: what the server says
 *
 * Whoever sends a bad frame loses his connection, the server says so in one line, and nobody else
 * notices.  An answer that was tampered with is in doubt, or was changed into another good one.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "backends/shared/wire.h"
#include "client.h"

enum { BLIND = 1500, TAMPERED = 1500 };

static const char *store_url, *log_name;
static _Atomic uint64_t rng;

static uint64_t rnd(uint64_t below)
{
    /* splitmix64 */
    uint64_t z = atomic_fetch_add(&rng, UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

/* ------------------------------------------------------------------- by hand */

static int dial(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    need(fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

static const char *socket_of_store(void)
{
    return store_url + strlen("shared:");
}

static bool push(int fd, const void *p, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(fd, (const char *)p + sent, size - sent, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        sent += (size_t)n;
    }
    return true;
}

static bool pull(int fd, void *p, size_t size)
{
    for (size_t got = 0; got < size;) {
        struct pollfd look = { .fd = fd, .events = POLLIN };
        ssize_t n;

        need(poll(&look, 1, (int)(PATIENCE / 1000)) > 0);
        n = recv(fd, (char *)p + got, size - got, 0);
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

/* A whole frame.  false: the connection is over. */
static bool pull_frame(int fd, struct wire_buffer *b)
{
    struct wire_head head;

    if (!pull(fd, &head, sizeof head))
        return false;
    need(head.magic == WIRE_MAGIC && head.size <= WIRE_SIZE_MAX);
    need(wire_room(host, b, sizeof head + (size_t)head.size));
    memcpy(b->data, &head, sizeof head);
    b->len = sizeof head + (size_t)head.size;
    return pull(fd, b->data + sizeof head, (size_t)head.size);
}

static void pack(struct wire_buffer *b, struct wire_call *c)
{
    struct wire w = { .host = host, .frame = b };

    c->timeout_us = PATIENCE;
    need(wire_pack_request(&w, c) == KEDGE_OK);
}

static int dial_open(const char *ns)
{
    struct wire_call c = { .op = WIRE_OPEN, .flags = KEDGE_OPEN_CREATE, .name = kedge_text(ns) };
    struct wire_buffer b = { NULL, 0, 0 };
    int fd = dial(socket_of_store());

    pack(&b, &c);
    need(push(fd, b.data, b.len) && pull_frame(fd, &b));
    wire_buffer_free(host, &b);
    return fd;
}

/* One of every kind of request, with all that can be in it. */
static void pack_some(struct wire_buffer *b, uint32_t op)
{
    static const struct kedge_serve serves[] = { { { "q", 1 }, { "r", 1 }, 0, 9 },
                                                 { { "p", 1 }, { "r", 1 }, 1, 1 } };
    static const struct kedge_bytes records[] = { { "one", 3 }, { "", 0 }, { "three", 5 } };
    static const struct kedge_run_new new_run = { .reactor = { "r", 1 },
                                                  .queue = { "q", 1 },
                                                  .context = { "context", 7 },
                                                  .parent_slot = KEDGE_NO_SLOT,
                                                  .version = 1,
                                                  .due = { 0, KEDGE_IN, 0 } };
    struct kedge_bytes run = { "run", 3 };
    struct kedge_guard guards[] = {
        { .kind = KEDGE_GUARD_ABSENT, .name = run },
        { .kind = KEDGE_GUARD_TIME, .from = 0, .to = INT64_MAX },
    };
    struct kedge_change changes[] = {
        { .kind = KEDGE_CREATE, .name = run, .create = &new_run },
        { .kind = KEDGE_APPEND, .name = run, .append = { records, 3, 1 } },
        { .kind = KEDGE_SNAPSHOT, .name = run, .snapshot = { { "snap", 4 }, 2 } },
        { .kind = KEDGE_SLOTS, .name = run, .slots = { 1, 4 } },
        { .kind = KEDGE_SLOT_PUT, .name = run, .slot = { 1, 1, 2, 0, 0, { "v", 1 } } },
        { .kind = KEDGE_CELL_PUT, .name = { "cell", 4 }, .cell = { { "c", 1 }, { 0, 0, 0 } } },
    };
    uint64_t results[6];
    struct kedge_commit commits[] = {
        { .guards = guards, .n_guards = 2, .changes = changes, .n_changes = 6, .results = results },
        { .changes = &changes[5], .n_changes = 1 },
    };
    struct wire_call c = { .op = op,
                           .flags = KEDGE_OPEN_CREATE,
                           .name = { "fuzz", 4 },
                           .cursor = { "", 0 },
                           .lease = new_id(),
                           .request = new_id(),
                           .fence = 1,
                           .first = 1,
                           .limit = 10,
                           .bytes_max = 1000,
                           .commits = commits,
                           .n = 2 };

    commits[0].request = new_id();
    commits[1].request = new_id();
    c.grant = (struct kedge_lease_new){ c.lease, c.request, { "owner", 5 }, serves, 2, 1000000 };
    c.claim = (struct kedge_claim){ c.request, c.lease, serves, 2, 10, { 0, 0, 0 } };
    c.retrieve = (struct kedge_retrieve){ run, 0, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL, 0 };
    c.list = (struct kedge_list){ .serves = serves, .n_serves = 2, .unserved = 1, .limit = 10 };
    pack(b, &c);
    if (op == WIRE_WAIT) { /* not for long */
        int64_t soon = 1000;

        memcpy(b->data + sizeof(struct wire_head), &soon, sizeof soon);
    }
}

/* --------------------------------------------------------- what the server says */

/* How many lines of its log have WHAT in them; NULL: all. */
static size_t lines(const char *what)
{
    FILE *f = fopen(log_name, "r");
    char line[1024];
    size_t n = 0;

    need(f != NULL);
    while (fgets(line, sizeof line, f) != NULL)
        n += what == NULL || strstr(line, what) != NULL;
    (void)fclose(f);
    return n;
}

static bool over(int fd)
{
    char byte;

    return !pull(fd, &byte, 1);
}

/* The last thing on this connection: it is over, and one line is there that says WHY. */
static void refused(int fd, const void *p, size_t size, const char *why)
{
    size_t all = lines(NULL), of_it = lines(why);

    (void)push(fd, p, size);
    (void)shutdown(fd, SHUT_WR);
    if (!over(fd))
        failed(__LINE__, "answered, and should say: %s", why);
    (void)close(fd);
    for (int64_t until = mono_us() + PATIENCE; lines(NULL) == all;)
        need(mono_us() < until);
    if (lines(NULL) != all + 1 || lines(why) != of_it + 1)
        failed(__LINE__, "%zu lines more, %zu of them say: %s", lines(NULL) - all,
               lines(why) - of_it, why);
}

/* A frame to NOTIFY with a body of its own. */
static size_t frame(unsigned char *to, uint32_t magic, uint32_t op, const void *body, size_t size,
                    uint64_t says)
{
    struct wire_head head = { magic, op, says };

    memcpy(to, &head, sizeof head);
    if (size != 0)
        memcpy(to + sizeof head, body, size);
    return sizeof head + size;
}

static void directed(void)
{
    static const uint64_t zeros[8] = { PATIENCE };
    const uint64_t lie[3] = { PATIENCE, UINT64_MAX / 2, 0 };
    unsigned char f[256];
    struct wire_buffer b = { NULL, 0, 0 };
    size_t n;

    refused(dial(socket_of_store()), "GET / HTTP/1.1\r\n\r\n", 18, "of something else");
    n = frame(f, WIRE_MAGIC + 1, WIRE_NOW, zeros, 8, 8);
    refused(dial(socket_of_store()), f, n, "not of this version");
    n = frame(f, WIRE_MAGIC, WIRE_OPS_N, zeros, 8, 8);
    refused(dial_open("fuzz"), f, n, "an operation that is none");
    n = frame(f, WIRE_MAGIC, WIRE_NOW, zeros, 8, WIRE_SIZE_MAX + 1);
    refused(dial_open("fuzz"), f, n, "larger than any may be");
    refused(dial_open("fuzz"), f, 5, "head is cut off");
    n = frame(f, WIRE_MAGIC, WIRE_NOW, zeros, 8, WIRE_SIZE_MAX);
    refused(dial_open("fuzz"), f, n, "it is cut off");
    n = frame(f, WIRE_MAGIC, WIRE_NOW, zeros, 7, 7);
    refused(dial_open("fuzz"), f, n, "NOW: it ends too early");
    n = frame(f, WIRE_MAGIC, WIRE_NOW, zeros, 0, 0);
    refused(dial_open("fuzz"), f, n, "NOW: it ends too early");
    n = frame(f, WIRE_MAGIC, WIRE_NOW, zeros, 9, 9);
    refused(dial_open("fuzz"), f, n, "NOW: there is something behind its end");
    n = frame(f, WIRE_MAGIC, WIRE_CELL_GET, lie, 24, 24);
    refused(dial_open("fuzz"), f, n, "CELL_GET: bytes in it are longer than it is");
    n = frame(f, WIRE_MAGIC, WIRE_COMMIT, lie, 24, 24);
    refused(dial_open("fuzz"), f, n, "COMMIT: a list in it is longer than it is");
    n = frame(f, WIRE_MAGIC, WIRE_NOW, zeros, 8, 8);
    refused(dial(socket_of_store()), f, n, "NOW: no store is open here");
    pack_some(&b, WIRE_OPEN);
    refused(dial_open("fuzz"), b.data, b.len, "OPEN: a store is open here");
    pack_some(&b, WIRE_DROP);
    refused(dial_open("fuzz"), b.data, b.len, "DROP: a store is open here");
    wire_buffer_free(host, &b);
    passed("each way to be no frame: the connection is over, and one line says why");
}

/* ------------------------------------------------------------------------ at random */

static void spoil(struct wire_buffer *b)
{
    static const uint64_t odd[] = { 0,         1,          0x7f,      0xff,      0xffff,
                                    INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX };
    size_t head = sizeof(struct wire_head);

    for (uint64_t times = 1 + rnd(4); times-- != 0 && b->len > head + 8;) {
        size_t at = head + rnd(b->len - head - 8);
        uint64_t size;

        switch (rnd(5)) {
        case 0: /* a bit */
            b->data[at] ^= (unsigned char)(1u << rnd(8));
            break;
        case 1: /* a number */
            memcpy(b->data + at, &odd[rnd(sizeof odd / sizeof odd[0])], 1 + rnd(8));
            break;
        case 2: /* cut, and the head says so */
            b->len = head + rnd(b->len - head);
            size = b->len - head;
            memcpy(b->data + 8, &size, sizeof size);
            break;
        case 3: /* something from elsewhere in it */
            memmove(b->data + at, b->data + head + rnd(b->len - head - 8), 8);
            break;
        default: /* the head */
            b->data[rnd(head)] ^= (unsigned char)(1u << rnd(8));
            break;
        }
    }
}

/* Nobody but him who sends them notices. */
static void blind(void)
{
    struct wire_buffer b = { NULL, 0, 0 };
    struct client c;
    uint64_t value, version;

    client_open(&c, "good", KEDGE_OPEN_CREATE);
    need_rc(&c, cell_put(&c, "a", 7, 0, NULL, PATIENCE), KEDGE_OK);
    for (int i = 0; i < BLIND; i++) {
        int fd = rnd(8) == 0 ? dial(socket_of_store()) : dial_open("fuzz");

        do {
            pack_some(&b, (uint32_t)rnd(WIRE_OPS_N));
            if (rnd(3) != 0)
                spoil(&b);
        } while (push(fd, b.data, b.len) && rnd(4) != 0);
        if (rnd(2) == 0) { /* stay for the answer */
            (void)shutdown(fd, SHUT_WR);
            while (!over(fd))
                ;
        }
        (void)close(fd);
        if (i % 100 == 0)
            need_rc(&c, cell_put(&c, "b", (uint64_t)i, UINT64_MAX, NULL, PATIENCE), KEDGE_OK);
    }
    need_rc(&c, cell_get(&c, "a", &value, &version), KEDGE_OK);
    need(value == 7);
    client_close(&c);
    wire_buffer_free(host, &b);
    passed("frames spoilt at random harm nobody else");
}

/* ------------------------------------------------- a server that is not quite one */

/* Between a client and the server; spoils answers, or cuts them off. */
struct between {
    int door;
    struct sockaddr_un at;
    atomic_int how; /* 0: leaves them as they are; 1: spoils; 2: cuts them off */
};

static void pass_on(struct between *m, int fd)
{
    struct wire_buffer b = { NULL, 0, 0 };
    int there = dial(socket_of_store());

    while (pull_frame(fd, &b)) {
        int how = atomic_load(&m->how);
        struct wire_head head;

        memcpy(&head, b.data, sizeof head);
        if (head.op == WIRE_OPEN)
            how = 0;
        if (!push(there, b.data, b.len) || !pull_frame(there, &b))
            break;
        if (how == 1)
            spoil(&b);
        if (!push(fd, b.data, how == 2 ? rnd(b.len) : b.len) || how != 0)
            break; /* whatever he waits for does not come */
    }
    (void)close(there);
    (void)close(fd);
    wire_buffer_free(host, &b);
}

struct passing {
    struct between *m;
    int fd;
};

static void *pass(void *arg)
{
    struct passing *p = arg;

    pass_on(p->m, p->fd);
    free(p);
    return NULL;
}

static void *stand_between(void *arg)
{
    struct between *m = arg;
    pthread_t thread;
    int fd;

    while ((fd = accept(m->door, NULL, NULL)) >= 0) {
        struct passing *p = malloc(sizeof *p);

        need(p != NULL);
        *p = (struct passing){ m, fd };
        need(pthread_create(&thread, NULL, pass, p) == 0 && pthread_detach(thread) == 0);
    }
    return NULL;
}

/* OP by way of a session, asked of what may be no store. */
static int do_some(struct client *c, int op)
{
    static const struct kedge_serve serves[] = { { { "q", 1 }, { "r", 1 }, 0, 9 } };
    struct kedge_claim claim = { new_id(), new_id(), serves, 1, 10, { 0, 0, 0 } };
    struct kedge_retrieve retrieve = { { "run", 3 }, 0, 3, 0 };
    struct kedge_list list = { .limit = 10 };
    union {
        struct kedge_mem *mem;
        struct kedge_info info;
        struct kedge_run_page runs;
        struct kedge_run_state state;
        struct kedge_record_page records;
        struct kedge_lease_page leases;
        struct kedge_cell cell;
    } out = { NULL };
    int rc;

    switch (op) {
    case 0:
        rc = ops->info(c->session, &out.info, PATIENCE, &c->err);
        break;
    case 1:
        rc = ops->list(c->session, &list, &out.runs, PATIENCE, &c->err);
        break;
    case 2:
        rc = ops->retrieve(c->session, &retrieve, &out.state, PATIENCE, &c->err);
        break;
    case 3:
        rc = ops->retrieve_records(c->session, retrieve.id, 0, 1, 10, 1000, &out.records, PATIENCE,
                                   &c->err);
        break;
    case 4:
        rc = ops->lease_list(c->session, kedge_text(""), 10, &out.leases, PATIENCE, &c->err);
        break;
    case 5:
        rc = ops->cell_get(c->session, kedge_text("cell"), &out.cell, PATIENCE, &c->err);
        break;
    case 6:
        rc = ops->claim(c->session, &claim, &out.runs, PATIENCE, &c->err);
        break;
    default:
        rc = cell_put(c, "cell", 1, UINT64_MAX, NULL, PATIENCE);
        break;
    }
    if (rc == KEDGE_OK)
        kedge_mem_free(host, out.mem);
    return rc;
}

/* Something to read: what pack_some writes. */
static void fill(const char *ns)
{
    struct wire_buffer b = { NULL, 0, 0 };
    int fd = dial_open(ns);

    pack_some(&b, WIRE_LEASE_GRANT);
    need(push(fd, b.data, b.len) && pull_frame(fd, &b));
    pack_some(&b, WIRE_COMMIT);
    need(push(fd, b.data, b.len) && pull_frame(fd, &b));
    (void)close(fd);
    wire_buffer_free(host, &b);
}

static bool writes(int op)
{
    return op >= 6;
}

static void tampered(struct between *m)
{
    char through[200];

    fill("tampered");
    (void)snprintf(through, sizeof through, "shared:%s", m->at.sun_path);
    url = through;
    for (int i = 0; i < TAMPERED; i++) {
        int op = (int)rnd(8), how = 1 + (int)rnd(2), rc;
        struct client c;

        /* The store's own connection is left alone; the session gets one when it asks. */
        atomic_store(&m->how, 0);
        client_open(&c, "tampered", 0);
        atomic_store(&m->how, how);
        rc = do_some(&c, op);
        if (how == 2)
            need_rc(&c, rc, writes(op) ? KEDGE_ERR_UNKNOWN : KEDGE_ERR_UNAVAILABLE);
        if (rc < 0)
            need(c.err.code == rc && c.err.msg[0] != '\0');
        need(rc >= KEDGE_ERR_PERMISSION && rc <= KEDGE_QUIET);
        atomic_store(&m->how, 0);
        client_close(&c);
    }
    url = store_url;
    passed("answers that are spoilt or cut off: a read is refused, a write is in doubt");
}

static void open_door(struct between *m)
{
    m->at.sun_family = AF_UNIX;
    (void)snprintf(m->at.sun_path, sizeof m->at.sun_path, "%s.between", socket_of_store());
    m->door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(m->door >= 0 && bind(m->door, (struct sockaddr *)&m->at, sizeof m->at) == 0 &&
         listen(m->door, 64) == 0);
}

int main(int argc, char **argv)
{
    static struct between m;
    pthread_t thread;
    uint64_t seed;

    if (argc < 3 || argc > 4) {
        (void)fputs("usage: frames URL LOG [SEED]\n", stderr);
        return 2;
    }
    store_url = argv[1];
    log_name = argv[2];
    seed = argc > 3 ? strtoull(argv[3], NULL, 10)
                    : (uint64_t)time(NULL) * 1000003u % UINT64_C(1000000000);
    atomic_store(&rng, seed);
    begin(argv[1], 3);
    printf("# seed %" PRIu64 "\n", seed);
    directed();
    blind();
    open_door(&m);
    need(pthread_create(&thread, NULL, stand_between, &m) == 0);
    tampered(&m);
    (void)shutdown(m.door, SHUT_RDWR);
    need(pthread_join(thread, NULL) == 0);
    (void)unlink(m.at.sun_path);
    return 0;
}
