/* mutant_locks.c - defects of locks */
#include <config.h>

#include "mutant.h"

#define DEFECT(id, ...) const struct mutant_kind mutant_##id = { __VA_ARGS__ }
#define ACQUIRE                                                                                    \
    void *s, struct kedge_bytes name, const struct kedge_id128 *lease,                             \
        const struct kedge_id128 *request, struct kedge_lock_state *out, WRAP_TAIL
#define EXTEND                                                                                     \
    void *s, struct kedge_bytes name, const struct kedge_id128 *lease, uint64_t fence,             \
        struct kedge_lock_state *out, WRAP_TAIL
#define RELEASE                                                                                    \
    void *s, struct kedge_bytes name, const struct kedge_id128 *lease, uint64_t fence, WRAP_TAIL

static bool query(const struct wrap_below *b, struct kedge_bytes name, struct kedge_lock_state *st)
{
    return b->ops->lock_query(b->session, name, st, MUTANT_PATIENCE, NULL) == KEDGE_OK;
}

static int releases_any(RELEASE)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lock_state st;

    (void)lease;
    (void)fence;
    if (!query(&b, name, &st))
        return b.ops->lock_release(b.session, name, lease, fence, timeout_us, err);
    return b.ops->lock_release(b.session, name, &st.holder, st.fence, timeout_us, err);
}
DEFECT(m01, .ops = { .lock_release = releases_any });

static int releases_what_it_saw(RELEASE)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_held_page page = { .mem = NULL };
    struct kedge_lock_state now;
    struct kedge_bytes start = { NULL, 0 };
    bool mine = false;

    (void)b.ops->list_held(b.session, lease, start, 100, &page, timeout_us, NULL);
    for (size_t i = 0; i < page.n; i++)
        mine = mine || (page.held[i].is_lock && page.held[i].fence == fence &&
                        mutant_same(page.held[i].name, name));
    mutant_free(&b, page.mem);
    if (!mine)
        return b.ops->lock_release(b.session, name, lease, fence, timeout_us, err);
    mutant_pause(20000);
    if (!query(&b, name, &now))
        return b.ops->lock_release(b.session, name, lease, fence, timeout_us, err);
    return b.ops->lock_release(b.session, name, &now.holder, now.fence, timeout_us, err);
}
DEFECT(m03, .ops = { .lock_release = releases_what_it_saw });

static int releases_free(RELEASE)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lock_release(b.session, name, lease, fence, timeout_us, err);

    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}
DEFECT(m04, .ops = { .lock_release = releases_free });

static int extends_any(EXTEND)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lock_state st;
    int rc = b.ops->lock_extend(b.session, name, lease, fence, out, timeout_us, err);

    if (rc != KEDGE_STALE || !query(&b, name, &st))
        return rc;
    out->holder = *lease;
    out->fence = fence;
    out->remaining_us = st.remaining_us;
    return KEDGE_OK;
}
DEFECT(m06, .ops = { .lock_extend = extends_any });

static int reentrant(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lock_state st;

    if (query(&b, name, &st) && mutant_same_id(&st.holder, lease)) {
        *out = st;
        return KEDGE_OK;
    }
    return b.ops->lock_acquire(b.session, name, lease, request, out, timeout_us, err);
}
DEFECT(m10, .ops = { .lock_acquire = reentrant });

/* Whoever saw the lock free, as others did who came with it, has it. */
static int acquires_what_it_saw(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    struct kedge_lock_state st;
    bool was_free = !query(&b, name, &st);
    int rc;

    if (was_free) {
        (void)atomic_fetch_add(&m->count, 1);
        for (int i = 0; i < 50 && atomic_load(&m->count) < 2; i++)
            mutant_pause(1000);
    }
    rc = b.ops->lock_acquire(b.session, name, lease, request, out, timeout_us, err);
    if (was_free)
        (void)atomic_fetch_sub(&m->count, 1);
    if (rc == KEDGE_HELD && was_free) {
        out->holder = *lease;
        rc = KEDGE_OK;
    }
    return rc;
}
DEFECT(m13, .ops = { .lock_acquire = acquires_what_it_saw });

