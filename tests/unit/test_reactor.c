/* test_reactor.c - definitions: what is refused, the graph, retries, the stored form, the cells */
#include <config.h>

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <kedge/kedge.h>
#include <kedge/reactor.h>

#include "../../src/reactor.h"

#define SECOND INT64_C(1000000)
#define DAY    (24 * 3600 * SECOND)

static int run(struct kedge_step *step, void *user)
{
    (void)step;
    (void)user;
    return 0;
}

static int other(struct kedge_step *step, void *user)
{
    (void)step;
    (void)user;
    return 1;
}

static const char *const after_a[] = { "a", NULL };
static const char *const after_b[] = { "b", NULL };
static const char *const after_c[] = { "c", NULL };
static const char *const after_ab[] = { "a", "b", NULL };

/* Four steps that are right; each test spoils something. */
static struct kedge_step_def steps[4];
static struct kedge_reactor_def def;
static struct kedge_reactor *reactor;
static struct kedge_error err;

static void define(void)
{
    memset(steps, 0, sizeof steps);
    steps[0] = (struct kedge_step_def){ .name = "a", .run = run, .undo = other };
    steps[1] = (struct kedge_step_def){ .name = "b", .run = run, .after = after_a };
    steps[2] = (struct kedge_step_def){ .name = "c", .run = run, .after = after_ab };
    steps[3] = (struct kedge_step_def){ .name = "d", .run = run, .flags = KEDGE_STEP_POOL };
    def = (struct kedge_reactor_def)KEDGE_REACTOR_DEF_INIT("order", 1, steps);
}

static void setup(void)
{
    define();
    reactor = NULL;
    memset(&err, 0, sizeof err);
}

static void teardown(void)
{
    kedge_reactor_free(reactor);
}

#define ASSERT_OK(call)                                                                            \
    do {                                                                                           \
        int ok_rc_ = (call);                                                                       \
        ck_assert_msg(ok_rc_ == KEDGE_OK, "%d: %s", ok_rc_, err.msg);                              \
    } while (0)
#define ASSERT_REFUSED(text)                                                                       \
    do {                                                                                           \
        ck_assert_int_eq(kedge_reactor_new(&def, &reactor, &err), KEDGE_ERR_INVALID);              \
        ck_assert_str_eq(err.msg, (text));                                                         \
        ck_assert_int_eq(err.code, KEDGE_ERR_INVALID);                                             \
        ck_assert_ptr_null(reactor);                                                               \
    } while (0)

/* -------------------------------------------------------------- refusals */

