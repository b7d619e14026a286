/*
 * hint.c - crash hints of a store in memory: is the handle that granted a lease still open?
 *
 * Where the program that has the store in its memory serves it to others, each of them has a handle
 * of his own here, which is closed when he is gone.  So a lease names the handle it was granted or
 * last extended by, and a handle that was closed leaves behind when that was, for as long as a
 * lease names it.  All of it is under the namespace's mutex.
 */
#include <config.h>

#include <time.h>

#include "space.h"

struct mem_hint {
    struct mem_hint *next;
    uint64_t id;
    int64_t closed; /* monotonic us; 0: it is open */
};

static int64_t mono_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

uint64_t mem_hint_open(struct mem_space *space)
{
    struct mem_hint *hint = space->host->alloc(space->host->ctx, sizeof *hint);
    uint64_t id = 0;

    if (hint == NULL)
        return 0;
    (void)pthread_mutex_lock(&space->lock);
    id = ++space->hint_last;
    *hint = (struct mem_hint){ space->hints, id, 0 };
    space->hints = hint;
    (void)pthread_mutex_unlock(&space->lock);
    return id;
}

static const struct mem_lease *lease_at(const struct mem_space *space, size_t at)
{
    return at < space->lease_ix[0].n ? (const struct mem_lease *)space->lease_ix[0].v[at] : NULL;
}

static bool named(const struct mem_space *space, uint64_t id)
{
    const struct mem_lease *lease;

    for (size_t at = 0; (lease = lease_at(space, at)) != NULL; at++)
        if (lease->k.l.state != KEDGE_LEASE_DEAD && lease->k.hint_id[0] == id)
            return true;
    return false;
}

void mem_hint_close(struct mem_space *space, uint64_t id)
{
    struct mem_hint **at = &space->hints;

    (void)pthread_mutex_lock(&space->lock);
    while (*at != NULL) {
        struct mem_hint *hint = *at;

        if (hint->id == id)
            hint->closed = mono_us();
        if (hint->closed != 0 && !named(space, hint->id)) {
            *at = hint->next;
            space->host->release(space->host->ctx, hint);
        } else {
            at = &hint->next;
        }
    }
    (void)pthread_mutex_unlock(&space->lock);
}

void mem_hints_free(struct mem_space *space)
{
    while (space->hints != NULL) {
        struct mem_hint *hint = space->hints;

        space->hints = hint->next;
        space->host->release(space->host->ctx, hint);
    }
}

uint32_t mem_hint_look(const struct mem_space *space, const struct kit_lease *lease,
                       int64_t *absent_us)
{
    const struct mem_hint *hint = space->hints;

    *absent_us = 0;
    if (lease->hint_id[0] == 0 || lease->l.state == KEDGE_LEASE_DEAD)
        return KEDGE_HINT_NONE;
    while (hint != NULL && hint->id != lease->hint_id[0])
        hint = hint->next;
    if (hint != NULL && hint->closed == 0)
        return KEDGE_HINT_PRESENT;
    *absent_us = hint != NULL ? mono_us() - hint->closed : 0;
    return KEDGE_HINT_ABSENT;
}

void mem_suspect(struct mem_space *space, const struct kit_lease *lease, struct kit_suspicion *out)
{
    size_t live = 0, absent = 0;
    int64_t longest = 0, since, mass;
    const struct mem_lease *other;

    *out = (struct kit_suspicion){ false };
    out->hint_absent = mem_hint_look(space, lease, &out->absent_us) == KEDGE_HINT_ABSENT;
    if (!out->hint_absent)
        return;
    for (size_t at = 0; (other = lease_at(space, at)) != NULL; at++) {
        if (other->k.l.state == KEDGE_LEASE_DEAD)
            continue;
        live++;
        absent += mem_hint_look(space, &other->k, &since) == KEDGE_HINT_ABSENT;
        if (other->k.l.ttl_us > longest)
            longest = other->k.l.ttl_us;
    }
    mass = kit_hints_mass(&space->mass_since, mono_us(), live, absent, longest);
    out->hints_ignored = mass >= 0 && mass < lease->l.ttl_us;
}
