/* test_store.c - opening a store: options, URLs, messages, what is told about it */
#include <config.h>

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/backend.h>
#include <kedge/kedge.h>

static struct kedge_store_options options;
static struct kedge_store *store;
static struct kedge_error err;

static void setup(void)
{
    options = (struct kedge_store_options)KEDGE_STORE_OPTIONS_INIT;
    options.flags = KEDGE_STORE_CREATE;
    store = NULL;
    memset(&err, 0, sizeof err);
}

static void teardown(void)
{
    kedge_store_close(store);
}

#define ARRAY_LEN(a) ((int)(sizeof(a) / sizeof *(a)))
#define ASSERT_OPENS(url)                                                                          \
    ck_assert_msg(kedge_store_open((url), &options, &store, &err) == KEDGE_OK, "%s", err.msg)
#define ASSERT_REFUSED(url, status, text)                                                          \
    do {                                                                                           \
        ck_assert_int_eq(kedge_store_open((url), &options, &store, &err), (status));               \
        ck_assert_int_eq(err.code, (status));                                                      \
        ck_assert_str_eq(err.msg, (text));                                                         \
        ck_assert_ptr_null(store);                                                                 \
    } while (0)

START_TEST(opens_by_url)
{
    ASSERT_OPENS("mem:");
    ck_assert_str_eq(kedge_store_url(store), "mem:");
    ck_assert_str_eq(kedge_store_backend(store), "mem");
    ck_assert_str_eq(kedge_store_ops(store)->name, "mem");
    ck_assert_ptr_nonnull(kedge_store_handle(store));
    ck_assert_ptr_eq(kedge_store_host(store), kedge_host_default());
}
END_TEST

START_TEST(opens_with_a_backend_that_fits_the_scheme)
{
    options.backend = "mem";
    ASSERT_OPENS("mem:x");
}
END_TEST

START_TEST(refuses_a_backend_that_does_not_fit_the_scheme)
{
    options.backend = "mem";
    ASSERT_REFUSED("lmdb:///x", KEDGE_ERR_INVALID,
                   "the store 'lmdb:///x' is for the backend 'lmdb', and 'mem' was asked for");
}
END_TEST

START_TEST(a_path_is_for_the_backend_that_was_asked_for)
{
    options.backend = "mem";
    ASSERT_OPENS("./a b?c%d#e");
    ck_assert_str_eq(kedge_store_url(store), "mem:./a%20b%3Fc%25d%23e");
}
END_TEST

START_TEST(refuses_what_is_neither_url_nor_path)
{
    ASSERT_REFUSED("x", KEDGE_ERR_INVALID,
                   "'x' is not a store; name it by a URL like mem: or lmdb:///path, or by a path "
                   "that begins with / or .");
    ASSERT_REFUSED("u:pw@host", KEDGE_ERR_BACKEND, err.msg);
    ck_assert_ptr_null(strstr(err.msg, "pw"));
    ck_assert_int_eq(err.sys_errno, ENOENT);
    ASSERT_REFUSED("mem:a#b", KEDGE_ERR_INVALID,
                   "the URL 'mem:a#b' contains a '#', which must be written %23");
}
END_TEST

static const struct {
    const char *url;
    const char *backend;
} schemes[] = {
    { "redis://h/0", "redis" },
    { "rediss://h/0", "redis" },
    { "redis+unix:///x", "redis" },
    { "rediss+any:x", "redis" },
    { "postgresql://h/d", "postgresql" },
    { "postgres://h/d", "postgresql" },
    { "postgresq://h/d", "postgresq" },
    { "postgresqll:", "postgresqll" },
    { "redi:", "redi" },
    { "redisss:", "redisss" },
    { "x_1+y:", "x_1" },
};

/* Whether it is here or not: it is not even looked for when another one was asked for. */
START_TEST(a_scheme_names_the_backend)
{
    char text[160];

    options.backend = "mem";
    (void)snprintf(text, sizeof text,
                   "the store '%s' is for the backend '%s', and 'mem' was asked for",
                   schemes[_i].url, schemes[_i].backend);
    ASSERT_REFUSED(schemes[_i].url, KEDGE_ERR_INVALID, text);
}
END_TEST

