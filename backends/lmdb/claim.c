/*
 * claim.c - due runs to a lease
 *
 * The index `due' is ordered by queue, reactor, version, then time: a claim looks at the front of
 * each list it serves and takes the oldest of all, so that what nobody serves costs it nothing.  A
 * claim that finds nothing is a read: idle workers write nothing and wait for no lock.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "session.h"

/* The front of one list. */
struct front {
    struct lm_combo combo;
    int64_t due;
    uint64_t inc;
};

struct fronts {
    MDB_cursor *cursor;
    struct front *list;
    size_t n;
    size_t room;
};

/* First row of COMBO at or after FROM; false: the list has ended. */
static bool front_seek(MDB_cursor *cursor, struct front *f, int64_t due, uint64_t inc)
{
    struct lm_key from = lm_key_due(&f->combo, due, inc);
    MDB_val k = lm_key_val(&from);
    MDB_val none;

    if (mdb_cursor_get(cursor, &k, &none, MDB_SET_RANGE) != MDB_SUCCESS || k.mv_size != 28 ||
        memcmp(k.mv_data, from.b, 12) != 0)
        return false;
    f->due = (int64_t)lm_get_u64((const unsigned char *)k.mv_data + 12);
    f->inc = lm_get_u64((const unsigned char *)k.mv_data + 20);
    return true;
}

static int fronts_add(struct fronts *fs, const struct front *f)
{
    for (size_t i = 0; i < fs->n; i++)
        if (memcmp(&fs->list[i].combo, &f->combo, sizeof f->combo) == 0)
            return KEDGE_OK;
    if (fs->n == fs->room) {
        size_t room = fs->room == 0 ? 16 : fs->room * 2;
        struct front *list = realloc(fs->list, room * sizeof *list);

        if (list == NULL)
            return KEDGE_ERR_NOMEM;
        fs->list = list;
        fs->room = room;
    }
    fs->list[fs->n++] = *f;
    return KEDGE_OK;
}

/* The lists of one reactor in a range of versions. */
static int fronts_of(struct fronts *fs, const struct lm_view *v, const struct kedge_serve *serve)
{
    struct lm_combo at = { 0, 0, serve->version_min };
    int rc = lm_name_number(v, 'q', serve->queue, &at.queue);

    if (rc == MDB_SUCCESS)
        rc = lm_name_number(v, 'r', serve->reactor, &at.reactor);
    if (rc != MDB_SUCCESS)
        return KEDGE_ERR_UNAVAILABLE;
    while (at.queue != 0 && at.reactor != 0) {
        struct lm_key from = lm_key_combo(&at);
        MDB_val k = lm_key_val(&from);
        MDB_val none;
        struct front f;

        if (mdb_cursor_get(fs->cursor, &k, &none, MDB_SET_RANGE) != MDB_SUCCESS ||
            memcmp(k.mv_data, from.b, 8) != 0)
            break;
        f.combo = lm_combo_of(&k);
        if (f.combo.version > serve->version_max)
            break;
        if (front_seek(fs->cursor, &f, 0, 0) && (rc = fronts_add(fs, &f)) != KEDGE_OK)
            return rc;
        if (f.combo.version == UINT32_MAX)
            break;
        at.version = f.combo.version + 1;
    }
    return KEDGE_OK;
}

static int fronts_open(struct fronts *fs, const struct lm_view *v, const struct kedge_claim *in)
{
    int rc = KEDGE_OK;

    memset(fs, 0, sizeof *fs);
    if (mdb_cursor_open(v->txn, v->env->dbi[LM_DUE], &fs->cursor) != MDB_SUCCESS) {
        fs->cursor = NULL;
        return KEDGE_ERR_UNAVAILABLE;
    }
    for (size_t i = 0; i < in->n_serves && rc == KEDGE_OK; i++)
        rc = fronts_of(fs, v, &in->serves[i]);
    return rc;
}

