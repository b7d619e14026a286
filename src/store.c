/* store.c - the public face of one open store */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kedge/backend.h>
#include <kedge/store.h>

#include "../backends/kit/url.h"
#include "describe.h"
#include "kassert.h"
#include "registry.h"
#include "session.h"
#include "store.h"

#define STORE_MAGIC   UINT32_C(0x6b656467)
#define DEFAULT_SPACE "default"
#define FLAGS_KNOWN   (KEDGE_STORE_CREATE | KEDGE_STORE_MIGRATE)

struct kedge_store {
    uint32_t magic;
    const struct kedge_registered *backend;
    const struct kedge_host *host;
    void *handle;
    struct kedge_sessions *sessions;
    char *ns;
    char url[KEDGE_URL_MASKED_MAX];
    char program[KEDGE_PROGRAM_ROOM];
};

/*
 * An application that was compiled against newer headers may ask for what this library does not
 * know.  What it left at zero is no request.
 */
static int import_options(struct kedge_store_options *to, const struct kedge_store_options *from,
                          struct kedge_error *err)
{
    *to = (struct kedge_store_options)KEDGE_STORE_OPTIONS_INIT;
    if (from == NULL)
        return KEDGE_OK;
    if (from->struct_size < offsetof(struct kedge_store_options, backend_options))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "options.struct_size is %zu; start from KEDGE_STORE_OPTIONS_INIT",
                               from->struct_size);
    for (size_t i = sizeof *to; i < from->struct_size; i++) {
        if (((const unsigned char *)from)[i] != 0)
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                   "options has members set that this library, version %s, does "
                                   "not know",
                                   KEDGE_VERSION);
    }
    memcpy(to, from, from->struct_size < sizeof *to ? from->struct_size : sizeof *to);
    to->struct_size = sizeof *to;
    if ((to->flags & ~FLAGS_KNOWN) != 0 || to->reserved != 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "options.flags is 0x%x; this library, version %s, knows 0x%x only",
                               (unsigned)to->flags, KEDGE_VERSION, (unsigned)FLAGS_KNOWN);
    if (to->ns != NULL && to->ns[0] == '\0')
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "options.ns is empty");
    return KEDGE_OK;
}

static int check_host(const struct kedge_host *host, struct kedge_error *err)
{
    if (host->abi != KEDGE_BACKEND_ABI || host->struct_size < sizeof *host)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "options.host has ABI %u and %u bytes, not %u and %zu",
                               (unsigned)host->abi, (unsigned)host->struct_size, KEDGE_BACKEND_ABI,
                               sizeof *host);
    if (host->clock_us == NULL || host->log == NULL || host->alloc == NULL || host->release == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "options.host lacks a function");
    return KEDGE_OK;
}

/* A path is not a URL yet: what means something in one is encoded.  NULL: out of memory. */
static char *path_to_url(const char *backend, const char *path)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t scheme = strlen(backend);
    char *url = malloc(scheme + 3 + 3 * strlen(path) + 1);
    char *to = url;

    if (url == NULL)
        return NULL;
    memcpy(to, backend, scheme);
    to += scheme;
    *to++ = ':';
    if (path[0] == '/') { /* an empty authority, as in file:///path */
        *to++ = '/';
        *to++ = '/';
    }
    for (; *path != '\0'; path++) {
        unsigned char c = (unsigned char)*path;

        if (c <= ' ' || c >= 127 || c == '%' || c == '?' || c == '#') {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        } else {
            *to++ = (char)c;
        }
    }
    *to = '\0';
    return url;
}

/* Is BACKEND what stands behind all wrappers in NAME? */
static bool is_last(const char *name, const char *backend)
{
    const char *plus = strrchr(name, '+');

    return strcmp(plus != NULL ? plus + 1 : name, backend) == 0;
}

/*
 * Which backend, and the URL that it gets.  *MADE is what *URL points to if that had to be made;
 * the caller frees it in any case.
 */
