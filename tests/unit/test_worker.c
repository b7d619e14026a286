/* test_worker.c - a worker on a store that fails: answers that never come, reads that do not work
 */
#include <config.h>

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <kedge/backend.h>
#include <kedge/kedge.h>
#include <kedge/testing.h>

#include "src/record.h"
#include "src/store.h"

#define SECOND INT64_C(1000000)

static struct kedge_testing *testing;
static struct kedge_store *store;  /* as it is */
static struct kedge_store *faulty; /* the same, through the table below */
static struct kedge_error err;

static void must(int rc)
{
    ck_assert_msg(rc == KEDGE_OK, "%s: %s", kedge_status_name(rc), rc < 0 ? err.msg : "");
}

static void nap(int64_t us)
{
    struct timespec ts = { us / SECOND, us % SECOND * 1000 };

    (void)nanosleep(&ts, NULL);
}

/* ------------------------------------------------------------- the faulty store */

enum { COMMIT, CLAIM, GRANT, RETRIEVE, LIST_HELD, REVOKE, N_OPS };

/* What comes next of an operation: how many calls go through, then how many fail, and how. */
struct plan {
    atomic_int pass;
    atomic_int fail;
    atomic_int rc;
    atomic_int effect; /* carried out all the same */
    atomic_int calls;
    atomic_int failed;
};
static struct plan plans[N_OPS];
static const struct kedge_backend_ops *real;
static struct kedge_registered registered;
static struct kedge_id128 last_claim;
static atomic_int claims_repeated; /* by the id of the last claim */

static void plan(int op, int pass, int fail, int rc, int effect)
{
    atomic_store(&plans[op].rc, rc);
    atomic_store(&plans[op].effect, effect);
    atomic_store(&plans[op].pass, pass);
    atomic_store(&plans[op].fail, fail);
}

/* Does this call fail? */
static int fails(int op)
{
    atomic_fetch_add(&plans[op].calls, 1);
    if (atomic_load(&plans[op].fail) == 0 || atomic_fetch_sub(&plans[op].pass, 1) > 0)
        return 0;
    atomic_fetch_sub(&plans[op].fail, 1);
    atomic_fetch_add(&plans[op].failed, 1);
    return 1;
}

static int planned(int op, struct kedge_error *e)
{
    return kedge_error_set(e, atomic_load(&plans[op].rc), 0, "planned");
}

static uint64_t commit_most; /* bytes of the records of a commit; 0: what the store takes */

/* Commits that are too big are refused as the store would. */
static int commit_sized(void *s, const struct kedge_commit *commits, size_t n,
                        struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *e)
{
    for (size_t i = 0; i < n && commit_most > 0; i++) {
        uint64_t bytes = 0;

        for (size_t j = 0; j < commits[i].n_changes; j++)
            for (size_t k = 0;
                 commits[i].changes[j].kind == KEDGE_APPEND && k < commits[i].changes[j].append.n;
                 k++)
                bytes += commits[i].changes[j].append.records[k].len;
        if (bytes > commit_most) {
            for (size_t j = 0; j < n; j++)
                answers[j] = (struct kedge_answer){ .outcome = KEDGE_ERR_TOO_BIG };
            return KEDGE_OK;
        }
    }
    return real->commit(s, commits, n, answers, timeout_us, e);
}

static void (*during_commit)(void); /* called within the call; NULL: nothing */

static atomic_int refuse_after; /* what the next call answers after one that failed */

static int faulty_commit(void *s, const struct kedge_commit *commits, size_t n,
                         struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *e)
{
    int rc = KEDGE_OK;

    if (during_commit != NULL)
        during_commit();
    if (!fails(COMMIT))
        return commit_sized(s, commits, n, answers, timeout_us, e);
    if (atomic_load(&plans[COMMIT].effect))
        rc = real->commit(s, commits, n, answers, timeout_us, e);
    ck_assert_int_eq(rc, KEDGE_OK);
    for (size_t i = 0; i < n; i++)
        answers[i] = (struct kedge_answer){ .outcome = atomic_load(&plans[COMMIT].rc) };
    if (atomic_load(&refuse_after) != 0)
        plan(COMMIT, 0, 1, atomic_exchange(&refuse_after, 0), 0);
    return KEDGE_OK;
}

static int faulty_claim(void *s, const struct kedge_claim *in, struct kedge_run_page *out,
                        int64_t timeout_us, struct kedge_error *e)
{
    if (memcmp(&in->request, &last_claim, sizeof last_claim) == 0)
        atomic_fetch_add(&claims_repeated, 1);
    last_claim = in->request;
    if (!fails(CLAIM))
        return real->claim(s, in, out, timeout_us, e);
    if (atomic_load(&plans[CLAIM].effect)) {
        struct kedge_run_page lost = { 0 };

        if (real->claim(s, in, &lost, timeout_us, e) == KEDGE_OK)
            kedge_mem_free(kedge_store_host(store), lost.mem);
    }
    return planned(CLAIM, e);
}

static int faulty_grant(void *s, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                        int64_t timeout_us, struct kedge_error *e)
{
    struct kedge_lease_state lost;

    if (!fails(GRANT))
        return real->lease_grant(s, in, out, timeout_us, e);
    if (atomic_load(&plans[GRANT].effect))
        (void)real->lease_grant(s, in, &lost, timeout_us, e);
    return planned(GRANT, e);
}

static int faulty_retrieve(void *s, const struct kedge_retrieve *in, struct kedge_run_state *out,
                           int64_t timeout_us, struct kedge_error *e)
{
    return fails(RETRIEVE) ? planned(RETRIEVE, e) : real->retrieve(s, in, out, timeout_us, e);
}

static int faulty_list_held(void *s, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                            size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                            struct kedge_error *e)
{
    return fails(LIST_HELD) ? planned(LIST_HELD, e)
                            : real->list_held(s, lease, cursor, limit, out, timeout_us, e);
}

static int faulty_revoke(void *s, const struct kedge_id128 *lease, int64_t timeout_us,
                         struct kedge_error *e)
{
    return fails(REVOKE) ? planned(REVOKE, e) : real->lease_revoke(s, lease, timeout_us, e);
}

static void not_closed(void *handle)
{
    (void)handle; /* it is the other store's */
}

/* Complaints about a store that takes nothing: how many, and the last one. */
static atomic_int complaints;
static char complaint[512];

