/* url.c - store URLs; see url.h */
#include <string.h>

#include "url.h"

static bool is_scheme_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '-' ||
           c == '.';
}

size_t kedge_url_scheme_len(const char *text)
{
    size_t n = 0;

    if (text[0] < 'a' || text[0] > 'z')
        return 0;
    while (is_scheme_char(text[n]))
        n++;
    return text[n] == ':' ? n : 0;
}

static struct kedge_bytes view(const char *data, size_t len)
{
    return (struct kedge_bytes){ .data = data, .len = len };
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

const char *kedge_url_behind(const char *text, struct kedge_bytes *name,
                             struct kedge_bytes *settings)
{
    size_t n = 0;
    size_t end;

    if (text[0] < 'a' || text[0] > 'z')
        return NULL;
    while (is_name_char(text[n]))
        n++;
    if (text[n] != ',' && text[n] != '+')
        return NULL;
    end = n + strcspn(text + n, "+");
    if (text[end] != '+')
        return NULL;
    *name = view(text, n);
    *settings = n < end ? view(text + n + 1, end - n - 1) : view(text + n, 0);
    return text + end + 1;
}

int kedge_url_split(const char *text, struct kedge_url *url, struct kedge_error *err)
{
    char masked[KEDGE_URL_MASKED_MAX];
    struct kedge_url u = { .has_authority = false };
    size_t len = kedge_url_scheme_len(text);
    const char *p;

    if (len == 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "'%s' is not a store URL; one looks like mem: or lmdb:///path",
                               kedge_url_mask(text, masked));
    if (strchr(text, '#') != NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "the URL '%s' contains a '#', which must be written %%23",
                               kedge_url_mask(text, masked));
    u.scheme = view(text, len);
    p = text + len + 1;
    if (strncmp(p, "//", 2) == 0) {
        p += 2;
        u.has_authority = true;
        len = strcspn(p, "/?");
        u.authority = view(p, len);
        p += len;
    }
    len = strcspn(p, "?");
    u.path = view(p, len);
    p += len;
    if (*p == '?')
        u.query = view(p + 1, strlen(p + 1));
    *url = u;
    return KEDGE_OK;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int kedge_url_decode(struct kedge_bytes raw, const char *what, char *buf, size_t size,
                     struct kedge_error *err)
{
    const char *in = raw.data;
    size_t n = 0;

    for (size_t i = 0; i < raw.len; i++, n++) {
        char c = in[i];

        if (c == '%') {
            bool whole = raw.len - i > 2;
            int high = whole ? hex(in[i + 1]) : -1;
            int low = whole ? hex(in[i + 2]) : -1;

            if (high < 0 || low < 0)
                return kedge_error_set(
                    err, KEDGE_ERR_INVALID, 0,
                    "the %s in the URL has a '%%' without two hexadecimal digits after it; write "
                    "%%25 for the character itself",
                    what);
            c = (char)(high * 16 + low);
            if (c == '\0')
                return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                       "the %s in the URL contains %%00, which nothing can name",
                                       what);
            i += 2;
        }
        if (n + 1 >= size)
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                   "the %s in the URL is longer than %zu bytes", what, size - 1);
        buf[n] = c;
    }
    buf[n] = '\0';
    return KEDGE_OK;
}

/* "a=1&&b=2" and a '&' at either end mean nothing more. */
static bool next_of(struct kedge_bytes *list, char between, struct kedge_bytes *name,
                    struct kedge_bytes *value)
{
    const char *text = list->data;
    size_t len = 0;
    size_t equals;

    while (list->len > 0 && text[0] == between) {
        text++;
        list->len--;
    }
    if (list->len == 0)
        return false;
    while (len < list->len && text[len] != between)
        len++;
    equals = 0;
    while (equals < len && text[equals] != '=')
        equals++;
    *name = view(text, equals);
    *value = equals < len ? view(text + equals + 1, len - equals - 1) : view(text + len, 0);
    list->data = text + len;
    list->len -= len;
    return true;
}

bool kedge_url_next(struct kedge_bytes *query, struct kedge_bytes *name, struct kedge_bytes *value)
{
    return next_of(query, '&', name, value);
}

bool kedge_url_setting(struct kedge_bytes *settings, struct kedge_bytes *name,
                       struct kedge_bytes *value)
{
    return next_of(settings, ',', name, value);
}

struct kedge_bytes kedge_url_options(const struct kedge_open *open)
{
    bool there = open->struct_size >= offsetof(struct kedge_open, options) + sizeof open->options;

    return kedge_text(there ? open->options : NULL);
}

bool kedge_url_is(struct kedge_bytes b, const char *text)
{
    return b.len == strlen(text) && (b.len == 0 || memcmp(b.data, text, b.len) == 0);
}

int kedge_url_number(struct kedge_bytes value, const char *what, const char *where, unsigned max,
                     unsigned *out, struct kedge_error *err)
{
    const char *text = value.data;
    uint64_t n = 0;
    bool bad = value.len == 0;

    for (size_t i = 0; i < value.len && !bad; i++) {
        bad = text[i] < '0' || text[i] > '9';
        n = n * 10 + (uint64_t)(text[i] - '0');
        bad = bad || n > max;
    }
    if (bad)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "%s %s is a number from 0 to %u", what,
                               where, max);
    *out = (unsigned)n;
    return KEDGE_OK;
}

int kedge_url_size(struct kedge_bytes value, const char *what, uint64_t *bytes,
                   struct kedge_error *err)
{
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {
        { "", 0 }, { "B", 0 }, { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 }, { "TiB", 40 },
    };
    const char *text = value.data;
    uint64_t n = 0;
    size_t i = 0;

    for (; i < value.len && text[i] >= '0' && text[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(text[i] - '0');

        if (n > (UINT64_MAX - digit) / 10)
            goto bad;
        n = n * 10 + digit;
    }
    if (i == 0)
        goto bad;
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        if (!kedge_url_is(view(text + i, value.len - i), units[u].name))
            continue;
        if (n > UINT64_MAX >> units[u].shift)
            goto bad;
        *bytes = n << units[u].shift;
        return KEDGE_OK;
    }
bad:
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "%s=%.*s is not a size; write a number of bytes, or one with KiB, MiB, "
                           "GiB or TiB behind it",
                           what, (int)(value.len < 64 ? value.len : 64), value.len > 0 ? text : "");
}
