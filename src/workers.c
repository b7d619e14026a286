/*
 * workers.c - who works here, and the locks that are held
 *
 * Both are the leases, one after the other, and what names each of them as its holder.  Nothing is
 * held still meanwhile: a run may go from one to the next and be counted twice, or not at all.
 */
#include <config.h>

#include <string.h>

#include <kedge/admin.h>
#include <kedge/store.h>

#include "args.h"
#include "reader.h"
#include "workers.h"

#define PAGE_HELD 256

uint32_t kedge_lease_worker_state(const struct kedge_lease *lease)
{
    if (lease->state == KEDGE_LEASE_DEAD)
        return KEDGE_WORKER_DEAD;
    if (lease->hint == KEDGE_HINT_ABSENT)
        return KEDGE_WORKER_GONE;
    return lease->state == KEDGE_LEASE_LAPSED ? KEDGE_WORKER_LAPSED : KEDGE_WORKER_ALIVE;
}

const char *kedge_worker_state_text(uint32_t state)
{
    static const char *const texts[] = {
        [KEDGE_WORKER_ALIVE] = "alive",
        [KEDGE_WORKER_GONE] = "gone",
        [KEDGE_WORKER_LAPSED] = "lapsed",
        [KEDGE_WORKER_DEAD] = "dead",
    };

    return state < sizeof texts / sizeof *texts && texts[state] != NULL ? texts[state] : "?";
}

/* ------------------------------------------------------------ what one holds */

/* One page of it; EACH may pause the reader. */
typedef int held_fn(void *ctx, struct kedge_reader *r, const struct kedge_lease *lease,
                    const struct kedge_held_page *page, struct kedge_error *err);

static int walk_held(struct kedge_reader *r, const struct kedge_lease *lease, held_fn *each,
                     void *ctx, struct kedge_error *err)
{
    struct kedge_bytes cursor = { NULL, 0 };
    struct kedge_mem *last = NULL; /* has the cursor */
    int rc;

    do {
        struct kedge_held_page page = { .mem = NULL };

        rc = r->ops->list_held(r->session, &lease->id, cursor, PAGE_HELD, &page,
                               kedge_reader_time(r), err);
        if (rc == KEDGE_NOT_FOUND) /* it was removed meanwhile: it holds nothing */
            rc = KEDGE_OK;
        kedge_mem_free(r->host, last);
        last = page.mem;
        if (rc == KEDGE_OK)
            rc = each(ctx, r, lease, &page, err);
        cursor = page.next;
    } while (rc == 0 && cursor.len > 0);
    kedge_mem_free(r->host, last);
    return rc;
}

/* ------------------------------------------------------------------- workers */

struct worker_walk {
    kedge_worker_info_fn *each;
    void *ctx;
    struct kedge_worker_info info;
};

static int count_held(void *ctx, struct kedge_reader *r, const struct kedge_lease *lease,
                      const struct kedge_held_page *page, struct kedge_error *err)
{
    struct kedge_worker_info *info = ctx;

    (void)r;
    (void)lease;
    (void)err;
    for (size_t i = 0; i < page->n; i++) {
        if (page->held[i].is_lock)
            info->locks++;
        else
            info->runs++;
    }
    return KEDGE_OK;
}

/* In the words of admin.h.  NULL: no memory. */
static const struct kedge_served *served_of(const struct kedge_host *host,
                                            const struct kedge_lease *lease, struct kedge_mem **mem)
{
    struct kedge_served *all = kedge_mem_alloc(host, mem, (lease->n_serves + 1) * sizeof *all);

    for (size_t i = 0; all != NULL && i < lease->n_serves; i++) {
        const struct kedge_serve *one = &lease->serves[i];

        all[i] =
            (struct kedge_served){ one->queue, one->reactor, one->version_min, one->version_max };
    }
    return all;
}

static int show_worker(void *ctx, struct kedge_reader *r, const struct kedge_lease *lease,
                       struct kedge_error *err)
{
    struct worker_walk *w = ctx;
    struct kedge_worker_info *info = &w->info;
    struct kedge_mem *mem = NULL;
    int rc;

    *info = (struct kedge_worker_info){
        .struct_size = sizeof *info,
        .owner = lease->owner,
        .state = kedge_lease_worker_state(lease),
        .granted = lease->granted,
        .ttl_us = lease->ttl_us,
        .remaining_us = lease->remaining_us,
        .serves = served_of(r->host, lease, &mem),
        .n_serves = lease->n_serves,
    };
    memcpy(info->id, lease->id.b, sizeof info->id);
    if (info->serves == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    rc = walk_held(r, lease, count_held, info, err);
    if (rc == KEDGE_OK) {
        kedge_reader_pause(r);
        rc = w->each(w->ctx, info);
        if (rc == 0)
            rc = kedge_reader_resume(r, err);
    }
    kedge_mem_free(r->host, mem);
    return rc;
}

int kedge_worker_list(struct kedge_store *store, kedge_worker_info_fn *each, void *ctx,
                      int64_t timeout_us, struct kedge_error *err)
{
    struct worker_walk w = { .each = each, .ctx = ctx };
    struct kedge_reader r;
    int rc = each != NULL ? kedge_reader_begin(&r, store, timeout_us, err)
                          : kedge_args_null("each", err);

    if (rc != KEDGE_OK)
        return rc;
    rc = kedge_reader_leases(&r, show_worker, &w, NULL, err);
    kedge_reader_end(&r);
    return rc;
}

/* --------------------------------------------------------------------- locks */

struct lock_walk {
    kedge_lock_info_fn *each;
    void *ctx;
};

static bool has_lock(const struct kedge_held_page *page)
{
    for (size_t i = 0; i < page->n; i++) {
        if (page->held[i].is_lock)
            return true;
    }
    return false;
}

static int show_locks(void *ctx, struct kedge_reader *r, const struct kedge_lease *lease,
                      const struct kedge_held_page *page, struct kedge_error *err)
{
    struct lock_walk *w = ctx;
    struct kedge_lock_info info = {
        .struct_size = sizeof info,
        .owner = lease->owner,
        .state = kedge_lease_worker_state(lease),
        .remaining_us = lease->remaining_us,
    };
    int rc = 0;

    if (!has_lock(page))
        return KEDGE_OK;
    memcpy(info.holder, lease->id.b, sizeof info.holder);
    kedge_reader_pause(r);
    for (size_t i = 0; i < page->n && rc == 0; i++) {
        info.name = page->held[i].name;
        info.fence = page->held[i].fence;
        rc = page->held[i].is_lock ? w->each(w->ctx, &info) : 0;
    }
    return rc == 0 ? kedge_reader_resume(r, err) : rc;
}

static int walk_locks(void *ctx, struct kedge_reader *r, const struct kedge_lease *lease,
                      struct kedge_error *err)
{
    return walk_held(r, lease, show_locks, ctx, err);
}

int kedge_lock_list(struct kedge_store *store, kedge_lock_info_fn *each, void *ctx,
                    int64_t timeout_us, struct kedge_error *err)
{
    struct lock_walk w = { .each = each, .ctx = ctx };
    struct kedge_reader r;
    int rc = each != NULL ? kedge_reader_begin(&r, store, timeout_us, err)
                          : kedge_args_null("each", err);

    if (rc != KEDGE_OK)
        return rc;
    rc = kedge_reader_leases(&r, walk_locks, &w, NULL, err);
    kedge_reader_end(&r);
    return rc;
}
