/*
 * linear.c - cases: what several processes see of one object is an order of its operations
 *
 * Members go on for a time that was measured to be enough here, or until their logs are full; what
 * they wrote down is judged afterwards.  The rounds of a member are chosen by the seed of the case.
 */
#include "crew.h"

#include <inttypes.h>

#define LONG    SEC(3000)
#define AT_WORK SEC(3)

/* Let them work for so long, and bring them to an end. */
static void let_work(struct crew *c, int64_t us)
{
    int64_t until = real_us() + us;

    crew_start(c);
    while (real_us() < until)
        pause_us(MS(5));
    crew_end(c);
}

static void finish(struct crew *c, uint32_t checkers, uint64_t least)
{
    struct history h = crew_history(c);

    note("%zu calls", h.n);
    crew_expect_calls(&h, least);
    history_free(&h);
    crew_judge(c, checkers);
}

static void a_while(struct member *m, int64_t max_us)
{
    pause_us((int64_t)random_below(&m->w, (uint32_t)max_us));
}

/* --------------------------------------------------------------- one plain lock */

static void take_and_release(struct member *m)
{
    expect_eq(m_grant(m, LONG), KEDGE_OK);
    while (!crew_stopped(m)) {
        uint64_t fence;

        if (m_acquire(m, "lock", &fence, NULL) == KEDGE_OK) {
            if (random_below(&m->w, 4) == 0)
                (void)m_check(m, "lock", fence);
            (void)m_release(m, "lock", fence);
            if (random_below(&m->w, 8) == 0) /* it is not theirs any more */
                (void)m_release(m, "lock", fence);
        } else if (random_below(&m->w, 8) == 0) {
            (void)m_query(m, "lock");
        }
        a_while(m, MS(10));
        world_forget(&m->w);
    }
}

static void lock_is_linear(struct world *w)
{
    struct crew *c = crew_new(w, 16, take_and_release, LONG);

    let_work(c, AT_WORK);
    finish(c, CREW_UNTIMED | CREW_INTERVALS, 400);
}

/* ------------------------------------------------- locks whose leases run out */

/* Whoever is in the way is buried, if that is permitted. */
static void use_lapsing_lock(struct member *m, const char *lock)
{
    uint64_t fence, holder = 0;
    int rc = m_acquire(m, lock, &fence, &holder);

    if (rc == KEDGE_HELD && holder != 0)
        (void)m_bury(m, holder);
    if (rc == KEDGE_LOST)
        m->owner = 0;
    if (rc != KEDGE_OK)
        return;
    a_while(m, MS(3));
    if (random_below(&m->w, 3) == 0)
        rc = m_check(m, lock, fence);
    if (random_below(&m->w, 4) != 0)
        rc = m_release(m, lock, fence);
    if (rc == KEDGE_LOST)
        m->owner = 0;
}

static void use_lapsing_locks(struct member *m)
{
    while (!crew_stopped(m)) {
        if (m->owner == 0)
            (void)m_grant(m, m->crew->ttl);
        switch (random_below(&m->w, 12)) {
        case 0:
            (void)m_revoke(m);
            m->owner = 0;
            break;
        case 1:
        case 2:
            if (m_extend(m) == KEDGE_LOST)
                m->owner = 0;
            break;
        default:
            use_lapsing_lock(m, "lock");
        }
        a_while(m, MS(10));
        world_forget(&m->w);
    }
}

static void leases_are_linear(struct world *w)
{
    struct crew *c = crew_new(w, 8, use_lapsing_locks, TTL);
    int64_t until;

    c->timed = true;
    crew_start(c);
    for (until = real_us() + AT_WORK; real_us() < until;) {
        pause_us(MS(2) + random_below(w, MS(8)));
        crew_advance(c, (int64_t)random_below(w, 3) * TTL / 4);
    }
    crew_end(c);
    finish(c, CREW_UNTIMED, 300);
}

