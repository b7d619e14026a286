/* test_enumerate.c - what kedge_test_enumerate() takes, refuses, and tells */
#include <config.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/kedge.h>
#include <kedge/testing.h>

static struct kedge_error err;
static struct kedge_test_report report;
static struct kedge_test_plan plan;

static int ok(struct kedge_step *step, void *user)
{
    int *ran = user;

    if (ran != NULL)
        ++*ran;
    return kedge_ok(step, "1", 1);
}

static int says_later(struct kedge_step *step, void *user)
{
    uint64_t token;

    (void)user;
    return kedge_later(step, &token);
}

static int sees_input(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);

    (void)user;
    if (view->input.len != 5 || memcmp(view->input.data, "[1,2]", 5) != 0 ||
        view->context.len != 3 || memcmp(view->context.data, "ctx", 3) != 0)
        return kedge_fail(step, KEDGE_FAIL_FINAL, "other input");
    return kedge_ok(step, "\"result\"", 8);
}

static const char *const after_a[] = { "a", NULL };
static struct kedge_step_def steps[2];
static struct kedge_reactor_def def;

static void setup(void)
{
    struct kedge_reactor_def fresh = KEDGE_REACTOR_DEF_INIT("pair", 3, steps);
    struct kedge_test_plan fresh_plan = KEDGE_TEST_PLAN_INIT(&def, NULL, NULL);
    struct kedge_test_report fresh_report = KEDGE_TEST_REPORT_INIT;

    memset(&err, 0, sizeof err);
    memset(steps, 0, sizeof steps);
    steps[0] = (struct kedge_step_def){ .name = "a", .run = ok, .undo = ok };
    steps[1] = (struct kedge_step_def){ .name = "b", .run = ok, .after = after_a };
    def = fresh;
    plan = fresh_plan;
    report = fresh_report;
}

static int enumerate(void)
{
    return kedge_test_enumerate(&plan, &report, &err);
}

static void refused(const char *part)
{
    memset(report.found, 'x', 3);
    ck_assert_int_eq(enumerate(), KEDGE_ERR_INVALID);
    ck_assert_msg(strstr(err.msg, part) != NULL, "'%s' does not say '%s'", err.msg, part);
    ck_assert_int_eq(report.found[0], 'x'); /* outputs are written on success only */
}

START_TEST(refuses_a_plan_that_makes_no_sense)
{
    ck_assert_int_eq(kedge_test_enumerate(NULL, &report, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "argument 'plan' is NULL");
    plan.struct_size = 8;
    refused("plan.struct_size is 8");
    setup();
    plan.def = NULL;
    refused("argument 'plan.def' is NULL");
    setup();
    plan.what = KEDGE_TEST_ALL + 1;
    refused("plan.what");
    setup();
    plan.flags = 0x80;
    refused("plan.flags");
}
END_TEST

START_TEST(refuses_a_reactor_that_is_none)
{
    static const char *const after_none[] = { "none", NULL };

    steps[1].after = after_none;
    refused("none");
    setup();
    steps[0].run = NULL;
    refused("'a'");
}
END_TEST

START_TEST(refuses_an_input_that_is_not_json)
{
    plan.input = kedge_text("{");
    ck_assert_int_eq(enumerate(), KEDGE_ERR_INVALID);
}
END_TEST

START_TEST(refuses_a_case_that_is_none)
{
    static const char *const bad[] = {
        "fail=c",
        "fail=",
        "fail",
        "nonsense",
        "crash=before:0",
        "crash=when:3",
        "crash=before",
        "crash=after:1x",
        "twice=a",
        "twice=eat:a",
        "twice=undo:z",
        "kills=:a",
        "request=undo:3",
        "request=pause",
        "request=abandon",
        "undo-fails=x",
        "request=",
        "plain fail=q",
        "request=cancel:99999999999999999999",
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        plan.only = bad[i];
        refused("which is no part of a case of reactor 'pair'");
    }
}
END_TEST

START_TEST(takes_each_part_of_a_case)
{
    static const char *const good[] = {
        "plain",
        "",
        "apart",
        "fail=a",
        "fail=b undo-fails=a",
        "fail=b twice=undo:a",
        "kills=run:b",
        "fail=b kills=undo:a",
        "request=cancel:5",
        "request=pause:5 crash=after:7",
        "request=undo crash=before:3",
        "fail=b request=retry crash=before:6",
    };

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        plan.only = good[i];
        ck_assert_msg(enumerate() == KEDGE_OK, "%s: %s %s", good[i], err.msg, report.why);
        ck_assert_uint_eq(report.cases, strstr(good[i], "crash") != NULL ? 2 : 1);
    }
}
END_TEST

