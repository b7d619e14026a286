#!/bin/sh
# A server that was started again does not look like a dead worker.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
: "${server:?}"
server redis r || exit 99
url=$(server url r)
tally "$KEDGE_BUILDDIR/renewed" redis "$url" "unix:$KEDGE_SERVERS/r/sock" \
	'redis+unix://{proxy}/sock' "$dir" "$server restart r"
plan
