/*
 * asked.h - how a request reaches the worker that holds the run
 *
 * A run that nobody holds is changed by whoever asks, in one commit with the record that says so.
 * One that is held is its holder's alone: whoever asks sets a request flag of the store and, in the
 * same commit, a cell that says who and why.  The holder appends the record, clears the flag and
 * deletes the cell in one commit.  A cell holds one encoded KEDGE_RECORD_REQUEST, without a
 * writer, as it is the holder who writes the record; the later one counts.
 */
#ifndef KEDGE_SRC_ASKED_H
#define KEDGE_SRC_ASKED_H

#include <kedge/backend.h>

#include "record.h"

#define KEDGE_REQUEST_CELL_ROOM 48

/* The cell beside flag BIT (KEDGE_REQUEST_CANCEL or _PAUSE) of the run with that incarnation, which
   is unique in its store.  Borrows TO. */
struct kedge_bytes kedge_request_cell(char to[KEDGE_REQUEST_CELL_ROOM], uint64_t incarnation,
                                      uint32_t bit);

/* The record in such a cell; without one (VALUE empty), or when it cannot be understood, a record
   that says as much as the flag alone.  Points into VALUE. */
void kedge_request_in_cell(struct kedge_bytes value, uint32_t bit, struct kedge_rec *rec);

/* How long a cell outlives a run that was faster than the request. */
#define KEDGE_REQUEST_CELL_US INT64_C(2592000000000)

#endif
