/* threads.c - cases: sessions of one store at the same time */
#include "cases.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SANITIZED 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define SANITIZED 1
#    endif
#endif
#ifndef SANITIZED
#    define SANITIZED 0
#endif

#define N_THREADS 16

struct crowd {
    struct world *w;
    int rounds;
    pthread_barrier_t barrier;
    atomic_int winners;
    atomic_int failures; /* answers that are neither won nor lost */
    _Atomic uint64_t fence;
    atomic_bool stop;
    struct run run; /* what a round is about; written between rounds */
    struct run parent;
    uint64_t revision;
};

struct member {
    struct crowd *crowd;
    uint32_t number;
    pthread_t thread;
};

static void crowd_run(struct crowd *crowd, void *(*body)(void *), void (*between)(struct crowd *))
{
    struct member m[N_THREADS];

    expect_eq(pthread_barrier_init(&crowd->barrier, NULL, N_THREADS + 1), 0);
    for (uint32_t i = 0; i < N_THREADS; i++) {
        m[i] = (struct member){ .crowd = crowd, .number = i };
        expect_eq(pthread_create(&m[i].thread, NULL, body, &m[i]), 0);
    }
    for (int round = 0; between != NULL && round < crowd->rounds; round++) {
        between(crowd);
        pthread_barrier_wait(&crowd->barrier);
        pthread_barrier_wait(&crowd->barrier);
        expect_eq(atomic_load(&crowd->winners), 1);
        expect_eq(atomic_load(&crowd->failures), 0);
        atomic_store(&crowd->winners, 0);
    }
    for (uint32_t i = 0; i < N_THREADS; i++)
        expect_eq(pthread_join(m[i].thread, NULL), 0);
    pthread_barrier_destroy(&crowd->barrier);
}

/* One round: everybody tries TRY_ once between two barriers. */
#define CONTENDER(fn, try_)                                                                        \
    static void *fn(void *arg)                                                                     \
    {                                                                                              \
        struct member *m = arg;                                                                    \
        struct crowd *crowd = m->crowd;                                                            \
        struct world w[1];                                                                         \
        struct kedge_id128 lease;                                                                  \
                                                                                                   \
        world_thread_enter(crowd->w, w, m->number + 1);                                            \
        lease = lease_make(w, SEC(3000));                                                          \
        for (int i = 0; i < crowd->rounds; i++) {                                                  \
            uint64_t fence = 0;                                                                    \
            int rc;                                                                                \
                                                                                                   \
            pthread_barrier_wait(&crowd->barrier);                                                 \
            rc = try_(crowd, w, lease, &fence);                                                    \
            if (rc == KEDGE_OK) {                                                                  \
                expect(fence > atomic_load(&crowd->fence));                                        \
                atomic_store(&crowd->fence, fence);                                                \
                atomic_fetch_add(&crowd->winners, 1);                                              \
            } else if (rc < 0) {                                                                   \
                atomic_fetch_add(&crowd->failures, 1);                                             \
            }                                                                                      \
            pthread_barrier_wait(&crowd->barrier);                                                 \
            world_forget(w);                                                                       \
        }                                                                                          \
        world_thread_leave(w);                                                                     \
        return NULL;                                                                               \
    }

static int try_lock(struct crowd *crowd, struct world *w, struct kedge_id128 lease, uint64_t *fence)
{
    struct kedge_lock_state st;
    int rc = do_lock_acquire(w, crowd->run.id, lease, random_id(w), &st);

    if (rc == KEDGE_OK)
        *fence = st.fence;
    return rc;
}

static int try_claim(struct crowd *crowd, struct world *w, struct kedge_id128 lease,
                     uint64_t *fence)
{
    struct kedge_claim in = claim_of(w, lease, 1);
    struct kedge_run_page page;
    int rc = do_claim(w, &in, &page);

    (void)crowd;
    if (rc != KEDGE_OK)
        return rc;
    if (page.n == 0)
        return KEDGE_QUIET;
    *fence = page.runs[0].fence;
    return KEDGE_OK;
}

static int try_take(struct crowd *crowd, struct world *w, struct kedge_id128 lease, uint64_t *fence)
{
    struct tx t;
    int rc;

    tx_init(w, &t);
    g_unheld(&t, crowd->run.id, KEDGE_STATUSES_ALL, crowd->revision);
    c_take(&t, crowd->run.id, lease);
    rc = tx_send(w, &t);
    *fence = t.results[0];
    return rc;
}

