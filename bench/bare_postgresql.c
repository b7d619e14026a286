/*
 * bare_postgresql.c - records as rows of a table, by one prepared INSERT, nothing else
 *
 * A table of a place: run, number, record, with the first two as its key.  A batch is one INSERT
 * from unnested arrays.  Everything travels in binary, and no plan is made twice.
 */
#include <config.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#include "bare.h"
#include "server.h"

/* Types as PostgreSQL numbers them, for good. */
#define OID_BYTEA       17u
#define OID_INT8        20u
#define OID_INT4        23u
#define OID_BYTEA_ARRAY 1001u
#define OID_INT4_ARRAY  1007u
#define OID_INT8_ARRAY  1016u

#define ARRAY_HEAD 20 /* dimensions, nulls, type, length, first index */

struct link {
    PGconn *pg;
    const char *place;
    pid_t postmaster; /* 0: not here */
    uint8_t tags[ARRAY_HEAD + BARE_MOST * 12];
    uint8_t numbers[ARRAY_HEAD + BARE_MOST * 8];
    uint8_t *records;
};

/* Its message ends with a line feed. */
static void die_of(const struct link *l)
{
    const char *why = PQerrorMessage(l->pg);

    die("bare PostgreSQL: %.*s", (int)strcspn(why, "\n"), why);
}

static PGresult *must(const struct link *l, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        die_of(l);
    return result;
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static PGresult *
ask(struct link *l, const char *fmt, ...)
{
    char sql[8192];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    return must(l, PQexec(l->pg, sql));
}

static struct link *link_to(const char *place)
{
    struct link *l = must_alloc(1, sizeof *l);

    l->place = place;
    l->records = must_alloc(1, ARRAY_HEAD + BARE_MOST * (4 + opt.record));
    l->pg = PQconnectdb(opt.store);
    if (PQstatus(l->pg) != CONNECTION_OK)
        die_of(l);
    PQclear(ask(l, "set client_min_messages = warning"));
    PQclear(ask(l, "set plan_cache_mode = force_generic_plan"));
    PQclear(ask(l, "set jit = off"));
    return l;
}

static void postgresql_unlink(void *link)
{
    struct link *l = link;

    PQfinish(l->pg);
    free(l->records);
    free(l);
}

/* An INSERT of three parameters, with ROWS behind the name of the table. */
static void prepare(struct link *l, const char *name, const Oid types[3], const char *rows)
{
    char sql[8192];

    (void)snprintf(sql, sizeof sql, "insert into \"%s\" %s", l->place, rows);
    PQclear(must(l, PQprepare(l->pg, name, sql, 3, types)));
}

static void *postgresql_link(struct bare *bare)
{
    static const Oid scalars[] = { OID_INT8, OID_INT4, OID_BYTEA };
    static const Oid arrays[] = { OID_INT8_ARRAY, OID_INT4_ARRAY, OID_BYTEA_ARRAY };
    struct link *l = link_to(bare->place);

    prepare(l, "one", scalars, "values ($1, $2, $3)");
    prepare(l, "many", arrays, "select * from unnest($1, $2, $3)");
    return l;
}

static void postgresql_open(struct bare *bare)
{
    struct link *l = link_to(bare->place);

    PQclear(ask(l,
                "create table if not exists \"%s\" (run bigint, number int, record bytea, "
                "primary key (run, number))",
                bare->place));
    postgresql_unlink(l);
}

static void postgresql_close(struct bare *bare)
{
    struct link *l = link_to(bare->place);

    PQclear(ask(l, "drop table if exists \"%s\"", bare->place));
    postgresql_unlink(l);
}

static void postgresql_birth(void *link, uint64_t first, size_t n)
{
    (void)link;
    (void)first;
    (void)n;
}

/* ------------------------------------------------------------------------ rows */

static void put_be(uint8_t *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--) {
        to[i - 1] = (uint8_t)value;
        value >>= 8;
    }
}

static void array_head(uint8_t head[ARRAY_HEAD], Oid type, size_t n)
{
    put_be(head, 1, 4);
    put_be(head + 4, 0, 4);
    put_be(head + 8, type, 4);
    put_be(head + 12, n, 4);
    put_be(head + 16, 1, 4);
}

static void send_rows(struct link *l, const char *statement, const void *tags, size_t tags_len,
                      const void *numbers, size_t numbers_len, const void *records,
                      size_t records_len)
{
    const char *values[] = { tags, numbers, records };
    const int lengths[] = { (int)tags_len, (int)numbers_len, (int)records_len };
    static const int formats[] = { 1, 1, 1 };

    PQclear(must(l, PQexecPrepared(l->pg, statement, 3, values, lengths, formats, 1)));
}

static void append_one(struct link *l, const struct bare_item *item)
{
    uint8_t tag[8];
    uint8_t number[4];

    put_be(tag, item->tag, sizeof tag);
    put_be(number, item->number, sizeof number);
    record_fill(l->records, item->tag, item->number);
    send_rows(l, "one", tag, sizeof tag, number, sizeof number, l->records, opt.record);
}

static void postgresql_append(void *link, const struct bare_item *items, size_t n)
{
    struct link *l = link;

    if (n == 1) {
        append_one(l, items);
        return;
    }
    array_head(l->tags, OID_INT8, n);
    array_head(l->numbers, OID_INT4, n);
    array_head(l->records, OID_BYTEA, n);
    for (size_t i = 0; i < n; i++) {
        uint8_t *tag = l->tags + ARRAY_HEAD + 12 * i;
        uint8_t *number = l->numbers + ARRAY_HEAD + 8 * i;
        uint8_t *record = l->records + ARRAY_HEAD + (4 + opt.record) * i;

        put_be(tag, 8, 4);
        put_be(tag + 4, items[i].tag, 8);
        put_be(number, 4, 4);
        put_be(number + 4, items[i].number, 4);
        put_be(record, opt.record, 4);
        record_fill(record + 4, items[i].tag, items[i].number);
    }
    send_rows(l, "many", l->tags, ARRAY_HEAD + 12 * n, l->numbers, ARRAY_HEAD + 8 * n, l->records,
              ARRAY_HEAD + (4 + opt.record) * n);
}

