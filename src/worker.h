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

#include "asked.h"
#include "progress.h"

#define KEDGE_KEY_SIZE 64

/* A record on its way into the journal. */
struct kedge_out {
    struct kedge_out *next;
    struct kedge_buf *buf;
    struct kedge_rec rec; /* value and text borrow from buf, or from static text */
    int64_t took_us;
};

enum kedge_item_end {
    KEDGE_ITEM_STAY = 0,
    KEDGE_ITEM_DUE = 1,
    KEDGE_ITEM_REST = 2,
    KEDGE_ITEM_PARK = 3
};

/* Take, append, snapshot, set, release, and a cell for each request. */
#define KEDGE_ITEM_CHANGES 7

/* The commit of one run, as it will be sent, and sent again. */
struct kedge_item {
    struct kedge_guard guards[3]; /* the run, and a cell for each request that is taken up */
    size_t n_guards;
    struct kedge_change changes[KEDGE_ITEM_CHANGES];
    uint64_t results[KEDGE_ITEM_CHANGES];
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
    uint32_t clear; /* requests that are taken up with it */
    char cells[2][KEDGE_REQUEST_CELL_ROOM];
    bool hold; /* stamps hold_until */
    size_t bytes;
    bool doubt;    /* its answer never came, once at least */
    bool sealed;   /* guards and changes are set: only to be sent, as it is */
    bool reform;   /* its lease died: the same records under the one we have then */
    bool adopting; /* takes the run anew, under a new lease */
    bool urgent;   /* more than steps that went well: not to be held back */
};

struct kedge_inflight {
    struct kedge_inflight *next, **prev; /* all runs here */
    struct kedge_inflight *dirty_next;
    uint32_t refs; /* 1 while it is in the list, and one per step */
    bool dirty;    /* in the queue of runs that need a commit */
    bool sending;  /* its item is with the store */
    bool gone;     /* lost, left or ended */
    bool asked;    /* in the queue of runs with requests */
    bool named;    /* a record of it says who we are, under the lease it has */
    bool overdue;  /* its deadline has passed, and a record says so soon */
    bool crowded;  /* its steps leave the queues, and it is handed back */
    struct kedge_inflight *asked_next;
    uint32_t requests; /* to be taken up */
    uint32_t clear;    /* taken up; the next item says so */
    uint64_t cells[2]; /* versions of the cells that were read; 0: there was none */
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
    uint64_t read_bytes; /* when it was taken */
    struct kedge_id128 lease;
    atomic_bool naming;        /* a record that says so has been made, and may become the first */
    struct kedge_step *steps;  /* in flight */
    struct kedge_out *waiting; /* outcomes for the next item */
    struct kedge_out **waiting_end;
    struct kedge_item item;
    int64_t flushed;  /* when the last item became durable */
    int64_t patience; /* when to let go of it, as a function here is in its way */
    int64_t hold_us;  /* 0: its hold has no bound */
    int64_t held_until;
    int64_t wake_at; /* INT64_MAX: no timer */
};

struct kedge_kept {
    struct kedge_buf *buf; /* NULL: there is no such value */
    struct kedge_bytes value;
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
    /* 1: what it said is not to be tried again; for tests.  Whoever settles writes it, without the
       lock: not beside the flags above, of which the compiler may read several at once. */
    uint32_t final;
    /* run, once its time is over: the values it may have borrowed, by the step's `after' */
    struct kedge_kept *kept;
    int64_t started;
    int64_t deadline; /* lease clock, once it was called; INT64_MAX: none */
    char key[KEDGE_KEY_SIZE];
    /* Its time is over, or its run gone, and its function has not returned. */
    bool orphan;
    atomic_bool late; /* whatever it says now is ignored */
    struct kedge_step *orphan_next;
    int64_t patience; /* until when its run waits here for its return */
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
    bool *shut; /* of each: its queue is paused, as far as is known */
    size_t n_open;
    uint64_t queues_asked; /* counts looks at the paused queues; of two at a time */
    uint64_t queues_known; /* the one that began later counts */
    int64_t queues_at;     /* lease clock, when that began */
    bool queues_odd;       /* the list could not be understood, and that was said */
    char *queues;          /* their names, one after the other */
    char owner[256];
    bool has_pool;
    pid_t pid; /* whose it is; a child has a copy of its memory, and none of its threads */

