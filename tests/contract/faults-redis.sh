#!/bin/sh
# Faults while the storage contract is kept, over Redis: the areas of the suite's third tier.
# No server is killed here, so it need not wait for the disk.
backend_settings="appendfsync no"
export backend_settings
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/contract/run.sh" redis --filter crash,iofail,sweep,clock
