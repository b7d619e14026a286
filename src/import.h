/* import.h - a backend's own table, made safe to use */
#ifndef KEDGE_SRC_IMPORT_H
#define KEDGE_SRC_IMPORT_H

#include <stdbool.h>

#include <kedge/backend.h>

/* A backend as the library sees it: tables of our size, no operation NULL. */
struct kedge_backend {
    struct kedge_backend_ops ops; /* ops.limits points to the member below */
    struct kedge_limits limits;
};

/* Longest name of a backend. */
#define KEDGE_BACKEND_NAME_MAX 32

/* Is NAME what a backend may be called, [a-z][a-z0-9_]*? */
bool kedge_backend_name_ok(const char *name);

/*
 * Check OPS, which came from ORIGIN (a path, or "built in"), and copy it.  Optional operations
 * that are missing become stubs that answer ERR_UNSUPPORTED, so that nobody has to test for NULL.
 * OK or ERR_BACKEND, with one sentence that names ORIGIN and the member; BE is then undefined.
 */
int kedge_backend_import(struct kedge_backend *be, const struct kedge_backend_ops *ops,
                         const char *origin, struct kedge_error *err);

/*
 * The same of the table that a wrapper, which came from ORIGIN, answered for INNER; together they
 * are called NAME, which is kept.  What INNER lacks is lacking here as well.
 */
int kedge_backend_import_wrapper(struct kedge_backend *be, const struct kedge_backend_ops *ops,
                                 const struct kedge_backend *inner, const char *name,
                                 const char *origin, struct kedge_error *err);

/* Are the optional operations there, rather than stubs? */
bool kedge_backend_has_verify(const struct kedge_backend *be);
bool kedge_backend_has_wait(const struct kedge_backend *be); /* and notify */
bool kedge_backend_has_script(const struct kedge_backend *be);

#endif
