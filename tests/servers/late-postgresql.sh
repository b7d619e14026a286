#!/bin/sh
# A worker over PostgreSQL is killed, and what it had sent arrives when its runs are elsewhere.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
server postgresql p || exit 99
tally "$KEDGE_BUILDDIR/late" "$(server way p)" "$(server address p)" "$dir"
plan
