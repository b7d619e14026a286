/* mutant_leases.c - defects of leases */
#include <config.h>

#include "mutant.h"

#define DEFECT(id, ...) const struct mutant_kind mutant_##id = { __VA_ARGS__ }

/* A lease that was dead is not any more, if one believes the answer. */
static int revives(void *s, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                   WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lease_extend(b.session, lease, out, timeout_us, err);

    if (rc != KEDGE_LOST)
        return rc;
    memset(out, 0, sizeof *out);
    out->remaining_us = MUTANT_PATIENCE;
    out->deadline = mutant_now(&b, KEDGE_CLOCK_LEASE) + out->remaining_us;
    return KEDGE_OK;
}
DEFECT(m05, .ops = { .lease_extend = revives });

static int adds_to_deadline(void *s, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                            WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease before;
    bool there = mutant_lease(&b, lease, &before);
    int rc = b.ops->lease_extend(b.session, lease, out, timeout_us, err);

    if (rc == KEDGE_OK && there) {
        out->remaining_us += before.deadline + before.ttl_us - out->deadline;
        out->deadline = before.deadline + before.ttl_us;
    }
    return rc;
}
DEFECT(m07, .ops = { .lease_extend = adds_to_deadline });

static int extends_nothing(void *s, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                           WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease l;

    if (!mutant_lease(&b, lease, &l) || l.state == KEDGE_LEASE_DEAD)
        return b.ops->lease_extend(b.session, lease, out, timeout_us, err);
    memset(out, 0, sizeof *out);
    out->attention = l.attention;
    out->hint = l.hint;
    out->remaining_us = l.ttl_us;
    out->deadline = mutant_now(&b, KEDGE_CLOCK_LEASE) + l.ttl_us;
    return KEDGE_OK;
}
DEFECT(m08, .ops = { .lease_extend = extends_nothing });

static int takes_any_ttl(void *s, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                         WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease_new forever = *in;

    if (forever.ttl_us <= 0)
        forever.ttl_us = b.ops->limits != NULL ? b.ops->limits->ttl_max_us : 3600000000;
    return b.ops->lease_grant(b.session, &forever, out, timeout_us, err);
}
DEFECT(m15, .ops = { .lease_grant = takes_any_ttl });

static int buries_by_own_clock(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    struct mutant_note *note;
    int64_t deadline = 0;

    (void)pthread_mutex_lock(&m->lock);
    note = mutant_note(m, mutant_id_bytes(lease), false);
    if (note != NULL)
        deadline = note->time;
    (void)pthread_mutex_unlock(&m->lock);
    return wrap_clock_us() < deadline ? KEDGE_HELD
                                      : b.ops->lease_bury(b.session, lease, timeout_us, err);
}

static int grants_by_own_clock(void *s, const struct kedge_lease_new *in,
                               struct kedge_lease_state *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = b.ops->lease_grant(b.session, in, out, timeout_us, err);

    if (rc == KEDGE_OK) {
        (void)pthread_mutex_lock(&m->lock);
        mutant_note(m, mutant_id_bytes(&in->id), true)->time = wrap_clock_us() + in->ttl_us;
        (void)pthread_mutex_unlock(&m->lock);
    }
    return rc;
}
DEFECT(m32, .ops = { .lease_bury = buries_by_own_clock, .lease_grant = grants_by_own_clock });

static int loses_the_lapsed(void *s, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                            WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease l;

    if (mutant_lease(&b, lease, &l) && l.state == KEDGE_LEASE_LAPSED)
        return KEDGE_LOST;
    return b.ops->lease_extend(b.session, lease, out, timeout_us, err);
}
DEFECT(m82, .ops = { .lease_extend = loses_the_lapsed });

/* The only way to end a lease that is not to be buried yet is to revoke it. */
static int end_it(const struct wrap_below *b, const struct kedge_id128 *lease, WRAP_TAIL)
{
    return b->ops->lease_revoke(b->session, lease, timeout_us, err);
}

static int buries_any(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lease_bury(b.session, lease, timeout_us, err);

    return rc == KEDGE_HELD ? end_it(&b, lease, timeout_us, err) : rc;
}
DEFECT(m83, .ops = { .lease_bury = buries_any });

static int buries_late(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease l;

    if (mutant_lease(&b, lease, &l) && l.state == KEDGE_LEASE_LAPSED &&
        mutant_now(&b, KEDGE_CLOCK_LEASE) <= l.deadline)
        return KEDGE_HELD;
    return b.ops->lease_bury(b.session, lease, timeout_us, err);
}
DEFECT(m84, .ops = { .lease_bury = buries_late });