START_TEST(refuses_null)
{
    ck_assert_int_eq(kedge_reactor_new(NULL, &reactor, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "argument 'def' is NULL");
    ck_assert_int_eq(kedge_reactor_new(&def, NULL, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "argument 'reactor' is NULL");
    def.version = 0;
    ck_assert_int_eq(kedge_reactor_new(&def, &reactor, NULL), KEDGE_ERR_INVALID);
    kedge_reactor_free(NULL);
}
END_TEST

START_TEST(refuses_a_definition_of_the_wrong_size)
{
    char text[200];

    def.struct_size = 8;
    ASSERT_REFUSED("def.struct_size is 8; start from KEDGE_REACTOR_DEF_INIT");
    def.struct_size = sizeof def;
    def.step_size = sizeof steps[0] - 1;
    (void)snprintf(text, sizeof text,
                   "reactor 'order': step_size is %zu; it should be sizeof(struct "
                   "kedge_step_def), %zu",
                   sizeof steps[0] - 1, sizeof steps[0]);
    ASSERT_REFUSED(text);
}
END_TEST

START_TEST(a_newer_program_may_ask_for_nothing_new)
{
    struct {
        struct kedge_reactor_def def;
        uint64_t more;
    } newer = { def, 0 };
    struct {
        struct kedge_step_def step;
        uint64_t more;
    } wide[2] = { { steps[0], 0 }, { steps[1], 0 } };

    newer.def.struct_size = sizeof newer;
    newer.def.steps = &wide[0].step;
    newer.def.n_steps = 2;
    newer.def.step_size = sizeof wide[0];
    ASSERT_OK(kedge_reactor_new(&newer.def, &reactor, &err));
    ck_assert_str_eq(reactor->steps[1].name, "b");
    kedge_reactor_free(reactor);
    reactor = NULL;
    wide[1].more = 1;
    ck_assert_int_eq(kedge_reactor_new(&newer.def, &reactor, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "reactor 'order', step 'b': it has members set that this library, "
                              "version " KEDGE_VERSION ", does not know");
    newer.more = 1;
    ck_assert_int_eq(kedge_reactor_new(&newer.def, &reactor, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg,
                     "reactor 'order': it has members set that this library, version " KEDGE_VERSION
                     ", does not know");
}
END_TEST

START_TEST(refuses_bad_names_of_reactors)
{
    char name[257];

    def.name = NULL;
    ASSERT_REFUSED("the name of the reactor is NULL");
    def.name = "";
    ASSERT_REFUSED("the name of the reactor is empty");
    def.name = "a b";
    ASSERT_REFUSED("the name of the reactor has the byte 0x20; names are made of A-Z a-z 0-9 _ - "
                   ". :");
    memset(name, 'x', 256);
    name[256] = '\0';
    def.name = name;
    ASSERT_REFUSED("the name of the reactor is longer than 255 characters");
    name[255] = '\0';
    ASSERT_OK(kedge_reactor_new(&def, &reactor, &err));
    ck_assert_str_eq(kedge_reactor_name(reactor), name);
}
END_TEST

START_TEST(refuses_bad_names_of_steps)
{
    char name[257];

    steps[2].name = NULL;
    ASSERT_REFUSED("reactor 'order': the name of steps[2] is NULL");
    steps[2].name = "";
    ASSERT_REFUSED("reactor 'order': the name of steps[2] is empty");
    steps[2].name = "\xc3\xa4";
    ASSERT_REFUSED("reactor 'order': the name of steps[2] has the byte 0xc3; names are made of "
                   "A-Z a-z 0-9 _ - . :");
    memset(name, 'x', 256);
    name[256] = '\0';
    steps[2].name = name;
    ASSERT_REFUSED("reactor 'order': the name of steps[2] is longer than 255 characters");
    name[255] = '\0';
    ASSERT_OK(kedge_reactor_new(&def, &reactor, &err));
    ck_assert_uint_eq(kedge_reactor_find(reactor, kedge_text(name)), 2);
}
END_TEST

START_TEST(refuses_two_steps_of_one_name)
{
    char name[] = "a"; /* the same text, not the same pointer */

    steps[3].name = name;
    ASSERT_REFUSED("reactor 'order', step 'a': steps[0] and steps[3] both have this name");
}
END_TEST

START_TEST(refuses_bad_members_of_the_reactor)
{
    def.version = 0;
    ASSERT_REFUSED("reactor 'order': version is 0; versions begin with 1");
    def.version = 1;
    def.flags = 4;
    ASSERT_REFUSED("reactor 'order': flags is 0x4; this library, version " KEDGE_VERSION
                   ", knows no flags");
    def.flags = 0;
    def.n_steps = 0;
    ASSERT_REFUSED("reactor 'order': it has no steps");
    def.n_steps = 4;
    def.steps = NULL;
    ASSERT_REFUSED("reactor 'order': steps is NULL");
    def.steps = steps;
    def.result = "x\ny";
    ASSERT_REFUSED("reactor 'order': result is 'x?y', and there is no such step");
}
END_TEST

START_TEST(refuses_bad_members_of_a_step)
{
    static const int more = 0;

    steps[1].kind = 7;
    ASSERT_REFUSED("reactor 'order', step 'b': kind is 7; this library, version " KEDGE_VERSION
                   ", knows KEDGE_STEP_PLAIN only");
    steps[1].kind = 0;
    steps[1].flags = 3;
    ASSERT_REFUSED("reactor 'order', step 'b': flags is 0x3; this library, version " KEDGE_VERSION
                   ", knows 0x1 only");
    steps[1].flags = 0;
    steps[1].run = NULL;
    ASSERT_REFUSED("reactor 'order', step 'b': run is NULL");
    steps[1].run = run;
    steps[1].more = &more;
    ASSERT_REFUSED("reactor 'order', step 'b': more is not NULL; a plain step has none");
    steps[1].more = NULL;
    steps[1].timeout_us = -1;
    ASSERT_REFUSED("reactor 'order', step 'b': timeout_us is negative");
    steps[1].timeout_us = 0;
    steps[1].retry.backoff = 3;
    ASSERT_REFUSED("reactor 'order', step 'b': retry.backoff is 3, which is no enum "
                   "kedge_backoff");
    steps[1].retry.backoff = 0;
    steps[1].retry.base_us = -1;
    ASSERT_REFUSED("reactor 'order', step 'b': retry.base_us is negative");
    steps[1].retry.base_us = 0;
    steps[1].retry.cap_us = INT64_MIN;
    ASSERT_REFUSED("reactor 'order', step 'b': retry.cap_us is negative");
    steps[1].retry.cap_us = 0;
    steps[1].retry.jitter_percent = 101;
    ASSERT_REFUSED("reactor 'order', step 'b': retry.jitter_percent is 101; 100 is the most");
    steps[1].retry.jitter_percent = 100;
    steps[1].retry.reserved = 1;
    ASSERT_REFUSED("reactor 'order', step 'b': retry.reserved is not 0");
}
END_TEST

START_TEST(refuses_a_graph_that_is_none)
{
    static const char *const unknown[] = { "a", "z", NULL };

    steps[3].after = unknown;
    ASSERT_REFUSED("reactor 'order', step 'd': it comes after 'z', and there is no such step");
    steps[3].after = NULL;
    steps[1].after = after_b;
    ASSERT_REFUSED("reactor 'order', step 'b': it comes after itself");
    steps[1].after = after_c; /* c is after b */
    ASSERT_REFUSED("reactor 'order', step 'b': it comes after itself: b after c after b");
    steps[1].after = after_a;
    steps[0].after = after_c; /* c is after a and b; the walk finds the first of its two ways */
    ASSERT_REFUSED("reactor 'order', step 'a': it comes after itself: a after c after a");
}
END_TEST

START_TEST(a_long_cycle_is_counted)
{
    static struct kedge_step_def many[50];
    static char names[50][8];
    static const char *after[50][2];

    for (int i = 0; i < 50; i++) {
        (void)snprintf(names[i], sizeof names[i], "s%d", i);
        after[i][0] = names[(i + 7) % 50];
        many[i] = (struct kedge_step_def){ .name = names[i], .run = run, .after = after[i] };
    }
    def.steps = many;
    def.n_steps = 50;
    ASSERT_REFUSED("reactor 'order', step 's0': it comes after itself, by way of 49 other steps");
    def.n_steps = 5;
    for (int i = 0; i < 5; i++)
        after[i][0] = names[(i + 1) % 5];
    ASSERT_REFUSED("reactor 'order', step 's0': it comes after itself: s0 after s1 after s2 after "
                   "s3 after s4 after s0");
}
END_TEST

START_TEST(long_names_leave_room_for_the_message)
{
    static char r[256], a[256], b[256];
    const char *after[] = { b, NULL };

    memset(r, 'r', 255);
    memset(a, 'a', 255);
    memset(b, 'b', 255);
    def.name = r;
    steps[3].name = a;
    steps[3].after = after;
    ck_assert_int_eq(kedge_reactor_new(&def, &reactor, &err), KEDGE_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "...', and there is no such step"));
}
END_TEST

/* ------------------------------------------------------------------- copy */

START_TEST(has_the_graph_both_ways)
{
    static const char *const twice[] = { "c", "a", "c", "a", "a", NULL };

    steps[3].after = twice;
    ASSERT_OK(kedge_reactor_new(&def, &reactor, &err));
    ck_assert_uint_eq(reactor->n_steps, 4);
    ck_assert_uint_eq(reactor->n_edges, 5);
    ck_assert_uint_eq(reactor->steps[0].n_after, 0);
    ck_assert_uint_eq(reactor->steps[0].n_before, 3);
    ck_assert_uint_eq(reactor->steps[0].before[0], 1);
    ck_assert_uint_eq(reactor->steps[0].before[1], 2);
    ck_assert_uint_eq(reactor->steps[0].before[2], 3);
    ck_assert_uint_eq(reactor->steps[2].n_after, 2);
    ck_assert_uint_eq(reactor->steps[2].after[0], 0);
    ck_assert_uint_eq(reactor->steps[2].after[1], 1);
    ck_assert_uint_eq(reactor->steps[3].n_after, 2);
    ck_assert_uint_eq(reactor->steps[3].after[0], 2);
    ck_assert_uint_eq(reactor->steps[3].after[1], 0);
    ck_assert_uint_eq(reactor->steps[3].n_before, 0);
}
END_TEST

START_TEST(finds_by_name)
{
    ASSERT_OK(kedge_reactor_new(&def, &reactor, &err));
    ck_assert_uint_eq(kedge_reactor_find(reactor, kedge_text("a")), 0);
    ck_assert_uint_eq(kedge_reactor_find(reactor, kedge_text("d")), 3);
    ck_assert_uint_eq(kedge_reactor_find(reactor, kedge_text("e")), UINT32_MAX);
    ck_assert_uint_eq(kedge_reactor_find(reactor, kedge_text("ab")), UINT32_MAX);
    ck_assert_uint_eq(kedge_reactor_find(reactor, kedge_text("")), UINT32_MAX);
    ck_assert_uint_eq(kedge_reactor_find(reactor, (struct kedge_bytes){ "a\0b", 3 }), UINT32_MAX);
    ck_assert_uint_eq(kedge_reactor_find(reactor, (struct kedge_bytes){ NULL, 0 }), UINT32_MAX);
}
END_TEST

START_TEST(copies_everything)
{
    char reactor_name[] = "order";
    char name[] = "d";
    char need[] = "a";
    char result[] = "b";
    const char *after[] = { need, NULL };
    int first, second;

    def.name = reactor_name;
    def.version = 7;
    def.result = result;
    def.user = &first;
    steps[3].name = name;
    steps[3].after = after;
    steps[3].user = &second;
    steps[3].compensate = other;
    steps[3].timeout_us = 5;
    steps[3].retry = (struct kedge_retry){ 4, KEDGE_BACKOFF_LINEAR, 10, 20, 30, 0 };
    ASSERT_OK(kedge_reactor_new(&def, &reactor, &err));
    memset(reactor_name, '#', sizeof reactor_name);
    memset(name, '#', sizeof name);
    memset(need, '#', sizeof need);
    memset(result, '#', sizeof result);
    memset(after, 0x55, sizeof after);
    memset(steps, 0x55, sizeof steps);
    memset(&def, 0x55, sizeof def);

    ck_assert_str_eq(kedge_reactor_name(reactor), "order");
    ck_assert_uint_eq(kedge_reactor_version(reactor), 7);
    ck_assert_uint_eq(reactor->result, 1);
    ck_assert_ptr_eq(reactor->steps[0].user, &first);
    ck_assert_uint_eq(reactor->steps[0].retry.attempts, 1);
    ck_assert_int_eq(reactor->steps[0].retry.cap_us, DAY);
    ck_assert(reactor->steps[0].run == run && reactor->steps[0].undo == other);
    ck_assert(reactor->steps[0].compensate == NULL);
    ck_assert_str_eq(reactor->steps[3].name, "d");
    ck_assert_uint_eq(reactor->steps[3].n_after, 1);
    ck_assert_uint_eq(reactor->steps[3].after[0], 0);
    ck_assert_ptr_eq(reactor->steps[3].user, &second);
    ck_assert(reactor->steps[3].compensate == other);
    ck_assert_uint_eq(reactor->steps[3].flags, KEDGE_STEP_POOL);
    ck_assert_int_eq(reactor->steps[3].timeout_us, 5);
    ck_assert_uint_eq(reactor->steps[3].retry.attempts, 4);
    ck_assert_int_eq(reactor->steps[3].retry.cap_us, 20);
    ck_assert_uint_eq(kedge_reactor_find(reactor, kedge_text("d")), 3);
}
END_TEST

START_TEST(the_last_step_has_the_result)
{
    ASSERT_OK(kedge_reactor_new(&def, &reactor, &err));
    ck_assert_uint_eq(reactor->result, 3);
}
END_TEST

START_TEST(lives_until_the_last_hold_is_gone)
{
    ASSERT_OK(kedge_reactor_new(&def, &reactor, &err));
    ck_assert_ptr_eq(kedge_reactor_hold(reactor), reactor);
    kedge_reactor_free(reactor);
    ck_assert_str_eq(kedge_reactor_name(reactor), "order");
}
END_TEST

/* --------------------------------------------------------- large and random */

/* N steps whose names have LEN characters; step i comes after up to DEGREE earlier ones. */
struct big {
    struct kedge_step_def *steps;
    char *names;
    const char **after;
    size_t width;
};

static uint64_t random_state = 1;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % below);
}

static struct big big_new(uint32_t n, size_t len, uint32_t degree)
{
    struct big b;

    b.width = len + 1;
    b.steps = calloc(n, sizeof *b.steps);
    b.names = malloc(n * b.width);
    b.after = calloc((size_t)n * (degree + 1), sizeof *b.after);
    ck_assert(b.steps != NULL && b.names != NULL && b.after != NULL);
    for (uint32_t i = 0; i < n; i++) {
        const char **after = b.after + (size_t)i * (degree + 1);

        (void)snprintf(b.names + i * b.width, b.width, "%0*u", (int)len, (unsigned)i);
        for (uint32_t k = 0; k < degree && i > 0; k++)
            after[k] = b.names + draw(i) * b.width;
        b.steps[i] =
            (struct kedge_step_def){ .name = b.names + i * b.width, .run = run, .after = after };
    }
    def.steps = b.steps;
    def.n_steps = n;
    return b;
}

static void big_free(struct big *b)
{
    free(b->steps);
    free(b->names);
    free(b->after);
}

START_TEST(a_hundred_thousand_steps)
{
    struct big b = big_new(100000, 6, 4);
    struct timespec from, to;
    double seconds;

    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    ASSERT_OK(kedge_reactor_new(&def, &reactor, &err));
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    ck_assert_msg(seconds < 10, "it took %f s", seconds); /* a square would take minutes */
    ck_assert_uint_eq(kedge_reactor_find(reactor, kedge_text("099999")), 99999);
    b.after[0] = b.names + 99999 * b.width; /* the first one after the last */
    kedge_reactor_free(reactor);
    reactor = NULL;
    ck_assert_int_eq(kedge_reactor_new(&def, &reactor, &err), KEDGE_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "it comes after itself"));
    big_free(&b);
}
END_TEST

