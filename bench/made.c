/* made.c - namespaces and places; see made.h */
#include <config.h>

#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <kedge/backend.h>
#include <kedge/store.h>

#include "bare.h"
#include "harness.h"
#include "made.h"

#define MOST 256

enum kind { NOTHING, NAMESPACE, PLACE, FILES, DIRECTORY };

struct thing {
    enum kind kind;
    const char *store; /* its URL, which every process of ours has at the same address */
    char name[PATH_MAX];
};
static struct list {
    uint64_t tag;      /* nobody else has it */
    atomic_uint names; /* handed out */
    struct thing v[MOST];
} * list;

void made_begin(void)
{
    list = mmap(NULL, sizeof *list, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (list == MAP_FAILED)
        die("out of memory");
    if (getrandom(&list->tag, sizeof list->tag, 0) != (ssize_t)sizeof list->tag)
        die("no random numbers");
}

void made_name(char *to, size_t size, const char *name)
{
    (void)snprintf(to, size, "bench_%s_%08" PRIx64 "_%u", name, list->tag >> 32,
                   atomic_fetch_add(&list->names, 1));
}

static struct thing *find(const char *name)
{
    for (size_t i = 0; i < MOST; i++)
        if (list->v[i].kind != NOTHING && strcmp(list->v[i].name, name) == 0)
            return &list->v[i];
    return NULL;
}

static void add(const char *name, enum kind kind)
{
    size_t i = 0;

    while (i < MOST && list->v[i].kind != NOTHING)
        i++;
    if (i == MOST)
        die("more than %d namespaces at once", MOST);
    (void)snprintf(list->v[i].name, sizeof list->v[i].name, "%s", name);
    list->v[i].store = opt.store;
    list->v[i].kind = kind;
}

void made_namespace(char ns[NS_BYTES], const char *name)
{
    made_name(ns, NS_BYTES, name);
    add(ns, NAMESPACE);
}

void made_place(const char *place)
{
    if (list != NULL)
        add(place, PLACE);
}

void made_closed(const char *place)
{
    struct thing *t = list != NULL ? find(place) : NULL;

    if (t != NULL)
        t->kind = NOTHING;
}

void made_files(const char *path)
{
    if (list != NULL)
        add(path, FILES);
}

void made_directory(const char *path)
{
    add(path, DIRECTORY);
}

/* NULL, or why it stays. */
static const char *drop(const struct thing *t)
{
    static struct kedge_error err;
    const struct kedge_backend_ops *ops;
    struct kedge_open open = {
        .struct_size = sizeof open,
        .ns = { t->name, strlen(t->name) },
        .options = opt.backend_options,
    };
    char *url = NULL;
    int rc = kedge_backend_resolve(t->store, opt.backend, &ops, &url, &err);

    if (rc == KEDGE_OK) {
        open.url = url;
        rc = ops->store_drop(kedge_host_default(), &open, &err);
    }
    free(url);
    if (rc == KEDGE_ERR_SCHEMA_MISSING || rc == KEDGE_NOT_FOUND)
        rc = KEDGE_OK;
    return rc == KEDGE_OK ? NULL : rc < 0 ? err.msg : kedge_status_text(rc);
}

void made_drop(void)
{
    for (size_t i = 0; list != NULL && i < MOST; i++) {
        struct thing *t = &list->v[i];

        if (t->kind == NAMESPACE && drop(t) == NULL)
            t->kind = NOTHING;
    }
}

static void close_place(const struct thing *t)
{
    struct bare bare = { .kind = bare_kind_of(t->store) };

    (void)snprintf(bare.place, sizeof bare.place, "%s", t->name);
    opt.store = t->store;
    if (bare.kind != NULL)
        bare.kind->close(&bare);
}

bool made_remove(void)
{
    bool all = true;

    /* A directory was there before what is in it. */
    for (size_t i = MOST; list != NULL && i > 0; i--) {
        struct thing *t = &list->v[i - 1];
        const char *why = t->kind == NAMESPACE ? drop(t) : NULL;

        if (t->kind == PLACE)
            close_place(t);
        else if (t->kind == FILES)
            remove_tree(t->name);
        else if (t->kind == DIRECTORY)
            (void)rmdir(t->name); /* if it has not been used by others */
        if (why != NULL)
            (void)fprintf(stderr, "kedge bench: namespace %s stays: %s\n", t->name, why);
        t->kind = NOTHING;
        all = all && why == NULL;
    }
    return all;
}