static void note_log(void *ctx, int level, const char *text)
{
    (void)ctx;
    (void)level;
    if (strstr(text, "does not take commits") == NULL)
        return;
    (void)snprintf(complaint, sizeof complaint, "%s", text);
    atomic_fetch_add(&complaints, 1);
}

static void wrap(void)
{
    struct kedge_backend *be = &registered.backend;

    memset(plans, 0, sizeof plans);
    real = kedge_store_ops(store);
    be->ops = *real;
    be->limits = *real->limits;
    be->ops.limits = &be->limits;
    be->ops.commit = faulty_commit;
    be->ops.claim = faulty_claim;
    be->ops.lease_grant = faulty_grant;
    be->ops.retrieve = faulty_retrieve;
    be->ops.list_held = faulty_list_held;
    be->ops.lease_revoke = faulty_revoke;
    be->ops.store_close = not_closed;
    must(kedge_store_wrap(&registered, kedge_store_handle(store), store, &faulty, &err));
}

static void setup_on(const char *url)
{
    memset(&err, 0, sizeof err);
    must(kedge_testing_open(url, &testing, &err));
    must(kedge_testing_store(testing, &store, &err));
    wrap();
}

/* With a log that is looked at. */
static void setup_logged(void)
{
    static struct kedge_host host;
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    host = *kedge_host_default();
    host.log = note_log;
    atomic_store(&complaints, 0);
    testing = NULL;
    options.flags = KEDGE_STORE_CREATE;
    options.host = &host;
    must(kedge_store_open("mem:", &options, &store, &err));
    wrap();
}

static void setup(void)
{
    setup_on("mem:"); /* its own clock: a failed call is tried again by it */
}

static void teardown(void)
{
    kedge_store_close(faulty);
    kedge_store_close(store);
    kedge_testing_close(testing);
}

/* --------------------------------------------------------------- sagas and workers */

static atomic_int ran[8];
static atomic_int doubts;

static int run_it(struct kedge_step *step, void *user)
{
    (void)user;
    atomic_fetch_add(&ran[kedge_step_view(step)->step[0] - 'a'], 1);
    if ((kedge_step_view(step)->flags & KEDGE_STEP_IN_DOUBT) != 0)
        atomic_fetch_add(&doubts, 1);
    return kedge_ok(step, NULL, 0);
}

static const char *const after_a[] = { "a", NULL };
static const struct kedge_step_def chain[] = {
    { .name = "a", .run = run_it },
    { .name = "b", .run = run_it, .after = after_a },
};

static struct kedge_reactor *reactor_of(const struct kedge_step_def *steps, size_t n)
{
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("chain", 1, chain);
    struct kedge_reactor *reactor;

    for (size_t i = 0; i < 8; i++)
        atomic_store(&ran[i], 0);
    atomic_store(&doubts, 0);
    def.steps = steps;
    def.n_steps = n;
    must(kedge_reactor_new(&def, &reactor, &err));
    return reactor;
}

static struct kedge_worker *worker_on(struct kedge_store *on, const struct kedge_reactor *reactor,
                                      int64_t ttl_us)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;

    options.reactors = &reactor;
    options.n_reactors = 1;
    options.lease_ttl_us = ttl_us;
    must(kedge_worker_open(on, &options, &worker, &err));
    return worker;
}

static void start(const char *id)
{
    struct kedge_run_start run = KEDGE_START_INIT;

    run.reactor = "chain";
    run.version = 1;
    run.id = kedge_text(id);
    must(kedge_start(store, &run, SECOND, &err));
}

static struct kedge_run_info *info_of(const char *id)
{
    struct kedge_run_info *info;

    must(kedge_run_get(store, kedge_text(id), 0, &info, SECOND, &err));
    return info;
}

static uint32_t place_of(const char *id)
{
    struct kedge_run_info *info = info_of(id);
    uint32_t place = info->place;

    kedge_run_info_free(info);
    return place;
}

/* Work until the run is at rest; a bound of 60 seconds. */
static void work_until_rest(struct kedge_worker *worker, const char *id)
{
    for (int i = 0; i < 6000 && place_of(id) != KEDGE_PLACE_REST; i++) {
        (void)kedge_worker_drain(worker, SECOND / 10, &err);
        nap(10000);
    }
    ck_assert_uint_eq(place_of(id), KEDGE_PLACE_REST);
}

/* ---------------------------------------------------------- what is held, and known */

START_TEST(a_run_that_could_not_be_read_is_taken_again)
{
    struct kedge_reactor *reactor = reactor_of(chain, 2);
    struct kedge_worker *worker = worker_on(faulty, reactor, 60 * SECOND);
    struct kedge_run_info *info;

    start("r");
    plan(RETRIEVE, 0, 1, KEDGE_ERR_UNAVAILABLE, 0);
    work_until_rest(worker, "r");
    info = info_of("r");
    ck_assert_uint_eq(info->status, KEDGE_COMPLETED);
    ck_assert_uint_eq(info->recoveries, 0);
    kedge_run_info_free(info);
    ck_assert_int_eq(atomic_load(&plans[RETRIEVE].failed), 1);
    ck_assert_int_eq(atomic_load(&ran[0]), 1);
    ck_assert_int_eq(atomic_load(&doubts), 0);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
}
END_TEST

/* What the same record says to everybody is not asked all the time. */
START_TEST(an_unreadable_run_is_tried_once_per_ttl)
{
    struct kedge_reactor *reactor = reactor_of(chain, 2);
    struct kedge_worker *worker = worker_on(faulty, reactor, SECOND);

    start("r");
    start("other");
    plan(RETRIEVE, 0, 2, KEDGE_ERR_CORRUPT, 0);
    (void)kedge_worker_drain(worker, SECOND / 5, &err);
    ck_assert_int_eq(atomic_load(&plans[RETRIEVE].failed), 2);
    work_until_rest(worker, "r");
    work_until_rest(worker, "other");
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
}
END_TEST

START_TEST(a_claim_without_an_answer_is_sent_again_as_it_was)
{
    struct kedge_reactor *reactor = reactor_of(chain, 2);
    struct kedge_worker *worker = worker_on(faulty, reactor, 60 * SECOND);
    int before;

    start("r");
    atomic_store(&claims_repeated, 0);
    plan(CLAIM, 0, 5, KEDGE_ERR_UNKNOWN, 1);
    work_until_rest(worker, "r");
    ck_assert_int_ge(atomic_load(&claims_repeated), 5);
    ck_assert_int_eq(atomic_load(&ran[0]), 1);
    ck_assert_int_eq(atomic_load(&ran[1]), 1);
    /* and what fails fast is not asked as fast as it fails */
    plan(CLAIM, 0, 1000000, KEDGE_ERR_UNKNOWN, 0);
    before = atomic_load(&plans[CLAIM].calls);
    (void)kedge_worker_drain(worker, SECOND / 5, &err);
    ck_assert_int_lt(atomic_load(&plans[CLAIM].calls) - before, 100);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
}
END_TEST

