#!/bin/sh
# Commits, flushes, hand-offs and wake-ups, counted over each backend.
. "$KEDGE_SRCDIR/tests/engine/over.sh"
over counts
