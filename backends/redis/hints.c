/* hints.c - is somebody still there behind a lease?  See hints.h for the invariants. */
#include <config.h>

#include "hints.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define MEND_TIME_US INT64_C(2000000)

struct own {
    struct own *next;
    struct kedge_id128 lease;
};

/* An absent hint and since when. */
struct absent {
    struct absent *next;
    struct kedge_id128 lease;
    uint64_t id[2];
    int64_t since;
};

struct rd_hints {
    struct rd_store *store;
    struct rd_link link;
    pthread_mutex_t lock; /* over all below */
    pthread_cond_t free;
    bool busy; /* somebody uses the link */
    struct own *own;
    struct absent *absent;
    int64_t mass_since; /* 0: no such thing */
    int allowed;        /* to look: 0 not tried, 1, -1 no */
    bool watched;       /* the thread is there */
    bool stop;
    pthread_t watcher;
    int wake_fd;
};

/* ------------------------------------------------------- the link, one at a time */

static int enter(struct rd_hints *h, int64_t deadline, struct kedge_error *err)
{
    struct timespec until = { (time_t)(deadline / 1000000), (long)(deadline % 1000000) * 1000 };
    int rc = 0;

    (void)pthread_mutex_lock(&h->lock);
    while (h->busy && rc == 0)
        rc = pthread_cond_timedwait(&h->free, &h->lock, &until);
    if (!h->busy)
        rc = 0;
    h->busy = h->busy || rc == 0;
    (void)pthread_mutex_unlock(&h->lock);
    return rc == 0 ? KEDGE_OK
                   : kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, ETIMEDOUT,
                                     "another thread is still waiting for Redis (%s)",
                                     h->store->params.place);
}

static void wake(struct rd_hints *h)
{
    uint64_t one = 1;

    if (h->wake_fd >= 0 && write(h->wake_fd, &one, sizeof one) < 0)
        (void)errno; /* it is full, which wakes too */
}

static void leave(struct rd_hints *h, int fd_before)
{
    int fd = h->link.conn.ctx != NULL ? h->link.conn.ctx->fd : -1;

    (void)pthread_mutex_lock(&h->lock);
    h->busy = false;
    (void)pthread_cond_signal(&h->free);
    (void)pthread_mutex_unlock(&h->lock);
    if (fd != fd_before)
        wake(h);
}

static int fd_of(const struct rd_hints *h)
{
    return h->link.conn.ctx != NULL ? h->link.conn.ctx->fd : -1;
}

/* --------------------------------------------------------------------- leases */

static struct own **find_own(struct rd_hints *h, const struct kedge_id128 *lease)
{
    struct own **at = &h->own;

    while (*at != NULL && !kit_id_equal(&(*at)->lease, lease))
        at = &(*at)->next;
    return at;
}

/* Without memory it is merely not mended when the connection breaks. */
static void add_own(struct rd_hints *h, const struct kedge_id128 *lease)
{
    struct own *o;

    (void)pthread_mutex_lock(&h->lock);
    if (*find_own(h, lease) == NULL && (o = calloc(1, sizeof *o)) != NULL) {
        o->lease = *lease;
        o->next = h->own;
        h->own = o;
    }
    (void)pthread_mutex_unlock(&h->lock);
}

static struct absent **find_absent(struct rd_hints *h, const struct kedge_id128 *lease)
{
    struct absent **at = &h->absent;

    while (*at != NULL && !kit_id_equal(&(*at)->lease, lease))
        at = &(*at)->next;
    return at;
}

static void forget_absent(struct absent **at)
{
    struct absent *a = *at;

    if (a != NULL) {
        *at = a->next;
        free(a);
    }
}

void rd_hints_forget(struct rd_hints *h, const struct kedge_id128 *lease)
{
    struct own **at;

    (void)pthread_mutex_lock(&h->lock);
    at = find_own(h, lease);
    if (*at != NULL) {
        struct own *o = *at;

        *at = o->next;
        free(o);
    }
    forget_absent(find_absent(h, lease));
    (void)pthread_mutex_unlock(&h->lock);
}

