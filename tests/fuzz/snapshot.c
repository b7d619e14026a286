/*
 * snapshot.c - fuzz target: a snapshot of any bytes, with a checksum that fits, and records after
 * it
 *
 * Anything may be refused, and what is not refused may say what no run could have come to; but
 * nothing breaks that works with it, and what it says can be written down.
 */
#include <config.h>

#include <string.h>

#include "fold_kit.h"

static struct kedge_error err;

static struct kedge_progress *load(const struct kedge_reactor *reactor, struct kedge_bytes body,
                                   int *rc)
{
    unsigned char *data = malloc(body.len + 4);
    struct kedge_progress *p;
    uint32_t sum;

    MUST(data != NULL);
    if (body.len > 0)
        memcpy(data, body.data, body.len);
    sum = kedge_record_sum((struct kedge_bytes){ data, body.len });
    for (unsigned i = 0; i < 4; i++)
        data[body.len + i] = (unsigned char)(sum >> (8 * i));
    p = fold_load(reactor, (struct kedge_bytes){ data, body.len + 4 }, rc);
    free(data);
    return p;
}

static void read_texts(struct kedge_progress *p)
{
    struct kedge_rec rec = { .kind = 1, .step = KEDGE_NO_STEP };

    rec.text = kedge_text("text");
    for (unsigned n = 0; kedge_progress_unread(p) != 0; n++) {
        MUST(n < 4);
        MUST(kedge_progress_read(p, &rec, &err) == KEDGE_OK);
    }
}

/* All that a worker or a reader would do with it; in the end it is of no more use. */
static void use(const struct kedge_reactor *reactor, struct kedge_progress *p, int64_t now)
{
    struct kedge_bytes snapshot = fold_snapshot(p);
    struct kedge_rec rec;
    int rc;

    kedge_progress_free(fold_load(reactor, snapshot, &rc));
    free((void *)(uintptr_t)snapshot.data);
    fold_ask(reactor, p, now);
    read_texts(p);
    fold_start(reactor, p, now);
    fold_start(reactor, p, INT64_MAX);
    (void)kedge_progress_doubt(p, now, 1, &rec);
    if (kedge_progress_end(p, &rec))
        (void)fold_apply_rec(p, &rec, now);
    fold_ask(reactor, p, now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fold_input in = { data, size };
    const struct kedge_reactor *reactor = fold_reactor(fold_byte(&in));
    struct kedge_bytes body = fold_bytes(&in, fold_byte(&in));
    struct fold_journal j = { .n = 0 };
    int rc;
    struct kedge_progress *p = load(reactor, body, &rc);

    if (rc != KEDGE_OK)
        MUST(rc == KEDGE_ERR_CORRUPT || rc == KEDGE_ERR_SCHEMA_NEW);
    while (rc == KEDGE_OK && fold_next(&in, &j)) {
        const struct kedge_buf *buf = j.line[j.n + 1];
        struct kedge_rec rec;

        MUST(kedge_record_decode((struct kedge_bytes){ buf->data, buf->len }, &rec, &err) ==
             KEDGE_OK);
        j.n++;
        rc = fold_apply_rec(p, &rec, j.time[j.n]);
        if (rc == KEDGE_OK)
            fold_ask(reactor, p, j.time[j.n]);
    }
    if (rc == KEDGE_OK)
        use(reactor, p, j.n > 0 ? j.time[j.n] : 1000);
    kedge_progress_free(p);
    fold_forget(&j);
    return 0;
}
