/* mutant_store.c - defects of opening, dropping, time, upkeep, waiting and what info tells */
#include <config.h>

#include <fcntl.h>
#include <unistd.h>

#include "mutant.h"

#define DEFECT(id, ...) const struct mutant_kind mutant_##id = { __VA_ARGS__ }
#define PURGE           void *s, size_t limit, struct kedge_purged *out, WRAP_TAIL
#define WAIT            void *s, uint64_t seen, uint64_t *ticket, WRAP_TAIL

/* ---------------------------------------------------------------- namespaces */

static enum wrap_verdict sets_up(struct wrap_call *call)
{
    if (call->op == WRAP_store_open)
        call->open->flags |= KEDGE_OPEN_CREATE;
    return WRAP_GO;
}
DEFECT(m184, .before = sets_up);

static enum wrap_verdict names_the_nameless(struct wrap_call *call)
{
    if (call->open != NULL && call->open->ns.len == 0)
        call->open->ns = (struct kedge_bytes){ "nameless", 8 };
    return WRAP_GO;
}
DEFECT(m185, .before = names_the_nameless);

static enum wrap_verdict ends_at_nul(struct wrap_call *call)
{
    if (call->open != NULL && call->open->ns.len > 1 &&
        ((const char *)call->open->ns.data)[call->open->ns.len - 1] == '\0')
        call->open->ns.len--;
    return WRAP_GO;
}
DEFECT(m80, .before = ends_at_nul);

static void drops_what_is_open(struct wrap_call *call)
{
    if (call->op == WRAP_store_drop && call->rc == KEDGE_HELD)
        call->rc = KEDGE_OK;
}
DEFECT(m186, .after = drops_what_is_open);

static enum wrap_verdict drops_another(struct wrap_call *call)
{
    if (call->op == WRAP_store_drop)
        call->open->ns = (struct kedge_bytes){ "there is none like this", 23 };
    return WRAP_GO;
}

static void dropped_it(struct wrap_call *call)
{
    if (call->op == WRAP_store_drop && call->rc == KEDGE_NOT_FOUND)
        call->rc = KEDGE_OK;
}
DEFECT(m187, .before = drops_another, .after = dropped_it);

static void leaks(struct wrap_call *call)
{
    if (call->op == WRAP_session_open && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
        call->rc = KEDGE_ERR_UNAVAILABLE;
}
DEFECT(m78, .after = leaks);

static void leaks_memory(struct wrap_call *call)
{
    const struct kedge_host *host = call->below.host;

    if (call->op == WRAP_session_open && host->alloc(host->ctx, 4096) == NULL)
        call->rc = KEDGE_ERR_NOMEM;
}
DEFECT(m188, .after = leaks_memory);

static int fails_without_a_word(void *s, const struct kedge_lease_new *in,
                                struct kedge_lease_state *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lease_grant(b.session, in, out, timeout_us, err);

    if (rc < 0 && err != NULL)
        err->msg[0] = '\0';
    return rc;
}
DEFECT(m189, .ops = { .lease_grant = fails_without_a_word });

static int waits_for_ever(void *s, struct kedge_time *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);

    return b.ops->now(b.session, out, timeout_us > 0 ? timeout_us : MUTANT_PATIENCE, err);
}
DEFECT(m190, .ops = { .now = waits_for_ever });

static int own_clock(void *s, struct kedge_time *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->now(b.session, out, timeout_us, err);

    if (rc == KEDGE_OK)
        out->lease = wrap_clock_us();
    return rc;
}
DEFECT(m53, .ops = { .now = own_clock });

/* In a child of fork() the parent's handle still answers. */
static int after_fork(void *s, struct kedge_time *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->now(b.session, out, timeout_us, err);

    if (rc == KEDGE_ERR_INVALID && (long)getpid() != mutant_of(&b)->pid) {
        out->wall = out->lease = wrap_clock_us();
        rc = KEDGE_OK;
    }
    return rc;
}
DEFECT(m69, .ops = { .now = after_fork });

/* Told that memory is short it has done it all the same. */
static int does_without_memory(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->commit(b.session, commits, n, answers, timeout_us, err);
    struct kedge_answer again[1];

    if (n == 1 && answers[0].outcome == KEDGE_ERR_NOMEM)
        (void)b.ops->commit(b.session, commits, 1, again, timeout_us, NULL);
    return rc;
}
DEFECT(m191, .ops = { .commit = does_without_memory });

static void leaves_a_handle(struct wrap_call *call)
{
    if (call->op == WRAP_store_open && call->rc == KEDGE_ERR_NOMEM)
        call->rc = KEDGE_NOT_FOUND;
}
DEFECT(m192, .after = leaves_a_handle);

