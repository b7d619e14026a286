/*
 * serve.c - the proxy's own process: one thread, one poll loop, see proxy.h
 *
 * A connection is a pair of sockets and two flows.  A flow owns the bytes between its reading and
 * its writing end; harm is done where bytes come in, so that what was let in before it is delivered
 * first.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "proxy.h"

enum { CONNECTIONS_MOST = 512, FLOW_SIZE = 256 * 1024 };

enum event { NO_EVENT, CONNECT, REQUEST, REPLY, UP, DOWN };
enum harm { NO_HARM, RESET, CLOSE, HOLE, HOLD, SAY };

struct flow {
    unsigned char *buf;
    size_t at; /* first byte not written yet */
    size_t len;
    size_t free; /* bytes that may go although the connection is held */
    bool eof;
    bool failed;   /* it ended with an error */
    bool shut;     /* the end was passed on */
    int64_t ready; /* not before */
};

struct connection {
    int client;
    int server;
    struct flow up;
    struct flow down;
    bool asked; /* the client spoke last */
    bool holed;
    bool held;
    bool answered; /* by us: what the server says is swallowed until it is asked again */
    enum harm end; /* RESET or CLOSE: when what was let in is delivered */
};

static struct {
    const char *listen_text;
    struct address target;
    int listener; /* -1: refusing */
    int port;
    struct connection *all[CONNECTIONS_MOST];
    size_t n;
    struct proxy_counts counts;
    enum event event; /* of the plan */
    uint64_t left;    /* events until it comes true */
    enum harm harm;
    char said[256]; /* SAY: this */
    size_t said_len;
    bool hole;
    bool hold;
    size_t slice;
    int64_t delay_us;
} proxy;

static int64_t now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---------------------------------------------------------------- sockets */

static void options_set(int fd, int family)
{
    int one = 1;

    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* Where the port stands in the first of A; NULL: it has none. */
static in_port_t *port_of(struct address *a)
{
    if (a->is[0].any.sa_family == AF_INET)
        return &((struct sockaddr_in *)&a->is[0].room)->sin_port;
    if (a->is[0].any.sa_family == AF_INET6)
        return &((struct sockaddr_in6 *)&a->is[0].room)->sin6_port;
    return NULL;
}

int proxy_listen(const char *text, int *port)
{
    struct address a;
    in_port_t *number;
    int one = 1;
    int fd;

    errno = EINVAL;
    if (!address_parse(text, &a))
        return -1;
    /* The port of a listener that was closed by "refuse" is the same when it is opened again. */
    number = port_of(&a);
    if (number != NULL && *number == 0)
        *number = htons((uint16_t)*port);
    fd = socket(a.is[0].any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (number == NULL)
        (void)unlink(a.is[0].un.sun_path);
    if (bind(fd, &a.is[0].any, a.is[0].len) != 0 || listen(fd, 64) != 0 ||
        (number != NULL && getsockname(fd, &a.is[0].any, &a.is[0].len) != 0)) {
        int sys = errno;

        (void)close(fd);
        errno = sys;
        return -1;
    }
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    *port = number != NULL ? ntohs(*number) : 0;
    return fd;
}

/* The port at which FD listens; 0: it has none. */
static int port_at(int fd)
{
    struct address a = { .is[0].len = sizeof a.is[0].room };
    const in_port_t *number;

    (void)getsockname(fd, &a.is[0].any, &a.is[0].len);
    number = port_of(&a);
    return number != NULL ? ntohs(*number) : 0;
}

/* A connection to the server; -1: there is none to be had. */
static int target_connect(void)
{
    for (size_t i = 0; i < proxy.target.n; i++) {
        int family = proxy.target.is[i].any.sa_family;
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd >= 0 && connect(fd, &proxy.target.is[i].any, proxy.target.is[i].len) == 0) {
            options_set(fd, family);
            return fd;
        }
        if (fd >= 0)
            (void)close(fd);
    }
    return -1;
}

/* ------------------------------------------------------------ connections */

static void socket_end(int fd, enum harm how)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };

    if (fd < 0)
        return;
    if (how == RESET)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(fd);
}

