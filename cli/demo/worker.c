/* worker.c - a process that works on the archive until it is told to stop */
#include <config.h>

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "demo.h"

#define GRACE_US 10000000

static struct kedge_worker *the_worker;

static void on_signal(int sig)
{
    (void)sig;
    kedge_worker_stop(the_worker);
}

struct events {
    int fd;
};

static void observe(void *ctx, const struct kedge_event *event)
{
    const struct events *events = ctx;
    char run[3 * 1024 + 1] = "-";
    char line[sizeof run + 400];
    int len = 0;

    if (event->kind == KEDGE_EVENT_RUN_RECOVERED && event->run.len <= 1024) {
        demo_encode(event->run.data, event->run.len, run);
        len = snprintf(line, sizeof line, "recovered %s %" PRIu32 " %" PRId64 "\n", run, event->n,
                       demo_now());
    } else if (event->kind == KEDGE_EVENT_WORKER_BURIED) {
        len = snprintf(line, sizeof line, "buried %.300s - %" PRId64 "\n",
                       event->text != NULL ? event->text : "-", demo_now());
    }
    /* A line that cannot be written is missing in a summary, nothing worse. */
    if (len > 0 && (size_t)len < sizeof line && write(events->fd, line, (size_t)len) < 0)
        return;
}

static int open_log(const struct demo *demo, const char *kind)
{
    char name[64];

    (void)snprintf(name, sizeof name, "log/%ld.%s", (long)getpid(), kind);
    return openat(demo->dest_fd, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

static int work_on(struct kedge_store *store, const struct kedge_reactor *reactor,
                   struct events *events, struct kedge_error *err)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct sigaction stop = { .sa_handler = on_signal };
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigset_t signals;
    int rc;

    options.reactors = &reactor;
    options.n_reactors = 1;
    options.label = "demo";
    options.observe = observe;
    options.observe_ctx = events;
    rc = kedge_worker_open(store, &options, &the_worker, err);
    if (rc != KEDGE_OK)
        return rc;
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGINT, &stop, NULL);
    /* The parent has blocked them. */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    rc = kedge_worker_run(the_worker, err);
    (void)sigaction(SIGTERM, &ignore, NULL);
    (void)sigaction(SIGINT, &ignore, NULL);
    kedge_worker_close(the_worker, GRACE_US);
    return rc;
}

enum cli_exit demo_worker(const struct demo *demo)
{
    struct demo_work work = { demo, open_log(demo, "log") };
    struct events events = { open_log(demo, "events") };
    struct kedge_store *store = NULL;
    struct kedge_reactor *reactor = NULL;
    struct kedge_error err = { .code = 0 };
    int rc;

    if (work.log_fd < 0 || events.fd < 0)
        return demo_errno("log");
    rc = kedge_store_open(demo->url, &demo->options, &store, &err);
    if (rc != KEDGE_OK)
        return cli_fail(rc, &err);
    rc = demo_reactor(&work, &reactor, &err);
    if (rc == KEDGE_OK)
        rc = work_on(store, reactor, &events, &err);
    kedge_reactor_free(reactor);
    kedge_store_close(store);
    (void)close(work.log_fd);
    (void)close(events.fd);
    return rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}
