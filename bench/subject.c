/* subject.c - calls through the storage vtable; whatever is not OK ends the benchmark */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/store.h>

#include "subject.h"

#define TIMEOUT_US INT64_C(60000000)
#define DAY_US     INT64_C(86400000000)
#define ID_BYTES   24
#define ID_TEXT    "order-"

struct batch {
    char ids[BATCH_MAX][ID_BYTES];
    uint8_t *records; /* BATCH_MAX of them */
    struct kedge_bytes bytes[BATCH_MAX];
    struct kedge_guard guards[BATCH_MAX];
    struct kedge_change changes[BATCH_MAX];
    struct kedge_run_new births[BATCH_MAX];
    struct kedge_commit commits[BATCH_MAX];
    struct kedge_answer answers[BATCH_MAX];
    uint64_t results[BATCH_MAX];
    /* what the last claim took */
    char taken_ids[BATCH_MAX][ID_BYTES];
    size_t taken_len[BATCH_MAX];
    uint64_t taken_fences[BATCH_MAX];
};

static const struct kedge_serve serve = {
    .queue = { "default", 7 },
    .reactor = { "bench", 5 },
    .version_min = 1,
    .version_max = 1,
};

static void check(int rc, const struct kedge_error *err, const char *what)
{
    if (rc < 0)
        die("%s: %s (%s)", what, err->msg, kedge_status_text(rc));
    if (rc != KEDGE_OK)
        die("%s: %s", what, kedge_status_text(rc));
}

static struct kedge_bytes id_of(char id[ID_BYTES], uint64_t tag)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = sizeof ID_TEXT - 1;

    memcpy(id, ID_TEXT, at);
    for (int shift = 60; shift >= 0; shift -= 4)
        id[at++] = digits[tag >> shift & 15];
    return (struct kedge_bytes){ id, at };
}

/* ---------------------------------------------------------- store and session */

void subject_url(char *url, size_t size, const char *name)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-";
    char dir[4096];
    int n;

    if (opt.store != NULL) {
        (void)snprintf(url, size, "%s", opt.store);
        return;
    }
    scratch_dir(dir, sizeof dir, name);
    n = snprintf(url, size, "lmdb://");
    for (const char *p = dir; *p != '\0' && n >= 0 && (size_t)n < size; p++)
        n += snprintf(url + n, size - (size_t)n, strchr(plain, *p) != NULL ? "%c" : "%%%02X",
                      (unsigned char)*p);
    if (n < 0 || (size_t)n >= size)
        die("the name of directory '%s' is too long", dir);
}

/* One for each name, until they are dropped. */
#define NAMES_MOST 32
static struct {
    char name[NS_BYTES];
    char ns[NS_BYTES];
} named[NAMES_MOST];
static size_t n_named;

const char *subject_ns(char ns[NS_BYTES], const char *name)
{
    const struct bare_kind *kind = bare_kind_of(opt.store);
    size_t i = 0;

    (void)snprintf(ns, NS_BYTES, "%s", name);
    if (!opt.own && (kind == NULL || !kind->is_server))
        return ns;
    while (i < n_named && strcmp(named[i].name, name) != 0)
        i++;
    if (i == n_named) {
        if (n_named == NAMES_MOST)
            die("too many namespaces");
        (void)snprintf(named[i].name, NS_BYTES, "%s", name);
        made_namespace(named[i].ns, name);
        n_named++;
    }
    memcpy(ns, named[i].ns, NS_BYTES);
    return ns;
}

void subject_drop(void)
{
    made_drop();
    n_named = 0;
}

void subject_open(struct subject *s, const char *url, const char *name)
{
    char ns[NS_BYTES];
    struct kedge_error err;
    struct kedge_open open = {
        .struct_size = sizeof open,
        .flags = KEDGE_OPEN_CREATE,
        .options = opt.backend_options,
    };
    char *place;

    (void)subject_ns(ns, name);
    open.ns = (struct kedge_bytes){ ns, strlen(ns) };
    check(kedge_backend_resolve(url, opt.backend, &s->ops, &place, &err), &err, "the backend");
    open.url = place;
    s->host = kedge_host_default();
    s->store = NULL;
    check(s->ops->store_open(s->host, &open, &s->store, &err), &err, "store_open");
    free(place);
}

