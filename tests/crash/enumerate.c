/*
 * enumerate.c - every point at which a process can die, and every way a write can fail
 *
 * A child runs the script (script.h) over an LMDB store.  A dry run records what the store shows
 * before and after each step, D; then for every point
 *
 *   kill    the child is killed before or after a step, or before, after or in the middle of a
 *           write call.  Another child opens the store: verify is clean, all that was acknowledged
 *           is there (the dump equals D), the step in flight is there wholly or not at all; sent
 *           again it answers as if nothing had happened and is there once; the script then goes on
 *           to its end.
 *   fault   a write call fails or is cut short.  The child itself sees a failure with a message,
 *           and "nothing changed" means so; sent again (perhaps after closing and opening) the step
 *           takes place, and the script goes on to its end.
 *
 * That this finds anything is shown at the end with stores that lie.
 *
 * By hand: KEDGE_TEST_POINT='kill-after 17' or 'fail-EIO 17' does one point.
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conform/iofault.h"
#include "script.h"

#define STEPS_MAX 100
#define DUMP_MAX  ((size_t)64 * 1024)

/* Shared by parent and children. */
struct shared {
    struct iofault fault;
    struct script_world world;
    int64_t clock;
    int begun; /* -1: opening; the step last begun */
    int ended; /* -2: not even opened; the step last acknowledged */
    int fired_in;
    int healed;   /* faults after which the same handle went on */
    int reopened; /* ... after which it had to be closed and opened */
    int absorbed; /* ... that the caller never saw */
    char last_error[KEDGE_ERRMSG_MAX];
    uint64_t calls_at[STEPS_MAX + 2]; /* number of write calls when a step began */
    char before[STEPS_MAX][DUMP_MAX];
    char after[STEPS_MAX][DUMP_MAX];
};

static struct shared *sh;
static struct kedge_host host;
static char path[4200];
static char url[4300];

enum mutant { NO_MUTANT, LOSES_ACK, HALF_COMMIT, TWICE };

/* What shall happen in one run of the script. */
struct point {
    const char *name;
    enum iofault_mode mode;
    uint64_t at; /* number of a write call */
    int err;
    bool sticky;
    int kill_before; /* step, or -1 */
    int kill_after;
    enum mutant mutant;
};

/* ------------------------------------------------------------ stores that lie */

static const struct kedge_backend_ops *real;
static enum mutant mutant;

static int lying_commit(void *session, const struct kedge_commit *commits, size_t n,
                        struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_commit c = commits[0];
    int rc;

    switch (mutant) {
    case LOSES_ACK: /* says yes to a snapshot without having written anything */
        if (n == 1 && c.n_changes == 2 && c.changes[1].kind == KEDGE_SNAPSHOT) {
            memset(&answers[0], 0, sizeof answers[0]);
            return KEDGE_OK;
        }
        break;
    case HALF_COMMIT: /* forgets the last change of a child's end: the parent's slot */
        if (n == 1 && c.n_changes == 3 && c.changes[2].kind == KEDGE_SLOT_PUT) {
            struct kedge_change fewer[2] = { c.changes[0], c.changes[1] };

            fewer[1].release.place = KEDGE_PLACE_DUE;
            fewer[1].release.status = 0;
            c.changes = fewer;
            c.n_changes = 2;
            c.results = NULL;
            return real->commit(session, &c, 1, answers, timeout_us, err);
        }
        break;
    case TWICE: /* keeps no request ids: what is sent again is done again */
        if (n == 1 && c.n_changes == 1 && c.changes[0].kind == KEDGE_APPEND) {
            struct kedge_change later = c.changes[0];

            rc = real->commit(session, &c, 1, answers, timeout_us, err);
            if (rc != KEDGE_OK || answers[0].outcome != KEDGE_OK)
                return rc;
            later.append.first = answers[0].position + 1;
            c.request.b[0] ^= 0xff;
            c.changes = &later;
            c.results = NULL;
            return real->commit(session, &c, 1, answers, timeout_us, err);
        }
        break;
    case NO_MUTANT:
        break;
    }
    return real->commit(session, commits, n, answers, timeout_us, err);
}

