#!/bin/sh
# A server that was started again does not look like a dead worker.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
: "${server:?}"
server redis r || exit 99
tally "$KEDGE_BUILDDIR/renewed" redis "$(server way r)" "$(server address r)" "$server restart r"
plan
