/* mutant.c - which defect, and what defects are made of; see mutant.h */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "mutant.h"

#include "../kit/url.h"

const char *const wrap_name = "mutant";

static const struct {
    const char *id;
    const struct mutant_kind *kind;
} kinds[] = {
#define MUTANT(id, ...) { #id, &mutant_##id },
#define SWITCH(...)
#define ALSO(...)
#include "mutants.def"
#undef MUTANT
#undef SWITCH
#undef ALSO
};

#define N_KINDS (sizeof kinds / sizeof kinds[0])

/* ------------------------------------------------------------------- settings */

/* Those there are, by number: " m01 m03-m08 ...". */
static int list_kinds(struct kedge_error *err)
{
    bool there[1000] = { false };
    char all[800];
    size_t used = 0;

    for (size_t i = 0; i < N_KINDS; i++)
        there[strtoul(kinds[i].id + 1, NULL, 10) % 1000] = true;
    all[0] = '\0';
    for (unsigned i = 0, end; i < 1000 && used + 16 < sizeof all; i = end + 1) {
        for (end = i; end + 1 < 1000 && there[i] && there[end + 1]; end++)
            ;
        if (there[i] && end == i)
            used += (size_t)snprintf(all + used, sizeof all - used, " m%02u", i);
        else if (there[i])
            used += (size_t)snprintf(all + used, sizeof all - used, " m%02u-m%02u", i, end);
    }
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "%s: say which defect, like %s,%s+URL; there are%s", wrap_name,
                           wrap_name, kinds[0].id, all);
}

static const struct mutant_kind *find_kind(struct kedge_bytes id)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (kedge_url_is(id, kinds[i].id))
            return kinds[i].kind;
    return NULL;
}

int wrap_self_open(const struct kedge_host *host, struct kedge_bytes settings, void **self,
                   struct kedge_error *err)
{
    struct kedge_bytes key;
    struct kedge_bytes value;
    const struct mutant_kind *kind = NULL;
    struct mutant *m;

    if (wrap_setting(&settings, &key, &value) && value.len == 0)
        kind = find_kind(key);
    if (kind == NULL || wrap_setting(&settings, &key, &value))
        return list_kinds(err);
    m = host->alloc(host->ctx, sizeof *m);
    if (m == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    memset(m, 0, sizeof *m);
    m->host = host;
    m->kind = kind;
    m->pid = (long)getpid();
    atomic_init(&m->count, 0);
    if (pthread_mutex_init(&m->lock, NULL) != 0) {
        host->release(host->ctx, m);
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "no mutex");
    }
    *self = m;
    return KEDGE_OK;
}

void wrap_self_close(void *self)
{
    struct mutant *m = self;

    (void)pthread_mutex_destroy(&m->lock);
    m->host->release(m->host->ctx, m);
}

/* ---------------------------------------------------------------------- calls */

static const struct kedge_backend_ops any_commit = { .commit = mutant_commit };

enum wrap_verdict wrap_before(struct wrap_call *call)
{
    const struct mutant_kind *kind = mutant_of(&call->below)->kind;
    enum wrap_verdict verdict = kind->before != NULL ? kind->before(call) : WRAP_GO;

    if (call->op >= WRAP_SESSION_OPS)
        return verdict;
    call->instead = &kind->ops;
    if (call->op == WRAP_commit && kind->ops.commit == NULL)
        call->instead = &any_commit;
    return verdict;
}

void wrap_after(struct wrap_call *call)
{
    const struct mutant_kind *kind = mutant_of(&call->below)->kind;

    if (kind->after != NULL)
        kind->after(call);
}

/* -------------------------------------------------------------------- commits */

struct copy {
    struct kedge_commit *commits;
    struct kedge_guard *guards;
    struct kedge_change *changes;
};

static void free_copy(struct copy *copy)
{
    free(copy->commits);
    free(copy->guards);
    free(copy->changes);
}

/* An array is made also where there is nothing to be in it. */
static bool make_copy(struct copy *copy, const struct kedge_commit *commits, size_t n)
{
    size_t guards = 0;
    size_t changes = 0;

    for (size_t i = 0; i < n; i++) {
        guards += commits[i].n_guards;
        changes += commits[i].n_changes;
    }
    copy->commits = calloc(n + 1, sizeof *copy->commits);
    copy->guards = calloc(guards + 1, sizeof *copy->guards);
    copy->changes = calloc(changes + 1, sizeof *copy->changes);
    if (copy->commits != NULL && copy->guards != NULL && copy->changes != NULL)
        return true;
    free_copy(copy);
    return false;
}

static void cut_one(const struct mutant_cut *cut, struct kedge_commit *to, struct kedge_guard *g,
                    struct kedge_change *c)
{
    const struct mutant_kind *kind = cut->m->kind;

    *to = *cut->commit;
    if (kind->request != NULL)
        kind->request(cut, &to->request);
    to->guards = g;
    to->changes = c;
    for (size_t i = 0; i < to->n_guards; i++) {
        g[i] = cut->commit->guards[i];
        if (kind->guard != NULL)
            kind->guard(cut, &g[i]);
    }
    for (size_t i = 0; i < to->n_changes; i++) {
        c[i] = cut->commit->changes[i];
        if (kind->change != NULL)
            kind->change(cut, &c[i]);
    }
}