static const char *const no_schemes[] = { "redis-x:", "redis.x:", "+:", "+x:" };

START_TEST(a_scheme_that_no_backend_can_have)
{
    ck_assert_int_lt(kedge_store_open(no_schemes[_i], &options, &store, &err), 0);
    ck_assert_ptr_null(store);
}
END_TEST

START_TEST(refuses_null)
{
    ck_assert_int_eq(kedge_store_open(NULL, NULL, &store, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "argument 'url' is NULL");
    ck_assert_int_eq(kedge_store_open("mem:", NULL, NULL, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "argument 'store' is NULL");
    ck_assert_int_eq(kedge_store_open(NULL, NULL, NULL, NULL), KEDGE_ERR_INVALID);
    kedge_store_close(NULL);
}
END_TEST

START_TEST(refuses_options_that_were_not_initialised)
{
    options.struct_size = 0;
    ASSERT_REFUSED("mem:", KEDGE_ERR_INVALID,
                   "options.struct_size is 0; start from KEDGE_STORE_OPTIONS_INIT");
}
END_TEST

START_TEST(refuses_what_it_does_not_know)
{
    options.flags = 0x80;
    ck_assert_int_eq(kedge_store_open("mem:", &options, &store, &err), KEDGE_ERR_INVALID);
    ck_assert_ptr_eq(strstr(err.msg, "options.flags is 0x80; this library"), err.msg);
    setup();
    options.reserved = 1;
    ck_assert_int_eq(kedge_store_open("mem:", &options, &store, &err), KEDGE_ERR_INVALID);
    setup();
    options.ns = "";
    ASSERT_REFUSED("mem:", KEDGE_ERR_INVALID, "options.ns is empty");
}
END_TEST

START_TEST(options_of_older_headers_are_taken)
{
    options.struct_size = offsetof(struct kedge_store_options, backend_options);
    options.backend_options = "beyond=its_end";
    ASSERT_OPENS("mem:");
}
END_TEST

START_TEST(a_backend_gets_its_options)
{
    options.backend_options = "nothing=1";
    ASSERT_REFUSED("mem:", KEDGE_ERR_INVALID, "a store in memory has no option but 'hints=1'");
    options.backend_options = "";
    ASSERT_OPENS("mem:");
}
END_TEST

START_TEST(there_may_be_nothing_to_migrate)
{
    options.flags = KEDGE_STORE_MIGRATE;
    ck_assert_int_eq(kedge_store_open("mem:", &options, &store, &err), KEDGE_ERR_SCHEMA_MISSING);
    options.flags |= KEDGE_STORE_CREATE;
    ASSERT_OPENS("mem:");
}
END_TEST

static void no_script(void *ctx, const char *text, uint32_t from, uint32_t to)
{
    (void)ctx;
    (void)text;
    (void)from;
    (void)to;
    ck_abort_msg("nothing is to be printed");
}

START_TEST(a_script_that_there_is_not)
{
    ck_assert_int_eq(kedge_store_script("mem:", &options, no_script, NULL, &err),
                     KEDGE_ERR_UNSUPPORTED);
    ck_assert_str_eq(err.msg, "stores of the backend 'mem' are not set up by statements that could "
                              "be printed, but by kedge itself");
    ck_assert_int_eq(kedge_store_script(NULL, &options, no_script, NULL, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_store_script("mem:", &options, NULL, NULL, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_store_script("mem:#", &options, no_script, NULL, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_store_script("nowhere:", &options, no_script, NULL, &err),
                     KEDGE_ERR_BACKEND);
    ck_assert_int_eq(kedge_store_script("mem:", NULL, no_script, NULL, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg,
                     "options.flags is neither KEDGE_STORE_CREATE nor KEDGE_STORE_MIGRATE");
    options.flags = KEDGE_STORE_CREATE | KEDGE_STORE_MIGRATE;
    ck_assert_int_eq(kedge_store_script("mem:", &options, no_script, NULL, &err),
                     KEDGE_ERR_INVALID);
}
END_TEST

START_TEST(options_of_newer_headers_may_ask_for_nothing_new)
{
    struct {
        struct kedge_store_options options;
        uint64_t from_the_future;
    } newer;

    memset(&newer, 0, sizeof newer);
    newer.options = options;
    newer.options.struct_size = sizeof newer;
    ck_assert_int_eq(kedge_store_open("mem:", &newer.options, &store, &err), KEDGE_OK);
    kedge_store_close(store);
    store = NULL;
    newer.from_the_future = 1;
    ck_assert_int_eq(kedge_store_open("mem:", &newer.options, &store, &err), KEDGE_ERR_INVALID);
    ck_assert_ptr_null(store);
}
END_TEST

START_TEST(refuses_a_host_with_a_hole)
{
    struct kedge_host host = *kedge_host_default();

    options.host = &host;
    host.alloc = NULL;
    ASSERT_REFUSED("mem:", KEDGE_ERR_INVALID, "options.host lacks a function");
    host = *kedge_host_default();
    host.abi++;
    ck_assert_int_eq(kedge_store_open("mem:", &options, &store, &err), KEDGE_ERR_INVALID);
}
END_TEST

START_TEST(what_a_url_means_can_be_asked)
{
    const struct kedge_backend_ops *ops = NULL;
    char *place = NULL;

    ck_assert_int_eq(kedge_backend_resolve("mem:x", NULL, &ops, &place, &err), KEDGE_OK);
    ck_assert_str_eq(ops->name, "mem");
    ck_assert_str_eq(place, "mem:x");
    free(place);
    ck_assert_int_eq(kedge_backend_resolve("/a b/{}", "mem", &ops, &place, &err), KEDGE_OK);
    ck_assert_str_eq(place, "mem:///a%20b/{}");
    free(place);
    place = NULL;
    ck_assert_int_eq(kedge_backend_resolve("nosuch:x", NULL, &ops, &place, &err),
                     KEDGE_ERR_BACKEND);
    ck_assert_int_eq(kedge_backend_resolve("lmdb:x", "mem", &ops, &place, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_backend_resolve(NULL, NULL, &ops, &place, &err), KEDGE_ERR_INVALID);
    ck_assert_ptr_null(place);
}
END_TEST

START_TEST(a_namespace_longer_than_the_limit_is_refused)
{
    const struct kedge_backend_ops *ops = NULL;
    char *ns;
    size_t max;

    ck_assert_int_eq(kedge_backend_find("mem", &ops, &err), KEDGE_OK);
    max = (size_t)ops->limits->id_max;
    ns = malloc(max + 2);
    ck_assert_ptr_nonnull(ns);
    memset(ns, 'n', max + 1);
    ns[max + 1] = '\0';
    options.ns = ns;
    ck_assert_int_eq(kedge_store_open("mem:", &options, &store, &err), KEDGE_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "the namespace is longer than "));
    free(ns);
}
END_TEST

/* What must be told of every store, in this order, before the backend's own facts. */
static const char *const promised[] = {
    "url",
    "backend",
    "namespace",
    "server",
    "place",
    "durability",
    "capabilities",
    "schema",
    "incarnation",
    "limit.id_max",
    "limit.value_max",
    "limit.cell_max",
    "limit.batch_items",
    "limit.batch_bytes",
    "limit.commit_changes",
    "limit.commit_bytes",
    "limit.page_max",
    "limit.ttl_min_us",
    "limit.ttl_max_us",
};
#define PROMISED (sizeof promised / sizeof *promised)

static void expect_fact(void *ctx, const char *name, const char *value)
{
    size_t *n = ctx;

    ck_assert_ptr_nonnull(value);
    if (*n < PROMISED)
        ck_assert_str_eq(name, promised[*n]);
    else
        ck_assert_ptr_eq(strstr(name, "backend."), name);
    ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_."), strlen(name));
    if (strcmp(name, "namespace") == 0)
        ck_assert_str_eq(value, "default");
    (*n)++;
}

START_TEST(tells_what_it_is)
{
    size_t n = 0;

    ASSERT_OPENS("mem:");
    ck_assert_int_eq(kedge_store_info(store, 1000000, expect_fact, &n, &err), KEDGE_OK);
    ck_assert_uint_ge(n, PROMISED);
    ck_assert_int_eq(kedge_store_info(store, 0, expect_fact, &n, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_store_info(NULL, 1, expect_fact, &n, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_store_info(store, 1, NULL, &n, &err), KEDGE_ERR_INVALID);
}
END_TEST

static void count_fact(void *ctx, const char *name, const char *value)
{
    (void)name;
    (void)value;
    (*(size_t *)ctx)++;
}

START_TEST(backends_tell_what_they_are)
{
    size_t n = 0;

    ck_assert_int_eq(kedge_backend_info("mem", count_fact, &n, &err), KEDGE_OK);
    ck_assert_uint_eq(n, 19);
    ck_assert_int_eq(kedge_backend_info(NULL, count_fact, &n, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_backend_info("mem", NULL, &n, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_backend_info("nowhere", count_fact, &n, &err), KEDGE_ERR_BACKEND);
    ck_assert_uint_eq(n, 19);
}
END_TEST

START_TEST(every_status_has_a_name_and_a_text)
{
    ck_assert_str_eq(kedge_status_name(KEDGE_OK), "OK");
    ck_assert_str_eq(kedge_status_text(KEDGE_OK), "done");
    ck_assert_str_eq(kedge_status_name(KEDGE_ERR_UNKNOWN), "ERR_UNKNOWN");
    ck_assert_str_eq(kedge_status_text(12345), "unknown status");
    ck_assert_str_eq(kedge_status_name(12345), "UNKNOWN_STATUS");
    ck_assert_str_eq(kedge_version(), KEDGE_VERSION);
}
END_TEST

START_TEST(the_default_host_tells_the_time)
{
    const struct kedge_host *host = kedge_host_default();
    int64_t wall = host->clock_us(host->ctx, KEDGE_CLOCK_WALL);
    int64_t lease = host->clock_us(host->ctx, KEDGE_CLOCK_LEASE);
    void *p = host->alloc(host->ctx, 100);

    ck_assert_int_gt(wall, INT64_C(1700000000000000));
    ck_assert_int_gt(lease, 0);
    ck_assert_int_ge(host->clock_us(host->ctx, KEDGE_CLOCK_LEASE), lease);
    ck_assert_ptr_nonnull(p);
    host->release(host->ctx, p);
    host->release(host->ctx, NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("store");
    TCase *tc = tcase_create("store");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, opens_by_url);
    tcase_add_test(tc, opens_with_a_backend_that_fits_the_scheme);
    tcase_add_test(tc, refuses_a_backend_that_does_not_fit_the_scheme);
    tcase_add_test(tc, a_path_is_for_the_backend_that_was_asked_for);
    tcase_add_test(tc, refuses_what_is_neither_url_nor_path);
    tcase_add_loop_test(tc, a_scheme_names_the_backend, 0, ARRAY_LEN(schemes));
    tcase_add_loop_test(tc, a_scheme_that_no_backend_can_have, 0, ARRAY_LEN(no_schemes));
    tcase_add_test(tc, refuses_null);
    tcase_add_test(tc, refuses_options_that_were_not_initialised);
    tcase_add_test(tc, refuses_what_it_does_not_know);
    tcase_add_test(tc, options_of_older_headers_are_taken);
    tcase_add_test(tc, a_backend_gets_its_options);
    tcase_add_test(tc, there_may_be_nothing_to_migrate);
    tcase_add_test(tc, a_script_that_there_is_not);
    tcase_add_test(tc, options_of_newer_headers_may_ask_for_nothing_new);
    tcase_add_test(tc, refuses_a_host_with_a_hole);
    tcase_add_test(tc, what_a_url_means_can_be_asked);
    tcase_add_test(tc, a_namespace_longer_than_the_limit_is_refused);
    tcase_add_test(tc, tells_what_it_is);
    tcase_add_test(tc, backends_tell_what_they_are);
    tcase_add_test(tc, every_status_has_a_name_and_a_text);
    tcase_add_test(tc, the_default_host_tells_the_time);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
