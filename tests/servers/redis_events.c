/*
 * redis_events.c - what happens to a Redis server between two calls, and what is answered then
 *
 * In the environment: server (the command that tests/support/server.sh is), and R and S, names of a
 * server and of its replica; or C, the name of a cluster, and move (move-slot.sh).
 */
#include <stdlib.h>
#include <unistd.h>

#include "redis_cases.h"

enum { RUNS = 64, ROUNDS = 5 };

static void check_all(struct world *w, const struct run *runs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct kedge_record_page page;

        expect_ok(do_records(w, runs[i].id, runs[i].incarnation, 1, 1000, 1 << 20, &page));
        expect_eq(page.n, runs[i].position);
        for (size_t k = 0; k < page.n; k++)
            expect_bytes(page.records[k].data, str(APPENDED));
    }
}

/* ------------------------------------------------------------- forgotten scripts */

static void flush_scripts(void)
{
    shell("$server cli $R script flush", NULL, 0);
}

static void flushed_scripts(struct world *w)
{
    struct run *runs = runs_held(w, RUNS);
    struct kedge_id128 lease = runs[0].lease;
    struct kedge_lease_state state;
    struct kedge_purged purged;
    struct kedge_lock_state lock;
    struct tx *t = tx_new(w);

    flush_scripts();
    append_batch(w, runs, RUNS);
    flush_scripts();
    expect_ok(do_extend(w, lease, &state));
    flush_scripts();
    (void)run_due(w, str("due"), from_now(0));
    flush_scripts();
    (void)claim_one(w, str("due"), lease);
    flush_scripts();
    expect_ok(do_lock_acquire(w, str("lock"), lease, random_id(w), &lock));
    flush_scripts();
    append_to(t, &runs[0], "a record");
    (void)c_rest(t, runs[0].id, KEDGE_COMPLETED, never());
    expect_eq(tx_send(w, t), KEDGE_OK);
    flush_scripts();
    check_all(w, runs, RUNS);
    flush_scripts();
    expect_ok(do_purge(w, 100, &purged));
    flush_scripts();
    expect_ok(do_revoke(w, lease));
    free(runs);
}

/* --------------------------------------------------------------------- two namespaces */

static long number_of(const char *command)
{
    char text[64];

    shell(command, text, sizeof text);
    return strtol(text, NULL, 10);
}

/* Some of everything, by the same names in each namespace. */
static void fill(struct world *w, struct run *runs)
{
    struct tx *t = tx_new(w);
    struct kedge_lock_state lock;

    cell_put(w, str("cell"), w->ns);
    expect_ok(do_lock_acquire(w, str("lock"), runs[0].lease, random_id(w), &lock));
    append_to(t, &runs[0], w->ns);
    (void)c_slots(t, runs[0].id, 1, 2);
    (void)c_create_child(t, str("child"), &runs[0], 1, 0);
    (void)c_snapshot(t, runs[0].id, 1, str(w->ns));
    expect_eq(tx_send(w, t), KEDGE_OK);
    release_rest(w, &runs[1], KEDGE_COMPLETED, from_now(SEC(1000)));
}

static void namespaces(struct world *w)
{
    static struct world other;
    struct run *runs = runs_held(w, 3);
    struct run *others;
    struct kedge_cell cell;
    struct kedge_record_page page;
    long before;

    fill(w, runs);
    before = number_of("$server cli $R dbsize");
    world_open(&other, w->backend, w->ops, w->url, "other", 2);
    expect(!is_there(&other, str("child")));
    expect_rc(do_cell(&other, str("cell"), &cell), KEDGE_NOT_FOUND);
    others = runs_held(&other, 3);
    fill(&other, others);
    expect_ok(do_records(w, runs[0].id, runs[0].incarnation, 1, 10, 1 << 20, &page));
    expect_eq(page.n, 1);
    expect_bytes(page.records[0].data, str(w->ns));
    expect_ok(do_cell(w, str("cell"), &cell));
    expect_bytes(cell.value, str(w->ns));
    note("%ld keys of one namespace, %ld with another one", before,
         number_of("$server cli $R dbsize"));
    free(others);
    world_close(&other); /* it is dropped */
    expect_eq(number_of("$server cli $R dbsize"), before);
    expect_eq(number_of("$server cli $R --scan --pattern 'kedge:{other}*' | wc -l"), 0);
    world_check(w);
    free(runs);
}

