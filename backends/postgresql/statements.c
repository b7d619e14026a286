/* statements.c - what is asked of the tables and functions of schema.c */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "sql.h"

#include "../kit/mutant.h"

/* Walks the distinct (status, reactor) pairs there are, by index: few, however many runs. */
#define KINDS                                                                                      \
    "kinds(status,reactor) as ((select r.status,r.reactor from @.run r order by r.status,"         \
    "r.reactor limit 1) union all select n.status,n.reactor from kinds k,lateral (select "         \
    "r.status,r.reactor from @.run r where (r.status,r.reactor)>(k.status,k.reactor) order by "    \
    "r.status,r.reactor limit 1) n)"

/* Likewise the lists of due runs, and the holders. */
#define DUE_LISTS                                                                                  \
    "lists(queue,reactor,version) as ((select r.queue,r.reactor,r.version from @.run r where "     \
    "r.due<>0 order by r.queue,r.reactor,r.version limit 1) union all select n.* from lists k,"    \
    "lateral (select r.queue,r.reactor,r.version from @.run r where r.due<>0 and "                 \
    "(r.queue,r.reactor,r.version)>(k.queue,k.reactor,k.version) order by "                        \
    "r.queue,r.reactor,r.version limit 1) n)"
#define HOLDERS                                                                                    \
    "holders(id) as ((select r.holder from @.run r where r.holder is not null order by "           \
    "r.holder limit 1) union all select n.holder from holders k,lateral (select r.holder from "    \
    "@.run r where r.holder is not null and r.holder>k.id order by r.holder limit 1) n)"

/* The runs of q, which are no more than a page: their lengths are looked up one by one. */
#define OF_Q                                                                                       \
    "select " PG_RUN_COLUMNS " from q join @.run r on r.rid=q.rid join @.hot h on h.rid=r.rid "

#define VISIBLE "(r.expires=0 or r.expires>t.now)"
/* The same of a parent, where no time is at hand. */
#define STANDS "(p.expires=0 or p.expires>" PG_NOW ")"

/* Does the hint of lease l stand? */
#define STANDING                                                                                   \
    "exists(select from pg_locks k where k.locktype='advisory' and k.objsubid=2 and "              \
    "k.database=(select d.oid from pg_database d where d.datname=current_database()) and "         \
    "k.classid=@.class()::oid and k.objid=@.key(l.no)::oid and k.granted)"

/* The lease and its grip, as they are when nobody can change them before this is over. */
#define GRIPPED      "l.id=$1::uuid and l.died=0 and l.grip=$2::bigint"
#define APPEND_UNDER "with l as materialized (select from @.lease l where " GRIPPED " for share) "
#define APPENDED     "unnest($3::bigint[],$4::bigint[],$5::uuid[],$6::bytea[]) b(rid,n,req,rec)"

