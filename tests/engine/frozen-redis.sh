#!/bin/sh
# A worker process stopped until it was declared dead, over Redis.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" frozen redis
