/* test_mem.c - the memory backend: names, and what a lack of memory half way leaves behind */
#include <config.h>

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kedge/backend.h>

#define SOON INT64_C(1000000)

const struct kedge_backend_ops *kedge_backend_entry_mem(void);

static const struct kedge_backend_ops *ops;
static const struct kedge_id128 lease = { { 1 } };
static int64_t now = INT64_C(1000000000);
static long alloc_left = -1; /* allocations until one fails; -1: never */
static long outstanding;
static uint8_t request_no;

static struct kedge_bytes bytes(const char *text)
{
    return (struct kedge_bytes){ .data = text, .len = strlen(text) };
}

static struct kedge_id128 next_request(void)
{
    return (struct kedge_id128){ { 9, ++request_no } };
}

static int64_t host_clock(void *ctx, uint32_t which)
{
    (void)ctx;
    (void)which;
    return now;
}

static void *host_alloc(void *ctx, size_t size)
{
    void *p;

    (void)ctx;
    if (alloc_left == 0)
        return NULL;
    if (alloc_left > 0)
        alloc_left--;
    p = malloc(size);
    outstanding += p != NULL ? 1 : 0;
    return p;
}

static void host_release(void *ctx, void *p)
{
    (void)ctx;
    outstanding -= p != NULL ? 1 : 0;
    free(p);
}

static const struct kedge_host host = {
    .struct_size = sizeof host,
    .abi = KEDGE_BACKEND_ABI,
    .clock_us = host_clock,
    .alloc = host_alloc,
    .release = host_release,
};

static struct kedge_open opening(const char *url, const char *ns, uint32_t flags)
{
    return (struct kedge_open){
        .struct_size = sizeof(struct kedge_open), .flags = flags, .url = url, .ns = bytes(ns)
    };
}

/* --------------------------------------------------------------------- names */

static void *opened(const char *url, const char *ns, uint32_t flags)
{
    struct kedge_open open = opening(url, ns, flags);
    struct kedge_error err;
    void *store = NULL;

    ck_assert_msg(ops->store_open(&host, &open, &store, &err) == KEDGE_OK, "%s", err.msg);
    return store;
}

static int open_fails(const char *url, uint32_t flags)
{
    struct kedge_open open = opening(url, "ns", flags);
    void *store = &open;
    int rc = ops->store_open(&host, &open, &store, NULL);

    ck_assert_ptr_eq(store, &open);
    return rc;
}

static uint64_t fence_of_lock(void *store, const char *name)
{
    struct kedge_lock_state state = { .fence = 0 };
    void *session;
    int rc;

    ck_assert_int_eq(ops->session_open(store, &session, NULL), KEDGE_OK);
    rc = ops->lock_query(session, bytes(name), &state, SOON, NULL);
    ck_assert(rc == KEDGE_OK || rc == KEDGE_NOT_FOUND);
    ops->session_close(session);
    return state.fence;
}

static void lock(void *store, const char *name)
{
    struct kedge_lease_new in = { .id = lease, .request = next_request(), .ttl_us = SOON };
    struct kedge_id128 request = next_request();
    struct kedge_lease_state state;
    struct kedge_lock_state out;
    void *session;

    ck_assert_int_eq(ops->session_open(store, &session, NULL), KEDGE_OK);
    ck_assert_int_eq(ops->lease_grant(session, &in, &state, SOON, NULL), KEDGE_OK);
    ck_assert_int_eq(ops->lock_acquire(session, bytes(name), &lease, &request, &out, SOON, NULL),
                     KEDGE_OK);
    ops->session_close(session);
}

START_TEST(a_store_without_a_name_belongs_to_one_open)
{
    void *a = opened("mem:", "ns", KEDGE_OPEN_CREATE);
    void *b = opened("mem:", "ns", KEDGE_OPEN_CREATE);
    struct kedge_open open = opening("mem:", "ns", 0);

    lock(a, "lock");
    ck_assert_uint_ne(fence_of_lock(a, "lock"), 0);
    ck_assert_uint_eq(fence_of_lock(b, "lock"), 0);
    ck_assert_int_eq(ops->store_drop(&host, &open, NULL), KEDGE_NOT_FOUND);
    ops->store_close(a);
    ops->store_close(b);
    ck_assert_int_eq(outstanding, 0);
}
END_TEST