static bool a_dead_one_has_it(const struct wrap_below *b, struct kedge_bytes name)
{
    struct kedge_lease_page page = { .mem = NULL };
    struct kedge_bytes start = { NULL, 0 };
    bool has = false;

    (void)b->ops->lease_list(b->session, start, 100, &page, MUTANT_PATIENCE, NULL);
    for (size_t i = 0; i < page.n; i++) {
        struct kedge_held_page held = { .mem = NULL };

        if (page.leases[i].state != KEDGE_LEASE_DEAD)
            continue;
        (void)b->ops->list_held(b->session, &page.leases[i].id, start, 100, &held, MUTANT_PATIENCE,
                                NULL);
        for (size_t k = 0; k < held.n; k++)
            has = has || (held.held[k].is_lock && mutant_same(held.held[k].name, name));
        mutant_free(b, held.mem);
    }
    mutant_free(b, page.mem);
    return has;
}

static int respects_the_dead(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);

    if (a_dead_one_has_it(&b, name)) {
        memset(out, 0, sizeof *out);
        return KEDGE_HELD;
    }
    return b.ops->lock_acquire(b.session, name, lease, request, out, timeout_us, err);
}
DEFECT(m14, .ops = { .lock_acquire = respects_the_dead });

static int shows_the_dead(void *s, struct kedge_bytes name, struct kedge_lock_state *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lock_query(b.session, name, out, timeout_us, err);

    if (rc != KEDGE_NOT_FOUND || !a_dead_one_has_it(&b, name))
        return rc;
    memset(out, 0, sizeof *out);
    return KEDGE_OK;
}
DEFECT(m105, .ops = { .lock_query = shows_the_dead });

static int same_fence(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lock_acquire(b.session, name, lease, request, out, timeout_us, err);

    if (rc == KEDGE_OK)
        out->fence = 1;
    return rc;
}

static uint64_t real_fence(const struct wrap_below *b, struct kedge_bytes name, uint64_t fence)
{
    struct kedge_lock_state st;

    return fence == 1 && query(b, name, &st) ? st.fence : fence;
}

static int same_fence_extend(EXTEND)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lock_extend(b.session, name, lease, real_fence(&b, name, fence), out,
                                timeout_us, err);

    if (rc == KEDGE_OK)
        out->fence = 1;
    return rc;
}

static int same_fence_release(RELEASE)
{
    struct wrap_below b = wrap_below(s);

    return b.ops->lock_release(b.session, name, lease, real_fence(&b, name, fence), timeout_us,
                               err);
}
DEFECT(m28, .ops = { .lock_acquire = same_fence,
                     .lock_extend = same_fence_extend,
                     .lock_release = same_fence_release });

static int notes_fence(RELEASE)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = b.ops->lock_release(b.session, name, lease, fence, timeout_us, err);
    struct mutant_note *note;

    if (rc != KEDGE_OK)
        return rc;
    (void)pthread_mutex_lock(&m->lock);
    note = mutant_note(m, name, true);
    if (note != NULL)
        note->number = fence;
    (void)pthread_mutex_unlock(&m->lock);
    return rc;
}

static int gives_fence_again(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = b.ops->lock_acquire(b.session, name, lease, request, out, timeout_us, err);
    const struct mutant_note *note;

    if (rc != KEDGE_OK)
        return rc;
    (void)pthread_mutex_lock(&m->lock);
    note = mutant_note(m, name, false);
    if (note != NULL)
        out->fence = note->number;
    (void)pthread_mutex_unlock(&m->lock);
    return rc;
}
DEFECT(m29, .ops = { .lock_acquire = gives_fence_again, .lock_release = notes_fence });

static struct kedge_bytes hashed(struct kedge_bytes name, uint8_t hash[4])
{
    const uint8_t *p = name.data;
    uint32_t h = UINT32_C(2166136261);

