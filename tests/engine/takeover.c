/*
 * takeover.c - worker processes are killed with -9 while they work; their runs go on elsewhere
 *
 * Two worker processes carry runs of short steps; each execution of a step appends a line to a
 * file.  Again and again one of them is killed where WHERE says, its runs are waited for on the
 * other, and a new process takes its place.  At the end every run is complete, and a step ran
 * twice only if a kill hit its run.  Prints the takeover times: of the last of a process's runs,
 * from the kill to the start of a step elsewhere.  Speaks TAP.
 *
 *	./takeover URL DIR [KILLS [step|call|idle [MOST_MS]]]
 *
 * With MOST_MS the 99th of 100 of these times decides, too.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "takeover.h"

enum { STEPS_MOST = 20000, SILENCE_US = 20000, PATIENCE_S = 60 };

struct takeover takeover;
struct kedge_error err;

void must(int rc, const char *what)
{
    if (rc == KEDGE_OK)
        return;
    printf("Bail out! %s: %s: %s\n", what, kedge_status_name(rc), rc < 0 ? err.msg : "");
    exit(99);
}

int64_t now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct kedge_store *store_open(uint32_t flags)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_store *store;

    options.flags = flags;
    options.ns = takeover.ns;
    must(kedge_store_open(takeover.url, &options, &store, &err), "open");
    return store;
}

static void nap_us(int64_t us)
{
    struct timespec nap = { 0, us * 1000 };

    (void)nanosleep(&nap, NULL);
}

/* -------------------------------------------------------------- what has been seen */

static struct line last[RUNS];
static int64_t moved_at[RUNS]; /* when it was first seen on the process it was last seen on */
static unsigned char *ran;     /* RUNS x n_steps */
static int read_fd;

static void read_lines(void)
{
    struct line line;

    while (read(read_fd, &line, sizeof line) == sizeof line) {
        if (line.pid != last[line.run].pid)
            moved_at[line.run] = line.at;
        last[line.run] = line;
        ran[(size_t)line.run * (size_t)takeover.n_steps + (size_t)line.step]++;
    }
}

static int is_over(int r)
{
    return last[r].step == takeover.n_steps - 1;
}

/* Wait until run R is seen on another process than PID; how long that took since FROM. */
static int64_t wait_for(int r, pid_t pid, int64_t from)
{
    int64_t until = now_us() + PATIENCE_S * SECONDS;

    while (last[r].pid == (int32_t)pid && !is_over(r)) {
        if (now_us() > until) {
            printf("Bail out! run %d does not go on after a kill\n", r);
            exit(99);
        }
        nap_us(1000);
        read_lines();
    }
    return last[r].pid == (int32_t)pid ? 0 : moved_at[r] - from;
}

/* --------------------------------------------------------------------------- kills */

/* A process that carries a run which is not over: the one seen last.  -1: none does. */
static int victim_slot(const pid_t pids[WORKERS])
{
    int newest = -1;

    read_lines();
    for (int r = 0; r < RUNS; r++)
        if (!is_over(r) && (newest < 0 || last[r].at > last[newest].at))
            newest = r;
    for (int slot = 0; newest >= 0 && slot < WORKERS; slot++)
        if (pids[slot] == (pid_t)last[newest].pid)
            return slot;
    return -1;
}

/* Has it begun no step for a while, so that what it committed is committed? */
static int is_silent(pid_t pid)
{
    int64_t now;

    read_lines();
    now = now_us();
    for (int r = 0; r < RUNS; r++)
        if (last[r].pid == (int32_t)pid && now - last[r].at < SILENCE_US)
            return 0;
    return 1;
}

/* Until the process in SLOT is where it is to be killed. */
static void await_place(int slot, pid_t pid)
{
    int64_t until = now_us() + PATIENCE_S * SECONDS;

    while (takeover.where != IN_STEP && now_us() < until) {
        if (takeover.where == IN_CALL && atomic_load(&takeover.calls[slot]) > 0)
            return;
        if (takeover.where == IDLE && is_silent(pid) && atomic_load(&takeover.calls[slot]) == 0)
            return;
        if (takeover.where == IDLE)
            nap_us(1000);
    }
}

static struct {
    int n;        /* kills */
    int in_place; /* of them there where WHERE says, as far as it can be seen */
    int64_t *took;
} kills;

/* Kill one, and see how long its runs take to go on.  0: no process has one to lose. */
static int kill_one(pid_t pids[WORKERS])
{
    int slot = victim_slot(pids);
    int hit[RUNS];
    int64_t worst = 0;
    int64_t from;
    pid_t victim;

    if (slot < 0)
        return 0;
    victim = pids[slot];
    await_place(slot, victim);
    from = now_us();
    (void)kill(victim, SIGKILL);
    (void)waitpid(victim, NULL, 0);
    kills.in_place += takeover.where == IN_STEP ||
                      (atomic_load(&takeover.calls[slot]) > 0) == (takeover.where == IN_CALL);
    read_lines();
    for (int r = 0; r < RUNS; r++)
        hit[r] = last[r].pid == (int32_t)victim && !is_over(r);
    for (int r = 0; r < RUNS; r++) {
        int64_t took = hit[r] ? wait_for(r, victim, from) : 0;

        worst = took > worst ? took : worst;
    }
    pids[slot] = worker_spawn(slot);
    if (worst > 0) /* else all of them came to their end meanwhile */
        kills.took[kills.n++] = worst;
    return 1;
}

