/* line.c - lines that wrappers write; see kit.h */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"

#include "../kit/url.h"

void wrap_line_init(struct wrap_line *line, const struct kedge_host *host)
{
    line->host = host;
    line->text = line->room;
    line->len = 0;
    line->size = sizeof line->room;
    line->failed = false;
    line->room[0] = '\0';
}

void wrap_line_free(struct wrap_line *line)
{
    if (line->text != line->room)
        line->host->release(line->host->ctx, line->text);
}

/* Is there room for MORE bytes and a NUL? */
static bool grow(struct wrap_line *line, size_t more)
{
    size_t size = line->size;
    char *text;

    if (line->failed)
        return false;
    if (more < size - line->len)
        return true;
    while (more >= size - line->len)
        size *= 2;
    text = line->host->alloc(line->host->ctx, size);
    if (text == NULL) {
        line->failed = true;
        return false;
    }
    memcpy(text, line->text, line->len + 1);
    wrap_line_free(line);
    line->text = text;
    line->size = size;
    return true;
}

void wrap_add(struct wrap_line *line, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !grow(line, (size_t)n))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(line->text + line->len, line->size - line->len, fmt, ap);
    va_end(ap);
    line->len += (size_t)n;
}

void wrap_add_bytes(struct wrap_line *line, struct kedge_bytes bytes, bool json)
{
    const unsigned char *b = bytes.data;

    for (size_t i = 0; i < bytes.len; i++) {
        if (b[i] >= ' ' && b[i] < 127 && b[i] != '"' && b[i] != '\\')
            wrap_add(line, "%c", b[i]);
        else
            wrap_add(line, json ? "\\\\x%02x" : "\\x%02x", b[i]);
    }
}

void wrap_add_id(struct wrap_line *line, const struct kedge_id128 *id)
{
    for (size_t i = 0; i < sizeof id->b; i++)
        wrap_add(line, "%02x", id->b[i]);
}

int wrap_file_open(struct wrap_file *file, const struct kedge_host *host, struct kedge_bytes value,
                   struct kedge_error *err)
{
    char path[PATH_MAX];
    int rc = kedge_url_decode(value, "to=", path, sizeof path, err);

    if (rc != KEDGE_OK)
        return rc;
    wrap_file_close(file);
    file->host = host;
    file->pid = (long)getpid();
    file->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (file->fd >= 0)
        return KEDGE_OK;
    return kedge_error_set(err, KEDGE_ERR_INVALID, errno,
                           "%s: the file '%.200s' cannot be opened: %s", wrap_name, path,
                           strerror(errno));
}

void wrap_file_default(struct wrap_file *file, const struct kedge_host *host)
{
    file->host = host;
    file->pid = (long)getpid();
    if (file->fd < 0)
        file->fd = STDERR_FILENO;
}

void wrap_file_close(struct wrap_file *file)
{
    if (file->fd >= 0 && file->fd != STDERR_FILENO)
        (void)close(file->fd);
    file->fd = -1;
}

bool wrap_file_ours(const struct wrap_file *file)
{
    return file->pid == (long)getpid();
}

void wrap_file_put(struct wrap_file *file, const struct wrap_line *line)
{
    ssize_t n = -1;
    char text[160];

    if (!line->failed) {
        do
            n = write(file->fd, line->text, line->len);
        while (n < 0 && errno == EINTR);
        if (n == (ssize_t)line->len)
            return;
    }
    (void)snprintf(text, sizeof text, "%s: a line is missing or cut off in the file: %s", wrap_name,
                   line->failed ? "out of memory"
                   : n < 0      ? strerror(errno)
                                : "no room");
    file->host->log(file->host->ctx, LOG_ERR, text);
}

int64_t wrap_clock_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

const char *wrap_status_name(int status)
{
    switch (status) {
#define STATUS_CASE(name, value, text)                                                             \
    case value:                                                                                    \
        return #name;
        KEDGE_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
    default:
        return "UNKNOWN_STATUS";
    }
}
