/*
 * start.c - start runs: one commit each, many commits in one call of the store
 *
 * A run begins with its record 1, which holds the input.  Creation and record are one commit, so a
 * run is there with its input or not at all.  The store knows a commit by its request id: one in
 * doubt is sent again, with the same bytes, until the time is up.
 */
#include <config.h>

#include <string.h>
#include <time.h>

#include <kedge/run.h>
#include <kedge/store.h>
#include <kedge/value.h>

#include "args.h"
#include "record.h"
#include "session.h"

/* -------------------------------------------------------------------- ids */

/*
 * A UUID of version 7: milliseconds since 1970, then what is left of the time in 12 bits, so that
 * ids made one after the other are in order, then 62 random bits.
 */
int kedge_run_id_make(char id[KEDGE_RUN_ID_SIZE], struct kedge_error *err)
{
    static const char digits[] = "0123456789abcdef";
    struct timespec ts = { .tv_sec = 0 };
    unsigned char b[16];
    uint64_t ms;
    uint32_t rest;
    int rc;

    if (id == NULL)
        return kedge_args_null("id", err);
    rc = kedge_random_bytes(b + 8, 8, err);
    if (rc != KEDGE_OK)
        return rc;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
    rest = (uint32_t)((uint64_t)ts.tv_nsec % 1000000 * 4096 / 1000000);
    for (unsigned i = 0; i < 6; i++)
        b[i] = (unsigned char)(ms >> (40 - 8 * i));
    b[6] = (unsigned char)(0x70u | (rest >> 8));
    b[7] = (unsigned char)rest;
    b[8] = (unsigned char)((b[8] & 0x3fu) | 0x80u);
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *id++ = '-';
        *id++ = digits[b[i] >> 4];
        *id++ = digits[b[i] & 15];
    }
    *id = '\0';
    return KEDGE_OK;
}

/* ------------------------------------------------------------- validation */

static int check_reactor(const char *name, uint32_t version, struct kedge_error *err)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789_-.:";
    size_t len;

    if (name == NULL || name[0] == '\0')
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the start names no reactor");
    len = strlen(name);
    if (len > 255)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "the reactor's name has %zu characters, more than 255", len);
    if (strspn(name, allowed) != len)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "the reactor's name has a character other than A-Z a-z 0-9 _ - . : "
                               "at %zu",
                               strspn(name, allowed));
    if (version == 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the version of reactor '%s' is 0", name);
    return KEDGE_OK;
}

static int check_bytes(struct kedge_bytes bytes, const char *what, struct kedge_error *err)
{
    if (bytes.len != 0 && bytes.data == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the %s has a length but no bytes", what);
    return KEDGE_OK;
}

/* What the commit of a start weighs at most, with a record of so many bytes: the names come twice,
   and a backend may count its own overhead. */
static uint64_t weight(const struct kedge_run_start *start, size_t record)
{
    return 512u + 4u * (uint64_t)start->id.len + start->context.len + start->queue.len + record;
}

static int too_big(const char *what, uint64_t size, uint64_t most,
                   const struct kedge_backend_ops *ops, struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_TOO_BIG, 0,
                           "the %s %llu bytes, more than the %llu that '%s' allows", what,
                           (unsigned long long)size, (unsigned long long)most, ops->name);
}

/* The store would refuse it as well, in words of its own, which are not the caller's. */
static int check_sizes(const struct kedge_backend_ops *ops, const struct kedge_run_start *start,
                       struct kedge_error *err)
{
    const struct kedge_limits *limits = ops->limits;
    uint64_t all = weight(start, start->input.len + KEDGE_RECORD_ROOM);

    if (start->input.len > limits->value_max - KEDGE_RECORD_ROOM)
        return too_big("input has", start->input.len, limits->value_max - KEDGE_RECORD_ROOM, ops,
                       err);
    if (start->context.len > limits->cell_max)
        return too_big("context has", start->context.len, limits->cell_max, ops, err);
    if (start->queue.len > limits->id_max)
        return too_big("name of the queue has", start->queue.len, limits->id_max, ops, err);
    if (all > limits->commit_bytes)
        return too_big("input and the context have, with all names,", all, limits->commit_bytes,
                       ops, err);
    return KEDGE_OK;
}

static int check_start(const struct kedge_backend_ops *ops, const struct kedge_run_start *start,
                       struct kedge_error *err)
{
    struct kedge_error why;
    int rc = check_reactor(start->reactor, start->version, err);

