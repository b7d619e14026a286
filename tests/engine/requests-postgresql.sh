#!/bin/sh
# What people ask of runs, over PostgreSQL.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" requests postgresql
