/*
 * paused.c - cases: a holder that stands still until others have taken its place
 *
 * Member 0 is stopped (SIGSTOP) while it holds something; its time to live passes; member 1 buries
 * its lease and takes over; then it goes on (SIGCONT) as if nothing had happened.  That it was
 * stopped where it was meant to is seen, else the try does not count.
 */
#include "crew.h"

#include <inttypes.h>
#include <unistd.h>

enum { TRIES = 5 };

/* The board's flags: each says how far its member has come in a try. */
enum { INSIDE, WRITTEN, GO, DONE, REFUSED, ROUND };

#define LONG SEC(3000)

/* On a server whose clock cannot be moved it is waited for. */
static int64_t ttl_of(struct world *w)
{
    struct crew probe = { .w = w };

    return crew_moves_time(&probe) ? TTL : MS(400);
}

/* In the hands of a member that waits to be stopped: long enough for that. */
static void linger(void)
{
    pause_us(MS(100));
}

static void await(const struct member *m, uint32_t flag)
{
    while (atomic_load(&m->crew->board->flag[flag]) == 0)
        pause_us(100);
}

static void reach(const struct member *m, uint32_t flag)
{
    atomic_store(&m->crew->board->flag[flag], 1);
}

/* The lock, if need be after a burial. */
static uint64_t take_over(struct member *m)
{
    uint64_t fence = 0, holder = 0;

    while (m_acquire(m, "lock", &fence, &holder) == KEDGE_HELD) {
        expect(holder != 0);
        if (m_bury(m, holder) != KEDGE_OK)
            pause_us(MS(2));
    }
    expect(fence != 0);
    return fence;
}

/* Stop member 0 inside, let member 1 do its work, let go.  false: it was not stopped inside. */
static bool pause_inside(struct crew *c)
{
    bool inside;

    crew_start(c);
    crew_await(c, INSIDE, 1);
    inside = crew_freeze(c, 0) && atomic_load(&c->board->flag[WRITTEN]) == 0;
    crew_pass(c, c->ttl + MS(1));
    atomic_store(&c->board->flag[GO], 1);
    if (inside)
        crew_await(c, DONE, 1);
    if (c->pids[0] != 0)
        crew_thaw(c, 0);
    crew_end(c);
    return inside;
}

/* A crew of two, of which the first was stopped inside. */
static struct crew *paused_crew(struct world *w, member_fn *body)
{
    for (int i = 0; i < TRIES; i++) {
        struct crew *c = crew_new(w, 2, body, ttl_of(w));

        if (pause_inside(c))
            return c;
    }
    inconclusive_case("in %d tries nobody was stopped between reading and writing", TRIES);
}

/* ----------------------------------- a file, which knows nothing of fences */

static int file;

struct content {
    uint64_t version;
    uint64_t value;
};

static void read_file(struct member *m, struct content *now)
{
    struct history_event *e = m_begin(m, HISTORY_GET, "file");

    expect(pread(file, now, sizeof *now, 0) == (ssize_t)sizeof *now);
    e->version = now->version;
    e->value = now->value;
    (void)m_end(m, e, now->version != 0 ? KEDGE_OK : KEDGE_NOT_FOUND);
}

/* As if nobody had written since: that is what the lock is for. */
static void write_file(struct member *m, const struct content *seen)
{
    struct history_event *e = m_begin(m, HISTORY_PUT, "file");
    struct content next = { seen->version + 1, seen->value + 1 };

    e->seen = seen->version;
    e->version = next.version;
    e->value = next.value;
    expect(pwrite(file, &next, sizeof next, 0) == (ssize_t)sizeof next);
    (void)m_end(m, e, KEDGE_OK);
}

static void update_file(struct member *m)
{
    struct content seen;
    uint64_t fence;

    if (m->number == 1)
        await(m, GO);
    expect_eq(m_grant(m, m->crew->ttl), KEDGE_OK);
    fence = take_over(m);
    read_file(m, &seen);
    if (m->number == 0) {
        reach(m, INSIDE);
        linger();
    }
    write_file(m, &seen);
    reach(m, m->number == 0 ? WRITTEN : DONE);
    (void)m_release(m, "lock", fence);
}

/* A lock alone protects nothing that does not look at its fence: the checker sees the lost update.
 */
