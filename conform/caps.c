/*
 * caps.c - cases: what is declared is there, and what is not declared is not
 *
 * Each asks whatever the backend declares, so that it applies everywhere: it is the twin of the
 * cases that need the declaration.
 */
#include "cases.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Another handle: of namespace NS, by way of HOST. */
struct handle {
    struct world w;
};

static void handle_open(struct handle *h, const struct world *of, const struct kedge_host *host,
                        struct kedge_bytes ns, uint32_t flags)
{
    struct kedge_open open = { sizeof open, flags, of->url, ns, of->options, NULL };
    struct world *w = &h->w;

    *w = *of;
    w->host = host;
    w->rng = ~of->rng; /* no request id twice */
    w->keep = NULL;
    w->txs = NULL;
    expect_ok(w->ops->store_open(host, &open, &w->store, &w->err));
    expect_ok(w->ops->session_open(w->store, &w->session, &w->err));
}

static void handle_close(struct handle *h)
{
    world_forget(&h->w);
    h->w.ops->session_close(h->w.session);
    h->w.ops->store_close(h->w.store);
}

static void drop(struct world *w, struct kedge_bytes ns)
{
    struct kedge_open open = { sizeof open, 0, w->url, ns, w->options, NULL };

    expect_ok(w->ops->store_drop(w->host, &open, &w->err));
}

/* ---------------------------------------------------------------- crash hints */

static uint32_t hint_of(struct world *w, struct kedge_id128 lease)
{
    struct kedge_lease_page page;

    expect_ok(do_leases(w, none(), 10, &page));
    for (size_t i = 0; i < page.n; i++)
        if (same_id(&page.leases[i].id, &lease))
            return page.leases[i].hint;
    return 99;
}

/* Try to bury until it is permitted, or US have passed. */
static bool buried_within(struct world *w, struct kedge_id128 lease, int64_t us)
{
    int64_t until = real_us() + us;

    for (;;) {
        int rc = do_bury(w, lease);

        if (rc == KEDGE_OK)
            return true;
        expect_rc(rc, KEDGE_HELD);
        if (real_us() > until)
            return false;
        pause_us(MS(2));
    }
}

/* The holder is a handle that was closed. */
static void hints(struct world *w)
{
    const bool promised = (w->caps & KEDGE_CAP_HINT) != 0;
    const int64_t ttl = SEC(4);
    struct kedge_lease_new in = { .ttl_us = ttl, .owner = str("of the other handle") };
    struct kedge_id128 mine[2] = { lease_make(w, SEC(600)), lease_make(w, SEC(600)) };
    struct kedge_lease_state st;
    struct handle other;

    clock_follow();
    handle_open(&other, w, w->host, str(w->ns), 0);
    in.id = random_id(w);
    in.request = random_id(w);
    expect_ok(do_grant(&other.w, &in, &st));
    expect_eq(st.hint, promised ? KEDGE_HINT_PRESENT : KEDGE_HINT_NONE);
    expect_ok(do_extend(&other.w, in.id, &st));
    expect_eq(st.hint, promised ? KEDGE_HINT_PRESENT : KEDGE_HINT_NONE);
    expect_eq(hint_of(w, in.id), promised ? KEDGE_HINT_PRESENT : KEDGE_HINT_NONE);
    refuse(do_bury(w, in.id), KEDGE_HELD);
    handle_close(&other);
    if (promised) {
        expect(buried_within(w, in.id, SEC(10)));
    } else {
        expect_eq(hint_of(w, in.id), KEDGE_HINT_NONE);
        expect(!buried_within(w, in.id, MS(300))); /* nobody knows of its death */
        clock_advance(ttl);
        expect(buried_within(w, in.id, SEC(20))); /* but the deadline counts */
    }
    expect_eq(lease_state_of(w, in.id), KEDGE_LEASE_DEAD);
    for (size_t i = 0; i < ARRAY_LEN(mine); i++)
        refuse(do_bury(w, mine[i]), KEDGE_HELD);
}

/* ----------------------------------------------------------- several processes */

enum { CHILD_WROTE = 0, CHILD_REFUSED = 10, CHILD_ELSEWHERE = 11 };

/* In a process of its own: what comes of opening the namespace and writing to it. */
static int use_from_outside(struct world *w)
{
    struct kedge_open open = { sizeof open, 0, w->url, str(w->ns), w->options, NULL };
    struct world mine = *w;

    mine.rng = ~w->rng;
    mine.keep = NULL;
    mine.txs = NULL;
    mine.err.msg[0] = '\0';
    w = &mine;
    if (w->ops->store_open(w->host, &open, &w->store, &w->err) != KEDGE_OK)
        return w->err.msg[0] != '\0' ? CHILD_REFUSED : 1;
    expect_ok(w->ops->session_open(w->store, &w->session, &w->err));
    if (!is_there(w, str("a")))
        return CHILD_ELSEWHERE;
    cell_put(w, str("cell"), "from outside");
    world_forget(w);
    w->ops->session_close(w->session);
    w->ops->store_close(w->store);
    return CHILD_WROTE;
}

