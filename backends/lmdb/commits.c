/*
 * commits.c - the job that carries out commits
 *
 * A unit is one commit.  Its answer may be written more than once (writer.h, I4): the last one
 * counts.  When the job is adopted it works on copies of commits and answers, and its caller
 * fetches the answers if it is still there.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "session.h"

struct commit_job {
    struct lm_job job;
    const struct kedge_host *host;
    const struct kedge_commit *commits;
    struct kedge_answer *answers;
    size_t n;
    struct kedge_mem *mem; /* copies */
    bool *refused;         /* by the structural checks: never carried out */
};

/* ------------------------------------------------------------------ copies */

static void *dup_array(struct commit_job *j, const void *from, size_t n, size_t size)
{
    void *to = n > SIZE_MAX / size ? NULL : kedge_mem_alloc(j->host, &j->mem, n * size);

    if (to != NULL && n != 0)
        memcpy(to, from, n * size);
    return to;
}

static bool own(struct commit_job *j, struct kedge_bytes *b)
{
    return kit_copy(j->host, &j->mem, *b, b);
}

static bool own_create(struct commit_job *j, struct kedge_change *c)
{
    struct kedge_run_new *new = dup_array(j, c->create, 1, sizeof *new);

    c->create = new;
    return new != NULL &&own(j, &new->reactor) && own(j, &new->queue) && own(j, &new->context) &&
           own(j, &new->parent) && own(j, &new->root);
}

static bool own_append(struct commit_job *j, struct kedge_change *c)
{
    struct kedge_bytes *records =
        dup_array(j, c->append.records, c->append.n, sizeof *c->append.records);

    c->append.records = records;
    for (size_t i = 0; records != NULL && i < c->append.n; i++)
        if (!own(j, &records[i]))
            return false;
    return records != NULL;
}

static bool own_change(struct commit_job *j, struct kedge_change *c)
{
    if (!own(j, &c->name))
        return false;
    switch (c->kind) {
    case KEDGE_CREATE:
        return own_create(j, c);
    case KEDGE_APPEND:
        return own_append(j, c);
    case KEDGE_SNAPSHOT:
        return own(j, &c->snapshot.data);
    case KEDGE_SET:
        return own(j, &c->set.queue);
    case KEDGE_SLOT_PUT:
        return own(j, &c->slot.value);
    case KEDGE_CELL_PUT:
        return own(j, &c->cell.value);
    default:
        return true;
    }
}

static bool own_commit(struct commit_job *j, struct kedge_commit *c)
{
    struct kedge_guard *guards = dup_array(j, c->guards, c->n_guards, sizeof *guards);
    struct kedge_change *changes = dup_array(j, c->changes, c->n_changes, sizeof *changes);

    c->guards = guards;
    c->changes = changes;
    if (guards == NULL || changes == NULL)
        return false;
    for (size_t i = 0; i < c->n_guards; i++)
        if (!own(j, &guards[i].name))
            return false;
    for (size_t i = 0; i < c->n_changes; i++)
        if (!own_change(j, &changes[i]))
            return false;
    if (c->results != NULL)
        c->results = dup_array(j, c->results, c->n_changes, sizeof *c->results);
    return true;
}

static int job_adopt(struct lm_job *job, const struct kedge_host *host)
{
    struct commit_job *j = (struct commit_job *)job;
    struct kedge_commit *commits;

    (void)host;
    commits = dup_array(j, j->commits, j->n, sizeof *commits);
    j->answers = dup_array(j, j->answers, j->n, sizeof *j->answers);
    if (commits == NULL || j->answers == NULL)
        return KEDGE_ERR_NOMEM;
    for (size_t i = 0; i < j->n; i++)
        if (!j->refused[i] && !own_commit(j, &commits[i]))
            return KEDGE_ERR_NOMEM;
    j->commits = commits;
    return KEDGE_OK;
}

/* ---------------------------------------------------------------- carry out */

static size_t change_growth(const struct kedge_change *c)
{
    size_t bytes = 0;

    switch (c->kind) {
    case KEDGE_CREATE:
        return 512 + c->create->context.len;
    case KEDGE_APPEND:
        for (size_t i = 0; i < c->append.n; i++)
            bytes += c->append.records[i].len + 64;
        return bytes;
    case KEDGE_SNAPSHOT:
        return c->snapshot.data.len + 64;
    case KEDGE_SLOT_PUT:
        return c->slot.value.len + 64;
    case KEDGE_CELL_PUT:
        return c->cell.value.len + 64;
    default:
        return 0;
    }
}

