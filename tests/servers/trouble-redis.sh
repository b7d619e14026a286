#!/bin/sh
# Runs under way while their Redis is in trouble.  KEDGE_TEST_TROUBLE='NAME...': some of it.
# shellcheck source=tests/support/long.sh
. "$KEDGE_SRCDIR/tests/support/long.sh"
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
: "${server:?}"

# alone NAME BREAK HEAL [OPTION]...: with a server of its own; $redis asks it
alone() {
	wanted "$1" || return 0
	# shellcheck disable=SC2086 # words on purpose
	server redis "$1" $conf
	redis="$server cli $1"
	export redis name="$1"
	alone_name=$1
	shift
	survive "$alone_name" "$(server url "$alone_name")" "$@"
	server drop "$alone_name"
}

conf=
# shellcheck disable=SC2016 # what the commands name is theirs
{
	alone killed-clients 'for i in 1 2 3 4 5; do $redis client kill type normal >/dev/null; sleep 0.1; done' true
	alone flushed-scripts 'for i in 1 2 3 4 5; do $redis script flush >/dev/null; sleep 0.1; done' true
	alone restarted '$server restart $name' true
	alone killed '$server kill $name' '$server start $name' hold_ms=300
	alone gone-a-while '$server stop $name' '$server start $name' hold_ms=2500
	alone stopped '$server pause $name' '$server resume $name' hold_ms=2500
	alone out-of-memory '$redis config set maxmemory 1 >/dev/null' '$redis config set maxmemory 0 >/dev/null' \
		hold_ms=600 full
	alone read-only '$redis replicaof 127.0.0.1 1 >/dev/null' '$redis replicaof no one >/dev/null' \
		hold_ms=600 refuses
	# It cannot write a snapshot, and so refuses what it could not.
	alone misconfigured 'chmod 500 $KEDGE_SERVERS/$name/data; $redis config set save "3600 1" >/dev/null
		$redis bgsave >/dev/null
		until $redis info persistence | grep -q "^rdb_last_bgsave_status:err"; do sleep 0.05; done' \
		'$redis config set stop-writes-on-bgsave-error no >/dev/null; chmod 700 $KEDGE_SERVERS/$name/data' \
		hold_ms=600 refuses
	# Idle connections are closed after a second, also those that say who is alive.
	conf='timeout 1'
	alone timeout-1 true true runs=3 steps=4 step_ms=1600 ttl_ms=20000
	# It takes seconds to read what it has, and answers LOADING every now and then.
	conf='key-load-delay 500'
	alone loading '$redis eval "for i=1,4000 do redis.call(\"incr\",\"other\") end" 0 >/dev/null; $server kill $name; $server start $name &
		i=0; until [ "$($redis ping 2>&1 | cut -c1-7)" = LOADING ]; do i=$((i + 1)); [ $i -lt 300 ] || exit 1; done' \
		'until [ "$($redis ping 2>&1)" = PONG ]; do sleep 0.05; done' refuses
}
plan
