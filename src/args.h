/* args.h - structures and timeouts that an application hands in */
#ifndef KEDGE_SRC_ARGS_H
#define KEDGE_SRC_ARGS_H

#include <kedge/backend.h>

/*
 * Copy the SIZE bytes of FROM that this library knows to TO.  An application that was compiled
 * against newer headers may ask for more: what it left at zero there is no request.  GIVEN is
 * FROM's struct_size; NAME and INIT are for messages.
 */
int kedge_args_import(void *to, size_t size, const void *from, size_t given, const char *name,
                      const char *init, struct kedge_error *err);

/* The same of a structure that has grown since its first release, when it had FIRST bytes: what an
   older application does not know stays in TO as it is. */
int kedge_args_import_grown(void *to, size_t size, size_t first, const void *from, size_t given,
                            const char *name, const char *init, struct kedge_error *err);

/* The other way: to TO, which has room for as much as its first member, struct_size, says, from
   FROM of SIZE bytes.  The struct_size of TO is what was written then. */
void kedge_args_export(void *to, const void *from, size_t size);

int kedge_args_timeout(int64_t timeout_us, struct kedge_error *err);

/* An id or a name: 1 .. limits.id_max bytes.  WHAT it is, for messages: "run's id". */
int kedge_args_name(const struct kedge_backend_ops *ops, struct kedge_bytes name, const char *what,
                    struct kedge_error *err);
int kedge_args_id(const struct kedge_backend_ops *ops, struct kedge_bytes id,
                  struct kedge_error *err);

/* "argument 'NAME' is NULL" */
static inline int kedge_args_null(const char *name, struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument '%s' is NULL", name);
}

/* Unique, not secret: the next of a sequence that *SEED, once random, stands for. */
void kedge_random_id(uint64_t *seed, struct kedge_id128 *id);

/*
 * The request id of a commit tells who sends it: its first 8 bytes are those of the worker's LEASE,
 * or zeros when it is no worker (LEASE zeros), which no lease begins with.  The rest is the next of
 * the sequence that *SEED stands for.
 */
void kedge_request_id(const struct kedge_id128 *lease, uint64_t *seed, struct kedge_id128 *id);
#define KEDGE_WRITER_ID 8

/* For one who is no worker, out of nothing.  ERR_UNAVAILABLE: no randomness. */
int kedge_request_id_make(struct kedge_id128 *id, struct kedge_error *err);

/* Not to be guessed.  ERR_UNAVAILABLE: the system has none. */
int kedge_random_bytes(void *to, size_t size, struct kedge_error *err);

#endif
