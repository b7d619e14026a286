/*
 * takeover.c - worker processes are killed with -9 while they work; their runs go on elsewhere
 *
 * Two worker processes carry runs of short steps; each execution of a step appends a line to a
 * file.  Again and again the process that was seen last is killed, its runs are waited for on
 * the other, and a new process takes its place.  At the end every run is complete, and a step ran
 * twice only if a kill hit its run.  Prints the takeover times.  Speaks TAP.
 *
 *	./takeover URL DIR [KILLS]
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <kedge/kedge.h>

#define SECONDS INT64_C(1000000)

enum { RUNS = 6, STEPS_MOST = 20000, STEP_MS = 5 };

static struct kedge_error err;
static const char *url;
static char log_path[4096];
static int log_fd;
static int n_steps;

static void must(int rc, const char *what)
{
    if (rc == KEDGE_OK)
        return;
    printf("Bail out! %s: %s: %s\n", what, kedge_status_name(rc), rc < 0 ? err.msg : "");
    exit(99);
}

static int64_t now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* One line per execution, written before its work.  Never across a page: a kill could tear it. */
struct line {
    int64_t at;
    int32_t run;
    int32_t step;
    int32_t pid;
    int32_t doubt;
    int64_t unused;
};
_Static_assert(4096 % sizeof(struct line) == 0, "a line lies in one page");

static int work(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);
    struct timespec nap = { 0, STEP_MS * 1000000L };
    struct line line = { .at = now_us(),
                         .step = (int32_t)strtol(view->step + 1, NULL, 10),
                         .pid = (int32_t)getpid(),
                         .doubt = (int32_t)view->flags };
    int64_t run;

    (void)user;
    if (kedge_json_int64(view->input.data, view->input.len, "", &run, NULL) != KEDGE_OK)
        return kedge_fail(step, KEDGE_FAIL_FINAL, "whose run is it?");
    line.run = (int32_t)run;
    if (write(log_fd, &line, sizeof line) != sizeof line)
        return kedge_fail(step, 0, "cannot log");
    (void)nanosleep(&nap, NULL); /* the step's work */
    return kedge_ok(step, NULL, 0);
}

static struct kedge_reactor *make_reactor(void)
{
    struct kedge_step_def *steps = calloc((size_t)n_steps, sizeof *steps);
    struct kedge_reactor_def def = { sizeof def,      "takeover",    1,    0,   steps,
                                     (size_t)n_steps, sizeof *steps, NULL, NULL };
    char(*names)[16] = calloc((size_t)n_steps, sizeof *names);
    const char *(*after)[2] = calloc((size_t)n_steps, sizeof *after);
    struct kedge_reactor *reactor;

    if (steps == NULL || names == NULL || after == NULL)
        exit(99);
    for (int i = 0; i < n_steps; i++) {
        (void)snprintf(names[i], sizeof names[i], "s%d", i);
        steps[i].name = names[i];
        steps[i].run = work;
        steps[i].flags = KEDGE_STEP_POOL;
        if (i > 0) {
            after[i][0] = names[i - 1];
            steps[i].after = after[i];
        }
    }
    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    free(steps);
    free(names);
    free(after);
    return reactor;
}

static struct kedge_worker *the_worker;
static void on_term(int sig)
{
    (void)sig;
    /* NOLINTNEXTLINE(bugprone-signal-handler,cert-sig30-c): documented as safe here */
    kedge_worker_stop(the_worker);
}

/* A worker process.  Forked before anything is opened: a store does not survive a fork. */
static pid_t spawn(void)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactor;
    struct kedge_store *store;
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever ends the test */
    log_fd = open(log_path, O_WRONLY | O_APPEND | O_CLOEXEC);
    reactor = make_reactor();
    must(kedge_store_open(url, NULL, &store, &err), "open");
    options.reactors = &reactor;
    options.n_reactors = 1;
    options.claim_slice = 2;
    must(kedge_worker_open(store, &options, &the_worker, &err), "worker");
    (void)signal(SIGTERM, on_term);
    must(kedge_worker_run(the_worker, &err), "run");
    kedge_worker_close(the_worker, SECONDS);
    kedge_store_close(store);
    _exit(0);
}

/* ------------------------------------------------------------ the observer's side */

static struct line last[RUNS];
static unsigned char *ran; /* RUNS x n_steps */
static int read_fd;

static void read_lines(void)
{
    struct line line;

    while (read(read_fd, &line, sizeof line) == sizeof line) {
        last[line.run] = line;
        ran[(size_t)line.run * (size_t)n_steps + (size_t)line.step]++;
    }
}

