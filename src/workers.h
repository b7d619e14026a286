/* workers.h - a lease as the worker behind it */
#ifndef KEDGE_SRC_WORKERS_H
#define KEDGE_SRC_WORKERS_H

#include <kedge/backend.h>

/* enum kedge_worker_state.  A process that is not there does not come back, lapsed or not. */
uint32_t kedge_lease_worker_state(const struct kedge_lease *lease);

#endif
