/* test_registry.c - what is accepted as a backend, and in which words the rest is refused */
#include <config.h>

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kedge/store.h>

#include "src/import.h"
#include "src/registry.h"

kedge_backend_entry_fn kedge_backend_entry_mem;

/* A table with room behind it, as a backend from the future would have. */
static struct {
    struct kedge_backend_ops ops;
    void *from_the_future[2];
} table;
static struct {
    struct kedge_limits limits;
    uint64_t from_the_future[2];
} limits;
static struct kedge_backend be;
static struct kedge_error err;

static void setup(void)
{
    memset(&table, 0, sizeof table);
    memset(&limits, 0, sizeof limits);
    table.ops = *kedge_backend_entry_mem();
    limits.limits = *table.ops.limits;
    table.ops.limits = &limits.limits;
    memset(&be, 0xff, sizeof be);
    memset(&err, 0, sizeof err);
}

static int import(void)
{
    return kedge_backend_import(&be, &table.ops, "t.so", &err);
}

#define ASSERT_REFUSED(text)                                                                       \
    do {                                                                                           \
        ck_assert_int_eq(import(), KEDGE_ERR_BACKEND);                                             \
        ck_assert_int_eq(err.code, KEDGE_ERR_BACKEND);                                             \
        ck_assert_str_eq(err.msg, (text));                                                         \
    } while (0)

START_TEST(accepts_the_backend_in_memory)
{
    ck_assert_int_eq(import(), KEDGE_OK);
    ck_assert_str_eq(be.ops.name, "mem");
    ck_assert_ptr_eq(be.ops.limits, &be.limits);
    ck_assert_uint_eq(be.ops.struct_size, sizeof be.ops);
}
END_TEST

START_TEST(no_operation_is_ever_null)
{
    table.ops.verify = NULL;
    table.ops.wait = NULL;
    table.ops.notify = NULL;
    ck_assert_int_eq(import(), KEDGE_OK);
    for (size_t at = offsetof(struct kedge_backend_ops, store_open); at < sizeof be.ops;
         at += sizeof(void *)) {
        static const char null[sizeof(void *)];

        ck_assert_msg(memcmp((const char *)&be.ops + at, null, sizeof null) != 0,
                      "the operation at offset %zu is NULL", at);
    }
}
END_TEST

START_TEST(what_is_missing_answers_unsupported)
{
    struct kedge_verified verified;
    struct kedge_script script = { .to = 7 };
    uint64_t ticket = 7;

    table.ops.verify = NULL;
    table.ops.wait = NULL;
    table.ops.notify = NULL;
    ck_assert_int_eq(import(), KEDGE_OK);
    ck_assert(!kedge_backend_has_verify(&be));
    ck_assert(!kedge_backend_has_wait(&be));
    ck_assert_int_eq(be.ops.verify(NULL, &verified, 1, &err), KEDGE_ERR_UNSUPPORTED);
    ck_assert_str_eq(err.msg, "this backend has no operation 'verify'");
    ck_assert_int_eq(be.ops.wait(NULL, 0, &ticket, 1, &err), KEDGE_ERR_UNSUPPORTED);
    ck_assert_str_eq(err.msg, "this backend has no operation 'wait'");
    ck_assert_uint_eq(ticket, 7);
    ck_assert_int_eq(be.ops.notify(NULL, NULL), KEDGE_ERR_UNSUPPORTED);
    ck_assert(!kedge_backend_has_script(&be));
    ck_assert_int_eq(be.ops.schema_script(NULL, NULL, &script, &err), KEDGE_ERR_UNSUPPORTED);
    ck_assert_str_eq(err.msg, "this backend has no operation 'schema_script'");
    ck_assert_uint_eq(script.to, 7);
}
END_TEST

