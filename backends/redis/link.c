/*
 * link.c - a connection that is had again when it broke, and calls over it
 *
 * Whoever connects introduces himself: password, database, the name by which others see that the
 * namespace is in use.  Then it is looked at who answers: a primary, and with the namespace that
 * was opened.
 */
#include <config.h>

#include "session.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../kit/mutant.h"

#define BACKOFF_FIRST_US INT64_C(10000)
#define BACKOFF_MOST_US  INT64_C(1000000)
#define REDIRECTS_MOST   8u
#define TRY_AGAIN_US     INT64_C(20000)

int64_t rd_deadline(int64_t timeout_us)
{
    int64_t now = rd_mono_us();

    return timeout_us > INT64_MAX - now ? INT64_MAX : now + timeout_us;
}

int rd_fork_check(const struct rd_store *store, struct kedge_error *err)
{
    if (KIT_MUTANT("r06", true, store->pid == getpid()))
        return KEDGE_OK;
    return kedge_error_set(
        err, KEDGE_ERR_INVALID, 0,
        "the store was opened by process %d and does not survive fork(): open it "
        "in this process",
        (int)store->pid);
}

static void wait_us(int64_t us)
{
    struct timespec ts = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

    if (us > 0)
        (void)nanosleep(&ts, NULL);
}

void rd_replies_free(redisReply **replies, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (replies[i] != NULL)
            freeReplyObject(replies[i]);
        replies[i] = NULL;
    }
}

/* ------------------------------------------------------------- introduction */

enum hello {
    HELLO_AUTH,
    HELLO_SELECT,
    HELLO_NAME,
    HELLO_ID,
    HELLO_SERVER,
    HELLO_ROLE,
    HELLO_META,
    HELLO_PARTS
};

/* The value of NAME: in a text of lines, up to the end of the line. */
bool rd_info_field(const redisReply *reply, const char *name, char *out, size_t size)
{
    const char *p;
    size_t len;

    if (reply == NULL || reply->type != REDIS_REPLY_STRING)
        return false;
    p = reply->str;
    while ((p = strstr(p, name)) != NULL) {
        if ((p == reply->str || p[-1] == '\n') && p[strlen(name)] == ':')
            break;
        p++;
    }
    if (p == NULL)
        return false;
    p += strlen(name) + 1;
    len = strcspn(p, "\r\n");
    if (len >= size)
        len = size - 1;
    memcpy(out, p, len);
    out[len] = '\0';
    return true;
}

void rd_cmd_auth(struct rd_arena *a, struct rd_cmd *cmd, const struct rd_params *p)
{
    rd_cmd_begin(cmd, p->password != NULL ? "AUTH" : "PING");
    if (p->password != NULL && p->user != NULL)
        rd_arg_text(a, cmd, p->user);
    if (p->password != NULL)
        rd_arg_text(a, cmd, p->password);
}

static void build_hello(struct rd_arena *a, struct rd_store *store, struct rd_cmd *cmds)
{
    const struct rd_params *p = &store->params;
    char *name = rd_alloc(a, strlen(p->tag) + 8);
    struct kedge_bytes meta = rd_key(a, p->prefix, 'm', (struct kedge_bytes){ NULL, 0 });

    for (size_t i = 0; i < HELLO_PARTS; i++) { /* what is not needed asks for the record too */
        rd_cmd_begin(&cmds[i], "GET");
        rd_arg_bytes(a, &cmds[i], meta);
    }
    if (p->password != NULL)
        rd_cmd_auth(a, &cmds[HELLO_AUTH], p);
    if (p->db != 0) {
        rd_cmd_begin(&cmds[HELLO_SELECT], "SELECT");
        rd_arg_number(a, &cmds[HELLO_SELECT], p->db);
    }
    rd_cmd_begin(&cmds[HELLO_NAME], "CLIENT");
    rd_arg_text(a, &cmds[HELLO_NAME], "SETNAME");
    if (name != NULL) {
        (void)sprintf(name, "kedge:%s", p->tag);
        rd_arg_text(a, &cmds[HELLO_NAME], name);
    }
    rd_cmd_begin(&cmds[HELLO_ID], "CLIENT");
    rd_arg_text(a, &cmds[HELLO_ID], "ID");
    rd_cmd_begin(&cmds[HELLO_SERVER], "INFO");
    rd_arg_text(a, &cmds[HELLO_SERVER], "server");
    rd_cmd_begin(&cmds[HELLO_ROLE], "INFO");
    rd_arg_text(a, &cmds[HELLO_ROLE], "replication");
}

