/* proxy.c - a test's side of the proxy: its process and its lines, see proxy.h */
#include "proxy.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void give_up(const char *what, const char *why)
{
    printf("Bail out! the proxy: %s: %s\n", what, why);
    (void)fflush(stdout);
    _exit(99);
}

void proxy_start(struct proxy *p, const char *listen, const char *target)
{
    pid_t parent = getpid();
    int ends[2];
    int fd;

    p->port = 0;
    fd = proxy_listen(listen, &p->port);
    if (fd < 0)
        give_up(listen, strerror(errno));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        give_up("socketpair", strerror(errno));
    (void)fflush(stdout);
    p->pid = fork();
    if (p->pid < 0)
        give_up("fork", strerror(errno));
    if (p->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)signal(SIGPIPE, SIG_IGN);
        if (getppid() != parent)
            _exit(99);
        (void)close(ends[0]);
        _exit(proxy_serve(fd, listen, target, ends[1], ends[1]));
    }
    (void)close(ends[1]);
    (void)close(fd);
    p->control = ends[0];
}

void proxy_stop(struct proxy *p)
{
    int status;

    (void)close(p->control);
    if (waitpid(p->pid, &status, 0) != p->pid || status != 0)
        give_up("its end", "it did not end well");
}

/* What is answered to LINE, without the end of the line. */
static void ask(struct proxy *p, const char *line, char *answer, size_t size)
{
    size_t len = 0;

    if (dprintf(p->control, "%s\n", line) < 0)
        give_up(line, strerror(errno));
    for (;;) {
        ssize_t n = read(p->control, answer + len, size - 1 - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            give_up(line, "it is gone");
        len += (size_t)n;
        if (answer[len - 1] == '\n' || len == size - 1)
            break;
    }
    answer[len - 1] = '\0';
}

void proxy_say(struct proxy *p, const char *fmt, ...)
{
    char line[200];
    char answer[200];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    ask(p, line, answer, sizeof answer);
    if (strcmp(answer, "ok") != 0)
        give_up(line, answer);
}

struct proxy_counts proxy_count(struct proxy *p)
{
    unsigned long long n[6];
    char answer[200];

    ask(p, "count", answer, sizeof answer);
    /* NOLINTNEXTLINE(cert-err34-c): counters, as the proxy itself printed them */
    if (sscanf(answer, "count %llu %llu %llu %llu %llu %llu", &n[0], &n[1], &n[2], &n[3], &n[4],
               &n[5]) != 6)
        give_up("count", answer);
    return (struct proxy_counts){ n[0], n[1], n[2], n[3], n[4], n[5] };
}
