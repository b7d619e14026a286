/*
 * codec.h - heads, leases and the rest as values of a store of bytes: field tags, checksums
 *
 *   I1  value = format byte, fields, checksum (8).  A field is tag (1), length (u32), bytes, all
 *       little-endian.
 *   I2  A reader keeps the fields it does not know and writes them back; a tag with KIT_MUST set
 *       that it does not know makes the record unreadable for it (ERR_CORRUPT, and the bytes stay).
 *   I3  A block of numbers may grow at its end; a shorter one reads as zeros there.
 */
#ifndef KEDGE_KIT_CODEC_H
#define KEDGE_KIT_CODEC_H

#include "rules.h"

#define KIT_MUST  0x80u
#define KIT_CHUNK ((size_t)256 * 1024) /* larger values are cut, where a store wants that */

/* A head with what only its store knows of it. */
struct kit_run_row {
    struct kit_run k;
    uint32_t queue_no; /* numbers that a store gives to names; 0 where it has none */
    uint32_t reactor_no;
    struct kedge_bytes unknown; /* fields of a newer writer, kept */
};

struct kit_lease_row {
    struct kit_lease k;
    struct kedge_bytes unknown;
};

/* Encoders: bytes needed, and the writing itself into that much room. */
size_t kit_run_size(const struct kit_run_row *run);
void kit_run_encode(const struct kit_run_row *run, void *out);
/* What is decoded points into `value'.  false: not understood. */
bool kit_run_decode(uint64_t inc, struct kedge_bytes value, struct kit_run_row *run);
/* What can be told of a head that is not understood: names only, and only whole ones. */
void kit_run_salvage(struct kedge_bytes value, struct kit_run_row *run);

size_t kit_lease_size(const struct kit_lease_row *lease);
void kit_lease_encode(const struct kit_lease_row *lease, void *out);
/* Its serves are allocated in MEM. */
int kit_lease_decode(const struct kedge_host *host, struct kedge_mem **mem,
                     const struct kedge_id128 *id, struct kedge_bytes value,
                     struct kit_lease_row *lease);

size_t kit_cell_size(const struct kit_cell *cell);
void kit_cell_encode(const struct kit_cell *cell, void *out);
bool kit_cell_decode(struct kedge_bytes value, struct kit_cell *cell);

size_t kit_lock_size(void);
void kit_lock_encode(const struct kit_lock *lock, void *out);
bool kit_lock_decode(struct kedge_bytes value, struct kit_lock *lock);

size_t kit_slots_size(void);
void kit_slots_encode(const struct kit_slots *slots, void *out);
bool kit_slots_decode(struct kedge_bytes value, struct kit_slots *slots);

/*
 * Large values (records, snapshots, slots).  The first row has a header (whole length, request,
 * time), later ones are plain; each has its checksum.
 */
struct kit_blob {
    uint64_t total;
    struct kedge_id128 request;
    int64_t time;
};
#define KIT_BLOB_HEAD (1u + 8u + 16u + 8u)
#define KIT_SUM       8u
size_t kit_blob_rows(size_t len);
size_t kit_blob_row_size(size_t len, size_t row);
/* SEED ties the checksum to the key; row 0 .. rows - 1. */
void kit_blob_encode(uint64_t seed, const struct kit_blob *blob, struct kedge_bytes data,
                     size_t row, void *out);
/* Row 0: header and its part of the data. */
bool kit_blob_decode_first(uint64_t seed, struct kedge_bytes value, struct kit_blob *blob,
                           struct kedge_bytes *part);
bool kit_blob_decode_next(uint64_t seed, size_t row, struct kedge_bytes value,
                          struct kedge_bytes *part);

uint64_t kit_seed(uint64_t a, uint64_t b);
uint64_t kit_hash64(struct kedge_bytes in);
void kit_hash128(struct kedge_bytes in, unsigned char out[16]);

#endif
