/* utf8.h - what is a character */
#ifndef KEDGE_SRC_UTF8_H
#define KEDGE_SRC_UTF8_H

#include <stddef.h>

/* The length of the character of two bytes or more at P, 0 if it is malformed (RFC 3629). */
static inline size_t kedge_utf8_length(const unsigned char *p, const unsigned char *end)
{
    unsigned char lead = *p;
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (lead < 0xc2 || lead > 0xf4 || (size_t)(end - p) < len)
        return 0;
    /* The second byte tells overlong forms, surrogates, and what is beyond U+10FFFF. */
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

#endif
