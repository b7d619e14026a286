/*
 * run_read.c - read runs: one, until it is at rest, many, and what became of the steps of one
 *
 * Head and journal are read one after the other, and a run may go on in between.  The incarnation
 * in every look at the journal keeps two runs of the same name apart; nothing else can go wrong, as
 * a journal only grows.
 */
#include <config.h>

#include <stdbool.h>
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
/* What the store gets for a look, however short the wait: a server has to be asked. */
#define LOOK_PATIENCE_US INT64_C(1000000)

/* One look.  OK: it is at rest; QUIET: it is not. */
static int look(struct kedge_reader *r, struct kedge_bytes id, struct kedge_run_info **info,
                int64_t end, struct kedge_error *err)
{
    struct kedge_run_state state = { .mem = NULL };
    int64_t least = kedge_monotonic_us() + LOOK_PATIENCE_US;
    int rc;

    r->deadline = end > least ? end : least;
    rc = kedge_reader_head(r, id, &state, err);
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
    int64_t end = r->deadline;
    int64_t left;
    int seen = 0;
    int rc;

    for (;;) {
        rc = look(r, waiter->id, info, end, err);
        left = end - kedge_monotonic_us();
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

/* What the first release knew of a filter. */
#define FILTER_FIRST offsetof(struct kedge_run_filter, queue)

static int check_filter_bytes(struct kedge_bytes bytes, const char *name, struct kedge_error *err)
{
    if (bytes.len != 0 && bytes.data == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "filter.%s has a length but no bytes",
                               name);
    return KEDGE_OK;
}

static int import_filter(struct kedge_run_filter *to, const struct kedge_run_filter *from,
                         struct kedge_error *err)
{
    int rc;

    *to = (struct kedge_run_filter)KEDGE_RUN_FILTER_INIT;
    if (from == NULL)
        return KEDGE_OK;
    rc = kedge_args_import_grown(to, sizeof *to, FILTER_FIRST, from, from->struct_size, "filter",
                                 "KEDGE_RUN_FILTER_INIT", err);
    if (rc == KEDGE_OK && (to->statuses & ~KEDGE_STATUSES_ALL) != 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "filter.statuses is 0x%x, which has bits of no status",
                             (unsigned)to->statuses);
    if (rc == KEDGE_OK && to->newest_first > 1)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "filter.newest_first is neither 0 nor 1");
    if (rc == KEDGE_OK && (to->unserved > 1 || to->reserved != 0))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "filter.unserved is neither 0 nor 1");
    if (rc == KEDGE_OK)
        rc = check_filter_bytes(to->reactor, "reactor", err);
    if (rc == KEDGE_OK)
        rc = check_filter_bytes(to->queue, "queue", err);
    if (rc == KEDGE_OK)
        rc = check_filter_bytes(to->id_prefix, "id_prefix", err);
    if (rc == KEDGE_OK && (to->created_from < 0 || to->created_to < 0))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "filter.%s is negative",
                             to->created_from < 0 ? "created_from" : "created_to");
    return rc;
}

static bool begins_with(struct kedge_bytes bytes, struct kedge_bytes prefix)
{
    return bytes.len >= prefix.len &&
           (prefix.len == 0 || memcmp(bytes.data, prefix.data, prefix.len) == 0);
}

/* Does the filter ask for more than the store looks at? */
static bool is_fine(const struct kedge_run_filter *f)
{
    return f->queue.len != 0 || f->id_prefix.len != 0 || f->created_from != 0 || f->created_to != 0;
}

/* The part of the filter that the store does not know.  Of a run that cannot be understood it is
   not known when it was created: no time fits it. */
static bool fits(const struct kedge_run_filter *f, const struct kedge_run *run)
{
    if (f->queue.len != 0 && (run->queue.len != f->queue.len || !begins_with(run->queue, f->queue)))
        return false;
    if ((f->created_from != 0 || f->created_to != 0) && run->created == 0)
        return false;
    return begins_with(run->id, f->id_prefix) && run->created >= f->created_from &&
           (f->created_to == 0 || run->created < f->created_to);
}

