/* inspect_journal.c - a journal for people: each kind of entry, and who wrote it */
#include <config.h>

#include <stdlib.h>

#include "src/args.h"

#include "conform/fault_backend.h"
#include "inspect.h"
#include "src/record.h"

enum { ENTRIES_MOST = 64 };

/* An entry; its bytes are gone, and here as text. */
static struct noted {
    struct kedge_entry e;
    char step[64];
    char writer[300];
    char text[400];
    char value[400];
} noted[ENTRIES_MOST];
static int n_noted;
static bool kinds[KEDGE_ENTRY_UNREADABLE + 1]; /* that were seen at all */

static void keep(char *to, size_t size, struct kedge_bytes bytes)
{
    (void)snprintf(to, size, "%.*s", (int)bytes.len, bytes.len > 0 ? (const char *)bytes.data : "");
}

static int note_entry(void *ctx, const struct kedge_entry *entry)
{
    struct noted *n = &noted[n_noted];

    (void)ctx;
    if (n_noted == ENTRIES_MOST)
        bail("more entries than a test expects");
    n_noted++;
    n->e = *entry;
    kinds[entry->kind] = true;
    keep(n->step, sizeof n->step, kedge_text(entry->step));
    keep(n->writer, sizeof n->writer, entry->writer);
    keep(n->text, sizeof n->text, entry->text);
    keep(n->value, sizeof n->value, entry->value);
    return 0;
}

static void read_from(const char *id, uint64_t first)
{
    n_noted = 0;
    must(kedge_run_journal(store, kedge_text(id), first, note_entry, NULL, PATIENCE, &err),
         "journal");
}

/* The entry of that number among those that were read. */
static const struct noted *entry(uint64_t number)
{
    for (int i = 0; i < n_noted; i++) {
        if (noted[i].e.number == number)
            return &noted[i];
    }
    bail("there is no entry %llu", (unsigned long long)number);
}

static const char *all(void)
{
    static char text[2048];
    size_t len = 0;

    text[0] = '\0';
    for (int i = 0; i < n_noted; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s%s%s", i > 0 ? " " : "",
                                kedge_entry_kind_text(noted[i].e.kind),
                                noted[i].step[0] != '\0' ? ":" : "", noted[i].step);
    return text;
}

/* The whole journal of ID has those, numbered from 1. */
static void tells(const char *id, const char *expected, const char *what)
{
    bool good;

    read_from(id, 0);
    good = strcmp(all(), expected) == 0;
    for (int i = 0; i < n_noted; i++)
        good &= noted[i].e.number == (uint64_t)i + 1 && noted[i].e.time > 0 &&
                noted[i].e.bytes > 0 && noted[i].e.struct_size == sizeof noted[i].e &&
                (i == 0 || noted[i].e.time >= noted[i - 1].e.time);
    ok(good, "%s: %s", what, expected);
    if (!good)
        note("%s", all());
}

static void says(uint64_t number, const char *text, const char *value, uint64_t count)
{
    const struct noted *n = entry(number);
    bool good = strcmp(n->text, text) == 0 && strcmp(n->value, value) == 0 && n->e.count == count;

    ok(good, "... %llu, %s: '%s' '%s' %llu", (unsigned long long)number,
       kedge_entry_kind_text(n->e.kind), text, value, (unsigned long long)count);
    if (!good)
        note("'%s' '%s' %llu", n->text, n->value, (unsigned long long)n->e.count);
}

/* --------------------------------------------------------------------- each kind */

