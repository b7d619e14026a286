/* mutant_reads.c - defects of what is read: runs, records, slots, lists, cells */
#include <config.h>

#include <fnmatch.h>
#include <stdlib.h>

#include "mutant.h"

#define DEFECT(id, ...) const struct mutant_kind mutant_##id = { __VA_ARGS__ }

#define RETRIEVE void *s, const struct kedge_retrieve *in, struct kedge_run_state *out, WRAP_TAIL
#define RECORDS                                                                                    \
    void *s, struct kedge_bytes id, uint64_t incarnation, uint64_t first, size_t limit,            \
        size_t bytes_max, struct kedge_record_page *out, WRAP_TAIL
#define SLOTS                                                                                      \
    void *s, struct kedge_bytes id, uint64_t incarnation, uint32_t set, uint32_t first,            \
        size_t limit, struct kedge_slot_page *out, WRAP_TAIL
#define EXPIRED                                                                                    \
    void *s, struct kedge_bytes cursor, size_t limit, struct kedge_run_page *out, WRAP_TAIL
#define LIST void *s, const struct kedge_list *in, struct kedge_run_page *out, WRAP_TAIL
#define GET  void *s, struct kedge_bytes name, struct kedge_cell *out, WRAP_TAIL

/* ----------------------------------------------------------------------- runs */

static int any_incarnation(RETRIEVE)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_retrieve any = *in;

    any.incarnation = 0;
    return b.ops->retrieve(b.session, &any, out, timeout_us, err);
}
DEFECT(m160, .ops = { .retrieve = any_incarnation });

static int writes_nothing_there(RETRIEVE)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->retrieve(b.session, in, out, timeout_us, err);

    if (rc == KEDGE_NOT_FOUND)
        out->run.id = in->id;
    return rc;
}
DEFECT(m161, .ops = { .retrieve = writes_nothing_there });

static int through_double(RETRIEVE)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->retrieve(b.session, in, out, timeout_us, err);

    if (rc == KEDGE_OK) {
        out->run.fence = (uint64_t)(double)out->run.fence;
        out->run.incarnation = (uint64_t)(double)out->run.incarnation;
    }
    return rc;
}
DEFECT(m42, .ops = { .retrieve = through_double });

static int whole_journal(RETRIEVE)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_record_page page = { .mem = NULL };
    int rc = b.ops->retrieve(b.session, in, out, timeout_us, err);

    if (rc != KEDGE_OK || (in->want & KEDGE_WANT_TAIL) == 0 || out->run.snapshot_position == 0 ||
        b.ops->retrieve_records(b.session, in->id, 0, 1, 100, SIZE_MAX, &page, timeout_us, NULL) !=
            KEDGE_OK)
        return rc;
    out->tail = page.records;
    out->n_tail = page.n;
    if (page.mem != NULL) {
        struct kedge_mem *last = page.mem;

        while (last->next != NULL)
            last = last->next;
        last->next = out->mem;
        out->mem = page.mem;
    }
    return rc;
}
DEFECT(m162, .ops = { .retrieve = whole_journal });

/* The head first, and what belongs to it when others have written. */
static int two_looks(RETRIEVE)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_run_state before;
    int rc;

    if (in->want == 0 || mutant_head(&b, in->id, &before) != KEDGE_OK)
        return b.ops->retrieve(b.session, in, out, timeout_us, err);
    for (int i = 0; i < 20; i++) {
        struct kedge_run_state now;
        bool same;

        if (mutant_head(&b, in->id, &now) != KEDGE_OK)
            break;
        same = now.run.revision == before.run.revision;
        mutant_free(&b, now.mem);
        if (!same)
            break;
        mutant_pause(500);
    }
    rc = b.ops->retrieve(b.session, in, out, timeout_us, err);
    if (rc == KEDGE_OK) {
        out->run.position = before.run.position;
        out->run.revision = before.run.revision;
    }
    mutant_free(&b, before.mem);
    return rc;
}
/* So that there is something to be seen between the two. */
static int slowly(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);

    mutant_pause(2000);
    return b.ops->commit(b.session, commits, n, answers, timeout_us, err);
}
DEFECT(m163, .ops = { .retrieve = two_looks, .commit = slowly });