/* Wait until run R is seen on another process than PID; how long that took since FROM. */
static int64_t wait_for(int r, pid_t pid, int64_t from)
{
    int64_t until = now_us() + 60 * SECONDS;

    while (last[r].pid == (int32_t)pid && last[r].step < n_steps - 1) {
        struct timespec nap = { 0, 1000000 };

        if (now_us() > until) {
            printf("Bail out! run %d does not go on after a kill\n", r);
            exit(99);
        }
        (void)nanosleep(&nap, NULL);
        read_lines();
    }
    return last[r].pid == (int32_t)pid ? 0 : last[r].at - from;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* Kill the process seen last, and answer how long its runs took to go on. */
static int64_t kill_one(pid_t pids[2])
{
    int newest = 0;
    int hit[RUNS];
    int64_t worst = 0;
    int64_t from;
    pid_t victim;

    read_lines();
    for (int r = 1; r < RUNS; r++)
        if (last[r].at > last[newest].at)
            newest = r;
    victim = (pid_t)last[newest].pid;
    if (victim != pids[0] && victim != pids[1])
        return -1;
    from = now_us();
    (void)kill(victim, SIGKILL);
    (void)waitpid(victim, NULL, 0);
    read_lines();
    for (int r = 0; r < RUNS; r++)
        hit[r] = last[r].pid == (int32_t)victim;
    for (int r = 0; r < RUNS; r++) {
        int64_t took = hit[r] ? wait_for(r, victim, from) : 0;

        worst = took > worst ? took : worst;
    }
    pids[victim == pids[0] ? 0 : 1] = spawn();
    return worst;
}

static void start_runs(struct kedge_store *store)
{
    for (int r = 0; r < RUNS; r++) {
        struct kedge_run_start start = KEDGE_START_INIT;
        char id[16];
        char input[16];

        (void)snprintf(id, sizeof id, "run-%d", r);
        (void)snprintf(input, sizeof input, "%d", r);
        start.reactor = "takeover";
        start.version = 1;
        start.id = kedge_text(id);
        start.input = kedge_text(input);
        must(kedge_start(store, &start, 10 * SECONDS, &err), "start");
    }
}

int main(int argc, char **argv)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    int kills = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 3;
    int64_t *took;
    struct kedge_store *store;
    pid_t pids[2];
    int n = 0;
    int twice = 0;
    int completed = 0;
    int lost = 0;

    if (argc < 3 || kills < 1) {
        (void)fprintf(stderr, "usage: takeover URL DIR [KILLS]\n");
        return 2;
    }
    url = argv[1];
    n_steps = kills * 150 + 100 < STEPS_MOST ? kills * 150 + 100 : STEPS_MOST;
    (void)snprintf(log_path, sizeof log_path, "%s/effects", argv[2]);
    read_fd = open(log_path, O_RDONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    took = calloc((size_t)kills, sizeof *took);
    ran = calloc((size_t)RUNS * (size_t)n_steps, 1);
    if (read_fd < 0 || took == NULL || ran == NULL)
        exit(99);
    options.flags = KEDGE_STORE_CREATE;
    must(kedge_store_open(url, &options, &store, &err), "open");
    start_runs(store);
    kedge_store_close(store);
    pids[0] = spawn();
    pids[1] = spawn();
    for (int r = 0; r < RUNS; r++) /* all are under way */
        (void)wait_for(r, 0, 0);
    while (n < kills) {
        struct timespec nap = { 0, 300000000 }; /* let both be at work; nothing depends on it */
        int64_t us;

        (void)nanosleep(&nap, NULL);
        us = kill_one(pids);
        if (us < 0) {
            printf("Bail out! a line of a process that is none of ours\n");
            return 99;
        }
        took[n++] = us;
    }
    must(kedge_store_open(url, NULL, &store, &err), "open");
    for (int r = 0; r < RUNS; r++) {
        struct kedge_run_info *info;
        char id[16];

        (void)snprintf(id, sizeof id, "run-%d", r);
        must(kedge_run_wait(store, kedge_text(id), &info, 300 * SECONDS, &err), "wait");
        completed += info->status == KEDGE_COMPLETED;
        kedge_run_info_free(info);
    }
    kedge_store_close(store);
    for (int i = 0; i < 2; i++) {
        (void)kill(pids[i], SIGTERM);
        (void)waitpid(pids[i], NULL, 0);
    }
    read_lines();
    for (size_t i = 0; i < (size_t)RUNS * (size_t)n_steps; i++) {
        lost += ran[i] == 0;
        twice += ran[i] > 1 ? ran[i] - 1 : 0;
    }
    qsort(took, (size_t)n, sizeof *took, by_value);
    printf("# %d kills: takeover of all the runs of the dead: median %lld us, p99 %lld us, most "
           "%lld us\n",
           n, (long long)took[n / 2], (long long)took[(n * 99 - 1) / 100], (long long)took[n - 1]);
    printf("%sok 1 - all %d runs of %d steps are complete, none lost a step\n",
           completed == RUNS && lost == 0 ? "" : "not ", RUNS, n_steps);
    printf("%sok 2 - %d executions beyond one per step: at most one per run and kill\n",
           twice <= n * RUNS ? "" : "not ", twice);
    printf("%sok 3 - %d kills\n1..3\n", n == kills ? "" : "not ", n);
    free(took);
    free(ran);
    return !(completed == RUNS && lost == 0 && twice <= n * RUNS && n == kills);
}
