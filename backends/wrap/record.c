/*
 * record.c - the wrapper `record': a history of calls for programs that judge it afterwards
 *
 *	record,to=/tmp/history.jsonl+redis://...
 *
 *   to=PATH   where lines are appended; must be said
 *
 * One line of JSON for each call, in the order in which they were answered.  Several processes may
 * write into one file.  Every line has
 *
 *   i, pid, tid   number of the call in its process, by when it began; who called
 *   op, rc        member of struct kedge_backend_ops; name of the status without KEDGE_
 *   call, ret     CLOCK_MONOTONIC in us, before and after, the same for all processes of a host; a
 *                 call that is not answered has no line
 *
 * and what decided: name, lease, request, fence, incarnation, first, set, limit, seen, ttl_us; and,
 * if there was an answer, what was handed out, by the names of the header's members.  Guards and
 * changes have `kind' as the header's words, without KEDGE_ or KEDGE_GUARD_.  Values and records
 *are left out, their lengths are not.  Bytes that are no printable ASCII, '"' and '\' are \xHH.
 */
#include <config.h>

#include <inttypes.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kit.h"

#include "../kit/url.h"

const char *const wrap_name = "record";

struct record {
    const struct kedge_host *host;
    struct wrap_file file;
};

/* Of this process, however many stores it has open. */
static _Atomic uint64_t calls;

int wrap_self_open(const struct kedge_host *host, struct kedge_bytes settings, void **self,
                   struct kedge_error *err)
{
    struct record *r = host->alloc(host->ctx, sizeof *r);
    struct kedge_bytes key;
    struct kedge_bytes value;
    int rc = KEDGE_OK;