static int short_tail(RETRIEVE)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->retrieve(b.session, in, out, timeout_us, err);

    if (rc == KEDGE_OK && out->n_tail > 1000)
        out->n_tail = 1000;
    return rc;
}
DEFECT(m164, .ops = { .retrieve = short_tail });

/* -------------------------------------------------------------------- records */

static int records_below(const struct wrap_below *b, struct kedge_bytes id, uint64_t incarnation,
                         uint64_t first, size_t limit, size_t bytes_max,
                         struct kedge_record_page *out, WRAP_TAIL)
{
    return b->ops->retrieve_records(b->session, id, incarnation, first, limit, bytes_max, out,
                                    timeout_us, err);
}

static int any_bytes(RECORDS)
{
    struct wrap_below b = wrap_below(s);

    (void)bytes_max;
    return records_below(&b, id, incarnation, first, limit, SIZE_MAX, out, timeout_us, err);
}
DEFECT(m165, .ops = { .retrieve_records = any_bytes });

static int page_skips(RECORDS)
{
    struct wrap_below b = wrap_below(s);
    int rc = records_below(&b, id, incarnation, first, limit, bytes_max, out, timeout_us, err);

    if (rc == KEDGE_OK && out->next != 0)
        out->next++;
    return rc;
}
DEFECT(m166, .ops = { .retrieve_records = page_skips });

static int gone_with_snapshot(RECORDS)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_run_state st;
    int rc = records_below(&b, id, incarnation, first, limit, bytes_max, out, timeout_us, err);

    if (rc != KEDGE_OK || mutant_head(&b, id, &st) != KEDGE_OK)
        return rc;
    if (first <= st.run.snapshot_position)
        out->n = 0;
    mutant_free(&b, st.mem);
    return rc;
}
DEFECT(m167, .ops = { .retrieve_records = gone_with_snapshot });

static int no_request(RECORDS)
{
    struct wrap_below b = wrap_below(s);
    int rc = records_below(&b, id, incarnation, first, limit, bytes_max, out, timeout_us, err);

    for (size_t i = 0; rc == KEDGE_OK && i < out->n; i++)
        memset(&out->records[i].request, 0, sizeof out->records[i].request);
    return rc;
}
DEFECT(m168, .ops = { .retrieve_records = no_request });

/* ---------------------------------------------------------------------- slots */

static int slots_restart(SLOTS)
{
    struct wrap_below b = wrap_below(s);
    int rc =
        b.ops->retrieve_slots(b.session, id, incarnation, set, first, limit, out, timeout_us, err);

    if (rc == KEDGE_OK && out->n > 1 && out->next != 0)
        out->n--;
    return rc;
}
DEFECT(m169, .ops = { .retrieve_slots = slots_restart });

static int one_set(SLOTS)
{
    struct wrap_below b = wrap_below(s);

    return b.ops->retrieve_slots(b.session, id, incarnation, set == UINT32_MAX ? 0 : set, first,
                                 limit, out, timeout_us, err);
}
DEFECT(m170, .ops = { .retrieve_slots = one_set });

/* --------------------------------------------------------------- list_expired */

static bool is_held(const struct wrap_below *b, const struct kedge_run *r)
{
    (void)b;
    return r->place == KEDGE_PLACE_HELD;
}

static bool is_finished(const struct wrap_below *b, const struct kedge_run *r)
{
    (void)b;
    return r->place == KEDGE_PLACE_REST;
}

static int shows_also(const struct wrap_below *b,
                      bool (*which)(const struct wrap_below *b, const struct kedge_run *r),
                      struct kedge_run_page *out)
{
    struct kedge_run_state st;
    struct kedge_run *run;
    uint32_t *reason;

