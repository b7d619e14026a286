#!/bin/sh
# Statements that were prepared are lost: in the middle of a session, with the session, with the
# server.  They are prepared anew, and no step notices.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
# shellcheck source=tests/servers/figures.sh
. "$KEDGE_SRCDIR/tests/servers/figures.sh"
server postgresql p fsync=off || exit 99
url=$(server url p)
"$KEDGE_BUILDDIR/toil" "$url" appends 1 0 0 # the namespace is made

# drops MARK: ten appends before and after each of five times MARK, and all records are there
drops() {
	"$KEDGE_BUILDDIR/toil" "$url" drops 5 10 "$1" >"$dir/out" 2>&1 && return 0
	sed 's/^/# /' "$dir/out"
	return 1
}
# A trigger can do to a session from inside what DISCARD ALL does to one that is handed on; this one
# does once it is told to, in the transaction of a step, which stands.
server cli p -q <<'sql'
create table public.told (n int);
create table public.lost (n int);
create function public.lose() returns trigger language plpgsql as $$
begin
	if exists (select from public.told) then
		delete from public.told;
		insert into public.lost select count(*) from pg_prepared_statements;
		execute 'deallocate all';
	end if;
	return null;
end $$;
create trigger lose after insert on kedge_toil.journal for each statement execute function public.lose();
sql
# shellcheck disable=SC2016 # what the commands name is theirs
drops '$server cli p -qc "insert into public.told values (1)"' &&
	[ "$(server cli p -c 'select count(*) from public.lost where n > 0')" = 5 ]
ok 'in the middle of a session'
server cli p -qc 'drop function public.lose cascade' 2>/dev/null
# shellcheck disable=SC2016 # what the commands name is theirs
drops '$server cli p -qc "select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity
	where backend_type = '"'client backend'"' and pid <> pg_backend_pid()" >/dev/null'
ok 'with the session'
# shellcheck disable=SC2016 # what the commands name is theirs
drops '$server restart p'
ok 'with the server'
if why=$(server have pgbouncer); then
	server pgbouncer b p server_reset_query='DISCARD ALL' server_reset_query_always=1 || exit 99
	direct=$url url=$(server url b)
	# shellcheck disable=SC2016 # what the commands name is theirs
	drops true
	ok 'with every transaction, behind a pooler'
	url=$direct
else
	skip 'with every transaction, behind a pooler' "$why"
fi
plan
