/* test_testing.c - stores for tests: the clock that is moved, handles that die at each call */
#include <config.h>

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <kedge/backend.h>
#include <kedge/kedge.h>
#include <kedge/testing.h>

#define SOON   INT64_C(1000000)
#define BEFORE KEDGE_TESTING_BEFORE
#define AFTER  KEDGE_TESTING_AFTER

static struct kedge_testing *testing;
static struct kedge_error err;

static void setup(void)
{
    memset(&err, 0, sizeof err);
    ck_assert_msg(kedge_testing_open(NULL, &testing, &err) == KEDGE_OK, "%s", err.msg);
}

static void teardown(void)
{
    kedge_testing_close(testing);
}

/* A handle, its table, and one session on it. */
struct client {
    struct kedge_store *store;
    const struct kedge_backend_ops *ops;
    void *session;
};

static struct client client_on(struct kedge_store *store)
{
    struct client c = { .store = store, .ops = kedge_store_ops(store) };

    ck_assert_int_eq(c.ops->session_open(kedge_store_handle(store), &c.session, NULL), KEDGE_OK);
    return c;
}

static struct client healthy(void)
{
    struct kedge_store *store;

    ck_assert_msg(kedge_testing_store(testing, &store, &err) == KEDGE_OK, "%s", err.msg);
    return client_on(store);
}

static struct client doomed(uint64_t k, uint32_t when)
{
    struct kedge_store *store;

    ck_assert_msg(kedge_testing_doomed(testing, k, when, &store, &err) == KEDGE_OK, "%s", err.msg);
    return client_on(store);
}

static void client_close(struct client *c)
{
    c->ops->session_close(c->session);
    kedge_store_close(c->store);
}

static struct kedge_bytes bytes(const char *text)
{
    return (struct kedge_bytes){ .data = text, .len = strlen(text) };
}

static struct kedge_id128 id(uint8_t n)
{
    return (struct kedge_id128){ { 1, n } };
}

static int grant(struct client *c, uint8_t lease)
{
    struct kedge_lease_new in = { .id = id(lease), .request = id(lease), .ttl_us = 1000000 };
    struct kedge_lease_state out;

    return c->ops->lease_grant(c->session, &in, &out, SOON, &err);
}

static int extend(struct client *c, uint8_t lease)
{
    struct kedge_id128 name = id(lease);
    struct kedge_lease_state out;

    return c->ops->lease_extend(c->session, &name, &out, SOON, &err);
}

static int bury(struct client *c, uint8_t lease)
{
    struct kedge_id128 name = id(lease);

    return c->ops->lease_bury(c->session, &name, SOON, &err);
}

static int give_up(struct client *c, uint8_t lease)
{
    struct kedge_id128 name = id(lease);

    return c->ops->lease_revoke(c->session, &name, SOON, &err);
}

/* Two cells in a batch of two. */
static int put(struct client *c, const char *a, const char *b, struct kedge_answer answers[2],
               uint64_t results[2])
{
    struct kedge_change changes[2] = {
        { .kind = KEDGE_CELL_PUT, .name = bytes(a), .cell = { .value = bytes("v") } },
        { .kind = KEDGE_CELL_PUT, .name = bytes(b), .cell = { .value = bytes("v") } },
    };
    struct kedge_commit commits[2] = {
        { .request = id(101), .changes = &changes[0], .n_changes = 1, .results = &results[0] },
        { .request = id(102), .changes = &changes[1], .n_changes = 1, .results = &results[1] },
    };

    return c->ops->commit(c->session, commits, 2, answers, SOON, &err);
}

static int put_plain(struct client *c, const char *a, const char *b)
{
    struct kedge_answer answers[2];
    uint64_t results[2];

    return put(c, a, b, answers, results);
}

static bool has_cell(struct client *c, const char *name)
{
    struct kedge_cell cell;
    int rc = c->ops->cell_get(c->session, bytes(name), &cell, SOON, NULL);

    ck_assert(rc == KEDGE_OK || rc == KEDGE_NOT_FOUND);
    if (rc == KEDGE_OK)
        kedge_mem_free(kedge_store_host(c->store), cell.mem);
    return rc == KEDGE_OK;
}

static uint64_t lock_holder(struct client *c)
{
    struct kedge_lock_state out;
    int rc = c->ops->lock_query(c->session, bytes("lock"), &out, SOON, NULL);

    return rc == KEDGE_OK ? out.holder.b[1] : 0;
}

