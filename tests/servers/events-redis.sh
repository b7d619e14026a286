#!/bin/sh
# What happens to a Redis server between two calls: scripts are forgotten, it is killed, its replica
# does not follow.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
R=r S=s
export R S
server redis r || exit 99
tally "$KEDGE_BUILDDIR/redis_cases" "$(server url r)" flushed-scripts namespaces databases killed \
	lost-claim
server redis-replica s r || exit 99
tally "$KEDGE_BUILDDIR/redis_cases" "$(server url r)?wait=1" waits replica-stops replica-dies
plan
