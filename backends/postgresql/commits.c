/*
 * commits.c - the way of a commit: the short one for appends, the long one for all
 *
 * The short way is one statement for a batch of plain appends to runs that are sure (session.h): it
 * adds the records if the lease lives and its grip is the one that is remembered; its answer is a
 * number.  All of them: each is done, and what is remembered is confirmed, so that the answers
 * follow from it.  Not all, because the grip is another or a record of that number is there:
 * nothing is known of any single one.  They go the long way then, unchanged, and are found by their
 * request ids if they are there.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "session.h"

/* ------------------------------------------------------- what the kit asks for */

static bool recall(void *ctx, struct kit_row *row)
{
    struct pg_session *s = ctx;
    struct kedge_mem **mem = kit_remote_mem(s->remote);
    struct kit_run *run;

    if (row->kind != KIT_ROW_RUN)
        return false; /* of leases the kit guesses as much as we know */
    run = kedge_mem_alloc(s->host, mem, sizeof *run);
    if (run == NULL || !pg_cache_recall(s->store->cache, row->name, s->host, mem, run))
        return false;
    row->run = run;
    row->there = true;
    return true;
}

static bool guess_now(void *ctx, int64_t *wall)
{
    const struct pg_session *s = ctx;

    return kit_moment_guess(&s->store->moment, pg_mono_us(), wall);
}

static void learn(void *ctx, const struct kit_row *row)
{
    const struct pg_session *s = ctx;
    struct pg_cache *cache = s->store->cache;

    for (size_t i = 0; row->own != NULL && i < s->n_grips; i++)
        if (kit_id_equal(&s->grips[i].lease, &row->run->r.holder)) {
            pg_cache_learn_sure(cache, row->run, s->grips[i].is, s->asked);
            return;
        }
    pg_cache_learn(cache, row->run);
}

static void forget(void *ctx, const struct kit_row *row)
{
    struct pg_session *s = ctx;

    if (row->kind == KIT_ROW_RUN)
        pg_cache_forget(s->store->cache, row->name);
}

const struct kit_remote_ops pg_remote_ops = {
    .recall = recall,
    .guess_now = guess_now,
    .look = pg_look,
    .apply = pg_apply,
    .learn = learn,
    .forget = forget,
};

/* -------------------------------------------------------------- the short way */

/* One append of a batch. */
struct plain {
    const struct kedge_commit *commit;
    struct pg_known known;
    size_t item;
};

static int by_rid(const void *a, const void *b)
{
    const struct plain *x = a;
    const struct plain *y = b;

    return (x->known.rid > y->known.rid) - (x->known.rid < y->known.rid);
}

/* All of them are plain, sure, and of one lease?  NULL if not; else by incarnation: who appends to
   the same runs under the same lease meanwhile waits for us, or we for him. */
static struct plain *plain_all(struct pg_session *s, const struct kedge_commit *commits, size_t n,
                               const struct kedge_answer *answers)
{
    struct plain *list = malloc(n * sizeof *list);

    for (size_t i = 0; list != NULL && i < n; i++) {
        struct plain *p = &list[i];

        p->commit = &commits[i];
        p->item = i;
        if (answers[i].outcome != KEDGE_OK ||
            !pg_cache_plain(s->store->cache, &commits[i], s->conn.born, &p->known) ||
            p->known.grip != list[0].known.grip ||
            !kit_id_equal(&commits[i].guards[0].lease, &commits[0].guards[0].lease)) {
            free(list);
            return NULL;
        }
    }
    if (list != NULL)
        qsort(list, n, sizeof *list, by_rid);
    return list;
}

static void encode_one(struct pg_session *s, struct pg_query *q, const struct plain *p)
{
    struct pg_conn *c = &s->conn;
    const struct kedge_change *change = &p->commit->changes[0];

    pg_arg_i64(c, q, (int64_t)p->known.rid);
    pg_arg_i64(c, q, (int64_t)change->append.first);
    pg_arg_id(c, q, &p->commit->request);
    pg_arg_bytes(c, q, change->append.records[0]);
}

static void encode_many(struct pg_session *s, struct pg_query *q, const struct plain *list,
                        size_t n)
{
    struct pg_conn *c = &s->conn;
    struct pg_array a;

    pg_array_open(c, q, &a, PG_OID_INT8);
    for (size_t i = 0; i < n; i++)
        pg_array_i64(c, &a, (int64_t)list[i].known.rid);
    pg_array_close(c, q, &a);
    pg_array_open(c, q, &a, PG_OID_INT8);
    for (size_t i = 0; i < n; i++)
        pg_array_i64(c, &a, (int64_t)list[i].commit->changes[0].append.first);
    pg_array_close(c, q, &a);
    pg_array_open(c, q, &a, PG_OID_UUID);
    for (size_t i = 0; i < n; i++)
        pg_array_id(c, &a, &list[i].commit->request);
    pg_array_close(c, q, &a);
    pg_array_open(c, q, &a, PG_OID_BYTEA);
    for (size_t i = 0; i < n; i++)
        pg_array_bytes(c, &a, list[i].commit->changes[0].append.records[0]);
    pg_array_close(c, q, &a);
    if (!c->pooled)
        return;
    pg_array_open(c, q, &a, PG_OID_INT8);
    for (size_t i = 0; i < n; i++)
        pg_array_i64(c, &a, (int64_t)list[i].known.fence);
    pg_array_close(c, q, &a);
}

