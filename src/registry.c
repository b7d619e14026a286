/*
 * registry.c - which backends there are
 *
 * The built-in ones come from a list that configure wrote; everything else is a shared object.  A
 * name is looked for first among the built-in ones, then among the modules that are loaded, then as
 * NAME.so in each directory of $KEDGE_BACKEND_PATH and in the directory of this plug-in ABI.
 *
 * R1  A backend that was handed out stays: its module is never unloaded, its tables never move.
 * R2  One name is one backend: a module cannot take a name that is in use.
 * R3  One file is one backend, under however many paths it is asked for.
 */
#include <config.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kedge/store.h>

#include "kassert.h"
#include "registry.h"

#include "backends/builtin.h"

/* configure names the directory of modules after the ABI before it has seen the header. */
_Static_assert(KEDGE_CONFIGURED_ABI == KEDGE_BACKEND_ABI, "configure.ac has another backend ABI");

#define KEDGE_X(id) kedge_backend_entry_fn kedge_backend_entry_##id;
KEDGE_BUILTIN_BACKENDS
#undef KEDGE_X

#define KEDGE_X(id) kedge_backend_entry_##id,
static kedge_backend_entry_fn *const builtin_entry[] = { KEDGE_BUILTIN_BACKENDS };
#undef KEDGE_X

#define BUILTIN_COUNT (sizeof builtin_entry / sizeof *builtin_entry)

static pthread_once_t builtin_once = PTHREAD_ONCE_INIT;
static struct kedge_registered builtin[BUILTIN_COUNT];

static pthread_mutex_t module_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kedge_registered *modules; /* guarded by module_lock; only grows */

static void import_builtin(void)
{
    for (size_t i = 0; i < BUILTIN_COUNT; i++) {
        struct kedge_error err;
        int rc = kedge_backend_import(&builtin[i].backend, builtin_entry[i](), "built in", &err);

        if (rc != KEDGE_OK)
            (void)fprintf(stderr, "kedge: %s\n", err.msg);
        KEDGE_ASSERT(rc == KEDGE_OK);
    }
}

static const struct kedge_registered *find_builtin(const char *name)
{
    (void)pthread_once(&builtin_once, import_builtin);
    for (size_t i = 0; i < BUILTIN_COUNT; i++) {
        if (strcmp(builtin[i].backend.ops.name, name) == 0)
            return &builtin[i];
    }
    return NULL;
}

/* With module_lock held. */
static const struct kedge_registered *find_module(const char *name)
{
    for (const struct kedge_registered *m = modules; m != NULL; m = m->next) {
        if (strcmp(m->backend.ops.name, name) == 0)
            return m;
    }
    return NULL;
}

/* What a module calls itself must be free, and (EXPECTED) what its file is called. */
static int check_name(const struct kedge_registered *mod, const char *expected,
                      struct kedge_error *err)
{
    const char *name = mod->backend.ops.name;
    const struct kedge_registered *other;

    if (find_builtin(name) != NULL)
        return kedge_error_set(
            err, KEDGE_ERR_BACKEND, 0,
            "%s: member name is '%s', which is a backend inside the library; no module can "
            "replace that",
            mod->path, name);
    if (expected != NULL && strcmp(name, expected) != 0)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: member name is '%s'; a module of that name must be called "
                               "%s.so",
                               mod->path, name, name);
    other = find_module(name);
    if (other != NULL)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: member name is '%s', which %s has taken already", mod->path,
                               name, other->path);
    return KEDGE_OK;
}

/* With module_lock held.  EXPECTED: the name it was looked for by, or NULL. */
static int load(const char *path, const char *expected, const struct kedge_registered **out,
                struct kedge_error *err)
{
    struct kedge_registered *mod;
    kedge_backend_entry_fn *entry;
    int rc;

