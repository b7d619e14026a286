/* record.c - records of a journal, as bytes and back */
#include <config.h>

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "kassert.h"
#include "record.h"

#define FORMAT 1u
#define SUM    4u
#define HEAD   2u /* version, kind */

/* Fields are written in the order of their tags.  From OPTIONAL on a reader may pass them over. */
enum tag {
    TAG_STEP = 1,
    TAG_ACTION = 2,
    TAG_FAILURES = 3,
    TAG_STATUS = 4,
    TAG_FLAGS = 5,
    TAG_NUMBER = 6,
    TAG_DELAY = 7,
    TAG_STEPS = 8,
    TAG_TEXT = 9,
    TAG_VALUE = 10,
    TAG_OPTIONAL = 0x80,
    TAG_WRITER = 0x81 /* before the value, which is last */
};

/* ------------------------------------------------------------------- numbers */

unsigned char *kedge_varint_write(unsigned char *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (unsigned char)(value | 0x80);
    *to++ = (unsigned char)value;
    return to;
}

/* Only what kedge_varint_write() writes is a number: nothing has two forms. */
int kedge_varint_read(struct kedge_bytes *from, uint64_t *value)
{
    const unsigned char *p = from->data;
    uint64_t v = 0;

    for (size_t i = 0; i < from->len && i < 10; i++) {
        if (i == 9 && p[i] > 1)
            return 0;
        v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if (p[i] < 0x80) {
            if (p[i] == 0 && i > 0)
                return 0;
            *value = v;
            from->data = p + i + 1;
            from->len -= i + 1;
            return 1;
        }
    }
    return 0;
}

static size_t varint_size(uint64_t value)
{
    size_t n = 1;

    while (value >= 0x80) {
        value >>= 7;
        n++;
    }
    return n;
}

uint32_t kedge_record_sum(struct kedge_bytes bytes)
{
    return (uint32_t)XXH3_64bits(bytes.data, bytes.len);
}

/* -------------------------------------------------------------------- encode */

/* Numbers that are zero are not written; no step is not written either. */
struct number {
    uint32_t tag;
    uint64_t value;
};
#define N_NUMBERS 7

static void numbers_of(const struct kedge_rec *rec, struct number n[N_NUMBERS])
{
    /* One more, so that the absence of a step is the zero. */
    n[0] = (struct number){ TAG_STEP, rec->step == KEDGE_NO_STEP ? 0 : (uint64_t)rec->step + 1 };
    n[1] = (struct number){ TAG_ACTION, rec->action };
    n[2] = (struct number){ TAG_FAILURES, rec->failures };
    n[3] = (struct number){ TAG_STATUS, rec->status };
    n[4] = (struct number){ TAG_FLAGS, rec->flags };
    n[5] = (struct number){ TAG_NUMBER, rec->number };
    n[6] = (struct number){ TAG_DELAY, (uint64_t)rec->delay_us };
}

struct kedge_bytes kedge_text_cut(struct kedge_bytes text, size_t most)
{
    const unsigned char *p = text.data;
    size_t len = most;

    if (text.len <= len)
        return text;
    for (int i = 0; i < 3 && (p[len] & 0xc0) == 0x80; i++)
        len--;
    return (struct kedge_bytes){ text.data, len };
}

static size_t field_size(struct kedge_bytes field)
{
    return 1 + varint_size(field.len) + field.len;
}

static unsigned char *put_field(unsigned char *to, uint32_t tag, struct kedge_bytes field)
{
    *to++ = (unsigned char)tag;
    to = kedge_varint_write(to, field.len);
    if (field.len > 0)
        memcpy(to, field.data, field.len);
    return to + field.len;
}

static unsigned char *put_number(unsigned char *to, const struct number *number)
{
    *to++ = (unsigned char)number->tag;
    *to++ = (unsigned char)varint_size(number->value);
    return kedge_varint_write(to, number->value);
}

static unsigned char *put_sum(unsigned char *to, uint32_t sum)
{
    for (unsigned i = 0; i < SUM; i++)
        *to++ = (unsigned char)(sum >> (8 * i));
    return to;
}