static void check_record(const struct link *l, uint64_t tag, uint64_t number)
{
    PGresult *r = PQgetResult(l->pg);

    if (PQresultStatus(r) != PGRES_SINGLE_TUPLE)
        die("bare PostgreSQL: record %" PRIu64 " of journal %" PRIu64 " is not there", number, tag);
    if (!record_is(PQgetvalue(r, 0, 0), (size_t)PQgetlength(r, 0, 0), tag, number))
        die("bare PostgreSQL: record %" PRIu64 " of journal %" PRIu64 " is not what was written",
            number, tag);
    PQclear(r);
}

static void postgresql_verify(void *link, uint64_t tag, uint64_t count)
{
    struct link *l = link;
    char sql[8192];
    PGresult *r;

    (void)snprintf(sql, sizeof sql,
                   "select record from \"%s\" where run = %" PRIu64 " order by number", l->place,
                   tag);
    if (PQsendQueryParams(l->pg, sql, 0, NULL, NULL, NULL, NULL, 1) != 1 ||
        PQsetSingleRowMode(l->pg) != 1)
        die_of(l);
    for (uint64_t number = 1; number <= count; number++)
        check_record(l, tag, number);
    r = PQgetResult(l->pg);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        die("bare PostgreSQL: journal %" PRIu64 " has more than %" PRIu64 " records", tag, count);
    while (r != NULL) {
        PQclear(r);
        r = PQgetResult(l->pg);
    }
}

/* -------------------------------------------------------------------- counters */

static uint64_t number_at(const PGresult *r, int column)
{
    return strtoull(PQgetvalue(r, 0, column), NULL, 10);
}

/* Until the sessions that were closed are gone, and have told what they did. */
static bool await_others(struct link *l)
{
    const struct timespec pause = { .tv_nsec = 2000000 };
    int64_t until = now_ns() + INT64_C(10000000000);
    uint64_t n;

    do {
        PGresult *r =
            ask(l, "select count(*) from pg_stat_activity where pid <> pg_backend_pid() and "
                   "datname = current_database() and backend_type = 'client backend'");

        n = number_at(r, 0);
        PQclear(r);
        if (n > 0)
            (void)nanosleep(&pause, NULL);
    } while (n > 0 && now_ns() < until);
    return n == 0;
}

/*
 * The write-ahead log is counted at once.  The others are told by each session when it ends, or
 * now and then: whoever wants them (ALL) has closed what it counts.  Our own go along.
 */
static void postgresql_counts(void *link, struct server_counts *out, bool all)
{
    struct link *l = link;
    PGresult *r;

    memset(out, 0, sizeof *out);
    r = ask(l, "select pg_current_wal_insert_lsn() - '0/0'");
    out->log_bytes = (int64_t)number_at(r, 0);
    PQclear(r);
    if (!all)
        return;
    out->crowded = !await_others(l);
    PQclear(ask(l, "select pg_stat_force_next_flush()"));
    r = ask(l, "select xact_commit + xact_rollback, tup_inserted + tup_updated + tup_deleted, "
               "(select wal_sync from pg_stat_wal) from pg_stat_database "
               "where datname = current_database()");
    out->commands = number_at(r, 0);
    out->changes = number_at(r, 1);
    out->flushes = number_at(r, 2);
    PQclear(r);
}

/* That of another machine has a number that says nothing here. */
static pid_t postgresql_pid(void *link)
{
    struct link *l = link;
    char name[32];

    if (l->postmaster == 0)
        l->postmaster = server_parent((pid_t)PQbackendPID(l->pg));
    server_name(l->postmaster, name, sizeof name);
    return strncmp(name, "postgres", 8) == 0 ? l->postmaster : 0;
}

static int64_t postgresql_cpu_ns(void *link)
{
    pid_t pid = postgresql_pid(link);

    return pid > 0 ? server_cpu_ns(pid) : -1;
}

static const char *postgresql_wrong(void *link)
{
    PGresult *r = ask(link, "select current_setting('fsync') = 'on' and "
                            "current_setting('synchronous_commit') in ('on', 'remote_apply') and "
                            "current_setting('full_page_writes') = 'on'");
    bool good = PQgetvalue(r, 0, 0)[0] == 't';

    PQclear(r);
    return good ? NULL : "it does not have fsync, synchronous_commit and full_page_writes on";
}

static void postgresql_describe(char *text, size_t size)
{
    struct link *l = link_to("");

    (void)snprintf(text, size, "%s, by libpq %d", PQparameterStatus(l->pg, "server_version"),
                   PQlibVersion());
    postgresql_unlink(l);
}

const struct bare_kind bare_postgresql = {
    .name = "PostgreSQL",
    .side = "bare PostgreSQL",
    .is_server = true,
    .backend = "postgresql",
    .describe = postgresql_describe,
    .open = postgresql_open,
    .close = postgresql_close,
    .link = postgresql_link,
    .unlink = postgresql_unlink,
    .birth = postgresql_birth,
    .append = postgresql_append,
    .verify = postgresql_verify,
    .counts = postgresql_counts,
    .cpu_ns = postgresql_cpu_ns,
    .pid = postgresql_pid,
    .wrong = postgresql_wrong,
};
