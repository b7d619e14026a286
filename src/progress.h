/*
 * progress.h - how far a run is: the fold of its journal over its definition
 *
 * Pure: no store, no clock, no thread.  The same kedge_progress_apply() is fed by replay and by the
 * live run, so that a recovered run stands where the lost one stood.
 *
 *      FORWARD --step failed for good, crash loop,--> STOPPING --none running--> BACK --> ENDED
 *         |  \    deadline, cancel                                                ^
 *         |   \--step halted--> HALTING --none running--> ENDED (halted)
 *         |                       \--step failed, cancel--> STOPPING (failure beats halt)
 *         \--all done or skipped--> ENDED (completed)
 *
 * A request leads on from ENDED: undo (completed, halted) and the verbs for stuck runs to BACK,
 * retry (failed, cancelled) to FORWARD.
 *
 * Invariants
 *   1. An action is handed out only when every step it needs is applied as DONE or SKIPPED, and
 *      only in FORWARD (run) or BACK (compensate, undo).
 *   2. In BACK actions are handed out one at a time: steps that began and came to no good end and
 *      have a compensate, in the table's order; then done steps that have an undo, newest first.  A
 *      step is not undone while something that came after it could not be; then the run is stuck.
 *   3. The run's error is that of the first failed step in the table's order.
 *   4. ENDED is left by a request, and by nothing else.
 */
#ifndef KEDGE_SRC_PROGRESS_H
#define KEDGE_SRC_PROGRESS_H

#include "reactor.h"
#include "record.h"

enum kedge_phase {
    KEDGE_PHASE_FORWARD = 1,
    KEDGE_PHASE_HALTING = 2,
    KEDGE_PHASE_STOPPING = 3,
    KEDGE_PHASE_BACK = 4,
    KEDGE_PHASE_ENDED = 5
};

struct kedge_action {
    uint32_t step;
    uint32_t action;  /* KEDGE_ACTION_... */
    uint32_t attempt; /* failures so far + 1 */
    uint32_t in_doubt;
};

struct kedge_progress;

/* REACTOR outlives it.  NULL: no memory. */
struct kedge_progress *kedge_progress_new(const struct kedge_host *host,
                                          const struct kedge_reactor *reactor);
void kedge_progress_free(struct kedge_progress *p); /* NULL is fine */

/* First a snapshot (if there is one), then the records after it, in order. TIME is the store's.
   ERR_CORRUPT: it contradicts the definition or what came before; P is of no use then.
   ERR_SCHEMA_NEW (load), ERR_NOMEM.
 */
int kedge_progress_load(struct kedge_progress *p, struct kedge_bytes snapshot,
                        struct kedge_error *err);
int kedge_progress_apply(struct kedge_progress *p, uint64_t number, int64_t time,
                         const struct kedge_rec *rec, size_t encoded_len, struct kedge_error *err);

/*
 * All that is ready now may have been started by a holder that died: mark it in doubt.  Answers 1
 * and a DOUBT record to append with the next commit (rec->steps lives as long as P, until the next
 * call of this), 0 when nothing needs saying.  Does not apply it.  RECOVERIES: deaths since the
 * last record; 0: that record, a CRASH_LOOP, tells of them.
 */
int kedge_progress_doubt(struct kedge_progress *p, int64_t now, uint32_t recoveries,
                         struct kedge_rec *rec);
/* The same for what is running now: for a worker that leaves it behind. */
int kedge_progress_abandon(struct kedge_progress *p, struct kedge_rec *rec);

/* Hand out the next action that may start at NOW; it is then running, until a record of it is
   applied or it is given back.  Answers 1 and *ACTION, or 0.  Constant time. */
int kedge_progress_take(struct kedge_progress *p, int64_t now, struct kedge_action *action);
void kedge_progress_give_back(struct kedge_progress *p, uint32_t step);