static const struct kedge_backend_ops *ops_for(enum mutant m)
{
    static struct kedge_backend_ops lying;

    real = crash_ops(getenv("KEDGE_TEST_CRASH_BACKEND"));
    mutant = m;
    if (m == NO_MUTANT)
        return real;
    lying = *real;
    lying.commit = lying_commit;
    return &lying;
}

/* ----------------------------------------------------------------- comparing */

/* Does the object of this dump line belong to ITEM, a list of names? */
static bool names_object(const char *item, const char *line, size_t len)
{
    const char *end = memchr(line, ']', len);
    const char *p;

    if (line[0] != '[' || end == NULL || end[-1] != '\'')
        return false;
    for (p = end - 2; *p != '\''; p--)
        ;
    p++;
    for (size_t n = (size_t)(end - 1 - p); *item != '\0';) {
        size_t word = strcspn(item, " ");

        if (word == n && memcmp(item, p, n) == 0)
            return true;
        item += word + (item[word] == ' ');
    }
    return false;
}

/* The lines of DUMP whose object is one of ITEM's; static, two results at a time. */
static const char *part_of(const char *dump, const char *item)
{
    static char parts[3][DUMP_MAX];
    static int turn;
    char *out = parts[turn = (turn + 1) % 3];
    size_t used = 0;

    while (*dump != '\0') {
        size_t len = strcspn(dump, "\n");

        if (names_object(item, dump, len)) {
            memcpy(out + used, dump, len + 1);
            used += len + 1;
        }
        dump += len + (dump[len] == '\n');
    }
    out[used] = '\0';
    return out;
}

/* May this item be there / not be there, after OUTCOME? */
static bool may_be_new(int outcome)
{
    return outcome == KEDGE_OK || outcome == KEDGE_ERR_UNKNOWN;
}

static bool may_be_old(int outcome)
{
    return outcome != KEDGE_OK;
}

/*
 * Is NOW what step I may have left behind?  OUTCOMES tells per item what was answered; NULL: it
 * was killed, anything whole is right.  Answers whether all of it took place.
 */
static bool check_whole(int i, const char *now, const int *outcomes, const char *when)
{
    const struct script_step *step = &script_steps[i];
    const char *old = sh->before[i];
    const char *new = sh->after[i];
    bool new_all = strcmp(now, new) == 0;
    bool old_all = strcmp(now, old) == 0;
    bool all = true;
    bool none = true;

    if (step->loose || (new_all && old_all))
        return new_all;
    if (step->items[0] == NULL) {
        CRASH_CHECK(new_all || old_all, "%s: step %d (%s) is there in part: %s", when, i,
                    step->name, crash_dump_differ(old, now));
        if (outcomes != NULL)
            CRASH_CHECK(new_all ? may_be_new(outcomes[0]) : may_be_old(outcomes[0]),
                        "%s: step %d (%s) answered %s, but is %sthere", when, i, step->name,
                        kedge_status_name(outcomes[0]), new_all ? "" : "not ");
        return new_all;
    }
    for (size_t k = 0; k < SCRIPT_ITEMS && step->items[k] != NULL; k++) {
        const char *item = step->items[k];
        const char *part = part_of(now, item);
        bool is_new = strcmp(part, part_of(new, item)) == 0;
        bool is_old = strcmp(part, part_of(old, item)) == 0;

        if (is_new && is_old)
            continue;
        CRASH_CHECK(is_new || is_old, "%s: step %d (%s): item %zu (%s) is there in part: %s", when,
                    i, step->name, k, item, crash_dump_differ(part_of(old, item), part));
        if (outcomes != NULL)
            CRASH_CHECK(is_new ? may_be_new(outcomes[k]) : may_be_old(outcomes[k]),
                        "%s: step %d (%s): item %zu (%s) answered %d, but is %sthere", when, i,
                        step->name, k, item, outcomes[k], is_new ? "" : "not ");
        all = all && is_new;
        none = none && is_old;
    }
    CRASH_CHECK(!all || new_all, "%s: step %d (%s): %s", when, i, step->name,
                crash_dump_differ(new, now));
    CRASH_CHECK(!none || old_all, "%s: step %d (%s): %s", when, i, step->name,
                crash_dump_differ(old, now));
    return all;
}

