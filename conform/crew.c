/* crew.c - the processes of a crew, what is done to them, and the judging of what they did */
#include "crew.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELF CREW_MAX /* the place of the case itself among the logs */

struct crew *crew_new(struct world *w, uint32_t n, member_fn *body, int64_t ttl)
{
    struct crew *c = zeroed(w, 1, sizeof *c);

    *c = (struct crew){ .w = w, .body = body, .n = n, .ttl = ttl };
    expect(n <= CREW_MAX);
    c->board = mmap(NULL, sizeof *c->board, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    expect(c->board != MAP_FAILED);
    return c;
}

static struct member member_of(struct crew *c, uint32_t number, uint32_t life)
{
    struct member m = { .w = *c->w, .crew = c, .number = number, .life = life };

    m.w.keep = NULL;
    m.w.txs = NULL;
    m.w.registry = NULL;
    world_salt(&m.w, (uint64_t)life * 64 + number + 1);
    m.now_from = lease_now();
    return m;
}

struct member crew_self(struct crew *c)
{
    return member_of(c, SELF, 0);
}

/* ------------------------------------------------------------------ processes */

static _Noreturn void live(struct crew *c, uint32_t i)
{
    struct member m = member_of(c, i, c->lives[i]);

    world_open_own(&m.w);
    atomic_fetch_add(&c->board->ready, 1);
    while (!atomic_load(&c->board->go))
        pause_us(50);
    c->body(&m);
    if (m.owner != 0) /* its process ends, which a hint may tell before the deadline does */
        (void)m_end(&m, m_begin(&m, HISTORY_GONE, ""), KEDGE_OK);
    world_close_own(&m.w);
    (void)fflush(stdout);
    _exit(0);
}

static void start_one(struct crew *c, uint32_t i)
{
    (void)fflush(NULL);
    c->pids[i] = fork();
    expect(c->pids[i] >= 0);
    if (c->pids[i] == 0)
        live(c, i);
}

void crew_start(struct crew *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        start_one(c, i);
    while (atomic_load(&c->board->ready) < c->n) {
        int status;

        if (waitpid(-1, &status, WNOHANG) > 0)
            fail_case(__FILE__, __LINE__, "a member did not live to begin");
        pause_us(MS(1));
    }
    atomic_store(&c->board->go, 1);
}

static void reap(struct crew *c, uint32_t i)
{
    int status;

    if (c->pids[i] == 0)
        return;
    expect_eq(waitpid(c->pids[i], &status, 0), c->pids[i]);
    c->pids[i] = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_case(__FILE__, __LINE__, "member %" PRIu32 " did not end well: %s %d", i,
                  WIFSIGNALED(status) ? "signal" : "exit status",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

void crew_end(struct crew *c)
{
    atomic_store(&c->board->stop, 1);
    for (uint32_t i = 0; i < c->n; i++)
        reap(c, i);
}

bool crew_stopped(const struct member *m)
{
    return atomic_load(&m->crew->board->stop) != 0 ||
           atomic_load(&m->crew->board->logs[m->number].n) + 64 > CREW_EVENTS;
}

void crew_replace(struct crew *c, uint32_t i)
{
    c->lives[i]++;
    start_one(c, i);
}

bool crew_kill(struct crew *c, uint32_t i)
{
    struct member self = crew_self(c);
    int64_t before = real_us();
    struct history_event *e;
    int status;

    expect_eq(kill(c->pids[i], SIGKILL), 0);
    expect_eq(waitpid(c->pids[i], &status, 0), c->pids[i]);
    c->pids[i] = 0;
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        return false;
    e = m_begin(&self, HISTORY_GONE, "");
    e->owner = atomic_load(&c->board->logs[i].owner);
    e->call = before;
    (void)m_end(&self, e, KEDGE_OK);
    return true;
}

bool crew_freeze(struct crew *c, uint32_t i)
{
    int status;

    expect_eq(kill(c->pids[i], SIGSTOP), 0);
    expect_eq(waitpid(c->pids[i], &status, WUNTRACED), c->pids[i]);
    if (WIFSTOPPED(status))
        return true;
    c->pids[i] = 0;
    return false;
}

void crew_thaw(struct crew *c, uint32_t i)
{
    expect_eq(kill(c->pids[i], SIGCONT), 0);
}

void crew_await(struct crew *c, uint32_t f, uint64_t value)
{
    while (atomic_load(&c->board->flag[f]) < value) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);

        if (pid > 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
            fail_case(__FILE__, __LINE__, "a member did not live to be waited for");
        for (uint32_t i = 0; pid > 0 && i < c->n; i++)
            if (c->pids[i] == pid)
                c->pids[i] = 0;
        pause_us(100);
    }
}

/* -------------------------------------------------------------------- threads */

struct crew_thread {
    struct member m;
    const struct world *w; /* of its process */
    member_fn *body;
    pthread_t id;
};

struct crew_threads {
    uint32_t n;
    struct crew_thread all[CREW_MAX];
};

static void *live_in_thread(void *arg)
{
    struct crew_thread *t = arg;

    world_thread_enter(t->w, &t->m.w, 1000 + t->m.number);
    t->body(&t->m);
    if (t->m.owner != 0)
        (void)m_end(&t->m, m_begin(&t->m, HISTORY_GONE, ""), KEDGE_OK);
    world_thread_leave(&t->m.w);
    return NULL;
}

struct crew_threads *crew_threads(struct member *m, uint32_t first, uint32_t n, member_fn *body)
{
    struct crew_threads *t = calloc(1, sizeof *t);

    expect(t != NULL && first + n <= CREW_MAX);
    for (t->n = 0; t->n < n; t->n++) {
        struct crew_thread *one = &t->all[t->n];

        *one = (struct crew_thread){ .w = &m->w, .body = body };
        one->m = (struct member){ .crew = m->crew, .number = first + t->n, .life = m->life };
        one->m.now_from = lease_now();
        expect_eq(pthread_create(&one->id, NULL, live_in_thread, one), 0);
    }
    return t;
}

void crew_join(struct crew_threads *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        expect_eq(pthread_join(t->all[i].id, NULL), 0);
    free(t);
}

/* ----------------------------------------------------------------------- time */

bool crew_moves_time(const struct crew *c)
{
    return !(c->w->ops->caps & KEDGE_CAP_SERVER_CLOCK) || clock_of_server(c->w->ops) != NULL;
}

void crew_advance(struct crew *c, int64_t us)
{
    clock_advance(us);
    atomic_fetch_add(&c->board->epoch, 1);
}

void crew_pass(struct crew *c, int64_t us)
{
    if (crew_moves_time(c))
        crew_advance(c, us);
    else
        pause_us(us);
}

int64_t crew_latency(struct world *w)
{
    int64_t worst = 0;

    for (int i = 0; i < 40; i++) {
        int64_t before = real_us();

        (void)cell_put(w, str("latency"), "x");
        before = real_us() - before;
        if (before > worst)
            worst = before;
    }
    return worst;
}

/* -------------------------------------------------------------------- judging */

struct history crew_history(struct crew *c)
{
    struct history h = { NULL, 0, 0 };

    for (uint32_t i = 0; i <= CREW_MAX; i++)
        for (uint64_t k = 0; k < atomic_load(&c->board->logs[i].n); k++)
            expect(history_add(&h, &c->board->logs[i].events[k]));
    history_sort(&h);
    return h;
}

void crew_expect_calls(const struct history *h, uint64_t least)
{
    if (h->n < least)
        inconclusive_case("only %zu calls were made, fewer than %" PRIu64 ", which say too little",
                          h->n, least);
}

/* A history that is not sound is kept where KEDGE_CONFORM_HISTORY, a directory, says. */
static void keep_history(const struct crew *c, const struct history *h)
{
    const char *dir = getenv("KEDGE_CONFORM_HISTORY");
    char path[1200];
    FILE *f;

    if (dir == NULL)
        return;
    (void)snprintf(path, sizeof path, "%s/%s.jsonl", dir, c->w->ns);
    f = fopen(path, "we");
    if (f == NULL || !history_write(h, f) || fclose(f) != 0)
        note("%s: %s", path, strerror(errno));
    else
        note("the history is in %s", path);
}

static void judge(struct crew *c, const struct history *h, uint32_t checker, uint32_t how)
{
    static struct verdict v;

    switch (checker) {
    case CREW_LINEAR:
        check_linear(h, CHECK_ALL, CHECK_BUDGET, &v);
        note("%" PRIu64 " operations are in an order, found in %" PRIu64 " steps", v.looked_at,
             v.nodes);
        break;
    case CREW_INTERVALS:
        check_intervals(h, c->ttl / 20, &v);
        break;
    case CREW_FENCES:
        check_fences(h, &v);
        break;
    default:
        check_conserved(h, (how & CREW_DRAINED) != 0, &v);
    }
    if (v.result == CHECK_PASS)
        return;
    keep_history(c, h);
    if (v.result == CHECK_INCONCLUSIVE)
        inconclusive_case("%s", v.why);
    note("%s", v.why);
    fail_case(__FILE__, __LINE__, "%.*s", (int)strcspn(v.why, "\n"), v.why);
}

void crew_judge(struct crew *c, uint32_t checkers)
{
    struct history h = crew_history(c);

    for (uint32_t one = CREW_LINEAR; one <= CREW_CONSERVED; one <<= 1)
        if (checkers & one)
            judge(c, &h, one, checkers);
    history_free(&h);
}
