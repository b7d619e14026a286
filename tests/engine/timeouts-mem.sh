#!/bin/sh
# Steps and runs that overstay their time, over the backend in memory and with a clock that is moved.
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"
use_backend mem
# shellcheck disable=SC2154 # set by use_backend
"$KEDGE_BUILDDIR/timeouts" mem:timeouts "$dir"
