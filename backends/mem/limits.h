/* limits.h - of a store in memory, also when another process serves it (backends/shared) */
#ifndef KEDGE_MEM_LIMITS_H
#define KEDGE_MEM_LIMITS_H

#include <kedge/backend.h>

#define MEM_LIMITS                                                                                 \
    {                                                                                              \
        .struct_size = sizeof(struct kedge_limits), .id_max = 1024, .value_max = 16u << 20,        \
        .cell_max = 64u << 10, .batch_items = 256, .batch_bytes = 1u << 20,                        \
        .commit_changes = 1000,                                                                    \
        .commit_bytes = 32u << 20, /* a value of full size, and the names around it */             \
            .page_max = 1000, .ttl_min_us = 1000, .ttl_max_us = INT64_C(366) * 86400 * 1000000,    \
    }

#endif