/* A chain is the deepest graph there is: nothing may recurse over it. */
START_TEST(a_chain_of_a_hundred_thousand_steps)
{
    struct big b = big_new(100000, 6, 1);

    for (uint32_t i = 0; i + 1 < 100000; i++)
        b.after[2 * i] = b.names + (i + 1) * b.width;
    b.after[2 * 99999] = NULL;
    ASSERT_OK(kedge_reactor_new(&def, &reactor, &err));
    kedge_reactor_free(reactor);
    reactor = NULL;
    b.after[2 * 99999] = b.names;
    ASSERT_REFUSED("reactor 'order', step '000000': it comes after itself, by way of 99999 other "
                   "steps");
    big_free(&b);
}
END_TEST

#define DAG_STEPS 24

/* Is there a way from a step to itself?  By closure, the naive way. */
static bool naive_cycle(bool edge[DAG_STEPS][DAG_STEPS])
{
    for (int k = 0; k < DAG_STEPS; k++)
        for (int i = 0; i < DAG_STEPS; i++)
            for (int j = 0; j < DAG_STEPS; j++)
                edge[i][j] = edge[i][j] || (edge[i][k] && edge[k][j]);
    for (int i = 0; i < DAG_STEPS; i++)
        if (edge[i][i])
            return true;
    return false;
}

