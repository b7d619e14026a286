#!/bin/sh
# Worker processes killed with -9 and stopped, over memory that another process serves; at full size
# in the long tests.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" chaos shared