static int bury_frees_runs(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease l;

    if (mutant_lease(&b, lease, &l) && l.state == KEDGE_LEASE_LAPSED)
        return end_it(&b, lease, timeout_us, err);
    return b.ops->lease_bury(b.session, lease, timeout_us, err);
}
DEFECT(m85, .ops = { .lease_bury = bury_frees_runs });

static bool looks_dead(const struct wrap_below *b, const struct kedge_id128 *lease)
{
    struct kedge_lease l;

    return mutant_lease(b, lease, &l) && l.state != KEDGE_LEASE_DEAD && l.hint == KEDGE_HINT_ABSENT;
}

static int buries_at_once(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);

    if (looks_dead(&b, lease))
        return end_it(&b, lease, timeout_us, err);
    return b.ops->lease_bury(b.session, lease, timeout_us, err);
}
DEFECT(m86, .ops = { .lease_bury = buries_at_once });

static int buries_the_many(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    bool dead = looks_dead(&b, lease);
    int64_t since = 0;

    if (dead) {
        struct mutant_note *note;

        (void)pthread_mutex_lock(&m->lock);
        note = mutant_note(m, mutant_id_bytes(lease), true);
        if (note->time == 0)
            note->time = wrap_clock_us();
        since = note->time;
        (void)pthread_mutex_unlock(&m->lock);
    }
    if (dead && wrap_clock_us() >= since + 100000)
        return end_it(&b, lease, timeout_us, err);
    return b.ops->lease_bury(b.session, lease, timeout_us, err);
}
DEFECT(m87, .ops = { .lease_bury = buries_the_many });

static int buries_by_deadline(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease l;

    if (mutant_lease(&b, lease, &l) && l.state == KEDGE_LEASE_LIVE)
        return KEDGE_HELD;
    return b.ops->lease_bury(b.session, lease, timeout_us, err);
}
DEFECT(m88, .ops = { .lease_bury = buries_by_deadline });

static int buries_strangers(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lease_bury(b.session, lease, timeout_us, err);

    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}
DEFECT(m89, .ops = { .lease_bury = buries_strangers });

static int revokes_nothing(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease l;

    if (mutant_lease(&b, lease, &l))
        return KEDGE_OK;
    return b.ops->lease_revoke(b.session, lease, timeout_us, err);
}
DEFECT(m90, .ops = { .lease_revoke = revokes_nothing });

static void charge(const struct wrap_below *b, struct kedge_bytes id)
{
    struct kedge_run_state st;
    struct kedge_guard g = { .kind = KEDGE_GUARD_UNHELD,
                             .statuses = KEDGE_STATUSES_ALL,
                             .name = id };
    struct kedge_change c = { .kind = KEDGE_SET, .name = id };

    if (mutant_head(b, id, &st) != KEDGE_OK)
        return;
    g.number = st.run.revision;
    c.set.mask = KEDGE_SET_RECOVERIES;
    c.set.recoveries = st.run.recoveries + 1;
    (void)mutant_send(b, &g, 1, &c, 1);
    mutant_free(b, st.mem);
}

static int revoke_charges(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_held_page page = { .mem = NULL };
    struct kedge_bytes start = { NULL, 0 };
    int rc;

    (void)b.ops->list_held(b.session, lease, start, 100, &page, timeout_us, NULL);
    rc = b.ops->lease_revoke(b.session, lease, timeout_us, err);
    for (size_t i = 0; i < page.n; i++)
        if (!page.held[i].is_lock)
            charge(&b, page.held[i].name);
    mutant_free(&b, page.mem);
    return rc;
}
DEFECT(m91, .ops = { .lease_revoke = revoke_charges });

static int no_attention(void *s, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                        WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lease_extend(b.session, lease, out, timeout_us, err);

    if (rc == KEDGE_OK)
        out->attention = 0;
    return rc;
}
DEFECT(m93, .ops = { .lease_extend = no_attention });

static int any_attention(void *s, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                         WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lease_extend(b.session, lease, out, timeout_us, err);

    if (rc == KEDGE_OK)
        out->attention += atomic_fetch_add(&mutant_of(&b)->count, 1);
    return rc;
}
DEFECT(m94, .ops = { .lease_extend = any_attention });

static int lists_backwards(void *s, struct kedge_bytes cursor, size_t limit,
                           struct kedge_lease_page *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lease_list(b.session, cursor, limit, out, timeout_us, err);

    for (size_t i = 0; rc == KEDGE_OK && i < out->n / 2; i++) {
        struct kedge_lease first = out->leases[i];

        out->leases[i] = out->leases[out->n - 1 - i];
        out->leases[out->n - 1 - i] = first;
    }
    return rc;
}
DEFECT(m95, .ops = { .lease_list = lists_backwards });