/* "MOVED 3999 127.0.0.1:6381"; an empty host is that of the one who said it. */
static bool read_redirect(const redisReply *reply, const struct rd_host *from, struct rd_host *out)
{
    const char *at = reply->str;
    const char *colon;
    size_t len;

    for (int spaces = 0; spaces < 2; spaces++) {
        at = strchr(at, ' ');
        if (at == NULL)
            return false;
        at++;
    }
    colon = strrchr(at, ':');
    if (colon == NULL || strlen(colon + 1) >= sizeof out->port)
        return false;
    len = (size_t)(colon - at);
    if (len >= sizeof out->name)
        return false;
    *out = *from;
    if (len != 0) {
        memcpy(out->name, at, len);
        out->name[len] = '\0';
    }
    (void)snprintf(out->port, sizeof out->port, "%s", colon + 1);
    return true;
}

static int check_version(const struct rd_params *p, const redisReply *server,
                         struct kedge_error *err)
{
    char text[32];
    char *dot;
    unsigned long major;

    if (!rd_info_field(server, "redis_version", text, sizeof text))
        return KEDGE_OK;
    major = strtoul(text, &dot, 10);
    if (dot == text || dot[0] != '.' || major > 6 ||
        (major == 6 && strtoul(dot + 1, NULL, 10) >= 2))
        return KEDGE_OK;
    return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                           "Redis (%s) is of version %s; kedge needs 6.2 or newer", p->place, text);
}

static int check_meta(const struct rd_store *store, const redisReply *meta, struct kedge_error *err)
{
    if (rd_reply_is(meta, "ASK") || rd_reply_is(meta, "TRYAGAIN"))
        return KEDGE_OK; /* the slot is on its way elsewhere, and the record has gone ahead */
    if (meta->type == REDIS_REPLY_ERROR)
        return rd_reply_fail(&store->params, meta, err);
    if (store->meta[0] == '\0')
        return KEDGE_OK; /* it is being opened */
    if (meta->type == REDIS_REPLY_STRING && meta->len == strlen(store->meta) &&
        memcmp(meta->str, store->meta, meta->len) == 0)
        return KEDGE_OK;
    return kedge_error_set(
        err, KEDGE_ERR_UNAVAILABLE, 0,
        "Redis (%s) does not have the namespace that was opened any more: it was "
        "dropped, or the server has lost its data; open it anew",
        store->params.place);
}

static int check_hello(struct rd_link *link, redisReply **r, struct kedge_error *err)
{
    struct rd_store *store = link->store;
    char text[64];
    int rc;

    if (store->params.password != NULL && r[HELLO_AUTH]->type == REDIS_REPLY_ERROR)
        return rd_reply_fail(&store->params, r[HELLO_AUTH], err);
    if (store->params.db != 0 && r[HELLO_SELECT]->type == REDIS_REPLY_ERROR)
        return rd_reply_fail(&store->params, r[HELLO_SELECT], err);
    rc = check_version(&store->params, r[HELLO_SERVER], err);
    if (rc == KEDGE_OK)
        rc = check_meta(store, r[HELLO_META], err);
    if (rc != KEDGE_OK)
        return rc;
    if (rd_info_field(r[HELLO_ROLE], "role", text, sizeof text) && strcmp(text, "slave") == 0)
        return kedge_error_set(
            err, KEDGE_ERR_UNAVAILABLE, 0,
            "Redis at %s%s%s is a replica that takes no writes; name the primary "
            "in the URL, or all of them with ',' between",
            link->conn.at.name, link->conn.at.name[0] != '\0' ? ":" : "", link->conn.at.port);
    if (r[HELLO_ID]->type == REDIS_REPLY_INTEGER)
        link->conn.id = (uint64_t)r[HELLO_ID]->integer;
    if (rd_info_field(r[HELLO_SERVER], "run_id", text, sizeof text))
        link->conn.incarnation = kit_hash64((struct kedge_bytes){ text, strlen(text) }) >> 1 | 1u;
    link->conn.cluster = rd_info_field(r[HELLO_SERVER], "redis_mode", text, sizeof text) &&
                         strcmp(text, "cluster") == 0;
    return KEDGE_OK;
}