static const char *const templates[PG_SQL_COUNT] = {
    /* $1: the process number libpq was told.  Nothing is set where a pooler answers.  What
       statements look for they find by an index, whatever the statistics of a table with few rows
       say. */
    [PG_SQL_SETTINGS] =
        "select set_config('default_transaction_isolation','read committed',false),"
        "set_config('jit','off',false),"
        "set_config('plan_cache_mode','force_generic_plan',false),"
        "set_config('enable_seqscan','off',false),set_config('enable_hashjoin','off',false),"
        "set_config('enable_mergejoin','off',false),set_config('enable_bitmapscan','off',false),"
        "set_config('random_page_cost','0.1',false),"
        "set_config('lock_timeout','5s',false),"
        "set_config('statement_timeout','10min',false),"
        "set_config('idle_in_transaction_session_timeout','20s',false),"
        /* Of a request whose end is on the way only this ends the transaction. */
        "set_config('tcp_keepalives_idle','10',false),"
        "set_config('tcp_keepalives_interval','5',false),"
        "set_config('tcp_keepalives_count','3',false),"
        "(select set_config(s.name,'1s',false) from pg_settings s where "
        "s.name='client_connection_check_interval' and s.setting='0') "
        "where pg_backend_pid()=$1::int",
    [PG_SQL_PROBE] =
        "select pg_backend_pid(),to_regclass('@.meta') is not null,"
        "coalesce(to_regtype('@._row_in')::oid::int8,0),"
        "coalesce((select t.typelem::int8 from pg_type t where t.oid=to_regtype('@._row_in')),0),"
        "coalesce((select t.typelem::int8 from pg_type t where t.oid=to_regtype('@._run_in')),0),"
        "current_setting('server_version_num')::int8,"
        "exists(select from pg_namespace n where n.nspname=$1::text)",
    [PG_SQL_TICKET] = "select w.last_value+case when w.is_called then 1 else 0 end from @.work w",
    /* In a transaction of its own, which is not waited for on the disk: see wait.c. */
    [PG_SQL_HINT] = "select set_config('synchronous_commit','off',true),nextval('@.work'),"
                    "pg_notify($1::text,'')",
    [PG_SQL_OPENED] = "select m.version,m.ns from @.meta m",
    [PG_SQL_NOW] = "select " PG_NOW,
    [PG_SQL_LOOK_RUNS] =
        "select x.o," PG_RUN_COLUMNS " from unnest($1::bytea[]) with ordinality x(id,o) "
        "join @.run r on r.id=x.id join @.hot h on h.rid=r.rid",
    [PG_SQL_LOOK_LEASES] =
        "select x.o," PG_LEASE_COLUMNS " from unnest($1::uuid[]) with ordinality x(id,o) "
        "join @.lease l on l.id=x.id join @.beat b on b.lease=l.id",
    [PG_SQL_LOOK_CELLS] = "select x.o,c.value,c.version,c.expires,c.req from "
                          "unnest($1::bytea[]) with ordinality x(name,o) join @.cell c on "
                          "c.name=x.name",
    [PG_SQL_LOOK_LOCKS] = "select x.o,k.lease,k.fence,k.req from "
                          "unnest($1::bytea[]) with ordinality x(name,o) join @.lock k on "
                          "k.name=x.name",
    [PG_SQL_LOOK_SETS] =
        "select x.o,s.total,s.remaining from "
        "unnest($1::bytea[],$2::bigint[]) with ordinality x(id,set_no,o) "
        "join @.run r on r.id=x.id join @.slot_set s on s.rid=r.rid and s.set_no=x.set_no",
    [PG_SQL_LOOK_SLOTS] = "select x.o from unnest($1::bytea[],$2::bigint[],$3::bigint[]) with "
                          "ordinality x(id,set_no,idx,o) join @.run r on r.id=x.id join @.slot s "
                          "on s.rid=r.rid and s.set_no=x.set_no and s.idx=x.idx",
    [PG_SQL_LOOK_RECORDS] =
        "select x.o,j.req from unnest($1::bytea[],$2::bigint[]) with ordinality "
        "x(id,n,o) join @.run r on r.id=x.id join @.journal j on j.rid=r.rid "
        "and j.n=x.n",
    /* Plain appends: the answer is how many were made, all or none.  $1 the lease and $2 its grip:
       see schema.c. */
    [PG_SQL_APPEND] = APPEND_UNDER "insert into @.journal (rid,n,req,at,rec) "
                                   "select b.rid,b.n,b.req,(select " PG_NOW "),b.rec from " APPENDED
                                   " where exists(select from l)",
    /* The same of one record, without the arrays and what it takes to unpack them. */
    [PG_SQL_APPEND_ONE] =
        "insert into @.journal (rid,n,req,at,rec) select $3::bigint,$4::bigint,$5::uuid," PG_NOW
        ",$6::bytea from @.lease l where " GRIPPED " for share",
    /* Behind a pooler the server may have become another, which has lost what it acknowledged: the
       run must still be held under this fence, and the record before must be there. */
    [PG_SQL_APPEND_POOLED] =
        APPEND_UNDER "insert into @.journal (rid,n,req,at,rec) "
                     "select b.rid,b.n,b.req,(select " PG_NOW "),b.rec from "
                     "unnest($3::bigint[],$4::bigint[],$5::uuid[],$6::bytea[],$7::bigint[]) "
                     "b(rid,n,req,rec,fence) where exists(select from l) and exists(select from "
                     "@.run r where r.rid=b.rid and r.fence=b.fence) and (b.n=1 or exists(select "
                     "from @.journal j where j.rid=b.rid and j.n=b.n-1)) on conflict do nothing",
    [PG_SQL_APPLY] =
        "select * from @.apply($1::int,$2::@.row_in[],$3::@.row_in[],$4::uuid[],$5::uuid[],"
        "$6::uuid[],$7::bigint[],$8::bytea[],$9::bytea[],$10::uuid[],$11::@.row_in[],"
        "$12::@.row_in[],$13::@.run_in[],$14::@.row_in[],$15::@.row_in[],$16::@.row_in[],"
        "$17::@.row_in[],$18::@.row_in[],$19::@.row_in[],$20::@.row_in[],$21::@.row_in[],"
        "$22::uuid,$23::bigint[],$24::bigint[],$25::bigint[],$26::uuid[],$27::bytea[],$28::bool,"
        "$29::int,$30::bigint,$31::bigint)",
    [PG_SQL_CLAIM] = "select * from @.claim($1::uuid,$2::uuid,$3::bytea[],$4::bytea[],"
                     "$5::bigint[],$6::bigint[],$7::int,$8::int,$9::bigint)",
    /* All that the lease holds is looked through, but only if its last claim took something. */
    [PG_SQL_CLAIMED] =
        "select " PG_RUN_COLUMNS " from @.beat b cross join lateral (select o.rid from @.run o "
        "where o.holder=b.lease and o.take_req=$2::uuid offset 0) x join @.run r on r.rid=x.rid "
        "join @.hot h on h.rid=r.rid where b.lease=$1::uuid and b.claim_req=$2::uuid order by "
        "r.fence limit $3::int",
    [PG_SQL_GRANT] = "select * from @.grant_lease($1::uuid,$2::uuid,$3::bytea,$4::bytea,"
                     "$5::bigint,$6::bool)",
    [PG_SQL_EXTEND] = "select * from @.extend_lease($1::uuid,$2::bool,$3::bool)",
    [PG_SQL_UNHINT] = "select pg_advisory_unlock(@.class(),@.key($1::bigint))",
    [PG_SQL_REVOKE] = "select * from @.revoke_lease($1::uuid)",
    [PG_SQL_SUSPECT] =
        "select " PG_LEASE_COLUMNS "," PG_NOW "," STANDING
        ",(select v.start=(extract(epoch from pg_postmaster_start_time())*1000000)::bigint from "
        "@.server v) from @.lease l join @.beat b on b.lease=l.id where l.died=0 or l.id=$1::uuid",
    [PG_SQL_INCARNATION] = "select * from @.incarnation()",
    [PG_SQL_BURY] = "select * from @.bury_lease($1::uuid,$2::bigint,$3::bool)",
    [PG_SQL_RESTAMP] = "update @.beat b set extended=t.now,deadline=t.now+l.ttl from "
                       "(select " PG_NOW " as now) t,@.lease l where l.id=b.lease and l.died=0 "
                       "and b.extended>t.now",
    [PG_SQL_LEASES] =
        "select " PG_LEASE_COLUMNS "," PG_NOW "," STANDING
        " from @.lease l join @.beat b on b.lease=l.id where l.id>$1::uuid order by l.id "
        "limit $2::int",
    [PG_SQL_HELD_RUNS] = "select r.rid,r.id,r.fence,r.requests from @.run r where "
                         "r.holder=$1::uuid and r.rid>$2::bigint order by r.rid limit $3::int",
    [PG_SQL_HELD_LOCKS] = "select k.name,k.fence from @.lock k where k.lease=$1::uuid and "
                          "k.name>$2::bytea order by k.name limit $3::int",
    [PG_SQL_RUN] = "select " PG_RUN_COLUMNS " from (select " PG_NOW
                   " as now) t,@.run r join @.hot h on h.rid=r.rid where "
                   "r.id=$1::bytea and ($2::bigint=0 or r.rid=$2) and " VISIBLE,
    [PG_SQL_SNAPSHOT] = "select s.rec from @.run r join @.snapshot s on s.rid=r.rid where "
                        "r.id=$1::bytea",
    /* No join: whoever plans that does not know that there is one run, and sorts. */
    [PG_SQL_TAIL] = "select j.n,j.req,j.at,j.rec from @.journal j where j.rid=(select r.rid from "
                    "@.run r where r.id=$1::bytea) and j.n>(select r.snap_pos from @.run r where "
                    "r.id=$1) order by j.n",
    [PG_SQL_RECORDS] =
        "select q.n,q.req,q.at,q.rec from (select p.n,p.req,p.at,p.rec,"
        "sum(octet_length(p.rec)) over (order by p.n)-octet_length(p.rec) as before from @.run r "
        "cross join lateral (select j.n,j.req,j.at,j.rec from @.journal j where j.rid=r.rid and "
        "j.n>=$2::bigint order by j.n limit $3::int) p where r.id=$1::bytea) q "
        "where q.before<$4::bigint order by q.n",
    [PG_SQL_SET] = "select s.total,s.remaining from @.run r join @.slot_set s on s.rid=r.rid where "
                   "r.id=$1::bytea and s.set_no=$2::bigint",
    [PG_SQL_SLOTS] = "select s.idx,s.val from @.run r join @.slot s on s.rid=r.rid where "
                     "r.id=$1::bytea and s.set_no=$2::bigint and s.idx>=$3::bigint order by s.idx "
                     "limit $4::int",
    [PG_SQL_CELL] = "select c.value,c.version,c.expires from (select " PG_NOW
                    " as now) t,@.cell c where c.name=$1::bytea and (c.expires=0 or "
                    "c.expires>t.now)",
    [PG_SQL_LIST] =
        "with recursive " KINDS "," /* $1 statuses, $2 reactor or empty, $3 behind, $4 limit */
        "q as (select x.rid from kinds k,lateral (select r.rid from (select " PG_NOW " as now) t,"
        "@.run r where r.status=k.status and r.reactor=k.reactor and r.rid>$3::bigint and " VISIBLE
        " order by r.rid limit $4::int) x where k.status=any($1::int[]) and "
        "($2::bytea='' or k.reactor=$2) order by x.rid limit $4) " OF_Q "order by r.rid",
    [PG_SQL_LIST_NEWEST] =
        "with recursive " KINDS ","
        "q as (select x.rid from kinds k,lateral (select r.rid from (select " PG_NOW " as now) t,"
        "@.run r where r.status=k.status and r.reactor=k.reactor and r.rid<$3::bigint and " VISIBLE
        " order by r.rid desc limit $4::int) x where k.status=any($1::int[]) and "
        "($2::bytea='' or k.reactor=$2) order by x.rid desc limit $4) " OF_Q "order by r.rid desc",
    /* $5 parent, $6 its incarnation, 0: the present one */
    [PG_SQL_LIST_KIDS] =
        "with q as materialized (select r.rid from (select " PG_NOW " as now) t,@.run r where "
        "r.parent<>'' and r.parent_inc=(case when $6::bigint<>0 then $6 else "
        "(select p.rid from @.run p where p.id=$5::bytea and " STANDS ") end) and r.parent=$5 and "
        "r.status=any($1::int[]) and ($2::bytea='' or r.reactor=$2) and r.rid>$3::bigint "
        "and " VISIBLE " order by r.rid limit $4::int) " OF_Q "order by r.rid",
    [PG_SQL_LIST_KIDS_NEWEST] =
        "with q as materialized (select r.rid from (select " PG_NOW " as now) t,@.run r where "
        "r.parent<>'' and r.parent_inc=(case when $6::bigint<>0 then $6 else "
        "(select p.rid from @.run p where p.id=$5::bytea and " STANDS ") end) and r.parent=$5 and "
        "r.status=any($1::int[]) and ($2::bytea='' or r.reactor=$2) and r.rid<$3::bigint "
        "and " VISIBLE " order by r.rid desc limit $4::int) " OF_Q "order by r.rid desc",
    /* $5.. what is served */
    [PG_SQL_LIST_UNSERVED] =
        "with recursive " DUE_LISTS ",un as (select k.* from lists k where ($2::bytea='' or "
        "k.reactor=$2) and not exists(select from unnest($5::bytea[],$6::bytea[],$7::bigint[],"
        "$8::bigint[]) s(queue,reactor,low,top) where s.queue=k.queue and s.reactor=k.reactor and "
        "k.version between s.low and s.top)),"
        "q as materialized (select r.rid from un join @.run r on r.queue=un.queue and "
        "r.reactor=un.reactor and r.version=un.version and r.due<>0 "
        "where r.place=1 and r.status=any($1::int[]) and r.rid>$3::bigint and "
        "($9::bytea='' or (r.parent=$9 and r.parent_inc=(case when $10::bigint<>0 then $10 else "
        "(select p.rid from @.run p where p.id=$9 and " STANDS ") end))) "
        "order by r.rid limit $4::int) " OF_Q "order by r.rid",
    [PG_SQL_LIST_UNSERVED_NEWEST] =
        "with recursive " DUE_LISTS ",un as (select k.* from lists k where ($2::bytea='' or "
        "k.reactor=$2) and not exists(select from unnest($5::bytea[],$6::bytea[],$7::bigint[],"
        "$8::bigint[]) s(queue,reactor,low,top) where s.queue=k.queue and s.reactor=k.reactor and "
        "k.version between s.low and s.top)),"
        "q as materialized (select r.rid from un join @.run r on r.queue=un.queue and "
        "r.reactor=un.reactor and r.version=un.version and r.due<>0 "
        "where r.place=1 and r.status=any($1::int[]) and r.rid<$3::bigint and "
        "($9::bytea='' or (r.parent=$9 and r.parent_inc=(case when $10::bigint<>0 then $10 else "
        "(select p.rid from @.run p where p.id=$9 and " STANDS ") end))) "
        "order by r.rid desc limit $4::int) " OF_Q "order by r.rid desc",
    /*
     * $1, $2: (since, rid) of the last one shown; $3: how many.  Leases first, then their runs;
     * an overdue run of a lease that is itself unhealthy comes with that lease.
     */
    [PG_SQL_LIST_EXPIRED] =
        "with recursive " HOLDERS ",t as materialized (select " PG_NOW " as now),"
        "bad as (select k.id,case when l.id is null then 3 when l.died<>0 then 2 else 1 end as "
        "reason,case when l.id is null then (-9223372036854775807-1)::bigint when l.died<>0 then "
        "l.died else b.deadline end as since from t,holders k left join @.lease l on l.id=k.id "
        "left join @.beat b on b.lease=l.id where l.id is null or l.died<>0 or t.now>=b.deadline),"
        "q as ((select x.rid,bad.since,bad.reason from bad,lateral (select r.rid from @.run r "
        "where r.holder=bad.id and (bad.since>$1::bigint or r.rid>$2::bigint) order by r.rid limit "
        "$3::int) x where bad.since>=$1 order by bad.since,x.rid limit $3) union all (select "
        "r.rid,r.hold_until,4 from t cross join lateral (select o.rid,o.hold_until,o.holder "
        "from @.run o where o.hold_until<>0 and o.hold_until<=t.now and "
        "(o.hold_until,o.rid)>($1,$2) order by o.hold_until,o.rid offset 0) r join @.lease l on "
        "l.id=r.holder join @.beat b on b.lease=l.id where l.died=0 and t.now<b.deadline order by "
        "r.hold_until,r.rid limit $3)) "
        "select " PG_RUN_COLUMNS ",q.since,q.reason from q join @.run r on r.rid=q.rid join @.hot "
        "h on h.rid=r.rid order by q.since,r.rid limit $3",
    [PG_SQL_PURGE] = "select * from @.purge($1::bigint)",
    /* $1: behind; $2: how many */
    [PG_SQL_VERIFY_RUNS] =
        "select " PG_RUN_COLUMNS ",(select count(*) from @.journal j where j.rid=r.rid),"
        "(select coalesce(max(j.n),0) from @.journal j where j.rid=r.rid),"
        "exists(select from @.snapshot s where s.rid=r.rid) from @.run r join @.hot h on "
        "h.rid=r.rid where r.rid>$1::bigint order by r.rid limit $2::int",
    [PG_SQL_VERIFY_REST] =
        "select (select count(*) from @.hot h where not exists(select from @.run r where "
        "r.rid=h.rid)),(select count(*) from @.run r where not exists(select from @.hot h where "
        "h.rid=r.rid)),(select count(*) from @.slot_set s where s.total<>s.remaining+(select "
        "count(*) from @.slot o where o.rid=s.rid and o.set_no=s.set_no)),"
        "(select count(*) from @.slot_set s where not exists(select from @.run r where "
        "r.rid=s.rid) and not exists(select from @.trash x where x.rid=s.rid)),"
        "(select count(*) from (select distinct j.rid from @.journal j) j where not exists(select "
        "from @.run r where r.rid=j.rid) and not exists(select from @.trash x where x.rid=j.rid)),"
        "(select count(*) from @.lease l where not exists(select from @.beat b where "
        "b.lease=l.id)),(select count(*) from @.run r,(select last_value from @.fence) f where "
        "r.fence>f.last_value)",
    [PG_SQL_INFO] = "select version(),current_setting('fsync'),current_setting('full_page_writes'),"
                    "current_setting('synchronous_commit'),current_setting('wal_level'),"
                    "current_setting('synchronous_standby_names'),"
                    "(select count(*) from pg_stat_replication s)::text,"
                    "(select count(*) from pg_stat_replication s where s.sync_state in "
                    "('sync','quorum'))::text,current_user::text,current_database()::text,"
                    "(select i.token from @.incarnation() i),(select m.version from @.meta m),"
                    "(select count(*) from @.lease)::text,(select count(*) from @.lock)::text,"
                    "(select greatest(c.reltuples,0)::bigint from pg_class c where "
                    "c.oid='@.run'::regclass)::text,"
                    "(select count(*) from @.trash)::text",
    /* Every open store holds the one, shared; a drop tries the whole of it. */
    [PG_SQL_HOLD] = "select pg_advisory_lock_shared(@.class(),-1)",
    [PG_SQL_IN_USE] = "select not pg_try_advisory_lock(@.class(),-1)",
    [PG_SQL_LET_GO] = "select pg_advisory_unlock_all()",
};

