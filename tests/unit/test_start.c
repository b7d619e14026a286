/* test_start.c - runs are started, waited for and read, without a worker */
#include <config.h>

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kedge/backend.h>
#include <kedge/kedge.h>

#include "src/session.h"
#include "tests/support/journal.h"

#define TIMEOUT_US INT64_C(5000000)
#define COUNT(a)   (sizeof(a) / sizeof *(a))

static struct kedge_store *store;
static struct kedge_error err;
static char dir[64];

static void open_at(const char *url)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    options.flags = KEDGE_STORE_CREATE;
    store = NULL;
    memset(&err, 0, sizeof err);
    ck_assert_msg(kedge_store_open(url, &options, &store, &err) == KEDGE_OK, "%s", err.msg);
}

static void setup_mem(void)
{
    open_at("mem:");
}

static void setup_lmdb(void)
{
    char url[96];

    (void)snprintf(dir, sizeof dir, "/tmp/kedge-start-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(url, sizeof url, "lmdb://%s/db?map_size=256MiB", dir);
    open_at(url);
}

static void teardown(void)
{
    char command[96];

    kedge_store_close(store);
    if (dir[0] != '\0') {
        (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
        ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a name of mkdtemp's */
        dir[0] = '\0';
    }
}

static struct kedge_run_start start_of(const char *id)
{
    struct kedge_run_start start = KEDGE_START_INIT;

    start.reactor = "order";
    start.version = 1;
    start.id = kedge_text(id);
    return start;
}

static void start_ok(const char *id)
{
    struct kedge_run_start start = start_of(id);

    ck_assert_msg(kedge_start(store, &start, TIMEOUT_US, &err) == KEDGE_OK, "%s", err.msg);
}

static struct kedge_run_info *get(const char *id, uint32_t want)
{
    struct kedge_run_info *info = NULL;

    ck_assert_msg(kedge_run_get(store, kedge_text(id), want, &info, TIMEOUT_US, &err) == KEDGE_OK,
                  "%s", err.msg);
    return info;
}

#define ASSERT_BYTES(bytes, text)                                                                  \
    do {                                                                                           \
        ck_assert_uint_eq((bytes).len, strlen(text));                                              \
        ck_assert_mem_eq((bytes).data, (text), strlen(text));                                      \
    } while (0)

/* --------------------------------------------------------------------- ids */

START_TEST(ids_are_ordered_uuids)
{
    char a[KEDGE_RUN_ID_SIZE];
    char b[KEDGE_RUN_ID_SIZE];

    ck_assert_int_eq(kedge_run_id_make(a, &err), KEDGE_OK);
    (void)usleep(2000);
    ck_assert_int_eq(kedge_run_id_make(b, &err), KEDGE_OK);
    ck_assert_uint_eq(strlen(a), 36);
    ck_assert_int_eq(a[14], '7');
    ck_assert_ptr_nonnull(strchr("89ab", a[19]));
    ck_assert_uint_eq(strspn(a, "0123456789abcdef-"), 36);
    ck_assert_str_lt(a, b);
    ck_assert_int_eq(kedge_run_id_make(NULL, &err), KEDGE_ERR_INVALID);
}
END_TEST

/* ------------------------------------------------------------------- start */

START_TEST(a_start_is_there)
{
    struct kedge_run_start start = start_of("r1");
    struct kedge_run_info *info;

    start.context = kedge_text("trace");
    start.queue = kedge_text("slow");
    start.input = kedge_text("{\"a\":1}");
    ck_assert_int_eq(kedge_start(store, &start, TIMEOUT_US, &err), KEDGE_OK);
    info = get("r1", KEDGE_RUN_WANT_RESULT);
    ASSERT_BYTES(info->id, "r1");
    ASSERT_BYTES(info->reactor, "order");
    ASSERT_BYTES(info->queue, "slow");
    ASSERT_BYTES(info->context, "trace");
    ck_assert_uint_eq(info->version, 1);
    ck_assert_uint_eq(info->status, KEDGE_PENDING);
    ck_assert_uint_eq(info->place, KEDGE_PLACE_DUE);
    ck_assert_uint_eq(info->records, 1);
    ck_assert_int_ne(info->created, 0);
    ck_assert_int_eq(info->finished, 0);
    ck_assert_uint_eq(info->result.len + info->error.len + info->error_step.len, 0);
    kedge_run_info_free(info);
    kedge_run_info_free(NULL);
}
END_TEST

START_TEST(a_second_start_exists)
{
    struct kedge_run_start start = start_of("r1");

    start_ok("r1");
    start.version = 2;
    ck_assert_int_eq(kedge_start(store, &start, TIMEOUT_US, &err), KEDGE_EXISTS);
}
END_TEST

START_TEST(times_are_kept)
{
    struct kedge_run_start start = start_of("later");
    struct kedge_run_info *info;

    start.delay_us = 3600000000;
    ck_assert_int_eq(kedge_start(store, &start, TIMEOUT_US, &err), KEDGE_OK);
    info = get("later", 0);
    ck_assert_int_ge(info->due, info->created + 3600000000);
    kedge_run_info_free(info);
    start.id = kedge_text("then");
    start.at_us = 4102444800000000;
    ck_assert_int_eq(kedge_start(store, &start, TIMEOUT_US, &err), KEDGE_OK);
    info = get("then", 0);
    ck_assert_int_eq(info->due, 4102444800000000);
    kedge_run_info_free(info);
}
END_TEST

static void refused(struct kedge_run_start start, int64_t timeout_us, int status, const char *words)
{
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(kedge_start(store, &start, timeout_us, &err), status);
    ck_assert_int_eq(err.code, status);
    ck_assert_msg(strstr(err.msg, words) != NULL, "'%s' in '%s'", words, err.msg);
}

START_TEST(nonsense_is_refused)
{
    static char long_text[1026];
    struct kedge_run_start s = start_of("r");

    memset(long_text, 'x', sizeof long_text - 1);
#define REFUSED(member, value, words)                                                              \
    do {                                                                                           \
        s = start_of("r");                                                                         \
        s.member = (value);                                                                        \
        refused(s, TIMEOUT_US, KEDGE_ERR_INVALID, (words));                                        \
    } while (0)
    REFUSED(struct_size, 8, "KEDGE_START_INIT");
    REFUSED(reactor, NULL, "no reactor");
    REFUSED(reactor, "", "no reactor");
    REFUSED(reactor, "a b", "at 1");
    REFUSED(reactor, long_text, "more than 255");
    REFUSED(version, 0, "version");
    REFUSED(flags, 1, "flags");
    REFUSED(id, kedge_text(""), "id is empty");
    REFUSED(id, kedge_text(long_text), "1025 bytes");
    REFUSED(input, kedge_text("{"), "");
    REFUSED(delay_us, -1, "delay_us");
    REFUSED(at_us, -1, "at_us");
    refused(start_of("r"), 0, KEDGE_ERR_INVALID, "timeout_us");
    ck_assert_int_eq(kedge_start(NULL, &s, TIMEOUT_US, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_start(store, NULL, TIMEOUT_US, NULL), KEDGE_ERR_INVALID);
    s = start_of("r");
    s.input =
        (struct kedge_bytes){ long_text, (size_t)kedge_store_ops(store)->limits->value_max + 1 };
    refused(s, TIMEOUT_US, KEDGE_ERR_TOO_BIG, "input");
}
END_TEST

START_TEST(a_bad_one_does_not_disturb_the_others)
{
    struct kedge_run_start starts[4];
    int outcomes[4];

    start_ok("old");
    for (size_t i = 0; i < 4; i++)
        starts[i] = start_of(i == 0 ? "a" : i == 1 ? "old" : i == 2 ? "bad" : "a");
    starts[2].version = 0;
    ck_assert_int_eq(kedge_start_many(store, starts, 4, sizeof *starts, outcomes, TIMEOUT_US, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "version"));
    ck_assert_int_eq(outcomes[0], KEDGE_OK);
    ck_assert_int_eq(outcomes[1], KEDGE_EXISTS);
    ck_assert_int_eq(outcomes[2], KEDGE_ERR_INVALID);
    ck_assert_int_eq(outcomes[3], KEDGE_EXISTS);
    kedge_run_info_free(get("a", 0));
    ck_assert_int_eq(kedge_start_many(store, starts, 4, 8, outcomes, TIMEOUT_US, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_start_many(store, NULL, 0, sizeof *starts, NULL, TIMEOUT_US, &err),
                     KEDGE_OK);
}
END_TEST

static int count(void *ctx, const struct kedge_run_info *info)
{
    (void)info;
    ++*(size_t *)ctx;
    return 0;
}

/* More than a batch has items, and some that do not fit together. */
START_TEST(many_are_started)
{
    enum { N = 700 };
    static char ids[N][16];
    static char input[400000];
    static int outcomes[N];
    struct kedge_run_start *starts = calloc(N, sizeof *starts);
    size_t n = 0;

    memset(input, '7', sizeof input);
    ck_assert_ptr_nonnull(starts);
    for (size_t i = 0; i < N; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "run-%zu", i);
        starts[i] = start_of(ids[i]);
        if (i % 100 == 50 || i % 100 == 51 || i % 100 == 52)
            starts[i].input = (struct kedge_bytes){ input, sizeof input };
    }
    ck_assert_msg(kedge_start_many(store, starts, N, sizeof *starts, outcomes, TIMEOUT_US, &err) ==
                      KEDGE_OK,
                  "%s", err.msg);
    for (size_t i = 0; i < N; i++)
        ck_assert_int_eq(outcomes[i], KEDGE_OK);
    ck_assert_int_eq(kedge_run_list(store, NULL, count, &n, TIMEOUT_US, &err), KEDGE_OK);
    ck_assert_uint_eq(n, N);
    free(starts);
}
END_TEST

/* -------------------------------------------------------------------- read */

static int see_nothing(void *ctx, const struct kedge_step_info *step)
{
    (void)step;
    ++*(size_t *)ctx;
    return 0;
}

START_TEST(what_is_not_there_is_not_found)
{
    struct kedge_run_info *info = NULL;
    size_t n = 0;

    ck_assert_int_eq(kedge_run_get(store, kedge_text("x"), 0, &info, TIMEOUT_US, &err),
                     KEDGE_NOT_FOUND);
    ck_assert_int_eq(kedge_run_wait(store, kedge_text("x"), &info, TIMEOUT_US, &err),
                     KEDGE_NOT_FOUND);
    ck_assert_int_eq(kedge_run_steps(store, kedge_text("x"), see_nothing, &n, TIMEOUT_US, &err),
                     KEDGE_NOT_FOUND);
    ck_assert_int_eq(kedge_run_get(store, kedge_text(""), 0, &info, TIMEOUT_US, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_run_get(store, kedge_text("x"), 8, &info, TIMEOUT_US, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_ptr_null(info);
}
END_TEST

static const struct kedge_rec completed[] = {
    { .kind = KEDGE_RECORD_DELAYED, .step = 0, .failures = 1, .delay_us = 5, .text = { "no", 2 } },
    { .kind = KEDGE_RECORD_DONE, .step = 0, .value = { "[1]", 3 }, .has_value = 1 },
    { .kind = KEDGE_RECORD_DONE, .step = 1, .value = { "\"two\"", 5 }, .has_value = 1 },
    { .kind = KEDGE_RECORD_END, .step = KEDGE_NO_STEP, .status = KEDGE_COMPLETED, .number = 4 },
};
static const struct kedge_rec failed[] = {
    { .kind = KEDGE_RECORD_FAILED, .step = 1, .failures = 2, .text = { "broken", 6 } },
    { .kind = KEDGE_RECORD_END, .step = 1, .status = KEDGE_FAILED, .text = { "broken", 6 } },
};

START_TEST(a_run_at_rest_has_its_result)
{
    struct kedge_run_info *info;

    start_ok("r1");
    ck_assert_int_eq(journal_write(store, "order", completed, COUNT(completed), KEDGE_COMPLETED),
                     KEDGE_OK);
    info = get("r1", KEDGE_RUN_WANT_RESULT);
    ck_assert_uint_eq(info->status, KEDGE_COMPLETED);
    ck_assert_uint_eq(info->place, KEDGE_PLACE_REST);
    ck_assert_uint_eq(info->records, 5);
    ASSERT_BYTES(info->result, "\"two\"");
    ck_assert_uint_eq(info->error.len, 0);
    kedge_run_info_free(info);
    info = get("r1", 0);
    ck_assert_uint_eq(info->result.len, 0);
    kedge_run_info_free(info);
}
END_TEST

START_TEST(a_failed_run_has_its_error)
{
    struct kedge_run_info *info = NULL;

    start_ok("r1");
    ck_assert_int_eq(journal_write(store, "order", failed, COUNT(failed), KEDGE_FAILED), KEDGE_OK);
    ck_assert_int_eq(kedge_run_wait(store, kedge_text("r1"), &info, TIMEOUT_US, &err), KEDGE_OK);
    ck_assert_uint_eq(info->status, KEDGE_FAILED);
    ASSERT_BYTES(info->error, "broken");
    ASSERT_BYTES(info->error_step, "step 1");
    ck_assert_uint_eq(info->result.len, 0);
    kedge_run_info_free(info);
}
END_TEST

struct seen {
    size_t n;
    struct kedge_step_info steps[4];
    char values[4][16];
    char errors[4][16];
    char names[4][16];
};

static int see(void *ctx, const struct kedge_step_info *step)
{
    struct seen *seen = ctx;
    size_t i = seen->n++;

    if (i >= 4)
        return 1;
    seen->steps[i] = *step;
    (void)snprintf(seen->names[i], 16, "%s", step->name);
    (void)snprintf(seen->values[i], 16, "%.*s", (int)step->value.len,
                   step->value.len != 0 ? (const char *)step->value.data : "");
    (void)snprintf(seen->errors[i], 16, "%.*s", (int)step->error.len,
                   step->error.len != 0 ? (const char *)step->error.data : "");
    return 0;
}

START_TEST(steps_are_told_without_a_definition)
{
    struct seen seen = { .n = 0 };

    start_ok("r1");
    ck_assert_int_eq(journal_write(store, "order", completed, COUNT(completed), KEDGE_COMPLETED),
                     KEDGE_OK);
    ck_assert_int_eq(kedge_run_steps(store, kedge_text("r1"), see, &seen, TIMEOUT_US, &err),
                     KEDGE_OK);
    ck_assert_uint_eq(seen.n, 2);
    ck_assert_str_eq(seen.names[0], "step 0");
    ck_assert_uint_eq(seen.steps[0].state, KEDGE_STEP_DONE);
    ck_assert_uint_eq(seen.steps[0].failures, 1);
    ck_assert_uint_eq(seen.steps[0].record, 3);
    ck_assert_int_ne(seen.steps[0].time, 0);
    ck_assert_str_eq(seen.values[0], "[1]");
    ck_assert_str_eq(seen.errors[0], "no");
    ck_assert_str_eq(seen.names[1], "step 1");
    ck_assert_str_eq(seen.values[1], "\"two\"");
    ck_assert_str_eq(seen.errors[1], "");
}
END_TEST

/* Is never run here. */
static int nothing(struct kedge_step *step, void *user)
{
    (void)step;
    (void)user;
    return 0;
}

START_TEST(steps_are_told_by_the_definition)
{
    static const char *const after[] = { "reserve", NULL };
    static const char *const after_charge[] = { "charge", NULL };
    static const struct kedge_step_def steps[] = {
        { .name = "reserve", .run = nothing },
        { .name = "charge", .run = nothing, .after = after },
        { .name = "ship", .run = nothing, .after = after_charge },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("order", 1, steps);
    struct kedge_reactor *reactor = NULL;
    struct seen seen = { .n = 0 };

    ck_assert_msg(kedge_reactor_new(&def, &reactor, &err) == KEDGE_OK, "%s", err.msg);
    ck_assert_int_eq(journal_define(store, reactor), KEDGE_OK);
    kedge_reactor_free(reactor);
    start_ok("r1");
    ck_assert_int_eq(journal_write(store, "order", completed, 3, 0), KEDGE_OK);
    ck_assert_msg(kedge_run_steps(store, kedge_text("r1"), see, &seen, TIMEOUT_US, &err) ==
                      KEDGE_OK,
                  "%s", err.msg);
    ck_assert_uint_eq(seen.n, 3);
    ck_assert_str_eq(seen.names[0], "reserve");
    ck_assert_uint_eq(seen.steps[0].state, KEDGE_STEP_DONE);
    ck_assert_uint_eq(seen.steps[0].record, 3);
    ck_assert_str_eq(seen.names[1], "charge");
    ck_assert_uint_eq(seen.steps[1].n_after, 1);
    ck_assert_str_eq(seen.values[1], "\"two\"");
    ck_assert_str_eq(seen.names[2], "ship");
    ck_assert_uint_eq(seen.steps[2].state, KEDGE_STEP_READY);
    ck_assert_int_eq(seen.steps[2].time, 0);
}
END_TEST

/* -------------------------------------------------------------------- wait */

START_TEST(waiting_ends_with_the_time)
{
    struct kedge_run_info *info = NULL;
    int64_t begun = kedge_monotonic_us();

    start_ok("r1");
    ck_assert_int_eq(kedge_run_wait(store, kedge_text("r1"), &info, 30000, &err), KEDGE_QUIET);
    ck_assert_ptr_null(info);
    ck_assert_int_ge(kedge_monotonic_us() - begun, 30000);
}
END_TEST

static void *wait_in_thread(void *arg)
{
    struct kedge_run_info **info = arg;
    int rc = kedge_run_wait(store, kedge_text("r1"), info, TIMEOUT_US, NULL);

    return rc == KEDGE_OK ? arg : NULL;
}

START_TEST(waiters_are_woken)
{
    struct kedge_run_info *info[3] = { NULL };
    pthread_t threads[3];

    start_ok("r1");
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_in_thread, &info[i]), 0);
    (void)usleep(20000);
    ck_assert_int_eq(journal_write(store, "order", completed, COUNT(completed), KEDGE_COMPLETED),
                     KEDGE_OK);
    for (size_t i = 0; i < 3; i++) {
        void *answer;

        ck_assert_int_eq(pthread_join(threads[i], &answer), 0);
        ck_assert_ptr_nonnull(answer);
        ASSERT_BYTES(info[i]->result, "\"two\"");
        kedge_run_info_free(info[i]);
    }
}
END_TEST

/* A waiter sleeps until it is told, and not until its time is up. */
START_TEST(a_word_ends_the_sleep)
{
    struct kedge_waiter waiter;
    int64_t begun = kedge_monotonic_us();

    ck_assert_int_eq(kedge_waiter_begin(&waiter, kedge_text("r1"), &err), KEDGE_OK);
    kedge_store_run_ended(store, kedge_text("r2"));
    kedge_waiter_sleep(&waiter, 20000);
    ck_assert_int_ge(kedge_monotonic_us() - begun, 20000);
    kedge_store_run_ended(store, kedge_text("r1"));
    begun = kedge_monotonic_us();
    kedge_waiter_sleep(&waiter, 60000000);
    ck_assert_int_lt(kedge_monotonic_us() - begun, 10000000);
    kedge_waiter_end(&waiter);
}
END_TEST

/* -------------------------------------------------------------------- list */

struct order {
    size_t n;
    char ids[8][8];
};

static int note(void *ctx, const struct kedge_run_info *info)
{
    struct order *order = ctx;
    struct kedge_run_info *same = NULL;

    /* A callback may use the store. */
    if (kedge_run_get(store, info->id, 0, &same, TIMEOUT_US, &err) != KEDGE_OK)
        return -1;
    kedge_run_info_free(same);
    (void)snprintf(order->ids[order->n++], 8, "%.*s", (int)info->id.len,
                   (const char *)info->id.data);
    return order->n == 7 ? 7 : 0;
}

START_TEST(lists_are_filtered)
{
    struct kedge_run_filter filter = KEDGE_RUN_FILTER_INIT;
    struct order order = { .n = 0 };
    struct kedge_run_start other = start_of("c");

    start_ok("a");
    ck_assert_int_eq(journal_write(store, "order", completed, COUNT(completed), KEDGE_COMPLETED),
                     KEDGE_OK);
    start_ok("b");
    other.reactor = "other";
    ck_assert_int_eq(kedge_start(store, &other, TIMEOUT_US, &err), KEDGE_OK);
    ck_assert_int_eq(kedge_run_list(store, &filter, note, &order, TIMEOUT_US, &err), KEDGE_OK);
    ck_assert_uint_eq(order.n, 3);
    ck_assert_str_eq(order.ids[0], "c");
    ck_assert_str_eq(order.ids[2], "a");
    order.n = 0;
    filter.newest_first = 0;
    filter.limit = 2;
    ck_assert_int_eq(kedge_run_list(store, &filter, note, &order, TIMEOUT_US, &err), KEDGE_OK);
    ck_assert_uint_eq(order.n, 2);
    ck_assert_str_eq(order.ids[0], "a");
    order.n = 0;
    filter.reactor = kedge_text("order");
    filter.statuses = KEDGE_STATUSES_UNFINISHED;
    ck_assert_int_eq(kedge_run_list(store, &filter, note, &order, TIMEOUT_US, &err), KEDGE_OK);
    ck_assert_uint_eq(order.n, 1);
    ck_assert_str_eq(order.ids[0], "b");
    order.n = 6;
    ck_assert_int_eq(kedge_run_list(store, NULL, note, &order, TIMEOUT_US, &err), 7);
    filter.struct_size = 1;
    ck_assert_int_eq(kedge_run_list(store, &filter, note, &order, TIMEOUT_US, &err),
                     KEDGE_ERR_INVALID);
}
END_TEST

START_TEST(words)
{
    ck_assert_str_eq(kedge_run_status_text(KEDGE_RUNNING), "running");
    ck_assert_str_eq(kedge_run_place_text(KEDGE_PLACE_DUE), "due");
    ck_assert_str_eq(kedge_step_state_text(KEDGE_STEP_DONE), "done");
    ck_assert_str_eq(kedge_run_status_text(0), "?");
    ck_assert_str_eq(kedge_run_place_text(99), "?");
    ck_assert_str_eq(kedge_step_state_text(13), "?");
}
END_TEST

static TCase *cases(const char *name, void (*setup)(void))
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_start_is_there);
    tcase_add_test(tc, a_second_start_exists);
    tcase_add_test(tc, times_are_kept);
    tcase_add_test(tc, nonsense_is_refused);
    tcase_add_test(tc, a_bad_one_does_not_disturb_the_others);
    tcase_add_test(tc, many_are_started);
    tcase_add_test(tc, what_is_not_there_is_not_found);
    tcase_add_test(tc, a_run_at_rest_has_its_result);
    tcase_add_test(tc, a_failed_run_has_its_error);
    tcase_add_test(tc, steps_are_told_without_a_definition);
    tcase_add_test(tc, steps_are_told_by_the_definition);
    tcase_add_test(tc, waiting_ends_with_the_time);
    tcase_add_test(tc, waiters_are_woken);
    tcase_add_test(tc, a_word_ends_the_sleep);
    tcase_add_test(tc, lists_are_filtered);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("start");
    const char *built = getenv("KEDGE_BUILT");
    TCase *plain = tcase_create("plain");
    SRunner *sr;
    int n_failed;

    tcase_add_test(plain, ids_are_ordered_uuids);
    tcase_add_test(plain, words);
    suite_add_tcase(suite, plain);
    suite_add_tcase(suite, cases("mem", setup_mem));
    if (built != NULL && strstr(built, "lmdb") != NULL)
        suite_add_tcase(suite, cases("lmdb", setup_lmdb));
    sr = srunner_create(suite);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    n_failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return n_failed == 0 ? 0 : 1;
}
