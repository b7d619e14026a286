#!/bin/sh
# What operators ask, over PostgreSQL.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" inspect postgresql
