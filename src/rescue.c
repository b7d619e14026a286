/* rescue.c - burying the dead, and making their runs due */
#include <config.h>

#include <string.h>

#include "args.h"
#include "record.h"
#include "rescue.h"
#include "session.h"

#define LEASES_MOST  256
#define RECOVER_MOST 64
#define RECOVER_MASS 1024          /* as many as a worker has in flight */
#define SPREAD_US    INT64_C(5000) /* for each page more of runs that became due together */
#define SPREAD_MOST  INT64_C(2000000)

/* The first failure is the one that is told. */
static void keep_first(int *first, int rc, struct kedge_error *err, const char *why)
{
    if (rc < 0 && *first == KEDGE_OK)
        *first = kedge_error_set(err, rc, 0, "%s", why);
}

/* ----------------------------------------------------------------- burying */

static bool may_bury(const struct kedge_rescue *r, const struct kedge_id128 *lease)
{
    return r->may_bury == NULL || r->may_bury(r->ctx, lease);
}

static bool looks_dead(const struct kedge_lease *lease)
{
    return lease->state == KEDGE_LEASE_LAPSED ||
           (lease->state == KEDGE_LEASE_LIVE && lease->hint == KEDGE_HINT_ABSENT);
}

static int bury(struct kedge_rescue *r, const struct kedge_lease *lease, struct kedge_error *err)
{
    int rc = r->dry ? KEDGE_OK : r->ops->lease_bury(r->session, &lease->id, r->time(r->ctx), err);

    if (rc == KEDGE_HELD) /* not yet: its grace, or a restart of the server */
        r->done.held++;
    if (rc != KEDGE_OK)
        return rc;
    r->done.buried++;
    if (r->buried != NULL)
        r->buried(r->ctx, lease);
    return rc;
}

int kedge_rescue_bury(struct kedge_rescue *r, struct kedge_error *err)
{
    struct kedge_bytes cursor = { NULL, 0 };
    struct kedge_mem *old = NULL;
    int first = KEDGE_OK;

    do {
        struct kedge_error why = { 0, 0, "" };
        struct kedge_lease_page page = { 0 };
        int rc = r->ops->lease_list(r->session, cursor, LEASES_MOST, &page, r->time(r->ctx), &why);

        keep_first(&first, rc, err, why.msg);
        if (rc != KEDGE_OK)
            break;
        kedge_mem_free(r->host, old);
        old = page.mem;
        for (size_t i = 0; i < page.n; i++) {
            const struct kedge_lease *lease = &page.leases[i];

            r->done.leases += lease->state != KEDGE_LEASE_DEAD;
            if (r->saw != NULL)
                r->saw(r->ctx, lease);
            if (looks_dead(lease) && may_bury(r, &lease->id))
                keep_first(&first, bury(r, lease, &why), err, why.msg);
        }
        cursor = page.next;
    } while (cursor.len > 0);
    kedge_mem_free(r->host, old);
    return first;
}

/* --------------------------------------------------------------- recovering */

struct recovery {
    struct kedge_guard guard;
    struct kedge_change changes[3];
    struct kedge_buf *bufs[2];
    struct kedge_bytes records[2];
    size_t n_records;
    bool stuck;
};

static bool add_record(const struct kedge_rescue *r, struct recovery *to,
                       const struct kedge_rec *rec)
{
    struct kedge_rec named = *rec;
    struct kedge_buf *buf;

    named.writer = r->writer;
    buf = kedge_record_encode(r->host, &named);
    if (buf == NULL)
        return false;
    to->bufs[to->n_records] = buf;
    to->records[to->n_records++] = (struct kedge_bytes){ buf->data, buf->len };
    return true;
}

static void drop_records(const struct kedge_rescue *r, struct recovery *from)
{
    while (from->n_records > 0)
        kedge_buf_drop(r->host, from->bufs[--from->n_records]);
}

static bool loops(const struct kedge_rescue *r, const struct kedge_run *run)
{
    return run->recoveries + 1 > r->crash_limit;
}

/* Who ends a child fills its slot, which takes its result: not from here. */
bool kedge_rescue_gives_up(const struct kedge_rescue *r, const struct kedge_run *run)
{
    return loops(r, run) && run->status == KEDGE_ROLLING_BACK && run->parent_slot == KEDGE_NO_SLOT;
}

/*
 * Too many recoveries without progress.  Forward that turns the run back.  On the way back it ends
 * here, stuck: who takes it dies, perhaps while reading it.  False: no memory.
 */
static bool add_crash_loop(const struct kedge_rescue *r, const struct kedge_run *run,
                           struct recovery *to)
{
    struct kedge_rec loop = { .kind = KEDGE_RECORD_CRASH_LOOP,
                              .step = KEDGE_NO_STEP,
                              .number = run->recoveries + UINT64_C(1) };
    struct kedge_rec end = { .kind = KEDGE_RECORD_END,
                             .status = KEDGE_STUCK,
                             .step = KEDGE_NO_STEP,
                             .text = kedge_text("crash loop") };

    to->stuck = kedge_rescue_gives_up(r, run);
    if (add_record(r, to, &loop) && (!to->stuck || add_record(r, to, &end)))
        return true;
    drop_records(r, to);
    to->stuck = false;
    return false;
}

/* Due in DUE_IN, or (0) since long, before all that waits; and one recovery charged.  Or, after too
   many of them, with a record that says so.
 */
static void form_recovery(struct kedge_rescue *r, const struct kedge_run *run, int64_t due_in,
                          struct recovery *to, struct kedge_commit *commit)
{
    size_t n = 0;

