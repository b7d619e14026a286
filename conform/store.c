/* store.c - cases: opening, namespaces, dropping, what is in force, fork */
#include "cases.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The name of another namespace: nobody else's, as it begins with the case's own. */
static struct kedge_bytes beside(struct world *w, struct kedge_bytes end)
{
    size_t len = strlen(w->ns);
    char *name = zeroed(w, 1, len + end.len);

    memcpy(name, w->ns, len);
    memcpy(name + len, end.data, end.len);
    return bytes(name, len + end.len);
}

/* Another namespace of the same store. */
static void *open_other(struct world *w, struct kedge_bytes ns, uint32_t flags, void **session)
{
    struct kedge_open open = { sizeof open, flags, w->url, ns, w->options, NULL };
    void *store;

    expect_ok(w->ops->store_open(w->host, &open, &store, &w->err));
    expect_ok(w->ops->session_open(store, session, &w->err));
    return store;
}

static void close_other(struct world *w, void *store, void *session)
{
    w->ops->session_close(session);
    w->ops->store_close(store);
}

static int drop(struct world *w, struct kedge_bytes ns)
{
    struct kedge_open open = { sizeof open, 0, w->url, ns, w->options, NULL };

    w->err.msg[0] = '\0';
    return w->ops->store_drop(w->host, &open, &w->err);
}

static int try_open(struct world *w, struct kedge_bytes ns, uint32_t flags)
{
    struct kedge_open open = { sizeof open, flags, w->url, ns, w->options, NULL };
    void *store = NULL;
    int rc;

    w->err.msg[0] = '\0';
    rc = w->ops->store_open(w->host, &open, &store, &w->err);
    if (rc == KEDGE_OK)
        w->ops->store_close(store);
    else
        expect(store == NULL);
    return rc;
}

static void missing(struct world *w)
{
    struct kedge_bytes ns = beside(w, str(" another"));

    expect_rc(try_open(w, ns, 0), KEDGE_ERR_SCHEMA_MISSING);
    expect_rc(try_open(w, ns, 0), KEDGE_ERR_SCHEMA_MISSING);
    expect_rc(drop(w, ns), KEDGE_NOT_FOUND);
    expect_rc(try_open(w, ns, KEDGE_OPEN_CREATE), KEDGE_OK);
    expect_rc(try_open(w, ns, 0), KEDGE_OK);
    expect_rc(drop(w, ns), KEDGE_OK);
    expect_rc(try_open(w, ns, 0), KEDGE_ERR_SCHEMA_MISSING);
}

static void bad_namespace(struct world *w)
{
    struct kedge_bytes ns = beside(w, str("x"));

    expect_rc(try_open(w, none(), KEDGE_OPEN_CREATE), KEDGE_ERR_INVALID);
    expect_rc(try_open(w, ns, KEDGE_OPEN_CREATE), KEDGE_OK);
    expect_rc(drop(w, ns), KEDGE_OK);
}

static void empty(struct world *w)
{
    struct kedge_id128 nobody = random_id(w);
    struct kedge_list all = { .limit = 10 };
    struct kedge_run_page runs;
    struct kedge_lease_page leases;
    struct kedge_held_page held;
    struct kedge_run_state st;
    struct kedge_record_page records;
    struct kedge_slot_page slots;
    struct kedge_cell cell;
    struct kedge_lock_state lock;
    struct kedge_purged purged;

    expect_ok(do_list(w, &all, &runs));
    expect(runs.n == 0 && runs.next.len == 0);
    expect_ok(do_expired(w, none(), 10, &runs));
    expect(runs.n == 0 && runs.next.len == 0);
    expect_ok(do_leases(w, none(), 10, &leases));
    expect(leases.n == 0 && leases.next.len == 0);
    expect_ok(do_held(w, nobody, none(), 10, &held));
    expect(held.n == 0 && held.next.len == 0);
    expect_rc(do_retrieve(w, str("a"), 0, 0, &st), KEDGE_NOT_FOUND);
    expect_rc(do_records(w, str("a"), 0, 1, 10, 1000, &records), KEDGE_NOT_FOUND);
    expect_rc(do_slots(w, str("a"), 0, 0, 0, 10, &slots), KEDGE_NOT_FOUND);
    expect_rc(do_cell(w, str("a"), &cell), KEDGE_NOT_FOUND);
    expect_rc(do_lock_query(w, str("a"), &lock), KEDGE_NOT_FOUND);
    expect_ok(do_purge(w, 10, &purged));
    expect(purged.runs == 0 && purged.rows == 0 && purged.more == 0);
}

