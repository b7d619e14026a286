/* dump.c - all that a session shows, as text that can be compared; see crash.h */
#include <config.h>

#include <stdarg.h>
#include <stdlib.h>

#include "crash.h"

struct dumper {
    const struct kedge_backend_ops *ops;
    const struct kedge_host *host;
    void *session;
    const struct crash_known *known;
    struct kedge_error *err;
    FILE *out;
};

static void put_id(FILE *out, const struct kedge_id128 *id)
{
    for (size_t i = 0; i < 4; i++)
        (void)fprintf(out, "%02x", id->b[i]);
}

static void put_bytes(FILE *out, struct kedge_bytes b)
{
    if (b.len <= 40)
        (void)fprintf(out, "'%.*s'", (int)b.len, b.len != 0 ? (const char *)b.data : "");
    else
        (void)fprintf(out, "%zu:%016llx", b.len, (unsigned long long)crash_hash(0, b.data, b.len));
}

/* A time, or a fence (which is one), in seconds of the epoch. */
static void put_time(struct dumper *d, const char *name, int64_t t)
{
    if (t == 0)
        (void)fprintf(d->out, " %s=-", name);
    else if (t < d->known->epoch)
        (void)fprintf(d->out, " %s=%lldus", name, (long long)t);
    else
        (void)fprintf(d->out, " %s=s%lld", name, (long long)((t - d->known->epoch) / CRASH_SEC));
}