static void hint_bytes(const struct rd_conn *conn, unsigned char out[24])
{
    bool known = conn->id != 0 && conn->incarnation != 0;

    rd_put_u64(out, known ? conn->id : 0);
    rd_put_u64(out + 8, known ? conn->incarnation : 0);
    rd_put_u64(out + 16, conn->incarnation);
}

/* The script `extend' for one lease, with the hint of the connection that carries it. */
static int extend_once(struct rd_hints *h, const struct kedge_id128 *lease, bool deadline_too,
                       redisReply **reply, int64_t deadline, struct kedge_error *err)
{
    struct rd_arena arena = { .host = h->store->host };
    struct rd_list keys = { 0 };
    struct rd_list args = { 0 };
    struct rd_cmd cmd = { 0 };
    unsigned char hint[24];
    int rc = rd_link_ready(&h->link, deadline, err);

    if (rc != KEDGE_OK)
        return rc;
    hint_bytes(&h->link.conn, hint);
    rd_list_add(&arena, &keys, rd_key_lease(&arena, h->store->params.prefix, 'l', lease));
    rd_list_add(&arena, &keys,
                rd_key(&arena, h->store->params.prefix, 'z', (struct kedge_bytes){ NULL, 0 }));
    rd_list_add(&arena, &args, (struct kedge_bytes){ hint, sizeof hint });
    rd_list_add_number(&arena, &args, deadline_too ? 1 : 0);
    rd_cmd_call(&arena, &cmd, &h->store->scripts[RD_SCRIPT_EXTEND], &keys, &args);
    rc = arena.failed
             ? rd_no_memory(err)
             : rd_call_one(&h->link, &cmd, reply, REDIS_REPLY_ARRAY, 1, RD_WRITES, deadline, err);
    rd_cmd_free(&cmd);
    rd_list_free(&keys);
    rd_list_free(&args);
    rd_arena_free(&arena);
    return rc;
}

static bool has_lease(const redisReply *r)
{
    return r->elements == 2 && r->element[1]->type == REDIS_REPLY_STRING;
}

/* The link is ours.  A call that met a broken connection may have registered the old one. */
static int extend_ours(struct rd_hints *h, const struct kedge_id128 *lease, bool deadline_too,
                       redisReply **reply, int64_t deadline, struct kedge_error *err)
{
    int rc = rd_link_ready(&h->link, deadline, err);
    uint64_t id = h->link.conn.id;

    if (rc == KEDGE_OK)
        rc = extend_once(h, lease, deadline_too, reply, deadline, err);
    if (rc == KEDGE_ERR_UNKNOWN) /* once more does no harm */
        rc = extend_once(h, lease, deadline_too, reply, deadline, err);
    if (rc == KEDGE_OK && h->link.conn.id != id && h->link.conn.ctx != NULL) {
        freeReplyObject(*reply);
        rc = extend_once(h, lease, deadline_too, reply, deadline, err);
    }
    if (rc != KEDGE_OK)
        return rc == KEDGE_ERR_UNKNOWN ? KEDGE_ERR_UNAVAILABLE : rc;
    if (has_lease(*reply))
        return KEDGE_OK;
    freeReplyObject(*reply);
    *reply = NULL;
    return KEDGE_LOST;
}

int rd_hints_extend(struct rd_hints *h, const struct kedge_id128 *lease, redisReply **reply,
                    int64_t deadline, struct kedge_error *err)
{
    int rc = enter(h, deadline, err);
    int fd;

    if (rc != KEDGE_OK)
        return rc;
    fd = fd_of(h);
    rc = extend_ours(h, lease, true, reply, deadline, err);
    leave(h, fd);
    if (rc == KEDGE_OK)
        add_own(h, lease);
    else if (rc == KEDGE_LOST)
        rd_hints_forget(h, lease);
    if (rc < 0 && err != NULL)
        err->code = rc;
    return rc;
}

