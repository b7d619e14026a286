/*
 * works_store.c - workloads of the store alone: calls of the storage contract
 *
 * A crew of hands, each a thread with a session of its own and its share of the clients.  A hand
 * has one call under way at a time, which carries an operation of each of its clients, where the
 * contract has such calls.  At a fixed rate every operation has its time to begin; those whose time
 * has come go together, and what counts is the time from then on, whatever made them wait.
 */
#include <config.h>

#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "population.h"
#include "settings.h"
#include "subject.h"

#define HOUR_US    INT64_C(3600000000)
#define PER_CLIENT 16 /* due runs */
#define DUE_FIRST  (UINT64_C(1) << 32)
#define LOCK_BYTES 32

struct crew;

struct hand {
    struct crew *crew;
    unsigned index;
    pthread_t thread;
    struct user user;
    struct runs runs; /* one for each client */
    size_t next;      /* whose lock it is */
    struct limit limit;
    int64_t began;
    struct samples lat;
    struct samples late;
    int64_t lag_ns;
    uint64_t ops;
};

/* Do up to N operations in one call; how many it was. */
typedef size_t hand_fn(struct hand *hand, size_t n);

struct crew {
    struct work *work;
    hand_fn *op;
    size_t at_once; /* most in a call; 0: as the store says */
    uint64_t due;   /* runs to be claimed */
    struct subject subject;
    struct hand *hands;
    unsigned n;
    double interval_ns; /* of a hand; 0: as fast as it goes */
    atomic_bool inside; /* somebody has the one lock */
    uint64_t last_fence;
};

/* ------------------------------------------------------------------- at work */

static size_t most_at_once(const struct hand *h)
{
    size_t most = h->crew->at_once > 0 ? h->crew->at_once : h->user.most;

    return h->runs.n < most ? h->runs.n : most;
}

static void as_fast_as_it_goes(struct hand *h)
{
    size_t most = most_at_once(h);
    int64_t t = now_ns();

    for (uint64_t rounds = 0; !limit_reached(&h->limit, rounds, t); rounds++) {
        int64_t began = t;
        size_t n = h->crew->op(h, most);

        t = now_ns();
        samples_add_n(&h->lat, t - began, (int64_t)n);
        h->ops += n;
    }
}

/* Operation K of a hand is to begin at: all hands' take turns. */
static int64_t time_of(const struct hand *h, uint64_t k)
{
    double share = (double)h->index / (double)h->crew->n;

    return h->began + (int64_t)(((double)k + share) * h->crew->interval_ns);
}

static void note(struct hand *h, uint64_t first, size_t n, int64_t began, int64_t ended)
{
    samples_add_n(&h->lat, ended - began, (int64_t)n);
    for (size_t i = 0; i < n; i++)
        samples_add(&h->late, ended - time_of(h, first + i));
    if (began - time_of(h, first) > h->lag_ns)
        h->lag_ns = began - time_of(h, first);
}

static void at_a_rate(struct hand *h)
{
    size_t most = most_at_once(h);

    for (int64_t t = now_ns(); !limit_reached(&h->limit, h->ops, t);) {
        size_t n = 0;
        int64_t ended;

        while (n < most && time_of(h, h->ops + n) <= t)
            n++;
        if (n == 0) {
            int64_t next = time_of(h, h->ops);

            sleep_until(next < h->limit.until_ns ? next : h->limit.until_ns);
            t = now_ns();
            continue;
        }
        n = h->crew->op(h, n);
        ended = now_ns();
        note(h, h->ops, n, t, ended);
        h->ops += n;
        t = ended;
    }
}

static void *hand_main(void *arg)
{
    struct hand *h = arg;

    if (h->crew->interval_ns > 0)
        at_a_rate(h);
    else
        as_fast_as_it_goes(h);
    return NULL;
}

static void gather(struct hand *h, struct side *side)
{
    side->ops += h->ops;
    samples_join(&side->lat, &h->lat);
    samples_join(&side->late, &h->late);
    if (h->lag_ns > side->lag_ns)
        side->lag_ns = h->lag_ns;
}

