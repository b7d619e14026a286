#!/bin/sh
# A worker process stopped until it was declared dead, over PostgreSQL.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" frozen postgresql
