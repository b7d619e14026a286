#!/bin/sh
# What people ask of runs, over LMDB.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" requests lmdb
