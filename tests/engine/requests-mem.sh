#!/bin/sh
# What people ask of runs, over the backend in memory.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" requests mem
