#!/bin/sh
# Faults while the storage contract is kept, over LMDB: the areas of the suite's third tier.
exec "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/contract/run.sh" lmdb --filter crash,iofail,sweep,clock
