/* test_record.c - records of a journal: what goes in comes out, and nothing else does */
#include <config.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <kedge/store.h>

#include "../../src/record.h"

static const struct kedge_host *host;
static struct kedge_error err;

static void setup(void)
{
    host = kedge_host_default();
    memset(&err, 0, sizeof err);
}

static struct kedge_bytes bytes_of(const struct kedge_buf *buf)
{
    return (struct kedge_bytes){ buf->data, buf->len };
}

static void same_bytes(struct kedge_bytes a, struct kedge_bytes b)
{
    ck_assert_uint_eq(a.len, b.len);
    if (a.len > 0)
        ck_assert_mem_eq(a.data, b.data, a.len);
}

static void same(const struct kedge_rec *a, const struct kedge_rec *b)
{
    ck_assert_uint_eq(a->kind, b->kind);
    ck_assert_uint_eq(a->step, b->step);
    ck_assert_uint_eq(a->action, b->action);
    ck_assert_uint_eq(a->failures, b->failures);
    ck_assert_uint_eq(a->status, b->status);
    ck_assert_uint_eq(a->flags, b->flags);
    ck_assert_uint_eq(a->number, b->number);
    ck_assert_int_eq(a->delay_us, b->delay_us);
    ck_assert_int_eq(a->has_value, b->has_value);
    same_bytes(a->text, b->text);
    same_bytes(a->steps, b->steps);
    same_bytes(a->writer, b->writer);
    same_bytes(a->value, b->value);
}

static struct kedge_rec full(uint32_t kind)
{
    static const unsigned char steps[] = { 1, 0x81, 1 };
    static const char value[] = "[\0\xc3\xbc\xff]";
    struct kedge_rec rec = { 0 };

    rec.kind = kind;
    rec.step = 9999;
    rec.action = 2;
    rec.failures = 300;
    rec.status = 6;
    rec.flags = 0x80000001;
    rec.number = UINT64_MAX;
    rec.delay_us = INT64_MAX;
    rec.text = kedge_text("no luck");
    rec.steps = (struct kedge_bytes){ steps, sizeof steps };
    rec.writer = kedge_text("billing@host7:4711");
    rec.value = (struct kedge_bytes){ value, sizeof value - 1 };
    rec.has_value = 1;
    return rec;
}

static struct kedge_rec there_and_back(const struct kedge_rec *rec, struct kedge_buf **buf)
{
    struct kedge_rec out;

    *buf = kedge_record_encode(host, rec);
    ck_assert_ptr_nonnull(*buf);
    ck_assert_uint_eq((*buf)->refs, 1);
    ck_assert_msg(kedge_record_decode(bytes_of(*buf), &out, &err) == KEDGE_OK, "%s", err.msg);
    return out;
}

START_TEST(every_kind_goes_there_and_back)
{
    for (uint32_t kind = KEDGE_RECORD_BEGIN; kind <= KEDGE_RECORD_KINDS; kind++) {
        struct kedge_rec bare = { .kind = kind, .step = KEDGE_NO_STEP };
        struct kedge_rec rec = full(kind);
        struct kedge_rec out;
        struct kedge_buf *buf;

        out = there_and_back(&rec, &buf);
        same(&rec, &out);
        /* the value is the record's own bytes */
        ck_assert_ptr_eq((const unsigned char *)out.value.data + out.value.len + 4,
                         buf->data + buf->len);
        kedge_buf_drop(host, buf);
        out = there_and_back(&bare, &buf);
        same(&bare, &out);
        ck_assert_uint_eq(buf->len, 6);
        kedge_buf_drop(host, buf);
    }
}
END_TEST

START_TEST(an_empty_value_is_a_value)
{
    struct kedge_rec rec = { .kind = KEDGE_RECORD_DONE, .step = 0, .has_value = 1 };
    struct kedge_buf *buf;
    struct kedge_rec out = there_and_back(&rec, &buf);

    same(&rec, &out);
    kedge_buf_drop(host, buf);
}
END_TEST

START_TEST(overhead_is_small)
{
    static char value[100000];
    struct kedge_rec rec = { .kind = KEDGE_RECORD_DONE, .step = 9999, .failures = 3 };
    size_t sizes[] = { 0, 1, 127, 128, sizeof value };

    rec.has_value = 1;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct kedge_buf *buf;
        struct kedge_rec out;

        rec.value = (struct kedge_bytes){ value, sizes[i] };
        out = there_and_back(&rec, &buf);
        same(&rec, &out);
        ck_assert_uint_le(buf->len - sizes[i], 20);
        kedge_buf_drop(host, buf);
    }
}
END_TEST

