/* conn.c - one connection to a Redis server; see conn.h for the invariants */
#include <config.h>
#include <stdatomic.h>

#include "conn.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "scripts.h"

#include "../kit/mutant.h"

int64_t rd_mono_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ------------------------------------------------------------------- memory */

#define BLOCK_SIZE ((size_t)32 * 1024)

struct rd_block {
    struct rd_block *next;
    size_t used;
    size_t size;
};

void *rd_alloc(struct rd_arena *a, size_t size)
{
    size_t need = size > SIZE_MAX / 2 ? SIZE_MAX : (size + 15u) & ~(size_t)15u;
    struct rd_block *b = a->blocks;

    if (need == SIZE_MAX) {
        a->failed = true;
        return NULL;
    }
    if (b == NULL || b->size - b->used < need) {
        size_t room = need > BLOCK_SIZE ? need : BLOCK_SIZE;

        b = a->host->alloc(a->host->ctx, sizeof *b + room);
        if (b == NULL) {
            a->failed = true;
            return NULL;
        }
        *b = (struct rd_block){ a->blocks, 0, room };
        a->blocks = b;
    }
    b->used += need;
    return (char *)(b + 1) + (b->used - need);
}

void rd_arena_reset(struct rd_arena *a)
{
    struct rd_block *keep = NULL;

    while (a->blocks != NULL) {
        struct rd_block *b = a->blocks;

        a->blocks = b->next;
        if (keep == NULL && b->size == BLOCK_SIZE)
            keep = b;
        else
            a->host->release(a->host->ctx, b);
    }
    if (keep != NULL) {
        keep->next = NULL;
        keep->used = 0;
    }
    a->blocks = keep;
    a->failed = false;
}

void rd_arena_free(struct rd_arena *a)
{
    rd_arena_reset(a);
    if (a->blocks != NULL)
        a->host->release(a->host->ctx, a->blocks);
    a->blocks = NULL;
}

/* ----------------------------------------------------------------- commands */

void rd_cmd_begin(struct rd_cmd *cmd, const char *name)
{
    cmd->script = NULL;
    cmd->full_text = false;
    cmd->n = 0;
    if (cmd->room == 0) {
        cmd->argv = malloc(16 * sizeof *cmd->argv);
        cmd->lens = malloc(16 * sizeof *cmd->lens);
        if (cmd->argv == NULL || cmd->lens == NULL) {
            rd_cmd_free(cmd);
            return;
        }
        cmd->room = 16;
    }
    cmd->argv[0] = name;
    cmd->lens[0] = strlen(name);
    cmd->n = 1;
}

void rd_cmd_script(struct rd_cmd *cmd, const struct rd_script *script)
{
    rd_cmd_begin(cmd, "EVALSHA");
    cmd->script = script;
    if (cmd->n == 1)
        cmd->n = 2; /* the digest */
}

void rd_arg(struct rd_arena *a, struct rd_cmd *cmd, const void *data, size_t len)
{
    if (cmd->n == 0) { /* it had no memory when it began */
        a->failed = true;
        return;
    }
    if (cmd->n == cmd->room) {
        size_t room = cmd->room * 2;
        const char **argv = realloc(cmd->argv, room * sizeof *argv);
        size_t *lens;

        if (argv != NULL)
            cmd->argv = argv;
        lens = realloc(cmd->lens, room * sizeof *lens);
        if (lens != NULL)
            cmd->lens = lens;
        if (argv == NULL || lens == NULL) {
            a->failed = true;
            return;
        }
        cmd->room = room;
    }
    cmd->argv[cmd->n] = len == 0 ? "" : data;
    cmd->lens[cmd->n] = len;
    cmd->n++;
}

void rd_arg_text(struct rd_arena *a, struct rd_cmd *cmd, const char *text)
{
    rd_arg(a, cmd, text, strlen(text));
}

void rd_arg_number(struct rd_arena *a, struct rd_cmd *cmd, uint64_t number)
{
    char *text = rd_alloc(a, 24);

    if (text != NULL)
        rd_arg(a, cmd, text, (size_t)snprintf(text, 24, "%" PRIu64, number));
}

void rd_cmd_free(struct rd_cmd *cmd)
{
    free(cmd->argv);
    free(cmd->lens);
    memset(cmd, 0, sizeof *cmd);
}

/* --------------------------------------------------------------- connecting */

/* Wait for EVENTS on FD until DEADLINE.  false: it has come, errno is ETIMEDOUT. */
static bool wait_for(struct rd_conn *conn, int fd, short events, int64_t deadline)
{
    int rc = kit_await(&conn->await, fd, events, deadline);

    if (rc == 0)
        errno = ETIMEDOUT;
    return rc > 0;
}

