/*
 * fold_kit.h - for targets that fold a journal: definitions, records in an input, all the questions
 *
 * In an input a record is a length, a time, and that many bytes: its kind and its fields, without
 * the format's number before them and the checksum behind.
 */
#ifndef KEDGE_TESTS_FUZZ_FOLD_KIT_H
#define KEDGE_TESTS_FUZZ_FOLD_KIT_H

#include "../../src/progress.h"
#include "fuzz.h"

#define FOLD_RECORDS_MAX 64u

extern const struct kedge_host *fold_host;

/* One of a few: a chain, a diamond, steps side by side, ...  Valid for ever. */
const struct kedge_reactor *fold_reactor(unsigned which);

struct fold_input {
    const uint8_t *at;
    size_t left;
};
/* The next N bytes, or as many as there are. */
struct kedge_bytes fold_bytes(struct fold_input *in, size_t n);
uint8_t fold_byte(struct fold_input *in); /* 0 at the end */

struct fold_journal {
    uint64_t n;
    struct kedge_buf *line[FOLD_RECORDS_MAX + 1]; /* from 1 on */
    int64_t time[FOLD_RECORDS_MAX + 1];
};
void fold_forget(struct fold_journal *j);

/* The next record that can be decoded, as entry n + 1, which it does not count yet.  Answers 0 at
   the end of the input or of the room. */
int fold_next(struct fold_input *in, struct fold_journal *j);
/* Apply entry NUMBER. */
int fold_apply(struct kedge_progress *p, const struct fold_journal *j, uint64_t number);
/* Apply REC after all that was applied, as if it had been written and read. */
int fold_apply_rec(struct kedge_progress *p, const struct kedge_rec *rec, int64_t time);

/* A snapshot of P; free() its data. */
struct kedge_bytes fold_snapshot(struct kedge_progress *p);
struct kedge_progress *fold_load(const struct kedge_reactor *reactor, struct kedge_bytes snapshot,
                                 int *rc);

/* Ask P all there is to ask at NOW; changes nothing of it. */
void fold_ask(const struct kedge_reactor *reactor, const struct kedge_progress *p, int64_t now);
/* Start all that can be started, and give it back. */
void fold_start(const struct kedge_reactor *reactor, struct kedge_progress *p, int64_t now);

#endif
