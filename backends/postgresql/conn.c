/* conn.c - one connection to the server; see conn.h for the invariants */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "conn.h"
#include "fault.h"

/* Parameters a connection keeps memory for. */
#define KEEP_BYTES ((size_t)4 << 20)
/* Between attempts to connect: doubled from the first to the last of these. */
#define RETRY_FIRST_US INT64_C(20000)
#define RETRY_LAST_US  INT64_C(1000000)
/* A connection that was used so lately is not asked whether it is still there. */
#define FRESH_US INT64_C(1000)
/* The longest that one of several hosts is waited for while there are others to be tried. */
#define HOST_TIME_US INT64_C(2000000)

int64_t pg_mono_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t pg_end(int64_t timeout_us)
{
    int64_t now = pg_mono_us();

    return timeout_us < INT64_MAX - now ? now + timeout_us : INT64_MAX;
}

/* ------------------------------------------------------------------ buffers */

void pg_buf_free(struct pg_buf *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

void *pg_buf_room(struct pg_buf *b, size_t size)
{
    if (b->failed || size > SIZE_MAX / 4 - b->len) {
        b->failed = true;
        return NULL;
    }
    if (b->cap - b->len < size) {
        size_t cap = b->cap == 0 ? 4096 : b->cap;
        char *data;

        while (cap - b->len < size)
            cap *= 2;
        data = realloc(b->data, cap);
        if (data == NULL) {
            b->failed = true;
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    b->len += size;
    return b->data + b->len - size;
}

void pg_put(struct pg_buf *b, const void *data, size_t len)
{
    void *to = len == 0 ? NULL : pg_buf_room(b, len);

    if (to != NULL)
        memcpy(to, data, len);
}

static void put_be(struct pg_buf *b, uint64_t v, size_t size)
{
    unsigned char be[8];

    for (size_t i = 0; i < size; i++)
        be[i] = (unsigned char)(v >> (8 * (size - 1 - i)));
    pg_put(b, be, size);
}

void pg_put_i16(struct pg_buf *b, int16_t v)
{
    put_be(b, (uint16_t)v, 2);
}

void pg_put_i32(struct pg_buf *b, int32_t v)
{
    put_be(b, (uint32_t)v, 4);
}

void pg_put_i64(struct pg_buf *b, int64_t v)
{
    put_be(b, (uint64_t)v, 8);
}

/* --------------------------------------------------------------- parameters */

void pg_begin(struct pg_conn *c)
{
    if (c->out.cap > KEEP_BYTES) /* one large commit is no reason to keep as much for ever */
        pg_buf_free(&c->out);
    c->out.len = 0;
    c->out.failed = false;
}

void pg_query_init(struct pg_query *q, enum pg_sql sql)
{
    memset(q, 0, sizeof *q);
    q->sql = sql;
}

void pg_arg_open(struct pg_conn *c, struct pg_query *q)
{
    q->at[q->n] = c->out.len;
}

void pg_arg_close(struct pg_conn *c, struct pg_query *q)
{
    q->len[q->n] = (int)(c->out.len - q->at[q->n]);
    q->n++;
}

void pg_arg_null(struct pg_conn *c, struct pg_query *q)
{
    pg_arg_open(c, q);
    q->len[q->n++] = -1;
}

void pg_arg_bool(struct pg_conn *c, struct pg_query *q, bool v)
{
    char byte = v ? 1 : 0;

    pg_arg_open(c, q);
    pg_put(&c->out, &byte, 1);
    pg_arg_close(c, q);
}

void pg_arg_i32(struct pg_conn *c, struct pg_query *q, int32_t v)
{
    pg_arg_open(c, q);
    pg_put_i32(&c->out, v);
    pg_arg_close(c, q);
}

void pg_arg_i64(struct pg_conn *c, struct pg_query *q, int64_t v)
{
    pg_arg_open(c, q);
    pg_put_i64(&c->out, v);
    pg_arg_close(c, q);
}

void pg_arg_id(struct pg_conn *c, struct pg_query *q, const struct kedge_id128 *id)
{
    pg_arg_open(c, q);
    pg_put(&c->out, id->b, sizeof id->b);
    pg_arg_close(c, q);
}

void pg_arg_bytes(struct pg_conn *c, struct pg_query *q, struct kedge_bytes b)
{
    pg_arg_open(c, q);
    pg_put(&c->out, b.data, b.len);
    pg_arg_close(c, q);
}

/* --------------------------------------------------------------- connecting */

void pg_conn_init(struct pg_conn *c, struct pg_place *place, const struct pg_statements *statements)
{
    memset(c, 0, sizeof *c);
    c->place = place;
    c->statements = statements;
}

void pg_conn_drop(struct pg_conn *c)
{
    if (c->pg != NULL)
        PQfinish(c->pg);
    c->pg = NULL;
    memset(c->prepared, 0, sizeof c->prepared);
}

void pg_conn_fini(struct pg_conn *c, bool mine)
{
    /* In a child the socket is the parent's: a farewell on it would end the parent's session. */
    if (mine)
        pg_conn_drop(c);
    c->pg = NULL;
    kit_await_fini(&c->await);
    pg_buf_free(&c->out);
}

/* A cancelled wait for standbys is told as a warning only: it is done here, and perhaps nowhere
   else. */
static void on_notice(void *arg, const PGresult *result)
{
    struct pg_conn *c = arg;
    const char *where = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);

    if (where != NULL && strcmp(where, "SyncRepWaitForLSN") == 0)
        c->doubt = true;
}

static int refused(struct pg_conn *c, const char *what, struct kedge_error *err)
{
    char why[256];
    int code = pg_fault_connect(c->pg);

    pg_place_mask(c->place, c->pg != NULL ? PQerrorMessage(c->pg) : "out of memory", why,
                  sizeof why);
    pg_conn_drop(c);
    return kedge_error_set(err, code, 0, "%s: %s: %s", c->place->shown, what, why);
}

static int connect_wait(struct pg_conn *c, int64_t end, struct kedge_error *err)
{
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;

    for (;;) {
        int rc = kit_await(&c->await, PQsocket(c->pg),
                           want == PGRES_POLLING_READING ? POLLIN : POLLOUT, end);

        if (rc == 0) {
            pg_conn_drop(c);
            return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, ETIMEDOUT,
                                   "%s: the server does not answer in time", c->place->shown);
        }
        if (rc < 0)
            return refused(c, "cannot wait for the server", err);
        want = PQconnectPoll(c->pg);
        if (want == PGRES_POLLING_OK)
            return KEDGE_OK;
        if (want == PGRES_POLLING_FAILED)
            return refused(c, "cannot connect", err);
    }
}

/* To host number I of several, or to the only one. */
static int connect_to(struct pg_conn *c, unsigned i, int64_t end, struct kedge_error *err)
{
    char host[256];
    char address[64];
    char port[16];
    /* Before dbname: what the URL says itself prevails. */
    static const char *const names[] = { "fallback_application_name",
                                         "keepalives_idle",
                                         "keepalives_interval",
                                         "keepalives_count",
                                         "tcp_user_timeout",
                                         "target_session_attrs",
                                         "dbname",
                                         "client_encoding",
                                         "host",
                                         "hostaddr",
                                         "port",
                                         NULL };
    const char *const values[] = { "kedge",
                                   "10",
                                   "5",
                                   "3",
                                   "20000",
                                   "read-write",
                                   c->place->conninfo,
                                   "UTF8",
                                   pg_place_item(c->place->hosts, i, host, sizeof host),
                                   pg_place_item(c->place->addresses, i, address, sizeof address),
                                   pg_place_item(c->place->ports, i, port, sizeof port),
                                   NULL };
    int rc;

    c->pg = PQconnectStartParams(names, values, 1);
    if (c->pg == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    if (PQstatus(c->pg) == CONNECTION_BAD)
        return refused(c, "cannot connect", err);
    rc = connect_wait(c, end, err);
    if (rc != KEDGE_OK)
        return rc;
    PQsetNoticeReceiver(c->pg, on_notice, c);
    if (PQsetnonblocking(c->pg, 1) != 0 || PQenterPipelineMode(c->pg) != 1)
        return refused(c, "cannot pipeline", err);
    c->made++;
    c->born = pg_mono_us();
    return KEDGE_OK;
}

/* ------------------------------------------------------------- conversation */

struct talk {
    struct pg_conn *c;
    struct pg_query *q;
    size_t n;
    int8_t steps[2 * 16 + 3]; /* index into q; -1: its result is of no interest */
    size_t n_steps;
    size_t at; /* step whose result comes next */
    PGresult *fault;
    bool left; /* bytes may have left */
};

static bool step(struct talk *t, int ok, int index)
{
    if (ok != 1 || t->n_steps == sizeof t->steps)
        return false;
    t->steps[t->n_steps++] = (int8_t)index;
    return true;
}

static bool send_text(struct talk *t, const char *text)
{
    return step(t, PQsendQueryParams(t->c->pg, text, 0, NULL, NULL, NULL, NULL, 1), -1);
}

static bool send_query(struct talk *t, size_t i)
{
    struct pg_conn *c = t->c;
    const struct pg_query *q = &t->q[i];
    const char *values[PG_ARGS_MAX];
    int formats[PG_ARGS_MAX];
    const char *text = c->statements->text[q->sql];
    char name[16];

    for (int k = 0; k < q->n; k++) {
        values[k] = q->len[k] < 0 ? NULL : c->out.data + q->at[k];
        formats[k] = 1;
    }
    if (c->pooled)
        return step(t, PQsendQueryParams(c->pg, text, q->n, NULL, values, q->len, formats, 1),
                    (int)i);
    (void)snprintf(name, sizeof name, "kedge%d", (int)q->sql);
    if ((c->prepared[q->sql / 64] >> (q->sql % 64) & 1) == 0) {
        if (!step(t, PQsendPrepare(c->pg, name, text, 0, NULL), -1))
            return false;
        c->prepared[q->sql / 64] |= UINT64_C(1) << (q->sql % 64);
    }
    return step(t, PQsendQueryPrepared(c->pg, name, q->n, values, q->len, formats, 1), (int)i);
}

static bool send_all(struct talk *t, enum pg_mode mode)
{
    bool reads = mode == PG_READ && t->n > 1;
    bool whole = reads || (mode != PG_READ && t->c->pooled);
    bool ok = true;

    if (whole)
        ok = send_text(t, reads ? "begin isolation level repeatable read read only"
                                : "begin isolation level read committed");
    for (size_t i = 0; ok && i < t->n; i++)
        ok = send_query(t, i);
    if (ok && whole)
        ok = send_text(t, "commit");
    return ok && PQpipelineSync(t->c->pg) == 1;
}

static void take(struct talk *t, PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);
    int index = t->at < t->n_steps ? t->steps[t->at] : -1;

    if (status == PGRES_FATAL_ERROR && t->fault == NULL) {
        t->fault = r;
    } else if ((status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) && index >= 0) {
        PQclear(t->q[index].result);
        t->q[index].result = r;
    } else {
        PQclear(r);
    }
}

/* All results that are here.  True: the server is ready for more. */
static bool drain(struct talk *t)
{
    bool was_null = false;

    while (!PQisBusy(t->c->pg)) {
        PGresult *r = PQgetResult(t->c->pg);

        if (r == NULL) {
            if (was_null) /* nothing more is under way, and no sync came: it cannot be */
                return false;
            was_null = true;
            t->at++;
            continue;
        }
        was_null = false;
        if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
            PQclear(r);
            return true;
        }
        take(t, r);
    }
    return false;
}

