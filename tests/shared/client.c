/* client.c - see client.h */
#include <config.h>

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

const struct kedge_backend_ops *ops;
const struct kedge_host *host;
const char *url;
static int count;

void begin(const char *store_url, int n_tests)
{
    struct kedge_error err;

    url = store_url;
    host = kedge_host_default();
    printf("1..%d\n", n_tests);
    if (kedge_backend_find("shared", &ops, &err) != KEDGE_OK)
        failed(__LINE__, "%s", err.msg);
}

void passed(const char *what)
{
    printf("ok %d - %s\n", ++count, what);
    (void)fflush(stdout);
}

_Noreturn void failed(int line, const char *fmt, ...)
{
    va_list ap;

    printf("not ok %d\n# line %d: ", ++count, line);
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    (void)fflush(stdout);
    _exit(1);
}

int64_t mono_us(void)
{
    struct timespec ts = { 0, 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct kedge_id128 new_id(void)
{
    struct kedge_id128 id;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

    need(fd >= 0 && read(fd, id.b, sizeof id.b) == (ssize_t)sizeof id.b);
    (void)close(fd);
    return id;
}

void server(const char *verb)
{
    char command[4096];

    (void)snprintf(command, sizeof command,
                   "exec sh \"$KEDGE_SRCDIR/tests/support/server.sh\" %s store >&2", verb);
    if (system(command) != 0) /* NOLINT(cert-env33-c) */
        failed(__LINE__, "server.sh %s store failed", verb);
}

int client_try(struct client *c, const char *ns, uint32_t flags)
{
    struct kedge_open open = {
        .struct_size = sizeof open, .flags = flags, .url = url, .ns = kedge_text(ns)
    };
    int rc;

    *c = (struct client){ NULL, NULL, { 0 } };
    rc = ops->store_open(host, &open, &c->store, &c->err);
    return rc == KEDGE_OK ? ops->session_open(c->store, &c->session, &c->err) : rc;
}

void client_open(struct client *c, const char *ns, uint32_t flags)
{
    need_rc(c, client_try(c, ns, flags), KEDGE_OK);
}

void client_close(struct client *c)
{
    ops->session_close(c->session);
    ops->store_close(c->store);
    c->session = c->store = NULL;
}

int drop(const char *ns, struct kedge_error *err)
{
    struct kedge_open open = { .struct_size = sizeof open, .url = url, .ns = kedge_text(ns) };

    return ops->store_drop(host, &open, err);
}

int cell_put(struct client *c, const char *name, uint64_t value, uint64_t expected,
             const struct kedge_id128 *request, int64_t timeout_us)
{
    struct kedge_guard is = { .kind = KEDGE_GUARD_CELL,
                              .name = kedge_text(name),
                              .number = expected };
    struct kedge_change put = { .kind = KEDGE_CELL_PUT, .name = kedge_text(name) };
    struct kedge_commit commit = {
        .guards = &is, .n_guards = expected != UINT64_MAX, .changes = &put, .n_changes = 1
    };
    struct kedge_answer answer;
    int rc;

    commit.request = request != NULL ? *request : new_id();
    put.cell.value = (struct kedge_bytes){ &value, sizeof value };
    rc = ops->commit(c->session, &commit, 1, &answer, timeout_us, &c->err);
    if (rc != KEDGE_OK && answer.outcome != rc)
        failed(__LINE__, "a failed call has an item that came to something else");
    return answer.outcome;
}

int cell_get(struct client *c, const char *name, uint64_t *value, uint64_t *version)
{
    struct kedge_cell cell;
    int rc = ops->cell_get(c->session, kedge_text(name), &cell, PATIENCE, &c->err);

    if (rc != KEDGE_OK)
        return rc;
    need(cell.value.len == sizeof *value);
    memcpy(value, cell.value.data, sizeof *value);
    *version = cell.version;
    kedge_mem_free(host, cell.mem);
    return KEDGE_OK;
}