static int ask_record(struct rd_link *link, struct rd_cmd *cmd, redisReply **reply,
                      const struct rd_host *host, int64_t deadline, struct kedge_error *err);

/* OK; KEDGE_NOT_FOUND: *moved says where else; or a failure. */
static int introduce(struct rd_link *link, struct rd_host *moved, int64_t deadline,
                     struct kedge_error *err)
{
    struct rd_arena arena = { .host = link->store->host };
    struct rd_cmd cmds[HELLO_PARTS];
    const struct rd_cmd *list[HELLO_PARTS];
    redisReply *replies[HELLO_PARTS] = { NULL };
    enum rd_left left;
    int rc;

    memset(cmds, 0, sizeof cmds);
    build_hello(&arena, link->store, cmds);
    for (size_t i = 0; i < HELLO_PARTS; i++)
        list[i] = &cmds[i];
    rc = arena.failed
             ? rd_no_memory(err)
             : rd_conn_exchange(&link->conn, list, HELLO_PARTS, replies, deadline, &left, err);
    if (rc == KEDGE_OK && rd_reply_is(replies[HELLO_META], "MOVED") &&
        read_redirect(replies[HELLO_META], &link->conn.at, moved))
        rc = KEDGE_NOT_FOUND;
    else if (rc == KEDGE_OK && rd_reply_is(replies[HELLO_META], "ASK") &&
             read_redirect(replies[HELLO_META], &link->conn.at, moved))
        rc = ask_record(link, &cmds[HELLO_META], &replies[HELLO_META], moved, deadline, err);
    if (rc == KEDGE_OK)
        rc = check_hello(link, replies, err);
    rd_replies_free(replies, HELLO_PARTS);
    for (size_t i = 0; i < HELLO_PARTS; i++)
        rd_cmd_free(&cmds[i]);
    rd_arena_free(&arena);
    if (rc != KEDGE_OK)
        rd_conn_close(&link->conn);
    return rc;
}

/* --------------------------------------------------------------- connecting */

/* To HOST (NULL: the socket), and on to where it sends us. */
static int connect_to(struct rd_link *link, const struct rd_host *host, int64_t deadline,
                      struct kedge_error *err)
{
    struct rd_store *store = link->store;
    struct rd_host next;

    for (unsigned i = 0; i < REDIRECTS_MOST; i++) {
        struct rd_host moved;
        int rc = rd_conn_connect(&link->conn, &store->params, host, deadline, err);

        if (rc == KEDGE_OK)
            rc = introduce(link, &moved, deadline, err);
        if (rc != KEDGE_NOT_FOUND)
            return rc;
        next = moved;
        host = &next;
    }
    return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                           "the nodes of the Redis cluster at %s send one another the namespace's "
                           "slot; try again",
                           store->params.place);
}

static void remember(struct rd_store *store, const struct rd_host *host)
{
    (void)pthread_mutex_lock(&store->lock);
    store->at_known = host != NULL;
    if (host != NULL)
        store->at = *host;
    (void)pthread_mutex_unlock(&store->lock);
}

static bool remembered(struct rd_store *store, struct rd_host *out)
{
    bool known;

    (void)pthread_mutex_lock(&store->lock);
    known = store->at_known;
    *out = store->at;
    (void)pthread_mutex_unlock(&store->lock);
    return known;
}

