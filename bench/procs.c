/* procs.c - children on pipes: an order goes down, a result comes up */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hdr/hdr_histogram.h"
#include "procs.h"

struct order {
    struct limit limit;
    uint32_t kind;
    uint32_t end;
};

struct result {
    uint64_t ops;
    int64_t cpu_ns;
    uint64_t n_counts; /* of a histogram; that many int64_t follow */
};

/* All of it or nothing: 1, 0 at the end, -1. */
static int read_all(int fd, void *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, (char *)to + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 && done == 0 ? 0 : -1;
        done += (size_t)n;
    }
    return 1;
}

static int write_all(int fd, const void *from, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)from + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        done += (size_t)n;
    }
    return 1;
}

static void child_work(const struct proc_work *work, const struct order *order, int to)
{
    struct samples lat = { 0 };
    struct result result = { 0 };
    int64_t cpu = cpu_used_ns();

    result.ops = work->work(work->ctx, order->kind, &order->limit, &lat);
    result.cpu_ns = cpu_used_ns() - cpu;
    if (lat.h != NULL)
        result.n_counts = (uint64_t)lat.h->counts_len;
    if (write_all(to, &result, sizeof result) < 0 ||
        (lat.h != NULL && write_all(to, lat.h->counts, result.n_counts * sizeof(int64_t)) < 0))
        _exit(1);
    samples_release(&lat);
}

static void child(unsigned index, const struct proc_work *work, int from, int to)
{
    struct result ready = { 0 };
    struct order order;

    work->begin(work->ctx, index);
    if (write_all(to, &ready, sizeof ready) < 0)
        _exit(1);
    for (;;) {
        if (read_all(from, &order, sizeof order) <= 0)
            _exit(1); /* the parent is gone */
        if (order.end != 0)
            break;
        child_work(work, &order, to);
    }
    work->end(work->ctx);
    if (write_all(to, &ready, sizeof ready) < 0)
        _exit(1);
    _exit(0);
}

static void answer(const struct procs *procs, unsigned i, struct result *result)
{
    if (read_all(procs->v[i].from, result, sizeof *result) <= 0)
        die("process %u of %u ended early", i + 1, procs->n);
}

void procs_start(struct procs *procs, unsigned n, const struct proc_work *work)
{
    struct result ready;

    memset(procs, 0, sizeof *procs);
    if (n > PROCS_MAX)
        die("%u processes are too many", n);
    (void)fflush(NULL);
    for (unsigned i = 0; i < n; i++) {
        int down[2];
        int up[2];
        pid_t pid;

        if (pipe(down) != 0 || pipe(up) != 0)
            die("no pipe: %s", strerror(errno));
        pid = fork();
        if (pid < 0)
            die("cannot fork: %s", strerror(errno));
        if (pid == 0) {
            (void)close(down[1]);
            (void)close(up[0]);
            for (unsigned k = 0; k < i; k++) {
                (void)close(procs->v[k].to);
                (void)close(procs->v[k].from);
            }
            child(i, work, down[0], up[1]);
        }
        (void)close(down[0]);
        (void)close(up[1]);
        procs->v[i].pid = pid;
        procs->v[i].to = down[1];
        procs->v[i].from = up[0];
        procs->n = i + 1;
        answer(procs, i, &ready);
    }
}

/* Each counts as the least that is the same to three digits. */
static void read_samples(const struct procs *procs, unsigned i, uint64_t n, struct samples *to)
{
    int64_t *counts = must_alloc(n, sizeof *counts);

    if (n > 0 && read_all(procs->v[i].from, counts, n * sizeof *counts) <= 0)
        die("process %u of %u ended early", i + 1, procs->n);
    for (uint64_t k = 0; k < n; k++)
        if (counts[k] > 0)
            samples_add_n(to, hdr_value_at_index(to->h, (int32_t)k), counts[k]);
    free(counts);
}

void procs_run(struct procs *procs, unsigned n, unsigned kind, const struct limit *limit,
               struct side *side, uint64_t *per)
{
    struct order order = { .limit = *limit, .kind = kind };

    for (unsigned i = 0; i < n; i++)
        if (write_all(procs->v[i].to, &order, sizeof order) < 0)
            die("process %u of %u does not listen", i + 1, procs->n);
    for (unsigned i = 0; i < n; i++) {
        struct result result;

        answer(procs, i, &result);
        read_samples(procs, i, result.n_counts, &side->lat);
        side->ops += result.ops;
        side->own_cpu_ns += result.cpu_ns;
        if (per != NULL)
            per[i] = result.ops;
    }
}

void procs_finish(struct procs *procs)
{
    struct order order = { .end = 1 };

    for (unsigned i = 0; i < procs->n; i++) {
        struct result ended;
        int status = 0;

        if (write_all(procs->v[i].to, &order, sizeof order) < 0)
            die("process %u of %u does not listen", i + 1, procs->n);
        answer(procs, i, &ended);
        if (waitpid(procs->v[i].pid, &status, 0) < 0 || !WIFEXITED(status) ||
            WEXITSTATUS(status) != 0)
            die("process %u of %u failed", i + 1, procs->n);
        (void)close(procs->v[i].to);
        (void)close(procs->v[i].from);
    }
}

pid_t proc_start(void (*work)(void *ctx), void *ctx)
{
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    if (pid < 0)
        die("cannot fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGINT, SIG_IGN); /* the parent sees to it */
    work(ctx);
    _exit(0);
}

void proc_kill(pid_t pid)
{
    if (kill(pid, SIGKILL) != 0 || waitpid(pid, NULL, 0) != pid)
        die("cannot end a process: %s", strerror(errno));
}

struct once {
    void (*work)(void *ctx, void *result);
    void *ctx;
    void *result;
    size_t size;
    int up[2];
};

static void once_main(void *arg)
{
    struct once *o = arg;

    (void)close(o->up[0]);
    o->work(o->ctx, o->result);
    if (write_all(o->up[1], o->result, o->size) < 0)
        _exit(1);
    for (;;)
        (void)pause();
}

void proc_once(void (*work)(void *ctx, void *result), void *ctx, void *result, size_t size)
{
    struct once o = { work, ctx, result, size, { -1, -1 } };
    pid_t pid;

    if (pipe(o.up) != 0)
        die("no pipe: %s", strerror(errno));
    pid = proc_start(once_main, &o);
    (void)close(o.up[1]);
    if (read_all(o.up[0], result, size) <= 0)
        die("a process ended early");
    (void)close(o.up[0]);
    proc_kill(pid);
}
