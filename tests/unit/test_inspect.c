/*
 * test_inspect.c - what an operator asks, as far as it needs no worker: filtered lists, sentences,
 * words, a journal with rows that the store cannot read
 */
#include <config.h>

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/backend.h>
#include <kedge/kedge.h>

#include "src/args.h"
#include "src/say.h"
#include "src/session.h"
#include "src/store.h"
#include "src/workers.h"

#define TIMEOUT_US INT64_C(5000000)
#define SECONDS    INT64_C(1000000)
#define BYTES(s)   ((struct kedge_bytes){ s, sizeof(s) - 1 })
/* A moment. */
#define NOON (INT64_C(1795651200) * SECONDS)

/* ------------------------------------------------- a store whose clock and reads are ours */

static struct kedge_host host;
static int64_t now;
static struct kedge_store *below;
static struct kedge_store *store;
static struct kedge_registered backend;
static struct kedge_error err;
static char dir[64];
static unsigned n_lists;   /* calls of the store's list */
static size_t list_limit;  /* of the last one */
static uint64_t bad_first; /* records bad_first .. bad_last cannot be read */
static uint64_t bad_last;
static int64_t allocs_left; /* until memory runs out, once; < 0: never */
static bool ran_out;

static void *alloc(void *ctx, size_t size)
{
    if (allocs_left == 0)
        ran_out = true;
    return allocs_left-- == 0 ? NULL : kedge_host_default()->alloc(ctx, size);
}

static int64_t clock_us(void *ctx, uint32_t which)
{
    (void)ctx;
    (void)which;
    return now;
}

static int counted_list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
                        int64_t timeout_us, struct kedge_error *why)
{
    n_lists++;
    list_limit = in->limit;
    return kedge_store_ops(below)->list(session, in, out, timeout_us, why);
}

static int damaged_records(void *session, struct kedge_bytes id, uint64_t incarnation,
                           uint64_t first, size_t limit, size_t bytes_max,
                           struct kedge_record_page *out, int64_t timeout_us,
                           struct kedge_error *why)
{
    struct kedge_record_page page = { .mem = NULL };
    int rc = kedge_store_ops(below)->retrieve_records(session, id, incarnation, first, limit,
                                                      bytes_max, &page, timeout_us, why);

    for (size_t i = 0; rc == KEDGE_OK && i < page.n; i++) {
        if (page.records[i].number < bad_first || page.records[i].number > bad_last)
            continue;
        kedge_mem_free(&host, page.mem);
        return kedge_error_set(why, KEDGE_ERR_CORRUPT, 0, "a row does not fit its checksum");
    }
    if (rc == KEDGE_OK)
        *out = page;
    return rc;
}

static void close_nothing(void *handle)
{
    (void)handle;
}

static void open_at(const char *url)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    host = *kedge_host_default();
    host.clock_us = clock_us;
    host.alloc = alloc;
    allocs_left = -1;
    now = NOON;
    n_lists = 0;
    bad_first = bad_last = 0;
    memset(&err, 0, sizeof err);
    options.flags = KEDGE_STORE_CREATE;
    options.host = &host;
    ck_assert_msg(kedge_store_open(url, &options, &below, &err) == KEDGE_OK, "%s", err.msg);
    backend.backend.ops = *kedge_store_ops(below);
    backend.backend.limits = *kedge_store_ops(below)->limits;
    backend.backend.ops.list = counted_list;
    backend.backend.ops.retrieve_records = damaged_records;
    backend.backend.ops.store_close = close_nothing;
    ck_assert_int_eq(kedge_store_wrap(&backend, kedge_store_handle(below), below, &store, &err),
                     KEDGE_OK);
}

static void setup_mem(void)
{
    open_at("mem:");
}

/* One session at a time: whoever keeps it keeps everybody else out. */
static void setup_one(void)
{
    open_at("mem:");
    backend.backend.ops.threads = KEDGE_THREADS_ONE;
}