    if (rc == KEDGE_OK && start->flags != 0)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "the start's flags are 0x%x; this library, version %s, knows none",
                             (unsigned)start->flags, kedge_version());
    if (rc == KEDGE_OK)
        rc = kedge_args_id(ops, start->id, err);
    if (rc == KEDGE_OK)
        rc = check_bytes(start->input, "input", err);
    if (rc == KEDGE_OK)
        rc = check_bytes(start->context, "context", err);
    if (rc == KEDGE_OK)
        rc = check_bytes(start->queue, "queue", err);
    if (rc == KEDGE_OK && (start->delay_us < 0 || start->at_us < 0 || start->timeout_us < 0))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the start's %s is negative",
                             start->delay_us < 0 ? "delay_us"
                             : start->at_us < 0  ? "at_us"
                                                 : "timeout_us");
    if (rc == KEDGE_OK)
        rc = check_sizes(ops, start, err);
    if (rc == KEDGE_OK && start->input.len != 0 &&
        kedge_json_check(start->input.data, start->input.len, &why) != KEDGE_OK)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the input is %s", why.msg);
    return rc;
}

/* ---------------------------------------------------------------- a batch */

/* One start on its way to the store. */
struct item {
    size_t index; /* in the caller's array */
    struct kedge_id128 request;
    struct kedge_run_new run;
    struct kedge_change changes[2];
    struct kedge_bytes record;
    struct kedge_buf *buf;
    int in_doubt; /* it was sent, and nobody knows */
    int concluded;
};

struct starter {
    struct kedge_store *store;
    const struct kedge_backend_ops *ops;
    const struct kedge_host *host;
    void *session;
    int64_t deadline;
    int64_t now; /* the store's, if it was asked */
    int *outcomes;
    /* The first outcome, by index, that is neither OK nor EXISTS. */
    size_t first_bad;
    struct kedge_error first;
    /* The batch: ITEMS hold what COMMITS point to. */
    size_t room;
    size_t n;
    uint64_t bytes;
    struct item *items;
    struct kedge_commit *commits;
    struct kedge_answer *answers;
    char doubt[KEDGE_ERRMSG_MAX]; /* why something is in doubt */
};

/* The outcome of a start; exactly once for each. */
static void conclude(struct starter *s, size_t index, int outcome, const char *why)
{
    s->outcomes[index] = outcome;
    if (outcome != KEDGE_OK && outcome != KEDGE_EXISTS && index < s->first_bad) {
        s->first_bad = index;
        s->first.code = outcome;
        (void)kedge_error_set(&s->first, outcome, 0, "%s",
                              why[0] != '\0' ? why : kedge_status_text(outcome));
    }
}

static void item_drop(struct starter *s, struct item *item)
{
    kedge_buf_drop(s->host, item->buf);
    item->buf = NULL;
}

/* Those that have their outcome go; the others move up. */
static void sift(struct starter *s)
{
    size_t left = 0;

    for (size_t i = 0; i < s->n; i++) {
        struct item *to = &s->items[left];

        if (s->items[i].concluded) {
            item_drop(s, &s->items[i]);
            continue;
        }
        if (left++ == i)
            continue;
        *to = s->items[i];
        to->changes[0].create = &to->run;
        to->changes[1].append.records = &to->record;
    }
    s->n = left;
}

/* One call of the store.  Answers whether it is worth another one. */
static int send_once(struct starter *s, int64_t timeout_us)
{
    struct kedge_error err = { .msg = "" };
    int again = 0;
    int rc;

    for (size_t i = 0; i < s->n; i++)
        s->commits[i] = (struct kedge_commit){ .request = s->items[i].request,
                                               .changes = s->items[i].changes,
                                               .n_changes = 2 };
    rc = s->ops->commit(s->session, s->commits, s->n, s->answers, timeout_us, &err);
    for (size_t i = 0; i < s->n; i++) {
        struct item *item = &s->items[i];
        int outcome = rc != KEDGE_OK ? rc : s->answers[i].outcome;
        const char *why = rc != KEDGE_OK ? err.msg : s->answers[i].why;

        /* Only "done" or "no" ends a doubt; otherwise it is the repetition that failed. */
        if (outcome == KEDGE_ERR_UNKNOWN || (item->in_doubt && outcome < 0)) {
            item->in_doubt = 1;
            again |= outcome == KEDGE_ERR_UNKNOWN || outcome == KEDGE_ERR_UNAVAILABLE;
            (void)snprintf(s->doubt, sizeof s->doubt, "%s", why);
            continue;
        }
        item->concluded = 1;
        conclude(s, item->index, outcome, why);
    }
    sift(s);
    return again;
}