static void forth_and_back(void)
{
    struct kedge_run_info *info;
    struct crew crew;
    const char *id;

    hire(&crew, NULL);
    atomic_store(&ACT('b')->fails, 1);
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_FAILED, "a run that was rolled back");
    tells(id, "begin done:a failed:b compensated:b undone:a end:b", "it");
    says(1, "", "{\"n\":7}", 0);
    says(2, "", "\"a1\"", 0);
    says(3, "b failed", "", 0);
    says(6, "b failed", "", KEDGE_FAILED);
    ok(entry(3)->e.failures == 1 && entry(3)->e.flags == 0 && entry(1)->e.next == 0,
       "... numbers are as they are");
    info = info_of(id);
    ok(entry(1)->e.time == info->created && entry(6)->e.time == info->finished, "... and times");
    kedge_run_info_free(info);
    atomic_store(&ACT('a')->skips, 1);
    atomic_store(&ACT('b')->halts, 1);
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_HALTED, "a run that halted");
    tells(id, "begin skipped:a halted:b end:b", "it");
    says(2, "nothing to do", "", 0);
    says(3, "enough", "", 0);
    says(4, "enough", "", KEDGE_HALTED);
    atomic_store(&ACT('b')->undo_fails, 1);
    atomic_store(&ACT('c')->fails, 1);
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_STUCK, "a run that is stuck");
    tells(id, "begin done:a done:b failed:c compensated:c undo-failed:b end:b", "it");
    says(6, "undo of b failed", "", 0);
    says(7, "undo of b failed", "", KEDGE_STUCK);
    atomic_store(&ACT('b')->fails, 1);
    id = begin("slow", 0);
    AWAIT(strcmp(story(id), "begin done:a delayed:b") == 0 && place_of(id) == KEDGE_PLACE_DUE);
    tells(id, "begin done:a delayed:b", "a run that backs off");
    says(3, "b failed", "", 0);
    ok(entry(3)->e.action == KEDGE_ACTION_RUN && entry(3)->e.failures == 1 &&
           entry(3)->e.next == entry(3)->e.time + HOUR,
       "... and until when");
    must(ask(id, KEDGE_VERB_CANCEL), "cancel");
    ok(wait_for(id) == KEDGE_CANCELLED, "it is cancelled");
    tells(id, "begin done:a delayed:b request compensated:b undone:a end", "it");
    says(4, "as i say", "ann", KEDGE_VERB_CANCEL);
    dismiss(&crew);
    acts_reset();
}

static void doubts_and_loops(void)
{
    struct crew crew;
    const char *id = begin("pool", 0);

    crash(id, 'b', false, 6);
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_FAILED, "a crash loop");
    dismiss(&crew);
    tells(id, "begin done:a crash-loop doubt compensated:b undone:a end", "it");
    says(3, "", "", 6);
    says(4, "b", "", 0);
    says(7, "crash loop", "", KEDGE_FAILED);
}

static void several_in_doubt(void)
{
    struct kedge_rec rec = { .kind = KEDGE_RECORD_DOUBT, .step = KEDGE_NO_STEP };
    const char *id = begin("wide", HOUR);

    rec.steps = (struct kedge_bytes){ "\1\2\5", 3 };
    append(id, &rec, HOUR);
    rec.steps = (struct kedge_bytes){ "\1\x63", 2 };
    append(id, &rec, HOUR);
    rec.steps = (struct kedge_bytes){ "\1\x80", 2 };
    append(id, &rec, HOUR);
    tells(id, "begin doubt doubt unreadable", "several steps in doubt");
    says(2, "b, c, f", "", 0);
    says(3, "b, step 99", "", 0);
    says(4, "its list of steps is not whole", "", 0);
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
}

static void deadline(void)
{
    struct kedge_run_start start = KEDGE_START_INIT;
    struct crew crew;

    start.reactor = "pool";
    start.version = 1;
    start.id = kedge_text("too-late");
    start.timeout_us = 1;
    must(kedge_start(store, &start, PATIENCE, &err), "start");
    hire(&crew, NULL);
    ok(wait_for("too-late") == KEDGE_FAILED, "a deadline");
    dismiss(&crew);
    tells("too-late", "begin overdue end", "it");
    says(1, "", "null", 0);
    ok(entry(1)->e.next > 0 && entry(1)->e.next <= entry(1)->e.time + 1, "... passes then");
    says(3, "the run's deadline has passed", "", KEDGE_FAILED);
}

