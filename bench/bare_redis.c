/*
 * bare_redis.c - records at the end of Redis lists, by a script that looks at a token first
 *
 * Per record GET of the run's token, compare, RPUSH, and nothing else; a batch is one script.  A
 * command is put together in one buffer, which is sent as it is.  All keys of a place begin with
 * {PLACE}, so that they lie in one slot.
 */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis.h>

#include "../backends/kit/url.h"
#include "bare.h"
#include "server.h"

#define TOKEN_BYTES 16
#define KEY_ROOM    512
#define PAGE        1000

static const char script_one[] = "if redis.call('GET',KEYS[1]) ~= ARGV[1] then return 0 end "
                                 "redis.call('RPUSH',KEYS[2],ARGV[2]) return 1";
static const char script_many[] = "local call,keys,argv=redis.call,KEYS,ARGV for i=1,#keys,2 do "
                                  "if call('GET',keys[i]) ~= argv[i] then return i-1 end "
                                  "call('RPUSH',keys[i+1],argv[i+1]) end return #keys";

struct link {
    redisContext *redis;
    const char *place;
    char sha[2][41];
    char *text; /* of a command */
    size_t len;
    pid_t pid; /* of the server; 0: not here */
};

/* ----------------------------------------------------------------- connection */

static void check_url(int rc, const struct kedge_error *err)
{
    if (rc != KEDGE_OK)
        die("bare Redis: %s", err->msg);
}

/* An answer, which is not an error. */
static redisReply *asked(struct link *l, void *reply)
{
    redisReply *r = reply;

    if (r == NULL)
        die("bare Redis: %s", l->redis->errstr);
    if (r->type == REDIS_REPLY_ERROR)
        die("bare Redis: %s", r->str);
    return r;
}

static redisContext *connect_tcp(const struct kedge_url *url, struct kedge_bytes *user)
{
    char raw[512];
    char host[512];
    struct kedge_error err;
    const char *at = memrchr(url->authority.data, '@', url->authority.len);
    const char *from = at != NULL ? at + 1 : (const char *)url->authority.data;
    size_t len = (size_t)((const char *)url->authority.data + url->authority.len - from);
    const char *colon;
    char *port;

    if (at != NULL)
        *user = (struct kedge_bytes){ url->authority.data,
                                      (size_t)(at - (const char *)url->authority.data) };
    if (len >= sizeof raw)
        die("bare Redis: the address is too long");
    memcpy(raw, from, len);
    raw[len] = '\0';
    port = strrchr(raw, ':');
    if (port != NULL && strchr(port, ']') != NULL)
        port = NULL;
    if (port != NULL)
        *port++ = '\0';
    colon = raw[0] == '[' ? raw + 1 : raw;
    check_url(kedge_url_decode((struct kedge_bytes){ colon, strcspn(colon, "]") }, "host", host,
                               sizeof host, &err),
              &err);
    return redisConnect(host[0] != '\0' ? host : "127.0.0.1",
                        port != NULL ? (int)strtol(port, NULL, 10) : 6379);
}

static void log_in(struct link *l, struct kedge_bytes userinfo)
{
    const char *colon = memchr(userinfo.data, ':', userinfo.len);
    size_t n = colon != NULL ? (size_t)(colon - (const char *)userinfo.data) : userinfo.len;
    char user[256];
    char password[1024];
    struct kedge_error err;

    check_url(kedge_url_decode((struct kedge_bytes){ userinfo.data, n }, "user", user, sizeof user,
                               &err),
              &err);
    check_url(kedge_url_decode((struct kedge_bytes){ colon != NULL ? colon + 1 : "",
                                                     colon != NULL ? userinfo.len - n - 1 : 0 },
                               "password", password, sizeof password, &err),
              &err);
    if (user[0] == '\0')
        freeReplyObject(asked(l, redisCommand(l->redis, "AUTH %s", password)));
    else
        freeReplyObject(asked(l, redisCommand(l->redis, "AUTH %s %s", user, password)));
}

/* A connection as opt.store says, with nothing sent yet but who we are. */
static void connect_to(struct link *l)
{
    struct kedge_bytes userinfo = { NULL, 0 };
    struct kedge_url url;
    struct kedge_error err;
    char path[1024];

    check_url(kedge_url_split(opt.store, &url, &err), &err);
    check_url(kedge_url_decode(url.path, "path", path, sizeof path, &err), &err);
    if (kedge_url_is(url.scheme, "redis+unix"))
        l->redis = redisConnectUnix(path);
    else
        l->redis = connect_tcp(&url, &userinfo);
    if (l->redis == NULL || l->redis->err != 0)
        die("bare Redis: %s", l->redis != NULL ? l->redis->errstr : "out of memory");
    if (userinfo.len > 0)
        log_in(l, userinfo);
    if (!kedge_url_is(url.scheme, "redis+unix") && path[0] == '/' && path[1] != '\0')
        freeReplyObject(asked(l, redisCommand(l->redis, "SELECT %s", path + 1)));
}