static void two_handles(struct world *w)
{
    struct world other = *w;
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_run h;

    other.store = open_other(w, str(w->ns), 0, &other.session);
    other.keep = NULL;
    other.txs = NULL;
    h = head(&other, str("a"));
    expect_eq(h.fence, r.fence);
    step(&other, &r, "by the other handle");
    expect_eq(head(w, str("a")).position, 1);
    close_other(w, other.store, other.session);
    world_forget(&other);
    step(w, &r, "by the first, after the other was closed");
    expect_eq(head(w, str("a")).position, 2);
}

static void namespaces(struct world *w)
{
    static const struct kedge_bytes ends[] = { { "n", 1 },   { "n\0", 2 }, { "N", 1 },
                                               { "n*", 2 },  { "n:a", 3 }, { "{n}", 3 },
                                               { "n/..", 4 } };
    struct kedge_bytes names[ARRAY_LEN(ends)];
    struct world inside[ARRAY_LEN(names)];
    struct kedge_id128 lease[ARRAY_LEN(names)];
    char *before = dump(w);

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct tx t;

        names[i] = beside(w, ends[i]);
        inside[i] = *w;
        inside[i].rng = random_u64(w);
        inside[i].keep = NULL;
        inside[i].txs = NULL;
        inside[i].store = open_other(w, names[i], KEDGE_OPEN_CREATE, &inside[i].session);
        expect_eq(is_there(&inside[i], str("run")), 0);
        lease[i] = lease_make(&inside[i], TTL);
        run_held(&inside[i], str("run"), lease[i]);
        run_due(&inside[i], str("due"), from_now(0));
        lock_take(&inside[i], str("lock"), lease[i]);
        expect_eq(cell_version(&inside[i], str("cell")), 0);
        tx_init(&inside[i], &t);
        c_cell_put(&t, str("cell"), name(w, "value %zu", i), never());
        expect_tx(&t, KEDGE_OK);
    }
    check_unchanged(__FILE__, __LINE__, "writing into other namespaces", w, before);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct kedge_list all = { .limit = 10 };
        struct kedge_run_page page;
        struct kedge_lease_page leases;
        struct kedge_cell cell;
        struct kedge_lease_state st;
        size_t next = (i + 1) % ARRAY_LEN(names);

        expect_ok(do_list(&inside[i], &all, &page));
        expect_eq(page.n, 2);
        expect_ok(do_leases(&inside[i], none(), 10, &leases));
        expect_eq(leases.n, 1);
        expect_ok(do_cell(&inside[i], str("cell"), &cell));
        expect_bytes(cell.value, name(w, "value %zu", i));
        /* a lease is worth something in its own namespace only */
        expect_ok(do_extend(&inside[i], lease[i], &st));
        expect_rc(do_extend(&inside[i], lease[next], &st), KEDGE_LOST);
    }
    /* everything goes in one of them, nothing in the next */
    close_other(w, inside[0].store, inside[0].session);
    world_forget(&inside[0]);
    expect_rc(drop(w, names[0]), KEDGE_OK);
    for (size_t i = 1; i < ARRAY_LEN(names); i++) {
        claim_one(&inside[i], str("due"), lease[i]);
        close_other(w, inside[i].store, inside[i].session);
        world_forget(&inside[i]);
    }
    for (size_t i = 1; i < ARRAY_LEN(names); i++)
        expect_rc(drop(w, names[i]), KEDGE_OK);
}