    if (out->n > 0 || out->next.len > 0 || !mutant_find_run(b, false, which, &st))
        return KEDGE_OK;
    run = kedge_mem_alloc(b->host, &st.mem, sizeof *run);
    reason = kedge_mem_alloc(b->host, &st.mem, sizeof *reason);
    if (run == NULL || reason == NULL) {
        mutant_free(b, st.mem);
        return KEDGE_OK;
    }
    *run = st.run;
    *reason = KEDGE_SWEEP_LAPSED;
    mutant_free(b, out->mem);
    memset(out, 0, sizeof *out);
    out->mem = st.mem;
    out->runs = run;
    out->reasons = reason;
    out->n = 1;
    return KEDGE_OK;
}

static int expired_below(const struct wrap_below *b, struct kedge_bytes cursor, size_t limit,
                         struct kedge_run_page *out, WRAP_TAIL)
{
    return b->ops->list_expired(b->session, cursor, limit, out, timeout_us, err);
}

static int shows_healthy(EXPIRED)
{
    struct wrap_below b = wrap_below(s);
    int rc = expired_below(&b, cursor, limit, out, timeout_us, err);

    return rc == KEDGE_OK ? shows_also(&b, is_held, out) : rc;
}
DEFECT(m22, .ops = { .list_expired = shows_healthy });

static int shows_finished(EXPIRED)
{
    struct wrap_below b = wrap_below(s);
    int rc = expired_below(&b, cursor, limit, out, timeout_us, err);

    return rc == KEDGE_OK ? shows_also(&b, is_finished, out) : rc;
}
DEFECT(m24, .ops = { .list_expired = shows_finished });

static int expired_skips(EXPIRED)
{
    struct wrap_below b = wrap_below(s);
    int rc = expired_below(&b, cursor, limit, out, timeout_us, err);

    if (rc == KEDGE_OK && out->n > 1 && out->next.len > 0)
        out->n--;
    return rc;
}
DEFECT(m25, .ops = { .list_expired = expired_skips });

static int shortest_first(EXPIRED)
{
    struct wrap_below b = wrap_below(s);
    int rc = expired_below(&b, cursor, limit, out, timeout_us, err);

    for (size_t i = 0; rc == KEDGE_OK && i < out->n / 2; i++) {
        struct kedge_run first = out->runs[i];
        uint32_t why = out->reasons[i];

        out->runs[i] = out->runs[out->n - 1 - i];
        out->reasons[i] = out->reasons[out->n - 1 - i];
        out->runs[out->n - 1 - i] = first;
        out->reasons[out->n - 1 - i] = why;
    }
    return rc;
}
DEFECT(m26, .ops = { .list_expired = shortest_first });

static int hides(EXPIRED, uint32_t which)
{
    struct wrap_below b = wrap_below(s);
    int rc = expired_below(&b, cursor, limit, out, timeout_us, err);
    size_t kept = 0;

    for (size_t i = 0; rc == KEDGE_OK && i < out->n; i++)
        if (out->reasons[i] != which) {
            out->runs[kept] = out->runs[i];
            out->reasons[kept++] = out->reasons[i];
        }
    if (rc == KEDGE_OK)
        out->n = kept;
    return rc;
}

static int hides_overdue(EXPIRED)
{
    return hides(s, cursor, limit, out, timeout_us, err, KEDGE_SWEEP_OVERDUE);
}
DEFECT(m171, .ops = { .list_expired = hides_overdue });

static int hides_dead(EXPIRED)
{
    return hides(s, cursor, limit, out, timeout_us, err, KEDGE_SWEEP_DEAD);
}
DEFECT(m172, .ops = { .list_expired = hides_dead });

static int buries_as_it_looks(EXPIRED)
{
    struct wrap_below b = wrap_below(s);
    int rc = expired_below(&b, cursor, limit, out, timeout_us, err);

    for (size_t i = 0; rc == KEDGE_OK && i < out->n; i++)
        if (out->reasons[i] == KEDGE_SWEEP_LAPSED)
            (void)b.ops->lease_bury(b.session, &out->runs[i].holder, timeout_us, NULL);
    return rc;
}
DEFECT(m173, .ops = { .list_expired = buries_as_it_looks });

