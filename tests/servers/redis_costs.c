/*
 * redis_costs.c - what a batch of commits costs a Redis server: one script call in one write, one
 * answer in one write, one flush, however many commits are in it
 */
#include <inttypes.h>
#include <stdlib.h>

#include "redis_cases.h"
#include "redis_seen.h"

enum { ALONE = 100, BATCHES = 20, MANY = 64, LARGEST = BATCH_MOST }; /* commits */

static struct seen before;
static struct seen after;

static void tell(const char *what, size_t batches, size_t commits)
{
    note("%zu batches of %zu commits%s: %" PRIu64 " EVALSHA, %" PRIu64 " reads, %" PRIu64
         " writes of sockets, %" PRIu64 " flushes, %" PRIu64 " bytes of log",
         batches, commits, what, seen_calls(&before, &after, "evalsha"),
         seen_reads(&before, &after), seen_writes(&before, &after), after.flushes - before.flushes,
         after.log - before.log);
}

/* One round trip and one flush for each of so many batches, and no other command. */
static void check_cost(size_t batches, const char *commands)
{
    const char *other = seen_other(&before, &after, commands);

    if (other != NULL)
        fail_case(__FILE__, __LINE__, "the server was also asked for %s", other);
    expect_eq(seen_calls(&before, &after, "evalsha"), batches);
    expect_eq(seen_writes(&before, &after), batches);
    expect_eq(after.flushes - before.flushes, batches);
}

static void appends(struct world *w, size_t batches, size_t n)
{
    struct run *runs = runs_held(w, n);

    for (size_t i = 0; i < n; i++) /* names are kept until world_forget */
        runs[i].id =
            (struct kedge_bytes){ strndup(runs[i].id.data, runs[i].id.len), runs[i].id.len };
    append_batch(w, runs, n);
    world_forget(w);
    seen_take(&before);
    for (size_t i = 0; i < batches; i++) {
        append_batch(w, runs, n);
        world_forget(w);
    }
    seen_take(&after);
    tell("", batches, n);
    /* of more runs than a session remembers some heads are looked at */
    check_cost(batches, n <= MANY ? " evalsha time get rpush " : " evalsha time get mget rpush ");
    expect_eq(seen_calls(&before, &after, "rpush"), batches * n);
    if (n <= MANY) /* what is larger than the server's buffer is read in pieces */
        expect_eq(seen_reads(&before, &after), batches);
}

static void alone(struct world *w)
{
    appends(w, ALONE, 1);
}

static void many(struct world *w)
{
    appends(w, BATCHES, MANY);
}

static void largest(struct world *w)
{
    appends(w, BATCHES, LARGEST);
}

enum { APPENDS = 40, ENDS = 12, NEW = 12 };

/* Appends to OLD, ends of YOUNG, and new runs. */
static void mixed_batch(struct world *w, struct run *old, struct run *young, size_t number)
{
    struct tx *txs[APPENDS + ENDS + NEW];

    for (size_t i = 0; i < ARRAY_LEN(txs); i++) {
        txs[i] = tx_new(w);
        if (i < APPENDS) {
            append_to(txs[i], &old[i], "a record");
        } else if (i < APPENDS + ENDS) {
            struct run *r = &young[i - APPENDS];

            append_to(txs[i], r, "the last record");
            (void)c_rest(txs[i], r->id, KEDGE_COMPLETED, never());
        } else {
            struct kedge_bytes id = name(w, "new-%zu-%zu", number, i);

            (void)g_absent(txs[i], id);
            (void)c_create_due(txs[i], id, from_now(0));
        }
    }
    seen_take(&before);
    tx_send_batch(w, txs, ARRAY_LEN(txs));
    seen_take(&after);
    for (size_t i = 0; i < ARRAY_LEN(txs); i++)
        expect_outcome(txs[i], KEDGE_OK);
}

static void mixed(struct world *w)
{
    struct run *old = runs_held(w, APPENDS);

    for (size_t b = 0; b < BATCHES; b++) {
        struct run young[ENDS];

        for (size_t i = 0; i < ENDS; i++)
            young[i] = run_held(w, name(w, "young-%zu-%zu", b, i), old[0].lease);
        mixed_batch(w, old, young, b);
        if (b == 0)
            tell(", ends and creations among them", 1, APPENDS + ENDS + NEW);
        expect_eq(seen_calls(&before, &after, "eval"), 0);
        expect_eq(after.flushes - before.flushes, 1);
        expect_eq(seen_calls(&before, &after, "evalsha"), 1);
        expect_eq(seen_writes(&before, &after), 1);
    }
    free(old);
}

const struct redis_case redis_costs[] = {
    { "alone", "a commit is one script call, one answer, one flush", alone },
    { "many", "64 commits are one script call, one answer, one flush", many },
    { "largest", "as many as a batch may have are, too", largest },
    { "mixed", "appends, ends and creations in one batch are, too", mixed },
    { NULL, NULL, NULL },
};