/* End it and take it out of the list. */
static void connection_end(struct connection *c, enum harm how)
{
    for (size_t i = 0; i < proxy.n; i++)
        if (proxy.all[i] == c) {
            proxy.all[i] = proxy.all[--proxy.n];
            break;
        }
    socket_end(c->client, how);
    socket_end(c->server, how);
    free(c->up.buf);
    free(c->down.buf);
    free(c);
}

static void all_end(enum harm how)
{
    while (proxy.n > 0)
        connection_end(proxy.all[proxy.n - 1], how);
}

static void all_go(void)
{
    proxy.hold = false;
    for (size_t i = 0; i < proxy.n; i++)
        proxy.all[i]->held = false;
}

/* Is this the event of the plan, and its turn? */
static enum harm event_comes(enum event event)
{
    if (proxy.event != event || --proxy.left > 0)
        return NO_HARM;
    proxy.event = NO_EVENT;
    proxy.counts.fired++;
    return proxy.harm;
}

static void harm_do(struct connection *c, enum harm harm)
{
    switch (harm) {
    case RESET:
    case CLOSE:
        c->end = harm;
        break;
    case HOLE:
        c->holed = true;
        break;
    case HOLD:
        c->held = true;
        c->up.free = c->up.len - c->up.at;
        c->down.free = c->down.len - c->down.at;
        break;
    case SAY:
        c->answered = true;
        break;
    case NO_HARM:
        break;
    }
}

static void connection_accept(void)
{
    int fd = accept(proxy.listener, NULL, NULL);
    struct connection *c = fd < 0 ? NULL : calloc(1, sizeof *c);

    if (c == NULL || proxy.n == CONNECTIONS_MOST || (c->up.buf = malloc(FLOW_SIZE)) == NULL ||
        (c->down.buf = malloc(FLOW_SIZE)) == NULL) {
        socket_end(fd, RESET);
        if (c != NULL)
            free(c->up.buf);
        free(c);
        return;
    }
    c->client = fd;
    c->server = -1;
    proxy.all[proxy.n++] = c;
    proxy.counts.connections++;
    c->holed = proxy.hole;
    c->held = proxy.hold;
    harm_do(c, event_comes(CONNECT));
    options_set(fd, AF_INET);
    if (c->holed || c->end != NO_HARM)
        return;
    c->server = target_connect();
    if (c->server < 0)
        connection_end(c, RESET);
}

/* What was to be said, in the place of what came in on F. */
static size_t say_instead(struct flow *f)
{
    size_t n = FLOW_SIZE - f->len < proxy.said_len ? FLOW_SIZE - f->len : proxy.said_len;

    memcpy(f->buf + f->len, proxy.said, n);
    return n;
}

/* Of N bytes that came in on F, those that are let in; what was planned is done. */
static size_t bytes_let_in(struct connection *c, struct flow *f, size_t n)
{
    bool up = f == &c->up;
    enum event byte = up ? UP : DOWN;
    bool first = up ? !c->asked : c->asked;

    c->asked = up;
    if (first) {
        enum harm harm = event_comes(up ? REQUEST : REPLY);

        proxy.counts.requests += up;
        if (up)
            c->answered = false;
        harm_do(c, harm);
        if (harm == SAY)
            return say_instead(f);
        if (harm != NO_HARM)
            return harm == HOLD ? n : 0;
    }
    if (proxy.event == byte && proxy.left <= n) {
        size_t before = (size_t)proxy.left - 1;
        enum harm harm;

        proxy.left = 1;
        harm = event_comes(byte);
        harm_do(c, harm);
        if (harm == HOLD)
            f->free += before;
        return harm == HOLD ? n : before;
    }
    if (proxy.event == byte)
        proxy.left -= n;
    return n;
}