static void timed_out(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "t",
          .run = run_step,
          .flags = KEDGE_STEP_POOL,
          .timeout_us = 20000,
          .retry = { .attempts = 2, .base_us = HOUR } },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("timed", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *serves[1];
    struct kedge_reactor *reactor;
    struct crew crew;
    const char *id;

    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    serves[0] = reactor;
    options.reactors = serves;
    options.n_reactors = 1;
    atomic_store(&ACT('t')->hold, 1);
    atomic_store(&ACT('t')->heeds, 1);
    hire_with(&crew, store, &options);
    id = begin("timed", 0);
    AWAIT(strcmp(story(id), "begin delayed:a") == 0);
    tells(id, "begin delayed:t", "a step that took too long");
    ok(entry(2)->e.flags == KEDGE_ENTRY_TIMED_OUT, "... may yet take effect");
    must(ask(id, KEDGE_VERB_CANCEL), "cancel");
    ok(wait_for(id) == KEDGE_CANCELLED, "it is cancelled");
    dismiss(&crew);
    kedge_reactor_free(reactor);
    acts_reset();
}

static void unreadable(void)
{
    static const unsigned char torn[] = { 1, 2, 3 };
    const struct kedge_rec skipped = { .kind = KEDGE_RECORD_SKIPPED, .step = 5 };
    const char *id = begin("pool", 0);
    struct crew crew;

    append_raw(id, (struct kedge_bytes){ torn, sizeof torn }, 0);
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_STUCK, "a record that cannot be understood");
    dismiss(&crew);
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
    tells(id, "begin unreadable aside request end", "it is shown, and the walk goes on");
    says(2, "it is too short", "", 0);
    ok(entry(2)->e.bytes == 3, "... with its bytes");
    says(3, "record 2, of 3 bytes: it is too short", "", 0);
    says(4, "as i say", "ann", KEDGE_VERB_ABANDON);
    says(5, "as i say", "", KEDGE_ABORTED);
    id = begin("nowhere", HOUR);
    append(id, &skipped, HOUR);
    tells(id, "begin skipped:step 5", "steps that nobody can name have numbers");
}

/* ----------------------------------------------------------------- pages, and an end */

struct pages {
    uint64_t n;
    uint64_t last;
    uint64_t stop_at;
    const char *purge; /* this run, at the first entry */
};

static int count_pages(void *ctx, const struct kedge_entry *e)
{
    struct pages *p = ctx;

    if (e->number != p->last + 1)
        bail("entry %llu comes after %llu", (unsigned long long)e->number,
             (unsigned long long)p->last);
    p->last = e->number;
    p->n++;
    (void)place_of(p->purge != NULL && p->n > 1 ? "too-late" : "long"); /* it may use the store */
    if (p->purge != NULL && p->n == 1)
        must(kedge_run_purge(store, kedge_text(p->purge), PATIENCE, &err), "purge");
    return p->n == p->stop_at ? 42 : 0;
}

static void long_one(void)
{
    enum { REQUESTS = 600 };
    struct kedge_run_start start = KEDGE_START_INIT;
    struct pages p = { 0 };
    int rc;

    start.reactor = "pool";
    start.version = 1;
    start.id = kedge_text("long");
    start.delay_us = HOUR;
    must(kedge_start(store, &start, PATIENCE, &err), "start");
    for (int i = 0; i < REQUESTS; i++)
        must(ask("long", i % 2 == 0 ? KEDGE_VERB_PAUSE : KEDGE_VERB_RESUME), "request");
    must(kedge_run_journal(store, start.id, 0, count_pages, &p, PATIENCE, &err), "journal");
    ok(p.n == REQUESTS + 1, "a journal of several pages");
    p = (struct pages){ .last = 299 };
    must(kedge_run_journal(store, start.id, 300, count_pages, &p, PATIENCE, &err), "journal");
    ok(p.n == REQUESTS + 1 - 299, "... from the middle on");
    p = (struct pages){ .stop_at = 2 };
    ok(kedge_run_journal(store, start.id, 1, count_pages, &p, PATIENCE, &err) == 42 && p.n == 2,
       "... until the callback has enough");
    must(ask("long", KEDGE_VERB_ABANDON), "abandon");
    p = (struct pages){ .purge = "long" };
    rc = kedge_run_journal(store, start.id, 1, count_pages, &p, PATIENCE, &err);
    ok(rc == KEDGE_NOT_FOUND && p.n < REQUESTS, "... or it is purged meanwhile");
}