static char *dump_now(struct script *s, const char *when)
{
    struct crash_dump d = { NULL, 0 };
    struct kedge_error err = { 0, 0, "" };
    int rc = crash_dump(s->ops, &host, s->session, &script_known, &d, &err);

    CRASH_CHECK(rc == KEDGE_OK, "%s: reading: %s: %s", when, kedge_status_name(rc), err.msg);
    CRASH_CHECK(d.len < DUMP_MAX, "a dump of %zu bytes", d.len);
    CRASH_CHECK(strstr(d.text, "!!") == NULL, "%s: %s", when, strstr(d.text, "!!"));
    return d.text;
}

static void check_after(struct script *s, int i, const char *when)
{
    char *now = dump_now(s, when);
    const char *differ = crash_dump_differ(sh->after[i], now);

    CRASH_CHECK(differ == NULL, "%s: after step %d (%s): %s", when, i, script_steps[i].name,
                differ);
    free(now);
}

static void check_verify(struct script *s, const char *when)
{
    const char *fault = crash_verify(s->ops, &host, s->session);

    CRASH_CHECK(fault == NULL, "%s: %s", when, fault);
}

static struct script new_script(enum mutant m)
{
    struct script s = { .ops = ops_for(m),
                        .host = &host,
                        .clock = &sh->clock,
                        .url = url,
                        .world = &sh->world,
                        .timeout_us = CRASH_TIMEOUT };

    return s;
}

static void check_expected(const struct script *s, int i, int rc, const char *when)
{
    CRASH_CHECK(rc == script_steps[i].expect, "%s: step %d (%s) answers %s: %s", when, i,
                script_steps[i].name, kedge_status_name(rc), s->err.msg);
}

/* From step I on to the end. */
static void go_on(struct script *s, int i, const char *when)
{
    for (; i < script_n_steps; i++) {
        int rc = script_do(s, i);

        check_expected(s, i, rc, when);
    }
    check_after(s, script_n_steps - 1, when);
    check_verify(s, when);
}

/* ------------------------------------------------------------------- dry run */

static void keep(struct script *s, char to[DUMP_MAX])
{
    char *now = dump_now(s, "dry run");

    memcpy(to, now, strlen(now) + 1);
    free(now);
}

/* CTX: the name of a backend, NULL: the one under test. */
static void dry_run(void *ctx)
{
    struct script s = new_script(NO_MUTANT);
    int rc;

    if (ctx != NULL) {
        s.ops = crash_ops(ctx);
        s.url = "mem:crash";
    }
    iofault_use(&sh->fault);
    iofault_arm(&sh->fault, IOFAULT_COUNT, 0, 0);
    sh->clock = script_time(-1);
    rc = script_open(&s, KEDGE_OPEN_CREATE);
    CRASH_CHECK(rc == KEDGE_OK, "open: %s: %s", kedge_status_name(rc), s.err.msg);
    for (int i = 0; i < script_n_steps; i++) {
        sh->clock = script_time(i);
        keep(&s, sh->before[i]);
        sh->calls_at[i] = atomic_load(&sh->fault.count);
        rc = script_do(&s, i);
        check_expected(&s, i, rc, "dry run");
        keep(&s, sh->after[i]);
        if (getenv("KEDGE_TEST_VERBOSE") != NULL)
            (void)fprintf(stderr, "# ---- after step %d (%s)\n%s", i, script_steps[i].name,
                          sh->after[i]);
    }
    sh->calls_at[script_n_steps] = atomic_load(&sh->fault.count);
    check_verify(&s, "dry run");
    script_close(&s);
    iofault_disarm(&sh->fault);
}

/* -------------------------------------------------------------------- killing */

static void victim(void *ctx)
{
    const struct point *p = ctx;
    struct script s = new_script(p->mutant);
    int rc;

    iofault_use(&sh->fault);
    iofault_arm(&sh->fault, p->mode, p->at, p->err);
    sh->clock = script_time(-1);
    rc = script_open(&s, KEDGE_OPEN_CREATE);
    CRASH_CHECK(rc == KEDGE_OK, "open: %s: %s", kedge_status_name(rc), s.err.msg);
    sh->ended = -1;
    for (int i = 0; i < script_n_steps; i++) {
        sh->begun = i;
        if (p->kill_before == i)
            (void)kill(getpid(), SIGKILL);
        rc = script_do(&s, i);
        check_expected(&s, i, rc, "before any fault");
        sh->ended = i;
        if (p->kill_after == i)
            (void)kill(getpid(), SIGKILL);
    }
    sh->begun = script_n_steps;
    script_close(&s);
    sh->ended = script_n_steps;
}