static void processes(struct world *w)
{
    const bool promised = (w->ops->caps & KEDGE_CAP_SHARED) != 0;
    int status;
    pid_t pid;

    run_due(w, str("a"), from_now(SEC(600)));
    (void)fflush(NULL);
    pid = fork();
    expect(pid >= 0);
    if (pid == 0) {
        status = use_from_outside(w);
        (void)fflush(stdout);
        _exit(status);
    }
    expect_eq(waitpid(pid, &status, 0), pid);
    expect(WIFEXITED(status));
    status = WEXITSTATUS(status);
    if (promised)
        expect_eq(status, CHILD_WROTE);
    else
        expect(status == CHILD_WROTE || status == CHILD_REFUSED || status == CHILD_ELSEWHERE);
    /* What is for one process never shows what another wrote. */
    expect_eq(cell_version(w, str("cell")) != 0, promised);
    cell_put(w, str("cell"), "from inside");
    expect(is_there(w, str("a")));
}

/* ---------------------------------------------------------------------- clocks */

static int64_t an_hour_ahead(void *ctx, uint32_t which)
{
    const struct kedge_host *host = ctx;

    return host->clock_us(host->ctx, which) + SEC(3600);
}

/* The host's clock is an hour ahead for one of two handles. */
static void clocks(struct world *w)
{
    const bool of_server = (w->ops->caps & KEDGE_CAP_SERVER_CLOCK) != 0;
    struct kedge_host host = *w->host;
    struct kedge_lease_new in = { .ttl_us = SEC(60), .owner = str("owner") };
    struct kedge_lease_state st;
    struct kedge_time here, there;
    struct handle ahead;

    host.clock_us = an_hour_ahead;
    host.ctx = (void *)(uintptr_t)w->host; /* which the other services do not look at */
    handle_open(&ahead, w, &host, str("an hour ahead"), KEDGE_OPEN_CREATE);
    expect_ok(do_now(w, &here));
    expect_ok(do_now(&ahead.w, &there));
    in.id = random_id(w);
    in.request = random_id(w);
    expect_ok(do_grant(&ahead.w, &in, &st));
    if (of_server) {
        expect(there.wall - here.wall < SEC(1800));
        expect(there.lease - here.lease < SEC(1800));
        expect(st.deadline - here.lease < SEC(1800));
    } else {
        expect_eq(there.wall, wall_now() + SEC(3600));
        expect_eq(there.lease, lease_now() + SEC(3600));
        expect_eq(here.wall, wall_now());
        expect_eq(st.deadline, lease_now() + SEC(3660));
    }
    run_due(&ahead.w, str("a"), from_now(0));
    there.wall = head(&ahead.w, str("a")).created;
    expect(of_server == (there.wall - here.wall < SEC(1800)));
    handle_close(&ahead);
    drop(w, str("an hour ahead"));
}

/* --------------------------------------------------------------------- sessions */

static void sessions(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct world other = *w;
    int rc;

    other.rng = ~w->rng;
    other.keep = NULL;
    other.txs = NULL;
    other.session = NULL;
    w->err.msg[0] = '\0';
    rc = w->ops->session_open(w->store, &other.session, &w->err);
    if (w->ops->threads == KEDGE_THREADS_SESSION) {
        expect_rc(rc, KEDGE_OK);
        step(&other, &r, "by the other session");
        expect_eq(head(w, r.id).position, 1);
        w->ops->session_close(other.session);
    } else {
        expect(rc < 0 && w->err.msg[0] != '\0' && other.session == NULL);
        step(w, &r, "by the only session");
        w->ops->session_close(w->session);
        expect_ok(w->ops->session_open(w->store, &w->session, &w->err));
    }
    world_forget(&other);
    step(w, &r, "by the first session");
    expect_eq(head(w, r.id).position, 2);
}

/* ---------------------------------------------------------- optional operations */