START_TEST(an_older_table_ends_before_the_optional_operations)
{
    table.ops.struct_size = offsetof(struct kedge_backend_ops, verify);
    ck_assert_int_eq(import(), KEDGE_OK);
    ck_assert(!kedge_backend_has_verify(&be));
    ck_assert(!kedge_backend_has_wait(&be));
    ck_assert(!kedge_backend_has_script(&be));
}
END_TEST

START_TEST(a_newer_table_is_cut_to_ours)
{
    table.ops.struct_size = sizeof table;
    table.from_the_future[0] = &table;
    limits.limits.struct_size = sizeof limits;
    limits.from_the_future[0] = 1;
    table.ops.caps |= UINT64_C(1) << 60;
    ck_assert_int_eq(import(), KEDGE_OK);
    ck_assert_uint_eq(be.ops.struct_size, sizeof be.ops);
    ck_assert_uint_eq(be.limits.struct_size, sizeof be.limits);
    ck_assert_uint_eq(be.ops.caps & ~KEDGE_CAPS_KNOWN, 0);
}
END_TEST

START_TEST(refuses_no_table)
{
    ck_assert_int_eq(kedge_backend_import(&be, NULL, "t.so", &err), KEDGE_ERR_BACKEND);
    ck_assert_str_eq(err.msg, "t.so: kedge_backend_entry answered no table");
    ck_assert_int_eq(kedge_backend_import(&be, NULL, "t.so", NULL), KEDGE_ERR_BACKEND);
}
END_TEST

START_TEST(refuses_a_foreign_abi_and_reads_no_further)
{
    const struct {
        uint32_t struct_size;
        uint32_t abi;
    } stub = { 8, KEDGE_BACKEND_ABI + 1 };
    const void *p = &stub;

    ck_assert_int_eq(kedge_backend_import(&be, p, "t.so", &err), KEDGE_ERR_BACKEND);
    ck_assert_str_eq(err.msg, "t.so: member abi is 2, this library loads backends of ABI 1 only; "
                              "build the backend again with this release's headers");
}
END_TEST

START_TEST(refuses_a_table_that_is_too_short)
{
    table.ops.struct_size = offsetof(struct kedge_backend_ops, purge);
    ck_assert_int_eq(import(), KEDGE_ERR_BACKEND);
    ck_assert_ptr_nonnull(strstr(err.msg, "t.so: member struct_size is "));
    table.ops.struct_size = offsetof(struct kedge_backend_ops, wait) + 4;
    ck_assert_int_eq(import(), KEDGE_ERR_BACKEND);
    ck_assert_ptr_nonnull(strstr(err.msg, "which ends inside a member"));
}
END_TEST

static const char *const bad_names[] = {
    "", "Mem", "1a", "_a", "a-b", "a.b", "a/b", "a b", "abcdefghijklmnopqrstuvwxyz0123456",
};

START_TEST(refuses_a_size_that_no_table_has)
{
    table.ops.struct_size = UINT32_MAX - 7;
    ASSERT_REFUSED("t.so: member struct_size is 4294967288, which no table has: set it with "
                   "KEDGE_BACKEND_HEADER, or to its sizeof");
    table.ops.struct_size = sizeof table - 4; /* larger than ours, and half a pointer */
    ck_assert_int_eq(import(), KEDGE_ERR_BACKEND);
    ck_assert_ptr_nonnull(strstr(err.msg, "which ends inside a member"));
    setup();
    limits.limits.struct_size = UINT32_MAX - 7;
    ck_assert_int_eq(import(), KEDGE_ERR_BACKEND);
    ck_assert_ptr_nonnull(
        strstr(err.msg, "t.so: member limits.struct_size is 4294967288, which no table has"));
    limits.limits.struct_size = sizeof limits - 1;
    ck_assert_int_eq(import(), KEDGE_ERR_BACKEND);
    ck_assert_ptr_nonnull(strstr(err.msg, "which ends inside a member"));
}
END_TEST

