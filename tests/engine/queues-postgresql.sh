#!/bin/sh
# Queues that are paused, over PostgreSQL.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" queues postgresql
