/*
 * demo_order.c - kedge demo order: a saga that fails, and whose worker is killed while it takes
 * back
 *
 * This process starts one run and watches; worker processes carry it.  A worker writes what it does
 * to a pipe; where the run stands is read from the store each time, so what is shown is what a
 * crash would leave.  When the first worker begins to undo "charge" it is killed with -9, and a
 * second one started.
 */
#include <config.h>

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "out.h"
#include "run_row.h"

#define ID         "order-1001"
#define TIMEOUT_US INT64_C(10000000)
#define WORK_MS    250
#define MAX_STEPS  8
#define LINE_MAX_  256

/* ------------------------------------------------------------------ the saga */

/* A line to whoever watches: what, which step, in doubt. */
static void tell(const struct kedge_step *step, const char *what)
{
    static const char *const actions[] = { "?", "run", "compensate", "undo" };
    const struct kedge_view *view = kedge_step_view(step);
    char line[LINE_MAX_];
    int len = snprintf(line, sizeof line, "%s %s %s %d %ld\n", what, actions[view->action & 3],
                       view->step, (view->flags & KEDGE_STEP_IN_DOUBT) != 0, (long)getpid());

    if (len > 0 && write(STDOUT_FILENO, line, (size_t)len) < 0)
        return; /* nobody watches any more */
}

static int work(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);
    struct timespec ts = { 0, WORK_MS * 1000000L };
    const char *fault = user;

    tell(step, "begin");
    (void)nanosleep(&ts, NULL); /* the step's work */
    tell(step, "end");
    if (fault != NULL && view->action == KEDGE_ACTION_RUN)
        return kedge_fail(step, KEDGE_FAIL_FINAL, fault);
    return kedge_ok(step, NULL, 0);
}

static int make_reactor(struct kedge_reactor **reactor, struct kedge_error *err)
{
    static const char *const after_reserve[] = { "reserve", NULL };
    static const char *const after_charge[] = { "charge", "screen", NULL };
    static const struct kedge_step_def steps[] = {
        { .name = "reserve", .run = work, .undo = work, .flags = KEDGE_STEP_POOL },
        { .name = "screen", .run = work, .flags = KEDGE_STEP_POOL, .after = after_reserve },
        { .name = "charge",
          .run = work,
          .undo = work,
          .flags = KEDGE_STEP_POOL,
          .after = after_reserve },
        { .name = "ship",
          .run = work,
          .compensate = work,
          .undo = work,
          .flags = KEDGE_STEP_POOL,
          .after = after_charge,
          .user = (void *)(uintptr_t) "no carrier" },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("order", 1, steps);

    return kedge_reactor_new(&def, reactor, err);
}

/* ---------------------------------------------------------------- the worker */

static struct kedge_worker *the_worker;

static void on_term(int sig)
{
    (void)sig;
    kedge_worker_stop(the_worker);
}

/* The last thing to tell. */
static void observe(void *ctx, const struct kedge_event *event)
{
    static const char line[] = "ended - - 0 0\n";

    (void)ctx;
    if (event->kind == KEDGE_EVENT_RUN_ENDED && write(STDOUT_FILENO, line, sizeof line - 1) < 0)
        return;
}

static enum cli_exit be_worker(const struct cli *cli, const char *url)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct sigaction action = { .sa_handler = on_term };
    const struct kedge_reactor *serve[1];
    struct kedge_reactor *reactor = NULL;
    struct kedge_store *store = NULL;
    struct kedge_error err = { .msg = "" };
    enum cli_exit status = cli_open_store(cli, url, KEDGE_STORE_CREATE, &store);
    int rc;

    if (status != CLI_EXIT_OK)
        return status;
    rc = make_reactor(&reactor, &err);
    serve[0] = reactor;
    options.reactors = serve;
    options.n_reactors = 1;
    options.label = "demo";
    options.observe = observe;
    if (rc == KEDGE_OK)
        rc = kedge_worker_open(store, &options, &the_worker, &err);
    if (rc == KEDGE_OK) {
        (void)sigaction(SIGTERM, &action, NULL);
        rc = kedge_worker_run(the_worker, &err);
        (void)signal(SIGTERM, SIG_IGN);
        kedge_worker_close(the_worker, TIMEOUT_US);
    }
    kedge_reactor_free(reactor);
    kedge_store_close(store);
    return rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}