static bool has_edge(const uint32_t *list, uint32_t n, uint32_t what)
{
    for (uint32_t k = 0; k < n; k++)
        if (list[k] == what)
            return true;
    return false;
}

static void same_graph(const struct kedge_reactor *r, bool edge[DAG_STEPS][DAG_STEPS])
{
    for (uint32_t i = 0; i < DAG_STEPS; i++) {
        for (uint32_t j = 0; j < DAG_STEPS; j++) {
            ck_assert(has_edge(r->steps[i].after, r->steps[i].n_after, j) == edge[i][j]);
            ck_assert(has_edge(r->steps[j].before, r->steps[j].n_before, i) == edge[i][j]);
        }
        for (uint32_t k = 1; k < r->steps[i].n_before; k++)
            ck_assert_uint_lt(r->steps[i].before[k - 1], r->steps[i].before[k]);
    }
}

START_TEST(random_graphs_as_the_naive_way_sees_them)
{
    int cyclic = 0;

    for (int turn = 0; turn < 500; turn++) {
        struct big b = big_new(DAG_STEPS, 3, 6);
        bool edge[DAG_STEPS][DAG_STEPS] = { { false } };
        int rc;

        memset(b.after, 0, DAG_STEPS * 7 * sizeof *b.after);
        for (uint32_t i = 0; i < DAG_STEPS; i++) {
            for (uint32_t k = 0; k < draw(4); k++) {
                /* mostly backwards, through a permutation, so that about half are cyclic */
                uint32_t j = draw(12) == 0 ? draw(DAG_STEPS) : draw(i + 1);
                uint32_t from = i * 7 % DAG_STEPS;
                uint32_t to = j * 7 % DAG_STEPS;

                if (from == to)
                    continue;
                b.after[from * 7 + k] = b.names + to * b.width;
                edge[from][to] = true;
            }
            /* lists have no holes */
            for (uint32_t k = 0, n = 0; k < 6; k++) {
                const char **list = b.after + i * 7 % DAG_STEPS * 7;
                const char *name = list[k];

                list[k] = NULL;
                if (name != NULL)
                    list[n++] = name;
            }
        }
        rc = kedge_reactor_new(&def, &reactor, &err);
        if (rc == KEDGE_OK)
            same_graph(reactor, edge);
        ck_assert_int_eq(rc, naive_cycle(edge) ? KEDGE_ERR_INVALID : KEDGE_OK);
        cyclic += rc != KEDGE_OK;
        kedge_reactor_free(reactor);
        reactor = NULL;
        big_free(&b);
    }
    ck_assert_int_gt(cyclic, 50);
    ck_assert_int_lt(cyclic, 450);
}
END_TEST

/* ---------------------------------------------------------------- retries */

START_TEST(waits_grow_as_they_were_told_to)
{
    struct kedge_retry retry = { .base_us = 100, .cap_us = 1000 };

    ck_assert_int_eq(kedge_retry_delay(&retry, 1, 0), 100);
    ck_assert_int_eq(kedge_retry_delay(&retry, 2, 0), 200);
    ck_assert_int_eq(kedge_retry_delay(&retry, 4, 0), 800);
    ck_assert_int_eq(kedge_retry_delay(&retry, 5, 0), 1000);
    retry.backoff = KEDGE_BACKOFF_LINEAR;
    ck_assert_int_eq(kedge_retry_delay(&retry, 1, 0), 100);
    ck_assert_int_eq(kedge_retry_delay(&retry, 3, 0), 300);
    ck_assert_int_eq(kedge_retry_delay(&retry, 10, 0), 1000);
    ck_assert_int_eq(kedge_retry_delay(&retry, 11, 0), 1000);
    retry.backoff = KEDGE_BACKOFF_FIXED;
    ck_assert_int_eq(kedge_retry_delay(&retry, 1, 0), 100);
    ck_assert_int_eq(kedge_retry_delay(&retry, UINT32_MAX, 0), 100);
    retry.base_us = 5000;
    ck_assert_int_eq(kedge_retry_delay(&retry, 1, 0), 1000);
}
END_TEST

START_TEST(waits_do_not_overflow)
{
    struct kedge_retry retry = { .base_us = INT64_MAX, .cap_us = INT64_MAX };

    for (uint32_t backoff = 0; backoff <= KEDGE_BACKOFF_FIXED; backoff++) {
        retry.backoff = backoff;
        retry.base_us = INT64_MAX;
        for (uint32_t shift = 0; shift < 32; shift++)
            ck_assert_int_eq(kedge_retry_delay(&retry, UINT32_C(1) << shift, 0), INT64_MAX);
        ck_assert_int_eq(kedge_retry_delay(&retry, UINT32_MAX, 0), INT64_MAX);
        retry.base_us = 0;
        ck_assert_int_eq(kedge_retry_delay(&retry, 1, 0), 0);
        ck_assert_int_eq(kedge_retry_delay(&retry, 63, 0), 0);
        ck_assert_int_eq(kedge_retry_delay(&retry, UINT32_MAX, UINT32_MAX), 0);
    }
    retry.backoff = KEDGE_BACKOFF_EXPONENTIAL;
    retry.base_us = 1;
    ck_assert_int_eq(kedge_retry_delay(&retry, 63, 0), INT64_C(1) << 62);
    ck_assert_int_eq(kedge_retry_delay(&retry, 64, 0), INT64_MAX);
    retry.cap_us = 0; /* 24 hours */
    ck_assert_int_eq(kedge_retry_delay(&retry, 64, 0), DAY);
}
END_TEST