/* OK: the server is ready for more.  ETIMEDOUT or EPIPE in *why otherwise. */
static bool converse(struct talk *t, int64_t end, int *why)
{
    for (;;) {
        int flush = PQflush(t->c->pg);
        int rc;

        t->left = true;
        *why = EPIPE;
        if (flush < 0)
            return false;
        rc = kit_await(&t->c->await, PQsocket(t->c->pg),
                       (short)(flush > 0 ? POLLIN | POLLOUT : POLLIN), end);
        if (rc <= 0) {
            *why = rc == 0 ? ETIMEDOUT : errno;
            return false;
        }
        if (PQconsumeInput(t->c->pg) != 1)
            return false;
        if (drain(t))
            return true;
        if (PQstatus(t->c->pg) == CONNECTION_BAD)
            return false;
    }
}

static void talk_end(struct talk *t)
{
    PQclear(t->fault);
    t->fault = NULL;
    t->n_steps = t->at = 0;
}

static bool writes(enum pg_mode mode)
{
    return mode == PG_WRITE || mode == PG_HERE;
}

/* Neither done nor refused: what is known of it? */
static int broke(struct talk *t, enum pg_mode mode, int why, struct kedge_error *err)
{
    struct pg_conn *c = t->c;
    char text[200];
    bool unknown = writes(mode) && t->left;

    pg_place_mask(c->place, PQerrorMessage(c->pg), text, sizeof text);
    if (text[0] == '\0')
        (void)snprintf(text, sizeof text, "%s",
                       why == ETIMEDOUT ? "no answer in time" : "the connection broke");
    pg_conn_drop(c);
    if (why == ETIMEDOUT)
        (void)atomic_fetch_add(&c->place->silences, 1);
    return kedge_error_set(err, unknown ? KEDGE_ERR_UNKNOWN : KEDGE_ERR_UNAVAILABLE, why,
                           "%s: %s; %s", c->place->shown,
                           why == ETIMEDOUT ? "no answer in time" : text,
                           unknown ? "the write may or may not have happened: send it again "
                                     "unchanged"
                                   : "try again");
}