static void put_fence(struct dumper *d, const char *name, uint64_t fence)
{
    put_time(d, name, fence > INT64_MAX ? INT64_MAX : (int64_t)fence);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lines of TEXT in their own order: the order of what a lease holds is the backend's. */
static void put_sorted(FILE *out, char *text)
{
    char *lines[1000] = { NULL };
    size_t n = 0;

    for (char *p = text; *p != '\0' && n < ARRAY_LEN(lines);) {
        size_t len = strcspn(p, "\n");

        lines[n++] = p;
        p += len;
        if (*p != '\0')
            *p++ = '\0';
    }
    qsort(lines, n, sizeof lines[0], by_text);
    for (size_t i = 0; i < n; i++)
        (void)fprintf(out, "%s\n", lines[i]);
}

static int dump_held(struct dumper *d, const struct kedge_lease *lease)
{
    struct kedge_bytes cursor = { NULL, 0 };
    char keep[2048];
    int rc;

    do {
        struct kedge_held_page page = { 0 };

        rc = d->ops->list_held(d->session, &lease->id, cursor, 3, &page, CRASH_TIMEOUT, d->err);
        if (rc != KEDGE_OK)
            return rc;
        for (size_t i = 0; i < page.n; i++) {
            const struct kedge_held *h = &page.held[i];

            (void)fprintf(d->out, "[holds ");
            put_bytes(d->out, lease->owner);
            (void)fprintf(d->out, " %s ", h->is_lock != 0 ? "lock" : "run");
            put_bytes(d->out, h->name);
            (void)fprintf(d->out, "]");
            put_fence(d, "fence", h->fence);
            (void)fprintf(d->out, " requests=%u\n", h->requests);
        }
        cursor.len = page.next.len < sizeof keep ? page.next.len : sizeof keep;
        if (cursor.len != 0)
            memcpy(keep, page.next.data, cursor.len);
        cursor.data = keep;
        kedge_mem_free(d->host, page.mem);
    } while (cursor.len != 0);
    return KEDGE_OK;
}

static int dump_lease(struct dumper *d, const struct kedge_lease *l)
{
    char *held = NULL;
    size_t size = 0;
    FILE *out;
    int rc;

    (void)fprintf(d->out, "[lease ");
    put_bytes(d->out, l->owner);
    (void)fprintf(d->out, "] ");
    put_id(d->out, &l->id);
    put_time(d, "granted", l->granted);
    if (l->state != KEDGE_LEASE_DEAD)
        put_time(d, "deadline", l->deadline);
    (void)fprintf(d->out, " ttl=%lld remaining=%lld state=%u serves=%zu", (long long)l->ttl_us,
                  (long long)l->remaining_us, l->state, l->n_serves);
    for (size_t i = 0; i < l->n_serves; i++) {
        (void)fprintf(d->out, " ");
        put_bytes(d->out, l->serves[i].queue);
        (void)fprintf(d->out, "/");
        put_bytes(d->out, l->serves[i].reactor);
        (void)fprintf(d->out, "/%u-%u", l->serves[i].version_min, l->serves[i].version_max);
    }
    (void)fprintf(d->out, "\n");
    out = d->out;
    d->out = open_memstream(&held, &size);
    if (d->out == NULL)
        return kedge_error_set(d->err, KEDGE_ERR_NOMEM, 0, "no memory for a dump");
    rc = dump_held(d, l);
    (void)fclose(d->out);
    d->out = out;
    put_sorted(out, held);
    free(held);
    return rc;
}

static int dump_leases(struct dumper *d)
{
    struct kedge_bytes cursor = { NULL, 0 };
    char keep[2048];
    int rc;

    do {
        struct kedge_lease_page page = { 0 };

        rc = d->ops->lease_list(d->session, cursor, 2, &page, CRASH_TIMEOUT, d->err);
        if (rc != KEDGE_OK)
            return rc;
        for (size_t i = 0; i < page.n && rc == KEDGE_OK; i++)
            rc = dump_lease(d, &page.leases[i]);
        cursor.len = page.next.len < sizeof keep ? page.next.len : sizeof keep;
        if (cursor.len != 0)
            memcpy(keep, page.next.data, cursor.len);
        cursor.data = keep;
        kedge_mem_free(d->host, page.mem);
    } while (cursor.len != 0 && rc == KEDGE_OK);
    return rc;
}

static void put_head(struct dumper *d, const struct kedge_run *r)
{
    static const char *const places[] = { "?", "due", "held", "parked", "rest" };

    (void)fprintf(d->out, "[run ");
    put_bytes(d->out, r->id);
    (void)fprintf(d->out, "] %s status=%u rev=%llu pos=%llu snap=%llu",
                  places[r->place <= 4 ? r->place : 0], r->status, (unsigned long long)r->revision,
                  (unsigned long long)r->position, (unsigned long long)r->snapshot_position);
    put_fence(d, "inc", r->incarnation);
    put_fence(d, "fence", r->fence);
    (void)fprintf(d->out, " holder=");
    put_id(d->out, &r->holder);
    (void)fprintf(d->out, " version=%u wakes=%u requests=%u recoveries=%u mark=%u ", r->version,
                  r->wakes_on, r->requests, r->recoveries, r->wake_mark);
    put_bytes(d->out, r->reactor);
    put_bytes(d->out, r->queue);
    put_bytes(d->out, r->context);
    put_bytes(d->out, r->parent);
    put_bytes(d->out, r->root);
    if (r->parent.len != 0) {
        put_fence(d, "pinc", r->parent_incarnation);
        (void)fprintf(d->out, " set=%u slot=%u", r->parent_set, r->parent_slot);
    }
    put_time(d, "due", r->due);
    put_time(d, "created", r->created);
    put_time(d, "finished", r->finished);
    put_time(d, "expires", r->expires);
    put_time(d, "hold", r->hold_until);
    (void)fprintf(d->out, "\n");
}

static void put_record(struct dumper *d, const char *what, const struct kedge_run *run,
                       const struct kedge_record *r)
{
    (void)fprintf(d->out, "[run ");
    put_bytes(d->out, run->id);
    (void)fprintf(d->out, "] %s %llu ", what, (unsigned long long)r->number);
    put_id(d->out, &r->request);
    put_time(d, "time", r->time);
    (void)fprintf(d->out, " ");
    put_bytes(d->out, r->data);
    (void)fprintf(d->out, "\n");
}

static int dump_journal(struct dumper *d, const struct kedge_run *run)
{
    uint64_t first = 1;
    uint64_t expect = 1;

    do {
        struct kedge_record_page page = { 0 };
        int rc = d->ops->retrieve_records(d->session, run->id, run->incarnation, first, 4,
                                          (size_t)1 << 20, &page, CRASH_TIMEOUT, d->err);

        if (rc != KEDGE_OK)
            return rc;
        for (size_t i = 0; i < page.n; i++, expect++) {
            put_record(d, "record", run, &page.records[i]);
            if (page.records[i].number != expect)
                (void)fprintf(d->out, "!! GAP: record %llu where %llu should be\n",
                              (unsigned long long)page.records[i].number,
                              (unsigned long long)expect);
        }
        first = page.next;
        kedge_mem_free(d->host, page.mem);
    } while (first != 0);
    if (expect != run->position + 1)
        (void)fprintf(d->out, "!! position %llu, but the journal ends at %llu\n",
                      (unsigned long long)run->position, (unsigned long long)expect - 1);
    return KEDGE_OK;
}

static int dump_slots(struct dumper *d, const struct kedge_run *run, uint32_t set)
{
    uint32_t first = 0;
    uint32_t filled = 0;

    for (;;) {
        struct kedge_slot_page page = { 0 };
        int rc = d->ops->retrieve_slots(d->session, run->id, run->incarnation, set, first, 2, &page,
                                        CRASH_TIMEOUT, d->err);

        if (rc == KEDGE_NOT_FOUND)
            return KEDGE_OK;
        if (rc != KEDGE_OK)
            return rc;
        (void)fprintf(d->out, "[run ");
        put_bytes(d->out, run->id);
        (void)fprintf(d->out, "] set %u total=%u remaining=%u", set, page.total, page.remaining);
        for (size_t i = 0; i < page.n; i++, filled++) {
            (void)fprintf(d->out, " %u:", page.slots[i].index);
            put_bytes(d->out, page.slots[i].value);
        }
        (void)fprintf(d->out, "\n");
        first = (uint32_t)page.next;
        if (first == 0 && page.total - filled != page.remaining)
            (void)fprintf(d->out, "!! %u slots filled of %u, but %u remain\n", filled, page.total,
                          page.remaining);
        kedge_mem_free(d->host, page.mem);
        if (first == 0)
            return KEDGE_OK;
    }
}

static int dump_run(struct dumper *d, const struct kedge_run *listed)
{
    struct kedge_retrieve in = { .id = listed->id,
                                 .incarnation = listed->incarnation,
                                 .want = KEDGE_WANT_SNAPSHOT | KEDGE_WANT_TAIL };
    struct kedge_run_state state = { 0 };
    int rc = d->ops->retrieve(d->session, &in, &state, CRASH_TIMEOUT, d->err);

    if (rc != KEDGE_OK)
        return rc;
    put_head(d, listed);
    if (state.run.revision != listed->revision || state.run.place != listed->place ||
        state.run.fence != listed->fence || state.run.due != listed->due)
        (void)fprintf(d->out, "!! the list shows another head than retrieve\n");
    if (state.run.snapshot_position != 0) {
        (void)fprintf(d->out, "[run ");
        put_bytes(d->out, listed->id);
        (void)fprintf(d->out, "] snapshot ");
        put_bytes(d->out, state.snapshot);
        (void)fprintf(d->out, "\n");
    }
    for (size_t i = 0; i < state.n_tail; i++)
        put_record(d, "tail", listed, &state.tail[i]);
    if (state.n_tail != listed->position - state.run.snapshot_position)
        (void)fprintf(d->out, "!! the tail has %zu records\n", state.n_tail);
    rc = dump_journal(d, &state.run);
    for (uint32_t set = 0; set < d->known->sets && rc == KEDGE_OK; set++)
        rc = dump_slots(d, &state.run, set);
    kedge_mem_free(d->host, state.mem);
    return rc;
}

static int dump_runs(struct dumper *d)
{
    struct kedge_list in = { .limit = 3 };
    char keep[2048];
    int rc;

    do {
        struct kedge_run_page page = { 0 };

        rc = d->ops->list(d->session, &in, &page, CRASH_TIMEOUT, d->err);
        if (rc != KEDGE_OK)
            return rc;
        for (size_t i = 0; i < page.n && rc == KEDGE_OK; i++)
            rc = dump_run(d, &page.runs[i]);
        in.cursor.len = page.next.len < sizeof keep ? page.next.len : sizeof keep;
        if (in.cursor.len != 0)
            memcpy(keep, page.next.data, in.cursor.len);
        in.cursor.data = keep;
        kedge_mem_free(d->host, page.mem);
    } while (in.cursor.len != 0 && rc == KEDGE_OK);
    return rc;
}

static int dump_expired(struct dumper *d)
{
    struct kedge_bytes cursor = { NULL, 0 };
    char keep[2048];
    int rc;

    do {
        struct kedge_run_page page = { 0 };

        rc = d->ops->list_expired(d->session, cursor, 3, &page, CRASH_TIMEOUT, d->err);
        if (rc != KEDGE_OK)
            return rc;
        for (size_t i = 0; i < page.n; i++) {
            (void)fprintf(d->out, "[expired ");
            put_bytes(d->out, page.runs[i].id);
            (void)fprintf(d->out, "] reason=%u\n", page.reasons[i]);
        }
        cursor.len = page.next.len < sizeof keep ? page.next.len : sizeof keep;
        if (cursor.len != 0)
            memcpy(keep, page.next.data, cursor.len);
        cursor.data = keep;
        kedge_mem_free(d->host, page.mem);
    } while (cursor.len != 0);
    return KEDGE_OK;
}

static int dump_cell(struct dumper *d, const char *name)
{
    struct kedge_cell cell = { 0 };
    int rc = d->ops->cell_get(d->session, crash_text(name), &cell, CRASH_TIMEOUT, d->err);

    if (rc == KEDGE_NOT_FOUND)
        return KEDGE_OK;
    if (rc != KEDGE_OK)
        return rc;
    (void)fprintf(d->out, "[cell '%s'] ", name);
    put_bytes(d->out, cell.value);
    put_fence(d, "version", cell.version);
    put_time(d, "expires", cell.expires);
    (void)fprintf(d->out, "\n");
    kedge_mem_free(d->host, cell.mem);
    return KEDGE_OK;
}

static int dump_lock(struct dumper *d, const char *name)
{
    struct kedge_lock_state lock;
    int rc = d->ops->lock_query(d->session, crash_text(name), &lock, CRASH_TIMEOUT, d->err);

    if (rc == KEDGE_NOT_FOUND)
        return KEDGE_OK;
    if (rc != KEDGE_OK)
        return rc;
    (void)fprintf(d->out, "[lock '%s'] ", name);
    put_id(d->out, &lock.holder);
    put_fence(d, "fence", lock.fence);
    (void)fprintf(d->out, " remaining=%lld\n", (long long)lock.remaining_us);
    return KEDGE_OK;
}

int crash_dump(const struct kedge_backend_ops *ops, const struct kedge_host *host, void *session,
               const struct crash_known *known, struct crash_dump *out, struct kedge_error *err)
{
    struct dumper d = { ops, host, session, known, err, NULL };
    struct crash_dump got = { NULL, 0 };
    int rc;

    d.out = open_memstream(&got.text, &got.len);
    if (d.out == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "no memory for a dump");
    rc = dump_leases(&d);
    if (rc == KEDGE_OK)
        rc = dump_runs(&d);
    if (rc == KEDGE_OK)
        rc = dump_expired(&d);
    for (size_t i = 0; i < known->n_cells && rc == KEDGE_OK; i++)
        rc = dump_cell(&d, known->cells[i]);
    for (size_t i = 0; i < known->n_locks && rc == KEDGE_OK; i++)
        rc = dump_lock(&d, known->locks[i]);
    (void)fclose(d.out);
    if (rc == KEDGE_OK)
        *out = got;
    else
        free(got.text);
    return rc;
}

const char *crash_dump_differ(const char *a, const char *b)
{
    static char text[1200];
    size_t la, lb;

    for (;; a += la, b += lb) {
        la = strcspn(a, "\n");
        lb = strcspn(b, "\n");
        if (la != lb || memcmp(a, b, la) != 0)
            break;
        if (a[la] == '\0' && b[lb] == '\0')
            return NULL;
        if (a[la] == '\0' || b[lb] == '\0')
            break;
        la++;
        lb++;
    }
    (void)snprintf(text, sizeof text, "%.*s | %.*s", la < 500 ? (int)la : 500, la != 0 ? a : "-",
                   lb < 500 ? (int)lb : 500, lb != 0 ? b : "-");
    return text;
}

const char *crash_verify(const struct kedge_backend_ops *ops, const struct kedge_host *host,
                         void *session)
{
    static char text[700];
    struct kedge_verified v = { 0 };
    struct kedge_error err;
    int rc = ops->verify(session, &v, CRASH_TIMEOUT, &err);

    if (rc != KEDGE_OK) {
        (void)snprintf(text, sizeof text, "verify: %s: %s", kedge_status_name(rc), err.msg);
        return text;
    }
    if (v.faults != 0) {
        (void)snprintf(text, sizeof text, "verify found %llu faults: %s",
                       (unsigned long long)v.faults, v.first);
        kedge_mem_free(host, v.mem);
        return text;
    }
    kedge_mem_free(host, v.mem);
    return NULL;
}