START_TEST(has_nobody_who_settles_later)
{
    steps[1].run = says_later;
    ck_assert_int_eq(enumerate(), KEDGE_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.msg, "kedge_later()"));
}
END_TEST

START_TEST(tries_only_what_it_is_told_to)
{
    ck_assert_int_eq(enumerate(), KEDGE_OK);
    uint64_t all = report.cases;

    plan.what = KEDGE_TEST_FAILURES;
    ck_assert_int_eq(enumerate(), KEDGE_OK);
    ck_assert_uint_eq(report.cases, 3); /* plain, fail=a, fail=b */
    ck_assert_uint_eq(report.deaths, 0);
    plan.what = KEDGE_TEST_CRASHES;
    ck_assert_int_eq(enumerate(), KEDGE_OK);
    ck_assert_uint_eq(report.scenarios, 1);
    ck_assert_uint_eq(report.cases, 1 + report.deaths);
    ck_assert_uint_lt(report.cases, all);
    ck_assert_uint_eq(report.stride, 1);
    ck_assert_int_eq(kedge_test_enumerate(&plan, NULL, NULL), KEDGE_OK);
}
END_TEST

static int see_end(void *ctx, const struct kedge_test_end *end, char *why, size_t size)
{
    int *seen = ctx;
    const struct kedge_test_step *a = end->steps;

    (void)why;
    ck_assert_uint_ge(size, 100);
    ck_assert_uint_eq(end->struct_size, sizeof *end);
    ck_assert_uint_eq(end->step_size, sizeof *a);
    ck_assert_uint_eq(end->n_steps, 2);
    ck_assert_str_eq(a[0].name, "a");
    ck_assert_str_eq(a[1].name, "b");
    if (strcmp(end->text, "plain") == 0) {
        ck_assert_uint_eq(end->info->status, KEDGE_COMPLETED);
        ck_assert_uint_eq(end->info->result.len, 8);
        ck_assert_uint_eq(a[0].run.executed, 1);
        ck_assert_uint_eq(a[0].run.succeeded, 1);
        ck_assert_uint_eq(a[0].run.last, KEDGE_OUTCOME_OK);
        ck_assert_uint_eq(a[0].undo.last, 0);
        ck_assert_uint_eq(a[0].state, KEDGE_STEP_DONE);
        ++*seen;
    } else if (strcmp(end->text, "fail=b") == 0) {
        ck_assert_uint_eq(end->info->status, KEDGE_FAILED);
        ck_assert_uint_eq(end->info->error_step.len, 1);
        ck_assert_uint_eq(a[0].undo.executed, 1);
        ck_assert_uint_eq(a[0].state, KEDGE_STEP_UNDONE);
        ck_assert_uint_eq(a[1].run.executed, 1);
        ck_assert_uint_eq(a[1].run.succeeded, 0);
        ck_assert_uint_eq(a[1].run.last, KEDGE_OUTCOME_FAIL);
        ck_assert_uint_eq(a[1].state, KEDGE_STEP_FAILED);
        ++*seen;
    }
    return 0;
}

static void count_case(void *ctx, const char *text)
{
    ck_assert_uint_gt(strlen(text), 0);
    *(int *)ctx += 1000000;
}

START_TEST(tells_how_each_case_ended)
{
    int seen = 0;

    steps[1].run = sees_input;
    plan.input = kedge_text("[1,2]");
    plan.context = kedge_text("ctx");
    plan.begin = count_case;
    plan.check = see_end;
    plan.ctx = &seen;
    ck_assert_msg(enumerate() == KEDGE_OK, "%s: %s", report.found, report.why);
    ck_assert_int_eq(seen % 1000000, 2);
    ck_assert_uint_eq((uint64_t)seen / 1000000, report.cases);
}
END_TEST

START_TEST(the_users_of_step_and_reactor_arrive)
{
    int of_step = 0;
    int of_reactor = 0;

    steps[0].user = &of_step;
    def.user = &of_reactor;
    plan.only = "plain";
    ck_assert_int_eq(enumerate(), KEDGE_OK);
    ck_assert_int_eq(of_step, 1);
    ck_assert_int_eq(of_reactor, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("enumerate");
    TCase *tc = tcase_create("enumerate");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, refuses_a_plan_that_makes_no_sense);
    tcase_add_test(tc, refuses_a_reactor_that_is_none);
    tcase_add_test(tc, refuses_an_input_that_is_not_json);
    tcase_add_test(tc, refuses_a_case_that_is_none);
    tcase_add_test(tc, takes_each_part_of_a_case);
    tcase_add_test(tc, has_nobody_who_settles_later);
    tcase_add_test(tc, tries_only_what_it_is_told_to);
    tcase_add_test(tc, tells_how_each_case_ended);
    tcase_add_test(tc, the_users_of_step_and_reactor_arrive);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