/* ----------------------------------------------------- threads, alone and in processes */

static void lock_and_count(struct member *m)
{
    expect_eq(m_grant(m, LONG), KEDGE_OK);
    while (!crew_stopped(m)) {
        uint64_t fence, version, value;

        if (m_acquire(m, "lock", &fence, NULL) == KEDGE_OK) {
            (void)m_get(m, "count", &version, &value);
            (void)m_put(m, "count", version, value + 1);
            (void)m_release(m, "lock", fence);
        } else if (random_below(&m->w, 4) == 0) {
            (void)m_get(m, "count", &version, &value);
            (void)m_put(m, "count", version, value + 1);
        }
        a_while(m, MS(10));
        world_forget(&m->w);
    }
}

static void threads_are_linear(struct world *w)
{
    struct crew *c = crew_new(w, 0, lock_and_count, LONG);
    struct member self = crew_self(c);
    struct crew_threads *threads = crew_threads(&self, 0, 16, lock_and_count);

    pause_us(AT_WORK);
    crew_end(c);
    crew_join(threads);
    finish(c, CREW_UNTIMED | CREW_INTERVALS, 400);
}

enum { PROCESSES = 4, THREADS = 3 }; /* and each process itself */

static void with_threads(struct member *m)
{
    struct crew_threads *threads =
        crew_threads(m, PROCESSES + m->number * THREADS, THREADS, lock_and_count);

    lock_and_count(m);
    crew_join(threads);
}

static void both_are_linear(struct world *w)
{
    struct crew *c = crew_new(w, PROCESSES, with_threads, LONG);

    let_work(c, AT_WORK);
    finish(c, CREW_UNTIMED | CREW_INTERVALS, 400);
}

/* ------------------------------------- two sessions, in every order of their few steps */

enum merged { TAKE, EXTEND, EXPIRE, RELEASE };

enum { MERGED_STEPS = 4, SIDES = 2 };

static const enum merged programs[][MERGED_STEPS] = {
    { TAKE, EXTEND, RELEASE, TAKE },
    { TAKE, EXTEND, EXPIRE, RELEASE },
    { TAKE, EXPIRE, TAKE, RELEASE },
};

struct side {
    struct world w;
    struct kedge_id128 lease;
    int64_t deadline;
    uint64_t fence; /* its last */
    bool dead;
};

/* The lock as it must be: who has it, if anybody has, under the fence of that side. */
struct merge {
    struct side side[SIDES];
    struct kedge_bytes lock;
    struct side *holder; /* NULL: nobody */
    struct side *late;   /* nobody has it since this one, who had it, died; NULL: nobody such */
    uint64_t fences;     /* the highest so far */
};

static void merged_take(struct merge *g, struct side *me)
{
    struct world *w = &me->w;
    struct kedge_lock_state st;
    int rc = do_lock_acquire(w, g->lock, me->lease, random_id(w), &st);

    expect_rc(rc, me->dead ? KEDGE_LOST : g->holder != NULL ? KEDGE_HELD : KEDGE_OK);
    if (rc == KEDGE_HELD)
        expect_eq(st.fence, g->holder->fence);
    if (rc != KEDGE_OK)
        return;
    expect(st.fence > g->fences);
    g->fences = me->fence = st.fence;
    g->holder = me;
    g->late = NULL;
}

/*
 * Whose fence is not in force is refused.  Of a dead lease more than one answer is true, and so is
 * of a lock that one has left: a store may have it still, and say that it is another's.
 */
static void refused(const struct merge *g, const struct side *me, int rc)
{
    if (rc == (g->holder != NULL ? KEDGE_STALE : KEDGE_NOT_FOUND) ||
        (rc == KEDGE_STALE && g->late != NULL) || (rc == KEDGE_LOST && me->dead))
        return;
    fail_case(__FILE__, __LINE__, "%s, but it is answered %s",
              me->dead            ? "its lease is dead"
              : g->holder != NULL ? "the lock is another's"
                                  : "the lock is free",
              status_name(rc));
}

