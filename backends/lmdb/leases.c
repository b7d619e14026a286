/*
 * leases.c - leases, their hints, and the locks that hang on them
 *
 * Lease operations go ahead of waiting commits: a worker whose disk is busy must not look dead.  A
 * burial looks first in a read transaction, so that a sweeper which may not bury costs no write.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "session.h"

#include "../kit/mutant.h"

/* --------------------------------------------------------------- small jobs */

static int small_run(struct lm_step *step, struct lm_job *job, size_t unit)
{
    struct lm_small *small = (struct lm_small *)job;
    int rc = small->body(step, small);

    (void)unit;
    small->rc = rc;
    return rc < 0 ? rc : KEDGE_OK;
}

static void small_fail(struct lm_job *job, size_t unit, int status, const struct kedge_error *err)
{
    struct lm_small *small = (struct lm_small *)job;

    (void)unit;
    small->rc = status;
    small->err = *err;
}

static int small_adopt(struct lm_job *job, const struct kedge_host *host)
{
    (void)job;
    (void)host;
    return KEDGE_OK;
}

static void small_destroy(struct lm_job *job)
{
    struct lm_small *small = (struct lm_small *)job;

    kedge_mem_free(small->host, small->mem);
    free(small);
}

void *lm_small_new(struct lm_session *s, size_t size,
                   int (*body)(struct lm_step *step, struct lm_small *small))
{
    struct lm_small *small = calloc(1, size);

    if (small == NULL)
        return NULL;
    small->s = s;
    small->env = s->env;
    small->host = s->host;
    small->body = body;
    small->job.units = 1;
    small->job.urgent = true;
    small->job.run = small_run;
    small->job.fail = small_fail;
    small->job.adopt = small_adopt;
    small->job.destroy = small_destroy;
    return small;
}

int lm_small_submit(struct lm_small *small, int64_t timeout_us, bool *left, struct kedge_error *err)
{
    int rc = lm_writer_submit(small->env, &small->job, timeout_us, left, err);

    if (rc != KEDGE_OK)
        return rc;
    if (small->rc < 0 && err != NULL)
        *err = small->err;
    return small->rc;
}

static int no_memory(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
}

static int check_id(const struct kedge_id128 *id, const char *what, struct kedge_error *err)
{
    return kit_id_zero(id) ? kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                             "the id of a %s is all zero: it must be random", what)
                           : KEDGE_OK;
}

/* ------------------------------------------------------------ grant, extend */

struct lease_job {
    struct lm_small small;
    struct kedge_id128 id;
    struct kedge_lease_new in;
    uint64_t hint_id[2];
    bool new_hint;
    struct kedge_lease_state out;
};

static void show(struct lease_job *j, const struct kit_lease *lease, int64_t now_lease)
{
    struct kit_lease view = *lease;

    kit_lease_view(&view, now_lease);
    j->out.deadline = view.l.deadline;
    j->out.remaining_us = view.l.remaining_us;
    j->out.attention = view.l.attention;
    j->out.hint =
        lease->hint_id[0] == 0 && lease->hint_id[1] == 0 ? KEDGE_HINT_NONE : KEDGE_HINT_PRESENT;
}

static int grant_body(struct lm_step *step, struct lm_small *small)
{
    struct lease_job *j = (struct lease_job *)small;
    const struct kit_lease *there;
    struct kit_lease_row lease = { 0 };
    int rc = lm_step_lease(step, &j->in.id, &there);

    if (rc == KEDGE_OK) {
        show(j, there, step->kit.now_lease);
        return kit_id_equal(&there->grant_request, &j->in.request) ? KEDGE_OK : KEDGE_EXISTS;
    }
    if (rc != KEDGE_NOT_FOUND)
        return rc;
    kit_lease_init(&lease.k, &j->in, step->kit.now_wall, step->kit.now_lease);
    memcpy(lease.k.boot_id, small->env->boot_id, sizeof lease.k.boot_id);
    lease.k.l.incarnation = small->env->incarnation;
    memcpy(lease.k.hint_id, j->hint_id, sizeof lease.k.hint_id);
    show(j, &lease.k, step->kit.now_lease);
    return lm_lease_write(step, &lease);
}