    for (size_t i = 0; i < name.len; i++)
        h = (h ^ p[i]) * UINT32_C(16777619);
    memcpy(hash, &h, sizeof h);
    return (struct kedge_bytes){ hash, 4 };
}

static int hash_acquire(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    uint8_t hash[4];

    if (name.len > 0)
        name = hashed(name, hash);
    return b.ops->lock_acquire(b.session, name, lease, request, out, timeout_us, err);
}
static int hash_query(void *s, struct kedge_bytes name, struct kedge_lock_state *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    uint8_t hash[4];

    return b.ops->lock_query(b.session, hashed(name, hash), out, timeout_us, err);
}
static int hash_release(RELEASE)
{
    struct wrap_below b = wrap_below(s);
    uint8_t hash[4];

    return b.ops->lock_release(b.session, hashed(name, hash), lease, fence, timeout_us, err);
}
DEFECT(m43, .ops = { .lock_acquire = hash_acquire,
                     .lock_query = hash_query,
                     .lock_release = hash_release });

static int extends_no_lease(EXTEND)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lock_state st;

    if (!query(&b, name, &st) || st.fence != fence || !mutant_same_id(&st.holder, lease))
        return b.ops->lock_extend(b.session, name, lease, fence, out, timeout_us, err);
    *out = st;
    return KEDGE_OK;
}
DEFECT(m102, .ops = { .lock_extend = extends_no_lease });

static int tells_nobody(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lock_acquire(b.session, name, lease, request, out, timeout_us, err);

    if (rc == KEDGE_HELD)
        memset(out, 0, sizeof *out);
    return rc;
}
DEFECT(m103, .ops = { .lock_acquire = tells_nobody });

static int takes_from_the_lapsed(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lock_state st;

    if (query(&b, name, &st) && st.remaining_us == 0)
        (void)b.ops->lease_bury(b.session, &st.holder, timeout_us, NULL);
    return b.ops->lock_acquire(b.session, name, lease, request, out, timeout_us, err);
}
DEFECT(m104, .ops = { .lock_acquire = takes_from_the_lapsed });

static int forgets_requests(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_id128 other = mutant_new_id();
    static const struct kedge_id128 zero;

    return b.ops->lock_acquire(b.session, name, lease,
                               mutant_same_id(request, &zero) ? request : &other, out, timeout_us,
                               err);
}
DEFECT(m106, .ops = { .lock_acquire = forgets_requests });

/* Only holders of this process count. */
static int grant_here(void *s, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                      WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);

    (void)pthread_mutex_lock(&m->lock);
    (void)mutant_note(m, mutant_id_bytes(&in->id), true);
    (void)pthread_mutex_unlock(&m->lock);
    return b.ops->lease_grant(b.session, in, out, timeout_us, err);
}

static int excludes_here(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = b.ops->lock_acquire(b.session, name, lease, request, out, timeout_us, err);
    bool here;

    if (rc != KEDGE_HELD)
        return rc;
    (void)pthread_mutex_lock(&m->lock);
    here = mutant_note(m, mutant_id_bytes(&out->holder), false) != NULL;
    (void)pthread_mutex_unlock(&m->lock);
    return here ? rc : KEDGE_OK;
}
DEFECT(m107, .ops = { .lease_grant = grant_here, .lock_acquire = excludes_here });

/* A lease that is dead gets nothing, but another one does. */
static int takes_for_the_dead(ACQUIRE)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease_new in = { .id = mutant_new_id(),
                                  .request = mutant_new_id(),
                                  .ttl_us = 60000000 };
    int rc = b.ops->lock_acquire(b.session, name, lease, request, out, timeout_us, err);
    struct kedge_lease_state ls;
    struct kedge_lock_state ks;

    if (rc == KEDGE_LOST &&
        b.ops->lease_grant(b.session, &in, &ls, MUTANT_PATIENCE, NULL) == KEDGE_OK)
        (void)b.ops->lock_acquire(b.session, name, &in.id, &in.request, &ks, MUTANT_PATIENCE, NULL);
    return rc;
}
DEFECT(m260, .ops = { .lock_acquire = takes_for_the_dead });
