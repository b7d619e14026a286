/* upkeep_sweep.c - who is dead is buried, what they held goes on, what has expired is removed */
#include "upkeep.h"

#include <time.h>

enum { MANY = 200 };

static struct kedge_swept swept;

static int sweep_in(struct kedge_store *in, uint32_t flags, uint32_t crash_limit,
                    int64_t timeout_us)
{
    struct kedge_sweep_options options = KEDGE_SWEEP_OPTIONS_INIT;

    options.flags = flags;
    options.crash_limit = crash_limit;
    memset(&swept, 0xff, sizeof swept);
    swept.struct_size = sizeof swept;
    return kedge_store_sweep(in, &options, &swept, timeout_us, &err);
}

static void sweep(uint32_t flags)
{
    must(sweep_in(store, flags, 0, LIVENESS), "sweep");
}

/* Is that what the last one did, with no word of purging? */
static bool did(uint64_t workers, uint64_t buried, uint64_t spared, uint64_t recovered,
                uint64_t stuck)
{
    bool good = swept.struct_size == sizeof swept && swept.workers == workers &&
                swept.buried == buried && swept.spared == spared && swept.recovered == recovered &&
                swept.stuck == stuck;

    if (!good)
        note("workers %llu, buried %llu, spared %llu, recovered %llu, stuck %llu",
             (unsigned long long)swept.workers, (unsigned long long)swept.buried,
             (unsigned long long)swept.spared, (unsigned long long)swept.recovered,
             (unsigned long long)swept.stuck);
    return good;
}

static bool purged_nothing(void)
{
    return swept.runs == 0 && swept.rows == 0;
}

/* -------------------------------------------------------------------- lapsed */

static bool is_due(const char *id, uint32_t status, uint32_t recoveries)
{
    return is_at(id, KEDGE_PLACE_DUE, status) && head(id)->recoveries == recoveries;
}

static void lapsed(void)
{
    static const char *const ids[] = { "lapsed-1", "lapsed-2", "lapsed-3", "loop", "loop-back" };
    struct kedge_id128 lease = grant(1000);
    struct kedge_run_info *info;
    uint64_t revisions[5];
    bool same = true;

    for (int i = 0; i < 5; i++) {
        start(ids[i]);
        hold(ids[i], &lease, 0);
    }
    load("lapsed-3", 4, KEDGE_ROLLING_BACK);
    load("loop", 5, KEDGE_RUNNING);
    load("loop-back", 5, KEDGE_ROLLING_BACK);
    await_lapse(&lease);
    for (int i = 0; i < 5; i++)
        revisions[i] = head(ids[i])->revision;
    sweep(KEDGE_SWEEP_DRY);
    ok(did(1, 1, 0, 4, 1) && purged_nothing(), "a dry sweep tells what a lapsed worker left");
    for (int i = 0; i < 5; i++)
        same &= head(ids[i])->place == KEDGE_PLACE_HELD && head(ids[i])->revision == revisions[i];
    sweep(KEDGE_SWEEP_DRY);
    ok(same && did(1, 1, 0, 4, 1), "and changes nothing, so that the next one tells the same");
    sweep(0);
    ok(did(1, 1, 0, 4, 1), "the sweep does as much");
    ok(is_due("lapsed-1", KEDGE_RUNNING, 1) && is_due("lapsed-2", KEDGE_RUNNING, 1) &&
           is_due("lapsed-3", KEDGE_ROLLING_BACK, 5),
       "what was held is due, and one recovery charged");
    ok(is_due("loop", KEDGE_ROLLING_BACK, 0) && head("loop")->position == 2,
       "after too many of them it is turned back, and a record says so");
    must(kedge_run_get(store, kedge_text("loop-back"), KEDGE_RUN_WANT_RESULT, &info, LIVENESS,
                       &err),
         "get");
    ok(info->status == KEDGE_STUCK && info->records == 3 && is(info->error, "crash loop"),
       "on its way back it is stuck");
    kedge_run_info_free(info);
    sweep(0);
    ok(did(0, 0, 0, 0, 0), "once more: nothing is left to do");
}

