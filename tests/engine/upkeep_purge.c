/* upkeep_purge.c - a run that is at rest is removed when somebody says so, and no other */
#include "upkeep.h"

enum { LONG = 5000, AT_ONCE = 500, RACES = 40 };

static int purge_in(struct kedge_store *in, const char *id)
{
    return kedge_run_purge(in, kedge_text(id), LIVENESS, &err);
}

static int purge(const char *id)
{
    return purge_in(store, id);
}

/* Sweep; how many rows went. */
static uint64_t sweep_rows(void)
{
    struct kedge_swept out = { .struct_size = sizeof out };

    must(kedge_store_sweep(store, NULL, &out, LIVENESS, &err), "sweep");
    return out.rows;
}

static const struct kedge_when later = { HOUR, KEDGE_IN, 0 };
static const struct kedge_when never = { 0, KEDGE_NEVER, 0 };

static void at_rest(void)
{
    for (uint32_t status = KEDGE_COMPLETED; status <= KEDGE_ABORTED; status++) {
        bool waits = status == KEDGE_STUCK || status == KEDGE_ABORTED;
        uint64_t runs = verify().runs;
        struct kedge_verified v;
        char what[96];
        char id[32];
        int rc;

        (void)snprintf(id, sizeof id, "rest-%u", (unsigned)status);
        rest(id, status, waits ? never : later);
        rc = purge(id);
        (void)snprintf(what, sizeof what, "a run that is %s is purged",
                       kedge_run_status_text(status));
        ok(rc == KEDGE_OK && !is_there(id), what);
        v = verify();
        ok(v.runs == runs && purge(id) == KEDGE_NOT_FOUND, "and not there a second time");
    }
    (void)sweep_rows();
    ok(sweep_rows() == 0, "nothing of them is left for a sweep");
}

/* Was it left alone? */
static bool stays(const char *id)
{
    uint64_t revision = head(id)->revision;

    return purge(id) == KEDGE_STALE && is_there(id) && head(id)->revision == revision;
}

static void not_at_rest(void)
{
    struct kedge_id128 lease = grant(HOUR);
    struct kedge_request pause = KEDGE_REQUEST_INIT;
    char huge[2048];

    start("not-due");
    ok(stays("not-due"), "a run that is due stays");
    start("not-held");
    hold("not-held", &lease, 0);
    ok(stays("not-held"), "one that is held stays");
    pause.verb = KEDGE_VERB_PAUSE;
    pause.run = kedge_text("not-due");
    must(kedge_run_request(store, &pause, NULL, LIVENESS, &err), "pause");
    ok(is_at("not-due", KEDGE_PLACE_PARKED, KEDGE_PAUSED) && stays("not-due"),
       "one that is paused stays");
    let_go(&lease);
    ok(purge("no such run") == KEDGE_NOT_FOUND, "one that is not there is not found");
    memset(huge, 'x', sizeof huge);
    ok(kedge_run_purge(store, (struct kedge_bytes){ huge, sizeof huge }, LIVENESS, &err) ==
               KEDGE_ERR_INVALID &&
           kedge_run_purge(store, (struct kedge_bytes){ NULL, 0 }, LIVENESS, &err) ==
               KEDGE_ERR_INVALID &&
           kedge_run_purge(NULL, kedge_text("x"), LIVENESS, &err) == KEDGE_ERR_INVALID &&
           kedge_run_purge(store, kedge_text("x"), 0, &err) == KEDGE_ERR_INVALID,
       "what can be no id, no store, no time: refused");
}

/* With a journal that no call removes in one go. */
static void long_one(void)
{
    struct kedge_verified first = verify();
    struct kedge_id128 lease = grant(HOUR);
    struct kedge_bytes records[AT_ONCE];
    struct kedge_change change = { .kind = KEDGE_APPEND };
    struct kedge_verified v;
    uint64_t rows;

    start("long");
    hold("long", &lease, 0);
    for (size_t i = 0; i < AT_ONCE; i++)
        records[i] = kedge_text("some record or other");
    for (uint64_t n = 2; n < LONG; n += AT_ONCE) {
        change.append.records = records;
        change.append.n = AT_ONCE;
        change.append.first = n;
        change_held("long", &change);
    }
    change = (struct kedge_change){ .kind = KEDGE_RELEASE };
    change.release.place = KEDGE_PLACE_REST;
    change.release.status = KEDGE_COMPLETED;
    change_held("long", &change);
    let_go(&lease);
    v = verify();
    ok(!counted || (v.runs == first.runs + 1 && v.records == first.records + LONG + 1),
       "a run with a long journal");
    ok(purge("long") == KEDGE_OK && !is_there("long"), "is gone at once for every reader");
    v = verify();
    rows = sweep_rows();
    note("%llu rows by the sweep", (unsigned long long)rows);
    ok(v.runs == first.runs && rows > 0 && rows <= LONG + 2, "its rows go with the next sweep");
    v = verify();
    ok(v.runs == first.runs && v.records == first.records && sweep_rows() == 0,
       "and nothing is left of it");
}

/* --------------------------------------------------- others, at the same time */

static const struct kedge_backend_ops *below;
static void (*before)(void); /* the next commit reaches the store */
static void (*after)(void);  /* it did, and nobody hears of it */

