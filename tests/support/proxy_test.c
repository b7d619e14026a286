/*
 * proxy_test.c - does the proxy do the harm it is told to?  Speaks TAP
 *
 * The server answers the line "N" with N bytes 'x' and keeps count of what it was asked in memory
 * that it shares with the test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conform/proxy/proxy.h"

#define CLIENTS_MOST 16

static int n_tests;
static int n_failed;
static atomic_int *asked; /* lines the server has read */
static struct proxy proxy;
static const char *family;
static char proxy_path[128];

static void ok(bool good, const char *what)
{
    n_failed += !good;
    printf("%sok %d - %s: %s\n", good ? "" : "not ", ++n_tests, family, what);
    (void)fflush(stdout);
}

static int64_t now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ------------------------------------------------------------- the server */

struct client {
    char line[32];
    size_t len;
};

static bool answer(int fd, struct client *c)
{
    static char xs[65536];
    ssize_t n = read(fd, c->line + c->len, sizeof c->line - 1 - c->len);
    char *end;

    memset(xs, 'x', sizeof xs);
    if (n <= 0)
        return false;
    c->len += (size_t)n;
    while ((end = memchr(c->line, '\n', c->len)) != NULL) {
        size_t want = strtoul(c->line, NULL, 10);

        atomic_fetch_add(asked, 1);
        while (want > 0) {
            size_t part = want < sizeof xs ? want : sizeof xs;

            if (send(fd, xs, part, MSG_NOSIGNAL) < 0)
                return false;
            want -= part;
        }
        c->len -= (size_t)(end + 1 - c->line);
        memmove(c->line, end + 1, c->len);
    }
    return true;
}

static _Noreturn void serve(int listener)
{
    struct client clients[CLIENTS_MOST] = { { .len = 0 } };
    struct pollfd polls[CLIENTS_MOST + 1];

    for (int i = 0; i <= CLIENTS_MOST; i++)
        polls[i] = (struct pollfd){ .fd = i == 0 ? listener : -1, .events = POLLIN };
    for (;;) {
        (void)poll(polls, CLIENTS_MOST + 1, -1);
        for (int i = 1; i <= CLIENTS_MOST; i++)
            if (polls[i].fd >= 0 && polls[i].revents != 0 &&
                !answer(polls[i].fd, &clients[i - 1])) {
                (void)close(polls[i].fd);
                polls[i].fd = -1;
            }
        for (int i = 1; i <= CLIENTS_MOST && polls[0].revents != 0; i++)
            if (polls[i].fd < 0) {
                polls[i].fd = accept(listener, NULL, NULL);
                clients[i - 1].len = 0;
                break;
            }
    }
}

static pid_t server_start(const char *listen, int *port)
{
    int fd = proxy_listen(listen, port);
    pid_t pid = fd < 0 ? -1 : fork();

    if (pid < 0) {
        printf("Bail out! %s: %s\n", listen, strerror(errno));
        exit(99);
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(fd);
    }
    (void)close(fd);
    return pid;
}

/* -------------------------------------------------------------- the client */

static int dial(void)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)proxy.port) };
    bool tcp = proxy.port != 0;
    struct timeval patience = { .tv_sec = 20 };
    int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc;

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(un.sun_path, proxy_path, sizeof un.sun_path);
    rc = tcp ? connect(fd, (struct sockaddr *)&in, sizeof in)
             : connect(fd, (struct sockaddr *)&un, sizeof un);
    if (rc != 0) {
        (void)close(fd);
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* Ask for N bytes. */
static bool say(int fd, int n)
{
    char line[16];
    int len = snprintf(line, sizeof line, "%d\n", n);

    return send(fd, line, (size_t)len, MSG_NOSIGNAL) == len;
}

/* How many bytes come, at most N; what ended it in *END: 0 none, -1 the end, else errno. */
static int hear(int fd, int n, int *end)
{
    char buf[4096];
    int got = 0;

    *end = 0;
    while (got < n) {
        ssize_t r = read(fd, buf, sizeof buf < (size_t)(n - got) ? sizeof buf : (size_t)(n - got));

        if (r <= 0) {
            *end = r == 0 ? -1 : errno;
            break;
        }
        got += (int)r;
    }
    return got;
}

static bool ask(int fd, int n)
{
    int end;

    return say(fd, n) && hear(fd, n, &end) == n;
}

/* Nothing comes now. */
static bool silent(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 50) == 0;
}