/* --------------------------------------------- a server that lost what it had acknowledged */

/* As one does that writes its log once a second, or whose replica had not heard of it: the end of
   the log is cut off, from a point on that was marked before. */
static void mark_log(void)
{
    shell("cd $KEDGE_SERVERS/$R/data/appendonlydir && "
          "wc -c <$(ls *.incr.aof) >$KEDGE_SERVERS/$R/mark",
          NULL, 0);
}

static void lose_end_of_log(void)
{
    shell("$server kill $R && cd $KEDGE_SERVERS/$R/data/appendonlydir && "
          "truncate -s $(cat $KEDGE_SERVERS/$R/mark) *.incr.aof && $server start $R",
          NULL, 0);
}

/* Append to R under what its holder believes, when there is a connection again. */
static int append_now(struct world *w, const struct run *r)
{
    struct tx *t = tx_new(w);
    int rc;

    g_held(t, r);
    c_append(t, r->id, r->position + 1, str("by who believes to hold it"));
    while ((rc = tx_send(w, t)) == KEDGE_ERR_UNAVAILABLE)
        pause_us(MS(1));
    return rc;
}

/* The lease is there, and was before; that it took the run is what was lost. */
static void lost_claim(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, SEC(3000));
    struct run kept = run_held(w, str("kept"), lease), lost, made;

    (void)run_due(w, str("lost"), from_now(0));
    for (int i = 0; i < 3; i++)
        step(w, &kept, "it knows its lease well");
    mark_log();
    lost = claim_one(w, str("lost"), lease);
    made = run_held(w, str("made"), lease);
    lose_end_of_log();
    expect_eq(append_now(w, &lost), KEDGE_STALE);
    expect_eq(append_now(w, &made), KEDGE_NOT_FOUND);
    expect_eq(head(w, lost.id).position, 0);
    expect_eq(append_now(w, &kept), KEDGE_OK);
    expect_eq(head(w, kept.id).position, 4);
}

/* ------------------------------------------------------------------ a killed server */

static void killed(struct world *w)
{
    struct run *runs = runs_held(w, RUNS);
    struct kedge_lease_state state;
    uint64_t fence = runs[RUNS - 1].fence;

    for (int i = 0; i < ROUNDS; i++) {
        struct run one;

        context("kill -9 number %d", i + 1);
        append_batch(w, runs, RUNS);
        shell("$server kill $R && $server start $R", NULL, 0);
        /* Each time something else comes first. */
        if (i == 1)
            check_all(w, runs, RUNS);
        else if (i == 2)
            expect_ok(do_extend(w, runs[0].lease, &state));
        else if (i == 3)
            step(w, &runs[0], "a record");
        append_batch(w, runs, RUNS);
        one = run_held(w, name(w, "later-%d", i), runs[0].lease);
        expect(one.fence > fence);
        fence = one.fence;
        check_all(w, runs, RUNS);
    }
    free(runs);
}

/* ------------------------------------------------------------------ a replica to wait for */

#define PATIENT MS(800)

static uint64_t replica_has(struct world *w, const struct run *r)
{
    char command[256];
    char text[64];

    (void)snprintf(command, sizeof command, "$server cli $S llen 'kedge:{%s}:j%.*s'", w->ns,
                   (int)r->id.len, (const char *)r->id.data);
    shell(command, text, sizeof text);
    return strtoull(text, NULL, 10);
}

static int send_for(struct world *w, struct tx *t, int64_t timeout_us)
{
    int rc = w->ops->commit(w->session, tx_ready(t), 1, &t->answer, timeout_us, &w->err);

    if (rc == KEDGE_OK && t->answer.outcome < 0)
        (void)snprintf(w->err.msg, sizeof w->err.msg, "%s", t->answer.why);
    return rc != KEDGE_OK ? rc : t->answer.outcome;
}

static void waits(struct world *w)
{
    struct run *r = runs_held(w, 1);
    struct tx *t;
    int64_t since;

    for (int i = 0; i < 10; i++) {
        step(w, r, "a record");
        expect_eq(replica_has(w, r), r->position);
    }
    t = tx_new(w);
    append_to(t, r, "a record");
    shell("$server pause $S; (sleep 0.4; $server resume $S) >/dev/null 2>&1 &", NULL, 0);
    since = real_us();
    expect_eq(send_for(w, t, SEC(20)), KEDGE_OK);
    since = real_us() - since;
    note("a replica that stands still for 400 ms: answered after %lld ms", (long long)since / 1000);
    expect(since > MS(200));
    expect_eq(replica_has(w, r), r->position);
    check_all(w, r, 1);
    free(r);
}