static int try_cell(struct crowd *crowd, struct world *w, struct kedge_id128 lease, uint64_t *fence)
{
    struct tx t;
    int rc;

    (void)lease;
    tx_init(w, &t);
    g_cell(&t, str("permit"), crowd->revision);
    c_cell_put(&t, str("permit"), str("mine"), never());
    rc = tx_send(w, &t);
    *fence = t.results[0];
    return rc;
}

static int try_create(struct crowd *crowd, struct world *w, struct kedge_id128 lease,
                      uint64_t *fence)
{
    struct tx t;
    int rc;

    tx_init(w, &t);
    c_create_held(&t, crowd->run.id, lease);
    rc = tx_send(w, &t);
    *fence = t.results[0];
    return rc;
}

CONTENDER(lock_contender, try_lock)
CONTENDER(claim_contender, try_claim)
CONTENDER(take_contender, try_take)
CONTENDER(cell_contender, try_cell)
CONTENDER(create_contender, try_create)

static void next_name(struct crowd *crowd)
{
    static int number;

    crowd->run.id = name(crowd->w, "thing %d", number++);
}

static void next_due(struct crowd *crowd)
{
    next_name(crowd);
    crowd->run = run_due(crowd->w, crowd->run.id, from_now(0));
    crowd->revision = head(crowd->w, crowd->run.id).revision;
}

static void next_version(struct crowd *crowd)
{
    crowd->revision = cell_version(crowd->w, str("permit"));
}

static void one_lock(struct world *w)
{
    struct crowd crowd = { .w = w, .rounds = 100 };

    crowd_run(&crowd, lock_contender, next_name);
}

static void one_claim(struct world *w)
{
    struct crowd crowd = { .w = w, .rounds = 100 };

    crowd_run(&crowd, claim_contender, next_due);
}

static void one_take(struct world *w)
{
    struct crowd crowd = { .w = w, .rounds = 100 };

    crowd_run(&crowd, take_contender, next_due);
}

static void one_cell(struct world *w)
{
    struct crowd crowd = { .w = w, .rounds = 100 };

    crowd_run(&crowd, cell_contender, next_version);
}

static void one_create(struct world *w)
{
    struct crowd crowd = { .w = w, .rounds = 100 };

    crowd_run(&crowd, create_contender, next_name);
}

/* ------------------------------------------------- many runs, shared things */

enum { PER_THREAD = 25 };

/* Steps of a run of its own, each counted in a cell that all share; at last a slot of the parent.
 */
static void *stepper(void *arg)
{
    struct member *m = arg;
    struct crowd *crowd = m->crowd;
    struct world w[1];
    struct run r;
    struct tx t;
    char id[32];

    world_thread_enter(crowd->w, w, m->number + 1);
    (void)snprintf(id, sizeof id, "child %u", m->number);
    r = run_take(w, str(id), lease_make(w, SEC(3000)));
    for (uint64_t i = 0; i < PER_THREAD; i++) {
        struct kedge_cell cell;
        uint32_t count = 0;
        int rc;

        do {
            uint64_t version = 0;

            rc = do_cell(w, str("count"), &cell);
            if (rc == KEDGE_OK) {
                memcpy(&count, cell.value.data, sizeof count);
                version = cell.version;
            }
            count++;
            tx_init(w, &t);
            g_held(&t, &r);
            g_cell(&t, str("count"), version);
            c_append(&t, r.id, i + 1, str("a step"));
            c_cell_put(&t, str("count"), bytes(&count, sizeof count), never());
            rc = tx_send(w, &t);
            if (rc == KEDGE_STALE)
                expect_eq(t.answer.at, 1); /* the cell, never the run */
            else
                expect_rc(rc, KEDGE_OK);
        } while (rc == KEDGE_STALE);
        if (i % 5 == 0)
            expect_eq(head(w, r.id).position, i + 1);
        world_forget(w);
    }
    tx_init(w, &t);
    g_held(&t, &r);
    c_rest(&t, r.id, KEDGE_COMPLETED, never());
    c_slot_put(&t, &crowd->parent, 0, m->number, name(w, "result %u", m->number));
    expect_tx(&t, KEDGE_OK);
    if (t.results[1] == 0)
        atomic_fetch_add(&crowd->winners, 1);
    world_thread_leave(w);
    return NULL;
}

