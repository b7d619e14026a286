/*
 * record.h - one record of a run's journal, as bytes and as a struct
 *
 * Layout: version (1 byte), kind (1 byte), fields, checksum (4 bytes, low half of XXH3 over all
 * before it).  A field is a tag (1 byte), a length (varint) and that many bytes; numbers are
 * varints.  Tags with the high bit set may be passed over by a reader that does not know them;
 * others, kinds and a version it does not know make the record one of a newer kedge:
 * ERR_SCHEMA_NEW.  What does not fit the checksum or the grammar is ERR_CORRUPT.
 * The value comes last, so that it can be borrowed from the encoded record as it stands.
 *
 * Who wrote a record is told by the request id of its commit, which the store keeps with it
 * (args.h): the first 8 bytes are those of the writer's lease, or zeros when it was no worker.  The
 * label that goes with it is in the first record that a worker writes of a run since it took it,
 * and in each record of others: so it outlives the lease.
 */
#ifndef KEDGE_SRC_RECORD_H
#define KEDGE_SRC_RECORD_H

#include "buf.h"
#include <kedge/backend.h>

enum kedge_record_kind {
    KEDGE_RECORD_BEGIN = 1,   /* value: the run's input; number: its deadline (UTC, us), 0: none */
    KEDGE_RECORD_DONE = 2,    /* step, attempt; value: its result */
    KEDGE_RECORD_SKIPPED = 3, /* step; text: reason */
    KEDGE_RECORD_DELAYED = 4, /* step, failures, delay_us from the record's time; text: error.
                                 failures is 0 higher after a snooze */
    KEDGE_RECORD_FAILED = 5,  /* step, failures; text: error.  For good. */
    KEDGE_RECORD_HALTED = 6,  /* step; text: reason */
    KEDGE_RECORD_DOUBT = 7,   /* steps: may have run without a record */
    KEDGE_RECORD_CRASH_LOOP = 8,   /* number: recoveries; ends the forward run */
    KEDGE_RECORD_COMPENSATED = 9,  /* step */
    KEDGE_RECORD_UNDONE = 10,      /* step */
    KEDGE_RECORD_UNDO_FAILED = 11, /* step; text */
    KEDGE_RECORD_END = 12,         /* status, number: record of the result (0: none), step, text */
    KEDGE_RECORD_REQUEST = 13, /* number: enum kedge_verb; step or none; text: why; value: who */
    KEDGE_RECORD_ASIDE = 14,   /* text: why a worker could make nothing of the journal; number:
                                  recoveries, so that what the dead left is in doubt */
    KEDGE_RECORD_OVERDUE = 15  /* the deadline in BEGIN has passed; ends the forward run */
};
#define KEDGE_RECORD_KINDS KEDGE_RECORD_OVERDUE

/* Flags of DELAYED, FAILED and UNDO_FAILED: it ran out of time, and may yet take effect. */
#define KEDGE_RECORD_TIMED_OUT UINT32_C(1)

#define KEDGE_NO_STEP UINT32_MAX

struct kedge_rec {
    uint32_t kind;
    uint32_t step;     /* KEDGE_NO_STEP when it has none */
    uint32_t action;   /* of DELAYED: KEDGE_ACTION_...; 0 means run */
    uint32_t failures; /* failed attempts so far of that action */
    uint32_t status;
    uint32_t flags;
    uint64_t number;
    int64_t delay_us;
    struct kedge_bytes text;
    struct kedge_bytes steps;  /* DOUBT: varints */
    struct kedge_bytes writer; /* label of who wrote it; empty: not told here */
    struct kedge_bytes value;  /* borrowed */
    int has_value;
};

/* Longest text that is kept; longer ones are cut at a character. */
#define KEDGE_RECORD_TEXT_MAX 1024

/* Longest label of a writer; likewise. */
#define KEDGE_RECORD_WRITER_MAX 255

/* At most MOST bytes of TEXT, and no half of a UTF-8 character at the end. */
struct kedge_bytes kedge_text_cut(struct kedge_bytes text, size_t most);

/* All in a record but its value is less than that. */
#define KEDGE_RECORD_ROOM 4096

/* Encode; the result is held once.  NULL: no memory. */
struct kedge_buf *kedge_record_encode(const struct kedge_host *host, const struct kedge_rec *rec);

/* Decode; REC borrows from BYTES.  OK, ERR_CORRUPT, ERR_SCHEMA_NEW. */
int kedge_record_decode(struct kedge_bytes bytes, struct kedge_rec *rec, struct kedge_error *err);
/* The same of one in a journal: what is wrong is told with its number. */
int kedge_record_read(const struct kedge_record *record, struct kedge_rec *rec,
                      struct kedge_error *err);

/* DELAYED, recorded at TIME: when it goes on.  So far off that it cannot be told: the end of time.
 */
int64_t kedge_record_until(const struct kedge_rec *rec, int64_t time);

/* The checksum of a record, and of a snapshot. */
uint32_t kedge_record_sum(struct kedge_bytes bytes);

/* Varints, for DOUBT and the snapshot.  write: room for 10 bytes, answers the new end.  read:
   answers 0 at the end or for nonsense. */
unsigned char *kedge_varint_write(unsigned char *to, uint64_t value);
int kedge_varint_read(struct kedge_bytes *from, uint64_t *value);

#endif