static bool own_new(struct lease_job *j, const struct kedge_lease_new *in)
{
    const struct kedge_host *host = j->small.host;
    struct kedge_lease l = { .owner = in->owner, .serves = in->serves, .n_serves = in->n_serves };

    j->in = *in;
    if (!kit_copy_lease(host, &j->small.mem, &l, &l))
        return false;
    j->in.owner = l.owner;
    j->in.serves = l.serves;
    return true;
}

int lm_lease_grant(void *session, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                   int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct lease_job *j;
    bool left;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_lease(&lm_limits, in, err);
    if (rc != KEDGE_OK)
        return rc;
    j = lm_small_new(s, sizeof *j, grant_body);
    if (j == NULL || !own_new(j, in)) {
        if (j != NULL)
            small_destroy(&j->small.job);
        return no_memory(err);
    }
    /* The hint first: a record without its hint would look dead. */
    if (!lm_hint_mine(s->env->hints, &in->id, j->hint_id))
        (void)lm_hint_register(s->env->hints, s->store, &in->id, j->hint_id);
    rc = lm_small_submit(&j->small, timeout_us, &left, err);
    if (rc == KEDGE_OK)
        *out = j->out;
    if (!left)
        lm_job_free(&j->small.job);
    return rc;
}

static int extend_body(struct lm_step *step, struct lm_small *small)
{
    struct lease_job *j = (struct lease_job *)small;
    const struct kit_lease *there;
    struct kit_lease lease;
    int rc = lm_step_lease(step, &j->id, &there);

    if (rc == KEDGE_NOT_FOUND)
        return KEDGE_LOST;
    if (rc != KEDGE_OK)
        return rc;
    lease = *there;
    rc = kit_lease_extend(&lease, step->kit.now_lease);
    if (rc != KEDGE_OK)
        return rc;
    lease.l.incarnation = small->env->incarnation;
    memcpy(lease.boot_id, small->env->boot_id, sizeof lease.boot_id);
    if (j->new_hint)
        memcpy(lease.hint_id, j->hint_id, sizeof lease.hint_id);
    show(j, &lease, step->kit.now_lease);
    return lm_kit_store.lease_put(step, &lease);
}

/* The holder is here: its hint must stand, whatever happened to the file or to an earlier handle.
 */
static void mend_hint(struct lm_session *s, struct lease_job *j)
{
    if (lm_hint_intact(s->env->hints, &j->id))
        return;
    j->new_hint = lm_hint_register(s->env->hints, s->store, &j->id, j->hint_id);
}

int lm_lease_extend(void *session, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                    int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct lease_job *j;
    bool left;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = check_id(lease, "lease", err);
    if (rc != KEDGE_OK)
        return rc;
    j = lm_small_new(s, sizeof *j, extend_body);
    if (j == NULL)
        return no_memory(err);
    j->id = *lease;
    mend_hint(s, j);
    rc = lm_small_submit(&j->small, timeout_us, &left, err);
    if (rc == KEDGE_OK)
        *out = j->out;
    if (rc == KEDGE_LOST)
        lm_hint_remove(s->env->hints, lease);
    if (!left)
        lm_job_free(&j->small.job);
    return rc;
}

/* ------------------------------------------------------------ revoke, bury */

static int hand_back(struct lm_step *step, uint64_t inc)
{
    const struct kit_run *old;
    struct kit_run run;
    int rc = lm_step_load(step, inc, &old);

    if (rc != KEDGE_OK)
        return rc;
    run = *old;
    kit_run_hand_back(&run, step->kit.now_wall);
    step->work = true;
    return lm_kit_store.run_put(step, old, &run);
}