static void shared_things(struct world *w)
{
    struct crowd crowd = { .w = w, .rounds = 0 };
    struct tx *t = tx_new(w);
    struct kedge_slot_page page;
    struct kedge_cell cell;
    uint32_t count;

    crowd.parent = run_held(w, str("parent"), lease_make(w, SEC(3000)));
    g_held(t, &crowd.parent);
    c_slots(t, crowd.parent.id, 0, N_THREADS);
    for (uint32_t i = 0; i < N_THREADS; i++)
        c_create_child(t, name(w, "child %u", i), &crowd.parent, 0, i);
    c_park(t, crowd.parent.id, KEDGE_WAKES_ON_SLOTS, never());
    expect_tx(t, KEDGE_OK);
    crowd_run(&crowd, stepper, NULL);
    expect_eq(atomic_load(&crowd.winners), 1); /* one saw the set become full */
    expect_eq(head(w, crowd.parent.id).place, KEDGE_PLACE_DUE);
    expect_ok(do_slots(w, crowd.parent.id, 0, 0, 0, 100, &page));
    expect_eq(page.n, N_THREADS);
    expect_eq(page.remaining, 0);
    expect_ok(do_cell(w, str("count"), &cell));
    memcpy(&count, cell.value.data, sizeof count);
    expect_eq(count, N_THREADS * PER_THREAD); /* no lost update */
    for (uint32_t i = 0; i < N_THREADS; i++) {
        struct kedge_run h = head(w, name(w, "child %u", i));

        expect_eq(h.position, PER_THREAD);
        expect_eq(h.place, KEDGE_PLACE_REST);
    }
}

/* ------------------------------------------------------------ a worked queue */

enum { N_RUNS = 600 };

static void *worker(void *arg)
{
    struct member *m = arg;
    struct crowd *crowd = m->crowd;
    struct world w[1];
    struct kedge_id128 lease;

    world_thread_enter(crowd->w, w, m->number + 1);
    lease = lease_make(w, SEC(3000));
    for (;;) {
        struct kedge_claim in = claim_of(w, lease, 1 + random_below(w, 9));
        struct kedge_run_page page;
        struct tx *t[16];

        expect_ok(do_claim(w, &in, &page));
        if (page.n == 0)
            break;
        for (size_t i = 0; i < page.n; i++) {
            expect_eq(page.runs[i].position, 0); /* nobody had it before */
            t[i] = tx_new(w);
            g_held_by(t[i], page.runs[i].id, lease, page.runs[i].fence);
            c_append(t[i], page.runs[i].id, 1, str("done"));
            c_rest(t[i], page.runs[i].id, KEDGE_COMPLETED, never());
        }
        tx_send_batch(w, t, page.n);
        for (size_t i = 0; i < page.n; i++)
            expect_outcome(t[i], KEDGE_OK);
        atomic_fetch_add(&crowd->winners, (int)page.n);
        world_forget(w);
    }
    world_thread_leave(w);
    return NULL;
}

static void queue(struct world *w)
{
    struct crowd crowd = { .w = w, .rounds = 0 };

    for (int i = 0; i < N_RUNS; i += 50) {
        struct tx *t[50];

        for (int k = 0; k < 50; k++) {
            t[k] = tx_new(w);
            c_create_due(t[k], name(w, "run %d", i + k), from_now(0));
        }
        tx_send_batch(w, t, 50);
    }
    crowd_run(&crowd, worker, NULL);
    expect_eq(atomic_load(&crowd.winners), N_RUNS);
}

/* ------------------------------------------------- readers see whole commits */

enum { WRITES = 60, VALUE = 30000 };