static void limits(void)
{
    struct kedge_id128 lease = grant(1000);

    start("limit-1");
    hold("limit-1", &lease, 0);
    load("limit-1", 1, KEDGE_ROLLING_BACK);
    await_lapse(&lease);
    must(sweep_in(store, KEDGE_SWEEP_DRY, 2, LIVENESS), "sweep");
    ok(did(1, 1, 0, 1, 0), "two recoveries are not more than two");
    must(sweep_in(store, KEDGE_SWEEP_DRY, 1, LIVENESS), "sweep");
    ok(did(1, 1, 0, 0, 1), "but more than one, says a dry sweep");
    must(sweep_in(store, 0, 1, LIVENESS), "sweep");
    ok(did(1, 1, 0, 0, 1) && is_at("limit-1", KEDGE_PLACE_REST, KEDGE_STUCK), "and the sweep");
}

/* Its worker is well, and has held it for longer than it said it would. */
static void overdue(void)
{
    struct kedge_id128 lease = grant(HOUR);

    start("overdue");
    hold("overdue", &lease, 1);
    AWAIT((sweep(KEDGE_SWEEP_DRY), swept.recovered) == 1);
    ok(did(1, 0, 0, 1, 0), "a run that is held for too long");
    sweep(0);
    ok(did(1, 0, 0, 1, 0) && is_due("overdue", KEDGE_RUNNING, 1), "is taken from its worker");
    let_go(&lease);
}

static void beside_the_living(void)
{
    struct kedge_worker *workers[2];
    pthread_t threads[2];
    uint64_t fences[2];

    atomic_store(&began, 0);
    atomic_store(&gate, 1);
    for (int i = 0; i < 2; i++) {
        workers[i] = worker_in(i == 0 ? "living-0" : "living-1");
        threads[i] = worker_start(workers[i]);
    }
    start("living-0");
    start("living-1");
    (void)await_count(&began, 2);
    fences[0] = head("living-0")->fence;
    fences[1] = head("living-1")->fence;
    sweep(KEDGE_SWEEP_DRY);
    ok(did(2, 0, 0, 0, 0), "two workers are alive: a dry sweep sees nothing to do");
    sweep(0);
    ok(did(2, 0, 0, 0, 0) && head("living-0")->fence == fences[0] &&
           head("living-1")->fence == fences[1] && head("living-0")->place == KEDGE_PLACE_HELD,
       "and a sweep does nothing");
    atomic_store(&gate, 0);
    kedge_run_info_free(run_await("living-0"));
    kedge_run_info_free(run_await("living-1"));
    ok(atomic_load(&began) == 2, "so that no step runs twice");
    for (int i = 0; i < 2; i++)
        worker_join(workers[i], threads[i]);
}

/* ---------------------------------------------------------- several at a time */

static void *sweep_beside(void *to)
{
    struct kedge_swept *out = to;
    struct kedge_error why;

    out->struct_size = sizeof *out;
    if (kedge_store_sweep(store, NULL, out, LIVENESS, &why) != KEDGE_OK)
        must(why.code, why.msg);
    return NULL;
}

static void at_once(void)
{
    struct kedge_id128 lease = grant(1000);
    struct kedge_swept out[2];
    pthread_t threads[2];
    char id[32];
    bool once = true;

    for (int i = 0; i < MANY; i++) {
        (void)snprintf(id, sizeof id, "many-%d", i);
        start(id);
        hold(id, &lease, 0);
    }
    await_lapse(&lease);
    sweep(KEDGE_SWEEP_DRY);
    ok(did(1, 1, 0, MANY, 0), "a dry sweep counts on over many pages");
    for (int i = 0; i < 2; i++)
        must(pthread_create(&threads[i], NULL, sweep_beside, &out[i]), "a thread");
    for (int i = 0; i < 2; i++)
        (void)pthread_join(threads[i], NULL);
    note("%llu and %llu", (unsigned long long)out[0].recovered,
         (unsigned long long)out[1].recovered);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(id, sizeof id, "many-%d", i);
        once &= is_due(id, KEDGE_RUNNING, 1);
    }
    ok(once && out[0].recovered + out[1].recovered == MANY,
       "of two sweeps at the same time each does a part, and nothing is done twice");
}