/* ------------------------------------------------------------------ watching */

/* What a worker said that it is doing with a step. */
struct doing {
    char step[32]; /* empty: this place is free */
    char action[16];
    int in_doubt;
    long pid;
};

/* What is shown of a step. */
static const struct cli_field columns[] = { { "step", "STEP", CLI_TEXT, "" },
                                            { "forward", "FORWARD", CLI_TEXT, "" },
                                            { "back", "BACK", CLI_TEXT, "" },
                                            { NULL, NULL, CLI_TEXT, NULL } };
enum { COL_STEP, COL_FORWARD, COL_BACK };

struct row {
    char forward[64];
    char back[64];
};

struct watch {
    const struct cli *cli;
    const char *url;
    struct kedge_store *store;
    struct cli_out *table;
    struct doing doing[MAX_STEPS];
    bool kill;
    bool terminal;
    unsigned lines; /* of what was drawn last */
    FILE *from;     /* the worker's lines */
    pid_t worker;
    int64_t killed_at; /* 0: everybody lives */
};

/* Which way it went, and how far back it has come. */
static void tell_state(struct row *to, const struct kedge_step_info *step)
{
    static const char *const done[] = {
        [KEDGE_STEP_UNDONE] = "done",
        [KEDGE_STEP_LEFT] = "done",
        [KEDGE_STEP_COMPENSATED] = "failed",
        [KEDGE_STEP_UNDO_FAILED] = "done",
    };
    const char *now = kedge_step_state_text(step->state);
    bool back = step->state < sizeof done / sizeof *done && done[step->state] != NULL;
    int len = step->error.len < 32 ? (int)step->error.len : 32;

    (void)snprintf(to->forward, sizeof to->forward, "%s%s%.*s", back ? done[step->state] : now,
                   len > 0 ? ": " : "", len, len > 0 ? (const char *)step->error.data : "");
    (void)snprintf(to->back, sizeof to->back, "%s", back ? now : "-");
}

static const struct doing *doing_with(const struct watch *w, const char *step)
{
    for (size_t i = 0; i < MAX_STEPS; i++) {
        if (strcmp(w->doing[i].step, step) == 0)
            return &w->doing[i];
    }
    return NULL;
}

static int see_step(void *ctx, const struct kedge_step_info *step)
{
    struct watch *w = ctx;
    const struct doing *doing = doing_with(w, step->name);
    struct row row = { .forward = "" };

    tell_state(&row, step);
    if (doing != NULL && strcmp(doing->action, "run") == 0)
        (void)snprintf(row.forward, sizeof row.forward, "running in %ld", doing->pid);
    else if (doing != NULL)
        (void)snprintf(row.back, sizeof row.back, "%s in %ld%s",
                       strcmp(doing->action, "undo") == 0 ? "being undone" : "being compensated",
                       doing->pid, doing->in_doubt ? ", in doubt: it began before" : "");
    cli_put_text(w->table, COL_STEP, step->name);
    cli_put_text(w->table, COL_FORWARD, row.forward);
    cli_put_text(w->table, COL_BACK, row.back);
    cli_row_end(w->table, cli_step_parent(step));
    return 0;
}

