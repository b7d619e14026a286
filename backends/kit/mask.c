/*
 * mask.c - a store URL as it may be shown
 *
 * A URL is masked before anybody has understood it, so whatever somebody may have meant as a
 * password is hidden, in the right place or not:
 *
 *   M1  before an '@', encoded or not, also when the password has an unencoded '/' or '?' in it
 *   M2  behind the ':' of an authority, unless it is a port
 *   M3  behind password= and the like, in the query and outside of it, encoded or not
 *   M4  what follows such a parameter without a name of its own: a '&' that was not encoded
 *   M5  behind a wrapper, as if it were not there; and what its own part has that looks like a
 * secret
 *
 * Hidden too much is a nuisance, too little a leak.  Nothing is allocated; a URL is at most read a
 * few times.
 */
#include <string.h>
#include <strings.h>

#include "url.h"

/* Text that stops growing when it is full. */
struct shown {
    char *buf;
    size_t len;
};

static void show(struct shown *s, const char *text, size_t len)
{
    size_t room = KEDGE_URL_MASKED_MAX - 1 - s->len;

    if (len > room)
        len = room;
    memcpy(s->buf + s->len, text, len);
    s->len += len;
}

static void hide(struct shown *s)
{
    show(s, "***", 3);
}

/* ------------------------------------------------------------------ decoding */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The character at *AT, which moves on: "p", "%70" and "%2570" are all a 'p'. */
static char next_char(const char **at, const char *end)
{
    char c = *(*at)++;

    while (c == '%' && end - *at >= 2 && hex((*at)[0]) >= 0 && hex((*at)[1]) >= 0) {
        c = (char)(hex((*at)[0]) * 16 + hex((*at)[1]));
        *at += 2;
    }
    return c;
}

static bool begins_with(const char *text, const char *end, const char *word)
{
    for (; *word != '\0'; word++) {
        char c;

        if (text >= end)
            return false;
        c = next_char(&text, end);
        if (strncasecmp(&c, word, 1) != 0)
            return false;
    }
    return true;
}

/* The end of the first word of a secret in the text, or NULL. */
static const char *after_secret(const char *text, const char *end)
{
    static const char *const words[] = { "pass", "pwd", "secret", "token", "auth", "key", "cred" };

    for (; text < end; text++) {
        for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
            if (begins_with(text, end, words[w]))
                return text + strlen(words[w]);
        }
    }
    return NULL;
}

/* passfile names a file, which is no secret. */
static bool looks_secret(const char *name, const char *end)
{
    bool file = end - name == 8 && strncasecmp(name, "passfile", 8) == 0;

    return !file && after_secret(name, end) != NULL;
}

/* The first C that is meant in the text, its end in *AFTER; NULL: none. */
static const char *find(const char *text, const char *end, char c, const char **after)
{
    while (text < end) {
        const char *at = text;

        if (next_char(&text, end) == c) {
            *after = text;
            return at;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------- userinfo */

static bool is_word(const char *text, const char *end)
{
    for (; text < end; text++) {
        char c = *text;

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '.' || c == '-'))
            return false;
    }
    return true;
}

/* Every character one of SET? */
static bool consists_of(const char *text, const char *end, const char *set)
{
    for (; text < end; text++) {
        if (*text == '\0' || strchr(set, *text) == NULL)
            return false;
    }
    return true;
}

/*
 * What stands behind the first ':' of a host and is no port; NULL: there is nothing like that. IPv6
 * has more than one ':', and digits.
 */
static const char *no_port(const char *host, const char *end)
{
    const char *after = NULL;
    const char *more;

    if (find(host, end, ':', &after) == NULL || consists_of(after, end, "0123456789"))
        return NULL;
    if (find(after, end, ':', &more) != NULL && consists_of(host, end, "0123456789abcdefABCDEF:."))
        return NULL;
    return after;
}

/* Is there an '@' in the query that belongs to no parameter, like that of redis://u:p?w@h? */
static bool astray(const char *query)
{
    struct kedge_bytes rest = kedge_text(query + 1);
    struct kedge_bytes name;
    struct kedge_bytes value;

    while (kedge_url_next(&rest, &name, &value)) {
        const char *text = name.data;

        if (!is_word(text, text + name.len) && memchr(text, '@', name.len) != NULL)
            return true;
        if (value.len > 0 && memchr(value.data, '@', value.len) != NULL &&
            (!is_word(text, text + name.len) || (text[0] >= '0' && text[0] <= '9')))
            return true;
    }
    return false;
}

/* The last '@' of the text, or else the last that is encoded; NULL: none. */
static const char *at_sign(const char *text, const char *end)
{
    const char *last = NULL;

    for (const char *p = end; p > text; p--) {
        if (p[-1] == '@')
            return p - 1;
    }
    for (const char *at; (at = find(text, end, '@', &text)) != NULL;)
        last = at;
    return last;
}

/*
 * The '@' that ends the userinfo, or NULL.  AT is what comes behind the scheme and "//"; AUTHORITY:
 * there was a "//".
 */
static const char *userinfo_end(const char *at, bool authority)
{
    const char *query = at + strcspn(at, "?");
    const char *slash = at + strcspn(at, "/?");
    const char *last = at_sign(at, query);
    bool odd = authority && slash > at && (slash[-1] == ':' || no_port(at, slash) != NULL);

    /* It may belong to the path: encoded, or with nothing before that could be a user. */
    if (authority && !odd && last != NULL && last >= slash &&
        (slash > at ? *last != '@' : memchr(at, ':', (size_t)(last - at)) == NULL))
        last = NULL;
    if (last == NULL && *query == '?' && (odd || astray(query)))
        last = strrchr(query, '@');
    return last;
}

/* ----------------------------------------------------------------- the rest */

/* host:port,[host]:port */
static void show_hosts(struct shown *s, const char *at, const char *end)
{
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        const char *close = *at == '[' ? memchr(at, ']', (size_t)(stop - at)) : NULL;
        const char *rest = close != NULL ? close + 1 : at;
        const char *wrong = no_port(rest, stop);

        if (wrong == NULL && close != NULL && rest < stop && *rest != ':')
            wrong = rest;
        show(s, at, (size_t)((wrong != NULL ? wrong : stop) - at));
        if (wrong != NULL)
            hide(s);
        if (comma != NULL)
            show(s, ",", 1);
        at = comma != NULL ? comma + 1 : end;
    }
}

