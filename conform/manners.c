/*
 * manners.c - cases: what a backend leaves alone, and what it never says
 *
 * It is a guest in somebody's process: it takes what is lent to it for one call, and nothing else.
 */
#include "cases.h"

#include <locale.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kedge/store.h>

/* ------------------------------------------------------------- the process's own */

struct process {
    struct sigaction signals[NSIG];
    sigset_t blocked;
    mode_t mask;
    char locale[256];
    char cwd[1024];
};

static struct process before_all;

static void look(struct process *p)
{
    const char *locale = setlocale(LC_ALL, NULL);

    memset(p, 0, sizeof *p);
    for (int i = 1; i < NSIG; i++)
        (void)sigaction(i, NULL, &p->signals[i]);
    (void)sigprocmask(SIG_BLOCK, NULL, &p->blocked);
    p->mask = umask(0);
    (void)umask(p->mask);
    (void)snprintf(p->locale, sizeof p->locale, "%s", locale != NULL ? locale : "");
    if (getcwd(p->cwd, sizeof p->cwd) == NULL)
        p->cwd[0] = '\0';
}

void manners_remember(void)
{
    look(&before_all);
}

static void unchanged(const struct process *now)
{
    for (int i = 1; i < NSIG; i++) {
        context("signal %d", i);
        expect(now->signals[i].sa_handler == before_all.signals[i].sa_handler);
        expect_eq(sigismember(&now->blocked, i), sigismember(&before_all.blocked, i));
    }
    context(NULL);
    expect_eq(now->mask, before_all.mask);
    expect_bytes(str(now->locale), str(before_all.locale));
    expect_bytes(str(now->cwd), str(before_all.cwd));
}

/* Some of everything: leases, runs, a refusal, a claim, a purge. */
static void work(struct world *w)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run r = run_held(w, str("a"), lease);
    struct kedge_run_page page;
    struct kedge_claim in = claim_of(w, lease, 5);
    struct kedge_lock_state ks;

    step(w, &r, "one");
    release_due(w, &r, from_now(0));
    expect_ok(do_claim(w, &in, &page));
    expect_rc(do_lock_query(w, str("no lock"), &ks), KEDGE_NOT_FOUND);
    expect_rc(do_lock_query(w, none(), &ks), KEDGE_ERR_INVALID);
    lock_take(w, str("lock"), lease);
    cell_put(w, str("cell"), "value");
    purge_all(w);
    expect_ok(do_revoke(w, lease));
}

/* What was written to F but by the suite itself, which passes a backend's log on. */
static size_t lines_said(FILE *f)
{
    char line[512];
    size_t n = 0;

    rewind(f);
    while (fgets(line, sizeof line, f) != NULL)
        n += strncmp(line, "log ", 4) != 0;
    return n;
}

static void guest(struct world *w)
{
    FILE *said = tmpfile();
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    struct process now;
    size_t n;

    expect(said != NULL && out >= 0 && err >= 0);
    (void)fflush(stdout);
    expect(dup2(fileno(said), STDOUT_FILENO) >= 0 && dup2(fileno(said), STDERR_FILENO) >= 0);
    world_reopen(w);
    work(w);
    world_reopen(w);
    (void)fflush(stdout);
    expect(dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0);
    (void)close(out);
    (void)close(err);
    n = lines_said(said);
    (void)fclose(said);
    expect_eq(n, 0);
    look(&now);
    unchanged(&now);
}

/* -------------------------------------------------------------------- passwords */

#define SECRET "Hunt3r-in-the-dark"

static bool secret_logged;

static void overhear(void *ctx, int level, const char *text)
{
    (void)ctx;
    (void)level;
    secret_logged |= strstr(text, SECRET) != NULL;
}

static void says_no_secret(const char *what, const char *text)
{
    if (text != NULL && strstr(text, SECRET) != NULL)
        fail_case(__FILE__, __LINE__, "%s tells the password: %s", what, text);
}

static void facts_without_secret(struct world *w, void *store)
{
    struct kedge_info info = { .mem = NULL };
    void *session;

    if (w->ops->session_open(store, &session, &w->err) != KEDGE_OK) {
        says_no_secret("session_open", w->err.msg);
        return;
    }
    if (w->ops->info(session, &info, PATIENCE, &w->err) == KEDGE_OK) {
        says_no_secret("info", info.server);
        says_no_secret("info", info.place);
        for (size_t i = 0; i < info.n_facts; i++)
            says_no_secret("info", info.facts[i].value);
        kedge_mem_free(w->host, info.mem);
    }
    w->ops->session_close(session);
}