/* The steps as they stand in the store, and what is being done. */
static int draw(struct watch *w, struct kedge_error *err)
{
    int rc;

    w->table = cli_out_tree(w->cli, columns);
    if (w->table == NULL)
        return KEDGE_ERR_NOMEM;
    rc = kedge_run_steps(w->store, kedge_text(ID), see_step, w, TIMEOUT_US, err);
    if (rc != KEDGE_OK) {
        cli_out_drop(w->table);
        return rc;
    }
    if (w->terminal && w->lines > 0)
        (void)printf("\033[%uA\033[J", w->lines);
    else if (w->lines > 0)
        (void)putchar('\n');
    w->lines = (unsigned)cli_rows(w->table) + 1;
    rc = cli_out_end(w->table) == CLI_EXIT_OK ? KEDGE_OK : KEDGE_ERR_NOMEM;
    (void)fflush(stdout);
    return rc;
}

static int no_worker(struct kedge_error *err)
{
    err->code = KEDGE_ERR_UNAVAILABLE;
    (void)snprintf(err->msg, sizeof err->msg, "the worker process ended, or cannot be started");
    return KEDGE_ERR_UNAVAILABLE;
}

static int start_worker(struct watch *w)
{
    const char *argv[6 + CLI_STORE_WORDS] = { "kedge", "demo", "--worker", "--store", w->url };
    const pid_t parent = getpid();
    const size_t n = 5;
    int fds[2];

    argv[cli_store_words(w->cli, argv, n)] = NULL;
    if (pipe(fds) != 0)
        return -1;
    w->worker = fork();
    if (w->worker == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent ||
            dup2(fds[1], STDOUT_FILENO) < 0)
            _exit(CLI_EXIT_FAILURE);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
        _exit(CLI_EXIT_FAILURE);
    }
    (void)close(fds[1]);
    w->from = w->worker > 0 ? fdopen(fds[0], "r") : NULL;
    if (w->from != NULL)
        return 0;
    (void)close(fds[0]);
    return -1;
}

static void end_worker(struct watch *w, int sig)
{
    if (w->worker <= 0)
        return;
    (void)kill(w->worker, sig);
    (void)waitpid(w->worker, NULL, 0);
    if (w->from != NULL)
        (void)fclose(w->from);
    w->from = NULL;
    w->worker = 0;
}

static int64_t now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

enum heard { HEARD_NOTHING, HEARD_BEGIN, HEARD_KILL, HEARD_END };

/* One line of the worker's. */
static enum heard hear(struct watch *w, const char *line, long *pid)
{
    struct doing now = { .pid = 0 };
    struct doing *to;
    char what[16];

    /* NOLINTNEXTLINE(cert-err34-c): a line that our own worker printed */
    if (sscanf(line, "%15s %15s %31s %d %ld", what, now.action, now.step, &now.in_doubt,
               &now.pid) != 5)
        return HEARD_NOTHING;
    if (strcmp(what, "ended") == 0)
        return HEARD_END;
    to = (struct doing *)(uintptr_t)doing_with(w, strcmp(what, "begin") == 0 ? "" : now.step);
    if (to == NULL)
        return HEARD_NOTHING;
    *pid = now.pid;
    if (strcmp(what, "begin") != 0) {
        to->step[0] = '\0';
        return HEARD_NOTHING; /* it is not done before its record is: another line will come */
    }
    *to = now;
    return w->kill && strcmp(now.action, "undo") == 0 && strcmp(now.step, "charge") == 0
               ? HEARD_KILL
               : HEARD_BEGIN;
}

static int kill_worker(struct watch *w)
{
    w->kill = false;
    (void)printf("killed worker %ld in the middle of that undo; another one starts\n",
                 (long)w->worker);
    end_worker(w, SIGKILL);
    memset(w->doing, 0, sizeof w->doing);
    w->killed_at = now_ms();
    w->lines = 0; /* what is above stays */
    return start_worker(w);
}