/* ---------------------------------------------------------------------------- runs */

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

/* How many of them are completed in the end. */
static int await_runs(void)
{
    struct kedge_store *store = store_open(0);
    int completed = 0;

    for (int r = 0; r < RUNS; r++) {
        struct kedge_run_info *info;
        char id[16];

        (void)snprintf(id, sizeof id, "run-%d", r);
        must(kedge_run_wait(store, kedge_text(id), &info, 300 * SECONDS, &err), "wait");
        completed += info->status == KEDGE_COMPLETED;
        kedge_run_info_free(info);
    }
    kedge_store_close(store);
    return completed;
}

/* ---------------------------------------------------------------------------- main */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static void parse_where(const char *word)
{
    static const char *const words[] = { "step", "call", "idle" };

    for (int i = 0; i < 3; i++)
        if (strcmp(word, words[i]) == 0) {
            takeover.where = (enum where)i;
            takeover.ns = words[i];
            return;
        }
    (void)fprintf(stderr, "usage: takeover URL DIR [KILLS [step|call|idle [MOST_MS]]]\n");
    exit(2);
}

static void prepare(int argc, char **argv, int wanted)
{
    struct kedge_store *store;
    int per_kill;

    takeover.url = argv[1];
    parse_where(argc > 4 ? argv[4] : "step");
    per_kill = takeover.where == IDLE ? 6 : 150; /* more than there is time for, mostly */
    takeover.n_steps = wanted * per_kill + (takeover.where == IDLE ? 5 : 100);
    if (takeover.n_steps > STEPS_MOST)
        takeover.n_steps = STEPS_MOST;
    (void)snprintf(takeover.log_path, sizeof takeover.log_path, "%s/effects", argv[2]);
    read_fd = open(takeover.log_path, O_RDONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    kills.took = calloc((size_t)wanted, sizeof *kills.took);
    ran = calloc((size_t)RUNS * (size_t)takeover.n_steps, 1);
    takeover.calls = mmap(NULL, WORKERS * sizeof *takeover.calls, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (read_fd < 0 || kills.took == NULL || ran == NULL || takeover.calls == MAP_FAILED)
        exit(99);
    store = store_open(KEDGE_STORE_CREATE);
    start_runs(store);
    kedge_store_close(store);
}

static void report(int wanted, int completed, long most_ms)
{
    int n = kills.n;
    int lost = 0;
    int twice = 0;
    int64_t p99 = n > 0 ? kills.took[(n * 99 - 1) / 100] : 0;

    for (size_t i = 0; i < (size_t)RUNS * (size_t)takeover.n_steps; i++) {
        lost += ran[i] == 0;
        twice += ran[i] > 1 ? ran[i] - 1 : 0;
    }
    printf("# %d kills, %d there for sure: takeover of all the runs of the dead: median %lld us, "
           "p99 %lld us, most %lld us\n",
           n, kills.in_place, n > 0 ? (long long)kills.took[n / 2] : 0, (long long)p99,
           n > 0 ? (long long)kills.took[n - 1] : 0);
    printf("%sok 1 - all %d runs of %d steps are complete, none lost a step\n",
           completed == RUNS && lost == 0 ? "" : "not ", RUNS, takeover.n_steps);
    printf("%sok 2 - %d executions beyond one per step: at most one per run and kill\n",
           twice <= n * RUNS ? "" : "not ", twice);
    printf("%sok 3 - %d kills\n", n == wanted ? "" : "not ", n);
    if (most_ms > 0)
        printf("%sok 4 - p99 of %d kills is under %ld ms\n", p99 < most_ms * 1000 ? "" : "not ", n,
               most_ms);
    printf("1..%d\n", most_ms > 0 ? 4 : 3);
    exit(!(completed == RUNS && lost == 0 && twice <= n * RUNS && n == wanted &&
           (most_ms <= 0 || p99 < most_ms * 1000)));
}

int main(int argc, char **argv)
{
    int wanted = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 3;
    pid_t pids[WORKERS];
    int completed;

    if (argc < 3 || wanted < 1)
        parse_where("");
    prepare(argc, argv, wanted);
    for (int slot = 0; slot < WORKERS; slot++)
        pids[slot] = worker_spawn(slot);
    for (int r = 0; r < RUNS; r++) /* all are under way */
        (void)wait_for(r, 0, 0);
    while (kills.n < wanted) {
        nap_us(300000); /* let both be at work; nothing depends on it */
        if (kill_one(pids) == 0)
            break;
    }
    completed = await_runs();
    for (int i = 0; i < WORKERS; i++) {
        (void)kill(pids[i], SIGTERM);
        (void)waitpid(pids[i], NULL, 0);
    }
    read_lines();
    qsort(kills.took, (size_t)kills.n, sizeof *kills.took, by_value);
    report(wanted, completed, argc > 5 ? strtol(argv[5], NULL, 10) : 0);
}