static size_t job_growth(const struct lm_job *job, size_t unit)
{
    const struct commit_job *j = (const struct commit_job *)job;
    size_t bytes = 0;

    if (j->refused[unit])
        return 0;
    for (size_t i = 0; i < j->commits[unit].n_changes; i++)
        bytes += change_growth(&j->commits[unit].changes[i]);
    return bytes;
}

static int job_run(struct lm_step *step, struct lm_job *job, size_t unit)
{
    struct commit_job *j = (struct commit_job *)job;

    if (j->refused[unit])
        return KEDGE_OK;
    return kit_commit(&step->kit, &j->commits[unit], &j->answers[unit]);
}

static void set_failure(struct kedge_answer *a, int status, const char *why)
{
    memset(a, 0, sizeof *a);
    a->outcome = status;
    (void)snprintf(a->why, sizeof a->why, "%.*s", (int)sizeof a->why - 1, why);
}

static void job_fail(struct lm_job *job, size_t unit, int status, const struct kedge_error *err)
{
    struct commit_job *j = (struct commit_job *)job;

    if (!j->refused[unit])
        set_failure(&j->answers[unit], status, err->msg);
}

static void job_destroy(struct lm_job *job)
{
    struct commit_job *j = (struct commit_job *)job;

    kedge_mem_free(j->host, j->mem);
    free(j->refused);
    free(j);
}

/* The copies' answers and results, to where the caller wants them. */
static void fetch(const struct commit_job *j, const struct kedge_commit *commits,
                  struct kedge_answer *answers)
{
    if (j->answers == answers)
        return;
    memcpy(answers, j->answers, j->n * sizeof *answers);
    for (size_t i = 0; i < j->n; i++)
        if (commits[i].results != NULL && j->commits[i].results != NULL &&
            answers[i].outcome == KEDGE_OK)
            memcpy(commits[i].results, j->commits[i].results,
                   commits[i].n_changes * sizeof *commits[i].results);
}

static struct commit_job *job_new(const struct kedge_host *host, const struct kedge_commit *commits,
                                  size_t n, struct kedge_answer *answers)
{
    struct commit_job *j = calloc(1, sizeof *j);

    if (j == NULL)
        return NULL;
    j->refused = calloc(n, sizeof *j->refused);
    if (j->refused == NULL) {
        free(j);
        return NULL;
    }
    j->host = host;
    j->commits = commits;
    j->answers = answers;
    j->n = n;
    j->job.units = n;
    j->job.run = job_run;
    j->job.fail = job_fail;
    j->job.growth = job_growth;
    j->job.adopt = job_adopt;
    j->job.destroy = job_destroy;
    for (size_t i = 0; i < n; i++) {
        j->refused[i] = answers[i].outcome < 0;
        j->job.bytes += job_growth(&j->job, i);
    }
    return j;
}

/* The call as a whole; what the checks said of an item stays. */
static void all_failed(struct kedge_answer *answers, size_t n, int rc,
                       const struct kedge_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (answers[i].outcome >= 0)
            set_failure(&answers[i], rc, err->msg);
}

int lm_commit(void *session, const struct kedge_commit *commits, size_t n,
              struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct kedge_error local;
    struct commit_job *j;
    bool left = false;
    int rc;

    if (err == NULL)
        err = &local;
    rc = lm_enter(s, timeout_us, err);
    if (rc == KEDGE_OK)
        rc = kit_check_batch(&lm_limits, commits, n, answers, err);
    if (rc != KEDGE_OK || n == 0) {
        for (size_t i = 0; i < n; i++)
            set_failure(&answers[i], rc, err->msg);
        return rc;
    }
    j = job_new(s->host, commits, n, answers);
    if (j == NULL) {
        rc = kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
        all_failed(answers, n, rc, err);
        return rc;
    }
    rc = lm_writer_submit(s->env, &j->job, timeout_us, &left, err);
    if (rc == KEDGE_OK)
        fetch(j, commits, answers);
    else
        all_failed(answers, n, rc, err);
    if (!left)
        lm_job_free(&j->job);
    return rc;
}