void cases_journal(void)
{
    acts_reset();
    forth_and_back();
    doubts_and_loops();
    several_in_doubt();
    deadline();
    timed_out();
    unreadable();
    long_one();
    for (uint32_t kind = KEDGE_ENTRY_BEGIN; kind <= KEDGE_ENTRY_UNREADABLE; kind++)
        ok(kinds[kind], "%s was seen", kedge_entry_kind_text(kind));
}

/* -------------------------------------------------------------------------- writers */

/* Each entry's writer: a number for each label, "." for an unknown one; a number for each id. */
static bool is_nobody(const struct noted *n)
{
    static const uint8_t zeros[sizeof n->e.writer_id];

    return memcmp(n->e.writer_id, zeros, sizeof zeros) == 0;
}

/* Were the entries written by LABELS, one after the other?  A label of a worker begins with '@';
   "" is not known. */
static void by(const char *id, uint64_t first, const char *const *labels, const char *what)
{
    bool good = true;
    int n = 0;

    read_from(id, first);
    for (; n < n_noted && labels[n] != NULL; n++) {
        bool worker = labels[n][0] == '@';

        good &= strcmp(noted[n].writer, labels[n] + worker) == 0 && is_nobody(&noted[n]) != worker;
    }
    good &= labels[n] == NULL && n == n_noted;
    ok(good, "%s", what);
    for (int i = 0; !good && i < n_noted; i++)
        note("%s by %s (%02x%02x), not %s", kedge_entry_kind_text(noted[i].e.kind), noted[i].writer,
             noted[i].e.writer_id[0], noted[i].e.writer_id[1], i < n ? labels[i] : "?");
}

/* How many records of ID name their writer themselves? */
static int named(const char *id)
{
    struct kedge_record_page page = { 0 };
    struct kedge_run_info *info = info_of(id);
    void *session = session_of();
    int n = 0;

    must(kedge_store_ops(store)->retrieve_records(session, kedge_text(id), info->incarnation, 1,
                                                  1000, SIZE_MAX, &page, PATIENCE, &err),
         "journal");
    for (size_t i = 0; i < page.n; i++) {
        struct kedge_rec rec;

        n +=
            kedge_record_decode(page.records[i].data, &rec, NULL) == KEDGE_OK && rec.writer.len > 0;
    }
    kedge_mem_free(kedge_store_host(store), page.mem);
    kedge_store_ops(store)->session_close(session);
    kedge_run_info_free(info);
    return n;
}

static bool same_writer(uint64_t a, uint64_t b)
{
    return memcmp(entry(a)->e.writer_id, entry(b)->e.writer_id, sizeof entry(a)->e.writer_id) == 0;
}

/* Two workers, one after the other, and requests: by a program, and taken up by a worker. */
static void two_tenures(void)
{
    char smith[301] = "@";
    char jones[301] = "@";
    struct crew crew;
    const char *id;

    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    hire_named(&crew, "smith", smith + 1);
    id = begin("pool", 0);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    must(ask(id, KEDGE_VERB_PAUSE), "pause");
    AWAIT(strcmp(story(id), "begin done:a pause[ann|as i say]") == 0);
    atomic_store(&ACT('b')->hold, 0);
    AWAIT(place_of(id) == KEDGE_PLACE_PARKED);
    dismiss(&crew);
    must(ask(id, KEDGE_VERB_RESUME), "resume");
    hire_named(&crew, "jones", jones + 1);
    ok(wait_for(id) == KEDGE_COMPLETED, "a run that two workers carried");
    const char *const expected[] = {
        program(), smith, smith, smith, program(), jones, jones, NULL
    };

    by(id, 0, expected, "... each record has its writer");
    ok(same_writer(2, 3) && same_writer(2, 4) && same_writer(6, 7) && !same_writer(2, 6),
       "... of one worker one id");
    ok(memcmp(entry(6)->e.writer_id, entry(2)->e.writer_id, 8) != 0, "... of two workers two");
    /* begin, resume, and the first of each tenure */
    ok(named(id) == 4, "the first of a tenure names its writer, the others cost nothing: %d",
       named(id));
    dismiss(&crew);
    purge_all();
    ok(worker_state(smith + 1) == 0 && worker_state(jones + 1) == 0, "their leases are gone");
    by(id, 1, expected, "... and the labels are there");
    by(id, 3, expected + 2, "... also from the middle of a tenure on");
    by(id, 4, expected + 3, "... wherever in it");
    by(id, 7, expected + 6, "... and at the end");
}

