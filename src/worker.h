/*
 * worker.h - inside a worker: runs in flight, steps in flight, who may do what
 *
 * One lock guards everything here.  It is never held while the store is called, nor while a
 * step's function runs.
 *
 * Threads and roles.  The loop thread is the one in run, turn or drain; it runs the steps on the
 * loop.  Pool threads run the others.  Whoever of them has nothing to run and finds the driver's
 * seat free drives: it takes what has ended into one batch, flushes it, and lets the runs go on.
 * So a lone run's pool thread commits and goes on by itself, and no thread is woken to do what the
 * one at hand can do.  The keeper extends the lease, looks after other workers, and listens.
 *
 * Life of a run here:
 *
 *      claim --> taken --> [ steps in flight | outcomes waiting | item in a batch ] --> gone
 *
 *   1. An outcome is applied to `progress' when it is put into the item, and the steps it sets free
 *      start when the item is durable (or is held back by checkpoint_min_interval_us).
 *   2. One item per run at a time; an item in doubt is sent again with the same bytes.
 *   3. A run that is lost, or ended, lives on until its last step function has returned (`refs').
 */
#ifndef KEDGE_SRC_WORKER_H
#define KEDGE_SRC_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <kedge/backend.h>
#include <kedge/run.h>
#include <kedge/store.h>
#include <kedge/worker.h>

#include "progress.h"

#define KEDGE_KEY_SIZE 64

/* A record on its way into the journal. */
struct kedge_out {
    struct kedge_out *next;
    struct kedge_buf *buf;
    struct kedge_rec rec; /* value and text borrow from buf, or from static text */
    int64_t took_us;
};

enum kedge_item_end { KEDGE_ITEM_STAY = 0, KEDGE_ITEM_DUE = 1, KEDGE_ITEM_REST = 2 };

/* The commit of one run, as it will be sent, and sent again. */
struct kedge_item {
    struct kedge_guard guard;
    struct kedge_change changes[5];
    uint64_t results[5];
    size_t n_changes;
    struct kedge_bytes *records;
    size_t n_records;
    size_t max_records;
    struct kedge_out *outs; /* the records, in order */
    struct kedge_out **outs_end;
    struct kedge_id128 request;
    unsigned char *snapshot;
    enum kedge_item_end end;
    uint32_t rest_status;
    int64_t due_in;
    size_t bytes;
    bool sealed;   /* guards and changes are set: only to be sent, as it is */
    bool reform;   /* its lease died: the same records under the one we have then */
    bool adopting; /* takes the run anew, under a new lease */
};

struct kedge_inflight {
    struct kedge_inflight *next, **prev; /* all runs here */
    struct kedge_inflight *dirty_next;
    uint32_t refs; /* 1 while it is in the list, and one per step */
    bool dirty;    /* in the queue of runs that need a commit */
    bool sending;  /* its item is with the store */
    bool gone;     /* lost, left or ended */
    struct kedge_reactor *reactor;
    struct kedge_progress *progress;
    struct kedge_bytes id;
    struct kedge_bytes context;
    struct kedge_bytes input;
    struct kedge_buf *input_buf;
    uint64_t incarnation;
    uint64_t fence;
    uint64_t revision;
    uint64_t position; /* of the last record that was put into an item */
    uint32_t status;
    struct kedge_id128 lease;
    struct kedge_step *steps;  /* in flight */
    struct kedge_out *waiting; /* outcomes for the next item */
    struct kedge_out **waiting_end;
    struct kedge_item item;
    int64_t flushed; /* when the last item became durable */
    int64_t wake_at; /* INT64_MAX: no timer */
};

/* Where the outcome of a step stands. */
enum { STEP_OPEN = 0, STEP_SETTLING = 1, STEP_SETTLED = 2 };

struct kedge_step {
    struct kedge_view view;
    struct kedge_worker *worker;
    struct kedge_inflight *run;
    struct kedge_step *next;     /* in a queue */
    struct kedge_step *run_next; /* of the same run */
    struct kedge_step *free_next;
    uint32_t slot;
    uint32_t generation;
    uint32_t index;
    atomic_int settled; /* STEP_... */
    atomic_int stop;
    atomic_int stop_fd; /* -1: none */
    bool live;
    bool called; /* its function is running */
    bool later;
    struct kedge_out *out;
    /* compensate and undo: the values they may ask for, read from the journal */
    struct kedge_record_page *pages;
    uint32_t n_pages;
    int64_t started;
    char key[KEDGE_KEY_SIZE];
};

struct kedge_worker {
    struct kedge_store *store;
    const struct kedge_backend_ops *ops;
    const struct kedge_host *host;
    struct kedge_limits limits;
    struct kedge_worker_options options; /* defaults filled in */
    struct kedge_reactor **reactors;
    struct kedge_serve *serves;
    size_t n_serves;
    char *queues; /* their names, one after the other */
    char owner[256];
    bool has_pool;

