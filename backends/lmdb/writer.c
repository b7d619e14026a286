/* writer.c - the one committer of a process; see writer.h for the invariants */
#include <config.h>

#include "recent.h"
#include "writer.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define UNITS_MAX 1024u
#define BYTES_MAX ((size_t)8 << 20)
#define UNIT_COST ((size_t)1024) /* pages touched beside the bytes themselves, in a full store */

struct lm_writer {
    struct lm_env *env;
    pthread_mutex_t lock;
    bool busy;             /* there is a leader (I1) */
    struct lm_job *urgent; /* queues, first come first served */
    struct lm_job *waiting;
    struct lm_step step; /* the leader's */
    uint64_t used;       /* bytes of the map in use when the transaction began */
    uint64_t room;       /* bytes that growth may still take; UINT64_MAX: not counted yet */
};

struct lm_writer *lm_writer_new(struct lm_env *env, const struct kedge_host *host)
{
    struct lm_writer *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->env = env;
    (void)pthread_mutex_init(&w->lock, NULL);
    if (lm_step_init(&w->step, env, host) != KEDGE_OK) {
        lm_writer_free(w);
        return NULL;
    }
    return w;
}

void lm_writer_free(struct lm_writer *w)
{
    if (w == NULL)
        return;
    lm_step_release(&w->step);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}

/* ------------------------------------------------------------------- space */

/* Pages on the free list.  Walks it: only called when the map is nearly used up. */
static uint64_t free_pages(struct lm_env *env)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    MDB_val k;
    MDB_val v;
    uint64_t pages = 0;

    if (mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn) != MDB_SUCCESS)
        return 0;
    if (mdb_cursor_open(txn, 0, &cursor) == MDB_SUCCESS) {
        while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == MDB_SUCCESS) {
            size_t n;

            memcpy(&n, v.mv_data, sizeof n);
            pages += n;
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return pages;
}

static void space_begin(struct lm_writer *w)
{
    MDB_envinfo info;

    w->used = 0;
    w->room = 0;
    if (mdb_env_info(w->env->env, &info) != MDB_SUCCESS)
        return;
    w->used = ((uint64_t)info.me_last_pgno + 1) * w->env->page_size;
    if (w->used < w->env->soft_size)
        w->room = w->env->soft_size - w->used;
}

/*
 * May this transaction grow by so many bytes more?  The last part of the map is kept for what lets
 * go and deletes: those need pages too.
 */
static bool space_take(struct lm_writer *w, size_t bytes)
{
    uint64_t need = (uint64_t)bytes + UINT64_C(16) * w->env->page_size;

    if (w->room < need && w->used != 0) {
        w->room += free_pages(w->env) * w->env->page_size / 2; /* half: for copies of pages */
        w->used = 0;                                           /* counted */
    }
    if (w->room < need)
        return false;
    w->room -= bytes;
    return true;
}

/* -------------------------------------------------------------- transaction */

static int unit_run(struct lm_writer *w, struct lm_job *job, size_t unit)
{
    struct lm_step *step = &w->step;
    size_t growth = job->growth == NULL ? 0 : job->growth(job, unit);

    lm_step_next(step);
    step->full = growth != 0 && !space_take(w, growth + UNIT_COST + lm_recent_cost(step));
    return job->run(step, job, unit);
}

/* A transaction around what BODY does; the write lock is held.  On failure ERR says why. */
struct span {
    struct lm_job *first; /* list, or one job when unit != ALL_UNITS */
    size_t unit;
};
#define ALL_UNITS SIZE_MAX

static size_t span_units(const struct span *s)
{
    size_t units = 0;

    if (s->unit != ALL_UNITS)
        return 1;
    for (const struct lm_job *job = s->first; job != NULL; job = job->next)
        units += job->units;
    return units;
}

static int span_run(struct lm_writer *w, const struct span *s)
{
    int rc = KEDGE_OK;

    if (s->unit != ALL_UNITS)
        return unit_run(w, s->first, s->unit);
    for (struct lm_job *job = s->first; job != NULL && rc == KEDGE_OK; job = job->next)
        for (size_t unit = 0; unit < job->units && rc == KEDGE_OK; unit++)
            rc = unit_run(w, job, unit);
    return rc;
}