/* Until the run is at rest. */
static int watch(struct watch *w, struct kedge_error *err)
{
    char line[LINE_MAX_];
    int rc = KEDGE_OK;
    long pid = 0;

    while (rc == KEDGE_OK && fgets(line, sizeof line, w->from) != NULL) {
        enum heard heard = hear(w, line, &pid);

        if (heard == HEARD_NOTHING)
            continue;
        if (w->killed_at != 0 && heard != HEARD_END) {
            (void)printf("worker %ld goes on, %lld ms after the kill\n", pid,
                         (long long)(now_ms() - w->killed_at));
            w->killed_at = 0;
        }
        rc = draw(w, err);
        if (heard == HEARD_END)
            return rc;
        if (rc == KEDGE_OK && heard == HEARD_KILL && kill_worker(w) != 0)
            break;
    }
    return rc != KEDGE_OK ? rc : no_worker(err);
}

static int show_end(struct watch *w, struct kedge_error *err)
{
    struct kedge_run_info *info = NULL;
    int rc = kedge_run_wait(w->store, kedge_text(ID), &info, TIMEOUT_US, err);

    if (rc != KEDGE_OK)
        return rc;
    (void)printf("\nrun %s: %s, %.*s (step %.*s)\n", ID, kedge_run_status_text(info->status),
                 (int)info->error.len, (const char *)info->error.data, (int)info->error_step.len,
                 (const char *)info->error_step.data);
    kedge_run_info_free(info);
    return KEDGE_OK;
}

static int run_demo(struct watch *w, struct kedge_error *err)
{
    struct kedge_run_start start = KEDGE_START_INIT;
    int rc;

    start.reactor = "order";
    start.version = 1;
    start.id = kedge_text(ID);
    start.input = kedge_text("{\"item\":\"anchor\"}");
    rc = kedge_start(w->store, &start, TIMEOUT_US, err);
    if (rc == KEDGE_EXISTS) {
        rc = kedge_run_wait(w->store, start.id, NULL, 1, err);
        (void)printf("there is a run %s already: %s\n", ID,
                     rc == KEDGE_OK ? "it has ended so" : "it goes on");
        if (rc == KEDGE_OK) {
            rc = draw(w, err);
            return rc == KEDGE_OK ? show_end(w, err) : rc;
        }
    } else if (rc != KEDGE_OK) {
        return rc;
    }
    rc = start_worker(w) == 0 ? watch(w, err) : no_worker(err);
    end_worker(w, SIGTERM);
    return rc == KEDGE_OK ? show_end(w, err) : rc;
}

/* --------------------------------------------------------------- command line */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

/* A store that lives as long as the demo. */
static bool make_store(char *dir, size_t size)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(dir, size, "%s/kedge-order.XXXXXX", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    return mkdtemp(dir) != NULL;
}

static enum cli_exit watch_it(const struct cli *cli, const char *url)
{
    struct watch w = { .cli = cli, .url = url, .kill = !cli_has(cli, CLI_NO_KILL) };
    struct kedge_error err = { .msg = "" };
    enum cli_exit status = cli_open_store(cli, url, KEDGE_STORE_CREATE, &w.store);
    int rc;

    if (status != CLI_EXIT_OK)
        return status;
    w.terminal = isatty(STDOUT_FILENO) != 0;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    rc = run_demo(&w, &err);
    kedge_store_close(w.store);
    return rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}

enum cli_exit cli_demo_order(const struct cli *cli)
{
    const char *given = cli->given[CLI_STORE]; /* not KEDGE_STORE: that one may be for real work */
    char url[4096 + 32];
    char dir[4096];
    enum cli_exit status;

    if (cli->n_words > 0 && strcmp(cli->words[0], "order") != 0)
        return cli_usage(cli, "the demos are order and archive, not", cli->words[0]);
    if (cli->json)
        return cli_usage(cli, "a demo is to be looked at, and prints no JSON", NULL);
    if (cli_has(cli, CLI_WORKER))
        return be_worker(cli, given);
    if (given != NULL)
        return watch_it(cli, given);
    if (!make_store(dir, sizeof dir))
        return cli_tell(CLI_EXIT_FAILURE, "%s: %s", dir, strerror(errno));
    (void)snprintf(url, sizeof url, "lmdb:%s/store?map_size=64MiB", dir);
    status = watch_it(cli, url);
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return status;
}
