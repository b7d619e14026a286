/*
 * view.h - rows of a store that is elsewhere, while commits are decided on them (inside the kit
 * only; remote.h says what for)
 *
 *   I1  A row is made once per call and keeps its address.  What it points to is never changed
 *       while a decision may still look at it: a write makes a new version.
 *   I2  The rows a decision looked at are noted with their stamps at that moment, before anything
 *       it writes.
 *   I3  A decision that missed a row, or that fails while it writes, leaves the rows as they were.
 */
#ifndef KEDGE_KIT_VIEW_H
#define KEDGE_KIT_VIEW_H

#include "remote.h"

/* What a callback of the view answers for a row that nobody has read yet. */
#define KIT_MISSED (-10000)

/* Records appended in this call. */
struct view_append {
    struct view_append *next;
    uint64_t first;
    uint64_t n;
    struct kedge_id128 request;
};

struct view_row {
    struct kit_row r; /* first: a kit_row of a view is one of these */
    struct view_row *chain;
    struct view_append *appends; /* RUN */
    uint32_t looked_by;          /* number of the decision that noted it last */
    bool pending;                /* written by a group that the store has not confirmed */
    bool asked;                  /* is in the list for the next look */
    bool blocked;                /* RUN: an earlier commit on it is waiting for a look */
};

/* A row before a decision wrote it. */
struct view_saved {
    struct view_row *row;
    struct {
        struct kit_row r;
        struct view_append *appends;
    } was;
};

/* Arrays that keep their memory from call to call. */
struct view_list {
    void *items;
    size_t n;
    size_t cap;
};

struct view {
    const struct kedge_host *host;
    struct kedge_mem *mem; /* of this call */
    struct view_list rows; /* struct view_row * */
    struct view_row **buckets;
    size_t n_buckets;
    struct view_list asked;   /* struct kit_row *: wanted from the next look */
    struct view_list expects; /* struct kit_expect, of the decision under way */
    struct view_list writes;  /* struct kit_write, likewise */
    struct view_list undo;    /* struct view_saved, likewise */
    uint32_t decision;
    bool missed;
    bool work;
    bool no_memory;
    const struct kedge_commit *commit; /* under decision; NULL for a lock */
    size_t n_fences;
};

extern const struct kit_store kit_view_store; /* its ctx is the view */

void kit_view_init(struct view *v, const struct kedge_host *host);
void kit_view_fini(struct view *v);
void kit_view_clear(struct view *v); /* the call is over */

/* NULL: no memory. */
void *kit_view_push(struct view *v, struct view_list *list, size_t size);
/* The row of that name, made if need be.  NULL: no memory (no_memory is set). */
struct view_row *kit_view_run(struct view *v, struct kedge_bytes id);
struct view_row *kit_view_lease(struct view *v, const struct kedge_id128 *id);
struct view_row *kit_view_named(struct view *v, uint32_t kind, struct kedge_bytes name);
struct view_row *kit_view_set(struct view *v, struct view_row *of, uint32_t set);
struct view_row *kit_view_slot(struct view *v, struct view_row *of, uint32_t set, uint32_t index);
/* Put ROW on the list for the next look. */
void kit_view_ask(struct view *v, struct view_row *row);

void kit_view_begin(struct view *v, const struct kedge_commit *commit);
/* Leave the rows as they were before the decision. */
void kit_view_undo(struct view *v);
/* The rows that were written are pending from now on. */
void kit_view_keep(struct view *v);
/* Replace placeholders in ROW's present version. */
void kit_view_settle(struct view_row *row, const uint64_t *fences);

#endif