static void survivor(void *ctx)
{
    const struct point *p = ctx;
    struct script s = new_script(p->mutant);
    int begun = sh->begun < script_n_steps ? sh->begun : script_n_steps - 1;
    int ended = sh->ended < script_n_steps ? sh->ended : script_n_steps - 1;
    bool there = true;
    char *now;
    int rc;

    sh->clock = script_time(begun);
    rc = script_open(&s, ended == -2 ? KEDGE_OPEN_CREATE : 0);
    CRASH_CHECK(rc == KEDGE_OK, "open after the kill: %s: %s", kedge_status_name(rc), s.err.msg);
    check_verify(&s, "after the kill");
    now = dump_now(&s, "after the kill");
    if (begun == -1) {
        const char *differ = crash_dump_differ(sh->before[0], now);

        CRASH_CHECK(differ == NULL, "a new store is not empty: %s", differ);
    } else if (begun == ended) {
        const char *differ = crash_dump_differ(sh->after[ended], now);

        CRASH_CHECK(differ == NULL, "step %d (%s) was acknowledged: %s", ended,
                    script_steps[ended].name, differ);
    } else {
        there = check_whole(begun, now, NULL, "after the kill");
        rc = script_do(&s, begun);
        if (!there || script_steps[begun].again == KEDGE_OK || rc != script_steps[begun].again)
            check_expected(&s, begun, rc, "sent again");
        check_after(&s, begun, "sent again");
    }
    free(now);
    go_on(&s, begun + 1, "going on");
    script_close(&s);
}

/* Opened by somebody who is killed in turn, at write call AT of his own. */
static void second_victim(void *ctx)
{
    const struct point *p = ctx;
    struct script s = new_script(NO_MUTANT);

    iofault_use(&sh->fault);
    iofault_arm(&sh->fault, IOFAULT_KILL_BEFORE, p->at, 0);
    if (script_open(&s, sh->ended == -2 ? KEDGE_OPEN_CREATE : 0) == KEDGE_OK)
        script_close(&s);
}

static void fresh(void)
{
    crash_remove(path);
    iofault_disarm(&sh->fault);
    memset(&sh->world, 0, sizeof sh->world);
    sh->begun = -1;
    sh->ended = -2;
    sh->fired_in = -3;
    sh->last_error[0] = '\0';
}

static unsigned shown;

static bool failed(const struct point *p, const char *phase, enum crash_end end)
{
    if (shown++ < 20)
        tap_diag("%s %llu (%s, in or after step %d): %s %s: %s", p->name, (unsigned long long)p->at,
                 iofault_call_name(atomic_load(&sh->fault.fired_call)), sh->begun, phase,
                 crash_end_name(end), crash_why());
    return false;
}

/* true: all held.  *PAST: there was no such point any more. */
static bool kill_point(struct point *p, bool *past)
{
    enum crash_end end;

    fresh();
    *past = false;
    end = crash_run(victim, p);
    if (end == CRASH_PASSED && atomic_load(&sh->fault.fired) == 0) {
        *past = true;
        return true;
    }
    if (end != CRASH_KILLED)
        return failed(p, "the victim", end);
    end = crash_run(survivor, p);
    return end == CRASH_PASSED || failed(p, "the survivor", end);
}

static bool kill_twice(struct point *p, unsigned *points)
{
    bool ok = true;

    for (uint64_t second = 1; second < 100; second++) {
        struct point q = { .at = second };
        enum crash_end end;

        fresh();
        if (crash_run(victim, p) != CRASH_KILLED)
            return failed(p, "the first victim", CRASH_PASSED);
        end = crash_run(second_victim, &q);
        if (end == CRASH_PASSED)
            return ok;
        if (end != CRASH_KILLED)
            return failed(p, "the second victim", end);
        end = crash_run(survivor, p);
        ++*points;
        if (end != CRASH_PASSED)
            ok = failed(p, "the survivor of two kills", end);
    }
    return ok;
}

/* --------------------------------------------------------------------- faults */