int rd_hints_register(struct rd_hints *h, const struct kedge_id128 *lease, uint64_t hint[3],
                      int64_t deadline, struct kedge_error *err)
{
    unsigned char bytes[24];
    int rc = enter(h, deadline, err);
    int fd;

    if (rc != KEDGE_OK)
        return rc;
    fd = fd_of(h);
    rc = rd_link_ready(&h->link, deadline, err);
    hint_bytes(&h->link.conn, bytes);
    leave(h, fd);
    if (rc != KEDGE_OK)
        return rc;
    hint[0] = rd_get_u64(bytes);
    hint[1] = rd_get_u64(bytes + 8);
    hint[2] = rd_get_u64(bytes + 16);
    add_own(h, lease);
    return KEDGE_OK;
}

/* -------------------------------------------------------------------- watching */

/* Since when this server process is at work is known from the first that meets it on.  No replica
   need know: a server that takes its place is another one. */
static int meet_server(struct rd_hints *h, int64_t deadline, struct kedge_error *err)
{
    struct rd_arena arena = { .host = h->store->host };
    struct rd_list keys = { 0 };
    struct rd_list args = { 0 };
    struct rd_cmd cmd = { 0 };
    unsigned char incarnation[8];
    redisReply *r = NULL;
    int rc = rd_link_ready(&h->link, deadline, err);

    if (rc != KEDGE_OK || h->link.conn.incarnation == 0)
        return rc;
    rd_put_u64(incarnation, h->link.conn.incarnation);
    rd_list_add(&arena, &keys,
                rd_key(&arena, h->store->params.prefix, 'i', (struct kedge_bytes){ NULL, 0 }));
    rd_list_add(&arena, &args, (struct kedge_bytes){ incarnation, sizeof incarnation });
    rd_cmd_call(&arena, &cmd, &h->store->scripts[RD_SCRIPT_SEEN], &keys, &args);
    rc = arena.failed
             ? rd_no_memory(err)
             : rd_call_one(&h->link, &cmd, &r, REDIS_REPLY_STRING, 0, RD_READS, deadline, err);
    rd_replies_free(&r, 1);
    rd_cmd_free(&cmd);
    rd_list_free(&keys);
    rd_list_free(&args);
    rd_arena_free(&arena);
    return rc;
}

static bool nth_own(struct rd_hints *h, size_t n, struct kedge_id128 *out)
{
    struct own *o;

    (void)pthread_mutex_lock(&h->lock);
    for (o = h->own; o != NULL && n > 0; o = o->next)
        n--;
    if (o != NULL)
        *out = o->lease;
    (void)pthread_mutex_unlock(&h->lock);
    return o != NULL;
}

/* The connection broke: another one, and the hints of all our leases with it.  false: not yet. */
static bool mend(struct rd_hints *h)
{
    int64_t deadline = rd_mono_us() + MEND_TIME_US;
    struct kedge_error err;
    struct kedge_id128 lease;
    int rc = enter(h, deadline, &err);
    int fd;

    if (rc != KEDGE_OK)
        return false;
    fd = fd_of(h);
    rc = meet_server(h, deadline, &err);
    for (size_t i = 0; rc == KEDGE_OK && nth_own(h, i, &lease); i++) {
        redisReply *r = NULL;

        rc = extend_ours(h, &lease, false, &r, deadline, &err);
        if (rc == KEDGE_LOST)
            rc = KEDGE_OK; /* its next extend tells */
        rd_replies_free(&r, 1);
    }
    leave(h, fd);
    return rc == KEDGE_OK;
}

/* A descriptor of our own: the connection may be closed and another one opened meanwhile. */
static int watched_fd(struct rd_hints *h, bool *stop, bool *lame)
{
    int fd = -1;

    (void)pthread_mutex_lock(&h->lock);
    *stop = h->stop;
    *lame = false;
    if (!h->busy && !h->stop) {
        *lame = h->link.conn.ctx == NULL;
        if (!*lame)
            fd = fcntl(h->link.conn.ctx->fd, F_DUPFD_CLOEXEC, 3);
    }
    (void)pthread_mutex_unlock(&h->lock);
    return fd;
}

static void drain(int fd)
{
    uint64_t n;

    if (read(fd, &n, sizeof n) < 0)
        (void)errno;
}

