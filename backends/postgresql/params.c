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

static void quote(const char *name, char out[PG_QUOTED_MAX])
{
    (void)snprintf(out, PG_QUOTED_MAX, "\"%s\"", name);
}

/* The name of a schema or a role, for a statement: nothing that could end it there. */
static int take_name(struct kedge_bytes value, const char *what, char out[PG_SCHEMA_MAX],
                     struct kedge_error *err)
{
    int rc = kedge_url_decode(value, what, out, PG_SCHEMA_MAX, err);

    if (rc == KEDGE_OK &&
        (out[0] == '\0' || strpbrk(out, "'\"\\@") != NULL || strncmp(out, "pg_", 3) == 0))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "option %s: a name is not empty, does not begin with pg_, and has no "
                             "quotes, backslashes or @ in it",
                             what);
    return rc;
}

static int read_option(struct pg_place *place, struct kedge_bytes name, struct kedge_bytes value,
                       struct kedge_error *err)
{
    if (kedge_url_is(name, "schema"))
        return take_name(value, "schema", place->schema, err);
    if (kedge_url_is(name, "grant")) {
        char role[PG_SCHEMA_MAX];
        int rc = take_name(value, "grant", role, err);
        if (rc == KEDGE_OK)
            quote(role, place->grantee);
        return rc;
    }
    if (kedge_url_is(name, "pooler") &&
        (kedge_url_is(value, "yes") || kedge_url_is(value, "auto"))) {
        place->pooler = kedge_url_is(value, "yes");
        return KEDGE_OK;
    }
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "unknown option '%.*s' of a postgresql store; known: schema=NAME, "
                           "grant=ROLE, pooler=auto or pooler=yes",
                           (int)(name.len > 64 ? 64 : name.len), (const char *)name.data);
}

static int read_options(struct pg_place *place, struct kedge_bytes rest, struct kedge_error *err)
{
    struct kedge_bytes name;
    struct kedge_bytes value;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && kedge_url_next(&rest, &name, &value))
        rc = read_option(place, name, value, err);
    return rc;
}

static const char *setting(const PQconninfoOption *all, const char *name)
{
    for (; all != NULL && all->keyword != NULL; all++)
        if (strcmp(all->keyword, name) == 0)
            return all->val != NULL && all->val[0] != '\0' ? all->val : NULL;
    return NULL;
}

/* A copy, if it is said.  false: no memory. */
static bool keep(char **to, const char *text)
{
    *to = text == NULL ? NULL : strdup(text);
    return text == NULL || *to != NULL;
}

static unsigned count_items(const char *list)
{
    unsigned n = 1;

    for (; list != NULL && *list != '\0'; list++)
        n += *list == ',';
    return n;
}

static bool keep_hosts(struct pg_place *place, const PQconninfoOption *said)
{
    if (!keep(&place->hosts, setting(said, "host")) ||
        !keep(&place->addresses, setting(said, "hostaddr")) ||
        !keep(&place->ports, setting(said, "port")))
        return false;
    place->n_hosts = count_items(place->addresses != NULL ? place->addresses : place->hosts);
    return true;
}

const char *pg_place_item(const char *list, unsigned i, char *buf, size_t size)
{
    size_t len;

    if (count_items(list) == 1)
        return NULL;
    for (; i > 0 && list != NULL; i--) {
        list = strchr(list, ',');
        list += list != NULL;
    }
    len = list == NULL ? 0 : strcspn(list, ",");
    if (len == 0 || len >= size)
        return NULL;
    memcpy(buf, list, len);
    buf[len] = '\0';
    return buf;
}

/* What may be told of it, and what may not. */
static bool look_into(struct pg_place *place, const PQconninfoOption *said)
{
    static const char *const secret[] = { "password", "sslpassword" };
    const char *host = setting(said, "host");
    const char *port = setting(said, "port");
    const char *db = setting(said, "dbname");
    const char *from_environment = getenv("PGPASSWORD");
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
    if (from_environment != NULL) {
        place->secrets[n] = strdup(from_environment);
        return place->secrets[n] != NULL;
    }
    return true;
}

static int no_memory(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
}

/* What libpq is given: a URI as it is, or the settings behind the scheme. */
static const char *conninfo_of(const char *url)
{
    static const char *const schemes[] = { "postgresql:", "postgres:" };

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i]);

        if (strncmp(url, schemes[i], len) == 0)
            return strncmp(url + len, "//", 2) == 0 ? url : url + len;
    }
    return NULL;
}

static int read_conninfo(struct pg_place *place, const char *url, struct kedge_error *err)
{
    const char *conninfo = conninfo_of(url);
    PQconninfoOption *said;
    char *why = NULL;
    bool ok;

    if (conninfo == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "a postgresql URL begins with postgresql: or postgres:");
    place->conninfo = strdup(conninfo);
    if (place->conninfo == NULL)
        return no_memory(err);
    said = PQconninfoParse(conninfo, &why);
    PQfreemem(why); /* it may quote a password */
    if (said == NULL)
        return kedge_error_set(
            err, KEDGE_ERR_INVALID, 0,
            "libpq does not understand this URL: write "
            "postgresql://user@host:port/database?name=value, or postgresql: and "
            "settings like host=/run/postgresql dbname=app");
    ok = keep_hosts(place, said) && look_into(place, said);
    PQconninfoFree(said);
    return ok ? KEDGE_OK : no_memory(err);
}

static int keep_ns(struct pg_place *place, struct kedge_bytes ns, struct kedge_error *err)
{
    place->ns_copy = malloc(ns.len);
    if (place->ns_copy == NULL)
        return no_memory(err);
    memcpy(place->ns_copy, ns.data, ns.len);
    place->ns = (struct kedge_bytes){ place->ns_copy, ns.len };
    return KEDGE_OK;
}

int pg_place_init(struct pg_place *place, const struct kedge_open *open, struct kedge_error *err)
{
    int rc;

    memset(place, 0, sizeof *place);
    schema_of(open->ns, place->schema);
    rc = read_conninfo(place, open->url, err);
    if (rc == KEDGE_OK)
        rc = read_options(place, kedge_url_options(open), err);
    if (rc == KEDGE_OK)
        rc = keep_ns(place, open->ns, err);
    if (rc != KEDGE_OK) {
        pg_place_fini(place);
        return rc;
    }
    quote(place->schema, place->quoted);
    (void)snprintf(place->where, sizeof place->where, "%s: schema %s", place->shown, place->schema);
    return KEDGE_OK;
}

void pg_place_fini(struct pg_place *place)
{
    free(place->conninfo);
    free(place->hosts);
    free(place->addresses);
    free(place->ports);
    for (size_t i = 0; i < sizeof place->secrets / sizeof place->secrets[0]; i++)
        free(place->secrets[i]);
    free(place->ns_copy);
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
