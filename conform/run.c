/*
 * run.c - the cases, each in a process of its own, and what comes of them
 *
 * R1  Nothing of the backend runs in this process: it may crash, hang, call exit(), or leave
 *     threads behind.  Even the facts about the store are asked for in a child.
 * R2  A case's process leads a group; whatever it started ends with it.
 * R3  What a case leaves behind when it dies, its namespace, is removed for it.
 * R4  A process that ends by itself has passed nothing: a case says when it has come to its end.
 * R5  The clock of a server is all its cases': those who move it come last, and alone.  The others
 *     have real time, side by side.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <kedge/store.h>

#include "covers.h"
#include "mutants.h"
#include "preload.h"
#include "proxy/address.h"
#include "results.h"
#include "way.h"

#define CASE_SECONDS  240
#define SIDE_SECONDS  60u /* what is asked before and cleared up after */
#define OVERDUE_LIMIT 5   /* after so many cases that ran out of time no more are started */

static const struct kedge_backend_ops *ops;

const char *outcome_name(enum conform_outcome outcome)
{
    static const char *const names[CONFORM_N_OUTCOMES] = {
        [CONFORM_PASS] = "pass",
        [CONFORM_FAIL] = "fail",
        [CONFORM_NA] = "not applicable",
        [CONFORM_SKIP] = "skip",
        [CONFORM_NO_VERDICT] = "inconclusive",
        [CONFORM_OPTED_OUT] = "opted out",
    };

    return names[outcome];
}

/* ------------------------------------------------------------------ in a case */

static int64_t case_us(const struct results *r)
{
    return r->options->case_us != 0 ? r->options->case_us : CASE_SECONDS * INT64_C(1000000);
}

/* Has the clock of a server to itself. */
static bool moves_clock(const struct result *one)
{
    return clock_of_server(ops) != NULL &&
           (one->entry->c->needs & (NEEDS_CLOCK | NEEDS_SKEW | USES_CLOCK)) != 0;
}

static _Noreturn void run_here(const struct results *r, const struct result *one)
{
    static struct world w;
    const struct contract_case *c = one->entry->c;
    const struct need *missing;
    const char *shim = NULL;
    bool still, astray;

    if (!moves_clock(one))
        (void)unsetenv("KEDGE_TEST_CLOCK");
    manners_remember();
    world_open(&w, r->backend, ops, r->url, one->ns, one->seed);
    missing = need_missing(c, &w);
    still = (c->needs & NEEDS_CLOCK) && (ops->caps & KEDGE_CAP_SERVER_CLOCK) &&
            clock_of_server(ops) == NULL;
    if ((c->needs & NEEDS_KILL) && preload_iofault() == NULL)
        shim = SHIM_KILL;
    if ((c->needs & NEEDS_SKEW) && preload_clock() == NULL)
        shim = SHIM_CLOCK;
    astray = (c->needs & NEEDS_PROXY) && !way_known();
    if (missing == NULL && !still && shim == NULL && !astray)
        c->run(&w);
    world_close(&w);
    if (missing != NULL)
        not_applicable("%s", missing->absent);
    if (still)
        skip_case("its time is a server's, which was not started under a clock that can be moved "
                  "(--clock)");
    if (shim != NULL)
        skip_case("%s cannot be preloaded (KEDGE_SHIM_PATH)", shim);
    if (astray)
        skip_case("it was not said where its server listens, if it has one (--server)");
    exit(CASE_EXIT_PASS);
}

/* The case's process, which becomes another one if it is to have a shim. */
static _Noreturn void run_case(const struct results *r, const struct result *one)
{
    const uint32_t bits = one->entry->c->needs;
    const struct itimerval limit = { .it_value = { (time_t)(case_us(r) / 1000000),
                                                   (suseconds_t)(case_us(r) % 1000000) } };
    char spec[256];

    /* It goes on where the process becomes another. */
    if (setitimer(ITIMER_REAL, &limit, NULL) != 0)
        exit(1);
    (void)snprintf(spec, sizeof spec, "%s %s %" PRIu64, one->entry->c->id, one->ns, one->seed);
    if (bits & NEEDS_KILL)
        preload_again(SHIM_KILL, false, spec);
    else if (bits & NEEDS_SKEW)
        preload_again(SHIM_CLOCK, true, spec);
    run_here(r, one);
}