START_TEST(refuses_a_bad_name)
{
    char text[256];

    table.ops.name = bad_names[_i];
    (void)snprintf(text, sizeof text,
                   "t.so: member name is '%s', it must be a letter a-z and up to 31 more of a-z, "
                   "0-9, _",
                   bad_names[_i]);
    ASSERT_REFUSED(text);
}
END_TEST

START_TEST(refuses_no_name_and_no_version)
{
    table.ops.name = NULL;
    ck_assert_int_eq(import(), KEDGE_ERR_BACKEND);
    table.ops.name = "abcdefghijklmnopqrstuvwxyz012345"; /* the longest */
    ck_assert_int_eq(import(), KEDGE_OK);
    table.ops.version = NULL;
    ASSERT_REFUSED("t.so: member version is empty");
    table.ops.version = "";
    ASSERT_REFUSED("t.so: member version is empty");
}
END_TEST

START_TEST(refuses_what_it_does_not_know)
{
    table.ops.threads = KEDGE_THREADS_SESSION + 1;
    ASSERT_REFUSED("t.so: member threads is 2, this library knows 0 to 1");
    setup();
    table.ops.reserved = 1;
    ASSERT_REFUSED("t.so: member reserved is not zero");
    setup();
    limits.limits.reserved = 1;
    ASSERT_REFUSED("t.so: limits.reserved is not zero");
}
END_TEST

/* Every operation up to verify is required; its place in the table is all that is needed here. */
START_TEST(refuses_each_missing_operation_by_name)
{
    size_t at = offsetof(struct kedge_backend_ops, store_open) + (size_t)_i * sizeof(void *);

    memset((char *)&table.ops + at, 0, sizeof(void *));
    ck_assert_int_eq(import(), KEDGE_ERR_BACKEND);
    ck_assert_ptr_nonnull(strstr(err.msg, "t.so: required operation '"));
    ck_assert_ptr_nonnull(strstr(err.msg, "' is missing"));
}
END_TEST

START_TEST(names_the_missing_operation)
{
    table.ops.lease_bury = NULL;
    ASSERT_REFUSED("t.so: required operation 'lease_bury' is missing");
}
END_TEST

static int notify(void *session, struct kedge_error *e)
{
    (void)session;
    (void)e;
    return KEDGE_OK;
}

START_TEST(refuses_half_of_a_pair)
{
    table.ops.wait = NULL;
    table.ops.notify = notify;
    ASSERT_REFUSED("t.so: operation 'notify' is there without 'wait'");
}
END_TEST

START_TEST(refuses_limits_that_are_none)
{
    table.ops.limits = NULL;
    ASSERT_REFUSED("t.so: member limits is missing");
    setup();
    limits.limits.struct_size = 16;
    ck_assert_int_eq(import(), KEDGE_ERR_BACKEND);
    ck_assert_ptr_nonnull(strstr(err.msg, "t.so: member limits.struct_size is 16"));
    setup();
    limits.limits.id_max = 1023;
    ASSERT_REFUSED("t.so: limits.id_max is 1023, it must be at least 1024");
    setup();
    limits.limits.page_max = 0;
    ASSERT_REFUSED("t.so: limits.page_max is 0, it must be at least 1");
    setup();
    limits.limits.commit_bytes = limits.limits.value_max - 1;
    ck_assert_int_eq(import(), KEDGE_ERR_BACKEND);
    ck_assert_ptr_nonnull(strstr(err.msg, "t.so: limits.commit_bytes is "));
    setup();
    limits.limits.ttl_min_us = 0;
    ck_assert_int_eq(import(), KEDGE_ERR_BACKEND);
    setup();
    limits.limits.ttl_max_us = limits.limits.ttl_min_us - 1;
    ck_assert_int_eq(import(), KEDGE_ERR_BACKEND);
}
END_TEST

/* ---------------------------------------------------------------- registry */

#define DIR_TEMPLATE "/tmp/kedge-registry-XXXXXX"

static char dir[sizeof DIR_TEMPLATE];
static char broken_so[sizeof DIR_TEMPLATE "/broken.so"];