/* A record of ID that names nobody, as if whoever has LEASE had written it. */
static void write_under(const struct kedge_id128 *lease, const char *id)
{
    static uint64_t seed = 1;
    const struct kedge_rec rec = { .kind = KEDGE_RECORD_SKIPPED, .step = 0 };
    struct kedge_change changes[2] = { { .kind = KEDGE_APPEND }, { .kind = KEDGE_RELEASE } };
    struct kedge_buf *buf = kedge_record_encode(kedge_store_host(store), &rec);
    struct kedge_bytes record = { buf->data, buf->len };

    changes[0].append.records = &record;
    changes[0].append.n = 1;
    changes[1].release.place = KEDGE_PLACE_DUE;
    changes[1].release.when = (struct kedge_when){ HOUR, KEDGE_IN, 0 };
    kedge_request_id(lease, &seed, &request_raw);
    commit_raw(id, changes, 2);
    memset(&request_raw, 0, sizeof request_raw);
    kedge_buf_drop(kedge_store_host(store), buf);
}

/* A label that only the lease tells: the first record of the tenure does not. */
static void by_the_lease(void)
{
    static const struct kedge_id128 nobody;
    char smith[301] = "@";
    const char *const known[] = { program(), smith, "", NULL };
    const char *const unknown[] = { program(), "@", "", NULL };
    struct kedge_id128 lease;
    struct kedge_run_info *info;
    struct crew crew;
    const char *busy_id;
    const char *id;

    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    hire_named(&crew, "smith", smith + 1);
    busy_id = begin("pool", 0);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    info = info_of(busy_id);
    memcpy(lease.b, info->holder, sizeof lease.b);
    kedge_run_info_free(info);
    id = begin("nowhere", HOUR);
    write_under(&lease, id);
    write_under(&nobody, id);
    by(id, 0, known, "a record of a lease that is known, and one of nobody knows whom");
    atomic_store(&ACT('b')->hold, 0);
    ok(wait_for(busy_id) == KEDGE_COMPLETED, "its worker goes");
    dismiss(&crew);
    purge_all();
    by(id, 0, unknown, "... and one of a lease that is not: its id still tells it apart");
    ok(memcmp(entry(2)->e.writer_id, lease.b, 8) == 0, "... it is that of the lease");
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
}

/* Declared dead while it lives, a worker goes on with its runs under another lease. */
static void another_lease(void)
{
    struct kedge_store *below;
    struct kedge_store *mortal = faulty_open(&below);
    char label[301] = "@";
    struct crew crew;
    const char *id = begin("pool", 0);

    acts_reset();
    (void)snprintf(label + 1, 300, "%s", program());
    atomic_store(&ACT('b')->hold, 1);
    hire_mortal(&crew, mortal);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    fault_kill();
    bury_only(id);
    fault_revive();
    AWAIT(place_of(id) == KEDGE_PLACE_HELD && worker_state(label + 1) != 0);
    atomic_store(&ACT('b')->hold, 0);
    ok(wait_for(id) == KEDGE_COMPLETED, "a run that stayed with its worker under another lease");
    dismiss_mortal(&crew);
    faulty_close(mortal, below);
    purge_all();
    {
        const char *const expected[] = { program(), label, label, label, label, NULL };

        by(id, 0, expected, "... names it under both");
    }
    ok(!same_writer(2, 3) && same_writer(3, 4) && same_writer(3, 5), "... which are two");
}