bool rd_store_at(struct rd_store *store, struct rd_host *out)
{
    if (store->params.n_hosts == 0)
        return false;
    if (!remembered(store, out))
        *out = store->params.hosts[0];
    return true;
}

/* Where it was last, then every host of the URL; each gets its share of the time. */
static int connect_any(struct rd_link *link, int64_t deadline, struct kedge_error *err)
{
    struct rd_store *store = link->store;
    const struct rd_params *p = &store->params;
    struct rd_host last;
    size_t left = p->n_hosts + 1;
    int rc = KEDGE_ERR_UNAVAILABLE;

    if (p->n_hosts == 0)
        return connect_to(link, NULL, deadline, err);
    if (remembered(store, &last)) {
        rc = connect_to(link, &last, rd_mono_us() + (deadline - rd_mono_us()) / (int64_t)left, err);
        if (rc != KEDGE_OK)
            remember(store, NULL);
    }
    for (size_t i = 0; i < p->n_hosts && rc == KEDGE_ERR_UNAVAILABLE; i++) {
        left = p->n_hosts - i;
        rc = connect_to(link, &p->hosts[i],
                        rd_mono_us() + (deadline - rd_mono_us()) / (int64_t)left, err);
    }
    if (rc == KEDGE_OK)
        remember(store, &link->conn.at);
    return rc;
}

static void back_off(struct rd_link *link)
{
    int64_t us = BACKOFF_FIRST_US << (link->failures < 7 ? link->failures : 7);
    int64_t now = rd_mono_us();

    if (us > BACKOFF_MOST_US)
        us = BACKOFF_MOST_US;
    link->failures++;
    /* Not all at the same moment: the low digits of the clock are chance enough. */
    link->retry_at =
        now + us / 2 + (int64_t)(((uint64_t)now * UINT64_C(2654435761) >> 16) % (uint64_t)(us / 2));
}

int rd_link_ready(struct rd_link *link, int64_t deadline, struct kedge_error *err)
{
    int64_t now = rd_mono_us();
    int rc;

    if (link->conn.ctx != NULL && now - link->conn.used > 1000 && rd_conn_broken(&link->conn))
        rd_conn_close(&link->conn);
    if (link->conn.ctx != NULL)
        return KEDGE_OK;
    if (link->failures != 0 && now < link->retry_at)
        wait_us((link->retry_at < deadline ? link->retry_at : deadline) - now);
    if (rd_mono_us() >= deadline)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, ETIMEDOUT,
                               "Redis (%s) could not be reached in time",
                               link->store->params.place);
    rc = connect_any(link, deadline, err);
    if (rc == KEDGE_OK)
        link->failures = 0;
    else
        back_off(link);
    return rc;
}

void rd_link_close(struct rd_link *link)
{
    rd_conn_close(&link->conn);
}

/* ------------------------------------------------------------------- calling */

struct call {
    struct rd_link *link;
    struct rd_cmd *const *cmds;
    size_t n;
    redisReply **replies;
    enum rd_kind kind;
    int64_t deadline;
    bool again;     /* a connection broke once already */
    unsigned tries; /* redirections and the like */
    struct rd_cmd wait;
    long long waited; /* replicas that have it; -1: not asked */
};

/* Commands without an answer yet, as many as fit in ROOM (which is n + 1). */
static size_t pending(const struct call *c, const struct rd_cmd **list)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++)
        if (c->replies[i] == NULL)
            list[n++] = c->cmds[i];
    return n;
}

/* WAIT goes along with what is to be waited for. */
static bool add_wait(struct call *c, struct rd_arena *a)
{
    int64_t left = (c->deadline - rd_mono_us()) / 1000 * 3 / 4;

    c->waited = -1;
    if (c->kind == RD_READS || c->link->store->params.wait == 0)
        return false;
    rd_cmd_begin(&c->wait, "WAIT");
    rd_arg_number(a, &c->wait, c->link->store->params.wait);
    rd_arg_number(a, &c->wait, left > 1 ? (uint64_t)left : 1);
    return true;
}