/* Send the batch, and again what is in doubt, until the time is up.  Leaves it empty. */
static void flush(struct starter *s)
{
    int64_t left = s->deadline - kedge_monotonic_us();
    int64_t pause = 1000;

    while (s->n > 0 && left > 0 && send_once(s, left)) {
        left = s->deadline - kedge_monotonic_us();
        if (left > 0)
            kedge_sleep_us(pause < left ? pause : left);
        pause = pause < 25000 ? 2 * pause : 50000;
        left = s->deadline - kedge_monotonic_us();
    }
    for (size_t i = 0; i < s->n; i++) {
        struct item *item = &s->items[i];

        if (item->in_doubt)
            conclude(s, item->index, KEDGE_ERR_UNKNOWN, s->doubt);
        else
            conclude(s, item->index, KEDGE_ERR_UNAVAILABLE,
                     "the time was up before the store was asked");
        item_drop(s, item);
    }
    s->n = 0;
    s->bytes = 0;
}

static void add(struct starter *s, size_t index, const struct kedge_run_start *start,
                struct kedge_buf *buf, const struct kedge_id128 *request)
{
    struct item *item = &s->items[s->n++];

    *item = (struct item){ .index = index, .request = *request, .buf = buf };
    s->bytes += weight(start, buf->len);
    item->record = (struct kedge_bytes){ buf->data, buf->len };
    item->run = (struct kedge_run_new){
        .reactor = kedge_text(start->reactor),
        .queue = start->queue.len != 0 ? start->queue : kedge_text("default"),
        .context = start->context,
        .parent_slot = KEDGE_NO_SLOT,
        .version = start->version,
        .due = { .us = start->at_us != 0 ? start->at_us : start->delay_us,
                 .base = start->at_us != 0 ? KEDGE_AT : KEDGE_IN },
    };
    item->changes[0] = (struct kedge_change){ .kind = KEDGE_CREATE, .name = start->id };
    item->changes[0].create = &item->run;
    item->changes[1] = (struct kedge_change){ .kind = KEDGE_APPEND, .name = start->id };
    item->changes[1].append.records = &item->record;
    item->changes[1].append.n = 1;
    item->changes[1].append.first = 1;
}

/* By the store's clock, which is asked once for all. */
static int find_deadline(struct starter *s, const struct kedge_run_start *start, uint64_t *deadline,
                         struct kedge_error *err)
{
    struct kedge_time now = { .wall = s->now };
    int64_t left = s->deadline - kedge_monotonic_us();
    int64_t begin;
    int rc = KEDGE_OK;

    if (s->now == 0)
        rc = s->ops->now(s->session, &now, left > 1000 ? left : 1000, err);
    if (rc != KEDGE_OK)
        return rc;
    s->now = now.wall;
    begin = start->at_us != 0 ? start->at_us : now.wall;
    if (start->at_us == 0)
        begin = start->delay_us < INT64_MAX - begin ? begin + start->delay_us : INT64_MAX;
    *deadline = (uint64_t)(start->timeout_us < INT64_MAX - begin ? begin + start->timeout_us
                                                                 : INT64_MAX - 1);
    return KEDGE_OK;
}

/* Check one start, make its record and put it into the batch, which is sent when it is full. */
static int take(struct starter *s, size_t index, const struct kedge_run_start *from,
                struct kedge_error *err)
{
    struct kedge_rec rec = { .kind = KEDGE_RECORD_BEGIN,
                             .step = KEDGE_NO_STEP,
                             .writer = kedge_text(kedge_store_program(s->store)),
                             .has_value = 1 };
    struct kedge_run_start start;
    struct kedge_id128 request;
    struct kedge_buf *buf;
    int rc;

