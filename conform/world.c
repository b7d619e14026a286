/* world.c - a case's process: namespace, time, randomness, checks, and the operations */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "clockfile.h"

/* ----------------------------------------------------------- saying what failed */

static _Thread_local char doing[256];

void context(const char *fmt, ...)
{
    va_list ap;

    doing[0] = '\0';
    if (fmt == NULL)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(doing, sizeof doing, fmt, ap);
    va_end(ap);
}

_Noreturn void fail_case(const char *file, int line, const char *fmt, ...)
{
    const char *base = strrchr(file, '/');
    va_list ap;

    flockfile(stdout);
    printf("%s:%d: ", base != NULL ? base + 1 : file, line);
    if (doing[0] != '\0')
        printf("[%s] ", doing);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    (void)fflush(stdout);
    _exit(CASE_EXIT_FAIL);
}

/* One line for the report. */
WORLD_PRINTF(1, 0) static void last_word(const char *fmt, va_list ap)
{
    flockfile(stdout);
    vprintf(fmt, ap);
    putchar('\n');
    (void)fflush(stdout);
}

#define LAST_WORD(fmt)                                                                             \
    do {                                                                                           \
        va_list ap_;                                                                               \
                                                                                                   \
        va_start(ap_, fmt);                                                                        \
        last_word(fmt, ap_);                                                                       \
        va_end(ap_);                                                                               \
    } while (0)

_Noreturn void skip_case(const char *fmt, ...)
{
    LAST_WORD(fmt);
    _exit(CASE_EXIT_SKIP);
}

_Noreturn void not_applicable(const char *fmt, ...)
{
    LAST_WORD(fmt);
    _exit(CASE_EXIT_NA);
}

_Noreturn void inconclusive_case(const char *fmt, ...)
{
    LAST_WORD(fmt);
    _exit(CASE_EXIT_INCONCLUSIVE);
}

void note(const char *fmt, ...)
{
    va_list ap;

    flockfile(stdout);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    funlockfile(stdout);
}

const char *status_name(int status)
{
    static const struct {
        int value;
        const char *name;
    } names[] = {
#define STATUS_ROW(name, value, text) { (value), #name },
        KEDGE_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].value == status)
            return names[i].name;
    return "a status that is none";
}

void check_rc(const char *file, int line, const char *what, const struct world *w, int got,
              int want)
{
    if (got == want) {
        if (got < 0 && w->err.msg[0] == '\0')
            fail_case(file, line, "%s: %s came without a message", what, status_name(got));
        return;
    }
    fail_case(file, line, "%s: expected %s, got %s%s%s", what, status_name(want), status_name(got),
              got < 0 ? ": " : "", got < 0 ? w->err.msg : "");
}

void check_eq(const char *file, int line, const char *what, int64_t got, int64_t want)
{
    if (got != want)
        fail_case(file, line, "%s: expected %" PRId64 ", got %" PRId64, what, want, got);
}

static int excerpt(char *out, size_t size, struct kedge_bytes b)
{
    const unsigned char *p = b.data;
    size_t used = 0;

    for (size_t i = 0; i < b.len && used + 8 < size; i++)
        used += (size_t)snprintf(out + used, size - used,
                                 p[i] >= ' ' && p[i] < 127 ? "%c" : "\\%02x", p[i]);
    out[used] = '\0';
    return (int)used;
}

void check_bytes(const char *file, int line, const char *what, struct kedge_bytes got,
                 struct kedge_bytes want)
{
    char g[80], e[80];
    size_t i = 0;

    if (same_bytes(got, want))
        return;
    while (i < got.len && i < want.len &&
           ((const char *)got.data)[i] == ((const char *)want.data)[i])
        i++;
    excerpt(g, sizeof g, got);
    excerpt(e, sizeof e, want);
    fail_case(file, line, "%s: expected %zu bytes \"%s\", got %zu \"%s\"; they differ at byte %zu",
              what, want.len, e, got.len, g, i);
}

/* --------------------------------------------------------------------- time */

