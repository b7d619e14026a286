/* inspect_workers.c - who works here, and which locks are held */
#include <config.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "conform/fault_backend.h"
#include "inspect.h"

/* ----------------------------------------------------------------- workers to ask for */

struct found {
    const char *owner; /* NULL: any */
    int n;
    struct kedge_worker_info info; /* the last one; its bytes are gone */
    char serves[512];
    char owners[512];
};

static int find(void *ctx, const struct kedge_worker_info *info)
{
    struct found *f = ctx;
    char owner[300];
    size_t len;

    (void)snprintf(owner, sizeof owner, "%.*s", (int)info->owner.len,
                   (const char *)info->owner.data);
    if (f->owner != NULL && strcmp(f->owner, owner) != 0)
        return 0;
    f->n++;
    f->info = *info;
    f->serves[0] = '\0';
    for (size_t i = 0; i < info->n_serves; i++) {
        const struct kedge_served *s = &info->serves[i];

        len = strlen(f->serves);
        (void)snprintf(f->serves + len, sizeof f->serves - len, "%.*s/%.*s/%u-%u ",
                       (int)s->queue.len, (const char *)s->queue.data, (int)s->reactor.len,
                       (const char *)s->reactor.data, (unsigned)s->version_min,
                       (unsigned)s->version_max);
    }
    len = strlen(f->owners);
    (void)snprintf(f->owners + len, sizeof f->owners - len, "[%s]", owner);
    return 0;
}

static struct found found(const char *owner)
{
    struct found f = { .owner = owner };

    must(kedge_worker_list(store, find, &f, PATIENCE, &err), "worker list");
    return f;
}

uint32_t worker_state(const char *full)
{
    struct found f = found(full);

    return f.n > 0 ? f.info.state : 0;
}

void purge_all(void)
{
    struct kedge_purged purged = { .more = 1 };
    void *session = session_of();

    while (purged.more != 0)
        must(kedge_store_ops(store)->purge(session, 1000, &purged, PATIENCE, &err), "purge");
    kedge_store_ops(store)->session_close(session);
}

/* ----------------------------------------------------------------------- workers */

/* A callback may use the store, and ends the walk. */
static int first_only(void *ctx, const struct kedge_worker_info *info)
{
    (void)info;
    ++*(int *)ctx;
    if (found(NULL).n != 2)
        bail("a callback sees another list");
    return 42;
}

static void by_id(void)
{
    struct kedge_worker *more[2] = { idle(reactor_of("bystander"), NULL),
                                     idle(reactor_of("bystander"), "other") };
    struct found f = found(program());
    int n = 0;

    ok(f.n == 2, "two workers of one process are two");
    ok(kedge_worker_list(store, first_only, &n, PATIENCE, &err) == 42 && n == 1,
       "a callback may use the store, and ends the walk");
    kedge_worker_close(more[0], 0);
    kedge_worker_close(more[1], 0);
}

static void alive_and_closed(void)
{
    char full[300];
    struct kedge_worker *other = idle(reactor_of("bystander"), "other");
    struct found f = found(program());
    struct crew crew;
    const char *id;

    ok(f.n == 1 && strcmp(f.serves, "other/bystander/1-1 ") == 0 && f.info.runs == 0 &&
           f.info.state == KEDGE_WORKER_ALIVE,
       "a worker that is open: %s", f.serves);
    kedge_worker_close(other, 0);
    ok(worker_state(program()) == KEDGE_WORKER_DEAD, "... is dead when it has closed");
    purge_all();
    ok(found(NULL).n == 0, "... and gone with the next sweep");
    atomic_store(&ACT('b')->hold, 1);
    hire_named(&crew, "smith", full);
    id = begin("pool", 0);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    (void)begin("pool", HOUR);
    f = found(full);
    ok(f.n == 1 && f.info.runs == 1 && f.info.locks == 0, "its label: %s; it holds a run", full);
    ok(strstr(f.serves, "default/loop/1-1 ") != NULL &&
           strstr(f.serves, "default/wide/1-1 ") != NULL,
       "... and serves %s", f.serves);
    ok(f.info.granted > 0 && f.info.ttl_us == 10 * SECONDS && f.info.remaining_us > 0 &&
           f.info.remaining_us <= f.info.ttl_us,
       "... it is known since when, and how long its word counts");
    ok(found(NULL).n == 1, "there is no other");
    atomic_store(&ACT('b')->hold, 0);
    ok(wait_for(id) == KEDGE_COMPLETED && found(full).info.runs == 0,
       "a run that ended is not held");
    dismiss(&crew);
    acts_reset();
    purge_all();
    by_id();
    purge_all();
}

static uint32_t of_the_lost(void)
{
    return shared && hinted ? KEDGE_WORKER_GONE : KEDGE_WORKER_LAPSED;
}

/* Killed: gone, or lapsed where nobody can know; then dead. */
static void dying(void)
{
    const char *id = begin("pool", 0);
    char owner[512] = "";
    struct found f;

    die_in(id, 'b', false);
    acts_reset();
    AWAIT(found(NULL).info.state == of_the_lost());
    f = found(NULL);
    ok(f.n == 1 && f.info.state == of_the_lost(), "a worker that was killed is %s",
       kedge_worker_state_text(f.info.state));
    ok(f.info.runs == 1, "... and holds its run");
    (void)snprintf(owner, sizeof owner, "%s", f.owners);
    bury_only(id);
    f = found(NULL);
    ok(f.n == 1 && f.info.state == KEDGE_WORKER_DEAD && f.info.runs == 1 &&
           f.info.remaining_us == 0 && strcmp(owner, f.owners) == 0,
       "... then dead, and holds it until somebody takes it");
    purge_all();
    ok(found(NULL).n == 1, "... so long it stays");
    buried(id);
    purge_all();
    ok(found(NULL).n == 0, "... and no longer");
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
}