    pthread_mutex_t lock;
    void *driver_session; /* whoever drives */
    void *keeper_session;
    bool driving;
    bool in_loop;       /* a thread is in run, turn or drain */
    bool loop_sleeps;   /* it waits in epoll */
    int64_t loop_wakes; /* and wakes by itself then */
    bool loop_told;     /* the event descriptor is set */
    bool waking;        /* a pool thread was signalled and has not come yet */
    bool draining;      /* wants to know when the last run has gone */
    bool closing;
    atomic_bool stopping;
    bool lease_dead;
    bool claim_hint;
    int64_t claim_at; /* next due of what we serve, by the lease clock; INT64_MAX: none */
    int64_t retry_at; /* the store was unavailable: not before */
    int64_t retry_wait;
    bool told_unavailable;

    struct kedge_id128 lease;
    int64_t extended; /* lease clock, when it was last extended */
    int64_t skew;     /* the store's wall clock less ours */

    struct kedge_inflight *runs;
    uint32_t n_runs;
    struct kedge_inflight *dirty;
    struct kedge_inflight **dirty_end;
    uint32_t n_dirty;
    int64_t dirty_since;
    int64_t next_timer;

    struct kedge_step *loop_queue, **loop_end;
    struct kedge_step *pool_queue, **pool_end;
    struct kedge_step **slots;
    uint32_t n_slots;
    struct kedge_step *free_steps;
    uint32_t calls; /* step functions running now */

    pthread_cond_t pool_cond;
    pthread_t *pool;
    uint32_t n_pool;
    uint32_t pool_idle;

    pthread_t keeper;
    pthread_cond_t keeper_cond;
    int event_fd;
    int timer_fd;
    int epoll_fd;
    pthread_mutex_t observe_lock;

    uint64_t random;
    struct kedge_counts stats;

    /* room for one batch */
    struct kedge_commit *commits;
    struct kedge_answer *answers;
    struct kedge_inflight **batch;
};

/* -- worker.c -- */
int64_t kedge_worker_now(const struct kedge_worker *w);  /* lease clock */
int64_t kedge_worker_wall(const struct kedge_worker *w); /* the store's wall clock, nearly */
void kedge_worker_random(struct kedge_worker *w, struct kedge_id128 *id);
void kedge_worker_tell_loop(struct kedge_worker *w);
/* Another thread than the loop's has set a time: tell the loop, if it means to sleep past it. */
void kedge_worker_tell_time(struct kedge_worker *w);
void kedge_worker_wake_pool(struct kedge_worker *w);
void kedge_worker_log(const struct kedge_worker *w, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void kedge_worker_emit(struct kedge_worker *w, const struct kedge_event *event);

/* -- step.c: lock held -- */
struct kedge_step *kedge_step_new(struct kedge_inflight *run, const struct kedge_action *action,
                                  struct kedge_worker *w);
/* Call its function (without the lock) and take what it said. */
void kedge_step_call(struct kedge_worker *w, struct kedge_step *step);
void kedge_step_free(struct kedge_worker *w, struct kedge_step *step);
void kedge_step_tell_stop(struct kedge_step *step);
void kedge_step_release_all(struct kedge_worker *w);
struct kedge_out *kedge_out_new(struct kedge_worker *w, const struct kedge_rec *rec);
void kedge_out_free(struct kedge_worker *w, struct kedge_out *out);

/* -- inflight.c: lock held -- */
void kedge_inflight_dirty(struct kedge_worker *w, struct kedge_inflight *run);
/* Start what may start; or see that a commit is made, if nothing can go on without one. */
void kedge_inflight_go_on(struct kedge_worker *w, struct kedge_inflight *run);
/* Put what ended into its item and seal it.  Answers false if nothing needs sending now. */
bool kedge_inflight_seal(struct kedge_worker *w, struct kedge_inflight *run);
/* The store's answer to its item. */
void kedge_inflight_answered(struct kedge_worker *w, struct kedge_inflight *run, int outcome,
                             const struct kedge_answer *answer);
/* A step that was handed out did not take place: it is handed out again, in a second. */
void kedge_inflight_again(struct kedge_worker *w, struct kedge_inflight *run, uint32_t step);
void kedge_inflight_drop(struct kedge_worker *w, struct kedge_inflight *run);
void kedge_inflight_unref(struct kedge_worker *w, struct kedge_inflight *run);
/* Make runs from what a claim took.  Releases the lock while it reads. */
void kedge_inflight_take(struct kedge_worker *w, const struct kedge_run_page *page);

/* -- drive.c: lock held, released around store calls -- */
bool kedge_drive_wanted(struct kedge_worker *w);
void kedge_drive(struct kedge_worker *w, bool is_loop);

/* -- keeper.c: no lock held -- */
int kedge_keeper_grant(struct kedge_worker *w, void *session, struct kedge_error *err);
int kedge_keeper_extend(struct kedge_worker *w, void *session);
/* Look after other workers.  Answers when to look again at the latest, in us. */
int64_t kedge_keeper_look(struct kedge_worker *w, void *session);
void *kedge_keeper_main(void *worker);

#endif
