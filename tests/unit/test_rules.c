/* test_rules.c - the rules of the contract that need no store, and what a commit asks of one */
#include <config.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "backends/kit/rules.h"
#include "backends/kit/schema.h"

#define ARRAY_LEN(a) ((int)(sizeof(a) / sizeof *(a))) /* NOLINT(bugprone-sizeof-expression) */
#define TTL          INT64_C(1000000)
#define NOW          INT64_C(5000000)

static const struct kedge_id128 lease_a = { { 1 } };
static const struct kedge_id128 lease_b = { { 2 } };
static const struct kedge_id128 request_a = { { 3 } };
static const struct kedge_id128 request_b = { { 4 } };

static struct kedge_bytes bytes(const char *text)
{
    return (struct kedge_bytes){ .data = text, .len = strlen(text) };
}

static void *host_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void host_release(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

static const struct kedge_host host = {
    .struct_size = sizeof host,
    .abi = KEDGE_BACKEND_ABI,
    .alloc = host_alloc,
    .release = host_release,
};

/* ---------------------------------------------------------------------- time */

static const struct {
    struct kedge_when when;
    int64_t now;
    int64_t want;
} whens[] = {
    { { .base = KEDGE_NEVER, .us = 7 }, NOW, 0 },
    { { .base = KEDGE_AT, .us = 7 }, NOW, 7 },
    { { .base = KEDGE_AT, .us = 0 }, NOW, 1 }, /* 0 means "not set" */
    { { .base = KEDGE_AT, .us = -1 }, NOW, 1 },
    { { .base = KEDGE_AT, .us = INT64_MAX }, NOW, INT64_MAX },
    { { .base = KEDGE_IN, .us = 0 }, NOW, NOW },
    { { .base = KEDGE_IN, .us = 0 }, 0, 1 },
    { { .base = KEDGE_IN, .us = 7 }, NOW, NOW + 7 },
    { { .base = KEDGE_IN, .us = INT64_MAX - NOW - 1 }, NOW, INT64_MAX - 1 },
    { { .base = KEDGE_IN, .us = INT64_MAX - NOW }, NOW, INT64_MAX },
    { { .base = KEDGE_IN, .us = INT64_MAX - NOW + 1 }, NOW, INT64_MAX },
    { { .base = KEDGE_IN, .us = INT64_MAX }, NOW, INT64_MAX },
};

START_TEST(a_time_is_absolute_and_never_overflows)
{
    ck_assert_int_eq(kit_when(whens[_i].when, whens[_i].now), whens[_i].want);
}
END_TEST

/* -------------------------------------------------------------------- leases */

static struct kit_lease new_lease(void)
{
    struct kedge_lease_new in = { .id = lease_a, .request = request_a, .ttl_us = TTL };
    struct kit_lease lease;

    kit_lease_init(&lease, &in, 1, NOW);
    return lease;
}

START_TEST(a_lease_lapses_at_its_deadline_and_not_before)
{
    struct kit_lease lease = new_lease();

    ck_assert_int_eq(lease.l.deadline, NOW + TTL);
    ck_assert(!kit_lease_lapsed(&lease, NOW + TTL - 1));
    ck_assert(kit_lease_lapsed(&lease, NOW + TTL));
    ck_assert(kit_lease_lapsed(&lease, NOW + TTL + 1));
    kit_lease_view(&lease, NOW + TTL - 1);
    ck_assert_int_eq(lease.l.state, KEDGE_LEASE_LIVE);
    ck_assert_int_eq(lease.l.remaining_us, 1);
    kit_lease_view(&lease, NOW + TTL);
    ck_assert_int_eq(lease.l.state, KEDGE_LEASE_LAPSED);
    ck_assert_int_eq(lease.l.remaining_us, 0);
}
END_TEST

START_TEST(a_lapsed_lease_may_be_extended_a_dead_one_never)
{
    struct kit_lease lease = new_lease();

    ck_assert_int_eq(kit_lease_extend(&lease, NOW + 5 * TTL), KEDGE_OK);
    ck_assert_int_eq(lease.l.deadline, NOW + 6 * TTL);
    kit_lease_kill(&lease, NOW + 5 * TTL);
    ck_assert_int_eq(kit_lease_extend(&lease, NOW + 5 * TTL), KEDGE_LOST);
    ck_assert_int_eq(lease.l.deadline, NOW + 6 * TTL);
    kit_lease_kill(&lease, NOW + 7 * TTL);
    ck_assert_int_eq(lease.died, NOW + 5 * TTL);
    kit_lease_view(&lease, NOW + 5 * TTL);
    ck_assert_int_eq(lease.l.state, KEDGE_LEASE_DEAD);
    ck_assert_int_eq(lease.l.remaining_us, 0);
}
END_TEST

START_TEST(a_clock_that_steps_back_prolongs_by_one_ttl_at_most)
{
    struct kit_lease lease = new_lease();

    ck_assert(!kit_lease_restamp(&lease, NOW));
    ck_assert(!kit_lease_restamp(&lease, NOW + 1));
    ck_assert(kit_lease_restamp(&lease, NOW - 1));
    ck_assert_int_eq(lease.l.deadline, NOW - 1 + TTL);
    ck_assert(!kit_lease_restamp(&lease, NOW - 1));
    ck_assert(kit_lease_restamp(&lease, -NOW));
    ck_assert_int_eq(lease.l.deadline, -NOW + TTL);
    kit_lease_kill(&lease, NOW);
    ck_assert(!kit_lease_restamp(&lease, -2 * NOW));
}
END_TEST

START_TEST(before_the_restamp_no_more_than_a_ttl_is_shown)
{
    struct kit_lease lease = new_lease();

    kit_lease_view(&lease, NOW - 1000 * TTL);
    ck_assert_int_eq(lease.l.remaining_us, TTL);
}
END_TEST

/* Every combination, against the contract's sentence spelled out once more. */
START_TEST(a_burial_is_permitted_as_the_contract_says)
{
    for (unsigned bits = 0; bits < 128; bits++) {
        bool dead = bits & 1, lapsed = bits & 2, grace = bits & 4;
        struct kit_suspicion s = {
            .hint_absent = bits & 8,
            .absent_us = grace ? KIT_HINT_GRACE_US : KIT_HINT_GRACE_US - 1,
            .certain = bits & 16,
            .hints_ignored = bits & 32,
            .early = bits & 64,
        };
        struct kit_lease lease = new_lease();
        bool by_hint = s.hint_absent && grace && !s.hints_ignored;
        bool want = dead || s.certain || (!s.early && (lapsed || by_hint));

        if (dead)
            kit_lease_kill(&lease, NOW);
        ck_assert_msg(kit_lease_may_bury(&lease, lapsed ? NOW + TTL : NOW + TTL - 1, &s) ==
                          (want ? KEDGE_OK : KEDGE_HELD),
                      "dead %d, lapsed %d, absent %d for long %d, certain %d, ignored %d, early %d",
                      dead, lapsed, s.hint_absent, grace, s.certain, s.hints_ignored, s.early);
    }
}
END_TEST

/* ---------------------------------------------------------------------- runs */

static struct kit_run sound_run(uint32_t place)
{
    struct kit_run run = { .head_revision = 1 };
    struct kedge_run *r = &run.r;

    r->id = bytes("run");
    r->queue = bytes("queue");
    r->reactor = bytes("reactor");
    r->incarnation = 10;
    r->fence = 12;
    r->place = place;
    r->status = KEDGE_RUNNING;
    r->parent_slot = KEDGE_NO_SLOT;
    if (place == KEDGE_PLACE_DUE)
        r->due = NOW;
    if (place == KEDGE_PLACE_HELD)
        r->holder = lease_a;
    if (place == KEDGE_PLACE_PARKED) {
        r->status = KEDGE_PAUSED;
        r->wakes_on = KEDGE_WAKES_ON_SLOTS;
    }
    if (place == KEDGE_PLACE_REST) {
        r->status = KEDGE_COMPLETED;
        r->finished = NOW;
    }
    kit_run_load(&run, 3);
    return run;
}

START_TEST(a_run_is_in_exactly_one_place)
{
    struct kit_run run = sound_run((uint32_t)_i);

    ck_assert_ptr_null(kit_run_sound(&run));
#define UNSOUND(change)                                                                            \
    do {                                                                                           \
        run = sound_run((uint32_t)_i);                                                             \
        change;                                                                                    \
        ck_assert_msg(kit_run_sound(&run) != NULL, "place %d, %s", _i, #change);                   \
    } while (0)
    UNSOUND(run.r.place = 0);
    UNSOUND(run.r.place = 5);
    UNSOUND(run.r.place = run.r.place % 4 + 1);
    UNSOUND(run.r.incarnation = 0);
    UNSOUND(run.r.fence = 9);
    UNSOUND(run.r.snapshot_position = 4);
    UNSOUND(run.r.status = 0);
    UNSOUND(run.r.status = 11);
    if (_i == KEDGE_PLACE_HELD) {
        UNSOUND(run.r.holder = (struct kedge_id128){ { 0 } });
        UNSOUND(run.r.due = NOW);
        UNSOUND(run.r.wakes_on = KEDGE_WAKES_ON_SLOTS);
    } else {
        UNSOUND(run.r.holder = lease_a);
        UNSOUND(run.r.hold_until = NOW);
        UNSOUND(run.r.wake_mark = 1);
        UNSOUND(run.r.wakes_on ^= KEDGE_WAKES_ON_SLOTS);
        UNSOUND(run.r.due = run.r.due != 0 ? 0 : NOW);
    }
    if (_i == KEDGE_PLACE_REST) {
        UNSOUND(run.r.finished = 0);
        UNSOUND(run.r.status = KEDGE_PAUSED);
        for (uint32_t status = KEDGE_COMPLETED; status <= KEDGE_ABORTED; status++) {
            run = sound_run(KEDGE_PLACE_REST);
            run.r.status = status;
            run.r.expires = NOW;
            ck_assert_ptr_null(kit_run_sound(&run));
        }
    } else {
        UNSOUND(run.r.finished = NOW);
        UNSOUND(run.r.expires = NOW);
        UNSOUND(run.r.status = KEDGE_COMPLETED);
        UNSOUND(run.r.status = KEDGE_ABORTED);
    }
    if (_i == KEDGE_PLACE_PARKED) {
        UNSOUND(run.r.status = KEDGE_RUNNING);
        UNSOUND(run.r.wakes_on = KEDGE_WAKES_ON_TIME);
        run = sound_run(KEDGE_PLACE_PARKED);
        run.r.wakes_on |= KEDGE_WAKES_ON_TIME;
        run.r.due = NOW;
        ck_assert_ptr_null(kit_run_sound(&run));
    }
}
END_TEST

START_TEST(recoveries_count_only_without_progress)
{
    struct kit_run run = sound_run(KEDGE_PLACE_HELD);

    run.r.recoveries = 5;
    run.recoveries_at = 3;
    kit_run_load(&run, 3);
    ck_assert_uint_eq(run.r.recoveries, 5);
    ck_assert_uint_eq(run.r.revision, 4);
    kit_run_load(&run, 4);
    ck_assert_uint_eq(run.r.recoveries, 0);
    ck_assert_uint_eq(run.r.revision, 5);
    ck_assert_uint_eq(run.r.position, 4);
}
END_TEST

START_TEST(a_take_clears_what_was_waited_for_and_keeps_the_last_commit)
{
    struct kit_run run = sound_run(KEDGE_PLACE_PARKED);
    struct kedge_when hold = { .base = KEDGE_IN, .us = 5 };

    run.r.wakes_on |= KEDGE_WAKES_ON_TIME;
    run.r.due = NOW - 1;
    run.last = (struct kit_done){ .request = request_a, .fence = 12, .revision = 4, .position = 3 };
    kit_run_take(&run, &lease_b, 20, &request_b, hold, NOW);
    ck_assert_ptr_null(kit_run_sound(&run));
    ck_assert_uint_eq(run.r.place, KEDGE_PLACE_HELD);
    ck_assert_uint_eq(run.r.status, KEDGE_RUNNING);
    ck_assert_uint_eq(run.r.fence, 20);
    ck_assert_int_eq(run.r.hold_until, NOW + 5);
    ck_assert_uint_eq(run.r.revision, 5);
    ck_assert(kit_id_equal(&run.prev.request, &request_a));
    ck_assert(kit_id_zero(&run.last.request));
    ck_assert(kit_id_equal(&run.take_request, &request_b));
    run.r.wake_mark = 1;
    run.r.status = KEDGE_ROLLING_BACK;
    kit_run_take(&run, &lease_a, 21, &request_b, (struct kedge_when){ .base = KEDGE_NEVER }, NOW);
    ck_assert_uint_eq(run.r.wake_mark, 0);
    ck_assert_uint_eq(run.r.status, KEDGE_ROLLING_BACK);
    ck_assert_int_eq(run.r.hold_until, 0);
}
END_TEST

START_TEST(a_run_handed_back_is_due_and_not_charged)
{
    struct kit_run run = sound_run(KEDGE_PLACE_HELD);

    run.r.wake_mark = 1;
    run.r.hold_until = NOW;
    run.r.recoveries = 2;
    run.recoveries_at = 3;
    kit_run_hand_back(&run, NOW);
    ck_assert_ptr_null(kit_run_sound(&run));
    ck_assert_uint_eq(run.r.place, KEDGE_PLACE_DUE);
    ck_assert_int_eq(run.r.due, NOW);
    ck_assert_uint_eq(run.r.recoveries, 2);
    ck_assert_uint_eq(run.r.fence, 12);
    ck_assert_uint_eq(run.r.revision, 5);
}
END_TEST

START_TEST(what_may_be_claimed)
{
    struct kit_run run = sound_run(KEDGE_PLACE_DUE);

    ck_assert(!kit_run_claimable(&run, NOW - 1));
    ck_assert(kit_run_claimable(&run, NOW));
    run = sound_run(KEDGE_PLACE_PARKED);
    ck_assert(!kit_run_claimable(&run, INT64_MAX));
    run.r.wakes_on |= KEDGE_WAKES_ON_TIME;
    run.r.due = NOW;
    ck_assert(!kit_run_claimable(&run, NOW - 1));
    ck_assert(kit_run_claimable(&run, NOW));
    run = sound_run(KEDGE_PLACE_HELD);
    ck_assert(!kit_run_claimable(&run, INT64_MAX));
    run = sound_run(KEDGE_PLACE_REST);
    ck_assert(!kit_run_claimable(&run, INT64_MAX));
    ck_assert(!kit_run_expired(&run, INT64_MAX));
    run.r.expires = NOW;
    ck_assert(!kit_run_expired(&run, NOW - 1));
    ck_assert(kit_run_expired(&run, NOW));
}
END_TEST

START_TEST(who_serves_a_run)
{
    struct kit_run run = sound_run(KEDGE_PLACE_DUE);
    struct kedge_serve serve[2] = {
        { .queue = bytes("other"), .reactor = bytes("reactor"), .version_max = UINT32_MAX },
        { .queue = bytes("queue"),
          .reactor = bytes("reactor"),
          .version_min = 2,
          .version_max = 4 },
    };

    ck_assert(!kit_served(&run.r, serve, 0));
    for (uint32_t version = 1; version < 6; version++) {
        run.r.version = version;
        ck_assert(kit_served(&run.r, serve, 2) == (version >= 2 && version <= 4));
        ck_assert(!kit_served(&run.r, serve, 1));
    }
    run.r.version = 3;
    run.r.reactor = bytes("reacto");
    ck_assert(!kit_served(&run.r, serve, 2));
}
END_TEST

START_TEST(why_a_run_is_swept)
{
    struct kit_run run = sound_run(KEDGE_PLACE_HELD);
    struct kit_lease lease = new_lease();
    int64_t late = lease.l.deadline;

    ck_assert_uint_eq(kit_run_sweep(&run, &lease, NOW, late - 1), 0);
    ck_assert_uint_eq(kit_run_sweep(&run, &lease, NOW, late), KEDGE_SWEEP_LAPSED);
    ck_assert_uint_eq(kit_run_sweep(&run, NULL, NOW, NOW), KEDGE_SWEEP_NOLEASE);
    ck_assert(!kit_run_unheld(&run, &lease, NOW));
    ck_assert(kit_run_unheld(&run, NULL, NOW));
    run.r.hold_until = NOW;
    ck_assert_uint_eq(kit_run_sweep(&run, &lease, NOW - 1, NOW), 0);
    ck_assert(!kit_run_unheld(&run, &lease, NOW - 1));
    ck_assert_uint_eq(kit_run_sweep(&run, &lease, NOW, NOW), KEDGE_SWEEP_OVERDUE);
    ck_assert(kit_run_unheld(&run, &lease, NOW));
    ck_assert_uint_eq(kit_run_sweep(&run, &lease, NOW, late), KEDGE_SWEEP_LAPSED);
    run.r.hold_until = 0;
    kit_lease_kill(&lease, NOW);
    ck_assert_uint_eq(kit_run_sweep(&run, &lease, NOW, late), KEDGE_SWEEP_DEAD);
    ck_assert(kit_run_unheld(&run, &lease, NOW));
    ck_assert_int_eq(kit_run_sweep_since(&run, &lease, KEDGE_SWEEP_DEAD, 100), NOW + 100);
    ck_assert_int_eq(kit_run_sweep_since(&run, &lease, KEDGE_SWEEP_LAPSED, 100), late + 100);
    ck_assert_int_eq(kit_run_sweep_since(&run, NULL, KEDGE_SWEEP_NOLEASE, 100), INT64_MIN);
    run = sound_run(KEDGE_PLACE_DUE);
    ck_assert_uint_eq(kit_run_sweep(&run, NULL, NOW, late), 0);
    ck_assert(kit_run_unheld(&run, NULL, NOW));
}
END_TEST

/* --------------------------------------------------------------------- bytes */

START_TEST(bytes_are_ordered_as_memcmp_has_it_and_the_shorter_first)
{
    static const char *const order[] = { "", "\x01", "a", "a\x01", "ab", "b", "\xff" };

    for (int i = 0; i < ARRAY_LEN(order); i++) {
        for (int k = 0; k < ARRAY_LEN(order); k++) {
            int got = kit_bytes_cmp(bytes(order[i]), bytes(order[k]));

            ck_assert_int_eq((got > 0) - (got < 0), (i > k) - (i < k));
            ck_assert(kit_bytes_equal(bytes(order[i]), bytes(order[k])) == (i == k));
        }
    }
}
END_TEST

/* ---------------------------------------------------------- structural checks */

static const struct kedge_limits limits = {
    .struct_size = sizeof limits,
    .id_max = 8,
    .value_max = 16,
    .cell_max = 12,
    .batch_items = 3,
    .batch_bytes = 40,
    .commit_changes = 4,
    .commit_bytes = 48,
    .page_max = 10,
    .ttl_min_us = 5,
    .ttl_max_us = 10,
};

static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";

static struct kedge_bytes some(size_t n)
{
    return (struct kedge_bytes){ .data = letters, .len = n };
}

/* One more than the limit is too big, the limit itself is not. */
static int sized(size_t n, size_t limit)
{
    return n > limit ? KEDGE_ERR_TOO_BIG : KEDGE_OK;
}

static int check_one(const struct kedge_guard *g, size_t n_guards, const struct kedge_change *ch,
                     size_t n_changes)
{
    struct kedge_commit commit = {
        .request = request_a,
        .guards = g,
        .n_guards = n_guards,
        .changes = ch,
        .n_changes = n_changes,
    };
    struct kedge_answer answer;
    int rc = kit_check_commit(&limits, &commit, &answer);

    ck_assert_int_eq(answer.outcome, rc);
    ck_assert((rc < 0) == (answer.why[0] != '\0'));
    return rc;
}

START_TEST(sizes_at_their_limits)
{
    struct kedge_guard g = { .kind = KEDGE_GUARD_HELD, .name = some(8), .lease = lease_a };
    struct kedge_bytes record;
    struct kedge_change ch[5];

    for (size_t n = 7; n <= 9; n++) {
        struct kedge_error err;

        g.name = some(n);
        ck_assert_int_eq(check_one(&g, 1, NULL, 0), sized(n, 8));
        ch[0] = (struct kedge_change){ .kind = KEDGE_WAKE, .name = some(n) };
        ck_assert_int_eq(check_one(NULL, 0, ch, 1), sized(n, 8));
        ck_assert_int_eq(kit_check_name(&limits, some(n), "the name", &err), sized(n, 8));
    }
    g.name = some(8);
    for (size_t n = 15; n <= 17; n++) {
        record = some(n);
        ch[0] = (struct kedge_change){ .kind = KEDGE_APPEND, .name = some(8) };
        ch[0].append.records = &record;
        ch[0].append.n = 1;
        ch[0].append.first = 1;
        ck_assert_int_eq(check_one(&g, 1, ch, 1), sized(n, 16));
        ch[0] = (struct kedge_change){ .kind = KEDGE_SNAPSHOT, .name = some(8) };
        ch[0].snapshot.position = 1;
        ch[0].snapshot.data = some(n);
        ck_assert_int_eq(check_one(&g, 1, ch, 1), sized(n, 16));
        ch[0] = (struct kedge_change){ .kind = KEDGE_SLOT_PUT, .name = some(8) };
        ch[0].slot.value = some(n);
        ck_assert_int_eq(check_one(NULL, 0, ch, 1), sized(n, 16));
    }
    for (size_t n = 11; n <= 13; n++) {
        ch[0] = (struct kedge_change){ .kind = KEDGE_CELL_PUT, .name = some(8) };
        ch[0].cell.value = some(n);
        ck_assert_int_eq(check_one(NULL, 0, ch, 1), sized(n, 12));
    }
    for (size_t n = 0; n < 5; n++)
        ch[n] = (struct kedge_change){ .kind = KEDGE_WAKE, .name = some(1) };
    for (size_t n = 2; n <= 4; n++)
        ck_assert_int_eq(check_one(&g, 1, ch, n), sized(n + 1, 4));
    for (size_t n = 6; n <= 8; n++) { /* 3 * (8 + 5) + n + 2 */
        for (size_t i = 0; i < 3; i++) {
            ch[i] = (struct kedge_change){ .kind = KEDGE_CELL_PUT, .name = some(8) };
            ch[i].cell.value = some(5);
        }
        ch[3] = (struct kedge_change){ .kind = KEDGE_CELL_PUT, .name = some(n) };
        ch[3].cell.value = some(2);
        ck_assert_int_eq(check_one(NULL, 0, ch, 4), sized(41 + n, 48));
    }
}
END_TEST

START_TEST(a_change_that_writes_a_run_must_be_fenced)
{
    static const uint32_t kinds[] = { KEDGE_APPEND, KEDGE_SNAPSHOT, KEDGE_SET, KEDGE_RELEASE,
                                      KEDGE_SLOTS };
    struct kedge_run_new new = { .reactor = some(1),
                                 .queue = some(1),
                                 .parent_slot = KEDGE_NO_SLOT,
                                 .due = { .base = KEDGE_IN } };
    struct kedge_bytes record = some(1);
    struct kedge_guard g = { .name = some(2), .lease = lease_a, .statuses = KEDGE_STATUSES_ALL };
    struct kedge_change ch[2] = { { .kind = kinds[_i], .name = some(2) },
                                  { .kind = KEDGE_CREATE, .name = some(2), .create = &new } };
    struct kedge_change swapped[2];

    if (kinds[_i] == KEDGE_APPEND) {
        ch[0].append.records = &record;
        ch[0].append.n = ch[0].append.first = 1;
    } else if (kinds[_i] == KEDGE_SNAPSHOT) {
        ch[0].snapshot.position = 1;
    } else if (kinds[_i] == KEDGE_SET) {
        ch[0].set.mask = KEDGE_SET_CLEAR_REQUESTS;
    } else if (kinds[_i] == KEDGE_RELEASE) {
        ch[0].release.place = KEDGE_PLACE_DUE;
        ch[0].release.when.base = KEDGE_IN;
    } else {
        ch[0].slots.total = 1;
    }
    ck_assert_int_eq(check_one(NULL, 0, ch, 1), KEDGE_ERR_INVALID);
    for (g.kind = KEDGE_GUARD_HELD; g.kind <= KEDGE_GUARD_TIME; g.kind++)
        ck_assert_int_eq(check_one(&g, 1, ch, 1),
                         g.kind == KEDGE_GUARD_HELD || g.kind == KEDGE_GUARD_UNHELD
                             ? KEDGE_OK
                             : KEDGE_ERR_INVALID);
    g.kind = KEDGE_GUARD_HELD;
    g.name = some(3);
    ck_assert_int_eq(check_one(&g, 1, ch, 1), KEDGE_ERR_INVALID);
    ck_assert_int_eq(check_one(NULL, 0, ch, 2), KEDGE_ERR_INVALID);
    swapped[0] = ch[1];
    swapped[1] = ch[0];
    ck_assert_int_eq(check_one(NULL, 0, swapped, 2), KEDGE_OK);
}
END_TEST

START_TEST(senseless_commits_are_refused)
{
    struct kedge_guard g = { .kind = KEDGE_GUARD_UNHELD, .name = some(1), .lease = lease_a };
    struct kedge_change ch = { .kind = KEDGE_TAKE, .name = some(1) };
    struct kedge_commit commit = { .guards = &g, .n_guards = 1 };
    struct kedge_answer answer;

    ck_assert_int_eq(check_one(NULL, 0, NULL, 0), KEDGE_ERR_INVALID);
    ck_assert_int_eq(check_one(NULL, 1, NULL, 0), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kit_check_commit(&limits, &commit, &answer), KEDGE_ERR_INVALID);
    ck_assert_int_eq(check_one(&g, 1, NULL, 0), KEDGE_ERR_INVALID); /* no statuses */
    g.statuses = KEDGE_STATUSES_ALL;
    ck_assert_int_eq(check_one(&g, 1, NULL, 0), KEDGE_OK);
    ck_assert_int_eq(check_one(&g, 1, &ch, 1), KEDGE_ERR_INVALID); /* no lease */
    ch.take.lease = lease_a;
    ck_assert_int_eq(check_one(&g, 1, &ch, 1), KEDGE_OK);
    ch.take.hold_until = (struct kedge_when){ .base = KEDGE_IN, .us = -1 };
    ck_assert_int_eq(check_one(&g, 1, &ch, 1), KEDGE_ERR_INVALID);
    g.kind = KEDGE_GUARD_HELD;
    ch.take.hold_until.us = 0;
    ck_assert_int_eq(check_one(&g, 1, &ch, 1), KEDGE_ERR_INVALID); /* needs UNHELD */
    g.lease = (struct kedge_id128){ { 0 } };
    ck_assert_int_eq(check_one(&g, 1, NULL, 0), KEDGE_ERR_INVALID);
    g.kind = 0;
    ck_assert_int_eq(check_one(&g, 1, NULL, 0), KEDGE_ERR_INVALID);
    g.kind = KEDGE_GUARD_TIME + 1;
    ck_assert_int_eq(check_one(&g, 1, NULL, 0), KEDGE_ERR_INVALID);
    ch = (struct kedge_change){ .kind = KEDGE_LOCK_RELEASE + 1, .name = some(1) };
    ck_assert_int_eq(check_one(NULL, 0, &ch, 1), KEDGE_ERR_INVALID);
    ch = (struct kedge_change){ .kind = KEDGE_WAKE };
    ck_assert_int_eq(check_one(NULL, 0, &ch, 1), KEDGE_ERR_INVALID);
    ch.name.len = 1;
    ck_assert_int_eq(check_one(NULL, 0, &ch, 1), KEDGE_ERR_INVALID);
}
END_TEST

static int check_release(uint32_t place, uint32_t status, uint32_t wakes_on, uint32_t base)
{
    struct kedge_guard g = { .kind = KEDGE_GUARD_HELD, .name = some(1), .lease = lease_a };
    struct kedge_change ch = { .kind = KEDGE_RELEASE, .name = some(1) };

    ch.release.place = place;
    ch.release.status = status;
    ch.release.wakes_on = wakes_on;
    ch.release.when.base = base;
    return check_one(&g, 1, &ch, 1);
}

START_TEST(a_release_names_its_place_completely)
{
    for (uint32_t status = 0; status <= KEDGE_ABORTED + 1; status++) {
        bool resting = status >= KEDGE_COMPLETED && status <= KEDGE_ABORTED;
        bool expires = resting && status != KEDGE_STUCK && status != KEDGE_ABORTED;
        int rc;

        rc = check_release(KEDGE_PLACE_DUE, status, 0, KEDGE_IN);
        ck_assert_int_eq(rc, status < KEDGE_COMPLETED ? KEDGE_OK : KEDGE_ERR_INVALID);
        rc = check_release(KEDGE_PLACE_PARKED, status, KEDGE_WAKES_ON_SLOTS, KEDGE_NEVER);
        ck_assert_int_eq(rc, status == 0 || status == KEDGE_PAUSED ? KEDGE_OK : KEDGE_ERR_INVALID);
        rc = check_release(KEDGE_PLACE_REST, status, 0, KEDGE_NEVER);
        ck_assert_int_eq(rc, resting ? KEDGE_OK : KEDGE_ERR_INVALID);
        rc = check_release(KEDGE_PLACE_REST, status, 0, KEDGE_IN);
        ck_assert_int_eq(rc, expires ? KEDGE_OK : KEDGE_ERR_INVALID);
    }
    ck_assert_int_eq(check_release(KEDGE_PLACE_DUE, 0, 0, KEDGE_NEVER), KEDGE_ERR_INVALID);
    ck_assert_int_eq(check_release(KEDGE_PLACE_DUE, 0, 1, KEDGE_IN), KEDGE_ERR_INVALID);
    ck_assert_int_eq(check_release(KEDGE_PLACE_HELD, 0, 0, KEDGE_IN), KEDGE_ERR_INVALID);
    ck_assert_int_eq(check_release(KEDGE_PLACE_PARKED, 0, 0, KEDGE_NEVER), KEDGE_ERR_INVALID);
    ck_assert_int_eq(check_release(KEDGE_PLACE_PARKED, 0, 8, KEDGE_NEVER), KEDGE_ERR_INVALID);
    ck_assert_int_eq(check_release(KEDGE_PLACE_PARKED, 0, 4, KEDGE_NEVER), KEDGE_ERR_INVALID);
    ck_assert_int_eq(check_release(KEDGE_PLACE_PARKED, 0, 3, KEDGE_IN), KEDGE_ERR_INVALID);
    ck_assert_int_eq(check_release(KEDGE_PLACE_PARKED, 0, 7, KEDGE_IN), KEDGE_OK);
}
END_TEST

START_TEST(a_batch_names_a_held_run_once)
{
    struct kedge_guard g[3] = {
        { .kind = KEDGE_GUARD_HELD, .name = bytes("a"), .lease = lease_a },
        { .kind = KEDGE_GUARD_HELD, .name = bytes("b"), .lease = lease_a },
        { .kind = KEDGE_GUARD_HELD, .name = bytes("a"), .lease = lease_a },
    };
    struct kedge_commit commits[4] = {
        { .request = request_a, .guards = &g[0], .n_guards = 1 },
        { .request = request_a, .guards = &g[1], .n_guards = 1 },
        { .request = request_a, .guards = &g[2], .n_guards = 1 },
        { .request = request_a, .guards = &g[1], .n_guards = 1 },
    };
    struct kedge_answer answers[4];

    ck_assert_int_eq(kit_check_batch(&limits, commits, 3, answers, NULL), KEDGE_OK);
    ck_assert_int_eq(answers[0].outcome, KEDGE_OK);
    ck_assert_int_eq(answers[1].outcome, KEDGE_OK);
    ck_assert_int_eq(answers[2].outcome, KEDGE_ERR_INVALID);
    g[2].kind = KEDGE_GUARD_POSITION;
    ck_assert_int_eq(kit_check_batch(&limits, commits, 3, answers, NULL), KEDGE_OK);
    ck_assert_int_eq(answers[2].outcome, KEDGE_OK);
    ck_assert_int_eq(kit_check_batch(&limits, commits, 0, NULL, NULL), KEDGE_OK);
    ck_assert_int_eq(kit_check_batch(&limits, commits, 4, answers, NULL), KEDGE_ERR_TOO_BIG);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(answers[i].outcome, KEDGE_ERR_TOO_BIG);
}
END_TEST

START_TEST(the_bytes_of_a_batch)
{
    struct kedge_change ch[4];
    struct kedge_commit commits[2] = {
        { .request = request_a, .changes = ch, .n_changes = 2 },
        { .request = request_a, .changes = ch + 2, .n_changes = 2 },
    };
    struct kedge_answer answers[2];

    for (size_t n = 9; n <= 11; n++) {
        for (size_t i = 0; i < 4; i++) {
            ch[i] = (struct kedge_change){ .kind = KEDGE_CELL_PUT, .name = some(1) };
            ch[i].cell.value = some(i == 0 ? n : 9);
        }
        ck_assert_int_eq(kit_check_batch(&limits, commits, 2, answers, NULL), sized(31 + n, 40));
    }
    for (size_t i = 0; i < 4; i++) /* a single commit has a limit of its own */
        ch[i].cell.value = some(10);
    commits[0].n_changes = 4;
    ck_assert_int_eq(kit_check_batch(&limits, commits, 1, answers, NULL), KEDGE_OK);
    ck_assert_int_eq(answers[0].outcome, KEDGE_OK);
}
END_TEST

START_TEST(other_requests_at_their_limits)
{
    struct kedge_lease_new lease = { .id = lease_a, .request = request_a };
    struct kedge_serve serve = { .queue = some(1), .reactor = some(1) };
    struct kedge_claim claim = { .request = request_a, .lease = lease_a, .serves = &serve };
    struct kedge_list list = { .limit = 1 };

    for (lease.ttl_us = 4; lease.ttl_us <= 11; lease.ttl_us++)
        ck_assert_int_eq(kit_check_lease(&limits, &lease, NULL),
                         lease.ttl_us >= 5 && lease.ttl_us <= 10 ? KEDGE_OK : KEDGE_ERR_INVALID);
    lease.ttl_us = 5;
    lease.owner = some(9);
    ck_assert_int_eq(kit_check_lease(&limits, &lease, NULL), KEDGE_ERR_TOO_BIG);
    claim.n_serves = 1;
    for (claim.limit = 0; claim.limit <= 4; claim.limit++)
        ck_assert_int_eq(kit_check_claim(&limits, &claim, NULL),
                         claim.limit >= 1 && claim.limit <= 3 ? KEDGE_OK : KEDGE_ERR_INVALID);
    claim.limit = 1;
    serve.version_min = 1;
    ck_assert_int_eq(kit_check_claim(&limits, &claim, NULL), KEDGE_ERR_INVALID);
    serve.version_max = 1;
    ck_assert_int_eq(kit_check_claim(&limits, &claim, NULL), KEDGE_OK);
    claim.n_serves = 0;
    ck_assert_int_eq(kit_check_claim(&limits, &claim, NULL), KEDGE_ERR_INVALID);
    for (list.limit = 0; list.limit <= 11; list.limit++)
        ck_assert_int_eq(kit_check_list(&limits, &list, NULL),
                         list.limit >= 1 && list.limit <= 10 ? KEDGE_OK : KEDGE_ERR_INVALID);
    list.limit = 1;
    list.statuses = 1;
    ck_assert_int_eq(kit_check_list(&limits, &list, NULL), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kit_check_timeout(0, NULL), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kit_check_timeout(1, NULL), KEDGE_OK);
}
END_TEST

/* ------------------------------------------------ what a plain append asks for */

/* A store with one held run; any call that is not expected is a NULL pointer. */
static struct {
    struct kit_run run;
    struct kit_lease lease;
    struct kedge_id128 last_request;
    int run_gets, lease_gets, record_requests, appends, allocs;
} fake;

static int fake_run_get(void *ctx, struct kedge_bytes id, const struct kit_run **out)
{
    (void)ctx;
    (void)id;
    fake.run_gets++;
    *out = &fake.run;
    return KEDGE_OK;
}

static int fake_lease_get(void *ctx, const struct kedge_id128 *id, const struct kit_lease **out)
{
    (void)ctx;
    (void)id;
    fake.lease_gets++;
    *out = &fake.lease;
    return KEDGE_OK;
}

static int fake_record_request(void *ctx, const struct kit_run *run, uint64_t number,
                               struct kedge_id128 *out)
{
    (void)ctx;
    (void)run;
    (void)number;
    fake.record_requests++;
    *out = fake.last_request;
    return KEDGE_OK;
}

static int fake_append(void *ctx, const struct kit_run *run, uint64_t first,
                       const struct kedge_bytes *records, size_t n,
                       const struct kedge_id128 *request, int64_t now_wall)
{
    (void)ctx;
    (void)records;
    (void)now_wall;
    fake.appends++;
    ck_assert_uint_eq(first + n - 1, run->r.position);
    fake.last_request = *request;
    kit_run_load(&fake.run, run->r.position);
    return KEDGE_OK;
}

static void *counted_alloc(void *ctx, size_t size)
{
    (void)ctx;
    fake.allocs++;
    return malloc(size);
}

START_TEST(a_plain_append_asks_for_nothing_that_it_does_not_need)
{
    static const struct kit_store store = {
        .run_get = fake_run_get,
        .lease_get = fake_lease_get,
        .record_request = fake_record_request,
        .append = fake_append,
    };
    struct kedge_host counted = host;
    struct kit_step step = { .store = &store, .host = &counted, .now_wall = NOW, .now_lease = NOW };
    struct kedge_bytes record = bytes("record");
    struct kedge_guard g = {
        .kind = KEDGE_GUARD_HELD, .name = bytes("run"), .lease = lease_a, .number = 12
    };
    struct kedge_change ch = { .kind = KEDGE_APPEND, .name = bytes("run") };
    uint64_t result = 0;
    struct kedge_commit commit = { .request = request_a,
                                   .guards = &g,
                                   .n_guards = 1,
                                   .changes = &ch,
                                   .n_changes = 1,
                                   .results = &result };
    struct kedge_answer answer;
    int before;

    counted.alloc = counted_alloc;
    memset(&fake, 0, sizeof fake);
    fake.run = sound_run(KEDGE_PLACE_HELD);
    fake.lease = new_lease();
    step.scratch = kit_scratch_new(&counted);
    ck_assert_ptr_nonnull(step.scratch);
    ch.append.records = &record;
    ch.append.n = 1;
    ch.append.first = 4;
    ck_assert_int_eq(kit_commit(&step, &commit, &answer), KEDGE_OK);
    ck_assert_int_eq(answer.outcome, KEDGE_OK);
    ck_assert_uint_eq(result, 4);
    ck_assert_uint_eq(answer.position, 4);
    ck_assert_uint_eq(answer.revision, 5);
    ck_assert_uint_eq(answer.fence, 12);
    ck_assert_int_eq(fake.run_gets, 1);
    ck_assert_int_eq(fake.lease_gets, 1);
    ck_assert_int_eq(fake.record_requests, 0);
    ck_assert_int_eq(fake.appends, 1);

    /* sent again: by its record, without a look at the lease */
    before = fake.allocs;
    result = 0;
    fake.run.r.fence = 99; /* somebody else took it in between */
    ck_assert_int_eq(kit_commit(&step, &commit, &answer), KEDGE_OK);
    ck_assert_int_eq(answer.outcome, KEDGE_OK);
    ck_assert_uint_eq(result, 4);
    ck_assert_uint_eq(answer.fence, 12);
    ck_assert_int_eq(fake.record_requests, 1);
    ck_assert_int_eq(fake.lease_gets, 1);
    ck_assert_int_eq(fake.appends, 1);

    /* another one for the same place */
    fake.run.r.fence = 12;
    commit.request = request_b;
    result = 77;
    ck_assert_int_eq(kit_commit(&step, &commit, &answer), KEDGE_OK);
    ck_assert_int_eq(answer.outcome, KEDGE_STALE);
    ck_assert_uint_eq(answer.at, 1);
    ck_assert_uint_eq(result, 77);
    ch.append.first = 6;
    ck_assert_int_eq(kit_commit(&step, &commit, &answer), KEDGE_OK);
    ck_assert_int_eq(answer.outcome, KEDGE_STALE);
    ck_assert_int_eq(fake.appends, 1);
    ch.append.first = 5;
    ck_assert_int_eq(kit_commit(&step, &commit, &answer), KEDGE_OK);
    ck_assert_int_eq(answer.outcome, KEDGE_OK);
    ck_assert_int_eq(fake.appends, 2);
    ck_assert_int_eq(fake.allocs, before);
    kit_scratch_free(step.scratch);
}
END_TEST

static const struct {
    uint32_t have;
    int rc;
    const char *says;
} schemas[] = {
    { 4, KEDGE_OK, "" },
    { 0, KEDGE_ERR_SCHEMA_MISSING,
      "'x' was never set up: do that first, as with 'kedge store init'" },
    { 1, KEDGE_ERR_SCHEMA_OLD,
      "'x' has schema 1, which this kedge cannot bring to 4: migrate it with an older kedge "
      "first" },
    { 2, KEDGE_ERR_SCHEMA_OLD,
      "'x' has schema 2, this kedge wants 4: bring it up to date with 'kedge store migrate'" },
    { 5, KEDGE_ERR_SCHEMA_NEW, "'x' has schema 5, this kedge knows 4: update kedge" },
};

START_TEST(each_schema_that_does_not_fit_has_its_own_way_out)
{
    struct kedge_error err = { .msg = "" };

    ck_assert_int_eq(kit_schema_check("'x'", schemas[_i].have, 4, 2, &err), schemas[_i].rc);
    ck_assert_str_eq(err.msg, schemas[_i].says);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rules");
    TCase *tc = tcase_create("rules");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, a_time_is_absolute_and_never_overflows, 0, ARRAY_LEN(whens));
    tcase_add_test(tc, a_lease_lapses_at_its_deadline_and_not_before);
    tcase_add_test(tc, a_lapsed_lease_may_be_extended_a_dead_one_never);
    tcase_add_test(tc, a_clock_that_steps_back_prolongs_by_one_ttl_at_most);
    tcase_add_test(tc, before_the_restamp_no_more_than_a_ttl_is_shown);
    tcase_add_test(tc, a_burial_is_permitted_as_the_contract_says);
    tcase_add_loop_test(tc, a_run_is_in_exactly_one_place, KEDGE_PLACE_DUE, KEDGE_PLACE_REST + 1);
    tcase_add_test(tc, recoveries_count_only_without_progress);
    tcase_add_test(tc, a_take_clears_what_was_waited_for_and_keeps_the_last_commit);
    tcase_add_test(tc, a_run_handed_back_is_due_and_not_charged);
    tcase_add_test(tc, what_may_be_claimed);
    tcase_add_test(tc, who_serves_a_run);
    tcase_add_test(tc, why_a_run_is_swept);
    tcase_add_test(tc, bytes_are_ordered_as_memcmp_has_it_and_the_shorter_first);
    tcase_add_test(tc, sizes_at_their_limits);
    tcase_add_loop_test(tc, a_change_that_writes_a_run_must_be_fenced, 0, 5);
    tcase_add_test(tc, senseless_commits_are_refused);
    tcase_add_test(tc, a_release_names_its_place_completely);
    tcase_add_test(tc, a_batch_names_a_held_run_once);
    tcase_add_test(tc, the_bytes_of_a_batch);
    tcase_add_test(tc, other_requests_at_their_limits);
    tcase_add_test(tc, a_plain_append_asks_for_nothing_that_it_does_not_need);
    tcase_add_loop_test(tc, each_schema_that_does_not_fit_has_its_own_way_out, 0,
                        ARRAY_LEN(schemas));
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