static void crew_run(struct side *side, const struct limit *limit)
{
    struct crew *crew = side->ctx;
    int64_t began = now_ns();

    for (unsigned i = 0; i < crew->n; i++) {
        struct hand *h = &crew->hands[i];

        h->limit = *limit;
        h->began = began;
        h->ops = 0;
        h->lag_ns = 0;
        samples_clear(&h->lat);
        samples_clear(&h->late);
        if (crew->n > 1 && pthread_create(&h->thread, NULL, hand_main, h) != 0)
            die("cannot start thread %u of %u", i + 1, crew->n);
    }
    if (crew->n == 1)
        (void)hand_main(&crew->hands[0]);
    for (unsigned i = 0; crew->n > 1 && i < crew->n; i++)
        (void)pthread_join(crew->hands[i].thread, NULL);
    side->own_ns = now_ns() - began;
    for (unsigned i = 0; i < crew->n; i++)
        gather(&crew->hands[i], side);
}

/* ------------------------------------------------------------ opening, closing */

static struct crew *crew_open(struct work *work, hand_fn *op, size_t at_once, unsigned threads)
{
    struct crew *crew = must_alloc(1, sizeof *crew);
    char url[PATH_MAX + 64];

    crew->work = work;
    crew->op = op;
    crew->at_once = at_once;
    crew->n = threads;
    crew->interval_ns = work->rate > 0 ? 1e9 * threads / work->rate : 0;
    crew->hands = must_alloc(crew->n, sizeof *crew->hands);
    subject_url(url, sizeof url, work->kind->name);
    subject_open(&crew->subject, url, work->kind->name);
    for (unsigned i = 0; i < crew->n; i++) {
        struct hand *h = &crew->hands[i];
        uint64_t first = (uint64_t)work->clients * i / threads;
        uint64_t end = (uint64_t)work->clients * (i + 1) / threads;

        h->crew = crew;
        h->index = i;
        user_open(&h->user, &crew->subject, HOUR_US);
        runs_create(&h->runs, &h->user, 1 + first, (size_t)(end - first));
    }
    work->own = crew;
    work->side.run = crew_run;
    work->side.ctx = crew;
    return crew;
}

static unsigned threads_wanted(void)
{
    return settings.threads > 0 ? settings.threads : 1;
}

static void make_due(struct crew *crew)
{
    crew->due = (uint64_t)crew->work->clients * PER_CLIENT;
    user_create(&crew->hands[0].user, DUE_FIRST, (size_t)crew->due, BORN_DUE, NULL);
}

/* All that were due can be had again, each once. */
static uint64_t claim_all(struct crew *crew)
{
    struct user *u = &crew->hands[0].user;
    uint64_t sum = 0;
    size_t n;

    do {
        die_if_stopped();
        n = user_claim(u, u->most);
        sum += n;
    } while (n > 0 && sum <= crew->due);
    if (sum != crew->due)
        die("%" PRIu64 " runs can be claimed of %" PRIu64 " that were handed back", sum, crew->due);
    return sum;
}

static size_t lock_name(char name[LOCK_BYTES], uint64_t client)
{
    return (size_t)snprintf(name, LOCK_BYTES, "lock-%" PRIu64, client);
}

static void check_locks(struct crew *crew)
{
    for (uint64_t client = 0; client <= crew->work->clients; client++) {
        char name[LOCK_BYTES];
        size_t len = lock_name(name, client);

        if (user_locked(&crew->hands[0].user, (struct kedge_bytes){ name, len }))
            die("%s is held, and everybody has let go of it", name);
    }
}

void crew_close(struct work *work)
{
    struct crew *crew = work->own;

    for (unsigned i = 0; i < crew->n; i++) {
        struct hand *h = &crew->hands[i];

        for (size_t r = 0; r < h->runs.n; r++)
            work->written += h->runs.v[r].position;
        work->readable += user_verify(&h->user, &h->runs);
    }
    if (crew->due > 0) {
        work->written += crew->due;
        work->readable += claim_all(crew);
    }
    check_locks(crew);
    for (unsigned i = 0; i < crew->n; i++) {
        struct hand *h = &crew->hands[i];

        runs_release(&h->runs);
        user_close(&h->user);
        samples_release(&h->lat);
        samples_release(&h->late);
    }
    subject_close(&crew->subject);
    free(crew->hands);
    free(crew);
}