    memset(to, 0, sizeof *to);
    to->guard = (struct kedge_guard){ .kind = KEDGE_GUARD_UNHELD,
                                      .statuses = KEDGE_STATUSES_UNFINISHED,
                                      .name = run->id,
                                      .number = run->revision };
    if (loops(r, run) && add_crash_loop(r, run, to)) {
        to->changes[n].kind = KEDGE_APPEND;
        to->changes[n].append.records = to->records;
        to->changes[n].append.n = to->n_records;
        to->changes[n++].append.first = run->position + 1;
        if (!to->stuck) {
            to->changes[n].kind = KEDGE_SET;
            to->changes[n].set.mask = KEDGE_SET_STATUS;
            to->changes[n++].set.status = KEDGE_ROLLING_BACK;
        }
    } else {
        to->changes[n].kind = KEDGE_SET;
        to->changes[n].set.mask = KEDGE_SET_RECOVERIES;
        to->changes[n++].set.recoveries = run->recoveries + 1;
    }
    to->changes[n].kind = KEDGE_RELEASE;
    to->changes[n].release.place = to->stuck ? KEDGE_PLACE_REST : KEDGE_PLACE_DUE;
    if (to->stuck)
        to->changes[n++].release.status = KEDGE_STUCK;
    else
        to->changes[n++].release.when = due_in > 0
                                            ? (struct kedge_when){ due_in, KEDGE_IN, 0 }
                                            : (struct kedge_when){ run->created, KEDGE_AT, 0 };
    for (size_t i = 0; i < n; i++)
        to->changes[i].name = run->id;
    *commit = (struct kedge_commit){
        .guards = &to->guard, .n_guards = 1, .changes = to->changes, .n_changes = n
    };
    kedge_request_id(&r->lease, &r->seed, &commit->request);
}

/* Bury whoever holds an expired run and was not in the list of leases, or lapsed since. */
static bool ripe(struct kedge_rescue *r, const struct kedge_run *run, uint32_t reason)
{
    if (r->is_here != NULL && r->is_here(r->ctx, run))
        return false;
    if (reason != KEDGE_SWEEP_LAPSED)
        return true;
    return may_bury(r, &run->holder) &&
           (r->dry ||
            r->ops->lease_bury(r->session, &run->holder, r->time(r->ctx), NULL) == KEDGE_OK);
}

static void count(struct kedge_rescue *r, const struct kedge_run *run, bool stuck)
{
    if (stuck)
        r->done.stuck++;
    else
        r->done.recovered++;
    if (r->recovered != NULL)
        r->recovered(r->ctx, run, stuck);
    if (stuck && !r->dry)
        kedge_store_run_ended(r->store, run->id);
}

/* 0 .. MOST - 1; when many become due at once, so that not all go to the first who claims. */
static int64_t random_below(struct kedge_rescue *r, int64_t most)
{
    struct kedge_id128 random;
    uint64_t n;

    if (most <= 0)
        return 0;
    kedge_random_id(&r->seed, &random);
    memcpy(&n, random.b + 8, sizeof n);
    return (int64_t)(n % (uint64_t)most);
}

/* One page of runs nobody holds any more, each in a commit of its own. */
static int recover_page(struct kedge_rescue *r, int64_t spread, const struct kedge_run_page *page,
                        struct kedge_error *err)
{
    struct recovery all[RECOVER_MOST];
    struct kedge_commit commits[RECOVER_MOST];
    struct kedge_answer answers[RECOVER_MOST];
    const struct kedge_run *runs[RECOVER_MOST];
    struct kedge_error why = { 0, 0, "" };
    int first = KEDGE_OK;
    size_t n = 0;
    int rc;

    for (size_t i = 0; i < page->n; i++) {
        if (!ripe(r, &page->runs[i], page->reasons[i]))
            continue;
        if (r->dry) {
            count(r, &page->runs[i], kedge_rescue_gives_up(r, &page->runs[i]));
            continue;
        }
        runs[n] = &page->runs[i];
        form_recovery(r, runs[n], random_below(r, spread), &all[n], &commits[n]);
        n++;
    }
    if (n == 0)
        return KEDGE_OK;
    memset(answers, 0, sizeof answers);
    rc = r->ops->commit(r->session, commits, n, answers, r->time(r->ctx), &why);
    keep_first(&first, rc, err, why.msg);
    for (size_t i = 0; i < n; i++) {
        if (rc == KEDGE_OK && answers[i].outcome == KEDGE_OK)
            count(r, runs[i], all[i].stuck);
        if (rc == KEDGE_OK)
            keep_first(&first, answers[i].outcome, err, answers[i].why);
        drop_records(r, &all[i]);
    }
    return first;
}

int kedge_rescue_recover(struct kedge_rescue *r, struct kedge_error *err)
{
    const uint64_t before = r->done.recovered + r->done.stuck;
    struct kedge_bytes cursor = { NULL, 0 };
    struct kedge_mem *old = NULL;
    int64_t spread = 0;
    int first = KEDGE_OK;

    do { /* page by page, so that those whose time has not come hide nobody */
        struct kedge_error why = { 0, 0, "" };
        struct kedge_run_page page = { 0 };
        int rc =
            r->ops->list_expired(r->session, cursor, RECOVER_MOST, &page, r->time(r->ctx), &why);

        keep_first(&first, rc, err, why.msg);
        if (rc != KEDGE_OK)
            break;
        kedge_mem_free(r->host, old);
        old = page.mem;
        if (page.n > 0)
            keep_first(&first, recover_page(r, spread, &page, &why), err, why.msg);
        if (r->done.recovered + r->done.stuck - before >= RECOVER_MASS && spread < SPREAD_MOST)
            spread += SPREAD_US;
        cursor = page.next;
    } while (cursor.len > 0);
    kedge_mem_free(r->host, old);
    return first;
}