static void merged_extend(struct merge *g, struct side *me)
{
    struct world *w = &me->w;
    struct kedge_lock_state st;
    int rc = do_lock_extend(w, g->lock, me->lease, me->fence != 0 ? me->fence : 1, &st);

    if (g->holder != me) {
        refused(g, me, rc);
        return;
    }
    expect_rc(rc, KEDGE_OK);
    me->deadline = lease_now() + TTL;
}

/* Time passes to its deadline, and the other one buries it. */
static void merged_expire(struct merge *g, struct side *me)
{
    struct side *other = me == &g->side[0] ? &g->side[1] : &g->side[0];
    struct world *w = &other->w;
    struct kedge_time now;

    if (!me->dead && me->deadline > lease_now()) {
        expect_rc(do_bury(w, me->lease), KEDGE_HELD);
        clock_advance(me->deadline - lease_now());
        expect_ok(do_now(w, &now)); /* a session may have an idea of a server's time */
    }
    expect_ok(do_bury(w, me->lease));
    me->dead = true;
    if (g->holder == me) {
        g->holder = NULL;
        g->late = me;
    }
}

static void merged_release(struct merge *g, struct side *me)
{
    struct world *w = &me->w;
    int rc = do_lock_release(w, g->lock, me->lease, me->fence != 0 ? me->fence : 1);

    if (g->late == me && rc == KEDGE_OK) /* it may let go of what was its own */
        g->late = NULL;
    else if (g->holder != me)
        refused(g, me, rc);
    else
        expect_rc(rc, KEDGE_OK);
    if (g->holder == me)
        g->holder = NULL;
}

static void merged_step(struct merge *g, struct side *me, enum merged what)
{
    struct world *w = &me->w;
    struct kedge_lock_state st;

    switch (what) {
    case TAKE:
        merged_take(g, me);
        break;
    case EXTEND:
        merged_extend(g, me);
        break;
    case EXPIRE:
        merged_expire(g, me);
        break;
    case RELEASE:
        merged_release(g, me);
    }
    expect_rc(do_lock_query(w, g->lock, &st), g->holder != NULL ? KEDGE_OK : KEDGE_NOT_FOUND);
    if (g->holder != NULL) {
        expect_eq(st.fence, g->holder->fence);
        expect(same_id(&st.holder, &g->holder->lease));
    }
}

/* Bit N of ORDER is whose turn the N-th is. */
static void merge(struct world *w, struct merge *g, const enum merged *const program[SIDES],
                  uint32_t order, uint32_t number)
{
    uint32_t done[SIDES] = { 0, 0 };

    g->lock = name(w, "lock %" PRIu32, number);
    g->holder = g->late = NULL;
    for (int i = 0; i < SIDES; i++) {
        g->side[i].lease = lease_make(&g->side[i].w, TTL);
        g->side[i].deadline = lease_now() + TTL;
        g->side[i].dead = false;
        g->side[i].fence = 0;
    }
    for (uint32_t n = 0; n < SIDES * MERGED_STEPS; n++) {
        uint32_t turn = order >> n & 1;

        context("order %02" PRIx32 ", step %" PRIu32 " of side %" PRIu32, order, done[turn], turn);
        merged_step(g, &g->side[turn], program[turn][done[turn]++]);
    }
    for (int i = 0; i < SIDES; i++) {
        (void)do_revoke(&g->side[i].w, g->side[i].lease);
        world_forget(&g->side[i].w);
    }
    world_forget(w);
}

static uint32_t bits_set(uint32_t x)
{
    uint32_t n = 0;

    for (; x != 0; x &= x - 1)
        n++;
    return n;
}