static void verify(struct world *w)
{
    struct run r = run_held(w, str("a"), lease_make(w, TTL));
    struct kedge_verified v;
    char *before;
    int rc;

    run_due(w, str("b"), from_now(0));
    step(w, &r, "one");
    step(w, &r, "two");
    before = dump(w);
    rc = do_verify(w, &v);
    check_unchanged(__FILE__, __LINE__, "verify", w, before);
    if (rc == KEDGE_ERR_UNSUPPORTED) {
        expect_rc(rc, KEDGE_ERR_UNSUPPORTED);
        return;
    }
    expect_rc(rc, KEDGE_OK);
    expect_eq(v.runs, 2);
    expect_eq(v.records, 2);
    expect_eq(v.faults, 0);
    expect(v.first != NULL && v.first[0] == '\0');
}

static void waiting(struct world *w)
{
    uint64_t seen = 0, ticket;
    char *before;
    int rc;

    run_due(w, str("a"), from_now(SEC(600)));
    before = dump(w);
    rc = do_wait(w, 0, &seen, 0);
    if (rc == KEDGE_ERR_UNSUPPORTED) {
        expect_rc(rc, KEDGE_ERR_UNSUPPORTED);
        expect_rc(do_notify(w), KEDGE_ERR_UNSUPPORTED); /* one is of no use without the other */
        expect_rc(do_wait(w, 0, &ticket, SEC(5)), KEDGE_ERR_UNSUPPORTED);
    } else {
        if (rc == KEDGE_QUIET)
            seen = 0;
        else
            expect_rc(rc, KEDGE_OK);
        expect_ok(do_notify(w));
        expect_rc(do_wait(w, seen, &ticket, SEC(20)), KEDGE_OK);
        expect(ticket != seen);
    }
    check_unchanged(__FILE__, __LINE__, "wait and notify", w, before);
}

static int print(struct world *w, struct kedge_bytes ns, uint32_t flags, struct kedge_script *out)
{
    struct kedge_open open = { sizeof open, flags, w->url, ns, w->options, NULL };

    w->err.msg[0] = '\0';
    *out = (struct kedge_script){ .from = 77, .to = 77 };
    return w->ops->schema_script(w->host, &open, out, &w->err);
}

static int open_missing(struct world *w, struct kedge_bytes ns)
{
    struct kedge_open open = { sizeof open, 0, w->url, ns, w->options, NULL };
    void *store;

    w->err.msg[0] = '\0';
    return w->ops->store_open(w->host, &open, &store, &w->err);
}

static void script(struct world *w)
{
    const struct kedge_bytes other = str("not set up");
    struct kedge_script s;
    struct kedge_info info;
    char *before;
    int rc;

    run_due(w, str("a"), from_now(SEC(600)));
    expect_ok(do_info(w, &info));
    before = dump(w);
    rc = print(w, other, KEDGE_OPEN_CREATE, &s);
    if (rc == KEDGE_ERR_UNSUPPORTED) {
        expect_rc(rc, KEDGE_ERR_UNSUPPORTED);
        expect(s.from == 77 && s.to == 77 && s.text == NULL && s.mem == NULL);
        expect_rc(print(w, str(w->ns), KEDGE_OPEN_MIGRATE, &s), KEDGE_ERR_UNSUPPORTED);
    } else {
        expect_rc(rc, KEDGE_OK);
        expect_eq(s.from, 0);
        expect_eq(s.to, info.schema);
        expect(s.text != NULL && s.text[0] != '\0' && s.text[strlen(s.text) - 1] == '\n');
        kedge_mem_free(w->host, s.mem);
        /* up to date: nothing to do */
        expect_ok(print(w, str(w->ns), KEDGE_OPEN_MIGRATE, &s));
        expect_eq(s.from, info.schema);
        expect_eq(s.to, info.schema);
        expect(s.text != NULL && s.text[0] == '\0');
        kedge_mem_free(w->host, s.mem);
        expect_rc(print(w, other, KEDGE_OPEN_MIGRATE, &s), KEDGE_ERR_SCHEMA_MISSING);
        expect(s.from == 77 && s.to == 77 && s.text == NULL && s.mem == NULL);
    }
    expect_rc(open_missing(w, other), KEDGE_ERR_SCHEMA_MISSING); /* it was only printed */
    check_unchanged(__FILE__, __LINE__, "schema_script", w, before);
}

const struct contract_case cases_caps[] = {
    { "caps-01", "without crash hints only the deadline permits a burial, with them a death does",
      0, hints },
    { "caps-02", "another process works in the store, or is refused and does no harm", 0,
      processes },
    { "caps-03", "time is the host's or a server's, as declared", 0, clocks },
    { "caps-04", "a second session works, or is refused and does no harm", 0, sessions },
    { "caps-05", "verify counts all and changes nothing, or is unsupported", 0, verify },
    { "caps-06", "wait and notify are both there, or both unsupported", 0, waiting },
    { "caps-07", "schema_script prints and carries out nothing, or is unsupported", 0, script },
    { NULL, NULL, 0, NULL },
};
