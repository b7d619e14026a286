#!/bin/sh
# The primary is killed under load, and its replica takes its place.  With wait=1 a write is
# acknowledged when the replica has it, and nothing that was acknowledged is lost; whoever takes over
# needs a replica as well before he acknowledges anything.  Without, the last of it may be lost: what
# is tested then is that work goes on.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis

# failover NAME PARAMETERS BREAK [OPTION]...
failover() {
	failover_name=$1 failover_parameters=$2 failover_break=$3
	shift 3
	a=$failover_name-a b=$failover_name-b c=$failover_name-c
	server redis "$a" || exit 99
	server redis-replica "$b" "$a" || exit 99
	export a b c
	survive "$failover_name" \
		"redis://127.0.0.1:$(cat "$KEDGE_SERVERS/$a/port"),127.0.0.1:$(cat "$KEDGE_SERVERS/$b/port")$failover_parameters" \
		"$failover_break" true steps=100 "$@"
	server drop "$a"
	server drop "$b"
	[ ! -d "$KEDGE_SERVERS/$c" ] || server drop "$c"
}

# shellcheck disable=SC2016 # what the commands name is theirs
{
	failover waits '?wait=1' '$server kill $a; $server promote $b; $server redis-replica $c $b'
	# The replica is cut off, and has not heard of the last hundred kilobytes.
	failover behind '' 'told() { $server cli $a info replication | sed -n "s/^master_repl_offset:\([0-9]*\).*/\1/p"; }
		kept() { $server cli $a info replication | sed -n "s/^slave0:.*state=online,offset=\([0-9]*\).*/\1/p"; }
		from=$(told); until [ "$(kept)" -ge "$from" ] 2>/dev/null; do sleep 0.02; done
		$server pause $b; $server cli $a client kill type replica >/dev/null; from=$(told)
		until [ "$(told)" -gt $((from + 100000)) ]; do sleep 0.02; done
		$server kill $a; $server resume $b; $server promote $b' \
		forgets buries
	if [ -n "${KEDGE_TEST_LONG-}" ]; then
		for i in 1 2 3 4 5 6 7 8 9 10; do
			failover "waits-$i" '?wait=1' "sleep 0.$i"'; $server kill $a; $server promote $b; $server redis-replica $c $b' runs=40 workers=4
		done
	fi
}
plan
