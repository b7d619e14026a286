#!/bin/sh
# Faults while the storage contract is kept, over PostgreSQL: the areas of the suite's third tier.
# No server is killed here, so it need not wait for the disk.
backend_settings="fsync=off"
export backend_settings
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/contract/run.sh" postgresql --filter crash,iofail,sweep,clock
