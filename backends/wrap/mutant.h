/*
 * mutant.h - the wrapper `mutant': a backend with one defect, chosen in the URL
 *
 *	mutant,m05+lmdb:/x
 *
 * What each of them does wrong, and which cases of the conformance suite must notice, stands in
 * mutants.def.  A defect is a table with the operations that are done differently, or a few
 * functions that look at parts of commits; everything else is passed on.
 *
 *   X1  A mutant has one defect: what it does beside it is what the backend below does.
 *   X2  A defect that is a race waits inside itself until the other side has come, or for a time
 *       that is long for the other side: it is seen each time, not now and then.
 *   X3  It asks below by calls of its own with new request ids, so that it changes no resend.
 */
#ifndef KEDGE_WRAP_MUTANT_H
#define KEDGE_WRAP_MUTANT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "kit.h"

#define MUTANT_NAME_MAX 128
#define MUTANT_NOTES    512

/* Something a mutant remembers of a lock, cell, run or lease. */
struct mutant_note {
    uint8_t name[MUTANT_NAME_MAX];
    size_t len;
    uint64_t number;
    int64_t time;
    bool set;
};

struct mutant {
    const struct kedge_host *host;
    const struct mutant_kind *kind;
    long pid; /* of the process that opened it */
    pthread_mutex_t lock;
    _Atomic uint64_t count;
    size_t next;
    struct mutant_note notes[MUTANT_NOTES];
};

/* One commit on its way. */
struct mutant_cut {
    struct wrap_below b;
    struct mutant *m;
    const struct kedge_commit *commit; /* as it was sent */
};

struct mutant_kind {
    /* Instead of those below; with the wrapper's own session. */
    struct kedge_backend_ops ops;
    /* Parts of each commit before it goes below. */
    void (*guard)(const struct mutant_cut *cut, struct kedge_guard *g);
    void (*change)(const struct mutant_cut *cut, struct kedge_change *c);
    void (*request)(const struct mutant_cut *cut, struct kedge_id128 *request);
    /* And its answer, when the whole call was answered. */
    void (*answer)(const struct mutant_cut *cut, struct kedge_answer *a);
    /* What is done before and after each call, those without a session among them. */
    enum wrap_verdict (*before)(struct wrap_call *call);
    void (*after)(struct wrap_call *call);
};

#define MUTANT(id, ...) extern const struct mutant_kind mutant_##id;
#define SWITCH(...)
#define ALSO(...)
#include "mutants.def"
#undef MUTANT
#undef SWITCH
#undef ALSO

/* ------------------------------------------------------------ for defects */

#define COMMIT_PARAMS                                                                              \
    void *s, const struct kedge_commit *commits, size_t n, struct kedge_answer *answers, WRAP_TAIL
#define MUTANT_PATIENCE 10000000 /* us */

static inline struct mutant *mutant_of(const struct wrap_below *b)
{
    return b->self;
}
/* The commits with the kind's functions applied; sent as one call. */
int mutant_commit(COMMIT_PARAMS);

bool mutant_same(struct kedge_bytes a, struct kedge_bytes b);
bool mutant_same_id(const struct kedge_id128 *a, const struct kedge_id128 *b);
/* An id that nobody has. */
struct kedge_id128 mutant_new_id(void);
void mutant_pause(int64_t us);
/* A guard that holds and a change that changes nothing, in place of others. */
struct kedge_guard mutant_always(void);
struct kedge_change mutant_nothing(void);
int mutant_send(const struct wrap_below *b, const struct kedge_guard *guards, size_t n_guards,
                const struct kedge_change *changes, size_t n_changes);
/* KEDGE_OK: *ST is to be freed with mutant_free. */
int mutant_head(const struct wrap_below *b, struct kedge_bytes id, struct kedge_run_state *st);
void mutant_free(const struct wrap_below *b, struct kedge_mem *mem);
/* The record of a lease; strings in it are gone. */
bool mutant_lease(const struct wrap_below *b, const struct kedge_id128 *id,
                  struct kedge_lease *lease);
/* The first run that FITS, by the order of creation or the other way round; its state is to be
 * freed.
 */
bool mutant_find_run(const struct wrap_below *b, bool newest,
                     bool (*fits)(const struct wrap_below *b, const struct kedge_run *r),
                     struct kedge_run_state *st);
/* A whole note, made if MAKE says so; the caller has m->lock.  Long names have none. */
struct mutant_note *mutant_note(struct mutant *m, struct kedge_bytes name, bool make);
struct kedge_bytes mutant_id_bytes(const struct kedge_id128 *id);
int64_t mutant_now(const struct wrap_below *b, uint32_t clock);

#endif
