/* inspect.h - what the parts of the test of inspection share, beyond requests.h */
#ifndef KEDGE_TESTS_INSPECT_H
#define KEDGE_TESTS_INSPECT_H

#include "requests.h"

/* A worker of all but "bystander", in a thread, that calls itself LABEL; FULL becomes its label
   with host and pid, as the store has it. */
void hire_named(struct crew *crew, const char *label, char full[300]);
/* One that is open and claims nothing: of REACTOR, from QUEUE (NULL: the usual one). */
struct kedge_worker *idle(const struct kedge_reactor *reactor, const char *queue);
/* "host:pid" of this process. */
const char *program(void);

/* A process whose worker is in step `b' of ID, with a lease of a second.  LMDB only. */
pid_t busy(const char *id);
/* Stop it, and wait until its lease has lapsed; kill it, as by kill -9. */
void freeze(pid_t pid);
void put_down(pid_t pid);
/* A worker takes ID and dies in step `b', once MEANWHILE (or NULL) has returned.  Its lease is
   short: where nobody sees that its process is gone, it lapses soon. */
void lose(const char *id, void (*meanwhile)(const char *id));

/* The state of the worker that calls itself so; 0: there is none. */
uint32_t worker_state(const char *full);
void purge_all(void);

void cases_ended(void);
void cases_stuck_why(void);
void cases_waiting(void);
void cases_carried(void);
void cases_lost(void);
void cases_unserved_why(void);
void cases_odd(void);
void cases_overdue(void);
void cases_workers(void);
void cases_locks(void);
void cases_journal(void);
void cases_writers(void);

#endif
