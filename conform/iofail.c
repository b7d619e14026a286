/*
 * iofail.c - cases: a call that fails below the backend is an error or in doubt, never a lie
 *
 * For each operation that writes, and each of its calls of the operating system: that call fails,
 * as it would on a full or broken disk or a broken connection, or is done and says that it failed,
 * or does less than it was told.  Then
 *
 *   - the answer is OK, UNAVAILABLE, FULL or UNKNOWN; and means what it says, as somebody sees who
 *     was there all the time;
 *   - the next call has an answer of its own;
 *   - the same bytes are sent again, by the same process, which may have to open the store again
 *     for that, and by another: it has taken place once;
 *   - every invariant holds, and work goes on.
 */
#include "cases.h"

#include <errno.h>
#include <stdlib.h>

#include "remains.h"
#include "victim.h"

#define FILES (IOFAULT_ALL & ~IOFAULT_SOCKETS)
#define TRIES 5

static const struct point harms[] = {
    { .mode = IOFAULT_FAIL, .mask = FILES, .err = EIO },
    { .mode = IOFAULT_FAIL, .mask = FILES, .err = ENOSPC },
    { .mode = IOFAULT_FAIL, .mask = FILES, .err = EINTR },
    { .mode = IOFAULT_FAIL_AFTER, .mask = FILES, .err = EIO },
    { .mode = IOFAULT_SHORT, .mask = FILES & IOFAULT_WRITES },
    { .mode = IOFAULT_FAIL, .mask = FILES, .err = ENOSPC, .sticky = true },
    { .mode = IOFAULT_FAIL, .mask = IOFAULT_SOCKETS, .err = ECONNRESET },
    /* What was sent and is said not to have been is no harm that a connection does. */
    { .mode = IOFAULT_FAIL_AFTER, .mask = 1u << IOFAULT_recv, .err = ECONNRESET },
    { .mode = IOFAULT_FAIL, .mask = IOFAULT_SOCKETS & ~(1u << IOFAULT_connect), .err = EINTR },
    { .mode = IOFAULT_SHORT, .mask = IOFAULT_SOCKETS & ~(1u << IOFAULT_connect) },
};

static struct ground *ground;
static const struct stage_op *op; /* that is looked at */
static struct picture after;      /* the call, and before it was sent again */
static int counts[4];             /* OK, UNAVAILABLE or FULL, UNKNOWN; opened again */

static bool is_allowed(const struct point *p, int rc)
{
    return rc == KEDGE_OK || rc == KEDGE_ERR_UNAVAILABLE || rc == KEDGE_ERR_UNKNOWN ||
           (rc == KEDGE_ERR_FULL && p->err == ENOSPC);
}

/* ------------------------------------------------------------------ the sufferer */

/* Somebody else's answer is not ours: a cell says the number of the stage. */
static int next_call(struct world *w, const struct stage *s)
{
    struct kedge_cell cell;
    char want[32];
    int rc = do_cell(w, str("canary"), &cell);

    (void)snprintf(want, sizeof want, "canary of %d", s->number);
    if (rc == KEDGE_OK)
        expect_bytes(cell.value, str(want));
    return rc;
}

/* Until it is answered, on the same handle; and if that is of no use any more, on a new one. */
static void send_again(struct world *w, struct ground *g)
{
    int rc = KEDGE_ERR_UNAVAILABLE;

    for (int i = 0; i < 2 * TRIES; i++) {
        int next = next_call(w, &g->stage);

        if (next != KEDGE_OK && next != KEDGE_ERR_UNAVAILABLE)
            fail_case(__FILE__, __LINE__, "the next call, a cell_get, is answered %s: %s",
                      status_name(next), w->err.msg);
        rc = op->call(&g->stage);
        if (next == KEDGE_OK && (rc == KEDGE_OK || rc == op->again))
            return;
        if (rc != KEDGE_OK && rc != KEDGE_ERR_UNAVAILABLE && rc != op->again)
            break;
        if (i == TRIES) {
            world_reopen(w);
            g->reopened = true;
        }
    }
    fail_case(__FILE__, __LINE__, "sent again, it is answered %s: %s", status_name(rc), w->err.msg);
}

static void suffer(struct world *w, struct ground *g, const struct point *p)
{
    world_return(w);
    expect_ok(next_call(w, &g->stage));
    g->stage.w = w;
    victim_arm(g, p);
    g->rc = op->call(&g->stage);
    victim_disarm(g);
    context("%s, %s, %s", op->name, point_name(g, p), status_name(g->rc));
    if (!is_allowed(p, g->rc) || (g->rc != KEDGE_OK && atomic_load(&g->fault.fired) == 0))
        fail_case(__FILE__, __LINE__, "it is answered %s: %s", status_name(g->rc), w->err.msg);
    atomic_store(&g->answered, 1);
    while (atomic_load(&g->go) == 0)
        pause_us(100);
    send_again(w, g);
    world_close_own(w);
}

/* ----------------------------------------------------------------- who looks on */

static void look(struct world *w, struct ground *g)
{
    (void)w; /* pictures are of what `d' shows; `w' is the sufferer's now */
    picture_settled(&g->stage, &after);
}

