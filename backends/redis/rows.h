/*
 * rows.h - what the kit's rules look at and write, as one look and one script
 *
 *   I1  All that a batch writes is one call of the script `commit': appends by holders that need no
 *       decision (rd_hot), then groups.
 *   I2  rd_write_run is the only writer of heads, and keeps every index of keys.h in step.
 */
#ifndef KEDGE_REDIS_ROWS_H
#define KEDGE_REDIS_ROWS_H

#include "session.h"

extern const struct kit_remote_ops rd_remote_ops;
/* Of these: look.c, build.c. */
int rd_look_rows(void *ctx, struct kit_row *const *rows, size_t n, int64_t *now, int64_t timeout_us,
                 struct kedge_error *err);
int rd_apply(void *ctx, struct kit_group *groups, size_t n, uint64_t *fences, size_t n_fences,
             int64_t *now, int64_t timeout_us, struct kedge_error *err);

/* Appends that wait to be sent along. */
struct rd_hot {
    size_t n;
    struct rd_list keys; /* heads that are looked at, journals */
    struct rd_list args; /* guards, numbers of records, records */
    bool sent;
    int rc;         /* when sent: OK, or what became of all of them */
    uint32_t epoch; /* in which they were carried out */
    char why[256];
    struct rd_hot_item {
        /* How the head must begin; known is how much of it, RD_HOT_LEAST or RD_HEAD_FRONT bytes. */
        unsigned char front[RD_HEAD_FRONT];
        unsigned char known;
        bool looked; /* at the head; else the grip tells that it is so */
        bool done;   /* when sent: so it was, and the front is whole */
    } * items;
};
#define RD_HOT_LEAST 24u /* fence and holder: what a guard says */
/* As a command of their own, s->cmds[1]; and what was answered to it, or why nothing was. */
void rd_hot_command(struct rd_session *s);
void rd_hot_answer(struct rd_session *s, int rc, const redisReply *reply, struct kedge_error *err);

/* 16 bytes that nobody makes twice. */
void rd_unique(struct rd_session *s, unsigned char out[16]);

/* ------------------------------------------------------- putting groups together */

/* Groups under construction, in the session's lists. */
struct rd_build {
    struct rd_session *s;
    struct rd_arena *a;
    const char *prefix;
    size_t args_at; /* of the group under construction */
    size_t keys_at;
    size_t n_expects;
    size_t n_writes;
    size_t write_at;
    size_t n_patches;
    struct {
        uint32_t arg;
        int32_t at;
        uint32_t place;
    } patches[8];
};

/* Begins with the appends that wait, if there are. */
void rd_build_begin(struct rd_build *b, struct rd_session *s, size_t groups, size_t fences);
void rd_group_begin(struct rd_build *b);
void rd_group_end(struct rd_build *b, int64_t from, int64_t to, bool grows, bool work);
/* Expectations come before writes. */
void rd_expect_bytes(struct rd_build *b, struct kedge_bytes key, size_t at,
                     struct kedge_bytes bytes);
void rd_expect_u64(struct rd_build *b, struct kedge_bytes key, size_t at, uint64_t number);
void rd_expect_run(struct rd_build *b, const struct kit_run *run);
void rd_expect_none(struct rd_build *b, struct kedge_bytes key);
void rd_expect_length(struct rd_build *b, struct kedge_bytes list, uint64_t length);
void rd_expect_members(struct rd_build *b, struct kedge_bytes set, uint64_t members);
/* One write: command and key, then its arguments, then its end. */
void rd_write_begin(struct rd_build *b, const char *command, struct kedge_bytes key);
void rd_write_arg(struct rd_build *b, struct kedge_bytes arg);
void rd_write_end(struct rd_build *b);
/* OLD NULL: a new run.  RUN NULL: it goes. */
void rd_write_run(struct rd_build *b, const struct kit_run *old, const struct kit_run *run,
                  const struct kedge_bytes *unknown);
void rd_write_lock_gone(struct rd_build *b, struct kedge_bytes name, const struct kit_lock *old);

/*
 * Send what was built: outcomes[i] is a letter per group ('1' written, '0' not so, 'F' full, 'C'
 * not understood), *base the fence before the first.  Appends that waited have their results then.
 */
int rd_build_send(struct rd_build *b, size_t groups, const char **outcomes, uint64_t *base,
                  int64_t *now, int64_t deadline, struct kedge_error *err);

/* -------------------------------------------------------------------- reading */

/* Put a look together, send it; the answer has N elements after the time.  Free the reply. */
void rd_look_begin(struct rd_session *s);
void rd_look_run(struct rd_session *s, struct kedge_bytes id); /* two elements: head, length */
void rd_look_string(struct rd_session *s, struct kedge_bytes key);
/* COMMAND key ARGS... */
void rd_look_command(struct rd_session *s, const char *command, struct kedge_bytes key,
                     const struct kedge_bytes *args, size_t n);
int rd_look_send(struct rd_session *s, size_t n, redisReply **reply, int64_t *now, int64_t deadline,
                 struct kedge_error *err);
/* The same for who may find that something was done before: what is read then counts when the
   replicas that are waited for have it, else ERR_UNKNOWN. */
int rd_look_confirmed(struct rd_session *s, size_t n, redisReply **reply, int64_t *now,
                      int64_t deadline, struct kedge_error *err);

/*
 * A head and its length as a look answered them.  OK, NOT_FOUND, ERR_CORRUPT.  What it points to is
 * in the reply.
 */
int rd_run_read(const redisReply *head, const redisReply *length, struct kit_run *out,
                struct kedge_bytes *unknown);
int rd_lease_read(struct rd_session *s, struct kedge_mem **mem, const struct kedge_id128 *id,
                  const redisReply *value, struct kit_lease *out);

/* The session works under LEASE from now on. */
void rd_grip_take(struct rd_session *s, const struct kedge_id128 *lease);
/* What the script `commit' answered of the grip. */
void rd_grip_told(struct rd_session *s, const redisReply *told);
/* It is not what is remembered. */
void rd_grip_lost(struct rd_session *s);

/* Heads as they were last seen. */
/* How the head begins, if what is remembered is held under FENCE by LEASE.  SURE: nobody has
   written it since, if the lease still has the grip that is remembered. */
bool rd_cache_front(struct rd_session *s, struct kedge_bytes id, uint64_t fence,
                    const struct kedge_id128 *lease, unsigned char out[RD_HEAD_FRONT], bool *sure);
void rd_cache_put(struct rd_session *s, const struct kit_run *run);
void rd_cache_drop(struct rd_session *s, struct kedge_bytes id);
/* An append under that fence was done.  EPOCH: the head was what is remembered then; 0: who knows.
 */
void rd_cache_advance(struct rd_session *s, struct kedge_bytes id, uint64_t fence,
                      uint64_t position, uint32_t epoch);
void rd_cache_free(struct rd_session *s);
void rd_classes_free(struct rd_session *s);

#endif
