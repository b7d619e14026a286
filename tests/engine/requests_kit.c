/* requests_kit.c - the program, reactors, workers, deaths, and what came of it */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conform/clockfile.h"
#include "conform/fault_backend.h"
#include "requests.h"
#include "src/record.h"
#include "tests/support/fault_store.h"

struct behaviour acts[26];
struct kedge_store *store;
struct kedge_error err;
const char *url;
bool shared;
bool hinted;
int64_t look_us = 20000;
static atomic_llong clock_ahead;
struct kedge_requested out;

static char trail_path[256];
static int trail_fd = -1;
static int n_tests;
static int n_failed;

/* --------------------------------------------------------------------- TAP */

void ok(bool good, const char *format, ...)
{
    va_list args;

    n_tests++;
    n_failed += !good;
    printf("%sok %d - ", good ? "" : "not ", n_tests);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    printf("\n");
    (void)fflush(stdout);
}

void skip(const char *what, const char *why)
{
    printf("ok %d - %s # SKIP %s\n", ++n_tests, what, why);
}

void note(const char *format, ...)
{
    va_list args;

    printf("# ");
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    printf("\n");
}

void bail(const char *format, ...)
{
    va_list args;

    printf("Bail out! ");
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    printf("\n");
    exit(99);
}

void must(int rc, const char *what)
{
    if (rc != KEDGE_OK)
        bail("%s: %s: %s", what, kedge_status_name(rc), rc < 0 ? err.msg : "");
}

int64_t clock_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void nap_us(int64_t us)
{
    struct timespec ts = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

    (void)nanosleep(&ts, NULL);
}

/* ------------------------------------------------------------------- steps */

void acts_reset(void)
{
    for (int i = 0; i < 26; i++) {
        struct behaviour *b = &acts[i];

        atomic_store(&b->hold, 0);
        atomic_store(&b->heeds, 0);
        atomic_store(&b->later, 0);
        atomic_store(&b->fails, 0);
        atomic_store(&b->undo_fails, 0);
        atomic_store(&b->undo_hold, 0);
        atomic_store(&b->compensate_fails, 0);
        atomic_store(&b->halts, 0);
        atomic_store(&b->skips, 0);
        atomic_store(&b->began, 0);
        atomic_store(&b->stopped, 0);
        atomic_store(&b->token, 0);
    }
}

/* One write of one line: from any thread, and any process. */
static void leave_trail(const struct kedge_step *step)
{
    static const char marks[] = { ' ', '+', '?', '-' };
    const struct kedge_view *view = kedge_step_view(step);
    char line[256];
    int len = snprintf(line, sizeof line, "%.*s|%c%s%s|%.*s\n", (int)view->run.len,
                       (const char *)view->run.data, marks[view->action], view->step,
                       (view->flags & KEDGE_STEP_IN_DOUBT) != 0 ? "!" : "", (int)view->key.len,
                       (const char *)view->key.data);

    if (write(trail_fd, line, (size_t)len) != len)
        bail("the trail cannot be written: %s", strerror(errno));
}

static struct behaviour *act_of(const struct kedge_step *step)
{
    return ACT(kedge_step_view(step)->step[0]);
}

static bool spend(atomic_int *count)
{
    int n = atomic_load(count);

    if (n == 0)
        return false;
    if (n > 0)
        (void)atomic_fetch_sub(count, 1);
    return true;
}

/* Until the test lets it go; answers whether it was told to stop, and minds. */
static bool held_up(struct kedge_step *step, struct behaviour *b)
{
    struct pollfd fd = { -1, POLLIN, 0 };

    if (atomic_load(&b->hold) != 0 && atomic_load(&b->heeds) == 2)
        fd.fd = kedge_step_stop_fd(step);
    while (atomic_load(&b->hold) != 0) {
        if (fd.fd >= 0)
            (void)poll(&fd, 1, 1000);
        else
            nap_us(200);
        if (atomic_load(&b->heeds) != 0 &&
            (fd.fd >= 0 ? fd.revents != 0 : kedge_step_stopping(step) != 0))
            return true;
    }
    return false;
}

