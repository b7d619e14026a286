#!/bin/sh
# What operators ask, over Redis.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" inspect redis
