#!/bin/sh
# Threads, loops and clocks of workers, over PostgreSQL.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" turns postgresql