    if (r == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    r->host = host;
    r->file = (struct wrap_file)WRAP_FILE_NONE;
    while (rc == KEDGE_OK && wrap_setting(&settings, &key, &value))
        rc = kedge_url_is(key, "to") ? wrap_file_open(&r->file, host, value, err)
                                     : wrap_unknown(key, "to", err);
    if (rc == KEDGE_OK && r->file.fd < 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "%s: say with to=PATH where it is to be kept", wrap_name);
    if (rc == KEDGE_OK)
        *self = r;
    else
        wrap_self_close(r);
    return rc;
}

void wrap_self_close(void *self)
{
    struct record *r = self;

    wrap_file_close(&r->file);
    r->host->release(r->host->ctx, r);
}

/* ------------------------------------------------------------------------ JSON */

static void add_key(struct wrap_line *line, const char *key)
{
    char last = line->len > 0 ? line->text[line->len - 1] : '{';

    wrap_add(line, "%s\"%s\":", last == '{' || last == '[' ? "" : ",", key);
}

static void add_number(struct wrap_line *line, const char *key, uint64_t number)
{
    add_key(line, key);
    wrap_add(line, "%" PRIu64, number);
}

static void add_time(struct wrap_line *line, const char *key, int64_t us)
{
    add_key(line, key);
    wrap_add(line, "%" PRId64, us);
}

static void add_text(struct wrap_line *line, const char *key, struct kedge_bytes text)
{
    add_key(line, key);
    wrap_add(line, "\"");
    wrap_add_bytes(line, text, true);
    wrap_add(line, "\"");
}

static void add_word(struct wrap_line *line, const char *key, const char *word)
{
    add_text(line, key, kedge_text(word));
}

static void add_id(struct wrap_line *line, const char *key, const struct kedge_id128 *id)
{
    add_key(line, key);
    wrap_add(line, "\"");
    wrap_add_id(line, id);
    wrap_add(line, "\"");
}

static void begin_list(struct wrap_line *line, const char *key)
{
    add_key(line, key);
    wrap_add(line, "[");
}

static void begin_item(struct wrap_line *line)
{
    wrap_add(line, line->len > 0 && line->text[line->len - 1] == '[' ? "{" : ",{");
}

static void end(struct wrap_line *line, const char *what)
{
    wrap_add(line, "%s", what);
}

/* --------------------------------------------------------------------- commits */

#define WORD(name) [KEDGE_##name] = #name
static const char *const change_words[] = { WORD(CREATE),    WORD(TAKE),        WORD(APPEND),
                                            WORD(SNAPSHOT),  WORD(SET),         WORD(RELEASE),
                                            WORD(WAKE),      WORD(REQUEST),     WORD(SLOTS),
                                            WORD(SLOT_PUT),  WORD(CELL_PUT),    WORD(CELL_DELETE),
                                            WORD(LOCK_TAKE), WORD(LOCK_RELEASE) };
#undef WORD
#define WORD(name) [KEDGE_GUARD_##name] = #name
static const char *const guard_words[] = { WORD(HELD),     WORD(ABSENT),     WORD(UNHELD),
                                           WORD(POSITION), WORD(LEASE_LIVE), WORD(LEASE_DEAD),
                                           WORD(LOCK),     WORD(CELL),       WORD(TIME) };
#undef WORD

/* A kind that does not exist is for the backend to refuse. */
static void add_kind(struct wrap_line *line, const char *const *words, size_t n, uint32_t kind)
{
    if (kind < n && words[kind] != NULL)
        add_word(line, "kind", words[kind]);
    else
        add_number(line, "kind", kind);
}

static void add_guard(struct wrap_line *line, const struct kedge_guard *g)
{
    begin_item(line);
    add_kind(line, guard_words, sizeof guard_words / sizeof guard_words[0], g->kind);
    add_text(line, "name", g->name);
    add_id(line, "lease", &g->lease);
    add_number(line, "number", g->number);
    if (g->kind == KEDGE_GUARD_TIME) {
        add_time(line, "from", g->from);
        add_time(line, "to", g->to);
    }
    if (g->kind == KEDGE_GUARD_UNHELD)
        add_number(line, "statuses", g->statuses);
    end(line, "}");
}

static void add_release(struct wrap_line *line, const struct kedge_change *c)
{
    add_number(line, "place", c->release.place);
    add_number(line, "status", c->release.status);
    add_number(line, "wakes_on", c->release.wakes_on);
}

static void add_slot_put(struct wrap_line *line, const struct kedge_change *c)
{
    add_number(line, "incarnation", c->slot.incarnation);
    add_number(line, "set", c->slot.set);
    add_number(line, "index", c->slot.index);
    add_number(line, "wake_at", c->slot.wake_at);
    add_number(line, "len", c->slot.value.len);
}

static void add_create(struct wrap_line *line, const struct kedge_run_new *r)
{
    add_text(line, "reactor", r->reactor);
    add_text(line, "queue", r->queue);
    add_number(line, "version", r->version);
    add_text(line, "parent", r->parent);
    add_number(line, "parent_incarnation", r->parent_incarnation);
    add_number(line, "parent_set", r->parent_set);
    add_number(line, "parent_slot", r->parent_slot);
    add_id(line, "lease", &r->lease);
}

static void add_change(struct wrap_line *line, const struct kedge_change *c)
{
    begin_item(line);
    add_kind(line, change_words, sizeof change_words / sizeof change_words[0], c->kind);
    add_text(line, "name", c->name);
    switch (c->kind) {
    case KEDGE_CREATE:
        if (c->create != NULL)
            add_create(line, c->create);
        break;
    case KEDGE_TAKE:
        add_id(line, "lease", &c->take.lease);
        break;
    case KEDGE_APPEND:
        add_number(line, "first", c->append.first);
        add_number(line, "n", c->append.n);
        break;
    case KEDGE_SNAPSHOT:
        add_number(line, "position", c->snapshot.position);
        add_number(line, "len", c->snapshot.data.len);
        break;
    case KEDGE_SET:
        add_number(line, "mask", c->set.mask);
        add_number(line, "status", c->set.status);
        break;
    case KEDGE_RELEASE:
        add_release(line, c);
        break;
    case KEDGE_REQUEST:
        add_number(line, "bits", c->request.bits);
        break;
    case KEDGE_SLOTS:
        add_number(line, "set", c->slots.set);
        add_number(line, "total", c->slots.total);
        break;
    case KEDGE_SLOT_PUT:
        add_slot_put(line, c);
        break;
    case KEDGE_CELL_PUT:
        add_number(line, "len", c->cell.value.len);
        break;
    case KEDGE_LOCK_TAKE:
    case KEDGE_LOCK_RELEASE:
        add_id(line, "lease", &c->lock.lease);
        add_number(line, "fence", c->lock.fence);
        break;
    default:
        break;
    }
    end(line, "}");
}

static void add_answer(struct wrap_line *line, const struct kedge_commit *c,
                       const struct kedge_answer *a)
{
    add_word(line, "outcome", wrap_status_name(a->outcome));
    add_number(line, "at", a->at);
    add_number(line, "requests", a->requests);
    add_number(line, "status", a->status);
    add_number(line, "revision", a->revision);
    add_number(line, "position", a->position);
    add_number(line, "fence", a->fence);
    if (a->outcome != KEDGE_OK || c->results == NULL)
        return;
    begin_list(line, "results");
    for (size_t i = 0; i < c->n_changes; i++)
        wrap_add(line, "%s%" PRIu64, i > 0 ? "," : "", c->results[i]);
    end(line, "]");
}

static void add_commits(struct wrap_line *line, const struct wrap_call *call)
{
    begin_list(line, "commits");
    for (size_t i = 0; i < call->n; i++) {
        const struct kedge_commit *c = &call->commits[i];

        begin_item(line);
        add_id(line, "request", &c->request);
        begin_list(line, "guards");
        for (size_t k = 0; k < c->n_guards; k++)
            add_guard(line, &c->guards[k]);
        end(line, "]");
        begin_list(line, "changes");
        for (size_t k = 0; k < c->n_changes; k++)
            add_change(line, &c->changes[k]);
        end(line, "]");
        if (call->rc == KEDGE_OK)
            add_answer(line, c, &call->answers[i]);
        end(line, "}");
    }
    end(line, "]");
}

/* --------------------------------------------------------------------- answers */

static void add_run(struct wrap_line *line, const struct kedge_run *r)
{
    add_text(line, "id", r->id);
    add_number(line, "incarnation", r->incarnation);
    add_number(line, "revision", r->revision);
    add_number(line, "fence", r->fence);
    add_number(line, "position", r->position);
    add_number(line, "status", r->status);
    add_number(line, "place", r->place);
    add_id(line, "holder", &r->holder);
}

static void add_runs(struct wrap_line *line, const struct kedge_run_page *page)
{
    begin_list(line, "runs");
    for (size_t i = 0; i < page->n; i++) {
        begin_item(line);
        add_run(line, &page->runs[i]);
        if (page->reasons != NULL)
            add_number(line, "reason", page->reasons[i]);
        end(line, "}");
    }
    end(line, "]");
    add_time(line, "next_due", page->next_due);
    add_number(line, "more", page->next.len > 0);
}

static void add_leases(struct wrap_line *line, const struct kedge_lease_page *page)
{
    begin_list(line, "leases");
    for (size_t i = 0; i < page->n; i++) {
        const struct kedge_lease *l = &page->leases[i];

        begin_item(line);
        add_id(line, "id", &l->id);
        add_number(line, "state", l->state);
        add_number(line, "hint", l->hint);
        add_time(line, "deadline", l->deadline);
        add_time(line, "remaining_us", l->remaining_us);
        end(line, "}");
    }
    end(line, "]");
}

static void add_held(struct wrap_line *line, const struct kedge_held_page *page)
{
    begin_list(line, "held");
    for (size_t i = 0; i < page->n; i++) {
        begin_item(line);
        add_text(line, "name", page->held[i].name);
        add_number(line, "is_lock", page->held[i].is_lock);
        add_number(line, "requests", page->held[i].requests);
        add_number(line, "fence", page->held[i].fence);
        end(line, "}");
    }
    end(line, "]");
}

static void add_lease_state(struct wrap_line *line, const struct kedge_lease_state *s)
{
    add_time(line, "deadline", s->deadline);
    add_time(line, "remaining_us", s->remaining_us);
    add_number(line, "attention", s->attention);
    add_number(line, "hint", s->hint);
}

/* Whose it is, and until when; `fence' stands among what was asked already. */
static void add_lock_state(struct wrap_line *line, const struct kedge_lock_state *s)
{
    add_id(line, "holder", &s->holder);
    add_number(line, "lock_fence", s->fence);
    add_time(line, "remaining_us", s->remaining_us);
}

/* An output of one type, its members in sight. */
#define SHOW_CASE(member, type, ...)                                                               \
    case WRAP_##member: {                                                                          \
        const type *out = call->out;                                                               \
        __VA_ARGS__                                                                                \
        break;                                                                                     \
    }

