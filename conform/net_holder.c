/*
 * net_holder.c - cases: who holds something, and whose connection ends, hangs or comes and goes
 *
 * Holding goes with a lease, and not with a connection: a new one goes on where the old one ended;
 * and who was taken over meanwhile is told so by whatever he does next.
 */
#include "cases.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crew.h"
#include "way.h"

#define LONG  SEC(7200)
#define TRIES 5

/* ------------------------------------------------- his connection is ended, and he goes on */

static struct way way;

/* CALL, until it is answered. */
#define ANSWERED(rc, call)                                                                         \
    do {                                                                                           \
        (rc) = KEDGE_ERR_UNAVAILABLE;                                                              \
        for (int try_ = 0; try_ < TRIES && (rc) == KEDGE_ERR_UNAVAILABLE; try_++)                  \
            (rc) = (call);                                                                         \
    } while (0)

static int step_through(struct run *r, const char *text)
{
    struct tx *t = tx_new(&way.through);
    int rc;

    g_held(t, r);
    c_append(t, r->id, r->position + 1, str(text));
    ANSWERED(rc, tx_send(&way.through, t));
    return rc;
}

static int lock_through(struct kedge_bytes lock, struct kedge_id128 lease, uint64_t fence)
{
    struct kedge_lock_state st;
    int rc;

    ANSWERED(rc, do_lock_extend(&way.through, lock, lease, fence, &st));
    if (rc == KEDGE_OK)
        expect_eq(st.fence, fence);
    return rc;
}

static int extend_through(struct kedge_id128 lease)
{
    struct kedge_lease_state st;
    int rc;

    ANSWERED(rc, do_extend(&way.through, lease, &st));
    return rc;
}

/* Each of three first calls after the end of the connection. */
static void goes_on(struct run *r, struct kedge_bytes lock, uint64_t fence, const char *how)
{
    struct world *w = &way.through;

    context("%s, and he extends his lease", how);
    proxy_say(&way.proxy, "%s", how);
    expect_ok(extend_through(r->lease));
    context("%s, and he writes", how);
    proxy_say(&way.proxy, "%s", how);
    expect_ok(step_through(r, "a step"));
    r->position++;
    context("%s, and he extends his lock", how);
    proxy_say(&way.proxy, "%s", how);
    expect_ok(lock_through(lock, r->lease, fence));
}

/* Somebody else has all of it when his connection is ended: whatever he does first says so. */
static void is_told(struct world *d, const char *how, int first)
{
    struct world *w = &way.through;
    struct kedge_id128 other = lease_make(d, LONG);
    struct run r = run_held(w, name(d, "run-%s-%d", how, first), lease_make(w, LONG)), taken;
    struct kedge_bytes lock = name(d, "lock-%s-%d", how, first);
    uint64_t fence = lock_take(w, lock, r.lease);

    context("%s, taken over", how);
    proxy_say(&way.proxy, "%s", how);
    check_rc(__FILE__, __LINE__, "lease_revoke", d, do_revoke(d, r.lease), KEDGE_OK);
    taken = run_take(d, r.id, other);
    (void)lock_take(d, lock, other);
    switch (first) {
    case 0:
        expect_rc(extend_through(r.lease), KEDGE_LOST);
        break;
    case 1:
        expect_rc(step_through(&r, "too late"), KEDGE_STALE);
        break;
    default:
        expect_rc(lock_through(lock, r.lease, fence), KEDGE_STALE);
    }
    step(d, &taken, "by the other");
}

static void holder_is_cut_off(struct world *w)
{
    static const char *const hows[] = { "reset", "close" };
    struct run r;
    uint64_t fence;

    way_open(&way, w, 1);
    r = run_held(&way.through, str("run"), lease_make(&way.through, LONG));
    fence = lock_take(&way.through, str("lock"), r.lease);
    for (size_t i = 0; i < ARRAY_LEN(hows); i++) {
        goes_on(&r, str("lock"), fence, hows[i]);
        for (int first = 0; first < 3; first++)
            is_told(w, hows[i], first);
    }
    context(NULL);
    expect_eq(head(w, r.id).position, 2);
    way_close(&way);
}

/* ----------------------------------- what a dead holder had sent arrives when another goes on */

/* Forked: it sends a step, which the proxy holds, and is killed in the middle of that. */
static _Noreturn void die_sending(const struct world *w, const struct run *held, const char *url)
{
    struct world like = *w, mine;
    struct run r = *held;
    struct tx *t;

    (void)snprintf(like.url, sizeof like.url, "%s", url);
    world_process_enter(&like, &mine, 7);
    (void)head(&mine, r.id);
    (void)kill(getpid(), SIGSTOP); /* until it is the proxy's turn */
    t = tx_new(&mine);
    g_held(t, &r);
    c_append(t, r.id, 1, str("of the dead"));
    (void)tx_send(&mine, t);
    fail_case(__FILE__, __LINE__, "what was held has been answered");
}

static void stopped(pid_t pid)
{
    int status;

    expect_eq(waitpid(pid, &status, WUNTRACED), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CASE_EXIT_FAIL)
        _exit(CASE_EXIT_FAIL); /* it has said why */
    expect(WIFSTOPPED(status));
}

