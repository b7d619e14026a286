#!/bin/sh
# The storage contract over a Redis Cluster of three nodes.  The URL names one of them; the namespaces
# of the cases are in slots of all three.  The long tests do all of it.
# KEDGE_CONTRACT_ARGS: other arguments, such as --filter leases
# shellcheck source=tests/support/long.sh
. "$KEDGE_SRCDIR/tests/support/long.sh"
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis

check() { # WHAT COMMAND...: does it succeed?
	check_what=$1
	shift
	if "$@"; then
		echo "ok - $check_what"
	else
		echo "not ok - $check_what"
	fi | tee -a "$dir/tap"
}

if [ -f "$KEDGE_BUILDDIR/.libs/kedge-clock.so" ]; then
	KEDGE_TEST_CLOCK=$KEDGE_SERVERS/clock
	export KEDGE_TEST_CLOCK
	"$KEDGE_BUILDDIR/clock_set" "$KEDGE_TEST_CLOCK" real >/dev/null || exit 99
fi
server redis-cluster c appendfsync no || exit 99
areas='--tier concurrent'
[ -n "${KEDGE_TEST_LONG-}" ] || areas='--filter store,leases,batch,fences,locks,cells,claim,slots,lists,purge'
# shellcheck disable=SC2086 # words on purpose
tally "$KEDGE" conform ${KEDGE_CONTRACT_ARGS-$areas} "$(server tcp c-1)"

served=0 kept=0
for i in 1 2 3; do
	calls=$(server cli "c-$i" info commandstats | sed -n 's/^cmdstat_evalsha:calls=\([0-9]*\),.*/\1/p')
	# Namespaces of other names are left behind by cases.
	keys=$(server cli "c-$i" --scan --pattern 'kedge:{conform-*}*' | wc -l)
	echo "# node $i: ${calls:-0} calls of scripts, $keys keys left"
	[ "${calls:-0}" -lt 100 ] || served=$((served + 1))
	kept=$((kept + keys))
done
check 'each node had namespaces: where the URL does not lead, MOVED was followed' [ "$served" -eq 3 ]
check 'namespaces that were dropped leave no key behind' [ "$kept" -eq 0 ]
plan