/* The lock whose name key is KEY, without its front. */
static int free_lock(struct lm_step *step, const MDB_val *name_key)
{
    MDB_val k = *name_key;
    MDB_val value;
    MDB_val payload;
    struct kedge_bytes name;
    const struct kit_lock *lock;
    int rc = mdb_get(step->v.txn, step->v.env->dbi[LM_LOCKS], &k, &value);

    if (rc != MDB_SUCCESS)
        return rc == MDB_NOTFOUND ? KEDGE_ERR_CORRUPT : lm_broken(step, rc);
    if (!lm_name_of(name_key, 0, &value, &name, &payload) ||
        !kit_copy(step->v.host, &step->mem, name, &name))
        return KEDGE_ERR_CORRUPT;
    rc = lm_kit_store.lock_get(step, name, &lock);
    return rc == KEDGE_OK ? lm_kit_store.lock_delete(step, name, lock) : rc;
}

/* Everything the lease holds; rows vanish as they are handled, what cannot be understood is stepped
 * over. */
static int let_go(struct lm_step *step, const struct kedge_id128 *lease)
{
    struct lm_key from = lm_key_held_run(lease, 0);
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(step->v.txn, step->v.env->dbi[LM_HELD], &cursor);

    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    for (rc = KEDGE_OK; rc >= 0;) {
        MDB_val k = lm_key_val(&from);
        MDB_val none;
        MDB_val name;
        struct lm_key row = { 0 };
        int mdb = mdb_cursor_get(cursor, &k, &none, MDB_SET_RANGE);

        if (mdb == MDB_NOTFOUND || (mdb == MDB_SUCCESS && memcmp(k.mv_data, lease->b, 16) != 0))
            break;
        if (mdb != MDB_SUCCESS) {
            rc = lm_broken(step, mdb);
            break;
        }
        lm_key_bytes(&row, k.mv_data, k.mv_size);
        name = (MDB_val){ row.len - 17, row.b + 17 };
        rc = row.b[16] == 0 ? hand_back(step, lm_get_u64(row.b + 17)) : free_lock(step, &name);
        if (rc == KEDGE_ERR_CORRUPT)
            rc = KEDGE_OK;
        from = row;
        lm_key_u8(&from, 0); /* the next one after it */
    }
    mdb_cursor_close(cursor);
    return rc;
}

static int revoke_body(struct lm_step *step, struct lm_small *small)
{
    struct lease_job *j = (struct lease_job *)small;
    const struct kit_lease *there;
    struct kit_lease lease;
    int rc = lm_step_lease(step, &j->id, &there);

    if (rc != KEDGE_OK || there->l.state == KEDGE_LEASE_DEAD)
        return rc;
    lease = *there;
    kit_lease_kill(&lease, step->kit.now_lease);
    rc = lm_kit_store.lease_put(step, &lease);
    return rc == KEDGE_OK ? let_go(step, &j->id) : rc;
}

static int end_lease(struct lm_session *s, const struct kedge_id128 *lease,
                     int (*body)(struct lm_step *, struct lm_small *), int64_t timeout_us,
                     struct kedge_error *err)
{
    struct lease_job *j = lm_small_new(s, sizeof *j, body);
    bool left;
    int rc;

    if (j == NULL)
        return no_memory(err);
    j->id = *lease;
    rc = lm_small_submit(&j->small, timeout_us, &left, err);
    if (!left)
        lm_job_free(&j->small.job);
    return rc;
}

int lm_lease_revoke(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                    struct kedge_error *err)
{
    struct lm_session *s = session;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = check_id(lease, "lease", err);
    if (rc == KEDGE_OK)
        rc = end_lease(s, lease, revoke_body, timeout_us, err);
    if (rc == KEDGE_OK)
        lm_hint_remove(s->env->hints, lease);
    return rc;
}

static bool from_another_boot(const struct lm_env *env, const struct kit_lease *lease)
{
    static const unsigned char none[16];

    return memcmp(lease->boot_id, env->boot_id, 16) != 0 && memcmp(env->boot_id, none, 16) != 0 &&
           memcmp(lease->boot_id, none, 16) != 0;
}

