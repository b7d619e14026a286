/*
 * sorted.h - rows in memory, in the order of their keys
 *
 * For a store that reads all it has, changes it and writes all of it anew.  kit_sorted_get, next,
 * put and del are those of a struct kit_map (map.h) whose transaction is a struct kit_sorted.
 *
 *   I1  Keys are at most KIT_MAP_KEY_MAX bytes, values KIT_MAP_VALUE_MAX; each key is there once.
 *   I2  A picture is the same on all machines that have the same order of bytes, and says which.
 */
#ifndef KEDGE_KIT_SORTED_H
#define KEDGE_KIT_SORTED_H

#include <stdbool.h>

#include <kedge/backend.h>

struct kit_row;

/* Zeroed: none. */
struct kit_sorted {
    struct kit_row **row;
    size_t n;
    size_t cap;
    bool dirty; /* they are not what was read */
};

int kit_sorted_get(void *rows, struct kedge_bytes key, struct kedge_bytes *value);
int kit_sorted_next(void *rows, struct kedge_bytes from, struct kedge_bytes *key,
                    struct kedge_bytes *value);
int kit_sorted_put(void *rows, struct kedge_bytes key, struct kedge_bytes value);
int kit_sorted_del(void *rows, struct kedge_bytes key);

/* All of them as one piece, to be freed; NULL: no memory. */
char *kit_sorted_picture(const struct kit_sorted *rows, size_t *len);
/*
 * The rows of a picture, where there were none.  OK, ERR_NOMEM, or ERR_CORRUPT: it is cut off, or
 * none of ours.  After a failure some are there: kit_sorted_clear.
 */
int kit_sorted_read(struct kit_sorted *rows, const char *picture, size_t len);
/* None are left, and no memory is held. */
void kit_sorted_clear(struct kit_sorted *rows);

#endif /* KEDGE_KIT_SORTED_H */