    rc = kedge_args_import(&start, sizeof start, from, from->struct_size, "start",
                           "KEDGE_START_INIT", err);
    if (rc == KEDGE_OK)
        rc = check_start(s->ops, &start, err);
    if (rc == KEDGE_OK)
        rc = kedge_request_id_make(&request, err);
    if (rc != KEDGE_OK)
        return rc;
    rec.value = start.input.len != 0 ? start.input : kedge_text("null");
    if (start.timeout_us > 0)
        rc = find_deadline(s, &start, &rec.number, err);
    if (rc != KEDGE_OK)
        return rc;
    buf = kedge_record_encode(s->host, &rec);
    if (buf == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    if (s->n == s->room ||
        (s->n > 0 && s->bytes + weight(&start, buf->len) > s->ops->limits->batch_bytes))
        flush(s);
    add(s, index, &start, buf, &request);
    return KEDGE_OK;
}

/* ------------------------------------------------------------- public face */

static int fail_all(int *outcomes, size_t n, int rc)
{
    for (size_t i = 0; i < n; i++)
        outcomes[i] = rc;
    return rc;
}

/* A structure that says it is larger than its place in the array would be read beyond it. */
static int fits(const struct kedge_run_start *start, size_t start_size, struct kedge_error *err)
{
    if (start->struct_size <= start_size)
        return KEDGE_OK;
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "start.struct_size is %zu, more than the %zu from one start to the next",
                           start->struct_size, start_size);
}

static int start_all(struct starter *s, const struct kedge_run_start *starts, size_t n,
                     size_t start_size, struct kedge_error *err)
{
    struct kedge_error why;
    int rc;

    for (size_t i = 0; i < n; i++) {
        const struct kedge_run_start *start =
            (const void *)((const unsigned char *)starts + i * start_size);

        rc = fits(start, start_size, &why);
        if (rc == KEDGE_OK)
            rc = take(s, i, start, &why);
        if (rc != KEDGE_OK)
            conclude(s, i, rc, why.msg);
    }
    flush(s);
    if (s->first_bad == SIZE_MAX)
        return KEDGE_OK;
    return s->first.code < 0 ? kedge_error_set(err, s->first.code, 0, "%s", s->first.msg)
                             : s->first.code;
}

/* Room for a batch: the three arrays, one after the other. */
static int make_room(struct starter *s, size_t n, struct kedge_error *err)
{
    size_t max = (size_t)s->ops->limits->batch_items;
    unsigned char *at;

    s->room = n < max ? n : max;
    if (s->room == 0)
        s->room = 1;
    at = s->host->alloc(s->host->ctx,
                        s->room * (sizeof *s->items + sizeof *s->commits + sizeof *s->answers));
    if (at == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    s->items = (void *)at;
    s->commits = (void *)(s->items + s->room);
    s->answers = (void *)(s->commits + s->room);
    return KEDGE_OK;
}

int kedge_start_many(struct kedge_store *store, const struct kedge_run_start *starts, size_t n,
                     size_t start_size, int *outcomes, int64_t timeout_us, struct kedge_error *err)
{
    struct starter s = { .store = store, .outcomes = outcomes, .first_bad = SIZE_MAX };
    int rc;

    if (store == NULL || (n != 0 && (starts == NULL || outcomes == NULL)))
        return kedge_args_null(store == NULL    ? "store"
                               : starts == NULL ? "starts"
                                                : "outcomes",
                               err);
    rc = kedge_args_timeout(timeout_us, err);
    if (rc == KEDGE_OK && start_size < sizeof *starts)
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                             "start_size is %zu; pass sizeof(struct kedge_run_start)", start_size);
    if (rc != KEDGE_OK || n == 0)
        return fail_all(outcomes, n, rc);
    s.deadline = kedge_deadline(timeout_us);
    s.ops = kedge_store_ops(store);
    s.host = kedge_store_host(store);
    rc = make_room(&s, n, err);
    if (rc != KEDGE_OK)
        return fail_all(outcomes, n, rc);
    rc = kedge_session_get_timed(store, &s.session, timeout_us, err);
    if (rc == KEDGE_OK) {
        rc = start_all(&s, starts, n, start_size, err);
        kedge_session_put(store, s.session);
    } else {
        (void)fail_all(outcomes, n, rc);
    }
    s.host->release(s.host->ctx, s.items);
    return rc;
}

int kedge_start(struct kedge_store *store, const struct kedge_run_start *start, int64_t timeout_us,
                struct kedge_error *err)
{
    int outcome = KEDGE_OK;
    int rc;

    if (store == NULL || start == NULL)
        return kedge_args_null(store == NULL ? "store" : "start", err);
    rc = kedge_start_many(store, start, 1,
                          start->struct_size > sizeof *start ? start->struct_size : sizeof *start,
                          &outcome, timeout_us, err);
    return rc != KEDGE_OK ? rc : outcome;
}
