/*
 * run_read.c - read runs: one, until it is at rest, many, and what became of the steps of one
 *
 * Head and journal are read one after the other, and a run may go on in between.  The incarnation
 * in every look at the journal keeps two runs of the same name apart; nothing else can go wrong, as
 * a journal only grows.
 */
#include <config.h>

#include <stddef.h>
#include <string.h>

#include <kedge/run.h>
#include <kedge/store.h>

#include "args.h"
#include "reader.h"
#include "record.h"

/* ------------------------------------------------------------------ a head */

static void info_of(struct kedge_run_info *info, const struct kedge_run *run)
{
    *info = (struct kedge_run_info){
        .struct_size = sizeof *info,
        .id = run->id,
        .reactor = run->reactor,
        .queue = run->queue,
        .context = run->context,
        .parent = run->parent,
        .version = run->version,
        .status = run->status,
        .place = run->place,
        .recoveries = run->recoveries,
        /* A run that came to its end first leaves them as they are. */
        .requests = run->place != KEDGE_PLACE_REST ? run->requests : 0,
        .incarnation = run->incarnation,
        .fence = run->fence,
        .records = run->position,
        .created = run->created,
        .finished = run->finished,
        .due = run->due,
        .expires = run->expires,
    };
    memcpy(info->holder, run->holder.b, sizeof info->holder);
}

/* What is handed out, and whose memory it is. */
struct handed {
    const struct kedge_host *host;
    struct kedge_run_info info;
};

/* INFO and all it points to, in one piece of memory. */
static struct kedge_run_info *info_copy(const struct kedge_host *host,
                                        const struct kedge_run_info *info)
{
    struct handed *handed;
    struct kedge_run_info *copy;
    unsigned char *at;
    size_t size = sizeof *handed + info->id.len + info->reactor.len + info->queue.len +
                  info->context.len + info->parent.len + info->result.len + info->error.len +
                  info->error_step.len;

    handed = host->alloc(host->ctx, size);
    if (handed == NULL)
        return NULL;
    handed->host = host;
    copy = &handed->info;
    *copy = *info;
    at = (unsigned char *)(handed + 1);
    struct kedge_bytes *members[] = {
        &copy->id,     &copy->reactor, &copy->queue, &copy->context,
        &copy->parent, &copy->result,  &copy->error, &copy->error_step
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (members[i]->len != 0)
            memcpy(at, members[i]->data, members[i]->len);
        members[i]->data = at;
        at += members[i]->len;
    }
    return copy;
}

void kedge_run_info_free(struct kedge_run_info *info)
{
    struct handed *handed;

    if (info == NULL)
        return;
    handed = (void *)((unsigned char *)info - offsetof(struct handed, info));
    handed->host->release(handed->host->ctx, handed);
}

/* --------------------------------------------------------------- its result */

/* One record of the run, decoded.  NOT_FOUND: the run, or the record, is not there (any more). */
static int read_record(struct kedge_reader *r, const struct kedge_run *run, uint64_t number,
                       struct kedge_mem **mem, struct kedge_rec *rec, struct kedge_error *err)
{
    struct kedge_record_page page = { .mem = NULL };
    int rc = r->ops->retrieve_records(r->session, run->id, run->incarnation, number, 1, 1, &page,
                                      kedge_reader_time(r), err);

    if (rc != KEDGE_OK)
        return rc;
    *mem = page.mem;
    if (page.n == 0)
        return KEDGE_NOT_FOUND;
    return kedge_record_read(&page.records[0], rec, err);
}

/* What INFO borrows from while it is put together. */
struct ending {
    struct kedge_mem *end;
    struct kedge_mem *result;
    struct kedge_reactor *reactor;
    char name[KEDGE_STEP_NAME_ROOM];
};

static void ending_free(struct kedge_reader *r, struct ending *e)
{
    kedge_mem_free(r->host, e->end);
    kedge_mem_free(r->host, e->result);
    kedge_reactor_free(e->reactor);
}

static int add_error(struct kedge_reader *r, const struct kedge_run *run,
                     const struct kedge_rec *rec, struct ending *e, struct kedge_run_info *info,
                     struct kedge_error *err)
{
    int rc;

