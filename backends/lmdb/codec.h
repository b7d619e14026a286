/*
 * codec.h - the values of an LMDB store: field tags, checksums
 *
 *   I1  value = format byte, fields, checksum (8).  A field is tag (1), length (u32), bytes, all
 *       little-endian.
 *   I2  A reader keeps the fields it does not know and writes them back; a tag with LM_MUST set
 * that it does not know makes the record unreadable for it (ERR_CORRUPT, and the bytes stay). I3  A
 * block of numbers may grow at its end; a shorter one reads as zeros there.
 */
#ifndef KEDGE_LMDB_CODEC_H
#define KEDGE_LMDB_CODEC_H

#include "../kit/rules.h"
#include "keys.h"

#define LM_MUST 0x80u

/* A head with what only this store knows of it. */
struct lm_run {
    struct kit_run k;
    uint32_t queue_no; /* in `names' */
    uint32_t reactor_no;
    struct kedge_bytes unknown; /* fields of a newer writer, kept */
};

struct lm_lease {
    struct kit_lease k;
    struct kedge_bytes unknown;
};

/* Encoders: bytes needed, and the writing itself into that much room. */
size_t lm_run_size(const struct lm_run *run);
void lm_run_encode(const struct lm_run *run, void *out);
/* What is decoded points into `value'.  false: not understood. */
bool lm_run_decode(uint64_t inc, struct kedge_bytes value, struct lm_run *run);
/* What can be told of a head that is not understood: names only, and only whole ones. */
void lm_run_salvage(struct kedge_bytes value, struct lm_run *run);

size_t lm_lease_size(const struct lm_lease *lease);
void lm_lease_encode(const struct lm_lease *lease, void *out);
/* Its serves are allocated in MEM. */
int lm_lease_decode(const struct kedge_host *host, struct kedge_mem **mem,
                    const struct kedge_id128 *id, struct kedge_bytes value, struct lm_lease *lease);

size_t lm_cell_size(const struct kit_cell *cell);
void lm_cell_encode(const struct kit_cell *cell, void *out);
bool lm_cell_decode(struct kedge_bytes value, struct kit_cell *cell);

size_t lm_lock_size(void);
void lm_lock_encode(const struct kit_lock *lock, void *out);
bool lm_lock_decode(struct kedge_bytes value, struct kit_lock *lock);

size_t lm_slots_size(void);
void lm_slots_encode(const struct kit_slots *slots, void *out);
bool lm_slots_decode(struct kedge_bytes value, struct kit_slots *slots);

/*
 * Large values (records, snapshots, slots).  The first row has a header (whole length, request,
 * time), later ones are plain; each has its checksum.
 */
struct lm_blob {
    uint64_t total;
    struct kedge_id128 request;
    int64_t time;
};
#define LM_BLOB_HEAD (1u + 8u + 16u + 8u)
#define LM_SUM       8u
size_t lm_blob_rows(size_t len);
size_t lm_blob_row_size(size_t len, size_t row);
/* SEED ties the checksum to the key; row 0 .. rows - 1. */
void lm_blob_encode(uint64_t seed, const struct lm_blob *blob, struct kedge_bytes data, size_t row,
                    void *out);
/* Row 0: header and its part of the data. */
bool lm_blob_decode_first(uint64_t seed, struct kedge_bytes value, struct lm_blob *blob,
                          struct kedge_bytes *part);
bool lm_blob_decode_next(uint64_t seed, size_t row, struct kedge_bytes value,
                         struct kedge_bytes *part);

uint64_t lm_seed(uint64_t a, uint64_t b);
uint64_t lm_hash64(struct kedge_bytes in);
void lm_hash128(struct kedge_bytes in, unsigned char out[16]);

#endif