START_TEST(a_grant_without_an_answer_is_sent_again)
{
    struct kedge_reactor *reactor = reactor_of(chain, 2);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;

    plan(GRANT, 0, 3, KEDGE_ERR_UNKNOWN, 1);
    worker = worker_on(faulty, reactor, 60 * SECOND);
    ck_assert_int_eq(atomic_load(&plans[GRANT].calls), 4);
    start("r");
    work_until_rest(worker, "r");
    kedge_worker_close(worker, 0);
    /* not for ever */
    options.reactors = (const struct kedge_reactor *const *)&reactor;
    options.n_reactors = 1;
    options.timeout_us = SECOND / 5;
    plan(GRANT, 0, 1000000, KEDGE_ERR_UNKNOWN, 0);
    ck_assert_int_eq(kedge_worker_open(faulty, &options, &worker, &err), KEDGE_ERR_UNKNOWN);
    ck_assert_int_lt(atomic_load(&plans[GRANT].calls), 100);
    kedge_reactor_free(reactor);
}
END_TEST

/* A step that waits until it is told: meanwhile somebody else gets the run. */
static atomic_int asked;
static atomic_int let_go;
static int wait_here(struct kedge_step *step, void *user)
{
    (void)user;
    atomic_fetch_add(&asked, 1);
    for (int i = 0; i < 6000 && !kedge_step_stopping(step) && !atomic_load(&let_go); i++)
        nap(10000);
    return run_it(step, NULL);
}

static atomic_int runs_lost;
static void observe(void *ctx, const struct kedge_event *event)
{
    (void)ctx;
    if (event->kind == KEDGE_EVENT_RUN_LOST)
        atomic_fetch_add(&runs_lost, 1);
}

/* By an operator, or a bug: whoever it was, the worker must not go on as if it had the run. */
static void take_away(const char *id)
{
    struct kedge_run_info *info = info_of(id);
    struct kedge_guard guard = { .kind = KEDGE_GUARD_HELD, .name = kedge_text(id) };
    struct kedge_change change = { .kind = KEDGE_RELEASE, .name = kedge_text(id) };
    struct kedge_commit commit = {
        .request = { { 7 } }, .guards = &guard, .n_guards = 1, .changes = &change, .n_changes = 1
    };
    struct kedge_answer answer;
    void *session;

    memcpy(guard.lease.b, info->holder, sizeof guard.lease.b);
    guard.number = info->fence;
    change.release.place = KEDGE_PLACE_DUE;
    change.release.when = (struct kedge_when){ 3600 * SECOND, KEDGE_IN, 0 };
    must(real->session_open(kedge_store_handle(store), &session, &err));
    must(real->commit(session, &commit, 1, &answer, SECOND, &err));
    must(answer.outcome);
    real->session_close(session);
    kedge_run_info_free(info);
}

START_TEST(a_run_that_is_not_held_any_more_is_let_go)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = wait_here, .flags = KEDGE_STEP_POOL },
    };
    struct kedge_reactor *reactor = reactor_of(steps, 1);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;

    atomic_store(&asked, 0);
    atomic_store(&let_go, 0);
    atomic_store(&runs_lost, 0);
    options.reactors = (const struct kedge_reactor *const *)&reactor;
    options.n_reactors = 1;
    options.lease_ttl_us = SECOND;
    options.observe = observe;
    must(kedge_worker_open(faulty, &options, &worker, &err));
    start("r");
    for (int i = 0; i < 600 && atomic_load(&asked) == 0; i++)
        (void)kedge_worker_drain(worker, SECOND / 10, &err);
    take_away("r");
    for (int i = 0; i < 600 && atomic_load(&runs_lost) == 0; i++)
        (void)kedge_worker_drain(worker, SECOND / 10, &err);
    atomic_store(&let_go, 1);
    ck_assert_int_eq(atomic_load(&runs_lost), 1);
    ck_assert_uint_eq(place_of("r"), KEDGE_PLACE_DUE);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
}
END_TEST

/* ------------------------------------------------------------- commits in doubt */

/* The commit took place, nobody heard of it, and a store that forgets says no to its repetition. */
START_TEST(a_refused_repetition_is_checked_by_reading)
{
    struct kedge_reactor *reactor = reactor_of(chain, 2);

    for (int nth = 0; nth < 2; nth++) {
        struct kedge_worker *worker = worker_on(faulty, reactor, 60 * SECOND);
        char id[2] = { (char)('r' + nth), '\0' };

        start(id);
        atomic_store(&runs_lost, 0);
        plan(COMMIT, nth, 1, KEDGE_ERR_UNKNOWN, 1);
        atomic_store(&refuse_after, KEDGE_STALE);
        work_until_rest(worker, id);
        ck_assert_int_eq(atomic_load(&plans[COMMIT].failed), 2 * (nth + 1));
        ck_assert_int_eq(atomic_load(&ran[0]), nth + 1);
        ck_assert_int_eq(atomic_load(&ran[1]), nth + 1);
        kedge_worker_close(worker, 0);
    }
    kedge_reactor_free(reactor);
}
END_TEST

/* Refused because it did not take place: the run has gone. */
START_TEST(a_refused_repetition_may_be_right)
{
    struct kedge_reactor *reactor = reactor_of(chain, 2);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;

    atomic_store(&runs_lost, 0);
    options.reactors = (const struct kedge_reactor *const *)&reactor;
    options.n_reactors = 1;
    options.observe = observe;
    must(kedge_worker_open(faulty, &options, &worker, &err));
    start("r");
    plan(COMMIT, 0, 1, KEDGE_ERR_UNKNOWN, 0);
    atomic_store(&refuse_after, KEDGE_STALE);
    for (int i = 0; i < 600 && atomic_load(&runs_lost) == 0; i++)
        (void)kedge_worker_drain(worker, SECOND / 10, &err);
    ck_assert_int_eq(atomic_load(&runs_lost), 1);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
}
END_TEST

/* -------------------------------------------------------------------- closing */