/* What a process that has become another one goes on with. */
static void run_in_case(const struct results *r, struct kedge_error *err)
{
    struct result one = { .seed = 0 };
    const char *seed = r->options->in_case;
    char id[64];
    char *end = NULL;
    int n = 0;

    if (sscanf(seed, "%63s %63s %n", id, one.ns, &n) == 2) {
        seed += n;
        one.seed = strtoull(seed, &end, 10);
    }
    if (end != NULL && end != seed)
        for (const struct catalogue_entry *e = catalogue(); e->c != NULL; e++)
            if (strcmp(e->c->id, id) == 0) {
                one.entry = e;
                run_here(r, &one);
            }
    (void)kedge_error_set(err, KEDGE_ERR_INVALID, 0, "there is no case '%.80s'",
                          r->options->in_case);
}

/* -------------------------------------------------------------------- children */

/* In the child: a group, the signals and the output of its own. */
static void become_child(FILE *out)
{
    sigset_t none;

    (void)sigemptyset(&none);
    if (setpgid(0, 0) != 0 || dup2(fileno(out), STDOUT_FILENO) < 0 ||
        dup2(fileno(out), STDERR_FILENO) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        _exit(1);
}

static pid_t spawn(FILE *out)
{
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    if (pid == 0)
        become_child(out);
    else if (pid > 0)
        (void)setpgid(pid, pid);
    return pid;
}

/* All that is in F, with a NUL behind it; NULL: out of memory. */
static char *contents(FILE *f)
{
    size_t used = 0, room = 4096;
    char *text = malloc(room);

    rewind(f);
    while (text != NULL) {
        size_t n = fread(text + used, 1, room - used - 1, f);
        char *more;

        used += n;
        if (n == 0) {
            text[used] = '\0';
            return text;
        }
        if (room - used > 1)
            continue;
        more = realloc(text, room *= 2);
        if (more == NULL)
            free(text);
        text = more;
    }
    return NULL;
}

static void wait_for(pid_t pid, int *status)
{
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    (void)kill(-pid, SIGKILL);
}

static void tell_yes(const char *name, bool yes)
{
    printf("%s\t%s\n", name, yes ? "yes" : "no");
}

/* The backend's own account of itself and its store, as NAME\tVALUE lines. */
static _Noreturn void tell_facts(const struct results *r, const char *ns)
{
    static struct world storage;
    struct world *w = &storage;
    struct kedge_info info;

    alarm(SIDE_SECONDS);
    world_open(w, r->backend, ops, r->url, ns, r->options->seed);
    expect_ok(do_info(w, &info));
    printf("server\t%s\nplace\t%s\n", info.server, info.place);
    printf("durability\t%s%s%s\n", info.durability & KEDGE_SURVIVES_PROCESS ? "process " : "",
           info.durability & KEDGE_SURVIVES_SERVER ? "server " : "",
           info.durability & KEDGE_SURVIVES_POWER ? "power " : "");
    tell_yes("capability.shared", info.caps & KEDGE_CAP_SHARED);
    tell_yes("capability.hint", info.caps & KEDGE_CAP_HINT);
    tell_yes("capability.server_clock", info.caps & KEDGE_CAP_SERVER_CLOCK);
    tell_yes("capability.fence_volatile", info.caps & KEDGE_CAP_FENCE_VOLATILE);
    tell_yes("capability.threads", ops->threads == KEDGE_THREADS_SESSION);
    printf("schema\t%" PRIu32 "\n", info.schema);
#define LIMIT(name) printf("limit." #name "\t%" PRIu64 "\n", (uint64_t)info.limits.name)
    LIMIT(id_max);
    LIMIT(value_max);
    LIMIT(cell_max);
    LIMIT(batch_items);
    LIMIT(batch_bytes);
    LIMIT(commit_changes);
    LIMIT(commit_bytes);
    LIMIT(page_max);
    LIMIT(ttl_min_us);
    LIMIT(ttl_max_us);
#undef LIMIT
    for (size_t i = 0; i < info.n_facts; i++)
        printf("backend.%s\t%s\n", info.facts[i].name, info.facts[i].value);
    (void)fflush(stdout);
    /* What it makes of operations is for the cases to find out. */
    w->ops->session_close(w->session);
    w->ops->store_close(w->store);
    (void)(r->options->keep || world_drop(ops, r->url, ns));
    exit(0);
}

/* Which of the optional operations are there; each is called to find out. */
static _Noreturn void tell_operations(const struct results *r, const char *ns)
{
    static struct world storage;
    struct world *w = &storage;
    struct kedge_script script = { .mem = NULL };
    struct kedge_verified v;
    uint64_t ticket;

    alarm(SIDE_SECONDS);
    world_open(w, r->backend, ops, r->url, ns, r->options->seed);
    tell_yes("operation.verify", do_verify(w, &v) != KEDGE_ERR_UNSUPPORTED);
    tell_yes("operation.wait", do_wait(w, 0, &ticket, 0) != KEDGE_ERR_UNSUPPORTED);
    tell_yes("operation.notify", do_notify(w) != KEDGE_ERR_UNSUPPORTED);
    tell_yes("operation.schema_script",
             ops->schema_script(w->host, &w->open, &script, &w->err) != KEDGE_ERR_UNSUPPORTED);
    world_close(w);
    exit(0);
}

/* What TELL prints, in a process of its own, goes to the end of the facts; its wait status, or -1:
   there is no process. */
static int ask(struct results *r, void (*tell)(const struct results *r, const char *ns),
               const char *ns)
{
    FILE *out = tmpfile();
    pid_t pid = out != NULL ? spawn(out) : -1;
    char *said = NULL, *all = NULL;
    int status = 1;

    if (pid == 0)
        tell(r, ns);
    if (pid > 0)
        wait_for(pid, &status);
    if (out != NULL) {
        said = contents(out);
        (void)fclose(out);
    }
    if (said != NULL) {
        size_t before = r->facts != NULL ? strlen(r->facts) : 0, more = strlen(said);

        all = realloc(r->facts, before + more + 1);
        if (all != NULL) {
            memcpy(all + before, said, more + 1);
            r->facts = all;
        }
    }
    free(said);
    return pid > 0 && all != NULL ? status : -1;
}

static int ask_facts(struct results *r, const char *ns, struct kedge_error *err)
{
    int status = ask(r, tell_facts, ns);

    if (status < 0)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, errno, "no process: %s", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        size_t len = strlen(r->facts);

        while (len > 0 && r->facts[len - 1] == '\n')
            r->facts[--len] = '\0';
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, 0, "the store cannot be opened%s%.900s",
                               len > 0 ? ": " : "", len > 0 ? r->facts : "");
    }
    return KEDGE_OK;
}