    info->error = rec->text;
    if (rec->step == KEDGE_NO_STEP)
        return KEDGE_OK;
    rc = kedge_reader_definition(r, run, &e->reactor, err);
    if (rc == KEDGE_OK)
        info->error_step = kedge_text(kedge_reader_step_name(e->reactor, rec->step, e->name));
    return rc;
}

/*
 * The last record says how the run ended.  A run may have been put to rest without one (what is in
 * its journal could not be understood, for instance): then there is nothing to tell.
 */
static int add_ending(struct kedge_reader *r, const struct kedge_run *run, struct ending *e,
                      struct kedge_run_info *info, struct kedge_error *err)
{
    struct kedge_rec rec;
    struct kedge_rec value;
    int rc;

    if (run->place != KEDGE_PLACE_REST || run->position == 0)
        return KEDGE_OK;
    rc = read_record(r, run, run->position, &e->end, &rec, err);
    if (rc != KEDGE_OK || (rec.kind != KEDGE_RECORD_END && rec.kind != KEDGE_RECORD_ASIDE))
        return rc;
    if (run->status != KEDGE_COMPLETED)
        return add_error(r, run, &rec, e, info, err);
    if (rec.number == 0)
        return KEDGE_OK;
    rc = read_record(r, run, rec.number, &e->result, &value, err);
    if (rc == KEDGE_OK && !value.has_value)
        rc = kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                             "record %llu should hold the run's result and has no value",
                             (unsigned long long)rec.number);
    if (rc == KEDGE_OK)
        info->result = value.value;
    return rc;
}

static int read_info(struct kedge_reader *r, const struct kedge_run *run, uint32_t want,
                     struct kedge_run_info **out, struct kedge_error *err)
{
    struct kedge_run_info info;
    struct ending e = { .end = NULL };
    int rc = KEDGE_OK;

    info_of(&info, run);
    if ((want & KEDGE_RUN_WANT_RESULT) != 0)
        rc = add_ending(r, run, &e, &info, err);
    if (rc == KEDGE_OK) {
        *out = info_copy(r->host, &info);
        if (*out == NULL)
            rc = kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    ending_free(r, &e);
    return rc;
}

int kedge_run_get(struct kedge_store *store, struct kedge_bytes id, uint32_t want,
                  struct kedge_run_info **info, int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_run_state state = { .mem = NULL };
    struct kedge_reader r;
    int rc;

    if (info == NULL)
        return kedge_args_null("info", err);
    if ((want & ~KEDGE_RUN_WANT_RESULT) != 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "want is 0x%x; this library, version %s, knows 0x%x only",
                               (unsigned)want, kedge_version(), (unsigned)KEDGE_RUN_WANT_RESULT);
    rc = kedge_reader_begin(&r, store, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = kedge_args_id(r.ops, id, err);
    if (rc == KEDGE_OK)
        rc = kedge_reader_head(&r, id, &state, err);
    if (rc == KEDGE_OK) {
        rc = read_info(&r, &state.run, want, info, err);
        kedge_mem_free(r.host, state.mem);
    }
    kedge_reader_end(&r);
    return rc;
}

/* -------------------------------------------------------------------- wait */

#define FIRST_LOOK_US INT64_C(1000)
#define LAST_LOOK_US  INT64_C(50000)

/* One look.  OK: it is at rest; QUIET: it is not. */
static int look(struct kedge_reader *r, struct kedge_bytes id, struct kedge_run_info **info,
                struct kedge_error *err)
{
    struct kedge_run_state state = { .mem = NULL };
    int rc = kedge_reader_head(r, id, &state, err);

    if (rc != KEDGE_OK)
        return rc;
    if (state.run.place != KEDGE_PLACE_REST)
        rc = KEDGE_QUIET;
    else if (info != NULL)
        rc = read_info(r, &state.run, KEDGE_RUN_WANT_RESULT, info, err);
    kedge_mem_free(r->host, state.mem);
    return rc;
}

static int wait_for(struct kedge_reader *r, struct kedge_waiter *waiter,
                    struct kedge_run_info **info, struct kedge_error *err)
{
    int64_t pause = FIRST_LOOK_US;
    int64_t left;
    int seen = 0;
    int rc;

    for (;;) {
        rc = look(r, waiter->id, info, err);
        left = r->deadline - kedge_monotonic_us();
        /* A look in the last moment may find the store busy: that is our time being up. */
        if (rc == KEDGE_ERR_UNAVAILABLE && seen && left <= 0)
            return KEDGE_QUIET;
        if (rc != KEDGE_QUIET || left <= 0)
            return rc;
        seen = 1;
        kedge_reader_pause(r);
        kedge_waiter_sleep(waiter, pause < left ? pause : left);
        rc = kedge_reader_resume(r, err);
        if (rc != KEDGE_OK)
            return rc;
        pause = 2 * pause < LAST_LOOK_US ? 2 * pause : LAST_LOOK_US;
    }
}

int kedge_run_wait(struct kedge_store *store, struct kedge_bytes id, struct kedge_run_info **info,
                   int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_waiter waiter;
    struct kedge_reader r;
    int rc = kedge_reader_begin(&r, store, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = kedge_args_id(r.ops, id, err);
    if (rc == KEDGE_OK)
        rc = kedge_waiter_begin(&waiter, id, err);
    if (rc == KEDGE_OK) {
        rc = wait_for(&r, &waiter, info, err);
        kedge_waiter_end(&waiter);
    }
    kedge_reader_end(&r);
    return rc;
}

/* -------------------------------------------------------------------- list */

#define PAGE_RUNS 256

static int import_filter(struct kedge_run_filter *to, const struct kedge_run_filter *from,
                         struct kedge_error *err)
{
    int rc;

    *to = (struct kedge_run_filter)KEDGE_RUN_FILTER_INIT;
    if (from == NULL)
        return KEDGE_OK;
    rc = kedge_args_import(to, sizeof *to, from, from->struct_size, "filter",
                           "KEDGE_RUN_FILTER_INIT", err);
    if (rc == KEDGE_OK && (to->statuses & ~KEDGE_STATUSES_ALL) != 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "filter.statuses is 0x%x, which has bits of no status",
                             (unsigned)to->statuses);
    if (rc == KEDGE_OK && to->newest_first > 1)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "filter.newest_first is neither 0 nor 1");
    if (rc == KEDGE_OK && (to->unserved > 1 || to->reserved != 0))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "filter.unserved is neither 0 nor 1");
    if (rc == KEDGE_OK && to->reactor.len != 0 && to->reactor.data == NULL)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "filter.reactor has a length but no bytes");
    return rc;
}

