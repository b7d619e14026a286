#!/bin/sh
# The storage contract, over the backend in memory that another process serves.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/contract/run.sh" shared
