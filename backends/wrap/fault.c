/*
 * fault.c - the wrapper `fault': some calls fail, as a network or a crash would have it
 *
 *	fault,op=commit,n=3,when=after+lmdb:/x
 *
 *   op=NAME      of the operation, a member of struct kedge_backend_ops; any (if it is not said):
 *                whichever comes that has a session
 *   n=N          it happens to the N-th call of that operation, once
 *   rate=R       or to each with probability R, 0 .. 1; seed=N: another such sequence
 *   when=before  it is not done, and answers ERR_UNAVAILABLE (if it is not said)
 *   when=after   it is done, and answers ERR_UNKNOWN; nothing of its answer arrives
 *   die          the process kills itself then with SIGKILL
 *   cut          from then on everything fails, as if the store could not be reached any more
 *   delay=US     each call of that operation takes so much longer, before anything is done
 *
 * Calls are counted for each open store, in the order in which they begin: which of them it happens
 * to depends on that number and the seed alone.  Closing never fails.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"

#include "../kit/url.h"

#define KNOWN "op, n, rate, seed, when, die, cut, delay"
#define ANY   WRAP_OP_COUNT
#define WHOLE UINT64_C(1000000000) /* rates are counted in billionths */

const char *const wrap_name = "fault";

struct fault {
    const struct kedge_host *host;
    enum wrap_op op;
    uint64_t n;    /* 0: not by number */
    uint64_t rate; /* of WHOLE; 0: not by chance */
    uint64_t seed;
    uint64_t delay_us;
    bool has_rate;
    bool has_when;
    bool after;
    bool die;
    bool cut;
    _Atomic uint64_t calls;
    atomic_bool unreachable;
};

/* ------------------------------------------------------------------- settings */

static int read_op(struct fault *f, struct kedge_bytes value, struct kedge_error *err)
{
    char name[32];

    f->op = ANY;
    if (kedge_url_is(value, "any"))
        return KEDGE_OK;
    if (value.len < sizeof name) {
        memcpy(name, value.data, value.len);
        name[value.len] = '\0';
        f->op = wrap_op_find(name);
    }
    if (f->op == WRAP_OP_COUNT || f->op == WRAP_store_close || f->op == WRAP_session_close)
        return wrap_wrong("op", value,
                          "no operation that can fail; write any, or a member of struct "
                          "kedge_backend_ops like commit, claim, lease_extend",
                          err);
    return KEDGE_OK;
}

static int read_rate(struct fault *f, struct kedge_bytes value, struct kedge_error *err)
{
    const char *text = value.data;
    uint64_t worth = WHOLE;
    uint64_t rate = 0;
    bool good = value.len > 0;

    for (size_t i = 0; good && i < value.len; i++) {
        if (i == 1) {
            good = text[i] == '.' && value.len > 2;
            continue;
        }
        good = text[i] >= '0' && text[i] <= (i == 0 ? '1' : '9');
        rate += good ? (uint64_t)(text[i] - '0') * worth : 0;
        worth /= 10;
    }
    if (!good || rate > WHOLE)
        return wrap_wrong("rate", value, "write a number from 0 to 1, like 0.05", err);
    f->rate = rate;
    f->has_rate = true;
    return KEDGE_OK;
}

static int read_when(struct fault *f, struct kedge_bytes value, struct kedge_error *err)
{
    f->has_when = true;
    f->after = kedge_url_is(value, "after");
    if (!f->after && !kedge_url_is(value, "before"))
        return wrap_wrong("when", value, "write before or after", err);
    return KEDGE_OK;
}

static int read_setting(struct fault *f, struct kedge_bytes key, struct kedge_bytes value,
                        struct kedge_error *err)
{
    if (kedge_url_is(key, "op"))
        return read_op(f, value, err);
    if (kedge_url_is(key, "n"))
        return wrap_number("n", value, 1, &f->n, err);
    if (kedge_url_is(key, "rate"))
        return read_rate(f, value, err);
    if (kedge_url_is(key, "seed"))
        return wrap_number("seed", value, 0, &f->seed, err);
    if (kedge_url_is(key, "when"))
        return read_when(f, value, err);
    if (kedge_url_is(key, "die"))
        return wrap_switch("die", value, &f->die, err);
    if (kedge_url_is(key, "cut"))
        return wrap_switch("cut", value, &f->cut, err);
    if (kedge_url_is(key, "delay"))
        return wrap_number("delay", value, 0, &f->delay_us, err);
    return wrap_unknown(key, KNOWN, err);
}

