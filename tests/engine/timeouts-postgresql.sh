#!/bin/sh
# Steps and runs that overstay their time, over PostgreSQL.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" timeouts postgresql
