/* registry.h - which backends there are */
#ifndef KEDGE_SRC_REGISTRY_H
#define KEDGE_SRC_REGISTRY_H

#include "import.h"

/* A backend that was found usable, or a wrapper.  Lives as long as the process. */
struct kedge_registered {
    struct kedge_registered *next; /* modules only */
    char *path;                    /* NULL: built in */
    void *handle;
    kedge_wrapper_entry_fn *wrapper; /* NULL: a backend; else backend.ops.name is all it has */
    char *file;                      /* a wrapper's name */
    struct kedge_backend backend;
};

/* Longest name of a backend with its wrappers, each with a '+'. */
#define KEDGE_REGISTRY_NAME_MAX 255

/*
 * The backend called NAME, or (a '/' in it) the module at that path; with wrappers in front,
 * "trace+fault+lmdb", the same table each time.  OK, ERR_NOMEM or
 * ERR_BACKEND; then err->sys_errno is ENOENT when there is no such thing, 0 when it is unusable.
 * May be called by any thread.
 */
int kedge_registry_find(const char *name, const struct kedge_registered **out,
                        struct kedge_error *err);

/* The wrapper called NAME; as kedge_registry_find(). */
int kedge_registry_wrapper(const char *name, const struct kedge_registered **out,
                           struct kedge_error *err);

/*
 * The name of what the scheme of URL stands for: of a backend, with those of the wrappers before
 * it.  Its length, or 0: it is too long to be one.  *BASE: what comes behind the wrappers.  Loads
 * nothing but what may be a wrapper.
 */
size_t kedge_registry_scheme(const char *url, char name[KEDGE_REGISTRY_NAME_MAX + 1],
                             const char **base);

#endif