static int create_run(struct client *c, const char *name)
{
    struct kedge_run_new run = { .reactor = bytes("r"),
                                 .queue = bytes("q"),
                                 .parent_slot = KEDGE_NO_SLOT,
                                 .version = 1,
                                 .due = { 0, KEDGE_IN, 0 } };
    struct kedge_change change = { .kind = KEDGE_CREATE, .name = bytes(name) };
    struct kedge_commit commit = { .request = id(103), .changes = &change, .n_changes = 1 };
    struct kedge_answer answer;
    int rc;

    change.create = &run;
    rc = c->ops->commit(c->session, &commit, 1, &answer, SOON, &err);
    return rc == KEDGE_OK ? answer.outcome : rc;
}

static int claim(struct client *c, uint8_t lease, struct kedge_run_page *page)
{
    struct kedge_serve serve = {
        .queue = bytes("q"), .reactor = bytes("r"), .version_min = 1, .version_max = 1
    };
    struct kedge_claim in = {
        .request = id(104), .lease = id(lease), .serves = &serve, .n_serves = 1, .limit = 10
    };

    return c->ops->claim(c->session, &in, page, SOON, &err);
}

static uint64_t held_by(struct client *c, uint8_t lease)
{
    struct kedge_bytes none = { NULL, 0 };
    struct kedge_id128 name = id(lease);
    struct kedge_held_page page;
    uint64_t n;

    ck_assert_int_eq(c->ops->list_held(c->session, &name, none, 10, &page, SOON, NULL), KEDGE_OK);
    n = page.n;
    kedge_mem_free(kedge_store_host(c->store), page.mem);
    return n;
}

/* ---------------------------------------------------------------------- clock */

START_TEST(the_clock_begins_at_a_fixed_time_and_is_moved)
{
    struct client c = healthy();
    int64_t begin = kedge_testing_now(testing);
    struct kedge_time t;

    ck_assert_int_eq(begin, INT64_C(1577836800000000));
    ck_assert_int_eq(c.ops->now(c.session, &t, SOON, NULL), KEDGE_OK);
    ck_assert_int_eq(t.wall, begin);
    ck_assert_int_eq(t.lease, begin);
    ck_assert_int_eq(kedge_testing_advance(testing, 60 * 1000000, &err), KEDGE_OK);
    ck_assert_int_eq(kedge_testing_advance(testing, 0, &err), KEDGE_OK);
    ck_assert_int_eq(kedge_testing_now(testing), begin + 60 * 1000000);
    ck_assert_int_eq(c.ops->now(c.session, &t, SOON, NULL), KEDGE_OK);
    ck_assert_int_eq(t.wall, begin + 60 * 1000000);
    ck_assert_int_eq(t.lease, begin + 60 * 1000000);
    client_close(&c);
}
END_TEST

