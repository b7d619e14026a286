/* params.c - what a redis URL and a namespace say; see params.h */
#include <config.h>

#include "params.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET_MAX 1024u

static int no_memory(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
}

/* ------------------------------------------------------------------ authority */

static int decode_new(struct kedge_bytes raw, const char *what, char **out, struct kedge_error *err)
{
    char text[SECRET_MAX];
    int rc = kedge_url_decode(raw, what, text, sizeof text, err);

    if (rc != KEDGE_OK)
        return rc;
    *out = strdup(text);
    return *out == NULL ? no_memory(err) : KEDGE_OK;
}

/* user:password@, user@ or :password@ */
static int read_userinfo(struct kedge_bytes info, struct rd_params *out, struct kedge_error *err)
{
    const char *text = info.data;
    const char *colon = memchr(text, ':', info.len);
    size_t user = colon == NULL ? info.len : (size_t)(colon - text);
    int rc = KEDGE_OK;

    if (user != 0)
        rc = decode_new((struct kedge_bytes){ text, user }, "user", &out->user, err);
    if (rc == KEDGE_OK && colon != NULL)
        rc = decode_new((struct kedge_bytes){ colon + 1, info.len - user - 1 }, "password",
                        &out->password, err);
    if (rc == KEDGE_OK && out->user != NULL && out->password == NULL)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "a user in a redis URL needs a password: redis://user:password@host");
    return rc;
}

static int bad_host(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "a redis URL names hosts as host, host:port or [address]:port, several "
                           "with ',' between them, at most %u",
                           RD_HOSTS_MAX);
}

static bool read_port(const char *text, size_t len, struct rd_host *out)
{
    unsigned long port = 0;

    if (len == 0 || len > 5)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    if (port == 0 || port > 65535)
        return false;
    (void)snprintf(out->port, sizeof out->port, "%lu", port);
    return true;
}

static int read_host(const char *text, size_t len, struct rd_host *out, struct kedge_error *err)
{
    const char *end = text + len;
    const char *name = text;
    const char *colon;
    size_t name_len;

    if (len != 0 && text[0] == '[') {
        const char *close = memchr(text, ']', len);

        if (close == NULL || (close + 1 != end && close[1] != ':'))
            return bad_host(err);
        name = text + 1;
        name_len = (size_t)(close - name);
        colon = close + 1 == end ? NULL : close + 1;
    } else {
        colon = memchr(text, ':', len);
        name_len = colon == NULL ? len : (size_t)(colon - text);
    }
    if (name_len == 0) {
        name = "127.0.0.1";
        name_len = strlen(name);
    }
    (void)snprintf(out->port, sizeof out->port, "6379");
    if (colon != NULL && !read_port(colon + 1, (size_t)(end - colon) - 1, out))
        return bad_host(err);
    return kedge_url_decode((struct kedge_bytes){ name, name_len }, "host", out->name,
                            sizeof out->name, err);
}

static int read_hosts(struct kedge_bytes text, struct rd_params *out, struct kedge_error *err)
{
    const char *p = text.len != 0 ? text.data : "";
    const char *end = p + text.len;

    for (;;) {
        const char *comma = p == end ? NULL : memchr(p, ',', (size_t)(end - p));
        size_t len = comma == NULL ? (size_t)(end - p) : (size_t)(comma - p);
        int rc;

        if (out->n_hosts == RD_HOSTS_MAX || (len == 0 && text.len != 0))
            return bad_host(err);
        rc = read_host(p, len, &out->hosts[out->n_hosts], err);
        if (rc != KEDGE_OK)
            return rc;
        out->n_hosts++;
        if (comma == NULL)
            return KEDGE_OK;
        p = comma + 1;
    }
}

static int read_authority(const struct kedge_url *url, bool is_socket, struct rd_params *out,
                          struct kedge_error *err)
{
    struct kedge_bytes hosts = url->authority;
    const char *text = hosts.data;
    int rc = KEDGE_OK;

    for (size_t at = hosts.len; at > 0; at--) {
        if (text[at - 1] != '@')
            continue;
        rc = read_userinfo((struct kedge_bytes){ text, at - 1 }, out, err);
        hosts = (struct kedge_bytes){ text + at, hosts.len - at };
        break;
    }
    if (rc != KEDGE_OK)
        return rc;
    if (!is_socket)
        return read_hosts(hosts, out, err);
    if (hosts.len != 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "a socket has no host: write redis+unix:///path/to/socket, with "
                               "three slashes");
    return KEDGE_OK;
}

/* ----------------------------------------------------------- path and options */

static int read_path(const struct kedge_url *url, bool is_socket, struct rd_params *out,
                     struct kedge_error *err)
{
    struct kedge_bytes db = url->path;
    const char *text = db.data;