int mutant_commit(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    struct mutant_cut cut = { b, mutant_of(&b), NULL };
    const struct mutant_kind *kind = cut.m->kind;
    struct copy copy;
    struct kedge_guard *g;
    struct kedge_change *c;
    int rc;

    if (!make_copy(&copy, commits, n))
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    g = copy.guards;
    c = copy.changes;
    for (size_t i = 0; i < n; i++) {
        cut.commit = &commits[i];
        cut_one(&cut, &copy.commits[i], g, c);
        g += commits[i].n_guards;
        c += commits[i].n_changes;
    }
    rc = b.ops->commit(b.session, copy.commits, n, answers, timeout_us, err);
    for (size_t i = 0; rc == KEDGE_OK && kind->answer != NULL && i < n; i++) {
        cut.commit = &commits[i];
        kind->answer(&cut, &answers[i]);
    }
    free_copy(&copy);
    return rc;
}

/* ------------------------------------------------------------------- defects */

bool mutant_same(struct kedge_bytes a, struct kedge_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool mutant_same_id(const struct kedge_id128 *a, const struct kedge_id128 *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

struct kedge_id128 mutant_new_id(void)
{
    static _Atomic uint64_t made;
    struct timespec ts;
    struct kedge_id128 id;
    uint64_t parts[2];

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    parts[0] = (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
    parts[1] = (uint64_t)getpid() << 40 | (atomic_fetch_add(&made, 1) + 1);
    memcpy(id.b, parts, sizeof id.b);
    return id;
}

void mutant_pause(int64_t us)
{
    struct timespec ts = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        ;
}

struct kedge_guard mutant_always(void)
{
    return (struct kedge_guard){ .kind = KEDGE_GUARD_TIME, .from = INT64_MIN, .to = INT64_MAX };
}

struct kedge_change mutant_nothing(void)
{
    return (struct kedge_change){ .kind = KEDGE_CELL_DELETE, .name = { "\0never there", 12 } };
}

int mutant_send(const struct wrap_below *b, const struct kedge_guard *guards, size_t n_guards,
                const struct kedge_change *changes, size_t n_changes)
{
    struct kedge_commit commit = { mutant_new_id(), guards, n_guards, changes, n_changes, NULL };
    struct kedge_answer answer = { .outcome = KEDGE_ERR_UNKNOWN };
    int rc = b->ops->commit(b->session, &commit, 1, &answer, MUTANT_PATIENCE, NULL);

    return rc == KEDGE_OK ? answer.outcome : rc;
}

int mutant_head(const struct wrap_below *b, struct kedge_bytes id, struct kedge_run_state *st)
{
    struct kedge_retrieve in = { .id = id };

    memset(st, 0, sizeof *st);
    return b->ops->retrieve(b->session, &in, st, MUTANT_PATIENCE, NULL);
}

void mutant_free(const struct wrap_below *b, struct kedge_mem *mem)
{
    kedge_mem_free(b->host, mem);
}

bool mutant_lease(const struct wrap_below *b, const struct kedge_id128 *id,
                  struct kedge_lease *lease)
{
    struct kedge_bytes cursor = { NULL, 0 };
    struct kedge_mem *last = NULL;
    bool found = false;

    do {
        struct kedge_lease_page page = { .mem = NULL };

        if (b->ops->lease_list(b->session, cursor, 100, &page, MUTANT_PATIENCE, NULL) != KEDGE_OK)
            break;
        for (size_t i = 0; i < page.n && !found; i++)
            if (mutant_same_id(&page.leases[i].id, id)) {
                *lease = page.leases[i];
                found = true;
            }
        mutant_free(b, last);
        last = page.mem;
        cursor = page.next;
    } while (!found && cursor.len > 0);
    mutant_free(b, last);
    return found;
}

bool mutant_find_run(const struct wrap_below *b, bool newest,
                     bool (*fits)(const struct wrap_below *b, const struct kedge_run *r),
                     struct kedge_run_state *st)
{
    struct kedge_list in = { .limit = 100, .newest_first = newest };
    struct kedge_run_page page = { .mem = NULL };
    bool found = false;

    if (b->ops->list(b->session, &in, &page, MUTANT_PATIENCE, NULL) != KEDGE_OK)
        return false;
    for (size_t i = 0; i < page.n && !found; i++)
        found = fits(b, &page.runs[i]) && mutant_head(b, page.runs[i].id, st) == KEDGE_OK;
    mutant_free(b, page.mem);
    return found;
}

struct mutant_note *mutant_note(struct mutant *m, struct kedge_bytes name, bool make)
{
    struct mutant_note *note;

    if (name.len > MUTANT_NAME_MAX)
        return NULL;
    for (size_t i = 0; i < MUTANT_NOTES; i++)
        if (m->notes[i].set &&
            mutant_same(name, (struct kedge_bytes){ m->notes[i].name, m->notes[i].len }))
            return &m->notes[i];
    if (!make)
        return NULL;
    note = &m->notes[m->next++ % MUTANT_NOTES];
    memset(note, 0, sizeof *note);
    if (name.len > 0)
        memcpy(note->name, name.data, name.len);
    note->len = name.len;
    note->set = true;
    return note;
}

struct kedge_bytes mutant_id_bytes(const struct kedge_id128 *id)
{
    return (struct kedge_bytes){ id->b, sizeof id->b };
}

int64_t mutant_now(const struct wrap_below *b, uint32_t clock)
{
    struct kedge_time now = { 0, 0 };

    (void)b->ops->now(b->session, &now, MUTANT_PATIENCE, NULL);
    return clock == KEDGE_CLOCK_WALL ? now.wall : now.lease;
}
