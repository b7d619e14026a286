/* args.c - structures and timeouts that an application hands in */
#include <config.h>

#include <errno.h>
#include <sys/random.h>

#include <kedge/version.h>

#include "args.h"

int kedge_args_import(void *to, size_t size, const void *from, size_t given, const char *name,
                      const char *init, struct kedge_error *err)
{
    return kedge_args_import_grown(to, size, size, from, given, name, init, err);
}

int kedge_args_import_grown(void *to, size_t size, size_t first, const void *from, size_t given,
                            const char *name, const char *init, struct kedge_error *err)
{
    if (given < first)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "%s.struct_size is %zu; start from %s",
                               name, given, init);
    for (size_t i = size; i < given; i++) {
        if (((const unsigned char *)from)[i] != 0)
            return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                                   "%s has members set that this library, version %s, does not "
                                   "know",
                                   name, KEDGE_VERSION);
    }
    memcpy(to, from, given < size ? given : size);
    return KEDGE_OK;
}

void kedge_args_export(void *to, const void *from, size_t size)
{
    size_t room;

    memcpy(&room, to, sizeof room);
    if (room > size)
        room = size;
    memcpy(to, from, room);
    if (room >= sizeof room)
        memcpy(to, &room, sizeof room);
}

int kedge_args_timeout(int64_t timeout_us, struct kedge_error *err)
{
    if (timeout_us <= 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "timeout_us is not positive");
    return KEDGE_OK;
}

int kedge_args_name(const struct kedge_backend_ops *ops, struct kedge_bytes name, const char *what,
                    struct kedge_error *err)
{
    if (name.len == 0 || name.data == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the %s is empty", what);
    if (name.len > ops->limits->id_max)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "the %s has %zu bytes, more than the %llu that '%s' allows", what,
                               name.len, (unsigned long long)ops->limits->id_max, ops->name);
    return KEDGE_OK;
}

int kedge_args_id(const struct kedge_backend_ops *ops, struct kedge_bytes id,
                  struct kedge_error *err)
{
    return kedge_args_name(ops, id, "run's id", err);
}

/* splitmix64 */
static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void kedge_random_id(uint64_t *seed, struct kedge_id128 *id)
{
    /* Its first half is never zero: see kedge_request_id(). */
    uint64_t halves[2] = { next_random(seed) | 1, next_random(seed) };

    memcpy(id->b, halves, sizeof id->b);
}

void kedge_request_id(const struct kedge_id128 *lease, uint64_t *seed, struct kedge_id128 *id)
{
    uint64_t random = next_random(seed);

    if (random == 0) /* an id of zeros is none */
        random = 1;
    memcpy(id->b, lease->b, KEDGE_WRITER_ID);
    memcpy(id->b + KEDGE_WRITER_ID, &random, sizeof random);
}

int kedge_request_id_make(struct kedge_id128 *id, struct kedge_error *err)
{
    static const struct kedge_id128 nobody;
    uint64_t seed;
    int rc = kedge_random_bytes(&seed, sizeof seed, err);

    if (rc == KEDGE_OK)
        kedge_request_id(&nobody, &seed, id);
    return rc;
}

int kedge_random_bytes(void *to, size_t size, struct kedge_error *err)
{
    unsigned char *at = to;

    while (size > 0) {
        ssize_t n = getrandom(at, size, 0);

        if (n < 0 && errno != EINTR)
            return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, errno, "no randomness: %s",
                                   strerror(errno));
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
    return KEDGE_OK;
}