/* A namespace whose case did not live to remove it. */
static void drop_left_over(const struct results *r, const struct result *one)
{
    FILE *out = tmpfile();
    pid_t pid = out != NULL ? spawn(out) : -1;
    int status;

    if (pid == 0) {
        alarm(SIDE_SECONDS);
        exit(world_drop(ops, r->url, one->ns) ? 0 : 1);
    }
    if (pid > 0)
        wait_for(pid, &status);
    if (out != NULL)
        (void)fclose(out);
}

/* --------------------------------------------------------------------- one case */

static uint64_t seed_of(const struct results *r, const struct contract_case *c)
{
    uint64_t h = r->options->seed;

    for (const char *p = c->id; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    return h;
}

static bool start(const struct results *r, struct result *one)
{
    one->said = tmpfile();
    if (one->said == NULL)
        return false;
    one->began_us = real_us();
    one->pid = spawn(one->said);
    if (one->pid == 0)
        run_case(r, one);
    return one->pid > 0;
}

/* The last line that is not empty. */
static char *last_line(const char *text)
{
    size_t end = strlen(text), begin;

    while (end > 0 && text[end - 1] == '\n')
        end--;
    begin = end;
    while (begin > 0 && text[begin - 1] != '\n')
        begin--;
    return strndup(text + begin, end - begin);
}

static void judge(struct result *one, int status)
{
    char why[80];

    one->why = one->text != NULL ? last_line(one->text) : NULL;
    if (WIFEXITED(status)) {
        switch (WEXITSTATUS(status)) {
        case CASE_EXIT_PASS:
            one->outcome = CONFORM_PASS;
            return;
        case CASE_EXIT_SKIP:
            one->outcome = CONFORM_SKIP;
            return;
        case CASE_EXIT_NA:
            one->outcome = CONFORM_NA;
            one->missing = one->why != NULL ? need_said(one->why) : NULL;
            return;
        case CASE_EXIT_INCONCLUSIVE:
            one->outcome = CONFORM_NO_VERDICT;
            return;
        case CASE_EXIT_FAIL:
            one->outcome = CONFORM_FAIL;
            return;
        default:
            break;
        }
    }
    one->outcome = CONFORM_FAIL;
    if (WIFEXITED(status))
        (void)snprintf(why, sizeof why, "its process ended by itself, with status %d",
                       WEXITSTATUS(status));
    else if (WTERMSIG(status) == SIGALRM)
        (void)snprintf(why, sizeof why, "not done after %.1f s", (double)one->took_us / 1e6);
    else
        (void)snprintf(why, sizeof why, "killed by signal %d", WTERMSIG(status));
    free(one->why);
    one->why = strdup(why);
}

static void finish(struct results *r, struct result *one, int status)
{
    (void)kill(-one->pid, SIGKILL);
    one->took_us = real_us() - one->began_us;
    one->text = contents(one->said);
    (void)fclose(one->said);
    one->said = NULL;
    judge(one, status);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        r->overdue++;
    one->done = true;
    if (one->outcome != CONFORM_PASS && !r->options->keep)
        drop_left_over(r, one);
}

/* ------------------------------------------------------------------ all of them */

/* The signals that run_all waits for, which nobody may get in between. */
static void block_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGCHLD);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, set, NULL);
}