static bool is_cut(int end)
{
    return end == -1 || end == ECONNRESET || end == EPIPE;
}

/* -------------------------------------------------------------- the tests */

static void forwards(void)
{
    int a = dial();
    int b = dial();
    struct proxy_counts n;

    proxy_say(&proxy, "zero");
    ok(ask(a, 5) && ask(b, 7) && ask(a, 300000), "bytes go both ways, large ones too");
    n = proxy_count(&proxy);
    ok(n.requests == 3 && n.up == 2 + 2 + 7 && n.down == 300012 && n.open == 2, "they are counted");
    proxy_say(&proxy, "slice 1");
    ok(ask(a, 100), "byte by byte");
    proxy_say(&proxy, "pass");
    (void)close(a);
    (void)close(b);
    while (proxy_count(&proxy).open > 0)
        ;
    ok(true, "an end is passed on");
}

static void cuts_now(void)
{
    int a = dial();
    int end;

    ok(ask(a, 3), "before a reset");
    proxy_say(&proxy, "reset");
    ok(hear(a, 1, &end) == 0 && (proxy.port == 0 ? is_cut(end) : end == ECONNRESET), "reset");
    (void)close(a);
    a = dial();
    ok(ask(a, 3), "before a close");
    proxy_say(&proxy, "close");
    ok(hear(a, 1, &end) == 0 && end == -1, "close");
    (void)close(a);
    proxy_say(&proxy, "refuse");
    ok(dial() == -1, "refuse");
    proxy_say(&proxy, "accept");
    a = dial();
    ok(ask(a, 3), "accept");
    (void)close(a);
}

static void loses_request(void)
{
    int a = dial();
    int before;
    int end;

    proxy_say(&proxy, "at request 3 reset");
    ok(ask(a, 1) && ask(a, 2), "two requests before the third");
    before = atomic_load(asked);
    ok(say(a, 3) && hear(a, 3, &end) == 0 && is_cut(end), "the third is lost");
    ok(atomic_load(asked) == before, "... and the server never saw it");
    (void)close(a);
    a = dial();
    ok(ask(a, 3), "it happens once");
    (void)close(a);
}

static void loses_reply(void)
{
    int a = dial();
    int before = atomic_load(asked);
    int end;

    proxy_say(&proxy, "at reply 1 close");
    ok(say(a, 3) && hear(a, 3, &end) == 0 && end == -1, "a reply is lost");
    ok(atomic_load(asked) == before + 1, "... though the server was asked");
    (void)close(a);
}

static void lies(void)
{
    int a = dial();
    int before = atomic_load(asked);
    int end;

    ok(ask(a, 4), "a truth before a lie");
    proxy_say(&proxy, "at reply 1 say no\\x21");
    ok(say(a, 3000) && hear(a, 3, &end) == 3 && silent(a), "something else is said");
    ok(atomic_load(asked) == before + 2, "... though the server was asked");
    ok(ask(a, 5), "and the truth again");
    (void)close(a);
}

static void counts_bytes(void)
{
    int a = dial();
    int before;
    int end;

    proxy_say(&proxy, "at down 8 reset");
    ok(ask(a, 5) && say(a, 5) && hear(a, 5, &end) == 2 && is_cut(end), "cut before reply byte 8");
    (void)close(a);
    a = dial();
    proxy_say(&proxy, "at up 4 reset");
    ok(ask(a, 5), "a whole request before the cut");
    before = atomic_load(asked);
    ok(say(a, 5) && hear(a, 5, &end) == 0 && is_cut(end), "cut before request byte 4");
    ok(atomic_load(asked) == before, "... half a request is none");
    (void)close(a);
}

static void swallows(void)
{
    int a = dial();
    int b;

    proxy_say(&proxy, "at request 1 hole");
    ok(say(a, 3) && silent(a) && say(a, 3) && silent(a), "a hole swallows");
    b = dial();
    ok(ask(b, 3), "... one connection only");
    (void)close(a);
    proxy_say(&proxy, "hole");
    a = dial();
    ok(say(a, 3) && silent(a) && say(b, 3) && silent(b), "everything is swallowed");
    (void)close(a);
    (void)close(b);
    proxy_say(&proxy, "pass");
    a = dial();
    proxy_say(&proxy, "at down 3 hole");
    {
        int end;

        ok(say(a, 5) && hear(a, 2, &end) == 2 && silent(a), "half a reply, then nothing");
    }
    (void)close(a);
}

