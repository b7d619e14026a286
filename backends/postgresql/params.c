/*
 * params.c - where a store is: what a URL, a namespace and options say
 *
 * The URL goes to libpq as it is; only what follows "postgresql:" when that is no URI is a list of
 * settings.  A namespace is a schema called kedge_NAME: small letters and digits stand for
 * themselves, everything else is _xx.  A name that is too long for an identifier is cut and ends
 * in its hash; the schema keeps the whole name, and opening compares it.
 */
#include <config.h>

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../kit/url.h"
#include "params.h"

#define SCHEME      "postgresql:"
#define NAME_PREFIX "kedge_"
#define NAME_MAX_   63 /* bytes of an identifier */

static void schema_of(struct kedge_bytes ns, char out[PG_SCHEMA_MAX])
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = ns.data;
    size_t n = strlen(NAME_PREFIX);
    XXH128_hash_t h;

    memcpy(out, NAME_PREFIX, n);
    for (size_t i = 0; i < ns.len && n + 3 <= NAME_MAX_; i++) {
        if ((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9')) {
            out[n++] = (char)p[i];
        } else {
            out[n++] = '_';
            out[n++] = hex[p[i] >> 4];
            out[n++] = hex[p[i] & 15];
        }
        if (i + 1 == ns.len) {
            out[n] = '\0';
            return;
        }
    }
    h = XXH3_128bits(ns.data, ns.len);
    n = strlen(NAME_PREFIX) + 23;
    (void)snprintf(out + n, PG_SCHEMA_MAX - n, "__%016llx%016llx", (unsigned long long)h.high64,
                   (unsigned long long)h.low64);
}

static void quote(const char *name, char *out)
{
    *out++ = '"';
    for (; *name != '\0'; name++) {
        if (*name == '"')
            *out++ = '"';
        *out++ = *name;
    }
    *out++ = '"';
    *out = '\0';
}

static int take_schema(struct pg_place *place, struct kedge_bytes value, struct kedge_error *err)
{
    int rc = kedge_url_decode(value, "schema", place->schema, sizeof place->schema, err);

    if (rc == KEDGE_OK && (place->schema[0] == '\0' || strncmp(place->schema, "pg_", 3) == 0))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "'%s' cannot be the name of a schema; write schema=NAME with one that "
                             "does not begin with pg_",
                             place->schema);
    return rc;
}

static int read_options(struct pg_place *place, const char *options, struct kedge_error *err)
{
    struct kedge_bytes rest = kedge_text(options);
    struct kedge_bytes name;
    struct kedge_bytes value;

    while (kedge_url_next(&rest, &name, &value)) {
        int rc = KEDGE_OK;

        if (kedge_url_is(name, "schema"))
            rc = take_schema(place, value, err);
        else if (kedge_url_is(name, "pooler") && kedge_url_is(value, "yes"))
            place->pooler = true;
        else if (!kedge_url_is(name, "pooler") || !kedge_url_is(value, "auto"))
            rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                 "unknown option '%.*s' of a postgresql store; known: schema=NAME, "
                                 "pooler=auto|yes",
                                 (int)(name.len > 64 ? 64 : name.len), (const char *)name.data);
        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

static const char *setting(const PQconninfoOption *all, const char *name)
{
    for (; all != NULL && all->keyword != NULL; all++)
        if (strcmp(all->keyword, name) == 0)
            return all->val != NULL && all->val[0] != '\0' ? all->val : NULL;
    return NULL;
}

/* What may be told of it, and what may not. */
static bool look_into(struct pg_place *place, const PQconninfoOption *said)
{
    static const char *const secret[] = { "password", "sslpassword" };
    const char *host = setting(said, "host");
    const char *port = setting(said, "port");
    const char *db = setting(said, "dbname");
    size_t n = 0;

    if (host == NULL)
        host = setting(said, "hostaddr");
    (void)snprintf(place->shown, sizeof place->shown, "postgresql%s%s%s%s%s%s%s",
                   host != NULL ? " at " : "", host != NULL ? host : "",
                   port != NULL ? " port " : "", port != NULL ? port : "",
                   db != NULL ? " database " : "", db != NULL ? db : "",
                   host == NULL && db == NULL ? " at its default place" : "");
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++) {
        const char *value = setting(said, secret[i]);

        if (value == NULL)
            continue;
        place->secrets[n] = strdup(value);
        if (place->secrets[n++] == NULL)
            return false;
    }
    if (getenv("PGPASSWORD") != NULL) {
        place->secrets[n] = strdup(getenv("PGPASSWORD"));
        return place->secrets[n] != NULL;
    }
    return true;
}