/* Names of all files below PATH, in no order; how many. */
static size_t count_files(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;
    const struct dirent *e;

    if (dir == NULL)
        return 0;
    while ((e = readdir(dir)) != NULL) {
        char below[2048];
        struct stat st;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        n++;
        if ((size_t)snprintf(below, sizeof below, "%s/%s", path, e->d_name) < sizeof below &&
            lstat(below, &st) == 0 && S_ISDIR(st.st_mode))
            n += count_files(below);
    }
    (void)closedir(dir);
    return n;
}

static void dropped(struct world *w)
{
    struct kedge_bytes ns = beside(w, str(" to be dropped"));
    struct world other = *w;
    struct kedge_info info;
    struct kedge_id128 lease;
    size_t files;
    char *before;

    run_due(w, str("stays"), from_now(0));
    before = dump(w);
    expect_ok(do_info(w, &info));
    files = count_files(info.place);

    other.keep = NULL;
    other.txs = NULL;
    other.store = open_other(w, ns, KEDGE_OPEN_CREATE, &other.session);
    lease = lease_make(&other, TTL);
    for (int i = 0; i < 20; i++) {
        struct run r = run_held(&other, name(&other, "run %d", i), lease);

        step(&other, &r, "a record");
    }
    cell_put(&other, str("cell"), "value");
    lock_take(&other, str("lock"), lease);
    expect_rc(drop(w, ns), KEDGE_HELD);
    expect_eq(is_there(&other, str("run 0")), 1); /* refused: all is there */
    close_other(w, other.store, other.session);
    world_forget(&other);

    expect_rc(drop(w, ns), KEDGE_OK);
    expect_rc(drop(w, ns), KEDGE_NOT_FOUND);
    expect_rc(try_open(w, ns, 0), KEDGE_ERR_SCHEMA_MISSING);
    expect_eq(count_files(info.place), files);
    check_unchanged(__FILE__, __LINE__, "dropping another namespace", w, before);

    other.store = open_other(w, ns, KEDGE_OPEN_CREATE, &other.session);
    expect_eq(is_there(&other, str("run 0")), 0);
    expect_eq(cell_version(&other, str("cell")), 0);
    expect_eq(lease_state_of(&other, lease), 0);
    close_other(w, other.store, other.session);
    world_forget(&other);
    expect_rc(drop(w, ns), KEDGE_OK);
}

static void reopened(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run a = run_held(w, str("held"), lease);
    struct run p;
    struct tx *t = tx_new(w);
    char *before;

    step(w, &a, "one");
    step(w, &a, "two");
    g_held(t, &a);
    c_snapshot(t, a.id, 1, str("state after one"));
    c_slots(t, a.id, 1, 3);
    expect_tx(t, KEDGE_OK);
    t = tx_new(w);
    c_slot_put(t, &a, 1, 2, str("third"));
    c_request(t, a.id, KEDGE_REQUEST_PAUSE);
    expect_tx(t, KEDGE_OK);
    run_due(w, str("due"), from_now(SEC(5)));
    p = run_parked(w, str("parked"), KEDGE_WAKES_ON_TIME, from_now(SEC(50)));
    run_rest(w, str("rest"), KEDGE_COMPLETED, from_now(SEC(500)));
    cell_put(w, str("cell"), "value");
    lock_take(w, str("lock"), lease);
    lease_dead(w);
    before = dump(w);
    world_reopen(w);
    check_unchanged(__FILE__, __LINE__, "closing and opening", w, before);
    step(w, &a, "three");
    wake(w, p.id);
    expect_eq(head(w, p.id).place, KEDGE_PLACE_DUE);
}

