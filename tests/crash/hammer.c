/*
 * hammer.c - eight processes, two threads each, on one LMDB store, while some are killed and some
 * are stopped, inside of a write too
 *
 * Then an heir buries the dead, takes their runs over and finishes them (nothing is in limbo), and
 * the checker compares what everybody was told with what is there (hammer_check.c).  At the end the
 * checker itself is checked: a log in which one line is changed must be found out.
 *
 * KEDGE_TEST_SECONDS: how long; KEDGE_TEST_SEED: which operations and faults (not which order).
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hammer.h"

static struct hammer *h;
static struct hammer_worker workers[HAMMER_SLOTS];
static pid_t pids[HAMMER_SLOTS];
static uint64_t rng;
static unsigned kills, stops, stops_inside, kills_inside;

static unsigned pick(unsigned n)
{
    return (unsigned)(crash_random(&rng) % n);
}

static void start(unsigned slot)
{
    workers[slot].h = h;
    workers[slot].slot = slot;
    iofault_disarm(&h->fault[slot]);
    pids[slot] = crash_start(hammer_worker, &workers[slot]);
    workers[slot].generation++;
}

static void kill_and_restart(unsigned slot)
{
    (void)kill(pids[slot], SIGKILL);
    (void)crash_wait(pids[slot], 30);
    start(slot);
}

/* Stop it inside of a write, hold all the others up, and let it go on or kill it. */
static void stall(unsigned slot)
{
    struct iofault *f = &h->fault[slot];

    atomic_store(&f->mask, pick(2) == 0 ? IOFAULT_SYNCS : IOFAULT_WRITES);
    iofault_arm(f, IOFAULT_STALL, 1, 0);
    if (!iofault_await_stall(f, 1, 500)) {
        iofault_disarm(f);
        iofault_release(f, UINT32_MAX);
        return;
    }
    (void)kill(pids[slot], SIGSTOP);
    stops_inside++;
    crash_sleep_us(200000 + pick(600000));
    iofault_disarm(f);
    iofault_release(f, UINT32_MAX);
    if (pick(3) == 0) {
        kills_inside++;
        kill_and_restart(slot);
    } else {
        (void)kill(pids[slot], SIGCONT);
    }
}

/* Has a worker ended by itself?  Then something is wrong. */
static bool all_well(void)
{
    for (unsigned slot = 0; slot < HAMMER_SLOTS; slot++) {
        siginfo_t info = { 0 };

        if (waitid(P_PID, (id_t)pids[slot], &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid != 0)
            return false;
    }
    return true;
}

static bool storm(int64_t seconds)
{
    int64_t end = crash_now_us() + seconds * CRASH_SEC;
    bool well = true;

    while (crash_now_us() < end && well) {
        unsigned slot = pick(HAMMER_SLOTS);
        unsigned what = pick(10);

        crash_sleep_us(10000 + pick(60000));
        if (what < 3) {
            kills++;
            kill_and_restart(slot);
        } else if (what < 6) {
            (void)kill(pids[slot], SIGSTOP);
            stops++;
            crash_sleep_us(pick(pick(4) == 0 ? 1500000 : 100000));
            (void)kill(pids[slot], SIGCONT);
        } else if (what < 8) {
            stall(slot);
        }
        well = all_well();
    }
    return well;
}

static bool end_all(void)
{
    bool ok = true;

    atomic_store(&h->stop, 1);
    for (unsigned slot = 0; slot < HAMMER_SLOTS; slot++) {
        enum crash_end end = crash_wait(pids[slot], CRASH_WATCHDOG);

        if (end != CRASH_PASSED) {
            tap_diag("worker %u %s: %s", slot, crash_end_name(end), crash_why());
            ok = false;
        }
    }
    return ok;
}

static void show(void)
{
    char text[600];
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < 24; i++)
        if (atomic_load(&h->outcomes[i]) != 0 && used < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, " %s %llu",
                                     kedge_status_name(i - 13),
                                     (unsigned long long)atomic_load(&h->outcomes[i]));
    tap_diag("%llu calls:%s", (unsigned long long)atomic_load(&h->calls), text);
    tap_diag("killed %u, stopped %u, stopped inside a write %u (then killed %u); "
             "'written by process N' %llu times",
             kills, stops, stops_inside, kills_inside, (unsigned long long)atomic_load(&h->named));
    if (h->other[0] != '\0')
        tap_diag("among the others: %s", h->other);
}