static void load_script(struct link *l, const char *script, char sha[41])
{
    redisReply *r = asked(l, redisCommand(l->redis, "SCRIPT LOAD %s", script));

    (void)snprintf(sha, 41, "%s", r->str);
    freeReplyObject(r);
}

static void *redis_link(struct bare *bare)
{
    struct link *l = must_alloc(1, sizeof *l);

    l->place = bare->place;
    connect_to(l);
    load_script(l, script_one, l->sha[0]);
    load_script(l, script_many, l->sha[1]);
    l->text = must_alloc(BARE_MOST, opt.record + 2 * KEY_ROOM + TOKEN_BYTES + 64);
    return l;
}

static void redis_unlink(void *link)
{
    struct link *l = link;

    redisFree(l->redis);
    free(l->text);
    free(l);
}

static void redis_open(struct bare *bare)
{
    (void)bare; /* keys come into being by themselves */
}

/* Everything of this place goes. */
static void redis_close(struct bare *bare)
{
    struct link *l = redis_link(bare);
    char cursor[32] = "0";

    do {
        redisReply *r =
            asked(l, redisCommand(l->redis, "SCAN %s MATCH {%s}* COUNT 1000", cursor, bare->place));

        (void)snprintf(cursor, sizeof cursor, "%s", r->element[0]->str);
        for (size_t i = 0; i < r->element[1]->elements; i++)
            freeReplyObject(
                asked(l, redisCommand(l->redis, "UNLINK %s", r->element[1]->element[i]->str)));
        freeReplyObject(r);
    } while (strcmp(cursor, "0") != 0);
    redis_unlink(l);
}

/* ------------------------------------------------------------------- commands */

static size_t put_number(char *to, size_t n)
{
    char digits[20];
    size_t len = 0;

    do
        digits[len++] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    for (size_t i = 0; i < len; i++)
        to[i] = digits[len - 1 - i];
    return len;
}

static void put_count(struct link *l, char kind, size_t n)
{
    l->text[l->len++] = kind;
    l->len += put_number(l->text + l->len, n);
    l->text[l->len++] = '\r';
    l->text[l->len++] = '\n';
}

static void put_word(struct link *l, const void *data, size_t len)
{
    put_count(l, '$', len);
    memcpy(l->text + l->len, data, len);
    l->len += len;
    l->text[l->len++] = '\r';
    l->text[l->len++] = '\n';
}

static size_t key_of(const struct link *l, char key[KEY_ROOM], char kind, uint64_t tag)
{
    size_t len = strlen(l->place);

    key[0] = '{';
    memcpy(key + 1, l->place, len);
    key[len + 1] = '}';
    key[len + 2] = kind;
    return len + 3 + put_number(key + len + 3, tag);
}

static void put_key(struct link *l, char kind, uint64_t tag)
{
    char key[KEY_ROOM];

    put_word(l, key, key_of(l, key, kind, tag));
}

static void token_of(char token[TOKEN_BYTES], uint64_t tag)
{
    memset(token, 'T', TOKEN_BYTES);
    memcpy(token, &tag, sizeof tag);
}

static void redis_birth(void *link, uint64_t first, size_t n)
{
    struct link *l = link;

    for (uint64_t tag = first; tag < first + n; tag++) {
        char key[KEY_ROOM];
        char token[TOKEN_BYTES];
        size_t len = key_of(l, key, 't', tag);

        token_of(token, tag);
        freeReplyObject(
            asked(l, redisCommand(l->redis, "SET %b %b", key, len, token, (size_t)TOKEN_BYTES)));
    }
}

static void redis_append(void *link, const struct bare_item *items, size_t n)
{
    struct link *l = link;
    char number[20];
    void *reply = NULL;
    long long want = n == 1 ? 1 : (long long)(2 * n);

    l->len = 0;
    put_count(l, '*', 3 + 4 * n);
    put_word(l, "EVALSHA", 7);
    put_word(l, l->sha[n > 1], 40);
    put_word(l, number, put_number(number, 2 * n));
    for (size_t i = 0; i < n; i++) {
        put_key(l, 't', items[i].tag);
        put_key(l, 'j', items[i].tag);
    }
    for (size_t i = 0; i < n; i++) {
        char token[TOKEN_BYTES];

        token_of(token, items[i].tag);
        put_word(l, token, TOKEN_BYTES);
        put_count(l, '$', opt.record);
        record_fill((uint8_t *)l->text + l->len, items[i].tag, items[i].number);
        l->len += opt.record;
        l->text[l->len++] = '\r';
        l->text[l->len++] = '\n';
    }
    (void)redisAppendFormattedCommand(l->redis, l->text, l->len);
    if (redisGetReply(l->redis, &reply) != REDIS_OK || asked(l, reply)->integer != want)
        die("bare Redis: %s", reply != NULL ? "a token is not what it was" : l->redis->errstr);
    freeReplyObject(reply);
}