/* The record of a step that ran can be sent again when the worker is closed. */
START_TEST(what_is_in_doubt_is_sent_once_more_at_the_end)
{
    struct kedge_reactor *reactor = reactor_of(chain, 2);
    struct kedge_worker *worker = worker_on(faulty, reactor, 60 * SECOND);

    start("r");
    plan(COMMIT, 0, 1000000, KEDGE_ERR_UNAVAILABLE, 0);
    (void)kedge_worker_drain(worker, 2 * SECOND, &err); /* long waits by then */
    ck_assert_int_eq(atomic_load(&ran[0]), 1);
    plan(COMMIT, 0, 0, 0, 0);
    kedge_worker_close(worker, 0);
    ck_assert_uint_eq(place_of("r"), KEDGE_PLACE_DUE);
    worker = worker_on(store, reactor, 60 * SECOND);
    work_until_rest(worker, "r");
    ck_assert_int_eq(atomic_load(&ran[0]), 1);
    ck_assert_int_eq(atomic_load(&doubts), 0);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
}
END_TEST

/* If it cannot, the step runs again, and must be told that it may have run. */
START_TEST(what_could_not_be_said_leaves_a_doubt)
{
    struct kedge_reactor *reactor = reactor_of(chain, 2);
    struct kedge_worker *worker = worker_on(faulty, reactor, SECOND);

    start("r");
    plan(COMMIT, 0, 1000000, KEDGE_ERR_UNAVAILABLE, 0);
    (void)kedge_worker_drain(worker, SECOND / 5, &err);
    ck_assert_int_eq(atomic_load(&ran[0]), 1);
    kedge_worker_close(worker, 0);
    worker = worker_on(store, reactor, SECOND);
    work_until_rest(worker, "r");
    ck_assert_int_eq(atomic_load(&ran[0]), 2);
    ck_assert_int_eq(atomic_load(&doubts), 1);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
}
END_TEST

/* A store that stays away does not keep a worker that is to stop. */
START_TEST(a_stop_does_not_wait_for_ever)
{
    struct kedge_reactor *reactor = reactor_of(chain, 2);
    const struct kedge_reactor *reactors[] = { reactor };
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;
    int rc = KEDGE_OK;

    options.reactors = reactors;
    options.n_reactors = 1;
    options.lease_ttl_us = SECOND;
    options.timeout_us = SECOND / 5;
    for (int turns = 0; turns < 2; turns++) {
        must(kedge_worker_open(faulty, &options, &worker, &err));
        start(turns ? "turned" : "run");
        plan(COMMIT, 0, 1000000, KEDGE_ERR_UNAVAILABLE, 0);
        (void)kedge_worker_drain(worker, SECOND / 5, &err);
        ck_assert_int_ge(atomic_load(&ran[0]), turns + 1);
        kedge_worker_stop(worker);
        rc = turns ? KEDGE_OK : kedge_worker_run(worker, &err);
        for (int i = 0; turns && i < 6000 && rc == KEDGE_OK; i++) {
            rc = kedge_worker_turn(worker, &err);
            nap(10000);
        }
        ck_assert_int_eq(rc, turns ? KEDGE_QUIET : KEDGE_OK);
        kedge_worker_close(worker, 0);
        plan(COMMIT, 0, 0, 0, 0);
    }
    worker = worker_on(store, reactor, SECOND);
    work_until_rest(worker, "run");
    work_until_rest(worker, "turned");
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
}
END_TEST

/* One that is away comes back by itself; that it is full somebody must hear. */
START_TEST(that_it_is_full_is_told_once_whatever_was_before)
{
    struct kedge_reactor *reactor = reactor_of(chain, 2);
    struct kedge_worker *worker = worker_on(faulty, reactor, 60 * SECOND);

    start("r");
    plan(COMMIT, 0, 1000000, KEDGE_ERR_UNAVAILABLE, 0);
    (void)kedge_worker_drain(worker, SECOND / 5, &err);
    ck_assert_int_eq(atomic_load(&complaints), 1);
    ck_assert_ptr_nonnull(strstr(complaint, "not reachable now"));
    for (int i = 0; i < 2; i++) {
        plan(COMMIT, 0, 1000000, i == 0 ? KEDGE_ERR_FULL : KEDGE_ERR_UNAVAILABLE, 0);
        for (int j = 0; j < 600 && atomic_load(&complaints) < 2; j++)
            (void)kedge_worker_drain(worker, SECOND / 10, &err);
        ck_assert_int_eq(atomic_load(&complaints), 2);
        ck_assert_ptr_nonnull(strstr(complaint, "the store is full"));
    }
    plan(COMMIT, 0, 0, 0, 0);
    work_until_rest(worker, "r");
    ck_assert_int_eq(atomic_load(&ran[0]), 1);
    ck_assert_int_eq(atomic_load(&complaints), 2);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
}
END_TEST

/* --------------------------------------------------------------------- memory */

/* A host that counts what is there, that runs out at times, and whose clock is moved by hand. */
static atomic_long blocks;
static atomic_long fail_at; /* allocations until one fails; 0: none */
static _Atomic int64_t clock_now;

static void *counted_alloc(void *ctx, size_t size)
{
    void *p;

    (void)ctx;
    if (atomic_load(&fail_at) > 0 && atomic_fetch_sub(&fail_at, 1) == 1)
        return NULL;
    p = malloc(size);
    if (p != NULL)
        atomic_fetch_add(&blocks, 1);
    return p;
}

static void counted_release(void *ctx, void *p)
{
    (void)ctx;
    if (p != NULL)
        atomic_fetch_sub(&blocks, 1);
    free(p);
}

static int64_t counted_clock(void *ctx, uint32_t which)
{
    (void)ctx;
    (void)which;
    return atomic_load(&clock_now);
}

static struct kedge_host counted_host;

static void open_counted(void)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    counted_host = *kedge_host_default();
    counted_host.alloc = counted_alloc;
    counted_host.release = counted_release;
    counted_host.clock_us = counted_clock;
    atomic_store(&clock_now, 1577836800 * SECOND);
    atomic_store(&fail_at, 0);
    options.flags = KEDGE_STORE_CREATE;
    options.host = &counted_host;
    must(kedge_store_open("mem:", &options, &store, &err));
}

static int fail_last(struct kedge_step *step, void *user)
{
    (void)user;
    atomic_fetch_add(&ran[2], 1);
    return kedge_fail(step, KEDGE_FAIL_FINAL, "no money");
}