static void lock_is_not_enough(struct world *w)
{
    static struct verdict v;
    const struct content none = { 0, 0 };
    struct crew *c;
    struct history h;
    FILE *f = tmpfile();

    expect(f != NULL);
    file = fileno(f);
    expect(pwrite(file, &none, sizeof none, 0) == (ssize_t)sizeof none);
    c = paused_crew(w, update_file);
    h = crew_history(c);
    check_linear(&h, CHECK_CELLS, CHECK_BUDGET, &v);
    if (v.result == CHECK_INCONCLUSIVE)
        inconclusive_case("%s", v.why);
    if (v.result != CHECK_VIOLATION || strcmp(v.key, "file") != 0)
        fail_case(__FILE__, __LINE__, "an update was lost, and the checker did not see it");
    note("as it must be: %s", v.why);
    check_linear(&h, CHECK_LOCKS | CHECK_LEASES, CHECK_BUDGET, &v);
    if (v.result != CHECK_PASS)
        fail_case(__FILE__, __LINE__, "but the lock itself is wrong: %s", v.why);
    history_free(&h);
    (void)fclose(f);
}

/* -------------------------------------------------- the same in the store, fenced */

/* A cell that anybody may write who holds the lock: guarded by its fence, not by a version. */
static int write_fenced(struct member *m, uint64_t fence, uint64_t seen, uint64_t value)
{
    struct history_event *put = m_begin(m, HISTORY_PUT, "cell");
    struct history_event *check = m_begin(m, HISTORY_CHECK, "lock");
    struct tx t;
    int rc;

    put->seen = seen;
    put->value = value;
    check->fence = fence;
    tx_init(&m->w, &t);
    g_lock(&t, str("lock"), m->lease, fence);
    c_cell_put(&t, str("cell"), bytes(&value, sizeof value), never());
    rc = tx_send(&m->w, &t);
    if (rc == KEDGE_OK)
        put->version = t.results[0];
    /* refused for the lock: it says nothing of the cell */
    (void)m_end(m, put, rc > 0 ? KEDGE_ERR_UNAVAILABLE : rc);
    return m_end(m, check, rc);
}

static void update_cell(struct member *m)
{
    uint64_t fence, version, value;
    int rc;

    if (m->number == 1)
        await(m, GO);
    expect_eq(m_grant(m, m->crew->ttl), KEDGE_OK);
    fence = take_over(m);
    (void)m_get(m, "cell", &version, &value);
    if (m->number == 0) {
        reach(m, INSIDE);
        linger();
    }
    rc = write_fenced(m, fence, version, value + 1);
    if (rc != KEDGE_OK)
        reach(m, REFUSED);
    reach(m, m->number == 0 ? WRITTEN : DONE);
    (void)m_release(m, "lock", fence);
}

static void fence_is_enough(struct world *w)
{
    struct crew *c = paused_crew(w, update_cell);

    if (atomic_load(&c->board->flag[REFUSED]) == 0)
        note("the writer that was stopped was not refused");
    crew_judge(c, CREW_UNTIMED);
    expect_eq(atomic_load(&c->board->flag[REFUSED]), 1);
}

/* ----------------------------------------------------------- everything is refused */

/* It has a run and a lock, is stopped, and then tries all that it may have been about to do. */
static void hold_on(struct member *m)
{
    struct kedge_run_page page;
    uint64_t fence = take_over(m), run;
    int rc;

    expect_eq(m_claim(m, 1, &page), KEDGE_OK);
    expect_eq(page.n, 1);
    run = page.runs[0].fence;
    expect_eq(m_commit(m, "run", run, 1, HISTORY_APPEND), KEDGE_OK);
    reach(m, INSIDE);
    linger();
    rc = m_commit(m, "run", run, 2, HISTORY_APPEND);
    reach(m, WRITTEN);
    if (atomic_load(&m->crew->board->flag[DONE]) == 0)
        return; /* not stopped: nothing to be seen */
    expect(rc == KEDGE_LOST || rc == KEDGE_STALE);
    rc = m_commit(m, "run", run, 3, HISTORY_REST);
    expect(rc == KEDGE_LOST || rc == KEDGE_STALE);
    expect_eq(m_extend(m), KEDGE_LOST);
    rc = m_check(m, "lock", fence);
    expect(rc == KEDGE_LOST || rc == KEDGE_STALE);
    rc = m_release(m, "lock", fence);
    expect(rc == KEDGE_LOST || rc == KEDGE_STALE);
    expect_eq(m_claim(m, 1, &page), KEDGE_LOST);
    reach(m, REFUSED);
}

static void inherit(struct member *m)
{
    uint64_t fence, position;

    await(m, GO);
    (void)take_over(m);
    if (m_take(m, "run", &fence, &position) == KEDGE_OK) {
        expect_eq(position, 1);
        expect_eq(m_commit(m, "run", fence, 2, HISTORY_APPEND), KEDGE_OK);
        reach(m, DONE);
    }
}

static void hold_or_inherit(struct member *m)
{
    if (m->number == 1)
        await(m, GO);
    expect_eq(m_grant(m, m->crew->ttl), KEDGE_OK);
    if (m->number == 0)
        hold_on(m);
    else
        inherit(m);
}

