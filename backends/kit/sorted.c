/* sorted.c - see sorted.h: an array, searched by halves */
#include "sorted.h"

#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "rules.h"

#define MAGIC UINT64_C(0x0131656c69666b00) /* also tells the order of bytes */

/* The beginning of a picture; N rows follow. */
struct head {
    uint64_t magic;
    uint64_t n;
};

/* In memory as in a picture. */
struct kit_row {
    uint32_t key_len;
    uint32_t value_len;
    char bytes[]; /* the key, the value */
};

static struct kedge_bytes key_of(const struct kit_row *row)
{
    return (struct kedge_bytes){ row->bytes, row->key_len };
}

static struct kedge_bytes value_of(const struct kit_row *row)
{
    return (struct kedge_bytes){ row->bytes + row->key_len, row->value_len };
}

static size_t size_of(const struct kit_row *row)
{
    return sizeof *row + (size_t)row->key_len + row->value_len;
}

/* The place of the first row whose key is KEY or after it.  true: it is KEY. */
static bool seek(const struct kit_sorted *r, struct kedge_bytes key, size_t *at)
{
    size_t high = r->n;

    for (*at = 0; *at < high;) {
        size_t middle = *at + (high - *at) / 2;

        if (kit_bytes_cmp(key_of(r->row[middle]), key) < 0)
            *at = middle + 1;
        else
            high = middle;
    }
    return *at < r->n && kit_bytes_equal(key_of(r->row[*at]), key);
}

static int insert(struct kit_sorted *r, size_t at, struct kit_row *row)
{
    if (r->n == r->cap) {
        size_t cap = r->cap == 0 ? 64 : r->cap * 2;
        struct kit_row **more = realloc(r->row, cap * sizeof(struct kit_row *));

        if (more == NULL)
            return KEDGE_ERR_NOMEM;
        r->row = more;
        r->cap = cap;
    }
    memmove(r->row + at + 1, r->row + at, (r->n - at) * sizeof(struct kit_row *));
    r->row[at] = row;
    r->n++;
    return KEDGE_OK;
}

int kit_sorted_get(void *rows, struct kedge_bytes key, struct kedge_bytes *value)
{
    const struct kit_sorted *r = rows;
    size_t at;

    if (!seek(r, key, &at))
        return KEDGE_NOT_FOUND;
    *value = value_of(r->row[at]);
    return KEDGE_OK;
}

int kit_sorted_next(void *rows, struct kedge_bytes from, struct kedge_bytes *key,
                    struct kedge_bytes *value)
{
    const struct kit_sorted *r = rows;
    size_t at;

    (void)seek(r, from, &at);
    if (at == r->n)
        return KEDGE_NOT_FOUND;
    *key = key_of(r->row[at]);
    *value = value_of(r->row[at]);
    return KEDGE_OK;
}

int kit_sorted_put(void *rows, struct kedge_bytes key, struct kedge_bytes value)
{
    struct kit_sorted *r = rows;
    struct kit_row *row = malloc(sizeof *row + key.len + value.len);
    size_t at;
    int rc = KEDGE_OK;

    if (row == NULL)
        return KEDGE_ERR_NOMEM;
    row->key_len = (uint32_t)key.len;
    row->value_len = (uint32_t)value.len;
    memcpy(row->bytes, key.data, key.len);
    if (value.len != 0) /* empty bytes may have no address */
        memcpy(row->bytes + key.len, value.data, value.len);
    r->dirty = true;
    if (seek(r, key, &at)) {
        free(r->row[at]);
        r->row[at] = row;
    } else if ((rc = insert(r, at, row)) != KEDGE_OK) {
        free(row);
    }
    return rc;
}

int kit_sorted_del(void *rows, struct kedge_bytes key)
{
    struct kit_sorted *r = rows;
    size_t at;

    if (!seek(r, key, &at))
        return KEDGE_OK;
    r->dirty = true;
    free(r->row[at]);
    r->n--;
    memmove(r->row + at, r->row + at + 1, (r->n - at) * sizeof(struct kit_row *));
    return KEDGE_OK;
}

char *kit_sorted_picture(const struct kit_sorted *r, size_t *len)
{
    struct head head = { MAGIC, r->n };
    char *all, *p;

    *len = sizeof head;
    for (size_t i = 0; i < r->n; i++)
        *len += size_of(r->row[i]);
    all = p = malloc(*len);
    if (all == NULL)
        return NULL;
    p = (char *)memcpy(p, &head, sizeof head) + sizeof head;
    for (size_t i = 0; i < r->n; i++)
        p = (char *)memcpy(p, r->row[i], size_of(r->row[i])) + size_of(r->row[i]);
    return all;
}

int kit_sorted_read(struct kit_sorted *r, const char *p, size_t left)
{
    struct head head = { .magic = 0 };

    if (left >= sizeof head)
        memcpy(&head, p, sizeof head);
    if (head.magic != MAGIC)
        return KEDGE_ERR_CORRUPT;
    p += sizeof head;
    left -= sizeof head;
    while (r->n < head.n) {
        struct kit_row size, *row;
        size_t len;

        if (left < sizeof size)
            return KEDGE_ERR_CORRUPT;
        memcpy(&size, p, sizeof size);
        len = size_of(&size);
        if (size.key_len > KIT_MAP_KEY_MAX || size.value_len > KIT_MAP_VALUE_MAX || left < len)
            return KEDGE_ERR_CORRUPT;
        row = malloc(len);
        if (row == NULL || insert(r, r->n, memcpy(row, p, len)) != KEDGE_OK) {
            free(row);
            return KEDGE_ERR_NOMEM;
        }
        p += len;
        left -= len;
    }
    return KEDGE_OK;
}

void kit_sorted_clear(struct kit_sorted *r)
{
    while (r->n > 0)
        free(r->row[--r->n]);
    free(r->row);
    *r = (struct kit_sorted){ .n = 0 };
}
