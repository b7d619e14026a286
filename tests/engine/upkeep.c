/*
 * upkeep.c - sweep and purge: the program, and what both need
 *
 *	./upkeep URL...
 */
#include "upkeep.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

const struct kedge_backend_ops *ops;
void *session;
bool hinted;
bool counted;
atomic_int began;
atomic_int gate;

/* ----------------------------------------------------------------- the engine */

static int act(struct kedge_step *step, void *user)
{
    (void)user;
    atomic_fetch_add(&began, 1);
    while (atomic_load(&gate) != 0)
        nap();
    return kedge_ok(step, NULL, 0);
}

static const struct kedge_step_def steps[] = {
    { .name = "a", .run = act, .flags = KEDGE_STEP_POOL },
};
static const struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("kept", 1, steps);

struct kedge_worker *worker_in(const char *queue)
{
    struct kedge_worker_options o = KEDGE_WORKER_OPTIONS_INIT;
    const char *const queues[] = { queue, NULL };

    o.queues = queues;
    o.lease_ttl_us = HOUR; /* nothing lapses here by chance */
    return worker_open(&def, &o);
}

void start_in(const char *queue, const char *id)
{
    struct kedge_run_start s = KEDGE_START_INIT;

    s.reactor = "kept";
    s.version = 1;
    s.queue = kedge_text(queue);
    s.id = kedge_text(id);
    must(kedge_start(store, &s, LIVENESS, &err), "start");
}

void start(const char *id)
{
    start_in(id, id);
}

static int work(char **args)
{
    struct kedge_worker *worker;

    atomic_store(&gate, 1);
    must(kedge_store_open(args[0], NULL, &store, &err), "open");
    worker = worker_in(args[1]);
    must(kedge_worker_run(worker, &err), "run");
    return 0;
}

static int n_present(void)
{
    struct kedge_lease_page page = { .mem = NULL };
    int n = 0;

    must(ops->lease_list(session, (struct kedge_bytes){ NULL, 0 }, 1000, &page, LIVENESS, &err),
         "leases");
    for (size_t i = 0; i < page.n; i++)
        n += page.leases[i].hint == KEDGE_HINT_PRESENT;
    kedge_mem_free(kedge_store_host(store), page.mem);
    return n;
}

/* A server takes a moment to notice; elsewhere nothing is looked at before its time. */
void kill_worker(pid_t pid)
{
    bool notices = hinted && (ops->caps & KEDGE_CAP_SERVER_CLOCK) != 0;
    int before = notices ? n_present() : 0;

    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    AWAIT(!notices || n_present() < before);
}

/* ------------------------------------------------------------- below the engine */

static struct kedge_run_state last;

const struct kedge_run *head(const char *id)
{
    struct kedge_retrieve what = { .id = kedge_text(id) };

    kedge_mem_free(kedge_store_host(store), last.mem);
    memset(&last, 0, sizeof last);
    must(ops->retrieve(session, &what, &last, LIVENESS, &err), id);
    return &last.run;
}

bool is_there(const char *id)
{
    struct kedge_retrieve what = { .id = kedge_text(id) };
    struct kedge_run_state state = { .mem = NULL };
    int rc = ops->retrieve(session, &what, &state, LIVENESS, &err);

    kedge_mem_free(kedge_store_host(store), state.mem);
    if (rc != KEDGE_NOT_FOUND)
        must(rc, id);
    return rc == KEDGE_OK;
}

bool is_at(const char *id, uint32_t place, uint32_t status)
{
    const struct kedge_run *run = head(id);

    return run->place == place && run->status == status;
}

struct kedge_id128 some_id(void)
{
    static atomic_uint count;
    struct kedge_id128 id = { { 1 } };
    unsigned n = atomic_fetch_add(&count, 1);
    long pid = (long)getpid();

    memcpy(id.b + 1, &n, sizeof n);
    memcpy(id.b + 8, &pid, sizeof pid);
    return id;
}

struct kedge_id128 grant(int64_t ttl_us)
{
    struct kedge_lease_new in = { .id = some_id(), .request = some_id(), .ttl_us = ttl_us };
    struct kedge_lease_state state;

    in.owner = kedge_text("nobody");
    must(ops->lease_grant(session, &in, &state, LIVENESS, &err), "grant");
    return in.id;
}

void let_go(const struct kedge_id128 *lease)
{
    must(ops->lease_revoke(session, lease, LIVENESS, &err), "revoke");
}

