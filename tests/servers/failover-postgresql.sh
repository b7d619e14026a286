#!/bin/sh
# The primary is killed under load, or falls silent, and its synchronous standby takes its place: it
# is found by a URL with both, nothing that was acknowledged is lost, fences go on rising.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql

# failover NAME BREAK [OPTION]...
failover() {
	failover_name=$1 failover_break=$2
	shift 2
	server postgresql "$failover_name-a" || exit 99
	server postgresql-standby "$failover_name-b" "$failover_name-a" || exit 99
	a=$failover_name-a b=$failover_name-b
	export a b
	survive "$failover_name" \
		"postgresql:///postgres?host=$KEDGE_SERVERS/$a,$KEDGE_SERVERS/$b&port=5432,5432&user=kedge&target_session_attrs=read-write" \
		"$failover_break" true steps=100 "$@"
	server drop "$a"
	server drop "$b"
}

# shellcheck disable=SC2016 # what the commands name is theirs
{
	failover killed '$server kill $a; $server promote $b'
	failover stopped '$server stop $a; $server promote $b'
	# It takes connections and requests, and answers nothing.
	failover vanished '$server pause $a; $server promote $b'
	if [ -n "${KEDGE_TEST_LONG-}" ]; then
		failover vanished-patient '$server pause $a; $server promote $b' timeout_ms=10000
		for i in 1 2 3 4 5 6 7 8 9 10; do
			failover "killed-$i" "sleep 0.$i"'; $server kill $a; $server promote $b' runs=40 workers=4
		done
	fi
}
plan