static void setup_lmdb(void)
{
    char url[96];

    (void)snprintf(dir, sizeof dir, "/tmp/kedge-inspect-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(url, sizeof url, "lmdb://%s/db?map_size=256MiB", dir);
    open_at(url);
}

static void teardown(void)
{
    char command[96];

    kedge_store_close(store);
    kedge_store_close(below);
    if (dir[0] != '\0') {
        (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
        ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a name of mkdtemp's */
        dir[0] = '\0';
    }
}

static void start(struct kedge_bytes id, struct kedge_bytes queue)
{
    struct kedge_run_start in = KEDGE_START_INIT;

    in.reactor = "order";
    in.version = 1;
    in.id = id;
    in.queue = queue;
    ck_assert_msg(kedge_start(store, &in, TIMEOUT_US, &err) == KEDGE_OK, "%s", err.msg);
}

static void start_at(const char *id, int64_t when)
{
    now = when;
    start(kedge_text(id), BYTES(""));
}

/* -------------------------------------------------------------------- lists */

struct listed {
    size_t n;
    char text[512]; /* ids, each in brackets */
};

static int note(void *ctx, const struct kedge_run_info *info)
{
    struct listed *l = ctx;
    struct kedge_run_info *same;
    struct kedge_say s;

    /* A callback may use the store. */
    if (kedge_run_get(store, info->id, 0, &same, TIMEOUT_US, &err) != KEDGE_OK)
        return -1;
    kedge_run_info_free(same);
    l->n++;
    kedge_say_begin(&s, l->text + strlen(l->text), sizeof l->text - strlen(l->text));
    kedge_say(&s, "[");
    kedge_say_bytes(&s, info->id);
    kedge_say(&s, "]");
    return 0;
}

static const char *list(const struct kedge_run_filter *filter)
{
    static struct listed l;

    memset(&l, 0, sizeof l);
    n_lists = 0;
    ck_assert_msg(kedge_run_list(store, filter, note, &l, TIMEOUT_US, &err) == KEDGE_OK, "%s",
                  err.msg);
    return l.text;
}

/* The clock is set back after the second run. */
static void five_runs(void)
{
    start_at("r1", NOON);
    start_at("r2", NOON + SECONDS);
    start_at("r3", NOON - 100 * SECONDS);
    start_at("r4", NOON - 99 * SECONDS);
    start_at("r5", NOON + 10 * SECONDS);
}

START_TEST(lists_by_time_of_creation)
{
    struct kedge_run_filter filter = KEDGE_RUN_FILTER_INIT;

    five_runs();
    filter.created_from = NOON;
    ck_assert_str_eq(list(&filter), "[r5][r2][r1]");
    filter.newest_first = 0;
    ck_assert_str_eq(list(&filter), "[r1][r2][r5]");
    filter.created_to = NOON + 10 * SECONDS; /* it is before that */
    ck_assert_str_eq(list(&filter), "[r1][r2]");
    filter.created_from = NOON + 1; /* it is then or later */
    ck_assert_str_eq(list(&filter), "[r2]");
    filter.created_from = NOON + SECONDS;
    ck_assert_str_eq(list(&filter), "[r2]");
    filter.created_from = 0;
    filter.created_to = NOON;
    ck_assert_str_eq(list(&filter), "[r3][r4]");
    filter.newest_first = 1;
    ck_assert_str_eq(list(&filter), "[r4][r3]");
    filter.limit = 1; /* of what is shown */
    ck_assert_str_eq(list(&filter), "[r4]");
    filter.created_from = NOON;
    ck_assert_str_eq(list(&filter), "");
}
END_TEST

START_TEST(lists_of_the_young_leave_the_old_alone)
{
    struct kedge_run_filter filter = KEDGE_RUN_FILTER_INIT;
    char id[16];

    for (int i = 0; i < 700; i++) {
        (void)snprintf(id, sizeof id, "old%d", i);
        start_at(id, NOON - 1000 * SECONDS + i);
    }
    five_runs();
    filter.created_from = NOON;
    ck_assert_str_eq(list(&filter), "[r5][r2][r1]");
    ck_assert_uint_eq(n_lists, 1);
    filter.created_from = NOON - 100 * SECONDS;
    ck_assert_str_eq(list(&filter), "[r5][r4][r3][r2][r1]");
    ck_assert_uint_eq(n_lists, 1);
    /* From the other end all of them are in between. */
    filter.newest_first = 0;
    ck_assert_str_eq(list(&filter), "[r1][r2][r3][r4][r5]");
    ck_assert_uint_ge(n_lists, 3);
    filter.limit = 2;
    ck_assert_str_eq(list(&filter), "[r1][r2]");
    /* Without anything fine a page is no larger than what is wanted. */
    filter.created_from = 0;
    ck_assert_str_eq(list(&filter), "[old0][old1]");
    ck_assert_uint_eq(n_lists, 1);
    ck_assert_uint_eq(list_limit, 2);
}
END_TEST

START_TEST(lists_by_id_and_queue)
{
    struct kedge_run_filter filter = KEDGE_RUN_FILTER_INIT;

    filter.newest_first = 0;
    start(BYTES("\xff\0a"), BYTES("q"));
    start(BYTES("\xff\0b"), BYTES("q\0"));
    start(BYTES("\xff"), BYTES("q1"));
    start(BYTES("\0"), BYTES("q"));
    start(BYTES("\xff\0"), BYTES(""));
    filter.id_prefix = BYTES("\xff\0");
    ck_assert_str_eq(list(&filter), "[\\xff\\x00a][\\xff\\x00b][\\xff\\x00]");
    filter.id_prefix = BYTES("\0");
    ck_assert_str_eq(list(&filter), "[\\x00]");
    filter.id_prefix = BYTES("\xff\0ab");
    ck_assert_str_eq(list(&filter), "");
    filter.id_prefix = BYTES("");
    filter.queue = BYTES("q");
    ck_assert_str_eq(list(&filter), "[\\xff\\x00a][\\x00]");
    filter.queue = BYTES("q\0");
    ck_assert_str_eq(list(&filter), "[\\xff\\x00b]");
    filter.queue = BYTES("default");
    ck_assert_str_eq(list(&filter), "[\\xff\\x00]");
    filter.queue = BYTES("q");
    filter.id_prefix = BYTES("\xff");
    ck_assert_str_eq(list(&filter), "[\\xff\\x00a]");
    filter.queue = BYTES("");
    filter.limit = 2;
    ck_assert_str_eq(list(&filter), "[\\xff\\x00a][\\xff\\x00b]");
}
END_TEST

static void refused(const struct kedge_run_filter *filter, const char *why)
{
    struct listed l = { .n = 0 };

    ck_assert_int_eq(kedge_run_list(store, filter, note, &l, TIMEOUT_US, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, why);
}

START_TEST(filters_of_older_and_newer_programs)
{
    struct {
        struct kedge_run_filter filter;
        uint64_t more;
    } newer = { .filter = KEDGE_RUN_FILTER_INIT };
    struct kedge_run_filter filter;

    five_runs();
    /* What is behind an older one's end is not even looked at. */
    memset(&filter, 0x55, sizeof filter);
    memset(&filter, 0, offsetof(struct kedge_run_filter, queue));
    filter.struct_size = offsetof(struct kedge_run_filter, queue);
    filter.limit = 4;
    ck_assert_str_eq(list(&filter), "[r1][r2][r3][r4]");
    filter.struct_size--;
    refused(&filter, "filter.struct_size is 47; start from KEDGE_RUN_FILTER_INIT");
    newer.filter.struct_size = sizeof newer;
    ck_assert_str_eq(list(&newer.filter), "[r5][r4][r3][r2][r1]");
    newer.more = 1;
    ck_assert_int_eq(kedge_run_list(store, &newer.filter, note, NULL, TIMEOUT_US, &err),
                     KEDGE_ERR_INVALID);
    filter = (struct kedge_run_filter)KEDGE_RUN_FILTER_INIT;
    filter.queue.len = 1;
    refused(&filter, "filter.queue has a length but no bytes");
    filter.queue.len = 0;
    filter.id_prefix.len = 1;
    refused(&filter, "filter.id_prefix has a length but no bytes");
    filter.id_prefix.len = 0;
    filter.created_from = -1;
    refused(&filter, "filter.created_from is negative");
    filter.created_from = 0;
    filter.created_to = -1;
    refused(&filter, "filter.created_to is negative");
}
END_TEST

/* ------------------------------------------------------ rows that cannot be read */

static int note_entry(void *ctx, const struct kedge_entry *entry)
{
    char *text = ctx;
    size_t len = strlen(text);

    (void)snprintf(text + len, 512 - len, "%llu:%s ", (unsigned long long)entry->number,
                   kedge_entry_kind_text(entry->kind));
    if (entry->kind == KEDGE_ENTRY_UNREADABLE)
        ck_assert_ptr_nonnull(strstr(entry->text.data, "checksum"));
    return 0;
}

static int ask(const char *id, uint32_t verb)
{
    struct kedge_request request = KEDGE_REQUEST_INIT;

    request.verb = verb;
    request.run = kedge_text(id);
    return kedge_run_request(store, &request, NULL, TIMEOUT_US, &err);
}

static const char *journal(uint64_t first)
{
    static char text[512];

    text[0] = '\0';
    ck_assert_msg(kedge_run_journal(store, kedge_text("r"), first, note_entry, text, TIMEOUT_US,
                                    &err) == KEDGE_OK,
                  "%s", err.msg);
    return text;
}

START_TEST(rows_that_cannot_be_read_are_shown)
{
    start(BYTES("r"), BYTES(""));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(ask("r", i % 2 == 0 ? KEDGE_VERB_PAUSE : KEDGE_VERB_RESUME), KEDGE_OK);
    ck_assert_str_eq(journal(0), "1:begin 2:request 3:request 4:request 5:request ");
    bad_first = bad_last = 3;
    ck_assert_str_eq(journal(0), "1:begin 2:request 3:unreadable 4:request 5:request ");
    ck_assert_str_eq(journal(4), "4:request 5:request ");
    bad_last = 5;
    ck_assert_str_eq(journal(1), "1:begin 2:request 3:unreadable 4:unreadable 5:unreadable ");
    bad_first = 1;
    ck_assert_str_eq(journal(5), "5:unreadable ");
    ck_assert_str_eq(journal(6), "");
    ck_assert_int_eq(kedge_run_journal(store, BYTES("none"), 0, note_entry, NULL, TIMEOUT_US, &err),
                     KEDGE_NOT_FOUND);
    ck_assert_int_eq(kedge_run_journal(store, BYTES("r"), 0, NULL, NULL, TIMEOUT_US, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_run_journal(store, BYTES(""), 0, note_entry, NULL, TIMEOUT_US, &err),
                     KEDGE_ERR_INVALID);
}
END_TEST

/* ---------------------------------------------------------------- request ids */

START_TEST(request_ids_tell_workers_from_others)
{
    static const uint8_t nobody[KEDGE_WRITER_ID];
    struct kedge_id128 lease;
    struct kedge_id128 id;
    struct kedge_id128 other;
    uint64_t seed = 0;

    for (int i = 0; i < 1000; i++) {
        kedge_random_id(&seed, &lease);
        ck_assert_mem_ne(lease.b, nobody, KEDGE_WRITER_ID);
    }
    kedge_request_id(&lease, &seed, &id);
    kedge_request_id(&lease, &seed, &other);
    ck_assert_mem_eq(id.b, lease.b, KEDGE_WRITER_ID);
    ck_assert_mem_eq(other.b, lease.b, KEDGE_WRITER_ID);
    ck_assert_mem_ne(id.b, other.b, sizeof id.b);
    ck_assert_int_eq(kedge_request_id_make(&id, &err), KEDGE_OK);
    ck_assert_int_eq(kedge_request_id_make(&other, &err), KEDGE_OK);
    ck_assert_mem_eq(id.b, nobody, KEDGE_WRITER_ID);
    ck_assert_mem_ne(id.b + KEDGE_WRITER_ID, nobody, KEDGE_WRITER_ID);
    ck_assert_mem_ne(id.b, other.b, sizeof id.b);
    /* The one sequence that would come to zero does not: an id of zeros is none. */
    seed = UINT64_C(0) - UINT64_C(0x9e3779b97f4a7c15);
    memset(&lease, 0, sizeof lease);
    kedge_request_id(&lease, &seed, &id);
    ck_assert_mem_ne(id.b + KEDGE_WRITER_ID, nobody, KEDGE_WRITER_ID);
}
END_TEST

/* ------------------------------------------------------------------- sentences */

static const char *said(struct kedge_bytes bytes, size_t room)
{
    static char text[64];
    struct kedge_say s;

    memset(text, '!', sizeof text);
    kedge_say_begin(&s, text, room);
    kedge_say_bytes(&s, bytes);
    ck_assert_uint_lt(strlen(text), room);
    ck_assert_int_eq(text[room], '!');
    return text;
}

START_TEST(bytes_that_do_not_print_are_escaped)
{
    ck_assert_str_eq(said(BYTES("plain ~"), 40), "plain ~");
    ck_assert_str_eq(said(BYTES("a\0b\n\x1b[31m\x7f"), 40), "a\\x00b\\x0a\\x1b[31m\\x7f");
    ck_assert_str_eq(said(BYTES("\xc3\xbc \xe2\x82\xac \xf0\x9f\x8c\x8a"), 40),
                     "\xc3\xbc \xe2\x82\xac \xf0\x9f\x8c\x8a");
    ck_assert_str_eq(said(BYTES("\xff\xc3"), 40), "\\xff\\xc3"); /* no UTF-8 */
    ck_assert_str_eq(said(BYTES("\xc0\xaf"), 40), "\\xc0\\xaf"); /* an overlong form */
    ck_assert_str_eq(said(BYTES("\xc2\x9b"
                                "31m"),
                          40),
                     "\\xc2\\x9b"
                     "31m"); /* a control of its own, CSI */
    ck_assert_str_eq(said(BYTES(""), 40), "");
    ck_assert_str_eq(said((struct kedge_bytes){ NULL, 0 }, 40), "");
}
END_TEST

START_TEST(what_does_not_fit_is_left_out_between_characters)
{
    ck_assert_str_eq(said(BYTES("abcdef"), 10), "abcdef");
    ck_assert_str_eq(said(BYTES("abcdefg"), 10), "abcdef...");
    ck_assert_str_eq(said(BYTES("abcde\xc3\xbc"), 10), "abcde...");
    ck_assert_str_eq(said(BYTES("abc\xff"), 10), "abc...");
    ck_assert_str_eq(said(BYTES("abc\xffzz"), 10), "abc...");
}
END_TEST

static const char *time_said(int64_t us)
{
    static char text[64];
    struct kedge_say s;

    kedge_say_begin(&s, text, sizeof text);
    kedge_say_time(&s, us);
    return text;
}

START_TEST(times_are_utc)
{
    ck_assert_str_eq(time_said(0), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq(time_said(NOON), "2026-11-26T00:00:00.000Z");
    ck_assert_str_eq(time_said(NOON + 36000 * SECONDS + 7999), "2026-11-26T10:00:00.007Z");
    ck_assert_str_eq(time_said(-1), "1969-12-31T23:59:59.999Z");
    ck_assert_str_eq(time_said(-1000), "1969-12-31T23:59:59.999Z");
    ck_assert_str_eq(time_said(-SECONDS), "1969-12-31T23:59:59.000Z");
    ck_assert_uint_gt(strlen(time_said(INT64_MAX)), 20);
    ck_assert_uint_gt(strlen(time_said(INT64_MIN)), 20);
}
END_TEST

static const char *why_said(struct kedge_bytes bytes)
{
    static char text[64];
    struct kedge_say s;

    kedge_say_begin(&s, text, sizeof text);
    kedge_say(&s, "it failed");
    kedge_say_why(&s, bytes);
    return text;
}

START_TEST(a_sentence_ends_without_a_stop)
{
    ck_assert_str_eq(why_said(BYTES("card declined")), "it failed: card declined");
    ck_assert_str_eq(why_said(BYTES("Card declined. \n")), "it failed: Card declined");
    ck_assert_str_eq(why_said(BYTES("...")), "it failed");
    ck_assert_str_eq(why_said(BYTES("")), "it failed");
    ck_assert_str_eq(why_said((struct kedge_bytes){ NULL, 0 }), "it failed");
}
END_TEST

/* ------------------------------------------------------------------------ words */

START_TEST(leases_as_workers)
{
    static const struct {
        uint32_t state;
        uint32_t hint;
        uint32_t expected;
    } cases[] = {
        { KEDGE_LEASE_LIVE, KEDGE_HINT_NONE, KEDGE_WORKER_ALIVE },
        { KEDGE_LEASE_LIVE, KEDGE_HINT_PRESENT, KEDGE_WORKER_ALIVE },
        { KEDGE_LEASE_LIVE, KEDGE_HINT_ABSENT, KEDGE_WORKER_GONE },
        { KEDGE_LEASE_LAPSED, KEDGE_HINT_NONE, KEDGE_WORKER_LAPSED },
        { KEDGE_LEASE_LAPSED, KEDGE_HINT_PRESENT, KEDGE_WORKER_LAPSED },
        { KEDGE_LEASE_LAPSED, KEDGE_HINT_ABSENT, KEDGE_WORKER_GONE },
        { KEDGE_LEASE_DEAD, KEDGE_HINT_PRESENT, KEDGE_WORKER_DEAD },
        { KEDGE_LEASE_DEAD, KEDGE_HINT_ABSENT, KEDGE_WORKER_DEAD },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kedge_lease lease = { .state = cases[i].state, .hint = cases[i].hint };

        ck_assert_uint_eq(kedge_lease_worker_state(&lease), cases[i].expected);
    }
}
END_TEST

/* Every kind has a word, and each its own. */
static void words_of(const char *(*text)(uint32_t), uint32_t n)
{
    ck_assert_str_eq(text(0), "?");
    ck_assert_str_eq(text(n + 1), "?");
    ck_assert_str_eq(text(UINT32_MAX), "?");
    for (uint32_t i = 1; i <= n; i++) {
        ck_assert_str_ne(text(i), "?");
        ck_assert_uint_eq(strspn(text(i), "abcdefghijklmnopqrstuvwxyz-"), strlen(text(i)));
        for (uint32_t k = 1; k < i; k++)
            ck_assert_str_ne(text(i), text(k));
    }
}

START_TEST(words)
{
    words_of(kedge_worker_state_text, KEDGE_WORKER_DEAD);
    words_of(kedge_entry_kind_text, KEDGE_ENTRY_UNREADABLE);
    words_of(kedge_cause_text, KEDGE_CAUSE_WAITING);
    ck_assert_str_eq(kedge_worker_state_text(KEDGE_WORKER_ALIVE), "alive");
    ck_assert_str_eq(kedge_entry_kind_text(KEDGE_ENTRY_UNDO_FAILED), "undo-failed");
    ck_assert_str_eq(kedge_cause_text(KEDGE_CAUSE_QUEUE_PAUSED), "queue-paused");
}
END_TEST

static int no_cause(void *ctx, const struct kedge_cause *cause)
{
    (void)ctx;
    (void)cause;
    return 0;
}

START_TEST(nonsense_is_refused)
{
    ck_assert_int_eq(kedge_worker_list(store, NULL, NULL, TIMEOUT_US, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_lock_list(store, NULL, NULL, TIMEOUT_US, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_run_why(store, BYTES("r"), NULL, NULL, TIMEOUT_US, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_run_why(store, BYTES(""), no_cause, NULL, TIMEOUT_US, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_run_why(store, BYTES("r"), no_cause, NULL, 0, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_run_why(NULL, BYTES("r"), no_cause, NULL, TIMEOUT_US, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_run_why(store, BYTES("r"), no_cause, NULL, TIMEOUT_US, &err),
                     KEDGE_NOT_FOUND);
}
END_TEST

/* ------------------------------------------------------------ all that walks or tells */

/* A worker with a lock, and a run that is due, with requests in its journal. */
static void furnish(void)
{
    static const struct kedge_id128 lease = { { 1, 2, 3 } };
    struct kedge_serve serve = { BYTES("default"), BYTES("order"), 1, 1 };
    struct kedge_lease_new grant = { .id = lease,
                                     .request = lease,
                                     .owner = BYTES("smith"),
                                     .serves = &serve,
                                     .n_serves = 1,
                                     .ttl_us = 60 * SECONDS };
    const struct kedge_backend_ops *ops = kedge_store_ops(below);
    struct kedge_lease_state state;
    struct kedge_lock_state lock;
    void *session;

    ck_assert_int_eq(ops->session_open(kedge_store_handle(below), &session, &err), KEDGE_OK);
    ck_assert_int_eq(ops->lease_grant(session, &grant, &state, TIMEOUT_US, &err), KEDGE_OK);
    ck_assert_int_eq(ops->lock_acquire(session, BYTES("lock"), &lease, &lease, &lock, TIMEOUT_US,
                                       &err),
                     KEDGE_OK);
    ops->session_close(session);
    start(BYTES("r"), BYTES(""));
    ck_assert_int_eq(ask("r", KEDGE_VERB_PAUSE), KEDGE_OK);
    ck_assert_int_eq(ask("r", KEDGE_VERB_RESUME), KEDGE_OK);
}

/* Of each there is one; it uses the store, and does not wait for itself. */
static int visit(void *ctx)
{
    struct kedge_run_info *info;
    int64_t left = allocs_left;
    int rc;

    allocs_left = -1; /* it is not this that is to fail */
    rc = kedge_run_get(store, BYTES("r"), 0, &info, SECONDS / 10, &err);
    allocs_left = left;
    if (rc != KEDGE_OK)
        return -1000;
    kedge_run_info_free(info);
    ++*(int *)ctx;
    return 0;
}

static int visit_run(void *ctx, const struct kedge_run_info *info)
{
    return info->id.len == 1 ? visit(ctx) : -1001;
}

static int visit_worker(void *ctx, const struct kedge_worker_info *info)
{
    return info->locks == 1 && info->n_serves == 1 ? visit(ctx) : -1001;
}

static int visit_lock(void *ctx, const struct kedge_lock_info *lock)
{
    return lock->name.len == 4 ? visit(ctx) : -1001;
}

static int visit_entry(void *ctx, const struct kedge_entry *entry)
{
    return entry->writer.len > 0 ? visit(ctx) : -1001;
}

static int visit_cause(void *ctx, const struct kedge_cause *cause)
{
    return cause->kind == KEDGE_CAUSE_DUE ? visit(ctx) : -1001;
}

enum { WALKS = 5 };

static int walk(int which, int *n)
{
    struct kedge_run_filter filter = KEDGE_RUN_FILTER_INIT;

    *n = 0;
    switch (which) {
    case 0:
        return kedge_run_list(store, &filter, visit_run, n, TIMEOUT_US, &err);
    case 1:
        return kedge_worker_list(store, visit_worker, n, TIMEOUT_US, &err);
    case 2:
        return kedge_lock_list(store, visit_lock, n, TIMEOUT_US, &err);
    case 3:
        return kedge_run_journal(store, BYTES("r"), 0, visit_entry, n, TIMEOUT_US, &err);
    default:
        return kedge_run_why(store, BYTES("r"), visit_cause, n, TIMEOUT_US, &err);
    }
}

START_TEST(a_callback_may_use_the_store)
{
    int n;

    furnish();
    for (int i = 0; i < WALKS; i++) {
        ck_assert_msg(walk(i, &n) == KEDGE_OK, "%d: %s", i, err.msg);
        ck_assert_int_eq(n, i == 3 ? 3 : 1);
    }
}
END_TEST

START_TEST(memory_that_runs_out_is_told)
{
    int n;

    furnish();
    for (int i = 0; i < WALKS; i++) {
        int refused = 0;

        for (int64_t k = 0;; k++) {
            int rc;

            ran_out = false;
            allocs_left = k;
            rc = walk(i, &n);
            allocs_left = -1;
            if (!ran_out) {
                ck_assert_int_eq(rc, KEDGE_OK);
                break;
            }
            /* What is in the way of nothing may be done without. */
            ck_assert_msg(rc == KEDGE_ERR_NOMEM || rc == KEDGE_OK, "%d, %d: %s", i, (int)k,
                          err.msg);
            refused += rc != KEDGE_OK;
        }
        ck_assert_int_gt(refused, 0);
    }
}
END_TEST

static TCase *cases_over(const char *name, void (*setup)(void))
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, lists_by_time_of_creation);
    tcase_add_test(tc, lists_of_the_young_leave_the_old_alone);
    tcase_add_test(tc, lists_by_id_and_queue);
    tcase_add_test(tc, filters_of_older_and_newer_programs);
    tcase_add_test(tc, rows_that_cannot_be_read_are_shown);
    tcase_add_test(tc, nonsense_is_refused);
    tcase_add_test(tc, a_callback_may_use_the_store);
    tcase_add_test(tc, memory_that_runs_out_is_told);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("inspect");
    const char *built = getenv("KEDGE_BUILT");
    TCase *plain = tcase_create("plain");
    SRunner *sr;
    int n_failed;

    tcase_add_test(plain, request_ids_tell_workers_from_others);
    tcase_add_test(plain, bytes_that_do_not_print_are_escaped);
    tcase_add_test(plain, what_does_not_fit_is_left_out_between_characters);
    tcase_add_test(plain, times_are_utc);
    tcase_add_test(plain, a_sentence_ends_without_a_stop);
    tcase_add_test(plain, leases_as_workers);
    tcase_add_test(plain, words);
    suite_add_tcase(suite, plain);
    suite_add_tcase(suite, cases_over("mem", setup_mem));
    suite_add_tcase(suite, cases_over("one session", setup_one));
    if (built != NULL && strstr(built, "lmdb") != NULL)
        suite_add_tcase(suite, cases_over("lmdb", setup_lmdb));
    sr = srunner_create(suite);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    n_failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return n_failed == 0 ? 0 : 1;
}
