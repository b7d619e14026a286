/*
 * session.h - the handles behind the vtable, and what operations share
 *
 *   I1  A session has a connection of its own, made when it is first needed and again when it
 * broke. The store has one more, which carries what keeps leases alive: its number is their crash
 *       hint (hints.c).
 *   I2  An operation checks its arguments, then for a fork, then works; it makes no write under a
 *       namespace other than the one it was opened on, also when that was dropped and made anew.
 *   I3  A call that only reads is made once more when a connection broke; one that writes never is:
 *       nothing was sent (ERR_UNAVAILABLE), or it may have been carried out (ERR_UNKNOWN).
 */
#ifndef KEDGE_REDIS_SESSION_H
#define KEDGE_REDIS_SESSION_H

#include <errno.h>
#include <pthread.h>
#include <sys/types.h>

#include "../kit/moment.h"
#include "keys.h"
#include "scripts.h"

#define RD_META_SIZE 96u
#define RD_CAPS                                                                                    \
    (KEDGE_CAP_SHARED | KEDGE_CAP_HINT | KEDGE_CAP_SERVER_CLOCK | KEDGE_CAP_FENCE_VOLATILE)

struct rd_hints;

/*
 * A script with its keys and arguments, which are gathered side by side.  What is gathered is
 * borrowed, or of the arena.
 */
struct rd_list {
    struct kedge_bytes *items;
    size_t n;
    size_t room;
};

/* A connection with what it takes to have it again. */
struct rd_link {
    struct rd_store *store;
    struct rd_conn conn;
    int64_t retry_at; /* not to be tried before, monotonic */
    uint32_t failures;
};

struct rd_store {
    const struct kedge_host *host;
    struct rd_params params;
    pid_t pid;
    char meta[RD_META_SIZE]; /* what the schema record says */
    struct rd_script scripts[RD_SCRIPTS];
    struct kit_moment moment;
    pthread_mutex_t lock; /* over `at' and the hints' tables */
    struct rd_host at;    /* where the last connection led */
    bool at_known;
    struct rd_hints *hints;
};

/*
 * What this session knows of the lease it works under.  An epoch is how long nobody else has
 * written the head of a run that the lease holds, so long as the store still has VALUE; 0 is never
 * one.
 */
struct rd_grip {
    struct kedge_id128 lease; /* zero: none yet */
    unsigned char value[16];
    bool known;
    uint32_t epoch;
    uint32_t asked; /* the epoch in which what is being read was asked for */
};

struct rd_session {
    struct rd_store *store;
    const struct kedge_host *host;
    struct rd_link link;
    struct rd_arena arena; /* of the operation under way */
    struct rd_cmd cmds[2]; /* built and sent by it */
    struct rd_list keys;   /* of a script that is being put together */
    struct rd_list args;
    struct kit_remote *remote;
    struct rd_cache *cache; /* heads and leases as they were last seen */
    struct rd_hot *hot;     /* appends that wait for the next exchange (commits.c) */
    struct rd_grip grip;
    int64_t entered;            /* when the operation under way began, monotonic */
    struct rd_classes *classes; /* of what the last claim served */
    struct rd_conn ear;         /* hears when the ticket moves (wait.c) */
    bool deaf;                  /* this user may not listen */
    unsigned char unique[16];   /* rd_unique */
    uint64_t unique_no;
};

extern const struct kedge_limits rd_limits;

/* ------------------------------------------------------------------ calling */

/* Timeout sensible, no fork, arena empty. */
int rd_enter(struct rd_session *s, int64_t timeout_us, struct kedge_error *err);
int rd_fork_check(const struct rd_store *store, struct kedge_error *err);
/* Monotonic end of a call. */
int64_t rd_deadline(int64_t timeout_us);

/* Here, so that who reads a caller sees that it is no success: analysers do not look elsewhere. */
static inline int rd_no_memory(struct kedge_error *err)
{
    (void)kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    return KEDGE_ERR_NOMEM;
}

/* RD_CONFIRMS: it reads, and replicas are waited for as after a write. */
enum rd_kind { RD_READS, RD_CONFIRMS, RD_WRITES };

/*
 * Send CMDS and read their answers; what a cluster or a forgotten script asks for is done.  OK:
 * each has an answer, which may be an error answer; free them with rd_replies_free.  Else a
 * failure.
 */
int rd_call(struct rd_link *link, struct rd_cmd *const *cmds, size_t n, redisReply **replies,
            enum rd_kind kind, int64_t deadline, struct kedge_error *err);
void rd_replies_free(redisReply **replies, size_t n);
/* One command, whose answer has this type (REDIS_REPLY_ARRAY: with at least MIN elements). */
int rd_call_one(struct rd_link *link, struct rd_cmd *cmd, redisReply **reply, int type, size_t min,
                enum rd_kind kind, int64_t deadline, struct kedge_error *err);

/* Who we are, to a server: AUTH, or PING where nobody is to be named. */
void rd_cmd_auth(struct rd_arena *a, struct rd_cmd *cmd, const struct rd_params *p);
/* Where the last connection led; false: by the socket. */
bool rd_store_at(struct rd_store *store, struct rd_host *out);

/* Make sure there is a connection. */
int rd_link_ready(struct rd_link *link, int64_t deadline, struct kedge_error *err);
void rd_link_close(struct rd_link *link);