static void *watch(void *arg)
{
    struct rd_hints *h = arg;
    bool stop;
    bool lame;

    for (;;) {
        int fd = watched_fd(h, &stop, &lame);
        struct pollfd p[2] = { { .fd = h->wake_fd, .events = POLLIN },
                               { .fd = fd, .events = POLLRDHUP } };
        int n = 0;

        if (!stop && !lame) /* while somebody uses the link, look again in a little */
            n = poll(p, 2, fd >= 0 ? -1 : 50);
        if (fd >= 0)
            (void)close(fd);
        if (stop)
            return NULL;
        if (n > 0 && (p[0].revents & POLLIN) != 0)
            drain(h->wake_fd);
        else if ((lame || (n > 0 && p[1].revents != 0)) && !mend(h))
            (void)poll(p, 1, 100);
    }
}

static bool start_watcher(struct rd_hints *h)
{
    sigset_t all;
    sigset_t before;
    int rc;

    h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (h->wake_fd < 0)
        return false;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&h->watcher, NULL, watch, h);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    h->watched = rc == 0;
    return h->watched;
}

int rd_hints_start(struct rd_hints *h, int64_t deadline, struct kedge_error *err)
{
    int rc = meet_server(h, deadline, err);

    if (rc == KEDGE_OK && !start_watcher(h))
        rc = kedge_error_set(err, KEDGE_ERR_NOMEM, errno, "no thread to watch a connection with");
    return rc;
}

/* -------------------------------------------------------------------- made, gone */

struct rd_hints *rd_hints_new(struct rd_store *store)
{
    struct rd_hints *h = calloc(1, sizeof *h);
    pthread_condattr_t attr;

    if (h == NULL)
        return NULL;
    h->store = store;
    h->link.store = store;
    h->wake_fd = -1;
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&h->free, &attr);
    (void)pthread_condattr_destroy(&attr);
    return h;
}

struct rd_link *rd_hints_link(struct rd_hints *h)
{
    return &h->link;
}

static void stop_watcher(struct rd_hints *h)
{
    (void)pthread_mutex_lock(&h->lock);
    h->stop = true;
    (void)pthread_mutex_unlock(&h->lock);
    wake(h);
    (void)pthread_join(h->watcher, NULL);
}

void rd_hints_free(struct rd_hints *h)
{
    if (h == NULL)
        return;
    if (h->store->pid == getpid()) { /* a forked child has neither the thread nor the locks */
        if (h->watched)
            stop_watcher(h);
        (void)pthread_cond_destroy(&h->free);
        (void)pthread_mutex_destroy(&h->lock);
    }
    rd_link_close(&h->link);
    if (h->wake_fd >= 0)
        (void)close(h->wake_fd);
    while (h->own != NULL) {
        struct own *o = h->own;

        h->own = o->next;
        free(o);
    }
    while (h->absent != NULL)
        forget_absent(&h->absent);
    free(h);
}

/* --------------------------------------------------------------------- looking */

static int64_t absent_for(struct rd_hints *h, const struct kit_lease *lease)
{
    struct absent **at = find_absent(h, &lease->l.id);
    struct absent *a = *at;
    int64_t now = rd_mono_us();

    if (a == NULL) {
        a = calloc(1, sizeof *a);
        if (a == NULL)
            return 0;
        a->lease = lease->l.id;
        a->next = h->absent;
        h->absent = a;
    } else if (a->id[0] == lease->hint_id[0] && a->id[1] == lease->hint_id[1]) {
        return now - a->since;
    }
    memcpy(a->id, lease->hint_id, sizeof a->id);
    a->since = now;
    return 0;
}

/* Is "id=NUMBER " the beginning of a line? */
static bool is_listed(const redisReply *list, uint64_t id)
{
    char want[32];
    size_t len = (size_t)snprintf(want, sizeof want, "id=%" PRIu64 " ", id);

    for (const char *p = list->str; p != NULL && *p != '\0'; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, want, len) == 0)
            return true;
    }
    return false;
}

/* In one line of a CLIENT LIST, up to END. */
static bool client_is(const char *line, const char *end, const struct rd_params *params)
{
    size_t len = strlen(params->tag);
    const char *name = strstr(line, " name=kedge:");
    const char *db = strstr(line, " db=");

    if (name == NULL || db == NULL || name > end || db > end)
        return false;
    name += strlen(" name=kedge:");
    return strncmp(name, params->tag, len) == 0 && name[len] == ' ' &&
           strtoul(db + strlen(" db="), NULL, 10) == params->db;
}

