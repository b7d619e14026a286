/*
 * schema.c - the tables of a namespace and the functions that write them
 *
 *   run       a head; rid is its incarnation
 *   hot       (rid, head revision).  Its row is the lock of the run: whoever writes its head, or
 *             builds on what he read of the run, locks it first.  A plain append does not.
 *   journal   records, numbered from 1 without a gap; they go only with their run, so that the last
 *             number is how many there are.  snapshot; slot_set and slot
 *   cell, lock
 *   lease     who, and its grip, see below; else it never changes until it dies
 *   beat      what of a lease changes all the time; nothing in it is indexed
 *   trash     incarnations whose head is gone and whose rows go with purge
 *   server    which life of the server this is; unlogged, so that a crash empties it
 *   work      a sequence that moves when there may be work to wake up for
 *   fence     the sequence of all fences and versions, kept at the store's time or above
 *
 * The grip of a lease rises in each transaction that writes the head of a run which that lease held
 * before, whoever does it: as long as it is what it was, so are the heads of all that it holds.  A
 * plain append of its holder therefore looks at no run.  It shares the lock of the lease's row (FOR
 * SHARE), finds lease and grip as they are when it has that lock, and adds records, whose key says
 * whether their numbers are the next ones.  That they are not beyond the next is for the client to
 * know, which remembers no length a journal may have lost (session.h).
 *
 * Who writes the head of a run that is held, or builds on the length of its journal, locks the row
 * of its holder against appends (FOR NO KEY UPDATE).  He knows the holder from the head he looked
 * at, whose revision is compared afterwards.  Other commits of a lease only see to it that it does
 * not die meanwhile (FOR KEY SHARE; death is FOR UPDATE).  The dead are locked by nobody, as they
 * append nothing any more.
 *
 * The one order of locks:
 *
 *   names of locks to be made (advisory), lease FOR NO KEY UPDATE (by id), lease FOR KEY SHARE (by
 *   id), hot (by rid), lock (by name), cell (by name), beat (by lease)
 *
 * The two of leases cannot wait for each other.  Who has one FOR UPDATE has no other and goes on to
 * hot, where nobody waits for a lease; who appends waits for the one lease he names, and then for
 * others who append under that very lease, in the order of rid and n.  The lock of fences
 * (advisory) is held in between, by those who wait for nothing.
 *
 * 0 stands for "none" in numbers as it does in <kedge/backend.h>, NULL for the id that is all zero.
 */
#include <config.h>

#include "sql.h"

/* A column list twice: for the table and for the type that carries rows of it to apply(). */
#define RUN_MEMBERS(notnull)                                                                       \
    "rid bigint" notnull ",id bytea" notnull ",reactor bytea" notnull ",queue bytea" notnull       \
    ",context bytea" notnull ",parent bytea" notnull ",root bytea" notnull                         \
    ",parent_inc bigint" notnull ",parent_set bigint" notnull ",parent_slot bigint" notnull        \
    ",version bigint" notnull ",created bigint" notnull ",create_req uuid,fence bigint" notnull    \
    ",holder uuid,status int" notnull ",place int" notnull ",wakes_on int" notnull                 \
    ",requests int" notnull ",recoveries bigint" notnull ",rec_at bigint" notnull                  \
    ",wake_mark int" notnull ",due bigint" notnull ",finished bigint" notnull                      \
    ",expires bigint" notnull ",hold_until bigint" notnull ",snap_pos bigint" notnull              \
    ",take_req uuid,l_req uuid,l_fence bigint" notnull ",l_rev bigint" notnull                     \
    ",l_pos bigint" notnull ",p_req uuid,p_fence bigint" notnull ",p_rev bigint" notnull           \
    ",p_pos bigint" notnull

/* For plans that do what the text says, whatever the statistics: index by index, in order. */
#define PLAIN_PLANS                                                                                \
    " set enable_seqscan=off set enable_hashjoin=off set enable_mergejoin=off"                     \
    " set enable_bitmapscan=off set jit=off set plan_cache_mode=force_generic_plan"

#define HOT_TABLE                                                                                  \
    "with (fillfactor=50,autovacuum_vacuum_scale_factor=0.02,autovacuum_vacuum_threshold=500,"     \
    "autovacuum_vacuum_cost_delay=0)"

