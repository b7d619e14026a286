/*
 * hdr_log.c - the encoding of a histogram, see hdr_log.h
 *
 * Counts up to the largest value, each a zigzag number of base 128, runs of zeros as one negative
 * number; within a zlib stream (here of blocks that are stored as they are), in base 64.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "hdr/hdr_histogram.h"
#include "hdr_log.h"

#define COOKIE         UINT32_C(0x1c849313)
#define COOKIE_ZLIB    UINT32_C(0x1c849314)
#define HEAD_BYTES     40
#define BLOCK_MOST     65535u
#define NUMBER_MOST    9
#define ZLIB_HEAD      UINT32_C(0x7801)
#define ADLER_MODULUS  65521u
#define BITS_OF_DOUBLE UINT64_C(0x3ff0000000000000) /* 1.0: values are what they are */

struct buffer {
    uint8_t *v;
    size_t n;
};

static void put_be(struct buffer *b, uint64_t value, unsigned bytes)
{
    while (bytes-- > 0)
        b->v[b->n++] = (uint8_t)(value >> 8 * bytes);
}

static void put_number(struct buffer *b, int64_t n)
{
    uint64_t z = (uint64_t)n << 1 ^ (uint64_t)(n >> 63);

    for (unsigned i = 1; z >= 0x80 && i < NUMBER_MOST; i++, z >>= 7)
        b->v[b->n++] = (uint8_t)(z | 0x80);
    b->v[b->n++] = (uint8_t)z;
}

static int32_t counts_used(const struct hdr_histogram *h)
{
    int32_t n = h->counts_len;

    while (n > 0 && h->counts[n - 1] == 0)
        n--;
    return n;
}

static struct buffer encoded(const struct hdr_histogram *h)
{
    int32_t n = counts_used(h);
    struct buffer b = { must_alloc((size_t)n + 1, NUMBER_MOST + HEAD_BYTES), 0 };
    size_t length_at;
    size_t end;

    put_be(&b, COOKIE, 4);
    length_at = b.n;
    put_be(&b, 0, 4);
    put_be(&b, 0, 4);
    put_be(&b, (uint64_t)h->significant_figures, 4);
    put_be(&b, (uint64_t)h->lowest_discernible_value, 8);
    put_be(&b, (uint64_t)h->highest_trackable_value, 8);
    put_be(&b, BITS_OF_DOUBLE, 8);
    for (int32_t i = 0; i < n;) {
        int64_t zeros = 0;

        while (i < n && h->counts[i] == 0) {
            zeros++;
            i++;
        }
        put_number(&b, zeros > 0 ? -zeros : h->counts[i++]);
    }
    end = b.n;
    b.n = length_at;
    put_be(&b, end - HEAD_BYTES, 4);
    b.n = end;
    return b;
}

static uint32_t adler(const struct buffer *b)
{
    uint32_t low = 1;
    uint32_t high = 0;

    for (size_t i = 0; i < b->n; i++) {
        low = (low + b->v[i]) % ADLER_MODULUS;
        high = (high + low) % ADLER_MODULUS;
    }
    return high << 16 | low;
}

static struct buffer stored(const struct buffer *in)
{
    size_t room = in->n + 5 * (in->n / BLOCK_MOST + 1) + 16;
    struct buffer out = { must_alloc(1, room), 0 };
    size_t end;

    put_be(&out, COOKIE_ZLIB, 4);
    put_be(&out, 0, 4);
    put_be(&out, ZLIB_HEAD, 2);
    for (size_t at = 0; at < in->n; at += BLOCK_MOST) {
        size_t len = in->n - at < BLOCK_MOST ? in->n - at : BLOCK_MOST;

        out.v[out.n++] = at + len == in->n; /* the last one */
        for (unsigned i = 0; i < 4; i++)
            out.v[out.n++] = (uint8_t)((i < 2 ? len : ~len) >> 8 * (i % 2));
        memcpy(out.v + out.n, in->v + at, len);
        out.n += len;
    }
    put_be(&out, adler(in), 4);
    end = out.n;
    out.n = 4;
    put_be(&out, end - 8, 4);
    out.n = end;
    return out;
}

static char *base64(const struct buffer *b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = must_alloc(b->n / 3 + 2, 4);
    size_t n = 0;

    for (size_t at = 0; at < b->n; at += 3) {
        uint32_t bits = 0;

        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (at + i < b->n ? b->v[at + i] : 0);
        for (size_t i = 0; i < 4; i++)
            text[n++] = at + i > b->n ? '=' : digits[bits >> (18 - 6 * i) & 63];
    }
    return text;
}

char *hdr_text(const struct samples *s)
{
    struct buffer plain;
    struct buffer whole;
    char *text;

    if (samples_n(s) == 0)
        return must_alloc(1, 1);
    plain = encoded(s->h);
    whole = stored(&plain);
    text = base64(&whole);
    free(plain.v);
    free(whole.v);
    return text;
}

void hdr_log_head(FILE *out, const char *what)
{
    (void)fprintf(out,
                  "#[%s; values in ns]\n#[Histogram log format version 1.3]\n"
                  "#[StartTime: 0.000 (seconds since epoch)]\n"
                  "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
                  "\"Interval_Compressed_Histogram\"\n",
                  what);
}

void hdr_log_line(FILE *out, const char *tag, double start_s, double length_s, double max_us,
                  const char *text)
{
    (void)fprintf(out, "Tag=%s,%.3f,%.3f,%.3f,%s\n", tag, start_s, length_s, max_us / 1e3, text);
}