/* Whatever comes of this URL, with these options. */
static void try_secret(struct world *w, const struct kedge_host *host, const char *url,
                       const char *options)
{
    struct kedge_open open = { sizeof open, 0, url, str(w->ns), options, NULL };
    struct kedge_script script = { .mem = NULL };
    void *store;

    w->err.msg[0] = '\0';
    if (w->ops->store_open(host, &open, &store, &w->err) == KEDGE_OK) {
        facts_without_secret(w, store);
        w->ops->store_close(store);
    } else {
        expect(w->err.msg[0] != '\0');
        says_no_secret("store_open", w->err.msg);
    }
    w->err.msg[0] = '\0';
    open.ns = str("never made");
    if (w->ops->store_drop(host, &open, &w->err) < 0)
        says_no_secret("store_drop", w->err.msg);
    open.flags = KEDGE_OPEN_CREATE;
    w->err.msg[0] = '\0';
    if (w->ops->schema_script(host, &open, &script, &w->err) == KEDGE_OK)
        says_no_secret("schema_script", script.text);
    else
        says_no_secret("schema_script", w->err.msg);
    kedge_mem_free(host, script.mem);
}

static void secrets(struct world *w)
{
    static const char *const after_scheme[] = {
        "://somebody:" SECRET "@127.0.0.1:1/0",
        "://:" SECRET "@127.0.0.1:1",
        "://127.0.0.1:1/?user=somebody&password=" SECRET,
        ":?password=" SECRET,
        "://somebody:" SECRET "@[::1/0", /* and what cannot be read at all */
    };
    int scheme = (int)strcspn(w->url, ":");
    struct kedge_host host = *w->host;
    char url[1200];

    host.log = overhear;
    for (size_t i = 0; i < ARRAY_LEN(after_scheme); i++) {
        context("URL %zu", i);
        (void)snprintf(url, sizeof url, "%.*s%s", scheme, w->url, after_scheme[i]);
        try_secret(w, &host, url, w->options);
    }
    context("an option");
    try_secret(w, &host, w->url, "password=" SECRET);
    (void)snprintf(url, sizeof url, "%s%cpassword=%s", w->url,
                   strchr(w->url, '?') != NULL ? '&' : '?', SECRET);
    context("a parameter of the URL");
    try_secret(w, &host, url, w->options);
    context(NULL);
    expect(!secret_logged);
    /* the store itself is open as before */
    run_due(w, str("a"), from_now(SEC(600)));
}

/* ---------------------------------------------------------------------- options */

