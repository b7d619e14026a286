/*
 * json.c - JSON text: is it well formed, where in it is a value, what does that value say
 *
 * One pass checks; what comes after it walks over text that is known to be JSON and therefore has
 * few questions left.  Both keep to the bytes: nothing is built, so nothing is allocated.
 *
 * Strings are decoded here and not by a library.  A key with escapes has to be compared unescaped
 * in any case, which is all there is to decoding; and cJSON, the obvious one, ends every string at
 * U+0000, needs memory for a copy, and reads each number into a double on the way.
 * tests/test_cjson.c holds the two decoders against each other.
 */
#include <config.h>

#include <stdbool.h>
#include <string.h>

#include <kedge/backend.h>
#include <kedge/value.h>

#include "utf8.h"

/* ------------------------------------------------------------------ bytes */

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* May a byte stand in a string without a second look? */
static bool is_plain(unsigned char c)
{
    return c >= ' ' && c < 0x80 && c != '"' && c != '\\';
}

/* Which of the eight bytes at P is the first with its top bit set in MARKS. */
static size_t first_mark(const unsigned char *p, uint64_t marks)
{
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    (void)p;
    return (size_t)__builtin_ctzll(marks) / 8;
#else
    size_t i = 0;

    (void)marks; /* on a big-endian machine a borrow comes before what caused it */
    while (is_plain(p[i]))
        i++;
    return i;
#endif
}

/*
 * The first byte from P on that means something in a string: a quote, a backslash, a control
 * character, or anything that is not ASCII.  Eight at a time: subtracting makes the top bit of a
 * byte 1 where the byte was too small.  A borrow may do so as well, but only above such a byte.
 */
static const unsigned char *skip_plain(const unsigned char *p, const unsigned char *end)
{
    uint64_t w;

    while ((size_t)(end - p) >= sizeof w) {
        uint64_t marks;

        memcpy(&w, p, sizeof w);
        marks = w | (w - EACH_BYTE(' ')) | ((w ^ EACH_BYTE('"')) - EACH_BYTE(1)) |
                ((w ^ EACH_BYTE('\\')) - EACH_BYTE(1));
        marks &= EACH_BYTE(0x80);
        if (marks != 0)
            return p + first_mark(p, marks);
        p += sizeof w;
    }
    while (p < end && is_plain(*p))
        p++;
    return p;
}