/* ------------------------------------------------------------- killed with -9 */

static int64_t real_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* A process that holds N runs of QUEUE, called QUEUE-0 and so on. */
static pid_t victim(const char *queue, int n)
{
    pid_t pid = spawn("--work", queue);
    char id[32];

    for (int i = 0; i < n; i++) {
        (void)snprintf(id, sizeof id, "%s-%d", queue, i);
        start_in(queue, id);
        AWAIT(head(id)->place == KEDGE_PLACE_HELD);
    }
    return pid;
}

static void killed(void)
{
    int64_t began_at;
    struct kedge_worker *worker;

    kill_worker(victim("killed", 3));
    began_at = real_us();
    must(sweep_in(store, 0, 0, 50000), "sweep");
    ok((did(1, 0, 1, 0, 0) && head("killed-0")->place == KEDGE_PLACE_HELD) ||
           real_us() - began_at >= 100000,
       "a worker was killed: a sweep without the time to make sure spares it");
    sweep(KEDGE_SWEEP_DRY);
    ok(did(1, 1, 0, 3, 0) && head("killed-0")->place == KEDGE_PLACE_HELD,
       "a dry one tells what one with time would do");
    sweep(0);
    ok(did(1, 1, 0, 3, 0) && is_due("killed-0", KEDGE_RUNNING, 1) &&
           is_due("killed-2", KEDGE_RUNNING, 1),
       "which it does, and no worker was needed");
    sweep(0);
    ok(did(0, 0, 0, 0, 0), "once");

    kill_worker(victim("again", 1));
    sweep(0);
    ok(did(1, 1, 0, 1, 0) && is_due("again-0", KEDGE_RUNNING, 1),
       "the first look at a dead one is enough, as a sweep waits and looks again");

    atomic_store(&gate, 0);
    worker = worker_in("killed");
    must(kedge_worker_drain(worker, LIVENESS, &err), "drain");
    ok(is_at("killed-1", KEDGE_PLACE_REST, KEDGE_COMPLETED), "the next worker goes on with them");
    kedge_worker_close(worker, LIVENESS);
}

/* Half of them and more: the store takes that for a fault of its own for a time to live. */
static void killed_together(void)
{
    pid_t one = victim("first", 1);
    pid_t two = victim("second", 1);
    struct kedge_id128 leases[2] = { head("first-0")->holder, head("second-0")->holder };

    kill_worker(one);
    kill_worker(two);
    sweep(KEDGE_SWEEP_DRY);
    ok(did(2, 0, 2, 0, 0), "all workers were killed: a dry sweep says that they are spared");
    sweep(0);
    ok(did(2, 0, 2, 0, 0) && head("first-0")->place == KEDGE_PLACE_HELD, "and they are");
    let_go(&leases[0]);
    let_go(&leases[1]);
}

/* -------------------------------------------------------------------- expired */

