/*
 * hammer_check.c - does the store agree with what its clients were told?
 *
 *   lost       what was acknowledged is there: every record at its position with its bytes, every
 *              cell's count, every slot
 *   doubled    a request's records are there once; nothing is there that was refused; positions
 *              have no gaps (the reader sees to that)
 *   fences     unique; if grant i had returned before grant j was called, fence i < fence j; along
 *              a journal they never fall; no write under a fence began after a newer grant had
 *              returned and was accepted
 *   two at once  a grant returns only after its predecessor had begun to release, or somebody had
 *              begun to bury or revoke its lease
 */
#include <config.h>

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "hammer.h"

struct op {
    struct hammer_line line; /* of the call; of the answer: outcome, fence, position, run */
    int64_t returned;        /* INT64_MAX: killed */
    bool decided;            /* answered, and not ERR_UNKNOWN */
    unsigned seen;
};

struct list {
    struct op *ops;
    size_t n, room;
};

static struct list all;

static struct op *add(struct list *l, const struct op *op)
{
    if (l->n == l->room) {
        l->room = l->room == 0 ? 4096 : l->room * 2;
        l->ops = realloc(l->ops, l->room * sizeof *l->ops);
        CRASH_CHECK(l->ops != NULL, "no memory");
    }
    l->ops[l->n] = *op;
    return &l->ops[l->n++];
}

/* The lines of a file: calls wait in OPEN until their answers come. */
static void load_file(const char *path)
{
    FILE *f = fopen(path, "re");
    struct list open = { NULL, 0, 0 };
    struct hammer_line line;

    CRASH_CHECK(f != NULL, "cannot open %s", path);
    while (fread(&line, sizeof line, 1, f) == 1) {
        struct op op = { line, INT64_MAX, false, 0 };

        if (line.after == 0) {
            (void)add(&open, &op);
            continue;
        }
        for (size_t i = open.n; i-- > 0;)
            if (open.ops[i].line.call == line.call) {
                op.line.time = open.ops[i].line.time;
                open.ops[i].seen = 1;
                break;
            }
        op.returned = line.time;
        op.decided = line.outcome != KEDGE_ERR_UNKNOWN;
        (void)add(&all, &op);
    }
    for (size_t i = 0; i < open.n; i++)
        if (open.ops[i].seen == 0) {
            open.ops[i].line.outcome = KEDGE_ERR_UNKNOWN;
            (void)add(&all, &open.ops[i]);
        }
    free(open.ops);
    (void)fclose(f);
}