static bool connect_fd(struct rd_conn *conn, int fd, const struct sockaddr *addr, socklen_t len,
                       int64_t deadline)
{
    socklen_t size = sizeof(int);
    int why = 0;

    if (connect(fd, addr, len) == 0)
        return true;
    if (errno != EINPROGRESS)
        return false;
    if (!wait_for(conn, fd, POLLOUT, deadline))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &size) != 0)
        return false;
    errno = why;
    return why == 0;
}

/* A dead peer is noticed in a quarter of a minute, also when nothing is sent. */
static void set_tcp(int fd)
{
    static const struct {
        int level;
        int name;
        int value;
    } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },  { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, 5 }, { IPPROTO_TCP, TCP_KEEPINTVL, 3 },
        { IPPROTO_TCP, TCP_KEEPCNT, 3 },  { IPPROTO_TCP, TCP_USER_TIMEOUT, 15000 },
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof options[i].value);
}

static int connect_tcp(struct rd_conn *conn, const struct rd_host *host, int64_t deadline,
                       const char **why)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *list = NULL;
    int fd = -1;
    int rc = getaddrinfo(host->name, host->port, &hints, &list);

    if (rc != 0) {
        *why = rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc);
        errno = rc == EAI_SYSTEM ? errno : EHOSTUNREACH;
        return -1;
    }
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        int e;

        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
        if (fd >= 0 && connect_fd(conn, fd, a->ai_addr, a->ai_addrlen, deadline))
            break;
        e = errno;
        if (fd >= 0)
            (void)close(fd);
        fd = -1;
        errno = e;
    }
    freeaddrinfo(list);
    if (fd >= 0)
        set_tcp(fd);
    else
        *why = strerror(errno);
    return fd;
}

static int connect_socket(struct rd_conn *conn, const char *path, int64_t deadline,
                          const char **why)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int e;

    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    if (fd >= 0 && connect_fd(conn, fd, (const struct sockaddr *)&addr, sizeof addr, deadline))
        return fd;
    e = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = e;
    *why = strerror(e);
    return -1;
}

int rd_conn_connect(struct rd_conn *conn, const struct rd_params *params,
                    const struct rd_host *host, int64_t deadline, struct kedge_error *err)
{
    const char *why = "";
    int fd;

    memset(conn, 0, sizeof *conn);
    if (host != NULL)
        conn->at = *host;
    fd = host != NULL ? connect_tcp(conn, host, deadline, &why)
                      : connect_socket(conn, params->socket, deadline, &why);
    if (fd < 0)
        kit_await_fini(&conn->await);
    if (fd < 0 && host != NULL)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, errno, "cannot reach Redis at %s:%s: %s",
                               host->name, host->port, why);
    if (fd < 0)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, errno, "cannot reach Redis at %s: %s",
                               params->socket, why);
    conn->ctx = redisConnectFd(fd);
    if (conn->ctx == NULL) {
        (void)close(fd);
        kit_await_fini(&conn->await);
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    }
    conn->ctx->flags &= ~REDIS_BLOCK; /* it is we who wait */
    conn->used = rd_mono_us();
    return KEDGE_OK;
}

void rd_conn_close(struct rd_conn *conn)
{
    if (conn->ctx != NULL)
        redisFree(conn->ctx);
    kit_await_fini(&conn->await);
    conn->ctx = NULL;
    conn->id = 0;
}

bool rd_conn_broken(const struct rd_conn *conn)
{
    char c;
    ssize_t n = recv(conn->ctx->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

    /* Bytes that nobody asked for are no better than an end. */
    return n >= 0 || (errno != EAGAIN && errno != EINTR);
}

/* ----------------------------------------------------------------- exchange */

static int broken(struct rd_conn *conn, const char *doing, int e, struct kedge_error *err)
{
    char text[128];

    if (e == ETIMEDOUT)
        (void)snprintf(text, sizeof text, "no answer in time");
    else if (conn->ctx->err == REDIS_ERR_OOM)
        (void)snprintf(text, sizeof text, "out of memory");
    else if (conn->ctx->err != 0 && conn->ctx->err != REDIS_ERR_IO)
        (void)snprintf(text, sizeof text, "%s", conn->ctx->errstr);
    else
        (void)snprintf(text, sizeof text, "%s", strerror(e));
    kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, e,
                    "the connection to Redis %s%s%s failed while %s: %s",
                    conn->at.name[0] != '\0' ? "at " : "by its socket", conn->at.name, "", doing,
                    text);
    if (KIT_MUTANT("r08", e != ETIMEDOUT, true))
        rd_conn_close(conn);
    return KEDGE_ERR_UNAVAILABLE;
}

