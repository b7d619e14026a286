#!/bin/sh
# Every operation over PostgreSQL, its connection failing at every point; by TCP too in the long
# tests.  KEDGE_FAULTS_ARGS: more arguments, such as --case append
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
server postgresql p tcp=yes fsync=off max_connections=100 || exit 99
port=$(cat "$KEDGE_SERVERS/p/port")
url=$(server url p)
faults postgresql "unix:$KEDGE_SERVERS/p/.s.PGSQL.$port" "$url" \
	"$(echo "$url" | sed 's/host=[^&]*/host={proxy}/')"
if [ -n "${KEDGE_TEST_LONG-}" ]; then
	tcp=$(server tcp p)
	faults postgresql "tcp:127.0.0.1:$port" "$tcp" "$(echo "$tcp" | sed "s/:$port/:{proxy}/")"
fi
plan
