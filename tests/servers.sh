#!/bin/sh
# The servers that tests start: each kind starts, answers, is killed, comes back with its data, is
# promoted; and nothing remains of them, also when the test that started them is killed.
# shellcheck source=tests/support/tap.sh
. "$KEDGE_SRCDIR/tests/support/tap.sh"
# shellcheck source=tests/support/servers.sh
. "$KEDGE_SRCDIR/tests/support/servers.sh"

# What is still there of the servers in directory $1.
remains() {
	[ ! -e "$1" ] || echo "$1"
	for proc in /proc/[0-9]*; do
		what="$(readlink "$proc/cwd" 2>/dev/null) $({ tr '\0' ' ' <"$proc/cmdline"; } 2>/dev/null)"
		case $what in
		*"$1"*) echo "$proc: $what" ;;
		esac
	done
}
nothing_of() {
	remains "$1" >out
	[ ! -s out ]
}
ended() { # PID: its parent may take its time to see that it is dead
	! kill -0 "$1" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"
}
segment_gone() { # of shared memory
	! ipcs -m | awk -v id="$1" '$2 == id { found = 1 } END { exit !found }'
}
# Unlike `server', it leaves what was said in out and err.
asked() {
	server "$@" >out 2>err
	status=$?
	[ "$status" -eq 0 ]
}
says() { # NAME ANSWER ARGUMENT...: its client prints that
	name=$1 answer=$2
	shift 2
	asked cli "$name" "$@" && [ "$(cat out)" = "$answer" ]
}
# PROGRAM with a server of its own, until it is killed.
cat >victim <<'end'
. "$KEDGE_SRCDIR/tests/support/servers.sh"
servers_begin
trap servers_end EXIT
trap 'exit 99' HUP INT TERM
server "$1" x && echo "$KEDGE_SERVERS" >>place
while :; do
	sleep 1
done
end
there_is() {
	[ -s "$1" ]
}
# killed KIND HOW COMMAND...: COMMAND is run, and told to start a server of that kind
killed() {
	kind=$1 how=$2
	shift 2
	rm -f place
	"$@" "${SHELL:-/bin/sh}" victim "$kind" >/dev/null 2>&1 &
	await there_is place
	place=$(cat place)
	kill "-$how" $!
	wait $! 2>/dev/null
	await nothing_of "$place"
}

servers_begin
trap 'servers_end; rm -rf "$tmp"' EXIT
trap 'exit 99' HUP INT TERM

if ! server have redis >why; then
	for t in answers 'kill -9' 'SIGSTOP' restart replica promotion cluster 'a killed test'; do
		skip "redis: $t" "$(cat why)"
	done
else
	asked redis r && says r OK set a 1 && says r 1 get a &&
		says r "$(printf 'appendonly\nyes')" config get appendonly &&
		says r "$(printf 'appendfsync\nalways')" config get appendfsync
	ok 'redis: answers, and is durable'
	asked kill r && ! asked cli r get a && asked start r && says r 1 get a
	ok 'redis: killed with -9, it comes back with its data'
	asked pause r && ! timeout 1 redis-cli -s "$KEDGE_SERVERS/r/sock" get a >out 2>err && asked resume r && says r 1 get a
	ok 'redis: stopped, it says nothing until it goes on'
	asked restart r && says r 1 get a && [ "$(redis-cli -p "$(cat "$KEDGE_SERVERS/r/port")" get a)" = 1 ]
	ok 'redis: restarted, and by TCP'
	asked redis-replica r2 r && says r2 1 get a && says r OK set b 2 && says r 1 wait 1 10000 && says r2 2 get b
	ok 'redis: a replica'
	asked kill r && ! says r2 OK set c 3 && asked promote r2 && says r2 OK set c 3 && says r2 2 get b
	ok 'redis: the replica is promoted'
	asked redis-cluster c && asked cli c-3 cluster info && grep -q cluster_slots_ok:16384 out &&
		[ "$(redis-cli -c -p "$(cat "$KEDGE_SERVERS/c-1/port")" set foo bar 2>err)" = OK ] &&
		says c-3 bar get foo && asked cli c-1 get foo && grep -q '^MOVED 12182 ' out
	ok 'redis: a cluster of three'
	killed redis KILL
	ok 'redis: killed with -9, a test leaves nothing'
fi

if ! server have postgresql >why; then
	for t in answers 'kill -9' SIGSTOP restart standby promotion TCP 'killed tests'; do
		skip "postgresql: $t" "$(cat why)"
	done
else
	asked postgresql p log_statement=all && says p 'on|on|all' -c "select current_setting('fsync'), \
		current_setting('synchronous_commit'), current_setting('log_statement')" &&
		asked cli p -c 'create table t as select 1 as a' && says p 1 -c 'table t'
	ok 'postgresql: answers, and is durable'
	asked kill p && ! asked cli p -c 'table t' && asked start p && says p 1 -c 'table t'
	ok 'postgresql: killed with -9, it comes back with its data'
	asked pause p && ! timeout 1 psql -XAtd "$(server url p)" -c 'table t' >out 2>err && asked resume p && says p 1 -c 'table t'
	ok 'postgresql: stopped, it says nothing until it goes on'
	asked restart p && says p 1 -c 'table t'
	ok 'postgresql: restarted'
	asked postgresql-standby s p && says s 1 -c 'table t' && says s t -c 'select pg_is_in_recovery()' &&
		says p 'INSERT 0 1' -c 'insert into t values (2)' && says p sync -c 'select sync_state from pg_stat_replication'
	ok 'postgresql: a synchronous standby'
	asked kill p && ! asked cli s -c 'insert into t values (3)' && asked promote s &&
		says s 'INSERT 0 1' -c 'insert into t values (3)' && says s 3 -c 'select count(*) from t'
	ok 'postgresql: the standby is promoted'
	asked postgresql q tcp=yes && [ "$(psql -XAtd "$(server tcp q)" -c 'select 4' 2>err)" = 4 ] &&
		! psql -XAtwd "$(server tcp q | sed 's/:[^:@]*@/@/')" -c 'select 4' >out 2>err && grep -q password err
	ok 'postgresql: by TCP, with a password'
	killed postgresql KILL && killed postgresql TERM && killed postgresql TERM timeout -k 10 600
	ok 'postgresql: killed in three ways, a test leaves nothing'
fi

if ! server have pgbouncer >why || ! server have postgresql >why; then
	skip 'pgbouncer: answers' "$(cat why)"
	skip 'pgbouncer: kill -9' "$(cat why)"
else
	asked pgbouncer b s && says b 3 -c 'select count(*) from t' &&
		asked cli b -d pgbouncer -c 'show config' && grep -q '^pool_mode|transaction|' out
	ok 'pgbouncer: answers, in transaction mode'
	asked kill b && ! asked cli b -c 'table t' && asked start b && says b 3 -c 'select count(*) from t'
	ok 'pgbouncer: killed with -9 and started again'
fi

segments=$(awk 'FNR == 7 { print $2 }' "$KEDGE_SERVERS"/*/data/postmaster.pid 2>/dev/null)
began=$KEDGE_SERVERS watched=$servers_watch
asked kill q 2>/dev/null
servers_end >out 2>err
await nothing_of "$began" && await ended "$watched"
ok 'nothing is left: no process, no file'
left=
for s in $segments; do
	segment_gone "$s" || left="$left $s"
done
[ -z "$left" ]
ok 'nothing is left: no shared memory'
! asked redis r && grep -q KEDGE_SERVERS err
ok 'without a directory it says so'
echo "1..$n"