static void *reader_or_writer(void *arg)
{
    struct member *m = arg;
    struct crowd *crowd = m->crowd;
    struct world w[1];

    world_thread_enter(crowd->w, w, m->number + 1);
    for (uint64_t i = 0; m->number == 0 && i < WRITES; i++) {
        struct kedge_bytes value = blob(w, VALUE, i);
        struct tx t;

        tx_init(w, &t);
        g_held(&t, &crowd->run);
        c_append(&t, crowd->run.id, i + 1, value);
        c_snapshot(&t, crowd->run.id, i + 1, value);
        c_cell_put(&t, str("a"), bytes(&i, sizeof i), never());
        c_cell_put(&t, str("b"), value, never());
        expect_tx(&t, KEDGE_OK);
        world_forget(w);
    }
    if (m->number == 0)
        atomic_store(&crowd->stop, true);
    while (!atomic_load(&crowd->stop)) {
        struct kedge_run_state st;
        struct kedge_cell cell;

        expect_ok(do_retrieve(w, crowd->run.id, 0, KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL, &st));
        expect_eq(st.n_tail, 0); /* the snapshot always covers all of it */
        expect_eq(st.run.snapshot_position, st.run.position);
        if (st.run.position > 0)
            expect_bytes(st.snapshot, blob(w, VALUE, st.run.position - 1));
        if (do_cell(w, str("b"), &cell) == KEDGE_OK)
            expect_eq(cell.value.len, VALUE);
        world_forget(w);
    }
    world_thread_leave(w);
    return NULL;
}

static void whole_commits(struct world *w)
{
    struct crowd crowd = { .w = w, .rounds = 0 };

    crowd.run = run_held(w, str("run"), lease_make(w, SEC(3000)));
    crowd_run(&crowd, reader_or_writer, NULL);
}

/* ------------------------------------------- a session goes from hand to hand */

struct relay {
    struct world *w; /* whose session is passed on */
    uint64_t number; /* of the record that is next */
};

static void *opener(void *arg)
{
    struct relay *relay = arg;
    struct world *w = relay->w;

    expect_ok(w->ops->session_open(w->store, &w->session, &w->err));
    return NULL;
}

static void *runner(void *arg)
{
    struct relay *relay = arg;
    struct world *w = relay->w;
    struct kedge_run h = head(w, str("a"));
    struct run r = { .id = str("a"), .lease = h.holder, .fence = h.fence, .position = h.position };

    expect_eq(h.position + 1, relay->number);
    step(w, &r, "by whose turn it is");
    relay->number++;
    return NULL;
}

static void *closer(void *arg)
{
    struct relay *relay = arg;

    relay->w->ops->session_close(relay->w->session);
    return NULL;
}

static void in_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;

    expect_eq(pthread_create(&thread, NULL, body, arg), 0);
    expect_eq(pthread_join(thread, NULL), 0);
}

/* Each of them has ended before the next begins: the session outlives who opened it. */
static void hand_to_hand(struct world *w)
{
    struct world passed = *w;
    struct relay relay = { &passed, 1 };

    passed.rng = ~w->rng; /* no request id twice */
    passed.keep = NULL;
    passed.txs = NULL;
    run_held(w, str("a"), lease_make(w, SEC(3000)));
    in_thread(opener, &relay);
    for (int i = 0; i < 12; i++)
        in_thread(runner, &relay);
    in_thread(closer, &relay);
    world_forget(&passed);
    expect_eq(head(w, str("a")).position, 12);
}

/* ------------------------------------------------------------------- interruptions */

static atomic_int interruptions;

static void interrupt(int sig)
{
    (void)sig;
    atomic_fetch_add(&interruptions, 1);
}

/* A signal a thousand times a second, that no system call is restarted after. */
static void storm(struct world *w)
{
    struct sigaction sa = { .sa_handler = interrupt };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    struct itimerspec every = { { 0, 1000000 }, { 0, 1000000 } };
    struct kedge_id128 lease = lease_make(w, SEC(3000));
    struct run r = run_held(w, str("a"), lease);
    uint64_t ticket;
    timer_t timer;

    (void)sigemptyset(&sa.sa_mask);
    expect_eq(sigaction(SIGUSR1, &sa, NULL), 0);
    expect_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    expect_eq(timer_settime(timer, 0, &every, NULL), 0);
    for (int i = 0; i < 300 || atomic_load(&interruptions) < 100; i++) {
        struct kedge_lease_state st;

        step(w, &r, "one more");
        expect_ok(do_extend(w, lease, &st));
        expect_eq(head(w, r.id).position, (int64_t)i + 1);
        if (i % 50 == 0 && do_wait(w, 0, &ticket, 0) != KEDGE_ERR_UNSUPPORTED) {
            int64_t began = real_us();
            int rc = do_wait(w, 0, &ticket, 1);

            if (rc != KEDGE_OK)
                continue;
            expect_rc(do_wait(w, ticket, &ticket, MS(40)), KEDGE_QUIET);
            expect(real_us() - began >= MS(35)); /* a signal is no reason to end */
        }
    }
    expect_eq(timer_delete(timer), 0);
    world_reopen(w);
    expect_eq(head(w, r.id).fence, r.fence);
}