static void expired(void)
{
    const struct kedge_when now = { 0, KEDGE_IN, 0 };
    struct kedge_id128 lease = grant(HOUR);

    sweep(0); /* what others left */
    rest("expired-1", KEDGE_COMPLETED, now);
    rest("expired-2", KEDGE_FAILED, now);
    rest("expired-3", KEDGE_CANCELLED, (struct kedge_when){ HOUR, KEDGE_IN, 0 });
    sweep(KEDGE_SWEEP_DRY);
    ok(did(1, 0, 0, 0, 0) && purged_nothing(), "a dry sweep removes nothing");
    sweep(0);
    ok(did(1, 0, 0, 0, 0) && swept.runs == 2 && swept.rows >= 2 && is_there("expired-3"),
       "a sweep removes what has expired, so nothing was removed before");
    sweep(0);
    ok(purged_nothing() && verify().faults == 0, "and leaves nothing of it");
    let_go(&lease);
}

/* ------------------------------------------------------------ what goes wrong */

static void refused(void)
{
    struct kedge_sweep_options options = KEDGE_SWEEP_OPTIONS_INIT;
    struct {
        size_t struct_size;
        uint64_t workers;
        uint64_t beyond;
    } old = { 2 * sizeof(uint64_t), 77, 77 };

    ok(kedge_store_sweep(NULL, NULL, NULL, 1, &err) == KEDGE_ERR_INVALID &&
           kedge_store_sweep(store, NULL, NULL, 0, &err) == KEDGE_ERR_INVALID,
       "no store, no time: refused");
    options.flags = 2;
    ok(kedge_store_sweep(store, &options, NULL, LIVENESS, &err) == KEDGE_ERR_INVALID,
       "so are flags that nobody knows");
    options.flags = 0;
    options.struct_size = 4;
    ok(kedge_store_sweep(store, &options, NULL, LIVENESS, &err) == KEDGE_ERR_INVALID,
       "and options that are too short");
    ok(kedge_store_sweep(store, NULL, NULL, LIVENESS, &err) == KEDGE_OK, "no options, no output");
    ok(kedge_store_sweep(store, NULL, (struct kedge_swept *)(void *)&old, LIVENESS, &err) ==
               KEDGE_OK &&
           old.workers == 0 && old.beyond == 77 && old.struct_size == 2 * sizeof(uint64_t),
       "a shorter output is filled as far as it goes");
}

static void fails(void)
{
    struct kedge_store *outer = faulty(wrapped());
    struct kedge_id128 lease = grant(1000);
    struct kedge_id128 other;

    start("fails-1");
    hold("fails-1", &lease, 0);
    await_lapse(&lease);
    fault_plan(FAULT_lease_bury, 1, FAULT_BEFORE);
    ok(sweep_in(outer, 0, 0, LIVENESS) == KEDGE_ERR_UNAVAILABLE && swept.workers == 1 &&
           swept.buried == 0 && fault_hits() == 1,
       "what failed first is the answer");
    other = grant(1000);
    start("fails-2");
    hold("fails-2", &other, 0);
    await_lapse(&other);
    fault_plan(FAULT_purge, 1, FAULT_BEFORE);
    ok(sweep_in(outer, 0, 0, LIVENESS) == KEDGE_ERR_UNAVAILABLE && swept.buried == 1 &&
           is_due("fails-2", KEDGE_RUNNING, 1),
       "and what was done by then is told");
    other = grant(1000);
    start("fails-3");
    hold("fails-3", &other, 0);
    await_lapse(&other);
    fault_plan(FAULT_commit, 1, FAULT_AFTER);
    ok(sweep_in(outer, 0, 0, LIVENESS) == KEDGE_ERR_UNKNOWN && swept.buried == 1 &&
           swept.recovered == 0,
       "a write without an answer is in doubt");
    sweep(0);
    ok(did(0, 0, 0, 0, 0) && is_due("fails-1", KEDGE_RUNNING, 1) &&
           is_due("fails-3", KEDGE_RUNNING, 1),
       "and the next sweep finds that it was done, or does it");
    kedge_store_close(outer);
}

void cases_sweep(void)
{
    lapsed();
    limits();
    overdue();
    beside_the_living();
    at_once();
    if (hinted) {
        killed();
        killed_together();
    }
    expired();
    refused();
    fails();
    (void)verify();
}
