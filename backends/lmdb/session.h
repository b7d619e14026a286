/*
 * session.h - the handles behind the vtable, and what its operations share
 *
 *   I1  A store handle is one user of an environment; a session has a read transaction of its own,
 *       reset between operations.
 *   I2  An operation checks its arguments, then for a fork, then works.
 */
#ifndef KEDGE_LMDB_SESSION_H
#define KEDGE_LMDB_SESSION_H

#include "hint.h"
#include "writer.h"

#define LM_STORE_MAGIC   0x6b73746fu
#define LM_SESSION_MAGIC 0x6b736573u

struct lm_store {
    uint32_t magic;
    const struct kedge_host *host;
    struct lm_env *env;
};

struct lm_session {
    uint32_t magic;
    struct lm_store *store;
    const struct kedge_host *host;
    struct lm_env *env;
    MDB_txn *txn; /* reset; NULL before the first read */
};

extern const struct kedge_limits lm_limits;

/* Session alive, timeout sensible, no fork. */
int lm_enter(struct lm_session *s, int64_t timeout_us, struct kedge_error *err);

/* A read transaction and the moment it is about. */
struct lm_read {
    struct lm_view v;
    MDB_cursor *journal; /* opened by lm_read_journal */
    int64_t now_wall;
    int64_t now_lease;
};
int lm_read_open(struct lm_session *s, struct lm_read *r, struct kedge_error *err);
void lm_read_close(struct lm_session *s, struct lm_read *r);
int lm_read_journal(struct lm_read *r, MDB_cursor **out);

/* A sentence for a status that came without one; positive ones and OK pass through. */
int lm_say(struct lm_session *s, int rc, const char *what, struct kedge_error *err);

/*
 * A job of one unit that owns its arguments from the start (`mem' is its arena).  BODY answers a
 * status that stands, or a negative one: then nothing of it is written.
 */
struct lm_small {
    struct lm_job job;
    struct lm_session *s; /* not to be touched by BODY: the session may be gone */
    struct lm_env *env;
    const struct kedge_host *host;
    struct kedge_mem *mem;
    int (*body)(struct lm_step *step, struct lm_small *small);
    int rc;
    struct kedge_error err;
};
/* SIZE bytes with a struct lm_small in front, zeroed.  NULL: no memory. */
void *lm_small_new(struct lm_session *s, size_t size,
                   int (*body)(struct lm_step *step, struct lm_small *small));
/* Its status.  *left: it is not the caller's any more; else end it with lm_job_free. */
int lm_small_submit(struct lm_small *small, int64_t timeout_us, bool *left,
                    struct kedge_error *err);

/* A cursor of a list, as bytes in MEM. */
bool lm_cursor_out(const struct kedge_host *host, struct kedge_mem **mem, const struct lm_key *key,
                   struct kedge_bytes *out);

/* What the store knows of a lease, for a burial.  Looks at the hint (of all, when it is absent). */
int lm_suspect(const struct lm_view *v, const struct kit_lease *lease, struct kit_suspicion *out);

/* The operations, by file. */
int lm_commit(void *session, const struct kedge_commit *commits, size_t n,
              struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err);
int lm_claim(void *session, const struct kedge_claim *in, struct kedge_run_page *out,
             int64_t timeout_us, struct kedge_error *err);

int lm_lease_grant(void *session, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                   int64_t timeout_us, struct kedge_error *err);
int lm_lease_extend(void *session, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                    int64_t timeout_us, struct kedge_error *err);
int lm_lease_revoke(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                    struct kedge_error *err);
int lm_lease_bury(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                  struct kedge_error *err);
int lm_lease_list(void *session, struct kedge_bytes cursor, size_t limit,
                  struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err);
int lm_list_held(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                 size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                 struct kedge_error *err);
int lm_lock_acquire(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                    const struct kedge_id128 *request, struct kedge_lock_state *out,
                    int64_t timeout_us, struct kedge_error *err);
int lm_lock_extend(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                   uint64_t fence, struct kedge_lock_state *out, int64_t timeout_us,
                   struct kedge_error *err);
int lm_lock_release(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                    uint64_t fence, int64_t timeout_us, struct kedge_error *err);
int lm_lock_query(void *session, struct kedge_bytes name, struct kedge_lock_state *out,
                  int64_t timeout_us, struct kedge_error *err);

int lm_retrieve(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                int64_t timeout_us, struct kedge_error *err);
int lm_retrieve_records(void *session, struct kedge_bytes id, uint64_t incarnation, uint64_t first,
                        size_t limit, size_t bytes_max, struct kedge_record_page *out,
                        int64_t timeout_us, struct kedge_error *err);
int lm_retrieve_slots(void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
                      uint32_t first, size_t limit, struct kedge_slot_page *out, int64_t timeout_us,
                      struct kedge_error *err);
int lm_cell_get(void *session, struct kedge_bytes name, struct kedge_cell *out, int64_t timeout_us,
                struct kedge_error *err);

int lm_list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
            int64_t timeout_us, struct kedge_error *err);
int lm_list_expired(void *session, struct kedge_bytes cursor, size_t limit,
                    struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err);

int lm_purge(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
             struct kedge_error *err);
int lm_verify(void *session, struct kedge_verified *out, int64_t timeout_us,
              struct kedge_error *err);
int lm_info(void *session, struct kedge_info *out, int64_t timeout_us, struct kedge_error *err);

#endif
