/*
 * clock.c - cases: a worker's own clock decides nothing
 *
 * Where a server has the clock, cases of other areas are run in a process whose own wall clock is
 * an hour ahead or behind, or runs at a tenth of its speed; and calls are made while it jumps
 * about.
 */
#include "cases.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "preload.h"

/* The process's clock, by which it is off and how much slower it runs. */
static struct clock_file *skew(int64_t by, int64_t slow)
{
    struct clock_file *own = preload_clock();
    struct timespec ts;
    time_t shown;

    expect(own != NULL);
    atomic_store(&own->slow, slow);
    atomic_store(&own->since, real_us());
    atomic_store(&own->at, wall_now() + by);
    /* It is what it should be, or the case shows nothing. */
    expect(clock_gettime(CLOCK_REALTIME, &ts) == 0);
    shown = (time_t)((wall_now() + by) / 1000000);
    if (ts.tv_sec < shown - 5 || ts.tv_sec > shown + 5)
        inconclusive_case("this process's clock cannot be moved");
    return own;
}

/* The case of another area. */
static void run_as(struct world *w, const struct contract_case *cases, const char *id)
{
    for (const struct contract_case *c = cases; c->id != NULL; c++)
        if (strcmp(c->id, id) == 0) {
            c->run(w);
            return;
        }
    fail_case(__FILE__, __LINE__, "there is no case %s", id);
}

#define SKEWED(area, number)                                                                       \
    static void ahead_##area##_##number(struct world *w)                                           \
    {                                                                                              \
        (void)skew(SEC(3600), 0);                                                                  \
        run_as(w, cases_##area, #area "-" #number);                                                \
    }                                                                                              \
    static void behind_##area##_##number(struct world *w)                                          \
    {                                                                                              \
        (void)skew(-SEC(3600), 0);                                                                 \
        run_as(w, cases_##area, #area "-" #number);                                                \
    }                                                                                              \
    static void slow_##area##_##number(struct world *w)                                            \
    {                                                                                              \
        (void)skew(0, 10);                                                                         \
        run_as(w, cases_##area, #area "-" #number);                                                \
    }
SKEWED(ttl, 02)
SKEWED(leases, 01)
SKEWED(leases, 05)
SKEWED(locks, 05)
SKEWED(cells, 03)
SKEWED(claim, 01)
SKEWED(claim, 08)
SKEWED(purge, 02)
SKEWED(sweep, 01)

/* -------------------------------------------------------------------- while it jumps */

static atomic_bool jumping;

static void *jump(void *ctx)
{
    struct clock_file *own = ctx;

    for (int64_t by = SEC(3600); atomic_load(&jumping); by = -by) {
        atomic_fetch_add(&own->at, by);
        pause_us(300);
    }
    return NULL;
}

/* A call has so much time, whatever the clock on the wall does meanwhile. */
static void while_it_jumps(struct world *w)
{
    struct clock_file *own = skew(0, 0);
    struct kedge_id128 lease = lease_make(w, SEC(3000));
    struct run r = run_held(w, str("a"), lease);
    struct kedge_lease_state st;
    pthread_t thread;

    atomic_store(&jumping, true);
    expect(pthread_create(&thread, NULL, jump, own) == 0);
    for (int i = 0; i < 300; i++) {
        step(w, &r, "a step");
        expect_ok(do_extend(w, lease, &st));
        expect_eq(st.remaining_us, SEC(3000));
        if (i % 30 == 0)
            world_reopen(w);
        world_forget(w);
    }
    atomic_store(&jumping, false);
    expect(pthread_join(thread, NULL) == 0);
}

#define NEEDS (NEEDS_CLOCK | NEEDS_SERVER | NEEDS_SKEW)
#define ROWS(n1, n2, n3, area, number, what)                                                       \
    { "clock-" n1, what ", with a clock that is an hour ahead", NEEDS, ahead_##area##_##number },  \
        { "clock-" n2, what ", with a clock that is an hour behind", NEEDS,                        \
          behind_##area##_##number },                                                              \
    {                                                                                              \
        "clock-" n3, what ", with a clock that runs at a tenth", NEEDS, slow_##area##_##number     \
    }

const struct contract_case cases_clock[] = {
    ROWS("01", "02", "03", leases, 01, "a lease is granted"),
    ROWS("04", "05", "06", leases, 05, "a lease is extended"),
    ROWS("07", "08", "09", ttl, 02, "a lease lapses"),
    ROWS("10", "11", "12", locks, 05, "a lock is taken over"),
    ROWS("13", "14", "15", cells, 03, "a cell expires"),
    ROWS("16", "17", "18", claim, 01, "a run is not due yet"),
    ROWS("19", "20", "21", claim, 08, "a parked run comes back"),
    ROWS("22", "23", "24", purge, 02, "what has expired is purged"),
    ROWS("25", "26", "27", sweep, 01, "windows are swept once"),
    { "clock-28", "calls take the time they have while the clock jumps by hours", NEEDS,
      while_it_jumps },
    { NULL, NULL, 0, NULL },
};
