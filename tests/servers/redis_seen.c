/* redis_seen.c - what a Redis server has seen so far; see redis_seen.h */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "redis_seen.h"

static _Noreturn void bail_out(const char *what)
{
    printf("Bail out! %s\n", what);
    exit(99);
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL)
        bail_out(name);
    return value;
}

/* One connection for all looks: each of them is one read and one write then. */
static int connection(void)
{
    static int fd = -1;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    const char *path;

    if (fd >= 0)
        return fd;
    path = from_environment("KEDGE_TEST_SOCKET");
    if (strlen(path) >= sizeof at.sun_path)
        bail_out("the name of the socket is too long");
    memcpy(at.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0)
        bail_out("nobody is at the socket");
    return fd;
}

/* "$12345\r\n", that many bytes, and "\r\n" */
static void ask(const char *command, char *text, size_t size)
{
    int fd = connection();
    size_t want = 0;
    size_t n = 0;

    if (write(fd, command, strlen(command)) != (ssize_t)strlen(command))
        bail_out("the server cannot be asked");
    do {
        ssize_t got = read(fd, text + n, size - 1 - n);
        const char *line;

        if (got <= 0)
            bail_out("the server does not answer, or says too much");
        n += (size_t)got;
        text[n] = '\0';
        line = strstr(text, "\r\n");
        if (line != NULL && want == 0)
            want = (size_t)(line + 4 - text) + strtoul(text + 1, NULL, 10);
    } while (want == 0 || n < want);
}

/* The number after NAME at the beginning of a line; 0: there is none. */
static uint64_t number(const struct seen *s, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = strstr(s->text, name); p != NULL; p = strstr(p + 1, name))
        if (p[-1] == '\n')
            return strtoull(p + len, NULL, 10);
    return 0;
}

static uint64_t flushes(void)
{
    uint64_t n = 0;
    int fd = open(from_environment("KEDGE_TEST_FLUSHES"), O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, &n, sizeof n) != (ssize_t)sizeof n)
        bail_out("there is no file that flushes are counted in");
    (void)close(fd);
    return n;
}

void seen_take(struct seen *s)
{
    ask("INFO everything\r\n", s->text, sizeof s->text);
    s->reads = number(s, "total_reads_processed:");
    s->writes = number(s, "total_writes_processed:");
    s->log = number(s, "aof_current_size:");
    s->flushes = flushes();
}

static uint64_t calls(const struct seen *s, const char *command)
{
    char name[96];

    (void)snprintf(name, sizeof name, "cmdstat_%s:calls=", command);
    return number(s, name);
}

uint64_t seen_calls(const struct seen *before, const struct seen *after, const char *command)
{
    return calls(after, command) - calls(before, command);
}

const char *seen_other(const struct seen *before, const struct seen *after, const char *names)
{
    static const char front[] = "\ncmdstat_";
    static char name[64];

    for (const char *p = strstr(after->text, front); p != NULL; p = strstr(p + 1, front)) {
        const char *at = p + sizeof front - 1;
        char blanks[sizeof name + 2];

        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ":"), at);
        (void)snprintf(blanks, sizeof blanks, " %s ", name);
        if (strcmp(name, "info") != 0 && strstr(names, blanks) == NULL &&
            seen_calls(before, after, name) != 0)
            return name;
    }
    return NULL;
}

/* The second look has read itself, and not yet written. */
uint64_t seen_reads(const struct seen *before, const struct seen *after)
{
    return after->reads - before->reads - 1;
}

uint64_t seen_writes(const struct seen *before, const struct seen *after)
{
    return after->writes - before->writes - 1;
}
