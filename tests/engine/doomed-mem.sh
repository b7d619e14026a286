#!/bin/sh
# Death at every store call, over the backend in memory.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" doomed mem