    pthread_mutex_t lock;
    void *driver_session; /* whoever drives */
    void *keeper_session;
    bool driving;
    bool in_loop; /* a thread is in run, turn or drain: this one, in the function of a step */
    pthread_t loop_thread;
    const struct kedge_step *loop_step; /* or NULL */
    bool loop_sleeps;                   /* it waits in epoll */
    bool loop_told;                     /* the event descriptor is set */
    bool at_moment;                     /* kedge_moment_begin() */
    int64_t moment_now;
    int64_t moment_wall;
    int64_t loop_wakes; /* when it does so by itself; lease clock */
    bool waking;        /* a pool thread was signalled and has not come yet */
    bool draining;      /* wants to know when the last run has gone */
    bool closing;
    bool closed; /* all but its memory, as a step has not returned */
    atomic_bool stopping;
    atomic_bool given_up; /* its store is dead for good: nothing is waited for any more */
    bool lease_dead;
    bool renewed; /* its lease is not its first one */
    bool claim_hint;
    int64_t claim_at;   /* next due of what we serve, by the lease clock; INT64_MAX: none */
    int64_t claimed_at; /* when that was asked last, by the lease clock */
    int64_t retry_at;   /* the store was unavailable: not before */
    int64_t retry_wait;
    int64_t reconcile_at; /* when to compare what is held with what is here */
    bool told_unavailable;
    bool told_full;
    int64_t stop_seen; /* monotonic, when the loop learned that it is to stop; 0: not yet */

    /* A claim, or a grant, whose answer never came: sent again, as it is, before another. */
    struct kedge_claim claim;
    struct kedge_serve *claim_serves; /* of the claim, whatever is paused by the time it is sent */
    bool claim_doubt;
    struct kedge_id128 grant_id;
    struct kedge_id128 grant_request;
    bool grant_doubt;

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
    uint32_t n_pool_queue;
    struct kedge_step **slots;
    uint32_t n_slots;
    struct kedge_step *free_steps;
    uint32_t calls; /* step functions running now */
    struct kedge_inflight *asked;
    uint64_t attention; /* of the lease, as far as it was looked after */
    int64_t *holds;     /* of each reactor; 0: some step may take any time */
    int64_t claim_hold; /* the longest; 0 if one of them has none */

    pthread_cond_t pool_cond;
    pthread_t *pool;
    uint32_t n_pool;
    uint32_t pool_idle;
    int64_t pool_step_ns; /* what functions of steps of the pool took lately */
    uint64_t pool_taken;  /* steps */
    uint64_t pool_seen;   /* ... by who watched last */
    bool pool_watched;    /* there is one who looks again soon */

