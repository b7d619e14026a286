#!/bin/sh
# Queues that are paused, over Redis.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" queues redis