/* ------------------------------------------------------- fork in the middle of it */

static void *busy(void *arg)
{
    struct member *m = arg;
    struct crowd *crowd = m->crowd;
    struct world w[1];
    struct run r;

    world_thread_enter(crowd->w, w, m->number + 1);
    r = run_held(w, name(w, "run %u", (unsigned)m->number), lease_make(w, SEC(3000)));
    while (!atomic_load(&crowd->stop)) {
        step(w, &r, "one more");
        atomic_fetch_add(&crowd->winners, 1);
    }
    expect_eq(head(w, r.id).position, r.position);
    world_thread_leave(w);
    return NULL;
}

/* Leaves by exit(), with all that a library may have to be done at exit. */
static _Noreturn void child_of_crowd(struct world *w)
{
    struct kedge_time now;
    int rc;

    w->err.msg[0] = '\0';
    rc = w->ops->now(w->session, &now, PATIENCE, &w->err);
    rc = rc == KEDGE_ERR_INVALID && w->err.msg[0] != '\0' ? 0 : 1;
#if SANITIZED /* which would report what the other threads had in hand as lost */
    _exit(rc);
#else
    exit(rc);
#endif
}

/* Children are made while threads are inside; they are refused, leave by exit(), and do no harm. */
static void forks(struct world *w)
{
    struct crowd crowd = { .w = w };
    struct member m[4];

    for (uint32_t i = 0; i < ARRAY_LEN(m); i++) {
        m[i] = (struct member){ .crowd = &crowd, .number = i };
        expect_eq(pthread_create(&m[i].thread, NULL, busy, &m[i]), 0);
    }
    (void)fflush(NULL);
    for (int i = 0; i < 10; i++) {
        int steps = atomic_load(&crowd.winners), status;
        pid_t pid;

        while (atomic_load(&crowd.winners) < steps + 8)
            pause_us(100);
        pid = fork();
        expect(pid >= 0);
        if (pid == 0)
            child_of_crowd(w);
        expect_eq(waitpid(pid, &status, 0), pid);
        expect_eq(status, 0);
    }
    atomic_store(&crowd.stop, true);
    for (uint32_t i = 0; i < ARRAY_LEN(m); i++)
        expect_eq(pthread_join(m[i].thread, NULL), 0);
    expect(is_there(w, str("run 3")));
}

/* ------------------------------------------------------- extends at the same time */

enum { EXTENDERS = 6, EXTENDS = 40 };

struct extenders {
    struct world *w;
    struct kedge_id128 lease;
    pthread_barrier_t barrier;
    _Atomic uint32_t number;
    _Atomic int64_t told[EXTENDERS]; /* in this round */
};

/* With a handle of its own: what a store does for all its sessions is not in the way. */
static void *extender(void *arg)
{
    struct extenders *e = arg;
    uint32_t number = atomic_fetch_add(&e->number, 1);
    struct world w[1];

    world_process_enter(e->w, w, number);
    for (int i = 0; i < EXTENDS; i++) {
        struct kedge_lease_state st;

        pthread_barrier_wait(&e->barrier);
        expect_ok(do_extend(w, e->lease, &st));
        atomic_store(&e->told[number], st.deadline);
        pthread_barrier_wait(&e->barrier);
        world_forget(w);
    }
    world_close_own(w);
    return NULL;
}

