#!/bin/sh
# Threads, loops and clocks of workers, over Redis.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" turns redis