static void make_dir(void)
{
    memcpy(dir, DIR_TEMPLATE, sizeof dir);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(broken_so, sizeof broken_so, "%s/broken.so", dir);
    memset(&err, 0, sizeof err);
}

static void remove_dir(void)
{
    (void)chdir("/");
    (void)unsetenv("KEDGE_BACKEND_PATH");
    (void)unlink(broken_so);
    (void)rmdir(dir);
}

START_TEST(finds_the_built_in_one)
{
    const struct kedge_backend_ops *ops = NULL;
    const struct kedge_backend_ops *again = NULL;

    ck_assert_int_eq(kedge_backend_find("mem", &ops, &err), KEDGE_OK);
    ck_assert_str_eq(ops->name, "mem");
    ck_assert_int_eq(kedge_backend_find("mem", &again, NULL), KEDGE_OK);
    ck_assert_ptr_eq(ops, again);
}
END_TEST

START_TEST(names_what_is_not_there_and_where_it_looked)
{
    const struct kedge_backend_ops *ops = NULL;

    ck_assert_int_eq(kedge_backend_find("nowhere", &ops, &err), KEDGE_ERR_BACKEND);
    ck_assert_ptr_null(ops);
    ck_assert_int_eq(err.sys_errno, ENOENT);
    ck_assert_ptr_nonnull(
        strstr(err.msg, "there is no backend 'nowhere': inside the library are "));
    ck_assert_ptr_nonnull(strstr(err.msg, "there is no nowhere.so in $KEDGE_BACKEND_PATH or /"));
}
END_TEST

START_TEST(a_name_is_not_a_path)
{
    const struct kedge_backend_ops *ops = NULL;

    ck_assert_int_eq(kedge_backend_find("../x", &ops, &err), KEDGE_ERR_BACKEND);
    ck_assert_str_eq(err.msg, "there is no module '../x'");
    ck_assert_int_eq(err.sys_errno, ENOENT);
    ck_assert_int_eq(kedge_backend_find("..", &ops, &err), KEDGE_ERR_BACKEND);
    ck_assert_ptr_nonnull(strstr(err.msg, "'..' cannot be the name of a backend"));
    ck_assert_int_eq(kedge_backend_find("", &ops, &err), KEDGE_ERR_BACKEND);
    ck_assert_int_eq(kedge_backend_find(NULL, &ops, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_backend_find("mem", NULL, &err), KEDGE_ERR_INVALID);
}
END_TEST

/* Writes broken.so into the directory and makes that the place of modules. */
static void put_broken_module(void)
{
    FILE *f = fopen(broken_so, "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs("not an object\n", f), 0);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(setenv("KEDGE_BACKEND_PATH", dir, 1), 0);
}

START_TEST(a_broken_module_is_refused_with_the_reason)
{
    const struct kedge_backend_ops *ops = NULL;

    put_broken_module();
    ck_assert_int_eq(kedge_backend_find("broken", &ops, &err), KEDGE_ERR_BACKEND);
    ck_assert_int_eq(err.sys_errno, 0);
    ck_assert_ptr_eq(strstr(err.msg, dir), err.msg);
    ck_assert_ptr_nonnull(strstr(err.msg, "/broken.so: "));
    ck_assert_ptr_null(ops);
}
END_TEST

struct seen {
    int mem;
    int broken;
    int stop;
};

static int see(void *ctx, const char *name, const char *path, const struct kedge_error *problem)
{
    struct seen *seen = ctx;

    if (strcmp(name, "mem") == 0) {
        seen->mem++;
        ck_assert_ptr_null(path);
        ck_assert_ptr_null(problem);
    }
    if (strcmp(name, "broken") == 0) {
        seen->broken++;
        ck_assert_ptr_nonnull(path);
        ck_assert_ptr_nonnull(problem);
        ck_assert_int_eq(problem->code, KEDGE_ERR_BACKEND);
    }
    return seen->stop;
}

START_TEST(the_walk_shows_broken_ones_too)
{
    struct seen seen = { 0 };

    put_broken_module();
    ck_assert_int_eq(kedge_backend_each(see, &seen, &err), 0);
    ck_assert_int_eq(seen.mem, 1);
    ck_assert_int_eq(seen.broken, 1);
    seen.stop = 42;
    ck_assert_int_eq(kedge_backend_each(see, &seen, &err), 42);
    ck_assert_int_eq(seen.broken, 1);
}
END_TEST

START_TEST(a_relative_directory_is_not_looked_into)
{
    const struct kedge_backend_ops *ops = NULL;

    put_broken_module();
    ck_assert_int_eq(chdir(dir), 0);
    ck_assert_int_eq(setenv("KEDGE_BACKEND_PATH", ".:::" /* and three empty ones */, 1), 0);
    ck_assert_int_eq(kedge_backend_find("broken", &ops, &err), KEDGE_ERR_BACKEND);
    ck_assert_int_eq(err.sys_errno, ENOENT);
}
END_TEST

static void *find_in_thread(void *arg)
{
    const struct kedge_backend_ops *ops = NULL;

    (void)arg;
    if (kedge_backend_find("mem", &ops, NULL) != KEDGE_OK)
        return NULL;
    (void)kedge_backend_find("nowhere", &ops, NULL);
    return (void *)(uintptr_t)ops;
}

START_TEST(many_threads_get_one_table)
{
    pthread_t threads[8];
    void *first = NULL;

    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, find_in_thread, NULL), 0);
    for (int i = 0; i < 8; i++) {
        void *ops = NULL;

        ck_assert_int_eq(pthread_join(threads[i], &ops), 0);
        ck_assert_ptr_nonnull(ops);
        ck_assert(first == NULL || first == ops);
        first = ops;
    }
}
END_TEST