/* One exchange on a connection that is there. */
static int exchange(struct talk *t, enum pg_mode mode, int64_t end, struct kedge_error *err)
{
    struct pg_conn *c = t->c;
    int why = EPIPE;

    t->left = false;
    c->doubt = false;
    if (!send_all(t, mode) || !converse(t, end, &why))
        return broke(t, mode, why, err);
    c->used = pg_mono_us();
    if (t->fault != NULL) {
        int rc = mode == PG_HERE && pg_fault_is_there(t->fault) ? KEDGE_EXISTS
                                                                : pg_fault(c, t->fault, err);

        if (PQtransactionStatus(c->pg) != PQTRANS_IDLE || pg_fault_is_final(t->fault))
            pg_conn_drop(c);
        return rc;
    }
    if (writes(mode) && c->doubt) {
        pg_conn_drop(c);
        return kedge_error_set(err, KEDGE_ERR_UNKNOWN, 0,
                               "%s: the wait for a standby was cancelled: the write is on this "
                               "server and perhaps nowhere else; send it again unchanged",
                               c->place->shown);
    }
    return KEDGE_OK;
}

/* 0 .. BELOW - 1, so that those who lost together do not come back together. */
static int64_t jitter(int64_t below)
{
    return (int64_t)((uint64_t)pg_mono_us() * UINT64_C(2654435761) >> 12 & 0x7fffffff) % below;
}