static size_t reap(struct results *r)
{
    size_t n = 0;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < r->n; i++)
            if (r->all[i].pid == pid && !r->all[i].done) {
                finish(r, &r->all[i], status);
                n++;
            }
    return n;
}

static void end_all(const struct results *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->all[i].pid > 0 && !r->all[i].done)
            (void)kill(-r->all[i].pid, SIGKILL);
}

static void report(struct results *r, size_t *reported)
{
    while (*reported < r->n && r->all[*reported].done) {
        r->count[r->all[*reported].outcome]++;
        tap_result(r, ++*reported);
    }
}

struct progress {
    size_t next; /* the case to be looked at */
    size_t running;
    size_t reported;
};

/* Start as many as may run; false: there was no process for one. */
static bool start_some(struct results *r, struct progress *p, bool clock, size_t jobs)
{
    for (; p->next < r->n && p->running < jobs; p->next++) {
        struct result *one = &r->all[p->next];

        if (moves_clock(one) != clock)
            continue;
        if (one->opted_out != NULL) {
            one->outcome = CONFORM_OPTED_OUT;
            one->why = strdup(one->opted_out->reason);
            one->done = true;
        } else if (r->overdue >= OVERDUE_LIMIT) {
            one->outcome = CONFORM_FAIL;
            one->why = strdup("not run, as too many cases before it ran out of time");
            one->done = true;
        } else if (start(r, one)) {
            p->running++;
        } else {
            return false;
        }
    }
    return true;
}

/* The cases that move a server's clock, or those that do not, to their end. */
static bool run_those(struct results *r, struct progress *p, bool clock, size_t jobs,
                      const sigset_t *set)
{
    p->next = 0;
    while (!r->interrupted) {
        int sig;

        if (!start_some(r, p, clock, jobs))
            return false;
        report(r, &p->reported);
        if (p->running == 0)
            return true;
        if (sigwait(set, &sig) != 0)
            continue;
        if (sig == SIGCHLD)
            p->running -= reap(r);
        else
            r->interrupted = true;
    }
    return true;
}

static int run_all(struct results *r, struct kedge_error *err)
{
    size_t jobs = r->options->jobs != 0 ? r->options->jobs : 2;
    struct progress p = { 0, 0, 0 };
    sigset_t set;

    block_signals(&set);
    if (clock_of_server(ops) != NULL && !clock_file_real())
        return kedge_error_set(err, KEDGE_ERR_INVALID, errno,
                               "clock '%.200s': %s: an empty file that can be written will do",
                               clock_of_server(ops), strerror(errno));
    if (!run_those(r, &p, false, jobs, &set) || !run_those(r, &p, true, 1, &set)) {
        end_all(r);
        return kedge_error_set(err, KEDGE_ERR_NOMEM, errno, "no process: %s", strerror(errno));
    }
    end_all(r);
    return KEDGE_OK;
}

/* ----------------------------------------------------------------- the outcome */

const char *results_fact(const struct results *r, const char *name, size_t *len)
{
    size_t n = strlen(name);
    const char *line = r->facts;

    while (line != NULL && *line != '\0') {
        size_t whole = strcspn(line, "\n");

        if (strncmp(line, name, n) == 0 && line[n] == '\t') {
            *len = whole - n - 1;
            return line + n + 1;
        }
        line += whole + (line[whole] == '\n');
    }
    return NULL;
}

/* A case that does not apply is as good as its twin, if it was run. */
static bool good(const struct results *r, const struct result *one)
{
    if (!one->done)
        return false;
    if (one->outcome == CONFORM_NA && one->missing != NULL) {
        const struct result *twin = results_twin(r, one);

        return twin != NULL && twin->outcome == CONFORM_PASS;
    }
    return one->outcome == CONFORM_PASS || one->outcome == CONFORM_NA ||
           one->outcome == CONFORM_SKIP;
}

