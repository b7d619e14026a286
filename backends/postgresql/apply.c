/*
 * apply.c - groups of the kit, as parameters of the function that compares and writes
 *
 *   I1  The server goes through groups in waves.  In a wave no group writes a row that another one
 *       of it looks at or writes, but for one: a group may look at what a later one writes, since
 *       all of a wave is compared before any of it is written.
 *   I2  A group that builds on what an earlier one writes depends on it by name (g, k): equal
 *       stamps could be a coincidence.
 *   I3  Groups that are a plain append to a run nobody else names go apart from the rest, all in
 *       one statement of the function, if they are of one lease.
 *   I4  What is locked is known before: the function locks all of it in one order.
 *   I5  Who held a run whose head is written, or whose journal counts, is known from the head that
 *       is expected.
 */
#include <config.h>

#include <stdlib.h>

#include "session.h"

/* Where a row is used in this call. */
struct track {
    size_t last;    /* group that counted it last, + 1 */
    size_t refs;    /* groups that name it */
    size_t writer;  /* last group that writes it, + 1; 0: none yet */
    int32_t wrote;  /* in which wave */
    int32_t looked; /* the last wave that looks at it */
};

struct place {
    int32_t wave;
    bool plain;
    uint64_t rid; /* plain */
};

/* One row of the general shape; see row_in in schema.c. */
struct item {
    size_t g;
    int32_t k;
    uint64_t rid;
    int64_t a;
    int64_t b;
    int64_t c;
    bool flag;
    const struct kedge_id128 *u;
    const struct kedge_id128 *v;
    struct kedge_bytes name;
    struct kedge_bytes val;
};

struct applying {
    struct pg_conn *c;
    struct kit_group *groups;
    size_t n;
    struct place *places;
    struct track *tracks;
    size_t n_tracks;
    const struct kedge_id128 *lease; /* of the plain ones */
    struct pg_query q;
};

/* A placeholder as a negative number, from -1 on. */
static int64_t wire(uint64_t f)
{
    return KIT_IS_PLACE(f) ? -(int64_t)KIT_PLACE_INDEX(f) - 1 : (int64_t)f;
}

/* --------------------------------------------------------------------- waves */

static size_t count_rows(const struct applying *a)
{
    size_t n = 0;

    for (size_t g = 0; g < a->n; g++)
        n += a->groups[g].n_expects + a->groups[g].n_writes;
    return n;
}

static void forget_tracks(struct applying *a)
{
    for (size_t g = 0; g < a->n; g++) {
        for (size_t i = 0; i < a->groups[g].n_expects; i++)
            ((struct kit_row *)(uintptr_t)a->groups[g].expects[i].row)->own_no = 0;
        for (size_t i = 0; i < a->groups[g].n_writes; i++)
            a->groups[g].writes[i].row->own_no = 0;
    }
}

static struct track *track_of(struct applying *a, const struct kit_row *row)
{
    struct kit_row *mine = (struct kit_row *)(uintptr_t)row;

    if (mine->own_no == 0)
        mine->own_no = ++a->n_tracks;
    return &a->tracks[mine->own_no - 1];
}

static void count(struct applying *a, size_t g, const struct kit_row *row)
{
    struct track *t = track_of(a, row);

    if (t->last == g + 1)
        return;
    t->last = g + 1;
    t->refs++;
}

/* Attention is added up: whoever raises it expects nothing of it. */
static bool is_tracked(const struct kit_write *w)
{
    return w->kind != KIT_WRITE_ATTENTION;
}

static void count_all(struct applying *a)
{
    for (size_t g = 0; g < a->n; g++) {
        const struct kit_group *group = &a->groups[g];

        for (size_t i = 0; i < group->n_expects; i++)
            count(a, g, group->expects[i].row);
        for (size_t i = 0; i < group->n_writes; i++)
            if (is_tracked(&group->writes[i]))
                count(a, g, group->writes[i].row);
    }
}