    pthread_t keeper;
    pthread_cond_t keeper_cond;
    int event_fd;
    int timer_fd;
    int64_t timer_at;   /* what it is set for, by next_time(); INT64_MAX: not set */
    int64_t timer_real; /* when it fires, monotonic */
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
/* Is this a child of the process that opened it?  Then ERR_INVALID is what there is to answer. */
bool kedge_worker_forked(const struct kedge_worker *w, struct kedge_error *err);
int64_t kedge_worker_now(const struct kedge_worker *w);  /* lease clock */
int64_t kedge_worker_wall(const struct kedge_worker *w); /* the store's wall clock, nearly */
/*
 * What is sealed into one batch, or answered by one, is so at one moment: the clocks are not read
 * again for each run.  Lock held from the one to the other; who lets go of it ends it before.
 */
void kedge_moment_begin(struct kedge_worker *w);
void kedge_moment_end(struct kedge_worker *w);
static inline int64_t kedge_moment_now(const struct kedge_worker *w)
{
    return w->at_moment ? w->moment_now : kedge_worker_now(w);
}
static inline int64_t kedge_moment_wall(const struct kedge_worker *w)
{
    return w->at_moment ? w->moment_wall : kedge_worker_wall(w);
}
void kedge_worker_random(struct kedge_worker *w, struct kedge_id128 *id);
/* For a commit of this worker, under the lease it has now. */
void kedge_worker_request(struct kedge_worker *w, struct kedge_id128 *id);
void kedge_worker_tell_loop(struct kedge_worker *w);
void kedge_worker_log(const struct kedge_worker *w, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The id of a run as it may be printed; answers BUF. */
#define KEDGE_ID_ROOM 72
const char *kedge_worker_id_text(struct kedge_bytes id, char buf[KEDGE_ID_ROOM]);
void kedge_worker_emit(struct kedge_worker *w, const struct kedge_event *event);
/* For tests: nothing comes of it any more, so drain() ends.  Any thread, lock held or not. */
void kedge_worker_give_up(struct kedge_worker *w);
/* Something is to be done at AT: wakes the loop if that is before it would look. */
void kedge_worker_timer(struct kedge_worker *w, int64_t at);

/* A step from a queue: called, unless its run has gone, or may have, or the worker ends. */
void kedge_worker_run_step(struct kedge_worker *w, struct kedge_step *step, int64_t now);
/* This thread will not look for a while: the loop must, for what ended here and for timers that
   were made while it sleeps. */
void kedge_worker_leave_to_loop(struct kedge_worker *w);

/* -- pool.c: lock held -- */
void kedge_pool_init(struct kedge_worker *w);
void kedge_pool_wake(struct kedge_worker *w);
void kedge_pool_learn(struct kedge_worker *w, int64_t took_us); /* by the function of a step */
struct kedge_step *kedge_pool_take(struct kedge_worker *w); /* from its queue, which is not empty */

/* -- step.c: lock held -- */
struct kedge_step *kedge_step_new(struct kedge_inflight *run, const struct kedge_action *action,
                                  struct kedge_worker *w);
/* Call its function (without the lock) and take what it said. */
void kedge_step_call(struct kedge_worker *w, struct kedge_step *step, int64_t now);
void kedge_step_free(struct kedge_worker *w, struct kedge_step *step);
void kedge_step_tell_stop(struct kedge_step *step);
void kedge_step_release_all(struct kedge_worker *w);
/* The steps of RUN whose time is over: told to stop, and a failed attempt as far as the run goes.
 */
void kedge_step_expire(struct kedge_worker *w, struct kedge_inflight *run, int64_t now);
/* Any thread, lock held or not.  The first one of a run says who we are. */
struct kedge_out *kedge_out_new(struct kedge_worker *w, struct kedge_inflight *run,
                                const struct kedge_rec *rec);
/* It turned out to be the first one: say it now.  ERR_NOMEM. */
int kedge_out_name(struct kedge_worker *w, struct kedge_out *out);
void kedge_out_free(struct kedge_worker *w, struct kedge_out *out);

static inline bool kedge_same_lease(const struct kedge_id128 *a, const struct kedge_id128 *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static inline int64_t kedge_min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline struct kedge_when kedge_in_us(int64_t us)
{
    return (struct kedge_when){ us, KEDGE_IN, 0 };
}

/* -- orphan.c: lock held -- */
/* The run goes on without STEP, whose function has not returned.  PATIENCE: until when it waits. */
void kedge_orphan_add(struct kedge_step *step, int64_t patience);
void kedge_orphan_returns(struct kedge_worker *w, struct kedge_step *step);
/* Must ACTION of RUN wait for a function of this process?  Then *PATIENCE says until when. */
bool kedge_orphan_in_the_way(const struct kedge_inflight *run, const struct kedge_action *action,
                             const struct kedge_worker *w, int64_t *patience);

/* -- item.c: lock held -- */
/* Is it time to say again how long the run may be held? */
bool kedge_item_wants_hold(const struct kedge_worker *w, const struct kedge_inflight *run);
void kedge_item_reset(struct kedge_worker *w, struct kedge_item *item);

/* -- inflight.c, item.c, answer.c, take.c: lock held -- */
void kedge_inflight_dirty(struct kedge_worker *w, struct kedge_inflight *run);
/* Start what may start; or see that a commit is made, if nothing can go on without one. */
void kedge_inflight_go_on(struct kedge_worker *w, struct kedge_inflight *run);
/* Put what ended into its item and seal it.  Answers false if nothing needs sending now. */
bool kedge_inflight_seal(struct kedge_worker *w, struct kedge_inflight *run);
/* The store's answer to its item.  May release the lock. */
void kedge_inflight_answered(struct kedge_worker *w, struct kedge_inflight *run, int outcome,
                             const struct kedge_answer *answer);
/* A step that was handed out did not take place: it is handed out again, in a second. */
void kedge_inflight_again(struct kedge_worker *w, struct kedge_inflight *run, uint32_t step);
/* Somebody else has it. */
void kedge_inflight_lost(struct kedge_worker *w, struct kedge_inflight *run, const char *why);
void kedge_inflight_drop(struct kedge_worker *w, struct kedge_inflight *run);
void kedge_inflight_unref(struct kedge_worker *w, struct kedge_inflight *run);
/* A run of ours that nobody who does as we do can go on with: stuck, with the reason in a record
   after all that is there.  Releases the lock; answers as a commit. */
int kedge_inflight_set_aside(struct kedge_worker *w, const struct kedge_run *head, const char *why);
/* Make runs from what a claim took.  Releases the lock while it reads. */
void kedge_inflight_take(struct kedge_worker *w, const struct kedge_run_page *page);

/* Set the timers of RUN, which may have been woken: none that is past, but for steps' deadlines. */
void kedge_inflight_timers(struct kedge_worker *w, struct kedge_inflight *run, int64_t wall);
/*
 * Is it half the time that RUN may be held, and none of its steps has found a thread yet?  Then
 * others may have one.  If nothing were done they would take it for one that hangs here.
 */
bool kedge_inflight_crowded(const struct kedge_worker *w, const struct kedge_inflight *run);
/* Wake RUN at AT, unless it is woken before. */
void kedge_inflight_timer(struct kedge_worker *w, struct kedge_inflight *run, int64_t at);

/* -- asked.c: lock held -- */
/* The store says so of a run held here. */
void kedge_asked_note(struct kedge_worker *w, struct kedge_inflight *run, uint32_t bits);
/* Read who asked for what, and why; by the driver, releases the lock meanwhile. */
void kedge_asked_take_up(struct kedge_worker *w);

/* -- reconcile.c: lock held, released around store calls; by the driver alone -- */
bool kedge_reconcile_wanted(const struct kedge_worker *w, int64_t now);
void kedge_reconcile(struct kedge_worker *w);
/* Something is held that nobody here knows of: look in DELAY_US at the latest. */
void kedge_reconcile_in(struct kedge_worker *w, int64_t delay_us);

/* -- drive.c: lock held, released around store calls -- */
bool kedge_drive_wanted(struct kedge_worker *w);
/* Has it room for more runs, and a queue to take them from? */
bool kedge_drive_room(const struct kedge_worker *w);
void kedge_drive(struct kedge_worker *w, bool is_loop);

/* -- keeper.c: no lock held -- */
/* ERR_UNKNOWN: the next call sends the same request again. */
int kedge_keeper_grant(struct kedge_worker *w, void *session, struct kedge_error *err);
int kedge_keeper_extend(struct kedge_worker *w, void *session);
/* Read which queues are paused: no run of those is claimed from then on.  What cannot be understood
   changes nothing, and is ERR_CORRUPT or ERR_SCHEMA_NEW. */
int kedge_keeper_queues(struct kedge_worker *w, void *session, struct kedge_error *err);
/* Look after other workers, and at the paused queues.  Answers when to look again at the latest, in
 * us. */
int64_t kedge_keeper_look(struct kedge_worker *w, void *session);
void *kedge_keeper_main(void *worker);

#endif