static const unsigned char *skip_space(const unsigned char *p, const unsigned char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static const unsigned char *skip_digits(const unsigned char *p, const unsigned char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* The value of a hexadecimal digit, or -1. */
static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_high_surrogate(uint32_t unit)
{
    return (unit & 0xfc00) == 0xd800;
}

static bool is_low_surrogate(uint32_t unit)
{
    return (unit & 0xfc00) == 0xdc00;
}

/* --------------------------------------------------------------- checking */

struct scan {
    const unsigned char *at;
    const unsigned char *end;
    const char *wrong; /* with what stands at `at' */
    size_t depth;
    unsigned char closers[KEDGE_JSON_DEPTH]; /* what ends each array and object that is open */
};

static bool fail(struct scan *s, const unsigned char *at, const char *wrong)
{
    s->at = at;
    s->wrong = wrong;
    return false;
}

/* The byte at hand, or -1 at the end. */
static int peek(const struct scan *s)
{
    return s->at < s->end ? *s->at : -1;
}

static int peek_after_space(struct scan *s)
{
    s->at = skip_space(s->at, s->end);
    return peek(s);
}

/* The four digits at P, behind "\u". */
static bool scan_hex(struct scan *s, const unsigned char *p, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, p++) {
        int digit = p < s->end ? hex_digit(*p) : -1;

        if (digit < 0)
            return fail(s, p, "a hexadecimal digit is expected");
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return true;
}

/* At a backslash. */
static bool scan_escape(struct scan *s)
{
    static const char short_escapes[8] = { '"', '\\', '/', 'b', 'f', 'n', 'r', 't' };
    const unsigned char *p = s->at;
    uint32_t unit;

    if (s->end - p < 2)
        return fail(s, s->end, "the string is not closed");
    if (memchr(short_escapes, p[1], sizeof short_escapes) != NULL) {
        s->at = p + 2;
        return true;
    }
    if (p[1] != 'u')
        return fail(s, p, "there is no such escape");
    if (!scan_hex(s, p + 2, &unit))
        return false;
    s->at = p + 6;
    if (is_low_surrogate(unit))
        return fail(s, p, "half of a surrogate pair");
    if (!is_high_surrogate(unit))
        return true;
    if (s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
        return fail(s, p, "half of a surrogate pair");
    if (!scan_hex(s, p + 8, &unit))
        return false;
    s->at = p + 12;
    return is_low_surrogate(unit) || fail(s, p, "half of a surrogate pair");
}

/* At the opening quote. */
static bool scan_string(struct scan *s)
{
    const unsigned char *p = s->at + 1;
    size_t len;

    for (;;) {
        p = skip_plain(p, s->end);
        /* Such a character seldom comes alone. */
        for (; p < s->end && *p >= 0x80; p += len) {
            len = kedge_utf8_length(p, s->end);
            if (len == 0)
                return fail(s, p, "not well-formed UTF-8");
        }
        if (p == s->end)
            return fail(s, p, "the string is not closed");
        s->at = p;
        if (*p == '"') {
            s->at++;
            return true;
        }
        if (*p < ' ')
            return fail(s, p, "a control character must be written as an escape");
        if (*p == '\\') {
            if (!scan_escape(s))
                return false;
            p = s->at;
        }
    }
}

static bool scan_digits(struct scan *s)
{
    const unsigned char *from = s->at;

    s->at = skip_digits(from, s->end);
    return s->at > from || fail(s, from, "a digit is expected");
}

static bool scan_number(struct scan *s)
{
    const unsigned char *first;

    if (peek(s) == '-')
        s->at++;
    first = s->at;
    if (!scan_digits(s))
        return false;
    if (*first == '0' && s->at - first > 1)
        return fail(s, first, "a number may not begin with a zero");
    if (peek(s) == '.') {
        s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        return scan_digits(s);
    }
    return true;
}

static bool scan_word(struct scan *s, const char *word)
{
    for (; *word != '\0'; word++, s->at++) {
        if (peek(s) != *word)
            return fail(s, s->at, "neither true nor false nor null");
    }
    return true;
}

static bool scan_scalar(struct scan *s)
{
    switch (peek(s)) {
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    case '-':
        return scan_number(s);
    default:
        if (peek(s) >= '0' && peek(s) <= '9')
            return scan_number(s);
        return fail(s, s->at, "a value is expected");
    }
}

static bool scan_key(struct scan *s)
{
    if (peek_after_space(s) != '"')
        return fail(s, s->at, "a name in quotes is expected");
    if (!scan_string(s))
        return false;
    if (peek_after_space(s) != ':')
        return fail(s, s->at, "a ':' is expected");
    s->at++;
    return true;
}

/* Where a value begins: on to behind the first scalar, or empty array or object, within it. */
static bool scan_down(struct scan *s)
{
    for (;;) {
        int c = peek_after_space(s);
        unsigned char closer = c == '{' ? '}' : ']';

        if (c != '{' && c != '[')
            return scan_scalar(s);
        if (s->depth == KEDGE_JSON_DEPTH)
            return fail(s, s->at, "arrays and objects are nested too deep");
        s->closers[s->depth++] = closer;
        s->at++;
        if (peek_after_space(s) == closer) {
            s->at++;
            s->depth--;
            return true;
        }
        if (c == '{' && !scan_key(s))
            return false;
    }
}

/* Behind a value: on to where the next one begins, or out of all that was open. */
static bool scan_up(struct scan *s)
{
    while (s->depth > 0) {
        unsigned char closer = s->closers[s->depth - 1];
        int c = peek_after_space(s);

        if (c == ',') {
            s->at++;
            return closer == ']' || scan_key(s);
        }
        if (c != closer)
            return fail(s, s->at,
                        closer == ']' ? "a ',' or ']' is expected" : "a ',' or '}' is expected");
        s->at++;
        s->depth--;
    }
    return true;
}

static bool scan_text(struct scan *s)
{
    if (s->end - s->at >= 3 && memcmp(s->at, "\xef\xbb\xbf", 3) == 0)
        return fail(s, s->at, "a byte order mark");
    do {
        if (!scan_down(s) || !scan_up(s))
            return false;
    } while (s->depth > 0);
    return peek_after_space(s) < 0 || fail(s, s->at, "there is more after the value");
}

int kedge_json_check(const void *json, size_t len, struct kedge_error *err)
{
    const unsigned char *text = json != NULL ? json : (const unsigned char *)"";
    struct scan s;

    if (json == NULL && len > 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "json is NULL");
    s.at = text;
    s.end = text + len;
    s.wrong = NULL;
    s.depth = 0;
    if (scan_text(&s))
        return KEDGE_OK;
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "not JSON: %s byte %zu: %s",
                           s.at == s.end ? "the text ends at" : "at", (size_t)(s.at - text),
                           s.wrong);
}

/* ---------------------------------------------------------------- finding */

/* From here on the text has been checked: a string has its end, a name its colon. */

static const unsigned char *skip_string(const unsigned char *p, const unsigned char *end)
{
    p = skip_plain(p + 1, end);
    while (*p != '"')
        p = skip_plain(p + (*p == '\\' ? 2 : 1), end);
    return p + 1;
}

static bool ends_scalar(unsigned char c)
{
    return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const unsigned char *skip_value(const unsigned char *p, const unsigned char *end)
{
    size_t depth = 0;

    if (*p != '"' && *p != '[' && *p != '{') {
        while (p < end && !ends_scalar(*p))
            p++;
        return p;
    }
    do {
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        if (*p == '[' || *p == '{')
            depth++;
        else if (*p == ']' || *p == '}')
            depth--;
        p++;
    } while (depth > 0);
    return p;
}

static uint32_t hex_unit(const unsigned char *p)
{
    uint32_t unit = 0;

    for (int i = 0; i < 4; i++)
        unit = unit << 4 | (uint32_t)hex_digit(p[i]);
    return unit;
}

static size_t utf8_put(unsigned char to[4], uint32_t c)
{
    if (c < 0x80) {
        to[0] = (unsigned char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (unsigned char)(0xc0 | c >> 6);
        to[1] = (unsigned char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (unsigned char)(0xe0 | c >> 12);
        to[1] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
        to[2] = (unsigned char)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (unsigned char)(0xf0 | c >> 18);
    to[1] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
    to[2] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    to[3] = (unsigned char)(0x80 | (c & 0x3f));
    return 4;
}

/* What the escape at *P stands for, in *N bytes; *P goes behind it. */
static void unescape(const unsigned char **p, unsigned char to[4], size_t *n)
{
    static const char names[] = "bfnrt";
    static const char means[] = "\b\f\n\r\t";
    const unsigned char *escape = *p;
    const char *name;
    uint32_t c;

    if (escape[1] != 'u') {
        name = strchr(names, escape[1]);
        to[0] = name != NULL ? (unsigned char)means[name - names] : escape[1];
        *n = 1;
        *p += 2;
        return;
    }
    c = hex_unit(escape + 2);
    *p += 6;
    if (is_high_surrogate(c)) {
        c = 0x10000 + ((c & 0x3ff) << 10) + (hex_unit(escape + 8) & 0x3ff);
        *p += 6;
    }
    *n = utf8_put(to, c);
}

/* One name of a path, still with its "~0" and "~1". */
struct token {
    const char *at;
    const char *end;
};

/* The next byte of the name, or -1. */
static int token_next(struct token *t)
{
    if (t->at == t->end)
        return -1;
    if (*t->at != '~')
        return (unsigned char)*t->at++;
    t->at += 2;
    return t->at[-1] == '1' ? '/' : '~';
}

/* Is the name what the string at P, its opening quote, says? */
static bool token_matches(struct token t, const unsigned char *p)
{
    unsigned char unit[4];
    size_t n;

    for (p++; *p != '"';) {
        if (*p == '\\') {
            unescape(&p, unit, &n);
        } else {
            unit[0] = *p++;
            n = 1;
        }
        for (size_t i = 0; i < n; i++) {
            if (token_next(&t) != unit[i])
                return false;
        }
    }
    return token_next(&t) < 0;
}

/* "0", "1", ... without leading zeros.  What is too large for any array is no index either. */
static bool token_index(struct token t, size_t *index)
{
    *index = 0;
    if (t.at == t.end || (*t.at == '0' && t.end - t.at > 1))
        return false;
    for (; t.at < t.end; t.at++) {
        if (*t.at < '0' || *t.at > '9' || *index > (SIZE_MAX - 9) / 10)
            return false;
        *index = *index * 10 + (size_t)(*t.at - '0');
    }
    return true;
}

/* In the object at P, the value of the first member of that name; NULL: there is none. */
static const unsigned char *find_member(const unsigned char *p, const unsigned char *end,
                                        struct token name)
{
    p = skip_space(p + 1, end);
    while (*p != '}') {
        bool found = token_matches(name, p);

        p = skip_space(skip_string(p, end), end);
        p = skip_space(p + 1, end);
        if (found)
            return p;
        p = skip_space(skip_value(p, end), end);
        if (*p == ',')
            p = skip_space(p + 1, end);
    }
    return NULL;
}

static const unsigned char *find_element(const unsigned char *p, const unsigned char *end,
                                         struct token name)
{
    size_t index;

    if (!token_index(name, &index))
        return NULL;
    p = skip_space(p + 1, end);
    for (; *p != ']'; index--) {
        if (index == 0)
            return p;
        p = skip_space(skip_value(p, end), end);
        if (*p == ',')
            p = skip_space(p + 1, end);
    }
    return NULL;
}

static int check_path(const char *path, struct kedge_error *err)
{
    if (path == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "path is NULL");
    if (path[0] != '\0' && path[0] != '/')
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "the path '%s' does not begin with '/'; the whole value is \"\"",
                               path);
    for (const char *p = strchr(path, '~'); p != NULL; p = strchr(p + 1, '~')) {
        if (p[1] != '0' && p[1] != '1')
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                   "the path '%s' has a '~' that is neither ~0 nor ~1; write ~0 "
                                   "for the character itself",
                                   path);
    }
    return KEDGE_OK;
}

int kedge_json_find(const void *json, size_t len, const char *path, struct kedge_bytes *raw,
                    struct kedge_error *err)
{
    const unsigned char *p = json;
    const unsigned char *end;
    struct token name;
    int rc = check_path(path, err);

    if (rc == KEDGE_OK)
        rc = kedge_json_check(json, len, err);
    if (rc != KEDGE_OK)
        return rc;
    end = p + len;
    p = skip_space(p, end);
    while (*path != '\0') {
        name.at = path + 1;
        name.end = name.at + strcspn(name.at, "/");
        path = name.end;
        p = *p == '{' ? find_member(p, end, name) : *p == '[' ? find_element(p, end, name) : NULL;
        if (p == NULL)
            return KEDGE_NOT_FOUND;
    }
    raw->data = p;
    raw->len = (size_t)(skip_value(p, end) - p);
    return KEDGE_OK;
}

/* ---------------------------------------------------------------- reading */

/* How many bytes the string RAW, quotes and all, has unescaped, and whether one of them is 0. */
static size_t string_measure(struct kedge_bytes raw, bool *has_nul)
{
    const unsigned char *p = (const unsigned char *)raw.data + 1;
    const unsigned char *end = p + raw.len - 2;
    size_t len = raw.len - 2;
    unsigned char unit[4];
    size_t n;

    *has_nul = false;
    while ((p = memchr(p, '\\', (size_t)(end - p))) != NULL) {
        const unsigned char *escape = p;

        unescape(&p, unit, &n);
        len -= (size_t)(p - escape) - n;
        if (unit[0] == '\0')
            *has_nul = true;
    }
    return len;
}

static void string_decode(struct kedge_bytes raw, char *to)
{
    const unsigned char *p = (const unsigned char *)raw.data + 1;
    const unsigned char *end = p + raw.len - 2;
    unsigned char unit[4];
    size_t n;

    while (p < end) {
        const unsigned char *escape = memchr(p, '\\', (size_t)(end - p));

        n = (size_t)((escape != NULL ? escape : end) - p);
        memcpy(to, p, n);
        to += n;
        p += n;
        if (escape == NULL)
            break;
        unescape(&p, unit, &n);
        memcpy(to, unit, n);
        to += n;
    }
    *to = '\0';
}

int kedge_json_string(const void *json, size_t len, const char *path, char *buf, size_t size,
                      size_t *strlen_out, struct kedge_error *err)
{
    struct kedge_bytes raw;
    size_t length;
    bool has_nul;
    int rc = kedge_json_find(json, len, path, &raw, err);

    if (rc != KEDGE_OK)
        return rc;
    if (*(const char *)raw.data != '"')
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the value at '%s' is not a string",
                               path);
    length = string_measure(raw, &has_nul);
    if (has_nul && strlen_out == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "the string at '%s' contains U+0000; ask for its length to read it",
                               path);
    if (strlen_out != NULL)
        *strlen_out = length;
    if (length >= size)
        return kedge_error_set(err, KEDGE_ERR_TOO_BIG, 0,
                               "the string at '%s' needs %zu bytes, there is room for %zu", path,
                               length + 1, size);
    string_decode(raw, buf);
    return KEDGE_OK;
}

/* The digits in RAW behind a '-' or not; false: outside the 64 bits. */
static bool read_int64(struct kedge_bytes raw, int64_t *value)
{
    const char *p = raw.data;
    const char *end = p + raw.len;
    bool negative = *p == '-';
    uint64_t limit = (uint64_t)INT64_MAX + negative;
    uint64_t n = 0;

    for (p += negative; p < end; p++) {
        uint64_t digit = (uint64_t)(*p - '0');

        if (n > (limit - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    /* The least one has no positive counterpart. */
    *value = !negative || n == 0 ? (int64_t)n : -(int64_t)(n - 1) - 1;
    return true;
}

int kedge_json_int64(const void *json, size_t len, const char *path, int64_t *value,
                     struct kedge_error *err)
{
    struct kedge_bytes raw;
    const char *text;
    int rc = kedge_json_find(json, len, path, &raw, err);

    if (rc != KEDGE_OK)
        return rc;
    text = raw.data;
    if (*text != '-' && (*text < '0' || *text > '9'))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the value at '%s' is not a number",
                               path);
    for (size_t i = 0; i < raw.len; i++) {
        if (text[i] == '.' || text[i] == 'e' || text[i] == 'E')
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                   "the number at '%s' has a fraction or an exponent", path);
    }
    if (!read_int64(raw, value))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "the number at '%s' does not fit into 64 bits", path);
    return KEDGE_OK;
}

int kedge_json_bool(const void *json, size_t len, const char *path, int *value,
                    struct kedge_error *err)
{
    struct kedge_bytes raw;
    int rc = kedge_json_find(json, len, path, &raw, err);

    if (rc != KEDGE_OK)
        return rc;
    if (*(const char *)raw.data != 't' && *(const char *)raw.data != 'f')
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the value at '%s' is not a boolean",
                               path);
    *value = *(const char *)raw.data == 't';
    return KEDGE_OK;
}