static void fronts_close(struct fronts *fs)
{
    if (fs->cursor != NULL)
        mdb_cursor_close(fs->cursor);
    free(fs->list);
}

static struct front *oldest(struct fronts *fs)
{
    struct front *best = NULL;

    for (size_t i = 0; i < fs->n; i++) {
        struct front *f = &fs->list[i];

        if (best == NULL || f->due < best->due || (f->due == best->due && f->inc < best->inc))
            best = f;
    }
    return best;
}

static void advance(struct fronts *fs, struct front *f)
{
    if (!front_seek(fs->cursor, f, f->due, f->inc + 1))
        *f = fs->list[--fs->n];
}

/* ----------------------------------------------------------------- the job */

struct claim_job {
    struct lm_small small;
    struct kedge_claim in;
    struct kedge_run_page page;
};

static int page_begin(struct claim_job *j)
{
    kedge_mem_free(j->small.host, j->page.mem);
    memset(&j->page, 0, sizeof j->page);
    j->page.runs = kedge_mem_alloc(j->small.host, &j->page.mem, j->in.limit * sizeof *j->page.runs);
    return j->page.runs == NULL ? KEDGE_ERR_NOMEM : KEDGE_OK;
}

static int page_add(struct claim_job *j, const struct kedge_run *run)
{
    if (!kit_copy_run(j->small.host, &j->page.mem, run, &j->page.runs[j->page.n]))
        return KEDGE_ERR_NOMEM;
    j->page.n++;
    return KEDGE_OK;
}

static int take(struct lm_step *step, struct claim_job *j, uint64_t inc)
{
    const struct kit_run *old;
    struct kit_run run;
    int rc = lm_step_load(step, inc, &old);

    if (rc == KEDGE_ERR_CORRUPT)
        return KEDGE_OK; /* that run only: it stays where it is, listed */
    if (rc != KEDGE_OK)
        return rc;
    if (!kit_run_claimable(old, step->kit.now_wall))
        return KEDGE_OK;
    run = *old;
    kit_run_take(&run, &j->in.lease, lm_kit_store.fence_next(step), &j->in.request,
                 j->in.hold_until, step->kit.now_wall);
    rc = lm_kit_store.run_put(step, old, &run);
    return rc == KEDGE_OK ? page_add(j, &run.r) : rc;
}

static int take_due(struct lm_step *step, struct claim_job *j)
{
    struct fronts fs;
    struct front *f;
    int rc = fronts_open(&fs, &step->v, &j->in);

    while (rc == KEDGE_OK && (f = oldest(&fs)) != NULL) {
        if (f->due > step->kit.now_wall || j->page.n == j->in.limit) {
            j->page.next_due = f->due;
            break;
        }
        rc = take(step, j, f->inc);
        advance(&fs, f);
    }
    fronts_close(&fs);
    return rc;
}

/* What the same request took before and still holds. */
static int taken_before(struct lm_step *step, struct claim_job *j)
{
    struct lm_key from = lm_key_held_run(&j->in.lease, 0);
    MDB_cursor *cursor;
    MDB_val k = lm_key_val(&from);
    MDB_val none;
    int rc = mdb_cursor_open(step->v.txn, step->v.env->dbi[LM_HELD], &cursor);

    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    rc = KEDGE_OK;
    for (MDB_cursor_op op = MDB_SET_RANGE; rc == KEDGE_OK && j->page.n < j->in.limit;
         op = MDB_NEXT) {
        const struct kit_run *run;

        if (mdb_cursor_get(cursor, &k, &none, op) != MDB_SUCCESS ||
            memcmp(k.mv_data, from.b, 17) != 0)
            break;
        rc = lm_step_load(step, lm_get_u64((const unsigned char *)k.mv_data + 17), &run);
        if (rc == KEDGE_OK && kit_id_equal(&run->take_request, &j->in.request))
            rc = page_add(j, &run->r);
        else if (rc == KEDGE_ERR_CORRUPT)
            rc = KEDGE_OK;
    }
    mdb_cursor_close(cursor);
    return rc;
}

