#!/bin/sh
# Whole sagas, over Redis.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" sagas redis
