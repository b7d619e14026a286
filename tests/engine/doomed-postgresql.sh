#!/bin/sh
# Death at every store call, over PostgreSQL.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" doomed postgresql