/* How many leases are live, and how many of these look dead by their hint alone. */
static int count_hints(const struct lm_view *v, size_t *live, size_t *absent, int64_t *longest)
{
    struct kedge_mem *mem = NULL;
    MDB_cursor *cursor;
    MDB_val k;
    MDB_val value;
    int rc = mdb_cursor_open(v->txn, v->env->dbi[LM_LEASES], &cursor);

    *live = *absent = 0;
    *longest = 0;
    if (rc != MDB_SUCCESS)
        return KEDGE_ERR_UNAVAILABLE;
    while (mdb_cursor_get(cursor, &k, &value, MDB_NEXT) == MDB_SUCCESS) {
        struct kedge_id128 id;
        struct kit_lease_row lease;
        int64_t since;

        memcpy(id.b, k.mv_data, 16);
        if (kit_lease_decode(v->host, &mem, &id,
                             (struct kedge_bytes){ value.mv_data, value.mv_size }, &lease) != 0 ||
            lease.k.l.state == KEDGE_LEASE_DEAD || from_another_boot(v->env, &lease.k))
            continue;
        ++*live;
        *absent += lm_hint_look(v->env->hints, &lease.k, &since) == KEDGE_HINT_ABSENT;
        if (lease.k.l.ttl_us > *longest)
            *longest = lease.k.l.ttl_us;
    }
    mdb_cursor_close(cursor);
    kedge_mem_free(v->host, mem);
    return KEDGE_OK;
}

int lm_suspect(const struct lm_view *v, const struct kit_lease *lease, struct kit_suspicion *out)
{
    size_t live;
    size_t absent;
    int64_t longest;
    int64_t mass;
    int rc;

    memset(out, 0, sizeof *out);
    out->certain = from_another_boot(v->env, lease);
    out->hint_absent = lm_hint_look(v->env->hints, lease, &out->absent_us) == KEDGE_HINT_ABSENT;
    if (!out->hint_absent)
        return KEDGE_OK;
    rc = count_hints(v, &live, &absent, &longest);
    if (rc != KEDGE_OK)
        return rc;
    mass = lm_hints_mass(v->env->hints, live, absent, longest);
    out->hints_ignored = mass >= 0 && mass < lease->l.ttl_us;
    return KEDGE_OK;
}

static int bury_body(struct lm_step *step, struct lm_small *small)
{
    struct lease_job *j = (struct lease_job *)small;
    const struct kit_lease *there;
    struct kit_suspicion suspicion;
    struct kit_lease lease;
    int rc = lm_step_lease(step, &j->id, &there);

    if (rc != KEDGE_OK || KIT_MUTANT("l07", false, there->l.state == KEDGE_LEASE_DEAD))
        return rc;
    lease = *there;
    if (KIT_MUTANT("l07", true, false))
        lease.l.state = KEDGE_LEASE_LIVE;
    /* The clock of another boot says nothing of this one's. */
    if (!from_another_boot(step->v.env, &lease) && kit_lease_restamp(&lease, step->kit.now_lease)) {
        rc = lm_kit_store.lease_put(step, &lease);
        return rc == KEDGE_OK ? KEDGE_HELD : rc;
    }
    rc = lm_suspect(&step->v, &lease, &suspicion);
    if (rc == KEDGE_OK)
        rc = kit_lease_may_bury(&lease, step->kit.now_lease, &suspicion);
    if (rc != KEDGE_OK)
        return rc;
    kit_lease_kill(&lease, step->kit.now_lease);
    step->work = true; /* for whoever may take over now */
    return lm_kit_store.lease_put(step, &lease);
}