/* What a store may answer when a write fails. */
static bool is_failure(int rc)
{
    return rc == KEDGE_ERR_UNAVAILABLE || rc == KEDGE_ERR_UNKNOWN || rc == KEDGE_ERR_FULL;
}

static void check_failure(const struct script *s, int i, int rc)
{
    CRASH_CHECK(atomic_load(&sh->fault.fired) != 0, "step %d answers %s with no fault: %s", i,
                kedge_status_name(rc), s->err.msg);
    CRASH_CHECK(is_failure(rc), "step %d answers %s: %s", i, kedge_status_name(rc), s->err.msg);
    CRASH_CHECK(s->err.msg[0] != '\0', "step %d answers %s without a message", i,
                kedge_status_name(rc));
    (void)snprintf(sh->last_error, sizeof sh->last_error, "%s: %.480s", kedge_status_name(rc),
                   s->err.msg);
}

static void open_again(struct script *s, int i)
{
    int rc;

    script_close(s);
    rc = script_open(s, i < 0 ? KEDGE_OPEN_CREATE : 0);
    CRASH_CHECK(rc == KEDGE_OK, "opening again after a fault: %s: %s", kedge_status_name(rc),
                s->err.msg);
}

/* Step I has failed: look, send again, look. */
static void recover(struct script *s, const struct point *p, int i)
{
    struct crash_dump d = { NULL, 0 };
    struct kedge_error err = { 0, 0, "" };
    int outcomes[SCRIPT_ITEMS];
    bool there = may_be_new(s->outcome[0]);
    bool again;
    char *now;
    int rc;

    memcpy(outcomes, s->outcome, sizeof outcomes);
    iofault_disarm(&sh->fault);
    if (s->session != NULL &&
        crash_dump(s->ops, &host, s->session, &script_known, &d, &err) == KEDGE_OK) {
        there = check_whole(i, d.text, outcomes, "after a fault");
        free(d.text);
    }
    /* On the same handle, for every other point. */
    again = s->session != NULL && p->at % 2 == 0;
    if (again) {
        rc = script_do(s, i);
        if (rc < 0) {
            CRASH_CHECK(rc == KEDGE_ERR_UNAVAILABLE && s->err.msg[0] != '\0',
                        "sent again on the same handle: %s: %s", kedge_status_name(rc), s->err.msg);
            (void)snprintf(sh->last_error, sizeof sh->last_error, "%s", s->err.msg);
            again = false;
        }
    }
    if (again) {
        sh->healed++;
    } else {
        sh->reopened++;
        open_again(s, i);
        check_verify(s, "opened again");
        now = dump_now(s, "opened again");
        there = check_whole(i, now, outcomes, "opened again");
        free(now);
        rc = script_do(s, i);
    }
    if (!there || script_steps[i].again == KEDGE_OK || rc != script_steps[i].again)
        check_expected(s, i, rc, "sent again after a fault");
    check_after(s, i, "sent again after a fault");
}

static void sufferer(void *ctx)
{
    const struct point *p = ctx;
    struct script s = new_script(NO_MUTANT);
    bool seen = false;
    int rc;

    iofault_use(&sh->fault);
    atomic_store(&sh->fault.sticky, p->sticky ? 1 : 0);
    iofault_arm(&sh->fault, p->mode, p->at, p->err);
    sh->clock = script_time(-1);
    rc = script_open(&s, KEDGE_OPEN_CREATE);
    if (rc != KEDGE_OK) {
        check_failure(&s, -1, rc);
        iofault_disarm(&sh->fault);
        sh->reopened++;
        seen = true;
        open_again(&s, -1);
    }
    for (int i = 0; i < script_n_steps; i++) {
        sh->begun = i;
        rc = script_do(&s, i);
        if (rc < 0) {
            CRASH_CHECK(!seen, "long after a fault: step %d (%s) answers %s: %s", i,
                        script_steps[i].name, kedge_status_name(rc), s.err.msg);
            sh->fired_in = i;
            check_failure(&s, i, rc);
            recover(&s, p, i);
            seen = true;
        } else {
            check_expected(&s, i, rc, "with a fault");
            if (!seen && atomic_load(&sh->fault.fired) != 0) {
                seen = true;
                sh->absorbed++;
                iofault_disarm(&sh->fault);
                check_after(&s, i, "in spite of a fault");
            }
        }
    }
    check_after(&s, script_n_steps - 1, "at the end");
    check_verify(&s, "at the end");
    script_close(&s);
    iofault_disarm(&sh->fault);
    rc = script_open(&s, 0);
    CRASH_CHECK(rc == KEDGE_OK, "opening at the end: %s", s.err.msg);
    check_after(&s, script_n_steps - 1, "opened at the end");
    script_close(&s);
}