static void in_force(struct world *w)
{
    /* A pooler takes the hints away, a server that may lose what it acknowledged the fences' word.
     */
    const uint64_t settings = KEDGE_CAP_HINT | KEDGE_CAP_FENCE_VOLATILE;
    struct kedge_info info;
    const struct kedge_limits *l = &info.limits;

    expect_ok(do_info(w, &info));
    expect(info.server != NULL && info.server[0] != '\0');
    expect(info.place != NULL);
    expect_eq(info.caps & ~settings, w->ops->caps & ~settings);
    expect((info.caps & KEDGE_CAP_HINT & ~w->ops->caps) == 0);
    expect_eq(info.caps & ~KEDGE_CAPS_KNOWN, 0);
    expect_eq(info.durability & ~7u, 0);
    expect(l->id_max >= 1024);
    expect(l->value_max >= 16u << 20);
    expect(l->cell_max >= 64u << 10);
    expect(l->batch_items >= 256);
    expect(l->batch_bytes >= 1u << 20);
    expect(l->commit_changes >= 1000);
    expect(l->commit_bytes >= 16u << 20);
    expect(l->page_max >= 100);
    expect(l->ttl_min_us > 0 && l->ttl_min_us <= SEC(5));
    expect(l->ttl_max_us >= SEC(3600));
    for (size_t i = 0; i < info.n_facts; i++)
        expect(info.facts[i].name != NULL && info.facts[i].value != NULL);
}

static void time_of_store(struct world *w)
{
    struct kedge_time now;

    for (int i = 0; i < 3; i++) {
        expect_ok(do_now(w, &now));
        expect_eq(now.wall, wall_now());
        expect_eq(now.lease, lease_now());
        clock_step_wall(SEC(7));
        clock_step_lease(SEC(3));
    }
}

/* Every operation once, in a process that must not use the store; how many did not refuse. */
static int use_after_fork(struct world *w, struct kedge_id128 lease)
{
    struct kedge_lease_new grant = { .id = random_id(w), .request = random_id(w), .ttl_us = TTL };
    struct kedge_claim claim = claim_of(w, lease, 1);
    struct kedge_list list = { .limit = 1 };
    struct kedge_info info;
    struct kedge_time now;
    struct kedge_lease_state ls;
    struct kedge_lock_state ks;
    struct kedge_lease_page lp;
    struct kedge_held_page hp;
    struct kedge_run_page rp;
    struct kedge_run_state rs;
    struct kedge_record_page cp;
    struct kedge_slot_page sp;
    struct kedge_cell cell;
    struct kedge_purged purged;
    struct tx t;
    void *session = NULL;
    int rc[] = {
        do_info(w, &info),
        do_now(w, &now),
        do_grant(w, &grant, &ls),
        do_extend(w, lease, &ls),
        do_revoke(w, lease),
        do_bury(w, lease),
        do_leases(w, none(), 1, &lp),
        do_held(w, lease, none(), 1, &hp),
        do_lock_acquire(w, str("l"), lease, random_id(w), &ks),
        do_lock_extend(w, str("l"), lease, 1, &ks),
        do_lock_release(w, str("l"), lease, 1),
        do_lock_query(w, str("l"), &ks),
        do_claim(w, &claim, &rp),
        do_retrieve(w, str("a"), 0, 0, &rs),
        do_records(w, str("a"), 0, 1, 1, 1, &cp),
        do_slots(w, str("a"), 0, 0, 0, 1, &sp),
        do_expired(w, none(), 1, &rp),
        do_list(w, &list, &rp),
        do_cell(w, str("c"), &cell),
        do_purge(w, 1, &purged),
        w->ops->session_open(w->store, &session, &w->err),
        KEDGE_ERR_INVALID, /* commit, below */
    };
    int bad = 0;

    tx_init(w, &t);
    c_wake(&t, str("a"));
    rc[ARRAY_LEN(rc) - 1] = tx_send(w, &t);
    for (size_t i = 0; i < ARRAY_LEN(rc); i++)
        if (rc[i] != KEDGE_ERR_INVALID) {
            note("after fork: operation %zu of the list answered %s", i, status_name(rc[i]));
            bad++;
        }
    return bad;
}

