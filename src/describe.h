/* describe.h - numbers and bits of a backend as facts for people; the names are in store.h */
#ifndef KEDGE_SRC_DESCRIBE_H
#define KEDGE_SRC_DESCRIBE_H

#include <kedge/backend.h>
#include <kedge/store.h>

/* Everything in INFO: what store.h promises of it first, then the backend's own facts. */
void kedge_describe_info(const struct kedge_info *info, kedge_fact_fn *each, void *ctx);

#endif
