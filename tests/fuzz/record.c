/*
 * record.c - fuzz target: a record of a journal
 *
 * The input as it is, and once more with the format's number before it and the right checksum
 * behind it, as hardly any input has those by chance.  What is understood says the same after it
 * was written and read again.
 */
#include <config.h>

#include <string.h>

#include <kedge/store.h>

#include "../../src/record.h"
#include "fuzz.h"

static struct kedge_error err;

static int same_bytes(struct kedge_bytes a, struct kedge_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static int same(const struct kedge_rec *a, const struct kedge_rec *b)
{
    return a->kind == b->kind && a->step == b->step && a->action == b->action &&
           a->failures == b->failures && a->status == b->status && a->flags == b->flags &&
           a->number == b->number && a->delay_us == b->delay_us && a->has_value == b->has_value &&
           same_bytes(a->text, b->text) && same_bytes(a->steps, b->steps) &&
           same_bytes(a->writer, b->writer) && same_bytes(a->value, b->value);
}

static int is_within(struct kedge_bytes part, struct kedge_bytes whole)
{
    const unsigned char *p = part.data;
    const unsigned char *w = whole.data;

    return part.len == 0 || (p >= w && part.len <= whole.len && p + part.len <= w + whole.len);
}

static void written_and_read(const struct kedge_rec *rec)
{
    const struct kedge_host *host = kedge_host_default();
    struct kedge_buf *buf = kedge_record_encode(host, rec);
    struct kedge_rec again;

    MUST(buf != NULL);
    MUST(kedge_record_decode((struct kedge_bytes){ buf->data, buf->len }, &again, &err) ==
         KEDGE_OK);
    MUST(same(rec, &again));
    kedge_buf_drop(host, buf);
}

static void check(struct kedge_bytes bytes)
{
    struct kedge_record record = { .number = 7, .data = bytes };
    struct kedge_rec rec;
    struct kedge_bytes rest;
    uint64_t step;
    int rc = kedge_record_read(&record, &rec, &err);

    if (rc != KEDGE_OK) {
        MUST(rc == KEDGE_ERR_CORRUPT || rc == KEDGE_ERR_SCHEMA_NEW);
        MUST(err.code == rc && strstr(err.msg, "record 7") != NULL);
        return;
    }
    MUST(is_within(rec.text, bytes) && is_within(rec.steps, bytes));
    MUST(is_within(rec.writer, bytes) && is_within(rec.value, bytes));
    rest = rec.steps;
    while (rest.len > 0 && kedge_varint_read(&rest, &step))
        MUST(is_within(rest, bytes));
    written_and_read(&rec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *whole = malloc(size + 5);
    uint32_t sum;

    MUST(whole != NULL);
    check((struct kedge_bytes){ data, size });
    whole[0] = 1;
    if (size > 0)
        memcpy(whole + 1, data, size);
    sum = kedge_record_sum((struct kedge_bytes){ whole, size + 1 });
    for (unsigned i = 0; i < 4; i++)
        whole[size + 1 + i] = (uint8_t)(sum >> (8 * i));
    check((struct kedge_bytes){ whole, size + 5 });
    free(whole);
    return 0;
}