static const char *const version_1[] = {
    "create table @.meta (one bool primary key default true check (one),version int not null,"
    "ns bytea not null,created bigint not null)",
    "create sequence @.fence as bigint minvalue 1",
    "create sequence @.work as bigint minvalue 1",
    "create table @.run (" RUN_MEMBERS(
        " not null") ",primary key (rid),unique (id)) with (fillfactor=80,"
                     "autovacuum_vacuum_scale_factor=0.05)",
    "create index run_due on @.run (queue,reactor,version,due,rid) where due<>0",
    "create index run_held on @.run (holder,rid) where holder is not null",
    "create index run_over on @.run (hold_until,rid) where hold_until<>0",
    "create index run_expiry on @.run (expires,rid) where expires<>0",
    "create index run_kids on @.run (parent_inc,rid) where parent<>''",
    "create index run_kind on @.run (status,reactor,rid)",
    "create table @.hot (rid bigint primary key,hrev bigint not null) " HOT_TABLE,
    "create table @.journal (rid bigint not null,n bigint not null,req uuid not null,"
    "at bigint not null,rec bytea not null,primary key (rid,n))",
    "alter table @.journal alter rec set storage external",
    "create table @.snapshot (rid bigint primary key,rec bytea not null)",
    "alter table @.snapshot alter rec set storage external",
    "create table @.slot_set (rid bigint not null,set_no bigint not null,total bigint not null,"
    "remaining bigint not null,primary key (rid,set_no)) with (fillfactor=50)",
    "create table @.slot (rid bigint not null,set_no bigint not null,idx bigint not null,"
    "val bytea not null,primary key (rid,set_no,idx))",
    "alter table @.slot alter val set storage external",
    "create table @.cell (name bytea primary key,value bytea not null,version bigint not null,"
    "expires bigint not null,req uuid) with (fillfactor=50)",
    "create index cell_expiry on @.cell (expires) where expires<>0",
    "create table @.lock (name bytea primary key,lease uuid not null,fence bigint not null,"
    "req uuid)",
    "create index lock_lease on @.lock (lease,name)",
    "create table @.lease (id uuid primary key,no bigint generated always as identity,"
    "owner bytea not null,serves bytea not null,ttl bigint not null,granted bigint not null,"
    "grant_req uuid,died bigint not null,grip bigint not null default 0) " HOT_TABLE,
    "create index lease_dead on @.lease (died) where died<>0",
    "create table @.beat (lease uuid primary key,deadline bigint not null,extended bigint not "
    "null,attention bigint not null,incarnation bigint not null,hinted bool not null,"
    "claim_req uuid) " HOT_TABLE,
    "create table @.trash (rid bigint primary key)",
    "create unlogged table @.server (one bool primary key default true check (one),"
    "start bigint not null,token bigint not null,since bigint not null)",

    /* What apply() is given: rows of runs, and everything else in a general shape. */
    "create type @.run_in as (w int,g int,neu bool," RUN_MEMBERS("") ")",
    "create type @.row_in as (w int,g int,k int,rid bigint,a bigint,b bigint,c bigint,flag bool,"
    "u uuid,v uuid,name bytea,val bytea)",

    "create function @.now_us() returns bigint language sql volatile as $$select " PG_NOW "$$",

    /* The class of all advisory locks of this namespace. */
    "create function @.class() returns int language sql stable as "
    "$$select '@.meta'::regclass::oid::int$$",

    /* -N stands for the N-th fence of the call. */
    "create function @.fx(bigint,bigint[]) returns bigint language sql immutable as "
    "$$select case when $1<0 then $2[-$1] else $1 end$$",

    /*
     * N fences: above all that were issued, and not below the store's time.  The lock is let go of
     * at once, not at the end of the transaction: who holds it waits for nothing.
     */
    "create function @.fences(p_n int) returns bigint[] language plpgsql volatile as $$\n"
    "declare b bigint;\n"
    "begin\n"
    " if p_n=0 then return '{}'; end if;\n"
    " begin\n"
    "  perform pg_advisory_lock(@.class(),0);\n"
    "  select greatest(s.last_value+1,@.now_us()) into b from @.fence s;\n"
    "  perform setval('@.fence',b+p_n-1);\n"
    "  perform pg_advisory_unlock(@.class(),0);\n"
    " exception when query_canceled or others then\n"
    "  perform pg_advisory_unlock(@.class(),0);\n"
    "  raise;\n"
    " end;\n"
    " return array(select generate_series(b,b+p_n-1));\n"
    "end$$",

    /*
     * Which life of the server this is.  It changes with a restart, seen by the start time, and
     * with a crash of any of its processes, which empties the unlogged table.
     */
    "create function @.incarnation(out token bigint,out since bigint) language plpgsql volatile "
    "as $$\n"
    "declare s bigint:=(extract(epoch from pg_postmaster_start_time())*1000000)::bigint;\n"
    "begin\n"
    " select v.token,v.since into token,since from @.server v where v.start=s;\n"
    " if found then return; end if;\n"
    " insert into @.server as v (one,start,token,since)\n"
    "  values (true,s,(@.fences(1))[1],@.now_us())\n"
    "  on conflict (one) do update set start=excluded.start,token=excluded.token,\n"
    "  since=excluded.since where v.start<>excluded.start;\n"
    " select v.token,v.since into token,since from @.server v;\n"
    "end$$",

    /*
     * Groups, each written whole or not at all; rules decided elsewhere, on rows that are compared
     * here.  Waves: groups of a wave share no row that one of them writes.  Plain appends (h_...)
     * touch runs that no group does.
     *
     * p_grips are leases that must not append meanwhile, nor die, and those of them in p_raised
     * hold runs whose heads are written; p_leases are others that must not die.  Answered are the
     * leases of all three that live, with their grips before and after.  p_rare: something other
     * than runs and leases is expected.  p_from and p_to: the time that all groups have in common.
     *
     * Each statement costs some ten microseconds, with or without rows: those that have nothing to
     * do are passed over where a look at a parameter tells.  A new run has a fence to come.
     */
    "create function @.apply(p_places int,p_groups @.row_in[],p_deps @.row_in[],p_grips uuid[],"
    "p_raised uuid[],p_leases uuid[],p_rids bigint[],p_locks bytea[],p_cells bytea[],"
    "p_beats uuid[],p_expects @.row_in[],"
    "p_drops @.row_in[],p_runs @.run_in[],p_hots @.row_in[],p_records @.row_in[],"
    "p_snaps @.row_in[],p_sets @.row_in[],p_slots @.row_in[],p_cellw @.row_in[],"
    "p_lockw @.row_in[],p_atts @.row_in[],h_lease uuid,h_rid bigint[],h_rev bigint[],h_n bigint[],"
    "h_req uuid[],h_rec bytea[],p_rare bool,p_waves int,p_from bigint,p_to bigint,"
    "out t bigint,out bad int[],out done bigint[],out f bigint[],"
    "out leases uuid[],out was bigint[],out grips bigint[]) "
    "language plpgsql volatile" PLAIN_PLANS " as $$\n"
    "declare x int[];\n"
    "begin\n"
    " bad:='{}'; done:='{}';\n",
    /* A lock that nobody has is no row that could be locked.  Whoever takes it waits here for
       others who do, and draws the fence afterwards: else a fence could be above that of the next
       holder, who drew his before and put his row there after the first had come and gone. */
    "& if cardinality(p_lockw)>0 then\n"
    "  perform pg_advisory_xact_lock(q.n) from (select distinct\n"
    "   hashtextextended(encode(p.name,'hex'),@.class()) n from unnest(p_lockw) p where p.k=1\n"
    "   order by 1) q;\n"
    " end if;\n"
    " f:='{}';\n"
    " if p_places>0 then f:=@.fences(p_places); end if;\n"
    " if cardinality(p_grips)>0 then\n"
    "  select array_agg(l.id order by l.id),array_agg(l.grip order by l.id) into leases,was from\n"
    "   (select id,grip from @.lease where id=any(p_grips) and died=0 order by id\n"
    "   for no key update) l;\n"
    " end if;\n"
    " if cardinality(p_leases)>0 then\n"
    "  perform 1 from @.lease where id=any(p_leases) order by id for key share;\n"
    " end if;\n"
    " if cardinality(p_rids)>0 then\n"
    "  perform 1 from @.hot where rid=any(p_rids) order by rid for update;\n"
    " end if;\n"
    " if cardinality(p_locks)>0 then\n"
    "  perform 1 from @.lock where name=any(p_locks) order by name for update;\n"
    " end if;\n"
    " if cardinality(p_cells)>0 then\n"
    "  perform 1 from @.cell where name=any(p_cells) order by name for update;\n"
    " end if;\n"
    " if cardinality(p_beats)>0 then\n"
    "  perform 1 from @.beat where lease=any(p_beats) order by lease for update;\n"
    " end if;\n"
    " t:=@.now_us();\n"
    " if cardinality(p_leases)>0 then\n"
    "  select array_agg(l.id order by l.id),array_agg(l.grip order by l.id) into leases,was\n"
    "   from @.lease l where l.id=any(p_grips||p_leases) and l.died=0;\n"
    " end if;\n"
    " grips:=was;\n"
    " if cardinality(p_raised)>0 then\n"
    /* Not below the store's time: a store that has lost some of its last commits counts no number
       twice. */
    "  with u as (update @.lease l set grip=greatest(l.grip+1,t) where l.id=any(p_raised) and\n"
    "   l.died=0 returning l.id,l.grip)\n"
    "  select array_agg(coalesce(u.grip,w.grip) order by w.o) into grips from\n"
    "   unnest(leases,was) with ordinality w(id,grip,o) left join u on u.id=w.id;\n"
    " end if;\n"
    " if cardinality(h_rid)>0 and exists(select from @.lease where id=h_lease and died=0) then\n"
    "  with i as (insert into @.journal (rid,n,req,at,rec) select b.rid,b.n,b.req,t,b.rec from\n"
    "   unnest(h_rid,h_rev,h_n,h_req,h_rec) b(rid,rev,n,req,rec) join @.hot h on h.rid=b.rid\n"
    "   where h.hrev=b.rev and b.n-1=" PG_LENGTH("b.rid"),
    "& returning rid)\n"
    "  select coalesce(array_agg(i.rid),'{}') into done from i;\n"
    " end if;\n"
    " if t<p_from or t>=p_to then\n"
    "  select coalesce(array_agg(p.g),'{}') into bad from unnest(p_groups) p\n"
    "   where t<p.a or t>=p.b;\n"
    " end if;\n"
    " for i in 1..p_waves loop\n"
    "  if cardinality(p_deps)>0 then\n"
    "   select coalesce(array_agg(p.g),'{}') into x from unnest(p_deps) p\n"
    "    where p.w=i and p.k=any(bad);\n"
    "   bad:=bad||x;\n"
    "  end if;\n"
    "  select coalesce(array_agg(p.g),'{}') into x from unnest(p_expects) p where p.w=i and\n"
    "   p.k in (1,2) and not case\n"
    "   when p.k=2 then p.flag=exists(select from @.lease l where l.id=p.u and\n"
    "    (not p.flag or (l.died<>0)=(p.a=1)))\n"
    "   when p.flag then exists(select from @.hot h where\n"
    "    h.rid=@.fx(p.rid,f) and h.hrev=p.a and (p.b<0 or p.b=" PG_LENGTH("h.rid"),
    "&))\n"
    "   else not exists(select from @.run r where r.id=p.name) end;\n"
    "  bad:=bad||x;\n"
    "  if p_rare then\n"
    "   select coalesce(array_agg(p.g),'{}') into x from unnest(p_expects) p where p.w=i and\n"
    "    p.k>2 and p.flag<>case p.k\n"
    "    when 3 then exists(select from @.cell c where c.name=p.name and\n"
    "     (not p.flag or c.version=@.fx(p.a,f)))\n"
    "    when 4 then exists(select from @.lock k where k.name=p.name and\n"
    "     (not p.flag or k.fence=@.fx(p.a,f)))\n"
    "    else exists(select from @.slot_set s where s.rid=@.fx(p.rid,f) and s.set_no=p.c and\n"
    "     (not p.flag or s.remaining=p.a)) end;\n"
    "   bad:=bad||x;\n"
    "  end if;\n",
    /* What must not be there is put there first: then nobody else can, and a loser has written
       nothing yet that it would have to take back. */
    "&  if cardinality(p_drops)>0 then\n"
    "   with d as (delete from @.run r using unnest(p_drops) p where p.w=i and p.g<>all(bad)\n"
    "    and r.rid=p.rid returning r.rid),\n"
    "   h as (delete from @.hot h using d where h.rid=d.rid)\n"
    "   insert into @.trash select d.rid from d on conflict do nothing;\n"
    "  end if;\n"
    "  x:='{}';\n"
    "  if p_places>0 and cardinality(p_runs)>0 then\n"
    "   insert into @.run select @.fx(p.rid,f),p.id,p.reactor,p.queue,p.context,p.parent,p.root,\n"
    "    p.parent_inc,p.parent_set,p.parent_slot,p.version,p.created,p.create_req,\n"
    "    @.fx(p.fence,f),p.holder,p.status,p.place,p.wakes_on,p.requests,p.recoveries,p.rec_at,\n"
    "    p.wake_mark,p.due,p.finished,p.expires,p.hold_until,p.snap_pos,p.take_req,p.l_req,\n"
    "    @.fx(p.l_fence,f),p.l_rev,p.l_pos,p.p_req,@.fx(p.p_fence,f),p.p_rev,p.p_pos\n"
    "    from unnest(p_runs) p where p.w=i and p.neu and p.g<>all(bad) order by p.id\n"
    "    on conflict (id) do nothing;\n"
    "   select x||coalesce(array_agg(p.g),'{}') into x from unnest(p_runs) p where p.w=i and\n"
    "    p.neu and p.g<>all(bad) and\n"
    "    not exists(select from @.run r where r.rid=@.fx(p.rid,f));\n"
    "  end if;\n"
    "  if cardinality(p_cellw)>0 then\n"
    "   insert into @.cell select p.name,p.val,@.fx(p.a,f),p.b,p.u from unnest(p_cellw) p\n"
    "    where p.w=i and p.k=1 and p.g<>all(bad) order by p.name on conflict do nothing;\n"
    "   select x||coalesce(array_agg(p.g),'{}') into x from unnest(p_cellw) p where p.w=i and\n"
    "    p.k=1 and p.g<>all(bad) and not exists(select from @.cell c where c.name=p.name and\n"
    "    c.version=@.fx(p.a,f));\n"
    "  end if;\n"
    "  if cardinality(p_lockw)>0 then\n"
    "   insert into @.lock select p.name,p.u,@.fx(p.a,f),p.v from unnest(p_lockw) p\n"
    "    where p.w=i and p.k=1 and p.g<>all(bad) order by p.name on conflict do nothing;\n"
    "   select x||coalesce(array_agg(p.g),'{}') into x from unnest(p_lockw) p where p.w=i and\n"
    "    p.k=1 and p.g<>all(bad) and not exists(select from @.lock k where k.name=p.name and\n"
    "    k.fence=@.fx(p.a,f));\n"
    "  end if;\n"
    "  if cardinality(x)>0 then\n"
    "   delete from @.run r using unnest(p_runs) p where p.w=i and p.neu and p.g=any(x)\n"
    "    and p.g<>all(bad) and r.rid=@.fx(p.rid,f);\n"
    "   delete from @.cell c using unnest(p_cellw) p where p.w=i and p.k=1 and p.g=any(x)\n"
    "    and p.g<>all(bad) and c.name=p.name and c.version=@.fx(p.a,f);\n"
    "   delete from @.lock k using unnest(p_lockw) p where p.w=i and p.k=1 and p.g=any(x)\n"
    "    and p.g<>all(bad) and k.name=p.name and k.fence=@.fx(p.a,f);\n"
    "   bad:=bad||x;\n"
    "  end if;\n",
    /* From here on nothing is refused. */
    "&  if cardinality(p_runs)>0 then\n"
    "   update @.run r set queue=p.queue,fence=@.fx(p.fence,f),holder=p.holder,status=p.status,\n"
    "    place=p.place,wakes_on=p.wakes_on,requests=p.requests,recoveries=p.recoveries,\n"
    "    rec_at=p.rec_at,wake_mark=p.wake_mark,due=p.due,finished=p.finished,expires=p.expires,\n"
    "    hold_until=p.hold_until,snap_pos=p.snap_pos,take_req=p.take_req,l_req=p.l_req,\n"
    "    l_fence=@.fx(p.l_fence,f),l_rev=p.l_rev,l_pos=p.l_pos,p_req=p.p_req,\n"
    "    p_fence=@.fx(p.p_fence,f),p_rev=p.p_rev,p_pos=p.p_pos\n"
    "    from unnest(p_runs) p where p.w=i and not p.neu and p.g<>all(bad)\n"
    "    and r.rid=@.fx(p.rid,f);\n"
    "  end if;\n"
    "  if p_places>0 and cardinality(p_hots)>0 then\n"
    "   insert into @.hot select @.fx(p.rid,f),p.a from unnest(p_hots) p\n"
    "    where p.w=i and p.flag and p.g<>all(bad);\n"
    "  end if;\n"
    "  if cardinality(p_hots)>0 then\n"
    "   update @.hot h set hrev=p.a from unnest(p_hots) p where p.w=i and\n"
    "    not p.flag and p.g<>all(bad) and h.rid=@.fx(p.rid,f);\n"
    "  end if;\n"
    "  if cardinality(p_records)>0 then\n"
    "   insert into @.journal select @.fx(p.rid,f),p.a,p.u,p.b,p.val from unnest(p_records) p\n"
    "    where p.w=i and p.g<>all(bad);\n"
    "  end if;\n"
    "  if cardinality(p_snaps)>0 then\n"
    "   insert into @.snapshot select @.fx(p.rid,f),p.val from unnest(p_snaps) p\n"
    "    where p.w=i and p.g<>all(bad) on conflict (rid) do update set rec=excluded.rec;\n"
    "  end if;\n"
    "  if cardinality(p_sets)>0 then\n"
    "   insert into @.slot_set select @.fx(p.rid,f),p.c,p.a,p.b from unnest(p_sets) p\n"
    "    where p.w=i and p.g<>all(bad)\n"
    "    on conflict (rid,set_no) do update set remaining=excluded.remaining;\n"
    "   insert into @.slot select @.fx(p.rid,f),p.c,p.a,p.val from unnest(p_slots) p\n"
    "    where p.w=i and p.g<>all(bad);\n"
    "  end if;\n"
    "  if cardinality(p_cellw)>0 then\n"
    "   update @.cell c set value=p.val,version=@.fx(p.a,f),expires=p.b,req=p.u\n"
    "    from unnest(p_cellw) p where p.w=i and p.k=2 and p.g<>all(bad) and c.name=p.name;\n"
    "   delete from @.cell c using unnest(p_cellw) p where p.w=i and p.k=3 and p.g<>all(bad)\n"
    "    and c.name=p.name;\n"
    "  end if;\n"
    "  if cardinality(p_lockw)>0 then\n"
    "   update @.lock k set lease=p.u,fence=@.fx(p.a,f),req=p.v from unnest(p_lockw) p\n"
    "    where p.w=i and p.k=2 and p.g<>all(bad) and k.name=p.name;\n"
    "   delete from @.lock k using unnest(p_lockw) p where p.w=i and p.k=3 and p.g<>all(bad)\n"
    "    and k.name=p.name;\n"
    "  end if;\n"
    " end loop;\n"
    " if cardinality(p_atts)>0 then\n"
    "  update @.beat b set attention=b.attention+p.n from (select q.u,sum(q.a)::bigint n from\n"
    "   unnest(p_atts) q where q.g<>all(bad) group by q.u) p where b.lease=p.u;\n"
    " end if;\n"
    "end$$",

    /*
     * Due runs to a lease.  Taking a run is kit_run_take() of kit/run.c said once more, in columns.
     * Looks first and locks what it will hand out only: a claim that finds nothing writes nothing.
     * With a limit of 0 it goes all the way without a run, so that the session has its plans.
     */
    /* The lists of due runs there are of what is served.  PL/pgSQL, as that keeps its plans. */
    "create function @.lists(p_queue bytea[],p_reactor bytea[],p_min bigint[],p_max bigint[],"
    "out queue bytea,out reactor bytea,out version bigint) returns setof record language plpgsql "
    "stable as $$\n"
    "#variable_conflict use_column\n"
    "begin\n"
    "return query with recursive v(queue,reactor,top,version) as (\n"
    " select s.queue,s.reactor,s.top,(select r.version from @.run r where r.queue=s.queue and\n"
    "  r.reactor=s.reactor and r.version>=s.low and r.due<>0 order by r.version limit 1)\n"
    " from unnest(p_queue,p_reactor,p_min,p_max) s(queue,reactor,low,top)\n"
    " union all\n"
    " select v.queue,v.reactor,v.top,(select r.version from @.run r where r.queue=v.queue and\n"
    "  r.reactor=v.reactor and r.version>v.version and r.due<>0 order by r.version limit 1)\n"
    " from v where v.version<=v.top)\n"
    "select distinct v.queue,v.reactor,v.version from v where v.version<=v.top;\n"
    "end$$",

    "create function @.claim(p_lease uuid,p_request uuid,p_queue bytea[],p_reactor bytea[],"
    "p_min bigint[],p_max bigint[],p_limit int,p_until_base int,p_until bigint,out code int,"
    "out t bigint,out next_due bigint,out took bigint[],out grip bigint) "
    "language plpgsql volatile" PLAIN_PLANS " as $$\n"
    "declare c bigint[]; d bigint[]; got bigint[]; last_due bigint:=0;\n"
    " last_rid bigint:=0; u bigint; before uuid; waits int:=0;\n"
    "begin\n"
    " code:=0; took:='{}'; next_due:=0;\n"
    /*
     * The same request may be under way, from a connection that was given up: what it has locked
     * would be passed over, and this would find nothing where that one takes it.  It ends soon, or
     * when the server learns that its client is gone; meanwhile others have the caller's time.
     */
    " while not pg_try_advisory_xact_lock(uuid_hash_extended(p_request,@.class())) loop\n"
    "  if waits>=50 then code:=-3; return; end if;\n"
    "  waits:=waits+1; perform pg_sleep(0.01);\n"
    " end loop;\n"
    /* The grip before the heads: what is told of them is then as new as it, or newer. */
    " select b.claim_req,l.grip into before,grip from @.lease l join @.beat b on b.lease=l.id\n"
    "  where l.id=p_lease and l.died=0;\n"
    " if not found and p_limit>0 then code:=4; return; end if;\n"
    " t:=@.now_us();\n"
    " if before=p_request then\n"
    "  took:=array(select r.rid from @.run r where r.holder=p_lease and r.take_req=p_request\n"
    "   order by r.fence limit p_limit);\n"
    "  return;\n"
    " end if;\n"
    " u:=case p_until_base when 0 then 0 when 1 then greatest(p_until,1)\n"
    "  else greatest(t+least(p_until,9223372036854775807-t),1) end;\n"
    " loop\n"
    "  select coalesce(array_agg(q.rid order by q.due,q.rid),'{}'),\n"
    "   coalesce(array_agg(q.due order by q.due,q.rid),'{}') into c,d from (\n"
    "   select r.rid,r.due from @.lists(p_queue,p_reactor,p_min,p_max) v,\n"
    "    lateral (select n.rid,n.due from @.run n where n.queue=v.queue and n.reactor=v.reactor\n"
    "     and n.version=v.version and n.due<>0 and n.due<=t and (n.due,n.rid)>(last_due,last_rid)\n"
    "     order by n.due,n.rid limit p_limit) r order by r.due,r.rid limit p_limit) q;\n"
    "  exit when cardinality(c)=0 and p_limit>0;\n"
    "  if last_rid=0 then\n"
    "   perform 1 from @.lease l where l.id=p_lease and l.died=0 for key share;\n"
    "   if not found and p_limit>0 then code:=4; return; end if;\n"
    "  end if;\n"
    "  got:=array(select h.rid from @.hot h where h.rid=any(c) order by h.rid for update skip "
    "locked);\n"
    /* Still due?  And no more than were asked for: the oldest of them. */
    "  got:=array(select r.rid from @.run r where r.rid=any(got) and r.due<>0 and r.due<=t\n"
    "   order by r.due,r.rid limit p_limit-cardinality(took));\n"
    "  if cardinality(got)>0 or p_limit=0 then\n"
    "   update @.run r set place=2,holder=p_lease,fence=g.fence,hold_until=u,due=0,wakes_on=0,\n"
    "    wake_mark=0,status=case when r.status in (1,4) then 2 else r.status end,\n"
    "    take_req=p_request,\n"
    "    p_req=case when r.l_req is null then r.p_req else r.l_req end,\n"
    "    p_fence=case when r.l_req is null then r.p_fence else r.l_fence end,\n"
    "    p_rev=case when r.l_req is null then r.p_rev else r.l_rev end,\n"
    "    p_pos=case when r.l_req is null then r.p_pos else r.l_pos end,\n"
    "    l_req=null,l_fence=0,l_rev=0,l_pos=0\n"
    "    from unnest(got,@.fences(cardinality(got))) g(rid,fence) where r.rid=g.rid;\n"
    "   update @.hot h set hrev=h.hrev+1 where h.rid=any(got);\n"
    "   took:=took||got;\n"
    "  end if;\n"
    "  exit when cardinality(took)>=p_limit or cardinality(c)<p_limit;\n"
    "  last_due:=d[cardinality(d)]; last_rid:=c[cardinality(c)];\n"
    " end loop;\n"
    " if cardinality(took)>0 or p_limit=0 then\n"
    "  update @.beat b set claim_req=p_request where b.lease=p_lease;\n"
    " end if;\n"
    " select coalesce(min(r.due),0) into next_due from @.lists(p_queue,p_reactor,p_min,p_max) v,\n"
    "  lateral (select n.due from @.run n where n.queue=v.queue and n.reactor=v.reactor and\n"
    "   n.version=v.version and n.due<>0 order by n.due limit 1) r;\n"
    "end$$",

    /* Leases.  Codes are those of <kedge/error.h>. */
    "create function @.key(bigint) returns int language sql immutable as "
    "$$select (1+$1%2147483646)::int$$",

    "create function @.grant_lease(p_id uuid,p_request uuid,p_owner bytea,p_serves bytea,"
    "p_ttl bigint,p_hint bool,out code int,out t bigint,out deadline bigint,out extended bigint,"
    "out ttl bigint,out attention bigint,out no bigint,out died bigint,out hinted bool) "
    "language plpgsql volatile as $$\n"
    "declare inc bigint; l record;\n"
    "begin\n"
    " t:=@.now_us();\n"
    " insert into @.lease as n (id,owner,serves,ttl,granted,grant_req,died)\n"
    "  values (p_id,p_owner,p_serves,p_ttl,t,p_request,0) on conflict (id) do nothing\n"
    "  returning n.no into no;\n"
    " if found then\n"
    "  select i.token into inc from @.incarnation() i;\n"
    /* The hint first: a record without its hint would look dead. */
    "  if p_hint then perform pg_advisory_lock(@.class(),@.key(no)); end if;\n"
    "  insert into @.beat values (p_id,t+p_ttl,t,0,inc,p_hint,null);\n"
    " elsif p_hint then\n"
    "  perform pg_try_advisory_lock(@.class(),@.key(n.no)) from @.lease n where n.id=p_id and\n"
    "   n.grant_req=p_request and n.died=0;\n"
    " end if;\n"
    " select * into l from @.lease n join @.beat b on b.lease=n.id where n.id=p_id;\n"
    " code:=case when l.grant_req=p_request then 0 else 2 end;\n"
    " deadline:=l.deadline; extended:=l.extended; ttl:=l.ttl; attention:=l.attention;\n"
    " no:=l.no; died:=l.died; hinted:=l.hinted;\n"
    "end$$",

    "create function @.extend_lease(p_id uuid,p_register bool,p_hint bool,out code int,"
    "out t bigint,out deadline bigint,out extended bigint,out ttl bigint,out attention bigint,"
    "out no bigint,out died bigint,out hinted bool) language plpgsql volatile as $$\n"
    "declare inc bigint;\n"
    "begin\n"
    " code:=4; died:=0;\n"
    " select n.ttl,n.no into ttl,no from @.lease n where n.id=p_id and n.died=0 for key share;\n"
    " if not found then return; end if;\n"
    " code:=0;\n"
    " select i.token into inc from @.incarnation() i;\n"
    " if p_register then perform pg_try_advisory_lock(@.class(),@.key(no)); end if;\n"
    /* The time is that after the wait for others: a deadline that somebody was told stands. */
    " perform 1 from @.beat where lease=p_id for update;\n"
    " t:=@.now_us(); extended:=t; deadline:=t+ttl; hinted:=p_hint;\n"
    " update @.beat b set extended=t,deadline=t+ttl,incarnation=inc,hinted=p_hint\n"
    "  where b.lease=p_id returning b.attention into attention;\n"
    "end$$",

    /* kit_run_hand_back() of kit/run.c for all it holds, in columns. */
    "create function @.revoke_lease(p_id uuid,out code int,out no bigint) language plpgsql "
    "volatile" PLAIN_PLANS " as $$\n"
    "declare t bigint; d bigint; rids bigint[];\n"
    "begin\n"
    " select n.died,n.no into d,no from @.lease n where n.id=p_id for update;\n"
    " if not found then code:=1; return; end if;\n"
    " code:=0;\n"
    " if d<>0 then return; end if;\n"
    " rids:=array(select r.rid from @.run r where r.holder=p_id order by r.rid);\n"
    " perform 1 from @.hot h where h.rid=any(rids) order by h.rid for update;\n"
    " t:=@.now_us();\n"
    " update @.lease n set died=t where n.id=p_id;\n"
    " with u as (update @.run r set holder=null,place=1,due=t,wakes_on=0,wake_mark=0,\n"
    "  hold_until=0 where r.rid=any(rids) and r.holder=p_id returning r.rid)\n"
    " update @.hot h set hrev=h.hrev+1 from u where h.rid=u.rid;\n"
    " perform 1 from @.lock k where k.lease=p_id order by k.name for update;\n"
    " delete from @.lock k where k.lease=p_id;\n"
    "end$$",

    "create function @.hint_stands(p_no bigint) returns bool language sql volatile as $$\n"
    "select exists(select from pg_locks k where k.locktype='advisory' and k.objsubid=2 and\n"
    " k.database=(select d.oid from pg_database d where d.datname=current_database()) and\n"
    " k.classid=@.class()::oid and k.objid=@.key(p_no)::oid and k.granted)$$",

    /* Whether it may be buried was decided on what was seen: is that still so? */
    "create function @.bury_lease(p_id uuid,p_extended bigint,p_by_hint bool,out code int,"
    "out no bigint) language plpgsql volatile" PLAIN_PLANS " as $$\n"
    "declare d bigint;\n"
    "begin\n"
    " select n.died,n.no into d,no from @.lease n where n.id=p_id for update;\n"
    " if not found then code:=1; return; end if;\n"
    " code:=0;\n"
    " if d<>0 then return; end if;\n"
    " if not exists(select from @.beat b where b.lease=p_id and b.extended=p_extended) or\n"
    "  (p_by_hint and @.hint_stands(no)) then code:=5; return; end if;\n"
    " update @.lease n set died=@.now_us() where n.id=p_id;\n"
    "end$$",

    "create function @.purge(p_limit bigint,out runs bigint,out rows bigint,out more bool) "
    "language plpgsql volatile" PLAIN_PLANS " as $$\n"
    "declare t bigint:=@.now_us(); gone bigint[]; k bigint; o record;\n"
    "begin\n"
    " runs:=0; rows:=0;\n"
    " gone:=array(select r.rid from @.run r where r.expires<>0 and r.expires<=t\n"
    "  order by r.expires limit p_limit);\n"
    " gone:=array(select h.rid from @.hot h where h.rid=any(gone) order by h.rid\n"
    "  for update skip locked);\n"
    " with d as (delete from @.run r where r.rid=any(gone) and r.expires<>0 and r.expires<=t\n"
    "  returning r.rid), h as (delete from @.hot h using d where h.rid=d.rid),\n"
    "  i as (insert into @.trash select d.rid from d on conflict do nothing)\n"
    "  select count(*) into runs from d;\n"
    " for o in select x.rid from @.trash x order by x.rid limit p_limit for update skip locked "
    "loop\n"
    "  exit when runs+rows>=p_limit;\n"
    "  delete from @.journal j where j.rid=o.rid and j.n in (select y.n from @.journal y\n"
    "   where y.rid=o.rid order by y.n limit p_limit-runs-rows);\n"
    "  get diagnostics k=row_count; rows:=rows+k;\n"
    "  delete from @.snapshot s where s.rid=o.rid;\n"
    "  get diagnostics k=row_count; rows:=rows+k;\n"
    "  delete from @.slot s where s.rid=o.rid and (s.set_no,s.idx) in (select y.set_no,y.idx\n"
    "   from @.slot y where y.rid=o.rid order by y.set_no,y.idx\n"
    "   limit greatest(p_limit-runs-rows,0));\n"
    "  get diagnostics k=row_count; rows:=rows+k;\n"
    "  exit when runs+rows>=p_limit;\n"
    "  delete from @.slot_set s where s.rid=o.rid;\n"
    "  get diagnostics k=row_count; rows:=rows+k;\n"
    "  delete from @.trash x where x.rid=o.rid;\n"
    " end loop;\n"
    " if runs+rows<p_limit then\n"
    "  delete from @.cell c where c.name in (select y.name from @.cell y where y.expires<>0 and\n"
    "   y.expires<=t order by y.expires limit p_limit-runs-rows for update skip locked);\n"
    "  get diagnostics k=row_count; rows:=rows+k;\n"
    " end if;\n"
    " if runs+rows<p_limit then\n"
    "  with d as (delete from @.lease l where l.id in (select y.id from @.lease y where\n"
    "   y.died<>0 and not exists(select from @.run r where r.holder=y.id) and\n"
    "   not exists(select from @.lock q where q.lease=y.id)\n"
    "   limit p_limit-runs-rows for update skip locked) returning l.id),\n"
    "   b as (delete from @.beat b using d where b.lease=d.id)\n"
    "   select count(*) into k from d;\n"
    "  rows:=rows+k;\n"
    " end if;\n"
    " more:=runs+rows>=p_limit;\n"
    "end$$",
};

const struct pg_migration pg_migrations[] = {
    { version_1, sizeof version_1 / sizeof version_1[0] },
};

const uint32_t pg_schema_version = sizeof pg_migrations / sizeof pg_migrations[0];
