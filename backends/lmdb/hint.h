/*
 * hint.h - one small locked file per lease: is the process behind it alive?
 *
 *   I1  The file is `leases/<id in hex>'; its holder has a POSIX record lock on it.  The kernel
 *       drops that when the process dies, and a forked child does not have it (an open-file-
 *       description lock would live on in the child).
 *   I2  A POSIX lock also goes when its process closes *any* descriptor of the file.  So this
 *       process never opens the file of a lease of its own a second time: a list of our own says
 *       present.
 *   I3  The hint's name is device and inode: a file that was deleted and made anew is another hint.
 *   I4  Absence is suspicion only.  It counts after it was seen for KIT_HINT_GRACE_US by the
 *       monotonic clock of this process.
 */
#ifndef KEDGE_LMDB_HINT_H
#define KEDGE_LMDB_HINT_H

#include "env.h"

struct lm_hints *lm_hints_new(struct lm_env *env);
void lm_hints_free(struct lm_hints *hints); /* lets go of all */

/* Make and lock the file of a lease; OWNER is the store handle it belongs to.  id becomes zero when
   there can be none (the lease then lives by its deadline alone).  false: another process has it.
 */
bool lm_hint_register(struct lm_hints *hints, const void *owner, const struct kedge_id128 *lease,
                      uint64_t id[2]);
/* Registered here already: its id. */
bool lm_hint_mine(struct lm_hints *hints, const struct kedge_id128 *lease, uint64_t id[2]);
/* Is our own registration still what is on the disk? */
bool lm_hint_intact(struct lm_hints *hints, const struct kedge_id128 *lease);
/* Let go of a lease of ours and remove its file.  Not ours: only remove the file. */
void lm_hint_remove(struct lm_hints *hints, const struct kedge_id128 *lease);
/* A store handle is closed: let go of its hints. */
void lm_hints_release(struct lm_hints *hints, const void *owner);
/* Look at the hint of any lease: KEDGE_HINT_...; and for how long it has been absent. */
uint32_t lm_hint_look(struct lm_hints *hints, const struct kit_lease *lease, int64_t *absent_us);
/* More than half of the live leases look dead at once: remember since when.  Answers for how long
   that has been so, -1 when it is not. */
int64_t lm_hints_mass(struct lm_hints *hints, size_t live, size_t absent, int64_t longest_ttl_us);
void lm_hints_remove_all(int dir_fd);

#endif