/* The cheap look: may it be buried, as far as a reader can tell? */
static int may_bury(struct lm_session *s, const struct kedge_id128 *id, struct kedge_error *err)
{
    struct kit_suspicion suspicion;
    struct kedge_mem *mem = NULL;
    struct kit_lease_row lease;
    struct lm_read r;
    int rc = lm_read_open(s, &r, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = lm_lease_load(&r.v, &mem, id, &lease);
    if (rc == KEDGE_OK && r.now_lease >= lease.k.extended) {
        rc = lm_suspect(&r.v, &lease.k, &suspicion);
        if (rc == KEDGE_OK)
            rc = kit_lease_may_bury(&lease.k, r.now_lease, &suspicion);
    }
    lm_read_close(s, &r);
    kedge_mem_free(s->host, mem);
    return lm_say(s, rc, "the lease", err);
}

int lm_lease_bury(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                  struct kedge_error *err)
{
    struct lm_session *s = session;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = check_id(lease, "lease", err);
    if (rc == KEDGE_OK)
        rc = may_bury(s, lease, err);
    return rc == KEDGE_OK ? end_lease(s, lease, bury_body, timeout_us, err) : rc;
}

/* The clock stepped back behind the last extend of some lease: stamp all those anew, durably. */
static int restamp_body(struct lm_step *step, struct lm_small *small)
{
    struct lm_key from = { 0 };
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(step->v.txn, step->v.env->dbi[LM_LEASES], &cursor);

    (void)small;
    if (rc != MDB_SUCCESS)
        return lm_broken(step, rc);
    lm_key_u8(&from, 0);
    for (rc = KEDGE_OK; rc == KEDGE_OK || rc == KEDGE_ERR_CORRUPT;) {
        const struct kit_lease *there;
        struct kit_lease lease;
        struct kedge_id128 id;
        MDB_val k = lm_key_val(&from);
        MDB_val value;

        if (mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE) != MDB_SUCCESS)
            break;
        memcpy(id.b, k.mv_data, 16);
        from.len = 0;
        lm_key_bytes(&from, id.b, 16);
        lm_key_u8(&from, 0);
        rc = lm_step_lease(step, &id, &there);
        if (rc != KEDGE_OK)
            continue;
        lease = *there;
        if (kit_lease_restamp(&lease, step->kit.now_lease))
            rc = lm_kit_store.lease_put(step, &lease);
    }
    mdb_cursor_close(cursor);
    return rc == KEDGE_ERR_CORRUPT ? KEDGE_OK : rc;
}

/* -------------------------------------------------------------------- lists */

static int list_one(const struct lm_read *r, struct kedge_lease_page *out, const MDB_val *k,
                    const MDB_val *value, bool *stepped_back)
{
    struct kedge_bytes bytes = { value->mv_data, value->mv_size };
    struct kedge_id128 id;
    struct kit_lease_row lease;
    int64_t absent;
    int rc;

    memcpy(id.b, k->mv_data, 16);
    if (!kit_copy(r->v.host, &out->mem, bytes, &bytes))
        return KEDGE_ERR_NOMEM;
    rc = kit_lease_decode(r->v.host, &out->mem, &id, bytes, &lease);
    if (rc == KEDGE_ERR_CORRUPT) { /* shown as dead: it protects nothing */
        memset(&lease, 0, sizeof lease);
        lease.k.l.id = id;
        lease.k.l.state = KEDGE_LEASE_DEAD;
    } else if (rc != KEDGE_OK) {
        return rc;
    }
    *stepped_back |= lease.k.l.state != KEDGE_LEASE_DEAD && r->now_lease < lease.k.extended;
    kit_lease_view(&lease.k, r->now_lease);
    lease.k.l.hint = lease.k.l.state == KEDGE_LEASE_DEAD
                         ? KEDGE_HINT_NONE
                         : lm_hint_look(r->v.env->hints, &lease.k, &absent);
    out->leases[out->n++] = lease.k.l;
    return KEDGE_OK;
}

static int check_limit(size_t limit, struct kedge_error *err)
{
    return limit >= 1 && limit <= lm_limits.page_max
               ? KEDGE_OK
               : kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a page has 1 to %llu entries, not %zu",
                                 (unsigned long long)lm_limits.page_max, limit);
}

static int bad_cursor(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "the cursor is not one that this list handed out");
}

