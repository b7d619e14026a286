/*
 * hints.c - which hints this process holds, and which it has seen absent
 *
 * A hint is a session lock of the server, on the lifeline: it goes when that connection does.
 * Since when one is absent is remembered here: each process that looks waits its own 100 ms.
 */
#include <config.h>

#include <stdlib.h>

#include "session.h"

struct own {
    struct own *next;
    struct kedge_id128 id;
    int64_t no;
    uint64_t made;
};

/* Absent since then; an extend in between begins anew. */
struct absent {
    struct absent *next;
    struct kedge_id128 id;
    int64_t extended;
    int64_t since;
};

struct pg_hints {
    pthread_mutex_t lock;
    struct own *own;
    struct absent *absent;
    int64_t mass_since; /* 0: no such thing */
};

struct pg_hints *pg_hints_new(void)
{
    struct pg_hints *h = calloc(1, sizeof *h);

    if (h != NULL)
        (void)pthread_mutex_init(&h->lock, NULL);
    return h;
}

void pg_hints_free(struct pg_hints *h)
{
    if (h == NULL)
        return;
    while (h->own != NULL) {
        struct own *o = h->own;

        h->own = o->next;
        free(o);
    }
    while (h->absent != NULL) {
        struct absent *a = h->absent;

        h->absent = a->next;
        free(a);
    }
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
}

static struct own **find_own(struct pg_hints *h, const struct kedge_id128 *id)
{
    struct own **at = &h->own;

    while (*at != NULL && !kit_id_equal(&(*at)->id, id))
        at = &(*at)->next;
    return at;
}

void pg_hints_own(struct pg_hints *h, const struct kedge_id128 *id, int64_t no, uint64_t made)
{
    struct own *o;

    (void)pthread_mutex_lock(&h->lock);
    o = *find_own(h, id);
    if (o == NULL) {
        o = calloc(1, sizeof *o); /* without it the next extend registers once more */
        if (o != NULL) {
            o->id = *id;
            o->next = h->own;
            h->own = o;
        }
    }
    if (o != NULL) {
        o->no = no;
        o->made = made;
    }
    (void)pthread_mutex_unlock(&h->lock);
}

bool pg_hints_standing(struct pg_hints *h, const struct kedge_id128 *id, uint64_t made)
{
    const struct own *o;
    bool yes;

    (void)pthread_mutex_lock(&h->lock);
    o = *find_own(h, id);
    yes = o != NULL && o->made == made;
    (void)pthread_mutex_unlock(&h->lock);
    return yes;
}

int64_t pg_hints_disown(struct pg_hints *h, const struct kedge_id128 *id)
{
    struct own **at;
    int64_t no = 0;

    (void)pthread_mutex_lock(&h->lock);
    at = find_own(h, id);
    if (*at != NULL) {
        struct own *o = *at;

        no = o->no;
        *at = o->next;
        free(o);
    }
    (void)pthread_mutex_unlock(&h->lock);
    return no;
}

static struct absent **find_absent(struct pg_hints *h, const struct kedge_id128 *id)
{
    struct absent **at = &h->absent;

    while (*at != NULL && !kit_id_equal(&(*at)->id, id))
        at = &(*at)->next;
    return at;
}

static void forget_absent(struct absent **at)
{
    struct absent *a = *at;

    if (a != NULL) {
        *at = a->next;
        free(a);
    }
}

static int64_t absent_for(struct pg_hints *h, const struct kedge_id128 *id, int64_t extended)
{
    struct absent *a = *find_absent(h, id);
    int64_t now = pg_mono_us();

    if (a == NULL) {
        a = calloc(1, sizeof *a);
        if (a == NULL)
            return 0;
        a->id = *id;
        a->extended = extended;
        a->since = now;
        a->next = h->absent;
        h->absent = a;
    } else if (a->extended != extended) {
        a->extended = extended;
        a->since = now;
    }
    return now - a->since;
}

int64_t pg_hints_saw(struct pg_hints *h, const struct kedge_id128 *id, int64_t extended,
                     bool absent)
{
    int64_t us = 0;

    (void)pthread_mutex_lock(&h->lock);
    if (absent)
        us = absent_for(h, id, extended);
    else
        forget_absent(find_absent(h, id));
    (void)pthread_mutex_unlock(&h->lock);
    return us;
}

int64_t pg_hints_mass(struct pg_hints *h, size_t live, size_t absent, int64_t longest_ttl_us)
{
    int64_t now = pg_mono_us();
    int64_t mass;

    (void)pthread_mutex_lock(&h->lock);
    mass = kit_hints_mass(&h->mass_since, now, live, absent, longest_ttl_us);
    (void)pthread_mutex_unlock(&h->lock);
    return mass;
}