static void all_merges(struct world *w)
{
    struct merge g = { .holder = NULL };
    uint32_t number = 0;

    for (int i = 0; i < SIDES; i++)
        world_thread_enter(w, &g.side[i].w, (uint64_t)i + 1);
    for (size_t a = 0; a < ARRAY_LEN(programs); a++)
        for (size_t b = a; b < ARRAY_LEN(programs); b++)
            for (uint32_t order = 0; order < 1u << (SIDES * MERGED_STEPS); order++) {
                const enum merged *const both[SIDES] = { programs[a], programs[b] };

                if (bits_set(order) == MERGED_STEPS)
                    merge(w, &g, both, order, number++);
            }
    context(NULL);
    for (int i = 0; i < SIDES; i++)
        world_thread_leave(&g.side[i].w);
    note("%" PRIu32 " orders", number);
    expect_eq(number, 6 * 70);
}

/* -------------------------------------------------------- intervals, by the wall */

static void use_many_locks(struct member *m)
{
    while (!crew_stopped(m)) {
        char lock[16];
        uint64_t fence, holder = 0;
        int rc;

        if (m->owner == 0)
            (void)m_grant(m, m->crew->ttl);
        (void)snprintf(lock, sizeof lock, "lock %" PRIu32, random_below(&m->w, 32));
        rc = m_acquire(m, lock, &fence, &holder);
        if (rc == KEDGE_OK) {
            /* mostly well within the ttl, sometimes beyond it */
            a_while(m, random_below(&m->w, 10) == 0 ? 2 * m->crew->ttl : m->crew->ttl / 10);
            rc = random_below(&m->w, 3) == 0 ? m_check(m, lock, fence) : KEDGE_OK;
            if (rc == KEDGE_OK && random_below(&m->w, 5) != 0)
                rc = m_release(m, lock, fence);
        } else if (rc == KEDGE_HELD && holder != 0 && holder != m->owner) {
            (void)m_bury(m, holder);
            a_while(m, m->crew->ttl / 40);
        }
        if (rc == KEDGE_LOST)
            m->owner = 0;
        world_forget(&m->w);
    }
}

/* Did burials succeed and fail, locks get taken and refused? */
static void saw_everything(struct crew *c)
{
    struct history h = crew_history(c);
    size_t buried = 0, refused = 0, taken = 0;

    for (size_t i = 0; i < h.n; i++) {
        const struct history_event *e = &h.events[i];

        buried += e->op == HISTORY_BURY && e->result == KEDGE_OK;
        refused += e->op == HISTORY_BURY && e->result == KEDGE_HELD;
        taken += e->op == HISTORY_ACQUIRE && e->result == KEDGE_OK;
    }
    history_free(&h);
    note("%zu locks taken, %zu burials, %zu not permitted", taken, buried, refused);
    if (buried == 0 || refused == 0 || taken < 50)
        inconclusive_case("leases did not run out, or did nothing else");
}

static void intervals_are_disjoint(struct world *w)
{
    int64_t latency = crew_latency(w);
    int64_t ttl = 20 * latency < MS(200) ? MS(200) : 20 * latency;
    struct crew *c = crew_new(w, 16, use_many_locks, ttl);

    note("a write takes up to %" PRId64 " us, so a lease lives %" PRId64 " us", latency, ttl);
    clock_follow();
    let_work(c, 20 * ttl < SEC(20) ? 20 * ttl : SEC(20));
    saw_everything(c);
    finish(c, CREW_UNTIMED | CREW_INTERVALS, 400);
}

/* -------------------------------------------------------------------- registers */

static void read_and_write(struct member *m)
{
    for (uint64_t i = 1; !crew_stopped(m); i++) {
        const char *cell = random_below(&m->w, 2) ? "one" : "two";
        uint64_t version, value;

        (void)m_get(m, cell, &version, &value);
        if (random_below(&m->w, 2) == 0)
            (void)m_put(m, cell, version, ((uint64_t)m->number << 32) + i);
        a_while(m, MS(4));
        world_forget(&m->w);
    }
}

