#!/bin/sh
# The storage contract, over the backend in memory.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/contract/run.sh" mem