static int send_pending(struct call *c, enum rd_left *left, struct kedge_error *err)
{
    struct rd_arena arena = { .host = c->link->store->host };
    const struct rd_cmd *list[RD_PIPELINE_MAX];
    redisReply *got[RD_PIPELINE_MAX];
    size_t n = pending(c, list);
    size_t all = n;
    size_t k = 0;
    int rc;

    if (add_wait(c, &arena))
        list[all++] = &c->wait;
    *left = RD_NOTHING_SENT;
    rc = arena.failed ? rd_no_memory(err)
                      : rd_conn_exchange(&c->link->conn, list, all, got, c->deadline, left, err);
    rd_arena_free(&arena);
    if (rc != KEDGE_OK)
        return rc;
    if (all != n) {
        c->waited = got[n]->type == REDIS_REPLY_INTEGER ? got[n]->integer : 0;
        freeReplyObject(got[n]);
    }
    for (size_t i = 0; i < c->n; i++)
        if (c->replies[i] == NULL)
            c->replies[i] = got[k++];
    return KEDGE_OK;
}

/* The connection broke.  OK: try once more. */
static int after_break(struct call *c, int rc, enum rd_left left, struct kedge_error *err)
{
    struct kedge_error why = *err;

    if (rc != KEDGE_ERR_UNAVAILABLE)
        return rc;
    if (c->kind == RD_WRITES && left == RD_IN_DOUBT)
        return kedge_error_set(err, KEDGE_ERR_UNKNOWN, why.sys_errno,
                               "%.300s; it may have been carried out: send the same request again",
                               why.msg);
    if (c->again || rd_mono_us() >= c->deadline)
        return rc;
    c->again = true;
    return KEDGE_OK;
}

/* A slot on its way to another node: this one command is answered there. */
static int ask_there(struct call *c, size_t i, const struct rd_host *host, struct kedge_error *err)
{
    struct rd_arena arena = { .host = c->link->store->host };
    const struct rd_params *p = &c->link->store->params;
    struct rd_conn conn;
    struct rd_cmd auth = { 0 };
    struct rd_cmd asking = { 0 };
    const struct rd_cmd *list[3];
    redisReply *got[3] = { NULL };
    enum rd_left left = RD_NOTHING_SENT;
    int rc = rd_conn_connect(&conn, p, host, c->deadline, err);

    if (rc != KEDGE_OK)
        return rc;
    rd_cmd_auth(&arena, &auth, p); /* what is answered to it shows in what follows */
    rd_cmd_begin(&asking, "ASKING");
    list[0] = &auth;
    list[1] = &asking;
    list[2] = c->cmds[i];
    rc = arena.failed ? rd_no_memory(err)
                      : rd_conn_exchange(&conn, list, 3, got, c->deadline, &left, err);
    if (rc == KEDGE_OK) {
        c->replies[i] = got[2];
        got[2] = NULL;
    } else if (rc == KEDGE_ERR_UNAVAILABLE && left == RD_IN_DOUBT && c->kind == RD_WRITES) {
        rc = kedge_error_set(
            err, KEDGE_ERR_UNKNOWN, 0,
            "the Redis node that takes over a slot did not answer; it may have been "
            "carried out: send the same request again");
    }
    rd_replies_free(got, 3);
    rd_conn_close(&conn);
    rd_cmd_free(&auth);
    rd_cmd_free(&asking);
    rd_arena_free(&arena);
    return rc;
}

/* The schema record is at HOST already, and we stay where its slot still is. */
static int ask_record(struct rd_link *link, struct rd_cmd *cmd, redisReply **reply,
                      const struct rd_host *host, int64_t deadline, struct kedge_error *err)
{
    struct call c = {
        .link = link, .cmds = &cmd, .n = 1, .replies = reply, .kind = RD_READS, .deadline = deadline
    };

    rd_replies_free(reply, 1);
    return ask_there(&c, 0, host, err);
}

