/*
 * url.h - store URLs: scheme:path?name=value, scheme://authority/path?name=value
 *
 * Used by the library and by backends: it needs <kedge/backend.h> and nothing else of ours, and
 * allocates nothing.  What it hands out are views into the text it was given.
 */
#ifndef KEDGE_KIT_URL_H
#define KEDGE_KIT_URL_H

#include <stdbool.h>

#include <kedge/backend.h>

struct kedge_url {
    struct kedge_bytes scheme;
    struct kedge_bytes authority; /* user:password@host:port; valid if has_authority */
    struct kedge_bytes path;      /* still percent-encoded */
    struct kedge_bytes query;     /* without its '?' */
    bool has_authority;           /* there was a "//", even with nothing after it */
};

/* Long enough for every URL in a message; longer ones are cut. */
#define KEDGE_URL_MASKED_MAX 256

/* The length of the scheme that TEXT begins with, its ':' not counted; 0: it has none. */
size_t kedge_url_scheme_len(const char *text);

/*
 * NAME[,KEY=VALUE]...+URL, as one that has a wrapper in front: answers URL, and its NAME and the
 * rest, which kedge_url_setting() takes apart.  NULL: there is no '+', or something before it that
 * this cannot be.  What is called redis+unix: looks like this as well.
 */
const char *kedge_url_behind(const char *text, struct kedge_bytes *name,
                             struct kedge_bytes *settings);

/* As kedge_url_next(), of what has ',' between one KEY=VALUE and the next. */
bool kedge_url_setting(struct kedge_bytes *settings, struct kedge_bytes *name,
                       struct kedge_bytes *value);

/* OK or ERR_INVALID. */
int kedge_url_split(const char *text, struct kedge_url *url, struct kedge_error *err);

/*
 * Decode RAW into BUF and end it with a NUL.  OK or ERR_INVALID: a '%' without two hexadecimal
 * digits, an encoded NUL, or more than SIZE - 1 bytes.  WHAT names the part in the message.
 */
int kedge_url_decode(struct kedge_bytes raw, const char *what, char *buf, size_t size,
                     struct kedge_error *err);

/*
 * Take the next name=value off QUERY; both remain encoded, a missing '=' gives an empty value.
 * false: there is no more.
 */
bool kedge_url_next(struct kedge_bytes *query, struct kedge_bytes *name, struct kedge_bytes *value);

/* What OPEN has beside its URL, for kedge_url_next(); empty: nothing. */
struct kedge_bytes kedge_url_options(const struct kedge_open *open);

/* Does B hold exactly this text? */
bool kedge_url_is(struct kedge_bytes b, const char *text);

/*
 * "4096", "64KiB", "4GiB": a number of bytes, with B, KiB, MiB, GiB or TiB behind it.  OK or
 * ERR_INVALID.
 */
int kedge_url_size(struct kedge_bytes value, const char *what, uint64_t *bytes,
                   struct kedge_error *err);

/* "0", "12": a number up to MAX.  OK or ERR_INVALID.  WHERE: "in a redis URL" or the like. */
int kedge_url_number(struct kedge_bytes value, const char *what, const char *where, unsigned max,
                     unsigned *out, struct kedge_error *err);

/*
 * TEXT as it may be shown: userinfo, and the values of parameters that look like a secret, are
 * replaced by ***; see mask.c.  Works on malformed URLs, and on what is none, and rather hides too
 * much.  Answers BUF.
 */
const char *kedge_url_mask(const char *text, char buf[KEDGE_URL_MASKED_MAX]);

#endif
