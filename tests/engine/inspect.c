/*
 * inspect.c - why a run is not moving: each cause brought about for real; speaks TAP
 *
 *	./inspect URL [CASE...]
 */
#include <config.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conform/fault_backend.h"
#include "inspect.h"
#include "src/record.h"
#include "src/session.h"

/* ----------------------------------------------------------------- workers and deaths */

const char *program(void)
{
    return kedge_store_program(store);
}

static const char *const served_names[] = { "loop", "pool", "bare", "slow", "wide", "mixed" };
enum { SERVED = sizeof served_names / sizeof *served_names };

void hire_named(struct crew *crew, const char *label, char full[300])
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *serves[SERVED];

    for (int i = 0; i < SERVED; i++)
        serves[i] = reactor_of(served_names[i]);
    options.reactors = serves;
    options.n_reactors = SERVED;
    options.label = label;
    options.look_us = look_us;
    hire_with(crew, store, &options);
    (void)snprintf(full, 300, "%s@%s", label, program());
}

struct kedge_worker *idle(const struct kedge_reactor *reactor, const char *queue)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const char *queues[] = { queue, NULL };
    struct kedge_worker *worker;

    options.reactors = &reactor;
    options.n_reactors = 1;
    options.queues = queue != NULL ? queues : NULL;
    must(kedge_worker_open(store, &options, &worker, &err), "worker");
    return worker;
}

static bool in_b(const char *id)
{
    const char *all = effects(id);
    size_t len = strlen(all);

    return len >= 2 && strcmp(all + len - 2, "+b") == 0;
}

/* The life of such a process. */
static __attribute__((noreturn)) void be_busy(char **args)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *pool;
    struct crew crew;

    join_test(args[0], args[1]);
    atomic_store(&ACT('b')->hold, 1);
    pool = reactor_of("pool");
    options.reactors = &pool;
    options.n_reactors = 1;
    options.label = args[2];
    options.lease_ttl_us = SECONDS;
    hire_with(&crew, store, &options);
    for (;;)
        (void)pause();
}

pid_t busy(const char *id)
{
    pid_t pid = spawn("--busy", trail(), "busy");

    AWAIT(in_b(id));
    return pid;
}

static uint32_t state_of_busy(pid_t pid)
{
    char full[300];
    const char *host = strrchr(program(), ':');

    (void)snprintf(full, sizeof full, "busy@%.*s:%ld", (int)(host - program()), program(),
                   (long)pid);
    return worker_state(full);
}

void freeze(pid_t pid)
{
    (void)kill(pid, SIGSTOP);
    (void)waitpid(pid, NULL, WUNTRACED);
    AWAIT(state_of_busy(pid) == KEDGE_WORKER_LAPSED);
}

void put_down(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    AWAIT(!hinted || state_of_busy(pid) == KEDGE_WORKER_GONE);
}

static void lose_thread(const char *id, void (*meanwhile)(const char *id))
{
    struct kedge_store *below;
    struct kedge_store *mortal = faulty_open(&below);
    struct crew crew;

    atomic_store(&ACT('b')->hold, 1);
    hire_mortal(&crew, mortal);
    AWAIT(in_b(id));
    if (meanwhile != NULL)
        meanwhile(id);
    fault_kill();
    atomic_store(&ACT('b')->hold, 0);
    dismiss_mortal(&crew);
    faulty_close(mortal, below);
    acts_reset();
}

void lose(const char *id, void (*meanwhile)(const char *id))
{
    pid_t pid;

    if (!shared) {
        lose_thread(id, meanwhile);
        return;
    }
    pid = busy(id);
    if (meanwhile != NULL)
        meanwhile(id);
    put_down(pid);
}

/* ----------------------------------------------------------------------- causes */

enum { CAUSES_MOST = 16 };

static struct seen {
    struct kedge_cause cause; /* its bytes are gone, but for the sentence */
    char step[64];
    char worker[300];
    char who[300];
    char text[400];
} seen[CAUSES_MOST];
static int n_seen;

static void keep(char *to, size_t size, struct kedge_bytes bytes)
{
    (void)snprintf(to, size, "%.*s", (int)bytes.len, bytes.len > 0 ? (const char *)bytes.data : "");
}

static int note_cause(void *ctx, const struct kedge_cause *cause)
{
    struct seen *s = &seen[n_seen];

    (void)ctx;
    if (n_seen == CAUSES_MOST)
        bail("more causes than a test expects");
    n_seen++;
    s->cause = *cause;
    keep(s->step, sizeof s->step, kedge_text(cause->step));
    keep(s->worker, sizeof s->worker, cause->worker);
    keep(s->who, sizeof s->who, cause->who);
    keep(s->text, sizeof s->text, cause->text);
    return 0;
}

static void look(struct kedge_bytes id)
{
    n_seen = 0;
    must(kedge_run_why(store, id, note_cause, NULL, PATIENCE, &err), "why");
}