static void redis_verify(void *link, uint64_t tag, uint64_t count)
{
    struct link *l = link;
    char key[KEY_ROOM];
    size_t len = key_of(l, key, 'j', tag);
    uint64_t number = 0;
    size_t got;

    do {
        redisReply *r = asked(l, redisCommand(l->redis, "LRANGE %b %llu %llu", key, len,
                                              (unsigned long long)number,
                                              (unsigned long long)number + PAGE - 1));

        got = r->elements;
        for (size_t i = 0; i < got; i++) {
            if (!record_is(r->element[i]->str, r->element[i]->len, tag, ++number))
                die("bare Redis: record %" PRIu64 " of journal %" PRIu64 " is not what was written",
                    number, tag);
        }
        freeReplyObject(r);
    } while (got == PAGE);
    if (number != count)
        die("bare Redis: journal %" PRIu64 " has %" PRIu64 " records, not %" PRIu64, tag, number,
            count);
}

/* -------------------------------------------------------------------- counters */

/* The number behind NAME: in an answer to INFO; 0: it is not there. */
static uint64_t info_number(const redisReply *info, const char *name)
{
    const char *at = strstr(info->str, name);

    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static uint64_t script_calls(const redisReply *info)
{
    return info_number(info, "cmdstat_evalsha:calls=") + info_number(info, "cmdstat_eval:calls=") +
           info_number(info, "cmdstat_fcall:calls=");
}

/*
 * A flush of the file that is appended to is a write and then fdatasync, which nothing counts.
 * Otherwise the server writes to sockets only, and counts that.
 */
static void redis_counts(void *link, struct server_counts *out, bool all)
{
    struct link *l = link;
    redisReply *info = asked(l, redisCommand(l->redis, "INFO everything"));
    int64_t writes;

    (void)all;
    memset(out, 0, sizeof *out);
    l->pid = (pid_t)info_number(info, "process_id:");
    writes = server_write_calls(l->pid);
    out->log_bytes = (int64_t)info_number(info, "aof_current_size:");
    out->commands = script_calls(info);
    out->round_trips = info_number(info, "total_writes_processed:");
    out->changes = info_number(info, "rdb_changes_since_last_save:");
    out->flushes = writes > 0 ? (uint64_t)writes - out->round_trips : 0;
    freeReplyObject(info);
}

/* Over TCP it may be a process of another machine, whose number says nothing here. */
static pid_t redis_pid(void *link)
{
    struct link *l = link;
    struct server_counts counts;
    char name[32];

    if (l->pid == 0)
        redis_counts(l, &counts, false);
    server_name(l->pid, name, sizeof name);
    return strncmp(name, "redis", 5) == 0 || strncmp(name, "valkey", 6) == 0 ? l->pid : 0;
}

static int64_t redis_cpu_ns(void *link)
{
    pid_t pid = redis_pid(link);

    return pid > 0 ? server_cpu_ns(pid) : -1;
}

static const char *redis_wrong(void *link)
{
    struct link *l = link;
    redisReply *info = asked(l, redisCommand(l->redis, "INFO persistence"));
    bool aof = info_number(info, "aof_enabled:") == 1;
    redisReply *r = asked(l, redisCommand(l->redis, "CONFIG GET appendfsync"));
    bool always = r->elements == 2 && strcmp(r->element[1]->str, "always") == 0;

    freeReplyObject(info);
    freeReplyObject(r);
    return aof && always ? NULL : "it does not have appendonly yes and appendfsync always";
}

static void redis_describe(char *text, size_t size)
{
    struct bare bare = { .kind = &bare_redis };
    struct link *l = redis_link(&bare);
    redisReply *info = asked(l, redisCommand(l->redis, "INFO server"));
    const char *version = strstr(info->str, "redis_version:");

    (void)snprintf(text, size, "%.*s, by hiredis %d.%d.%d",
                   version != NULL ? (int)strcspn(version + 14, "\r\n") : 1,
                   version != NULL ? version + 14 : "?", HIREDIS_MAJOR, HIREDIS_MINOR,
                   HIREDIS_PATCH);
    freeReplyObject(info);
    redis_unlink(l);
}

const struct bare_kind bare_redis = {
    .name = "Redis",
    .side = "bare Redis",
    .is_server = true,
    .backend = "redis",
    .describe = redis_describe,
    .open = redis_open,
    .close = redis_close,
    .link = redis_link,
    .unlink = redis_unlink,
    .birth = redis_birth,
    .append = redis_append,
    .verify = redis_verify,
    .counts = redis_counts,
    .cpu_ns = redis_cpu_ns,
    .pid = redis_pid,
    .wrong = redis_wrong,
};