/* What says nothing together is a mistake of whoever wrote it. */
static int check(const struct fault *f, struct kedge_error *err)
{
    const char *wrong = NULL;

    if (f->n > 0 && f->has_rate)
        wrong = "n= and rate= are both there; one of them says when it happens";
    else if (f->n == 0 && !f->has_rate && (f->die || f->cut || f->has_when))
        wrong = "neither n= nor rate= says when it happens";
    else if (f->n == 0 && !f->has_rate && f->delay_us == 0)
        wrong = "nothing is to happen; say when with n= or rate=, or how long with delay=";
    if (wrong == NULL)
        return KEDGE_OK;
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "%s: %s", wrap_name, wrong);
}

int wrap_self_open(const struct kedge_host *host, struct kedge_bytes settings, void **self,
                   struct kedge_error *err)
{
    struct fault *f = host->alloc(host->ctx, sizeof *f);
    struct kedge_bytes key;
    struct kedge_bytes value;
    int rc = KEDGE_OK;

    if (f == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    memset(f, 0, sizeof *f);
    f->host = host;
    f->op = ANY;
    atomic_init(&f->calls, 0);
    atomic_init(&f->unreachable, false);
    while (rc == KEDGE_OK && wrap_setting(&settings, &key, &value))
        rc = read_setting(f, key, value, err);
    if (rc == KEDGE_OK)
        rc = check(f, err);
    if (rc == KEDGE_OK)
        *self = f;
    else
        wrap_self_close(f);
    return rc;
}

void wrap_self_close(void *self)
{
    struct fault *f = self;

    f->host->release(f->host->ctx, f);
}

/* ---------------------------------------------------------------------- faults */

static void sleep_us(uint64_t us)
{
    struct timespec ts = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

    while (us > 0 && nanosleep(&ts, &ts) != 0 && errno == EINTR)
        ;
}

/* Evenly spread over all numbers, and the same for the same two (SplitMix64). */
static uint64_t chance(uint64_t seed, uint64_t number)
{
    uint64_t x = seed * UINT64_C(0xd1342543de82ef95) + number * UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static _Noreturn void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

static bool happens(const struct fault *f, uint64_t number)
{
    return f->has_rate ? chance(f->seed, number) % WHOLE < f->rate : number == f->n;
}

static enum wrap_verdict refuse(struct wrap_call *call, const char *why)
{
    (void)kedge_error_set(call->err, KEDGE_ERR_UNAVAILABLE, 0, "planned fault: '%s' was not sent%s",
                          wrap_op_name(call->op), why);
    return WRAP_REFUSE;
}

enum wrap_verdict wrap_before(struct wrap_call *call)
{
    struct fault *f = call->below.self;

    if (call->op == WRAP_store_close || call->op == WRAP_session_close)
        return WRAP_GO;
    if (atomic_load(&f->unreachable))
        return refuse(call, ", as nothing is any more");
    if (f->op == ANY ? call->op >= WRAP_SESSION_OPS : call->op != f->op)
        return WRAP_GO;
    call->number = atomic_fetch_add(&f->calls, 1) + 1;
    sleep_us(f->delay_us);
    if (!happens(f, call->number)) {
        call->number = 0;
        return WRAP_GO;
    }
    if (f->cut)
        atomic_store(&f->unreachable, true);
    if (f->after)
        return WRAP_LOSE;
    if (f->die)
        die();
    return refuse(call, "");
}

/* A number that is still there is that of a call it happens to. */
void wrap_after(struct wrap_call *call)
{
    const struct fault *f = call->below.self;

    if (call->number != 0 && f->die)
        die();
}
