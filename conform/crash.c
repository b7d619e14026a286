/*
 * crash.c - cases: a process that is killed anywhere in a call leaves all of it behind, or nothing
 *
 * For each operation that writes, and each call by which it does so, a process is killed before and
 * after that call, and in the middle of what it writes, and before and after the operation itself.
 * (After one call is before the next.)
 * Then, seen by a process that was there all the time and by one that opens the store now, in turn:
 *
 *   - the operation took place or it did not; what was answered OK did;
 *   - sent again, the same bytes are answered OK, as the first time, and it has taken place once;
 *   - every invariant holds;
 *   - work goes on, and at the end all that the dead held is buried, taken and finished.
 */
#include "cases.h"

#include <signal.h>
#include <stdlib.h>

#include "remains.h"
#include "victim.h"

static struct ground *ground;
static const struct stage_op *op; /* that is looked at */

/* ------------------------------------------------------------------- the victim */

/* A place to die that is no call of the C library's; at = 1: before the operation, 2: after it. */
#define BETWEEN IOFAULT_COUNT

static void die_between(const struct point *p, uint64_t here)
{
    if (p->mode != BETWEEN || p->at != here)
        return;
    atomic_store(&ground->fault.fired, 1);
    (void)raise(SIGKILL);
}

/* Everything is ready and the connection, if there is one, in use: the operation, and nothing
   else, is what is armed. */
static void call_armed(struct world *w, struct ground *g, const struct point *p)
{
    struct kedge_time now;

    world_return(w);
    expect_ok(do_now(w, &now));
    g->stage.w = w;
    die_between(p, 1);
    victim_arm(g, p);
    g->rc = op->call(&g->stage);
    victim_disarm(g);
    atomic_store(&g->answered, 1);
    if (g->rc != KEDGE_OK)
        fail_case(__FILE__, __LINE__, "nothing is wrong, but it is answered %s: %s",
                  status_name(g->rc), w->err.msg);
    die_between(p, 2);
    world_close_own(w);
}

/* ----------------------------------------------------------------- what is left */

static void send_again(struct stage *s)
{
    int rc = op->call(s);

    if (rc != KEDGE_OK && rc != op->again)
        fail_case(__FILE__, __LINE__, "sent again, it is answered %s: %s", status_name(rc),
                  s->w->err.msg);
}

/* false: there is no such point. */
static bool killed_at(struct world *w, const struct point *p)
{
    struct stage *s = &ground->stage;
    struct picture before, after, done;
    bool bystander = p->at % 2 == 0;
    enum victim_end end;

    context("preparing %s", op->name);
    stage_begin(s, op, w, w, PATIENCE);
    picture_take(s, &before);
    context("%s", op->name);
    if (!bystander)
        world_leave(w);
    end = victim(w, ground, p, call_armed, NULL);
    if (!bystander)
        world_return(w);
    s->w = w;
    context("%s, %s", op->name, point_name(ground, p));
    picture_settled(s, &after);
    send_again(s);
    picture_take(s, &done);
    stage_judge(op, atomic_load(&ground->answered) ? KEDGE_OK : KEDGE_ERR_UNKNOWN, &before, &after,
                &done);
    if (op->check != NULL)
        op->check(s);
    if (op->again == KEDGE_OK) {
        send_again(s);
        picture_free(&after);
        picture_take(s, &after);
        stage_judge(op, KEDGE_OK, &before, &done, &after);
    }
    remains_check(w);
    remains_work_goes_on(w, (uint64_t)s->number);
    for (size_t i = 0; i < s->n_made; i++)
        (void)do_revoke(w, s->made[i]);
    picture_free(&before);
    picture_free(&after);
    picture_free(&done);
    return end == VICTIM_KILLED;
}

/* ------------------------------------------------------------------ the points */

/* Before the first call, and after every one. */
static struct point kill_first(void)
{
    return (struct point){ .mode = IOFAULT_KILL_BEFORE, .at = 1 };
}

static void kill_next(struct point *p)
{
    if (p->mode == IOFAULT_KILL_BEFORE)
        *p = (struct point){ .mode = IOFAULT_KILL_AFTER, .at = 0 };
    p->at++;
}

