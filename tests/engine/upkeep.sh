#!/bin/sh
# Sweeps, and runs that are purged on request, over each backend.
. "$KEDGE_SRCDIR/tests/engine/over.sh"
over upkeep
