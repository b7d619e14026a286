/*
 * wrap.c - wrappers before backends
 *
 * A wrapper's table knows what it stands before by its handles.  Three operations come before there
 * is one: they get the inner table in open->inner, so each pair needs functions of its own, which
 * is what a slot is: three functions that know a pair by their number.
 *
 * W1  A wrapper and an inner table are one table, made once and kept for ever.
 * W2  A slot's pair is written before anybody can get hold of its functions, and never changed.
 * W3  The pair has no optional operation that the inner table has not.
 */
#include <config.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "wrap.h"

struct pair {
    struct kedge_registered both; /* what is handed out */
    const struct kedge_registered *wrapper;
    const struct kedge_registered *inner;
    struct kedge_backend own; /* the wrapper's table, before a slot was put before it */
    char name[];
};

#define SLOT_COUNT 16

static pthread_mutex_t pairs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pair *pairs[SLOT_COUNT]; /* guarded by pairs_lock, but for W2 */
static size_t n_pairs;

/* OPEN, which may have more or fewer members than ours, with the inner table of PAIR. */
static struct kedge_open with_inner(const struct kedge_open *open, const struct pair *pair)
{
    struct kedge_open with = { .struct_size = 0 };

    memcpy(&with, open, open->struct_size < sizeof with ? open->struct_size : sizeof with);
    with.struct_size = sizeof with;
    with.inner = &pair->inner->backend.ops;
    return with;
}

static int slot_open(const struct pair *pair, const struct kedge_host *host,
                     const struct kedge_open *open, void **store, struct kedge_error *err)
{
    struct kedge_open with = with_inner(open, pair);

    return pair->own.ops.store_open(host, &with, store, err);
}

static int slot_drop(const struct pair *pair, const struct kedge_host *host,
                     const struct kedge_open *open, struct kedge_error *err)
{
    struct kedge_open with = with_inner(open, pair);

    return pair->own.ops.store_drop(host, &with, err);
}

static int slot_script(const struct pair *pair, const struct kedge_host *host,
                       const struct kedge_open *open, struct kedge_script *out,
                       struct kedge_error *err)
{
    struct kedge_open with = with_inner(open, pair);

    return pair->own.ops.schema_script(host, &with, out, err);
}

#define SLOTS(X)                                                                                   \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

#define SLOT_FUNCTIONS(i)                                                                          \
    static int open_##i(const struct kedge_host *host, const struct kedge_open *open,              \
                        void **store, struct kedge_error *err)                                     \
    {                                                                                              \
        return slot_open(pairs[i], host, open, store, err);                                        \
    }                                                                                              \
    static int drop_##i(const struct kedge_host *host, const struct kedge_open *open,              \
                        struct kedge_error *err)                                                   \
    {                                                                                              \
        return slot_drop(pairs[i], host, open, err);                                               \
    }                                                                                              \
    static int script_##i(const struct kedge_host *host, const struct kedge_open *open,            \
                          struct kedge_script *out, struct kedge_error *err)                       \
    {                                                                                              \
        return slot_script(pairs[i], host, open, out, err);                                        \
    }
SLOTS(SLOT_FUNCTIONS)

static const struct {
    int (*open)(const struct kedge_host *host, const struct kedge_open *open, void **store,
                struct kedge_error *err);
    int (*drop)(const struct kedge_host *host, const struct kedge_open *open,
                struct kedge_error *err);
    int (*script)(const struct kedge_host *host, const struct kedge_open *open,
                  struct kedge_script *out, struct kedge_error *err);
} slots[] = {
#define SLOT_ROW(i) { open_##i, drop_##i, script_##i },
    SLOTS(SLOT_ROW)
};
_Static_assert(sizeof slots / sizeof slots[0] == SLOT_COUNT, "SLOTS has another number of them");

/* What the two are together, in slot AT. */
static int join(struct pair *pair, size_t at, struct kedge_error *err)
{
    const struct kedge_backend_ops *inner = &pair->inner->backend.ops;
    const struct kedge_backend_ops *own = pair->wrapper->wrapper(inner);
    struct kedge_backend *both = &pair->both.backend;
    int rc;

    if (own == NULL)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "%s: it refuses to stand before the backend '%s'; it may have been "
                               "built with another release's headers",
                               pair->wrapper->path, inner->name);
    rc = kedge_backend_import_wrapper(&pair->own, own, &pair->inner->backend, pair->name,
                                      pair->wrapper->path, err);
    if (rc != KEDGE_OK)
        return rc;
    *both = pair->own;
    both->ops.limits = &both->limits;
    both->ops.store_open = slots[at].open;
    both->ops.store_drop = slots[at].drop;
    if (kedge_backend_has_script(both))
        both->ops.schema_script = slots[at].script;
    pair->both.path = pair->wrapper->path;
    return KEDGE_OK;
}

/* With pairs_lock held. */
static int make(const char *name, const struct kedge_registered *wrapper,
                const struct kedge_registered *inner, struct pair **out, struct kedge_error *err)
{
    struct pair *pair;
    int rc;

    if (n_pairs == SLOT_COUNT)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "'%.64s' would be one pair of wrapper and backend more than the %d "
                               "that a process can have",
                               name, SLOT_COUNT);
    pair = calloc(1, sizeof *pair + strlen(name) + 1);
    if (pair == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    (void)strcpy(pair->name, name);
    pair->wrapper = wrapper;
    pair->inner = inner;
    rc = join(pair, n_pairs, err);
    if (rc != KEDGE_OK) {
        free(pair);
        return rc;
    }
    pairs[n_pairs++] = pair;
    *out = pair;
    return KEDGE_OK;
}

int kedge_wrap_find(const char *name, const struct kedge_registered **out, struct kedge_error *err)
{
    size_t len = strcspn(name, "+");
    char first[KEDGE_BACKEND_NAME_MAX + 1];
    const struct kedge_registered *wrapper = NULL;
    const struct kedge_registered *inner = NULL;
    struct pair *pair = NULL;
    int rc;

    if (len > KEDGE_BACKEND_NAME_MAX || strlen(name) > KEDGE_REGISTRY_NAME_MAX)
        return kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                               "'%.64s...' is too long to be the name of a backend and its "
                               "wrappers",
                               name);
    memcpy(first, name, len);
    first[len] = '\0';
    rc = kedge_registry_wrapper(first, &wrapper, err);
    if (rc == KEDGE_OK)
        rc = kedge_registry_find(name + len + 1, &inner, err);
    if (rc != KEDGE_OK)
        return rc;
    (void)pthread_mutex_lock(&pairs_lock);
    for (size_t i = 0; i < n_pairs && pair == NULL; i++) {
        if (pairs[i]->wrapper == wrapper && pairs[i]->inner == inner)
            pair = pairs[i];
    }
    if (pair == NULL)
        rc = make(name, wrapper, inner, &pair, err);
    (void)pthread_mutex_unlock(&pairs_lock);
    if (rc == KEDGE_OK)
        *out = &pair->both;
    return rc;
}