static int choose_backend(const struct kedge_registered **backend, const char **url, char **made,
                          const char *wanted, struct kedge_error *err)
{
    char masked[KEDGE_URL_MASKED_MAX];
    char name[KEDGE_REGISTRY_NAME_MAX + 1];
    struct kedge_url parts;
    const char *text = *url;
    const char *base = text;
    size_t len = kedge_registry_scheme(text, name, &base);
    int rc;

    if (kedge_url_scheme_len(base) == 0) {
        if (base != text || (text[0] != '/' && text[0] != '.'))
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                   "'%s' is not a store; name it by a URL like mem: or "
                                   "lmdb:///path%s",
                                   kedge_url_mask(text, masked),
                                   strcspn(text, ",+") < strcspn(text, ":/")
                                       ? ", with wrappers before it as in count+URL or "
                                         "fault,op=commit,n=1+URL"
                                       : ", or by a path that begins with / or .");
        rc = kedge_registry_find(wanted != NULL ? wanted : KEDGE_DEFAULT_BACKEND, backend, err);
        if (rc != KEDGE_OK)
            return rc;
        *made = path_to_url((*backend)->backend.ops.name, text);
        *url = *made;
        return *made != NULL ? KEDGE_OK : kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    if (len == 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "the scheme of '%s' is too long to be the name of a backend",
                               kedge_url_mask(text, masked));
    rc = kedge_registry_find(wanted != NULL ? wanted : name, backend, err);
    /* It may be named without the wrappers before it. */
    if (rc == KEDGE_OK && base != text && is_last(name, (*backend)->backend.ops.name))
        rc = kedge_registry_find(name, backend, err);
    if (rc == KEDGE_OK && strcmp((*backend)->backend.ops.name, name) != 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "the store '%s' is for the backend '%s', and '%s' was asked for",
                             kedge_url_mask(text, masked), name, (*backend)->backend.ops.name);
    /* What is wrong with a URL in general is told in one voice. */
    return rc == KEDGE_OK ? kedge_url_split(base, &parts, err) : rc;
}

int kedge_backend_resolve(const char *url, const char *backend,
                          const struct kedge_backend_ops **ops, char **place,
                          struct kedge_error *err)
{
    const struct kedge_registered *found = NULL;
    const char *means = url;
    char *made = NULL;
    int rc;

    if (url == NULL || ops == NULL || place == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument '%s' is NULL",
                               url == NULL   ? "url"
                               : ops == NULL ? "ops"
                                             : "place");
    rc = choose_backend(&found, &means, &made, backend, err);
    if (rc == KEDGE_OK && made == NULL) {
        made = strdup(url);
        if (made == NULL)
            rc = kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    if (rc != KEDGE_OK) {
        free(made);
        return rc;
    }
    *ops = &found->backend.ops;
    *place = made;
    return KEDGE_OK;
}

static void store_free(struct kedge_store *s)
{
    const struct kedge_host *host = s->host;

    s->magic = 0;
    kedge_sessions_free(s->sessions, s->backend != NULL ? &s->backend->backend.ops : NULL);
    host->release(host->ctx, s->ns);
    host->release(host->ctx, s);
}

/* As a store does not survive a fork, this is who uses it. */
static void name_program(char to[KEDGE_PROGRAM_ROOM])
{
    char host[65] = "?";

    if (gethostname(host, sizeof host - 1) != 0)
        (void)strcpy(host, "?");
    (void)snprintf(to, KEDGE_PROGRAM_ROOM, "%s:%ld", host, (long)getpid());
}

static int store_new(const struct kedge_host *host, const char *ns, struct kedge_store **store,
                     struct kedge_error *err)
{
    struct kedge_store *s = host->alloc(host->ctx, sizeof *s);