int run_step(struct kedge_step *step, void *user)
{
    const struct kedge_view *view = kedge_step_view(step);
    struct behaviour *b = act_of(step);
    uint64_t token;
    char text[64];

    (void)user;
    leave_trail(step);
    if (atomic_load(&b->later) != 0) {
        int rc = kedge_later(step, &token);

        atomic_store(&b->token, token);
        (void)atomic_fetch_add(&b->began, 1);
        return rc;
    }
    (void)atomic_fetch_add(&b->began, 1);
    if (held_up(step, b)) {
        atomic_store(&b->stopped, 1);
        return kedge_fail(step, KEDGE_FAIL_FINAL, "stopped");
    }
    (void)snprintf(text, sizeof text, "%s failed", view->step);
    if (spend(&b->fails))
        return kedge_fail(step, 0, text);
    if (spend(&b->halts))
        return kedge_halt(step, "enough");
    if (spend(&b->skips))
        return kedge_skip(step, "nothing to do");
    (void)snprintf(text, sizeof text, "\"%s%d\"", view->step, atomic_load(&b->began));
    return kedge_ok(step, text, strlen(text));
}

static int take_back(struct kedge_step *step, atomic_int *fails, const char *what)
{
    char text[64];

    leave_trail(step);
    while (atomic_load(&act_of(step)->undo_hold) != 0)
        nap_us(200);
    (void)snprintf(text, sizeof text, "%s of %s failed", what, kedge_step_view(step)->step);
    return spend(fails) ? kedge_fail(step, 0, text) : kedge_ok(step, NULL, 0);
}

int undo_step(struct kedge_step *step, void *user)
{
    (void)user;
    return take_back(step, &act_of(step)->undo_fails, "undo");
}

int compensate_step(struct kedge_step *step, void *user)
{
    (void)user;
    return take_back(step, &act_of(step)->compensate_fails, "compensate");
}

/* ---------------------------------------------------------------- reactors */

static const char *const after_a[] = { "a", NULL };
static const char *const after_b[] = { "b", NULL };
static const char *const after_bc[] = { "b", "c", NULL };
static const char *const after_d[] = { "d", NULL };

#define WHOLE .run = run_step, .undo = undo_step, .compensate = compensate_step
/* One after the other; all can be taken back. */
static const struct kedge_step_def loop_steps[] = {
    { .name = "a", WHOLE },
    { .name = "b", WHOLE, .after = after_a },
    { .name = "c", WHOLE, .after = after_b },
};
static const struct kedge_step_def pool_steps[] = {
    { .name = "a", WHOLE, .flags = KEDGE_STEP_POOL },
    { .name = "b", WHOLE, .flags = KEDGE_STEP_POOL, .after = after_a },
    { .name = "c", WHOLE, .flags = KEDGE_STEP_POOL, .after = after_b },
};
/* Nothing can be taken back. */
static const struct kedge_step_def bare_steps[] = {
    { .name = "a", .run = run_step },
    { .name = "b", .run = run_step, .after = after_a },
};
/* The second backs off for an hour. */
static const struct kedge_step_def slow_steps[] = {
    { .name = "a", WHOLE },
    { .name = "b", WHOLE, .after = after_a, .retry = { .attempts = 2, .base_us = HOUR } },
};
/* a, then b and c, then d, then e; f beside all of them. */
static const struct kedge_step_def wide_steps[] = {
    { .name = "a", WHOLE, .flags = KEDGE_STEP_POOL },
    { .name = "b", WHOLE, .flags = KEDGE_STEP_POOL, .after = after_a },
    { .name = "c", WHOLE, .flags = KEDGE_STEP_POOL, .after = after_a },
    { .name = "d", WHOLE, .flags = KEDGE_STEP_POOL, .after = after_bc },
    { .name = "e", WHOLE, .flags = KEDGE_STEP_POOL, .after = after_d },
    { .name = "f", .run = run_step, .undo = undo_step, .flags = KEDGE_STEP_POOL },
};
/* b has nothing to take back, though what it comes after has; x stands alone. */
static const struct kedge_step_def mixed_steps[] = {
    { .name = "a", WHOLE },
    { .name = "b", .run = run_step, .after = after_a },
    { .name = "c", .run = run_step, .after = after_b },
    { .name = "x", .run = run_step },
};
static const struct kedge_step_def other_steps[] = { { .name = "a", .run = run_step } };

