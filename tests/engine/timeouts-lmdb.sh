#!/bin/sh
# Steps and runs that overstay their time, over LMDB, with worker processes.
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"
use_backend lmdb
# shellcheck disable=SC2154 # set by use_backend
"$KEDGE_BUILDDIR/timeouts" "$url" "$dir"
