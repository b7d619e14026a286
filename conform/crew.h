/*
 * crew.h - several processes at work on one store, what is done to them, and what they write down
 *
 * A member is a process with a store of its own.  Each of its calls is an event in a log in shared
 * memory: it is there, in doubt, before the call, and completed after it, so that a member may be
 * killed or stopped at any instant.  Leases have numbers, under which they are known to all.
 *
 *   struct crew *c = crew_new(w, 8, body, 0);
 *
 *   crew_start(c);              all run body(m) at once
 *   crew_end(c);                tell them to come to an end, and wait
 *   crew_judge(c, CREW_LINEAR); is what they wrote down sound?
 */
#ifndef KEDGE_CONFORM_CREW_H
#define KEDGE_CONFORM_CREW_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "cases.h"
#include "check.h"

#define CREW_MAX    16
#define CREW_EVENTS 6000 /* of one member */
#define CREW_LEASES 4096
#define CREW_FLAGS  8

struct crew;

struct member {
    struct world w;
    struct crew *crew;
    uint32_t number;
    uint32_t life;  /* how often this place was filled before */
    uint64_t owner; /* the number of its lease; 0: it has none */
    struct kedge_id128 lease;
    uint64_t epoch;
    int64_t now_from;
};

typedef void member_fn(struct member *m);

struct crew_log {
    _Atomic uint64_t n;
    _Atomic uint64_t owner; /* the number of its present lease */
    struct history_event events[CREW_EVENTS];
};

/* Seen by all of them. */
struct crew_board {
    _Atomic uint32_t ready;
    _Atomic uint32_t go;
    _Atomic uint32_t stop;
    _Atomic uint64_t epoch;            /* rises when the clock was moved */
    _Atomic uint64_t owners;           /* numbers given so far */
    _Atomic uint64_t flag[CREW_FLAGS]; /* the case's own */
    struct kedge_id128 leases[CREW_LEASES];
    struct crew_log logs[CREW_MAX + 1]; /* the last is that of the case itself */
};

struct crew {
    struct world *w;
    struct crew_board *board;
    member_fn *body;
    pid_t pids[CREW_MAX]; /* 0: none */
    uint32_t lives[CREW_MAX];
    uint32_t n;
    int64_t ttl;
    bool timed; /* time stands still but for crew_advance: it is written down */
};

struct crew *crew_new(struct world *w, uint32_t n, member_fn *body, int64_t ttl);
void crew_start(struct crew *c);
void crew_end(struct crew *c);
/* Another process in place of one that was killed. */
void crew_replace(struct crew *c, uint32_t i);
/* kill -9.  false: it had ended by itself. */
bool crew_kill(struct crew *c, uint32_t i);
/* SIGSTOP, and seen to be stopped; false: it had ended. */
bool crew_freeze(struct crew *c, uint32_t i);
void crew_thaw(struct crew *c, uint32_t i);
/*
 * Threads of M's process, with a session each of its store: N of them, who are members of their
 * own, numbered from FIRST on, and do BODY, until crew_join.
 */
struct crew_threads *crew_threads(struct member *m, uint32_t first, uint32_t n, member_fn *body);
void crew_join(struct crew_threads *t);
/* For crews of which each member is told what to do: wait until flag F is VALUE or above. */
void crew_await(struct crew *c, uint32_t f, uint64_t value);
void crew_advance(struct crew *c, int64_t us);
bool crew_moves_time(const struct crew *c);
/* Let US pass: by moving the clock, where that can be done, else by waiting. */
void crew_pass(struct crew *c, int64_t us);
bool crew_stopped(const struct member *m);
/* How long a durable write takes here, at worst of some dozens. */
int64_t crew_latency(struct world *w);
/* The case itself as one more member, which may do what members do. */
struct member crew_self(struct crew *c);

/* Which checkers; one that finds something fails the case. */
#define CREW_LINEAR    1u
#define CREW_INTERVALS 2u
#define CREW_FENCES    4u
#define CREW_CONSERVED 8u
#define CREW_DRAINED   16u
#define CREW_UNTIMED   (CREW_LINEAR | CREW_FENCES | CREW_CONSERVED)
struct history crew_history(struct crew *c);
void crew_judge(struct crew *c, uint32_t checkers);
/* Fewer calls than this say too little: inconclusive. */
void crew_expect_calls(const struct history *h, uint64_t least);

/* ---------------------------------------------------------- what members do */

/* Each is one event and answers what the store did.  Events about a lease are the member's own. */
int m_grant(struct member *m, int64_t ttl); /* also makes it the member's lease */
int m_extend(struct member *m);
int m_revoke(struct member *m);
int m_bury(struct member *m, uint64_t owner);
/* HELD: *HOLDER has the holder's number, 0 if it is none of the crew's.  It may be NULL. */
int m_acquire(struct member *m, const char *lock, uint64_t *fence, uint64_t *holder);
int m_check(struct member *m, const char *lock, uint64_t fence);
int m_release(struct member *m, const char *lock, uint64_t fence);
int m_query(struct member *m, const char *lock);
int m_get(struct member *m, const char *cell, uint64_t *version, uint64_t *value);
int m_put(struct member *m, const char *cell, uint64_t seen, uint64_t value);
int m_create(struct member *m, const char *run);
/* The runs are in *PAGE until world_forget. */
int m_claim(struct member *m, size_t limit, struct kedge_run_page *page);
int m_take(struct member *m, const char *run, uint64_t *fence, uint64_t *position);
/* Append record NUMBER (0: none) and hold on to the run, yield it, or put it to rest. */
int m_commit(struct member *m, const char *run, uint64_t fence, uint64_t number,
             enum history_op what);
int m_read(struct member *m, const char *run);
/* A new event, in doubt; and its end. */
struct history_event *m_begin(struct member *m, uint32_t op, const char *key);
int m_end(struct member *m, struct history_event *e, int rc);

#endif
