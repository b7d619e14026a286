/*
 * hints.h - is somebody still there behind a lease?
 *
 *   I1  A lease's hint is the number of the connection that keeps it alive, and the server process
 *       that gave that number.  The server drops it when the holder is gone.  Each store handle has
 *       one such connection, for all its leases.
 *   I2  CLIENT LIST, which tells, is refused in scripts: one looks first, and buries by comparing
 *       that the hint is still the registered one.  Without the right to look there is no hint.
 *   I3  Absence is suspicion only.  It counts after it was seen for KIT_HINT_GRACE_US by the
 *       monotonic clock of this process.
 *   I4  A thread watches the connection and has the hints registered anew when it breaks: a
 *       connection that the server closed must not look like a death.
 */
#ifndef KEDGE_REDIS_HINTS_H
#define KEDGE_REDIS_HINTS_H

#include "session.h"

/* NULL: no memory. */
struct rd_hints *rd_hints_new(struct rd_store *store);
void rd_hints_free(struct rd_hints *hints);
/* Before the start: it has one user then. */
struct rd_link *rd_hints_link(struct rd_hints *hints);
int rd_hints_start(struct rd_hints *hints, int64_t deadline, struct kedge_error *err);

/*
 * Give a sign of life of LEASE: its deadline moves on, and the hint is that of the connection of
 * now.  OK and the record (free the reply): element 0 the time, 1 the lease; LOST; or a failure.
 */
int rd_hints_extend(struct rd_hints *hints, const struct kedge_id128 *lease, redisReply **reply,
                    int64_t deadline, struct kedge_error *err);
/* The hint to register, and that LEASE will have it: it is ours.  hint[2] is the incarnation of the
   server. */
int rd_hints_register(struct rd_hints *hints, const struct kedge_id128 *lease, uint64_t hint[3],
                      int64_t deadline, struct kedge_error *err);
/* LEASE is not ours, or is no more. */
void rd_hints_forget(struct rd_hints *hints, const struct kedge_id128 *lease);

/*
 * Look at the hints of leases that are not dead, in one round trip: hint[i] is KEDGE_HINT_...,
 * absent_us[i] for how long it has been seen absent.
 */
int rd_hints_look(struct rd_session *s, const struct kit_lease *leases, size_t n, uint32_t *hint,
                  int64_t *absent_us, int64_t deadline, struct kedge_error *err);
/* More than half of the live leases look dead at once: remember since when.  Answers for how long
   that has been so, -1 when it is not. */
int64_t rd_hints_mass(struct rd_hints *hints, size_t live, size_t absent, int64_t longest_ttl_us);
/* What is known of the right to look: "yes", "no" or "not tried". */
const char *rd_hints_allowed(struct rd_hints *hints);

/* Does a CLIENT LIST show a connection other than EXCEPT to that namespace of that database? */
bool rd_clients_named(const redisReply *list, const struct rd_params *params, uint64_t except);

#endif
