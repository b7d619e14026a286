#!/bin/sh
# The storage contract, over Redis.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/contract/run.sh" redis