#ifdef KEDGE_MUTANTS
/* As if the server had lost its scripts now and then. */
static const char *digest_of(const struct rd_script *script)
{
    static _Atomic unsigned asked;

    return atomic_fetch_add(&asked, 1) % 50 == 49 ? "0123456789012345678901234567890123456789"
                                                  : script->digest;
}
#endif

static char *put_count(char *p, char kind, size_t count)
{
    char digits[20];
    size_t n = 0;

    do
        digits[n++] = (char)('0' + count % 10);
    while ((count /= 10) != 0);
    *p++ = kind;
    while (n > 0)
        *p++ = digits[--n];
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

/* CMD as it is sent, to be freed.  redisFormatCommandArgv() does the same by sprintf(), which is
   half of what a batch of appends costs this process. */
static bool format(const struct rd_cmd *cmd, struct iovec *out)
{
    size_t room = 32;
    char *p;

    if (cmd->script != NULL) {
        bool whole = cmd->full_text || cmd->script->digest[0] == '\0';

        cmd->argv[0] = whole ? "EVAL" : "EVALSHA";
        cmd->lens[0] = strlen(cmd->argv[0]);
        cmd->argv[1] = whole ? cmd->script->text
                             : KIT_MUTANT("r07", digest_of(cmd->script), cmd->script->digest);
        cmd->lens[1] = strlen(cmd->argv[1]);
    }
    for (size_t i = 0; i < cmd->n; i++)
        room += cmd->lens[i] + 32;
    out->iov_base = p = malloc(room);
    if (p == NULL)
        return false;
    p = put_count(p, '*', cmd->n);
    for (size_t i = 0; i < cmd->n; i++) {
        p = put_count(p, '$', cmd->lens[i]);
        if (cmd->lens[i] != 0)
            memcpy(p, cmd->argv[i], cmd->lens[i]);
        p += cmd->lens[i];
        *p++ = '\r';
        *p++ = '\n';
    }
    out->iov_len = (size_t)(p - (char *)out->iov_base);
    return true;
}

/* SENT bytes have gone out of what *M still holds. */
static void advance(struct msghdr *m, size_t sent)
{
    while (m->msg_iovlen > 0 && sent >= m->msg_iov->iov_len) {
        sent -= m->msg_iov->iov_len;
        m->msg_iov++;
        m->msg_iovlen--;
    }
    if (m->msg_iovlen > 0) {
        m->msg_iov->iov_base = (char *)m->msg_iov->iov_base + sent;
        m->msg_iov->iov_len -= sent;
    }
}

/* I4: without SIGPIPE.  *some: a part may have left, though not all. */
static int send_all(struct rd_conn *conn, const struct iovec *parts, size_t n, int64_t deadline,
                    bool *some, struct kedge_error *err)
{
    struct iovec left[RD_PIPELINE_MAX];
    struct msghdr m = { .msg_iov = left, .msg_iovlen = n };

    memcpy(left, parts, n * sizeof *left);
    *some = false;
    while (m.msg_iovlen > 0) {
        ssize_t sent = sendmsg(conn->ctx->fd, &m, KIT_MUTANT("r09", 0, MSG_NOSIGNAL));

        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return broken(conn, "sending", errno, err);
        if (sent > 0) {
            advance(&m, (size_t)sent);
            *some = true;
        }
        if (sent < 0 && errno == EAGAIN && !wait_for(conn, conn->ctx->fd, POLLOUT, deadline))
            return broken(conn, "sending", errno, err);
    }
    return KEDGE_OK;
}

static int receive(struct rd_conn *conn, redisReply **reply, int64_t deadline,
                   struct kedge_error *err)
{
    int pieces = 0;

    for (;;) {
        void *got = NULL;

        if (redisGetReplyFromReader(conn->ctx, &got) != REDIS_OK)
            return broken(conn, "reading an answer", errno, err);
        if (got != NULL) {
            *reply = got;
            return KEDGE_OK;
        }
        if (!wait_for(conn, conn->ctx->fd, POLLIN, deadline))
            return broken(conn, "waiting for an answer", errno, err);
        if (KIT_MUTANT("r12", true, false) && pieces++ > 0)
            return broken(conn, "reading an answer", EPROTO, err);
        errno = ECONNRESET;
        if (redisBufferRead(conn->ctx) != REDIS_OK)
            return broken(conn, "reading an answer", errno, err);
    }
}

int rd_conn_exchange(struct rd_conn *conn, const struct rd_cmd *const *cmds, size_t n,
                     redisReply **replies, int64_t deadline, enum rd_left *left,
                     struct kedge_error *err)
{
    struct iovec parts[RD_PIPELINE_MAX] = { { NULL, 0 } };
    bool some = false;
    int rc = KEDGE_OK;

    *left = RD_NOTHING_SENT;
    for (size_t i = 0; i < n; i++) {
        replies[i] = NULL;
        if (rc == KEDGE_OK && !format(cmds[i], &parts[i]))
            rc = kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    }
    if (rc == KEDGE_OK)
        rc = send_all(conn, parts, n, deadline, &some, err);
    for (size_t i = 0; i < n; i++)
        free(parts[i].iov_base);
    /* The last command is not whole there.  One before it may be. */
    if (rc == KEDGE_OK || (some && n > 1))
        *left = RD_IN_DOUBT;
    if (rc != KEDGE_OK)
        return rc;
    for (size_t i = 0; i < n && rc == KEDGE_OK; i++)
        rc = receive(conn, &replies[i], deadline, err);
    conn->used = rd_mono_us();
    if (rc == KEDGE_OK)
        return KEDGE_OK;
    for (size_t i = 0; i < n; i++) {
        if (replies[i] != NULL)
            freeReplyObject(replies[i]);
        replies[i] = NULL;
    }
    return rc;
}

int rd_conn_hear(struct rd_conn *conn, int64_t deadline)
{
    int heard = 0;

    for (;;) {
        void *got = NULL;

        if (redisGetReplyFromReader(conn->ctx, &got) != REDIS_OK) {
            rd_conn_close(conn);
            return -1;
        }
        if (got != NULL) {
            freeReplyObject(got);
            heard = 1;
            continue; /* all there is: one look at the ticket answers them all */
        }
        if (heard != 0 || !wait_for(conn, conn->ctx->fd, POLLIN, deadline))
            return heard;
        if (redisBufferRead(conn->ctx) != REDIS_OK) {
            rd_conn_close(conn);
            return -1;
        }
    }
}

/* ------------------------------------------------------------------ refusals */

bool rd_reply_is(const redisReply *reply, const char *word)
{
    size_t len = strlen(word);

    return reply != NULL && reply->type == REDIS_REPLY_ERROR && reply->len >= len &&
           memcmp(reply->str, word, len) == 0 && (reply->len == len || reply->str[len] == ' ');
}

int rd_reply_fail(const struct rd_params *params, const redisReply *reply, struct kedge_error *err)
{
    static const struct {
        const char *word;
        int status;
        const char *text;
    } known[] = {
        { "LOADING", KEDGE_ERR_UNAVAILABLE, "it is still loading its data; try again soon" },
        { "READONLY", KEDGE_ERR_UNAVAILABLE,
          "it is a replica that takes no writes; name the primary in the URL, or several hosts" },
        { "MASTERDOWN", KEDGE_ERR_UNAVAILABLE, "it is a replica that has lost its primary" },
        { "CLUSTERDOWN", KEDGE_ERR_UNAVAILABLE, "the cluster does not serve this slot now" },
        { "TRYAGAIN", KEDGE_ERR_UNAVAILABLE, "the cluster is moving this slot; try again" },
        { "NOREPLICAS", KEDGE_ERR_UNAVAILABLE, "it has fewer replicas than it wants for a write" },
        { "BUSY", KEDGE_ERR_UNAVAILABLE, "somebody's script keeps it busy; try again" },
        { "MISCONF", KEDGE_ERR_UNAVAILABLE,
          "it takes no writes because it could not save its data; see its log" },
        { "OOM", KEDGE_ERR_FULL,
          "its memory is used up (maxmemory); give it more, or purge what has expired" },
        { "NOAUTH", KEDGE_ERR_PERMISSION, "it wants a password: redis://user:password@host" },
        { "WRONGPASS", KEDGE_ERR_PERMISSION, "it does not accept this user and password" },
        { "NOPERM", KEDGE_ERR_PERMISSION, "this user may not run a command that kedge needs" },
        { "WRONGTYPE", KEDGE_ERR_CORRUPT,
          "a key of this namespace holds something that kedge did not put there" },
    };

    if (reply == NULL || reply->type != REDIS_REPLY_ERROR)
        return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                               "Redis (%s) gave an answer of a kind that was not asked for",
                               params->place);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (rd_reply_is(reply, known[i].word))
            return kedge_error_set(err, known[i].status, 0, "Redis (%s): %s", params->place,
                                   known[i].text);
    return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0, "Redis (%s) refused: %.*s", params->place,
                           (int)(reply->len > 160 ? 160 : reply->len), reply->str);
}