static void all_is_refused(struct world *w)
{
    struct crew *c = crew_new(w, 2, hold_or_inherit, ttl_of(w));
    struct member self = crew_self(c);

    expect_eq(m_create(&self, "run"), KEDGE_OK);
    if (!pause_inside(c) || atomic_load(&c->board->flag[DONE]) == 0)
        inconclusive_case("the holder was not stopped where it was meant to");
    expect_eq(atomic_load(&c->board->flag[REFUSED]), 1);
    expect_eq(m_read(&self, "run"), KEDGE_OK);
    crew_judge(c, CREW_UNTIMED);
    world_forget(&self.w);
}

/* -------------------------------------------- a take-over amidst a stream of writes */

enum { TAKEOVERS = 25 };

/* Appends as fast as it can until it is told that the run is not its own. */
static void stream(struct member *m, uint64_t round)
{
    struct crew_board *b = m->crew->board;
    char id[HISTORY_KEY_MAX];
    struct kedge_run_page page;
    uint64_t number = 0;

    expect_eq(m_grant(m, m->crew->ttl), KEDGE_OK);
    expect_eq(m_claim(m, 1, &page), KEDGE_OK);
    expect_eq(page.n, 1);
    (void)snprintf(id, sizeof id, "run %" PRIu64, round);
    while (m_commit(m, id, page.runs[0].fence, number + 1, HISTORY_APPEND) == KEDGE_OK)
        if (++number == 3)
            atomic_store(&b->flag[INSIDE], round);
    if (number >= 3)
        atomic_fetch_add(&b->flag[WRITTEN], 1);
}

static void interrupt(struct member *m, uint64_t round)
{
    struct crew_board *b = m->crew->board;
    char id[HISTORY_KEY_MAX];
    uint64_t fence, position, victim;

    expect_eq(m_grant(m, LONG), KEDGE_OK);
    while (atomic_load(&b->flag[GO]) < round)
        pause_us(50);
    victim = atomic_load(&b->logs[0].owner);
    while (m_bury(m, victim) != KEDGE_OK)
        pause_us(MS(1));
    (void)snprintf(id, sizeof id, "run %" PRIu64, round);
    while (m_take(m, id, &fence, &position) != KEDGE_OK) /* a commit was in between */
        pause_us(10);
    expect_eq(m_commit(m, id, fence, position + 1, HISTORY_REST), KEDGE_OK);
    atomic_store(&b->flag[DONE], round);
}

static void stream_or_interrupt(struct member *m)
{
    for (uint64_t round = 1; round <= TAKEOVERS; round++) {
        while (atomic_load(&m->crew->board->flag[ROUND]) < round)
            pause_us(50);
        if (m->number == 0)
            stream(m, round);
        else
            interrupt(m, round);
        world_forget(&m->w);
    }
}

static void takeover_is_atomic(struct world *w)
{
    struct crew *c = crew_new(w, 2, stream_or_interrupt, ttl_of(w));
    struct member self = crew_self(c);

    crew_start(c);
    for (uint64_t round = 1; round <= TAKEOVERS; round++) {
        char id[HISTORY_KEY_MAX];

        (void)snprintf(id, sizeof id, "run %" PRIu64, round);
        expect_eq(m_create(&self, id), KEDGE_OK);
        atomic_store(&c->board->flag[ROUND], round);
        crew_await(c, INSIDE, round);
        crew_pass(c, c->ttl + MS(1));
        atomic_store(&c->board->flag[GO], round);
        crew_await(c, DONE, round);
        expect_eq(m_read(&self, id), KEDGE_OK);
        world_forget(&self.w);
    }
    crew_end(c);
    if (atomic_load(&c->board->flag[WRITTEN]) != TAKEOVERS)
        inconclusive_case("not every stream was under way when it was interrupted");
    crew_judge(c, CREW_UNTIMED | CREW_DRAINED);
}

const struct contract_case cases_paused[] = {
    { "paused-01", "a lock without its fence lets a stopped holder undo an update, which is seen",
      NEEDS_SHARED | USES_CLOCK, lock_is_not_enough },
    { "paused-02", "the same update under the fence of the lock is not undone",
      NEEDS_SHARED | USES_CLOCK, fence_is_enough },
    { "paused-03", "a holder that was stopped and taken over is refused whatever it does",
      NEEDS_SHARED | USES_CLOCK, all_is_refused },
    { "paused-04", "a take-over splits no stream of writes: none is accepted after it",
      NEEDS_SHARED | USES_CLOCK, takeover_is_atomic },
    { NULL, NULL, 0, NULL },
};