static bool has_lapsed(const struct kedge_id128 *lease)
{
    struct kedge_lease_page page = { .mem = NULL };
    bool lapsed = false;

    must(ops->lease_list(session, (struct kedge_bytes){ NULL, 0 }, 100, &page, LIVENESS, &err),
         "leases");
    for (size_t i = 0; i < page.n; i++)
        lapsed |= memcmp(&page.leases[i].id, lease, sizeof *lease) == 0 &&
                  page.leases[i].state == KEDGE_LEASE_LAPSED;
    kedge_mem_free(kedge_store_host(store), page.mem);
    return lapsed;
}

void await_lapse(const struct kedge_id128 *lease)
{
    AWAIT(has_lapsed(lease));
}

void hold(const char *id, const struct kedge_id128 *lease, int64_t hold_us)
{
    struct kedge_serve serve = { kedge_text(id), kedge_text("kept"), 1, 1 };
    struct kedge_claim in = {
        .request = some_id(), .lease = *lease, .serves = &serve, .n_serves = 1, .limit = 1
    };
    struct kedge_run_page page = { .mem = NULL };

    if (hold_us > 0)
        in.hold_until = (struct kedge_when){ hold_us, KEDGE_IN, 0 };
    must(ops->claim(session, &in, &page, LIVENESS, &err), "claim");
    must(page.n == 1 ? KEDGE_OK : KEDGE_NOT_FOUND, "claim");
    kedge_mem_free(kedge_store_host(store), page.mem);
}

int commit_in(void *in, const struct kedge_guard *guard, const struct kedge_change *change)
{
    struct kedge_commit commit = {
        .request = some_id(), .guards = guard, .n_guards = 1, .changes = change, .n_changes = 1
    };
    struct kedge_answer answer = { .outcome = KEDGE_OK };
    int rc = ops->commit(in, &commit, 1, &answer, LIVENESS, &err);

    if (rc == KEDGE_OK && answer.outcome < 0)
        (void)kedge_error_set(&err, answer.outcome, 0, "%s", answer.why);
    return rc == KEDGE_OK ? answer.outcome : rc;
}

void change_held(const char *id, const struct kedge_change *change)
{
    const struct kedge_run *run = head(id);
    struct kedge_guard guard = {
        .kind = KEDGE_GUARD_HELD, .name = run->id, .lease = run->holder, .number = run->fence
    };
    struct kedge_change named = *change;

    named.name = run->id;
    must(commit_in(session, &guard, &named), "change");
}

void load(const char *id, uint32_t recoveries, uint32_t status)
{
    struct kedge_change change = { .kind = KEDGE_SET };

    change.set.mask = KEDGE_SET_RECOVERIES | KEDGE_SET_STATUS;
    change.set.recoveries = recoveries;
    change.set.status = status;
    change_held(id, &change);
}

void rest(const char *id, uint32_t status, struct kedge_when expires)
{
    struct kedge_id128 lease = grant(HOUR);
    struct kedge_change change = { .kind = KEDGE_RELEASE };

    start(id);
    hold(id, &lease, 0);
    change.release.place = KEDGE_PLACE_REST;
    change.release.status = status;
    change.release.when = expires;
    change_held(id, &change);
    let_go(&lease);
}

struct kedge_verified verify(void)
{
    struct kedge_verified v = { .mem = NULL };
    int rc = ops->verify(session, &v, LIVENESS, &err);

    counted = rc != KEDGE_ERR_UNSUPPORTED;
    if (!counted)
        return v;
    must(rc, "verify");
    if (v.faults > 0)
        note("%s", v.first);
    must(v.faults == 0 ? KEDGE_OK : KEDGE_QUIET, "verify");
    kedge_mem_free(kedge_store_host(store), v.mem);
    return v;
}

/* --------------------------------------------------------------------- handles */

const struct kedge_backend_ops *wrapped(void)
{
    return fault_wrap(ops, kedge_store_host(store));
}

struct kedge_store *faulty(const struct kedge_backend_ops *table)
{
    struct kedge_store *outer = fault_store(store, table, &err);

    if (outer == NULL)
        must(err.code, "wrap");
    return outer;
}

static void all(void)
{
    ops = kedge_store_ops(store);
    hinted = (~ops->caps & (KEDGE_CAP_SHARED | KEDGE_CAP_HINT)) == 0;
    must(ops->session_open(kedge_store_handle(store), &session, &err), "session");
    cases_sweep();
    cases_purge();
    kedge_mem_free(kedge_store_host(store), last.mem);
    memset(&last, 0, sizeof last);
    ops->session_close(session);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--work") == 0)
        return work(argv + 2);
    return saga_main(argc, argv, NULL, all);
}