enum { SERVED = 6, ALL = 7 };
static struct kedge_reactor *reactors[ALL];

static void make_reactors(void)
{
    const struct kedge_reactor_def defs[ALL] = {
        KEDGE_REACTOR_DEF_INIT("loop", 1, loop_steps),
        KEDGE_REACTOR_DEF_INIT("pool", 1, pool_steps),
        KEDGE_REACTOR_DEF_INIT("bare", 1, bare_steps),
        KEDGE_REACTOR_DEF_INIT("slow", 1, slow_steps),
        KEDGE_REACTOR_DEF_INIT("wide", 1, wide_steps),
        KEDGE_REACTOR_DEF_INIT("mixed", 1, mixed_steps),
        KEDGE_REACTOR_DEF_INIT("bystander", 1, other_steps),
    };

    for (int i = 0; i < ALL; i++)
        must(kedge_reactor_new(&defs[i], &reactors[i], &err), "reactor");
}

const struct kedge_reactor *reactor_of(const char *name)
{
    for (int i = 0; i < ALL; i++) {
        if (strcmp(kedge_reactor_name(reactors[i]), name) == 0)
            return reactors[i];
    }
    bail("no reactor %s", name);
}

/* -------------------------------------------------------------------- runs */

const char *begin(const char *reactor, int64_t delay_us)
{
    static char ids[8][32];
    static int n;
    struct kedge_run_start start = KEDGE_START_INIT;
    char *id = ids[n % 8];

    (void)snprintf(id, sizeof ids[0], "run%d", n++);
    start.reactor = reactor;
    start.version = 1;
    start.id = kedge_text(id);
    start.input = kedge_text("{\"n\":7}");
    start.context = kedge_text("tenant 7");
    start.delay_us = delay_us;
    must(kedge_start(store, &start, PATIENCE, &err), "start");
    return id;
}

struct kedge_run_info *info_of(const char *id)
{
    struct kedge_run_info *info;

    must(kedge_run_get(store, kedge_text(id), KEDGE_RUN_WANT_RESULT, &info, PATIENCE, &err), id);
    return info;
}

static struct kedge_run_info *head_of(const char *id)
{
    struct kedge_run_info *info;

    must(kedge_run_get(store, kedge_text(id), 0, &info, PATIENCE, &err), id);
    return info;
}

uint32_t place_of(const char *id)
{
    struct kedge_run_info *info = head_of(id);
    uint32_t place = info->place;

    kedge_run_info_free(info);
    return place;
}

uint32_t status_of(const char *id)
{
    struct kedge_run_info *info = head_of(id);
    uint32_t status = info->status;

    kedge_run_info_free(info);
    return status;
}

uint32_t wait_for(const char *id)
{
    struct kedge_run_info *info;
    uint32_t status;

    if (kedge_run_wait(store, kedge_text(id), &info, PATIENCE, &err) != KEDGE_OK)
        bail("%s does not come to its end: %s; it did %s", id, story(id), effects(id));
    status = info->status;
    kedge_run_info_free(info);
    return status;
}

static bool is(struct kedge_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) &&
           (bytes.len == 0 || memcmp(bytes.data, text, bytes.len) == 0);
}