/* Text outside of a query.  False: the rest of all must be hidden, as a secret began. */
static bool show_free(struct shown *s, const char *text, const char *end)
{
    const char *from = text;
    const char *after = NULL;

    for (const char *at = text; (at = find(at, end, '=', &after)) != NULL; at = after) {
        if (!looks_secret(from, at)) {
            from = after;
            continue;
        }
        show(s, text, (size_t)(after - text));
        hide(s);
        return false;
    }
    show(s, text, (size_t)(end - text));
    return true;
}

/* May the value of a parameter be shown that has a harmless name? */
static bool is_harmless(struct kedge_bytes value)
{
    const char *text = value.data;
    const char *end = text + value.len;
    const char *after;
    const char *secret;

    if (value.len == 0)
        return true;
    if (memchr(text, '@', value.len) != NULL ||
        (find(text, end, ':', &after) != NULL && find(after, end, '@', &after) != NULL))
        return false;
    secret = after_secret(text, end);
    return secret == NULL || secret >= end || find(secret, end, '=', &after) == NULL;
}

static void show_query(struct shown *s, const char *query)
{
    struct kedge_bytes rest = kedge_text(query + 1);
    struct kedge_bytes name;
    struct kedge_bytes value;
    const char *between = "?";
    bool after = false; /* a secret */

    while (kedge_url_next(&rest, &name, &value)) {
        const char *text = name.data;
        const char *end = text + name.len;
        bool valued = value.len > 0;
        /* A name with an encoded character may be anything. */
        bool secret = looks_secret(text, end) || memchr(text, '%', name.len) != NULL;

        show(s, between, 1);
        between = "&";
        if (!valued && (after || (secret && !is_word(text, end)))) {
            hide(s); /* M4; or the '=' is missing */
            continue;
        }
        after = secret;
        show(s, text, name.len);
        if (!valued)
            continue;
        show(s, "=", 1);
        if (secret || !is_harmless(value))
            hide(s);
        else
            show(s, value.data, value.len);
    }
}

/* Is it, as far as can be seen, a URL, with wrappers or without? */
static bool is_url(const char *text)
{
    struct kedge_bytes name;
    struct kedge_bytes settings;

    return kedge_url_scheme_len(text) > 0 || kedge_url_behind(text, &name, &settings) != NULL;
}

/* M5: what comes behind wrappers, if a URL does; they themselves have been shown then. */
static const char *show_wrappers(struct shown *s, const char *text)
{
    struct kedge_bytes name;
    struct kedge_bytes settings;
    struct kedge_bytes value;
    const char *behind;

    while ((behind = kedge_url_behind(text, &name, &settings)) != NULL && is_url(behind)) {
        show(s, name.data, name.len);
        while (kedge_url_setting(&settings, &name, &value)) {
            const char *key = name.data;

            show(s, ",", 1);
            if (!is_word(key, key + name.len)) {
                hide(s);
                continue;
            }
            show(s, key, name.len);
            if (value.len == 0)
                continue;
            show(s, "=", 1);
            if (looks_secret(key, key + name.len) || !is_harmless(value))
                hide(s);
            else
                show(s, value.data, value.len);
        }
        show(s, "+", 1);
        text = behind;
    }
    return text;
}

const char *kedge_url_mask(const char *text, char buf[KEDGE_URL_MASKED_MAX])
{
    struct shown s = { .buf = buf };
    const char *p = show_wrappers(&s, text);
    size_t scheme;
    bool authority;
    const char *end;
    const char *at;

    text = p;
    scheme = strcspn(text, ":/?@");
    if (text[scheme] == ':' && memchr(text, '=', scheme) == NULL) {
        show(&s, p, scheme + 1);
        p += scheme + 1;
    }
    authority = strncmp(p, "//", 2) == 0;
    if (authority) {
        show(&s, p, 2);
        p += 2;
    }
    at = userinfo_end(p, authority);
    if (at != NULL) {
        hide(&s);
        p = at;
        (void)next_char(&p, p + strlen(p));
        show(&s, at, (size_t)(p - at));
    }
    if (authority) {
        end = p + strcspn(p, "/?");
        /* A host has no '=': something was put there that belongs elsewhere. */
        if (find(p, end, '=', &at) != NULL)
            hide(&s);
        else
            show_hosts(&s, p, end);
        p = end;
    }
    end = p + strcspn(p, "?");
    if (show_free(&s, p, end) && *end == '?')
        show_query(&s, end);
    buf[s.len] = '\0';
    return buf;
}
