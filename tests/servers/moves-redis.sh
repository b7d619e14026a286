#!/bin/sh
# The slot of a namespace moves from one node of a Redis Cluster to another.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
C=c move="${SHELL:-/bin/sh} $KEDGE_SRCDIR/tests/servers/move-slot.sh"
export C move
server redis-cluster c appendfsync no || exit 99
tally "$KEDGE_BUILDDIR/redis_cases" "$(server tcp c-1)" slot-moves slot-half-moved
plan