static int claim_body(struct lm_step *step, struct lm_small *small)
{
    struct claim_job *j = (struct claim_job *)small;
    const struct kit_lease *there;
    struct kit_lease lease;
    int rc = page_begin(j);

    if (rc == KEDGE_OK)
        rc = lm_step_lease(step, &j->in.lease, &there);
    if (rc == KEDGE_NOT_FOUND || (rc == KEDGE_OK && there->l.state == KEDGE_LEASE_DEAD))
        return KEDGE_LOST;
    if (rc != KEDGE_OK)
        return rc;
    if (kit_id_equal(&there->claim_request, &j->in.request))
        return taken_before(step, j);
    rc = take_due(step, j);
    if (rc != KEDGE_OK || j->page.n == 0)
        return rc;
    lease = *there;
    lease.claim_request = j->in.request;
    return lm_kit_store.lease_put(step, &lease);
}

/* Nothing due, as far as a reader can see?  Then *found is false and the page says so. */
static int look(struct lm_session *s, const struct kedge_claim *in, bool *found, int64_t *next_due,
                struct kedge_error *err)
{
    struct kedge_mem *mem = NULL;
    struct kit_lease_row lease;
    struct fronts fs = { 0 };
    struct front *f;
    struct lm_read r;
    int rc = lm_read_open(s, &r, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = lm_lease_load(&r.v, &mem, &in->lease, &lease);
    if (rc == KEDGE_NOT_FOUND || (rc == KEDGE_OK && lease.k.l.state == KEDGE_LEASE_DEAD))
        rc = KEDGE_LOST;
    *found = rc == KEDGE_OK && kit_id_equal(&lease.k.claim_request, &in->request);
    if (rc == KEDGE_OK && !*found) {
        rc = fronts_open(&fs, &r.v, in);
        f = rc == KEDGE_OK ? oldest(&fs) : NULL;
        *next_due = f == NULL ? 0 : f->due;
        *found = f != NULL && f->due <= r.now_wall;
        fronts_close(&fs);
    }
    lm_read_close(s, &r);
    kedge_mem_free(s->host, mem);
    return lm_say(s, rc, "due runs", err);
}

static bool own_serves(struct claim_job *j)
{
    struct kedge_lease l = { .serves = j->in.serves, .n_serves = j->in.n_serves };

    if (!kit_copy_lease(j->small.host, &j->small.mem, &l, &l))
        return false;
    j->in.serves = l.serves;
    return true;
}

static void claim_destroy(struct lm_job *job)
{
    struct claim_job *j = (struct claim_job *)job;

    kedge_mem_free(j->small.host, j->page.mem);
    kedge_mem_free(j->small.host, j->small.mem);
    free(j);
}

int lm_claim(void *session, const struct kedge_claim *in, struct kedge_run_page *out,
             int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct claim_job *j;
    int64_t next_due = 0;
    bool found = false;
    bool left;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_claim(&lm_limits, in, err);
    if (rc == KEDGE_OK)
        rc = look(s, in, &found, &next_due, err);
    if (rc == KEDGE_OK && !found) {
        memset(out, 0, sizeof *out);
        out->next_due = next_due;
    }
    if (rc != KEDGE_OK || !found)
        return rc;
    j = lm_small_new(s, sizeof *j, claim_body);
    if (j == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    j->small.job.destroy = claim_destroy;
    j->small.job.urgent = false;
    j->in = *in;
    if (!own_serves(j)) {
        claim_destroy(&j->small.job);
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    }
    rc = lm_small_submit(&j->small, timeout_us, &left, err);
    if (rc == KEDGE_OK) {
        *out = j->page;
        j->page.mem = NULL;
    }
    if (!left)
        lm_job_free(&j->small.job);
    return rc;
}