#define ARRAY_LEN(a) ((int)(sizeof(a) / sizeof *(a)))

int main(void)
{
    Suite *s = suite_create("registry");
    TCase *tc = tcase_create("import");
    int required = (int)((offsetof(struct kedge_backend_ops, verify) -
                          offsetof(struct kedge_backend_ops, store_open)) /
                         sizeof(void *));
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, accepts_the_backend_in_memory);
    tcase_add_test(tc, no_operation_is_ever_null);
    tcase_add_test(tc, what_is_missing_answers_unsupported);
    tcase_add_test(tc, an_older_table_ends_before_the_optional_operations);
    tcase_add_test(tc, a_newer_table_is_cut_to_ours);
    tcase_add_test(tc, refuses_no_table);
    tcase_add_test(tc, refuses_a_foreign_abi_and_reads_no_further);
    tcase_add_test(tc, refuses_a_table_that_is_too_short);
    tcase_add_test(tc, refuses_a_size_that_no_table_has);
    tcase_add_loop_test(tc, refuses_a_bad_name, 0, ARRAY_LEN(bad_names));
    tcase_add_test(tc, refuses_no_name_and_no_version);
    tcase_add_test(tc, refuses_what_it_does_not_know);
    tcase_add_loop_test(tc, refuses_each_missing_operation_by_name, 0, required);
    tcase_add_test(tc, names_the_missing_operation);
    tcase_add_test(tc, refuses_half_of_a_pair);
    tcase_add_test(tc, refuses_limits_that_are_none);

    tc = tcase_create("registry");
    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, make_dir, remove_dir);
    tcase_add_test(tc, finds_the_built_in_one);
    tcase_add_test(tc, names_what_is_not_there_and_where_it_looked);
    tcase_add_test(tc, a_name_is_not_a_path);
    tcase_add_test(tc, a_broken_module_is_refused_with_the_reason);
    tcase_add_test(tc, the_walk_shows_broken_ones_too);
    tcase_add_test(tc, a_relative_directory_is_not_looked_into);
    tcase_add_test(tc, many_threads_get_one_table);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
