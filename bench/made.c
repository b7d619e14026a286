/* made.c - namespaces and places; see made.h */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <kedge/backend.h>
#include <kedge/store.h>

#include "bare.h"
#include "harness.h"
#include "made.h"

#define MOST 256

/* Of a store: its URL, which every process of ours has at the same address. */
struct thing {
    const char *store; /* NULL: no thing */
    bool is_place;
    char name[NS_BYTES];
};
static struct list {
    unsigned names; /* handed out */
    struct thing v[MOST];
} * list;

void made_begin(void)
{
    list = mmap(NULL, sizeof *list, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (list == MAP_FAILED)
        die("out of memory");
}

static struct thing *find(const char *name)
{
    for (size_t i = 0; i < MOST; i++)
        if (list->v[i].store != NULL && strcmp(list->v[i].name, name) == 0)
            return &list->v[i];
    return NULL;
}

static void add(const char *name, bool is_place)
{
    size_t i = 0;

    while (i < MOST && list->v[i].store != NULL)
        i++;
    if (i == MOST)
        die("more than %d namespaces at once", MOST);
    (void)snprintf(list->v[i].name, NS_BYTES, "%s", name);
    list->v[i].is_place = is_place;
    list->v[i].store = opt.store;
}

void made_namespace(char ns[NS_BYTES], const char *name)
{
    (void)snprintf(ns, NS_BYTES, "%s_%x_%u", name, (unsigned)bench_pid(), list->names++);
    add(ns, false);
}

void made_place(const char *place)
{
    if (list != NULL)
        add(place, true);
}

void made_closed(const char *place)
{
    struct thing *t = list != NULL ? find(place) : NULL;

    if (t != NULL)
        t->store = NULL;
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

        if (t->store != NULL && !t->is_place && drop(t) == NULL)
            t->store = NULL;
    }
}

bool made_remove(void)
{
    bool all = true;

    for (size_t i = 0; list != NULL && i < MOST; i++) {
        struct thing *t = &list->v[i];
        struct bare bare = { 0 };
        const char *why = NULL;

        if (t->store == NULL)
            continue;
        opt.store = t->store;
        bare.kind = bare_kind_of(t->store);
        (void)snprintf(bare.place, sizeof bare.place, "%s", t->name);
        if (!t->is_place)
            why = drop(t);
        else if (bare.kind != NULL)
            bare.kind->close(&bare);
        t->store = NULL;
        if (why != NULL)
            (void)fprintf(stderr, "namespace %s stays: %s\n", t->name, why);
        all = all && why == NULL;
    }
    return all;
}
