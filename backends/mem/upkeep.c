/*
 * upkeep.c - removing what has expired, and looking whether everything fits together
 */
#include <config.h>

#include "space.h"

/* ----------------------------------------------------------------------- purge */

struct purge {
    struct kit_step step;
    struct mem_space *space;
    size_t left; /* rows that may still go */
    struct kedge_purged done;
};

static int remove_row(struct purge *p, struct mem_table *table, void *obj)
{
    int rc = mem_replace(&p->space->log, table, obj, NULL);

    if (rc == KEDGE_OK) {
        p->left--;
        p->done.rows++;
    }
    return rc;
}

static struct mem_run *expired_run(struct purge *p)
{
    struct mem_run *run = mem_run_at(p->space, RUN_BY_EXPIRES, 0);

    return run != NULL && kit_run_expired(&run->k, p->step.now_wall) ? run : NULL;
}

/* First stage: heads.  What hangs on them is doomed. */
static int purge_heads(struct purge *p)
{
    struct mem_run *run;

    while (p->left > 0 && (run = expired_run(p)) != NULL) {
        int rc = p->step.store->run_drop(p->space, &run->k);

        if (rc != KEDGE_OK)
            return rc;
        p->left--;
        p->done.runs++;
    }
    return KEDGE_OK;
}

/* Second stage: from the end of each array, where removing is cheap. */
static int purge_doomed(struct purge *p)
{
    struct mem_index *doomed = &p->space->doomed_ix[0];

    while (p->left > 0 && doomed->n > 0) {
        struct mem_body *body = (struct mem_body *)doomed->v[doomed->n - 1];
        struct mem_table *tables[] = { &body->records, &body->slots, &body->sets, &body->snapshot };
        int rc = KEDGE_OK;

        for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
            struct mem_index *ix = &tables[i]->ix[0];

            while (rc == KEDGE_OK && p->left > 0 && ix->n > 0)
                rc = remove_row(p, tables[i], ix->v[ix->n - 1]);
            if (rc != KEDGE_OK || p->left == 0)
                return rc;
        }
        rc = mem_replace(&p->space->log, &p->space->doomed, body, NULL);
        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

static struct mem_cell *expired_cell(struct purge *p)
{
    const struct mem_index *ix = &p->space->cell_ix[CELL_BY_EXPIRES];
    struct mem_cell *cell = ix->n != 0 ? (struct mem_cell *)ix->v[0] : NULL;

    return cell != NULL && cell->k.expires <= p->step.now_wall ? cell : NULL;
}

static int purge_cells(struct purge *p)
{
    struct mem_cell *cell;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && p->left > 0 && (cell = expired_cell(p)) != NULL)
        rc = remove_row(p, &p->space->cells, cell);
    return rc;
}

static bool named(struct mem_space *space, const struct kedge_id128 *lease)
{
    static const struct kedge_bytes none;
    const struct mem_index *locks = &space->lock_ix[LOCK_BY_LEASE];
    size_t at = mem_locks_from(space, lease, none);
    const struct mem_run *run = mem_run_at(space, RUN_BY_HOLDER, mem_held_from(space, lease, none));

    if (run != NULL && kit_id_equal(&run->k.r.holder, lease))
        return true;
    return at < locks->n && kit_id_equal(&((const struct mem_lock *)locks->v[at])->k.lease, lease);
}

static struct mem_lease *useless_lease(struct purge *p, size_t *at)
{
    const struct mem_index *ix = &p->space->lease_ix[0];

    for (; *at < ix->n; (*at)++) {
        struct mem_lease *lease = (struct mem_lease *)ix->v[*at];

        if (lease->k.l.state == KEDGE_LEASE_DEAD && !named(p->space, &lease->k.l.id))
            return lease;
    }
    return NULL;
}

static int purge_leases(struct purge *p)
{
    struct mem_lease *lease;
    size_t at = 0;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && p->left > 0 && (lease = useless_lease(p, &at)) != NULL)
        rc = remove_row(p, &p->space->leases, lease);
    return rc;
}

int mem_purge(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
              struct kedge_error *err)
{
    struct purge p = { .left = limit };
    size_t at = 0;
    int rc;