static void flow_read(struct connection *c, struct flow *f, int fd)
{
    bool swallow = c->holed || c->end != NO_HARM || (f == &c->down && c->answered);
    ssize_t n;

    if (f->at > 0) {
        memmove(f->buf, f->buf + f->at, f->len - f->at);
        f->len -= f->at;
        f->at = 0;
    }
    n = read(fd, f->buf + f->len, FLOW_SIZE - f->len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        f->eof = true;
        f->failed = n < 0;
        return;
    }
    if (f == &c->up)
        proxy.counts.up += (uint64_t)n;
    else
        proxy.counts.down += (uint64_t)n;
    if (swallow)
        return;
    if (f->at == f->len)
        f->ready = now_us() + proxy.delay_us;
    f->len += bytes_let_in(c, f, (size_t)n);
}

/* How many bytes may be written now. */
static size_t flow_may(const struct connection *c, const struct flow *f)
{
    size_t n = f->len - f->at;

    if (c->held && n > f->free)
        n = f->free;
    if (n > 0 && f->ready > now_us())
        return 0;
    return proxy.slice > 0 && n > proxy.slice ? proxy.slice : n;
}

static void flow_write(struct connection *c, struct flow *f, int fd)
{
    size_t may = flow_may(c, f);
    ssize_t n;

    if (may == 0 || fd < 0)
        return;
    n = send(fd, f->buf + f->at, may, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        n = (ssize_t)(f->len - f->at); /* nobody reads this any more */
    f->at += (size_t)n;
    f->free -= c->held && f->free >= (size_t)n ? (size_t)n : 0;
}

/* Pass the end of F on, when all before it has been written. */
static void flow_end(struct connection *c, struct flow *f, int to)
{
    if (!f->eof || f->shut || f->at < f->len || c->held || to < 0)
        return;
    f->shut = true;
    (void)shutdown(to, SHUT_WR);
}

/* What follows from what was read and written; the connection may be gone after this. */
static void connection_settle(struct connection *c)
{
    bool up = c->up.at < c->up.len;
    bool down = c->down.at < c->down.len;

    if (c->end != NO_HARM) {
        if ((!up && !down) || c->up.eof)
            connection_end(c, c->end);
        return;
    }
    if (c->holed && c->up.eof) {
        connection_end(c, CLOSE);
        return;
    }
    if (c->held || c->holed)
        return;
    flow_end(c, &c->up, c->server);
    flow_end(c, &c->down, c->client);
    if (c->down.eof && !down && (c->down.failed || c->up.eof || !up))
        connection_end(c, c->down.failed ? RESET : CLOSE);
}

/* ---------------------------------------------------------------- control */

static const struct {
    const char *name;
    enum event event;
} events[] = {
    { "connect", CONNECT }, { "request", REQUEST }, { "reply", REPLY },
    { "up", UP },           { "down", DOWN },
};
static const struct {
    const char *name;
    enum harm harm;
} harms[] = {
    { "reset", RESET }, { "close", CLOSE }, { "hole", HOLE }, { "hold", HOLD }, { "say", SAY },
};

/* TEXT with its escapes (\r, \n, \\, \xHH) resolved; false: there is no room. */
static bool say_set(const char *text)
{
    proxy.said_len = 0;
    for (; *text != '\0'; text++) {
        unsigned int byte = (unsigned char)*text;

        if (proxy.said_len == sizeof proxy.said)
            return false;
        if (text[0] == '\\' && text[1] != '\0') {
            text++;
            byte = *text == 'r' ? '\r' : *text == 'n' ? '\n' : (unsigned char)*text;
            /* NOLINTNEXTLINE(cert-err34-c): two digits, or it is no number */
            if (*text == 'x' && sscanf(text + 1, "%2x", &byte) == 1)
                text += 2;
        }
        proxy.said[proxy.said_len++] = (char)byte;
    }
    return true;
}

static const char *plan_set(const char *event, unsigned long long n, const char *harm)
{
    proxy.event = NO_EVENT;
    proxy.harm = NO_HARM;
    for (size_t i = 0; i < sizeof harms / sizeof harms[0]; i++)
        if (strcmp(harms[i].name, harm) == 0)
            proxy.harm = harms[i].harm;
    if (proxy.harm == NO_HARM)
        return "error no such harm";
    if (n == 0)
        return "error the first is number 1";
    proxy.left = n;
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (strcmp(events[i].name, event) == 0)
            proxy.event = events[i].event;
    if (proxy.harm == SAY && proxy.event != REPLY)
        return "error only in a reply something is said";
    return proxy.event == NO_EVENT ? "error no such event" : "ok";
}

static const char *listen_again(void)
{
    if (proxy.listener < 0)
        proxy.listener = proxy_listen(proxy.listen_text, &proxy.port);
    return proxy.listener < 0 ? "error cannot listen again" : "ok";
}

static const char *pass(void)
{
    proxy.event = NO_EVENT;
    proxy.hole = false;
    proxy.slice = 0;
    proxy.delay_us = 0;
    all_go();
    return listen_again();
}

static void hole_all(void)
{
    proxy.hole = true;
    for (size_t i = 0; i < proxy.n; i++)
        proxy.all[i]->holed = true;
}

static void hold_all(void)
{
    proxy.hold = true;
    for (size_t i = 0; i < proxy.n; i++)
        harm_do(proxy.all[i], HOLD);
}

static const char *count(void)
{
    static char text[160];
    const struct proxy_counts *c = &proxy.counts;

    (void)snprintf(text, sizeof text, "count %llu %llu %llu %llu %llu %llu",
                   (unsigned long long)c->connections, (unsigned long long)c->requests,
                   (unsigned long long)c->up, (unsigned long long)c->down,
                   (unsigned long long)c->fired, (unsigned long long)proxy.n);
    return text;
}

static const char *target_set(const char *text)
{
    struct address a;

    if (!address_parse(text, &a))
        return "error no address";
    proxy.target = a;
    return "ok";
}

static const char *obey(const char *line)
{
    unsigned long long n;
    char event[16];
    char harm[16];
    int end = 0;

    if (strcmp(line, "pass") == 0)
        return pass();
    if (strcmp(line, "accept") == 0)
        return listen_again();
    if (strcmp(line, "count") == 0)
        return count();
    if (strncmp(line, "target ", 7) == 0)
        return target_set(line + 7);
    /* NOLINTBEGIN(cert-err34-c): numbers that a test of ours has written */
    if (sscanf(line, "at %15s %llu %15s%n", event, &n, harm, &end) == 3)
        return say_set(line + end + (line[end] == ' ')) ? plan_set(event, n, harm)
                                                        : "error too much to say";
    if (sscanf(line, "slice %llu", &n) == 1)
        proxy.slice = (size_t)n;
    else if (sscanf(line, "delay %llu", &n) == 1)
        proxy.delay_us = (int64_t)n * 1000;
    /* NOLINTEND(cert-err34-c) */
    else if (strcmp(line, "reset") == 0)
        all_end(RESET);
    else if (strcmp(line, "close") == 0)
        all_end(CLOSE);
    else if (strcmp(line, "hole") == 0)
        hole_all();
    else if (strcmp(line, "hold") == 0)
        hold_all();
    else if (strcmp(line, "go") == 0)
        all_go();
    else if (strcmp(line, "zero") == 0)
        memset(&proxy.counts, 0, sizeof proxy.counts);
    else if (strcmp(line, "refuse") == 0) {
        if (proxy.listener >= 0)
            (void)close(proxy.listener);
        proxy.listener = -1;
    } else
        return "error not understood";
    return "ok";
}

static bool write_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t did = write(fd, text, n);

        if (did < 0 && errno != EINTR)
            return false;
        text += did > 0 ? did : 0;
        n -= did > 0 ? (size_t)did : 0;
    }
    return true;
}

