/*
 * wait.c - hints that there may be new work
 *
 *   I1  The ticket is the last value of the sequence `work'.  It moves after the commit that made
 *       a run due, in a transaction of its own that waits for no disk: NOTIFY holds a lock of the
 *       whole server until its transaction is over, which must not be as long as a flush.  A
 *       process that dies in between costs a hint.
 *   I2  Who waits has a connection of its own that listens.  It reads the ticket first after it
 *       began to listen, and again when it was told.
 *   I3  A server that has fallen silent looks like one that has nothing to tell.  So who waits goes
 *       by the other connection of the session, which asks and misses the answer: when that one
 *       was made anew, so is this one.  What it was not told meanwhile is told as one hint.
 *   I4  Behind a pooler of transactions nobody can listen: there the ticket is read every 50 ms.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "session.h"

#define LOOK_US    INT64_C(50000)
#define PATIENT_US INT64_C(5000000) /* for what comes before the waiting */

struct pg_ear {
    struct pg_conn conn;
    uint64_t listens; /* the connection that does, by its number */
    uint64_t beside;  /* the session's other one, when that began */
    bool missed;      /* another one did before: hints may be lost */
    bool known;
    uint64_t ticket;
};

void pg_ear_free(struct pg_ear *ear, bool mine)
{
    if (ear == NULL)
        return;
    pg_conn_fini(&ear->conn, mine);
    free(ear);
}

/* NULL: no memory. */
static struct pg_ear *ear_of(struct pg_session *s)
{
    struct pg_ear *ear = s->ear;

    if (ear != NULL)
        return ear;
    ear = calloc(1, sizeof *ear);
    if (ear != NULL)
        pg_conn_init(&ear->conn, &s->store->place, &s->store->statements);
    s->ear = ear;
    return ear;
}

static int listens(struct pg_session *s, struct pg_ear *ear, int64_t end, struct kedge_error *err)
{
    struct pg_conn *c = &ear->conn;
    char text[PG_SCHEMA_MAX + 16];
    char *texts[] = { text };
    int rc;

    if (ear->beside != 0 && ear->beside != s->conn.made)
        pg_conn_drop(c);
    ear->beside = s->conn.made;
    rc = pg_conn_ready(c, end, err);
    if (rc != KEDGE_OK || ear->listens == c->made)
        return rc;
    ear->known = false;
    ear->missed = ear->listens != 0;
    if (!c->pooled) {
        /* The name of a schema is kedge's own making: letters, digits, underscores. */
        (void)snprintf(text, sizeof text, "listen \"%s\"", c->place->schema);
        rc = pg_script(c, texts, 1, end, err);
    }
    if (rc == KEDGE_OK)
        ear->listens = c->made;
    return rc;
}

static int read_ticket(struct pg_ear *ear, int64_t end, struct kedge_error *err)
{
    struct pg_query q;
    int rc;

    pg_begin(&ear->conn);
    pg_query_init(&q, PG_SQL_TICKET);
    rc = pg_run(&ear->conn, &q, 1, PG_READ, end, err);
    if (rc != KEDGE_OK)
        return rc;
    ear->ticket = (uint64_t)pg_i64(q.result, 0, 0);
    ear->known = ear->listens == ear->conn.made; /* else it had to connect again on the way */
    pg_clear(&q, 1);
    return KEDGE_OK;
}

/* Until there may be another ticket, or END. */
static void sleep_until_told(struct pg_ear *ear, int64_t end)
{
    int64_t us = end - pg_mono_us();

    if (!ear->conn.pooled) {
        if (pg_conn_told(&ear->conn, end))
            ear->known = false;
        return;
    }
    us = us < LOOK_US ? us : LOOK_US;
    if (us > 0) {
        struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

        (void)nanosleep(&ts, NULL);
    }
    ear->known = false;
}

int pg_wait(void *session, uint64_t seen, uint64_t *ticket, int64_t timeout_us,
            struct kedge_error *err)
{
    struct pg_session *s = session;
    struct pg_ear *ear;
    int64_t end = pg_end(timeout_us);
    int64_t patient = pg_end(timeout_us > PATIENT_US ? timeout_us : PATIENT_US);
    bool fresh = false;
    int rc = timeout_us == 0 ? KEDGE_OK : kit_check_timeout(timeout_us, err);

    if (rc == KEDGE_OK)
        rc = pg_check_fork(s->store, err);
    if (rc != KEDGE_OK)
        return rc;
    ear = ear_of(s);
    if (ear == NULL)
        return pg_no_memory(err);
    while (rc == KEDGE_OK) {
        rc = listens(s, ear, patient, err);
        if (rc == KEDGE_OK && !ear->known) {
            rc = read_ticket(ear, patient, err);
            fresh = true;
        }
        if (rc != KEDGE_OK || !ear->known)
            continue;
        if ((ear->ticket != seen || ear->missed) && fresh) {
            ear->missed = false;
            *ticket = ear->ticket;
            return KEDGE_OK;
        }
        if (ear->ticket != seen) {
            ear->known = false; /* it may have moved on, and we be told any moment */
            continue;
        }
        if (pg_mono_us() >= end)
            return KEDGE_QUIET;
        sleep_until_told(ear, end);
    }
    return rc;
}

int pg_hint(struct pg_session *s, int64_t end, struct kedge_error *err)
{
    struct pg_query q;
    int rc;

    pg_begin(&s->conn);
    pg_query_init(&q, PG_SQL_HINT);
    pg_arg_bytes(&s->conn, &q, kedge_text(s->store->place.schema));
    rc = pg_run(&s->conn, &q, 1, PG_WRITE, end, err);
    pg_clear(&q, 1);
    return rc;
}

int pg_notify(void *session, struct kedge_error *err)
{
    struct pg_session *s = session;
    int64_t end;
    int rc = pg_enter(s, PATIENT_US, &end, err);

    return rc == KEDGE_OK ? pg_hint(s, end, err) : rc;
}