void subject_close(struct subject *s)
{
    s->ops->store_close(s->store);
    s->store = NULL;
}

void subject_describe(const struct subject *s)
{
    struct kedge_error err;
    struct kedge_info info = { 0 };
    void *session;

    if (opt.smoke)
        return;
    check(s->ops->session_open(s->store, &session, &err), &err, "session_open");
    check(s->ops->info(session, &info, TIMEOUT_US, &err), &err, "info");
    printf("store        %s %s; an acknowledged write survives:%s%s%s%s\n", s->ops->name,
           info.server, (info.durability & KEDGE_SURVIVES_PROCESS) != 0 ? " process" : "",
           (info.durability & KEDGE_SURVIVES_SERVER) != 0 ? " server" : "",
           (info.durability & KEDGE_SURVIVES_POWER) != 0 ? " power" : "",
           info.durability == 0 ? " nothing" : "");
    for (size_t i = 0; i < info.n_facts; i++)
        printf("             %s: %s\n", info.facts[i].name, info.facts[i].value);
    kedge_mem_free(s->host, info.mem);
    s->ops->session_close(session);
}

struct kedge_id128 user_id(struct user *u)
{
    uint64_t bits[2] = { rng_next(&u->rng), rng_next(&u->rng) | 1 };
    struct kedge_id128 id;

    memcpy(id.b, bits, sizeof id.b);
    return id;
}

void user_open(struct user *u, const struct subject *s, int64_t lease_us)
{
    struct kedge_lease_state state;
    struct kedge_lease_new in = { .owner = { "bench", 5 }, .serves = &serve, .n_serves = 1 };
    struct kedge_error err;

    memset(u, 0, sizeof *u);
    u->subject = s;
    u->most =
        s->ops->limits->batch_items < BATCH_MAX ? (size_t)s->ops->limits->batch_items : BATCH_MAX;
    u->batch = must_alloc(1, sizeof *u->batch);
    u->batch->records = must_alloc(BATCH_MAX, opt.record);
    rng_seed(&u->rng);
    check(s->ops->session_open(s->store, &u->session, &err), &err, "session_open");
    if (lease_us == 0)
        return;
    u->lease = user_id(u);
    in.id = u->lease;
    in.request = user_id(u);
    in.ttl_us = lease_us;
    if (in.ttl_us > s->ops->limits->ttl_max_us)
        in.ttl_us = s->ops->limits->ttl_max_us;
    if (in.ttl_us < s->ops->limits->ttl_min_us)
        in.ttl_us = s->ops->limits->ttl_min_us;
    check(s->ops->lease_grant(u->session, &in, &state, TIMEOUT_US, &err), &err, "lease_grant");
}

void user_leave(struct user *u, struct subject *s)
{
    s->ops->session_close(u->session);
    subject_close(s);
}

void user_return(struct user *u, struct subject *s, const char *url, const char *name)
{
    struct kedge_error err;

    subject_open(s, url, name);
    check(s->ops->session_open(s->store, &u->session, &err), &err, "session_open");
}

void user_close(struct user *u)
{
    u->subject->ops->session_close(u->session);
    free(u->batch->records);
    free(u->batch);
    u->session = NULL;
    u->batch = NULL;
}

/* -------------------------------------------------------------------- commits */

static void commit(struct user *u, size_t n)
{
    struct batch *b = u->batch;
    struct kedge_error err;

    check(u->subject->ops->commit(u->session, b->commits, n, b->answers, TIMEOUT_US, &err), &err,
          "commit");
    for (size_t i = 0; i < n; i++)
        if (b->answers[i].outcome != KEDGE_OK)
            die("commit %zu of %zu: %s %s", i, n, kedge_status_text(b->answers[i].outcome),
                b->answers[i].outcome < 0 ? b->answers[i].why : "");
}

