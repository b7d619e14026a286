/* fault_backend.c - a table around a backend's table: counts calls, fails the N-th, delays */
#include "fault_backend.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

static const struct kedge_backend_ops *inner;
/* Of the last store opened, or as given to fault_wrap; frees what hangs on lost outputs. */
static const struct kedge_host *host;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t calls[FAULT_OP_COUNT + 1];
static int64_t delays[FAULT_OP_COUNT + 1];
static uint64_t hits;
static int dead;
static struct {
    enum fault_op op;
    uint64_t left; /* calls until it happens; 0: nothing is planned */
    enum fault_kind kind;
} plan;

static void sleep_us(int64_t us)
{
    struct timespec ts = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

    while (us > 0 && nanosleep(&ts, &ts) != 0 && errno == EINTR)
        ;
}

/* Count a call of OP; what is to happen to it. */
static enum fault_kind enter(enum fault_op op)
{
    enum fault_kind kind = FAULT_NONE;
    int64_t delay;

    pthread_mutex_lock(&mutex);
    calls[op]++;
    calls[FAULT_ANY]++;
    delay = delays[op] > delays[FAULT_ANY] ? delays[op] : delays[FAULT_ANY];
    if (plan.left != 0 && (plan.op == op || plan.op == FAULT_ANY) && --plan.left == 0) {
        kind = plan.kind;
        hits++;
    }
    if (dead)
        kind = FAULT_BEFORE;
    pthread_mutex_unlock(&mutex);
    sleep_us(delay);
    return kind;
}

static int unavailable(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0, "planned fault: not sent");
}

static int unknown(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_UNKNOWN, 0, "planned fault: the answer was lost");
}

