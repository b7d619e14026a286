#!/bin/sh
# Death at every store call, over Redis.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" doomed redis