START_TEST(jitter_shortens_by_its_share_at_most)
{
    struct kedge_retry retry = { .backoff = KEDGE_BACKOFF_FIXED, .cap_us = INT64_MAX };
    static const int64_t bases[] = { 1, 99, 1000, 1000001, DAY, INT64_MAX };

    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        retry.base_us = bases[i];
        for (uint32_t percent = 0; percent <= 100; percent += 10) {
            int64_t least = bases[i] - bases[i] / 100 * percent - bases[i] % 100 * percent / 100;

            retry.jitter_percent = percent;
            ck_assert_int_eq(kedge_retry_delay(&retry, 1, 0), bases[i]);
            for (int turn = 0; turn < 100; turn++) {
                uint32_t r = draw(UINT32_C(1) << 31) * 2;
                int64_t delay = kedge_retry_delay(&retry, 1, r);

                ck_assert_int_ge(delay, least);
                ck_assert_int_le(delay, bases[i]);
            }
            /* the greatest number takes nearly all of the share */
            ck_assert_int_ge(kedge_retry_delay(&retry, 1, UINT32_MAX), least);
            ck_assert_int_le(kedge_retry_delay(&retry, 1, UINT32_MAX) - least,
                             1 + (bases[i] >> 31));
        }
    }
    retry.base_us = 1000;
    retry.jitter_percent = 50;
    ck_assert_int_eq(kedge_retry_delay(&retry, 1, UINT32_C(1) << 31), 750);
}
END_TEST

/* ------------------------------------------------------------- stored form */

static struct kedge_bytes stored_form(const struct kedge_reactor *r)
{
    size_t size = kedge_reactor_store_size(r);
    unsigned char *to = malloc(size); /* of that very size: a sanitizer sees one byte more */

    ck_assert_ptr_nonnull(to);
    kedge_reactor_store(r, to);
    return (struct kedge_bytes){ to, size };
}

static void release(struct kedge_bytes bytes)
{
    union {
        const void *in;
        void *out;
    } p = { bytes.data };

    free(p.out);
}

static struct kedge_reactor *make(void)
{
    struct kedge_reactor *r = NULL;

    ASSERT_OK(kedge_reactor_new(&def, &r, &err));
    return r;
}

START_TEST(comes_back_as_it_was_stored)
{
    struct kedge_reactor *back = NULL;
    struct kedge_bytes bytes;
    char why[200];

    steps[2].compensate = other;
    def.result = "b";
    reactor = make();
    bytes = stored_form(reactor);
    ASSERT_OK(kedge_reactor_load(bytes, &back, &err));
    release(bytes);
    ck_assert_str_eq(back->name, "order");
    ck_assert_uint_eq(back->version, 1);
    ck_assert_uint_eq(back->n_steps, 4);
    ck_assert_uint_eq(back->result, 1);
    ck_assert_mem_eq(&back->digest, &reactor->digest, sizeof back->digest);
    for (uint32_t i = 0; i < 4; i++) {
        const struct kedge_reactor_step *a = &reactor->steps[i];
        const struct kedge_reactor_step *b = &back->steps[i];

        ck_assert_str_eq(a->name, b->name);
        ck_assert_uint_eq(a->flags, b->flags);
        ck_assert_uint_eq(a->functions, b->functions);
        ck_assert_uint_eq(a->n_after, b->n_after);
        ck_assert_uint_eq(a->n_before, b->n_before);
        for (uint32_t k = 0; k < a->n_after; k++)
            ck_assert_uint_eq(a->after[k], b->after[k]);
        for (uint32_t k = 0; k < a->n_before; k++)
            ck_assert_uint_eq(a->before[k], b->before[k]);
        ck_assert(b->run == NULL && b->compensate == NULL && b->undo == NULL);
        ck_assert_uint_eq(b->retry.attempts, 1);
        ck_assert_uint_eq(kedge_reactor_find(back, kedge_text(a->name)), i);
    }
    ck_assert_uint_eq(back->steps[2].functions, KEDGE_REACTOR_RUN | KEDGE_REACTOR_COMPENSATE);
    ck_assert_int_eq(kedge_reactor_differ(reactor, back, why, sizeof why), 0);
    kedge_reactor_free(back);
}
END_TEST

START_TEST(retries_and_timeouts_are_not_in_the_stored_form)
{
    struct kedge_reactor *same;

    reactor = make();
    steps[1].retry.attempts = 9;
    steps[1].timeout_us = 9;
    same = make();
    ck_assert_mem_eq(&reactor->digest, &same->digest, sizeof same->digest);
    kedge_reactor_free(same);
}
END_TEST

START_TEST(every_truncation_and_every_flipped_bit_is_seen)
{
    struct kedge_reactor *back = NULL;
    struct kedge_bytes bytes;

    reactor = make();
    bytes = stored_form(reactor);
    for (size_t len = 0; len < bytes.len; len++) {
        unsigned char *part = malloc(len + 1);

        ck_assert_ptr_nonnull(part);
        memcpy(part + 1, bytes.data, len); /* ends where the allocation does */
        ck_assert_int_eq(kedge_reactor_load((struct kedge_bytes){ part + 1, len }, &back, &err),
                         KEDGE_ERR_CORRUPT);
        free(part);
    }
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        unsigned char *flipped = malloc(bytes.len);

        ck_assert_ptr_nonnull(flipped);
        memcpy(flipped, bytes.data, bytes.len);
        flipped[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert_int_eq(kedge_reactor_load((struct kedge_bytes){ flipped, bytes.len }, &back,
                                            &err),
                         KEDGE_ERR_CORRUPT);
        free(flipped);
    }
    ck_assert_ptr_null(back);
    release(bytes);
}
END_TEST

/* The digest is no secret: bytes with one that fits are still not believed. */
static int load_signed(unsigned char *bytes, size_t len)
{
    struct kedge_reactor *back = NULL;
    XXH128_canonical_t c;
    int rc;

    XXH128_canonicalFromHash(&c, XXH3_128bits(bytes, len - sizeof c));
    memcpy(bytes + len - sizeof c, &c, sizeof c);
    rc = kedge_reactor_load((struct kedge_bytes){ bytes, len }, &back, &err);
    kedge_reactor_free(back);
    return rc;
}