static void wait_us(int64_t us)
{
    struct timespec ts = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

    if (us > 0)
        (void)nanosleep(&ts, NULL);
}

static void wait_a_little(unsigned turn, int64_t end)
{
    int64_t us = 500 + jitter(2000) * (int64_t)(turn < 10 ? turn : 10);
    int64_t left = end - pg_mono_us();

    wait_us(us < left ? us : left);
}

/* ---------------------------------------------------------------- set it up */

static int64_t cell_i64(const PGresult *r, int column)
{
    const unsigned char *p = (const unsigned char *)PQgetvalue(r, 0, column);
    uint64_t v = 0;

    for (int i = 0; i < PQgetlength(r, 0, column); i++)
        v = v << 8 | p[i];
    return (int64_t)v;
}

/* What there is, and whether it is the server itself that answers. */
static int probe(struct pg_conn *c, int64_t end, struct kedge_error *err)
{
    struct pg_query q[2];
    struct talk t = { .c = c, .q = q, .n = 2 };
    struct pg_buf kept = c->out; /* what is to be sent when there is a connection */
    int rc;

    memset(&c->out, 0, sizeof c->out);
    c->pooled = true; /* prepare nothing yet */
    pg_query_init(&q[0], PG_SQL_SETTINGS);
    pg_arg_i32(c, &q[0], c->place->pooler ? 0 : PQbackendPID(c->pg));
    pg_query_init(&q[1], PG_SQL_PROBE);
    pg_arg_bytes(c, &q[1], kedge_text(c->place->schema));
    rc = exchange(&t, PG_READ, end, err);
    if (rc == KEDGE_OK) {
        const PGresult *r = q[1].result;

        c->pooled = PQntuples(q[0].result) == 0;
        c->set_up = PQgetvalue(r, 0, 1)[0] != 0;
        c->row_in = (uint32_t)cell_i64(r, 3);
        c->run_in = (uint32_t)cell_i64(r, 4);
        c->server = (int)cell_i64(r, 5);
        c->schema_there = PQgetvalue(r, 0, 6)[0] != 0;
    }
    pg_clear(q, 2);
    talk_end(&t);
    pg_buf_free(&c->out);
    c->out = kept;
    return rc;
}