    if (is_socket) {
        int rc = kedge_url_decode(url->path, "path", out->socket, sizeof out->socket, err);

        if (rc == KEDGE_OK && out->socket[0] != '/')
            rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                 "a redis+unix URL needs the path of a socket: "
                                 "redis+unix:///path/to/socket");
        return rc;
    }
    if (db.len != 0 && text[0] == '/')
        db = (struct kedge_bytes){ text + 1, db.len - 1 };
    return db.len == 0
               ? KEDGE_OK
               : kedge_url_number(db, "the database", "in a redis URL", 65535, &out->db, err);
}

static int read_query(struct kedge_bytes query, const char *where, struct rd_params *out,
                      struct kedge_error *err)
{
    struct kedge_bytes name;
    struct kedge_bytes value;
    unsigned yes = out->allow_eviction ? 1 : 0;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && kedge_url_next(&query, &name, &value)) {
        if (kedge_url_is(name, "db"))
            rc = kedge_url_number(value, "db", where, 65535, &out->db, err);
        else if (kedge_url_is(name, "wait"))
            rc = kedge_url_number(value, "wait", where, 1000, &out->wait, err);
        else if (kedge_url_is(name, "allow_eviction"))
            rc = kedge_url_number(value, "allow_eviction", where, 1, &yes, err);
        else
            rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                 "unknown parameter '%.*s' %s; known: db, wait, allow_eviction",
                                 (int)(name.len > 64 ? 64 : name.len), (const char *)name.data,
                                 where);
    }
    out->allow_eviction = yes != 0;
    return rc;
}

/* ------------------------------------------------------------------ namespace */

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

/* Nothing of it means anything in a hash tag, a pattern, or the name of a connection. */
static int name_keys(struct kedge_bytes ns, struct rd_params *out, struct kedge_error *err)
{
    static const char hex[] = "0123456789ABCDEF";
    const unsigned char *p = ns.data;
    size_t room = 3 * ns.len + 1;
    size_t n = 0;

    out->tag = malloc(room);
    out->prefix = malloc(room + 16);
    if (out->tag == NULL || out->prefix == NULL)
        return no_memory(err);
    for (size_t i = 0; i < ns.len; i++) {
        if (is_plain(p[i])) {
            out->tag[n++] = (char)p[i];
            continue;
        }
        out->tag[n++] = '%';
        out->tag[n++] = hex[p[i] >> 4];
        out->tag[n++] = hex[p[i] & 15];
    }
    out->tag[n] = '\0';
    (void)snprintf(out->prefix, room + 16, "kedge:{%s}:", out->tag);
    return KEDGE_OK;
}

static int check_scheme(const struct kedge_url *url, bool *is_socket, struct kedge_error *err)
{
    *is_socket = kedge_url_is(url->scheme, "redis+unix");
    if (*is_socket || kedge_url_is(url->scheme, "redis"))
        return KEDGE_OK;
    if (kedge_url_is(url->scheme, "rediss") || kedge_url_is(url->scheme, "redis+tls"))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "this build cannot speak TLS to Redis: its hiredis has none; let "
                               "stunnel (or another proxy) on this host carry the connection and "
                               "give its address as redis://, or use redis+unix://");
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "a redis URL begins with redis: or redis+unix:, not '%.*s:'",
                           (int)(url->scheme.len > 32 ? 32 : url->scheme.len),
                           (const char *)url->scheme.data);
}

int rd_params_parse(const struct kedge_open *open, struct rd_params *out, struct kedge_error *err)
{
    char masked[KEDGE_URL_MASKED_MAX];
    struct kedge_url url;
    bool is_socket = false;
    int rc = kedge_url_split(open->url, &url, err);

    memset(out, 0, sizeof *out);
    if (rc == KEDGE_OK)
        rc = check_scheme(&url, &is_socket, err);
    if (rc == KEDGE_OK)
        rc = read_authority(&url, is_socket, out, err);
    if (rc == KEDGE_OK)
        rc = read_path(&url, is_socket, out, err);
    if (rc == KEDGE_OK)
        rc = read_query(url.query, "in a redis URL", out, err);
    if (rc == KEDGE_OK)
        rc = read_query(kedge_url_options(open), "among the options of redis", out, err);
    if (rc == KEDGE_OK)
        rc = name_keys(open->ns, out, err);
    (void)snprintf(out->place, sizeof out->place, "%s", kedge_url_mask(open->url, masked));
    if (rc != KEDGE_OK)
        rd_params_free(out);
    return rc;
}

static void wipe(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void rd_params_free(struct rd_params *params)
{
    wipe(params->user);
    wipe(params->password);
    free(params->tag);
    free(params->prefix);
    params->user = params->password = params->tag = params->prefix = NULL;
}
