#!/bin/sh
# Whole sagas, over LMDB.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" sagas lmdb