START_TEST(a_name_and_a_namespace_are_shared)
{
    void *a = opened("mem:x", "ns", KEDGE_OPEN_CREATE);
    void *b = opened("mem:%78", "ns", 0);
    void *c = opened("mem:x", "other", KEDGE_OPEN_CREATE);
    void *d = opened("mem:y", "ns", KEDGE_OPEN_CREATE);
    struct kedge_open open = opening("mem:x", "ns", 0);

    lock(a, "lock");
    ck_assert_uint_eq(fence_of_lock(b, "lock"), fence_of_lock(a, "lock"));
    ck_assert_uint_eq(fence_of_lock(c, "lock"), 0);
    ck_assert_uint_eq(fence_of_lock(d, "lock"), 0);
    ops->store_close(a);
    ck_assert_int_eq(ops->store_drop(&host, &open, NULL), KEDGE_HELD);
    ops->store_close(b);
    a = opened("mem:x", "ns", 0);
    ck_assert_uint_ne(fence_of_lock(a, "lock"), 0);
    ops->store_close(a);
    ck_assert_int_eq(ops->store_drop(&host, &open, NULL), KEDGE_OK);
    ck_assert_int_eq(ops->store_drop(&host, &open, NULL), KEDGE_NOT_FOUND);
    ck_assert_int_eq(open_fails("mem:x", 0), KEDGE_ERR_SCHEMA_MISSING);
    ops->store_close(c);
    ops->store_close(d);
    ck_assert_int_eq(outstanding, 0);
}
END_TEST

START_TEST(what_cannot_be_opened)
{
    ck_assert_int_eq(open_fails("mem:", 0), KEDGE_ERR_SCHEMA_MISSING);
    ck_assert_int_eq(open_fails("mem:new", 0), KEDGE_ERR_SCHEMA_MISSING);
    ck_assert_int_eq(open_fails("mem://host/x", KEDGE_OPEN_CREATE), KEDGE_ERR_INVALID);
    ck_assert_int_eq(open_fails("mem:x?size=1", KEDGE_OPEN_CREATE), KEDGE_ERR_INVALID);
    ck_assert_int_eq(open_fails("mem:%zz", KEDGE_OPEN_CREATE), KEDGE_ERR_INVALID);
    ck_assert_int_eq(open_fails("mem:", KEDGE_OPEN_CREATE | 4u), KEDGE_ERR_INVALID);
    ck_assert_int_eq(outstanding, 0);
}
END_TEST