static void register_is_linear(struct world *w)
{
    struct crew *c = crew_new(w, 8, read_and_write, LONG);

    let_work(c, AT_WORK);
    finish(c, CREW_UNTIMED, 400);
}

enum { INCREMENTS = 150, COUNTERS = 8 };

static void increment(struct member *m)
{
    for (int i = 0; i < INCREMENTS;) {
        uint64_t version, value;

        (void)m_get(m, "count", &version, &value);
        if (m_put(m, "count", version, value + 1) == KEDGE_OK)
            i++;
        else
            a_while(m, MS(2));
        world_forget(&m->w);
    }
}

static void no_update_is_lost(struct world *w)
{
    struct crew *c = crew_new(w, COUNTERS, increment, LONG);
    struct member self = crew_self(c);
    uint64_t version, value;

    crew_start(c);
    crew_end(c);
    expect_eq(m_get(&self, "count", &version, &value), KEDGE_OK);
    expect_eq(value, INCREMENTS * COUNTERS);
    world_forget(&self.w);
    crew_judge(c, CREW_UNTIMED);
}

/* ----------------------------------------------- two cells, written in one commit */

static uint64_t look(struct member *m, const char *cell)
{
    struct kedge_cell c;
    uint64_t value = 0;

    if (do_cell(&m->w, str(cell), &c) == KEDGE_OK)
        memcpy(&value, c.value.data, sizeof value);
    return value;
}

static void write_both(struct member *m)
{
    struct world *w = &m->w;

    while (!crew_stopped(m)) {
        struct kedge_cell left = { .version = 0 };
        uint64_t next = 0;
        struct tx t;

        if (do_cell(w, str("left"), &left) == KEDGE_OK)
            memcpy(&next, left.value.data, sizeof next);
        next++;
        tx_init(w, &t);
        g_cell(&t, str("left"), left.version);
        c_cell_put(&t, str("left"), bytes(&next, sizeof next), never());
        c_cell_put(&t, str("right"), bytes(&next, sizeof next), never());
        (void)tx_send(w, &t);
        world_forget(w);
    }
}

/* Both are the same all the time, and only rise: what is read later is not less. */
static void read_both(struct member *m)
{
    while (!crew_stopped(m)) {
        uint64_t left = look(m, "left");
        uint64_t right = look(m, "right");
        uint64_t again = look(m, "left");

        if (right < left || again < right)
            fail_case(__FILE__, __LINE__,
                      "read %" PRIu64 " left, then %" PRIu64 " right, then %" PRIu64 " left", left,
                      right, again);
        atomic_fetch_add(&m->crew->board->flag[0], 1);
        if (again > left)
            atomic_fetch_add(&m->crew->board->flag[1], 1);
        world_forget(&m->w);
    }
}

static void both_or_neither(struct member *m)
{
    if (m->number < 2)
        write_both(m);
    else
        read_both(m);
}

static void never_half(struct world *w)
{
    struct crew *c = crew_new(w, 10, both_or_neither, LONG);

    let_work(c, AT_WORK);
    note("%" PRIu64 " pairs read, %" PRIu64 " of them beside a write",
         atomic_load(&c->board->flag[0]), atomic_load(&c->board->flag[1]));
    if (atomic_load(&c->board->flag[1]) < 20)
        inconclusive_case("hardly anything was read beside a write");
}

/* ----------------------------------------------------------------------- rounds */

enum { ROUND, ARRIVED, WON, HAS };

/* The next round, all at once; false: there is none. */
static bool next_round(struct member *m, uint64_t *round)
{
    struct crew_board *b = m->crew->board;

    while (atomic_load(&b->flag[ROUND]) == *round)
        if (atomic_load(&b->stop) != 0)
            return false;
    (*round)++;
    return true;
}