static void frozen(void)
{
    const char *id;
    struct found f;
    pid_t pid;

    if (!shared) {
        skip("a frozen process", "a store in memory has one process");
        return;
    }
    id = begin("pool", 0);
    pid = busy(id);
    AWAIT(found(NULL).info.state == KEDGE_WORKER_ALIVE);
    freeze(pid);
    f = found(NULL);
    ok(f.n == 1 && f.info.state == KEDGE_WORKER_LAPSED && f.info.runs == 1 &&
           f.info.remaining_us == 0,
       "a process that is stopped lapses");
    (void)kill(pid, SIGCONT);
    AWAIT(found(NULL).info.state == KEDGE_WORKER_ALIVE);
    ok(true, "... and comes back");
    put_down(pid);
    ok(found(NULL).info.state == of_the_lost(), "... killed it is gone");
    buried(id);
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
    purge_all();
}

void cases_workers(void)
{
    alive_and_closed();
    dying();
    frozen();
}

/* -------------------------------------------------------------------------- locks */

struct held {
    int n;
    char text[512];
    int64_t remaining_us;
};

static int note_lock(void *ctx, const struct kedge_lock_info *lock)
{
    struct held *h = ctx;
    size_t len = strlen(h->text);

    h->n++;
    h->remaining_us = lock->remaining_us;
    for (size_t i = 0; i < lock->name.len; i++)
        len += (size_t)snprintf(h->text + len, sizeof h->text - len, "%02x",
                                ((const unsigned char *)lock->name.data)[i]);
    (void)snprintf(h->text + len, sizeof h->text - len, "@%llu by %.*s (%s) ",
                   (unsigned long long)lock->fence, (int)lock->owner.len,
                   (const char *)lock->owner.data, kedge_worker_state_text(lock->state));
    return 0;
}

static int stop_at_once(void *ctx, const struct kedge_lock_info *lock)
{
    (void)lock;
    ++*(int *)ctx;
    if (found(NULL).n == 0)
        bail("a callback cannot use the store");
    return 42;
}

static struct held locks(void)
{
    struct held h = { 0 };

    must(kedge_lock_list(store, note_lock, &h, PATIENCE, &err), "lock list");
    return h;
}

static uint64_t lock_under(const struct kedge_id128 *lease, struct kedge_bytes name)
{
    struct kedge_lock_state state;
    struct kedge_id128 request = *lease; /* any that is not zero, and used once for a lock */
    void *session = session_of();

    must(kedge_store_ops(store)->lock_acquire(session, name, lease, &request, &state, PATIENCE,
                                              &err),
         "lock");
    kedge_store_ops(store)->session_close(session);
    return state.fence;
}

static void lock_of_holder(const char *id)
{
    struct kedge_run_info *info = info_of(id);
    struct kedge_id128 lease;

    memcpy(lease.b, info->holder, sizeof lease.b);
    kedge_run_info_free(info);
    (void)lock_under(&lease, kedge_text("lock"));
}

void cases_locks(void)
{
    static const unsigned char second[] = { 0, 0xff };
    struct kedge_id128 lease;
    unsigned long long fences[2];
    char expected[512];
    char full[300];
    struct crew crew;
    const char *id;
    const char *gone;
    struct held h;
    int n = 0;

    ok(locks().n == 0, "no lock is held");
    hire_named(&crew, "smith", full);
    memcpy(lease.b, found(full).info.id, sizeof lease.b);
    fences[0] = lock_under(&lease, kedge_text("a"));
    fences[1] = lock_under(&lease, (struct kedge_bytes){ second, sizeof second });
    h = locks();
    (void)snprintf(expected, sizeof expected, "61@%llu by %s (alive) ", fences[0], full);
    ok(h.n == 2 && strstr(h.text, expected) != NULL, "a lock that is held: %s", expected);
    (void)snprintf(expected, sizeof expected, "00ff@%llu by %s (alive) ", fences[1], full);
    ok(strstr(h.text, expected) != NULL && h.remaining_us > 0, "... another: %s", expected);
    ok(found(full).info.locks == 2 && found(full).info.runs == 0, "... the worker has both");
    ok(kedge_lock_list(store, stop_at_once, &n, PATIENCE, &err) == 42 && n == 1,
       "a callback may use the store, and ends the walk");
    dismiss(&crew);
    ok(locks().n == 0, "a worker that closes lets go of them");
    id = begin("pool", 0);
    lose(id, lock_of_holder);
    gone = of_the_lost() == KEDGE_WORKER_GONE ? "(gone) " : "(lapsed) ";
    AWAIT(strstr(locks().text, gone) != NULL);
    h = locks();
    ok(h.n == 1 && strstr(h.text, gone) != NULL, "a lock of one who is gone: %s", h.text);
    bury_only(id);
    purge_all();
    h = locks();
    ok(h.n == 1 && h.remaining_us == 0 && strstr(h.text, "6c6f636b@") == h.text &&
           strstr(h.text, "(dead) ") != NULL,
       "... of one who is dead: %s", h.text);
    buried(id);
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
}