/* Hand out one page, without a session.  *LEFT: how many more are wanted. */
static int show_page(const struct kedge_run_page *page, uint64_t *left, kedge_run_fn *each,
                     void *ctx)
{
    struct kedge_run_info info;
    int rc = 0;

    for (size_t i = 0; rc == 0 && *left > 0 && i < page->n; i++, --*left) {
        info_of(&info, &page->runs[i]);
        rc = each(ctx, &info);
    }
    return rc;
}

/* What all workers alive serve, together. */
struct served {
    struct kedge_serve *all; /* borrowed from MEM */
    size_t n;
    size_t room;
    struct kedge_mem *mem;
};

static int add_served(struct kedge_reader *r, struct served *s, const struct kedge_lease *lease,
                      struct kedge_error *err)
{
    size_t need = s->n + lease->n_serves;
    struct kedge_serve *more;

    if (need > s->room) {
        more = r->host->alloc(r->host->ctx, 2 * need * sizeof *more);
        if (more == NULL)
            return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
        if (s->n > 0)
            memcpy(more, s->all, s->n * sizeof *more);
        r->host->release(r->host->ctx, s->all);
        s->all = more;
        s->room = 2 * need;
    }
    if (lease->n_serves > 0)
        memcpy(s->all + s->n, lease->serves, lease->n_serves * sizeof *more);
    s->n = need;
    return KEDGE_OK;
}

static void hang_on(struct served *s, struct kedge_mem *mem)
{
    struct kedge_mem *end = mem;

    if (mem == NULL)
        return;
    while (end->next != NULL)
        end = end->next;
    end->next = s->mem;
    s->mem = mem;
}

static int read_served(struct kedge_reader *r, struct served *s, struct kedge_error *err)
{
    struct kedge_bytes cursor = { NULL, 0 };
    int rc = KEDGE_OK;

    do {
        struct kedge_lease_page page = { .mem = NULL };

        rc = r->ops->lease_list(r->session, cursor, PAGE_RUNS, &page, kedge_reader_time(r), err);
        if (rc != KEDGE_OK)
            return rc;
        hang_on(s, page.mem);
        for (size_t i = 0; i < page.n && rc == KEDGE_OK; i++) {
            if (page.leases[i].state == KEDGE_LEASE_LIVE)
                rc = add_served(r, s, &page.leases[i], err);
        }
        cursor = page.next;
    } while (rc == KEDGE_OK && cursor.len != 0);
    return rc;
}