static int open_with(struct world *w, uint32_t size, const char *options)
{
    struct kedge_open open = { size, 0, w->url, str(w->ns), options, NULL };
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

static void options(struct world *w)
{
    const uint32_t whole = sizeof(struct kedge_open);
    const uint32_t old = offsetof(struct kedge_open, options);

    expect_rc(open_with(w, whole, "kedge_knows_of_no_such_option=1"), KEDGE_ERR_INVALID);
    expect_rc(open_with(w, whole, "%zz"), KEDGE_ERR_INVALID);
    expect_rc(open_with(w, whole, w->options), KEDGE_OK);
    if (w->options == NULL)
        expect_rc(open_with(w, whole, ""), KEDGE_OK);
    /* a caller from before that member was there: nothing is read behind its structure */
    if (w->options == NULL)
        expect_rc(open_with(w, old, "kedge_knows_of_no_such_option=1"), KEDGE_OK);
}

/* ------------------------------------------------------------------- no message */

static void no_error_wanted(struct world *w)
{
    const struct kedge_backend_ops *ops = w->ops;
    struct kedge_open nowhere = { sizeof nowhere, 0, w->url, none(), w->options, NULL };
    struct kedge_id128 lease = lease_make(w, TTL);
    struct kedge_claim claim = { .limit = 0 };
    struct kedge_list list = { .limit = 0 };
    struct kedge_retrieve retrieve = { .id = none() };
    struct kedge_lease_new grant = { .ttl_us = -1 };
    struct kedge_lease_state ls;
    struct kedge_lock_state ks;
    struct kedge_time now;
    struct kedge_run_page rp;
    struct kedge_run_state rs = { .mem = NULL };
    struct kedge_cell cell = { .mem = NULL };
    struct kedge_purged purged;
    struct kedge_answer answer;
    struct kedge_commit commit = { .n_guards = 0 };
    void *store = NULL;
    char *before = dump(w);

    expect_eq(ops->store_open(w->host, &nowhere, &store, NULL), KEDGE_ERR_INVALID);
    expect_eq(ops->store_drop(w->host, &nowhere, NULL), KEDGE_ERR_INVALID);
    expect_eq(ops->now(w->session, &now, 0, NULL), KEDGE_ERR_INVALID);
    expect_eq(ops->lease_grant(w->session, &grant, &ls, PATIENCE, NULL), KEDGE_ERR_INVALID);
    expect_eq(ops->lease_extend(w->session, &lease, &ls, 0, NULL), KEDGE_ERR_INVALID);
    expect_eq(ops->lock_query(w->session, none(), &ks, PATIENCE, NULL), KEDGE_ERR_INVALID);
    expect_eq(ops->claim(w->session, &claim, &rp, PATIENCE, NULL), KEDGE_ERR_INVALID);
    expect_eq(ops->list(w->session, &list, &rp, PATIENCE, NULL), KEDGE_ERR_INVALID);
    expect_eq(ops->retrieve(w->session, &retrieve, &rs, PATIENCE, NULL), KEDGE_ERR_INVALID);
    expect_eq(ops->cell_get(w->session, none(), &cell, PATIENCE, NULL), KEDGE_ERR_INVALID);
    expect_eq(ops->purge(w->session, 0, &purged, PATIENCE, NULL), KEDGE_ERR_INVALID);
    expect_eq(ops->commit(w->session, &commit, 1, &answer, 0, NULL), KEDGE_ERR_INVALID);
    expect_eq(ops->commit(w->session, &commit, 1, &answer, PATIENCE, NULL), KEDGE_OK);
    expect_eq(answer.outcome, KEDGE_ERR_INVALID); /* without a request id */
    expect_eq(ops->lock_query(w->session, str("no lock"), &ks, PATIENCE, NULL), KEDGE_NOT_FOUND);
    check_unchanged(__FILE__, __LINE__, "calls without err", w, before);
    expect_eq(ops->now(w->session, &now, PATIENCE, NULL), KEDGE_OK);
}

/* --------------------------------------------------------------------- borrowing */

/* A copy of TEXT that is overwritten and given back as soon as the call has returned. */
struct lent {
    char *at[12];
    size_t n;
};

static struct kedge_bytes lend(struct lent *lent, const char *text)
{
    char *copy = strdup(text);

    expect(copy != NULL && lent->n < ARRAY_LEN(lent->at));
    lent->at[lent->n++] = copy;
    return str(copy);
}

static void take_back(struct lent *lent)
{
    while (lent->n > 0) {
        char *p = lent->at[--lent->n];

        memset(p, '#', strlen(p));
        free(p);
    }
}

static void borrowed(struct world *w)
{
    struct lent lent = { .n = 0 };
    struct kedge_id128 lease = random_id(w);
    struct kedge_serve serve = { lend(&lent, "queue"), lend(&lent, "reactor"), 0, 9 };
    struct kedge_lease_new in = { .id = lease, .request = random_id(w), .ttl_us = TTL };
    struct kedge_claim claim = claim_of(w, lease, 1);
    struct kedge_lease_state ls;
    struct kedge_lease_page leases;
    struct kedge_run_page page;
    struct kedge_run_state st;
    struct kedge_cell cell;
    struct kedge_run_new *new;
    struct tx *t = tx_new(w);

    in.owner = lend(&lent, "an owner");
    in.serves = &serve;
    in.n_serves = 1;
    expect_ok(do_grant(w, &in, &ls));
    new = c_create_due(t, lend(&lent, "run"), from_now(0));
    new->reactor = lend(&lent, "reactor");
    new->queue = lend(&lent, "queue");
    new->context = lend(&lent, "a context");
    c_cell_put(t, lend(&lent, "cell"), lend(&lent, "a value"), never());
    expect_tx(t, KEDGE_OK);
    claim.serves = &serve;
    expect_ok(do_claim(w, &claim, &page));
    expect_eq(page.n, 1);
    memset(new, 0, sizeof *new);
    memset(&serve, 0x55, sizeof serve);
    take_back(&lent);

    expect_ok(do_leases(w, none(), 5, &leases));
    expect_eq(leases.n, 1);
    expect_bytes(leases.leases[0].owner, str("an owner"));
    expect_bytes(leases.leases[0].serves[0].reactor, str("reactor"));
    expect_bytes(leases.leases[0].serves[0].queue, str("queue"));
    expect_bytes(page.runs[0].id, str("run"));
    expect_ok(do_retrieve(w, str("run"), 0, 0, &st));
    expect_bytes(st.run.reactor, str("reactor"));
    expect_bytes(st.run.queue, str("queue"));
    expect_bytes(st.run.context, str("a context"));
    expect_ok(do_cell(w, str("cell"), &cell));
    expect_bytes(cell.value, str("a value"));
}

/* ------------------------------------------------------------ connections that break */

enum { SOCKETS_MOST = 256 };

static atomic_int signals;

static void count_signal(int sig)
{
    (void)sig;
    atomic_fetch_add(&signals, 1);
}

static void find_sockets(bool is[SOCKETS_MOST])
{
    for (int fd = 0; fd < SOCKETS_MOST; fd++) {
        struct stat st;

        is[fd] = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
    }
}

/* Those it has opened: nothing can be sent on them any more. */
static int break_sockets(const bool before[SOCKETS_MOST])
{
    bool now[SOCKETS_MOST];
    int n = 0;

    find_sockets(now);
    for (int fd = 0; fd < SOCKETS_MOST; fd++)
        if (now[fd] && !before[fd])
            n += shutdown(fd, SHUT_RDWR) == 0;
    return n;
}

static void broken(struct world *w)
{
    struct sigaction sa = { .sa_handler = count_signal };
    bool before[SOCKETS_MOST];
    int n = 0;

    world_leave(w);
    find_sockets(before);
    world_return(w);
    expect_eq(sigaction(SIGPIPE, &sa, NULL), 0);
    for (int i = 0; i < 10; i++) {
        struct tx t;
        int rc;

        n += break_sockets(before);
        tx_init(w, &t);
        c_cell_put(&t, str("cell"), str("value"), never());
        rc = tx_send(w, &t);
        expect(rc == KEDGE_OK || rc == KEDGE_ERR_UNAVAILABLE || rc == KEDGE_ERR_UNKNOWN);
        expect_eq(atomic_load(&signals), 0);
    }
    note("%d connections were broken", n);
    world_reopen(w);
    cell_put(w, str("cell"), "value");
    expect_eq(atomic_load(&signals), 0);
}

/* -------------------------------------------------------------- next to another */

/* The backend in memory, which every build has, in the same process at the same time. */
static void neighbours(struct world *w)
{
    struct world other = *w;
    struct kedge_run_state st;
    char *before;

    expect_ok(kedge_backend_find("mem", &other.ops, &w->err));
    other.open = (struct kedge_open){
        sizeof other.open, KEDGE_OPEN_CREATE, "mem:", str("neighbour"), NULL, NULL
    };
    other.rng = ~w->rng;
    other.keep = NULL;
    other.txs = NULL;
    expect_ok(other.ops->store_open(w->host, &other.open, &other.store, &w->err));
    expect_ok(other.ops->session_open(other.store, &other.session, &w->err));
    run_due(w, str("here"), from_now(0));
    before = dump(w);
    run_due(&other, str("there"), from_now(0));
    cell_put(&other, str("cell"), "there");
    expect_rc(do_retrieve(&other, str("here"), 0, 0, &st), KEDGE_NOT_FOUND);
    check_unchanged(__FILE__, __LINE__, "work in another backend", w, before);
    world_forget(&other);
    other.ops->session_close(other.session);
    other.ops->store_close(other.store);
    work(w);
}

const struct contract_case cases_manners[] = {
    { "manners-01", "signals, umask, locale and output are the process's own", 0, guest },
    { "manners-02", "no password is in what a backend says", 0, secrets },
    { "manners-03", "unknown options are refused, members that are not there are not read", 0,
      options },
    { "manners-04", "who wants no message gets the same answers", 0, no_error_wanted },
    { "manners-05", "what was passed in is not needed after the call", 0, borrowed },
    { "manners-07", "a connection that breaks raises no signal", 0, broken },
    { "manners-06", "another backend in the process is no concern", 0, neighbours },
    { NULL, NULL, 0, NULL },
};
