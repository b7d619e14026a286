/* archive.c - the process that starts the runs, and the workers, and waits */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include <kedge/backend.h>

#include "demo.h"

#define BATCH       256
#define TIMEOUT_US  30000000
#define LOOK_US     200000
#define MAX_WORKERS 64

struct archive {
    const struct demo *demo;
    struct kedge_store *store;
    struct demo_files files;
    pid_t pids[MAX_WORKERS]; /* 0: ended */
    unsigned alive;
    int64_t began;
    size_t done;
    size_t failed;
    uint64_t bytes;
    bool bar;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

/* ------------------------------------------------------------ destinations */

static int make_dirs(int dest)
{
    static const char *const names[] = { "objects", "index", "tmp", "log" };
    char name[sizeof "objects/ab"];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mkdirat(dest, names[i], 0777) != 0 && errno != EEXIST)
            return -1;
    for (unsigned i = 0; i < 256; i++) {
        (void)snprintf(name, sizeof name, "objects/%02x", i);
        if (mkdirat(dest, name, 0777) != 0 && errno != EEXIST)
            return -1;
    }
    sync();
    return 0;
}

static DIR *open_dir(int dest, const char *name)
{
    int fd = openat(dest, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (dir == NULL && fd >= 0)
        (void)close(fd);
    return dir;
}

/* What workers that died have left, once nobody needs it. */
static void clean_tmp(int dest)
{
    DIR *dir = open_dir(dest, "tmp");
    struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    (void)closedir(dir);
}

/* ----------------------------------------------------------------- workers */

/* In the child: become a worker that does not outlive its parent. */
static void become_worker(const struct demo *demo, pid_t parent)
{
    const char *argv[12 + CLI_STORE_WORDS];
    size_t n = 0;

    argv[n++] = "kedge";
    argv[n++] = "demo";
    argv[n++] = "archive";
    argv[n++] = "--worker";
    argv[n++] = "--store";
    argv[n++] = demo->url;
    if (demo->options.backend != NULL) { /* the default one was not among the words */
        argv[n++] = "--backend";
        argv[n++] = demo->options.backend;
    }
    n = cli_store_words(demo->cli, argv, n);
    argv[n++] = "--";
    argv[n++] = demo->source;
    argv[n++] = demo->dest;
    argv[n] = NULL;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(CLI_EXIT_FAILURE);
    (void)execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
    (void)demo_errno("/proc/self/exe");
    _exit(CLI_EXIT_FAILURE);
}

static int start_workers(struct archive *a)
{
    const pid_t parent = getpid();
    sigset_t signals;
    sigset_t before;
    int rc = 0;

    /* Blocked until the worker has its own handlers: none is lost on the way. */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &signals, &before);
    for (unsigned i = 0; i < a->demo->workers && rc == 0; i++) {
        pid_t pid = fork();

        if (pid == 0)
            become_worker(a->demo, parent);
        if (pid > 0) {
            a->pids[i] = pid;
            a->alive++;
        } else {
            rc = -1;
        }
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static void show_bar(const struct archive *a, bool end)
{
    char bar[41];
    size_t full = a->files.n > 0 ? a->done * (sizeof bar - 1) / a->files.n : 0;

    if (!a->bar)
        return;
    (void)memset(bar, '.', sizeof bar - 1);
    (void)memset(bar, '#', full);
    bar[sizeof bar - 1] = '\0';
    (void)fprintf(stderr, "\r[%s] %zu/%zu files%s", bar, a->done, a->files.n, end ? "\n" : "");
}

/* One that ends before it is told to is not replaced: the others go on. */
static void reap(struct archive *a, bool wait)
{
    for (unsigned i = 0; i < a->demo->workers; i++) {
        int status = 0;
        pid_t got;

        if (a->pids[i] == 0)
            continue;
        do
            got = waitpid(a->pids[i], &status, wait ? 0 : WNOHANG);
        while (got < 0 && errno == EINTR);
        if (got == 0)
            continue;
        a->alive--;
        if (got > 0 && (!wait || WIFSIGNALED(status) || WEXITSTATUS(status) != 0))
            (void)fprintf(stderr, "%skedge: worker %ld ended, %s %d\n", a->bar ? "\n" : "",
                          (long)a->pids[i], WIFSIGNALED(status) ? "signal" : "exit status",
                          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        a->pids[i] = 0;
    }
}

static void stop_workers(struct archive *a)
{
    for (unsigned i = 0; i < a->demo->workers; i++)
        if (a->pids[i] > 0)
            (void)kill(a->pids[i], SIGTERM);
    reap(a, true);
}

/* -------------------------------------------------------------------- runs */

/* A run's id is the path itself; ROOM is for those that are too long for that. */
static bool run_id(const char *path, char room[DEMO_HEX_SIZE], struct kedge_bytes *id)
{
    *id = kedge_text(path);
    if (id->len <= DEMO_ID_MAX)
        return true;
    if (!demo_hash(path, id->len, room))
        return false;
    *id = kedge_text(room);
    return true;
}

struct batch {
    struct kedge_run_start starts[BATCH];
    char hex[BATCH][DEMO_HEX_SIZE];
    char *inputs[BATCH];
    int outcomes[BATCH];
};

static bool fill(struct batch *batch, char *const *paths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct kedge_run_start start = KEDGE_START_INIT;
        char text[DEMO_TEXT_SIZE];
        cJSON *input = cJSON_CreateObject();

        demo_encode(paths[i], strlen(paths[i]), text);
        (void)cJSON_AddStringToObject(input, "path", text);
        batch->inputs[i] = cJSON_PrintUnformatted(input);
        cJSON_Delete(input);
        if (batch->inputs[i] == NULL || !run_id(paths[i], batch->hex[i], &start.id))
            return false;
        start.reactor = DEMO_REACTOR;
        start.version = DEMO_VERSION;
        start.input = kedge_text(batch->inputs[i]);
        batch->starts[i] = start;
    }
    return true;
}

static enum cli_exit start_runs(struct archive *a)
{
    struct batch *batch = calloc(1, sizeof *batch);
    struct kedge_error err;
    enum cli_exit status = CLI_EXIT_OK;

    if (batch == NULL)
        return demo_errno("runs");
    for (size_t at = 0; at < a->files.n && status == CLI_EXIT_OK && interrupted == 0; at += BATCH) {
        size_t n = a->files.n - at < BATCH ? a->files.n - at : BATCH;
        int rc;

        if (fill(batch, a->files.paths + at, n)) {
            rc = kedge_start_many(a->store, batch->starts, n, sizeof *batch->starts,
                                  batch->outcomes, TIMEOUT_US, &err);
            if (rc != KEDGE_OK)
                status = cli_fail(rc, &err);
        } else {
            errno = ENOMEM;
            status = demo_errno("runs");
        }
        for (size_t i = 0; i < n; i++) {
            cJSON_free(batch->inputs[i]);
            batch->inputs[i] = NULL;
        }
    }
    free(batch);
    return status;
}

static void count_run(struct archive *a, const char *path, const struct kedge_run_info *info)
{
    char text[DEMO_TEXT_SIZE];
    int64_t size = 0;

    a->done++;
    if (info->status == KEDGE_COMPLETED) {
        if (kedge_json_int64(info->result.data, info->result.len, "/size", &size, NULL) == KEDGE_OK)
            a->bytes += (uint64_t)size;
        return;
    }
    a->failed++;
    demo_encode(path, strlen(path), text);
    (void)fprintf(stderr, "%skedge: %s: %s: %.*s\n", a->bar ? "\n" : "", text,
                  kedge_run_status_text(info->status), (int)info->error.len,
                  info->error.len > 0 ? (const char *)info->error.data : "");
}

static enum cli_exit wait_for_run(struct archive *a, const char *path)
{
    struct kedge_run_info *info = NULL;
    char room[DEMO_HEX_SIZE];
    struct kedge_error err;
    struct kedge_bytes id;
    int rc;

    if (!run_id(path, room, &id)) {
        errno = ENOMEM;
        return demo_errno("runs");
    }
    for (;;) {
        rc = kedge_run_wait(a->store, id, &info, LOOK_US, &err);
        reap(a, false);
        if (rc != KEDGE_QUIET)
            break;
        show_bar(a, false);
        if (interrupted != 0)
            return CLI_EXIT_FAILURE;
        if (a->alive == 0) {
            (void)fprintf(stderr, "kedge: no worker is left; the same command goes on from here\n");
            return CLI_EXIT_FAILURE;
        }
    }
    if (rc != KEDGE_OK)
        return cli_fail(rc, &err);
    count_run(a, path, info);
    kedge_run_info_free(info);
    return CLI_EXIT_OK;
}

static enum cli_exit wait_for_runs(struct archive *a)
{
    enum cli_exit status = CLI_EXIT_OK;

    for (size_t i = 0; i < a->files.n && status == CLI_EXIT_OK; i++) {
        status = interrupted != 0 ? CLI_EXIT_FAILURE : wait_for_run(a, a->files.paths[i]);
        if (i % 64 == 0)
            show_bar(a, false);
    }
    show_bar(a, true);
    if (interrupted != 0)
        (void)fprintf(stderr, "kedge: interrupted; the same command goes on from here\n");
    return status;
}

/* ----------------------------------------------------------------- summary */

struct logged {
    char **steps; /* "RUN STEP", one per execution */
    size_t n;
    size_t room;
    size_t recoveries;
};

static bool keep(struct logged *logged, const char *text)
{
    char *copy;

    if (logged->n == logged->room) {
        size_t room = logged->room != 0 ? logged->room * 2 : 4096;
        char **steps = realloc(logged->steps, room * sizeof *steps);

        if (steps == NULL)
            return false;
        logged->steps = steps;
        logged->room = room;
    }
    copy = strdup(text);
    if (copy == NULL)
        return false;
    logged->steps[logged->n++] = copy;
    return true;
}

/* The lines of one log that were written since BEGAN. */
static bool read_log(FILE *in, int64_t began, struct logged *logged)
{
    char *line = NULL;
    size_t room = 0;
    bool good = true;

    while (good && getline(&line, &room, in) > 0) {
        char *last = strrchr(line, ' ');
        char *space = strchr(line, ' ');

        if (last == NULL || strtoll(last + 1, NULL, 10) < began)
            continue;
        space = strchr(space + 1, ' ');
        if (strncmp(line, "recovered ", 10) == 0 && space != NULL && strchr(space + 1, ' ') == last)
            logged->recoveries++;
        else if (strncmp(line, "buried ", 7) != 0 && space != NULL) {
            *space = '\0';
            good = keep(logged, line);
        }
    }
    free(line);
    return good;
}

static bool read_logs(const struct archive *a, struct logged *logged)
{
    DIR *dir = open_dir(a->demo->dest_fd, "log");
    struct dirent *entry;
    bool good = dir != NULL;

    while (good && (entry = readdir(dir)) != NULL) {
        int fd;
        FILE *in;

        if (entry->d_name[0] == '.')
            continue;
        fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
        in = fd >= 0 ? fdopen(fd, "r") : NULL;
        if (in == NULL) {
            if (fd >= 0)
                (void)close(fd);
            good = false;
            break;
        }
        good = read_log(in, a->began, logged);
        (void)fclose(in);
    }
    if (dir != NULL)
        (void)closedir(dir);
    return good;
}

static int compare(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

static enum cli_exit summary(const struct archive *a, int64_t us)
{
    struct logged logged = { NULL, 0, 0, 0 };
    const double seconds = (double)us / 1e6;
    bool good = read_logs(a, &logged);
    size_t again = 0;

    if (logged.n > 0)
        qsort(logged.steps, logged.n, sizeof *logged.steps, compare);
    for (size_t i = 1; i < logged.n; i++)
        if (strcmp(logged.steps[i - 1], logged.steps[i]) == 0)
            again++;
    (void)printf("files=%zu\nfailed=%zu\nbytes=%" PRIu64 "\nsteps=%zu\nseconds=%.3f\n"
                 "steps_per_second=%.0f\nrecoveries=%zu\nsteps_run_again=%zu\n",
                 a->files.n, a->failed, a->bytes, logged.n - again, seconds,
                 seconds > 0 ? (double)(logged.n - again) / seconds : 0.0, logged.recoveries,
                 again);
    for (size_t i = 0; i < logged.n; i++)
        free(logged.steps[i]);
    free(logged.steps);
    return good ? CLI_EXIT_OK : demo_errno("log");
}

/* --------------------------------------------------------------------- all */

/* Processes must be able to share it, so that one of them may die. */
static enum cli_exit set_up_store(const struct demo *demo)
{
    struct kedge_store_options options = demo->options;
    struct kedge_store *store = NULL;
    struct kedge_error err;
    bool shared;
    int rc;

    options.flags |= KEDGE_STORE_CREATE;
    rc = kedge_store_open(demo->url, &options, &store, &err);
    if (rc != KEDGE_OK)
        return cli_fail(rc, &err);
    shared = (kedge_store_ops(store)->caps & KEDGE_CAP_SHARED) != 0;
    kedge_store_close(store);
    if (shared)
        return CLI_EXIT_OK;
    (void)fprintf(stderr, "kedge: the demo needs a store that processes can share\n");
    return CLI_EXIT_USAGE;
}

static enum cli_exit archive(struct archive *a)
{
    struct kedge_error err;
    enum cli_exit status;
    int rc;

    /* A store does not survive a fork: the workers come first. */
    if (start_workers(a) != 0)
        return demo_errno("workers");
    rc = kedge_store_open(a->demo->url, &a->demo->options, &a->store, &err);
    if (rc != KEDGE_OK)
        return cli_fail(rc, &err);
    status = start_runs(a);
    return status == CLI_EXIT_OK ? wait_for_runs(a) : status;
}

enum cli_exit demo_archive(const struct demo *demo)
{
    struct archive a = { .demo = demo, .began = demo_now(), .bar = isatty(STDERR_FILENO) != 0 };
    struct sigaction stop = { .sa_handler = on_signal };
    enum cli_exit status;
    int64_t us;

    if (demo->workers > MAX_WORKERS) {
        (void)fprintf(stderr, "kedge: at most %d workers\n", MAX_WORKERS);
        return CLI_EXIT_USAGE;
    }
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    status = make_dirs(demo->dest_fd) != 0 ? demo_errno(demo->dest) : set_up_store(demo);
    if (status == CLI_EXIT_OK && demo_walk(demo, &a.files) != 0)
        status = CLI_EXIT_FAILURE;
    if (status == CLI_EXIT_OK) {
        status = archive(&a);
        us = demo_now() - a.began;
        stop_workers(&a);
        kedge_store_close(a.store);
        if (status == CLI_EXIT_OK) {
            clean_tmp(demo->dest_fd);
            status = summary(&a, us);
        }
        if (a.failed > 0 && status == CLI_EXIT_OK)
            status = CLI_EXIT_FAILURE;
    }
    demo_files_free(&a.files);
    return status;
}
