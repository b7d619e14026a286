#!/bin/sh
# A server that was started again does not look like a dead worker.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
: "${server:?}"
server postgresql p || exit 99
url=$(server url p)
tally "$KEDGE_BUILDDIR/renewed" postgresql "$url" "unix:$KEDGE_SERVERS/p/.s.PGSQL.5432" \
	"$(echo "$url" | sed 's/host=[^&]*/host={proxy}/')" "$dir" "$server restart p"
plan
