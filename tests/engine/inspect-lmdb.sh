#!/bin/sh
# What operators ask, over LMDB.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" inspect lmdb