/* ------------------------------------------------------------------- operations */

static size_t checkpoint(struct hand *h, size_t n)
{
    user_append(&h->user, &h->runs, n);
    return n;
}

void checkpoint_open(struct work *work)
{
    (void)crew_open(work, checkpoint, 0, threads_wanted());
    work->what = "checkpoints";
}

static size_t lock_own(struct hand *h, size_t n)
{
    char name[LOCK_BYTES];
    struct kedge_bytes lock = { name, lock_name(name, h->runs.v[h->next].tag) };
    uint64_t fence;

    h->next = h->next + 1 < h->runs.n ? h->next + 1 : 0;
    if (!user_lock(&h->user, lock, &fence))
        die("%s is held by somebody else", name);
    user_unlock(&h->user, lock, fence);
    return n;
}

void lock_open(struct work *work)
{
    (void)crew_open(work, lock_own, 1, threads_wanted());
}

/* Take it when it is free; nobody else has it then, and its fence has risen. */
static size_t lock_the_one(struct hand *h, size_t n)
{
    struct crew *crew = h->crew;
    char name[LOCK_BYTES];
    struct kedge_bytes lock = { name, lock_name(name, 0) };
    uint64_t fence;

    if (!user_lock(&h->user, lock, &fence))
        return 0;
    if (atomic_exchange(&crew->inside, true))
        die("two clients hold one lock");
    if (fence <= crew->last_fence)
        die("the fence of a lock falls from %" PRIu64 " to %" PRIu64, crew->last_fence, fence);
    crew->last_fence = fence;
    atomic_store(&crew->inside, false);
    user_unlock(&h->user, lock, fence);
    return n;
}

/* As long as it takes. */
static size_t contend(struct hand *h, size_t n)
{
    while (lock_the_one(h, n) == 0)
        if (limit_reached(&h->limit, 0, now_ns()))
            return 0;
    return n;
}

void contend_open(struct work *work)
{
    (void)crew_open(work, contend, 1, work->clients);
}

static size_t claim(struct hand *h, size_t n)
{
    size_t got = user_claim(&h->user, n);

    user_release(&h->user, got);
    return got;
}

void claim_open(struct work *work)
{
    make_due(crew_open(work, claim, 0, threads_wanted()));
    work->what = "runs handed back";
}

static size_t one_of_ten(struct hand *h, size_t n)
{
    unsigned dice = (unsigned)(rng_next(&h->user.rng) % 10);

    if (dice < 6)
        return checkpoint(h, n);
    if (dice == 8)
        return lock_own(h, n);
    if (dice == 9)
        return claim(h, n);
    h->next = h->next + 1 < h->runs.n ? h->next + 1 : 0;
    if (user_head(&h->user, h->runs.v[h->next].tag) != h->runs.v[h->next].position)
        die("the head of a run is not what was written");
    return n;
}

void mixed_open(struct work *work)
{
    make_due(crew_open(work, one_of_ten, 1, threads_wanted()));
    work->what = "checkpoints and runs handed back";
}

/* -------------------------------------------------------------------- expired */

void expired_open(struct work *work)
{
    struct population *p = must_alloc(1, sizeof *p);
    char url[PATH_MAX + 64];

    subject_url(url, sizeof url, work->kind->name);
    population_build(p, url, work->kind->name, settings.among);
    population_wait(p);
    work->own = p;
    work->what = "expired runs";
    work->side.run = population_scans;
    work->side.ctx = p;
}

void expired_close(struct work *work)
{
    struct population *p = work->own;

    work->written = EXPIRED_N;
    work->readable = user_expired(&p->user); /* each look has seen as many */
    population_close(p);
    free(p);
}