    if (access(path, F_OK) != 0 && errno == ENOENT)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, ENOENT, "there is no module '%s'", path);
    mod = calloc(1, sizeof *mod);
    if (mod == NULL)
        goto no_memory;
    mod->path = strdup(path);
    if (mod->path == NULL)
        goto no_memory;
    mod->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (mod->handle == NULL) {
        const char *why = dlerror();
        size_t len = strlen(path);

        /* The loader begins with the path as well, mostly. */
        if (why == NULL)
            why = "it cannot be loaded";
        else if (strncmp(why, path, len) == 0 && strncmp(why + len, ": ", 2) == 0)
            why += len + 2;
        rc = kedge_error_set(err, KEDGE_ERR_BACKEND, 0, "%s: %s", path, why);
        goto out;
    }
    for (const struct kedge_registered *m = modules; m != NULL; m = m->next) {
        if (m->handle == mod->handle) {
            rc = KEDGE_OK;
            *out = m;
            goto out;
        }
    }
    /* POSIX wants this to work; ISO C has no other way to say it. */
    *(void **)&entry = dlsym(mod->handle, "kedge_backend_entry");
    if (entry == NULL) {
        rc = kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                             "%s: it has no function kedge_backend_entry, so it is not a backend",
                             path);
        goto out;
    }
    rc = kedge_backend_import(&mod->backend, entry(), path, err);
    if (rc == KEDGE_OK)
        rc = check_name(mod, expected, err);
    if (rc != KEDGE_OK)
        goto out;
    mod->next = modules;
    modules = mod;
    *out = mod;
    return KEDGE_OK;

no_memory:
    rc = kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
out:
    if (mod != NULL) {
        if (mod->handle != NULL)
            (void)dlclose(mod->handle);
        free(mod->path);
        free(mod);
    }
    return rc;
}

/* Where modules are looked for: walk the colon-separated list, then our own directory. */
struct directories {
    const char *rest;
    bool last;
};

static struct directories directories(void)
{
    /* Not in a set-user-id program: whoever starts it would choose its code. */
    const char *path = secure_getenv("KEDGE_BACKEND_PATH");

    return (struct directories){ .rest = path != NULL ? path : "" };
}

/* The next directory, not NUL-terminated; false: there is no more. */
static bool next_directory(struct directories *d, const char **dir, int *len)
{
    while (*d->rest != '\0') {
        size_t n = strcspn(d->rest, ":");

        *dir = d->rest;
        *len = (int)n;
        d->rest += n + (d->rest[n] == ':');
        /* An empty or relative entry would mean wherever the process happens to stand. */
        if (n > 0 && n < 4096 && **dir == '/')
            return true;
    }
    if (d->last)
        return false;
    d->last = true;
    *dir = KEDGE_BACKEND_DIR;
    *len = (int)strlen(KEDGE_BACKEND_DIR);
    return true;
}

/* Schemes under which people know what a backend of another name keeps; <kedge/store.h> has them.
 */
static const struct {
    const char *scheme;
    const char *backend;
} schemes[] = {
    { "rediss", "redis" },
    { "postgres", "postgresql" },
};

size_t kedge_registry_scheme(const char *url, char name[KEDGE_BACKEND_NAME_MAX + 1])
{
    /* redis+unix: is one more way to reach what the backend redis keeps. */
    size_t len = strcspn(url, ":+");

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strlen(schemes[i].scheme) == len && strncmp(schemes[i].scheme, url, len) == 0) {
            url = schemes[i].backend;
            len = strlen(url);
            break;
        }
    }
    if (len > KEDGE_BACKEND_NAME_MAX)
        return 0;
    memcpy(name, url, len);
    name[len] = '\0';
    return len;
}

static int no_such_backend(const char *name, struct kedge_error *err)
{
    char known[256] = "";
    size_t used = 0;

    for (size_t i = 0; i < BUILTIN_COUNT && used < sizeof known; i++) {
        int n = snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                         builtin[i].backend.ops.name);

        used += n > 0 ? (size_t)n : 0;
    }
    return kedge_error_set(err, KEDGE_ERR_BACKEND, ENOENT,
                           "there is no backend '%s': inside the library are %s, and there is no "
                           "%s.so in $KEDGE_BACKEND_PATH or %s",
                           name, known, name, KEDGE_BACKEND_DIR);
}

/* With module_lock held. */
static int search(const char *name, const struct kedge_registered **out, struct kedge_error *err)
{
    struct directories d = directories();
    const char *dir;
    int len;

    while (next_directory(&d, &dir, &len)) {
        char path[4096 + KEDGE_BACKEND_NAME_MAX + 8];

        (void)snprintf(path, sizeof path, "%.*s/%s.so", len, dir, name);
        /* A file that is there decides, even if it is broken: no surprise from further down. */
        if (access(path, F_OK) == 0)
            return load(path, name, out, err);
    }
    return no_such_backend(name, err);
}