static void holds(void)
{
    int a = dial();
    int b = dial();
    int before = atomic_load(asked);
    int end;

    proxy_say(&proxy, "at request 1 hold");
    ok(say(a, 3) && silent(a) && atomic_load(asked) == before, "a request is held");
    ok(ask(b, 2), "... others go on");
    (void)close(a);
    proxy_say(&proxy, "go");
    while (atomic_load(asked) != before + 2)
        ;
    ok(true, "it arrives, though its client is gone");
    a = dial();
    proxy_say(&proxy, "at reply 1 hold");
    ok(say(a, 3) && silent(a), "a reply is held");
    proxy_say(&proxy, "go");
    ok(hear(a, 3, &end) == 3, "... and arrives late");
    ok(ask(a, 5), "... and the next in time");
    proxy_say(&proxy, "at down 3 hold");
    ok(say(a, 5) && hear(a, 2, &end) == 2 && silent(a), "a part of a reply is held");
    proxy_say(&proxy, "go");
    ok(hear(a, 3, &end) == 3, "... and arrives late");
    (void)close(a);
    before = atomic_load(asked);
    proxy_say(&proxy, "hold");
    a = dial();
    ok(say(a, 3) && silent(a) && say(b, 3) && silent(b) && atomic_load(asked) == before,
       "everything is held");
    proxy_say(&proxy, "go");
    ok(hear(a, 3, &end) == 3 && hear(b, 3, &end) == 3, "... and arrives");
    (void)close(a);
    (void)close(b);
}

static void connects(void)
{
    int64_t began;
    int a;
    int end;

    proxy_say(&proxy, "at connect 2 reset");
    a = dial();
    ok(ask(a, 3), "the first connection");
    (void)close(a);
    a = dial();
    ok(a < 0 || !say(a, 3) || (hear(a, 3, &end) == 0 && is_cut(end)), "the second is reset");
    (void)close(a);
    a = dial();
    proxy_say(&proxy, "delay 40");
    began = now_us();
    ok(ask(a, 3) && now_us() - began >= 80000, "a delay, both ways");
    proxy_say(&proxy, "pass");
    (void)close(a);
}

/* Another server takes over: old connections stay where they are. */
static void moves(const char *server)
{
    char other[160];
    int port = 0;
    pid_t pid;
    int a = dial();
    int b;

    (void)snprintf(other, sizeof other, "%s%s", server, proxy.port == 0 ? "-other" : "");
    pid = server_start(other, &port);
    if (port != 0)
        (void)snprintf(other, sizeof other, "tcp:127.0.0.1:%d", port);
    proxy_say(&proxy, "target %s", other);
    b = dial();
    ok(ask(a, 3) && ask(b, 3), "two servers, one after the other");
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    {
        int end;

        ok(ask(a, 3) && hear(b, 1, &end) == 0 && is_cut(end),
           "... new connections go to the other");
    }
    (void)close(a);
    (void)close(b);
    if (port == 0)
        (void)unlink(other + strlen("unix:"));
}

static void all(const char *which, const char *listen, const char *server)
{
    char target[160];
    int port = 0;
    pid_t pid;

    family = which;
    pid = server_start(server, &port);
    if (port != 0)
        (void)snprintf(target, sizeof target, "tcp:127.0.0.1:%d", port);
    else
        (void)snprintf(target, sizeof target, "%s", server);
    proxy_start(&proxy, listen, target);
    forwards();
    cuts_now();
    loses_request();
    loses_reply();
    lies();
    counts_bytes();
    swallows();
    holds();
    connects();
    moves(server);
    proxy_stop(&proxy);
    (void)kill(pid, SIGKILL);
}

int main(void)
{
    char dir[] = "/tmp/kedge-proxy.XXXXXX";
    char listen[160];
    char server[160];

    asked = mmap(NULL, sizeof *asked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (asked == MAP_FAILED || mkdtemp(dir) == NULL)
        return 99;
    all("tcp", "tcp:127.0.0.1:0", "tcp:127.0.0.1:0");
    (void)snprintf(proxy_path, sizeof proxy_path, "%s/proxy", dir);
    (void)snprintf(listen, sizeof listen, "unix:%s", proxy_path);
    (void)snprintf(server, sizeof server, "unix:%s/server", dir);
    all("unix", listen, server);
    (void)unlink(server + strlen("unix:"));
    (void)rmdir(dir);
    printf("1..%d\n", n_tests);
    return n_failed > 0;
}