int lm_lease_list(void *session, struct kedge_bytes cursor, size_t limit,
                  struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct kedge_lease_page page = { 0 };
    struct lm_key from = { 0 };
    MDB_cursor *c = NULL;
    bool stepped_back = false;
    struct lm_read r;
    MDB_val k;
    MDB_val value;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = check_limit(limit, err);
    if (rc == KEDGE_OK && cursor.len != 0 && cursor.len != 17)
        rc = bad_cursor(err);
    if (rc == KEDGE_OK)
        rc = lm_read_open(s, &r, err);
    if (rc != KEDGE_OK)
        return rc;
    lm_key_bytes(&from, cursor.len == 0 ? "" : cursor.data, cursor.len == 0 ? 1 : cursor.len);
    k = lm_key_val(&from);
    page.leases = kedge_mem_alloc(s->host, &page.mem, limit * sizeof *page.leases);
    if (page.leases == NULL)
        rc = KEDGE_ERR_NOMEM;
    else if (mdb_cursor_open(r.v.txn, s->env->dbi[LM_LEASES], &c) != MDB_SUCCESS)
        rc = KEDGE_ERR_UNAVAILABLE;
    for (MDB_cursor_op op = MDB_SET_RANGE;
         rc == KEDGE_OK && mdb_cursor_get(c, &k, &value, op) == MDB_SUCCESS; op = MDB_NEXT) {
        if (page.n == limit) {
            struct lm_key last = { 0 };

            lm_key_bytes(&last, page.leases[page.n - 1].id.b, 16);
            lm_key_u8(&last, 0);
            if (!lm_cursor_out(s->host, &page.mem, &last, &page.next))
                rc = KEDGE_ERR_NOMEM;
            break;
        }
        rc = list_one(&r, &page, &k, &value, &stepped_back);
    }
    if (c != NULL)
        mdb_cursor_close(c);
    lm_read_close(s, &r);
    if (rc == KEDGE_OK && stepped_back)
        rc = end_lease(s, &page.leases[0].id, restamp_body, timeout_us, err);
    else
        rc = lm_say(s, rc, "a lease", err);
    if (rc == KEDGE_OK)
        *out = page;
    else
        kedge_mem_free(s->host, page.mem);
    return rc;
}

static int held_run(const struct lm_read *r, struct kedge_held_page *out, uint64_t inc)
{
    struct kedge_held *h = &out->held[out->n];
    struct kit_run_row run;
    int rc = lm_head(&r->v, inc, &run);

    if (rc == KEDGE_ERR_CORRUPT || rc == KEDGE_NOT_FOUND)
        return KEDGE_OK; /* its trouble is its own */
    if (rc != KEDGE_OK)
        return rc;
    memset(h, 0, sizeof *h);
    h->fence = run.k.r.fence;
    h->requests = run.k.r.requests;
    if (!kit_copy(r->v.host, &out->mem, run.k.r.id, &h->name))
        return KEDGE_ERR_NOMEM;
    out->n++;
    return KEDGE_OK;
}

static int held_lock(const struct lm_read *r, struct kedge_held_page *out, MDB_val name_key)
{
    struct kedge_held *h = &out->held[out->n];
    struct kit_lock lock;
    MDB_val value;
    MDB_val payload;
    struct kedge_bytes name;

    if (mdb_get(r->v.txn, r->v.env->dbi[LM_LOCKS], &name_key, &value) != MDB_SUCCESS ||
        !lm_name_of(&name_key, 0, &value, &name, &payload) ||
        !kit_lock_decode((struct kedge_bytes){ payload.mv_data, payload.mv_size }, &lock))
        return KEDGE_OK;
    memset(h, 0, sizeof *h);
    h->is_lock = 1;
    h->fence = lock.fence;
    if (!kit_copy(r->v.host, &out->mem, name, &h->name))
        return KEDGE_ERR_NOMEM;
    out->n++;
    return KEDGE_OK;
}

