#!/bin/sh
# What steps see and say, over each backend.
. "$KEDGE_SRCDIR/tests/engine/over.sh"
over behave
