#!/bin/sh
# Commits, flushes, hand-offs and wake-ups, counted over Redis.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" counts redis