const struct result *results_twin(const struct results *r, const struct result *one)
{
    for (size_t i = 0; one->missing != NULL && i < r->n; i++)
        if (strcmp(r->all[i].entry->c->id, one->missing->twin) == 0)
            return &r->all[i];
    return NULL;
}

/* Does the store say that a write outlives the process that made it? */
static bool survives_process(const struct results *r)
{
    size_t len = 0;
    const char *durability = results_fact(r, "durability", &len);

    /* Its words stand in the order of what they survive. */
    return durability != NULL && len >= 7 && strncmp(durability, "process", 7) == 0;
}

int results_level(const struct results *r)
{
    int level = r->options->filter != NULL ? CONFORM_FULL : (int)r->options->tier;
    size_t i = 0;

    for (const struct catalogue_entry *e = catalogue(); e->c != NULL; e++) {
        bool held = i < r->n && r->all[i].entry == e && good(r, &r->all[i]);

        i += i < r->n && r->all[i].entry == e;
        if (!held && (int)e->tier <= level)
            level = (int)e->tier - 1;
    }
    if (level > CONFORM_CONCURRENT && !survives_process(r))
        level = CONFORM_CONCURRENT;
    if (r->count[CONFORM_PASS] == 0)
        level = -1;
    return level;
}

enum conform_exit results_exit(const struct results *r)
{
    if (r->interrupted)
        return CONFORM_INTERRUPTED;
    if (r->count[CONFORM_FAIL] > 0)
        return CONFORM_FAILED;
    if (r->count[CONFORM_NO_VERDICT] > 0)
        return CONFORM_INCONCLUSIVE;
    /* A suite that ran nothing has shown nothing. */
    return r->count[CONFORM_PASS] > 0 ? CONFORM_CERTIFIED : CONFORM_FAILED;
}

/* ---------------------------------------------------------------- from options */

static int select_cases(struct results *r, const struct opt_out *opt_outs, struct kedge_error *err)
{
    const struct conform_options *o = r->options;
    uint32_t run_id = (uint32_t)time(NULL) * 31 + (uint32_t)getpid();
    int rc = catalogue_check(o->filter, err);

    if (rc != KEDGE_OK)
        return rc;
    r->all = calloc(CATALOGUE_MAX, sizeof *r->all);
    if (r->all == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    for (const struct catalogue_entry *e = catalogue(); e->c != NULL; e++) {
        struct result *one = &r->all[r->n];

        /* Who names a case wants it, whatever its tier. */
        if (!catalogue_wanted(e->c, o->filter) || (o->filter == NULL && e->tier > o->tier))
            continue;
        one->entry = e;
        one->seed = seed_of(r, e->c);
        one->opted_out = opt_outs_find(opt_outs, e->c->id);
        (void)snprintf(one->ns, sizeof one->ns, o->keep ? "%s" : "conform-%s-%08" PRIx32, e->c->id,
                       run_id);
        r->n++;
    }
    return KEDGE_OK;
}

/* The server's address goes into the URL; where it stands there, that of a proxy may. */
static int find_way(struct results *r, struct kedge_error *err)
{
    const char *server = r->options->server;
    size_t room = strlen(r->url) + 1024;
    struct address address;
    char *filled;

    if (!address_wanted(r->url))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "--server needs a URL with {server}, {host} or {port} where its "
                               "address is to stand");
    if (!address_parse(server, &address))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "--server takes HOST:PORT or unix:PATH, not '%.200s'", server);
    filled = malloc(room);
    if (filled == NULL || !address_fill(filled, room, r->url, server)) {
        free(filled);
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    r->place = r->url;
    r->url = filled;
    way_is(server, r->place);
    return KEDGE_OK;
}

static int find_backend(struct results *r, struct kedge_error *err)
{
    if (kedge_backend_resolve(r->options->url, r->options->backend, &ops, &r->url, err) != KEDGE_OK)
        return err->code;
    r->backend = ops->name;
    return r->options->server != NULL ? find_way(r, err) : KEDGE_OK;
}

static void write_reports(const struct results *r, int *rc, struct kedge_error *err)
{
    if (*rc == KEDGE_OK && r->options->junit != NULL)
        *rc = junit_write(r, r->options->junit, err);
    if (*rc == KEDGE_OK && r->options->cert != NULL && !r->interrupted)
        *rc = cert_write(r, r->options->cert, err);
}