static void take_back(struct call *c, size_t i)
{
    freeReplyObject(c->replies[i]);
    c->replies[i] = NULL;
}

/* The node does not know the script, or not have all keys while a slot is on its way: the command
   comes again, in full or in a little. */
static bool is_put_off(struct call *c, size_t i)
{
    const redisReply *r = c->replies[i];

    if (KIT_MUTANT("r07", false, rd_reply_is(r, "NOSCRIPT"))) {
        c->cmds[i]->full_text = true;
    } else if (rd_reply_is(r, "TRYAGAIN") && rd_mono_us() + TRY_AGAIN_US < c->deadline) {
        if (c->tries > 0)
            c->tries--; /* until the deadline */
        wait_us(TRY_AGAIN_US);
    } else {
        return false;
    }
    take_back(c, i);
    return true;
}

/* Answers that are none: what they ask for is done, and the command comes again. */
static int repeat_one(struct call *c, size_t i, struct kedge_error *err)
{
    redisReply *r = c->replies[i];
    struct rd_host host;

    if (r->type != REDIS_REPLY_ERROR || is_put_off(c, i))
        return KEDGE_OK;
    if (rd_reply_is(r, "MOVED") && read_redirect(r, &c->link->conn.at, &host)) {
        remember(c->link->store, &host);
        rd_conn_close(&c->link->conn);
        take_back(c, i);
    } else if (rd_reply_is(r, "READONLY")) {
        remember(c->link->store, NULL);
        rd_conn_close(&c->link->conn);
        take_back(c, i);
    } else if (rd_reply_is(r, "ASK") && read_redirect(r, &c->link->conn.at, &host)) {
        int rc;

        take_back(c, i);
        rc = ask_there(c, i, &host, err);
        if (rc != KEDGE_OK)
            return rc;
        (void)is_put_off(c, i);
    }
    return KEDGE_OK;
}

static bool all_answered(const struct call *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->replies[i] == NULL)
            return false;
    return true;
}

static int call_turn(struct call *c, struct kedge_error *err)
{
    enum rd_left left;
    int rc = rd_link_ready(c->link, c->deadline, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = send_pending(c, &left, err);
    if (rc != KEDGE_OK)
        return after_break(c, rc, left, err);
    for (size_t i = 0; i < c->n && rc == KEDGE_OK; i++)
        rc = repeat_one(c, i, err);
    return rc;
}

static int call_end(const struct call *c, struct kedge_error *err)
{
    unsigned wanted = c->link->store->params.wait;

    for (size_t i = 0; i < c->n; i++)
        if (c->replies[i]->type == REDIS_REPLY_ERROR)
            return KEDGE_OK; /* the caller sees it */
    if (c->waited < 0 || c->waited >= (long long)wanted)
        return KEDGE_OK;
    return kedge_error_set(err, KEDGE_ERR_UNKNOWN, 0,
                           "Redis has carried it out, but %lld of %u replicas have confirmed it in "
                           "time: send the same request again",
                           c->waited, wanted);
}

int rd_call(struct rd_link *link, struct rd_cmd *const *cmds, size_t n, redisReply **replies,
            enum rd_kind kind, int64_t deadline, struct kedge_error *err)
{
    struct kedge_error local;
    struct call c = { .link = link,
                      .cmds = cmds,
                      .n = n,
                      .replies = replies,
                      .kind = kind,
                      .deadline = deadline,
                      .waited = -1 };
    int rc = KEDGE_OK;

    if (err == NULL)
        err = &local;
    for (size_t i = 0; i < n; i++)
        replies[i] = NULL;
    while (rc == KEDGE_OK && !all_answered(&c)) {
        if (c.tries++ >= REDIRECTS_MOST)
            rc = kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0,
                                 "Redis (%s) sends this from one node to another; try again",
                                 link->store->params.place);
        else
            rc = call_turn(&c, err);
    }
    if (rc == KEDGE_OK)
        rc = call_end(&c, err);
    rd_cmd_free(&c.wait);
    if (rc != KEDGE_OK)
        rd_replies_free(replies, n);
    return rc;
}