static int undo_it(struct kedge_step *step, void *user)
{
    struct kedge_bytes value;

    (void)user;
    must(kedge_step_result(step, "b", &value, &err));
    atomic_fetch_add(&ran[3], 1);
    return kedge_ok(step, NULL, 0);
}

static const char *const after_b[] = { "b", NULL };
static const struct kedge_step_def back[] = {
    { .name = "a", .run = run_it },
    { .name = "b", .run = run_it, .undo = undo_it, .after = after_a },
    { .name = "c", .run = fail_last, .after = after_b },
};

static uint64_t ended(const struct kedge_worker *worker)
{
    struct kedge_counts stats = { .struct_size = sizeof stats };

    kedge_worker_stats(worker, &stats);
    return stats.runs_ended;
}

/* The K-th allocation fails; everything goes on in time, and nothing is lost or left. */
START_TEST(memory_may_run_out_at_any_moment)
{
    struct kedge_reactor *reactor = reactor_of(back, 3);
    long used = 1;

    for (long k = 1; used > 0; k++) {
        struct kedge_worker *worker;
        struct kedge_run_info *info;

        open_counted();
        for (int i = 0; i < 4; i++)
            atomic_store(&ran[i], 0);
        start("r");
        worker = worker_on(store, reactor, 60 * SECOND);
        atomic_store(&fail_at, k);
        for (int i = 0; i < 60 && ended(worker) == 0; i++) {
            (void)kedge_worker_drain(worker, 20000, &err);
            atomic_fetch_add(&clock_now, SECOND);
        }
        used = atomic_load(&fail_at) == 0;
        atomic_store(&fail_at, 0);
        for (int i = 0; i < 200 && place_of("r") != KEDGE_PLACE_REST; i++) {
            (void)kedge_worker_drain(worker, 20000, &err);
            atomic_fetch_add(&clock_now, SECOND);
        }
        info = info_of("r");
        ck_assert_msg(info->status == KEDGE_FAILED, "allocation %ld: %s", k,
                      kedge_run_status_text(info->status));
        kedge_run_info_free(info);
        for (int i = 0; i < 4; i++)
            ck_assert_msg(ran[i] >= 1 && ran[i] <= 2, "allocation %ld: step %d ran %d times", k, i,
                          ran[i]);
        kedge_worker_close(worker, 0);
        kedge_store_close(store);
        ck_assert_msg(atomic_load(&blocks) == 0, "allocation %ld: %ld blocks are left", k,
                      atomic_load(&blocks));
    }
    kedge_reactor_free(reactor);
}
END_TEST

/* Its run goes while its function is being called, which then says "later". */
static int later_then(struct kedge_step *step, void *user)
{
    uint64_t token;

    (void)user;
    (void)kedge_later(step, &token);
    atomic_fetch_add(&asked, 1);
    for (int i = 0; i < 6000 && !kedge_step_stopping(step); i++)
        nap(10000);
    return 0;
}

START_TEST(a_later_step_whose_run_goes_leaves_nothing)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = later_then, .flags = KEDGE_STEP_POOL },
    };
    struct kedge_reactor *reactor = reactor_of(steps, 1);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;

    open_counted();
    real = kedge_store_ops(store);
    atomic_store(&asked, 0);
    atomic_store(&runs_lost, 0);
    options.reactors = (const struct kedge_reactor *const *)&reactor;
    options.n_reactors = 1;
    options.lease_ttl_us = 10 * SECOND;
    options.observe = observe;
    must(kedge_worker_open(store, &options, &worker, &err));
    start("r");
    for (int i = 0; i < 600 && atomic_load(&asked) == 0; i++)
        (void)kedge_worker_drain(worker, SECOND / 10, &err);
    take_away("r");
    for (int i = 0; i < 600 && atomic_load(&runs_lost) == 0; i++) {
        atomic_fetch_add(&clock_now, SECOND);
        (void)kedge_worker_drain(worker, SECOND / 50, &err);
    }
    ck_assert_int_eq(atomic_load(&runs_lost), 1);
    kedge_worker_close(worker, 0);
    kedge_store_close(store);
    ck_assert_int_eq(atomic_load(&blocks), 0);
    kedge_reactor_free(reactor);
}
END_TEST

/* -------------------------------------------------------------------- sleeping */

static void *run_worker(void *arg)
{
    struct kedge_error why;

    ck_assert_int_eq(kedge_worker_run(arg, &why), KEDGE_OK);
    return NULL;
}

/* The loop sleeps when a pool thread finds the store away; somebody has to come back to it. */
START_TEST(a_pool_step_is_sent_again_though_the_loop_sleeps)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = wait_here, .flags = KEDGE_STEP_POOL },
    };
    struct kedge_reactor *reactor = reactor_of(steps, 1);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;
    struct kedge_run_info *info;
    pthread_t thread;

    atomic_store(&asked, 0);
    atomic_store(&let_go, 0);
    options.reactors = (const struct kedge_reactor *const *)&reactor;
    options.n_reactors = 1;
    options.lease_ttl_us = 600 * SECOND; /* neither this nor a look wakes it */
    options.look_us = 600 * SECOND;
    must(kedge_worker_open(faulty, &options, &worker, &err));
    start("r");
    ck_assert_int_eq(pthread_create(&thread, NULL, run_worker, worker), 0);
    for (int i = 0; i < 6000 && atomic_load(&asked) == 0; i++)
        nap(10000);
    nap(SECOND / 5); /* the loop has gone to sleep by then, which makes the test sharper */
    plan(COMMIT, 0, 2, KEDGE_ERR_UNAVAILABLE, 0);
    atomic_store(&let_go, 1);
    must(kedge_run_wait(store, kedge_text("r"), &info, 30 * SECOND, &err));
    ck_assert_uint_eq(info->status, KEDGE_COMPLETED);
    kedge_run_info_free(info);
    kedge_worker_stop(worker);
    (void)pthread_join(thread, NULL);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
}
END_TEST

/* Outcomes that come while the store is busy, one after the other. */
static struct kedge_worker *busy_worker;
static pthread_t busy_loop; /* whose turns are counted */
static pthread_mutex_t token_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t tokens[4];
static int n_tokens;
static atomic_int loop_commits;
static atomic_int busy;

static int say_later(struct kedge_step *step, void *user)
{
    int rc;

    (void)user;
    (void)pthread_mutex_lock(&token_lock);
    rc = kedge_later(step, &tokens[n_tokens++]);
    (void)pthread_mutex_unlock(&token_lock);
    return rc;
}

