#!/bin/sh
# Whole sagas, over the backend in memory.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/engine/run.sh" sagas mem
