#!/bin/sh
# Commits, flushes, hand-offs and wake-ups, counted over PostgreSQL.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" counts postgresql