/* Shared with the processes a case forks. */
struct clocks {
    struct clock_file wall;
    _Atomic int64_t lease;
};

static struct clocks *clocks;
/* What the store under test has for a lease clock: one of its own, or, a server, no other. */
static _Atomic int64_t *lease_clock;
/* A server's store: it learns of the time by asking. */
static struct world *asks;
static pid_t asks_in; /* that process */
static _Thread_local bool may_ask;

#define BEGINNING   (INT64_C(1800000000) * SEC(1))
#define BETWEEN     SEC(3600)
#define LEASE_FIRST SEC(50000)

/* The clock of the server, which all cases share, in their turn: each begins later than the last.
 */
static void clocks_of_server(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int64_t begun;

    if (fd < 0)
        fail_case(__FILE__, __LINE__, "%s: %s", path, strerror(errno));
    expect(ftruncate(fd, sizeof *clocks) == 0);
    clocks = mmap(NULL, sizeof *clocks, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    expect(clocks != MAP_FAILED);
    (void)close(fd);
    begun = atomic_load(&clocks->wall.begun);
    begun = begun == 0 ? BEGINNING : begun + BETWEEN;
    atomic_store(&clocks->wall.begun, begun);
    atomic_store(&clocks->wall.since, 0);
    atomic_store(&clocks->wall.at, begun);
    lease_clock = &clocks->wall.at;
}

static void clocks_of_case(void)
{
    clocks = mmap(NULL, sizeof *clocks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    expect(clocks != MAP_FAILED);
    atomic_store(&clocks->wall.at, BEGINNING);
    atomic_store(&clocks->lease, LEASE_FIRST);
    lease_clock = &clocks->lease;
}

const char *clock_of_server(const struct kedge_backend_ops *ops)
{
    return (ops->caps & KEDGE_CAP_SERVER_CLOCK) ? getenv("KEDGE_TEST_CLOCK") : NULL;
}

/* A session that has an idea of the server's time gets a new one. */
static void tell_session(void)
{
    struct kedge_time now;
    struct kedge_error ignored;

    if (asks != NULL && may_ask && asks_in == getpid() && asks->session != NULL)
        (void)asks->ops->now(asks->session, &now, PATIENCE, &ignored);
}

int64_t real_us(void)
{
    struct timespec ts;

    if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
        abort();
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void pause_us(int64_t us)
{
    struct timespec ts = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        ;
}

static int64_t ran_by_itself(void)
{
    int64_t since = atomic_load(&clocks->wall.since);

    return since == 0 ? 0 : real_us() - since;
}

int64_t wall_now(void)
{
    return atomic_load(&clocks->wall.at) + ran_by_itself();
}

int64_t lease_now(void)
{
    return atomic_load(lease_clock) + ran_by_itself();
}

bool clock_stands(const struct world *w)
{
    return (clock_of_server(w->ops) != NULL || !(w->ops->caps & KEDGE_CAP_SERVER_CLOCK)) &&
           atomic_load(&clocks->wall.at) != 0 && atomic_load(&clocks->wall.since) == 0;
}

void clock_step_wall(int64_t us)
{
    atomic_fetch_add(&clocks->wall.at, us);
    tell_session();
}

void clock_step_lease(int64_t us)
{
    atomic_fetch_add(lease_clock, us);
    tell_session();
}

void clock_set_wall(int64_t us)
{
    atomic_store(&clocks->wall.at, us);
    tell_session();
}

void clock_advance(int64_t us)
{
    if (lease_clock != &clocks->wall.at)
        atomic_fetch_add(lease_clock, us);
    clock_step_wall(us);
}

void clock_follow(void)
{
    atomic_store(&clocks->wall.since, real_us());
    tell_session();
}

void clock_real(void)
{
    if (lease_clock != &clocks->wall.at) {
        clock_follow();
        return;
    }
    atomic_store(&clocks->wall.since, 0);
    atomic_store(&clocks->wall.at, 0);
    tell_session();
}

static int64_t host_clock(void *ctx, uint32_t which)
{
    (void)ctx;
    return which == KEDGE_CLOCK_WALL ? wall_now() : lease_now();
}

static void host_log(void *ctx, int level, const char *text)
{
    (void)ctx;
    note("log %d: %s", level, text);
}

/* Allocations until one fails; 0: none will. */
static _Atomic uint64_t alloc_left;
static atomic_bool alloc_failed;

bool alloc_fail_at(uint64_t n)
{
    atomic_store(&alloc_left, n);
    return atomic_exchange(&alloc_failed, false);
}

static _Atomic int64_t alloc_out;

int64_t world_memory(void)
{
    return atomic_load(&alloc_out);
}

static void *host_alloc(void *ctx, size_t size)
{
    uint64_t left = atomic_load(&alloc_left);
    void *ptr;

    (void)ctx;
    while (left != 0)
        if (atomic_compare_exchange_weak(&alloc_left, &left, left - 1)) {
            if (left > 1)
                break;
            atomic_store(&alloc_failed, true);
            return NULL;
        }
    ptr = malloc(size);
    if (ptr != NULL)
        (void)atomic_fetch_add(&alloc_out, 1);
    return ptr;
}

static void host_release(void *ctx, void *ptr)
{
    (void)ctx;
    if (ptr != NULL)
        (void)atomic_fetch_sub(&alloc_out, 1);
    free(ptr);
}

static const struct kedge_host the_host = {
    .struct_size = sizeof the_host,
    .abi = KEDGE_BACKEND_ABI,
    .ctx = NULL,
    .clock_us = host_clock,
    .log = host_log,
    .alloc = host_alloc,
    .release = host_release,
};

/* --------------------------------------------------------------- randomness */

uint64_t random_u64(struct world *w)
{
    /* splitmix64 */
    uint64_t z = w->rng += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Not a multiple of the step of the sequence, or it would be the same one, begun elsewhere. */
void world_salt(struct world *w, uint64_t salt)
{
    w->rng = w->seed ^ (salt * UINT64_C(0xd1342543de82ef95));
}

uint32_t random_below(struct world *w, uint32_t n)
{
    return (uint32_t)(random_u64(w) % n);
}

struct kedge_id128 random_id(struct world *w)
{
    struct kedge_id128 id;
    uint64_t half[2] = { random_u64(w), random_u64(w) | 1 };

    memcpy(id.b, half, sizeof id.b);
    return id;
}

/* -------------------------------------------------------------------- bytes */

bool same_bytes(struct kedge_bytes a, struct kedge_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool same_id(const struct kedge_id128 *a, const struct kedge_id128 *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool is_zero_id(const struct kedge_id128 *a)
{
    static const struct kedge_id128 zero = { { 0 } };

    return same_id(a, &zero);
}

static void *keep_alloc(struct world *w, size_t size)
{
    uint64_t left = atomic_exchange(&alloc_left, 0); /* failures are not for the test itself */
    void *p = kedge_mem_alloc(w->host, &w->keep, size);

    if (p == NULL)
        fail_case(__FILE__, __LINE__, "the test is out of memory");
    atomic_store(&alloc_left, left);
    return p;
}

void *zeroed(struct world *w, size_t n, size_t size)
{
    return memset(keep_alloc(w, n * size), 0, n * size);
}

struct kedge_bytes name(struct world *w, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    int n;
    char *copy;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    expect(n >= 0 && (size_t)n < sizeof text);
    copy = keep_alloc(w, (size_t)n + 1);
    memcpy(copy, text, (size_t)n + 1);
    return bytes(copy, (size_t)n);
}

struct kedge_bytes blob(struct world *w, size_t size, uint64_t salt)
{
    unsigned char *p = keep_alloc(w, size + 8);
    struct world fill = { .rng = salt };

    for (size_t i = 0; i < size; i += 8) {
        uint64_t r = random_u64(&fill);

        memcpy(p + i, &r, 8);
    }
    return bytes(p, size);
}

/* --------------------------------------------------------------- the case's life */

bool world_keeps;
const char *world_options;

static void open_store(struct world *w, uint32_t flags)
{
    struct kedge_info info;

    w->open = (struct kedge_open){ sizeof w->open, flags, w->url, str(w->ns), w->options, NULL };
    expect_ok(w->ops->store_open(w->host, &w->open, &w->store, &w->err));
    expect_ok(w->ops->session_open(w->store, &w->session, &w->err));
    expect_ok(do_info(w, &info));
    w->limits = info.limits;
    w->durability = info.durability;
    w->caps = info.caps;
}

bool world_thorough;

bool world_url(char *out, size_t room, const char *url, const char *tag)
{
    const char *hole = strstr(url, "{}");
    int n;

    if (hole != NULL)
        n = snprintf(out, room, "%.*s%s%s", (int)(hole - url), url, tag, hole + 2);
    else
        n = snprintf(out, room, "%s", url);
    return n > 0 && (size_t)n < room;
}

/* A server may take a moment to see that those who were killed have gone. */
static int drop_store(const struct kedge_backend_ops *ops, const struct kedge_host *host,
                      const struct kedge_open *open, struct kedge_error *err)
{
    int64_t until = real_us() + SEC(10);
    int rc;

    while ((rc = ops->store_drop(host, open, err)) == KEDGE_HELD && real_us() < until)
        pause_us(MS(5));
    return rc;
}

bool world_drop(const struct kedge_backend_ops *ops, const char *url, const char *tag)
{
    char place[1024];
    struct kedge_open open = { sizeof open, 0, place, str(tag), world_options, NULL };
    struct kedge_error err;

    clocks_of_case();
    return world_url(place, sizeof place, url, tag) && drop_store(ops, &the_host, &open, &err) >= 0;
}

void world_open(struct world *w, const char *backend, const struct kedge_backend_ops *ops,
                const char *url, const char *tag, uint64_t seed)
{
    int n;

    *w = (struct world){ .ops = ops,
                         .backend = backend,
                         .host = &the_host,
                         .place = url,
                         .options = world_options,
                         .seed = seed,
                         .rng = seed };
    if (clock_of_server(ops) != NULL)
        clocks_of_server(clock_of_server(ops));
    else
        clocks_of_case();
    expect(world_url(w->url, sizeof w->url, url, tag));
    n = snprintf(w->ns, sizeof w->ns, "%s", tag);
    expect(n > 0 && (size_t)n < sizeof w->ns);
    w->registry = registry_new();
    expect(w->registry != NULL);
    open_store(w, KEDGE_OPEN_CREATE);
    asks = clock_of_server(ops) != NULL ? w : NULL;
    asks_in = getpid();
    may_ask = true;
}

void world_forget(struct world *w)
{
    kedge_mem_free(w->host, w->keep);
    w->keep = NULL;
    while (w->txs != NULL) {
        struct tx *next = w->txs->next;

        free(w->txs);
        w->txs = next;
    }
}

int world_store_drop(struct world *w)
{
    struct kedge_open open = { sizeof open, 0, w->url, str(w->ns), w->options, NULL };

    return drop_store(w->ops, w->host, &open, &w->err);
}

void world_close(struct world *w)
{
    context(NULL);
    world_check(w);
    world_forget(w);
    free(w->registry);
    world_leave(w);
    if (!world_keeps)
        check_rc(__FILE__, __LINE__, "store_drop", w, world_store_drop(w), KEDGE_OK);
}

void world_leave(struct world *w)
{
    w->ops->session_close(w->session);
    w->ops->store_close(w->store);
    w->session = w->store = NULL;
}

void world_return(struct world *w)
{
    open_store(w, 0);
}

void world_reopen(struct world *w)
{
    world_leave(w);
    world_return(w);
}

void world_open_own(struct world *w)
{
    struct kedge_open open = { sizeof open, 0, w->url, str(w->ns), w->options, NULL };

    expect_ok(w->ops->store_open(w->host, &open, &w->store, &w->err));
    expect_ok(w->ops->session_open(w->store, &w->session, &w->err));
}

void world_close_own(struct world *w)
{
    world_forget(w);
    world_leave(w);
}

void world_process_enter(const struct world *w, struct world *mine, uint64_t salt)
{
    *mine = *w;
    mine->keep = NULL;
    mine->txs = NULL;
    world_salt(mine, salt + 1);
    world_open_own(mine);
}

void world_place(const struct world *w, const char *tag, struct kedge_open *open, char room[1024])
{
    expect(world_url(room, 1024, w->place, tag));
    *open = (struct kedge_open){ sizeof *open, 0, room, str(tag), w->options, NULL };
}

void world_thread_enter(const struct world *w, struct world *mine, uint64_t salt)
{
    /* Only what never changes: the other thread goes on with its world. */
    *mine = (struct world){
        .ops = w->ops,
        .backend = w->backend,
        .host = w->host,
        .store = w->store,
        .limits = w->limits,
        .durability = w->durability,
        .seed = w->seed,
    };
    world_salt(mine, salt);
    check_rc(__FILE__, __LINE__, "session_open in a thread", mine,
             mine->ops->session_open(mine->store, &mine->session, &mine->err), KEDGE_OK);
}

void world_thread_leave(struct world *mine)
{
    world_forget(mine);
    mine->ops->session_close(mine->session);
}

const char *unsound(const struct kedge_run *r)
{
    bool held = !is_zero_id(&r->holder);
    bool resting = (KEDGE_STATUS_BIT(r->status & 31) & KEDGE_STATUSES_RESTING) != 0;

    if (r->status < KEDGE_PENDING || r->status > KEDGE_ABORTED)
        return "its status is none";
    if (resting != (r->place == KEDGE_PLACE_REST))
        return "status and place disagree about being at rest";
    if (held != (r->place == KEDGE_PLACE_HELD))
        return "holder and place disagree";
    if (resting != (r->finished != 0))
        return "`finished' and place disagree";
    if (r->wake_mark != 0 && !held)
        return "a wake mark without a holder";
    if (r->hold_until != 0 && !held)
        return "hold_until without a holder";
    if (r->expires != 0 && !resting)
        return "it expires but is not at rest";
    if (r->requests & ~KEDGE_REQUESTS_ALL)
        return "unknown request flags";
    switch (r->place) {
    case KEDGE_PLACE_DUE:
        return r->due == 0 ? "due without a time" : r->wakes_on != 0 ? "due with wakes_on" : NULL;
    case KEDGE_PLACE_HELD:
        return r->due != 0 ? "held and due" : r->fence == 0 ? "held without a fence" : NULL;
    case KEDGE_PLACE_PARKED:
        return r->status != KEDGE_PAUSED ? "parked but not paused"
               : r->wakes_on == 0        ? "parked, woken by nothing"
                                         : NULL;
    case KEDGE_PLACE_REST:
        return r->due != 0 ? "at rest and due" : NULL;
    default:
        return "its place is none";
    }
}

void world_check(struct world *w)
{
    struct kedge_list all = { .limit = 50 };
    struct kedge_verified v;
    struct kedge_run_page page;
    int rc;

    do {
        expect_ok(do_list(w, &all, &page));
        for (size_t i = 0; i < page.n; i++) {
            const char *wrong = unsound(&page.runs[i]);
            char id[80];

            excerpt(id, sizeof id, page.runs[i].id);
            if (wrong != NULL)
                fail_case(__FILE__, __LINE__, "run %s: %s", id, wrong);
        }
        all.cursor = page.next;
    } while (page.next.len != 0);
    rc = do_verify(w, &v);
    if (rc == KEDGE_ERR_UNSUPPORTED)
        return;
    expect_rc(rc, KEDGE_OK);
    if (v.faults != 0)
        fail_case(__FILE__, __LINE__, "verify finds %" PRIu64 " faults; the first: %s", v.faults,
                  v.first);
}

/* ----------------------------------------------- the operations, one call each */

/* Pages and states are zeroed, since their `mem' may be chained on; the rest is poisoned. */
#define POISON 0xa5

static void untouched(struct world *w, const char *what, int rc, const void *out, size_t size,
                      int pattern)
{
    const unsigned char *p = out;

    if (rc != KEDGE_OK)
        for (size_t i = 0; i < size; i++)
            if (p[i] != pattern)
                fail_case(__FILE__, __LINE__, "%s answered %s and wrote its output", what,
                          status_name(rc));
    if (rc < 0 && rc != w->err.code)
        fail_case(__FILE__, __LINE__, "%s answered %s but said %s in err", what, status_name(rc),
                  status_name(w->err.code));
}

static void silence(struct world *w)
{
    w->err.code = 0;
    w->err.msg[0] = '\0';
}

static void keep(struct world *w, struct kedge_mem *mem)
{
    struct kedge_mem *last = mem;

    if (mem == NULL)
        return;
    while (last->next != NULL)
        last = last->next;
    last->next = w->keep;
    w->keep = mem;
}

void digest(uint64_t *sum, uint64_t number)
{
    for (int i = 0; i < 64; i += 8)
        *sum = (*sum ^ (number >> i & 0xff)) * UINT64_C(1099511628211);
}

/* Of what changes something, and of single things: how many pages a list has, and how often there
   is something to purge, is the backend's own affair. */
static int answered(struct world *w, int rc)
{
    digest(&w->answers, (uint64_t)rc);
    return rc;
}

#define CALL(what, call, end, fill, kept)                                                          \
    do {                                                                                           \
        int rc_;                                                                                   \
                                                                                                   \
        silence(w);                                                                                \
        memset(out, (fill), sizeof *out);                                                          \
        rc_ = (call);                                                                              \
        untouched(w, (what), rc_, out, sizeof *out, (fill));                                       \
        kept;                                                                                      \
        return end;                                                                                \
    } while (0)
#define CALL_PAGE(what, call)    CALL(what, call, rc_, 0, keep(w, out->mem))
#define CALL_PLAIN(what, call)   CALL(what, call, rc_, POISON, (void)0)
#define ANSWER_PAGE(what, call)  CALL(what, call, answered(w, rc_), 0, keep(w, out->mem))
#define ANSWER_PLAIN(what, call) CALL(what, call, answered(w, rc_), POISON, (void)0)

int do_info(struct world *w, struct kedge_info *out)
{
    CALL_PAGE("info", w->ops->info(w->session, out, PATIENCE, &w->err));
}

int do_now(struct world *w, struct kedge_time *out)
{
    CALL_PLAIN("now", w->ops->now(w->session, out, PATIENCE, &w->err));
}

int do_grant(struct world *w, const struct kedge_lease_new *in, struct kedge_lease_state *out)
{
    ANSWER_PLAIN("lease_grant", w->ops->lease_grant(w->session, in, out, PATIENCE, &w->err));
}

int do_extend(struct world *w, struct kedge_id128 lease, struct kedge_lease_state *out)
{
    ANSWER_PLAIN("lease_extend", w->ops->lease_extend(w->session, &lease, out, PATIENCE, &w->err));
}

int do_revoke(struct world *w, struct kedge_id128 lease)
{
    silence(w);
    return answered(w, w->ops->lease_revoke(w->session, &lease, PATIENCE, &w->err));
}

int do_bury(struct world *w, struct kedge_id128 lease)
{
    silence(w);
    return answered(w, w->ops->lease_bury(w->session, &lease, PATIENCE, &w->err));
}

int do_leases(struct world *w, struct kedge_bytes cursor, size_t limit,
              struct kedge_lease_page *out)
{
    CALL_PAGE("lease_list", w->ops->lease_list(w->session, cursor, limit, out, PATIENCE, &w->err));
}

int do_held(struct world *w, struct kedge_id128 lease, struct kedge_bytes cursor, size_t limit,
            struct kedge_held_page *out)
{
    CALL_PAGE("list_held",
              w->ops->list_held(w->session, &lease, cursor, limit, out, PATIENCE, &w->err));
}

int do_lock_acquire(struct world *w, struct kedge_bytes lock, struct kedge_id128 lease,
                    struct kedge_id128 request, struct kedge_lock_state *out)
{
    int rc;

    silence(w);
    dump_lock(w, lock);
    memset(out, POISON, sizeof *out);
    rc = w->ops->lock_acquire(w->session, lock, &lease, &request, out, PATIENCE, &w->err);
    if (rc != KEDGE_HELD) /* the one output that is written on a refusal */
        untouched(w, "lock_acquire", rc, out, sizeof *out, POISON);
    return answered(w, rc);
}

int do_lock_extend(struct world *w, struct kedge_bytes lock, struct kedge_id128 lease,
                   uint64_t fence, struct kedge_lock_state *out)
{
    ANSWER_PLAIN("lock_extend",
                 w->ops->lock_extend(w->session, lock, &lease, fence, out, PATIENCE, &w->err));
}

int do_lock_release(struct world *w, struct kedge_bytes lock, struct kedge_id128 lease,
                    uint64_t fence)
{
    silence(w);
    return answered(w, w->ops->lock_release(w->session, lock, &lease, fence, PATIENCE, &w->err));
}

int do_lock_query(struct world *w, struct kedge_bytes lock, struct kedge_lock_state *out)
{
    ANSWER_PLAIN("lock_query", w->ops->lock_query(w->session, lock, out, PATIENCE, &w->err));
}

int do_claim(struct world *w, const struct kedge_claim *in, struct kedge_run_page *out)
{
    ANSWER_PAGE("claim", w->ops->claim(w->session, in, out, PATIENCE, &w->err));
}

int do_retrieve(struct world *w, struct kedge_bytes id, uint64_t incarnation, uint32_t want,
                struct kedge_run_state *out)
{
    struct kedge_retrieve in = { .id = id, .incarnation = incarnation, .want = want };

    ANSWER_PAGE("retrieve", w->ops->retrieve(w->session, &in, out, PATIENCE, &w->err));
}

int do_records(struct world *w, struct kedge_bytes id, uint64_t incarnation, uint64_t first,
               size_t limit, size_t bytes_max, struct kedge_record_page *out)
{
    CALL_PAGE("retrieve_records",
              w->ops->retrieve_records(w->session, id, incarnation, first, limit, bytes_max, out,
                                       PATIENCE, &w->err));
}

int do_slots(struct world *w, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
             uint32_t first, size_t limit, struct kedge_slot_page *out)
{
    CALL_PAGE("retrieve_slots", w->ops->retrieve_slots(w->session, id, incarnation, set, first,
                                                       limit, out, PATIENCE, &w->err));
}

int do_expired(struct world *w, struct kedge_bytes cursor, size_t limit, struct kedge_run_page *out)
{
    CALL_PAGE("list_expired",
              w->ops->list_expired(w->session, cursor, limit, out, PATIENCE, &w->err));
}

int do_list(struct world *w, const struct kedge_list *in, struct kedge_run_page *out)
{
    CALL_PAGE("list", w->ops->list(w->session, in, out, PATIENCE, &w->err));
}

int do_cell(struct world *w, struct kedge_bytes cell, struct kedge_cell *out)
{
    ANSWER_PAGE("cell_get", w->ops->cell_get(w->session, cell, out, PATIENCE, &w->err));
}

int do_purge(struct world *w, size_t limit, struct kedge_purged *out)
{
    CALL_PLAIN("purge", w->ops->purge(w->session, limit, out, PATIENCE, &w->err));
}

int do_verify(struct world *w, struct kedge_verified *out)
{
    /* It looks at everything, and a case may have made much. */
    CALL_PAGE("verify", w->ops->verify(w->session, out, 6 * PATIENCE, &w->err));
}

int do_wait(struct world *w, uint64_t seen, uint64_t *ticket, int64_t timeout_us)
{
    uint64_t *out = ticket;

    CALL_PLAIN("wait", w->ops->wait(w->session, seen, out, timeout_us, &w->err));
}

int do_notify(struct world *w)
{
    silence(w);
    return w->ops->notify(w->session, &w->err);
}