/* Item I of the batch: GUARDS (0 or 1) and one change. */
static void item(struct user *u, size_t i, size_t guards)
{
    struct batch *b = u->batch;

    b->commits[i] = (struct kedge_commit){
        .request = user_id(u),
        .guards = guards > 0 ? &b->guards[i] : NULL,
        .n_guards = guards,
        .changes = &b->changes[i],
        .n_changes = 1,
        .results = &b->results[i],
    };
}

static void create_batch(struct user *u, uint64_t first, size_t n, enum birth birth)
{
    struct batch *b = u->batch;

    for (size_t i = 0; i < n; i++) {
        struct kedge_run_new *born = &b->births[i];

        *born = (struct kedge_run_new){
            .reactor = serve.reactor,
            .queue = serve.queue,
            .parent_slot = KEDGE_NO_SLOT,
            .version = 1,
        };
        if (birth == BORN_DUE || birth == BORN_LATER) {
            born->due.base = KEDGE_IN;
            born->due.us = birth == BORN_LATER ? DAY_US : 0;
        } else {
            born->lease = u->lease;
        }
        if (birth == BORN_BOUND || birth == BORN_OVERDUE) {
            born->hold_until.base = KEDGE_IN;
            born->hold_until.us = birth == BORN_BOUND ? DAY_US : 0;
        }
        memset(&b->changes[i], 0, sizeof b->changes[i]);
        b->changes[i].kind = KEDGE_CREATE;
        b->changes[i].name = id_of(b->ids[i], first + i);
        b->changes[i].create = born;
        item(u, i, 0);
    }
    commit(u, n);
}

void user_create(struct user *u, uint64_t first, size_t n, enum birth birth, struct run *out)
{
    for (size_t done = 0; done < n;) {
        size_t k = n - done < u->most ? n - done : u->most;

        create_batch(u, first + done, k, birth);
        for (size_t i = 0; out != NULL && i < k; i++)
            out[done + i] = (struct run){ first + done + i, u->batch->results[i], 0 };
        done += k;
    }
}

void runs_create(struct runs *runs, struct user *u, uint64_t first, size_t n)
{
    runs->v = must_alloc(n, sizeof *runs->v);
    runs->n = n;
    runs->next = 0;
    user_create(u, first, n, BORN_HELD, runs->v);
}

void runs_release(struct runs *runs)
{
    free(runs->v);
    runs->v = NULL;
}

/* Item I of the batch appends N records, which the batch holds from AT on. */
static void append_item(struct user *u, size_t i, const struct run *run, size_t at, size_t n)
{
    struct batch *b = u->batch;
    struct kedge_bytes id = id_of(b->ids[i], run->tag);

    for (size_t k = 0; k < n; k++) {
        uint8_t *record = b->records + (at + k) * opt.record;

        record_fill(record, run->tag, run->position + 1 + k);
        b->bytes[at + k] = (struct kedge_bytes){ record, opt.record };
    }
    b->guards[i] = (struct kedge_guard){
        .kind = KEDGE_GUARD_HELD,
        .name = id,
        .lease = u->lease,
        .number = run->fence,
    };
    b->changes[i] = (struct kedge_change){
        .kind = KEDGE_APPEND,
        .name = id,
        .append = { .records = &b->bytes[at], .n = n, .first = run->position + 1 },
    };
    item(u, i, 1);
}

void user_append(struct user *u, struct runs *runs, size_t n)
{
    size_t first = runs->next;

    for (size_t i = 0; i < n; i++) {
        append_item(u, i, &runs->v[runs->next], i, 1);
        runs->next = runs->next + 1 < runs->n ? runs->next + 1 : 0;
    }
    commit(u, n);
    for (size_t i = 0; i < n; i++)
        runs->v[(first + i) % runs->n].position = u->batch->results[i];
}

void user_append_many(struct user *u, struct run *run, size_t n)
{
    append_item(u, 0, run, 0, n);
    commit(u, 1);
    run->position = u->batch->results[0];
}

