#!/bin/sh
# Sweeps, and runs that are purged on request, over Redis.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" upkeep redis
