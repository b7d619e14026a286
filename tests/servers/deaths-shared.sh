#!/bin/sh
# A served store, its clients and its server killed and stopped: tests/shared/deaths.c
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"
use_backend shared
# shellcheck disable=SC2154 # set by use_backend
"$KEDGE_BUILDDIR/deaths" "$url"
