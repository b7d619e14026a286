/*
 * survive.c - runs under way while their server is in trouble; speaks TAP, without a plan
 *
 *	./survive NAME URL DIR BREAK HEAL [OPTION=N | WORD]...
 *
 * Worker processes carry long runs, and short ones that are started all the time.  Then the shell
 * command BREAK is run, and a while later HEAL; all the while the store is asked things, and must
 * answer in time.  In the end every run that was acknowledged is complete, and what the lines of
 * the workers and the journals say fits together (survive_check.c).
 *
 *	runs=8 steps=60 step_ms=5 workers=2     the long runs, and who carries them
 *	ttl_ms=10000                            of the workers' leases
 *	timeout_ms=2000                         of what they ask
 *	hold_ms=0                               between BREAK and HEAL
 *	full                                    the trouble shows as ERR_FULL
 *	refuses                                 ... or as ERR_FULL or ERR_UNAVAILABLE: some writes
 *fail buries                                  workers may be declared dead meanwhile forgets the
 *store may lose what it has acknowledged
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kedge/backend.h>

#include "survive.h"

enum { WORKERS_MOST = 16, LAST_RUNS = 3, ENDED_RUNS = 2, CALL_MS = 1000, MARGIN_MS = 1000 };
#define PATIENCE (90 * SECONDS) /* nothing takes so long, unless it hangs */

static const char *title;
static const char *url;
static char log_path[4096];

static struct {
    const char *name;
    int value;
} numbers[] = {
    { "runs", 8 },       { "steps", 60 },        { "step_ms", 5 }, { "workers", 2 },
    { "ttl_ms", 10000 }, { "timeout_ms", 2000 }, { "hold_ms", 0 },
};
static struct {
    const char *name;
    int set;
} words[] = { { "full", 0 }, { "refuses", 0 }, { "buries", 0 }, { "forgets", 0 } };

static int number(const char *name)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(numbers[i].name, name) == 0)
            return numbers[i].value;
    abort();
}

static int word(const char *name)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].name, name) == 0)
            return words[i].set;
    abort();
}

static void option(const char *text)
{
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);

    for (size_t i = 0; equals != NULL && i < sizeof numbers / sizeof numbers[0]; i++)
        if (strlen(numbers[i].name) == len && memcmp(numbers[i].name, text, len) == 0) {
            numbers[i].value = number_of(equals + 1, INT_MAX);
            return;
        }
    for (size_t i = 0; equals == NULL && i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].name, text) == 0) {
            words[i].set = 1;
            return;
        }
    bail("'%s' is no option", text);
}

static int n_failed;

void verdict(int good, const char *what)
{
    n_failed += !good;
    printf("%sok - %s: %s\n", good ? "" : "not ", title, what);
    (void)fflush(stdout);
}

/* --------------------------------------------------------------- the workers */

static int step_us;

static int run_it(struct kedge_step *step, void *user)
{
    struct line line = effects_of(step, LINE_BEGIN);
    char value[128];

    (void)user;
    effects_write(line);
    nap_us(step_us); /* the step's work */
    line.kind = LINE_END;
    effects_write(line);
    (void)effects_value(&line, value, sizeof value);
    return kedge_ok(step, value, strlen(value));
}

static struct kedge_reactor *reactor_of(const char *name, int n)
{
    struct kedge_step_def *steps = calloc((size_t)n, sizeof *steps);
    char(*names)[16] = calloc((size_t)n, sizeof *names);
    const char *(*after)[2] = calloc((size_t)n, sizeof *after);
    struct kedge_reactor_def def = { sizeof def, name,          1,    0,   steps,
                                     (size_t)n,  sizeof *steps, NULL, NULL };
    struct kedge_reactor *reactor;

    if (steps == NULL || names == NULL || after == NULL)
        bail("out of memory");
    for (int i = 0; i < n; i++) {
        (void)snprintf(names[i], sizeof names[i], "s%d", i);
        after[i][0] = i > 0 ? names[i - 1] : NULL;
        steps[i].name = names[i];
        steps[i].run = run_it;
        steps[i].flags = KEDGE_STEP_POOL;
        steps[i].after = after[i];
    }
    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    free(steps);
    free(names);
    free(after);
    return reactor;
}

static void be_worker(char **args)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *reactors[2];

    (void)signal(SIGPIPE, SIG_DFL);
    effects_open(args[1], number_of(args[2], INT_MAX));
    step_us = number_of(args[4], INT_MAX);
    reactors[0] = reactor_of("long", number_of(args[3], INT_MAX));
    reactors[1] = reactor_of("short", 1);
    options.lease_ttl_us = (int64_t)number_of(args[5], INT_MAX) * 1000;
    options.timeout_us = (int64_t)number_of(args[6], INT_MAX) * 1000;
    options.claim_slice = 4;
    options.crash_limit = 1000; /* how often they are hit is looked at by the test */
    effects_serve(args[0], reactors, 2, &options);
}

static pid_t pids[WORKERS_MOST];

