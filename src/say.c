/* say.c - a sentence for people */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kassert.h"
#include "say.h"
#include "utf8.h"

#define DOTS 3

void kedge_say_begin(struct kedge_say *s, char *to, size_t size)
{
    KEDGE_ASSERT(size > DOTS + 1);
    *s = (struct kedge_say){ .to = to, .room = size };
    to[0] = '\0';
}

/* All of it, or the dots. */
static void put(struct kedge_say *s, const void *what, size_t len)
{
    if (s->full)
        return;
    s->full = len > s->room - 1 - DOTS - s->len;
    if (s->full) {
        what = "...";
        len = DOTS;
    }
    memcpy(s->to + s->len, what, len);
    s->len += len;
    s->to[s->len] = '\0';
}

void kedge_say(struct kedge_say *s, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (const char *p = text; *p != '\0'; p++)
        put(s, p, 1);
}

/* The length of the printable character at P; 0: it is none. */
static size_t printable(const unsigned char *p, const unsigned char *end)
{
    size_t len;

    if (*p < 0x80)
        return *p >= ' ' && *p != 0x7f;
    len = kedge_utf8_length(p, end);
    return len == 2 && p[0] == 0xc2 && p[1] < 0xa0 ? 0 : len; /* U+0080 .. U+009F: controls */
}

void kedge_say_bytes(struct kedge_say *s, struct kedge_bytes bytes)
{
    const unsigned char *p = bytes.data;
    const unsigned char *end = bytes.len > 0 ? p + bytes.len : p;

    while (p < end && !s->full) {
        size_t len = printable(p, end);
        char hex[5];

        if (len > 0) {
            put(s, p, len);
            p += len;
            continue;
        }
        (void)snprintf(hex, sizeof hex, "\\x%02x", *p++);
        put(s, hex, 4);
    }
}

void kedge_say_why(struct kedge_say *s, struct kedge_bytes bytes)
{
    const char *p = bytes.data;

    while (bytes.len > 0 &&
           (p[bytes.len - 1] == '.' || p[bytes.len - 1] == ' ' || p[bytes.len - 1] == '\n'))
        bytes.len--;
    if (bytes.len == 0)
        return;
    kedge_say(s, ": ");
    kedge_say_bytes(s, bytes);
}

void kedge_say_time(struct kedge_say *s, int64_t us)
{
    int64_t ms = us / 1000;
    time_t seconds;
    struct tm tm;
    char text[40];

    if (us % 1000 < 0)
        ms--;
    seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        kedge_say(s, "the end of time");
        return;
    }
    kedge_say(s, "%s.%03dZ", text, (int)((ms % 1000 + 1000) % 1000));
}