static uint32_t first_cause(const char *id)
{
    look(kedge_text(id));
    return n_seen > 0 ? seen[0].cause.kind : 0;
}

static const char *causes(void)
{
    static char text[512];
    size_t len = 0;

    text[0] = '\0';
    for (int i = 0; i < n_seen; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i > 0 ? " " : "",
                                kedge_cause_text(seen[i].cause.kind));
    return text;
}

/* What was seen last is that, in this order, and each has the run's status. */
static void are(const char *expected, uint32_t status, const char *what)
{
    bool good = strcmp(causes(), expected) == 0;

    for (int i = 0; i < n_seen; i++)
        good &= seen[i].cause.status == status && seen[i].cause.struct_size == sizeof seen[0].cause;
    ok(good, "%s: %s", what, expected);
    if (!good)
        note("%s, %s", causes(), n_seen > 0 ? kedge_run_status_text(seen[0].cause.status) : "");
}

/* ID is not moving because of that. */
static void because(const char *id, const char *expected, const char *what)
{
    look(kedge_text(id));
    are(expected, status_of(id), what);
}

static void time_text(int64_t us, char text[32])
{
    time_t seconds = (time_t)(us / SECONDS);
    struct tm tm;
    size_t len;

    (void)gmtime_r(&seconds, &tm);
    len = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + len, 32 - len, ".%03dZ", (int)(us % SECONDS / 1000));
}

/* Copy PATTERN, with the time and the worker of the cause in the place of <at> and <worker>. */
static void fill(const char *pattern, const struct seen *s, char *to, size_t size)
{
    char at[32];
    size_t len = 0;

    time_text(s->cause.at, at);
    while (*pattern != '\0' && len < size - 1) {
        if (strncmp(pattern, "<at>", 4) == 0) {
            len += (size_t)snprintf(to + len, size - len, "%s", at);
            pattern += 4;
        } else if (strncmp(pattern, "<worker>", 8) == 0) {
            len += (size_t)snprintf(to + len, size - len, "%s", s->worker);
            pattern += 8;
        } else {
            to[len++] = *pattern++;
        }
    }
    to[len < size ? len : size - 1] = '\0';
}

/* The sentence of the cause of that number. */
static void reads(int i, const char *pattern)
{
    char expected[600];
    bool good = i < n_seen;

    if (good) {
        fill(pattern, &seen[i], expected, sizeof expected);
        good = strcmp(seen[i].cause.sentence, expected) == 0;
    }
    ok(good, "... %s", i < n_seen ? seen[i].cause.sentence : "nothing");
    if (!good && i < n_seen)
        note("not %s", expected);
}

/* Its members.  A time of -1 is not asked about. */
static void has(int i, int64_t at, uint64_t count, const char *step, const char *who,
                const char *text)
{
    const struct seen *s = &seen[i];
    bool good = i < n_seen && (at == -1 || s->cause.at == at) && s->cause.count == count &&
                strcmp(s->step, step) == 0 && (s->cause.step != NULL) == (step[0] != '\0') &&
                strcmp(s->who, who) == 0 && strcmp(s->text, text) == 0;

    ok(good, "... with %s '%s'", step, text);
    if (!good)
        note("at %lld (%lld), count %llu, step '%s', who '%s', text '%s'", (long long)s->cause.at,
             (long long)at, (unsigned long long)s->cause.count, s->step, s->who, s->text);
}

static int64_t finished(const char *id)
{
    struct kedge_run_info *info = info_of(id);
    int64_t at = info->finished;

    kedge_run_info_free(info);
    return at;
}

static int64_t due(const char *id)
{
    struct kedge_run_info *info = info_of(id);
    int64_t at = info->due;

    kedge_run_info_free(info);
    return at;
}

/* When its step b goes on. */
static int find_b(void *ctx, const struct kedge_step_info *step)
{
    if (step->name[0] == 'b')
        *(int64_t *)ctx = step->next;
    return 0;
}

static int64_t next_b(const char *id)
{
    int64_t at = 0;

    must(kedge_run_steps(store, kedge_text(id), find_b, &at, PATIENCE, &err), "steps");
    return at;
}

static int64_t fence(const char *id)
{
    struct kedge_run_info *info = info_of(id);
    int64_t at = (int64_t)info->fence;

    kedge_run_info_free(info);
    return at;
}

/* Nobody shall take it any more. */
static void give_up(const char *id)
{
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
}

/* ------------------------------------------------------------------------ at rest */

