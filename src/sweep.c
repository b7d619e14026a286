/*
 * sweep.c - upkeep for the asking: a sweep of the store, the purge of one run
 *
 * A sweep does what the workers' keepers do (rescue.h), once and with an answer.  A dry one looks
 * at the same things and writes nothing.  Only the store knows who may be declared dead, and says
 * so when it is asked to do it; the dry one therefore goes by what the contract says of crash
 * hints: when more than half of the leases look dead by hint at once, and more than one, none
 * counts.
 */
#include <config.h>

#include <string.h>

#include <kedge/admin.h>
#include <kedge/store.h>

#include "args.h"
#include "reader.h"
#include "rescue.h"

#define PURGE_AT_ONCE 1000
#define HELD_MOST     64

/* A lease that looks dead by its hint alone, remembered by a dry sweep. */
struct suspect {
    struct suspect *next;
    struct kedge_id128 lease;
};

struct sweep {
    struct kedge_reader r;
    struct kedge_sweep_options in;
    struct kedge_rescue rescue;
    struct kedge_swept out;
    /* dry: */
    struct kedge_mem *mem;
    struct suspect *suspects;
    uint64_t n_suspects;
    uint64_t n_absent; /* hints of leases that are not dead */
    bool no_memory;
};

static int64_t time_left(void *sweep)
{
    return kedge_reader_time(&((struct sweep *)sweep)->r);
}

/* ------------------------------------------------------------------ a dry one */

static void count_hint(void *sweep, const struct kedge_lease *lease)
{
    struct sweep *s = sweep;

    s->n_absent += lease->state != KEDGE_LEASE_DEAD && lease->hint == KEDGE_HINT_ABSENT;
}

static void suspect(void *sweep, const struct kedge_lease *lease)
{
    struct sweep *s = sweep;
    struct suspect *one;

    if (lease->state == KEDGE_LEASE_LAPSED)
        return; /* no hint is needed, and its runs are listed as expired */
    s->n_suspects++;
    one = kedge_mem_alloc(s->r.host, &s->mem, sizeof *one);
    if (one == NULL) {
        s->no_memory = true;
        return;
    }
    one->lease = lease->id;
    one->next = s->suspects;
    s->suspects = one;
}

static int count_run(struct sweep *s, struct kedge_bytes id, struct kedge_error *err)
{
    struct kedge_run_state state = { .mem = NULL };
    int rc = kedge_reader_head(&s->r, id, &state, err);

    if (rc == KEDGE_NOT_FOUND)
        return KEDGE_OK;
    if (rc != KEDGE_OK)
        return rc;
    if (kedge_rescue_gives_up(&s->rescue, &state.run))
        s->rescue.done.stuck++;
    else
        s->rescue.done.recovered++;
    kedge_mem_free(s->r.host, state.mem);
    return KEDGE_OK;
}

static int count_runs_of(struct sweep *s, const struct kedge_id128 *lease, struct kedge_error *err)
{
    struct kedge_bytes cursor = { NULL, 0 };
    struct kedge_mem *old = NULL;
    int rc;

    do {
        struct kedge_held_page page = { .mem = NULL };

        rc = s->r.ops->list_held(s->r.session, lease, cursor, HELD_MOST, &page,
                                 kedge_reader_time(&s->r), err);
        if (rc == KEDGE_NOT_FOUND)
            rc = KEDGE_OK;
        kedge_mem_free(s->r.host, old);
        old = page.mem;
        for (size_t i = 0; i < page.n && rc == KEDGE_OK; i++) {
            if (!page.held[i].is_lock)
                rc = count_run(s, page.held[i].name, err);
        }
        cursor = page.next;
    } while (rc == KEDGE_OK && cursor.len > 0);
    kedge_mem_free(s->r.host, old);
    return rc;
}

/* Would those who look dead by their hint alone be buried?  Then their runs, which no list of
   expired ones shows yet, would be recovered. */
static int judge_suspects(struct sweep *s, struct kedge_error *err)
{
    struct kedge_rescued *done = &s->rescue.done;
    int rc = KEDGE_OK;

    if (s->no_memory)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    if (s->n_absent > 1 && s->n_absent > done->leases / 2) {
        done->buried -= s->n_suspects;
        done->held += s->n_suspects;
        return KEDGE_OK;
    }
    for (struct suspect *one = s->suspects; one != NULL && rc == KEDGE_OK; one = one->next)
        rc = count_runs_of(s, &one->lease, err);
    return rc;
}