/* Settle a step if there is one that waits for it. */
static int settle_one(void)
{
    struct kedge_outcome done = { sizeof done, KEDGE_OUTCOME_OK, 0, { NULL, 0 }, NULL, 0 };
    uint64_t token = 0;
    int found;

    (void)pthread_mutex_lock(&token_lock);
    found = n_tokens > 0;
    if (found)
        token = tokens[--n_tokens];
    (void)pthread_mutex_unlock(&token_lock);
    if (found)
        ck_assert_int_eq(kedge_settle(busy_worker, token, &done, NULL), KEDGE_OK);
    return found;
}

/* While the store is busy with one run, the other's step ends: so there is always more. */
static void settle_meanwhile(void)
{
    if (atomic_load(&busy) && pthread_equal(pthread_self(), busy_loop))
        atomic_fetch_add(&loop_commits, 1);
    for (int i = 0; i < 10000 && atomic_load(&busy) && !settle_one(); i++)
        nap(1000);
}

static int waiting_tokens(void)
{
    int n;

    (void)pthread_mutex_lock(&token_lock);
    n = n_tokens;
    (void)pthread_mutex_unlock(&token_lock);
    return n;
}

/* A foreign loop has other things to do. */
START_TEST(a_turn_ends_though_the_pool_is_never_idle)
{
    static const char *const after[] = { "a",  NULL, "b",  NULL, "c",  NULL, "d",
                                         NULL, "e",  NULL, "f",  NULL, "g",  NULL };
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
    struct kedge_step_def steps[8];
    struct kedge_reactor *reactor;

    memset(steps, 0, sizeof steps);
    for (size_t i = 0; i < 8; i++) {
        steps[i].name = names[i];
        steps[i].run = say_later;
        steps[i].flags = KEDGE_STEP_POOL;
        steps[i].after = i > 0 ? &after[2 * (i - 1)] : NULL;
    }
    reactor = reactor_of(steps, 8);
    during_commit = settle_meanwhile;
    busy_worker = worker_on(faulty, reactor, 60 * SECOND);
    busy_loop = pthread_self();
    start("r");
    start("s");
    for (int i = 0; i < 6000 && waiting_tokens() < 2; i++) {
        must(kedge_worker_turn(busy_worker, &err));
        nap(10000);
    }
    atomic_store(&busy, 1);
    ck_assert(settle_one());
    must(kedge_worker_turn(busy_worker, &err));
    atomic_store(&busy, 0);
    ck_assert_int_le(atomic_load(&loop_commits), 2);
    for (int i = 0; i < 6000 && place_of("r") + place_of("s") != 2 * KEDGE_PLACE_REST; i++) {
        (void)settle_one();
        must(kedge_worker_turn(busy_worker, &err));
        nap(1000);
    }
    ck_assert_uint_eq(place_of("r"), KEDGE_PLACE_REST);
    ck_assert_uint_eq(place_of("s"), KEDGE_PLACE_REST);
    kedge_worker_close(busy_worker, 0);
    during_commit = NULL;
    kedge_reactor_free(reactor);
}
END_TEST

/* ---------------------------------------------------------------------- sizes */

static int say_much(struct kedge_step *step, void *user)
{
    char text[2000];

    (void)user;
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    atomic_fetch_add(&ran[kedge_step_view(step)->step[0] - 'a'], 1);
    return kedge_ok(step, text, sizeof text);
}

/* More values at once than one commit may have go in several. */
START_TEST(a_commit_is_not_larger_than_the_store_takes)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = say_much }, { .name = "b", .run = say_much },
        { .name = "c", .run = say_much }, { .name = "d", .run = say_much },
        { .name = "e", .run = say_much }, { .name = "f", .run = say_much },
        { .name = "g", .run = say_much }, { .name = "h", .run = say_much },
    };
    struct kedge_reactor *reactor = reactor_of(steps, 8);
    struct kedge_worker *worker;

    commit_most = registered.backend.limits.commit_bytes = 12000;
    worker = worker_on(faulty, reactor, 600 * SECOND);
    start("r");
    work_until_rest(worker, "r");
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(atomic_load(&ran[i]), 1);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
    commit_most = 0;
}
END_TEST

/* The names of the runs count as well. */
START_TEST(a_batch_is_not_larger_than_the_store_takes)
{
    static const struct kedge_step_def steps[] = { { .name = "a", .run = say_much } };
    struct kedge_reactor *reactor = reactor_of(steps, 1);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;
    char id[1001];

    atomic_store(&runs_lost, 0);
    memset(id, 'x', sizeof id);
    for (int i = 0; i < 400; i++) {
        (void)snprintf(id + 990, sizeof id - 990, "%010d", i);
        start(id);
    }
    options.reactors = (const struct kedge_reactor *const *)&reactor;
    options.n_reactors = 1;
    options.claim_slice = 256;
    options.lease_ttl_us = 600 * SECOND;
    options.observe = observe;
    must(kedge_worker_open(store, &options, &worker, &err));
    ck_assert_int_eq(kedge_worker_drain(worker, 60 * SECOND, &err), KEDGE_OK);
    ck_assert_int_eq(atomic_load(&runs_lost), 0);
    ck_assert_int_eq(atomic_load(&ran[0]), 400);
    ck_assert_uint_eq(place_of(id), KEDGE_PLACE_REST);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
}
END_TEST

/* ------------------------------------------------------------- other workers */

static atomic_int leases_lost;
static void count_leases(void *ctx, const struct kedge_event *event)
{
    (void)ctx;
    if (event->kind == KEDGE_EVENT_LEASE_LOST || event->kind == KEDGE_EVENT_WORKER_BURIED)
        atomic_fetch_add(&leases_lost, 1);
}

/* A process that was stopped for long finds its own lease lapsed: nobody buried it, so it is good.
 */