/* --------------------------------------------------------------- other calls */

size_t user_claim(struct user *u, size_t n)
{
    struct batch *b = u->batch;
    struct kedge_claim in = {
        .request = user_id(u),
        .lease = u->lease,
        .serves = &serve,
        .n_serves = 1,
        .limit = n,
    };
    struct kedge_run_page page = { 0 };
    struct kedge_error err;

    check(u->subject->ops->claim(u->session, &in, &page, TIMEOUT_US, &err), &err, "claim");
    if (page.n > n)
        die("claim took %zu runs, not %zu", page.n, n);
    n = page.n;
    for (size_t i = 0; i < n; i++) {
        if (page.runs[i].id.len > ID_BYTES)
            die("claim took a run that is not ours");
        memcpy(b->taken_ids[i], page.runs[i].id.data, page.runs[i].id.len);
        b->taken_len[i] = page.runs[i].id.len;
        b->taken_fences[i] = page.runs[i].fence;
    }
    kedge_mem_free(u->subject->host, page.mem);
    return n;
}

void user_release(struct user *u, size_t n)
{
    struct batch *b = u->batch;

    for (size_t i = 0; i < n; i++) {
        struct kedge_bytes id = { b->taken_ids[i], b->taken_len[i] };

        b->guards[i] = (struct kedge_guard){
            .kind = KEDGE_GUARD_HELD,
            .name = id,
            .lease = u->lease,
            .number = b->taken_fences[i],
        };
        b->changes[i] = (struct kedge_change){
            .kind = KEDGE_RELEASE,
            .name = id,
            .release = { .place = KEDGE_PLACE_DUE, .when = { .us = 0, .base = KEDGE_IN } },
        };
        item(u, i, 1);
    }
    if (n > 0)
        commit(u, n);
}

void user_extend(struct user *u)
{
    struct kedge_lease_state state;
    struct kedge_error err;

    check(u->subject->ops->lease_extend(u->session, &u->lease, &state, TIMEOUT_US, &err), &err,
          "lease_extend");
}

size_t user_expired(struct user *u)
{
    struct kedge_bytes cursor = { NULL, 0 };
    struct kedge_mem *last = NULL;
    struct kedge_error err;
    size_t n = 0;

    do {
        struct kedge_run_page page = { 0 };

        check(u->subject->ops->list_expired(u->session, cursor, 100, &page, TIMEOUT_US, &err), &err,
              "list_expired");
        kedge_mem_free(u->subject->host, last);
        last = page.mem;
        cursor = page.next;
        n += page.n;
    } while (cursor.len > 0);
    kedge_mem_free(u->subject->host, last);
    return n;
}

void user_sweep(struct user *u)
{
    const struct kedge_backend_ops *ops = u->subject->ops;
    const struct kedge_bytes start = { NULL, 0 };
    struct kedge_lease_page page = { 0 };
    struct kedge_purged purged;
    struct kedge_error err;

    check(ops->lease_list(u->session, start, 100, &page, TIMEOUT_US, &err), &err, "lease_list");
    kedge_mem_free(u->subject->host, page.mem);
    (void)user_expired(u);
    if (user_claim(u, 1) != 0)
        die("there is a run to claim");
    check(ops->purge(u->session, 100, &purged, TIMEOUT_US, &err), &err, "purge");
}

static void park_batch(struct user *u, const struct run *runs, size_t n)
{
    struct batch *b = u->batch;

    for (size_t i = 0; i < n; i++) {
        struct kedge_bytes id = id_of(b->ids[i], runs[i].tag);

        b->guards[i] = (struct kedge_guard){
            .kind = KEDGE_GUARD_HELD,
            .name = id,
            .lease = u->lease,
            .number = runs[i].fence,
        };
        b->changes[i] = (struct kedge_change){
            .kind = KEDGE_RELEASE,
            .name = id,
            .release = { .place = KEDGE_PLACE_PARKED,
                         .status = KEDGE_PAUSED,
                         .wakes_on = KEDGE_WAKES_ON_INTERRUPT },
        };
        item(u, i, 1);
    }
    commit(u, n);
}