/*
 * Can nothing after RUN be young enough?  The list goes by incarnations, and none is below the time
 * of its run's creation, whatever the clock did: so an incarnation that is too low ends it.  The
 * other way round, and for created_to, there is no such end: the clock may have been set back at
 * any time, and then what was created early stands late in the list.
 */
static bool is_past(const struct kedge_run_filter *f, const struct kedge_run *run)
{
    return f->newest_first && f->created_from > 0 && run->incarnation != 0 &&
           run->incarnation < (uint64_t)f->created_from;
}

/* Where a walk stands. */
struct walk {
    struct kedge_run_filter f;
    uint64_t left; /* how many more are wanted */
    bool past;     /* nothing that comes can fit */
};

/* Hand out one page, without a session. */
static int show_page(struct walk *w, const struct kedge_run_page *page, kedge_run_fn *each,
                     void *ctx)
{
    struct kedge_run_info info;
    int rc = 0;

    for (size_t i = 0; rc == 0 && w->left > 0 && !w->past && i < page->n; i++) {
        w->past = is_past(&w->f, &page->runs[i]);
        if (!fits(&w->f, &page->runs[i]))
            continue;
        w->left--;
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

static int add_served(void *ctx, struct kedge_reader *r, const struct kedge_lease *lease,
                      struct kedge_error *err)
{
    struct served *s = ctx;
    size_t need = s->n + lease->n_serves;
    struct kedge_serve *more;

    if (lease->state != KEDGE_LEASE_LIVE || lease->n_serves == 0)
        return KEDGE_OK;
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
    memcpy(s->all + s->n, lease->serves, lease->n_serves * sizeof *more);
    s->n = need;
    return KEDGE_OK;
}

static void ask_for(struct kedge_list *what, const struct kedge_run_filter *f,
                    const struct served *served)
{
    *what = (struct kedge_list){
        .statuses = f->statuses,
        .newest_first = f->newest_first,
        .reactor = f->reactor,
        .unserved = f->unserved,
        .serves = served->all,
        .n_serves = served->n,
    };
}

static int walk_list(struct walk *w, struct kedge_reader *r, struct kedge_list *what,
                     kedge_run_fn *each, void *ctx, struct kedge_error *err)
{
    uint64_t most = r->ops->limits->page_max < PAGE_RUNS ? r->ops->limits->page_max : PAGE_RUNS;
    struct kedge_mem *last = NULL; /* has the cursor */
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK) {
        struct kedge_run_page page = { .mem = NULL };

        what->limit = (size_t)(w->left < most && !is_fine(&w->f) ? w->left : most);
        rc = r->ops->list(r->session, what, &page, kedge_reader_time(r), err);
        kedge_mem_free(r->host, last);
        last = page.mem;
        if (rc != KEDGE_OK)
            break;
        kedge_reader_pause(r);
        rc = show_page(w, &page, each, ctx);
        what->cursor = page.next;
        if (rc != 0 || w->left == 0 || w->past || what->cursor.len == 0)
            break;
        rc = kedge_reader_resume(r, err);
    }
    kedge_mem_free(r->host, last);
    return rc;
}

int kedge_run_list(struct kedge_store *store, const struct kedge_run_filter *filter,
                   kedge_run_fn *each, void *ctx, int64_t timeout_us, struct kedge_error *err)
{
    struct served served = { .n = 0 };
    struct kedge_list what;
    struct kedge_reader r;
    struct walk w = { .past = false };
    int rc = each != NULL ? import_filter(&w.f, filter, err) : kedge_args_null("each", err);

    if (rc == KEDGE_OK)
        rc = kedge_reader_begin(&r, store, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    w.left = w.f.limit != 0 ? w.f.limit : UINT64_MAX;
    if (w.f.unserved)
        rc = kedge_reader_leases(&r, add_served, &served, &served.mem, err);
    ask_for(&what, &w.f, &served);
    if (rc == KEDGE_OK)
        rc = walk_list(&w, &r, &what, each, ctx, err);
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