START_TEST(after_fork_nothing_works_and_closing_is_harmless)
{
    void *store = opened("mem:", "ns", KEDGE_OPEN_CREATE);
    void *session;
    int status;
    pid_t pid;

    ck_assert_int_eq(ops->session_open(store, &session, NULL), KEDGE_OK);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct kedge_time t;
        void *another;
        int ok = ops->now(session, &t, SOON, NULL) == KEDGE_ERR_INVALID &&
                 ops->session_open(store, &another, NULL) == KEDGE_ERR_INVALID &&
                 ops->notify(session, NULL) == KEDGE_ERR_INVALID;

        ops->session_close(session);
        ops->store_close(store);
        _exit(ok ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ops->session_close(session);
    ops->store_close(store);
    ck_assert_int_eq(outstanding, 0);
}
END_TEST

/* ------------------------------------------------------------ lack of memory */

static void *store, *session;
static uint64_t parent_fence;

static struct kedge_answer sent(const struct kedge_guard *guards, size_t n_guards,
                                const struct kedge_change *changes, size_t n_changes,
                                uint64_t *results)
{
    struct kedge_commit commit = {
        .request = next_request(),
        .guards = guards,
        .n_guards = n_guards,
        .changes = changes,
        .n_changes = n_changes,
        .results = results,
    };
    struct kedge_answer answer = { .outcome = KEDGE_OK };
    int rc = ops->commit(session, &commit, 1, &answer, SOON, NULL);

    ck_assert_int_eq(rc, KEDGE_OK);
    return answer;
}

/* A parent that is held, with a set of two slots, and a cell. */
static void scene(void)
{
    struct kedge_serve serve = { bytes("queue"), bytes("reactor"), 0, UINT32_MAX };
    struct kedge_lease_new in = {
        .id = lease, .request = next_request(), .ttl_us = SOON, .serves = &serve, .n_serves = 1
    };
    struct kedge_run_new parent = { .reactor = bytes("reactor"),
                                    .queue = bytes("queue"),
                                    .parent_slot = KEDGE_NO_SLOT,
                                    .lease = lease };
    struct kedge_change ch[3] = {
        { .kind = KEDGE_CREATE, .name = bytes("parent"), .create = &parent },
        { .kind = KEDGE_SLOTS, .name = bytes("parent") },
        { .kind = KEDGE_CELL_PUT, .name = bytes("cell") },
    };
    struct kedge_lease_state state;
    uint64_t results[3];

    store = opened("mem:", "ns", KEDGE_OPEN_CREATE);
    ck_assert_int_eq(ops->session_open(store, &session, NULL), KEDGE_OK);
    ck_assert_int_eq(ops->lease_grant(session, &in, &state, SOON, NULL), KEDGE_OK);
    ch[1].slots.total = 2;
    ck_assert_int_eq(sent(NULL, 0, ch, 3, results).outcome, KEDGE_OK);
    parent_fence = results[0];
}

static struct kedge_verified verified(void)
{
    struct kedge_verified v;

    ck_assert_int_eq(ops->verify(session, &v, SOON, NULL), KEDGE_OK);
    ck_assert_msg(v.faults == 0, "%s", v.first);
    kedge_mem_free(&host, v.mem);
    v.mem = NULL;
    v.first = NULL;
    return v;
}

static int everything_at_once(void)
{
    struct kedge_run_new child = { .reactor = bytes("reactor"),
                                   .queue = bytes("queue"),
                                   .context = bytes("context"),
                                   .parent = bytes("parent"),
                                   .parent_incarnation = parent_fence,
                                   .due = { .base = KEDGE_IN } };
    struct kedge_bytes records[3] = { bytes("one"), bytes("two"), bytes("three") };
    struct kedge_guard g = {
        .kind = KEDGE_GUARD_HELD, .name = bytes("parent"), .lease = lease, .number = parent_fence
    };
    struct kedge_change ch[] = {
        { .kind = KEDGE_APPEND, .name = bytes("parent"), .append = { records, 3, 1 } },
        { .kind = KEDGE_SNAPSHOT, .name = bytes("parent"), .snapshot = { bytes("state"), 2 } },
        { .kind = KEDGE_SLOTS, .name = bytes("parent"), .slots = { 7, 3 } },
        { .kind = KEDGE_CREATE, .name = bytes("child"), .create = &child },
        { .kind = KEDGE_APPEND, .name = bytes("child"), .append = { records, 1, 1 } },
        { .kind = KEDGE_SLOT_PUT,
          .name = bytes("parent"),
          .slot = { .incarnation = parent_fence, .index = 1, .wake_at = 1, .value = records[0] } },
        { .kind = KEDGE_CELL_PUT, .name = bytes("cell"), .cell = { .value = records[1] } },
        { .kind = KEDGE_CELL_PUT, .name = bytes("another"), .cell = { .value = records[2] } },
        { .kind = KEDGE_LOCK_TAKE, .name = bytes("lock"), .lock = { .lease = lease } },
    };

    return sent(&g, 1, ch, sizeof ch / sizeof ch[0], NULL).outcome;
}

static bool is_there(const char *id)
{
    struct kedge_retrieve in = { .id = bytes(id) };
    struct kedge_run_state st;
    int rc = ops->retrieve(session, &in, &st, SOON, NULL);

    if (rc == KEDGE_OK)
        kedge_mem_free(&host, st.mem);
    return rc == KEDGE_OK;
}

START_TEST(a_commit_without_memory_leaves_nothing)
{
    int refused = 0;
    int rc;

    scene();
    for (;; refused++) {
        struct kedge_cell cell;
        long before = outstanding;

        alloc_left = refused;
        rc = everything_at_once();
        alloc_left = -1;
        if (rc == KEDGE_OK)
            break;
        ck_assert_int_eq(rc, KEDGE_ERR_NOMEM);
        ck_assert_uint_eq(verified().records, 0);
        ck_assert_uint_eq(verified().runs, 1);
        ck_assert(!is_there("child"));
        ck_assert_uint_eq(fence_of_lock(store, "lock"), 0);
        ck_assert_int_eq(ops->cell_get(session, bytes("cell"), &cell, SOON, NULL), KEDGE_OK);
        ck_assert_uint_eq(cell.value.len, 0);
        kedge_mem_free(&host, cell.mem);
        ck_assert_int_ge(outstanding, before); /* arrays grow, and keep their room */
        ck_assert_int_lt(outstanding - before, 12);
    }
    ck_assert_int_gt(refused, 20);
    ck_assert_uint_eq(verified().records, 4);
    ck_assert(is_there("child"));
    ops->session_close(session);
    ops->store_close(store);
    ck_assert_int_eq(outstanding, 0);
}
END_TEST

START_TEST(claim_revoke_and_purge_without_memory_leave_nothing)
{
    struct kedge_serve serve = { bytes("queue"), bytes("reactor"), 0, UINT32_MAX };
    struct kedge_claim claim = {
        .request = next_request(), .lease = lease, .serves = &serve, .n_serves = 1, .limit = 5
    };
    struct kedge_purged purged;
    struct kedge_run_page page;
    int rc;

    scene();
    ck_assert_int_eq(everything_at_once(), KEDGE_OK);
    for (long n = 0;; n++) {
        alloc_left = n;
        rc = ops->claim(session, &claim, &page, SOON, NULL);
        alloc_left = -1;
        if (rc == KEDGE_OK)
            break;
        ck_assert_int_eq(rc, KEDGE_ERR_NOMEM);
        ck_assert_uint_eq(verified().runs, 2);
    }
    ck_assert_uint_eq(page.n, 1);
    kedge_mem_free(&host, page.mem);
    for (long n = 0;; n++) {
        alloc_left = n;
        rc = ops->lease_revoke(session, &lease, SOON, NULL);
        alloc_left = -1;
        if (rc == KEDGE_OK)
            break;
        ck_assert_int_eq(rc, KEDGE_ERR_NOMEM);
        ck_assert_uint_ne(fence_of_lock(store, "lock"), 0); /* the lease is not dead */
        ck_assert_uint_eq(verified().runs, 2);
    }
    for (long n = 0;; n++) {
        alloc_left = n;
        rc = ops->purge(session, 100, &purged, SOON, NULL);
        alloc_left = -1;
        if (rc == KEDGE_OK)
            break;
        ck_assert_int_eq(rc, KEDGE_ERR_NOMEM);
    }
    ck_assert_uint_eq(purged.rows, 1); /* the lease */
    ck_assert_uint_eq(verified().runs, 2);
    ops->session_close(session);
    ops->store_close(store);
    ck_assert_int_eq(outstanding, 0);
}
END_TEST

START_TEST(an_open_without_memory_leaves_nothing)
{
    for (long n = 0;; n++) {
        struct kedge_open open = opening("mem:", "ns", KEDGE_OPEN_CREATE);
        int rc;

        alloc_left = n;
        rc = ops->store_open(&host, &open, &store, NULL);
        alloc_left = -1;
        if (rc == KEDGE_OK)
            break;
        ck_assert_int_eq(rc, KEDGE_ERR_NOMEM);
        ck_assert_int_eq(outstanding, 0);
    }
    ops->store_close(store);
    ck_assert_int_eq(outstanding, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mem");
    TCase *tc = tcase_create("mem");
    SRunner *sr = srunner_create(s);
    int failed;

    ops = kedge_backend_entry_mem();
    suite_add_tcase(s, tc);
    tcase_add_test(tc, a_store_without_a_name_belongs_to_one_open);
    tcase_add_test(tc, a_name_and_a_namespace_are_shared);
    tcase_add_test(tc, what_cannot_be_opened);
    tcase_add_test(tc, after_fork_nothing_works_and_closing_is_harmless);
    tcase_add_test(tc, a_commit_without_memory_leaves_nothing);
    tcase_add_test(tc, claim_revoke_and_purge_without_memory_leave_nothing);
    tcase_add_test(tc, an_open_without_memory_leaves_nothing);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