static void load_all(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    CRASH_CHECK(d != NULL, "cannot open %s", dir);
    while ((e = readdir(d)) != NULL)
        if (e->d_name[0] != '.') {
            char path[4700];

            (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
            load_file(path);
        }
    (void)closedir(d);
}

static int by_request(const void *a, const void *b)
{
    const struct op *x = a;
    const struct op *y = b;

    return memcmp(x->line.request.b, y->line.request.b, sizeof x->line.request.b);
}

static int by_fence(const void *a, const void *b)
{
    const struct op *x = a;
    const struct op *y = b;

    return (x->line.fence > y->line.fence) - (x->line.fence < y->line.fence);
}

static struct list select_ops(bool (*fits)(const struct op *op, unsigned arg), unsigned arg,
                              int (*order)(const void *, const void *))
{
    struct list l = { NULL, 0, 0 };

    for (size_t i = 0; i < all.n; i++)
        if (fits(&all.ops[i], arg))
            (void)add(&l, &all.ops[i]);
    if (l.n != 0)
        qsort(l.ops, l.n, sizeof *l.ops, order);
    return l;
}

static bool is_append(const struct op *op, unsigned arg)
{
    (void)arg;
    return op->line.kind == HAMMER_APPEND;
}

static bool is_take(const struct op *op, unsigned run)
{
    return (op->line.kind == HAMMER_CLAIM || op->line.kind == HAMMER_TAKE) &&
           op->line.outcome == KEDGE_OK && op->line.fence != 0 && op->line.run == run;
}

static bool is_lock(const struct op *op, unsigned lock)
{
    return op->line.kind == HAMMER_LOCK && op->line.outcome == KEDGE_OK && op->line.run == lock;
}

static bool is_cell(const struct op *op, unsigned cell)
{
    return op->line.kind == HAMMER_CELL && op->line.run == cell;
}

static bool is_slot(const struct op *op, unsigned arg)
{
    (void)arg;
    return op->line.kind == HAMMER_SLOT && op->line.outcome == KEDGE_OK;
}

/* -------------------------------------------------------------------- journals */

struct reader {
    const struct kedge_backend_ops *ops;
    void *session;
    struct hammer *h;
    struct list appends;
    unsigned char *room;
    uint64_t fence; /* of the last record */
};

static void check_record(struct reader *r, unsigned run, const struct kedge_record *rec,
                         uint64_t expect)
{
    struct op key = { .line = { .request = rec->request } };
    struct op *op = NULL;
    struct kedge_bytes data;

    if (r->appends.n > 0)
        op = bsearch(&key, r->appends.ops, r->appends.n, sizeof key, by_request);
    CRASH_CHECK(rec->number == expect, "h%u: record %" PRIu64 " where %" PRIu64 " should be", run,
                rec->number, expect);
    CRASH_CHECK(op != NULL && op->line.run == run, "h%u: nobody sent record %" PRIu64, run,
                rec->number);
    CRASH_CHECK(op->line.outcome == KEDGE_OK || !op->decided,
                "h%u: record %" PRIu64 " is there, but its commit answered %s", run, rec->number,
                kedge_status_name(op->line.outcome));
    CRASH_CHECK(op->seen < op->line.n, "h%u: record %" PRIu64 " is there twice", run, rec->number);
    data = hammer_data(&rec->request, op->seen, r->room, HAMMER_DATA_MAX);
    CRASH_CHECK(data.len == rec->data.len &&
                    (data.len == 0 || memcmp(data.data, rec->data.data, data.len) == 0),
                "h%u: record %" PRIu64 " has other bytes", run, rec->number);
    op->seen++;
    CRASH_CHECK(op->line.outcome != KEDGE_OK ||
                    op->line.position - op->line.n + op->seen == rec->number,
                "h%u: record %" PRIu64 " was acknowledged at %" PRIu64, run, rec->number,
                op->line.position);
    CRASH_CHECK(op->line.fence >= r->fence,
                "h%u: record %" PRIu64 " has fence %" PRIu64 ", an earlier one %" PRIu64, run,
                rec->number, op->line.fence, r->fence);
    r->fence = op->line.fence;
    r->h->records++;
}

static void check_journal(struct reader *r, unsigned run)
{
    uint64_t first = 1;
    uint64_t expect = 1;
    struct kedge_error err;
    char name[16];

    hammer_run_name(run, name);
    r->fence = 0;
    do {
        struct kedge_record_page page = { 0 };
        int rc = r->ops->retrieve_records(r->session, crash_text(name), 0, first, 100,
                                          (size_t)1 << 20, &page, CRASH_TIMEOUT, &err);

        CRASH_CHECK(rc == KEDGE_OK, "%s: retrieve_records: %s: %s", name, kedge_status_name(rc),
                    err.msg);
        for (size_t i = 0; i < page.n; i++, expect++)
            check_record(r, run, &page.records[i], expect);
        first = page.next;
        kedge_mem_free(kedge_host_default(), page.mem);
    } while (first != 0);
}

static void check_appends(struct reader *r)
{
    r->appends = select_ops(is_append, 0, by_request);
    for (unsigned run = 0; run < HAMMER_RUNS; run++)
        check_journal(r, run);
    for (size_t i = 0; i < r->appends.n; i++) {
        const struct op *op = &r->appends.ops[i];

        r->h->appends += op->line.outcome == KEDGE_OK;
        r->h->in_doubt += !op->decided;
        CRASH_CHECK(op->line.outcome != KEDGE_OK || op->seen == op->line.n,
                    "h%u: acknowledged at %" PRIu64 " and lost: %u of %u records are there",
                    op->line.run, op->line.position, op->seen, op->line.n);
        CRASH_CHECK(op->seen == 0 || op->seen == op->line.n,
                    "h%u: half a commit: %u of %u records are there", op->line.run, op->seen,
                    op->line.n);
    }
}

/* ---------------------------------------------------------------------- fences */

/* When somebody first began to end this grant. */
static int64_t ended(const struct op *grant)
{
    bool lock = grant->line.kind == HAMMER_LOCK;
    int64_t end = INT64_MAX;

    for (size_t i = 0; i < all.n; i++) {
        const struct hammer_line *l = &all.ops[i].line;
        bool ends = false;

        if (l->kind == HAMMER_END)
            ends = memcmp(l->lease.b, grant->line.lease.b, sizeof l->lease.b) == 0;
        else if (l->kind == HAMMER_UNLOCK)
            ends = lock && l->run == grant->line.run && l->fence == grant->line.fence;
        else if (l->kind == HAMMER_APPEND && (l->extra & HAMMER_RELEASES) != 0)
            ends = !lock && l->run == grant->line.run && l->fence == grant->line.fence;
        if (ends && l->time < end)
            end = l->time;
    }
    return end;
}

static void check_grants(const struct list *l, const char *what, unsigned n)
{
    int64_t newest_ret = INT64_MAX;

    for (size_t i = l->n; i-- > 0;) {
        const struct op *op = &l->ops[i];

        CRASH_CHECK(op->returned == INT64_MAX || newest_ret >= op->line.time,
                    "%s%u: fence %" PRIu64 " was asked for after a newer one had been granted",
                    what, n, op->line.fence);
        if (op->returned < newest_ret)
            newest_ret = op->returned;
        if (i + 1 == l->n)
            continue;
        CRASH_CHECK(l->ops[i + 1].line.fence != op->line.fence,
                    "%s%u: fence %" PRIu64 " was granted twice", what, n, op->line.fence);
        CRASH_CHECK(l->ops[i + 1].returned >= ended(op),
                    "%s%u: held at fence %" PRIu64 " and at %" PRIu64 " at once", what, n,
                    op->line.fence, l->ops[i + 1].line.fence);
    }
}

/* No write that began when a newer grant had returned. */
static void check_late_writes(const struct list *takes, unsigned run)
{
    for (size_t i = 0; i < all.n; i++) {
        const struct op *op = &all.ops[i];

        if (op->line.kind != HAMMER_APPEND || op->line.run != run || op->line.outcome != KEDGE_OK)
            continue;
        for (size_t t = takes->n; t-- > 0 && takes->ops[t].line.fence > op->line.fence;)
            CRASH_CHECK(takes->ops[t].returned >= op->line.time,
                        "h%u: a write under fence %" PRIu64 " was accepted after %" PRIu64
                        " had been granted",
                        run, op->line.fence, takes->ops[t].line.fence);
    }
}

static int by_kind_of_end(const void *a, const void *b)
{
    const struct op *x = a;
    const struct op *y = b;

    return (x->line.time > y->line.time) - (x->line.time < y->line.time);
}

static void check_fences(struct hammer *h)
{
    for (unsigned run = 0; run < HAMMER_RUNS; run++) {
        struct list takes = select_ops(is_take, run, by_fence);

        check_grants(&takes, "run h", run);
        check_late_writes(&takes, run);
        h->takes += takes.n;
        free(takes.ops);
    }
    for (unsigned lock = 0; lock < HAMMER_LOCKS; lock++) {
        struct list locks = select_ops(is_lock, lock, by_fence);

        check_grants(&locks, "lock l", lock);
        h->locks += locks.n;
        free(locks.ops);
    }
}

/* -------------------------------------------------------------- cells and slots */

static void check_cell(struct reader *r, unsigned n)
{
    struct list ops = select_ops(is_cell, n, by_kind_of_end);
    struct kedge_cell cell = { 0 };
    struct kedge_error err;
    uint64_t value = 0;
    uint64_t ok = 0;
    uint64_t doubt = 0;
    char name[16];
    int rc;

    (void)snprintf(name, sizeof name, "c%u", n);
    rc = r->ops->cell_get(r->session, crash_text(name), &cell, CRASH_TIMEOUT, &err);
    CRASH_CHECK(rc == KEDGE_OK || rc == KEDGE_NOT_FOUND, "cell_get: %s", err.msg);
    if (rc == KEDGE_OK) {
        memcpy(&value, cell.value.data, sizeof value);
        kedge_mem_free(kedge_host_default(), cell.mem);
    }
    for (size_t i = 0; i < ops.n; i++) {
        ok += ops.ops[i].line.outcome == KEDGE_OK;
        doubt += !ops.ops[i].decided;
        for (size_t k = 0; k < i; k++)
            CRASH_CHECK(ops.ops[i].line.outcome != KEDGE_OK ||
                            ops.ops[k].line.outcome != KEDGE_OK ||
                            ops.ops[i].line.extra != ops.ops[k].line.extra,
                        "cell c%u was set to %u twice", n, ops.ops[i].line.extra);
    }
    CRASH_CHECK(value >= ok && value <= ok + doubt,
                "cell c%u is %" PRIu64 " after %" PRIu64 " additions and %" PRIu64 " in doubt", n,
                value, ok, doubt);
    free(ops.ops);
}

static void check_slots(struct reader *r)
{
    struct list ops = select_ops(is_slot, 0, by_kind_of_end);
    bool filled[HAMMER_PLACES] = { false };
    uint32_t first = 0;
    uint32_t n = 0;
    uint32_t remaining;
    struct kedge_error err;

    do {
        struct kedge_slot_page page = { 0 };
        int rc = r->ops->retrieve_slots(r->session, crash_text("parent"), 0, 0, first, 50, &page,
                                        CRASH_TIMEOUT, &err);

        CRASH_CHECK(rc == KEDGE_OK, "retrieve_slots: %s: %s", kedge_status_name(rc), err.msg);
        for (size_t i = 0; i < page.n; i++, n++)
            filled[page.slots[i].index] = true;
        remaining = page.remaining;
        first = (uint32_t)page.next;
        kedge_mem_free(kedge_host_default(), page.mem);
    } while (first != 0);
    CRASH_CHECK(remaining == HAMMER_PLACES - n, "%u slots are filled, %u remain", n, remaining);
    for (size_t i = 0; i < ops.n; i++)
        CRASH_CHECK(filled[ops.ops[i].line.extra], "slot %u was acknowledged and is empty",
                    ops.ops[i].line.extra);
    free(ops.ops);
}

void hammer_check(void *ctx)
{
    struct hammer *h = ctx;
    struct reader r = { .ops = crash_ops(getenv("KEDGE_TEST_CRASH_BACKEND")), .h = h };
    const struct kedge_open open = { .struct_size = sizeof open,
                                     .url = h->url,
                                     .ns = crash_text(HAMMER_NS) };
    struct kedge_error err;
    void *store = NULL;

    h->appends = h->records = h->takes = h->locks = h->in_doubt = 0;
    load_all(h->dir);
    CRASH_CHECK(r.ops->store_open(kedge_host_default(), &open, &store, &err) == KEDGE_OK,
                "open: %s", err.msg);
    CRASH_CHECK(r.ops->session_open(store, &r.session, &err) == KEDGE_OK, "session: %s", err.msg);
    r.room = malloc(HAMMER_DATA_MAX);
    CRASH_CHECK(r.room != NULL, "no memory");
    check_appends(&r);
    check_fences(h);
    for (unsigned cell = 0; cell < HAMMER_CELLS; cell++)
        check_cell(&r, cell);
    check_slots(&r);
    r.ops->session_close(r.session);
    r.ops->store_close(store);
}