static void add_output(struct wrap_line *line, const struct wrap_call *call)
{
    switch ((int)call->op) {
        SHOW_CASE(now, struct kedge_time, add_time(line, "wall", out->wall);
                  add_time(line, "lease_clock", out->lease);)
        SHOW_CASE(lease_grant, struct kedge_lease_state, add_lease_state(line, out);)
        SHOW_CASE(lease_extend, struct kedge_lease_state, add_lease_state(line, out);)
        SHOW_CASE(lease_list, struct kedge_lease_page, add_leases(line, out);)
        SHOW_CASE(list_held, struct kedge_held_page, add_held(line, out);)
        SHOW_CASE(lock_acquire, struct kedge_lock_state, add_lock_state(line, out);)
        SHOW_CASE(lock_extend, struct kedge_lock_state, add_lock_state(line, out);)
        SHOW_CASE(lock_query, struct kedge_lock_state, add_lock_state(line, out);)
        SHOW_CASE(claim, struct kedge_run_page, add_runs(line, out);)
        SHOW_CASE(list_expired, struct kedge_run_page, add_runs(line, out);)
        SHOW_CASE(list, struct kedge_run_page, add_runs(line, out);)
        SHOW_CASE(cell_get, struct kedge_cell, add_number(line, "version", out->version);
                  add_time(line, "expires", out->expires); add_number(line, "len", out->value.len);)
        SHOW_CASE(purge, struct kedge_purged, add_number(line, "runs", out->runs);
                  add_number(line, "rows", out->rows); add_number(line, "more", out->more);)
        SHOW_CASE(verify, struct kedge_verified, add_number(line, "faults", out->faults);)
        SHOW_CASE(wait, uint64_t, add_number(line, "ticket", *out);)
        SHOW_CASE(retrieve_records, struct kedge_record_page, add_number(line, "n", out->n);
                  add_number(line, "next", out->next);)
        SHOW_CASE(retrieve_slots, struct kedge_slot_page, add_number(line, "n", out->n);
                  add_number(line, "total", out->total);
                  add_number(line, "remaining", out->remaining);)
        SHOW_CASE(retrieve, struct kedge_run_state, begin_list(line, "runs"); begin_item(line);
                  add_run(line, &out->run); end(line, "}]"); add_number(line, "n", out->n_tail);)
    default:
        break;
    }
}

/* ----------------------------------------------------------------------- calls */

/* What was asked for; what an operation does not have is not there. */
static void add_arguments(struct wrap_line *line, const struct wrap_call *call)
{
    if (call->name.len > 0)
        add_text(line, "name", call->name);
    if (call->lease != NULL)
        add_id(line, "lease", call->lease);
    if (call->request != NULL)
        add_id(line, "request", call->request);
    if (call->grant != NULL) {
        add_text(line, "owner", call->grant->owner);
        add_time(line, "ttl_us", call->grant->ttl_us);
    }
    if (call->op == WRAP_lock_extend || call->op == WRAP_lock_release)
        add_number(line, "fence", call->fence);
    if (call->incarnation != 0)
        add_number(line, "incarnation", call->incarnation);
    if (call->first != 0)
        add_number(line, "first", call->first);
    if (call->op == WRAP_retrieve_slots)
        add_number(line, "set", call->set);
    if (call->op == WRAP_wait)
        add_number(line, "seen", call->seen);
    if (call->limit != 0)
        add_number(line, "limit", call->limit);
}

enum wrap_verdict wrap_before(struct wrap_call *call)
{
    call->number = atomic_fetch_add(&calls, 1) + 1;
    call->begun = wrap_clock_us();
    return WRAP_GO;
}

void wrap_after(struct wrap_call *call)
{
    int64_t now = wrap_clock_us();
    struct record *r = call->below.self;
    struct wrap_line line;

    wrap_line_init(&line, r->host);
    wrap_add(&line, "{\"i\":%" PRIu64 ",\"pid\":%ld,\"tid\":%ld", call->number, (long)getpid(),
             (long)syscall(SYS_gettid));
    add_word(&line, "op", wrap_op_name(call->op));
    add_time(&line, "call", call->begun);
    add_time(&line, "ret", now);
    add_word(&line, "rc", wrap_status_name(call->rc));
    add_arguments(&line, call);
    if (call->op == WRAP_commit)
        add_commits(&line, call);
    /* The one output that is there on a refusal as well. */
    if (call->rc == KEDGE_OK || (call->op == WRAP_lock_acquire && call->rc == KEDGE_HELD))
        add_output(&line, call);
    wrap_add(&line, "}\n");
    wrap_file_put(&r->file, &line);
    wrap_line_free(&line);
}
