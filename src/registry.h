/* registry.h - which backends there are */
#ifndef KEDGE_SRC_REGISTRY_H
#define KEDGE_SRC_REGISTRY_H

#include "import.h"

/* A backend that was found usable.  Lives as long as the process. */
struct kedge_registered {
    struct kedge_registered *next; /* modules only */
    char *path;                    /* NULL: built in */
    void *handle;
    struct kedge_backend backend;
};

/*
 * The backend called NAME, or (a '/' in it) the module at that path.  OK, ERR_NOMEM or
 * ERR_BACKEND; then err->sys_errno is ENOENT when there is no such thing, 0 when it is unusable.
 * May be called by any thread.
 */
int kedge_registry_find(const char *name, const struct kedge_registered **out,
                        struct kedge_error *err);

/*
 * The name of the backend that the scheme of URL, which has one, stands for; loads nothing.  Its
 * length, or 0: it is too long to be one.
 */
size_t kedge_registry_scheme(const char *url, char name[KEDGE_BACKEND_NAME_MAX + 1]);

#endif
