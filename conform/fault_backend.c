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

/* Handles are those of the table below. */
struct wrap_below wrap_below(void *session)
{
    return (struct wrap_below){ .ops = inner, .session = session, .host = host };
}

/* Count the call; what is to happen to it. */
enum wrap_verdict wrap_before(struct wrap_call *call)
{
    enum fault_op op = (enum fault_op)call->op;
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
    if (kind == FAULT_BEFORE)
        (void)kedge_error_set(call->err, KEDGE_ERR_UNAVAILABLE, 0, "planned fault: not sent");
    return kind == FAULT_BEFORE ? WRAP_REFUSE : kind == FAULT_AFTER ? WRAP_LOSE : WRAP_GO;
}

void wrap_after(struct wrap_call *call)
{
    (void)call;
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
    wrap_forward(&ops, table);
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
