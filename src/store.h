/* store.h - stores, inside the library */
#ifndef KEDGE_SRC_STORE_H
#define KEDGE_SRC_STORE_H

#include <kedge/store.h>

#include "registry.h"

/*
 * A store whose operations are those of BACKEND on HANDLE, and in all else like LIKE: URL,
 * namespace, host.  On KEDGE_OK the handle is the store's: closing it calls BACKEND's store_close,
 * which may free BACKEND too.
 */
int kedge_store_wrap(const struct kedge_registered *backend, void *handle,
                     const struct kedge_store *like, struct kedge_store **store,
                     struct kedge_error *err);

#endif