/* An operation without output. */
#define PASS(op, params, args)                                                                     \
    static int fault_##op params                                                                   \
    {                                                                                              \
        enum fault_kind kind = enter(FAULT_##op);                                                  \
        int rc;                                                                                    \
                                                                                                   \
        if (kind == FAULT_BEFORE)                                                                  \
            return unavailable(err);                                                               \
        rc = inner->op args;                                                                       \
        return kind == FAULT_AFTER && rc >= 0 ? unknown(err) : rc;                                 \
    }

/* An operation with an output, which stays unwritten when the answer is lost. */
#define PASS_OUT(op, type, params, args)                                                           \
    static int fault_##op params                                                                   \
    {                                                                                              \
        enum fault_kind kind = enter(FAULT_##op);                                                  \
        type lost, *const wanted = out;                                                            \
        int rc;                                                                                    \
                                                                                                   \
        if (kind == FAULT_BEFORE)                                                                  \
            return unavailable(err);                                                               \
        memset(&lost, 0, sizeof lost);                                                             \
        out = kind == FAULT_AFTER ? &lost : wanted;                                                \
        rc = inner->op args;                                                                       \
        if (kind == FAULT_AFTER && rc >= 0) {                                                      \
            FREE_##op(&lost);                                                                      \
            return unknown(err);                                                                   \
        }                                                                                          \
        return rc;                                                                                 \
    }

#define FREE_PAGE(out)        kedge_mem_free(host, (out)->mem)
#define FREE_NOTHING(out)     ((void)(out))
#define FREE_info             FREE_PAGE
#define FREE_now              FREE_NOTHING
#define FREE_lease_grant      FREE_NOTHING
#define FREE_lease_extend     FREE_NOTHING
#define FREE_lease_list       FREE_PAGE
#define FREE_list_held        FREE_PAGE
#define FREE_lock_acquire     FREE_NOTHING
#define FREE_lock_extend      FREE_NOTHING
#define FREE_lock_query       FREE_NOTHING
#define FREE_claim            FREE_PAGE
#define FREE_retrieve         FREE_PAGE
#define FREE_retrieve_records FREE_PAGE
#define FREE_retrieve_slots   FREE_PAGE
#define FREE_list_expired     FREE_PAGE
#define FREE_list             FREE_PAGE
#define FREE_cell_get         FREE_PAGE
#define FREE_purge            FREE_NOTHING
#define FREE_verify           FREE_PAGE
#define FREE_wait             FREE_NOTHING

#define TAIL int64_t timeout_us, struct kedge_error *err

PASS_OUT(info, struct kedge_info, (void *s, struct kedge_info *out, TAIL),
         (s, out, timeout_us, err))
PASS_OUT(now, struct kedge_time, (void *s, struct kedge_time *out, TAIL), (s, out, timeout_us, err))
PASS_OUT(lease_grant, struct kedge_lease_state,
         (void *s, const struct kedge_lease_new *in, struct kedge_lease_state *out, TAIL),
         (s, in, out, timeout_us, err))
PASS_OUT(lease_extend, struct kedge_lease_state,
         (void *s, const struct kedge_id128 *lease, struct kedge_lease_state *out, TAIL),
         (s, lease, out, timeout_us, err))
PASS(lease_revoke, (void *s, const struct kedge_id128 *lease, TAIL), (s, lease, timeout_us, err))
PASS(lease_bury, (void *s, const struct kedge_id128 *lease, TAIL), (s, lease, timeout_us, err))
PASS_OUT(lease_list, struct kedge_lease_page,
         (void *s, struct kedge_bytes cursor, size_t limit, struct kedge_lease_page *out, TAIL),
         (s, cursor, limit, out, timeout_us, err))
PASS_OUT(list_held, struct kedge_held_page,
         (void *s, const struct kedge_id128 *lease, struct kedge_bytes cursor, size_t limit,
          struct kedge_held_page *out, TAIL),
         (s, lease, cursor, limit, out, timeout_us, err))
PASS_OUT(lock_acquire, struct kedge_lock_state,
         (void *s, struct kedge_bytes name, const struct kedge_id128 *lease,
          const struct kedge_id128 *request, struct kedge_lock_state *out, TAIL),
         (s, name, lease, request, out, timeout_us, err))
PASS_OUT(lock_extend, struct kedge_lock_state,
         (void *s, struct kedge_bytes name, const struct kedge_id128 *lease, uint64_t fence,
          struct kedge_lock_state *out, TAIL),
         (s, name, lease, fence, out, timeout_us, err))
PASS(lock_release,
     (void *s, struct kedge_bytes name, const struct kedge_id128 *lease, uint64_t fence, TAIL),
     (s, name, lease, fence, timeout_us, err))
PASS_OUT(lock_query, struct kedge_lock_state,
         (void *s, struct kedge_bytes name, struct kedge_lock_state *out, TAIL),
         (s, name, out, timeout_us, err))
PASS_OUT(claim, struct kedge_run_page,
         (void *s, const struct kedge_claim *in, struct kedge_run_page *out, TAIL),
         (s, in, out, timeout_us, err))
PASS_OUT(retrieve, struct kedge_run_state,
         (void *s, const struct kedge_retrieve *in, struct kedge_run_state *out, TAIL),
         (s, in, out, timeout_us, err))
PASS_OUT(retrieve_records, struct kedge_record_page,
         (void *s, struct kedge_bytes id, uint64_t incarnation, uint64_t first, size_t limit,
          size_t bytes_max, struct kedge_record_page *out, TAIL),
         (s, id, incarnation, first, limit, bytes_max, out, timeout_us, err))
PASS_OUT(retrieve_slots, struct kedge_slot_page,
         (void *s, struct kedge_bytes id, uint64_t incarnation, uint32_t set, uint32_t first,
          size_t limit, struct kedge_slot_page *out, TAIL),
         (s, id, incarnation, set, first, limit, out, timeout_us, err))
PASS_OUT(list_expired, struct kedge_run_page,
         (void *s, struct kedge_bytes cursor, size_t limit, struct kedge_run_page *out, TAIL),
         (s, cursor, limit, out, timeout_us, err))
PASS_OUT(list, struct kedge_run_page,
         (void *s, const struct kedge_list *in, struct kedge_run_page *out, TAIL),
         (s, in, out, timeout_us, err))
PASS_OUT(cell_get, struct kedge_cell,
         (void *s, struct kedge_bytes name, struct kedge_cell *out, TAIL),
         (s, name, out, timeout_us, err))
PASS_OUT(purge, struct kedge_purged, (void *s, size_t limit, struct kedge_purged *out, TAIL),
         (s, limit, out, timeout_us, err))
PASS_OUT(verify, struct kedge_verified, (void *s, struct kedge_verified *out, TAIL),
         (s, out, timeout_us, err))
PASS_OUT(wait, uint64_t, (void *s, uint64_t seen, uint64_t *out, TAIL),
         (s, seen, out, timeout_us, err))
PASS(notify, (void *s, struct kedge_error *err), (s, err))

static void all_outcomes(struct kedge_answer *answers, size_t n, int outcome)
{
    for (size_t i = 0; i < n; i++) {
        memset(&answers[i], 0, sizeof answers[i]);
        answers[i].outcome = outcome;
    }
}

static int fault_commit(void *s, const struct kedge_commit *commits, size_t n,
                        struct kedge_answer *answers, TAIL)
{
    enum fault_kind kind = enter(FAULT_commit);
    int rc;

    if (kind == FAULT_BEFORE) {
        all_outcomes(answers, n, KEDGE_ERR_UNAVAILABLE);
        return unavailable(err);
    }
    rc = inner->commit(s, commits, n, answers, timeout_us, err);
    if (kind != FAULT_AFTER || rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (commits[i].results != NULL)
            memset(commits[i].results, 0xee, commits[i].n_changes * sizeof *commits[i].results);
    all_outcomes(answers, n, KEDGE_ERR_UNKNOWN);
    return unknown(err);
}

static int fault_store_open(const struct kedge_host *h, const struct kedge_open *open, void **store,
                            struct kedge_error *err)
{
    host = h;
    return inner->store_open(h, open, store, err);
}

const struct kedge_backend_ops *fault_wrap(const struct kedge_backend_ops *table,
                                           const struct kedge_host *h)
{
    static struct kedge_backend_ops ops;

    inner = table;
    host = h;
    ops = *table;
    ops.store_open = fault_store_open;
#define FAULT_SET(op) ops.op = fault_##op;
    FAULT_OPS(FAULT_SET)
#undef FAULT_SET
    pthread_mutex_lock(&mutex);
    memset(calls, 0, sizeof calls);
    memset(delays, 0, sizeof delays);
    hits = 0;
    dead = 0;
    plan.left = 0;
    pthread_mutex_unlock(&mutex);
    return &ops;
}

void fault_plan(enum fault_op op, uint64_t n, enum fault_kind kind)
{
    pthread_mutex_lock(&mutex);
    plan.op = op;
    plan.left = n;
    plan.kind = kind;
    pthread_mutex_unlock(&mutex);
}

void fault_delay(enum fault_op op, int64_t us)
{
    pthread_mutex_lock(&mutex);
    delays[op] = us;
    pthread_mutex_unlock(&mutex);
}

uint64_t fault_calls(enum fault_op op)
{
    uint64_t n;

    pthread_mutex_lock(&mutex);
    n = calls[op];
    pthread_mutex_unlock(&mutex);
    return n;
}

uint64_t fault_hits(void)
{
    uint64_t n;

    pthread_mutex_lock(&mutex);
    n = hits;
    pthread_mutex_unlock(&mutex);
    return n;
}

static void set_dead(int now)
{
    pthread_mutex_lock(&mutex);
    dead = now;
    pthread_mutex_unlock(&mutex);
}

void fault_kill(void)
{
    set_dead(1);
}

void fault_revive(void)
{
    set_dead(0);
}
