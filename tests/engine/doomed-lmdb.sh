#!/bin/sh
# Death at every store call, over LMDB.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" doomed lmdb