static int32_t later(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static int32_t wave_of(struct applying *a, const struct kit_group *group)
{
    int32_t wave = 1;

    for (size_t i = 0; i < group->n_expects; i++) {
        const struct track *t = track_of(a, group->expects[i].row);

        if (t->writer != 0)
            wave = later(wave, t->wrote + 1);
    }
    for (size_t i = 0; i < group->n_writes; i++) {
        const struct track *t = track_of(a, group->writes[i].row);

        if (!is_tracked(&group->writes[i]))
            continue;
        wave = later(wave, t->looked);
        if (t->writer != 0)
            wave = later(wave, t->wrote + 1);
    }
    return wave;
}

static void note_wave(struct applying *a, size_t g, int32_t wave)
{
    const struct kit_group *group = &a->groups[g];

    for (size_t i = 0; i < group->n_expects; i++) {
        struct track *t = track_of(a, group->expects[i].row);

        t->looked = later(t->looked, wave);
    }
    for (size_t i = 0; i < group->n_writes; i++) {
        struct track *t = track_of(a, group->writes[i].row);

        if (!is_tracked(&group->writes[i]))
            continue;
        t->writer = g + 1;
        t->wrote = wave;
    }
}

/* An append of one record to a run that no other group names, by its holder. */
static bool is_plain(struct applying *a, const struct kit_group *group, uint64_t *rid)
{
    const struct kit_expect *run = NULL;
    const struct kit_expect *lease = NULL;

    if (group->n_writes != 1 || group->writes[0].kind != KIT_WRITE_APPEND ||
        group->writes[0].n != 1 || group->n_expects != 2)
        return false;
    for (size_t i = 0; i < 2; i++) {
        if (group->expects[i].row->kind == KIT_ROW_RUN)
            run = &group->expects[i];
        else if (group->expects[i].row->kind == KIT_ROW_LEASE)
            lease = &group->expects[i];
    }
    if (run == NULL || lease == NULL || !run->there || !run->journal || !lease->there ||
        lease->stamp != 0 || run->row != group->writes[0].row || KIT_IS_PLACE(run->incarnation) ||
        track_of(a, run->row)->refs != 1)
        return false;
    if (a->lease != NULL && !kit_id_equal(a->lease, &lease->row->lease_id))
        return false;
    a->lease = &lease->row->lease_id;
    *rid = run->incarnation;
    return true;
}

static bool put_in_waves(struct applying *a)
{
    a->places = calloc(a->n, sizeof *a->places);
    a->tracks = calloc(count_rows(a) + 1, sizeof *a->tracks);
    if (a->places == NULL || a->tracks == NULL)
        return false;
    forget_tracks(a);
    count_all(a);
    for (size_t g = 0; g < a->n; g++) {
        struct place *p = &a->places[g];

        p->plain = is_plain(a, &a->groups[g], &p->rid);
        if (p->plain)
            continue;
        p->wave = wave_of(a, &a->groups[g]);
        note_wave(a, g, p->wave);
    }
    return true;
}

/* ------------------------------------------------------------------ the arrays */

static void put(struct applying *a, struct pg_array *array, const struct item *x)
{
    static const struct kedge_id128 zero;
    struct pg_conn *c = a->c;
    struct pg_record r;

    pg_record_open(c, array, &r, 12);
    pg_col_i32(c, a->places[x->g].wave);
    pg_col_i32(c, (int32_t)x->g);
    pg_col_i32(c, x->k);
    pg_col_i64(c, wire(x->rid));
    pg_col_i64(c, x->a);
    pg_col_i64(c, x->b);
    pg_col_i64(c, x->c);
    pg_col_bool(c, x->flag);
    pg_col_id(c, x->u != NULL ? x->u : &zero);
    pg_col_id(c, x->v != NULL ? x->v : &zero);
    pg_col_bytes(c, x->name);
    pg_col_bytes(c, x->val);
    pg_record_close(c, &r);
}

/* An array made by calling ONE for every group that is not plain. */
static void put_groups(struct applying *a, uint32_t oid,
                       void (*one)(struct applying *, struct pg_array *, size_t))
{
    struct pg_array array;

    pg_array_open(a->c, &a->q, &array, oid);
    for (size_t g = 0; g < a->n; g++)
        if (!a->places[g].plain)
            one(a, &array, g);
    pg_array_close(a->c, &a->q, &array);
}

/* Likewise, for every write of such a group. */
static void put_writes(struct applying *a, uint32_t oid,
                       void (*one)(struct applying *, struct pg_array *, size_t,
                                   const struct kit_write *))
{
    struct pg_array array;

    pg_array_open(a->c, &a->q, &array, oid);
    for (size_t g = 0; g < a->n; g++)
        for (size_t i = 0; !a->places[g].plain && i < a->groups[g].n_writes; i++)
            one(a, &array, g, &a->groups[g].writes[i]);
    pg_array_close(a->c, &a->q, &array);
}

static void one_group(struct applying *a, struct pg_array *array, size_t g)
{
    put(a, array, &(struct item){ .g = g, .a = a->groups[g].from, .b = a->groups[g].to });
}

static void dep(struct applying *a, struct pg_array *array, size_t g, const struct track *t)
{
    if (t->writer != 0)
        put(a, array, &(struct item){ .g = g, .k = (int32_t)(t->writer - 1) });
}

/* The writers are found once more, in the same order. */
static void put_deps(struct applying *a)
{
    struct pg_array array;

    for (size_t i = 0; i < a->n_tracks; i++)
        a->tracks[i].writer = 0;
    pg_array_open(a->c, &a->q, &array, a->c->row_in);
    for (size_t g = 0; g < a->n; g++) {
        const struct kit_group *group = &a->groups[g];

        if (a->places[g].plain)
            continue;
        for (size_t i = 0; i < group->n_expects; i++)
            dep(a, &array, g, track_of(a, group->expects[i].row));
        for (size_t i = 0; i < group->n_writes; i++)
            if (is_tracked(&group->writes[i]) && track_of(a, group->writes[i].row)->writer != g + 1)
                dep(a, &array, g, track_of(a, group->writes[i].row));
        note_wave(a, g, a->places[g].wave);
    }
    pg_array_close(a->c, &a->q, &array);
}

static uint64_t rid_of(const struct kit_row *run)
{
    return run != NULL && run->there && run->run != NULL ? run->run->r.incarnation : 0;
}

static void one_expect(struct applying *a, struct pg_array *array, size_t g)
{
    for (size_t i = 0; i < a->groups[g].n_expects; i++) {
        const struct kit_expect *e = &a->groups[g].expects[i];
        struct item x = { .g = g,
                          .k = (int32_t)e->row->kind,
                          .flag = e->there,
                          .name = e->row->name,
                          .a = wire(e->stamp),
                          .b = e->journal ? (int64_t)e->position : -1,
                          .c = e->row->set };

        if (e->row->kind == KIT_ROW_LEASE)
            x.u = &e->row->lease_id;
        x.rid = e->row->kind == KIT_ROW_RUN ? e->incarnation : rid_of(e->row->of);
        put(a, array, &x);
    }
}

static void one_drop(struct applying *a, struct pg_array *array, size_t g,
                     const struct kit_write *w)
{
    if (w->kind == KIT_WRITE_DROP)
        put(a, array, &(struct item){ .g = g, .rid = w->run_old->r.incarnation });
}

static void put_done(struct pg_conn *c, const struct kit_done *d)
{
    pg_col_id(c, &d->request);
    pg_col_i64(c, wire(d->fence));
    pg_col_i64(c, (int64_t)d->revision);
    pg_col_i64(c, (int64_t)d->position);
}

/* What never changes is sent for a new run only. */
static void put_origin(struct pg_conn *c, const struct kit_run *k, bool neu)
{
    static const struct kit_run blank;
    const struct kedge_run *r = neu ? &k->r : &blank.r;

    pg_col_bytes(c, r->id);
    pg_col_bytes(c, r->reactor);
    pg_col_bytes(c, k->r.queue);
    pg_col_bytes(c, r->context);
    pg_col_bytes(c, r->parent);
    pg_col_bytes(c, r->root);
    pg_col_i64(c, (int64_t)r->parent_incarnation);
    pg_col_i64(c, r->parent_set);
    pg_col_i64(c, r->parent_slot);
    pg_col_i64(c, r->version);
    pg_col_i64(c, r->created);
    pg_col_id(c, &k->create_request);
}

static void one_run(struct applying *a, struct pg_array *array, size_t g, const struct kit_write *w)
{
    const struct kit_run *k = w->run_new;
    struct pg_conn *c = a->c;
    struct pg_record r;

    if (w->kind != KIT_WRITE_RUN)
        return;
    pg_record_open(c, array, &r, 3 + PG_RUN_WIDTH - 2);
    pg_col_i32(c, a->places[g].wave);
    pg_col_i32(c, (int32_t)g);
    pg_col_bool(c, w->run_old == NULL);
    pg_col_i64(c, wire(k->r.incarnation));
    put_origin(c, k, w->run_old == NULL);
    pg_col_i64(c, wire(k->r.fence));
    pg_col_id(c, &k->r.holder);
    pg_col_i32(c, (int32_t)k->r.status);
    pg_col_i32(c, (int32_t)k->r.place);
    pg_col_i32(c, (int32_t)k->r.wakes_on);
    pg_col_i32(c, (int32_t)k->r.requests);
    pg_col_i64(c, k->r.recoveries);
    pg_col_i64(c, (int64_t)k->recoveries_at);
    pg_col_i32(c, (int32_t)k->r.wake_mark);
    pg_col_i64(c, k->r.due);
    pg_col_i64(c, k->r.finished);
    pg_col_i64(c, k->r.expires);
    pg_col_i64(c, k->r.hold_until);
    pg_col_i64(c, (int64_t)k->r.snapshot_position);
    pg_col_id(c, &k->take_request);
    put_done(c, &k->last);
    put_done(c, &k->prev);
    pg_record_close(c, &r);
}

static void one_hot(struct applying *a, struct pg_array *array, size_t g, const struct kit_write *w)
{
    if (w->kind == KIT_WRITE_RUN)
        put(a, array,
            &(struct item){ .g = g,
                            .rid = w->run_new->r.incarnation,
                            .a = (int64_t)w->run_new->head_revision,
                            .flag = w->run_old == NULL });
}

static void one_record(struct applying *a, struct pg_array *array, size_t g,
                       const struct kit_write *w)
{
    for (size_t i = 0; w->kind == KIT_WRITE_APPEND && i < w->n; i++)
        put(a, array,
            &(struct item){ .g = g,
                            .rid = w->run_new->r.incarnation,
                            .a = (int64_t)(w->number + i),
                            .b = w->time,
                            .u = &w->request,
                            .val = w->records[i] });
}

static void one_snapshot(struct applying *a, struct pg_array *array, size_t g,
                         const struct kit_write *w)
{
    if (w->kind == KIT_WRITE_SNAPSHOT)
        put(a, array, &(struct item){ .g = g, .rid = w->run_new->r.incarnation, .val = w->value });
}

static void one_set(struct applying *a, struct pg_array *array, size_t g, const struct kit_write *w)
{
    if (w->kind == KIT_WRITE_SET)
        put(a, array,
            &(struct item){ .g = g,
                            .rid = rid_of(w->row->of),
                            .a = w->slots_new.total,
                            .b = w->slots_new.remaining,
                            .c = w->row->set });
}

static void one_slot(struct applying *a, struct pg_array *array, size_t g,
                     const struct kit_write *w)
{
    if (w->kind == KIT_WRITE_SLOT)
        put(a, array,
            &(struct item){ .g = g,
                            .rid = rid_of(w->row->of),
                            .a = w->index,
                            .c = w->row->set,
                            .val = w->value });
}

/* k: 1 new, 2 over an old one, 3 gone. */
static void one_cell(struct applying *a, struct pg_array *array, size_t g,
                     const struct kit_write *w)
{
    if (w->kind == KIT_WRITE_CELL_GONE)
        put(a, array, &(struct item){ .g = g, .k = 3, .name = w->row->name });
    else if (w->kind == KIT_WRITE_CELL)
        put(a, array,
            &(struct item){ .g = g,
                            .k = w->cell_old == NULL ? 1 : 2,
                            .name = w->row->name,
                            .val = w->cell_new->value,
                            .a = wire(w->cell_new->version),
                            .b = w->cell_new->expires,
                            .u = &w->cell_new->request });
}

static void one_lock(struct applying *a, struct pg_array *array, size_t g,
                     const struct kit_write *w)
{
    if (w->kind == KIT_WRITE_LOCK_GONE)
        put(a, array, &(struct item){ .g = g, .k = 3, .name = w->row->name });
    else if (w->kind == KIT_WRITE_LOCK)
        put(a, array,
            &(struct item){ .g = g,
                            .k = w->lock_old == NULL ? 1 : 2,
                            .name = w->row->name,
                            .a = wire(w->lock_new->fence),
                            .u = &w->lock_new->lease,
                            .v = &w->lock_new->request });
}

static void one_attention(struct applying *a, struct pg_array *array, size_t g,
                          const struct kit_write *w)
{
    if (w->kind == KIT_WRITE_ATTENTION)
        put(a, array, &(struct item){ .g = g, .a = (int64_t)w->number, .u = &w->row->lease_id });
}

/* ---------------------------------------------------------------- what is locked */

/* Who held a run before this write of its head; NULL: nobody. */
static const struct kedge_id128 *held_before(const struct kit_write *w)
{
    if ((w->kind != KIT_WRITE_RUN && w->kind != KIT_WRITE_DROP) || w->run_old == NULL ||
        kit_id_zero(&w->run_old->r.holder))
        return NULL;
    return &w->run_old->r.holder;
}

/* Whoever holds a run whose length counts; NULL: nobody. */
static const struct kedge_id128 *counts_on(const struct kit_expect *e)
{
    return e->run != NULL && e->journal && !kit_id_zero(&e->run->r.holder) ? &e->run->r.holder
                                                                           : NULL;
}

/* Is LEASE one of those that must not append meanwhile? */
static bool is_gripped(const struct applying *a, const struct kedge_id128 *lease)
{
    bool found = a->lease != NULL && kit_id_equal(a->lease, lease);

    for (size_t g = 0; g < a->n && !found; g++) {
        const struct kit_group *group = &a->groups[g];
        const struct kedge_id128 *id;

        for (size_t i = 0; i < group->n_expects && !a->places[g].plain && !found; i++)
            found = (id = counts_on(&group->expects[i])) != NULL && kit_id_equal(id, lease);
        for (size_t i = 0; i < group->n_writes && !a->places[g].plain && !found; i++)
            found = (id = held_before(&group->writes[i])) != NULL && kit_id_equal(id, lease);
    }
    return found;
}

/* A lease that lives and is gripped has a stronger lock than it would get here. */
static bool is_locked(const struct applying *a, const struct kit_expect *e, uint32_t kind)
{
    return e->row->kind == kind && e->there &&
           !(kind == KIT_ROW_LEASE && e->stamp == 0 && is_gripped(a, &e->row->lease_id));
}

static void put_locked(struct applying *a, uint32_t kind, uint32_t oid)
{
    struct pg_array array;

    pg_array_open(a->c, &a->q, &array, oid);
    for (size_t g = 0; g < a->n; g++)
        for (size_t i = 0; i < a->groups[g].n_expects; i++) {
            const struct kit_expect *e = &a->groups[g].expects[i];

            if (!is_locked(a, e, kind))
                continue;
            if (kind == KIT_ROW_LEASE)
                pg_array_id(a->c, &array, &e->row->lease_id);
            else if (kind != KIT_ROW_RUN)
                pg_array_bytes(a->c, &array, e->row->name);
            else if (!KIT_IS_PLACE(e->incarnation))
                pg_array_i64(a->c, &array, (int64_t)e->incarnation);
        }
    pg_array_close(a->c, &a->q, &array);
}

static void one_beat(struct applying *a, struct pg_array *array, size_t g,
                     const struct kit_write *w)
{
    (void)g;
    if (w->kind == KIT_WRITE_ATTENTION)
        pg_array_id(a->c, array, &w->row->lease_id);
}

static void one_raised(struct applying *a, struct pg_array *array, size_t g,
                       const struct kit_write *w)
{
    const struct kedge_id128 *holder = held_before(w);

    (void)g;
    if (holder != NULL)
        pg_array_id(a->c, array, holder);
}

/* Who must not append meanwhile. */
static void put_grips(struct applying *a)
{
    struct pg_array array;

    pg_array_open(a->c, &a->q, &array, PG_OID_UUID);
    if (a->lease != NULL)
        pg_array_id(a->c, &array, a->lease);
    for (size_t g = 0; g < a->n; g++) {
        const struct kit_group *group = &a->groups[g];

        if (a->places[g].plain)
            continue;
        for (size_t i = 0; i < group->n_expects; i++) {
            const struct kedge_id128 *holder = counts_on(&group->expects[i]);

            if (holder != NULL)
                pg_array_id(a->c, &array, holder);
        }
        for (size_t i = 0; i < group->n_writes; i++)
            one_raised(a, &array, g, &group->writes[i]);
    }
    pg_array_close(a->c, &a->q, &array);
}

/* --------------------------------------------------------------- plain appends */

static void plain_one(struct applying *a, struct pg_array *array, size_t g, int what)
{
    const struct kit_group *group = &a->groups[g];
    const struct kit_write *w = &group->writes[0];
    const struct kit_expect *run = &group->expects[0];

    if (run->row->kind != KIT_ROW_RUN)
        run = &group->expects[1];
    switch (what) {
    case 0:
        pg_array_i64(a->c, array, (int64_t)a->places[g].rid);
        return;
    case 1:
        pg_array_i64(a->c, array, (int64_t)run->stamp);
        return;
    case 2:
        pg_array_i64(a->c, array, (int64_t)w->number);
        return;
    case 3:
        pg_array_id(a->c, array, &w->request);
        return;
    default:
        pg_array_bytes(a->c, array, w->records[0]);
    }
}

static void put_plain(struct applying *a)
{
    static const uint32_t oids[] = { PG_OID_INT8, PG_OID_INT8, PG_OID_INT8, PG_OID_UUID,
                                     PG_OID_BYTEA };

    if (a->lease == NULL)
        pg_arg_null(a->c, &a->q);
    else
        pg_arg_id(a->c, &a->q, a->lease);
    for (int what = 0; what < 5; what++) {
        struct pg_array array;

        pg_array_open(a->c, &a->q, &array, oids[what]);
        for (size_t g = 0; g < a->n; g++)
            if (a->places[g].plain)
                plain_one(a, &array, g, what);
        pg_array_close(a->c, &a->q, &array);
    }
}

/* -------------------------------------------------------------------- all of it */

/* Anything but runs and leases? */
static bool expects_rare(const struct applying *a)
{
    for (size_t g = 0; g < a->n; g++)
        for (size_t i = 0; i < a->groups[g].n_expects; i++)
            if (a->groups[g].expects[i].row->kind > KIT_ROW_LEASE)
                return true;
    return false;
}

/* How many waves there are, and the time that is good for every group. */
static void put_waves(struct applying *a)
{
    int32_t waves = 0;
    int64_t from = INT64_MIN;
    int64_t to = INT64_MAX;

    for (size_t g = 0; g < a->n; g++) {
        if (a->places[g].plain)
            continue;
        waves = later(waves, a->places[g].wave);
        from = a->groups[g].from > from ? a->groups[g].from : from;
        to = a->groups[g].to < to ? a->groups[g].to : to;
    }
    pg_arg_i32(a->c, &a->q, waves);
    pg_arg_i64(a->c, &a->q, from);
    pg_arg_i64(a->c, &a->q, to);
}

static void encode(struct applying *a, size_t n_fences)
{
    uint32_t row = a->c->row_in;

    pg_begin(a->c);
    pg_query_init(&a->q, PG_SQL_APPLY);
    pg_arg_i32(a->c, &a->q, (int32_t)n_fences);
    put_groups(a, row, one_group);
    put_deps(a);
    put_grips(a);
    put_writes(a, PG_OID_UUID, one_raised);
    put_locked(a, KIT_ROW_LEASE, PG_OID_UUID);
    put_locked(a, KIT_ROW_RUN, PG_OID_INT8);
    put_locked(a, KIT_ROW_LOCK, PG_OID_BYTEA);
    put_locked(a, KIT_ROW_CELL, PG_OID_BYTEA);
    put_writes(a, PG_OID_UUID, one_beat);
    put_groups(a, row, one_expect);
    put_writes(a, row, one_drop);
    put_writes(a, a->c->run_in, one_run);
    put_writes(a, row, one_hot);
    put_writes(a, row, one_record);
    put_writes(a, row, one_snapshot);
    put_writes(a, row, one_set);
    put_writes(a, row, one_slot);
    put_writes(a, row, one_cell);
    put_writes(a, row, one_lock);
    put_writes(a, row, one_attention);
    put_plain(a);
    pg_arg_bool(a->c, &a->q, expects_rare(a));
    put_waves(a);
}

/* Which groups were carried out: all but the bad ones, and of the plain ones those listed. */
static bool settle(struct applying *a)
{
    const PGresult *r = a->q.result;
    size_t max = (size_t)(PQgetlength(r, 0, 1) + PQgetlength(r, 0, 2)) / 8 + 1;
    int64_t *list = calloc(max, sizeof *list);
    size_t n;

    if (list == NULL)
        return false;
    for (size_t g = 0; g < a->n; g++)
        a->groups[g].applied = !a->places[g].plain;
    n = pg_numbers(r, 0, 1, list, max);
    for (size_t i = 0; i < n; i++)
        if (list[i] >= 0 && (size_t)list[i] < a->n)
            a->groups[list[i]].applied = false;
    n = pg_numbers(r, 0, 2, list, max);
    for (size_t i = 0; i < n; i++)
        for (size_t g = 0; g < a->n; g++)
            if (a->places[g].plain && a->places[g].rid == (uint64_t)list[i])
                a->groups[g].applied = true;
    free(list);
    return true;
}

/* ------------------------------------------------------------- what is remembered */

/* Rows whose head and length the server has compared, or which are new, are marked for learn(). */
static void mark_sure(struct applying *a)
{
    static char sure;

    for (size_t g = 0; g < a->n; g++) {
        const struct kit_group *group = &a->groups[g];

        for (size_t i = 0; group->applied && i < group->n_expects; i++)
            if (group->expects[i].journal)
                ((struct kit_row *)(uintptr_t)group->expects[i].row)->own = &sure;
        for (size_t i = 0; group->applied && i < group->n_writes; i++)
            if (group->writes[i].kind == KIT_WRITE_RUN && group->writes[i].run_old == NULL)
                group->writes[i].row->own = &sure;
    }
}

static void mark_none(struct applying *a)
{
    for (size_t g = 0; g < a->n; g++) {
        for (size_t i = 0; i < a->groups[g].n_expects; i++)
            ((struct kit_row *)(uintptr_t)a->groups[g].expects[i].row)->own = NULL;
        for (size_t i = 0; i < a->groups[g].n_writes; i++)
            a->groups[g].writes[i].row->own = NULL;
    }
}

/* Without memory for it, nothing is sure: false. */
static bool read_grips(struct pg_session *s, const PGresult *r)
{
    size_t n = (size_t)PQgetlength(r, 0, 4) / 20;
    struct pg_grip *grips = calloc(n + 1, sizeof *grips);
    int64_t *numbers = calloc(n + 1, sizeof *numbers);
    struct kedge_id128 *ids = calloc(n + 1, sizeof *ids);
    bool ok = grips != NULL && numbers != NULL && ids != NULL;

    n = ok ? pg_ids(r, 0, 4, ids, n) : 0;
    ok = ok && pg_numbers(r, 0, 5, numbers, n) == n;
    for (size_t i = 0; ok && i < n; i++)
        grips[i] = (struct pg_grip){ .lease = ids[i], .was = numbers[i] };
    ok = ok && pg_numbers(r, 0, 6, numbers, n) == n;
    for (size_t i = 0; ok && i < n; i++)
        grips[i].is = numbers[i];
    free(numbers);
    free(ids);
    free(s->grips);
    s->grips = grips;
    s->n_grips = ok ? n : 0;
    return ok;
}

/* The heads that were written are not sure, whatever becomes of them, before the grips are what
   they are now. */
static void tell_cache(struct pg_session *s, struct applying *a)
{
    struct kedge_bytes *runs = calloc(count_rows(a) + 1, sizeof *runs);
    size_t n = 0;

    if (!read_grips(s, a->q.result) || runs == NULL) {
        s->n_grips = 0; /* the next grip that is told is a stranger's */
        free(runs);
        return;
    }
    for (size_t g = 0; g < a->n; g++)
        for (size_t i = 0; i < a->groups[g].n_writes; i++)
            if (a->groups[g].writes[i].kind == KIT_WRITE_RUN)
                runs[n++] = a->groups[g].writes[i].row->name;
    pg_cache_told(s->store->cache, s->grips, s->n_grips, runs, n);
    free(runs);
    mark_sure(a);
}

int pg_apply(void *ctx, struct kit_group *groups, size_t n, uint64_t *fences, size_t n_fences,
             int64_t *now, int64_t timeout_us, struct kedge_error *err)
{
    struct pg_session *s = ctx;
    struct applying a = { .c = &s->conn, .groups = groups, .n = n };
    int64_t end = pg_end(timeout_us);
    int rc = pg_conn_ready(&s->conn, end, err); /* it knows the numbers of the types */

    if (rc == KEDGE_OK && !put_in_waves(&a))
        rc = pg_no_memory(err);
    s->n_grips = 0;
    mark_none(&a);
    if (rc == KEDGE_OK) {
        encode(&a, n_fences);
        s->asked = pg_mono_us();
        rc = pg_run(&s->conn, &a.q, 1, PG_WRITE, end, err);
    }
    if (rc == KEDGE_OK) {
        *now = pg_i64(a.q.result, 0, 0);
        pg_saw(s, *now);
        if (pg_numbers(a.q.result, 0, 3, (int64_t *)fences, n_fences) != n_fences)
            rc = kedge_error_set(err, KEDGE_ERR_UNKNOWN, 0,
                                 "%s: the server answered with fewer fences than were asked for",
                                 s->store->place.shown);
        else if (!settle(&a))
            rc = kedge_error_set(err, KEDGE_ERR_UNKNOWN, 0,
                                 "out of memory when the answer came; send it again unchanged");
        else
            tell_cache(s, &a);
        pg_clear(&a.q, 1);
    }
    free(a.places);
    free(a.tracks);
    for (size_t g = 0; rc == KEDGE_OK && g < n; g++) {
        if (groups[g].applied && groups[g].work) {
            (void)pg_hint(s, end, NULL);
            break;
        }
    }
    return rc;
}