static int meddle(void *s, const struct kedge_commit *commits, size_t n,
                  struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *e)
{
    void (*first)(void) = before;
    void (*then)(void) = after;
    int rc;

    before = after = NULL;
    if (first != NULL)
        first();
    rc = below->commit(s, commits, n, answers, timeout_us, e);
    if (then == NULL)
        return rc;
    then();
    return kedge_error_set(e, KEDGE_ERR_UNKNOWN, 0, "the answer was lost");
}

/* A change of a run at rest, by whoever is in that session.  OK, NOT_FOUND, STALE. */
static int change_resting(void *in, const char *id, const struct kedge_change *change)
{
    struct kedge_retrieve what = { .id = kedge_text(id) };
    struct kedge_run_state state = { .mem = NULL };
    struct kedge_guard guard = { .kind = KEDGE_GUARD_UNHELD,
                                 .statuses = KEDGE_STATUSES_RESTING,
                                 .name = what.id };
    struct kedge_change named = *change;
    int rc = ops->retrieve(in, &what, &state, LIVENESS, NULL);

    named.name = what.id;
    guard.number = state.run.revision;
    if (rc == KEDGE_OK)
        rc = commit_in(in, &guard, &named);
    kedge_mem_free(kedge_store_host(store), state.mem);
    return rc;
}

static int reopen_in(void *in, const char *id)
{
    struct kedge_change change = { .kind = KEDGE_SET };

    change.set.mask = KEDGE_SET_REOPEN | KEDGE_SET_STATUS;
    change.set.status = KEDGE_RUNNING;
    return change_resting(in, id, &change);
}

static void reopen(void)
{
    must(reopen_in(session, "reopened"), "reopen");
}

/* Changed, and still at rest. */
static void touch(void)
{
    struct kedge_change change = { .kind = KEDGE_SET };

    change.set.mask = KEDGE_SET_EXPIRES;
    change.set.expires = never;
    must(change_resting(session, "touched", &change), "touch");
}

static void use_again(void)
{
    rest("used", KEDGE_COMPLETED, later);
}

static void nothing(void)
{
}

static void meanwhile(void)
{
    struct kedge_backend_ops table;
    struct kedge_store *outer;
    uint64_t incarnation;
    uint64_t rows;

    below = wrapped();
    table = *below;
    table.commit = meddle;
    outer = faulty(&table);
    rest("reopened", KEDGE_FAILED, later);
    before = reopen;
    ok(purge_in(outer, "reopened") == KEDGE_STALE &&
           is_at("reopened", KEDGE_PLACE_DUE, KEDGE_RUNNING) && head("reopened")->expires == 0,
       "a run that was opened again meanwhile stays");
    rest("touched", KEDGE_FAILED, later);
    before = touch;
    ok(purge_in(outer, "touched") == KEDGE_OK && !is_there("touched"),
       "one that was changed and is at rest does not");
    rest("lost", KEDGE_STUCK, never);
    after = nothing;
    ok(purge_in(outer, "lost") == KEDGE_OK && !is_there("lost"),
       "the answer never came: it was purged all the same");
    rest("used", KEDGE_FAILED, later);
    incarnation = head("used")->incarnation;
    after = use_again;
    ok(purge_in(outer, "used") == KEDGE_OK && head("used")->incarnation != incarnation,
       "and a run that has its name by then is another one");
    rest("away", KEDGE_FAILED, later);
    fault_plan(FAULT_commit, 1, FAULT_BEFORE);
    ok(purge_in(outer, "away") == KEDGE_ERR_UNAVAILABLE && is_there("away"),
       "where nothing was begun nothing is in doubt");
    fault_plan(FAULT_purge, 1, FAULT_BEFORE);
    ok(purge_in(outer, "away") == KEDGE_OK && !is_there("away") && fault_hits() == 2,
       "that its rows cannot go now is no failure");
    kedge_store_close(outer);
    rows = sweep_rows();
    ok(rows > 0 && sweep_rows() == 0, "as they go with the next sweep");
}

/* -- whoever is first -- */

static const char *contended;
static atomic_int ready;

static void meet(void)
{
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) % 2 != 0)
        ;
}

static void *contend(void *outcome)
{
    void *mine;

    must(ops->session_open(kedge_store_handle(store), &mine, NULL), "session");
    meet();
    *(int *)outcome = reopen_in(mine, contended);
    ops->session_close(mine);
    return NULL;
}

static void race(void)
{
    bool good = true;
    int purged = 0;

    for (int i = 0; i < RACES; i++) {
        pthread_t thread;
        char id[32];
        int asked = 0;
        int rc;

        (void)snprintf(id, sizeof id, "race-%d", i);
        rest(id, KEDGE_STUCK, never);
        contended = id;
        must(pthread_create(&thread, NULL, contend, &asked), "a thread");
        meet();
        rc = purge(id);
        (void)pthread_join(thread, NULL);
        if (rc == KEDGE_OK)
            good &= (asked == KEDGE_NOT_FOUND || asked == KEDGE_STALE) && !is_there(id);
        else
            good &= rc == KEDGE_STALE && asked == KEDGE_OK && head(id)->place == KEDGE_PLACE_DUE;
        purged += rc == KEDGE_OK;
    }
    note("%d of %d were purged", purged, RACES);
    ok(good, "who purges and who opens again at the same time agree on what became of the run");
}

void cases_purge(void)
{
    at_rest();
    not_at_rest();
    long_one();
    meanwhile();
    race();
    (void)verify();
}