static int sweep_dry(struct sweep *s, struct kedge_error *err)
{
    int rc;

    s->rescue.dry = true;
    s->rescue.saw = count_hint;
    s->rescue.buried = suspect;
    rc = kedge_rescue_bury(&s->rescue, err);
    if (rc == KEDGE_OK)
        rc = judge_suspects(s, err);
    if (rc == KEDGE_OK)
        rc = kedge_rescue_recover(&s->rescue, err);
    kedge_mem_free(s->r.host, s->mem);
    return rc;
}

/* -------------------------------------------------------------------- the sweep */

/* The first failure is the answer, and the rest is done all the same. */
static int look(struct sweep *s, struct kedge_error *err)
{
    int buried = kedge_rescue_bury(&s->rescue, err);
    int recovered = kedge_rescue_recover(&s->rescue, buried == KEDGE_OK ? err : NULL);

    return buried != KEDGE_OK ? buried : recovered;
}

/* Having looked started the time that a hint must be absent for. */
static int look_again(struct sweep *s, struct kedge_error *err)
{
    const uint64_t leases = s->rescue.done.leases;
    int rc;

    if (s->rescue.done.held == 0 || kedge_monotonic_us() + KEDGE_RESCUE_GRACE_US >= s->r.deadline)
        return KEDGE_OK;
    kedge_reader_pause(&s->r);
    kedge_sleep_us(KEDGE_RESCUE_GRACE_US);
    rc = kedge_reader_resume(&s->r, err);
    if (rc != KEDGE_OK)
        return rc;
    s->rescue.session = s->r.session;
    s->rescue.done.held = 0;
    rc = look(s, err);
    s->rescue.done.leases = leases;
    return rc;
}

static int purge_expired(struct sweep *s, struct kedge_error *err)
{
    struct kedge_purged purged;
    int rc;

    do {
        memset(&purged, 0, sizeof purged);
        rc = s->r.ops->purge(s->r.session, PURGE_AT_ONCE, &purged, kedge_reader_time(&s->r), err);
        s->out.runs += purged.runs;
        s->out.rows += purged.rows;
    } while (rc == KEDGE_OK && purged.more != 0);
    return rc;
}

/* What cannot be understood is told, and is in the way of nothing else. */
static int sweep(struct sweep *s, struct kedge_error *err)
{
    int (*const parts[])(struct sweep *, struct kedge_error *) = { look, look_again,
                                                                   purge_expired };
    int first = KEDGE_OK;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int rc = parts[i](s, first == KEDGE_OK ? err : NULL);

        if (first == KEDGE_OK)
            first = rc;
        if (rc != KEDGE_OK && rc != KEDGE_ERR_CORRUPT)
            break;
    }
    return first;
}

static int import_options(struct kedge_sweep_options *to, const struct kedge_sweep_options *from,
                          struct kedge_error *err)
{
    int rc = KEDGE_OK;

    *to = (struct kedge_sweep_options)KEDGE_SWEEP_OPTIONS_INIT;
    if (from != NULL)
        rc = kedge_args_import(to, sizeof *to, from, from->struct_size, "options",
                               "KEDGE_SWEEP_OPTIONS_INIT", err);
    if (rc == KEDGE_OK && (to->flags & ~KEDGE_SWEEP_DRY) != 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "options.flags has unknown bits");
    if (to->crash_limit == 0)
        to->crash_limit = KEDGE_RESCUE_CRASH_LIMIT;
    return rc;
}

