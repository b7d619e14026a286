#!/bin/sh
# The storage contract, over LMDB with every record in `recent' before it gets to its place.
backend_gather=1
export backend_gather
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/contract/run.sh" lmdb