static void free_results(struct results *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->all[i].text);
        free(r->all[i].why);
        if (r->all[i].said != NULL)
            (void)fclose(r->all[i].said);
    }
    free(r->all);
    free(r->facts);
    free(r->url);
    free(r->place);
}

enum conform_exit conform_run(const struct conform_options *o, struct kedge_error *err)
{
    struct results r = { .options = o, .began = (int64_t)time(NULL) };
    struct opt_out *opt_outs = NULL;
    enum conform_exit result = CONFORM_USAGE;
    int64_t began = real_us();
    int rc = KEDGE_OK;

    world_keeps = o->keep;
    world_options = o->backend_options;
    world_thorough = o->tier == CONFORM_FULL;
    if (o->clock != NULL && setenv("KEDGE_TEST_CLOCK", o->clock, 1) != 0)
        return CONFORM_USAGE;
    if (o->opt_out != NULL)
        rc = opt_outs_read(o->opt_out, &opt_outs, err);
    if (rc == KEDGE_OK)
        rc = find_backend(&r, err);
    if (rc == KEDGE_OK && o->in_case != NULL) {
        run_in_case(&r, err);
        rc = err->code;
    }
    if (rc == KEDGE_OK)
        rc = select_cases(&r, opt_outs, err);
    if (rc == KEDGE_OK && r.n > 0)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): free_results() below frees r.all */
        rc = ask_facts(&r, r.all[0].ns, err);
    if (rc == KEDGE_OK) {
        tap_begin(&r);
        rc = run_all(&r, err);
        r.took_us = real_us() - began;
        tap_end(&r);
        if (o->cert != NULL && !r.interrupted)
            (void)ask(&r, tell_operations, r.all[0].ns); /* or the certificate does not know */
        write_reports(&r, &rc, err);
        result = rc == KEDGE_OK ? results_exit(&r) : CONFORM_FAILED;
    }
    free_results(&r);
    opt_outs_free(opt_outs);
    return result;
}

/* -------------------------------------------------------------------- by words */

enum conform_exit conform_list(const char *filter, enum conform_tier tier, struct kedge_error *err)
{
    if (catalogue_check(filter, err) != KEDGE_OK)
        return CONFORM_USAGE;
    for (const struct catalogue_entry *e = catalogue(); e->c != NULL; e++)
        if (catalogue_wanted(e->c, filter) && (filter != NULL || e->tier <= tier))
            printf("%s\t%s\t%s\n", e->c->id, conform_tier_name(e->tier), e->c->what);
    return CONFORM_CERTIFIED;
}

static void explain_needs(uint32_t bits)
{
    for (const struct need *n = needs; n->bits != 0; n++)
        if ((bits & n->bits) == n->bits) {
            printf("needs  %s; else %s asks what follows\n", n->what, n->twin);
            bits &= ~n->bits;
        }
    if (bits & NEEDS_CLOCK)
        puts("needs  a clock that can be moved");
    if (bits & NEEDS_KILL)
        puts("needs  " SHIM_KILL ", preloaded into its process");
    if (bits & NEEDS_SKEW)
        puts("needs  " SHIM_CLOCK ", preloaded into its process");
    if (bits & NEEDS_PROXY)
        puts("needs  to know where the server listens: --server");
}

static void explain_twin(const char *id)
{
    for (const struct need *n = needs; n->bits != 0; n++)
        if (strcmp(n->twin, id) == 0)
            printf("twin   of the cases that need %s\n", n->what);
}

enum conform_exit conform_explain(const char *id, struct kedge_error *err)
{
    for (const struct catalogue_entry *e = catalogue(); e->c != NULL; e++)
        if (strcmp(e->c->id, id) == 0) {
            printf("case   %s\ntier   %s\nholds  %s\n", e->c->id, conform_tier_name(e->tier),
                   e->c->what);
            explain_needs(e->c->needs);
            explain_twin(id);
            covers_explain_case(id);
            for (const struct conform_mutant *m = mutants(); m->id != NULL; m++)
                if (mutant_is_for(m, id))
                    printf("kills  %s: %s\n", m->id, mutant_main(m)->defect);
            return CONFORM_CERTIFIED;
        }
    if (covers_explain_entry(id))
        return CONFORM_CERTIFIED;
    (void)kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                          "there is no case '%.80s'; see `kedge conform --list'", id);
    return CONFORM_USAGE;
}