    if (s == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    memset(s, 0, sizeof *s);
    s->magic = STORE_MAGIC;
    s->host = host;
    name_program(s->program);
    s->ns = host->alloc(host->ctx, strlen(ns) + 1);
    if (s->ns != NULL)
        memcpy(s->ns, ns, strlen(ns) + 1);
    s->sessions = kedge_sessions_new(host);
    if (s->ns == NULL || s->sessions == NULL) {
        store_free(s);
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    *store = s;
    return KEDGE_OK;
}

int kedge_store_wrap(const struct kedge_registered *backend, void *handle,
                     const struct kedge_store *like, struct kedge_store **store,
                     struct kedge_error *err)
{
    struct kedge_store *s;
    int rc = store_new(like->host, like->ns, &s, err);

    if (rc != KEDGE_OK)
        return rc;
    s->backend = backend;
    s->handle = handle;
    memcpy(s->url, like->url, sizeof s->url);
    *store = s;
    return KEDGE_OK;
}

/* What the backend is asked for, of S, whose URL and backend are chosen. */
static struct kedge_open import_open(const struct kedge_store *s, const char *url,
                                     const struct kedge_store_options *opt)
{
    struct kedge_open open = { .struct_size = sizeof open };

    open.flags = ((opt->flags & KEDGE_STORE_CREATE) != 0 ? KEDGE_OPEN_CREATE : 0) |
                 ((opt->flags & KEDGE_STORE_MIGRATE) != 0 ? KEDGE_OPEN_MIGRATE : 0);
    open.url = url;
    open.ns = kedge_text(s->ns);
    open.options = opt->backend_options;
    return open;
}

/*
 * All that comes before the backend is asked for anything: a store without a handle.  *URL becomes
 * what the backend gets; *MADE as in choose_backend.
 */
static int prepare(const char **url, char **made, const struct kedge_store_options *opt,
                   struct kedge_store **store, struct kedge_error *err)
{
    struct kedge_store *s = NULL;
    int rc = store_new(opt->host != NULL ? opt->host : kedge_host_default(),
                       opt->ns != NULL ? opt->ns : DEFAULT_SPACE, &s, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = choose_backend(&s->backend, url, made, opt->backend, err);
    if (rc == KEDGE_OK) {
        KEDGE_ASSERT(s->backend != NULL);
        (void)kedge_url_mask(*url, s->url);
        if (strlen(s->ns) > s->backend->backend.limits.id_max)
            rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                 "the namespace is longer than the %llu bytes that '%s' allows",
                                 (unsigned long long)s->backend->backend.limits.id_max,
                                 s->backend->backend.ops.name);
    }
    if (rc != KEDGE_OK) {
        store_free(s);
        return rc;
    }
    *store = s;
    return KEDGE_OK;
}

int kedge_store_open(const char *url, const struct kedge_store_options *options,
                     struct kedge_store **store, struct kedge_error *err)
{
    struct kedge_store_options opt;
    struct kedge_store *s = NULL;
    struct kedge_open open;
    char *made = NULL;
    int rc;

    if (url == NULL || store == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument '%s' is NULL",
                               url == NULL ? "url" : "store");
    rc = import_options(&opt, options, err);
    if (rc == KEDGE_OK && opt.host != NULL)
        rc = check_host(opt.host, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = prepare(&url, &made, &opt, &s, err);
    if (rc == KEDGE_OK) {
        open = import_open(s, url, &opt);
        rc = s->backend->backend.ops.store_open(s->host, &open, &s->handle, err);
        if (rc == KEDGE_OK)
            *store = s;
        else
            store_free(s);
    }
    free(made);
    return rc;
}

int kedge_store_script(const char *url, const struct kedge_store_options *options,
                       kedge_script_fn *print, void *ctx, struct kedge_error *err)
{
    struct kedge_script script = { .mem = NULL };
    struct kedge_store_options opt;
    struct kedge_store *s = NULL;
    struct kedge_open open;
    char *made = NULL;
    int rc;

    if (url == NULL || print == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument '%s' is NULL",
                               url == NULL ? "url" : "print");
    rc = import_options(&opt, options, err);
    if (rc == KEDGE_OK && opt.host != NULL)
        rc = check_host(opt.host, err);
    if (rc == KEDGE_OK && opt.flags != KEDGE_STORE_CREATE && opt.flags != KEDGE_STORE_MIGRATE)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "options.flags is neither KEDGE_STORE_CREATE nor KEDGE_STORE_MIGRATE");
    if (rc != KEDGE_OK)
        return rc;
    rc = prepare(&url, &made, &opt, &s, err);
    if (rc != KEDGE_OK)
        goto out;
    if (!kedge_backend_has_script(&s->backend->backend)) {
        rc = kedge_error_set(err, KEDGE_ERR_UNSUPPORTED, 0,
                             "stores of the backend '%s' are not set up by statements that could "
                             "be printed, but by kedge itself",
                             s->backend->backend.ops.name);
        goto out;
    }
    open = import_open(s, url, &opt);
    rc = s->backend->backend.ops.schema_script(s->host, &open, &script, err);
    if (rc == KEDGE_OK) {
        print(ctx, script.text, script.from, script.to);
        kedge_mem_free(s->host, script.mem);
    }
out:
    if (s != NULL)
        store_free(s);
    free(made);
    return rc;
}

void kedge_store_close(struct kedge_store *store)
{
    if (store == NULL)
        return;
    KEDGE_ASSERT(store->magic == STORE_MAGIC);
    kedge_sessions_free(store->sessions, &store->backend->backend.ops);
    store->sessions = NULL;
    store->backend->backend.ops.store_close(store->handle);
    store->backend = NULL; /* a wrapper's table goes with its handle */
    store_free(store);
}

const char *kedge_store_url(const struct kedge_store *store)
{
    KEDGE_ASSERT(store->magic == STORE_MAGIC);
    return store->url;
}

const char *kedge_store_backend(const struct kedge_store *store)
{
    KEDGE_ASSERT(store->magic == STORE_MAGIC);
    return store->backend->backend.ops.name;
}

const struct kedge_backend_ops *kedge_store_ops(const struct kedge_store *store)
{
    KEDGE_ASSERT(store->magic == STORE_MAGIC);
    return &store->backend->backend.ops;
}

void *kedge_store_handle(struct kedge_store *store)
{
    KEDGE_ASSERT(store->magic == STORE_MAGIC);
    return store->handle;
}

const char *kedge_store_program(const struct kedge_store *store)
{
    KEDGE_ASSERT(store->magic == STORE_MAGIC);
    return store->program;
}

struct kedge_sessions *kedge_store_sessions(struct kedge_store *store)
{
    KEDGE_ASSERT(store->magic == STORE_MAGIC);
    return store->sessions;
}

const struct kedge_host *kedge_store_host(const struct kedge_store *store)
{
    KEDGE_ASSERT(store->magic == STORE_MAGIC);
    return store->host;
}

/* What both need before they may ask: a session, in time. */
static int begin(struct kedge_store *store, const char *to, const void *argument,
                 int64_t timeout_us, void **session, struct kedge_error *err)
{
    if (store == NULL || argument == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument '%s' is NULL",
                               store == NULL ? "store" : to);
    if (timeout_us <= 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "timeout_us is not positive");
    KEDGE_ASSERT(store->magic == STORE_MAGIC);
    return kedge_session_get_timed(store, session, timeout_us, err);
}

int kedge_store_now(struct kedge_store *store, int64_t *us, int64_t timeout_us,
                    struct kedge_error *err)
{
    struct kedge_time time = { 0 };
    void *session;
    int rc = begin(store, "us", us, timeout_us, &session, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = store->backend->backend.ops.now(session, &time, timeout_us, err);
    kedge_session_put(store, session);
    if (rc == KEDGE_OK)
        *us = time.wall;
    return rc;
}

int kedge_store_info(struct kedge_store *store, int64_t timeout_us, kedge_fact_fn *each, void *ctx,
                     struct kedge_error *err)
{
    const struct kedge_backend_ops *ops;
    struct kedge_info info = { .mem = NULL };
    void *session;
    int rc = begin(store, "each", each != NULL ? store : NULL, timeout_us, &session, err);

    if (rc != KEDGE_OK)
        return rc;
    ops = &store->backend->backend.ops;
    rc = ops->info(session, &info, timeout_us, err);
    kedge_session_put(store, session);
    if (rc != KEDGE_OK)
        return rc;
    each(ctx, "url", store->url);
    each(ctx, "backend", ops->name);
    each(ctx, "namespace", store->ns);
    kedge_describe_info(&info, each, ctx);
    kedge_mem_free(store->host, info.mem);
    return KEDGE_OK;
}
