/*
 * reconcile.c - what the store says this worker's lease holds, against what is in flight here
 *
 * The two differ after a claim whose answer never came, a run that could not be read, a commit that
 * was refused.  What is held and unknown here is handed back: due now, and no recovery is charged.
 * What is here and not held is let go.  It is also how a worker hears of requests for runs whose
 * steps take their time.
 *
 * The driver does it.  Nobody else claims or commits, so no difference is one of time, except for
 * an item in doubt, whose run may stand on either side: sending it again decides that.
 *
 * As it comes once per time to live at the latest, a claim goes with it if there was none for so
 * long: work that nobody told of.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "worker.h"

#define AGAIN_US  INT64_C(1000000)
#define PAGE_MOST 64

/* A run of the lease that is here.  No two fences of a store are equal. */
struct known {
    uint64_t fence;
    struct kedge_inflight *run;
    uint32_t requests;
    bool held;
};

struct look {
    struct kedge_id128 lease;
    struct known *known; /* by fence */
    size_t n;
    size_t released;
    bool failed; /* not all could be released */
};

bool kedge_reconcile_wanted(const struct kedge_worker *w, int64_t now)
{
    return now >= w->reconcile_at && now >= w->retry_at && !w->lease_dead && !w->claim_doubt &&
           !atomic_load(&w->stopping);
}

void kedge_reconcile_in(struct kedge_worker *w, int64_t delay_us)
{
    int64_t at = kedge_worker_now(w) + delay_us;

    if (at < w->reconcile_at)
        w->reconcile_at = at;
}

static int by_fence(const void *a, const void *b)
{
    const struct known *x = a;
    const struct known *y = b;

    return x->fence < y->fence ? -1 : x->fence > y->fence;
}

static bool look_begin(struct kedge_worker *w, struct look *look)
{
    *look = (struct look){ .lease = w->lease };
    look->known = w->host->alloc(w->host->ctx, (w->n_runs + 1) * sizeof *look->known);
    if (look->known == NULL)
        return false;
    for (struct kedge_inflight *run = w->runs; run != NULL; run = run->next) {
        if (memcmp(&run->lease, &look->lease, sizeof look->lease) == 0)
            look->known[look->n++] = (struct known){ run->fence, run, 0, false };
    }
    qsort(look->known, look->n, sizeof *look->known, by_fence);
    return true;
}

/* Is there an item in doubt that may have taken it? */
static bool in_doubt(struct kedge_worker *w, struct kedge_bytes id)
{
    bool found = false;

    (void)pthread_mutex_lock(&w->lock);
    for (const struct kedge_inflight *run = w->runs; run != NULL && !found; run = run->next)
        found =
            run->item.sealed && run->id.len == id.len && memcmp(run->id.data, id.data, id.len) == 0;
    (void)pthread_mutex_unlock(&w->lock);
    return found;
}

static bool is_stray(struct kedge_worker *w, struct look *look, const struct kedge_held *held)
{
    struct known key = { held->fence, NULL, 0, false };
    struct known *known;

    if (held->is_lock)
        return false;
    known = look->n > 0 ? bsearch(&key, look->known, look->n, sizeof key, by_fence) : NULL;
    if (known != NULL) {
        known->held = true;
        known->requests = held->requests;
    }
    return known == NULL && !in_doubt(w, held->name);
}

/* Hand back what of a page is not known. */
static void release_strays(struct kedge_worker *w, struct look *look,
                           const struct kedge_held_page *page)
{
    struct kedge_guard guards[PAGE_MOST];
    struct kedge_change changes[PAGE_MOST];
    struct kedge_commit commits[PAGE_MOST];
    struct kedge_answer answers[PAGE_MOST];
    size_t n = 0;
    int rc;

    for (size_t i = 0; i < page->n && n < PAGE_MOST; i++) {
        const struct kedge_held *held = &page->held[i];

        if (!is_stray(w, look, held))
            continue;
        guards[n] = (struct kedge_guard){ .kind = KEDGE_GUARD_HELD,
                                          .name = held->name,
                                          .lease = look->lease,
                                          .number = held->fence };
        changes[n] = (struct kedge_change){ .kind = KEDGE_RELEASE, .name = held->name };
        changes[n].release.place = KEDGE_PLACE_DUE;
        changes[n].release.when = (struct kedge_when){ 0, KEDGE_IN, 0 };
        commits[n] = (struct kedge_commit){
            .guards = &guards[n], .n_guards = 1, .changes = &changes[n], .n_changes = 1
        };
        (void)pthread_mutex_lock(&w->lock);
        kedge_worker_request(w, &commits[n].request);
        (void)pthread_mutex_unlock(&w->lock);
        n++;
    }
    if (n == 0)
        return;
    memset(answers, 0, sizeof answers);
    rc = w->ops->commit(w->driver_session, commits, n, answers, w->options.timeout_us, NULL);
    for (size_t i = 0; i < n; i++) {
        int outcome = rc == KEDGE_OK ? answers[i].outcome : rc;

        look->released += outcome == KEDGE_OK;
        look->failed |= outcome < 0;
    }
}

/* All pages.  No lock held. */
static int look_at_held(struct kedge_worker *w, struct look *look)
{
    struct kedge_bytes cursor = { NULL, 0 };
    struct kedge_mem *old = NULL;
    int rc;

    do {
        struct kedge_held_page page = { 0 };

        rc = w->ops->list_held(w->driver_session, &look->lease, cursor, PAGE_MOST, &page,
                               w->options.timeout_us, NULL);
        if (rc != KEDGE_OK)
            break;
        kedge_mem_free(w->host, old);
        old = page.mem;
        release_strays(w, look, &page);
        cursor = page.next;
    } while (cursor.len > 0);
    kedge_mem_free(w->host, old);
    return rc;
}

void kedge_reconcile(struct kedge_worker *w)
{
    struct look look;
    int64_t now = kedge_worker_now(w);
    int rc = KEDGE_ERR_NOMEM;

    w->reconcile_at = now + w->options.lease_ttl_us;
    /* Who made a run due may have died before he could tell of it. */
    if (now - w->claimed_at >= w->options.lease_ttl_us)
        w->claim_hint = true;
    if (look_begin(w, &look)) {
        (void)pthread_mutex_unlock(&w->lock);
        rc = look_at_held(w, &look);
        (void)pthread_mutex_lock(&w->lock);
    }
    if (rc != KEDGE_OK || look.failed)
        kedge_reconcile_in(w, AGAIN_US);
    for (size_t i = 0; i < look.n && rc == KEDGE_OK; i++) {
        if (look.known[i].held)
            kedge_asked_note(w, look.known[i].run, look.known[i].requests);
        else if (!look.known[i].run->item.sealed)
            kedge_inflight_lost(w, look.known[i].run, "this worker's lease does not hold it");
    }
    if (look.released > 0) {
        kedge_worker_log(w, LOG_NOTICE,
                         "%zu runs were held by this worker's lease and not known here; they are "
                         "due again",
                         look.released);
        w->claim_hint = true;
    }
    w->host->release(w->host->ctx, look.known);
}