static size_t encoded_size(const struct kedge_rec *rec, const struct number *n,
                           struct kedge_bytes text, struct kedge_bytes writer)
{
    size_t size = HEAD + SUM;

    for (unsigned i = 0; i < N_NUMBERS; i++)
        size += n[i].value != 0 ? 2 + varint_size(n[i].value) : 0;
    size += rec->steps.len > 0 ? field_size(rec->steps) : 0;
    size += text.len > 0 ? field_size(text) : 0;
    size += writer.len > 0 ? field_size(writer) : 0;
    size += rec->has_value ? field_size(rec->value) : 0;
    return size;
}

struct kedge_buf *kedge_record_encode(const struct kedge_host *host, const struct kedge_rec *rec)
{
    struct kedge_bytes text = kedge_text_cut(rec->text, KEDGE_RECORD_TEXT_MAX);
    struct kedge_bytes writer = kedge_text_cut(rec->writer, KEDGE_RECORD_WRITER_MAX);
    struct number n[N_NUMBERS];
    struct kedge_buf *buf;
    unsigned char *to;

    KEDGE_ASSERT(rec->delay_us >= 0);
    KEDGE_ASSERT(rec->kind >= KEDGE_RECORD_BEGIN && rec->kind <= KEDGE_RECORD_KINDS);
    if (rec->value.len > SIZE_MAX / 4 || rec->steps.len > SIZE_MAX / 4)
        return NULL;
    numbers_of(rec, n);
    buf = kedge_buf_new(host, encoded_size(rec, n, text, writer));
    if (buf == NULL)
        return NULL;
    to = buf->data;
    *to++ = FORMAT;
    *to++ = (unsigned char)rec->kind;
    for (unsigned i = 0; i < N_NUMBERS; i++) {
        if (n[i].value != 0)
            to = put_number(to, &n[i]);
    }
    if (rec->steps.len > 0)
        to = put_field(to, TAG_STEPS, rec->steps);
    if (text.len > 0)
        to = put_field(to, TAG_TEXT, text);
    if (writer.len > 0)
        to = put_field(to, TAG_WRITER, writer);
    if (rec->has_value)
        to = put_field(to, TAG_VALUE, rec->value);
    to = put_sum(to, kedge_record_sum((struct kedge_bytes){ buf->data, buf->len - SUM }));
    KEDGE_ASSERT(to == buf->data + buf->len);
    return buf;
}

/* -------------------------------------------------------------------- decode */

static int corrupt(struct kedge_error *err, const char *what)
{
    return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0, "it %s", what);
}

static int newer(struct kedge_error *err, const char *what, unsigned number)
{
    return kedge_error_set(err, KEDGE_ERR_SCHEMA_NEW, 0,
                           "it was written by a newer kedge: its %s %u is not known", what, number);
}

/* A field that is one number, at most MAX. */
static int number_in(struct kedge_bytes field, uint64_t max, uint64_t *value)
{
    return kedge_varint_read(&field, value) && field.len == 0 && *value != 0 && *value <= max;
}

static int number_in32(struct kedge_bytes field, uint32_t *value)
{
    uint64_t v;

    if (!number_in(field, UINT32_MAX, &v))
        return 0;
    *value = (uint32_t)v;
    return 1;
}

/* Answers 0 for nonsense. */
static int take_number(struct kedge_rec *rec, uint32_t tag, struct kedge_bytes field)
{
    uint64_t v;

    switch (tag) {
    case TAG_STEP:
        if (!number_in(field, UINT32_MAX, &v))
            return 0;
        rec->step = (uint32_t)(v - 1);
        return 1;
    case TAG_ACTION:
        return number_in32(field, &rec->action);
    case TAG_FAILURES:
        return number_in32(field, &rec->failures);
    case TAG_STATUS:
        return number_in32(field, &rec->status);
    case TAG_FLAGS:
        return number_in32(field, &rec->flags);
    case TAG_NUMBER:
        return number_in(field, UINT64_MAX, &rec->number);
    default: /* TAG_DELAY */
        if (!number_in(field, INT64_MAX, &v))
            return 0;
        rec->delay_us = (int64_t)v;
        return 1;
    }
}