static void dead_holder_speaks(struct world *w)
{
    struct run r = run_held(w, str("run"), lease_make(w, LONG)), taken;
    struct proxy proxy;
    char url[1024];
    uint64_t fired;
    char *before;
    int status;
    pid_t pid;

    way_begin(&proxy);
    way_url(&proxy, w, url);
    (void)fflush(NULL);
    pid = fork();
    expect(pid >= 0);
    if (pid == 0)
        die_sending(w, &r, url);
    stopped(pid);
    fired = proxy_count(&proxy).fired;
    proxy_say(&proxy, "at request 1 hold");
    expect_eq(kill(pid, SIGCONT), 0);
    while (proxy_count(&proxy).fired == fired) {
        expect_eq(waitpid(pid, &status, WNOHANG), 0);
        pause_us(MS(1));
    }
    expect_eq(kill(pid, SIGKILL), 0);
    expect_eq(waitpid(pid, &status, 0), pid);
    expect_ok(do_revoke(w, r.lease));
    taken = run_take(w, r.id, lease_make(w, LONG));
    before = dump(w);
    proxy_say(&proxy, "go");
    while (proxy_count(&proxy).open > 0)
        pause_us(MS(1));
    check_unchanged(__FILE__, __LINE__, "what the dead had sent", w, before);
    step(w, &taken, "by the other");
    proxy_stop(&proxy);
}

/* ------------------------------------------------------- parts of the network come and go */

enum { PARTS = 3, AT_WORK_S = 4 };

static struct proxy proxies[PARTS];

/* A member has its store by a proxy of its own; its first call is made before anything happens. */
static void move_behind(struct member *m)
{
    uint64_t version, value;

    world_close_own(&m->w);
    way_url(&proxies[m->number], &m->w, m->w.url);
    world_open_own(&m->w);
    (void)m_get(m, "count", &version, &value);
}

/* Whatever is in doubt about its lease, and what it holds, is over with the lease. */
static void give_up_lease(struct member *m)
{
    while (m_revoke(m) < 0 && !crew_stopped(m))
        pause_us(MS(5));
    m->owner = 0;
}

static bool has_lease(struct member *m)
{
    int rc = m->owner != 0 ? KEDGE_OK : m_grant(m, LONG);

    if (rc == KEDGE_ERR_UNKNOWN)
        give_up_lease(m);
    else if (rc != KEDGE_OK)
        m->owner = 0; /* there never was one */
    return m->owner != 0;
}

static void work_apart(struct member *m)
{
    struct crew_board *b = m->crew->board;

    move_behind(m);
    atomic_store(&b->flag[m->number], 1);
    while (!crew_stopped(m)) {
        uint64_t version, value, fence;
        int rc;

        if (m_get(m, "count", &version, &value) >= 0 &&
            m_put(m, "count", version, value + 1) == KEDGE_OK)
            atomic_fetch_add(&b->flag[m->number], 1);
        if (has_lease(m)) {
            rc = m_acquire(m, "lock", &fence, NULL);
            if (rc == KEDGE_OK)
                rc = m_release(m, "lock", fence);
            if (rc < 0)
                give_up_lease(m);
        }
        pause_us(MS(2) + random_below(&m->w, (uint32_t)MS(8)));
        world_forget(&m->w);
    }
}

/* The part of one, or of all but one, is away for a while: silent, as packets get lost and are sent
   again, or refused. */
static void part(struct world *w)
{
    uint32_t one = random_below(w, PARTS);
    bool others = random_below(w, 2) == 0, silent = random_below(w, 2) == 0;

    for (uint32_t i = 0; i < PARTS; i++)
        if ((i == one) != others) {
            proxy_say(&proxies[i], silent ? "hold" : "refuse");
            if (!silent)
                proxy_say(&proxies[i], "reset");
        }
    pause_us(MS(5) + random_below(w, (uint32_t)MS(100)));
    for (uint32_t i = 0; i < PARTS; i++)
        proxy_say(&proxies[i], "pass");
    pause_us(MS(5) + random_below(w, (uint32_t)MS(50)));
}

/* When all is well again everybody gets on. */
static void liveness(struct crew *c)
{
    for (uint32_t i = 0; i < PARTS; i++)
        crew_await(c, i, atomic_load(&c->board->flag[i]) + 3);
}

static void partitions(struct world *w)
{
    struct crew *c = crew_new(w, PARTS, work_apart, LONG);
    struct history h;
    int64_t until;
    int parts = 0;

    for (uint32_t i = 0; i < PARTS; i++)
        way_begin(&proxies[i]);
    clock_follow();
    atomic_store(&c->board->epoch, 1); /* the clock is not moved: it is asked for once */
    crew_start(c);
    for (uint32_t i = 0; i < PARTS; i++)
        crew_await(c, i, 1);
    for (until = real_us() + SEC(AT_WORK_S); real_us() < until; parts++)
        part(w);
    liveness(c);
    crew_end(c);
    for (uint32_t i = 0; i < PARTS; i++)
        proxy_stop(&proxies[i]);
    h = crew_history(c);
    note("%d partitions, %zu calls", parts, h.n);
    crew_expect_calls(&h, 200);
    history_free(&h);
    crew_judge(c, CREW_UNTIMED | CREW_INTERVALS);
}

#define NEEDS (NEEDS_PROXY | NEEDS_SHARED)

const struct contract_case cases_net_holder[] = {
    { "net-42", "a holder whose connection is ended goes on, or is told that it was taken over",
      NEEDS_PROXY, holder_is_cut_off },
    { "net-43", "what a holder had sent when it was killed arrives late, and is refused", NEEDS,
      dead_holder_speaks },
    { "net-44", "parts of the network come and go: calls have an order, and all get on after it",
      NEEDS, partitions },
    { NULL, NULL, 0, NULL },
};
