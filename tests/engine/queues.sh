#!/bin/sh
# Queues that are paused, over each backend.
. "$KEDGE_SRCDIR/tests/engine/over.sh"
over queues
