/*
 * await.h - wait for a socket until a deadline, without setting a timer each time
 *
 * poll() with a timeout sets up a timer and takes it down again, and on a machine where that is the
 * only one there is the processor's own has to be set twice: some microseconds of each round trip.
 * Calls of a session have deadlines that only rise, so one timer is left running for an early one
 * of them.  When it fires in the midst of a call it is set to the deadline of that call; between
 * calls nobody listens to it.
 *
 * One for each connection, and one thread at a time; it starts as all zero.
 */
#ifndef KEDGE_KIT_AWAIT_H
#define KEDGE_KIT_AWAIT_H

#include <stdint.h>

struct kit_await {
    enum { KIT_NO_TIMER_YET, KIT_TIMER, KIT_NO_TIMER_EVER } has; /* the last: poll() times */
    int timer;                                                   /* a descriptor */
    int64_t fires; /* when, monotonic us; 0: it is not set */
};

/* Until FD has one of EVENTS of poll().  1: it has; 0: DEADLINE (monotonic us) is there; -1: errno.
   A deadline that has passed: it is looked at once. */
int kit_await(struct kit_await *a, int fd, short events, int64_t deadline);
void kit_await_fini(struct kit_await *a);

#endif