static bool fails_at(struct world *w, const struct point *p)
{
    struct stage *s = &ground->stage;
    struct picture before, done, last;
    enum victim_end end;
    char text[32];
    int rc;

    context("preparing %s", op->name);
    stage_begin(s, op, w, w, PATIENCE);
    (void)snprintf(text, sizeof text, "canary of %d", s->number);
    (void)cell_put(w, str("canary"), text);
    picture_take(s, &before);
    context("%s", op->name);
    end = victim(w, ground, p, suffer, look);
    s->w = w;
    context("%s, %s, %s", op->name, point_name(ground, p), status_name(ground->rc));
    picture_take(s, &done);
    stage_judge(op, ground->rc, &before, &after, &done);
    rc = op->call(s);
    if (rc != KEDGE_OK && rc != op->again)
        fail_case(__FILE__, __LINE__, "sent again by another process: %s", status_name(rc));
    picture_take(s, &last);
    stage_judge(op, KEDGE_OK, &before, &done, &last);
    if (op->check != NULL)
        op->check(s);
    remains_check(w);
    remains_work_goes_on(w, (uint64_t)s->number);
    for (size_t i = 0; i < s->n_made; i++)
        (void)do_revoke(w, s->made[i]);
    picture_free(&before);
    picture_free(&after);
    picture_free(&done);
    picture_free(&last);
    if (end == VICTIM_UNHARMED)
        return false;
    counts[ground->rc == KEDGE_OK ? 0 : ground->rc == KEDGE_ERR_UNKNOWN ? 2 : 1]++;
    counts[3] += ground->reopened;
    return true;
}

static void fails_in(struct world *w, const char *name)
{
    int points = 0;

    op = stage_op_named(name);
    ground = ground_new();
    clock_follow();
    ground->stage.lease = lease_make(w, REMAINS_TTL);
    for (size_t i = 0; i < ARRAY_LEN(harms); i++) {
        struct point p = harms[i];

        for (p.at = 1; fails_at(w, &p); p.at++)
            points++;
    }
    note("%d points: %d OK, %d UNAVAILABLE or FULL, %d UNKNOWN; %d had to open the store again",
         points, counts[0], counts[1], counts[2], counts[3]);
    if (points == 0)
        inconclusive_case("%s makes no call that the shim sees", name);
    context("afterwards");
    remains_end(w, ground->stage.lease);
}

/* ------------------------------------------------------------------------ table */

#define FAILS(name, op_name)                                                                       \
    static void fails_in_##name(struct world *w)                                                   \
    {                                                                                              \
        fails_in(w, op_name);                                                                      \
    }
FAILS(grant, "grant")
FAILS(extend, "extend")
FAILS(revoke, "revoke")
FAILS(bury, "bury")
FAILS(lock_acquire, "lock-acquire")
FAILS(lock_release, "lock-release")
FAILS(create_held, "create-held")
FAILS(append, "append")
FAILS(append_large, "append-large")
FAILS(checkpoint, "checkpoint")
FAILS(finish, "finish")
FAILS(take, "take")
FAILS(child, "child")
FAILS(request, "request")
FAILS(batch, "batch")
FAILS(claim, "claim")
FAILS(purge, "purge")

#define NEEDS (NEEDS_SHARED | NEEDS_KILL)

const struct contract_case cases_iofail[] = {
    { "iofail-01", "a call fails anywhere in lease_grant", NEEDS, fails_in_grant },
    { "iofail-02", "a call fails anywhere in lease_extend", NEEDS, fails_in_extend },
    { "iofail-03", "a call fails anywhere in lease_revoke", NEEDS, fails_in_revoke },
    { "iofail-04", "a call fails anywhere in lease_bury", NEEDS, fails_in_bury },
    { "iofail-05", "a call fails anywhere in lock_acquire", NEEDS, fails_in_lock_acquire },
    { "iofail-06", "a call fails anywhere in lock_release", NEEDS, fails_in_lock_release },
    { "iofail-07", "a call fails anywhere in creating a run that is held", NEEDS,
      fails_in_create_held },
    { "iofail-08", "a call fails anywhere in appending a record", NEEDS, fails_in_append },
    { "iofail-09", "a call fails anywhere in appending a large record", NEEDS,
      fails_in_append_large },
    { "iofail-10", "a call fails anywhere in a commit of a record, a snapshot, a cell and a lock",
      NEEDS, fails_in_checkpoint },
    { "iofail-11", "a call fails anywhere in finishing a run", NEEDS, fails_in_finish },
    { "iofail-12", "a call fails anywhere in taking a run", NEEDS, fails_in_take },
    { "iofail-13", "a call fails anywhere in the last child's end, which wakes its parent", NEEDS,
      fails_in_child },
    { "iofail-14", "a call fails anywhere in a request, a wake and the deleting of a cell", NEEDS,
      fails_in_request },
    { "iofail-15", "a call fails anywhere in a batch", NEEDS, fails_in_batch },
    { "iofail-16", "a call fails anywhere in a claim", NEEDS, fails_in_claim },
    { "iofail-17", "a call fails anywhere in purging", NEEDS, fails_in_purge },
    { NULL, NULL, 0, NULL },
};