void cases_ended(void)
{
    struct crew crew;
    const char *id;

    hire(&crew, NULL);
    id = begin("bare", 0);
    ok(wait_for(id) == KEDGE_COMPLETED, "a run that is done");
    because(id, "ended", "it");
    reads(0, "it completed at <at>");
    has(0, finished(id), 0, "", "", "");
    atomic_store(&ACT('b')->fails, 1);
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_FAILED, "a run that failed");
    because(id, "ended", "it");
    reads(0, "it failed at <at>, in step 'b': b failed");
    has(0, finished(id), 0, "b", "", "b failed");
    atomic_store(&ACT('a')->halts, 1);
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_HALTED, "a run that halted");
    because(id, "ended", "it");
    reads(0, "it halted at <at>, in step 'a': enough");
    dismiss(&crew);
    id = begin("pool", HOUR);
    must(ask(id, KEDGE_VERB_CANCEL), "cancel");
    because(id, "ended", "a run that was cancelled");
    reads(0, "it was cancelled at <at>: as i say");
    id = begin("pool", HOUR);
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
    because(id, "aborted", "a run that was given up");
    reads(0, "it was given up at <at> by ann: as i say");
    has(0, finished(id), 0, "", "ann", "as i say");
    id = begin("nowhere", HOUR);
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
    because(id, "aborted", "one of a reactor that nobody knows");
    reads(0, "it was given up at <at> by ann: as i say");
}

/* -------------------------------------------------------------------------- stuck */

static const char *stuck_undos(void)
{
    const char *id;

    atomic_store(&ACT('d')->hold, 1);
    atomic_store(&ACT('d')->fails, 1);
    atomic_store(&ACT('b')->undo_fails, 1);
    atomic_store(&ACT('c')->undo_fails, 1);
    id = begin("wide", 0);
    AWAIT(strstr(story(id), "done:f") != NULL && atomic_load(&ACT('d')->began) == 1);
    atomic_store(&ACT('d')->hold, 0);
    ok(wait_for(id) == KEDGE_STUCK, "two undos fail");
    return id;
}

static int find_time(void *ctx, const struct kedge_step_info *step)
{
    int64_t *times = ctx;

    times[step->index] = step->time;
    return 0;
}

static void aside(void)
{
    const struct kedge_bytes torn = { "\1\2\3", 3 };
    const char *id = begin("pool", 0);
    struct crew crew;

    append_raw(id, torn, 0);
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_STUCK, "a journal that cannot be understood");
    dismiss(&crew);
    because(id, "aside", "it");
    reads(0,
          "its journal cannot be understood, and it was set aside at <at>: record 2, of 3 bytes: "
          "it is too short");
    has(0, finished(id), 0, "", "", "record 2, of 3 bytes: it is too short");
    must(ask(id, KEDGE_VERB_RESUME), "resume");
    because(id, "nobody", "it is tried again, and nobody is there");
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
    because(id, "aborted", "it is given up, and that can be told all the same");
    reads(0, "it was given up at <at> by ann: as i say");
}

/* Put to rest from below, without a word. */
static void mute(void)
{
    struct kedge_change change = { .kind = KEDGE_RELEASE };
    const char *id = begin("pool", 0);

    change.release.place = KEDGE_PLACE_REST;
    change.release.status = KEDGE_STUCK;
    commit_raw(id, &change, 1);
    because(id, "aside", "a run that is stuck without a reason");
    reads(0, "it was left as stuck at <at>: its journal does not say why");
}

static void crashed(void)
{
    struct crew crew;
    const char *id;

    hire(&crew, NULL);
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_COMPLETED, "a run that is done");
    dismiss(&crew);
    must(ask(id, KEDGE_VERB_UNDO), "undo");
    crash(id, 'c', true, 6);
    because(id, "crash", "an undo that kills one worker after the other");
    reads(0, "6 workers in a row died of it, the last ones in the undo of 'c', until <at>");
    has(0, finished(id), 6, "c", "", "");
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
}

void cases_stuck_why(void)
{
    int64_t times[6];
    struct crew crew;
    const char *id;

    hire(&crew, NULL);
    id = stuck_undos();
    must(kedge_run_steps(store, kedge_text(id), find_time, times, PATIENCE, &err), "steps");
    because(id, "undo undo", "it");
    reads(0, "the undo of 'b' failed at <at>: undo of b failed");
    has(0, times[1], 0, "b", "", "undo of b failed");
    reads(1, "the undo of 'c' failed at <at>: undo of c failed");
    has(1, times[2], 0, "c", "", "undo of c failed");
    acts_reset();
    atomic_store(&ACT('b')->fails, 1);
    atomic_store(&ACT('b')->compensate_fails, 1);
    id = begin("pool", 0);
    ok(wait_for(id) == KEDGE_STUCK, "a compensate fails");
    because(id, "undo", "it");
    reads(0, "the compensation of 'b' failed at <at>: compensate of b failed");
    dismiss(&crew);
    aside();
    mute();
    crashed();
}

/* ----------------------------------------------------------------- due later, parked */

static int snooze(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_snooze(step, HOUR);
}

static const struct kedge_step_def sleepy_steps[] = { { .name = "doze", .run = snooze } };
static struct kedge_reactor *reactor_from(const char *name, uint32_t version,
                                          const struct kedge_step_def *steps)
{
    struct kedge_reactor_def def = { sizeof def, name,          version, 0,   steps,
                                     1,          sizeof *steps, NULL,    NULL };
    struct kedge_reactor *reactor;

    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    return reactor;
}

