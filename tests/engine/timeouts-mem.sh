#!/bin/sh
# Steps and runs that overstay their time, over the backend in memory.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" timeouts mem