static int wrong_reason(EXPIRED)
{
    struct wrap_below b = wrap_below(s);
    int rc = expired_below(&b, cursor, limit, out, timeout_us, err);

    for (size_t i = 0; rc == KEDGE_OK && i < out->n; i++)
        if (out->reasons[i] == KEDGE_SWEEP_LAPSED)
            out->reasons[i] = KEDGE_SWEEP_DEAD;
    return rc;
}
DEFECT(m174, .ops = { .list_expired = wrong_reason });

/* ----------------------------------------------------------------------- list */

static int list_below(const struct wrap_below *b, const struct kedge_list *in,
                      struct kedge_run_page *out, WRAP_TAIL)
{
    return b->ops->list(b->session, in, out, timeout_us, err);
}

static int list_skips(LIST)
{
    struct wrap_below b = wrap_below(s);
    int rc = list_below(&b, in, out, timeout_us, err);

    if (rc == KEDGE_OK && out->n > 1 && out->next.len > 0)
        out->n--;
    return rc;
}
DEFECT(m175, .ops = { .list = list_skips });

/* A page is what follows so many others, as with OFFSET. */
static int list_by_offset(LIST)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_list all = *in;
    uint64_t offset = 0;
    uint64_t *next;
    int rc;

    all.cursor.len = 0;
    all.limit = 1000;
    if (in->cursor.len == sizeof offset)
        memcpy(&offset, in->cursor.data, sizeof offset);
    if (in->limit == 0 || in->limit > 1000 || in->unserved)
        return list_below(&b, in, out, timeout_us, err);
    rc = list_below(&b, &all, out, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    offset = offset < out->n ? offset : out->n;
    out->runs += offset;
    out->n -= offset;
    out->next.len = 0;
    next = kedge_mem_alloc(b.host, &out->mem, sizeof *next);
    if (out->n > in->limit && next != NULL) {
        out->n = in->limit;
        *next = offset + in->limit;
        out->next = (struct kedge_bytes){ next, sizeof *next };
    }
    return rc;
}
DEFECT(m176, .ops = { .list = list_by_offset });

static int oldest_first(LIST)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_list old = *in;

    old.newest_first = 0;
    return list_below(&b, &old, out, timeout_us, err);
}
DEFECT(m177, .ops = { .list = oldest_first });

static int first_status(LIST)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_list less = *in;

    if (less.statuses != 0)
        less.statuses &= ~less.statuses + 1; /* its lowest bit */
    return list_below(&b, &less, out, timeout_us, err);
}
DEFECT(m178, .ops = { .list = first_status });

static int by_glob(LIST)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_list all = *in;
    char glob[256];
    size_t kept = 0;
    int rc;

    if (in->reactor.len == 0 || in->reactor.len >= sizeof glob)
        return list_below(&b, in, out, timeout_us, err);
    memcpy(glob, in->reactor.data, in->reactor.len);
    glob[in->reactor.len] = '\0';
    all.reactor.len = 0;
    rc = list_below(&b, &all, out, timeout_us, err);
    for (size_t i = 0; rc == KEDGE_OK && i < out->n; i++) {
        char name[256];
        size_t len = out->runs[i].reactor.len < 255 ? out->runs[i].reactor.len : 255;

        memcpy(name, out->runs[i].reactor.data, len);
        name[len] = '\0';
        if (fnmatch(glob, name, 0) == 0)
            out->runs[kept++] = out->runs[i];
    }
    if (rc == KEDGE_OK)
        out->n = kept;
    return rc;
}
DEFECT(m41, .ops = { .list = by_glob });

static int any_parent(LIST)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_list all = *in;

    all.parent.len = 0;
    all.parent_incarnation = 0;
    return list_below(&b, &all, out, timeout_us, err);
}
DEFECT(m179, .ops = { .list = any_parent });