/* One run of it comes as far as it does at once. */
static const char *once(const char *name, const struct kedge_step_def *steps)
{
    struct kedge_reactor *reactor = reactor_from(name, 1, steps);
    struct kedge_worker *worker = idle(reactor, NULL);
    const char *id = begin(name, 0);

    ok(kedge_worker_drain(worker, PATIENCE, &err) == KEDGE_OK && place_of(id) == KEDGE_PLACE_DUE,
       "a run of %s", name);
    kedge_worker_close(worker, 0);
    kedge_reactor_free(reactor);
    return id;
}

static void backing_off(void)
{
    struct kedge_worker *other = idle(reactor_of("slow"), NULL);
    struct crew crew;
    const char *id;

    id = begin("slow", HOUR);
    because(id, "later", "a run that was started for later");
    reads(0, "it is to start at <at>");
    has(0, due(id), 0, "", "", "");
    id = begin("slow", 0);
    atomic_store(&ACT('b')->fails, 1);
    hire(&crew, NULL);
    AWAIT(place_of(id) == KEDGE_PLACE_DUE && strcmp(story(id), "begin done:a delayed:b") == 0);
    because(id, "delayed", "a step failed and is tried again");
    reads(0, "step 'b' failed and is tried again at <at>: b failed");
    has(0, next_b(id), 1, "b", "", "b failed");
    id = begin("slow", 0);
    ok(wait_for(id) == KEDGE_COMPLETED, "another is done");
    atomic_store(&ACT('b')->undo_fails, 1);
    must(ask(id, KEDGE_VERB_UNDO), "undo");
    AWAIT(place_of(id) == KEDGE_PLACE_DUE && strstr(story(id), "delayed:b") != NULL);
    because(id, "delayed", "an undo failed and is tried again");
    reads(0, "the undo of 'b' failed and is tried again at <at>: undo of b failed");
    has(0, next_b(id), 1, "b", "", "undo of b failed");
    dismiss(&crew);
    kedge_worker_close(other, 0);
    because(id, "delayed nobody", "by now nobody would do it");
    reads(1, "no worker is alive");
}

/* Records of steps that nobody here can name. */
static void nameless(void)
{
    const struct kedge_rec later = { .kind = KEDGE_RECORD_DELAYED,
                                     .step = 4,
                                     .failures = 3,
                                     .delay_us = 2 * HOUR,
                                     .text = kedge_text("no luck") };
    const struct kedge_rec sooner = { .kind = KEDGE_RECORD_DELAYED,
                                      .step = 7,
                                      .failures = 1,
                                      .delay_us = HOUR,
                                      .text = kedge_text("none here") };
    struct kedge_worker *worker = idle(reactor_of("slow"), NULL);
    const char *id = begin("nowhere", HOUR);

    append(id, &later, HOUR);
    append(id, &sooner, HOUR);
    because(id, "delayed delayed reactor", "steps of a reactor that nobody knows");
    reads(0, "step 7 failed and is tried again at <at>: none here");
    reads(1, "step 4 failed 3 times so far and is tried again at <at>: no luck");
    ok(seen[0].cause.at < seen[1].cause.at, "... the first one first");
    kedge_worker_close(worker, 0);
}

/* After what cannot be understood the other records are heard all the same. */
static void half_understood(void)
{
    const struct kedge_rec delayed = { .kind = KEDGE_RECORD_DELAYED,
                                       .step = 1,
                                       .failures = 1,
                                       .delay_us = HOUR,
                                       .text = kedge_text("no luck") };
    const struct kedge_bytes torn = { "\1\2\3", 3 };
    struct kedge_worker *worker = idle(reactor_of("pool"), NULL);
    const char *id = begin("pool", HOUR);

    append_raw(id, torn, HOUR);
    append(id, &delayed, HOUR);
    because(id, "delayed", "a step fails after a record that cannot be understood");
    reads(0, "step 'b' failed and is tried again at <at>: no luck");
    give_up(id);
    kedge_worker_close(worker, 0);
}

static void park(const char *id, uint32_t wakes_on, struct kedge_when when)
{
    struct kedge_change change = { .kind = KEDGE_RELEASE };

    change.release.place = KEDGE_PLACE_PARKED;
    change.release.status = KEDGE_PAUSED;
    change.release.wakes_on = wakes_on;
    change.release.when = when;
    commit_raw(id, &change, 1);
}

