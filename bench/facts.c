/* facts.c - looked up, never assumed; see facts.h */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <kedge/kedge.h>

#include "../backends/kit/url.h"
#include "facts.h"
#include "harness.h"
#include "settings.h"
#include "subject.h"

#define TIMEOUT_US INT64_C(10000000)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SANITIZED true
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                     \
        __has_feature(memory_sanitizer)
#        define SANITIZED true
#    endif
#endif
#if !defined(SANITIZED)
#    define SANITIZED false
#endif

#if defined(__OPTIMIZE__)
#    define OPTIMIZED true
#else
#    define OPTIMIZED false
#endif

static char *copy_of(const char *text)
{
    char *copy = must_alloc(1, strlen(text) + 1);

    memcpy(copy, text, strlen(text));
    return copy;
}

void fact_add(struct facts *facts, const char *name, const char *value)
{
    if (facts->n == FACTS_MOST)
        return;
    facts->v[facts->n++] = (struct fact){ copy_of(name), copy_of(value) };
}

const char *fact_of(const struct facts *facts, const char *name)
{
    for (size_t i = 0; i < facts->n; i++)
        if (strcmp(facts->v[i].name, name) == 0)
            return facts->v[i].value;
    return "";
}

/* ---------------------------------------------------------------- tool, host */

void facts_of_tool(struct facts *facts)
{
    fact_add(facts, "version", kedge_version());
#if defined(__clang__)
    fact_add(facts, "compiler", __VERSION__);
#else
    fact_add(facts, "compiler", "gcc " __VERSION__);
#endif
    fact_add(facts, "flags", BENCH_CFLAGS);
    fact_add(facts, "build", SANITIZED ? "sanitizer" : OPTIMIZED ? "release" : "debug");
}

static void fact_of_file(struct facts *facts, const char *name, const char *path)
{
    char line[256];
    FILE *f = fopen(path, "re");

    if (f == NULL)
        return;
    if (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        fact_add(facts, name, line);
    }
    (void)fclose(f);
}

void facts_of_host(struct facts *facts)
{
    struct utsname u = { 0 };
    char text[1024];

    (void)uname(&u);
    (void)snprintf(text, sizeof text, "%s %s %s", u.sysname, u.release, u.machine);
    fact_add(facts, "kernel", text);
    file_value("/proc/cpuinfo", "model name", text, sizeof text);
    fact_add(facts, "cpu", text);
    (void)snprintf(text, sizeof text, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    fact_add(facts, "cpus", text);
    fact_of_file(facts, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    file_value("/proc/meminfo", "MemTotal", text, sizeof text);
    fact_add(facts, "memory", text);
    (void)snprintf(text, sizeof text, "%.2f", load_average());
    fact_add(facts, "load", text);
}

/* -------------------------------------------------------------------- stores */

static enum status status_of(int rc, const struct kedge_error *err)
{
    if (rc == KEDGE_ERR_BACKEND && err->sys_errno == ENOENT)
        return STATUS_NOT_FOUND;
    switch (rc) {
    case KEDGE_ERR_INVALID:
        return STATUS_USAGE;
    case KEDGE_ERR_UNAVAILABLE:
        return STATUS_UNREACHABLE;
    case KEDGE_ERR_PERMISSION:
        return STATUS_PERMISSION;
    case KEDGE_ERR_SCHEMA_OLD:
    case KEDGE_ERR_SCHEMA_NEW:
        return STATUS_STATE;
    default:
        return STATUS_FAILURE;
    }
}

static void take_fact(void *ctx, const char *name, const char *value)
{
    fact_add(ctx, name, value);
}

char *directory_of(const char *url)
{
    struct kedge_url parts;
    char path[PATH_MAX];
    struct kedge_error err;

    if (url[0] == '/' || url[0] == '.')
        return strcmp(kedge_backend_default(), "lmdb") == 0 ? copy_of(url) : NULL;
    if (kedge_url_split(url, &parts, &err) != KEDGE_OK || !kedge_url_is(parts.scheme, "lmdb") ||
        kedge_url_decode(parts.path, "path", path, sizeof path, &err) != KEDGE_OK)
        return NULL;
    return copy_of(path);
}

void facts_of_store(struct store_facts *store)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_store *handle = NULL;
    struct kedge_error err;
    char ns[NS_BYTES];
    char text[512];
    int rc;

    opt.store = store->given;
    store->place = directory_of(store->given);
    options.flags = KEDGE_STORE_CREATE;
    options.ns = subject_ns(ns, "look");
    options.backend = opt.backend;
    options.backend_options = opt.backend_options;
    rc = kedge_store_open(store->given, &options, &handle, &err);
    if (rc == KEDGE_OK)
        rc = kedge_store_info(handle, TIMEOUT_US, take_fact, &store->all, &err);
    if (rc != KEDGE_OK && handle == NULL)
        made_closed(ns); /* nothing was made */
    if (rc != KEDGE_OK)
        die_with((int)status_of(rc, &err), "--store: %s", err.msg);
    kedge_store_close(handle);
    if (store->place != NULL) {
        filesystem_name(store->place, text, sizeof text);
        fact_add(&store->all, "filesystem", text);
    }
    subject_drop();
}

/* ------------------------------------------------------------------- warnings */

const char *warnings[WARNINGS_MOST];
size_t n_warnings;

void warn_of(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < n_warnings; i++)
        if (strcmp(warnings[i], text) == 0)
            return;
    if (n_warnings < WARNINGS_MOST)
        warnings[n_warnings++] = copy_of(text);
}

void warn_of_build(void)
{
    if (SANITIZED)
        warn_of("compiled with a sanitizer: figures say nothing");
    else if (!OPTIMIZED)
        warn_of("compiled without optimisation: figures say little");
    if (settings.time_s < 10)
        warn_of("less than 10 s (--time %gs): not for quoting", settings.time_s);
    if (settings.repeat < 5)
        warn_of("fewer than 5 repeats (--repeat %u): not for quoting", settings.repeat);
}

void warn_of_store(const struct store_facts *store)
{
    const char *fs = fact_of(&store->all, "filesystem");

    if (strncmp(fs, "tmpfs", 5) == 0 || strncmp(fs, "ramfs", 5) == 0)
        warn_of("%s is in memory (%s): a flush costs nothing there", store->label, fs);
    if (strstr(fact_of(&store->all, "durability"), "power") == NULL)
        warn_of("%s: a power loss may take acknowledged steps (durability: %s)", store->label,
                fact_of(&store->all, "durability"));
}
