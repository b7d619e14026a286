#!/bin/sh
# Whole sagas, over the backend in memory.
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"
use_backend mem
# shellcheck disable=SC2154 # set by use_backend
"$KEDGE_BUILDDIR/sagas" "$url"
