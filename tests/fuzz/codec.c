/*
 * codec.c - fuzz target: rows as stores keep them
 *
 * The first byte says which kind of row; the rest is the row without its checksum, which is put
 * behind it: no input would have it by chance.  What is understood says the same after it was
 * written and read again.
 */
#include <config.h>

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <kedge/store.h>

#include "../../backends/kit/codec.h"
#include "fuzz.h"

static const struct kedge_host *host;

/* A row as it is read, written, read and written again: the two written ones are equal. */
struct written {
    unsigned char *data;
    size_t size;
};

static struct written room(size_t size)
{
    struct written w = { malloc(size), size };

    MUST(w.data != NULL);
    return w;
}

static struct kedge_bytes bytes_of(const struct written *w)
{
    return (struct kedge_bytes){ w->data, w->size };
}

static void same_and_free(struct written *first, struct written *second)
{
    MUST(first->size == second->size && memcmp(first->data, second->data, first->size) == 0);
    free(first->data);
    free(second->data);
}

/* ------------------------------------------------------------- kinds of rows */

static struct written write_run(const struct kit_run_row *run)
{
    struct written w = room(kit_run_size(run));

    kit_run_encode(run, w.data);
    return w;
}

static void check_run(uint64_t seed, struct kedge_bytes row)
{
    struct kit_run_row run;
    struct written first;
    struct written second;

    memset(&run, 0, sizeof run);
    kit_run_salvage(row, &run);
    if (!kit_run_decode(seed, row, &run))
        return;
    first = write_run(&run);
    MUST(kit_run_decode(seed, bytes_of(&first), &run));
    second = write_run(&run);
    same_and_free(&first, &second);
}

static struct written write_lease(const struct kit_lease_row *lease)
{
    struct written w = room(kit_lease_size(lease));

    kit_lease_encode(lease, w.data);
    return w;
}

static void check_lease(uint64_t seed, struct kedge_bytes row)
{
    struct kedge_id128 id = { { 0 } };
    struct kedge_mem *mem = NULL;
    struct kit_lease_row lease;
    struct written first;
    struct written second;

    for (unsigned i = 0; i < 8; i++)
        id.b[i] = (uint8_t)(seed >> (8 * i));
    if (kit_lease_decode(host, &mem, &id, row, &lease) == KEDGE_OK) {
        first = write_lease(&lease);
        MUST(kit_lease_decode(host, &mem, &id, bytes_of(&first), &lease) == KEDGE_OK);
        second = write_lease(&lease);
        same_and_free(&first, &second);
    }
    kedge_mem_free(host, mem);
}

static void check_cell(struct kedge_bytes row)
{
    struct kit_cell cell;
    struct kit_cell again;
    struct written w;

    if (!kit_cell_decode(row, &cell))
        return;
    w = room(kit_cell_size(&cell));
    kit_cell_encode(&cell, w.data);
    MUST(kit_cell_decode(bytes_of(&w), &again));
    MUST(again.version == cell.version && again.expires == cell.expires);
    MUST(again.value.len == cell.value.len &&
         (cell.value.len == 0 || memcmp(again.value.data, cell.value.data, cell.value.len) == 0));
    free(w.data);
}

static void check_lock(struct kedge_bytes row)
{
    struct kit_lock lock;
    struct kit_lock again;
    struct written w = room(kit_lock_size());

    if (kit_lock_decode(row, &lock)) {
        kit_lock_encode(&lock, w.data);
        MUST(kit_lock_decode(bytes_of(&w), &again) && again.fence == lock.fence);
    }
    free(w.data);
}

static void check_slots(struct kedge_bytes row)
{
    struct kit_slots slots;
    struct kit_slots again;
    struct written w = room(kit_slots_size());

    if (kit_slots_decode(row, &slots)) {
        kit_slots_encode(&slots, w.data);
        MUST(kit_slots_decode(bytes_of(&w), &again) && again.total == slots.total &&
             again.remaining == slots.remaining);
    }
    free(w.data);
}

static void check_blob(uint64_t seed, size_t number, struct kedge_bytes row)
{
    struct kedge_bytes part;
    struct kit_blob blob;
    struct written w;

    if (number > 0) {
        if (kit_blob_decode_next(seed, number, row, &part))
            MUST(part.len == row.len - 1 - KIT_SUM);
        return;
    }
    if (!kit_blob_decode_first(seed, row, &blob, &part))
        return;
    w = room(kit_blob_row_size(part.len, 0));
    kit_blob_encode(seed, &blob, part, 0, w.data);
    MUST(w.size == row.len && memcmp(w.data, row.data, w.size) == 0);
    free(w.data);
}

/* --------------------------------------------------------------------- input */

/* The number by which the row says that it is run so and so, if its numbers come first. */
static uint64_t seed_of(const uint8_t *row, size_t len)
{
    uint64_t seed = 0;

    for (unsigned i = 0; i < 8 && len >= 14; i++)
        seed |= (uint64_t)row[6 + i] << (8 * i);
    return seed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { RUN, LEASE, CELL, LOCK, SLOTS, BLOB, NEXT, KINDS };
    unsigned kind = size > 0 ? data[0] % KINDS : RUN;
    size_t len = size > 0 ? size - 1 : 0;
    uint8_t *row = malloc(len + KIT_SUM);
    uint64_t seed;
    uint64_t sum;

    MUST(row != NULL);
    host = kedge_host_default();
    if (len > 0)
        memcpy(row, data + 1, len);
    seed = kind == CELL || kind == LOCK || kind == SLOTS ? 0 : seed_of(row, len);
    sum = XXH3_64bits_withSeed(row, len,
                               kind == BLOB || kind == NEXT ? kit_seed(seed, kind == NEXT) : seed);
    for (unsigned i = 0; i < KIT_SUM; i++)
        row[len + i] = (uint8_t)(sum >> (8 * i));
    switch (kind) {
    case RUN:
        check_run(seed, (struct kedge_bytes){ row, len + KIT_SUM });
        break;
    case LEASE:
        check_lease(seed, (struct kedge_bytes){ row, len + KIT_SUM });
        break;
    case CELL:
        check_cell((struct kedge_bytes){ row, len + KIT_SUM });
        break;
    case LOCK:
        check_lock((struct kedge_bytes){ row, len + KIT_SUM });
        break;
    case SLOTS:
        check_slots((struct kedge_bytes){ row, len + KIT_SUM });
        break;
    default:
        check_blob(seed, kind == NEXT, (struct kedge_bytes){ row, len + KIT_SUM });
        break;
    }
    free(row);
    return 0;
}