/* ----------------------------------------------------------------------- info */

#define INFO void *s, struct kedge_info *out, WRAP_TAIL

static int more_caps(INFO)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->info(b.session, out, timeout_us, err);

    if (rc == KEDGE_OK)
        out->caps ^= KEDGE_CAP_SHARED;
    return rc;
}
DEFECT(m73, .ops = { .info = more_caps });

static int more_room(INFO)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->info(b.session, out, timeout_us, err);

    if (rc == KEDGE_OK) {
        out->limits.commit_changes += 10;
        out->limits.batch_items += 10;
    }
    return rc;
}
DEFECT(m193, .ops = { .info = more_room });

static int small_ids(INFO)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->info(b.session, out, timeout_us, err);

    if (rc == KEDGE_OK)
        out->limits.id_max = 255;
    return rc;
}
DEFECT(m194, .ops = { .info = small_ids });

static int nobody_knows(INFO)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->info(b.session, out, timeout_us, err);

    if (rc == KEDGE_OK)
        out->durability = 8;
    return rc;
}
DEFECT(m195, .ops = { .info = nobody_knows });

/* ---------------------------------------------------------------------- purge */

static int purge_below(const struct wrap_below *b, size_t limit, struct kedge_purged *out,
                       WRAP_TAIL)
{
    return b->ops->purge(b->session, limit, out, timeout_us, err);
}

static bool is_kept(const struct wrap_below *b, const struct kedge_run *r)
{
    (void)b;
    return r->place == KEDGE_PLACE_REST && r->expires == 0;
}

static int purges_the_kept(PURGE)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_run_state st;

    if (mutant_find_run(&b, false, is_kept, &st)) {
        struct kedge_guard g = { .kind = KEDGE_GUARD_UNHELD,
                                 .statuses = KEDGE_STATUSES_ALL,
                                 .name = st.run.id,
                                 .number = st.run.revision };
        struct kedge_change c = { .kind = KEDGE_SET, .name = st.run.id };

        c.set.mask = KEDGE_SET_EXPIRES;
        c.set.expires = (struct kedge_when){ 0, KEDGE_IN, 0 };
        (void)mutant_send(&b, &g, 1, &c, 1);
        mutant_free(&b, st.mem);
    }
    return purge_below(&b, limit, out, timeout_us, err);
}
DEFECT(m196, .ops = { .purge = purges_the_kept });

static int purges_all(PURGE)
{
    struct wrap_below b = wrap_below(s);

    return purge_below(&b, limit > 0 ? 100000 : limit, out, timeout_us, err);
}
DEFECT(m197, .ops = { .purge = purges_all });

static int purges_nothing(PURGE)
{
    struct wrap_below b = wrap_below(s);

    if (limit == 0)
        return purge_below(&b, limit, out, timeout_us, err);
    memset(out, 0, sizeof *out);
    return KEDGE_OK;
}
DEFECT(m198, .ops = { .purge = purges_nothing });

static int no_more(PURGE)
{
    struct wrap_below b = wrap_below(s);
    int rc = purge_below(&b, limit, out, timeout_us, err);

    if (rc == KEDGE_OK)
        out->more = 0;
    return rc;
}
DEFECT(m199, .ops = { .purge = no_more });

/*
 * It removes what it saw expired without looking again.  Whoever writes such a cell anew waits for
 * a purge to look first, and then for it to remove: COUNT is 1 while somebody waits, 2 when a purge
 * has looked, 3 when the cell was written.
 */
static bool comes_to(struct mutant *m, uint64_t state)
{
    for (int i = 0; i < 50 && atomic_load(&m->count) != state; i++)
        mutant_pause(1000);
    return atomic_load(&m->count) == state;
}

static bool has_expired(const struct wrap_below *b, struct kedge_bytes name)
{
    struct mutant *m = mutant_of(b);
    struct kedge_cell cell = { .mem = NULL };
    int rc = b->ops->cell_get(b->session, name, &cell, MUTANT_PATIENCE, NULL);
    bool known;

    (void)pthread_mutex_lock(&m->lock);
    known = mutant_note(m, name, false) != NULL;
    m->next = 0;
    (void)mutant_note(m, name, true);
    (void)pthread_mutex_unlock(&m->lock);
    mutant_free(b, cell.mem);
    return rc == KEDGE_NOT_FOUND && known;
}