static void forked(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    char *before = dump(w);
    int status;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    expect(pid >= 0);
    if (pid == 0) {
        int bad = use_after_fork(w, lease);

        (void)fflush(stdout);
        w->ops->session_close(w->session);
        w->ops->store_close(w->store);
        _exit(bad == 0 ? 0 : 1);
    }
    expect_eq(waitpid(pid, &status, 0), pid);
    expect_eq(status, 0);
    check_unchanged(__FILE__, __LINE__, "a forked child", w, before);
    step(w, &r, "the parent goes on");
}

static void bad_timeouts(struct world *w)
{
    static const int64_t bad[] = { 0, -1, INT64_MIN };
    struct kedge_id128 lease = lease_make(w, TTL);

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct kedge_time now;
        struct kedge_lease_state ls;
        struct kedge_answer answer;
        struct tx t;

        w->err.msg[0] = '\0';
        tx_init(w, &t);
        c_create_due(&t, str("a"), from_now(0));
        expect_rc(w->ops->now(w->session, &now, bad[i], &w->err), KEDGE_ERR_INVALID);
        expect_rc(w->ops->lease_extend(w->session, &lease, &ls, bad[i], &w->err),
                  KEDGE_ERR_INVALID);
        refuse(w->ops->lease_revoke(w->session, &lease, bad[i], &w->err), KEDGE_ERR_INVALID);
        refuse(w->ops->commit(w->session, tx_ready(&t), 1, &answer, bad[i], &w->err),
               KEDGE_ERR_INVALID);
        expect_eq(answer.outcome, KEDGE_ERR_INVALID);
        expect_eq(is_there(w, str("a")), 0);
    }
    expect_ok(do_revoke(w, lease));
}

static void owned(struct world *w)
{
    struct kedge_bytes ns = beside(w, str(" owner"));
    struct world other = *w;
    struct kedge_run_state st;
    struct kedge_cell cell;
    struct kedge_mem *kept;
    struct run r;
    struct tx t;

    other.keep = NULL;
    other.txs = NULL;
    other.store = open_other(w, ns, KEDGE_OPEN_CREATE, &other.session);
    r = run_held(&other, str("a"), lease_make(&other, TTL));
    step(&other, &r, "record one");
    cell_put(&other, str("c"), "first value");
    expect_ok(do_retrieve(&other, r.id, 0, KEDGE_WANT_TAIL, &st));
    expect_ok(do_cell(&other, str("c"), &cell));

    step(&other, &r, "record two");
    cell_put(&other, str("c"), "other value");
    tx_init(&other, &t);
    g_held(&t, &r);
    c_rest(&t, r.id, KEDGE_COMPLETED, from_now(0));
    c_cell_delete(&t, str("c"));
    expect_tx(&t, KEDGE_OK);
    clock_advance(SEC(1));
    purge_all(&other);
    kept = other.keep;
    other.keep = NULL;
    close_other(w, other.store, other.session);
    (void)drop(w, ns);

    expect_bytes(st.run.id, str("a"));
    expect_bytes(st.run.reactor, str("reactor"));
    expect_eq(st.n_tail, 1);
    expect_bytes(st.tail[0].data, str("record one"));
    expect_bytes(cell.value, str("first value"));
    kedge_mem_free(w->host, kept);
}

static size_t open_files(void)
{
    return count_files("/proc/self/fd");
}

static void many_opens(struct world *w)
{
    struct kedge_bytes ns = beside(w, str(" again and again"));
    size_t before = 0;

    for (int i = 0; i < 120; i++) {
        struct world other = *w;

        if (i == 20)
            before = open_files();
        other.keep = NULL;
        other.txs = NULL;
        other.store = open_other(w, ns, KEDGE_OPEN_CREATE, &other.session);
        (void)lease_make(&other, TTL);
        world_forget(&other);
        close_other(w, other.store, other.session);
    }
    expect_eq(open_files(), before);
    expect_rc(drop(w, ns), KEDGE_OK);
    w->ops->session_close(NULL);
    w->ops->store_close(NULL);
}

