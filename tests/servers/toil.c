/*
 * toil.c - so much of one kind of work on a store, for scripts that look at its server
 *
 *	./toil URL appends RUNS CALLS BYTES    CALLS commits of RUNS plain appends each
 *	./toil URL beats CALLS                 a lease is extended
 *	./toil URL churn ROUNDS RUNS MARK      runs are created, worked on, finished, purged
 *	./toil URL drops ROUNDS CALLS MARK     one append at a time, CALLS of them in a round
 *	./toil URL lost CALLS MARK             likewise, and MARK makes the server lose some of them
 *
 * The namespace is called toil, made if it is not there, and stays.  With CALLS 0 all is done but
 * the work.  BYTES is the size of a run's snapshot, and of its context, if it may be so large. MARK
 *is a shell command, run after every round; $round is its number, from 0.  All that is answered is
 *checked: a failure ends it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include <kedge/store.h>

#include "conform/world.h"

#define HOUR SEC(3600)
enum { BATCH = 256, STEPS = 3 };

static struct world the_world;
static const char *mark_command;

static long number(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end != '\0' || n < 0) {
        (void)fprintf(stderr, "toil: '%s' is no number\n", text);
        exit(2);
    }
    return n;
}

static void mark(long round)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%ld", round);
    expect_eq(setenv("round", text, 1), 0);
    (void)fflush(NULL);
    expect_eq(system(mark_command), 0); /* NOLINT(cert-env33-c): that is what it is for */
}

/* ---------------------------------------------------------------------- runs */

/* N runs, held, in one call; their txs are used for it. */
static void create(struct world *w, struct run *runs, struct tx **txs, size_t n,
                   struct kedge_id128 lease, const char *prefix, struct kedge_bytes context)
{
    for (size_t i = 0; i < n; i++) {
        tx_again(txs[i]);
        runs[i] = (struct run){ .id = name(w, "%s-%zu", prefix, i), .lease = lease };
        g_absent(txs[i], runs[i].id);
        c_create_held(txs[i], runs[i].id, lease)->context = context;
    }
    tx_send_batch(w, txs, n);
    for (size_t i = 0; i < n; i++) {
        expect_outcome(txs[i], KEDGE_OK);
        runs[i].fence = runs[i].incarnation = txs[i]->results[0];
    }
}

static void append(struct world *w, struct run *runs, struct tx **txs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        tx_again(txs[i]);
        g_held(txs[i], &runs[i]);
        c_append(txs[i], runs[i].id, ++runs[i].position,
                 str("a record of a step, about as long as most are: one hundred bytes, or a few "
                     "more than that"));
    }
    tx_send_batch(w, txs, n);
    for (size_t i = 0; i < n; i++)
        expect_outcome(txs[i], KEDGE_OK);
}

static void finish(struct world *w, struct run *runs, struct tx **txs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        tx_again(txs[i]);
        g_held(txs[i], &runs[i]);
        c_append(txs[i], runs[i].id, ++runs[i].position, str("the end"));
        c_rest(txs[i], runs[i].id, KEDGE_COMPLETED, from_now(0));
    }
    tx_send_batch(w, txs, n);
    for (size_t i = 0; i < n; i++)
        expect_outcome(txs[i], KEDGE_OK);
}

static void txs_new(struct world *w, struct tx **txs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        txs[i] = tx_new(w);
}

/* -------------------------------------------------------------------- appends */

static void snapshots(struct world *w, struct run *runs, size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        struct tx *t = tx_new(w);

        g_held(t, &runs[i]);
        c_append(t, runs[i].id, ++runs[i].position, str("with a snapshot"));
        c_snapshot(t, runs[i].id, runs[i].position, blob(w, size, i));
        expect_tx(t, KEDGE_OK);
    }
}

static void appends(struct world *w, size_t n, long calls, size_t size)
{
    static struct run runs[BATCH];
    static struct tx *txs[BATCH];
    struct kedge_id128 lease = lease_make(w, HOUR);
    size_t context = size < w->limits.cell_max ? size : w->limits.cell_max;

    expect(n >= 1 && n <= BATCH);
    txs_new(w, txs, n);
    for (size_t i = 0; i < n; i++) /* one by one: they may be large */
        create(w, &runs[i], &txs[i], 1, lease, name(w, "%d-%zu", (int)getpid(), i).data,
               blob(w, context, i));
    if (size > 0)
        snapshots(w, runs, n, size);
    append(w, runs, txs, n);
    for (long i = 0; i < calls; i++)
        append(w, runs, txs, n);
}

static void beats(struct world *w, long calls)
{
    struct kedge_id128 lease = lease_make(w, HOUR);
    struct kedge_lease_state st;

    for (long i = 0; i < calls; i++)
        expect_ok(do_extend(w, lease, &st));
}

/* One call after the other, with something that MARK does in between. */
static void drops(struct world *w, long rounds, long calls)
{
    struct tx *tx = tx_new(w);
    struct kedge_id128 lease = lease_make(w, HOUR);
    struct run r;

    create(w, &r, &tx, 1, lease, name(w, "%d", (int)getpid()).data, none());
    for (long i = 0; i < rounds; i++) {
        for (long k = 0; k < calls; k++)
            append(w, &r, &tx, 1);
        mark(i);
    }
    for (long k = 0; k < calls; k++)
        append(w, &r, &tx, 1);
    expect_eq(head(w, r.id).position, (rounds + 1) * calls);
    world_check(w);
}

