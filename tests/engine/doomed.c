/*
 * doomed.c - a saga whose worker dies at every store call there is, one after the other
 *
 * For each call K, before and after its effect: a worker on a handle that dies there, then another
 * on a healthy one.  The run must end as it would have ended, no step whose record was durable may
 * run again, and at most those in flight may.  Speaks TAP.
 *
 *	./doomed
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/kedge.h>
#include <kedge/testing.h>

#define SECONDS INT64_C(1000000)

enum { STEPS = 5, CALLS_MOST = 200 };

static struct kedge_error err;
static int n_tests;
static int n_failed;

static void must(int rc, const char *what)
{
    if (rc == KEDGE_OK)
        return;
    printf("Bail out! %s: %s: %s\n", what, kedge_status_name(rc), rc < 0 ? err.msg : "");
    exit(99);
}

/* What the saga did, and the idempotency keys it saw. */
static int ran[STEPS];
static int undone[STEPS];
static char keys[STEPS][64];
static int keys_differ;
static int failing; /* the last step fails for good */

static int step_number(const struct kedge_step *step)
{
    return kedge_step_view(step)->step[0] - 'a';
}

static int run_it(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);
    int i = step_number(step);

    (void)user;
    if (ran[i]++ == 0) {
        (void)snprintf(keys[i], sizeof keys[i], "%.*s", (int)view->key.len,
                       (const char *)view->key.data);
    } else if (strncmp(keys[i], view->key.data, view->key.len) != 0) {
        keys_differ++;
    }
    if (i == 1 && view->attempt == 1)
        return kedge_fail(step, 0, "once more");
    if (i == STEPS - 1 && failing)
        return kedge_fail(step, KEDGE_FAIL_FINAL, "no");
    return kedge_ok(step, view->step, 0);
}

static int undo_it(struct kedge_step *step, void *user)
{
    (void)user;
    undone[step_number(step)]++;
    return kedge_ok(step, NULL, 0);
}

static const char *const after_a[] = { "a", NULL };
static const char *const after_bc[] = { "b", "c", NULL };
static const char *const after_d[] = { "d", NULL };
static const struct kedge_step_def steps[STEPS] = {
    { .name = "a", .run = run_it, .undo = undo_it },
    { .name = "b",
      .run = run_it,
      .undo = undo_it,
      .after = after_a,
      .retry = { .attempts = 2, .base_us = 1000 } },
    { .name = "c", .run = run_it, .undo = undo_it, .after = after_a },
    { .name = "d", .run = run_it, .undo = undo_it, .after = after_bc },
    { .name = "e", .run = run_it, .undo = undo_it, .after = after_d },
};

static void work(struct kedge_testing *testing, struct kedge_store *store,
                 const struct kedge_reactor *reactor)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_worker *worker;

    options.reactors = &reactor;
    options.n_reactors = 1;
    if (kedge_worker_open(store, &options, &worker, &err) != KEDGE_OK)
        return; /* it died that early */
    for (int i = 0; i < 4 && !kedge_testing_dead(store); i++) {
        (void)kedge_worker_drain(worker, kedge_testing_dead(store) ? 1000 : SECONDS / 10, &err);
        must(kedge_testing_advance(testing, 2000, &err), "advance");
    }
    kedge_worker_close(worker, 0);
}

static int check(struct kedge_store *store, uint32_t status, uint64_t k, uint32_t when)
{
    struct kedge_run_info *info;
    int extra = 0;
    int good;

    must(kedge_run_get(store, kedge_text("r"), KEDGE_RUN_WANT_RESULT, &info, SECONDS, &err), "get");
    good = info->status == status && keys_differ == 0;
    for (int i = 0; i < STEPS; i++) {
        int once = i == 1 ? 2 : 1; /* b is tried twice */

        extra += ran[i] > once ? ran[i] - once : 0;
        good = good && ran[i] >= once && ran[i] <= once + 1;
        good = good && undone[i] <= 2 && undone[i] >= (failing && i < STEPS - 1 ? 1 : 0);
        good = good && (failing || undone[i] == 0);
    }
    good = good && extra <= 2; /* b and c may be in flight together */
    if (!good)
        printf("# call %llu %s: %s, ran %d %d %d %d %d, undone %d %d %d %d %d, %d keys differ\n",
               (unsigned long long)k, when == KEDGE_TESTING_BEFORE ? "before" : "after",
               kedge_run_status_text(info->status), ran[0], ran[1], ran[2], ran[3], ran[4],
               undone[0], undone[1], undone[2], undone[3], undone[4], keys_differ);
    kedge_run_info_free(info);
    return good;
}

/* One death.  Answers 0 when the worker no longer dies at that call. */
static int one(const struct kedge_reactor *reactor, uint64_t k, uint32_t when, int *good)
{
    struct kedge_run_start start = KEDGE_START_INIT;
    struct kedge_testing *testing;
    struct kedge_store *healthy;
    struct kedge_store *doomed;
    int dead;

    memset(ran, 0, sizeof ran);
    memset(undone, 0, sizeof undone);
    keys_differ = 0;
    must(kedge_testing_open(NULL, &testing, &err), "testing");
    must(kedge_testing_store(testing, &healthy, &err), "store");
    must(kedge_testing_doomed(testing, k, when, &doomed, &err), "doomed");
    start.reactor = "diamond";
    start.version = 1;
    start.id = kedge_text("r");
    must(kedge_start(healthy, &start, SECONDS, &err), "start");
    work(testing, doomed, reactor);
    dead = kedge_testing_dead(doomed);
    must(kedge_testing_advance(testing, 20 * SECONDS, &err), "advance");
    work(testing, healthy, reactor);
    *good = check(healthy, failing ? KEDGE_FAILED : KEDGE_COMPLETED, k, when);
    kedge_store_close(doomed);
    kedge_store_close(healthy);
    kedge_testing_close(testing);
    return dead;
}

static void enumerate(const struct kedge_reactor *reactor, const char *what)
{
    for (uint32_t when = KEDGE_TESTING_BEFORE; when <= KEDGE_TESTING_AFTER; when++) {
        uint64_t k = 1;
        int all = 1;
        int good;

        while (k < CALLS_MOST && one(reactor, k, when, &good)) {
            all &= good;
            k++;
        }
        n_tests++;
        n_failed += !(all && good && k > 5);
        printf("%sok %d - %s: death %s each of %llu store calls\n",
               all && good && k > 5 ? "" : "not ", n_tests, what,
               when == KEDGE_TESTING_BEFORE ? "before" : "after", (unsigned long long)k - 1);
        (void)fflush(stdout);
    }
}

int main(void)
{
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("diamond", 1, steps);
    struct kedge_reactor *reactor;

    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    enumerate(reactor, "forward");
    failing = 1;
    enumerate(reactor, "rolled back");
    kedge_reactor_free(reactor);
    printf("1..%d\n", n_tests);
    return n_failed > 0;
}