static bool fault_point(struct point *p, bool *past)
{
    enum crash_end end;

    fresh();
    end = crash_run(sufferer, p);
    *past = end == CRASH_PASSED && atomic_load(&sh->fault.fired) == 0;
    return end == CRASH_PASSED || failed(p, "the script", end);
}

/* ---------------------------------------------------------------- enumerations */

static uint64_t n_calls;
static uint8_t trace[IOFAULT_TRACE];
static uint64_t stride = 1;

static bool is_write_call(uint64_t at)
{
    return at <= IOFAULT_TRACE && (1u << trace[at - 1] & IOFAULT_WRITES) != 0;
}

static unsigned enumerate_kills(void)
{
    static const struct {
        const char *name;
        enum iofault_mode mode;
    } modes[] = { { "kill-before", IOFAULT_KILL_BEFORE },
                  { "kill-after", IOFAULT_KILL_AFTER },
                  { "kill-torn", IOFAULT_TORN } };
    unsigned total = 0;

    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        unsigned points = 0;
        bool ok = true;
        bool past = false;

        for (uint64_t at = 1 + (m < stride ? m : 0); !past && at < 100000; at += stride) {
            struct point p = { modes[m].name, modes[m].mode, at, 0, false, -1, -1, NO_MUTANT };

            if (modes[m].mode == IOFAULT_TORN && at <= n_calls && !is_write_call(at))
                continue;
            if (!kill_point(&p, &past))
                ok = false;
            points += !past;
        }
        (void)tap_ok(ok && points != 0, "%s a write call: %u points of %llu calls", modes[m].name,
                     points, (unsigned long long)n_calls);
        total += points;
    }
    return total;
}

static unsigned enumerate_steps(void)
{
    unsigned points = 0;
    bool ok = true;
    bool past;

    for (int i = 0; i < script_n_steps; i++) {
        struct point before = { "step-before", IOFAULT_COUNT, 0, 0, false, i, -1, NO_MUTANT };
        struct point after = { "step-after", IOFAULT_COUNT, 0, 0, false, -1, i, NO_MUTANT };

        ok = kill_point(&before, &past) && ok;
        ok = kill_point(&after, &past) && ok;
        points += 2;
    }
    (void)tap_ok(ok, "kill before and after a step: %u points", points);
    return points;
}

static unsigned enumerate_double(void)
{
    unsigned points = 0;
    unsigned firsts = 0;
    bool ok = true;
    uint64_t hop = n_calls / (crash_long() ? 40 : 6) + 1;

    for (uint64_t at = 1; at <= n_calls; at += hop, firsts++) {
        struct point p = { "kill-twice", IOFAULT_KILL_AFTER, at, 0, false, -1, -1, NO_MUTANT };

        ok = kill_twice(&p, &points) && ok;
    }
    (void)tap_ok(ok && points != 0, "kill again while opening: %u points after %u kills", points,
                 firsts);
    return points;
}

static unsigned enumerate_faults(void)
{
    static const struct {
        const char *name;
        enum iofault_mode mode;
        int err;
        bool sticky;
    } modes[] = { { "fail-EIO", IOFAULT_FAIL, EIO, false },
                  { "fail-ENOSPC", IOFAULT_FAIL, ENOSPC, false },
                  { "fail-EINTR", IOFAULT_FAIL, EINTR, false },
                  { "done-but-EIO", IOFAULT_FAIL_AFTER, EIO, false },
                  { "short", IOFAULT_SHORT, 0, false },
                  { "all-EIO-from", IOFAULT_FAIL, EIO, true },
                  { "all-ENOSPC-from", IOFAULT_FAIL, ENOSPC, true } };
    unsigned total = 0;

    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        unsigned points = 0;
        bool ok = true;
        bool past = false;

        sh->healed = sh->reopened = sh->absorbed = 0;
        for (uint64_t at = 1 + m % stride; !past && at < 100000; at += stride) {
            struct point p = {
                modes[m].name, modes[m].mode, at, modes[m].err, modes[m].sticky, -1, -1, NO_MUTANT
            };

            if (modes[m].mode == IOFAULT_SHORT && at <= n_calls && !is_write_call(at))
                continue;
            if (!fault_point(&p, &past))
                ok = false;
            points += !past;
        }
        (void)tap_ok(ok && points != 0,
                     "%s: %u points; same handle went on %d, closed and opened %d, not seen %d",
                     modes[m].name, points, sh->healed, sh->reopened, sh->absorbed);
        total += points;
    }
    return total;
}