START_TEST(long_texts_are_cut_at_a_character)
{
    char text[KEDGE_RECORD_TEXT_MAX + 8];
    struct kedge_rec rec = { .kind = KEDGE_RECORD_FAILED, .step = 1 };

    for (unsigned shift = 0; shift < 4; shift++) {
        struct kedge_buf *buf;
        struct kedge_rec out;

        memset(text, 'x', sizeof text);
        for (size_t i = shift; i + 4 <= sizeof text; i += 4) {
            /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): it is bytes, without an end */
            memcpy(text + i, "\xf0\x9f\x8c\x8a", 4);
        }
        rec.text = (struct kedge_bytes){ text, sizeof text };
        out = there_and_back(&rec, &buf);
        ck_assert_uint_eq(out.text.len, KEDGE_RECORD_TEXT_MAX - (shift == 0 ? 0 : 4 - shift));
        ck_assert_mem_eq(out.text.data, text, out.text.len);
        kedge_buf_drop(host, buf);
    }
    memset(text, 0x80, sizeof text); /* not UTF-8 at all: still cut */
    {
        struct kedge_buf *buf;
        struct kedge_rec out = there_and_back(&rec, &buf);

        ck_assert_uint_eq(out.text.len, KEDGE_RECORD_TEXT_MAX - 3);
        kedge_buf_drop(host, buf);
    }
}
END_TEST