static void parked(void)
{
    const struct kedge_when never = { 0, KEDGE_NEVER, 0 };
    const struct kedge_when later = { HOUR, KEDGE_IN, 0 };
    struct kedge_worker *worker;
    const char *id = begin("pool", HOUR);

    must(ask(id, KEDGE_VERB_PAUSE), "pause");
    because(id, "paused", "a run that was paused");
    reads(0, "it was paused at <at> by ann: as i say");
    has(0, -1, 0, "", "ann", "as i say");
    ok(seen[0].cause.at > due(id) && seen[0].cause.at > 0, "... then");
    must(ask(id, KEDGE_VERB_RESUME), "resume");
    because(id, "later nobody", "... and goes on");
    park(id, KEDGE_WAKES_ON_INTERRUPT, never);
    because(id, "waiting", "a run that is parked, though not on request");
    reads(0, "it is parked until it is woken");
    has(0, 0, 0, "", "", "");
    give_up(id);
    id = begin("pool", HOUR);
    park(id, KEDGE_WAKES_ON_SLOTS | KEDGE_WAKES_ON_TIME, later);
    because(id, "waiting", "one that is woken in an hour at the latest");
    reads(0, "it is parked until it is woken, or until <at>");
    has(0, due(id), 0, "", "", "");
    id = begin("pool", HOUR);
    park(id, KEDGE_WAKES_ON_TIME, later);
    because(id, "waiting", "one that only time wakes");
    reads(0, "it is parked until <at>");
    worker = idle(reactor_of("pool"), NULL);
    park(id, KEDGE_WAKES_ON_TIME, (struct kedge_when){ 1, KEDGE_AT, 0 });
    because(id, "due waiting", "one whose time has come");
    give_up(id);
    kedge_worker_close(worker, 0);
    id = begin("nowhere", HOUR);
    must(ask(id, KEDGE_VERB_PAUSE), "pause");
    because(id, "paused", "a paused run of a reactor that nobody knows");
    reads(0, "it was paused at <at> by ann: as i say");
}

void cases_waiting(void)
{
    struct kedge_worker *other = idle(reactor_of("slow"), NULL);
    const char *id = once("sleepy", sleepy_steps);

    because(id, "delayed reactor", "a step that snoozes");
    reads(0, "step 'doze' snoozes until <at>");
    has(0, -1, 0, "doze", "", "");
    ok(seen[0].cause.at >= due(id) && seen[0].cause.at < due(id) + HOUR,
       "... which is when its run is due");
    kedge_worker_close(other, 0);
    backing_off();
    acts_reset();
    nameless();
    half_understood();
    parked();
}

/* ------------------------------------------------------------------ carried along */

static void held_steps(void)
{
    char full[300];
    struct crew crew;
    const char *id;

    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    hire_named(&crew, "smith", full);
    id = begin("pool", 0);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    because(id, "held step", "a run that is carried along");
    reads(0, "worker '<worker>' has held it since <at>");
    has(0, fence(id), 0, "", "", "");
    ok(strcmp(seen[0].worker, full) == 0, "... by %s", seen[0].worker);
    reads(1, "step 'b' may have been running since <at>");
    has(1, -1, 1, "b", "", "");
    ok(seen[1].cause.at >= seen[0].cause.at, "... since the one before was done");
    atomic_store(&ACT('b')->fails, 1);
    atomic_store(&ACT('b')->undo_hold, 0);
    atomic_store(&ACT('a')->undo_hold, 1);
    atomic_store(&ACT('b')->hold, 0);
    AWAIT(strstr(effects(id), "-a") != NULL);
    because(id, "held step", "on its way back");
    reads(1, "the undo of 'a' may have been running since <at>");
    atomic_store(&ACT('a')->undo_hold, 0);
    ok(wait_for(id) == KEDGE_FAILED, "... which ends");
    acts_reset();
    atomic_store(&ACT('a')->hold, 1);
    atomic_store(&ACT('f')->hold, 1);
    id = begin("wide", 0);
    AWAIT(atomic_load(&ACT('a')->began) == 1 && atomic_load(&ACT('f')->began) == 1);
    because(id, "held step step", "two steps side by side");
    reads(1, "step 'a' may have been running since <at>");
    reads(2, "step 'f' may have been running since <at>");
    atomic_store(&ACT('a')->fails, 1);
    atomic_store(&ACT('a')->hold, 0);
    AWAIT(status_of(id) == KEDGE_ROLLING_BACK);
    because(id, "held step", "one of them failed: the other is awaited");
    reads(1, "step 'f' may have been running since <at>");
    atomic_store(&ACT('f')->hold, 0);
    ok(wait_for(id) == KEDGE_FAILED, "... and that ends");
    dismiss(&crew);
}