static int points_of(struct world *w, struct point p)
{
    int n = 0;

    for (; killed_at(w, &p); n++)
        if (p.mode == IOFAULT_KILL_BEFORE || p.mode == IOFAULT_KILL_AFTER)
            kill_next(&p);
        else
            p.at++;
    return n;
}

static void begin(struct world *w)
{
    if ((w->durability & KEDGE_SURVIVES_PROCESS) == 0)
        not_applicable("what it keeps goes with its process");
    if (ground == NULL)
        ground = ground_new();
    clock_follow();
    ground->stage.lease = lease_make(w, REMAINS_TTL);
}

static void killed_in(struct world *w, const char *name)
{
    int whole, torn;

    op = stage_op_named(name);
    begin(w);
    whole = points_of(w, kill_first());
    torn = points_of(w, (struct point){ IOFAULT_TORN, .at = 1, .mask = IOFAULT_WRITES });
    expect_eq(points_of(w, (struct point){ BETWEEN, .at = 1 }), 2);
    note("killed before and after calls %d times, in the middle of one %d times", whole, torn);
    if (whole == 0)
        inconclusive_case("%s makes no call that the shim sees", name);
    context("afterwards");
    remains_end(w, ground->stage.lease);
}

/* ------------------------------------------------------ killed, and killed again */

/* Opened, and closed, by somebody who dies of it in turn. */
static void open_armed(struct world *w, struct ground *g, const struct point *p)
{
    struct kedge_time now;

    victim_arm(g, p);
    world_return(w);
    expect_ok(do_now(w, &now));
    world_close_own(w);
    victim_disarm(g);
    atomic_store(&g->answered, 1);
}

/* The store is opened, at its N-th call by somebody who dies; answers whether he did. */
static bool opened_at(struct world *w, const struct point *p)
{
    bool killed;

    world_leave(w);
    killed = victim(w, ground, p, open_armed, NULL) == VICTIM_KILLED;
    world_return(w);
    context("opening, %s", point_name(ground, p));
    remains_check(w);
    return killed;
}

static void killed_opening(struct world *w)
{
    uint64_t points = 0;

    begin(w);
    run_due(w, str("kept"), from_now(0));
    for (struct point p = kill_first(); opened_at(w, &p); kill_next(&p)) {
        expect(is_there(w, str("kept")));
        remains_work_goes_on(w, ++points);
        world_forget(w);
    }
    note("%llu points", (unsigned long long)points);
    if (points == 0)
        inconclusive_case("opening makes no call that the shim sees");
}

/* Killed in a commit; who opens the store next is killed as he does; the third finds all well. */
static void killed_twice(struct world *w)
{
    struct stage *s;
    int points = 0;
    bool first = true;

    op = stage_op_named("checkpoint");
    begin(w);
    s = &ground->stage;
    for (struct point p = { .mode = IOFAULT_KILL_AFTER, .at = 1 }; first; p.at++) {
        bool second = true;

        for (struct point q = { .mode = IOFAULT_KILL_BEFORE, .at = 1 }; first && second; q.at++) {
            struct picture before, after, done;

            stage_begin(s, op, w, w, PATIENCE);
            picture_take(s, &before);
            world_leave(w);
            first = victim(w, ground, &p, call_armed, NULL) == VICTIM_KILLED;
            context("%s, %s", op->name, point_name(ground, &p));
            world_return(w);
            second = opened_at(w, &q);
            s->w = w;
            picture_settled(s, &after);
            send_again(s);
            picture_take(s, &done);
            stage_judge(op, first ? KEDGE_ERR_UNKNOWN : KEDGE_OK, &before, &after, &done);
            op->check(s);
            picture_free(&before);
            picture_free(&after);
            picture_free(&done);
            points += first && second;
        }
    }
    note("%d points", points);
    if (points == 0)
        inconclusive_case("nobody was killed twice");
    remains_end(w, s->lease);
}

/* -------------------------------------------- a store that is made, or dropped */

/* The namespace that the victims make, or drop. */
static struct world other;

