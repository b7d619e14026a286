#!/bin/sh
# A worker over PostgreSQL is killed, and what it had sent arrives when its runs are elsewhere.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
server postgresql p || exit 99
url=$(server url p)
tally "$KEDGE_BUILDDIR/late" "$url" "unix:$KEDGE_SERVERS/p/.s.PGSQL.5432" \
	"$(echo "$url" | sed 's/host=[^&]*/host={proxy}/')" "$dir"
plan