int kedge_run_list(struct kedge_store *store, const struct kedge_run_filter *filter,
                   kedge_run_fn *each, void *ctx, int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_run_filter f;
    struct kedge_list what = { .limit = 0 };
    struct kedge_mem *last = NULL; /* has the cursor */
    struct served served = { .n = 0 };
    struct kedge_reader r;
    uint64_t left;
    int rc = each != NULL ? import_filter(&f, filter, err) : kedge_args_null("each", err);

    if (rc == KEDGE_OK)
        rc = kedge_reader_begin(&r, store, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    left = f.limit != 0 ? f.limit : UINT64_MAX;
    what.statuses = f.statuses;
    what.newest_first = f.newest_first;
    what.reactor = f.reactor;
    what.unserved = f.unserved;
    if (f.unserved)
        rc = read_served(&r, &served, err);
    what.serves = served.all;
    what.n_serves = served.n;
    while (rc == 0) {
        struct kedge_run_page page = { .mem = NULL };
        uint64_t most = r.ops->limits->page_max < PAGE_RUNS ? r.ops->limits->page_max : PAGE_RUNS;

        what.limit = (size_t)(left < most ? left : most);
        rc = r.ops->list(r.session, &what, &page, kedge_reader_time(&r), err);
        kedge_mem_free(r.host, last);
        last = page.mem;
        if (rc != KEDGE_OK)
            break;
        kedge_reader_pause(&r);
        rc = show_page(&page, &left, each, ctx);
        what.cursor = page.next;
        if (rc != 0 || left == 0 || what.cursor.len == 0)
            break;
        rc = kedge_reader_resume(&r, err);
    }
    kedge_mem_free(r.host, last);
    kedge_mem_free(r.host, served.mem);
    r.host->release(r.host->ctx, served.all);
    kedge_reader_end(&r);
    return rc;
}

/* ------------------------------------------------------------------- texts */

const char *kedge_run_status_text(uint32_t status)
{
    static const char *const texts[] = {
        [KEDGE_PENDING] = "pending",
        [KEDGE_RUNNING] = "running",
        [KEDGE_ROLLING_BACK] = "rolling back",
        [KEDGE_PAUSED] = "paused",
        [KEDGE_COMPLETED] = "completed",
        [KEDGE_FAILED] = "failed",
        [KEDGE_HALTED] = "halted",
        [KEDGE_CANCELLED] = "cancelled",
        [KEDGE_STUCK] = "stuck",
        [KEDGE_ABORTED] = "aborted",
    };

    return status < sizeof texts / sizeof *texts && texts[status] != NULL ? texts[status] : "?";
}

const char *kedge_run_place_text(uint32_t place)
{
    static const char *const texts[] = {
        [KEDGE_PLACE_DUE] = "due",
        [KEDGE_PLACE_HELD] = "held",
        [KEDGE_PLACE_PARKED] = "parked",
        [KEDGE_PLACE_REST] = "at rest",
    };

    return place < sizeof texts / sizeof *texts && texts[place] != NULL ? texts[place] : "?";
}

const char *kedge_step_state_text(uint32_t state)
{
    static const char *const texts[] = {
        [KEDGE_STEP_WAITING] = "waiting", [KEDGE_STEP_READY] = "ready",
        [KEDGE_STEP_DELAYED] = "delayed", [KEDGE_STEP_DONE] = "done",
        [KEDGE_STEP_SKIPPED] = "skipped", [KEDGE_STEP_FAILED] = "failed",
        [KEDGE_STEP_HALTED] = "halted",   [KEDGE_STEP_COMPENSATED] = "compensated",
        [KEDGE_STEP_UNDONE] = "undone",   [KEDGE_STEP_UNDO_FAILED] = "undo failed",
        [KEDGE_STEP_DROPPED] = "dropped", [KEDGE_STEP_LEFT] = "left",
    };

    return state < sizeof texts / sizeof *texts && texts[state] != NULL ? texts[state] : "?";
}