static int hides_locks(void *s, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                       size_t limit, struct kedge_held_page *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->list_held(b.session, lease, cursor, limit, out, timeout_us, err);
    size_t kept = 0;

    for (size_t i = 0; rc == KEDGE_OK && i < out->n; i++)
        if (!out->held[i].is_lock)
            out->held[kept++] = out->held[i];
    if (rc == KEDGE_OK)
        out->n = kept;
    return rc;
}
DEFECT(m96, .ops = { .list_held = hides_locks });

static int held_page_skips(void *s, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                           size_t limit, struct kedge_held_page *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->list_held(b.session, lease, cursor, limit, out, timeout_us, err);

    if (rc == KEDGE_OK && out->n > 1 && out->next.len > 0)
        out->n--;
    return rc;
}
DEFECT(m97, .ops = { .list_held = held_page_skips });

static int grants_twice(void *s, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                        WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->lease_grant(b.session, in, out, timeout_us, err);

    return rc == KEDGE_EXISTS ? b.ops->lease_extend(b.session, &in->id, out, timeout_us, err) : rc;
}
DEFECT(m98, .ops = { .lease_grant = grants_twice });

static int forgets_serves(void *s, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                          WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease_new less = *in;

    if (less.n_serves > 1)
        less.n_serves = 1;
    return b.ops->lease_grant(b.session, &less, out, timeout_us, err);
}
DEFECT(m99, .ops = { .lease_grant = forgets_serves });

/* The deadline as it was granted holds, whatever the clock did since. */
static int grants_once(void *s, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                       WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = b.ops->lease_grant(b.session, in, out, timeout_us, err);

    if (rc == KEDGE_OK) {
        (void)pthread_mutex_lock(&m->lock);
        mutant_note(m, mutant_id_bytes(&in->id), true)->time = out->deadline;
        (void)pthread_mutex_unlock(&m->lock);
    }
    return rc;
}

static int64_t noted_time(const struct wrap_below *b, const struct kedge_id128 *lease)
{
    struct mutant *m = mutant_of(b);
    struct mutant_note *note;
    int64_t time;

    (void)pthread_mutex_lock(&m->lock);
    note = mutant_note(m, mutant_id_bytes(lease), false);
    time = note != NULL ? note->time : 0;
    (void)pthread_mutex_unlock(&m->lock);
    return time;
}

static int keeps_old_deadline(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);

    if (mutant_now(&b, KEDGE_CLOCK_LEASE) < noted_time(&b, lease))
        return KEDGE_HELD;
    return b.ops->lease_bury(b.session, lease, timeout_us, err);
}
DEFECT(m100, .ops = { .lease_grant = grants_once, .lease_bury = keeps_old_deadline });

static int grants_by_wall(void *s, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                          WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = b.ops->lease_grant(b.session, in, out, timeout_us, err);
    int64_t now = mutant_now(&b, KEDGE_CLOCK_WALL);

    if (rc == KEDGE_OK) {
        (void)pthread_mutex_lock(&m->lock);
        mutant_note(m, mutant_id_bytes(&in->id), true)->time = now + in->ttl_us;
        (void)pthread_mutex_unlock(&m->lock);
    }
    return rc;
}

static int buries_by_wall(void *s, const struct kedge_id128 *lease, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    int64_t deadline = noted_time(&b, lease);

    if (deadline != 0 && mutant_now(&b, KEDGE_CLOCK_WALL) >= deadline)
        return end_it(&b, lease, timeout_us, err);
    return b.ops->lease_bury(b.session, lease, timeout_us, err);
}
DEFECT(m101, .ops = { .lease_grant = grants_by_wall, .lease_bury = buries_by_wall });

/* An extend that has looked goes on after the burial that came in between. */
static int extend_looks_first(void *s, const struct kedge_id128 *lease,
                              struct kedge_lease_state *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_lease l;
    int rc;

    if (!mutant_lease(&b, lease, &l) || l.state == KEDGE_LEASE_DEAD)
        return b.ops->lease_extend(b.session, lease, out, timeout_us, err);
    if (l.state == KEDGE_LEASE_LAPSED)
        mutant_pause(5000);
    rc = b.ops->lease_extend(b.session, lease, out, timeout_us, err);
    if (rc != KEDGE_LOST)
        return rc;
    memset(out, 0, sizeof *out);
    out->remaining_us = l.ttl_us;
    out->deadline = mutant_now(&b, KEDGE_CLOCK_LEASE) + l.ttl_us;
    return KEDGE_OK;
}
DEFECT(m119, .ops = { .lease_extend = extend_looks_first });
