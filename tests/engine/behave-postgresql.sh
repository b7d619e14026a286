#!/bin/sh
# What steps see and say, over PostgreSQL.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" behave postgresql