START_TEST(bytes_that_were_signed_are_checked_as_well)
{
    struct kedge_bytes bytes;
    int ok = 0, corrupt = 0, newer = 0;

    reactor = make();
    bytes = stored_form(reactor);
    for (size_t at = 0; at + 16 < bytes.len; at++) {
        for (unsigned value = 0; value < 256; value++) {
            unsigned char *copy = malloc(bytes.len);
            int rc;

            ck_assert_ptr_nonnull(copy);
            memcpy(copy, bytes.data, bytes.len);
            copy[at] = (unsigned char)value;
            rc = load_signed(copy, bytes.len);
            ok += rc == KEDGE_OK;
            corrupt += rc == KEDGE_ERR_CORRUPT;
            newer += rc == KEDGE_ERR_SCHEMA_NEW;
            free(copy);
        }
    }
    for (size_t len = 1; len + 16 < bytes.len; len++) {
        unsigned char *copy = malloc(len + 16);

        ck_assert_ptr_nonnull(copy);
        memcpy(copy, bytes.data, len);
        ck_assert_int_eq(load_signed(copy, len + 16), KEDGE_ERR_CORRUPT);
        free(copy);
    }
    ck_assert_int_eq(ok + corrupt + newer, (int)(256 * (bytes.len - 16)));
    ck_assert_int_gt(newer, 256);
    ck_assert_int_gt(corrupt, 256);
    release(bytes);
}
END_TEST

/* What is said of the definition as it is now, when `reactor' is what is stored. */
static const char *difference(void)
{
    static char why[300];
    struct kedge_reactor *ours = make();
    int rc;

    (void)strcpy(why, "none");
    rc = kedge_reactor_differ(ours, reactor, why, sizeof why);
    ck_assert_int_eq(rc, strcmp(why, "none") != 0);
    kedge_reactor_free(ours);
    define();
    return why;
}

START_TEST(the_first_difference_is_told)
{
    reactor = make();
    ck_assert_str_eq(difference(), "none");
    def.version = 2;
    ck_assert_str_eq(difference(), "the version is 2 here and 1 in the store");
    def.name = "other";
    ck_assert_str_eq(difference(), "the reactor is 'other' here and 'order' in the store");
    steps[3].name = "e";
    ck_assert_str_eq(difference(), "steps[3] is 'e' here and 'd' in the store");
    steps[1].flags = KEDGE_STEP_POOL;
    ck_assert_str_eq(difference(), "step 'b' has flags 0x1 here and 0x0 in the store");
    steps[1].undo = run;
    ck_assert_str_eq(difference(), "step 'b' has undo here and lacks it in the store");
    steps[0].undo = NULL;
    ck_assert_str_eq(difference(), "step 'a' lacks undo here and has it in the store");
    steps[3].compensate = run;
    ck_assert_str_eq(difference(), "step 'd' has compensate here and lacks it in the store");
    def.n_steps = 3;
    ck_assert_str_eq(difference(), "step 'd' is in the store and not here");
    steps[2].after = after_b;
    ck_assert_str_eq(difference(), "step 'c' comes after 'a' in the store and not here");
    steps[3].after = after_a;
    ck_assert_str_eq(difference(), "step 'd' comes after 'a' here and not in the store");
    def.result = "a";
    ck_assert_str_eq(difference(), "the result is that of 'a' here and of 'd' in the store");
    steps[1].run = other;
    steps[1].timeout_us = 1;
    ck_assert_str_eq(difference(), "none");
}
END_TEST

START_TEST(one_step_more_is_a_difference)
{
    def.n_steps = 3;
    reactor = make();
    def.n_steps = 4;
    ck_assert_str_eq(difference(), "step 'd' is here and not in the store");
}
END_TEST

START_TEST(the_order_within_after_does_not_matter)
{
    static const char *const after_ba[] = { "b", "a", NULL };

    reactor = make();
    steps[2].after = after_ba;
    ck_assert_str_eq(difference(), "none");
}
END_TEST

/* ------------------------------------------------------------------- cells */

static struct kedge_store *store;
static const struct kedge_backend_ops *ops;
static const struct kedge_host *host;
static void *session;

static void open_store(void)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    setup();
    options.flags = KEDGE_STORE_CREATE;
    ASSERT_OK(kedge_store_open("mem:", &options, &store, &err));
    ops = kedge_store_ops(store);
    host = kedge_store_host(store);
    ASSERT_OK(ops->session_open(kedge_store_handle(store), &session, &err));
}

static void close_store(void)
{
    ops->session_close(session);
    kedge_store_close(store);
    teardown();
}

static int put_in_store(const struct kedge_backend_ops *with)
{
    return kedge_reactor_register(with, session, host, reactor, 5 * SECOND, &err);
}

static int get_from_store(const char *name, uint32_t version, struct kedge_reactor **back)
{
    return kedge_reactor_fetch(ops, session, host, kedge_text(name), version, back, 5 * SECOND,
                               &err);
}

static void same_in_store(void)
{
    struct kedge_reactor *back = NULL;
    char why[300] = "";

    ASSERT_OK(get_from_store(reactor->name, reactor->version, &back));
    ck_assert_msg(kedge_reactor_differ(reactor, back, why, sizeof why) == 0, "%s", why);
    ck_assert_mem_eq(&back->digest, &reactor->digest, sizeof back->digest);
    ck_assert_uint_eq(back->n_edges, reactor->n_edges);
    kedge_reactor_free(back);
}

START_TEST(registers_once_and_compares_afterwards)
{
    struct kedge_reactor *back = NULL;

    reactor = make();
    ck_assert_int_eq(get_from_store("order", 1, &back), KEDGE_NOT_FOUND);
    ASSERT_OK(put_in_store(ops));
    same_in_store();
    ASSERT_OK(put_in_store(ops));
    ck_assert_int_eq(get_from_store("order", 2, &back), KEDGE_NOT_FOUND);
    ck_assert_int_eq(get_from_store("orde", 1, &back), KEDGE_NOT_FOUND);
    ck_assert_ptr_null(back);
}
END_TEST

START_TEST(another_definition_needs_another_version)
{
    reactor = make();
    ASSERT_OK(put_in_store(ops));
    kedge_reactor_free(reactor);
    steps[1].undo = run;
    reactor = make();
    ck_assert_int_eq(put_in_store(ops), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "reactor 'order', version 1: the store has it with other steps: step "
                              "'b' has undo here and lacks it in the store; what has changed needs "
                              "a new version");
    kedge_reactor_free(reactor);
    def.version = 2;
    reactor = make();
    ASSERT_OK(put_in_store(ops));
    same_in_store();
}
END_TEST

