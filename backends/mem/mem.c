/*
 * mem.c - the backend in memory: the storage contract in its simplest executable form
 *
 *   I1  Every operation is one step under the namespace's mutex; steps have one moment of time.
 *   I2  What a step writes can be taken back until it ends (table.h), so that a lack of memory half
 *       way leaves nothing behind.  All decisions are the kit's.
 *   I3  `mem:' is a namespace of that one open and ends with it.  `mem:NAME' is shared by all
 *       opens of that name and namespace in the process; it ends with store_drop or the process.
 *
 * The data of a shared namespace outlives every handle, and so the host of whoever opened it
 * first: it comes from malloc.  A private one uses the memory of its host.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../kit/url.h"
#include "limits.h"
#include "space.h"

#define MEM_SCHEMA 1u
/* The option: leases have crash hints, as the handle goes with whoever it is for. */
#define HINTS "hints=1"

const struct kedge_limits mem_limits = MEM_LIMITS;

/* ------------------------------------------------------------- open and close */

static void *plain_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void plain_release(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

static const struct kedge_host plain = {
    .struct_size = sizeof plain,
    .abi = KEDGE_BACKEND_ABI,
    .alloc = plain_alloc,
    .release = plain_release,
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mem_space *registry;

static struct mem_space **registry_find(struct kedge_bytes name, struct kedge_bytes ns)
{
    struct mem_space **at = &registry;

    while (*at != NULL && !(kit_bytes_equal((*at)->name, name) && kit_bytes_equal((*at)->ns, ns)))
        at = &(*at)->next;
    return at;
}

/* Room for a name of the longest kind, decoded. */
struct mem_name {
    char text[1025];
};

static int parse(const struct kedge_open *open, struct mem_name *name, struct kedge_bytes *out,
                 struct kedge_error *err)
{
    struct kedge_bytes options;
    struct kedge_url url;
    int rc = kedge_url_split(open->url, &url, err);

    if (rc != KEDGE_OK)
        return rc;
    if (url.has_authority || url.query.len != 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "a store in memory is 'mem:' or 'mem:NAME', without server and "
                               "parameters");
    options = kedge_url_options(open);
    if (options.len != 0 && !kedge_url_is(options, HINTS))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "a store in memory has no option but '" HINTS "'");
    rc = kedge_url_decode(url.path, "name", name->text, sizeof name->text, err);
    if (rc != KEDGE_OK)
        return rc;
    *out = (struct kedge_bytes){ name->text, strlen(name->text) };
    return kit_check_name(&mem_limits, open->ns, "the namespace", err);
}

/* Under the registry's lock. */
static int find_or_make(const struct kedge_host *host, const struct kedge_open *open,
                        struct kedge_bytes name, struct mem_space **out, struct kedge_error *err)
{
    struct mem_space **at = registry_find(name, open->ns);

    if (name.len != 0 && *at != NULL) {
        *out = *at;
        return KEDGE_OK;
    }
    if ((open->flags & KEDGE_OPEN_CREATE) == 0)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_MISSING, 0,
                               "there is no such store in the memory of this process; "
                               "open it with the flag to create it");
    *out = mem_space_new(name.len != 0 ? &plain : host, name, open->ns);
    if (*out == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    if (name.len != 0) {
        (*out)->next = registry;
        registry = *out;
    }
    return KEDGE_OK;
}

static void store_close(void *store)
{
    struct mem_handle *handle = store;
    bool last;

    /* After fork the locks may be held by threads that are not here. */
    if (handle == NULL || handle->pid != getpid())
        return;
    if (handle->hint != 0)
        mem_hint_close(handle->space, handle->hint);
    (void)pthread_mutex_lock(&registry_lock);
    last = --handle->space->opens == 0 && handle->space->name.len == 0;
    (void)pthread_mutex_unlock(&registry_lock);
    if (last)
        mem_space_free(handle->space);
    handle->host->release(handle->host->ctx, handle);
}

static int store_open(const struct kedge_host *host, const struct kedge_open *open, void **store,
                      struct kedge_error *err)
{
    struct mem_name buf;
    struct kedge_bytes name = { NULL, 0 };
    struct mem_handle *handle;
    int rc = parse(open, &buf, &name, err);

    if (rc != KEDGE_OK)
        return rc;
    if ((open->flags & ~(KEDGE_OPEN_CREATE | KEDGE_OPEN_MIGRATE)) != 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the flags of the open are unknown");
    handle = host->alloc(host->ctx, sizeof *handle);
    if (handle == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    *handle = (struct mem_handle){ .host = host, .pid = getpid() };
    (void)pthread_mutex_lock(&registry_lock);
    rc = find_or_make(host, open, name, &handle->space, err);
    if (rc == KEDGE_OK)
        handle->space->opens++;
    (void)pthread_mutex_unlock(&registry_lock);
    if (rc != KEDGE_OK) {
        host->release(host->ctx, handle);
        return rc;
    }
    handle->hint = kedge_url_options(open).len != 0 ? mem_hint_open(handle->space) : 0;
    if (handle->hint == 0 && kedge_url_options(open).len != 0) {
        store_close(handle);
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    *store = handle;
    return KEDGE_OK;
}

static int store_drop(const struct kedge_host *host, const struct kedge_open *open,
                      struct kedge_error *err)
{
    struct mem_name buf;
    struct kedge_bytes name = { NULL, 0 };
    struct mem_space *gone = NULL;
    struct mem_space **at;
    int rc = parse(open, &buf, &name, err);

    (void)host;
    if (rc != KEDGE_OK)
        return rc;
    (void)pthread_mutex_lock(&registry_lock);
    at = registry_find(name, open->ns);
    if (*at == NULL) {
        rc = KEDGE_NOT_FOUND;
    } else if ((*at)->opens != 0) {
        rc = KEDGE_HELD;
    } else {
        gone = *at;
        *at = gone->next;
    }
    (void)pthread_mutex_unlock(&registry_lock);
    if (gone != NULL)
        mem_space_free(gone);
    return rc;
}

static int session_open(void *store, void **session, struct kedge_error *err)
{
    struct mem_handle *handle = store;
    struct mem_session *s;

    if (handle->pid != getpid())
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "the store was opened before fork() and cannot be used after it");
    s = handle->host->alloc(handle->host->ctx, sizeof *s);
    if (s == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    s->handle = handle;
    *session = s;
    return KEDGE_OK;
}

static void session_close(void *session)
{
    struct mem_session *s = session;

    if (s != NULL)
        s->handle->host->release(s->handle->host->ctx, s);
}

static int info(void *session, struct kedge_info *out, int64_t timeout_us, struct kedge_error *err)
{
    const struct kedge_host *host = ((struct mem_session *)session)->handle->host;
    struct kedge_info in = { .schema = MEM_SCHEMA, .incarnation = 1, .limits = mem_limits };
    struct mem_space *space;
    struct kit_step step;
    char *place;
    int rc = mem_begin(session, &step, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    space = step.ctx;
    place = kedge_mem_alloc(host, &in.mem, space->name.len + sizeof "mem:");
    if (place == NULL)
        return mem_end(&step, KEDGE_ERR_NOMEM, err);
    memcpy(place, "mem:", 4);
    if (space->name.len != 0)
        memcpy(place + 4, space->name.data, space->name.len);
    place[4 + space->name.len] = '\0';
    in.server = "memory of a process";
    in.place = place;
    in.caps = ((struct mem_session *)session)->handle->hint != 0 ? KEDGE_CAP_HINT : 0;
    *out = in;
    return mem_end(&step, KEDGE_OK, err);
}

static int now(void *session, struct kedge_time *out, int64_t timeout_us, struct kedge_error *err)
{
    struct kit_step step;
    int rc = mem_begin(session, &step, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    out->wall = step.now_wall;
    out->lease = step.now_lease;
    return mem_end(&step, KEDGE_OK, err);
}

/* --------------------------------------------------------------------- leases */

static void lease_state(const struct kit_step *step, const struct kit_lease *lease,
                        struct kedge_lease_state *out)
{
    struct kit_lease view = *lease;
    int64_t absent_us;

    kit_lease_view(&view, step->now_lease);
    *out = (struct kedge_lease_state){
        .deadline = view.l.deadline,
        .remaining_us = view.l.remaining_us,
        .attention = view.l.attention,
        .hint = mem_hint_look(step->ctx, &view, &absent_us),
    };
}

static int lease_grant(void *session, const struct kedge_lease_new *in,
                       struct kedge_lease_state *out, int64_t timeout_us, struct kedge_error *err)
{
    struct kit_lease lease;
    struct mem_lease *old;
    struct kit_step step;
    int rc = kit_check_lease(&mem_limits, in, err);

    if (rc == KEDGE_OK)
        rc = mem_begin(session, &step, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    old = mem_lease_find(step.ctx, &in->id);
    if (old != NULL) {
        lease = old->k;
        rc = kit_id_equal(&old->k.grant_request, &in->request) ? KEDGE_OK : KEDGE_EXISTS;
    } else {
        kit_lease_init(&lease, in, step.now_wall, step.now_lease);
        lease.l.incarnation = 1;
        lease.hint_id[0] = ((struct mem_session *)session)->handle->hint;
        rc = mem_lease_put(step.ctx, &lease);
    }
    if (rc == KEDGE_OK)
        lease_state(&step, &lease, out);
    return mem_end(&step, rc, err);
}

/* Inside a step.  Whoever extends it is its holder, and here. */
static int extend(struct kit_step *step, const struct mem_session *by, const struct kedge_id128 *id,
                  struct kit_lease *lease)
{
    struct mem_lease *old = mem_lease_find(step->ctx, id);
    int rc;

    if (old == NULL)
        return KEDGE_LOST;
    *lease = old->k;
    lease->hint_id[0] = by->handle->hint;
    rc = kit_lease_extend(lease, step->now_lease);
    return rc == KEDGE_OK ? mem_lease_put(step->ctx, lease) : rc;
}

static int lease_extend(void *session, const struct kedge_id128 *id, struct kedge_lease_state *out,
                        int64_t timeout_us, struct kedge_error *err)
{
    struct kit_lease lease;
    struct kit_step step;
    int rc = mem_begin(session, &step, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = extend(&step, session, id, &lease);
    if (rc == KEDGE_OK)
        lease_state(&step, &lease, out);
    return mem_end(&step, rc, err);
}

static int kill_lease(struct kit_step *step, const struct mem_lease *old)
{
    struct kit_lease lease = old->k;

    kit_lease_kill(&lease, step->now_lease);
    return mem_lease_put(step->ctx, &lease);
}

static int hand_back_all(struct kit_step *step, const struct kedge_id128 *id)
{
    static const struct kedge_bytes none;
    struct mem_space *space = step->ctx;
    size_t at = mem_held_from(space, id, none);
    struct mem_run *run;
    int rc = KEDGE_OK;

    /* Each one leaves this order, and the next takes its place. */
    while (rc == KEDGE_OK && (run = mem_run_at(space, RUN_BY_HOLDER, at)) != NULL &&
           kit_id_equal(&run->k.r.holder, id)) {
        struct kit_run back = run->k;

        kit_run_hand_back(&back, step->now_wall);
        rc = step->store->run_put(space, &run->k, &back);
        step->store->work(space);
    }
    at = mem_locks_from(space, id, none);
    while (rc == KEDGE_OK && at < space->lock_ix[LOCK_BY_LEASE].n) {
        struct mem_lock *lock = (struct mem_lock *)space->lock_ix[LOCK_BY_LEASE].v[at];

        if (!kit_id_equal(&lock->k.lease, id))
            break;
        rc = step->store->lock_delete(space, lock->name, &lock->k);
    }
    return rc;
}

static int lease_revoke(void *session, const struct kedge_id128 *id, int64_t timeout_us,
                        struct kedge_error *err)
{
    const struct mem_lease *lease;
    struct kit_step step;
    int rc = mem_begin(session, &step, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    lease = mem_lease_find(step.ctx, id);
    if (lease == NULL) {
        rc = KEDGE_NOT_FOUND;
    } else if (lease->k.l.state != KEDGE_LEASE_DEAD) {
        rc = kill_lease(&step, lease);
        if (rc == KEDGE_OK)
            rc = hand_back_all(&step, id);
    }
    return mem_end(&step, rc, err);
}

/* There is no other incarnation: deadline and hint decide. */
static int lease_bury(void *session, const struct kedge_id128 *id, int64_t timeout_us,
                      struct kedge_error *err)
{
    struct kit_suspicion suspicion;
    const struct mem_lease *lease;
    struct kit_step step;
    int rc = mem_begin(session, &step, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    lease = mem_lease_find(step.ctx, id);
    rc = KEDGE_NOT_FOUND;
    if (lease != NULL) {
        mem_suspect(step.ctx, &lease->k, &suspicion);
        rc = kit_lease_may_bury(&lease->k, step.now_lease, &suspicion);
    }
    if (rc == KEDGE_OK && lease->k.l.state != KEDGE_LEASE_DEAD)
        rc = kill_lease(&step, lease);
    return mem_end(&step, rc, err);
}

/* ---------------------------------------------------------------------- locks */

static int begin_lock(void *session, struct kedge_bytes name, struct kit_step *step,
                      int64_t timeout_us, struct kedge_error *err)
{
    int rc = kit_check_name(&mem_limits, name, "the name of the lock", err);

    return rc == KEDGE_OK ? mem_begin(session, step, timeout_us, err) : rc;
}

static int lock_acquire(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                        const struct kedge_id128 *request, struct kedge_lock_state *out,
                        int64_t timeout_us, struct kedge_error *err)
{
    struct kit_step step;
    int rc;

    if (kit_id_zero(lease) || kit_id_zero(request))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the lease or request id is missing");
    rc = begin_lock(session, name, &step, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    return mem_end(&step, kit_lock_acquire(&step, name, lease, request, out), err);
}

static int lock_extend(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                       uint64_t fence, struct kedge_lock_state *out, int64_t timeout_us,
                       struct kedge_error *err)
{
    struct kit_lease record;
    struct kit_step step;
    int rc = begin_lock(session, name, &step, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = kit_lock_check(&step, name, lease, fence);
    if (rc == KEDGE_OK)
        rc = extend(&step, session, lease, &record);
    if (rc == KEDGE_OK)
        rc = kit_lock_query(&step, name, out);
    return mem_end(&step, rc, err);
}

static int lock_release(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                        uint64_t fence, int64_t timeout_us, struct kedge_error *err)
{
    struct kit_step step;
    int rc = begin_lock(session, name, &step, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    return mem_end(&step, kit_lock_release(&step, name, lease, fence), err);
}

static int lock_query(void *session, struct kedge_bytes name, struct kedge_lock_state *out,
                      int64_t timeout_us, struct kedge_error *err)
{
    struct kit_step step;
    int rc = begin_lock(session, name, &step, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    return mem_end(&step, kit_lock_query(&step, name, out), err);
}

/* ----------------------------------------------------------- commit and claim */

static int commit(void *session, const struct kedge_commit *commits, size_t n,
                  struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err)
{
    struct kit_step step;
    int rc = kit_check_batch(&mem_limits, commits, n, answers, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = mem_begin(session, &step, timeout_us, err);
    if (rc != KEDGE_OK) {
        for (size_t i = 0; i < n; i++) {
            answers[i].outcome = rc;
            (void)snprintf(answers[i].why, sizeof answers[i].why, "the store could not be used");
        }
        return rc;
    }
    for (size_t i = 0; i < n; i++) {
        struct mem_space *space = step.ctx;

        if (answers[i].outcome != KEDGE_OK)
            continue;
        if (kit_commit(&step, &commits[i], &answers[i]) < 0)
            mem_log_undo(&space->log);
        else
            mem_log_keep(&space->log);
    }
    return mem_end(&step, KEDGE_OK, err);
}

struct candidates {
    const struct kedge_host *host;
    struct mem_run **v;
    size_t n;
};

static int by_due(const void *a, const void *b)
{
    const struct kedge_run *x = &(*(struct mem_run *const *)a)->k.r;
    const struct kedge_run *y = &(*(struct mem_run *const *)b)->k.r;

    if (x->due != y->due)
        return x->due < y->due ? -1 : 1;
    return (x->incarnation > y->incarnation) - (x->incarnation < y->incarnation);
}

/* The first LIMIT + 1 of each entry in `serves', oldest due first, each once. */
static int gather(struct mem_space *space, const struct kedge_claim *in, struct candidates *c)
{
    size_t room = in->n_serves * (in->limit + 1);
    size_t n = 0;

    c->v = room > SIZE_MAX / sizeof(struct mem_run *)
               ? NULL
               : c->host->alloc(c->host->ctx, room * sizeof(struct mem_run *));
    if (c->v == NULL)
        return KEDGE_ERR_NOMEM;
    for (size_t i = 0; i < in->n_serves; i++) {
        const struct kedge_serve *serve = &in->serves[i];
        size_t most = c->n + in->limit + 1;
        struct mem_run key;
        struct mem_run *run;

        key.k.r.queue = serve->queue;
        key.k.r.reactor = serve->reactor;
        key.k.r.due = 0;
        key.k.r.incarnation = 0;
        for (size_t at = mem_seek(&space->run_ix[RUN_BY_WORK], &key, false);
             c->n < most && (run = mem_run_at(space, RUN_BY_WORK, at)) != NULL; at++) {
            if (!kit_bytes_equal(run->k.r.queue, serve->queue) ||
                !kit_bytes_equal(run->k.r.reactor, serve->reactor))
                break;
            if (kit_served(&run->k.r, serve, 1))
                c->v[c->n++] = run;
        }
    }
    if (c->n != 0)
        qsort(c->v, c->n, sizeof(struct mem_run *), by_due);
    for (size_t i = 0; i < c->n; i++) {
        if (n == 0 || c->v[n - 1] != c->v[i])
            c->v[n++] = c->v[i];
    }
    c->n = n;
    return KEDGE_OK;
}

struct claim {
    struct kit_step step;
    const struct kedge_claim *in;
    const struct kedge_host *host;
    struct kedge_run_page page;
};

static int hand_out(struct claim *c, const struct kit_run *run)
{
    if (!kit_copy_run(c->host, &c->page.mem, &run->r, &c->page.runs[c->page.n]))
        return KEDGE_ERR_NOMEM;
    c->page.n++;
    return KEDGE_OK;
}

/* What the first claim of this request took and its lease still holds. */
static int claim_again(struct claim *c)
{
    static const struct kedge_bytes none;
    struct mem_space *space = c->step.ctx;
    size_t at = mem_held_from(space, &c->in->lease, none);
    struct mem_run *run;
    int rc = KEDGE_OK;

    for (; rc == KEDGE_OK && (run = mem_run_at(space, RUN_BY_HOLDER, at)) != NULL; at++) {
        if (!kit_id_equal(&run->k.r.holder, &c->in->lease) || c->page.n == c->in->limit)
            break;
        if (kit_id_equal(&run->k.take_request, &c->in->request))
            rc = hand_out(c, &run->k);
    }
    return rc;
}

static int claim_new(struct claim *c, struct candidates *found)
{
    size_t taken = 0;

    while (taken < found->n && taken < c->in->limit &&
           kit_run_claimable(&found->v[taken]->k, c->step.now_wall)) {
        const struct kit_run *old = &found->v[taken]->k;
        struct kit_run run = *old;
        int rc;

        kit_run_take(&run, &c->in->lease, c->step.store->fence_next(c->step.ctx), &c->in->request,
                     c->in->hold_until, c->step.now_wall);
        rc = c->step.store->run_put(c->step.ctx, old, &run);
        if (rc == KEDGE_OK)
            rc = hand_out(c, &run);
        if (rc != KEDGE_OK)
            return rc;
        taken++;
    }
    c->page.next_due = taken < found->n ? found->v[taken]->k.r.due : 0;
    return KEDGE_OK;
}

static int claim_in_step(struct claim *c)
{
    struct mem_lease *lease = mem_lease_find(c->step.ctx, &c->in->lease);
    struct candidates found = { .host = c->host };
    struct kit_lease record;
    int rc;

    if (lease == NULL || lease->k.l.state == KEDGE_LEASE_DEAD)
        return KEDGE_LOST;
    c->page.runs = kedge_mem_alloc(c->host, &c->page.mem, c->in->limit * sizeof *c->page.runs);
    if (c->page.runs == NULL)
        return KEDGE_ERR_NOMEM;
    rc = gather(c->step.ctx, c->in, &found);
    if (rc == KEDGE_OK && kit_id_equal(&lease->k.claim_request, &c->in->request)) {
        c->page.next_due = found.n != 0 ? found.v[0]->k.r.due : 0;
        rc = claim_again(c);
    } else if (rc == KEDGE_OK) {
        rc = claim_new(c, &found);
        record = lease->k;
        record.claim_request = c->in->request;
        if (rc == KEDGE_OK && c->page.n != 0)
            rc = mem_lease_put(c->step.ctx, &record);
    }
    c->host->release(c->host->ctx, found.v);
    return rc;
}

static int claim(void *session, const struct kedge_claim *in, struct kedge_run_page *out,
                 int64_t timeout_us, struct kedge_error *err)
{
    struct claim c = { .in = in, .host = ((struct mem_session *)session)->handle->host };
    int rc = kit_check_claim(&mem_limits, in, err);

    if (rc == KEDGE_OK)
        rc = mem_begin(session, &c.step, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = claim_in_step(&c);
    if (rc == KEDGE_OK)
        *out = c.page;
    else
        kedge_mem_free(c.host, c.page.mem);
    return mem_end(&c.step, rc, err);
}

/* ------------------------------------------------------------- wait and notify */

static int await_change(struct mem_space *space, uint64_t seen, int64_t timeout_us)
{
    struct timespec until;

    if (timeout_us == 0 || clock_gettime(CLOCK_MONOTONIC, &until) != 0)
        return KEDGE_QUIET;
    if (timeout_us > INT64_C(86400000000))
        timeout_us = INT64_C(86400000000);
    until.tv_sec += (time_t)(timeout_us / 1000000);
    until.tv_nsec += (long)(timeout_us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (space->ticket == seen) {
        int rc = pthread_cond_timedwait(&space->changed, &space->lock, &until);

        if (rc != 0 && space->ticket == seen)
            return KEDGE_QUIET;
    }
    return KEDGE_OK;
}

static int wait_for(void *session, uint64_t seen, uint64_t *ticket, int64_t timeout_us,
                    struct kedge_error *err)
{
    struct mem_space *space;
    struct kit_step step;
    int rc;

    /* Unlike anywhere else the timeout is how long to wait when all is well, and may be 0. */
    if (timeout_us < 0)
        return kit_check_timeout(timeout_us, err);
    rc = mem_begin(session, &step, INT64_C(1000000) + timeout_us / 2, err);
    if (rc != KEDGE_OK)
        return rc;
    space = step.ctx;
    if (space->ticket == seen)
        rc = await_change(space, seen, timeout_us);
    if (rc == KEDGE_OK)
        *ticket = space->ticket;
    return mem_end(&step, rc, err);
}

static int notify(void *session, struct kedge_error *err)
{
    struct kit_step step;
    int rc = mem_begin(session, &step, INT64_C(10000000), err);

    if (rc != KEDGE_OK)
        return rc;
    step.store->work(step.ctx);
    return mem_end(&step, KEDGE_OK, err);
}

static const struct kedge_backend_ops mem_ops = {
    KEDGE_BACKEND_HEADER,
    .caps = 0,
    .threads = KEDGE_THREADS_SESSION,
    .name = "mem",
    .version = PACKAGE_VERSION,
    .limits = &mem_limits,
    .store_open = store_open,
    .store_close = store_close,
    .store_drop = store_drop,
    .session_open = session_open,
    .session_close = session_close,
    .info = info,
    .now = now,
    .lease_grant = lease_grant,
    .lease_extend = lease_extend,
    .lease_revoke = lease_revoke,
    .lease_bury = lease_bury,
    .lease_list = mem_lease_list,
    .list_held = mem_list_held,
    .lock_acquire = lock_acquire,
    .lock_extend = lock_extend,
    .lock_release = lock_release,
    .lock_query = lock_query,
    .commit = commit,
    .claim = claim,
    .retrieve = mem_retrieve,
    .retrieve_records = mem_retrieve_records,
    .retrieve_slots = mem_retrieve_slots,
    .list_expired = mem_list_expired,
    .list = mem_list,
    .cell_get = mem_cell_get,
    .purge = mem_purge,
    .verify = mem_verify,
    .wait = wait_for,
    .notify = notify,
};

KEDGE_BACKEND_DEFINE(mem, mem_ops);
