#!/bin/sh
# A worker over Redis is killed, and what it had sent arrives when its runs are elsewhere.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
server redis r || exit 99
tally "$KEDGE_BUILDDIR/late" "$(server way r)" "$(server address r)" "$dir"
plan