static int no_memory(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
}

static int read_conninfo(struct pg_place *place, const char *url, struct kedge_error *err)
{
    char masked[KEDGE_URL_MASKED_MAX];
    PQconninfoOption *said;
    char *why = NULL;
    bool ok;

    if (strncmp(url, SCHEME, strlen(SCHEME)) != 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "a postgresql URL begins with postgresql:");
    if (strncmp(url + strlen(SCHEME), "//", 2) != 0)
        url += strlen(SCHEME);
    place->conninfo = strdup(url);
    if (place->conninfo == NULL)
        return no_memory(err);
    said = PQconninfoParse(url, &why);
    PQfreemem(why); /* it may quote a password */
    if (said == NULL)
        return kedge_error_set(
            err, KEDGE_ERR_INVALID, 0,
            "libpq cannot read '%s': write "
            "postgresql://user@host:port/database?name=value, or postgresql: and "
            "settings like host=/run/postgresql dbname=app",
            strncmp(url, SCHEME, strlen(SCHEME)) == 0 ? kedge_url_mask(url, masked)
                                                      : "postgresql:***");
    ok = look_into(place, said);
    PQconninfoFree(said);
    return ok ? KEDGE_OK : no_memory(err);
}

int pg_place_init(struct pg_place *place, const char *url, struct kedge_bytes ns,
                  const char *options, struct kedge_error *err)
{
    void *copy;
    int rc;

    memset(place, 0, sizeof *place);
    schema_of(ns, place->schema);
    rc = read_conninfo(place, url, err);
    if (rc == KEDGE_OK && options != NULL)
        rc = read_options(place, options, err);
    if (rc == KEDGE_OK) {
        quote(place->schema, place->quoted);
        copy = malloc(ns.len + 1);
        if (copy == NULL) {
            rc = no_memory(err);
        } else {
            memcpy(copy, ns.data, ns.len);
            place->ns = (struct kedge_bytes){ copy, ns.len };
        }
    }
    if (rc != KEDGE_OK)
        pg_place_fini(place);
    return rc;
}

void pg_place_fini(struct pg_place *place)
{
    free(place->conninfo);
    for (size_t i = 0; i < sizeof place->secrets / sizeof place->secrets[0]; i++)
        free(place->secrets[i]);
    free((void *)(uintptr_t)place->ns.data);
    memset(place, 0, sizeof *place);
}

static size_t secret_at(const struct pg_place *place, const char *text)
{
    for (size_t i = 0; i < sizeof place->secrets / sizeof place->secrets[0]; i++) {
        size_t len = place->secrets[i] == NULL ? 0 : strlen(place->secrets[i]);

        if (len != 0 && strncmp(text, place->secrets[i], len) == 0)
            return len;
    }
    return 0;
}

const char *pg_place_mask(const struct pg_place *place, const char *text, char *buf, size_t size)
{
    size_t n = 0;

    while (*text != '\0' && n + 4 < size) {
        size_t hidden = secret_at(place, text);

        if (hidden != 0) {
            memcpy(buf + n, "***", 3);
            n += 3;
            text += hidden;
            continue;
        }
        buf[n++] = *text == '\n' || *text == '\t' ? ' ' : *text;
        text++;
    }
    while (n > 0 && (buf[n - 1] == ' ' || buf[n - 1] == '.'))
        n--;
    buf[n] = '\0';
    return buf;
}
