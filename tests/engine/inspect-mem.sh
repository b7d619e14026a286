#!/bin/sh
# What operators ask, over the backend in memory.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" inspect mem
