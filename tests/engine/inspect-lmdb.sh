#!/bin/sh
# What operators ask, over LMDB.
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"
use_backend lmdb
# shellcheck disable=SC2154 # set by use_backend
TMPDIR=$dir "$KEDGE_BUILDDIR/inspect" "$url"