int rd_call_one(struct rd_link *link, struct rd_cmd *cmd, redisReply **reply, int type, size_t min,
                enum rd_kind kind, int64_t deadline, struct kedge_error *err)
{
    int rc = rd_call(link, &cmd, 1, reply, kind, deadline, err);

    if (rc != KEDGE_OK)
        return rc;
    if ((*reply)->type == type && (type != REDIS_REPLY_ARRAY || (*reply)->elements >= min))
        return KEDGE_OK;
    rc = rd_reply_fail(&link->store->params, *reply, err);
    rd_replies_free(reply, 1);
    return rc;
}

/* --------------------------------------------------------------------- time */

bool rd_reply_time(const redisReply *reply, int64_t *now)
{
    char *end;

    if (reply->type != REDIS_REPLY_STRING || reply->len == 0)
        return false;
    *now = strtoll(reply->str, &end, 10);
    return *end == '\0';
}

void rd_saw_time(struct rd_session *s, int64_t now)
{
    kit_moment_told(&s->store->moment, now, s->entered, rd_mono_us());
}

int rd_enter(struct rd_session *s, int64_t timeout_us, struct kedge_error *err)
{
    int rc = kit_check_timeout(timeout_us, err);

    if (rc == KEDGE_OK)
        rc = rd_fork_check(s->store, err);
    s->entered = rd_mono_us();
    if (rc == KEDGE_OK)
        rd_arena_reset(&s->arena);
    return rc;
}

int rd_say(struct rd_session *s, int rc, const char *what, struct kedge_error *err)
{
    if (rc >= 0)
        return rc;
    if (rc == KEDGE_ERR_NOMEM)
        return rd_no_memory(err);
    if (rc == KEDGE_ERR_CORRUPT)
        return kedge_error_set(
            err, rc, 0,
            "Redis (%s): %s cannot be understood: its bytes are kept; look at it "
            "with a newer kedge, or restore it from a copy",
            s->store->params.place, what);
    return kedge_error_set(err, rc, 0, "Redis (%s): %s cannot be read", s->store->params.place,
                           what);
}

/* ------------------------------------------------------------------ scripts */

void rd_list_add(struct rd_arena *a, struct rd_list *list, struct kedge_bytes item)
{
    if (list->n == list->room) {
        size_t room = list->room == 0 ? 64 : list->room * 2;
        struct kedge_bytes *items = realloc(list->items, room * sizeof *items);

        if (items == NULL) {
            a->failed = true;
            return;
        }
        list->items = items;
        list->room = room;
    }
    list->items[list->n++] = item;
}

void rd_list_add_text(struct rd_arena *a, struct rd_list *list, const char *text)
{
    rd_list_add(a, list, (struct kedge_bytes){ text, strlen(text) });
}

void rd_list_add_number(struct rd_arena *a, struct rd_list *list, int64_t number)
{
    static const char small[] = "0123456789";
    char *text;

    if (number >= 0 && number <= 9) {
        rd_list_add(a, list, (struct kedge_bytes){ &small[number], 1 });
        return;
    }
    text = rd_alloc(a, 24);
    if (text != NULL)
        rd_list_add(a, list,
                    (struct kedge_bytes){ text, (size_t)snprintf(text, 24, "%" PRId64, number) });
}

void rd_list_free(struct rd_list *list)
{
    free(list->items);
    memset(list, 0, sizeof *list);
}

void rd_cmd_call(struct rd_arena *a, struct rd_cmd *cmd, const struct rd_script *script,
                 const struct rd_list *keys, const struct rd_list *args)
{
    rd_cmd_script(cmd, script);
    rd_arg_number(a, cmd, keys->n);
    for (size_t i = 0; i < keys->n; i++)
        rd_arg_bytes(a, cmd, keys->items[i]);
    for (size_t i = 0; i < args->n; i++)
        rd_arg_bytes(a, cmd, args->items[i]);
}