START_TEST(a_worker_does_not_bury_itself)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = wait_here, .flags = KEDGE_STEP_POOL },
    };
    struct kedge_reactor *reactor = reactor_of(steps, 1);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;

    open_counted();
    atomic_store(&asked, 0);
    atomic_store(&let_go, 0);
    atomic_store(&leases_lost, 0);
    options.reactors = (const struct kedge_reactor *const *)&reactor;
    options.n_reactors = 1;
    options.lease_ttl_us = 10 * SECOND;
    options.look_us = 10000;
    options.observe = count_leases;
    must(kedge_worker_open(store, &options, &worker, &err));
    start("r");
    for (int i = 0; i < 600 && atomic_load(&asked) == 0; i++)
        (void)kedge_worker_drain(worker, SECOND / 10, &err);
    atomic_fetch_add(&clock_now, 20 * SECOND);
    nap(SECOND / 5); /* the keeper looks meanwhile */
    atomic_store(&let_go, 1);
    must(kedge_worker_drain(worker, 30 * SECOND, &err));
    ck_assert_int_eq(atomic_load(&leases_lost), 0);
    ck_assert_int_eq(atomic_load(&ran[0]), 1);
    ck_assert_uint_eq(place_of("r"), KEDGE_PLACE_REST);
    kedge_worker_close(worker, 0);
    kedge_store_close(store);
    kedge_reactor_free(reactor);
}
END_TEST

/* Held by a worker that died on the way back, and not as the first one. */
static void die_on_the_way_back(const char *id, uint32_t recoveries)
{
    struct kedge_id128 lease = { { 9 } };
    struct kedge_lease_new in = { .id = lease, .request = { { 8 } }, .ttl_us = SECOND };
    struct kedge_lease_state state;
    struct kedge_rec rec = { .kind = KEDGE_RECORD_FAILED, .failures = 1, .text = kedge_text("no") };
    struct kedge_buf *buf = kedge_record_encode(kedge_store_host(store), &rec);
    struct kedge_bytes record = { buf->data, buf->len };
    struct kedge_retrieve want = { kedge_text(id), 0, 0, 0 };
    struct kedge_run_state run;
    struct kedge_guard guard = { .kind = KEDGE_GUARD_UNHELD,
                                 .statuses = KEDGE_STATUSES_UNFINISHED,
                                 .name = kedge_text(id) };
    struct kedge_change changes[3] = {
        { .kind = KEDGE_TAKE, .name = kedge_text(id), .take = { .lease = lease } },
        { .kind = KEDGE_APPEND, .name = kedge_text(id), .append = { &record, 1, 2 } },
        { .kind = KEDGE_SET,
          .name = kedge_text(id),
          .set = { .mask = KEDGE_SET_STATUS, .status = KEDGE_ROLLING_BACK } },
    };
    struct kedge_change charge = {
        .kind = KEDGE_SET,
        .name = kedge_text(id),
        .set = { .mask = KEDGE_SET_RECOVERIES, .recoveries = recoveries },
    };
    struct kedge_commit commit = {
        .request = { { 6 } }, .guards = &guard, .n_guards = 1, .changes = changes, .n_changes = 3
    };
    struct kedge_answer answer;
    void *session;

    must(real->session_open(kedge_store_handle(store), &session, &err));
    must(real->lease_grant(session, &in, &state, SECOND, &err));
    must(real->retrieve(session, &want, &run, SECOND, &err));
    guard.number = run.run.revision;
    kedge_mem_free(kedge_store_host(store), run.mem);
    must(real->commit(session, &commit, 1, &answer, SECOND, &err));
    must(answer.outcome);
    guard = (struct kedge_guard){
        .kind = KEDGE_GUARD_HELD, .name = kedge_text(id), .lease = lease, .number = answer.fence
    };
    commit = (struct kedge_commit){
        .request = { { 5 } }, .guards = &guard, .n_guards = 1, .changes = &charge, .n_changes = 1
    };
    must(real->commit(session, &commit, 1, &answer, SECOND, &err));
    must(answer.outcome);
    real->session_close(session);
    kedge_buf_drop(kedge_store_host(store), buf);
}

static int count_steps(void *ctx, const struct kedge_step_info *step)
{
    (void)step;
    ++*(int *)ctx;
    return 0;
}

/* It may be its journal that kills whoever reads it: so nobody is asked to. */
START_TEST(a_crash_loop_on_the_way_back_is_stuck)
{
    struct kedge_reactor *reactor = reactor_of(chain, 2);
    struct kedge_worker *worker;
    struct kedge_run_info *info;
    int n = 0;

    open_counted();
    real = kedge_store_ops(store);
    worker = worker_on(store, reactor, 60 * SECOND);
    start("r");
    die_on_the_way_back("r", 5);
    atomic_fetch_add(&clock_now, 2 * SECOND);
    must(kedge_worker_drain(worker, 30 * SECOND, &err));
    must(kedge_run_get(store, kedge_text("r"), KEDGE_RUN_WANT_RESULT, &info, SECOND, &err));
    ck_assert_uint_eq(info->status, KEDGE_STUCK);
    ck_assert_int_eq(info->expires, 0);
    ck_assert_uint_eq(info->error.len, strlen("crash loop"));
    kedge_run_info_free(info);
    must(kedge_run_steps(store, kedge_text("r"), count_steps, &n, SECOND, &err));
    ck_assert_int_eq(n, 2);
    kedge_worker_close(worker, 0);
    kedge_store_close(store);
    kedge_reactor_free(reactor);
}
END_TEST

static char order[8];
static int note_order(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);
    size_t n = strlen(order);

    (void)user;
    if (view->action == KEDGE_ACTION_RUN && n + 1 < sizeof order)
        order[n] = *(const char *)view->run.data;
    return kedge_ok(step, NULL, 0);
}

/* Else a busy worker would come to a dead one's runs after all that was due before the death. */
START_TEST(what_a_dead_worker_had_goes_first)
{
    static const struct kedge_step_def noting[] = {
        { .name = "a", .run = note_order, .undo = note_order, .compensate = note_order },
    };
    struct kedge_reactor *reactor = reactor_of(noting, 1);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *serve[1] = { reactor };
    struct kedge_claim in = { .request = { { 4 } }, .lease = { { 9 } }, .limit = 1 };
    struct kedge_serve what = { .queue = kedge_text("default"),
                                .version_min = 1,
                                .version_max = 1 };
    struct kedge_lease_new lease = { .id = { { 9 } }, .request = { { 8 } }, .ttl_us = SECOND };
    struct kedge_lease_state state;
    struct kedge_run_page page = { 0 };
    struct kedge_worker *worker;
    void *session;

    open_counted();
    real = kedge_store_ops(store);
    memset(order, 0, sizeof order);
    start("d");
    must(real->session_open(kedge_store_handle(store), &session, &err));
    must(real->lease_grant(session, &lease, &state, SECOND, &err));
    what.reactor = kedge_text(kedge_reactor_name(reactor));
    in.serves = &what;
    in.n_serves = 1;
    must(real->claim(session, &in, &page, SECOND, &err));
    ck_assert_uint_eq(page.n, 1);
    kedge_mem_free(kedge_store_host(store), page.mem);
    atomic_fetch_add(&clock_now, SECOND / 10);
    start("x");
    start("y");
    start("z");
    atomic_fetch_add(&clock_now, 2 * SECOND); /* it is dead by now, and they have waited */
    options.reactors = serve;
    options.n_reactors = 1;
    options.in_flight = 1;
    must(kedge_worker_open(store, &options, &worker, &err));
    must(kedge_worker_drain(worker, 30 * SECOND, &err));
    ck_assert_str_eq(order, "dxyz");
    kedge_worker_close(worker, 0);
    real->session_close(session);
    kedge_store_close(store);
    kedge_reactor_free(reactor);
}
END_TEST