static void other_place(struct world *w, uint64_t n)
{
    struct kedge_open open;

    if (world_keeps)
        skip_case("no namespace can be made: they are there before the cases (--keep)");
    other = *w;
    (void)snprintf(other.ns, sizeof other.ns, "%.40s-%llu", w->ns, (unsigned long long)n);
    world_place(w, other.ns, &open, other.url);
    other.keep = NULL;
    other.txs = NULL;
    other.store = other.session = NULL;
}

static int other_open(struct world *mine, uint32_t flags)
{
    struct kedge_open open = { sizeof open, flags, mine->url, str(mine->ns), mine->options, NULL };
    int rc = mine->ops->store_open(mine->host, &open, &mine->store, &mine->err);

    if (rc == KEDGE_OK)
        rc = mine->ops->session_open(mine->store, &mine->session, &mine->err);
    return rc;
}

static void create_armed(struct world *w, struct ground *g, const struct point *p)
{
    struct world mine = other;

    victim_arm(g, p);
    check_rc(__FILE__, __LINE__, "store_open", &mine, other_open(&mine, KEDGE_OPEN_CREATE),
             KEDGE_OK);
    victim_disarm(g);
    world_leave(&mine);
    (void)w;
}

/* Somebody else makes it, whatever there is of it; it is empty, and serves. */
static void made_well(uint64_t n)
{
    struct world *w = &other;
    struct kedge_list all = { .limit = 10 };
    struct kedge_run_page page;

    expect_ok(other_open(w, KEDGE_OPEN_CREATE));
    expect_ok(do_list(w, &all, &page));
    expect_eq(page.n, 0);
    remains_work_goes_on(w, n);
    world_check(w);
    world_close_own(w);
}

/* false: there is no such point. */
static bool created_at(struct world *w, const struct point *p, uint64_t n)
{
    bool killed;

    other_place(w, n);
    killed = victim(w, ground, p, create_armed, NULL) == VICTIM_KILLED;
    context("creating, %s", point_name(ground, p));
    made_well(n);
    check_rc(__FILE__, __LINE__, "store_drop", &other, world_store_drop(&other), KEDGE_OK);
    return killed;
}

static void killed_creating(struct world *w)
{
    struct point torn = { IOFAULT_TORN, .at = 1, .mask = IOFAULT_WRITES };
    uint64_t points = 0;

    begin(w);
    for (struct point p = kill_first(); created_at(w, &p, points + 1); kill_next(&p))
        points++;
    for (; created_at(w, &torn, points + 1); torn.at++)
        points++;
    note("%llu points", (unsigned long long)points);
    if (points == 0)
        inconclusive_case("creating makes no call that the shim sees");
}

static void drop_armed(struct world *w, struct ground *g, const struct point *p)
{
    struct world mine = other;

    victim_arm(g, p);
    check_rc(__FILE__, __LINE__, "store_drop", &mine, world_store_drop(&mine), KEDGE_OK);
    victim_disarm(g);
    (void)w;
}

/* A few things; not a lock, of which one sees how much time it has left. */
static void furnish(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);

    step(w, &r, "one");
    run_due(w, str("b"), from_now(0));
    (void)cell_put(w, str("cell"), "value");
}

/* Dropped again.  A server may still be at it, on behalf of the dead. */
static void dropped_well(void)
{
    int rc = world_store_drop(&other);

    if (rc == KEDGE_ERR_SCHEMA_MISSING)
        rc = world_store_drop(&other);
    if (rc != KEDGE_NOT_FOUND)
        check_rc(__FILE__, __LINE__, "store_drop, again", &other, rc, KEDGE_OK);
}

static void killed_dropping(struct world *w)
{
    uint64_t points = 0;
    bool killed = true;
    char *mine;

    begin(w);
    furnish(w);
    mine = dump(w);
    for (struct point p = kill_first(); killed; kill_next(&p)) {
        other_place(w, ++points);
        check_rc(__FILE__, __LINE__, "store_open", &other, other_open(&other, KEDGE_OPEN_CREATE),
                 KEDGE_OK);
        furnish(&other);
        world_close_own(&other);
        killed = victim(w, ground, &p, drop_armed, NULL) == VICTIM_KILLED;
        context("dropping, %s", point_name(ground, &p));
        dropped_well();
        made_well(points);
        check_rc(__FILE__, __LINE__, "store_drop", &other, world_store_drop(&other), KEDGE_OK);
        check_rc(__FILE__, __LINE__, "store_open of what was dropped", &other,
                 other_open(&other, 0), KEDGE_ERR_SCHEMA_MISSING);
    }
    check_unchanged(__FILE__, __LINE__, "dropping another namespace", w, mine);
    note("%llu points", (unsigned long long)points - 1);
    if (points <= 1)
        inconclusive_case("dropping makes no call that the shim sees");
}