/* Whoever was told the latest deadline may rely on it. */
static void extends_at_once(struct world *w)
{
    struct extenders e = { .w = w, .lease = lease_make(w, SEC(60)) };
    pthread_t thread[EXTENDERS];

    clock_follow();
    expect_eq(pthread_barrier_init(&e.barrier, NULL, EXTENDERS + 1), 0);
    for (uint32_t i = 0; i < EXTENDERS; i++)
        expect_eq(pthread_create(&thread[i], NULL, extender, &e), 0);
    for (int round = 0; round < EXTENDS; round++) {
        struct kedge_lease_page page;
        int64_t latest = 0;

        pthread_barrier_wait(&e.barrier);
        pthread_barrier_wait(&e.barrier);
        for (size_t i = 0; i < EXTENDERS; i++)
            if (atomic_load(&e.told[i]) > latest)
                latest = atomic_load(&e.told[i]);
        expect_ok(do_leases(w, none(), 10, &page));
        expect_eq(page.n, 1);
        context("round %d", round);
        expect_eq(page.leases[0].deadline, latest);
        context(NULL);
    }
    for (uint32_t i = 0; i < EXTENDERS; i++)
        expect_eq(pthread_join(thread[i], NULL), 0);
    (void)pthread_barrier_destroy(&e.barrier);
}

/* --------------------------------------- what the other session did is heard of */

/* W appends to R; the answer tells of the run as it is. */
static void hears(struct world *w, struct run *r, uint32_t status, uint32_t requests)
{
    struct tx *t = tx_new(w);

    g_held(t, r);
    c_append(t, r->id, r->position + 1, str("a step"));
    expect_tx(t, KEDGE_OK);
    expect_eq(t->answer.status, status);
    expect_eq(t->answer.requests, requests);
    expect_eq(t->answer.position, ++r->position);
    expect_eq(t->answer.revision, head(w, r->id).revision);
}

static void changes(struct world *other, const struct run *r, uint32_t status)
{
    struct tx *t = tx_new(other);

    g_held(t, r);
    c_set(t, r->id, KEDGE_SET_STATUS)->set.status = status;
    expect_tx(t, KEDGE_OK);
}

static void requests(struct world *other, const struct run *r)
{
    struct tx *t = tx_new(other);

    c_request(t, r->id, KEDGE_REQUEST_CANCEL);
    expect_tx(t, KEDGE_OK);
}

static void is_stale(struct world *w, const struct run *r, uint32_t part)
{
    struct tx *t = tx_new(w);

    g_held(t, r);
    c_append(t, r->id, r->position + 1, str("too late"));
    refuse_tx(t, KEDGE_STALE, part);
}

/* A session that has appended again and again to a run knows it well.  What it knows may be old. */
static void heard(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, SEC(3000));
    struct run a = run_held(w, str("a"), lease), b = run_held(w, str("b"), lease), again;
    struct world other = *w;

    other.rng = ~w->rng;
    other.keep = NULL;
    other.txs = NULL;
    expect_ok(w->ops->session_open(w->store, &other.session, &w->err));
    for (int i = 0; i < 3; i++) {
        hears(w, &a, KEDGE_RUNNING, 0);
        hears(w, &b, KEDGE_RUNNING, 0);
    }
    is_stale(w, &(struct run){ a.id, a.lease, a.fence, a.incarnation, a.position + 1 }, 1);
    hears(w, &a, KEDGE_RUNNING, 0);
    requests(&other, &a);
    hears(w, &b, KEDGE_RUNNING, 0);
    hears(w, &a, KEDGE_RUNNING, KEDGE_REQUEST_CANCEL);
    hears(w, &a, KEDGE_RUNNING, KEDGE_REQUEST_CANCEL);
    changes(&other, &a, KEDGE_ROLLING_BACK);
    hears(w, &a, KEDGE_ROLLING_BACK, KEDGE_REQUEST_CANCEL);
    step(&other, &a, "of the other session");
    hears(w, &a, KEDGE_ROLLING_BACK, KEDGE_REQUEST_CANCEL);
    is_stale(&other, &(struct run){ a.id, a.lease, a.fence, a.incarnation, a.position - 1 }, 1);
    release_due(&other, &a, from_now(0));
    is_stale(w, &a, 0);
    again = run_take(&other, a.id, lease);
    is_stale(w, &a, 0);
    hears(&other, &again, KEDGE_ROLLING_BACK, KEDGE_REQUEST_CANCEL);
    hears(w, &again, KEDGE_ROLLING_BACK, KEDGE_REQUEST_CANCEL);
    hears(w, &b, KEDGE_RUNNING, 0);
    hears(&other, &b, KEDGE_RUNNING, 0);
    expect_ok(do_revoke(&other, lease));
    is_stale(w, &again, 0);
    is_stale(w, &b, 0);
    w->ops->session_close(other.session);
    world_forget(&other);
}