bool ended_with(const char *id, uint32_t status, const char *error, const char *step)
{
    struct kedge_run_info *info = info_of(id);
    bool good = info->status == status && info->place == KEDGE_PLACE_REST &&
                is(info->error, error) && is(info->error_step, step);

    if (!good)
        note("%s: %s, error '%.*s' of '%.*s'; %s", id, kedge_run_status_text(info->status),
             (int)info->error.len, (const char *)info->error.data, (int)info->error_step.len,
             (const char *)info->error_step.data, story(id));
    kedge_run_info_free(info);
    return good;
}

/* Call EACH for every line of the trail about ID: mark, step, doubt; and the key. */
static void walk_trail(const char *id, void (*each)(void *ctx, char *what, const char *key),
                       void *ctx)
{
    FILE *file = fopen(trail_path, "re");
    char line[256];

    if (file == NULL)
        bail("%s: %s", trail_path, strerror(errno));
    while (fgets(line, sizeof line, file) != NULL) {
        char *what = strchr(line, '|');
        char *key = what != NULL ? strchr(what + 1, '|') : NULL;

        if (key == NULL)
            continue;
        *what++ = '\0';
        *key++ = '\0';
        if (strcmp(line, id) == 0)
            each(ctx, what, key);
    }
    (void)fclose(file);
}

static void add_effect(void *ctx, char *what, const char *key)
{
    char *text = ctx;
    size_t len = strlen(text);

    (void)key;
    (void)snprintf(text + len, 1024 - len, "%s%s", len > 0 ? " " : "", what);
}

const char *effects(const char *id)
{
    static char text[1024];

    text[0] = '\0';
    walk_trail(id, add_effect, text);
    return text;
}

bool did(const char *id, const char *expected)
{
    bool good = strcmp(effects(id), expected) == 0;

    if (!good)
        note("%s did %s, not %s", id, effects(id), expected);
    return good;
}

struct keys {
    char action;
    char step;
    int n;
    char keys[8][80];
};

static void add_key(void *ctx, char *what, const char *key)
{
    struct keys *k = ctx;

    if (what[0] != k->action || what[1] != k->step)
        return;
    for (int i = 0; i < k->n; i++) {
        if (strcmp(k->keys[i], key) == 0)
            return;
    }
    if (k->n < 8)
        (void)snprintf(k->keys[k->n++], sizeof k->keys[0], "%s", key);
}

int keys_of(const char *id, char action, char step)
{
    struct keys k = { .action = action, .step = step };

    walk_trail(id, add_key, &k);
    return k.n;
}

/* ------------------------------------------------------------------- story */

void *session_of(void)
{
    void *session;

    must(kedge_store_ops(store)->session_open(kedge_store_handle(store), &session, &err),
         "session");
    return session;
}

static void read_journal(const char *id, struct kedge_record_page *page)
{
    struct kedge_run_info *info = head_of(id);
    void *session = session_of();

    memset(page, 0, sizeof *page);
    must(kedge_store_ops(store)->retrieve_records(session, kedge_text(id), info->incarnation, 1,
                                                  1000, SIZE_MAX, page, PATIENCE, &err),
         "journal");
    kedge_store_ops(store)->session_close(session);
    kedge_run_info_free(info);
}

static const char *kind_text(uint32_t kind)
{
    static const char *const texts[] = {
        "?",      "begin",   "done",       "skipped",     "delayed", "failed",
        "halted", "doubt",   "crash-loop", "compensated", "undone",  "undo-failed",
        "end",    "request", "aside",      "overdue",
    };

    return kind < sizeof texts / sizeof *texts ? texts[kind] : "?";
}