static void encode(struct pg_session *s, struct pg_query *q, const struct plain *list, size_t n)
{
    struct pg_conn *c = &s->conn;
    bool one = n == 1 && !c->pooled;

    pg_begin(c);
    pg_query_init(q, c->pooled ? PG_SQL_APPEND_POOLED : one ? PG_SQL_APPEND_ONE : PG_SQL_APPEND);
    pg_arg_id(c, q, &list->commit->guards[0].lease);
    pg_arg_i64(c, q, list->known.grip);
    if (one)
        encode_one(s, q, list);
    else
        encode_many(s, q, list, n);
}

static void answer(struct pg_session *s, const struct plain *p, int64_t asked,
                   struct kedge_answer *a)
{
    uint64_t position = p->commit->changes[0].append.first;

    memset(a, 0, offsetof(struct kedge_answer, why) + 1);
    a->fence = p->known.fence;
    a->status = p->known.status;
    a->requests = p->known.requests;
    a->position = position;
    a->revision = p->known.head_revision + position;
    if (p->commit->results != NULL)
        p->commit->results[0] = position;
    pg_cache_appended(s->store->cache, p->commit->guards[0].name, &p->known, asked);
}

static void forget_all(struct pg_session *s, const struct plain *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pg_cache_forget(s->store->cache, list[i].commit->guards[0].name);
}

/* OK: all are done.  NOT_FOUND: not all of them, or nobody knows.  A failure. */
static int append(struct pg_session *s, const struct plain *list, size_t n,
                  struct kedge_answer *answers, int64_t end, struct kedge_error *err)
{
    int64_t asked = pg_mono_us();
    struct pg_query q;
    size_t made;
    int rc;

    encode(s, &q, list, n);
    rc = pg_run(&s->conn, &q, 1, PG_HERE, end, err);
    if (rc == KEDGE_NOT_FOUND)
        return rc;
    if (rc != KEDGE_OK) {
        forget_all(s, list, n);
        return rc == KEDGE_EXISTS ? KEDGE_NOT_FOUND : rc;
    }
    made = (size_t)strtoull(PQcmdTuples(q.result), NULL, 10);
    pg_clear(&q, 1);
    if (made != n) {
        if (s->conn.pooled) /* else it is the grip: what was remembered may be a good guess */
            forget_all(s, list, n);
        return KEDGE_NOT_FOUND;
    }
    for (size_t i = 0; i < n; i++)
        answer(s, &list[i], asked, &answers[list[i].item]);
    return KEDGE_OK;
}

/* ------------------------------------------------------------------------ all */

static void set_failure(struct kedge_answer *a, int status, const char *why)
{
    memset(a, 0, sizeof *a);
    a->outcome = status;
    (void)snprintf(a->why, sizeof a->why, "%.*s", (int)sizeof a->why - 1, why);
}

/* The call as a whole; what the checks said of an item stays. */
static int all_failed(struct kedge_answer *answers, size_t n, int rc, const struct kedge_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (answers[i].outcome >= 0)
            set_failure(&answers[i], rc, err->msg);
    return rc;
}

static int carry_out(struct pg_session *s, const struct kedge_commit *commits, size_t n,
                     struct kedge_answer *answers, int64_t end, struct kedge_error *err)
{
    struct plain *list = plain_all(s, commits, n, answers);
    int64_t left;

    if (list != NULL) {
        int rc = append(s, list, n, answers, end, err);

        free(list);
        if (rc < 0)
            return all_failed(answers, n, rc, err);
        if (rc == KEDGE_OK)
            return KEDGE_OK;
    }
    left = end - pg_mono_us();
    return kit_remote_commit(s->remote, commits, n, answers, left > 1 ? left : 1, err);
}

int pg_commit(void *session, const struct kedge_commit *commits, size_t n,
              struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = session;
    struct kedge_error local;
    int64_t end;
    int rc;

    if (err == NULL)
        err = &local;
    rc = kit_check_timeout(timeout_us, err);
    if (rc == KEDGE_OK)
        rc = pg_check_fork(s->store, err);
    if (rc == KEDGE_OK)
        rc = kit_check_batch(&pg_limits, commits, n, answers, err);
    if (rc != KEDGE_OK || n == 0) {
        for (size_t i = 0; i < n; i++)
            set_failure(&answers[i], rc, err->msg);
        return rc;
    }
    rc = pg_enter(s, timeout_us, &end, err);
    if (rc != KEDGE_OK)
        return all_failed(answers, n, rc, err);
    return carry_out(s, commits, n, answers, end, err);
}
