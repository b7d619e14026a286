/*
 * clockshim.c - preloaded into a program, it takes the wall clock from a file
 *
 *	LD_PRELOAD=.../kedge-clock.so KEDGE_TEST_CLOCK=FILE redis-server ...
 *
 * gettimeofday(), time() and CLOCK_REALTIME are what the file says (clockfile.h), also while it
 * stands still; CLOCK_MONOTONIC is what it is.  Sleeping and waiting take real time, so what a
 * server does every so often it goes on doing.
 *
 * PostgreSQL asks the wall clock in its handler of SIGALRM whether a timeout has come, and would
 * ask for ever.  So there the clock has moved on by as much as the timer ran.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "clockfile.h"

#define SHOWN __attribute__((visibility("default")))

static struct clock_file real_time;
static struct clock_file *file = &real_time;

static int (*next_clock_gettime)(clockid_t, struct timespec *);
static int (*next_setitimer)(__itimer_which_t, const struct itimerval *, struct itimerval *);
static int (*next_sigaction)(int, const struct sigaction *, struct sigaction *);

static void find(void *fn, const char *name)
{
    void *p = dlsym(RTLD_NEXT, name);

    if (p == NULL)
        abort();
    *(void **)fn = p;
}

__attribute__((constructor)) static void begin(void)
{
    /* A case of the suite has a clock of its own beside that of the server, which it moves. */
    const char *own = getenv("KEDGE_CONFORM_OWN_CLOCK");
    const char *path = own != NULL ? own : getenv("KEDGE_TEST_CLOCK");
    int fd;
    void *p;

    find(&next_clock_gettime, "clock_gettime");
    find(&next_setitimer, "setitimer");
    find(&next_sigaction, "sigaction");
    if (path == NULL)
        return;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        abort();
    p = mmap(NULL, sizeof *file, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        abort();
    (void)close(fd);
    file = p;
}

static int real_clock(clockid_t id, struct timespec *ts)
{
    if (next_clock_gettime == NULL) /* somebody asks before we have begun */
        return (int)syscall(SYS_clock_gettime, id, ts);
    return next_clock_gettime(id, ts);
}

static int64_t real_us(clockid_t id)
{
    struct timespec ts = { 0, 0 };

    (void)real_clock(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* --------------------------------------------------------------- a timer's end */

static volatile sig_atomic_t in_alarm;
static int64_t timer_at; /* what the clock showed when the timer was set */
static int64_t timer_began;

static int64_t shown_us(void)
{
    int64_t at = atomic_load(&file->at), since = atomic_load(&file->since);
    int64_t slow = atomic_load(&file->slow);
    int64_t now = at == 0      ? real_us(CLOCK_REALTIME)
                  : since == 0 ? at
                               : at + (real_us(CLOCK_MONOTONIC) - since) / (slow == 0 ? 1 : slow);

    if (in_alarm && at != 0 && since == 0) {
        int64_t end = timer_at + real_us(CLOCK_MONOTONIC) - timer_began;

        if (end > now)
            now = end;
    }
    return now;
}

SHOWN int setitimer(__itimer_which_t which, const struct itimerval *set, struct itimerval *old)
{
    if (which == ITIMER_REAL && set != NULL &&
        (set->it_value.tv_sec != 0 || set->it_value.tv_usec != 0)) {
        timer_at = shown_us();
        timer_began = real_us(CLOCK_MONOTONIC);
    }
    return next_setitimer(which, set, old);
}

static struct sigaction on_alarm; /* as it was asked for */

static void alarm_came(int sig, siginfo_t *info, void *context)
{
    in_alarm = 1;
    if (on_alarm.sa_flags & SA_SIGINFO)
        on_alarm.sa_sigaction(sig, info, context);
    else
        on_alarm.sa_handler(sig);
    in_alarm = 0;
}

SHOWN int sigaction(int sig, const struct sigaction *set, struct sigaction *old)
{
    struct sigaction was = on_alarm, ours;

    if (next_sigaction == NULL)
        find(&next_sigaction, "sigaction");
    if (sig != SIGALRM)
        return next_sigaction(sig, set, old);
    if (set != NULL) {
        ours = *set;
        if ((set->sa_flags & SA_SIGINFO) ||
            (set->sa_handler != SIG_DFL && set->sa_handler != SIG_IGN)) {
            ours.sa_sigaction = alarm_came;
            ours.sa_flags |= SA_SIGINFO;
        }
        on_alarm = *set;
        set = &ours;
    }
    if (next_sigaction(sig, set, NULL) != 0) {
        on_alarm = was;
        return -1;
    }
    if (old != NULL)
        *old = was;
    return 0;
}

/* ---------------------------------------------------------------------- the clock */

SHOWN int clock_gettime(clockid_t id, struct timespec *ts)
{
    int64_t us;

    if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
        return real_clock(id, ts);
    us = shown_us();
    ts->tv_sec = (time_t)(us / 1000000);
    ts->tv_nsec = (long)(us % 1000000) * 1000;
    return 0;
}

SHOWN int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    int64_t us = shown_us();

    (void)zone;
    tv->tv_sec = (time_t)(us / 1000000);
    tv->tv_usec = (suseconds_t)(us % 1000000);
    return 0;
}

SHOWN time_t time(time_t *to)
{
    time_t now = (time_t)(shown_us() / 1000000);

    if (to != NULL)
        *to = now;
    return now;
}
