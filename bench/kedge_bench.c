/*
 * kedge_bench.c - kedge-bench, which does the work of `kedge bench'
 *
 *	kedge-bench list
 *	kedge-bench run [--NAME=VALUE]... -- WORKLOAD...
 *	kedge-bench compare [--fail-above=PCT] -- BEFORE AFTER
 *
 * A run is made by a child.  This process opens nothing and waits; when the child has ended, in
 * whatever way, it removes what is left of what was made in the stores.
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare.h"
#include "facts.h"
#include "made.h"
#include "measure.h"
#include "print.h"
#include "settings.h"

static int list(void)
{
    for (const struct workload *w = workloads; w->name != NULL; w++)
        printf("%-10s %s\n", w->name, w->title);
    return 0;
}

/* ------------------------------------------------------------------ the child */

static bool is_shared(const struct store_facts *store)
{
    return strstr(fact_of(&store->all, "capabilities"), "shared") != NULL;
}

static void check_store(const struct store_facts *store)
{
    for (size_t i = 0; i < settings.n_workloads; i++)
        if ((settings.workloads[i]->flags & SHARED) != 0 && !is_shared(store))
            refuse("%s kills a process, and the store %s is gone with it: name one that several "
                   "processes can use, like lmdb:///var/tmp/b",
                   settings.workloads[i]->name, fact_of(&store->all, "url"));
}

/* "redis", "redis-2". */
static void label(struct report *report, size_t i)
{
    struct store_facts *s = &report->stores[i];
    const char *backend = fact_of(&s->all, "backend");
    unsigned nth = 1;

    for (size_t k = 0; k < i; k++)
        nth += strcmp(fact_of(&report->stores[k].all, "backend"), backend) == 0 ? 1 : 0;
    if (nth == 1)
        (void)snprintf(s->label, sizeof s->label, "%.50s", backend);
    else
        (void)snprintf(s->label, sizeof s->label, "%.50s-%u", backend, nth);
}

static void look_at_stores(struct report *report)
{
    report->n_stores = settings.n_stores;
    for (size_t i = 0; i < settings.n_stores; i++) {
        struct store_facts *s = &report->stores[i];

        s->given = settings.stores[i];
        facts_of_store(s);
        label(report, i);
        check_store(s);
    }
}

static void tell_stores(const struct report *report)
{
    for (size_t i = 0; i < report->n_stores; i++) {
        print_store(&report->stores[i]);
        warn_of_store(&report->stores[i]);
    }
}

static void measure_all(struct report *report)
{
    size_t most = settings.n_workloads * settings.n_clients * settings.n_rates * settings.n_stores;

    report->results = must_alloc(most, sizeof *report->results);
    for (size_t w = 0; w < settings.n_workloads; w++)
        for (size_t r = 0; r < settings.n_rates; r++)
            for (size_t c = 0; c < settings.n_clients; c++) {
                print_group(settings.workloads[w], settings.clients[c], settings.rates[r]);
                for (size_t s = 0; s < settings.n_stores; s++) {
                    struct result *result = &report->results[report->n_results++];

                    measure(result, &report->stores[s], settings.workloads[w], settings.clients[c],
                            settings.rates[r]);
                    print_result(result);
                }
            }
}

static bool is_whole(const struct report *report)
{
    for (size_t i = 0; i < report->n_results; i++)
        if (result_lost(&report->results[i]) + result_twice(&report->results[i]) > 0)
            return false;
    return true;
}

static int run(void)
{
    static struct report report;

    facts_of_tool(&report.tool);
    facts_of_host(&report.host);
    look_at_stores(&report);
    print_head(&report.tool, &report.host);
    tell_stores(&report);
    warn_of_build();
    measure_all(&report);
    print_warnings();
    if (settings.json != NULL)
        results_write(&report, settings.json);
    if (settings.hdr != NULL)
        logs_write(&report, settings.hdr);
    return is_whole(&report) ? 0 : STATUS_FAILURE;
}

/* ----------------------------------------------------------------- the parent */

static volatile sig_atomic_t child;
static volatile sig_atomic_t interrupts;

static void pass_on(int sig)
{
    (void)sig;
    interrupts++;
    if (child > 0)
        (void)kill((pid_t)child, interrupts > 2 ? SIGKILL : SIGTERM);
}

/* PATH and those above it that are not there, the innermost last. */
static void note_missing(char *path)
{
    struct stat st;

    for (char *at = path + 1; *at != '\0'; at++)
        if (*at == '/') {
            *at = '\0';
            if (stat(path, &st) != 0 && errno == ENOENT)
                made_directory(path);
            *at = '/';
        }
    if (stat(path, &st) != 0 && errno == ENOENT)
        made_directory(path);
}

/* Stores with files make directories for themselves. */
static void note_directories(void)
{
    for (size_t i = 0; i < settings.n_stores; i++) {
        char *path = directory_of(settings.stores[i]);

        if (path != NULL && path[0] != '\0')
            note_missing(path);
        free(path);
    }
}

/* A file that cannot be written is better known of now. */
static void try_outputs(void)
{
    FILE *f = settings.json != NULL ? fopen(settings.json, "ae") : NULL;

    if (settings.json != NULL && f == NULL)
        refuse("--json: cannot write '%s': %s", settings.json, strerror(errno));
    if (f != NULL)
        (void)fclose(f);
    if (settings.hdr != NULL && mkdir(settings.hdr, 0777) != 0 && errno != EEXIST)
        refuse("--hdr: cannot make directory '%s': %s", settings.hdr, strerror(errno));
}

static void begin_child(pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        exit(STATUS_FAILURE);
    (void)setpgid(0, 0);                /* an interrupt comes from the parent, once */
    (void)prctl(PR_SET_TIMERSLACK, 1L); /* at a fixed rate a call begins when it is to begin */
    catch_signals();
    exit(run());
}

static int supervise(void)
{
    struct sigaction sa = { .sa_handler = pass_on };
    pid_t parent = getpid();
    int status = 0;
    bool clean;
    pid_t pid;

    made_begin();
    note_directories();
    try_outputs();
    (void)sigaction(SIGINT, &sa, NULL);
    (void)sigaction(SIGTERM, &sa, NULL);
    (void)sigaction(SIGHUP, &sa, NULL);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)fflush(NULL);
    pid = fork();
    if (pid < 0)
        die("cannot fork: %s", strerror(errno));
    if (pid == 0)
        begin_child(parent);
    child = (sig_atomic_t)pid;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    child = 0;
    while (wait(NULL) > 0 || errno == EINTR) /* its children end with it */
        ;
    clean = made_remove();
    if (interrupts > 0)
        return STATUS_INTERRUPTED;
    if (WIFSIGNALED(status))
        (void)fprintf(stderr, "kedge bench: it was ended by signal %d\n", WTERMSIG(status));
    return !WIFEXITED(status)                  ? STATUS_FAILURE
           : clean || WEXITSTATUS(status) != 0 ? WEXITSTATUS(status)
                                               : STATUS_FAILURE;
}

int main(int argc, char **argv)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    opt.own = true;
    opt.quiet = true;
    settings_read(argc, argv);
    opt.seed = settings.seed;
    if (strcmp(settings.verb, "list") == 0)
        return list();
    if (strcmp(settings.verb, "compare") == 0)
        return settings.n_words == 2
                   ? compare(settings.words[0], settings.words[1], settings.fail_above)
                   : (refuse("name two files of results"), STATUS_USAGE);
    if (strcmp(settings.verb, "run") != 0)
        refuse("there is no such command");
    return supervise();
}
