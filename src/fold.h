/*
 * fold.h - inside of progress.h: the state of a run, and what its three parts share
 *
 * progress.c folds records and hands out actions, progress_request.c folds what people asked for,
 * progress_snapshot.c writes the state down and reads it back.  Nobody else includes this.
 */
#ifndef KEDGE_SRC_FOLD_H
#define KEDGE_SRC_FOLD_H

#include <kedge/run.h>

#include "progress.h"

#define NONE UINT32_MAX

/* Flags of a step. */
#define RUNNING 1u
#define DOUBT   2u
#define VALUE   4u   /* its record has a value */
#define LISTED  8u   /* in the list of what is ready */
#define HEAPED  16u  /* in the heap of what is delayed */
#define ODD     32u  /* counted in n_odd */
#define ORDERED 64u  /* is in order[] */
#define BLOCKED 128u /* not to be undone: what came after it could not be */

struct value {
    struct kedge_buf *buf;
    struct kedge_bytes bytes;
};

/* An error or a reason that may become the run's. */
struct ending {
    uint32_t step;   /* whose it is; NONE: nobody's */
    uint32_t known;  /* is its text here? */
    uint64_t record; /* that has the text; 0: there is no such ending */
    unsigned char *text;
    size_t len;
};

/* How far back the run has gone: failed and doubtful steps from the first on, then those done. */
struct cursor {
    uint32_t scan;
    uint32_t left; /* of order[] */
};

/* What led the run away from its course; several may hold. */
struct causes {
    unsigned char crash_loop; /* while going forward */
    unsigned char stuck;      /* a crash loop on the way back */
    unsigned char cancelled;  /* on request, or undone after its end */
    unsigned char paused;
    unsigned char overdue;
    unsigned char aside; /* a worker could make nothing of it */
    unsigned char abandoned;
};

struct kedge_progress {
    const struct kedge_host *host;
    const struct kedge_reactor *reactor;
    uint32_t n;
    enum kedge_phase phase;
    uint64_t position;
    uint64_t tail; /* bytes of records since the last snapshot */
    uint32_t n_running;
    uint32_t n_order;
    uint32_t n_heap;
    uint32_t n_odd;         /* steps that may need an entry in the second list */
    size_t list_size;       /* of the first list */
    uint32_t n_undo_failed; /* compensations as well */
    uint32_t head;          /* list of what is ready */
    uint32_t last;
    unsigned char settled; /* BACK, and a record says so: what was ready is dropped */
    unsigned char crashed; /* the last record is CRASH_LOOP: who takes it owes a DOUBT */
    struct causes why;
    uint32_t status; /* ENDED: how */
    uint32_t round;  /* how often it was retried from its end */
    int64_t deadline;
    struct cursor cursor;   /* in BACK */
    uint32_t back_step;     /* whose compensate or undo is delayed; NONE: nobody's */
    uint32_t back_failures; /* of that */
    int64_t back_until;
    struct ending failed;
    struct ending halted;
    struct ending undo;  /* of the first step in the table whose undo or compensate failed */
    struct ending asked; /* of the last request that ends the run */
    /* by step, but for order and heap */
    struct value *value;
    uint64_t *record;  /* of what finished it */
    int64_t *until;    /* UNDO_FAILED: number of the record that says so */
    uint32_t *missing; /* steps it comes after that are not done */
    uint32_t *needed;  /* steps that come after it and are not finished */
    uint32_t *failures;
    uint32_t *next; /* in the list */
    uint32_t *prev; /* in the list; in the heap: where */
    uint32_t *heap;
    uint32_t *order;      /* done and skipped steps, as their records came */
    unsigned char *state; /* enum kedge_step_state, without DROPPED */
    unsigned char *flags;
    unsigned char *steps; /* room for a DOUBT record */
};

/* A record that cannot be; ERR_CORRUPT. */
int kedge_fold_contradiction(const struct kedge_progress *p, uint64_t number,
                             const struct kedge_rec *rec, struct kedge_error *err, const char *why);

/* -- steps -- */
/* It is neither waiting for its turn nor running any more. */
void kedge_fold_take_out(struct kedge_progress *p, uint32_t step);
void kedge_fold_list(struct kedge_progress *p, uint32_t step);
void kedge_fold_heap(struct kedge_progress *p, uint32_t step);
void kedge_fold_set_ready(struct kedge_progress *p, uint32_t step);
void kedge_fold_set_odd(struct kedge_progress *p, uint32_t step);
/* It needs nobody's value any more. */
void kedge_fold_unneed(struct kedge_progress *p, uint32_t step);
/* It is done or skipped, and what comes after it may go on. */
void kedge_fold_finish(struct kedge_progress *p, uint32_t step, uint32_t state, uint64_t number);
/* The same, but for its entry's share of list_size. */
void kedge_fold_end(struct kedge_progress *p, uint32_t step, uint32_t state, uint64_t number);
/* All that holds before the first record. */
void kedge_fold_begin(struct kedge_progress *p);

/* -- the way back -- */
/* To the first step that has something to take back, from the beginning. */
void kedge_fold_rewind(struct kedge_progress *p);
int kedge_fold_keep_text(struct kedge_progress *p, struct ending *ending, uint64_t number,
                         const struct kedge_rec *rec, struct kedge_error *err);
void kedge_fold_drop_text(struct kedge_progress *p, struct ending *ending);

/* -- progress_request.c -- */
int kedge_fold_request(struct kedge_progress *p, uint64_t number, const struct kedge_rec *rec,
                       struct kedge_error *err);

/* -- progress_snapshot.c -- */
/* Bytes that entry I of the first list has. */
size_t kedge_fold_entry_size(const struct kedge_progress *p, uint32_t i);

#endif
