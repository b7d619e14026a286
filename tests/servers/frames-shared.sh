#!/bin/sh
# What is no frame, sent to a server of a store and to its clients: tests/shared/frames.c
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"
use_backend shared
# shellcheck disable=SC2154 # set by use_backend
"$KEDGE_BUILDDIR/frames" "$url" "$(server log store)"