uint32_t kedge_progress_running(const struct kedge_progress *p);
int kedge_progress_ready(const struct kedge_progress *p, int64_t now); /* would take answer 1? */
/* The earliest time at which a delayed action may start; INT64_MAX: none. */
int64_t kedge_progress_next_time(const struct kedge_progress *p);
enum kedge_phase kedge_progress_phase(const struct kedge_progress *p);

/* Nothing is running, ready or delayed any more and the run is not ENDED: answers 1 and the END
   record that says how it ends (rec->status: COMPLETED, FAILED, HALTED or STUCK). */
int kedge_progress_end(struct kedge_progress *p, struct kedge_rec *rec);
/* Number of a record whose text P needs, and does not have because it was loaded from a snapshot;
   0: none (any more).  And that record, to be remembered. */
uint64_t kedge_progress_unread(struct kedge_progress *p);
int kedge_progress_read(struct kedge_progress *p, const struct kedge_rec *rec,
                        struct kedge_error *err);

/* Is it going forward past its deadline?  Answers 1 and the record to append. */
int kedge_progress_overdue(const struct kedge_progress *p, int64_t now, struct kedge_rec *rec);

/*
 * May a REQUEST record of VERB (enum kedge_verb) for STEP (or KEDGE_NO_STEP) follow now?  NULL:
 * yes; else what the run is instead, as the rest of a sentence: "is paused already".
 */
const char *kedge_progress_refuses(const struct kedge_progress *p, uint32_t verb, uint32_t step);
int kedge_progress_paused(const struct kedge_progress *p);
int kedge_progress_cancelled(const struct kedge_progress *p);
/* How often the run was taken up again after its end: each time its steps get new keys. */
uint32_t kedge_progress_round(const struct kedge_progress *p);
/* Is a CRASH_LOOP record the last?  Then a doubt is owed, as after any other death. */
int kedge_progress_crashed(const struct kedge_progress *p);

/* Is it on its way back, and a record says so?  What was ready before is dropped then. */
int kedge_progress_settled(const struct kedge_progress *p);
/* The step that a crash loop on the way back is in; KEDGE_NO_STEP: there is no such loop. */
uint32_t kedge_progress_in_the_way(const struct kedge_progress *p);

/* Record number of a DONE step's value, 0 if it has none. */
uint64_t kedge_progress_value_record(const struct kedge_progress *p, uint32_t step);
/* May somebody still ask for that value: has a step that comes after it not ended? */
int kedge_progress_needed(const struct kedge_progress *p, uint32_t step);
/* enum kedge_step_state (run.h), failures, time of its last record, when a delayed one goes on */
uint32_t kedge_progress_state(const struct kedge_progress *p, uint32_t step);
uint32_t kedge_progress_failures(const struct kedge_progress *p, uint32_t step);
int64_t kedge_progress_until(const struct kedge_progress *p, uint32_t step);
int kedge_progress_in_doubt(const struct kedge_progress *p, uint32_t step);

/* Values of DONE steps in memory, while somebody may still need them.  set holds BUF, in which
   VALUE lies; get answers NULL when it is not in memory (read it from the journal then). */
void kedge_progress_value_set(struct kedge_progress *p, uint32_t step, struct kedge_buf *buf,
                              struct kedge_bytes value);
const struct kedge_bytes *kedge_progress_value(const struct kedge_progress *p, uint32_t step);
/* The same, with what it lies in: the caller's to drop.  NULL: it is not in memory. */
struct kedge_buf *kedge_progress_value_hold(const struct kedge_progress *p, uint32_t step,
                                            struct kedge_bytes *value);

/*
 * Is it time for a snapshot: has the tail since the last one at least 16 KiB and 8 times the bytes
 * a snapshot would have?  And the snapshot of what is applied: size, and bytes.
 */
int kedge_progress_wants_snapshot(const struct kedge_progress *p);
size_t kedge_progress_snapshot_size(const struct kedge_progress *p);
size_t kedge_progress_snapshot(struct kedge_progress *p, unsigned char *to); /* its length */
uint64_t kedge_progress_position(const struct kedge_progress *p);

#endif
