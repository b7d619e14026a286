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
 *
 * A module may be a wrapper instead; wrap.c puts it before a backend.
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
#include "wrap.h"

#include "backends/builtin.h"
#include "backends/kit/url.h"

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

/* The table of a backend that was just loaded, or the name of a wrapper: that of its file. */
static int import_module(struct kedge_registered *mod, const char *expected,
                         struct kedge_error *err)
{
    const char *file = strrchr(mod->path, '/');
    kedge_backend_entry_fn *entry;

    /* POSIX wants this to work; ISO C has no other way to say it. */
    *(void **)&entry = dlsym(mod->handle, "kedge_backend_entry");
    if (entry != NULL)
        return kedge_backend_import(&mod->backend, entry(), mod->path, err);
    *(void **)&mod->wrapper = dlsym(mod->handle, "kedge_wrapper_entry");
    if (mod->wrapper == NULL)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: it has no function kedge_backend_entry, so it is not a backend",
                               mod->path);
    if (expected == NULL)
        expected = file != NULL ? file + 1 : mod->path;
    mod->file = strndup(expected, strcspn(expected, "."));
    if (mod->file == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    mod->backend.ops.name = mod->file;
    if (kedge_backend_name_ok(mod->file))
        return KEDGE_OK;
    return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                           "%s: the file of a wrapper has its name, a letter a-z and up to %d more "
                           "of a-z, 0-9, _",
                           mod->path, KEDGE_BACKEND_NAME_MAX - 1);
}

/* With module_lock held.  EXPECTED: the name it was looked for by, or NULL. */
static int load(const char *path, const char *expected, const struct kedge_registered **out,
                struct kedge_error *err)
{
    struct kedge_registered *mod;
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
    rc = import_module(mod, expected, err);
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
        free(mod->file);
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

/* The backend that URL, which has no wrapper in front, is for; the answer is not NUL-terminated. */
static const char *scheme_of(const char *url, size_t *len)
{
    /* redis+unix: is one more way to reach what the backend redis keeps. */
    *len = strcspn(url, ":+");
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strlen(schemes[i].scheme) == *len && strncmp(schemes[i].scheme, url, *len) == 0) {
            *len = strlen(schemes[i].backend);
            return schemes[i].backend;
        }
    }
    return url;
}

/* Does URL begin with a wrapper?  Then what it is called, and where the rest begins. */
static const char *behind_wrapper(const char *url, struct kedge_bytes *name)
{
    struct kedge_bytes settings;
    const char *behind = kedge_url_behind(url, name, &settings);
    const struct kedge_registered *found;
    char text[KEDGE_BACKEND_NAME_MAX + 1];
    size_t len;

    if (behind == NULL || name->len > KEDGE_BACKEND_NAME_MAX)
        return NULL;
    if (url[name->len] == ',')
        return behind;
    /* NAME+HOW: is a backend's own, unless there is a wrapper of that name. */
    if (scheme_of(url, &len) != url)
        return NULL;
    (void)snprintf(text, sizeof text, "%.*s", (int)name->len, (const char *)name->data);
    return kedge_registry_wrapper(text, &found, NULL) == KEDGE_OK ? behind : NULL;
}

