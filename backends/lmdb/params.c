/*
 * params.c - what an lmdb URL, its options and a namespace say
 *
 * lmdb:///absolute/path?map_size=4GiB&gather=8; parameters may be given apart from the URL as well,
 * as for a store that is named by a path alone.
 */
#include <config.h>

#include "../kit/url.h"
#include "env.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define MAP_DEFAULT (UINT64_C(64) << 30) /* sparse: costs address space, not disk */
#define MAP_MIN     (UINT64_C(1) << 20)
#define MAP_MAX     (UINT64_C(1) << 46)
/* Seven pages and what is above them, against the three or four that gathering writes. */
#define GATHER_DEFAULT 8u
#define GATHER_MAX     65535u

static int read_map_size(struct kedge_bytes value, const char *where, struct lm_params *out,
                         struct kedge_error *err)
{
    int rc = kedge_url_size(value, "map_size", &out->map_size, err);

    if (rc != KEDGE_OK)
        return rc;
    if (out->map_size < MAP_MIN || out->map_size > MAP_MAX)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "map_size %s is from 1MiB to 64TiB, not %" PRIu64 " bytes", where,
                               out->map_size);
    out->map_size &= ~UINT64_C(65535);
    return KEDGE_OK;
}

/* WHERE: "in an lmdb URL" or the like. */
static int read_query(struct kedge_bytes query, const char *where, struct lm_params *out,
                      struct kedge_error *err)
{
    struct kedge_bytes name;
    struct kedge_bytes value;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && kedge_url_next(&query, &name, &value)) {
        if (kedge_url_is(name, "map_size"))
            rc = read_map_size(value, where, out, err);
        else if (kedge_url_is(name, "gather"))
            rc = kedge_url_number(value, "gather", where, GATHER_MAX, &out->gather, err);
        else
            rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                 "unknown parameter '%.*s' %s; known: map_size, gather",
                                 (int)(name.len > 64 ? 64 : name.len), (const char *)name.data,
                                 where);
    }
    return rc;
}

/* The directory of a namespace, below the path of the URL: its name, percent-encoded where not
 * plain. */
static bool namespace_dir(struct kedge_bytes ns, char *out, size_t room)
{
    static const char hex[] = "0123456789ABCDEF";
    const unsigned char *p = ns.data;
    size_t n = 0;

    for (size_t i = 0; i < ns.len; i++) {
        if (n + 4 > room)
            return false;
        if (isalnum(p[i]) || p[i] == '-' || p[i] == '_') {
            out[n++] = (char)p[i];
        } else {
            out[n++] = '%';
            out[n++] = hex[p[i] >> 4];
            out[n++] = hex[p[i] & 15];
        }
    }
    out[n] = '\0';
    return true;
}

/* "//" and an absolute path, or a path; decoded into PATH. */
static int read_path(const char *text, const struct kedge_url *url, char *path, size_t size,
                     struct kedge_error *err)
{
    char masked[KEDGE_URL_MASKED_MAX];
    int rc = kedge_url_decode(url->path, "path", path, size, err);

    if (rc != KEDGE_OK)
        return rc;
    if (url->has_authority && url->authority.len != 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "'%s' names a host, which files do not have: write "
                               "lmdb:///absolute/path, with three slashes",
                               kedge_url_mask(text, masked));
    if (path[0] == '\0')
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "an lmdb URL needs a path: lmdb:///absolute/path");
    return KEDGE_OK;
}

int lm_params_parse(const struct kedge_open *open, struct lm_params *out, struct kedge_error *err)
{
    struct kedge_url url;
    char path[PATH_MAX];
    char ns[256];
    size_t room;
    int rc = kedge_url_split(open->url, &url, err);

    memset(out, 0, sizeof *out);
    out->map_size = MAP_DEFAULT;
    out->gather = GATHER_DEFAULT;
    if (rc == KEDGE_OK)
        rc = read_path(open->url, &url, path, sizeof path, err);
    if (rc == KEDGE_OK)
        rc = read_query(url.query, "in an lmdb URL", out, err);
    if (rc == KEDGE_OK)
        rc = read_query(kedge_url_options(open), "among the options of lmdb", out, err);
    if (rc == KEDGE_OK && !namespace_dir(open->ns, ns, sizeof ns))
        rc = kedge_error_set(err, KEDGE_ERR_TOO_BIG, 0,
                             "the name of the namespace is too long for a directory (%zu bytes)",
                             open->ns.len);
    if (rc != KEDGE_OK)
        return rc;
    room = strlen(path) + strlen(ns) + 2;
    out->dir = malloc(room);
    if (out->dir == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    (void)snprintf(out->dir, room, "%s/%s", path, ns);
    return KEDGE_OK;
}
