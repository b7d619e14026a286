#!/bin/sh
# Sweeps, and runs that are purged on request, over PostgreSQL.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" upkeep postgresql
