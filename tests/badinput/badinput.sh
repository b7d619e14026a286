#!/bin/sh
# Bad input over each backend.
. "$KEDGE_SRCDIR/tests/engine/over.sh"
over badinput
