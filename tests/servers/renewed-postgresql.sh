#!/bin/sh
# A server that was started again does not look like a dead worker.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
: "${server:?}"
server postgresql p || exit 99
tally "$KEDGE_BUILDDIR/renewed" postgresql "$(server way p)" "$(server address p)" "$server restart p"
plan