/* A process that may open nothing more is told, or needs nothing, and goes on when it may again. */
static void no_descriptors(struct world *w)
{
    struct kedge_bytes ns = str("no room");
    struct rlimit limit, none_left;
    int first_free = dup(STDOUT_FILENO), rc;
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct tx *t = tx_new(w);

    g_held(t, &r);
    c_append(t, r.id, 1, str("one"));
    expect(first_free >= 0);
    (void)close(first_free);
    expect_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none_left = limit;
    none_left.rlim_cur = (rlim_t)first_free;
    expect_eq(setrlimit(RLIMIT_NOFILE, &none_left), 0);
    rc = try_open(w, ns, KEDGE_OPEN_CREATE);
    if (rc != KEDGE_OK) /* a store without files needs none */
        expect(rc < 0 && w->err.msg[0] != '\0');
    rc = tx_send(w, t); /* likewise */
    if (rc != KEDGE_OK)
        expect(rc < 0 && w->err.msg[0] != '\0');
    expect_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    expect_tx(t, KEDGE_OK);
    expect_eq(head(w, r.id).position, 1);
    expect_rc(try_open(w, ns, KEDGE_OPEN_CREATE), KEDGE_OK);
    expect_rc(drop(w, ns), KEDGE_OK);
}

/* Which cell it is that was read, if it was in time. */
static void read_in(struct world *w, const char *name, int64_t us, int *late)
{
    struct kedge_cell cell = { .mem = NULL };
    int rc = w->ops->cell_get(w->session, str(name), &cell, us, &w->err);

    *late += rc == KEDGE_ERR_UNAVAILABLE;
    if (rc != KEDGE_ERR_UNAVAILABLE)
        expect_rc(rc, KEDGE_OK);
    if (rc == KEDGE_OK)
        expect_bytes(cell.value, str(name));
    kedge_mem_free(w->host, cell.mem);
}

/* Timeouts from one that nothing can be done in to one that always suffices: some run out between
   the question and its answer. */
static void too_late(struct world *w)
{
    int late = 0, in_time = 0;

    cell_put(w, str("one"), "one");
    cell_put(w, str("other"), "other");
    for (int64_t us = 1; us < MS(200) && in_time < 60; us += 1 + us / 64) {
        int before = late;

        read_in(w, "one", us, &late);
        read_in(w, "other", PATIENCE, &late);
        in_time = late == before ? in_time + 1 : 0;
    }
    note("%d were too late", late);
    read_in(w, "one", PATIENCE, &late);
}

const struct contract_case cases_store[] = {
    { "store-01", "a namespace that was not set up is missing, and stays so", 0, missing },
    { "store-02", "a namespace without a name is refused", 0, bad_namespace },
    { "store-03", "everything is empty in an empty namespace", 0, empty },
    { "store-04", "two handles on one namespace see the same data", 0, two_handles },
    { "store-05", "namespaces do not see each other", 0, namespaces },
    { "store-06", "dropping is refused while open, leaves nothing, touches no other", 0, dropped },
    { "store-07", "what was written is there when opened again", 0, reopened },
    { "store-08", "info keeps to the least limits and tells what is promised", 0, in_force },
    { "store-09", "the store's time is the clock handed in", NEEDS_CLOCK, time_of_store },
    { "store-10", "a forked child cannot use the store and does it no harm", 0, forked },
    { "store-11", "a timeout that is not positive is refused", 0, bad_timeouts },
    { "store-12", "what was handed out outlives later writes and the store", NEEDS_CLOCK, owned },
    { "store-13", "opening and closing leaks no descriptor", 0, many_opens },
    { "store-14", "who has no descriptor left is told, and goes on when he has", 0,
      no_descriptors },
    { "store-15", "an answer that comes too late is not taken for the next one", 0, too_late },
    { NULL, NULL, 0, NULL },
};