static void spawn(int i)
{
    static char flag[] = "--worker";
    char n[5][16];
    char *args[] = { NULL, flag, (char *)(uintptr_t)url, log_path, n[0], n[1], n[2], n[3],
                     n[4], NULL };

    (void)snprintf(n[0], sizeof n[0], "%d", i + 1);
    (void)snprintf(n[1], sizeof n[1], "%d", number("steps"));
    (void)snprintf(n[2], sizeof n[2], "%d", number("step_ms") * 1000);
    (void)snprintf(n[3], sizeof n[3], "%d", number("ttl_ms"));
    (void)snprintf(n[4], sizeof n[4], "%d", number("timeout_ms"));
    pids[i] = effects_spawn(args);
}

static void workers_end(void)
{
    int good = 1;

    for (int i = 0; i < number("workers"); i++) {
        int status = 0;

        (void)kill(pids[i], SIGTERM);
        (void)waitpid(pids[i], &status, 0);
        if (status != 0)
            printf("# worker %d ends with status %#x\n", i + 1, (unsigned)status);
        good &= status == 0;
    }
    verdict(good, "the workers are there to the end, and end well");
}

/* ------------------------------------------------------------------ the lines */

static struct line *lines;
static size_t n_lines;

static void read_lines(void)
{
    while (n_lines < LINES_MOST && effects_read(&lines[n_lines]))
        n_lines++;
}

static int begun(int run, int step)
{
    read_lines();
    for (size_t i = n_lines; i-- > 0;)
        if (lines[i].kind == LINE_BEGIN && lines[i].run == run && lines[i].step >= step)
            return 1;
    return 0;
}

/* ------------------------------------------------------------------- starting */

static struct kedge_store *store;

static int start_run(const char *reactor, int run, int64_t timeout_us, struct kedge_error *e)
{
    struct kedge_run_start start = KEDGE_START_INIT;
    char id[24];

    (void)snprintf(id, sizeof id, "run-%d", run);
    start.reactor = reactor;
    start.version = 1;
    start.id = kedge_text(id);
    return kedge_start(store, &start, timeout_us, e);
}

/* Short runs, one after the other, and what was said to each. */
static struct {
    pthread_t thread;
    atomic_int stop;
    int n;
    unsigned char acknowledged[LAST_FIRST - SHORT_FIRST];
    int said[4]; /* OK, FULL, UNAVAILABLE, UNKNOWN */
    int other;
    struct kedge_error other_err;
    int64_t slowest_us;
} starter;

/* Until it is known what became of it, or the trouble is over. */
static void start_one(int i)
{
    int rc;

    do {
        struct kedge_error e = { 0 };
        int64_t began = now_us();
        int64_t took;

        rc = start_run("short", SHORT_FIRST + i, CALL_MS * 1000, &e);
        took = now_us() - began;
        starter.slowest_us = took > starter.slowest_us ? took : starter.slowest_us;
        starter.said[0] += rc == KEDGE_OK || rc == KEDGE_EXISTS;
        starter.said[1] += rc == KEDGE_ERR_FULL;
        starter.said[2] += rc == KEDGE_ERR_UNAVAILABLE;
        starter.said[3] += rc == KEDGE_ERR_UNKNOWN;
        if (rc != KEDGE_OK && rc != KEDGE_EXISTS && rc != KEDGE_ERR_FULL &&
            rc != KEDGE_ERR_UNAVAILABLE && rc != KEDGE_ERR_UNKNOWN && starter.other++ == 0)
            starter.other_err = e;
        if (rc < 0)
            nap_us(20000);
    } while (rc < 0 && !atomic_load(&starter.stop));
    starter.acknowledged[i] = rc >= 0;
}

static void *keep_starting(void *arg)
{
    while (!atomic_load(&starter.stop) && starter.n < LAST_FIRST - SHORT_FIRST) {
        start_one(starter.n++);
        nap_us(10000);
    }
    return arg;
}

/* What was said while it was in trouble. */
static void answers_check(void)
{
    char what[128];

    printf("# starts: %d done, %d FULL, %d UNAVAILABLE, %d UNKNOWN; the slowest took %lld ms\n",
           starter.said[0], starter.said[1], starter.said[2], starter.said[3],
           (long long)(starter.slowest_us / 1000));
    if (starter.other > 0)
        printf("# another answer: %s: %s\n", kedge_status_name(starter.other_err.code),
               starter.other_err.msg);
    verdict(starter.other == 0, "nothing is said but done, FULL, UNAVAILABLE, UNKNOWN");
    (void)snprintf(what, sizeof what, "an answer within %d ms comes in time", CALL_MS);
    verdict(starter.slowest_us < (CALL_MS + MARGIN_MS) * INT64_C(1000), what);
    if (word("full"))
        verdict(starter.said[1] > 0, "it says that the store is full");
    if (word("refuses"))
        verdict(starter.said[1] + starter.said[2] > 0, "it refuses what it cannot write");
}

/* -------------------------------------------------------------------- waiting */