static size_t tell_record(const struct kedge_rec *rec, char *to, size_t size)
{
    size_t len = (size_t)snprintf(to, size, "%s", kind_text(rec->kind));

    if (rec->kind == KEDGE_RECORD_REQUEST) {
        len = (size_t)snprintf(to, size, "%s", kedge_verb_text((uint32_t)rec->number));
        if (rec->step != KEDGE_NO_STEP)
            len += (size_t)snprintf(to + len, size - len, ":%c", (char)('a' + rec->step));
        if (rec->value.len + rec->text.len > 0)
            len += (size_t)snprintf(to + len, size - len, "[%.*s|%.*s]", (int)rec->value.len,
                                    (const char *)rec->value.data, (int)rec->text.len,
                                    (const char *)rec->text.data);
        return len;
    }
    if (rec->kind == KEDGE_RECORD_END)
        return (size_t)snprintf(to, size, "end:%s", kedge_run_status_text(rec->status));
    if (rec->step != KEDGE_NO_STEP)
        len += (size_t)snprintf(to + len, size - len, ":%c", (char)('a' + rec->step));
    for (size_t i = 0; i < rec->steps.len; i++) /* numbers below 128 */
        len += (size_t)snprintf(to + len, size - len, ":%c",
                                (char)('a' + ((const unsigned char *)rec->steps.data)[i]));
    return len;
}

const char *story(const char *id)
{
    static char text[4096];
    struct kedge_record_page page;
    size_t len = 0;

    text[0] = '\0';
    read_journal(id, &page);
    for (size_t i = 0; i < page.n && len < sizeof text - 512; i++) {
        struct kedge_rec rec;

        if (len > 0)
            text[len++] = ' ';
        if (kedge_record_decode(page.records[i].data, &rec, NULL) != KEDGE_OK)
            len += (size_t)snprintf(text + len, sizeof text - len, "garbage");
        else
            len += tell_record(&rec, text + len, sizeof text - len);
    }
    kedge_mem_free(kedge_store_host(store), page.mem);
    return text;
}

bool told(const char *id, const char *expected)
{
    bool good = strcmp(story(id), expected) == 0;

    if (!good)
        note("%s: %s, not %s", id, story(id), expected);
    return good;
}

bool record_is(const char *id, uint64_t number, struct kedge_bytes bytes)
{
    struct kedge_record_page page;
    bool same;

    read_journal(id, &page);
    same = page.n >= number && page.records[number - 1].data.len == bytes.len &&
           memcmp(page.records[number - 1].data.data, bytes.data, bytes.len) == 0;
    kedge_mem_free(kedge_store_host(store), page.mem);
    return same;
}

static struct kedge_id128 some_id(void)
{
    struct kedge_id128 id = { { 0 } };
    char text[KEDGE_RUN_ID_SIZE];

    must(kedge_run_id_make(text, &err), "id");
    memcpy(id.b, text + 20, sizeof id.b);
    return id;
}

struct kedge_id128 request_raw;

void commit_raw(const char *id, struct kedge_change *changes, size_t n)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_retrieve want = { .id = kedge_text(id) };
    struct kedge_run_state state = { 0 };
    struct kedge_guard guard = { .kind = KEDGE_GUARD_UNHELD,
                                 .statuses = KEDGE_STATUSES_UNFINISHED,
                                 .name = kedge_text(id) };
    struct kedge_commit commit = {
        .request = some_id(), .guards = &guard, .n_guards = 1, .changes = changes, .n_changes = n
    };
    struct kedge_answer answer = { 0 };
    void *session = session_of();

    if (memcmp(&request_raw, &(struct kedge_id128){ { 0 } }, sizeof request_raw) != 0)
        commit.request = request_raw;
    must(ops->retrieve(session, &want, &state, PATIENCE, &err), "retrieve");
    guard.number = state.run.revision;
    for (size_t i = 0; i < n; i++) {
        changes[i].name = kedge_text(id);
        if (changes[i].kind == KEDGE_APPEND)
            changes[i].append.first = state.run.position + 1;
    }
    must(ops->commit(session, &commit, 1, &answer, PATIENCE, &err), "commit");
    must(answer.outcome, answer.why);
    kedge_mem_free(kedge_store_host(store), state.mem);
    ops->session_close(session);
}

