/*
 * contract - does a backend keep the storage contract?  Prints TAP.
 *
 *	contract [--list] [--case ID]... [--seed N] [--jobs N] [--keep] BACKEND URL
 *
 * URL must name a store whose data outlive the handles on it.  {} in it is replaced by the case's
 * id, so that each case can have a store to itself.
 * With --keep the namespaces, called as the cases, were set up by somebody else and stay.
 * --case ID may be an area ("leases") too.  Every case runs in a process of its own, forked before
 * any store is open, and is killed with whatever it started when its time is up.
 */
#include "cases.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <kedge/store.h>

#define CASES_MAX    512
#define CASE_SECONDS 240u
#define EXIT_SKIP    77

static const struct contract_case *const areas[] = {
    cases_store,     cases_leases, cases_hints, cases_commit, cases_matrix, cases_batch,
    cases_resend,    cases_fences, cases_locks, cases_cells,  cases_runs,   cases_claim,
    cases_slots,     cases_lists,  cases_purge, cases_data,   cases_wait,   cases_threads,
    cases_processes, cases_memory, cases_walk,
};

struct running {
    const struct contract_case *c;
    pid_t pid; /* 0: not started */
    FILE *out;
    int status;
    bool done;
};

static const char *backend;
static const char *url;
static const struct kedge_backend_ops *ops;
static uint64_t seed;
static struct running all[CASES_MAX];
static size_t n_all;

static bool wanted(const struct contract_case *c, char *const *ids, size_t n)
{
    if (n == 0)
        return true;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(ids[i]);

        if (strncmp(c->id, ids[i], len) == 0 && (c->id[len] == '\0' || c->id[len] == '-'))
            return true;
    }
    return false;
}

static void gather(char *const *ids, size_t n)
{
    for (size_t a = 0; a < ARRAY_LEN(areas); a++)
        for (const struct contract_case *c = areas[a]; c->id != NULL; c++) {
            if (!wanted(c, ids, n))
                continue;
            if (n_all == CASES_MAX)
                abort();
            for (size_t i = 0; i < n_all; i++)
                if (strcmp(all[i].c->id, c->id) == 0) {
                    (void)fprintf(stderr, "contract: two cases are called %s\n", c->id);
                    exit(1);
                }
            all[n_all++].c = c;
        }
}

/* Why this backend cannot be asked for this; NULL: it can. */
static const char *lacks(const struct contract_case *c, const struct world *w)
{
    if ((c->needs & NEEDS_CLOCKS) == NEEDS_CLOCKS && (ops->caps & KEDGE_CAP_SERVER_CLOCK))
        return "its two clocks are one, a server's";
    if ((c->needs & NEEDS_CLOCK) && (ops->caps & KEDGE_CAP_SERVER_CLOCK) &&
        clock_of_server(ops) == NULL)
        return "its time is a server's";
    if ((c->needs & NEEDS_HINT) && !(w->caps & KEDGE_CAP_HINT))
        return "it has no crash hints";
    if ((c->needs & NEEDS_SHARED) && !(ops->caps & KEDGE_CAP_SHARED))
        return "it is for one process";
    if ((c->needs & NEEDS_THREADS) && ops->threads != KEDGE_THREADS_SESSION)
        return "it is for one thread at a time";
    return NULL;
}

