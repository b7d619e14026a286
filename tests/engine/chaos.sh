#!/bin/sh
# Worker processes killed with -9 and stopped on LMDB; at full size in the long tests.
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"
use_backend lmdb
size='3 40 6 2' # processes, runs, kills, stops
[ -z "${KEDGE_TEST_LONG-}" ] || size='4 500 100 20'
# shellcheck disable=SC2154,SC2086 # set by use_backend; words
"$KEDGE_BUILDDIR/chaos" "$url" "$dir" $size