START_TEST(refuses_bad_arguments_of_fetch)
{
    struct kedge_reactor *back = NULL;

    ck_assert_int_eq(get_from_store("a b", 1, &back), KEDGE_ERR_INVALID);
    ck_assert_int_eq(get_from_store("", 1, &back), KEDGE_ERR_INVALID);
    ck_assert_int_eq(get_from_store("a", 0, &back), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_reactor_fetch(ops, session, host, kedge_text("a"), 1, &back, 0, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_ptr_null(back);
}
END_TEST

/* What is in the cell of a part; released by the caller. */
static struct kedge_cell part_cell(uint32_t part)
{
    char name[KEDGE_REACTOR_CELL_MAX];
    struct kedge_cell cell = { .mem = NULL };

    ASSERT_OK(
        ops->cell_get(session,
                      kedge_reactor_cell(name, kedge_text(reactor->name), reactor->version, part),
                      &cell, SECOND, &err));
    return cell;
}

static void change_part(uint32_t part, uint32_t kind, struct kedge_bytes value)
{
    char name[KEDGE_REACTOR_CELL_MAX];
    struct kedge_change change = {
        .kind = kind,
        .name = kedge_reactor_cell(name, kedge_text(reactor->name), reactor->version, part),
    };
    struct kedge_commit commit = { .request = { { 1 } }, .changes = &change, .n_changes = 1 };
    struct kedge_answer answer;

    commit.request.b[1] = (uint8_t)draw(256);
    commit.request.b[2] = (uint8_t)draw(256);
    if (kind == KEDGE_CELL_PUT)
        change.cell.value = value;
    ASSERT_OK(ops->commit(session, &commit, 1, &answer, SECOND, &err));
    ck_assert_int_eq(answer.outcome, KEDGE_OK);
}

START_TEST(large_definitions_are_in_parts)
{
    struct big b = big_new(5000, 100, 5);
    struct kedge_reactor *back = NULL;
    struct kedge_cell cell;

    reactor = make();
    ck_assert_uint_gt(kedge_reactor_store_size(reactor), 8 * ops->limits->cell_max);
    ASSERT_OK(put_in_store(ops));
    same_in_store();
    ASSERT_OK(put_in_store(ops));
    cell = part_cell(0);
    ck_assert_uint_eq(cell.value.len, ops->limits->cell_max);
    ck_assert_uint_eq(*(const unsigned char *)cell.value.data,
                      (kedge_reactor_store_size(reactor) + 1 + ops->limits->cell_max - 1) /
                          ops->limits->cell_max);
    kedge_mem_free(host, cell.mem);

    change_part(3, KEDGE_CELL_PUT, (struct kedge_bytes){ "x", 1 });
    ck_assert_int_eq(get_from_store("order", 1, &back), KEDGE_ERR_CORRUPT);
    ck_assert_str_eq(err.msg, "reactor 'order', version 1: the stored definition of a reactor does "
                              "not fit its checksum");
    change_part(3, KEDGE_CELL_DELETE, (struct kedge_bytes){ NULL, 0 });
    ck_assert_int_eq(put_in_store(ops), KEDGE_ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.msg, "reactor 'order', version 1: part 3 of the "));
    ck_assert_ptr_nonnull(strstr(err.msg, " parts of its stored definition is missing"));
    change_part(0, KEDGE_CELL_PUT, (struct kedge_bytes){ "\0", 1 });
    ck_assert_int_eq(put_in_store(ops), KEDGE_ERR_CORRUPT);
    change_part(0, KEDGE_CELL_PUT, (struct kedge_bytes){ NULL, 0 });
    ck_assert_int_eq(put_in_store(ops), KEDGE_ERR_CORRUPT);
    ck_assert_ptr_null(back);
    big_free(&b);
}
END_TEST

START_TEST(nearly_sixteen_mebibytes)
{
    struct big b = big_new(62000, 255, 1);

    reactor = make();
    ck_assert_uint_gt(kedge_reactor_store_size(reactor), 15u << 20);
    ASSERT_OK(put_in_store(ops));
    same_in_store();
    big_free(&b);
}
END_TEST

START_TEST(every_size_around_the_border_of_a_part)
{
    size_t base;

    def.n_steps = 1;
    reactor = make();
    base = kedge_reactor_store_size(reactor);
    kedge_reactor_free(reactor);
    reactor = NULL;
    ck_assert_uint_lt(base, 64);
    for (uint32_t extra = 0; extra < 300; extra += 7) {
        /* 253 steps of 259 bytes or so, and a last one whose name makes up the rest */
        struct big b = big_new(253, 251, 0);
        char name[256];

        memset(name, 'z', sizeof name);
        name[extra % 250 + 1] = '\0';
        b.steps[252].name = name;
        def.version = extra + 10;
        reactor = make();
        ASSERT_OK(put_in_store(ops));
        same_in_store();
        kedge_reactor_free(reactor);
        reactor = NULL;
        big_free(&b);
    }
}
END_TEST

START_TEST(too_large_for_a_commit_is_told)
{
    struct kedge_backend_ops narrow = *ops;
    struct kedge_limits limits = *ops->limits;
    struct big b = big_new(5000, 100, 5);

    limits.commit_changes = 2;
    narrow.limits = &limits;
    reactor = make();
    ck_assert_int_eq(put_in_store(&narrow), KEDGE_ERR_TOO_BIG);
    ck_assert_ptr_nonnull(strstr(err.msg, "reactor 'order', version 1: its definition has "));
    big_free(&b);
}
END_TEST

START_TEST(a_definition_in_the_wrong_place_is_seen)
{
    struct kedge_reactor *back = NULL;
    struct kedge_cell cell;

    reactor = make();
    ASSERT_OK(put_in_store(ops));
    cell = part_cell(0);
    kedge_reactor_free(reactor);
    def.version = 2;
    reactor = make();
    change_part(0, KEDGE_CELL_PUT, cell.value);
    ck_assert_int_eq(get_from_store("order", 2, &back), KEDGE_ERR_CORRUPT);
    ck_assert_str_eq(err.msg, "reactor 'order', version 2: in its place is the definition of "
                              "'order', version 1");
    ck_assert_ptr_null(back);
    kedge_mem_free(host, cell.mem);
}
END_TEST

/* A store around the store that answers as it is told. */
static struct {
    int unknown_before; /* so many commits are lost on their way */
    int unknown_after;  /* so many answers are lost */
    int unavailable;    /* so many are refused after that */
    int blind;          /* so many looks find nothing */
    int commits;
    struct kedge_id128 request;
} fault;

static int faulty_commit(void *s, const struct kedge_commit *commits, size_t n,
                         struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *e)
{
    int rc;

    ck_assert_int_gt(timeout_us, 0);
    if (fault.commits++ == 0)
        fault.request = commits[0].request;
    ck_assert_mem_eq(&fault.request, &commits[0].request, sizeof fault.request);
    if (fault.unknown_before > 0) {
        fault.unknown_before--;
        return kedge_error_set(e, KEDGE_ERR_UNKNOWN, 0, "lost");
    }
    if (fault.unknown_after == 0 && fault.unavailable > 0) {
        fault.unavailable--;
        return kedge_error_set(e, KEDGE_ERR_UNAVAILABLE, 0, "away");
    }
    rc = ops->commit(s, commits, n, answers, timeout_us, e);
    if (fault.unknown_after > 0) {
        fault.unknown_after--;
        answers[0].outcome = KEDGE_ERR_UNKNOWN;
    }
    return rc;
}

static int faulty_cell_get(void *s, struct kedge_bytes name, struct kedge_cell *out,
                           int64_t timeout_us, struct kedge_error *e)
{
    if (fault.blind > 0) {
        fault.blind--;
        return KEDGE_NOT_FOUND;
    }
    return ops->cell_get(s, name, out, timeout_us, e);
}

static struct kedge_backend_ops faulty(void)
{
    struct kedge_backend_ops f = *ops;

    memset(&fault, 0, sizeof fault);
    f.commit = faulty_commit;
    f.cell_get = faulty_cell_get;
    return f;
}

START_TEST(what_is_in_doubt_is_sent_again)
{
    struct kedge_backend_ops f = faulty();

    reactor = make();
    fault.unknown_before = 2;
    fault.unknown_after = 2;
    fault.unavailable = 1;
    ASSERT_OK(put_in_store(&f));
    ck_assert_int_eq(fault.commits, 6);
    same_in_store();
}
END_TEST

START_TEST(stays_in_doubt_when_the_time_is_up)
{
    struct kedge_backend_ops f = faulty();

    reactor = make();
    fault.unknown_before = 1000000;
    ck_assert_int_eq(kedge_reactor_register(&f, session, host, reactor, 50000, &err),
                     KEDGE_ERR_UNKNOWN);
    ck_assert_str_eq(err.msg, "reactor 'order', version 1: lost");
    ck_assert_int_eq(err.code, KEDGE_ERR_UNKNOWN);
    ck_assert_int_gt(fault.commits, 1);
}
END_TEST

START_TEST(what_was_not_begun_is_not_in_doubt)
{
    struct kedge_backend_ops f = faulty();

    reactor = make();
    fault.unavailable = 1;
    ck_assert_int_eq(put_in_store(&f), KEDGE_ERR_UNAVAILABLE);
    ck_assert_str_eq(err.msg, "reactor 'order', version 1: away");
    ck_assert_int_eq(fault.commits, 1);
}
END_TEST

START_TEST(who_comes_second_compares)
{
    struct kedge_backend_ops f = faulty();

    reactor = make();
    ASSERT_OK(put_in_store(ops));
    fault.blind = 1; /* it was written right after the look */
    ASSERT_OK(put_in_store(&f));
    kedge_reactor_free(reactor);
    steps[0].undo = NULL;
    reactor = make();
    f = faulty();
    fault.blind = 1;
    ck_assert_int_eq(put_in_store(&f), KEDGE_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "step 'a' lacks undo here and has it in the store"));
    ck_assert_int_eq(fault.commits, 1);
}
END_TEST