/* Complete?  0: it is not there. */
static int completes(int run, int64_t until)
{
    struct kedge_run_info *info = NULL;
    char id[24];
    int rc;

    (void)snprintf(id, sizeof id, "run-%d", run);
    do {
        rc = kedge_run_wait(store, kedge_text(id), &info, SECONDS, &err);
        if (rc == KEDGE_OK) {
            rc = info->status == KEDGE_COMPLETED;
            kedge_run_info_free(info);
            return rc;
        }
        if (rc == KEDGE_NOT_FOUND)
            return 0;
        if (rc < 0)
            nap_us(20000);
    } while (now_us() < until);
    printf("# run %d: %s%s%s\n", run, kedge_status_name(rc), rc < 0 ? ": " : "",
           rc < 0 ? err.msg : "");
    return 0;
}

static int all_complete(const char *reactor, int first, int n)
{
    int64_t until = now_us() + PATIENCE;
    int good = 1;

    for (int i = first; i < first + n; i++) {
        int rc;

        if (reactor != NULL) {
            do
                rc = start_run(reactor, i, SECONDS, &err);
            while (rc < 0 && now_us() < until);
            must(rc < 0 ? rc : 0, "start");
        }
    }
    for (int i = first; i < first + n && good; i++)
        good = completes(i, until);
    return good;
}

static void sh(const char *command)
{
    int status = system(command); /* NOLINT(cert-env33-c): it is the test's own */

    if (status != 0)
        bail("'%s' ends with status %#x", command, (unsigned)status);
}

/* ----------------------------------------------------------------------- main */

static void trouble(const char *break_it, const char *heal_it)
{
    sh(break_it);
    nap_us((int64_t)number("hold_ms") * 1000); /* how long it is to last */
    sh(heal_it);
}

static void under_way(int runs)
{
    int64_t until = now_us() + PATIENCE;

    for (int i = 0; i < runs; i++) {
        must(start_run("long", ENDED_RUNS + i, 10 * SECONDS, &err), "start");
        while (!begun(ENDED_RUNS + i, i % 5) && now_us() < until)
            nap_us(1000);
    }
    if (now_us() >= until)
        bail("%s: the runs do not begin", title);
}

static void journals(const struct survive_log *log, int runs)
{
    int wrong = 0;

    for (int i = 0; i < ENDED_RUNS + runs; i++)
        wrong += survive_journal(store, log, i, number("steps"));
    verdict(wrong == 0, "each step of each run is recorded once, as it ran");
}

static int short_ones(void)
{
    int64_t until = now_us() + PATIENCE;
    int n = 0;

    for (int i = 0; i < starter.n; i++)
        n += starter.acknowledged[i] && !completes(SHORT_FIRST + i, until);
    if (n > 0)
        printf("# %d of %d are missing\n", n, starter.n);
    return n == 0;
}

static void whole_test(const char *break_it, const char *heal_it)
{
    struct survive_rules rules = { .once = !word("buries"), .forgets = word("forgets") };
    struct survive_log log = { .n_finished = ENDED_RUNS };
    int runs = number("runs");

    for (int i = 0; i < number("workers"); i++)
        spawn(i);
    if (!all_complete("long", 0, ENDED_RUNS))
        bail("%s: nothing works even before", title);
    read_lines();
    log.finished = n_lines;
    under_way(runs);
    if (pthread_create(&starter.thread, NULL, keep_starting, NULL) != 0)
        bail("no thread");
    log.before = n_lines;
    trouble(break_it, heal_it);
    verdict(all_complete(NULL, ENDED_RUNS, runs), "the runs go on to their end");
    atomic_store(&starter.stop, 1);
    (void)pthread_join(starter.thread, NULL);
    verdict(short_ones() || rules.forgets, "what was acknowledged is there, and comes to its end");
    read_lines();
    log.after = n_lines;
    verdict(all_complete("long", LAST_FIRST, LAST_RUNS), "new runs come to their end");
    workers_end();
    read_lines();
    log.lines = lines;
    log.n = n_lines;
    answers_check();
    journals(&log, runs);
    survive_check(&log, &rules);
}

int main(int argc, char **argv)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    if (argc == 9 && strcmp(argv[1], "--worker") == 0)
        be_worker(argv + 2);
    if (argc < 6) {
        (void)fprintf(stderr, "usage: survive NAME URL DIR BREAK HEAL [OPTION]...\n");
        return 2;
    }
    title = argv[1];
    url = argv[2];
    for (int i = 6; i < argc; i++)
        option(argv[i]);
    (void)snprintf(log_path, sizeof log_path, "%s/effects", argv[3]);
    (void)unlink(log_path);
    effects_open(log_path, 0);
    lines = calloc(LINES_MOST, sizeof *lines);
    if (lines == NULL || number("workers") > WORKERS_MOST)
        bail("out of memory");
    (void)signal(SIGPIPE, SIG_DFL);
    options.flags = KEDGE_STORE_CREATE;
    options.ns = NULL;
    must(kedge_store_open(url, &options, &store, &err), "open");
    whole_test(argv[4], argv[5]);
    kedge_store_close(store);
    free(lines);
    return n_failed > 0;
}