static int written_in_between(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    const struct kedge_change *c = commits[0].changes;
    bool seen = false;
    int rc;

    if (n == 1 && commits[0].n_changes == 1 && c->kind == KEDGE_CELL_PUT &&
        has_expired(&b, c->name)) {
        atomic_store(&m->count, 1);
        seen = comes_to(m, 2);
        if (!seen)
            atomic_store(&m->count, 0);
    }
    rc = b.ops->commit(b.session, commits, n, answers, timeout_us, err);
    if (seen) {
        atomic_store(&m->count, 3);
        (void)comes_to(m, 0);
    }
    return rc;
}

static int purges_what_it_saw(PURGE)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    struct mutant_note gone;

    if (atomic_load(&m->count) == 1) {
        struct kedge_change c = { .kind = KEDGE_CELL_DELETE };

        (void)pthread_mutex_lock(&m->lock);
        gone = m->notes[0];
        (void)pthread_mutex_unlock(&m->lock);
        c.name = (struct kedge_bytes){ gone.name, gone.len };
        atomic_store(&m->count, 2);
        (void)comes_to(m, 3);
        (void)mutant_send(&b, NULL, 0, &c, 1);
        atomic_store(&m->count, 0);
    }
    return purge_below(&b, limit, out, timeout_us, err);
}
DEFECT(m200, .ops = { .commit = written_in_between, .purge = purges_what_it_saw });

/* --------------------------------------------------------------------- verify */

static int counts_nothing(void *s, struct kedge_verified *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->verify(b.session, out, timeout_us, err);

    if (rc == KEDGE_OK) {
        out->runs = 0;
        out->records = 0;
        out->faults = 0;
        out->first = "";
    }
    return rc;
}
DEFECT(m201, .ops = { .verify = counts_nothing });

static int finds_fault(void *s, struct kedge_verified *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->verify(b.session, out, timeout_us, err);

    if (rc == KEDGE_OK && out->runs > 0 && out->faults == 0) {
        out->faults = 1;
        out->first = "something is wrong";
    }
    return rc;
}
DEFECT(m202, .ops = { .verify = finds_fault });

/* ----------------------------------------------------------------------- wait */

static int wait_below(const struct wrap_below *b, uint64_t seen, uint64_t *ticket, WRAP_TAIL)
{
    return b->ops->wait(b->session, seen, ticket, timeout_us, err);
}

static int tells_nobody(void *s, struct kedge_error *err)
{
    (void)s;
    (void)err;
    return KEDGE_OK;
}

/* Whoever waits in vain shall not do so for long. */
static int waits_a_second(WAIT)
{
    struct wrap_below b = wrap_below(s);

    return wait_below(&b, seen, ticket, timeout_us < 1000000 ? timeout_us : 1000000, err);
}
DEFECT(m203, .ops = { .notify = tells_nobody, .wait = waits_a_second });

static int only_notify(void *s, struct kedge_error *err)
{
    struct wrap_below b = wrap_below(s);

    (void)atomic_fetch_add(&mutant_of(&b)->count, 1);
    return b.ops->notify(b.session, err);
}

static int only_notified(WAIT)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    uint64_t now;

    if (timeout_us < 0)
        return wait_below(&b, seen, ticket, timeout_us, err);
    for (int64_t left = timeout_us < 1000000 ? timeout_us : 1000000;; left -= 1000) {
        now = atomic_load(&m->count) + 1;
        if (now != seen) {
            *ticket = now;
            return KEDGE_OK;
        }
        if (left <= 0)
            return KEDGE_QUIET;
        mutant_pause(1000);
    }
}
DEFECT(m204, .ops = { .notify = only_notify, .wait = only_notified });

static int never_quiet(WAIT)
{
    struct wrap_below b = wrap_below(s);
    int rc = wait_below(&b, seen, ticket, timeout_us > 0 ? 1 : timeout_us, err);

    if (rc == KEDGE_QUIET) {
        *ticket = seen;
        rc = KEDGE_OK;
    }
    return rc;
}
DEFECT(m79, .ops = { .wait = never_quiet });

/* What came before it began to wait it does not see. */
static int from_now_on(WAIT)
{
    struct wrap_below b = wrap_below(s);
    uint64_t now = seen;

    if (seen == 0 || timeout_us < 2)
        return wait_below(&b, seen, ticket, timeout_us, err);
    if (wait_below(&b, seen, &now, 0, NULL) == KEDGE_OK)
        seen = now;
    return wait_below(&b, seen, ticket, timeout_us < 1000000 ? timeout_us : 1000000, err);
}
DEFECT(m205, .ops = { .wait = from_now_on });