int kedge_registry_find(const char *name, const struct kedge_registered **out,
                        struct kedge_error *err)
{
    const struct kedge_registered *known = find_builtin(name);
    int rc;

    if (known != NULL) {
        *out = known;
        return KEDGE_OK;
    }
    if (strchr(name, '/') == NULL && !kedge_backend_name_ok(name))
        return kedge_error_set(err, KEDGE_ERR_BACKEND, ENOENT,
                               "'%.64s' cannot be the name of a backend (a-z, 0-9 and _ only); "
                               "the path of a module has a '/' in it",
                               name);
    (void)pthread_mutex_lock(&module_lock);
    if (strchr(name, '/') != NULL) {
        rc = load(name, NULL, out, err);
    } else {
        known = find_module(name);
        if (known != NULL) {
            *out = known;
            rc = KEDGE_OK;
        } else {
            rc = search(name, out, err);
        }
    }
    (void)pthread_mutex_unlock(&module_lock);
    return rc;
}

/* -------------------------------------------------------------- public side */

int kedge_backend_find(const char *name, const struct kedge_backend_ops **ops,
                       struct kedge_error *err)
{
    const struct kedge_registered *found = NULL;
    int rc;

    if (name == NULL || ops == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument '%s' is NULL",
                               name == NULL ? "name" : "ops");
    rc = kedge_registry_find(name, &found, err);
    if (rc == KEDGE_OK)
        *ops = &found->backend.ops;
    return rc;
}

const char *kedge_backend_default(void)
{
    return KEDGE_DEFAULT_BACKEND;
}

/* Modules have names like lmdb.so; other files that lie in the same directory are not meant. */
static int is_module_file(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    char name[KEDGE_BACKEND_NAME_MAX + 2];

    if (dot == NULL || strcmp(dot, ".so") != 0 || strncmp(entry->d_name, "lib", 3) == 0)
        return 0;
    (void)snprintf(name, sizeof name, "%.*s", (int)(dot - entry->d_name), entry->d_name);
    return kedge_backend_name_ok(name);
}

/* One file in a module directory: tell EACH what it is. */
static int show_file(const char *path, const char *file, kedge_backend_fn *each, void *ctx)
{
    const struct kedge_registered *found = NULL;
    struct kedge_error problem = { .code = KEDGE_OK };
    char name[256];
    int rc;

    (void)snprintf(name, sizeof name, "%.*s", (int)(strlen(file) - 3), file);
    (void)pthread_mutex_lock(&module_lock);
    rc = load(path, name, &found, &problem);
    (void)pthread_mutex_unlock(&module_lock);
    return each(ctx, name, path, rc == KEDGE_OK ? NULL : &problem);
}

/* Is there a file of that name in a directory before the one at DIR? */
static bool shadowed(const char *dir, const char *file)
{
    struct directories d = directories();
    const char *earlier;
    int len;

    while (next_directory(&d, &earlier, &len) && earlier != dir) {
        char path[4096 + 256 + 2];

        (void)snprintf(path, sizeof path, "%.*s/%s", len, earlier, file);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

int kedge_backend_each(kedge_backend_fn *each, void *ctx, struct kedge_error *err)
{
    struct directories d = directories();
    const char *dir;
    int len;
    int rc = 0;

    if (each == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument 'each' is NULL");
    (void)pthread_once(&builtin_once, import_builtin);
    for (size_t i = 0; i < BUILTIN_COUNT && rc == 0; i++)
        rc = each(ctx, builtin[i].backend.ops.name, NULL, NULL);
    while (rc == 0 && next_directory(&d, &dir, &len)) {
        struct dirent **files;
        char path[4096 + 256 + 2];
        int n;

        (void)snprintf(path, sizeof path, "%.*s", len, dir);
        n = scandir(path, &files, is_module_file, alphasort);
        if (n < 0)
            continue; /* there need not be one */
        for (int i = 0; i < n; i++) {
            if (rc == 0 && !shadowed(dir, files[i]->d_name)) {
                (void)snprintf(path, sizeof path, "%.*s/%s", len, dir, files[i]->d_name);
                rc = show_file(path, files[i]->d_name, each, ctx);
            }
            free(files[i]);
        }
        free(files);
    }
    return rc;
}
