/*
 * wait.c - a hint that there may be new work
 *
 * The ticket counts whatever makes a run due; the script that moves it says so on a channel of the
 * same name.  Who waits listens there on a connection of his own, and looks at the ticket after he
 * has begun to listen: so nothing is missed.  A user that may not listen looks every now and then.
 */
#include <config.h>

#include "rows.h"

#include <poll.h>
#include <stdlib.h>

#define LOOK_US INT64_C(20000)

static struct kedge_bytes ticket_key(struct rd_session *s)
{
    return rd_key(&s->arena, s->store->params.prefix, 't', (struct kedge_bytes){ NULL, 0 });
}

static int read_ticket(struct rd_session *s, uint64_t *out, int64_t deadline,
                       struct kedge_error *err)
{
    struct rd_cmd *cmd = &s->cmds[0];
    redisReply *r = NULL;
    int rc;

    rd_arena_reset(&s->arena);
    rd_cmd_begin(cmd, "GET");
    rd_arg_bytes(&s->arena, cmd, ticket_key(s));
    rc = s->arena.failed ? rd_no_memory(err)
                         : rd_call(&s->link, &cmd, 1, &r, RD_READS, deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    if (r->type == REDIS_REPLY_ERROR)
        rc = rd_reply_fail(&s->store->params, r, err);
    else
        *out = r->type == REDIS_REPLY_STRING ? strtoull(r->str, NULL, 10) : 0;
    freeReplyObject(r);
    return rc;
}

/* Begin to listen, if that is not so yet.  Without success one looks instead. */
static void listen_up(struct rd_session *s, int64_t deadline)
{
    struct rd_cmd auth = { 0 };
    struct rd_cmd subscribe = { 0 };
    const struct rd_cmd *list[2] = { &auth, &subscribe };
    redisReply *r[2] = { NULL, NULL };
    struct rd_host at;
    enum rd_left left;

    if (s->ear.ctx != NULL || s->deaf)
        return;
    if (rd_conn_connect(&s->ear, &s->store->params, rd_store_at(s->store, &at) ? &at : NULL,
                        deadline, NULL) != KEDGE_OK)
        return;
    rd_cmd_auth(&s->arena, &auth, &s->store->params);
    rd_cmd_begin(&subscribe, "SUBSCRIBE");
    rd_arg_bytes(&s->arena, &subscribe, ticket_key(s));
    if (s->arena.failed) {
        rd_conn_close(&s->ear);
    } else if (rd_conn_exchange(&s->ear, list, 2, r, deadline, &left, NULL) == KEDGE_OK &&
               r[1]->type == REDIS_REPLY_ERROR) {
        s->deaf = rd_reply_is(r[1], "NOPERM");
        rd_conn_close(&s->ear);
    }
    rd_replies_free(r, 2);
    rd_cmd_free(&auth);
    rd_cmd_free(&subscribe);
}

/* Until something may have happened, or DEADLINE. */
static void hear(struct rd_session *s, int64_t deadline)
{
    int64_t now = rd_mono_us();

    if (s->ear.ctx != NULL) {
        (void)rd_conn_hear(&s->ear, deadline);
        return;
    }
    if (deadline > now + LOOK_US)
        deadline = now + LOOK_US;
    if (deadline > now)
        (void)poll(NULL, 0, (int)((deadline - now + 999) / 1000));
}

int rd_wait(void *session, uint64_t seen, uint64_t *ticket, int64_t timeout_us,
            struct kedge_error *err)
{
    struct rd_session *s = session;
    int64_t end;
    uint64_t now = 0;
    int rc;

    if (timeout_us < 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "a timeout is not negative");
    rc = rd_enter(s, timeout_us > 0 ? timeout_us : 1, err);
    if (rc != KEDGE_OK)
        return rc;
    end = rd_deadline(timeout_us);
    for (;;) {
        bool late = rd_mono_us() >= end;

        /* A look of its own: one that begins at the end has its time, too. */
        rc = read_ticket(s, &now, late ? rd_mono_us() + 1000000 : end + 1000000, err);
        if (rc != KEDGE_OK)
            return rc;
        if (now != seen) {
            *ticket = now;
            return KEDGE_OK;
        }
        if (late)
            return KEDGE_QUIET;
        if (s->ear.ctx == NULL && !s->deaf) {
            listen_up(s, end);
            if (s->ear.ctx != NULL)
                continue; /* look again: it may have moved before we listened */
        }
        hear(s, end);
    }
}

int rd_notify(void *session, struct kedge_error *err)
{
    struct rd_session *s = session;
    redisReply *r = NULL;
    int rc = rd_enter(s, 1, err);

    if (rc != KEDGE_OK)
        return rc;
    s->keys.n = s->args.n = 0;
    rd_list_add(&s->arena, &s->keys, ticket_key(s));
    rd_cmd_call(&s->arena, &s->cmds[0], &s->store->scripts[RD_SCRIPT_RING], &s->keys, &s->args);
    rc = s->arena.failed ? rd_no_memory(err)
                         : rd_call_one(&s->link, &s->cmds[0], &r, REDIS_REPLY_INTEGER, 0, RD_WRITES,
                                       rd_deadline(1000000), err);
    rd_replies_free(&r, 1);
    return rc;
}
