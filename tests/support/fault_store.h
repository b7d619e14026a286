/* fault_store.h - a handle on an open store whose calls go through a table of the test's own */
#ifndef KEDGE_TESTS_FAULT_STORE_H
#define KEDGE_TESTS_FAULT_STORE_H

#include <kedge/backend.h>
#include <kedge/store.h>

/*
 * OPS is fault_wrap() of BELOW's table, or a copy of that with some calls replaced.  Closing the
 * handle leaves BELOW open.  One at a time in a process.  NULL: see ERR.
 */
struct kedge_store *fault_store(struct kedge_store *below, const struct kedge_backend_ops *ops,
                                struct kedge_error *err);

#endif
