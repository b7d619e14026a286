#!/bin/sh
# What steps see and say, over Redis.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" behave redis