void user_park(struct user *u, uint64_t first, size_t n)
{
    struct run runs[BATCH_MAX];

    for (size_t done = 0; done < n;) {
        size_t k = n - done < u->most ? n - done : u->most;

        user_create(u, first + done, k, BORN_HELD, runs);
        park_batch(u, runs, k);
        done += k;
    }
}

uint64_t user_head(struct user *u, uint64_t tag)
{
    char id[ID_BYTES];
    struct kedge_retrieve in = { .id = id_of(id, tag) };
    struct kedge_run_state out = { 0 };
    struct kedge_error err;
    uint64_t position;

    check(u->subject->ops->retrieve(u->session, &in, &out, TIMEOUT_US, &err), &err, "retrieve");
    position = out.run.position;
    kedge_mem_free(u->subject->host, out.mem);
    return position;
}

static void verify_page(const struct run *run, const struct kedge_record_page *page, uint64_t first)
{
    for (size_t i = 0; i < page->n; i++) {
        if (page->records[i].number != first + i ||
            !record_is(page->records[i].data.data, page->records[i].data.len, run->tag, first + i))
            die("record %" PRIu64 " of run %" PRIu64 " is not what was written", first + i,
                run->tag);
    }
}

static void verify_run(struct user *u, const struct run *run)
{
    const struct kedge_backend_ops *ops = u->subject->ops;
    char id[ID_BYTES];
    struct kedge_bytes name = id_of(id, run->tag);
    uint64_t number = 1;
    uint64_t next;
    struct kedge_error err;

    if (user_head(u, run->tag) != run->position)
        die("run %" PRIu64 " does not have the %" PRIu64 " records that were appended", run->tag,
            run->position);
    do {
        struct kedge_record_page page = { 0 };

        check(ops->retrieve_records(u->session, name, 0, number, ops->limits->page_max, 1 << 20,
                                    &page, TIMEOUT_US, &err),
              &err, "retrieve_records");
        verify_page(run, &page, number);
        number += page.n;
        next = page.next;
        if (next != 0 && next != number)
            die("run %" PRIu64 " goes on with record %" PRIu64 " after %" PRIu64, run->tag, next,
                number - 1);
        kedge_mem_free(u->subject->host, page.mem);
    } while (next != 0);
    if (number != run->position + 1)
        die("run %" PRIu64 " hands out %" PRIu64 " records of %" PRIu64, run->tag, number - 1,
            run->position);
}

uint64_t user_verify(struct user *u, const struct runs *runs)
{
    uint64_t n = 0;

    for (size_t i = 0; i < runs->n; i++) {
        die_if_stopped();
        verify_run(u, &runs->v[i]);
        n += runs->v[i].position;
    }
    return n;
}

/* ---------------------------------------------------------------------- locks */

bool user_lock(struct user *u, struct kedge_bytes name, uint64_t *fence)
{
    struct kedge_id128 request = user_id(u);
    struct kedge_lock_state state = { 0 };
    struct kedge_error err;
    int rc = u->subject->ops->lock_acquire(u->session, name, &u->lease, &request, &state,
                                           TIMEOUT_US, &err);

    if (rc != KEDGE_HELD)
        check(rc, &err, "lock_acquire");
    *fence = state.fence;
    return rc == KEDGE_OK;
}

void user_unlock(struct user *u, struct kedge_bytes name, uint64_t fence)
{
    struct kedge_error err;

    check(u->subject->ops->lock_release(u->session, name, &u->lease, fence, TIMEOUT_US, &err), &err,
          "lock_release");
}

bool user_locked(struct user *u, struct kedge_bytes name)
{
    struct kedge_lock_state state = { 0 };
    struct kedge_error err;
    int rc = u->subject->ops->lock_query(u->session, name, &state, TIMEOUT_US, &err);

    if (rc != KEDGE_NOT_FOUND)
        check(rc, &err, "lock_query");
    return rc == KEDGE_OK;
}
