/*
 * server.c - processes of a server, by /proc
 *
 * /proc/PID/stat counts in hundredths of a second, which is a tenth of a slice: what runs is read
 * from schedstat, in ns, thread by thread.  What has ended is in the parent's stat only.
 */
#include <config.h>

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

/* The first line of /proc/PID/NAME. */
static bool read_line(pid_t pid, const char *name, char *line, size_t size)
{
    char path[96];
    FILE *f;
    bool got;

    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    got = fgets(line, (int)size, f) != NULL;
    (void)fclose(f);
    return got;
}

static int64_t threads_ns(pid_t pid)
{
    char path[64];
    int64_t sum = 0;
    const struct dirent *entry;
    DIR *dir;

    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    dir = opendir(path);
    if (dir == NULL)
        return -1;
    while ((entry = readdir(dir)) != NULL) {
        char name[64];
        char line[128];

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof name, "task/%.20s/schedstat", entry->d_name);
        if (read_line(pid, name, line, sizeof line))
            sum += strtoll(line, NULL, 10);
    }
    (void)closedir(dir);
    return sum;
}

/* Member N of /proc/PID/stat, counted from the state, which is 0. */
static int64_t stat_member(pid_t pid, int n)
{
    char line[1024];
    char *at;

    if (!read_line(pid, "stat", line, sizeof line) || (at = strrchr(line, ')')) == NULL)
        return -1;
    at += 2;
    while (n-- > 0 && *at != '\0')
        at += strcspn(at, " ") + 1;
    return strtoll(at, NULL, 10);
}

pid_t server_parent(pid_t pid)
{
    int64_t parent = stat_member(pid, 1);

    return parent > 0 ? (pid_t)parent : 0;
}

/* Calls EACH for that process and all its children. */
static void each_process(pid_t pid, void (*each)(pid_t pid, void *ctx), void *ctx)
{
    char name[64];
    char children[8192] = "";
    char *at = children;

    each(pid, ctx);
    (void)snprintf(name, sizeof name, "task/%d/children", (int)pid);
    (void)read_line(pid, name, children, sizeof children);
    for (;;) {
        char *end;
        long child = strtol(at, &end, 10);

        if (end == at)
            return;
        each((pid_t)child, ctx);
        at = end;
    }
}

static void add_ns(pid_t pid, void *ctx)
{
    int64_t ns = threads_ns(pid);

    *(int64_t *)ctx += ns > 0 ? ns : 0;
}

int64_t server_cpu_ns(pid_t pid)
{
    int64_t tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);
    int64_t sum = 0;

    if (threads_ns(pid) < 0)
        return -1;
    each_process(pid, add_ns, &sum);
    return sum + (stat_member(pid, 13) + stat_member(pid, 14)) * tick_ns;
}

void server_name(pid_t pid, char *name, size_t size)
{
    if (pid <= 0 || !read_line(pid, "comm", name, size))
        name[0] = '\0';
    name[strcspn(name, "\n")] = '\0';
}

/* The number behind NAME in /proc/PID/status. */
static int64_t status_member(pid_t pid, const char *name)
{
    char path[64];
    char line[128];
    int64_t n = 0;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return 0;
    while (fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            n = strtoll(line + strlen(name), NULL, 10);
    (void)fclose(f);
    return n;
}

struct memory {
    int64_t own;
    int64_t shared; /* most of one process */
};

static void add_memory(pid_t pid, void *ctx)
{
    struct memory *m = ctx;
    int64_t shared = status_member(pid, "RssShmem:");

    m->own += status_member(pid, "RssAnon:");
    m->shared = shared > m->shared ? shared : m->shared;
}

int64_t server_memory_kib(pid_t pid)
{
    struct memory m = { 0 };

    if (pid <= 0)
        return -1;
    each_process(pid, add_memory, &m);
    return m.own + m.shared;
}

int64_t server_write_calls(pid_t pid)
{
    char path[64];
    char line[128];
    int64_t n = -1;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%d/io", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return -1;
    while (fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "syscw:", 6) == 0)
            n = strtoll(line + 6, NULL, 10);
    (void)fclose(f);
    return n;
}