static void contend(struct member *m)
{
    struct crew_board *b = m->crew->board;
    uint64_t round = 0, fence;

    expect_eq(m_grant(m, LONG), KEDGE_OK);
    while (next_round(m, &round)) {
        char lock[24];

        (void)snprintf(lock, sizeof lock, "round %" PRIu64, round);
        if (m_acquire(m, lock, &fence, NULL) == KEDGE_OK)
            atomic_fetch_add(&b->flag[WON], 1);
        atomic_fetch_add(&b->flag[ARRIVED], 1);
        world_forget(&m->w);
    }
}

static void one_winner(struct world *w)
{
    struct crew *c = crew_new(w, 16, contend, LONG);

    crew_start(c);
    for (uint64_t round = 1; round <= 100; round++) {
        atomic_store(&c->board->flag[ROUND], round);
        crew_await(c, ARRIVED, round * c->n);
        expect_eq(atomic_load(&c->board->flag[WON]), round);
    }
    crew_end(c);
    crew_judge(c, CREW_UNTIMED);
}

/* Two race: the one who has the lock lets it go, or prolongs it, the other takes it. */
static void race(struct member *m)
{
    struct crew_board *b = m->crew->board;
    uint64_t round = 0, fence = 0;
    bool mine = false;

    expect_eq(m_grant(m, LONG), KEDGE_OK);
    while (next_round(m, &round)) {
        uint32_t dice = random_below(&m->w, 3);

        pause_us(random_below(&m->w, 3) == 0 ? random_below(&m->w, 200) : 0);
        if (mine && dice == 0)
            (void)m_check(m, "lock", fence);
        else if (mine)
            mine = m_release(m, "lock", fence) != KEDGE_OK;
        else
            mine = m_acquire(m, "lock", &fence, NULL) == KEDGE_OK;
        if (!mine && dice == 1 && fence != 0)
            (void)m_release(m, "lock", fence);
        atomic_fetch_add(&b->flag[ARRIVED], 1);
        world_forget(&m->w);
    }
}

static void races_are_orders(struct world *w)
{
    struct crew *c = crew_new(w, 3, race, LONG);

    crew_start(c);
    for (uint64_t round = 1; round <= 300; round++) {
        atomic_store(&c->board->flag[ROUND], round);
        crew_await(c, ARRIVED, round * c->n);
    }
    crew_end(c);
    finish(c, CREW_UNTIMED | CREW_INTERVALS, 900);
}

const struct contract_case cases_linear[] = {
    { "linear-01", "a lock among 16 processes: its operations have an order", NEEDS_SHARED,
      lock_is_linear },
    { "linear-02", "leases that run out, are extended, buried and revoked: the same",
      NEEDS_SHARED | NEEDS_CLOCK, leases_are_linear },
    { "linear-03", "by the clock, no two processes hold one of 32 locks safely at once",
      NEEDS_SHARED, intervals_are_disjoint },
    { "linear-04", "a cell among 8 processes: reads and guarded writes have an order", NEEDS_SHARED,
      register_is_linear },
    { "linear-05", "of versioned increments by 8 processes none is lost", NEEDS_SHARED,
      no_update_is_lost },
    { "linear-06", "two cells written by one commit are never seen half", NEEDS_SHARED,
      never_half },
    { "linear-07", "of 16 who start at once exactly one gets the lock, 100 times", NEEDS_SHARED,
      one_winner },
    { "linear-08", "release, check and acquire that meet have an order, 300 times", NEEDS_SHARED,
      races_are_orders },
    { "linear-09", "two sessions with four steps each, in all 70 orders: as the model says",
      NEEDS_CLOCK, all_merges },
    { "linear-10", "16 threads of one process on a lock and a counter: an order", NEEDS_THREADS,
      threads_are_linear },
    { "linear-11", "4 processes with 4 threads each on a lock and a counter: an order",
      NEEDS_SHARED | NEEDS_THREADS, both_are_linear },
    { NULL, NULL, 0, NULL },
};
