#!/bin/sh
# Whole sagas, over the backend in memory.
exec "$KEDGE_BUILDDIR/sagas" mem:
