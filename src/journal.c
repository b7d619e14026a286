/*
 * journal.c - the journal of a run, record by record, for people
 *
 * Page by page: what is held of it at a time is a page, and the labels of the last writers. Whoever
 * wrote a record is named in it, or in an earlier one of the same tenure (record.h), or by the
 * lease it was written under, as long as the store has that.  A record that cannot be understood is
 * shown with the reason; so is one that the store itself cannot read.
 */
#include <config.h>

#include <string.h>

#include <kedge/admin.h>
#include <kedge/run.h>
#include <kedge/store.h>

#include "args.h"
#include "reader.h"
#include "record.h"

#define PAGE_RECORDS 256
#define PAGE_BYTES   (1u << 20)

/* A tenure names its writer in its first record, and only one worker at a time writes. */
#define LABELS 16

#define SAME(kind)                                                                                 \
    _Static_assert((uint32_t)KEDGE_ENTRY_##kind == (uint32_t)KEDGE_RECORD_##kind,                  \
                   "an entry is of the kind of its record")
SAME(BEGIN);
SAME(DONE);
SAME(SKIPPED);
SAME(DELAYED);
SAME(FAILED);
SAME(HALTED);
SAME(DOUBT);
SAME(CRASH_LOOP);
SAME(COMPENSATED);
SAME(UNDONE);
SAME(UNDO_FAILED);
SAME(END);
SAME(REQUEST);
SAME(ASIDE);
SAME(OVERDUE);

const char *kedge_entry_kind_text(uint32_t kind)
{
    static const char *const texts[] = {
        [KEDGE_ENTRY_BEGIN] = "begin",
        [KEDGE_ENTRY_DONE] = "done",
        [KEDGE_ENTRY_SKIPPED] = "skipped",
        [KEDGE_ENTRY_DELAYED] = "delayed",
        [KEDGE_ENTRY_FAILED] = "failed",
        [KEDGE_ENTRY_HALTED] = "halted",
        [KEDGE_ENTRY_DOUBT] = "doubt",
        [KEDGE_ENTRY_CRASH_LOOP] = "crash-loop",
        [KEDGE_ENTRY_COMPENSATED] = "compensated",
        [KEDGE_ENTRY_UNDONE] = "undone",
        [KEDGE_ENTRY_UNDO_FAILED] = "undo-failed",
        [KEDGE_ENTRY_END] = "end",
        [KEDGE_ENTRY_REQUEST] = "request",
        [KEDGE_ENTRY_ASIDE] = "aside",
        [KEDGE_ENTRY_OVERDUE] = "overdue",
        [KEDGE_ENTRY_UNREADABLE] = "unreadable",
    };

    return kind < sizeof texts / sizeof *texts && texts[kind] != NULL ? texts[kind] : "?";
}

struct label {
    uint8_t id[KEDGE_WRITER_ID];
    size_t len; /* 0: none */
    char text[KEDGE_RECORD_WRITER_MAX];
};

/* A lease of the store. */
struct owner {
    struct owner *next;
    struct kedge_id128 lease;
    struct kedge_bytes label;
};

struct journal {
    struct kedge_reader r;
    const struct kedge_run *run;
    struct kedge_reactor *reactor; /* NULL: steps have no names */
    uint64_t first;
    struct label labels[LABELS];
    size_t newest;
    bool looked; /* before FIRST, and at the leases: */
    struct owner *owners;
    struct kedge_mem *mem; /* of those */
    kedge_entry_fn *each;
    void *ctx;
};

/* ------------------------------------------------------------------- writers */

static struct label *label_of(struct journal *j, const uint8_t id[KEDGE_WRITER_ID])
{
    for (size_t i = 0; i < LABELS; i++) {
        struct label *label = &j->labels[(j->newest + LABELS - i) % LABELS];

        if (label->len > 0 && memcmp(label->id, id, KEDGE_WRITER_ID) == 0)
            return label;
    }
    return NULL;
}

static void note_label(struct journal *j, const uint8_t id[KEDGE_WRITER_ID],
                       struct kedge_bytes text)
{
    struct label *label = label_of(j, id);

    text = kedge_text_cut(text, KEDGE_RECORD_WRITER_MAX);
    if (text.len == 0)
        return;
    if (label == NULL) {
        j->newest = (j->newest + 1) % LABELS;
        label = &j->labels[j->newest];
    }
    memcpy(label->id, id, KEDGE_WRITER_ID);
    memcpy(label->text, text.data, text.len);
    label->len = text.len;
}

static bool is_worker(const uint8_t id[KEDGE_WRITER_ID])
{
    static const uint8_t nobody[KEDGE_WRITER_ID];

    return memcmp(id, nobody, KEDGE_WRITER_ID) != 0;
}

static size_t page_limit(const struct journal *j)
{
    uint64_t most = j->r.ops->limits->page_max;

    return most < PAGE_RECORDS ? (size_t)most : PAGE_RECORDS;
}

/* One page before FIRST: whoever of WANTED names himself there, the later the better. */
static int look_in_page(struct journal *j, uint64_t from, uint64_t to, const uint8_t *wanted,
                        struct kedge_error *err)
{
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && from != 0 && from < to) {
        struct kedge_record_page page = { .mem = NULL };

        rc = j->r.ops->retrieve_records(j->r.session, j->run->id, j->run->incarnation, from,
                                        (size_t)(to - from), PAGE_BYTES, &page,
                                        kedge_reader_time(&j->r), err);
        if (rc != KEDGE_OK)
            break;
        for (size_t i = 0; i < page.n; i++) {
            struct kedge_rec rec;

            if (memcmp(page.records[i].request.b, wanted, KEDGE_WRITER_ID) == 0 &&
                kedge_record_decode(page.records[i].data, &rec, NULL) == KEDGE_OK)
                note_label(j, wanted, rec.writer);
        }
        from = page.next;
        kedge_mem_free(j->r.host, page.mem);
    }
    return rc == KEDGE_ERR_CORRUPT ? KEDGE_OK : rc;
}

/* The walk began in the middle of a tenure: its beginning is before that, not far as a rule. */
static int look_before(struct journal *j, const uint8_t *wanted, struct kedge_error *err)
{
    uint64_t to = j->first;
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && to > 1 && label_of(j, wanted) == NULL) {
        uint64_t from = to > page_limit(j) ? to - page_limit(j) : 1;

        rc = look_in_page(j, from, to, wanted, err);
        to = from;
    }
    return rc;
}

static int note_lease(void *ctx, struct kedge_reader *r, const struct kedge_lease *lease,
                      struct kedge_error *err)
{
    struct journal *j = ctx;
    struct owner *owner = kedge_mem_alloc(r->host, &j->mem, sizeof *owner);

    if (owner == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    *owner = (struct owner){ j->owners, lease->id, lease->owner };
    j->owners = owner;
    return KEDGE_OK;
}

/* While a callback runs others have the session. */
static int have_session(struct journal *j, struct kedge_error *err)
{
    return j->r.session != NULL ? KEDGE_OK : kedge_reader_resume(&j->r, err);
}

/* Only the tenure that the walk began in has no beginning in what was read so far; what is not even
   known then is a matter of the leases.  Both are looked at once. */
static int look_for(struct journal *j, const uint8_t *id, struct kedge_error *err)
{
    int rc = KEDGE_OK;

    if (!j->looked) {
        j->looked = true;
        rc = have_session(j, err);
        if (rc == KEDGE_OK)
            rc = look_before(j, id, err);
        if (rc == KEDGE_OK)
            rc = kedge_reader_leases(&j->r, note_lease, j, &j->mem, err);
    }
    for (const struct owner *o = j->owners; o != NULL && label_of(j, id) == NULL; o = o->next) {
        if (memcmp(o->lease.b, id, KEDGE_WRITER_ID) == 0)
            note_label(j, id, o->label);
    }
    return rc;
}

static int add_writer(struct journal *j, const struct kedge_record *record,
                      const struct kedge_rec *rec, struct kedge_entry *entry,
                      struct kedge_error *err)
{
    const uint8_t *id = record->request.b;
    const struct label *label;
    int rc = KEDGE_OK;

    memcpy(entry->writer_id, id, sizeof entry->writer_id);
    entry->writer = rec->writer;
    if (!is_worker(id))
        return KEDGE_OK;
    if (rec->writer.len > 0) {
        note_label(j, id, rec->writer);
        return KEDGE_OK;
    }
    if (label_of(j, id) == NULL)
        rc = look_for(j, id, err);
    label = label_of(j, id);
    if (label != NULL)
        entry->writer = (struct kedge_bytes){ label->text, label->len };
    return rc;
}

/* ------------------------------------------------------------------- entries */

/* What a record is made into: what the entry borrows, beside the record. */
struct shown {
    struct kedge_entry entry;
    struct kedge_error why;
    char name[KEDGE_STEP_NAME_ROOM];
    char *steps; /* DOUBT: their names */
};

static void unreadable(struct shown *s)
{
    s->entry.kind = KEDGE_ENTRY_UNREADABLE;
    s->entry.text = kedge_text(s->why.msg);
}

/* The names of the steps in LIST, to TO if that is not NULL: "a, b".  Answers their length; 0: LIST
   is not whole. */
static size_t doubt_text(const struct journal *j, struct kedge_bytes list, char *to)
{
    char name[KEDGE_STEP_NAME_ROOM];
    size_t len = 0;
    uint64_t step;

    while (list.len > 0) {
        const char *text;
        size_t n;

        if (!kedge_varint_read(&list, &step) || step >= UINT32_MAX)
            return 0;
        text = kedge_reader_step_name(j->reactor, (uint32_t)step, name);
        n = strlen(text);
        if (len > 0 && to != NULL) {
            to[len] = ',';
            to[len + 1] = ' ';
        }
        len += len > 0 ? 2 : 0;
        if (to != NULL)
            memcpy(to + len, text, n);
        len += n;
    }
    return len;
}

static int add_doubt(const struct journal *j, const struct kedge_rec *rec, struct shown *s,
                     struct kedge_error *err)
{
    size_t len = doubt_text(j, rec->steps, NULL);

    if (len == 0) {
        (void)kedge_error_set(&s->why, KEDGE_ERR_CORRUPT, 0, "its list of steps is not whole");
        unreadable(s);
        return KEDGE_OK;
    }
    s->steps = j->r.host->alloc(j->r.host->ctx, len);
    if (s->steps == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    s->entry.text = (struct kedge_bytes){ s->steps, doubt_text(j, rec->steps, s->steps) };
    return KEDGE_OK;
}

/* What is special about some kinds. */
static int add_kind(const struct journal *j, const struct kedge_rec *rec, struct shown *s,
                    struct kedge_error *err)
{
    struct kedge_entry *entry = &s->entry;

    switch (rec->kind) {
    case KEDGE_RECORD_BEGIN:
        entry->next = rec->number < INT64_MAX ? (int64_t)rec->number : 0;
        return KEDGE_OK;
    case KEDGE_RECORD_DELAYED:
        entry->action = rec->action != 0 ? rec->action : KEDGE_ACTION_RUN;
        entry->next = kedge_record_until(rec, entry->time);
        return KEDGE_OK;
    case KEDGE_RECORD_END:
        entry->count = rec->status;
        return KEDGE_OK;
    case KEDGE_RECORD_CRASH_LOOP:
    case KEDGE_RECORD_REQUEST:
        entry->count = rec->number;
        return KEDGE_OK;
    case KEDGE_RECORD_DOUBT:
        return add_doubt(j, rec, s, err);
    default:
        return KEDGE_OK;
    }
}

static int make_entry(struct journal *j, const struct kedge_record *record, struct shown *s,
                      struct kedge_error *err)
{
    struct kedge_entry *entry = &s->entry;
    struct kedge_rec rec;
    int readable = kedge_record_decode(record->data, &rec, &s->why) == KEDGE_OK;
    int rc;

    if (!readable)
        rec = (struct kedge_rec){ .step = KEDGE_NO_STEP };
    s->steps = NULL;
    *entry = (struct kedge_entry){
        .struct_size = sizeof *entry,
        .number = record->number,
        .time = record->time,
        .bytes = record->data.len,
        .kind = rec.kind,
        .failures = rec.failures,
        .flags = (rec.flags & KEDGE_RECORD_TIMED_OUT) != 0 ? KEDGE_ENTRY_TIMED_OUT : 0,
        .text = rec.text,
        .value = rec.value,
    };
    if (rec.step != KEDGE_NO_STEP)
        entry->step = kedge_reader_step_name(j->reactor, rec.step, s->name);
    rc = add_writer(j, record, &rec, entry, err);
    if (!readable)
        unreadable(s);
    return rc == KEDGE_OK && readable ? add_kind(j, &rec, s, err) : rc;
}

/* -------------------------------------------------------------------- the walk */

static int show(struct journal *j, const struct kedge_entry *entry)
{
    kedge_reader_pause(&j->r);
    return j->each(j->ctx, entry);
}

static int show_page(struct journal *j, const struct kedge_record_page *page,
                     struct kedge_error *err)
{
    int rc = KEDGE_OK;

    for (size_t i = 0; i < page->n && rc == 0; i++) {
        struct shown s;

        rc = make_entry(j, &page->records[i], &s, err);
        if (rc == KEDGE_OK)
            rc = show(j, &s.entry);
        j->r.host->release(j->r.host->ctx, s.steps);
    }
    return rc;
}

/* One that the store cannot read. */
static int show_lost(struct journal *j, uint64_t number, const char *why)
{
    struct kedge_entry entry = { .struct_size = sizeof entry,
                                 .number = number,
                                 .kind = KEDGE_ENTRY_UNREADABLE,
                                 .text = kedge_text(why) };

    return show(j, &entry);
}

static int read_page(struct journal *j, uint64_t first, size_t limit,
                     struct kedge_record_page *page, struct kedge_error *err)
{
    int rc = have_session(j, err);

    if (rc != KEDGE_OK)
        return rc;
    return j->r.ops->retrieve_records(j->r.session, j->run->id, j->run->incarnation, first, limit,
                                      PAGE_BYTES, page, kedge_reader_time(&j->r), err);
}

/* A page with a record in it that the store cannot read is gone through one by one: up to that one,
   which is shown for what it is. */
static int walk(struct journal *j, struct kedge_error *err)
{
    uint64_t at = j->first;
    uint64_t last = j->run->position;
    size_t limit = page_limit(j);
    int rc = KEDGE_OK;

    while (rc == KEDGE_OK && at != 0) {
        struct kedge_record_page page = { .mem = NULL };
        struct kedge_error why = { 0, 0, "" };

        rc = read_page(j, at, limit, &page, &why);
        if (rc == KEDGE_ERR_CORRUPT && limit > 1) {
            limit = 1;
            rc = KEDGE_OK;
            continue;
        }
        if (rc == KEDGE_ERR_CORRUPT && at <= last) {
            rc = show_lost(j, at, why.msg);
            limit = page_limit(j);
            at = at < last ? at + 1 : 0;
            continue;
        }
        if (rc < 0)
            (void)kedge_error_set(err, rc, why.sys_errno, "%s", why.msg);
        if (rc == KEDGE_OK) {
            rc = show_page(j, &page, err);
            at = page.next;
            kedge_mem_free(j->r.host, page.mem);
        }
    }
    return rc;
}

/* Its steps have names if the definition is there, and can be understood. */
static int find_names(struct journal *j, struct kedge_error *err)
{
    int rc = kedge_reader_definition(&j->r, j->run, &j->reactor, err);

    return rc == KEDGE_ERR_CORRUPT || rc == KEDGE_ERR_SCHEMA_NEW ? KEDGE_OK : rc;
}

int kedge_run_journal(struct kedge_store *store, struct kedge_bytes id, uint64_t first,
                      kedge_entry_fn *each, void *ctx, int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_run_state state = { .mem = NULL };
    struct journal j = { .first = first > 0 ? first : 1, .each = each, .ctx = ctx };
    int rc;

    if (each == NULL)
        return kedge_args_null("each", err);
    rc = kedge_reader_begin(&j.r, store, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    j.run = &state.run;
    rc = kedge_args_id(j.r.ops, id, err);
    if (rc == KEDGE_OK)
        rc = kedge_reader_head(&j.r, id, &state, err);
    if (rc == KEDGE_OK)
        rc = find_names(&j, err);
    if (rc == KEDGE_OK)
        rc = walk(&j, err);
    kedge_reader_end(&j.r);
    kedge_reactor_free(j.reactor);
    kedge_mem_free(j.r.host, j.mem);
    kedge_mem_free(j.r.host, state.mem);
    return rc;
}