/* ------------------------------------------------------------------------ table */

/* Id, operation (stage_ops.c), and the function of that case. */
#define KILLED(name, op_name)                                                                      \
    static void killed_in_##name(struct world *w)                                                  \
    {                                                                                              \
        killed_in(w, op_name);                                                                     \
    }
KILLED(grant, "grant")
KILLED(extend, "extend")
KILLED(revoke, "revoke")
KILLED(bury, "bury")
KILLED(lock_acquire, "lock-acquire")
KILLED(lock_extend, "lock-extend")
KILLED(lock_release, "lock-release")
KILLED(create_due, "create-due")
KILLED(create_held, "create-held")
KILLED(append, "append")
KILLED(append_large, "append-large")
KILLED(checkpoint, "checkpoint")
KILLED(finish, "finish")
KILLED(hand_on, "hand-on")
KILLED(park, "park")
KILLED(take, "take")
KILLED(child, "child")
KILLED(request, "request")
KILLED(batch, "batch")
KILLED(claim, "claim")
KILLED(purge, "purge")

#define NEEDS (NEEDS_SHARED | NEEDS_KILL)

const struct contract_case cases_crash[] = {
    { "crash-01", "killed anywhere in lease_grant", NEEDS, killed_in_grant },
    { "crash-02", "killed anywhere in lease_extend", NEEDS, killed_in_extend },
    { "crash-03", "killed anywhere in lease_revoke", NEEDS, killed_in_revoke },
    { "crash-04", "killed anywhere in lease_bury", NEEDS, killed_in_bury },
    { "crash-05", "killed anywhere in lock_acquire", NEEDS, killed_in_lock_acquire },
    { "crash-06", "killed anywhere in lock_extend", NEEDS, killed_in_lock_extend },
    { "crash-07", "killed anywhere in lock_release", NEEDS, killed_in_lock_release },
    { "crash-08", "killed anywhere in creating a run that is due", NEEDS, killed_in_create_due },
    { "crash-09", "killed anywhere in creating a run that is held", NEEDS, killed_in_create_held },
    { "crash-10", "killed anywhere in appending a record", NEEDS, killed_in_append },
    { "crash-11", "killed anywhere in appending a large record", NEEDS, killed_in_append_large },
    { "crash-12", "killed anywhere in a commit of a record, a snapshot, a cell and a lock", NEEDS,
      killed_in_checkpoint },
    { "crash-13", "killed anywhere in finishing a run", NEEDS, killed_in_finish },
    { "crash-14", "killed anywhere in handing a run on", NEEDS, killed_in_hand_on },
    { "crash-15", "killed anywhere in parking a run", NEEDS, killed_in_park },
    { "crash-16", "killed anywhere in taking a run", NEEDS, killed_in_take },
    { "crash-17", "killed anywhere in the last child's end, which wakes its parent", NEEDS,
      killed_in_child },
    { "crash-18", "killed anywhere in a request, a wake and the deleting of a cell", NEEDS,
      killed_in_request },
    { "crash-19", "killed anywhere in a batch: each of its commits whole", NEEDS, killed_in_batch },
    { "crash-20", "killed anywhere in a claim", NEEDS, killed_in_claim },
    { "crash-21", "killed anywhere in purging", NEEDS, killed_in_purge },
    { "crash-22", "killed anywhere in opening a store", NEEDS, killed_opening },
    { "crash-23", "killed in a commit, and again in opening the store after that", NEEDS,
      killed_twice },
    { "crash-24", "killed anywhere in making a namespace", NEEDS, killed_creating },
    { "crash-25", "killed anywhere in dropping a namespace", NEEDS, killed_dropping },
    { NULL, NULL, 0, NULL },
};