static int any_parent_incarnation(LIST)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_list all = *in;
    size_t kept = 0;
    int rc;

    if (in->parent_incarnation != 0 || in->parent.len == 0)
        return list_below(&b, in, out, timeout_us, err);
    all.parent.len = 0;
    rc = list_below(&b, &all, out, timeout_us, err);
    for (size_t i = 0; rc == KEDGE_OK && i < out->n; i++) {
        struct kedge_bytes parent = out->runs[i].parent;

        if (parent.len == in->parent.len && memcmp(parent.data, in->parent.data, parent.len) == 0)
            out->runs[kept++] = out->runs[i];
    }
    if (rc == KEDGE_OK)
        out->n = kept;
    return rc;
}
DEFECT(m261, .ops = { .list = any_parent_incarnation });

static int served_too(LIST)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_list all = *in;

    if (all.unserved)
        all.n_serves = 0;
    return list_below(&b, &all, out, timeout_us, err);
}
DEFECT(m180, .ops = { .list = served_too });

static int by_clock(const void *a, const void *b)
{
    const struct kedge_run *x = a;
    const struct kedge_run *y = b;

    return x->created < y->created ? -1 : x->created > y->created;
}

/* What a clock that fell made older comes on a page that was read already. */
static int list_by_clock(LIST)
{
    struct wrap_below b = wrap_below(s);
    int rc = list_below(&b, in, out, timeout_us, err);

    if (rc == KEDGE_OK && out->n > 1 && !in->newest_first)
        qsort(out->runs, out->n, sizeof *out->runs, by_clock);
    return rc;
}
DEFECT(m181, .ops = { .list = list_by_clock });

/* ---------------------------------------------------------------------- cells */

static int keep_value(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = b.ops->commit(b.session, commits, n, answers, timeout_us, err);

    for (size_t i = 0; rc == KEDGE_OK && i < n; i++)
        for (size_t k = 0; answers[i].outcome == KEDGE_OK && k < commits[i].n_changes; k++) {
            const struct kedge_change *c = &commits[i].changes[k];
            struct mutant_note *note;

            if (c->kind != KEDGE_CELL_PUT && c->kind != KEDGE_CELL_DELETE)
                continue;
            (void)pthread_mutex_lock(&m->lock);
            note = mutant_note(m, c->name, true);
            if (note != NULL)
                note->number = c->kind == KEDGE_CELL_PUT;
            (void)pthread_mutex_unlock(&m->lock);
        }
    return rc;
}

static int shows_expired(GET)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = b.ops->cell_get(b.session, name, out, timeout_us, err);
    const struct mutant_note *note;

    (void)pthread_mutex_lock(&m->lock);
    note = mutant_note(m, name, false);
    if (rc == KEDGE_NOT_FOUND && note != NULL && note->number == 1) {
        memset(out, 0, sizeof *out);
        out->version = 1;
        rc = KEDGE_OK;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return rc;
}
DEFECT(m20, .ops = { .commit = keep_value, .cell_get = shows_expired });

static int prolongs(GET)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->cell_get(b.session, name, out, timeout_us, err);

    if (rc == KEDGE_OK && out->expires != 0) {
        struct kedge_change c = { .kind = KEDGE_CELL_PUT, .name = name };

        c.cell.value = out->value;
        c.cell.expires = (struct kedge_when){ out->expires + 1000000, KEDGE_AT, 0 };
        (void)mutant_send(&b, NULL, 0, &c, 1);
    }
    return rc;
}
DEFECT(m18, .ops = { .cell_get = prolongs });

/* What was handed out is the wrapper's own, and gone with the next call. */
static int lends(GET)
{
    static _Thread_local char shared[64];
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->cell_get(b.session, name, out, timeout_us, err);

    if (rc == KEDGE_OK && out->value.len <= sizeof shared) {
        memset(shared, 0, sizeof shared);
        if (out->value.len > 0)
            memcpy(shared, out->value.data, out->value.len);
        out->value.data = shared;
    }
    return rc;
}