    if (limit == 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the limit of a purge is zero");
    rc = mem_begin(session, &p.step, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    p.space = p.step.ctx;
    rc = purge_heads(&p);
    if (rc == KEDGE_OK)
        rc = purge_doomed(&p);
    if (rc == KEDGE_OK)
        rc = purge_cells(&p);
    if (rc == KEDGE_OK)
        rc = purge_leases(&p);
    p.done.more = expired_run(&p) != NULL || p.space->doomed_ix[0].n != 0 ||
                  expired_cell(&p) != NULL || useless_lease(&p, &at) != NULL;
    if (rc == KEDGE_OK)
        *out = p.done;
    return mem_end(&p.step, rc, err);
}

/* ---------------------------------------------------------------------- verify */

struct verify {
    struct mem_space *space;
    struct kedge_verified out;
    char first[160];
};

static void fault(struct verify *v, const char *text)
{
    if (v->out.faults++ == 0)
        (void)snprintf(v->first, sizeof v->first, "%s", text);
}

static void verify_order(struct verify *v, const struct mem_table *table, const char *text)
{
    const struct mem_index *all = &table->ix[0];

    for (size_t i = 0; i < table->n_ix; i++) {
        const struct mem_index *ix = &table->ix[i];
        size_t wanted = 0;

        for (size_t k = 0; k < all->n; k++)
            wanted += ix->has == NULL || ix->has(all->v[k]) ? 1 : 0;
        if (ix->n != wanted)
            fault(v, text);
        for (size_t k = 1; k < ix->n; k++) {
            if (ix->cmp(ix->v[k - 1], ix->v[k]) >= 0)
                fault(v, text);
        }
    }
}

static void verify_slots(struct verify *v, const struct mem_body *body)
{
    const struct mem_index *slots = &body->slot_ix[0];

    for (size_t i = 0; i < body->set_ix[0].n; i++) {
        const struct mem_set *set = (const struct mem_set *)body->set_ix[0].v[i];
        struct mem_value from = { .number = (uint64_t)set->set << 32 };
        struct mem_value to = { .number = (uint64_t)set->set << 32 | set->slots.total };
        size_t filled = mem_seek(slots, &to, false) - mem_seek(slots, &from, false);

        if (set->slots.remaining > set->slots.total ||
            filled != set->slots.total - set->slots.remaining)
            fault(v, "a slot set counts its empty places wrongly");
    }
}

static void verify_run(struct verify *v, const struct mem_run *run)
{
    const struct mem_index *records = &run->body->record_ix[0];
    const char *text = kit_run_sound(&run->k);

    v->out.runs++;
    v->out.records += records->n;
    if (text != NULL)
        fault(v, text);
    if (run->k.r.fence > v->space->fence)
        fault(v, "a run has a fence that was never issued");
    if (run->body->incarnation != run->k.r.incarnation)
        fault(v, "a run has the journal of another one");
    if (run->k.r.snapshot_position != 0 && run->body->snapshot_ix[0].n == 0)
        fault(v, "a run and its snapshot contradict each other");
    for (size_t i = 0; i < records->n; i++) {
        if (((const struct mem_value *)records->v[i])->number != i + 1)
            fault(v, "a journal has a gap");
    }
    verify_slots(v, run->body);
}

int mem_verify(void *session, struct kedge_verified *out, int64_t timeout_us,
               struct kedge_error *err)
{
    const struct kedge_host *host = ((struct mem_session *)session)->handle->host;
    struct verify v = { .first = "" };
    struct kedge_bytes text;
    struct kit_step step;
    const struct mem_run *run;
    int rc = mem_begin(session, &step, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    v.space = step.ctx;
    verify_order(&v, &v.space->runs, "the orders of runs contradict each other");
    verify_order(&v, &v.space->leases, "the leases are not in order");
    verify_order(&v, &v.space->cells, "the orders of cells contradict each other");
    verify_order(&v, &v.space->locks, "the orders of locks contradict each other");
    for (size_t i = 0; (run = mem_run_at(v.space, RUN_BY_AGE, i)) != NULL; i++)
        verify_run(&v, run);
    text = (struct kedge_bytes){ v.first, strlen(v.first) + 1 };
    if (!kit_copy(host, &v.out.mem, text, &text)) {
        rc = KEDGE_ERR_NOMEM;
    } else {
        v.out.first = text.data;
        *out = v.out;
    }
    return mem_end(&step, rc, err);
}