/* The value of NAME: in an answer to INFO. */
bool rd_info_field(const redisReply *reply, const char *name, char *out, size_t size);
/* The store's time as an answer told it. */
bool rd_reply_time(const redisReply *reply, int64_t *now);
void rd_saw_time(struct rd_session *s, int64_t now);
static inline struct kedge_bytes rd_reply_bytes(const redisReply *reply)
{
    return (struct kedge_bytes){ reply->str, reply->len };
}
static inline bool rd_reply_there(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING;
}
/* Are the first N elements, which are there, strings? */
static inline bool rd_reply_strings(const redisReply *reply, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!rd_reply_there(reply->element[i]))
            return false;
    return true;
}

/* A sentence for a status that came without one; positive ones and OK pass through. */
int rd_say(struct rd_session *s, int rc, const char *what, struct kedge_error *err);

static inline void rd_arg_bytes(struct rd_arena *a, struct rd_cmd *cmd, struct kedge_bytes b)
{
    rd_arg(a, cmd, b.data, b.len);
}

void rd_list_add(struct rd_arena *a, struct rd_list *list, struct kedge_bytes item);
void rd_list_add_text(struct rd_arena *a, struct rd_list *list, const char *text);
void rd_list_add_number(struct rd_arena *a, struct rd_list *list, int64_t number);
void rd_list_free(struct rd_list *list);
void rd_cmd_call(struct rd_arena *a, struct rd_cmd *cmd, const struct rd_script *script,
                 const struct rd_list *keys, const struct rd_list *args);

/* --------------------------------------------------------------- operations */

int rd_store_open(const struct kedge_host *host, const struct kedge_open *open, void **store,
                  struct kedge_error *err);
void rd_store_close(void *store);
int rd_store_drop(const struct kedge_host *host, const struct kedge_open *open,
                  struct kedge_error *err);
int rd_session_open(void *store, void **session, struct kedge_error *err);
void rd_session_close(void *session);

int rd_info(void *session, struct kedge_info *out, int64_t timeout_us, struct kedge_error *err);
int rd_now(void *session, struct kedge_time *out, int64_t timeout_us, struct kedge_error *err);

int rd_lease_grant(void *session, const struct kedge_lease_new *in, struct kedge_lease_state *out,
                   int64_t timeout_us, struct kedge_error *err);
int rd_lease_extend(void *session, const struct kedge_id128 *lease, struct kedge_lease_state *out,
                    int64_t timeout_us, struct kedge_error *err);
int rd_lease_revoke(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                    struct kedge_error *err);
int rd_lease_bury(void *session, const struct kedge_id128 *lease, int64_t timeout_us,
                  struct kedge_error *err);
int rd_lease_list(void *session, struct kedge_bytes cursor, size_t limit,
                  struct kedge_lease_page *out, int64_t timeout_us, struct kedge_error *err);
int rd_list_held(void *session, const struct kedge_id128 *lease, struct kedge_bytes cursor,
                 size_t limit, struct kedge_held_page *out, int64_t timeout_us,
                 struct kedge_error *err);
int rd_lock_acquire(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                    const struct kedge_id128 *request, struct kedge_lock_state *out,
                    int64_t timeout_us, struct kedge_error *err);
int rd_lock_extend(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                   uint64_t fence, struct kedge_lock_state *out, int64_t timeout_us,
                   struct kedge_error *err);
int rd_lock_release(void *session, struct kedge_bytes name, const struct kedge_id128 *lease,
                    uint64_t fence, int64_t timeout_us, struct kedge_error *err);
int rd_lock_query(void *session, struct kedge_bytes name, struct kedge_lock_state *out,
                  int64_t timeout_us, struct kedge_error *err);

int rd_commit(void *session, const struct kedge_commit *commits, size_t n,
              struct kedge_answer *answers, int64_t timeout_us, struct kedge_error *err);
int rd_claim(void *session, const struct kedge_claim *in, struct kedge_run_page *out,
             int64_t timeout_us, struct kedge_error *err);

int rd_retrieve(void *session, const struct kedge_retrieve *in, struct kedge_run_state *out,
                int64_t timeout_us, struct kedge_error *err);
int rd_retrieve_records(void *session, struct kedge_bytes id, uint64_t incarnation, uint64_t first,
                        size_t limit, size_t bytes_max, struct kedge_record_page *out,
                        int64_t timeout_us, struct kedge_error *err);
int rd_retrieve_slots(void *session, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
                      uint32_t first, size_t limit, struct kedge_slot_page *out, int64_t timeout_us,
                      struct kedge_error *err);
int rd_cell_get(void *session, struct kedge_bytes name, struct kedge_cell *out, int64_t timeout_us,
                struct kedge_error *err);

int rd_list(void *session, const struct kedge_list *in, struct kedge_run_page *out,
            int64_t timeout_us, struct kedge_error *err);
int rd_list_expired(void *session, struct kedge_bytes cursor, size_t limit,
                    struct kedge_run_page *out, int64_t timeout_us, struct kedge_error *err);

int rd_wait(void *session, uint64_t seen, uint64_t *ticket, int64_t timeout_us,
            struct kedge_error *err);
int rd_notify(void *session, struct kedge_error *err);

int rd_purge(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
             struct kedge_error *err);
int rd_verify(void *session, struct kedge_verified *out, int64_t timeout_us,
              struct kedge_error *err);

#endif