bool rd_clients_named(const redisReply *list, const struct rd_params *params, uint64_t except)
{
    const char *line = list->str;

    while (line != NULL && *line != '\0') {
        const char *end = line + strcspn(line, "\n");

        if (strncmp(line, "id=", 3) == 0 && strtoull(line + 3, NULL, 10) != except &&
            client_is(line, end, params))
            return true;
        line = end + (*end == '\n');
    }
    return false;
}

/* CLIENT LIST of the connections behind these leases.  *reply is NULL when it may not be had. */
static int ask_clients(struct rd_session *s, const struct kit_lease *leases, size_t n,
                       redisReply **reply, int64_t deadline, struct kedge_error *err)
{
    struct rd_hints *h = s->store->hints;
    struct rd_cmd *cmd = &s->cmds[0];
    bool any = false;
    int rc;

    *reply = NULL;
    rd_cmd_begin(cmd, "CLIENT");
    rd_arg_text(&s->arena, cmd, "LIST");
    rd_arg_text(&s->arena, cmd, "ID");
    for (size_t i = 0; i < n; i++)
        if (leases[i].l.state != KEDGE_LEASE_DEAD && leases[i].hint_id[0] != 0) {
            rd_arg_number(&s->arena, cmd, leases[i].hint_id[0]);
            any = true;
        }
    if (!any)
        return KEDGE_OK;
    rc = s->arena.failed ? rd_no_memory(err)
                         : rd_call(&s->link, &cmd, 1, reply, RD_READS, deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    (void)pthread_mutex_lock(&h->lock);
    h->allowed = (*reply)->type == REDIS_REPLY_STRING ? 1 : -1;
    (void)pthread_mutex_unlock(&h->lock);
    if ((*reply)->type != REDIS_REPLY_STRING)
        rd_replies_free(reply, 1);
    return KEDGE_OK;
}

int rd_hints_look(struct rd_session *s, const struct kit_lease *leases, size_t n, uint32_t *hint,
                  int64_t *absent_us, int64_t deadline, struct kedge_error *err)
{
    struct rd_hints *h = s->store->hints;
    redisReply *r;
    int rc = ask_clients(s, leases, n, &r, deadline, err);

    if (rc != KEDGE_OK)
        return rc;
    (void)pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < n; i++) {
        const struct kit_lease *l = &leases[i];

        hint[i] = KEDGE_HINT_NONE;
        absent_us[i] = 0;
        if (r == NULL || l->l.state == KEDGE_LEASE_DEAD || l->hint_id[0] == 0 ||
            s->link.conn.incarnation == 0) {
            forget_absent(find_absent(h, &l->l.id));
        } else if (l->hint_id[1] == s->link.conn.incarnation && is_listed(r, l->hint_id[0])) {
            forget_absent(find_absent(h, &l->l.id));
            hint[i] = KEDGE_HINT_PRESENT;
        } else {
            hint[i] = KEDGE_HINT_ABSENT;
            absent_us[i] = absent_for(h, l);
        }
    }
    (void)pthread_mutex_unlock(&h->lock);
    rd_replies_free(&r, 1);
    return KEDGE_OK;
}

int64_t rd_hints_mass(struct rd_hints *h, size_t live, size_t absent, int64_t longest_ttl_us)
{
    int64_t now = rd_mono_us();
    int64_t mass;

    (void)pthread_mutex_lock(&h->lock);
    mass = kit_hints_mass(&h->mass_since, now, live, absent, longest_ttl_us);
    (void)pthread_mutex_unlock(&h->lock);
    return mass;
}

const char *rd_hints_allowed(struct rd_hints *h)
{
    int allowed;

    (void)pthread_mutex_lock(&h->lock);
    allowed = h->allowed;
    (void)pthread_mutex_unlock(&h->lock);
    return allowed > 0 ? "yes" : (allowed < 0 ? "no" : "not tried");
}