static int wakes_one(WAIT)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    uint64_t now = seen;
    int rc = wait_below(&b, seen, &now, timeout_us < 3000000 ? timeout_us : 3000000, err);
    bool mine;

    if (rc != KEDGE_OK || timeout_us < 2)
        return rc == KEDGE_OK ? (*ticket = now, rc) : rc;
    (void)pthread_mutex_lock(&m->lock);
    mine = mutant_note(m, (struct kedge_bytes){ &now, sizeof now }, false) == NULL;
    (void)mutant_note(m, (struct kedge_bytes){ &now, sizeof now }, true);
    (void)pthread_mutex_unlock(&m->lock);
    if (!mine) {
        mutant_pause(300000);
        return KEDGE_QUIET;
    }
    *ticket = now;
    return rc;
}
DEFECT(m206, .ops = { .wait = wakes_one });

/* Only what this process did wakes it. */
static int wait_here(WAIT)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    uint64_t now;

    (void)err;
    for (int64_t left = timeout_us < 3000000 ? timeout_us : 3000000;; left -= 1000) {
        now = atomic_load(&m->count) + 1;
        if (now != seen) {
            *ticket = now;
            return KEDGE_OK;
        }
        if (left <= 0)
            return KEDGE_QUIET;
        mutant_pause(1000);
    }
}

static int commit_here(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->commit(b.session, commits, n, answers, timeout_us, err);

    (void)atomic_fetch_add(&mutant_of(&b)->count, 1);
    return rc;
}
DEFECT(m207, .ops = { .wait = wait_here, .notify = only_notify, .commit = commit_here });

/* ------------------------------------------------------- what others have open */

static bool opened_here(const struct kedge_bytes *ns, bool opens, bool closes)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static long pid;
    static int open_count;
    bool open;

    (void)ns;
    (void)pthread_mutex_lock(&lock);
    if (pid != (long)getpid()) {
        pid = (long)getpid();
        open_count = 0;
    }
    open_count += opens ? 1 : 0;
    open_count -= closes && open_count > 0 ? 1 : 0;
    open = open_count > 0;
    (void)pthread_mutex_unlock(&lock);
    return open;
}

static void drops_what_others_have(struct wrap_call *call)
{
    bool opens = call->op == WRAP_store_open && call->rc == KEDGE_OK;
    bool open = opened_here(NULL, opens, call->op == WRAP_store_close);

    if (call->op == WRAP_store_drop && call->rc == KEDGE_HELD && !open)
        call->rc = KEDGE_OK;
}
DEFECT(m208, .after = drops_what_others_have);

/* A cell is written when the next call comes, and answered before: NOTES[0] is its name, [1] its
 * value. */
static int writes_later(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    const struct kedge_change *c = commits[0].changes;

    if (n != 1 || commits[0].n_changes != 1 || commits[0].n_guards != 0 ||
        c->kind != KEDGE_CELL_PUT || c->cell.expires.base != KEDGE_NEVER || c->name.len == 0 ||
        c->name.len > MUTANT_NAME_MAX || c->cell.value.len > MUTANT_NAME_MAX)
        return b.ops->commit(b.session, commits, n, answers, timeout_us, err);
    memset(answers, 0, sizeof *answers);
    (void)pthread_mutex_lock(&m->lock);
    m->next = 0;
    memset(m->notes, 0, sizeof m->notes);
    (void)mutant_note(m, c->name, true);
    m->notes[1].len = c->cell.value.len;
    if (c->cell.value.len > 0)
        memcpy(m->notes[1].name, c->cell.value.data, c->cell.value.len);
    (void)pthread_mutex_unlock(&m->lock);
    if (commits[0].results != NULL)
        commits[0].results[0] = (uint64_t)mutant_now(&b, KEDGE_CLOCK_WALL);
    return KEDGE_OK;
}

static enum wrap_verdict writes_now(struct wrap_call *call)
{
    struct mutant *m = mutant_of(&call->below);
    struct kedge_change c = { .kind = KEDGE_CELL_PUT };
    struct mutant_note name;
    struct mutant_note value;

    if (call->op >= WRAP_SESSION_OPS)
        return WRAP_GO;
    (void)pthread_mutex_lock(&m->lock);
    name = m->notes[0];
    value = m->notes[1];
    m->notes[0].set = false;
    (void)pthread_mutex_unlock(&m->lock);
    c.name = (struct kedge_bytes){ name.name, name.len };
    c.cell.value = (struct kedge_bytes){ value.name, value.len };
    if (name.set)
        (void)mutant_send(&call->below, NULL, 0, &c, 1);
    return WRAP_GO;
}
DEFECT(m70, .before = writes_now, .ops = { .commit = writes_later });