/* A mutant must be caught at one point at least; and the harness must not be caught itself. */
static void self_test(void)
{
    static const struct {
        enum mutant mutant;
        const char *name;
    } mutants[] = { { LOSES_ACK, "a commit acknowledged and never sent" },
                    { HALF_COMMIT, "a commit without its last change" },
                    { TWICE, "a commit applied twice" } };

    for (size_t m = 0; m < ARRAY_LEN(mutants); m++) {
        unsigned caught = 0;
        unsigned quiet = shown;

        shown = 1000;
        for (int i = 0; i < script_n_steps && caught == 0; i++) {
            struct point p = { "mutant", IOFAULT_COUNT, 0, 0, false, -1, i, mutants[m].mutant };
            bool past;

            caught += !kill_point(&p, &past);
        }
        shown = quiet;
        if (tap_ok(caught != 0, "self-test: %s is detected", mutants[m].name))
            tap_diag("by: %s", crash_why());
    }
}

/* KEDGE_TEST_POINT='kill-after 17': one point, by hand. */
static bool by_hand(const char *what)
{
    static const struct {
        const char *name;
        enum iofault_mode mode;
        int err;
        bool sticky;
    } modes[] = { { "kill-before", IOFAULT_KILL_BEFORE, 0, false },
                  { "kill-after", IOFAULT_KILL_AFTER, 0, false },
                  { "kill-torn", IOFAULT_TORN, 0, false },
                  { "step-before", IOFAULT_COUNT, 0, false },
                  { "step-after", IOFAULT_COUNT, 1, false },
                  { "fail-EIO", IOFAULT_FAIL, EIO, false },
                  { "fail-ENOSPC", IOFAULT_FAIL, ENOSPC, false },
                  { "fail-EINTR", IOFAULT_FAIL, EINTR, false },
                  { "done-but-EIO", IOFAULT_FAIL_AFTER, EIO, false },
                  { "short", IOFAULT_SHORT, 0, false },
                  { "all-EIO-from", IOFAULT_FAIL, EIO, true },
                  { "all-ENOSPC-from", IOFAULT_FAIL, ENOSPC, true } };
    size_t word = strcspn(what, " ");

    for (size_t m = 0; m < ARRAY_LEN(modes); m++)
        if (strlen(modes[m].name) == word && memcmp(modes[m].name, what, word) == 0) {
            uint64_t at = strtoull(what + word, NULL, 0);
            struct point p = {
                modes[m].name, modes[m].mode, at, modes[m].err, modes[m].sticky, -1, -1, NO_MUTANT
            };
            bool past = false;
            bool ok;

            if (p.mode == IOFAULT_COUNT) {
                *(p.err == 0 ? &p.kill_before : &p.kill_after) = (int)at;
                p.at = 0;
            }
            ok = p.mode == IOFAULT_COUNT || p.mode == IOFAULT_KILL_BEFORE ||
                         p.mode == IOFAULT_KILL_AFTER || p.mode == IOFAULT_TORN
                     ? kill_point(&p, &past)
                     : fault_point(&p, &past);
            (void)tap_ok(ok && !past, "%s%s", what, past ? ": there is no such call" : "");
            tap_diag("in step %d (%s): %s", sh->begun,
                     sh->begun >= 0 && sh->begun < script_n_steps ? script_steps[sh->begun].name
                                                                  : "open or close",
                     sh->last_error);
            return true;
        }
    return false;
}

static char *expected[STEPS_MAX];

