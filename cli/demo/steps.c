/*
 * steps.c - the reactor "archive": fingerprint, compress, publish, index
 *
 * Each step may run twice, and may still run in a process that was thought dead while its successor
 * runs in another.  So each writes to a name of its own process, makes that durable, and renames it
 * to a name that only depends on what is in it or on the step's key.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "demo.h"

#define NAME_SIZE 300 /* below the destination */

/* -------------------------------------------------------------------- ends */

static int fail(struct kedge_step *step, const char *what, const char *why)
{
    char message[512];

    (void)snprintf(message, sizeof message, "%.300s: %.200s", what, why);
    return kedge_fail(step, 0, message);
}

static int fail_errno(struct kedge_step *step, const char *what)
{
    return fail(step, what, strerror(errno));
}

/* The value's owner is this function, NULL when there was no memory for it. */
static int ok(struct kedge_step *step, cJSON *value)
{
    char *text = value != NULL ? cJSON_PrintUnformatted(value) : NULL;
    int rc = text != NULL ? kedge_ok(step, text, strlen(text)) : fail(step, "value", "no memory");

    cJSON_free(text);
    cJSON_Delete(value);
    return rc;
}

/* ------------------------------------------------------------------ begins */

/* One line, in one write, before the step has any effect. */
static bool note(const struct demo_work *work, const struct kedge_view *view)
{
    char run[3 * 1024 + 1];
    char line[sizeof run + 400];
    int len;

    if (view->run.len > 1024)
        return false;
    demo_encode(view->run.data, view->run.len, run);
    len = snprintf(line, sizeof line, "%s %s %" PRIu32 " %" PRIu64 " %d %ld %" PRId64 "\n", run,
                   view->step, view->attempt, view->fence,
                   (view->flags & KEDGE_STEP_IN_DOUBT) != 0 ? 1 : 0, (long)getpid(), demo_now());
    return len > 0 && (size_t)len < sizeof line &&
           write(work->log_fd, line, (size_t)len) == (ssize_t)len;
}

static bool input_path(const struct kedge_view *view, char text[DEMO_TEXT_SIZE],
                       char path[PATH_MAX])
{
    return kedge_json_string(view->input.data, view->input.len, "/path", text, DEMO_TEXT_SIZE, NULL,
                             NULL) == KEDGE_OK &&
           demo_decode(text, path);
}

