#!/bin/sh
# Whole sagas, over PostgreSQL.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" sagas postgresql