START_TEST(every_truncation_and_every_flipped_bit_is_seen)
{
    struct kedge_rec rec = full(KEDGE_RECORD_DELAYED);
    struct kedge_buf *buf = kedge_record_encode(host, &rec);
    struct kedge_rec out;

    for (size_t len = 0; len < buf->len; len++) {
        unsigned char *copy = malloc(len + 1); /* an overrun is one of the heap */

        memcpy(copy, buf->data, len);
        ck_assert_int_eq(kedge_record_decode((struct kedge_bytes){ copy, len }, &out, &err),
                         KEDGE_ERR_CORRUPT);
        free(copy);
    }
    for (size_t bit = 0; bit < 8 * buf->len; bit++) {
        buf->data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert_int_eq(kedge_record_decode(bytes_of(buf), &out, &err), KEDGE_ERR_CORRUPT);
        buf->data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    ck_assert_int_eq(kedge_record_decode(bytes_of(buf), &out, &err), KEDGE_OK);
    kedge_buf_drop(host, buf);
}
END_TEST

/* Bytes with a right checksum: what does the grammar say? */
static int decode(const char *bytes, size_t len, struct kedge_rec *out)
{
    static unsigned char copy[256];
    uint32_t sum = (uint32_t)XXH3_64bits(bytes, len);

    memcpy(copy, bytes, len);
    for (unsigned i = 0; i < 4; i++)
        copy[len + i] = (unsigned char)(sum >> (8 * i));
    return kedge_record_decode((struct kedge_bytes){ copy, len + 4 }, out, &err);
}
#define DECODE(bytes) decode((bytes), sizeof(bytes) - 1, &out)

START_TEST(the_format_stays)
{
    struct kedge_rec out;

    ck_assert_int_eq(DECODE("\1\2\1\1\5\3\1\2\12\4null"), KEDGE_OK);
    ck_assert_uint_eq(out.kind, KEDGE_RECORD_DONE);
    ck_assert_uint_eq(out.step, 4);
    ck_assert_uint_eq(out.failures, 2);
    same_bytes(out.value, kedge_text("null"));
    same_bytes(out.writer, kedge_text(""));
    ck_assert_int_eq(DECODE("\1\2\1\1\5\x81\3w:1\12\4null"), KEDGE_OK);
    same_bytes(out.writer, kedge_text("w:1"));
    same_bytes(out.value, kedge_text("null"));
}
END_TEST

START_TEST(a_writer_is_one_of_the_fields_that_may_be_passed_over)
{
    struct kedge_rec with = { .kind = KEDGE_RECORD_DONE, .step = 4, .has_value = 1 };
    struct kedge_rec without = with;
    struct kedge_buf *bufs[2];
    char label[300];

    with.value = without.value = kedge_text("null");
    memset(label, 'x', sizeof label);
    with.writer = (struct kedge_bytes){ label, sizeof label };
    for (int i = 0; i < 2; i++)
        bufs[i] = kedge_record_encode(host, i == 0 ? &with : &without);
    /* Beside it they are alike, and its tag says that it may be passed over. */
    ck_assert_uint_eq(bufs[0]->len, bufs[1]->len + 3 + KEDGE_RECORD_WRITER_MAX);
    ck_assert_mem_eq(bufs[0]->data, bufs[1]->data, 5);
    ck_assert_uint_eq(bufs[0]->data[5], 0x81);
    ck_assert_mem_eq(bufs[0]->data + 8 + KEDGE_RECORD_WRITER_MAX, bufs[1]->data + 5, 6);
    for (int i = 0; i < 2; i++)
        kedge_buf_drop(host, bufs[i]);
}
END_TEST

START_TEST(what_is_newer_and_what_is_nonsense)
{
    struct kedge_rec out;

    /* optional fields, at any place before the value */
    ck_assert_int_eq(DECODE("\1\2\x80\0\1\1\5\xff\3abc\12\4null"), KEDGE_OK);
    ck_assert_uint_eq(out.step, 4);
    ck_assert_int_eq(DECODE("\1\2\12\4null\x80\0"), KEDGE_ERR_CORRUPT);
    ck_assert_int_eq(DECODE("\1\2\x80\5abc"), KEDGE_ERR_CORRUPT);

    ck_assert_int_eq(DECODE("\1\2\x81\1a\x81\1b"), KEDGE_ERR_CORRUPT); /* two writers */
    ck_assert_int_eq(DECODE("\1\2\x81\0"), KEDGE_ERR_CORRUPT);

    ck_assert_int_eq(DECODE("\1\2\13\0"), KEDGE_ERR_SCHEMA_NEW);
    ck_assert_int_eq(DECODE("\1\2\1\1\1\x7f\0"), KEDGE_ERR_SCHEMA_NEW);
    ck_assert_int_eq(DECODE("\2\2"), KEDGE_ERR_SCHEMA_NEW);
    ck_assert_int_eq(DECODE("\1\20"), KEDGE_ERR_SCHEMA_NEW);

    ck_assert_int_eq(DECODE("\0\2"), KEDGE_ERR_CORRUPT);
    ck_assert_int_eq(DECODE("\1\0"), KEDGE_ERR_CORRUPT);
    ck_assert_int_eq(DECODE("\1\2\0\0"), KEDGE_ERR_CORRUPT);
    ck_assert_int_eq(DECODE("\1\2\1\1\5\1\1\5"), KEDGE_ERR_CORRUPT); /* twice */
    ck_assert_int_eq(DECODE("\1\2\3\1\5\1\1\5"), KEDGE_ERR_CORRUPT); /* out of order */
    ck_assert_int_eq(DECODE("\1\2\1\1\0"), KEDGE_ERR_CORRUPT);       /* zero is left out */
    ck_assert_int_eq(DECODE("\1\2\1\0"), KEDGE_ERR_CORRUPT);         /* no number */
    ck_assert_int_eq(DECODE("\1\2\1\2\5\5"), KEDGE_ERR_CORRUPT);     /* two */
    ck_assert_int_eq(DECODE("\1\2\1\2\x85\0"), KEDGE_ERR_CORRUPT);   /* in a longer form */
    ck_assert_int_eq(DECODE("\1\2\1\1\x85"), KEDGE_ERR_CORRUPT);     /* half of one */
    ck_assert_int_eq(DECODE("\1\2\1\5\x80\x80\x80\x80\20"), KEDGE_ERR_CORRUPT); /* 2^32 */
    ck_assert_int_eq(DECODE("\1\2\7\12\x80\x80\x80\x80\x80\x80\x80\x80\x80\1"),
                     KEDGE_ERR_CORRUPT); /* a delay of 2^63 */
    ck_assert_int_eq(DECODE("\1\2\1"), KEDGE_ERR_CORRUPT);
    ck_assert_int_eq(DECODE("\1\2\11\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), KEDGE_ERR_CORRUPT);
}
END_TEST

START_TEST(varints)
{
    static const uint64_t values[] = { 0,     1,       127,        128,       16383,
                                       16384, 1 << 28, UINT32_MAX, INT64_MAX, UINT64_MAX };
    unsigned char room[10];

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        size_t len = (size_t)(kedge_varint_write(room, values[i]) - room);
        struct kedge_bytes from = { room, len };
        uint64_t v = 77;

        ck_assert_uint_le(len, 10);
        ck_assert_int_eq(kedge_varint_read(&from, &v), 1);
        ck_assert_uint_eq(v, values[i]);
        ck_assert_uint_eq(from.len, 0);
        ck_assert_int_eq(kedge_varint_read(&from, &v), 0);
        from = (struct kedge_bytes){ room, len - 1 };
        ck_assert_int_eq(kedge_varint_read(&from, &v), 0);
    }
    memset(room, 0xff, sizeof room);
    room[9] = 2;
    {
        struct kedge_bytes from = { room, sizeof room };
        uint64_t v;

        ck_assert_int_eq(kedge_varint_read(&from, &v), 0);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("record");
    TCase *tc = tcase_create("record");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, every_kind_goes_there_and_back);
    tcase_add_test(tc, an_empty_value_is_a_value);
    tcase_add_test(tc, overhead_is_small);
    tcase_add_test(tc, long_texts_are_cut_at_a_character);
    tcase_add_test(tc, every_truncation_and_every_flipped_bit_is_seen);
    tcase_add_test(tc, the_format_stays);
    tcase_add_test(tc, a_writer_is_one_of_the_fields_that_may_be_passed_over);
    tcase_add_test(tc, what_is_newer_and_what_is_nonsense);
    tcase_add_test(tc, varints);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