/* -------------------------------------------------------------------- threads */

static int compensate_it(struct kedge_step *step, void *user)
{
    struct kedge_bytes value;

    (void)user;
    ck_assert_int_eq(kedge_step_result(step, "a", &value, NULL), KEDGE_NOT_FOUND);
    atomic_fetch_add(&ran[3], 1);
    return kedge_ok(step, NULL, 0);
}

static atomic_int enough;
static void *ask_all_the_time(void *worker)
{
    struct kedge_counts stats = { .struct_size = sizeof stats };
    uint64_t bytes = 0;

    while (!atomic_load(&enough)) {
        kedge_worker_stats(worker, &stats);
        ck_assert_uint_ge(stats.read_bytes, bytes);
        bytes = stats.read_bytes;
        atomic_store(&asked, 1);
    }
    return NULL;
}

/* For the thread sanitizer: a run that is taken on its way back, and somebody who asks meanwhile.
 */
START_TEST(threads_meet_under_the_lock_only)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = run_it, .compensate = compensate_it, .flags = KEDGE_STEP_POOL },
        { .name = "b", .run = run_it, .after = after_a },
    };
    struct kedge_reactor *reactor = reactor_of(steps, 2);
    struct kedge_worker *worker;
    pthread_t thread;
    char id[8];

    open_counted();
    real = kedge_store_ops(store);
    worker = worker_on(store, reactor, 60 * SECOND);
    start("r");
    die_on_the_way_back("r", 1);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(id, sizeof id, "r%d", i);
        start(id);
    }
    atomic_fetch_add(&clock_now, 2 * SECOND);
    atomic_store(&enough, 0);
    atomic_store(&asked, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, ask_all_the_time, worker), 0);
    while (atomic_load(&asked) == 0)
        nap(1000);
    must(kedge_worker_drain(worker, 30 * SECOND, &err));
    atomic_store(&enough, 1);
    (void)pthread_join(thread, NULL);
    ck_assert_uint_eq(place_of("r"), KEDGE_PLACE_REST);
    ck_assert_int_eq(atomic_load(&ran[3]), 1);
    kedge_worker_close(worker, 0);
    kedge_store_close(store);
    kedge_reactor_free(reactor);
}
END_TEST

/* ---------------------------------------------------------------------- all */

int main(void)
{
    Suite *suite = suite_create("worker");
    TCase *held = tcase_create("held");
    TCase *doubt = tcase_create("doubt");
    TCase *end = tcase_create("end");
    TCase *log = tcase_create("log");
    TCase *memory = tcase_create("memory");
    TCase *sleeping = tcase_create("sleeping");
    TCase *sizes = tcase_create("sizes");
    TCase *others = tcase_create("others");
    TCase *threads = tcase_create("threads");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(held, setup, teardown);
    tcase_set_timeout(held, 120);
    tcase_add_test(held, a_run_that_could_not_be_read_is_taken_again);
    tcase_add_test(held, an_unreadable_run_is_tried_once_per_ttl);
    tcase_add_test(held, a_claim_without_an_answer_is_sent_again_as_it_was);
    tcase_add_test(held, a_grant_without_an_answer_is_sent_again);
    tcase_add_test(held, a_run_that_is_not_held_any_more_is_let_go);
    suite_add_tcase(suite, held);
    tcase_add_checked_fixture(doubt, setup, teardown);
    tcase_set_timeout(doubt, 120);
    tcase_add_test(doubt, a_refused_repetition_is_checked_by_reading);
    tcase_add_test(doubt, a_refused_repetition_may_be_right);
    suite_add_tcase(suite, doubt);
    tcase_add_checked_fixture(end, setup, teardown);
    tcase_set_timeout(end, 120);
    tcase_add_test(end, what_is_in_doubt_is_sent_once_more_at_the_end);
    tcase_add_test(end, what_could_not_be_said_leaves_a_doubt);
    tcase_add_test(end, a_stop_does_not_wait_for_ever);
    suite_add_tcase(suite, end);
    tcase_add_checked_fixture(log, setup_logged, teardown);
    tcase_set_timeout(log, 120);
    tcase_add_test(log, that_it_is_full_is_told_once_whatever_was_before);
    suite_add_tcase(suite, log);
    tcase_set_timeout(memory, 300);
    tcase_add_test(memory, memory_may_run_out_at_any_moment);
    tcase_add_test(memory, a_later_step_whose_run_goes_leaves_nothing);
    suite_add_tcase(suite, memory);
    tcase_add_checked_fixture(sleeping, setup, teardown);
    tcase_set_timeout(sleeping, 120);
    tcase_add_test(sleeping, a_pool_step_is_sent_again_though_the_loop_sleeps);
    tcase_add_test(sleeping, a_turn_ends_though_the_pool_is_never_idle);
    suite_add_tcase(suite, sleeping);
    tcase_add_checked_fixture(sizes, setup, teardown);
    tcase_set_timeout(sizes, 120);
    tcase_add_test(sizes, a_commit_is_not_larger_than_the_store_takes);
    tcase_add_test(sizes, a_batch_is_not_larger_than_the_store_takes);
    suite_add_tcase(suite, sizes);
    tcase_set_timeout(others, 120);
    tcase_add_test(others, a_worker_does_not_bury_itself);
    tcase_add_test(others, a_crash_loop_on_the_way_back_is_stuck);
    tcase_add_test(others, what_a_dead_worker_had_goes_first);
    suite_add_tcase(suite, others);
    tcase_set_timeout(threads, 120);
    tcase_add_test(threads, threads_meet_under_the_lock_only);
    suite_add_tcase(suite, threads);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