/* ------------------------------------------------------------------- self-test */

/*
 * Change the first line of a log for which FITS answers true, see what the checker says, and
 * change it back.  CRASH_PASSED also when there is no such line.
 */
static enum crash_end lie(bool (*fits)(struct hammer_line *line), const char *name)
{
    char path[4400];
    struct hammer_line line;
    struct hammer_line kept;
    enum crash_end end = CRASH_PASSED;
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", h->dir, name);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return end;
    for (off_t at = 0; pread(fd, &line, sizeof line, at) == (ssize_t)sizeof line;
         at += (off_t)sizeof line) {
        kept = line;
        if (!fits(&line))
            continue;
        if (pwrite(fd, &line, sizeof line, at) == (ssize_t)sizeof line)
            end = crash_run(hammer_check, h);
        if (pwrite(fd, &kept, sizeof kept, at) != (ssize_t)sizeof kept)
            tap_bail("cannot write %s", path);
        break;
    }
    (void)close(fd);
    return end;
}

static bool lost(struct hammer_line *line)
{
    if (line->kind != HAMMER_APPEND || line->after == 0 || line->outcome != KEDGE_OK)
        return false;
    line->position++;
    return true;
}

static bool refused(struct hammer_line *line)
{
    if (line->kind != HAMMER_APPEND || line->after == 0 || line->outcome != KEDGE_OK)
        return false;
    line->outcome = KEDGE_STALE;
    return true;
}

static bool two_at_once(struct hammer_line *line)
{
    if ((line->kind != HAMMER_CLAIM && line->kind != HAMMER_TAKE) || line->after == 0 ||
        line->outcome != KEDGE_OK || line->fence == 0)
        return false;
    line->fence = line->fence / 2; /* an old one, granted late */
    return true;
}

static void self_test(void)
{
    static const struct {
        bool (*fits)(struct hammer_line *line);
        const char *name;
    } lies[] = {
        { lost, "a record that is not where it was acknowledged" },
        { two_at_once, "a fence that is older than its time" },
        { refused, "a record that was refused" },
    };

    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        enum crash_end end = lie(lies[i].fits, "heir");

        if (tap_ok(end == CRASH_FAILED, "self-test: %s is detected", lies[i].name))
            tap_diag("by: %s", crash_why());
    }
}

int main(void)
{
    const char *given = getenv("KEDGE_TEST_SECONDS");
    int64_t seconds = given != NULL ? strtoll(given, NULL, 0) : crash_long() ? 120 : 6;
    enum crash_end end;

    h = crash_shared(sizeof *h);
    h->seed = rng = crash_seed();
    h->timeout_us = 400000;
    h->ttl_us = 1500000;
    (void)snprintf(h->url, sizeof h->url, "lmdb://%s/store", crash_dir());
    (void)snprintf(h->dir, sizeof h->dir, "%s/logs", crash_dir());
    if (mkdir(h->dir, 0700) != 0)
        tap_bail("mkdir: errno %d", errno);

    end = crash_run(hammer_setup, h);
    if (!tap_ok(end == CRASH_PASSED, "set up %s", crash_why()))
        return tap_end();
    for (unsigned slot = 0; slot < HAMMER_SLOTS; slot++)
        start(slot);
    (void)tap_ok(storm(seconds), "%lld s of %d processes: none ends by itself", (long long)seconds,
                 HAMMER_SLOTS);
    (void)tap_ok(end_all(), "all come to their end when told to");
    show();
    (void)tap_ok(kills + stops != 0 && atomic_load(&h->outcomes[13]) > 100,
                 "there were faults, and there was work");
    end = crash_run(hammer_heir, h);
    (void)tap_ok(end == CRASH_PASSED, "the heir buries the dead and finishes every run %s",
                 crash_why());
    end = crash_run(hammer_check, h);
    (void)tap_ok(end == CRASH_PASSED, "nothing lost, doubled, or held by two %s", crash_why());
    tap_diag("%llu appends acknowledged, %llu in doubt, %llu records, %llu takes, %llu locks",
             (unsigned long long)h->appends, (unsigned long long)h->in_doubt,
             (unsigned long long)h->records, (unsigned long long)h->takes,
             (unsigned long long)h->locks);
    self_test();
    return tap_end();
}