int lm_list_held(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                 size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                 struct kedge_error *err)
{
    struct lm_session *s = session;
    struct kedge_held_page page = { 0 };
    struct lm_key from = lm_key_held_run(lease, 0);
    MDB_cursor *c = NULL;
    struct lm_read r;
    MDB_val k;
    MDB_val none;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = check_limit(limit, err);
    if (rc == KEDGE_OK && cursor.len != 0) {
        if (cursor.len < 18 || cursor.len > sizeof from.b || memcmp(cursor.data, lease->b, 16) != 0)
            rc = bad_cursor(err);
        else
            memcpy(from.b, cursor.data, from.len = cursor.len);
    }
    if (rc == KEDGE_OK)
        rc = lm_read_open(s, &r, err);
    if (rc != KEDGE_OK)
        return rc;
    k = lm_key_val(&from);
    page.held = kedge_mem_alloc(s->host, &page.mem, limit * sizeof *page.held);
    if (page.held == NULL)
        rc = KEDGE_ERR_NOMEM;
    else if (mdb_cursor_open(r.v.txn, s->env->dbi[LM_HELD], &c) != MDB_SUCCESS)
        rc = KEDGE_ERR_UNAVAILABLE;
    for (MDB_cursor_op op = MDB_SET_RANGE;
         rc == KEDGE_OK && mdb_cursor_get(c, &k, &none, op) == MDB_SUCCESS; op = MDB_NEXT) {
        unsigned char *p = k.mv_data;

        if (memcmp(p, lease->b, 16) != 0)
            break;
        if (page.n == limit) {
            struct lm_key here = { 0 };

            lm_key_bytes(&here, p, k.mv_size);
            if (!lm_cursor_out(s->host, &page.mem, &here, &page.next))
                rc = KEDGE_ERR_NOMEM;
            break;
        }
        rc = p[16] == 0 ? held_run(&r, &page, lm_get_u64(p + 17))
                        : held_lock(&r, &page, (MDB_val){ k.mv_size - 17, p + 17 });
    }
    if (c != NULL)
        mdb_cursor_close(c);
    lm_read_close(s, &r);
    if (rc == KEDGE_OK)
        *out = page;
    else
        kedge_mem_free(s->host, page.mem);
    return lm_say(s, rc, "what a lease holds", err);
}

/* -------------------------------------------------------------------- locks */

struct lock_job {
    struct lm_small small;
    struct kedge_bytes name;
    struct kedge_id128 lease;
    struct kedge_id128 request;
    uint64_t fence;
    struct kedge_lock_state out;
};

static struct lock_job *lock_job_new(struct lm_session *s, struct kedge_bytes name,
                                     const struct kedge_id128 *lease,
                                     int (*body)(struct lm_step *, struct lm_small *))
{
    struct lock_job *j = lm_small_new(s, sizeof *j, body);

    if (j == NULL)
        return NULL;
    j->lease = *lease;
    if (!kit_copy(s->host, &j->small.mem, name, &j->name)) {
        small_destroy(&j->small.job);
        return NULL;
    }
    return j;
}

static int check_lock(struct lm_session *s, struct kedge_bytes name,
                      const struct kedge_id128 *lease, int64_t timeout_us, struct kedge_error *err)
{
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&lm_limits, name, "the name of a lock", err);
    return rc == KEDGE_OK ? check_id(lease, "lease", err) : rc;
}

static int acquire_body(struct lm_step *step, struct lm_small *small)
{
    struct lock_job *j = (struct lock_job *)small;

    return kit_lock_acquire(&step->kit, j->name, &j->lease, &j->request, &j->out);
}

