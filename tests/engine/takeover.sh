#!/bin/sh
# Worker processes killed with -9 on LMDB: 3 of them, 100 in the long tests.
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"
use_backend lmdb
kills=3
[ -z "${KEDGE_TEST_LONG-}" ] || kills=100
# shellcheck disable=SC2154 # set by use_backend
"$KEDGE_BUILDDIR/takeover" "$url" "$dir" "$kills"
