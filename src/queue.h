/*
 * queue.h - the queues that are paused: one list for the whole store, in one cell
 *
 * Layout of the cell: format (1 byte), number of queues, and for each of them, in the order of
 * their names, name, time, who, why; checksum (4 bytes, as of a record).  Numbers are varints;
 * bytes are their length and themselves.  Once written the cell stays, be the list empty.
 */
#ifndef KEDGE_SRC_QUEUE_H
#define KEDGE_SRC_QUEUE_H

#include <kedge/admin.h>
#include <kedge/backend.h>

#define KEDGE_QUEUES_CELL "kedge.queues.paused"

/* The list as it was read.  Begin with zeros. */
struct kedge_queues {
    struct kedge_mem *mem; /* what `all' and its members hang on */
    struct kedge_queue_info *all;
    size_t n;
    uint64_t version; /* of the cell; 0: there is none */
};

/* ERR_CORRUPT; ERR_SCHEMA_NEW: a newer kedge wrote it; whatever the store answers. */
int kedge_queues_read(const struct kedge_backend_ops *ops, void *session,
                      const struct kedge_host *host, struct kedge_queues *out, int64_t timeout_us,
                      struct kedge_error *err);
void kedge_queues_free(const struct kedge_host *host, struct kedge_queues *queues);

/* NULL: it is not paused. */
const struct kedge_queue_info *kedge_queues_find(const struct kedge_queues *queues,
                                                 struct kedge_bytes name);

#endif