/* Its worker looks at nothing but what its commits answer. */
static void asked_of_busy(void)
{
    char full[300];
    struct crew crew;
    const char *id;

    acts_reset();
    atomic_store(&ACT('a')->hold, 1);
    atomic_store(&ACT('f')->hold, 1);
    look_us = HOUR;
    hire_named(&crew, "smith", full);
    look_us = 20000;
    id = begin("wide", 0);
    AWAIT(atomic_load(&ACT('a')->began) == 1 && atomic_load(&ACT('f')->began) == 1);
    must(ask(id, KEDGE_VERB_PAUSE), "pause");
    because(id, "held asked step step", "a request that is not taken up yet");
    reads(1, "pause was asked for by ann, and its worker has yet to take that up: as i say");
    has(1, 0, 0, "", "ann", "pause");
    atomic_store(&ACT('a')->hold, 0);
    AWAIT(strcmp(story(id), "begin done:a pause[ann|as i say]") == 0);
    because(id, "held paused step step step", "it is taken up, and what is under way is awaited");
    reads(1, "it was paused at <at> by ann: as i say");
    must(ask(id, KEDGE_VERB_CANCEL), "cancel");
    must(ask(id, KEDGE_VERB_RESUME), "resume");
    because(id, "held asked asked paused step step step", "two more");
    reads(1, "cancel was asked for by ann, and its worker has yet to take that up: as i say");
    reads(2, "resume was asked for by ann, and its worker has yet to take that up: as i say");
    atomic_store(&ACT('f')->hold, 0);
    ok(wait_for(id) == KEDGE_CANCELLED, "... and they are carried out");
    dismiss(&crew);
    acts_reset();
}