/* Those that it does not know are passed over. */
static int take_optional(struct kedge_rec *rec, uint32_t tag, struct kedge_bytes field)
{
    if (tag != TAG_WRITER)
        return 1;
    if (field.len == 0 || field.len > KEDGE_RECORD_WRITER_MAX || rec->writer.len > 0)
        return 0;
    rec->writer = field;
    return 1;
}

static int take_field(struct kedge_rec *rec, uint32_t tag, struct kedge_bytes field)
{
    switch (tag) {
    case TAG_STEPS:
        rec->steps = field;
        return field.len > 0;
    case TAG_TEXT:
        rec->text = field;
        return field.len > 0 && field.len <= KEDGE_RECORD_TEXT_MAX;
    case TAG_VALUE:
        rec->value = field;
        rec->has_value = 1;
        return 1;
    default:
        return tag < TAG_OPTIONAL ? take_number(rec, tag, field) : take_optional(rec, tag, field);
    }
}

/* The next field of REST; answers 0 when it is not whole. */
static int next_field(struct kedge_bytes *rest, uint32_t *tag, struct kedge_bytes *field)
{
    const unsigned char *p = rest->data;
    uint64_t len;

    *tag = p[0];
    rest->data = p + 1;
    rest->len--;
    if (!kedge_varint_read(rest, &len) || len > rest->len)
        return 0;
    field->data = rest->data;
    field->len = (size_t)len;
    rest->data = (const unsigned char *)rest->data + field->len;
    rest->len -= field->len;
    return 1;
}

static int decode_fields(struct kedge_bytes rest, struct kedge_rec *rec, struct kedge_error *err)
{
    struct kedge_bytes field;
    uint32_t last = 0;
    uint32_t tag;

    while (rest.len > 0) {
        if (rec->has_value)
            return corrupt(err, "goes on after its value");
        if (!next_field(&rest, &tag, &field))
            return corrupt(err, "has a field that is not whole");
        if (tag < TAG_OPTIONAL && tag <= last)
            return corrupt(err, "has a field twice or out of order");
        if (tag < TAG_OPTIONAL && tag > TAG_VALUE)
            return newer(err, "field", tag);
        if (!take_field(rec, tag, field))
            return corrupt(err, "has a field with a bad value");
        if (tag < TAG_OPTIONAL)
            last = tag;
    }
    return KEDGE_OK;
}

/*
 * The checksum comes first: in records of all versions it is the last four bytes, and without it
 * a flipped bit in the first byte would pass for a newer kedge.
 */
int kedge_record_decode(struct kedge_bytes bytes, struct kedge_rec *rec, struct kedge_error *err)
{
    const unsigned char *p = bytes.data;
    unsigned char sum[SUM];

    memset(rec, 0, sizeof *rec);
    rec->step = KEDGE_NO_STEP;
    if (bytes.len < HEAD + SUM)
        return corrupt(err, "is too short");
    put_sum(sum, kedge_record_sum((struct kedge_bytes){ p, bytes.len - SUM }));
    if (memcmp(sum, p + bytes.len - SUM, SUM) != 0)
        return corrupt(err, "does not fit its checksum");
    if (p[0] == 0 || p[1] == 0)
        return corrupt(err, "has version or kind 0");
    if (p[0] != FORMAT)
        return newer(err, "version", p[0]);
    if (p[1] > KEDGE_RECORD_KINDS)
        return newer(err, "kind", p[1]);
    rec->kind = p[1];
    return decode_fields((struct kedge_bytes){ p + HEAD, bytes.len - HEAD - SUM }, rec, err);
}

int kedge_record_read(const struct kedge_record *record, struct kedge_rec *rec,
                      struct kedge_error *err)
{
    struct kedge_error why;
    int rc = kedge_record_decode(record->data, rec, &why);

    if (rc == KEDGE_OK)
        return rc;
    return kedge_error_set(err, rc, 0, "record %llu, of %llu bytes: %s",
                           (unsigned long long)record->number, (unsigned long long)record->data.len,
                           why.msg);
}

int64_t kedge_record_until(const struct kedge_rec *rec, int64_t time)
{
    return rec->delay_us > 0 && time > INT64_MAX - 1 - rec->delay_us ? INT64_MAX - 1
                                                                     : time + rec->delay_us;
}