/* False: it is over. */
static bool control_read(int in, int out)
{
    static char buf[512];
    static size_t len;
    ssize_t n = read(in, buf + len, sizeof buf - 1 - len);
    char *end;

    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0)
        return false;
    len += (size_t)n;
    while ((end = memchr(buf, '\n', len)) != NULL) {
        char answer[200];
        int size;

        *end = '\0';
        if (strcmp(buf, "quit") == 0) {
            (void)write_all(out, "ok\n", 3);
            return false;
        }
        size = snprintf(answer, sizeof answer, "%s\n", obey(buf));
        if (!write_all(out, answer, (size_t)size))
            return false;
        len -= (size_t)(end + 1 - buf);
        memmove(buf, end + 1, len);
    }
    return len < sizeof buf - 1;
}

/* ------------------------------------------------------------------- loop */

/* Interest in one side of C: reading IN, writing OUT. */
static struct pollfd interest(const struct connection *c, int fd, const struct flow *in,
                              const struct flow *out)
{
    struct pollfd p = { .fd = fd };
    bool room = in->len - in->at < FLOW_SIZE;

    if (!in->eof && room)
        p.events |= POLLIN;
    if (flow_may(c, out) > 0)
        p.events |= POLLOUT;
    if (p.events == 0)
        p.fd = -1;
    return p;
}