static int open_source(const struct demo *demo, const char *path)
{
    return openat(demo->source_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

/* The fingerprint of the file, from the step of that name. */
struct print {
    char hex[DEMO_HEX_SIZE];
    int64_t size;
    int64_t mode;
};
static bool read_print(const struct kedge_step *step, struct print *print)
{
    struct kedge_bytes v;

    return kedge_step_result(step, "fingerprint", &v, NULL) == KEDGE_OK &&
           kedge_json_string(v.data, v.len, "/sha256", print->hex, sizeof print->hex, NULL, NULL) ==
               KEDGE_OK &&
           strlen(print->hex) == 64 &&
           kedge_json_int64(v.data, v.len, "/size", &print->size, NULL) == KEDGE_OK &&
           kedge_json_int64(v.data, v.len, "/mode", &print->mode, NULL) == KEDGE_OK;
}

/* tmp/KEY, and a name beside it that no other process uses. */
static void tmp_names(const struct kedge_view *view, char final[NAME_SIZE], char part[NAME_SIZE])
{
    char key[3 * 64 + 1];

    demo_encode(view->key.data, view->key.len < 64 ? view->key.len : 64, key);
    for (char *p = key; *p != '\0'; p++)
        if (*p == '/')
            *p = '_';
    (void)snprintf(final, NAME_SIZE, "tmp/%s", key);
    (void)snprintf(part, NAME_SIZE, "tmp/%s.%ld.part", key, (long)getpid());
}

static int sync_dir(int base, const char *name)
{
    int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return -1;
    rc = fsync(fd);
    (void)close(fd);
    return rc;
}

static bool stopping(void *ctx)
{
    return kedge_step_stopping(ctx) != 0;
}

/* ------------------------------------------------------------------- steps */

static int fingerprint(struct kedge_step *step, void *user)
{
    const struct demo_work *work = user;
    char text[DEMO_TEXT_SIZE];
    char path[PATH_MAX];
    struct demo_digest digest = { .size = 0 };
    const char *wrong;
    struct stat st;
    cJSON *value;
    int fd;

    if (!note(work, kedge_step_view(step)))
        return fail_errno(step, "log");
    if (!input_path(kedge_step_view(step), text, path))
        return kedge_fail(step, KEDGE_FAIL_FINAL, "the input has no path");
    fd = open_source(work->demo, path);
    if (fd < 0)
        return fail_errno(step, text);
    wrong = fstat(fd, &st) != 0 ? strerror(errno) : demo_pack(fd, -1, stopping, step, &digest);
    (void)close(fd);
    if (wrong == demo_stopped)
        return kedge_snooze(step, 0);
    if (wrong != NULL)
        return fail(step, text, wrong);
    value = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(value, "sha256", digest.hex);
    (void)cJSON_AddNumberToObject(value, "size", (double)digest.size);
    (void)cJSON_AddNumberToObject(value, "mode", (double)(st.st_mode & 07777));
    return ok(step, value);
}

static int compress(struct kedge_step *step, void *user)
{
    const struct demo_work *work = user;
    const int dest = work->demo->dest_fd;
    char text[DEMO_TEXT_SIZE];
    char path[PATH_MAX];
    char final[NAME_SIZE];
    char part[NAME_SIZE];
    struct demo_digest digest;
    struct print print;
    const char *wrong;
    cJSON *value;
    int in;
    int out;

    if (!note(work, kedge_step_view(step)))
        return fail_errno(step, "log");
    if (!input_path(kedge_step_view(step), text, path) || !read_print(step, &print))
        return kedge_fail(step, KEDGE_FAIL_FINAL, "there is no path or no fingerprint");
    tmp_names(kedge_step_view(step), final, part);
    in = open_source(work->demo, path);
    if (in < 0)
        return fail_errno(step, text);
    out = openat(dest, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out < 0) {
        (void)close(in);
        return fail_errno(step, part);
    }
    wrong = demo_pack(in, out, stopping, step, &digest);
    /* Durable before the step is: the next one may follow after a loss of power. */
    if (wrong == NULL && fsync(out) != 0)
        wrong = strerror(errno);
    if (wrong == NULL && strcmp(digest.hex, print.hex) != 0)
        wrong = "the file has changed since its fingerprint was taken";
    (void)close(in);
    (void)close(out);
    if (wrong == NULL && (renameat(dest, part, dest, final) != 0 || sync_dir(dest, "tmp") != 0))
        wrong = strerror(errno);
    if (wrong != NULL) {
        (void)unlinkat(dest, part, 0);
        return wrong == demo_stopped ? kedge_snooze(step, 0) : fail(step, text, wrong);
    }
    value = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(value, "tmp", final);
    return ok(step, value);
}

static bool read_tmp(const struct kedge_step *step, char name[NAME_SIZE])
{
    struct kedge_bytes v;

    return kedge_step_result(step, "compress", &v, NULL) == KEDGE_OK &&
           kedge_json_string(v.data, v.len, "/tmp", name, NAME_SIZE, NULL, NULL) == KEDGE_OK;
}

static int discard(struct kedge_step *step, void *user)
{
    const struct demo_work *work = user;
    char tmp[NAME_SIZE];

    if (read_tmp(step, tmp) && unlinkat(work->demo->dest_fd, tmp, 0) != 0 && errno != ENOENT)
        return fail_errno(step, tmp);
    return kedge_ok(step, NULL, 0);
}

static int publish(struct kedge_step *step, void *user)
{
    const struct demo_work *work = user;
    const int dest = work->demo->dest_fd;
    char tmp[NAME_SIZE];
    char object[NAME_SIZE];
    char dir[sizeof "objects/ab"];
    struct print print;
    cJSON *value;

    if (!note(work, kedge_step_view(step)))
        return fail_errno(step, "log");
    if (!read_tmp(step, tmp) || !read_print(step, &print))
        return kedge_fail(step, KEDGE_FAIL_FINAL, "there is nothing to publish");
    demo_object_name(print.hex, object, sizeof object);
    (void)snprintf(dir, sizeof dir, "%.10s", object);
    /* An object of that name has the same content; and if the file is gone, an earlier execution
       has moved it. */
    if (renameat(dest, tmp, dest, object) != 0 &&
        (errno != ENOENT || faccessat(dest, object, F_OK, 0) != 0))
        return fail_errno(step, tmp);
    if (sync_dir(dest, dir) != 0)
        return fail_errno(step, dir);
    value = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(value, "object", object);
    return ok(step, value);
}

static const char *write_file(int base, const char *name, const char *text)
{
    const size_t len = strlen(text);
    int fd = openat(base, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    const char *wrong = NULL;

    if (fd < 0)
        return strerror(errno);
    errno = ENOSPC; /* for a write that does not say why it was short */
    if (write(fd, text, len) != (ssize_t)len || fsync(fd) != 0)
        wrong = strerror(errno);
    (void)close(fd);
    return wrong;
}

static int write_index(struct kedge_step *step, void *user)
{
    const struct demo_work *work = user;
    const int dest = work->demo->dest_fd;
    char text[DEMO_TEXT_SIZE];
    char path[PATH_MAX];
    char final[NAME_SIZE];
    char part[NAME_SIZE];
    struct print print;
    const char *wrong;
    cJSON *value;
    char *json;
    int rc;

    if (!note(work, kedge_step_view(step)))
        return fail_errno(step, "log");
    if (!input_path(kedge_step_view(step), text, path) || !read_print(step, &print))
        return kedge_fail(step, KEDGE_FAIL_FINAL, "there is no path or no fingerprint");
    tmp_names(kedge_step_view(step), final, part);
    if (!demo_index_name(path, final, sizeof final))
        return fail(step, text, "no SHA-256");
    value = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(value, "path", text);
    (void)cJSON_AddStringToObject(value, "sha256", print.hex);
    (void)cJSON_AddNumberToObject(value, "size", (double)print.size);
    (void)cJSON_AddNumberToObject(value, "mode", (double)print.mode);
    json = value != NULL ? cJSON_PrintUnformatted(value) : NULL;
    cJSON_Delete(value);
    if (json == NULL)
        return fail(step, text, "out of memory");
    wrong = write_file(dest, part, json);
    if (wrong == NULL && (renameat(dest, part, dest, final) != 0 || sync_dir(dest, "index") != 0))
        wrong = strerror(errno);
    if (wrong != NULL)
        (void)unlinkat(dest, part, 0);
    rc = wrong != NULL ? fail(step, text, wrong) : kedge_ok(step, json, strlen(json));
    cJSON_free(json);
    return rc;
}

/* ----------------------------------------------------------------- reactor */

int demo_reactor(struct demo_work *work, struct kedge_reactor **reactor, struct kedge_error *err)
{
    static const char *const after_fingerprint[] = { "fingerprint", NULL };
    static const char *const after_compress[] = { "fingerprint", "compress", NULL };
    static const char *const after_publish[] = { "fingerprint", "publish", NULL };
    const struct kedge_retry retry = { .attempts = 3, .base_us = 100000, .jitter_percent = 50 };
    const struct kedge_step_def steps[DEMO_STEPS] = {
        { .name = "fingerprint", .flags = KEDGE_STEP_POOL, .run = fingerprint, .retry = retry },
        { .name = "compress",
          .flags = KEDGE_STEP_POOL,
          .run = compress,
          .undo = discard,
          .after = after_fingerprint,
          .retry = retry },
        { .name = "publish",
          .flags = KEDGE_STEP_POOL,
          .run = publish,
          .after = after_compress,
          .retry = retry },
        { .name = "index",
          .flags = KEDGE_STEP_POOL,
          .run = write_index,
          .after = after_publish,
          .retry = retry },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT(DEMO_REACTOR, DEMO_VERSION, steps);

    def.user = work;
    return kedge_reactor_new(&def, reactor, err);
}