static int lends_no_more(RETRIEVE)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_bytes any = { "any", 3 };
    struct kedge_cell cell = { .mem = NULL };

    (void)lends(s, any, &cell, timeout_us, NULL);
    mutant_free(&b, cell.mem);
    return b.ops->retrieve(b.session, in, out, timeout_us, err);
}

static int lends_until_commit(COMMIT_PARAMS)
{
    struct wrap_below b = wrap_below(s);
    int rc = b.ops->commit(b.session, commits, n, answers, timeout_us, err);
    struct kedge_cell cell = { .mem = NULL };

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < commits[i].n_changes; k++)
            if (commits[i].changes[k].kind == KEDGE_CELL_PUT &&
                lends(s, commits[i].changes[k].name, &cell, timeout_us, NULL) == KEDGE_OK) {
                mutant_free(&b, cell.mem);
                cell.mem = NULL;
            }
    return rc;
}
DEFECT(m182, .ops = { .cell_get = lends, .retrieve = lends_no_more, .commit = lends_until_commit });

/* A handle remembers what it read of a cell, and that others write it is news to it. */
static int cached(GET)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = b.ops->cell_get(b.session, name, out, timeout_us, err);
    struct mutant_note *note;

    if (rc != KEDGE_OK)
        return rc;
    (void)pthread_mutex_lock(&m->lock);
    note = mutant_note(m, name, true);
    if (note != NULL && note->number == 0)
        note->number = out->version;
    if (note != NULL)
        out->version = note->number;
    (void)pthread_mutex_unlock(&m->lock);
    return rc;
}
DEFECT(m183, .ops = { .cell_get = cached });

static int nothing_is_absent(GET)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_cell cell = { .mem = NULL };
    int rc = b.ops->cell_get(b.session, name, &cell, timeout_us, err);

    if (rc == KEDGE_OK && cell.value.len == 0) {
        mutant_free(&b, cell.mem);
        return KEDGE_NOT_FOUND;
    }
    if (rc == KEDGE_OK)
        *out = cell;
    return rc;
}
DEFECT(m211, .ops = { .cell_get = nothing_is_absent });

/* ------------------------------------------------------------- of several kinds */

static int any_leases(void *s, struct kedge_bytes cursor, size_t limit,
                      struct kedge_lease_page *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);

    return b.ops->lease_list(b.session, cursor, limit > 0 ? limit : 100, out, timeout_us, err);
}

static int any_list(LIST)
{
    struct wrap_below b = wrap_below(s);
    struct kedge_list some = *in;

    if (some.limit == 0)
        some.limit = 100;
    return list_below(&b, &some, out, timeout_us, err);
}
DEFECT(m227, .ops = { .lease_list = any_leases, .list = any_list });

/* A page goes on from the time of its last run: what is older than that is not seen. */
static int rising_times(LIST)
{
    struct wrap_below b = wrap_below(s);
    int rc = list_below(&b, in, out, timeout_us, err);
    int64_t last = INT64_MIN;
    size_t kept = 0;

    for (size_t i = 0; rc == KEDGE_OK && !in->newest_first && i < out->n; i++)
        if (out->runs[i].created >= last) {
            last = out->runs[i].created;
            out->runs[kept++] = out->runs[i];
        }
    if (rc == KEDGE_OK && !in->newest_first)
        out->n = kept;
    return rc;
}
DEFECT(m228, .ops = { .list = rising_times });

/* A handle remembers how long the journal was when it first looked. */
static int first_look(RETRIEVE)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = b.ops->retrieve(b.session, in, out, timeout_us, err);
    struct mutant_note *note;

    if (rc != KEDGE_OK)
        return rc;
    (void)pthread_mutex_lock(&m->lock);
    note = mutant_note(m, in->id, true);
    if (note != NULL && note->number == 0)
        note->number = out->run.position + 1;
    if (note != NULL)
        out->run.position = note->number - 1;
    (void)pthread_mutex_unlock(&m->lock);
    return rc;
}
DEFECT(m233, .ops = { .retrieve = first_look });
