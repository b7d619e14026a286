/*
 * conn.h - one connection to a Redis server, and commands that are sent over it
 *
 *   I1  Every call has a deadline, and every failure of reading or writing ends the connection: a
 *       late answer can then not be taken for that of another command.  Nothing reconnects by
 *       itself; a connection is made anew, with all its settings.
 *   I2  Arguments are bytes with lengths, in one form of call (rd_cmd_*); no format strings.
 *   I3  What is known of a failure is kept apart: that nothing can have been carried out, or that
 *       the answer is missing.
 *   I4  SIGPIPE never reaches the process.
 */
#ifndef KEDGE_REDIS_CONN_H
#define KEDGE_REDIS_CONN_H

#include <hiredis.h>

#include "../kit/await.h"
#include "params.h"

/* ------------------------------------------------------------------- memory */

/* What lives as long as one operation; reset keeps a block for the next one. */
struct rd_arena {
    const struct kedge_host *host;
    struct rd_block *blocks;
    bool failed; /* there was no memory once */
};
/* NULL: no memory.  Zero bytes are fine. */
void *rd_alloc(struct rd_arena *a, size_t size);
void rd_arena_reset(struct rd_arena *a);
void rd_arena_free(struct rd_arena *a);

/* ----------------------------------------------------------------- commands */

struct rd_script; /* scripts.h */

/* A command under construction.  Arguments are borrowed until it was sent. */
struct rd_cmd {
    const struct rd_script *script; /* argv[0] and argv[1] are put in when it is sent */
    const char **argv;
    size_t *lens;
    size_t n;
    size_t room;
    bool full_text; /* the server does not know the script */
    bool read_only;
};

/* Clear it for a command or a script; what was allocated is used again. */
void rd_cmd_begin(struct rd_cmd *cmd, const char *name);
void rd_cmd_script(struct rd_cmd *cmd, const struct rd_script *script);
/* Lack of memory is noted in ARENA. */
void rd_arg(struct rd_arena *a, struct rd_cmd *cmd, const void *data, size_t len);
void rd_arg_text(struct rd_arena *a, struct rd_cmd *cmd, const char *text);
void rd_arg_number(struct rd_arena *a, struct rd_cmd *cmd, uint64_t number);
void rd_cmd_free(struct rd_cmd *cmd);

/* --------------------------------------------------------------- connection */

/* Commands that travel together, at most. */
#define RD_PIPELINE_MAX 32u

struct rd_conn {
    redisContext *ctx; /* NULL: none */
    struct kit_await await;
    struct rd_host at;    /* where it leads */
    int64_t used;         /* when it was last used, monotonic */
    uint64_t id;          /* CLIENT ID; 0: not known */
    uint64_t incarnation; /* of the server process; 0: not known */
    bool cluster;
};

/* What became of an exchange that failed. */
enum rd_left {
    RD_NOTHING_SENT, /* no command can have been carried out */
    RD_IN_DOUBT
};

int64_t rd_mono_us(void);

/* Connect to HOST (or to the socket of PARAMS) until DEADLINE.  OK or ERR_UNAVAILABLE. */
int rd_conn_connect(struct rd_conn *conn, const struct rd_params *params,
                    const struct rd_host *host, int64_t deadline, struct kedge_error *err);
void rd_conn_close(struct rd_conn *conn);
/* Closed by the other side, as far as one can tell without asking. */
bool rd_conn_broken(const struct rd_conn *conn);
/*
 * Send CMDS in one write and read their answers: replies[i] is to be freed by the caller.  OK, or
 * ERR_UNAVAILABLE and *left; the connection is closed then.
 */
int rd_conn_exchange(struct rd_conn *conn, const struct rd_cmd *const *cmds, size_t n,
                     redisReply **replies, int64_t deadline, enum rd_left *left,
                     struct kedge_error *err);

/* Has something come unasked by DEADLINE?  1: it has been taken and thrown away; 0: no; -1: the
   connection broke, and is closed. */
int rd_conn_hear(struct rd_conn *conn, int64_t deadline);

/* Does an error answer begin with this word? */
bool rd_reply_is(const redisReply *reply, const char *word);
/* A status and a sentence for an error answer, or one of a type that does not fit. */
int rd_reply_fail(const struct rd_params *params, const redisReply *reply, struct kedge_error *err);

#endif