/*
 * Several hosts one by one, each with its share of the time: libpq itself would wait for the first
 * until the end, if that one does not even refuse.
 */
static int connect_new(struct pg_conn *c, int64_t end, struct kedge_error *err)
{
    unsigned n = c->place->n_hosts;
    unsigned first = atomic_load(&c->place->host);
    int rc = KEDGE_ERR_UNAVAILABLE;

    c->silences = atomic_load(&c->place->silences);
    for (unsigned k = 0; k < n && rc != KEDGE_OK; k++) {
        int64_t now = pg_mono_us();

        int64_t share = end > now ? (end - now) / (int64_t)(n - k) : 0;

        if (k + 1 < n && share > HOST_TIME_US)
            share = HOST_TIME_US;
        c->host = (first + k) % n;
        rc = connect_to(c, c->host, now + share, err);
    }
    return rc;
}

static int connect_and_probe(struct pg_conn *c, int64_t end, struct kedge_error *err)
{
    int rc = connect_new(c, end, err);

    if (rc == KEDGE_OK)
        rc = probe(c, end, err);
    if (rc == KEDGE_OK && c->server < 130000) {
        pg_conn_drop(c);
        rc = kedge_error_set(err, KEDGE_ERR_UNSUPPORTED, 0,
                             "%s: the server is PostgreSQL %d, 13 is the oldest this works with",
                             c->place->shown, c->server / 10000);
    }
    if (rc == KEDGE_OK)
        atomic_store(&c->place->host, c->host);
    return rc;
}

static bool still_there(struct pg_conn *c)
{
    if (c->pg != NULL && pg_mono_us() - c->used < FRESH_US)
        return true;
    /* A server that went away while nothing was asked has left an end of file behind. */
    return c->pg != NULL && (kit_await(&c->await, PQsocket(c->pg), POLLIN, 0) == 0 ||
                             (PQconsumeInput(c->pg) == 1 && PQstatus(c->pg) == CONNECTION_OK));
}

/* Others had no answer in time: where there is somewhere else to go, is there one here? */
static bool answers(struct pg_conn *c, int64_t end)
{
    unsigned silences = atomic_load(&c->place->silences);
    struct talk t = { .c = c }; /* nothing but the question whether the server is ready */
    int64_t share;
    int64_t now;

    if (c->silences == silences || c->place->n_hosts == 1)
        return true;
    c->silences = silences;
    now = pg_mono_us();
    share = end > now ? (end - now) / ((int64_t)c->place->n_hosts + 1) : 0;
    if (share > HOST_TIME_US)
        share = HOST_TIME_US;
    return exchange(&t, PG_READ, now + share, NULL) == KEDGE_OK;
}