/* A held run with a step that has failed and is tried again later, beside one that runs. */
static void held_and_delayed(void)
{
    static const struct kedge_step_def steps[] = {
        { .name = "a", .run = run_step, .flags = KEDGE_STEP_POOL },
        { .name = "b", .run = run_step, .retry = { .attempts = 9, .base_us = HOUR } },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT("pair", 1, steps);
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    const struct kedge_reactor *serves[1];
    struct kedge_reactor *reactor;
    struct crew crew;
    const char *id;

    must(kedge_reactor_new(&def, &reactor, &err), "reactor");
    serves[0] = reactor;
    options.reactors = serves;
    options.n_reactors = 1;
    atomic_store(&ACT('a')->hold, 1);
    atomic_store(&ACT('b')->fails, 1);
    hire_with(&crew, store, &options);
    id = begin("pair", 0);
    AWAIT(strcmp(story(id), "begin delayed:b") == 0);
    because(id, "held step delayed", "one step runs, one waits");
    reads(1, "step 'a' may have been running since <at>");
    reads(2, "step 'b' failed and is tried again at <at>: b failed");
    must(ask(id, KEDGE_VERB_PAUSE), "pause");
    AWAIT(strcmp(story(id), "begin delayed:b pause[ann|as i say]") == 0);
    because(id, "held paused step", "paused: what waits does not go on at its time");
    atomic_store(&ACT('a')->fails, 1);
    atomic_store(&ACT('a')->hold, 0);
    ok(wait_for(id) == KEDGE_FAILED, "... which it does in vain");
    dismiss(&crew);
    kedge_reactor_free(reactor);
    acts_reset();
}

/* On its way back, one step has been compensated, the next is about to be. */
static void half_way_back(void)
{
    const struct kedge_rec done = {
        .kind = KEDGE_RECORD_DONE, .step = 0, .value = kedge_text("1"), .has_value = 1
    };
    const struct kedge_rec doubt = { .kind = KEDGE_RECORD_DOUBT,
                                     .step = KEDGE_NO_STEP,
                                     .steps = { "\1\2", 2 } };
    const struct kedge_rec failed = { .kind = KEDGE_RECORD_FAILED,
                                      .step = 1,
                                      .text = kedge_text("no luck") };
    const char *id = begin("wide", HOUR);
    struct crew crew;

    append(id, &done, HOUR);
    append(id, &doubt, HOUR);
    append(id, &failed, 0);
    atomic_store(&ACT('c')->undo_hold, 1);
    hire(&crew, NULL);
    AWAIT(strstr(effects(id), "?c!") != NULL);
    because(id, "held step", "two compensations, one after the other");
    reads(1, "the compensation of 'c' may have been running since <at>");
    atomic_store(&ACT('c')->undo_hold, 0);
    ok(wait_for(id) == KEDGE_FAILED, "... which end");
    dismiss(&crew);
    acts_reset();
}

void cases_carried(void)
{
    half_way_back();
    held_steps();
    asked_of_busy();
    held_and_delayed();
}

/* --------------------------------------------------------------------- lost workers */

static void killed(void)
{
    const char *id = begin("pool", 0);

    lose(id, NULL);
    if (shared && hinted) {
        because(id, "gone nobody", "its worker was killed");
        reads(0, "worker '<worker>' has held it since <at>, and its process is gone; the next "
                 "worker that looks makes it go on");
    } else {
        skip("its worker was killed", "no store knows, or it has one process");
        AWAIT(first_cause(id) == KEDGE_CAUSE_LAPSED);
        because(id, "lapsed nobody step", "its worker is unheard of");
        reads(0, "worker '<worker>' has held it since <at>, and has not been heard of for longer "
                 "than its time to live; the next worker that looks makes it go on");
    }
    has(0, fence(id), 0, "", "", "");
    must(ask(id, KEDGE_VERB_CANCEL), "cancel");
    look(kedge_text(id));
    ok(n_seen > 2 && seen[2].cause.kind == KEDGE_CAUSE_ASKED && strcmp(seen[2].text, "cancel") == 0,
       "... and what is asked of it then waits as well");
    buried(id);
    because(id, "nobody asked", "it is due again, and nobody is there");
    reads(1, "cancel was asked for by ann, and whoever takes it next has yet to take that up: as i "
             "say");
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
}

static void dead(void)
{
    const char *id = begin("pool", 0);

    lose(id, NULL);
    bury_only(id);
    because(id, "dead nobody", "its worker was declared dead");
    reads(0, "worker '<worker>' has held it since <at>, and is dead; the next worker that looks "
             "makes it go on");
    has(0, fence(id), 0, "", "", "");
    ok(seen[0].worker[0] != '\0', "... it was %s", seen[0].worker);
    buried(id);
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
}

static void stopped(void)
{
    const char *id;
    pid_t pid;

    if (!shared) {
        skip("its worker is stopped", "a store in memory has one process");
        return;
    }
    id = begin("pool", 0);
    pid = busy(id);
    freeze(pid);
    must(ask(id, KEDGE_VERB_PAUSE), "pause");
    because(id, "lapsed nobody asked step", "its worker is stopped, and something was asked");
    reads(0, "worker '<worker>' has held it since <at>, and has not been heard of for longer than "
             "its time to live; the next worker that looks makes it go on");
    has(0, fence(id), 0, "", "", "");
    reads(2, "pause was asked for by ann, and its worker has yet to take that up: as i say");
    reads(3, "step 'b' may have been running since <at>");
    put_down(pid);
    buried(id);
    must(ask(id, KEDGE_VERB_ABANDON), "abandon");
}

void cases_lost(void)
{
    acts_reset();
    killed();
    dead();
    stopped();
    purge_all();
}

/* ----------------------------------------------------------------------- served by whom */

static const char *begin_in(const char *reactor, uint32_t version, struct kedge_bytes queue,
                            const char *id)
{
    struct kedge_run_start start = KEDGE_START_INIT;

    start.reactor = reactor;
    start.version = version;
    start.id = kedge_text(id);
    start.queue = queue;
    must(kedge_start(store, &start, PATIENCE, &err), "start");
    return id;
}

static void versions(void)
{
    static const uint32_t served[] = { 7, 2, 3, 9, 3 };
    static const struct kedge_step_def steps[] = { { .name = "a", .run = run_step } };
    struct kedge_worker *workers[5];
    const char *id = begin_in("many", 4, kedge_text(NULL), "many-4");

    for (int i = 0; i < 5; i++) {
        struct kedge_reactor *reactor = reactor_from("many", served[i], steps);

        workers[i] = idle(reactor, NULL);
        kedge_reactor_free(reactor);
    }
    because(id, "version", "nobody serves its version");
    reads(0,
          "no worker alive serves version 4 of the reactor 'many' from the queue 'default', only "
          "2-3, 7, 9");
    has(0, 0, 0, "", "", "2-3, 7, 9");
    give_up(id);
    id = begin_in("many", 3, kedge_text(NULL), "many-3");
    because(id, "due", "two serve this one");
    reads(0, "it has been due since <at>, and one of the 2 workers that serve it will take it");
    has(0, due(id), 2, "", "", "");
    give_up(id);
    for (int i = 0; i < 5; i++)
        kedge_worker_close(workers[i], 0);
}

static void paused_queue(void)
{
    struct kedge_worker *worker = idle(reactor_of("pool"), NULL);
    const char *id = begin("pool", 0);
    const char *later = begin("pool", HOUR);

    because(id, "due", "a worker is open");
    reads(0, "it has been due since <at>, and the one worker that serves it will take it");
    has(0, due(id), 1, "", "", "");
    must(kedge_queue_pause(store, kedge_text("default"), "eve", "a migration.", PATIENCE, &err),
         "pause queue");
    because(id, "queue-paused", "its queue is paused");
    reads(0, "the queue 'default' has been paused since <at> by eve: a migration");
    has(0, -1, 0, "", "eve", "a migration.");
    ok(seen[0].cause.at >= due(id), "... since then");
    because(later, "later queue-paused", "so it is for one that is due later");
    kedge_worker_close(worker, 0);
    because(id, "queue-paused nobody", "and nobody is there");
    must(kedge_queue_resume(store, kedge_text("default"), PATIENCE, &err), "resume queue");
    because(id, "nobody", "the queue goes on");
    reads(0, "no worker is alive");
    has(0, 0, 0, "", "", "");
    because(later, "later nobody", "one that is due later: nobody would take it now");
    give_up(id);
    give_up(later);
}

void cases_unserved_why(void)
{
    struct kedge_worker *worker;
    const char *id;

    purge_all();
    paused_queue();
    versions();
    worker = idle(reactor_of("pool"), "other");
    id = begin("pool", 0);
    because(id, "queue", "nobody serves its queue");
    reads(0, "no worker alive serves the queue 'default'");
    has(0, 0, 0, "", "", "");
    kedge_worker_close(worker, 0);
    worker = idle(reactor_of("bystander"), NULL);
    because(id, "reactor", "nobody serves its reactor");
    reads(0, "no worker alive serves the reactor 'pool' from the queue 'default'");
    has(0, 0, 0, "", "", "");
    kedge_worker_close(worker, 0);
    give_up(id);
}

/* ----------------------------------------------------------------------- odd bytes */

static int stop_at_first(void *ctx, const struct kedge_cause *cause)
{
    (void)cause;
    ++*(int *)ctx;
    purge_all(); /* it may use the store */
    return 42;
}

void cases_odd(void)
{
    struct kedge_worker *worker = idle(reactor_of("bystander"), NULL);
    struct kedge_request request = KEDGE_REQUEST_INIT;
    struct kedge_run_start start = KEDGE_START_INIT;
    char why[1000];
    int n = 0;

    start.reactor = "pool";
    start.version = 1;
    start.id = (struct kedge_bytes){ "\0\xff", 2 };
    start.queue = (struct kedge_bytes){ "q\0\xff\x1b\xc3\xbc", 6 };
    must(kedge_start(store, &start, PATIENCE, &err), "start");
    look(start.id);
    are("queue", KEDGE_PENDING, "a queue with odd bytes");
    reads(0, "no worker alive serves the queue 'q\\x00\\xff\\x1b\xc3\xbc'");
    ok(kedge_run_why(store, start.id, stop_at_first, &n, PATIENCE, &err) == 42 && n == 1,
       "a callback may use the store, and ends the walk");
    kedge_worker_close(worker, 0);
    ok(kedge_run_why(store, kedge_text("no such run"), stop_at_first, &n, PATIENCE, &err) ==
           KEDGE_NOT_FOUND,
       "of nothing: not found");
    memset(why, 'y', sizeof why);
    why[sizeof why - 1] = '\0';
    request.verb = KEDGE_VERB_PAUSE;
    request.run = start.id;
    request.who = "a\nb";
    request.why = why;
    must(kedge_run_request(store, &request, NULL, PATIENCE, &err), "pause");
    look(start.id);
    are("paused", KEDGE_PAUSED, "a reason that is longer than a sentence");
    ok(strlen(seen[0].cause.sentence) == sizeof seen[0].cause.sentence - 1 &&
           strcmp(seen[0].cause.sentence + sizeof seen[0].cause.sentence - 5, "y...") == 0 &&
           strstr(seen[0].cause.sentence, " by a\\x0ab: yyy") != NULL,
       "... %s", seen[0].cause.sentence);
    request.verb = KEDGE_VERB_ABANDON;
    must(kedge_run_request(store, &request, NULL, PATIENCE, &err), "abandon");
}

/* ------------------------------------------------------------------------- overdue */

/* On the loop, which hangs in it: nobody ends its attempt. */
static const struct kedge_step_def hung_steps[] = {
    { .name = "h", .run = run_step, .timeout_us = 1000 },
};

void cases_overdue(void)
{
    struct kedge_worker_options options = KEDGE_WORKER_OPTIONS_INIT;
    struct kedge_reactor *reactor = reactor_from("hung", 1, hung_steps);
    const struct kedge_reactor *serves[1] = { reactor };
    const char *id = begin("hung", 0);
    struct crew crew;

    acts_reset();
    atomic_store(&ACT('h')->hold, 1);
    options.reactors = serves;
    options.n_reactors = 1;
    options.label = "slow one";
    options.lease_ttl_us = HOUR;
    hire_with(&crew, store, &options);
    AWAIT(atomic_load(&ACT('h')->began) == 1);
    because(id, "held step", "a step hangs");
    if (clock_go_ahead(11 * SECONDS, "... for so long that others may take its run")) {
        because(id, "overdue step", "... for so long that others may take its run");
        reads(0, "worker '<worker>' has held it since <at>, longer than its steps may take; the "
                 "next worker that looks makes it go on");
        has(0, fence(id), 0, "", "", "");
        reads(1, "step 'h' may have been running since <at>");
    }
    atomic_store(&ACT('h')->hold, 0);
    dismiss(&crew);
    kedge_reactor_free(reactor);
}

/* ------------------------------------------------------------------------- all of it */

int other_process(const char *mode, char **args)
{
    if (strcmp(mode, "--busy") == 0)
        be_busy(args);
    return -1;
}

const struct test_case test_cases[] = {
    { "workers", cases_workers },
    { "locks", cases_locks },
    { "journal", cases_journal },
    { "writers", cases_writers },
    { "ended", cases_ended },
    { "stuck", cases_stuck_why },
    { "waiting", cases_waiting },
    { "carried", cases_carried },
    { "lost", cases_lost },
    { "served", cases_unserved_why },
    { "odd", cases_odd },
    { "overdue", cases_overdue }, /* the clock goes ahead from then on */
    { NULL, NULL },
};