/* Another session has another connection. */
static void session_anew(struct world *w)
{
    w->ops->session_close(w->session);
    expect_ok(w->ops->session_open(w->store, &w->session, &w->err));
}

/* While nobody confirms, the answer is that it is not known, also to who asks again. */
static void unconfirmed(struct world *w, struct tx *t, const char *what)
{
    for (int i = 0; i < 3; i++) {
        int64_t since = real_us();
        int rc;

        context("%s, %s", what,
                i == 0   ? "the first time"
                : i == 1 ? "again"
                         : "again, from a session of its own");
        if (i == 2)
            session_anew(w);
        rc = send_for(w, t, PATIENT);
        expect_eq(rc, KEDGE_ERR_UNKNOWN);
        expect(real_us() - since < PATIENT + SEC(1));
        if (i == 0)
            note("%s: %s", what, w->err.msg);
    }
}

static void confirmed(struct world *w, struct tx *t, const char *what)
{
    context("%s, the replica is back", what);
    expect_rc(send_for(w, t, PATIENCE), KEDGE_OK);
    context(NULL);
}

static void replica_stops(struct world *w)
{
    struct run *r = runs_held(w, 3);
    struct tx *plain = tx_new(w);
    struct tx *end = tx_new(w);
    struct tx *born = tx_new(w);
    struct kedge_cell cell;

    append_to(plain, &r[0], "a record");
    append_to(end, &r[1], "a record");
    (void)c_rest(end, r[1].id, KEDGE_COMPLETED, never());
    (void)g_absent(born, str("born"));
    (void)c_create_due(born, str("born"), from_now(0));
    shell("$server pause $S", NULL, 0);
    unconfirmed(w, plain, "an append");
    unconfirmed(w, end, "an end");
    unconfirmed(w, born, "a creation");
    expect_rc(do_cell(w, str("nothing"), &cell), KEDGE_NOT_FOUND); /* reading goes on */
    shell("$server resume $S", NULL, 0);
    confirmed(w, plain, "an append");
    confirmed(w, end, "an end");
    confirmed(w, born, "a creation");
    expect_eq(replica_has(w, &r[0]), r[0].position);
    check_all(w, r, 3);
    free(r);
}

static void replica_dies(struct world *w)
{
    struct run *r = runs_held(w, 1);
    struct tx *t = tx_new(w);

    append_to(t, r, "a record");
    shell("$server kill $S", NULL, 0);
    unconfirmed(w, t, "an append");
    shell("$server start $S", NULL, 0);
    confirmed(w, t, "an append");
    expect_eq(replica_has(w, r), r->position);
    check_all(w, r, 1);
    free(r);
}

/* ------------------------------------------------------------------- a slot that moves */

static void move(const struct world *w, const char *what)
{
    char command[256];

    (void)snprintf(command, sizeof command, "($move $C 'kedge:{%s}:m' %s)", w->ns, what);
    shell(command, NULL, 0);
}

/* Everything that is in the cluster is of this namespace. */
static void check_one_slot(struct world *w)
{
    char command[512];
    char text[128];

    (void)snprintf(command, sizeof command,
                   "slot=$($server cli $C-1 cluster keyslot 'kedge:{%s}:m') all=0 in=0;"
                   "for i in 1 2 3; do all=$((all + $($server cli $C-$i dbsize)))"
                   " in=$((in + $($server cli $C-$i cluster countkeysinslot $slot))); done;"
                   "echo \"$all keys, $in in slot $slot\"; [ $all -eq $in ] && [ $all -gt 130 ]",
                   w->ns);
    shell(command, text, sizeof text);
    note("%.*s", (int)strcspn(text, "\n"), text);
}

