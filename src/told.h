/*
 * told.h - what the whole journal of a run tells: of its steps, and why it stands where it stands
 *
 * A snapshot says where a run stands, not when what happened, so the journal is read from its first
 * record on, up to where the head says it ended.  With the reactor's definition in the store the
 * states are those that a worker would go on from; without it, or after a record that cannot be
 * understood, only what the other records say can be told.
 */
#ifndef KEDGE_SRC_TOLD_H
#define KEDGE_SRC_TOLD_H

#include <stdbool.h>

#include <kedge/run.h>

#include "progress.h"
#include "reader.h"

/* What the records say about one step. */
struct kedge_told_step {
    uint32_t kind; /* of the last record about it; 0: none */
    uint32_t failures;
    bool in_doubt;
    bool snoozed; /* DELAYED, and not because it failed */
    uint64_t value_record;
    int64_t time;
    int64_t until;
    struct kedge_bytes value;
    struct kedge_bytes error;
};

/* A record of the run as a whole: the last one of its sort; kind 0: there is none. */
struct kedge_told_record {
    struct kedge_rec rec;
    uint64_t number;
    int64_t time;
};

struct kedge_told {
    const struct kedge_host *host;
    struct kedge_mem *mem;           /* what all this borrows from */
    struct kedge_reactor *reactor;   /* NULL: no definition */
    struct kedge_progress *progress; /* NULL: no definition, or the journal makes no sense by it */
    struct kedge_told_step *steps;
    uint32_t n; /* in `steps' */
    uint32_t room;
    int unreadable; /* ERR_CORRUPT or ERR_SCHEMA_NEW: of the first record that makes no sense */
    struct kedge_error why;
    int64_t time; /* of the last record */
    struct kedge_told_record end;
    struct kedge_told_record aside;
    struct kedge_told_record crash_loop;
    struct kedge_told_record pause; /* a request that no resume has followed */
    struct kedge_told_record abandon;
};

/* Read what is told of RUN, whose head it is.  OK also when T->unreadable.  T is to be freed in any
   case. */
int kedge_told_read(struct kedge_told *t, struct kedge_reader *r, const struct kedge_run *run,
                    struct kedge_error *err);
void kedge_told_free(struct kedge_told *t);

/* Steps that something may be known of: 0 .. so many - 1.  Is anything? */
uint32_t kedge_told_steps(const struct kedge_told *t);
bool kedge_told_knows(const struct kedge_told *t, uint32_t step);
/* INFO borrows NAME, and from T. */
void kedge_told_step(const struct kedge_told *t, uint32_t step, struct kedge_step_info *info,
                     char name[KEDGE_STEP_NAME_ROOM]);

#endif
