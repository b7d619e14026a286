#!/bin/sh
# Runs under way while their PostgreSQL is in trouble.  KEDGE_TEST_TROUBLE='NAME...': some of it.
# shellcheck source=tests/support/long.sh
. "$KEDGE_SRCDIR/tests/support/long.sh"
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
: "${server:?}"

# alone NAME BREAK HEAL [OPTION]...: with a server of its own; $sql asks it
alone() {
	wanted "$1" || return 0
	# shellcheck disable=SC2086 # words on purpose
	server postgresql "$1" $conf
	sql="$server cli $1 -q"
	export sql name="$1"
	alone_name=$1
	shift
	survive "$alone_name" "$(server url "$alone_name")" "$@"
	server drop "$alone_name"
}

# for commands: sessions of clients but this one; tables of kedge's, as nobody else has any; who
# has locked them
others() {
	echo "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
}
tables() {
	echo "select string_agg(format('%I.%I', schemaname, tablename), ', ') from pg_tables
		where schemaname not in ('pg_catalog', 'information_schema')"
}
lockers() {
	echo "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
}
others=$(others) tables=$(tables) lockers=$(lockers)
export others tables lockers

conf=
# shellcheck disable=SC2016 # what the commands name is theirs
{
	alone terminated 'for i in 1 2 3 4 5; do
		$sql -c "select count(pg_terminate_backend(pid)) $others" >/dev/null; sleep 0.1; done' true
	alone cancelled 'for i in 1 2 3 4 5 6 7 8 9 10; do
		$sql -c "select count(pg_cancel_backend(pid)) $others" >/dev/null; sleep 0.03; done' true
	alone restarted '$server restart $name' true
	alone killed '$server kill $name' '$server start $name' hold_ms=300
	alone crashed-backend 'kill -9 $($sql -c "select pid $others limit 1")
		until $sql -c "select 1" >/dev/null 2>&1; do sleep 0.05; done' true
	alone immediate '$server pg pg_ctl $name stop -D data -m immediate -s' '$server start $name' hold_ms=300
	alone stopped '$server pause $name' '$server resume $name' hold_ms=2500
	alone read-only '$sql -c "alter system set default_transaction_read_only = on" -c "select pg_reload_conf()" >/dev/null' \
		'$sql -c "set default_transaction_read_only = off" -c "alter system reset default_transaction_read_only" \
		-c "select pg_reload_conf()" >/dev/null' hold_ms=600
	# Somebody has locked everything for two seconds and a half.  Who comes in between in another
	# order is in a deadlock with him, and he tries again if he is the one who has to give in.
	alone locked 'echo "begin; lock table $($sql -c "$tables"); select pg_sleep(2.5); commit" >$KEDGE_SERVERS/lock
		(until $sql -v ON_ERROR_STOP=1 -f $KEDGE_SERVERS/lock >/dev/null 2>&1; do :; done) &
		until [ "$($sql -c "$lockers")" -ge 1 ]; do sleep 0.05; done' \
		'until [ "$($sql -c "$lockers")" -eq 0 ]; do sleep 0.05; done'
	# Every transaction of anybody's is serializable, unless it says otherwise.
	conf=default_transaction_isolation=serializable
	alone serializable true true workers=4
	# No further session for anybody; those there are go on.
	conf='max_connections=40 superuser_reserved_connections=1'
	alone too-many-connections 'for i in $(seq 45); do $sql -c "select pg_sleep(2)" >/dev/null 2>&1 & done
		i=0; until ! $sql -c "select 1" >/dev/null 2>&1; do i=$((i + 1)); [ $i -lt 100 ] || exit 1; done' \
		'until $sql -c "select 1" >/dev/null 2>&1; do sleep 0.05; done' workers=1 hold_ms=2000
}
plan
