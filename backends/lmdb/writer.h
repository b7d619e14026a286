/*
 * writer.h - the one committer of a process: whoever comes first writes for all who wait
 *
 *   I1  At most one thread of the process is the *leader*.  A job that finds none becomes the
 *       leader and runs in its own thread, without a hand-off: a lone caller pays nothing for the
 *       others.
 *   I2  What gathers while a flush is under way goes together into the next one, lease operations
 *       first; then the leader hands over to somebody who waits.
 *   I3  A job that waits owns copies of all it was given.  Its caller may leave at its deadline:
 *       before it was picked up nothing has happened (ERR_UNAVAILABLE), after that the leader goes
 *       on without it (ERR_UNKNOWN).
 *   I4  A unit (one commit of a batch) that breaks the transaction takes nobody with it: all is
 *       undone, and every unit is carried out again in a transaction of its own.
 */
#ifndef KEDGE_LMDB_WRITER_H
#define KEDGE_LMDB_WRITER_H

#include "tables.h"

enum lm_job_state { LM_JOB_NEW, LM_JOB_QUEUED, LM_JOB_PICKED, LM_JOB_LEAD, LM_JOB_DONE };

struct lm_job {
    struct lm_job *next;
    enum lm_job_state state;
    bool urgent;    /* lease operations */
    bool abandoned; /* its caller has left */
    size_t units;
    size_t bytes; /* about, of what it writes: bounds a transaction */
    /* Bytes by which a unit makes the store grow; 0: it may also run when the store is full.  NULL:
     * 0. */
    size_t (*growth)(const struct lm_job *job, size_t unit);
    /* Carry out one unit.  KEDGE_OK: the answer stands, also a refusal.  Negative: the transaction
       is broken. */
    int (*run)(struct lm_step *step, struct lm_job *job, size_t unit);
    /* Unit failed: make that its answer. */
    void (*fail)(struct lm_job *job, size_t unit, int status, const struct kedge_error *err);
    /* Make everything borrowed the job's own (I3). */
    int (*adopt)(struct lm_job *job, const struct kedge_host *host);
    void (*destroy)(struct lm_job *job);
    pthread_cond_t wake;
};

struct lm_writer *lm_writer_new(struct lm_env *env, const struct kedge_host *host);
void lm_writer_free(struct lm_writer *writer);

/* The end of a job that is still the caller's. */
void lm_job_free(struct lm_job *job);

/* Carry out JOB.  KEDGE_OK: it has its answers.  Else the whole of it failed; *left says that the
   job is not the caller's any more (I3). */
int lm_writer_submit(struct lm_env *env, struct lm_job *job, int64_t timeout_us, bool *left,
                     struct kedge_error *err);

#endif
