/*
 * moment.h - what time it must be about now where a server is, from what it told before
 *
 * The server's clock less our monotonic one is at least (told - when the answer came) and at most
 * (told - when the question left).  Kept is the greatest of the lower bounds: it is never ahead of
 * the server, behind it by the shortest way an answer ever had, and never behind a time that this
 * process has been told.  A bound that contradicts it means that a clock was set or drifts: then
 * the newest answer counts alone.
 *
 * One for each store, for all its threads; no lock.
 */
#ifndef KEDGE_KIT_MOMENT_H
#define KEDGE_KIT_MOMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define KIT_MOMENT_NONE INT64_MIN

struct kit_moment {
    _Atomic int64_t ahead; /* server's time - monotonic; KIT_MOMENT_NONE: never told */
};

static inline void kit_moment_init(struct kit_moment *m)
{
    atomic_init(&m->ahead, KIT_MOMENT_NONE);
}

/* TOLD was the server's time between ASKED and NOW, both monotonic. */
static inline void kit_moment_told(struct kit_moment *m, int64_t told, int64_t asked, int64_t now)
{
    int64_t least = told - now;
    int64_t most = told - asked;
    int64_t ahead = atomic_load_explicit(&m->ahead, memory_order_relaxed);

    while (ahead == KIT_MOMENT_NONE || ahead < least || ahead > most) {
        if (atomic_compare_exchange_weak_explicit(&m->ahead, &ahead, least, memory_order_relaxed,
                                                  memory_order_relaxed))
            return;
    }
}

/* false: never told. */
static inline bool kit_moment_guess(const struct kit_moment *m, int64_t now, int64_t *wall)
{
    int64_t ahead = atomic_load_explicit(&m->ahead, memory_order_relaxed);

    if (ahead == KIT_MOMENT_NONE)
        return false;
    *wall = now + ahead;
    return true;
}

#endif