static int step_failed(const struct lm_writer *w, int rc, struct kedge_error *err)
{
    const char *why = "out of memory";

    if (rc == KEDGE_ERR_CORRUPT)
        why = "a record that this needs cannot be understood";
    else if (rc == KEDGE_ERR_TOO_BIG)
        why = "a journal of more than four thousand million records";
    return kedge_error_set(err, rc, 0, "store '%s': %s", w->env->dir, why);
}

static int transact(struct lm_writer *w, const struct span *s, struct kedge_error *err)
{
    struct lm_step *step = &w->step;
    MDB_txn *txn = NULL;
    int rc = lm_write_begin(w->env, &txn, err);
    int mdb;

    if (rc != KEDGE_OK)
        return rc;
    space_begin(w);
    lm_step_begin(step, txn);
    rc = lm_recent_begin(step, span_units(s), w->room);
    if (rc == KEDGE_OK)
        rc = span_run(w, s);
    if (rc == KEDGE_OK)
        rc = lm_recent_flush(step);
    if (rc == KEDGE_OK && (mdb = lm_step_flush(step)) != MDB_SUCCESS)
        rc = lm_broken(step, mdb);
    if (rc != KEDGE_OK) {
        mdb = step->rc;
        lm_step_close(step);
        mdb_txn_abort(txn);
        lm_step_end(step, false);
        lm_write_end(w->env);
        if (mdb != 0)
            return lm_fail(w->env, mdb, "cannot write", err);
        return step_failed(w, rc, err);
    }
    lm_step_close(step);
    mdb = mdb_txn_commit(txn);
    if (mdb != MDB_SUCCESS)
        rc = lm_commit_failed(w->env, mdb, err);
    else if (step->work)
        lm_ticket_move(w->env);
    lm_step_end(step, mdb == MDB_SUCCESS);
    lm_write_end(w->env);
    return rc;
}

/* I4.  What every unit would meet again is not tried again. */
static void execute(struct lm_writer *w, struct lm_job *jobs)
{
    struct span all = { jobs, ALL_UNITS };
    bool single = jobs->next == NULL && jobs->units == 1;
    struct kedge_error err = { 0 };
    int rc = transact(w, &all, &err);

    if (rc == KEDGE_OK)
        return;
    for (struct lm_job *job = jobs; job != NULL; job = job->next)
        for (size_t unit = 0; unit < job->units; unit++) {
            struct span one = { job, unit };
            int again = rc;

            if (!single && rc != KEDGE_ERR_UNKNOWN && atomic_load(&w->env->closed_errno) == 0)
                again = transact(w, &one, &err);
            if (again != KEDGE_OK)
                job->fail(job, unit, again, &err);
        }
}

/* ------------------------------------------------------------------ leading */

static void push(struct lm_job **list, struct lm_job *job)
{
    while (*list != NULL)
        list = &(*list)->next;
    job->next = NULL;
    *list = job;
}

static bool take_out(struct lm_job **list, struct lm_job *job)
{
    for (; *list != NULL; list = &(*list)->next)
        if (*list == job) {
            *list = job->next;
            job->next = NULL;
            return true;
        }
    return false;
}

/* Move what fits of LIST behind JOBS. */
static void pick(struct lm_job **list, struct lm_job **jobs, size_t *units, size_t *bytes)
{
    while (*list != NULL && *units + (*list)->units <= UNITS_MAX &&
           *bytes + (*list)->bytes <= BYTES_MAX) {
        struct lm_job *job = *list;

        *list = job->next;
        job->state = LM_JOB_PICKED;
        *units += job->units;
        *bytes += job->bytes;
        push(jobs, job);
    }
}

/* I2.  The leader's own job is among them, behind the lease operations unless it is one. */
static struct lm_job *gather(struct lm_writer *w, struct lm_job *own)
{
    struct lm_job *jobs = NULL;
    size_t units = own->units;
    size_t bytes = own->bytes;

    own->next = NULL;
    (void)pthread_mutex_lock(&w->lock);
    pick(&w->urgent, &jobs, &units, &bytes);
    push(&jobs, own);
    pick(&w->waiting, &jobs, &units, &bytes);
    (void)pthread_mutex_unlock(&w->lock);
    return jobs;
}

void lm_job_free(struct lm_job *job)
{
    (void)pthread_cond_destroy(&job->wake);
    job->destroy(job);
}

