/*
 * space.h - a namespace in memory: its tables, and the one step at a time that may look at them
 */
#ifndef KEDGE_MEM_SPACE_H
#define KEDGE_MEM_SPACE_H

#include <pthread.h>
#include <sys/types.h>

#include "../kit/rules.h"
#include "table.h"

/* What hangs on an incarnation and is not in the head. */
struct mem_body {
    struct mem_obj obj;
    uint64_t incarnation;
    struct mem_index record_ix[1]; /* by number */
    struct mem_index set_ix[1];    /* by set */
    struct mem_index slot_ix[1];   /* by set, index */
    struct mem_index snapshot_ix[1];
    struct mem_table records, sets, slots, snapshot;
};

struct mem_run {
    struct mem_obj obj;
    struct kit_run k; /* what depends on the journal's length is derived on reading */
    struct mem_body *body;
    struct kedge_mem *mem;
};

/* A record, a slot value, a snapshot. */
struct mem_value {
    struct mem_obj obj;
    uint64_t number; /* of the record; set << 32 | index of the slot; 0 */
    struct kedge_id128 request;
    int64_t time;
    struct kedge_bytes data;
};

struct mem_set {
    struct mem_obj obj;
    uint32_t set;
    struct kit_slots slots;
};

struct mem_lease {
    struct mem_obj obj;
    struct kit_lease k;
    struct kedge_mem *mem;
};

struct mem_cell {
    struct mem_obj obj;
    struct kedge_bytes name;
    struct kit_cell k;
    struct kedge_mem *mem;
};

struct mem_lock {
    struct mem_obj obj;
    struct kedge_bytes name;
    struct kit_lock k;
    struct kedge_mem *mem;
};

enum { RUN_BY_ID, RUN_BY_AGE, RUN_BY_WORK, RUN_BY_HOLDER, RUN_BY_HOLD, RUN_BY_EXPIRES, RUN_N };
enum { CELL_BY_NAME, CELL_BY_EXPIRES, CELL_N };
enum { LOCK_BY_NAME, LOCK_BY_LEASE, LOCK_N };

struct mem_space {
    struct mem_space *next; /* in the registry; private ones are not there */
    size_t opens;
    const struct kedge_host *host; /* of the data */
    struct kedge_bytes name, ns;
    struct kedge_mem *mem;

    pthread_mutex_t lock; /* for all that follows */
    pthread_cond_t changed;
    uint64_t ticket;
    uint64_t fence;         /* last issued */
    int64_t now_wall;       /* of this step */
    int64_t lease_clock;    /* last seen */
    struct mem_hint *hints; /* of handles that are open, and of those leases still name */
    uint64_t hint_last;
    int64_t mass_since; /* kit_hints_mass */
    struct kit_scratch *scratch;
    struct mem_log log;
    struct mem_index run_ix[RUN_N];
    struct mem_index doomed_ix[1]; /* bodies whose head is gone, for purge */
    struct mem_index lease_ix[1];
    struct mem_index cell_ix[CELL_N];
    struct mem_index lock_ix[LOCK_N];
    struct mem_table runs, doomed, leases, cells, locks;
};

struct mem_handle {
    const struct kedge_host *host;
    struct mem_space *space;
    uint64_t hint; /* 0: its leases have none */
    pid_t pid;
};
struct mem_session {
    struct mem_handle *handle;
};

extern const struct kedge_limits mem_limits;
extern const struct kit_store mem_kit;

/* NULL: no memory. */
struct mem_space *mem_space_new(const struct kedge_host *host, struct kedge_bytes name,
                                struct kedge_bytes ns);
void mem_space_free(struct mem_space *space);

/*
 * One exclusive step.  begin: OK, or why not (then there is no step).  end: RC is what came of it;
 * negative undoes all since begin.  Answers RC and sees to the message.
 */
int mem_begin(struct mem_session *session, struct kit_step *step, int64_t timeout_us,
              struct kedge_error *err);
int mem_end(struct kit_step *step, int rc, struct kedge_error *err);

/* Lookups inside a step; NULL: not there (or expired, where that can be). */
struct mem_run *mem_run_any(struct mem_space *space, struct kedge_bytes id); /* expired, too */
struct mem_run *mem_run_find(struct mem_space *space, struct kedge_bytes id, uint64_t incarnation);
struct mem_lease *mem_lease_find(struct mem_space *space, const struct kedge_id128 *id);
struct mem_set *mem_set_find(struct mem_body *body, uint32_t set);
/* First run of the holder in RUN_BY_HOLDER whose id is > AFTER (empty: the first). */
size_t mem_held_from(struct mem_space *space, const struct kedge_id128 *holder,
                     struct kedge_bytes after);
size_t mem_locks_from(struct mem_space *space, const struct kedge_id128 *holder,
                      struct kedge_bytes after);
/* The run at a place of an index, brought up to date; NULL behind the end. */
struct mem_run *mem_run_at(struct mem_space *space, int order, size_t at);

int mem_lease_put(struct mem_space *space, const struct kit_lease *lease);

/* hint.c.  open: 0, there is no memory; takes the mutex, as close does. */
uint64_t mem_hint_open(struct mem_space *space);
void mem_hint_close(struct mem_space *space, uint64_t id);
void mem_hints_free(struct mem_space *space);
/* Inside a step: KEDGE_HINT_..., and for how long it has been absent. */
uint32_t mem_hint_look(const struct mem_space *space, const struct kit_lease *lease,
                       int64_t *absent_us);
void mem_suspect(struct mem_space *space, const struct kit_lease *lease, struct kit_suspicion *out);

/* read.c */
int mem_retrieve(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                 int64_t timeout_us, struct kedge_error *err);
int mem_retrieve_records(void *session, struct kedge_bytes id, uint64_t incarnation, uint64_t first,
                         size_t limit, size_t bytes_max, struct kedge_record_page *out,
                         int64_t timeout_us, struct kedge_error *err);
int mem_retrieve_slots(void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
                       uint32_t first, size_t limit, struct kedge_slot_page *out,
                       int64_t timeout_us, struct kedge_error *err);
int mem_list_expired(void *session, struct kedge_bytes cursor, size_t limit,
                     struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err);
int mem_list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
             int64_t timeout_us, struct kedge_error *err);
int mem_list_held(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                  size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                  struct kedge_error *err);
int mem_lease_list(void *session, struct kedge_bytes cursor, size_t limit,
                   struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err);
int mem_cell_get(void *session, struct kedge_bytes name, struct kedge_cell *out, int64_t timeout_us,
                 struct kedge_error *err);
int mem_check_limit(size_t limit, struct kedge_error *err);

/* upkeep.c */
int mem_purge(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
              struct kedge_error *err);
int mem_verify(void *session, struct kedge_verified *out, int64_t timeout_us,
               struct kedge_error *err);

#endif
