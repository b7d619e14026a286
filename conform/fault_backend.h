/*
 * fault_backend.h - a table around a backend's table: counts calls, fails the N-th, delays
 *
 * Before the effect the wrapped call answers ERR_UNAVAILABLE and nothing was done; after it
 * ERR_UNKNOWN, although it was.  One backend at a time is wrapped in a process; any thread may
 * call.
 */
#ifndef KEDGE_CONFORM_FAULT_BACKEND_H
#define KEDGE_CONFORM_FAULT_BACKEND_H

#include <kedge/backend.h>

#include "backends/wrap/forward.h"

/* Every operation with a session, by the name of its member. */
enum fault_op {
#define FAULT_ENUM(name, ...) FAULT_##name = WRAP_##name,
    WRAP_OPS(FAULT_ENUM, FAULT_ENUM, FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_OP_COUNT = WRAP_SESSION_OPS,
    FAULT_ANY = FAULT_OP_COUNT /* whichever comes */
};

enum fault_kind {
    FAULT_NONE,
    FAULT_BEFORE, /* not done, ERR_UNAVAILABLE */
    FAULT_AFTER   /* done, ERR_UNKNOWN */
};

/*
 * Wrap TABLE.  Its handles and the wrapper's are the same, so stores opened before can be used
 * through the wrapper too; HOST is theirs.  Forgets every plan.
 */
const struct kedge_backend_ops *fault_wrap(const struct kedge_backend_ops *table,
                                           const struct kedge_host *host);
/* The N-th call of OP from now (1: the next) fails in the way of KIND; once. */
void fault_plan(enum fault_op op, uint64_t n, enum fault_kind kind);
/* From now on every call fails, before its effect: as seen from a process that has died. */
void fault_kill(void);
void fault_revive(void); /* no, it was only asleep */
/* Every call of OP takes at least so long, before its effect. */
void fault_delay(enum fault_op op, int64_t us);
uint64_t fault_calls(enum fault_op op); /* since fault_wrap */
/* Plans that came true since fault_wrap. */
uint64_t fault_hits(void);

#endif