static void finish(struct lm_writer *w, struct lm_job *jobs, const struct lm_job *own)
{
    (void)pthread_mutex_lock(&w->lock);
    while (jobs != NULL) {
        struct lm_job *job = jobs;

        jobs = job->next;
        job->next = NULL;
        job->state = LM_JOB_DONE;
        if (job == own)
            continue;
        if (job->abandoned)
            lm_job_free(job);
        else
            (void)pthread_cond_signal(&job->wake);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

/* The next one who waits becomes the leader, or there is none. */
static void hand_over(struct lm_writer *w)
{
    struct lm_job **list;
    struct lm_job *job;

    (void)pthread_mutex_lock(&w->lock);
    list = w->urgent != NULL ? &w->urgent : &w->waiting;
    job = *list;
    if (job == NULL) {
        w->busy = false;
    } else {
        (void)take_out(list, job);
        job->state = LM_JOB_LEAD;
        (void)pthread_cond_signal(&job->wake);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

static int lead(struct lm_writer *w, struct lm_job *own, int64_t deadline_mono,
                struct kedge_error *err)
{
    int rc = lm_write_lock(w->env, deadline_mono, err);

    if (rc == KEDGE_OK) {
        struct lm_job *jobs = gather(w, own);

        execute(w, jobs);
        lm_write_unlock(w->env);
        finish(w, jobs, own);
    }
    hand_over(w);
    return rc;
}

/* ------------------------------------------------------------------ waiting */

static int wait_turn(struct lm_writer *w, struct lm_job *job, int64_t deadline_mono)
{
    struct timespec at = { (time_t)(deadline_mono / 1000000),
                           (long)(deadline_mono % 1000000) * 1000 };
    int rc = 0;

    while (job->state != LM_JOB_DONE && job->state != LM_JOB_LEAD && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&job->wake, &w->lock, &at);
    return job->state == LM_JOB_DONE || job->state == LM_JOB_LEAD ? 0 : rc;
}

/* w->lock is held.  I3. */
static int leave(struct lm_writer *w, struct lm_job *job, bool *left, struct kedge_error *err)
{
    if (job->state == LM_JOB_QUEUED) {
        if (!take_out(&w->urgent, job))
            (void)take_out(&w->waiting, job);
        return lm_write_busy(w->env, err);
    }
    job->abandoned = true;
    *left = true;
    return kedge_error_set(err, KEDGE_ERR_UNKNOWN, ETIMEDOUT,
                           "store '%s': the time was up while this was being written: send it "
                           "again",
                           w->env->dir);
}

static int cond_init(struct lm_job *job)
{
    pthread_condattr_t attr;
    int rc;

    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = pthread_cond_init(&job->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    return rc;
}

/* True: JOB is to lead now.  It is queued otherwise.  The first look spares a lone caller the
 * copies. */
static bool enter(struct lm_writer *w, struct lm_job *job, bool queue)
{
    bool leader;

    (void)pthread_mutex_lock(&w->lock);
    leader = !w->busy;
    if (leader) {
        w->busy = true;
        job->state = LM_JOB_LEAD;
    } else if (queue) {
        job->state = LM_JOB_QUEUED;
        push(job->urgent ? &w->urgent : &w->waiting, job);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return leader;
}

int lm_writer_submit(struct lm_env *env, struct lm_job *job, int64_t timeout_us, bool *left,
                     struct kedge_error *err)
{
    struct lm_writer *w = env->writer;
    int64_t now = lm_mono_us();
    int64_t deadline = timeout_us > INT64_MAX / 4 ? INT64_MAX / 2 : now + timeout_us;
    int rc;

    *left = false;
    if (cond_init(job) != 0)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    if (enter(w, job, false))
        return lead(w, job, deadline, err);
    rc = job->adopt(job, w->step.v.host);
    if (rc != KEDGE_OK)
        return kedge_error_set(err, rc, ENOMEM, "out of memory");
    if (enter(w, job, true))
        return lead(w, job, deadline, err);

    (void)pthread_mutex_lock(&w->lock);
    rc = wait_turn(w, job, deadline) == 0 ? KEDGE_OK : leave(w, job, left, err);
    if (rc == KEDGE_OK && job->state == LM_JOB_LEAD) {
        (void)pthread_mutex_unlock(&w->lock);
        return lead(w, job, deadline, err);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return rc;
}