static void slot_moves(struct world *w)
{
    struct run *runs = runs_held(w, RUNS);
    struct kedge_lock_state lock;
    struct kedge_lease_state state;
    struct tx *t = tx_new(w);
    char done[1024];
    int64_t slowest = 0;
    int batches = 0;
    int after = 0;

    cell_put(w, str("cell"), "value");
    expect_ok(do_lock_acquire(w, str("lock"), runs[0].lease, random_id(w), &lock));
    append_to(t, &runs[0], "a record");
    (void)c_slots(t, runs[0].id, 1, 2);
    (void)c_create_child(t, str("child"), &runs[0], 1, 0);
    expect_eq(tx_send(w, t), KEDGE_OK);
    append_batch(w, runs, RUNS);
    check_one_slot(w);
    (void)snprintf(done, sizeof done, "%s/moved", getenv("KEDGE_SERVERS"));
    move(w, "all; echo $? >$KEDGE_SERVERS/moved) >/dev/null 2>&1 & (true"); /* while we work */
    while (after < 5) {
        int64_t since = real_us();

        after += access(done, F_OK) == 0;
        append_batch(w, runs, RUNS);
        expect_ok(do_extend(w, runs[0].lease, &state));
        since = real_us() - since;
        slowest = since > slowest ? since : slowest;
        batches++;
    }
    note("%d batches while the slot moved and after; the slowest took %lld ms", batches,
         (long long)slowest / 1000);
    check_all(w, runs, RUNS);
    move(w, "all"); /* and while we do not */
    append_batch(w, runs, RUNS);
    check_all(w, runs, RUNS);
    free(runs);
}

/* All keys are at the other node, and the slot is not yet. */
static void slot_half_moved(struct world *w)
{
    struct run *runs = runs_held(w, RUNS);
    struct tx *t = tx_new(w);
    struct kedge_cell cell;
    int rc;

    cell_put(w, str("cell"), "value");
    shell("for i in 1 2 3; do $server cli $C-$i script flush; done", NULL, 0);
    move(w, "keys");
    expect_ok(do_cell(w, str("cell"), &cell)); /* by ASK */
    expect_bytes(cell.value, str("value"));
    session_anew(w);
    expect_ok(do_cell(w, str("cell"), &cell)); /* and by who comes just then */
    append_to(t, &runs[0], "a record");
    rc = send_for(w, t, MS(300));
    note("a commit meanwhile: %s", rc == KEDGE_OK ? "OK" : w->err.msg);
    expect(rc == KEDGE_OK || rc == KEDGE_ERR_UNAVAILABLE || rc == KEDGE_ERR_UNKNOWN);
    move(w, "rest) >/dev/null 2>&1 & (true"); /* while the same is asked for again */
    expect_rc(send_for(w, t, PATIENCE), KEDGE_OK);
    append_batch(w, runs, RUNS);
    check_all(w, runs, RUNS);
    free(runs);
}

/* A namespace of the same name in another database of the server is another one, and may be dropped
   while this one is open. */
static void databases(struct world *w)
{
    static struct world other;
    char url[sizeof w->url + 8];
    struct run *runs = runs_held(w, 3);

    fill(w, runs);
    (void)snprintf(url, sizeof url, "%s?db=1", w->url);
    world_open(&other, w->backend, w->ops, url, w->ns, 2);
    expect(!is_there(&other, str("child")));
    expect_eq(number_of("$server cli $R -n 1 dbsize") > 0, true);
    world_close(&other); /* it is dropped */
    expect_eq(number_of("$server cli $R -n 1 dbsize"), 0);
    expect(is_there(w, str("child")));
    world_check(w);
    free(runs);
}

const struct redis_case redis_events[] = {
    { "flushed-scripts", "SCRIPT FLUSH before each call: it is carried out", flushed_scripts },
    { "namespaces", "two of them do not see each other; one that is dropped leaves no key behind",
      namespaces },
    { "databases", "one of the same name in another database is another one", databases },
    { "killed", "kill -9 between calls: they go on, and nothing that was acknowledged is lost",
      killed },
    { "lost-claim", "a server that lost a claim: who made it is told, and appends nothing",
      lost_claim },
    { "waits", "a commit is answered when the replica has it", waits },
    { "replica-stops", "a replica that stands still: in doubt until it goes on, then done once",
      replica_stops },
    { "replica-dies", "a replica that is gone: in doubt until it is back, then done once",
      replica_dies },
    { "slot-moves", "a slot moves from node to node, under work and without", slot_moves },
    { "slot-half-moved", "keys are asked for where they are, and waited for where they may be",
      slot_half_moved },
    { NULL, NULL, NULL },
};