/* ---------------------------------------------------------- all under one lease */

static void *tireless(void *arg)
{
    struct member *m = arg;
    struct crowd *crowd = m->crowd;
    struct world w[1];
    char id[16]; /* what name() makes does not outlive world_forget() */
    struct run r;
    int asked = 0;

    world_thread_enter(crowd->w, w, m->number + 1);
    (void)snprintf(id, sizeof id, "run %u", (unsigned)m->number);
    r = run_held(w, str(id), crowd->run.lease);
    pthread_barrier_wait(&crowd->barrier);
    while (!atomic_load(&crowd->stop)) {
        struct tx t;

        asked = atomic_load(&crowd->winners);
        tx_init(w, &t);
        g_held(&t, &r);
        c_append(&t, r.id, ++r.position, str("one more"));
        expect_tx(&t, KEDGE_OK);
        expect_eq(t.answer.position, r.position);
        if ((uint32_t)asked > m->number) /* it was told before */
            expect_eq(t.answer.requests, KEDGE_REQUEST_CANCEL);
        world_forget(w);
    }
    expect_eq(head(w, r.id).position, r.position);
    world_thread_leave(w);
    return NULL;
}

/* Whoever asks something of the runs of a lease gets through, however many append under it. */
static void one_holder(struct world *w)
{
    struct crowd crowd = { .w = w, .run = { .lease = lease_make(w, SEC(3000)) } };
    struct member m[8];

    expect_eq(pthread_barrier_init(&crowd.barrier, NULL, ARRAY_LEN(m) + 1), 0);
    for (uint32_t i = 0; i < ARRAY_LEN(m); i++) {
        m[i] = (struct member){ .crowd = &crowd, .number = i };
        expect_eq(pthread_create(&m[i].thread, NULL, tireless, &m[i]), 0);
    }
    pthread_barrier_wait(&crowd.barrier);
    for (uint32_t i = 0; i < ARRAY_LEN(m); i++) {
        struct tx t;

        tx_init(w, &t);
        c_request(&t, name(w, "run %u", i), KEDGE_REQUEST_CANCEL);
        expect_tx(&t, KEDGE_OK);
        atomic_store(&crowd.winners, (int)i + 1);
    }
    atomic_store(&crowd.stop, true);
    for (uint32_t i = 0; i < ARRAY_LEN(m); i++)
        expect_eq(pthread_join(m[i].thread, NULL), 0);
    pthread_barrier_destroy(&crowd.barrier);
}

const struct contract_case cases_threads[] = {
    { "threads-01", "of sixteen contenders one gets the lock", NEEDS_THREADS, one_lock },
    { "threads-02", "of sixteen claimers one gets the run", NEEDS_THREADS, one_claim },
    { "threads-03", "of sixteen takers one gets the run", NEEDS_THREADS, one_take },
    { "threads-04", "of sixteen writers one has the right version", NEEDS_THREADS, one_cell },
    { "threads-05", "of sixteen creators one makes the run", NEEDS_THREADS, one_create },
    { "threads-06", "steps of many runs, one counter, one parent", NEEDS_THREADS, shared_things },
    { "threads-07", "a queue is worked off, each run once", NEEDS_THREADS, queue },
    { "threads-08", "a reader sees all of a commit or nothing", NEEDS_THREADS, whole_commits },
    { "threads-09", "a session goes from thread to thread", 0, hand_to_hand },
    { "threads-10", "signals interrupt system calls, and no operation", 0, storm },
    { "threads-11", "forking while others are inside does no harm", NEEDS_THREADS, forks },
    { "threads-12", "of extends at the same time none takes back what another was told",
      NEEDS_THREADS, extends_at_once },
    { "threads-13", "who appends hears what another session did to the run", NEEDS_THREADS, heard },
    { "threads-14", "sessions of one lease append, and who asks of its runs gets through",
      NEEDS_THREADS, one_holder },
    { NULL, NULL, 0, NULL },
};