/* Milliseconds until delayed bytes may go; -1: none are. */
static int wait_ms(void)
{
    int64_t now = now_us();
    int64_t least = INT64_MAX;

    for (size_t i = 0; i < proxy.n; i++) {
        const struct flow *flows[2] = { &proxy.all[i]->up, &proxy.all[i]->down };

        for (int k = 0; k < 2; k++)
            if (flows[k]->at < flows[k]->len && flows[k]->ready > now && flows[k]->ready < least)
                least = flows[k]->ready;
    }
    return least == INT64_MAX ? -1 : (int)((least - now) / 1000) + 1;
}

static void connection_serve(struct connection *c, short client, short server)
{
    const short in = POLLIN | POLLHUP | POLLERR;

    /* What the server said comes first: it was there before what the client says next. */
    if (server & in && !c->down.eof)
        flow_read(c, &c->down, c->server);
    if (client & in && !c->up.eof)
        flow_read(c, &c->up, c->client);
    flow_write(c, &c->up, c->server);
    flow_write(c, &c->down, c->client);
    connection_settle(c);
}

int proxy_serve(int fd, const char *listen, const char *target, int in, int out)
{
    static struct pollfd polls[2 + 2 * CONNECTIONS_MOST];
    static struct connection *served[CONNECTIONS_MOST];

    if (!address_parse(target, &proxy.target))
        return 2;
    proxy.listener = fd;
    proxy.listen_text = listen;
    proxy.port = port_at(fd);
    for (;;) {
        size_t n = proxy.n;

        polls[0] = (struct pollfd){ .fd = in, .events = POLLIN };
        polls[1] = (struct pollfd){ .fd = proxy.listener, .events = POLLIN };
        for (size_t i = 0; i < n; i++) {
            struct connection *c = proxy.all[i];

            served[i] = c;
            polls[2 + 2 * i] = interest(c, c->client, &c->up, &c->down);
            polls[3 + 2 * i] = interest(c, c->server, &c->down, &c->up);
        }
        if (poll(polls, (nfds_t)(2 + 2 * n), wait_ms()) < 0 && errno != EINTR)
            return 1;
        for (size_t i = 0; i < n; i++)
            connection_serve(served[i], polls[2 + 2 * i].revents, polls[3 + 2 * i].revents);
        if (polls[1].revents != 0 && proxy.listener >= 0)
            connection_accept();
        if (polls[0].revents != 0 && !control_read(in, out))
            break;
    }
    all_end(RESET);
    if (address_is_unix(listen))
        (void)unlink(listen + strlen("unix:"));
    return 0;
}