/* What the backend in memory, the contract in its simplest form, shows after each step. */
static void reference(void)
{
    static char mem[] = "mem";
    enum crash_end end;

    fresh();
    end = crash_run(dry_run, mem);
    if (!tap_ok(end == CRASH_PASSED, "dry run over the backend in memory %s", crash_why()))
        return;
    for (int i = 0; i < script_n_steps; i++)
        expected[i] = strdup(sh->after[i]);
}

static void compare_reference(void)
{
    if (expected[0] == NULL)
        return;
    for (int i = 0; i < script_n_steps; i++) {
        const char *differ =
            expected[i] == NULL ? NULL : crash_dump_differ(expected[i], sh->after[i]);

        if (differ != NULL) {
            (void)tap_ok(false, "step %d (%s) shows something else than in memory: %s", i,
                         script_steps[i].name, differ);
            return;
        }
    }
    (void)tap_ok(true, "every step shows what it shows in memory");
}

static void show_calls(void)
{
    char text[1000];
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t c = 0; c < IOFAULT_N_CALLS && used < sizeof text; c++)
        if (atomic_load(&sh->fault.calls[c]) != 0)
            used +=
                (size_t)snprintf(text + used, sizeof text - used, " %s %llu", iofault_call_name(c),
                                 (unsigned long long)atomic_load(&sh->fault.calls[c]));
    tap_diag("%d steps, %llu write calls:%s", script_n_steps, (unsigned long long)n_calls, text);
    used = 0;
    for (uint64_t k = sh->calls_at[6]; k < sh->calls_at[7] && used < sizeof text; k++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, " %s", iofault_call_name(trace[k]));
    tap_diag("one append:%s", used != 0 ? text : " no calls");
}

static int64_t budget(void)
{
    const char *seconds = getenv("KEDGE_TEST_BUDGET");

    return (seconds != NULL ? strtoll(seconds, NULL, 0) : 50) * CRASH_SEC;
}

int main(void)
{
    const char *point = getenv("KEDGE_TEST_POINT");
    const char *gather = getenv("KEDGE_TEST_GATHER");
    unsigned kills, faults;
    int64_t start;
    int64_t each;
    enum crash_end end;

    sh = crash_shared(sizeof *sh);
    crash_host_manual(&host, &sh->clock);
    (void)snprintf(path, sizeof path, "%s/store", crash_dir());
    (void)snprintf(url, sizeof url, "lmdb://%s%s%s", path, gather != NULL ? "?gather=" : "",
                   gather != NULL ? gather : "");

    reference();
    fresh();
    end = crash_run(dry_run, NULL);
    if (!tap_ok(end == CRASH_PASSED, "dry run%s%s", end == CRASH_PASSED ? "" : ": ",
                end == CRASH_PASSED ? "" : crash_why()))
        return tap_end();
    compare_reference();
    n_calls = atomic_load(&sh->fault.count);
    for (uint64_t i = 0; i < IOFAULT_TRACE; i++)
        trace[i] = atomic_load(&sh->fault.trace[i]);
    show_calls();
    (void)tap_ok((sh->fault.calls[IOFAULT_writev] + sh->fault.calls[IOFAULT_pwritev] +
                  sh->fault.calls[IOFAULT_pwrite]) != 0 &&
                     sh->fault.calls[IOFAULT_fdatasync] + sh->fault.calls[IOFAULT_fsync] +
                             sh->fault.calls[IOFAULT_msync] !=
                         0,
                 "the writing calls arrive at the shim");
    if (point != NULL) {
        if (!by_hand(point))
            tap_bail("KEDGE_TEST_POINT: what is '%s'?", point);
        return tap_end();
    }
    start = crash_now_us();
    kills = enumerate_steps();
    each = (crash_now_us() - start) / kills;
    /* About 8 points per write call.  Odd: a fault point's parity decides what it does. */
    if (!crash_long())
        stride = (uint64_t)((int64_t)n_calls * 8 * each / budget()) / 2 * 2 + 1;
    tap_diag("a point takes %lld ms; every %llu. write call is tried%s", (long long)each / 1000,
             (unsigned long long)stride, stride > 1 ? " (KEDGE_TEST_LONG: all)" : "");
    kills += enumerate_kills();
    kills += enumerate_double();
    faults = enumerate_faults();
    self_test();
    tap_diag("%u crash points, %u fault points", kills, faults);
    return tap_end();
}