/* Sent until there is an answer; its outcome. */
static int send_at_last(struct world *w, struct tx *t)
{
    int rc;

    do
        rc = tx_send(w, t);
    while (rc == KEDGE_ERR_UNAVAILABLE || rc == KEDGE_ERR_UNKNOWN);
    return rc;
}

/* What was acknowledged is gone after the second MARK: nothing follows on it, whoever remembers. */
static void lost(struct world *w, long calls)
{
    struct tx *tx = tx_new(w);
    struct kedge_id128 lease = lease_make(w, HOUR);
    struct kedge_bytes due = name(w, "due %d", (int)getpid());
    struct world other;
    struct tx t;
    struct run r, claimed;

    world_thread_enter(w, &other, 1);
    claimed = run_held(w, due, lease);
    step(w, &claimed, "there is something to go on from");
    release_due(w, &claimed, from_now(0));
    create(w, &r, &tx, 1, lease, name(w, "%d", (int)getpid()).data, none());
    append(w, &r, &tx, 1);
    append(&other, &r, &tx, 1);
    mark(0);
    for (long i = 0; i < calls; i++)
        append(i % 2 == 0 ? w : &other, &r, &tx, 1);
    claimed = claim_one(w, due, lease);
    claimed.position = 1;
    mark(1);
    tx_init(w, &t);
    g_held(&t, &claimed);
    c_append(&t, due, 2, str("by who believes to hold it"));
    expect_eq(send_at_last(w, &t), KEDGE_STALE);
    for (int i = 0; i < 2; i++) {
        struct world *it = i == 0 ? &other : w;

        tx_init(it, &t);
        g_held(&t, &r);
        c_append(&t, r.id, r.position + 1, str("on what is not there"));
        expect_eq(send_at_last(it, &t), KEDGE_STALE);
    }
    (void)printf("lost %d\n", (int)(r.position - head(w, r.id).position));
    r.position = head(w, r.id).position;
    append(&other, &r, &tx, 1);
    tx_init(&other, &t);
    c_request(&t, r.id, KEDGE_REQUEST_CANCEL);
    expect_tx(&t, KEDGE_OK);
    append(w, &r, &tx, 1);
    append(&other, &r, &tx, 1);
    expect_eq(head(w, r.id).position, r.position);
    claimed = run_take(w, due, lease);
    step(w, &claimed, "now it does");
    expect_eq(head(w, due).position, 2);
    world_thread_leave(&other);
    world_check(w);
}

/* ---------------------------------------------------------------------- churn */

static void churn_some(struct world *w, size_t n)
{
    static struct run runs[BATCH];
    static struct tx *txs[BATCH];
    struct kedge_id128 lease = lease_make(w, HOUR);

    txs_new(w, txs, n);
    create(w, runs, txs, n, lease, "churn", str("what it is about"));
    for (int i = 0; i < STEPS; i++)
        append(w, runs, txs, n);
    finish(w, runs, txs, n);
    expect_ok(do_revoke(w, lease));
    world_forget(w);
}

static void churn(struct world *w, long rounds, long runs)
{
    for (long i = 0; i < rounds; i++) {
        uint64_t gone = 0;

        for (long left = runs; left > 0;) {
            size_t n = left < BATCH ? (size_t)left : BATCH;
            struct kedge_purged purged;

            churn_some(w, n);
            left -= (long)n;
            purged = purge_all(w);
            gone += purged.runs;
        }
        expect_eq(gone, runs);
        mark(i);
    }
    world_check(w);
}

/* ----------------------------------------------------------------------- main */

static void open_it(struct world *w, const char *url)
{
    const struct kedge_backend_ops *ops;
    struct kedge_error err = { 0 };
    char scheme[32];
    size_t len = strcspn(url, ":+");

    (void)snprintf(scheme, sizeof scheme, "%.*s", (int)(len < 31 ? len : 31), url);
    if (kedge_backend_find(scheme, &ops, &err) != KEDGE_OK) {
        (void)fprintf(stderr, "toil: %s\n", err.msg);
        exit(1);
    }
    world_open(w, scheme, ops, url, "toil", (uint64_t)real_us());
}

static _Noreturn void usage(void)
{
    (void)fputs("usage: toil URL appends RUNS CALLS BYTES | beats CALLS | churn ROUNDS RUNS MARK | "
                "drops ROUNDS CALLS MARK | lost CALLS MARK\n",
                stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    struct world *w = &the_world;
    const char *what = argc > 2 ? argv[2] : "";
    bool is_appends = strcmp(what, "appends") == 0 && argc == 6;
    bool is_beats = strcmp(what, "beats") == 0 && argc == 4;
    bool is_churn = strcmp(what, "churn") == 0 && argc == 6;
    bool is_drops = strcmp(what, "drops") == 0 && argc == 6;
    bool is_lost = strcmp(what, "lost") == 0 && argc == 5;

    if (!is_appends && !is_beats && !is_churn && !is_drops && !is_lost)
        usage();
    mark_command = argv[argc - 1];
    open_it(w, argv[1]);
    if (is_appends)
        appends(w, (size_t)number(argv[3]), number(argv[4]), (size_t)number(argv[5]));
    else if (is_beats)
        beats(w, number(argv[3]));
    else if (is_churn)
        churn(w, number(argv[3]), number(argv[4]));
    else if (is_drops)
        drops(w, number(argv[3]), number(argv[4]));
    else
        lost(w, number(argv[3]));
    world_forget(w);
    w->ops->session_close(w->session);
    w->ops->store_close(w->store);
    return 0;
}
