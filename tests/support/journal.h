/* journal.h - runs with a journal of one's own making, without a worker */
#ifndef KEDGE_TESTS_JOURNAL_H
#define KEDGE_TESTS_JOURNAL_H

#include <kedge/kedge.h>

#include "src/record.h"

/*
 * Claim the one run that is due, append RECS to it and let go of it: at rest with STATUS, or due
 * again in an hour when STATUS is 0.  Answers what the store does.
 */
int journal_write(struct kedge_store *store, const char *reactor, const struct kedge_rec *recs,
                  size_t n, uint32_t status);

/* Record the definition in the store, as a worker does. */
int journal_define(struct kedge_store *store, const struct kedge_reactor *reactor);

#endif