bool pg_conn_told(struct pg_conn *c, int64_t end)
{
    bool told = false;

    while (!told) {
        PGnotify *note;

        if (PQconsumeInput(c->pg) != 1 || PQstatus(c->pg) != CONNECTION_OK)
            return true;
        while ((note = PQnotifies(c->pg)) != NULL) {
            PQfreemem(note);
            told = true;
        }
        if (!told && kit_await(&c->await, PQsocket(c->pg), POLLIN, end) == 0)
            return false;
    }
    return true;
}

int pg_conn_ready(struct pg_conn *c, int64_t end, struct kedge_error *err)
{
    int64_t now;
    int rc;

    if (c->host == atomic_load(&c->place->host) && still_there(c) && answers(c, end))
        return KEDGE_OK;
    pg_conn_drop(c);
    now = pg_mono_us();
    if (now < c->retry_at)
        wait_us((c->retry_at < end ? c->retry_at : end) - now);
    rc = connect_and_probe(c, end, err);
    if (rc == KEDGE_OK) {
        c->failures = 0;
        c->retry_at = 0;
    } else {
        int64_t us = RETRY_FIRST_US << (c->failures < 6 ? c->failures : 6);

        us = us < RETRY_LAST_US ? us : RETRY_LAST_US;
        c->failures++;
        c->retry_at = pg_mono_us() + us / 2 + jitter(us / 2);
    }
    return rc;
}

/* --------------------------------------------------------------- what is asked */

/* May it be sent again?  *FRESH: a new connection has been made for it already. */
static bool again(const struct pg_conn *c, enum pg_mode mode, int rc, enum pg_retry retry,
                  bool *fresh, int64_t end)
{
    if (rc == KEDGE_OK || rc == KEDGE_ERR_UNKNOWN || pg_mono_us() >= end)
        return false;
    if (retry == PG_RETRY_HERE)
        return true;
    if (*fresh || c->pg != NULL)
        return false;
    *fresh = true;
    return retry == PG_RETRY_ANEW || (!writes(mode) && rc == KEDGE_ERR_UNAVAILABLE);
}

int pg_run(struct pg_conn *c, struct pg_query *q, size_t n, enum pg_mode mode, int64_t end,
           struct kedge_error *err)
{
    struct talk t = { .c = c, .q = q, .n = n };
    struct kedge_error local;
    uint64_t here = c->made;
    bool fresh = false;
    unsigned turn = 0;
    int rc;

    if (err == NULL)
        err = &local;
    if (c->out.failed)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, ENOMEM, "out of memory");
    for (;;) {
        enum pg_retry retry;
        uint64_t made = c->made;

        rc = pg_conn_ready(c, end, err);
        if (rc != KEDGE_OK)
            break;
        fresh = fresh || c->made != made;
        if (mode == PG_HERE && c->made != here) {
            rc = KEDGE_NOT_FOUND;
            break;
        }
        rc = exchange(&t, mode, end, err);
        retry = pg_fault_retry(t.fault);
        talk_end(&t);
        if (!again(c, mode, rc, retry, &fresh, end))
            break;
        pg_clear(q, n);
        wait_a_little(++turn, end);
    }
    if (rc != KEDGE_OK)
        pg_clear(q, n);
    return rc;
}

void pg_clear(struct pg_query *q, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        PQclear(q[i].result);
        q[i].result = NULL;
    }
}

int pg_script(struct pg_conn *c, char *const *texts, size_t n, int64_t end, struct kedge_error *err)
{
    int rc = pg_conn_ready(c, end, err);

    for (size_t i = 0; rc == KEDGE_OK && i < n; i++) {
        struct talk t = { .c = c };
        int why = EPIPE;

        c->doubt = false;
        if (!send_text(&t, texts[i]) || PQpipelineSync(c->pg) != 1 || !converse(&t, end, &why))
            rc = broke(&t, PG_WRITE, why, err);
        else if (t.fault != NULL)
            rc = pg_fault(c, t.fault, err);
        talk_end(&t);
    }
    if (rc != KEDGE_OK)
        pg_conn_drop(c); /* and the transaction with it */
    return rc;
}
