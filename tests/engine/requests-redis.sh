#!/bin/sh
# What people ask of runs, over Redis.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" requests redis