/* Whoever gives a run up writes a record of it without having taken it. */
static void from_outside(void)
{
    struct kedge_sweep_options options = KEDGE_SWEEP_OPTIONS_INIT;
    char label[301] = "@";
    const char *id = begin("pool", 0);

    (void)snprintf(label + 1, 300, "%s", program());
    crash(id, 'a', false, 6);
    purge_all();
    {
        const char *const expected[] = { program(), label, NULL };

        by(id, 0, expected, "a crash loop is told by the worker that found it");
    }
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
    id = begin("pool", 0);
    die_in(id, 'a', false);
    buried(id);
    die_in(id, 'a', false);
    bury_only(id);
    options.crash_limit = 1;
    must(kedge_store_sweep(store, &options, NULL, PATIENCE, &err), "sweep");
    {
        const char *const expected[] = { program(), program(), NULL };

        by(id, 0, expected, "... or by a sweep, which is no worker");
    }
    ok(entry(2)->e.kind == KEDGE_ENTRY_CRASH_LOOP, "... it is that");
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
    {
        const char *const expected[] = {
            program(), program(), program(), program(), program(), NULL
        };

        by(id, 0, expected, "a request, and what goes with it");
    }
    acts_reset();
}

/* What is made first may never be written: here a resume of what was not paused yet. */
static void first_in_vain(void)
{
    char smith[301] = "@";
    char jones[301] = "@";
    const char *const expected[] = { program(), smith, smith, jones, jones, NULL };
    struct crew crew;
    const char *id;

    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    id = begin("loop", 0); /* the loop is in the step, and hears of nothing */
    hire_named(&crew, "smith", smith + 1);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    must(ask(id, KEDGE_VERB_PAUSE), "pause");
    must(ask(id, KEDGE_VERB_RESUME), "resume");
    kedge_worker_stop(crew.worker);
    atomic_store(&ACT('b')->hold, 0);
    dismiss(&crew);
    hire_named(&crew, "jones", jones + 1);
    ok(wait_for(id) == KEDGE_COMPLETED && told(id, "begin done:a done:b done:c end:completed"),
       "a request that comes to nothing");
    dismiss(&crew);
    purge_all();
    by(id, 0, expected, "... the record that is the first instead names its writer");
}

static void set_aside(void)
{
    static const unsigned char torn[] = { 1, 2, 3 };
    char smith[301] = "@";
    const char *const expected[] = { program(), "@", smith, NULL };
    const char *id = begin("pool", 0);
    struct crew crew;

    append_raw(id, (struct kedge_bytes){ torn, sizeof torn }, 0);
    hire_named(&crew, "smith", smith + 1);
    ok(wait_for(id) == KEDGE_STUCK, "a run that was set aside");
    dismiss(&crew);
    purge_all();
    by(id, 0, expected, "... by whom is known");
}

/* Steps that end at once: whichever comes first in the journal has the name. */
static void side_by_side(void)
{
    enum { RUNS = 64 };
    char smith[301];
    const char *id = NULL;
    struct crew crew;
    bool good = true;

    acts_reset();
    hire_named(&crew, "smith", smith);
    for (int i = 0; i < RUNS && good; i++) {
        id = begin("wide", 0);
        good = wait_for(id) == KEDGE_COMPLETED;
        purge_all();
        read_from(id, 2);
        for (int k = 0; k < n_noted && good; k++)
            good = strcmp(noted[k].writer, smith) == 0;
        /* the beginning, and one or two that were made at the same time */
        good &= named(id) >= 2 && named(id) <= 3;
    }
    ok(good, "the first of many at once has the name");
    if (!good)
        note("%s: %s, %d named", id, all(), named(id));
    dismiss(&crew);
}

void cases_writers(void)
{
    two_tenures();
    by_the_lease();
    another_lease();
    from_outside();
    first_in_vain();
    set_aside();
    side_by_side();
    purge_all();
}
