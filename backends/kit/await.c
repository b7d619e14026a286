/* await.c - see await.h */
#ifndef _GNU_SOURCE
#    define _GNU_SOURCE 1 /* clocks, timers */
#endif

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include <sys/timerfd.h>

#include "await.h"

/* poll() takes milliseconds in an int. */
#define MOST_MS 1000000000

static int64_t mono_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Is there a timer that fires at DEADLINE at the latest? */
static bool armed(struct kit_await *a, int64_t deadline)
{
    struct itimerspec when = { .it_value = { (time_t)(deadline / 1000000),
                                             (long)(deadline % 1000000) * 1000 } };

    if (a->has == KIT_NO_TIMER_EVER || (a->fires != 0 && a->fires <= deadline))
        return a->has == KIT_TIMER;
    if (a->has == KIT_NO_TIMER_YET) {
        a->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        a->has = a->timer < 0 ? KIT_NO_TIMER_EVER : KIT_TIMER;
    }
    if (a->has == KIT_TIMER && timerfd_settime(a->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0) {
        a->fires = deadline;
        return true;
    }
    kit_await_fini(a);
    a->has = KIT_NO_TIMER_EVER;
    return false;
}

/* 1: the descriptor; 0: the timer, which may be that of an earlier call. */
static int either(struct kit_await *a, int fd, short events)
{
    struct pollfd p[2] = { { .fd = fd, .events = events }, { .fd = a->timer, .events = POLLIN } };
    int rc = poll(p, 2, -1);
    uint64_t count;

    if (rc <= 0)
        return rc;
    if (p[1].revents != 0) {
        (void)!read(a->timer, &count, sizeof count); /* and it is quiet */
        a->fires = 0;
    }
    return p[0].revents != 0;
}

static int timed(int fd, short events, int64_t left_us)
{
    struct pollfd p = { .fd = fd, .events = events };
    int64_t ms = (left_us + 999) / 1000;

    return poll(&p, 1, ms > MOST_MS ? MOST_MS : (int)ms);
}

int kit_await(struct kit_await *a, int fd, short events, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - mono_us();
        int rc = left > 0 && armed(a, deadline) ? either(a, fd, events)
                                                : timed(fd, events, left > 0 ? left : 0);

        if (rc > 0)
            return 1;
        if (rc < 0 && errno != EINTR)
            return -1;
        if (left <= 0)
            return 0;
    }
}

void kit_await_fini(struct kit_await *a)
{
    if (a->has == KIT_TIMER)
        (void)close(a->timer);
    a->has = KIT_NO_TIMER_YET;
    a->fires = 0;
}
