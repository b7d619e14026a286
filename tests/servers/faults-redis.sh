#!/bin/sh
# Every operation over Redis, its connection failing at every point; by TCP too in the long tests.
# KEDGE_FAULTS_ARGS: more arguments, such as --case append
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
server redis r appendfsync no || exit 99
faults redis "unix:$KEDGE_SERVERS/r/sock" "$(server url r)" 'redis+unix://{proxy}/sock'
if [ -n "${KEDGE_TEST_LONG-}" ]; then
	port=$(cat "$KEDGE_SERVERS/r/port")
	faults redis "tcp:127.0.0.1:$port" "$(server tcp r)" 'redis://127.0.0.1:{proxy}'
fi
plan
