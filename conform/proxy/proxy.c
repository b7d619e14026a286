/* proxy.c - the proxy's process, and its lines as its user has them; see proxy.h */
#include "proxy.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "address.h"

static _Noreturn void give_up(const char *what, const char *why)
{
    printf("Bail out! the proxy: %s: %s\n", what, why);
    (void)fflush(stdout);
    _exit(99);
}

/* All else that this process has open is nothing to do with the proxy, and would not end with it.
 */
static void close_others(int a, int b)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name); /* NOLINT(cert-err34-c): a number, as the kernel has it */

        if (fd > STDERR_FILENO && fd != a && fd != b && fd != dirfd(dir))
            (void)close(fd);
    }
    (void)closedir(dir);
}

/* It has a group of its own, so that it sees to its end itself when that of its user is killed. */
static _Noreturn void be_proxy(const struct proxy *p, int fd, int control, const char *listen,
                               const char *target)
{
    int status;

    (void)setpgid(0, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)alarm(0);
    close_others(fd, control);
    status = proxy_serve(fd, listen, target, control, control);
    if (p->dir[0] != '\0')
        (void)rmdir(p->dir);
    _exit(status);
}

static void start(struct proxy *p, const char *listen, const char *target)
{
    int ends[2];
    int fd;

    fd = proxy_listen(listen, &p->port);
    if (fd < 0)
        give_up(listen, strerror(errno));
    if (p->port != 0)
        (void)snprintf(p->address, sizeof p->address, "%.*s:%d",
                       (int)(strrchr(listen, ':') - listen), listen, p->port);
    else
        (void)snprintf(p->address, sizeof p->address, "%s", listen);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        give_up("socketpair", strerror(errno));
    (void)fflush(stdout);
    p->pid = fork();
    if (p->pid < 0)
        give_up("fork", strerror(errno));
    if (p->pid == 0)
        be_proxy(p, fd, ends[1], listen, target);
    (void)close(ends[1]);
    (void)close(fd);
    p->control = ends[0];
}

void proxy_start(struct proxy *p, const char *listen, const char *target)
{
    *p = (struct proxy){ .port = 0 };
    start(p, listen, target);
}

void proxy_start_before(struct proxy *p, const char *target)
{
    const char *base = strrchr(target, '/');
    char listen[128];

    *p = (struct proxy){ .port = 0 };
    if (!address_is_unix(target)) {
        start(p, "127.0.0.1:0", target);
        return;
    }
    /* Beside the program's own files: the name of a socket must be short. */
    (void)strcpy(p->dir, "/tmp/kedge-proxy.XXXXXX");
    if (base == NULL || mkdtemp(p->dir) == NULL)
        give_up(target, "no directory for its socket");
    if (snprintf(listen, sizeof listen, "unix:%s%s", p->dir, base) >= (int)sizeof listen)
        give_up(target, "the name of its socket is too long");
    start(p, listen, target);
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
