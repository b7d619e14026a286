/*
 * sql.h - every text that is ever sent to the server
 *
 * In a text "@." stands for the schema of the namespace.  Texts are expanded once per store; values
 * travel apart from them.
 */
#ifndef KEDGE_PG_SQL_H
#define KEDGE_PG_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kedge/backend.h>

/* The store's time, in us: when the statement gets there, not when its transaction began. */
#define PG_NOW "(extract(epoch from clock_timestamp())*1000000)::bigint"

/* How many records the run has whose incarnation is the column RID: one look into the index. */
#define PG_LENGTH(rid)                                                                             \
    "coalesce((select j.n from @.journal j where j.rid=" rid " order by j.n desc limit 1),0)"

/* The columns of a run, as rows.c reads them: those of the table `run', of `hot', its length. */
#define PG_RUN_COLUMNS                                                                             \
    "r.rid,r.id,r.reactor,r.queue,r.context,r.parent,r.root,r.parent_inc,r.parent_set,"            \
    "r.parent_slot,r.version,r.created,r.create_req,r.fence,r.holder,r.status,r.place,r.wakes_on," \
    "r.requests,r.recoveries,r.rec_at,r.wake_mark,r.due,r.finished,r.expires,r.hold_until,"        \
    "r.snap_pos,r.take_req,r.l_req,r.l_fence,r.l_rev,r.l_pos,r.p_req,r.p_fence,r.p_rev,r.p_pos,"   \
    "h.hrev," PG_LENGTH("r.rid")
#define PG_RUN_WIDTH 38

/* The columns of a lease, likewise. */
#define PG_LEASE_COLUMNS                                                                           \
    "l.id,l.no,l.owner,l.serves,l.ttl,l.granted,l.grant_req,l.died,b.deadline,b.extended,"         \
    "b.attention,b.incarnation,b.hinted,b.claim_req"
#define PG_LEASE_WIDTH 14

enum pg_sql {
    PG_SQL_SETTINGS,
    PG_SQL_PROBE,
    PG_SQL_OPENED,
    PG_SQL_NOW,
    PG_SQL_LOOK_RUNS,
    PG_SQL_LOOK_LEASES,
    PG_SQL_LOOK_CELLS,
    PG_SQL_LOOK_LOCKS,
    PG_SQL_LOOK_SETS,
    PG_SQL_LOOK_SLOTS,
    PG_SQL_LOOK_RECORDS,
    PG_SQL_APPEND,
    PG_SQL_APPEND_ONE,
    PG_SQL_APPEND_POOLED,
    PG_SQL_APPLY,
    PG_SQL_CLAIM,
    PG_SQL_CLAIMED,
    PG_SQL_GRANT,
    PG_SQL_EXTEND,
    PG_SQL_UNHINT,
    PG_SQL_REVOKE,
    PG_SQL_SUSPECT,
    PG_SQL_INCARNATION,
    PG_SQL_BURY,
    PG_SQL_RESTAMP,
    PG_SQL_LEASES,
    PG_SQL_HELD_RUNS,
    PG_SQL_HELD_LOCKS,
    PG_SQL_RUN,
    PG_SQL_SNAPSHOT,
    PG_SQL_TAIL,
    PG_SQL_RECORDS,
    PG_SQL_SET,
    PG_SQL_SLOTS,
    PG_SQL_CELL,
    PG_SQL_LIST,
    PG_SQL_LIST_NEWEST,
    PG_SQL_LIST_KIDS,
    PG_SQL_LIST_KIDS_NEWEST,
    PG_SQL_LIST_UNSERVED,
    PG_SQL_LIST_UNSERVED_NEWEST,
    PG_SQL_LIST_EXPIRED,
    PG_SQL_PURGE,
    PG_SQL_VERIFY_RUNS,
    PG_SQL_VERIFY_REST,
    PG_SQL_INFO,
    PG_SQL_HOLD,
    PG_SQL_IN_USE,
    PG_SQL_LET_GO,
    PG_SQL_TICKET,
    PG_SQL_HINT,
    PG_SQL_COUNT
};

struct pg_statements {
    char *text[PG_SQL_COUNT];
};

/* With the schema's QUOTED name put in; false: no memory (nothing to free). */
bool pg_statements_init(struct pg_statements *s, const char *quoted);
void pg_statements_fini(struct pg_statements *s);

/* TEMPLATE with "@." expanded; to be freed.  NULL: no memory. */
char *pg_sql_expand(const char *template, const char *quoted);

/* The schema's version, and what each takes from the one before: migration I makes version I + 1.
 */
extern const uint32_t pg_schema_version;
struct pg_migration {
    const char *const *texts; /* "@." as above; one that begins with '&' goes on with the last */
    size_t n;
};
extern const struct pg_migration pg_migrations[];

#endif