static int begin(struct sweep *s, struct kedge_store *store, int64_t timeout_us,
                 struct kedge_error *err)
{
    int rc = kedge_reader_begin(&s->r, store, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    s->rescue = (struct kedge_rescue){ .store = store,
                                       .ops = s->r.ops,
                                       .host = s->r.host,
                                       .session = s->r.session,
                                       .crash_limit = s->in.crash_limit,
                                       .writer = kedge_text(kedge_store_program(store)),
                                       .ctx = s,
                                       .time = time_left };
    return kedge_random_bytes(&s->rescue.seed, sizeof s->rescue.seed, err);
}

int kedge_store_sweep(struct kedge_store *store, const struct kedge_sweep_options *options,
                      struct kedge_swept *out, int64_t timeout_us, struct kedge_error *err)
{
    struct sweep s = { .out = { .struct_size = sizeof s.out } };
    int rc = import_options(&s.in, options, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = begin(&s, store, timeout_us, err);
    if (rc == KEDGE_OK)
        rc = (s.in.flags & KEDGE_SWEEP_DRY) != 0 ? sweep_dry(&s, err) : sweep(&s, err);
    kedge_reader_end(&s.r);
    s.out.workers = s.rescue.done.leases;
    s.out.buried = s.rescue.done.buried;
    s.out.spared = s.rescue.done.held;
    s.out.recovered = s.rescue.done.recovered;
    s.out.stuck = s.rescue.done.stuck;
    if (out != NULL)
        kedge_args_export(out, &s.out, sizeof s.out);
    return rc;
}

/* ----------------------------------------------------------------- one run's end */

/* Not an answer: the run was changed in between. */
#define AGAIN 100

struct purge {
    struct kedge_reader r;
    uint64_t incarnation; /* of the run that was last told to go */
    bool doubt;           /* an answer never came: it may have gone */
};

/*
 * Its time is over since ever, not since now: it is gone whatever the clock does, and among all
 * that has expired its rows go first.
 */
static int expire(struct purge *p, const struct kedge_run *run, struct kedge_error *err)
{
    struct kedge_guard guard = { .kind = KEDGE_GUARD_UNHELD,
                                 .statuses = KEDGE_STATUSES_RESTING,
                                 .name = run->id,
                                 .number = run->revision };
    struct kedge_change set = { .kind = KEDGE_SET, .name = run->id };
    struct kedge_commit commit = {
        .guards = &guard, .n_guards = 1, .changes = &set, .n_changes = 1
    };
    struct kedge_answer answer;
    int rc = kedge_request_id_make(&commit.request, err);

    set.set.mask = KEDGE_SET_EXPIRES;
    set.set.expires = (struct kedge_when){ 1, KEDGE_AT, 0 };
    return rc == KEDGE_OK ? kedge_reader_send(&p->r, &commit, &answer, err) : rc;
}

/*
 * A commit in doubt is not sent again as it is: if it was carried out, the id may name another run
 * by then, even at the same revision.  The run is looked for instead.
 */
static int attempt(struct purge *p, struct kedge_bytes id, struct kedge_error *err)
{
    struct kedge_run_state state = { .mem = NULL };
    int rc = kedge_reader_head(&p->r, id, &state, err);

    if (rc == KEDGE_NOT_FOUND ||
        (rc == KEDGE_OK && p->doubt && state.run.incarnation != p->incarnation)) {
        rc = p->doubt ? KEDGE_OK : KEDGE_NOT_FOUND;
    } else if (rc == KEDGE_OK && state.run.place != KEDGE_PLACE_REST) {
        rc = KEDGE_STALE;
    } else if (rc == KEDGE_OK) {
        p->incarnation = state.run.incarnation;
        rc = expire(p, &state.run, err);
        p->doubt |= rc == KEDGE_ERR_UNKNOWN;
        if (rc == KEDGE_STALE || rc == KEDGE_NOT_FOUND)
            rc = AGAIN;
    }
    kedge_mem_free(p->r.host, state.mem);
    return rc;
}

static int purge_run(struct purge *p, struct kedge_bytes id, struct kedge_error *err)
{
    struct kedge_error why = { KEDGE_ERR_UNAVAILABLE, 0, "others change the run all the time" };
    int64_t pause = KEDGE_PAUSE_FIRST_US;
    int rc;

    do {
        rc = attempt(p, id, &why);
        if (rc >= 0 && rc != AGAIN)
            return rc;
        if (rc < 0 && (!p->doubt || (rc != KEDGE_ERR_UNKNOWN && rc != KEDGE_ERR_UNAVAILABLE)))
            break;
        if (rc < 0) {
            kedge_sleep_us(pause);
            pause = 2 * pause < KEDGE_PAUSE_MOST_US ? 2 * pause : KEDGE_PAUSE_MOST_US;
        }
    } while (kedge_monotonic_us() < p->r.deadline);
    return kedge_error_set(err, p->doubt ? KEDGE_ERR_UNKNOWN : why.code, why.sys_errno, "%s",
                           why.msg);
}

int kedge_run_purge(struct kedge_store *store, struct kedge_bytes id, int64_t timeout_us,
                    struct kedge_error *err)
{
    struct purge p = { .doubt = false };
    struct kedge_purged purged;
    int rc = kedge_reader_begin(&p.r, store, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = kedge_args_id(p.r.ops, id, err);
    if (rc == KEDGE_OK)
        rc = purge_run(&p, id, err);
    if (rc == KEDGE_OK) /* its rows; what is left goes with the next sweep */
        (void)p.r.ops->purge(p.r.session, PURGE_AT_ONCE, &purged, kedge_reader_time(&p.r), NULL);
    kedge_reader_end(&p.r);
    return rc;
}
