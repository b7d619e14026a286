/* reader.h - one call of the public face: its store, a session of it, its time */
#ifndef KEDGE_SRC_READER_H
#define KEDGE_SRC_READER_H

#include <stdbool.h>

#include "reactor.h"
#include "session.h"

/* Between one attempt and the next: from this, doubled, to that. */
#define KEDGE_PAUSE_FIRST_US INT64_C(1000)
#define KEDGE_PAUSE_MOST_US  INT64_C(50000)

struct kedge_reader {
    struct kedge_store *store;
    const struct kedge_backend_ops *ops;
    const struct kedge_host *host;
    void *session;
    int64_t deadline;
};

/* Checks STORE and TIMEOUT_US and gets a session. */
int kedge_reader_begin(struct kedge_reader *r, struct kedge_store *store, int64_t timeout_us,
                       struct kedge_error *err);
void kedge_reader_end(struct kedge_reader *r);

/* While somebody's callback runs, or while we sleep, others may have the session. */
void kedge_reader_pause(struct kedge_reader *r);
int kedge_reader_resume(struct kedge_reader *r, struct kedge_error *err);

/* Timeout for the next call of the store.  One that does not have to wait succeeds, however much
   time those before it took: a long walk is not a long wait. */
int64_t kedge_reader_time(const struct kedge_reader *r);

/* Send COMMIT once, under its request id.  Answers its outcome; failures with a message. */
int kedge_reader_send(struct kedge_reader *r, const struct kedge_commit *commit,
                      struct kedge_answer *answer, struct kedge_error *err);

/*
 * Send COMMIT under a request id of its own, and again as it is while its answer never comes and
 * there is time.  Answers its outcome; sets *DOUBT if an answer never came: it may have been
 * carried out then, whatever this answers.
 */
int kedge_reader_commit(struct kedge_reader *r, struct kedge_commit *commit,
                        struct kedge_answer *answer, bool *doubt, struct kedge_error *err);

int kedge_reader_head(struct kedge_reader *r, struct kedge_bytes id, struct kedge_run_state *state,
                      struct kedge_error *err);

/* The definition of the run's reactor; OK and NULL when the store does not have it. */
int kedge_reader_definition(struct kedge_reader *r, const struct kedge_run *run,
                            struct kedge_reactor **reactor, struct kedge_error *err);

/* The name of a step: from the definition, or "step N" in BUF. */
#define KEDGE_STEP_NAME_ROOM 24
const char *kedge_reader_step_name(const struct kedge_reactor *reactor, uint32_t step,
                                   char buf[KEDGE_STEP_NAME_ROOM]);

/*
 * Call EACH for all leases, in the order of their ids, as long as it answers 0; answers what the
 * last one did.  EACH may pause the reader.  What it is handed is valid during the call, or, with
 * KEEP, until the caller frees *KEEP.
 */
typedef int kedge_reader_lease_fn(void *ctx, struct kedge_reader *r,
                                  const struct kedge_lease *lease, struct kedge_error *err);
int kedge_reader_leases(struct kedge_reader *r, kedge_reader_lease_fn *each, void *ctx,
                        struct kedge_mem **keep, struct kedge_error *err);

/* Hang MEM onto *TO, to be freed with it. */
void kedge_reader_keep(struct kedge_mem **to, struct kedge_mem *mem);

#endif