void append_raw(const char *id, struct kedge_bytes bytes, int64_t due_in_us)
{
    struct kedge_change changes[2] = { { .kind = KEDGE_APPEND }, { .kind = KEDGE_RELEASE } };

    changes[0].append.records = &bytes;
    changes[0].append.n = 1;
    changes[1].release.place = KEDGE_PLACE_DUE;
    changes[1].release.when = (struct kedge_when){ due_in_us, KEDGE_IN, 0 };
    commit_raw(id, changes, 2);
}

void append(const char *id, const struct kedge_rec *rec, int64_t due_in_us)
{
    struct kedge_buf *buf = kedge_record_encode(kedge_store_host(store), rec);

    if (buf == NULL)
        bail("out of memory");
    append_raw(id, (struct kedge_bytes){ buf->data, buf->len }, due_in_us);
    kedge_buf_drop(kedge_store_host(store), buf);
}

/* ---------------------------------------------------------------- requests */

int ask_step(const char *id, uint32_t verb, const char *step)
{
    struct kedge_request request = KEDGE_REQUEST_INIT;

    memset(&out, 0, sizeof out);
    out.struct_size = sizeof out;
    request.verb = verb;
    request.run = kedge_text(id);
    request.who = "ann";
    request.why = "as i say";
    request.step = step;
    return kedge_run_request(store, &request, &out, PATIENCE, &err);
}

int ask(const char *id, uint32_t verb)
{
    return ask_step(id, verb, NULL);
}

void asked(const char *id, uint32_t verb, int rc, uint32_t status, int pending, const char *what)
{
    int got = ask(id, verb);
    bool good =
        got == rc &&
        (rc < 0 || (out.status == status && (pending < 0 || out.pending == (uint32_t)pending))) &&
        (rc == KEDGE_STALE) == (out.why[0] != '\0');

    ok(good, "%s of %s: %s", kedge_verb_text(verb), what, kedge_status_name(rc));
    if (!good)
        note("%s, %s, pending %u, '%s' '%s'", kedge_status_name(got),
             kedge_run_status_text(out.status), (unsigned)out.pending, out.why,
             got < 0 ? err.msg : "");
}

/* ----------------------------------------------------------------- workers */

static void *work(void *worker)
{
    struct kedge_error why;

    if (kedge_worker_run(worker, &why) != KEDGE_OK)
        bail("worker: %s", why.msg);
    return NULL;
}

/* One whose store may go away: run() would wait for it. */
static atomic_int mortal_over;

static void *work_until_over(void *worker)
{
    while (atomic_load(&mortal_over) == 0) {
        (void)kedge_worker_drain(worker, 20000, NULL);
        nap_us(500);
    }
    return NULL;
}

static void open_crew(struct crew *crew, struct kedge_store *in, const char *reactor,
                      int64_t ttl_us)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *serves[SERVED];

    for (int i = 0; i < SERVED; i++)
        serves[i] = reactors[i];
    if (reactor != NULL)
        serves[0] = reactor_of(reactor);
    options.reactors = serves;
    options.n_reactors = reactor != NULL ? 1 : SERVED;
    options.look_us = look_us;
    options.lease_ttl_us = ttl_us;
    must(kedge_worker_open(in, &options, &crew->worker, &err), "worker");
}

void hire(struct crew *crew, const char *reactor)
{
    hire_in(crew, store, reactor);
}

static void set_to_work(struct crew *crew)
{
    if (pthread_create(&crew->thread, NULL, work, crew->worker) != 0)
        bail("no thread");
}

void hire_in(struct crew *crew, struct kedge_store *in, const char *reactor)
{
    open_crew(crew, in, reactor, 0);
    set_to_work(crew);
}