START_TEST(the_clock_goes_forward_only)
{
    int64_t begin = kedge_testing_now(testing);

    ck_assert_int_eq(kedge_testing_advance(testing, -1, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "the clock goes forward only");
    ck_assert_int_eq(kedge_testing_advance(testing, INT64_MAX, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "the clock cannot go that far");
    ck_assert_int_eq(kedge_testing_now(testing), begin);
}
END_TEST

START_TEST(a_lease_lapses_when_its_time_has_passed)
{
    struct client c = healthy();

    ck_assert_int_eq(grant(&c, 1), KEDGE_OK);
    ck_assert_int_eq(bury(&c, 1), KEDGE_HELD);
    ck_assert_int_eq(kedge_testing_advance(testing, 999999, &err), KEDGE_OK);
    ck_assert_int_eq(bury(&c, 1), KEDGE_HELD);
    ck_assert_int_eq(kedge_testing_advance(testing, 1, &err), KEDGE_OK);
    ck_assert_int_eq(bury(&c, 1), KEDGE_OK);
    ck_assert_int_eq(extend(&c, 1), KEDGE_LOST);
    client_close(&c);
}
END_TEST

struct waiting {
    struct client c;
    uint64_t ticket;
    int64_t timeout_us;
    int rc;
};

static void *wait_for_change(void *arg)
{
    struct waiting *w = arg;

    w->rc = w->c.ops->wait(w->c.session, w->ticket, &w->ticket, w->timeout_us, NULL);
    return NULL;
}

static int64_t monotonic(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

START_TEST(an_advance_wakes_who_waits_for_work)
{
    struct waiting w = { .c = healthy(), .timeout_us = 60 * 1000000 };
    int64_t begin = monotonic();
    pthread_t thread;

    (void)w.c.ops->wait(w.c.session, w.ticket, &w.ticket, 0, NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_change, &w), 0);
    ck_assert_int_eq(kedge_testing_advance(testing, 1, &err), KEDGE_OK);
    (void)pthread_join(thread, NULL);
    ck_assert_int_eq(w.rc, KEDGE_OK);
    ck_assert_int_lt(monotonic() - begin, 30 * 1000000);
    client_close(&w.c);
}
END_TEST

/* --------------------------------------------------------------------- stores */

START_TEST(handles_share_their_data_and_nobody_elses)
{
    struct client a = healthy();
    struct client b = healthy();
    struct client d = doomed(100, BEFORE);
    struct kedge_testing *mine = testing;
    struct client other;

    ck_assert_int_eq(put_plain(&a, "x", "y"), KEDGE_OK);
    ck_assert(has_cell(&b, "x"));
    ck_assert(has_cell(&d, "y"));
    ck_assert_int_eq(put_plain(&d, "z", "w"), KEDGE_OK);
    ck_assert(has_cell(&a, "z"));
    setup();
    other = healthy();
    ck_assert(!has_cell(&other, "x"));
    client_close(&other);
    kedge_testing_close(testing);
    testing = mine;
    client_close(&a);
    client_close(&d);
    client_close(&b);
}
END_TEST

START_TEST(data_live_as_long_as_the_testing_store)
{
    struct client c = healthy();
    struct kedge_store *store = NULL;
    char url[64];

    ck_assert_int_eq(put_plain(&c, "x", "y"), KEDGE_OK);
    (void)snprintf(url, sizeof url, "%s", kedge_store_url(c.store));
    client_close(&c);
    c = healthy();
    ck_assert(has_cell(&c, "x"));
    client_close(&c);
    kedge_testing_close(testing);
    ck_assert_int_eq(kedge_store_open(url, NULL, &store, &err), KEDGE_ERR_SCHEMA_MISSING);
    setup();
}
END_TEST

static void other_store(const char *url)
{
    struct kedge_testing *mine = testing;
    struct client a;
    struct client b;

    ck_assert_msg(kedge_testing_open(url, &testing, &err) == KEDGE_OK, "%s", err.msg);
    ck_assert_int_gt(kedge_testing_now(testing), INT64_C(1577836800000000));
    ck_assert_int_eq(kedge_testing_advance(testing, 1, &err), KEDGE_ERR_UNSUPPORTED);
    a = healthy();
    b = doomed(2, BEFORE);
    ck_assert_ptr_eq(kedge_store_host(a.store), kedge_host_default());
    ck_assert_int_eq(put_plain(&b, "x", "y"), KEDGE_OK);
    ck_assert_int_eq(put_plain(&b, "z", "w"), KEDGE_ERR_UNAVAILABLE);
    ck_assert(has_cell(&a, "x"));
    ck_assert(!has_cell(&a, "z"));
    client_close(&a);
    client_close(&b);
    kedge_testing_close(testing);
    testing = mine;
}

START_TEST(another_store_runs_on_its_own_clock)
{
    struct kedge_store *store = NULL;

    other_store("mem:named");
    other_store("mem:");
    /* What has a name of its own is not ours to drop. */
    ck_assert_int_eq(kedge_store_open("mem:named", NULL, &store, &err), KEDGE_OK);
    kedge_store_close(store);
}
END_TEST

START_TEST(refuses_what_makes_no_sense)
{
    struct kedge_testing *none = NULL;
    struct kedge_store *store = NULL;

    ck_assert_int_eq(kedge_testing_open(NULL, NULL, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_testing_open("nosuch:x", &none, &err), KEDGE_ERR_BACKEND);
    ck_assert_ptr_null(none);
    ck_assert_int_eq(kedge_testing_store(NULL, &store, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_testing_store(testing, NULL, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_testing_advance(NULL, 1, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_testing_doomed(NULL, 1, BEFORE, &store, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_testing_doomed(testing, 1, BEFORE, NULL, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_testing_doomed(testing, 0, BEFORE, &store, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "k is 0; the first call is 1");
    ck_assert_int_eq(kedge_testing_doomed(testing, 0, KEDGE_TESTING_KILL, &store, &err),
                     KEDGE_ERR_INVALID);
    for (uint32_t when = 4; when != 0; when <<= 1)
        ck_assert_int_eq(kedge_testing_doomed(testing, 1, when, &store, NULL), KEDGE_ERR_INVALID);
    ck_assert_ptr_null(store);
    kedge_testing_close(NULL);
}
END_TEST

START_TEST(a_doomed_handle_looks_like_the_other)
{
    struct client a = healthy();
    struct client d = doomed(1, BEFORE);

    ck_assert_str_eq(kedge_store_url(d.store), kedge_store_url(a.store));
    ck_assert_str_eq(kedge_store_backend(d.store), "mem");
    ck_assert_ptr_eq(kedge_store_host(d.store), kedge_store_host(a.store));
    ck_assert_uint_eq(d.ops->limits->id_max, a.ops->limits->id_max);
    ck_assert_uint_eq(d.ops->caps, a.ops->caps);
    ck_assert_int_eq(d.ops->store_open(NULL, NULL, NULL, NULL), KEDGE_ERR_UNSUPPORTED);
    ck_assert_int_eq(d.ops->store_drop(NULL, NULL, NULL), KEDGE_ERR_UNSUPPORTED);
    ck_assert_int_eq(kedge_testing_dead(a.store), 0);
    ck_assert_uint_eq(kedge_testing_calls(a.store), 0);
    client_close(&d);
    client_close(&a);
}
END_TEST

START_TEST(handles_are_closed_in_any_order)
{
    struct client a = doomed(1, AFTER);
    struct client b = healthy();
    struct client c = doomed(2, BEFORE);

    ck_assert_int_eq(put_plain(&a, "x", "y"), KEDGE_ERR_UNAVAILABLE);
    client_close(&a); /* dead, first */
    ck_assert_int_eq(put_plain(&c, "z", "w"), KEDGE_OK);
    client_close(&b);
    client_close(&c); /* alive, last */
    kedge_testing_close(testing);
    setup();
    a = healthy();
    b = doomed(1, AFTER);
    client_close(&a);
    client_close(&b);
}
END_TEST

/* ---------------------------------------------------------------------- death */

#define SCRIPT_CALLS 12

/* Each writing operation once; the number of those that answered. */
static int script(struct client *c)
{
    struct kedge_id128 lease = id(1);
    struct kedge_id128 request = id(105);
    struct kedge_lock_state lock = { .fence = 0 };
    struct kedge_run_page page = { .mem = NULL };
    struct kedge_purged purged;
    int ok = 0;

    ok += grant(c, 1) == KEDGE_OK;
    ok += extend(c, 1) == KEDGE_OK;
    ok += c->ops->lock_acquire(c->session, bytes("lock"), &lease, &request, &lock, SOON, &err) ==
          KEDGE_OK;
    ok += c->ops->lock_extend(c->session, bytes("lock"), &lease, lock.fence, &lock, SOON, &err) ==
          KEDGE_OK;
    ok += put_plain(c, "x", "y") == KEDGE_OK;
    ok += create_run(c, "run") == KEDGE_OK;
    ok += claim(c, 1, &page) == KEDGE_OK;
    kedge_mem_free(kedge_store_host(c->store), page.mem);
    ok +=
        c->ops->lock_release(c->session, bytes("lock"), &lease, lock.fence, SOON, &err) == KEDGE_OK;
    ok += give_up(c, 1) == KEDGE_OK;
    ok += bury(c, 1) == KEDGE_OK;
    ok += c->ops->purge(c->session, 100, &purged, SOON, &err) == KEDGE_OK;
    ok += put_plain(c, "last", "of all") == KEDGE_OK;
    return ok;
}

/* What is in the store when N calls of the script took place. */
static void script_took_place(struct client *c, uint64_t n)
{
    int lease = bury(c, 1);

    if (n < 1)
        ck_assert_int_eq(lease, KEDGE_NOT_FOUND);
    else if (n < 9)
        ck_assert_int_eq(lease, KEDGE_HELD);
    else /* a dead lease may have been purged */
        ck_assert(lease == KEDGE_OK || lease == KEDGE_NOT_FOUND);
    ck_assert_uint_eq(lock_holder(c), n >= 3 && n < 8 ? 1 : 0);
    ck_assert_int_eq(has_cell(c, "x"), n >= 5);
    ck_assert_int_eq(has_cell(c, "y"), n >= 5);
    ck_assert_int_eq(has_cell(c, "last"), n >= 12);
    ck_assert_uint_eq(held_by(c, 1), (n >= 3 && n < 8 ? 1u : 0u) + (n >= 7 && n < 9 ? 1u : 0u));
}

static void dies_at(uint64_t k, uint32_t when)
{
    struct client d;
    struct client c;
    char message[64];

    setup();
    c = healthy();
    d = doomed(k, when);
    ck_assert_int_eq(script(&d), (int)k - 1);
    ck_assert_int_eq(err.code, KEDGE_ERR_UNAVAILABLE);
    (void)snprintf(message, sizeof message, "this handle died at call %d", (int)k);
    ck_assert_str_eq(err.msg, message);
    ck_assert_int_eq(kedge_testing_dead(d.store), 1);
    ck_assert_uint_eq(kedge_testing_calls(d.store), k);
    script_took_place(&c, when == AFTER ? k : k - 1);
    client_close(&d);
    client_close(&c);
    teardown();
}

START_TEST(a_handle_dies_before_each_call)
{
    for (uint64_t k = 1; k <= SCRIPT_CALLS; k++)
        dies_at(k, BEFORE);
}
END_TEST

START_TEST(a_handle_dies_after_each_call)
{
    for (uint64_t k = 1; k <= SCRIPT_CALLS; k++)
        dies_at(k, AFTER);
}
END_TEST

/* The script in a process that is to die at its call K; how it ended, as waitpid() says. */
static int script_of_a_process(const char *url, uint64_t k, uint32_t when)
{
    pid_t pid = fork();
    struct client d;
    int status;

    ck_assert_int_ne(pid, -1);
    if (pid == 0) {
        if (kedge_testing_open(url, &testing, &err) != KEDGE_OK)
            _exit(99);
        d = doomed(k, when | KEDGE_TESTING_KILL);
        _exit(script(&d));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static void is_killed_at(const char *url, uint64_t k, uint32_t when)
{
    int status = script_of_a_process(url, k, when);

    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

START_TEST(a_process_is_killed_at_each_call)
{
    int status;

    for (uint64_t k = 1; k <= SCRIPT_CALLS; k++) {
        is_killed_at(NULL, k, BEFORE);
        is_killed_at(NULL, k, AFTER);
    }
    status = script_of_a_process(NULL, SCRIPT_CALLS + 1, BEFORE);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == SCRIPT_CALLS);
}
END_TEST

/* The store outlives the process: what took place is there. */
START_TEST(a_killed_process_leaves_what_took_place)
{
    for (uint64_t k = 1; k <= SCRIPT_CALLS; k++) {
        for (uint32_t when = BEFORE; when <= AFTER; when++) {
            char dir[] = "/tmp/kedge-testing-XXXXXX";
            struct client c;
            char text[96];

            ck_assert_ptr_nonnull(mkdtemp(dir));
            (void)snprintf(text, sizeof text, "lmdb://%s/db?map_size=64MiB", dir);
            is_killed_at(text, k, when);
            ck_assert_msg(kedge_testing_open(text, &testing, &err) == KEDGE_OK, "%s", err.msg);
            c = healthy();
            script_took_place(&c, when == AFTER ? k : k - 1);
            client_close(&c);
            kedge_testing_close(testing);
            (void)snprintf(text, sizeof text, "rm -rf '%s'", dir);
            ck_assert_int_eq(system(text), 0); /* NOLINT(cert-env33-c): a name of mkdtemp's */
        }
    }
}
END_TEST

START_TEST(a_handle_that_is_never_asked_k_times_lives)
{
    struct client d = doomed(SCRIPT_CALLS + 1, BEFORE);
    struct client c = healthy();

    ck_assert_int_eq(kedge_testing_dead(d.store), 0);
    ck_assert_int_eq(script(&d), SCRIPT_CALLS);
    ck_assert_int_eq(kedge_testing_dead(d.store), 0);
    ck_assert_uint_eq(kedge_testing_calls(d.store), SCRIPT_CALLS);
    script_took_place(&c, SCRIPT_CALLS);
    client_close(&d);
    client_close(&c);
}
END_TEST

START_TEST(reads_are_not_counted)
{
    struct client d = doomed(1, BEFORE);
    uint64_t ticket = 0;

    ck_assert(!has_cell(&d, "x"));
    ck_assert_uint_eq(lock_holder(&d), 0);
    ck_assert_int_eq(d.ops->notify(d.session, NULL), KEDGE_OK);
    ck_assert_int_eq(d.ops->wait(d.session, 0, &ticket, 0, NULL), KEDGE_OK);
    ck_assert_uint_eq(kedge_testing_calls(d.store), 0);
    ck_assert_int_eq(kedge_testing_dead(d.store), 0);
    client_close(&d);
}
END_TEST

/* The answers of a batch that was carried out and whose answer is lost, or the other way. */
static void batch(uint32_t when)
{
    struct client d = doomed(1, when);
    struct client c = healthy();
    struct kedge_answer answers[2];
    uint64_t results[2] = { 0, 0 };

    memset(answers, 0xee, sizeof answers);
    ck_assert_int_eq(put(&d, "x", "y", answers, results), KEDGE_ERR_UNAVAILABLE);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(answers[i].outcome, KEDGE_ERR_UNAVAILABLE);
        ck_assert_str_eq(answers[i].why, "this handle died at call 1");
        ck_assert_uint_eq(answers[i].revision, 0);
        ck_assert_uint_eq(results[i], 0);
    }
    ck_assert_int_eq(has_cell(&c, "x"), when == AFTER);
    ck_assert_int_eq(has_cell(&c, "y"), when == AFTER);
    client_close(&d);
    client_close(&c);
}

START_TEST(a_batch_is_one_call_and_each_answer_says_so)
{
    batch(BEFORE);
    batch(AFTER);
}
END_TEST

START_TEST(a_claim_whose_answer_is_lost_holds_its_runs)
{
    struct client c = healthy();
    struct client d = doomed(2, AFTER);
    struct kedge_run_page page = { .n = 77 };

    ck_assert_int_eq(create_run(&c, "run"), KEDGE_OK);
    ck_assert_int_eq(grant(&d, 1), KEDGE_OK);
    ck_assert_int_eq(claim(&d, 1, &page), KEDGE_ERR_UNAVAILABLE);
    ck_assert_uint_eq(page.n, 77);
    ck_assert_uint_eq(held_by(&c, 1), 1);
    client_close(&d);
    client_close(&c);
}
END_TEST

static void count(void *ctx, const char *name, const char *value)
{
    (void)name;
    (void)value;
    ++*(int *)ctx;
}

#define DEAD(call) ck_assert_int_eq((call), KEDGE_ERR_UNAVAILABLE)

START_TEST(the_dead_read_nothing)
{
    struct client d = doomed(1, BEFORE);
    struct kedge_bytes none = { NULL, 0 };
    struct kedge_id128 lease = id(1);
    struct kedge_retrieve in = { .id = bytes("run") };
    struct kedge_list list_in = { .limit = 1 };
    void *s = d.session;
    void *session;
    struct kedge_time now;
    struct kedge_lock_state lock;
    struct kedge_lease_page leases;
    struct kedge_held_page held;
    struct kedge_run_state run;
    struct kedge_record_page records;
    struct kedge_slot_page slots;
    struct kedge_run_page runs;
    struct kedge_cell cell;
    struct kedge_verified verified;
    int facts = 0;

    DEAD(grant(&d, 1));
    DEAD(d.ops->now(s, &now, SOON, NULL));
    DEAD(d.ops->lock_query(s, bytes("lock"), &lock, SOON, NULL));
    DEAD(d.ops->lease_list(s, none, 1, &leases, SOON, NULL));
    DEAD(d.ops->list_held(s, &lease, none, 1, &held, SOON, NULL));
    DEAD(d.ops->retrieve(s, &in, &run, SOON, NULL));
    DEAD(d.ops->retrieve_records(s, bytes("run"), 0, 1, 1, 1, &records, SOON, NULL));
    DEAD(d.ops->retrieve_slots(s, bytes("run"), 0, 0, 0, 1, &slots, SOON, NULL));
    DEAD(d.ops->list_expired(s, none, 1, &runs, SOON, NULL));
    DEAD(d.ops->list(s, &list_in, &runs, SOON, NULL));
    DEAD(d.ops->cell_get(s, bytes("x"), &cell, SOON, NULL));
    DEAD(d.ops->verify(s, &verified, SOON, NULL));
    DEAD(d.ops->notify(s, NULL));
    DEAD(d.ops->session_open(kedge_store_handle(d.store), &session, NULL));
    DEAD(kedge_store_info(d.store, SOON, count, &facts, &err));
    ck_assert_int_eq(facts, 0);
    ck_assert_uint_eq(kedge_testing_calls(d.store), 1);
    client_close(&d);
}
END_TEST

START_TEST(the_living_read_all)
{
    struct client d = doomed(3, BEFORE);
    struct kedge_bytes none = { NULL, 0 };
    const struct kedge_host *host = kedge_store_host(d.store);
    struct kedge_retrieve in = { .id = bytes("run") };
    struct kedge_list list_in = { .limit = 1 };
    struct kedge_lease_page leases;
    struct kedge_run_state run;
    struct kedge_record_page records;
    struct kedge_slot_page slots;
    struct kedge_run_page runs;
    struct kedge_verified verified;
    int facts = 0;

    ck_assert_int_eq(grant(&d, 1), KEDGE_OK);
    ck_assert_int_eq(create_run(&d, "run"), KEDGE_OK);
    ck_assert_int_eq(d.ops->lease_list(d.session, none, 5, &leases, SOON, NULL), KEDGE_OK);
    ck_assert_uint_eq(leases.n, 1);
    kedge_mem_free(host, leases.mem);
    ck_assert_int_eq(d.ops->retrieve(d.session, &in, &run, SOON, NULL), KEDGE_OK);
    ck_assert_uint_eq(run.run.id.len, 3);
    kedge_mem_free(host, run.mem);
    ck_assert_int_eq(d.ops->retrieve_records(d.session, bytes("run"), 0, 1, 1, 1, &records, SOON,
                                             NULL),
                     KEDGE_OK);
    ck_assert_uint_eq(records.n, 0);
    kedge_mem_free(host, records.mem);
    ck_assert_int_eq(d.ops->retrieve_slots(d.session, bytes("run"), 0, 0, 0, 1, &slots, SOON, NULL),
                     KEDGE_NOT_FOUND);
    ck_assert_int_eq(d.ops->list_expired(d.session, none, 1, &runs, SOON, NULL), KEDGE_OK);
    kedge_mem_free(host, runs.mem);
    ck_assert_int_eq(d.ops->list(d.session, &list_in, &runs, SOON, NULL), KEDGE_OK);
    ck_assert_uint_eq(runs.n, 1);
    kedge_mem_free(host, runs.mem);
    ck_assert_int_eq(d.ops->verify(d.session, &verified, SOON, NULL), KEDGE_OK);
    ck_assert_uint_eq(verified.runs, 1);
    kedge_mem_free(host, verified.mem);
    ck_assert_int_eq(kedge_store_info(d.store, SOON, count, &facts, &err), KEDGE_OK);
    ck_assert_int_gt(facts, 5);
    client_close(&d);
}
END_TEST

START_TEST(the_dead_wait_a_little)
{
    struct client d = doomed(1, BEFORE);
    uint64_t ticket = 77;
    int64_t begin;

    DEAD(grant(&d, 1));
    begin = monotonic();
    for (int i = 0; i < 4; i++)
        DEAD(d.ops->wait(d.session, 0, &ticket, 3600 * SOON, &err));
    ck_assert_int_ge(monotonic() - begin, 4 * 5000);
    ck_assert_int_lt(monotonic() - begin, 10 * SOON);
    DEAD(d.ops->wait(d.session, 0, &ticket, 0, NULL));
    ck_assert_str_eq(err.msg, "this handle died at call 1");
    ck_assert_uint_eq(ticket, 77);
    client_close(&d);
}
END_TEST

START_TEST(death_ends_a_wait_that_is_under_way)
{
    struct client d = doomed(1, BEFORE);
    struct waiting w = { .c = d, .timeout_us = 60 * 1000000 };
    struct timespec moment = { 0, 20000000 };
    int64_t begin = monotonic();
    pthread_t thread;

    ck_assert_int_eq(d.ops->session_open(kedge_store_handle(d.store), &w.c.session, NULL),
                     KEDGE_OK);
    (void)w.c.ops->wait(w.c.session, w.ticket, &w.ticket, 0, NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_change, &w), 0);
    (void)nanosleep(&moment, NULL); /* so that it most likely waits; right in either case */
    DEAD(grant(&d, 1));
    (void)pthread_join(thread, NULL);
    ck_assert_int_eq(w.rc, KEDGE_ERR_UNAVAILABLE);
    ck_assert_int_lt(monotonic() - begin, 30 * 1000000);
    d.ops->session_close(w.c.session);
    client_close(&d);
}
END_TEST

#define THREADS 4
#define EACH    50
#define DEATH   77

struct writer {
    struct client c;
    uint8_t first;
    int ok;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;

    for (int i = 0; i < EACH; i++) {
        struct kedge_id128 lease = { { w->first, (uint8_t)(i + 1) } };
        struct kedge_lease_new in = { .id = lease, .request = lease, .ttl_us = 1000000 };
        struct kedge_lease_state out;

        w->ok += w->c.ops->lease_grant(w->c.session, &in, &out, SOON, NULL) == KEDGE_OK;
    }
    return NULL;
}

/* The leases that came into being: each writing call of the test makes one. */
static size_t leases_of(struct client *c)
{
    struct kedge_bytes none = { NULL, 0 };
    struct kedge_lease_page page;
    size_t n;

    ck_assert_int_eq(c->ops->lease_list(c->session, none, 1000, &page, SOON, NULL), KEDGE_OK);
    n = page.n;
    kedge_mem_free(kedge_store_host(c->store), page.mem);
    return n;
}

static void threads(uint32_t when)
{
    struct writer writers[THREADS];
    pthread_t ids[THREADS];
    struct client d;
    struct client c;
    int ok = 0;

    setup();
    c = healthy();
    d = doomed(DEATH, when);
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){ .c = d, .first = (uint8_t)(i + 1) };
        ck_assert_int_eq(d.ops->session_open(kedge_store_handle(d.store), &writers[i].c.session,
                                             NULL),
                         KEDGE_OK);
    }
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&ids[i], NULL, write_on, &writers[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(ids[i], NULL);
        ok += writers[i].ok;
        d.ops->session_close(writers[i].c.session);
    }
    ck_assert_int_lt(ok, DEATH); /* fewer when answers were under way at that moment */
    ck_assert_int_ge(ok, DEATH - THREADS);
    ck_assert_uint_eq(leases_of(&c), when == AFTER ? DEATH : DEATH - 1);
    ck_assert_uint_eq(kedge_testing_calls(d.store), DEATH);
    client_close(&d);
    client_close(&c);
    teardown();
}

START_TEST(threads_die_together)
{
    threads(BEFORE);
    threads(AFTER);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("testing");
    TCase *tc = tcase_create("testing");
    TCase *own = tcase_create("own");
    const char *built = getenv("KEDGE_BUILT");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_clock_begins_at_a_fixed_time_and_is_moved);
    tcase_add_test(tc, the_clock_goes_forward_only);
    tcase_add_test(tc, a_lease_lapses_when_its_time_has_passed);
    tcase_add_test(tc, an_advance_wakes_who_waits_for_work);
    tcase_add_test(tc, handles_share_their_data_and_nobody_elses);
    tcase_add_test(tc, data_live_as_long_as_the_testing_store);
    tcase_add_test(tc, another_store_runs_on_its_own_clock);
    tcase_add_test(tc, refuses_what_makes_no_sense);
    tcase_add_test(tc, a_doomed_handle_looks_like_the_other);
    tcase_add_test(tc, handles_are_closed_in_any_order);
    tcase_add_test(tc, a_handle_that_is_never_asked_k_times_lives);
    tcase_add_test(tc, reads_are_not_counted);
    tcase_add_test(tc, a_batch_is_one_call_and_each_answer_says_so);
    tcase_add_test(tc, a_claim_whose_answer_is_lost_holds_its_runs);
    tcase_add_test(tc, the_dead_read_nothing);
    tcase_add_test(tc, the_living_read_all);
    tcase_add_test(tc, the_dead_wait_a_little);
    tcase_add_test(tc, death_ends_a_wait_that_is_under_way);
    suite_add_tcase(s, own);
    tcase_add_test(own, a_handle_dies_before_each_call);
    tcase_add_test(own, a_handle_dies_after_each_call);
    tcase_add_test(own, a_process_is_killed_at_each_call);
    if (built != NULL && strstr(built, "lmdb") != NULL)
        tcase_add_test(own, a_killed_process_leaves_what_took_place);
    tcase_add_test(own, threads_die_together);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
