#!/bin/sh
# The storage contract, over LMDB.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/contract/run.sh" lmdb