int lm_lock_acquire(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                    const struct kedge_id128 *request, struct kedge_lock_state *out,
                    int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct lock_job *j;
    bool left;
    int rc = check_lock(s, name, lease, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = check_id(request, "request", err);
    if (rc != KEDGE_OK)
        return rc;
    j = lock_job_new(s, name, lease, acquire_body);
    if (j == NULL)
        return no_memory(err);
    j->request = *request;
    rc = lm_small_submit(&j->small, timeout_us, &left, err);
    if (rc == KEDGE_OK || rc == KEDGE_HELD)
        *out = j->out;
    if (!left)
        lm_job_free(&j->small.job);
    return rc;
}

static int lock_extend_body(struct lm_step *step, struct lm_small *small)
{
    struct lock_job *j = (struct lock_job *)small;
    const struct kit_lease *there;
    struct kit_lease lease;
    int rc = kit_lock_check(&step->kit, j->name, &j->lease, j->fence);

    if (rc == KEDGE_OK)
        rc = lm_step_lease(step, &j->lease, &there);
    if (rc != KEDGE_OK)
        return rc;
    lease = *there;
    rc = kit_lease_extend(&lease, step->kit.now_lease);
    if (rc == KEDGE_OK)
        rc = lm_kit_store.lease_put(step, &lease);
    if (rc != KEDGE_OK)
        return rc;
    kit_lease_view(&lease, step->kit.now_lease);
    j->out = (struct kedge_lock_state){ j->lease, j->fence, lease.l.remaining_us };
    return KEDGE_OK;
}

int lm_lock_extend(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                   uint64_t fence, struct kedge_lock_state *out, int64_t timeout_us,
                   struct kedge_error *err)
{
    struct lm_session *s = session;
    struct lock_job *j;
    bool left;
    int rc = check_lock(s, name, lease, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    j = lock_job_new(s, name, lease, lock_extend_body);
    if (j == NULL)
        return no_memory(err);
    j->fence = fence;
    rc = lm_small_submit(&j->small, timeout_us, &left, err);
    if (rc == KEDGE_OK)
        *out = j->out;
    if (!left)
        lm_job_free(&j->small.job);
    return rc;
}

static int release_body(struct lm_step *step, struct lm_small *small)
{
    struct lock_job *j = (struct lock_job *)small;

    return kit_lock_release(&step->kit, j->name, &j->lease, j->fence);
}

int lm_lock_release(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                    uint64_t fence, int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct lock_job *j;
    bool left;
    int rc = check_lock(s, name, lease, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    j = lock_job_new(s, name, lease, release_body);
    if (j == NULL)
        return no_memory(err);
    j->fence = fence;
    rc = lm_small_submit(&j->small, timeout_us, &left, err);
    if (!left)
        lm_job_free(&j->small.job);
    return rc;
}

int lm_lock_query(void *session, struct kedge_bytes name, struct kedge_lock_state *out,
                  int64_t timeout_us, struct kedge_error *err)
{
    struct lm_session *s = session;
    struct kedge_mem *mem = NULL;
    struct kit_lease_row lease;
    struct kit_lock lock;
    struct lm_key key;
    struct lm_read r;
    MDB_val payload;
    int rc = lm_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = kit_check_name(&lm_limits, name, "the name of a lock", err);
    if (rc == KEDGE_OK)
        rc = lm_read_open(s, &r, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = lm_name_find(&r.v, LM_LOCKS, 0, name, &payload, &key);
    rc = rc == MDB_SUCCESS ? KEDGE_OK : (rc == MDB_NOTFOUND ? KEDGE_NOT_FOUND : KEDGE_ERR_CORRUPT);
    if (rc == KEDGE_OK &&
        !kit_lock_decode((struct kedge_bytes){ payload.mv_data, payload.mv_size }, &lock))
        rc = KEDGE_ERR_CORRUPT;
    if (rc == KEDGE_OK)
        rc = lm_lease_load(&r.v, &mem, &lock.lease, &lease);
    if (rc == KEDGE_OK && lease.k.l.state == KEDGE_LEASE_DEAD)
        rc = KEDGE_NOT_FOUND;
    if (rc == KEDGE_OK) {
        kit_lease_view(&lease.k, r.now_lease);
        *out = (struct kedge_lock_state){ lock.lease, lock.fence, lease.k.l.remaining_us };
    }
    lm_read_close(s, &r);
    kedge_mem_free(s->host, mem);
    return lm_say(s, rc, "the lock", err);
}