size_t kedge_registry_scheme(const char *url, char name[KEDGE_REGISTRY_NAME_MAX + 1],
                             const char **base)
{
    struct kedge_bytes wrapper;
    const char *behind;
    const char *backend;
    size_t used = 0;
    size_t len;

    while ((behind = behind_wrapper(url, &wrapper)) != NULL) {
        if (used + wrapper.len + 1 > KEDGE_REGISTRY_NAME_MAX)
            return 0;
        memcpy(name + used, wrapper.data, wrapper.len);
        used += wrapper.len;
        name[used++] = '+';
        url = behind;
    }
    *base = url;
    backend = scheme_of(url, &len);
    if (len > KEDGE_BACKEND_NAME_MAX || used + len > KEDGE_REGISTRY_NAME_MAX)
        return 0;
    memcpy(name + used, backend, len);
    name[used + len] = '\0';
    return used + len;
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

/* Of NAME in the directories; *OUT is NULL if there is no such file.  With module_lock held. */
static int search(const char *name, const struct kedge_registered **out, struct kedge_error *err)
{
    struct directories d = directories();
    const char *dir;
    int len;

    *out = NULL;
    while (next_directory(&d, &dir, &len)) {
        char path[4096 + KEDGE_BACKEND_NAME_MAX + 8];

        (void)snprintf(path, sizeof path, "%.*s/%s.so", len, dir, name);
        /* A file that is there decides, even if it is broken: no surprise from further down. */
        if (access(path, F_OK) == 0)
            return load(path, name, out, err);
    }
    return KEDGE_OK;
}

/* The module called NAME, or at that path; *OUT is NULL if no name leads to one. */
static int find_or_load(const char *name, const struct kedge_registered **out,
                        struct kedge_error *err)
{
    int rc = KEDGE_OK;

    (void)pthread_mutex_lock(&module_lock);
    if (strchr(name, '/') != NULL) {
        rc = load(name, NULL, out, err);
    } else {
        *out = find_module(name);
        if (*out == NULL)
            rc = search(name, out, err);
    }
    (void)pthread_mutex_unlock(&module_lock);
    return rc;
}

int kedge_registry_find(const char *name, const struct kedge_registered **out,
                        struct kedge_error *err)
{
    const struct kedge_registered *found = find_builtin(name);
    bool is_path = strchr(name, '/') != NULL;
    int rc = KEDGE_OK;

    if (!is_path && strchr(name, '+') != NULL)
        return kedge_wrap_find(name, out, err);
    if (found == NULL) {
        if (!is_path && !kedge_backend_name_ok(name))
            return kedge_error_set(err, KEDGE_ERR_BACKEND, ENOENT,
                                   "'%.64s' cannot be the name of a backend (a-z, 0-9 and _ only); "
                                   "the path of a module has a '/' in it",
                                   name);
        rc = find_or_load(name, &found, err);
    }
    if (rc != KEDGE_OK)
        return rc;
    if (found == NULL)
        return no_such_backend(name, err);
    if (found->wrapper != NULL)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: this is a wrapper, which stands before a backend: name the "
                               "store %s+URL, or the backend %s+NAME",
                               found->path, found->backend.ops.name, found->backend.ops.name);
    *out = found;
    return KEDGE_OK;
}

int kedge_registry_wrapper(const char *name, const struct kedge_registered **out,
                           struct kedge_error *err)
{
    const struct kedge_registered *found = find_builtin(name);
    int rc = KEDGE_OK;

    if (found == NULL && kedge_backend_name_ok(name))
        rc = find_or_load(name, &found, err);
    if (rc != KEDGE_OK)
        return rc;
    if (found == NULL)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, ENOENT,
                               "there is no wrapper '%.64s': there is no %.64s.so in "
                               "$KEDGE_BACKEND_PATH or %s",
                               name, name, KEDGE_BACKEND_DIR);
    if (found->wrapper == NULL)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "'%s' is a backend; before a '+' or a ',' stands the name of a "
                               "wrapper",
                               name);
    *out = found;
    return KEDGE_OK;
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

/* One file in a module directory: tell EACH what it is, if it is a backend, or broken; or else if
   it is a wrapper. */
static int show_file(const char *path, const char *file, bool wrappers, kedge_backend_fn *each,
                     void *ctx)
{
    const struct kedge_registered *found = NULL;
    struct kedge_error problem = { .code = KEDGE_OK };
    char name[256];
    int rc;

    (void)snprintf(name, sizeof name, "%.*s", (int)(strlen(file) - 3), file);
    (void)pthread_mutex_lock(&module_lock);
    rc = load(path, name, &found, &problem);
    (void)pthread_mutex_unlock(&module_lock);
    if ((rc == KEDGE_OK && found->wrapper != NULL) != wrappers)
        return 0;
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

static int walk_modules(bool wrappers, kedge_backend_fn *each, void *ctx)
{
    struct directories d = directories();
    const char *dir;
    int len;
    int rc = 0;

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
                rc = show_file(path, files[i]->d_name, wrappers, each, ctx);
            }
            free(files[i]);
        }
        free(files);
    }
    return rc;
}

int kedge_backend_each(kedge_backend_fn *each, void *ctx, struct kedge_error *err)
{
    int rc = 0;

    if (each == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument 'each' is NULL");
    (void)pthread_once(&builtin_once, import_builtin);
    for (size_t i = 0; i < BUILTIN_COUNT && rc == 0; i++)
        rc = each(ctx, builtin[i].backend.ops.name, NULL, NULL);
    return rc == 0 ? walk_modules(false, each, ctx) : rc;
}

int kedge_wrapper_each(kedge_backend_fn *each, void *ctx, struct kedge_error *err)
{
    if (each == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument 'each' is NULL");
    return walk_modules(true, each, ctx);
}