static uint64_t seed_of(const struct contract_case *c)
{
    uint64_t h = seed;

    for (const char *p = c->id; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    return h;
}

static _Noreturn void run_case(const struct contract_case *c)
{
    static struct world w;
    const char *lack;

    alarm(CASE_SECONDS);
    world_open(&w, backend, ops, url, c->id, seed_of(c));
    lack = lacks(c, &w);
    if (lack == NULL)
        c->run(&w);
    world_close(&w);
    if (lack != NULL)
        skip_case("%s", lack);
    exit(0);
}

static void start(struct running *r)
{
    r->out = tmpfile();
    if (r->out == NULL) {
        perror("contract: tmpfile");
        exit(1);
    }
    (void)fflush(NULL);
    r->pid = fork();
    if (r->pid < 0) {
        perror("contract: fork");
        exit(1);
    }
    if (r->pid == 0) {
        /* A group of its own: what the case starts ends with it. */
        if (setpgid(0, 0) != 0 || dup2(fileno(r->out), STDOUT_FILENO) < 0 ||
            dup2(fileno(r->out), STDERR_FILENO) < 0)
            _exit(1);
        run_case(r->c);
    }
    (void)setpgid(r->pid, r->pid);
}

static void await_one(void)
{
    int status;
    pid_t pid;

    do
        pid = waitpid(-1, &status, 0);
    while (pid < 0 && errno == EINTR);
    for (size_t i = 0; i < n_all; i++)
        if (all[i].pid == pid && !all[i].done) {
            (void)kill(-pid, SIGKILL);
            all[i].status = status;
            all[i].done = true;
        }
}

/* 1 if it failed. */
static int report(size_t number, struct running *r)
{
    bool skipped = WIFEXITED(r->status) && WEXITSTATUS(r->status) == EXIT_SKIP;
    bool passed = WIFEXITED(r->status) && WEXITSTATUS(r->status) == 0;
    char line[4096], last[4096] = "";

    rewind(r->out);
    while (fgets(line, sizeof line, r->out) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (!skipped)
            printf("# %s: %s\n", r->c->id, line);
        memcpy(last, line, sizeof last);
    }
    (void)fclose(r->out);
    if (WIFSIGNALED(r->status) && WTERMSIG(r->status) == SIGALRM)
        printf("# %s: not done after %u s\n", r->c->id, CASE_SECONDS);
    else if (WIFSIGNALED(r->status))
        printf("# %s: killed by signal %d\n", r->c->id, WTERMSIG(r->status));
    if (skipped)
        printf("ok %zu - %s %s # SKIP %s\n", number, r->c->id, r->c->what, last);
    else
        printf("%s %zu - %s %s\n", passed ? "ok" : "not ok", number, r->c->id, r->c->what);
    (void)fflush(stdout);
    return passed || skipped ? 0 : 1;
}

static int run_all(size_t jobs)
{
    size_t started = 0, reported = 0, running = 0;
    int failed = 0;

    printf("# contract %s, seed %" PRIu64 "\n1..%zu\n", backend, seed, n_all);
    while (reported < n_all) {
        while (started < n_all && running < jobs) {
            start(&all[started++]);
            running++;
        }
        await_one();
        running--;
        while (reported < n_all && all[reported].done) {
            failed += report(reported + 1, &all[reported]);
            reported++;
        }
    }
    return failed == 0 ? 0 : 1;
}

static void list_all(void)
{
    for (size_t i = 0; i < n_all; i++)
        printf("%s\t%s\n", all[i].c->id, all[i].c->what);
}

static _Noreturn void usage(void)
{
    (void)fputs("usage: contract [--list] [--case ID]... [--seed N] [--jobs N] [--keep] BACKEND "
                "URL\n",
                stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "case", required_argument, NULL, 'c' }, { "list", no_argument, NULL, 'l' },
        { "seed", required_argument, NULL, 's' }, { "jobs", required_argument, NULL, 'j' },
        { "keep", no_argument, NULL, 'k' },       { NULL, 0, NULL, 0 },
    };
    char *ids[CASES_MAX];
    size_t n_ids = 0;
    unsigned long jobs = 2;
    bool list = false;
    struct kedge_error err = { 0 };
    int opt;

    seed = (uint64_t)time(NULL) * UINT64_C(1000003) ^ (uint64_t)getpid();
    seed %= UINT64_C(1000000000);
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == 'c' && n_ids < CASES_MAX)
            ids[n_ids++] = optarg;
        else if (opt == 'l')
            list = true;
        else if (opt == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (opt == 'j')
            jobs = strtoul(optarg, NULL, 10);
        else if (opt == 'k')
            world_keeps = true;
        else
            usage();
    }
    gather(ids, n_ids);
    if (list) {
        list_all();
        return 0;
    }
    if (argc - optind != 2 || jobs == 0)
        usage();
    if (n_all == 0) {
        puts("Bail out! no case of that name");
        return 1;
    }
    backend = argv[optind];
    url = argv[optind + 1];
    if (kedge_backend_find(backend, &ops, &err) != KEDGE_OK) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    /* All cases share a server's clock. */
    return run_all(clock_of_server(ops) != NULL ? 1 : jobs);
}
