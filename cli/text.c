/* text.c - text for people and for JSON: times, and bytes that may be anything */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

#include "text.h"

/* How many bytes at TEXT are one character of UTF-8 that is no control character; 0: none. */
static size_t utf8(const unsigned char *text, size_t len)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = text[0] < 0x80   ? 1
               : text[0] < 0xc2 ? 0
               : text[0] < 0xe0 ? 2
               : text[0] < 0xf0 ? 3
                                : 4;
    uint32_t c = n == 1 ? text[0] : text[0] & (0x7fU >> n);

    if (n == 0 || n > len || text[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (text[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    return c < 0x20 || (c >= 0x7f && c < 0xa0) ? 0 : n;
}

/* Is that character one that the locale shows?  What has no width might hide, or change the order
   of, its neighbours. */
static bool shown(const char *text, size_t n)
{
    mbstate_t state;
    wchar_t c;

    memset(&state, 0, sizeof state);
    return mbrtowc(&c, text, n, &state) == n && iswprint((wint_t)c) != 0 && wcwidth(c) > 0;
}

static char *escape(struct kedge_bytes bytes, bool locale, bool backslash)
{
    const char *from = bytes.data;
    size_t left = bytes.len;
    char *text = left < SIZE_MAX / 4 ? malloc(4 * left + 1) : NULL;
    char *to = text;

    if (text == NULL)
        return NULL;
    while (left > 0) {
        size_t n = utf8((const unsigned char *)from, left);

        if (n != 0 && locale && !shown(from, n))
            n = 0;
        if (n == 0) {
            to += sprintf(to, "\\x%02x", (unsigned)(unsigned char)*from);
            n = 1;
        } else {
            if (*from == '\\' && backslash)
                *to++ = '\\';
            memcpy(to, from, n);
            to += n;
        }
        from += n;
        left -= n;
    }
    *to = '\0';
    return text;
}

char *cli_escape(struct kedge_bytes bytes, bool locale)
{
    return escape(bytes, locale, true);
}

char *cli_printable(const char *text, bool locale)
{
    return escape(kedge_text(text), locale, false);
}

static int digit(char c)
{
    const char *const digits = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

size_t cli_unescape(char *text)
{
    const char *from = text;
    char *to = text;

    while (*from != '\0') {
        if (from[0] == '\\' && from[1] == '\\') {
            *to++ = '\\';
            from += 2;
        } else if (from[0] == '\\' && from[1] == 'x' && digit(from[2]) >= 0 &&
                   digit(from[3]) >= 0) {
            *to++ = (char)(digit(from[2]) * 16 + digit(from[3]));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    return (size_t)(to - text);
}

const char *cli_time(int64_t us, int digits, char buf[CLI_TIME_SIZE])
{
    int64_t fraction = us % 1000000;
    time_t seconds;
    struct tm tm;
    size_t len;

    if (fraction < 0)
        fraction += 1000000;
    seconds = (time_t)((us - fraction) / 1000000);
    len = us != 0 && gmtime_r(&seconds, &tm) != NULL
              ? strftime(buf, CLI_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm)
              : 0;
    if (len == 0 || len + 9 > CLI_TIME_SIZE)
        (void)snprintf(buf, CLI_TIME_SIZE, "-");
    else
        (void)snprintf(buf + len, CLI_TIME_SIZE - len, ".%0*dZ", digits,
                       (int)(digits == 3 ? fraction / 1000 : fraction));
    return buf;
}

const char *cli_span_text(int64_t us, char buf[CLI_SPAN_SIZE])
{
    const double seconds = (double)us / 1e6;
    const long long minutes = (long long)(us / 60000000);

    if (us < 1000)
        (void)snprintf(buf, CLI_SPAN_SIZE, "%lldus", (long long)us);
    else if (us < 1000000)
        (void)snprintf(buf, CLI_SPAN_SIZE, "%lldms", (long long)(us / 1000));
    else if (us < 60000000)
        (void)snprintf(buf, CLI_SPAN_SIZE, "%.1fs", seconds);
    else if (minutes < 60)
        (void)snprintf(buf, CLI_SPAN_SIZE, "%lldm%02llds", minutes, (long long)(us / 1000000 % 60));
    else
        (void)snprintf(buf, CLI_SPAN_SIZE, "%lldh%02lldm", minutes / 60, minutes % 60);
    return buf;
}
