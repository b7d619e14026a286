/*
 * test_remote.c - commits on a store that is elsewhere: what is looked at, what is confirmed, and
 * what becomes of a decision that others overtook
 *
 * The store is a small table of ours that compares and writes as a server would.  Between a look
 * and an apply a test may change it: `meddle'.
 */
#include <config.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "backends/kit/remote.h"

#define NOW     INT64_C(5000000)
#define SECOND  INT64_C(1000000)
#define RUNS    8
#define RECORDS 16
#define SLOTS   4

static const struct kedge_id128 lease_a = { { 1 } };
static const struct kedge_id128 request_a = { { 3 } };
static const struct kedge_id128 request_b = { { 4 } };

static struct kedge_bytes bytes(const char *text)
{
    return (struct kedge_bytes){ .data = text, .len = strlen(text) };
}

static void *host_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void host_release(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

static const struct kedge_host host = {
    .struct_size = sizeof host,
    .abi = KEDGE_BACKEND_ABI,
    .alloc = host_alloc,
    .release = host_release,
};

/* ------------------------------------------------------------- the store */

struct run {
    bool there;
    bool remembered; /* recall answers `memory' */
    struct kit_run run;
    struct kit_run memory;
    struct kedge_id128 requests[RECORDS + 1];
    bool has_set;
    struct kit_slots set;
    bool filled[SLOTS];
};

static struct server {
    struct run runs[RUNS];
    bool lease_dead;
    uint64_t attention;
    bool cell_there;
    struct kit_cell cell;
    int64_t now;
    int64_t guess; /* 0: no idea */
    uint64_t fence;
    int looks;
    int applies;
    size_t looked_rows;
    size_t groups;
    int apply_rc; /* answered instead of working */
    void (*meddle)(void);
} sv;

static struct kit_remote *remote;
static struct kit_lease lease_rows[2];

static struct run *run_at(struct kedge_bytes id)
{
    return &sv.runs[(*(const unsigned char *)id.data - 'a') % RUNS];
}

static void put_run(const char *id, uint32_t place, uint64_t position)
{
    struct run *r = run_at(bytes(id));

    memset(r, 0, sizeof *r);
    r->there = true;
    r->run.r.id = bytes(id);
    r->run.r.reactor = bytes("reactor");
    r->run.r.queue = bytes("queue");
    r->run.r.root = bytes(id);
    r->run.r.parent_slot = KEDGE_NO_SLOT;
    r->run.r.incarnation = r->run.r.fence = ++sv.fence;
    r->run.r.place = place;
    r->run.r.status = KEDGE_RUNNING;
    r->run.r.created = NOW;
    if (place == KEDGE_PLACE_HELD)
        r->run.r.holder = lease_a;
    else
        r->run.r.due = NOW;
    r->run.head_revision = 1;
    kit_run_load(&r->run, position);
    r->memory = r->run;
}

static bool s_recall(void *ctx, struct kit_row *row)
{
    struct run *r;

    (void)ctx;
    if (row->kind != KIT_ROW_RUN)
        return false;
    r = run_at(row->name);
    if (!r->remembered)
        return false;
    row->there = true;
    row->run = &r->memory;
    return true;
}

static bool s_guess(void *ctx, int64_t *wall)
{
    (void)ctx;
    *wall = sv.guess;
    return sv.guess != 0;
}

static void meddle(void)
{
    void (*f)(void) = sv.meddle;

    sv.meddle = NULL;
    if (f != NULL)
        f();
}

static void look_run(struct kit_row *row)
{
    const struct run *r = run_at(row->name);
    struct kit_run *copy;

    row->there = r->there;
    if (!r->there)
        return;
    copy = kedge_mem_alloc(&host, kit_remote_mem(remote), sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    *copy = r->run;
    row->run = copy;
}

static void look_row(struct kit_row *row)
{
    const struct run *r = row->of == NULL ? NULL : run_at(row->of->name);

    switch (row->kind) {
    case KIT_ROW_RUN:
        look_run(row);
        return;
    case KIT_ROW_LEASE:
        lease_rows[0] = (struct kit_lease){ .l = { .id = lease_a, .attention = sv.attention } };
        lease_rows[0].l.state = sv.lease_dead ? KEDGE_LEASE_DEAD : KEDGE_LEASE_LIVE;
        row->there = true;
        row->lease = &lease_rows[0];
        return;
    case KIT_ROW_CELL:
        row->there = sv.cell_there;
        row->cell = kedge_mem_alloc(&host, kit_remote_mem(remote), sizeof sv.cell);
        memcpy((void *)(uintptr_t)row->cell, &sv.cell, sizeof sv.cell);
        return;
    case KIT_ROW_SET:
        ck_assert_ptr_nonnull(r);
        row->there = r->has_set;
        row->slots = r->set;
        return;
    case KIT_ROW_SLOT:
        ck_assert_ptr_nonnull(r);
        row->there = r->filled[row->index];
        return;
    default:
        ck_assert_ptr_nonnull(r);
        ck_assert_uint_le(row->number, RECORDS);
        row->there = row->number <= r->run.r.position;
        row->request = r->requests[row->number];
    }
}

static int s_look(void *ctx, struct kit_row *const *rows, size_t n, int64_t *now, int64_t timeout,
                  struct kedge_error *err)
{
    (void)ctx;
    (void)timeout;
    (void)err;
    sv.looks++;
    sv.looked_rows += n;
    for (size_t i = 0; i < n; i++)
        look_row(rows[i]);
    *now = sv.now;
    meddle();
    return KEDGE_OK;
}

static const uint64_t *issued;

static uint64_t real(uint64_t f)
{
    return KIT_IS_PLACE(f) ? issued[KIT_PLACE_INDEX(f)] : f;
}

static bool holds(const struct kit_expect *e)
{
    const struct run *r = e->row->kind == KIT_ROW_RUN ? run_at(e->row->name) : NULL;

    switch (e->row->kind) {
    case KIT_ROW_RUN:
        return e->there == r->there &&
               (!e->there ||
                (r->run.head_revision == e->stamp && r->run.r.incarnation == real(e->incarnation) &&
                 (!e->journal || r->run.r.position == e->position)));
    case KIT_ROW_LEASE:
        return e->there && sv.lease_dead == (e->stamp != 0);
    case KIT_ROW_CELL:
        return e->there == sv.cell_there && (!e->there || sv.cell.version == real(e->stamp));
    case KIT_ROW_SET:
        r = run_at(e->row->of->name);
        return e->there == r->has_set && (!e->there || r->set.remaining == e->stamp);
    default:
        ck_abort_msg("no locks here");
        return false;
    }
}

static void carry_out(const struct kit_write *w)
{
    struct run *r;

    switch (w->kind) {
    case KIT_WRITE_RUN:
        r = run_at(w->row->name);
        r->there = true;
        r->run = *w->run_new;
        r->run.r.fence = real(r->run.r.fence);
        r->run.r.incarnation = real(r->run.r.incarnation);
        return;
    case KIT_WRITE_APPEND:
        r = run_at(w->row->name);
        kit_run_load(&r->run, w->number + w->n - 1);
        for (uint64_t i = 0; i < w->n; i++)
            r->requests[w->number + i] = w->request;
        return;
    case KIT_WRITE_SET:
        r = run_at(w->row->of->name);
        r->has_set = true;
        r->set = w->slots_new;
        return;
    case KIT_WRITE_SLOT:
        r = run_at(w->row->of->name);
        ck_assert_msg(!r->filled[w->index], "slot %u is filled twice", w->index);
        r->filled[w->index] = true;
        return;
    case KIT_WRITE_CELL:
        sv.cell_there = true;
        sv.cell = *w->cell_new;
        sv.cell.version = real(sv.cell.version);
        return;
    case KIT_WRITE_ATTENTION:
        sv.attention += w->number;
        return;
    default:
        ck_abort_msg("write %u is not for this test", w->kind);
    }
}

static int s_apply(void *ctx, struct kit_group *groups, size_t n, uint64_t *fences, size_t n_fences,
                   int64_t *now, int64_t timeout, struct kedge_error *err)
{
    (void)ctx;
    (void)timeout;
    sv.applies++;
    sv.groups += n;
    meddle();
    if (sv.apply_rc != KEDGE_OK)
        return kedge_error_set(err, sv.apply_rc, 0, "the reply never came");
    for (size_t i = 0; i < n_fences; i++)
        fences[i] = ++sv.fence;
    issued = fences;
    *now = sv.now;
    for (size_t i = 0; i < n; i++) {
        bool all = groups[i].from <= sv.now && sv.now < groups[i].to;

        for (size_t k = 0; all && k < groups[i].n_expects; k++)
            all = holds(&groups[i].expects[k]);
        groups[i].applied = all;
        for (size_t k = 0; all && k < groups[i].n_writes; k++)
            carry_out(&groups[i].writes[k]);
    }
    return KEDGE_OK;
}

static void s_learn(void *ctx, const struct kit_row *row)
{
    struct run *r = run_at(row->name);

    (void)ctx;
    ck_assert(!KIT_IS_PLACE(row->run->r.fence));
    ck_assert(!KIT_IS_PLACE(row->run->r.incarnation));
    r->remembered = true;
    r->memory = *row->run;
}

static void s_forget(void *ctx, const struct kit_row *row)
{
    (void)ctx;
    if (row->kind == KIT_ROW_RUN)
        run_at(row->name)->remembered = false;
}

static const struct kit_remote_ops ops = { s_recall, s_guess, s_look, s_apply, s_learn, s_forget };

static void setup(void)
{
    memset(&sv, 0, sizeof sv);
    sv.now = NOW;
    sv.guess = NOW;
    sv.fence = 100;
    remote = kit_remote_new(&host, &ops, NULL);
    ck_assert_ptr_nonnull(remote);
}

static void teardown(void)
{
    kit_remote_free(remote);
}

/* ---------------------------------------------------------------- commits */

struct append {
    struct kedge_commit c;
    struct kedge_guard guard;
    struct kedge_change change;
    struct kedge_bytes record;
    uint64_t result;
};

static void append_make(struct append *a, const char *id, uint64_t first,
                        const struct kedge_id128 *request)
{
    memset(a, 0, sizeof *a);
    a->record = bytes("record");
    a->guard = (struct kedge_guard){ .kind = KEDGE_GUARD_HELD,
                                     .name = bytes(id),
                                     .lease = lease_a,
                                     .number = run_at(bytes(id))->run.r.fence };
    a->change = (struct kedge_change){ .kind = KEDGE_APPEND, .name = bytes(id) };
    a->change.append.first = first;
    a->change.append.records = &a->record;
    a->change.append.n = 1;
    a->c = (struct kedge_commit){ .request = *request,
                                  .guards = &a->guard,
                                  .n_guards = 1,
                                  .changes = &a->change,
                                  .n_changes = 1,
                                  .results = &a->result };
}

static int commit(const struct kedge_commit *c, size_t n, struct kedge_answer *answers)
{
    struct kedge_error err = { 0 };

    for (size_t i = 0; i < n; i++)
        answers[i].outcome = 0;
    return kit_remote_commit(remote, c, n, answers, 5 * SECOND, &err);
}

static int send(const struct kedge_commit *c, struct kedge_answer *answer)
{
    ck_assert_int_eq(commit(c, 1, answer), KEDGE_OK);
    return answer->outcome;
}

START_TEST(what_is_remembered_costs_no_look)
{
    struct kedge_answer answer;
    struct append a;

    put_run("a", KEDGE_PLACE_HELD, 0);
    run_at(bytes("a"))->remembered = true;
    append_make(&a, "a", 1, &request_a);
    ck_assert_int_eq(send(&a.c, &answer), KEDGE_OK);
    ck_assert_int_eq(sv.looks, 0);
    ck_assert_int_eq(sv.applies, 1);
    ck_assert_uint_eq(answer.position, 1);
    ck_assert_uint_eq(a.result, 1);
    /* The same again is found by its request id: one look, nothing written. */
    run_at(bytes("a"))->remembered = false;
    ck_assert_int_eq(send(&a.c, &answer), KEDGE_OK);
    ck_assert_uint_eq(answer.position, 1);
    ck_assert_uint_eq(run_at(bytes("a"))->run.r.position, 1);
}
END_TEST

START_TEST(a_refusal_by_memory_alone_is_not_believed)
{
    struct kedge_answer answer;
    struct append a;

    put_run("a", KEDGE_PLACE_HELD, 0);
    run_at(bytes("a"))->remembered = true;
    run_at(bytes("a"))->memory.r.fence = 1; /* what is remembered is old */
    run_at(bytes("a"))->memory.head_revision = 7;
    append_make(&a, "a", 1, &request_a);
    ck_assert_int_eq(send(&a.c, &answer), KEDGE_OK);
    ck_assert_uint_eq(run_at(bytes("a"))->run.r.position, 1);
    ck_assert_uint_eq(run_at(bytes("a"))->memory.r.position, 1);
}
END_TEST

START_TEST(a_refusal_that_one_look_shows_is_final)
{
    struct kedge_answer answer;
    struct append a;

    put_run("a", KEDGE_PLACE_HELD, 0);
    append_make(&a, "a", 3, &request_a);
    ck_assert_int_eq(send(&a.c, &answer), KEDGE_STALE);
    ck_assert_int_eq(sv.looks, 1);
    ck_assert_int_eq(sv.applies, 0);
    sv.lease_dead = true;
    append_make(&a, "a", 1, &request_a);
    ck_assert_int_eq(send(&a.c, &answer), KEDGE_LOST);
    append_make(&a, "b", 1, &request_a);
    ck_assert_int_eq(send(&a.c, &answer), KEDGE_NOT_FOUND);
}
END_TEST

static void rob(void)
{
    struct run *r = run_at(bytes("a"));

    r->run.r.fence = ++sv.fence;
    r->run.head_revision++;
    kit_run_load(&r->run, r->run.r.position);
}

START_TEST(a_run_taken_between_look_and_write_is_stale)
{
    struct kedge_answer answer;
    struct append a;

    put_run("a", KEDGE_PLACE_HELD, 0);
    append_make(&a, "a", 1, &request_a);
    sv.meddle = rob;
    ck_assert_int_eq(send(&a.c, &answer), KEDGE_STALE);
    ck_assert_uint_eq(run_at(bytes("a"))->run.r.position, 0);
    ck_assert_uint_eq(answer.fence, sv.fence);
}
END_TEST

static void bury(void)
{
    sv.lease_dead = true;
}

START_TEST(a_lease_that_was_taken_to_be_alive_is_confirmed)
{
    struct kedge_answer answer;
    struct append a;

    put_run("a", KEDGE_PLACE_HELD, 0);
    run_at(bytes("a"))->remembered = true;
    append_make(&a, "a", 1, &request_a);
    sv.meddle = bury;
    ck_assert_int_eq(send(&a.c, &answer), KEDGE_LOST);
    ck_assert_uint_eq(run_at(bytes("a"))->run.r.position, 0);
}
END_TEST

static struct kedge_run_new new_run(struct kedge_when due)
{
    return (struct kedge_run_new){ .reactor = bytes("reactor"),
                                   .queue = bytes("queue"),
                                   .parent_slot = KEDGE_NO_SLOT,
                                   .due = due };
}

START_TEST(a_start_is_one_round_trip_and_gets_its_fence)
{
    struct kedge_run_new in = new_run((struct kedge_when){ .base = KEDGE_IN });
    struct kedge_change change = { .kind = KEDGE_CREATE, .name = bytes("a"), .create = &in };
    uint64_t result = 0;
    struct kedge_commit c = {
        .request = request_a, .changes = &change, .n_changes = 1, .results = &result
    };
    struct kedge_answer answer;

    ck_assert_int_eq(send(&c, &answer), KEDGE_OK);
    ck_assert_int_eq(sv.looks, 0);
    ck_assert_int_eq(sv.applies, 1);
    ck_assert_uint_eq(result, 101);
    ck_assert_uint_eq(answer.fence, 101);
    ck_assert_uint_eq(run_at(bytes("a"))->run.r.incarnation, 101);
    ck_assert_int_eq(run_at(bytes("a"))->run.r.created, NOW);
    /* Another request for the same id finds it. */
    c.request = request_b;
    ck_assert_int_eq(send(&c, &answer), KEDGE_EXISTS);
    ck_assert_uint_eq(answer.fence, 101);
}
END_TEST

START_TEST(what_was_guessed_wrong_is_looked_at)
{
    struct kedge_run_new in = new_run((struct kedge_when){ .base = KEDGE_IN });
    struct kedge_change change = { .kind = KEDGE_CREATE, .name = bytes("a"), .create = &in };
    struct kedge_commit c = { .request = request_a, .changes = &change, .n_changes = 1 };
    struct kedge_answer answer;

    put_run("a", KEDGE_PLACE_DUE, 0); /* nobody remembers it */
    ck_assert_int_eq(send(&c, &answer), KEDGE_EXISTS);
    ck_assert_int_eq(sv.applies, 1);
    ck_assert_int_eq(sv.looks, 1);
    /* likewise a lease that is dead */
    change.name = bytes("b");
    in.due.base = KEDGE_NEVER;
    in.lease = lease_a;
    sv.lease_dead = true;
    ck_assert_int_eq(send(&c, &answer), KEDGE_LOST);
    ck_assert_int_eq(sv.looks, 2);
}
END_TEST

START_TEST(a_guess_of_the_time_that_is_wrong_is_corrected)
{
    struct kedge_run_new in = new_run((struct kedge_when){ .base = KEDGE_IN, .us = SECOND });
    struct kedge_change change = { .kind = KEDGE_CREATE, .name = bytes("a"), .create = &in };
    struct kedge_commit c = { .request = request_a, .changes = &change, .n_changes = 1 };
    struct kedge_answer answer;

    sv.guess = NOW + 1; /* ahead of the store */
    ck_assert_int_eq(send(&c, &answer), KEDGE_OK);
    ck_assert_int_eq(run_at(bytes("a"))->run.r.due, NOW + SECOND);
    ck_assert_int_eq(sv.applies, 2);
    change.name = bytes("b");
    sv.guess = NOW - 3600 * SECOND; /* an hour behind */
    ck_assert_int_eq(send(&c, &answer), KEDGE_OK);
    ck_assert_int_eq(run_at(bytes("b"))->run.r.due, NOW + SECOND);
}
END_TEST

static struct kedge_commit time_commit(struct kedge_guard *g, struct kedge_change *ch, int64_t from,
                                       int64_t to)
{
    *g = (struct kedge_guard){ .kind = KEDGE_GUARD_TIME, .from = from, .to = to };
    *ch = (struct kedge_change){ .kind = KEDGE_CELL_PUT, .name = bytes("cell") };
    return (struct kedge_commit){
        .request = request_a, .guards = g, .n_guards = 1, .changes = ch, .n_changes = 1
    };
}

static void second_passes(void)
{
    sv.now += SECOND;
}

START_TEST(a_window_that_closes_before_the_write_refuses_it)
{
    struct kedge_guard g;
    struct kedge_change ch;
    struct kedge_commit c = time_commit(&g, &ch, NOW, NOW + SECOND);
    struct kedge_answer answer;

    sv.meddle = second_passes; /* after the look for the cell */
    ck_assert_int_eq(send(&c, &answer), KEDGE_STALE);
    ck_assert(!sv.cell_there);
    sv.now = NOW;
    ck_assert_int_eq(send(&c, &answer), KEDGE_OK);
    ck_assert_uint_gt(sv.cell.version, 100);
}
END_TEST

START_TEST(neighbours_share_one_write_and_do_not_disturb_each_other)
{
    struct append a[4];
    struct kedge_commit c[4];
    struct kedge_answer answers[4];

    for (int i = 0; i < 4; i++) {
        const char *ids[] = { "a", "b", "c", "d" };

        put_run(ids[i], KEDGE_PLACE_HELD, 0);
        run_at(bytes(ids[i]))->remembered = true;
        append_make(&a[i], ids[i], 1, &request_a);
        c[i] = a[i].c;
    }
    sv.meddle = rob; /* run a */
    ck_assert_int_eq(commit(c, 4, answers), KEDGE_OK);
    ck_assert_int_eq(answers[0].outcome, KEDGE_STALE);
    for (int i = 1; i < 4; i++)
        ck_assert_int_eq(answers[i].outcome, KEDGE_OK);
    ck_assert_uint_eq(run_at(bytes("d"))->run.r.position, 1);
    /* One write for all four; the one that did not hold was looked at once more. */
    ck_assert_int_eq(sv.looks, 1);
    ck_assert_int_le(sv.applies, 2);
}
END_TEST

START_TEST(what_names_the_same_run_keeps_its_order)
{
    struct kedge_run_new in = new_run((struct kedge_when){ .base = KEDGE_IN });
    struct kedge_change create = { .kind = KEDGE_CREATE, .name = bytes("a"), .create = &in };
    struct kedge_change request = { .kind = KEDGE_REQUEST, .name = bytes("a") };
    struct kedge_commit c[2] = {
        { .request = request_a, .changes = &create, .n_changes = 1 },
        { .request = request_b, .changes = &request, .n_changes = 1 },
    };
    struct kedge_answer answers[2];

    request.request.bits = KEDGE_REQUEST_CANCEL;
    ck_assert_int_eq(commit(c, 2, answers), KEDGE_OK);
    ck_assert_int_eq(answers[0].outcome, KEDGE_OK);
    ck_assert_int_eq(answers[1].outcome, KEDGE_OK);
    ck_assert_uint_eq(run_at(bytes("a"))->run.r.requests, KEDGE_REQUEST_CANCEL);
    ck_assert_int_eq(sv.applies, 1);
    /* The other way round the request comes too early. */
    c[0].changes = &request;
    c[1].changes = &create;
    create.name = request.name = bytes("b");
    ck_assert_int_eq(commit(c, 2, answers), KEDGE_OK);
    ck_assert_int_eq(answers[0].outcome, KEDGE_NOT_FOUND);
    ck_assert_int_eq(answers[1].outcome, KEDGE_OK);
    ck_assert_uint_eq(run_at(bytes("b"))->run.r.requests, 0);
}
END_TEST

static struct kedge_change slot_put(uint32_t index)
{
    struct kedge_change ch = { .kind = KEDGE_SLOT_PUT, .name = bytes("p") };

    ch.slot.incarnation = run_at(bytes("p"))->run.r.incarnation;
    ch.slot.index = index;
    ch.slot.value = bytes("result");
    return ch;
}

static void put_parent(void)
{
    struct run *r;

    put_run("p", KEDGE_PLACE_HELD, 0);
    r = run_at(bytes("p"));
    r->has_set = true;
    r->set = (struct kit_slots){ SLOTS, SLOTS };
}

static void fill_other(void)
{
    struct run *r = run_at(bytes("p"));

    r->filled[1] = true;
    r->set.remaining--;
}

/* Somebody else fills the very same place. */
static void fill_same(void)
{
    struct run *r = run_at(bytes("p"));

    r->filled[0] = true;
    r->set.remaining--;
}

START_TEST(slots_of_two_writers_are_counted_once_each)
{
    struct kedge_change ch;
    uint64_t result = 99;
    struct kedge_commit c = {
        .request = request_a, .changes = &ch, .n_changes = 1, .results = &result
    };
    struct kedge_answer answer;

    put_parent();
    ch = slot_put(0);
    sv.meddle = fill_other;
    ck_assert_int_eq(send(&c, &answer), KEDGE_OK);
    ck_assert_uint_eq(run_at(bytes("p"))->set.remaining, SLOTS - 2);
    ck_assert_uint_eq(result, SLOTS - 2);
    put_parent();
    ch = slot_put(0);
    sv.meddle = fill_same;
    ck_assert_int_eq(send(&c, &answer), KEDGE_OK);
    ck_assert_uint_eq(run_at(bytes("p"))->set.remaining, SLOTS - 1);
    ck_assert_uint_eq(result, SLOTS - 1);
}
END_TEST

START_TEST(the_last_slot_of_a_batch_wakes_the_parent_once)
{
    struct kedge_change ch[SLOTS];
    struct kedge_commit c[SLOTS];
    struct kedge_answer answers[SLOTS];

    put_parent();
    for (uint32_t i = 0; i < SLOTS; i++) {
        ch[i] = slot_put(i);
        c[i] = (struct kedge_commit){ .changes = &ch[i], .n_changes = 1 };
        c[i].request.b[0] = (uint8_t)(10 + i);
    }
    ck_assert_int_eq(commit(c, SLOTS, answers), KEDGE_OK);
    for (uint32_t i = 0; i < SLOTS; i++)
        ck_assert_int_eq(answers[i].outcome, KEDGE_OK);
    ck_assert_uint_eq(run_at(bytes("p"))->set.remaining, 0);
    ck_assert_uint_eq(run_at(bytes("p"))->run.r.wake_mark, 1);
    ck_assert_uint_eq(sv.attention, 1);
    ck_assert_int_eq(sv.applies, 1);
}
END_TEST

START_TEST(a_reply_that_never_came_is_every_items_outcome)
{
    struct append a[2];
    struct kedge_commit c[2];
    struct kedge_answer answers[2];

    put_run("a", KEDGE_PLACE_HELD, 0);
    put_run("b", KEDGE_PLACE_HELD, 0);
    append_make(&a[0], "a", 1, &request_a);
    append_make(&a[1], "b", 1, &request_a);
    c[0] = a[0].c;
    c[1] = a[1].c;
    sv.apply_rc = KEDGE_ERR_UNKNOWN;
    ck_assert_int_eq(commit(c, 2, answers), KEDGE_ERR_UNKNOWN);
    ck_assert_int_eq(answers[0].outcome, KEDGE_ERR_UNKNOWN);
    ck_assert_int_eq(answers[1].outcome, KEDGE_ERR_UNKNOWN);
    ck_assert_str_eq(answers[1].why, "the reply never came");
}
END_TEST

static void rob_again(void)
{
    rob();
    sv.meddle = rob_again;
}

START_TEST(what_never_holds_ends_at_the_deadline)
{
    struct kedge_error err = { 0 };
    struct kedge_change wake = { .kind = KEDGE_REQUEST, .name = bytes("a") };
    struct kedge_commit c = { .request = request_a, .changes = &wake, .n_changes = 1 };
    struct kedge_answer answer = { 0 };

    wake.request.bits = KEDGE_REQUEST_CANCEL;
    put_run("a", KEDGE_PLACE_HELD, 0);
    sv.meddle = rob_again;
    ck_assert_int_eq(kit_remote_commit(remote, &c, 1, &answer, SECOND / 20, &err),
                     KEDGE_ERR_UNAVAILABLE);
    ck_assert_int_eq(answer.outcome, KEDGE_ERR_UNAVAILABLE);
    ck_assert_uint_eq(run_at(bytes("a"))->run.r.requests, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("remote");
    TCase *tc = tcase_create("remote");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_is_remembered_costs_no_look);
    tcase_add_test(tc, a_refusal_by_memory_alone_is_not_believed);
    tcase_add_test(tc, a_refusal_that_one_look_shows_is_final);
    tcase_add_test(tc, a_run_taken_between_look_and_write_is_stale);
    tcase_add_test(tc, a_lease_that_was_taken_to_be_alive_is_confirmed);
    tcase_add_test(tc, a_start_is_one_round_trip_and_gets_its_fence);
    tcase_add_test(tc, what_was_guessed_wrong_is_looked_at);
    tcase_add_test(tc, a_guess_of_the_time_that_is_wrong_is_corrected);
    tcase_add_test(tc, a_window_that_closes_before_the_write_refuses_it);
    tcase_add_test(tc, neighbours_share_one_write_and_do_not_disturb_each_other);
    tcase_add_test(tc, what_names_the_same_run_keeps_its_order);
    tcase_add_test(tc, slots_of_two_writers_are_counted_once_each);
    tcase_add_test(tc, the_last_slot_of_a_batch_wakes_the_parent_once);
    tcase_add_test(tc, a_reply_that_never_came_is_every_items_outcome);
    tcase_add_test(tc, what_never_holds_ends_at_the_deadline);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