void hire_with(struct crew *crew, struct kedge_store *in,
               const struct kedge_worker_options *options)
{
    must(kedge_worker_open(in, options, &crew->worker, &err), "worker");
    set_to_work(crew);
}

void dismiss(struct crew *crew)
{
    kedge_worker_stop(crew->worker);
    (void)pthread_join(crew->thread, NULL);
    kedge_worker_close(crew->worker, PATIENCE);
}

/* ------------------------------------------------------------------ deaths */

/* Is it the last of what ID did, and more than BEFORE characters of that? */
static bool has_begun(const char *id, const char *what, int before)
{
    const char *all = effects(id);
    const char *last = strrchr(all, ' ');

    last = last != NULL ? last + 1 : all;
    return (int)strlen(all) > before && strncmp(last, what, 2) == 0;
}

/* Its own program, as a store does not survive a fork.  It dies with us. */
pid_t spawn(const char *mode, const char *first, const char *second)
{
    char self[] = "/proc/self/exe";
    char texts[4][512];
    char *args[] = { self, texts[0], texts[1], texts[2], texts[3], NULL };
    pid_t parent = getpid();
    pid_t pid;

    (void)snprintf(texts[0], sizeof texts[0], "%s", mode);
    (void)snprintf(texts[1], sizeof texts[1], "%s", url);
    (void)snprintf(texts[2], sizeof texts[2], "%s", first);
    (void)snprintf(texts[3], sizeof texts[3], "%s", second);
    pid = fork();
    if (pid < 0)
        bail("fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        (void)execv(self, args);
    _exit(99);
}

static void die_in_process(const char *id, const char *what, int before)
{
    pid_t pid = spawn("--die", trail_path, what);

    AWAIT(has_begun(id, what, before));
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

struct kedge_store *faulty_open(struct kedge_store **below)
{
    struct kedge_store *faulty;

    must(kedge_store_open(url, NULL, below, &err), "open");
    faulty =
        fault_store(*below, fault_wrap(kedge_store_ops(*below), kedge_store_host(*below)), &err);
    if (faulty == NULL)
        bail("wrap: %s", err.msg);
    return faulty;
}

void faulty_close(struct kedge_store *faulty, struct kedge_store *below)
{
    kedge_store_close(faulty);
    kedge_store_close(below);
}

void hire_mortal(struct crew *crew, struct kedge_store *mortal)
{
    atomic_store(&mortal_over, 0);
    open_crew(crew, mortal, NULL, SECONDS / 5);
    if (pthread_create(&crew->thread, NULL, work_until_over, crew->worker) != 0)
        bail("no thread");
}

void dismiss_mortal(struct crew *crew)
{
    atomic_store(&mortal_over, 1);
    (void)pthread_join(crew->thread, NULL);
    kedge_worker_close(crew->worker, 0);
}

/* In memory: a handle on which nothing is possible from some moment on. */
static void die_in_thread(const char *id, const char *what, int before)
{
    atomic_int *hold = what[0] == '+' ? &ACT(what[1])->hold : &ACT(what[1])->undo_hold;
    struct kedge_store *below;
    struct kedge_store *mortal = faulty_open(&below);
    struct crew crew;

    atomic_store(hold, 1);
    hire_mortal(&crew, mortal);
    AWAIT(has_begun(id, what, before));
    fault_kill();
    atomic_store(hold, 0);
    dismiss_mortal(&crew);
    faulty_close(mortal, below);
}

void die_in(const char *id, char step, bool undo)
{
    char what[3] = { undo ? '-' : '+', step, '\0' };
    int before = (int)strlen(effects(id));

    if (shared)
        die_in_process(id, what, before);
    else
        die_in_thread(id, what, before);
    if (place_of(id) != KEDGE_PLACE_HELD)
        bail("%s is not held by the dead", id);
}

void join_test(const char *store_url, const char *trail_of_it)
{
    url = store_url;
    (void)snprintf(trail_path, sizeof trail_path, "%s", trail_of_it);
    trail_fd = open(trail_path, O_WRONLY | O_APPEND | O_CLOEXEC);
    make_reactors();
    must(kedge_store_open(url, NULL, &store, &err), "open");
}

const char *trail(void)
{
    return trail_path;
}

/* The life of such a process: it hangs in that step, for ever. */
static __attribute__((noreturn)) void live_until_death(char **args)
{
    struct crew crew;

    join_test(args[0], args[1]);
    if (args[2][0] == '+')
        atomic_store(&ACT(args[2][1])->hold, 1);
    else
        atomic_store(&ACT(args[2][1])->undo_hold, 1);
    hire(&crew, NULL);
    for (;;)
        (void)pause();
}

void bury_only(const char *id)
{
    struct kedge_run_info *info = head_of(id);
    struct kedge_id128 lease;
    void *session = session_of();

    memcpy(lease.b, info->holder, sizeof lease.b);
    AWAIT(kedge_store_ops(store)->lease_bury(session, &lease, PATIENCE, NULL) == KEDGE_OK);
    kedge_store_ops(store)->session_close(session);
    kedge_run_info_free(info);
}

void buried(const char *id)
{
    struct crew crew;

    hire(&crew, "bystander");
    AWAIT(place_of(id) != KEDGE_PLACE_HELD);
    dismiss(&crew);
}

void crash(const char *id, char step, bool undo, int times)
{
    for (int i = 0; i < times; i++) {
        die_in(id, step, undo);
        buried(id);
    }
    acts_reset();
}

/* --------------------------------------------------------------------- main */

static int64_t host_clock_us(void *ctx, uint32_t which)
{
    return kedge_host_default()->clock_us(ctx, which) + atomic_load(&clock_ahead);
}

static void open_store(void)
{
    static struct kedge_host host;
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    host = *kedge_host_default();
    host.clock_us = host_clock_us;
    options.flags = KEDGE_STORE_CREATE;
    options.host = &host;
    must(kedge_store_open(url, &options, &store, &err), "open");
    shared = (kedge_store_ops(store)->caps & KEDGE_CAP_SHARED) != 0;
    hinted = (kedge_store_ops(store)->caps & KEDGE_CAP_HINT) != 0;
}

bool clock_go_ahead(int64_t us, const char *for_what)
{
    if ((kedge_store_ops(store)->caps & KEDGE_CAP_SERVER_CLOCK) == 0) {
        atomic_store(&clock_ahead, us);
        return true;
    }
    if (clock_file_run(kedge_host_default()->clock_us(NULL, KEDGE_CLOCK_WALL) + us))
        return true;
    skip(for_what, "its time is a server's");
    return false;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "--die") == 0)
        live_until_death(argv + 2);
    if (argc == 5 && strncmp(argv[1], "--", 2) == 0)
        return other_process(argv[1], argv + 2);
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s URL [CASE...]\n", argv[0]);
        return 2;
    }
    url = argv[1];
    (void)snprintf(trail_path, sizeof trail_path, "%s/kedge-requests.%ld",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp", (long)getpid());
    trail_fd = open(trail_path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (trail_fd < 0)
        bail("%s: %s", trail_path, strerror(errno));
    make_reactors();
    open_store();
    for (const struct test_case *one = test_cases; one->name != NULL; one++) {
        bool wanted = argc == 2;

        for (int k = 2; k < argc; k++)
            wanted |= strcmp(argv[k], one->name) == 0;
        acts_reset();
        if (wanted)
            one->run();
    }
    kedge_store_close(store);
    for (int i = 0; i < ALL; i++)
        kedge_reactor_free(reactors[i]);
    (void)unlink(trail_path);
    printf("1..%d\n", n_tests);
    return n_failed > 0;
}