char *pg_sql_expand(const char *template, const char *quoted)
{
    size_t len = strlen(quoted);
    size_t room = 1;
    char *text;
    char *out;

    KIT_MUTANT_TEXT("p01", template, "clock_timestamp()", "now()");
    KIT_MUTANT_TEXT("p01", template, " perform 1 from @.beat where lease=p_id for update;",
                    " perform pg_sleep(0.003*random());");
    KIT_MUTANT_TEXT("p10", template, "while not pg_try_advisory_xact_lock",
                    "while false and not "
                    "pg_try_advisory_xact_lock");
    KIT_MUTANT_TEXT("p02", template, "limit p_limit", "limit 1+p_limit");
    KIT_MUTANT_TEXT("p03", template, " order by h.rid for update skip locked);", ");");
    KIT_MUTANT_TEXT("p03", template, "limit p_limit-cardinality(took));",
                    "limit p_limit-cardinality(took)); perform pg_sleep(0.005);");
    KIT_MUTANT_TEXT("p04", template, "greatest(s.last_value+1,@.now_us())", "@.now_us()");
    KIT_MUTANT_TEXT("p09", template, "'read committed'", "'serializable'");
    KIT_MUTANT_TEXT("p07", template, "where id=h_lease and died=0", "where id=h_lease");
    KIT_MUTANT_TEXT("p07", template, " and l.died=0 and l.grip=", " and l.grip=");
    KIT_MUTANT_TEXT("p08", template, "set grip=greatest(l.grip+1,t)", "set grip=l.grip");
    for (const char *p = template; *p != '\0'; p++)
        room += p[0] == '@' && p[1] == '.' ? len : 1;
    text = malloc(room);
    if (text == NULL)
        return NULL;
    out = text;
    for (const char *p = template; *p != '\0'; p++) {
        if (p[0] == '@' && p[1] == '.') {
            memcpy(out, quoted, len);
            out += len;
        } else {
            *out++ = *p;
        }
    }
    *out = '\0';
    return text;
}

bool pg_statements_init(struct pg_statements *s, const char *quoted)
{
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < PG_SQL_COUNT; i++) {
        s->text[i] = pg_sql_expand(templates[i], quoted);
        if (s->text[i] == NULL) {
            pg_statements_fini(s);
            return false;
        }
    }
    return true;
}

void pg_statements_fini(struct pg_statements *s)
{
    for (size_t i = 0; i < PG_SQL_COUNT; i++)
        free(s->text[i]);
    memset(s, 0, sizeof *s);
}
