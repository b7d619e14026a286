#!/bin/sh
# move-slot.sh CLUSTER KEY [WHAT] - move the slot of KEY from the node that has it to the next one
#
#	all     the whole way, as is the default
#	keys    all keys; the slot is still the old node's, which sends those who ask for them on
#	rest    the rest of the way
#
# Scripts take the keys along: they have bytes in them that no argument can have.
# shellcheck source=tests/support/servers.sh
. "$KEDGE_SRCDIR/tests/support/servers.sh"
cluster=$1 key=$2 what=${3:-all}
state=$KEDGE_SERVERS/$cluster-moving

tell() { # NODE COMMAND...
	node=$1
	shift
	said=$(server cli "$cluster-$node" "$@")
	if [ "$said" != OK ]; then
		echo "move-slot.sh: node $node says '$said' to $*" >&2
		exit 1
	fi
}
id() {
	server cli "$cluster-$1" cluster myid
}

slot=$(server cli "$cluster-1" cluster keyslot "$key")
if [ "$what" != rest ]; then
	for from in 1 2 3; do
		[ "$(server cli "$cluster-$from" cluster countkeysinslot "$slot")" = 0 ] || break
	done
	to=$((from % 3 + 1))
	echo "$from $to" >"$state"
	tell "$to" cluster setslot "$slot" importing "$(id "$from")"
	tell "$from" cluster setslot "$slot" migrating "$(id "$to")"
	until [ "$(server cli "$cluster-$from" eval "
		local k = redis.call('CLUSTER', 'GETKEYSINSLOT', ARGV[1], 5)
		if #k > 0 then redis.call('MIGRATE', '127.0.0.1', ARGV[2], '', 0, 5000, 'KEYS', unpack(k)) end
		return #k" 0 "$slot" "$(cat "$KEDGE_SERVERS/$cluster-$to/port")")" = 0 ]; do
		[ -d "$KEDGE_SERVERS/$cluster-$from" ] || exit 1
	done
fi
if [ "$what" != keys ]; then
	read -r from to <"$state"
	for node in "$to" "$from" $((to % 3 + 1)); do
		tell "$node" cluster setslot "$slot" node "$(id "$to")"
	done
fi
