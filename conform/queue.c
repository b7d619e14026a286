/*
 * queue.c - cases: runs as a queue that several processes work off, some of which are killed
 *
 * A worker claims, appends a record or two, sometimes yields, and puts to rest.  Where it finds
 * nothing to claim it looks for runs whose holder has died, buries it, takes over and goes on.
 */
#include "crew.h"

#include <inttypes.h>

#define LONG    SEC(3000)
#define PATIENT SEC(60) /* for what is left when nobody is killed any more */

enum { RESTED, HELPED };

/* From its position on to the end, or until it is somebody else's. */
static void work(struct member *m, const char *run, uint64_t fence, uint64_t position)
{
    uint32_t steps = 1 + random_below(&m->w, 3);

    for (uint32_t i = 0; i < steps; i++) {
        if (m_commit(m, run, fence, ++position, HISTORY_APPEND) != KEDGE_OK)
            return;
        pause_us(random_below(&m->w, 1000));
    }
    if (random_below(&m->w, 6) == 0) {
        (void)m_commit(m, run, fence, 0, HISTORY_YIELD);
        return;
    }
    if (m_commit(m, run, fence, position + 1, HISTORY_REST) == KEDGE_OK)
        atomic_fetch_add(&m->crew->board->flag[RESTED], 1);
}

static void copy_id(char out[HISTORY_KEY_MAX], struct kedge_bytes id)
{
    (void)snprintf(out, HISTORY_KEY_MAX, "%.*s", (int)id.len, (const char *)id.data);
}

/* How many it got. */
static size_t work_off_some(struct member *m)
{
    struct kedge_run_page page;
    int rc = m_claim(m, 3, &page);

    if (rc == KEDGE_LOST)
        m->owner = 0;
    if (rc != KEDGE_OK)
        return 0;
    for (size_t i = 0; i < page.n; i++) {
        char id[HISTORY_KEY_MAX];

        copy_id(id, page.runs[i].id);
        work(m, id, page.runs[i].fence, page.runs[i].position);
    }
    return page.n;
}

static uint64_t owner_of(const struct member *m, const struct kedge_id128 *lease)
{
    const struct crew_board *b = m->crew->board;

    for (uint64_t i = atomic_load(&m->crew->board->owners); i > 0; i--)
        if (same_id(&b->leases[i], lease))
            return i;
    return 0;
}

/* Runs of the dead: who holds them is buried, if that is permitted. */
static void help(struct member *m)
{
    struct kedge_run_page page;

    if (do_expired(&m->w, none(), 4, &page) != KEDGE_OK)
        return;
    for (size_t i = 0; i < page.n; i++) {
        uint64_t holder = owner_of(m, &page.runs[i].holder), fence, position;
        char id[HISTORY_KEY_MAX];

        if (holder == 0 || holder == m->owner || m_bury(m, holder) != KEDGE_OK)
            continue;
        copy_id(id, page.runs[i].id);
        if (m_take(m, id, &fence, &position) != KEDGE_OK)
            continue;
        atomic_fetch_add(&m->crew->board->flag[HELPED], 1);
        work(m, id, fence, position);
    }
}

static void serve(struct member *m)
{
    while (!crew_stopped(m)) {
        if (m->owner != 0 && m_extend(m) == KEDGE_LOST)
            m->owner = 0;
        if (m->owner == 0)
            (void)m_grant(m, m->crew->ttl);
        if (work_off_some(m) == 0) {
            help(m);
            pause_us(MS(10));
        }
        world_forget(&m->w);
    }
}

static void fill(struct member *self, uint32_t runs)
{
    for (uint32_t i = 0; i < runs; i++) {
        char id[HISTORY_KEY_MAX];

        (void)snprintf(id, sizeof id, "run %" PRIu32, i);
        expect_eq(m_create(self, id), KEDGE_OK);
        world_forget(&self->w);
    }
}

static bool any_unfinished(struct member *self)
{
    struct kedge_list in = { .statuses = KEDGE_STATUSES_UNFINISHED, .limit = 1 };
    struct kedge_run_page page;
    bool any;

    expect_eq(do_list(&self->w, &in, &page), KEDGE_OK);
    any = page.n > 0 || page.next.len > 0;
    world_forget(&self->w);
    return any;
}

/* All is finished, after a while; then everything is read once more, and judged. */
static void drain(struct crew *c, struct member *self, uint32_t runs, uint32_t how)
{
    int64_t until = real_us() + PATIENT;

    while (any_unfinished(self)) {
        if (real_us() > until)
            fail_case(__FILE__, __LINE__, "runs are left which nobody works off");
        pause_us(MS(20));
    }
    crew_end(c);
    for (uint32_t i = 0; i < runs; i++) {
        char id[HISTORY_KEY_MAX];

        (void)snprintf(id, sizeof id, "run %" PRIu32, i);
        expect_eq(m_read(self, id), KEDGE_OK);
        world_forget(&self->w);
    }
    crew_judge(c, how | CREW_DRAINED);
}

static void each_once(struct world *w)
{
    enum { RUNS = 400 };
    struct crew *c = crew_new(w, 16, serve, LONG);
    struct member self = crew_self(c);

    fill(&self, RUNS);
    crew_start(c);
    drain(c, &self, RUNS, CREW_UNTIMED);
    expect_eq(atomic_load(&c->board->flag[RESTED]), RUNS);
}

static void nothing_is_lost_to_kills(struct world *w)
{
    enum { RUNS = 400, KILLS = 40 };
    struct crew *c = crew_new(w, 6, serve, MS(400));
    struct member self = crew_self(c);
    int killed = 0;

    fill(&self, RUNS);
    clock_follow();
    crew_start(c);
    for (int i = 0; i < KILLS && any_unfinished(&self); i++) {
        uint32_t victim = random_below(w, c->n);

        pause_us(MS(4) + random_below(w, MS(20)));
        if (c->pids[victim] == 0)
            continue;
        killed += crew_kill(c, victim);
        crew_replace(c, victim);
    }
    drain(c, &self, RUNS, CREW_UNTIMED);
    note("%d workers were killed, %" PRIu64 " runs taken over", killed,
         atomic_load(&c->board->flag[HELPED]));
    if (killed < 5 || atomic_load(&c->board->flag[HELPED]) < 3)
        inconclusive_case("too few workers were killed while they held a run");
}

const struct contract_case cases_queue[] = {
    { "queue-01", "16 workers finish 400 runs, each handed to one at a time", NEEDS_SHARED,
      each_once },
    { "queue-02", "workers are killed, others bury them and take over: nothing is lost or doubled",
      NEEDS_SHARED, nothing_is_lost_to_kills },
    { NULL, NULL, 0, NULL },
};
