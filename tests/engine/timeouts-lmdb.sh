#!/bin/sh
# Steps and runs that overstay their time, over LMDB.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" timeouts lmdb
