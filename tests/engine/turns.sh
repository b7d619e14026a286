#!/bin/sh
# Threads, loops and clocks of workers, over each backend.
. "$KEDGE_SRCDIR/tests/engine/over.sh"
over turns