static TCase *definitions(void)
{
    TCase *tc = tcase_create("definitions");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, refuses_null);
    tcase_add_test(tc, refuses_a_definition_of_the_wrong_size);
    tcase_add_test(tc, a_newer_program_may_ask_for_nothing_new);
    tcase_add_test(tc, refuses_bad_names_of_reactors);
    tcase_add_test(tc, refuses_bad_names_of_steps);
    tcase_add_test(tc, refuses_two_steps_of_one_name);
    tcase_add_test(tc, refuses_bad_members_of_the_reactor);
    tcase_add_test(tc, refuses_bad_members_of_a_step);
    tcase_add_test(tc, refuses_a_graph_that_is_none);
    tcase_add_test(tc, a_long_cycle_is_counted);
    tcase_add_test(tc, long_names_leave_room_for_the_message);
    tcase_add_test(tc, has_the_graph_both_ways);
    tcase_add_test(tc, finds_by_name);
    tcase_add_test(tc, copies_everything);
    tcase_add_test(tc, the_last_step_has_the_result);
    tcase_add_test(tc, lives_until_the_last_hold_is_gone);
    tcase_add_test(tc, a_hundred_thousand_steps);
    tcase_add_test(tc, a_chain_of_a_hundred_thousand_steps);
    tcase_add_test(tc, random_graphs_as_the_naive_way_sees_them);
    tcase_add_test(tc, waits_grow_as_they_were_told_to);
    tcase_add_test(tc, waits_do_not_overflow);
    tcase_add_test(tc, jitter_shortens_by_its_share_at_most);
    tcase_add_test(tc, comes_back_as_it_was_stored);
    tcase_add_test(tc, retries_and_timeouts_are_not_in_the_stored_form);
    tcase_add_test(tc, every_truncation_and_every_flipped_bit_is_seen);
    tcase_add_test(tc, bytes_that_were_signed_are_checked_as_well);
    tcase_add_test(tc, the_first_difference_is_told);
    tcase_add_test(tc, one_step_more_is_a_difference);
    tcase_add_test(tc, the_order_within_after_does_not_matter);
    return tc;
}

static TCase *cells(void)
{
    TCase *tc = tcase_create("cells");

    tcase_add_checked_fixture(tc, open_store, close_store);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, registers_once_and_compares_afterwards);
    tcase_add_test(tc, another_definition_needs_another_version);
    tcase_add_test(tc, refuses_bad_arguments_of_fetch);
    tcase_add_test(tc, large_definitions_are_in_parts);
    tcase_add_test(tc, nearly_sixteen_mebibytes);
    tcase_add_test(tc, every_size_around_the_border_of_a_part);
    tcase_add_test(tc, too_large_for_a_commit_is_told);
    tcase_add_test(tc, a_definition_in_the_wrong_place_is_seen);
    tcase_add_test(tc, what_is_in_doubt_is_sent_again);
    tcase_add_test(tc, stays_in_doubt_when_the_time_is_up);
    tcase_add_test(tc, what_was_not_begun_is_not_in_doubt);
    tcase_add_test(tc, who_comes_second_compares);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("reactor");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, definitions());
    suite_add_tcase(s, cells());
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
